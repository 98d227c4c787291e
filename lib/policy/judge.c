/* judge.c - hard decisions on rows: what a policy gives, and the threshold that gives most. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

enum { CANDIDATES = 200 };

void ln__policy_judge(ln__outcome *out, const float *g, const double *threshold, const uint8_t *right,
                      const float *price, int64_t n, uint32_t exits)
{
    memset(out, 0, sizeof *out);
    for (int64_t r = 0; r < n; r++) {
        uint32_t i = 0;

        while (i < exits && !((double)g[r * exits + i] > threshold[i]))
            i++;
        out->share[i] += 1.0;
        out->accuracy += right[r * (exits + 1) + i];
        if (price != NULL)
            out->price += (double)price[r * (exits + 1) + i];
    }
    if (n == 0)
        return;
    for (uint32_t i = 0; i <= exits; i++)
        out->share[i] /= (double)n;
    out->accuracy /= (double)n;
    out->price /= (double)n;
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

/* Candidates lie between quantiles of g (each row gives one of its exits' in
 * turn), beside 0.5, where a well calibrated gate should decide: the others must be
 * better, not equal. */
double ln__threshold_choose(const float *g, const float *price, const double *cost, double alpha,
                            int64_t n, uint32_t exits, float *scratch)
{
    double best = 0.5, best_loss;

    if (n == 0 || exits == 0)
        return best;
    for (int64_t r = 0; r < n; r++)
        scratch[r] = g[r * exits + r % exits];
    heap_sort(scratch, n);
    best_loss = loss_at(best, g, price, cost, alpha, n, exits);
    for (int k = 0; k <= CANDIDATES; k++) {
        int64_t at = (n - 1) * k / CANDIDATES;
        double low = (double)scratch[at], high = at + 1 < n ? (double)scratch[at + 1] : 1.0;
        double candidate = k == 0 ? 0.0 : 0.5 * (low + high);
        double loss = loss_at(candidate, g, price, cost, alpha, n, exits);

        if (loss < best_loss) {
            best = candidate;
            best_loss = loss;
        }
    }
    return best;
}
