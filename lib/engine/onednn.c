/* onednn.c - oneDNN's engine, and operations once described: finished, run, given weights. */
#include "engine/onednn_version.h"

#define VERSION_TEXT_(x) #x
#define VERSION_TEXT(x) VERSION_TEXT_(x)

struct ln__dnn_desc { ln__ctx ctx; md desc; };

/* ---- Library ----------------------------------------------------------------- */

bool ln__dnn_unimplemented(ln__dnn_status status) { return status == dnnl_unimplemented; }

ln_status ln__dnn_failure(ln__dnn_status status)
{
    return status == dnnl_out_of_memory ? LN_E_NOMEM : LN_E_BACKEND;
}

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
    for (int i = 0; i < LN__ARG_COUNT; i++)
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
    return strstr(op->name, "ref") != NULL;     /* "ref:any", "gemm:ref", "lrn_ref:any" */
}

/* oneDNN's matrix product for AVX without packing does, and all "gemm:jit" may call it. */
bool ln__dnn_moves_stack(const ln__dnn_op *op) { return strstr(op->name, "gemm") != NULL; }

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
    dnnl_status_t st = md_row_major(&plain, rank, dims, transposed);
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
