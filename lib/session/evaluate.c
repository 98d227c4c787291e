/* evaluate.c - judging a session on labelled rows. */
#include "session/lane.h"

#include <math.h>
#include <string.h>

typedef struct judging {
    ln_session    *session;
    const ln_model *model;
    const ln_evaluate_options *options;
    ln_evaluation *out;
    const uint32_t *points;     /* what was asked for, or the session's own */
    size_t         n_points;
    bool           own;         /* what the session was set to is judged */
    size_t         batch;
    int32_t       *map;         /* data class -> answer */
    bool          *among;       /* answers that compete */
    float         *inputs, *logits;
    int32_t       *labels;
    ln_result     *results;
    uint64_t       right, *point_right, rows;
    bool           plain_last;  /* of the next batch */
    double         plain_seconds, *seconds;
    uint64_t      *left, *left_right;   /* [n_points][E + 1] */
} judging;

static void judging_free(judging *j)
{
    const ln__ctx *ctx = &j->session->ctx;
    void *owned[] = { j->map, j->among, j->inputs, j->logits, j->labels, j->results, j->point_right, j->seconds,
                      j->left, j->left_right };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
}

static ln_status judging_init(judging *j, ln_data *data, ln_error *err)
{
    const ln_model *model = j->model;
    const ln__ctx *ctx = &j->session->ctx;
    size_t row = (size_t)model->channels * model->height * model->width, exits = model->n_exits + 1;
    ln_status st = ln__model_match_classes(&j->map, &j->among, model, data, err);

    if (st < 0)
        return st;
    size_t points = j->n_points ? j->n_points : 1;
    j->inputs = ln__array(ctx, row, j->batch * sizeof(float));
    j->logits = ln__array(ctx, model->classes, j->batch * sizeof(float));
    j->labels = ln__array(ctx, j->batch, sizeof *j->labels);
    j->results = ln__array(ctx, j->batch, sizeof *j->results);
    j->point_right = ln__calloc(ctx, points, sizeof *j->point_right);
    j->seconds = ln__calloc(ctx, points, sizeof *j->seconds);
    j->left = ln__calloc(ctx, points, exits * sizeof *j->left);
    j->left_right = ln__calloc(ctx, points, exits * sizeof *j->left_right);
    if (!j->inputs || !j->logits || !j->labels || !j->results || !j->point_right || !j->seconds || !j->left || !j->left_right)
        return ln__fail_nomem(err, ctx, row * j->batch * sizeof(float));
    return LN_OK;
}

/* The best answer among those that compete. */
static int32_t best_answer(const judging *j, size_t row)
{
    const float *logits = j->logits + row * j->model->classes;
    int32_t best = -1;

    for (uint32_t c = 0; c < j->model->classes; c++)
        if (j->among[c] && (best < 0 || logits[c] > logits[best]))
            best = (int32_t)c;
    return best;
}

static ln_status run_timed(judging *j, ln__run_mode mode, size_t n, double *seconds, ln_error *err)
{
    ln__run_request run = { .mode = mode, .input = j->inputs, .n = n, .results = j->results, .logits = j->logits };
    double begin = ln__now();
    ln_status st = ln__session_run(j->session, &run, err);

    *seconds += ln__now() - begin;
    return st;
}

static ln_status judge_point(judging *j, size_t p, size_t n, ln_error *err)
{
    size_t exits = j->model->n_exits + 1;
    ln_status st = j->own ? LN_OK : ln__session_set_point(j->session, j->points[p], err);

    if (st == LN_OK)
        st = run_timed(j, LN__RUN_EARLY, n, &j->seconds[p], err);
    for (size_t i = 0; st == LN_OK && i < n; i++) {
        bool right = best_answer(j, i) == j->labels[i];
        j->point_right[p] += right;
        j->left[p * exits + j->results[i].exit]++;
        j->left_right[p * exits + j->results[i].exit] += right;
    }
    return st;
}

