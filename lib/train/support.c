/* support.c - progress, optimiser, folds: small things all training shares. */
#include "train/train.h"

#include <math.h>
#include <string.h>

static const float FIRST_MOMENT = 0.9f, SECOND_MOMENT = 0.999f;     /* Adam's beta 1 and 2 */

ln__reporter ln__reporter_make(ln_progress_fn progress, void *payload)
{
    double now = ln__now();
    return (ln__reporter){ progress, payload, now, now };
}

void ln__reporter_begin(ln__reporter *reporter)
{
    reporter->began = ln__now();
}

ln_progress ln__progress_make(const char *stage)
{
    return (ln_progress){ .struct_size = sizeof(ln_progress), .stage = stage, .loss = NAN, .validation = NAN,
                          .accuracy = NAN, .seconds_left = NAN };
}

ln_status ln__report(ln__reporter *reporter, ln_progress *progress, bool always, ln_error *err)
{
    double now = ln__now(), elapsed = now - reporter->began;

    if (!reporter->progress || (!always && now - reporter->shown < 0.05))
        return LN_OK;
    reporter->shown = now;
    if (!isnan(progress->rows_per_second))
        progress->rows_per_second = elapsed > 0 ? (double)progress->done / elapsed : 0;
    progress->seconds_left = progress->done ? elapsed * (double)(progress->total - progress->done) / (double)progress->done : NAN;
    if (reporter->progress(progress, reporter->payload))
        return ln__fail(err, LN_E_CANCELLED, "stopped on request during '%s'", progress->stage);
    return LN_OK;
}

/* ---- Folds --------------------------------------------------------------------------------- */

ln_status ln__folds_make(uint32_t **fold, const int32_t *labels, size_t rows, uint32_t classes, uint32_t folds,
                         uint64_t seed, const ln__ctx *ctx, ln_error *err)
{
    uint32_t *order = ln__array(ctx, rows, sizeof *order);
    uint32_t *seen = ln__calloc(ctx, classes, sizeof *seen);
    ln__rng rng = ln__rng_make(seed, 1);

    *fold = ln__array(ctx, rows, sizeof **fold);
    if (!order || !seen || !*fold) {
        ln__free(ctx, order);
        ln__free(ctx, seen);
        ln__free(ctx, *fold);
        *fold = NULL;
        return ln__fail_nomem(err, ctx, rows * sizeof *order);
    }
    for (size_t i = 0; i < rows; i++)
        order[i] = (uint32_t)i;
    ln__rng_shuffle(&rng, order, rows);
    for (size_t i = 0; i < rows; i++)
        (*fold)[order[i]] = (seen[labels[order[i]]]++ + (uint32_t)labels[order[i]]) % folds;
    ln__free(ctx, order);
    ln__free(ctx, seen);
    return LN_OK;
}

/* ---- Adam ------------------------------------------------------------------------------------- */

ln_status ln__adam_new(ln__adam *out, const ln__ctx *ctx, size_t n, ln_error *err)
{
    *out = (ln__adam){ .n = n, .m = ln__calloc(ctx, n, sizeof(float)), .v = ln__calloc(ctx, n, sizeof(float)) };
    if (out->m && out->v)
        return LN_OK;
    ln__adam_free(out, ctx);
    return ln__fail_nomem(err, ctx, n * sizeof(float));
}

void ln__adam_free(ln__adam *adam, const ln__ctx *ctx)
{
    ln__free(ctx, adam->m);
    ln__free(ctx, adam->v);
    memset(adam, 0, sizeof *adam);
}

ln__adam_pace ln__adam_begin(ln__adam *adam, float rate, float decay)
{
    double t = (double)++adam->step;

    return (ln__adam_pace){ rate / (float)(1.0 - pow(FIRST_MOMENT, t)), 1.0f / (float)(1.0 - pow(SECOND_MOMENT, t)), 1.0f - rate * decay };
}

void ln__adam_move(ln__adam *adam, const ln__adam_pace *pace, size_t first, size_t count, float *params, const float *gradient)
{
    const float b1 = FIRST_MOMENT, b2 = SECOND_MOMENT, epsilon = 1e-8f;
    float *restrict m = adam->m + first, *restrict v = adam->v + first, *restrict x = params + first;

    for (size_t i = 0; i < count; i++) {
        float g = gradient[i];
        m[i] = b1 * m[i] + (1.0f - b1) * g;
        v[i] = b2 * v[i] + (1.0f - b2) * g * g;
        x[i] = pace->keep * x[i] - pace->scale * m[i] / (__builtin_sqrtf(v[i] * pace->unbias) + epsilon);
    }
}

void ln__adam_step(ln__adam *adam, float *params, const float *gradient, float rate, float decay)
{
    ln__adam_pace pace = ln__adam_begin(adam, rate, decay);

    ln__adam_move(adam, &pace, 0, adam->n, params, gradient);
}

float ln__rate_at(double rate, uint32_t epoch, uint32_t epochs)
{
    double at = epochs > 1 ? (double)(epoch - 1) / (double)(epochs - 1) : 0.0;
    return (float)(rate * (0.05 + 0.95 * 0.5 * (1.0 + cos(3.14159265358979323846 * at))));
}

/* Welford, "Note on a method for calculating corrected sums of squares and products", 1962: row `r` is added. */
static void add_row(const float *x, size_t r, size_t width, float *mean, float *squares)
{
    float share = 1.0f / (float)(r + 1);

    for (size_t c = 0; c < width; c++) {
        float distance = x[c] - mean[c];

        mean[c] += distance * share;
        squares[c] += distance * (x[c] - mean[c]);
    }
}

static void squares_to_scale(float *squares, size_t rows, size_t width)
{
    for (size_t c = 0; c < width; c++) {
        float variance = squares[c] / (float)LN__MAX(rows, 1);

        squares[c] = variance > 1e-12f ? 1.0f / __builtin_sqrtf(variance) : 1.0f;
    }
}

void ln__columns_describe(const float *x, size_t rows, size_t width, float *mean, float *scale)
{
    memset(mean, 0, width * sizeof *mean);
    memset(scale, 0, width * sizeof *scale);
    for (size_t r = 0; r < rows; r++)
        add_row(x + r * width, r, width, mean, scale);
    squares_to_scale(scale, rows, width);
}

void ln__cache_describe(const ln__cache *cache, size_t rows, float *mean, float *scale)
{
    memset(mean, 0, cache->width * sizeof *mean);
    memset(scale, 0, cache->width * sizeof *scale);
    for (size_t r = 0; r < rows; r++) {
        add_row(ln__cache_row(cache, r), r, cache->width, mean, scale);
        ln__cache_leave(cache, r);
    }
    squares_to_scale(scale, rows, cache->width);
}

ln_status ln__train_gather_rows(ln__row_set *out, const ln_model *model, const ln_data *rows, const ln_data *more, ln_error *err)
{
    size_t first = 0, shared = 0;
    ln_status st = ln__row_set_add(out, rows, &model->ctx, err);

    if (st == LN_OK && more)
        shared = ln__row_set_among(out, more, &first);
    if (shared)
        st = ln__fail(err, LN_E_ARGUMENT, "head_rows: %zu of these %zu rows are among those that heads are judged by, '%s' is the first; give others",
                      shared, ln_data_rows(more), ln_data_row_name(more, first));
    if (st == LN_OK && more)
        st = ln__row_set_add(out, more, &model->ctx, err);
    return st;
}
