/* calibrate.c - ln_policy_calibrate: what every setting loses and gains on rows that nothing was trained on. */
#include "train/train.h"

#include <string.h>

enum { BLOCK = 64 };            /* rows whose answers are held at once */

typedef struct counting {
    ln_model    *model;
    ln__features features;
    bool        *among;         /* answers that compete */
    float       *logits;        /* [exits][BLOCK][classes] */
    float       *probabilities; /* [exits][classes] */
    float       *hidden, *scratch, *mixed;
    ln__tally   *tally;         /* [LN__POLICIES][LN__MAX_SETTINGS] */
    bool        *used;          /* [points] a setting asks it */
    int32_t      label[LN__MAX_EXITS + 1];
    float        score[LN__MAX_EXITS];
} counting;

static void counting_free(counting *c)
{
    const ln__ctx *ctx = &c->model->ctx;
    void *owned[] = { c->among, c->logits, c->probabilities, c->hidden, c->scratch, c->mixed, c->tally, c->used };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    ln__features_free(&c->features, ctx);
}

static ln_status take_memory(counting *c, ln_error *err)
{
    const ln_model *model = c->model;
    const ln__ctx *ctx = &model->ctx;
    size_t hidden = 1, scratch = 1, wide = model->classes * sizeof(float);

    for (uint32_t e = 0; e < model->n_exits; e++)
        hidden = LN__MAX(hidden, (size_t)model->exits[e].head.mlp.hidden);
    for (uint32_t p = 0; p < model->n_points; p++)
        scratch = LN__MAX(scratch, ln__score_scratch(&model->points[p].gates, (int32_t)model->classes));
    c->logits = ln__array(ctx, (size_t)model->n_exits * BLOCK, wide);
    c->probabilities = ln__array(ctx, model->n_exits, wide);
    c->hidden = ln__array(ctx, BLOCK, hidden * sizeof(float));
    c->scratch = ln__array(ctx, scratch, sizeof(float));
    c->mixed = ln__array(ctx, 1, wide);
    c->tally = ln__calloc(ctx, (size_t)LN__POLICIES * LN__MAX_SETTINGS, sizeof *c->tally);
    c->used = ln__calloc(ctx, model->n_points, sizeof *c->used);
    if (!c->logits || !c->probabilities || !c->hidden || !c->scratch || !c->mixed || !c->tally || !c->used)
        return ln__fail_nomem(err, ctx, (size_t)model->n_exits * BLOCK * wide);
    for (int32_t p = 0; p < LN__POLICIES; p++)
        for (uint32_t i = 0; i < model->curves[p].count; i++)
            c->used[model->curves[p].setting[i].point] = true;
    return LN_OK;
}

static int32_t best_answer(const counting *c, const float *logits)
{
    int32_t best = -1;

    for (uint32_t i = 0; i < c->model->classes; i++)
        if (c->among[i] && (best < 0 || logits[i] > logits[best]))
            best = (int32_t)i;
    return best;
}

/* Scores of a row at every exit, and its answers there. */
static void score_row(counting *c, const ln__gates *gates, size_t row, size_t in_block)
{
    const ln_model *model = c->model;
    const float *logits[LN__MAX_EXITS], *probabilities[LN__MAX_EXITS];
    ln__sight sight = { .classes = (int32_t)model->classes, .logits = logits, .probabilities = probabilities, .scores = c->score,
                        .mixed = c->mixed, .scratch = c->scratch };

    for (uint32_t e = 0; e < model->n_exits; e++) {
        logits[e] = c->logits + (e * BLOCK + in_block) * model->classes;
        probabilities[e] = c->probabilities + (size_t)e * model->classes;
        sight.features_count = model->exits[e].head.mlp.inputs;
        sight.features = ln__cache_row(&c->features.exit[e], row);
        c->score[e] = ln__score(gates, e, &sight);
        c->label[e] = best_answer(c, ln__score_answer(gates, e, &sight));
    }
}

static void count_point(counting *c, uint32_t point, int32_t truth)
{
    const ln_model *model = c->model;
    uint32_t exits = model->n_exits;
    bool plain_right = c->label[exits] == truth;

    for (int32_t p = 0; p < LN__POLICIES; p++)
        for (uint32_t i = 0; i < model->curves[p].count; i++) {
            const double *threshold = model->curves[p].threshold + (size_t)i * exits;
            ln__tally *tally = &c->tally[p * LN__MAX_SETTINGS + i];
            uint32_t e = 0;
            if (model->curves[p].setting[i].point != point)
                continue;
            while (e < exits && !(c->score[e] > threshold[e]))
                e++;
            bool right = c->label[e] == truth;
            tally->lost += plain_right && !right;
            tally->gained += right && !plain_right;
            tally->changed += c->label[e] != c->label[exits];
        }
}

