/* Resize: for each dimension a table says which input positions an output
 * position takes, and how much of each; rows are then gathered. */
#include "graph/graph_internal.h"

#include <math.h>
#include <string.h>

enum { MOST_TAPS = 1 << 16 };

typedef struct tap { int64_t at; float weight; } tap;   /* at -1: outside, extrapolated */

/* ---- Parameters ------------------------------------------------------------------------- */

/* The input's numbers, one a resized dimension, `n` of them; NULL where absent or empty. */
static const ln__tensor *list(const ln__node *node, const ln__tensor *const *in, int32_t i)
{
    if (i >= node->n_in || in[i] == NULL || ln__tensor_count(in[i]) == 0)
        return NULL;
    return in[i];
}

static bool axis_order(const ln__node *node, int32_t rank, int64_t *axes, int32_t *n)
{
    bool seen[LN__MAX_RANK] = { false };

    *n = node->u.resize.n_axes == 0 ? rank : node->u.resize.n_axes;
    for (int32_t i = 0; i < *n; i++) {
        axes[i] = node->u.resize.n_axes == 0 ? i : node->u.resize.axes[i];
        if (axes[i] < 0)
            axes[i] += rank;
        if (axes[i] < 0 || axes[i] >= rank || seen[axes[i]])
            return false;
        seen[axes[i]] = true;
    }
    return true;
}

static bool by_scales(ln__resize_scale *out, ln__tensor *type, const ln__tensor *x, const ln__tensor *scales,
                      const int64_t *axes, int32_t n, const char **why)
{
    *why = "scales must be one positive number for each axis";
    if (scales->dtype != LN__F32 || scales->rank != 1 || scales->dim[0] != n)
        return false;
    for (int32_t i = 0; i < n; i++) {
        int64_t d = axes[i];
        float s = ln__tensor_float(scales, i), width = s * (float)x->dim[d] * (out->to[d] - out->from[d]);
        if (!(s > 0.0f) || !(width < 1e12f) || !(width >= 0.0f))
            return false;
        out->scale[d] = s;
        out->width[d] = width;
        type->dim[d] = (int64_t)floorf(width);
    }
    return true;
}

static bool by_sizes(ln__resize_scale *out, ln__tensor *type, const ln__node *node, const ln__tensor *x,
                     const ln__tensor *sizes, const int64_t *axes, int32_t n, const char **why)
{
    int64_t size[LN__MAX_RANK];
    int32_t count;
    float common = 0.0f;

    *why = "sizes must be one positive number for each axis";
    if (!ln__tensor_ints(sizes, size, LN__MAX_RANK, &count) || count != n)
        return false;
    for (int32_t i = 0; i < n; i++) {
        float s = x->dim[axes[i]] == 0 ? 0.0f : (float)size[i] / (float)x->dim[axes[i]];
        if (size[i] < 1 || size[i] > (int64_t)1 << 40 || s == 0.0f)
            return false;
        if (i == 0 || (node->u.resize.aspect == LN__NOT_LARGER ? s < common : s > common))
            common = s;
    }
    for (int32_t i = 0; i < n; i++) {
        int64_t d = axes[i];
        bool stretch = node->u.resize.aspect == LN__STRETCH;
        float width = floorf(common * (float)x->dim[d] + 0.5f);
        if (!stretch && width > 0x1p40f)
            return false;
        type->dim[d] = stretch ? size[i] : (int64_t)width;
        out->scale[d] = stretch ? (float)size[i] / (float)x->dim[d] : common;
        out->width[d] = (float)type->dim[d];
    }
    return true;
}

static bool regions(ln__resize_scale *out, const ln__node *node, const ln__tensor *const *in, const int64_t *axes, int32_t n)
{
    const ln__tensor *roi = list(node, in, 1);

    if (node->u.resize.coordinate != LN__TF_CROP_AND_RESIZE)
        return true;
    if (roi == NULL || roi->dtype != LN__F32 || roi->rank != 1 || roi->dim[0] != 2 * n)
        return false;
    for (int32_t i = 0; i < n; i++) {
        out->from[axes[i]] = ln__tensor_float(roi, i);
        out->to[axes[i]] = ln__tensor_float(roi, n + i);
    }
    return true;
}

static int64_t taps_of(const ln__node *node, const ln__resize_scale *s, int32_t d)
{
    float reach = node->u.resize.mode == LN__RESIZE_CUBIC ? 2.0f : 1.0f;

    if (!s->touched[d] || node->u.resize.mode == LN__RESIZE_NEAREST)
        return 1;
    if (node->u.resize.antialias && s->scale[d] < 1.0f)
        reach = ceilf(LN__MIN(reach / s->scale[d], (float)MOST_TAPS));
    return 2 * (int64_t)reach;
}

