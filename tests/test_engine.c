/* Plans against the slow reference: every kernel a convolution may get, every
 * layout, rows 1 to 8, memory shared in place. */
#include "engine/plan.h"
#include "engine_reference.h"
#include "graph_build.h"
#include "run_suite.h"

static ln__ctx ctx;
static ln__graph *g;

static void setup(void)
{
    ctx = ln__ctx_make(NULL, NULL, NULL);
    g = build_new(&ctx, 1 << 28);
}

/* ---- Running both ways ----------------------------------------------------------- */

static float *random_floats(int64_t n, uint64_t seed)
{
    ln__rng rng = ln__rng_make(seed, 1);
    float *data = malloc((size_t)n * sizeof *data + 64);
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)ln__rng_double(&rng) * 2.0F - 1.0F;
    return data;
}

/* Weights are scaled so that sums keep their size. */
static int32_t constant(const int64_t *dims, int32_t rank, uint64_t seed)
{
    ln__tensor t = build_type(LN__F32, dims, rank);
    int64_t n = reference_count(&t);
    float *data = random_floats(n, seed);
    for (int64_t i = 0; rank > 1 && i < n; i++)
        data[i] *= sqrtf(3.0F * (float)dims[0] / (float)n);
    int32_t v = build_f32(g, data, dims, rank);
    free(data);
    return v;
}

/* A plain tensor into a view's layout and back; padding lanes zero. */
static void to_view(const ln__view *v, const float *plain, float *data)
{
    size_t row = ln__view_row_floats(v);
    memset(data, 0, row * (size_t)v->rows * sizeof *data);
    for (int64_t r = 0; r < v->rows; r++)
        for (int64_t c = 0; c < v->channels; c++)
            for (int64_t p = 0; p < v->spatial; p++)
                data[r * (int64_t)row + (c / v->block * v->spatial + p) * v->block + c % v->block]
                    = plain[(r * v->channels + c) * v->spatial + p];
}

static void compare(const ln__view *v, const float *data, const float *want, float tolerance, const char *what)
{
    size_t row = ln__view_row_floats(v);
    float largest = 1e-6F;
    for (int64_t i = 0; i < v->rows * v->channels * v->spatial; i++)
        largest = fmaxf(largest, fabsf(want[i]));
    for (int64_t r = 0; r < v->rows; r++)
        for (int64_t c = 0; c < (v->channels + v->block - 1) / v->block * v->block; c++)
            for (int64_t p = 0; p < v->spatial; p++) {
                float got = data[r * (int64_t)row + (c / v->block * v->spatial + p) * v->block + c % v->block];
                float expected = c < v->channels ? want[(r * v->channels + c) * v->spatial + p] : 0.0F;
                if (!(fabsf(got - expected) <= tolerance * largest))
                    ck_abort_msg("%s: row %lld channel %lld pixel %lld: got %.7g, want %.7g (block %lld)", what,
                                 (long long)r, (long long)c, (long long)p, (double)got, (double)expected, (long long)v->block);
            }
}

typedef struct { int32_t in[8], n_in, out[8], n_out, first, last; } stage;

/* Runs nodes [first, last) on values of the reference and compares what comes out. */
static void run_stage(ln__engine *engine, const stage *s, const ln__tensor *of, int64_t rows, float tolerance, const char *what)
{
    int32_t order[BUILD_NODES];
    float *in[8] = { 0 }, *out[8] = { 0 };
    ln__plan *plan = NULL;
    ln_error err = { 0 };
    ln__view v;

    for (int32_t i = s->first; i < s->last; i++)
        order[i - s->first] = i;
    ln__part part = { order, s->last - s->first, s->in, s->n_in, s->out, s->n_out };
    ck_assert_msg(ln__plan_make(&plan, engine, &part, rows, rows == 2 ? 2 : 1, &err) == LN_OK, "%s: %s", what, err.text);
    for (size_t i = 0; i < plan->n_steps; i++)      /* oneDNN's reference kernels are told, whatever it calls them */
        ck_assert_msg(plan->steps[i].reference || !strstr(plan->steps[i].text, "ref"), "%s: %s", what, plan->steps[i].text);
    for (int32_t i = 0; i < s->n_in; i++) {
        ck_assert(ln__engine_view(&v, engine, s->in[i], rows, &err) == LN_OK);
        in[i] = malloc((size_t)v.rows * ln__view_row_floats(&v) * sizeof(float) + 64);
        to_view(&v, of[s->in[i]].data, in[i]);
    }
    for (int32_t i = 0; i < s->n_out; i++) {
        ck_assert(ln__engine_view(&v, engine, s->out[i], rows, &err) == LN_OK);
        out[i] = malloc((size_t)v.rows * ln__view_row_floats(&v) * sizeof(float) + 64);
    }
    void *arena = ln__alloc(&ctx, ln__plan_arena(plan) + 64);
    memset(arena, 0x7f, ln__plan_arena(plan));      /* what is not written shows */
    ck_assert_msg(ln__plan_run(plan, arena, in, out, &err) == LN_OK, "%s: %s", what, err.text);
    for (int32_t i = 0; i < s->n_out; i++) {
        bool carried = false;
        for (int32_t k = 0; k < s->n_in; k++)
            carried = carried || s->in[k] == s->out[i];
        if (carried)
            continue;
        ck_assert(ln__engine_view(&v, engine, s->out[i], rows, &err) == LN_OK);
        compare(&v, out[i], of[s->out[i]].data, tolerance, what);
    }
    /* Carried values and the graph's own inputs are as they were. */
    for (int32_t i = 0; i < s->n_in; i++) {
        bool kept = of[s->in[i]].data && engine->graph->values[s->in[i]].producer < 0;
        for (int32_t k = 0; k < s->n_out; k++)
            kept = kept || s->out[k] == s->in[i];
        ck_assert(ln__engine_view(&v, engine, s->in[i], rows, &err) == LN_OK);
        if (kept)
            compare(&v, in[i], of[s->in[i]].data, 0.0F, "kept input");
        free(in[i]);
    }
    for (int32_t i = 0; i < s->n_out; i++)
        free(out[i]);
    ln__free(&ctx, arena);
    ln__plan_free(plan);
}

