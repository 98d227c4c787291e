/* cmd_infer.c - leenet infer: labels pictures. */
#include <limits.h>

#include "tool.h"

static const char name[] = "infer";

typedef struct settings {
    int64_t          point;     /* -1: the model's default */
    uint32_t         threads;
    bool             json, quiet;
    target_flags     target;
    preprocess_flags preprocess;
} settings;

static int parse(settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Options" },
        { CLI_POINT, 0, "--point", "N", &s->point, 0, 0,
          "operating point, numbered from 0 (default: the model's default point or target)" },
        { CLI_COUNT, 0, "--threads", "N", &s->threads, 1, 1024, "threads (default: 1)" },
        TARGET_OPTIONS(s->target),
        PREPROCESS_OPTIONS(s->preprocess),
        OUTPUT_OPTIONS(s->json, s->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL FILE... [options]",
                    "Labels PNG and JPEG pictures: label, its probability, the exit that answered and "
                    "the milliseconds from opening the file to the answer. A file that cannot be read "
                    "is reported, the others are still labelled, and the exit code is 1.",
                    options, "a MODEL and at least one FILE", 2, SIZE_MAX };

    int code = cli_parse(&c, argc, argv);

    return code == CLI_GO && target_check(name, &s->target, s->point >= 0) != TOOL_DONE ? TOOL_USAGE : code;
}

/* The answer's name, or its number where the model has no names. */
static const char *label_text(const ln_model *model, int32_t label, char number[16])
{
    const char *text = ln_model_class_name(model, label);

    if (text[0])
        return text;
    snprintf(number, 16, "%d", (int)label);
    return number;
}

static void print_answer(const settings *s, const ln_model *model, const char *file,
                         const ln_result *r, double ms)
{
    char number[16];
    const char *label = label_text(model, r->label, number);
    json j;

    if (!s->json) {
        print_safe(stdout, file);
        fputs(": ", stdout);
        print_safe(stdout, label);
        printf("  %.1f %%  exit %u", 100 * (double)r->probability, r->exit);
        printf("%s  %.2f ms\n", r->exit >= ln_model_exit_count(model) ? " (end)" : "", ms);
        return;
    }
    json_start(&j, stdout);
    json_text(&j, "file", file);
    json_text(&j, "label", label);
    json_whole(&j, "class", (uint64_t)r->label);
    json_real(&j, "probability", (double)r->probability);
    json_whole(&j, "exit", r->exit);
    json_text(&j, "exit_name", exit_name(model, r->exit));
    json_real(&j, "macs_share", (double)r->macs_share);
    json_real(&j, "ms", ms);
    json_finish(&j);
}

static int infer_files(const settings *s, const ln_model *model, ln_session *session,
                       char **files, int count)
{
    int code = TOOL_DONE;

    for (int i = 0; i < count; i++) {
        ln_image image = LN_IMAGE_INIT;
        ln_result answer;
        ln_error err = { 0 };
        double start = seconds_now();
        ln_status st;

        if (interrupt_seen())
            return report_error(name, LN_E_CANCELLED, &err);
        image.path = files[i];
        st = ln_infer_image(session, &image, &answer, NULL, &err);
        if (st < 0)
            code = report_error(name, st, &err);
        else
            print_answer(s, model, files[i], &answer, 1e3 * (seconds_now() - start));
    }
    return code;
}

static void tell_drift(const settings *s, const ln_model *model, const ln_session *session)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_setting setting = LN_SETTING_INIT;
    bool between = ln_session_get_setting(session, &setting, NULL) == LN_OK;
    double p;

    if (ln_session_drift(session, &p, NULL) < 0)
        return;                 /* no operating point, or a model that does not say */
    ln_model_get_info(model, &info, NULL);
    print_drift(name, between ? -1 : s->point >= 0 ? s->point : (int64_t)info.default_point, p);
}

static int run(const settings *s, ln_model *model, char **files, int count)
{
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    ln_target target;
    ln_session *session;
    ln_error err = { 0 };
    ln_status st;
    int code = preprocess_apply(name, &s->preprocess, model);

    if (code != TOOL_DONE)
        return code;
    if (target_pick(&target, &s->target, model, s->point >= 0)) {
        options.target = &target;
        code = target_say(name, model, &target);
        if (code != TOOL_DONE)
            return code;
    }
    options.threads = s->threads;
    options.use_point = s->point >= 0;
    options.point = s->point >= 0 ? (uint32_t)s->point : 0;
    st = ln_session_open(&session, model, &options, &err);
    if (st < 0)
        return report_error(name, st, &err);
    code = infer_files(s, model, session, files, count);
    tell_drift(s, model, session);
    ln_session_free(session);
    return code;
}

int cmd_infer(int argc, char **argv)
{
    settings s = { .point = -1, .threads = 1, .target = TARGET_FLAGS_INIT, .preprocess = PREPROCESS_FLAGS_INIT };
    ln_model *model;
    progress p;
    int code = parse(&s, &argc, argv);

    if (code != CLI_GO)
        return code;
    progress_start(&p, s.quiet);
    interrupt_catch();
    code = load_model(&model, name, argv[0], &p);
    if (code != TOOL_DONE)
        return code;
    code = run(&s, model, argv + 1, argc - 1);
    ln_model_free(model);
    return finish_output(name, code);
}
