/* Convolutional heads against plain double loops: answers in every layout, gradients, what is folded, cost. */
#include "heads/heads.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"
#include "smoothed.h"

enum { N = 6, CLASSES = 4 };

typedef struct shape { int64_t channels, height, width; int32_t first; uint32_t cells; int32_t hidden; } shape;

/* Two layers and one, cells that divide and overlap, channels of whole vectors and of rests. */
static const shape shapes[] = {
    { 11, 9, 10, 5, 2, 0 }, { 16, 16, 16, 8, 2, 0 },  { 3, 8, 13, 20, 3, 6 }, { 1, 9, 8, 3, 0, 0 },
    { 24, 7, 7, 12, 0, 0 }, { 17, 4, 5, 33, 64, 0 },  { 40, 12, 8, 9, 1, 5 },
};

static void fill_normal(float *v, size_t n, ln__rng *rng, double scale)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(scale * ln__rng_normal(rng));
}

static ln__head make_head(const shape *s, const ln__ctx *ctx, ln__rng *rng)
{
    ln__head head = { .kind = LN_HEAD_CONV, .channels = s->channels, .height = s->height, .width = s->width,
                      .spatial = s->height * s->width };
    size_t count;

    ln__conv_plan(&head.conv, s->channels, s->height, s->width, s->first);
    head.cells = ln__conv_cells(&head.conv, s->cells);
    head.mlp.inputs = (int32_t)ln__head_features(&head);
    head.mlp.hidden = s->hidden;
    ck_assert_int_eq(ln__head_new(&head, ctx, CLASSES, NULL), LN_OK);
    ln__conv_init(&head.conv, rng);
    ln__mlp_init(&head.mlp, rng);
    for (int32_t i = 0; i < head.conv.layers; i++)
        fill_normal(head.conv.params + head.conv.layer[i].bias, (size_t)head.conv.layer[i].out, rng, 0.3);
    ck_assert(ln__mlp_param_count(head.mlp.inputs, s->hidden, CLASSES, &count));
    return head;
}

/* ---- The reference ------------------------------------------------------------------------------- */

typedef struct reference {
    const ln__head *head;
    bool    normalised;         /* by the batch */
    double *value[LN__CONV_LAYERS], *features;      /* [N][pixels][out], [N][features] */
} reference;

static void normalise(double *x, size_t count, size_t width)
{
    for (size_t k = 0; k < width; k++) {
        double mean = 0, variance = 0;

        for (size_t i = 0; i < count; i++)
            mean += x[i * width + k] / (double)count;
        for (size_t i = 0; i < count; i++)
            variance += (x[i * width + k] - mean) * (x[i * width + k] - mean) / (double)count;
        for (size_t i = 0; i < count; i++)
            x[i * width + k] = (x[i * width + k] - mean) / sqrt(variance + 1e-5);
    }
}

/* One number of a layer before normalising: pixel (r, c), output o. */
static double convolve(const ln__conv_layer *l, const double *params, const double *x, int64_t r, int64_t c, int64_t o)
{
    double sum = 0;

    for (int64_t k = 0; k < l->in; k++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                int64_t y = 2 * r - 1 + i, z = 2 * c - 1 + j;

                if (y >= 0 && y < l->height && z >= 0 && z < l->width)
                    sum += params[l->pointwise + (size_t)(k * l->out + o)] * params[l->depthwise + (size_t)((i * 3 + j) * l->in + k)] *
                           x[(y * l->width + z) * l->in + k];
            }
    return sum;
}

static void run_layer(const reference *ref, int32_t i, const double *params, const double *x)
{
    const ln__conv_layer *l = &ref->head->conv.layer[i];
    size_t pixels = (size_t)(l->down * l->across), out = (size_t)l->out;
    double *y = ref->value[i];

    for (size_t n = 0; n < N; n++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t o = 0; o < out; o++)
                y[(n * pixels + p) * out + o] = convolve(l, params, x + n * (size_t)(l->height * l->width * l->in),
                                                         (int64_t)p / l->across, (int64_t)p % l->across, (int64_t)o);
    if (ref->normalised)
        normalise(y, N * pixels, out);
    for (size_t k = 0; k < N * pixels * out; k++) {
        y[k] += params[l->bias + k % out];
        y[k] = y[k] > 0 ? y[k] : 0;
    }
}

