/* data_object.c - the life of an ln_data, and what it tells about itself. */
#include "data/data_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_THREADS 256

ln_status ln__data_new(ln_data **out, const char *source, const ln_data_options *options, ln_error *err)
{
    ln_data_options known;
    ln_data *data;
    ln__ctx ctx;
    ln_status st;

    *out = NULL;
    st = ln__options_copy(&known, sizeof known, options, "ln_data_options", err);
    if (st < 0)
        return st;
    if (known.threads > MAX_THREADS)
        return ln__fail(err, LN_E_ARGUMENT, "ln_data_options: %u threads; 0 to %d are possible", known.threads,
                        MAX_THREADS);
    ctx = ln__ctx_make(known.allocator, NULL, NULL);
    data = ln__calloc(&ctx, 1, sizeof *data);
    if (!data)
        return ln__fail_nomem(err, &ctx, sizeof *data);
    data->ctx = ctx;
    data->options = known;
    atomic_init(&data->holders, 1);
    ln__arena_init(&data->arena, &data->ctx, 0);
    data->has_lock = pthread_mutex_init(&data->lock, NULL) == 0;
    if (!data->has_lock) {
        ln__data_free(data);
        return ln__fail_nomem(err, &ctx, 0);
    }
    data->source = ln__data_text(data, err, "%s", source);
    if (!data->source) {
        ln__data_free(data);
        return LN_E_NOMEM;
    }
    *out = data;
    return LN_OK;
}

ln_status ln__data_finish(ln_data **out, ln_data *data, ln_status st, ln_error *err)
{
    *out = NULL;
    if (st == LN_OK && data->count == 0)
        st = ln__fail(err, LN_E_ARGUMENT, "no rows in %s", data->source);
    if (st == LN_OK && data->classes < 2 && !data->class_map)
        st = ln__fail(err, LN_E_ARGUMENT,
                      "%s: only one class (%s); without a class map at least two are needed", data->source,
                      ln__data_class_name(data, 0));
    if (st == LN_OK && data->options.skip_bad) {
        data->is_skipped = ln__calloc(&data->ctx, data->count, 1);
        if (!data->is_skipped)
            st = ln__fail_nomem(err, &data->ctx, data->count);
    }
    data->options.allocator = NULL;     /* the caller's structs are not ours to keep */
    data->options.class_map = NULL;
    if (st < 0)
        ln__data_free(data);
    else
        *out = data;
    return st;
}

ln_data *ln__data_retain(ln_data *data)
{
    atomic_fetch_add_explicit(&data->holders, 1, memory_order_relaxed);
    return data;
}

void ln__data_free(ln_data *data)
{
    ln__ctx ctx;

    if (!data || atomic_fetch_sub_explicit(&data->holders, 1, memory_order_acq_rel) != 1)
        return;
    ctx = data->ctx;
    for (size_t i = 0; i < data->n_blobs; i++)
        ln__blob_close(&data->blobs[i], &ctx);
    for (size_t i = 0; i < data->n_skipped; i++)
        ln__free(&ctx, data->skipped[i]);
    ln__free(&ctx, data->blobs);
    ln__free(&ctx, data->rows);
    ln__free(&ctx, data->skipped);
    ln__free(&ctx, data->is_skipped);
    ln__arena_free(&data->arena);
    if (data->has_lock)
        pthread_mutex_destroy(&data->lock);
    ln__free(&ctx, data);
}

