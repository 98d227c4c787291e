/* cmd_report.c - leenet report: one page that shows what leaves where. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static const char name[] = "report";

typedef struct settings {
    const char      *data, *class_map, *output, *class;
    int64_t          point;     /* -1: the model's default */
    uint32_t         threads, pictures;
    bool             skip_bad, json, quiet;
    target_flags     target;
    preprocess_flags preprocess;
} settings;

static int parse(settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Data" },
        { CLI_TEXT, 0, "--data", "SPEC", &s->data, 0, 0,
          "labelled pictures to judge on, better none that were trained on (required)" },
        JUDGED_OPTIONS(s),
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "The page" },
        { CLI_TEXT, 'o', "--output", "OUT.html", &s->output, 0, 0, "where the page goes (required)" },
        { CLI_TEXT, 0, "--class", "NAME", &s->class, 0, 0,
          "show the pictures of this class only, by name or number (default: of all)" },
        { CLI_POINT, 0, "--point", "N", &s->point, 0, 0,
          "operating point, numbered from 0 (default: the model's default point or target)" },
        { CLI_COUNT, 0, "--pictures", "N", &s->pictures, 0, 100,
          "pictures shown of each exit, right and wrong ones each (default: 8, with --class 24)" },
        { CLI_COUNT, 0, "--threads", "N", &s->threads, 1, 1024, "threads (default: 1)" },
        TARGET_OPTIONS(s->target),
        PREPROCESS_OPTIONS(s->preprocess),
        { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Output" },
        { CLI_FLAG, 0, "--json", NULL, &s->json, 0, 0, "the main figures as a JSON line" },
        { CLI_FLAG, 'q', "--quiet", NULL, &s->quiet, 0, 0, "no progress on standard error" },
        CLI_END
    };
    const cli c = { name, "MODEL --data SPEC -o OUT.html [options]",
                    "Writes one page that needs no network to be read: accuracy against cost, what leaves "
                    "at each exit and how often it is right, class by class; confusion and calibration of "
                    "every exit; and real pictures, right and wrong, by the exit they took.",
                    options, "one MODEL", 1, 1 };
    int code = cli_parse(&c, argc, argv);

    if (code == CLI_GO && !s->data)
        return cli_wrong(name, "--data SPEC is required");
    if (code == CLI_GO && !s->output)
        return cli_wrong(name, "-o OUT.html is required");
    return code == CLI_GO && target_check(name, &s->target, s->point >= 0) != TOOL_DONE ? TOOL_USAGE : code;
}

static int find_rule(report *r, const settings *s)
{
    ln_model_info info = LN_MODEL_INFO_INIT;

    ln_model_get_info(r->model, &info, NULL);
    r->exits = info.exits;
    r->classes = info.classes;
    r->targeted = target_pick(&r->target, &s->target, r->model, s->point >= 0);
    r->point = s->point >= 0 ? s->point : info.points ? (int64_t)info.default_point : -1;
    r->policy = r->target.policy;
    if (r->targeted)
        return target_say(name, r->model, &r->target);
    ln_point_info point = LN_POINT_INFO_INIT;
    if (r->point < 0 || ln_point_get_info(r->model, (uint32_t)r->point, &point, NULL) == LN_OK) {
        r->policy = point.policy;
        return TOOL_DONE;
    }
    fprintf(stderr, "leenet %s: --point %lld: the model has %u operating point%s, numbered from 0\n", name,
            (long long)r->point, info.points, info.points == 1 ? "" : "s");
    return TOOL_FAILED;
}

/* By name, else by number. */
static int find_class(report *r, const settings *s)
{
    char *end;

    r->focus = -1;
    if (!s->class)
        return TOOL_DONE;
    for (uint32_t c = 0; c < r->classes && r->focus < 0; c++)
        if (strcmp(ln_model_class_name(r->model, (int32_t)c), s->class) == 0)
            r->focus = (int32_t)c;
    if (r->focus >= 0)
        return TOOL_DONE;
    unsigned long number = strtoul(s->class, &end, 10);
    if (s->class[0] >= '0' && s->class[0] <= '9' && !*end && number < r->classes) {
        r->focus = (int32_t)number;
        return TOOL_DONE;
    }
    fprintf(stderr, "leenet %s: --class: the model has no class '", name);
    print_safe(stderr, s->class);
    fprintf(stderr, "'; 'leenet info' lists them, or give a number from 0 to %u\n", r->classes - 1);
    return TOOL_FAILED;
}

/* ---- Figures ------------------------------------------------------------------------------- */

