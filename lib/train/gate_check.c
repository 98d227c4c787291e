/* gate_check.c - are gates worth having: is a threshold on the margin, which needs no training, better on the same rows? */
#include "train/train.h"

#include <math.h>

/* Below these it may be chance, or not worth a word. */
static const double LEAST_GAP = 0.02, LEAST_DEVIATIONS = 3;

static ln_status score_margins(float *score, const ln_model *model, const float *const *logits, size_t rows, ln_error *err)
{
    static const ln__gates margin = { .policy = LN_POLICY_MARGIN };
    size_t classes = model->classes;
    float *p = ln__array(&model->ctx, classes, sizeof *p);
    const float *here[LN__MAX_EXITS];
    ln__sight sight = { .classes = (int32_t)classes, .probabilities = here };

    if (!p)
        return ln__fail_nomem(err, &model->ctx, classes * sizeof *p);
    for (uint32_t e = 0; e < model->n_exits; e++) {
        here[e] = p;
        for (size_t r = 0; r < rows; r++) {
            ln__softmax_rows(logits[e] + r * classes, 1, (int32_t)classes, p);
            score[r * model->n_exits + e] = ln__score(&margin, e, &sight);
        }
    }
    ln__free(&model->ctx, p);
    return LN_OK;
}

/* Between two settings: of both mixed. */
static double margin_accuracy(const ln__settings *margin, const ln_model *model, const ln__point *point, const double *cost)
{
    double spent = 0;
    uint32_t i = 0;

    for (uint32_t e = 0; e <= model->n_exits; e++)
        spent += point->shares[e] * cost[e];
    while (i + 1 < margin->count && margin->setting[i + 1].cost > spent)
        i++;
    const ln__setting *above = &margin->setting[i], *below = i + 1 < margin->count ? above + 1 : above;
    if (spent >= above->cost)
        return above->accuracy;
    if (spent <= below->cost)
        return below->accuracy;
    double share = (spent - below->cost) / (above->cost - below->cost);
    return below->accuracy + share * (above->accuracy - below->accuracy);
}

static void warn_of_worst(const ln_model *model, const ln__settings *margin, const double *cost, size_t rows, uint32_t first)
{
    const ln__point *worst = NULL;
    double worst_gap = 0;

    for (uint32_t p = first; p < model->n_points; p++) {
        const ln__point *point = &model->points[p];
        double ours = point->measured.accuracy, gap = margin_accuracy(margin, model, point, cost) - ours;
        double deviation = sqrt((2 - 2 * ours - gap) / (double)rows);

        if (gap < LEAST_GAP || gap < LEAST_DEVIATIONS * deviation || gap <= worst_gap)
            continue;
        worst = point;
        worst_gap = gap;
    }
    if (worst)
        ln__log(&model->ctx, LN_LOG_WARNING,
                "the gates of alpha %g are right on %.1f %% of %zu rows held out, a threshold on the margin (policy 'margin') on %.1f %% "
                "for the same cost: there are too few rows for what gates read. Let them read statistics alone and have no hidden layer, "
                "or give them more rows", worst->alpha, 100 * worst->measured.accuracy, rows, 100 * (worst->measured.accuracy + worst_gap));
}

ln_status ln__gates_check(const ln_model *model, const float *const *logits, const uint8_t *right, const double *cost, size_t rows,
                          uint32_t first, ln_error *err)
{
    float *score = ln__array(&model->ctx, rows, model->n_exits * sizeof *score);
    ln__settings margin = { .count = 0 };

    if (!score)
        return ln__fail_nomem(err, &model->ctx, rows * model->n_exits * sizeof *score);
    ln__scorer scorer = { .score = score, .right = right, .cost = cost, .meant = NAN };
    ln__curve_task task = { .scorer = &scorer, .n_scorers = 1, .rows = (int64_t)rows, .exits = model->n_exits, .plain = INFINITY };
    ln_status st = score_margins(score, model, logits, rows, err);
    if (st == LN_OK)
        st = ln__curve_build(&margin, &model->ctx, &task, err);
    if (st == LN_OK)
        warn_of_worst(model, &margin, cost, rows, first);
    ln__settings_free(&margin, &model->ctx);
    ln__free(&model->ctx, score);
    return st;
}
