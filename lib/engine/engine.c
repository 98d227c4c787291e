/* engine.c - the engine: a graph with layouts, kernels and weights. */
#include "engine/plan.h"

#include <omp.h>
#include <pthread.h>
#include <string.h>

static void engine_free(ln__engine *e)
{
    if (!e)
        return;
    ln__ctx ctx = e->ctx;
    ln__weights_free(e);
    ln__dnn_free(e->dnn);
    if (e->has_lock)
        pthread_mutex_destroy(&e->lock);
    ln__shapes_free(e->one, &ctx);
    ln__free(&ctx, e->row_value);
    ln__free(&ctx, e->choice);
    ln__free(&ctx, e->layout);
    ln__graph_free(e->owned);
    ln__free(&ctx, e);
}

static ln_status engine_fill(ln__engine *e, const ln__ctx *ctx, ln_error *err)
{
    const ln__graph *g = e->graph;
    size_t values = (size_t)g->n_values, nodes = (size_t)g->n_nodes;
    e->row_value = ln__calloc(ctx, values + 1, sizeof *e->row_value);
    e->choice = ln__calloc(ctx, nodes + 1, 1);
    e->layout = ln__calloc(ctx, values + 1, 1);
    if (!e->row_value || !e->choice || !e->layout)
        return ln__fail_nomem(err, ctx, values * 2 + nodes);
    if (pthread_mutex_init(&e->lock, NULL))
        return ln__fail(err, LN_E_NOMEM, "%s: no lock can be made", g->file);
    e->has_lock = true;
    ln_status st = ln__shapes_infer(&e->one, g, 1, err);
    if (st < 0)
        return st;
    st = ln__graph_row_values(e->row_value, g, err);
    if (st < 0)
        return st;
    ln__dnn_status code = ln__dnn_new(&e->dnn, ctx);
    if (code)
        return ln__fail(err, ln__dnn_failure(code), "%s: no oneDNN engine: %s", g->file,
                        ln__dnn_status_text(code));
    e->block = ln__dnn_block();
    return LN_OK;
}

ln_status ln__engine_make(ln__engine **out, const ln__ctx *ctx, const ln__graph *graph, ln_error *err)
{
    ln__engine *e = ln__calloc(ctx, 1, sizeof *e);
    *out = NULL;
    if (!e)
        return ln__fail_nomem(err, ctx, sizeof *e);
    e->ctx = *ctx;
    e->refs = 1;
    e->graph = graph;
    ln_status st = engine_fill(e, ctx, err);
    if (st < 0) {
        engine_free(e);
        return st;
    }
    *out = e;
    return LN_OK;
}

ln_status ln__engine_new(ln__engine **out, const ln__ctx *ctx, ln__graph *fused,
                         const char *kernels, ln_error *err)
{
    ln__engine *e;
    *out = NULL;
    ln_status st = ln__engine_make(&e, ctx, fused, err);
    if (st < 0) {
        ln__graph_free(fused);
        return st;
    }
    e->owned = fused;
    bool read = kernels && *kernels && ln__choice_read(e, kernels);
    if (kernels && *kernels && !read)
        ln__log(ctx, LN_LOG_WARNING, "%s: the stored kernel choice was made on another machine, "
                "by another release or for another network; the rule decides ('leenet tune' measures again)", fused->file);
    if (!read)
        st = ln__choice_rule(e, err);
    if (st < 0) {
        engine_free(e);
        return st;
    }
    ln__layout_assign(e);
    *out = e;
    return LN_OK;
}

void ln__engine_retain(ln__engine *engine)
{
    __atomic_fetch_add(&engine->refs, 1, __ATOMIC_RELAXED);
}

void ln__engine_release(ln__engine *engine)
{
    if (engine && __atomic_sub_fetch(&engine->refs, 1, __ATOMIC_ACQ_REL) == 0)
        engine_free(engine);
}

const ln__graph *ln__engine_graph(const ln__engine *engine) { return engine->graph; }

ln_status ln__engine_view(ln__view *out, ln__engine *engine, int32_t value, int64_t rows, ln_error *err)
{
    if (value < 0 || value >= engine->graph->n_values || engine->one->of[value].rank < 0)
        return ln__fail(err, LN_E_ARGUMENT, "%s: value %d is not in the network", engine->graph->file, (int)value);
    ln__tensor type = engine->one->of[value];
    if (engine->row_value[value] && type.rank > 0) {
        type.dim[0] = rows;
    } else if (rows != 1) {
        ln__shapes *shapes;
        ln_status st = ln__shapes_infer(&shapes, engine->graph, rows, err);
        if (st < 0)
            return st;
        type = shapes->of[value];
        ln__shapes_free(shapes, &engine->ctx);
    }
    *out = ln__layout_view(engine, &type, (ln__layout)engine->layout[value]);
    return LN_OK;
}

int ln__omp_enter(uint32_t threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads ? (int)threads : 1);
    return before;
}

void ln__omp_leave(int before)
{
    omp_set_num_threads(before);
}

void ln__signals_hold(sigset_t *before)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
    sigset_t held;
    sigfillset(&held);
    for (size_t i = 0; i < LN__COUNT(faults); i++)
        sigdelset(&held, faults[i]);
    pthread_sigmask(SIG_BLOCK, &held, before);
}

void ln__signals_release(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

ln_status ln__gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                   const float *a, int64_t lda, const float *b, int64_t ldb,
                   float beta, float *c, int64_t ldc, ln_error *err)
{
    sigset_t before;
    ln__signals_hold(&before);
    ln__dnn_status code = ln__dnn_gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    ln__signals_release(&before);
    if (code)
        return ln__fail(err, ln__dnn_failure(code), "matrix product [%lld, %lld] x [%lld, %lld]: oneDNN: %s",
                        (long long)m, (long long)k, (long long)k, (long long)n, ln__dnn_status_text(code));
    return LN_OK;
}

const char *ln__engine_backend(void) { return ln__dnn_backend(); }
