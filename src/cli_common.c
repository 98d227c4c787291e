/* cli_common.c - errors, loading, exit codes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void *tool_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    if (!p) {
        fputs("leenet: out of memory\n", stderr);
        exit(TOOL_FAILED);
    }
    return p;
}

uint32_t all_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 ? (uint32_t)n : 1;
}

void print_safe(FILE *to, const char *text)
{
    for (; *text; text++)
        putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
}

int report_error(const char *command, ln_status status, const ln_error *err)
{
    if (status == LN_E_CANCELLED && interrupt_seen()) {
        fprintf(stderr, "leenet %s: stopped\n", command);
        return TOOL_STOPPED;
    }
    fprintf(stderr, "leenet %s: ", command);
    print_safe(stderr, err->text[0] ? err->text : ln_status_text(status));
    putc('\n', stderr);
    return TOOL_FAILED;
}

int load_model(ln_model **out, const char *command, const char *path, progress *p)
{
    ln_load_options options = LN_LOAD_OPTIONS_INIT;
    ln_error err = { 0 };
    ln_status st;

    options.log = progress_message;
    options.log_payload = p;
    st = ln_model_load(out, path, &options, &err);
    return st < 0 ? report_error(command, st, &err) : TOOL_DONE;
}

int load_data(ln_data **out, const char *command, const char *spec, const char *class_map, bool skip_bad)
{
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    ln_error err = { 0 };

    options.class_map = class_map;
    options.skip_bad = skip_bad;
    ln_status st = ln_data_open(out, spec, &options, &err);
    return st < 0 ? report_error(command, st, &err) : TOOL_DONE;
}

void print_skipped(const char *command, const ln_data *data)
{
    const char *line;
    size_t n = 0;

    while ((line = ln_data_skipped(data, n)) != NULL) {
        fprintf(stderr, "leenet %s: left out ", command);
        print_safe(stderr, line);
        putc('\n', stderr);
        n++;
    }
    if (n)
        fprintf(stderr, "leenet %s: %zu picture%s could not be read and %s left out\n",
                command, n, n == 1 ? "" : "s", n == 1 ? "was" : "were");
}

int finish_output(const char *command, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "leenet %s: could not write to standard output: %s\n", command, strerror(errno));
    return code == TOOL_DONE ? TOOL_FAILED : code;
}
