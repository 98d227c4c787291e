/* data_idx.c - the IDX files of the MNIST family: images and, beside them,
 * labels. */
#include "data/data_private.h"

#include <string.h>
#include <unistd.h>

#define IMAGE_HEADER 16
#define LABEL_HEADER 8
#define MAX_SIDE 65536u

static uint32_t read_be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static ln_status check_images(const ln__blob *images, const char *path, ln_error *err)
{
    static const uint8_t mark[4] = { 0, 0, 8, 3 };
    uint64_t rows, height, width;

    if (images->size < IMAGE_HEADER || memcmp(images->bytes, mark, sizeof mark) != 0)
        return ln__fail(err, LN_E_FORMAT,
                        "%s: neither an IDX image file (bytes 00 00 08 03), a .tar archive, a .bin batch nor a folder",
                        path);
    rows = read_be32(images->bytes + 4);
    height = read_be32(images->bytes + 8);
    width = read_be32(images->bytes + 12);
    if (height == 0 || width == 0 || height > MAX_SIDE || width > MAX_SIDE)
        return ln__fail(err, LN_E_FORMAT, "%s: IDX: pictures of %llu x %llu pixels; each side can be 1 to %u", path,
                        (unsigned long long)height, (unsigned long long)width, MAX_SIDE);
    if (rows != (images->size - IMAGE_HEADER) / (height * width) || (images->size - IMAGE_HEADER) % (height * width) != 0)
        return ln__fail(err, LN_E_FORMAT, "%s: IDX: says %llu pictures of %llu x %llu, but holds %zu bytes of them",
                        path, (unsigned long long)rows, (unsigned long long)height, (unsigned long long)width,
                        images->size - IMAGE_HEADER);
    return LN_OK;
}

static ln_status check_labels(const ln__blob *labels, uint32_t rows, const char *path, ln_error *err)
{
    static const uint8_t mark[4] = { 0, 0, 8, 1 };

    if (labels->size < LABEL_HEADER || memcmp(labels->bytes, mark, sizeof mark) != 0)
        return ln__fail(err, LN_E_FORMAT, "%s: not an IDX label file (bytes 00 00 08 01)", path);
    if (read_be32(labels->bytes + 4) != labels->size - LABEL_HEADER)
        return ln__fail(err, LN_E_FORMAT, "%s: IDX: says %u labels, but holds %zu bytes of them", path,
                        read_be32(labels->bytes + 4), labels->size - LABEL_HEADER);
    if (read_be32(labels->bytes + 4) != rows)
        return ln__fail(err, LN_E_MISMATCH, "%s: %u labels for %u pictures", path,
                        read_be32(labels->bytes + 4), rows);
    return LN_OK;
}

static ln_status idx_picture(const ln_data *data, size_t row, const ln__decode_limits *limits,
                             ln__picture *out, ln_error *err)
{
    const ln__row *r = &data->rows[row];

    if (limits->max_pixels != 0 && r->size > limits->max_pixels)
        return ln__fail(err, LN_E_LIMIT, "%s: %llu pixels, the limit is %llu pixels", r->name,
                        (unsigned long long)r->size, (unsigned long long)limits->max_pixels);
    *out = (ln__picture){ data->width, data->height, 1, data->blobs[0].bytes + r->at, NULL };
    return LN_OK;
}

ln_status ln__idx_index(ln_data *data, const ln__blob *labels, const char *path, const char *label_path,
                        ln_error *err)
{
    const ln__blob *images = &data->blobs[0];
    ln_status st = check_images(images, path, err);
    uint32_t rows, classes = 0;

    if (st < 0)
        return st;
    rows = read_be32(images->bytes + 4);
    st = check_labels(labels, rows, label_path, err);
    if (st < 0)
        return st;
    data->height = read_be32(images->bytes + 8);
    data->width = read_be32(images->bytes + 12);
    data->picture = idx_picture;
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t size = (uint64_t)data->height * data->width;
        ln__row row = { .at = IMAGE_HEADER + i * size, .size = size, .label = labels->bytes[LABEL_HEADER + i] };
        row.name = ln__data_text(data, err, "%s#%u", path, i);
        if (!row.name)
            return LN_E_NOMEM;
        st = ln__data_add_row(data, &row, err);
        if (st < 0)
            return st;
        classes = LN__MAX(classes, (uint32_t)row.label + 1);
    }
    st = ln__data_set_classes(data, NULL, classes, err);
    return st < 0 ? st : ln__class_map_numbers(data, err);
}

/* "x-images-idx3-ubyte.gz" -> "x-labels-idx1-ubyte.gz", with or without the
 * .gz, whichever there is. NULL where the name is not of that kind. */
static const char *find_labels(ln_data *data, const char *path, ln_error *err)
{
    static const char from[] = "images-idx3", from_dot[] = "images.idx3";
    const char *file = strrchr(path, '/'), *at, *twin;
    size_t length;
    char *mark;

    file = file ? file + 1 : path;
    at = strstr(file, from);
    at = at ? at : strstr(file, from_dot);
    if (!at) {
        ln__fail(err, LN_E_ARGUMENT, "%s: the name has no 'images-idx3' from which to find its label file", path);
        return NULL;
    }
    twin = ln__data_text(data, err, "%.*slabels%cidx1%s", (int)(at - path), path, at[6], at + sizeof from - 1);
    if (!twin || access(twin, F_OK) == 0)
        return twin;
    length = strlen(twin);
    if (length <= 3 || strcmp(twin + length - 3, ".gz") != 0)
        return ln__data_text(data, err, "%s.gz", twin);
    mark = ln__arena_strndup(&data->arena, twin, length - 3);
    if (!mark)
        ln__fail_nomem(err, &data->ctx, length);
    return mark && access(mark, F_OK) == 0 ? mark : twin;
}

ln_status ln__idx_open(ln_data *data, const char *path, ln_error *err)
{
    const char *label_path;
    uint32_t blob;
    ln__blob labels;
    ln_error found = { 0 };
    ln_status st = ln__data_add_blob(data, path, &blob, err);

    if (st == LN_OK)
        st = check_images(&data->blobs[blob], path, err);
    if (st < 0)
        return st;
    label_path = find_labels(data, path, &found);
    if (!label_path) {
        if (err)
            *err = found;
        return found.status;
    }
    st = ln__blob_open(&labels, &data->ctx, label_path, err);
    if (st < 0)
        return ln__fail_prefix(err, st, "%s: its label file", path);
    st = ln__idx_index(data, &labels, path, label_path, err);
    ln__blob_close(&labels, &data->ctx);
    return st;
}
