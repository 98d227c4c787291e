/* test_onnx_files.c - the stored conformance files: every malformed one must be
 * refused, every fragment read. Skips loudly without them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "onnx/onnx.h"
#include "run_suite.h"

#define FOLDER "../shared/conformance"

static bool have_files(const char *what)
{
    struct stat info;

    if (stat(FOLDER "/malformed/malformed.tsv", &info) == 0)
        return true;
    fprintf(stderr, "skip %s: no files in " FOLDER "\n", what);
    return false;
}

/* What loading a model comes to: the file, the graph, its shapes for `rows`. */
static ln_status open_model(const char *path, int64_t rows, ln_error *err)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__onnx *onnx = NULL;
    ln__graph *graph = NULL;
    ln__shapes *shapes = NULL;
    ln_status st = ln__onnx_load(&onnx, &ctx, path, NULL, err);

    if (st == LN_OK)
        st = ln__onnx_graph(&graph, onnx, NULL, 0, err);
    if (st == LN_OK)
        st = ln__shapes_infer(&shapes, graph, rows, err);
    ln__shapes_free(shapes, &ctx);
    ln__graph_free(graph);
    ln__onnx_free(onnx);
    return st;
}

START_TEST(malformed_files_are_refused)
{
    char line[512], path[600];
    FILE *list;
    int seen = 0, accepted = 0;

    if (!have_files("malformed_files_are_refused"))
        return;
    list = fopen(FOLDER "/malformed/malformed.tsv", "r");
    ck_assert_ptr_nonnull(list);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, list));
    while (fgets(line, sizeof line, list) != NULL) {
        ln_error err = { 0, 0, "" };
        line[strcspn(line, "\t")] = '\0';
        snprintf(path, sizeof path, FOLDER "/malformed/%s", line);
        seen++;
        if (open_model(path, 1, &err) == LN_OK) {
            fprintf(stderr, "accepted: %s\n", line);
            accepted++;
            continue;
        }
        ck_assert_msg(err.status < 0, "%s: no status", line);
        ck_assert_msg(strstr(err.text, line) != NULL, "%s is not named: %s", line, err.text);
    }
    fclose(list);
    ck_assert_int_eq(seen, 69);
    ck_assert_int_eq(accepted, 0);
}
END_TEST

START_TEST(fragments_are_read)
{
    char line[4096], path[4200];
    FILE *list;
    int seen = 0, refused = 0;

    if (!have_files("fragments_are_read"))
        return;
    list = fopen(FOLDER "/fragments/index.tsv", "r");
    ck_assert_ptr_nonnull(list);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, list));
    while (fgets(line, sizeof line, list) != NULL) {
        ln_error err = { 0, 0, "" };
        const char *shape = strchr(line, '[');
        line[strcspn(line, "\t")] = '\0';
        snprintf(path, sizeof path, FOLDER "/fragments/%s/model.onnx", line);
        seen++;
        if (open_model(path, atol(shape + 1), &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            refused++;
        }
    }
    fclose(list);
    ck_assert_int_eq(seen, 54);
    ck_assert_int_eq(refused, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx files");
    TCase *tests = tcase_create("files");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, malformed_files_are_refused);
    tcase_add_test(tests, fragments_are_read);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
