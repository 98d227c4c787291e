/* Types of what computes with numbers element by element or along axes. */
#include "graph/graph_internal.h"

#include <math.h>
#include <string.h>

static void same_as(const ln__infer *c, const ln__tensor *x)
{
    c->out[0] = *x;
    c->out[0].data = NULL;
}

ln_status ln__infer_unary(const ln__infer *c)
{
    ln__unary kind = c->node->u.unary.kind;

    if ((unsigned)kind >= LN__UNARY_COUNT)
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "unknown function");
    if (kind != LN__ABS && kind != LN__NEG && kind != LN__RELU) {
        ln_status st = ln__need_f32(c, 0);
        if (st < 0)
            return st;
    }
    same_as(c, c->in[0]);
    return LN_OK;
}

bool ln__binary_operand(ln__tensor *b, const ln__node *node, const ln__tensor *const *in)
{
    int32_t rank = in[0]->rank, at, from = in[1]->rank;

    *b = *in[1];
    if (!node->u.binary.legacy_broadcast)
        return true;
    at = node->u.binary.axis == -1 ? rank - from : node->u.binary.axis;
    if (at < 0)
        at += rank;
    if (at < 0 || at + from > rank)
        return false;
    for (int32_t d = 0; at + from + d < rank; d++)
        b->dim[from + d] = 1;
    b->rank = rank - at;
    return true;
}

ln_status ln__infer_binary(const ln__infer *c)
{
    const ln__tensor *a = c->in[0];
    ln__binary kind = c->node->u.binary.kind;
    ln__tensor b, *y = &c->out[0];
    char at[128], bt[128];
    bool one_way = c->node->u.binary.legacy_broadcast || kind == LN__PRELU;

    if ((unsigned)kind >= LN__BINARY_COUNT)
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "unknown function");
    if (a->dtype != c->in[1]->dtype || (a->dtype == LN__I64 && kind == LN__PRELU))
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "integers can only be combined with integers, by Add, Sub, Mul, Div, Pow, Max and Min");
    if (!ln__binary_operand(&b, c->node, c->in) || !ln__broadcast_shape(a, &b, y) || (one_way && !ln__same_shape(y, a)))
        return LN__REFUSE(c, LN_E_FORMAT, "shapes %s and %s do not go together", ln__shape_text(at, a),
                          ln__shape_text(bt, c->in[1]));
    y->dtype = a->dtype;
    return LN_OK;
}

ln_status ln__infer_affine(const ln__infer *c)
{
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_rank(c, 0, 2, LN__MAX_RANK)) < 0 ||
        (st = ln__need_vector(c, 1, "scale", c->in[0]->dim[1])) < 0 ||
        (st = ln__need_vector(c, 2, "shift", c->in[0]->dim[1])) < 0)
        return st;
    same_as(c, c->in[0]);
    return LN_OK;
}

ln_status ln__infer_batchnorm(const ln__infer *c)
{
    static const char *const what[] = { "", "scale", "bias", "mean", "variance" };
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_rank(c, 0, 2, LN__MAX_RANK)) < 0)
        return st;
    for (int32_t i = 1; i < 5; i++)
        if ((st = ln__need_vector(c, i, what[i], c->in[0]->dim[1])) < 0)
            return st;
    for (int64_t i = 0; i < c->in[0]->dim[1]; i++)      /* its root divides */
        if (!(ln__tensor_float(c->in[4], i) + c->node->u.batchnorm.epsilon > 0.0f))
            return LN__REFUSE(c, LN_E_FORMAT, "variance of channel %lld is %g; with epsilon (%g) it must be above 0", (long long)i,
                              (double)ln__tensor_float(c->in[4], i), (double)c->node->u.batchnorm.epsilon);
    same_as(c, c->in[0]);
    return LN_OK;
}

static ln_status layer_norm(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    int64_t axis = c->node->u.norm.axis;
    char a[128], b[128];
    ln_status st = ln__need_axis(c, &axis, x->rank);

    if (st < 0)
        return st;
    for (int32_t i = 1; i < c->node->n_in; i++) {
        ln__tensor both = { 0 };
        if (c->in[i] == NULL)
            continue;
        if ((st = ln__need_f32(c, i)) < 0)
            return st;
        if (!ln__broadcast_shape(x, c->in[i], &both) || !ln__same_shape(&both, x))
            return LN__REFUSE(c, LN_E_FORMAT, "scale or bias of shape %s does not fit %s",
                              ln__shape_text(a, c->in[i]), ln__shape_text(b, x));
    }
    return LN_OK;
}

