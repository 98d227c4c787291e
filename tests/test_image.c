#include "pictures.h"
#include "image/image_private.h"

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run_suite.h"

static ln__ctx plain(void)
{
    return ln__ctx_make(NULL, NULL, NULL);
}

static ln_status decode(ln__picture *out, const bytes *b, uint32_t shrink_to, ln_error *err)
{
    ln__ctx ctx = plain();
    ln__decode_limits limits = { 0, shrink_to };

    return ln__picture_decode(out, &ctx, b->data, b->size, &limits, "p", err);
}

static void drop(ln__picture *picture)
{
    ln__ctx ctx = plain();

    ln__picture_free(picture, &ctx);
}

/* ---- PNG ------------------------------------------------------------------------- */

/* What channel c of a decoded PNG pixel must be. */
static uint32_t png_expected(uint32_t x, uint32_t y, uint32_t c, int type, int depth)
{
    uint32_t v = png_sample(x, y, c, depth);

    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_color color = palette_color((int)png_sample(x, y, 0, depth));
        return c == 0 ? color.red : c == 1 ? color.green : color.blue;
    }
    return depth == 16 ? (v * 255 + 32767) / 65535 : v * 255 / ((1u << depth) - 1);
}

static void check_png(int type, int depth, int interlaced, int transparency)
{
    uint32_t width = 23, height = 17, channels = type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA ? 1 : 3;
    bytes b = make_png(width, height, type, depth, interlaced, transparency);
    ln_error err = { 0 };
    ln__picture p;

    ck_assert_msg(decode(&p, &b, 0, &err) == LN_OK, "type %d depth %d: %s", type, depth, err.text);
    ck_assert_uint_eq(p.width, width);
    ck_assert_uint_eq(p.height, height);
    ck_assert_uint_eq(p.channels, channels);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < channels; c++)
                ck_assert_msg(p.pixels[(y * width + x) * channels + c] == png_expected(x, y, c, type, depth),
                              "type %d depth %d interlaced %d: %u at %u,%u,%u, expected %u", type, depth, interlaced,
                              p.pixels[(y * width + x) * channels + c], x, y, c, png_expected(x, y, c, type, depth));
    drop(&p);
    bytes_free(&b);
}

START_TEST(every_kind_of_png_gives_its_pixels)
{
    static const struct { int type, depth; } kinds[] = {
        { PNG_COLOR_TYPE_GRAY, 1 }, { PNG_COLOR_TYPE_GRAY, 2 }, { PNG_COLOR_TYPE_GRAY, 4 },
        { PNG_COLOR_TYPE_GRAY, 8 }, { PNG_COLOR_TYPE_GRAY, 16 }, { PNG_COLOR_TYPE_GRAY_ALPHA, 8 },
        { PNG_COLOR_TYPE_GRAY_ALPHA, 16 }, { PNG_COLOR_TYPE_RGB, 8 }, { PNG_COLOR_TYPE_RGB, 16 },
        { PNG_COLOR_TYPE_RGB_ALPHA, 8 }, { PNG_COLOR_TYPE_RGB_ALPHA, 16 }, { PNG_COLOR_TYPE_PALETTE, 1 },
        { PNG_COLOR_TYPE_PALETTE, 2 }, { PNG_COLOR_TYPE_PALETTE, 4 }, { PNG_COLOR_TYPE_PALETTE, 8 }
    };

    for (size_t i = 0; i < LN__COUNT(kinds); i++) {
        check_png(kinds[i].type, kinds[i].depth, 0, 0);
        check_png(kinds[i].type, kinds[i].depth, 1, 0);
        if (!(kinds[i].type & PNG_COLOR_MASK_ALPHA))
            check_png(kinds[i].type, kinds[i].depth, 0, 1);
    }
}
END_TEST

/* ---- JPEG ------------------------------------------------------------------------ */

static void check_near(const ln__picture *p, uint32_t x, uint32_t y, const int *expected, int most, int kind)
{
    for (uint32_t c = 0; c < p->channels; c++) {
        int v = p->pixels[((size_t)y * p->width + x) * p->channels + c];
        ck_assert_msg(abs(v - expected[c]) <= most, "kind %d: %d at %u,%u,%u, expected %d", kind, v, x, y, c,
                      expected[c]);
    }
}

