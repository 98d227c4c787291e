/* Linear layers over a cache whose columns threads share: answers and steps equal those of the small layer, row by row. */
#include "train/gate_fit.h"
#include "train/wide.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"

enum { ROWS = 11, OUTPUTS = 6, BATCH = 4 };

typedef struct bench {
    ln__ctx   ctx;
    ln__cache x;
    ln__pool *pool;
    ln__wide  wide;
    ln__mlp   mlp;              /* the same layer */
    ln__adam  adam, adam_bias;
    float    *standard;         /* [ROWS][inputs] */
} bench;

static void setup(bench *b, size_t inputs, uint32_t threads)
{
    ln__rng rng = ln__rng_make(3, inputs);
    ln__cache_place place;

    memset(b, 0, sizeof *b);
    b->ctx = ln__ctx_make(NULL, NULL, NULL);
    place = (ln__cache_place){ .ctx = &b->ctx, .memory_left = threads > 1 ? 0 : UINT64_MAX };     /* a file for several threads */
    ck_assert_int_eq(ln__cache_new(&b->x, &place, ROWS, inputs, NULL), LN_OK);
    ck_assert_int_eq(b->x.mapped > 0, threads > 1);
    for (size_t i = 0; i < ROWS * inputs; i++)
        b->x.data[i] = (float)(ln__rng_normal(&rng) * (double)(i % 5 + 1) + (double)(i % 7));
    ck_assert_int_eq(ln__pool_new(&b->pool, &b->ctx, threads, NULL), LN_OK);
    ck_assert_int_eq(ln__wide_new(&b->wide, &b->x, OUTPUTS, BATCH, b->pool, &b->ctx, NULL), LN_OK);
    ln__cache_describe(&b->x, ROWS, b->wide.mean, b->wide.scale);
    ck_assert_int_eq(ln__mlp_new(&b->mlp, &b->ctx, (int32_t)inputs, 0, OUTPUTS, NULL), LN_OK);
    ck_assert_int_eq(ln__adam_new(&b->adam, &b->ctx, OUTPUTS * inputs, NULL), LN_OK);
    ck_assert_int_eq(ln__adam_new(&b->adam_bias, &b->ctx, OUTPUTS, NULL), LN_OK);
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
    ln__adam_free(&b->adam_bias, &b->ctx);
    free(b->standard);
}

