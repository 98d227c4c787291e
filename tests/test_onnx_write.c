/* test_onnx_write.c - saving: what is kept, what is added, and that others can read it. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx_additions.h"
#include "onnx_bytes.h"
#include "run_suite.h"

static ln__ctx plain;
static char folder[] = "/tmp/leenet-onnx-XXXXXX";

/* ir_version as the makers of each opset wrote it. */
static const struct { int64_t opset, ir; } forms[] = {
    { 6, 3 }, { 7, 3 }, { 9, 4 }, { 10, 5 }, { 11, 6 }, { 13, 7 }, { 17, 8 }, { 18, 8 }, { 21, 10 }, { 23, 10 }, { 25, 10 }
};

typedef struct bytes { uint8_t *data; size_t size; } bytes;

static bytes read_bytes(const char *path)
{
    bytes b = { NULL, 0 };
    FILE *f = fopen(path, "rb");
    long size;

    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    b.size = (size_t)size;
    b.data = malloc(b.size + 1);
    ck_assert_uint_eq(fread(b.data, 1, b.size, f), b.size);
    fclose(f);
    return b;
}

static const char *in_folder(char path[256], const char *name, int number)
{
    snprintf(path, 256, "%s/%s%d.onnx", folder, name, number);
    return path;
}

static ln__onnx *load(const char *path)
{
    ln_error err = { 0, 0, "" };
    ln__onnx *onnx = NULL;

    ck_assert_msg(ln__onnx_load(&onnx, &plain, path, NULL, &err) == LN_OK, "%s", err.text);
    return onnx;
}

static ln__onnx *small_classifier(int64_t ir, int64_t opset)
{
    ln_error err = { 0, 0, "" };
    ln__onnx *onnx = NULL;
    ln__buffer model;

    ln__buffer_init(&model, &plain);
    put_small_classifier(&model, ir, opset);
    ck_assert_msg(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err) == LN_OK, "%s", err.text);
    ln__buffer_free(&model);
    return onnx;
}

static void save_with_additions(const ln__onnx *onnx, const char *path)
{
    ln_error err = { 0, 0, "" };
    ln__onnx_edit *edit;

    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    add_everything(edit, "r", 4, true);
    ck_assert_msg(ln__onnx_save(edit, path, &err) == LN_OK, "%s", err.text);
    ln__onnx_edit_free(edit);
}

START_TEST(additions_come_back)
{
    for (size_t i = 0; i < LN__COUNT(forms); i++) {
        ln__onnx *onnx = small_classifier(forms[i].ir, forms[i].opset), *again;
        char path[256];
        ln_error err;
        ln__graph *graph;
        ln__tensor w;

        save_with_additions(onnx, in_folder(path, "back", (int)forms[i].opset));
        again = load(path);
        ck_assert_int_eq(ln__onnx_opset(again), forms[i].opset);
        ck_assert_str_eq(ln__onnx_metadata(again, "leenet.exit.0"), "r");
        ck_assert_ptr_null(ln__onnx_metadata(again, "leenet.exit.1"));
        ck_assert(ln__onnx_addition(again, "leenet/0/head.w2", &w));
        ck_assert_int_eq(w.dim[1], 8);
        ck_assert(!ln__onnx_addition(again, "w", &w));
        /* The backbone is as it was. */
        ck_assert_int_eq(ln__onnx_graph(&graph, again, NULL, 0, &err), LN_OK);
        ck_assert_int_eq(graph->n_nodes, 5);
        ck_assert_int_eq(graph->n_outputs, 1);
        ck_assert_int_eq(graph->n_inputs, 1);
        ck_assert_str_eq(graph->values[graph->outputs[0]].name, "y");
        ck_assert_int_eq(ln__graph_find(graph, "leenet/0/head.w2"), -1);
        ln__graph_free(graph);
        ln__onnx_free(again);
        ln__onnx_free(onnx);
        unlink(path);
    }
}
END_TEST

