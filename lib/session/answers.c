/* answers.c - one pass over labelled rows that records what every exit and every gate says. */
#include "session/answers.h"

#include <math.h>
#include <string.h>

enum { ROWS_PER_THREAD = 8, TIMED_RUNS = 15 };

typedef struct collecting {
    ln_answers *to;
    ln_session *session;
    ln__reader *reader;
    size_t      batch;
    int32_t    *map;            /* data class -> answer */
    float      *inputs;         /* [batch][C][H][W] */
    float      *features;       /* [batch][most features] */
    float      *maps;           /* [batch][most that ln__head_describe needs] */
    float      *hidden;         /* [batch][widest hidden layer] */
    float      *scratch;        /* [batch][most that a score needs] */
    float      *mixed;          /* [batch][classes] */
    float      *probabilities;  /* [batch][exits][classes] */
    size_t      most_features, most_maps, most_hidden, most_scratch;
} collecting;

void ln__answers_free(ln_answers *answers)
{
    if (!answers)
        return;
    ln__ctx ctx = answers->ctx;
    void *owned[] = { answers->among, answers->label, answers->data_row, answers->gate, answers->given, answers->choice,
                      answers->probability };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(&ctx, owned[i]);
    for (uint32_t e = 0; e <= answers->exits; e++)
        ln__free(&ctx, answers->logits[e]);
    atomic_fetch_sub(&answers->model->sessions, 1);
    ln__model_release(answers->model);
    ln__free(&ctx, answers);
}

size_t ln__answers_rows(const ln_answers *answers)
{
    return answers->rows;
}

int32_t ln__answers_label(const ln_answers *answers, size_t row)
{
    return row < answers->rows ? answers->label[row] : -1;
}

size_t ln__answers_data_row(const ln_answers *answers, size_t row)
{
    return row < answers->rows ? answers->data_row[row] : SIZE_MAX;
}

const float *ln__answers_logits(const ln_answers *answers, uint32_t exit)
{
    return exit <= answers->exits ? answers->logits[exit] : NULL;
}

double ln__answers_time_share(const ln_answers *answers, uint32_t exit)
{
    return exit <= answers->exits ? answers->time[exit] : NAN;
}

int32_t ln__answers_choice(const ln_answers *answers, uint32_t exit, size_t row, float *probability)
{
    if (exit > answers->exits || row >= answers->rows)
        return -1;
    size_t k = row * (answers->exits + 1) + exit;
    const float *logits = answers->logits[exit] + row * answers->classes;
    int32_t choice = answers->choice[k], given = answers->given[k];
    bool ready = exit == answers->exits && answers->model->output_is_probability;

    if (probability && choice >= 0)
        *probability = answers->probability[k] * (choice == given ? 1.0f : ready ? logits[choice] / logits[given]
                                                                                 : expf(logits[choice] - logits[given]));
    return choice;
}

/* ---- One row at one exit ------------------------------------------------------------------ */

static void judge_answer(ln_answers *to, size_t at, uint32_t exit)
{
    const float *logits = to->logits[exit] + at * to->classes;
    size_t k = at * (to->exits + 1) + exit;
    int32_t best = -1;

    to->given[k] = ln__model_label(to->model, logits, exit < to->exits, &to->probability[k]);
    for (uint32_t c = 0; c < to->classes; c++)
        if (to->among[c] && (best < 0 || logits[c] > logits[best]))
            best = (int32_t)c;
    to->choice[k] = best;
}

static void ask_gates(collecting *c, size_t row, uint32_t exit, const float *features)
{
    ln_answers *to = c->to;
    size_t at = to->rows + row, classes = to->classes;
    float *probabilities = c->probabilities + row * to->exits * classes;
    const float *logits_of[LN__MAX_EXITS], *probabilities_of[LN__MAX_EXITS];

    for (uint32_t e = 0; e <= exit; e++) {
        logits_of[e] = to->logits[e] + at * classes;
        probabilities_of[e] = probabilities + e * classes;
    }
    ln__softmax_rows(logits_of[exit], 1, (int32_t)classes, probabilities + exit * classes);
    for (uint32_t p = 0; p < to->points; p++) {
        float *scores = to->gate + (at * to->points + p) * to->exits;
        ln__sight sight = { (int32_t)classes, to->model->exits[exit].head.mlp.inputs, logits_of, probabilities_of, features,
                            scores, c->mixed + row * classes, c->scratch + row * c->most_scratch };
        scores[exit] = ln__score(&to->model->points[p].gates, exit, &sight);
    }
}

/* A row reaches its exits in order, so the answers of those before are there. */
static void record(uint32_t index, const ln__view *view, size_t row, void *payload)
{
    collecting *c = payload;
    ln_answers *to = c->to;
    size_t at = to->rows + row;

    if (index > to->exits)
        return;
    float *logits = to->logits[index] + at * to->classes;
    if (index == to->exits) {
        ln__model_answers(to->model, view->data, logits);
    } else {
        const ln__head *head = &to->model->exits[index].head;
        float *features = c->features + row * c->most_features;
        ln__head_describe(head, view, c->maps + row * c->most_maps, features);
        ln__mlp_answer(&head->mlp, features, 1, c->hidden + row * c->most_hidden, logits);
        if (index > 0)
            ln__head_carry(head, to->logits[index - 1] + at * to->classes, logits, 1);
        ask_gates(c, row, index, features);
    }
    judge_answer(to, at, index);
}

