/* train_lists.c - the values of --exits, --alpha and --budget. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"

enum { MOST_EXITS = 63, MOST_NUMBERS = 1000 };

static int wrong_exits(const char *text, const char *command)
{
    return cli_wrong(command, "--exits: '%s' is neither auto, auto:K or even:K with K from 1 to %d (auto may end in @B or "
                     "@B,C... or @FROM:TO:COUNT with shares above 0, up to 1) nor value names separated by commas ('leenet info' lists them)",
                     text, MOST_EXITS);
}

/* What follows "auto" or "even": [:K][@B,C...]. */
static int read_count(train_settings *s, const char *at, const char *command)
{
    char *end = NULL;
    unsigned long k = 0;

    if (*at == ':' && at[1] >= '0' && at[1] <= '9') {
        k = strtoul(at + 1, &end, 10);
        if (k == 0 || k > MOST_EXITS)
            return wrong_exits(s->exits, command);
        at = end;
    }
    s->n_places = (uint32_t)k;
    if (*at == '@' && !s->even)
        return list_read(&s->place_budgets, at + 1, DBL_MIN, 1, MOST_NUMBERS) ? TOOL_DONE : wrong_exits(s->exits, command);
    return *at || (s->even && k == 0) ? wrong_exits(s->exits, command) : TOOL_DONE;
}

/* "auto" itself, or with a count or budgets behind it. */
static bool says(const char *text, const char *word)
{
    size_t n = strlen(word);

    return strncmp(text, word, n) == 0 && (text[n] == '\0' || text[n] == ':' || text[n] == '@');
}

/* The names are cut out of a copy that places[0] holds. */
int train_read_places(train_settings *s, const char *command)
{
    size_t length = strlen(s->exits), count = 1;
    char *copy;

    s->even = says(s->exits, "even");
    if (s->even || says(s->exits, "auto"))
        return read_count(s, s->exits + 4, command);
    for (size_t i = 0; i < length; i++) {
        if (s->exits[i] == ',' && (i == 0 || s->exits[i - 1] == ','))
            return wrong_exits(s->exits, command);
        count += s->exits[i] == ',';
    }
    if (count > MOST_EXITS || s->exits[length - 1] == ',')
        return wrong_exits(s->exits, command);
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

int train_read_alphas(train_settings *s, const char *command)
{
    if (list_read(&s->alphas, s->alpha, 0, 1, MOST_NUMBERS))
        return TOOL_DONE;
    return cli_wrong(command, "--alpha: '%s' is not a list of numbers from 0 to 1 (0.8 or 0.2,0.5,0.8) "
                     "nor FROM:TO:COUNT with COUNT from 2 to %d", s->alpha, MOST_NUMBERS);
}

int train_read_budgets(train_settings *s, const char *command)
{
    if (!s->budget || list_read(&s->budgets, s->budget, DBL_MIN, 1, MOST_NUMBERS))
        return TOOL_DONE;
    return cli_wrong(command, "--budget: '%s' is not a list of shares of the plain network's cost above 0, up to 1 (0.5 or 0.25,0.35,0.5), "
                     "nor FROM:TO:COUNT with COUNT from 2 to %d", s->budget, MOST_NUMBERS);
}
