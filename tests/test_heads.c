#include "heads/answer_kernels.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"
#include "smoothed.h"

static ln__ctx plain_ctx(void)
{
    return ln__ctx_make(NULL, NULL, NULL);
}

static void fill_normal(float *v, size_t n, ln__rng *rng, double scale, double shift)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(ln__rng_normal(rng) * scale + shift);
}

static void ck_close(double found, double expected, double tolerance, const char *what)
{
    ck_assert_msg(fabs(found - expected) <= tolerance * (1.0 + fabs(expected)), "%s: found %.9g, expected %.9g", what,
                  found, expected);
}

/* ---- Linear layers ------------------------------------------------------------------- */

static void reference_answer(const ln__mlp *mlp, const float *x, double *hidden, double *y)
{
    int32_t into = mlp->hidden > 0 ? mlp->hidden : mlp->inputs;

    for (int32_t h = 0; h < mlp->hidden; h++) {
        double sum = ln__mlp_b1(mlp)[h];

        for (int32_t i = 0; i < mlp->inputs; i++)
            sum += (double)ln__mlp_w1(mlp)[(size_t)h * mlp->inputs + i] * x[i];
        hidden[h] = sum > 0 ? sum : 0;
    }
    for (int32_t o = 0; o < mlp->outputs; o++) {
        double sum = ln__mlp_b2(mlp)[o];

        for (int32_t i = 0; i < into; i++)
            sum += (double)ln__mlp_w2(mlp)[(size_t)o * into + i] * (mlp->hidden > 0 ? hidden[i] : (double)x[i]);
        y[o] = sum;
    }
}

static void check_answer(int32_t inputs, int32_t hidden, int32_t outputs, int64_t n, bool narrow)
{
    ln__ctx ctx = plain_ctx();
    ln__rng rng = ln__rng_make(7, (uint64_t)(inputs + hidden));
    ln__mlp mlp;
    float *x = malloc((size_t)(n * inputs) * sizeof *x), *h = malloc((size_t)(n * hidden + 1) * sizeof *h);
    float *y = malloc((size_t)(n * outputs) * sizeof *y), *alone = malloc((size_t)outputs * sizeof *alone);
    double *rh = malloc((size_t)(hidden + 1) * sizeof *rh), *ry = malloc((size_t)outputs * sizeof *ry);

    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, inputs, hidden, outputs, NULL), LN_OK);
    ln__mlp_init(&mlp, &rng);
    fill_normal(ln__mlp_b2(&mlp), (size_t)outputs, &rng, 1, 0);
    fill_normal(x, (size_t)(n * inputs), &rng, 1, 0.3);
    if (narrow) {
        ln__mlp_round(&mlp);
        ck_assert_int_eq(ln__mlp_narrow(&mlp, &ctx, NULL), LN_OK);
        ck_assert_ptr_nonnull(mlp.narrow);
    }
    ln__mlp_answer(&mlp, x, n, h, y);
    for (int64_t r = 0; r < n; r++) {
        reference_answer(&mlp, x + r * inputs, rh, ry);
        for (int32_t o = 0; o < outputs; o++)
            ck_close(y[r * outputs + o], ry[o], 2e-5, "answer");
        ln__mlp_answer(&mlp, x + r * inputs, 1, h, alone);
        ck_assert_msg(memcmp(alone, y + r * outputs, (size_t)outputs * sizeof *y) == 0,
                      "row %d of %d is not what it is alone", (int)r, (int)n);
    }
    ln__mlp_free(&mlp, &ctx);
    free(x); free(h); free(y); free(alone); free(rh); free(ry);
}

static float rounded(float value)
{
    ln__ctx ctx = plain_ctx();
    ln__mlp mlp;

    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 1, 0, 1, NULL), LN_OK);
    mlp.params[0] = value;
    ln__mlp_round(&mlp);
    value = mlp.params[0];
    ln__mlp_free(&mlp, &ctx);
    return value;
}

