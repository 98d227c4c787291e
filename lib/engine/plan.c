/* plan.c - plans: made, run, described. */
#include "engine/plan.h"

#include <stdatomic.h>
#include <string.h>

enum { BUSY = 16384 };          /* floats worth waking other threads for */

/* ---- Making ---------------------------------------------------------------------- */

static ln_status finish_steps(ln__plan *plan, ln_error *err)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        ln__step *step = &plan->steps[i];
        step->busy = step->busy || step->job.count * LN__MAX(step->job.gx.rows, 1) >= BUSY;
        if (!step->op)
            continue;
        step->reference = ln__dnn_is_reference(step->op);
        plan->held = plan->held || ln__dnn_moves_stack(step->op);
        ln__dnn_status code = ln__dnn_finish(step->op);
        if (code)
            return ln__dnn_fail(err, plan, step->node, code);
    }
    return LN_OK;
}

/* Each step asks for the weights of the one after it. */
static void look_ahead(ln__plan *plan)
{
    const void *next = NULL;
    for (size_t i = plan->n_steps; i-- > 0;) {
        ln__step *step = &plan->steps[i];
        step->job.next = next;
        if (step->weights || step->job.weights)
            next = step->weights ? step->weights : step->job.weights;
    }
}

static ln_status fill_plan(ln__plan *plan, const ln__part *part, ln_error *err)
{
    ln_status st = LN_OK;
    plan->shapes = plan->engine->one;
    if (plan->rows != 1) {
        st = ln__shapes_infer(&plan->own_shapes, plan->engine->graph, plan->rows, err);
        plan->shapes = plan->own_shapes;
    }
    if (st < 0)
        return st;
    ln__dnn_status code = ln__dnn_stream_new(&plan->stream, plan->engine->dnn);
    if (code)
        return ln__fail(err, ln__dnn_failure(code), "%s: oneDNN: %s", plan->engine->graph->file, ln__dnn_status_text(code));
    int before = ln__omp_enter(plan->threads);
    sigset_t signals;
    ln__signals_hold(&signals);     /* OpenMP's threads start here and keep this mask */
    st = ln__lower(plan, part, err);
    if (st >= 0) st = ln__arrange(plan, err);
    if (st >= 0) st = finish_steps(plan, err);
    if (st >= 0) look_ahead(plan);
    ln__signals_release(&signals);
    ln__omp_leave(before);
    return st;
}

ln_status ln__plan_make(ln__plan **out, ln__engine *engine, const ln__part *part, int64_t rows,
                        uint32_t threads, ln_error *err)
{
    *out = NULL;
    if (rows < 1)
        return ln__fail(err, LN_E_ARGUMENT, "%s: a plan for %lld rows: at least 1 is needed",
                        engine->graph->file, (long long)rows);
    ln__plan *plan = ln__calloc(&engine->ctx, 1, sizeof *plan);
    if (!plan)
        return ln__fail_nomem(err, &engine->ctx, sizeof *plan);
    ln__engine_retain(engine);
    plan->engine = engine;
    plan->rows = rows;
    plan->threads = threads ? threads : 1;
    plan->held = plan->threads > 1;
    ln__arena_init(&plan->memory, &engine->ctx, 0);
    ln_status st = fill_plan(plan, part, err);
    if (st < 0) {
        ln__plan_free(plan);
        return st;
    }
    *out = plan;
    return LN_OK;
}

ln_status ln__plan_new(ln__plan **out, ln__engine *engine, const ln__cut *cut, int32_t stage,
                       int64_t rows, uint32_t threads, ln_error *err)
{
    *out = NULL;
    if (stage < 0 || stage >= cut->n_stages)
        return ln__fail(err, LN_E_ARGUMENT, "%s: stage %d of %d", engine->graph->file, (int)stage, (int)cut->n_stages);
    const ln__stage *s = &cut->stages[stage];
    ln__part part = { cut->order + s->first, s->last - s->first, s->in, s->n_in, s->out, s->n_out };
    return ln__plan_make(out, engine, &part, rows, threads, err);
}

void ln__plan_free(ln__plan *plan)
{
    if (!plan)
        return;
    ln__engine *engine = plan->engine;
    for (size_t i = 0; i < plan->n_steps; i++)
        ln__dnn_op_free(plan->steps[i].op);
    ln__dnn_stream_free(plan->stream);
    ln__shapes_free(plan->own_shapes, &engine->ctx);
    ln__free(&engine->ctx, plan->steps);
    ln__free(&engine->ctx, plan->buffers);
    ln__free(&engine->ctx, plan->seconds);
    ln__arena_free(&plan->memory);
    ln__free(&engine->ctx, plan);
    ln__engine_release(engine);
}

size_t ln__plan_arena(const ln__plan *plan) { return plan->arena_bytes; }

/* ---- Running ------------------------------------------------------------------------ */

typedef struct { char *arena; float *const *in, *const *out; } bases;

