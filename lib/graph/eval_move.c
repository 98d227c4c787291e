/* What moves elements of either type without looking at them. */
#include "graph/graph_internal.h"

#include <string.h>

static char *result(ln__tensor *t)
{
    return (char *)(uintptr_t)t->data;
}

static size_t bytes_of(const ln__tensor *t)
{
    return (size_t)ln__tensor_count(t) * ln__dtype_size(t->dtype);
}

/* ---- Strided copies --------------------------------------------------------------------- */

#define STRIDED(type)                                                       \
    for (int64_t i = 0; i < n; i++)                                         \
        ((type *)(void *)to)[i] = ((const type *)(const void *)from)[i * stride]

static void copy_row(char *to, const char *from, int64_t n, int64_t stride, size_t size)
{
    if (stride == 1)
        memcpy(to, from, (size_t)n * size);
    else if (size == 4)
        STRIDED(uint32_t);
    else
        STRIDED(uint64_t);
}

void ln__move_strided(char *to, const char *from, const int64_t *dim, const int64_t *from_stride, int32_t rank, size_t size)
{
    int64_t index[LN__MAX_RANK] = { 0 }, d_[LN__MAX_RANK], s_[LN__MAX_RANK];
    int32_t n = 0;

    for (int32_t d = 0; d < rank; d++) {
        if (dim[d] == 0)
            return;
        if (dim[d] == 1)
            continue;
        if (n > 0 && s_[n - 1] == from_stride[d] * dim[d]) {
            d_[n - 1] *= dim[d];
            s_[n - 1] = from_stride[d];
            continue;
        }
        d_[n] = dim[d];
        s_[n++] = from_stride[d];
    }
    if (n == 0) {
        memcpy(to, from, size);
        return;
    }
    do {
        int64_t at = 0;
        for (int32_t d = 0; d < n - 1; d++)
            at += index[d] * s_[d];
        copy_row(to, from + at * (int64_t)size, d_[n - 1], s_[n - 1], size);
        to += d_[n - 1] * (int64_t)size;
    } while (ln__next_index(index, d_, n - 1));
}

LN__EVALUATOR(copy)
{
    (void)node;
    (void)scratch;
    if (bytes_of(&out[0]) > 0 && out[0].data != in[0]->data)
        memcpy(result(&out[0]), in[0]->data, bytes_of(&out[0]));
}

LN__EVALUATOR(transpose)
{
    int64_t own[LN__MAX_RANK], stride[LN__MAX_RANK];
    int32_t rank = in[0]->rank;

    (void)scratch;
    ln__tensor_strides(in[0], own);
    for (int32_t d = 0; d < rank; d++)
        stride[d] = own[node->u.transpose.n_perm == 0 ? rank - 1 - d : (int32_t)node->u.transpose.perm[d]];
    ln__move_strided(result(&out[0]), in[0]->data, out[0].dim, stride, rank, ln__dtype_size(out[0].dtype));
}

LN__EVALUATOR(expand)
{
    int64_t own[LN__MAX_RANK], stride[LN__MAX_RANK];
    int32_t lead = out[0].rank - in[0]->rank;

    (void)node;
    (void)scratch;
    ln__tensor_strides(in[0], own);
    for (int32_t d = 0; d < out[0].rank; d++)
        stride[d] = d < lead || in[0]->dim[d - lead] == 1 ? 0 : own[d - lead];
    ln__move_strided(result(&out[0]), in[0]->data, out[0].dim, stride, out[0].rank, ln__dtype_size(out[0].dtype));
}

LN__EVALUATOR(slice)
{
    int64_t stride[LN__MAX_RANK], first = 0;
    size_t size = ln__dtype_size(out[0].dtype);
    ln__slice_range range;

    (void)scratch;
    if (bytes_of(&out[0]) == 0 || !ln__slice_resolve(&range, in, node->n_in))
        return;
    ln__tensor_strides(in[0], stride);
    for (int32_t d = 0; d < in[0]->rank; d++) {
        first += range.start[d] * stride[d];
        stride[d] *= range.count[d] > 1 ? range.step[d] : 1;    /* one element: its step may be huge */
    }
    ln__move_strided(result(&out[0]), (const char *)in[0]->data + first * (int64_t)size, out[0].dim, stride, out[0].rank, size);
}

