/* cli_figures.c - what commands that judge over budgets share: the budgets, and where figures go. */
#include <stdlib.h>

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

int figures_check(const figures *f, const char *model)
{
    int code = f->output ? check_result(f->command, f->output, model) : TOOL_DONE;

    return code == TOOL_DONE && f->csv ? check_result(f->command, f->csv, model) : code;
}

int figures_save(const figures *f)
{
    char *beside = f->output && !f->csv ? plot_data_path(f->output) : NULL;
    const char *path = beside ? beside : f->csv;
    int code = TOOL_DONE;

    if (path) {
        FILE *to = output_open(f->command, path);
        if (to)
            f->write(f->of, to);
        code = to ? output_close(f->command, path, to) : TOOL_FAILED;
    }
    free(beside);
    if (code != TOOL_DONE || !f->output)
        return code;
    FILE *script = plot_begin(f->output);
    if (script)
        f->plot(f->of, script);
    return plot_end(script, f->command, f->output);
}
