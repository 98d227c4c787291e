/* cli_html.c - text and pictures inside a page. */
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "html.h"

void html_text(FILE *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        size_t n = utf8_length(s);
        if (n == 0 || *s < 0x20 || *s == 0x7f) {
            fputs("\xef\xbf\xbd", to);
            s++;
            continue;
        }
        switch (*s) {
        case '&': fputs("&amp;", to); break;
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '"': fputs("&quot;", to); break;
        case '\'': fputs("&#39;", to); break;
        default: fwrite(s, 1, n, to);
        }
        s += n;
    }
}

void html_base64(FILE *to, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t word = (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (n > 2 ? bytes[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            putc(k <= n ? digits[word >> (18 - 6 * k) & 63] : '=', to);
    }
}

/* Small pictures are shown enlarged, where colours at half resolution would be seen. */
static void set_quality(struct jpeg_compress_struct *jpeg, uint32_t width)
{
    jpeg_set_quality(jpeg, width < 64 ? 95 : 84, TRUE);
    jpeg->optimize_coding = TRUE;
    if (width < 64 && jpeg->num_components == 3)
        jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1;
}

void html_picture(FILE *to, const unsigned char *pixels, uint32_t width, uint32_t height, uint32_t channels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = (int)channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    set_quality(&jpeg, width);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < height) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)jpeg.next_scanline * width * channels);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fputs("data:image/jpeg;base64,", to);
    html_base64(to, bytes, size);
    free(bytes);
}
