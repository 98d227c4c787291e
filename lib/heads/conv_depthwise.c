/* conv_depthwise.c - 3x3 convolutions of every channel with itself: stride 2, zeros around. */
#include "heads/conv.h"
#include "heads/lanes.h"

enum { SIDE = 3, TAPS = SIDE * SIDE };

/* Taps from .. to - 1 of an output pixel lie inside the map. */
typedef struct taps { int from, to; } taps;

static inline taps taps_of(int64_t output, int64_t length)
{
    return (taps){ output == 0 ? 1 : 0, (int)LN__MIN((int64_t)SIDE, length + 1 - 2 * output) };
}

/* `first` is where tap 0 would be. */
LN__LANES_BODY void sum_taps(ln__lanes *sum, const ln__lanes *w, const float *first, int64_t line, int64_t stride, const taps v,
                             const taps h)
{
    *sum = (ln__lanes){ 0 };
    for (int i = v.from; i < v.to; i++)
        for (int k = h.from; k < h.to; k++) {
            ln__lanes x;

            ln__lanes_load(&x, first + i * line + k * stride);
            *sum += w[i * SIDE + k] * x;
        }
}

/* LN__LANES channels. */
LN__LANES_BODY void lanes_channels(const ln__conv_layer *l, const float *weights, const float *x, int64_t stride, float *y)
{
    const taps all = { 0, SIDE };
    int64_t line = l->width * stride;
    ln__lanes w[TAPS];

    for (int t = 0; t < TAPS; t++)
        ln__lanes_load(&w[t], weights + t * l->in);
    for (int64_t r = 0; r < l->down; r++) {
        taps v = taps_of(r, l->height);

        for (int64_t c = 0; c < l->across; c++, y += l->in) {
            taps h = taps_of(c, l->width);
            const float *first = x + (2 * r - 1) * line + (2 * c - 1) * stride;
            ln__lanes sum;

            if (v.to - v.from == SIDE && h.to - h.from == SIDE)
                sum_taps(&sum, w, first, line, stride, all, all);
            else
                sum_taps(&sum, w, first, line, stride, v, h);
            memcpy(y, &sum, sizeof sum);
        }
    }
}

LN__LANES_BODY void depthwise_body(const ln__conv_layer *l, const float *weights, const float *x, int64_t stride, int64_t count, float *y)
{
    for (int64_t c = 0; c < count; c += LN__LANES) {
        int64_t at = LN__MIN(c, count - LN__LANES);     /* the last may do some again */

        lanes_channels(l, weights + at, x + at, stride, y + at);
    }
}
LN__LANES_DISPATCH(depthwise, depthwise_body,
                   (const ln__conv_layer *l, const float *weights, const float *x, int64_t stride, int64_t count, float *y),
                   (l, weights, x, stride, count, y))

static void one_channel(const ln__conv_layer *l, const float *weights, const float *x, int64_t stride, float *y)
{
    for (int64_t r = 0; r < l->down; r++)
        for (int64_t c = 0; c < l->across; c++, y += l->in) {
            taps v = taps_of(r, l->height), h = taps_of(c, l->width);

            *y = 0.0f;
            for (int i = v.from; i < v.to; i++)
                for (int k = h.from; k < h.to; k++)
                    *y += weights[(i * SIDE + k) * l->in] * x[((2 * r - 1 + i) * l->width + 2 * c - 1 + k) * stride];
        }
}

void ln__conv_depthwise(const ln__conv_layer *layer, const float *params, const float *x, int64_t stride, int64_t first,
                        int64_t count, float *y)
{
    const float *weights = params + layer->depthwise + first;

    if (count >= LN__LANES)
        depthwise(layer, weights, x, stride, count, y + first);
    else
        for (int64_t c = 0; c < count; c++)
            one_channel(layer, weights + c, x + c, stride, y + first + c);
}

/* ---- Backward -------------------------------------------------------------------------------------- */

/* `count` channels, whose loop the compiler turns into vectors. */
LN__LANES_BODY void backward_body(const ln__conv_layer *l, const float *restrict weights, const float *restrict x,
                                  const float *restrict dy, float *restrict dweights, float *restrict dx)
{
    int64_t in = l->in;

    for (int64_t r = 0; r < l->down; r++)
        for (int64_t c = 0; c < l->across; c++, dy += in) {
            taps v = taps_of(r, l->height), h = taps_of(c, l->width);

            for (int i = v.from; i < v.to; i++)
                for (int k = h.from; k < h.to; k++) {
                    int64_t at = ((2 * r - 1 + i) * l->width + 2 * c - 1 + k) * in;
                    float *restrict dw = dweights + (i * SIDE + k) * in;
                    const float *restrict w = weights + (i * SIDE + k) * in, *restrict from = x + at;
                    float *restrict to = dx ? dx + at : NULL;

                    for (int64_t n = 0; n < in; n++)
                        dw[n] += dy[n] * from[n];
                    for (int64_t n = 0; to && n < in; n++)
                        to[n] += dy[n] * w[n];
                }
        }
}
LN__LANES_DISPATCH(backward, backward_body,
                   (const ln__conv_layer *l, const float *restrict weights, const float *restrict x, const float *restrict dy,
                    float *restrict dweights, float *restrict dx),
                   (l, weights, x, dy, dweights, dx))

void ln__conv_depthwise_backward(const ln__conv_layer *layer, const float *weights, const float *x, const float *dy, float *dweights,
                                 float *dx)
{
    if (dx)
        memset(dx, 0, (size_t)(layer->height * layer->width * layer->in) * sizeof *dx);
    backward(layer, weights, x, dy, dweights, dx);
}
