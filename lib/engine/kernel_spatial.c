/* kernel_spatial.c - pooling, reduction over all pixels, slices and padding. */
#include "engine/kernels.h"

#include <math.h>
#include <string.h>

static int64_t group_lanes(const ln__grid *g, int64_t group)
{
    return g->pixel_step == g->lanes ? g->lanes
         : LN__MIN(g->lanes, g->channels - group * g->lanes);
}

/* ---- Pooling ----------------------------------------------------------------- */

/* Positions k of a window at output o that lie inside the input. */
static void window_range(const ln__job *j, int d, int64_t o, int64_t *first, int64_t *end)
{
    int64_t start = o * j->stride[d] - j->begin[d], step = j->dilation[d];
    *first = start < 0 ? (-start + step - 1) / step : 0;
    int64_t room = j->in[d] - start;
    *end = room <= 0 ? 0 : LN__MIN(j->kernel[d], (room + step - 1) / step);
    if (*end < *first)
        *end = *first;
}

/* Positions that count for the mean where padding does: those inside the padded input. */
static int64_t counted(const ln__job *j, int d, int64_t o)
{
    int64_t start = o * j->stride[d] - j->begin[d], step = j->dilation[d];
    int64_t room = j->in[d] + j->end[d] - start;
    return LN__MIN(j->kernel[d], (room + step - 1) / step);
}

typedef struct { int64_t first[3], end[3], base[3]; } place;

/* Where the window's line d, h begins in the input, from which taps are counted. */
LN__INLINE const float *window_line(const ln__job *j, const float *x, const place *at, int64_t d, int64_t h)
{
    return x + ((at->base[0] + d * j->dilation[0]) * j->in[1] + at->base[1] + h * j->dilation[1]) * j->in[2] * j->gx.pixel_step
         + at->base[2] * j->gx.pixel_step;
}

LN__INLINE void pool_any(const ln__job *j, const float *x, float *y, const place *at, int64_t lanes, float share)
{
    int64_t step = j->gx.pixel_step * j->dilation[2];
    for (int64_t l = 0; l < lanes; l++) {
        float sum = j->average ? 0.0F : -INFINITY;
        for (int64_t d = at->first[0]; d < at->end[0]; d++)
            for (int64_t h = at->first[1]; h < at->end[1]; h++) {
                const float *line = window_line(j, x, at, d, h);
                for (int64_t w = at->first[2]; w < at->end[2]; w++) {
                    float v = line[w * step + l];
                    sum = j->average ? sum + v : v > sum || v != v ? v : sum;
                }
            }
        y[l] = sum * share;
    }
}

#if defined(__GNUC__)
/* Sums stay in a register: left to arrays, compilers keep them in memory. NaN, which is not greater, is kept
 * beside the largest, so that no step waits for more than one comparison. */
typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef float f16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));

#define POOL_VECTOR(name, fv, iv, average)                                                       \
    LN__INLINE void name(const ln__job *j, const float *x, float *y, const place *at, float share) \
    {                                                                                            \
        int64_t step = j->gx.pixel_step * j->dilation[2];                                        \
        fv sum = { 0 }, odd = { 0 }, v;                                                          \
        if (!(average))                                                                          \
            sum = sum - INFINITY;                                                                \
        for (int64_t d = at->first[0]; d < at->end[0]; d++)                                      \
            for (int64_t h = at->first[1]; h < at->end[1]; h++) {                                \
                const float *line = window_line(j, x, at, d, h);                                 \
                for (int64_t w = at->first[2]; w < at->end[2]; w++) {                            \
                    memcpy(&v, line + w * step, sizeof v);                                       \
                    if (average) {                                                               \
                        sum += v;                                                                \
                    } else {                                                                     \
                        iv more = v > sum, even = v == v;                                        \
                        sum = (fv)((more & (iv)v) | (~more & (iv)sum));                          \
                        odd = (fv)((even & (iv)odd) | (~even & (iv)v));                          \
                    }                                                                            \
                }                                                                                \
            }                                                                                    \
        sum = (average) ? sum * share : sum + odd;                                               \
        memcpy(y, &sum, sizeof sum);                                                             \
    }
POOL_VECTOR(mean_8, f8, i8, true)
POOL_VECTOR(most_8, f8, i8, false)
POOL_VECTOR(mean_16, f16, i16, true)
POOL_VECTOR(most_16, f16, i16, false)
#undef POOL_VECTOR
#endif

LN__INLINE void pool_one(const ln__job *j, const float *x, float *y, const place *at, int64_t lanes, float share)
{
#if defined(__GNUC__)
    if (lanes == 16 && j->average)
        mean_16(j, x, y, at, share);
    else if (lanes == 16)
        most_16(j, x, y, at, share);
    else if (lanes == 8 && j->average)
        mean_8(j, x, y, at, share);
    else if (lanes == 8)
        most_8(j, x, y, at, share);
    else
#endif
        pool_any(j, x, y, at, lanes, share);
}

