/* cli_help.c - the help text of a command, from its option table. */
#include <string.h>

#include "tool.h"

enum { HELP_COLUMN = 30, HELP_WIDTH = 88 };

/* Prints `text` from column `column` on, wrapped; the first line stands at `at`. */
static void print_wrapped(const char *text, int at, int column, int width)
{
    int left = width - column;

    printf("%*s", column - at, "");
    while (*text) {
        size_t n = strcspn(text, " ");
        if ((int)n > left && left < width - column) {
            printf("\n%*s", column, "");
            left = width - column;
        }
        printf("%.*s", (int)n, text);
        left -= (int)n + 1;
        text += n;
        if (*text == ' ') {
            text++;
            if ((int)strcspn(text, " ") <= left)
                putchar(' ');
        }
    }
    putchar('\n');
}

static void print_option(const cli_option *o)
{
    char left[96];
    int n;

    if (o->letter)
        n = snprintf(left, sizeof left, "  -%c, %s%s%s", o->letter, o->name,
                     o->value ? " " : "", o->value ? o->value : "");
    else
        n = snprintf(left, sizeof left, "  %s%s%s", o->name,
                     o->value ? " " : "", o->value ? o->value : "");
    fputs(left, stdout);
    if (n >= HELP_COLUMN - 1) {
        putchar('\n');
        n = 0;
    }
    print_wrapped(o->help, n, HELP_COLUMN, HELP_WIDTH);
}

void cli_help(const cli *c)
{
    printf("usage: leenet %s %s\n\n", c->command, c->usage);
    print_wrapped(c->about, 0, 0, HELP_WIDTH);
    for (const cli_option *o = c->options; o->help; o++) {
        if (o->kind == CLI_HEADING)
            printf("\n%s:\n", o->help);
        else
            print_option(o);
    }
    printf("\n");
    print_option(&(cli_option){ CLI_FLAG, 'h', "--help", NULL, NULL, 0, 0, "this text" });
}
