/* test_onnx_read.c - reading ONNX: small models made here, damaged ones, and memory that runs out. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx_bytes.h"
#include "run_suite.h"

static ln__ctx plain;

/* Everything that loading a model does. The graph is handed out if wanted. */
static ln_status read_all(const ln__ctx *ctx, const void *data, size_t size, ln_error *err)
{
    ln__onnx *onnx = NULL;
    ln__graph *graph = NULL;
    ln_status st = ln__onnx_load_memory(&onnx, ctx, data, size, NULL, err);

    if (st == LN_OK)
        st = ln__onnx_graph(&graph, onnx, NULL, 0, err);
    for (int64_t rows = 1; st == LN_OK && rows <= 3; rows += 2) {
        ln__shapes *shapes = NULL;
        st = ln__shapes_infer(&shapes, graph, rows, err);
        ln__shapes_free(shapes, ctx);
    }
    ln__graph_free(graph);
    ln__onnx_free(onnx);
    return st;
}

/* One operator between x [N,4,8,8] and y, at an opset. */
static ln_status read_operator(int64_t opset, const char *type, const char *in, const char *out, ln__buffer *attrs, ln_error *err)
{
    static const int64_t x[] = { -1, 4, 8, 8 };
    ln__buffer graph, model;
    ln_status st;

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    put_node(&graph, type, in, out, attrs);
    put_value_info(&graph, 11, "x", 1, 4, x);
    put_value_info(&graph, 12, "y", 1, -1, NULL);
    put_model(&model, 8, opset, &graph);
    st = read_all(&plain, model.data, model.size, err);
    ln__buffer_free(&model);
    return st;
}

START_TEST(classifiers_of_every_opset)
{
    for (int64_t opset = 5; opset <= 26; opset++) {
        ln_error err = { 0, 0, "" };
        ln__buffer model;
        ln_status st;

        ln__buffer_init(&model, &plain);
        put_small_classifier(&model, opset < 9 ? 3 : 8, opset);
        st = read_all(&plain, model.data, model.size, &err);
        if (opset < 6 || opset > 25) {
            ck_assert_int_eq(st, LN_E_UNSUPPORTED);
            ck_assert_ptr_nonnull(strstr(err.text, "6 to 25"));
        } else {
            ck_assert_msg(st == LN_OK, "opset %d: %s", (int)opset, err.text);
        }
        ln__buffer_free(&model);
    }
}
END_TEST

START_TEST(graph_is_what_the_file_says)
{
    ln_error err;
    ln__buffer model;
    ln__onnx *onnx;
    ln__graph *graph;
    ln__shapes *shapes;
    int32_t w;

    ln__buffer_init(&model, &plain);
    put_small_classifier(&model, 3, 7);
    ck_assert_int_eq(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err), LN_OK);
    ck_assert_int_eq(ln__onnx_opset(onnx), 7);
    ck_assert_str_eq(ln__onnx_producer(onnx), "libleenet tests");
    ck_assert_int_eq(ln__onnx_graph(&graph, onnx, NULL, 0, &err), LN_OK);
    ck_assert_int_eq(graph->n_nodes, 5);
    ck_assert_int_eq(graph->n_inputs, 1);       /* the weights are no inputs */
    ck_assert_int_eq(graph->n_outputs, 1);
    ck_assert(!graph->batch_fixed);
    ck_assert_int_eq(graph->nodes[0].op, LN__CONV);
    ck_assert_int_eq(graph->nodes[0].u.conv.window.spatial, 2);
    ck_assert_int_eq(graph->nodes[0].u.conv.window.pad_end[1], 1);
    ck_assert_int_eq(graph->nodes[4].op, LN__MATMUL);
    ck_assert(graph->nodes[4].u.matmul.trans_b);
    w = ln__graph_find(graph, "w");
    ck_assert_ptr_nonnull(graph->values[w].constant);
    ck_assert_int_eq(graph->values[w].constant->dim[0], 4);
    ck_assert_int_eq(ln__shapes_infer(&shapes, graph, 3, &err), LN_OK);
    ck_assert_int_eq(shapes->of[graph->outputs[0]].dim[0], 3);
    ck_assert_int_eq(shapes->of[graph->outputs[0]].dim[1], 5);
    ln__shapes_free(shapes, &plain);
    ln__graph_free(graph);
    ln__onnx_free(onnx);
    ln__buffer_free(&model);
}
END_TEST

