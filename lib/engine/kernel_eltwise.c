/* kernel_eltwise.c - element by element: copies, unary and binary functions,
 * scale and shift. */
#include "engine/kernels.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 1024 };          /* floats that stay in the first-level cache between two passes */

ln__grid ln__grid_of(const ln__view *v)
{
    ln__grid g = { .rows = v->rows, .channels = v->channels, .pixels = v->spatial, .block = v->block,
                   .row_step = (int64_t)ln__view_row_floats(v) };
    if (v->block == 1) {
        g.groups = v->channels;
        g.lanes = 1;
        g.group_step = v->spatial;
        g.pixel_step = 1;
    } else if (v->block == 8 || v->block == 16) {
        g.lanes = v->block;
        g.groups = (v->channels + v->block - 1) / v->block;
        g.group_step = v->spatial * v->block;
        g.pixel_step = v->block;
    } else {
        g.lanes = LN__MIN(16, v->channels);
        g.groups = (v->channels + g.lanes - 1) / g.lanes;
        g.group_step = g.lanes;
        g.pixel_step = v->channels;
    }
    return g;
}

void ln__part_range(int64_t count, int64_t part, int64_t parts, int64_t *first, int64_t *end)
{
    *first = count * part / parts;
    *end = count * (part + 1) / parts;
}

void ln__job_post(ln__job *job, ln__unary kind, float a, float b)
{
    job->post = true;
    job->post_kind = kind;
    job->post_a = a;
    job->post_b = b;
    job->clamped = kind == LN__RELU || kind == LN__CLIP;
    job->low = kind == LN__RELU ? 0.0F : a;
    job->high = kind == LN__RELU ? INFINITY : b;
}

LN__CLONES
static void clamp(float *y, int64_t n, float low, float high)
{
    for (int64_t i = 0; i < n; i++) {
        float v = y[i] < low ? low : y[i];
        y[i] = v > high ? high : v;
    }
}

void ln__job_finish(const ln__job *job, float *y, int64_t n)
{
    if (job->clamped)
        clamp(y, n, job->low, job->high);
    else if (job->post)
        ln__unary_apply(job->post_kind, job->post_a, job->post_b, y, y, (size_t)n);
}

/* Lanes of a group that hold channels. */
static int64_t used_lanes(const ln__grid *g, int64_t group)
{
    return LN__MIN(g->lanes, g->channels - group * g->lanes);
}

void ln__zero_lanes(const ln__grid *g, float *y, int64_t group)
{
    int64_t used = used_lanes(g, group);
    if (g->pixel_step != g->lanes || used == g->lanes)
        return;
    for (int64_t p = 0; p < g->pixels; p++)
        memset(y + p * g->lanes + used, 0, (size_t)(g->lanes - used) * sizeof *y);
}

/* After a flat pass over part of a view: the last group of every row whose
 * padding this part wrote. */
static void zero_padding(const ln__grid *g, float *y, int64_t first, int64_t end)
{
    int64_t used = used_lanes(g, g->groups - 1);
    if (g->lanes == 1 || g->pixel_step != g->lanes || used == g->lanes)
        return;
    for (int64_t row = first / g->row_step; row * g->row_step < end; row++)
        for (int64_t p = 0; p < g->pixels; p++) {
            int64_t at = row * g->row_step + (g->groups - 1) * g->group_step + p * g->lanes;
            for (int64_t l = LN__MAX(at + used, first); l < LN__MIN(at + g->lanes, end); l++)
                y[l] = 0.0F;
        }
}

void ln__kernel_copy(const ln__job *job, int64_t part, int64_t parts)
{
    int64_t first, end;
    if (job->gx.rows >= parts) {
        ln__part_range(job->gx.rows, part, parts, &first, &end);
        for (int64_t row = first; row < end; row++)
            memcpy(job->y + row * job->y_step, job->x + row * job->x_step,
                   (size_t)job->count * sizeof(float));
        return;
    }
    ln__part_range(job->count, part, parts, &first, &end);
    for (int64_t row = 0; row < job->gx.rows; row++)
        memcpy(job->y + row * job->y_step + first, job->x + row * job->x_step + first,
               (size_t)(end - first) * sizeof(float));
}

