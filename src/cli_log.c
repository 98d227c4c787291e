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

int log_check(const char *command, const char *path, const char *const *read, size_t count)
{
    if (!ends_with(path, ".json") && !ends_with(path, ".csv"))
        return cli_wrong(command, "--log: '%s' must end in .csv or .json", path);
    return check_result(command, path, read, count);
}

void log_start(progress_log *log, const char *command, const char *path)
{
    *log = (progress_log){ .command = command, .path = path, .json = ends_with(path, ".json") };
}

/* Said at once: what follows may take hours. */
static void fail(progress_log *log)
{
    fprintf(stderr, "leenet %s: cannot write the log '", log->command);
    print_safe(stderr, log->path);
    fprintf(stderr, "': %s\n", strerror(errno));
    log->failed = true;
}

static void begin(progress_log *log)
{
    log->file = fopen(log->path, "w");
    if (!log->file)
        fail(log);
    else if (!log->json)
        fputs("seconds,stage,exit,point,epoch,epochs,done,total,loss,validation,accuracy,"
              "rows_per_second\n", log->file);
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

/* Written as training goes on, to be looked at meanwhile. */
void log_write(progress_log *log, double seconds, const ln_progress *now)
{
    if (log->path && !log->file && !log->failed)
        begin(log);
    if (!log->file || log->failed)
        return;
    if (log->json)
        write_json(log->file, seconds, now);
    else
        write_csv(log->file, seconds, now);
    if (fflush(log->file) != 0)
        fail(log);
}

int log_close(progress_log *log)
{
    if (log->file && fclose(log->file) != 0 && !log->failed)
        fail(log);
    log->file = NULL;
    return log->failed ? TOOL_FAILED : TOOL_DONE;
}
