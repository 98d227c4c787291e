/* data_cifar.c - CIFAR's binary batches: rows of one label byte (CIFAR-10) or
 * a coarse and a fine one (CIFAR-100), then 32 x 32 pixels plane by plane. */
#include "data/data_private.h"

#include <errno.h>
#include <string.h>

#define SIDE 32
#define PLANE (SIDE * SIDE)
#define ROW_10 (1 + 3 * PLANE)
#define ROW_100 (2 + 3 * PLANE)
#define MAX_NAMES_BYTES ((uint64_t)1 << 20)

static ln_status cifar_picture(const ln_data *data, size_t row, const ln__decode_limits *limits,
                               ln__picture *out, ln_error *err)
{
    const ln__row *r = &data->rows[row];
    const uint8_t *from = data->blobs[r->blob].bytes + r->at;
    uint8_t *pixels;

    if (limits->max_pixels != 0 && limits->max_pixels < PLANE)
        return ln__fail(err, LN_E_LIMIT, "%s: %d pixels, the limit is %llu pixels", r->name, PLANE,
                        (unsigned long long)limits->max_pixels);
    pixels = ln__alloc(&data->ctx, 3 * PLANE);
    if (!pixels)
        return ln__fail_nomem(err, &data->ctx, 3 * PLANE);
    for (size_t i = 0; i < PLANE; i++)
        for (size_t c = 0; c < 3; c++)
            pixels[i * 3 + c] = from[c * PLANE + i];
    *out = (ln__picture){ SIDE, SIDE, 3, pixels, pixels };
    return LN_OK;
}

/* The class names beside the batches: exactly `classes` lines. *found is false
 * where there is no such file. */
static ln_status read_names(ln_data *data, const char *folder, const char *name, uint32_t classes,
                            bool *found, ln_error *err)
{
    const char *path = ln__data_text(data, err, "%s/%s", folder, name), *at, *end;
    const char **names;
    ln__file file;
    uint32_t n = 0;
    ln_error local = { 0 };

    *found = false;
    if (!path)
        return LN_E_NOMEM;
    if (ln__file_map(&file, path, MAX_NAMES_BYTES, &local) < 0) {
        if (local.status == LN_E_IO && local.detail == ENOENT)
            return LN_OK;
        return ln__fail(err, local.status, "%s", local.text);
    }
    names = ln__arena_calloc(&data->arena, classes, sizeof *names);
    at = (const char *)file.data;
    end = at + file.size;
    while (names && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        size_t kept = length > 0 && at[length - 1] == '\r' ? length - 1 : length;
        if (kept > 0 && n < classes && !(names[n] = ln__arena_strndup(&data->arena, at, kept)))
            names = NULL;
        n += kept > 0;
        at += length + (stop != NULL);
    }
    ln__file_unmap(&file);
    if (!names)
        return ln__fail_nomem(err, &data->ctx, classes * sizeof *names);
    if (n != classes)
        return ln__fail(err, LN_E_FORMAT, "%s: %u class names, expected %u", path, n, classes);
    data->class_names = names;
    data->classes = classes;
    *found = true;
    return LN_OK;
}

/* Which of the two it is: by the names file, or else by what divides every
 * batch's size. */
static ln_status find_classes(ln_data *data, const char *folder, ln_error *err)
{
    bool named, is_10 = true, is_100 = true;
    ln_status st = read_names(data, folder, "fine_label_names.txt", 100, &named, err);

    if (st == LN_OK && !named)
        st = read_names(data, folder, "batches.meta.txt", 10, &named, err);
    if (st < 0 || named)
        return st;
    for (size_t i = 0; i < data->n_blobs; i++) {
        is_10 = is_10 && data->blobs[i].size % ROW_10 == 0;
        is_100 = is_100 && data->blobs[i].size % ROW_100 == 0;
    }
    if (is_10 == is_100)
        return ln__fail(err, LN_E_FORMAT, "%s: %s", data->source,
                        is_10 ? "may be CIFAR-10 or CIFAR-100; put batches.meta.txt or fine_label_names.txt beside it"
                              : "sizes are neither multiples of 3073 bytes (CIFAR-10) nor of 3074 (CIFAR-100)");
    data->classes = is_10 ? 10 : 100;
    return LN_OK;
}

static ln_status add_batch(ln_data *data, uint32_t blob, const char *path, ln_error *err)
{
    const ln__blob *b = &data->blobs[blob];
    size_t row_size = data->classes == 10 ? ROW_10 : ROW_100, labels = data->classes == 10 ? 1 : 2;
    ln_status st = LN_OK;

    if (b->size % row_size != 0)
        return ln__fail(err, LN_E_FORMAT, "%s: %zu bytes are not rows of %zu; the file is cut off or no CIFAR-%u batch",
                        path, b->size, row_size, data->classes);
    for (size_t i = 0; st == LN_OK && i < b->size / row_size; i++) {
        size_t start = i * row_size;
        ln__row row = { .at = start + labels, .size = 3 * PLANE, .blob = blob,
                        .label = b->bytes[start + labels - 1] };
        row.name = ln__data_text(data, err, "%s#%zu", path, i);
        if (!row.name)
            return LN_E_NOMEM;
        if ((uint32_t)row.label >= data->classes)
            return ln__fail(err, LN_E_FORMAT, "%s: label %d, expected 0 to %u", row.name, row.label,
                            data->classes - 1);
        st = ln__data_add_row(data, &row, err);
    }
    return st;
}

ln_status ln__cifar_open(ln_data *data, const char *folder, const char *const *paths, size_t count,
                         ln_error *err)
{
    ln_status st = LN_OK;
    uint32_t blob;

    data->picture = cifar_picture;
    for (size_t i = 0; st == LN_OK && i < count; i++) {
        st = ln__data_add_blob(data, paths[i], &blob, err);
        if (st == LN_OK && data->blobs[blob].size == 0)
            st = ln__fail(err, LN_E_FORMAT, "%s: is empty", paths[i]);
    }
    if (st == LN_OK)
        st = find_classes(data, folder, err);
    for (size_t i = 0; st == LN_OK && i < count; i++)
        st = add_batch(data, (uint32_t)i, paths[i], err);
    return st < 0 ? st : ln__class_map_numbers(data, err);
}
