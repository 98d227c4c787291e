/* test_gate_path.c - linear gates on statistics: the fit is the minimum, and statistics beside the margin speak where rows held out gain by it. */
#include "train/gate_ridge.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "run_suite.h"

enum { ROWS = 2000, WIDTH = 4, MARGIN = 1, FOLDS = 5, EXITS = 2 };

static float x[ROWS][WIDTH], gain[ROWS * EXITS], mean[WIDTH], scale[WIDTH], z[ROWS * EXITS];
static uint32_t order[ROWS], fold[ROWS];
static const float ZERO[WIDTH + 1];

/* Rows whose gain at exit e is positive with the chance sigmoid(weights[e] . input + bias), their inputs x off centre, of another scale, the
 * last nearly a copy of the first. */
static ln__gate_task make_rows(uint32_t exits, const double (*weights)[WIDTH], double bias)
{
    static const float centre[WIDTH] = { 3, 0.5f, -2, 3 }, spread[WIDTH] = { 2, 0.25f, 1, 2 };
    ln__gate_task task = { .rows = ROWS, .exits = exits, .folds = FOLDS, .fold = fold, .margin = MARGIN, .path = true };
    ln__rng rng = ln__rng_make(11, 0);

    for (int i = 0; i < WIDTH; i++) {
        mean[i] = centre[i];
        scale[i] = 1 / spread[i];
    }
    for (int r = 0; r < ROWS; r++) {
        double input[WIDTH];
        for (int i = 0; i < WIDTH; i++)
            input[i] = i == 3 ? input[0] + 0.2 * ln__rng_normal(&rng) : ln__rng_normal(&rng);
        for (int i = 0; i < WIDTH; i++)
            x[r][i] = centre[i] + spread[i] * (float)input[i];
        for (uint32_t e = 0; e < exits; e++) {
            double argument = bias, size = 0.5 + ln__rng_double(&rng);
            for (int i = 0; i < WIDTH; i++)
                argument += weights[e][i] * input[i];
            gain[r * (int)exits + (int)e] = (float)(ln__rng_double(&rng) < 1 / (1 + exp(-argument)) ? size : -size);
        }
        order[r] = (uint32_t)r;
        fold[r] = (uint32_t)r % FOLDS;
    }
    for (uint32_t e = 0; e < exits; e++)
        task.input[e] = (ln__gate_input){ .x = x[0], .own = WIDTH, .width = WIDTH, .mean = mean, .scale = scale };
    return task;
}

static double penalised(const double *w, const float *anchor, const double *pull)
{
    double loss = 0;

    for (int r = 0; r < ROWS; r++) {
        double argument = w[WIDTH];
        for (int i = 0; i < WIDTH; i++)
            argument += w[i] * (double)((x[r][i] - mean[i]) * scale[i]);
        loss += fabs((double)gain[r]) * log1p(exp(gain[r] > 0 ? -argument : argument)) / ROWS;
    }
    for (int i = 0; i <= WIDTH; i++)
        loss += isinf(pull[i]) ? 0 : pull[i] * pow(w[i] - (double)anchor[i], 2) / 2;
    return loss;
}

static void fit(float *w, const ln__gate_task *task, const float *anchor, const double *pull)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__ridge ridge = { 0 };
    ln__ridge_problem problem = { &task->input[0], order, ROWS, 1, gain, anchor, pull };

    ck_assert_int_eq(ln__ridge_new(&ridge, WIDTH, &ctx, NULL), LN_OK);
    ln__ridge_fit(&ridge, w, &problem);
    ln__ridge_free(&ridge, &ctx);
}

static void check_least(const float *w, const float *anchor, const double *pull)
{
    double at[WIDTH + 1];

    for (int i = 0; i <= WIDTH; i++)
        at[i] = (double)w[i];
    for (int i = 0; i <= WIDTH; i++) {
        double above, below;
        at[i] = (double)w[i] + 1e-3;
        above = penalised(at, anchor, pull);
        at[i] = (double)w[i] - 1e-3;
        below = penalised(at, anchor, pull);
        at[i] = (double)w[i];
        ck_assert_msg(isinf(pull[i]) || fabs(above - below) / 2e-3 < 1e-4, "weight %d: slope %g", i, (above - below) / 2e-3);
        ck_assert_msg(!isinf(pull[i]) || w[i] == anchor[i], "weight %d: %g", i, (double)w[i]);
    }
}

static const double BOTH[2][WIDTH] = { { 0.8, 1.5, -0.6, 0.1 }, { 0, 1, 0, 0 } };