START_TEST(every_kind_of_jpeg_gives_its_pixels)
{
    static const jpeg_kind kinds[] = {
        { .given = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .quality = 97 },
        { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 97 },
        { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 97, .subsampled = 1 },
        { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 97, .progressive = 1 },
        { .given = JCS_RGB, .stored = JCS_RGB, .quality = 97 },
        { .given = JCS_CMYK, .stored = JCS_CMYK, .quality = 97, .inverted = 1 },
        { .given = JCS_CMYK, .stored = JCS_YCCK, .quality = 97, .inverted = 1 },
        { .given = JCS_CMYK, .stored = JCS_CMYK, .quality = 97, .plain_cmyk = 1 }
    };

    for (size_t i = 0; i < LN__COUNT(kinds); i++) {
        bytes b = make_jpeg(60, 50, &kinds[i]);
        ln_error err = { 0 };
        ln__picture p;
        ck_assert_msg(decode(&p, &b, 0, &err) == LN_OK, "kind %zu: %s", i, err.text);
        ck_assert_uint_eq(p.width, 60);
        ck_assert_uint_eq(p.height, 50);
        ck_assert_uint_eq(p.channels, kinds[i].given == JCS_GRAYSCALE ? 1 : 3);
        for (uint32_t y = 0; y < 50; y++) {
            for (uint32_t x = 0; x < 60; x++) {
                int want[3];
                for (uint32_t c = 0; c < 3; c++)
                    want[c] = kinds[i].given != JCS_CMYK ? smooth(x, y, c)
                            : (255 - smooth(x, y, c)) * (255 - smooth(x, y, 3)) / 255;
                check_near(&p, x, y, want, 9, (int)i);
            }
        }
        drop(&p);
        bytes_free(&b);
    }
}
END_TEST

/* An APP1 segment with the orientation and an entry before it. */
static bytes make_exif(int orientation, int little)
{
    static const uint8_t le[] = { 'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0,
        0x0f, 1, 2, 0, 4, 0, 0, 0, 'a', 'b', 'c', 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t be[] = { 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2,
        1, 0x0f, 0, 2, 0, 0, 0, 4, 'a', 'b', 'c', 0, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0 };
    bytes b = { malloc(sizeof le), sizeof le };

    memcpy(b.data, little ? le : be, sizeof le);
    b.data[little ? 36 : 37] = (uint8_t)orientation;
    return b;
}

/* Where pixel (x, y) of the upright picture stands in a stored one of w x h. */
static void stored_place(int orientation, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t *sx, uint32_t *sy)
{
    uint32_t table[9][2] = { { 0, 0 }, { x, y }, { w - 1 - x, y }, { w - 1 - x, h - 1 - y }, { x, h - 1 - y },
                             { y, x }, { y, h - 1 - x }, { w - 1 - y, h - 1 - x }, { w - 1 - y, x } };

    *sx = table[orientation][0];
    *sy = table[orientation][1];
}

START_TEST(exif_orientation_turns_the_picture)
{
    for (int orientation = 1; orientation <= 8; orientation++) {
        for (int little = 0; little < 2; little++) {
            bytes exif = make_exif(orientation, little);
            jpeg_kind kind = { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 97, .exif = exif.data,
                               .exif_size = (unsigned)exif.size };
            bytes b = make_jpeg(60, 40, &kind);
            ln__picture p;
            ck_assert_int_eq(decode(&p, &b, 0, NULL), LN_OK);
            ck_assert_uint_eq(p.width, orientation >= 5 ? 40 : 60);
            ck_assert_uint_eq(p.height, orientation >= 5 ? 60 : 40);
            for (uint32_t y = 0; y < p.height; y++) {
                for (uint32_t x = 0; x < p.width; x++) {
                    uint32_t sx, sy;
                    stored_place(orientation, x, y, 60, 40, &sx, &sy);
                    int want[3] = { smooth(sx, sy, 0), smooth(sx, sy, 1), smooth(sx, sy, 2) };
                    check_near(&p, x, y, want, 9, orientation);
                }
            }
            drop(&p);
            bytes_free(&b);
            bytes_free(&exif);
        }
    }
}
END_TEST

START_TEST(damaged_exif_is_as_none)
{
    bytes exif = make_exif(6, 1);

    ck_assert_uint_eq(ln__exif_orientation(exif.data, exif.size), 6);
    for (size_t n = 0; n < 40; n++)
        ck_assert_uint_eq(ln__exif_orientation(exif.data, n), 1);
    exif.data[36] = 9;
    ck_assert_uint_eq(ln__exif_orientation(exif.data, exif.size), 1);
    memset(exif.data + 10, 0xff, 4);
    ck_assert_uint_eq(ln__exif_orientation(exif.data, exif.size), 1);
    bytes_free(&exif);
}
END_TEST

START_TEST(jpeg_shrinks_but_never_below_what_is_asked)
{
    static const struct { uint32_t to, width, height; } cases[] = {
        { 0, 400, 301 }, { 301, 400, 301 }, { 152, 400, 301 }, { 151, 200, 151 }, { 77, 200, 151 }, { 76, 100, 76 },
        { 39, 100, 76 }, { 38, 50, 38 }, { 1, 50, 38 }
    };
    jpeg_kind kind = { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 90 };
    bytes b = make_jpeg(400, 301, &kind);

    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        ln__picture p;
        ck_assert_int_eq(decode(&p, &b, cases[i].to, NULL), LN_OK);
        ck_assert_uint_eq(p.width, cases[i].width);
        ck_assert_uint_eq(p.height, cases[i].height);
        drop(&p);
    }
    bytes_free(&b);
}
END_TEST

