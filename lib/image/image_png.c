/* image_png.c - PNG through libpng. */
#include "image/image_private.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

/* Deflate packs at most 1032 bytes into one. */
#define MOST_BITS_PER_BYTE (UINT64_C(1032) * 8)

typedef struct png_work {
    const ln__decode_job *job;
    png_structp png;
    png_infop info;
    size_t used;
    bool no_memory;
    char text[128];             /* libpng's words */
    ln_status status;           /* of a failure that has its text in err already */
    ln__picture picture;
} png_work;

static png_voidp take(png_structp png, png_alloc_size_t size)
{
    png_work *work = png_get_mem_ptr(png);
    void *ptr = ln__alloc(work->job->ctx, size);

    if (!ptr)
        work->no_memory = true;
    return ptr;
}

static void give_back(png_structp png, png_voidp ptr)
{
    const png_work *work = png_get_mem_ptr(png);

    ln__free(work->job->ctx, ptr);
}

static PNG_NORETURN void on_error(png_structp png, png_const_charp text)
{
    png_work *work = png_get_error_ptr(png);

    snprintf(work->text, sizeof work->text, "%s", text);
    png_longjmp(png, 1);
}

/* Warnings are about chunks that are not read, or harmless. */
static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t size)
{
    png_work *work = png_get_io_ptr(png);

    if (size > work->job->size - work->used)
        png_error(png, "the file ends early");
    memcpy(to, work->job->bytes + work->used, size);
    work->used += size;
}

/* Asks libpng for 8-bit grey or RGB without alpha. */
static void set_output(png_structp png, png_infop info)
{
    int type = png_get_color_type(png, info);

    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    else if (png_get_bit_depth(png, info) == 16)
        png_set_scale_16(png);
    else if (type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_alpha(png);
}

/* Everything that may jump. What it takes is freed by its caller. */
static bool read_png(png_work *work, ln_error *err)
{
    png_structp png = work->png;
    png_uint_32 width, height;
    uint32_t bits, channels;
    size_t stride;
    int passes;

    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_read_fn(png, work, on_read);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);     /* pixels are counted below */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, work->info);
    width = png_get_image_width(png, work->info);
    height = png_get_image_height(png, work->info);
    bits = (uint32_t)png_get_bit_depth(png, work->info) * png_get_channels(png, work->info);
    work->status = ln__decode_check_size(work->job, width, height, MOST_BITS_PER_BYTE / bits, err);
    if (work->status < 0)
        return false;
    set_output(png, work->info);
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, work->info);
    channels = png_get_channels(png, work->info);
    stride = (size_t)width * channels;
    if ((channels != 1 && channels != 3) || png_get_rowbytes(png, work->info) != stride)
        png_error(png, "an unknown combination of colour type and depth");
    work->status = ln__picture_new(&work->picture, work->job->ctx, width, height, channels, err);
    if (work->status < 0)
        return false;
    while (passes-- > 0)
        for (uint32_t y = 0; y < height; y++)
            png_read_row(png, work->picture.owned + y * stride, NULL);
    png_read_end(png, NULL);
    return !work->no_memory;
}

ln_status ln__png_decode(ln__picture *out, const ln__decode_job *job, ln_error *err)
{
    png_work work = { .job = job };
    bool done = false;

    work.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning,
                                        &work, take, give_back);
    if (work.png)
        work.info = png_create_info_struct(work.png);
    if (work.info)
        done = read_png(&work, err);
    else if (!work.no_memory)
        snprintf(work.text, sizeof work.text, "the libpng at hand is not %s", PNG_LIBPNG_VER_STRING);
    png_destroy_read_struct(&work.png, &work.info, NULL);
    if (done) {
        *out = work.picture;
        return LN_OK;
    }
    ln__picture_free(&work.picture, job->ctx);
    if (work.no_memory)
        return ln__fail(err, LN_E_NOMEM, "%s: no memory to decode it", job->name);
    if (work.status < 0)
        return work.status;
    return ln__fail(err, LN_E_FORMAT, "%s: PNG: %s", job->name, work.text);
}
