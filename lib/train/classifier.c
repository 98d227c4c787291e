/* classifier.c - one head (or last layer) fitted by cross entropy, cross-fitted. */
#include "train/train.h"

#include <math.h>
#include <string.h>

typedef struct learner {        /* one fold's model */
    ln__mlp   mlp;
    ln__adam  adam;
    ln__rng   rng;
    uint32_t *order;            /* rows it learns from */
    size_t    n_order;
    uint32_t *partner;          /* [n_order] */
    uint32_t *places, *others;  /* [batch] in the caches */
    float    *x, *other, *hidden, *dhidden, *spread, *logits, *dlogits, *target, *gradient;  /* of a batch */
} learner;

typedef struct classifying {
    const ln__classifier_task *task;
    const ln__ctx *ctx;
    learner  *learners;         /* [folds + 1] */
    float    *mean, *scale;     /* [inputs] */
    float    *logits, *best;    /* [rows][classes] out of fold: now, at the best epoch */
    float    *params;           /* of the model on all rows, at the best epoch */
    size_t    n_params;
} classifying;

static void learner_free(learner *l, const ln__ctx *ctx)
{
    void *owned[] = { l->order, l->partner, l->places, l->others, l->x, l->other, l->hidden, l->dhidden, l->spread, l->logits, l->dlogits,
                      l->target, l->gradient };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    ln__mlp_free(&l->mlp, ctx);
    ln__adam_free(&l->adam, ctx);
}

static ln_status learner_init(learner *l, const classifying *c, uint32_t model, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t wide = (size_t)t->batch * (size_t)t->positions, classes = t->classes;
    ln_status st = ln__mlp_new(&l->mlp, c->ctx, (int32_t)t->inputs, (int32_t)t->hidden, (int32_t)t->classes, err);

    if (st == LN_OK)
        st = ln__adam_new(&l->adam, c->ctx, c->n_params, err);
    if (st < 0)
        return st;
    l->rng = ln__rng_make(t->seed, 100 + model);
    ln__mlp_init(&l->mlp, &l->rng);
    l->order = ln__array(c->ctx, t->rows->stride, sizeof *l->order);
    l->partner = ln__array(c->ctx, t->rows->stride, sizeof *l->partner);
    l->places = ln__array(c->ctx, t->batch, sizeof *l->places);
    l->others = ln__array(c->ctx, t->batch, sizeof *l->others);
    l->x = ln__array(c->ctx, wide * (size_t)t->inputs, sizeof(float));
    l->other = ln__array(c->ctx, wide * (size_t)t->inputs, sizeof(float));
    l->hidden = ln__array(c->ctx, wide, (t->hidden + 1) * sizeof(float));
    l->dhidden = ln__array(c->ctx, wide, (t->hidden + 1) * sizeof(float));
    l->spread = ln__array(c->ctx, wide, classes * sizeof(float));
    l->logits = ln__array(c->ctx, t->batch, classes * sizeof(float));
    l->dlogits = ln__array(c->ctx, t->batch, classes * sizeof(float));
    l->target = ln__array(c->ctx, t->batch, classes * sizeof(float));
    l->gradient = ln__array(c->ctx, c->n_params, sizeof(float));
    if (!l->order || !l->partner || !l->places || !l->others || !l->x || !l->other || !l->hidden || !l->dhidden || !l->spread || !l->logits ||
        !l->dlogits || !l->target || !l->gradient)
        return ln__fail_nomem(err, c->ctx, wide * (size_t)t->inputs * sizeof(float));
    for (size_t r = 0; r < t->rows->rows; r++)
        if (model == t->folds || t->fold[r] != model)
            l->order[l->n_order++] = (uint32_t)r;
    for (size_t r = 0; r < t->rows->more; r++)
        l->order[l->n_order++] = (uint32_t)(t->rows->more_at + r);
    memcpy(l->partner, l->order, l->n_order * sizeof *l->order);
    return LN_OK;
}