static ln__tensor *reference(int64_t rows)
{
    ln__shapes *shapes;
    ln_error err = { 0 };
    ck_assert_msg(ln__shapes_infer(&shapes, g, rows, &err) == LN_OK, "%s", err.text);
    ln__tensor *of = calloc((size_t)g->n_values, sizeof *of);
    for (int32_t v = 0; v < g->n_values; v++) {
        of[v] = shapes->of[v];
        if (!g->values[v].constant)
            of[v].data = NULL;
    }
    for (int32_t i = 0; i < g->n_inputs; i++)
        of[g->inputs[i].value].data = random_floats(reference_count(&of[g->inputs[i].value]), (uint64_t)(77 + i));
    reference_run(g, of);
    ln__shapes_free(shapes, &ctx);
    return of;
}

static void reference_free(ln__tensor *of)
{
    for (int32_t v = 0; v < g->n_values; v++)
        if (!g->values[v].constant)
            free((void *)(uintptr_t)of[v].data);
    free(of);
}

static const int64_t counts[] = { 1, 2, 8 };

/* The whole graph, and cut at `cut` (values, node numbers where stages end), for one kind of convolution. */
static void check_with(const stage *stages, int32_t n_stages, char choice, float tolerance, ln__tensor *const *of)
{
    ln__engine *engine = NULL;
    ln_error err = { 0 };
    char what[32];
    ck_assert_msg(ln__engine_make(&engine, &ctx, g, &err) == LN_OK, "%s", err.text);
    if (choice)
        for (int32_t i = 0; i < g->n_nodes; i++)
            engine->choice[i] = g->nodes[i].op == LN__CONV ? choice : 0;
    else
        ck_assert(ln__choice_rule(engine, &err) == LN_OK);
    ln__layout_assign(engine);
    for (size_t i = 0; i < LN__COUNT(counts); i++) {
        snprintf(what, sizeof what, "kind %c, rows %d", choice ? choice : 'r', (int)counts[i]);
        for (int32_t s = 0; s < n_stages; s++)
            run_stage(engine, &stages[s], of[i], counts[i], tolerance, what);
    }
    ln__engine_release(engine);
}

static void check_stages(const stage *stages, int32_t n)
{
    static const char choices[] = { LN__DIRECT, LN__TILED, LN__WINOGRAD, LN__WINOGRAD_2, LN__NHWC, LN__ROWS, 0 };
    ln__tensor *of[LN__COUNT(counts)];
    for (size_t i = 0; i < LN__COUNT(counts); i++)
        of[i] = reference(counts[i]);
    for (size_t i = 0; i < LN__COUNT(choices); i++)
        check_with(stages, n, choices[i], 2e-5F, of);
    for (size_t i = 0; i < LN__COUNT(counts); i++)
        reference_free(of[i]);
}

static void check_graph(int32_t out)
{
    stage whole = { .n_in = g->n_inputs, .out = { out }, .n_out = 1, .first = 0, .last = g->n_nodes };
    for (int32_t i = 0; i < g->n_inputs; i++)
        whole.in[i] = g->inputs[i].value;
    build_output(g, out);
    check_stages(&whole, 1);
    ln__graph_free(g);
    g = build_new(&ctx, 1 << 28);
}

/* ---- Pieces of networks ----------------------------------------------------------------- */

static ln__node *conv(int32_t x, int64_t from, int64_t to, int64_t kernel, int64_t stride, int64_t group)
{
    int32_t w = constant(DIMS(to, from / group, kernel, kernel), (uint64_t)(to + kernel));
    int32_t b = constant(DIMS(to), 5), s = constant(DIMS(to), 6);
    ln__node *n = NODE(g, CONV, x, w, b, s);
    n->u.conv.group = group;
    n->u.conv.has_kernel = true;
    n->u.conv.window = (ln__window){ .spatial = 2, .kernel = { kernel, kernel }, .stride = { stride, stride },
                                     .dilation = { 1, 1 }, .pad_begin = { kernel / 2, kernel / 2 },
                                     .pad_end = { kernel / 2, kernel / 2 } };
    return n;
}

static void post_unary(ln__node *n, ln__unary kind, float a, float b)
{
    n->post[n->n_post++] = (ln__post){ .kind = LN__POST_UNARY, .unary = kind, .a = a, .b = b };
}

static void post_add(ln__node *n, int32_t value)
{
    n->post[n->n_post++] = (ln__post){ .kind = LN__POST_ADD, .value = value };
}

static int32_t input(int64_t channels, int64_t side)
{
    return build_input(g, "input", DIMS(-1, channels, side, side));
}