START_TEST(saving_again_changes_nothing)
{
    ln__onnx *onnx = small_classifier(3, 7), *again, *stripped;
    char first[256], second[256], third[256];
    ln__onnx_edit *edit;
    ln_error err;
    bytes a, b, c;
    ln__buffer original;

    save_with_additions(onnx, in_folder(first, "first", 0));
    again = load(first);
    save_with_additions(again, in_folder(second, "second", 0));
    a = read_bytes(first);
    b = read_bytes(second);
    ck_assert_uint_eq(a.size, b.size);
    ck_assert_mem_eq(a.data, b.data, a.size);
    /* An edit that adds nothing gives the first file back, but for the IR version. */
    ck_assert_int_eq(ln__onnx_edit_new(&edit, again, &err), LN_OK);
    ck_assert_int_eq(ln__onnx_save(edit, in_folder(third, "third", 0), &err), LN_OK);
    ln__onnx_edit_free(edit);
    c = read_bytes(third);
    ln__buffer_init(&original, &plain);
    put_small_classifier(&original, 3, 7);
    ck_assert_uint_eq(c.size, original.size);
    c.data[1] = 3;
    ck_assert_mem_eq(c.data, original.data, original.size);
    stripped = load(third);
    ck_assert_ptr_null(ln__onnx_metadata(stripped, "leenet.format"));
    ln__buffer_free(&original);
    free(a.data);
    free(b.data);
    free(c.data);
    ln__onnx_free(stripped);
    ln__onnx_free(again);
    ln__onnx_free(onnx);
    unlink(first);
    unlink(second);
    unlink(third);
}
END_TEST

/* ---- The last layer replaced --------------------------------------------------------- */

static void save_replaced(const ln__onnx *onnx, const char *path)
{
    static const int64_t w_dims[] = { 7, 4 }, b_dims[] = { 7 };
    float w[28];
    ln_error err = { 0, 0, "" };
    ln__onnx_edit *edit;

    for (int i = 0; i < 28; i++)
        w[i] = (float)i / 8.0f;
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    ln__onnx_add_f32(edit, "leenet/final.w", w, 2, w_dims);
    ln__onnx_add_f32(edit, "leenet/final.b", w, 1, b_dims);
    ln__onnx_replace_input(edit, 4, 1, "leenet/final.w", 7);
    ln__onnx_replace_input(edit, 4, 2, "leenet/final.b", 7);
    ck_assert_msg(ln__onnx_save(edit, path, &err) == LN_OK, "%s", err.text);
    ln__onnx_edit_free(edit);
}

START_TEST(last_layer_replaced)
{
    for (int64_t ir = 3; ir <= 8; ir += 5) {
        ln__onnx *onnx = small_classifier(ir, 7), *again;
        char first[256], second[256];
        ln__onnx_edit *edit;
        ln__graph *graph;
        ln__shapes *shapes;
        ln_error err = { 0, 0, "" };
        bytes a, b;

        save_replaced(onnx, in_folder(first, "replaced", (int)ir));
        again = load(first);
        ck_assert_msg(ln__onnx_graph(&graph, again, NULL, 0, &err) == LN_OK, "%s", err.text);
        ck_assert_msg(ln__shapes_infer(&shapes, graph, 3, &err) == LN_OK, "%s", err.text);
        ck_assert_int_eq(shapes->of[graph->outputs[0]].dim[1], 7);
        ck_assert_str_eq(graph->values[graph->nodes[4].in[1]].name, "leenet/final.w");
        ck_assert_int_eq(ln__graph_find(graph, "fw"), -1);     /* nothing reads it: not kept */
        ck_assert_int_ge(ln__graph_find(graph, "w"), 0);
        save_replaced(again, in_folder(second, "again", (int)ir));
        a = read_bytes(first);
        b = read_bytes(second);
        ck_assert_uint_eq(a.size, b.size);
        ck_assert_mem_eq(a.data, b.data, a.size);
        /* Without its weights the file would be broken: refused. */
        ck_assert_int_eq(ln__onnx_edit_new(&edit, again, &err), LN_OK);
        ck_assert_int_eq(ln__onnx_save(edit, second, &err), LN_E_STATE);
        ck_assert_ptr_nonnull(strstr(err.text, "leenet/final.w"));
        ln__onnx_edit_free(edit);
        ln__shapes_free(shapes, &plain);
        ln__graph_free(graph);
        free(a.data);
        free(b.data);
        ln__onnx_free(again);
        ln__onnx_free(onnx);
        unlink(first);
        unlink(second);
    }
}
END_TEST