/* ---- Memory -------------------------------------------------------------------------------- */

static ln_status take_rows(ln_answers *to, size_t rows, ln_error *err)
{
    const ln__ctx *ctx = &to->ctx;
    size_t per_row, gates;

    to->capacity = rows;
    if (!ln__mul_size(rows, to->exits + 1, &per_row) || !ln__mul_size(rows, (size_t)to->points * to->exits, &gates))
        return ln__fail_nomem(err, ctx, rows);
    to->label = ln__array(ctx, rows, sizeof *to->label);
    to->data_row = ln__array(ctx, rows, sizeof *to->data_row);
    to->gate = ln__array(ctx, gates ? gates : 1, sizeof *to->gate);
    to->given = ln__array(ctx, per_row, sizeof *to->given);
    to->choice = ln__array(ctx, per_row, sizeof *to->choice);
    to->probability = ln__array(ctx, per_row, sizeof *to->probability);
    if (!to->label || !to->data_row || !to->gate || !to->given || !to->choice || !to->probability)
        return ln__fail_nomem(err, ctx, per_row * sizeof *to->given);
    for (uint32_t e = 0; e <= to->exits; e++) {
        to->logits[e] = ln__array(ctx, rows, to->classes * sizeof(float));
        if (!to->logits[e])
            return ln__fail_nomem(err, ctx, rows * to->classes * sizeof(float));
    }
    return LN_OK;
}

static ln_status take_scratch(collecting *c, ln_error *err)
{
    const ln_model *model = c->to->model;
    const ln__ctx *ctx = &model->ctx;
    size_t row = (size_t)model->channels * model->height * model->width;
    size_t exits = LN__MAX(model->n_exits, 1);

    c->most_features = c->most_maps = c->most_hidden = c->most_scratch = 1;
    for (uint32_t e = 0; e < model->n_exits; e++) {
        c->most_features = LN__MAX(c->most_features, (size_t)model->exits[e].head.mlp.inputs);
        c->most_maps = LN__MAX(c->most_maps, ln__head_scratch(&model->exits[e].head));
        c->most_hidden = LN__MAX(c->most_hidden, (size_t)model->exits[e].head.mlp.hidden);
    }
    for (uint32_t p = 0; p < model->n_points; p++)
        c->most_scratch = LN__MAX(c->most_scratch, ln__score_scratch(&model->points[p].gates, (int32_t)model->classes));
    c->inputs = ln__array(ctx, row, c->batch * sizeof(float));
    c->features = ln__array(ctx, c->most_features, c->batch * sizeof(float));
    c->maps = ln__array(ctx, c->most_maps, c->batch * sizeof(float));
    c->hidden = ln__array(ctx, c->most_hidden, c->batch * sizeof(float));
    c->scratch = ln__array(ctx, c->most_scratch, c->batch * sizeof(float));
    c->mixed = ln__array(ctx, model->classes, c->batch * sizeof(float));
    c->probabilities = ln__array(ctx, exits * model->classes, c->batch * sizeof(float));
    if (!c->inputs || !c->features || !c->maps || !c->hidden || !c->scratch || !c->mixed || !c->probabilities)
        return ln__fail_nomem(err, ctx, row * c->batch * sizeof(float));
    return LN_OK;
}

static ln_status answers_new(ln_answers **out, ln_model *model, ln_error *err)
{
    ln_answers *to = ln__calloc(&model->ctx, 1, sizeof *to);

    *out = to;
    if (!to)
        return ln__fail_nomem(err, &model->ctx, sizeof *to);
    to->ctx = model->ctx;
    to->model = model;
    to->exits = model->n_exits;
    to->points = model->n_points;
    to->classes = model->classes;
    ln__model_retain(model);
    atomic_fetch_add(&model->sessions, 1);
    return LN_OK;
}

/* ---- The pass ------------------------------------------------------------------------------- */

static ln_status take_labels(collecting *c, size_t n, const ln_data *data, ln_error *err)
{
    int32_t *labels = c->to->label + c->to->rows;

    for (size_t i = 0; i < n; i++) {
        if (labels[i] < 0 || (uint32_t)labels[i] >= ln_data_class_count(data))
            return ln__fail(err, LN_E_ARGUMENT, "label %d; the data has classes 0..%u", labels[i],
                            ln_data_class_count(data) - 1);
        labels[i] = c->map[labels[i]];
    }
    return LN_OK;
}

