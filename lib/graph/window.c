#include "graph/graph_internal.h"

#include <string.h>

/* One spatial dimension. Numbers past 2^40 cannot come from a real network and
 * would let the sums below overflow. */
static bool resolve(const ln__window *w, int32_t d, int64_t in, int64_t *begin, int64_t *end, int64_t *out)
{
    const int64_t most = (int64_t)1 << 40;
    int64_t extent, room;

    if (w->kernel[d] < 1 || w->stride[d] < 1 || w->dilation[d] < 1 || w->stride[d] > most ||
        w->pad_begin[d] < 0 || w->pad_end[d] < 0 || w->pad_begin[d] > most || w->pad_end[d] > most || in < 0 || in > most)
        return false;
    if (!ln__mul_i64(w->kernel[d] - 1, w->dilation[d], &extent) || extent > most)
        return false;
    extent++;
    if (w->auto_pad == LN__PAD_SAME_UPPER || w->auto_pad == LN__PAD_SAME_LOWER) {
        int64_t total;
        if (in < 1)
            return false;
        *out = (in - 1) / w->stride[d] + 1;
        total = LN__MAX((*out - 1) * w->stride[d] + extent - in, 0);
        *begin = w->auto_pad == LN__PAD_SAME_UPPER ? total / 2 : total - total / 2;
        *end = total - *begin;
        return true;
    }
    *begin = w->auto_pad == LN__PAD_VALID ? 0 : w->pad_begin[d];
    *end = w->auto_pad == LN__PAD_VALID ? 0 : w->pad_end[d];
    room = in + *begin + *end - extent;
    if (room < 0)
        return false;
    *out = room / w->stride[d] + 1;
    if (w->ceil_mode && w->auto_pad == LN__PAD_GIVEN) {
        *out += room % w->stride[d] != 0;
        *out -= (*out - 1) * w->stride[d] >= in + *begin;
    }
    return true;
}

bool ln__window_resolve(const ln__window *w, const int64_t *in, int64_t *pad_begin,
                        int64_t *pad_end, int64_t *out)
{
    if (w->spatial < 1 || w->spatial > LN__MAX_SPATIAL)
        return false;
    for (int32_t d = 0; d < w->spatial; d++)
        if (!resolve(w, d, in[d], &pad_begin[d], &pad_end[d], &out[d]))
            return false;
    return true;
}

bool ln__node_window(ln__window *window, int64_t *out, const ln__node *node,
                     const ln__tensor *x, const ln__tensor *weights)
{
    bool conv = node->op == LN__CONV;
    int32_t spatial = x->rank - 2;

    *window = conv ? node->u.conv.window : node->u.pool.window;
    if (spatial < 1 || spatial > LN__MAX_SPATIAL || (window->spatial != 0 && window->spatial != spatial) ||
        (conv && weights->rank != x->rank))
        return false;
    for (int32_t d = 0; d < spatial; d++) {
        if (window->spatial == 0)
            window->stride[d] = window->dilation[d] = 1;
        if (conv)
            window->kernel[d] = weights->dim[d + 2];
        else if (window->spatial == 0)
            window->kernel[d] = x->dim[d + 2];
    }
    window->spatial = spatial;
    if (!ln__window_resolve(window, x->dim + 2, window->pad_begin, window->pad_end, out))
        return false;
    window->auto_pad = LN__PAD_GIVEN;
    return true;
}
