/* Shape inference: what it refuses, how it follows rows, what it computes on the
 * way; and windows. */
#include "graph_build.h"
#include "run_suite.h"

static ln__ctx ctx;
static ln__graph *g;
static int32_t x;       /* [N, 4, 8, 8] */

static void setup(void)
{
    ctx = ln__ctx_make(NULL, NULL, NULL);
    g = build_new(&ctx, 1 << 20);
    x = build_input(g, "x", DIMS(-1, 4, 8, 8));
}

static void teardown(void)
{
    ln__graph_free(g);
}

static const float zeros[4096];

static ln__node *conv(int64_t channels, int64_t kernel)
{
    ln__node *n = NODE(g, CONV, x, build_f32(g, zeros, DIMS(6, channels, kernel, kernel)));

    n->u.conv.group = 1;
    n->u.conv.window = (ln__window){ .spatial = 2, .stride = { 1, 1 }, .dilation = { 1, 1 }, .kernel = { kernel, kernel } };
    return n;
}

static void expect_shape(int32_t v, int64_t rows, const char *want)
{
    ln_error err = { 0 };
    ln__shapes *s = NULL;
    char text[128];

    ck_assert_msg(ln__shapes_infer(&s, g, rows, &err) == LN_OK, "%s", err.text);
    ck_assert_str_eq(ln__shape_text(text, &s->of[v]), want);
    ln__shapes_free(s, &ctx);
}

START_TEST(convolutions)
{
    ln__node *n = conv(4, 3);

    n->u.conv.window.stride[0] = 2;
    n->u.conv.window.pad_end[1] = 3;
    expect_shape(n->out[0], 5, "[5, 6, 3, 9]");
    n = conv(4, 3);
    n->u.conv.window = (ln__window){ 0 };       /* as read without any attribute */
    expect_shape(n->out[0], 2, "[2, 6, 6, 6]");
    n = conv(4, 3);
    n->u.conv.window.stride[0] = n->u.conv.window.stride[1] = 2;
    n->u.conv.window.auto_pad = LN__PAD_SAME_LOWER;
    expect_shape(n->out[0], 1, "[1, 6, 4, 4]");
}
END_TEST

typedef void (*spoil_fn)(ln__node *n);
static void group_zero(ln__node *n) { n->u.conv.group = 0; }
static void group_three(ln__node *n) { n->u.conv.group = 3; }
static void stride_zero(ln__node *n) { n->u.conv.window.stride[1] = 0; }
static void stride_negative(ln__node *n) { n->u.conv.window.stride[0] = -1; }
static void dilation_huge(ln__node *n) { n->u.conv.window.dilation[0] = (int64_t)1 << 62; }
static void kernel_differs(ln__node *n) { n->u.conv.has_kernel = true; n->u.conv.window.kernel[0] = 5; }
static void one_dimension(ln__node *n) { n->u.conv.window.spatial = 1; }
static void pads_huge(ln__node *n) { n->u.conv.window.pad_begin[0] = (int64_t)1 << 39; }
static void pads_past_all(ln__node *n) { n->u.conv.window.pad_begin[0] = INT64_MAX; }
static void pads_negative(ln__node *n) { n->u.conv.window.pad_begin[0] = -1; }

static const struct { spoil_fn spoil; ln_status status; const char *part; } spoiled[] = {
    { group_zero, LN_E_FORMAT, "group is 0" }, { group_three, LN_E_FORMAT, "group 3" },
    { stride_zero, LN_E_FORMAT, "stride 0" }, { stride_negative, LN_E_FORMAT, "stride -1" },
    { dilation_huge, LN_E_FORMAT, "[1, 4, 8, 8]" }, { kernel_differs, LN_E_FORMAT, "kernel_shape says 5" },
    { one_dimension, LN_E_FORMAT, "1 spatial" }, { pads_huge, LN_E_LIMIT, "limit" },
    { pads_past_all, LN_E_FORMAT, "window" }, { pads_negative, LN_E_UNSUPPORTED, "negative" },
};

