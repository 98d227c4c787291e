/* load.c - a file's graph checked to be a classifier, and what leenet.* says about it. */
#include "model/model.h"
#include "model/format.h"

#include <string.h>

/* The one runtime input a classifier has. */
static ln_status find_input(ln_model *model, ln_error *err)
{
    const ln__graph *graph = model->graph;

    if (graph->n_inputs != 1)
        return ln__fail(err, LN_E_UNSUPPORTED, "%s: %d inputs; a classifier has one", graph->file, graph->n_inputs);
    const ln__tensor *type = &graph->inputs[0].type;
    char text[128];
    bool sized = type->rank == 4;
    for (int d = 1; sized && d < 4; d++)
        sized = type->dim[d] >= 1 && type->dim[d] <= 65536;
    if (!sized || type->dtype != LN__F32 || type->dim[0] > 1)
        return ln__fail(err, LN_E_UNSUPPORTED,
                        "%s: input '%s' is %s; a float input [N, C, H, W] with N symbolic or 1 is needed",
                        graph->file, graph->values[graph->inputs[0].value].name, ln__shape_text(text, type));
    model->channels = (uint32_t)type->dim[1];
    model->height = (uint32_t)type->dim[2];
    model->width = (uint32_t)type->dim[3];
    return LN_OK;
}

static ln_status find_output(ln_model *model, ln_error *err)
{
    const ln__graph *graph = model->graph;
    char text[128];

    model->output = graph->outputs[0];
    const ln__tensor *type = &model->one_row->of[model->output];
    bool fits = type->dtype == LN__F32 && type->rank >= 2 && type->dim[0] == 1 && type->dim[1] >= 2;
    for (int32_t d = 2; d < type->rank; d++)
        fits = fits && type->dim[d] == 1;
    if (!fits || type->dim[1] > 1000000)
        return ln__fail(err, LN_E_UNSUPPORTED, "%s: output '%s' is %s; a classifier gives [N, classes]",
                        graph->file, graph->values[model->output].name, ln__shape_text(text, type));
    model->network_classes = model->classes = (uint32_t)type->dim[1];
    int32_t at = graph->values[model->output].producer;
    while (at >= 0 && (graph->nodes[at].op == LN__RESHAPE || graph->nodes[at].op == LN__FLATTEN ||
                       graph->nodes[at].op == LN__SQUEEZE || graph->nodes[at].op == LN__IDENTITY))
        at = graph->values[graph->nodes[at].in[0]].producer;
    model->output_is_probability = at >= 0 && graph->nodes[at].op == LN__SOFTMAX && !graph->nodes[at].u.softmax.log;
    return LN_OK;
}

static ln_status find_shapes(ln_model *model, ln_error *err)
{
    ln_status st = ln__shapes_infer(&model->one_row, model->graph, 1, err);

    if (st < 0)
        return st;
    model->is_row_value = ln__calloc(&model->ctx, (size_t)model->graph->n_values, sizeof(bool));
    if (!model->is_row_value)
        return ln__fail_nomem(err, &model->ctx, (size_t)model->graph->n_values);
    for (int32_t n = 0; n < model->graph->n_nodes; n++) {
        ln__cost cost = ln__node_cost(model->graph, model->one_row, n);
        model->plain.params += cost.params;
        model->plain.macs += cost.macs;
    }
    return ln__graph_row_values(model->is_row_value, model->graph, err);
}

/* ---- leenet.* metadata -------------------------------------------------------------- */

static ln_status read_preprocess(ln_model *model, ln_error *err)
{
    ln_preprocess p = LN_PREPROCESS_INIT;
    const char *text = ln__onnx_metadata(model->onnx, LN__KEY_PREPROCESS);
    double v[13];

    if (text) {
        ln_status st = ln__format_numbers(v, 13, text, LN__KEY_PREPROCESS, model->path, err);
        if (st < 0)
            return st;
        for (int i = 0; i < 4; i++)
            if (!(v[i] >= 0 && v[i] <= 65536))
                return ln__fail(err, LN_E_FORMAT, "%s: %s: value %d is %g, not 0..65536", model->path,
                                LN__KEY_PREPROCESS, i, v[i]);
        p.resize = (uint32_t)v[0];
        p.crop_height = (uint32_t)v[1];
        p.crop_width = (uint32_t)v[2];
        p.order = (int32_t)v[3];
        p.scale = v[4];
        memcpy(p.mean, v + 5, sizeof p.mean);
        memcpy(p.std, v + 9, sizeof p.std);
    }
    ln_status st = ln__preprocess_resolve(&model->preprocess, &p, model->channels, model->height, model->width, err);
    return st < 0 && text ? ln__fail_prefix(err, LN_E_FORMAT, "%s: %s", model->path, LN__KEY_PREPROCESS) : st;
}

static ln_status read_names(ln_model *model, const char ***names, uint32_t count, ln_error *err)
{
    char key[64];

    *names = NULL;
    if (!ln__onnx_metadata(model->onnx, LN__KEY_CLASS "0"))
        return LN_OK;
    *names = ln__array(&model->ctx, count, sizeof **names);
    if (!*names)
        return ln__fail_nomem(err, &model->ctx, count * sizeof **names);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, LN__KEY_CLASS "%u", i);
        (*names)[i] = ln__onnx_metadata(model->onnx, key);
        if (!(*names)[i])
            return ln__fail(err, LN_E_FORMAT, "%s: metadata '%s' is missing", model->path, key);
    }
    return LN_OK;
}

