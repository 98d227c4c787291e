/* curve.c - all settings of a policy, from the scores of rows.
 *
 * With one threshold for all exits, lowering it moves every row from exit to
 * earlier exit at the running maxima of its scores: a sweep over those from high
 * to low passes every mean cost the policy can have. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

enum { REACH = 4 };             /* neighbours either side that speak for a scorer */

/* A row's move to exit `to` when the threshold falls below `value`. */
typedef struct move { float value; uint32_t row; uint8_t from, to; } move;

/* What a scorer offers in the part of the cost axis that belongs to a level. */
typedef struct offer { double threshold, cost; uint32_t schedule; } offer;

typedef struct building {
    const ln__curve_task *task;
    const ln__ctx *ctx;
    offer   *offers;            /* [n_scorers][LN__MAX_SETTINGS] */
    double  *accuracy;          /* of each offer; NAN: there is none */
    double  *threshold;         /* [exits] */
    move    *moves;
    uint32_t *order;
    double   dearest;           /* settings between the ends cost less */
    double   cheapest;          /* always leaving */
    uint32_t last_scorer, first_scorer;
} building;

/* ---- Levels --------------------------------------------------------------------------- */

/* Levels are even in the root of the cost above always leaving: narrow where accuracy falls steeply, so that a
 * small budget is not left a fifth unspent. The last is always leaving; level k holds the costs below the floor
 * of k - 1 down to its own, and of those a scorer's highest. */
static double floor_of(const building *b, uint32_t level)
{
    double root = 1.0 - (double)level / (LN__MAX_SETTINGS - 1);

    return b->cheapest + (b->dearest - b->cheapest) * root * root;
}

static uint32_t level_of(const building *b, double cost)
{
    double range = b->dearest - b->cheapest, above = fmax(0, cost - b->cheapest);
    double at = range > 0 ? ceil((LN__MAX_SETTINGS - 1) * (1.0 - sqrt(above / range)) - 1e-9) : 0;

    return at < 1 ? 1 : at > LN__MAX_SETTINGS - 1 ? LN__MAX_SETTINGS - 1 : (uint32_t)at;
}

static size_t place_of(uint32_t scorer, uint32_t level)
{
    return (size_t)scorer * LN__MAX_SETTINGS + level;
}

/* Keeps the first of a level's: sweeps come from high cost. */
static void propose(building *b, uint32_t scorer, const offer *made, double accuracy)
{
    size_t at = place_of(scorer, level_of(b, made->cost));

    if (made->cost >= b->dearest || (!isnan(b->accuracy[at]) && made->cost <= b->offers[at].cost))
        return;
    b->offers[at] = *made;
    b->accuracy[at] = accuracy;
}

/* ---- One threshold for all exits -------------------------------------------------------- */

static void sift(move *v, int64_t parent, int64_t end)
{
    move moved = v[parent];
    int64_t child;

    for (; (child = 2 * parent + 1) < end; parent = child) {
        if (child + 1 < end && v[child + 1].value < v[child].value)
            child++;
        if (v[child].value >= moved.value)
            break;
        v[parent] = v[child];
    }
    v[parent] = moved;
}

/* Descending; qsort may take memory of its own. */
static void sort_moves(move *v, int64_t n)
{
    for (int64_t i = n / 2; i-- > 0;)
        sift(v, i, n);
    for (int64_t end = n; end-- > 1;) {
        move first = v[0];

        v[0] = v[end];
        v[end] = first;
        sift(v, 0, end);
    }
}

static int64_t list_moves(building *b, const float *score)
{
    const ln__curve_task *t = b->task;
    int64_t n = 0;

    for (int64_t r = 0; r < t->rows; r++) {
        const float *s = score + r * t->exits;
        float highest = -INFINITY;
        int64_t first = n;

        for (uint32_t e = 0; e < t->exits; e++) {
            if (!(s[e] > highest))
                continue;
            highest = s[e];
            b->moves[n++] = (move){ s[e], (uint32_t)r, (uint8_t)t->exits, (uint8_t)e };
            if (n - 1 > first)
                b->moves[n - 2].from = (uint8_t)e;
        }
    }
    return n;
}

