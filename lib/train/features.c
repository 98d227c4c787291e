/* features.c - the one pass of the backbone over labelled rows. */
#include "train/train.h"

#include <string.h>

typedef struct collector {
    ln__features *to;
    const ln_model *model;
    bool    learning;
    size_t  base, most;
    float  *scratch;            /* [rows of a call][most] of ln__head_describe */
} collector;

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
    float *scratch = c->scratch + row * c->most;

    if (index < to->exits && c->learning)
        ln__head_cache(&c->model->exits[index].head, view, scratch, ln__cache_row(&to->exit[index], at));
    else if (index < to->exits)
        ln__head_describe(&c->model->exits[index].head, view, scratch, ln__cache_row(&to->exit[index], at));
    else if (index == to->exits && to->end.data)
        ln__model_answers(c->model, view->data, ln__cache_row(&to->end, at));
    else if (index == to->exits + 1 && to->last.data)
        copy_positions(ln__cache_row(&to->last, at), view);
    if (index < to->exits)
        ln__cache_leave(&to->exit[index], at);
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

/* ---- What is cached, and where ---------------------------------------------------------------- */

typedef struct wanted { ln__cache *cache; size_t width, settled; } wanted;     /* settled: ln__features_settle's; 0: none */

static ln_status list_caches(wanted list[LN__MAX_EXITS + 1], ln__features *to, const ln_model *model, const ln__features_request *request,
                             ln_error *err)
{
    ln__final_form form;
    ln_status st = LN_OK;

    for (uint32_t e = 0; e < to->exits; e++) {
        const ln__head *head = &model->exits[e].head;
        bool settles = request->learning && head->kind == LN_HEAD_CONV;
        list[e] = (wanted){ &to->exit[e], (size_t)(request->learning ? ln__head_cached(head) : ln__head_features(head)),
                            settles ? (size_t)ln__head_features(head) : 0 };
    }
    list[to->exits] = (wanted){ &to->end, model->classes, 0 };
    if (!request->last_layer)
        return LN_OK;
    st = ln__final_describe(&form, model, err);
    to->positions = form.positions;
    list[to->exits] = (wanted){ &to->last, (size_t)form.positions * (size_t)model->final.inputs, 0 };
    return st;
}

/* Bytes that ln__cache_new would find room for in memory, or put into a file. */
typedef struct ledger { uint64_t memory_left, all, disk, most, largest; } ledger;

static bool enter(ledger *l, size_t bytes)
{
    bool in_memory = bytes <= l->memory_left;

    l->memory_left -= in_memory ? bytes : 0;
    l->disk += in_memory ? 0 : bytes;
    l->most = LN__MAX(l->most, l->disk);
    l->largest = LN__MAX(l->largest, in_memory ? 0 : bytes);
    return in_memory;
}

/* What the caches take at once, those made once convolutions have learned among them. A sum beyond 64 bits stays above all disks. */
static ln_status count_caches(ledger *l, const wanted *list, const ln__features *to, size_t all, ln_error *err)
{
    bool in_memory[LN__MAX_EXITS + 1];
    size_t bytes, settled;
    ln_status st = LN_OK;

    for (uint32_t i = 0; st == LN_OK && i <= to->exits; i++) {
        st = ln__cache_size(&bytes, all, list[i].width, err);
        if (st == LN_OK && bytes > INT64_MAX - l->all)
            st = ln__fail(err, LN_E_LIMIT, "features of %zu rows at %u exits are too many", all, to->exits);
        if (st < 0)
            return st;
        l->all += bytes;
        in_memory[i] = enter(l, bytes);
    }
    for (uint32_t i = 0; st == LN_OK && i < to->exits; i++) {
        if (list[i].settled == 0)
            continue;
        st = ln__cache_size(&bytes, all, list[i].width, err);
        if (st == LN_OK)
            st = ln__cache_size(&settled, to->stride, list[i].settled, err);
        if (st < 0)
            return st;
        enter(l, settled);
        l->memory_left += in_memory[i] ? bytes : 0;
        l->disk -= in_memory[i] ? 0 : bytes;
    }
    return LN_OK;
}

