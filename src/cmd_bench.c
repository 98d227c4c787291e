/* cmd_bench.c - leenet bench: times a model in this process, nothing else
 * running in it, and prints one JSON line for a side-by-side driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

static const char name[] = "bench";

typedef struct settings {
    const char *input;
    int64_t     point;          /* -1: the model's default */
    uint32_t    rows, threads, min_runs;
    double      min_ms;
    bool        plain, stages, json, quiet;
    target_flags target;
} settings;

typedef struct bench {
    const settings *s;
    ln_session     *session;
    ln_model_info   info;
    float          *input, *logits;
    ln_result      *results;
    double          load_ms, session_ms;
    double         *times;      /* sorted once measured */
    size_t          runs, room;
    double          cpu_per_wall;
} bench;

static int parse(settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Options" },
        ROWS_OPTIONS(s->rows),
        { CLI_COUNT, 0, "--threads", "N", &s->threads, 1, 1024, "threads (default: 1)" },
        { CLI_FLAG, 0, "--plain", NULL, &s->plain, 0, 0,
          "the whole network, no exit taken (default: early exit at the point)" },
        { CLI_POINT, 0, "--point", "N", &s->point, 0, 0,
          "operating point, numbered from 0 (default: the model's default point or target)" },
        { CLI_TEXT, 0, "--input", "FILE", &s->input, 0, 0,
          "raw float32, at least rows x input shape (default: a fixed sequence)" },
        { CLI_REAL, 0, "--min-ms", "X", &s->min_ms, 0, 1e9, "time at least so long (default: 1500)" },
        { CLI_COUNT, 0, "--min-runs", "N", &s->min_runs, 1, 1e5,
          "and at least so many runs (default: 7)" },
        { CLI_FLAG, 0, "--stages", NULL, &s->stages, 0, 0,
          "add the time of every stage, head and gate (default: off)" },
        TARGET_OPTIONS(s->target),
        OUTPUT_OPTIONS(s->json, s->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL [options]",
                    "Times MODEL and prints one JSON line, with or without --json: ms_median and ms_min "
                    "of one call over all rows, load_ms from the start of the program to the first "
                    "answer, rss_mb the peak of resident memory, cpu_per_wall while timing, and the "
                    "first logits of row 0.",
                    options, "one MODEL", 1, 1 };

    return cli_parse(&c, argc, argv);
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* VmHWM of this process in MB; 0 where /proc does not tell. */
static double peak_memory(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double mb = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            mb = strtod(line + 6, NULL) / 1024;
    fclose(file);
    return mb;
}

static int read_input(const char *path, float *to, size_t count)
{
    FILE *file = fopen(path, "rb");
    size_t got;

    if (!file) {
        fprintf(stderr, "leenet %s: cannot read '", name);
        print_safe(stderr, path);
        fprintf(stderr, "': %s\n", strerror(errno));
        return TOOL_FAILED;
    }
    got = fread(to, sizeof *to, count, file);
    fclose(file);
    if (got == count)
        return TOOL_DONE;
    fprintf(stderr, "leenet %s: '", name);
    print_safe(stderr, path);
    fprintf(stderr, "' holds %zu float32 numbers, rows x input shape need %zu\n", got, count);
    return TOOL_FAILED;
}

static int make_input(bench *b)
{
    size_t row = (size_t)b->info.channels * b->info.height * b->info.width;
    size_t count = row * b->s->rows;

    if (row && count / row != b->s->rows) {
        fprintf(stderr, "leenet %s: --rows %u is too many for this input\n", name, b->s->rows);
        return TOOL_FAILED;
    }
    b->input = tool_alloc(count, sizeof *b->input);
    b->logits = tool_alloc((size_t)b->s->rows * b->info.classes, sizeof *b->logits);
    b->results = tool_alloc(b->s->rows, sizeof *b->results);
    if (b->s->input)
        return read_input(b->s->input, b->input, count);
    for (size_t i = 0; i < count; i++)
        b->input[i] = (float)(((uint64_t)i * 2654435761u) & 0xffff) / 32768.0f - 1.0f;
    return TOOL_DONE;
}

static ln_status run_once(bench *b, double *ms, ln_error *err)
{
    double start = seconds_now();
    ln_status st = b->s->plain
        ? ln_infer_full(b->session, b->input, b->s->rows, b->results, b->logits, err)
        : ln_infer_early(b->session, b->input, b->s->rows, b->results, b->logits, err);

    *ms = 1e3 * (seconds_now() - start);
    return st;
}

static void keep_time(bench *b, double ms)
{
    if (b->runs == b->room) {
        size_t room = b->room ? 2 * b->room : 256;
        double *times = tool_alloc(room, sizeof *times);
        if (b->runs)
            memcpy(times, b->times, b->runs * sizeof *times);
        free(b->times);
        b->times = times;
        b->room = room;
    }
    b->times[b->runs++] = ms;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static ln_status measure(bench *b, ln_error *err)
{
    double ms, start, cpu;
    ln_status st = LN_OK;

    for (int i = 0; i < 2 && st >= 0; i++)
        st = run_once(b, &ms, err);
    cpu = cpu_seconds();
    start = seconds_now();
    while (st >= 0 && (b->runs < b->s->min_runs || 1e3 * (seconds_now() - start) < b->s->min_ms)) {
        st = run_once(b, &ms, err);
        keep_time(b, ms);
    }
    if (st < 0)
        return st;
    b->cpu_per_wall = (cpu_seconds() - cpu) / (seconds_now() - start);
    qsort(b->times, b->runs, sizeof *b->times, by_size);
    return LN_OK;
}

static void print_stages(json *j, const ln_stage_time *stages, uint32_t exits)
{
    json_open(j, "stages", '[');
    for (uint32_t i = 0; i <= exits; i++) {
        json_open(j, NULL, '{');
        json_real(j, "backbone_ms", stages[i].backbone_ms);
        json_real(j, "head_ms", stages[i].head_ms);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void print_result(const bench *b, const char *path, const float *first,
                         const ln_stage_time *stages)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    char engine[64], model[256];
    json j;

    snprintf(engine, sizeof engine, "leenet %s", ln_lib_version());
    snprintf(model, sizeof model, "%.*s", (int)(dot && dot != base ? dot - base : (long)strlen(base)), base);
    json_start(&j, stdout);
    json_text(&j, "engine", engine);
    json_text(&j, "model", model);
    json_whole(&j, "rows", b->s->rows);
    json_whole(&j, "threads", b->s->threads);
    json_bool(&j, "plain", b->s->plain || b->info.points == 0);
    json_real(&j, "ms_median", b->times[b->runs / 2]);
    json_real(&j, "ms_min", b->times[0]);
    json_whole(&j, "runs", b->runs);
    json_real(&j, "load_ms", b->load_ms);
    json_real(&j, "session_ms", b->session_ms);
    json_real(&j, "rss_mb", peak_memory());
    json_real(&j, "cpu_per_wall", b->cpu_per_wall);
    json_open(&j, "logits", '[');
    for (uint32_t i = 0; i < b->info.classes && i < 8; i++)
        json_real(&j, NULL, (double)first[i]);
    json_close(&j, ']');
    if (stages)
        print_stages(&j, stages, b->info.exits);
    json_finish(&j);
}

static ln_status time_model(bench *b, const char *path, double start, double cpu_before, ln_error *err)
{
    float first[8] = { 0 };
    ln_stage_time *stages = NULL;
    uint32_t repeats = b->s->min_runs;
    double ms;
    ln_status st = run_once(b, &ms, err);

    b->load_ms = 1e3 * (seconds_now() - start + cpu_before);
    for (uint32_t i = 0; i < b->info.classes && i < 8; i++)
        first[i] = b->logits[i];
    if (st >= 0)
        st = measure(b, err);
    if (st >= 0 && b->s->stages) {
        stages = tool_alloc((size_t)b->info.exits + 1, sizeof *stages);
        st = ln_session_measure(b->session, b->input, b->s->rows, repeats, stages, err);
    }
    if (st >= 0)
        print_result(b, path, first, stages);
    free(stages);
    return st;
}

/* `start` and the processor time before it, which is what loading the program's
 * libraries took, make up load_ms; making up the input is left out. */
static int run(bench *b, const char *path, progress *p, double start, double cpu_before)
{
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    ln_model *model;
    ln_error err = { 0 };
    ln_status st;
    ln_target target;
    double pause;
    int code = load_model(&model, name, path, p);

    if (code == TOOL_DONE && target_pick(&target, &b->s->target, model, b->s->plain || b->s->point >= 0)) {
        options.target = &target;
        code = target_say(name, model, &target);
        if (code != TOOL_DONE)
            ln_model_free(model);
    }
    if (code != TOOL_DONE)
        return code;
    st = ln_model_get_info(model, &b->info, &err);
    options.max_rows = b->s->rows;
    options.threads = b->s->threads;
    options.use_point = b->s->point >= 0;
    options.point = b->s->point >= 0 ? (uint32_t)b->s->point : 0;
    if (st >= 0)
        st = ln_session_open(&b->session, model, &options, &err);
    ln_model_free(model);
    if (st < 0)
        return report_error(name, st, &err);
    pause = seconds_now();
    b->session_ms = 1e3 * (pause - start + cpu_before);
    code = make_input(b);
    start += seconds_now() - pause;
    if (code == TOOL_DONE) {
        st = time_model(b, path, start, cpu_before, &err);
        code = st < 0 ? report_error(name, st, &err) : TOOL_DONE;
    }
    ln_session_free(b->session);
    return code;
}

int cmd_bench(int argc, char **argv)
{
    double cpu_before = cpu_seconds(), start = seconds_now();
    settings s = { .point = -1, .rows = 1, .threads = 1, .min_runs = 7, .min_ms = 1500, .target = TARGET_FLAGS_INIT };
    bench b = { .s = &s, .info = LN_MODEL_INFO_INIT };
    progress p;
    int code = parse(&s, &argc, argv);

    if (code == CLI_GO && s.plain && s.point >= 0)
        code = cli_wrong(name, "--plain and --point exclude each other");
    if (code == CLI_GO && target_check(name, &s.target, s.plain || s.point >= 0) != TOOL_DONE)
        code = TOOL_USAGE;
    if (code != CLI_GO)
        return code;
    progress_start(&p, s.quiet);
    code = run(&b, argv[0], &p, start, cpu_before);
    free(b.input);
    free(b.logits);
    free(b.results);
    free(b.times);
    return finish_output(name, code);
}
