/* image_jpeg.c - JPEG through libjpeg-turbo. */
#include "image/image_private.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* Huffman codes spend at least a bit on each block of 64 pixels. Arithmetic
 * coding has no such bound, and hardly anyone uses it: it is refused. */
#define MOST_PIXELS_PER_BYTE 512
/* A progressive file of many empty scans takes very long; real ones have some ten. */
#define MAX_SCANS 200

typedef struct jpeg_work {
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf escape;
    const ln__decode_job *job;
    ln_error *err;
    ln_status status;
    ln__picture picture;
    uint8_t *cmyk;              /* one row */
} jpeg_work;

static void fail_with(jpeg_work *work, ln_status status, const char *text)
{
    work->status = ln__fail(work->err, status, "%s: JPEG: %s", work->job->name, text);
    longjmp(work->escape, 1);
}

static void on_error(j_common_ptr jpeg)
{
    jpeg_work *work = jpeg->client_data;
    ln_status status = LN_E_FORMAT;
    char text[JMSG_LENGTH_MAX];

    switch (jpeg->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        status = LN_E_NOMEM;
        break;
    case JERR_IMAGE_TOO_BIG: case JERR_WIDTH_OVERFLOW:
        status = LN_E_LIMIT;
        break;
    case JERR_BAD_PRECISION: case JERR_SOF_UNSUPPORTED: case JERR_ARITH_NOTIMPL: case JERR_NOT_COMPILED:
    case JERR_NOTIMPL: case JERR_CONVERSION_NOTIMPL: case JERR_CCIR601_NOTIMPL: case JERR_FRACT_SAMPLE_NOTIMPL:
        status = LN_E_UNSUPPORTED;
        break;
    default:
        break;
    }
    jpeg->err->format_message(jpeg, text);
    fail_with(work, status, text);
}

/* libjpeg goes on after damage and paints grey; for us that is an error. The
 * other warnings (stray bytes between segments, odd versions) lose no pixel. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF: case JWRN_HIT_MARKER: case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
        on_error(jpeg);
        break;
    default:
        break;
    }
}

static void on_print(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void source_start(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean source_fill(j_decompress_ptr jpeg)
{
    fail_with(jpeg->client_data, LN_E_FORMAT, "the file ends early");
    return FALSE;
}

static void source_skip(j_decompress_ptr jpeg, long bytes)
{
    if (bytes <= 0)
        return;
    if ((unsigned long)bytes > jpeg->src->bytes_in_buffer)
        source_fill(jpeg);
    jpeg->src->next_input_byte += bytes;
    jpeg->src->bytes_in_buffer -= (size_t)bytes;
}

static void source_stop(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    jpeg_work *work = jpeg->client_data;

    if (work->jpeg.input_scan_number > MAX_SCANS)
        fail_with(work, LN_E_LIMIT, "more than 200 scans");
}

static void set_up(jpeg_work *work)
{
    struct jpeg_decompress_struct *jpeg = &work->jpeg;

    jpeg_std_error(&work->errors);
    work->errors.error_exit = on_error;
    work->errors.emit_message = on_message;
    work->errors.output_message = on_print;
    jpeg->err = &work->errors;
    jpeg->client_data = work;
    work->source.init_source = source_start;
    work->source.fill_input_buffer = source_fill;
    work->source.skip_input_data = source_skip;
    work->source.resync_to_restart = jpeg_resync_to_restart;
    work->source.term_source = source_stop;
    work->source.next_input_byte = work->job->bytes;
    work->source.bytes_in_buffer = work->job->size;
    work->progress.progress_monitor = on_progress;
}

static void choose_output(jpeg_work *work)
{
    struct jpeg_decompress_struct *jpeg = &work->jpeg;
    uint32_t shorter = LN__MIN(jpeg->image_width, jpeg->image_height);

    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
        jpeg->out_color_space = JCS_GRAYSCALE;
        break;
    case JCS_RGB: case JCS_YCbCr:
        jpeg->out_color_space = JCS_RGB;
        break;
    case JCS_CMYK: case JCS_YCCK:
        jpeg->out_color_space = JCS_CMYK;
        break;
    default:
        fail_with(work, LN_E_UNSUPPORTED, "colours are neither grey, RGB nor CMYK");
    }
    jpeg->scale_num = 1;
    jpeg->scale_denom = 1;
    for (uint32_t d = 8; d >= 2 && work->job->shrink_to != 0; d /= 2) {
        if ((shorter + d - 1) / d >= work->job->shrink_to) {
            jpeg->scale_denom = d;
            break;
        }
    }
}

static uint32_t find_orientation(const jpeg_work *work)
{
    for (jpeg_saved_marker_ptr m = work->jpeg.marker_list; m; m = m->next) {
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            return ln__exif_orientation(m->data, m->data_length);
    }
    return 1;
}

/* a * b / 255, rounded. */
static uint32_t times(uint32_t a, uint32_t b)
{
    uint32_t t = a * b + 128;

    return (t + (t >> 8)) >> 8;
}

