/* cache.c - features kept in memory, or in a file when memory is not enough. */
#define _DEFAULT_SOURCE     /* madvise */
#include "train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const double GB = 1e9;

enum { FEW_PAGES = 8, READ_AHEAD = 1 << 17 };

const char *ln__cache_folder(const ln__cache_place *place)
{
    return place->folder ? place->folder : "/tmp";
}

ln_status ln__cache_size(size_t *bytes, size_t rows, size_t width, ln_error *err)
{
    size_t numbers;

    if (!ln__mul_size(rows, width, &numbers) || !ln__mul_size(numbers, sizeof(float), bytes) || *bytes > INT64_MAX / 4)
        return ln__fail(err, LN_E_LIMIT, "%zu rows of %zu features are too many", rows, width);
    return LN_OK;
}

ln_status ln__disk_check(const ln__disk *disk, uint64_t bytes, uint64_t largest, const char *folder, ln_error *err)
{
    if (bytes > disk->left)
        return ln__fail_errno(err, LN_E_IO, ENOSPC, "%.3f GB of cached features do not fit memory, and '%s' has %.3f GB left for them; "
                              "name another cache_folder (--cache) or allow more max_memory (--max-memory)", (double)bytes / GB, folder,
                              (double)disk->left / GB);
    if (largest > disk->most)
        return ln__fail_errno(err, LN_E_IO, EFBIG, "%.3f GB of cached features do not fit memory, and this process may write files of %.3f GB "
                              "(ulimit -f); allow that or more max_memory (--max-memory)", (double)largest / GB, (double)disk->most / GB);
    return LN_OK;
}

ln_status ln__cache_check(const ln__cache_place *place, uint64_t bytes, uint64_t largest, ln_error *err)
{
    const char *folder = ln__cache_folder(place);
    int saved = errno, error = 0;
    struct statvfs system;
    struct rlimit limit;
    ln__disk disk = { .most = UINT64_MAX };

    if (bytes == 0)
        return LN_OK;
    if (statvfs(folder, &system) < 0)
        error = errno;
    /* Beyond it a signal would end the process. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        disk.most = limit.rlim_cur;
    errno = saved;
    if (error)
        return ln__fail_errno(err, LN_E_IO, error, "%.3f GB of cached features do not fit memory, and '%s' cannot take them",
                              (double)bytes / GB, folder);
    /* Not all that is free is for everybody. */
    disk.left = (uint64_t)system.f_bavail > UINT64_MAX / system.f_frsize ? UINT64_MAX : (uint64_t)system.f_bavail * system.f_frsize;
    return ln__disk_check(&disk, bytes, largest, folder, err);
}

/* All of the file's blocks are had before it is mapped: a full disk is an error here, and no signal when a row is written. */
static int reserve(int fd, size_t bytes)
{
    int error;

    do
        error = posix_fallocate(fd, 0, (off_t)bytes);
    while (error == EINTR);
    return error;
}

/* Large pages take a tenth of the work to read, but rows share them: they pay where a page is still there for the next row. */
static void use_large_pages(void *data, size_t bytes, const ln__cache_place *place)
{
#ifdef MADV_HUGEPAGE
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    if (pages > 0 && size > 0 && (place->mapped + bytes) / (size_t)size < (size_t)pages / 2)
        madvise(data, bytes, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes, (void)place;
#endif
}

static ln_status map_file(ln__cache *out, ln__cache_place *place, size_t bytes, ln_error *err)
{
    const char *folder = ln__cache_folder(place);
    ln__buffer path;
    ln_status st = LN_OK;

    ln__buffer_init(&path, place->ctx);
    ln__buffer_printf(&path, "%s/leenet-cache-XXXXXX", folder);
    ln__buffer_put(&path, "", 1);
    if (!path.ok) {
        ln__buffer_free(&path);
        return ln__fail_nomem(err, place->ctx, strlen(folder));
    }
    int saved = errno, fd = mkstemp((char *)path.data), error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        unlink((char *)path.data);
        error = reserve(fd, bytes);
    }
    void *data = error ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!error && data == MAP_FAILED)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (data != MAP_FAILED) {
        use_large_pages(data, bytes, place);
        place->mapped += bytes;
    }
    errno = saved;
    if (error)
        st = ln__fail_errno(err, LN_E_IO, error, "%.3f GB of cached features do not fit memory, and '%s' cannot take them",
                            (double)bytes / GB, folder);
    else
        *out = (ln__cache){ .data = data, .mapped = bytes };
    ln__buffer_free(&path);
    return st;
}

ln_status ln__cache_new(ln__cache *out, ln__cache_place *place, size_t rows, size_t width, ln_error *err)
{
    size_t bytes;
    ln_status st;

    memset(out, 0, sizeof *out);
    st = ln__cache_size(&bytes, rows, width, err);
    if (st < 0)
        return st;
    if (bytes <= place->memory_left) {
        out->data = ln__calloc(place->ctx, LN__MAX(bytes, sizeof(float)), 1);
        if (!out->data)
            return ln__fail_nomem(err, place->ctx, bytes);
        place->memory_left -= bytes;
    } else {
        st = ln__cache_check(place, bytes, bytes, err);
        if (st == LN_OK)
            st = map_file(out, place, bytes, err);
        if (st < 0)
            return st;
    }
    out->rows = rows;
    out->width = width;
    return LN_OK;
}

/* The pages of a row; false where it is not mapped, or so short that others lie on its pages. */
static bool pages_of(const ln__cache *cache, size_t row, uintptr_t *begin, uintptr_t *end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    *begin = (uintptr_t)ln__cache_row(cache, row) / page * page;
    *end = (uintptr_t)ln__cache_row(cache, row + 1);
    return ln__cache_brings(cache);
}

bool ln__cache_brings(const ln__cache *cache)
{
    return cache->mapped > 0 && cache->width * sizeof(float) >= FEW_PAGES * (size_t)sysconf(_SC_PAGESIZE);
}

/* Linux 5.14 and later. */
static bool populate(uintptr_t begin, uintptr_t end)
{
#ifdef MADV_POPULATE_READ
    return madvise((void *)begin, end - begin, MADV_POPULATE_READ) == 0;
#else
    (void)begin, (void)end;
    return false;
#endif
}

/* Advice is never an error. The system takes no more of it at once than it would read ahead. */
void ln__cache_bring(const ln__cache *cache, size_t row)
{
    int saved = errno;
    uintptr_t begin, end;

    if (pages_of(cache, row, &begin, &end) && !populate(begin, end))
        for (; begin < end; begin += READ_AHEAD)
            madvise((void *)begin, LN__MIN((uintptr_t)READ_AHEAD, end - begin), MADV_WILLNEED);
    errno = saved;
}

/* What is left stays in the system's cache as long as it has room. */
void ln__cache_leave(const ln__cache *cache, size_t row)
{
    int saved = errno;
    uintptr_t begin, end;

    if (pages_of(cache, row, &begin, &end))
        madvise((void *)begin, end - begin, MADV_DONTNEED);
    errno = saved;
}

void ln__cache_return(ln__cache *cache, ln__cache_place *place)
{
    place->mapped -= cache->mapped;
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
