/* conv.c - convolutions in front of a head: shapes, memory, first values, folding, cost. */
#include "heads/conv.h"

#include <math.h>
#include <string.h>

enum { TAPS = 9, LEAST_SIDE = 4, SIDE_FOR_TWO = 8, USUAL_CELLS = 2 };

bool ln__conv_fits(int64_t height, int64_t width)
{
    return LN__MIN(height, width) >= LEAST_SIDE;
}

void ln__conv_plan(ln__conv *out, int64_t channels, int64_t height, int64_t width, int64_t first)
{
    *out = (ln__conv){ .layers = LN__MIN(height, width) < SIDE_FOR_TWO ? 1 : LN__CONV_LAYERS };
    for (int32_t i = 0; i < out->layers; i++) {
        ln__conv_layer *l = &out->layer[i];

        l->in = channels;
        l->out = first << i;
        l->height = height;
        l->width = width;
        l->down = (height + 1) / 2;
        l->across = (width + 1) / 2;
        l->depthwise = out->count;
        l->pointwise = l->depthwise + TAPS * (size_t)l->in;
        l->bias = l->pointwise + (size_t)l->in * (size_t)l->out;
        out->count = l->bias + (size_t)l->out;
        channels = l->out;
        height = l->down;
        width = l->across;
    }
}

int32_t ln__conv_cells(const ln__conv *conv, uint32_t wanted)
{
    const ln__conv_layer *last = &conv->layer[conv->layers - 1];

    return (int32_t)LN__MIN((int64_t)(wanted ? wanted : USUAL_CELLS), LN__MIN(last->down, last->across));
}

ln__cell_side ln__cell_side_of(int64_t side, int64_t cells)
{
    int64_t step = side / cells;

    return (ln__cell_side){ step, side - (cells - 1) * step };
}

ln_status ln__head_new(ln__head *head, const ln__ctx *ctx, int32_t classes, ln_error *err)
{
    ln_status st = ln__mlp_new(&head->mlp, ctx, head->mlp.inputs, head->mlp.hidden, classes, err);

    if (st < 0 || head->kind != LN_HEAD_CONV)
        return st;
    head->conv.params = ln__calloc(ctx, head->conv.count, sizeof(float));
    if (head->conv.params)
        return LN_OK;
    ln__mlp_free(&head->mlp, ctx);
    return ln__fail_nomem(err, ctx, head->conv.count * sizeof(float));
}

void ln__head_free(ln__head *head, const ln__ctx *ctx)
{
    ln__mlp_free(&head->mlp, ctx);
    ln__free(ctx, head->conv.params);
    head->conv.params = NULL;
}

static void init_weights(float *w, size_t count, double variance, ln__rng *rng)
{
    for (size_t i = 0; i < count; i++)
        w[i] = (float)(ln__rng_normal(rng) * sqrt(variance));
}

/* Variance 1/(3n): what comes out is normalised whatever its size, and the smaller weights are, the faster they turn. */
void ln__conv_init(ln__conv *conv, ln__rng *rng)
{
    for (int32_t i = 0; i < conv->layers; i++) {
        const ln__conv_layer *l = &conv->layer[i];

        init_weights(conv->params + l->depthwise, TAPS * (size_t)l->in, 1.0 / (3 * TAPS), rng);
        init_weights(conv->params + l->pointwise, (size_t)(l->in * l->out), 1.0 / (3.0 * (double)l->in), rng);
        memset(conv->params + l->bias, 0, (size_t)l->out * sizeof(float));
    }
}

void ln__conv_fold(ln__conv *conv, const float *scale, const float *norm_mean, const float *norm_scale)
{
    for (int32_t i = 0; i < conv->layers; i++) {
        const ln__conv_layer *l = &conv->layer[i];
        float *depthwise = conv->params + l->depthwise, *pointwise = conv->params + l->pointwise;
        float *bias = conv->params + l->bias;

        for (int64_t c = 0; i == 0 && c < l->in; c++)
            for (int t = 0; t < TAPS; t++)
                depthwise[t * l->in + c] *= scale[c];
        for (int64_t k = 0; k < l->in; k++)
            for (int64_t o = 0; o < l->out; o++)
                pointwise[k * l->out + o] *= norm_scale[o];
        for (int64_t o = 0; o < l->out; o++)
            bias[o] -= norm_mean[o] * norm_scale[o];
        norm_mean += l->out;
        norm_scale += l->out;
    }
}

ln__cost ln__conv_cost(const ln__conv *conv)
{
    ln__cost cost = { 0, 0 };

    for (int32_t i = 0; i < conv->layers; i++) {
        const ln__conv_layer *l = &conv->layer[i];

        cost.params += (uint64_t)(l->in * (TAPS + l->out) + l->out);
        cost.macs += (uint64_t)(ln__conv_pixels(l) * l->in * (TAPS + l->out));
    }
    return cost;
}
