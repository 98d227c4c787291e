/* test_data_caller.c - rows in the caller's own arrays and callbacks; arguments. */
#include "data_files.h"

#include <errno.h>

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

int main(void)
{
    const TTest *const tests[] = {
        arrays_are_fed,
        callbacks_are_asked,
        arguments_are_checked
    };

    return run_data_tests("data of the caller's own", tests, LN__COUNT(tests));
}
