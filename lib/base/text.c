/* text.c - numbers and strings whose form does not depend on the locale. */
#include "base/base.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The calling thread works in the "C" locale between these two. Other threads
 * are not touched, and the thread gets its own locale back. */
typedef struct plain_locale { locale_t plain, before; } plain_locale;

static plain_locale enter_plain_locale(void)
{
    plain_locale l = { newlocale(LC_ALL_MASK, "C", (locale_t)0), (locale_t)0 };

    if (l.plain != (locale_t)0)
        l.before = uselocale(l.plain);
    return l;
}

static void leave_plain_locale(plain_locale l)
{
    if (l.plain == (locale_t)0)
        return;
    uselocale(l.before);
    freelocale(l.plain);
}

int ln__vformat(char *out, size_t size, const char *format, va_list args)
{
    int saved = errno;
    plain_locale l = enter_plain_locale();
    int length = vsnprintf(out, size, format, args);

    leave_plain_locale(l);
    errno = saved;
    return length;
}

static int format_into(char *out, size_t size, const char *format, ...) LN__PRINTF(3, 4);
static int format_into(char *out, size_t size, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = ln__vformat(out, size, format, args);
    va_end(args);
    return length;
}

void ln__format_double(char out[32], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        format_into(out, 32, "%.*g", digits, value);
        if (isnan(value) || (ln__parse_double(out, &back) && back == value))
            return;
    }
}

bool ln__parse_double(const char *text, double *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int saved = errno, error;
    plain_locale l;
    double value;
    char *end;

    /* strtod would also take leading blanks and hexadecimal. */
    if (strchr("0123456789.in", *digits) == NULL || *digits == '\0'
        || digits[1] == 'x' || digits[1] == 'X')
        return false;
    l = enter_plain_locale();
    errno = 0;
    value = strtod(text, &end);
    error = errno;
    leave_plain_locale(l);
    errno = saved;
    if (end == text || *end != '\0' || (error == ERANGE && fabs(value) > 1.0))
        return false;
    *out = value;
    return true;
}

bool ln__parse_uint(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(unsigned char)*text - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* Bytes of the well-formed UTF-8 sequence at `s`, 0 if there is none. */
size_t ln__utf8_step(const unsigned char *s, size_t left)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3
                  : s[0] < 0xf5 ? 4 : 0;

    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)
        || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

bool ln__utf8_valid(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;

    while (length > 0) {
        size_t step = ln__utf8_step(s, length);
        if (step == 0)
            return false;
        s += step;
        length -= step;
    }
    return true;
}

/* ---- Buffer ------------------------------------------------------------------ */

void ln__buffer_init(ln__buffer *buffer, const ln__ctx *ctx)
{
    buffer->ctx = ctx;
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
    buffer->ok = true;
}

static bool buffer_reserve(ln__buffer *buffer, size_t more)
{
    size_t need;

    if (buffer->ok
        && (!ln__add_size(buffer->size, more, &need)
            || !LN__RESERVE(buffer->ctx, buffer->data, buffer->capacity, need)))
        buffer->ok = false;
    return buffer->ok;
}

void ln__buffer_put(ln__buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0 || !buffer_reserve(buffer, size))
        return;
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
}

void ln__buffer_printf(ln__buffer *buffer, const char *format, ...)
{
    char few[256];
    va_list args;
    int length;

    va_start(args, format);
    length = ln__vformat(few, sizeof few, format, args);
    va_end(args);
    if (length < 0) {
        buffer->ok = false;
    } else if ((size_t)length < sizeof few) {
        ln__buffer_put(buffer, few, (size_t)length);
    } else if (buffer_reserve(buffer, (size_t)length + 1)) {
        va_start(args, format);
        ln__vformat((char *)buffer->data + buffer->size, (size_t)length + 1, format, args);
        va_end(args);
        buffer->size += (size_t)length;
    }
}

void ln__buffer_free(ln__buffer *buffer)
{
    ln__free(buffer->ctx, buffer->data);
    ln__buffer_init(buffer, buffer->ctx);
}
