#include "pictures.h"
#include "data/data_private.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* ---- A folder to work in ---------------------------------------------------------- */

static char root[64];
static char text[4096];

/* Path of a file in the folder; valid until the next call but three. */
static const char *at(const char *name)
{
    static char paths[4][512];
    static int next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", root, name);
    return paths[next];
}

static void make_root(void)
{
    strcpy(root, "/tmp/leenet-test-data.XXXXXX");
    ck_assert_ptr_ne(mkdtemp(root), NULL);
}

static void remove_root(void)
{
    snprintf(text, sizeof text, "rm -rf %s", root);
    ck_assert_int_eq(system(text), 0);
}

static void make_folders(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/", root);
    for (const char *c = name; *c; c++) {
        size_t length = strlen(path);
        path[length] = *c;
        path[length + 1] = '\0';
        if (*c == '/')
            (void)mkdir(path, 0777);
    }
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file;

    make_folders(name);
    file = fopen(at(name), "wb");
    ck_assert_ptr_ne(file, NULL);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void write_text(const char *name, const char *line)
{
    write_file(name, line, strlen(line));
}

static void write_gz(const char *name, const void *data, size_t size)
{
    gzFile file = gzopen(at(name), "wb");

    ck_assert_int_eq(gzwrite(file, data, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* A grey 4 x 4 PNG of one value. */
static bytes flat_png(uint8_t value)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = 4, .height = 4, .format = PNG_FORMAT_GRAY };
    uint8_t pixels[16];
    png_alloc_size_t size = 0;
    bytes b;

    memset(pixels, value, sizeof pixels);
    ck_assert(png_image_write_to_memory(&image, NULL, &size, 0, pixels, 0, NULL));
    b.data = malloc(size);
    ck_assert(png_image_write_to_memory(&image, b.data, &size, 0, pixels, 0, NULL));
    b.size = size;
    return b;
}

static void write_png(const char *name, uint8_t value)
{
    bytes b = flat_png(value);

    write_file(name, b.data, b.size);
    bytes_free(&b);
}

/* ---- Reading ------------------------------------------------------------------------ */

static ln__feed feed_of(uint32_t channels, uint32_t height, uint32_t width)
{
    ln__feed feed = { channels, height, width, LN_PREPROCESS_INIT };
    ln_preprocess raw = LN_PREPROCESS_INIT;

    raw.scale = 1;
    ck_assert_int_eq(ln__preprocess_resolve(&feed.preprocess, &raw, channels, height, width, NULL), LN_OK);
    return feed;
}

static ln_data *open_data(const char *source, const ln_data_options *options)
{
    ln_data *data;
    ln_error err = { 0 };

    ck_assert_msg(ln_data_open(&data, source, options, &err) == LN_OK, "%s", err.text);
    return data;
}

/* All rows through a reader: "value/label ..." of the first number of each. */
static const char *read_all(ln_data *data, const ln__feed *feed, size_t batch)
{
    size_t size = (size_t)feed->channels * feed->height * feed->width, n, used = 0;
    float *inputs = malloc(batch * size * sizeof *inputs);
    int32_t *labels = malloc(batch * sizeof *labels);
    size_t *rows = malloc(batch * sizeof *rows), next = 0;
    ln__reader *reader;
    ln_error err = { 0 };

    text[0] = '\0';
    ck_assert_int_eq(ln__reader_open(&reader, data, feed, batch, 0, ln_data_rows(data), NULL), LN_OK);
    do {
        ck_assert_msg(ln__reader_next(reader, inputs, labels, rows, &n, &err) == LN_OK, "%s", err.text);
        for (size_t i = 0; i < n && used + 32 < sizeof text; i++) {
            ck_assert_uint_ge(rows[i], next);
            next = rows[i] + 1;
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%g/%d", used ? " " : "",
                                     inputs[i * size], labels[i]);
        }
    } while (n > 0);
    ln__reader_close(reader);
    free(inputs);
    free(labels);
    free(rows);
    return text;
}

static const char *read_source(const char *source, const ln_data_options *options)
{
    ln__feed feed = feed_of(1, 4, 4);
    ln_data *data = open_data(source, options);
    const char *said = read_all(data, &feed, 3);

    ln_data_free(data);
    return said;
}

static void refuse(const char *source, const ln_data_options *options, ln_status status, const char *words)
{
    ln_data *data = (ln_data *)&data;
    ln_error err = { 0 };
    ln_status st = ln_data_open(&data, source, options, &err);

    ck_assert_msg(st == status, "%s: %d %s", source, st, err.text);
    ck_assert_ptr_eq(data, NULL);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' has no '%s'", err.text, words);
}

/* ---- Folders ------------------------------------------------------------------------ */

static void make_animals(void)
{
    write_png("animals/cat/b.png", 12);
    write_png("animals/cat/a.png", 11);
    write_png("animals/cat/deep/er/c.PNG", 13);
    write_png("animals/Dog/z.png", 1);
    write_png("animals/Dog/.hidden.png", 99);
    write_text("animals/Dog/readme.txt", "no picture");
    write_text("animals/notes.txt", "no class");
    write_png("animals/.git/x.png", 98);
    write_png("animals/ox/1.png", 21);
    write_png("animals/ox/2.png", 22);
}

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
        { ":first=99", "1/0 11/1 12/1 13/1 21/2 22/2" }
    };
    static const char *const bad[] = { ":part=2/2", ":part=1", ":part=/2", ":part=-1/2", ":first=x", ":first=",
                                       ":skip=1.5", ":not=0/0", ":part=0/2:first=a" };
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

