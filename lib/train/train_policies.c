/* train_policies.c - ln_policy_train: one operating point and its settings for each policy on the same heads. */
#include "train/gate_fit.h"

#include <math.h>
#include <string.h>

enum { BUDGETS = 127, POWERS = 5 };

/* How strongly EENET's rows prefer an exit that is likely right; at each cost the best of them is taken. */
static const double power[POWERS] = { 1, 2, 4, 8, 16 };

typedef struct fitting {
    ln_model       *model;
    ln_policy_options options;
    ln__judged      rows;
    size_t          n;          /* rows */
    float          *p;          /* [exits][classes] of the row at hand */
    float          *mixed, *scratch;
    float          *score;      /* [rows][exits] */
    uint8_t        *right;      /* [rows][exits + 1] */
    double         *schedule;   /* of the policy at hand [n_scorers][n_schedules][exits + 1], or NULL */
    uint32_t        n_schedules, n_scorers;
    double          cost[LN__MAX_EXITS + 1];
    ln__reporter    reporter;
    ln__pool       *pool;
} fitting;

static ln_status fill_defaults(ln_policy_options *o, ln_error *err)
{
    static const int32_t all[] = { LN_POLICY_MAX_PROB, LN_POLICY_ENTROPY, LN_POLICY_MARGIN, LN_POLICY_PATIENCE,
                                   LN_POLICY_GEOMETRIC, LN_POLICY_EENET, LN_POLICY_ENSEMBLE };

    if (!o->policies || !o->n_policies) {
        o->policies = all;
        o->n_policies = LN__COUNT(all);
    }
    for (size_t i = 0; i < o->n_policies; i++)
        if (o->policies[i] <= LN_POLICY_GATE || o->policies[i] >= LN_POLICY_ORACLE)
            return ln__fail(err, LN_E_ARGUMENT, "policy %d cannot be trained here; LN_POLICY_MAX_PROB to _ENSEMBLE can", o->policies[i]);
    o->threads = o->threads ? o->threads : ln__cpu_count();
    if (o->cost < LN_COST_TIME || o->cost > LN_COST_MACS)
        return ln__fail(err, LN_E_ARGUMENT, "cost %d; LN_COST_TIME, _PARAMS and _MACS are known", o->cost);
    if (o->threads > 1024)
        return ln__fail(err, LN_E_ARGUMENT, "%u threads; at most 1024", o->threads);
    return LN_OK;
}

static void fitting_free(fitting *f)
{
    const ln__ctx *ctx = &f->model->ctx;
    void *owned[] = { f->p, f->mixed, f->scratch, f->score, f->right, f->schedule };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    ln__judged_free(&f->rows, ctx);
    ln__pool_free(f->pool);
}

static ln_status take_memory(fitting *f, ln_error *err)
{
    const ln_model *model = f->model;
    const ln__ctx *ctx = &model->ctx;
    size_t exits = model->n_exits, scratch = (size_t)ln__eenet_count((int32_t)model->classes, model->n_exits);

    f->n = f->rows.features->rows;
    f->p = ln__array(ctx, exits, model->classes * sizeof(float));
    f->mixed = ln__array(ctx, model->classes, sizeof(float));
    f->scratch = ln__array(ctx, scratch, sizeof(float));
    f->score = ln__array(ctx, f->n, exits * sizeof(float));
    f->right = ln__array(ctx, f->n, exits + 1);
    if (!f->p || !f->mixed || !f->scratch || !f->score || !f->right)
        return ln__fail_nomem(err, ctx, f->n * exits * sizeof(float));
    return ln__pool_new(&f->pool, ctx, f->options.threads, err);
}

/* ---- Rows seen by a policy ------------------------------------------------------------------ */

typedef struct row_view { const float *logits[LN__MAX_EXITS], *probabilities[LN__MAX_EXITS]; ln__sight sight; } row_view;

static void look(row_view *v, fitting *f, size_t row)
{
    const ln_model *model = f->model;
    size_t classes = model->classes;

    for (uint32_t e = 0; e < model->n_exits; e++) {
        v->logits[e] = f->rows.logits[e] + row * classes;
        v->probabilities[e] = f->p + e * classes;
        ln__softmax_rows(v->logits[e], 1, (int32_t)classes, f->p + e * classes);
    }
    v->sight = (ln__sight){ .classes = (int32_t)classes, .logits = v->logits, .probabilities = v->probabilities,
                            .scores = f->score + row * model->n_exits, .mixed = f->mixed, .scratch = f->scratch };
}

