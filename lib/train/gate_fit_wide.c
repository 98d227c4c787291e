/* gate_fit_wide.c - linear gates on all activations of their exits: the gates of all folds learn side by side from batches that
 * are read once. What a fold's gates say of a held-out row is taken when its batch comes by, just before the others learn from it. */
#include "train/gate_fit.h"
#include "train/wide.h"

#include <math.h>
#include <string.h>

enum { BATCH = 64 };

typedef struct wide_gates {
    ln__gating *g;
    ln__wide   *exit;           /* [exits], each of `folds` outputs */
    ln__ahead   ahead;
    ln__rng     rng;
    uint32_t   *order;          /* [rows] */
    float      *z, *dz;         /* [exits][BATCH][folds] */
    float      *own_z, *own_dz, *target;    /* [BATCH][exits + 1] of one fold */
} wide_gates;

static float *at(const wide_gates *w, float *values, uint32_t exit, size_t row, uint32_t fold)
{
    return values + ((exit * BATCH + row) * w->g->task->folds + fold);
}

static ln_status forward(wide_gates *w, const uint32_t *rows, size_t n, ln_error *err)
{
    ln_status st = LN_OK;

    for (uint32_t e = 0; st == LN_OK && e < w->g->task->exits; e++)
        st = ln__wide_forward(&w->exit[e], rows, n, at(w, w->z, e, 0, 0), err);
    return st;
}

/* Rows of the batch that a fold's gates learn from, or those that are held out from them, to own_z and target. */
static size_t gather(const wide_gates *w, const uint32_t *rows, size_t n, uint32_t fold, bool held, size_t picked[BATCH])
{
    const ln__gate_task *t = w->g->task;
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        size_t width;
        const float *target = ln__gating_target(w->g, rows[i], &width);

        if ((t->fold[rows[i]] == fold) != held)
            continue;
        for (uint32_t e = 0; e < t->exits; e++)
            w->own_z[count * t->exits + e] = *at(w, w->z, e, i, fold);
        memcpy(w->target + count * width, target, width * sizeof(float));
        picked[count++] = i;
    }
    return count;
}

/* z may be NULL. */
static void note_held(const wide_gates *w, const uint32_t *rows, size_t n, float *z, ln__fit_sums *sums)
{
    const ln__gate_task *t = w->g->task;
    size_t picked[BATCH];

    for (uint32_t m = 0; m < t->folds; m++) {
        size_t count = gather(w, rows, n, m, true, picked);

        if (count > 0)
            sums[m].held += (double)count * ln__gating_loss(w->g, w->own_z, w->target, count, NULL);
        for (size_t i = 0; z && i < count; i++)
            memcpy(z + rows[picked[i]] * t->exits, w->own_z + i * t->exits, t->exits * sizeof(float));
    }
}

static void add_gradient(const wide_gates *w, const uint32_t *rows, size_t n, uint32_t fold, ln__fit_sums *sums)
{
    const ln__gate_task *t = w->g->task;
    size_t picked[BATCH], count = gather(w, rows, n, fold, false, picked);

    if (count == 0)
        return;
    sums->learned += (double)count * ln__gating_loss(w->g, w->own_z, w->target, count, w->own_dz);
    sums->rows += (double)count;
    for (size_t i = 0; i < count; i++)
        for (uint32_t e = 0; e < t->exits; e++)
            *at(w, w->dz, e, picked[i], fold) = w->own_dz[i * t->exits + e];
}

static ln_status learn(wide_gates *w, const uint32_t *rows, size_t n, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    const ln__gate_task *t = w->g->task;
    ln_status st = LN_OK;

    memset(w->dz, 0, (size_t)t->exits * BATCH * t->folds * sizeof(float));
    for (uint32_t m = 0; m < t->folds; m++)
        add_gradient(w, rows, n, m, &sums[m]);
    for (uint32_t e = 0; st == LN_OK && e < t->exits; e++)
        st = ln__wide_step(&w->exit[e], rows, n, at(w, w->dz, e, 0, 0),
                           ln__rate_at(ln__wide_rate(t->rate, w->exit[e].inputs), epoch, t->epochs), (float)t->decay, err);
    return st;
}

/* One way through the rows: held-out arguments to z (may be NULL), sums over them; in an epoch (0: none) the gates learn. */
typedef struct wide_pass { wide_gates *gates; uint32_t epoch; float *z; ln__fit_sums *sums; } wide_pass;

static ln_status pass_batch(void *payload, const uint32_t *rows, size_t n, ln_error *err)
{
    const wide_pass *pass = payload;
    ln_status st = forward(pass->gates, rows, n, err);

    if (st == LN_OK)
        note_held(pass->gates, rows, n, pass->z, pass->sums);
    return st == LN_OK && pass->epoch > 0 ? learn(pass->gates, rows, n, pass->epoch, pass->sums, err) : st;
}

static ln_status pass_rows(wide_pass pass, ln_error *err)
{
    wide_gates *w = pass.gates;

    return ln__ahead_walk(&w->ahead, w->order, w->g->task->rows, BATCH, pass_batch, &pass, err);
}