static void map_options(ln_data_options *options, const char *lines, const char *suffix)
{
    static char path[512];

    write_text("map.tsv", lines);
    snprintf(path, sizeof path, "%s%s", at("map.tsv"), suffix);
    *options = (ln_data_options)LN_DATA_OPTIONS_INIT;
    options->class_map = path;
}

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

/* ---- Tar ------------------------------------------------------------------------------ */

typedef struct tarball { uint8_t *data; size_t size; } tarball;

static void tar_add(tarball *t, const char *name, const char *prefix, char type, const void *body, size_t size)
{
    size_t padded = (size + 511) / 512 * 512;
    unsigned sum = 0;
    uint8_t *h;

    t->data = realloc(t->data, t->size + 512 + padded);
    h = t->data + t->size;
    memset(h, 0, 512 + padded);
    memcpy(h, name, strnlen(name, 100));
    memcpy(h + 100, "0000644\0000000000\0000000000\000", 24);
    snprintf((char *)h + 124, 12, "%011zo", size);
    memcpy(h + 136, "00000000000", 11);
    memset(h + 148, ' ', 8);
    h[156] = (uint8_t)type;
    memcpy(h + 257, "ustar\00000", 8);
    memcpy(h + 345, prefix, strlen(prefix));
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    memcpy(h + 512, body, size);
    t->size += 512 + padded;
}

static void tar_png(tarball *t, const char *name, const char *prefix, uint8_t value)
{
    bytes b = flat_png(value);

    tar_add(t, name, prefix, '0', b.data, b.size);
    bytes_free(&b);
}

static void tar_end(tarball *t)
{
    t->data = realloc(t->data, t->size + 1024);
    memset(t->data + t->size, 0, 1024);
    t->size += 1024;
}