START_TEST(convolutions_refused)
{
    spoiled[_i].spoil(conv(4, 3));
    build_refused(g, 1, spoiled[_i].status, spoiled[_i].part);
    build_refused(g, 1, spoiled[_i].status, "node 0 'v0_0' (CONV)");
}
END_TEST

START_TEST(convolution_inputs_refused)
{
    conv(3, 3);
    build_refused(g, 1, LN_E_FORMAT, "weights [6, 3, 3, 3] do not fit");
    g->n_nodes = 0;
    conv(4, 9)->u.conv.window.kernel[0] = 9;
    build_refused(g, 1, LN_E_FORMAT, "window");
    g->n_nodes = 0;
    NODE(g, CONV, x, build_f32(g, zeros, DIMS(6, 4, 3, 3)), build_f32(g, zeros, DIMS(7)))->u.conv.group = 1;
    build_refused(g, 1, LN_E_FORMAT, "bias has shape [7]; 6");
    g->n_nodes = 0;
    NODE(g, CONV, x)->u.conv.group = 1;
    build_refused(g, 1, LN_E_FORMAT, "1 inputs");
    g->n_nodes = 0;
    NODE(g, CONV, x, x)->u.conv.group = 1;
    build_refused(g, 1, LN_E_UNSUPPORTED, "input 1 is computed when the network runs");
}
END_TEST

#define REFUSED(status, part, ...) do { g->n_nodes = 0; __VA_ARGS__; build_refused(g, 1, (status), (part)); } while (0)

