/* api_model.c - models. */
#include "api/api.h"
#include "train/train.h"

#include <string.h>

ln_status ln_model_load(ln_model **out, const char *path, const ln_load_options *options, ln_error *err)
{
    ln_load_options o;

    LN__REQUIRE(out, "ln_model_load", err);
    *out = NULL;
    LN__REQUIRE(path, "ln_model_load", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_load_options", err);
    return st < 0 ? st : ln__model_load(out, path, NULL, 0, &o, err);
}

ln_status ln_model_load_memory(ln_model **out, const void *data, size_t size,
                               const ln_load_options *options, ln_error *err)
{
    ln_load_options o;

    LN__REQUIRE(out, "ln_model_load_memory", err);
    *out = NULL;
    LN__REQUIRE(data, "ln_model_load_memory", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_load_options", err);
    return st < 0 ? st : ln__model_load(out, NULL, data, size, &o, err);
}

ln_status ln_model_save(const ln_model *model, const char *path, ln_error *err)
{
    LN__REQUIRE(model, "ln_model_save", err);
    LN__REQUIRE(path, "ln_model_save", err);
    return ln__model_save(model, path, err);
}

void ln_model_free(ln_model *model)
{
    if (model)
        ln__model_release(model);
}

ln_status ln_model_get_info(const ln_model *model, ln_model_info *out, ln_error *err)
{
    LN__REQUIRE(model, "ln_model_get_info", err);
    LN__REQUIRE(out, "ln_model_get_info", err);
    const ln__graph *graph = model->graph;
    ln_model_info info = {
        .path = model->path, .producer = ln__onnx_producer(model->onnx),
        .input_name = graph->values[graph->inputs[0].value].name, .output_name = graph->values[model->output].name,
        .channels = model->channels, .height = model->height, .width = model->width,
        .classes = model->classes, .network_classes = model->network_classes,
        .opset = (uint32_t)ln__onnx_opset(model->onnx), .nodes = (uint32_t)graph->n_nodes,
        .exits = model->n_exits, .points = model->n_points, .default_point = model->default_point,
        .tuned = model->kernels != NULL, .params = model->plain.params, .macs = model->plain.macs,
    };
    return ln__info_copy(out, &info, sizeof info, "ln_model_info", err);
}

uint32_t ln_model_exit_count(const ln_model *model) { return model ? model->n_exits : 0; }
uint32_t ln_model_point_count(const ln_model *model) { return model ? model->n_points : 0; }
uint32_t ln_model_class_count(const ln_model *model) { return model ? model->classes : 0; }

const char *ln_model_class_name(const ln_model *model, int32_t label)
{
    if (!model || !model->class_names || label < 0 || (uint32_t)label >= model->classes)
        return "";
    return model->class_names[label];
}

const char *ln_model_operator(const ln_model *model, uint32_t i, uint32_t *count)
{
    return model ? ln__graph_operator(model->graph, i, count) : NULL;
}

ln_status ln_model_get_preprocess(const ln_model *model, ln_preprocess *out, ln_error *err)
{
    LN__REQUIRE(model, "ln_model_get_preprocess", err);
    LN__REQUIRE(out, "ln_model_get_preprocess", err);
    return ln__info_copy(out, &model->preprocess, sizeof model->preprocess, "ln_preprocess", err);
}

ln_status ln_model_set_preprocess(ln_model *model, const ln_preprocess *preprocess, ln_error *err)
{
    ln_preprocess p, resolved;

    LN__REQUIRE(model, "ln_model_set_preprocess", err);
    ln_status st = ln__options_copy(&p, sizeof p, preprocess, "ln_preprocess", err);
    if (st == LN_OK)
        st = ln__model_change(model, "ln_model_set_preprocess", err);
    if (st == LN_OK)
        st = ln__preprocess_resolve(&resolved, &p, model->channels, model->height, model->width, err);
    if (st < 0)
        return st;
    model->preprocess = resolved;
    ln__model_drop_training(model);
    return LN_OK;
}

ln_status ln_model_set_classes(ln_model *model, const char *const *names, const uint32_t *network_classes,
                               size_t count, ln_error *err)
{
    LN__REQUIRE(model, "ln_model_set_classes", err);
    return ln__model_set_classes(model, names, network_classes, count, err);
}

ln_status ln_model_tune(ln_model *model, const ln_tune_options *options, ln_error *err)
{
    ln_tune_options o;

    LN__REQUIRE(model, "ln_model_tune", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_tune_options", err);
    return st < 0 ? st : ln__model_tune(model, &o, err);
}

ln_status ln_data_read(ln_data *data, const ln_model *model, size_t first, size_t count,
                       float *inputs, int32_t *labels, ln_error *err)
{
    LN__REQUIRE(data, "ln_data_read", err);
    LN__REQUIRE(model, "ln_data_read", err);
    LN__REQUIRE(inputs, "ln_data_read", err);
    return ln__model_read_rows(model, data, first, count, inputs, labels, err);
}