START_TEST(convolutions_of_many_shapes)
{
    static const struct { int64_t from, to, kernel, stride, group, side; } cases[] = {
        { 3, 64, 7, 2, 1, 17 }, { 3, 20, 3, 1, 1, 9 }, { 1, 16, 5, 1, 1, 12 }, { 4, 6, 3, 1, 1, 8 },
        { 32, 64, 3, 1, 1, 14 }, { 64, 64, 3, 1, 1, 7 }, { 64, 48, 1, 1, 1, 7 }, { 48, 24, 1, 2, 1, 9 },
        { 40, 72, 1, 1, 1, 1 }, { 24, 24, 3, 1, 24, 10 }, { 32, 32, 3, 2, 32, 11 }, { 64, 64, 3, 1, 4, 8 },
        { 24, 36, 3, 1, 12, 6 }, { 256, 128, 3, 1, 1, 4 }, { 128, 128, 3, 1, 1, 2 }, { 20, 33, 3, 2, 1, 5 },
        { 32, 112, 1, 1, 1, 17 }, { 32, 176, 3, 2, 1, 15 }, { 16, 16, 5, 1, 1, 9 }, { 640, 48, 1, 1, 1, 5 },
        { 96, 64, 3, 1, 1, 6 }, { 16, 32, 3, 1, 1, 23 },
    };
    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        int32_t x = input(cases[i].from, cases[i].side);
        /* What comes before gives the value a layout of its own. */
        if (cases[i].from > 3)
            x = conv(x, cases[i].from, cases[i].from, 1, 1, 1)->out[0];
        ln__node *n = conv(x, cases[i].from, cases[i].to, cases[i].kernel, cases[i].stride, cases[i].group);
        post_unary(n, LN__RELU, 0, 0);
        check_graph(n->out[0]);
    }
}
END_TEST

/* Uneven padding and dilation, behind which sums of many channels begin with a shortcut. */
START_TEST(convolutions_with_windows_of_all_kinds)
{
    static const ln__window windows[] = {
        { .kernel = { 3, 3 }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { 0, 2 }, .pad_end = { 1, 0 } },
        { .kernel = { 3, 3 }, .stride = { 2, 1 }, .dilation = { 1, 2 }, .pad_begin = { 1, 3 }, .pad_end = { 0, 1 } },
        { .kernel = { 2, 5 }, .stride = { 1, 3 }, .dilation = { 3, 1 }, .pad_begin = { 0, 0 }, .pad_end = { 0, 0 } },
        { .kernel = { 1, 3 }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { 0, 1 }, .pad_end = { 0, 1 } },
        { .kernel = { 1, 1 }, .stride = { 2, 3 }, .dilation = { 1, 1 }, .pad_begin = { 2, 0 }, .pad_end = { 0, 2 } },
        { .kernel = { 3, 3 }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { 2, 2 }, .pad_end = { 2, 2 } },
        { .kernel = { 3, 3 }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { 0, 0 }, .pad_end = { 0, 0 } },
    };
    for (size_t i = 0; i < LN__COUNT(windows); i++) {
        int32_t x = conv(input(3, 9), 3, 80, 1, 1, 1)->out[0], shortcut = -1;
        for (int k = 0; k < 2; k++) {
            ln__node *n = conv(x, 80, 64, 1, 1, 1);
            n->u.conv.window = windows[i];
            n->u.conv.window.spatial = 2;
            n->in[1] = constant(DIMS(64, 80, windows[i].kernel[0], windows[i].kernel[1]), (uint64_t)(k + 3));
            if (k)
                post_add(n, shortcut);
            post_unary(n, LN__RELU, 0, 0);
            shortcut = n->out[0];
        }
        check_graph(shortcut);
    }
}
END_TEST

START_TEST(convolutions_over_one_and_three_dimensions)
{
    int32_t x = build_input(g, "input", DIMS(-1, 16, 11)), w = constant(DIMS(24, 16, 3), 1);
    ln__node *n = NODE(g, CONV, x, w);
    n->u.conv.group = 1;
    n->u.conv.window = (ln__window){ .spatial = 1, .kernel = { 3 }, .stride = { 1 }, .dilation = { 2 },
                                     .pad_begin = { 3 }, .pad_end = { 1 } };
    check_graph(n->out[0]);
    x = build_input(g, "input", DIMS(-1, 8, 5, 6, 7));
    w = constant(DIMS(16, 8, 3, 3, 3), 2);
    n = NODE(g, CONV, x, w);
    n->u.conv.group = 1;
    n->u.conv.window = (ln__window){ .spatial = 3, .kernel = { 3, 3, 3 }, .stride = { 1, 2, 1 }, .dilation = { 1, 1, 1 },
                                     .pad_begin = { 1, 0, 1 }, .pad_end = { 1, 2, 0 } };
    check_graph(n->out[0]);
    /* All that the one plane reads lies before the input's. */
    x = build_input(g, "input", DIMS(-1, 16, 1, 6, 7));
    w = constant(DIMS(16, 16, 1, 3, 3), 3);
    n = NODE(g, CONV, x, w);
    n->u.conv.group = 1;
    n->u.conv.window = (ln__window){ .spatial = 3, .kernel = { 1, 3, 3 }, .stride = { 2, 1, 1 }, .dilation = { 1, 1, 1 },
                                     .pad_begin = { 1, 1, 1 }, .pad_end = { 0, 1, 1 } };
    check_graph(n->out[0]);
}
END_TEST

/* A copy with zeros around it would take gigabytes. */
START_TEST(dilations_may_be_large)
{
    int32_t x = build_input(g, "input", DIMS(-1, 16, 8, 8)), w = constant(DIMS(16, 16, 2, 2), 1);
    ln__node *n = NODE(g, CONV, x, w);
    n->u.conv.group = 1;
    n->u.conv.window = (ln__window){ .spatial = 2, .kernel = { 2, 2 }, .stride = { 1, 1 }, .dilation = { 9000, 9000 },
                                     .pad_begin = { 9000, 9000 } };
    check_graph(n->out[0]);
}
END_TEST