static ln_status report(const collecting *c, const ln_answers_options *options, double begin, ln_error *err)
{
    double elapsed = ln__now() - begin, done = (double)c->to->rows, total = (double)c->to->capacity;
    ln_progress p = { .struct_size = sizeof p, .stage = "evaluate", .done = c->to->rows, .total = c->to->capacity,
                      .loss = NAN, .validation = NAN, .accuracy = NAN };

    if (!options->progress)
        return LN_OK;
    p.rows_per_second = elapsed > 0 ? done / elapsed : 0;
    p.seconds_left = done > 0 ? elapsed / done * (total - done) : NAN;
    if (options->progress(&p, options->progress_payload))
        return ln__fail(err, LN_E_CANCELLED, "stopped on request after %zu rows", c->to->rows);
    return LN_OK;
}

static ln_status pass(collecting *c, const ln_data *data, const ln_answers_options *options, ln_error *err)
{
    double begin = ln__now(), shown = begin;
    ln_status st = LN_OK;
    size_t n = 1;

    while (st >= 0 && n > 0) {
        st = ln__reader_next(c->reader, c->inputs, c->to->label + c->to->rows, c->to->data_row + c->to->rows, &n, err);
        if (st >= 0)
            st = take_labels(c, n, data, err);
        if (st >= 0 && n > 0) {
            ln__run_request run = { .mode = LN__RUN_FULL, .input = c->inputs, .n = n, .see = record, .payload = c };
            st = ln__session_run(c->session, &run, err);
        }
        c->to->rows += st >= 0 ? n : 0;
        if (st >= 0 && (ln__now() - shown > 0.1 || n == 0)) {
            shown = ln__now();
            st = report(c, options, begin, err);
        }
    }
    if (st >= 0 && c->to->rows == 0)
        st = ln__fail(err, LN_E_ARGUMENT, "no row could be read");
    return st < 0 ? st : LN_OK;
}

/* For one row and one thread: the last batch's first row stands for all. */
static ln_status measure(collecting *c, ln_error *err)
{
    ln_answers *to = c->to;
    ln_stage_time times[LN__MAX_EXITS + 1];
    ln__session_request request = { .max_rows = 1, .threads = 1, .point = to->points ? (int64_t)to->model->default_point : -1 };
    ln_session *session;
    double plain = 0, spent = 0;
    ln_status st = ln__session_open(&session, to->model, &request, err);

    if (st == LN_OK)
        st = ln__session_measure(session, c->inputs, 1, TIMED_RUNS, times, err);
    for (uint32_t e = 0; st == LN_OK && e <= to->exits; e++)
        plain += times[e].backbone_ms;
    for (uint32_t e = 0; st == LN_OK && e <= to->exits; e++) {
        spent += times[e].backbone_ms + times[e].head_ms;
        to->time[e] = plain > 0 ? spent / plain : 1.0;
    }
    ln__session_close(session);
    return st;
}

static ln_status collect(collecting *c, ln_data *data, const ln_answers_options *options, ln_error *err)
{
    ln_model *model = c->to->model;
    size_t rows = ln_data_rows(data);
    uint32_t threads = options->threads ? options->threads : 1;
    uint32_t batch = options->rows ? options->rows : ROWS_PER_THREAD * threads;
    ln__session_request request = { .max_rows = batch, .threads = threads, .point = -1 };
    ln__feed feed = ln__model_feed(model);
    ln_status st;

    c->batch = batch;
    if (rows == 0)
        return ln__fail(err, LN_E_ARGUMENT, "the data set has no rows");
    st = ln__model_match_classes(&c->map, &c->to->among, model, data, err);
    if (st == LN_OK)
        st = ln__session_open(&c->session, model, &request, err);
    if (st == LN_OK)
        st = take_rows(c->to, rows, err);
    if (st == LN_OK)
        st = take_scratch(c, err);
    if (st == LN_OK)
        st = ln__reader_open(&c->reader, data, &feed, batch, 0, rows, err);
    if (st == LN_OK)
        st = pass(c, data, options, err);
    if (st == LN_OK)
        st = measure(c, err);
    return st;
}

ln_status ln__answers_collect(ln_answers **out, ln_model *model, ln_data *data, const ln_answers_options *options,
                              ln_error *err)
{
    collecting c = { 0 };
    ln_status st;

    *out = NULL;
    if (options->threads > 1024 || options->rows > 1u << 20)
        return ln__fail(err, LN_E_ARGUMENT, "ln_answers_options: %u threads, %u rows; at most 1024 and %u",
                        options->threads, options->rows, 1u << 20);
    st = answers_new(&c.to, model, err);
    if (st == LN_OK)
        st = collect(&c, data, options, err);
    ln__reader_close(c.reader);
    ln__session_close(c.session);
    void *owned[] = { c.map, c.inputs, c.features, c.maps, c.hidden, c.scratch, c.mixed, c.probabilities };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(&model->ctx, owned[i]);
    if (st < 0) {
        ln__answers_free(c.to);
        return st;
    }
    *out = c.to;
    return ln_data_skipped(data, 0) ? LN_SKIPPED : LN_OK;
}
