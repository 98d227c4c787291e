/* image_decode.c - which kind of picture it is, its limits, its memory. */
#include "image/image_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MAX_PIXELS UINT64_C(100000000)
#define MAX_FILE_BYTES ((off_t)1 << 30)

ln_status ln__decode_check_size(const ln__decode_job *job, uint64_t width, uint64_t height,
                                uint64_t most_per_byte, ln_error *err)
{
    if (width != 0 && height > job->max_pixels / width)
        return ln__fail(err, LN_E_LIMIT, "%s: %llu x %llu pixels, the limit is %llu pixels", job->name,
                        (unsigned long long)width, (unsigned long long)height,
                        (unsigned long long)job->max_pixels);
    if (width * height / most_per_byte > job->size)
        return ln__fail(err, LN_E_FORMAT,
                        "%s: %llu x %llu pixels cannot come from %zu bytes; the file is cut off or damaged",
                        job->name, (unsigned long long)width, (unsigned long long)height, job->size);
    return LN_OK;
}

ln_status ln__picture_new(ln__picture *out, const ln__ctx *ctx, uint32_t width, uint32_t height,
                          uint32_t channels, ln_error *err)
{
    size_t bytes;

    memset(out, 0, sizeof *out);
    if (!ln__mul_size(width, height, &bytes) || !ln__mul_size(bytes, channels, &bytes))
        return ln__fail_nomem(err, ctx, SIZE_MAX);
    out->owned = ln__alloc(ctx, bytes);
    if (!out->owned)
        return ln__fail_nomem(err, ctx, bytes);
    out->pixels = out->owned;
    out->width = width;
    out->height = height;
    out->channels = channels;
    return LN_OK;
}

void ln__picture_free(ln__picture *picture, const ln__ctx *ctx)
{
    ln__free(ctx, picture->owned);
    memset(picture, 0, sizeof *picture);
}

ln_status ln__picture_decode(ln__picture *out, const ln__ctx *ctx, const void *bytes, size_t size,
                             const ln__decode_limits *limits, const char *name, ln_error *err)
{
    static const uint8_t png_mark[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    static const uint8_t jpeg_mark[3] = { 0xff, 0xd8, 0xff };
    const uint8_t *b = bytes;
    ln__decode_job job = { ctx, b, size, DEFAULT_MAX_PIXELS, 0, name };

    memset(out, 0, sizeof *out);
    if (limits && limits->max_pixels != 0)
        job.max_pixels = limits->max_pixels;
    if (limits)
        job.shrink_to = limits->shrink_to;
    if (size >= sizeof png_mark && memcmp(b, png_mark, sizeof png_mark) == 0)
        return ln__png_decode(out, &job, err);
    if (size >= sizeof jpeg_mark && memcmp(b, jpeg_mark, sizeof jpeg_mark) == 0)
        return ln__jpeg_decode(out, &job, err);
    if (size < sizeof png_mark)
        return ln__fail(err, LN_E_FORMAT, "%s: %zu bytes are not a PNG or JPEG picture", name, size);
    return ln__fail(err, LN_E_FORMAT, "%s: neither PNG nor JPEG (begins with bytes %02x %02x %02x %02x)",
                    name, b[0], b[1], b[2], b[3]);
}

/* Reads rather than maps: a picture that someone cuts short meanwhile is then
 * an error and not a signal. */
static ln_status read_bytes(uint8_t **bytes, size_t *size, int fd, const ln__ctx *ctx, const char *path,
                            ln_error *err)
{
    struct stat info;
    size_t used = 0;

    if (fstat(fd, &info) != 0)
        return ln__fail_errno(err, LN_E_IO, errno, "%s", path);
    if (!S_ISREG(info.st_mode))
        return ln__fail(err, LN_E_IO, "%s: not a regular file", path);
    if (info.st_size > MAX_FILE_BYTES)
        return ln__fail(err, LN_E_LIMIT, "%s: %lld bytes, the limit for a picture is %lld", path,
                        (long long)info.st_size, (long long)MAX_FILE_BYTES);
    *size = (size_t)info.st_size;
    *bytes = ln__alloc(ctx, *size + 1);
    if (!*bytes)
        return ln__fail_nomem(err, ctx, *size + 1);
    while (used < *size) {
        ssize_t got = read(fd, *bytes + used, *size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ln__fail_errno(err, LN_E_IO, errno, "%s", path);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    *size = used;
    return LN_OK;
}

ln_status ln__picture_load(ln__picture *out, const ln__ctx *ctx, const char *path,
                           const ln__decode_limits *limits, ln_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int saved = errno, fd;
    ln_status st;

    memset(out, 0, sizeof *out);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* a pipe of that name must not hang */
    if (fd < 0) {
        st = ln__fail_errno(err, LN_E_IO, errno, "%s", path);
    } else {
        st = read_bytes(&bytes, &size, fd, ctx, path, err);
        close(fd);
    }
    errno = saved;
    if (st == LN_OK)
        st = ln__picture_decode(out, ctx, bytes, size, limits, path, err);
    ln__free(ctx, bytes);
    return st;
}