START_TEST(nodes_out_of_order_are_sorted)
{
    static const int64_t x[] = { -1, 4 };
    ln_error err = { 0, 0, "" };
    ln__buffer graph, model;
    ln__onnx *onnx;
    ln__graph *g;

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    put_node(&graph, "Tanh", "b", "y", NULL);
    put_node(&graph, "Relu", "x", "a", NULL);
    put_node(&graph, "Sigmoid", "a", "b", NULL);
    put_value_info(&graph, 11, "x", 1, 2, x);
    put_value_info(&graph, 12, "y", 1, 2, x);
    put_model(&model, 8, 13, &graph);
    ck_assert_msg(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(ln__onnx_graph(&g, onnx, NULL, 0, &err), LN_OK);
    ck_assert_str_eq(g->nodes[0].type, "Relu");
    ck_assert_str_eq(g->nodes[1].type, "Sigmoid");
    ck_assert_str_eq(g->nodes[2].type, "Tanh");
    ck_assert_int_eq(g->nodes[2].index, 0);
    ln__graph_free(g);
    ln__onnx_free(onnx);
    ln__buffer_free(&model);
}
END_TEST

/* ---- Tensors --------------------------------------------------------------------- */

/* Node 1, a Constant that makes 't' of the tensor, which is freed. */
static void put_constant(ln__buffer *graph, ln__buffer *tensor)
{
    ln__buffer attr, attrs;

    ln__buffer_init(&attr, graph->ctx);
    ln__buffer_init(&attrs, graph->ctx);
    ln__put_text(&attr, 1, "value");
    put_message(&attr, 5, tensor);
    ln__put_int(&attr, 20, 4);
    put_message(&attrs, 5, &attr);
    put_node(graph, "Relu", "x", "r", NULL);
    put_node(graph, "Constant", "", "t", &attrs);
}

/* A model whose initializer, or constant, 't' has this type, two elements, and these fields. */
static ln_status read_tensor(bool constant, int type, void (*fields)(ln__buffer *tensor), ln__tensor *out, double values[2], ln_error *err)
{
    static const int64_t x[] = { 2 };
    ln__buffer graph, model, t;
    ln__onnx *onnx;
    ln__graph *g = NULL;
    ln_status st;

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    ln__buffer_init(&t, &plain);
    ln__put_int(&t, 1, 2);
    ln__put_int(&t, 2, type);
    if (!constant)
        ln__put_text(&t, 8, "t");
    fields(&t);
    if (constant)
        put_constant(&graph, &t);
    else
        put_message(&graph, 5, &t);
    put_node(&graph, "Add", "x t", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 1, x);
    put_value_info(&graph, 12, "y", 1, 1, x);
    put_model(&model, 8, 13, &graph);
    st = ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, err);
    if (st == LN_OK) {
        ck_assert_int_eq(ln__onnx_graph(&g, onnx, NULL, 0, err), LN_OK);
        *out = *g->values[ln__graph_find(g, "t")].constant;
        for (int i = 0; i < 2; i++)
            if (out->dtype == LN__F32)
                values[i] = (double)ln__float_of(ln__load_u32((const uint8_t *)out->data + 4 * i));
            else
                values[i] = (double)(int64_t)ln__load_u64((const uint8_t *)out->data + 8 * i);
        ln__graph_free(g);
        ln__onnx_free(onnx);
    }
    ln__buffer_free(&model);
    return st;
}