START_TEST(what_cannot_be_saved)
{
    static const float one = 1.0f;
    static const int64_t dim = 1;
    ln__onnx *onnx = small_classifier(8, 13);
    char path[256];
    ln__onnx_edit *edit;
    ln_error err = { 0, 0, "" };
    struct stat info;

    in_folder(path, "refused", 0);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    ln__onnx_emit_unary(edit, "Relu", "f", "r");       /* the network has an 'f' */
    ck_assert_int_eq(ln__onnx_save(edit, path, &err), LN_E_MISMATCH);
    ln__onnx_edit_free(edit);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    ln__onnx_add_f32(edit, "leenet/a", &one, 1, &dim);
    ln__onnx_add_f32(edit, "leenet/a", &one, 1, &dim);
    ck_assert_int_eq(ln__onnx_save(edit, path, &err), LN_E_ARGUMENT);
    ln__onnx_edit_free(edit);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    ln__onnx_replace_input(edit, 4, 9, "leenet/a", 3);
    ck_assert_int_eq(ln__onnx_save(edit, path, &err), LN_E_ARGUMENT);
    ln__onnx_edit_free(edit);
    ck_assert_int_ne(stat(path, &info), 0);
    ln__onnx_free(onnx);
}
END_TEST

/* A tensor [2] whose data lies in data0.onnx, as field 5 of a graph or an attribute. */
static void put_outside(ln__buffer *to, const char *name, const char *offset)
{
    ln__buffer t, entry;

    ln__buffer_init(&t, &plain);
    ln__buffer_init(&entry, &plain);
    ln__put_int(&t, 1, 2);
    ln__put_int(&t, 2, 1);
    ln__put_text(&t, 8, name);
    ln__put_text(&entry, 1, "location");
    ln__put_text(&entry, 2, "data0.onnx");
    put_message(&t, 13, &entry);
    ln__put_text(&entry, 1, "offset");
    ln__put_text(&entry, 2, offset);
    put_message(&t, 13, &entry);
    ln__put_int(&t, 14, 1);
    put_message(to, 5, &t);
}

static void write_outside(const char *path)
{
    static const int64_t x[] = { 2 };
    ln__buffer graph, model, value, attrs;
    FILE *f = fopen(path, "wb");

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    ln__buffer_init(&value, &plain);
    ln__buffer_init(&attrs, &plain);
    put_outside(&graph, "t", "4");
    ln__put_text(&value, 1, "value");
    put_outside(&value, "", "12");
    ln__put_int(&value, 20, 4);
    put_message(&attrs, 5, &value);
    put_node(&graph, "Constant", "", "c", &attrs);
    put_node(&graph, "Add", "x t", "s", NULL);
    put_node(&graph, "Mul", "s c", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 1, x);
    put_value_info(&graph, 12, "y", 1, 1, x);
    put_model(&model, 8, 13, &graph);
    ck_assert_uint_eq(fwrite(model.data, 1, model.size, f), model.size);
    fclose(f);
    ln__buffer_free(&model);
}

