/* data_map.c - the class map: which network class each class of the data is. */
#include "data/data_private.h"

#include <string.h>

#define MAX_MAP_BYTES ((uint64_t)16 << 20)

typedef struct entry { const char *folder; uint32_t network_class; } entry;
typedef struct map { const char *path; entry *entries; size_t count, capacity; } map;

/* One line: folder, tab, network class, and what follows another tab. */
static ln_status parse_line(map *m, ln_data *data, const char *line, size_t length, size_t number, ln_error *err)
{
    const char *tab, *value, *end;
    uint64_t network_class;
    char digits[16] = { 0 };
    entry e;

    if (length > 0 && line[length - 1] == '\r')
        length--;
    if (length == 0 || line[0] == '#')
        return LN_OK;
    tab = memchr(line, '\t', length);
    value = tab ? tab + 1 : line + length;
    end = memchr(value, '\t', (size_t)(line + length - value));
    end = end ? end : line + length;
    if (tab && (size_t)(end - value) < sizeof digits)
        memcpy(digits, value, (size_t)(end - value));
    if (!tab || tab == line || !ln__parse_uint(digits, &network_class) || network_class > INT32_MAX)
        return ln__fail(err, LN_E_FORMAT, "%s:%zu: expected a folder, a tab and a class number", m->path, number);
    e.folder = ln__arena_strndup(&data->arena, line, (size_t)(tab - line));
    e.network_class = (uint32_t)network_class;
    if (!e.folder || !LN__RESERVE(&data->ctx, m->entries, m->capacity, m->count + 1))
        return ln__fail_nomem(err, &data->ctx, length);
    m->entries[m->count++] = e;
    return LN_OK;
}

static ln_status parse_map(map *m, ln_data *data, const ln__file *file, ln_error *err)
{
    const char *at = (const char *)file->data, *end = at + file->size;
    ln_status st = LN_OK;

    for (size_t number = 1; st == LN_OK && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (memchr(at, '\0', (size_t)(stop - at)))
            return ln__fail(err, LN_E_FORMAT, "%s:%zu: a zero byte; this is not a text file", m->path, number);
        st = parse_line(m, data, at, (size_t)(stop - at), number, err);
        at = stop + (stop < end);
    }
    if (st == LN_OK && m->count == 0)
        st = ln__fail(err, LN_E_FORMAT, "%s: a class map without lines", m->path);
    return st;
}

/* Insertion by halving keeps this short; class maps have some thousand lines. */
static void sort_map(map *m)
{
    for (size_t i = 1; i < m->count; i++) {
        entry e = m->entries[i];
        size_t low = 0, high = i;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (strcmp(m->entries[middle].folder, e.folder) <= 0)
                low = middle + 1;
            else
                high = middle;
        }
        memmove(m->entries + low + 1, m->entries + low, (i - low) * sizeof e);
        m->entries[low] = e;
    }
}

static ln_status check_twice(const map *m, ln_data *data, ln_error *err)
{
    ln__map classes;
    ln__arena scratch;
    ln_status st = LN_OK;

    ln__arena_init(&scratch, &data->ctx, 0);
    ln__map_init(&classes, &scratch);
    for (size_t i = 0; st == LN_OK && i < m->count; i++) {
        char key[16];
        const char *kept;
        snprintf(key, sizeof key, "%u", m->entries[i].network_class);
        if (i > 0 && strcmp(m->entries[i].folder, m->entries[i - 1].folder) == 0)
            st = ln__fail(err, LN_E_FORMAT, "%s: '%s' has two lines", m->path, m->entries[i].folder);
        else if (ln__map_get(&classes, key) >= 0)
            st = ln__fail(err, LN_E_FORMAT, "%s: '%s' and '%s' are both class %s", m->path,
                          m->entries[ln__map_get(&classes, key)].folder, m->entries[i].folder, key);
        else if (!(kept = ln__arena_strndup(&scratch, key, strlen(key))) || !ln__map_put(&classes, kept, (int64_t)i))
            st = ln__fail_nomem(err, &data->ctx, sizeof key);
    }
    ln__arena_free(&scratch);
    return st;
}

static ln_status read_map(map *m, ln_data *data, ln_error *err)
{
    static const char all[] = ":all";
    const char *given = data->options.class_map;
    size_t length = strlen(given);
    ln__file file;
    ln_status st;

    memset(m, 0, sizeof *m);
    data->map_all = length >= sizeof all && strcmp(given + length - (sizeof all - 1), all) == 0;
    m->path = ln__arena_strndup(&data->arena, given, data->map_all ? length - (sizeof all - 1) : length);
    if (!m->path)
        return ln__fail_nomem(err, &data->ctx, length);
    st = ln__file_map(&file, m->path, MAX_MAP_BYTES, err);
    if (st < 0)
        return st;
    st = parse_map(m, data, &file, err);
    ln__file_unmap(&file);
    if (st < 0)
        return st;
    sort_map(m);
    return check_twice(m, data, err);
}

static ln_status take_numbers(ln_data *data, size_t classes, ln_error *err)
{
    data->class_map = ln__arena_calloc(&data->arena, classes, sizeof *data->class_map);
    return data->class_map ? LN_OK : ln__fail_nomem(err, &data->ctx, classes * sizeof *data->class_map);
}

ln_status ln__class_map_folders(ln_data *data, ln_error *err)
{
    map m;
    ln_status st = read_map(&m, data, err);

    if (st == LN_OK)
        st = take_numbers(data, m.count, err);
    if (st == LN_OK) {
        data->class_names = ln__arena_calloc(&data->arena, m.count, sizeof *data->class_names);
        if (!data->class_names)
            st = ln__fail_nomem(err, &data->ctx, m.count * sizeof *data->class_names);
    }
    if (st == LN_OK) {
        data->classes = (uint32_t)m.count;
        for (size_t i = 0; i < m.count; i++) {
            data->class_names[i] = m.entries[i].folder;
            data->class_map[i] = m.entries[i].network_class;
        }
    }
    ln__free(&data->ctx, m.entries);
    return st;
}

static const entry *find(const map *m, const char *folder)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->entries[i].folder, folder) == 0)
            return &m->entries[i];
    }
    return NULL;
}

static ln_status match_numbers(ln_data *data, const map *m, ln_error *err)
{
    ln_status st;

    if (m->count != data->classes)
        return ln__fail(err, LN_E_MISMATCH, "%s: %zu classes, %s has %u", m->path, m->count, data->source,
                        data->classes);
    st = take_numbers(data, data->classes, err);
    for (uint32_t c = 0; st == LN_OK && c < data->classes; c++) {
        char number[16];
        const char *name = data->class_names ? data->class_names[c] : number;
        const entry *e;
        snprintf(number, sizeof number, "%u", c);
        e = find(m, name);
        if (e)
            data->class_map[c] = e->network_class;
        else
            st = ln__fail(err, LN_E_MISMATCH, "%s: no line for class '%s' of %s", m->path, name, data->source);
    }
    return st;
}

ln_status ln__class_map_numbers(ln_data *data, ln_error *err)
{
    map m;
    ln_status st;

    if (!data->options.class_map)
        return LN_OK;
    st = read_map(&m, data, err);
    if (st == LN_OK)
        st = match_numbers(data, &m, err);
    ln__free(&data->ctx, m.entries);
    return st;
}
