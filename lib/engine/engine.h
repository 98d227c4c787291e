/* engine.h - stages made executable with oneDNN and our own kernels. The only
 * room that includes oneDNN or OpenMP.
 *
 *   ln__engine   a fused graph, the layout of every value, the kernel of every
 *                convolution and the reordered weights. Counted; any thread.
 *   ln__plan     one stage for one row count and thread count: a flat list of
 *                steps with arguments bound. One thread at a time. */
#ifndef LN_ENGINE_H
#define LN_ENGINE_H

#include "base/base.h"
#include "graph/graph.h"

/* A value as plans hold it: [rows][ceil(channels/block)][spatial][block], the
 * channels that fill up the last block zero. block 1 is ONNX's own order, 8 and
 * 16 are oneDNN's blocked layouts, block == channels is channels-last (block 1
 * without channels). Values that are not [rows][channels][...] have channels =
 * elements of a row, spatial 1, block 1. A row is contiguous, so rows can be
 * packed by copying. */
typedef struct ln__view {
    float  *data;
    int64_t rows, channels, spatial, block;
} ln__view;

static inline size_t ln__view_row_floats(const ln__view *v)
{
    return (size_t)((v->channels + v->block - 1) / v->block * v->block * v->spatial);
}

/* ---- Engine ----------------------------------------------------------------- */

typedef struct ln__engine ln__engine;

/* Takes the fused graph over (frees it at last release, also on failure);
 * what the graph shares with others must outlive the engine. `kernels` is the
 * text ln__engine_tune wrote, or NULL; one made on another CPU or oneDNN version,
 * or damaged, is ignored in favour of the rule (with a log line). */
ln_status ln__engine_new(ln__engine **out, const ln__ctx *ctx, ln__graph *fused,
                         const char *kernels, ln_error *err);
void ln__engine_retain(ln__engine *engine);
void ln__engine_release(ln__engine *engine);
const ln__graph *ln__engine_graph(const ln__engine *engine);

/* Layout of a value in every plan, data NULL. */
ln_status ln__engine_view(ln__view *out, ln__engine *engine, int32_t value, int64_t rows, ln_error *err);

/* Told how many runs of one row are done; what it returns below LN_OK ends the work. */
typedef ln_status (*ln__watch_fn)(uint32_t done, uint32_t total, void *payload, ln_error *err);

/* Times the candidates of every convolution (oneDNN's blocked and channels-last, our tiles direct and by Winograd),
 * reorders counted, for one row and `threads`; the choice as one line of text
 * for the model file, with the CPU and version it holds for. */
ln_status ln__engine_tune(ln__buffer *out, const ln__ctx *ctx, const ln__graph *fused,
                          uint32_t threads, ln__watch_fn watch, void *payload, ln_error *err);

/* ---- Plans -------------------------------------------------------------------- */

typedef struct ln__plan ln__plan;

/* Stage `stage` of the cut, for `rows` rows split over `threads` OpenMP threads. */
ln_status ln__plan_new(ln__plan **out, ln__engine *engine, const ln__cut *cut, int32_t stage,
                       int64_t rows, uint32_t threads, ln_error *err);
void ln__plan_free(ln__plan *plan);

/* Working memory a run needs (64-byte aligned); plans that run in turn may share it. */
size_t ln__plan_arena(const ln__plan *plan);

/* `in` and `out`: data of stage.in[] and stage.out[] in their engine views. A
 * value in both (carried) is not changed: its in pointer is read if the stage
 * reads the value itself, its out pointer never. Other inputs but the graph's
 * own may be overwritten. No allocation, no lock. */
ln_status ln__plan_run(ln__plan *plan, void *arena, float *const *in, float *const *out, ln_error *err);

/* The i-th step as text, "Conv 'layer1.0.conv1' jit:avx512_core 1x64x56x56 blocked"; NULL past the end. */
const char *ln__plan_step(const ln__plan *plan, size_t i);
/* True if a step runs an unoptimised kernel (oneDNN "ref", or our general evaluator on a
 * tensor of more than a few thousand numbers). */
bool ln__plan_step_is_reference(const ln__plan *plan, size_t i);

/* ---- Threads inside a primitive ------------------------------------------------- */

/* Sets the calling thread's OpenMP count and returns the one before, to be restored. */
int ln__omp_enter(uint32_t threads);
void ln__omp_leave(int before);

/* ---- Matrix product for training: C[m][n] = alpha op(A) op(B) + beta C, row-major. ------- */
ln_status ln__gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                   const float *a, int64_t lda, const float *b, int64_t ldb,
                   float beta, float *c, int64_t ldc, ln_error *err);

/* "oneDNN 2.6.3" and the CPU features it found, in static storage. */
const char *ln__engine_backend(void);

#endif