const char *ln__data_text(ln_data *data, ln_error *err, const char *format, ...)
{
    va_list args;
    char *text;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = length < 0 ? NULL : ln__arena_alloc(&data->arena, (size_t)length + 1);
    if (!text) {
        ln__fail_nomem(err, &data->ctx, (size_t)length + 1);
        return NULL;
    }
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

ln_status ln__data_add_row(ln_data *data, const ln__row *row, ln_error *err)
{
    if (!LN__RESERVE(&data->ctx, data->rows, data->capacity, data->count + 1))
        return ln__fail_nomem(err, &data->ctx, (data->count + 1) * sizeof *data->rows);
    data->rows[data->count++] = *row;
    return LN_OK;
}

ln_status ln__data_add_blob(ln_data *data, const char *path, uint32_t *index, ln_error *err)
{
    ln_status st;

    if (!LN__RESERVE(&data->ctx, data->blobs, data->blob_capacity, data->n_blobs + 1))
        return ln__fail_nomem(err, &data->ctx, (data->n_blobs + 1) * sizeof *data->blobs);
    st = ln__blob_open(&data->blobs[data->n_blobs], &data->ctx, path, err);
    if (st < 0)
        return st;
    data->blobs[data->n_blobs].identity = ln__file_identity(path);
    *index = (uint32_t)data->n_blobs++;
    return LN_OK;
}

ln_status ln__data_set_classes(ln_data *data, const char *const *names, uint32_t classes, ln_error *err)
{
    data->classes = classes;
    if (!names)
        return LN_OK;
    data->class_names = ln__arena_calloc(&data->arena, classes, sizeof *data->class_names);
    if (!data->class_names)
        return ln__fail_nomem(err, &data->ctx, classes * sizeof *data->class_names);
    for (uint32_t i = 0; i < classes; i++) {
        if (!names[i])
            return ln__fail(err, LN_E_ARGUMENT, "%s: the name of class %u is NULL", data->source, i);
        data->class_names[i] = ln__data_text(data, err, "%s", names[i]);
        if (!data->class_names[i])
            return LN_E_NOMEM;
    }
    return LN_OK;
}

size_t ln__data_rows(const ln_data *data)
{
    return data->count;
}

uint32_t ln__data_class_count(const ln_data *data)
{
    return data->classes;
}

const char *ln__data_class_name(const ln_data *data, uint32_t i)
{
    return data->class_names && i < data->classes ? data->class_names[i] : "";
}

const char *ln__data_row_name(const ln_data *data, size_t row)
{
    return data->rows && row < data->count ? data->rows[row].name : "";
}

int32_t ln__data_label(const ln_data *data, size_t row)
{
    if (row >= data->count)
        return -1;
    if (data->rows)
        return data->rows[row].label;
    return data->arrays.labels ? data->arrays.labels[row] : -1;
}

const uint32_t *ln__data_class_map(const ln_data *data, bool *all)
{
    *all = data->map_all;
    return data->class_map;
}

const char *ln__data_skipped(const ln_data *data, size_t i)
{
    ln_data *locked = (ln_data *)data;      /* the list grows while rows are read */
    const char *text;

    pthread_mutex_lock(&locked->lock);
    text = i < data->n_skipped ? data->skipped[i] : NULL;
    pthread_mutex_unlock(&locked->lock);
    return text;
}

ln_status ln__data_skip(ln_data *data, size_t row, const char *reason, ln_error *err)
{
    ln_status st = LN_OK;

    pthread_mutex_lock(&data->lock);
    if (!data->is_skipped[row]) {
        char *text = ln__strdup(&data->ctx, reason);
        if (text && LN__RESERVE(&data->ctx, data->skipped, data->skipped_capacity, data->n_skipped + 1)) {
            data->skipped[data->n_skipped++] = text;
            data->is_skipped[row] = 1;
        } else {
            ln__free(&data->ctx, text);
            st = ln__fail_nomem(err, &data->ctx, strlen(reason) + 1);
        }
    }
    pthread_mutex_unlock(&data->lock);
    return st;
}

ln_status ln__blob_picture(const ln_data *data, size_t row, const ln__decode_limits *limits,
                           ln__picture *out, ln_error *err)
{
    const ln__row *r = &data->rows[row];

    return ln__picture_decode(out, &data->ctx, data->blobs[r->blob].bytes + r->at, (size_t)r->size, limits,
                              r->name, err);
}
