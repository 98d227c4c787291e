/* file.c - files mapped for reading, and files replaced only when their
 * successor is complete. */
#define _XOPEN_SOURCE 700     /* realpath */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_BLOCK ((size_t)64 << 10)

static ln_status map_open_file(ln__file *out, int fd, const char *path, uint64_t max_bytes, ln_error *err)
{
    struct stat info;
    void *mapping;

    if (fstat(fd, &info) != 0)
        return ln__fail_errno(err, LN_E_IO, errno, "%s", path);
    if (!S_ISREG(info.st_mode))
        return ln__fail(err, LN_E_IO, "%s: is %s, not a file", path,
                        S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    if ((max_bytes != 0 && (uint64_t)info.st_size > max_bytes) || (uint64_t)info.st_size > PTRDIFF_MAX)
        return ln__fail(err, LN_E_LIMIT, "%s: has %llu bytes, the limit is %llu", path,
                        (unsigned long long)info.st_size, (unsigned long long)max_bytes);
    if (info.st_size == 0)
        return LN_OK;
    mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED)
        return ln__fail_errno(err, errno == ENOMEM ? LN_E_NOMEM : LN_E_IO, errno, "%s: cannot be mapped", path);
    out->data = out->mapping = mapping;
    out->size = (size_t)info.st_size;
    return LN_OK;
}

ln_status ln__file_map(ln__file *out, const char *path, uint64_t max_bytes, ln_error *err)
{
    int saved = errno, fd;
    ln_status st;

    out->data = (const uint8_t *)"";
    out->size = 0;
    out->mapping = NULL;
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        st = ln__fail_errno(err, LN_E_IO, errno, "%s", path);
    } else {
        st = map_open_file(out, fd, path, max_bytes, err);
        close(fd);
    }
    errno = saved;
    return st;
}

void ln__file_unmap(ln__file *file)
{
    int saved = errno;

    if (file->mapping != NULL)
        munmap(file->mapping, file->size);
    file->data = NULL;
    file->mapping = NULL;
    file->size = 0;
    errno = saved;
}

/* ---- Writer --------------------------------------------------------------------- */

/* What a link leads to is replaced, not the link. */
static ln_status follow_link(char target[PATH_MAX], const char *path, ln_error *err)
{
    struct stat info;

    if (strlen(path) >= PATH_MAX)
        return ln__fail_errno(err, LN_E_IO, ENAMETOOLONG, "%.160s: cannot be written", path);
    memcpy(target, path, strlen(path) + 1);
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && realpath(path, target) == NULL)
        return ln__fail_errno(err, LN_E_IO, errno, "%s: cannot be written", path);
    return LN_OK;
}

/* Mode bits for the new file: those of the file it replaces. *exists says
 * whether there is one. Devices, pipes and folders are refused: renaming over
 * them would replace them. */
static ln_status check_target(const char *path, bool *exists, mode_t *mode, ln_error *err)
{
    struct stat info;

    *exists = stat(path, &info) == 0;
    if (!*exists)
        return LN_OK;
    if (!S_ISREG(info.st_mode))
        return ln__fail(err, LN_E_IO, "%s: is not a file and cannot be replaced", path);
    *mode = info.st_mode & 0777;
    return LN_OK;
}

/* The caller's umask decides the mode of a new file, so not mkstemp. */
static ln_status create_beside(ln__writer *writer, ln_error *err)
{
    size_t size = strlen(writer->path) + 32, length = size - 32;
    ln__rng rng = ln__rng_make((uint64_t)(ln__now() * 1e9), (uint64_t)getpid() ^ (uintptr_t)writer);
    const char *hex = "0123456789abcdef";

    writer->temporary = ln__alloc(writer->ctx, size);
    if (writer->temporary == NULL)
        return ln__fail_nomem(err, writer->ctx, size);
    for (int attempt = 0; attempt < 100; attempt++) {
        char *tail = writer->temporary + length;
        memcpy(writer->temporary, writer->path, length);
        memcpy(tail, ".new-", 5);
        for (int i = 5; i < 17; i++)
            tail[i] = hex[ln__rng_below(&rng, 16)];
        tail[17] = '\0';
        writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->fd >= 0 || errno != EEXIST)
            break;
    }
    if (writer->fd < 0)
        return ln__fail_errno(err, LN_E_IO, errno, "%s: cannot be written", writer->path);
    return LN_OK;
}