bool ln__resize_resolve(ln__resize_scale *out, ln__tensor *type, const ln__node *node,
                        const ln__tensor *const *in, const char **why)
{
    const ln__tensor *x = in[0], *scales = list(node, in, 2), *sizes = list(node, in, 3);
    int64_t axes[LN__MAX_RANK];
    int32_t n;

    *type = *x;
    type->data = NULL;
    for (int32_t d = 0; d < x->rank; d++) {
        out->scale[d] = out->to[d] = 1.0f;
        out->from[d] = 0.0f;
        out->width[d] = (float)x->dim[d];
    }
    *why = "axes must be different and in range";
    if (!axis_order(node, x->rank, axes, &n))
        return false;
    *why = "tf_crop_and_resize needs two numbers for each axis in roi";
    if (!regions(out, node, in, axes, n))
        return false;
    *why = "either scales or sizes are needed";
    if ((scales == NULL) == (sizes == NULL))
        return false;
    if (!(scales != NULL ? by_scales(out, type, x, scales, axes, n, why) : by_sizes(out, type, node, x, sizes, axes, n, why)))
        return false;
    for (int32_t d = 0; d < x->rank; d++) {
        out->touched[d] = type->dim[d] != x->dim[d] || out->scale[d] != 1.0f || out->from[d] != 0.0f || out->to[d] != 1.0f;
        *why = "scales are too small";
        if (taps_of(node, out, d) > MOST_TAPS)
            return false;
        *why = "nothing to interpolate from";
        if (out->touched[d] && x->dim[d] == 0 && type->dim[d] != 0)
            return false;
    }
    return true;
}

/* ---- Tables -------------------------------------------------------------------------------- */

static float source(const ln__node *node, const ln__resize_scale *s, int32_t d, int64_t at, int64_t in, int64_t out)
{
    float x = (float)at, scale = s->scale[d], width = s->width[d], n = (float)in;

    switch (node->u.resize.coordinate) {
    case LN__ASYMMETRIC:           return x / scale;
    case LN__ALIGN_CORNERS:        return width == 1.0f || out == 1 ? 0.0f : x * (n - 1.0f) / (width - 1.0f);
    case LN__PYTORCH_HALF_PIXEL:   return out == 1 ? 0.0f : (x + 0.5f) / scale - 0.5f;
    case LN__TF_HALF_PIXEL_FOR_NN: return (x + 0.5f) / scale;
    case LN__HALF_PIXEL_SYMMETRIC: return n * 0.5f * (1.0f - (float)out / width) + (x + 0.5f) / scale - 0.5f;
    case LN__TF_CROP_AND_RESIZE: {
        float span = s->to[d] - s->from[d];
        float inside = out == 1 ? span * (n - 1.0f) * 0.5f : x * span * (n - 1.0f) / ((float)out - 1.0f);
        return inside + s->from[d] * (n - 1.0f);
    }
    default:                       return (x + 0.5f) / scale - 0.5f;
    }
}

static int64_t round_nearest(ln__nearest how, float x)
{
    switch (how) {
    case LN__FLOOR_OF:          return (int64_t)floorf(x);
    case LN__CEIL_OF:           return (int64_t)ceilf(x);
    case LN__ROUND_PREFER_CEIL: return (int64_t)floorf(x + 0.5f);
    default:                    return (int64_t)ceilf(x - 0.5f);
    }
}

static float kernel(const ln__node *node, float distance)
{
    float t = fabsf(distance), a = node->u.resize.cubic_a;

    if (node->u.resize.mode != LN__RESIZE_CUBIC)
        return t < 1.0f ? 1.0f - t : 0.0f;
    if (t <= 1.0f)
        return ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f;
    return t < 2.0f ? ((a * t - 5.0f * a) * t + 8.0f * a) * t - 4.0f * a : 0.0f;
}

static void fill_taps(const ln__node *node, tap *t, int64_t taps, float x, float scale, int64_t in)
{
    float base = floorf(x), shrink = node->u.resize.antialias && scale < 1.0f ? scale : 1.0f, sum = 0.0f;
    bool rescale = shrink < 1.0f || node->u.resize.exclude_outside;

    for (int64_t k = 0; k < taps; k++) {
        int64_t at = (int64_t)base + k + 1 - taps / 2;
        t[k].weight = kernel(node, ((float)(k + 1 - taps / 2) - (x - base)) * shrink);
        if (node->u.resize.exclude_outside && (at < 0 || at >= in))
            t[k].weight = 0.0f;
        t[k].at = LN__MIN(LN__MAX(at, 0), in - 1);
        sum += t[k].weight;
    }
    for (int64_t k = 0; rescale && sum != 0.0f && k < taps; k++)
        t[k].weight /= sum;
}

