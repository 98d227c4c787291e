/* Types of what gives elements another shape and leaves their order. */
#include "graph/graph_internal.h"

#include <string.h>

static ln_status reshape_dims(const ln__infer *c, int64_t *dim, int32_t n)
{
    const ln__tensor *x = c->in[0];
    int64_t known = 1, total = ln__tensor_count(x);
    int32_t open = -1;
    char text[128];

    for (int32_t d = 0; d < n; d++) {
        if (dim[d] < -1)
            return LN__REFUSE(c, LN_E_FORMAT, "shape has %lld; -1 or more is needed", (long long)dim[d]);
        if (dim[d] == -1 && open >= 0)
            return LN__REFUSE(c, LN_E_FORMAT, "shape has -1 twice");
        if (dim[d] == -1) {
            open = d;
            continue;
        }
        if (dim[d] == 0 && !c->node->u.reshape.allow_zero) {
            if (d >= x->rank)
                return LN__REFUSE(c, LN_E_FORMAT, "shape copies dimension %d of %s", (int)d, ln__shape_text(text, x));
            dim[d] = x->dim[d];
        }
        if (!ln__mul_i64(known, dim[d], &known))
            return LN__REFUSE(c, LN_E_FORMAT, "shape is too large");
    }
    if (open >= 0 && (known == 0 || total % known != 0))
        return LN__REFUSE(c, LN_E_FORMAT, "%s cannot be given a shape whose other dimensions make %lld",
                          ln__shape_text(text, x), (long long)known);
    if (open >= 0)
        dim[open] = total / known;
    else if (known != total)
        return LN__REFUSE(c, LN_E_FORMAT, "%s cannot be given a shape of %lld elements", ln__shape_text(text, x), (long long)known);
    return LN_OK;
}

ln_status ln__infer_reshape(const ln__infer *c)
{
    ln__tensor *y = &c->out[0];
    int64_t dim[LN__MAX_RANK] = { 0 };
    int32_t n;
    ln_status st = ln__need_ints(c, 1, dim, LN__MAX_RANK, &n);

    if (st < 0)
        return st;
    /* A file made for one row says 1 where it means the rows. */
    if (c->graph->batch_fixed && c->rows > 1 && c->row_axis == 0 && n > 0 && dim[0] == 1)
        dim[0] = c->rows;
    if ((st = reshape_dims(c, dim, n)) < 0)
        return st;
    y->dtype = c->in[0]->dtype;
    y->rank = n;
    memcpy(y->dim, dim, sizeof dim);
    return LN_OK;
}

ln_status ln__infer_flatten(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    int64_t axis = c->node->u.axis.axis;

    if (axis < -x->rank || axis > x->rank)
        return LN__REFUSE(c, LN_E_FORMAT, "axis %lld is out of range for %d dimensions", (long long)axis, (int)x->rank);
    if (axis < 0)
        axis += x->rank;
    c->out[0].dtype = x->dtype;
    c->out[0].rank = 2;
    c->out[0].dim[0] = ln__dims_product(x, 0, (int32_t)axis);
    c->out[0].dim[1] = ln__dims_product(x, (int32_t)axis, x->rank);
    return LN_OK;
}

/* Axes from the second input or the attribute, as a mask over `rank` dimensions. */
static ln_status axes_mask(const ln__infer *c, bool *mask, int32_t rank, int32_t *n)
{
    int64_t axes[LN__MAX_RANK];
    ln_status st;

    memset(mask, 0, LN__MAX_RANK * sizeof *mask);
    for (int32_t i = 0; i < *n; i++) {
        axes[i] = c->node->u.axes.axes[i];
    }
    if (c->node->n_in > 1 && c->in[1] != NULL && (st = ln__need_ints(c, 1, axes, LN__MAX_RANK, n)) < 0)
        return st;
    for (int32_t i = 0; i < *n; i++) {
        if ((st = ln__need_axis(c, &axes[i], rank)) < 0)
            return st;
        if (mask[axes[i]])
            return LN__REFUSE(c, LN_E_FORMAT, "axis %lld is given twice", (long long)axes[i]);
        mask[axes[i]] = true;
    }
    return LN_OK;
}

ln_status ln__infer_squeeze(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__tensor *y = &c->out[0];
    bool mask[LN__MAX_RANK];
    int32_t n = c->node->u.axes.n_axes;
    ln_status st = axes_mask(c, mask, x->rank, &n);

    if (st < 0)
        return st;
    y->dtype = x->dtype;
    for (int32_t d = 0; d < x->rank; d++) {
        /* Without axes every 1 goes, but not the number of rows that happens to be 1. */
        bool goes = n > 0 ? mask[d] : x->dim[d] == 1 && !(d == c->row_axis && !c->graph->batch_fixed);
        if (goes && x->dim[d] != 1)
            return LN__REFUSE(c, LN_E_FORMAT, "dimension %d is %lld, only 1 can be left out", (int)d, (long long)x->dim[d]);
        if (!goes)
            y->dim[y->rank++] = x->dim[d];
    }
    return LN_OK;
}

ln_status ln__infer_unsqueeze(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__tensor *y = &c->out[0];
    bool mask[LN__MAX_RANK];
    int64_t counted[LN__MAX_RANK];
    int32_t n = c->node->u.axes.n_axes, from = 0;
    ln_status st;

    if (c->node->n_in > 1 && c->in[1] != NULL && (st = ln__need_ints(c, 1, counted, LN__MAX_RANK, &n)) < 0)
        return st;
    if (n < 1 || x->rank + n > LN__MAX_RANK)
        return LN__REFUSE(c, LN_E_FORMAT, "%d axes for %d dimensions; at least one, and at most %d dimensions in all",
                          (int)n, (int)x->rank, (int)LN__MAX_RANK);
    if ((st = axes_mask(c, mask, x->rank + n, &n)) < 0)
        return st;
    y->dtype = x->dtype;
    y->rank = x->rank + n;
    for (int32_t d = 0; d < y->rank; d++)
        y->dim[d] = mask[d] ? 1 : x->dim[from++];
    return LN_OK;
}

ln_status ln__infer_shape(const ln__infer *c)
{
    int64_t rank = c->in[0]->rank, start = c->node->u.shape.start;
    int64_t end = c->node->u.shape.has_end ? c->node->u.shape.end : rank;

    start = LN__MIN(LN__MAX(start < 0 ? start + rank : start, 0), rank);
    end = LN__MIN(LN__MAX(end < 0 ? end + rank : end, 0), rank);
    c->out[0] = (ln__tensor){ .dtype = LN__I64, .rank = 1, .dim = { LN__MAX(end - start, 0) } };
    return LN_OK;
}

ln_status ln__infer_fill(const ln__infer *c)
{
    ln__tensor *y = &c->out[0];
    int64_t dim[LN__MAX_RANK] = { 0 };
    int32_t n;
    ln_status st = ln__need_ints(c, 0, dim, LN__MAX_RANK, &n);

    if (st < 0)
        return st;
    for (int32_t d = 0; d < n; d++)
        if (dim[d] < 0)
            return LN__REFUSE(c, LN_E_FORMAT, "a dimension of %lld", (long long)dim[d]);
    if (c->node->u.fill.value.data == NULL || ln__tensor_count(&c->node->u.fill.value) != 1)
        return LN__REFUSE(c, LN_E_FORMAT, "value must be one number");
    y->dtype = c->node->u.fill.value.dtype;
    y->rank = n;
    memcpy(y->dim, dim, sizeof dim);
    return LN_OK;
}
