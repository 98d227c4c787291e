/* api_exit.c - exits, operating points and their training. */
#include "api/api.h"
#include "train/train.h"

#include <math.h>

ln_status ln_exit_candidates(const ln_model *model, ln_exit_candidate *out, size_t capacity, size_t *count, ln_error *err)
{
    LN__REQUIRE(model, "ln_exit_candidates", err);
    LN__REQUIRE(count, "ln_exit_candidates", err);
    if (capacity)
        LN__REQUIRE(out, "ln_exit_candidates", err);
    return ln__exit_candidates(model, out, capacity, count, err);
}

ln_status ln_exit_add(ln_model *model, const char *value, const ln_exit_options *options, ln_error *err)
{
    ln_exit_options o;

    LN__REQUIRE(model, "ln_exit_add", err);
    LN__REQUIRE(value, "ln_exit_add", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_exit_options", err);
    return st < 0 ? st : ln__exit_add(model, value, &o, err);
}

ln_status ln_exit_add_auto(ln_model *model, uint32_t count, const ln_exit_options *options, ln_error *err)
{
    ln_exit_options o;

    LN__REQUIRE(model, "ln_exit_add_auto", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_exit_options", err);
    return st < 0 ? st : ln__exit_add_auto(model, count, &o, err);
}

ln_status ln_exit_clear(ln_model *model, ln_error *err)
{
    LN__REQUIRE(model, "ln_exit_clear", err);
    ln_status st = ln__model_change(model, "ln_exit_clear", err);
    if (st == LN_OK)
        ln__exits_clear(model);
    return st;
}

ln_status ln_exit_get_info(const ln_model *model, uint32_t exit, ln_exit_info *out, ln_error *err)
{
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1];

    LN__REQUIRE(model, "ln_exit_get_info", err);
    LN__REQUIRE(out, "ln_exit_get_info", err);
    if (exit >= model->n_exits)
        return ln__fail(err, LN_E_ARGUMENT, "exit %u; the model has %u (numbered from 0)", exit, model->n_exits);
    const ln__exit *e = &model->exits[exit];
    ln__model_cost_shares(model, model->n_points ? &model->points[model->default_point].gates : NULL, params, macs);
    ln_exit_info info = {
        .value = e->value_name, .head = e->head.kind, .hidden = (uint32_t)e->head.mlp.hidden,
        .channels = (uint32_t)e->channels, .height = (uint32_t)e->height, .width = (uint32_t)e->width,
        .trained = e->head.mlp.params != NULL, .macs_share = macs[exit], .params_share = params[exit],
        .heldout_accuracy = e->heldout_accuracy, .cells = (uint32_t)e->head.cells,
        .head_channels = (uint32_t)e->head.conv.layer[0].out, .covariance = e->head.covariance,
        .carry = (double)e->head.carry,
    };
    return ln__info_copy(out, &info, sizeof info, "ln_exit_info", err);
}

ln_status ln_exit_place(ln_model *model, ln_data *rows, const ln_place_options *options, ln_place *out, size_t capacity,
                        size_t *count, ln_error *err)
{
    ln_place_options o;
    ln_exit_options heads;

    LN__REQUIRE(model, "ln_exit_place", err);
    LN__REQUIRE(rows, "ln_exit_place", err);
    if (capacity)
        LN__REQUIRE(out, "ln_exit_place", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_place_options", err);
    if (st == LN_OK)
        st = ln__options_copy(&heads, sizeof heads, o.heads, "ln_exit_options", err);
    o.heads = &heads;
    return st < 0 ? st : ln__exits_place(model, rows, &o, out, capacity, count, err);
}

ln_status ln_exit_train(ln_model *model, ln_data *rows, const ln_train_options *options, ln_error *err)
{
    ln_train_options o;

    LN__REQUIRE(model, "ln_exit_train", err);
    LN__REQUIRE(rows, "ln_exit_train", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_train_options", err);
    return st < 0 ? st : ln__exits_train(model, rows, &o, err);
}

ln_status ln_gate_train(ln_model *model, ln_data *rows, const ln_gate_options *options, ln_error *err)
{
    ln_gate_options o;

    LN__REQUIRE(model, "ln_gate_train", err);
    LN__REQUIRE(rows, "ln_gate_train", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_gate_options", err);
    return st < 0 ? st : ln__gates_train(model, rows, &o, err);
}

ln_status ln_point_get_info(const ln_model *model, uint32_t point, ln_point_info *out, ln_error *err)
{
    LN__REQUIRE(model, "ln_point_get_info", err);
    LN__REQUIRE(out, "ln_point_get_info", err);
    if (point >= model->n_points)
        return ln__fail(err, LN_E_ARGUMENT, "operating point %u; the model has %u (numbered from 0)", point, model->n_points);
    const ln__gates *gates = &model->points[point].gates;
    ln_point_info info = model->points[point].measured;
    bool learned = gates->policy == LN_POLICY_GATE;
    info.gate_input = learned ? gates->input : -1;
    if (!learned)
        info.objective = info.price = -1;
    return ln__info_copy(out, &info, sizeof info, "ln_point_info", err);
}

double ln_point_threshold(const ln_model *model, uint32_t point, uint32_t exit)
{
    if (!model || point >= model->n_points || exit >= model->n_exits)
        return NAN;
    return model->points[point].gates.threshold[exit];
}

ln_status ln_point_set_default(ln_model *model, uint32_t point, ln_error *err)
{
    LN__REQUIRE(model, "ln_point_set_default", err);
    if (point >= model->n_points)
        return ln__fail(err, LN_E_ARGUMENT, "operating point %u; the model has %u (numbered from 0)", point, model->n_points);
    ln_status st = ln__model_change(model, "ln_point_set_default", err);
    if (st == LN_OK)
        model->default_point = point;
    return st == LN_OK ? ln__target_set_default(model, NULL, err) : st;
}