static void read_cells(const reference *ref)
{
    const ln__head *head = ref->head;
    const ln__conv_layer *l = &head->conv.layer[head->conv.layers - 1];
    int64_t cells = head->cells, area = cells * cells, features = 2 * area * l->out;
    int64_t down = l->down / cells, across = l->across / cells, high = l->down - (cells - 1) * down, wide = l->across - (cells - 1) * across;

    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < l->out; c++)
            for (int64_t cell = 0; cell < area; cell++) {
                double sum = 0, max = -1;

                for (int64_t i = 0; i < high * wide; i++) {
                    int64_t r = cell / cells * down + i / wide, z = cell % cells * across + i % wide;
                    double v = ref->value[head->conv.layers - 1][((n * l->down + r) * l->across + z) * l->out + c];

                    sum += v / (double)(high * wide);
                    max = v > max ? v : max;
                }
                ref->features[n * features + c * area + cell] = sum;
                ref->features[n * features + (l->out + c) * area + cell] = max;
            }
    if (ref->normalised)
        normalise(ref->features, N, (size_t)features);
}

/* Features from maps [N][spatial][channels]. */
static void run_reference(const reference *ref, const double *params, const double *maps)
{
    const double *x = maps;

    for (int32_t i = 0; i < ref->head->conv.layers; i++) {
        run_layer(ref, i, params, x);
        x = ref->value[i];
    }
    read_cells(ref);
}

static void answer_reference(const ln__mlp *mlp, const double *params, const double *x, double *z)
{
    int32_t into = mlp->hidden > 0 ? mlp->hidden : mlp->inputs;
    const double *b1 = params + (size_t)mlp->hidden * (size_t)mlp->inputs, *w2 = mlp->hidden > 0 ? b1 + mlp->hidden : params;
    double h[64];

    for (int32_t i = 0; i < mlp->hidden; i++) {
        h[i] = b1[i];
        for (int32_t k = 0; k < mlp->inputs; k++)
            h[i] += params[(size_t)i * (size_t)mlp->inputs + (size_t)k] * x[k];
        h[i] = h[i] > 0 ? h[i] : 0;
    }
    for (int32_t o = 0; o < mlp->outputs; o++) {
        z[o] = w2[(size_t)mlp->outputs * (size_t)into + (size_t)o];
        for (int32_t k = 0; k < into; k++)
            z[o] += w2[(size_t)o * (size_t)into + (size_t)k] * (mlp->hidden > 0 ? h[k] : x[k]);
    }
}

/* Mean cross entropy of the whole head; params: of the convolutions, then of the layers. */
static double loss_of(const reference *ref, const double *params, const double *maps, const int32_t *labels)
{
    const ln__mlp *mlp = &ref->head->mlp;
    double total = 0;

    run_reference(ref, params, maps);
    for (int n = 0; n < N; n++) {
        double z[CLASSES], sum = 0;

        answer_reference(mlp, params + ref->head->conv.count, ref->features + (size_t)n * (size_t)mlp->inputs, z);
        for (int c = 0; c < CLASSES; c++)
            sum += exp(z[c]);
        total -= (z[labels[n]] - log(sum)) / N;
    }
    return total;
}

static reference make_reference(const ln__head *head, bool normalised)
{
    reference ref = { .head = head, .normalised = normalised };

    for (int32_t i = 0; i < head->conv.layers; i++)
        ref.value[i] = calloc((size_t)(N * head->conv.layer[i].down * head->conv.layer[i].across * head->conv.layer[i].out), sizeof(double));
    ref.features = calloc((size_t)(N * head->mlp.inputs), sizeof(double));
    return ref;
}

static void free_reference(reference *ref)
{
    for (int i = 0; i < LN__CONV_LAYERS; i++)
        free(ref->value[i]);
    free(ref->features);
}

/* ---- Answers ----------------------------------------------------------------------------------------- */

