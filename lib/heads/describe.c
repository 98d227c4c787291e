/* describe.c - what a head reads of a value: pooled statistics or all activations,
 * taken from the engine's layout in place. */
#include "heads/answer_kernels.h"

#include <math.h>
#include <string.h>

/* Pixels summed before they go into the total, so that large maps lose no digits. */
enum { CHUNK = 128 };

/* Channels and pixels of a tile that is turned at once. */
enum { GROUP = 16, TILE = 64 };

/* Up to so many channels, their statistics over the whole map tell too little apart (docs/accuracy.md). */
enum { FEW_CHANNELS = 64 };

bool ln__head_reads_pooled(const ln__head *head)
{
    return head->kind == LN_HEAD_POOL && head->spatial > 1;
}

int64_t ln__head_features(const ln__head *head)
{
    if (head->kind == LN_HEAD_CONV)
        return 2 * (int64_t)head->cells * head->cells * head->conv.layer[head->conv.layers - 1].out;
    if (!ln__head_reads_pooled(head))
        return head->channels * head->spatial;
    return (2 * (int64_t)head->cells * head->cells + 1) * head->channels + ln__head_covariances(head);
}

int64_t ln__head_covariances(const ln__head *head)
{
    return head->covariance && ln__head_reads_pooled(head) ? head->channels * (head->channels - 1) / 2 : 0;
}

int32_t ln__head_cells(int64_t channels, int64_t height, int64_t width, uint32_t wanted)
{
    uint32_t cells = wanted ? wanted : channels <= FEW_CHANNELS ? 4 : 1;

    while (cells > 1 && (height % cells != 0 || width % cells != 0))
        cells--;
    return (int32_t)cells;
}

float ln__head_deviation(double sum, double squares, int64_t count)
{
    double mean = sum / (double)count, variance = squares / (double)count - mean * mean;

    return (float)sqrt((variance > 0.0 ? variance : 0.0) + (double)LN__HEAD_EPSILON);
}

ln__cost ln__head_cost(const ln__head *head)
{
    ln__cost cost = ln__mlp_cost(&head->mlp);

    if (head->kind == LN_HEAD_CONV) {
        ln__cost conv = ln__conv_cost(&head->conv);

        cost.params += conv.params;
        cost.macs += conv.macs;
    }
    /* Squares summed for the standard deviation, products for the covariances. */
    if (ln__head_reads_pooled(head))
        cost.macs += (uint64_t)((head->channels + ln__head_covariances(head)) * head->spatial);
    if (head->carry != 0.0f) {
        cost.params += 1;
        cost.macs += (uint64_t)head->mlp.outputs;
    }
    return cost;
}

void ln__head_carry(const ln__head *head, const float *before, float *logits, int64_t n)
{
    for (int64_t i = 0; head->carry != 0.0f && i < n * head->mlp.outputs; i++)
        logits[i] += head->carry * before[i];
}

/* ---- Pooled statistics -------------------------------------------------------------- */

typedef struct totals { double sum[LN__MOST_LANES], squares[LN__MOST_LANES]; float max[LN__MOST_LANES]; } totals;

static void add_chunk(totals *t, const ln__sums *chunk, int64_t channels, bool first)
{
    for (int64_t i = 0; i < channels; i++) {
        t->sum[i] = (first ? 0.0 : t->sum[i]) + (double)chunk->sum[i];
        t->squares[i] = (first ? 0.0 : t->squares[i]) + (double)chunk->squares[i];
        t->max[i] = first ? chunk->max[i] : LN__MAX(t->max[i], chunk->max[i]);
    }
}

/* As many channels as the kernels take, `stride` floats from pixel to pixel; or one, whose pixels lie side by side. Sums are of
 * x - shift, shift being the first pixel: the variance of a channel whose mean is large would drown otherwise. */
static void pool_channels(const ln__head_kernels *kernels, const float *x, int64_t stride, int64_t spatial, int64_t channels, totals *out)
{
    for (int64_t s = 0; s < spatial; s += CHUNK) {
        int64_t pixels = LN__MIN(CHUNK, spatial - s);
        ln__sums chunk;

        if (stride == 1)
            kernels->line(x + s, pixels, 1, pixels, x[0], &chunk);
        else
            kernels->cell(x + s * stride, stride, pixels * stride, 1, pixels, x, &chunk);
        add_chunk(out, &chunk, channels, s == 0);
    }
}

