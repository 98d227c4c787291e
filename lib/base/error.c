/* error.c - filling the caller's ln_error, log lines, sized structs. */
#include "base/base.h"

#include <locale.h>
#include <string.h>

_Static_assert(sizeof(ln_error) == 512, "ln_error is frozen at 512 bytes");

/* Turns what came from files into one printable line: control characters and
 * bytes that are not UTF-8 become '?'; a text that was cut ends in "...". */
static void tidy(char *text, size_t size, bool cut)
{
    size_t length = strlen(text), at = 0;

    if (cut) {
        size_t keep = size - 4;
        while (keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80)
            keep--;
        memcpy(text + keep, "...", 4);
        length = keep + 3;
    }
    while (at < length) {
        size_t step = ln__utf8_step((const unsigned char *)text + at, length - at);
        if (step == 0 || (step == 1 && ((unsigned char)text[at] < 0x20 || text[at] == 0x7f))) {
            text[at] = '?';
            step = 1;
        }
        at += step;
    }
}

static void print_tidy(char *text, size_t size, const char *format, va_list args)
{
    int length = ln__vformat(text, size, format, args);

    if (length < 0)
        text[0] = '\0';
    tidy(text, size, length >= (int)size);
}

static void join_tidy(char *text, size_t size, const char *tail)
{
    size_t length = strlen(text), room = size - 1 - length, more = strlen(tail);
    bool cut = more > room;

    memcpy(text + length, tail, cut ? room : more);
    text[length + (cut ? room : more)] = '\0';
    tidy(text, size, cut);
}

/* Arguments may point into err->text, so the line is made beside it. */
static ln_status set_error(ln_error *err, ln_status status, int32_t detail, const char *line)
{
    if (err != NULL) {
        err->status = status;
        err->detail = detail;
        memcpy(err->text, line, strlen(line) + 1);
    }
    return status;
}

ln_status ln__fail(ln_error *err, ln_status status, const char *format, ...)
{
    char line[sizeof err->text];
    va_list args;

    if (err == NULL)
        return status;
    va_start(args, format);
    print_tidy(line, sizeof line, format, args);
    va_end(args);
    return set_error(err, status, 0, line);
}

ln_status ln__fail_errno(ln_error *err, ln_status status, int number, const char *format, ...)
{
    char line[sizeof err->text];
    locale_t plain;
    va_list args;

    if (err == NULL)
        return status;
    va_start(args, format);
    print_tidy(line, sizeof line, format, args);
    va_end(args);
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain != (locale_t)0) {
        join_tidy(line, sizeof line, ": ");
        join_tidy(line, sizeof line, strerror_l(number, plain));
        freelocale(plain);
    }
    return set_error(err, status, number, line);
}

ln_status ln__fail_nomem(ln_error *err, const ln__ctx *ctx, size_t bytes)
{
    (void)ctx;
    return bytes == 0 ? ln__fail(err, LN_E_NOMEM, "out of memory")
                      : ln__fail(err, LN_E_NOMEM, "out of memory: %zu bytes were needed", bytes);
}

ln_status ln__fail_prefix(ln_error *err, ln_status status, const char *format, ...)
{
    char line[sizeof err->text];
    va_list args;

    if (err == NULL)
        return status;
    va_start(args, format);
    print_tidy(line, sizeof line, format, args);
    va_end(args);
    join_tidy(line, sizeof line, ": ");
    join_tidy(line, sizeof line, err->text);
    return set_error(err, status, err->detail, line);
}

void ln__log(const ln__ctx *ctx, int32_t level, const char *format, ...)
{
    char line[512];
    va_list args;

    if (ctx->log == NULL)
        return;
    va_start(args, format);
    print_tidy(line, sizeof line, format, args);
    va_end(args);
    ctx->log(level, line, ctx->log_payload);
}

/* ---- Structs that begin with their size ---------------------------------------- */

/* No struct of any release comes near this: a size beyond it is one that was
 * never set. */
#define LARGEST_STRUCT 4096u

static ln_status check_struct_size(size_t size, size_t least, const char *what, ln_error *err)
{
    if (size < least || size > LARGEST_STRUCT)
        return ln__fail(err, LN_E_ARGUMENT,
                        "%s: struct_size is %zu; start the struct with its _INIT macro", what, size);
    return LN_OK;
}

ln_status ln__info_check(const void *info, size_t least, const char *what, ln_error *err)
{
    size_t size;

    memcpy(&size, info, sizeof size);
    return check_struct_size(size, least, what, err);
}

ln_status ln__options_copy(void *to, size_t to_size, const void *from, const char *what, ln_error *err)
{
    const unsigned char *bytes = from;
    size_t size;
    ln_status st;

    memset(to, 0, to_size);
    memcpy(to, &to_size, sizeof to_size);
    if (from == NULL)
        return LN_OK;
    memcpy(&size, from, sizeof size);
    st = check_struct_size(size, sizeof size, what, err);
    if (st < 0)
        return st;
    for (size_t i = to_size; i < size; i++)
        if (bytes[i] != 0)
            return ln__fail(err, LN_E_UNSUPPORTED,
                            "%s: byte %zu is set, but this library knows %zu bytes of it; "
                            "the program was built for a newer libleenet", what, i, to_size);
    memcpy(to, from, LN__MIN(size, to_size));
    memcpy(to, &to_size, sizeof to_size);
    return LN_OK;
}

ln_status ln__info_copy(void *to, const void *from, size_t from_size, const char *what, ln_error *err)
{
    unsigned char *bytes = to;
    size_t size;
    ln_status st;

    memcpy(&size, to, sizeof size);
    st = check_struct_size(size, sizeof size, what, err);
    if (st < 0)
        return st;
    memcpy(to, from, LN__MIN(size, from_size));
    if (size > from_size)
        memset(bytes + from_size, 0, size - from_size);
    memcpy(to, &size, sizeof size);
    return LN_OK;
}