START_TEST(activations_follow_convolutions)
{
    static const struct { ln__unary kind; float a, b; } kinds[] = {
        { LN__RELU, 0, 0 }, { LN__LEAKY_RELU, .1F, 0 }, { LN__CLIP, -.5F, .75F }, { LN__CLIP, 0, INFINITY },
        { LN__SIGMOID, 0, 0 }, { LN__HARD_SIGMOID, .2F, .5F }, { LN__HARD_SWISH, 0, 0 }, { LN__SWISH, 0, 0 },
        { LN__TANH, 0, 0 }, { LN__ELU, .7F, 0 }, { LN__GELU, 0, 0 }, { LN__ERF, 0, 0 }, { LN__SOFTPLUS, 0, 0 },
    };
    for (size_t i = 0; i < 2 * LN__COUNT(kinds); i++) {
        int64_t channels = i % 2 ? 32 : 20;
        ln__node *n = conv(conv(input(6, 5), 6, channels, 3, 1, 1)->out[0], channels, channels, 3, 1, 1);
        post_unary(n, kinds[i / 2].kind, kinds[i / 2].a, kinds[i / 2].b);
        /* Another one reads 20 of 32 lanes: the others must be zero. */
        ln__node *m = conv(n->out[0], channels, 18, 3, 1, 1);
        ln__node *u = NODE(g, UNARY, m->out[0]);
        u->u.unary.kind = kinds[i / 2].kind;
        u->u.unary.a = kinds[i / 2].a;
        u->u.unary.b = kinds[i / 2].b;
        check_graph(conv(u->out[0], 18, 4, 1, 1, 1)->out[0]);
    }
}
END_TEST

/* A chain of residual blocks; every second one reads its own shortcut again. */
START_TEST(residuals_are_added_in_place)
{
    int32_t x = conv(input(3, 10), 3, 32, 3, 1, 1)->out[0];
    for (int i = 0; i < 4; i++) {
        ln__node *a = conv(x, 32, 32, 3, 1, 1);
        post_unary(a, LN__RELU, 0, 0);
        ln__node *b = conv(a->out[0], 32, 32, i % 2 ? 1 : 3, 1, 1);
        post_add(b, x);
        if (i != 2)
            post_unary(b, LN__RELU, 0, 0);
        if (i == 3) {
            post_add(b, a->out[0]);
            post_unary(b, LN__TANH, 0, 0);
        }
        x = b->out[0];
    }
    /* The added value is the input as well: all of it is read for every output. */
    x = conv(x, 32, 112, 1, 1, 1)->out[0];
    ln__node *own = conv(x, 112, 112, 1, 1, 1);
    post_add(own, x);
    check_graph(conv(own->out[0], 112, 16, 1, 1, 1)->out[0]);
}
END_TEST

START_TEST(pooling)
{
    static const struct { int64_t kernel, stride, begin, end, dilation; bool average, count, ceil; } cases[] = {
        { 3, 2, 1, 1, 1, false, false, false }, { 2, 2, 0, 0, 1, false, false, true }, { 3, 2, 0, 0, 1, true, true, true },
        { 3, 2, 1, 1, 1, true, true, true }, { 3, 1, 1, 1, 1, true, false, false }, { 3, 2, 1, 0, 2, false, false, false },
        { 9, 1, 0, 0, 1, true, false, false }, { 9, 1, 0, 0, 1, false, false, false },
    };
    static const int64_t channels[] = { 32, 20, 6 };
    for (size_t i = 0; i < LN__COUNT(cases); i++)
        for (size_t c = 0; c < LN__COUNT(channels); c++) {
            ln__node *before = conv(input(3, 9), 3, channels[c], 3, 1, 1);
            ln__node *n = NODE(g, POOL, before->out[0]);
            n->u.pool.average = cases[i].average;
            n->u.pool.count_include_pad = cases[i].count;
            n->u.pool.window = (ln__window){ .spatial = 2, .kernel = { cases[i].kernel, cases[i].kernel },
                .stride = { cases[i].stride, cases[i].stride }, .dilation = { cases[i].dilation, cases[i].dilation },
                .pad_begin = { cases[i].begin, cases[i].begin }, .pad_end = { cases[i].end, cases[i].end },
                .ceil_mode = cases[i].ceil };
            post_unary(n, LN__TANH, 0, 0);
            check_graph(conv(n->out[0], channels[c], 5, 1, 1, 1)->out[0]);
        }
}
END_TEST

/* Channel 0 has nothing else in its first window, channel 1 + i one in the i-th place of the last. */
START_TEST(largest_of_a_window_with_nan_is_nan)
{
    static const int64_t blocks[] = { 1, 8, 16 };
    for (size_t i = 0; i < LN__COUNT(blocks); i++) {
        float x[16 * 16], y[16 * 4];
        ln__view vx = { x, 1, 16, 16, blocks[i] }, vy = { y, 1, 16, 4, blocks[i] };
        ln__job job = { .x = x, .y = y, .gx = ln__grid_of(&vx), .gy = ln__grid_of(&vy), .kernel = { 1, 2, 2 }, .stride = { 1, 2, 2 },
                        .dilation = { 1, 1, 1 }, .in = { 1, 4, 4 }, .out = { 1, 2, 2 } };
        for (int64_t c = 0; c < 16; c++)
            for (int64_t p = 0; p < 16; p++) {
                bool first = p % 4 < 2 && p / 4 < 2;
                bool odd = c == 0 ? first : p == 10 + (c - 1) % 2 + (c - 1) / 2 * 4 && c < 5;
                x[(c / blocks[i] * 16 + p) * blocks[i] + c % blocks[i]] = odd ? NAN : -2.0F;
            }
        ln__kernel_pool(&job, 0, 1);
        for (int64_t c = 0; c < 16; c++)
            for (int64_t p = 0; p < 4; p++) {
                float got = y[(c / blocks[i] * 4 + p) * blocks[i] + c % blocks[i]];
                bool odd = c == 0 ? p == 0 : p == 3 && c < 5;
                ck_assert_msg(odd ? isnan(got) : got == -2.0F, "block %d, channel %d, window %d: %g", (int)blocks[i], (int)c, (int)p,
                              (double)got);
            }
    }
}
END_TEST