/* Scores (unless given by who fitted the policy) and whether its answers are right. */
static void judge_rows(fitting *f, const ln__gates *gates, bool scored)
{
    const ln_model *model = f->model;
    uint32_t exits = model->n_exits;
    float probability;
    row_view v;

    for (size_t r = 0; r < f->n; r++) {
        uint8_t *right = f->right + r * (exits + 1);
        int32_t label = f->rows.features->labels[r];

        look(&v, f, r);
        for (uint32_t e = 0; e < exits; e++) {
            if (!scored)
                f->score[r * exits + e] = ln__score(gates, e, &v.sight);
            right[e] = ln__model_label(model, ln__score_answer(gates, e, &v.sight), true, &probability) == label;
        }
        right[exits] = ln__model_label(model, f->rows.logits[exits] + r * model->classes, false, &probability) == label;
    }
}

/* ---- Ensemble --------------------------------------------------------------------------------- */

static ln_status fit_ensemble(fitting *f, ln__gates *gates, ln_error *err)
{
    const ln_model *model = f->model;
    double *scratch = ln__array(&model->ctx, model->classes, 3 * sizeof *scratch), weights[LN__MAX_EXITS];
    ln_status st = scratch ? LN_OK : ln__fail_nomem(err, &model->ctx, model->classes * 3 * sizeof *scratch);

    for (uint32_t e = 0; st == LN_OK && e < model->n_exits; e++) {
        st = ln__mlp_new(&gates->gate[e], &model->ctx, (int32_t)e + 1, 0, 1, err);
        if (st < 0)
            break;
        ln__ensemble_fit(weights, (const float *const *)f->rows.logits, f->rows.features->labels, (int64_t)f->n,
                         (int32_t)model->classes, e, scratch);
        for (uint32_t j = 0; j <= e; j++)
            ln__mlp_w2(&gates->gate[e])[j] = (float)weights[j];
    }
    ln__free(&model->ctx, scratch);
    return st;
}

/* ---- EENET --------------------------------------------------------------------------------------- */

typedef struct exit_inputs { float *x, *mean, *scale, *gain, *z; size_t width; } exit_inputs;

static void inputs_free(exit_inputs *in, const ln__ctx *ctx)
{
    void *owned[] = { in->x, in->mean, in->scale, in->gain, in->z };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
}

static ln_status inputs_make(exit_inputs *in, fitting *f, uint32_t exit, ln_error *err)
{
    const ln_model *model = f->model;
    const ln__ctx *ctx = &model->ctx;
    row_view v;

    in->width = (size_t)ln__eenet_count((int32_t)model->classes, exit);
    in->x = ln__array(ctx, f->n, in->width * sizeof(float));
    in->mean = ln__array(ctx, in->width, sizeof(float));
    in->scale = ln__array(ctx, in->width, sizeof(float));
    in->gain = ln__array(ctx, f->n, sizeof(float));
    in->z = ln__array(ctx, f->n, sizeof(float));
    if (!in->x || !in->mean || !in->scale || !in->gain || !in->z)
        return ln__fail_nomem(err, ctx, f->n * in->width * sizeof(float));
    for (size_t r = 0; r < f->n; r++) {
        look(&v, f, r);
        ln__eenet_inputs(exit, &v.sight, in->x + r * in->width);
        in->gain[r] = f->right[r * (model->n_exits + 1) + exit] ? 1.0f : -1.0f;
    }
    ln__columns_describe(in->x, f->n, in->width, in->mean, in->scale);
    return LN_OK;
}

/* The score of one exit: a logistic function of what the exits so far say, which learns whether this one is right. */
static ln_status fit_exit(fitting *f, ln__gates *gates, uint32_t exit, ln_error *err)
{
    const ln_model *model = f->model;
    exit_inputs in = { 0 };
    ln_progress progress = ln__progress_make("gates");
    ln_status st = inputs_make(&in, f, exit, err);

    progress.exit = exit;
    progress.point = model->n_points;
    ln__gate_task task = { .rows = f->n, .exits = 1, .folds = f->rows.folds, .epochs = 40, .margin = -1, .fold = f->rows.fold,
                           .rate = 3e-3, .decay = 1e-2, .seed = f->options.seed * LN__MAX_EXITS + exit,
                           .input = { { .x = in.x, .own = in.width, .width = in.width, .mean = in.mean, .scale = in.scale } } };
    if (st == LN_OK)
        st = ln__gate_fit(&gates->gate[exit], in.z, &task, in.gain, f->pool, &f->reporter, &progress, &model->ctx, err);
    for (size_t r = 0; st == LN_OK && r < f->n; r++)
        f->score[r * model->n_exits + exit] = 1.0f / (1.0f + expf(-in.z[r]));
    inputs_free(&in, &model->ctx);
    return st;
}

