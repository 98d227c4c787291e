/* gate_fit_path.c - linear gates on statistics, cross-fitted along a path of penalties. A gate starts as what the margin alone says; the
 * other statistics have as much of a say as suits the rows held out. */
#include "train/gate_ridge.h"

#include <math.h>
#include <string.h>

/* What weights other than the margin's are pulled by, fit by fit; the last hardly holds even those of a thousand rows. */
static const double STRENGTHS[] = { INFINITY, 3, 1, 0.3, 0.1, 0.03, 0.01, 0.003 };
/* Weights that stand for themselves are pulled so that rows of one kind, or that the margin separates, have an answer. */
static const double FREE_BIAS = 1e-6, FREE_MARGIN = 1e-4;

typedef struct fold_fit {   /* one fold's gate of one exit */
    ln__ridge ridge;
    float    *w, *anchor;       /* [widest + 1], bias last */
    double   *pull;             /* [widest + 1] */
    uint32_t *order;            /* [rows], those held out behind those it learns from */
    size_t    n_learned;
} fold_fit;

typedef struct path {
    ln__gating *g;
    fold_fit   *fold;           /* [folds] */
    uint32_t    exit;
    size_t      first_param;
} path;

static const ln__gate_input *input_of(const path *p)
{
    return &p->g->task->input[p->exit];
}

static void fold_free(fold_fit *f, const ln__ctx *ctx)
{
    void *owned[] = { f->w, f->anchor, f->pull, f->order };

    ln__ridge_free(&f->ridge, ctx);
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
}

static ln_status fold_init(fold_fit *f, const ln__gating *g, uint32_t model, size_t widest, ln_error *err)
{
    const ln__gate_task *t = g->task;
    size_t end = t->rows;

    f->w = ln__array(g->ctx, widest + 1, sizeof *f->w);
    f->anchor = ln__array(g->ctx, widest + 1, sizeof *f->anchor);
    f->pull = ln__array(g->ctx, widest + 1, sizeof *f->pull);
    f->order = ln__array(g->ctx, t->rows, sizeof *f->order);
    if (!f->w || !f->anchor || !f->pull || !f->order)
        return ln__fail_nomem(err, g->ctx, t->rows * sizeof *f->order);
    for (size_t r = 0; r < t->rows; r++)
        f->order[t->fold[r] == model ? --end : f->n_learned++] = (uint32_t)r;
    return ln__ridge_new(&f->ridge, widest, g->ctx, err);
}

/* What rows leave open, the margin itself decides. */
static void start_fold(fold_fit *f, const ln__gate_input *in, int32_t margin)
{
    memset(f->anchor, 0, (in->width + 1) * sizeof *f->anchor);
    if (margin >= 0)
        f->anchor[margin] = 1.0f / in->scale[margin];
    memcpy(f->w, f->anchor, (in->width + 1) * sizeof *f->w);
}

static ln_status path_epoch(void *problem, uint32_t model, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    path *p = problem;
    const ln__gate_task *t = p->g->task;
    const ln__gate_input *in = input_of(p);
    fold_fit *f = &p->fold[model];
    ln__ridge_problem task = { in, f->order, f->n_learned, t->exits, p->g->gain + p->exit, f->anchor, f->pull };

    (void)err;
    if (epoch == 1)
        start_fold(f, in, t->margin);
    for (size_t j = 0; j < in->width; j++)
        f->pull[j] = STRENGTHS[epoch - 1];
    f->pull[in->width] = FREE_BIAS;
    if (epoch == 1 && t->margin >= 0)
        f->pull[t->margin] = FREE_MARGIN;
    sums->learned = (double)f->n_learned * ln__ridge_fit(&f->ridge, f->w, &task);
    sums->rows = (double)f->n_learned;
    if (epoch == 1)
        memcpy(f->anchor, f->w, (in->width + 1) * sizeof *f->w);
    return LN_OK;
}

static ln_status path_judge(void *problem, uint32_t model, ln__fit_sums *sums, ln_error *err)
{
    path *p = problem;
    const ln__gating *g = p->g;
    const ln__gate_task *t = g->task;
    fold_fit *f = &p->fold[model];

    (void)err;
    sums->right = NAN;               /* gates have no accuracy of their own */
    ln__ridge_answer(&f->ridge, f->w, input_of(p), f->order + f->n_learned, t->rows - f->n_learned, g->z + p->exit, t->exits);
    for (size_t i = f->n_learned; i < t->rows; i++) {
        size_t at = f->order[i] * (size_t)t->exits + p->exit;
        sums->held += ln__gain_loss(&g->z[at], &g->gain[at], 1, 1, NULL);
    }
    return LN_OK;
}

static void path_keep(void *problem, uint32_t model)
{
    path *p = problem;
    ln__gating *g = p->g;
    const ln__gate_task *t = g->task;
    const fold_fit *f = &p->fold[model];

    memcpy(g->params + model * g->n_params + p->first_param, f->w, (input_of(p)->width + 1) * sizeof *f->w);
    for (size_t i = f->n_learned; i < t->rows; i++) {
        size_t at = f->order[i] * (size_t)t->exits + p->exit;
        g->best_z[at] = g->z[at];
    }
}

static ln_status walk(path *p, ln__pool *pool, ln__reporter *reporter, ln_progress *progress, ln_error *err)
{
    const ln__gate_task *t = p->g->task;
    ln__fit fit = { .problem = p, .folds = t->folds, .models = t->folds, .epochs = LN__COUNT(STRENGTHS), .patience = LN__COUNT(STRENGTHS),
                    .epoch = path_epoch, .judge = path_judge, .keep = path_keep };
    ln__fit_result result;
    ln_status st = LN_OK;

    for (p->exit = 0; st == LN_OK && p->exit < t->exits; p->exit++) {
        if (t->exits > 1)
            progress->exit = p->exit;
        st = ln__fit_run(&result, &fit, t->rows, pool, reporter, progress, p->g->ctx, err);
        p->first_param += ln__gating_params(t, p->exit);
    }
    return st;
}

ln_status ln__gating_fit_path(ln__gating *g, ln__pool *pool, ln__reporter *reporter, ln_progress *progress, ln_error *err)
{
    const ln__gate_task *t = g->task;
    path p = { .g = g };
    size_t widest = 0;
    ln_status st = LN_OK;

    for (uint32_t e = 0; e < t->exits; e++)
        widest = LN__MAX(widest, t->input[e].width);
    p.fold = ln__calloc(g->ctx, t->folds, sizeof *p.fold);
    if (!p.fold)
        st = ln__fail_nomem(err, g->ctx, t->folds * sizeof *p.fold);
    for (uint32_t m = 0; st == LN_OK && m < t->folds; m++)
        st = fold_init(&p.fold[m], g, m, widest, err);
    if (st == LN_OK)
        st = walk(&p, pool, reporter, progress, err);
    for (uint32_t m = 0; p.fold && m < t->folds; m++)
        fold_free(&p.fold[m], g->ctx);
    ln__free(g->ctx, p.fold);
    return st;
}