START_TEST(means_classifier_and_softmax)
{
    static const int64_t channels[] = { 32, 20 };
    static const ln__reduce kinds[] = { LN__MEAN, LN__MAX, LN__SUM };
    for (size_t c = 0; c < LN__COUNT(channels); c++)
        for (size_t k = 0; k < LN__COUNT(kinds); k++)
            for (int keep = 0; keep < 2; keep++) {
                ln__node *before = conv(input(3, 6), 3, channels[c], 3, 1, 1);
                ln__node *r = NODE(g, REDUCE, before->out[0]);
                r->u.reduce.kind = kinds[k];
                r->u.reduce.n_axes = 2;
                r->u.reduce.axes[0] = -1;
                r->u.reduce.axes[1] = 2;
                r->u.reduce.keepdims = keep;
                ln__node *f = NODE(g, FLATTEN, r->out[0]);
                f->u.axis.axis = 1;
                int32_t w = keep ? constant(DIMS(11, channels[c]), 3) : constant(DIMS(channels[c], 11), 3);
                ln__node *m = NODE(g, MATMUL, f->out[0], w, constant(DIMS(11), 4));
                m->u.matmul.alpha = keep ? 0.5F : 1.0F;
                m->u.matmul.beta = 2.0F;
                m->u.matmul.trans_b = keep;
                post_unary(m, LN__RELU, 0, 0);
                ln__node *s = NODE(g, SOFTMAX, m->out[0]);
                s->u.softmax.axis = 1;
                s->u.softmax.log = keep;
                check_graph(s->out[0]);
            }
}
END_TEST

START_TEST(local_response_normalisation)
{
    static const int64_t channels[] = { 32, 20 };
    for (int64_t size = 1; size < 8; size++)
        for (size_t c = 0; c < LN__COUNT(channels); c++) {
            ln__node *n = NODE(g, LRN, conv(input(3, 6), 3, channels[c], 3, 1, 1)->out[0]);
            n->u.lrn.size = size;
            n->u.lrn.alpha = 2.0F;
            n->u.lrn.beta = size == 7 ? 0.5F : 0.75F;
            n->u.lrn.bias = 1.0F;
            check_graph(conv(n->out[0], channels[c], 5, 1, 1, 1)->out[0]);
        }
}
END_TEST

START_TEST(flatten_of_maps)
{
    static const int64_t channels[] = { 32, 20 };
    for (size_t c = 0; c < LN__COUNT(channels); c++) {
        ln__node *before = conv(input(3, 4), 3, channels[c], 3, 1, 1);
        ln__node *f = NODE(g, RESHAPE, before->out[0], build_i64(g, I64S(0, -1), 2));
        int32_t w = constant(DIMS(70, channels[c] * 16), 3);
        ln__node *m = NODE(g, MATMUL, f->out[0], w);
        m->u.matmul.alpha = 1.0F;
        m->u.matmul.trans_b = true;
        check_graph(m->out[0]);
    }
}
END_TEST

/* Concatenations inside one another, as in densely connected networks; ragged
 * ones; parts that others read and change. */
START_TEST(concatenations)
{
    static const int64_t growth[] = { 16, 32, 12 };
    for (size_t k = 0; k < LN__COUNT(growth); k++) {
        int64_t n = growth[k], total = 2 * n;
        int32_t parts[6] = { conv(input(3, 6), 3, 2 * n, 3, 1, 1)->out[0] }, last = parts[0];
        for (int32_t i = 1; i < 4; i++) {
            int32_t s = constant(DIMS(total), 9), t = constant(DIMS(total), 10);
            ln__node *a = NODE(g, AFFINE, last, s, t);
            post_unary(a, LN__RELU, 0, 0);
            ln__node *b = conv(a->out[0], total, n, 3, 1, 1);
            parts[i] = b->out[0];
            ln__node *c = build_node(g, LN__CONCAT, "Concat", parts, i + 1, 1);
            c->u.axis.axis = 1;
            last = c->out[0];
            total += n;
        }
        ln__node *u = NODE(g, UNARY, parts[2]);
        u->u.unary.kind = LN__TANH;
        ln__node *c = NODE(g, CONCAT, last, u->out[0], parts[1]);
        c->u.axis.axis = 1;
        total += 2 * n;
        check_graph(conv(c->out[0], total, 8, 1, 1, 1)->out[0]);
    }
}
END_TEST