ln_status ln__writer_open(ln__writer *out, const ln__ctx *ctx, const char *path, ln_error *err)
{
    char target[PATH_MAX];
    int saved = errno;
    bool exists = false;
    mode_t mode = 0;
    ln_status st;

    memset(out, 0, sizeof *out);
    out->ctx = ctx;
    out->fd = -1;
    st = follow_link(target, path, err);
    if (st == LN_OK)
        st = check_target(target, &exists, &mode, err);
    if (st < 0)
        goto done;
    out->path = ln__strdup(ctx, target);
    out->block = ln__alloc(ctx, WRITE_BLOCK);
    if (out->path == NULL || out->block == NULL) {
        st = ln__fail_nomem(err, ctx, WRITE_BLOCK);
        goto done;
    }
    st = create_beside(out, err);
    if (st == LN_OK && exists)
        (void)fchmod(out->fd, mode);    /* best effort: not every file system has modes */
done:
    if (st < 0)
        ln__writer_discard(out);
    errno = saved;
    return st;
}

static void write_all(ln__writer *writer, const uint8_t *bytes, size_t size)
{
    while (size > 0 && writer->status == LN_OK) {
        ssize_t done = write(writer->fd, bytes, size);
        if (done >= 0) {
            bytes += done;
            size -= (size_t)done;
        } else if (errno != EINTR) {
            writer->status = LN_E_IO;
            writer->error = errno;
        }
    }
}

void ln__writer_put(ln__writer *writer, const void *bytes, size_t size)
{
    int saved = errno;

    if (size > WRITE_BLOCK - writer->used) {
        write_all(writer, writer->block, writer->used);
        writer->used = 0;
    }
    if (size >= WRITE_BLOCK) {
        write_all(writer, bytes, size);
    } else if (size > 0) {
        memcpy(writer->block + writer->used, bytes, size);
        writer->used += size;
    }
    errno = saved;
}

/* The rename is on the disk only when the folder is. */
static void sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    int fd;

    if (slash == NULL) {
        fd = open(".", O_RDONLY | O_CLOEXEC);
    } else {
        slash[slash == path ? 1 : 0] = '\0';
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return;
    (void)fsync(fd);    /* some file systems refuse it for folders; nothing to do then */
    close(fd);
}

ln_status ln__writer_commit(ln__writer *writer, ln_error *err)
{
    int saved = errno, closed;
    ln_status st = LN_OK;

    write_all(writer, writer->block, writer->used);
    if (writer->status == LN_OK && fsync(writer->fd) != 0) {
        writer->status = LN_E_IO;
        writer->error = errno;
    }
    closed = close(writer->fd);
    writer->fd = -1;
    if (writer->status == LN_OK
        && (closed != 0 || rename(writer->temporary, writer->path) != 0)) {
        writer->status = LN_E_IO;
        writer->error = errno;
    }
    if (writer->status < 0) {
        st = ln__fail_errno(err, writer->status, writer->error, "%s: cannot be written", writer->path);
    } else {
        ln__free(writer->ctx, writer->temporary);
        writer->temporary = NULL;
        sync_folder(writer->path);
    }
    ln__writer_discard(writer);
    errno = saved;
    return st;
}

void ln__writer_discard(ln__writer *writer)
{
    int saved = errno;

    if (writer->ctx == NULL)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->temporary != NULL)
        unlink(writer->temporary);
    ln__free(writer->ctx, writer->temporary);
    ln__free(writer->ctx, writer->path);
    ln__free(writer->ctx, writer->block);
    memset(writer, 0, sizeof *writer);
    writer->fd = -1;
    errno = saved;
}
