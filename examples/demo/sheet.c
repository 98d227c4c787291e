#include "sheet.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t cell_side(const sheet *s)
{
    return s->side * s->scale + 2 * SHEET_FRAME + SHEET_GAP;
}

int sheet_new(sheet *out, uint32_t columns, uint32_t rows, uint32_t side, uint32_t scale)
{
    *out = (sheet){ .columns = columns, .rows = rows, .side = side, .scale = scale };
    out->width = columns * cell_side(out) + SHEET_GAP;
    out->height = rows * cell_side(out) + SHEET_GAP;
    out->rgb = calloc((size_t)out->width * out->height, 3);
    if (out->rgb == NULL)
        return -1;
    memset(out->rgb, 255, (size_t)out->width * out->height * 3);
    return 0;
}

void sheet_free(sheet *s)
{
    free(s->rgb);
    s->rgb = NULL;
}

static void put_pixel(sheet *s, uint32_t x, uint32_t y, uint8_t r, uint8_t g, uint8_t b)
{
    uint8_t *p = s->rgb + ((size_t)y * s->width + x) * 3;
    p[0] = r;
    p[1] = g;
    p[2] = b;
}

void sheet_put(sheet *s, uint32_t column, uint32_t row, const uint8_t *grey, const uint8_t frame[3])
{
    uint32_t inner = s->side * s->scale, outer = inner + 2 * SHEET_FRAME;
    uint32_t x0 = SHEET_GAP + column * cell_side(s), y0 = SHEET_GAP + row * cell_side(s);

    for (uint32_t y = 0; y < outer; y++)
        for (uint32_t x = 0; x < outer; x++) {
            uint32_t px = x - SHEET_FRAME, py = y - SHEET_FRAME;    /* wraps far above inner in the frame */
            if (px < inner && py < inner) {
                uint8_t g = grey[py / s->scale * s->side + px / s->scale];
                put_pixel(s, x0 + x, y0 + y, g, g, g);
            } else {
                put_pixel(s, x0 + x, y0 + y, frame[0], frame[1], frame[2]);
            }
        }
}

int sheet_write(const sheet *s, const char *path)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = s->width,
                        .height = s->height, .format = PNG_FORMAT_RGB };
    return png_image_write_to_file(&image, path, 0, s->rgb, 0, NULL) ? 0 : -1;
}