/* Standardised inputs of chosen places in the caches. */
static void gather(const classifying *c, const uint32_t *places, size_t n, float *x)
{
    const ln__classifier_task *t = c->task;

    for (size_t i = 0; i < n; i++)
        for (int64_t p = 0; p < t->positions; p++) {
            const float *from = ln__cache_row(t->x, places[i]) + p * t->inputs;
            float *to = x + ((int64_t)i * t->positions + p) * t->inputs;
            for (int64_t k = 0; k < t->inputs; k++)
                to[k] = (from[k] - c->mean[k]) * c->scale[k];
        }
}

/* logits [n] from a gathered batch; spread keeps what each position answered. */
static ln_status forward(const classifying *c, learner *l, size_t n, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t classes = t->classes;
    float *made = t->positions > 1 ? l->spread : l->logits;
    ln_status st = ln__mlp_forward(&l->mlp, l->x, (int64_t)n * t->positions, l->hidden, made, err);

    if (st < 0 || t->positions == 1)
        return st;
    memset(l->logits, 0, n * classes * sizeof(float));
    for (size_t i = 0; i < n; i++)
        for (int64_t p = 0; p < t->positions; p++)
            for (size_t k = 0; k < classes; k++) {
                float *z = &l->spread[(i * (size_t)t->positions + (size_t)p) * classes + k];
                *z = t->relu && *z < 0 ? 0.0f : *z;
                l->logits[i * classes + k] += *z / (float)t->positions;
            }
    return LN_OK;
}

static ln_status backward(const classifying *c, learner *l, size_t n, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t classes = t->classes;
    const float *dmade = l->dlogits;

    if (t->positions > 1) {
        for (size_t i = 0; i < n * (size_t)t->positions; i++)
            for (size_t k = 0; k < classes; k++) {
                float *z = &l->spread[i * classes + k];
                bool passes = !t->relu || *z > 0;
                *z = passes ? l->dlogits[i / (size_t)t->positions * classes + k] / (float)t->positions : 0.0f;
            }
        dmade = l->spread;
    }
    memset(l->gradient, 0, c->n_params * sizeof(float));
    return ln__mlp_backward(&l->mlp, l->x, (int64_t)n * t->positions, l->hidden, dmade, l->dhidden, l->gradient, err);
}

/* Adds `share` of what the row at `place` should be answered with: its label, smoothed, and the network's own opinion. */
static void add_target(const classifying *c, uint32_t place, float share, float *target)
{
    const ln__classifier_task *t = c->task;
    int32_t label = t->rows->labels[place % t->rows->stride], classes = (int32_t)t->classes;
    float own = share * (float)(1.0 - t->distill), even = own * (float)t->smoothing / (float)classes;

    for (int32_t k = 0; k < classes; k++)
        target[k] += even;
    target[label] += own * (float)(1.0 - t->smoothing);
    if (t->distill > 0) {
        const float *end = ln__cache_row(&t->rows->end, place);
        float weight = share * (float)t->distill, most = end[0], sum = 0;

        for (int32_t k = 0; k < classes; k++)
            most = LN__MAX(most, end[k]);
        for (int32_t k = 0; k < classes; k++)
            sum += t->end_is_probability ? end[k] : expf(end[k] - most);
        /* Of a softmax over more classes, all that are left may be 0. */
        for (int32_t k = 0; k < classes && !(sum > 0); k++)
            target[k] += weight / (float)classes;
        for (int32_t k = 0; k < classes && sum > 0; k++)
            target[k] += weight * (t->end_is_probability ? end[k] : expf(end[k] - most)) / sum;
    }
}

/* dlogits of the mean cross entropy against `target`. */
static void soft_gradient(const classifying *c, learner *l, size_t n)
{
    size_t classes = c->task->classes;

    ln__softmax_rows(l->logits, (int64_t)n, (int32_t)classes, l->dlogits);
    for (size_t i = 0; i < n * classes; i++)
        l->dlogits[i] = (l->dlogits[i] - l->target[i]) / (float)n;
}