START_TEST(a_fit_is_where_the_penalised_loss_has_no_slope)
{
    static const float anchor[WIDTH + 1] = { 0, 1, 0, 0, 0.2f };
    static const double pulls[][WIDTH + 1] = {
        { 3, 3, 3, 3, 1e-6 }, { 0.1, 0.1, 0.1, 0.1, 1e-6 }, { 1e-3, 1e-3, 1e-3, 1e-3, 1e-6 }, { 1e-5, 1e-4, 1e-3, 1e-2, 1 },
        { INFINITY, 1e-4, INFINITY, INFINITY, 1e-6 }, { INFINITY, INFINITY, INFINITY, INFINITY, 1e-6 } };
    ln__gate_task task = make_rows(1, BOTH, -0.5);

    for (size_t i = 0; i < sizeof pulls / sizeof *pulls; i++) {
        float near[WIDTH + 1] = { 0 }, far[WIDTH + 1] = { -40, 30, 20, -10, 50 };
        fit(near, &task, anchor, pulls[i]);
        check_least(near, anchor, pulls[i]);
        fit(far, &task, anchor, pulls[i]);
        check_least(far, anchor, pulls[i]);
    }
}
END_TEST

START_TEST(no_start_is_made_worse)
{
    static const double pull[WIDTH + 1] = { 0.01, 0.01, 0.01, 0.01, 1e-6 };
    ln__gate_task task = make_rows(1, BOTH, 0);
    ln__rng rng = ln__rng_make(5, 5);

    for (int i = 0; i < 50; i++) {
        float w[WIDTH + 1];
        double start[WIDTH + 1], end[WIDTH + 1];
        for (int k = 0; k <= WIDTH; k++)
            start[k] = (double)(w[k] = (float)(pow(10, i % 4) * ln__rng_normal(&rng)));
        fit(w, &task, ZERO, pull);
        for (int k = 0; k <= WIDTH; k++)
            end[k] = (double)w[k];
        ck_assert(penalised(end, ZERO, pull) <= penalised(start, ZERO, pull) + 1e-6);
    }
}
END_TEST

START_TEST(rows_that_a_line_separates_and_far_ones_have_an_answer)
{
    static const double steep[1][WIDTH] = { { 0, 500, 0, 0 } }, pull[WIDTH + 1] = { 0.003, 0.003, 0.003, 0.003, 1e-6 };
    ln__gate_task task = make_rows(1, steep, 0);
    float w[WIDTH + 1] = { -40, 30, 20, -10, 50 };

    x[7][2] = 1e6f;
    fit(w, &task, ZERO, pull);
    for (int i = 0; i <= WIDTH; i++)
        ck_assert_msg(isfinite(w[i]) && fabsf(w[i]) < 1e3f, "weight %d: %g", i, (double)w[i]);
    ck_assert(w[MARGIN] > 1);
}
END_TEST

/* ---- Gates of all folds ------------------------------------------------------------------------ */

static int stop(const ln_progress *now, void *payload)
{
    (void)now;
    return ++*(int *)payload == 3;
}

static ln_status learn(ln__gate_task *task, ln__mlp *gate, uint32_t threads, ln_progress_fn call, void *payload, ln_error *err)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__reporter reporter = ln__reporter_make(call, payload);
    ln_progress progress = ln__progress_make("gates");
    ln__pool *pool = NULL;

    ck_assert_int_eq(ln__pool_new(&pool, &ctx, threads, NULL), LN_OK);
    ln_status st = ln__gate_fit(gate, z, task, gain, pool, &reporter, &progress, &ctx, err);
    ln__pool_free(pool);
    return st;
}

static void free_gates(ln__mlp *gate, uint32_t exits)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);

    for (uint32_t e = 0; e < exits; e++)
        ln__mlp_free(&gate[e], &ctx);
}

/* Of an input one standard deviation from its mean. */
static float weight_of(const ln__mlp *gate, int i) { return gate->params[i] / scale[i]; }

START_TEST(statistics_speak_where_they_help)
{
    static const double weights[EXITS][WIDTH] = { { 1.2, 1.5, 0, 0 }, { 0, 1.5, 0, 0 } };
    ln__gate_task task = make_rows(EXITS, weights, -0.5);
    ln__mlp gate[EXITS] = { { 0 } };

    ck_assert_int_eq(learn(&task, gate, 2, NULL, NULL, NULL), LN_OK);
    ck_assert_float_eq_tol(weight_of(&gate[0], 0) + weight_of(&gate[0], 3), 1.2f, 0.25f);
    for (int e = 0; e < EXITS; e++)
        ck_assert_float_eq_tol(weight_of(&gate[e], MARGIN), 1.5f, 0.25f);
    for (int i = 0; i < WIDTH; i++)
        ck_assert_msg(i == MARGIN || fabsf(weight_of(&gate[1], i)) < 0.1f, "statistic %d: %g", i, (double)weight_of(&gate[1], i));
    free_gates(gate, EXITS);
}
END_TEST