/* The network's end is taken to be as right as it is on all rows. */
static ln_status plan_budgets(fitting *f, ln_error *err)
{
    size_t exits = f->model->n_exits, right = 0;
    float *q = ln__array(&f->model->ctx, f->n, (exits + 1) * sizeof *q);

    f->schedule = ln__array(&f->model->ctx, POWERS * BUDGETS, (exits + 1) * sizeof *f->schedule);
    f->n_schedules = BUDGETS;
    f->n_scorers = POWERS;
    if (!q || !f->schedule) {
        ln__free(&f->model->ctx, q);
        return ln__fail_nomem(err, &f->model->ctx, f->n * (exits + 1) * sizeof *q);
    }
    for (size_t r = 0; r < f->n; r++)
        right += f->right[r * (exits + 1) + exits];
    for (size_t r = 0; r < f->n; r++) {
        memcpy(q + r * (exits + 1), f->score + r * exits, exits * sizeof *q);
        q[r * (exits + 1) + exits] = (float)right / (float)f->n;
    }
    for (size_t i = 0; i < POWERS; i++)
        ln__eenet_schedules(f->schedule + i * BUDGETS * (exits + 1), BUDGETS, power[i], q, f->cost, (int64_t)f->n, (uint32_t)exits);
    ln__free(&f->model->ctx, q);
    return LN_OK;
}

static ln_status fit_eenet(fitting *f, ln__gates *gates, ln_error *err)
{
    ln_status st = LN_OK;

    memset(f->score, 0, f->n * f->model->n_exits * sizeof *f->score);
    judge_rows(f, gates, true);
    for (uint32_t e = 0; st == LN_OK && e < f->model->n_exits; e++)
        st = fit_exit(f, gates, e, err);
    return st == LN_OK ? plan_budgets(f, err) : st;
}

/* ---- Points ------------------------------------------------------------------------------------ */

static void find_costs(fitting *f, const ln__gates *gates)
{
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1];

    ln__model_cost_shares(f->model, gates, params, macs);
    const double *of = f->options.cost == LN_COST_PARAMS ? params : f->options.cost == LN_COST_MACS ? macs : f->rows.time;
    memcpy(f->cost, of, (f->model->n_exits + 1) * sizeof *of);
}

static ln_status learn(fitting *f, ln__gates *gates, ln_error *err)
{
    const ln_model *model = f->model;
    ln_status st = LN_OK;

    f->n_schedules = 0;
    f->n_scorers = 1;
    ln__free(&model->ctx, f->schedule);
    f->schedule = NULL;
    if (gates->policy == LN_POLICY_ENSEMBLE)
        st = fit_ensemble(f, gates, err);
    find_costs(f, gates);
    if (st == LN_OK && gates->policy == LN_POLICY_EENET)
        return fit_eenet(f, gates, err);
    if (st == LN_OK && gates->policy == LN_POLICY_GEOMETRIC) {
        f->n_schedules = LN__GEOMETRIC_SCHEDULES;
        f->schedule = ln__array(&model->ctx, f->n_schedules, (model->n_exits + 1) * sizeof *f->schedule);
        if (!f->schedule)
            return ln__fail_nomem(err, &model->ctx, f->n_schedules * sizeof *f->schedule);
        ln__geometric_schedules(f->schedule, model->n_exits);
    }
    if (st == LN_OK)
        judge_rows(f, gates, false);
    return st;
}

static void measure_point(const fitting *f, ln__point *point, const ln__setting *at)
{
    const ln_model *model = f->model;
    size_t right = 0;

    for (size_t r = 0; r < f->n; r++)
        right += f->right[r * (model->n_exits + 1) + model->n_exits];
    memcpy(point->gates.threshold, at->threshold, model->n_exits * sizeof *at->threshold);
    point->measured = (ln_point_info){ .struct_size = sizeof point->measured, .cost = point->cost, .rows = (uint32_t)f->n, .accuracy = at->accuracy,
                          .plain_accuracy = (double)right / (double)f->n, .policy = point->gates.policy };
    point->has_shares = true;
    memcpy(point->shares, at->share, (model->n_exits + 1) * sizeof *point->shares);
    ln__point_expect(point, model, f->rows.time);
}

