/* Passes: a graph before and after must compute the same, in fewer nodes. */
#include "graph_build.h"
#include "graph_run.h"
#include "run_suite.h"

typedef struct heap { size_t blocks, calls, fail_at; } heap;

static void *heap_alloc(size_t size, size_t align, void *payload)
{
    heap *h = payload;
    void *ptr;

    if (++h->calls == h->fail_at || posix_memalign(&ptr, align, size) != 0)
        return NULL;
    h->blocks++;
    return ptr;
}

static void heap_release(void *ptr, size_t size, void *payload)
{
    (void)size;
    ((heap *)payload)->blocks--;
    free(ptr);
}

static heap h;
static ln__ctx ctx;
static ln__graph *g;
static int32_t x;               /* [N, 4, 6, 6] */

static void setup(void)
{
    ln_allocator a = { heap_alloc, heap_release, &h };

    h = (heap){ 0 };
    ctx = ln__ctx_make(&a, NULL, NULL);
    g = build_new(&ctx, 1 << 24);
    x = build_input(g, "x", DIMS(-1, 4, 6, 6));
}

static void teardown(void)
{
    ln__graph_free(g);
    ck_assert_uint_eq(h.blocks, 0);
}

static void noise(float *data, size_t n, uint64_t seed)
{
    ln__rng rng = ln__rng_make(seed, 1);

    for (size_t i = 0; i < n; i++)
        data[i] = (float)ln__rng_normal(&rng);
}

static int32_t random_f32(const int64_t *dims, int32_t rank, bool positive)
{
    float data[2048];
    ln__tensor t = build_type(LN__F32, dims, rank);
    size_t n = (size_t)run_count(&t);

    ck_assert_uint_le(n, LN__COUNT(data));
    noise(data, n, (uint64_t)g->n_values);
    for (size_t i = 0; i < n && positive; i++)
        data[i] = fabsf(data[i]) + 0.5f;
    return build_f32(g, data, dims, rank);
}

static int32_t scalar(float v)
{
    return build_f32(g, &v, (const int64_t[]){ 1 }, 0);
}

static int32_t conv(int32_t from, int64_t channels, int64_t kernel)
{
    ln__node *n = NODE(g, CONV, from, random_f32(DIMS(channels, 4, kernel, kernel), false), random_f32(DIMS(channels), false));

    n->u.conv.group = 1;
    n->u.conv.window = (ln__window){ .spatial = 2, .kernel = { kernel, kernel }, .stride = { 1, 1 }, .dilation = { 1, 1 },
                                     .auto_pad = LN__PAD_SAME_UPPER };
    return n->out[0];
}

static int32_t batchnorm(int32_t from, int64_t channels)
{
    ln__node *n = NODE(g, BATCHNORM, from, random_f32(DIMS(channels), false), random_f32(DIMS(channels), false),
                       random_f32(DIMS(channels), false), random_f32(DIMS(channels), true));

    n->u.batchnorm.epsilon = 1e-5f;
    return n->out[0];
}

static int32_t unary(ln__unary kind, float a, float b, int32_t from)
{
    ln__node *n = NODE(g, UNARY, from);

    n->u.unary.kind = kind;
    n->u.unary.a = a;
    n->u.unary.b = b;
    return n->out[0];
}

static int32_t binary(ln__binary kind, int32_t a, int32_t b)
{
    ln__node *n = NODE(g, BINARY, a, b);

    n->u.binary.kind = kind;
    return n->out[0];
}