/* z is what gates say that have not seen the row: nearly, not wholly, what their mean says. */
START_TEST(arguments_are_out_of_fold)
{
    ln__gate_task task = make_rows(EXITS, BOTH, -0.5);
    ln__mlp gate[EXITS] = { { 0 } };
    int apart = 0;

    ck_assert_int_eq(learn(&task, gate, 2, NULL, NULL, NULL), LN_OK);
    for (int r = 0; r < ROWS; r++)
        for (int e = 0; e < EXITS; e++) {
            float scratch[1], argument;
            ln__mlp_answer(&gate[e], x[r], 1, scratch, &argument);
            ck_assert_float_eq_tol(argument, z[r * EXITS + e], 0.5f);
            apart += fabsf(argument - z[r * EXITS + e]) > 1e-4f;
        }
    ck_assert_int_gt(apart, ROWS);
    free_gates(gate, EXITS);
}
END_TEST

START_TEST(threads_change_nothing)
{
    ln__gate_task task = make_rows(EXITS, BOTH, -0.5);
    ln__mlp one[EXITS] = { { 0 } }, four[EXITS] = { { 0 } };

    ck_assert_int_eq(learn(&task, one, 1, NULL, NULL, NULL), LN_OK);
    ck_assert_int_eq(learn(&task, four, 4, NULL, NULL, NULL), LN_OK);
    for (int e = 0; e < EXITS; e++)
        ck_assert_mem_eq(one[e].params, four[e].params, (WIDTH + 1) * sizeof(float));
    free_gates(one, EXITS);
    free_gates(four, EXITS);
}
END_TEST

/* The margin still tells rows apart: what leaves first is what the head is surest of. */
START_TEST(rows_of_one_kind_are_ranked_by_the_margin)
{
    for (int kind = 0; kind < 3; kind++) {
        ln__gate_task task = make_rows(1, BOTH, 0);
        ln__mlp gate = { 0 };
        for (int r = 0; r < ROWS; r++)
            gain[r] = kind == 2 ? 0 : kind ? 1.0f : -1.0f;
        ck_assert_int_eq(learn(&task, &gate, 2, NULL, NULL, NULL), LN_OK);
        ck_assert_msg(weight_of(&gate, MARGIN) > 0.1f, "kind %d: %g", kind, (double)weight_of(&gate, MARGIN));
        for (int r = 0; r < ROWS; r++)
            ck_assert(isfinite(z[r]) && (kind == 2 || (z[r] > 0) == kind));
        free_gates(&gate, 1);
    }
}
END_TEST

START_TEST(few_rows_and_uneven_folds_learn)
{
    for (size_t rows = 1; rows < 12; rows++)
        for (int uneven = 0; uneven < 2; uneven++) {
            ln__gate_task task = make_rows(1, BOTH, 0);
            ln__mlp gate = { 0 };
            task.rows = rows;
            for (size_t r = 0; uneven && r < rows; r++)
                fold[r] = 2;        /* one fold learns from nothing, the others are judged on nothing */
            ck_assert_int_eq(learn(&task, &gate, 2, NULL, NULL, NULL), LN_OK);
            for (int i = 0; i <= WIDTH; i++)
                ck_assert(isfinite(gate.params[i]));
            free_gates(&gate, 1);
        }
}
END_TEST

START_TEST(without_a_margin_all_statistics_start_at_nothing)
{
    ln__gate_task task = make_rows(1, BOTH, -0.5);
    ln__mlp gate = { 0 };

    task.margin = -1;
    ck_assert_int_eq(learn(&task, &gate, 2, NULL, NULL, NULL), LN_OK);
    ck_assert_float_eq_tol(weight_of(&gate, MARGIN), 1.5f, 0.25f);
    free_gates(&gate, 1);
}
END_TEST

START_TEST(no_numbers_are_refused_and_a_stop_is_heard)
{
    ln__gate_task task = make_rows(1, BOTH, -0.5);
    ln__mlp gate = { 0 };
    ln_error err = { 0 };
    int calls = 0;

    ck_assert_int_eq(learn(&task, &gate, 2, stop, &calls, &err), LN_E_CANCELLED);
    free_gates(&gate, 1);
    x[17][2] = NAN;
    ck_assert_int_eq(learn(&task, &gate, 2, NULL, NULL, &err), LN_E_ARGUMENT);
    ck_assert_msg(strstr(err.text, "no number") != NULL, "%s", err.text);
    free_gates(&gate, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate path");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 60);
    tcase_add_test(core, a_fit_is_where_the_penalised_loss_has_no_slope);
    tcase_add_test(core, no_start_is_made_worse);
    tcase_add_test(core, rows_that_a_line_separates_and_far_ones_have_an_answer);
    tcase_add_test(core, statistics_speak_where_they_help);
    tcase_add_test(core, arguments_are_out_of_fold);
    tcase_add_test(core, threads_change_nothing);
    tcase_add_test(core, rows_of_one_kind_are_ranked_by_the_margin);
    tcase_add_test(core, few_rows_and_uneven_folds_learn);
    tcase_add_test(core, without_a_margin_all_statistics_start_at_nothing);
    tcase_add_test(core, no_numbers_are_refused_and_a_stop_is_heard);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