START_TEST(weights_are_rounded_to_the_nearest_bfloat16_and_to_even)
{
    static const float step = 1.0f / 128;   /* of bfloat16 from 1 to 2 */

    ck_assert(rounded(1.0f) == 1.0f && rounded(-0.75f) == -0.75f && rounded(0.0f) == 0.0f);
    ck_assert(rounded(1.0f + 0.49f * step) == 1.0f && rounded(1.0f + 0.51f * step) == 1.0f + step);
    ck_assert(rounded(1.0f + 0.5f * step) == 1.0f && rounded(1.0f + 1.5f * step) == 1.0f + 2 * step);
    ck_assert(rounded(-1.0f - 1.5f * step) == -1.0f - 2 * step);
}
END_TEST

START_TEST(weights_that_are_no_bfloat16_stay_floats)
{
    static const size_t at[] = { 0, 8, 33, 2 * 34 + 15, 2 * 34 + 31 };      /* of rows of 34: first and second halves of pairs */
    ln__ctx ctx = plain_ctx();
    ln__mlp mlp;

    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 34, 3, 1, NULL), LN_OK);
    for (size_t i = 0; i < LN__COUNT(at); i++) {
        ln__mlp_w1(&mlp)[at[i]] = 0.1f;
        ck_assert_int_eq(ln__mlp_narrow(&mlp, &ctx, NULL), LN_OK);
        ck_assert_msg(mlp.narrow == NULL, "weight %zu", at[i]);
        ln__mlp_w1(&mlp)[at[i]] = 0;
    }
    ln__mlp_w2(&mlp)[0] = 0.1f;
    ck_assert_int_eq(ln__mlp_narrow(&mlp, &ctx, NULL), LN_OK);
    ck_assert_ptr_nonnull(mlp.narrow);
    ln__mlp_free(&mlp, &ctx);
}
END_TEST

START_TEST(answers_are_those_of_the_formula_for_any_size)
{
    static const int32_t sizes[][3] = { { 1, 0, 1 }, { 15, 0, 3 }, { 16, 0, 4 }, { 33, 0, 10 }, { 56, 5, 3 }, { 100, 7, 5 },
                                        { 6144, 256, 10 }, { 31, 16, 1 }, { 1536, 256, 1000 } };

    for (size_t i = 0; i < LN__COUNT(sizes); i++)
        for (int64_t n = 1; n <= 9; n += 2)
            for (int narrow = 0; narrow < 2; narrow++)
                check_answer(sizes[i][0], sizes[i][1], sizes[i][2], n, narrow);
}
END_TEST

START_TEST(sizes_of_layers_are_checked)
{
    ln__ctx ctx = plain_ctx();
    ln__mlp mlp;
    ln_error err;
    size_t count;

    ck_assert(ln__mlp_param_count(3, 0, 2, &count) && count == 8);
    ck_assert(ln__mlp_param_count(3, 5, 2, &count) && count == 32);
    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 0, 0, 2, &err), LN_E_ARGUMENT);
    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 3, -1, 2, &err), LN_E_ARGUMENT);
    ck_assert_ptr_null(mlp.params);
    ln__mlp_free(&mlp, &ctx);
}
END_TEST

START_TEST(first_values_have_the_variance_that_keeps_signals)
{
    ln__ctx ctx = plain_ctx();
    ln__rng rng = ln__rng_make(3, 1);
    ln__mlp mlp;
    double sum = 0;

    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 200, 100, 10, NULL), LN_OK);
    ln__mlp_init(&mlp, &rng);
    for (int i = 0; i < 200 * 100; i++)
        sum += (double)ln__mlp_w1(&mlp)[i] * ln__mlp_w1(&mlp)[i];
    ck_close(sum / (200 * 100), 2.0 / 200, 0.001, "variance of w1");
    sum = 0;
    for (int i = 0; i < 1000; i++)
        sum += (double)ln__mlp_w2(&mlp)[i] * ln__mlp_w2(&mlp)[i];
    ck_close(sum / 1000, 1.0 / 100, 0.002, "variance of w2");
    for (int i = 0; i < 100; i++)
        ck_assert(ln__mlp_b1(&mlp)[i] == 0.0f);
    ln__mlp_free(&mlp, &ctx);
}
END_TEST

