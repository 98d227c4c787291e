/* Linear layers over a cache whose columns threads share: answers and steps equal those of the small layer, row by row. */
#include "train/wide.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 11, OUTPUTS = 6, BATCH = 4 };

typedef struct bench {
    ln__ctx   ctx;
    ln__cache x;
    ln__pool *pool;
    ln__wide  wide;
    ln__mlp   mlp;              /* the same layer */
    ln__adam  adam;
    float    *standard;         /* [ROWS][inputs] */
} bench;

static void setup(bench *b, size_t inputs, uint32_t threads)
{
    ln__rng rng = ln__rng_make(3, inputs);
    ln__cache_place place;

    memset(b, 0, sizeof *b);
    b->ctx = ln__ctx_make(NULL, NULL, NULL);
    place = (ln__cache_place){ &b->ctx, threads > 1 ? 0 : UINT64_MAX, NULL };     /* a file for several threads */
    ck_assert_int_eq(ln__cache_new(&b->x, &place, ROWS, inputs, NULL), LN_OK);
    ck_assert_int_eq(b->x.mapped > 0, threads > 1);
    for (size_t i = 0; i < ROWS * inputs; i++)
        b->x.data[i] = (float)(ln__rng_normal(&rng) * (double)(i % 5 + 1) + (double)(i % 7));
    ck_assert_int_eq(ln__pool_new(&b->pool, &b->ctx, threads, NULL), LN_OK);
    ck_assert_int_eq(ln__wide_new(&b->wide, &b->x, OUTPUTS, BATCH, b->pool, &b->ctx, NULL), LN_OK);
    ln__cache_describe(&b->x, ROWS, b->wide.mean, b->wide.scale);
    ck_assert_int_eq(ln__mlp_new(&b->mlp, &b->ctx, (int32_t)inputs, 0, OUTPUTS, NULL), LN_OK);
    ck_assert_int_eq(ln__adam_new(&b->adam, &b->ctx, OUTPUTS * (inputs + 1), NULL), LN_OK);
    b->standard = malloc(ROWS * inputs * sizeof(float));
    for (size_t i = 0; i < ROWS * inputs; i++)
        b->standard[i] = (b->x.data[i] - b->wide.mean[i % inputs]) * b->wide.scale[i % inputs];
}

static void teardown(bench *b)
{
    ln__wide_free(&b->wide);
    ln__pool_free(b->pool);
    ln__cache_free(&b->x, &b->ctx);
    ln__mlp_free(&b->mlp, &b->ctx);
    ln__adam_free(&b->adam, &b->ctx);
    free(b->standard);
}

/* The rows `places` of the small layer, answered and learned from by the same dz. */
static void small_batch(bench *b, const uint32_t *places, size_t n, float *z, const float *dz, float rate, float decay)
{
    size_t inputs = b->x.width;
    float *x = malloc(n * inputs * sizeof *x), *gradient = calloc(b->adam.n, sizeof *gradient), unused[BATCH];

    for (size_t i = 0; i < n; i++)
        memcpy(x + i * inputs, b->standard + places[i] * inputs, inputs * sizeof *x);
    ck_assert_int_eq(ln__mlp_forward(&b->mlp, x, (int64_t)n, unused, z, NULL), LN_OK);
    ck_assert_int_eq(ln__mlp_backward(&b->mlp, x, (int64_t)n, unused, dz, unused, gradient, NULL), LN_OK);
    ln__adam_step(&b->adam, b->mlp.params, gradient, rate, decay);
    free(x);
    free(gradient);
}

static void check_layer(size_t inputs, uint32_t threads)
{
    static const uint32_t places[3][BATCH] = { { 7, 0, 10, 3 }, { 1, 1, 2, 9 }, { 8, 4, 5, 6 } };
    float z[BATCH * OUTPUTS], expected[BATCH * OUTPUTS], dz[BATCH * OUTPUTS];
    ln__rng rng = ln__rng_make(5, inputs);
    bench b;

    setup(&b, inputs, threads);
    for (int step = 0; step < 3; step++) {
        size_t n = step == 1 ? BATCH - 1 : BATCH;

        for (size_t i = 0; i < LN__COUNT(dz); i++)
            dz[i] = (float)ln__rng_normal(&rng);
        ck_assert_int_eq(ln__wide_forward(&b.wide, places[step], n, z, NULL), LN_OK);
        small_batch(&b, places[step], n, expected, dz, 0.01f, 0.1f);
        for (size_t i = 0; i < n * OUTPUTS; i++)
            ck_assert_float_eq_tol(z[i], expected[i], 1e-4f * (1.0f + fabsf(expected[i])));
        ck_assert_int_eq(ln__wide_step(&b.wide, places[step], n, dz, 0.01f, 0.1f, NULL), LN_OK);
        ln__wide_leave(&b.wide, places[step], n);
    }
    for (size_t i = 0; i < OUTPUTS * inputs; i++)
        ck_assert_float_eq_tol(b.wide.w[i], ln__mlp_w2(&b.mlp)[i], 2e-4f);
    for (size_t o = 0; o < OUTPUTS; o++)
        ck_assert_float_eq_tol(b.wide.bias[o], ln__mlp_b2(&b.mlp)[o], 1e-5f);
    teardown(&b);
}

START_TEST(answers_and_steps_equal_the_small_layer)
{
    check_layer(5, 1);
    check_layer(1024, 1);
    check_layer(2500, 1);
    check_layer(5, 3);
    check_layer(2500, 2);
    check_layer(4096, 3);
}
END_TEST

START_TEST(columns_are_described_in_place)
{
    bench b;

    setup(&b, 700, 2);
    for (size_t c = 0; c < b.x.width; c++) {
        double mean = 0, squares = 0;

        for (size_t r = 0; r < ROWS; r++)
            mean += (double)b.x.data[r * b.x.width + c] / ROWS;
        for (size_t r = 0; r < ROWS; r++)
            squares += pow((double)b.x.data[r * b.x.width + c] - mean, 2) / ROWS;
        ck_assert_double_eq_tol(b.wide.mean[c], mean, 1e-4);
        ck_assert_double_eq_tol(b.wide.scale[c], 1 / sqrt(squares), 1e-4 / sqrt(squares));
    }
    teardown(&b);
}
END_TEST

START_TEST(many_inputs_slow_the_rate)
{
    ck_assert_double_eq(ln__wide_rate(1e-3, 100), 1e-3);
    ck_assert_double_eq(ln__wide_rate(1e-3, 800000), 1e-5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wide");
    TCase *tc = tcase_create("wide");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, answers_and_steps_equal_the_small_layer);
    tcase_add_test(tc, columns_are_described_in_place);
    tcase_add_test(tc, many_inputs_slow_the_rate);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
