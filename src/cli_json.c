/* cli_json.c - JSON lines. The tool never leaves the C locale, so numbers
 * have a point whatever the user's language. */
#include <math.h>
#include <string.h>

#include "tool.h"

size_t utf8_length(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 :
               s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* Bytes that are no UTF-8 (file names may hold any) become \udc80..\udcff, as
 * Python's "surrogateescape" writes and reads them: nothing is lost. */
static void put_string(FILE *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    putc('"', to);
    while (*s) {
        size_t n = utf8_length(s);
        if (n == 0) {
            fprintf(to, "\\udc%02x", *s++);
            continue;
        }
        if (*s == '"' || *s == '\\')
            fprintf(to, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            fprintf(to, "\\u%04x", *s);
        else
            fwrite(s, 1, n, to);
        s += n;
    }
    putc('"', to);
}

static void begin_member(json *j, const char *key)
{
    if (j->more[j->depth])
        fputs(", ", j->to);
    j->more[j->depth] = true;
    if (key) {
        put_string(j->to, key);
        fputs(": ", j->to);
    }
}

void json_start(json *j, FILE *to)
{
    memset(j, 0, sizeof *j);
    j->to = to;
    putc('{', to);
}

void json_finish(json *j)
{
    fputs("}\n", j->to);
    fflush(j->to);
}

void json_text(json *j, const char *key, const char *value)
{
    begin_member(j, key);
    put_string(j->to, value);
}

void json_real(json *j, const char *key, double value)
{
    begin_member(j, key);
    if (isfinite(value))
        fprintf(j->to, "%.9g", value);
    else
        fputs("null", j->to);
}

void json_whole(json *j, const char *key, uint64_t value)
{
    begin_member(j, key);
    fprintf(j->to, "%llu", (unsigned long long)value);
}

void json_bool(json *j, const char *key, bool value)
{
    begin_member(j, key);
    fputs(value ? "true" : "false", j->to);
}

void json_open(json *j, const char *key, char bracket)
{
    begin_member(j, key);
    putc(bracket, j->to);
    j->more[++j->depth] = false;
}

void json_close(json *j, char bracket)
{
    putc(bracket, j->to);
    j->depth--;
}