START_TEST(folding_gives_the_same_answers_from_plain_input)
{
    for (int32_t hidden = 0; hidden <= 9; hidden += 9) {
        ln__ctx ctx = plain_ctx();
        ln__rng rng = ln__rng_make(5, 2);
        ln__mlp mlp;
        float x[20], scaled[20], mean[20], scale[20], h[9], before[4], after[4];

        ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 20, hidden, 4, NULL), LN_OK);
        ln__mlp_init(&mlp, &rng);
        fill_normal(x, 20, &rng, 1, 0);
        fill_normal(mean, 20, &rng, 2, 1);
        for (int i = 0; i < 20; i++) {
            scale[i] = 0.1f + (float)ln__rng_double(&rng);
            scaled[i] = (x[i] - mean[i]) * scale[i];
        }
        ln__mlp_answer(&mlp, scaled, 1, h, before);
        ln__mlp_fold_input(&mlp, mean, scale);
        ln__mlp_answer(&mlp, x, 1, h, after);
        for (int i = 0; i < 4; i++)
            ck_close(after[i], before[i], 1e-5, "input folded");
        ln__mlp_fold_output(&mlp, 1.0f / 2.5f);
        ln__mlp_answer(&mlp, x, 1, h, after);
        for (int i = 0; i < 4; i++)
            ck_close(after[i], before[i] / 2.5, 1e-5, "temperature folded");
        ln__mlp_free(&mlp, &ctx);
    }
}
END_TEST

/* ---- Features ---------------------------------------------------------------------------- */

static size_t place(const ln__view *v, int64_t r, int64_t c, int64_t s)
{
    return (size_t)r * ln__view_row_floats(v) + (size_t)((c / v->block * v->spatial + s) * v->block + c % v->block);
}

static void check_pooled(const ln__view *v, const float *features)
{
    for (int64_t r = 0; r < v->rows; r++)
        for (int64_t c = 0; c < v->channels; c++) {
            const float *f = features + r * 3 * v->channels + c;
            double sum = 0, squares = 0, max = -INFINITY;

            for (int64_t s = 0; s < v->spatial; s++) {
                double x = v->data[place(v, r, c, s)];

                sum += x;
                max = x > max ? x : max;
            }
            sum /= (double)v->spatial;
            for (int64_t s = 0; s < v->spatial; s++)
                squares += pow(v->data[place(v, r, c, s)] - sum, 2);
            ck_close(f[0], sum, 1e-6, "mean");
            ck_close(f[v->channels], sqrt(squares / (double)v->spatial + 1e-6), 2e-6, "standard deviation");
            ck_assert_float_eq(f[2 * v->channels], (float)max);
        }
}

static void check_describe(int64_t rows, int64_t channels, int64_t spatial, int64_t block, double mean)
{
    ln__view v = { NULL, rows, channels, spatial, block };
    ln__head head = { .kind = LN_HEAD_FLATTEN, .cells = 1, .channels = channels, .spatial = spatial };
    size_t count = (size_t)rows * ln__view_row_floats(&v);
    float *features = malloc((size_t)(rows * 3 * channels * spatial) * sizeof *features);
    ln__rng rng = ln__rng_make(9, (uint64_t)(channels * 1000 + spatial));

    v.data = calloc(count, sizeof *v.data);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t s = 0; s < spatial; s++)
                v.data[place(&v, r, c, s)] = (float)(mean + (c % 3 == 2 ? 0.01 : 1.0) * ln__rng_normal(&rng));
    ln__head_describe(&head, &v, NULL, features);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t s = 0; s < spatial; s++)
                ck_assert_float_eq(features[(r * channels + c) * spatial + s], v.data[place(&v, r, c, s)]);
    head.kind = LN_HEAD_POOL;
    ln__head_describe(&head, &v, NULL, features);
    if (spatial == 1)
        ck_assert_int_eq(memcmp(features, v.data, sizeof *features), 0);
    else
        check_pooled(&v, features);
    free(v.data);
    free(features);
}