static tarball small_tar(void)
{
    tarball t = { 0 };
    char long_name[300], record[400];
    int length;

    tar_add(&t, "./cat/", "", '5', "", 0);
    tar_png(&t, "./cat/b.png", "", 12);
    tar_png(&t, "a.png", "cat", 11);
    memset(long_name, 'n', sizeof long_name);
    memcpy(long_name, "dog/", 4);
    strcpy(long_name + 250, ".png");
    tar_add(&t, "././@LongLink", "", 'L', long_name, strlen(long_name) + 1);
    tar_png(&t, "dog/nnn", "", 21);
    length = snprintf(record, sizeof record, "22 path=dog/\xc3\xb6-\xc3\xa9.png\n");
    ck_assert_int_eq(length, 22);
    tar_add(&t, "PaxHeaders/x", "", 'x', record, (size_t)length);
    tar_png(&t, "dog/o-e.png", "", 22);
    tar_add(&t, "dog/notes.txt", "", '0', "hello", 5);
    tar_png(&t, "dog/._1.png", "", 99);
    return t;
}

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

/* ---- IDX ------------------------------------------------------------------------------ */

enum { IDX_ROWS = 5 };

static bytes idx_images(uint32_t rows, uint32_t side)
{
    bytes b = { calloc(1, 16 + (size_t)IDX_ROWS * 16), 16 + IDX_ROWS * 16 };

    b.data[2] = 8;
    b.data[3] = 3;
    png_save_uint_32(b.data + 4, rows);
    png_save_uint_32(b.data + 8, side);
    png_save_uint_32(b.data + 12, side);
    for (size_t i = 0; i < IDX_ROWS; i++)
        memset(b.data + 16 + i * 16, 50 + (int)i, 16);
    return b;
}

static const uint8_t idx_labels[8 + IDX_ROWS] = { 0, 0, 8, 1, 0, 0, 0, IDX_ROWS, 2, 0, 1, 2, 0 };

START_TEST(idx_files_are_read)
{
    bytes b = idx_images(IDX_ROWS, 4);
    ln_data_options options;
    ln_data *data;
    char source[256];
    bool all;

    write_file("t-images-idx3-ubyte", b.data, b.size);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_IO, "t-labels-idx1-ubyte");
    write_file("t-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
    ck_assert_str_eq(read_source(at("t-images-idx3-ubyte"), NULL), "50/2 51/0 52/1 53/2 54/0");
    write_gz("u-images-idx3-ubyte.gz", b.data, b.size);
    write_gz("u-labels-idx1-ubyte.gz", idx_labels, sizeof idx_labels);
    snprintf(source, sizeof source, "%s:part=1/2", at("u-images-idx3-ubyte.gz"));
    ck_assert_str_eq(read_source(source, NULL), "53/2 54/0");
    write_gz("t-images-idx3-ubyte.gz", b.data, b.size);     /* its labels are not packed */
    data = open_data(at("t-images-idx3-ubyte.gz"), NULL);
    ck_assert_uint_eq(ln_data_class_count(data), 3);
    ck_assert_str_eq(ln_data_class_name(data, 0), "");
    ck_assert_str_eq(ln_data_row_name(data, 4), at("t-images-idx3-ubyte.gz#4"));
    ln_data_free(data);
    write_file("v-images.idx3-ubyte", b.data, b.size);
    write_file("v-labels.idx1-ubyte", idx_labels, sizeof idx_labels);
    ck_assert_str_eq(read_source(at("v-images.idx3-ubyte"), NULL), "50/2 51/0 52/1 53/2 54/0");
    map_options(&options, "0\t4\n1\t6\n2\t8\n", "");
    data = open_data(at("t-images-idx3-ubyte"), &options);
    ck_assert_uint_eq(ln__data_class_map(data, &all)[2], 8);
    ln_data_free(data);
    map_options(&options, "0\t4\n1\t6\n3\t8\n", "");
    refuse(at("t-images-idx3-ubyte"), &options, LN_E_MISMATCH, "'2'");
    map_options(&options, "0\t4\n1\t6\n", "");
    refuse(at("t-images-idx3-ubyte"), &options, LN_E_MISMATCH, "2 classes");
    bytes_free(&b);
}
END_TEST