/* A repeated dimension is two: the repeats, which stand still, and the dimension. */
LN__EVALUATOR(tile)
{
    const ln__tensor *x = in[0];
    int64_t index[LN__MAX_RANK] = { 0 }, own[LN__MAX_RANK];
    size_t size = ln__dtype_size(out[0].dtype);
    char *to = result(&out[0]);
    int32_t last = x->rank - 1;

    (void)node;
    (void)scratch;
    if (bytes_of(&out[0]) == 0)
        return;
    if (x->rank == 0) {
        memcpy(to, x->data, size);
        return;
    }
    ln__tensor_strides(x, own);
    do {
        int64_t at = 0;
        for (int32_t d = 0; d < last; d++)
            at += index[d] % x->dim[d] * own[d];
        for (int64_t i = 0; i < out[0].dim[last]; i += x->dim[last], to += (size_t)x->dim[last] * size)
            memcpy(to, (const char *)x->data + (size_t)at * size, (size_t)x->dim[last] * size);
    } while (ln__next_index(index, out[0].dim, last));
}

/* ---- Whole pieces ------------------------------------------------------------------------- */

/* The part of `whole` along an axis beginning at `from` that `part` holds. */
static void copy_part(char *part, char *whole, const ln__tensor *p, const ln__tensor *w, int32_t axis, int64_t from, bool into_whole)
{
    size_t size = ln__dtype_size(p->dtype);
    int64_t outer = ln__dims_product(p, 0, axis), inner = ln__dims_product(p, axis + 1, p->rank);
    size_t row = (size_t)(p->dim[axis] * inner) * size, step = (size_t)(w->dim[axis] * inner) * size;

    if (row == 0)
        return;
    whole += (size_t)(from * inner) * size;
    for (int64_t o = 0; o < outer; o++, part += row, whole += step)
        memcpy(into_whole ? whole : part, into_whole ? part : whole, row);
}

LN__EVALUATOR(concat)
{
    int32_t axis = (int32_t)(node->u.axis.axis < 0 ? node->u.axis.axis + out[0].rank : node->u.axis.axis);
    int64_t at = 0;

    (void)scratch;
    for (int32_t i = 0; i < node->n_in; i++) {
        copy_part((char *)(uintptr_t)in[i]->data, result(&out[0]), in[i], &out[0], axis, at, true);
        at += in[i]->dim[axis];
    }
}

LN__EVALUATOR(split)
{
    int32_t axis = (int32_t)(node->u.split.axis < 0 ? node->u.split.axis + in[0]->rank : node->u.split.axis);
    int64_t at = 0;

    (void)scratch;
    for (int32_t i = 0; i < node->n_out; i++) {
        if (out[i].data != NULL)
            copy_part(result(&out[i]), (char *)(uintptr_t)in[0]->data, &out[i], in[0], axis, at, false);
        at += out[i].dim[axis];
    }
}

LN__EVALUATOR(gather)
{
    const ln__tensor *x = in[0];
    int32_t axis = (int32_t)(node->u.axis.axis < 0 ? node->u.axis.axis + x->rank : node->u.axis.axis);
    int64_t outer = ln__dims_product(x, 0, axis), n = ln__tensor_count(in[1]);
    size_t row = (size_t)ln__dims_product(x, axis + 1, x->rank) * ln__dtype_size(x->dtype);
    const char *from = x->data;
    char *to = result(&out[0]);

    (void)scratch;
    if (bytes_of(&out[0]) == 0)
        return;
    for (int64_t o = 0; o < outer; o++, from += (size_t)x->dim[axis] * row)
        for (int64_t i = 0; i < n; i++, to += row) {
            int64_t at = ((const int64_t *)in[1]->data)[i];
            memcpy(to, from + (size_t)(at < 0 ? at + x->dim[axis] : at) * row, row);
        }
}

LN__EVALUATOR(shape)
{
    int64_t start = node->u.shape.start, *y = (int64_t *)(uintptr_t)out[0].data;

    (void)scratch;
    start = LN__MIN(LN__MAX(start < 0 ? start + in[0]->rank : start, 0), in[0]->rank);
    for (int64_t i = 0; i < out[0].dim[0]; i++)
        y[i] = in[0]->dim[start + i];
}