START_TEST(features_do_not_depend_on_the_layout)
{
    static const int64_t channels[] = { 1, 3, 5, 8, 13, 16, 24, 37, 64 }, spatial[] = { 1, 2, 15, 49, 300 };

    for (size_t c = 0; c < LN__COUNT(channels); c++)
        for (size_t s = 0; s < LN__COUNT(spatial); s++) {
            int64_t blocks[] = { 1, 8, 16, channels[c] };

            for (size_t b = 0; b < LN__COUNT(blocks); b++)
                check_describe(2, channels[c], spatial[s], blocks[b], 0.5);
        }
}
END_TEST

/* mean(x^2) - mean(x)^2 in float would give nothing but rounding here. */
START_TEST(deviation_survives_a_large_mean)
{
    check_describe(1, 20, 3136, 16, 100.0);
    check_describe(1, 20, 3136, 8, 100.0);
    check_describe(1, 20, 3136, 1, 100.0);
    check_describe(1, 20, 3136, 20, 100.0);
}
END_TEST

/* Every number of a grid by the long way. */
static void check_grid(int64_t channels, int64_t height, int64_t width, int32_t cells, int64_t block)
{
    ln__head head = { .kind = LN_HEAD_POOL, .cells = cells, .channels = channels, .height = height, .width = width,
                      .spatial = height * width };
    ln__view v = { NULL, 2, channels, height * width, block };
    size_t count = 2 * ln__view_row_floats(&v), features = (size_t)ln__head_features(&head);
    float *x = calloc(2 * features, sizeof *x);
    int64_t area = cells * cells, h = height / cells, w = width / cells;
    ln__rng rng = ln__rng_make(3, (uint64_t)(channels * 100 + cells));

    ck_assert_int_eq((int)features, (int)((2 * area + 1) * channels));
    v.data = calloc(count, sizeof *v.data);
    for (size_t i = 0; i < count; i++)
        v.data[i] = (float)(20 + ln__rng_normal(&rng));
    ln__head_describe(&head, &v, NULL, x);
    for (int64_t r = 0; r < 2; r++)
        for (int64_t c = 0; c < channels; c++) {
            double all = 0, squares = 0;

            for (int64_t cell = 0; cell < area; cell++) {
                double sum = 0, max = -INFINITY;

                for (int64_t p = 0; p < h * w; p++) {
                    int64_t at = (cell / cells * h + p / w) * width + cell % cells * w + p % w;
                    double value = v.data[place(&v, r, c, at)];

                    sum += value;
                    max = value > max ? value : max;
                    all += value;
                    squares += value * value;
                }
                ck_close(x[(size_t)r * features + (size_t)(c * area + cell)], sum / (double)(h * w), 1e-6, "cell mean");
                ck_assert_float_eq(x[(size_t)r * features + (size_t)((area + 1) * channels + c * area + cell)], (float)max);
            }
            all /= (double)v.spatial;
            ck_close(x[(size_t)r * features + (size_t)(area * channels + c)],
                     sqrt(squares / (double)v.spatial - all * all + 1e-6), 1e-5, "standard deviation");
        }
    free(v.data);
    free(x);
}

START_TEST(cells_do_not_depend_on_the_layout)
{
    static const int64_t channels[] = { 1, 3, 5, 8, 13, 16, 24, 37, 64 };

    for (size_t c = 0; c < LN__COUNT(channels); c++) {
        int64_t blocks[] = { 1, 4, 8, 16, channels[c] };

        for (size_t b = 0; b < LN__COUNT(blocks); b++) {
            check_grid(channels[c], 8, 8, 4, blocks[b]);
            check_grid(channels[c], 6, 27, 3, blocks[b]);
        }
    }
    ck_assert_int_eq(ln__head_cells(16, 32, 32, 0), 4);
    ck_assert_int_eq(ln__head_cells(16, 14, 28, 0), 2);
    ck_assert_int_eq(ln__head_cells(16, 7, 7, 0), 1);
    ck_assert_int_eq(ln__head_cells(65, 32, 32, 0), 1);
    ck_assert_int_eq(ln__head_cells(512, 14, 14, 8), 7);
}
END_TEST