static void same_numbers(const ln__graph *a, const ln__graph *b, int32_t v, int64_t rows)
{
    float *data = malloc((size_t)rows * 144 * sizeof *data);
    const void *inputs[1] = { data };
    graph_run ra = { 0 }, rb = { 0 };
    ln_error err = { 0 };

    noise(data, (size_t)rows * 144, 7);
    ck_assert_msg(graph_run_all(&ra, a, inputs, rows, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(graph_run_all(&rb, b, inputs, rows, &err) == LN_OK, "%s", err.text);
    ck_assert(run_count(&ra.shapes->of[v]) == run_count(&rb.shapes->of[v]) && rb.shapes->of[v].data != NULL);
    for (int64_t i = 0; i < run_count(&ra.shapes->of[v]); i++) {
        float p = ((const float *)ra.shapes->of[v].data)[i], q = ((const float *)rb.shapes->of[v].data)[i];
        ck_assert_msg(fabsf(p - q) <= 2e-5f * (1.0f + fabsf(p)), "%lld: %g and %g", (long long)i, (double)p, (double)q);
    }
    graph_run_free(&ra);
    graph_run_free(&rb);
    free(data);
}

/* Folds and fuses; the output and keep[] must be as before, in `nodes` nodes. The
 * result belongs to the caller; what it shares with the middle one is freed with it. */
typedef struct passed { ln__graph *folded, *fused; } passed;

static passed pass(const int32_t *keep, int32_t n_keep, int32_t folded, int32_t fused)
{
    passed p;
    ln_error err = { 0 };

    ck_assert_msg(ln__graph_fold(&p.folded, g, keep, n_keep, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(p.folded->n_nodes, folded);
    ck_assert_msg(ln__graph_fuse(&p.fused, p.folded, keep, n_keep, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(p.fused->n_nodes, fused);
    for (int64_t rows = 1; rows <= 3; rows += 2) {
        for (int32_t i = 0; i < g->n_outputs; i++) {
            same_numbers(g, p.folded, g->outputs[i], rows);
            same_numbers(g, p.fused, g->outputs[i], rows);
        }
        for (int32_t i = 0; i < n_keep; i++)
            same_numbers(g, p.fused, keep[i], rows);
    }
    return p;
}

static void release(passed p)
{
    ln__graph_free(p.fused);
    ln__graph_free(p.folded);
}

START_TEST(batchnorm_goes_into_the_convolution)
{
    int32_t v = batchnorm(conv(x, 5, 3), 5);
    passed p;

    v = binary(LN__MUL, v, random_f32(DIMS(1, 5, 1, 1), false));
    v = binary(LN__SUB, scalar(3.0f), v);
    v = binary(LN__DIV, v, scalar(2.0f));
    build_output(g, unary(LN__RELU, 0, 0, v));
    p = pass(NULL, 0, 2, 1);
    ck_assert_int_eq(p.fused->nodes[0].n_in, 4);
    ck_assert_ptr_eq(p.fused->values[p.fused->nodes[0].in[1]].constant->data, g->values[g->nodes[0].in[1]].constant->data);
    ck_assert_int_eq(p.fused->nodes[0].u.conv.window.auto_pad, LN__PAD_GIVEN);
    release(p);
}
END_TEST

START_TEST(batchnorm_without_a_convolution)
{
    int32_t v = unary(LN__RELU, 0, 0, batchnorm(binary(LN__MUL, x, x), 4));

    build_output(g, v);
    release(pass(NULL, 0, 3, 2));
}
END_TEST

START_TEST(what_others_read_is_not_folded)
{
    int32_t c = conv(x, 4, 3), v = batchnorm(c, 4);

    build_output(g, binary(LN__ADD, unary(LN__SIGMOID, 0, 0, c), v));
    release(pass(NULL, 0, 4, 4));
    g->n_nodes = g->n_outputs = 0;
    c = conv(x, 4, 3);
    build_output(g, unary(LN__RELU, 0, 0, batchnorm(c, 4)));
    release(pass(&c, 1, 3, 2));     /* kept for an exit: AFFINE with a RELU after it */
}
END_TEST

START_TEST(matrix_products_take_columns)
{
    ln__node *flat = NODE(g, FLATTEN, x), *m;
    int32_t v;

    flat->u.axis.axis = 1;
    m = NODE(g, MATMUL, flat->out[0], random_f32(DIMS(3, 144), false), random_f32(DIMS(1, 3), false));
    m->u.matmul.alpha = 0.5f;
    m->u.matmul.beta = 2.0f;
    m->u.matmul.trans_b = true;
    v = batchnorm(m->out[0], 3);
    build_output(g, unary(LN__TANH, 0, 0, binary(LN__ADD, v, random_f32(DIMS(3), false))));
    release(pass(NULL, 0, 3, 2));
}
END_TEST

START_TEST(identities_and_shape_arithmetic_vanish)
{
    ln__node *shape = NODE(g, SHAPE, x), *first = NODE(g, GATHER, shape->out[0], build_i64(g, I64S(0), 1)), *target, *id;
    int32_t v;

    target = NODE(g, CONCAT, first->out[0], build_i64(g, I64S(144), 1));
    id = NODE(g, IDENTITY, x);
    v = unary(LN__RELU, 0, 0, id->out[0]);
    v = NODE(g, RESHAPE, v, target->out[0])->out[0];
    v = NODE(g, CAST, v)->out[0];
    build_output(g, NODE(g, IDENTITY, v)->out[0]);
    release(pass(NULL, 0, 2, 2));
    g->n_nodes = g->n_outputs = 0;
    build_output(g, NODE(g, IDENTITY, x)->out[0]);      /* nobody else can make it */
    release(pass(NULL, 0, 1, 1));
}
END_TEST

/* One row would not miss the Expand. */
START_TEST(constants_repeated_for_each_row_stay_so)
{
    ln__node *shape = NODE(g, SHAPE, x), *first = NODE(g, GATHER, shape->out[0], build_i64(g, I64S(0), 1));
    ln__node *target = NODE(g, CONCAT, first->out[0], build_i64(g, I64S(1, 6, 6), 3));
    ln__node *token = NODE(g, EXPAND, random_f32(DIMS(1, 1, 6, 6), false), target->out[0]);
    ln__node *both = NODE(g, CONCAT, token->out[0], x);

    both->u.axis.axis = 1;
    build_output(g, both->out[0]);
    release(pass(NULL, 0, 5, 5));
}
END_TEST

START_TEST(residuals_are_added_by_the_later_convolution)
{
    int32_t a = batchnorm(conv(x, 4, 3), 4), b = batchnorm(conv(unary(LN__RELU, 0, 0, x), 4, 1), 4);
    passed p;

    build_output(g, unary(LN__RELU, 0, 0, binary(LN__ADD, a, b)));
    p = pass(NULL, 0, 5, 3);
    ck_assert_int_eq(p.fused->nodes[2].n_post, 2);
    ck_assert_int_eq(p.fused->nodes[2].post[0].kind, LN__POST_ADD);
    ck_assert_int_eq(p.fused->nodes[2].post[0].value, p.fused->nodes[0].out[0]);
    release(p);
}
END_TEST

START_TEST(a_convolution_moves_behind_what_it_adds)
{
    int32_t a = conv(x, 4, 3), b = unary(LN__SIGMOID, 0, 0, unary(LN__ABS, 0, 0, x));
    passed p;

    build_output(g, binary(LN__ADD, a, b));
    p = pass(NULL, 0, 4, 3);
    ck_assert_int_eq(p.fused->nodes[2].op, LN__CONV);
    release(p);
}
END_TEST

START_TEST(a_convolution_adds_only_once)
{
    int32_t v = conv(x, 4, 3);

    for (int i = 0; i < 3; i++)
        v = unary(LN__RELU, 0, 0, binary(LN__ADD, v, x));
    build_output(g, v);
    release(pass(NULL, 0, 7, 3));
}
END_TEST

START_TEST(rows_of_one_are_no_residual)
{
    build_output(g, binary(LN__ADD, conv(x, 4, 3), random_f32(DIMS(1, 4, 6, 6), false)));
    release(pass(NULL, 0, 2, 2));
}
END_TEST

/* x + 3 -> clip -> / 6 and its relatives, the GELU with erf. */
static int32_t clipped(int32_t v)
{
    return unary(LN__CLIP, 0, 6, binary(LN__ADD, v, scalar(3)));
}

static int32_t erf_part(int32_t v)
{
    return binary(LN__ADD, unary(LN__ERF, 0, 0, binary(LN__DIV, v, scalar(1.41421356f))), scalar(1));
}

static int32_t spelt_out(int which, int32_t c)
{
    switch (which) {
    case 0:  return binary(LN__DIV, binary(LN__MUL, c, clipped(c)), scalar(6));
    case 1:  return binary(LN__MUL, c, binary(LN__DIV, clipped(c), scalar(6)));
    case 2:  return binary(LN__MUL, binary(LN__MUL, clipped(c), scalar(1.0f / 6)), c);
    case 3:  return binary(LN__DIV, clipped(c), scalar(6));
    case 4:  return binary(LN__MUL, c, unary(LN__SIGMOID, 0, 0, c));
    case 5:  return binary(LN__MUL, c, unary(LN__HARD_SIGMOID, 1.0f / 6, 0.5f, c));
    case 6:  return binary(LN__MUL, binary(LN__MUL, c, erf_part(c)), scalar(0.5f));
    case 7:  return binary(LN__MUL, binary(LN__MUL, c, scalar(0.5f)), erf_part(c));
    default: return binary(LN__MUL, c, binary(LN__MUL, erf_part(c), scalar(0.5f)));
    }
}

START_TEST(activations_written_out)
{
    static const ln__unary want[] = { LN__HARD_SWISH, LN__HARD_SWISH, LN__HARD_SWISH, LN__HARD_SIGMOID, LN__SWISH, LN__HARD_SWISH,
                                      LN__GELU, LN__GELU, LN__GELU };
    passed p;

    build_output(g, spelt_out(_i, conv(x, 4, 3)));
    p = pass(NULL, 0, 2, 1);
    ck_assert_int_eq(p.fused->nodes[0].post[0].unary, want[_i]);
    release(p);
}
END_TEST

START_TEST(pads_go_into_the_convolution)
{
    ln__node *pad = NODE(g, PAD, x, build_i64(g, I64S(0, 0, 1, 2, 0, 0, 3, 0), 8)), *c;

    c = NODE(g, CONV, pad->out[0], random_f32(DIMS(4, 4, 3, 3), false));
    c->u.conv.group = 1;
    build_output(g, c->out[0]);
    release(pass(NULL, 0, 2, 1));
    g->n_nodes = g->n_outputs = 0;
    pad = NODE(g, PAD, x, build_i64(g, I64S(0, 0, 1, 2, 0, 0, 3, 0), 8), scalar(1));
    c = NODE(g, CONV, pad->out[0], random_f32(DIMS(4, 4, 3, 3), false));
    c->u.conv.group = 1;
    build_output(g, c->out[0]);
    release(pass(NULL, 0, 2, 2));
}
END_TEST

/* ---- Stages and costs ----------------------------------------------------------------------- */

static bool has(const int32_t *list, int32_t n, int32_t v)
{
    for (int32_t i = 0; i < n; i++)
        if (list[i] == v)
            return true;
    return false;
}

START_TEST(stages_carry_what_jumps_over)
{
    int32_t a = unary(LN__RELU, 0, 0, x), b = conv(a, 4, 3), side = unary(LN__ABS, 0, 0, a), c = conv(b, 4, 3);
    int32_t end = binary(LN__ADD, binary(LN__ADD, c, side), a), unread = unary(LN__NEG, 0, 0, x);
    const int32_t at[] = { b, c }, wrong[] = { c, b };
    ln__cut *cut = NULL;
    ln_error err;

    build_output(g, end);
    ck_assert_int_eq(ln__graph_cut(&cut, g, at, 2, &err), LN_OK);
    ck_assert_int_eq(cut->n_stages, 3);
    ck_assert_int_eq(cut->stages[0].last, 2);       /* relu, conv; abs is for the last stage */
    ck_assert(cut->stages[0].n_in == 1 && cut->stages[0].in[0] == x);
    ck_assert(cut->stages[0].n_out == 2 && cut->stages[0].out[0] == b && cut->stages[0].out[1] == a);
    ck_assert(cut->stages[1].n_in == 2 && has(cut->stages[1].in, 2, a) && has(cut->stages[1].in, 2, b));
    ck_assert(cut->stages[1].n_out == 2 && cut->stages[1].out[0] == c && cut->stages[1].out[1] == a);
    ck_assert(cut->stages[2].n_in == 2 && cut->stages[2].n_out == 1 && cut->stages[2].out[0] == end);
    ck_assert_int_eq(cut->stages[2].last, 6);
    ck_assert(!has(cut->order, 6, g->values[unread].producer));
    ln__cut_free(cut, &ctx);
    ck_assert_int_eq(ln__graph_cut(&cut, g, wrong, 2, &err), LN_E_ARGUMENT);
    ck_assert_int_eq(ln__graph_cut(&cut, g, &x, 1, &err), LN_E_ARGUMENT);
}
END_TEST

START_TEST(costs_places_and_the_classifier)
{
    int32_t a = unary(LN__RELU, 0, 0, conv(x, 4, 3)), b = binary(LN__ADD, conv(a, 4, 3), a), pooled = NODE(g, POOL, b)->out[0];
    ln__node *flat = NODE(g, FLATTEN, pooled), *fc;
    ln__candidate *list;
    ln__shapes *s = NULL;
    int32_t n;

    g->nodes[g->values[pooled].producer].u.pool.average = true;
    flat->u.axis.axis = 1;
    fc = NODE(g, MATMUL, flat->out[0], random_f32(DIMS(4, 10), false), random_f32(DIMS(10), false));
    fc->u.matmul.alpha = fc->u.matmul.beta = 1.0f;
    fc = &g->nodes[g->values[fc->out[0]].producer];
    build_output(g, NODE(g, SOFTMAX, fc->out[0])->out[0]);
    ck_assert_ptr_eq(&g->nodes[ln__graph_classifier(g)], fc);
    ck_assert_int_eq(ln__shapes_infer(&s, g, 1, NULL), LN_OK);
    ck_assert_uint_eq(ln__node_cost(g, s, 0).macs, 36 * 4 * 4 * 9);
    ck_assert_uint_eq(ln__node_cost(g, s, 0).params, 4 * 4 * 9 + 4);
    ck_assert_uint_eq(ln__node_cost(g, s, ln__graph_classifier(g)).macs, 40);
    ck_assert_uint_eq(ln__node_cost(g, s, ln__graph_classifier(g)).params, 50);
    ck_assert_int_eq(ln__graph_candidates(&list, &n, g, &g->arena, NULL), LN_OK);
    ck_assert_int_eq(n, 2);
    ck_assert(list[0].value == a && list[1].value == b && list[1].before.macs == 2 * 36 * 4 * 4 * 9);
    ln__shapes_free(s, &ctx);
}
END_TEST

/* ---- Size and memory -------------------------------------------------------------------------- */

static void long_chain(int32_t n, bool fan_out)
{
    g->values = ln__arena_calloc(&g->arena, (size_t)n + 8, sizeof *g->values);
    g->nodes = ln__arena_calloc(&g->arena, (size_t)n + 8, sizeof *g->nodes);
    ck_assert(g->values != NULL && g->nodes != NULL);
    g->values[0] = (ln__value){ .name = "x", .producer = -1 };
    g->n_values = 1;
    for (int32_t i = 0; i < n; i++) {
        ln__node *node = &g->nodes[i];
        *node = (ln__node){ .op = i % 2 == 0 ? LN__IDENTITY : LN__UNARY, .name = "", .type = "", .n_in = 1, .n_out = 1 };
        node->in = ln__arena_alloc(&g->arena, sizeof *node->in);
        node->out = ln__arena_alloc(&g->arena, sizeof *node->out);
        node->in[0] = fan_out ? 0 : g->n_values - 1;
        node->out[0] = g->n_values;
        g->values[g->n_values++] = (ln__value){ .name = "", .producer = i };
    }
    g->n_nodes = n;
    build_output(g, g->n_values - 1);
}

START_TEST(long_graphs_take_linear_time)
{
    double start = ln__now();
    ln__graph *folded, *fused;
    ln__cut *cut;
    int32_t at, n;
    ln__candidate *list;

    long_chain(100000, _i == 1);
    ck_assert_int_eq(ln__graph_fold(&folded, g, NULL, 0, NULL), LN_OK);
    ck_assert_int_eq(folded->n_nodes, _i == 1 ? 1 : 50000);
    ck_assert_int_eq(ln__graph_fuse(&fused, folded, NULL, 0, NULL), LN_OK);
    at = fused->nodes[fused->n_nodes / 2].out[0];
    ck_assert_int_eq(ln__graph_cut(&cut, fused, &at, 1, NULL), LN_OK);
    ck_assert_int_eq(ln__graph_candidates(&list, &n, fused, &fused->arena, NULL), LN_OK);
    ln__cut_free(cut, &ctx);
    ln__graph_free(fused);
    ln__graph_free(folded);
    ck_assert(ln__now() - start < 20.0);
}
END_TEST

START_TEST(every_failed_allocation_is_survived)
{
    int32_t a = batchnorm(conv(x, 4, 3), 4), end = unary(LN__RELU, 0, 0, binary(LN__ADD, a, x));
    ln_status st = LN_E_NOMEM;
    size_t before = h.blocks;

    end = NODE(g, RESHAPE, end, build_i64(g, I64S(-1, 144), 2))->out[0];
    build_output(g, end);
    for (size_t n = 1; st != LN_OK; n++) {
        ln__graph *folded = NULL, *fused = NULL;
        ln__cut *cut = NULL;
        h.calls = 0;
        h.fail_at = n;
        st = ln__graph_fold(&folded, g, NULL, 0, NULL);
        if (st == LN_OK)
            st = ln__graph_fuse(&fused, folded, NULL, 0, NULL);
        if (st == LN_OK)
            st = ln__graph_cut(&cut, fused, &fused->nodes[0].out[0], 1, NULL);
        ck_assert_msg(st == LN_OK || st == LN_E_NOMEM, "allocation %zu: %d", n, (int)st);
        ln__cut_free(cut, &ctx);
        ln__graph_free(fused);
        ln__graph_free(folded);
        ck_assert_uint_eq(h.blocks, before);
        ck_assert_uint_lt(n, 1000);
    }
    h.fail_at = 0;
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph passes");
    TCase *c = tcase_create("passes");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, batchnorm_goes_into_the_convolution);
    tcase_add_test(c, batchnorm_without_a_convolution);
    tcase_add_test(c, what_others_read_is_not_folded);
    tcase_add_test(c, matrix_products_take_columns);
    tcase_add_test(c, identities_and_shape_arithmetic_vanish);
    tcase_add_test(c, constants_repeated_for_each_row_stay_so);
    tcase_add_test(c, residuals_are_added_by_the_later_convolution);
    tcase_add_test(c, a_convolution_moves_behind_what_it_adds);
    tcase_add_test(c, a_convolution_adds_only_once);
    tcase_add_test(c, rows_of_one_are_no_residual);
    tcase_add_loop_test(c, activations_written_out, 0, 9);
    tcase_add_test(c, pads_go_into_the_convolution);
    tcase_add_test(c, stages_carry_what_jumps_over);
    tcase_add_test(c, costs_places_and_the_classifier);
    tcase_add_loop_test(c, long_graphs_take_linear_time, 0, 2);
    tcase_add_test(c, every_failed_allocation_is_survived);
    suite_add_tcase(s, c);
    return run_suite(s);
}
