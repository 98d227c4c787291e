/* sheet.h - a sheet of small grey pictures with coloured frames, as PNG. */
#ifndef SHEET_H
#define SHEET_H

#include <stdint.h>

typedef struct sheet {
    uint32_t columns, rows;     /* cells */
    uint32_t side;              /* pixels of a picture, each way */
    uint32_t scale;             /* a picture's pixel becomes scale x scale */
    uint32_t width, height;     /* of the sheet */
    uint8_t *rgb;               /* [height][width][3] */
} sheet;

enum { SHEET_FRAME = 3, SHEET_GAP = 2 };

/* 0, or -1 without memory. */
int  sheet_new(sheet *out, uint32_t columns, uint32_t rows, uint32_t side, uint32_t scale);
void sheet_free(sheet *s);

/* `grey` [side][side], 0..255. */
void sheet_put(sheet *s, uint32_t column, uint32_t row, const uint8_t *grey, const uint8_t frame[3]);

/* 0, or -1 when the file cannot be written. */
int sheet_write(const sheet *s, const char *path);

#endif
