/* support.c - progress, optimiser, folds: small things all training shares. */
#include "train/train.h"

#include <math.h>
#include <string.h>

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

void ln__adam_step(ln__adam *adam, float *params, const float *gradient, float rate, float decay)
{
    const float b1 = 0.9f, b2 = 0.999f, epsilon = 1e-8f;
    double t = (double)++adam->step;
    float scale = rate / (float)(1.0 - pow(b1, t)), unbias = 1.0f / (float)(1.0 - pow(b2, t));
    float *restrict m = adam->m, *restrict v = adam->v, keep = 1.0f - rate * decay;

    for (size_t i = 0; i < adam->n; i++) {
        float g = gradient[i];
        m[i] = b1 * m[i] + (1.0f - b1) * g;
        v[i] = b2 * v[i] + (1.0f - b2) * g * g;
        params[i] = keep * params[i] - scale * m[i] / (__builtin_sqrtf(v[i] * unbias) + epsilon);
    }
}

float ln__rate_at(double rate, uint32_t epoch, uint32_t epochs)
{
    double at = epochs > 1 ? (double)(epoch - 1) / (double)(epochs - 1) : 0.0;
    return (float)(rate * (0.05 + 0.95 * 0.5 * (1.0 + cos(3.14159265358979323846 * at))));
}

void ln__columns_describe(const float *x, size_t rows, size_t width, float *mean, float *scale)
{
    for (size_t c = 0; c < width; c++)
        mean[c] = scale[c] = 0.0f;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++)
            mean[c] += (x[r * width + c] - mean[c]) / (float)(r + 1);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++) {
            float d = x[r * width + c] - mean[c];
            scale[c] += (d * d - scale[c]) / (float)(r + 1);
        }
    for (size_t c = 0; c < width; c++)
        scale[c] = scale[c] > 1e-12f ? 1.0f / __builtin_sqrtf(scale[c]) : 1.0f;
}