static void fill(char *to, const char *value, int64_t n, size_t size)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * size, value, size);
}

LN__EVALUATOR(fill)
{
    (void)in;
    (void)scratch;
    fill(result(&out[0]), node->u.fill.value.data, ln__tensor_count(&out[0]), ln__dtype_size(out[0].dtype));
}

/* ---- Padding -------------------------------------------------------------------------------- */

/* Where an output position comes from; -1: the padding's value. */
static int64_t pad_source(int mode, int64_t at, int64_t n)
{
    if (at >= 0 && at < n)
        return at;
    switch (mode) {
    case LN__PAD_REFLECT: return at < 0 ? -at : 2 * (n - 1) - at;
    case LN__PAD_EDGE:    return at < 0 ? 0 : n - 1;
    case LN__PAD_WRAP:    return ((at % n) + n) % n;
    default:              return -1;
    }
}

static void pad_row(int mode, char *to, const char *from, const char *value, int64_t n_out, int64_t n_in, int64_t begin, size_t size)
{
    int64_t first = LN__MIN(LN__MAX(begin, 0), n_out), last = LN__MAX(first, LN__MIN(begin + n_in, n_out));

    for (int64_t i = 0; i < n_out; i++) {
        int64_t at;
        if (i == first && last > first) {
            memcpy(to + (size_t)first * size, from + (size_t)(first - begin) * size, (size_t)(last - first) * size);
            i = last - 1;
            continue;
        }
        at = pad_source(mode, i - begin, n_in);
        memcpy(to + (size_t)i * size, at < 0 ? value : from + (size_t)at * size, size);
    }
}

LN__EVALUATOR(pad)
{
    const ln__tensor *x = in[0];
    int64_t index[LN__MAX_RANK] = { 0 }, stride[LN__MAX_RANK], zero = 0;
    size_t size = ln__dtype_size(x->dtype);
    const char *value = node->n_in > 2 && in[2] != NULL ? in[2]->data : (const char *)&zero;
    char *to = result(&out[0]);
    int32_t last = x->rank - 1;
    ln__pad_range range;

    (void)scratch;
    if (bytes_of(&out[0]) == 0 || !ln__pad_resolve(&range, in, node->n_in))
        return;
    if (x->rank == 0) {
        memcpy(to, x->data, size);
        return;
    }
    ln__tensor_strides(x, stride);
    do {
        int64_t at = 0;
        bool outside = false;
        for (int32_t d = 0; d < last; d++) {
            int64_t i = pad_source(node->u.pad.mode, index[d] - range.begin[d], x->dim[d]);
            outside = outside || i < 0;
            at += i * stride[d];
        }
        if (outside)
            fill(to, value, out[0].dim[last], size);
        else
            pad_row(node->u.pad.mode, to, (const char *)x->data + (size_t)at * size, value, out[0].dim[last], x->dim[last],
                    range.begin[last], size);
        to += (size_t)out[0].dim[last] * size;
    } while (ln__next_index(index, out[0].dim, last));
}

/* ---- Depth and space ------------------------------------------------------------------------- */

/* Both are a transposition of the picture seen with six dimensions. */
LN__EVALUATOR(depth_space)
{
    const ln__tensor *x = in[0];
    int64_t b = node->u.depth_space.block, n = x->dim[0], c = x->dim[1], h = x->dim[2], w = x->dim[3];
    size_t size = ln__dtype_size(x->dtype);

    (void)scratch;
    if (node->op == LN__DEPTH_TO_SPACE) {
        int64_t plane = h * w, deep = c / (b * b);
        int64_t channel = node->u.depth_space.crd ? b * b * plane : plane;
        int64_t row = node->u.depth_space.crd ? b * plane : b * deep * plane;
        int64_t column = node->u.depth_space.crd ? plane : deep * plane;
        const int64_t dim[] = { n, deep, h, b, w, b }, stride[] = { c * plane, channel, w, row, 1, column };
        ln__move_strided(result(&out[0]), x->data, dim, stride, 6, size);
    } else {
        const int64_t dim[] = { n, b, b, c, h / b, w / b }, stride[] = { c * h * w, w, 1, h * w, b * w, b };
        ln__move_strided(result(&out[0]), x->data, dim, stride, 6, size);
    }
}
