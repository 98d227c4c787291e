#include "policy/policy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"

enum { ROWS = 1200, EXITS = 4 };

static const double cost[EXITS + 1] = { 0.2, 0.4, 0.6, 0.8, 1.05 };

typedef struct rows_of { float score[ROWS * EXITS]; uint8_t right[ROWS * (EXITS + 1)]; } rows_of;

/* Rows that are easier or harder; scores tell the truth with some noise. */
static void make_rows(rows_of *rows, double noise, uint64_t seed)
{
    ln__rng rng = ln__rng_make(seed, 0);

    for (int r = 0; r < ROWS; r++) {
        double ease = ln__rng_double(&rng);
        for (int e = 0; e <= EXITS; e++) {
            double sure = fmin(1, ease * 0.7 + 0.15 * e);
            rows->right[r * (EXITS + 1) + e] = ln__rng_double(&rng) < sure;
            if (e < EXITS)
                rows->score[r * EXITS + e] = (float)fmax(0, fmin(1, sure + noise * ln__rng_normal(&rng)));
        }
    }
}

static void check_setting(const ln__setting *s, const ln__scorer *by)
{
    double spent = 0, right = 0, share[EXITS + 1] = { 0 };

    for (int r = 0; r < ROWS; r++) {
        int e = 0;
        while (e < EXITS && !((double)by->score[r * EXITS + e] > s->threshold[e]))
            e++;
        share[e] += 1.0 / ROWS;
        spent += by->cost[e] / ROWS;
        right += by->right[r * (EXITS + 1) + e];
    }
    ck_assert(fabs(right / ROWS - s->accuracy) < 1e-9 && fabs(spent - s->cost) < 1e-9);
    for (int e = 0; e <= EXITS; e++)
        ck_assert(fabs(share[e] - s->share[e]) < 1e-9);
}

static void check_curve(const ln__settings *c, const ln__scorer *scorers)
{
    ck_assert_uint_ge(c->count, 2);
    ck_assert(c->setting[0].share[EXITS] == 1);
    ck_assert(c->setting[c->count - 1].share[0] == 1);
    for (uint32_t i = 0; i < c->count; i++) {
        check_setting(&c->setting[i], &scorers[c->setting[i].scorer]);
        ck_assert(i == 0 || c->setting[i].cost < c->setting[i - 1].cost);
    }
}

START_TEST(common_thresholds_are_spaced_by_cost)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    rows_of *rows = malloc(sizeof *rows);
    ln__settings c;

    make_rows(rows, 0.2, 1);
    ln__scorer scorer = { rows->score, rows->right, cost, NULL, 0, NAN };
    ln__curve_task task = { &scorer, 1, ROWS, EXITS, INFINITY };
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_OK);
    check_curve(&c, &scorer);
    ck_assert_uint_ge(c.count, 50);     /* scores cut off at 1 are tied */
    for (uint32_t i = 0; i < c.count; i++) {
        double root = sqrt(0.85 * (c.setting[i].cost - 0.2)), width = 2 * root / (LN__MAX_SETTINGS - 1) + 0.85 / 127 / 127;
        double step = i > 1 && i + 1 < c.count ? c.setting[i - 1].cost - c.setting[i].cost : width;
        ck_assert_msg(step < 2.5 * width && step > 0, "step %g of %g at %u", step, width, i);
        for (int e = 1; e < EXITS; e++)
            ck_assert(c.setting[i].threshold[e] == c.setting[i].threshold[0]);
        ck_assert(i == 0 || c.setting[i].threshold[0] < c.setting[i - 1].threshold[0]);
    }
    uint32_t all = c.count;
    ln__settings_free(&c, &ctx);
    task.plain = 0.6;
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_OK);
    ck_assert(c.count > all / 2 && c.setting[0].cost > 0.6 && c.setting[1].cost < 0.6);     /* all of them spent below it */
    ln__settings_free(&c, &ctx);
    free(rows);
}
END_TEST

