/* cli_log.c - the training log for plots: one record for every epoch, and for
 * every stage without epochs. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tool.h"

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

int log_check(const char *command, const char *path, const char *model)
{
    if (!ends_with(path, ".json") && !ends_with(path, ".csv"))
        return cli_wrong(command, "--log: '%s' must end in .csv or .json", path);
    return check_result(command, path, model);
}

/* Written as training goes on, to be looked at meanwhile. */
int log_open(progress_log *log, const char *command, const char *path)
{
    log->json = ends_with(path, ".json");
    log->file = fopen(path, "w");
    if (!log->file) {
        fprintf(stderr, "leenet %s: cannot write the log '", command);
        print_safe(stderr, path);
        fprintf(stderr, "': %s\n", strerror(errno));
        return TOOL_FAILED;
    }
    if (!log->json)
        fputs("seconds,stage,exit,point,epoch,epochs,done,total,loss,validation,accuracy,"
              "rows_per_second\n", log->file);
    return TOOL_DONE;
}

static void write_csv(FILE *to, double seconds, const ln_progress *now)
{
    const double numbers[] = { now->loss, now->validation, now->accuracy, now->rows_per_second };

    fprintf(to, "%.3f,%s,%u,%u,%u,%u,%llu,%llu", seconds, now->stage, now->exit, now->point,
            now->epoch, now->epochs, (unsigned long long)now->done, (unsigned long long)now->total);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        putc(',', to);
        if (isfinite(numbers[i]))
            fprintf(to, "%.9g", numbers[i]);
    }
    putc('\n', to);
}

static void write_json(FILE *to, double seconds, const ln_progress *now)
{
    json j;

    json_start(&j, to);
    json_real(&j, "seconds", seconds);
    json_text(&j, "stage", now->stage);
    json_whole(&j, "exit", now->exit);
    json_whole(&j, "point", now->point);
    json_whole(&j, "epoch", now->epoch);
    json_whole(&j, "epochs", now->epochs);
    json_whole(&j, "done", now->done);
    json_whole(&j, "total", now->total);
    json_real(&j, "loss", now->loss);
    json_real(&j, "validation", now->validation);
    json_real(&j, "accuracy", now->accuracy);
    json_real(&j, "rows_per_second", now->rows_per_second);
    json_finish(&j);
}

void log_write(progress_log *log, double seconds, const ln_progress *now)
{
    if (!log->file)
        return;
    if (log->json)
        write_json(log->file, seconds, now);
    else
        write_csv(log->file, seconds, now);
    if (fflush(log->file) != 0)
        log->failed = true;
}

int log_close(progress_log *log, const char *command)
{
    bool failed = log->failed;

    if (!log->file)
        return TOOL_DONE;
    failed |= fclose(log->file) != 0;
    log->file = NULL;
    if (!failed)
        return TOOL_DONE;
    fprintf(stderr, "leenet %s: the log could not be written completely\n", command);
    return TOOL_FAILED;
}