/* Said and checked before anything is taken. */
static ln_status take_caches(ln__features *to, const ln_model *model, const ln__features_request *request, size_t all,
                             ln__cache_place *place, ln__reporter *reporter, ln_progress *progress, ln_error *err)
{
    ledger l = { .memory_left = place->memory_left };
    wanted list[LN__MAX_EXITS + 1];
    ln_status st = list_caches(list, to, model, request, err);

    if (st == LN_OK)
        st = count_caches(&l, list, to, all, err);
    if (st < 0)
        return st;
    progress->cache_bytes = l.all;
    progress->disk_bytes = l.most;
    progress->cache_folder = l.most ? ln__cache_folder(place) : NULL;
    st = ln__report(reporter, progress, true, err);
    if (st == LN_OK)
        st = ln__cache_check(place, l.most, l.largest, err);
    for (uint32_t i = 0; st == LN_OK && i <= to->exits; i++)
        st = ln__cache_new(list[i].cache, place, all, list[i].width, err);
    return st;
}

static ln_status take_memory(ln__features *to, const ln_model *model, const ln__features_request *request,
                             ln__cache_place *place, ln__reporter *reporter, ln_progress *progress, ln_error *err)
{
    size_t all;

    to->exits = model->n_exits;
    to->classes = model->classes;
    to->more_at = ln_data_rows(request->data);
    to->stride = to->more_at + (request->more ? ln_data_rows(request->more) : 0);
    to->forms = request->augment + 1;
    if (!ln__mul_size(to->stride, to->forms, &all) || all > UINT32_MAX)
        return ln__fail(err, LN_E_LIMIT, "%zu rows in %u forms are too many", to->stride, to->forms);
    progress->total = all;
    ln_status st = take_caches(to, model, request, all, place, reporter, progress, err);
    if (st < 0)
        return st;
    to->labels = ln__array(&model->ctx, to->stride, sizeof *to->labels);
    return to->labels ? LN_OK : ln__fail_nomem(err, &model->ctx, to->stride * sizeof *to->labels);
}

static ln_status map_labels(int32_t *labels, size_t n, const int32_t *map, const ln_data *data, ln_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (labels[i] < 0 || (uint32_t)labels[i] >= ln_data_class_count(data))
            return ln__fail(err, LN_E_ARGUMENT, "label %d; the data has classes 0..%u", labels[i],
                            ln_data_class_count(data) - 1);
        if (map[labels[i]] < 0)
            return ln__fail(err, LN_E_MISMATCH, "rows of class '%s', which the model does not know",
                            ln_data_class_name(data, (uint32_t)labels[i]));
        labels[i] = map[labels[i]];
    }
    return LN_OK;
}

typedef struct passing {
    const ln__features_request *request;
    ln_session  *session;
    float       *inputs, *plane;
    ln_progress  progress;
} passing;

/* Every row is changed in a way of its own in each form. */
static void change_rows(const passing *p, const collector *c, size_t n)
{
    const ln_model *model = c->model;
    size_t row = (size_t)model->channels * model->height * model->width;

    for (size_t i = 0; i < n; i++) {
        ln__rng rng = ln__rng_make(p->request->seed, 1000 + c->base + i);
        ln__augment(p->inputs + i * row, p->plane, model->channels, model->height, model->width, &rng);
    }
}

/* One form of a data set's rows to c->base and on; *rows gets how many could be read. */
static ln_status pass_rows(passing *p, collector *c, ln_data *data, uint32_t form, size_t *rows, ln__reporter *reporter,
                           ln_error *err)
{
    ln__feed feed = ln__model_feed(c->model);
    ln__reader *reader = NULL;
    size_t n = 1, total = ln_data_rows(data), begin = c->base, at = begin - form * c->to->stride, before = p->progress.done;
    int32_t *map = NULL;
    ln_status st = ln__model_match_classes(&map, NULL, c->model, data, err);

    if (st >= 0)
        st = ln__reader_open(&reader, data, &feed, ln__session_max_rows(p->session), 0, total, err);
    while (st >= 0 && n > 0) {
        int32_t *labels = c->to->labels + at + (c->base - begin);
        st = ln__reader_next(reader, p->inputs, labels, NULL, &n, err);
        if (st >= 0)
            st = map_labels(labels, n, map, data, err);
        if (st >= 0 && n > 0) {
            ln__run_request run = { .mode = LN__RUN_FULL, .input = p->inputs, .n = n, .see = collect, .payload = c };
            if (form > 0)
                change_rows(p, c, n);
            st = ln__session_run(p->session, &run, err);
        }
        c->base += st >= 0 ? n : 0;
        p->progress.done = before + (c->base - begin);
        if (st >= 0)
            st = ln__report(reporter, &p->progress, false, err);
    }
    ln__reader_close(reader);
    ln__free(&c->model->ctx, map);
    *rows = c->base - begin;
    return st < 0 ? st : LN_OK;
}

