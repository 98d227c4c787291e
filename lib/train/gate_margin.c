/* gate_margin.c - the head's own confidence beside what a gate has learned. */
#include "train/gate_fit.h"

#include <string.h>

static ln_status widened(ln__mlp *out, const ln__mlp *gate, const ln__ctx *ctx, ln_error *err)
{
    size_t inputs = (size_t)gate->inputs, hidden = (size_t)gate->hidden;
    ln_status st = ln__mlp_new(out, ctx, gate->inputs, gate->hidden + 1, 1, err);

    if (st < 0)
        return st;
    memcpy(ln__mlp_w1(out), ln__mlp_w1(gate), hidden * inputs * sizeof(float));
    memcpy(ln__mlp_b1(out), ln__mlp_b1(gate), hidden * sizeof(float));
    memcpy(ln__mlp_w2(out), ln__mlp_w2(gate), hidden * sizeof(float));
    *ln__mlp_b2(out) = *ln__mlp_b2(gate);
    return LN_OK;
}

/* A margin is never negative: a ReLU hands it on as it is. */
static ln_status join(ln__mlp *gate, int32_t margin, float weight, const ln__ctx *ctx, ln_error *err)
{
    size_t hidden = (size_t)gate->hidden;
    ln__mlp joined;

    if (hidden > 0) {
        ln_status st = widened(&joined, gate, ctx, err);
        if (st < 0)
            return st;
        ln__mlp_free(gate, ctx);
        *gate = joined;
        ln__mlp_w1(gate)[hidden * (size_t)gate->inputs + (size_t)margin] = 1;
        ln__mlp_w2(gate)[hidden] = weight;
    } else {
        ln__mlp_w2(gate)[margin] += weight;
    }
    ln__mlp_fold_output(gate, 1 / (1 + weight));
    return LN_OK;
}

ln_status ln__gates_join_margin(ln__gates *gates, float *z, const ln__gate_task *task, float weight, const ln__ctx *ctx, ln_error *err)
{
    ln_status st = LN_OK;

    for (uint32_t e = 0; st == LN_OK && e < task->exits; e++)
        st = join(&gates->gate[e], task->margin, weight, ctx, err);
    for (size_t r = 0; r < task->rows; r++)
        for (uint32_t e = 0; e < task->exits; e++) {
            const ln__gate_input *in = &task->input[e];
            float *at = &z[r * task->exits + e];

            *at = (*at + weight * in->x[r * in->own + (size_t)task->margin]) / (1 + weight);
        }
    return st;
}