/* ---- Refusals -------------------------------------------------------------------- */

static const jpeg_kind small_jpegs[] = {
    { .given = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .quality = 60 },
    { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 60, .subsampled = 1 },
    { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 60, .progressive = 1 },
    { .given = JCS_CMYK, .stored = JCS_YCCK, .quality = 60, .inverted = 1 }
};
static const struct { int type, depth, interlaced; } small_pngs[] = {
    { PNG_COLOR_TYPE_RGB, 8, 0 }, { PNG_COLOR_TYPE_PALETTE, 4, 0 }, { PNG_COLOR_TYPE_RGB_ALPHA, 16, 1 },
    { PNG_COLOR_TYPE_GRAY, 1, 1 }
};
enum { SMALL = LN__COUNT(small_jpegs) + LN__COUNT(small_pngs) };

static bytes make_small(size_t i)
{
    if (i < LN__COUNT(small_jpegs))
        return make_jpeg(19, 13, &small_jpegs[i]);
    i -= LN__COUNT(small_jpegs);
    return make_png(19, 13, small_pngs[i].type, small_pngs[i].depth, small_pngs[i].interlaced, 0);
}

START_TEST(a_file_cut_off_anywhere_is_an_error)
{
    for (size_t i = 0; i < SMALL; i++) {
        bytes b = make_small(i), cut = b;
        for (cut.size = 0; cut.size < b.size; cut.size++) {
            ln_error err = { 0 };
            ln__picture p;
            ck_assert_msg(decode(&p, &cut, 0, &err) == LN_E_FORMAT, "picture %zu at %zu of %zu", i, cut.size, b.size);
            ck_assert_ptr_eq(p.owned, NULL);
            ck_assert_msg(strncmp(err.text, "p: ", 3) == 0, "%s", err.text);
        }
        bytes_free(&b);
    }
}
END_TEST

