/* fuzz_picture.c - PNG and JPEG bytes, decoded at full size and shrunk, and
 * made into network input. */
#include "fuzz_heap.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const ln__ctx *ctx, const uint8_t *data, size_t size, uint32_t shrink_to)
{
    const ln__decode_limits limits = { .max_pixels = 1 << 20, .shrink_to = shrink_to };
    static float input[3 * 8 * 8];
    ln_preprocess resolved;
    ln__picture picture;
    ln_error err;
    ln_status st = ln__picture_decode(&picture, ctx, data, size, &limits, "picture", &err);

    if (st < 0)
        return;
    if ((uint64_t)picture.width * picture.height > limits.max_pixels
        || (picture.channels != 1 && picture.channels != 3)
        || ln__preprocess_resolve(&resolved, NULL, 3, 8, 8, &err) < 0)
        abort();
    (void)ln__picture_preprocess(input, &picture, &resolved, 3, ctx, &err);
    ln__picture_free(&picture, ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_heap heap;
    ln_allocator allocator = fuzz_heap_allocator(&heap);
    ln__ctx ctx = ln__ctx_make(&allocator, NULL, NULL);

    decode(&ctx, data, size, 0);
    decode(&ctx, data, size, 8);
    fuzz_heap_end(&heap);
    return 0;
}