START_TEST(damaged_idx_files_are_refused)
{
    bytes b = idx_images(0xffffffffu, 0xffff);
    uint8_t labels[sizeof idx_labels];

    write_file("t-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
    write_file("t-images-idx3-ubyte", b.data, b.size);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_FORMAT, "4294967295 pictures");
    png_save_uint_32(b.data + 4, IDX_ROWS);
    png_save_uint_32(b.data + 8, 0);
    write_file("t-images-idx3-ubyte", b.data, b.size);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_FORMAT, "0 x 65535");
    bytes_free(&b);
    b = idx_images(IDX_ROWS, 4);
    write_file("t-images-idx3-ubyte", b.data, b.size - 1);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_FORMAT, "says 5 pictures");
    write_file("t-images-idx3-ubyte", b.data, 15);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_FORMAT, "neither an IDX");
    write_file("t-images-idx3-ubyte", b.data, b.size);
    memcpy(labels, idx_labels, sizeof labels);
    labels[7] = 4;
    write_file("t-labels-idx1-ubyte", labels, sizeof labels);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_FORMAT, "says 4 labels");
    write_file("t-labels-idx1-ubyte", labels, sizeof labels - 1);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_MISMATCH, "4 labels for 5");
    labels[3] = 3;
    write_file("t-labels-idx1-ubyte", labels, sizeof labels);
    refuse(at("t-images-idx3-ubyte"), NULL, LN_E_FORMAT, "label file");
    write_file("pictures.dat", b.data, b.size);
    refuse(at("pictures.dat"), NULL, LN_E_ARGUMENT, "images-idx3");
    bytes_free(&b);
}
END_TEST

/* ---- CIFAR ---------------------------------------------------------------------------- */

/* Rows of 32 x 32 whose planes are 10 + i, 20 + i, 30 + i. */
static bytes cifar_rows(size_t rows, size_t labels)
{
    size_t size = labels + 3072;
    bytes b = { malloc(rows * size), rows * size };

    for (size_t i = 0; i < rows; i++) {
        memset(b.data + i * size, (int)(i % 7), labels);
        for (size_t c = 0; c < 3; c++)
            memset(b.data + i * size + labels + c * 1024, (int)((c + 1) * 10 + i), 1024);
    }
    return b;
}