START_TEST(shapes_refused)
{
    ln__node *n;
    int64_t big = (int64_t)1 << 40;

    REFUSED(LN_E_FORMAT, "-1 twice", NODE(g, RESHAPE, x, build_i64(g, I64S(-1, -1), 2)));
    REFUSED(LN_E_FORMAT, "shape has -2", NODE(g, RESHAPE, x, build_i64(g, I64S(-2, 128), 2)));
    REFUSED(LN_E_FORMAT, "100 elements", NODE(g, RESHAPE, x, build_i64(g, I64S(10, 10), 2)));
    REFUSED(LN_E_FORMAT, "copies dimension 4", NODE(g, RESHAPE, x, build_i64(g, I64S(0, 0, 0, 0, 0), 5)));
    REFUSED(LN_E_FORMAT, "too large", NODE(g, RESHAPE, x, build_i64(g, I64S(big, big, -1), 3)));
    REFUSED(LN_E_FORMAT, "twice or out of range", n = NODE(g, TRANSPOSE, x); n->u.transpose.n_perm = 4;
            memcpy(n->u.transpose.perm, I64S(0, 1, 1, 2), 32));
    REFUSED(LN_E_FORMAT, "3 numbers for 4", NODE(g, TRANSPOSE, x)->u.transpose.n_perm = 3);
    REFUSED(LN_E_FORMAT, "axis 4", NODE(g, CONCAT, x, x)->u.axis.axis = 4);
    REFUSED(LN_E_FORMAT, "does not go beside", NODE(g, CONCAT, x, build_f32(g, zeros, DIMS(1, 4, 7, 8)))->u.axis.axis = 1);
    REFUSED(LN_E_FORMAT, "do not go together", NODE(g, BINARY, x, build_f32(g, zeros, DIMS(3, 1, 1))));
    REFUSED(LN_E_LIMIT, "limit", NODE(g, CONSTANT_OF_SHAPE, build_i64(g, I64S(big), 1))->u.fill.value =
            (ln__tensor){ .dtype = LN__F32, .rank = 1, .dim = { 1 }, .data = zeros });
    REFUSED(LN_E_LIMIT, "too large", NODE(g, EXPAND, x, build_i64(g, I64S(1 << 21, 1 << 20, 4, 8, 8), 5)));
    REFUSED(LN_E_FORMAT, "cannot be expanded", NODE(g, EXPAND, x, build_i64(g, I64S(1 << 20, 1 << 20, 8, 8), 4)));
    REFUSED(LN_E_LIMIT, "limit", NODE(g, TILE, x, build_i64(g, I64S(1, 1 << 10, 1 << 10, 1), 4)));
    REFUSED(LN_E_LIMIT, "repeats", NODE(g, TILE, x, build_i64(g, I64S(1, INT64_MAX, 1, 1), 4)));
    REFUSED(LN_E_LIMIT, "limit", NODE(g, PAD, x, build_i64(g, I64S(0, 0, 1 << 30, 1, 0, 0, 0, 0), 8)));
    REFUSED(LN_E_FORMAT, "pads", NODE(g, PAD, x, build_i64(g, I64S(0, 0, INT64_MAX, 1, 0, 0, 0, 0), 8)));
    REFUSED(LN_E_FORMAT, "reflect", NODE(g, PAD, x, build_i64(g, I64S(0, 0, 9, 0, 0, 0, 0, 0), 8))->u.pad.mode = LN__PAD_REFLECT);
    REFUSED(LN_E_FORMAT, "two numbers for each axis", NODE(g, PAD, x, build_i64(g, I64S(1, 1), 2)));
    REFUSED(LN_E_FORMAT, "pads -2 and -7", NODE(g, PAD, x, build_i64(g, I64S(0, 0, 0, -2, 0, 0, 0, -7), 8)));
    REFUSED(LN_E_LIMIT, "squared", NODE(g, SPACE_TO_DEPTH, build_f32(g, zeros, DIMS(1, (int64_t)1 << 47, 0, 0)))->u.depth_space.block = 65535);
    REFUSED(LN_E_LIMIT, "times 65535", NODE(g, DEPTH_TO_SPACE, build_f32(g, zeros, DIMS(1, 0, (int64_t)1 << 48, 0)))->u.depth_space.block = 65535);
    REFUSED(LN_E_FORMAT, "index 9", n = NODE(g, SHAPE, x); NODE(g, GATHER, n->out[0], build_i64(g, I64S(9), 1)));
    REFUSED(LN_E_FORMAT, "steps not 0", NODE(g, SLICE, x, build_i64(g, I64S(0), 1), build_i64(g, I64S(1), 1),
            build_i64(g, I64S(1), 1), build_i64(g, I64S(0), 1)));
    REFUSED(LN_E_FORMAT, "3 equal parts", build_node(g, LN__SPLIT, "Split", IDS(x), 3)->u.split.axis = 1);
    REFUSED(LN_E_FORMAT, "parts make 3 of 4", build_node(g, LN__SPLIT, "Split", IDS(x, build_i64(g, I64S(1, 2), 2)), 2)->u.split.axis = 1);
    REFUSED(LN_E_FORMAT, "only 1 can be left out", NODE(g, SQUEEZE, x, build_i64(g, I64S(1), 1)));
    REFUSED(LN_E_FORMAT, "given twice", NODE(g, UNSQUEEZE, x, build_i64(g, I64S(0, 0), 2)));
    REFUSED(LN_E_FORMAT, "at most 8", NODE(g, UNSQUEEZE, x, build_i64(g, I64S(0, 1, 2, 3, 4), 5)));
}
END_TEST

