/* onednn.c - oneDNN behind onednn.h. The only file that knows its version:
 * 2.x describes an operation first and then makes a primitive descriptor of
 * it, with memory descriptors by value; 3.x does it in one call, with memory
 * descriptors as handles, and has no Winograd. */
#include "engine/onednn.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#define VERSION_TEXT_(x) #x
#define VERSION_TEXT(x) VERSION_TEXT_(x)

struct ln__dnn { ln__ctx ctx; dnnl_engine_t engine; };

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t md;
typedef const_dnnl_memory_desc_t md_ref;
#else
typedef struct { dnnl_memory_desc_t value; } md;
typedef const dnnl_memory_desc_t *md_ref;
#endif

enum { MAX_ARGS = LN__ARG_COUNT };

struct ln__dnn_op {
    ln__dnn *dnn;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[MAX_ARGS];
    void *handle[MAX_ARGS];
    dnnl_exec_arg_t exec[MAX_ARGS];
    int slot[MAX_ARGS];         /* LN__ARG_* of exec[i] */
    int n_exec;
    int from, to;               /* DNNL_ARG_* of X and Y */
    const char *name;
};

struct ln__dnn_desc { ln__ctx ctx; md desc; };

/* ---- What differs between 2.x and 3.x -------------------------------------- */

#if DNNL_VERSION_MAJOR >= 3

static md_ref ref(const md *desc) { return *desc; }
static void md_drop(md *desc) { if (*desc) dnnl_memory_desc_destroy(*desc); *desc = NULL; }
static const md no_md = NULL;

static dnnl_status_t md_tag(md *out, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, rank, dims, dnnl_f32, tag);
}
static dnnl_status_t md_strides(md *out, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(out, rank, dims, dnnl_f32, strides);
}
static dnnl_status_t md_copy(md *out, md_ref from)
{
    return dnnl_memory_desc_clone(out, from);
}
static bool md_equal(md_ref a, md_ref b) { return dnnl_memory_desc_equal(a, b) != 0; }
static bool md_empty(md_ref desc) { return !desc || dnnl_memory_desc_get_size(desc) == 0; }

static void md_dims(md_ref desc, int *rank, dnnl_dims_t dims)
{
    const dnnl_dims_t *of = NULL;
    int32_t n = 0;
    dnnl_memory_desc_query(desc, dnnl_query_ndims_s32, &n);
    dnnl_memory_desc_query(desc, dnnl_query_dims, &of);
    *rank = n;
    memcpy(dims, *of, (size_t)n * sizeof dims[0]);
}

static dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, kind, a, b);
}
static dnnl_status_t append_hard_swish(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_hardswish, 1.0F / 6.0F, 0.5F);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F, 0, dnnl_data_type_undef);
}

static dnnl_status_t pd_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, bool winograd,
                             md_ref x, md_ref w, md_ref bias, md_ref y, const dnnl_dims_t stride,
                             const dnnl_dims_t dilate, const dnnl_dims_t begin,
                             const dnnl_dims_t end, dnnl_primitive_attr_t attr)
{
    if (winograd)
        return dnnl_unimplemented;
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference,
        dnnl_convolution_direct, x, w, bias, y, stride, dilate, begin, end, attr);
}
static dnnl_status_t pd_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x,
                               md_ref w, md_ref bias, md_ref y, dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(out, engine, x, w, bias, y, attr);
}
static dnnl_status_t pd_softmax(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                dnnl_alg_kind_t kind, md_ref x, int axis, dnnl_primitive_attr_t attr)
{
    return dnnl_softmax_forward_primitive_desc_create(out, engine, dnnl_forward_inference, kind,
                                                      x, x, axis, attr);
}
static dnnl_status_t pd_lrn(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x, int64_t size,
                            float alpha, float beta, float k, dnnl_primitive_attr_t attr)
{
    return dnnl_lrn_forward_primitive_desc_create(out, engine, dnnl_forward_inference,
        dnnl_lrn_across_channels, x, x, size, alpha, beta, k, attr);
}

#else

static md_ref ref(const md *desc) { return &desc->value; }
static void md_drop(md *desc) { (void)desc; }
static const md no_md;

