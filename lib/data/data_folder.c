/* data_folder.c - class folders on disk, and their rows' order and numbers. */
#include "data/data_private.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_DEPTH 64

bool ln__is_picture_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && dot != name &&
           (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

/* ---- Order and numbers ---------------------------------------------------------- */

static int compare(const ln__row *a, const ln__row *b)
{
    int by_folder = strcmp(a->folder, b->folder);

    return by_folder != 0 ? by_folder : strcmp(a->key, b->key);
}

/* Heap sort: in place (qsort may take memory of its own), never quadratic. */
static void sift(ln__row *rows, size_t at, size_t count)
{
    ln__row row = rows[at];

    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare(&rows[child], &rows[child + 1]) < 0)
            child++;
        if (compare(&row, &rows[child]) >= 0)
            break;
        rows[at] = rows[child];
    }
    rows[at] = row;
}

static void sort_rows(ln__row *rows, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(rows, i, count);
    for (size_t end = count; end-- > 1;) {
        ln__row largest = rows[0];
        rows[0] = rows[end];
        rows[end] = largest;
        sift(rows, 0, end);
    }
}

/* The classes are the folders there are. */
static ln_status take_folders(ln_data *data, ln_error *err)
{
    uint32_t classes = 0;

    for (size_t i = 0; i < data->count; i++)
        classes += i == 0 || strcmp(data->rows[i].folder, data->rows[i - 1].folder) != 0;
    data->class_names = ln__arena_calloc(&data->arena, classes, sizeof *data->class_names);
    if (!data->class_names)
        return ln__fail_nomem(err, &data->ctx, classes * sizeof *data->class_names);
    for (size_t i = 0; i < data->count; i++) {
        if (i == 0 || strcmp(data->rows[i].folder, data->rows[i - 1].folder) != 0)
            data->class_names[data->classes++] = data->rows[i].folder;
    }
    return LN_OK;
}

ln_status ln__data_number_folders(ln_data *data, ln_error *err)
{
    uint32_t label = 0;
    ln_status st;

    if (data->count == 0)
        return ln__fail(err, LN_E_ARGUMENT, "%s: no pictures (.png, .jpg, .jpeg) in class folders", data->source);
    sort_rows(data->rows, data->count);
    st = data->options.class_map ? ln__class_map_folders(data, err) : take_folders(data, err);
    if (st < 0)
        return st;
    for (size_t i = 0; i < data->count; i++) {
        ln__row *row = &data->rows[i];
        if (i > 0 && compare(row - 1, row) == 0)
            return ln__fail(err, LN_E_FORMAT, "%s: is there twice", row->name);
        while (label < data->classes && strcmp(data->class_names[label], row->folder) < 0)
            label++;
        if (label == data->classes || strcmp(data->class_names[label], row->folder) != 0)
            return ln__fail(err, LN_E_MISMATCH, "%s: the class map has no line for folder '%s'", row->name,
                            row->folder);
        row->label = (int32_t)label;
    }
    return LN_OK;
}

/* ---- Reading folders --------------------------------------------------------------- */

typedef struct walk {
    ln_data *data;
    ln__arena scratch;          /* what is not needed once the rows are known */
    ln__map visited;            /* folders by device and inode: each is read once, so links cannot loop */
    const char *folder;         /* the class being read */
    size_t prefix;              /* length of "source/class/" */
} walk;

typedef struct names { const char **items; size_t count, capacity; } names;

/* Marks a folder as read; *fresh says whether it was not before. */
static ln_status visit(walk *w, const struct stat *info, bool *fresh, ln_error *err)
{
    char text[64];
    const char *key;

    snprintf(text, sizeof text, "%llx:%llx", (unsigned long long)info->st_dev, (unsigned long long)info->st_ino);
    *fresh = ln__map_get(&w->visited, text) < 0;
    if (!*fresh)
        return LN_OK;
    key = ln__arena_strndup(&w->scratch, text, strlen(text));
    if (!key || !ln__map_put(&w->visited, key, 1))
        return ln__fail_nomem(err, &w->data->ctx, sizeof text);
    return LN_OK;
}

/* Names in a folder, hidden ones left out, in any order. */
static ln_status list(names *out, walk *w, const char *path, ln_error *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    ln_status st = LN_OK;

    memset(out, 0, sizeof *out);
    if (!dir)
        return ln__fail_errno(err, errno == ENOMEM ? LN_E_NOMEM : LN_E_IO, errno, "%s", path);
    while (st == LN_OK && (errno = 0, entry = readdir(dir))) {
        const char *name;
        if (entry->d_name[0] == '.')
            continue;
        name = ln__arena_strndup(&w->scratch, entry->d_name, strlen(entry->d_name));
        if (!name || !LN__RESERVE(&w->data->ctx, out->items, out->capacity, out->count + 1))
            st = ln__fail_nomem(err, &w->data->ctx, strlen(entry->d_name));
        else
            out->items[out->count++] = name;
    }
    if (st == LN_OK && errno != 0)
        st = ln__fail_errno(err, LN_E_IO, errno, "%s", path);
    closedir(dir);
    return st;
}

static ln_status read_folder(walk *w, const char *path, int depth, ln_error *err);