START_TEST(other_files_are_refused_by_name)
{
    static const char *const others[] = { "", "GIF89a, not for us", "BM......", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff" };
    ln__ctx ctx = plain();
    ln__picture p;
    ln_error err;

    for (size_t i = 0; i < LN__COUNT(others); i++) {
        ck_assert_int_eq(ln__picture_decode(&p, &ctx, others[i], strlen(others[i]), NULL, "x.gif", &err), LN_E_FORMAT);
        ck_assert_ptr_ne(strstr(err.text, "x.gif"), NULL);
    }
    ck_assert_int_eq(ln__picture_load(&p, &ctx, "/does/not/exist.png", NULL, &err), LN_E_IO);
    ck_assert_ptr_ne(strstr(err.text, "/does/not/exist.png"), NULL);
    ck_assert_int_eq(ln__picture_load(&p, &ctx, "/dev/null", NULL, &err), LN_E_IO);
    ck_assert_int_eq(ln__picture_load(&p, &ctx, "/tmp", NULL, &err), LN_E_IO);
}
END_TEST

START_TEST(kinds_of_jpeg_without_bounds_are_refused)
{
    jpeg_kind kind = { .given = JCS_RGB, .stored = JCS_YCbCr, .quality = 60, .arithmetic = 1 };
    bytes b = make_jpeg(19, 13, &kind);
    ln__picture p;
    ln_error err;

    ck_assert_int_eq(decode(&p, &b, 0, &err), LN_E_UNSUPPORTED);
    ck_assert_str_eq(err.text, "p: JPEG: arithmetic coding");
    bytes_free(&b);
}
END_TEST

/* A progressive file whose first scan stands there 300 times. */
START_TEST(jpegs_of_very_many_scans_are_refused)
{
    bytes b = make_jpeg(19, 13, &small_jpegs[2]), many;
    size_t start = 2, end;
    ln_error err = { 0 };
    ln__picture p;

    while (b.data[start] != 0xff || b.data[start + 1] != 0xda)
        start++;
    end = start + 2;
    while (b.data[end] != 0xff || b.data[end + 1] == 0)
        end++;
    many.data = malloc(b.size + 300 * (end - start));
    memcpy(many.data, b.data, end);
    many.size = end;
    for (int i = 0; i < 300; i++, many.size += end - start)
        memcpy(many.data + many.size, b.data + start, end - start);
    memcpy(many.data + many.size, b.data + end, b.size - end);
    many.size += b.size - end;
    ck_assert_int_eq(decode(&p, &many, 0, &err), LN_E_LIMIT);
    ck_assert_ptr_ne(strstr(err.text, "200 scans"), NULL);
    bytes_free(&many);
    bytes_free(&b);
}
END_TEST

/* Writes other sizes into the headers. */
static void set_png_size(bytes *b, uint32_t width, uint32_t height)
{
    uint32_t crc;

    png_save_uint_32(b->data + 16, width);
    png_save_uint_32(b->data + 20, height);
    crc = 0xffffffff;
    for (size_t i = 12; i < 29; i++) {
        crc ^= b->data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    png_save_uint_32(b->data + 29, ~crc);
}

static void set_jpeg_size(bytes *b, uint32_t width, uint32_t height)
{
    for (size_t i = 2; i + 9 < b->size; i += 2 + (size_t)(b->data[i + 2] << 8 | b->data[i + 3])) {
        if (b->data[i + 1] != 0xc0 && b->data[i + 1] != 0xc2)
            continue;
        b->data[i + 5] = (uint8_t)(height >> 8);
        b->data[i + 6] = (uint8_t)height;
        b->data[i + 7] = (uint8_t)(width >> 8);
        b->data[i + 8] = (uint8_t)width;
        return;
    }
    ck_abort_msg("no frame header");
}

static void check_refused(const bytes *b, uint64_t max_pixels, ln_status expected)
{
    heap h;
    ln_allocator a = heap_start(&h, 0);
    ln__ctx ctx = ln__ctx_make(&a, NULL, NULL);
    ln__decode_limits limits = { max_pixels, 0 };
    ln_error err = { 0 };
    ln__picture p;

    ck_assert_int_eq(ln__picture_decode(&p, &ctx, b->data, b->size, &limits, "huge", &err), expected);
    ck_assert_ptr_ne(strstr(err.text, "pixels"), NULL);
    ck_assert_uint_eq(h.blocks, 0);
    ck_assert_msg(h.most < 100000, "%zu bytes were taken", h.most);
}

START_TEST(sizes_are_checked_before_memory_is_taken)
{
    bytes png = make_png(40, 30, PNG_COLOR_TYPE_RGB, 8, 0, 0), jpeg = make_jpeg(40, 30, &small_jpegs[1]);

    check_refused(&png, 1199, LN_E_LIMIT);
    check_refused(&jpeg, 1199, LN_E_LIMIT);
    set_png_size(&png, 0x7fffffff, 0x7fffffff);
    check_refused(&png, 0, LN_E_LIMIT);
    set_png_size(&png, 9000, 9000);
    check_refused(&png, 0, LN_E_FORMAT);        /* so few bytes cannot hold them */
    set_jpeg_size(&jpeg, 65500, 65500);
    check_refused(&jpeg, 0, LN_E_LIMIT);
    set_jpeg_size(&jpeg, 9000, 9000);
    check_refused(&jpeg, 0, LN_E_FORMAT);
    bytes_free(&png);
    bytes_free(&jpeg);
}
END_TEST

START_TEST(pixels_at_the_limit_are_read)
{
    bytes png = make_png(40, 30, PNG_COLOR_TYPE_RGB, 8, 0, 0);
    ln__decode_limits limits = { 1200, 0 };
    ln__ctx ctx = plain();
    ln__picture p;

    ck_assert_int_eq(ln__picture_decode(&p, &ctx, png.data, png.size, &limits, "p", NULL), LN_OK);
    drop(&p);
    bytes_free(&png);
}
END_TEST

/* ---- Preprocessing --------------------------------------------------------------- */

static ln__picture pattern_picture(uint32_t width, uint32_t height, uint32_t channels)
{
    ln__picture p = { width, height, channels, NULL, NULL };
    ln__ctx ctx = plain();

    p.pixels = p.owned = ln__alloc(&ctx, (size_t)width * height * channels);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < channels; c++)
                p.owned[((size_t)y * width + x) * channels + c] = pattern(x, y, c);
    return p;
}

/* From tests/reference_resize.py. */
static const struct pillow_case {
    uint32_t width, height, channels, to_width, to_height, crop_width, crop_height, left, top;
    uint64_t hash;
} pillow[] = {
    { 64, 48, 3, 32, 24, 32, 24, 0, 0, UINT64_C(0x1070ea8818a98868) },
    { 64, 48, 3, 42, 32, 32, 32, 5, 0, UINT64_C(0xbac6bd4e7bddb025) },
    { 61, 47, 3, 41, 32, 32, 32, 4, 0, UINT64_C(0xa3946bd0f13bc230) },
    { 28, 28, 1, 32, 32, 32, 32, 0, 0, UINT64_C(0xbc3c95d6a0f93ce6) },
    { 31, 100, 1, 32, 103, 32, 32, 0, 36, UINT64_C(0xd66c83438a0475c3) },
    { 500, 375, 3, 74, 56, 56, 56, 9, 0, UINT64_C(0xda3a1c734d774b03) },
    { 100, 75, 3, 298, 224, 224, 224, 37, 0, UINT64_C(0x49e863d98d5448b9) },
    { 5, 7, 3, 33, 46, 33, 33, 0, 6, UINT64_C(0x8db76980691a7f9f) },
    { 301, 200, 3, 77, 51, 50, 40, 14, 6, UINT64_C(0x5dff78adba28fcb3) },
};

START_TEST(scaling_gives_pillows_pixels)
{
    ln__ctx ctx = plain();

    for (size_t i = 0; i < LN__COUNT(pillow); i++) {
        const struct pillow_case *c = &pillow[i];
        ln__picture p = pattern_picture(c->width, c->height, c->channels), out;
        ln__resample to = { c->to_width, c->to_height, c->left, c->top, c->crop_width, c->crop_height };
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        ck_assert_int_eq(ln__picture_resample(&out, &ctx, &p, &to, NULL), LN_OK);
        for (size_t k = 0; k < (size_t)c->crop_width * c->crop_height * c->channels; k++)
            hash = (hash ^ out.pixels[k]) * UINT64_C(0x100000001b3);
        ck_assert_msg(hash == c->hash, "case %zu", i);
        drop(&out);
        drop(&p);
    }
}
END_TEST

static ln_preprocess resolved(const ln_preprocess *in, uint32_t channels, uint32_t height, uint32_t width)
{
    ln_preprocess out;
    ln_error err = { 0 };

    ck_assert_msg(ln__preprocess_resolve(&out, in, channels, height, width, &err) == LN_OK, "%s", err.text);
    return out;
}

/* The crop's first pixel shows where it lies; python: int(round((w - crop) / 2.0)). */
START_TEST(the_crop_is_where_torchvision_puts_it)
{
    static const struct { uint32_t width, left; } cases[] = {
        { 20, 0 }, { 21, 0 }, { 22, 1 }, { 23, 2 }, { 24, 2 }, { 25, 2 }, { 26, 3 }, { 27, 4 }, { 29, 4 }
    };
    ln__ctx ctx = plain();

    for (size_t i = 0; i < LN__COUNT(cases); i++) {
        for (int upright = 0; upright < 2; upright++) {
            uint32_t width = upright ? 20 : cases[i].width, height = upright ? cases[i].width : 20;
            ln__picture p = pattern_picture(width, height, 3);
            ln_preprocess raw = LN_PREPROCESS_INIT, full;
            float out[3 * 20 * 20];
            raw.scale = 1;
            full = resolved(&raw, 3, 20, 20);
            ck_assert_int_eq(ln__picture_preprocess(out, &p, &full, 3, &ctx, NULL), LN_OK);
            for (uint32_t c = 0; c < 3; c++)
                for (uint32_t y = 0; y < 20; y++)
                    for (uint32_t x = 0; x < 20; x++)
                        ck_assert_float_eq(out[(c * 20 + y) * 20 + x],
                                           pattern(x + (upright ? 0 : cases[i].left), y + (upright ? cases[i].left : 0), c));
            drop(&p);
        }
    }
}
END_TEST

START_TEST(channels_are_ordered_scaled_and_shifted)
{
    ln__picture rgb = pattern_picture(8, 8, 3), grey = pattern_picture(8, 8, 1);
    ln__ctx ctx = plain();
    ln_preprocess p = LN_PREPROCESS_INIT, full;
    float out[3 * 64];

    ck_assert_int_eq(ln__preprocess_preset(&p, "torch", NULL), LN_OK);
    full = resolved(&p, 3, 8, 8);
    ck_assert_int_eq(ln__picture_preprocess(out, &rgb, &full, 3, &ctx, NULL), LN_OK);
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t i = 0; i < 64; i++)
            ck_assert_double_eq_tol(out[c * 64 + i], (pattern(i % 8, i / 8, c) / 255.0 - p.mean[c]) / p.std[c], 2e-6);
    ck_assert_int_eq(ln__preprocess_preset(&p, "caffe", NULL), LN_OK);
    full = resolved(&p, 3, 8, 8);
    ck_assert_int_eq(ln__picture_preprocess(out, &rgb, &full, 3, &ctx, NULL), LN_OK);
    for (uint32_t c = 0; c < 3; c++)
        ck_assert_float_eq(out[c * 64 + 9], (float)(pattern(1, 1, 2 - c) - p.mean[c]));
    ck_assert_int_eq(ln__preprocess_preset(&p, "tf", NULL), LN_OK);
    full = resolved(&p, 3, 8, 8);
    ck_assert_int_eq(ln__picture_preprocess(out, &grey, &full, 3, &ctx, NULL), LN_OK);
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t i = 0; i < 64; i++)
            ck_assert_double_eq_tol(out[c * 64 + i], pattern(i % 8, i / 8, 0) / 127.5 - 1, 1e-6);
    ck_assert_int_eq(ln__preprocess_preset(&p, "raw", NULL), LN_OK);
    full = resolved(&p, 1, 8, 8);
    ck_assert_int_eq(ln__picture_preprocess(out, &rgb, &full, 1, &ctx, NULL), LN_OK);
    for (uint32_t i = 0; i < 64; i++)
        ck_assert_double_eq_tol(out[i], 0.299 * pattern(i % 8, i / 8, 0) + 0.587 * pattern(i % 8, i / 8, 1) +
                                0.114 * pattern(i % 8, i / 8, 2), 0.51);
    ck_assert_int_eq(ln__picture_preprocess(out, &rgb, &full, 4, &ctx, NULL), LN_E_MISMATCH);
    drop(&rgb);
    drop(&grey);
}
END_TEST

