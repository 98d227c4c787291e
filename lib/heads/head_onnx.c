/* head_onnx.c - heads as ONNX nodes, and read back. */
#include "heads/heads.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

ln__name ln__name_make(const char *format, ...)
{
    ln__name name;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(name.text, sizeof name.text, format, arguments);
    va_end(arguments);
    return name;
}

static ln__name joined(const char *prefix, const char *last)
{
    return ln__name_make("%s%s", prefix, last);
}

/* ---- Linear layers ---------------------------------------------------------------- */

static void emit_linear(ln__onnx_edit *edit, const char *prefix, const char *layer, const float *w,
                        const float *b, int32_t in, int32_t out, const char *x, const char *y)
{
    const int64_t w_dims[2] = { out, in }, b_dims[1] = { out };
    ln__name w_name = ln__name_make("%sw%s", prefix, layer), b_name = ln__name_make("%sb%s", prefix, layer);

    ln__onnx_add_f32(edit, w_name.text, w, 2, w_dims);
    ln__onnx_add_f32(edit, b_name.text, b, 1, b_dims);
    ln__onnx_emit_gemm(edit, y, x, w_name.text, b_name.text);
}

void ln__mlp_emit(ln__onnx_edit *edit, const ln__mlp *mlp, const char *prefix, const char *x, const char *out)
{
    ln__name before = joined(prefix, "sum"), after = joined(prefix, "hidden");

    if (mlp->hidden == 0) {
        emit_linear(edit, prefix, "2", ln__mlp_w2(mlp), ln__mlp_b2(mlp), mlp->inputs, mlp->outputs, x, out);
        return;
    }
    emit_linear(edit, prefix, "1", ln__mlp_w1(mlp), ln__mlp_b1(mlp), mlp->inputs, mlp->hidden, x, before.text);
    ln__onnx_emit_unary(edit, "Relu", after.text, before.text);
    emit_linear(edit, prefix, "2", ln__mlp_w2(mlp), ln__mlp_b2(mlp), mlp->hidden, mlp->outputs, after.text, out);
}

ln_status ln__weights_find(ln__tensor *out, const ln__onnx *onnx, const char *prefix, const char *last, int32_t rank, ln_error *err)
{
    ln__name full = joined(prefix, last);

    if (!ln__onnx_addition(onnx, full.text, out))
        return ln__fail(err, LN_E_FORMAT, "initializer '%s' is missing", full.text);
    if (out->dtype != LN__F32 || out->rank != rank || out->data == NULL)
        return ln__fail(err, LN_E_FORMAT, "initializer '%s': found %s of rank %d, expected float of rank %d",
                        full.text, out->dtype == LN__F32 ? "float" : "integers", (int)out->rank, (int)rank);
    for (int32_t i = 0; i < rank; i++)
        if (out->dim[i] < 1 || out->dim[i] > INT32_MAX)
            return ln__fail(err, LN_E_FORMAT, "initializer '%s': dimension %d is %" PRId64 ", expected 1 to %d",
                            full.text, (int)i, out->dim[i], INT32_MAX);
    return LN_OK;
}

static ln_status bad_size(ln_error *err, const char *prefix, const char *last, int64_t found, int64_t expected)
{
    return ln__fail(err, LN_E_FORMAT, "initializer '%s%s': found %" PRId64 " numbers a row, expected %" PRId64,
                    prefix, last, found, expected);
}

ln_status ln__mlp_read(ln__mlp *out, const ln__ctx *ctx, const ln__onnx *onnx, const char *prefix, ln_error *err)
{
    ln__tensor w1, b1, w2, b2;
    ln__name first = joined(prefix, "w1");
    bool two = ln__onnx_addition(onnx, first.text, &w1);
    ln_status st;

    memset(out, 0, sizeof *out);
    if (two && ((st = ln__weights_find(&w1, onnx, prefix, "w1", 2, err)) < 0 ||
                (st = ln__weights_find(&b1, onnx, prefix, "b1", 1, err)) < 0))
        return st;
    if ((st = ln__weights_find(&w2, onnx, prefix, "w2", 2, err)) < 0 ||
        (st = ln__weights_find(&b2, onnx, prefix, "b2", 1, err)) < 0)
        return st;
    if (b2.dim[0] != w2.dim[0])
        return bad_size(err, prefix, "b2", b2.dim[0], w2.dim[0]);
    if (two && b1.dim[0] != w1.dim[0])
        return bad_size(err, prefix, "b1", b1.dim[0], w1.dim[0]);
    if (two && w2.dim[1] != w1.dim[0])
        return bad_size(err, prefix, "w2", w2.dim[1], w1.dim[0]);
    st = ln__mlp_new(out, ctx, (int32_t)(two ? w1.dim[1] : w2.dim[1]), two ? (int32_t)w1.dim[0] : 0,
                     (int32_t)w2.dim[0], err);
    if (st < 0)
        return st;
    /* Copied as bytes: the file need not align them. */
    if (two) {
        memcpy(ln__mlp_w1(out), w1.data, (size_t)(w1.dim[0] * w1.dim[1]) * sizeof(float));
        memcpy(ln__mlp_b1(out), b1.data, (size_t)b1.dim[0] * sizeof(float));
    }
    memcpy(ln__mlp_w2(out), w2.data, (size_t)(w2.dim[0] * w2.dim[1]) * sizeof(float));
    memcpy(ln__mlp_b2(out), b2.data, (size_t)b2.dim[0] * sizeof(float));
    return LN_OK;
}