static ln_status read_columns(ln_model *model, uint32_t **columns, uint32_t count, ln_error *err)
{
    const char *text = ln__onnx_metadata(model->onnx, LN__KEY_NETWORK_CLASSES);
    double *v = NULL;
    ln_status st;

    *columns = NULL;
    if (!text)
        return LN_OK;
    v = ln__array(&model->ctx, count, sizeof *v);
    *columns = ln__array(&model->ctx, count, sizeof **columns);
    if (!v || !*columns)
        st = ln__fail_nomem(err, &model->ctx, count * sizeof *v);
    else
        st = ln__format_numbers(v, count, text, LN__KEY_NETWORK_CLASSES, model->path, err);
    for (uint32_t i = 0; st == LN_OK && i < count; i++) {
        if (!(v[i] >= 0 && v[i] < model->network_classes))
            st = ln__fail(err, LN_E_FORMAT, "%s: %s: class %g; the network has 0..%u", model->path,
                          LN__KEY_NETWORK_CLASSES, v[i], model->network_classes - 1);
        else
            (*columns)[i] = (uint32_t)v[i];
    }
    ln__free(&model->ctx, v);
    return st;
}

static ln_status read_classes(ln_model *model, ln_error *err)
{
    const char *text = ln__onnx_metadata(model->onnx, LN__KEY_CLASSES);
    const char **names = NULL;
    uint32_t *columns = NULL;
    uint64_t count;

    if (!text)
        return LN_OK;
    if (!ln__parse_uint(text, &count) || count < 2 || count > model->network_classes)
        return ln__fail(err, LN_E_FORMAT, "%s: %s is '%.20s'; 2..%u was expected", model->path,
                        LN__KEY_CLASSES, text, model->network_classes);
    ln_status st = read_names(model, &names, (uint32_t)count, err);
    if (st == LN_OK)
        st = read_columns(model, &columns, (uint32_t)count, err);
    if (st == LN_OK && !columns && count != model->network_classes)
        st = ln__fail(err, LN_E_FORMAT, "%s: %u classes, but the network gives %u and %s is missing",
                      model->path, (unsigned)count, model->network_classes, LN__KEY_NETWORK_CLASSES);
    if (st == LN_OK)
        st = ln__model_set_classes(model, names, columns, (size_t)count, err);
    ln__free(&model->ctx, names);
    ln__free(&model->ctx, columns);
    return st;
}

static ln_status read_metadata(ln_model *model, ln_error *err)
{
    const char *version = ln__onnx_metadata(model->onnx, LN__KEY_FORMAT);
    const char *kernels = ln__onnx_metadata(model->onnx, LN__KEY_KERNELS);
    ln_status st;

    if (version && strcmp(version, LN__FORMAT_VERSION) != 0)
        return ln__fail(err, LN_E_UNSUPPORTED, "%s: leenet format '%.20s'; this library reads '%s'",
                        model->path, version, LN__FORMAT_VERSION);
    if (kernels && !(model->kernels = ln__strdup(&model->ctx, kernels)))
        return ln__fail_nomem(err, &model->ctx, strlen(kernels));
    st = read_preprocess(model, err);
    if (st == LN_OK)
        st = read_classes(model, err);
    if (st == LN_OK)
        st = ln__exits_read(model, err);
    return st;
}

/* ---- Loading ------------------------------------------------------------------------- */

static ln_status open_file(ln_model *model, const char *path, const void *data, size_t size,
                           const ln_load_options *options, ln_error *err)
{
    ln__onnx_limits limits = { options->max_file_bytes ? options->max_file_bytes : UINT64_C(1) << 31,
                               model->max_memory };

    if (path)
        return ln__onnx_load(&model->onnx, &model->ctx, path, &limits, err);
    return ln__onnx_load_memory(&model->onnx, &model->ctx, data, size, &limits, err);
}

ln_status ln__model_load(ln_model **out, const char *path, const void *data, size_t size,
                         const ln_load_options *options, ln_error *err)
{
    ln__ctx ctx = ln__ctx_make(options->allocator, options->log, options->log_payload);
    ln_model *model = ln__calloc(&ctx, 1, sizeof *model);
    ln_status st;

    *out = NULL;
    if (!model)
        return ln__fail_nomem(err, &ctx, sizeof *model);
    model->ctx = ctx;
    atomic_init(&model->references, 1);
    atomic_init(&model->sessions, 0);
    pthread_mutex_init(&model->building, NULL);
    model->max_memory = options->max_memory ? options->max_memory : UINT64_C(1) << 32;
    model->path = ln__strdup(&ctx, path ? path : "");
    if (!model->path) {
        st = ln__fail_nomem(err, &ctx, 1);
        goto fail;
    }
    st = open_file(model, path, data, size, options, err);
    if (st == LN_OK)
        st = ln__onnx_graph(&model->graph, model->onnx, NULL, 0, err);
    if (st == LN_OK)
        st = find_input(model, err);
    if (st == LN_OK)
        st = find_shapes(model, err);
    if (st == LN_OK)
        st = find_output(model, err);
    if (st == LN_OK)
        st = read_metadata(model, err);
    if (st == LN_OK) {
        *out = model;
        return LN_OK;
    }
fail:
    ln__model_release(model);
    return st;
}