/* As many rows as form 0 gave, or forms and labels would belong to different rows. */
static ln_status pass_set(passing *p, collector *c, ln_data *data, uint32_t form, size_t *rows, ln__reporter *reporter,
                          ln_error *err)
{
    size_t read;
    ln_status st = pass_rows(p, c, data, form, &read, reporter, err);

    if (st == LN_OK && form > 0 && read != *rows)
        return ln__fail(err, LN_E_IO, "the data changed while it was read: %zu rows in the first pass, %zu in pass %u", *rows, read,
                        form + 1);
    *rows = read;
    return st;
}

static ln_status pass_forms(passing *p, collector *c, ln__reporter *reporter, ln_error *err)
{
    const ln__features_request *request = p->request;
    ln__features *to = c->to;
    ln_status st = LN_OK;

    ln__reporter_begin(reporter);
    for (uint32_t form = 0; st == LN_OK && form < to->forms; form++) {
        c->base = form * to->stride;
        st = pass_set(p, c, request->data, form, &to->rows, reporter, err);
        c->base = form * to->stride + to->more_at;
        if (st == LN_OK && request->more)
            st = pass_set(p, c, request->more, form, &to->more, reporter, err);
    }
    to->skipped = to->stride - to->rows - to->more;
    return st == LN_OK ? ln__report(reporter, &p->progress, true, err) : st;
}

ln_status ln__features_run(ln__features *out, ln_model *model, const ln__features_request *request,
                           ln__cache_place *place, ln__reporter *reporter, ln_error *err)
{
    size_t row = (size_t)model->channels * model->height * model->width, batch = 8 * (size_t)request->threads;
    ln__session_request open = { .max_rows = (uint32_t)batch, .threads = request->threads, .point = -1,
                                 .keep_classifier_input = request->last_layer, .untrained = true };
    passing p = { .request = request, .progress = ln__progress_make("features") };
    collector c = { .to = out, .model = model, .learning = request->learning, .most = 1 };

    memset(out, 0, sizeof *out);
    if (ln_data_rows(request->data) == 0)
        return ln__fail(err, LN_E_ARGUMENT, "the data set has no rows");
    ln_status st = take_memory(out, model, request, place, reporter, &p.progress, err);
    if (st == LN_OK) {
        p.inputs = ln__array(&model->ctx, row, batch * sizeof(float));
        p.plane = ln__array(&model->ctx, model->height, model->width * sizeof(float));
        for (uint32_t e = 0; e < model->n_exits; e++)
            if (!c.learning || model->exits[e].head.kind != LN_HEAD_CONV)
                c.most = LN__MAX(c.most, ln__head_scratch(&model->exits[e].head));
        c.scratch = ln__array(&model->ctx, c.most, batch * sizeof(float));
        if (!p.inputs || !p.plane || !c.scratch)
            st = ln__fail_nomem(err, &model->ctx, row * batch * sizeof(float));
    }
    if (st == LN_OK)
        st = ln__session_open(&p.session, model, &open, err);
    if (st == LN_OK)
        st = pass_forms(&p, &c, reporter, err);
    ln__session_close(p.session);
    ln__free(&model->ctx, p.inputs);
    ln__free(&model->ctx, p.plane);
    ln__free(&model->ctx, c.scratch);
    if (st == LN_OK && out->rows == 0)
        st = ln__fail(err, LN_E_ARGUMENT, "none of the %zu rows could be read", out->more_at);
    if (st < 0)
        ln__features_free(out, &model->ctx);
    return st;
}

ln_status ln__features_settle(ln__features *features, uint32_t exit, const ln__head *head, ln__cache_place *place, ln_error *err)
{
    ln__cache *learned = &features->exit[exit], made;
    float *scratch = ln__array(place->ctx, ln__head_scratch(head), sizeof(float));
    ln_status st = scratch ? LN_OK : ln__fail_nomem(err, place->ctx, ln__head_scratch(head) * sizeof(float));

    if (st == LN_OK)
        st = ln__cache_new(&made, place, features->rows, (size_t)ln__head_features(head), err);
    for (size_t r = 0; st == LN_OK && r < features->rows; r++) {
        /* A map lies in the cache channels last. */
        ln__view map = { ln__cache_row(learned, r), 1, head->channels, head->spatial, head->channels };
        ln__head_describe(head, &map, scratch, ln__cache_row(&made, r));
    }
    ln__free(place->ctx, scratch);
    if (st < 0)
        return st;
    ln__cache_return(learned, place);
    *learned = made;
    return LN_OK;
}