START_TEST(external_data_comes_in)
{
    static const float weights[] = { 9.0f, 1.5f, -2.0f, 0.25f, 8.0f };
    ln_error err = { 0, 0, "" };
    char path[256], data[256], saved[256];
    ln__onnx *onnx, *again;
    ln__onnx_edit *edit;
    ln__graph *g;
    FILE *f;

    write_outside(in_folder(path, "outside", 0));
    f = fopen(in_folder(data, "data", 0), "wb");
    ck_assert_uint_eq(fwrite(weights, 4, 5, f), 5);
    fclose(f);
    onnx = load(path);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    ck_assert_msg(ln__onnx_save(edit, in_folder(saved, "inside", 0), &err) == LN_OK, "%s", err.text);
    ln__onnx_edit_free(edit);
    ln__onnx_free(onnx);
    unlink(data);
    again = load(saved);
    ck_assert_int_eq(ln__onnx_graph(&g, again, NULL, 0, &err), LN_OK);
    ck_assert_mem_eq(g->values[ln__graph_find(g, "t")].constant->data, weights + 1, 8);
    ck_assert_mem_eq(g->values[ln__graph_find(g, "c")].constant->data, weights + 3, 8);
    ln__graph_free(g);
    ln__onnx_free(again);
    unlink(path);
    unlink(saved);
}
END_TEST

/* ---- The same numbers at every opset ----------------------------------------------------- */

/* x [2,4,2,2] -> Relu -> y, with every addition but TopK. */
static void save_plain_network(const char *path, int64_t ir, int64_t opset)
{
    static const int64_t x[] = { 2, 4, 2, 2 };
    ln_error err = { 0, 0, "" };
    ln__buffer graph, model;
    ln__onnx *onnx;
    ln__onnx_edit *edit;

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    put_node(&graph, "Relu", "x", "y", NULL);
    put_value_info(&graph, 11, "x", 1, 4, x);
    put_value_info(&graph, 12, "y", 1, 4, x);
    put_model(&model, ir, opset, &graph);
    ck_assert_int_eq(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err), LN_OK);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    add_everything(edit, "y", 4, false);
    ck_assert_msg(ln__onnx_save(edit, path, &err) == LN_OK, "%s", err.text);
    ln__onnx_edit_free(edit);
    ln__onnx_free(onnx);
    ln__buffer_free(&model);
}

/* Under another prefix the additions are nodes like any other, and can be run. */
static void disguise(bytes b)
{
    for (size_t i = 0; i + 7 <= b.size; i++)
        if (memcmp(b.data + i, LN__ONNX_PREFIX, 7) == 0)
            b.data[i] = 'x';
}

static void evaluate(const ln__graph *g, const ln__shapes *shapes, const float *x, const void **values, ln__arena *arena)
{
    for (int32_t v = 0; v < g->n_values; v++)
        if (shapes->of[v].data != NULL)
            values[v] = ln__tensor_aligned(&shapes->of[v], arena);
    values[g->inputs[0].value] = x;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const ln__node *n = &g->nodes[i];
        ln__tensor in[8], out = shapes->of[n->out[0]];
        const ln__tensor *args[8];
        int64_t elements;
        void *scratch;

        if (values[n->out[0]] != NULL)
            continue;
        for (int32_t k = 0; k < n->n_in; k++) {
            in[k] = shapes->of[LN__MAX(n->in[k], 0)];
            in[k].data = n->in[k] < 0 ? NULL : values[n->in[k]];
            args[k] = n->in[k] < 0 ? NULL : &in[k];
        }
        ck_assert(ln__tensor_elements(&out, &elements));
        out.data = ln__arena_calloc(arena, (size_t)elements, 8);
        scratch = ln__arena_alloc(arena, ln__node_scratch(n, args, &out));
        ln__node_evaluate(n, args, &out, scratch);
        values[n->out[0]] = out.data;
    }
}

