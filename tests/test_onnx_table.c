/* test_onnx_table.c - the operator table: in order, without gaps or overlaps, and as documented. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "operators_page.h"
#include "run_suite.h"

START_TEST(forms_of_an_operator_follow_each_other)
{
    const ln__onnx_operator *o, *before = NULL;

    for (size_t i = 0; (o = ln__onnx_operator_at(i)) != NULL; before = o, i++) {
        ck_assert_msg(o->first >= 6 && o->first <= o->last && o->last <= 25, "%s: %d to %d", o->name, (int)o->first, (int)o->last);
        ck_assert_uint_gt(strlen(o->meaning), 0);
        if (before != NULL && strcmp(before->name, o->name) == 0)
            ck_assert_msg(o->first == before->last + 1, "%s: from %d after %d", o->name, (int)o->first, (int)before->last);
        else
            for (size_t k = 0; k < i; k++)
                ck_assert_msg(strcmp(ln__onnx_operator_at(k)->name, o->name) != 0, "%s stands in two places", o->name);
    }
}
END_TEST

START_TEST(page_is_up_to_date)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    FILE *file = fopen("docs/operators.md", "rb");
    ln__buffer page;
    char *stored;
    size_t size;

    ck_assert_msg(file != NULL, "docs/operators.md is missing: make docs");
    ln__buffer_init(&page, &ctx);
    put_operators_page(&page);
    stored = malloc(page.size + 1);
    size = fread(stored, 1, page.size + 1, file);
    fclose(file);
    ck_assert_msg(size == page.size && memcmp(stored, page.data, size) == 0, "docs/operators.md is not what the table says: make docs");
    free(stored);
    ln__buffer_free(&page);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx table");
    TCase *tests = tcase_create("table");

    tcase_add_test(tests, forms_of_an_operator_follow_each_other);
    tcase_add_test(tests, page_is_up_to_date);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
