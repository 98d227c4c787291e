/* api_data.c - public functions about data sets. */
#include "api/api.h"
#include "data/data.h"

ln_status ln_data_open(ln_data **out, const char *source, const ln_data_options *options, ln_error *err)
{
    LN__REQUIRE(out, "ln_data_open", err);
    *out = NULL;
    LN__REQUIRE(source, "ln_data_open", err);
    return ln__data_open(out, source, options, err);
}

ln_status ln_data_from_arrays(ln_data **out, const ln_arrays *arrays, const ln_data_options *options, ln_error *err)
{
    LN__REQUIRE(out, "ln_data_from_arrays", err);
    *out = NULL;
    LN__REQUIRE(arrays, "ln_data_from_arrays", err);
    return ln__data_from_arrays(out, arrays, options, err);
}

ln_status ln_data_from_callback(ln_data **out, const ln_rows *rows, const ln_data_options *options, ln_error *err)
{
    LN__REQUIRE(out, "ln_data_from_callback", err);
    *out = NULL;
    LN__REQUIRE(rows, "ln_data_from_callback", err);
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
    LN__REQUIRE(data, "ln_data_common", err);
    LN__REQUIRE(other, "ln_data_common", err);
    LN__REQUIRE(count, "ln_data_common", err);
    return ln__data_common(data, other, count, first ? first : &unwanted, err);
}

const char *ln_data_skipped(const ln_data *data, size_t i)
{
    return data ? ln__data_skipped(data, i) : NULL;
}