/* The rows `places` of the small layer, answered and learned from by the same dz. */
static void small_batch(bench *b, const uint32_t *places, size_t n, float *z, const float *dz, float rate, float decay)
{
    size_t inputs = b->x.width;
    float *x = malloc(n * inputs * sizeof *x), *gradient = calloc(b->adam.n + OUTPUTS, sizeof *gradient), unused[BATCH];

    for (size_t i = 0; i < n; i++)
        memcpy(x + i * inputs, b->standard + places[i] * inputs, inputs * sizeof *x);
    ck_assert_int_eq(ln__mlp_forward(&b->mlp, x, (int64_t)n, unused, z, NULL), LN_OK);
    ck_assert_int_eq(ln__mlp_backward(&b->mlp, x, (int64_t)n, unused, dz, unused, gradient, NULL), LN_OK);
    ln__adam_step(&b->adam, ln__mlp_w2(&b->mlp), gradient, rate, decay);
    ln__adam_step(&b->adam_bias, ln__mlp_b2(&b->mlp), gradient + b->adam.n, rate * (float)inputs / 8, 0);
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

/* ---- Whole heads and gates ------------------------------------------------------------------------- */

enum { FOLDS = 3, INPUTS = 9000, CLASSES = 2 };

/* Rows whose first tenth of inputs leans to the side of their class, by `signal` of the noise's deviation. */
typedef struct learning {
    ln__ctx      ctx;
    ln__features rows;
    ln__cache    x;
    ln__pool    *pool;
    uint32_t    *fold;
    float       *held;          /* [rows][CLASSES] */
    ln__mlp      mlp;
    ln__fit_result result;
    ln_error     err;
} learning;

static void give_row(learning *l, ln__rng *rng, size_t row, double signal)
{
    float *x = ln__cache_row(&l->x, row);

    for (size_t k = 0; k < INPUTS; k++)
        x[k] = (float)(ln__rng_normal(rng) + (k < INPUTS / 10 ? signal * (l->rows.labels[row] ? 1 : -1) : 0));
}

/* `more` rows for heads alone lie behind a gap of rows that could not be read. Every `rare`th row is of class 1. */
static void learning_setup_in(learning *l, uint64_t memory, size_t rows, size_t more, uint32_t rare, double signal)
{
    ln__cache_place place;
    ln__rng rng = ln__rng_make(11, rows);
    size_t gap = 3;

    memset(l, 0, sizeof *l);
    l->ctx = ln__ctx_make(NULL, NULL, NULL);
    place = (ln__cache_place){ .ctx = &l->ctx, .memory_left = memory };
    l->rows = (ln__features){ .rows = rows, .more_at = rows + gap, .more = more, .stride = rows + gap + more, .forms = 1, .classes = CLASSES };
    l->rows.labels = calloc(l->rows.stride, sizeof *l->rows.labels);
    l->held = calloc(rows * CLASSES, sizeof *l->held);
    ck_assert_int_eq(ln__cache_new(&l->x, &place, l->rows.stride, INPUTS, NULL), LN_OK);
    for (size_t r = 0; r < l->rows.stride; r++) {
        l->rows.labels[r] = r % rare == 0;
        give_row(l, &rng, r, signal);
        for (size_t k = 0; r >= rows && r < rows + gap && k < INPUTS; k++)
            ln__cache_row(&l->x, r)[k] = NAN;
    }
    ck_assert_int_eq(ln__pool_new(&l->pool, &l->ctx, 2, NULL), LN_OK);
    ck_assert_int_eq(ln__folds_make(&l->fold, l->rows.labels, rows, CLASSES, FOLDS, 1, &l->ctx, NULL), LN_OK);
}

static void learning_setup(learning *l, size_t rows, size_t more, uint32_t rare, double signal)
{
    learning_setup_in(l, UINT64_MAX, rows, more, rare, signal);
}

static ln_status learn(learning *l, uint32_t batch, uint32_t epochs)
{
    ln__reporter reporter = ln__reporter_make(NULL, NULL);
    ln_progress progress = ln__progress_make("head");
    ln__conv unused;
    ln__classifier_task task = { .rows = &l->rows, .x = &l->x, .fold = l->fold, .folds = FOLDS, .classes = CLASSES, .batch = batch, .epochs = epochs,
                                 .inputs = INPUTS, .positions = 1, .wide = true, .rate = ln__wide_rate(1e-3, INPUTS), .decay = 0.05, .seed = 1 };

    return ln__classifier_train(&l->mlp, &unused, l->held, &l->result, &task, l->pool, &reporter, &progress, &l->ctx, &l->err);
}

static double right_of(const learning *l, const float *answers)
{
    size_t right = 0;

    for (size_t r = 0; r < l->rows.rows; r++)
        right += (answers[r * CLASSES + 1] > answers[r * CLASSES]) == (l->rows.labels[r] == 1);
    return (double)right / (double)l->rows.rows;
}

static void learning_teardown(learning *l)
{
    ln__mlp_free(&l->mlp, &l->ctx);
    ln__pool_free(l->pool);
    ln__cache_free(&l->x, &l->ctx);
    ln__free(&l->ctx, l->fold);
    free(l->rows.labels);
    free(l->held);
}

START_TEST(nothing_leaks_between_folds)
{
    learning l;

    learning_setup(&l, 150, 0, 2, 0);
    ck_assert_int_eq(learn(&l, 32, 15), LN_OK);
    float *own = calloc(l.rows.rows * CLASSES, sizeof *own), hidden;
    ln__mlp_answer(&l.mlp, l.x.data, (int64_t)l.rows.rows, &hidden, own);
    ck_assert_double_gt(right_of(&l, own), 0.99);       /* by heart */
    ck_assert_double_lt(right_of(&l, l.held), 0.65);    /* chance */
    ck_assert_double_eq_tol(l.result.accuracy, right_of(&l, l.held), 1e-9);
    free(own);
    learning_teardown(&l);
}
END_TEST

typedef struct walk { const ln__cache *file, *memory; uint32_t seen[90]; size_t rows, stop_at; } walk;

static ln_status walk_batch(void *payload, const uint32_t *places, size_t n, ln_error *err)
{
    walk *w = payload;

    if (w->rows >= w->stop_at)
        return ln__fail(err, LN_E_CANCELLED, "enough");
    for (size_t i = 0; i < n; i++) {
        ck_assert_mem_eq(ln__cache_row(w->file, places[i]), ln__cache_row(w->memory, places[i]), INPUTS * sizeof(float));
        w->seen[w->rows++] = places[i];
    }
    return LN_OK;
}

START_TEST(rows_of_a_file_teach_the_same)
{
    learning in_memory, in_file;
    ln__ahead ahead;

    learning_setup(&in_memory, 90, 40, 2, 0.1);
    learning_setup_in(&in_file, 0, 90, 40, 2, 0.1);
    ck_assert(!ln__cache_brings(&in_memory.x) && ln__cache_brings(&in_file.x));
    ck_assert_int_eq(learn(&in_memory, 32, 4), LN_OK);
    ck_assert_int_eq(learn(&in_file, 32, 4), LN_OK);
    ck_assert_mem_eq(in_memory.held, in_file.held, 90 * CLASSES * sizeof(float));
    ck_assert_mem_eq(in_memory.mlp.params, in_file.mlp.params, CLASSES * INPUTS * sizeof(float));

    const ln__wide wide = { .x = &in_file.x };
    uint32_t places[90];
    walk all = { .file = &in_file.x, .memory = &in_memory.x, .stop_at = SIZE_MAX }, some = all;
    some.stop_at = 20;
    for (uint32_t i = 0; i < LN__COUNT(places); i++) {
        places[i] = i * 7 % 90;
        ln__cache_leave(&in_file.x, places[i]);
    }
    ck_assert_int_eq(ln__ahead_new(&ahead, &wide, 1, &in_file.ctx, NULL), LN_OK);
    ck_assert_int_eq(ln__ahead_walk(&ahead, places, 0, 7, walk_batch, &all, NULL), LN_OK);
    ck_assert_uint_eq(all.rows, 0);
    ck_assert_int_eq(ln__ahead_walk(&ahead, places, 90, 7, walk_batch, &all, NULL), LN_OK);
    ck_assert_uint_eq(all.rows, 90);
    ck_assert_mem_eq(all.seen, places, sizeof places);
    ck_assert_int_eq(ln__ahead_walk(&ahead, places, 90, 7, walk_batch, &some, NULL), LN_E_CANCELLED);
    ck_assert_uint_eq(some.rows, 21);
    ln__ahead_free(&ahead);
    learning_teardown(&in_memory);
    learning_teardown(&in_file);
}
END_TEST

START_TEST(rows_for_heads_alone_teach)
{
    double right[2];

    for (int i = 0; i < 2; i++) {
        learning l;

        learning_setup(&l, 60, i ? 400 : 0, 2, 0.06);
        ck_assert_int_eq(learn(&l, 32, 15), LN_OK);
        right[i] = right_of(&l, l.held);
        learning_teardown(&l);
    }
    ck_assert_msg(right[1] > right[0] + 0.08, "%g held out with them, %g without", right[1], right[0]);
}
END_TEST

START_TEST(a_rare_class_is_known_to_be_rare)
{
    learning l;

    learning_setup(&l, 300, 0, 10, 0);
    ck_assert_int_eq(learn(&l, 32, 20), LN_OK);
    ck_assert_double_gt(right_of(&l, l.held), 0.8);
    learning_teardown(&l);
}
END_TEST

START_TEST(batches_of_one_row_and_of_all)
{
    static const uint32_t batch[] = { 1, LN__MAX_BATCH };

    for (size_t i = 0; i < LN__COUNT(batch); i++) {
        learning l;

        learning_setup(&l, 40, 0, 2, 0.5);
        ck_assert_int_eq(learn(&l, batch[i], 12), LN_OK);
        ck_assert_double_gt(right_of(&l, l.held), 0.9);
        learning_teardown(&l);
    }
}
END_TEST

START_TEST(numbers_that_are_none_are_an_error)
{
    learning l;

    learning_setup(&l, 40, 5, 2, 0.5);
    ln__cache_row(&l.x, l.rows.more_at)[7] = NAN;
    ck_assert_int_eq(learn(&l, 64, 1), LN_E_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(l.err.text, "did not converge"));
    learning_teardown(&l);
}
END_TEST

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* All is right everywhere, so alpha alone speaks: every row leaves at once, held out or not. */
START_TEST(gates_let_go_what_only_costs)
{
    learning l;
    enum { EXITS = 2, N = 90 };
    static float price[N * (EXITS + 1)], z[N * EXITS];
    static uint8_t right[N * (EXITS + 1)];
    static const double cost[] = { 0.2, 0.5, 1 };
    ln__reporter reporter = ln__reporter_make(NULL, NULL);
    ln_progress progress = ln__progress_make("gates");
    ln__gates gates;

    learning_setup(&l, N, 0, 2, 0);
    ck_assert_int_eq(ln__gates_new(&gates, &l.ctx, LN_GATE_FEATURES, EXITS, NULL), LN_OK);
    ln__gate_task task = { .rows = N, .exits = EXITS, .folds = FOLDS, .epochs = 60, .margin = -1, .fold = l.fold, .price = price, .cost = cost, .right = right,
                           .alpha = 0.5, .rate = 3e-3, .decay = 1e-2, .seed = 1, .objective = LN_OBJECTIVE_LEENET, .wide = true };
    for (uint32_t e = 0; e < EXITS; e++) {
        ln__gate_input *in = &task.input[e];

        *in = (ln__gate_input){ .x = l.x.data, .own = INPUTS, .width = INPUTS, .mean = malloc(INPUTS * sizeof(float)),
                                .scale = malloc(INPUTS * sizeof(float)), .cache = &l.x };
        ln__cache_describe(&l.x, N, in->mean, in->scale);
    }
    ck_assert_int_eq(ln__gate_learn(&gates, z, &task, l.pool, &reporter, &progress, &l.ctx, &l.err), LN_OK);
    for (size_t r = 0; r < N; r++) {
        float hidden;

        ck_assert_double_gt(sigmoid((double)z[r * EXITS]), 0.5);
        ck_assert_float_gt(ln__gate_answer(&gates, 0, ln__cache_row(&l.x, r), &hidden), 0.5f);
    }
    for (uint32_t e = 0; e < EXITS; e++) {
        free(task.input[e].mean);
        free(task.input[e].scale);
    }
    ln__gates_free(&gates, &l.ctx);
    learning_teardown(&l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wide");
    TCase *tc = tcase_create("wide");

    tcase_add_test(tc, answers_and_steps_equal_the_small_layer);
    tcase_add_test(tc, columns_are_described_in_place);
    tcase_add_test(tc, many_inputs_slow_the_rate);
    tcase_add_test(tc, nothing_leaks_between_folds);
    tcase_add_test(tc, rows_of_a_file_teach_the_same);
    tcase_add_test(tc, rows_for_heads_alone_teach);
    tcase_add_test(tc, a_rare_class_is_known_to_be_rare);
    tcase_add_test(tc, batches_of_one_row_and_of_all);
    tcase_add_test(tc, numbers_that_are_none_are_an_error);
    tcase_add_test(tc, gates_let_go_what_only_costs);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
