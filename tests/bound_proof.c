/* bound_proof.c - does max_drop hold as often as it says? (`make bound MODEL=... DATA=...`)
 *
 * A trained model answers a pool of rows once. The pool is then all there is: a setting's true drop is its drop on the pool.
 * Calibration sets are drawn from it with replacement, counted, and ln_target_resolve chooses. A draw is a violation if the
 * setting chosen truly loses more than max_drop. Besides round numbers max_drop is put just below the true drop of a setting,
 * where a wrong test shows most. Prints a Markdown table; exit code 1 if violations are more than 5 % and two standard errors. */
#include "session/answers.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 1000 };

static const double CONFIDENCE = 0.95;

typedef struct pool {
    ln_model  *model;
    ln__curve *curve;
    size_t     rows;
    uint8_t   *lost, *gained, *changed;     /* [settings][rows] */
    double     drop[LN__MAX_SETTINGS], change[LN__MAX_SETTINGS];    /* the truth, shares */
} pool;

static void must(ln_status st, const ln_error *err)
{
    if (st >= 0)
        return;
    fprintf(stderr, "bound_proof: %s\n", err->text);
    exit(2);
}

/* ---- The pool ------------------------------------------------------------------------------ */

static void judge_setting(pool *p, const ln_answers *a, uint32_t k)
{
    const double *threshold = p->curve->threshold + (size_t)k * a->exits;
    uint32_t point = p->curve->setting[k].point;
    double lost = 0, gained = 0, changed = 0;

    for (size_t r = 0; r < a->rows; r++) {
        const float *score = a->gate + (r * a->points + point) * a->exits;
        const int32_t *choice = a->choice + r * (a->exits + 1);
        size_t at = (size_t)k * a->rows + r;
        uint32_t e = 0;
        while (e < a->exits && !((double)score[e] > threshold[e]))
            e++;
        bool plain = choice[a->exits] == a->label[r], right = choice[e] == a->label[r];
        lost += p->lost[at] = plain && !right;
        gained += p->gained[at] = right && !plain;
        changed += p->changed[at] = choice[e] != choice[a->exits];
    }
    p->drop[k] = (lost - gained) / (double)a->rows;
    p->change[k] = changed / (double)a->rows;
}

/* Settings come from rows that are not in the pool, if the model has none. */
static const char *train_settings(ln_model *model, const char *data, char *rest, size_t size)
{
    static const double alphas[] = { 0.05, 0.1, 0.2, 0.3, 0.5 };
    ln_gate_options o = LN_GATE_OPTIONS_INIT;
    ln_error err;
    ln_data *rows;

    if (ln__setting_count(model, LN_POLICY_GATE))
        return data;
    snprintf(rest, size, "%s:part=0/3", data);
    must(ln_data_open(&rows, rest, NULL, &err), &err);
    o.alphas = alphas;
    o.n_alphas = LN__COUNT(alphas);
    o.cost = LN_COST_MACS;
    must(ln_gate_train(model, rows, &o, &err), &err);
    ln_data_free(rows);
    snprintf(rest, size, "%s:not=0/3", data);
    return rest;
}

static ln_answers *make_pool(pool *p, const char *data)
{
    ln_answers_options o = { .struct_size = sizeof o, .threads = 2 };
    ln_answers *answers;
    ln_error err;
    ln_data *rows;
    char rest[4096];

    data = train_settings(p->model, data, rest, sizeof rest);
    must(ln_data_open(&rows, data, NULL, &err), &err);
    must(ln_answers_collect(&answers, p->model, rows, &o, &err), &err);
    ln_data_free(rows);
    p->curve = &p->model->curves[LN_POLICY_GATE];
    p->rows = answers->rows;
    size_t count = (size_t)p->curve->count * p->rows;
    p->lost = calloc(count, 1);
    p->gained = calloc(count, 1);
    p->changed = calloc(count, 1);
    if (!p->lost || !p->gained || !p->changed)
        exit(2);
    for (uint32_t k = 0; k < p->curve->count; k++)
        judge_setting(p, answers, k);
    return answers;
}

/* ---- Draws ------------------------------------------------------------------------------------ */

