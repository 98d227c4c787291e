/* test_data_folder.c - class folders: their order, parts of them, class maps, pictures that are bad. */
#include "data_files.h"

#include <unistd.h>

START_TEST(class_folders_are_read_in_order)
{
    ln_data *data;

    make_animals();
    data = open_data(at("animals"), NULL);
    ck_assert_uint_eq(ln_data_rows(data), 6);
    ck_assert_uint_eq(ln_data_class_count(data), 3);
    ck_assert_str_eq(ln_data_class_name(data, 0), "Dog");
    ck_assert_str_eq(ln_data_class_name(data, 2), "ox");
    ck_assert_str_eq(ln_data_class_name(data, 3), "");
    ck_assert_str_eq(ln_data_row_name(data, 3), at("animals/cat/deep/er/c.PNG"));
    ck_assert_str_eq(ln_data_row_name(data, 6), "");
    ln_data_free(data);
    ck_assert_str_eq(read_source(at("animals/"), NULL), "1/0 11/1 12/1 13/1 21/2 22/2");
}
END_TEST

START_TEST(links_in_folders_cannot_loop)
{
    make_animals();
    ck_assert_int_eq(symlink("..", at("animals/cat/up")), 0);
    ck_assert_int_eq(symlink(".", at("animals/cat/self")), 0);
    ck_assert_int_eq(symlink("../ox", at("animals/cat/other")), 0);
    ck_assert_int_eq(symlink("er", at("animals/cat/deep/again")), 0);
    ck_assert_str_eq(read_source(at("animals"), NULL), "1/0 11/1 12/1 13/1 21/2 22/2");
    ck_assert_int_eq(symlink("ox", at("animals/pig")), 0);
    refuse(at("animals"), NULL, LN_E_FORMAT, "same folder");
}
END_TEST

START_TEST(folders_without_rows_are_refused)
{
    refuse(at("none"), NULL, LN_E_IO, "none");
    make_folders("empty/");
    refuse(at("empty"), NULL, LN_E_ARGUMENT, "neither class folders");
    make_folders("empty/cat/");
    refuse(at("empty"), NULL, LN_E_ARGUMENT, "empty/cat");
    write_png("empty/cat/1.png", 1);
    refuse(at("empty"), NULL, LN_E_ARGUMENT, "only one class (cat)");
    write_png("empty/dog/1.png", 2);
    ck_assert_str_eq(read_source(at("empty"), NULL), "1/0 2/1");
    make_folders("empty/ox/");
    refuse(at("empty"), NULL, LN_E_ARGUMENT, "empty/ox");
}
END_TEST

START_TEST(parts_choose_rows)
{
    static const struct { const char *part, *rows; } cases[] = {
        { ":part=0/2", "1/0 11/1 13/1 21/2" },
        { ":not=0/2", "12/1 22/2" },
        { ":part=1/2", "12/1 22/2" },
        { ":first=2", "1/0 11/1" },
        { ":skip=4", "21/2 22/2" },
        { ":skip=1:first=2", "11/1 12/1" },
        { ":first=4:skip=3", "13/1" },
        { ":not=0/2:part=0/1", "12/1 22/2" },
        { ":part=0/2:part=1/2", "13/1" },       /* each counts anew */
        { ":share=1/2", "1/0 11/1 13/1 21/2" },
        { ":share=1/100", "1/0 11/1 21/2" },    /* one row is the least */
        { ":share=3/3", "1/0 11/1 12/1 13/1 21/2 22/2" },
        { ":first=99", "1/0 11/1 12/1 13/1 21/2 22/2" }
    };
    static const char *const bad[] = { ":part=2/2", ":part=1", ":part=/2", ":part=-1/2", ":first=x", ":first=",
                                       ":skip=1.5", ":not=0/0", ":part=0/2:first=a", ":share=0/2",
                                       ":share=3/2", ":share=1/99999999999" };
    char source[256];

    make_animals();
    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        snprintf(source, sizeof source, "%s%s", at("animals"), cases[i].part);
        ck_assert_str_eq(read_source(source, NULL), cases[i].rows);
    }
    for (size_t i = 0; i < LN__COUNT(bad); i++) {
        snprintf(source, sizeof source, "%s%s", at("animals"), bad[i]);
        refuse(source, NULL, LN_E_ARGUMENT, "not understood");
    }
    snprintf(source, sizeof source, "%s:skip=6", at("animals"));
    refuse(source, NULL, LN_E_ARGUMENT, "no rows");
    snprintf(source, sizeof source, "%s:prat=0/2", at("animals"));
    refuse(source, NULL, LN_E_IO, ":prat=0/2");
}
END_TEST

/* 40 rows of each of three classes. */
START_TEST(shares_are_exact_and_nested)
{
    enum { MOST = 120 };
    char source[64], before[MOST][96] = { "" };
    size_t n = 0;

    for (size_t k = 1; k <= 100; k++) {
        ln_data *data;
        size_t found = 0, wanted = 3 * ((40 * k + 50) / 100 ? (40 * k + 50) / 100 : 1);
        snprintf(source, sizeof source, "tests/data/shapes.tar.gz:share=%zu/100", k);
        data = open_data(source, NULL);
        ck_assert_uint_eq(ln_data_rows(data), wanted);
        for (size_t i = 0; i < wanted; i++)
            found += found < n && strcmp(ln_data_row_name(data, i), before[found]) == 0;
        ck_assert_msg(found == n, "share %zu/100 lacks '%s' of the one below", k, before[found]);
        n = wanted;
        for (size_t i = 0; i < n; i++)
            snprintf(before[i], sizeof before[i], "%s", ln_data_row_name(data, i));
        ln_data_free(data);
    }
}
END_TEST

