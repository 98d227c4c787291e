/* features.c - the one pass of the backbone over labelled rows. */
#include "train/train.h"

#include <string.h>

typedef struct collector { ln__features *to; const ln_model *model; size_t base; } collector;

/* A row in its engine layout to [spatial][channels]. */
static void copy_positions(float *to, const ln__view *view)
{
    for (int64_t c = 0; c < view->channels; c++) {
        const float *from = view->data + (c / view->block) * view->spatial * view->block + c % view->block;
        for (int64_t p = 0; p < view->spatial; p++)
            to[p * view->channels + c] = from[p * view->block];
    }
}

static void collect(uint32_t index, const ln__view *view, size_t row, void *payload)
{
    collector *c = payload;
    ln__features *to = c->to;
    size_t at = c->base + row;

    if (index < to->exits)
        ln__head_describe(&c->model->exits[index].head, view, ln__cache_row(&to->exit[index], at));
    else if (index == to->exits && to->end.data)
        ln__model_answers(c->model, view->data, ln__cache_row(&to->end, at));
    else if (index == to->exits + 1 && to->last.data)
        copy_positions(ln__cache_row(&to->last, at), view);
}

void ln__features_free(ln__features *features, const ln__ctx *ctx)
{
    for (uint32_t e = 0; e < features->exits; e++)
        ln__cache_free(&features->exit[e], ctx);
    ln__cache_free(&features->end, ctx);
    ln__cache_free(&features->last, ctx);
    ln__free(ctx, features->labels);
    memset(features, 0, sizeof *features);
}

static ln_status take_memory(ln__features *to, const ln_model *model, size_t rows, bool last_layer,
                             ln__cache_place *place, ln_error *err)
{
    ln_status st = LN_OK;

    to->exits = model->n_exits;
    to->classes = model->classes;
    to->labels = ln__array(&model->ctx, rows, sizeof *to->labels);
    if (!to->labels)
        return ln__fail_nomem(err, &model->ctx, rows * sizeof *to->labels);
    for (uint32_t e = 0; st == LN_OK && e < to->exits; e++)
        st = ln__cache_new(&to->exit[e], place, rows, (size_t)model->exits[e].head.mlp.inputs, err);
    if (st == LN_OK && !last_layer)
        st = ln__cache_new(&to->end, place, rows, model->classes, err);
    if (st == LN_OK && last_layer) {
        ln__final_form form;
        st = ln__final_describe(&form, model, err);
        to->positions = form.positions;
        if (st == LN_OK)
            st = ln__cache_new(&to->last, place, rows, (size_t)form.positions * (size_t)model->final.inputs, err);
    }
    return st;
}

static ln_status map_labels(int32_t *labels, size_t n, const int32_t *map, const ln_data *data, ln_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (labels[i] < 0 || (uint32_t)labels[i] >= ln_data_class_count(data))
            return ln__fail(err, LN_E_ARGUMENT, "label %d; the data has classes 0..%u", labels[i],
                            ln_data_class_count(data) - 1);
        labels[i] = map[labels[i]];
    }
    return LN_OK;
}

typedef struct passing {
    ln_session *session;
    ln__reader *reader;
    float      *inputs;
    int32_t    *map;
    size_t      batch;
} passing;

static ln_status pass_rows(passing *p, collector *c, const ln_data *data, ln__reporter *reporter, ln_error *err)
{
    ln_progress progress = ln__progress_make("features");
    size_t n = 1;
    ln_status st = LN_OK;

    progress.total = ln_data_rows(data);
    ln__reporter_begin(reporter);
    while (st >= 0 && n > 0) {
        st = ln__reader_next(p->reader, p->inputs, c->to->labels + c->base, NULL, &n, err);
        if (st >= 0)
            st = map_labels(c->to->labels + c->base, n, p->map, data, err);
        if (st >= 0 && n > 0) {
            ln__run_request run = { .mode = LN__RUN_FULL, .input = p->inputs, .n = n, .see = collect, .payload = c };
            st = ln__session_run(p->session, &run, err);
        }
        c->base += st >= 0 ? n : 0;
        progress.done = c->base;
        if (st >= 0)
            st = ln__report(reporter, &progress, n == 0, err);
    }
    return st < 0 ? st : LN_OK;
}

ln_status ln__features_run(ln__features *out, ln_model *model, ln_data *data, bool last_layer, uint32_t threads,
                           ln__cache_place *place, ln__reporter *reporter, ln_error *err)
{
    size_t rows = ln_data_rows(data), row = (size_t)model->channels * model->height * model->width;
    ln__session_request request = { .max_rows = 8 * threads, .threads = threads, .point = -1,
                                    .keep_classifier_input = last_layer, .untrained = true };
    ln__feed feed = ln__model_feed(model);
    passing p = { .batch = request.max_rows };
    collector c = { out, model, 0 };

    memset(out, 0, sizeof *out);
    if (rows == 0)
        return ln__fail(err, LN_E_ARGUMENT, "the data set has no rows");
    ln_status st = take_memory(out, model, rows, last_layer, place, err);
    if (st == LN_OK)
        st = ln__model_match_classes(&p.map, NULL, model, data, err);
    if (st == LN_OK && !(p.inputs = ln__array(&model->ctx, row, p.batch * sizeof(float))))
        st = ln__fail_nomem(err, &model->ctx, row * p.batch * sizeof(float));
    if (st == LN_OK)
        st = ln__session_open(&p.session, model, &request, err);
    if (st == LN_OK)
        st = ln__reader_open(&p.reader, data, &feed, p.batch, 0, rows, err);
    if (st == LN_OK)
        st = pass_rows(&p, &c, data, reporter, err);
    ln__reader_close(p.reader);
    ln__session_close(p.session);
    ln__free(&model->ctx, p.inputs);
    ln__free(&model->ctx, p.map);
    out->rows = c.base;
    out->skipped = rows - c.base;
    if (st == LN_OK && out->rows == 0)
        st = ln__fail(err, LN_E_ARGUMENT, "none of the %zu rows could be read", rows);
    if (st < 0)
        ln__features_free(out, &model->ctx);
    return st;
}
