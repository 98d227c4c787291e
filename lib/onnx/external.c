/* external.c - tensor bytes in files beside the model. */
#define _XOPEN_SOURCE 700     /* realpath */
#include "onnx/parsed.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A location is a path inside the model's folder: not absolute, no "..". */
static bool stays_inside(const char *location)
{
    const char *part = location;

    if (location[0] == '\0' || location[0] == '/')
        return false;
    while (part != NULL) {
        const char *slash = strchr(part, '/');
        size_t length = slash == NULL ? strlen(part) : (size_t)(slash - part);
        if (length == 2 && part[0] == '.' && part[1] == '.')
            return false;
        part = slash == NULL ? NULL : slash + 1;
    }
    return true;
}

/* The model's folder, links resolved, without a slash at its end ("" for the root). */
static ln_status real_folder(char out[PATH_MAX], const ln__onnx *onnx, ln_error *err)
{
    const char *slash = strrchr(onnx->path, '/');
    size_t length = slash == NULL ? 0 : LN__MAX((size_t)(slash - onnx->path), 1);
    char folder[PATH_MAX];

    if (length >= sizeof folder)
        return ln__onnx_fail(err, LN_E_IO, onnx, "its path is too long");
    memcpy(folder, slash == NULL ? "." : onnx->path, slash == NULL ? 1 : length);
    folder[slash == NULL ? 1 : length] = '\0';
    if (realpath(folder, out) == NULL)
        return ln__onnx_fail(err, LN_E_IO, onnx, "its folder cannot be found");
    if (strcmp(out, "/") == 0)
        out[0] = '\0';
    return LN_OK;
}

/* Links that lead out of the folder are refused like "..": the file that is
 * opened is the one that was checked. */
static ln_status resolve(char out[PATH_MAX], const ln__onnx *onnx, const char *owner, const char *location, ln_error *err)
{
    char folder[PATH_MAX], joined[PATH_MAX];
    ln_status st = real_folder(folder, onnx, err);
    size_t length, more = strlen(location);

    if (st < 0)
        return st;
    length = strlen(folder);
    if (length + 1 + more >= sizeof joined)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s: the location of its data is too long", owner);
    memcpy(joined, folder, length);
    joined[length] = '/';
    memcpy(joined + length + 1, location, more + 1);
    if (realpath(joined, out) == NULL)
        return ln__onnx_fail(err, LN_E_IO, onnx, "%s: the file '" LN__CUT "' with its data %s", owner,
                             location, errno == ENOENT ? "does not exist" : "cannot be read");
    if (strncmp(out, folder, length) != 0 || out[length] != '/')
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s: its data '" LN__CUT "' is a link out of the model's folder",
                             owner, location);
    return LN_OK;
}

/* A file is mapped once, however it is spelled: "/device/inode" is no location. */
static ln_status identify(const char **key, ln__onnx *onnx, const char *path, ln_error *err)
{
    struct stat info;
    char text[64];

    if (stat(path, &info) != 0)
        return ln__fail_prefix(err, ln__fail_errno(err, LN_E_IO, errno, "%s", path), "%.120s", onnx->label);
    snprintf(text, sizeof text, "/%llx/%llx", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
    *key = ln__arena_strndup(&onnx->arena, text, strlen(text));
    return *key == NULL ? ln__onnx_nomem(err, onnx) : LN_OK;
}

static ln_status add_file(int64_t *index, ln__onnx *onnx, const char *owner, const char *path, const char *key, ln_error *err)
{
    ln_status st;

    if (!LN__RESERVE(&onnx->ctx, onnx->externals, onnx->externals_capacity, onnx->n_externals + 1))
        return ln__onnx_nomem(err, onnx);
    st = ln__file_map(&onnx->externals[onnx->n_externals], path, onnx->max_external_bytes, err);
    if (st < 0)
        return ln__fail_prefix(err, st, "%.120s: %s", onnx->label, owner);
    *index = (int64_t)onnx->n_externals++;
    ln__onnx_room(&onnx->arena, onnx->externals[*index].size, LN__ROOM_PER_EXTERNAL_BYTE);
    return ln__map_put(&onnx->external_of, key, *index) ? LN_OK : ln__onnx_nomem(err, onnx);
}

static ln_status find_file(int64_t *index, ln__onnx *onnx, const char *owner, const char *location, ln_error *err)
{
    int saved = errno;
    char path[PATH_MAX];
    const char *key;
    ln_status st;

    *index = ln__map_get(&onnx->external_of, location);
    if (*index >= 0)
        return LN_OK;
    st = resolve(path, onnx, owner, location, err);
    if (st == LN_OK)
        st = identify(&key, onnx, path, err);
    if (st == LN_OK && (*index = ln__map_get(&onnx->external_of, key)) < 0)
        st = add_file(index, onnx, owner, path, key, err);
    errno = saved;
    if (st < 0)
        return st;
    return ln__map_put(&onnx->external_of, location, *index) ? LN_OK : ln__onnx_nomem(err, onnx);
}

ln_status ln__external_open(const uint8_t **out, ln__onnx *onnx, const char *owner, const char *location,
                            uint64_t offset, uint64_t length, ln_error *err)
{
    const ln__file *file;
    int64_t index;
    ln_status st;

    if (location == NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s: external data without a location", owner);
    if (onnx->path[0] == '\0')
        return ln__onnx_fail(err, LN_E_UNSUPPORTED, onnx, "%s lies in another file, '" LN__CUT
                             "'; load the model from its file", owner, location);
    if (!stays_inside(location))
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s: its data '" LN__CUT "' is not a path inside the model's folder",
                             owner, location);
    st = find_file(&index, onnx, owner, location, err);
    if (st < 0)
        return st;
    file = &onnx->externals[index];
    if (offset > file->size || length > file->size - offset)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s: needs bytes %llu to %llu of '" LN__CUT "', which has %zu", owner,
                             (unsigned long long)offset, (unsigned long long)(offset + length), location, file->size);
    *out = file->data + offset;
    return LN_OK;
}
