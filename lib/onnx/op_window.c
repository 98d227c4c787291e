/* op_window.c - readers of what slides windows over pictures or changes their size. */
#include "onnx/build.h"

#include <math.h>

/* Anything beyond has long overflowed the picture. */
static const int64_t largest = UINT16_MAX;

static void check_range(ln__build *b, const char *name, const int64_t *values, int32_t n, int64_t least)
{
    for (int32_t i = 0; i < n; i++)
        if (values[i] < least || values[i] > largest)
            ln__build_fail(b, LN_E_FORMAT, "%s has %lld; %lld to %lld make sense", name, (long long)values[i],
                           (long long)least, (long long)largest);
}

/* A list of one value a spatial dimension; all lists agree on how many those are. */
static void read_list(ln__build *b, const char *name, int64_t *out, ln__window *w, int64_t least)
{
    int64_t values[LN__MAX_SPATIAL];
    int32_t n = ln__attr_ints(b, name, values, LN__MAX_SPATIAL);

    if (n < 0)
        return;
    if (n == 0 || (w->spatial != 0 && n != w->spatial)) {
        ln__build_fail(b, LN_E_FORMAT, "%s has %d values where other attributes say %d dimensions", name, n, w->spatial);
        return;
    }
    check_range(b, name, values, n, least);
    w->spatial = n;
    for (int32_t i = 0; i < n; i++)
        out[i] = values[i];
}

static void read_pads(ln__build *b, ln__window *w)
{
    int64_t values[2 * LN__MAX_SPATIAL];
    int32_t n = ln__attr_ints(b, "pads", values, 2 * LN__MAX_SPATIAL);

    if (n < 0)
        return;
    if (n == 0 || n % 2 != 0 || (w->spatial != 0 && n != 2 * w->spatial)) {
        ln__build_fail(b, LN_E_FORMAT, "pads has %d values, it needs two for each of %d dimensions", n, w->spatial);
        return;
    }
    check_range(b, "pads", values, n, 0);
    w->spatial = n / 2;
    for (int32_t i = 0; i < n / 2; i++) {
        w->pad_begin[i] = values[i];
        w->pad_end[i] = values[n / 2 + i];
    }
}

static void read_window(ln__build *b, ln__window *w)
{
    static const char *const auto_pads[] = { "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", NULL };
    static const ln__auto_pad ways[] = { LN__PAD_GIVEN, LN__PAD_VALID, LN__PAD_SAME_UPPER, LN__PAD_SAME_LOWER };

    *w = (ln__window){ .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } };
    read_list(b, "kernel_shape", w->kernel, w, 1);
    read_list(b, "strides", w->stride, w, 1);
    read_list(b, "dilations", w->dilation, w, 1);
    read_pads(b, w);
    w->auto_pad = ways[ln__attr_word(b, "auto_pad", auto_pads, 0)];
    if (w->auto_pad != LN__PAD_GIVEN)
        for (int i = 0; i < LN__MAX_SPATIAL; i++)
            w->pad_begin[i] = w->pad_end[i] = 0;
}

void ln__read_conv(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__CONV);
    (void)variant;

    read_window(b, &node->u.conv.window);
    node->u.conv.has_kernel = node->u.conv.window.kernel[0] != 0;
    node->u.conv.group = ln__attr_int(b, "group", 1);
    check_range(b, "group", &node->u.conv.group, 1, 1);
}

void ln__read_pool(ln__build *b, int32_t average)
{
    ln__node *node = ln__emit_plain(b, LN__POOL);

    node->u.pool.average = average != 0;
    read_window(b, &node->u.pool.window);
    if (node->u.pool.window.kernel[0] == 0)
        ln__build_fail(b, LN_E_FORMAT, "attribute 'kernel_shape' is missing");
    if (b->onnx->opset >= 10)
        node->u.pool.window.ceil_mode = ln__attr_bool(b, "ceil_mode", false);
    if (average) {
        node->u.pool.count_include_pad = ln__attr_bool(b, "count_include_pad", false);
    } else if (b->onnx->opset >= 8) {
        ln__attr_ignore(b, "storage_order");
        ln__refuse_output(b, 1, "the indices");
    }
}

void ln__read_global_pool(ln__build *b, int32_t average)
{
    ln__node *node = ln__emit_plain(b, LN__POOL);

    node->u.pool.average = average != 0;
    node->u.pool.window = (ln__window){ .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } };
}

void ln__read_lrn(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__LRN);
    (void)variant;

    node->u.lrn.size = ln__attr_int_needed(b, "size");
    node->u.lrn.alpha = ln__attr_float(b, "alpha", 1e-4f);
    node->u.lrn.beta = ln__attr_float(b, "beta", 0.75f);
    node->u.lrn.bias = ln__attr_float(b, "bias", 1.0f);
}

/* ---- Resizing ------------------------------------------------------------------------- */

static const char *const resize_modes[] = { "nearest", "linear", "cubic", NULL };

/* A known list that holds nothing counts as absent: exporters write one where
 * the standard wants an input that is not used. */
static int32_t in_if_any(ln__build *b, int32_t i)
{
    int32_t value = ln__in(b, i);
    const ln__tensor *t = ln__in_constant(b, value);

    return t != NULL && t->rank == 1 && t->dim[0] == 0 ? LN__NO_VALUE : value;
}