static void draw(const pool *p, const uint32_t *chosen, uint32_t n)
{
    for (uint32_t k = 0; k < p->curve->count; k++) {
        const size_t from = (size_t)k * p->rows;
        ln_setting *s = &p->curve->setting[k];
        s->calibration_rows = n;
        s->lost = s->gained = s->changed = 0;
        for (uint32_t i = 0; i < n; i++) {
            s->lost += p->lost[from + chosen[i]];
            s->gained += p->gained[from + chosen[i]];
            s->changed += p->changed[from + chosen[i]];
        }
    }
}

typedef struct found { int violated, certified; double cost; } found;

static found try_draws(const pool *p, uint32_t n, const ln_target *t, ln__rng *rng)
{
    const double *truth = t->against == LN_AGAINST_PLAIN ? p->change : p->drop;
    uint32_t *chosen = malloc(n * sizeof *chosen);
    found f = { 0, 0, 0 };
    ln_error err;

    if (!chosen)
        exit(2);
    for (int d = 0; d < DRAWS; d++) {
        const ln_setting *s;
        uint64_t needed;
        for (uint32_t i = 0; i < n; i++)
            chosen[i] = (uint32_t)(ln__rng_double(rng) * (double)p->rows);
        draw(p, chosen, n);
        must(ln__target_resolve(p->model, t, &s, &needed, &err), &err);
        f.certified += s->index > 0;
        f.violated += truth[s->index] > t->max_drop / 100;
        f.cost += s->macs_share / DRAWS;
    }
    free(chosen);
    return f;
}

static double cheapest_allowed(const pool *p, const ln_target *t)
{
    const double *truth = t->against == LN_AGAINST_PLAIN ? p->change : p->drop;
    double best = p->curve->setting[0].macs_share;

    for (uint32_t k = 0; k < p->curve->count; k++)
        if (truth[k] <= t->max_drop / 100)
            best = fmin(best, p->curve->setting[k].macs_share);
    return best;
}

/* Just below the least loss of more than a point: one row less would still be allowed. */
static double beside(const double *truth, uint32_t count, size_t rows)
{
    double least = 1;

    for (uint32_t k = 0; k < count; k++)
        if (truth[k] > 0.01)
            least = fmin(least, truth[k]);
    return 100 * (least - 0.01 / (double)rows);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = { 500, 2000 };
    double limit = 0.05 + 2 * sqrt(0.05 * 0.95 / DRAWS);
    ln__rng rng = ln__rng_make(1, 8);
    pool p = { 0 };
    ln_error err;
    int bad = 0;

    if (argc != 3) {
        fprintf(stderr, "bound_proof MODEL DATA\n");
        return 2;
    }
    must(ln_model_load(&p.model, argv[1], NULL, &err), &err);
    ln_answers *answers = make_pool(&p, argv[2]);
    printf("%zu rows in the pool, %" PRIu32 " settings, %d draws each, %g %% confidence; violations allowed: %.1f %%\n\n", p.rows,
           p.curve->count, DRAWS, 100 * CONFIDENCE, 100 * limit);
    printf("| against | calibration rows | max drop | violations | certified | macs, mean | cheapest truly allowed |\n");
    printf("|---|---|---|---|---|---|---|\n");
    for (int32_t against = LN_AGAINST_LABELS; against <= LN_AGAINST_PLAIN; against++)
        for (size_t s = 0; s < LN__COUNT(sizes); s++)
            for (int d = 0; d < 3; d++) {
                double drops[3] = { 1, 3, beside(against == LN_AGAINST_PLAIN ? p.change : p.drop, p.curve->count, p.rows) };
                ln_target t = LN_TARGET_INIT;
                t.cost = LN_COST_MACS;
                t.against = against;
                t.max_drop = drops[d];
                t.confidence = CONFIDENCE;
                found f = try_draws(&p, sizes[s], &t, &rng);
                printf("| %s | %" PRIu32 " | %.3f%s | %.1f %% | %.1f %% | %.1f %% | %.1f %% |\n",
                       against == LN_AGAINST_PLAIN ? "plain network" : "labels", sizes[s], t.max_drop,
                       d == 2 ? " (a setting's own, less a hair)" : "", 100.0 * f.violated / DRAWS, 100.0 * f.certified / DRAWS,
                       100 * f.cost, 100 * cheapest_allowed(&p, &t));
                fflush(stdout);
                bad |= (double)f.violated / DRAWS > limit;
            }
    free(p.lost);
    free(p.gained);
    free(p.changed);
    ln_answers_free(answers);
    ln_model_free(p.model);
    return bad;
}