/* Squeeze and excitation, and other broadcasts. */
START_TEST(binaries_on_maps)
{
    static const ln__binary kinds[] = { LN__MUL, LN__ADD, LN__SUB, LN__DIV, LN__MAX_OF, LN__MIN_OF, LN__PRELU, LN__POW };
    static const int64_t channels[] = { 32, 20 };
    for (size_t i = 0; i < LN__COUNT(kinds); i++)
        for (size_t c = 0; c < LN__COUNT(channels); c++) {
            ln__node *x = conv(input(3, 5), 3, channels[c], 3, 1, 1);
            post_unary(x, LN__SIGMOID, 0, 0);
            ln__node *r = NODE(g, POOL, x->out[0]);
            r->u.pool.average = true;
            ln__node *e = conv(r->out[0], channels[c], channels[c], 1, 1, 1);
            post_unary(e, LN__SIGMOID, 0, 0);
            ln__node *n = i % 2 || kinds[i] == LN__PRELU ? NODE(g, BINARY, x->out[0], e->out[0]) : NODE(g, BINARY, e->out[0], x->out[0]);
            n->u.binary.kind = kinds[i];
            ln__node *k = NODE(g, BINARY, n->out[0], constant(DIMS(channels[c], 1, 1), 12));
            k->u.binary.kind = LN__ADD;
            ln__node *s = NODE(g, BINARY, build_f32(g, F32S(0.5F), I64S(0), 0), k->out[0]);
            s->u.binary.kind = LN__ADD;
            ln__node *same = NODE(g, BINARY, s->out[0], x->out[0]);
            same->u.binary.kind = kinds[i] == LN__POW ? LN__MUL : kinds[i];
            post_unary(same, LN__TANH, 0, 0);
            check_graph(conv(same->out[0], channels[c], 5, 1, 1, 1)->out[0]);
        }
}
END_TEST

/* A first dimension that counts no rows, along which constants may differ. */
START_TEST(constants_by_first_dimension_and_channel)
{
    static const int64_t channels[] = { 32, 20, 1 };
    for (size_t c = 0; c < LN__COUNT(channels); c++) {
        ln__node *x = conv(build_input(g, "input", DIMS(2, 3, 5, 5)), 3, channels[c], 3, 1, 1);
        ln__node *m = NODE(g, BINARY, x->out[0], constant(DIMS(2, channels[c], 1, 1), 12));
        m->u.binary.kind = LN__MUL;
        ln__node *s = NODE(g, BINARY, constant(DIMS(2, channels[c], 1, 1), 13), m->out[0]);
        s->u.binary.kind = LN__SUB;
        check_graph(conv(s->out[0], channels[c], 5, 1, 1, 1)->out[0]);
    }
}
END_TEST

/* Squeeze and excitation as exported for one row, which is squeezed away on the way. */
START_TEST(binaries_on_maps_of_a_rank_less)
{
    static const int64_t channels[] = { 32, 20 };
    for (int i = 0; i < 4; i++) {
        ln__node *x = conv(build_input(g, "input", DIMS(1, 3, 5, 5)), 3, channels[i / 2], 3, 1, 1), *r = NODE(g, POOL, x->out[0]);
        r->u.pool.average = true;
        ln__node *e = NODE(g, SQUEEZE, r->out[0], build_i64(g, I64S(0), 1));
        ln__node *n = i % 2 ? NODE(g, BINARY, e->out[0], x->out[0]) : NODE(g, BINARY, x->out[0], e->out[0]);
        n->u.binary.kind = LN__SUB;
        post_unary(n, LN__TANH, 0, 0);
        check_graph(conv(n->out[0], channels[i / 2], 5, 1, 1, 1)->out[0]);
    }
}
END_TEST

/* The shortcut of CIFAR's residual networks, and slices that begin inside a block. */
START_TEST(slices_splits_and_padding)
{
    ln__node *x = conv(input(3, 8), 3, 32, 3, 1, 1);
    ln__node *s = NODE(g, SLICE, x->out[0], build_i64(g, I64S(0, 0), 2), build_i64(g, I64S(INT64_MAX, INT64_MAX), 2),
                       build_i64(g, I64S(2, 3), 2), build_i64(g, I64S(2, 2), 2));
    ln__node *p = NODE(g, PAD, s->out[0], build_i64(g, I64S(0, 8, 0, 0, 0, 8, 0, 0), 8));
    ln__node *y = conv(x->out[0], 32, 48, 3, 2, 1);
    post_add(y, p->out[0]);
    post_unary(y, LN__RELU, 0, 0);
    check_graph(conv(y->out[0], 48, 5, 1, 1, 1)->out[0]);

    x = conv(input(3, 6), 3, 40, 3, 1, 1);
    ln__node *split = build_node(g, LN__SPLIT, "Split", IDS(x->out[0], build_i64(g, I64S(16, 20, 4), 3)), 3);
    split->u.axis.axis = 1;
    ln__node *back = NODE(g, SLICE, split->out[1], build_i64(g, I64S(-1, 1), 2), build_i64(g, I64S(-100, 5), 2),
                          build_i64(g, I64S(1, -1), 2), build_i64(g, I64S(-1, 1), 2));
    ln__node *spread = NODE(g, PAD, back->out[0], build_i64(g, I64S(0, -2, 1, 0, 0, 1, 0, 2), 8), build_f32(g, F32S(1.5F), I64S(0), 0));
    ln__node *c = NODE(g, CONCAT, conv(split->out[0], 16, 16, 1, 1, 1)->out[0], conv(split->out[2], 4, 7, 1, 1, 1)->out[0]);
    c->u.axis.axis = 1;
    ln__node *a = conv(c->out[0], 23, 6, 1, 1, 1), *b = conv(spread->out[0], 19, 6, 1, 1, 1);
    ln__node *edge = NODE(g, SLICE, b->out[0], build_i64(g, I64S(-100), 1), build_i64(g, I64S(INT64_MIN), 1), build_i64(g, I64S(3), 1),
                          build_i64(g, I64S(-2), 1));
    ln__node *fa = NODE(g, FLATTEN, a->out[0]), *fb = NODE(g, FLATTEN, b->out[0]), *fe = NODE(g, FLATTEN, edge->out[0]);
    fa->u.axis.axis = fb->u.axis.axis = fe->u.axis.axis = 1;
    ln__node *all = NODE(g, CONCAT, fa->out[0], fb->out[0], fe->out[0]);
    all->u.axis.axis = 1;
    check_graph(all->out[0]);
}
END_TEST