START_TEST(presets_have_names)
{
    ln_preprocess p = LN_PREPROCESS_INIT;
    ln_error err;

    ck_assert_int_eq(ln_preprocess_preset(&p, "caffe", NULL), LN_OK);
    ck_assert_int_eq(p.order, LN_ORDER_BGR);
    ck_assert_double_eq(p.mean[2], 123.68);
    ck_assert_uint_eq(p.struct_size, sizeof p);
    ck_assert_int_eq(ln_preprocess_preset(&p, "keras", &err), LN_E_ARGUMENT);
    ck_assert_ptr_ne(strstr(err.text, "keras"), NULL);
    ck_assert_int_eq(ln_preprocess_preset(NULL, "raw", NULL), LN_E_ARGUMENT);
    ck_assert_int_eq(ln_preprocess_preset(&p, NULL, NULL), LN_E_ARGUMENT);
}
END_TEST

START_TEST(resolving_fills_defaults_and_refuses_nonsense)
{
    ln_preprocess p = LN_PREPROCESS_INIT, out = resolved(NULL, 3, 32, 48);

    ck_assert_uint_eq(out.resize, 48);
    ck_assert_uint_eq(out.crop_height, 32);
    ck_assert_uint_eq(out.crop_width, 48);
    ck_assert_double_eq(out.scale, 1.0 / 255);
    ck_assert_double_eq(out.std[3], 1);
#define REFUSED(status, change)                                                     \
    do {                                                                            \
        ln_preprocess q = p;                                                        \
        change;                                                                     \
        ck_assert_int_eq(ln__preprocess_resolve(&out, &q, 3, 32, 32, NULL), status);\
    } while (0)
    REFUSED(LN_E_ARGUMENT, q.scale = NAN);
    REFUSED(LN_E_ARGUMENT, q.mean[1] = INFINITY);
    REFUSED(LN_E_ARGUMENT, q.std[2] = NAN);
    REFUSED(LN_E_ARGUMENT, q.std[2] = -1);
    REFUSED(LN_E_ARGUMENT, q.std[0] = INFINITY);
    REFUSED(LN_E_ARGUMENT, q.std[0] = 1e-300);
    REFUSED(LN_E_ARGUMENT, q.order = 2);
    REFUSED(LN_E_ARGUMENT, q.resize = 31);
    REFUSED(LN_E_ARGUMENT, q.resize = 100000);
    REFUSED(LN_E_MISMATCH, q.crop_height = 31);
    REFUSED(LN_OK, q.resize = 32);
#undef REFUSED
    ck_assert_int_eq(ln__preprocess_resolve(&out, NULL, 3, 0, 32, NULL), LN_E_UNSUPPORTED);
}
END_TEST