static ln_status judge_plain(judging *j, size_t n, ln_error *err)
{
    ln_status st = run_timed(j, LN__RUN_FULL, n, &j->plain_seconds, err);

    for (size_t i = 0; st == LN_OK && i < n; i++)
        j->right += best_answer(j, i) == j->labels[i];
    return st;
}

/* Whoever runs first after the wait for a batch is favoured by a busy machine's scheduler, so they take turns. */
static ln_status judge_batch(judging *j, size_t n, ln_error *err)
{
    ln_status st = LN_OK;

    for (size_t i = 0; i < n; i++)
        j->labels[i] = j->map[j->labels[i]];
    if (!j->plain_last)
        st = judge_plain(j, n, err);
    for (size_t p = 0; st == LN_OK && p < j->n_points; p++)
        st = judge_point(j, p, n, err);
    if (st == LN_OK && j->plain_last)
        st = judge_plain(j, n, err);
    j->plain_last = !j->plain_last;
    j->rows += n;
    return st;
}

static ln_status report_progress(const judging *j, size_t total, double begin, ln_error *err)
{
    double elapsed = ln__now() - begin;
    ln_progress p = { .struct_size = sizeof p, .stage = "evaluate", .done = j->rows, .total = total, .loss = NAN,
                      .validation = NAN, .accuracy = j->rows ? (double)j->right / (double)j->rows : NAN };

    if (!j->options->progress)
        return LN_OK;
    p.rows_per_second = elapsed > 0 ? (double)j->rows / elapsed : 0;
    p.seconds_left = j->rows ? elapsed / (double)j->rows * (double)(total - j->rows) : NAN;
    if (j->options->progress(&p, j->options->progress_payload))
        return ln__fail(err, LN_E_CANCELLED, "stopped on request after %llu rows", (unsigned long long)j->rows);
    return LN_OK;
}

static ln_status judge_all(judging *j, ln_data *data, ln_error *err)
{
    ln__feed feed = ln__model_feed(j->model);
    size_t total = ln_data_rows(data), n = 1;
    double begin = ln__now(), shown = begin;
    ln__reader *reader;
    ln_status st = ln__reader_open(&reader, data, &feed, j->batch, 0, total, err);

    if (st < 0)
        return st;
    while (st >= 0 && n > 0) {
        st = ln__reader_next(reader, j->inputs, j->labels, NULL, &n, err);
        for (size_t i = 0; st >= 0 && i < n; i++)
            if (j->labels[i] < 0 || (uint32_t)j->labels[i] >= ln_data_class_count(data))
                st = ln__fail(err, LN_E_ARGUMENT, "label %d; the data has classes 0..%u", j->labels[i],
                              ln_data_class_count(data) - 1);
        if (st >= 0 && n > 0)
            st = judge_batch(j, n, err);
        if (st >= 0 && (ln__now() - shown > 0.1 || n == 0)) {
            shown = ln__now();
            st = report_progress(j, total, begin, err);
        }
    }
    ln__reader_close(reader);
    return st < 0 ? st : LN_OK;
}

static double drift_of(const judging *j, size_t p)
{
    uint32_t rows = 0, exits = j->model->n_exits + 1;
    const double *expected = j->own ? ln__session_expected(j->session, &rows)
                                    : ln__point_expected(&j->model->points[j->points[p]], &rows);

    return expected ? ln__drift_p(j->left + p * exits, expected, rows, exits) : NAN;
}

/* What leaving at exit 0..E costs; nothing beside the plain network where no gate is asked. */
static void costs_of(const judging *j, size_t p, double *params, double *macs)
{
    const ln__gates *gates = &j->model->points[j->points[p]].gates;
    const double *threshold = j->own ? j->session->rule.threshold : gates->threshold;

    ln__model_cost_shares(j->model, gates, params, macs);
    if (!ln__score_may_pass(threshold, j->model->n_exits))
        params[j->model->n_exits] = macs[j->model->n_exits] = 1;
}

