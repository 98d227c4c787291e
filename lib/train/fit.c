/* fit.c - cross-fitting in lockstep: all models advance together. */
#include "train/train.h"

#include <math.h>
#include <string.h>

typedef struct fitting {
    const ln__fit *fit;
    uint32_t  epoch, workers;
    ln__fit_sums *sums;         /* [models] */
    ln_status *status;          /* [models] */
    ln_error *errors;           /* [models] */
} fitting;

static void fit_some(uint32_t worker, void *payload)
{
    fitting *f = payload;
    int omp = ln__omp_enter(1);

    for (uint32_t m = worker; m < f->fit->models; m += f->workers) {
        f->status[m] = f->fit->epoch(f->fit->problem, m, f->epoch, &f->sums[m], &f->errors[m]);
        if (f->status[m] == LN_OK && m < f->fit->folds)
            f->status[m] = f->fit->judge(f->fit->problem, m, &f->sums[m], &f->errors[m]);
    }
    ln__omp_leave(omp);
}

static ln_status run_epoch(fitting *f, ln__pool *pool, ln_error *err)
{
    memset(f->sums, 0, f->fit->models * sizeof *f->sums);
    if (f->fit->together)
        return f->fit->together(f->fit->problem, f->epoch, f->sums, err);
    ln__pool_run(pool, f->workers, fit_some, f);
    for (uint32_t m = 0; m < f->fit->models; m++)
        if (f->status[m] < 0) {
            if (err)
                *err = f->errors[m];
            return f->status[m];
        }
    return LN_OK;
}

static void judge_epoch(const fitting *f, size_t rows, ln__fit_result *now)
{
    *now = (ln__fit_result){ .epoch = f->epoch };
    for (uint32_t m = 0; m < f->fit->folds; m++) {
        now->loss += f->sums[m].held / (double)rows;
        now->accuracy += f->sums[m].right / (double)rows;
    }
    if (f->fit->loss)
        now->loss = f->fit->loss(f->fit->problem);
}

static double training_loss(const fitting *f)
{
    double loss = 0, rows = 0;

    for (uint32_t m = 0; m < f->fit->models; m++) {
        loss += f->sums[m].learned;
        rows += f->sums[m].rows;
    }
    return loss / rows;
}

ln_status ln__fit_check(const ln__fit_result *result, const ln_progress *progress, ln_error *err)
{
    return isfinite(result->loss) ? LN_OK : ln__fail(err, LN_E_ARGUMENT, "training for '%s' did not converge: the loss is no number; "
                                                     "lower the learning rate, or look for inputs that are no numbers", progress->stage);
}

static ln_status run_epochs(ln__fit_result *best, fitting *f, size_t rows, ln__pool *pool, ln__reporter *reporter,
                            ln_progress *progress, ln_error *err)
{
    const ln__fit *fit = f->fit;
    ln_status st = LN_OK;

    *best = (ln__fit_result){ .loss = INFINITY };
    progress->epochs = fit->epochs;
    progress->total = (uint64_t)fit->epochs * rows;
    ln__reporter_begin(reporter);
    for (f->epoch = 1; st == LN_OK && f->epoch <= fit->epochs; f->epoch++) {
        ln__fit_result now;
        st = run_epoch(f, pool, err);
        if (st < 0)
            break;
        judge_epoch(f, rows, &now);
        if (now.loss < best->loss) {
            *best = now;
            for (uint32_t m = 0; m < fit->models; m++)
                fit->keep(fit->problem, m);
        }
        bool last = f->epoch == fit->epochs || f->epoch - best->epoch >= fit->patience;
        progress->epoch = f->epoch;
        progress->done = last ? progress->total : (uint64_t)f->epoch * rows;
        progress->loss = training_loss(f);
        progress->validation = now.loss;
        progress->accuracy = now.accuracy;
        st = ln__report(reporter, progress, true, err);
        if (last)
            break;
    }
    return st == LN_OK ? ln__fit_check(best, progress, err) : st;
}

ln_status ln__fit_run(ln__fit_result *out, const ln__fit *fit, size_t rows, ln__pool *pool, ln__reporter *reporter,
                      ln_progress *progress, const ln__ctx *ctx, ln_error *err)
{
    fitting f = { .fit = fit, .workers = LN__MIN(ln__pool_size(pool), fit->models) };
    ln_status st;

    f.sums = ln__calloc(ctx, fit->models, sizeof *f.sums);
    f.status = ln__calloc(ctx, fit->models, sizeof *f.status);
    f.errors = ln__calloc(ctx, fit->models, sizeof *f.errors);
    if (f.sums && f.status && f.errors)
        st = run_epochs(out, &f, rows, pool, reporter, progress, err);
    else
        st = ln__fail_nomem(err, ctx, fit->models * sizeof *f.errors);
    ln__free(ctx, f.sums);
    ln__free(ctx, f.status);
    ln__free(ctx, f.errors);
    return st;
}
