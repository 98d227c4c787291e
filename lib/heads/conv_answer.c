/* conv_answer.c - the answering form of convolutions in front of a head: no allocation,
 * no library call, from the engine's layout. */
#include "heads/conv.h"
#include "heads/lanes.h"

/* Eight sums, two weights and an x: within the sixteen registers of AVX2. */
enum { PAIR = 2, PIXELS = 4 };

typedef struct points {         /* a pointwise layer with its ReLU */
    const float *w, *b, *x;     /* [in][out], [out], [pixels][in] */
    float       *y;             /* [pixels][out] */
    int64_t      pixels, in, out;
} points;

LN__LANES_BODY void point_block(const points *p, int64_t output, int64_t pixel, const int vectors, const int pixels)
{
    const float *x = p->x + pixel * p->in;
    ln__lanes sum[PAIR][PIXELS], zero = { 0 };

    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < pixels; i++)
            ln__lanes_load(&sum[v][i], p->b + output + v * LN__LANES);
    for (int64_t k = 0; k < p->in; k++) {
        ln__lanes w[PAIR];

        for (int v = 0; v < vectors; v++)
            ln__lanes_load(&w[v], p->w + k * p->out + output + v * LN__LANES);
        for (int i = 0; i < pixels; i++) {
            ln__lanes all;

            ln__lanes_fill(&all, x[i * p->in + k]);
            for (int v = 0; v < vectors; v++)
                sum[v][i] += w[v] * all;
        }
    }
    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < pixels; i++) {
            ln__lanes_max(&sum[v][i], &zero);
            memcpy(p->y + (pixel + i) * p->out + output + v * LN__LANES, &sum[v][i], sizeof sum[v][i]);
        }
}

LN__LANES_BODY void point_pixels(const points *p, int64_t output, const int vectors)
{
    int64_t pixel = 0;

    for (; pixel + PIXELS <= p->pixels; pixel += PIXELS)
        point_block(p, output, pixel, vectors, PIXELS);
    for (; pixel < p->pixels; pixel++)
        point_block(p, output, pixel, vectors, 1);
}

/* LN__LANES outputs or more; the last vectors may do some again. */
LN__LANES_BODY void pointwise_body(const points *p)
{
    int64_t output = 0;

    for (; output + PAIR * LN__LANES <= p->out; output += PAIR * LN__LANES)
        point_pixels(p, output, PAIR);
    for (; output < p->out; output += LN__LANES)
        point_pixels(p, LN__MIN(output, p->out - LN__LANES), 1);
}
LN__LANES_DISPATCH(pointwise, pointwise_body, (const points *p), (p))

static void pointwise_narrow(const points *p)
{
    for (int64_t i = 0; i < p->pixels; i++)
        for (int64_t o = 0; o < p->out; o++) {
            float sum = p->b[o];

            for (int64_t k = 0; k < p->in; k++)
                sum += p->w[k * p->out + o] * p->x[i * p->in + k];
            p->y[i * p->out + o] = sum < 0.0f ? 0.0f : sum;
        }
}

/* Returns what lies behind y [pixels][out] in the scratch. */
static float *run_pointwise(const ln__conv_layer *l, const float *params, const float *x, float *y)
{
    points p = { params + l->pointwise, params + l->bias, x, y, ln__conv_pixels(l), l->in, l->out };

    if (l->out >= LN__LANES)
        pointwise(&p);
    else
        pointwise_narrow(&p);
    return y + p.pixels * p.out;
}

