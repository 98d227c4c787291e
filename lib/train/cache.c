/* cache.c - features kept in memory, or in a file when memory is not enough. */
#include "train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static ln_status map_file(ln__cache *out, const char *folder, size_t bytes, const ln__ctx *ctx, ln_error *err)
{
    ln__buffer path;
    ln_status st = LN_OK;

    ln__buffer_init(&path, ctx);
    ln__buffer_printf(&path, "%s/leenet-cache-XXXXXX", folder);
    ln__buffer_put(&path, "", 1);
    if (!path.ok) {
        ln__buffer_free(&path);
        return ln__fail_nomem(err, ctx, strlen(folder));
    }
    int saved = errno, fd = mkstemp((char *)path.data), error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        unlink((char *)path.data);
        error = posix_fallocate(fd, 0, (off_t)bytes);
    }
    void *data = error ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!error && data == MAP_FAILED)
        error = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    if (error)
        st = ln__fail_errno(err, LN_E_IO, error,
                            "%zu MB of cached features do not fit memory, and '%s' cannot take them", bytes >> 20, folder);
    else
        *out = (ln__cache){ .data = data, .mapped = bytes };
    ln__buffer_free(&path);
    return st;
}

ln_status ln__cache_new(ln__cache *out, ln__cache_place *place, size_t rows, size_t width, ln_error *err)
{
    size_t numbers, bytes;
    ln_status st = LN_OK;

    memset(out, 0, sizeof *out);
    if (!ln__mul_size(rows, width, &numbers) || !ln__mul_size(numbers, sizeof(float), &bytes) || bytes > SIZE_MAX / 4)
        return ln__fail(err, LN_E_LIMIT, "%zu rows of %zu features are too many", rows, width);
    if (bytes <= place->memory_left) {
        out->data = ln__calloc(place->ctx, numbers ? numbers : 1, sizeof(float));
        if (!out->data)
            return ln__fail_nomem(err, place->ctx, bytes);
        place->memory_left -= bytes;
    } else {
        st = map_file(out, place->folder ? place->folder : "/tmp", bytes, place->ctx, err);
    }
    out->rows = rows;
    out->width = width;
    return st;
}

void ln__cache_return(ln__cache *cache, ln__cache_place *place)
{
    if (cache->data && !cache->mapped)
        place->memory_left += cache->rows * cache->width * sizeof(float);
    ln__cache_free(cache, place->ctx);
}

void ln__cache_free(ln__cache *cache, const ln__ctx *ctx)
{
    if (cache->mapped)
        munmap(cache->data, cache->mapped);
    else
        ln__free(ctx, cache->data);
    memset(cache, 0, sizeof *cache);
}
