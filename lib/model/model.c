/* model.c - ln_model's life: load, share, change, free. */
#include "model/model.h"

#include <string.h>

void ln__model_retain(ln_model *model)
{
    atomic_fetch_add(&model->references, 1);
}

static void names_free(ln_model *model)
{
    if (model->class_names)
        for (uint32_t i = 0; i < model->classes; i++)
            ln__free(&model->ctx, model->class_names[i]);
    ln__free(&model->ctx, model->class_names);
    ln__free(&model->ctx, model->network_class);
    model->class_names = NULL;
    model->network_class = NULL;
}

void ln__model_release(ln_model *model)
{
    if (!model || atomic_fetch_sub(&model->references, 1) != 1)
        return;
    ln__ctx ctx = model->ctx;
    ln__model_drop_training(model);
    ln__row_set_clear(&model->heads_learned, &ctx);
    ln__row_set_clear(&model->learned, &ctx);
    ln__runnable_free(&model->shared, &ctx);
    ln__exits_clear(model);
    names_free(model);
    ln__free(&ctx, (void *)model->final.weight.data);
    ln__free(&ctx, (void *)model->final.bias.data);
    ln__free(&ctx, model->kernels);
    ln__free(&ctx, model->is_row_value);
    ln__shapes_free(model->one_row, &ctx);
    ln__graph_free(model->graph);
    ln__onnx_free(model->onnx);
    ln__free(&ctx, model->path);
    pthread_mutex_destroy(&model->building);
    ln__free(&ctx, model);
}

ln_status ln__model_change(ln_model *model, const char *call, ln_error *err)
{
    if (atomic_load(&model->sessions) > 0)
        return ln__fail(err, LN_E_STATE, "%s: the model has %u open session(s) or answers; free them first", call,
                        (unsigned)atomic_load(&model->sessions));
    ln__runnable_free(&model->shared, &model->ctx);
    return LN_OK;
}

void ln__model_drop_training(ln_model *model)
{
    if (model->training)
        model->training_free(&model->ctx, model->training);
    model->training = NULL;
}

void ln__point_free(ln__point *point, const ln__ctx *ctx)
{
    ln__gates_free(&point->gates, ctx);
}

void ln__model_drop_points(ln_model *model)
{
    ln__model_drop_curves(model);
    for (uint32_t i = 0; i < model->n_points; i++)
        ln__point_free(&model->points[i], &model->ctx);
    ln__free(&model->ctx, model->points);
    model->points = NULL;
    model->point_capacity = 0;
    model->n_points = model->default_point = 0;
}

ln_status ln__model_add_point(ln_model *model, ln__point *point, ln_error *err)
{
    if (model->n_points == LN__MAX_POINTS)
        return ln__fail(err, LN_E_LIMIT, "a model has at most %d operating points", LN__MAX_POINTS);
    if (!LN__RESERVE(&model->ctx, model->points, model->point_capacity, (size_t)model->n_points + 1))
        return ln__fail_nomem(err, &model->ctx, sizeof *point);
    model->points[model->n_points++] = *point;
    memset(point, 0, sizeof *point);
    return LN_OK;
}

/* ---- Classes ------------------------------------------------------------------ */

static ln_status classes_copy(ln_model *model, const char *const *names,
                              const uint32_t *network_classes, uint32_t count, ln_error *err)
{
    char **copy = NULL;
    uint32_t *columns = NULL;

    if (names) {
        copy = ln__calloc(&model->ctx, count, sizeof *copy);
        if (!copy)
            return ln__fail_nomem(err, &model->ctx, count * sizeof *copy);
        for (uint32_t i = 0; i < count; i++)
            if (!(copy[i] = ln__strdup(&model->ctx, names[i] ? names[i] : "")))
                goto nomem;
    }
    if (network_classes) {
        columns = ln__array(&model->ctx, count, sizeof *columns);
        if (!columns)
            goto nomem;
        memcpy(columns, network_classes, count * sizeof *columns);
    }
    names_free(model);
    model->class_names = copy;
    model->network_class = columns;
    model->classes = count;
    return LN_OK;
nomem:
    for (uint32_t i = 0; copy && i < count; i++)
        ln__free(&model->ctx, copy[i]);
    ln__free(&model->ctx, copy);
    return ln__fail_nomem(err, &model->ctx, count * sizeof *columns);
}

ln_status ln__model_set_classes(ln_model *model, const char *const *names,
                                const uint32_t *network_classes, size_t count, ln_error *err)
{
    ln_status st = ln__model_change(model, "ln_model_set_classes", err);

    if (st < 0)
        return st;
    if (count < 2 || count > 1000000)
        return ln__fail(err, LN_E_ARGUMENT, "%zu classes given; a classifier has 2 to 1000000", count);
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (model->exits[e].head.mlp.params)
            return ln__fail(err, LN_E_STATE, "exit %u is trained for %u classes; clear the exits first", e,
                            model->classes);
    for (size_t i = 0; network_classes && i < count; i++)
        if (network_classes[i] >= model->network_classes)
            return ln__fail(err, LN_E_ARGUMENT, "network class %u of answer %zu: the network has classes 0..%u",
                            network_classes[i], i, model->network_classes - 1);
    ln__model_drop_training(model);
    if (!network_classes && count != model->network_classes) {
        st = ln__final_replace(model, (uint32_t)count, err);
        if (st < 0)
            return st;
    }
    return classes_copy(model, names, network_classes, (uint32_t)count, err);
}

