/* placement.c - what a set of exits would give, replayed on recorded answers, and the search for a good one. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

/* Beyond a doubt of e^-16 floats do not tell confidences apart. */
#define LARGEST 16.0

uint16_t ln__confidence_level(float probability)
{
    double doubt = fmax(1.0 - (double)probability, 1e-7);
    double level = 1.0 + (LN__LEVELS - 2) * (-log(doubt) / LARGEST);

    return (uint16_t)fmin(fmax(level, 1.0), LN__LEVELS - 1);
}

/* ---- Replay ------------------------------------------------------------------------------ */

/* By threshold: a row leaves at the first exit whose level is above it. */
typedef struct replay {
    double cost[LN__LEVELS], accuracy[LN__LEVELS];
} replay;

static void take(replay *out, uint32_t from, uint32_t to, double cost, double right)
{
    out->cost[from] += cost;
    out->accuracy[from] += right;
    if (to < LN__LEVELS) {
        out->cost[to] -= cost;
        out->accuracy[to] -= right;
    }
}

static void replay_row(replay *out, const ln__placement *p, const uint32_t *exits, const double *cost, uint32_t n, int64_t row)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < n; i++) {
        size_t at = (size_t)exits[i] * (size_t)p->rows + (size_t)row;
        if (p->level[at] <= done)
            continue;
        take(out, done, p->level[at], cost[i], p->right[at]);
        done = p->level[at];
    }
    take(out, done, LN__LEVELS, cost[n], p->right[(size_t)p->places * (size_t)p->rows + (size_t)row]);
}

static void replay_set(replay *out, const ln__placement *p, const bool *set)
{
    uint32_t exits[LN__MAX_EXITS], n = 0;
    double cost[LN__MAX_EXITS + 1], heads = 0.0;

    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < p->places; i++) {
        if (!set[i])
            continue;
        heads += p->head[i];
        cost[n] = p->reach[i] + heads;
        exits[n++] = i;
    }
    cost[n] = p->reach[p->places] + heads;
    for (int64_t r = 0; r < p->rows; r++)
        replay_row(out, p, exits, cost, n, r);
    for (uint32_t q = 1; q < LN__LEVELS; q++) {
        out->cost[q] += out->cost[q - 1];
        out->accuracy[q] += out->accuracy[q - 1];
    }
    for (uint32_t q = 0; q < LN__LEVELS; q++) {
        out->cost[q] /= (double)p->rows;
        out->accuracy[q] /= (double)p->rows;
    }
}

/* Cost rises with the threshold; between two thresholds some rows take the one, the others the other. */
static double accuracy_within(const replay *r, double budget)
{
    double best = r->accuracy[0];

    for (uint32_t q = 1; q < LN__LEVELS; q++) {
        if (r->cost[q] > budget) {
            double part = (budget - r->cost[q - 1]) / (r->cost[q] - r->cost[q - 1]);
            return fmax(best, r->accuracy[q - 1] + part * (r->accuracy[q] - r->accuracy[q - 1]));
        }
        best = fmax(best, r->accuracy[q]);
    }
    return best;
}

double ln__placement_price(const ln__placement *p, const bool *set)
{
    double over = 0.0, error = 0.0;
    replay r;

    replay_set(&r, p, set);
    for (size_t b = 0; b < p->n_budgets; b++) {
        if (r.cost[0] > p->budgets[b])
            over += r.cost[0] - p->budgets[b];
        else
            error += 1.0 - accuracy_within(&r, p->budgets[b]);
    }
    return over > 0.0 ? 1.0 + over : error / (double)p->n_budgets;
}

/* ---- Search ------------------------------------------------------------------------------- */

static double price_with(const ln__placement *p, bool *set, uint32_t place, bool has)
{
    bool was = set[place];
    double price;

    set[place] = has;
    price = ln__placement_price(p, set);
    set[place] = was;
    return price;
}

static double add_best(const ln__placement *p, bool *set)
{
    double best = INFINITY;
    uint32_t at = 0;

    for (uint32_t i = 0; i < p->places; i++) {
        double price = set[i] ? INFINITY : price_with(p, set, i, true);
        if (price < best) {
            best = price;
            at = i;
        }
    }
    set[at] = true;
    return best;
}

/* One exit moved to where it does most, as long as that helps. */
static double exchange(const ln__placement *p, bool *set, double price)
{
    for (;;) {
        double best = price - 1e-9;
        uint32_t from = p->places, to = 0;

        for (uint32_t i = 0; i < p->places; i++) {
            if (!set[i])
                continue;
            set[i] = false;
            for (uint32_t k = 0; k < p->places; k++) {
                double now = set[k] || k == i ? INFINITY : price_with(p, set, k, true);
                if (now < best) {
                    best = now;
                    from = i;
                    to = k;
                }
            }
            set[i] = true;
        }
        if (from == p->places)
            return price;
        set[from] = false;
        set[to] = true;
        price = best;
    }
}

void ln__placement_search(bool *set, double *gain, const ln__placement *p, uint32_t wanted, uint32_t most)
{
    bool now[LN__MAX_EXITS] = { false };
    uint32_t last = LN__MIN(wanted ? wanted : most, p->places);
    double best = INFINITY, price = INFINITY;

    for (uint32_t n = 1; n <= last; n++) {
        double found = exchange(p, now, add_best(p, now));
        double with_worth = found + LN__WORTH * n;
        if (wanted ? n < last : !(with_worth < best))
            continue;
        best = with_worth;
        price = found;
        memcpy(set, now, p->places * sizeof *set);
    }
    for (uint32_t i = 0; i < p->places; i++) {
        double without = set[i] ? price_with(p, set, i, false) : price;
        gain[i] = without >= 1.0 ? 1.0 : without - price;
    }
}
