/* test_data_tar.c - tar archives, packed and not. */
#include "data_files.h"

#include <unistd.h>

START_TEST(tar_archives_are_class_folders)
{
    tarball t = small_tar();
    ln_data *data;
    char name[512];

    tar_end(&t);
    write_file("x.tar", t.data, t.size);
    write_gz("x.tar.gz", t.data, t.size);
    write_gz("x.tgz", t.data, t.size);
    ck_assert_str_eq(read_source(at("x.tar"), NULL), "11/0 12/0 21/1 22/1");
    ck_assert_str_eq(read_source(at("x.tar.gz"), NULL), "11/0 12/0 21/1 22/1");
    snprintf(name, sizeof name, "%s:not=0/2", at("x.tgz"));
    ck_assert_str_eq(read_source(name, NULL), "12/0 22/1");
    data = open_data(at("x.tar.gz"), NULL);
    ck_assert_str_eq(ln_data_row_name(data, 0), at("x.tar.gz/cat/a.png"));
    ck_assert_str_eq(ln_data_row_name(data, 3), at("x.tar.gz/dog/\xc3\xb6-\xc3\xa9.png"));
    ck_assert_str_eq(ln_data_class_name(data, 1), "dog");
    ln_data_free(data);
    free(t.data);
}
END_TEST

START_TEST(a_folder_around_the_class_folders_is_stepped_over)
{
    tarball t = { 0 };

    tar_png(&t, "set/cat/1.png", "", 1);
    tar_png(&t, "set/dog/1.png", "", 2);
    tar_end(&t);
    write_file("w.tar", t.data, t.size);
    ck_assert_str_eq(read_source(at("w.tar"), NULL), "1/0 2/1");
    free(t.data);
}
END_TEST

START_TEST(damaged_archives_are_refused)
{
    tarball t = small_tar(), u;
    size_t whole = t.size;

    write_file("open.tar", t.data, t.size);
    refuse(at("open.tar"), NULL, LN_E_FORMAT, "end mark");
    tar_end(&t);
    for (size_t size = 0; size < whole; size += 256) {
        write_file("cut.tar", t.data, size);
        refuse(at("cut.tar"), NULL, LN_E_FORMAT, "cut.tar");
    }
    write_gz("cut.tar.gz", t.data, t.size);
    ck_assert_int_eq(truncate(at("cut.tar.gz"), 300), 0);
    refuse(at("cut.tar.gz"), NULL, LN_E_FORMAT, "ends early");
    t.data[600] ^= 1;
    write_file("sum.tar", t.data, t.size);
    refuse(at("sum.tar"), NULL, LN_E_FORMAT, "damaged header");
    free(t.data);
    u = small_tar();
    tar_png(&u, "cat/a.png", "", 5);
    tar_end(&u);
    write_file("twice.tar", u.data, u.size);
    refuse(at("twice.tar"), NULL, LN_E_FORMAT, "twice");
    u.size = 0;
    tar_add(&u, "cat/1.png", "", '2', "", 0);
    tar_end(&u);
    write_file("link.tar", u.data, u.size);
    refuse(at("link.tar"), NULL, LN_E_UNSUPPORTED, "link");
    u.size = 0;
    tar_png(&u, "1.png", "", 5);
    tar_end(&u);
    write_file("flat.tar", u.data, u.size);
    refuse(at("flat.tar"), NULL, LN_E_FORMAT, "not in a class folder");
    u.size = 0;
    tar_end(&u);
    write_file("none.tar", u.data, u.size);
    refuse(at("none.tar"), NULL, LN_E_ARGUMENT, "no pictures");
    free(u.data);
}
END_TEST

START_TEST(gzip_files_may_have_members_and_padding)
{
    tarball t = small_tar();
    uint8_t zeros[700] = { 0 };
    FILE *file;

    tar_end(&t);
    write_gz("m.tar.gz", t.data, 1000);
    write_gz("n.gz", t.data + 1000, t.size - 1000);
    snprintf(text, sizeof text, "cat %s >> %s", at("n.gz"), at("m.tar.gz"));
    ck_assert_int_eq(system(text), 0);
    ck_assert_str_eq(read_source(at("m.tar.gz"), NULL), "11/0 12/0 21/1 22/1");
    file = fopen(at("m.tar.gz"), "ab");
    ck_assert_uint_eq(fwrite(zeros, 1, sizeof zeros, file), sizeof zeros);
    fclose(file);
    ck_assert_str_eq(read_source(at("m.tar.gz"), NULL), "11/0 12/0 21/1 22/1");
    file = fopen(at("m.tar.gz"), "ab");
    fputs("something else", file);
    fclose(file);
    refuse(at("m.tar.gz"), NULL, LN_E_FORMAT, "gzip");
    free(t.data);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        tar_archives_are_class_folders,
        a_folder_around_the_class_folders_is_stepped_over,
        damaged_archives_are_refused,
        gzip_files_may_have_members_and_padding
    };

    return run_data_tests("data in tar archives", tests, LN__COUNT(tests));
}