/* The row in one of its forms. */
static uint32_t any_form(const classifying *c, learner *l, uint32_t row)
{
    const ln__features *f = c->task->rows;

    return f->forms > 1 ? row + (uint32_t)(f->stride * ln__rng_below(&l->rng, f->forms)) : row;
}

static void drop_inputs(const classifying *c, learner *l, size_t numbers)
{
    float keep = (float)(1.0 - c->task->dropout);

    for (size_t i = 0; i < numbers; i++)
        l->x[i] = ln__rng_double(&l->rng) < c->task->dropout ? 0.0f : l->x[i] / keep;
}

/* Mixup (Zhang et al. 2018): a batch learns from rows mixed with partners, in shares
 * Beta(1/2, 1/2), which is sin^2 of a uniform angle. What heads say of their own certainty
 * becomes better for it, which gates live on. */
static ln_status mixed_batch(classifying *c, learner *l, size_t at, size_t n, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t numbers = n * (size_t)(t->positions * t->inputs);
    double angle = sin(1.5707963267948966 * ln__rng_double(&l->rng));
    float share = (float)(angle * angle);

    memset(l->target, 0, n * t->classes * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        l->places[i] = any_form(c, l, l->order[at + i]);
        l->others[i] = any_form(c, l, l->partner[at + i]);
        add_target(c, l->places[i], share, l->target + i * t->classes);
        add_target(c, l->others[i], 1.0f - share, l->target + i * t->classes);
    }
    gather(c, l->places, n, l->x);
    gather(c, l->others, n, l->other);
    for (size_t i = 0; i < numbers; i++)
        l->x[i] = share * l->x[i] + (1.0f - share) * l->other[i];
    if (t->dropout > 0)
        drop_inputs(c, l, numbers);
    ln_status st = forward(c, l, n, err);
    if (st < 0)
        return st;
    soft_gradient(c, l, n);
    return backward(c, l, n, err);
}

static ln_status classifier_epoch(void *problem, uint32_t model, uint32_t epoch, ln_error *err)
{
    classifying *c = problem;
    const ln__classifier_task *t = c->task;
    learner *l = &c->learners[model];
    float rate = ln__rate_at(t->rate, epoch, t->epochs);
    ln_status st = LN_OK;

    ln__rng_shuffle(&l->rng, l->order, l->n_order);
    ln__rng_shuffle(&l->rng, l->partner, l->n_order);
    for (size_t at = 0; st == LN_OK && at < l->n_order; at += t->batch) {
        st = mixed_batch(c, l, at, LN__MIN((size_t)t->batch, l->n_order - at), err);
        if (st == LN_OK)
            ln__adam_step(&l->adam, l->mlp.params, l->gradient, rate, (float)t->decay);
    }
    return st;
}