static ln_status read_name(walk *w, const char *path, const char *name, int depth, ln_error *err)
{
    const char *full = ln__data_text(w->data, err, "%s/%s", path, name);
    ln__row row = { 0 };
    struct stat info;
    bool fresh;
    ln_status st;

    if (!full)
        return LN_E_NOMEM;
    /* A link that leads nowhere stays in: it is found bad when it is read. */
    if (stat(full, &info) == 0 && S_ISDIR(info.st_mode)) {
        st = visit(w, &info, &fresh, err);
        return st < 0 || !fresh ? st : read_folder(w, full, depth + 1, err);
    }
    if (!ln__is_picture_name(name))
        return LN_OK;
    row.name = full;
    row.folder = w->folder;
    row.key = full + w->prefix;
    return ln__data_add_row(w->data, &row, err);
}

static ln_status read_folder(walk *w, const char *path, int depth, ln_error *err)
{
    names found;
    ln_status st;

    if (depth > MAX_DEPTH)
        return ln__fail(err, LN_E_LIMIT, "%s: folders are nested more than %d deep", path, MAX_DEPTH);
    st = list(&found, w, path, err);
    for (size_t i = 0; st == LN_OK && i < found.count; i++)
        st = read_name(w, path, found.items[i], depth, err);
    ln__free(&w->data->ctx, found.items);
    return st;
}

static ln_status read_class(walk *w, const char *root, const char *name, ln_error *err)
{
    const char *path = ln__data_text(w->data, err, "%s/%s", root, name);
    size_t before = w->data->count;
    ln_status st;

    if (!path)
        return LN_E_NOMEM;
    w->folder = path + strlen(root) + 1;
    w->prefix = strlen(path) + 1;
    st = read_folder(w, path, 1, err);
    if (st == LN_OK && w->data->count == before)
        st = ln__fail(err, LN_E_ARGUMENT, "%s: a class folder without pictures (.png, .jpg, .jpeg)", path);
    return st;
}

/* Sorts what the root holds into class folders (kept in `found`) and .bin files. */
static ln_status sort_root(walk *w, const char *root, names *found, names *bins, ln_error *err)
{
    size_t folders = 0;

    for (size_t i = 0; i < found->count; i++) {
        const char *name = found->items[i], *full = ln__data_text(w->data, err, "%s/%s", root, name);
        size_t length = strlen(name);
        struct stat info;
        bool fresh;
        ln_status st;
        if (!full)
            return LN_E_NOMEM;
        if (stat(full, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode)) {
            st = visit(w, &info, &fresh, err);
            if (st < 0)
                return st;
            if (!fresh)
                return ln__fail(err, LN_E_FORMAT, "%s: is the same folder as another class, or holds itself", full);
            found->items[folders++] = name;
        } else if (length > 4 && strcmp(name + length - 4, ".bin") == 0) {
            if (!LN__RESERVE(&w->data->ctx, bins->items, bins->capacity, bins->count + 1))
                return ln__fail_nomem(err, &w->data->ctx, sizeof *bins->items);
            bins->items[bins->count++] = full;
        }
    }
    found->count = folders;
    return LN_OK;
}

static void sort_names(names *n)
{
    for (size_t i = 1; i < n->count; i++) {
        const char *name = n->items[i];
        size_t at = i;
        for (; at > 0 && strcmp(n->items[at - 1], name) > 0; at--)
            n->items[at] = n->items[at - 1];
        n->items[at] = name;
    }
}

static ln_status read_root(walk *w, const char *root, ln_error *err)
{
    names found = { 0 }, bins = { 0 };
    struct stat info;
    bool fresh;
    ln_status st;

    if (stat(root, &info) != 0)
        return ln__fail_errno(err, LN_E_IO, errno, "%s", root);
    st = visit(w, &info, &fresh, err);
    if (st == LN_OK)
        st = list(&found, w, root, err);
    if (st == LN_OK)
        st = sort_root(w, root, &found, &bins, err);
    for (size_t i = 0; st == LN_OK && i < found.count; i++)
        st = read_class(w, root, found.items[i], err);
    if (st == LN_OK && found.count == 0 && bins.count > 0) {
        sort_names(&bins);
        st = ln__cifar_open(w->data, root, bins.items, bins.count, err);
    } else if (st == LN_OK && found.count == 0) {
        st = ln__fail(err, LN_E_ARGUMENT, "%s: holds neither class folders nor CIFAR batches (.bin)", root);
    } else if (st == LN_OK) {
        st = ln__data_number_folders(w->data, err);
    }
    ln__free(&w->data->ctx, found.items);
    ln__free(&w->data->ctx, bins.items);
    return st;
}

static ln_status folder_picture(const ln_data *data, size_t row, const ln__decode_limits *limits,
                                ln__picture *out, ln_error *err)
{
    return ln__picture_load(out, &data->ctx, data->rows[row].name, limits, err);
}

ln_status ln__folder_open(ln_data *data, const char *path, ln_error *err)
{
    walk w = { .data = data };
    size_t length = strlen(path);
    ln_status st;

    while (length > 1 && path[length - 1] == '/')
        length--;
    ln__arena_init(&w.scratch, &data->ctx, 0);
    ln__map_init(&w.visited, &w.scratch);
    data->picture = folder_picture;
    path = ln__arena_strndup(&w.scratch, path, length);
    st = path ? read_root(&w, path, err) : ln__fail_nomem(err, &data->ctx, length);
    ln__arena_free(&w.scratch);
    return st;
}