/* Maps [N][spatial][channels] in a layout of the engine's, what fills blocks up being no number. */
static ln__view lay_out(const float *maps, const shape *s, int64_t block)
{
    ln__view v = { NULL, N, s->channels, s->height * s->width, block };
    size_t row = ln__view_row_floats(&v);

    v.data = malloc(N * row * sizeof *v.data);
    for (size_t i = 0; i < N * row; i++)
        v.data[i] = NAN;
    for (size_t n = 0; n < N; n++)
        for (int64_t p = 0; p < v.spatial; p++)
            for (int64_t c = 0; c < v.channels; c++)
                v.data[n * row + (size_t)((c / block * v.spatial + p) * block + c % block)] =
                    maps[((int64_t)n * v.spatial + p) * v.channels + c];
    return v;
}

static void check_layout(const ln__head *head, const shape *s, const float *maps, int64_t block, const reference *ref)
{
    ln__view v = lay_out(maps, s, block), one = v;
    size_t features = (size_t)head->mlp.inputs, map = (size_t)(s->channels * v.spatial);
    float *scratch = malloc(ln__head_scratch(head) * sizeof *scratch), *x = malloc(N * features * sizeof *x);
    float *alone = malloc(features * sizeof *alone), *cached = malloc(N * map * sizeof *cached);

    ln__head_describe(head, &v, scratch, x);
    for (size_t i = 0; i < N * features; i++)
        ck_assert_msg(fabs((double)x[i] - ref->features[i]) < 1e-4, "block %d, feature %zu of row %zu: found %g, expected %g", (int)block,
                      i % features, i / features, (double)x[i], ref->features[i]);
    one.rows = 1;
    one.data = v.data + 2 * ln__view_row_floats(&v);
    ln__head_describe(head, &one, scratch, alone);
    ck_assert_mem_eq(alone, x + 2 * features, features * sizeof *x);
    ck_assert_int_eq((int)ln__head_cached(head), (int)map);
    ln__head_cache(head, &v, scratch, cached);
    ck_assert_mem_eq(cached, maps, N * map * sizeof *maps);
    free(v.data); free(scratch); free(x); free(alone); free(cached);
}

START_TEST(features_equal_double_loops_in_every_layout)
{
    const shape *s = &shapes[_i];
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(23, (uint64_t)_i);
    ln__head head = make_head(s, &ctx, &rng);
    reference ref = make_reference(&head, false);
    size_t numbers = (size_t)(N * s->channels * s->height * s->width);
    float *maps = malloc(numbers * sizeof *maps);
    double *x = malloc(numbers * sizeof *x), *params = malloc(head.conv.count * sizeof *params);
    const int64_t blocks[] = { 1, 8, 16, s->channels };

    fill_normal(maps, numbers, &rng, 1);
    for (size_t i = 0; i < numbers; i++)
        x[i] = (double)maps[i];
    for (size_t i = 0; i < head.conv.count; i++)
        params[i] = (double)head.conv.params[i];
    run_reference(&ref, params, x);
    for (size_t b = 0; b < LN__COUNT(blocks); b++)
        check_layout(&head, s, maps, blocks[b], &ref);
    free(maps); free(x); free(params);
    free_reference(&ref);
    ln__head_free(&head, &ctx);
}
END_TEST

/* ---- Learning -------------------------------------------------------------------------------------------- */

typedef struct rows { const float *maps; size_t map; } rows;

static const float *row_of(void *payload, int64_t i, float *scratch)
{
    const rows *r = payload;

    /* Made anew each time it is asked for, as when rows are mixed. */
    return memcpy(scratch, r->maps + (size_t)i * r->map, r->map * sizeof *scratch);
}

typedef struct learning {
    ln__head head;
    ln__conv_batch batch;
    float   *params, *maps, *h, *dh, *dx, y[N * CLASSES], dy[N * CLASSES];
    int32_t  labels[N];
    size_t   count, map;
} learning;