START_TEST(numbers_refused)
{
    ln__node *n;
    int32_t a = build_f32(g, zeros, DIMS(1, 256));

    REFUSED(LN_E_FORMAT, "cannot be multiplied", NODE(g, MATMUL, a, build_f32(g, zeros, DIMS(200, 5)))->u.matmul.alpha = 1);
    REFUSED(LN_E_FORMAT, "a bias of shape [3]", NODE(g, MATMUL, a, build_f32(g, zeros, DIMS(256, 2)), build_f32(g, zeros, DIMS(3))));
    REFUSED(LN_E_FORMAT, "scale has shape [3]; 4", NODE(g, BATCHNORM, x, build_f32(g, zeros, DIMS(3)), build_f32(g, zeros, DIMS(4)),
            build_f32(g, zeros, DIMS(4)), build_f32(g, zeros, DIMS(4))));
    REFUSED(LN_E_FORMAT, "variance of channel 2 is -1;", NODE(g, BATCHNORM, x, build_f32(g, zeros, DIMS(4)), build_f32(g, zeros, DIMS(4)),
            build_f32(g, zeros, DIMS(4)), build_f32(g, F32S(1, 0, -1, 0), DIMS(4)))->u.batchnorm.epsilon = 1e-3f);
    REFUSED(LN_E_FORMAT, "with epsilon (0)", NODE(g, BATCHNORM, x, build_f32(g, zeros, DIMS(4)), build_f32(g, zeros, DIMS(4)),
            build_f32(g, zeros, DIMS(4)), build_f32(g, zeros, DIMS(4)))->u.batchnorm.epsilon = 0.0f);
    REFUSED(LN_E_FORMAT, "scales must be one positive", NODE(g, RESIZE, x, LN__NO_VALUE, build_f32(g, F32S(1, 1, 0, 1), DIMS(4))));
    REFUSED(LN_E_FORMAT, "either scales or sizes", NODE(g, RESIZE, x));
    REFUSED(LN_E_LIMIT, "limit", NODE(g, RESIZE, x, LN__NO_VALUE, build_f32(g, F32S(1, 1, 1e5f, 1e5f), DIMS(4))));
    REFUSED(LN_E_FORMAT, "too small", n = NODE(g, RESIZE, x, LN__NO_VALUE, build_f32(g, F32S(1, 1, 1, 1e-38f), DIMS(4)));
            n->u.resize.mode = LN__RESIZE_LINEAR; n->u.resize.antialias = true);
    REFUSED(LN_E_FORMAT, "sizes must be", n = NODE(g, RESIZE, build_f32(g, zeros, DIMS(0, 1, 1 << 24)), LN__NO_VALUE, LN__NO_VALUE,
            build_i64(g, I64S((int64_t)1 << 40, 1 << 24), 2)); n->u.resize.aspect = LN__NOT_SMALLER;
            n->u.resize.n_axes = 2; memcpy(n->u.resize.axes, I64S(1, 2), 16));
    REFUSED(LN_E_FORMAT, "given twice or out of range", n = NODE(g, REDUCE, x); n->u.reduce.n_axes = 2; n->u.reduce.axes[0] = -4);
    REFUSED(LN_E_FORMAT, "size is 0", NODE(g, LRN, x));
    REFUSED(LN_E_FORMAT, "3 groups", n = NODE(g, NORM, x); n->u.norm.kind = LN__NORM_GROUP; n->u.norm.groups = 3);
    REFUSED(LN_E_FORMAT, "axis 7", NODE(g, SOFTMAX, x)->u.softmax.axis = 7);
    REFUSED(LN_E_FORMAT, "division by zero", NODE(g, BINARY, build_i64(g, I64S(1), 1), build_i64(g, I64S(0), 1))->u.binary.kind = LN__DIV);
    REFUSED(LN_E_FORMAT, "overflow", NODE(g, BINARY, build_i64(g, I64S(INT64_MAX), 1), build_i64(g, I64S(2), 1))->u.binary.kind = LN__MUL);
    REFUSED(LN_E_UNSUPPORTED, "integers", NODE(g, UNARY, build_i64(g, I64S(1), 1))->u.unary.kind = LN__SQRT);
    REFUSED(LN_E_FORMAT, "smaller than the kernel", n = NODE(g, POOL, x); n->u.pool.window = (ln__window){ .spatial = 2,
            .kernel = { 2, 2 }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { 2, 0 } });
    REFUSED(LN_E_FORMAT, "made by no node", NODE(g, UNARY, build_value(g, "lost")));
    REFUSED(LN_E_FORMAT, "made by no node before", n = NODE(g, UNARY, x); n->in[0] = n->out[0]);
}
END_TEST

