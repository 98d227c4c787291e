/* cli_table.c - aligned columns. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static void add_cell(table *t, const char *text, size_t length)
{
    char *copy = tool_alloc(length + 1, 1);

    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        char **cells = tool_alloc(room, sizeof *cells);
        if (t->count)
            memcpy(cells, t->cells, t->count * sizeof *cells);
        free(t->cells);
        t->cells = cells;
        t->room = room;
    }
    memcpy(copy, text, length);
    t->cells[t->count++] = copy;
}

void table_start(table *t, const char *heads)
{
    memset(t, 0, sizeof *t);
    for (;;) {
        size_t n = strcspn(heads, "|");
        add_cell(t, heads, n);
        if (!heads[n])
            break;
        heads += n + 1;
    }
    t->columns = t->count;
}

void table_cell(table *t, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_cell(t, text, strlen(text));
}

/* Columns on a terminal: continuation bytes of UTF-8 take none. */
static size_t shown_width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static size_t column_width(const table *t, size_t column)
{
    size_t width = 0;

    for (size_t i = column; i < t->count; i += t->columns) {
        size_t n = shown_width(t->cells[i]) - (i < t->columns && t->cells[i][0] == '<');
        width = n > width ? n : width;
    }
    return width;
}

/* Returns the blanks that stand between this cell and the next one. */
static int print_cell(const table *t, size_t i, size_t width, int blanks, FILE *to)
{
    size_t column = i % t->columns;
    bool left = t->cells[column][0] == '<';
    const char *text = t->cells[i] + (i < t->columns && left);
    int pad = (int)(width - shown_width(text));

    if (!*text)
        return blanks + pad + 2;
    fprintf(to, "%*s", left ? blanks : blanks + pad, "");
    print_safe(to, text);
    return left ? pad + 2 : 2;
}

void table_print(table *t, FILE *to)
{
    size_t *widths = tool_alloc(t->columns, sizeof *widths);
    int blanks = 0;

    for (size_t c = 0; c < t->columns; c++)
        widths[c] = column_width(t, c);
    for (size_t i = 0; i < t->count; i++) {
        blanks = print_cell(t, i, widths[i % t->columns], blanks, to);
        if ((i + 1) % t->columns == 0) {
            putc('\n', to);
            blanks = 0;
        }
    }
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(widths);
    memset(t, 0, sizeof *t);
}