/* Every covariance by the long way. */
static void check_covariances(int64_t channels, int64_t height, int64_t width, int32_t cells, int64_t block)
{
    ln__head head = { .kind = LN_HEAD_POOL, .cells = cells, .channels = channels, .height = height, .width = width,
                      .spatial = height * width, .covariance = true };
    ln__view v = { NULL, 2, channels, height * width, block };
    size_t count = 2 * ln__view_row_floats(&v), features = (size_t)ln__head_features(&head), pooled = features - (size_t)ln__head_covariances(&head);
    float *x = calloc(2 * features, sizeof *x), *plain = calloc(2 * pooled, sizeof *x);
    float *scratch = malloc(ln__head_scratch(&head) * sizeof *scratch);
    ln__rng rng = ln__rng_make(5, (uint64_t)(channels * 100 + cells));

    ck_assert_int_eq((int)ln__head_covariances(&head), (int)(channels * (channels - 1) / 2));
    v.data = calloc(count, sizeof *v.data);
    for (size_t i = 0; i < count; i++)
        v.data[i] = (float)(5 + ln__rng_normal(&rng)) + (i > 0 ? 0.5f * v.data[i - 1] : 0);
    memset(scratch, 0xff, ln__head_scratch(&head) * sizeof *scratch);       /* NaN where it is read before it is written */
    ln__head_describe(&head, &v, scratch, x);
    head.covariance = false;
    ln__head_describe(&head, &v, scratch, plain);
    for (int64_t r = 0; r < 2; r++) {
        const float *pair = x + (size_t)r * features + pooled;

        ck_assert_int_eq(memcmp(x + (size_t)r * features, plain + (size_t)r * pooled, pooled * sizeof *x), 0);
        for (int64_t c = 0; c < channels; c++)
            for (int64_t d = c + 1; d < channels; d++, pair++) {
                double a = 0, b = 0, product = 0;

                for (int64_t s = 0; s < v.spatial; s++) {
                    a += v.data[place(&v, r, c, s)] / (double)v.spatial;
                    b += v.data[place(&v, r, d, s)] / (double)v.spatial;
                }
                for (int64_t s = 0; s < v.spatial; s++)
                    product += (v.data[place(&v, r, c, s)] - a) * (v.data[place(&v, r, d, s)] - b) / (double)v.spatial;
                ck_assert_double_eq_tol((double)*pair * fabs((double)*pair), product * fabs(product) / (fabs(product) + 1e-6), 2e-5);
            }
    }
    free(v.data);
    free(x);
    free(plain);
    free(scratch);
}

START_TEST(covariances_do_not_depend_on_the_layout)
{
    static const int64_t channels[] = { 2, 3, 5, 8, 13, 16, 24, 37, 64 };

    for (size_t c = 0; c < LN__COUNT(channels); c++) {
        int64_t blocks[] = { 1, 4, 8, 16, channels[c] };

        for (size_t b = 0; b < LN__COUNT(blocks); b++) {
            check_covariances(channels[c], 12, 12, 4, blocks[b]);
            check_covariances(channels[c], 1, 7, 1, blocks[b]);
            check_covariances(channels[c], 8, 8, 1, blocks[b]);
        }
    }
}
END_TEST

/* ---- Kernels, those too that this CPU would not choose -------------------------------- */

enum { CHANNELS = 32, HEIGHT = 5, WIDTH = 37, PIXELS = HEIGHT * WIDTH };