static void raw_f32(ln__buffer *t)  { const float v[] = { 1.5f, -2.0f }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_nan(ln__buffer *t)  { const float v[] = { 1.5f, NAN }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_f16(ln__buffer *t)  { const uint16_t v[] = { 0x3e00, 0xc000 }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_bf16(ln__buffer *t) { const uint16_t v[] = { 0x3fc0, 0xc000 }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_f64(ln__buffer *t)  { const double v[] = { 1.5, -2.0 }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_i8(ln__buffer *t)   { const int8_t v[] = { 7, -3 }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_i64(ln__buffer *t)  { const int64_t v[] = { 7, -3 }; ln__put_bytes(t, 9, v, sizeof v); }
static void raw_short(ln__buffer *t) { const float v[] = { 1.5f }; ln__put_bytes(t, 9, v, sizeof v); }
static void typed_packed(ln__buffer *t) { const float v[] = { 1.5f, -2.0f }; ln__put_bytes(t, 4, v, sizeof v); }
static void typed_single(ln__buffer *t) { ln__put_float(t, 4, 1.5f); ln__put_float(t, 4, -2.0f); }
static void typed_i32(ln__buffer *t) { ln__put_int(t, 5, 7); ln__put_int(t, 5, -3); }
static void typed_f16(ln__buffer *t) { ln__put_int(t, 5, 0x3e00); ln__put_int(t, 5, 0xc000); }
static void typed_bool(ln__buffer *t) { ln__put_int(t, 5, 1); ln__put_int(t, 5, 0); }
static void typed_i64(ln__buffer *t) { uint8_t v[] = { 7, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 }; ln__put_bytes(t, 7, v, sizeof v); }
static void typed_three(ln__buffer *t) { typed_single(t); ln__put_float(t, 4, 0.0f); }
static void raw_and_typed(ln__buffer *t) { raw_f32(t); typed_packed(t); }
static void no_data(ln__buffer *t)  { (void)t; }
static void third_dim_negative(ln__buffer *t) { ln__put_int(t, 1, -1); raw_f32(t); }
static void outside(ln__buffer *t)
{
    ln__buffer entry;
    ln__buffer_init(&entry, t->ctx);
    ln__put_text(&entry, 1, "location");
    ln__put_text(&entry, 2, "weights.bin");
    put_message(t, 13, &entry);
    ln__put_int(t, 14, 1);
}

START_TEST(tensors_of_every_storage)
{
    static const struct { int type; void (*fields)(ln__buffer *); ln__dtype dtype; double a, b; } good[] = {
        { 1, raw_f32, LN__F32, 1.5, -2 }, { 1, typed_packed, LN__F32, 1.5, -2 }, { 1, typed_single, LN__F32, 1.5, -2 },
        { 10, raw_f16, LN__F32, 1.5, -2 }, { 10, typed_f16, LN__F32, 1.5, -2 }, { 16, raw_bf16, LN__F32, 1.5, -2 },
        { 11, raw_f64, LN__F32, 1.5, -2 }, { 3, raw_i8, LN__I64, 7, -3 }, { 7, raw_i64, LN__I64, 7, -3 },
        { 6, typed_i32, LN__I64, 7, -3 }, { 9, typed_bool, LN__I64, 1, 0 }, { 7, typed_i64, LN__I64, 7, -3 },
    };
    static const struct { int type; void (*fields)(ln__buffer *); ln_status status; const char *says; } bad[] = {
        { 1, raw_nan, LN_E_FORMAT, "NaN" }, { 1, raw_short, LN_E_FORMAT, "4 bytes" }, { 1, typed_three, LN_E_FORMAT, "3 values" },
        { 1, raw_and_typed, LN_E_FORMAT, "both" }, { 1, no_data, LN_E_FORMAT, "0 values" }, { 1, typed_i32, LN_E_FORMAT, "another type" },
        { 1, third_dim_negative, LN_E_FORMAT, "dimension of -1" }, { 0, raw_f32, LN_E_FORMAT, "data type 0" },
        { 8, raw_f32, LN_E_UNSUPPORTED, "string" }, { 17, raw_f32, LN_E_UNSUPPORTED, "data type 17" }, { 1, outside, LN_E_UNSUPPORTED, "weights.bin" },
    };
    ln__tensor t;
    double v[2];

    for (int c = 0; c < 2; c++)
        for (size_t i = 0; i < LN__COUNT(good); i++) {
            ln_error err = { 0, 0, "" };
            ck_assert_msg(read_tensor(c, good[i].type, good[i].fields, &t, v, &err) == LN_OK, "%zu: %s", i, err.text);
            ck_assert_int_eq(t.dtype, good[i].dtype);
            ck_assert_msg(v[0] == good[i].a && v[1] == good[i].b, "%zu: %g %g", i, v[0], v[1]);
        }
    for (int c = 0; c < 2; c++)
        for (size_t i = 0; i < LN__COUNT(bad); i++) {
            ln_error err = { 0, 0, "" };
            const char *owner = c ? ": node 1 't' (Constant): attribute 'value'" : ": initializer 't'";
            ck_assert_int_eq(read_tensor(c, bad[i].type, bad[i].fields, &t, v, &err), bad[i].status);
            ck_assert_int_eq(read_tensor(c, bad[i].type, bad[i].fields, &t, v, NULL), bad[i].status);
            ck_assert_msg(strstr(err.text, bad[i].says) != NULL && strstr(err.text, owner) != NULL, "%s", err.text);
            ck_assert_int_eq(err.detail, c);
        }
}
END_TEST

START_TEST(float16_to_float)
{
    /* Subnormal, largest, infinity. */
    static const uint16_t bits[] = { 0x0001, 0x8400, 0x7bff, 0x7c00 };
    static const float want[] = { 0x1p-24f, -0x1p-14f, 65504.0f, INFINITY };
    static const int64_t dims[] = { 4 };
    ln_error err = { 0, 0, "" };
    ln__buffer graph, model, t;
    ln__onnx *onnx;
    ln__graph *g;
    const ln__tensor *c;

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    ln__buffer_init(&t, &plain);
    ln__put_int(&t, 1, 4);
    ln__put_int(&t, 2, 10);
    ln__put_text(&t, 8, "t");
    ln__put_bytes(&t, 9, bits, sizeof bits);
    put_message(&graph, 5, &t);
    put_node(&graph, "Add", "x t", "y", NULL);
    put_value_info(&graph, 11, "x", 10, 1, dims);
    put_value_info(&graph, 12, "y", 10, 1, dims);
    put_model(&model, 8, 13, &graph);
    ck_assert_msg(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(ln__onnx_graph(&g, onnx, NULL, 0, &err), LN_OK);
    ck_assert_int_eq(g->inputs[0].type.dtype, LN__F32);
    c = g->values[ln__graph_find(g, "t")].constant;
    ck_assert_mem_eq(c->data, want, sizeof want);
    ln__graph_free(g);
    ln__onnx_free(onnx);
    ln__buffer_free(&model);
}
END_TEST

/* ---- Refusals ------------------------------------------------------------------------ */

START_TEST(refusals_name_node_and_reason)
{
    ln_error err = { 0, 0, "" };
    ln__buffer attrs, two;

    ln__buffer_init(&attrs, &plain);
    ln__buffer_init(&two, &plain);
    ck_assert_int_eq(read_operator(13, "NonMaxSuppression", "x", "y", NULL, &err), LN_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "node 0 'y' (NonMaxSuppression)"));
    ck_assert_int_eq(read_operator(13, "HardSwish", "x", "y", NULL, &err), LN_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "opset 13"));
    put_attr_int(&attrs, "alhpa", 1);
    ck_assert_int_eq(read_operator(13, "LeakyRelu", "x", "y", &attrs, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "'alhpa'"));
    put_attr_int(&attrs, "alpha", 1);
    ck_assert_int_eq(read_operator(13, "LeakyRelu", "x", "y", &attrs, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "must be a number"));
    put_attr_text(&attrs, "mode", "sideways");
    ck_assert_int_eq(read_operator(10, "Pad", "x", "y", &attrs, &err), LN_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "sideways"));
    ln__put_text(&two, 1, "value");
    put_floats(&two, "a", 0, NULL, (const float[]){ 1.0f });
    put_floats(&two, "b", 0, NULL, (const float[]){ 2.0f });
    put_message(&attrs, 5, &two);
    ck_assert_int_eq(read_operator(13, "Constant", "", "y", &attrs, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "two tensors"));
    ck_assert_int_eq(read_operator(6, "Dropout", "x", "y", NULL, &err), LN_E_UNSUPPORTED);
    ck_assert_int_eq(read_operator(13, "Relu", "x x", "y", NULL, &err), LN_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "2 inputs"));
    ck_assert_int_eq(read_operator(13, "Relu", "-", "y", NULL, &err), LN_E_FORMAT);
}
END_TEST

START_TEST(extra_outputs_may_stay_unread)
{
    static const int64_t kernel[] = { 2, 2 };
    ln_error err = { 0, 0, "" };
    ln__buffer attrs;

    ln__buffer_init(&attrs, &plain);
    put_attr_ints(&attrs, "kernel_shape", 2, kernel);
    ck_assert_msg(read_operator(13, "MaxPool", "x", "y indices", &attrs, &err) == LN_OK, "%s", err.text);
    put_attr_ints(&attrs, "kernel_shape", 2, kernel);
    ck_assert_int_eq(read_operator(13, "MaxPool", "x", "z y", &attrs, &err), LN_E_UNSUPPORTED);
    ck_assert_msg(read_operator(13, "Dropout", "x", "y mask", NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(read_operator(13, "Dropout", "x", "z y", NULL, &err), LN_E_UNSUPPORTED);
}
END_TEST

/* What follows an output without a name lies behind it all the same. */
START_TEST(split_outputs_may_be_left_out)
{
    static const int64_t x[] = { -1, 6 };
    static const char *const outputs[] = { "a - b", "a - - b", "a - b -", "- a - b" };

    for (size_t i = 0; i < LN__COUNT(outputs); i++) {
        ln_error err = { 0, 0, "" };
        ln__buffer graph, model, attrs;
        ln__onnx *onnx;
        ln__graph *g;
        ln__shapes *shapes;

        ln__buffer_init(&graph, &plain);
        ln__buffer_init(&model, &plain);
        ln__buffer_init(&attrs, &plain);
        put_attr_int(&attrs, "axis", 1);
        if (i > 0)
            put_attr_ints(&attrs, "split", 4, (const int64_t[]){ 2, 1, 2, 1 });
        put_node(&graph, "Split", "x", outputs[i], &attrs);
        put_attr_int(&attrs, "axis", 1);
        put_node(&graph, "Concat", "a b", "y", &attrs);
        put_value_info(&graph, 11, "x", 1, 2, x);
        put_value_info(&graph, 12, "y", 1, -1, NULL);
        put_model(&model, 8, 11, &graph);
        ck_assert_msg(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err) == LN_OK, "%s", err.text);
        ck_assert_msg(ln__onnx_graph(&g, onnx, NULL, 0, &err) == LN_OK, "%s", err.text);
        ck_assert_msg(ln__shapes_infer(&shapes, g, 2, &err) == LN_OK, "%s", err.text);
        ck_assert_int_eq(g->nodes[0].n_out, i == 0 ? 3 : 4);
        for (int32_t k = 0; k < g->nodes[0].n_out; k++) {
            int32_t v = g->nodes[0].out[k];
            ck_assert_int_ge(v, 0);
            ck_assert_int_eq(g->values[v].producer, 0);
            ck_assert_int_eq(shapes->of[v].dim[1], i > 0 && k % 2 ? 1 : 2);
        }
        ln__shapes_free(shapes, &plain);
        ln__graph_free(g);
        ln__onnx_free(onnx);
        ln__buffer_free(&model);
    }
}
END_TEST

START_TEST(operators_become_others)
{
    ln_error err = { 0, 0, "" };
    ln__buffer attrs;

    ln__buffer_init(&attrs, &plain);
    ck_assert_msg(read_operator(8, "Mean", "x x x", "y", NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(read_operator(8, "Sum", "x", "y", NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(read_operator(8, "Max", "x x", "y", NULL, &err) == LN_OK, "%s", err.text);
    put_attr_text(&attrs, "approximate", "tanh");
    ck_assert_msg(read_operator(20, "Gelu", "x", "y", &attrs, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(read_operator(13, "Clip", "x", "y", NULL, &err) == LN_OK, "%s", err.text);
    put_attr_float(&attrs, "min", 0.0f);
    put_attr_float(&attrs, "max", 6.0f);
    ck_assert_msg(read_operator(6, "Clip", "x", "y", &attrs, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(read_operator(13, "Size", "x", "y", NULL, &err) == LN_OK, "%s", err.text);
}
END_TEST

/* Max of `n` inputs, `times` after each other. */
static ln_status read_max(const char *input, size_t n, int times, ln_error *err)
{
    static const int64_t x[] = { -1, 4, 8, 8 };
    size_t length = strlen(input) + 1;
    char *in = malloc(n * length), out[16];
    ln__buffer graph, model;

    for (size_t i = 0; i < n; i++) {
        memcpy(in + i * length, input, length);
        in[i * length + length - 1] = i + 1 < n ? ' ' : '\0';
    }
    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    for (int i = 0; i < times; i++) {
        snprintf(out, sizeof out, "y%d", i);
        put_node(&graph, "Max", in, out, NULL);
    }
    put_value_info(&graph, 11, input, 1, 4, x);
    put_value_info(&graph, 12, "y0", 1, 4, x);
    put_model(&model, 8, 13, &graph);
    ln_status st = read_all(&plain, model.data, model.size, err);
    ln__buffer_free(&model);
    free(in);
    return st;
}

START_TEST(nodes_made_of_others_are_counted)
{
    ln_error err = { 0, 0, "" };

    ck_assert_msg(read_max("x", 1000, 4, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(read_max("x", 65536, 1, &err), LN_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "memory"));
    ck_assert_int_eq(read_max("a-name-as-long-as-they-are", 65536, 2, &err), LN_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "65536 nodes"));
}
END_TEST

START_TEST(inputs_bound_to_constants)
{
    static const int64_t x[] = { 2, 3 }, s[] = { 2 }, shape[] = { 3, -1 }, two = 2;
    ln_error err = { 0, 0, "" };
    ln__buffer graph, model;
    ln__onnx *onnx;
    ln__graph *g;
    ln__shapes *shapes;
    ln__binding bound = { "s", { LN__I64, 1, { two }, shape } };

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    put_node(&graph, "Reshape", "x s", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 2, x);
    put_value_info(&graph, 11, "s", 7, 1, s);
    put_value_info(&graph, 12, "y", 1, 2, x);
    put_model(&model, 8, 13, &graph);
    ck_assert_int_eq(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err), LN_OK);
    ck_assert_msg(ln__onnx_graph(&g, onnx, &bound, 1, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(g->n_inputs, 1);
    ck_assert_msg(ln__shapes_infer(&shapes, g, 2, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(shapes->of[g->outputs[0]].dim[0], 3);
    ln__shapes_free(shapes, &plain);
    ln__graph_free(g);
    bound.input = "nobody";
    ck_assert_int_eq(ln__onnx_graph(&g, onnx, &bound, 1, &err), LN_E_ARGUMENT);
    ln__onnx_free(onnx);
    ln__buffer_free(&model);
}
END_TEST

/* ---- Data in other files -------------------------------------------------------------- */

static void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, size, f), size);
    fclose(f);
}

/* An initializer of two numbers, float32, that lie in another file. */
static void put_elsewhere(ln__buffer *graph, const char *name, const char *location)
{
    ln__buffer t, entry;

    ln__buffer_init(&t, &plain);
    ln__buffer_init(&entry, &plain);
    ln__put_int(&t, 1, 2);
    ln__put_int(&t, 2, 1);
    ln__put_text(&t, 8, name);
    ln__put_text(&entry, 1, "location");
    ln__put_text(&entry, 2, location);
    put_message(&t, 13, &entry);
    ln__put_int(&t, 14, 1);
    put_message(graph, 5, &t);
}

START_TEST(external_data_stays_in_the_folder)
{
    static const float weights[] = { 1.5f, -2.0f };
    static const int64_t x[] = { 2 };
    char folder[] = "/tmp/leenet-onnx-XXXXXX", path[64], link[64], file[64], outer[64];
    static const struct { const char *location; ln_status status; } cases[] = {
        { "weights.bin", LN_OK }, { "./weights.bin", LN_OK }, { "link.bin", LN_E_FORMAT }, { "../outer.bin", LN_E_FORMAT },
        { "/etc/passwd", LN_E_FORMAT }, { "a/../weights.bin", LN_E_FORMAT }, { "", LN_E_FORMAT }, { "gone.bin", LN_E_IO },
    };

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    snprintf(file, sizeof file, "%s/weights.bin", folder);
    snprintf(link, sizeof link, "%s/link.bin", folder);
    snprintf(outer, sizeof outer, "%s.bin", folder);
    write_bytes(file, weights, sizeof weights);
    write_bytes(outer, weights, sizeof weights);
    ck_assert_int_eq(symlink(outer, link), 0);
    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        ln_error err = { 0, 0, "" };
        ln__buffer graph, model;
        ln__onnx *onnx = NULL;

        ln__buffer_init(&graph, &plain);
        ln__buffer_init(&model, &plain);
        put_elsewhere(&graph, "t", cases[i].location);
        put_node(&graph, "Add", "x t", "y", NULL);
        put_value_info(&graph, 11, "x", 1, 1, x);
        put_value_info(&graph, 12, "y", 1, 1, x);
        put_model(&model, 8, 13, &graph);
        write_bytes(path, model.data, model.size);
        ck_assert_msg(ln__onnx_load(&onnx, &plain, path, NULL, &err) == cases[i].status, "'%s': %s", cases[i].location, err.text);
        ln__onnx_free(onnx);
        ln__buffer_free(&model);
    }
    unlink(path);
    unlink(file);
    unlink(link);
    unlink(outer);
    rmdir(folder);
}
END_TEST

static int mappings(const char *of)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f) != NULL)
        n += strstr(line, of) != NULL;
    fclose(f);
    return n;
}

START_TEST(external_files_are_mapped_once)
{
    static const float weights[] = { 1.5f, -2.0f };
    static const int64_t x[] = { 2 };
    char folder[] = "/tmp/leenet-onnx-XXXXXX", path[64], file[64], link[64], name[16], location[64];
    ln_error err = { 0, 0, "" };
    ln__buffer graph, model;
    ln__onnx *onnx = NULL;

    if (access("/proc/self/maps", R_OK) != 0) {
        printf("skip external_files_are_mapped_once: no /proc\n");
        return;
    }
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    snprintf(file, sizeof file, "%s/weights.bin", folder);
    snprintf(link, sizeof link, "%s/too.bin", folder);
    write_bytes(file, weights, sizeof weights);
    ck_assert_int_eq(symlink("weights.bin", link), 0);
    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    for (int i = 0; i < 24; i++) {
        snprintf(name, sizeof name, "t%d", i);
        snprintf(location, sizeof location, ".%.*s%s", i / 2 + 1, "////////////////", i % 2 ? "too.bin" : "weights.bin");
        put_elsewhere(&graph, name, location);
    }
    put_node(&graph, "Add", "x t23", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 1, x);
    put_value_info(&graph, 12, "y", 1, 1, x);
    put_model(&model, 8, 13, &graph);
    write_bytes(path, model.data, model.size);
    ck_assert_msg(ln__onnx_load(&onnx, &plain, path, NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(mappings(file), 1);
    ln__onnx_free(onnx);
    ck_assert_int_eq(mappings(file), 0);
    ln__buffer_free(&model);
    unlink(path);
    unlink(file);
    unlink(link);
    rmdir(folder);
}
END_TEST

/* `times` initializers of `elements` float16 numbers, all the same bytes of an external file. */
static ln_status read_shared(const char *folder, int times, int64_t elements, ln_error *err)
{
    const int64_t x[] = { elements };
    ln__buffer graph, model;
    ln__onnx *onnx = NULL;
    char path[64], name[16];

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    for (int i = 0; i < times; i++) {
        ln__buffer t, entry;
        ln__buffer_init(&t, &plain);
        ln__buffer_init(&entry, &plain);
        snprintf(name, sizeof name, "t%d", i);
        ln__put_int(&t, 1, elements);
        ln__put_int(&t, 2, 10);
        ln__put_text(&t, 8, name);
        ln__put_text(&entry, 1, "location");
        ln__put_text(&entry, 2, "weights.bin");
        put_message(&t, 13, &entry);
        ln__put_int(&t, 14, 1);
        put_message(&graph, 5, &t);
    }
    put_node(&graph, "Add", "x t0", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 1, x);
    put_value_info(&graph, 12, "y", 1, 1, x);
    put_model(&model, 8, 13, &graph);
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    write_bytes(path, model.data, model.size);
    ln_status st = ln__onnx_load(&onnx, &plain, path, NULL, err);
    ln__onnx_free(onnx);
    ln__buffer_free(&model);
    unlink(path);
    return st;
}

START_TEST(conversions_are_in_proportion)
{
    enum { ELEMENTS = 1 << 20 };
    char folder[] = "/tmp/leenet-onnx-XXXXXX", path[64];
    uint16_t *zeros = calloc(ELEMENTS, sizeof *zeros);
    ln_error err = { 0, 0, "" };

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/weights.bin", folder);
    write_bytes(path, zeros, ELEMENTS * sizeof *zeros);
    ck_assert_msg(read_shared(folder, 4, ELEMENTS, &err) == LN_OK, "%s", err.text);
    ck_assert_int_eq(read_shared(folder, 12, ELEMENTS, &err), LN_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "m.onnx"));
    unlink(path);
    rmdir(folder);
    free(zeros);
}
END_TEST

/* ---- Damage and memory ------------------------------------------------------------------- */

START_TEST(truncations_and_flips)
{
    const char *asked = getenv("LN_TEST_FLIPS");
    int rounds = asked != NULL ? atoi(asked) : 2000;
    ln__rng rng = ln__rng_make(1, 1);
    counting_heap heap = { 0, 0, 0 };
    ln__ctx ctx = counting_ctx(&heap);
    ln__buffer model;
    uint8_t *copy;

    ln__buffer_init(&model, &plain);
    put_small_classifier(&model, 8, 13);
    copy = malloc(model.size);
    for (int i = 0; i < rounds; i++) {
        ln_error err = { 0, 0, "" };
        size_t size = model.size;
        memcpy(copy, model.data, size);
        if (i % 2 == 0)
            size = ln__rng_below(&rng, (uint32_t)size);
        else
            for (uint32_t flips = 1 + ln__rng_below(&rng, 4); flips > 0; flips--)
                copy[ln__rng_below(&rng, (uint32_t)size)] ^= (uint8_t)(1u << ln__rng_below(&rng, 8));
        if (read_all(&ctx, copy, size, &err) < 0)
            ck_assert_msg(err.text[0] != '\0', "round %d: no text", i);
        ck_assert_uint_eq(heap.live, 0);
    }
    free(copy);
    ln__buffer_free(&model);
}
END_TEST

START_TEST(memory_running_out_while_reading)
{
    ln__buffer model;
    ln_status st = LN_E_NOMEM;
    size_t n;

    ln__buffer_init(&model, &plain);
    put_small_classifier(&model, 3, 7);
    for (n = 1; st != LN_OK && n < 10000; n++) {
        counting_heap heap = { 0, 0, n };
        ln__ctx ctx = counting_ctx(&heap);
        ln_error err = { 0, 0, "" };
        st = read_all(&ctx, model.data, model.size, &err);
        ck_assert_msg(st == LN_OK || st == LN_E_NOMEM, "%zu: %d %s", n, (int)st, err.text);
        ck_assert_uint_eq(heap.live, 0);
    }
    ck_assert_int_eq(st, LN_OK);
    ck_assert_uint_gt(n, 5);
    ln__buffer_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx read");
    TCase *tests = tcase_create("read");

    plain = ln__ctx_make(NULL, NULL, NULL);
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, classifiers_of_every_opset);
    tcase_add_test(tests, graph_is_what_the_file_says);
    tcase_add_test(tests, nodes_out_of_order_are_sorted);
    tcase_add_test(tests, tensors_of_every_storage);
    tcase_add_test(tests, float16_to_float);
    tcase_add_test(tests, refusals_name_node_and_reason);
    tcase_add_test(tests, extra_outputs_may_stay_unread);
    tcase_add_test(tests, split_outputs_may_be_left_out);
    tcase_add_test(tests, operators_become_others);
    tcase_add_test(tests, nodes_made_of_others_are_counted);
    tcase_add_test(tests, inputs_bound_to_constants);
    tcase_add_test(tests, external_data_stays_in_the_folder);
    tcase_add_test(tests, external_files_are_mapped_once);
    tcase_add_test(tests, conversions_are_in_proportion);
    tcase_add_test(tests, truncations_and_flips);
    tcase_add_test(tests, memory_running_out_while_reading);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
