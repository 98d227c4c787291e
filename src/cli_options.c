/* cli_options.c - command line to option values. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

int cli_wrong(const char *command, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "leenet %s: ", command);
    print_safe(stderr, text);
    fprintf(stderr, "\ntry 'leenet %s --help'\n", command);
    return TOOL_USAGE;
}

static bool read_whole(const char *text, uint64_t *out, const char **rest)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    *rest = end;
    return errno == 0;
}

static bool read_bytes(const char *text, uint64_t *out)
{
    const char *rest;
    unsigned shift = 0;

    if (!read_whole(text, out, &rest) || *out == 0)
        return false;
    if (*rest) {
        static const char units[] = "KMGTkmgt";
        const char *unit = strchr(units, *rest);
        if (!unit || rest[1])
            return false;
        shift = 10 * ((unsigned)(unit - units) % 4 + 1);
    }
    if (*out > UINT64_MAX >> shift)
        return false;
    *out <<= shift;
    return true;
}

static bool read_real(const char *text, double low, double high, double *out, const char **rest)
{
    char *end;

    *out = strtod(text, &end);
    *rest = end;
    return end != text && isfinite(*out) && *out >= low && *out <= high;
}

static bool read_reals(const char *text, double low, double high, cli_reals *out)
{
    out->count = 0;
    for (;;) {
        const char *rest;
        if (out->count == 4 || !read_real(text, low, high, &out->value[out->count], &rest))
            return false;
        out->count++;
        if (!*rest)
            return true;
        if (*rest != ',')
            return false;
        text = rest + 1;
    }
}

/* "N" for a square or "HxW". */
static bool read_size(const cli_option *o, const char *text, uint32_t *out)
{
    const char *rest;
    uint64_t side[2];

    if (!read_whole(text, &side[0], &rest))
        return false;
    side[1] = side[0];
    if (*rest && (*rest != 'x' || !read_whole(rest + 1, &side[1], &rest) || *rest))
        return false;
    for (size_t i = 0; i < 2; i++) {
        if ((double)side[i] < o->low || (double)side[i] > o->high)
            return false;
        out[i] = (uint32_t)side[i];
    }
    return true;
}

static bool read_choice(const char *text, const char *choices, int *out)
{
    size_t length = strlen(text);

    for (int i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (n == length && memcmp(text, choices, n) == 0) {
            *out = i;
            return true;
        }
        if (!choices[n])
            return false;
        choices += n + 1;
    }
}

static int wrong_value(const cli *c, const cli_option *o, const char *text)
{
    switch (o->kind) {
    case CLI_COUNT:
        return cli_wrong(c->command, "%s: '%s' is not a whole number from %.0f to %.0f",
                         o->name, text, o->low, o->high);
    case CLI_WHOLE:
        return cli_wrong(c->command, "%s: '%s' is not a whole number from 0 to %llu",
                         o->name, text, (unsigned long long)UINT64_MAX);
    case CLI_BYTES:
        return cli_wrong(c->command, "%s: '%s' is not a number of bytes above 0, such as 500M or 4G",
                         o->name, text);
    case CLI_REAL:
        return cli_wrong(c->command, "%s: '%s' is not a number from %g to %g",
                         o->name, text, o->low, o->high);
    case CLI_REALS:
        return cli_wrong(c->command, "%s: '%s' is not one to four numbers from %g to %g, separated by commas",
                         o->name, text, o->low, o->high);
    case CLI_SIZE:
        return cli_wrong(c->command, "%s: '%s' is not %s, in pixels from %.0f to %.0f",
                         o->name, text, o->value, o->low, o->high);
    case CLI_CHOICE:
        return cli_wrong(c->command, "%s: '%s' is not one of %s", o->name, text, o->value);
    case CLI_POINT:
        return cli_wrong(c->command, "%s: '%s' is not an operating point's number%s",
                         o->name, text, o->high > 0 ? " or 'all'" : "");
    default:
        return cli_wrong(c->command, "%s: needs a %s that is not empty", o->name, o->value);
    }
}