/* ---- Heads --------------------------------------------------------------------------- */

static void emit_flatten(ln__onnx_edit *edit, const char *out, const char *x)
{
    ln__onnx_add_node(edit, "Flatten", out, &x, 1);
    ln__onnx_node_int(edit, "axis", 1);
}

void ln__cells_emit(ln__onnx_edit *edit, const char *prefix, const char *type, const char *out, const char *x, const int64_t cell[2],
                    const int64_t stride[2])
{
    ln__name pooled = joined(prefix, type);

    ln__onnx_add_node(edit, type, pooled.text, &x, 1);
    ln__onnx_node_ints(edit, "kernel_shape", cell, 2);
    ln__onnx_node_ints(edit, "strides", stride, 2);
    emit_flatten(edit, out, pooled.text);
}

static const float epsilon = LN__HEAD_EPSILON;
static const int64_t one = 1;

/* Means and maxima of the cells, each channel's deviation between them. */
static void emit_grid(ln__onnx_edit *edit, const char *prefix, const char *out, const char *deviation, const char *x,
                      const ln__head *head)
{
    ln__name means = joined(prefix, "cell_means"), flat = joined(prefix, "std_flat"), maxima = joined(prefix, "cell_maxima");
    const char *parts[3] = { means.text, flat.text, maxima.text };
    const int64_t cell[2] = { head->height / head->cells, head->width / head->cells };

    ln__cells_emit(edit, prefix, "AveragePool", means.text, x, cell, cell);
    emit_flatten(edit, flat.text, deviation);
    ln__cells_emit(edit, prefix, "MaxPool", maxima.text, x, cell, cell);
    ln__onnx_emit_concat(edit, out, parts, 3, 1);
}

/* Where the pairs c < d lie in a flat [C,C]. */
static void add_upper_triangle(ln__onnx_edit *edit, const char *name, const ln__head *head)
{
    int64_t count = ln__head_covariances(head), *at = ln__onnx_make_i64(edit, name, count);

    for (int64_t c = 0; at && c < head->channels; c++)
        for (int64_t d = c + 1; d < head->channels; d++)
            *at++ = c * head->channels + d;
}

/* From what is left of x [N,C,...] without its means -> [N,C (C - 1) / 2]. */
static void emit_covariances(ln__onnx_edit *edit, const char *prefix, const char *out, const char *centred, const ln__head *head)
{
    static const int64_t rows[3] = { 0, 0, -1 }, flat[2] = { 0, -1 }, turn[3] = { 0, 2, 1 };
    const float share = 1.0f / (float)head->spatial;
    ln__name lines = joined(prefix, "lines"), columns = joined(prefix, "columns"), sums = joined(prefix, "products");
    ln__name square = joined(prefix, "square"), triangle = joined(prefix, "triangle"), pairs = joined(prefix, "pairs");
    ln__name part = joined(prefix, "pixel"), each = joined(prefix, "covariances"), size = joined(prefix, "size");
    ln__name lifted = joined(prefix, "size_lifted"), root = joined(prefix, "size_root"), small = joined(prefix, "epsilon");
    const char *product[2] = { lines.text, columns.text }, *gather[2] = { square.text, triangle.text }, *line = lines.text;

    add_upper_triangle(edit, triangle.text, head);
    ln__onnx_add_f32(edit, part.text, &share, 1, &one);
    ln__onnx_emit_reshape(edit, lines.text, centred, rows, 3);
    ln__onnx_add_node(edit, "Transpose", columns.text, &line, 1);
    ln__onnx_node_ints(edit, "perm", turn, 3);
    ln__onnx_add_node(edit, "MatMul", sums.text, product, 2);
    ln__onnx_emit_reshape(edit, square.text, sums.text, flat, 2);
    ln__onnx_add_node(edit, "Gather", pairs.text, gather, 2);
    ln__onnx_node_int(edit, "axis", 1);
    ln__onnx_emit_binary(edit, "Mul", each.text, pairs.text, part.text);
    ln__onnx_emit_unary(edit, "Abs", size.text, each.text);
    ln__onnx_emit_binary(edit, "Add", lifted.text, size.text, small.text);
    ln__onnx_emit_unary(edit, "Sqrt", root.text, lifted.text);
    ln__onnx_emit_binary(edit, "Div", out, each.text, root.text);
}

/* [N,C,...] -> means, deviations, maxima. The variance is that of x - mean, which
 * loses nothing to cancellation in float. */
