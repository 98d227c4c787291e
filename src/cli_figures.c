/* cli_figures.c - what commands that judge over budgets share: the budgets, and where figures go. */
#include <stdlib.h>
#include <string.h>

#include "stats.h"

enum { MOST_BUDGETS = 200 };

int budgets_read(cli_list *out, const char *command, const char *text)
{
    if (list_read(out, text ? text : "0.05:1:20", 1e-6, 1e3, MOST_BUDGETS))
        return TOOL_DONE;
    return cli_wrong(command, "--budgets: '%s' is neither a list of shares above 0 (0.25,0.5) nor FROM:TO:COUNT with COUNT from 2 to %d",
                     text, MOST_BUDGETS);
}

void json_estimate(json *j, const char *key, const estimate *e)
{
    json_open(j, key, '{');
    json_real(j, "mean", e->mean);
    json_real(j, "low", e->low);
    json_real(j, "high", e->high);
    json_close(j, '}');
}

/* The table's name, to be freed; NULL: none. */
static char *table_path(const figures *f)
{
    if (!f->csv)
        return f->output ? plot_data_path(f->output) : NULL;
    return strcpy(tool_alloc(strlen(f->csv) + 1, 1), f->csv);
}

int figures_check(const figures *f)
{
    const size_t count = sizeof f->read / sizeof f->read[0];
    char *table = table_path(f);
    int code = f->output ? check_result(f->command, f->output, f->read, count) : TOOL_DONE;

    if (code == TOOL_DONE && table)
        code = check_result(f->command, table, f->read, count);
    if (code == TOOL_DONE && table && f->output)
        code = check_result(f->command, table, &f->output, 1);
    free(table);
    return code;
}

static int save_table(const figures *f, const char *path)
{
    output table;
    int code = output_open(&table, f->command, path);

    if (code != TOOL_DONE)
        return code;
    f->write(f->of, table.file);
    return output_close(&table, true);
}

int figures_save(const figures *f)
{
    char *table = table_path(f);
    int code = table ? save_table(f, table) : TOOL_DONE;

    free(table);
    if (code != TOOL_DONE || !f->output)
        return code;
    FILE *script = plot_begin(f->output);
    if (script)
        f->plot(f->of, script);
    return plot_end(script, f->command, f->output);
}
