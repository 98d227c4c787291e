/* onnx_additions.h - an edit that uses every emitter once, on the value `from` [N,C,H,W]. */
#ifndef LN_ONNX_ADDITIONS_H
#define LN_ONNX_ADDITIONS_H

#include "onnx/onnx.h"

/* Ends in the outputs logits_0 [N,5] and gate_0 [N,2]. `top_k` false leaves that
 * operator (which the reader does not know) out: gate_0 has one column less. */
static inline void add_everything(ln__onnx_edit *edit, const char *from, int64_t channels, bool top_k)
{
    static const int64_t spatial[] = { 2, 3 }, columns[] = { 1 }, one[] = { 1 }, row[] = { 1, 5 }, five[] = { 5 };
    static const float epsilon[] = { 1e-3f }, shift[] = { 0.5f, -0.25f, 0.125f, 1.0f, 0.0f };
    float w[5 * 64];
    const int64_t wide[] = { 5, 2 * channels }, flat[] = { -1, 2 * channels };
    const char *parts[] = { "leenet/0/mean", "leenet/0/std" };
    const char *gates[] = { "leenet/0/margin", "leenet/0/entropy" };
    const char *flattened[] = { "leenet/0/both" };

    for (int i = 0; i < 5 * 64; i++)
        w[i] = (float)((i * 29) % 17 - 8) / 8.0f;
    ln__onnx_add_f32(edit, "leenet/0/epsilon", epsilon, 1, one);
    ln__onnx_emit_reduce(edit, "ReduceMean", "leenet/0/mean", from, spatial, 2, true);
    ln__onnx_emit_binary(edit, "Sub", "leenet/0/centred", from, "leenet/0/mean");
    ln__onnx_emit_binary(edit, "Mul", "leenet/0/squares", "leenet/0/centred", "leenet/0/centred");
    ln__onnx_emit_reduce(edit, "ReduceMean", "leenet/0/variance", "leenet/0/squares", spatial, 2, true);
    ln__onnx_emit_binary(edit, "Add", "leenet/0/lifted", "leenet/0/variance", "leenet/0/epsilon");
    ln__onnx_emit_unary(edit, "Sqrt", "leenet/0/std", "leenet/0/lifted");
    ln__onnx_emit_concat(edit, "leenet/0/both", parts, 2, 1);
    ln__onnx_add_node(edit, "Flatten", "leenet/0/flat", flattened, 1);
    ln__onnx_node_int(edit, "axis", 1);
    ln__onnx_emit_reshape(edit, "leenet/0/features", "leenet/0/flat", flat, 2);
    ln__onnx_add_f32(edit, "leenet/0/head.w2", w, 2, wide);
    ln__onnx_add_f32(edit, "leenet/0/head.b2", shift, 1, five);
    ln__onnx_emit_gemm(edit, "logits_0", "leenet/0/features", "leenet/0/head.w2", "leenet/0/head.b2");
    ln__onnx_add_output(edit, "logits_0", 5);

    ln__onnx_add_f32(edit, "leenet/0/shift", shift, 2, row);
    ln__onnx_emit_binary(edit, "Add", "leenet/0/shifted", "logits_0", "leenet/0/shift");
    ln__onnx_emit_softmax(edit, "leenet/0/p", "leenet/0/shifted", false);
    ln__onnx_emit_softmax(edit, "leenet/0/log_p", "leenet/0/shifted", true);
    ln__onnx_emit_unary(edit, "Exp", "leenet/0/exp", "leenet/0/log_p");
    ln__onnx_emit_unary(edit, "Log", "leenet/0/log", "leenet/0/exp");
    ln__onnx_emit_binary(edit, "Mul", "leenet/0/plogp", "leenet/0/p", "leenet/0/log");
    ln__onnx_emit_reduce(edit, "ReduceSum", "leenet/0/negative", "leenet/0/plogp", columns, 1, true);
    ln__onnx_emit_unary(edit, "Neg", "leenet/0/positive", "leenet/0/negative");
    ln__onnx_emit_unary(edit, "Relu", "leenet/0/entropy", "leenet/0/positive");
    if (top_k) {
        ln__onnx_emit_top_k(edit, "leenet/0/top", "leenet/0/top.index", "leenet/0/p", 2);
        ln__onnx_emit_slice(edit, "leenet/0/first", "leenet/0/top", 1, 0, 1);
        ln__onnx_emit_slice(edit, "leenet/0/second", "leenet/0/top", 1, 1, 2);
    } else {
        ln__onnx_emit_reduce(edit, "ReduceMax", "leenet/0/first", "leenet/0/p", columns, 1, true);
        ln__onnx_emit_slice(edit, "leenet/0/second", "leenet/0/p", 1, 1, 2);
    }
    ln__onnx_emit_binary(edit, "Sub", "leenet/0/margin", "leenet/0/first", "leenet/0/second");
    ln__onnx_emit_concat(edit, "leenet/0/stats", gates, 2, 1);
    ln__onnx_emit_unary(edit, "Sigmoid", "gate_0", "leenet/0/stats");
    ln__onnx_add_output(edit, "gate_0", 2);
    ln__onnx_set_metadata(edit, "leenet.format", "1");
    ln__onnx_set_metadata(edit, "leenet.exit.0", from);
}

#endif