LN__CLONES
static void pool_row(const ln__job *j, const float *x, float *y, place *at, int64_t lanes, int64_t outside)
{
    int64_t inside = (at->end[0] - at->first[0]) * (at->end[1] - at->first[1]);
    for (int64_t o = 0; o < j->out[2]; o++) {
        window_range(j, 2, o, &at->first[2], &at->end[2]);
        at->base[2] = o * j->stride[2] - j->begin[2];
        int64_t n = j->count_padding ? outside * counted(j, 2, o)
                                     : inside * (at->end[2] - at->first[2]);
        pool_one(j, x, y + o * j->gy.pixel_step, at, lanes, j->average ? 1.0F / (float)LN__MAX(n, 1) : 1.0F);
    }
}

void ln__kernel_pool(const ln__job *j, int64_t part, int64_t parts)
{
    int64_t first, end;
    ln__part_range(j->gx.rows * j->gx.groups, part, parts, &first, &end);
    for (int64_t unit = first; unit < end; unit++) {
        int64_t row = unit / j->gx.groups, group = unit % j->gx.groups;
        const float *x = j->x + row * j->gx.row_step + group * j->gx.group_step;
        float *y = j->y + row * j->gy.row_step + group * j->gy.group_step;
        int64_t lanes = group_lanes(&j->gx, group);
        for (int64_t d = 0; d < j->out[0]; d++)
            for (int64_t h = 0; h < j->out[1]; h++) {
                place at = { .base = { d * j->stride[0] - j->begin[0], h * j->stride[1] - j->begin[1], 0 } };
                window_range(j, 0, d, &at.first[0], &at.end[0]);
                window_range(j, 1, h, &at.first[1], &at.end[1]);
                int64_t outside = j->count_padding ? counted(j, 0, d) * counted(j, 1, h) : 0;
                pool_row(j, x, y + (d * j->out[1] + h) * j->out[2] * j->gy.pixel_step, &at, lanes, outside);
            }
    }
}

/* ---- Over all pixels -------------------------------------------------------------- */

LN__INLINE void reduce_lanes(int32_t kind, const float *x, float *y, int64_t pixels, int64_t step, int64_t lanes)
{
    float acc[4][16];
    int64_t p = 0;
    for (int i = 0; i < 4; i++)
        for (int64_t l = 0; l < lanes; l++)
            acc[i][l] = kind == LN__MAX ? -INFINITY : 0.0F;
    for (; p + 4 <= pixels; p += 4)
        for (int i = 0; i < 4; i++)
            for (int64_t l = 0; l < lanes; l++) {
                float v = x[(p + i) * step + l];
                acc[i][l] = kind == LN__MAX ? (v > acc[i][l] || v != v ? v : acc[i][l]) : acc[i][l] + v;
            }
    for (; p < pixels; p++)
        for (int64_t l = 0; l < lanes; l++) {
            float v = x[p * step + l];
            acc[0][l] = kind == LN__MAX ? (v > acc[0][l] || v != v ? v : acc[0][l]) : acc[0][l] + v;
        }
    float share = kind == LN__MEAN ? 1.0F / (float)pixels : 1.0F;
    for (int64_t l = 0; l < lanes; l++) {
        float v = acc[0][l];
        for (int i = 1; i < 4; i++)
            v = kind == LN__MAX ? (acc[i][l] > v || acc[i][l] != acc[i][l] ? acc[i][l] : v) : v + acc[i][l];
        y[l] = v * share;
    }
}

/* Plain channels: 16 neighbouring pixels take the lanes' place. */
LN__CLONES
static void reduce_plain(int32_t kind, const float *x, float *y, int64_t pixels)
{
    float lane[16], rest;
    int64_t whole = pixels / 16, at = whole * 16;
    int32_t inner = kind == LN__MAX ? LN__MAX : LN__SUM;
    float v = kind == LN__MAX ? -INFINITY : 0.0F;
    if (whole) {
        if (inner == LN__MAX)
            reduce_lanes(LN__MAX, x, lane, whole, 16, 16);
        else
            reduce_lanes(LN__SUM, x, lane, whole, 16, 16);
        for (int l = 0; l < 16; l++)
            v = kind == LN__MAX ? (lane[l] > v || lane[l] != lane[l] ? lane[l] : v) : v + lane[l];
    }
    for (; at < pixels; at++) {
        rest = x[at];
        v = kind == LN__MAX ? (rest > v || rest != rest ? rest : v) : v + rest;
    }
    *y = kind == LN__MEAN ? v / (float)pixels : v;
}

LN__CLONES
static void reduce_group(int32_t kind, const float *x, float *y, int64_t pixels, int64_t step, int64_t lanes)
{
    if (lanes == 16 && kind == LN__MEAN)
        reduce_lanes(LN__MEAN, x, y, pixels, step, 16);
    else if (lanes == 16 && kind == LN__MAX)
        reduce_lanes(LN__MAX, x, y, pixels, step, 16);
    else if (lanes == 8 && kind == LN__MEAN)
        reduce_lanes(LN__MEAN, x, y, pixels, step, 8);
    else if (lanes == 8 && kind == LN__MAX)
        reduce_lanes(LN__MAX, x, y, pixels, step, 8);
    else
        reduce_lanes(kind, x, y, pixels, step, lanes);
}

