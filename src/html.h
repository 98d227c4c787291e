/* html.h - writing a page: escaped text, and numbers as people read them. */
#ifndef LEENET_HTML_H
#define LEENET_HTML_H

#include "tool.h"

/* `text` for HTML text and attributes: markup escaped, bytes that are no UTF-8 and control characters replaced. */
void html_text(FILE *to, const char *text);
void html_base64(FILE *to, const unsigned char *bytes, size_t size);

/* "data:image/jpeg;base64,..." of a picture [height][width][channels], channels 1 or 3. */
void html_picture(FILE *to, const unsigned char *pixels, uint32_t width, uint32_t height, uint32_t channels);

#endif