START_TEST(inputs_refused)
{
    g->inputs[0].type.dim[2] = -1;
    build_refused(g, 1, LN_E_UNSUPPORTED, "dimension 2 is not fixed");
    g->inputs[0].type.dim[2] = -8;
    build_refused(g, 1, LN_E_LIMIT, "negative dimension");
    g->inputs[0].type.dim[2] = (int64_t)1 << 40;
    build_refused(g, 1, LN_E_LIMIT, "limit");
}
END_TEST

/* ---- Work -------------------------------------------------------------------------------- */

static int32_t filled(const int64_t *dims, int64_t rank)
{
    ln__node *n = NODE(g, CONSTANT_OF_SHAPE, build_i64(g, dims, rank));

    n->u.fill.value = (ln__tensor){ .dtype = LN__F32, .rank = 1, .dim = { 1 }, .data = zeros };
    return n->out[0];
}

static int32_t resized(int32_t v, float scale)
{
    ln__node *n = NODE(g, RESIZE, v, LN__NO_VALUE, build_f32(g, F32S(1, scale, scale, scale), DIMS(4)));

    n->u.resize.mode = LN__RESIZE_CUBIC;
    n->u.resize.antialias = true;
    return n->out[0];
}

/* A few hundred bytes that would keep a reader busy for hours. */
START_TEST(endless_work_is_refused)
{
    double start = ln__now();
    int32_t v;
    ln__node *n;

    g->max_bytes = 1 << 28;
    REFUSED(LN_E_LIMIT, "operations", v = filled(I64S(1700, 1700), 2), NODE(g, MATMUL, v, v)->u.matmul.alpha = 1);
    build_refused(g, 1, LN_E_LIMIT, "node 1 'v1_0' (MATMUL)");
    REFUSED(LN_E_LIMIT, "operations", n = NODE(g, POOL, filled(I64S(1, 1, 512, 512), 4)); n->u.pool.window = (ln__window){ .spatial = 2,
            .kernel = { 511, 511 }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { 255, 255 }, .pad_end = { 255, 255 } });
    REFUSED(LN_E_LIMIT, "operations", resized(filled(I64S(1, 240, 240, 240), 4), 0.0125f));
    REFUSED(LN_E_LIMIT, "operations", NODE(g, LRN, filled(I64S(1, 1 << 20, 4), 3))->u.lrn.size = 1 << 20);
    ck_assert(ln__now() - start < 20.0);
}
END_TEST

/* Copies of constants that lie askew in the file are results known before running, too. */
START_TEST(copies_of_constants_are_counted)
{
    static char askew[4 * 1024 + 1];

    g->max_bytes = 16 * 1024;
    for (int i = 0; i < 5; i++) {
        int32_t v = build_f32(g, zeros, DIMS(1024));
        ((ln__tensor *)(uintptr_t)g->values[v].constant)->data = askew + 1;
        NODE(g, REDUCE, v)->u.reduce.all_if_empty = true;
        if (i == 2)
            expect_shape(v, 1, "[1024]");
    }
    build_refused(g, 1, LN_E_LIMIT, "constants take more");
}
END_TEST

/* ---- Rows -------------------------------------------------------------------------------- */

START_TEST(shape_arithmetic_follows_rows)
{
    ln__node *shape = NODE(g, SHAPE, x), *first = NODE(g, GATHER, shape->out[0], build_i64(g, I64S(0), 1));
    ln__node *target = NODE(g, CONCAT, first->out[0], build_i64(g, I64S(-1), 1));
    ln__node *flat = NODE(g, RESHAPE, x, target->out[0]);
    bool row[BUILD_VALUES];

    expect_shape(flat->out[0], 7, "[7, 256]");
    ck_assert_int_eq(ln__graph_row_values(row, g, NULL), LN_OK);
    ck_assert(row[x] && row[flat->out[0]] && !row[shape->out[0]] && !row[target->out[0]]);
}
END_TEST

