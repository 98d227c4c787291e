/* pictures.h - small PNG and JPEG pictures for the tests, made in memory, and
 * an allocator that counts and can be told to fail. */
#ifndef LN_TESTS_PICTURES_H
#define LN_TESTS_PICTURES_H

#include "image/image.h"

#include <jpeglib.h>
#include <png.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- Allocator ------------------------------------------------------------------- */

typedef struct heap {
    pthread_mutex_t lock;
    size_t blocks, bytes, most, calls, fail_at;     /* fail_at: this call gives NULL; 0: none */
} heap;

static void *heap_alloc(size_t size, size_t align, void *payload)
{
    heap *h = payload;
    void *ptr = NULL;

    pthread_mutex_lock(&h->lock);
    if (++h->calls != h->fail_at && posix_memalign(&ptr, align, size) == 0) {
        h->blocks++;
        h->bytes += size;
        if (h->bytes > h->most)
            h->most = h->bytes;
    }
    pthread_mutex_unlock(&h->lock);
    return ptr;
}

static void heap_release(void *ptr, size_t size, void *payload)
{
    heap *h = payload;

    pthread_mutex_lock(&h->lock);
    h->blocks--;
    h->bytes -= size;
    pthread_mutex_unlock(&h->lock);
    free(ptr);
}

static inline ln_allocator heap_start(heap *h, size_t fail_at)
{
    ln_allocator a = { heap_alloc, heap_release, h };

    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    h->fail_at = fail_at;
    return a;
}

/* ---- Bytes ----------------------------------------------------------------------- */

typedef struct bytes { uint8_t *data; size_t size; } bytes;

static inline void bytes_free(bytes *b)
{
    free(b->data);
    b->data = NULL;
    b->size = 0;
}

/* Smooth with some texture; the formula stands in tests/reference_resize.py too. */
static inline uint8_t pattern(uint32_t x, uint32_t y, uint32_t c)
{
    return (uint8_t)((x * (3 + c) + y * (7 - 2 * c) + (x * y >> (2 + c)) + ((x ^ y) & 16) * (c + 1)) & 255);
}

/* Values of 0..255 for a channel, changing slowly: what JPEG keeps. */
static inline uint8_t smooth(uint32_t x, uint32_t y, uint32_t c)
{
    uint32_t v = c == 0 ? 40 + 2 * x : c == 1 ? 200 - 2 * y : c == 2 ? 30 + x + y : 250 - x;

    return (uint8_t)(v > 255 ? 255 : v);
}

/* ---- PNG ------------------------------------------------------------------------- */

static void png_append(png_structp png, png_bytep from, size_t size)
{
    bytes *b = png_get_io_ptr(png);

    b->data = realloc(b->data, b->size + size);
    memcpy(b->data + b->size, from, size);
    b->size += size;
}

static void png_nothing(png_structp png)
{
    (void)png;
}

/* What `depth` bits of the pattern are as they stand in the file. */
static inline uint32_t png_sample(uint32_t x, uint32_t y, uint32_t c, int depth)
{
    if (depth == 16)
        return (uint32_t)pattern(x, y, c) << 8 | pattern(y, x, c);
    return pattern(x, y, c) >> (8 - depth);
}

/* Palette entry i. */
static inline png_color palette_color(int i)
{
    png_color color = { (png_byte)(i * 37 + 11), (png_byte)(255 - i), (png_byte)(i * 101) };

    return color;
}

/* A picture of the pattern; `transparency` adds a tRNS chunk. */
static inline bytes make_png(uint32_t width, uint32_t height, int type, int depth, int interlaced, int transparency)
{
    static const uint8_t alphas[2] = { 0, 128 };
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256];
    png_color_16 key = { 0, 0, 0, 0, 0 };
    uint32_t channels = type == PNG_COLOR_TYPE_RGB ? 3 : type == PNG_COLOR_TYPE_RGB_ALPHA ? 4
                      : type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2 : 1;
    size_t stride = ((size_t)width * channels * (size_t)depth + 7) / 8;
    uint8_t *pixels = calloc(height, stride), **rows = calloc(height, sizeof *rows);
    bytes b = { NULL, 0 };

    for (uint32_t y = 0; y < height; y++) {
        rows[y] = pixels + y * stride;
        for (uint32_t i = 0; i < width * channels; i++) {
            uint32_t v = png_sample(i / channels, y, i % channels, depth);
            if (depth == 16) {
                rows[y][2 * i] = (uint8_t)(v >> 8);
                rows[y][2 * i + 1] = (uint8_t)v;
            } else {
                rows[y][i * (uint32_t)depth / 8] |= (uint8_t)(v << (8 - depth - (int)(i * (uint32_t)depth % 8)));
            }
        }
    }
    png_set_write_fn(png, &b, png_append, png_nothing);
    png_set_IHDR(png, info, width, height, depth, type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    for (int i = 0; i < 256; i++)
        palette[i] = palette_color(i);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 1 << depth);
    if (transparency)
        png_set_tRNS(png, info, alphas, 2, &key);
    png_set_rows(png, info, rows);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    free(rows);
    free(pixels);
    return b;
}

/* ---- JPEG ------------------------------------------------------------------------ */

typedef struct jpeg_kind {
    J_COLOR_SPACE given, stored;
    int progressive, quality, subsampled;
    int inverted;               /* Adobe's: 255 - ink */
    int plain_cmyk;             /* without Adobe's marker */
    int arithmetic;
    const uint8_t *exif;
    unsigned exif_size;
} jpeg_kind;

/* A picture of smooth(). */
static inline bytes make_jpeg(uint32_t width, uint32_t height, const jpeg_kind *kind)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    uint32_t channels = kind->given == JCS_GRAYSCALE ? 1 : kind->given == JCS_RGB ? 3 : 4;
    uint8_t *row = malloc((size_t)width * channels);
    unsigned long size = 0;
    unsigned char *data = NULL;
    bytes b;

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &data, &size);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = (int)channels;
    jpeg.in_color_space = kind->given;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, kind->stored);
    jpeg_set_quality(&jpeg, kind->quality, TRUE);
    if (!kind->subsampled)
        jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
    if (kind->plain_cmyk)
        jpeg.write_Adobe_marker = FALSE;
    jpeg.arith_code = kind->arithmetic;
    if (kind->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (kind->exif)
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, kind->exif, kind->exif_size);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t i = 0; i < width * channels; i++) {
            uint8_t v = smooth(i / channels, y, i % channels);
            row[i] = kind->inverted ? (uint8_t)(255 - v) : v;
        }
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    b.data = data;
    b.size = size;
    return b;
}

#endif