static void sweep_common(building *b, uint32_t scorer)
{
    const ln__curve_task *t = b->task;
    const ln__scorer *s = &t->scorer[scorer];
    int64_t n = list_moves(b, s->score), right = 0;
    double cost = s->cost[t->exits] * (double)t->rows;

    sort_moves(b->moves, n);
    for (int64_t r = 0; r < t->rows; r++)
        right += s->right[r * (t->exits + 1) + t->exits];
    for (int64_t i = 0; i < n; i++) {
        const move *m = &b->moves[i];
        const uint8_t *row = s->right + (int64_t)m->row * (t->exits + 1);

        cost += s->cost[m->to] - s->cost[m->from];
        right += row[m->to] - row[m->from];
        if (i + 1 < n && b->moves[i + 1].value == m->value)
            continue;
        double below = i + 1 < n ? 0.5 * ((double)m->value + (double)b->moves[i + 1].value) : -1.0;
        propose(b, scorer, &(offer){ below, cost / (double)t->rows, 0 }, (double)right / (double)t->rows);
    }
}

/* ---- Thresholds of each exit by quantiles ------------------------------------------------- */

static void heap_down(uint32_t *order, const float *score, uint32_t step, int64_t parent, int64_t end)
{
    uint32_t moved = order[parent];
    int64_t child;

    for (; (child = 2 * parent + 1) < end; parent = child) {
        if (child + 1 < end && score[(size_t)order[child + 1] * step] < score[(size_t)order[child] * step])
            child++;
        if (score[(size_t)order[child] * step] >= score[(size_t)moved * step])
            break;
        order[parent] = order[child];
    }
    order[parent] = moved;
}

static void sort_rows(uint32_t *order, const float *score, uint32_t step, int64_t n)
{
    for (int64_t i = n / 2; i-- > 0;)
        heap_down(order, score, step, i, n);
    for (int64_t end = n; end-- > 1;) {
        uint32_t first = order[0];

        order[0] = order[end];
        order[end] = first;
        heap_down(order, score, step, 0, end);
    }
}

void ln__quantile_thresholds(double *threshold, const float *score, const double *share, int64_t rows, uint32_t exits,
                             uint32_t *order)
{
    int64_t left = rows;

    for (int64_t r = 0; r < rows; r++)
        order[r] = (uint32_t)r;
    for (uint32_t e = 0; e < exits; e++) {
        int64_t leave = LN__MIN(left, (int64_t)floor(share[e] * (double)rows + 0.5));

        threshold[e] = leave == 0 ? 1.0 : -1.0;
        if (leave == 0)
            continue;
        sort_rows(order, score + e, exits, left);
        float last = score[(size_t)order[leave - 1] * exits + e];
        while (leave < left && score[(size_t)order[leave] * exits + e] == last)
            leave++;
        if (leave < left)
            threshold[e] = 0.5 * ((double)last + (double)score[(size_t)order[leave] * exits + e]);
        left -= leave;
        memmove(order, order + leave, (size_t)left * sizeof *order);
    }
}

/* Shares p_i ~ exp(slope i); returns the mean exit. */
static double geometric(double *share, uint32_t exits, double slope)
{
    double sum = 0, mean = 0;

    for (uint32_t e = 0; e <= exits; e++)
        sum += share[e] = exp(slope * (slope > 0 ? (double)e - exits : (double)e));
    for (uint32_t e = 0; e <= exits; e++) {
        share[e] /= sum;
        mean += share[e] * e;
    }
    return mean;
}

void ln__geometric_schedules(double *out, uint32_t exits)
{
    for (int k = 0; k < LN__GEOMETRIC_SCHEDULES; k++) {
        double *share = out + (size_t)k * (exits + 1), low = -50, high = 50;
        double root = 1.0 - (k + 1.0) / (LN__GEOMETRIC_SCHEDULES + 1), wanted = exits * root * root;

        for (int i = 0; i < 60; i++) {
            double middle = 0.5 * (low + high);

            if (geometric(share, exits, middle) < wanted)
                low = middle;
            else
                high = middle;
        }
    }
}