START_TEST(cifar_batches_are_read)
{
    bytes ten = cifar_rows(3, 1), hundred = cifar_rows(2, 2);
    ln__feed feed = feed_of(3, 32, 32);
    ln_data *data;
    char names[1000] = "";

    write_file("ten/data_batch_1.bin", ten.data, ten.size);
    write_file("ten/data_batch_2.bin", ten.data, ten.size);
    data = open_data(at("ten"), NULL);
    ck_assert_uint_eq(ln_data_rows(data), 6);
    ck_assert_uint_eq(ln_data_class_count(data), 10);
    ck_assert_str_eq(ln_data_row_name(data, 4), at("ten/data_batch_2.bin#1"));
    ck_assert_str_eq(read_all(data, &feed, 4), "10/0 11/1 12/2 10/0 11/1 12/2");
    ln_data_free(data);
    write_text("ten/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    data = open_data(at("ten/data_batch_1.bin"), NULL);
    ck_assert_str_eq(ln_data_class_name(data, 9), "j");
    ln_data_free(data);
    write_text("ten/batches.meta.txt", "a\nb\n");
    refuse(at("ten"), NULL, LN_E_FORMAT, "2 class names");
    hundred.data[1] = 99;
    write_file("hundred/test.bin", hundred.data, hundred.size);
    data = open_data(at("hundred/test.bin"), NULL);
    ck_assert_uint_eq(ln_data_class_count(data), 100);
    ck_assert_str_eq(read_all(data, &feed, 4), "10/99 11/1");
    ln_data_free(data);
    hundred.data[1] = 100;
    write_file("hundred/test.bin", hundred.data, hundred.size);
    refuse(at("hundred/test.bin"), NULL, LN_E_FORMAT, "label 100");
    write_file("hundred/test.bin", hundred.data, hundred.size - 1);
    refuse(at("hundred/test.bin"), NULL, LN_E_FORMAT, "3073");
    for (int i = 0; i < 100; i++)
        strcat(names, "class\n");
    write_text("hundred/fine_label_names.txt", names);
    refuse(at("hundred/test.bin"), NULL, LN_E_FORMAT, "CIFAR-100");
    write_file("hundred/test.bin", "", 0);
    refuse(at("hundred/test.bin"), NULL, LN_E_FORMAT, "empty");
    bytes_free(&ten);
    bytes_free(&hundred);
}
END_TEST

/* ---- The caller's own ------------------------------------------------------------------- */

START_TEST(arrays_are_fed)
{
    static const char *const names[] = { "no", "yes" };
    uint8_t pictures[3 * 16];
    float inputs[3 * 2];
    int32_t labels[3] = { 1, 0, 1 };
    ln_arrays a = LN_ARRAYS_INIT, b;
    ln__feed feed = feed_of(1, 4, 4), other = feed_of(2, 1, 1);
    ln__reader *reader;
    ln_data *data;
    ln_error err;

    for (int i = 0; i < 3; i++) {
        memset(pictures + i * 16, 70 + i, 16);
        inputs[2 * i] = inputs[2 * i + 1] = 0.5f + (float)i;
    }
    a.rows = 3;
    a.labels = labels;
    a.classes = 2;
    a.class_names = names;
    b = a;
    a.pictures = pictures;
    a.channels = 1;
    a.height = a.width = 4;
    b.inputs = inputs;
    b.channels = 2;
    b.height = b.width = 1;
    ck_assert_int_eq(ln_data_from_arrays(&data, &a, NULL, NULL), LN_OK);
    ck_assert_str_eq(ln_data_class_name(data, 1), "yes");
    ck_assert_str_eq(ln_data_row_name(data, 1), "");
    ck_assert_int_eq(ln__data_label(data, 1), 0);
    ck_assert_str_eq(read_all(data, &feed, 2), "70/1 71/0 72/1");
    ln_data_free(data);
    ck_assert_int_eq(ln_data_from_arrays(&data, &b, NULL, NULL), LN_OK);
    ck_assert_str_eq(read_all(data, &other, 2), "0.5/1 1.5/0 2.5/1");
    ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 1, 0, 1, &err), LN_E_MISMATCH);
    ck_assert_ptr_ne(strstr(err.text, "2 x 1 x 1"), NULL);
    ck_assert_ptr_ne(strstr(err.text, "1 x 4 x 4"), NULL);
    ln_data_free(data);
#define REFUSED(change)                                                                \
    do {                                                                               \
        ln_arrays c = a;                                                               \
        change;                                                                        \
        ck_assert_int_eq(ln_data_from_arrays(&data, &c, NULL, NULL), LN_E_ARGUMENT);   \
        ck_assert_ptr_eq(data, NULL);                                                  \
    } while (0)
    REFUSED(c.rows = 0);
    REFUSED(c.rows = SIZE_MAX);
    REFUSED(c.pictures = NULL);
    REFUSED(c.inputs = inputs);
    REFUSED(c.labels = NULL);
    REFUSED(c.channels = 2);
    REFUSED(c.width = 0);
    REFUSED(c.classes = 0);
    REFUSED(c.classes = 1);
#undef REFUSED
}
END_TEST

typedef struct teller { int fail_at, label; } teller;

static int tell(size_t first, size_t count, float *inputs, int32_t *labels, void *payload)
{
    const teller *t = payload;

    for (size_t i = 0; i < count; i++) {
        if ((int)(first + i) == t->fail_at)
            return 5;
        inputs[i] = (float)(first + i) * 10;
        labels[i] = (int)(first + i) == t->label ? 3 : (int32_t)(first + i) % 3;
    }
    return 0;
}