/* Fewer channels side by side than kernels take. */
static void pool_narrow(const float *x, int64_t width, int64_t spatial, totals *out)
{
    for (int64_t i = 0; i < width; i++) {
        out->sum[i] = out->squares[i] = 0.0;
        out->max[i] = x[i];
    }
    for (int64_t s = 0; s < spatial; s++)
        for (int64_t i = 0; i < width; i++) {
            float v = x[s * width + i];
            double d = (double)(v - x[i]);

            out->max[i] = LN__MAX(out->max[i], v);
            out->sum[i] += d;
            out->squares[i] += d * d;
        }
}

/* `channels` at x, `stride` floats from pixel to pixel, from channel `first` of the value on. */
static void pool_group(const ln__head_kernels *kernels, const float *x, int64_t stride, int64_t first, int64_t channels,
                       const ln__view *view, float *features)
{
    totals t;

    if (stride > 1 && stride < kernels->lanes)
        pool_narrow(x, stride, view->spatial, &t);
    else
        pool_channels(kernels, x, stride, view->spatial, channels, &t);
    for (int64_t i = 0; i < channels; i++) {
        features[first + i] = (float)(t.sum[i] / (double)view->spatial + (double)x[i]);
        features[view->channels + first + i] = ln__head_deviation(t.sum[i], t.squares[i], view->spatial);
        features[2 * view->channels + first + i] = t.max[i];
    }
}

static void pool_row(const float *x, const ln__view *view, float *features)
{
    const ln__head_kernels *kernels = ln__head_kernels_best();
    int64_t block = view->block, lanes = LN__MIN(block, kernels->lanes);

    for (int64_t c = 0; c < view->channels; c += block) {
        int64_t count = LN__MIN(block, view->channels - c);

        for (int64_t done = 0; done < count; done += lanes) {
            /* The last lanes may reach back over channels done already. */
            int64_t from = LN__MIN(done, block - lanes);

            pool_group(kernels, x + c * view->spatial + from, block, c + from, LN__MIN(lanes, count - from), view, features);
        }
    }
}

/* ---- All activations ------------------------------------------------------------------- */

/* `count` channels side by side at x, `stride` floats from pixel to pixel, to lines of `spatial` pixels.
 * By way of a tile in the first cache: both sides are touched in order. */
static void flatten_group(const float *x, int64_t stride, int64_t count, int64_t spatial, float *out)
{
    float tile[TILE * GROUP];

    for (int64_t s0 = 0; s0 < spatial; s0 += TILE) {
        int64_t pixels = LN__MIN(TILE, spatial - s0);

        for (int64_t s = 0; s < pixels; s++)
            for (int64_t c = 0; c < count; c++)
                tile[c * TILE + s] = x[(s0 + s) * stride + c];
        for (int64_t c = 0; c < count; c++)
            memcpy(out + c * spatial + s0, tile + c * TILE, (size_t)pixels * sizeof *tile);
    }
}

static void flatten_row(const float *x, const ln__view *view, float *features)
{
    int64_t block = view->block, spatial = view->spatial;

    if (block == 1 || spatial == 1) {
        memcpy(features, x, (size_t)(view->channels * spatial) * sizeof *features);
        return;
    }
    for (int64_t first = 0; first < view->channels; first += block) {
        int64_t end = LN__MIN(first + block, view->channels);

        for (int64_t c = first; c < end; c += GROUP)
            flatten_group(x + first * spatial + c - first, block, LN__MIN(GROUP, end - c), spatial,
                          features + c * spatial);
    }
}

void ln__head_describe(const ln__head *head, const ln__view *x, float *scratch, float *features)
{
    size_t row = ln__view_row_floats(x);
    int64_t count = ln__head_features(head);

    for (int64_t r = 0; r < x->rows; r++) {
        const float *from = x->data + (size_t)r * row;

        if (head->kind == LN_HEAD_CONV)
            ln__head_describe_conv(head, from, x->block, scratch, features + r * count);
        else if (!ln__head_reads_pooled(head))
            flatten_row(from, x, features + r * count);
        else if (head->cells > 1)
            ln__head_describe_grid(head, from, x->block, features + r * count);
        else
            pool_row(from, x, features + r * count);
        if (ln__head_covariances(head))
            ln__head_describe_covariance(head, from, x->block, scratch, features + r * count,
                                         features + (r + 1) * count - ln__head_covariances(head));
    }
}