START_TEST(ties_and_extremes_are_survived)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    rows_of *rows = malloc(sizeof *rows);
    ln__settings c;

    make_rows(rows, 0.2, 2);
    ln__scorer scorer = { rows->score, rows->right, cost, NULL, 0, NAN };
    ln__curve_task task = { &scorer, 1, ROWS, EXITS, INFINITY };
    for (float levels = 0; levels < 4; levels++) {
        for (int i = 0; i < ROWS * EXITS; i++)
            rows->score[i] = levels > 0 ? roundf(rows->score[i] * levels) / levels : 1;
        ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_OK);
        check_curve(&c, &scorer);
        ck_assert(levels > 0 || c.count == 2);
        ln__settings_free(&c, &ctx);
        make_rows(rows, 0.2, 2);
    }
    task.rows = 1;
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_OK);
    ck_assert(c.setting[0].share[EXITS] == 1 && c.setting[c.count - 1].share[0] == 1);
    ln__settings_free(&c, &ctx);
    task.rows = 0;
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_E_ARGUMENT);
    free(rows);
}
END_TEST

START_TEST(the_better_scorer_is_taken_at_each_cost)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    rows_of *rows = malloc(2 * sizeof *rows);
    ln__settings c;

    /* The same rows; one scorer knows nothing of the hard ones, the other nothing of the easy ones. */
    make_rows(&rows[0], 0.02, 3);
    rows[1] = rows[0];
    for (int i = 0; i < ROWS * EXITS; i++) {
        if (rows[0].score[i] < 0.6f)
            rows[0].score[i] = 0.3f + 0.3f * (float)((i * 7919) % 1000) / 1000;
        if (rows[1].score[i] > 0.6f)
            rows[1].score[i] = 0.6f + 0.3f * (float)((i * 7919) % 1000) / 1000;
    }
    ln__scorer scorers[2] = { { rows[0].score, rows[0].right, cost, NULL, 0, NAN }, { rows[1].score, rows[1].right, cost, NULL, 0, NAN } };
    ln__curve_task both = { scorers, 2, ROWS, EXITS, INFINITY };
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &both, NULL), LN_OK);
    check_curve(&c, scorers);
    uint32_t of[2] = { 0, 0 };
    double mean = 0, alone[2] = { 0, 0 };
    for (uint32_t i = 0; i < c.count; i++) {
        of[c.setting[i].scorer]++;
        mean += c.setting[i].accuracy / c.count;
    }
    ck_assert(of[0] > 5 && of[1] > 5);
    ln__settings_free(&c, &ctx);
    for (int k = 0; k < 2; k++) {
        ln__curve_task one = { &scorers[k], 1, ROWS, EXITS, INFINITY };
        ck_assert_int_eq(ln__curve_build(&c, &ctx, &one, NULL), LN_OK);
        for (uint32_t i = 0; i < c.count; i++)
            alone[k] += c.setting[i].accuracy / c.count;
        ln__settings_free(&c, &ctx);
    }
    ck_assert_msg(mean > alone[0] && mean > alone[1], "both %g, alone %g and %g", mean, alone[0], alone[1]);
    free(rows);
}
END_TEST

/* One is poor, one is good, and one is better still; `meant` says for which costs each was made. */
static void count_scorers(uint32_t of[3], double poor_meant, double good_meant, double best_meant)
{
    static const float blind[3] = { 1, 0.5f, 0 };
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    rows_of *rows = malloc(3 * sizeof *rows);
    ln__settings c;

    for (int k = 0; k < 3; k++) {
        make_rows(&rows[k], 0.01, 3);
        for (int i = 0; i < ROWS * EXITS; i++) {
            float chance = (float)((i * 7919) % 10007) / 10007;
            rows[k].score[i] = (1 - blind[k]) * rows[k].score[i] + blind[k] * chance;
        }
    }
    ln__scorer scorers[3] = { { rows[0].score, rows[0].right, cost, NULL, 0, poor_meant }, { rows[1].score, rows[1].right, cost, NULL, 0, good_meant },
                              { rows[2].score, rows[2].right, cost, NULL, 0, best_meant } };
    ln__curve_task task = { scorers, 3, ROWS, EXITS, INFINITY };
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_OK);
    check_curve(&c, scorers);
    memset(of, 0, 3 * sizeof *of);
    for (uint32_t i = 1; i + 1 < c.count; i++)
        of[c.setting[i].scorer] += c.setting[i].cost > 0.45 && c.setting[i].cost < 0.75;
    ln__settings_free(&c, &ctx);
    free(rows);
}