START_TEST(callbacks_are_asked)
{
    teller t = { -1, -1 };
    ln_rows rows = LN_ROWS_INIT;
    ln__feed feed = feed_of(1, 1, 1);
    ln__reader *reader;
    ln_data *data;
    float inputs[4];
    int32_t labels[4];
    size_t n;
    ln_error err;

    rows.rows = 7;
    rows.channels = rows.height = rows.width = 1;
    rows.classes = 3;
    rows.payload = &t;
    ck_assert_int_eq(ln_data_from_callback(&data, &rows, NULL, NULL), LN_E_ARGUMENT);
    rows.read = tell;
    ck_assert_int_eq(ln_data_from_callback(&data, &rows, NULL, NULL), LN_OK);
    ck_assert_str_eq(read_all(data, &feed, 3), "0/0 10/1 20/2 30/0 40/1 50/2 60/0");
    ck_assert_int_eq(ln__data_label(data, 1), -1);
    for (int wrong = 0; wrong < 2; wrong++) {
        t.fail_at = wrong ? -1 : 5;
        t.label = wrong ? 5 : -1;
        ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 4, 1, 6, NULL), LN_OK);
        ck_assert_int_eq(ln__reader_next(reader, inputs, labels, NULL, &n, NULL), LN_OK);
        ck_assert_uint_eq(n, 4);
        ck_assert_int_eq(ln__reader_next(reader, inputs, labels, NULL, &n, &err), LN_E_CALLBACK);
        ck_assert_ptr_ne(strstr(err.text, wrong ? "label 3 for row 5" : "returned 5"), NULL);
        ln__reader_close(reader);
    }
    ln_data_free(data);
}
END_TEST

START_TEST(arguments_are_checked)
{
    ln_data *data = (ln_data *)&data;
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    ln__feed feed = feed_of(1, 4, 4);
    ln__reader *reader;

    ck_assert_int_eq(ln_data_open(NULL, "x", NULL, NULL), LN_E_ARGUMENT);
    ck_assert_int_eq(ln_data_open(&data, NULL, NULL, NULL), LN_E_ARGUMENT);
    ck_assert_ptr_eq(data, NULL);
    ck_assert_int_eq(ln_data_from_arrays(&data, NULL, NULL, NULL), LN_E_ARGUMENT);
    ck_assert_int_eq(ln_data_from_callback(&data, NULL, NULL, NULL), LN_E_ARGUMENT);
    ck_assert_uint_eq(ln_data_rows(NULL), 0);
    ck_assert_str_eq(ln_data_row_name(NULL, 0), "");
    ck_assert_ptr_eq(ln_data_skipped(NULL, 0), NULL);
    ln_data_free(NULL);
    ln__reader_close(NULL);
    make_animals();
    options.threads = 1000;
    refuse(at("animals"), &options, LN_E_ARGUMENT, "1000 threads");
    data = open_data(at("animals"), NULL);
    ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 1, 5, 2, NULL), LN_E_ARGUMENT);
    ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 1, 7, SIZE_MAX, NULL), LN_E_ARGUMENT);
    ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 0, 0, 1, NULL), LN_E_ARGUMENT);
    feed.channels = 2;
    ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 1, 0, 1, NULL), LN_E_MISMATCH);
    ln_data_free(data);
    errno = 77;
    ck_assert_int_eq(ln_data_open(&data, "/no/such/place", NULL, NULL), LN_E_IO);
    ck_assert_int_eq(errno, 77);
}
END_TEST

/* ---- Readers ------------------------------------------------------------------------------ */

static void make_many(size_t rows)
{
    char name[64];

    for (size_t i = 0; i < rows; i++) {
        snprintf(name, sizeof name, "many/%c/%03zu.png", "ab"[i % 2], i);
        write_png(name, (uint8_t)i);
    }
}