/* Means and maxima of the cells of a map [pixels][channels]. */
static void read_cells(const ln__head *head, const ln__conv_layer *l, const float *x, float *features)
{
    int64_t cells = head->cells, area = cells * cells, channels = l->out;
    ln__cell_side v = ln__cell_side_of(l->down, cells), h = ln__cell_side_of(l->across, cells);
    float *means = features, *maxima = features + area * channels, count = (float)(v.length * h.length);

    for (int64_t cell = 0; cell < area; cell++) {
        const float *from = x + (cell / cells * v.step * l->across + cell % cells * h.step) * channels;

        for (int64_t c = 0; c < channels; c++) {
            float sum = 0.0f, max = from[c];

            for (int64_t i = 0; i < v.length; i++)
                for (int64_t k = 0; k < h.length; k++) {
                    float y = from[(i * l->across + k) * channels + c];

                    sum += y;
                    max = y > max ? y : max;
                }
            means[c * area + cell] = sum / count;
            maxima[c * area + cell] = max;
        }
    }
}

/* ONNX's own order has each channel's pixels side by side. Turned by tiles of a line of pixels and few channels, whose lines may
 * all share a place in the first cache. */
static void turn(const float *x, int64_t channels, int64_t spatial, float *out)
{
    enum { PIXELS_AT_ONCE = 16, CHANNELS_AT_ONCE = 8 };

    for (int64_t s0 = 0; s0 < spatial; s0 += PIXELS_AT_ONCE)
        for (int64_t c0 = 0; c0 < channels; c0 += CHANNELS_AT_ONCE) {
            int64_t pixels = LN__MIN((int64_t)PIXELS_AT_ONCE, spatial - s0), count = LN__MIN((int64_t)CHANNELS_AT_ONCE, channels - c0);
            float *to = out + s0 * channels + c0;

            for (int64_t c = 0; c < count; c++)
                for (int64_t s = 0; s < pixels; s++)
                    to[s * channels + c] = x[(c0 + c) * spatial + s0 + s];
        }
}

int64_t ln__head_cached(const ln__head *head)
{
    return head->kind == LN_HEAD_CONV ? head->channels * head->spatial : ln__head_features(head);
}

void ln__head_cache(const ln__head *head, const ln__view *x, float *scratch, float *out)
{
    int64_t channels = x->channels, block = x->block;

    if (head->kind != LN_HEAD_CONV) {
        ln__head_describe(head, x, scratch, out);
        return;
    }
    for (int64_t r = 0; r < x->rows; r++, out += channels * x->spatial) {
        const float *from = x->data + (size_t)r * ln__view_row_floats(x);

        if (block == 1)
            turn(from, channels, x->spatial, out);
        for (int64_t first = 0; block > 1 && first < channels; first += block)
            for (int64_t s = 0; s < x->spatial; s++)
                memcpy(out + s * channels + first, from + first * x->spatial + s * block,
                       (size_t)LN__MIN(block, channels - first) * sizeof *out);
    }
}

size_t ln__head_scratch(const ln__head *head)
{
    size_t numbers = (size_t)(head->channels * head->spatial);

    if (head->kind != LN_HEAD_CONV)
        return LN__MAX(1, ln__covariance_scratch(head));
    for (int32_t i = 0; i < head->conv.layers; i++) {
        const ln__conv_layer *l = &head->conv.layer[i];

        numbers += (size_t)(ln__conv_pixels(l) * (l->in + l->out));
    }
    return numbers;
}

void ln__head_describe_conv(const ln__head *head, const float *x, int64_t block, float *scratch, float *features)
{
    const ln__conv *conv = &head->conv;
    float *next = scratch;

    if (block == 1 && head->channels > 1) {
        turn(x, head->channels, head->spatial, next);
        x = next;
        next += head->channels * head->spatial;
        block = head->channels;
    }
    for (int32_t i = 0; i < conv->layers; i++) {
        const ln__conv_layer *l = &conv->layer[i];
        float *products = next;

        for (int64_t first = 0; first < l->in; first += block)
            ln__conv_depthwise(l, conv->params, x + first * l->height * l->width, block, first, LN__MIN(block, l->in - first), products);
        x = products + ln__conv_pixels(l) * l->in;
        next = run_pointwise(l, conv->params, products, products + ln__conv_pixels(l) * l->in);
        block = l->out;
    }
    read_cells(head, &conv->layer[conv->layers - 1], x, features);
}
