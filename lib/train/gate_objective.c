/* gate_objective.c - one operating point's gates by the objective asked for. */
#include "train/gate_fit.h"

typedef struct learning {
    const ln__gate_task *task;
    ln__pool     *pool;
    ln__reporter *reporter;
    ln_progress  *progress;
    const ln__ctx *ctx;
} learning;

static ln_status fit_targets(ln__gates *gates, float *z, const learning *l, ln_error *err)
{
    const ln__gate_task *t = l->task;
    float *gain = ln__array(l->ctx, t->rows, t->exits * sizeof *gain);

    if (!gain)
        return ln__fail_nomem(err, l->ctx, t->rows * t->exits * sizeof *gain);
    if (t->objective == LN_OBJECTIVE_RIGHT)
        ln__gain_right(gain, t->right, (int64_t)t->rows, t->exits);
    else
        ln__gain_no_regret(gain, t->right, (int64_t)t->rows, t->exits);
    ln_status st = ln__gate_fit(gates->gate, z, t, gain, l->pool, l->reporter, l->progress, l->ctx, err);
    ln__free(l->ctx, gain);
    return st;
}

/* What the later gates give a row is judged by the gates that did not learn from it. */
static ln_status fit_backwards(ln__gates *gates, float *z, float *value, float *gain, float *column, const learning *l, ln_error *err)
{
    const ln__gate_task *t = l->task;
    int64_t rows = (int64_t)t->rows;
    ln_status st = LN_OK;

    ln__value_arrive(value, NULL, t->price, t->cost, t->alpha, rows, t->exits, t->exits);
    for (uint32_t e = t->exits; st == LN_OK && e-- > 0;) {
        ln__gate_task one = *t;
        one.exits = 1;
        one.input[0] = t->input[e];
        one.seed = t->seed * LN__MAX_EXITS + e;
        l->progress->exit = e;
        ln__gain_induction(gain, value, t->price, t->cost, t->alpha, rows, t->exits, e);
        st = ln__gate_fit(&gates->gate[e], column, &one, gain, l->pool, l->reporter, l->progress, l->ctx, err);
        for (size_t r = 0; st == LN_OK && r < t->rows; r++)
            z[r * t->exits + e] = column[r];
        if (st == LN_OK)
            ln__value_arrive(value, column, t->price, t->cost, t->alpha, rows, t->exits, e);
    }
    return st;
}

static ln_status fit_induction(ln__gates *gates, float *z, const learning *l, ln_error *err)
{
    size_t rows = l->task->rows;
    float *block = ln__array(l->ctx, rows, 3 * sizeof *block);

    if (!block)
        return ln__fail_nomem(err, l->ctx, rows * 3 * sizeof *block);
    ln_status st = fit_backwards(gates, z, block, block + rows, block + 2 * rows, l, err);
    ln__free(l->ctx, block);
    return st;
}

ln_status ln__gate_learn(ln__gates *gates, float *z, const ln__gate_task *task, ln__pool *pool, ln__reporter *reporter,
                         ln_progress *progress, const ln__ctx *ctx, ln_error *err)
{
    learning l = { task, pool, reporter, progress, ctx };

    if (task->objective == LN_OBJECTIVE_INDUCTION)
        return fit_induction(gates, z, &l, err);
    if (task->objective == LN_OBJECTIVE_LEENET)
        return ln__gate_fit(gates->gate, z, task, NULL, pool, reporter, progress, ctx, err);
    return fit_targets(gates, z, &l, err);
}