static void check_sums(const ln__sums *sums, int64_t i, const float *x, int64_t stride, int64_t width, float shift)
{
    double sum = 0, squares = 0;
    float max = -INFINITY;

    for (int64_t p = 0; p < PIXELS; p++) {
        float v = x[(p / width * WIDTH + p % width) * stride];

        sum += (double)(v - shift);
        squares += (double)((v - shift) * (v - shift));
        max = v > max ? v : max;
    }
    ck_close(sums->sum[i], sum, 1e-4, "sum");
    ck_close(sums->squares[i], squares, 1e-5, "sum of squares");
    ck_assert_float_eq(sums->max[i], max);
}

static void check_products(const ln__head_kernels *k, const float *x)
{
    static float centred[PIXELS * CHANNELS], squares[2 * CHANNELS * CHANNELS];
    float mean[CHANNELS];
    int64_t lanes = k->lanes, at = 0;

    for (int64_t c = 0; c < CHANNELS; c++)
        mean[c] = 0.25f * (float)c;
    memset(squares, 0, sizeof squares);
    k->centre(x, CHANNELS, PIXELS, CHANNELS - 1, mean, CHANNELS, centred);
    k->products(centred, CHANNELS, PIXELS, (uintptr_t)x, squares);
    k->roots(squares, CHANNELS * CHANNELS, 0.5f, 1e-6f);
    for (int64_t r = 0; r < CHANNELS; r += lanes)
        for (int64_t c = r; c < CHANNELS; c += lanes)
            for (int64_t i = 0; i < lanes * lanes; i++, at++) {
                int64_t a = r + i / lanes, b = c + i % lanes;
                double sum = 0;

                for (int64_t p = 0; p < PIXELS && a < CHANNELS - 1 && b < CHANNELS - 1; p++)
                    sum += ((double)x[p * CHANNELS + a] - (double)mean[a]) * ((double)x[p * CHANNELS + b] - (double)mean[b]);
                ck_close(squares[at], 0.5 * sum / sqrt(0.5 * fabs(sum) + 1e-6), 1e-4, "product");
            }
}

static void check_layer(const ln__head_kernels *k, const float *x)
{
    ln__ctx ctx = plain_ctx();
    ln__rng rng = ln__rng_make(11, 0);
    ln__mlp mlp;
    float y[3 * 13], floats[3 * 13];

    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 75, 0, 13, NULL), LN_OK);
    ln__mlp_init(&mlp, &rng);
    ln__mlp_round(&mlp);
    ck_assert_int_eq(ln__mlp_narrow(&mlp, &ctx, NULL), LN_OK);
    ln__layer layer = { ln__mlp_w2(&mlp), ln__mlp_b2(&mlp), x, mlp.narrow, y, 3, 75, 13, false };
    k->layer(&layer);
    layer.narrow = NULL;
    layer.y = floats;
    k->layer(&layer);
    for (int i = 0; i < 3 * 13; i++) {
        double sum = 0;

        for (int t = 0; t < 75; t++)
            sum += (double)ln__mlp_w2(&mlp)[i % 13 * 75 + t] * (double)x[i / 13 * 75 + t];
        ck_close(y[i], sum, 2e-5, "output");
        ck_close(floats[i], sum, 2e-5, "output of floats");
    }
    ln__mlp_free(&mlp, &ctx);
}

START_TEST(kernels_of_every_kind_are_right)
{
    static float x[PIXELS * CHANNELS];
    ln__rng rng = ln__rng_make(10, 0);

    fill_normal(x, PIXELS * CHANNELS, &rng, 1, 3);
    ck_assert_ptr_nonnull(ln__head_kernels_of(LN__KINDS - 1));
    for (int kind = 0; kind < LN__KINDS; kind++) {
        const ln__head_kernels *k = ln__head_kernels_of(kind);
        ln__sums sums;

        if (!k)
            continue;
        k->cell(x, CHANNELS, WIDTH * CHANNELS, HEIGHT, WIDTH, x, &sums);
        for (int64_t i = 0; i < k->lanes; i++)
            check_sums(&sums, i, x + i, CHANNELS, WIDTH, x[i]);
        k->line(x, WIDTH, HEIGHT, WIDTH, x[0], &sums);
        check_sums(&sums, 0, x, 1, WIDTH, x[0]);
        check_products(k, x);
        check_layer(k, x);
    }
}
END_TEST

