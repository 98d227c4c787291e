/* Heads and gates through a file and back: ONNX Runtime makes of them what we do. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "onnx_bytes.h"
#include "policy/policy.h"
#include "run_suite.h"

enum { ROWS = 5, CHANNELS = 4, SPATIAL = 81, VALUES = CHANNELS * SPATIAL, EXITS = 4 };

static char folder[] = "/tmp/leenet-heads-XXXXXX";

typedef struct kind_of_file { int64_t ir, opset; int rank; int32_t classes; uint32_t points; } kind_of_file;

static const kind_of_file files[] = {
    { 3, 6, 4, 7, 3 },   { 3, 7, 4, 7, 3 },   { 4, 9, 3, 2, 2 },    { 6, 11, 5, 20, 4 },
    { 7, 13, 4, 3, 35 }, { 8, 18, 4, 40, 3 }, { 10, 21, 3, 16, 2 },
};

static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void fill_normal(float *v, size_t n, ln__rng *rng, double scale)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(scale * ln__rng_normal(rng));
}

static void input_shape(const kind_of_file *k, int64_t dims[5])
{
    static const int64_t by_rank[6][5] = { [3] = { -1, 4, 81 }, [4] = { -1, 4, 9, 9 }, [5] = { -1, 4, 3, 3, 9 } };

    memcpy(dims, by_rank[k->rank], sizeof by_rank[0]);
}

/* x -> Relu -> a -> Flatten -> f -> Gemm -> y; a -> Sigmoid -> s, which nothing reads yet. */
static void put_backbone(ln__buffer *model, const kind_of_file *k)
{
    int64_t x[5], y[2] = { -1, k->classes }, w[2] = { k->classes, VALUES }, b[1] = { k->classes };
    float *numbers = calloc((size_t)k->classes * VALUES, sizeof *numbers);
    ln__buffer graph, attrs;

    input_shape(k, x);
    ln__buffer_init(&graph, model->ctx);
    ln__buffer_init(&attrs, model->ctx);
    put_node(&graph, "Relu", "x", "a", NULL);
    put_node(&graph, "Sigmoid", "a", "s", NULL);
    put_node(&graph, "Flatten", "a", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    if (k->opset < 7)
        put_attr_int(&attrs, "broadcast", 1);
    put_node(&graph, "Gemm", "f fw fb", "y", &attrs);
    put_floats(&graph, "fw", 2, w, numbers);
    put_floats(&graph, "fb", 1, b, numbers);
    put_value_info(&graph, 11, "x", 1, k->rank, x);
    if (k->ir < 4) {
        put_value_info(&graph, 11, "fw", 1, 2, w);
        put_value_info(&graph, 11, "fb", 1, 1, b);
    }
    put_value_info(&graph, 12, "y", 1, 2, y);
    put_model(model, k->ir, k->opset, &graph);
    free(numbers);
}

/* ---- Exits: pooled at a, on the rank-2 value f, flattened at s, convolved at a ------------------------- */

typedef struct network {
    kind_of_file kind;
    ln__head  head[EXITS];
    uint32_t  n;                /* gates, every other policy, one more gate */
    ln__gates points[48];
} network;

static const char *const exit_value[EXITS] = { "a", "f", "s", "a" };

static void make_point(network *net, uint32_t p, int32_t policy, const ln__ctx *ctx, ln__rng *rng)
{
    int32_t input = (int32_t)p % 3, classes = net->kind.classes;

    ck_assert_int_eq(ln__gates_new(&net->points[p], ctx, input, EXITS, NULL), LN_OK);
    net->points[p].policy = policy;
    for (uint32_t e = 0; e < EXITS; e++) {
        ln__mlp *mlp = &net->points[p].gate[e];
        int32_t inputs = policy == LN_POLICY_GATE       ? (int32_t)ln__gate_width(input, classes, e, net->head[e].mlp.inputs)
                         : policy == LN_POLICY_EENET    ? ln__eenet_count(classes, e)
                         : policy == LN_POLICY_ENSEMBLE ? (int32_t)e + 1
                                                        : 0;
        int32_t width = policy != LN_POLICY_GATE ? 0 : p == 0 ? 6 : p == 3 ? 2 : 0;
        size_t count;

        if (inputs == 0)
            continue;
        ck_assert_int_eq(ln__mlp_new(mlp, ctx, inputs, width, 1, NULL), LN_OK);
        ck_assert(ln__mlp_param_count(inputs, width, 1, &count));
        fill_normal(mlp->params, count, rng, 0.3);
        if (policy == LN_POLICY_ENSEMBLE) {
            for (uint32_t j = 0; j <= e; j++)
                ln__mlp_w2(mlp)[j] = fabsf(ln__mlp_w2(mlp)[j]);
            *ln__mlp_b2(mlp) = 0;
        }
    }
}

static void make_network(network *net, const kind_of_file *kind, const ln__ctx *ctx, ln__rng *rng)
{
    static const int32_t hidden[EXITS] = { 8, 0, 0, 5 };
    static const int64_t channels[EXITS] = { CHANNELS, VALUES, CHANNELS, CHANNELS };
    static const int64_t spatial[EXITS] = { SPATIAL, 1, SPATIAL, SPATIAL };

    memset(net, 0, sizeof *net);
    net->kind = *kind;
    for (uint32_t e = 0; e < EXITS; e++) {
        ln__head *head = &net->head[e];
        size_t count;

        memset(head, 0, sizeof *head);
        head->carry = e == 2 ? 0.4f : 0.0f;
        head->kind = e == 2 ? LN_HEAD_FLATTEN : e == 3 && kind->rank == 4 ? LN_HEAD_CONV : LN_HEAD_POOL;
        head->channels = channels[e];
        head->spatial = spatial[e];
        head->height = head->width = e == 0 || e == 3 ? 9 : 1;
        head->cells = e == 0 && kind->rank == 4 ? 3 : 1;
        head->covariance = e < 2;
        if (head->kind == LN_HEAD_CONV) {
            ln__conv_plan(&head->conv, CHANNELS, 9, 9, 6);
            head->cells = ln__conv_cells(&head->conv, 2);
        }
        head->mlp = (ln__mlp){ .inputs = (int32_t)ln__head_features(head), .hidden = hidden[e] };
        ck_assert_int_eq(ln__head_new(head, ctx, kind->classes, NULL), LN_OK);
        if (head->kind == LN_HEAD_CONV)
            fill_normal(head->conv.params, head->conv.count, rng, 0.4);
        ck_assert(ln__mlp_param_count(head->mlp.inputs, hidden[e], kind->classes, &count));
        fill_normal(head->mlp.params, count, rng, 0.4);
    }
    net->n = kind->points + 8;
    for (uint32_t p = 0; p < net->n; p++)
        make_point(net, p, p < kind->points || p + 1 == net->n ? LN_POLICY_GATE : (int32_t)(p - kind->points) + 1, ctx, rng);
}

static void free_network(network *net, const ln__ctx *ctx)
{
    for (uint32_t e = 0; e < EXITS; e++)
        ln__head_free(&net->head[e], ctx);
    for (uint32_t p = 0; p < net->n; p++)
        ln__gates_free(&net->points[p], ctx);
}

static void save_network(const network *net, const ln__ctx *ctx, const char *path)
{
    const ln__gates *points[48];
    ln__onnx_edit *edit = NULL;
    ln__onnx *onnx = NULL;
    ln__buffer bytes;
    ln_error err = { 0, 0, "" };

    ln__buffer_init(&bytes, ctx);
    put_backbone(&bytes, &net->kind);
    ck_assert(bytes.ok);
    ck_assert_msg(ln__onnx_load_memory(&onnx, ctx, bytes.data, bytes.size, NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    for (uint32_t p = 0; p < net->n; p++)
        points[p] = &net->points[p];
    for (uint32_t e = 0; e < EXITS; e++) {
        ln__head_emit(edit, &net->head[e], e, exit_value[e], e == 1 ? 2 : net->kind.rank);
        ln__gates_emit(edit, points, net->n, e, net->kind.classes);
    }
    ck_assert_msg(ln__onnx_save(edit, path, &err) == LN_OK, "%s", err.text);
    ln__onnx_edit_free(edit);
    ln__onnx_free(onnx);
    ln__buffer_free(&bytes);
}

/* ---- What we make of it ---------------------------------------------------------------------- */

static void write_numbers(FILE *out, const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s%.9g", i == 0 ? "[" : ", ", (double)v[i]);
    fputs("]", out);
}

static void write_output(FILE *out, const char *name, uint32_t exit, int32_t columns, const float *v)
{
    fprintf(out, "%s\"%s_%u\": {\"shape\": [%d, %d], \"tolerance\": 1e-4, \"values\": ",
            exit == 0 && name[0] == 'l' ? "" : ", ", name, exit, ROWS, columns);
    write_numbers(out, v, (size_t)ROWS * (size_t)columns);
    fputs("}", out);
}

/* Features of an exit for all rows, from x. */
static void describe(const network *net, uint32_t e, const float *x, float *features)
{
    float value[ROWS * VALUES], scratch[16 * VALUES];
    ln__view view = { value, ROWS, net->head[e].channels, net->head[e].spatial, 1 };

    for (int i = 0; i < ROWS * VALUES; i++) {
        float a = x[i] > 0 ? x[i] : 0;

        value[i] = e == 2 ? 1 / (1 + expf(-a)) : a;
    }
    ck_assert_uint_le(ln__head_scratch(&net->head[e]), 16 * VALUES);
    ln__head_describe(&net->head[e], &view, scratch, features);
}

static void write_expected(FILE *out, const network *net, const float *x)
{
    int32_t classes = net->kind.classes;
    float features[ROWS * VALUES], hidden[ROWS * 16], g[ROWS * 48], mixed[64], scratch[VALUES + 256];
    static float scores[ROWS][48][EXITS];
    float *z[EXITS], *p[EXITS];

    for (uint32_t e = 0; e < EXITS; e++) {
        const ln__mlp *mlp = &net->head[e].mlp;
        size_t size = ROWS * (size_t)classes * sizeof(float);

        z[e] = malloc(size);
        p[e] = malloc(size);
        describe(net, e, x, features);
        ln__mlp_answer(mlp, features, ROWS, hidden, z[e]);
        if (e > 0)
            ln__head_carry(&net->head[e], z[e - 1], z[e], ROWS);
        ln__softmax_rows(z[e], ROWS, classes, p[e]);
        write_output(out, "logits", e, classes, z[e]);
        for (int r = 0; r < ROWS; r++) {
            const float *zs[EXITS], *ps[EXITS];

            for (uint32_t j = 0; j <= e; j++) {
                zs[j] = z[j] + r * classes;
                ps[j] = p[j] + r * classes;
            }
            for (uint32_t k = 0; k < net->n; k++) {
                ln__sight sight = { classes, mlp->inputs, zs, ps, features + r * mlp->inputs, scores[r][k], mixed, scratch };

                g[(uint32_t)r * net->n + k] = scores[r][k][e] = ln__score(&net->points[k], e, &sight);
            }
        }
        write_output(out, "gate", e, (int32_t)net->n, g);
    }
    for (uint32_t e = 0; e < EXITS; e++) {
        free(z[e]);
        free(p[e]);
    }
}

static void write_case(const char *path, const char *model, const network *net, ln__rng *rng)
{
    float x[ROWS * VALUES];
    int64_t dims[5];
    FILE *out = fopen(path, "w");

    ck_assert_ptr_nonnull(out);
    fill_normal(x, ROWS * VALUES, rng, 1.5);
    for (int r = 0; r < ROWS; r++)
        for (int s = 0; s < SPATIAL; s++)
            x[r * VALUES + s] = 20 + 0.01f * x[r * VALUES + s];     /* hardly any deviation */
    input_shape(&net->kind, dims);
    /* ONNX Runtime begins at opset 7. */
    fprintf(out, "{\"model\": \"%s\", \"run\": %s, \"shape\": [%d", model, net->kind.opset < 7 ? "false" : "true", ROWS);
    for (int i = 1; i < net->kind.rank; i++)
        fprintf(out, ", %d", (int)dims[i]);
    fputs("], \"input\": ", out);
    write_numbers(out, x, ROWS * VALUES);
    fputs(", \"outputs\": {", out);
    write_expected(out, net, x);
    fputs("}}\n", out);
    ck_assert_int_eq(fclose(out), 0);
}

START_TEST(onnx_runtime_agrees)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(41, 0);
    char command[4096] = "/usr/bin/python3 tests/onnx_compare.py", model[128], json[128];
    int status;

    for (size_t i = 0; i < LN__COUNT(files); i++) {
        network net;

        snprintf(model, sizeof model, "%s/opset%d.onnx", folder, (int)files[i].opset);
        snprintf(json, sizeof json, "%s/opset%d.json", folder, (int)files[i].opset);
        make_network(&net, &files[i], &ctx, &rng);
        save_network(&net, &ctx, model);
        write_case(json, model, &net, &rng);
        free_network(&net, &ctx);
        strcat(command, " ");
        strcat(command, json);
    }
    status = system(command);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127) {
        printf("skip onnx_runtime_agrees: neither onnx nor ONNX Runtime is here\n");
        fflush(stdout);
        return;
    }
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* ---- Read back ------------------------------------------------------------------------------------ */

static void check_same(const ln__mlp *a, const ln__mlp *b)
{
    size_t count;

    ck_assert((a->params == NULL) == (b->params == NULL));
    if (a->params == NULL)
        return;
    ck_assert(a->inputs == b->inputs && a->hidden == b->hidden && a->outputs == b->outputs);
    ck_assert(ln__mlp_param_count(a->inputs, a->hidden, a->outputs, &count));
    ck_assert_int_eq(memcmp(a->params, b->params, count * sizeof *a->params), 0);
}

static void check_convolutions(const ln__conv *made, const ln__ctx *ctx, const ln__onnx *onnx)
{
    ln__conv conv = *made;
    ln_error err;

    ck_assert_msg(ln__conv_read(&conv, ctx, onnx, "leenet/3/head.", &err) == LN_OK, "%s", err.text);
    ck_assert_mem_eq(conv.params, made->params, made->count * sizeof *made->params);
    ln__free(ctx, conv.params);
    ck_assert_int_eq(ln__conv_read(&conv, ctx, onnx, "leenet/0/head.", &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "'leenet/0/head.conv1.depthwise' is missing"));
    ln__conv_plan(&conv, CHANNELS, 9, 9, 7);
    ck_assert_int_eq(ln__conv_read(&conv, ctx, onnx, "leenet/3/head.", &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "'leenet/3/head.conv1.w': dimension 0 is 6, expected 7"));
}

static void check_refusals(const ln__onnx *onnx, const ln__ctx *ctx, int32_t classes)
{
    ln__gates gates;
    ln__mlp mlp;
    ln_error err;

    ck_assert_int_eq(ln__gates_read(&gates, ctx, onnx, 99, EXITS, classes, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "leenet/0/gate.99.statistics.w2"));
    ck_assert_int_eq(ln__gates_read(&gates, ctx, onnx, 0, EXITS, classes == 2 ? 3 : 2, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "statistics of exit 0"));
    ck_assert_int_eq(ln__gates_read(&gates, ctx, onnx, 0, EXITS + 1, classes, &err), LN_E_FORMAT);
    ck_assert_ptr_null(gates.gate);
    ck_assert_int_eq(ln__policy_read(&gates, ctx, onnx, LN_POLICY_EENET, 0, EXITS, classes, &err), LN_E_FORMAT);
    ck_assert_int_eq(ln__policy_read(&gates, ctx, onnx, LN_POLICY_ENSEMBLE, 0, EXITS, classes, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "leenet/0/gate.0.ensemble.w.0"));
    ck_assert_ptr_null(gates.gate);
    ck_assert_int_eq(ln__mlp_read(&mlp, ctx, onnx, "leenet/9/head.", &err), LN_E_FORMAT);
    ck_assert_ptr_null(mlp.params);
}

START_TEST(weights_come_back_to_the_bit)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(43, 0);

    for (size_t i = 0; i < LN__COUNT(files); i++) {
        network net;
        ln__onnx *onnx = NULL;
        ln_error err = { 0, 0, "" };
        char path[128];

        snprintf(path, sizeof path, "%s/again%d.onnx", folder, (int)files[i].opset);
        make_network(&net, &files[i], &ctx, &rng);
        save_network(&net, &ctx, path);
        ck_assert_msg(ln__onnx_load(&onnx, &ctx, path, NULL, &err) == LN_OK, "%s", err.text);
        for (uint32_t e = 0; e < EXITS; e++) {
            ln__mlp mlp;

            ck_assert_msg(ln__mlp_read(&mlp, &ctx, onnx, ln__name_make("leenet/%u/head.", e).text, &err) == LN_OK,
                          "%s", err.text);
            check_same(&mlp, &net.head[e].mlp);
            float carry = -1;

            ck_assert_msg(ln__carry_read(&carry, onnx, e, &err) == LN_OK, "%s", err.text);
            ck_assert(carry == net.head[e].carry);
            ln__mlp_free(&mlp, &ctx);
        }
        if (net.head[3].kind == LN_HEAD_CONV)
            check_convolutions(&net.head[3].conv, &ctx, onnx);
        for (uint32_t p = 0; p < net.n; p++) {
            ln__gates gates;

            ck_assert_msg(ln__policy_read(&gates, &ctx, onnx, net.points[p].policy, p, EXITS, net.kind.classes, &err) == LN_OK,
                          "%s", err.text);
            ck_assert_int_eq(gates.policy, net.points[p].policy);
            ck_assert(gates.policy != LN_POLICY_GATE || gates.input == net.points[p].input);
            for (uint32_t e = 0; e < EXITS; e++)
                check_same(&gates.gate[e], &net.points[p].gate[e]);
            ln__gates_free(&gates, &ctx);
        }
        check_refusals(onnx, &ctx, net.kind.classes);
        ln__onnx_free(onnx);
        free_network(&net, &ctx);
    }
}
END_TEST

START_TEST(reading_survives_every_failed_allocation)
{
    ln__ctx plain = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(47, 0);
    counting_heap heap = { 0, 0, 0 };
    ln__ctx ctx = counting_ctx(&heap);
    ln__onnx *onnx = NULL;
    network net;
    char path[128];
    size_t failures = 0;

    snprintf(path, sizeof path, "%s/oom.onnx", folder);
    make_network(&net, &files[1], &plain, &rng);
    save_network(&net, &plain, path);
    ck_assert_int_eq(ln__onnx_load(&onnx, &plain, path, NULL, NULL), LN_OK);
    for (ln_status st = LN_E_NOMEM; st != LN_OK; failures++) {
        ln__gates gates;

        heap = (counting_heap){ 0, 0, failures + 1 };
        st = ln__gates_read(&gates, &ctx, onnx, 0, EXITS, net.kind.classes, NULL);
        ck_assert(st == LN_OK || st == LN_E_NOMEM);
        ln__gates_free(&gates, &ctx);
        ck_assert_uint_eq(heap.live, 0);
    }
    ck_assert_uint_eq(failures, 2 + EXITS + 1);
    ln__onnx_free(onnx);
    free_network(&net, &plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heads as ONNX");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 120);
    tcase_add_unchecked_fixture(core, make_folder, remove_folder);
    tcase_add_test(core, onnx_runtime_agrees);
    tcase_add_test(core, weights_come_back_to_the_bit);
    tcase_add_test(core, reading_survives_every_failed_allocation);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