START_TEST(same_numbers_at_every_opset)
{
    float x[32], first[14];

    for (int i = 0; i < 32; i++)
        x[i] = (float)((i * 13) % 11 - 5) / 4.0f;
    for (size_t i = 0; i < LN__COUNT(forms); i++) {
        ln_error err = { 0, 0, "" };
        char path[256];
        ln__onnx *onnx;
        ln__graph *g;
        ln__shapes *shapes;
        const void **values;
        ln__arena arena;
        float got[14];
        bytes b;

        save_plain_network(in_folder(path, "plain", 0), forms[i].ir, forms[i].opset);
        b = read_bytes(path);
        disguise(b);
        ck_assert_msg(ln__onnx_load_memory(&onnx, &plain, b.data, b.size, NULL, &err) == LN_OK, "%s", err.text);
        ck_assert_msg(ln__onnx_graph(&g, onnx, NULL, 0, &err) == LN_OK, "opset %d: %s", (int)forms[i].opset, err.text);
        ck_assert_msg(ln__shapes_infer(&shapes, g, 2, &err) == LN_OK, "opset %d: %s", (int)forms[i].opset, err.text);
        ck_assert_int_eq(g->n_outputs, 3);
        ln__arena_init(&arena, &plain, 0);
        values = ln__arena_calloc(&arena, (size_t)g->n_values, sizeof *values);
        evaluate(g, shapes, x, values, &arena);
        memcpy(got, values[g->outputs[1]], 10 * sizeof *got);
        memcpy(got + 10, values[g->outputs[2]], 4 * sizeof *got);
        if (i == 0)
            memcpy(first, got, sizeof first);
        ck_assert(isfinite(got[0]) && got[10] > 0.0f && got[10] < 1.0f);
        for (int k = 0; k < 14; k++)
            ck_assert_msg(fabsf(got[k] - first[k]) < 1e-6f, "opset %d, number %d: %g, not %g", (int)forms[i].opset, k,
                          (double)got[k], (double)first[k]);
        ln__arena_free(&arena);
        free(b.data);
        ln__shapes_free(shapes, &plain);
        ln__graph_free(g);
        ln__onnx_free(onnx);
        unlink(path);
    }
}
END_TEST

/* x float16 [1,4,2,2] -> Relu -> y. */
START_TEST(float16_networks_are_cast)
{
    static const int64_t x[] = { 1, 4, 2, 2 };
    ln_error err = { 0, 0, "" };
    ln__buffer graph, model;
    ln__onnx *onnx;
    ln__onnx_edit *edit;
    char path[256];
    bytes b;
    int casts = 0;

    ln__buffer_init(&graph, &plain);
    ln__buffer_init(&model, &plain);
    put_node(&graph, "Relu", "x", "y", NULL);
    put_value_info(&graph, 11, "x", 10, 4, x);
    put_value_info(&graph, 12, "y", 10, 4, x);
    put_model(&model, 8, 13, &graph);
    ck_assert_int_eq(ln__onnx_load_memory(&onnx, &plain, model.data, model.size, NULL, &err), LN_OK);
    ck_assert_int_eq(ln__onnx_edit_new(&edit, onnx, &err), LN_OK);
    add_everything(edit, "y", 4, true);
    ck_assert_msg(ln__onnx_save(edit, in_folder(path, "half", 0), &err) == LN_OK, "%s", err.text);
    ln__onnx_edit_free(edit);
    ln__onnx_free(onnx);
    b = read_bytes(path);
    for (size_t i = 0; i + 6 <= b.size; i++)
        casts += memcmp(b.data + i, "\"\x04" "Cast", 6) == 0;     /* op_type */
    ck_assert_int_eq(casts, 1);
    ln__onnx_free(load(path));
    free(b.data);
    ln__buffer_free(&model);
    unlink(path);
}
END_TEST

/* ---- ONNX's own checker -------------------------------------------------------------------- */

