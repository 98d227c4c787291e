/* data_blob.c - whole files, gzipped ones unpacked. */
#include "data/data_private.h"

#include <string.h>
#include <zlib.h>

#define MAX_UNPACKED ((size_t)4 << 30)
#define FIRST_BLOCK ((size_t)64 << 10)

/* zlib's allocator has no place for a size that overflows: both are small. */
static voidpf take(voidpf ctx, uInt count, uInt size)
{
    return ln__array(ctx, count, size);
}

static void give_back(voidpf ctx, voidpf ptr)
{
    ln__free(ctx, ptr);
}

static bool is_gzip(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* More room for what is unpacked, never more than the limit. */
static ln_status make_room(ln__blob *blob, size_t *capacity, const ln__ctx *ctx, const char *path, ln_error *err)
{
    size_t need = *capacity == 0 ? LN__MAX(FIRST_BLOCK, blob->file.size * 2) : *capacity + *capacity / 2;

    if (*capacity >= MAX_UNPACKED)
        return ln__fail(err, LN_E_LIMIT, "%s: unpacks to more than %zu bytes; unpack it and give the result",
                        path, MAX_UNPACKED);
    need = LN__MIN(need, MAX_UNPACKED);
    if (!LN__RESERVE(ctx, blob->unpacked, *capacity, need))
        return ln__fail_nomem(err, ctx, need);
    return LN_OK;
}

/* gzip files may be several one behind the other, and padded with zeros. */
static bool next_member(z_stream *z)
{
    while (z->avail_in > 0 && *z->next_in == 0) {
        z->next_in++;
        z->avail_in--;
    }
    return z->avail_in > 0;
}

static ln_status fail_zlib(int code, const z_stream *z, const ln__ctx *ctx, const char *path, ln_error *err)
{
    if (code == Z_MEM_ERROR)
        return ln__fail_nomem(err, ctx, 0);
    return ln__fail(err, LN_E_FORMAT, "%s: gzip: %s", path,
                    code == Z_BUF_ERROR ? "the file ends early" : z->msg ? z->msg : "damaged");
}

static ln_status unpack_all(ln__blob *blob, z_stream *z, const ln__ctx *ctx, const char *path, ln_error *err)
{
    const uint8_t *in = blob->file.data;
    size_t left = blob->file.size, capacity = 0;
    ln_status st;

    for (;;) {
        uInt given = (uInt)LN__MIN(left, (size_t)1 << 30), room;
        int code;
        if (blob->size == capacity) {
            st = make_room(blob, &capacity, ctx, path, err);
            if (st < 0)
                return st;
        }
        room = (uInt)LN__MIN(capacity - blob->size, (size_t)1 << 30);
        z->next_in = (Bytef *)(uintptr_t)in;        /* zlib does not write to it */
        z->avail_in = given;
        z->next_out = blob->unpacked + blob->size;
        z->avail_out = room;
        code = inflate(z, Z_NO_FLUSH);
        blob->size += room - z->avail_out;
        if (code == Z_STREAM_END) {
            bool more = next_member(z);
            code = inflateReset(z);
            left -= given - z->avail_in;
            in += given - z->avail_in;
            if (!more && left == 0)
                return LN_OK;
        } else {
            left -= given - z->avail_in;
            in += given - z->avail_in;
            if (code == Z_OK && left == 0 && z->avail_out > 0)
                code = Z_BUF_ERROR;
        }
        if (code != Z_OK)
            return fail_zlib(code, z, ctx, path, err);
    }
}

static ln_status unpack(ln__blob *blob, const ln__ctx *ctx, const char *path, ln_error *err)
{
    z_stream z;
    ln_status st;
    int code;

    memset(&z, 0, sizeof z);
    z.zalloc = take;
    z.zfree = give_back;
    z.opaque = (voidpf)(uintptr_t)ctx;
    code = inflateInit2(&z, 15 + 16);
    if (code != Z_OK)
        return fail_zlib(code, &z, ctx, path, err);
    blob->size = 0;
    st = unpack_all(blob, &z, ctx, path, err);
    inflateEnd(&z);
    ln__file_unmap(&blob->file);
    blob->bytes = blob->unpacked;
    return st;
}

ln_status ln__blob_open(ln__blob *out, const ln__ctx *ctx, const char *path, ln_error *err)
{
    ln_status st;

    memset(out, 0, sizeof *out);
    st = ln__file_map(&out->file, path, 0, err);
    if (st < 0)
        return st;
    out->bytes = out->file.data;
    out->size = out->file.size;
    if (is_gzip(out->bytes, out->size))
        st = unpack(out, ctx, path, err);
    if (st < 0)
        ln__blob_close(out, ctx);
    return st;
}

void ln__blob_close(ln__blob *blob, const ln__ctx *ctx)
{
    ln__file_unmap(&blob->file);
    ln__free(ctx, blob->unpacked);
    memset(blob, 0, sizeof *blob);
}