static float *pointer(const ln__plan *plan, const bases *b, int32_t buffer)
{
    const ln__storage *s = &plan->buffers[buffer], *root = &plan->buffers[s->root];
    switch (root->home) {
    case LN__HOME_IN:    return b->in[root->index] + s->offset;
    case LN__HOME_OUT:   return b->out[root->index] + s->offset;
    case LN__HOME_CONST: return (float *)(uintptr_t)root->constant + s->offset;
    default:             return (float *)(void *)(b->arena + plan->place[s->root]) + s->offset;
    }
}

/* ThreadSanitizer does not see libgomp's barriers: what they order is told to it by an atomic of its own. */
#if defined(__SANITIZE_THREAD__)
#  define ORDERED(at) ((void)atomic_fetch_add(at, 1))
#else
#  define ORDERED(at) ((void)(at))
#endif

static void run_kernel(ln__kernel kernel, const ln__job *job, bool busy, uint32_t threads)
{
    atomic_uint order = 0;
    if (threads < 2 || !busy) {
        kernel(job, 0, 1);
        return;
    }
    ORDERED(&order);
#pragma omp parallel for num_threads((int)threads) schedule(static, 1)
    for (uint32_t part = 0; part < threads; part++) {
        ORDERED(&order);
        kernel(job, part, threads);
        ORDERED(&order);
    }
    ORDERED(&order);
}

static void run_evaluate(const ln__plan *plan, ln__step *step, const bases *b)
{
    for (int32_t i = 0; i < step->n_in; i++)
        if (step->in[i] >= 0)
            step->types[i].data = pointer(plan, b, step->in[i]);
    for (int32_t i = 0; i < step->n_out; i++)
        step->types[step->n_in + i].data = step->out[i] >= 0 ? pointer(plan, b, step->out[i]) : NULL;
    ln__node_evaluate(step->evaluate, step->arguments, step->types + step->n_in,
                      step->scratch >= 0 ? pointer(plan, b, step->scratch) : NULL);
}

static ln__dnn_status run_dnn(const ln__plan *plan, ln__step *step, const bases *b)
{
    void *data[LN__ARG_COUNT] = { NULL };
    data[LN__ARG_X] = pointer(plan, b, step->in[0]);
    data[LN__ARG_WEIGHTS] = step->n_in > 1 ? (void *)pointer(plan, b, step->in[1])
                                           : (void *)(uintptr_t)step->weights;
    data[LN__ARG_BIAS] = (void *)(uintptr_t)step->bias;
    data[LN__ARG_Y] = pointer(plan, b, step->out[0]);
    data[LN__ARG_SCRATCH] = step->scratch >= 0 ? (void *)pointer(plan, b, step->scratch) : NULL;
    return ln__dnn_run(step->op, plan->stream, data);
}

static ln__dnn_status run_step(const ln__plan *plan, ln__step *step, const bases *b)
{
    ln__job *job = &step->job;
    switch (step->kind) {
    case LN__STEP_DNN:
        return run_dnn(plan, step, b);
    case LN__STEP_KERNEL:
        job->x = pointer(plan, b, step->in[0]);
        if (step->n_in > 1)
            job->other = pointer(plan, b, step->in[1]);
        job->y = pointer(plan, b, step->out[0]);
        if (step->scratch >= 0)
            job->scratch = pointer(plan, b, step->scratch);
        run_kernel(step->kernel, job, step->busy, plan->threads);
        return 0;
    case LN__STEP_COPY:
        if (step->gone)
            return 0;
        job->x = pointer(plan, b, step->in[0]);
        job->y = pointer(plan, b, step->out[0]) + step->to_offset;
        run_kernel(ln__kernel_copy, job, step->busy, plan->threads);
        return 0;
    default:
        run_evaluate(plan, step, b);
        return 0;
    }
}

static ln_status run_steps(ln__plan *plan, const bases *b, ln_error *err)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        double before = plan->seconds ? plan->clock() : 0.0;
        ln__dnn_status code = run_step(plan, &plan->steps[i], b);
        if (code)
            return ln__dnn_fail(err, plan, plan->steps[i].node, code);
        if (plan->seconds)
            plan->seconds[i] = LN__MIN(plan->seconds[i], plan->clock() - before);
    }
    return LN_OK;
}

ln_status ln__plan_run(ln__plan *plan, void *arena, float *const *in, float *const *out, ln_error *err)
{
    bases b = { arena, in, out };
    sigset_t before;
    if (!plan->held)
        return run_steps(plan, &b, err);
    ln__signals_hold(&before);
    ln_status st = run_steps(plan, &b, err);
    ln__signals_release(&before);
    return st;
}

/* ---- Looking at ------------------------------------------------------------------------ */

static const ln__step *visible(const ln__plan *plan, size_t i)
{
    for (size_t t = 0; t < plan->n_steps; t++)
        if (!plan->steps[t].gone && i-- == 0)
            return &plan->steps[t];
    return NULL;
}

const char *ln__plan_step(const ln__plan *plan, size_t i)
{
    const ln__step *step = visible(plan, i);
    return step ? step->text : NULL;
}

bool ln__plan_step_is_reference(const ln__plan *plan, size_t i)
{
    const ln__step *step = visible(plan, i);
    return step && step->reference;
}
