/* gate_curve.c - the settings of LEENet's gates: over all operating points that were scored on the same rows. */
#include "train/train.h"

#include <string.h>

void ln__scored_free(ln__scored *scored, const ln__ctx *ctx)
{
    for (uint32_t i = 0; i < scored->count; i++)
        ln__free(ctx, scored->scores[i].g);
    ln__free(ctx, scored->scores);
    memset(scored, 0, sizeof *scored);
}

ln_status ln__scored_add(ln__scored *scored, uint32_t point, const float *g, size_t count, const ln__ctx *ctx, ln_error *err)
{
    float *copy = ln__array(ctx, count, sizeof *copy);

    if (!copy || !LN__RESERVE(ctx, scored->scores, scored->capacity, (size_t)scored->count + 1)) {
        ln__free(ctx, copy);
        return ln__fail_nomem(err, ctx, count * sizeof *copy);
    }
    memcpy(copy, g, count * sizeof *copy);
    scored->scores[scored->count++] = (ln__scores){ point, copy };
    return LN_OK;
}

static void fill_costs(double *cost, const ln_model *model, uint32_t point, int32_t kind, const double *time)
{
    double other[LN__MAX_EXITS + 1];

    if (kind == LN_COST_TIME)
        memcpy(cost, time, (model->n_exits + 1) * sizeof *cost);
    else if (kind == LN_COST_PARAMS)
        ln__model_cost_shares(model, &model->points[point].gates, cost, other);
    else
        ln__model_cost_shares(model, &model->points[point].gates, other, cost);
}

ln_status ln__gate_curve(ln_model *model, const ln__scored *scored, const uint8_t *right, size_t rows, int32_t cost,
                         const double *time, ln_error *err)
{
    const ln__ctx *ctx = &model->ctx;
    size_t exits = model->n_exits, right_rows = 0;
    ln__scorer *scorers = ln__calloc(ctx, scored->count, sizeof *scorers);
    double *costs = ln__array(ctx, scored->count, (exits + 1) * sizeof *costs);
    uint32_t *points = ln__array(ctx, scored->count, sizeof *points);
    ln__settings settings = { .count = 0 };
    ln_status st = scorers && costs && points ? LN_OK : ln__fail_nomem(err, ctx, scored->count * (exits + 1) * sizeof *costs);

    for (uint32_t i = 0; st == LN_OK && i < scored->count; i++) {
        points[i] = scored->scores[i].point;
        fill_costs(costs + i * (exits + 1), model, points[i], cost, time);
        scorers[i] = (ln__scorer){ .score = scored->scores[i].g, .right = right, .cost = costs + i * (exits + 1) };
        for (size_t e = 0; e <= exits; e++)
            scorers[i].meant += model->points[points[i]].shares[e] * scorers[i].cost[e];
    }
    for (size_t r = 0; r < rows; r++)
        right_rows += right[r * (exits + 1) + exits];
    ln__curve_task task = { .scorer = scorers, .n_scorers = scored->count, .rows = (int64_t)rows, .exits = model->n_exits, .plain = 1.0 };
    if (st == LN_OK)
        st = ln__curve_build(&settings, ctx, &task, err);
    if (st == LN_OK)
        st = ln__curve_store(model, LN_POLICY_GATE, &settings,
                             &(ln__curve_basis){ points, time, (uint32_t)rows, (double)right_rows / (double)rows }, err);
    ln__settings_free(&settings, ctx);
    ln__free(ctx, scorers);
    ln__free(ctx, costs);
    ln__free(ctx, points);
    return st;
}