static dnnl_status_t md_tag(md *out, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(&out->value, rank, dims, dnnl_f32, tag);
}
static dnnl_status_t md_strides(md *out, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(&out->value, rank, dims, dnnl_f32, strides);
}
static dnnl_status_t md_copy(md *out, md_ref from)
{
    out->value = *from;
    return dnnl_success;
}
static bool md_equal(md_ref a, md_ref b) { return dnnl_memory_desc_equal(a, b) != 0; }
static bool md_empty(md_ref desc) { return !desc || desc->ndims == 0; }

static void md_dims(md_ref desc, int *rank, dnnl_dims_t dims)
{
    *rank = desc->ndims;
    memcpy(dims, desc->dims, (size_t)desc->ndims * sizeof dims[0]);
}

static dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, kind, a, b);
}
static dnnl_status_t append_hard_swish(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_hardswish, 0.0F, 0.0F);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F);
}

static dnnl_status_t pd_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, bool winograd,
                             md_ref x, md_ref w, md_ref bias, md_ref y, const dnnl_dims_t stride,
                             const dnnl_dims_t dilate, const dnnl_dims_t begin,
                             const dnnl_dims_t end, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t st = dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference,
        winograd ? dnnl_convolution_winograd : dnnl_convolution_direct, x, w, bias, y, stride,
        dilate, begin, end);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static dnnl_status_t pd_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x,
                               md_ref w, md_ref bias, md_ref y, dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t desc;
    dnnl_status_t st = dnnl_matmul_desc_init(&desc, x, w, bias, y);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static dnnl_status_t pd_softmax(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                dnnl_alg_kind_t kind, md_ref x, int axis, dnnl_primitive_attr_t attr)
{
    dnnl_softmax_v2_desc_t desc;
    dnnl_status_t st = dnnl_softmax_v2_forward_desc_init(&desc, dnnl_forward_inference, kind, x, x, axis);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static dnnl_status_t pd_lrn(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x, int64_t size,
                            float alpha, float beta, float k, dnnl_primitive_attr_t attr)
{
    dnnl_lrn_desc_t desc;
    dnnl_status_t st = dnnl_lrn_forward_desc_init(&desc, dnnl_forward_inference,
        dnnl_lrn_across_channels, x, size, alpha, beta, k);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

#endif

/* ---- Library ----------------------------------------------------------------- */

bool ln__dnn_unimplemented(ln__dnn_status status) { return status == dnnl_unimplemented; }

const char *ln__dnn_status_text(ln__dnn_status status)
{
    switch ((dnnl_status_t)status) {
    case dnnl_success:           return "success";
    case dnnl_out_of_memory:     return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented:     return "unimplemented";
    case dnnl_runtime_error:     return "runtime error";
    default:                     return "error";
    }
}

#define VERSION                                                                      \
    VERSION_TEXT(DNNL_VERSION_MAJOR) "." VERSION_TEXT(DNNL_VERSION_MINOR)            \
    "." VERSION_TEXT(DNNL_VERSION_PATCH)

const char *ln__dnn_version(void) { return VERSION; }

#if defined(__x86_64__) || defined(_M_X64)
static bool has_isa(dnnl_cpu_isa_t isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)isa) == (unsigned)isa;
}
#endif

typedef struct { const char *isa, *backend; } cpu_text;

static cpu_text cpu(void)
{
    static const cpu_text texts[] = {
        { "avx512_core", "oneDNN " VERSION ", avx512_core" }, { "avx2", "oneDNN " VERSION ", avx2" },
        { "sse41", "oneDNN " VERSION ", sse41" }, { "generic", "oneDNN " VERSION },
    };
#if defined(__x86_64__) || defined(_M_X64)
    return has_isa(dnnl_cpu_isa_avx512_core) ? texts[0] : has_isa(dnnl_cpu_isa_avx2) ? texts[1]
         : has_isa(dnnl_cpu_isa_sse41) ? texts[2] : texts[3];
#else
    return texts[3];
#endif
}

const char *ln__dnn_isa(void) { return cpu().isa; }
const char *ln__dnn_backend(void) { return cpu().backend; }

int64_t ln__dnn_block(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    return has_isa(dnnl_cpu_isa_avx512_core) ? 16 : has_isa(dnnl_cpu_isa_sse41) ? 8 : 1;
#else
    return 1;
#endif
}