START_TEST(a_file_for_one_row_takes_more)
{
    ln__node *flat = NODE(g, RESHAPE, x, build_i64(g, I64S(1, 256), 2));

    g->inputs[0].type.dim[0] = 1;
    g->batch_fixed = true;
    expect_shape(flat->out[0], 1, "[1, 256]");
    expect_shape(flat->out[0], 3, "[3, 256]");
    g->batch_fixed = false;         /* as declared, then */
    expect_shape(flat->out[0], 3, "[1, 256]");
}
END_TEST

START_TEST(what_takes_one_row_only)
{
    ln__node *n = NODE(g, RESHAPE, x, build_i64(g, I64S(16, 16), 2));
    bool row[BUILD_VALUES];

    g->inputs[0].type.dim[0] = 1;
    g->batch_fixed = true;
    expect_shape(n->out[0], 1, "[16, 16]");
    build_refused(g, 3, LN_E_UNSUPPORTED, "256 elements");
    ck_assert_int_eq(ln__graph_row_values(row, g, NULL), LN_OK);
    ck_assert(row[x] && !row[n->out[0]]);
}
END_TEST

static int32_t reshaped(int32_t v, const int64_t *shape, int64_t n)
{
    return NODE(g, RESHAPE, v, build_i64(g, shape, n))->out[0];
}

static int32_t turned(int32_t v, const int64_t *perm, int32_t n)
{
    ln__node *node = NODE(g, TRANSPOSE, v);

    node->u.transpose.n_perm = n;
    memcpy(node->u.transpose.perm, perm, (size_t)n * sizeof *perm);
    return node->out[0];
}

static int32_t along(ln__op op, int32_t v, int64_t axis)
{
    ln__node *node = build_node(g, op, "Along", IDS(v), 1);

    if (op == LN__REDUCE) {
        node->u.reduce.n_axes = 1;
        node->u.reduce.axes[0] = axis;
    } else if (op == LN__NORM) {
        node->u.norm.axis = axis;
    } else {
        node->u.softmax.axis = axis;
    }
    return node->out[0];
}

static int32_t product(int32_t a, int32_t b)
{
    return NODE(g, MATMUL, a, b)->out[0];
}

#define MIXED(...) do { g->n_nodes = 0; (void)(__VA_ARGS__); build_refused(g, 2, LN_E_UNSUPPORTED, "across the rows"); } while (0)
#define KEPT(rows, shape, ...) do { g->n_nodes = 0; int32_t kept = (__VA_ARGS__); expect_shape(kept, (rows), (shape)); } while (0)

START_TEST(what_mixes_rows)
{
    int32_t flat, w = build_f32(g, zeros, DIMS(256, 2)), one = build_i64(g, I64S(1), 1);
    ln__node *n;

    MIXED(along(LN__REDUCE, x, 0));
    MIXED(NODE(g, GATHER, x, build_i64(g, I64S(0), 1))->out[0]);
    KEPT(1, "[1, 4, 8, 8]", NODE(g, GATHER, x, build_i64(g, I64S(0), 1))->out[0]);
    MIXED(n = NODE(g, CONCAT, x, x), n->u.axis.axis = 0);
    MIXED(NODE(g, TILE, x, build_i64(g, I64S(2, 1, 1, 1), 4)));
    MIXED(NODE(g, SLICE, x, build_i64(g, I64S(1), 1), build_i64(g, I64S(9), 1)));
    MIXED(NODE(g, SLICE, x, build_i64(g, I64S(-1), 1), build_i64(g, I64S(-9), 1), build_i64(g, I64S(0), 1), build_i64(g, I64S(-1), 1)));
    MIXED(NODE(g, PAD, x, build_i64(g, I64S(1, 0, 0, 0, -1, 0, 0, 0), 8)));
    /* Elsewhere than in dimension 0. */
    MIXED(along(LN__REDUCE, reshaped(x, I64S(-1), 1), 0));
    MIXED(along(LN__SOFTMAX, turned(reshaped(x, I64S(-1, 256), 2), I64S(1, 0), 2), 1));
    MIXED(along(LN__NORM, turned(x, I64S(1, 0, 2, 3), 4), 1));
    MIXED(along(LN__REDUCE, reshaped(x, I64S(-1, 64), 2), 0));
    MIXED(product(w, reshaped(x, I64S(2, -1), 2)));
    MIXED(flat = reshaped(x, I64S(-1, 256), 2), product(flat, turned(flat, I64S(1, 0), 2)));
    MIXED(flat = reshaped(x, I64S(-1, 256), 2), product(turned(flat, I64S(1, 0), 2), flat));
    MIXED(flat = reshaped(x, I64S(-1, 1, 256), 3), NODE(g, BINARY, flat, turned(flat, I64S(1, 0, 2), 3)));
    MIXED(n = NODE(g, POOL, turned(x, I64S(2, 3, 0, 1), 4)), n->u.pool.average = true);
    MIXED(NODE(g, LRN, turned(x, I64S(1, 0, 2, 3), 4))->u.lrn.size = 3);
    MIXED(n = NODE(g, UNSQUEEZE, x, build_i64(g, I64S(0), 1)), NODE(g, GATHER, n->out[0], one)->u.axis.axis = 1);
}
END_TEST

