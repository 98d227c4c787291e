/* gate_fit.c - the gates of all exits fitted together, cross-fitted. The gate in use is the mean of the folds' gates: few
 * rows tell gates little, and what one of them makes of chance the others do not (Breiman, "Bagging predictors", 1996). */
#include "train/gate_fit.h"

#include <math.h>
#include <string.h>

enum { BATCH = 256 };

typedef struct gate_learner {   /* one fold's gates */
    ln__mlp  *gate;             /* [exits], one block of parameters behind all */
    float    *params;
    ln__adam  adam;
    ln__rng   rng;
    uint32_t *order;
    size_t    n_order;
    float    *x, *hidden[LN__MAX_EXITS], *dhidden, *z, *dz, *column, *gradient, *target;
} gate_learner;

typedef struct learners { ln__gating *gating; gate_learner *fold; } learners;  /* fold [folds] */

static void learner_free(gate_learner *l, uint32_t exits, const ln__ctx *ctx)
{
    void *owned[] = { l->gate, l->params, l->order, l->x, l->dhidden, l->z, l->dz, l->column, l->gradient, l->target };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    for (uint32_t e = 0; e < exits; e++)
        ln__free(ctx, l->hidden[e]);
    ln__adam_free(&l->adam, ctx);
}

size_t ln__gating_params(const ln__gate_task *t, uint32_t exit)
{
    size_t n = 0;
    return ln__mlp_param_count((int32_t)t->input[exit].width, (int32_t)t->hidden, 1, &n) ? n : 0;
}

static ln_status learner_init(gate_learner *l, const ln__gating *g, uint32_t model, ln_error *err)
{
    const ln__gate_task *t = g->task;
    size_t widest = 1, at = 0;
    bool ok = true;

    for (uint32_t e = 0; e < t->exits; e++) {
        widest = LN__MAX(widest, t->input[e].width);
        l->hidden[e] = ln__array(g->ctx, BATCH, (t->hidden + 1) * sizeof(float));
        ok = ok && l->hidden[e];
    }
    l->gate = ln__calloc(g->ctx, t->exits, sizeof *l->gate);
    l->params = ln__calloc(g->ctx, g->n_params, sizeof(float));
    l->gradient = ln__array(g->ctx, g->n_params, sizeof(float));
    l->order = ln__array(g->ctx, t->rows, sizeof *l->order);
    l->x = ln__array(g->ctx, widest, BATCH * sizeof(float));
    l->dhidden = ln__array(g->ctx, BATCH, (t->hidden + 1) * sizeof(float));
    l->z = ln__array(g->ctx, BATCH, t->exits * sizeof(float));
    l->dz = ln__array(g->ctx, BATCH, t->exits * sizeof(float));
    l->column = ln__array(g->ctx, BATCH, sizeof(float));
    l->target = ln__array(g->ctx, BATCH, (t->exits + 1) * sizeof(float));
    if (!ok || !l->gate || !l->params || !l->gradient || !l->order || !l->x || !l->dhidden || !l->z || !l->dz || !l->column || !l->target)
        return ln__fail_nomem(err, g->ctx, widest * BATCH * sizeof(float));
    l->rng = ln__rng_make(t->seed, 500 + model);
    for (uint32_t e = 0; e < t->exits; e++) {
        l->gate[e] = (ln__mlp){ .inputs = (int32_t)t->input[e].width, .hidden = (int32_t)t->hidden, .outputs = 1, .params = l->params + at };
        ln__mlp_init(&l->gate[e], &l->rng);
        at += ln__gating_params(t, e);
    }
    for (size_t r = 0; r < t->rows; r++)
        if (t->fold[r] != model)
            l->order[l->n_order++] = (uint32_t)r;
    return ln__adam_new(&l->adam, g->ctx, g->n_params, err);
}

void ln__gate_gather(const ln__gate_input *input, const uint32_t *rows, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) {
        const float *from = input->x + rows[i] * input->own;
        float *to = x + i * input->width;
        for (size_t k = 0; k < input->own; k++)
            to[k] = (from[k] - input->mean[k]) * input->scale[k];
        if (input->more)
            from = input->more + rows[i] * (input->width - input->own);
        for (size_t k = input->own; k < input->width; k++)
            to[k] = (from[k - input->own] - input->mean[k]) * input->scale[k];
    }
}