static void exit_costs(report *r)
{
    r->cost_time = tool_alloc(r->exits + 1, sizeof *r->cost_time);
    r->cost_macs = tool_alloc(r->exits + 1, sizeof *r->cost_macs);
    for (uint32_t e = 0; e <= r->exits; e++) {
        r->cost_time[e] = ln_answers_time_share(r->answers, e);
        ln_exit_info info = LN_EXIT_INFO_INIT;
        r->cost_macs[e] = e < r->exits && ln_exit_get_info(r->model, e, &info, NULL) >= 0 ? info.macs_share : 1.0;
    }
}

/* Without operating points every row runs to the end. */
static void replay_plain(report *r)
{
    uint64_t right = 0;

    for (size_t i = 0; i < r->rows; i++) {
        r->results[i] = (ln_result){ .exit = r->exits, .gate = 1, .macs_share = 1 };
        r->results[i].label = ln_answers_choice(r->answers, r->exits, i, &r->results[i].probability);
        right += report_is_right(r, i);
    }
    r->at.rows = r->rows;
    r->at.accuracy = r->at.plain_accuracy = (double)right / (double)r->rows;
    r->at.params_share = r->at.macs_share = r->at.time_share = 1;
    r->shares[r->exits] = (ln_exit_share){ r->rows, 1, r->at.accuracy };
}

static ln_status replay(report *r, ln_error *err)
{
    r->results = tool_alloc(r->rows, sizeof *r->results);
    r->shares = tool_alloc(r->exits + 1, sizeof *r->shares);
    r->at = (ln_evaluation)LN_EVALUATION_INIT;
    r->at.exits = r->shares;
    if (!report_leaves_early(r)) {
        replay_plain(r);
        return LN_OK;
    }
    r->setting = (ln_setting)LN_SETTING_INIT;
    ln_status st = r->targeted ? ln_target_resolve(r->model, &r->target, &r->setting, NULL, err) : LN_OK;
    if (st >= 0)
        st = r->targeted ? ln_answers_replay(r->answers, r->setting.policy, r->setting.index, r->results, &r->at, err)
                         : ln_answers_replay_point(r->answers, (uint32_t)r->point, r->results, &r->at, err);
    for (size_t i = 0; i < r->rows && st >= 0; i++)     /* with heads and gates on the way */
        r->cost_macs[r->results[i].exit] = (double)r->results[i].macs_share;
    return st;
}

static int by_time(const void *a, const void *b)
{
    const report_place *x = a, *y = b;
    return (x->time > y->time) - (x->time < y->time);
}

/* Takes the places over. */
static void add_curve(report *r, const char *title, report_place *places, size_t count)
{
    report_curve *c = &r->curve[r->n_curves];

    if (count == 0 || r->n_curves == REPORT_MOST_CURVES) {
        free(places);
        return;
    }
    qsort(places, count, sizeof *places, by_time);
    snprintf(c->name, sizeof c->name, "%s", title);
    c->count = count;
    c->place = places;
    r->n_curves++;
}

static report_place place_of(size_t number, const ln_evaluation *e)
{
    return (report_place){ number, e->time_share, e->macs_share, e->accuracy };
}

static ln_status add_points(report *r, ln_error *err)
{
    size_t count = ln_model_point_count(r->model);
    report_place *places = tool_alloc(count, sizeof *places);
    ln_status st = LN_OK;

    for (size_t p = 0; p < count && st >= 0; p++) {
        ln_evaluation e = LN_EVALUATION_INIT;
        st = ln_answers_replay_point(r->answers, (uint32_t)p, NULL, &e, err);
        places[p] = place_of(p, &e);
    }
    add_curve(r, "operating points", places, st >= 0 ? count : 0);
    return st;
}

static ln_status add_settings(report *r, int32_t policy, ln_error *err)
{
    size_t count = policy == LN_POLICY_ORACLE ? 1 : ln_setting_count(r->model, policy);
    report_place *places = tool_alloc(count, sizeof *places);
    ln_status st = LN_OK;

    for (size_t i = 0; i < count && st >= 0; i++) {
        ln_evaluation e = LN_EVALUATION_INIT;
        st = ln_answers_replay(r->answers, policy, (uint32_t)i, NULL, &e, err);
        places[i] = place_of(i, &e);
    }
    add_curve(r, ln_policy_name(policy), places, st >= 0 ? count : 0);
    return st;
}

/* Every policy's settings, or the operating points of a model without; and what an oracle could do. */
static ln_status add_curves(report *r, ln_error *err)
{
    ln_status st = LN_OK;

    for (int32_t p = 0; p < LN_POLICY_ORACLE && st >= 0; p++)
        st = add_settings(r, p, err);
    if (st >= 0 && r->n_curves == 0)
        st = add_points(r, err);
    return st >= 0 && r->exits ? add_settings(r, LN_POLICY_ORACLE, err) : st;
}

