/* cmd_tune.c - leenet tune: measures which kernels are fastest here. */
#include "tool.h"

static const char name[] = "tune";

typedef struct settings {
    const char *output;
    uint32_t    threads;
    bool        json, quiet;
} settings;

static int parse(settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Options" },
        { CLI_TEXT, 'o', "--output", "OUT.onnx", &s->output, 0, 0,
          "where the model goes; may be MODEL itself (required)" },
        { CLI_COUNT, 0, "--threads", "N", &s->threads, 1, 1024,
          "threads the model will run with (default: 1)" },
        OUTPUT_OPTIONS(s->json, s->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL -o OUT.onnx [options]",
                    "Measures on this machine which kernel and layout each convolution should use and "
                    "stores the choice in the model. Takes some seconds; the answers change by no more "
                    "than rounding.",
                    options, "one MODEL", 1, 1 };
    int code = cli_parse(&c, argc, argv);

    if (code == CLI_GO && !s->output)
        return cli_wrong(name, "-o OUT.onnx is required");
    return code;
}

static int run(const settings *s, ln_model *model, progress *p)
{
    double start = seconds_now(), seconds;
    ln_tune_options options = LN_TUNE_OPTIONS_INIT;
    ln_error err = { 0 };
    ln_status st;

    options.threads = s->threads;
    options.progress = progress_show;
    options.progress_payload = p;
    st = ln_model_tune(model, &options, &err);
    seconds = seconds_now() - start;
    progress_end(p);
    if (st >= 0)
        st = ln_model_save(model, s->output, &err);
    if (st < 0)
        return report_error(name, st, &err);
    if (s->json) {
        json j;
        json_start(&j, stdout);
        json_text(&j, "model", s->output);
        json_whole(&j, "threads", s->threads);
        json_real(&j, "seconds", seconds);
        json_finish(&j);
    } else if (!s->quiet) {
        print_safe(stdout, s->output);
        printf(": kernels measured for %u thread%s in %.1f s\n", s->threads,
               s->threads == 1 ? "" : "s", seconds);
    }
    return TOOL_DONE;
}

int cmd_tune(int argc, char **argv)
{
    settings s = { .threads = 1 };
    ln_model *model;
    progress p;
    int code = parse(&s, &argc, argv);

    if (code != CLI_GO)
        return code;
    progress_start(&p, s.quiet);
    interrupt_catch();
    code = check_writable(name, s.output);
    if (code == TOOL_DONE)
        code = load_model(&model, name, argv[0], &p);
    if (code != TOOL_DONE)
        return code;
    code = run(&s, model, &p);
    ln_model_free(model);
    return finish_output(name, code);
}
