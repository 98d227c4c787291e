/* test_model_exits.c - where exits go by themselves: not where a block is narrow, unless there is no other place. */
#include <check.h>
#include <stdio.h>

#include "leenet/leenet.h"
#include "onnx_bytes.h"
#include "run_suite.h"

static ln_error err;
static float numbers[16 * 16 * 9];

static void put_conv(ln__buffer *graph, const char *in, const char *out, int64_t from, int64_t to, int64_t kernel)
{
    const int64_t w[] = { to, from, kernel, kernel }, k[] = { kernel, kernel }, pad = kernel / 2, pads[] = { pad, pad, pad, pad };
    char weight[32], input[64], raw[32];
    ln__buffer attrs;

    snprintf(weight, sizeof weight, "w-%s", out);
    snprintf(input, sizeof input, "%s %s", in, weight);
    snprintf(raw, sizeof raw, "raw-%s", out);
    ln__buffer_init(&attrs, graph->ctx);
    put_attr_ints(&attrs, "kernel_shape", 2, k);
    put_attr_ints(&attrs, "pads", 4, pads);
    put_node(graph, "Conv", input, raw, &attrs);
    put_node(graph, "Relu", raw, out, NULL);
    put_floats(graph, weight, 4, w, numbers);
}

/* Fires of SqueezeNet: 16 channels squeezed to `narrow`, widened to 8 + 8. */
static void put_fire(ln__buffer *graph, const char *in, const char *squeezed, const char *out, int64_t narrow)
{
    char left[32], right[32], both[80];
    ln__buffer attrs;

    snprintf(left, sizeof left, "left-%s", out);
    snprintf(right, sizeof right, "right-%s", out);
    snprintf(both, sizeof both, "%s %s", left, right);
    put_conv(graph, in, squeezed, 16, narrow, 1);
    put_conv(graph, squeezed, left, narrow, 8, 3);
    put_conv(graph, squeezed, right, narrow, 8, 3);
    ln__buffer_init(&attrs, graph->ctx);
    put_attr_int(&attrs, "axis", 1);
    put_node(graph, "Concat", both, out, &attrs);
}

static ln_model *network(int64_t narrow)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__buffer graph, attrs, bytes;
    ln_model *model;

    ln__buffer_init(&graph, &ctx);
    ln__buffer_init(&bytes, &ctx);
    ln__buffer_init(&attrs, &ctx);
    put_conv(&graph, "x", "first", 4, 16, 3);
    put_fire(&graph, "first", "squeezed1", "fire1", narrow);
    put_fire(&graph, "fire1", "squeezed2", "fire2", narrow);
    put_node(&graph, "GlobalAveragePool", "fire2", "p", NULL);
    put_node(&graph, "Flatten", "p", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f w", "y", &attrs);
    put_floats(&graph, "w", 2, (const int64_t[]){ 3, 16 }, numbers);
    put_value_info(&graph, 11, "x", 1, 4, (const int64_t[]){ -1, 4, 8, 8 });
    put_value_info(&graph, 12, "y", 1, 2, (const int64_t[]){ -1, 3 });
    put_model(&bytes, 7, 13, &graph);
    ck_assert(bytes.ok);
    ck_assert_msg(ln_model_load_memory(&model, bytes.data, bytes.size, NULL, &err) == LN_OK, "%s", err.text);
    ln__buffer_free(&bytes);
    return model;
}

/* The values exits stand on, parted by spaces. */
static const char *places(const ln_model *model)
{
    static char text[256];
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t e = 0; e < ln_model_exit_count(model); e++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        ck_assert_int_eq(ln_exit_get_info(model, e, &info, &err), LN_OK);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", e ? " " : "", info.value);
    }
    return text;
}

static void add(ln_model *model, uint32_t count)
{
    ck_assert_msg(ln_exit_add_auto(model, count, NULL, &err) == LN_OK, "%s", err.text);
}

START_TEST(narrow_places_are_left_out)
{
    ln_model *model = network(2);
    ln_exit_candidate all[16];
    size_t n, squeezed = 0;

    ck_assert_int_eq(ln_exit_candidates(model, all, 16, &n, &err), LN_OK);
    for (size_t i = 0; i < n; i++)
        squeezed += strncmp(all[i].value, "squeezed", 8) == 0;
    ck_assert_msg(squeezed == 2, "a narrow place is still one to choose by name");
    add(model, 3);
    ck_assert_str_eq(places(model), "first fire1 fire2");
    ln_model_free(model);
}
END_TEST

START_TEST(narrow_places_are_taken_when_no_others_are_left)
{
    ln_model *model = network(2);

    add(model, 5);
    ck_assert_str_eq(places(model), "first squeezed1 fire1 squeezed2 fire2");
    ck_assert_int_eq(ln_exit_add_auto(model, 1, NULL, &err), LN_E_ARGUMENT);
    ln_model_free(model);
}
END_TEST

START_TEST(half_the_channels_are_not_narrow)
{
    ln_model *model = network(8);

    add(model, 3);
    ck_assert_msg(strstr(places(model), "squeezed") != NULL, "%s", places(model));
    ln_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exits by themselves");
    TCase *cases = tcase_create("places");

    for (int i = 0; i < (int)LN__COUNT(numbers); i++)
        numbers[i] = (float)(i % 17 - 8) / 64.0f;
    tcase_add_test(cases, narrow_places_are_left_out);
    tcase_add_test(cases, narrow_places_are_taken_when_no_others_are_left);
    tcase_add_test(cases, half_the_channels_are_not_narrow);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