START_TEST(costs_count_what_a_row_needs)
{
    ln__head head = { LN_HEAD_POOL, 1, 64, 7, 7, 49, { 192, 32, 10, NULL, NULL }, { 0 }, 0, false };
    ln__head one_pixel = { LN_HEAD_POOL, 1, 64, 1, 1, 1, { 64, 32, 10, NULL, NULL }, { 0 }, 0, false };
    ln__head cells = { LN_HEAD_POOL, 4, 16, 32, 32, 1024, { 16 * 33, 32, 10, NULL, NULL }, { 0 }, 0, false };
    ln__cost cost = ln__head_cost(&head);

    ck_assert_int_eq((int)ln__head_features(&head), 192);
    ck_assert_int_eq((int)ln__head_features(&one_pixel), 64);
    ck_assert_int_eq((int)ln__head_features(&cells), 16 * 33);
    ck_assert_uint_eq(cost.params, 192 * 32 + 32 + 32 * 10 + 10);
    ck_assert_uint_eq(cost.macs, 192 * 32 + 32 * 10 + 64 * 49);
    head.covariance = true;
    cost = ln__head_cost(&head);
    ck_assert_uint_eq(cost.macs, 192 * 32 + 32 * 10 + (64 + 64 * 63 / 2) * 49);
    head.kind = LN_HEAD_FLATTEN;
    ck_assert_int_eq((int)ln__head_features(&head), 64 * 49);
    head.mlp = (ln__mlp){ .inputs = 64 * 49, .outputs = 10 };
    cost = ln__head_cost(&head);
    ck_assert_uint_eq(cost.params, 64 * 49 * 10 + 10);
    ck_assert_uint_eq(cost.macs, 64 * 49 * 10);
}
END_TEST

/* ---- Cross entropy --------------------------------------------------------------------------- */

static double reference_loss(const double *z, const int32_t *labels, int64_t n, int32_t classes, double smooth)
{
    double total = 0;

    for (int64_t i = 0; i < n; i++) {
        double sum = 0, max = -INFINITY;

        for (int32_t c = 0; c < classes; c++)
            max = fmax(max, z[i * classes + c]);
        for (int32_t c = 0; c < classes; c++)
            sum += exp(z[i * classes + c] - max);
        for (int32_t c = 0; c < classes; c++)
            total -= ((c == labels[i] ? 1 - smooth : 0) + smooth / classes) * (z[i * classes + c] - max - log(sum));
    }
    return total / (double)n;
}

START_TEST(cross_entropy_and_its_gradient_are_right)
{
    enum { N = 6, C = 7 };
    static const float smoothing[] = { 0.0f, 0.1f, 0.5f };
    ln__rng rng = ln__rng_make(11, 0);
    float z[N * C], dz[N * C], in_place[N * C];
    double wide[N * C];
    int32_t labels[N];

    fill_normal(z, N * C, &rng, 4, 0);
    z[0] = 90.0f;       /* saturated, right and wrong */
    z[C] = 90.0f;
    for (int i = 0; i < N; i++)
        labels[i] = (int32_t)ln__rng_below(&rng, C);
    labels[0] = 0;
    labels[1] = 3;
    for (size_t s = 0; s < LN__COUNT(smoothing); s++) {
        double loss = smoothed_loss(z, labels, N, C, smoothing[s], dz);

        for (int i = 0; i < N * C; i++)
            wide[i] = z[i];
        ck_close(loss, reference_loss(wide, labels, N, C, smoothing[s]), 1e-6, "loss");
        if (smoothing[s] == 0)
            ck_close(ln__cross_entropy(z, labels, N, C), loss, 1e-6, "loss of labels");
        memcpy(in_place, z, sizeof z);
        ck_close(smoothed_loss(in_place, labels, N, C, smoothing[s], in_place), loss, 0, "loss whose gradient takes the place of logits");
        ck_assert_mem_eq(in_place, dz, sizeof dz);
        for (int i = 0; i < N * C; i++) {
            double up, down;

            wide[i] = z[i] + 1e-5;
            up = reference_loss(wide, labels, N, C, smoothing[s]);
            wide[i] = z[i] - 1e-5;
            down = reference_loss(wide, labels, N, C, smoothing[s]);
            wide[i] = z[i];
            ck_close(dz[i], (up - down) / 2e-5, 1e-7, "gradient");
        }
    }
}
END_TEST

