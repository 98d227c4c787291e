/* What each operator computes. Every input is a constant, so shape inference
 * computes the results. Numbers without a command in a comment are by hand. */
#include "graph_build.h"

#include <math.h>

static ln__ctx ctx;
static ln__graph *g;

static void setup(void)
{
    ctx = ln__ctx_make(NULL, NULL, NULL);
    g = build_new(&ctx, 1 << 20);
}

static void teardown(void)
{
    ln__graph_free(g);
}

#define EXPECT(v, dims, tolerance, ...) build_expect(g, (v), dims, F32S(__VA_ARGS__), (tolerance))
#define SCALAR (const int64_t[]){ 0 }, 0

static int32_t one_to(int64_t n, const int64_t *dims, int32_t rank)
{
    float data[256];

    for (int64_t i = 0; i < n; i++)
        data[i] = (float)(i + 1);
    return build_f32(g, data, dims, rank);
}

static int32_t unary(ln__unary kind, float a, float b, int32_t x)
{
    ln__node *n = NODE(g, UNARY, x);

    n->u.unary.kind = kind;
    n->u.unary.a = a;
    n->u.unary.b = b;
    return n->out[0];
}

/* Against libm in double over the range that matters and its ends. */
static void against(ln__unary kind, double (*want)(double), float from, float to, double relative, double absolute)
{
    enum { N = 100003 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);

    for (int i = 0; i < N; i++)
        x[i] = from + (to - from) * (float)i / (N - 1);
    ln__unary_apply(kind, 1.0f, 0.0f, x, y, N);
    for (int i = 0; i < N; i++) {
        double w = want(x[i]);
        ck_assert_msg(fabs(y[i] - w) <= relative * fabs(w) + absolute, "%d(%.9g) = %.9g, want %.9g", (int)kind,
                      (double)x[i], (double)y[i], w);
    }
    free(x);
    free(y);
}

static double sigmoid_d(double x) { return 1.0 / (1.0 + exp(-x)); }
static double swish_d(double x) { return x / (1.0 + exp(-x)); }
static double gelu_d(double x) { return 0.5 * x * (1.0 + erf(x / sqrt(2.0))); }
static double softplus_d(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }
static double elu_d(double x) { return x > 0.0 ? x : expm1(x); }

START_TEST(smooth_functions_are_accurate)
{
    float ends[] = { 200.0f, -200.0f, NAN, INFINITY, -INFINITY }, y[5];

    against(LN__EXP, exp, -87.0f, 88.7f, 3e-7, 0.0);
    against(LN__EXP, exp, -103.0f, -87.0f, 1e-2, 2e-45);
    against(LN__SIGMOID, sigmoid_d, -80.0f, 80.0f, 5e-7, 0.0);
    against(LN__SWISH, swish_d, -80.0f, 80.0f, 6e-7, 0.0);
    against(LN__TANH, tanh, -20.0f, 20.0f, 4e-7, 0.0);
    against(LN__ERF, erf, -6.0f, 6.0f, 5e-7, 0.0);
    against(LN__GELU, gelu_d, -8.0f, 8.0f, 6e-7, 1e-6);
    against(LN__SOFTPLUS, softplus_d, -60.0f, 60.0f, 6e-7, 0.0);
    against(LN__ELU, elu_d, -30.0f, 30.0f, 3e-7, 2e-7);
    ln__unary_apply(LN__EXP, 0.0f, 0.0f, ends, y, 5);
    ck_assert(isinf(y[0]) && y[1] == 0.0f && isnan(y[2]) && isinf(y[3]) && y[4] == 0.0f);
    ln__unary_apply(LN__SIGMOID, 0.0f, 0.0f, ends, y, 5);
    ck_assert(y[0] == 1.0f && y[1] == 0.0f && isnan(y[2]) && y[3] == 1.0f && y[4] == 0.0f);
    ln__unary_apply(LN__TANH, 0.0f, 0.0f, ends, ends, 5);     /* in place */
    ck_assert(ends[0] == 1.0f && ends[1] == -1.0f && isnan(ends[2]) && ends[3] == 1.0f && ends[4] == -1.0f);
}
END_TEST

