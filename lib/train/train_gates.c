/* train_gates.c - ln_gate_train: one operating point per alpha. */
#include "train/gate_fit.h"

#include <math.h>
#include <string.h>

typedef struct gates_job {
    ln_model       *model;
    ln_data        *data;
    uint32_t        first;      /* operating point of this call */
    ln_gate_options options;    /* defaults filled in */
    ln__judged      rows;
    float          *stats[LN__MAX_EXITS];
    float          *price;      /* [rows][exits + 1] what alpha weighs */
    uint8_t        *right;      /* [rows][exits + 1] */
    float          *z, *g, *scratch;
    double          cost[LN__MAX_EXITS + 1];    /* what alpha weighs, end = 1 */
    ln__scored      own_scored, *scored;    /* training's where the rows are its own */
    ln__gate_task   task;
    ln__reporter    reporter;
    ln__pool       *pool;
} gates_job;

/* Statistics are few, so a linear gate on them is fitted to the end, where each gate has a loss of its own. */
static bool fits_statistics(const ln_gate_options *o)
{
    return o->input == LN_GATE_STATISTICS && o->objective != LN_OBJECTIVE_LEENET;
}

static ln_status fill_defaults(ln_gate_options *o, ln_error *err)
{
    static const double half = 0.5;

    if (o->n_alphas > LN__MAX_POINTS)
        return ln__fail(err, LN_E_ARGUMENT, "%zu alphas; at most %d", o->n_alphas, LN__MAX_POINTS);
    if ((o->alphas != NULL) != (o->n_alphas > 0))
        return ln__fail(err, LN_E_ARGUMENT, "alphas %s, but n_alphas is %zu: give both or none", o->alphas ? "are given" : "is NULL", o->n_alphas);
    if (!o->alphas) {
        o->alphas = &half;
        o->n_alphas = 1;
    }
    if (o->hidden == 0 && !fits_statistics(o))
        o->hidden = 16;
    else if (o->hidden == UINT32_MAX)
        o->hidden = 0;
    o->epochs = o->epochs ? o->epochs : 100;
    o->threads = o->threads ? o->threads : ln__cpu_count();
    for (size_t i = 0; i < o->n_alphas; i++)
        if (!(o->alphas[i] >= 0 && o->alphas[i] <= 1))
            return ln__fail(err, LN_E_ARGUMENT, "alpha %g; 0..1", o->alphas[i]);
    if (o->input < LN_GATE_STATISTICS || o->input > LN_GATE_BOTH)
        return ln__fail(err, LN_E_ARGUMENT, "gate input %d; LN_GATE_STATISTICS, _FEATURES and _BOTH are known", o->input);
    if (o->objective < LN_OBJECTIVE_INDUCTION || o->objective > LN_OBJECTIVE_NO_REGRET)
        return ln__fail(err, LN_E_ARGUMENT, "objective %d; LN_OBJECTIVE_INDUCTION, _LEENET, _RIGHT and _NO_REGRET are known",
                        o->objective);
    if (o->cost < LN_COST_TIME || o->cost > LN_COST_MACS)
        return ln__fail(err, LN_E_ARGUMENT, "cost %d; LN_COST_TIME, _PARAMS and _MACS are known", o->cost);
    if (o->price != LN_PRICE_CROSS_ENTROPY && o->price != LN_PRICE_ERROR)
        return ln__fail(err, LN_E_ARGUMENT, "price %d; LN_PRICE_CROSS_ENTROPY and _ERROR are known", o->price);
    if (!(o->threshold >= 0 && o->threshold < 1))
        return ln__fail(err, LN_E_ARGUMENT, "threshold %g; 0 (chosen) or below 1", o->threshold);
    if (o->hidden > 4096 || o->epochs > 100000 || o->threads > 1024)
        return ln__fail(err, LN_E_ARGUMENT, "hidden %u, epochs %u or threads %u is out of range", o->hidden, o->epochs, o->threads);
    return LN_OK;
}

static void job_free(gates_job *job)
{
    const ln__ctx *ctx = &job->model->ctx;

    for (uint32_t e = 0; e < job->model->n_exits; e++) {
        ln__free(ctx, job->stats[e]);
        ln__free(ctx, job->task.input[e].mean);
        ln__free(ctx, job->task.input[e].scale);
    }
    ln__judged_free(&job->rows, ctx);
    ln__scored_free(&job->own_scored, ctx);
    void *owned[] = { job->price, job->right, job->z, job->g, job->scratch };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    ln__pool_free(job->pool);
}

