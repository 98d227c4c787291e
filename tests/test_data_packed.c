/* test_data_packed.c - IDX files and CIFAR batches. */
#include "data_files.h"

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

int main(void)
{
    const TTest *const tests[] = {
        idx_files_are_read,
        damaged_idx_files_are_refused,
        cifar_batches_are_read
    };

    return run_data_tests("data in IDX and CIFAR files", tests, LN__COUNT(tests));
}