START_TEST(values_without_channels)
{
    ln__node *x = conv(input(3, 6), 3, 6, 3, 1, 1), *grouped = conv(x->out[0], 6, 6, 3, 1, 2);
    ln__node *none = NODE(g, SLICE, grouped->out[0], build_i64(g, I64S(0), 1), build_i64(g, I64S(0), 1), build_i64(g, I64S(1), 1));
    ln__node *u = NODE(g, UNARY, none->out[0]);
    u->u.unary.kind = LN__TANH;
    ln__node *c = NODE(g, CONCAT, grouped->out[0], u->out[0]);
    c->u.axis.axis = 1;
    check_graph(conv(c->out[0], 6, 5, 1, 1, 1)->out[0]);
}
END_TEST

/* What has no kernel of its own runs on plain tensors between blocked ones. */
START_TEST(general_operations_between_kernels)
{
    ln__node *x = conv(input(3, 6), 3, 24, 3, 1, 1);
    ln__node *t = NODE(g, TRANSPOSE, x->out[0]);
    t->u.transpose.n_perm = 4;
    memcpy(t->u.transpose.perm, I64S(0, 1, 3, 2), 4 * sizeof(int64_t));
    ln__node *y = conv(t->out[0], 24, 24, 3, 1, 1);
    post_add(y, x->out[0]);
    ln__node *b = NODE(g, BINARY, y->out[0], constant(DIMS(1, 1, 6, 6), 3));
    b->u.binary.kind = LN__MUL;
    post_unary(b, LN__RELU, 0, 0);
    check_graph(conv(b->out[0], 24, 5, 1, 1, 1)->out[0]);
}
END_TEST

/* A value needed in three stages, one of which only passes it on. */
START_TEST(carried_values_are_left_alone)
{
    int32_t in = input(3, 8);
    ln__node *a = conv(in, 3, 32, 3, 1, 1);
    ln__node *b = conv(a->out[0], 32, 32, 3, 1, 1);
    post_add(b, a->out[0]);
    ln__node *c = conv(b->out[0], 32, 32, 1, 1, 1);
    ln__node *d = conv(c->out[0], 32, 32, 3, 1, 1);
    post_add(d, a->out[0]);
    post_unary(d, LN__RELU, 0, 0);
    stage stages[] = {
        { { in }, 1, { a->out[0] }, 1, 0, 1 },
        { { a->out[0] }, 1, { b->out[0], a->out[0] }, 2, 1, 2 },
        { { b->out[0], a->out[0] }, 2, { c->out[0], a->out[0] }, 2, 2, 3 },
        { { c->out[0], a->out[0] }, 2, { d->out[0] }, 1, 3, 4 },
    };
    build_output(g, d->out[0]);
    check_stages(stages, 4);
}
END_TEST

/* Outputs read by exits that are also read further on, and aliases of them. */
START_TEST(stage_outputs_stay_whole)
{
    int32_t in = input(3, 4);
    ln__node *a = conv(in, 3, 32, 3, 1, 1);
    ln__node *u = NODE(g, UNARY, a->out[0]);
    u->u.unary.kind = LN__TANH;
    ln__node *f = NODE(g, FLATTEN, u->out[0]);
    f->u.axis.axis = 1;
    ln__node *b = conv(u->out[0], 32, 32, 3, 1, 1);
    post_add(b, u->out[0]);
    ln__node *c = NODE(g, CONCAT, a->out[0], b->out[0]);
    c->u.axis.axis = 1;
    stage whole = { { in }, 1, { c->out[0], u->out[0], f->out[0], a->out[0] }, 4, 0, 5 };
    build_output(g, c->out[0]);
    check_stages(&whole, 1);
}
END_TEST

START_TEST(matrix_products)
{
    for (int i = 0; i < 2; i++) {
        int32_t x = build_input(g, "x", DIMS(-1, 6, 10));
        ln__node *m = NODE(g, MATMUL, x, i ? constant(DIMS(1, 10, 12), 1) : constant(DIMS(10, 12), 1));
        m->u.matmul.alpha = 1.0F;
        ln__node *t = NODE(g, TRANSPOSE, m->out[0]);
        t->u.transpose.n_perm = 3;
        memcpy(t->u.transpose.perm, I64S(0, 2, 1), 3 * sizeof(int64_t));
        ln__node *n = NODE(g, MATMUL, m->out[0], t->out[0]);
        n->u.matmul.alpha = 1.0F;
        post_unary(n, LN__SIGMOID, 0, 0);
        check_graph(n->out[0]);
    }
}
END_TEST

START_TEST(gemm_is_right)
{
    float a[12], b[12], c[9], want;
    ln_error err;
    for (int i = 0; i < 12; i++) {
        a[i] = (float)i - 5.0F;
        b[i] = (float)(i * 7 % 5);
    }
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            for (int i = 0; i < 9; i++)
                c[i] = 1.0F;
            ck_assert(ln__gemm(ta, tb, 3, 3, 4, 2.0F, a, ta ? 3 : 4, b, tb ? 4 : 3, 0.5F, c, 3, &err) == LN_OK);
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    want = 0.5F;
                    for (int k = 0; k < 4; k++)
                        want += 2.0F * a[ta ? k * 3 + i : i * 4 + k] * b[tb ? j * 4 + k : k * 3 + j];
                    ck_assert_msg(fabsf(c[i * 3 + j] - want) < 1e-4F, "%d %d: %g, want %g", i, j, (double)c[i * 3 + j], (double)want);
                }
        }
}
END_TEST

