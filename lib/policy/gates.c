/* gates.c - one operating point's gates. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

ln_status ln__gates_new(ln__gates *out, const ln__ctx *ctx, int32_t input, uint32_t exits, ln_error *err)
{
    memset(out, 0, sizeof *out);
    if (exits < 1 || exits > LN__MAX_EXITS)
        return ln__fail(err, LN_E_ARGUMENT, "gates for %u exits: expected 1 to %d", (unsigned)exits, LN__MAX_EXITS);
    out->gate = ln__calloc(ctx, exits, sizeof *out->gate);
    out->threshold = ln__array(ctx, exits, sizeof *out->threshold);
    if (out->gate == NULL || out->threshold == NULL) {
        ln__gates_free(out, ctx);
        return ln__fail_nomem(err, ctx, exits * (sizeof *out->gate + sizeof *out->threshold));
    }
    out->input = input;
    out->exits = exits;
    for (uint32_t i = 0; i < exits; i++)
        out->threshold[i] = 0.5;
    return LN_OK;
}

void ln__gates_free(ln__gates *gates, const ln__ctx *ctx)
{
    for (uint32_t i = 0; i < gates->exits; i++)
        ln__mlp_free(&gates->gate[i], ctx);
    ln__free(ctx, gates->gate);
    ln__free(ctx, gates->threshold);
    memset(gates, 0, sizeof *gates);
}

ln_status ln__gates_copy(ln__gates *out, const ln__gates *from, const ln__ctx *ctx, ln_error *err)
{
    ln_status st = ln__gates_new(out, ctx, from->input, from->exits, err);

    if (st < 0)
        return st;
    out->policy = from->policy;
    memcpy(out->threshold, from->threshold, from->exits * sizeof *out->threshold);
    for (uint32_t i = 0; st == LN_OK && i < from->exits; i++)
        if (from->gate[i].params)
            st = ln__mlp_copy(&out->gate[i], &from->gate[i], ctx, err);
    if (st < 0)
        ln__gates_free(out, ctx);
    return st;
}

ln__cost ln__gates_cost(const ln__gates *gates, uint32_t exit, int32_t classes)
{
    ln__cost cost = { 0, 0 };

    if (gates->gate[exit].params == NULL)
        return cost;
    cost = ln__mlp_cost(&gates->gate[exit]);
    if (gates->policy == LN_POLICY_ENSEMBLE) {
        cost.params = exit + 1;
        cost.macs = (uint64_t)(exit + 1) * (uint64_t)classes;
    }
    return cost;
}

int64_t ln__gate_width(int32_t input, int32_t classes, uint32_t exit, int32_t features)
{
    return (input != LN_GATE_FEATURES ? (int64_t)ln__stats_count(classes, exit) : 0) +
           (input != LN_GATE_STATISTICS ? (int64_t)features : 0);
}

float ln__gate_answer(const ln__gates *gates, uint32_t exit, const float *x, float *scratch)
{
    float z, small;

    ln__mlp_answer(&gates->gate[exit], x, 1, scratch, &z);
    small = expf(-fabsf(z));
    return z >= 0.0f ? 1.0f / (1.0f + small) : small / (1.0f + small);
}
