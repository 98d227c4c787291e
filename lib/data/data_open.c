/* data_open.c - from a source's text to the kind of source it names. */
#include "data/data_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);

    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static ln_status open_batch(ln_data *data, const char *path, ln_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? ln__data_text(data, err, "%.*s", (int)(slash - path + 1), path) : ".";

    return folder ? ln__cifar_open(data, folder, &path, 1, err) : LN_E_NOMEM;
}

static ln_status open_path(ln_data *data, const char *path, ln_error *err)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return ln__fail_errno(err, LN_E_IO, errno, "%s", path);
    if (S_ISDIR(info.st_mode))
        return ln__folder_open(data, path, err);
    if (ends_in(path, ".tar") || ends_in(path, ".tar.gz") || ends_in(path, ".tgz"))
        return ln__tar_open(data, path, err);
    if (ends_in(path, ".bin"))
        return open_batch(data, path, err);
    return ln__idx_open(data, path, err);
}

ln_status ln__data_open(ln_data **out, const char *source, const ln_data_options *options, ln_error *err)
{
    ln__parts parts;
    ln_data *data;
    char *path;
    int saved = errno;
    ln_status st = ln__data_new(&data, source, options, err);

    *out = NULL;
    if (st < 0)
        return st;
    path = ln__arena_strndup(&data->arena, source, strlen(source));
    st = path ? ln__parts_parse(&parts, path, err) : ln__fail_nomem(err, &data->ctx, strlen(source) + 1);
    if (st == LN_OK)
        st = open_path(data, path, err);
    if (st == LN_OK)
        st = ln__parts_apply(&parts, data, err);
    st = ln__data_finish(out, data, st, err);
    errno = saved;
    return st;
}
