/* classifier_inputs.c - what enters the layers of a head that learns: rows mixed, standardised, dropped from, or
 * made by convolutions that learn with the layers. */
#include "train/classifier.h"

#include <math.h>
#include <string.h>

enum { ROWS_COUNTED = 1024 };   /* for statistics of what convolutions make */

/* One row of a batch, [positions][inputs] standardised. */
static void mix_row(const ln__classifier_batch *b, size_t i, float *to)
{
    const ln__classifying *c = b->c;
    const ln__classifier_task *t = c->task;
    const float *one = ln__cache_row(t->x, b->places[i]), *two = b->others ? ln__cache_row(t->x, b->others[i]) : NULL;

    for (int64_t p = 0; p < t->positions; p++, to += t->inputs, one += t->inputs) {
        for (int64_t k = 0; k < t->inputs; k++)
            to[k] = (one[k] - c->mean[k]) * c->scale[k];
        for (int64_t k = 0; two && k < t->inputs; k++)
            to[k] = b->share * to[k] + (1.0f - b->share) * ((two[k] - c->mean[k]) * c->scale[k]);
        two = two ? two + t->inputs : NULL;
    }
}

/* One row of a batch as a map whose channels are of like size. They keep their zero, which is what lies around the map. */
static const float *mix_map(void *payload, int64_t i, float *to)
{
    const ln__classifier_batch *b = payload;
    const ln__classifying *c = b->c;
    const ln__head *head = c->task->head;
    const float *restrict one = ln__cache_row(c->task->x, b->places[i]), *restrict scale = c->scale;
    const float *restrict two = b->others ? ln__cache_row(c->task->x, b->others[i]) : one;
    float *restrict out = to, share = b->others ? b->share : 1.0f, rest = 1.0f - share;

    for (int64_t s = 0; s < head->spatial; s++, one += head->channels, two += head->channels, out += head->channels)
        for (int64_t k = 0; k < head->channels; k++)
            out[k] = (share * one[k] + rest * two[k]) * scale[k];
    return to;
}

/* What enters the layers. */
ln_status ln__classifier_read(ln__learner *l, const ln__classifier_batch *b, ln__norm norm, ln_error *err)
{
    const ln__classifier_task *t = b->c->task;
    size_t row = (size_t)(t->positions * t->inputs);

    if (t->head) {
        ln__maps maps = { mix_map, (void *)b };
        ln_status st = ln__conv_forward(&l->conv, l->params, &maps, (int64_t)b->n, norm, err);
        memcpy(l->x, l->conv.features, b->n * row * sizeof(float));
        return st;
    }
    for (size_t i = 0; i < b->n; i++)
        mix_row(b, i, l->x + i * row);
    return LN_OK;
}

void ln__classifier_drop(const ln__classifying *c, ln__learner *l, size_t numbers)
{
    float keep = (float)(1.0 - c->task->dropout);

    for (size_t i = 0; i < numbers; i++) {
        bool drop = ln__rng_double(&l->rng) < c->task->dropout;
        l->x[i] = drop ? 0.0f : l->x[i] / keep;
        if (c->task->head)
            l->kept[i] = drop ? 0.0f : 1.0f / keep;
    }
}

/* Of the convolutions, once the layers' is known. */
ln_status ln__classifier_backward_maps(const ln__classifying *c, ln__learner *l, const ln__classifier_batch *b, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    ln__maps maps = { mix_map, (void *)b };
    ln_status st = ln__mlp_backward_input(&l->mlp, (int64_t)b->n, l->dlogits, l->dhidden, l->dx, err);

    for (size_t i = 0; t->dropout > 0 && i < b->n * (size_t)t->inputs; i++)
        l->dx[i] *= l->kept[i];
    return st < 0 ? st : ln__conv_backward(&l->conv, l->params, &maps, (int64_t)b->n, l->dx, l->gradient, err);
}

/* Statistics that stand in for those of batches when the head answers: of rows as they are, which mixed ones are not. */
ln_status ln__classifier_count_norms(const ln__classifying *c, ln__learner *l, ln_error *err)
{
    size_t rows = LN__MIN(l->n_order, (size_t)ROWS_COUNTED);
    ln_status st = LN_OK;

    ln__conv_count_begin(&l->conv);
    for (size_t at = 0; st == LN_OK && at < rows; at += c->task->batch) {
        const ln__classifier_batch b = { .c = c, .places = l->order + at, .n = LN__MIN((size_t)c->task->batch, rows - at) };
        st = ln__classifier_read(l, &b, LN__NORM_COUNT, err);
    }
    ln__conv_count_end(&l->conv);
    return st;
}

/* 1 / standard deviation of every channel, over rows picked evenly. */
static void describe_channels(const ln__classifier_task *t, float *scale, double *sums)
{
    int64_t channels = t->head->channels, spatial = t->head->spatial;
    size_t step = (t->rows->rows + ROWS_COUNTED - 1) / ROWS_COUNTED, seen = 0;
    double *squares = sums + channels;

    memset(sums, 0, 2 * (size_t)channels * sizeof *sums);
    for (size_t r = 0; r < t->rows->rows; r += step, seen++) {
        const float *map = ln__cache_row(t->x, r);
        for (int64_t s = 0; s < spatial; s++)
            for (int64_t k = 0; k < channels; k++) {
                double x = (double)map[s * channels + k];
                sums[k] += x;
                squares[k] += x * x;
            }
    }
    for (int64_t k = 0; k < channels; k++) {
        double count = (double)seen * (double)spatial, mean = sums[k] / count, variance = squares[k] / count - mean * mean;
        scale[k] = variance > 1e-12 ? (float)(1.0 / sqrt(variance)) : 1.0f;
    }
}

ln_status ln__classifier_describe(ln__classifying *c, ln_error *err)
{
    const ln__classifier_task *t = c->task;
    size_t inputs = (size_t)t->inputs;

    if (!t->head) {
        ln__columns_describe(t->x->data, t->rows->rows * (size_t)t->positions, inputs, c->mean, c->scale);
        return LN_OK;
    }
    double *sums = ln__array(c->ctx, 2 * (size_t)t->head->channels, sizeof *sums);
    if (!sums)
        return ln__fail_nomem(err, c->ctx, 2 * (size_t)t->head->channels * sizeof *sums);
    describe_channels(t, c->scale, sums);
    ln__free(c->ctx, sums);
    return LN_OK;
}
