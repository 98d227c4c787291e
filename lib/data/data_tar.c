/* data_tar.c - class folders in a tar archive: ustar, GNU long names, pax
 * paths and sizes. Indexed once; the pictures are decoded where they lie. */
#include "data/data_private.h"

#include <string.h>

#define BLOCK 512
#define MAX_NAME 4096

typedef struct archive {
    ln_data *data;
    const char *path;
    const uint8_t *bytes;
    size_t size, at;
    uint32_t blob;
    char name[MAX_NAME];        /* of the next entry, where a header before it says so */
    bool has_name, has_size;
    uint64_t next_size;
} archive;

static ln_status damaged(const archive *a, const char *what, ln_error *err)
{
    return ln__fail(err, LN_E_FORMAT, "%s: tar: %s at byte %zu", a->path, what, a->at);
}

/* Octal with spaces around, or GNU's big-endian binary with the top bit set. */
static bool read_number(const uint8_t *field, size_t length, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;

    if (field[0] == 0x80) {
        for (i = 1; i < length; i++) {
            if (value >> 56)
                return false;
            value = value << 8 | field[i];
        }
        *out = value;
        return true;
    }
    while (i < length && field[i] == ' ')
        i++;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');    /* 12 digits at most */
    for (; i < length; i++) {
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    }
    *out = value;
    return true;
}

static bool checksum_holds(const uint8_t *header)
{
    uint64_t said, sum = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return read_number(header + 148, 8, &said) && said == sum;
}

static bool is_zero(const uint8_t *block)
{
    for (size_t i = 0; i < BLOCK; i++) {
        if (block[i] != 0)
            return false;
    }
    return true;
}

/* The records of a pax header: "LENGTH KEY=VALUE\n". */
static ln_status read_pax(archive *a, const uint8_t *text, size_t size, ln_error *err)
{
    size_t at = 0;

    while (at < size) {
        size_t start = at, length = 0, value;
        const uint8_t *equals;
        char number[24];
        while (at < size && text[at] >= '0' && text[at] <= '9' && length <= size)
            length = length * 10 + (size_t)(text[at++] - '0');
        if (at == size || text[at] != ' ' || length > size - start || length <= at + 1 - start ||
            text[start + length - 1] != '\n')
            return damaged(a, "a damaged pax record", err);
        at++;
        equals = memchr(text + at, '=', start + length - 1 - at);
        if (!equals)
            return damaged(a, "a pax record without '='", err);
        value = start + length - 1 - (size_t)(equals + 1 - text);
        if (equals - (text + at) == 4 && memcmp(text + at, "path", 4) == 0) {
            if (value >= MAX_NAME || memchr(equals + 1, '\0', value))
                return damaged(a, "a pax path that is too long or holds a zero byte", err);
            memcpy(a->name, equals + 1, value);
            a->name[value] = '\0';
            a->has_name = true;
        } else if (equals - (text + at) == 4 && memcmp(text + at, "size", 4) == 0) {
            memset(number, 0, sizeof number);
            memcpy(number, equals + 1, LN__MIN(value, sizeof number - 1));
            if (!ln__parse_uint(number, &a->next_size))
                return damaged(a, "a pax size that is not a number", err);
            a->has_size = true;
        }
        at = start + length;
    }
    return LN_OK;
}

static void ustar_name(archive *a, const uint8_t *header)
{
    size_t prefix = 0;

    if (memcmp(header + 257, "ustar\0", 6) == 0 && header[345] != '\0') {
        prefix = strnlen((const char *)header + 345, 155);
        memcpy(a->name, header + 345, prefix);
        a->name[prefix++] = '/';
    }
    memcpy(a->name + prefix, header, 100);
    a->name[prefix + 100] = '\0';
}

/* "./a//b" as "a/b"; in place. */
static void tidy(char *name)
{
    char *to = name;

    for (const char *from = name; *from != '\0';) {
        bool starts = to == name || to[-1] == '/';
        if (starts && *from == '/')
            from++;
        else if (starts && from[0] == '.' && from[1] == '/')
            from += 2;
        else
            *to++ = *from++;
    }
    *to = '\0';
}

static bool is_hidden(const char *name)
{
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (*at == '.')
            return true;
    }
    return false;
}

