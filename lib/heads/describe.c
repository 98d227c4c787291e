/* describe.c - what a head reads of a value: pooled statistics or all activations,
 * taken from the engine's layout in place. */
#include "heads/heads.h"
#include "heads/lanes.h"

#include <math.h>

/* Pixels summed before they go into the total, so that large maps lose no digits. */
enum { CHUNK = 128 };

static const float EPSILON = 1e-6f;     /* docs/methods.md and the ONNX form say the same */

bool ln__head_reads_pooled(int32_t kind, int64_t spatial)
{
    return kind == LN_HEAD_POOL && spatial > 1;
}

int64_t ln__head_features(int32_t kind, int64_t channels, int64_t spatial)
{
    return ln__head_reads_pooled(kind, spatial) ? 3 * channels : channels * spatial;
}

ln__cost ln__head_cost(const ln__head *head)
{
    ln__cost cost = ln__mlp_cost(&head->mlp);

    /* Squares summed for the standard deviation. */
    if (ln__head_reads_pooled(head->kind, head->spatial))
        cost.macs += (uint64_t)head->channels * (uint64_t)head->spatial;
    return cost;
}

/* ---- Pooled statistics -------------------------------------------------------------- */

/* Sums are of x - shift, shift being the first pixel: the variance of a channel
 * whose mean is large would drown otherwise. */
static void store_statistics(float *features, int64_t channels, int64_t c, double sum, double squares,
                             float shift, float max, int64_t spatial)
{
    double mean = sum / (double)spatial;
    double variance = squares / (double)spatial - mean * mean;

    features[c] = (float)(mean + (double)shift);
    features[channels + c] = (float)sqrt((variance > 0.0 ? variance : 0.0) + (double)EPSILON);
    features[2 * channels + c] = max;
}

/* Sixteen channels side by side, `stride` floats from pixel to pixel. */
LN__LANES_BODY void pool_lanes_body(const float *x, int64_t stride, int64_t spatial, const float *shifts,
                                    double *sum, double *squares, float *max)
{
    ln__lanes shift, top;

    ln__lanes_load(&shift, shifts);
    top = shift;
    for (int i = 0; i < LN__LANES; i++)
        sum[i] = squares[i] = 0.0;
    for (int64_t s = 0; s < spatial; s += CHUNK) {
        int64_t end = LN__MIN(s + CHUNK, spatial);
        ln__lanes a = { 0 }, b = { 0 };

        for (int64_t t = s; t < end; t++) {
            ln__lanes v, d;

            ln__lanes_load(&v, x + t * stride);
            ln__lanes_max(&top, &v);
            d = v - shift;
            a += d;
            b += d * d;
        }
        for (int i = 0; i < LN__LANES; i++) {
            sum[i] += (double)a[i];
            squares[i] += (double)b[i];
        }
    }
    memcpy(max, &top, sizeof top);
}
LN__LANES_DISPATCH(pool_lanes, pool_lanes_body,
                   (const float *x, int64_t stride, int64_t spatial, const float *shifts, double *sum,
                    double *squares, float *max),
                   (x, stride, spatial, shifts, sum, squares, max))

/* One channel whose pixels lie side by side. */
LN__LANES_BODY void pool_line_body(const float *x, int64_t spatial, double *sum, double *squares, float *max)
{
    float first = x[0], top = x[0];
    ln__lanes shift, most;
    int64_t s = 0;

    *sum = *squares = 0.0;
    ln__lanes_fill(&shift, first);
    most = shift;
    while (s + LN__LANES <= spatial) {
        int64_t end = LN__MIN(s + CHUNK * LN__LANES, spatial / LN__LANES * LN__LANES);
        ln__lanes a = { 0 }, b = { 0 };

        for (; s < end; s += LN__LANES) {
            ln__lanes v, d;

            ln__lanes_load(&v, x + s);
            ln__lanes_max(&most, &v);
            d = v - shift;
            a += d;
            b += d * d;
        }
        *sum += (double)ln__lanes_sum(&a);
        *squares += (double)ln__lanes_sum(&b);
    }
    for (; s < spatial; s++) {
        double d = (double)(x[s] - first);

        top = x[s] > top ? x[s] : top;
        *sum += d;
        *squares += d * d;
    }
    for (int i = 0; i < LN__LANES; i++)
        top = most[i] > top ? most[i] : top;
    *max = top;
}
LN__LANES_DISPATCH(pool_line, pool_line_body,
                   (const float *x, int64_t spatial, double *sum, double *squares, float *max),
                   (x, spatial, sum, squares, max))

/* Fewer than sixteen channels side by side: pixels are one after the other, and
 * sixteen floats hold whole pixels where `width` divides sixteen. */
static void pool_narrow(const float *x, int64_t width, int64_t spatial, double *sum, double *squares, float *max)
{
    int64_t together = LN__LANES % width == 0 ? LN__LANES / width : 0;
    int64_t s = 0;

    for (int64_t i = 0; i < width; i++) {
        sum[i] = squares[i] = 0.0;
        max[i] = x[i];
    }
    if (together > 0 && spatial >= together) {
        float shifts[LN__LANES], top[LN__LANES];
        double a[LN__LANES], b[LN__LANES];

        for (int64_t i = 0; i < LN__LANES; i++)
            shifts[i] = x[i % width];
        pool_lanes(x, LN__LANES, spatial / together, shifts, a, b, top);
        for (int64_t i = 0; i < LN__LANES; i++) {
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
    double sum[LN__LANES], squares[LN__LANES];
    float max[LN__LANES];

    for (int64_t done = 0; done < count; done += LN__LANES) {
        /* The last sixteen may reach back over channels done already. */
        int64_t from = width < LN__LANES ? 0 : LN__MIN(done, width - LN__LANES);

        if (width < LN__LANES)
            pool_narrow(x, width, view->spatial, sum, squares, max);
        else
            pool_lanes(x + from, width, view->spatial, x + from, sum, squares, max);
        for (int64_t i = 0; i < LN__LANES && from + i < count; i++)
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

static void flatten_row(const float *x, const ln__view *view, float *features)
{
    int64_t block = view->block, spatial = view->spatial;

    if (block == 1 || spatial == 1) {
        memcpy(features, x, (size_t)(view->channels * spatial) * sizeof *features);
        return;
    }
    /* Tiles of 16 channels by 64 pixels: their lines stay in the first cache. */
    for (int64_t c0 = 0; c0 < view->channels; c0 += LN__LANES)
        for (int64_t s0 = 0; s0 < spatial; s0 += 64) {
            int64_t c1 = LN__MIN(c0 + LN__LANES, view->channels), s1 = LN__MIN(s0 + 64, spatial);

            for (int64_t c = c0; c < c1; c++) {
                const float *from = x + c / block * block * spatial + c % block;

                for (int64_t s = s0; s < s1; s++)
                    features[c * spatial + s] = from[s * block];
            }
        }
}

void ln__head_describe(int32_t kind, const ln__view *x, float *features)
{
    size_t row = ln__view_row_floats(x);
    int64_t count = ln__head_features(kind, x->channels, x->spatial);

    for (int64_t r = 0; r < x->rows; r++) {
        const float *from = x->data + (size_t)r * row;

        if (ln__head_reads_pooled(kind, x->spatial))
            pool_row(from, x, features + r * count);
        else
            flatten_row(from, x, features + r * count);
    }
}