START_TEST(long_and_thin_pictures_take_little_memory)
{
    heap h;
    ln_allocator a = heap_start(&h, 0);
    ln__ctx ctx = ln__ctx_make(&a, NULL, NULL);
    ln__picture tall = pattern_picture(1, 60000, 3), wide = pattern_picture(60000, 1, 3);
    ln_preprocess full = resolved(NULL, 3, 32, 32);
    float out[3 * 32 * 32];

    ck_assert_int_eq(ln__picture_preprocess(out, &tall, &full, 3, &ctx, NULL), LN_OK);
    ck_assert_int_eq(ln__picture_preprocess(out, &wide, &full, 3, &ctx, NULL), LN_OK);
    ck_assert_uint_eq(h.blocks, 0);
    ck_assert_msg(h.most < 100000, "%zu bytes were taken", h.most);
    drop(&tall);
    drop(&wide);
}
END_TEST

START_TEST(a_crop_larger_than_the_picture_is_refused)
{
    ln__ctx ctx = plain();
    ln__picture p = pattern_picture(30, 90, 1);
    ln_preprocess wish = LN_PREPROCESS_INIT, full;
    ln_error err;
    float out[40 * 80];

    wish.resize = 60;
    full = resolved(&wish, 1, 40, 80);
    ck_assert_int_eq(ln__picture_preprocess(out, &p, &full, 1, &ctx, &err), LN_E_MISMATCH);
    ck_assert_ptr_ne(strstr(err.text, "60 x 180"), NULL);
    drop(&p);
}
END_TEST