START_TEST(class_maps_name_the_classes)
{
    static const struct { const char *lines, *words; ln_status status; } bad[] = {
        { "cat\t1\nDog\t2\n", "'ox'", LN_E_MISMATCH },
        { "cat\t1\nDog\t2\nox\t2\n", "both class 2", LN_E_FORMAT },
        { "cat\t1\nDog\t2\nox\t3\ncat\t4\n", "two lines", LN_E_FORMAT },
        { "cat 1\n", ":1", LN_E_FORMAT }, { "cat\t1\nDog\tx\n", ":2", LN_E_FORMAT },
        { "cat\t1\nDog\t99999999999\n", ":2", LN_E_FORMAT }, { "cat\t\n", ":1", LN_E_FORMAT },
        { "\t1\n", ":1", LN_E_FORMAT }, { "", "without lines", LN_E_FORMAT }
    };
    ln_data_options options;
    ln_data *data;
    const uint32_t *numbers;
    bool all;

    make_animals();
    map_options(&options, "# animals\r\nox\t7\tmore\tcolumns\r\ncat\t281\nDog\t5\nbee\t9\n\n", "");
    data = open_data(at("animals"), &options);
    numbers = ln__data_class_map(data, &all);
    ck_assert(!all);
    ck_assert_uint_eq(ln_data_class_count(data), 4);
    ck_assert_str_eq(ln_data_class_name(data, 1), "bee");
    ck_assert_uint_eq(numbers[0], 5);
    ck_assert_uint_eq(numbers[1], 9);
    ck_assert_uint_eq(numbers[2], 281);
    ck_assert_uint_eq(numbers[3], 7);
    ln_data_free(data);
    ck_assert_str_eq(read_source(at("animals"), &options), "1/0 11/2 12/2 13/2 21/3 22/3");
    map_options(&options, "ox\t7\ncat\t281\nDog\t5", ":all");
    data = open_data(at("animals"), &options);
    ck_assert_uint_eq(ln__data_class_map(data, &all)[2], 7);
    ck_assert(all);
    ln_data_free(data);
    for (size_t i = 0; i < LN__COUNT(bad); i++) {
        map_options(&options, bad[i].lines, "");
        refuse(at("animals"), &options, bad[i].status, bad[i].words);
    }
    options.class_map = "/no/map.tsv";
    refuse(at("animals"), &options, LN_E_IO, "/no/map.tsv");
}
END_TEST

/* ---- Bad pictures ------------------------------------------------------------------- */

START_TEST(a_bad_picture_is_named_or_left_out)
{
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    ln__feed feed = feed_of(1, 4, 4);
    ln_data *data;
    ln__reader *reader;
    float inputs[16 * 16];
    int32_t labels[16];
    size_t n;
    ln_error err;

    make_animals();
    write_text("animals/cat/a2.png", "no picture at all");
    ck_assert_int_eq(symlink("nowhere", at("animals/ox/1b.png")), 0);
    for (options.threads = 1; options.threads <= 3; options.threads++) {
        options.skip_bad = 0;
        data = open_data(at("animals"), &options);
        ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 16, 0, 8, NULL), LN_OK);
        ck_assert_int_eq(ln__reader_next(reader, inputs, labels, NULL, &n, &err), LN_E_FORMAT);
        ck_assert_ptr_ne(strstr(err.text, at("animals/cat/a2.png")), NULL);
        ck_assert_int_eq(ln__reader_next(reader, inputs, labels, NULL, &n, NULL), LN_E_FORMAT);
        ck_assert_uint_eq(n, 0);
        ln__reader_close(reader);
        ck_assert_ptr_eq(ln_data_skipped(data, 0), NULL);
        ln_data_free(data);
        options.skip_bad = 1;
        data = open_data(at("animals"), &options);
        ck_assert_ptr_eq(ln_data_skipped(data, 0), NULL);
        for (int pass = 0; pass < 2; pass++)
            ck_assert_str_eq(read_all(data, &feed, 3), "1/0 11/1 12/1 13/1 21/2 22/2");
        ck_assert_ptr_ne(strstr(ln_data_skipped(data, 0), at("animals/cat/a2.png: ")), NULL);
        ck_assert_ptr_ne(strstr(ln_data_skipped(data, 1), at("animals/ox/1b.png: ")), NULL);
        ck_assert_ptr_eq(ln_data_skipped(data, 2), NULL);
        ln_data_free(data);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        class_folders_are_read_in_order,
        links_in_folders_cannot_loop,
        folders_without_rows_are_refused,
        parts_choose_rows,
        shares_are_exact_and_nested,
        class_maps_name_the_classes,
        a_bad_picture_is_named_or_left_out
    };

    return run_data_tests("data folders", tests, LN__COUNT(tests));
}
