/* op_shape.c - readers of what moves numbers without changing them, and of shape arithmetic. */
#include "onnx/build.h"

#include <string.h>

void ln__read_reshape(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__RESHAPE);
    (void)variant;

    if (b->onnx->opset >= 14)
        node->u.reshape.allow_zero = ln__attr_bool(b, "allowzero", false);
}

void ln__read_flatten(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__FLATTEN);
    (void)variant;

    node->u.axis.axis = ln__attr_int(b, "axis", 1);
}

/* Squeeze and Unsqueeze: axes as attribute before opset 13. */
void ln__read_squeeze(ln__build *b, int32_t op)
{
    ln__node *node = ln__emit_plain(b, (ln__op)op);
    int32_t n;

    if (b->onnx->opset >= 13)
        return;
    n = ln__attr_ints(b, "axes", node->u.axes.axes, LN__MAX_RANK);
    if (n < 0 && op == LN__UNSQUEEZE)
        ln__build_fail(b, LN_E_FORMAT, "attribute 'axes' is missing");
    node->u.axes.n_axes = LN__MAX(n, 0);
}

/* Operators without attributes. */
void ln__read_expand(ln__build *b, int32_t op)
{
    ln__emit_plain(b, (ln__op)op);
}

void ln__read_transpose(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__TRANSPOSE);
    int32_t n = ln__attr_ints(b, "perm", node->u.transpose.perm, LN__MAX_RANK);
    (void)variant;

    node->u.transpose.n_perm = LN__MAX(n, 0);
}

/* Concat, where the axis must be said, and Gather. */
void ln__read_axis(ln__build *b, int32_t op)
{
    ln__node *node = ln__emit_plain(b, (ln__op)op);

    node->u.axis.axis = op == LN__CONCAT ? ln__attr_int_needed(b, "axis") : ln__attr_int(b, "axis", 0);
}

void ln__read_split(ln__build *b, int32_t variant)
{
    int64_t sizes[256], opset = b->onnx->opset;
    int32_t in[2] = { ln__in(b, 0), ln__in(b, 1) }, n, n_out = b->src->n_out;
    ln__node *node;
    (void)variant;

    if (opset < 13) {
        n = ln__attr_ints(b, "split", sizes, (int32_t)LN__COUNT(sizes));
        in[1] = n > 0 ? ln__new_ints(b, sizes, n) : LN__NO_VALUE;
    }
    node = ln__emit(b, LN__SPLIT, in, in[1] == LN__NO_VALUE ? 1 : 2, ln__out(b, 0));
    node->u.split.axis = ln__attr_int(b, "axis", 0);
    if (opset >= 18)
        node->u.split.num_outputs = ln__attr_int(b, "num_outputs", 0);
    if (b->status < 0)
        return;
    node->out = ln__arena_calloc(&b->graph->arena, (size_t)n_out, sizeof *node->out);
    if (node->out == NULL) {
        b->status = ln__onnx_nomem(b->err, b->onnx);
        return;
    }
    node->n_out = n_out;
    for (int32_t i = 0; i < n_out && b->status == LN_OK; i++) {
        node->out[i] = ln__out(b, i);
        if (node->out[i] == LN__NO_VALUE && b->status == LN_OK)
            node->out[i] = ln__new_value(b, "");    /* left out by the file, but others lie behind it */
        if (node->out[i] >= 0)
            b->graph->values[node->out[i]].producer = b->graph->n_nodes - 1;
    }
}

/* Slice 1: starts, ends and axes as attributes. */
void ln__read_slice(ln__build *b, int32_t variant)
{
    static const char *const names[] = { "starts", "ends", "axes" };
    int64_t numbers[LN__MAX_RANK];
    int32_t in[4] = { ln__in(b, 0), LN__NO_VALUE, LN__NO_VALUE, LN__NO_VALUE }, n;
    (void)variant;

    if (b->onnx->opset >= 10) {
        ln__emit_plain(b, LN__SLICE);
        return;
    }
    for (int32_t i = 0; i < 3; i++) {
        n = ln__attr_ints(b, names[i], numbers, LN__MAX_RANK);
        if (n >= 0)
            in[1 + i] = ln__new_ints(b, numbers, n);
        else if (i < 2)
            ln__build_fail(b, LN_E_FORMAT, "attribute '%s' is missing", names[i]);
    }
    ln__emit(b, LN__SLICE, in, in[3] == LN__NO_VALUE ? 3 : 4, ln__out(b, 0));
}

/* Pad 2: pads and value as attributes. */
void ln__read_pad(ln__build *b, int32_t variant)
{
    static const char *const modes[] = { "constant", "reflect", "edge", "wrap", NULL };
    int32_t mode = ln__attr_word(b, "mode", modes, LN__PAD_CONSTANT);
    ln__node *node;
    (void)variant;

    if (mode == LN__PAD_WRAP && b->onnx->opset < 19)
        ln__build_fail(b, LN_E_FORMAT, "mode 'wrap' came with opset 19");
    if (b->onnx->opset >= 11) {
        node = ln__emit_plain(b, LN__PAD);
    } else {
        int64_t pads[2 * LN__MAX_RANK];
        float value = ln__attr_float(b, "value", 0.0f);
        int32_t n = ln__attr_ints(b, "pads", pads, 2 * LN__MAX_RANK), in[3];
        if (n < 0)
            ln__build_fail(b, LN_E_FORMAT, "attribute 'pads' is missing");
        in[0] = ln__in(b, 0);
        in[1] = ln__new_ints(b, pads, LN__MAX(n, 0));
        in[2] = ln__new_floats(b, &value, 1, true);
        node = ln__emit(b, LN__PAD, in, 3, ln__out(b, 0));
    }
    node->u.pad.mode = mode;
}

void ln__read_shape(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__SHAPE);
    (void)variant;

    if (b->onnx->opset < 15)
        return;
    node->u.shape.start = ln__attr_int(b, "start", 0);
    node->u.shape.has_end = ln__attr(b, "end", LN__ATTR_INT) != NULL;
    node->u.shape.end = ln__attr_int(b, "end", 0);
}

/* Size: the product of the dimensions. */
void ln__read_size(ln__build *b, int32_t variant)
{
    int32_t x = ln__in(b, 0), dims;
    ln__node *node = ln__emit(b, LN__SHAPE, &x, 1, LN__NO_VALUE);
    (void)variant;

    if (b->status < 0)
        return;
    dims = node->out[0];
    node = ln__emit(b, LN__REDUCE, &dims, 1, ln__out(b, 0));
    node->u.reduce.kind = LN__PROD;
    node->u.reduce.all_if_empty = true;
}

void ln__read_fill(ln__build *b, int32_t variant)
{
    static const float zero = 0.0f;
    const ln__onnx_attr *a = ln__attr(b, "value", LN__ATTR_TENSOR);
    ln__node *node = ln__emit_plain(b, LN__CONSTANT_OF_SHAPE);
    int64_t n = 1;
    (void)variant;

    node->u.fill.value = (ln__tensor){ .dtype = LN__F32, .data = &zero };
    if (a == NULL)
        return;
    if (!ln__tensor_elements(&a->t, &n) || n != 1)
        ln__build_fail(b, LN_E_FORMAT, "attribute 'value' must hold one number");
    node->u.fill.value = a->t;
    node->u.fill.value.rank = 0;
}
