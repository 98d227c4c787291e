/* tune.c - measured choice of kernels. Every kind of kernel is timed where it
 * will run, with its posts; then the choice of each convolution is changed as
 * long as that makes the sum of kernels and reorders smaller; at last whole
 * runs decide between the outcome and the rule. What gains less than times vary
 * by is not taken, so that measuring again mostly gives the same choice. */
#include "engine/plan.h"

#include <float.h>
#include <string.h>
#include <time.h>

static const char kinds[] = { LN__DIRECT, LN__TILED, LN__WINOGRAD, LN__WINOGRAD_2, LN__NHWC };
enum { KINDS = 5, RUNS = 12, ROUNDS = 21, FEWEST_ROUNDS = 5 };
enum { OF_KIND = 1 + RUNS, OF_ALL = KINDS * OF_KIND + 2 * (1 + ROUNDS) };     /* runs, each first one a warm-up */
#define LONGEST 1.0             /* seconds for the runs of one kind */
#define GAIN    0.04            /* least share of a time that a change must save */

/* One thread is timed by what it computed, so that neighbours on the machine do not decide. */
static double thread_seconds(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) ? ln__now() : (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

typedef struct ln__trial {
    const ln__ctx *ctx;
    const ln__graph *graph;
    ln__cut *cut;
    uint32_t threads;
    double (*clock)(void);
    ln__watch_fn watch;
    void *payload;
    uint32_t done;              /* runs */
    int omp;                    /* the caller's OpenMP count */
    double *seconds[KINDS];     /* [n_nodes], DBL_MAX: not to be had */
    double reorder_per_byte;
} ln__trial;

/* The watcher runs under the caller's OpenMP count. */
static ln_status advance(ln__trial *t, uint32_t done, ln_error *err)
{
    t->done = done;
    if (!t->watch)
        return LN_OK;
    ln__omp_leave(t->omp);
    ln_status st = t->watch(done, OF_ALL, t->payload, err);
    ln__omp_enter(t->threads);
    return st;
}

/* Memory a run of the whole network needs. */
typedef struct ln__rig { ln__plan *plan; void *arena, **in, **out; int32_t n_in, n_out; } ln__rig;

static void rig_free(ln__rig *rig, const ln__ctx *ctx)
{
    for (int32_t i = 0; rig->in && i < rig->n_in; i++)
        ln__free(ctx, rig->in[i]);
    for (int32_t i = 0; rig->out && i < rig->n_out; i++)
        ln__free(ctx, rig->out[i]);
    ln__free(ctx, rig->in);
    ln__free(ctx, rig->out);
    ln__free(ctx, rig->arena);
    ln__plan_free(rig->plan);
}

static ln_status rig_values(void ***out, const ln__trial *t, ln__engine *engine, const int32_t *values, int32_t n, ln_error *err)
{
    void **list = *out = ln__calloc(t->ctx, (size_t)n + 1, sizeof *list);
    if (!list)
        return ln__fail_nomem(err, t->ctx, (size_t)n * sizeof *list);
    for (int32_t i = 0; i < n; i++) {
        ln__view v;
        ln_status st = ln__engine_view(&v, engine, values[i], 1, err);
        if (st < 0)
            return st;
        size_t floats = (size_t)v.rows * ln__view_row_floats(&v);
        float *data = list[i] = ln__array(t->ctx, floats + 16, sizeof(float));
        if (!data)
            return ln__fail_nomem(err, t->ctx, floats * sizeof(float));
        for (size_t k = 0; k < floats; k++)     /* any numbers of sane size */
            data[k] = (float)(k * 2654435761U >> 16 & 0xff) / 128.0F - 1.0F;
    }
    return LN_OK;
}

static ln_status rig_make(ln__rig *rig, const ln__trial *t, ln__engine *engine, ln_error *err)
{
    const ln__stage *s = &t->cut->stages[0];
    *rig = (ln__rig){ .n_in = s->n_in, .n_out = s->n_out };
    ln_status st = ln__plan_new(&rig->plan, engine, t->cut, 0, 1, t->threads, err);
    if (st >= 0) st = rig_values(&rig->in, t, engine, s->in, s->n_in, err);
    if (st >= 0) st = rig_values(&rig->out, t, engine, s->out, s->n_out, err);
    if (st >= 0 && !(rig->arena = ln__alloc(t->ctx, ln__plan_arena(rig->plan) + 64)))
        st = ln__fail_nomem(err, t->ctx, ln__plan_arena(rig->plan));
    if (st < 0)
        rig_free(rig, t->ctx);
    return st;
}

/* One run, its seconds by the trial's clock if wanted. */
static ln_status rig_run(ln__rig *rig, ln__trial *t, double *seconds, ln_error *err)
{
    double before = t->clock();
    ln_status st = ln__plan_run(rig->plan, rig->arena, (float *const *)rig->in, (float *const *)rig->out, err);
    if (seconds)
        *seconds = t->clock() - before;
    return st < 0 ? st : advance(t, t->done + 1, err);
}

/* Least seconds of every step over some runs. */
static ln_status rig_time(ln__rig *rig, ln__trial *t, ln_error *err)
{
    size_t n = rig->plan->n_steps;
    ln_status st = rig_run(rig, t, NULL, err);
    double *seconds = ln__array(t->ctx, n + 1, sizeof *seconds);
    if (!seconds)
        return ln__fail_nomem(err, t->ctx, n * sizeof *seconds);
    for (size_t i = 0; i < n; i++)
        seconds[i] = DBL_MAX;
    rig->plan->seconds = seconds;
    rig->plan->clock = t->clock;
    double begin = ln__now();
    for (int run = 0; st >= 0 && run < RUNS && (run < 3 || ln__now() - begin < LONGEST); run++)
        st = rig_run(rig, t, NULL, err);
    return st;
}

static ln_status engine_with(ln__engine **out, const ln__trial *t, const char *choice, ln_error *err)
{
    ln_status st = ln__engine_make(out, t->ctx, t->graph, err);
    if (st < 0)
        return st;
    memcpy((*out)->choice, choice, (size_t)t->graph->n_nodes);
    ln__layout_assign(*out);
    return LN_OK;
}

/* Times one kind, posts included, on every convolution that has it; others keep the rule's. */
static ln_status time_kind(ln__trial *t, int kind, const ln__engine *rule, char *choice, ln_error *err)
{
    ln__engine *engine;
    ln__rig rig;
    bool any = false, no_memory = false;
    for (int32_t i = 0; i < t->graph->n_nodes; i++) {
        bool may = rule->choice[i] && rule->choice[i] != LN__ROWS
                && ln__choice_available(rule, &t->graph->nodes[i], kinds[kind], &no_memory);
        choice[i] = may ? kinds[kind] : rule->choice[i];
        any = any || may;
    }
    if (no_memory)
        return ln__fail(err, LN_E_NOMEM, "%s: no memory to time kernels", t->graph->file);
    if (!any)
        return LN_OK;
    ln_status st = engine_with(&engine, t, choice, err);
    if (st < 0)
        return st;
    st = rig_make(&rig, t, engine, err);
    if (st >= 0) {
        st = rig_time(&rig, t, err);
        for (size_t i = 0; st >= 0 && i < rig.plan->n_steps; i++) {
            const ln__step *step = &rig.plan->steps[i];
            double *sum = &t->seconds[kind][step->node];
            if (choice[step->node] == kinds[kind] && (step->weights || step->kind == LN__STEP_KERNEL))
                *sum = (*sum == DBL_MAX ? 0.0 : *sum) + rig.plan->seconds[i];
        }
        rig_free(&rig, t->ctx);
    }
    ln__engine_release(engine);
    return st;
}

static int kind_of(char choice)
{
    for (int k = 0; k < KINDS; k++)
        if (kinds[k] == choice)
            return k;
    return -1;
}

/* What a choice costs: kernels and reorders. */
static double cost(ln__engine *e, const ln__trial *t)
{
    int64_t count;
    double sum = 0.0;
    ln__layout_assign(e);
    for (int32_t i = 0; i < t->graph->n_nodes; i++) {
        int k = kind_of(e->choice[i]);
        if (k >= 0)
            sum += t->seconds[k][i];
    }
    sum += (double)ln__layout_reorders(e, &count) * t->reorder_per_byte;
    return sum + (double)count * 2e-6;
}

static void descend(ln__engine *e, const ln__trial *t)
{
    double best = cost(e, t);
    bool gained = true;
    for (int round = 0; gained && round < 8; round++) {
        gained = false;
        for (int32_t i = 0; i < t->graph->n_nodes; i++) {
            char kept = e->choice[i];
            for (int k = 0; kind_of(kept) >= 0 && k < KINDS; k++) {
                if (kinds[k] == e->choice[i] || t->seconds[k][i] == DBL_MAX)
                    continue;
                char before = e->choice[i];
                e->choice[i] = kinds[k];
                double now = cost(e, t);
                if (now < best - GAIN * t->seconds[kind_of(before)][i]) {
                    best = now;
                    gained = true;
                } else {
                    e->choice[i] = before;
                }
            }
        }
    }
    ln__layout_assign(e);
}

/* Medians of runs of both in turn, each leading every other time. */
static ln_status race(double median[2], ln__rig rigs[2], ln__trial *t, ln_error *err)
{
    double seconds[2][ROUNDS], begin = ln__now();
    ln_status st = rig_run(&rigs[0], t, NULL, err);
    size_t round = 0;
    if (st >= 0)
        st = rig_run(&rigs[1], t, NULL, err);
    for (; st >= 0 && round < ROUNDS && (round < FEWEST_ROUNDS || ln__now() - begin < LONGEST); round++)
        for (size_t i = 0; st >= 0 && i < 2; i++) {
            size_t k = (round + i) % 2;
            st = rig_run(&rigs[k], t, &seconds[k][round], err);
        }
    for (int k = 0; st >= 0 && k < 2; k++)
        median[k] = ln__median(seconds[k], round);
    return st;
}

/* True if choice b runs the whole network clearly faster than a. */
static ln_status faster(bool *out, ln__trial *t, ln__engine *a, ln__engine *b, ln_error *err)
{
    ln__rig rigs[2] = { { 0 } };
    double median[2] = { 0 };
    ln_status st = rig_make(&rigs[0], t, a, err);
    if (st < 0)
        return st;
    st = rig_make(&rigs[1], t, b, err);
    if (st >= 0) {
        st = race(median, rigs, t, err);
        rig_free(&rigs[1], t->ctx);
    }
    rig_free(&rigs[0], t->ctx);
    *out = st >= 0 && median[1] < (1.0 - GAIN) * median[0];
    return st;
}

static ln_status tune(ln__buffer *out, ln__trial *t, ln__engine *rule, char *choice, ln_error *err)
{
    ln__engine *measured = NULL;
    bool better = false;
    ln_status st = LN_OK;
    size_t nodes = (size_t)t->graph->n_nodes;
    for (int k = 0; k < KINDS; k++)
        for (size_t i = 0; i < nodes; i++)
            t->seconds[k][i] = DBL_MAX;
    for (int k = 0; st >= 0 && k < KINDS && rule->block > 1; k++) {
        st = time_kind(t, k, rule, choice, err);
        t->done = (uint32_t)(k + 1) * OF_KIND;
    }
    if (st < 0)
        return st;
    /* Every convolution starts from its fastest kernel that was timed. */
    memcpy(choice, rule->choice, nodes);
    for (size_t i = 0; i < nodes; i++)
        for (int k = 0; k < KINDS; k++) {
            int now = kind_of(choice[i]);
            if (now >= 0 && t->seconds[k][i] < (1.0 - GAIN) * t->seconds[now][i] && kinds[k] != LN__NHWC)
                choice[i] = kinds[k];
        }
    st = engine_with(&measured, t, choice, err);
    if (st < 0)
        return st;
    descend(measured, t);
    if (memcmp(measured->choice, rule->choice, nodes))
        st = faster(&better, t, rule, measured, err);
    if (st >= 0)
        st = advance(t, OF_ALL, err);
    if (st >= 0)
        ln__choice_write(out, better ? measured : rule);
    ln__engine_release(measured);
    return st;
}

ln_status ln__engine_tune(ln__buffer *out, const ln__ctx *ctx, const ln__graph *fused,
                          uint32_t threads, ln__watch_fn watch, void *payload, ln_error *err)
{
    ln__trial t = { .ctx = ctx, .graph = fused, .threads = threads ? threads : 1, .watch = watch, .payload = payload,
                    .clock = threads > 1 ? ln__now : thread_seconds, .reorder_per_byte = 2e-10 };
    ln__engine *rule = NULL;
    size_t nodes = (size_t)fused->n_nodes;
    ln_status st = ln__graph_cut(&t.cut, fused, NULL, 0, err);
    if (st < 0)
        return st;
    char *choice = ln__calloc(ctx, nodes + 1, 1);
    bool had = choice != NULL;
    for (int k = 0; k < KINDS; k++)
        had = (t.seconds[k] = ln__array(ctx, nodes + 1, sizeof(double))) && had;
    st = had ? ln__engine_make(&rule, ctx, fused, err) : ln__fail_nomem(err, ctx, nodes * sizeof(double));
    if (st >= 0) st = ln__choice_rule(rule, err);
    if (st >= 0) {
        t.omp = ln__omp_enter(t.threads);
        ln__layout_assign(rule);
        st = tune(out, &t, rule, choice, err);
        ln__omp_leave(t.omp);
    }
    if (st >= 0 && !out->ok)
        st = ln__fail_nomem(err, ctx, nodes);
    ln__engine_release(rule);
    ln__cut_free(t.cut, ctx);
    for (int k = 0; k < KINDS; k++)
        ln__free(ctx, t.seconds[k]);
    ln__free(ctx, choice);
    return st;
}