static void emit_statistics(ln__onnx_edit *edit, const char *prefix, const char *out, const char *x, int32_t rank,
                        const ln__head *head)
{
    int64_t axes[LN__MAX_RANK];
    ln__name mean = joined(prefix, "mean"), centred = joined(prefix, "centred"), squares = joined(prefix, "squares");
    ln__name variance = joined(prefix, "variance"), small = joined(prefix, "epsilon"), sum = joined(prefix, "lifted");
    ln__name deviation = joined(prefix, "std"), max = joined(prefix, "max"), all = joined(prefix, "pooled");
    const char *parts[3] = { mean.text, deviation.text, max.text };

    for (int32_t i = 2; i < rank; i++)
        axes[i - 2] = i;
    ln__onnx_add_f32(edit, small.text, &epsilon, 1, &one);
    ln__onnx_emit_reduce(edit, "ReduceMean", mean.text, x, axes, rank - 2, true);
    ln__onnx_emit_binary(edit, "Sub", centred.text, x, mean.text);
    ln__onnx_emit_binary(edit, "Mul", squares.text, centred.text, centred.text);
    ln__onnx_emit_reduce(edit, "ReduceMean", variance.text, squares.text, axes, rank - 2, true);
    ln__onnx_emit_binary(edit, "Add", sum.text, variance.text, small.text);
    ln__onnx_emit_unary(edit, "Sqrt", deviation.text, sum.text);
    if (head->cells > 1) {
        emit_grid(edit, prefix, out, deviation.text, x, head);
        return;
    }
    ln__onnx_emit_reduce(edit, "ReduceMax", max.text, x, axes, rank - 2, true);
    ln__onnx_emit_concat(edit, all.text, parts, 3, 1);
    emit_flatten(edit, out, all.text);
}

static void emit_pooled(ln__onnx_edit *edit, const char *prefix, const char *out, const char *x, int32_t rank, const ln__head *head)
{
    ln__name statistics = joined(prefix, "statistics"), pairs = joined(prefix, "signed_roots"), centred = joined(prefix, "centred");
    const char *parts[2] = { statistics.text, pairs.text };

    if (!ln__head_covariances(head)) {
        emit_statistics(edit, prefix, out, x, rank, head);
        return;
    }
    emit_statistics(edit, prefix, statistics.text, x, rank, head);
    emit_covariances(edit, prefix, pairs.text, centred.text, head);
    ln__onnx_emit_concat(edit, out, parts, 2, 1);
}

static void emit_carry(ln__onnx_edit *edit, const ln__head *head, const char *prefix, uint32_t exit, const char *own,
                       const char *logits)
{
    ln__name carry = joined(prefix, "carry"), carried = joined(prefix, "carried");
    ln__name before = ln__name_make("logits_%" PRIu32, exit - 1);

    ln__onnx_add_f32(edit, carry.text, &head->carry, 1, &one);
    ln__onnx_emit_binary(edit, "Mul", carried.text, before.text, carry.text);
    ln__onnx_emit_binary(edit, "Add", logits, own, carried.text);
}

ln_status ln__carry_read(float *out, const ln__onnx *onnx, uint32_t exit, ln_error *err)
{
    ln__name prefix = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/head.", exit), full = joined(prefix.text, "carry");
    ln__tensor carry;

    *out = 0.0f;
    if (!ln__onnx_addition(onnx, full.text, &carry))
        return LN_OK;
    ln_status st = ln__weights_find(&carry, onnx, prefix.text, "carry", 1, err);
    if (st < 0)
        return st;
    if (carry.dim[0] != 1)
        return bad_size(err, prefix.text, "carry", carry.dim[0], 1);
    memcpy(out, carry.data, sizeof *out);
    if (exit == 0 || !isfinite(*out))
        return ln__fail(err, LN_E_FORMAT, "initializer '%s': found %g, expected a finite number, behind the first exit", full.text,
                        (double)*out);
    return LN_OK;
}

void ln__head_emit(ln__onnx_edit *edit, const ln__head *head, uint32_t exit, const char *input, int32_t rank)
{
    ln__name features = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/features", exit);
    ln__name head_prefix = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/head.", exit);
    ln__name pool_prefix = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/", exit);
    ln__name logits = ln__name_make("logits_%" PRIu32, exit), own = ln__name_make("%sown", head_prefix.text);

    if (head->kind == LN_HEAD_CONV)
        ln__conv_emit(edit, head, head_prefix.text, input, features.text);
    else if (!ln__head_reads_pooled(head))
        emit_flatten(edit, features.text, input);
    else
        emit_pooled(edit, pool_prefix.text, features.text, input, rank, head);
    ln__mlp_emit(edit, &head->mlp, head_prefix.text, features.text, head->carry != 0.0f ? own.text : logits.text);
    if (head->carry != 0.0f)
        emit_carry(edit, head, head_prefix.text, exit, own.text, logits.text);
    ln__onnx_add_output(edit, logits.text, head->mlp.outputs);
}
