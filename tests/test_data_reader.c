/* test_data_reader.c - readers: order, closing, real data sets, memory that runs out. */
#include "data_files.h"

#include <unistd.h>

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
    const TTest *const tests[] = {
        order_does_not_depend_on_threads,
        readers_close_at_any_moment,
        imagenette_is_read,
        cifar_is_read,
        fashion_mnist_is_read,
        every_failed_allocation_is_survived
    };

    return run_data_tests("data readers", tests, LN__COUNT(tests));
}