static ln_status wide_epoch(void *problem, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    wide_gates *w = problem;

    sums[0].right = NAN;             /* gates have no accuracy of their own */
    ln__rng_shuffle(&w->rng, w->order, w->g->task->rows);
    return pass_rows((wide_pass){ w, epoch, NULL, sums }, err);
}

static void wide_keep(void *problem, uint32_t fold)
{
    const wide_gates *w = problem;
    float *to = w->g->params + fold * w->g->n_params;

    for (uint32_t e = 0; e < w->g->task->exits; e++) {
        const ln__wide *wide = &w->exit[e];

        memcpy(to, wide->w + fold * wide->inputs, wide->inputs * sizeof(float));
        to[wide->inputs] = wide->bias[fold];
        to += ln__gating_params(w->g->task, e);
    }
}

static void take_back(const wide_gates *w, uint32_t fold)
{
    const float *from = w->g->params + fold * w->g->n_params;

    for (uint32_t e = 0; e < w->g->task->exits; e++) {
        const ln__wide *wide = &w->exit[e];

        memcpy(wide->w + fold * wide->inputs, from, wide->inputs * sizeof(float));
        wide->bias[fold] = from[wide->inputs];
        from += ln__gating_params(w->g->task, e);
    }
}

/* Every row's held-out arguments by the kept parameters. */
static ln_status answer_held(wide_gates *w, ln__fit_result *result, ln_error *err)
{
    const ln__gate_task *t = w->g->task;
    ln__fit_sums sums[LN__MAX_FOLDS] = { { 0 } };

    for (uint32_t m = 0; m < t->folds; m++)
        take_back(w, m);
    for (size_t r = 0; r < t->rows; r++)
        w->order[r] = (uint32_t)r;
    ln_status st = pass_rows((wide_pass){ w, 0, w->g->best_z, sums }, err);
    result->loss = 0;
    for (uint32_t m = 0; m < t->folds; m++)
        result->loss += sums[m].held / (double)t->rows;
    return st;
}

static ln_status wide_init(wide_gates *w, ln__pool *pool, ln_error *err)
{
    const ln__gate_task *t = w->g->task;
    const ln__ctx *ctx = w->g->ctx;
    size_t values = (size_t)t->exits * BATCH * t->folds;
    ln_status st = LN_OK;

    w->rng = ln__rng_make(t->seed, 500);
    w->exit = ln__calloc(ctx, t->exits, sizeof *w->exit);
    w->order = ln__array(ctx, t->rows, sizeof *w->order);
    w->z = ln__array(ctx, values, sizeof(float));
    w->dz = ln__array(ctx, values, sizeof(float));
    w->own_z = ln__array(ctx, BATCH, (t->exits + 1) * sizeof(float));
    w->own_dz = ln__array(ctx, BATCH, (t->exits + 1) * sizeof(float));
    w->target = ln__array(ctx, BATCH, (t->exits + 1) * sizeof(float));
    if (!w->exit || !w->order || !w->z || !w->dz || !w->own_z || !w->own_dz || !w->target)
        return ln__fail_nomem(err, ctx, values * sizeof(float));
    for (size_t r = 0; r < t->rows; r++)
        w->order[r] = (uint32_t)r;
    for (uint32_t e = 0; st == LN_OK && e < t->exits; e++) {
        const ln__gate_input *input = &t->input[e];

        st = ln__wide_new(&w->exit[e], input->cache, t->folds, BATCH, pool, ctx, err);
        if (st < 0)
            break;
        memcpy(w->exit[e].mean, input->mean, input->width * sizeof(float));
        memcpy(w->exit[e].scale, input->scale, input->width * sizeof(float));
    }
    return st == LN_OK ? ln__ahead_new(&w->ahead, w->exit, t->exits, ctx, err) : st;
}

static void wide_free(wide_gates *w)
{
    void *owned[] = { w->order, w->z, w->dz, w->own_z, w->own_dz, w->target };

    ln__ahead_free(&w->ahead);
    for (uint32_t e = 0; w->exit && e < w->g->task->exits; e++)
        ln__wide_free(&w->exit[e]);
    ln__free(w->g->ctx, w->exit);
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(w->g->ctx, owned[i]);
}

ln_status ln__gating_fit_wide(ln__gating *g, ln__pool *pool, ln__reporter *reporter, ln_progress *progress, ln_error *err)
{
    const ln__gate_task *t = g->task;
    wide_gates w = { .g = g };
    ln__fit fit = { .problem = &w, .folds = t->folds, .models = t->folds, .epochs = t->epochs, .patience = ln__gating_patience(t),
                    .together = wide_epoch, .keep = wide_keep };
    ln__fit_result result;
    ln_status st = wide_init(&w, pool, err);

    if (st == LN_OK)
        st = ln__fit_run(&result, &fit, t->rows, pool, reporter, progress, g->ctx, err);
    if (st == LN_OK)
        st = answer_held(&w, &result, err);
    if (st == LN_OK)
        st = ln__fit_check(&result, progress, err);
    wide_free(&w);
    return st;
}