START_TEST(rows_are_followed_elsewhere)
{
    int32_t a, b, w = build_f32(g, zeros, DIMS(16, 3));
    ln__node *n;

    /* Turned and back; the columns of a product. */
    KEPT(2, "[2, 256]", turned(along(LN__SOFTMAX, turned(reshaped(x, I64S(-1, 256), 2), I64S(1, 0), 2), 0), I64S(1, 0), 2));
    KEPT(2, "[2, 16]", turned(product(build_f32(g, zeros, DIMS(16, 256)), turned(reshaped(x, I64S(-1, 256), 2), I64S(1, 0), 2)), I64S(1, 0), 2));
    /* Windows are rows for a while. */
    KEPT(2, "[2, 256]", reshaped(along(LN__SOFTMAX, reshaped(turned(reshaped(x, I64S(-1, 4, 2, 4, 8), 5), I64S(0, 2, 1, 3, 4), 5),
                                                             I64S(-1, 16, 8), 3), 1), I64S(-1, 256), 2));
    /* Channels shuffled; attention between channels; tokens before rows, and merged with them. */
    KEPT(2, "[2, 4, 8, 8]", reshaped(turned(reshaped(x, I64S(-1, 2, 2, 8, 8), 5), I64S(0, 2, 1, 3, 4), 5), I64S(-1, 4, 8, 8), 4));
    KEPT(2, "[2, 4, 64]", a = reshaped(x, I64S(-1, 4, 64), 3), product(along(LN__SOFTMAX, product(a, turned(a, I64S(0, 2, 1), 3)), 2), a));
    KEPT(2, "[2, 16, 3]", a = turned(reshaped(x, I64S(-1, 16, 16), 3), I64S(1, 0, 2), 3),
         turned(reshaped(product(reshaped(a, I64S(-1, 16), 2), w), I64S(16, -1, 3), 3), I64S(1, 0, 2), 3));
    /* Two values one upon the other. */
    KEPT(2, "[2, 4, 8, 8]", a = NODE(g, UNSQUEEZE, x, build_i64(g, I64S(0), 1))->out[0], b = NODE(g, UNARY, a)->out[0],
         n = NODE(g, CONCAT, a, b), n = NODE(g, REDUCE, n->out[0]), n->u.reduce.n_axes = 1, n->out[0]);
}
END_TEST

START_TEST(dimension_0_may_hide_rows)
{
    int32_t hidden = reshaped(turned(reshaped(x, I64S(-1, 256), 2), I64S(1, 0), 2), I64S(-1, 256), 2);
    bool row[BUILD_VALUES];

    expect_shape(hidden, 2, "[2, 256]");
    ck_assert_int_eq(ln__graph_row_values(row, g, NULL), LN_OK);
    ck_assert(row[x] && !row[hidden]);
    build_output(g, hidden);
    build_refused(g, 2, LN_E_UNSUPPORTED, "elsewhere");
}
END_TEST