void ln__kernel_unary(const ln__job *job, int64_t part, int64_t parts)
{
    int64_t first, end;
    ln__part_range(job->count, part, parts, &first, &end);
    ln__unary_apply((ln__unary)job->kind, job->a, job->b, job->x + first, job->y + first,
                    (size_t)(end - first));
    zero_padding(&job->gy, job->y, first, end);
}

/* ---- Two operands -------------------------------------------------------------- */

LN__INLINE float binary(int32_t kind, float a, float b)
{
    switch (kind) {
    case LN__ADD:    return a + b;
    case LN__SUB:    return a - b;
    case LN__MUL:    return a * b;
    case LN__DIV:    return a / b;
    case LN__MAX_OF: return a > b || a != a ? a : b;
    case LN__MIN_OF: return a < b || a != a ? a : b;
    case LN__PRELU:  return a < 0.0F ? a * b : a;
    default:         return powf(a, b);
    }
}

/* One loop a kind, so that each is vectorised. */
#define BY_KIND(loop)                                   \
    switch (kind) {                                     \
    case LN__ADD:    loop(LN__ADD);    break;           \
    case LN__SUB:    loop(LN__SUB);    break;           \
    case LN__MUL:    loop(LN__MUL);    break;           \
    case LN__DIV:    loop(LN__DIV);    break;           \
    case LN__MAX_OF: loop(LN__MAX_OF); break;           \
    case LN__MIN_OF: loop(LN__MIN_OF); break;           \
    case LN__PRELU:  loop(LN__PRELU);  break;           \
    default:         loop(LN__POW);    break;           \
    }

LN__CLONES
static void binary_flat(int32_t kind, const float *a, const float *b, float *y, int64_t n)
{
#define FLAT(K) _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = binary(K, a[i], b[i])
    BY_KIND(FLAT)
#undef FLAT
}

/* a relu(a + b) in one pass: the residual add. */
LN__CLONES
static void add_clamp(const float *a, const float *b, float *y, int64_t n, float low, float high)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {
        float v = a[i] + b[i];
        v = v < low ? low : v;
        y[i] = v > high ? high : v;
    }
}

void ln__kernel_binary(const ln__job *job, int64_t part, int64_t parts)
{
    int64_t first, end;
    ln__part_range(job->count, part, parts, &first, &end);
    const float *a = job->swapped ? job->other : job->x, *b = job->swapped ? job->x : job->other;
    if (job->kind == LN__ADD && job->clamped) {
        add_clamp(a + first, b + first, job->y + first, end - first, job->low, job->high);
    } else {
        for (int64_t i = first; i < end; i += CHUNK) {
            int64_t n = LN__MIN(CHUNK, end - i);
            binary_flat(job->kind, a + i, b + i, job->y + i, n);
            ln__job_finish(job, job->y + i, n);
        }
    }
    zero_padding(&job->gy, job->y, first, end);
}

/* ---- A number a channel ------------------------------------------------------------ */

LN__CLONES
static void channel_lanes(int32_t kind, bool swapped, const float *x, const float *b, float *y,
                          int64_t pixels, int64_t step, int64_t lanes)
{
#define LANES(K, n)                                                                         \
    for (int64_t p = 0; p < pixels; p++)                                                    \
        _Pragma("GCC ivdep") for (int64_t l = 0; l < (n); l++)                              \
            y[p * step + l] = swapped ? binary(K, b[l], x[p * step + l]) : binary(K, x[p * step + l], b[l])
#define SIXTEEN(K) LANES(K, 16)
#define EIGHT(K) LANES(K, 8)
#define ANY(K) LANES(K, lanes)
    if (lanes == 16) {
        BY_KIND(SIXTEEN)
    } else if (lanes == 8) {
        BY_KIND(EIGHT)
    } else {
        BY_KIND(ANY)
    }
#undef SIXTEEN
#undef EIGHT
#undef ANY
#undef LANES
}

LN__CLONES
static void channel_plain(int32_t kind, bool swapped, const float *x, float b, float *y, int64_t n)
{
#define PLAIN(K) _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) \
        y[i] = swapped ? binary(K, b, x[i]) : binary(K, x[i], b)
    BY_KIND(PLAIN)
#undef PLAIN
}

/* Pixels of a group that make a chunk, and what a group's pixels span. */
static void finish_pixels(const ln__job *job, const ln__grid *g, float *y, int64_t pixels, int64_t lanes)
{
    if (!job->post)
        return;
    if (g->pixel_step == g->lanes) {
        ln__job_finish(job, y, pixels * g->lanes);
        return;
    }
    for (int64_t p = 0; p < pixels; p++)
        ln__job_finish(job, y + p * g->pixel_step, lanes);
}

