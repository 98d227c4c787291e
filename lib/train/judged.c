/* judged.c - rows with what every head says of them, which gates and other policies learn from. */
#include "train/train.h"

#include <string.h>

enum { GATE_FOLDS = 5 };

ln_status ln__judged_check(const ln_model *model, ln_error *err)
{
    if (model->n_exits == 0)
        return ln__fail(err, LN_E_STATE, "the model has no exits; add and train them before their gates");
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (!model->exits[e].head.mlp.params)
            return ln__fail(err, LN_E_STATE, "exit %u at '%s' is not trained; call ln_exit_train first", e, model->exits[e].value_name);
    if (model->final.replaced && !model->final.trained)
        return ln__fail(err, LN_E_STATE, "the replaced last layer is not trained; call ln_exit_train first");
    return LN_OK;
}

/* ---- What the heads say of the rows ------------------------------------------------------- */

static ln_status head_logits(ln__judged *j, uint32_t e, ln_error *err)
{
    const ln__mlp *mlp = &j->model->exits[e].head.mlp;
    const ln__cache *x = &j->features->exit[e];
    float *hidden = ln__array(&j->model->ctx, 256, (size_t)(mlp->hidden + 1) * sizeof(float));
    ln_status st = hidden ? LN_OK : ln__fail_nomem(err, &j->model->ctx, 256);

    for (size_t at = 0; st == LN_OK && at < j->features->rows; at += 256) {
        size_t n = LN__MIN((size_t)256, j->features->rows - at);
        st = ln__mlp_forward(mlp, ln__cache_row(x, at), (int64_t)n, hidden, j->logits[e] + at * j->model->classes, err);
    }
    ln__free(&j->model->ctx, hidden);
    if (st == LN_OK && e > 0)
        ln__head_carry(&j->model->exits[e].head, j->logits[e - 1], j->logits[e], (int64_t)j->features->rows);
    return st;
}

/* Answers of the heads in use: for rows they did not learn from, or LEENet's recipe. */
static ln_status own_logits(ln__judged *j, ln_error *err)
{
    const ln_model *model = j->model;
    size_t bytes = j->features->rows * model->classes * sizeof(float);

    j->owns_logits = true;
    for (uint32_t e = 0; e <= model->n_exits; e++) {
        j->logits[e] = ln__array(&model->ctx, j->features->rows, model->classes * sizeof(float));
        if (!j->logits[e])
            return ln__fail_nomem(err, &model->ctx, bytes);
        ln_status st = LN_OK;
        if (e < model->n_exits)
            st = head_logits(j, e, err);
        else
            memcpy(j->logits[e], j->training ? j->training->logits[e] : j->features->end.data, bytes);
        if (st < 0)
            return st;
    }
    return LN_OK;
}

/* Gates have folds of their own: the gate in use is the mean of all folds' gates, so every fold costs time in every answer. */
static ln_status fold_rows(ln__judged *j, uint64_t seed, ln_error *err)
{
    const ln_model *model = j->model;

    j->folds = GATE_FOLDS;
    return ln__folds_make(&j->fold, j->features->labels, j->features->rows, model->classes, j->folds, seed, &model->ctx, err);
}

static ln_status refuse_known(const ln_model *model, const ln_data *rows, ln_error *err)
{
    size_t first = 0, known = ln__row_set_among(&model->heads_learned, rows, &first);

    if (!known)
        return LN_OK;
    return ln__fail(err, LN_E_ARGUMENT, "the heads have learned from %zu of these %zu rows, '%s' is the first; give the data set that they were "
                    "trained with, whose answers out of fold are kept, or rows they have not seen", known, ln_data_rows(rows),
                    ln_data_row_name(rows, first));
}

ln_status ln__judged_gather(ln__judged *j, ln_model *model, ln_data *rows, const ln__judged_wish *wish, ln__reporter *reporter,
                            ln_error *err)
{
    ln__training *t = model->training;
    ln_status st;

    j->model = model;

    if (t && t->data == rows) {
        j->training = t;
        j->features = &t->features;
        st = fold_rows(j, wish->seed, err);
        if (st == LN_OK && wish->same_rows)
            return own_logits(j, err);
        memcpy(j->logits, t->logits, sizeof j->logits);
        return st;
    }
    st = wish->same_rows ? LN_OK : refuse_known(model, rows, err);
    if (st == LN_OK)
        st = ln__row_set_add(&model->learned, rows, &model->ctx, err);
    if (st < 0)
        return st;
    if (!t)
        ln__log(&model->ctx, LN_LOG_WARNING, "the heads' out-of-fold answers are not kept; gates learn well only from rows that the heads "
                                             "have not seen");
    ln__cache_place place = { .ctx = &model->ctx, .memory_left = wish->max_memory ? wish->max_memory : UINT64_C(1) << 32,
                              .folder = wish->cache_folder };
    ln__features_request request = { .data = rows, .threads = wish->threads };
    st = ln__features_run(&j->fresh, model, &request, &place, reporter, err);
    j->features = &j->fresh;
    if (st == LN_OK && j->fresh.rows < 10)
        st = ln__fail(err, LN_E_ARGUMENT, "%zu rows are too few to train gates on; at least 10", j->fresh.rows);
    if (st == LN_OK)
        st = fold_rows(j, wish->seed, err);
    if (st == LN_OK)
        st = own_logits(j, err);
    return st;
}

ln_status ln__judged_time(ln__judged *j, ln_model *model, ln_data *rows, int64_t point, ln_error *err)
{
    ln__session_request request = { .max_rows = 1, .threads = 1, .point = point };
    ln__feed feed = ln__model_feed(model);
    ln_stage_time *times = ln__calloc(&model->ctx, model->n_exits + 1, sizeof *times);
    float *input = ln__array(&model->ctx, (size_t)feed.channels * feed.height, feed.width * sizeof(float));
    ln__reader *reader = NULL;
    ln_session *session = NULL;
    int32_t label;
    size_t n = 0;
    ln_status st = times && input ? LN_OK : ln__fail_nomem(err, &model->ctx, feed.height);

    if (st == LN_OK)
        st = ln__session_open(&session, model, &request, err);
    if (st == LN_OK)
        st = ln__reader_open(&reader, rows, &feed, 1, 0, ln_data_rows(rows), err);
    if (st == LN_OK)
        st = ln__reader_next(reader, input, &label, NULL, &n, err);
    if (st == LN_OK && n == 1)
        st = ln__session_measure(session, input, 1, 15, times, err);
    double plain = 0, spent = 0;
    for (uint32_t e = 0; st == LN_OK && e <= model->n_exits; e++)
        plain += times[e].backbone_ms;
    for (uint32_t e = 0; st == LN_OK && e <= model->n_exits; e++) {
        spent += times[e].backbone_ms + times[e].head_ms;
        j->time[e] = plain > 0 ? spent / plain : 1.0;
    }
    ln__reader_close(reader);
    ln__session_close(session);
    ln__free(&model->ctx, times);
    ln__free(&model->ctx, input);
    return st < 0 ? st : LN_OK;
}

void ln__judged_free(ln__judged *j, const ln__ctx *ctx)
{
    for (uint32_t e = 0; j->owns_logits && e <= j->model->n_exits; e++)
        ln__free(ctx, j->logits[e]);
    ln__free(ctx, j->fold);
    ln__features_free(&j->fresh, ctx);
    memset(j, 0, sizeof *j);
}
