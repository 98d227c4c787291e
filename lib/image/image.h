/* image.h - PNG and JPEG bytes to pixels, and pixels to network input. The
 * only room that includes libpng and libjpeg. */
#ifndef LN_IMAGE_H
#define LN_IMAGE_H

#include "base/base.h"

/* 8-bit, interleaved, 1 (grey) or 3 (RGB) channels, rows without padding. */
typedef struct ln__picture {
    uint32_t width, height, channels;
    const uint8_t *pixels;
    uint8_t *owned;             /* pixels' memory where the picture owns it, else NULL */
} ln__picture;

typedef struct ln__decode_limits {
    uint64_t max_pixels;        /* 0: 100 million */
    uint32_t shrink_to;         /* a JPEG may be decoded at a lower scale as long as its shorter
                                   side stays at or above this; 0: always full size */
} ln__decode_limits;

/* By its first bytes PNG or JPEG. EXIF rotation is applied, alpha is laid over
 * black... see image.c; grey stays one channel; 16 bit is rounded to 8; CMYK
 * becomes RGB. `name` is for messages. */
ln_status ln__picture_decode(ln__picture *out, const ln__ctx *ctx, const void *bytes, size_t size,
                             const ln__decode_limits *limits, const char *name, ln_error *err);
void ln__picture_free(ln__picture *picture, const ln__ctx *ctx);

/* A preprocess with every default filled in for a network input. */
ln_status ln__preprocess_resolve(ln_preprocess *out, const ln_preprocess *in, uint32_t channels,
                                 uint32_t height, uint32_t width, ln_error *err);

/* Resize, crop, normalise into out [channels][crop_height][crop_width];
 * `resolved` comes from ln__preprocess_resolve, channels is 1 or 3. */
ln_status ln__picture_preprocess(float *out, const ln__picture *picture, const ln_preprocess *resolved,
                                 uint32_t channels, const ln__ctx *ctx, ln_error *err);

#endif