/* key is the whole name until the class folders are known. */
static ln_status add_entry(archive *a, uint8_t type, uint64_t size, ln_error *err)
{
    ln__row row = { .at = a->at, .size = size, .blob = a->blob };

    tidy(a->name);
    if (!ln__is_picture_name(a->name) || is_hidden(a->name))
        return LN_OK;
    if (type == '1' || type == '2')
        return ln__fail(err, LN_E_UNSUPPORTED, "%s/%s: is a link; pack the archive with --dereference --hard-dereference",
                        a->path, a->name);
    if (type != '0' && type != '\0' && type != '7')
        return LN_OK;
    row.name = ln__data_text(a->data, err, "%s/%s", a->path, a->name);
    if (!row.name)
        return LN_E_NOMEM;
    row.key = row.name + strlen(a->path) + 1;
    return ln__data_add_row(a->data, &row, err);
}

/* One header whose data begin at a->at: a name for the next entry, or an entry. */
static ln_status read_entry(archive *a, const uint8_t *header, uint64_t size, ln_error *err)
{
    const uint8_t *body = a->bytes + a->at;
    uint8_t type = header[156];
    ln_status st;

    switch (type) {
    case 'x':
        return read_pax(a, body, (size_t)size, err);
    case 'L':
        if (size == 0 || size > MAX_NAME)
            return damaged(a, "a long name that is empty or too long", err);
        memcpy(a->name, body, (size_t)size);
        a->name[size - 1] = '\0';
        a->has_name = true;
        return LN_OK;
    case 'g': case 'K':
        return LN_OK;
    case 'S':
        return ln__fail(err, LN_E_UNSUPPORTED, "%s: tar: a sparse file at byte %zu; pack the archive without --sparse",
                        a->path, a->at);
    default:
        if (!a->has_name)
            ustar_name(a, header);
        st = add_entry(a, type, size, err);
        a->has_name = a->has_size = false;
        return st;
    }
}

static ln_status read_entries(archive *a, ln_error *err)
{
    for (;;) {
        const uint8_t *header = a->bytes + a->at;
        uint64_t size, padded;
        bool names_next;
        ln_status st;
        if (a->size - a->at < BLOCK)
            return damaged(a, "the archive ends without its end mark", err);
        if (is_zero(header))
            return LN_OK;
        if (!checksum_holds(header) || !read_number(header + 124, 12, &size))
            return damaged(a, "a damaged header", err);
        a->at += BLOCK;
        names_next = memchr("xgLK", header[156], 4) != NULL;
        if (a->has_size && !names_next)
            size = a->next_size;
        if (memchr("123456", header[156], 6))       /* links, devices and folders have no data */
            size = 0;
        if (size > a->size - a->at)
            return damaged(a, "an entry longer than the archive", err);
        st = read_entry(a, header, size, err);
        if (st < 0)
            return st;
        padded = (size + BLOCK - 1) / BLOCK * BLOCK;
        a->at += (size_t)LN__MIN(padded, a->size - a->at);
    }
}

/* Whether every row lies in a sub-folder of the same one folder. */
static bool is_wrapped(const ln_data *data)
{
    const char *slash = data->count > 0 ? strchr(data->rows[0].key, '/') : NULL;
    size_t length;

    if (!slash)
        return false;
    length = (size_t)(slash - data->rows[0].key) + 1;
    for (size_t i = 0; i < data->count; i++) {
        const char *key = data->rows[i].key;
        if (strncmp(key, data->rows[0].key, length) != 0 || !strchr(key + length, '/'))
            return false;
    }
    return true;
}

static ln_status split_names(ln_data *data, ln_error *err)
{
    bool wrapped = is_wrapped(data);

    for (size_t i = 0; i < data->count; i++) {
        ln__row *row = &data->rows[i];
        const char *class = wrapped ? strchr(row->key, '/') + 1 : row->key, *slash = strchr(class, '/');
        if (!slash)
            return ln__fail(err, LN_E_FORMAT, "%s: is not in a class folder", row->name);
        row->folder = ln__arena_strndup(&data->arena, class, (size_t)(slash - class));
        if (!row->folder)
            return ln__fail_nomem(err, &data->ctx, (size_t)(slash - class) + 1);
        row->key = slash + 1;
    }
    return LN_OK;
}

ln_status ln__tar_index(ln_data *data, uint32_t blob, const char *path, ln_error *err)
{
    archive a = { .data = data, .path = path, .blob = blob };
    ln_status st;

    a.bytes = data->blobs[blob].bytes;
    a.size = data->blobs[blob].size;
    data->picture = ln__blob_picture;
    st = read_entries(&a, err);
    if (st == LN_OK)
        st = split_names(data, err);
    return st < 0 ? st : ln__data_number_folders(data, err);
}

ln_status ln__tar_open(ln_data *data, const char *path, ln_error *err)
{
    uint32_t blob;
    ln_status st = ln__data_add_blob(data, path, &blob, err);

    return st < 0 ? st : ln__tar_index(data, blob, path, err);
}
