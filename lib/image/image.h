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
    uint32_t shrink_to;         /* a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its shorter
                                   side stays at or above this; 0: always full size */
} ln__decode_limits;

/* By its first bytes PNG or JPEG. What Pillow's convert("RGB") gives, but for
 * the cases said here:
 *   - grey stays one channel; a palette becomes RGB; 1, 2 and 4 bit are spread to 0..255;
 *   - alpha and transparent colours are dropped (the colours under them stay);
 *   - 16 bit is rounded to 8 (Pillow cuts RGB and clips grey);
 *   - CMYK becomes RGB, inverted first where the file has Adobe's marker (Pillow
 *     inverts always);
 *   - a JPEG is turned as its EXIF orientation says (Pillow does not).
 * Colour profiles and gamma are not applied. A file that ends early or whose
 * picture data is damaged is LN_E_FORMAT, one over max_pixels LN_E_LIMIT before
 * memory is taken for it. `name` is for messages, which begin with it. */
ln_status ln__picture_decode(ln__picture *out, const ln__ctx *ctx, const void *bytes, size_t size,
                             const ln__decode_limits *limits, const char *name, ln_error *err);
/* Reads the file at `path` and decodes it. */
ln_status ln__picture_load(ln__picture *out, const ln__ctx *ctx, const char *path,
                           const ln__decode_limits *limits, ln_error *err);
void ln__picture_free(ln__picture *picture, const ln__ctx *ctx);

/* The presets of ln_preprocess_preset. */
ln_status ln__preprocess_preset(ln_preprocess *out, const char *name, ln_error *err);

/* A preprocess (NULL: all defaults) with every default filled in for a network
 * input. The crop must be the input's size: LN_E_MISMATCH. */
ln_status ln__preprocess_resolve(ln_preprocess *out, const ln_preprocess *in, uint32_t channels,
                                 uint32_t height, uint32_t width, ln_error *err);

/* Resize, crop, normalise into out [channels][crop_height][crop_width];
 * `resolved` comes from ln__preprocess_resolve, channels is 1 or 3. A picture
 * that is smaller than the crop after resizing is LN_E_MISMATCH. */
ln_status ln__picture_preprocess(float *out, const ln__picture *picture, const ln_preprocess *resolved,
                                 uint32_t channels, const ln__ctx *ctx, ln_error *err);

#endif