/* ---- Prices and inputs ------------------------------------------------------------------------ */

/* Of probabilities that may be some of a softmax over more classes. */
static float share_of(const float *probability, uint32_t classes, int32_t label)
{
    float sum = 0;

    for (uint32_t c = 0; c < classes; c++)
        sum += probability[c];
    return sum > 0 ? probability[label] / sum : 1.0f / (float)classes;
}

static void price_row(gates_job *job, uint32_t e, size_t r)
{
    const ln_model *model = job->model;
    const float *logits = job->rows.logits[e] + r * model->classes;
    int32_t label = job->rows.features->labels[r];
    size_t at = r * (model->n_exits + 1) + e;
    float probability;

    job->right[at] = ln__model_label(model, logits, e < model->n_exits, &probability) == label;
    if (job->options.price == LN_PRICE_ERROR)
        job->price[at] = job->right[at] ? 0.0f : 1.0f;
    else if (e == model->n_exits && model->output_is_probability)
        job->price[at] = -logf(fmaxf(share_of(logits, model->classes, label), 1e-7f));
    else
        job->price[at] = (float)ln__cross_entropy(logits, &label, 1, (int32_t)model->classes);
}

static ln_status make_prices(gates_job *job, ln_error *err)
{
    const ln_model *model = job->model;
    size_t rows = job->rows.features->rows, exits = model->n_exits;

    job->price = ln__array(&model->ctx, rows, (exits + 1) * sizeof(float));
    job->right = ln__array(&model->ctx, rows, exits + 1);
    job->z = ln__array(&model->ctx, rows, exits * sizeof(float));
    job->g = ln__array(&model->ctx, rows, exits * sizeof(float));
    job->scratch = ln__array(&model->ctx, rows, sizeof(float));
    if (!job->price || !job->right || !job->z || !job->g || !job->scratch)
        return ln__fail_nomem(err, &model->ctx, rows * exits * sizeof(float));
    for (uint32_t e = 0; e <= exits; e++)
        for (size_t r = 0; r < rows; r++)
            price_row(job, e, r);
    return LN_OK;
}

static ln_status make_statistics(gates_job *job, ln_error *err)
{
    const ln_model *model = job->model;
    size_t rows = job->rows.features->rows, classes = model->classes;
    const float *logits[LN__MAX_EXITS], *probabilities[LN__MAX_EXITS];
    float *p = ln__array(&model->ctx, classes, LN__MAX(model->n_exits, 1) * sizeof(float));

    for (uint32_t e = 0; p && e < model->n_exits; e++) {
        int32_t width = ln__stats_count((int32_t)classes, e);
        job->stats[e] = ln__array(&model->ctx, rows, (size_t)width * sizeof(float));
        job->task.input[e] = (ln__gate_input){ .x = job->stats[e], .own = (size_t)width, .width = (size_t)width };
        if (!job->stats[e]) {
            ln__free(&model->ctx, p);
            return ln__fail_nomem(err, &model->ctx, rows * (size_t)width * sizeof(float));
        }
    }
    if (!p)
        return ln__fail_nomem(err, &model->ctx, classes);
    for (size_t r = 0; r < rows; r++)
        for (uint32_t e = 0; e < model->n_exits; e++) {
            logits[e] = job->rows.logits[e] + r * classes;
            probabilities[e] = p + e * classes;
            ln__softmax_rows(logits[e], 1, (int32_t)classes, p + e * classes);
            ln__stats_compute((int32_t)classes, e, logits, probabilities, job->stats[e] + r * job->task.input[e].own);
        }
    ln__free(&model->ctx, p);
    return LN_OK;
}

