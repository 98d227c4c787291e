/* test_gate_check.c - the warning of gates that do worse than the margin. */
#include "train/train.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"

enum { ROWS = 400, CLASSES = 3 };

static char said[1000];

static void hear(int32_t level, const char *text, void *payload)
{
    (void)payload;
    ck_assert_int_eq(level, LN_LOG_WARNING);
    snprintf(said, sizeof said, "%s", text);
}

/* One exit at half of the cost, right where its margin is large, on three rows of four. The gates of two points take it on
 * three of four rows too; `accuracy` is what they come to. */
static void check_with(double accuracy, size_t rows, uint32_t first)
{
    static const double cost[2] = { 0.5, 1 };
    float *logits = calloc(rows * CLASSES, sizeof *logits);
    uint8_t *right = malloc(2 * rows);
    ln__point points[2] = { { .alpha = 0.1, .shares = { 0.75, 0.25 } }, { .alpha = 0.3, .shares = { 0.75, 0.25 } } };
    ln_model *model = calloc(1, sizeof *model);
    const float *of_exit = logits;

    for (size_t r = 0; r < rows; r++) {
        logits[r * CLASSES + r % CLASSES] = r % 4 ? 5 + (float)r / (float)rows : 0.5f;
        right[2 * r] = r % 4 != 0;
        right[2 * r + 1] = 1;
    }
    model->ctx = ln__ctx_make(NULL, hear, NULL);
    model->n_exits = 1;
    model->classes = CLASSES;
    model->points = points;
    model->n_points = 2;
    points[0].measured.accuracy = accuracy;
    points[1].measured.accuracy = 1;
    said[0] = '\0';
    ck_assert_int_eq(ln__gates_check(model, &of_exit, right, cost, rows, first, NULL), LN_OK);
    free(model);
    free(right);
    free(logits);
}

START_TEST(gates_worse_than_the_margin_are_told)
{
    check_with(0.8, ROWS, 0);
    ck_assert_msg(strstr(said, "gates of alpha 0.1 are right on 80.0 % of 400 rows held out"), "%s", said);
    ck_assert_msg(strstr(said, "on 99.8 % for the same cost"), "%s", said);
}
END_TEST

START_TEST(others_are_not)
{
    check_with(1, ROWS, 0);
    ck_assert_str_eq(said, "");
    check_with(0.985, ROWS, 0);     /* little */
    ck_assert_str_eq(said, "");
    check_with(0.9, 12, 0);         /* chance */
    ck_assert_str_eq(said, "");
    check_with(0.8, ROWS, 1);       /* trained before */
    ck_assert_str_eq(said, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate check");
    TCase *core = tcase_create("core");

    tcase_add_test(core, gates_worse_than_the_margin_are_told);
    tcase_add_test(core, others_are_not);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