static double mean_cost(const double *cost, const double *share, uint32_t exits)
{
    double sum = 0;

    for (uint32_t e = 0; e <= exits; e++)
        sum += share[e] * cost[e];
    return sum;
}

static void try_schedules(building *b, uint32_t scorer)
{
    const ln__curve_task *t = b->task;
    const ln__scorer *s = &t->scorer[scorer];
    ln__outcome outcome;

    for (uint32_t k = 0; k < s->n_schedules; k++) {
        ln__quantile_thresholds(b->threshold, s->score, s->schedule + (size_t)k * (t->exits + 1), t->rows, t->exits, b->order);
        ln__policy_judge(&outcome, s->score, b->threshold, s->right, t->rows, t->exits);
        propose(b, scorer, &(offer){ 0, mean_cost(s->cost, outcome.share, t->exits), k }, outcome.accuracy);
    }
}

/* ---- Choosing ---------------------------------------------------------------------------- */

/* The costs nearest to a level's, on either side, that scorers which have something to offer there are meant for. */
typedef struct bracket { double above, below, slack; } bracket;

static bracket bracket_at(const building *b, uint32_t level)
{
    double top = floor_of(b, level - 1), bottom = floor_of(b, level), cost = 0.5 * (top + bottom);
    bracket n = { INFINITY, -INFINITY, top - bottom };

    for (uint32_t s = 0; s < b->task->n_scorers; s++) {
        double meant = b->task->scorer[s].meant;

        if (isnan(b->accuracy[place_of(s, level)]))
            continue;
        if (meant >= cost)
            n.above = fmin(n.above, meant);
        else if (meant < cost)      /* not NaN */
            n.below = fmax(n.below, meant);
    }
    return n;
}

/* Those meant for the nearest cost on either side, and those meant for none. */
static bool may_serve(const bracket *n, double meant)
{
    return isnan(meant) || (meant >= n->below - n->slack && meant <= n->above + n->slack);
}

/* The most accurate of all would mostly be the luckiest. */
static int64_t best_scorer(const building *b, uint32_t level)
{
    bracket around = bracket_at(b, level);
    int64_t best = -1;
    double best_standing = 0;

    for (uint32_t s = 0; s < b->task->n_scorers; s++) {
        if (isnan(b->accuracy[place_of(s, level)]) || !may_serve(&around, b->task->scorer[s].meant))
            continue;
        double standing = ln__mean_around(b->accuracy + place_of(s, 1), LN__MAX_SETTINGS - 2, level - 1, REACH);
        if (best < 0 || standing > best_standing) {
            best = s;
            best_standing = standing;
        }
    }
    return best;
}

static void fill_thresholds(const building *b, double *threshold, uint32_t scorer, const offer *chosen)
{
    const ln__curve_task *t = b->task;
    const ln__scorer *by = &t->scorer[scorer];

    if (by->schedule) {
        ln__quantile_thresholds(threshold, by->score, by->schedule + (size_t)chosen->schedule * (t->exits + 1), t->rows, t->exits,
                                b->order);
        return;
    }
    for (uint32_t e = 0; e < t->exits; e++)
        threshold[e] = chosen->threshold;
}

static ln__setting *next_setting(ln__settings *out, uint32_t scorer)
{
    ln__setting *s = &out->setting[out->count];

    s->scorer = scorer;
    s->threshold = out->numbers + (size_t)out->count * (2 * out->exits + 1);
    s->share = s->threshold + out->exits;
    out->count++;
    return s;
}

static void judge_setting(const building *b, ln__setting *s)
{
    const ln__curve_task *t = b->task;
    const ln__scorer *by = &t->scorer[s->scorer];
    ln__outcome outcome;

    ln__policy_judge(&outcome, by->score, s->threshold, by->right, t->rows, t->exits);
    memcpy(s->share, outcome.share, (t->exits + 1) * sizeof *s->share);
    s->accuracy = outcome.accuracy;
    s->cost = mean_cost(by->cost, s->share, t->exits);
}

