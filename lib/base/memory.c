/* memory.c - the caller's allocator behind every byte, growable arrays. */
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room before each block for its size; as large as the alignment promised. */
#define BLOCK_ALIGN 64u

static void *default_alloc(size_t size, size_t align, void *payload)
{
    int saved = errno;
    void *ptr = NULL;

    (void)payload;
    if (posix_memalign(&ptr, align, size) != 0)
        ptr = NULL;
    errno = saved;
    return ptr;
}

static void default_release(void *ptr, size_t size, void *payload)
{
    int saved = errno;

    (void)size;
    (void)payload;
    free(ptr);
    errno = saved;
}

ln__ctx ln__ctx_make(const ln_allocator *allocator, ln_log_fn log, void *payload)
{
    ln__ctx ctx = { { default_alloc, default_release, NULL }, log, payload };

    if (allocator != NULL)
        ctx.allocator = *allocator;
    return ctx;
}

bool ln__mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool ln__add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *ln__alloc(const ln__ctx *ctx, size_t size)
{
    size_t total;
    unsigned char *block;

    if (!ln__add_size(size, BLOCK_ALIGN, &total) || total > PTRDIFF_MAX)
        return NULL;
    block = ctx->allocator.alloc(total, BLOCK_ALIGN, ctx->allocator.payload);
    if (block == NULL)
        return NULL;
    memcpy(block, &total, sizeof total);
    return block + BLOCK_ALIGN;
}

void *ln__array(const ln__ctx *ctx, size_t count, size_t size)
{
    size_t bytes;

    return ln__mul_size(count, size, &bytes) ? ln__alloc(ctx, bytes) : NULL;
}

void *ln__calloc(const ln__ctx *ctx, size_t count, size_t size)
{
    void *ptr = ln__array(ctx, count, size);

    if (ptr != NULL)
        memset(ptr, 0, count * size);
    return ptr;
}

void ln__free(const ln__ctx *ctx, void *ptr)
{
    unsigned char *block;
    size_t total;

    if (ptr == NULL)
        return;
    block = (unsigned char *)ptr - BLOCK_ALIGN;
    memcpy(&total, block, sizeof total);
    ctx->allocator.release(block, total, ctx->allocator.payload);
}

char *ln__strdup(const ln__ctx *ctx, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = ln__alloc(ctx, size);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

/* The pointer is read and written through memcpy: the array's element type is
 * not known here, and `void *` may not alias the caller's `T *`. */
bool ln__grow(const ln__ctx *ctx, void **items, size_t *capacity, size_t need, size_t item_size)
{
    size_t wanted = *capacity < 8 ? 8 : *capacity;
    void *old, *fresh;

    if (need <= *capacity)
        return true;
    while (wanted < need) {
        if (wanted > SIZE_MAX / 2) {
            wanted = need;
            break;
        }
        wanted *= 2;
    }
    fresh = ln__array(ctx, wanted, item_size);
    if (fresh == NULL)
        return false;
    memcpy(&old, items, sizeof old);
    if (*capacity > 0)
        memcpy(fresh, old, *capacity * item_size);
    ln__free(ctx, old);
    memcpy(items, &fresh, sizeof fresh);
    *capacity = wanted;
    return true;
}
