/* conv_onnx.c - convolutions in front of a head as ONNX nodes, and read back. */
#include "heads/conv.h"

#include <inttypes.h>
#include <string.h>

enum { SIDE = 3, TAPS = SIDE * SIDE };

static void emit_conv(ln__onnx_edit *edit, const char *out, const char *const *inputs, int32_t n_inputs, int64_t side, int64_t stride,
                      int64_t group)
{
    const int64_t kernel[2] = { side, side }, strides[2] = { stride, stride }, pads[4] = { side / 2, side / 2, side / 2, side / 2 };

    ln__onnx_add_node(edit, "Conv", out, inputs, n_inputs);
    ln__onnx_node_ints(edit, "kernel_shape", kernel, 2);
    ln__onnx_node_ints(edit, "strides", strides, 2);
    ln__onnx_node_ints(edit, "pads", pads, 4);
    ln__onnx_node_int(edit, "group", group);
}

/* Returns the name of what the layer makes. */
static ln__name emit_layer(ln__onnx_edit *edit, const ln__conv_layer *l, const float *params, int layer, const char *prefix, const char *x)
{
    const int64_t depthwise_dims[4] = { l->in, 1, SIDE, SIDE }, pointwise_dims[4] = { l->out, l->in, 1, 1 }, bias_dims[1] = { l->out };
    ln__name depthwise = ln__name_make("%sconv%d.depthwise", prefix, layer), w = ln__name_make("%sconv%d.w", prefix, layer);
    ln__name b = ln__name_make("%sconv%d.b", prefix, layer), products = ln__name_make("%sconv%d.products", prefix, layer);
    ln__name sum = ln__name_make("%sconv%d.sum", prefix, layer), out = ln__name_make("%sconv%d", prefix, layer);
    const char *first[2] = { x, depthwise.text }, *second[3] = { products.text, w.text, b.text };

    ln__onnx_add_f32_turned(edit, depthwise.text, params + l->depthwise, 4, depthwise_dims);
    ln__onnx_add_f32_turned(edit, w.text, params + l->pointwise, 4, pointwise_dims);
    ln__onnx_add_f32(edit, b.text, params + l->bias, 1, bias_dims);
    emit_conv(edit, products.text, first, 2, SIDE, 2, l->in);
    emit_conv(edit, sum.text, second, 3, 1, 1, 1);
    ln__onnx_emit_unary(edit, "Relu", out.text, sum.text);
    return out;
}

void ln__conv_emit(ln__onnx_edit *edit, const ln__head *head, const char *prefix, const char *x, const char *out)
{
    const ln__conv_layer *last = &head->conv.layer[head->conv.layers - 1];
    ln__cell_side v = ln__cell_side_of(last->down, head->cells), h = ln__cell_side_of(last->across, head->cells);
    const int64_t cell[2] = { v.length, h.length }, step[2] = { v.step, h.step };
    ln__name means = ln__name_make("%scell_means", prefix), maxima = ln__name_make("%scell_maxima", prefix), value;
    const char *parts[2] = { means.text, maxima.text };

    for (int32_t i = 0; i < head->conv.layers; i++) {
        value = emit_layer(edit, &head->conv.layer[i], head->conv.params, i + 1, prefix, x);
        x = value.text;
    }
    ln__cells_emit(edit, prefix, "AveragePool", means.text, x, cell, step);
    ln__cells_emit(edit, prefix, "MaxPool", maxima.text, x, cell, step);
    ln__onnx_emit_concat(edit, out, parts, 2, 1);
}

/* ---- Read back --------------------------------------------------------------------------------------------- */

/* params [columns][rows] from an initializer of these dimensions, whose bytes need not be aligned. */
static ln_status read_weights(float *params, const ln__onnx *onnx, const char *prefix, const char *last, const int64_t *dims, int32_t rank,
                              ln_error *err)
{
    ln__tensor t;
    ln_status st = ln__weights_find(&t, onnx, prefix, last, rank, err);

    if (st < 0)
        return st;
    int64_t rows = dims[0], columns = 1;
    for (int32_t i = 0; i < rank; i++) {
        columns *= i ? dims[i] : 1;
        if (t.dim[i] != dims[i])
            return ln__fail(err, LN_E_FORMAT, "initializer '%s%s': dimension %d is %" PRId64 ", expected %" PRId64, prefix, last, (int)i,
                            t.dim[i], dims[i]);
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            memcpy(&params[c * rows + r], (const char *)t.data + (size_t)(r * columns + c) * sizeof *params, sizeof *params);
    return LN_OK;
}

static ln_status read_layer(float *params, const ln__conv_layer *l, const ln__onnx *onnx, const char *prefix, int layer, ln_error *err)
{
    const int64_t depthwise[4] = { l->in, 1, SIDE, SIDE }, pointwise[4] = { l->out, l->in, 1, 1 };
    ln__name name = ln__name_make("conv%d.depthwise", layer);
    ln_status st = read_weights(params + l->depthwise, onnx, prefix, name.text, depthwise, 4, err);

    name = ln__name_make("conv%d.w", layer);
    if (st == LN_OK)
        st = read_weights(params + l->pointwise, onnx, prefix, name.text, pointwise, 4, err);
    name = ln__name_make("conv%d.b", layer);
    return st == LN_OK ? read_weights(params + l->bias, onnx, prefix, name.text, &l->out, 1, err) : st;
}

ln_status ln__conv_read(ln__conv *conv, const ln__ctx *ctx, const ln__onnx *onnx, const char *prefix, ln_error *err)
{
    float *params = ln__array(ctx, conv->count, sizeof *params);
    ln_status st = params ? LN_OK : ln__fail_nomem(err, ctx, conv->count * sizeof *params);

    for (int32_t i = 0; st == LN_OK && i < conv->layers; i++)
        st = read_layer(params, &conv->layer[i], onnx, prefix, i + 1, err);
    if (st < 0) {
        ln__free(ctx, params);
        return st;
    }
    conv->params = params;
    return LN_OK;
}
