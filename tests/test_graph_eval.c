/* What each operator computes. Every input is a constant, so shape inference
 * computes the results. Numbers without a command in a comment are by hand. */
#include "graph_build.h"

#include <math.h>

#include "run_suite.h"

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
    enum { N = 20011 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    double worst = 0.0, at = 0.0;

    for (int i = 0; i < N; i++)
        x[i] = from + (to - from) * (float)i / (N - 1);
    ln__unary_apply(kind, 1.0f, 0.0f, x, y, N);
    for (int i = 0; i < N; i++) {
        double w = want(x[i]), excess = fabs(y[i] - w) - relative * fabs(w) - absolute;
        if (!(excess <= worst)) {
            worst = excess;
            at = x[i];
        }
    }
    ck_assert_msg(worst == 0.0, "function %d is wrong at %.9g", (int)kind, at);
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

START_TEST(softmax_and_norms)
{
    int32_t x = build_f32(g, F32S(0, 1, 2, 3), DIMS(1, 2, 2));
    ln__node *n = NODE(g, SOFTMAX, x);

    n->u.softmax.axis = -1;
    EXPECT(n->out[0], DIMS(1, 2, 2), 1e-6f, 0.2689414f, 0.7310586f, 0.2689414f, 0.7310586f);
    n = NODE(g, SOFTMAX, x);
    n->u.softmax.axis = 1;
    EXPECT(n->out[0], DIMS(1, 2, 2), 1e-6f, 0.1192029f, 0.1192029f, 0.8807971f, 0.8807971f);
    n = NODE(g, SOFTMAX, x);
    n->u.softmax.axis = 1;
    n->u.softmax.flattened = n->u.softmax.log = true;
    EXPECT(n->out[0], DIMS(1, 2, 2), 1e-6f, -3.4401897f, -2.4401897f, -1.4401897f, -0.4401897f);
    n = NODE(g, NORM, x, build_f32(g, F32S(1, 2), DIMS(2)), build_f32(g, F32S(0, 10), DIMS(2)));
    n->u.norm.kind = LN__NORM_LAYER;
    n->u.norm.axis = -1;
    EXPECT(n->out[0], DIMS(1, 2, 2), 1e-5f, -1, 12, -1, 12);
    n = NODE(g, NORM, x, build_f32(g, F32S(1, 2), DIMS(2)), build_f32(g, F32S(0, 10), DIMS(2)));
    n->u.norm.kind = LN__NORM_INSTANCE;
    EXPECT(n->out[0], DIMS(1, 2, 2), 1e-5f, -1, 1, 8, 12);
    n = NODE(g, NORM, x, build_f32(g, F32S(2), DIMS(1)));
    n->u.norm.kind = LN__NORM_GROUP;
    n->u.norm.groups = 1;
    n->u.norm.scale_per_group = true;
    EXPECT(n->out[0], DIMS(1, 2, 2), 1e-5f, -2.6832816f, -0.8944272f, 0.8944272f, 2.6832816f);
    n = NODE(g, LRN, build_f32(g, F32S(1, 2, 3), DIMS(1, 3, 1)));
    n->u.lrn.size = 3;
    n->u.lrn.alpha = 3.0f;
    n->u.lrn.beta = 1.0f;
    n->u.lrn.bias = 1.0f;
    EXPECT(n->out[0], DIMS(1, 3, 1), 1e-6f, 1.0f / 6, 2.0f / 15, 3.0f / 14);
    n = NODE(g, AFFINE, x, build_f32(g, F32S(1, 2), DIMS(2)), build_f32(g, F32S(0, 1), DIMS(2)));
    EXPECT(n->out[0], DIMS(1, 2, 2), 0, 0, 1, 5, 7);
}
END_TEST

static ln__node *pool(int32_t x, bool average, int64_t kernel, int64_t stride, int64_t begin, int64_t end)
{
    ln__node *n = NODE(g, POOL, x);

    n->u.pool.average = average;
    n->u.pool.window = (ln__window){ .spatial = 1, .kernel = { kernel }, .stride = { stride }, .dilation = { 1 },
                                     .pad_begin = { begin }, .pad_end = { end } };
    return n;
}

START_TEST(pools)
{
    int32_t x = one_to(6, DIMS(1, 1, 6));
    ln__node *n = pool(x, false, 3, 2, 0, 0);

    EXPECT(n->out[0], DIMS(1, 1, 2), 0, 3, 5);
    n = pool(x, false, 3, 2, 0, 0);
    n->u.pool.window.ceil_mode = true;
    EXPECT(n->out[0], DIMS(1, 1, 3), 0, 3, 5, 6);
    n = pool(x, true, 3, 2, 1, 1);          /* with ceil_mode the last window passes the padding's end */
    n->u.pool.window.ceil_mode = n->u.pool.count_include_pad = true;
    EXPECT(n->out[0], DIMS(1, 1, 4), 1e-6f, 1, 3, 5, 3);
    n = pool(x, true, 3, 2, 1, 1);
    EXPECT(n->out[0], DIMS(1, 1, 3), 1e-6f, 1.5f, 3, 5);
    n = pool(x, false, 2, 1, 0, 0);
    n->u.pool.window.dilation[0] = 3;
    EXPECT(n->out[0], DIMS(1, 1, 3), 0, 4, 5, 6);
    n = pool(x, true, 2, 1, 0, 0);
    n->u.pool.window.auto_pad = LN__PAD_SAME_UPPER;
    EXPECT(n->out[0], DIMS(1, 1, 6), 1e-6f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6);
    n = pool(x, true, 2, 1, 0, 0);
    n->u.pool.window.auto_pad = LN__PAD_SAME_LOWER;
    EXPECT(n->out[0], DIMS(1, 1, 6), 1e-6f, 1, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f);
    n = NODE(g, POOL, one_to(8, DIMS(1, 2, 2, 2)));     /* global */
    n->u.pool.average = true;
    EXPECT(n->out[0], DIMS(1, 2, 1, 1), 0, 2.5f, 6.5f);
}
END_TEST

START_TEST(matrix_products)
{
    int32_t a = one_to(6, DIMS(2, 3)), b = one_to(6, DIMS(3, 2)), v = one_to(3, DIMS(3));
    ln__node *n = NODE(g, MATMUL, a, b, build_f32(g, F32S(10, 20), DIMS(2)));

    n->u.matmul.alpha = 2.0f;
    n->u.matmul.beta = 0.5f;
    EXPECT(n->out[0], DIMS(2, 2), 0, 49, 66, 103, 138);
    n = NODE(g, MATMUL, a, a);
    n->u.matmul.alpha = 1.0f;
    n->u.matmul.trans_a = true;
    EXPECT(n->out[0], DIMS(3, 3), 0, 17, 22, 27, 22, 29, 36, 27, 36, 45);
    n = NODE(g, MATMUL, a, a);
    n->u.matmul.alpha = 1.0f;
    n->u.matmul.trans_b = true;
    EXPECT(n->out[0], DIMS(2, 2), 0, 14, 32, 32, 77);
    n = NODE(g, MATMUL, a, v);
    n->u.matmul.alpha = 1.0f;
    EXPECT(n->out[0], DIMS(2), 0, 14, 32);
    n = NODE(g, MATMUL, v, v);
    n->u.matmul.alpha = 1.0f;
    EXPECT(n->out[0], SCALAR, 0, 14);
    n = NODE(g, MATMUL, one_to(4, DIMS(2, 1, 1, 2)), one_to(6, DIMS(3, 2, 1)));
    n->u.matmul.alpha = 1.0f;
    EXPECT(n->out[0], DIMS(2, 3, 1, 1), 0, 5, 11, 17, 11, 25, 39);
}
END_TEST

START_TEST(reshapes)
{
    int32_t x = one_to(6, DIMS(2, 1, 3));
    ln__node *n = NODE(g, RESHAPE, x, build_i64(g, I64S(-1, 0, 2), 3));

    EXPECT(n->out[0], DIMS(3, 1, 2), 0, 1, 2, 3, 4, 5, 6);
    n = NODE(g, FLATTEN, x);
    n->u.axis.axis = -1;
    EXPECT(n->out[0], DIMS(2, 3), 0, 1, 2, 3, 4, 5, 6);
    n = NODE(g, SQUEEZE, x, build_i64(g, I64S(-2), 1));
    EXPECT(n->out[0], DIMS(2, 3), 0, 1, 2, 3, 4, 5, 6);
    n = NODE(g, SQUEEZE, x);
    EXPECT(n->out[0], DIMS(2, 3), 0, 1, 2, 3, 4, 5, 6);
    n = NODE(g, UNSQUEEZE, x, build_i64(g, I64S(0, -1), 2));
    EXPECT(n->out[0], DIMS(1, 2, 1, 3, 1), 0, 1, 2, 3, 4, 5, 6);
    n = NODE(g, SHAPE, x);
    n->u.shape.start = -2;
    EXPECT(n->out[0], DIMS(2), 0, 1, 3);
    n = NODE(g, CAST, build_f32(g, F32S(-1.7f, 0.2f, 3e20f), DIMS(3)));
    n->u.cast.to = LN__I64;
    EXPECT(n->out[0], DIMS(3), 1e12f, -1, 0, 9223372036854775807.0f);
    n = NODE(g, CAST, build_f32(g, F32S(-1.7f, 0, NAN), DIMS(3)));
    n->u.cast.to = LN__I64;
    n->u.cast.saturate_bool = true;
    EXPECT(n->out[0], DIMS(3), 0, 1, 0, 1);
    n = NODE(g, CONSTANT_OF_SHAPE, build_i64(g, I64S(1, 2), 2));
    n->u.fill.value = (ln__tensor){ .dtype = LN__F32, .rank = 1, .dim = { 1 }, .data = F32S(7) };
    EXPECT(n->out[0], DIMS(1, 2), 0, 7, 7);
}
END_TEST

START_TEST(moves)
{
    int32_t x = one_to(6, DIMS(2, 3));
    ln__node *n = NODE(g, TRANSPOSE, x);

    EXPECT(n->out[0], DIMS(3, 2), 0, 1, 4, 2, 5, 3, 6);
    n = NODE(g, EXPAND, one_to(2, DIMS(2, 1)), build_i64(g, I64S(2, 1, 3), 3));
    EXPECT(n->out[0], DIMS(2, 2, 3), 0, 1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2);
    n = NODE(g, TILE, x, build_i64(g, I64S(2, 2), 2));
    EXPECT(n->out[0], DIMS(4, 6), 0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
    n = NODE(g, CONCAT, x, one_to(2, DIMS(2, 1)));
    n->u.axis.axis = -1;
    EXPECT(n->out[0], DIMS(2, 4), 0, 1, 2, 3, 1, 4, 5, 6, 2);
    n = build_node(g, LN__SPLIT, "Split", IDS(x, build_i64(g, I64S(1, 2), 2)), 2);
    n->u.split.axis = 1;
    EXPECT(n->out[0], DIMS(2, 1), 0, 1, 4);
    EXPECT(n->out[1], DIMS(2, 2), 0, 2, 3, 5, 6);
    n = build_node(g, LN__SPLIT, "Split", IDS(x), 2);
    n->u.split.axis = -1;
    n->u.split.num_outputs = 2;
    EXPECT(n->out[1], DIMS(2, 1), 0, 3, 6);
    n = NODE(g, GATHER, x, build_constant(g, LN__I64, I64S(-1, 0, 0, 1), DIMS(2, 2)));
    n->u.axis.axis = 1;
    EXPECT(n->out[0], DIMS(2, 2, 2), 0, 3, 1, 1, 2, 6, 4, 4, 5);
    n = NODE(g, SLICE, x, build_i64(g, I64S(10, -1), 2), build_i64(g, I64S(-100, INT64_MIN), 2),
             build_i64(g, I64S(0, -1), 2), build_i64(g, I64S(-1, -2), 2));
    EXPECT(n->out[0], DIMS(2, 2), 0, 6, 4, 3, 1);
    n = NODE(g, SLICE, x, build_i64(g, I64S(-9, -9), 2), build_i64(g, I64S(INT64_MIN, 2), 2), build_i64(g, I64S(0, 1), 2),
             build_i64(g, I64S(-1, 1), 2));     /* a start below the first is the first, whatever the step */
    EXPECT(n->out[0], DIMS(1, 2), 0, 1, 2);
    n = NODE(g, SLICE, x, build_i64(g, I64S(1), 1), build_i64(g, I64S(INT64_MAX), 1), build_i64(g, I64S(1), 1));
    EXPECT(n->out[0], DIMS(2, 2), 0, 2, 3, 5, 6);
    n = NODE(g, DEPTH_TO_SPACE, one_to(8, DIMS(1, 8, 1, 1)));
    n->u.depth_space.block = 2;
    EXPECT(n->out[0], DIMS(1, 2, 2, 2), 0, 1, 3, 5, 7, 2, 4, 6, 8);
    n = NODE(g, DEPTH_TO_SPACE, one_to(8, DIMS(1, 8, 1, 1)));
    n->u.depth_space.block = 2;
    n->u.depth_space.crd = true;
    EXPECT(n->out[0], DIMS(1, 2, 2, 2), 0, 1, 2, 3, 4, 5, 6, 7, 8);
    n = NODE(g, SPACE_TO_DEPTH, one_to(8, DIMS(1, 2, 2, 2)));
    n->u.depth_space.block = 2;
    EXPECT(n->out[0], DIMS(1, 8, 1, 1), 0, 1, 5, 2, 6, 3, 7, 4, 8);
}
END_TEST

START_TEST(pads)
{
    int32_t x = one_to(3, DIMS(1, 3));
    ln__node *n = NODE(g, PAD, x, build_i64(g, I64S(1, 2, 0, -1), 4), build_f32(g, F32S(9), DIMS(1)));

    EXPECT(n->out[0], DIMS(2, 4), 0, 9, 9, 9, 9, 9, 9, 1, 2);
    n = NODE(g, PAD, x, build_i64(g, I64S(2, 2), 2), LN__NO_VALUE, build_i64(g, I64S(-1), 1));
    n->u.pad.mode = LN__PAD_REFLECT;
    EXPECT(n->out[0], DIMS(1, 7), 0, 3, 2, 1, 2, 3, 2, 1);
    n = NODE(g, PAD, x, build_i64(g, I64S(2, 2), 2), LN__NO_VALUE, build_i64(g, I64S(1), 1));
    n->u.pad.mode = LN__PAD_EDGE;
    EXPECT(n->out[0], DIMS(1, 7), 0, 1, 1, 1, 2, 3, 3, 3);
    n = NODE(g, PAD, x, build_i64(g, I64S(4, 2), 2), LN__NO_VALUE, build_i64(g, I64S(1), 1));
    n->u.pad.mode = LN__PAD_WRAP;
    EXPECT(n->out[0], DIMS(1, 9), 0, 3, 1, 2, 3, 1, 2, 3, 1, 2);
}
END_TEST

static ln__node *resize(int32_t x, float scale)
{
    return NODE(g, RESIZE, x, LN__NO_VALUE, build_f32(g, F32S(1, scale), DIMS(2)));
}

START_TEST(resizes)
{
    int32_t x = one_to(4, DIMS(1, 4));
    ln__node *n = resize(x, 2.0f);

    n->u.resize.coordinate = LN__ASYMMETRIC;
    n->u.resize.nearest = LN__FLOOR_OF;
    EXPECT(n->out[0], DIMS(1, 8), 0, 1, 1, 2, 2, 3, 3, 4, 4);
    n = resize(x, 2.0f);
    n->u.resize.mode = LN__RESIZE_LINEAR;
    EXPECT(n->out[0], DIMS(1, 8), 1e-6f, 1, 1.25f, 1.75f, 2.25f, 2.75f, 3.25f, 3.75f, 4);
    n = resize(x, 2.0f);
    n->u.resize.mode = LN__RESIZE_LINEAR;
    n->u.resize.coordinate = LN__ALIGN_CORNERS;
    EXPECT(n->out[0], DIMS(1, 8), 1e-6f, 1, 1 + 3 / 7.0f, 1 + 6 / 7.0f, 1 + 9 / 7.0f, 1 + 12 / 7.0f, 1 + 15 / 7.0f, 1 + 18 / 7.0f, 4);
    n = NODE(g, RESIZE, x, LN__NO_VALUE, LN__NO_VALUE, build_i64(g, I64S(1), 1));
    n->u.resize.mode = LN__RESIZE_LINEAR;
    n->u.resize.coordinate = LN__PYTORCH_HALF_PIXEL;
    n->u.resize.axes[0] = -1;
    n->u.resize.n_axes = 1;
    EXPECT(n->out[0], DIMS(1, 1), 0, 1);
    n = resize(x, 0.5f);        /* the kernel 1 - |t| / 2 over four pixels, edges repeated */
    n->u.resize.mode = LN__RESIZE_LINEAR;
    n->u.resize.antialias = true;
    EXPECT(n->out[0], DIMS(1, 2), 1e-6f, (0.25f * 1 + 0.75f * 1 + 0.75f * 2 + 0.25f * 3) / 2, (0.25f * 2 + 0.75f * 3 + 0.75f * 4 + 0.25f * 4) / 2);
    n = resize(x, 2.0f);        /* torch.nn.functional.interpolate(x, scale_factor=(1, 2), mode='bicubic') */
    n->u.resize.mode = LN__RESIZE_CUBIC;
    n->u.resize.cubic_a = -0.75f;
    n->u.resize.coordinate = LN__HALF_PIXEL_SYMMETRIC;
    EXPECT(n->out[0], DIMS(1, 8), 1e-5f, 0.89453125f, 1.19140625f, 1.66796875f, 2.296875f, 2.703125f, 3.33203125f,
           3.80859375f, 4.10546875f);
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
    tcase_add_test(c, softmax_and_norms);
    tcase_add_test(c, pools);
    tcase_add_test(c, matrix_products);
    tcase_add_test(c, reshapes);
    tcase_add_test(c, moves);
    tcase_add_test(c, pads);
    tcase_add_test(c, resizes);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