void ln__kernel_channel(const ln__job *job, int64_t part, int64_t parts)
{
    const ln__grid *g = &job->gx;
    int64_t first, end, pixels = LN__MAX(CHUNK / g->lanes, 1);
    ln__part_range(g->rows * g->groups, part, parts, &first, &end);

    for (int64_t unit = first; unit < end; unit++) {
        int64_t row = unit / g->groups, group = unit % g->groups;
        int64_t used = used_lanes(g, group), lanes = g->pixel_step == g->lanes ? g->lanes : used;
        int64_t at = row * g->row_step + group * g->group_step;
        const float *b = job->other + row * job->other_row + group * job->other_step;
        float spread[16];
        if (job->other_step == 0 || used < lanes) {     /* a plain operand ends with its last channel */
            for (int l = 0; l < 16; l++)
                spread[l] = job->other_step == 0 ? *b : l < used ? b[l] : 0.0F;
            b = spread;
        }
        for (int64_t p = 0; p < g->pixels; p += pixels) {
            int64_t n = LN__MIN(pixels, g->pixels - p), from = at + p * g->pixel_step;
            if (g->lanes == 1 && g->pixel_step == 1)
                channel_plain(job->kind, job->swapped, job->x + from, *b, job->y + from, n);
            else
                channel_lanes(job->kind, job->swapped, job->x + from, b, job->y + from, n,
                              g->pixel_step, lanes);
            finish_pixels(job, g, job->y + from, n, lanes);
        }
        ln__zero_lanes(g, job->y + at, group);
    }
}

LN__INLINE void affine_pixels(const float *x, const float *s, const float *t, float *y, int64_t pixels,
                              int64_t step, int64_t lanes, float low, float high)
{
    for (int64_t p = 0; p < pixels; p++)
#pragma GCC ivdep
        for (int64_t l = 0; l < lanes; l++) {
            float v = x[p * step + l] * s[l] + t[l];
            v = v < low ? low : v;
            y[p * step + l] = v > high ? high : v;
        }
}

LN__CLONES
static void affine_lanes(const float *x, const float *s, const float *t, float *y, int64_t pixels,
                         int64_t step, int64_t lanes, float low, float high)
{
    if (lanes == 16)
        affine_pixels(x, s, t, y, pixels, step, 16, low, high);
    else if (lanes == 8)
        affine_pixels(x, s, t, y, pixels, step, 8, low, high);
    else
        affine_pixels(x, s, t, y, pixels, step, lanes, low, high);
}

LN__CLONES
static void affine_plain(const float *x, float s, float t, float *y, int64_t n, float low, float high)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {
        float v = x[i] * s + t;
        v = v < low ? low : v;
        y[i] = v > high ? high : v;
    }
}

void ln__kernel_affine(const ln__job *job, int64_t part, int64_t parts)
{
    const ln__grid *g = &job->gx;
    int64_t first, end, pixels = LN__MAX(CHUNK / g->lanes, 1);
    float low = job->clamped ? job->low : -INFINITY, high = job->clamped ? job->high : INFINITY;
    ln__part_range(g->rows * g->groups, part, parts, &first, &end);

    for (int64_t unit = first; unit < end; unit++) {
        int64_t row = unit / g->groups, group = unit % g->groups, c = group * g->lanes;
        int64_t lanes = g->pixel_step == g->lanes ? g->lanes : used_lanes(g, group);
        int64_t at = row * g->row_step + group * g->group_step;
        for (int64_t p = 0; p < g->pixels; p += pixels) {
            int64_t n = LN__MIN(pixels, g->pixels - p), from = at + p * g->pixel_step;
            if (g->lanes == 1 && g->pixel_step == 1)
                affine_plain(job->x + from, job->scale[c], job->shift[c], job->y + from, n, low, high);
            else
                affine_lanes(job->x + from, job->scale + c, job->shift + c, job->y + from, n,
                             g->pixel_step, lanes, low, high);
            if (!job->clamped)
                finish_pixels(job, g, job->y + from, n, lanes);
        }
        ln__zero_lanes(g, job->y + at, group);
    }
}