START_TEST(plain_functions)
{
    int32_t x = build_f32(g, F32S(-4, -0.5f, 0, 2.25f), DIMS(4));

    EXPECT(unary(LN__RELU, 0, 0, x), DIMS(4), 0, 0, 0, 0, 2.25f);
    EXPECT(unary(LN__LEAKY_RELU, 0.5f, 0, x), DIMS(4), 0, -2, -0.25f, 0, 2.25f);
    EXPECT(unary(LN__CLIP, -1, 1, x), DIMS(4), 0, -1, -0.5f, 0, 1);
    EXPECT(unary(LN__HARD_SIGMOID, 0.2f, 0.5f, x), DIMS(4), 1e-7f, 0, 0.4f, 0.5f, 0.95f);
    EXPECT(unary(LN__HARD_SWISH, 0, 0, x), DIMS(4), 1e-6f, 0, -0.5f * 2.5f / 6, 0, 2.25f * 5.25f / 6);
    EXPECT(unary(LN__SQRT, 0, 0, x), DIMS(4), 0, NAN, NAN, 0, 1.5f);
    EXPECT(unary(LN__ABS, 0, 0, x), DIMS(4), 0, 4, 0.5f, 0, 2.25f);
    EXPECT(unary(LN__NEG, 0, 0, x), DIMS(4), 0, 4, 0.5f, 0, -2.25f);
    EXPECT(unary(LN__RECIPROCAL, 0, 0, x), DIMS(4), 1e-7f, -0.25f, -2, INFINITY, 1 / 2.25f);
    EXPECT(unary(LN__FLOOR, 0, 0, x), DIMS(4), 0, -4, -1, 0, 2);
    EXPECT(unary(LN__CEIL, 0, 0, x), DIMS(4), 0, -4, 0, 0, 3);
    EXPECT(unary(LN__LOG, 0, 0, x), DIMS(4), 1e-6f, NAN, NAN, -INFINITY, 0.8109302f);
    EXPECT(unary(LN__NEG, 0, 0, build_i64(g, I64S(3, -2), 2)), DIMS(2), 0, -3, 2);
    EXPECT(unary(LN__ABS, 0, 0, build_i64(g, I64S(3, -2), 2)), DIMS(2), 0, 3, 2);
}
END_TEST

static int32_t binary(ln__binary kind, int32_t a, int32_t b)
{
    ln__node *n = NODE(g, BINARY, a, b);

    n->u.binary.kind = kind;
    return n->out[0];
}

START_TEST(binaries_broadcast)
{
    int32_t x = one_to(6, DIMS(2, 3)), row = build_f32(g, F32S(10, 20, 30), DIMS(3));
    int32_t column = build_f32(g, F32S(10, 20), DIMS(2, 1)), one = build_f32(g, F32S(2), SCALAR);
    ln__node *n;

    EXPECT(binary(LN__ADD, x, row), DIMS(2, 3), 0, 11, 22, 33, 14, 25, 36);
    EXPECT(binary(LN__SUB, row, x), DIMS(2, 3), 0, 9, 18, 27, 6, 15, 24);
    EXPECT(binary(LN__MUL, column, x), DIMS(2, 3), 0, 10, 20, 30, 80, 100, 120);
    EXPECT(binary(LN__DIV, x, one), DIMS(2, 3), 0, 0.5f, 1, 1.5f, 2, 2.5f, 3);
    EXPECT(binary(LN__POW, x, one), DIMS(2, 3), 0, 1, 4, 9, 16, 25, 36);
    EXPECT(binary(LN__POW, one, x), DIMS(2, 3), 1e-5f, 2, 4, 8, 16, 32, 64);
    EXPECT(binary(LN__ADD, column, row), DIMS(2, 3), 0, 20, 30, 40, 30, 40, 50);
    EXPECT(binary(LN__MAX_OF, x, build_f32(g, F32S(3.5f), DIMS(1))), DIMS(2, 3), 0, 3.5f, 3.5f, 3.5f, 4, 5, 6);
    EXPECT(binary(LN__MIN_OF, x, build_f32(g, F32S(3.5f), DIMS(1))), DIMS(2, 3), 0, 1, 2, 3, 3.5f, 3.5f, 3.5f);
    EXPECT(binary(LN__PRELU, build_f32(g, F32S(-1, -2, 3, -4), DIMS(2, 2)), build_f32(g, F32S(2, 3), DIMS(2))),
           DIMS(2, 2), 0, -2, -6, 3, -12);
    n = &g->nodes[g->values[binary(LN__ADD, x, build_f32(g, F32S(10, 20), DIMS(2)))].producer];
    n->u.binary.legacy_broadcast = true;
    EXPECT(n->out[0], DIMS(2, 3), 0, 11, 12, 13, 24, 25, 26);
    n = &g->nodes[g->values[binary(LN__ADD, x, row)].producer];
    n->u.binary.legacy_broadcast = true;
    n->u.binary.axis = -1;
    EXPECT(n->out[0], DIMS(2, 3), 0, 11, 22, 33, 14, 25, 36);
    EXPECT(binary(LN__DIV, build_i64(g, I64S(7, -7), 2), build_i64(g, I64S(2), 1)), DIMS(2), 0, 3, -3);
    EXPECT(binary(LN__MUL, build_i64(g, I64S(7, -7), 2), build_i64(g, I64S(2), 1)), DIMS(2), 0, 14, -14);
}
END_TEST