static void cmyk_to_rgb(uint8_t *to, const uint8_t *from, uint32_t width, bool inverted)
{
    uint32_t flip = inverted ? 0 : 255;     /* Adobe's files hold 255 - ink */

    for (uint32_t x = 0; x < width; x++, to += 3, from += 4) {
        uint32_t light = from[3] ^ flip;
        for (int c = 0; c < 3; c++)
            to[c] = (uint8_t)(light - times((from[c] ^ flip) ^ 255, light));
    }
}

static void read_rows(jpeg_work *work)
{
    struct jpeg_decompress_struct *jpeg = &work->jpeg;
    size_t stride = (size_t)work->picture.width * work->picture.channels;

    for (uint32_t y = 0; y < work->picture.height; y++) {
        uint8_t *to = work->picture.owned + y * stride;
        JSAMPROW row = work->cmyk ? work->cmyk : to;
        if (jpeg_read_scanlines(jpeg, &row, 1) != 1)
            fail_with(work, LN_E_FORMAT, "the file ends early");
        if (work->cmyk)
            cmyk_to_rgb(to, row, work->picture.width, jpeg->saw_Adobe_marker);
    }
}

/* Everything that may jump. What it takes is freed by its caller. */
static ln_status read_jpeg(jpeg_work *work, ln_error *err)
{
    struct jpeg_decompress_struct *jpeg = &work->jpeg;
    const ln__ctx *ctx = work->job->ctx;
    uint32_t orientation;
    ln_status st;

    if (setjmp(work->escape))
        return work->status;
    jpeg_create_decompress(jpeg);
    jpeg->src = &work->source;
    jpeg->progress = &work->progress;
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->arith_code)
        fail_with(work, LN_E_UNSUPPORTED, "arithmetic coding");
    st = ln__decode_check_size(work->job, jpeg->image_width, jpeg->image_height, MOST_PIXELS_PER_BYTE, err);
    if (st < 0)
        return st;
    choose_output(work);
    orientation = find_orientation(work);
    jpeg_start_decompress(jpeg);
    st = ln__picture_new(&work->picture, ctx, jpeg->output_width, jpeg->output_height,
                         jpeg->out_color_space == JCS_GRAYSCALE ? 1 : 3, err);
    if (st < 0)
        return st;
    if (jpeg->out_color_space == JCS_CMYK) {
        work->cmyk = ln__array(ctx, jpeg->output_width, 4);
        if (!work->cmyk)
            return ln__fail_nomem(err, ctx, (size_t)jpeg->output_width * 4);
    }
    read_rows(work);
    jpeg_finish_decompress(jpeg);
    return ln__picture_orient(&work->picture, ctx, orientation, err);
}

ln_status ln__jpeg_decode(ln__picture *out, const ln__decode_job *job, ln_error *err)
{
    jpeg_work work;
    ln_status st;

    memset(&work, 0, sizeof work);
    work.job = job;
    work.err = err;
    set_up(&work);
    st = read_jpeg(&work, err);
    jpeg_destroy_decompress(&work.jpeg);
    ln__free(job->ctx, work.cmyk);
    if (st < 0)
        ln__picture_free(&work.picture, job->ctx);
    else
        *out = work.picture;
    return st;
}
