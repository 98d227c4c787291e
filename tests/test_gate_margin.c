/* test_gate_margin.c - a gate joined with its head's margin says the mean of both. */
#include "train/gate_fit.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "run_suite.h"

enum { ROWS = 20, EXITS = 2, INPUTS = 5, MARGIN = 3 };

static void check_joined(uint32_t hidden, float weight)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(4, hidden);
    float x[EXITS][ROWS][INPUTS], z[ROWS * EXITS], expected[ROWS * EXITS], scratch[8];
    ln__gate_task task = { .rows = ROWS, .exits = EXITS, .margin = MARGIN };
    ln__gates gates;

    ck_assert_int_eq(ln__gates_new(&gates, &ctx, LN_GATE_STATISTICS, EXITS, NULL), LN_OK);
    for (int e = 0; e < EXITS; e++) {
        ck_assert_int_eq(ln__mlp_new(&gates.gate[e], &ctx, INPUTS, (int32_t)hidden, 1, NULL), LN_OK);
        ln__mlp_init(&gates.gate[e], &rng);
        *ln__mlp_b2(&gates.gate[e]) = 0.5f;
        for (int r = 0; r < ROWS; r++) {
            for (int i = 0; i < INPUTS; i++)
                x[e][r][i] = (float)ln__rng_normal(&rng);
            x[e][r][MARGIN] = fabsf(x[e][r][MARGIN]);
            float learned;
            ln__mlp_answer(&gates.gate[e], x[e][r], 1, scratch, &learned);
            z[r * EXITS + e] = learned;
            expected[r * EXITS + e] = (learned + weight * x[e][r][MARGIN]) / (1 + weight);
        }
        task.input[e] = (ln__gate_input){ .x = x[e][0], .own = INPUTS, .width = INPUTS };
    }
    ck_assert_int_eq(ln__gates_join_margin(&gates, z, &task, weight, &ctx, NULL), LN_OK);
    for (int e = 0; e < EXITS; e++)
        for (int r = 0; r < ROWS; r++) {
            float joined;
            ln__mlp_answer(&gates.gate[e], x[e][r], 1, scratch, &joined);
            ck_assert_float_eq_tol(joined, expected[r * EXITS + e], 1e-5f);
            ck_assert_float_eq_tol(z[r * EXITS + e], expected[r * EXITS + e], 1e-6f);
        }
    ln__gates_free(&gates, &ctx);
}

START_TEST(linear_gates_are_joined) { check_joined(0, 0.3f); } END_TEST
START_TEST(gates_with_a_hidden_layer_are_joined) { check_joined(3, 1); } END_TEST

START_TEST(the_margin_is_that_of_the_two_largest_probabilities)
{
    const float z[4] = { 1.0f, -2.0f, 3.5f, 0.25f }, *logits[1] = { z };
    float p[4], stats[16];
    const float *probabilities[1] = { p };

    for (int32_t classes = 2; classes <= 4; classes++) {
        ln__softmax_rows(z, 1, classes, p);
        float margin = classes > 2 ? p[2] - p[0] : p[0] - p[1];
        ln__stats_compute(classes, 0, logits, probabilities, stats);
        ck_assert_float_eq_tol(stats[ln__stats_margin_logit(classes)], logf((1 + margin) / (1 - margin)), 1e-5f);
        if (classes == 2)
            ck_assert_float_eq_tol(stats[ln__stats_margin_logit(classes)], z[0] - z[1], 1e-5f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate margin");
    TCase *core = tcase_create("core");

    tcase_add_test(core, linear_gates_are_joined);
    tcase_add_test(core, gates_with_a_hidden_layer_are_joined);
    tcase_add_test(core, the_margin_is_that_of_the_two_largest_probabilities);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
