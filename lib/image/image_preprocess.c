/* image_preprocess.c - from pixels to network input. */
#include "image/image_private.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define MAX_SIDE 65536

ln_status ln__preprocess_preset(ln_preprocess *out, const char *name, ln_error *err)
{
    static const ln_preprocess torch = { sizeof torch, 0, 0, 0, LN_ORDER_RGB, 0.0,
                                         { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 } };
    static const ln_preprocess tf = { sizeof tf, 0, 0, 0, LN_ORDER_RGB, 1.0 / 127.5,
                                      { 1, 1, 1 }, { 0 } };
    static const ln_preprocess caffe = { sizeof caffe, 0, 0, 0, LN_ORDER_BGR, 1.0,
                                         { 103.939, 116.779, 123.68 }, { 0 } };
    static const ln_preprocess raw = { sizeof raw, 0, 0, 0, LN_ORDER_RGB, 1.0, { 0 }, { 0 } };
    static const struct { const char *name; const ln_preprocess *preset; } presets[] = {
        { "torch", &torch }, { "tf", &tf }, { "caffe", &caffe }, { "raw", &raw }
    };

    for (size_t i = 0; i < LN__COUNT(presets); i++) {
        if (strcmp(name, presets[i].name) == 0)
            return ln__info_copy(out, presets[i].preset, sizeof(ln_preprocess), "ln_preprocess", err);
    }
    return ln__fail(err, LN_E_ARGUMENT, "preprocessing '%s' is not known; torch, tf, caffe and raw are", name);
}

/* What a channel's bytes are multiplied by and moved by. */
static void channel_line(const ln_preprocess *p, uint32_t channel, double *slope, double *offset)
{
    *slope = p->scale / p->std[channel];
    *offset = -p->mean[channel] / p->std[channel];
}

static ln_status check_numbers(const ln_preprocess *p, uint32_t channels, ln_error *err)
{
    if (!isfinite(p->scale))
        return ln__fail(err, LN_E_ARGUMENT, "preprocessing: scale %g is not a finite number", p->scale);
    for (uint32_t c = 0; c < LN__MIN(channels, 4); c++) {
        double slope, offset;
        if (!isfinite(p->mean[c]))
            return ln__fail(err, LN_E_ARGUMENT, "preprocessing: mean %g of channel %u is not a finite number",
                            p->mean[c], c);
        if (!(p->std[c] > 0) || !isfinite(p->std[c]))
            return ln__fail(err, LN_E_ARGUMENT, "preprocessing: std %g of channel %u is not a positive number",
                            p->std[c], c);
        channel_line(p, c, &slope, &offset);
        if (!(fabs(slope) * 255 + fabs(offset) <= FLT_MAX))
            return ln__fail(err, LN_E_ARGUMENT,
                            "preprocessing: channel %u (scale %g, mean %g, std %g) leaves the range of float32",
                            c, p->scale, p->mean[c], p->std[c]);
    }
    return LN_OK;
}

ln_status ln__preprocess_resolve(ln_preprocess *out, const ln_preprocess *in, uint32_t channels,
                                 uint32_t height, uint32_t width, ln_error *err)
{
    ln_status st = ln__options_copy(out, sizeof *out, in, "ln_preprocess", err);

    if (st < 0)
        return st;
    out->struct_size = sizeof *out;
    if (out->order != LN_ORDER_RGB && out->order != LN_ORDER_BGR)
        return ln__fail(err, LN_E_ARGUMENT, "preprocessing: order %d is neither RGB (0) nor BGR (1)", out->order);
    out->crop_height = out->crop_height ? out->crop_height : height;
    out->crop_width = out->crop_width ? out->crop_width : width;
    if (out->crop_height != height || out->crop_width != width)
        return ln__fail(err, LN_E_MISMATCH, "preprocessing: crop %u x %u, but the network reads %u x %u (height x width)",
                        out->crop_height, out->crop_width, height, width);
    if (height == 0 || width == 0 || height > MAX_SIDE || width > MAX_SIDE)
        return ln__fail(err, LN_E_UNSUPPORTED, "preprocessing: network input of %u x %u; each side can be 1 to %d",
                        height, width, MAX_SIDE);
    out->resize = out->resize ? out->resize : LN__MAX(height, width);
    if (out->resize > MAX_SIDE || out->resize < LN__MIN(height, width))
        return ln__fail(err, LN_E_ARGUMENT,
                        "preprocessing: resize %u must be %u (the crop's shorter side) to %d", out->resize,
                        LN__MIN(height, width), MAX_SIDE);
    out->scale = out->scale == 0 ? 1.0 / 255 : out->scale;
    for (int c = 0; c < 4; c++)
        out->std[c] = out->std[c] == 0 ? 1 : out->std[c];
    return check_numbers(out, channels, err);
}