static bool read_number(const cli_option *o, const char *text)
{
    const char *rest;
    uint64_t whole;

    if (o->kind == CLI_POINT && o->high > 0 && strcmp(text, "all") == 0) {
        *(int64_t *)o->to = -1;
        return true;
    }
    if (!read_whole(text, &whole, &rest) || *rest)
        return false;
    switch (o->kind) {
    case CLI_COUNT:
        if ((double)whole < o->low || (double)whole > o->high)
            return false;
        *(uint32_t *)o->to = (uint32_t)whole;
        return true;
    case CLI_POINT:
        if (whole > UINT32_MAX)
            return false;
        *(int64_t *)o->to = (int64_t)whole;
        return true;
    default:
        *(uint64_t *)o->to = whole;
        return true;
    }
}

static bool read_value(const cli_option *o, const char *text)
{
    const char *rest;

    switch (o->kind) {
    case CLI_TEXT:
        *(const char **)o->to = text;
        return text[0] != '\0';
    case CLI_BYTES:
        return read_bytes(text, o->to);
    case CLI_REAL:
        return read_real(text, o->low, o->high, o->to, &rest) && !*rest;
    case CLI_REALS:
        return read_reals(text, o->low, o->high, o->to);
    case CLI_SIZE:
        return read_size(o, text, o->to);
    case CLI_CHOICE:
        return read_choice(text, o->value, o->to);
    default:
        return read_number(o, text);
    }
}

/* The option that `arg` names, up to `length` of it. */
static const cli_option *find_option(const cli *c, const char *arg, size_t length)
{
    for (const cli_option *o = c->options; o->help; o++) {
        if (o->kind == CLI_HEADING)
            continue;
        if (length == 2 && arg[0] == '-' && o->letter && arg[1] == o->letter)
            return o;
        if (strlen(o->name) == length && memcmp(o->name, arg, length) == 0)
            return o;
    }
    return NULL;
}

/* The length of the option's name in `arg`: "--name=value" and "-nvalue" hold
 * a value too. */
static size_t name_length(const char *arg)
{
    if (arg[1] != '-')
        return 2;
    return strcspn(arg, "=");
}

/* The value that stands in the option's own argument, or is the next one. */
static const char *find_value(const cli *c, int argc, char **argv, int *at, size_t length)
{
    const char *arg = argv[*at], *next = *at + 1 < argc ? argv[*at + 1] : NULL;

    if (arg[length])
        return arg + length + (arg[length] == '=');
    if (!next || strncmp(next, "--", 2) == 0 || find_option(c, next, strlen(next)))
        return NULL;
    ++*at;
    return next;
}

static int take_option(const cli *c, int argc, char **argv, int *at)
{
    const char *arg = argv[*at], *text;
    size_t length = name_length(arg);
    const cli_option *o = find_option(c, arg, length);

    if (!o)
        return cli_wrong(c->command, "unknown option '%.*s'", (int)length, arg);
    if (o->kind == CLI_FLAG) {
        if (arg[length])
            return cli_wrong(c->command, "%s takes no value", o->name);
        *(bool *)o->to = true;
        return CLI_GO;
    }
    text = find_value(c, argc, argv, at, length);
    if (!text)
        return cli_wrong(c->command, "%s needs a value: %s", o->name, o->value);
    return read_value(o, text) ? CLI_GO : wrong_value(c, o, text);
}

static int check_operands(const cli *c, size_t count, char **argv)
{
    if (count < c->least)
        return cli_wrong(c->command, "expects %s; usage: leenet %s %s",
                         c->operand, c->command, c->usage);
    if (count > c->most)
        return cli_wrong(c->command, "unexpected argument '%s'; usage: leenet %s %s",
                         argv[c->most], c->command, c->usage);
    return CLI_GO;
}

int cli_parse(const cli *c, int *argc, char **argv)
{
    int kept = 0;
    bool only_operands = false;

    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            break;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_help(c);
            return finish_output(c->command, TOOL_DONE);
        }
    }
    for (int i = 0; i < *argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[kept++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else {
            int code = take_option(c, *argc, argv, &i);
            if (code != CLI_GO)
                return code;
        }
    }
    *argc = kept;
    return check_operands(c, (size_t)kept, argv);
}
