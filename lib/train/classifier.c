/* classifier.c - one head (or last layer) fitted by cross entropy, cross-fitted. */
#include "train/classifier.h"

#include <math.h>
#include <string.h>

static void learner_free(ln__learner *l, const ln__ctx *ctx)
{
    void *owned[] = { l->params, l->order, l->partner, l->places, l->others, l->x, l->dx, l->kept, l->hidden, l->dhidden, l->spread, l->logits, l->dlogits,
                      l->target, l->gradient };

    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    ln__conv_batch_free(&l->conv, ctx);
    ln__adam_free(&l->adam, ctx);
}

/* Params with their first values. */
static ln_status learner_start(ln__learner *l, const ln__classifying *c, uint32_t model, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    ln_status st = ln__adam_new(&l->adam, c->ctx, c->n_params, err);

    if (st == LN_OK && t->head)
        st = ln__conv_batch_new(&l->conv, c->ctx, t->head, t->batch, err);
    l->params = ln__calloc(c->ctx, c->n_params, sizeof(float));
    if (st == LN_OK && !l->params)
        st = ln__fail_nomem(err, c->ctx, c->n_params * sizeof(float));
    if (st < 0)
        return st;
    l->mlp = (ln__mlp){ .inputs = (int32_t)t->inputs, .hidden = (int32_t)t->hidden, .outputs = (int32_t)t->classes,
                         .params = l->params + c->n_conv };
    l->rng = ln__rng_make(t->seed, 100 + model);
    ln__mlp_init(&l->mlp, &l->rng);
    if (t->head) {
        ln__conv conv = t->head->conv;
        conv.params = l->params;
        ln__conv_init(&conv, &l->rng);
    }
    return LN_OK;
}

