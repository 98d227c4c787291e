/* data_files.h - data sets of every kind made in a folder of their own, and what
 * reading them gives, as text. For the tests of data/. */
#ifndef LN_TESTS_DATA_FILES_H
#define LN_TESTS_DATA_FILES_H

#include "pictures.h"
#include "data/data_private.h"

#include <check.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zlib.h>

/* ---- A folder to work in ---------------------------------------------------------- */

static char root[64];
static char text[4096];

/* Path of a file in the folder; valid until the next call but three. */
static inline const char *at(const char *name)
{
    static char paths[4][512];
    static int next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", root, name);
    return paths[next];
}

static inline void make_root(void)
{
    strcpy(root, "/tmp/leenet-test-data.XXXXXX");
    ck_assert_ptr_ne(mkdtemp(root), NULL);
}

static inline void remove_root(void)
{
    snprintf(text, sizeof text, "rm -rf %s", root);
    ck_assert_int_eq(system(text), 0);
}

static inline void make_folders(const char *name)
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

static inline void write_file(const char *name, const void *data, size_t size)
{
    FILE *file;

    make_folders(name);
    file = fopen(at(name), "wb");
    ck_assert_ptr_ne(file, NULL);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

static inline void write_text(const char *name, const char *line)
{
    write_file(name, line, strlen(line));
}

static inline void write_gz(const char *name, const void *data, size_t size)
{
    gzFile file = gzopen(at(name), "wb");

    ck_assert_int_eq(gzwrite(file, data, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* A grey 4 x 4 PNG of one value. */
static inline bytes flat_png(uint8_t value)
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

static inline void write_png(const char *name, uint8_t value)
{
    bytes b = flat_png(value);

    write_file(name, b.data, b.size);
    bytes_free(&b);
}

/* ---- Reading ------------------------------------------------------------------------ */

static inline ln__feed feed_of(uint32_t channels, uint32_t height, uint32_t width)
{
    ln__feed feed = { channels, height, width, LN_PREPROCESS_INIT };
    ln_preprocess raw = LN_PREPROCESS_INIT;

    raw.scale = 1;
    ck_assert_int_eq(ln__preprocess_resolve(&feed.preprocess, &raw, channels, height, width, NULL), LN_OK);
    return feed;
}

static inline ln_data *open_data(const char *source, const ln_data_options *options)
{
    ln_data *data;
    ln_error err = { 0 };

    ck_assert_msg(ln_data_open(&data, source, options, &err) == LN_OK, "%s", err.text);
    return data;
}

/* All rows through a reader: "value/label ..." of the first number of each. */
static inline const char *read_all(ln_data *data, const ln__feed *feed, size_t batch)
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

static inline const char *read_source(const char *source, const ln_data_options *options)
{
    ln__feed feed = feed_of(1, 4, 4);
    ln_data *data = open_data(source, options);
    const char *said = read_all(data, &feed, 3);

    ln_data_free(data);
    return said;
}

static inline void refuse(const char *source, const ln_data_options *options, ln_status status, const char *words)
{
    ln_data *data = (ln_data *)&data;
    ln_error err = { 0 };
    ln_status st = ln_data_open(&data, source, options, &err);

    ck_assert_msg(st == status, "%s: %d %s", source, st, err.text);
    ck_assert_ptr_eq(data, NULL);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' has no '%s'", err.text, words);
}

/* ---- Folders ------------------------------------------------------------------------ */

static inline void make_animals(void)
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

static inline void map_options(ln_data_options *options, const char *lines, const char *suffix)
{
    static char path[512];

    write_text("map.tsv", lines);
    snprintf(path, sizeof path, "%s%s", at("map.tsv"), suffix);
    *options = (ln_data_options)LN_DATA_OPTIONS_INIT;
    options->class_map = path;
}

/* ---- Tar ------------------------------------------------------------------------------ */

typedef struct tarball { uint8_t *data; size_t size; } tarball;

static inline void tar_add(tarball *t, const char *name, const char *prefix, char type, const void *body, size_t size)
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

static inline void tar_png(tarball *t, const char *name, const char *prefix, uint8_t value)
{
    bytes b = flat_png(value);

    tar_add(t, name, prefix, '0', b.data, b.size);
    bytes_free(&b);
}

static inline void tar_end(tarball *t)
{
    t->data = realloc(t->data, t->size + 1024);
    memset(t->data + t->size, 0, 1024);
    t->size += 1024;
}

static inline tarball small_tar(void)
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

/* ---- IDX ------------------------------------------------------------------------------ */

enum { IDX_ROWS = 5 };

static inline bytes idx_images(uint32_t rows, uint32_t side)
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

/* ---- CIFAR ---------------------------------------------------------------------------- */

/* Rows of 32 x 32 whose planes are 10 + i, 20 + i, 30 + i. */
static inline bytes cifar_rows(size_t rows, size_t labels)
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

/* ---- Running ---------------------------------------------------------------------------- */

/* Every test begins with an empty folder. */
static inline int run_data_tests(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, make_root, remove_root);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