/* Three rows fit into this shape, which is not what one row makes three times. */
START_TEST(shapes_that_fit_by_chance)
{
    int32_t y = build_input(g, "y", DIMS(-1, 6));
    ln__graph *folded;

    for (int chance = 0; chance < 2; chance++) {
        g->n_nodes = g->n_outputs = 0;
        build_output(g, reshaped(along(LN__SOFTMAX, reshaped(y, chance ? I64S(3, -1) : I64S(-1, 2), 2), 1), I64S(-1, 6), 2));
        expect_shape(g->outputs[0], 3, "[3, 6]");
        ck_assert_int_eq(ln__graph_fold(&folded, g, NULL, 0, NULL), LN_OK);
        ck_assert_int_eq(folded->one_row != NULL, chance);
        ck_assert(!chance || strstr(folded->one_row, "is not as long as three of one"));
        ln__graph_free(folded);
    }
}
END_TEST

/* ---- Windows ----------------------------------------------------------------------------- */

START_TEST(windows)
{
    ln__window w = { .spatial = 1, .kernel = { 3 }, .stride = { 2 }, .dilation = { 1 }, .auto_pad = LN__PAD_SAME_UPPER };
    int64_t in = 8, begin, end, out;

    ck_assert(ln__window_resolve(&w, &in, &begin, &end, &out) && begin == 0 && end == 1 && out == 4);
    w.auto_pad = LN__PAD_SAME_LOWER;
    ck_assert(ln__window_resolve(&w, &in, &begin, &end, &out) && begin == 1 && end == 0 && out == 4);
    w.auto_pad = LN__PAD_VALID;
    ck_assert(ln__window_resolve(&w, &in, &begin, &end, &out) && begin == 0 && end == 0 && out == 3);
    w.auto_pad = LN__PAD_GIVEN;
    w.ceil_mode = true;
    ck_assert(ln__window_resolve(&w, &in, &begin, &end, &out) && out == 4);
    w.kernel[0] = 1;                /* a further window would begin in the padding */
    w.pad_end[0] = 1;
    ck_assert(ln__window_resolve(&w, &in, &begin, &end, &out) && out == 4);
    w.kernel[0] = 10;
    ck_assert(!ln__window_resolve(&w, &in, &begin, &end, &out));
}
END_TEST

START_TEST(big_tensors_are_not_counted_wrong)
{
    ln__tensor t = { .rank = 3, .dim = { (int64_t)1 << 31, (int64_t)1 << 31, 4 } };
    int64_t n;

    ck_assert(!ln__tensor_elements(&t, &n));
    t.dim[1] = 0;
    ck_assert(ln__tensor_elements(&t, &n) && n == 0);
    t.dim[2] = -1;
    ck_assert(!ln__tensor_elements(&t, &n));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph shapes");
    TCase *c = tcase_create("inference");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, convolutions);
    tcase_add_loop_test(c, convolutions_refused, 0, (int)LN__COUNT(spoiled));
    tcase_add_test(c, convolution_inputs_refused);
    tcase_add_test(c, shapes_refused);
    tcase_add_test(c, numbers_refused);
    tcase_add_test(c, inputs_refused);
    tcase_add_test(c, endless_work_is_refused);
    tcase_add_test(c, copies_of_constants_are_counted);
    tcase_add_test(c, shape_arithmetic_follows_rows);
    tcase_add_test(c, a_file_for_one_row_takes_more);
    tcase_add_test(c, what_takes_one_row_only);
    tcase_add_test(c, what_mixes_rows);
    tcase_add_test(c, rows_are_followed_elsewhere);
    tcase_add_test(c, dimension_0_may_hide_rows);
    tcase_add_test(c, shapes_that_fit_by_chance);
    tcase_add_test(c, windows);
    tcase_add_test(c, big_tensors_are_not_counted_wrong);
    suite_add_tcase(s, c);
    return run_suite(s);
}
