/* onednn_version.h - all that differs between oneDNN 2.x and 3.x, for the files
 * that wrap it: 2.x describes an operation first and then makes a primitive
 * descriptor of it, with memory descriptors by value; 3.x does it in one call,
 * with memory descriptors as handles. */
#ifndef LN_ONEDNN_VERSION_H
#define LN_ONEDNN_VERSION_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "engine/onednn.h"

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t md;
typedef const_dnnl_memory_desc_t md_ref;
#else
typedef struct { dnnl_memory_desc_t value; } md;
typedef const dnnl_memory_desc_t *md_ref;
#endif

struct ln__dnn { ln__ctx ctx; dnnl_engine_t engine; };

struct ln__dnn_op {
    ln__dnn *dnn;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[LN__ARG_COUNT];
    void *handle[LN__ARG_COUNT];
    dnnl_exec_arg_t exec[LN__ARG_COUNT];
    int slot[LN__ARG_COUNT];    /* LN__ARG_* of exec[i] */
    int n_exec;
    int from, to;               /* DNNL_ARG_* of X and Y */
    const char *name;
};

#if DNNL_VERSION_MAJOR >= 3

static inline md_ref ref(const md *desc) { return *desc; }
static inline void md_drop(md *desc) { if (*desc) dnnl_memory_desc_destroy(*desc); *desc = NULL; }
static const md no_md = NULL;

static inline dnnl_status_t md_tag(md *out, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, rank, dims, dnnl_f32, tag);
}
static inline dnnl_status_t md_strides(md *out, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(out, rank, dims, dnnl_f32, strides);
}
static inline dnnl_status_t md_copy(md *out, md_ref from)
{
    return dnnl_memory_desc_clone(out, from);
}
static inline bool md_equal(md_ref a, md_ref b) { return dnnl_memory_desc_equal(a, b) != 0; }
static inline bool md_empty(md_ref desc) { return !desc || dnnl_memory_desc_get_size(desc) == 0; }

static inline void md_dims(md_ref desc, int *rank, dnnl_dims_t dims)
{
    const dnnl_dims_t *of = NULL;
    int32_t n = 0;
    dnnl_memory_desc_query(desc, dnnl_query_ndims_s32, &n);
    dnnl_memory_desc_query(desc, dnnl_query_dims, &of);
    *rank = n;
    memcpy(dims, *of, (size_t)n * sizeof dims[0]);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, kind, a, b);
}
static inline dnnl_status_t append_hard_swish(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_hardswish, 1.0F / 6.0F, 0.5F);
}
static inline dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t pd_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                             md_ref x, md_ref w, md_ref bias, md_ref y, const dnnl_dims_t stride,
                             const dnnl_dims_t dilate, const dnnl_dims_t begin,
                             const dnnl_dims_t end, dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference,
        dnnl_convolution_direct, x, w, bias, y, stride, dilate, begin, end, attr);
}
static inline dnnl_status_t pd_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x,
                               md_ref w, md_ref bias, md_ref y, dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(out, engine, x, w, bias, y, attr);
}
static inline dnnl_status_t pd_softmax(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                dnnl_alg_kind_t kind, md_ref x, int axis, dnnl_primitive_attr_t attr)
{
    return dnnl_softmax_forward_primitive_desc_create(out, engine, dnnl_forward_inference, kind,
                                                      x, x, axis, attr);
}
static inline dnnl_status_t pd_lrn(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x, int64_t size,
                            float alpha, float beta, float k, dnnl_primitive_attr_t attr)
{
    return dnnl_lrn_forward_primitive_desc_create(out, engine, dnnl_forward_inference,
        dnnl_lrn_across_channels, x, x, size, alpha, beta, k, attr);
}

#else

static inline md_ref ref(const md *desc) { return &desc->value; }
static inline void md_drop(md *desc) { (void)desc; }
static const md no_md;

static inline dnnl_status_t md_tag(md *out, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(&out->value, rank, dims, dnnl_f32, tag);
}
static inline dnnl_status_t md_strides(md *out, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(&out->value, rank, dims, dnnl_f32, strides);
}
static inline dnnl_status_t md_copy(md *out, md_ref from)
{
    out->value = *from;
    return dnnl_success;
}
static inline bool md_equal(md_ref a, md_ref b) { return dnnl_memory_desc_equal(a, b) != 0; }
static inline bool md_empty(md_ref desc) { return !desc || desc->ndims == 0; }

static inline void md_dims(md_ref desc, int *rank, dnnl_dims_t dims)
{
    *rank = desc->ndims;
    memcpy(dims, desc->dims, (size_t)desc->ndims * sizeof dims[0]);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, kind, a, b);
}
static inline dnnl_status_t append_hard_swish(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_hardswish, 0.0F, 0.0F);
}
static inline dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0F);
}

static inline dnnl_status_t pd_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                             md_ref x, md_ref w, md_ref bias, md_ref y, const dnnl_dims_t stride,
                             const dnnl_dims_t dilate, const dnnl_dims_t begin,
                             const dnnl_dims_t end, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t st = dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference,
        dnnl_convolution_direct, x, w, bias, y, stride, dilate, begin, end);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static inline dnnl_status_t pd_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x,
                               md_ref w, md_ref bias, md_ref y, dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t desc;
    dnnl_status_t st = dnnl_matmul_desc_init(&desc, x, w, bias, y);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static inline dnnl_status_t pd_softmax(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                dnnl_alg_kind_t kind, md_ref x, int axis, dnnl_primitive_attr_t attr)
{
    dnnl_softmax_v2_desc_t desc;
    dnnl_status_t st = dnnl_softmax_v2_forward_desc_init(&desc, dnnl_forward_inference, kind, x, x, axis);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static inline dnnl_status_t pd_lrn(dnnl_primitive_desc_t *out, dnnl_engine_t engine, md_ref x, int64_t size,
                            float alpha, float beta, float k, dnnl_primitive_attr_t attr)
{
    dnnl_lrn_desc_t desc;
    dnnl_status_t st = dnnl_lrn_forward_desc_init(&desc, dnnl_forward_inference,
        dnnl_lrn_across_channels, x, size, alpha, beta, k);
    return st ? st : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}

#endif

/* Row-major strides; `transposed`: the last two dimensions lie swapped. */
static inline dnnl_status_t md_row_major(md *out, int rank, const dnnl_dims_t dims, bool transposed)
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

#endif