START_TEST(softmax_is_stable)
{
    float z[6] = { 1000.0f, 999.0f, -1000.0f, -5.0f, -5.0f, -5.0f }, p[6];

    ln__softmax_rows(z, 2, 3, p);
    ck_close(p[0], 1 / (1 + exp(-1)), 1e-6, "p");
    ck_close(p[1], exp(-1) / (1 + exp(-1)), 1e-6, "p");
    ck_assert_float_eq(p[2], 0.0f);
    for (int i = 3; i < 6; i++)
        ck_close(p[i], 1.0 / 3, 1e-6, "p");
}
END_TEST

/* Labels drawn from softmax(z / 2.2) want that temperature back. */
START_TEST(temperature_is_found_again)
{
    enum { N = 20000, C = 5 };
    static const double truth[] = { 0.5, 1.0, 2.2 };
    float *z = malloc(N * C * sizeof *z), p[C], cooled[C];
    int32_t *labels = malloc(N * sizeof *labels);

    for (size_t k = 0; k < LN__COUNT(truth); k++) {
        ln__rng rng = ln__rng_make(13, k);
        double t, at[3] = { 0, 0, 0 };

        fill_normal(z, N * C, &rng, 2, 0);
        for (int i = 0; i < N; i++) {
            double u = ln__rng_double(&rng);

            for (int c = 0; c < C; c++)
                cooled[c] = z[i * C + c] / (float)truth[k];
            ln__softmax_rows(cooled, 1, C, p);
            labels[i] = 0;
            while (labels[i] < C - 1 && (u -= p[labels[i]]) > 0)
                labels[i]++;
        }
        t = ln__fit_temperature(z, labels, N, C, NULL);
        ck_assert_msg(fabs(t / truth[k] - 1) < 0.05, "found %g, expected %g", t, truth[k]);
        for (int side = 0; side < 3; side++)
            for (int i = 0; i < N; i++) {
                for (int c = 0; c < C; c++)
                    cooled[c] = (float)(z[i * C + c] / (t * (0.99 + 0.01 * side)));
                at[side] += ln__cross_entropy(cooled, labels + i, 1, C);
            }
        ck_assert(at[1] < at[0] && at[1] < at[2]);
    }
    ck_assert_double_eq(ln__fit_temperature(z, labels, 0, C, NULL), 1.0);
    free(z);
    free(labels);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heads");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 120);
    tcase_add_test(core, answers_are_those_of_the_formula_for_any_size);
    tcase_add_test(core, weights_are_rounded_to_the_nearest_bfloat16_and_to_even);
    tcase_add_test(core, weights_that_are_no_bfloat16_stay_floats);
    tcase_add_test(core, sizes_of_layers_are_checked);
    tcase_add_test(core, first_values_have_the_variance_that_keeps_signals);
    tcase_add_test(core, folding_gives_the_same_answers_from_plain_input);
    tcase_add_test(core, features_do_not_depend_on_the_layout);
    tcase_add_test(core, deviation_survives_a_large_mean);
    tcase_add_test(core, cells_do_not_depend_on_the_layout);
    tcase_add_test(core, covariances_do_not_depend_on_the_layout);
    tcase_add_test(core, kernels_of_every_kind_are_right);
    tcase_add_test(core, costs_count_what_a_row_needs);
    tcase_add_test(core, cross_entropy_and_its_gradient_are_right);
    tcase_add_test(core, softmax_is_stable);
    tcase_add_test(core, temperature_is_found_again);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