ln__dnn_status ln__dnn_new(ln__dnn **out, const ln__ctx *ctx)
{
    ln__dnn *dnn = ln__calloc(ctx, 1, sizeof *dnn);
    if (!dnn)
        return dnnl_out_of_memory;
    dnn->ctx = *ctx;
    dnnl_status_t st = dnnl_engine_create(&dnn->engine, dnnl_cpu, 0);
    if (st) {
        ln__free(ctx, dnn);
        return st;
    }
    *out = dnn;
    return dnnl_success;
}

void ln__dnn_free(ln__dnn *dnn)
{
    if (!dnn)
        return;
    dnnl_engine_destroy(dnn->engine);
    ln__ctx ctx = dnn->ctx;
    ln__free(&ctx, dnn);
}

ln__dnn_status ln__dnn_stream_new(ln__dnn_stream **out, ln__dnn *dnn)
{
    return dnnl_stream_create((dnnl_stream_t *)out, dnn->engine, dnnl_stream_default_flags);
}

void ln__dnn_stream_free(ln__dnn_stream *stream)
{
    if (stream)
        dnnl_stream_destroy((dnnl_stream_t)stream);
}

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

static dnnl_status_t row_major(md *out, int rank, const dnnl_dims_t dims, bool transposed)
{
    dnnl_dims_t strides;
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int at = transposed && i >= rank - 2 ? 2 * rank - 3 - i : i;
        strides[at] = step;
        step *= dims[at];
    }
    return md_strides(out, rank, dims, strides);
}

