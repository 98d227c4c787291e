/* onnx_emit.c - operators whose form depends on the file's opset. */
#include "onnx/edit.h"

#include <string.h>

static void add_ints(ln__onnx_edit *edit, const char *name, const int64_t *values, int32_t n)
{
    const int64_t dims[1] = { n };

    ln__onnx_add_i64(edit, name, values, 1, dims);
}

/* ---- Broadcasting before opset 7 --------------------------------------------------- */

static const ln__added_reduction *find_reduction(const ln__onnx_edit *edit, const char *name)
{
    for (size_t i = 0; i < edit->n_reductions; i++)
        if (strcmp(edit->reductions[i].name, name) == 0)
            return &edit->reductions[i];
    return NULL;
}

/* b's dimensions must then be a run of a's: [1,C] is made [C], and a reduction
 * that kept its dimensions is squeezed and set against a's first ones. */
static void emit_old_binary(ln__onnx_edit *edit, const char *type, const char *out, const char *a, const char *b)
{
    const ln__added_tensor *tensor = ln__edit_tensor(edit, b);
    const ln__added_reduction *reduction = find_reduction(edit, b);
    const char *inputs[2] = { a, b };
    bool squeezed = reduction != NULL && find_reduction(edit, a) == NULL;

    if (squeezed) {
        inputs[1] = ln__edit_name(edit, out, ".squeezed");
        ln__onnx_add_node(edit, "Squeeze", inputs[1], &b, 1);
        ln__onnx_node_ints(edit, "axes", reduction->axes, reduction->n_axes);
    } else if (tensor != NULL && tensor->rank > 1) {
        const int64_t shape[1] = { tensor->elements };
        inputs[1] = ln__edit_name(edit, out, ".flat");
        ln__onnx_emit_reshape(edit, inputs[1], b, shape, 1);
    }
    ln__onnx_add_node(edit, type, out, inputs, 2);
    if (squeezed || tensor != NULL)
        ln__onnx_node_int(edit, "broadcast", 1);
    if (squeezed)
        ln__onnx_node_int(edit, "axis", 0);
}

void ln__onnx_emit_binary(ln__onnx_edit *edit, const char *type, const char *out, const char *a, const char *b)
{
    const char *inputs[2] = { a, b };

    if (edit->onnx->opset < 7)
        emit_old_binary(edit, type, out, a, b);
    else
        ln__onnx_add_node(edit, type, out, inputs, 2);
}

/* ---- The others ------------------------------------------------------------------------ */

void ln__onnx_emit_gemm(ln__onnx_edit *edit, const char *out, const char *x, const char *w, const char *bias)
{
    const char *inputs[3] = { x, w, bias };

    ln__onnx_add_node(edit, "Gemm", out, inputs, 3);
    ln__onnx_node_int(edit, "transB", 1);
    if (edit->onnx->opset < 7)
        ln__onnx_node_int(edit, "broadcast", 1);
}

void ln__onnx_emit_reduce(ln__onnx_edit *edit, const char *type, const char *out, const char *x,
                          const int64_t *axes, int32_t n_axes, bool keepdims)
{
    bool by_input = edit->onnx->opset >= (strcmp(type, "ReduceSum") == 0 ? 13 : 18);
    const char *inputs[2] = { x, NULL };

    if (by_input) {
        inputs[1] = ln__edit_name(edit, out, ".axes");
        add_ints(edit, inputs[1], axes, n_axes);
    }
    ln__onnx_add_node(edit, type, out, inputs, by_input ? 2 : 1);
    if (!by_input)
        ln__onnx_node_ints(edit, "axes", axes, n_axes);
    ln__onnx_node_int(edit, "keepdims", keepdims);
    if (!keepdims)
        return;
    if (!LN__RESERVE(&edit->ctx, edit->reductions, edit->reductions_capacity, edit->n_reductions + 1)) {
        edit->failed = true;
        return;
    }
    edit->reductions[edit->n_reductions].name = ln__edit_text(edit, out);
    edit->reductions[edit->n_reductions].n_axes = n_axes;
    memcpy(edit->reductions[edit->n_reductions++].axes, axes, (size_t)n_axes * sizeof *axes);
}

void ln__onnx_emit_concat(ln__onnx_edit *edit, const char *out, const char *const *inputs, int32_t n, int64_t axis)
{
    ln__onnx_add_node(edit, "Concat", out, inputs, n);
    ln__onnx_node_int(edit, "axis", axis);
}

void ln__onnx_emit_slice(ln__onnx_edit *edit, const char *out, const char *x, int64_t axis, int64_t from, int64_t to)
{
    const char *inputs[4] = { x, NULL, NULL, NULL };

    if (edit->onnx->opset < 10) {
        ln__onnx_add_node(edit, "Slice", out, inputs, 1);
        ln__onnx_node_ints(edit, "starts", &from, 1);
        ln__onnx_node_ints(edit, "ends", &to, 1);
        ln__onnx_node_ints(edit, "axes", &axis, 1);
        return;
    }
    inputs[1] = ln__edit_name(edit, out, ".from");
    inputs[2] = ln__edit_name(edit, out, ".to");
    inputs[3] = ln__edit_name(edit, out, ".axis");
    add_ints(edit, inputs[1], &from, 1);
    add_ints(edit, inputs[2], &to, 1);
    add_ints(edit, inputs[3], &axis, 1);
    ln__onnx_add_node(edit, "Slice", out, inputs, 4);
}

void ln__onnx_emit_reshape(ln__onnx_edit *edit, const char *out, const char *x, const int64_t *shape, int32_t rank)
{
    const char *inputs[2] = { x, ln__edit_name(edit, out, ".shape") };

    add_ints(edit, inputs[1], shape, rank);
    ln__onnx_add_node(edit, "Reshape", out, inputs, 2);
}

void ln__onnx_emit_top_k(ln__onnx_edit *edit, const char *values, const char *indices, const char *x, int64_t k)
{
    bool by_input = edit->onnx->opset >= 10;
    const char *inputs[2] = { x, NULL };

    if (by_input) {
        inputs[1] = ln__edit_name(edit, values, ".k");
        add_ints(edit, inputs[1], &k, 1);
    }
    ln__edit_node(edit, "TopK", values, indices, inputs, by_input ? 2 : 1);
    if (!by_input)
        ln__onnx_node_int(edit, "k", k);
    ln__onnx_node_int(edit, "axis", -1);
}

void ln__onnx_emit_softmax(ln__onnx_edit *edit, const char *out, const char *x, bool log)
{
    ln__onnx_add_node(edit, log ? "LogSoftmax" : "Softmax", out, &x, 1);
    ln__onnx_node_int(edit, "axis", 1);
}

void ln__onnx_emit_unary(ln__onnx_edit *edit, const char *type, const char *out, const char *x)
{
    ln__onnx_add_node(edit, type, out, &x, 1);
}