static ln__node *emit_resize(ln__build *b, int32_t roi, int32_t scales, int32_t sizes)
{
    int32_t in[4] = { ln__in(b, 0), roi, scales, sizes };
    ln__node *node = ln__emit(b, LN__RESIZE, in, sizes != LN__NO_VALUE ? 4 : 3, ln__out(b, 0));

    node->u.resize.cubic_a = -0.75f;
    if (scales == LN__NO_VALUE && sizes == LN__NO_VALUE)
        ln__build_fail(b, LN_E_FORMAT, "has neither scales nor sizes");
    return node;
}

/* Before opset 11 positions were divided by the scale, and nearest took the one
 * before it when growing, the one after it when shrinking (as ONNX's own cases
 * and ONNX Runtime have it). */
static void old_rounding(ln__build *b, ln__node *node, int32_t scales)
{
    const ln__tensor *t = ln__in_constant(b, scales);
    bool grows = false, shrinks = false;
    int64_t n = 0;

    node->u.resize.coordinate = LN__ASYMMETRIC;
    if (t == NULL || t->dtype != LN__F32 || !ln__tensor_elements(t, &n)) {
        ln__build_fail(b, LN_E_UNSUPPORTED, "its scales must be constant numbers at opset %lld", (long long)b->onnx->opset);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float scale = ln__float_of(ln__load_u32((const uint8_t *)t->data + 4 * i));
        grows = grows || scale > 1.0f;
        shrinks = shrinks || scale < 1.0f;
    }
    node->u.resize.nearest = shrinks ? LN__CEIL_OF : LN__FLOOR_OF;
    if (grows && shrinks && node->u.resize.mode == LN__RESIZE_NEAREST)
        ln__build_fail(b, LN_E_UNSUPPORTED, "grows one dimension and shrinks another by nearest; export at opset 11 or later");
}

/* Upsample 7 (scales attribute) and 9 (input), Resize 10. */
void ln__read_upsample(ln__build *b, int32_t variant)
{
    int32_t scales = ln__in(b, 1);
    ln__node *node;
    (void)variant;

    if (b->onnx->opset < 9) {
        const ln__onnx_attr *a = ln__attr(b, "scales", LN__ATTR_FLOATS);
        if (a == NULL) {
            ln__build_fail(b, LN_E_FORMAT, "attribute 'scales' is missing");
            return;
        }
        scales = ln__new_floats(b, a->floats, a->n, false);
    }
    node = emit_resize(b, LN__NO_VALUE, scales, LN__NO_VALUE);
    node->u.resize.mode = ln__attr_word(b, "mode", resize_modes, LN__RESIZE_NEAREST);
    if (node->u.resize.mode == LN__RESIZE_CUBIC)
        ln__build_fail(b, LN_E_UNSUPPORTED, "mode 'cubic' came with opset 11");
    old_rounding(b, node, scales);
}

void ln__read_resize(ln__build *b, int32_t variant)
{
    static const char *const coordinates[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
        "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL
    };
    static const char *const nearest[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL };
    static const char *const aspects[] = { "stretch", "not_larger", "not_smaller", NULL };
    int32_t sizes = in_if_any(b, 3);
    int32_t scales = in_if_any(b, 2), roi, coordinate, n;
    ln__node *node;
    (void)variant;

    coordinate = ln__attr_word(b, "coordinate_transformation_mode", coordinates, LN__HALF_PIXEL);
    roi = coordinate == LN__TF_CROP_AND_RESIZE ? ln__in(b, 1) : LN__NO_VALUE;
    node = emit_resize(b, roi, scales, sizes);
    node->u.resize.coordinate = coordinate;
    node->u.resize.mode = ln__attr_word(b, "mode", resize_modes, LN__RESIZE_NEAREST);
    node->u.resize.nearest = ln__attr_word(b, "nearest_mode", nearest, LN__ROUND_PREFER_FLOOR);
    node->u.resize.cubic_a = ln__attr_float(b, "cubic_coeff_a", -0.75f);
    node->u.resize.extrapolation = ln__attr_float(b, "extrapolation_value", 0.0f);
    node->u.resize.exclude_outside = ln__attr_bool(b, "exclude_outside", false);
    if (b->onnx->opset < 18)
        return;
    node->u.resize.antialias = ln__attr_bool(b, "antialias", false);
    node->u.resize.aspect = ln__attr_word(b, "keep_aspect_ratio_policy", aspects, LN__STRETCH);
    n = ln__attr_ints(b, "axes", node->u.resize.axes, LN__MAX_RANK);
    node->u.resize.n_axes = LN__MAX(n, 0);
}

void ln__read_depth_space(ln__build *b, int32_t op)
{
    static const char *const modes[] = { "DCR", "CRD", NULL };
    ln__node *node = ln__emit_plain(b, (ln__op)op);

    node->u.depth_space.block = ln__attr_int_needed(b, "blocksize");
    check_range(b, "blocksize", &node->u.depth_space.block, 1, 1);
    if (op == LN__DEPTH_TO_SPACE && b->onnx->opset >= 11)
        node->u.depth_space.crd = ln__attr_word(b, "mode", modes, 0) == 1;
}