START_TEST(scorers_meant_for_near_costs_are_taken)
{
    uint32_t of[3];

    count_scorers(of, 0.4, 0.8, 0.95);          /* the best lies beyond the good one */
    ck_assert_msg(of[1] > of[0] && of[2] == 0, "%u %u %u", of[0], of[1], of[2]);
    count_scorers(of, 0.8, 0.4, 0.3);
    ck_assert_msg(of[1] > of[0] && of[2] == 0, "%u %u %u", of[0], of[1], of[2]);
    count_scorers(of, 0.8, 0.8, 0.8);           /* as near as each other */
    ck_assert_msg(of[2] > of[1] && of[2] > of[0], "%u %u %u", of[0], of[1], of[2]);
    count_scorers(of, 1.05, 1.05, 1.05);        /* none is meant for less */
    ck_assert_msg(of[2] > of[1] && of[2] > of[0], "%u %u %u", of[0], of[1], of[2]);
    count_scorers(of, 0.5, 0.7, NAN);           /* meant for none: everywhere */
    ck_assert_msg(of[2] > of[1] && of[2] > of[0], "%u %u %u", of[0], of[1], of[2]);
}
END_TEST

START_TEST(quantiles_give_the_wanted_shares)
{
    rows_of *rows = malloc(sizeof *rows);
    static const double share[EXITS + 1] = { 0.25, 0, 0.5, 0.125, 0.125 };
    uint32_t order[ROWS];
    double t[EXITS];
    ln__outcome out;

    make_rows(rows, 0.3, 5);
    for (int i = 0; i < ROWS * EXITS; i++)      /* no two alike */
        rows->score[i] = 0.9f * rows->score[i] + 0.1f * (float)i / (ROWS * EXITS);
    ln__quantile_thresholds(t, rows->score, share, ROWS, EXITS, order);
    ln__policy_judge(&out, rows->score, t, rows->right, ROWS, EXITS);
    for (int e = 0; e <= EXITS; e++)
        ck_assert_msg(fabs(out.share[e] - share[e]) < 1e-9, "exit %d: %g", e, out.share[e]);
    ck_assert(t[1] == 1);
    /* The first leave by score: each that left scores above each that stayed. */
    for (int r = 0; r < ROWS; r++)
        ck_assert((rows->score[r * EXITS] > t[0]) == (rows->score[r * EXITS] > (float)t[0]));
    free(rows);
}
END_TEST

START_TEST(geometric_schedules_are_geometric)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    static double schedule[LN__GEOMETRIC_SCHEDULES * (EXITS + 1)];
    rows_of *rows = malloc(sizeof *rows);
    ln__settings c;
    double before = INFINITY;

    ln__geometric_schedules(schedule, EXITS);
    for (int k = 0; k < LN__GEOMETRIC_SCHEDULES; k++) {
        const double *p = schedule + k * (EXITS + 1);
        double sum = p[0], mean = 0;
        for (int e = 1; e <= EXITS; e++) {
            ck_assert(fabs(p[e] / p[e - 1] / (p[1] / p[0]) - 1) < 1e-9);
            sum += p[e];
            mean += e * p[e];
        }
        ck_assert(fabs(sum - 1) < 1e-12 && mean < before);
        before = mean;
    }
    make_rows(rows, 0.2, 7);
    ln__scorer scorer = { rows->score, rows->right, cost, schedule, LN__GEOMETRIC_SCHEDULES, NAN };
    ln__curve_task task = { &scorer, 1, ROWS, EXITS, INFINITY };
    ck_assert_int_eq(ln__curve_build(&c, &ctx, &task, NULL), LN_OK);
    check_curve(&c, &scorer);
    ck_assert_uint_gt(c.count, 40);
    /* Shares of a setting between: a geometric row again, up to the scores that are tied at 0 and 1. */
    const double *p = c.setting[c.count / 2].share;
    for (int e = 2; e < EXITS; e++)
        ck_assert_msg(fabs(p[e] * p[e - 2] / (p[e - 1] * p[e - 1]) - 1) < 0.25, "%g %g %g", p[e - 2], p[e - 1], p[e]);
    ln__settings_free(&c, &ctx);
    free(rows);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy curve");
    TCase *core = tcase_create("core");

    tcase_add_test(core, common_thresholds_are_spaced_by_cost);
    tcase_add_test(core, ties_and_extremes_are_survived);
    tcase_add_test(core, the_better_scorer_is_taken_at_each_cost);
    tcase_add_test(core, scorers_meant_for_near_costs_are_taken);
    tcase_add_test(core, quantiles_give_the_wanted_shares);
    tcase_add_test(core, geometric_schedules_are_geometric);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