static void make_learning(learning *l, const shape *s, const ln__ctx *ctx, ln__rng *rng)
{
    size_t layers;

    memset(l, 0, sizeof *l);
    l->head = make_head(s, ctx, rng);
    ck_assert(ln__mlp_param_count(l->head.mlp.inputs, s->hidden, CLASSES, &layers));
    l->count = l->head.conv.count + layers;
    l->params = malloc(l->count * sizeof *l->params);
    memcpy(l->params, l->head.conv.params, l->head.conv.count * sizeof *l->params);
    memcpy(l->params + l->head.conv.count, l->head.mlp.params, layers * sizeof *l->params);
    l->map = (size_t)(s->channels * s->height * s->width);
    l->maps = malloc(N * l->map * sizeof *l->maps);
    fill_normal(l->maps, N * l->map, rng, 1);
    l->h = malloc(N * ((size_t)s->hidden + 1) * sizeof *l->h);
    l->dh = malloc(N * ((size_t)s->hidden + 1) * sizeof *l->dh);
    l->dx = malloc(N * (size_t)l->head.mlp.inputs * sizeof *l->dx);
    for (int i = 0; i < N; i++)
        l->labels[i] = (int32_t)ln__rng_below(rng, CLASSES);
    ck_assert_int_eq(ln__conv_batch_new(&l->batch, ctx, &l->head, N, NULL), LN_OK);
}

static void free_learning(learning *l, const ln__ctx *ctx)
{
    ln__conv_batch_free(&l->batch, ctx);
    ln__head_free(&l->head, ctx);
    free(l->params); free(l->maps); free(l->h); free(l->dh); free(l->dx);
}

static double forward(learning *l, ln__norm norm)
{
    rows r = { l->maps, l->map };
    ln__maps maps = { row_of, &r };
    ln__mlp mlp = l->head.mlp;

    mlp.params = l->params + l->head.conv.count;
    ck_assert_int_eq(ln__conv_forward(&l->batch, l->params, &maps, N, norm, NULL), LN_OK);
    ck_assert_int_eq(ln__mlp_forward(&mlp, l->batch.features, N, l->h, l->y, NULL), LN_OK);
    return smoothed_loss(l->y, l->labels, N, CLASSES, 0, l->dy);
}

static void backward(learning *l, float *grad)
{
    rows r = { l->maps, l->map };
    ln__maps maps = { row_of, &r };
    ln__mlp mlp = l->head.mlp;

    mlp.params = l->params + l->head.conv.count;
    ck_assert_int_eq(ln__mlp_backward(&mlp, l->batch.features, N, l->h, l->dy, l->dh, grad + l->head.conv.count, NULL), LN_OK);
    ck_assert_int_eq(ln__mlp_backward_input(&mlp, N, l->dy, l->dh, l->dx, NULL), LN_OK);
    ck_assert_int_eq(ln__conv_backward(&l->batch, l->params, &maps, N, l->dx, grad, NULL), LN_OK);
}

START_TEST(gradients_equal_central_differences)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(29, (uint64_t)_i);
    learning l;

    make_learning(&l, &shapes[_i], &ctx, &rng);
    reference ref = make_reference(&l.head, true);
    double *params = malloc(l.count * sizeof *params), *maps = malloc(N * l.map * sizeof *maps);
    float *grad = malloc(l.count * sizeof *grad);

    for (size_t i = 0; i < N * l.map; i++)
        maps[i] = (double)l.maps[i];
    for (size_t i = 0; i < l.count; i++) {
        params[i] = (double)l.params[i];
        grad[i] = 0.5f;                 /* what is there must stay: gradients add up */
    }
    ck_assert_double_eq_tol(forward(&l, LN__NORM_BATCH), loss_of(&ref, params, maps, l.labels), 1e-4);
    backward(&l, grad);
    /* Every parameter of small heads, every few of large ones. */
    size_t step = 1 + l.count / 700;
    for (size_t i = 0; i < l.count; i += step) {
        double at = params[i], up, down;

        params[i] = at + 1e-6;
        up = loss_of(&ref, params, maps, l.labels);
        params[i] = at - 1e-6;
        down = loss_of(&ref, params, maps, l.labels);
        params[i] = at;
        double expected = (up - down) / 2e-6, found = (double)grad[i] - 0.5;
        ck_assert_msg(fabs(found - expected) < 2e-5 + 1e-3 * fabs(expected), "parameter %zu of %zu: found %.9g, expected %.9g", i, l.count,
                      found, expected);
    }
    free(params); free(maps); free(grad);
    free_reference(&ref);
    free_learning(&l, &ctx);
}
END_TEST