/* z [n][exits] for a batch of rows; hidden activations are kept. */
static ln_status forward(const ln__gating *g, gate_learner *l, const uint32_t *rows, size_t n, ln_error *err)
{
    uint32_t exits = g->task->exits;
    ln_status st = LN_OK;

    for (uint32_t e = 0; st == LN_OK && e < exits; e++) {
        ln__gate_gather(&g->task->input[e], rows, n, l->x);
        st = ln__mlp_forward(&l->gate[e], l->x, (int64_t)n, l->hidden[e], l->column, err);
        for (size_t i = 0; st == LN_OK && i < n; i++)
            l->z[i * exits + e] = l->column[i];
    }
    for (size_t i = 0; i < n; i++) {
        size_t width;
        const float *target = ln__gating_target(g, rows[i], &width);
        memcpy(l->target + i * width, target, width * sizeof(float));
    }
    return st;
}

static ln_status backward(const ln__gating *g, gate_learner *l, const uint32_t *rows, size_t n, ln_error *err)
{
    uint32_t exits = g->task->exits;
    size_t at = 0;
    ln_status st = LN_OK;

    memset(l->gradient, 0, g->n_params * sizeof(float));
    for (uint32_t e = 0; st == LN_OK && e < exits; e++) {
        ln__gate_gather(&g->task->input[e], rows, n, l->x);
        for (size_t i = 0; i < n; i++)
            l->column[i] = l->dz[i * exits + e];
        st = ln__mlp_backward(&l->gate[e], l->x, (int64_t)n, l->hidden[e], l->column, l->dhidden, l->gradient + at, err);
        at += ln__gating_params(g->task, e);
    }
    return st;
}

double ln__gating_loss(const ln__gating *g, const float *z, const float *target, size_t n, float *dz)
{
    const ln__gate_task *t = g->task;

    return g->gain ? ln__gain_loss(z, target, (int64_t)n, t->exits, dz)
                   : ln__leenet_loss(z, target, t->cost, t->alpha, (int64_t)n, t->exits, dz);
}

const float *ln__gating_target(const ln__gating *g, size_t row, size_t *width)
{
    *width = g->gain ? g->task->exits : g->task->exits + 1;
    return (g->gain ? g->gain : g->task->price) + row * *width;
}

static ln_status gate_epoch(void *problem, uint32_t model, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    learners *all = problem;
    ln__gating *g = all->gating;
    const ln__gate_task *t = g->task;
    gate_learner *l = &all->fold[model];
    float rate = ln__rate_at(t->rate, epoch, t->epochs);
    ln_status st = LN_OK;

    ln__rng_shuffle(&l->rng, l->order, l->n_order);
    for (size_t at = 0; st == LN_OK && at < l->n_order; at += BATCH) {
        size_t n = LN__MIN((size_t)BATCH, l->n_order - at);
        st = forward(g, l, l->order + at, n, err);
        if (st < 0)
            break;
        sums->learned += (double)n * ln__gating_loss(g, l->z, l->target, n, l->dz);
        sums->rows += (double)n;
        st = backward(g, l, l->order + at, n, err);
        if (st == LN_OK)
            ln__adam_step(&l->adam, l->params, l->gradient, rate, (float)t->decay);
    }
    return st;
}

static ln_status gate_judge(void *problem, uint32_t model, ln__fit_sums *sums, ln_error *err)
{
    learners *all = problem;
    ln__gating *g = all->gating;
    const ln__gate_task *t = g->task;
    gate_learner *l = &all->fold[model];
    uint32_t held[BATCH];
    size_t next = 0;
    ln_status st = LN_OK;

    sums->right = NAN;               /* gates have no accuracy of their own */
    while (next < t->rows) {
        size_t n = 0;
        for (; next < t->rows && n < BATCH; next++)
            if (t->fold[next] == model)
                held[n++] = (uint32_t)next;
        if (n == 0)
            break;
        st = forward(g, l, held, n, err);
        if (st < 0)
            return st;
        sums->held += (double)n * ln__gating_loss(g, l->z, l->target, n, NULL);
        for (size_t i = 0; i < n; i++)
            memcpy(g->z + held[i] * t->exits, l->z + i * t->exits, t->exits * sizeof(float));
    }
    return st;
}

static void gate_keep(void *problem, uint32_t model)
{
    learners *all = problem;
    ln__gating *g = all->gating;
    uint32_t exits = g->task->exits;

    memcpy(g->params + model * g->n_params, all->fold[model].params, g->n_params * sizeof(float));
    for (size_t r = 0; r < g->task->rows; r++)
        if (g->task->fold[r] == model)
            memcpy(g->best_z + r * exits, g->z + r * exits, exits * sizeof(float));
}

