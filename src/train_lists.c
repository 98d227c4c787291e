/* train_lists.c - the values of --exits and --alpha. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"

enum { MOST_EXITS = 63, MOST_ALPHAS = 1000 };

static int wrong_exits(const char *text)
{
    return cli_wrong("train", "--exits: '%s' is neither auto, auto:K or even:K with K from 1 to %d (auto may end in @B or "
                     "@B,C... with shares from 0 to 1) nor value names separated by commas ('leenet info' lists them)",
                     text, MOST_EXITS);
}

static bool read_share(const char *text, const char *ends, double *out, const char **rest)
{
    char *end;

    *out = strtod(text, &end);
    *rest = end + (*end != '\0');
    return end != text && isfinite(*out) && *out >= 0 && *out <= 1 &&
           (*end == '\0' ? ends[1] == '\0' : *end == ends[0]);
}

/* What follows the '@'. */
static int read_place_budgets(train_settings *s, const char *at)
{
    size_t count = 1;

    for (const char *c = at; *c; c++)
        count += *c == ',';
    if (!*at || at[strlen(at) - 1] == ',')
        return wrong_exits(s->exits);
    s->place_budgets = tool_alloc(count, sizeof *s->place_budgets);
    for (; s->n_place_budgets < count; s->n_place_budgets++)
        if (!read_share(at, ",", &s->place_budgets[s->n_place_budgets], &at) || s->place_budgets[s->n_place_budgets] <= 0)
            return wrong_exits(s->exits);
    return TOOL_DONE;
}

/* What follows "auto" or "even": [:K][@B,C...]. */
static int read_count(train_settings *s, const char *at)
{
    char *end = NULL;
    unsigned long k = 0;

    if (*at == ':' && at[1] >= '0' && at[1] <= '9') {
        k = strtoul(at + 1, &end, 10);
        if (k == 0 || k > MOST_EXITS)
            return wrong_exits(s->exits);
        at = end;
    }
    s->n_places = (uint32_t)k;
    if (*at == '@' && !s->even)
        return read_place_budgets(s, at + 1);
    return *at || (s->even && k == 0) ? wrong_exits(s->exits) : TOOL_DONE;
}

/* "auto" itself, or with a count or budgets behind it. */
static bool says(const char *text, const char *word)
{
    size_t n = strlen(word);

    return strncmp(text, word, n) == 0 && (text[n] == '\0' || text[n] == ':' || text[n] == '@');
}

/* The names are cut out of a copy that places[0] holds. */
int train_read_places(train_settings *s)
{
    size_t length = strlen(s->exits), count = 1;
    char *copy;

    s->even = says(s->exits, "even");
    if (s->even || says(s->exits, "auto"))
        return read_count(s, s->exits + 4);
    for (size_t i = 0; i < length; i++) {
        if (s->exits[i] == ',' && (i == 0 || s->exits[i - 1] == ','))
            return wrong_exits(s->exits);
        count += s->exits[i] == ',';
    }
    if (count > MOST_EXITS || s->exits[length - 1] == ',')
        return wrong_exits(s->exits);
    copy = tool_alloc(length + 1, 1);
    memcpy(copy, s->exits, length);
    s->places = tool_alloc(count, sizeof *s->places);
    for (; s->n_places < count; s->n_places++) {
        s->places[s->n_places] = copy;
        copy += strcspn(copy, ",");
        *copy++ = '\0';
    }
    return TOOL_DONE;
}

static int wrong_alpha(const char *text)
{
    return cli_wrong("train", "--alpha: '%s' is not a list of numbers from 0 to 1 (0.8 or 0.2,0.5,0.8) "
                     "nor FROM:TO:COUNT with COUNT from 2 to %d", text, MOST_ALPHAS);
}

static int read_range(train_settings *s)
{
    const char *rest;
    char *end;
    double from, to;
    unsigned long count;

    if (!read_share(s->alpha, ": ", &from, &rest) || !read_share(rest, ": ", &to, &rest) ||
        *rest < '0' || *rest > '9')
        return wrong_alpha(s->alpha);
    count = strtoul(rest, &end, 10);
    if (*end || count < 2 || count > MOST_ALPHAS)
        return wrong_alpha(s->alpha);
    s->alphas = tool_alloc(count, sizeof *s->alphas);
    for (size_t i = 0; i < count; i++)
        s->alphas[i] = from + (to - from) * (double)i / (double)(count - 1);
    s->n_alphas = count;
    return TOOL_DONE;
}

int train_read_alphas(train_settings *s)
{
    const char *at = s->alpha;
    size_t count = 1;

    if (strchr(at, ':'))
        return read_range(s);
    for (const char *c = at; *c; c++)
        count += *c == ',';
    if (count > MOST_ALPHAS || at[strlen(at) - 1] == ',')
        return wrong_alpha(s->alpha);
    s->alphas = tool_alloc(count, sizeof *s->alphas);
    for (; s->n_alphas < count; s->n_alphas++)
        if (!read_share(at, ",", &s->alphas[s->n_alphas], &at))
            return wrong_alpha(s->alpha);
    return TOOL_DONE;
}

static int wrong_budget(const char *text)
{
    return cli_wrong("train", "--budget: '%s' is not a list of shares of the plain network's cost (0.5 or 0.25,0.35,0.5)", text);
}

int train_read_budgets(train_settings *s)
{
    const char *at = s->budget;
    size_t count = 1;

    if (!at)
        return TOOL_DONE;
    for (const char *c = at; *c; c++)
        count += *c == ',';
    if (count > MOST_ALPHAS || at[strlen(at) - 1] == ',')
        return wrong_budget(at);
    s->budgets = tool_alloc(count, sizeof *s->budgets);
    for (; s->n_budgets < count; s->n_budgets++) {
        if (!read_share(at, ",", &s->budgets[s->n_budgets], &at) || s->budgets[s->n_budgets] <= 0)
            return wrong_budget(s->budget);
    }
    return TOOL_DONE;
}