/* A head kept after learning on maps of another scale answers plain maps as it answered the scaled ones. */
START_TEST(folding_keeps_the_answers)
{
    const shape *s = &shapes[_i];
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(31, (uint64_t)_i);
    learning l;

    make_learning(&l, s, &ctx, &rng);
    float *scale = malloc((size_t)s->channels * sizeof *scale), *plain = malloc(N * l.map * sizeof *plain), answers[N * CLASSES];
    float *scratch = malloc(ln__head_scratch(&l.head) * sizeof *scratch), *x = malloc(N * (size_t)l.head.mlp.inputs * sizeof *x);
    ln__view v = { plain, N, s->channels, s->height * s->width, s->channels };
    size_t features = ln__conv_norms(&l.head) - (size_t)l.head.mlp.inputs;

    for (int64_t c = 0; c < s->channels; c++)
        scale[c] = 0.2f + (float)ln__rng_double(&rng);
    for (size_t i = 0; i < N * l.map; i++)
        plain[i] = l.maps[i] / scale[i % (size_t)s->channels];
    ln__conv_count_begin(&l.batch);
    for (int pass = 0; pass < 2; pass++) {
        forward(&l, LN__NORM_COUNT);
        for (size_t i = 0; i < N * l.map; i++)
            l.maps[i] += 0.1f;          /* statistics of several batches together */
    }
    ln__conv_count_end(&l.batch);
    for (size_t i = 0; i < N * l.map; i++)
        l.maps[i] = plain[i] * scale[i % (size_t)s->channels];
    forward(&l, LN__NORM_FIXED);
    ln__conv_fold(&l.head.conv, scale, l.batch.mean, l.batch.scale);
    ln__mlp_fold_input(&l.head.mlp, l.batch.mean + features, l.batch.scale + features);
    ln__head_describe(&l.head, &v, scratch, x);
    ln__mlp_answer(&l.head.mlp, x, N, l.h, answers);
    for (int i = 0; i < N * CLASSES; i++)
        ck_assert_msg(fabsf(answers[i] - l.y[i]) < 2e-3f * (1 + fabsf(l.y[i])), "answer %d: found %g, expected %g", i, (double)answers[i],
                      (double)l.y[i]);
    free(scale); free(plain); free(scratch); free(x);
    free_learning(&l, &ctx);
}
END_TEST

START_TEST(shapes_and_costs)
{
    ln__conv conv;
    ln__head head = { .kind = LN_HEAD_CONV, .cells = 2, .channels = 16, .height = 32, .width = 32, .spatial = 1024,
                      .mlp = { 1024, 0, 10, NULL } };

    ck_assert(!ln__conv_fits(3, 9) && !ln__conv_fits(100, 1) && ln__conv_fits(4, 4));
    ln__conv_plan(&head.conv, 16, 32, 32, 64);
    ck_assert_int_eq(head.conv.layers, 2);
    ck_assert_int_eq((int)head.conv.layer[1].out, 128);
    ck_assert_int_eq((int)head.conv.layer[1].down, 8);
    ck_assert_int_eq((int)ln__head_features(&head), 2 * 4 * 128);
    ck_assert_uint_eq(head.conv.count, 16 * 9 + 16 * 64 + 64 + 64 * 9 + 64 * 128 + 128);
    ln__cost cost = ln__head_cost(&head);
    ck_assert_uint_eq(cost.params, head.conv.count + 1024 * 10 + 10);
    ck_assert_uint_eq(cost.macs, 256 * 16 * (9 + 64) + 64 * 64 * (9 + 128) + 1024 * 10);
    ln__conv_plan(&conv, 5, 7, 20, 8);
    ck_assert_int_eq(conv.layers, 1);
    ck_assert_int_eq((int)conv.layer[0].down, 4);
    ck_assert_int_eq((int)conv.layer[0].across, 10);
    ck_assert_int_eq(ln__conv_cells(&conv, 0), 2);
    ck_assert_int_eq(ln__conv_cells(&conv, 3), 3);
    ck_assert_int_eq(ln__conv_cells(&conv, 9), 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convolutional heads");
    TCase *core = tcase_create("core");
    int count = (int)LN__COUNT(shapes);

    tcase_set_timeout(core, 240);
    tcase_add_loop_test(core, features_equal_double_loops_in_every_layout, 0, count);
    tcase_add_loop_test(core, gradients_equal_central_differences, 0, count);
    tcase_add_loop_test(core, folding_keeps_the_answers, 0, count);
    tcase_add_test(core, shapes_and_costs);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
