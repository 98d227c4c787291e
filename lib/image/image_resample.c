/* image_resample.c - antialiased bilinear scaling, in two passes of 22-bit
 * fixed point: the arithmetic of Pillow's ImagingResample, so that a network
 * sees the pixels it was trained on. */
#include "image/image_private.h"

#include <string.h>

#define PRECISION 22            /* 32 bits less 8 of the pixel and 2 for the sums */

/* What output pixels first..first+count-1 are made of: for each, taps[]
 * weights [size] of the input pixels from start[] on. */
typedef struct filter {
    uint32_t size, count;
    uint32_t *start, *length;
    int32_t *taps;
} filter;

static void filter_free(filter *f, const ln__ctx *ctx)
{
    ln__free(ctx, f->start);
    ln__free(ctx, f->length);
    ln__free(ctx, f->taps);
    memset(f, 0, sizeof *f);
}

/* A triangle, wider by the factor the picture shrinks. */
static double triangle(double x)
{
    x = x < 0 ? -x : x;
    return x < 1 ? 1 - x : 0;
}

static void fill_taps(filter *f, uint32_t i, double center, double stretch, uint32_t in)
{
    double low = center - stretch + 0.5, high = center + stretch + 0.5;
    uint32_t start = low < 0 ? 0 : (uint32_t)low;
    uint32_t end = high > in ? in : (uint32_t)high;
    int32_t *taps = f->taps + (size_t)i * f->size;
    double narrow = 1.0 / stretch, sum = 0;

    for (uint32_t k = 0; k < end - start; k++)
        sum += triangle((k + start - center + 0.5) * narrow);
    for (uint32_t k = 0; k < end - start; k++)
        taps[k] = (int32_t)(0.5 + triangle((k + start - center + 0.5) * narrow) / sum * (1 << PRECISION));
    f->start[i] = start;
    f->length[i] = end - start;
}

static ln_status filter_make(filter *f, const ln__ctx *ctx, uint32_t in, uint64_t out, uint64_t first,
                             uint32_t count, ln_error *err)
{
    double scale = (double)in / (double)out;
    double stretch = scale < 1 ? 1 : scale;

    memset(f, 0, sizeof *f);
    f->size = (uint32_t)stretch * 2 + 3;        /* ceil(stretch) * 2 + 1 at most */
    f->count = count;
    f->start = ln__array(ctx, count, sizeof *f->start);
    f->length = ln__array(ctx, count, sizeof *f->length);
    f->taps = ln__array(ctx, count, f->size * sizeof *f->taps);
    if (!f->start || !f->length || !f->taps) {
        filter_free(f, ctx);
        return ln__fail_nomem(err, ctx, (size_t)count * f->size * sizeof *f->taps);
    }
    for (uint32_t i = 0; i < count; i++)
        fill_taps(f, i, ((double)(first + i) + 0.5) * scale, stretch, in);
    return LN_OK;
}

static uint8_t to_byte(int32_t sum)
{
    sum >>= PRECISION;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void across_grey(uint8_t *to, const uint8_t *row, const filter *f)
{
    for (uint32_t x = 0; x < f->count; x++) {
        const int32_t *taps = f->taps + (size_t)x * f->size;
        const uint8_t *from = row + f->start[x];
        uint32_t n = f->length[x];
        int32_t sum = 1 << (PRECISION - 1);
        for (uint32_t k = 0; k < n; k++)
            sum += from[k] * taps[k];
        to[x] = to_byte(sum);
    }
}

static void across_rgb(uint8_t *to, const uint8_t *row, const filter *f)
{
    for (uint32_t x = 0; x < f->count; x++, to += 3) {
        const int32_t *taps = f->taps + (size_t)x * f->size;
        const uint8_t *from = row + (size_t)f->start[x] * 3;
        uint32_t n = f->length[x];
        int32_t r = 1 << (PRECISION - 1), g = r, b = r;
        for (uint32_t k = 0; k < n; k++, from += 3) {
            r += from[0] * taps[k];
            g += from[1] * taps[k];
            b += from[2] * taps[k];
        }
        to[0] = to_byte(r);
        to[1] = to_byte(g);
        to[2] = to_byte(b);
    }
}

/* One output row from its input rows; sums [stride] is scratch. */
static void down(uint8_t *restrict to, const uint8_t *restrict rows, size_t stride, const int32_t *taps,
                 uint32_t length, int32_t *restrict sums)
{
    for (size_t i = 0; i < stride; i++)
        sums[i] = 1 << (PRECISION - 1);
    for (uint32_t k = 0; k < length; k++) {
        const uint8_t *restrict from = rows + k * stride;
        int32_t tap = taps[k];
        for (size_t i = 0; i < stride; i++)
            sums[i] += from[i] * tap;
    }
    for (size_t i = 0; i < stride; i++)
        to[i] = to_byte(sums[i]);
}

/* The input rows the crop needs, scaled across; `first` is the uppermost. */
static ln_status scale_across(ln__picture *out, const ln__ctx *ctx, const ln__picture *picture,
                              const ln__resample *to, uint32_t first, uint32_t rows, ln_error *err)
{
    filter f;
    ln_status st = filter_make(&f, ctx, picture->width, to->width, to->left, to->crop_width, err);

    if (st < 0)
        return st;
    st = ln__picture_new(out, ctx, to->crop_width, rows, picture->channels, err);
    for (uint32_t y = 0; st == LN_OK && y < rows; y++) {
        const uint8_t *row = picture->pixels + (size_t)(first + y) * picture->width * picture->channels;
        uint8_t *row_out = out->owned + (size_t)y * to->crop_width * picture->channels;
        if (picture->channels == 1)
            across_grey(row_out, row, &f);
        else
            across_rgb(row_out, row, &f);
    }
    filter_free(&f, ctx);
    return st;
}

ln_status ln__picture_resample(ln__picture *out, const ln__ctx *ctx, const ln__picture *picture,
                               const ln__resample *to, ln_error *err)
{
    size_t stride = (size_t)to->crop_width * picture->channels;
    ln__picture narrow = { 0 };
    int32_t *sums = NULL;
    uint32_t first, end;
    filter f;
    ln_status st;

    memset(out, 0, sizeof *out);
    st = filter_make(&f, ctx, picture->height, to->height, to->top, to->crop_height, err);
    if (st < 0)
        return st;
    first = f.start[0];
    end = f.start[f.count - 1] + f.length[f.count - 1];
    st = scale_across(&narrow, ctx, picture, to, first, end - first, err);
    if (st < 0)
        goto done;
    sums = ln__array(ctx, stride, sizeof *sums);
    if (!sums) {
        st = ln__fail_nomem(err, ctx, stride * sizeof *sums);
        goto done;
    }
    st = ln__picture_new(out, ctx, to->crop_width, to->crop_height, picture->channels, err);
    for (uint32_t y = 0; st == LN_OK && y < to->crop_height; y++)
        down(out->owned + y * stride, narrow.pixels + (f.start[y] - first) * stride, stride,
             f.taps + (size_t)y * f.size, f.length[y], sums);
done:
    ln__free(ctx, sums);
    ln__picture_free(&narrow, ctx);
    filter_free(&f, ctx);
    return st;
}
