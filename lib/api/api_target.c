/* api_target.c - settings, calibration and targets. */
#include "api/api.h"
#include "train/train.h"

uint32_t ln_setting_count(const ln_model *model, int32_t policy)
{
    return model ? ln__setting_count(model, policy) : 0;
}

ln_status ln_setting_get(const ln_model *model, int32_t policy, uint32_t index, ln_setting *out, ln_error *err)
{
    const ln_setting *setting;
    const double *thresholds;

    LN__REQUIRE(model, "ln_setting_get", err);
    LN__REQUIRE(out, "ln_setting_get", err);
    ln_status st = ln__setting_find(&setting, &thresholds, model, policy, index, err);
    return st < 0 ? st : ln__info_copy(out, setting, sizeof *setting, "ln_setting", err);
}

ln_status ln_point_add_setting(ln_model *model, int32_t policy, uint32_t index, uint32_t *point, ln_error *err)
{
    LN__REQUIRE(model, "ln_point_add_setting", err);
    ln_status st = ln__model_change(model, "ln_point_add_setting", err);
    if (st == LN_OK)
        st = ln__model_add_setting(model, policy, index, err);
    if (st == LN_OK && point)
        *point = model->n_points - 1;
    return st;
}

ln_status ln_policy_calibrate(ln_model *model, ln_data *rows, const ln_calibrate_options *options, ln_error *err)
{
    ln_calibrate_options o;

    LN__REQUIRE(model, "ln_policy_calibrate", err);
    LN__REQUIRE(rows, "ln_policy_calibrate", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_calibrate_options", err);
    return st < 0 ? st : ln__calibrate(model, rows, &o, err);
}

ln_status ln_target_resolve(const ln_model *model, const ln_target *target, ln_setting *out, uint64_t *rows_needed, ln_error *err)
{
    const ln_setting *setting;
    ln_target t;

    LN__REQUIRE(model, "ln_target_resolve", err);
    LN__REQUIRE(target, "ln_target_resolve", err);
    LN__REQUIRE(out, "ln_target_resolve", err);
    ln_status st = ln__options_copy(&t, sizeof t, target, "ln_target", err);
    if (st == LN_OK)
        st = ln__target_resolve(model, &t, &setting, rows_needed, err);
    if (st < 0)
        return st;
    ln_status copied = ln__info_copy(out, setting, sizeof *setting, "ln_setting", err);
    return copied < 0 ? copied : st;
}

ln_status ln_target_set_default(ln_model *model, const ln_target *target, ln_error *err)
{
    ln_target t;
    ln_status st = LN_OK;

    LN__REQUIRE(model, "ln_target_set_default", err);
    if (target)
        st = ln__options_copy(&t, sizeof t, target, "ln_target", err);
    if (st == LN_OK)
        st = ln__model_change(model, "ln_target_set_default", err);
    return st < 0 ? st : ln__target_set_default(model, target ? &t : NULL, err);
}

ln_status ln_target_get_default(const ln_model *model, ln_target *out, ln_error *err)
{
    LN__REQUIRE(model, "ln_target_get_default", err);
    LN__REQUIRE(out, "ln_target_get_default", err);
    if (!model->default_target.struct_size)
        return ln__fail(err, LN_E_STATE, "the model has no target of its own; its default operating point counts");
    return ln__info_copy(out, &model->default_target, sizeof model->default_target, "ln_target", err);
}