START_TEST(choices_are_read_back_and_checked)
{
    ln__engine *e;
    ln__buffer text;
    ln_error err;
    ln__node *n = conv(conv(input(3, 8), 3, 32, 3, 1, 1)->out[0], 32, 32, 3, 1, 1);
    build_output(g, n->out[0]);
    ck_assert(ln__engine_make(&e, &ctx, g, &err) == LN_OK);
    ck_assert(ln__choice_rule(e, &err) == LN_OK);
    e->choice[0] = LN__NHWC;
    e->choice[1] = LN__WINOGRAD;
    ln__buffer_init(&text, &ctx);
    ln__choice_write(&text, e);
    ln__buffer_put(&text, "", 1);
    ck_assert(text.ok);
    e->choice[0] = e->choice[1] = 0;
    ck_assert(ln__choice_read(e, (char *)text.data));
    ck_assert_int_eq(e->choice[0], LN__NHWC);
    ck_assert_int_eq(e->choice[1], LN__WINOGRAD);
    for (size_t i = 0; i + 1 < text.size; i++) {        /* no damage passes as something else */
        uint8_t kept = text.data[i];
        text.data[i] = 'x';
        ck_assert(kept == 'x' || !ln__choice_read(e, (char *)text.data));
        text.data[i] = '\0';
        ck_assert(!ln__choice_read(e, (char *)text.data));
        text.data[i] = kept;
    }
    ln__buffer_free(&text);
    ln__engine_release(e);
}
END_TEST

/* Functions one after the other, or each of a view of the input. */
static void many_nodes(int32_t n, bool views)
{
    int32_t x = input(3, 4), shape = build_i64(g, I64S(-1, 48), 2), values = g->n_values;
    ln__value *value = ln__arena_calloc(&g->arena, (size_t)(values + n), sizeof *value);
    ln__node *nodes = ln__arena_calloc(&g->arena, (size_t)n, sizeof *nodes);

    memcpy(value, g->values, (size_t)values * sizeof *value);
    for (int32_t i = 0; i < n; i++) {
        bool view = views && i < n / 2;
        int32_t *ids = ln__arena_alloc(&g->arena, 3 * sizeof *ids);
        ids[0] = i == 0 || view ? x : views ? values + i - n / 2 : values + i - 1;
        ids[1] = shape;
        ids[2] = values + i;
        nodes[i] = (ln__node){ .op = view ? LN__RESHAPE : LN__UNARY, .name = "", .type = "", .n_in = view ? 2 : 1, .n_out = 1,
                               .in = ids, .out = ids + 2, .u.unary.kind = view ? 0 : LN__ABS };
        value[values + i] = (ln__value){ .name = "", .producer = i };
    }
    g->values = value;
    g->nodes = nodes;
    g->n_values = values + n;
    g->n_nodes = n;
    build_output(g, g->n_values - 1);
}

START_TEST(plans_of_many_nodes_take_linear_time)
{
    double start = ln__now();
    ln__engine *engine;
    ln__plan *plan;
    ln__cut *cut;
    ln_error err = { 0 };

    many_nodes(100000, _i == 1);
    ck_assert_msg(ln__engine_make(&engine, &ctx, g, &err) == LN_OK, "%s", err.text);
    ln__layout_assign(engine);
    ck_assert_int_eq(ln__graph_cut(&cut, g, NULL, 0, &err), LN_OK);
    ck_assert_msg(ln__plan_new(&plan, engine, cut, 0, 1, 1, &err) == LN_OK, "%s", err.text);
    ck_assert_uint_le(ln__plan_arena(plan), 4096);
    ln__plan_free(plan);
    ln__cut_free(cut, &ctx);
    ln__engine_release(engine);
    ck_assert(ln__now() - start < 10.0);
}
END_TEST

static void teardown(void)
{
    ln__graph_free(g);
}

int main(void)
{
    Suite *s = suite_create("engine");
    TCase *c = tcase_create("plans");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, convolutions_of_many_shapes);
    tcase_add_test(c, convolutions_with_windows_of_all_kinds);
    tcase_add_test(c, convolutions_over_one_and_three_dimensions);
    tcase_add_test(c, dilations_may_be_large);
    tcase_add_test(c, activations_follow_convolutions);
    tcase_add_test(c, residuals_are_added_in_place);
    tcase_add_test(c, means_classifier_and_softmax);
    tcase_add_test(c, local_response_normalisation);
    tcase_add_test(c, flatten_of_maps);
    tcase_add_test(c, concatenations);
    tcase_add_test(c, carried_values_are_left_alone);
    tcase_add_test(c, stage_outputs_stay_whole);
    tcase_add_test(c, matrix_products);
    tcase_add_test(c, gemm_is_right);
    tcase_add_test(c, choices_are_read_back_and_checked);
    tcase_add_loop_test(c, plans_of_many_nodes_take_linear_time, 0, 2);
    suite_add_tcase(s, c);
    c = tcase_create("our kernels");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, pooling);
    tcase_add_test(c, largest_of_a_window_with_nan_is_nan);
    tcase_add_test(c, binaries_on_maps);
    tcase_add_test(c, constants_by_first_dimension_and_channel);
    tcase_add_test(c, binaries_on_maps_of_a_rank_less);
    tcase_add_test(c, slices_splits_and_padding);
    tcase_add_test(c, values_without_channels);
    tcase_add_test(c, general_operations_between_kernels);
    suite_add_tcase(s, c);
    return run_suite(s);
}