static ln_status make_inputs(gates_job *job, ln_error *err)
{
    const ln_model *model = job->model;
    ln_status st = LN_OK;

    if (job->options.input != LN_GATE_FEATURES)
        st = make_statistics(job, err);
    for (uint32_t e = 0; st == LN_OK && e < model->n_exits; e++) {
        ln__gate_input *in = &job->task.input[e];
        const ln__cache *features = &job->rows.features->exit[e];
        if (job->options.input == LN_GATE_FEATURES)
            *in = (ln__gate_input){ .x = features->data, .own = features->width, .cache = features };
        if (job->options.input == LN_GATE_BOTH)
            in->more = features->data;
        in->width = in->own + (in->more ? features->width : 0);
        in->mean = ln__array(&model->ctx, in->width, sizeof(float));
        in->scale = ln__array(&model->ctx, in->width, sizeof(float));
        if (!in->mean || !in->scale)
            return ln__fail_nomem(err, &model->ctx, in->width * sizeof(float));
        if (in->cache)
            ln__cache_describe(in->cache, job->rows.features->rows, in->mean, in->scale);
        else
            ln__columns_describe(in->x, job->rows.features->rows, in->own, in->mean, in->scale);
        if (in->more)
            ln__columns_describe(in->more, job->rows.features->rows, in->width - in->own, in->mean + in->own, in->scale + in->own);
    }
    return st;
}

/* ---- Cost -------------------------------------------------------------------------------------- */

static ln_status make_costs(gates_job *job, ln_error *err)
{
    const ln_model *model = job->model;
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1];
    ln_status st = ln__judged_time(&job->rows, job->model, job->data, -1, err);

    if (st < 0)
        return st;
    ln__model_cost_shares(model, NULL, params, macs);
    const double *of = job->options.cost == LN_COST_PARAMS ? params : job->options.cost == LN_COST_MACS ? macs : job->rows.time;
    for (uint32_t e = 0; e <= model->n_exits; e++)
        job->cost[e] = fmin(fmax(of[e] / of[model->n_exits], 1e-6), 1.0);
    return LN_OK;
}

/* ---- Points --------------------------------------------------------------------------------------- */

/* ln__judged_gather heeds the wish only for the rows the heads learned from. */
static bool learns_own_rows(const gates_job *job)
{
    return job->rows.training && job->options.same_rows;
}

static void measure_point(const gates_job *job, ln__point *point, const ln__outcome *outcome)
{
    const ln_model *model = job->model;
    size_t rows = job->rows.features->rows, right = 0;

    for (size_t r = 0; r < rows; r++)
        right += job->right[r * (model->n_exits + 1) + model->n_exits];
    point->measured = (ln_point_info){ .struct_size = sizeof point->measured, .alpha = point->alpha, .cost = point->cost, .rows = (uint32_t)rows,
                          .accuracy = outcome->accuracy, .plain_accuracy = (double)right / (double)rows,
                          .objective = job->options.objective, .price = job->options.price, .gate_hidden = job->options.hidden,
                          .same_rows = learns_own_rows(job) };
    point->has_shares = true;
    memcpy(point->shares, outcome->share, (model->n_exits + 1) * sizeof *point->shares);
}

/* All gates of a call take as long as those of its first point. */
static ln_status time_point(gates_job *job, uint32_t p, ln_error *err)
{
    ln_status st = p == job->first ? ln__judged_time(&job->rows, job->model, job->data, p, err) : LN_OK;

    ln__point_expect(&job->model->points[p], job->model, job->rows.time);
    return st;
}

/* The margin's weight beside what a gate has learned: one that started from it needs less. */
static const float FITTED_MARGIN = 0.3f, DESCENDED_MARGIN = 1;

/* A threshold that is given stands for what the gate itself says, and so does a gate that is asked for a probability. */
static bool joins_margin(const gates_job *job)
{
    const ln_gate_options *o = &job->options;

    return job->task.margin >= 0 && o->threshold == 0 &&
           (o->objective == LN_OBJECTIVE_INDUCTION || o->objective == LN_OBJECTIVE_LEENET);
}