static ln_status data_names(const char ***out, const ln_model *model, const ln_data *data, ln_error *err)
{
    uint32_t n = ln_data_class_count(data);

    *out = ln__array(&model->ctx, n, sizeof **out);
    if (!*out)
        return ln__fail_nomem(err, &model->ctx, n * sizeof **out);
    for (uint32_t i = 0; i < n; i++)
        (*out)[i] = ln_data_class_name(data, i);
    return LN_OK;
}

ln_status ln__model_adopt_classes(ln_model *model, const ln_data *data, ln_error *err)
{
    bool all = false;
    const uint32_t *columns = ln__data_class_map(data, &all);
    uint32_t n = ln_data_class_count(data);
    const char **names = NULL;
    ln_status st;

    if (columns && all)
        return LN_OK;           /* answers stay the network's */
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (model->exits[e].head.mlp.params)
            return LN_OK;       /* settled when that head was trained */
    if (model->class_names || model->network_class || model->final.replaced)
        return LN_OK;           /* said before; matched by name from now on */
    st = data_names(&names, model, data, err);
    if (st == LN_OK)
        st = ln__model_set_classes(model, n && names[0][0] ? names : NULL, columns, n, err);
    ln__free(&model->ctx, names);
    return st;
}

static int32_t class_by_name(const ln_model *model, const char *name)
{
    for (uint32_t i = 0; i < model->classes; i++)
        if (strcmp(model->class_names[i], name) == 0)
            return (int32_t)i;
    return -1;
}

static ln_status match_one(int32_t *out, const ln_model *model, const ln_data *data, uint32_t k, ln_error *err)
{
    bool all;
    const uint32_t *columns = ln__data_class_map(data, &all);

    *out = -1;
    if (columns && !model->network_class) {
        if (columns[k] >= model->classes)
            return ln__fail(err, LN_E_MISMATCH, "the class map says %u for '%s'; the network has classes 0..%u",
                            columns[k], ln_data_class_name(data, k), model->classes - 1);
        *out = (int32_t)columns[k];
    } else if (model->class_names && ln_data_class_name(data, k)[0]) {
        *out = class_by_name(model, ln_data_class_name(data, k));
        if (*out < 0)
            return ln__fail(err, LN_E_MISMATCH,
                            "class '%s' of the data is none of the model's %u classes ('%s', ...)",
                            ln_data_class_name(data, k), model->classes, model->class_names[0]);
    } else if (ln_data_class_count(data) <= model->classes) {
        *out = (int32_t)k;
    } else {
        return ln__fail(err, LN_E_MISMATCH, "the data has %u classes, the model answers with %u; give a class map",
                        ln_data_class_count(data), model->classes);
    }
    return LN_OK;
}

ln_status ln__model_match_classes(int32_t **map, bool **among, const ln_model *model,
                                  const ln_data *data, ln_error *err)
{
    uint32_t n = ln_data_class_count(data);
    bool all = false;
    bool narrowed = ln__data_class_map(data, &all) && !all && !model->network_class;
    ln_status st = LN_OK;

    *map = ln__array(&model->ctx, n ? n : 1, sizeof **map);
    bool *competes = ln__array(&model->ctx, model->classes, sizeof *competes);
    if (!*map || !competes)
        st = ln__fail_nomem(err, &model->ctx, n * sizeof **map);
    for (uint32_t i = 0; st == LN_OK && i < model->classes; i++)
        competes[i] = !narrowed;
    for (uint32_t k = 0; st == LN_OK && k < n; k++) {
        st = match_one(&(*map)[k], model, data, k, err);
        if (st == LN_OK)
            competes[(*map)[k]] = true;
    }
    if (st < 0 || !among) {
        ln__free(&model->ctx, competes);
        competes = NULL;
    }
    if (st < 0) {
        ln__free(&model->ctx, *map);
        *map = NULL;
    }
    if (among)
        *among = competes;
    return st;
}

void ln__model_answers(const ln_model *model, const float *output, float *answers)
{
    for (uint32_t i = 0; i < model->classes; i++)
        answers[i] = output[model->network_class ? model->network_class[i] : i];
}

int32_t ln__model_label(const ln_model *model, const float *answers, bool from_head, float *probability)
{
    uint32_t best = 0;
    double sum = 0;

    for (uint32_t i = 1; i < model->classes; i++)
        if (answers[i] > answers[best])
            best = i;
    bool given = model->output_is_probability && !from_head;
    for (uint32_t i = 0; i < model->classes; i++)
        sum += given ? answers[i] : __builtin_expf(answers[i] - answers[best]);
    *probability = given ? (sum > 0 ? (float)(answers[best] / sum) : 0.0f) : (float)(1.0 / sum);
    return (int32_t)best;
}

ln__feed ln__model_feed(const ln_model *model)
{
    return (ln__feed){ model->channels, model->height, model->width, model->preprocess };
}
