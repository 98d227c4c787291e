/* test_model_crafted.c - model files made to mislead: last layers whose classes cannot be replaced, metadata about one
 * that does not fit. Each is answered with a message, never with a crash. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "leenet/leenet.h"
#include "onnx_bytes.h"
#include "run_suite.h"

static counting_heap heap;
static ln__ctx ctx;
static ln_error err;

static void start(void)
{
    memset(&heap, 0, sizeof heap);
    ctx = counting_ctx(&heap);
}

static void nothing_left(void) { ck_assert_uint_eq(heap.live, 0); }

/* ---- Networks --------------------------------------------------------------------- */

static const int64_t input_dims[] = { -1, 4, 2, 2 };
static float numbers[576];

static void put_metadata(ln__buffer *model, const char *key, const char *value)
{
    ln__buffer entry;

    ln__buffer_init(&entry, &ctx);
    ln__put_text(&entry, 1, key);
    ln__put_text(&entry, 2, value);
    put_message(model, 14, &entry);
}

static void finish_model(ln__buffer *model, ln__buffer *graph, int64_t classes, const char *final)
{
    put_value_info(graph, 11, "x", 1, 4, input_dims);
    put_value_info(graph, 12, "y", 1, 2, (const int64_t[]){ -1, classes });
    ln__buffer_init(model, &ctx);
    put_model(model, 7, 13, graph);
    if (final) {
        put_metadata(model, "leenet.format", "1");
        put_metadata(model, "leenet.final", final);
    }
}