/* ---- Memory runs out ------------------------------------------------------------- */

START_TEST(every_failed_allocation_is_survived)
{
    ln_preprocess full = resolved(NULL, 3, 8, 8);
    float out[3 * 8 * 8];

    for (size_t i = 0; i < SMALL; i++) {
        bytes b = make_small(i);
        for (size_t n = 1;; n++) {
            heap h;
            ln_allocator a = heap_start(&h, n);
            ln__ctx ctx = ln__ctx_make(&a, NULL, NULL);
            ln__picture p;
            ln_status st = ln__picture_decode(&p, &ctx, b.data, b.size, NULL, "p", NULL);
            if (st == LN_OK)
                st = ln__picture_preprocess(out, &p, &full, 3, &ctx, NULL);
            ln__picture_free(&p, &ctx);
            ck_assert_uint_eq(h.blocks, 0);
            if (st == LN_OK) {
                ck_assert_uint_lt(h.calls, n);
                break;
            }
            ck_assert_int_eq(st, LN_E_NOMEM);
        }
        bytes_free(&b);
    }
}
END_TEST

/* ---- Flips and truncations ----------------------------------------------------------- */

static void damage(bytes *to, const bytes *from, ln__rng *rng)
{
    uint32_t flips = 1 + ln__rng_below(rng, 4);

    memcpy(to->data, from->data, from->size);
    to->size = from->size;
    if (ln__rng_below(rng, 4) == 0)
        to->size = ln__rng_below(rng, (uint32_t)from->size);
    for (uint32_t i = 0; i < flips && to->size > 0; i++)
        to->data[ln__rng_below(rng, (uint32_t)to->size)] ^= (uint8_t)(1 << ln__rng_below(rng, 8));
}