/* Adds one fold's share: hidden layers stand side by side, what has none is summed. */
static void add_share(ln__mlp *mean, const ln__mlp *part, uint32_t fold, uint32_t folds)
{
    size_t inputs = (size_t)part->inputs, hidden = (size_t)part->hidden, first = fold * hidden;
    const float *last = ln__mlp_w2(part);
    float *to = ln__mlp_w2(mean) + first;

    if (hidden > 0) {
        memcpy(ln__mlp_w1(mean) + first * inputs, ln__mlp_w1(part), hidden * inputs * sizeof(float));
        memcpy(ln__mlp_b1(mean) + first, ln__mlp_b1(part), hidden * sizeof(float));
    }
    for (size_t i = 0; i < (hidden > 0 ? hidden : inputs); i++)
        to[i] += last[i] / (float)folds;
    *ln__mlp_b2(mean) += *ln__mlp_b2(part) / (float)folds;
}

static ln_status finish(ln__mlp *gate, const ln__gating *g, ln_error *err)
{
    const ln__gate_task *t = g->task;
    size_t at = 0;
    ln_status st = LN_OK;

    for (uint32_t e = 0; st == LN_OK && e < t->exits; e++) {
        int32_t inputs = (int32_t)t->input[e].width, hidden = (int32_t)t->hidden;

        st = ln__mlp_new(&gate[e], g->ctx, inputs, hidden * (int32_t)t->folds, 1, err);
        for (uint32_t f = 0; st == LN_OK && f < t->folds; f++)
            add_share(&gate[e], &(ln__mlp){ .inputs = inputs, .hidden = hidden, .outputs = 1, .params = g->params + f * g->n_params + at }, f, t->folds);
        if (st == LN_OK)
            ln__mlp_fold_input(&gate[e], t->input[e].mean, t->input[e].scale);
        at += ln__gating_params(t, e);
    }
    return st;
}

static ln_status fit_learners(ln__gating *g, ln__pool *pool, ln__reporter *reporter, ln_progress *progress, ln_error *err)
{
    const ln__gate_task *t = g->task;
    learners all = { g, ln__calloc(g->ctx, t->folds, sizeof *all.fold) };
    ln__fit fit = { .problem = &all, .folds = t->folds, .models = t->folds, .epochs = t->epochs, .patience = ln__gating_patience(t),
                    .epoch = gate_epoch, .judge = gate_judge, .keep = gate_keep };
    ln__fit_result result;
    ln_status st = all.fold ? LN_OK : ln__fail_nomem(err, g->ctx, t->folds * sizeof *all.fold);

    for (uint32_t m = 0; st == LN_OK && m < t->folds; m++)
        st = learner_init(&all.fold[m], g, m, err);
    if (st == LN_OK)
        st = ln__fit_run(&result, &fit, t->rows, pool, reporter, progress, g->ctx, err);
    for (uint32_t m = 0; all.fold && m < t->folds; m++)
        learner_free(&all.fold[m], t->exits, g->ctx);
    ln__free(g->ctx, all.fold);
    return st;
}

uint32_t ln__gating_patience(const ln__gate_task *task)
{
    return LN__MAX(20, task->epochs / 4);
}

ln_status ln__gate_fit(ln__mlp *gate, float *z, const ln__gate_task *task, const float *gain, ln__pool *pool,
                       ln__reporter *reporter, ln_progress *progress, const ln__ctx *ctx, ln_error *err)
{
    ln__gating g = { .task = task, .gain = gain, .ctx = ctx, .best_z = z };
    ln_status st = LN_OK;

    for (uint32_t e = 0; e < task->exits; e++)
        g.n_params += ln__gating_params(task, e);
    g.z = ln__array(ctx, task->rows, task->exits * sizeof(float));
    g.params = ln__array(ctx, g.n_params, task->folds * sizeof(float));
    if (!g.z || !g.params)
        st = ln__fail_nomem(err, ctx, task->rows * task->exits * sizeof(float));
    if (st == LN_OK)
        st = (task->path ? ln__gating_fit_path : task->wide ? ln__gating_fit_wide : fit_learners)(&g, pool, reporter, progress, err);
    if (st == LN_OK)
        st = finish(gate, &g, err);
    ln__free(ctx, g.z);
    ln__free(ctx, g.params);
    return st;
}