/* ---- The command ----------------------------------------------------------------------------- */

static ln_status collect(report *r, const settings *s, progress *p, ln_error *err)
{
    ln_answers_options options = LN_ANSWERS_OPTIONS_INIT;
    ln_status st;

    options.threads = s->threads;
    options.progress = progress_show;
    options.progress_payload = p;
    st = ln_answers_collect(&r->answers, r->model, r->data, &options, err);
    progress_end(p);
    if (st < 0)
        return st;
    r->rows = ln_answers_rows(r->answers);
    exit_costs(r);
    st = replay(r, err);
    if (st >= 0)
        st = add_curves(r, err);
    if (st >= 0)
        report_count(r);
    return st;
}

static void print_json(const report *r, const char *path)
{
    json j;

    json_start(&j, stdout);
    json_text(&j, "page", path);
    if (r->targeted) {
        json_target(&j, "target", &r->target);
        json_setting(&j, &r->setting);
    } else if (r->point >= 0) {
        json_whole(&j, "point", (uint64_t)r->point);
    }
    json_whole(&j, "rows", r->rows);
    json_real(&j, "accuracy", r->at.accuracy);
    json_real(&j, "plain_accuracy", r->at.plain_accuracy);
    json_real(&j, "params_share", r->at.params_share);
    json_real(&j, "macs_share", r->at.macs_share);
    json_real(&j, "time_share", r->at.time_share);
    json_open(&j, "exits", '[');
    for (uint32_t e = 0; e <= r->exits; e++) {
        json_open(&j, NULL, '{');
        json_text(&j, "name", exit_name(r->model, e));
        json_whole(&j, "rows", r->shares[e].rows);
        json_real(&j, "share", r->shares[e].share);
        json_real(&j, "accuracy", r->shares[e].accuracy);
        json_real(&j, "accuracy_of_all", r->calibration[e].accuracy);
        json_real(&j, "calibration_error", r->calibration[e].error);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_finish(&j);
}

static int write_page(const report *r, const settings *s)
{
    output page;
    int code = output_open(&page, name, s->output), closed;

    if (code != TOOL_DONE)
        return code;
    code = report_write(r, page.file);
    closed = output_close(&page, code == TOOL_DONE);
    code = code == TOOL_DONE ? closed : code;
    if (code == TOOL_DONE && s->json) {
        print_json(r, s->output);
    } else if (code == TOOL_DONE) {
        fputs("saved as ", stdout);
        print_safe(stdout, s->output);
        putc('\n', stdout);
    }
    return code;
}

static void report_free(report *r)
{
    void *owned[] = { r->results, r->shares, r->left, r->right, r->of_class, r->plain_right, r->cost_time, r->cost_macs,
                      r->calibration };

    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    for (size_t i = 0; i < r->n_curves; i++)
        free(r->curve[i].place);
    ln_answers_free(r->answers);
    ln_data_free(r->data);
    ln_model_free(r->model);
}

static int run(report *r, const settings *s, progress *p)
{
    ln_error err = { 0 };
    int code = check_result(name, s->output, (const char *const[]){ r->model_path, s->data, s->class_map }, 3);

    if (code == TOOL_DONE)
        code = load_model(&r->model, name, r->model_path, p);
    if (code == TOOL_DONE)
        code = preprocess_apply(name, &s->preprocess, r->model);
    if (code == TOOL_DONE)
        code = find_rule(r, s);
    if (code == TOOL_DONE)
        code = find_class(r, s);
    if (code == TOOL_DONE)
        code = load_data(&r->data, name, s->data, s->class_map, s->skip_bad);
    if (code != TOOL_DONE)
        return code;
    ln_status st = collect(r, s, p, &err);
    print_skipped(name, r->data);
    return st < 0 ? report_error(name, st, &err) : write_page(r, s);
}

int cmd_report(int argc, char **argv)
{
    settings s = { .point = -1, .threads = 1, .pictures = UINT32_MAX, .target = TARGET_FLAGS_INIT, .preprocess = PREPROCESS_FLAGS_INIT };
    report r = { 0 };
    progress p;
    int code = parse(&s, &argc, argv);

    if (code != CLI_GO)
        return code;
    r.model_path = argv[0];
    r.data_spec = s.data;
    r.pictures = s.pictures != UINT32_MAX ? s.pictures : s.class ? 24 : 8;
    progress_start(&p, s.quiet);
    interrupt_catch();
    code = run(&r, &s, &p);
    report_free(&r);
    return finish_output(name, code);
}
