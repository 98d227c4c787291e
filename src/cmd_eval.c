/* cmd_eval.c - leenet eval: judges a model on labelled pictures. */
#include "tool.h"

static const char name[] = "eval";

typedef struct settings {
    const char      *data, *class_map;
    int64_t          point;
    uint32_t         rows, threads;
    bool             plain, skip_bad, json, quiet;
    target_flags     target;
    preprocess_flags preprocess;
} settings;

enum { POINT_DEFAULT = -2 };

static int parse(settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Data" },
        { CLI_TEXT, 0, "--data", "SPEC", &s->data, 0, 0,
          "labelled pictures: a folder of class folders, a .tar[.gz] of one, IDX images or a CIFAR "
          "batch; may end in :part=K/M, :not=K/M, :share=K/M, :first=N, :skip=N (required)" },
        JUDGED_OPTIONS(s),
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "What is judged" },
        { CLI_POINT, 0, "--point", "N|all", &s->point, 0, 1,
          "operating point, numbered from 0 (default: the model's default point or target)" },
        { CLI_FLAG, 0, "--plain", NULL, &s->plain, 0, 0, "only the network without exits" },
        ROWS_OPTIONS(s->rows),
        { CLI_COUNT, 0, "--threads", "N", &s->threads, 1, 1024, "threads of the session (default: 1)" },
        TARGET_OPTIONS(s->target),
        PREPROCESS_OPTIONS(s->preprocess),
        OUTPUT_OPTIONS(s->json, s->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL --data SPEC [options]",
                    "Judges MODEL on labelled pictures: accuracy, share and accuracy of every exit, "
                    "parameters, multiply-adds and time beside the plain network. Reading pictures is "
                    "not counted; plain and early runs are interleaved. A model without operating "
                    "points is judged as with --plain.",
                    options, "one MODEL", 1, 1 };
    int code = cli_parse(&c, argc, argv);

    if (code == CLI_GO && !s->data)
        return cli_wrong(name, "--data SPEC is required");
    if (code == CLI_GO && s->plain && s->point != POINT_DEFAULT)
        return cli_wrong(name, "--plain and --point exclude each other");
    if (code == CLI_GO && s->plain && target_asked(&s->target))
        return cli_wrong(name, "--plain and --budget or --max-drop exclude each other");
    if (code == CLI_GO && target_check(name, &s->target, s->point != POINT_DEFAULT) != TOOL_DONE)
        return TOOL_USAGE;
    return code;
}

/* Says which points are meant; sets plain where the model has none. */
static int choose_point(settings *s, const ln_model *model, bool targeted)
{
    uint32_t points = ln_model_point_count(model);
    ln_model_info info = LN_MODEL_INFO_INIT;

    if (s->plain || targeted)
        return TOOL_DONE;
    if (points == 0 && s->point < 0) {
        s->plain = true;
        return TOOL_DONE;
    }
    if (s->point >= (int64_t)points) {
        fprintf(stderr, "leenet %s: --point %lld: the model has %u operating point%s, numbered from 0\n",
                name, (long long)s->point, points, points == 1 ? "" : "s");
        return TOOL_FAILED;
    }
    if (s->point == POINT_DEFAULT) {
        ln_model_get_info(model, &info, NULL);
        s->point = info.default_point;
    }
    return TOOL_DONE;
}

static int run(settings *s, ln_model *model, progress *p)
{
    ln_target target;
    bool targeted = target_pick(&target, &s->target, model, s->plain || s->point != POINT_DEFAULT);
    ln_data *data;
    int code = choose_point(s, model, targeted);

    if (code == TOOL_DONE)
        code = preprocess_apply(name, &s->preprocess, model);
    if (code == TOOL_DONE)
        code = load_data(&data, name, s->data, s->class_map, s->skip_bad);
    if (code != TOOL_DONE)
        return code;
    if (targeted)
        code = target_say(name, model, &target);
    if (code == TOOL_DONE)
        code = judge(&(judging){ name, model, data, s->point, s->rows, s->threads, s->plain, s->json, p,
                                 targeted ? &target : NULL });
    ln_data_free(data);
    return code;
}

int cmd_eval(int argc, char **argv)
{
    settings s = { .point = POINT_DEFAULT, .rows = 1, .threads = 1, .target = TARGET_FLAGS_INIT,
                   .preprocess = PREPROCESS_FLAGS_INIT };
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
    code = run(&s, model, &p);
    ln_model_free(model);
    return finish_output(name, code);
}