ln_status ln__infer_norm(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    const ln__node *n = c->node;
    int64_t length;
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0)
        return st;
    if (n->u.norm.kind == LN__NORM_LAYER) {
        if ((st = layer_norm(c)) < 0)
            return st;
        same_as(c, x);
        return LN_OK;
    }
    if ((st = ln__need_rank(c, 0, 2, LN__MAX_RANK)) < 0)
        return st;
    length = x->dim[1];
    if (n->u.norm.kind == LN__NORM_GROUP) {
        if (n->u.norm.groups < 1 || length % n->u.norm.groups != 0)
            return LN__REFUSE(c, LN_E_FORMAT, "%lld groups do not divide %lld channels", (long long)n->u.norm.groups, (long long)length);
        if (n->u.norm.scale_per_group)
            length = n->u.norm.groups;
    }
    if ((st = ln__need_vector(c, 1, "scale", length)) < 0 || (st = ln__need_vector(c, 2, "bias", length)) < 0)
        return st;
    same_as(c, x);
    return LN_OK;
}

bool ln__reduce_mask(bool *mask, const ln__node *node, const ln__tensor *const *in)
{
    int64_t axes[LN__MAX_RANK];
    int32_t n = node->u.reduce.n_axes, rank = in[0]->rank;

    memcpy(axes, node->u.reduce.axes, sizeof axes);
    if (node->n_in > 1 && in[1] != NULL && !ln__tensor_ints(in[1], axes, LN__MAX_RANK, &n))
        return false;
    for (int32_t d = 0; d < LN__MAX_RANK; d++)
        mask[d] = n == 0 && node->u.reduce.all_if_empty;
    for (int32_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank || mask[axis])
            return false;
        mask[axis] = true;
        for (int64_t d = axis + 1; node->u.reduce.to_end && d < rank; d++)
            mask[d] = true;
    }
    return true;
}

ln_status ln__infer_reduce(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__reduce kind = c->node->u.reduce.kind;
    ln__tensor *y = &c->out[0];
    bool mask[LN__MAX_RANK];

    if ((unsigned)kind >= LN__REDUCE_COUNT)
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "unknown function");
    if (x->dtype == LN__I64 && kind != LN__SUM && kind != LN__PROD && kind != LN__MAX && kind != LN__MIN)
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "integers can only be reduced by sum, product, maximum and minimum");
    if (!ln__reduce_mask(mask, c->node, c->in))
        return LN__REFUSE(c, LN_E_FORMAT, "an axis is given twice or out of range for %d dimensions", (int)x->rank);
    y->dtype = x->dtype;
    y->rank = 0;
    for (int32_t d = 0; d < x->rank; d++)
        if (!mask[d])
            y->dim[y->rank++] = x->dim[d];
        else if (c->node->u.reduce.keepdims)
            y->dim[y->rank++] = 1;
    return LN_OK;
}

ln_status ln__infer_softmax(const ln__infer *c)
{
    int64_t axis = c->node->u.softmax.axis;
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_rank(c, 0, 1, LN__MAX_RANK)) < 0 ||
        (st = ln__need_axis(c, &axis, c->in[0]->rank)) < 0)
        return st;
    same_as(c, c->in[0]);
    return LN_OK;
}

ln_status ln__infer_lrn(const ln__infer *c)
{
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0 || (st = ln__need_rank(c, 0, 2, LN__MAX_RANK)) < 0)
        return st;
    if (c->node->u.lrn.size < 1)
        return LN__REFUSE(c, LN_E_FORMAT, "size is %lld; at least 1 is needed", (long long)c->node->u.lrn.size);
    same_as(c, c->in[0]);
    return LN_OK;
}

ln_status ln__infer_cast(const ln__infer *c)
{
    same_as(c, c->in[0]);
    c->out[0].dtype = c->node->u.cast.to;
    return LN_OK;
}

ln_status ln__infer_identity(const ln__infer *c)
{
    same_as(c, c->in[0]);
    return LN_OK;
}