static ln_status learner_init(ln__learner *l, const ln__classifying *c, uint32_t model, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t wide = (size_t)t->batch * (size_t)t->positions, classes = t->classes;
    ln_status st = learner_start(l, c, model, err);

    if (st < 0)
        return st;
    l->order = ln__array(c->ctx, t->rows->stride, sizeof *l->order);
    l->partner = ln__array(c->ctx, t->rows->stride, sizeof *l->partner);
    l->places = ln__array(c->ctx, t->batch, sizeof *l->places);
    l->others = ln__array(c->ctx, t->batch, sizeof *l->others);
    l->x = ln__array(c->ctx, wide * (size_t)t->inputs, sizeof(float));
    l->dx = ln__array(c->ctx, t->head ? wide * (size_t)t->inputs : 1, sizeof(float));
    l->kept = ln__array(c->ctx, t->head ? wide * (size_t)t->inputs : 1, sizeof(float));
    l->hidden = ln__array(c->ctx, wide, (t->hidden + 1) * sizeof(float));
    l->dhidden = ln__array(c->ctx, wide, (t->hidden + 1) * sizeof(float));
    l->spread = ln__array(c->ctx, wide, classes * sizeof(float));
    l->logits = ln__array(c->ctx, t->batch, classes * sizeof(float));
    l->dlogits = ln__array(c->ctx, t->batch, classes * sizeof(float));
    l->target = ln__array(c->ctx, t->batch, classes * sizeof(float));
    l->gradient = ln__array(c->ctx, c->n_params, sizeof(float));
    if (!l->order || !l->partner || !l->places || !l->others || !l->x || !l->dx || !l->kept || !l->hidden || !l->dhidden || !l->spread || !l->logits ||
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

/* logits [n] from a gathered batch; spread keeps what each position answered. */
static ln_status forward(const ln__classifying *c, ln__learner *l, size_t n, ln_error *err)
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

static ln_status backward(const ln__classifying *c, ln__learner *l, const ln__classifier_batch *b, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t classes = t->classes, n = b->n;
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
    ln_status st = ln__mlp_backward(&l->mlp, l->x, (int64_t)n * t->positions, l->hidden, dmade, l->dhidden, l->gradient + c->n_conv, err);
    return st == LN_OK && t->head ? ln__classifier_backward_maps(c, l, b, err) : st;
}

void ln__classifier_target(const ln__classifier_task *t, uint32_t place, float share, float *target)
{
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

uint32_t ln__classifier_form(const ln__classifier_task *t, ln__rng *rng, uint32_t row)
{
    const ln__features *f = t->rows;

    return f->forms > 1 ? row + (uint32_t)(f->stride * ln__rng_below(rng, f->forms)) : row;
}

float ln__mixup_share(ln__rng *rng)
{
    double angle = sin(1.5707963267948966 * ln__rng_double(rng));

    return (float)(angle * angle);
}

/* Mixup (Zhang et al. 2018): a batch learns from rows mixed with partners. What heads say of their own certainty
 * becomes better for it, which gates live on. */
static ln_status mixed_batch(ln__classifying *c, ln__learner *l, size_t at, size_t n, double *loss, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t numbers = n * (size_t)(t->positions * t->inputs);
    float share = ln__mixup_share(&l->rng);

    memset(l->target, 0, n * t->classes * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        l->places[i] = ln__classifier_form(t, &l->rng, l->order[at + i]);
        l->others[i] = ln__classifier_form(t, &l->rng, l->partner[at + i]);
        ln__classifier_target(t, l->places[i], share, l->target + i * t->classes);
        ln__classifier_target(t, l->others[i], 1.0f - share, l->target + i * t->classes);
    }
    const ln__classifier_batch b = { c, l->places, l->others, share, n };
    ln_status st = ln__classifier_read(l, &b, LN__NORM_BATCH, err);
    if (st == LN_OK && t->dropout > 0)
        ln__classifier_drop(c, l, numbers);
    if (st == LN_OK)
        st = forward(c, l, n, err);
    if (st < 0)
        return st;
    *loss = ln__cross_entropy_soft(l->logits, l->target, (int64_t)n, (int32_t)t->classes, l->dlogits);
    return backward(c, l, &b, err);
}

static ln_status classifier_epoch(void *problem, uint32_t model, uint32_t epoch, ln__fit_sums *sums, ln_error *err)
{
    ln__classifying *c = problem;
    const ln__classifier_task *t = c->task;
    ln__learner *l = &c->learners[model];
    float rate = ln__rate_at(t->rate, epoch, t->epochs);
    ln_status st = LN_OK;

    ln__rng_shuffle(&l->rng, l->order, l->n_order);
    ln__rng_shuffle(&l->rng, l->partner, l->n_order);
    for (size_t at = 0; st == LN_OK && at < l->n_order; at += t->batch) {
        size_t n = LN__MIN((size_t)t->batch, l->n_order - at);
        /* The statistics of a few rows would mislead. */
        if (t->head && at > 0 && n < t->batch / 2)
            break;
        double loss;
        st = mixed_batch(c, l, at, n, &loss, err);
        if (st < 0)
            break;
        ln__adam_step(&l->adam, l->params, l->gradient, rate, (float)t->decay);
        sums->learned += loss * (double)n;
        sums->rows += (double)n;
    }
    return st == LN_OK && t->head ? ln__classifier_count_norms(c, l, err) : st;
}

size_t ln__largest(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static ln_status classifier_judge(void *problem, uint32_t model, ln__fit_sums *sums, ln_error *err)
{
    ln__classifying *c = problem;
    const ln__classifier_task *t = c->task;
    ln__learner *l = &c->learners[model];
    size_t classes = t->classes, rows = t->rows->rows, next = 0;
    uint32_t held[LN__MAX_BATCH];
    int32_t labels[LN__MAX_BATCH];
    ln_status st = LN_OK;

    while (st == LN_OK && next < rows) {
        size_t n = 0;
        for (; next < rows && n < t->batch; next++)
            if (t->fold[next] == model) {
                labels[n] = t->rows->labels[next];
                held[n++] = (uint32_t)next;
            }
        if (n == 0)
            break;
        const ln__classifier_batch b = { .c = c, .places = held, .n = n };
        st = ln__classifier_read(l, &b, LN__NORM_FIXED, err);
        if (st == LN_OK)
            st = forward(c, l, n, err);
        if (st < 0)
            break;
        sums->held += (double)n * ln__cross_entropy(l->logits, labels, (int64_t)n, (int32_t)t->classes);
        for (size_t i = 0; i < n; i++) {
            sums->right += ln__largest(l->logits + i * classes, classes) == (size_t)labels[i];
            memcpy(c->logits + held[i] * classes, l->logits + i * classes, classes * sizeof(float));
        }
    }
    return st;
}

static void classifier_keep(void *problem, uint32_t model)
{
    ln__classifying *c = problem;
    size_t classes = c->task->classes;

    if (model == c->task->folds) {
        const ln__learner *l = &c->learners[model];
        memcpy(c->params, l->params, c->n_params * sizeof(float));
        if (c->task->head) {
            size_t norms = ln__conv_norms(c->task->head) * sizeof(float);
            memcpy(c->norm_mean, l->conv.mean, norms);
            memcpy(c->norm_scale, l->conv.scale, norms);
        }
    }
    for (size_t r = 0; model < c->task->folds && r < c->task->rows->rows; r++)
        if (c->task->fold[r] == model)
            memcpy(c->best + r * classes, c->logits + r * classes, classes * sizeof(float));
}

double ln__classifier_calibrated_loss(const ln__classifying *c, const float *logits)
{
    const ln__classifier_task *t = c->task;
    double loss;

    ln__fit_temperature(logits, t->rows->labels, (int64_t)t->rows->rows, (int32_t)t->classes, &loss);
    return loss;
}

static double calibrated_loss(void *problem)
{
    const ln__classifying *c = problem;

    return ln__classifier_calibrated_loss(c, c->logits);
}

static ln_status learners_init(ln__classifying *c, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    ln_status st = ln__classifier_describe(c, err);

    c->learners = ln__calloc(c->ctx, t->folds + 1, sizeof *c->learners);
    if (st == LN_OK && !c->learners)
        st = ln__fail_nomem(err, c->ctx, t->folds * sizeof *c->learners);
    for (uint32_t m = 0; st == LN_OK && m <= t->folds; m++)
        st = learner_init(&c->learners[m], c, m, err);
    return st;
}

static ln_status fit_learners(ln__classifying *c, ln__fit_result *result, ln__pool *pool, ln__reporter *reporter, ln_progress *progress,
                              ln_error *err)
{
    const ln__classifier_task *t = c->task;
    ln__fit fit = { .problem = c, .folds = t->folds, .models = t->folds + 1, .epochs = t->epochs, .patience = t->epochs,
                    .epoch = classifier_epoch, .judge = classifier_judge, .keep = classifier_keep,
                    .loss = t->positions > 1 ? NULL : calibrated_loss };
    ln_status st = learners_init(c, err);

    if (st == LN_OK)
        st = ln__fit_run(result, &fit, t->rows->rows, pool, reporter, progress, c->ctx, err);
    for (uint32_t m = 0; c->learners && m <= t->folds; m++)
        learner_free(&c->learners[m], c->ctx);
    ln__free(c->ctx, c->learners);
    c->learners = NULL;
    return st;
}

static ln_status classifying_init(ln__classifying *c, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t answers;

    if (!ln__mlp_param_count((int32_t)t->inputs, (int32_t)t->hidden, (int32_t)t->classes, &c->n_params) ||
        !ln__mul_size(t->rows->rows, t->classes, &answers))
        return ln__fail(err, LN_E_LIMIT, "a head of %lld inputs and %u classes is too large", (long long)t->inputs, t->classes);
    c->n_conv = t->head ? t->head->conv.count : 0;
    c->n_params += c->n_conv;
    size_t norms = t->head ? ln__conv_norms(t->head) : 1;
    c->logits = ln__array(c->ctx, answers, sizeof(float));
    c->params = ln__array(c->ctx, c->n_params, sizeof(float));
    c->norm_mean = ln__array(c->ctx, norms, sizeof(float));
    c->norm_scale = ln__array(c->ctx, norms, sizeof(float));
    c->mean = ln__array(c->ctx, (size_t)t->inputs, sizeof(float));
    c->scale = ln__array(c->ctx, (size_t)(t->head ? t->head->channels : t->inputs), sizeof(float));
    if (!c->logits || !c->params || !c->norm_mean || !c->norm_scale || !c->mean || !c->scale)
        return ln__fail_nomem(err, c->ctx, answers * sizeof(float));
    return LN_OK;
}

/* The kept parameters as a network that reads plain inputs and is calibrated. */
static ln_status finish(ln__mlp *mlp, ln__conv *conv, ln__classifying *c, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    ln__head made = t->head ? *t->head : (ln__head){ .kind = LN_HEAD_POOL };

    made.mlp = (ln__mlp){ .inputs = (int32_t)t->inputs, .hidden = (int32_t)t->hidden };
    ln_status st = ln__head_new(&made, c->ctx, (int32_t)t->classes, err);
    if (st < 0)
        return st;
    *mlp = made.mlp;
    memcpy(mlp->params, c->params + c->n_conv, (c->n_params - c->n_conv) * sizeof(float));
    if (t->head) {
        size_t features = ln__conv_norms(t->head) - (size_t)t->inputs;
        *conv = made.conv;
        memcpy(conv->params, c->params, c->n_conv * sizeof(float));
        ln__conv_fold(conv, c->scale, c->norm_mean, c->norm_scale);
        ln__mlp_fold_input(mlp, c->norm_mean + features, c->norm_scale + features);
    } else {
        ln__mlp_fold_input(mlp, c->mean, c->scale);
    }
    if (t->positions > 1)
        return LN_OK;
    float temperature = (float)ln__fit_temperature(c->best, t->rows->labels, (int64_t)t->rows->rows, (int32_t)t->classes, NULL);
    ln__mlp_fold_output(mlp, 1.0f / temperature);
    for (size_t i = 0; i < t->rows->rows * t->classes; i++)
        c->best[i] /= temperature;
    return LN_OK;
}

ln_status ln__classifier_train(ln__mlp *mlp, ln__conv *conv, float *logits, ln__fit_result *result, const ln__classifier_task *task,
                               ln__pool *pool, ln__reporter *reporter, ln_progress *progress, const ln__ctx *ctx, ln_error *err)
{
    ln__classifying c = { .task = task, .ctx = ctx, .best = logits };
    ln_status st = classifying_init(&c, err);

    memset(mlp, 0, sizeof *mlp);
    if (st == LN_OK)
        st = (task->wide ? ln__classifier_fit_wide : fit_learners)(&c, result, pool, reporter, progress, err);
    if (st == LN_OK)
        st = finish(mlp, conv, &c, err);
    void *owned[] = { c.mean, c.scale, c.norm_mean, c.norm_scale, c.logits, c.params };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    return st;
}