static void add_constant(const building *b, ln__settings *out, uint32_t scorer, double threshold)
{
    ln__setting *s = next_setting(out, scorer);

    for (uint32_t e = 0; e < b->task->exits; e++)
        s->threshold[e] = threshold;
    judge_setting(b, s);
}

static void choose(const building *b, ln__settings *out)
{
    add_constant(b, out, b->last_scorer, 1.0);
    for (uint32_t level = 1; level < LN__MAX_SETTINGS - 1; level++) {
        int64_t scorer = best_scorer(b, level);
        if (scorer < 0)
            continue;
        ln__setting *s = next_setting(out, (uint32_t)scorer);
        fill_thresholds(b, s->threshold, s->scorer, &b->offers[place_of((uint32_t)scorer, level)]);
        judge_setting(b, s);
    }
    add_constant(b, out, b->first_scorer, -1.0);
}

/* ---- All of it --------------------------------------------------------------------------- */

static void find_ends(building *b)
{
    const ln__curve_task *t = b->task;

    for (uint32_t s = 1; s < t->n_scorers; s++) {
        if (t->scorer[s].cost[t->exits] < t->scorer[b->last_scorer].cost[t->exits])
            b->last_scorer = s;
        if (t->scorer[s].cost[0] < t->scorer[b->first_scorer].cost[0])
            b->first_scorer = s;
    }
    b->dearest = fmin(t->plain, t->scorer[b->last_scorer].cost[t->exits]);
    b->cheapest = t->scorer[b->first_scorer].cost[0];
}

static ln_status take_memory(building *b, ln__settings *out, ln_error *err)
{
    const ln__curve_task *t = b->task;
    size_t moves = (size_t)t->rows;

    out->exits = t->exits;
    out->numbers = ln__array(b->ctx, LN__MAX_SETTINGS, (2 * (size_t)t->exits + 1) * sizeof(double));
    b->offers = ln__array(b->ctx, t->n_scorers, LN__MAX_SETTINGS * sizeof *b->offers);
    b->accuracy = ln__array(b->ctx, t->n_scorers, LN__MAX_SETTINGS * sizeof *b->accuracy);
    b->threshold = ln__array(b->ctx, t->exits, sizeof *b->threshold);
    b->order = ln__array(b->ctx, moves, sizeof *b->order);
    if (ln__mul_size(moves, t->exits, &moves))
        b->moves = ln__array(b->ctx, moves, sizeof *b->moves);
    if (!out->numbers || !b->offers || !b->accuracy || !b->threshold || !b->order || !b->moves)
        return ln__fail_nomem(err, b->ctx, moves * sizeof *b->moves);
    for (size_t i = 0; i < place_of(t->n_scorers, 0); i++)
        b->accuracy[i] = NAN;
    return LN_OK;
}

ln_status ln__curve_build(ln__settings *out, const ln__ctx *ctx, const ln__curve_task *task, ln_error *err)
{
    building b = { .task = task, .ctx = ctx };
    ln_status st;

    memset(out, 0, sizeof *out);
    if (task->rows < 1 || task->rows > UINT32_MAX || task->n_scorers < 1 || task->exits < 1 || task->exits > LN__MAX_EXITS)
        return ln__fail(err, LN_E_ARGUMENT, "a curve of %lld rows, %u exits, %u scorers: out of range", (long long)task->rows,
                        task->exits, task->n_scorers);
    st = take_memory(&b, out, err);
    if (st == LN_OK)
        find_ends(&b);
    for (uint32_t s = 0; st == LN_OK && s < task->n_scorers; s++)
        if (task->scorer[s].schedule)
            try_schedules(&b, s);
        else
            sweep_common(&b, s);
    if (st == LN_OK)
        choose(&b, out);
    else
        ln__settings_free(out, ctx);
    void *owned[] = { b.offers, b.accuracy, b.threshold, b.moves, b.order };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    return st;
}

void ln__settings_free(ln__settings *settings, const ln__ctx *ctx)
{
    ln__free(ctx, settings->numbers);
    memset(settings, 0, sizeof *settings);
}