START_TEST(order_does_not_depend_on_threads)
{
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    char first[sizeof text];
    ln__feed feed = feed_of(1, 4, 4);

    make_many(200);
    options.threads = 1;
    strcpy(first, read_source(at("many"), &options));
    ck_assert_ptr_eq(strstr(first, "0/0 2/0 4/0"), first);
    for (options.threads = 0; options.threads <= 8; options.threads += 2) {
        ln_data *data = open_data(at("many"), &options);
        for (size_t batch = 1; batch <= 256; batch *= 16)
            ck_assert_str_eq(read_all(data, &feed, batch), first);
        ln_data_free(data);
    }
}
END_TEST

START_TEST(readers_close_at_any_moment)
{
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    ln__feed feed = feed_of(1, 4, 4);
    float inputs[8 * 16];
    int32_t labels[8];
    size_t n;

    make_many(60);
    for (options.threads = 1; options.threads <= 4; options.threads++) {
        for (int batches = 0; batches < 10; batches++) {
            ln_data *data = open_data(at("many"), &options);
            ln__reader *one, *two;
            ck_assert_int_eq(ln__reader_open(&one, data, &feed, 8, 0, 60, NULL), LN_OK);
            ck_assert_int_eq(ln__reader_open(&two, data, &feed, 1, 5, 50, NULL), LN_OK);
            ln_data_free(data);         /* the readers hold it */
            for (int i = 0; i < batches; i++) {
                ck_assert_int_eq(ln__reader_next(one, inputs, labels, NULL, &n, NULL), LN_OK);
                ck_assert_int_eq(ln__reader_next(two, inputs, labels, NULL, &n, NULL), LN_OK);
                ck_assert_uint_eq(n, 1);
            }
            ln__reader_close(one);
            ln__reader_close(two);
        }
    }
}
END_TEST

/* ---- Real data sets ---------------------------------------------------------------------------- */

/* Rows, classes, and rows of the first and last class. */
static void check_real(const char *source, uint32_t channels, uint32_t side, size_t rows, uint32_t classes,
                       size_t of_first, size_t of_last)
{
    ln__feed feed = feed_of(channels, side, side);
    float *inputs = malloc(32 * sizeof *inputs * channels * side * side);
    size_t n, read = 0, first = 0, last = 0;
    int32_t labels[32];
    ln__reader *reader;
    ln_data *data;

    if (access(source, R_OK) != 0) {
        printf("skip real data: %s is not here\n", source);
        free(inputs);
        return;
    }
    data = open_data(source, NULL);
    ck_assert_uint_eq(ln_data_rows(data), rows);
    ck_assert_uint_eq(ln_data_class_count(data), classes);
    ck_assert_int_eq(ln__reader_open(&reader, data, &feed, 32, 0, rows, NULL), LN_OK);
    do {
        ck_assert_int_eq(ln__reader_next(reader, inputs, labels, NULL, &n, NULL), LN_OK);
        for (size_t i = 0; i < n; i++) {
            first += labels[i] == 0;
            last += labels[i] == (int32_t)classes - 1;
        }
        read += n;
    } while (n > 0);
    ck_assert_uint_eq(read, rows);
    ck_assert_uint_eq(first, of_first);
    ck_assert_uint_eq(last, of_last);
    ln__reader_close(reader);
    ln_data_free(data);
    free(inputs);
}

START_TEST(imagenette_is_read)
{
    check_real("../shared/data/imagenette/val", 3, 64, 1000, 10, 100, 100);
}
END_TEST

START_TEST(cifar_is_read)
{
    check_real("../shared/data/cifar10/test.tar.gz", 3, 32, 10000, 10, 1000, 1000);
}
END_TEST

START_TEST(fashion_mnist_is_read)
{
    check_real("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", 1, 28, 10000, 10, 1000, 1000);
}
END_TEST

/* ---- Memory runs out ------------------------------------------------------------------------ */