static ln_status fill(const judging *j, size_t p, ln_evaluation *out, ln_error *err)
{
    double params[LN__MAX_EXITS + 1] = { 0 }, macs[LN__MAX_EXITS + 1] = { 0 };
    size_t exits = j->model->n_exits + 1;
    ln_evaluation e = { .struct_size = sizeof e, .rows = j->rows, .exits = out->exits };
    double rows = (double)j->rows;

    e.plain_accuracy = (double)j->right / rows;
    e.plain_ms_per_row = 1e3 * j->plain_seconds / rows;
    if (j->n_points) {
        costs_of(j, p, params, macs);
        e.accuracy = (double)j->point_right[p] / rows;
        e.ms_per_row = 1e3 * j->seconds[p] / rows;
        e.time_share = j->plain_seconds > 0 ? j->seconds[p] / j->plain_seconds : 0.0;
    }
    for (size_t i = 0; j->n_points && i < exits; i++) {
        uint64_t left = j->left[p * exits + i];
        ln_exit_share share = { left, (double)left / rows, left ? (double)j->left_right[p * exits + i] / (double)left : 0.0 };
        e.params_share += share.share * params[i];
        e.macs_share += share.share * macs[i];
        if (out->exits)
            out->exits[i] = share;
    }
    e.drift = j->n_points ? drift_of(j, p) : NAN;
    return ln__info_copy(out, &e, sizeof e, "ln_evaluation", err);
}

ln_status ln__evaluation_check(const ln_evaluation *out, ln_error *err)
{
    return ln__info_check(out, offsetof(ln_evaluation, exits) + sizeof out->exits, "ln_evaluation", err);
}

/* Elements are found by the size of the first, so all must say the same. */
static ln_status check_out(const ln_evaluation *out, size_t n, ln_error *err)
{
    size_t size = out->struct_size;
    ln_status st = ln__evaluation_check(out, err);

    if (st < 0)
        return st;
    for (size_t i = 1; i < n; i++)
        if (((const ln_evaluation *)((const char *)out + i * size))->struct_size != size)
            return ln__fail(err, LN_E_ARGUMENT, "ln_evaluation %zu of %zu: start each with LN_EVALUATION_INIT", i, n);
    return LN_OK;
}

ln_status ln__session_evaluate(ln_session *session, ln_data *data, const ln_evaluate_options *options,
                               ln_evaluation *out, ln_error *err)
{
    const ln__rule before = session->rule;
    uint32_t own = before.point >= 0 ? (uint32_t)before.point : 0;
    judging j = { .session = session, .model = session->model, .options = options, .out = out, .points = options->points,
                  .n_points = options->n_points, .batch = options->rows ? options->rows : 1 };

    if (options->n_points == 0)
        j.points = NULL;
    if (j.batch > session->max_rows)
        return ln__fail(err, LN_E_ARGUMENT, "%zu rows a call; the session was opened for 1..%u", j.batch, session->max_rows);
    if (!options->plain_only && !j.points && before.point < 0)
        return ln__fail(err, LN_E_STATE, "the model has no operating point; train gates, or judge it plain");
    if (options->plain_only)
        j.n_points = 0;
    else if (!j.points) {
        j.points = &own;
        j.n_points = 1;
        j.own = true;
    }
    for (size_t p = 0; p < j.n_points; p++)
        if (j.points[p] >= session->model->n_points)
            return ln__fail(err, LN_E_ARGUMENT, "operating point %u; the model has %u (numbered from 0)", j.points[p],
                            session->model->n_points);
    ln_status st = check_out(out, LN__MAX(j.n_points, 1), err);
    if (st == LN_OK)
        st = ln__steps_refuse(session, err);
    if (st == LN_OK)
        st = judging_init(&j, data, err);
    if (st == LN_OK)
        st = judge_all(&j, data, err);
    session->rule = before;
    if (st == LN_OK && j.rows == 0)
        st = ln__fail(err, LN_E_ARGUMENT, "no row could be read");
    for (size_t p = 0; st == LN_OK && p < LN__MAX(j.n_points, 1); p++)
        st = fill(&j, p, (ln_evaluation *)((char *)out + p * out->struct_size), err);
    if (st == LN_OK && ln_data_skipped(data, 0))
        st = LN_SKIPPED;
    judging_free(&j);
    return st;
}