static size_t best_of(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static ln_status classifier_judge(void *problem, uint32_t model, double *loss, double *right, ln_error *err)
{
    classifying *c = problem;
    const ln__classifier_task *t = c->task;
    learner *l = &c->learners[model];
    size_t classes = t->classes, rows = t->rows->rows, next = 0;
    uint32_t held[LN__MAX_BATCH];
    int32_t labels[LN__MAX_BATCH];
    ln_status st = LN_OK;

    *loss = *right = 0;
    while (st == LN_OK && next < rows) {
        size_t n = 0;
        for (; next < rows && n < t->batch; next++)
            if (t->fold[next] == model) {
                labels[n] = t->rows->labels[next];
                held[n++] = (uint32_t)next;
            }
        if (n == 0)
            break;
        gather(c, held, n, l->x);
        st = forward(c, l, n, err);
        if (st < 0)
            break;
        *loss += (double)n * ln__cross_entropy(l->logits, labels, (int64_t)n, (int32_t)t->classes, 0.0f, NULL);
        for (size_t i = 0; i < n; i++) {
            *right += best_of(l->logits + i * classes, classes) == (size_t)labels[i];
            memcpy(c->logits + held[i] * classes, l->logits + i * classes, classes * sizeof(float));
        }
    }
    return st;
}

static void classifier_keep(void *problem, uint32_t model)
{
    classifying *c = problem;
    size_t classes = c->task->classes;

    if (model == c->task->folds)
        memcpy(c->params, c->learners[model].mlp.params, c->n_params * sizeof(float));
    for (size_t r = 0; model < c->task->folds && r < c->task->rows->rows; r++)
        if (c->task->fold[r] == model)
            memcpy(c->best + r * classes, c->logits + r * classes, classes * sizeof(float));
}

/* Cross entropy as it will be once calibrated: mixup leaves heads too modest, the more the longer they learn. */
static double calibrated_loss(void *problem)
{
    const classifying *c = problem;
    const ln__classifier_task *t = c->task;
    double loss;

    ln__fit_temperature(c->logits, t->rows->labels, (int64_t)t->rows->rows, (int32_t)t->classes, &loss);
    return loss;
}

static ln_status classifying_init(classifying *c, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t answers;

    if (!ln__mlp_param_count((int32_t)t->inputs, (int32_t)t->hidden, (int32_t)t->classes, &c->n_params) ||
        !ln__mul_size(t->rows->rows, t->classes, &answers))
        return ln__fail(err, LN_E_LIMIT, "a head of %lld inputs and %u classes is too large", (long long)t->inputs, t->classes);
    c->learners = ln__calloc(c->ctx, t->folds + 1, sizeof *c->learners);
    c->mean = ln__array(c->ctx, (size_t)t->inputs, sizeof(float));
    c->scale = ln__array(c->ctx, (size_t)t->inputs, sizeof(float));
    c->logits = ln__array(c->ctx, answers, sizeof(float));
    c->params = ln__array(c->ctx, c->n_params, sizeof(float));
    if (!c->learners || !c->mean || !c->scale || !c->logits || !c->params)
        return ln__fail_nomem(err, c->ctx, answers * sizeof(float));
    ln__columns_describe(t->x->data, t->rows->rows * (size_t)t->positions, (size_t)t->inputs, c->mean, c->scale);
    ln_status st = LN_OK;
    for (uint32_t m = 0; st == LN_OK && m <= t->folds; m++)
        st = learner_init(&c->learners[m], c, m, err);
    return st;
}

/* The kept parameters as a network that reads plain inputs and is calibrated. */
static ln_status finish(ln__mlp *mlp, classifying *c, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    ln_status st = ln__mlp_new(mlp, c->ctx, (int32_t)t->inputs, (int32_t)t->hidden, (int32_t)t->classes, err);

    if (st < 0)
        return st;
    memcpy(mlp->params, c->params, c->n_params * sizeof(float));
    ln__mlp_fold_input(mlp, c->mean, c->scale);
    if (t->positions > 1)
        return LN_OK;
    float temperature = (float)ln__fit_temperature(c->best, t->rows->labels, (int64_t)t->rows->rows, (int32_t)t->classes, NULL);
    ln__mlp_fold_temperature(mlp, temperature);
    for (size_t i = 0; i < t->rows->rows * t->classes; i++)
        c->best[i] /= temperature;
    return LN_OK;
}

ln_status ln__classifier_train(ln__mlp *mlp, float *logits, ln__fit_result *result, const ln__classifier_task *task,
                               ln__pool *pool, ln__reporter *reporter, ln_progress *progress, const ln__ctx *ctx, ln_error *err)
{
    classifying c = { .task = task, .ctx = ctx, .best = logits };
    ln__fit fit = { &c, task->folds, task->epochs, task->epochs, classifier_epoch, classifier_judge, classifier_keep,
                    task->positions > 1 ? NULL : calibrated_loss };
    ln_status st = classifying_init(&c, err);

    memset(mlp, 0, sizeof *mlp);
    if (st == LN_OK)
        st = ln__fit_run(result, &fit, task->rows->rows, pool, reporter, progress, ctx, err);
    if (st == LN_OK)
        st = finish(mlp, &c, err);
    for (uint32_t m = 0; c.learners && m <= task->folds; m++)
        learner_free(&c.learners[m], ctx);
    void *owned[] = { c.learners, c.mean, c.scale, c.logits, c.params };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    return st;
}