START_TEST(onnx_checker_agrees)
{
    static const char *const pythons[] = { "python3", "/usr/bin/python3" };
    char command[1024], path[256];
    const char *python = NULL;

    for (size_t i = 0; python == NULL && i < LN__COUNT(pythons); i++) {
        snprintf(command, sizeof command, "%s -c 'import onnx' 2>/dev/null", pythons[i]);
        if (system(command) == 0)
            python = pythons[i];
    }
    if (python == NULL) {
        fprintf(stderr, "skip onnx_checker_agrees: no python3 with onnx\n");
        return;
    }
    for (size_t i = 0; i < LN__COUNT(forms); i++) {
        ln__onnx *onnx = small_classifier(forms[i].ir, forms[i].opset);
        int status;
        save_with_additions(onnx, in_folder(path, "checked", (int)forms[i].opset));
        snprintf(command, sizeof command,
                 "%s -c \"import onnx, sys; m = onnx.load('%s');\n"
                 "if %d > onnx.defs.onnx_opset_version() or %d > onnx.IR_VERSION: sys.exit(77)\n"
                 "onnx.checker.check_model(m, full_check=True)\"", python, path, (int)forms[i].opset, (int)forms[i].ir);
        status = system(command);
        if (status == 77 << 8)
            fprintf(stderr, "note: this onnx does not know opset %d\n", (int)forms[i].opset);
        else
            ck_assert_msg(status == 0, "opset %d: onnx.checker says no", (int)forms[i].opset);
        ln__onnx_free(onnx);
        unlink(path);
    }
}
END_TEST

/* ---- Memory --------------------------------------------------------------------------------- */

START_TEST(memory_running_out_while_saving)
{
    static const char old[] = "the old file";
    char path[256];
    ln_status st = LN_E_NOMEM;
    ln__buffer model;
    size_t n;

    ln__buffer_init(&model, &plain);
    put_small_classifier(&model, 3, 7);
    in_folder(path, "old", 0);
    for (n = 1; st != LN_OK && n < 10000; n++) {
        counting_heap heap = { 0, 0, 0 };
        ln__ctx ctx = counting_ctx(&heap);
        ln_error err = { 0, 0, "" };
        ln__onnx *onnx;
        ln__onnx_edit *edit;
        FILE *f = fopen(path, "wb");

        ck_assert_uint_eq(fwrite(old, 1, sizeof old, f), sizeof old);
        fclose(f);
        ck_assert_int_eq(ln__onnx_load_memory(&onnx, &ctx, model.data, model.size, NULL, &err), LN_OK);
        heap.asked = 0;
        heap.fail_at = n;
        st = ln__onnx_edit_new(&edit, onnx, &err);
        if (st == LN_OK) {
            add_everything(edit, "r", 4, true);
            ln__onnx_replace_input(edit, 4, 1, "leenet/0/head.w2", 5);
            st = ln__onnx_save(edit, path, &err);
            ln__onnx_edit_free(edit);
        }
        ln__onnx_free(onnx);
        ck_assert_uint_eq(heap.live, 0);
        ck_assert_msg(st == LN_OK || st == LN_E_NOMEM, "%zu: %d %s", n, (int)st, err.text);
        if (st < 0) {
            bytes b = read_bytes(path);
            ck_assert_uint_eq(b.size, sizeof old);
            ck_assert_mem_eq(b.data, old, sizeof old);
            free(b.data);
        }
    }
    ck_assert_int_eq(st, LN_OK);
    ck_assert_uint_gt(n, 50);
    unlink(path);
    ln__buffer_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx write");
    TCase *tests = tcase_create("write");

    plain = ln__ctx_make(NULL, NULL, NULL);
    if (mkdtemp(folder) == NULL)
        return 1;
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, additions_come_back);
    tcase_add_test(tests, saving_again_changes_nothing);
    tcase_add_test(tests, last_layer_replaced);
    tcase_add_test(tests, what_cannot_be_saved);
    tcase_add_test(tests, external_data_comes_in);
    tcase_add_test(tests, same_numbers_at_every_opset);
    tcase_add_test(tests, float16_networks_are_cast);
    tcase_add_test(tests, onnx_checker_agrees);
    tcase_add_test(tests, memory_running_out_while_saving);
    suite_add_tcase(suite, tests);
    int code = run_suite(suite);
    rmdir(folder);
    return code;
}
