/* cli_lists.c - lists of numbers on the command line. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static bool read_number(const char *text, double low, double high, double *out, const char **rest)
{
    char *end;

    *out = strtod(text, &end);
    *rest = end;
    return end != text && isfinite(*out) && *out >= low && *out <= high;
}

static bool read_range(cli_list *list, const char *text, double low, double high, size_t most)
{
    const char *rest;
    char *end;
    double from, to;
    unsigned long count;

    if (!read_number(text, low, high, &from, &rest) || *rest != ':' || !read_number(rest + 1, low, high, &to, &rest) ||
        *rest != ':' || rest[1] < '0' || rest[1] > '9')
        return false;
    count = strtoul(rest + 1, &end, 10);
    if (*end || count < 2 || count > most)
        return false;
    list->value = tool_alloc(count, sizeof *list->value);
    for (; list->count < count; list->count++)
        list->value[list->count] = from + (to - from) * (double)list->count / (double)(count - 1);
    return true;
}

bool list_read(cli_list *list, const char *text, double low, double high, size_t most)
{
    size_t count = 1;

    list->value = NULL;
    list->count = 0;
    if (strchr(text, ':'))
        return read_range(list, text, low, high, most);
    for (const char *c = text; *c; c++)
        count += *c == ',';
    if (count > most)
        return false;
    list->value = tool_alloc(count, sizeof *list->value);
    for (; list->count < count; list->count++) {
        if (!read_number(text, low, high, &list->value[list->count], &text))
            return false;
        if (*text != (list->count + 1 < count ? ',' : '\0'))
            return false;
        text++;
    }
    return true;
}

int policies_read(int32_t *out, size_t *count, const char *command, const char *text)
{
    char word[32];
    ln_error err = { 0 };

    for (*count = 0; *text || *count == 0; ++*count) {
        size_t n = strcspn(text, ",");
        if (*count == LN_POLICY_ORACLE)
            return cli_wrong(command, "--policies: more than there are");
        snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), text);
        if (ln_policy_find(&out[*count], word, &err) < 0)
            return cli_wrong(command, "--policies: %s", err.text);
        if (out[*count] == LN_POLICY_ORACLE)
            return cli_wrong(command, "--policies: the oracle knows the answers; it has no settings");
        text += n + (text[n] == ',');
    }
    return TOOL_DONE;
}
