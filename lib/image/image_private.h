/* image_private.h - what the files of lib/image share. */
#ifndef LN_IMAGE_PRIVATE_H
#define LN_IMAGE_PRIVATE_H

#include "image/image.h"

typedef struct ln__decode_job {
    const ln__ctx *ctx;
    const uint8_t *bytes;
    size_t size;
    uint64_t max_pixels;
    uint32_t shrink_to;
    const char *name;
} ln__decode_job;

ln_status ln__png_decode(ln__picture *out, const ln__decode_job *job, ln_error *err);
ln_status ln__jpeg_decode(ln__picture *out, const ln__decode_job *job, ln_error *err);

/* LN_E_LIMIT, or LN_E_FORMAT where so many pixels cannot come from the file's
 * bytes at `most_per_byte` pixels a byte. */
ln_status ln__decode_check_size(const ln__decode_job *job, uint64_t width, uint64_t height,
                                uint64_t most_per_byte, ln_error *err);
/* Memory for a picture; sets every field. */
ln_status ln__picture_new(ln__picture *out, const ln__ctx *ctx, uint32_t width, uint32_t height,
                          uint32_t channels, ln_error *err);

/* 1..8 from an APP1 segment's bytes; 1 where there is none or it is damaged. */
uint32_t ln__exif_orientation(const uint8_t *bytes, size_t size);
/* Turns the (owned) picture upright. */
ln_status ln__picture_orient(ln__picture *picture, const ln__ctx *ctx, uint32_t orientation, ln_error *err);

/* Part of a picture as it would be at width x height: the crop_width x
 * crop_height pixels from (left, top) on. The same numbers as Pillow's
 * Image.resize(BILINEAR) gives. */
typedef struct ln__resample {
    uint64_t width, height;
    uint64_t left, top;
    uint32_t crop_width, crop_height;
} ln__resample;
ln_status ln__picture_resample(ln__picture *out, const ln__ctx *ctx, const ln__picture *picture,
                               const ln__resample *to, ln_error *err);

#endif
