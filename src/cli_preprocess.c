/* cli_preprocess.c - the preprocessing flags, put over what the model says. */
#include "tool.h"

static bool any_given(const preprocess_flags *f)
{
    return f->preset >= 0 || f->resize || f->crop[0] || f->order >= 0 || f->scale > 0 ||
           f->mean.count || f->std.count;
}

/* One number stands for all channels, otherwise there is one for each. */
static int fill_channels(const char *command, const char *name, const cli_reals *from,
                         uint32_t channels, double to[4])
{
    if (from->count == 0)
        return TOOL_DONE;
    if (from->count != 1 && from->count != channels)
        return cli_wrong(command, "%s has %zu numbers, the network %u channels: give one, or one for each",
                         name, from->count, channels);
    for (size_t i = 0; i < 4; i++)
        to[i] = from->value[i < from->count ? i : 0];
    return TOOL_DONE;
}

static int merge(const char *command, const preprocess_flags *f, uint32_t channels, ln_preprocess *to)
{
    static const char *const presets[] = { "torch", "tf", "caffe", "raw" };
    ln_error err = { 0 };
    int code;

    if (f->preset >= 0) {
        ln_status st = ln_preprocess_preset(to, presets[f->preset], &err);
        if (st < 0)
            return report_error(command, st, &err);
    }
    if (f->resize)
        to->resize = f->resize;
    if (f->crop[0]) {
        to->crop_height = f->crop[0];
        to->crop_width = f->crop[1];
    }
    if (f->order >= 0)
        to->order = f->order == 0 ? LN_ORDER_RGB : LN_ORDER_BGR;
    if (f->scale > 0)
        to->scale = f->scale;
    code = fill_channels(command, "--mean", &f->mean, channels, to->mean);
    return code ? code : fill_channels(command, "--std", &f->std, channels, to->std);
}

int preprocess_apply(const char *command, const preprocess_flags *flags, ln_model *model)
{
    ln_preprocess wanted = LN_PREPROCESS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_error err = { 0 };
    ln_status st;
    int code;

    if (!any_given(flags))
        return TOOL_DONE;
    st = ln_model_get_info(model, &info, &err);
    if (st >= 0)
        st = ln_model_get_preprocess(model, &wanted, &err);
    if (st < 0)
        return report_error(command, st, &err);
    code = merge(command, flags, info.channels, &wanted);
    if (code)
        return code;
    st = ln_model_set_preprocess(model, &wanted, &err);
    return st < 0 ? report_error(command, st, &err) : TOOL_DONE;
}