static ln_status train_point(gates_job *job, size_t i, ln_error *err)
{
    ln_model *model = job->model;
    ln_progress progress = ln__progress_make("gates");
    ln__point point = { .alpha = job->options.alphas[i], .cost = job->options.cost };
    ln__gate_task *task = &job->task;
    ln__outcome outcome;
    ln_status st = ln__gates_new(&point.gates, &model->ctx, job->options.input, model->n_exits, err);

    if (st < 0)
        return st;
    progress.point = model->n_points;
    task->alpha = point.alpha;
    st = ln__gate_learn(&point.gates, job->z, task, job->pool, &job->reporter, &progress, &model->ctx, err);
    if (st == LN_OK && joins_margin(job))
        st = ln__gates_join_margin(&point.gates, job->z, task, task->path ? FITTED_MARGIN : DESCENDED_MARGIN, &model->ctx, err);
    if (st == LN_OK) {
        for (size_t k = 0; k < task->rows * task->exits; k++)
            job->g[k] = 1.0f / (1.0f + expf(-job->z[k]));
        double threshold = job->options.threshold;
        if (threshold == 0)
            threshold = ln__threshold_choose(job->g, job->price, job->cost, point.alpha, (int64_t)task->rows, task->exits, job->scratch);
        for (uint32_t e = 0; e < task->exits; e++)
            point.gates.threshold[e] = threshold;
        ln__policy_judge(&outcome, job->g, point.gates.threshold, job->right, (int64_t)task->rows, task->exits);
        measure_point(job, &point, &outcome);
        st = ln__model_add_point(model, &point, err);
    }
    if (st == LN_OK)
        st = time_point(job, model->n_points - 1, err);
    if (st == LN_OK)
        st = ln__scored_add(job->scored, model->n_points - 1, job->g, task->rows * task->exits, &model->ctx, err);
    ln__point_free(&point, &model->ctx);
    return st;
}

/* Scores of gates that were trained before on the same answers count as well. */
static void choose_scored(gates_job *job)
{
    ln__training *t = job->rows.training;

    job->scored = t ? &t->scored : &job->own_scored;
    if (!t || t->scored_same == (job->options.same_rows != 0))
        return;
    ln__scored_free(&t->scored, &job->model->ctx);
    t->scored_same = job->options.same_rows != 0;
}

ln_status ln__gates_train(ln_model *model, ln_data *rows, const ln_gate_options *options, ln_error *err)
{
    gates_job job = { .model = model, .data = rows, .first = model->n_points, .options = *options };
    ln_status st = fill_defaults(&job.options, err);

    if (st == LN_OK)
        st = ln__judged_check(model, err);
    if (st == LN_OK)
        st = ln__model_change(model, "ln_gate_train", err);
    if (st < 0)
        return st;
    job.reporter = ln__reporter_make(options->progress, options->progress_payload);
    ln__judged_wish wish = { job.options.threads, job.options.seed, job.options.max_memory, job.options.cache_folder,
                             job.options.same_rows != 0 };
    st = ln__judged_gather(&job.rows, model, rows, &wish, &job.reporter, err);
    job.task.folds = job.rows.folds;
    if (st == LN_OK)
        st = make_costs(&job, err);
    if (st == LN_OK)
        st = make_prices(&job, err);
    if (st == LN_OK)
        st = make_inputs(&job, err);
    if (st == LN_OK)
        st = ln__pool_new(&job.pool, &model->ctx, job.options.threads, err);
    job.task.rows = job.rows.features ? job.rows.features->rows : 0;
    job.task.exits = model->n_exits;
    job.task.hidden = job.options.hidden;
    job.task.epochs = job.options.epochs;
    job.task.fold = job.rows.fold;
    job.task.price = job.price;
    job.task.cost = job.cost;
    job.task.right = job.right;
    job.task.objective = job.options.objective;
    job.task.rate = 3e-3;
    job.task.decay = 1e-2;
    job.task.seed = job.options.seed;
    job.task.margin = job.options.input != LN_GATE_FEATURES && model->classes > 1 ? ln__stats_margin_logit((int32_t)model->classes) : -1;
    job.task.path = job.options.hidden == 0 && fits_statistics(&job.options);
    job.task.wide = job.options.input == LN_GATE_FEATURES && job.options.hidden == 0;
    if (st == LN_OK)
        choose_scored(&job);
    for (size_t i = 0; st == LN_OK && i < job.options.n_alphas; i++)
        st = train_point(&job, i, err);
    if (st == LN_OK && !learns_own_rows(&job) && job.options.threshold == 0)
        st = ln__gates_check(model, (const float *const *)job.rows.logits, job.right, job.cost, job.task.rows, job.first, err);
    if (st == LN_OK)
        st = ln__gate_curve(model, job.scored, job.right, job.task.rows, job.options.cost, job.rows.time, err);
    size_t skipped = job.rows.features ? job.rows.features->skipped : 0;
    job_free(&job);
    return st == LN_OK && skipped ? LN_SKIPPED : st;
}