/* x -> Relu -> Flatten -> Gemm of 3 classes, with a bias of `bias` numbers. */
static void put_gemm(ln__buffer *model, int64_t bias, const char *final)
{
    ln__buffer graph, attrs;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_node(&graph, "Relu", "x", "r", NULL);
    put_node(&graph, "Flatten", "r", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f w b", "y", &attrs);
    put_floats(&graph, "w", 2, (const int64_t[]){ 3, 16 }, numbers);
    put_floats(&graph, "b", 1, &bias, numbers);
    finish_model(model, &graph, 3, final);
}

/* x -> Relu -> Flatten -> Gemm without a bias -> Add of one number -> y. */
static void put_added(ln__buffer *model, const char *final)
{
    ln__buffer graph, attrs;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_node(&graph, "Relu", "x", "r", NULL);
    put_node(&graph, "Flatten", "r", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f w", "z", &attrs);
    put_node(&graph, "Add", "z b", "y", NULL);
    put_floats(&graph, "w", 2, (const int64_t[]){ 3, 16 }, numbers);
    put_floats(&graph, "b", 1, (const int64_t[]){ 1 }, numbers);
    finish_model(model, &graph, 3, final);
}

/* x -> Relu -> GlobalAveragePool -> 1 x 1 Conv of 12 classes -> Flatten -> y. */
static void put_conv(ln__buffer *model, int64_t group, const char *final)
{
    ln__buffer graph, attrs;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_node(&graph, "Relu", "x", "r", NULL);
    put_node(&graph, "GlobalAveragePool", "r", "p", NULL);
    put_attr_int(&attrs, "group", group);
    put_node(&graph, "Conv", "p w", "c", &attrs);
    put_node(&graph, "Flatten", "c", "y", NULL);
    put_floats(&graph, "w", 4, (const int64_t[]){ 12, 4 / group, 1, 1 }, numbers);
    finish_model(model, &graph, 12, final);
}

/* x [N,4,8,8] -> Relu -> GlobalAveragePool -> Flatten -> Gemm of 3 classes, with a trained convolutional head of 2 channels and one
 * cell behind the Relu. What `change` names is not as it should be. */
typedef enum change { NOTHING, NO_DEPTHWISE, RANK, SIZE, NOT_FINITE, NO_BIAS, TOO_SMALL, TOO_MANY, BAD_TEXT } change;

static void put_head(ln__buffer *graph, change what)
{
    static float odd[256];

    odd[3] = NAN;
    if (what != NO_DEPTHWISE)
        put_floats(graph, "leenet/0/head.conv1.depthwise", 4, (const int64_t[]){ 4, 1, 3, 3 }, numbers);
    put_floats(graph, "leenet/0/head.conv1.w", what == RANK ? 2 : 4, (const int64_t[]){ 2, 4, 1, 1 }, what == NOT_FINITE ? odd : numbers);
    put_floats(graph, "leenet/0/head.conv1.b", 1, (const int64_t[]){ 2 }, numbers);
    put_floats(graph, "leenet/0/head.conv2.depthwise", 4, (const int64_t[]){ 2, 1, 3, 3 }, numbers);
    put_floats(graph, "leenet/0/head.conv2.w", 4, (const int64_t[]){ 4, what == SIZE ? 3 : 2, 1, 1 }, numbers);
    if (what != NO_BIAS)
        put_floats(graph, "leenet/0/head.conv2.b", 1, (const int64_t[]){ 4 }, numbers);
    put_floats(graph, "leenet/0/head.w2", 2, (const int64_t[]){ 3, 8 }, numbers);
    put_floats(graph, "leenet/0/head.b2", 1, (const int64_t[]){ 3 }, numbers);
}

static void put_convolved(ln__buffer *model, change what)
{
    const char *head = what == TOO_MANY ? "conv 0 1 4000000000" : what == BAD_TEXT ? "conv 0 1" : "conv 0 1 2";
    ln__buffer graph, attrs;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_node(&graph, "Relu", "x", "r", NULL);
    put_node(&graph, "GlobalAveragePool", "r", "p", NULL);
    put_node(&graph, "Flatten", "p", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f w b", "y", &attrs);
    put_floats(&graph, "w", 2, (const int64_t[]){ 3, 4 }, numbers);
    put_floats(&graph, "b", 1, (const int64_t[]){ 3 }, numbers);
    put_head(&graph, what);
    put_value_info(&graph, 11, "x", 1, 4, (const int64_t[]){ -1, 4, 8, 8 });
    put_value_info(&graph, 12, "y", 1, 2, (const int64_t[]){ -1, 3 });
    ln__buffer_init(model, &ctx);
    put_model(model, 7, 13, &graph);
    put_metadata(model, "leenet.format", "1");
    put_metadata(model, "leenet.exits", "1");
    put_metadata(model, "leenet.exit.0", what == TOO_SMALL ? "p" : "r");
    put_metadata(model, "leenet.exit.0.head", head);
    put_metadata(model, "leenet.exit.0.accuracy", "0.5");
}

/* Frees the bytes. */
static ln_status load(ln_model **model, ln__buffer *bytes)
{
    ln_allocator allocator = { counting_alloc, counting_release, &heap };
    ln_load_options options = LN_LOAD_OPTIONS_INIT;

    options.allocator = &allocator;
    memset(&err, 0, sizeof err);
    ck_assert(bytes->ok);
    ln_status st = ln_model_load_memory(model, bytes->data, bytes->size, &options, &err);
    ln_model *again = NULL;
    ck_assert_int_eq(ln_model_load_memory(&again, bytes->data, bytes->size, &options, NULL), st);
    ln_model_free(again);
    ln__buffer_free(bytes);
    return st;
}

/* Answers of a network must come out whatever was tried with it before. */
static void answers(ln_model *model)
{
    float input[16] = { 1, 2, 3 }, logits[12];
    ln_session *session = NULL;
    ln_result result;

    ck_assert_msg(ln_session_open(&session, model, NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln_infer_full(session, input, 1, &result, logits, &err) == LN_OK, "%s", err.text);
    ln_session_free(session);
}

static ln_status set_classes(ln_model *model, size_t count)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g" };

    memset(&err, 0, sizeof err);
    return ln_model_set_classes(model, names, NULL, count, &err);
}

static void refuses_other_classes(ln__buffer *bytes, const char *words)
{
    ln_model *model;

    ck_assert_msg(load(&model, bytes) == LN_OK, "%s", err.text);
    uint32_t classes = ln_model_class_count(model);
    ck_assert_int_eq(set_classes(model, 5), LN_E_UNSUPPORTED);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' has no '%s'", err.text, words);
    ck_assert_uint_eq(ln_model_class_count(model), classes);
    answers(model);
    ln_model_free(model);
}

/* ---- Last layers ---------------------------------------------------------------------- */

START_TEST(a_gemm_with_one_number_of_bias_keeps_its_classes)
{
    ln__buffer bytes;
    ln_model *model;

    put_gemm(&bytes, 1, NULL);
    refuses_other_classes(&bytes, "its bias has not one number for each of 3 classes");
    put_gemm(&bytes, 3, NULL);
    ck_assert_int_eq(load(&model, &bytes), LN_OK);
    ck_assert_msg(set_classes(model, 5) == LN_OK, "%s", err.text);
    ck_assert_uint_eq(ln_model_class_count(model), 5);
    ln_model_free(model);
    nothing_left();
}
END_TEST

/* One number added behind the layer is no bias of its own; it goes with any number of classes. */
START_TEST(one_number_added_goes_with_other_classes)
{
    ln__buffer bytes;
    ln_model *model;

    put_added(&bytes, NULL);
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    ck_assert_msg(set_classes(model, 7) == LN_OK, "%s", err.text);
    ck_assert_uint_eq(ln_model_class_count(model), 7);
    ln_model_free(model);
    nothing_left();
}
END_TEST

START_TEST(a_grouped_conv_keeps_its_classes)
{
    ln__buffer bytes;
    ln_model *model;

    put_conv(&bytes, 4, NULL);
    refuses_other_classes(&bytes, "a plain linear layer");
    put_conv(&bytes, 1, NULL);
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    ck_assert_msg(set_classes(model, 5) == LN_OK, "%s", err.text);
    ln_model_free(model);
    nothing_left();
}
END_TEST

/* ---- leenet.final ------------------------------------------------------------------------- */

START_TEST(a_final_layer_that_does_not_fit_is_refused)
{
    static const struct { const char *text, *words; } bad[] = {
        { "", "numbers were expected" },        { "2 2 2", "numbers were expected" },
        { "2 2 2 0 0", "numbers were expected" }, { "2  2 2 0", "numbers were expected" },
        { "a b c d", "'a' is not a number" },   { "nan 2 2 0", "not a number" },
        { "inf 2 2 0", "not a number" },        { "2 2 2 1e999", "not a number" },
        { "0x2 2 2 0", "not a number" },        { "1e300 2 2 0", "number 1 is 1e+300" },
        { "2 -2 2 0", "number 2 is -2" },       { "2 2 2147483648 0", "number 3 is" },
        { "-9e18 2 2 0", "number 1 is" },       { "2 2 2 -7", "number 4 is -7" },
        { "0 2 2 0", "it is node 2 with 2" },   { "-1 2 2 0", "it is node 2 with 2" },
        { "3 2 2 0", "it is node 2 with 2" },   { "2147483647 2 2 0", "it is node 2 with 2" },
        { "2 -1 0 0", "it is node 2 with 2" },  { "2 1 0 0", "it is node 2 with 2" },
        { "2 2147483647 2 0", "it is node 2 with 2" }, { "2 2 1 0", "it is node 2 with 2" },
        { "2 2 2147483647 0", "it is node 2 with 2" }
    };

    for (size_t i = 0; i < LN__COUNT(bad); i++) {
        ln__buffer bytes;
        ln_model *model;
        put_gemm(&bytes, 3, bad[i].text);
        ck_assert_msg(load(&model, &bytes) == LN_E_FORMAT, "'%s': %s", bad[i].text, err.text);
        ck_assert_msg(strstr(err.text, bad[i].words) != NULL, "'%s' has no '%s'", err.text, bad[i].words);
        ck_assert_ptr_null(model);
        nothing_left();
    }
}
END_TEST

START_TEST(a_final_layer_that_fits_is_taken)
{
    ln__buffer bytes;
    ln_model *model;

    put_gemm(&bytes, 3, "2 2 2 1");
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    answers(model);
    ck_assert_int_eq(set_classes(model, 5), LN_E_STATE);
    ln_model_free(model);
    put_added(&bytes, "2 -1 0 1");
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    answers(model);
    ln_model_free(model);
    nothing_left();
}
END_TEST

/* Metadata cannot declare replaced what the library would not replace. */
START_TEST(a_final_layer_of_the_wrong_kind_is_refused)
{
    static const char *const texts[] = { "2 2 2 0", "2 -1 0 0", "2 2 2 1", "2 -1 0 1" };

    for (size_t i = 0; i < LN__COUNT(texts); i++) {
        ln__buffer bytes;
        ln_model *model;
        put_gemm(&bytes, 1, texts[i]);
        ck_assert_int_eq(load(&model, &bytes), LN_E_UNSUPPORTED);
        ck_assert_ptr_ne(strstr(err.text, "its bias has not one number"), NULL);
        ck_assert_ptr_null(model);
        put_conv(&bytes, 4, texts[i]);
        ck_assert_int_eq(load(&model, &bytes), LN_E_UNSUPPORTED);
        ck_assert_ptr_ne(strstr(err.text, "a plain linear layer"), NULL);
        ck_assert_ptr_null(model);
        nothing_left();
    }
}
END_TEST

/* ---- Class names ---------------------------------------------------------------------------- */

/* As many as a file may have entries, nearly. Of two entries with one key the first counts. */
START_TEST(very_many_class_names_are_read_and_written)
{
    enum { CLASSES = 65000 };
    float *zeros = calloc(16 * CLASSES, sizeof *zeros);
    char path[] = "/tmp/leenet-crafted-XXXXXX", key[40], name[40];
    ln__buffer graph, attrs, bytes;
    ln_model *model, *again;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_node(&graph, "Flatten", "x", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f w", "y", &attrs);
    put_floats(&graph, "w", 2, (const int64_t[]){ CLASSES, 16 }, zeros);
    free(zeros);
    finish_model(&bytes, &graph, CLASSES, NULL);
    put_metadata(&bytes, "leenet.format", "1");
    put_metadata(&bytes, "leenet.classes", "65000");
    for (int i = 0; i < CLASSES; i++) {
        snprintf(key, sizeof key, "leenet.class.%d", i);
        snprintf(name, sizeof name, "class %d", i);
        put_metadata(&bytes, key, name);
    }
    put_metadata(&bytes, "leenet.class.7", "another seven");
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    close(mkstemp(path));
    ck_assert_msg(ln_model_save(model, path, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln_model_load(&again, path, NULL, &err) == LN_OK, "%s", err.text);
    unlink(path);
    for (uint32_t i = 0; i < CLASSES; i++) {
        snprintf(name, sizeof name, "class %u", i);
        ck_assert_str_eq(ln_model_class_name(model, i), name);
        ck_assert_str_eq(ln_model_class_name(again, i), name);
    }
    ln_model_free(model);
    ln_model_free(again);
    nothing_left();
}
END_TEST

START_TEST(convolutions_that_do_not_fit_are_named)
{
    static const struct { change what; const char *says; } cases[] = {
        { NO_DEPTHWISE, "'leenet/0/head.conv1.depthwise' is missing" },
        { RANK, "'leenet/0/head.conv1.w': found float of rank 2, expected float of rank 4" },
        { SIZE, "'leenet/0/head.conv2.w': dimension 1 is 3, expected 2" },
        { NOT_FINITE, "'leenet/0/head.conv1.w' holds values that are not numbers" },
        { NO_BIAS, "'leenet/0/head.conv2.b' is missing" },
        { TOO_SMALL, "'p' is no map of 4 x 4 pixels" },
        { TOO_MANY, "1..1024 channels" },
        { BAD_TEXT, "leenet.exit.0.head" },
    };
    ln_model *model = NULL;
    ln__buffer bytes;

    put_convolved(&bytes, NOTHING);
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    ln_model_free(model);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_convolved(&bytes, cases[i].what);
        ck_assert_int_eq(load(&model, &bytes), LN_E_FORMAT);
        ck_assert_msg(strstr(err.text, cases[i].says) != NULL, "case %zu: %s", i, err.text);
    }
}
END_TEST

static void put_pooled(ln__buffer *model, const char *value, const char *head)
{
    ln__buffer graph;

    ln__buffer_init(&graph, &ctx);
    put_node(&graph, "Relu", "x", "r", NULL);
    put_node(&graph, "GlobalAveragePool", "r", "p", NULL);
    put_node(&graph, "Flatten", "p", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 4, (const int64_t[]){ -1, 4, 8, 8 });
    put_value_info(&graph, 12, "y", 1, 2, (const int64_t[]){ -1, 4 });
    ln__buffer_init(model, &ctx);
    put_model(model, 7, 13, &graph);
    put_metadata(model, "leenet.format", "1");
    put_metadata(model, "leenet.exits", "1");
    put_metadata(model, "leenet.exit.0", value);
    put_metadata(model, "leenet.exit.0.head", head);
}

START_TEST(words_that_mean_nothing_are_errors_of_the_file)
{
    static const struct { const char *exit, *order, *says; } cases[] = { { "elsewhere", "0", "elsewhere" }, { "r", "7", "order 7" } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ln_model *model = NULL;
        ln__buffer bytes;
        char preprocess[64];

        put_pooled(&bytes, cases[i].exit, "pool 0");
        snprintf(preprocess, sizeof preprocess, "8 8 8 %s 1 0 0 0 0 1 1 1 1", cases[i].order);
        put_metadata(&bytes, "leenet.preprocess", preprocess);
        ck_assert_int_eq(load(&model, &bytes), LN_E_FORMAT);
        ck_assert_msg(strstr(err.text, cases[i].says) != NULL, "case %zu: %s", i, err.text);
    }
}
END_TEST

START_TEST(forms_of_heads_are_read_or_refused)
{
    static const struct { const char *text; uint32_t hidden, cells, covariance; const char *says; } cases[] = {
        { "pool 8", 8, 1, 0, NULL },        { "pool 8 4", 8, 4, 0, NULL },      { "pool 0 2 1", 0, 2, 1, NULL },
        { "pool 0 1 0", 0, 1, 0, NULL },    { "flatten 0", 0, 1, 0, NULL },     { "pool 0 1 2", 0, 0, 0, "0 or 1 for covariances" },
        { "pool 0 1 -1", 0, 0, 0, "0 or 1 for covariances" },                   { "pool 0 1 1 1", 0, 0, 0, "leenet.exit.0.head" },
        { "pool 0 1 nan", 0, 0, 0, "leenet.exit.0.head" },                      { "pool ", 0, 0, 0, "leenet.exit.0.head" },
        { "flatten 0 4", 0, 0, 0, "leenet.exit.0.head" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        ln_model *model = NULL;
        ln__buffer bytes;

        put_pooled(&bytes, "r", cases[i].text);
        ln_status st = load(&model, &bytes);
        if (cases[i].says) {
            ck_assert_int_eq(st, LN_E_FORMAT);
            ck_assert_msg(strstr(err.text, cases[i].says) != NULL, "'%s': %s", cases[i].text, err.text);
            continue;
        }
        ck_assert_msg(st == LN_OK, "'%s': %s", cases[i].text, err.text);
        ck_assert_int_eq(ln_exit_get_info(model, 0, &info, &err), LN_OK);
        ck_assert_msg(info.hidden == cases[i].hidden && info.cells == cases[i].cells && info.covariance == cases[i].covariance,
                      "'%s': %u hidden, %u cells, covariance %u", cases[i].text, info.hidden, info.cells, info.covariance);
        ln_model_free(model);
    }
    nothing_left();
}
END_TEST

/* ---- Values whose rows do not come first ------------------------------------------- */

/* x -> Conv of 64 -> turned, t [64,N,2,2] -> Relu -> turned back, u -> Add of t turned back. t is another output, or
 * (carried) read before and behind an exit at u. */
static void put_turned(ln__buffer *model, bool carried)
{
    const int64_t turned[] = { 1, 0, 2, 3 };
    ln__buffer graph, attrs;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_node(&graph, "Conv", "x k", "c", NULL);
    put_attr_ints(&attrs, "perm", 4, turned);
    put_node(&graph, "Transpose", "c", "t", &attrs);
    put_node(&graph, "Relu", "t", "r", NULL);
    put_attr_ints(&attrs, "perm", 4, turned);
    put_node(&graph, "Transpose", "r", "u", &attrs);
    put_attr_ints(&attrs, "perm", 4, turned);
    put_node(&graph, "Transpose", "t", "s", &attrs);
    put_node(&graph, "Add", "u s", "v", NULL);
    put_node(&graph, "GlobalAveragePool", "v", "p", NULL);
    put_node(&graph, "Flatten", "p", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f w b", "y", &attrs);
    put_floats(&graph, "k", 4, (const int64_t[]){ 64, 4, 1, 1 }, numbers);
    put_floats(&graph, "w", 2, (const int64_t[]){ 3, 64 }, numbers);
    put_floats(&graph, "b", 1, (const int64_t[]){ 3 }, numbers);
    put_floats(&graph, "leenet/0/head.w2", 2, (const int64_t[]){ 3, 192 }, numbers);
    put_floats(&graph, "leenet/0/head.b2", 1, (const int64_t[]){ 3 }, numbers);
    put_value_info(&graph, 11, "x", 1, 4, input_dims);
    put_value_info(&graph, 12, "y", 1, 2, (const int64_t[]){ -1, 3 });
    if (!carried)
        put_value_info(&graph, 12, "t", 1, 4, (const int64_t[]){ 64, -1, 2, 2 });
    ln__buffer_init(model, &ctx);
    put_model(model, 7, 13, &graph);
    put_metadata(model, "leenet.format", "1");
    put_metadata(model, "leenet.exits", carried ? "1" : "0");
    put_metadata(model, "leenet.exit.0", "u");
    put_metadata(model, "leenet.exit.0.head", "pool 0");
    put_metadata(model, "leenet.exit.0.accuracy", "0.5");
}

START_TEST(other_outputs_are_left_alone)
{
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    float input[8 * 16], logits[8 * 3], alone[3];
    ln_session *session;
    ln_result results[8];
    ln_model *model;
    ln__buffer bytes;

    for (int i = 0; i < 8 * 16; i++)
        input[i] = (float)(i * 7 % 13) - 6.0f;
    put_turned(&bytes, false);
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    options.max_rows = 8;
    ck_assert_msg(ln_session_open(&session, model, &options, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln_infer_full(session, input, 8, results, logits, &err) == LN_OK, "%s", err.text);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(ln_infer_full(session, input + 16 * i, 1, results, alone, &err), LN_OK);
        ck_assert_mem_eq(alone, logits + 3 * i, sizeof alone);
    }
    ln_session_free(session);
    ln_model_free(model);
    nothing_left();
}
END_TEST

START_TEST(what_exits_carry_has_rows_first)
{
    ln_session *session;
    ln_model *model;
    ln__buffer bytes;

    put_turned(&bytes, true);
    ck_assert_msg(load(&model, &bytes) == LN_OK, "%s", err.text);
    ck_assert_int_eq(ln_session_open(&session, model, NULL, &err), LN_E_UNSUPPORTED);
    ck_assert_msg(strstr(err.text, "'t'") != NULL, "%s", err.text);
    ln_model_free(model);
    nothing_left();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model files made to mislead");
    TCase *cases = tcase_create("crafted");

    for (int i = 0; i < (int)LN__COUNT(numbers); i++)
        numbers[i] = (float)(i % 17 - 8) / 16.0f;
    tcase_add_checked_fixture(cases, start, NULL);
    tcase_add_test(cases, a_gemm_with_one_number_of_bias_keeps_its_classes);
    tcase_add_test(cases, one_number_added_goes_with_other_classes);
    tcase_add_test(cases, a_grouped_conv_keeps_its_classes);
    tcase_add_test(cases, a_final_layer_that_does_not_fit_is_refused);
    tcase_add_test(cases, a_final_layer_that_fits_is_taken);
    tcase_add_test(cases, a_final_layer_of_the_wrong_kind_is_refused);
    tcase_add_test(cases, very_many_class_names_are_read_and_written);
    tcase_add_test(cases, convolutions_that_do_not_fit_are_named);
    tcase_add_test(cases, forms_of_heads_are_read_or_refused);
    tcase_add_test(cases, words_that_mean_nothing_are_errors_of_the_file);
    tcase_add_test(cases, other_outputs_are_left_alone);
    tcase_add_test(cases, what_exits_carry_has_rows_first);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