/* Half, as Python's int(round(n / 2.0)) gives it: to even. */
static uint64_t rounded_half(uint64_t n)
{
    return n / 2 + (n & 1 & (n / 2));
}

/* ITU-R BT.601 luma in Pillow's 16-bit fixed point. */
static uint8_t luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

/* Part of a picture, `stride` bytes from row to row. */
typedef struct view {
    const uint8_t *pixels;
    size_t stride;
    uint32_t width, height, channels;
} view;

static void normalise(float *restrict out, const view *v, uint32_t from, double slope, double offset)
{
    float a = (float)slope, b = (float)offset;

    for (uint32_t y = 0; y < v->height; y++, out += v->width) {
        const uint8_t *row = v->pixels + y * v->stride + from;
        if (v->channels == 1)
            for (uint32_t x = 0; x < v->width; x++)
                out[x] = (float)row[x] * a + b;
        else
            for (uint32_t x = 0; x < v->width; x++)
                out[x] = (float)row[(size_t)x * 3] * a + b;
    }
}

static void normalise_luma(float *out, const view *v, double slope, double offset)
{
    float a = (float)slope, b = (float)offset;

    for (uint32_t y = 0; y < v->height; y++, out += v->width)
        for (uint32_t x = 0; x < v->width; x++)
            out[x] = (float)luma(v->pixels + y * v->stride + (size_t)x * 3) * a + b;
}

static void feed_view(float *out, const view *v, const ln_preprocess *p, uint32_t channels)
{
    size_t plane = (size_t)v->width * v->height;

    for (uint32_t c = 0; c < channels; c++) {
        uint32_t from = p->order == LN_ORDER_BGR ? channels - 1 - c : c;
        double slope, offset;
        channel_line(p, c, &slope, &offset);
        if (channels == 1 && v->channels == 3)
            normalise_luma(out, v, slope, offset);
        else
            normalise(out + c * plane, v, v->channels == 1 ? 0 : from, slope, offset);
    }
}

ln_status ln__picture_preprocess(float *out, const ln__picture *picture, const ln_preprocess *resolved,
                                 uint32_t channels, const ln__ctx *ctx, ln_error *err)
{
    uint32_t shorter = LN__MIN(picture->width, picture->height);
    ln__resample to = { .crop_width = resolved->crop_width, .crop_height = resolved->crop_height };
    ln__picture scaled = { 0 };
    size_t step = picture->channels;
    view v;
    ln_status st;

    if (channels != 1 && channels != 3)
        return ln__fail(err, LN_E_MISMATCH, "pictures have 1 or 3 channels, the network reads %u", channels);
    to.width = (uint64_t)resolved->resize * picture->width / shorter;
    to.height = (uint64_t)resolved->resize * picture->height / shorter;
    if (to.width < to.crop_width || to.height < to.crop_height)
        return ln__fail(err, LN_E_MISMATCH, "%u x %u pixels become %llu x %llu, less than the crop of %u x %u",
                        picture->width, picture->height, (unsigned long long)to.width,
                        (unsigned long long)to.height, to.crop_width, to.crop_height);
    to.left = rounded_half(to.width - to.crop_width);
    to.top = rounded_half(to.height - to.crop_height);
    if (shorter == resolved->resize) {
        size_t stride = picture->width * step;
        v = (view){ picture->pixels + to.top * stride + to.left * step, stride,
                    to.crop_width, to.crop_height, picture->channels };
    } else {
        st = ln__picture_resample(&scaled, ctx, picture, &to, err);
        if (st < 0)
            return st;
        v = (view){ scaled.pixels, scaled.width * step, scaled.width, scaled.height, scaled.channels };
    }
    feed_view(out, &v, resolved, channels);
    ln__picture_free(&scaled, ctx);
    return LN_OK;
}
