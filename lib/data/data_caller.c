/* data_caller.c - rows that the caller holds: arrays and callbacks. */
#include "data/data_private.h"

#include <string.h>

static ln_status array_picture(const ln_data *data, size_t row, const ln__decode_limits *limits,
                               ln__picture *out, ln_error *err)
{
    const ln_arrays *a = &data->arrays;
    size_t size = (size_t)a->width * a->height * a->channels;

    (void)limits;
    (void)err;
    *out = (ln__picture){ a->width, a->height, a->channels, a->pictures + row * size, NULL };
    return LN_OK;
}

static ln_status check_shape(size_t rows, uint32_t channels, uint32_t height, uint32_t width, size_t item,
                             uint32_t classes, const char *what, ln_error *err)
{
    size_t bytes;

    if (rows == 0 || channels == 0 || height == 0 || width == 0)
        return ln__fail(err, LN_E_ARGUMENT, "%s: %zu rows of %u x %u x %u; none of them can be 0", what, rows,
                        channels, height, width);
    if (!ln__mul_size(rows, channels, &bytes) || !ln__mul_size(bytes, height, &bytes) ||
        !ln__mul_size(bytes, width, &bytes) || !ln__mul_size(bytes, item, &bytes))
        return ln__fail(err, LN_E_ARGUMENT, "%s: %zu rows of %u x %u x %u are more bytes than there are addresses",
                        what, rows, channels, height, width);
    if (classes == 0 || classes > INT32_MAX)
        return ln__fail(err, LN_E_ARGUMENT, "%s: %u classes", what, classes);
    return LN_OK;
}

static ln_status check_arrays(const ln_arrays *a, ln_error *err)
{
    ln_status st;

    if (!a->pictures == !a->inputs)
        return ln__fail(err, LN_E_ARGUMENT, "ln_arrays: exactly one of pictures and inputs is to be given");
    if (!a->labels)
        return ln__fail(err, LN_E_ARGUMENT, "ln_arrays: labels are NULL");
    st = check_shape(a->rows, a->channels, a->height, a->width, a->inputs ? sizeof(float) : 1, a->classes,
                     "ln_arrays", err);
    if (st < 0)
        return st;
    if (a->pictures && a->channels != 1 && a->channels != 3)
        return ln__fail(err, LN_E_ARGUMENT, "ln_arrays: pictures of %u channels; 1 or 3 are possible", a->channels);
    for (size_t i = 0; i < a->rows; i++) {
        if (a->labels[i] < 0 || (uint32_t)a->labels[i] >= a->classes)
            return ln__fail(err, LN_E_ARGUMENT, "ln_arrays: label %d of row %zu; 0 to %u are possible",
                            a->labels[i], i, a->classes - 1);
    }
    return LN_OK;
}

static ln_status finish(ln_data **out, ln_data *data, const char *const *names, uint32_t classes, ln_error *err)
{
    ln_status st = ln__data_set_classes(data, names, classes, err);

    if (st == LN_OK)
        st = ln__class_map_numbers(data, err);
    return ln__data_finish(out, data, st, err);
}

ln_status ln__data_from_arrays(ln_data **out, const ln_arrays *arrays, const ln_data_options *options,
                               ln_error *err)
{
    ln_arrays known;
    ln_data *data;
    ln_status st = ln__options_copy(&known, sizeof known, arrays, "ln_arrays", err);

    *out = NULL;
    if (st == LN_OK)
        st = check_arrays(&known, err);
    if (st == LN_OK)
        st = ln__data_new(&data, "arrays", options, err);
    if (st < 0)
        return st;
    data->arrays = known;
    data->count = known.rows;
    data->picture = known.pictures ? array_picture : NULL;
    return finish(out, data, known.class_names, known.classes, err);
}

ln_status ln__data_from_callback(ln_data **out, const ln_rows *rows, const ln_data_options *options,
                                 ln_error *err)
{
    ln_rows known;
    ln_data *data;
    ln_status st = ln__options_copy(&known, sizeof known, rows, "ln_rows", err);

    *out = NULL;
    if (st == LN_OK && !known.read)
        st = ln__fail(err, LN_E_ARGUMENT, "ln_rows: read is NULL");
    if (st == LN_OK)
        st = check_shape(known.rows, known.channels, known.height, known.width, sizeof(float), known.classes,
                         "ln_rows", err);
    if (st == LN_OK)
        st = ln__data_new(&data, "callback", options, err);
    if (st < 0)
        return st;
    data->callback = known;
    data->count = known.rows;
    return finish(out, data, known.class_names, known.classes, err);
}
