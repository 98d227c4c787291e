/* describe.c - what a head reads of a value: pooled statistics or all activations,
 * taken from the engine's layout in place. */
#include "heads/heads.h"
#include "heads/lanes.h"

#include <math.h>

/* Pixels summed before they go into the total, so that large maps lose no digits. */
enum { CHUNK = 128 };

/* Numbers taken at once: two vectors, so that the sums need not wait for each other. */
enum { PAIR = 2, GROUP = PAIR * LN__LANES };

/* Pixels of a tile that is turned at once. */
enum { TILE = 64 };

/* Up to so many channels, their statistics over the whole map tell too little apart (docs/accuracy.md). */
enum { FEW_CHANNELS = 64 };

static const float EPSILON = 1e-6f;     /* docs/methods.md and the ONNX form say the same */

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
    return (2 * (int64_t)head->cells * head->cells + 1) * head->channels;
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

    return (float)sqrt((variance > 0.0 ? variance : 0.0) + (double)EPSILON);
}

ln__cost ln__head_cost(const ln__head *head)
{
    ln__cost cost = ln__mlp_cost(&head->mlp);

    if (head->kind == LN_HEAD_CONV) {
        ln__cost conv = ln__conv_cost(&head->conv);

        cost.params += conv.params;
        cost.macs += conv.macs;
    }
    /* Squares summed for the standard deviation. */
    if (ln__head_reads_pooled(head))
        cost.macs += (uint64_t)head->channels * (uint64_t)head->spatial;
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

/* Sums are of x - shift, shift being the first pixel: the variance of a channel
 * whose mean is large would drown otherwise. */
static void store_statistics(float *features, int64_t channels, int64_t c, double sum, double squares,
                             float shift, float max, int64_t spatial)
{
    features[c] = (float)(sum / (double)spatial + (double)shift);
    features[channels + c] = ln__head_deviation(sum, squares, spatial);
    features[2 * channels + c] = max;
}

/* Sums and maxima of `count` steps of GROUP floats, `stride` apart. */
LN__LANES_BODY void pool_chunk(const float *x, int64_t stride, int64_t count, const ln__lanes *shift,
                               ln__lanes *top, ln__lanes *sum, ln__lanes *squares)
{
    for (int k = 0; k < PAIR; k++)
        sum[k] = squares[k] = (ln__lanes){ 0 };
    for (int64_t t = 0; t < count; t++)
        for (int k = 0; k < PAIR; k++) {
            ln__lanes v, d;

            ln__lanes_load(&v, x + t * stride + k * LN__LANES);
            ln__lanes_max(&top[k], &v);
            d = v - shift[k];
            sum[k] += d;
            squares[k] += d * d;
        }
}

/* GROUP channels side by side, `stride` floats from pixel to pixel; each of shifts, sum, squares, max [GROUP]. */
LN__LANES_BODY void pool_lanes_body(const float *x, int64_t stride, int64_t spatial, const float *shifts,
                                    double *sum, double *squares, float *max)
{
    ln__lanes shift[PAIR], top[PAIR];

    for (int k = 0; k < PAIR; k++) {
        ln__lanes_load(&shift[k], shifts + k * LN__LANES);
        top[k] = shift[k];
    }
    for (int i = 0; i < GROUP; i++)
        sum[i] = squares[i] = 0.0;
    for (int64_t s = 0; s < spatial; s += CHUNK) {
        ln__lanes a[PAIR], b[PAIR];

        pool_chunk(x + s * stride, stride, LN__MIN(CHUNK, spatial - s), shift, top, a, b);
        for (int i = 0; i < GROUP; i++) {
            sum[i] += (double)a[i / LN__LANES][i % LN__LANES];
            squares[i] += (double)b[i / LN__LANES][i % LN__LANES];
        }
    }
    memcpy(max, top, sizeof top);
}
LN__LANES_DISPATCH(pool_lanes, pool_lanes_body,
                   (const float *x, int64_t stride, int64_t spatial, const float *shifts, double *sum,
                    double *squares, float *max),
                   (x, stride, spatial, shifts, sum, squares, max))

/* One channel whose pixels lie side by side. */
LN__LANES_BODY void pool_line_body(const float *x, int64_t spatial, double *sum, double *squares, float *max)
{
    int64_t steps = spatial / GROUP;
    ln__lanes shift[PAIR], top[PAIR];

    *sum = *squares = 0.0;
    for (int k = 0; k < PAIR; k++) {
        ln__lanes_fill(&shift[k], x[0]);
        top[k] = shift[k];
    }
    for (int64_t s = 0; s < steps; s += CHUNK) {
        ln__lanes a[PAIR], b[PAIR];

        pool_chunk(x + s * GROUP, GROUP, LN__MIN(CHUNK, steps - s), shift, top, a, b);
        for (int k = 0; k < PAIR; k++) {
            *sum += (double)ln__lanes_sum(&a[k]);
            *squares += (double)ln__lanes_sum(&b[k]);
        }
    }
    *max = x[0];
    for (int i = 0; i < GROUP; i++)
        *max = LN__MAX(*max, top[i / LN__LANES][i % LN__LANES]);
    for (int64_t s = steps * GROUP; s < spatial; s++) {
        double d = (double)(x[s] - x[0]);

        *max = LN__MAX(*max, x[s]);
        *sum += d;
        *squares += d * d;
    }
}
LN__LANES_DISPATCH(pool_line, pool_line_body,
                   (const float *x, int64_t spatial, double *sum, double *squares, float *max),
                   (x, spatial, sum, squares, max))

/* Fewer than sixteen channels side by side: pixels are one after the other, and
 * sixteen floats hold whole pixels where `width` divides sixteen. */
static void pool_narrow(const float *x, int64_t width, int64_t spatial, double *sum, double *squares, float *max)
{
    int64_t together = GROUP % width == 0 ? GROUP / width : 0;
    int64_t s = 0;

    for (int64_t i = 0; i < width; i++) {
        sum[i] = squares[i] = 0.0;
        max[i] = x[i];
    }
    if (together > 0 && spatial >= together) {
        float shifts[GROUP], top[GROUP];
        double a[GROUP], b[GROUP];

        for (int64_t i = 0; i < GROUP; i++)
            shifts[i] = x[i % width];
        pool_lanes(x, GROUP, spatial / together, shifts, a, b, top);
        for (int64_t i = 0; i < GROUP; i++) {
            sum[i % width] += a[i];
            squares[i % width] += b[i];
            max[i % width] = LN__MAX(max[i % width], top[i]);
        }
        s = spatial / together * together;
    }
    for (; s < spatial; s++)
        for (int64_t i = 0; i < width; i++) {
            float v = x[s * width + i];
            double d = (double)(v - x[i]);

            max[i] = LN__MAX(max[i], v);
            sum[i] += d;
            squares[i] += d * d;
        }
}

/* A block: `width` channels side by side at x, the first `count` of them real, from channel `first` on. */
static void pool_block(const float *x, int64_t width, int64_t first, int64_t count, const ln__view *view,
                       float *features)
{
    double sum[GROUP], squares[GROUP];
    float max[GROUP];

    for (int64_t done = 0; done < count; done += GROUP) {
        /* The last sixteen may reach back over channels done already. */
        int64_t from = width < GROUP ? 0 : LN__MIN(done, width - GROUP);

        if (width < GROUP)
            pool_narrow(x, width, view->spatial, sum, squares, max);
        else
            pool_lanes(x + from, width, view->spatial, x + from, sum, squares, max);
        for (int64_t i = 0; i < GROUP && from + i < count; i++)
            store_statistics(features, view->channels, first + from + i, sum[i], squares[i], x[from + i],
                             max[i], view->spatial);
    }
}

static void pool_row(const float *x, const ln__view *view, float *features)
{
    int64_t block = view->block;

    if (block == 1) {
        for (int64_t c = 0; c < view->channels; c++) {
            const float *line = x + c * view->spatial;
            double sum, squares;
            float max;

            pool_line(line, view->spatial, &sum, &squares, &max);
            store_statistics(features, view->channels, c, sum, squares, line[0], max, view->spatial);
        }
        return;
    }
    for (int64_t c = 0; c < view->channels; c += block)
        pool_block(x + c * view->spatial, block, c, LN__MIN(block, view->channels - c), view, features);
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
    }
}