static int32_t reduce(ln__reduce kind, int32_t x, bool keep, int32_t n_axes, int64_t a, int64_t b)
{
    ln__node *n = NODE(g, REDUCE, x);

    n->u.reduce.kind = kind;
    n->u.reduce.keepdims = keep;
    n->u.reduce.axes[0] = a;
    n->u.reduce.axes[1] = b;
    n->u.reduce.n_axes = n_axes;
    n->u.reduce.all_if_empty = true;
    return n->out[0];
}

START_TEST(reductions)
{
    int32_t x = one_to(12, DIMS(2, 3, 2)), empty = build_f32(g, F32S(0), DIMS(2, 0)), wide = one_to(100, DIMS(100));

    EXPECT(reduce(LN__SUM, x, false, 1, 1, 0), DIMS(2, 2), 0, 9, 12, 27, 30);
    EXPECT(reduce(LN__MEAN, x, true, 2, 0, -1), DIMS(1, 3, 1), 0, 4.5f, 6.5f, 8.5f);
    EXPECT(reduce(LN__MAX, x, false, 1, 0, 0), DIMS(3, 2), 0, 7, 8, 9, 10, 11, 12);
    EXPECT(reduce(LN__MIN, x, false, 1, 2, 0), DIMS(2, 3), 0, 1, 3, 5, 7, 9, 11);
    EXPECT(reduce(LN__PROD, x, false, 2, 1, 2), DIMS(2), 0, 720, 665280);
    EXPECT(reduce(LN__L1, unary(LN__NEG, 0, 0, x), false, 2, 1, 2), DIMS(2), 0, 21, 57);
    EXPECT(reduce(LN__SUM_SQUARE, x, false, 2, 1, 2), DIMS(2), 0, 91, 559);
    EXPECT(reduce(LN__L2, x, false, 2, 1, 2), DIMS(2), 1e-5f, sqrtf(91), sqrtf(559));
    EXPECT(reduce(LN__LOG_SUM, x, false, 2, 1, 2), DIMS(2), 1e-6f, logf(21), logf(57));
    EXPECT(reduce(LN__LOG_SUM_EXP, x, false, 1, 2, 0), DIMS(2, 3), 1e-5f, 2.313262f, 4.313262f, 6.313262f, 8.313262f,
           10.313262f, 12.313262f);
    EXPECT(reduce(LN__LOG_SUM_EXP, build_f32(g, F32S(1000, 1000), DIMS(2)), false, 1, 0, 0),
           SCALAR, 1e-3f, 1000.693147f);
    EXPECT(reduce(LN__SUM, wide, true, 0, 0, 0), DIMS(1), 0, 5050);
    EXPECT(reduce(LN__MAX, wide, true, 0, 0, 0), DIMS(1), 0, 100);
    EXPECT(reduce(LN__SUM, empty, false, 1, 1, 0), DIMS(2), 0, 0, 0);
    EXPECT(reduce(LN__MAX, empty, false, 1, 1, 0), DIMS(2), 0, -INFINITY, -INFINITY);
    EXPECT(reduce(LN__PROD, build_i64(g, I64S(2, 3, 7), 3), true, 0, 0, 0), DIMS(1), 0, 42);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("graph eval");
    TCase *c = tcase_create("operators");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, smooth_functions_are_accurate);
    tcase_add_test(c, plain_functions);
    tcase_add_test(c, binaries_broadcast);
    tcase_add_test(c, reductions);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());

    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