void ln__kernel_reduce(const ln__job *j, int64_t part, int64_t parts)
{
    int64_t first, end;
    ln__part_range(j->gx.rows * j->gx.groups, part, parts, &first, &end);
    for (int64_t unit = first; unit < end; unit++) {
        int64_t row = unit / j->gx.groups, group = unit % j->gx.groups;
        const float *x = j->x + row * j->gx.row_step + group * j->gx.group_step;
        float *y = j->y + row * j->gy.row_step + group * j->gx.lanes;
        if (j->gx.lanes == 1 && j->gx.pixel_step == 1) {
            reduce_plain(j->kind, x, y, j->gx.pixels);
            continue;
        }
        reduce_group(j->kind, x, y, j->gx.pixels, j->gx.pixel_step, group_lanes(&j->gx, group));
        if (j->gx.pixel_step == j->gx.lanes)
            ln__zero_lanes(&j->gy, y, group);
    }
}

/* ---- Slices and padding ---------------------------------------------------------------- */

/* Where channel c lies in a row. */
static int64_t channel_at(const ln__grid *g, int64_t c)
{
    return c / g->lanes * g->group_step + c % g->lanes;
}

/* Outputs o of dimension d whose input lies inside. */
static void inside(const ln__job *j, int d, int64_t *first, int64_t *end)
{
    *first = 0;
    *end = j->out[d];
    while (*first < *end) {
        int64_t i = *first * j->stride[d] - j->begin[d];
        if (i >= 0 && i < j->in[d])
            break;
        ++*first;
    }
    while (*end > *first) {
        int64_t i = (*end - 1) * j->stride[d] - j->begin[d];
        if (i >= 0 && i < j->in[d])
            break;
        --*end;
    }
}

/* `lanes` channels that lie side by side in both. */
LN__CLONES
static void window_lanes(const ln__job *j, const float *x, float *y, int64_t lanes)
{
    int64_t first[3], end[3], sx = j->gx.pixel_step, sy = j->gy.pixel_step;
    for (int d = 0; d < 3; d++)
        inside(j, d, &first[d], &end[d]);
    for (int64_t d = 0; d < j->out[0]; d++)
        for (int64_t h = 0; h < j->out[1]; h++) {
            bool in = d >= first[0] && d < end[0] && h >= first[1] && h < end[1];
            int64_t id = d * j->stride[0] - j->begin[0], ih = h * j->stride[1] - j->begin[1];
            const float *from = in ? x + (id * j->in[1] + ih) * j->in[2] * sx : x;
            float *to = y + (d * j->out[1] + h) * j->out[2] * sy;
            int64_t w0 = in ? first[2] : 0, w1 = in ? end[2] : 0;
            for (int64_t w = 0; w < j->out[2]; w++) {
                if (w < w0 || w >= w1) {
                    for (int64_t l = 0; l < lanes; l++)
                        to[w * sy + l] = j->fill;
                    continue;
                }
                const float *v = from + (w * j->stride[2] - j->begin[2]) * sx;
                for (int64_t l = 0; l < lanes; l++)
                    to[w * sy + l] = v[l];
            }
        }
}

static void fill_channels(const ln__job *j, float *y, int64_t lanes)
{
    for (int64_t p = 0; p < j->gy.pixels; p++)
        for (int64_t l = 0; l < lanes; l++)
            y[p * j->gy.pixel_step + l] = j->fill;
}

/* How many channels from `source` on, at most `most`, the input has side by side, or has not at all. */
static int64_t together(const ln__job *j, int64_t source, int64_t most)
{
    if (j->channel_step != 1)
        return 1;
    if (source < 0)
        return LN__MIN(most, -source);
    if (source >= j->gx.channels)
        return most;
    return LN__MIN(most, LN__MIN(j->gx.lanes - source % j->gx.lanes, j->gx.channels - source));
}

/* One group of the output, as many of its channels at once as the input has side by side. */
static void window_group(const ln__job *j, const float *x, float *y, int64_t group)
{
    int64_t c = group * j->gy.lanes, used = LN__MIN(j->gy.lanes, j->gy.channels - c);
    for (int64_t l = 0, count; l < used; l += count) {
        int64_t source = j->channel_begin + (c + l) * j->channel_step;
        count = together(j, source, used - l);
        if (source < 0 || source >= j->gx.channels)
            fill_channels(j, y + l, count);
        else
            window_lanes(j, x + channel_at(&j->gx, source), y + l, count);
    }
    ln__zero_lanes(&j->gy, y, group);
}

void ln__kernel_window(const ln__job *j, int64_t part, int64_t parts)
{
    int64_t first, end;
    ln__part_range(j->gy.rows * j->gy.groups, part, parts, &first, &end);
    for (int64_t unit = first; unit < end; unit++) {
        int64_t row = unit / j->gy.groups, group = unit % j->gy.groups;
        window_group(j, j->x + row * j->gx.row_step,
                     j->y + row * j->gy.row_step + group * j->gy.group_step, group);
    }
}