static ln_status read_with(const ln_allocator *a, const char *source, const char *map, uint32_t side)
{
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    ln__feed feed = feed_of(3, side, side);
    float *inputs = malloc(4 * 3 * sizeof *inputs * side * side);
    int32_t labels[4];
    ln__reader *reader = NULL;
    ln_data *data;
    size_t n = 1;
    ln_status st;

    options.allocator = a;
    options.class_map = map;
    options.threads = 2;
    options.skip_bad = 1;
    st = ln_data_open(&data, source, &options, NULL);
    if (st == LN_OK)
        st = ln__reader_open(&reader, data, &feed, 4, 0, ln_data_rows(data), NULL);
    while (st == LN_OK && n > 0)
        st = ln__reader_next(reader, inputs, labels, NULL, &n, NULL);
    ln__reader_close(reader);
    ln_data_free(data);
    free(inputs);
    return st;
}

static void starve(const char *source, const char *map, uint32_t side)
{
    for (size_t n = 1;; n++) {
        heap h;
        ln_allocator a = heap_start(&h, n);
        ln_status st = read_with(&a, source, map, side);
        ck_assert_msg(h.blocks == 0, "%s: %zu blocks left at call %zu", source, h.blocks, n);
        ck_assert_msg(st == LN_OK || st == LN_E_NOMEM, "%s: %d at call %zu", source, st, n);
        if (st == LN_OK && h.calls < n)
            break;
        ck_assert_msg(st == LN_E_NOMEM, "%s: call %zu failed unseen", source, n);
    }
}

START_TEST(every_failed_allocation_is_survived)
{
    bytes b = idx_images(IDX_ROWS, 4), ten = cifar_rows(3, 1);
    tarball t = small_tar();
    char map[512];

    make_animals();
    write_text("animals/ox/3.png", "bad");
    write_text("map.tsv", "ox\t7\ncat\t281\nDog\t5\n");
    snprintf(map, sizeof map, "%s:all", at("map.tsv"));
    tar_end(&t);
    write_gz("x.tar.gz", t.data, t.size);
    write_gz("t-images-idx3-ubyte.gz", b.data, b.size);
    write_file("t-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
    write_file("ten/data_batch_1.bin", ten.data, ten.size);
    write_text("ten/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    starve(at("animals"), map, 4);
    starve(at("animals:part=0/2"), NULL, 8);
    starve(at("x.tar.gz"), NULL, 4);
    starve(at("t-images-idx3-ubyte.gz"), NULL, 6);
    starve(at("ten"), NULL, 32);
    free(t.data);
    bytes_free(&b);
    bytes_free(&ten);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *cases = tcase_create("data");
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, make_root, remove_root);
    tcase_add_test(cases, class_folders_are_read_in_order);
    tcase_add_test(cases, links_in_folders_cannot_loop);
    tcase_add_test(cases, folders_without_rows_are_refused);
    tcase_add_test(cases, parts_choose_rows);
    tcase_add_test(cases, class_maps_name_the_classes);
    tcase_add_test(cases, a_bad_picture_is_named_or_left_out);
    tcase_add_test(cases, tar_archives_are_class_folders);
    tcase_add_test(cases, a_folder_around_the_class_folders_is_stepped_over);
    tcase_add_test(cases, damaged_archives_are_refused);
    tcase_add_test(cases, gzip_files_may_have_members_and_padding);
    tcase_add_test(cases, idx_files_are_read);
    tcase_add_test(cases, damaged_idx_files_are_refused);
    tcase_add_test(cases, cifar_batches_are_read);
    tcase_add_test(cases, arrays_are_fed);
    tcase_add_test(cases, callbacks_are_asked);
    tcase_add_test(cases, arguments_are_checked);
    tcase_add_test(cases, order_does_not_depend_on_threads);
    tcase_add_test(cases, readers_close_at_any_moment);
    tcase_add_test(cases, imagenette_is_read);
    tcase_add_test(cases, cifar_is_read);
    tcase_add_test(cases, fashion_mnist_is_read);
    tcase_add_test(cases, every_failed_allocation_is_survived);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
