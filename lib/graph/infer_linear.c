/* Types of convolutions, pooling and matrix products. */
#include "graph/graph_internal.h"

#include <string.h>

static ln_status window_fails(const ln__infer *c, const ln__window *given, const ln__tensor *x, const ln__tensor *weights)
{
    char a[128], b[128];

    for (int32_t d = 0; d < given->spatial; d++) {
        if (given->stride[d] < 1 || given->dilation[d] < 1)
            return LN__REFUSE(c, LN_E_FORMAT, "stride %lld, dilation %lld: both must be at least 1",
                              (long long)given->stride[d], (long long)given->dilation[d]);
        if (given->pad_begin[d] < 0 || given->pad_end[d] < 0)
            return LN__REFUSE(c, LN_E_UNSUPPORTED, "negative pads");
    }
    if (weights != NULL)
        return LN__REFUSE(c, LN_E_FORMAT, "its window (weights %s, %d spatial dimensions in its attributes) does not fit the input %s",
                          ln__shape_text(b, weights), (int)given->spatial, ln__shape_text(a, x));
    return LN__REFUSE(c, LN_E_FORMAT, "its window (kernel [%lld, ...], %d spatial dimensions) does not fit the input %s",
                      (long long)given->kernel[0], (int)given->spatial, ln__shape_text(a, x));
}

static ln_status check_conv(const ln__infer *c)
{
    const ln__tensor *x = c->in[0], *w = c->in[1];
    int64_t group = c->node->u.conv.group;
    char a[128], b[128];
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_f32(c, 1)) < 0 || (st = ln__need_rank(c, 0, 3, 5)) < 0 ||
        (st = ln__need_rank(c, 1, x->rank, x->rank)) < 0)
        return st;
    if (group < 1)
        return LN__REFUSE(c, LN_E_FORMAT, "group is %lld; at least 1 is needed", (long long)group);
    if (x->dim[1] % group != 0 || w->dim[0] % group != 0 || x->dim[1] / group != w->dim[1] || w->dim[0] < 1 || w->dim[1] < 1)
        return LN__REFUSE(c, LN_E_FORMAT, "weights %s do not fit the input %s with group %lld",
                          ln__shape_text(a, w), ln__shape_text(b, x), (long long)group);
    for (int32_t d = 0; c->node->u.conv.has_kernel && d < c->node->u.conv.window.spatial && d + 2 < w->rank; d++)
        if (c->node->u.conv.window.kernel[d] != w->dim[d + 2])
            return LN__REFUSE(c, LN_E_FORMAT, "kernel_shape says %lld, the weights are %s",
                              (long long)c->node->u.conv.window.kernel[d], ln__shape_text(a, w));
    if ((st = ln__need_vector(c, 2, "bias", w->dim[0])) < 0)
        return st;
    return ln__need_vector(c, 3, "scale", w->dim[0]);
}

ln_status ln__infer_conv(const ln__infer *c)
{
    ln__tensor *y = &c->out[0];
    ln__window window;
    ln_status st = check_conv(c);

    if (st < 0)
        return st;
    if (!ln__node_window(&window, y->dim + 2, c->node, c->in[0], c->in[1]))
        return window_fails(c, &c->node->u.conv.window, c->in[0], c->in[1]);
    y->rank = c->in[0]->rank;
    y->dim[0] = c->in[0]->dim[0];
    y->dim[1] = c->in[1]->dim[0];
    return LN_OK;
}

ln_status ln__infer_pool(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__tensor *y = &c->out[0];
    ln__window window;
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_rank(c, 0, 3, 5)) < 0)
        return st;
    if (!ln__node_window(&window, y->dim + 2, c->node, x, NULL))
        return window_fails(c, &c->node->u.pool.window, x, NULL);
    for (int32_t d = 0; d < window.spatial; d++) {
        int64_t extent = (window.kernel[d] - 1) * window.dilation[d] + 1;
        if (window.pad_begin[d] >= extent || window.pad_end[d] >= extent)
            return LN__REFUSE(c, LN_E_FORMAT, "pads %lld and %lld must be smaller than the kernel's extent of %lld",
                              (long long)window.pad_begin[d], (long long)window.pad_end[d], (long long)extent);
    }
    y->rank = x->rank;
    y->dim[0] = x->dim[0];
    y->dim[1] = x->dim[1];
    return LN_OK;
}

static ln_status bias_fits(const ln__infer *c, const ln__tensor *y)
{
    ln__tensor both = { 0 };
    char a[128], b[128];
    ln_status st;

    if (c->node->n_in < 3 || c->in[2] == NULL)
        return LN_OK;
    if ((st = ln__need_f32(c, 2)) < 0)
        return st;
    if (!ln__broadcast_shape(y, c->in[2], &both) || !ln__same_shape(&both, y))
        return LN__REFUSE(c, LN_E_FORMAT, "a bias of shape %s does not fit the result %s",
                          ln__shape_text(a, c->in[2]), ln__shape_text(b, y));
    return LN_OK;
}

/* numpy: a vector on the left gets a row, one on the right a column, for the product only. */
ln_status ln__infer_matmul(const ln__infer *c)
{
    const ln__node *n = c->node;
    ln__tensor a = *c->in[0], b = *c->in[1], *y = &c->out[0];
    ln__tensor ab = { .rank = a.rank - 2 }, bb = { .rank = b.rank - 2 };
    char at[128], bt[128];
    int64_t rows, inner, columns, inner_b;
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_f32(c, 1)) < 0 || (st = ln__need_rank(c, 0, 1, LN__MAX_RANK)) < 0 ||
        (st = ln__need_rank(c, 1, 1, LN__MAX_RANK)) < 0)
        return st;
    if ((n->u.matmul.trans_a || n->u.matmul.trans_b) && (a.rank != 2 || b.rank != 2))
        return LN__REFUSE(c, LN_E_FORMAT, "transposed operands need 2 dimensions; they have %s and %s",
                          ln__shape_text(at, &a), ln__shape_text(bt, &b));
    rows = a.rank == 1 ? 1 : a.dim[a.rank - (n->u.matmul.trans_a ? 1 : 2)];
    inner = a.dim[a.rank - (n->u.matmul.trans_a ? 2 : 1)];
    inner_b = b.rank == 1 ? b.dim[0] : b.dim[b.rank - (n->u.matmul.trans_b ? 1 : 2)];
    columns = b.rank == 1 ? 1 : b.dim[b.rank - (n->u.matmul.trans_b ? 2 : 1)];
    ab.rank = LN__MAX(ab.rank, 0);
    bb.rank = LN__MAX(bb.rank, 0);
    memcpy(ab.dim, a.dim, sizeof a.dim);
    memcpy(bb.dim, b.dim, sizeof b.dim);
    if (inner != inner_b || !ln__broadcast_shape(&ab, &bb, y))
        return LN__REFUSE(c, LN_E_FORMAT, "%s%s and %s%s cannot be multiplied", ln__shape_text(at, &a),
                          n->u.matmul.trans_a ? " transposed" : "", ln__shape_text(bt, &b), n->u.matmul.trans_b ? " transposed" : "");
    if (a.rank > 1)
        y->dim[y->rank++] = rows;
    if (b.rank > 1)
        y->dim[y->rank++] = columns;
    return bias_fits(c, y);
}
