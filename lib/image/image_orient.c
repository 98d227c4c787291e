/* image_orient.c - EXIF orientation: finding it, and turning the picture. */
#include "image/image_private.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3

static uint32_t read_u16(const uint8_t *b, bool little)
{
    return little ? (uint32_t)b[0] | (uint32_t)b[1] << 8 : (uint32_t)b[0] << 8 | (uint32_t)b[1];
}

static uint32_t read_u32(const uint8_t *b, bool little)
{
    return little ? read_u16(b, true) | read_u16(b + 2, true) << 16
                  : read_u16(b, false) << 16 | read_u16(b + 2, false);
}

uint32_t ln__exif_orientation(const uint8_t *bytes, size_t size)
{
    size_t at, entries;
    bool little;

    if (size < 14 || memcmp(bytes, "Exif\0\0", 6) != 0)
        return 1;
    bytes += 6;
    size -= 6;
    little = bytes[0] == 'I';
    if (memcmp(bytes, little ? "II" : "MM", 2) != 0 || read_u16(bytes + 2, little) != 42)
        return 1;
    at = read_u32(bytes + 4, little);
    if (at > size || size - at < 2)
        return 1;
    entries = read_u16(bytes + at, little);
    at += 2;
    for (size_t i = 0; i < entries && size - at >= 12; i++, at += 12) {
        uint32_t value = read_u16(bytes + at + 8, little);
        if (read_u16(bytes + at, little) != TAG_ORIENTATION)
            continue;
        if (read_u16(bytes + at + 2, little) != TYPE_SHORT || value < 1 || value > 8)
            return 1;
        return value;
    }
    return 1;
}

ln_status ln__picture_orient(ln__picture *picture, const ln__ctx *ctx, uint32_t orientation, ln_error *err)
{
    bool swap = orientation >= 5;
    bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    uint32_t w = picture->width, h = picture->height, channels = picture->channels;
    ln__picture turned;
    ln_status st;
    uint8_t *to;

    if (orientation <= 1)
        return LN_OK;
    st = ln__picture_new(&turned, ctx, swap ? h : w, swap ? w : h, channels, err);
    if (st < 0)
        return st;
    to = turned.owned;
    for (uint32_t y = 0; y < turned.height; y++) {
        for (uint32_t x = 0; x < turned.width; x++, to += channels) {
            uint32_t from_x = swap ? y : x, from_y = swap ? x : y;
            from_x = flip_x ? w - 1 - from_x : from_x;
            from_y = flip_y ? h - 1 - from_y : from_y;
            memcpy(to, picture->pixels + ((size_t)from_y * w + from_x) * channels, channels);
        }
    }
    ln__picture_free(picture, ctx);
    *picture = turned;
    return LN_OK;
}
