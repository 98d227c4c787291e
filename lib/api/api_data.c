/* api_data.c - public functions about data sets. */
#include "data/data.h"

static ln_status null_argument(const char *function, const char *name, ln_error *err)
{
    return ln__fail(err, LN_E_ARGUMENT, "%s: %s is NULL", function, name);
}

ln_status ln_data_open(ln_data **out, const char *source, const ln_data_options *options, ln_error *err)
{
    if (!out)
        return null_argument("ln_data_open", "out", err);
    *out = NULL;
    if (!source)
        return null_argument("ln_data_open", "source", err);
    return ln__data_open(out, source, options, err);
}

ln_status ln_data_from_arrays(ln_data **out, const ln_arrays *arrays, const ln_data_options *options, ln_error *err)
{
    if (!out)
        return null_argument("ln_data_from_arrays", "out", err);
    *out = NULL;
    if (!arrays)
        return null_argument("ln_data_from_arrays", "arrays", err);
    return ln__data_from_arrays(out, arrays, options, err);
}

ln_status ln_data_from_callback(ln_data **out, const ln_rows *rows, const ln_data_options *options, ln_error *err)
{
    if (!out)
        return null_argument("ln_data_from_callback", "out", err);
    *out = NULL;
    if (!rows)
        return null_argument("ln_data_from_callback", "rows", err);
    return ln__data_from_callback(out, rows, options, err);
}

void ln_data_free(ln_data *data)
{
    ln__data_free(data);
}

size_t ln_data_rows(const ln_data *data)
{
    return data ? ln__data_rows(data) : 0;
}

uint32_t ln_data_class_count(const ln_data *data)
{
    return data ? ln__data_class_count(data) : 0;
}

const char *ln_data_class_name(const ln_data *data, uint32_t i)
{
    return data ? ln__data_class_name(data, i) : "";
}

const char *ln_data_row_name(const ln_data *data, size_t row)
{
    return data ? ln__data_row_name(data, row) : "";
}

ln_status ln_data_common(const ln_data *data, const ln_data *other, size_t *count, size_t *first, ln_error *err)
{
    size_t unwanted;

    if (count)
        *count = 0;
    if (!data || !other || !count)
        return null_argument("ln_data_common", !data ? "data" : !other ? "other" : "count", err);
    return ln__data_common(data, other, count, first ? first : &unwanted, err);
}

const char *ln_data_skipped(const ln_data *data, size_t i)
{
    return data ? ln__data_skipped(data, i) : NULL;
}
