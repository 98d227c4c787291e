/* judge.c - hard decisions on rows: what a policy gives, and the threshold that gives most. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

enum { CANDIDATES = 200, REACH = 12 };  /* neighbours either side that speak for a threshold */
static const double ROUNDING = 1e-12;

void ln__policy_judge(ln__outcome *out, const float *g, const double *threshold, const uint8_t *right, int64_t n, uint32_t exits)
{
    memset(out, 0, sizeof *out);
    for (int64_t r = 0; r < n; r++) {
        uint32_t i = 0;

        while (i < exits && !((double)g[r * exits + i] > threshold[i]))
            i++;
        out->share[i] += 1.0;
        out->accuracy += right[r * (exits + 1) + i];
    }
    if (n == 0)
        return;
    for (uint32_t i = 0; i <= exits; i++)
        out->share[i] /= (double)n;
    out->accuracy /= (double)n;
}

/* ---- One threshold for all exits -------------------------------------------------------- */

static double loss_at(double threshold, const float *g, const float *price, const double *cost, double alpha,
                      int64_t n, uint32_t exits)
{
    double paid = 0.0, spent = 0.0;

    for (int64_t r = 0; r < n; r++) {
        uint32_t i = 0;

        while (i < exits && !((double)g[r * exits + i] > threshold))
            i++;
        paid += (double)price[r * (exits + 1) + i];
        spent += cost[i];
    }
    return ((1.0 - alpha) * paid + alpha * spent) / (double)n;
}

/* qsort may take memory of its own. */
static void heap_sort(float *v, int64_t n)
{
    for (int64_t built = n / 2, end = n; end > 1;) {
        int64_t parent, child;
        float moved;

        if (built > 0) {
            moved = v[--built];
        } else {
            moved = v[--end];
            v[end] = v[0];
        }
        for (parent = built; (child = 2 * parent + 1) < end; parent = child) {
            if (child + 1 < end && v[child + 1] > v[child])
                child++;
            if (v[child] <= moved)
                break;
            v[parent] = v[child];
        }
        v[parent] = moved;
    }
}

double ln__mean_around(const double *value, size_t count, size_t at, size_t reach)
{
    size_t first = at > reach ? at - reach : 0, last = LN__MIN(at + reach, count - 1);
    double sum = 0, weights = 0;

    for (size_t i = first; i <= last; i++) {
        double weight = (double)(reach + 1 - (i < at ? at - i : i - at));

        if (isnan(value[i]))
            continue;
        sum += weight * value[i];
        weights += weight;
    }
    return sum / weights;
}

/* Between quantiles of g (each row gives one of its exits' in turn), rising. */
static void fill_candidates(double *candidate, const float *g, int64_t n, uint32_t exits, float *sorted)
{
    for (int64_t r = 0; r < n; r++)
        sorted[r] = g[r * exits + r % exits];
    heap_sort(sorted, n);
    candidate[0] = 0.0;
    for (int k = 1; k <= CANDIDATES; k++) {
        int64_t at = (n - 1) * k / CANDIDATES;
        double low = (double)sorted[at], high = at + 1 < n ? (double)sorted[at + 1] : 1.0;

        candidate[k] = 0.5 * (low + high);
    }
}

/* At 0.5 a well calibrated gate should decide. The others must be better, not equal, on these rows themselves too: neighbours that
 * lie beyond a gap in g speak for nobody. */
double ln__threshold_choose(const float *g, const float *price, const double *cost, double alpha,
                            int64_t n, uint32_t exits, float *scratch)
{
    double candidate[CANDIDATES + 1], loss[CANDIDATES + 1], best_mean = INFINITY;
    size_t best = 0;

    if (n == 0 || exits == 0)
        return 0.5;
    fill_candidates(candidate, g, n, exits, scratch);
    for (int k = 0; k <= CANDIDATES; k++)
        loss[k] = loss_at(candidate[k], g, price, cost, alpha, n, exits);
    for (size_t k = 0; k <= CANDIDATES; k++) {
        double mean = ln__mean_around(loss, CANDIDATES + 1, k, REACH);

        if (mean < best_mean) {
            best = k;
            best_mean = mean;
        }
    }
    return loss[best] < loss_at(0.5, g, price, cost, alpha, n, exits) - ROUNDING ? candidate[best] : 0.5;
}
