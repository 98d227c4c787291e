/* onednn_describe.c - operations in oneDNN's words. */
#include "engine/onednn_version.h"

#include <float.h>
#include <math.h>

/* ---- Tensors ------------------------------------------------------------------- */

static dnnl_format_tag_t tag_of(int32_t rank, int64_t order)
{
    static const dnnl_format_tag_t b16[] = { dnnl_aBc16b, dnnl_aBcd16b, dnnl_aBcde16b };
    static const dnnl_format_tag_t b8[] = { dnnl_aBc8b, dnnl_aBcd8b, dnnl_aBcde8b };
    static const dnnl_format_tag_t last[] = { dnnl_acb, dnnl_acdb, dnnl_acdeb };

    if (order == LN__ANY_ORDER)
        return dnnl_format_tag_any;
    if (rank < 3 || rank > 5)
        return dnnl_format_tag_undef;
    return order == 16 ? b16[rank - 3] : order == 8 ? b8[rank - 3]
         : order == LN__CHANNELS_LAST ? last[rank - 3] : dnnl_format_tag_undef;
}

static dnnl_status_t tensor_md(md *out, const ln__dnn_tensor *t)
{
    dnnl_dims_t dims;
    for (int32_t i = 0; i < t->rank; i++)
        dims[i] = t->dim[i];
    if (t->order == LN__ROW_MAJOR)
        return md_row_major(out, t->rank, dims, t->transposed);
    return md_tag(out, t->rank, dims, tag_of(t->rank, t->order));
}

/* ---- Describing -------------------------------------------------------------------- */

static dnnl_status_t op_new(ln__dnn_op **out, ln__dnn *dnn)
{
    *out = ln__calloc(&dnn->ctx, 1, sizeof **out);
    if (!*out)
        return dnnl_out_of_memory;
    (*out)->dnn = dnn;
    (*out)->from = DNNL_ARG_SRC;
    (*out)->to = DNNL_ARG_DST;
    return dnnl_success;
}

static ln__dnn_status described(ln__dnn_op **out, ln__dnn_op *op, dnnl_status_t st)
{
    if (!st)
        st = dnnl_primitive_desc_query(op->pd, dnnl_query_impl_info_str, 0, &op->name);
    if (st) {
        ln__dnn_op_free(op);
        return st;
    }
    *out = op;
    return dnnl_success;
}

static dnnl_status_t attr_new(dnnl_primitive_attr_t *out)
{
    dnnl_status_t st = dnnl_primitive_attr_create(out);
    return st ? st : dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
}

bool ln__dnn_fuses(const ln__post *post)
{
    if (post->kind == LN__POST_ADD)
        return true;
    switch (post->unary) {
    case LN__RELU: case LN__LEAKY_RELU: case LN__CLIP: case LN__SIGMOID: case LN__HARD_SIGMOID:
    case LN__HARD_SWISH: case LN__SWISH: case LN__TANH: case LN__ELU: case LN__GELU:
        return true;
    default:
        return false;
    }
}

static dnnl_status_t append_unary(dnnl_post_ops_t ops, const ln__post *p)
{
    switch (p->unary) {
    case LN__RELU:         return append_eltwise(ops, dnnl_eltwise_relu, 0.0F, 0.0F);
    case LN__LEAKY_RELU:   return append_eltwise(ops, dnnl_eltwise_relu, p->a, 0.0F);
    case LN__CLIP:         return append_eltwise(ops, dnnl_eltwise_clip, fmaxf(p->a, -FLT_MAX),
                                                 fminf(p->b, FLT_MAX));
    case LN__SIGMOID:      return append_eltwise(ops, dnnl_eltwise_logistic, 0.0F, 0.0F);
    case LN__HARD_SWISH:   return append_hard_swish(ops);
    case LN__SWISH:        return append_eltwise(ops, dnnl_eltwise_swish, 1.0F, 0.0F);
    case LN__TANH:         return append_eltwise(ops, dnnl_eltwise_tanh, 0.0F, 0.0F);
    case LN__ELU:          return append_eltwise(ops, dnnl_eltwise_elu, p->a, 0.0F);
    case LN__GELU:         return append_eltwise(ops, dnnl_eltwise_gelu_erf, 0.0F, 0.0F);
    case LN__HARD_SIGMOID: {
        dnnl_status_t st = append_eltwise(ops, dnnl_eltwise_linear, p->a, p->b);
        return st ? st : append_eltwise(ops, dnnl_eltwise_clip, 0.0F, 1.0F);
    }
    default:               return dnnl_unimplemented;
    }
}

static dnnl_status_t attr_posts(dnnl_primitive_attr_t attr, const ln__post *post, int32_t n)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t st = n ? dnnl_post_ops_create(&ops) : dnnl_success;
    for (int32_t i = 0; !st && i < n; i++)
        st = post[i].kind == LN__POST_ADD ? append_sum(ops) : append_unary(ops, &post[i]);
    if (!st && n)
        st = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return st;
}

static dnnl_status_t conv_weights_md(md *out, const ln__dnn_conv *c)
{
    dnnl_dims_t dims;
    int n = 0;
    if (c->group > 1)
        dims[n++] = c->group;
    dims[n++] = c->y.dim[1] / c->group;
    dims[n++] = c->x.dim[1] / c->group;
    for (int32_t i = 0; i < c->window->spatial; i++)
        dims[n++] = c->window->kernel[i];
    return md_tag(out, n, dims, dnnl_format_tag_any);
}

