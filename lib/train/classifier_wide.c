/* classifier_wide.c - a linear head on all activations: the models of all folds learn side by side from batches that are read once.
 * What a fold's model says of a held-out row is taken when its batch comes by, just before the others learn from it. */
#include "train/classifier.h"
#include "train/wide.h"

#include <math.h>
#include <string.h>

typedef struct wide_fit {
    ln__classifying *c;
    ln__wide  wide;
    ln__ahead ahead;
    ln__rng   rng;
    uint32_t *order;            /* rows, those for heads only among them */
    uint32_t *places;           /* in the cache, of each row one of its forms */
    size_t    n_order;          /* rows in `order` and in `places` */
    uint32_t *mine;             /* [batch] indices of rows that a model learns from */
    float    *z, *dz;           /* [batch][models][classes] */
    float    *mixed, *target;   /* [batch][classes] of one model */
    float    *best_w, *best_bias;       /* at the best epoch */
} wide_fit;

static size_t models_of(const ln__classifier_task *t) { return t->folds + 1; }

/* Its fold, or `folds` for rows that only heads learn from. */
static uint32_t fold_of(const ln__classifier_task *t, uint32_t place)
{
    size_t row = place % t->rows->stride;

    return row < t->rows->rows ? t->fold[row] : t->folds;
}

static const float *answer_of(const wide_fit *f, size_t i, uint32_t model)
{
    const ln__classifier_task *t = f->c->task;

    return f->z + (i * models_of(t) + model) * t->classes;
}

/* One model's part of dz: mixup within the batch, as in classifier.c. Logits of mixed rows are mixed logits. */
static void add_gradient(wide_fit *f, const uint32_t *places, size_t n, uint32_t model, ln__fit_sums *sums)
{
    const ln__classifier_task *t = f->c->task;
    size_t classes = t->classes, count = 0, width = models_of(t) * classes;

    for (size_t i = 0; i < n; i++)
        if (model == t->folds || fold_of(t, places[i]) != model)
            f->mine[count++] = (uint32_t)i;
    if (count == 0)
        return;
    float share = ln__mixup_share(&f->rng);
    size_t shift = count > 1 ? 1 + ln__rng_below(&f->rng, (uint32_t)count - 1) : 0;
    memset(f->target, 0, count * classes * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        size_t one = f->mine[i], other = f->mine[(i + shift) % count];
        const float *a = answer_of(f, one, model), *b = answer_of(f, other, model);

        ln__classifier_target(t, places[one], share, f->target + i * classes);
        ln__classifier_target(t, places[other], 1.0f - share, f->target + i * classes);
        for (size_t k = 0; k < classes; k++)
            f->mixed[i * classes + k] = share * a[k] + (1.0f - share) * b[k];
    }
    sums->learned += (double)count * ln__cross_entropy_soft(f->mixed, f->target, (int64_t)count, (int32_t)classes, f->mixed);
    sums->rows += (double)count;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < classes; k++) {
            float d = f->mixed[i * classes + k];

            f->dz[f->mine[i] * width + model * classes + k] += share * d;
            f->dz[f->mine[(i + shift) % count] * width + model * classes + k] += (1.0f - share) * d;
        }
}

/* Held-out answers of a batch to `logits`; adds to sums over them. */
static void note_held(const wide_fit *f, const uint32_t *places, size_t n, float *logits, ln__fit_sums *sums)
{
    const ln__classifier_task *t = f->c->task;
    size_t classes = t->classes;

    for (size_t i = 0; i < n; i++) {
        uint32_t fold = fold_of(t, places[i]);
        size_t row = places[i] % t->rows->stride;

        if (fold == t->folds)
            continue;
        memcpy(logits + row * classes, answer_of(f, i, fold), classes * sizeof(float));
        sums[fold].held += ln__cross_entropy(logits + row * classes, &t->rows->labels[row], 1, (int32_t)classes);
        sums[fold].right += ln__largest(logits + row * classes, classes) == (size_t)t->rows->labels[row];
    }
}

static ln_status learn(wide_fit *f, const uint32_t *places, size_t n, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    const ln__classifier_task *t = f->c->task;

    memset(f->dz, 0, n * models_of(t) * t->classes * sizeof(float));
    for (uint32_t m = 0; m < models_of(t); m++)
        add_gradient(f, places, n, m, &sums[m]);
    return ln__wide_step(&f->wide, places, n, f->dz, ln__rate_at(t->rate, epoch, t->epochs), (float)t->decay, err);
}

/* One way through the rows: held-out answers to `logits`, sums over them; in an epoch (0: none) the models learn. */
typedef struct wide_pass { wide_fit *fit; uint32_t epoch; float *logits; ln__fit_sums *sums; } wide_pass;

static ln_status pass_batch(void *payload, const uint32_t *places, size_t n, ln_error *err)
{
    const wide_pass *pass = payload;
    wide_fit *f = pass->fit;
    ln_status st = ln__wide_forward(&f->wide, places, n, f->z, err);

    if (st == LN_OK)
        note_held(f, places, n, pass->logits, pass->sums);
    return st == LN_OK && pass->epoch > 0 ? learn(f, places, n, pass->epoch, pass->sums, err) : st;
}

/* Rows at the first `rows` of the places. */
static ln_status pass_rows(wide_pass pass, size_t rows, ln_error *err)
{
    return ln__ahead_walk(&pass.fit->ahead, pass.fit->places, rows, pass.fit->c->task->batch, pass_batch, &pass, err);
}