/* The setting that spends nearest to half of what never leaving costs. */
static const ln__setting *halfway(const ln__settings *settings)
{
    const ln__setting *best = &settings->setting[0];
    double half = 0.5 * settings->setting[0].cost;

    for (uint32_t i = 1; i < settings->count; i++)
        if (fabs(settings->setting[i].cost - half) < fabs(best->cost - half))
            best = &settings->setting[i];
    return best;
}

static void swap(ln__point *a, ln__point *b)
{
    ln__point kept = *a;

    *a = *b;
    *b = kept;
}

/* In the place of the point that the policy had, or behind all. */
static ln_status store(fitting *f, ln__point *point, const ln__settings *settings, ln_error *err)
{
    ln_model *model = f->model;
    double plain_accuracy = point->measured.plain_accuracy;
    int32_t policy = point->gates.policy;
    uint32_t at = 0, points[POWERS];
    ln_status st = LN_OK;

    while (at < model->n_points && model->points[at].gates.policy != policy)
        at++;
    bool swapped = at < model->n_points;
    if (swapped)
        swap(&model->points[at], point);
    else
        st = ln__model_add_point(model, point, err);
    for (uint32_t i = 0; i < POWERS; i++)
        points[i] = at;
    if (st < 0)
        return st;
    st = ln__curve_store(model, policy, settings, &(ln__curve_basis){ points, f->rows.time, (uint32_t)f->n, plain_accuracy }, err);
    if (st < 0 && swapped)
        swap(&model->points[at], point);    /* whose settings are still there */
    return st;
}

static ln_status build_curve(ln__settings *out, const fitting *f, ln_error *err)
{
    uint32_t exits = f->model->n_exits;
    ln__scorer scorer[POWERS];
    ln__curve_task task = { .scorer = scorer, .n_scorers = f->n_scorers, .rows = (int64_t)f->n, .exits = exits, .plain = 1.0 };

    for (uint32_t i = 0; i < f->n_scorers; i++)
        scorer[i] = (ln__scorer){ f->score, f->right, f->cost,
                                  f->schedule ? f->schedule + (size_t)i * f->n_schedules * (exits + 1) : NULL, f->n_schedules, NAN };
    return ln__curve_build(out, &f->model->ctx, &task, err);
}

static ln_status train_policy(fitting *f, int32_t policy, ln_error *err)
{
    ln_model *model = f->model;
    ln__point point = { .cost = f->options.cost };
    ln__settings settings = { 0 };
    ln_status st = ln__gates_new(&point.gates, &model->ctx, LN_GATE_STATISTICS, model->n_exits, err);

    if (st < 0)
        return st;
    point.gates.policy = policy;
    st = learn(f, &point.gates, err);
    find_costs(f, &point.gates);
    if (st == LN_OK)
        st = build_curve(&settings, f, err);
    if (st == LN_OK) {
        measure_point(f, &point, halfway(&settings));
        st = store(f, &point, &settings, err);
    }
    ln__settings_free(&settings, &model->ctx);
    ln__point_free(&point, &model->ctx);
    return st;
}

ln_status ln__policies_train(ln_model *model, ln_data *rows, const ln_policy_options *options, ln_error *err)
{
    fitting f = { .model = model, .options = *options, .reporter = ln__reporter_make(options->progress, options->progress_payload) };
    ln_status st = fill_defaults(&f.options, err);

    if (st == LN_OK)
        st = ln__judged_check(model, err);
    if (st == LN_OK)
        st = ln__model_change(model, "ln_policy_train", err);
    if (st < 0)
        return st;
    ln__judged_wish wish = { f.options.threads, f.options.seed, f.options.max_memory, f.options.cache_folder, false };
    st = ln__judged_gather(&f.rows, model, rows, &wish, &f.reporter, err);
    if (st == LN_OK)
        st = ln__judged_time(&f.rows, model, rows, -1, err);
    if (st == LN_OK)
        st = take_memory(&f, err);
    for (size_t i = 0; st == LN_OK && i < f.options.n_policies; i++)
        st = train_policy(&f, f.options.policies[i], err);
    size_t skipped = f.rows.features ? f.rows.features->skipped : 0;
    fitting_free(&f);
    return st == LN_OK && skipped ? LN_SKIPPED : st;
}