static void count_row(counting *c, size_t row, size_t in_block)
{
    const ln_model *model = c->model;

    for (uint32_t e = 0; e < model->n_exits; e++) {
        const float *logits = c->logits + (e * BLOCK + in_block) * model->classes;
        ln__softmax_rows(logits, 1, (int32_t)model->classes, c->probabilities + (size_t)e * model->classes);
    }
    c->label[model->n_exits] = best_answer(c, ln__cache_row(&c->features.end, row));
    for (uint32_t p = 0; p < model->n_points; p++) {
        if (!c->used[p])
            continue;
        score_row(c, &model->points[p].gates, row, in_block);
        count_point(c, p, c->features.labels[row]);
    }
}

static ln_status count_rows(counting *c, ln__reporter *reporter, ln_error *err)
{
    const ln_model *model = c->model;
    ln_progress progress = ln__progress_make("calibrate");
    ln_status st = LN_OK;

    progress.total = c->features.rows;
    ln__reporter_begin(reporter);
    for (size_t at = 0; st == LN_OK && at < c->features.rows; at += BLOCK) {
        size_t n = LN__MIN((size_t)BLOCK, c->features.rows - at);
        for (uint32_t e = 0; st == LN_OK && e < model->n_exits; e++) {
            const ln__head *head = &model->exits[e].head;
            float *logits = c->logits + (size_t)e * BLOCK * model->classes;
            st = ln__mlp_forward(&head->mlp, ln__cache_row(&c->features.exit[e], at), (int64_t)n, c->hidden, logits, err);
            if (st == LN_OK && e > 0)
                ln__head_carry(head, logits - (size_t)BLOCK * model->classes, logits, (int64_t)n);
        }
        for (size_t i = 0; st == LN_OK && i < n; i++)
            count_row(c, at + i, i);
        progress.done = at + n;
        if (st == LN_OK)
            st = ln__report(reporter, &progress, at + n == c->features.rows, err);
    }
    return st;
}

static void keep_counts(counting *c)
{
    for (int32_t p = 0; p < LN__POLICIES; p++)
        for (uint32_t i = 0; i < c->model->curves[p].count; i++) {
            const ln__tally *tally = &c->tally[p * LN__MAX_SETTINGS + i];
            ln_setting *s = &c->model->curves[p].setting[i];
            s->calibration_rows = (uint32_t)c->features.rows;
            s->lost = (uint32_t)tally->lost;
            s->gained = (uint32_t)tally->gained;
            s->changed = (uint32_t)tally->changed;
        }
}

static ln_status check(ln_model *model, const ln_data *rows, const ln_calibrate_options *o, ln_error *err)
{
    const ln__training *t = model->training;
    size_t learned, first = 0;
    bool any = false;

    for (int32_t p = 0; p < LN__POLICIES; p++)
        any = any || model->curves[p].count;
    if (!any)
        return ln__fail(err, LN_E_STATE, "the model has no settings to calibrate; train gates or policies first");
    if (t && t->data == rows)
        return ln__fail(err, LN_E_ARGUMENT, "ln_policy_calibrate: the heads have learned from these rows; give others");
    learned = ln__row_set_among(&model->learned, rows, &first);
    if (learned)
        return ln__fail(err, LN_E_ARGUMENT, "ln_policy_calibrate: heads or gates have learned from %zu of these %zu rows, '%s' is the "
                        "first; give others", learned, ln_data_rows(rows), ln_data_row_name(rows, first));
    if (ln_data_rows(rows) > UINT32_MAX)
        return ln__fail(err, LN_E_LIMIT, "ln_policy_calibrate: %zu rows; at most %u", ln_data_rows(rows), UINT32_MAX);
    if (o->threads > 1024)
        return ln__fail(err, LN_E_ARGUMENT, "%u threads; at most 1024", o->threads);
    return ln__model_change(model, "ln_policy_calibrate", err);
}

ln_status ln__calibrate(ln_model *model, ln_data *rows, const ln_calibrate_options *options, ln_error *err)
{
    counting c = { .model = model };
    ln__reporter reporter = ln__reporter_make(options->progress, options->progress_payload);
    ln__cache_place place = { .ctx = &model->ctx, .memory_left = options->max_memory ? options->max_memory : UINT64_C(1) << 32,
                              .folder = options->cache_folder };
    ln__features_request request = { .data = rows, .threads = options->threads ? options->threads : ln__cpu_count() };
    int32_t *map = NULL;
    ln_status st = check(model, rows, options, err);

    if (st < 0)
        return st;
    st = ln__model_match_classes(&map, &c.among, model, rows, err);
    ln__free(&model->ctx, map);
    if (st == LN_OK)
        st = ln__features_run(&c.features, model, &request, &place, &reporter, err);
    if (st == LN_OK)
        st = take_memory(&c, err);
    if (st == LN_OK)
        st = count_rows(&c, &reporter, err);
    if (st == LN_OK)
        keep_counts(&c);
    if (st == LN_OK && c.features.skipped)
        st = LN_SKIPPED;
    counting_free(&c);
    return st;
}