/* The end padding that makes the output's size follow exactly. */
static int64_t end_padding(const ln__dnn_conv *c, int32_t i)
{
    const ln__window *w = c->window;
    int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    int64_t need = (c->y.dim[i + 2] - 1) * w->stride[i] + reach - c->x.dim[i + 2] - c->pad_begin[i];
    return LN__MIN(c->pad_end[i], LN__MAX(need, 0));
}

ln__dnn_status ln__dnn_describe_conv(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_conv *c)
{
    const ln__window *win = c->window;
    md x = no_md, w = no_md, b = no_md, y = no_md;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_dims_t stride, dilate, begin, end, channels = { c->y.dim[1] };
    ln__dnn_op *op = NULL;

    for (int32_t i = 0; i < win->spatial; i++) {
        stride[i] = win->stride[i];
        dilate[i] = win->dilation[i] - 1;
        begin[i] = c->pad_begin[i];
        end[i] = end_padding(c, i);
    }
    dnnl_status_t st = op_new(&op, dnn);
    if (st)
        return st;
    if (!st) st = tensor_md(&x, &c->x);
    if (!st) st = tensor_md(&y, &c->y);
    if (!st) st = conv_weights_md(&w, c);
    if (!st && c->bias) st = md_tag(&b, 1, channels, dnnl_a);
    if (!st) st = attr_new(&attr);
    if (!st) st = attr_posts(attr, c->post, c->n_post);
    if (!st) st = pd_conv(&op->pd, dnn->engine, ref(&x), ref(&w),
                          c->bias ? ref(&b) : NULL, ref(&y), stride, dilate, begin, end, attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    md_drop(&x); md_drop(&w); md_drop(&b); md_drop(&y);
    return described(out, op, st);
}

ln__dnn_status ln__dnn_describe_matmul(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                       const ln__dnn_tensor *w, const ln__dnn_tensor *y, bool bias)
{
    md mx = no_md, mw = no_md, mb = no_md, my = no_md;
    dnnl_primitive_attr_t attr = NULL;
    ln__dnn_tensor row = { .rank = y->rank, .order = LN__ROW_MAJOR };
    ln__dnn_op *op = NULL;

    for (int32_t i = 0; i < y->rank; i++)
        row.dim[i] = i == y->rank - 1 ? y->dim[i] : 1;
    dnnl_status_t st = op_new(&op, dnn);
    if (st)
        return st;
    if (!st) st = tensor_md(&mx, x);
    if (!st) st = tensor_md(&mw, w);
    if (!st) st = tensor_md(&my, y);
    if (!st && bias) st = tensor_md(&mb, &row);
    if (!st) st = attr_new(&attr);
    if (!st) st = pd_matmul(&op->pd, dnn->engine, ref(&mx), ref(&mw), bias ? ref(&mb) : NULL,
                            ref(&my), attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    md_drop(&mx); md_drop(&mw); md_drop(&mb); md_drop(&my);
    return described(out, op, st);
}

ln__dnn_status ln__dnn_describe_softmax(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                        int32_t axis, bool logarithm)
{
    md mx = no_md;
    dnnl_primitive_attr_t attr = NULL;
    ln__dnn_op *op = NULL;
    dnnl_status_t st = op_new(&op, dnn);
    if (st)
        return st;
    if (!st) st = tensor_md(&mx, x);
    if (!st) st = attr_new(&attr);
    if (!st) st = pd_softmax(&op->pd, dnn->engine, logarithm ? dnnl_softmax_log : dnnl_softmax_accurate,
                             ref(&mx), axis, attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    md_drop(&mx);
    return described(out, op, st);
}

ln__dnn_status ln__dnn_describe_lrn(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                    int64_t size, float alpha, float beta, float bias)
{
    md mx = no_md;
    dnnl_primitive_attr_t attr = NULL;
    ln__dnn_op *op = NULL;
    dnnl_status_t st = op_new(&op, dnn);
    if (st)
        return st;
    if (!st) st = tensor_md(&mx, x);
    if (!st) st = attr_new(&attr);
    if (!st) st = pd_lrn(&op->pd, dnn->engine, ref(&mx), size, alpha, beta, bias, attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    md_drop(&mx);
    return described(out, op, st);
}

ln__dnn_status ln__dnn_describe_reorder(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                        const ln__dnn_tensor *y)
{
    md mx = no_md, my = no_md;
    dnnl_primitive_attr_t attr = NULL;
    ln__dnn_op *op = NULL;
    dnnl_status_t st = op_new(&op, dnn);
    if (st)
        return st;
    op->from = DNNL_ARG_FROM;
    op->to = DNNL_ARG_TO;
    if (!st) st = tensor_md(&mx, x);
    if (!st) st = tensor_md(&my, y);
    if (!st) st = attr_new(&attr);
    if (!st) st = dnnl_reorder_primitive_desc_create(&op->pd, ref(&mx), dnn->engine, ref(&my),
                                                     dnn->engine, attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    md_drop(&mx); md_drop(&my);
    return described(out, op, st);
}