static void fill_table(const ln__node *node, tap *table, int64_t taps, const ln__resize_scale *s, int32_t d, int64_t in, int64_t out)
{
    bool crops = node->u.resize.coordinate == LN__TF_CROP_AND_RESIZE;

    for (int64_t i = 0; i < out; i++, table += taps) {
        float x = s->touched[d] ? source(node, s, d, i, in, out) : (float)i;
        if (!s->touched[d]) {
            table[0] = (tap){ i, 1.0f };
        } else if (crops && !(x >= 0.0f && x <= (float)(in - 1))) {
            for (int64_t k = 0; k < taps; k++)
                table[k] = (tap){ -1, 0.0f };
        } else if (node->u.resize.mode == LN__RESIZE_NEAREST) {
            int64_t at = round_nearest(node->u.resize.nearest, x);
            table[0] = (tap){ LN__MIN(LN__MAX(at, 0), in - 1), 1.0f };
        } else {
            fill_taps(node, table, taps, x, s->scale[d], in);
        }
    }
}

/* ---- Evaluation ------------------------------------------------------------------------------ */

size_t ln__resize_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out)
{
    ln__resize_scale s;
    ln__tensor type;
    const char *why;
    size_t n = 0;

    if (!ln__resize_resolve(&s, &type, node, in, &why))
        return 0;
    for (int32_t d = 0; d < out->rank; d++)
        n += (size_t)(out->dim[d] * taps_of(node, &s, d)) * sizeof(tap);
    return n;
}

double ln__resize_taps(const ln__node *node, const ln__tensor *const *in)
{
    ln__resize_scale s;
    ln__tensor type;
    const char *why;
    double taps = 1.0;

    if (ln__resize_resolve(&s, &type, node, in, &why))
        for (int32_t d = 0; d < type.rank; d++)
            taps *= (double)taps_of(node, &s, d);
    return taps;
}

static void add_row(float *y, const float *x, const tap *table, int64_t taps, int64_t n, float weight)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < taps; k++, table++)
            y[i] += table->at < 0 ? 0.0f : weight * table->weight * x[table->at];
}

typedef struct resize_walk {
    const tap *table[LN__MAX_RANK];
    int64_t taps[LN__MAX_RANK], stride[LN__MAX_RANK];
    int32_t last;
    float outside;
} resize_walk;

static void resize_row(const resize_walk *w, const float *x, float *y, int64_t n, const int64_t *index)
{
    int64_t k[LN__MAX_RANK] = { 0 };
    int32_t last = w->last;
    bool outside = false;

    memset(y, 0, (size_t)n * sizeof *y);
    do {
        int64_t at = 0;
        float weight = 1.0f;
        for (int32_t d = 0; d < last; d++) {
            const tap *t = &w->table[d][index[d] * w->taps[d] + k[d]];
            outside = outside || t->at < 0;
            at += LN__MAX(t->at, 0) * w->stride[d];
            weight *= t->weight;
        }
        if (!outside && weight != 0.0f)
            add_row(y, x + at, w->table[last], w->taps[last], n, weight);
    } while (ln__next_index(k, w->taps, last));
    for (int64_t i = 0; i < n; i++)
        if (outside || w->table[last][i * w->taps[last]].at < 0)
            y[i] = w->outside;
}

LN__EVALUATOR(resize)
{
    const ln__tensor *x = in[0];
    float *y = (float *)(uintptr_t)out[0].data;
    int64_t index[LN__MAX_RANK] = { 0 };
    resize_walk w = { .last = x->rank - 1, .outside = node->u.resize.extrapolation };
    ln__resize_scale s;
    ln__tensor type;
    tap *table = scratch;
    const char *why;

    if (ln__tensor_count(&out[0]) == 0 || !ln__resize_resolve(&s, &type, node, in, &why))
        return;
    if (x->rank == 0) {
        *y = *(const float *)x->data;
        return;
    }
    ln__tensor_strides(x, w.stride);
    for (int32_t d = 0; d < x->rank; d++) {
        w.table[d] = table;
        w.taps[d] = taps_of(node, &s, d);
        fill_table(node, table, w.taps[d], &s, d, x->dim[d], out[0].dim[d]);
        table += out[0].dim[d] * w.taps[d];
    }
    do {
        resize_row(&w, x->data, y, out[0].dim[w.last], index);
        y += out[0].dim[w.last];
    } while (ln__next_index(index, out[0].dim, w.last));
}