static ln_status wide_epoch(void *problem, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    wide_fit *f = problem;

    ln__rng_shuffle(&f->rng, f->order, f->n_order);
    for (size_t i = 0; i < f->n_order; i++)
        f->places[i] = ln__classifier_form(f->c->task, &f->rng, f->order[i]);
    return pass_rows((wide_pass){ f, epoch, f->c->logits, sums }, f->n_order, err);
}

static void wide_keep(void *problem, uint32_t model)
{
    wide_fit *f = problem;
    size_t classes = f->c->task->classes, count = classes * f->wide.inputs;

    memcpy(f->best_w + model * count, f->wide.w + model * count, count * sizeof(float));
    memcpy(f->best_bias + model * classes, f->wide.bias + model * classes, classes * sizeof(float));
}

static double wide_loss(void *problem)
{
    const wide_fit *f = problem;

    return ln__classifier_calibrated_loss(f->c, f->c->logits);
}

/* Every row's held-out answer by the kept parameters. */
static ln_status answer_held(wide_fit *f, ln__fit_result *result, ln_error *err)
{
    ln__classifying *c = f->c;
    const ln__classifier_task *t = c->task;
    ln__fit_sums sums[LN__MAX_FOLDS + 1] = { { 0 } };
    size_t rows = t->rows->rows;

    memcpy(f->wide.w, f->best_w, models_of(t) * t->classes * f->wide.inputs * sizeof(float));
    memcpy(f->wide.bias, f->best_bias, models_of(t) * t->classes * sizeof(float));
    for (size_t r = 0; r < rows; r++)
        f->places[r] = (uint32_t)r;
    ln_status st = pass_rows((wide_pass){ f, 0, c->best, sums }, rows, err);
    result->loss = result->accuracy = 0;
    for (uint32_t m = 0; m < t->folds; m++) {
        result->loss += sums[m].held / (double)rows;
        result->accuracy += sums[m].right / (double)rows;
    }
    return st;
}

static ln_status wide_init(wide_fit *f, ln__pool *pool, ln_error *err)
{
    const ln__classifier_task *t = f->c->task;
    const ln__ctx *ctx = f->c->ctx;
    size_t outputs = models_of(t) * t->classes, rows = t->rows->rows;
    ln_status st = ln__wide_new(&f->wide, t->x, outputs, t->batch, pool, ctx, err);

    if (st < 0)
        return st;
    st = ln__ahead_new(&f->ahead, &f->wide, 1, ctx, err);
    if (st < 0)
        return st;
    ln__cache_describe(t->x, rows, f->wide.mean, f->wide.scale);
    f->rng = ln__rng_make(t->seed, 100);
    f->order = ln__array(ctx, rows + t->rows->more, sizeof *f->order);
    f->places = ln__array(ctx, rows + t->rows->more, sizeof *f->places);
    f->mine = ln__array(ctx, t->batch, sizeof *f->mine);
    f->z = ln__array(ctx, t->batch, outputs * sizeof(float));
    f->dz = ln__array(ctx, t->batch, outputs * sizeof(float));
    f->mixed = ln__array(ctx, t->batch, t->classes * sizeof(float));
    f->target = ln__array(ctx, t->batch, t->classes * sizeof(float));
    f->best_w = ln__array(ctx, outputs, f->wide.inputs * sizeof(float));
    f->best_bias = ln__array(ctx, outputs, sizeof(float));
    if (!f->order || !f->places || !f->mine || !f->z || !f->dz || !f->mixed || !f->target || !f->best_w || !f->best_bias)
        return ln__fail_nomem(err, ctx, outputs * f->wide.inputs * sizeof(float));
    for (size_t r = 0; r < rows; r++)
        f->order[f->n_order++] = (uint32_t)r;
    for (size_t r = 0; r < t->rows->more; r++)
        f->order[f->n_order++] = (uint32_t)(t->rows->more_at + r);
    return LN_OK;
}

static void wide_free(wide_fit *f)
{
    void *owned[] = { f->order, f->places, f->mine, f->z, f->dz, f->mixed, f->target, f->best_w, f->best_bias };

    ln__ahead_free(&f->ahead);
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(f->c->ctx, owned[i]);
    ln__wide_free(&f->wide);
}

ln_status ln__classifier_fit_wide(ln__classifying *c, ln__fit_result *result, ln__pool *pool, ln__reporter *reporter, ln_progress *progress,
                                  ln_error *err)
{
    const ln__classifier_task *t = c->task;
    wide_fit f = { .c = c };
    ln__fit fit = { .problem = &f, .folds = t->folds, .models = t->folds + 1, .epochs = t->epochs, .patience = t->epochs,
                    .together = wide_epoch, .keep = wide_keep, .loss = wide_loss };
    ln_status st = wide_init(&f, pool, err);

    if (st == LN_OK)
        st = ln__fit_run(result, &fit, t->rows->rows, pool, reporter, progress, c->ctx, err);
    if (st == LN_OK)
        st = answer_held(&f, result, err);
    if (st == LN_OK)
        st = ln__fit_check(result, progress, err);
    if (st == LN_OK) {
        size_t count = t->classes * f.wide.inputs;

        memcpy(c->params, f.best_w + t->folds * count, count * sizeof(float));
        memcpy(c->params + count, f.best_bias + t->folds * t->classes, t->classes * sizeof(float));
        memcpy(c->mean, f.wide.mean, f.wide.inputs * sizeof(float));
        memcpy(c->scale, f.wide.scale, f.wide.inputs * sizeof(float));
    }
    wide_free(&f);
    return st;
}