static dnnl_status_t tensor_md(md *out, const ln__dnn_tensor *t)
{
    dnnl_dims_t dims;
    for (int32_t i = 0; i < t->rank; i++)
        dims[i] = t->dim[i];
    if (t->order == LN__ROW_MAJOR)
        return row_major(out, t->rank, dims, t->transposed);
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
    if (!st) st = pd_conv(&op->pd, dnn->engine, c->winograd, ref(&x), ref(&w),
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

/* ---- Finishing and running ------------------------------------------------------------ */

static dnnl_status_t add_memory(ln__dnn_op *op, int slot, int arg, dnnl_query_t what)
{
    md_ref desc = dnnl_primitive_desc_query_md(op->pd, what, 0);
    if (md_empty(desc))
        return dnnl_success;
    dnnl_status_t st = dnnl_memory_create(&op->memory[slot], desc, op->dnn->engine, DNNL_MEMORY_NONE);
    if (st)
        return st;
    op->slot[op->n_exec] = slot;
    op->exec[op->n_exec].arg = arg;
    op->exec[op->n_exec++].memory = op->memory[slot];
    return dnnl_success;
}

static dnnl_status_t add_bias(ln__dnn_op *op)
{
    md_ref desc = dnnl_primitive_desc_query_md(op->pd, dnnl_query_weights_md, 1);
    if (md_empty(desc))
        return dnnl_success;
    dnnl_status_t st = dnnl_memory_create(&op->memory[LN__ARG_BIAS], desc, op->dnn->engine,
                                          DNNL_MEMORY_NONE);
    if (st)
        return st;
    op->slot[op->n_exec] = LN__ARG_BIAS;
    op->exec[op->n_exec].arg = DNNL_ARG_BIAS;
    op->exec[op->n_exec++].memory = op->memory[LN__ARG_BIAS];
    return dnnl_success;
}

ln__dnn_status ln__dnn_finish(ln__dnn_op *op)
{
    dnnl_status_t st = dnnl_primitive_create(&op->primitive, op->pd);
    if (!st) st = add_memory(op, LN__ARG_X, op->from, dnnl_query_src_md);
    if (!st) st = add_memory(op, LN__ARG_Y, op->to, dnnl_query_dst_md);
    if (!st) st = add_memory(op, LN__ARG_WEIGHTS, DNNL_ARG_WEIGHTS, dnnl_query_weights_md);
    if (!st) st = add_bias(op);
    if (!st) st = add_memory(op, LN__ARG_SCRATCH, DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md);
    return st;
}

void ln__dnn_op_free(ln__dnn_op *op)
{
    if (!op)
        return;
    for (int i = 0; i < MAX_ARGS; i++)
        if (op->memory[i])
            dnnl_memory_destroy(op->memory[i]);
    if (op->primitive)
        dnnl_primitive_destroy(op->primitive);
    if (op->pd)
        dnnl_primitive_desc_destroy(op->pd);
    ln__free(&op->dnn->ctx, op);
}

const char *ln__dnn_name(const ln__dnn_op *op) { return op->name; }

bool ln__dnn_is_reference(const ln__dnn_op *op)
{
    return !strncmp(op->name, "ref", 3) || strstr(op->name, ":ref");
}

size_t ln__dnn_scratch(const ln__dnn_op *op)
{
    md_ref desc = dnnl_primitive_desc_query_md(op->pd, dnnl_query_scratchpad_md, 0);
    return md_empty(desc) ? 0 : dnnl_memory_desc_get_size(desc);
}

ln__dnn_status ln__dnn_run(ln__dnn_op *op, ln__dnn_stream *stream, void *const data[LN__ARG_COUNT])
{
    for (int i = 0; i < op->n_exec; i++) {
        int slot = op->slot[i];
        /* Giving a handle may write its padding, so only where it moved. */
        if (op->handle[slot] != data[slot]) {
            dnnl_status_t st = dnnl_memory_set_data_handle(op->memory[slot], data[slot]);
            if (st)
                return st;
            op->handle[slot] = data[slot];
        }
    }
    dnnl_status_t st = dnnl_primitive_execute(op->primitive, (dnnl_stream_t)stream, op->n_exec, op->exec);
    return st ? st : dnnl_stream_wait((dnnl_stream_t)stream);
}

/* ---- Weights ----------------------------------------------------------------------------- */

static md_ref weights_of(const ln__dnn_op *op)
{
    return dnnl_primitive_desc_query_md(op->pd, dnnl_query_weights_md, 0);
}

ln__dnn_status ln__dnn_weights_desc(ln__dnn_desc **out, const ln__dnn_op *op)
{
    ln__dnn_desc *desc = ln__calloc(&op->dnn->ctx, 1, sizeof *desc);
    if (!desc)
        return dnnl_out_of_memory;
    desc->ctx = op->dnn->ctx;
    dnnl_status_t st = md_copy(&desc->desc, weights_of(op));
    if (st) {
        ln__free(&op->dnn->ctx, desc);
        return st;
    }
    *out = desc;
    return dnnl_success;
}

void ln__dnn_desc_free(ln__dnn_desc *desc)
{
    if (!desc)
        return;
    md_drop(&desc->desc);
    ln__ctx ctx = desc->ctx;
    ln__free(&ctx, desc);
}

bool ln__dnn_weights_match(const ln__dnn_op *op, const ln__dnn_desc *desc)
{
    return md_equal(weights_of(op), ref(&desc->desc));
}

size_t ln__dnn_weights_bytes(const ln__dnn_op *op)
{
    return dnnl_memory_desc_get_size(weights_of(op));
}

static dnnl_status_t reorder(ln__dnn *dnn, md_ref from, void *x, md_ref to, void *y)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t mx = NULL, my = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t st = dnnl_reorder_primitive_desc_create(&pd, from, dnn->engine, to, dnn->engine, NULL);
    if (!st) st = dnnl_primitive_create(&primitive, pd);
    if (!st) st = dnnl_memory_create(&mx, from, dnn->engine, x);
    if (!st) st = dnnl_memory_create(&my, to, dnn->engine, y);
    if (!st) st = dnnl_stream_create(&stream, dnn->engine, dnnl_stream_default_flags);
    if (!st) {
        dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, mx }, { DNNL_ARG_TO, my } };
        st = dnnl_primitive_execute(primitive, stream, 2, args);
        if (!st)
            st = dnnl_stream_wait(stream);
    }
    if (stream) dnnl_stream_destroy(stream);
    if (mx) dnnl_memory_destroy(mx);
    if (my) dnnl_memory_destroy(my);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

ln__dnn_status ln__dnn_pack(const ln__dnn_op *op, bool transposed, const float *from, void *to)
{
    md plain = no_md;
    dnnl_dims_t dims;
    int rank;
    md_dims(weights_of(op), &rank, dims);
    dnnl_status_t st = row_major(&plain, rank, dims, transposed);
    if (!st)
        st = reorder(op->dnn, ref(&plain), (void *)(uintptr_t)from, weights_of(op), to);
    md_drop(&plain);
    return st;
}

ln__dnn_status ln__dnn_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                            const float *a, int64_t lda, const float *b, int64_t ldb,
                            float beta, float *c, int64_t ldc)
{
    return dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb,
                      beta, c, ldc);
}