/* LN_TEST_FLIPS says how many; the usual few are enough to see a change go wrong. */
START_TEST(damaged_pictures_never_crash_or_print)
{
    const char *asked = getenv("LN_TEST_FLIPS");
    long flips = asked ? atol(asked) : 1600;
    char said[] = "/tmp/leenet-test-said.XXXXXX";
    int log = mkstemp(said), out = dup(1), other = dup(2);
    ln_preprocess full = resolved(NULL, 3, 16, 16);
    ln__rng rng = ln__rng_make(7, 1);
    ln__ctx ctx = plain();
    float input[3 * 16 * 16];
    long read = 0;
    struct stat info;

    fflush(stdout);
    ck_assert_int_ge(log, 0);
    unlink(said);
    dup2(log, 1);
    dup2(log, 2);
    for (size_t i = 0; i < SMALL; i++) {
        bytes b = make_small(i), bad = { malloc(b.size), 0 };
        for (long k = 0; k < flips / SMALL; k++) {
            bytes exact;
            ln__picture p;
            damage(&bad, &b, &rng);
            exact.data = malloc(bad.size + 1);      /* so that a sanitizer sees its end */
            exact.data = realloc(exact.data, bad.size ? bad.size : 1);
            exact.size = bad.size;
            memcpy(exact.data, bad.data, bad.size);
            if (decode(&p, &exact, 8, NULL) == LN_OK) {
                read++;
                (void)ln__picture_preprocess(input, &p, &full, 3, &ctx, NULL);
                drop(&p);
            }
            bytes_free(&exact);
        }
        bytes_free(&b);
        bytes_free(&bad);
    }
    dup2(out, 1);
    dup2(other, 2);
    ck_assert_int_eq(fstat(log, &info), 0);
    ck_assert_int_eq(info.st_size, 0);
    ck_assert_int_lt(read, flips);
    close(log);
    close(out);
    close(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *cases = tcase_create("image");

    tcase_set_timeout(cases, 600);
    tcase_add_test(cases, every_kind_of_png_gives_its_pixels);
    tcase_add_test(cases, every_kind_of_jpeg_gives_its_pixels);
    tcase_add_test(cases, exif_orientation_turns_the_picture);
    tcase_add_test(cases, damaged_exif_is_as_none);
    tcase_add_test(cases, jpeg_shrinks_but_never_below_what_is_asked);
    tcase_add_test(cases, a_file_cut_off_anywhere_is_an_error);
    tcase_add_test(cases, other_files_are_refused_by_name);
    tcase_add_test(cases, kinds_of_jpeg_without_bounds_are_refused);
    tcase_add_test(cases, jpegs_of_very_many_scans_are_refused);
    tcase_add_test(cases, sizes_are_checked_before_memory_is_taken);
    tcase_add_test(cases, pixels_at_the_limit_are_read);
    tcase_add_test(cases, scaling_gives_pillows_pixels);
    tcase_add_test(cases, the_crop_is_where_torchvision_puts_it);
    tcase_add_test(cases, channels_are_ordered_scaled_and_shifted);
    tcase_add_test(cases, presets_have_names);
    tcase_add_test(cases, resolving_fills_defaults_and_refuses_nonsense);
    tcase_add_test(cases, long_and_thin_pictures_take_little_memory);
    tcase_add_test(cases, a_crop_larger_than_the_picture_is_refused);
    tcase_add_test(cases, every_failed_allocation_is_survived);
    tcase_add_test(cases, damaged_pictures_never_crash_or_print);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
