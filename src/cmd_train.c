/* cmd_train.c - leenet train: exits, heads and gates for a classifier. */
#include <math.h>
#include <stdlib.h>

#include "cmd_train.h"

static const char name[] = "train";

enum { REPORT_ROWS = 16 };      /* rows of one call when --val is judged */

typedef struct job {
    const train_settings *s;
    ln_model             *model;
    ln_data              *data, *head_data, *gate_data, *val, *cal;
    progress              p;
} job;

static int open_data(const job *b, ln_data **out, const char *spec)
{
    return spec ? load_data(out, name, spec, b->s->class_map, b->s->skip_bad) : TOOL_DONE;
}

/* The data set's names become the model's where classes agree and it has none;
 * where they do not, training sets classes and names itself. */
static ln_status name_classes(job *b, ln_error *err)
{
    uint32_t count = ln_model_class_count(b->model);
    const char **names;
    ln_status st;

    if (b->s->class_map || ln_data_class_count(b->data) != count || count == 0 ||
        ln_model_class_name(b->model, 0)[0] || !ln_data_class_name(b->data, 0)[0])
        return LN_OK;
    names = tool_alloc(count, sizeof *names);
    for (uint32_t i = 0; i < count; i++)
        names[i] = ln_data_class_name(b->data, i);
    st = ln_model_set_classes(b->model, names, NULL, count, err);
    free(names);
    return st;
}

static uint32_t library_width(uint32_t hidden)
{
    return hidden == HIDDEN_NOT_GIVEN ? 0 : hidden == 0 ? UINT32_MAX : hidden;
}

static void print_places(const ln_place *places, size_t count)
{
    table t;

    table_start(&t, "<where exits can go|cost|head|accuracy|exit|gain");
    for (size_t i = 0; i < count; i++) {
        table_cell(&t, "%s", places[i].value);
        table_cell(&t, "%.1f %%", 100 * places[i].share);
        table_cell(&t, "%.2f %%", 100 * places[i].head_share);
        table_cell(&t, "%.2f %%", 100 * places[i].accuracy);
        table_cell(&t, "%s", places[i].chosen ? "yes" : "");
        if (places[i].gain >= 1)
            table_cell(&t, "needed");
        else if (places[i].chosen)
            table_cell(&t, "%.2f", 100 * places[i].gain);
        else
            table_cell(&t, "%s", "");
    }
    table_print(&t, stdout);
    printf("accuracy of small heads that were tried there; gain: points of accuracy that would be missing without the exit\n\n");
}

static ln_status try_places(job *b, const ln_exit_options *heads, ln_error *err)
{
    const train_settings *s = b->s;
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_place places[63];
    size_t count = 0;
    ln_status st;

    o.heads = heads;
    o.exits = s->n_places;
    o.head_rows = b->head_data;
    const cli_list *budgets = s->place_budgets.count ? &s->place_budgets : &s->budgets;
    o.budgets = budgets->value;
    o.n_budgets = budgets->count;
    o.cost = s->cost;
    o.threads = s->threads;
    o.seed = s->seed;
    o.max_memory = s->max_memory;
    o.cache_folder = s->cache;
    o.progress = progress_show;
    o.progress_payload = &b->p;
    st = ln_exit_place(b->model, b->data, &o, places, 63, &count, err);
    progress_end(&b->p);
    if (st >= 0 && !s->json)
        print_places(places, count);
    return st;
}

static ln_status place_exits(job *b, ln_error *err)
{
    static const uint32_t covariance[] = { 0, 1, UINT32_MAX };      /* auto, on, off */
    ln_exit_options options = LN_EXIT_OPTIONS_INIT;
    ln_status st = ln_exit_clear(b->model, err);

    options.head = b->s->head;
    options.hidden = library_width(b->s->hidden);
    options.cells = b->s->cells;
    options.channels = b->s->channels;
    options.covariance = covariance[b->s->covariance];
    if (st >= 0)
        st = name_classes(b, err);
    if (st >= 0 && !b->s->places && !b->s->even)
        return try_places(b, &options, err);
    if (st >= 0 && !b->s->places)
        return ln_exit_add_auto(b->model, b->s->n_places, &options, err);
    for (uint32_t i = 0; st >= 0 && i < b->s->n_places; i++)
        st = ln_exit_add(b->model, b->s->places[i], &options, err);
    return st;
}

static ln_status tune(job *b, ln_error *err)
{
    ln_tune_options o = LN_TUNE_OPTIONS_INIT;

    o.progress = progress_show;
    o.progress_payload = &b->p;
    return ln_model_tune(b->model, &o, err);
}

static ln_status train_heads(job *b, ln_error *err)
{
    const train_settings *s = b->s;
    ln_train_options o = LN_TRAIN_OPTIONS_INIT;

    o.seed = s->seed;
    o.threads = s->threads;
    o.epochs = s->epochs;
    o.folds = s->folds;
    o.batch = s->batch;
    o.learning_rate = s->learning_rate;
    o.weight_decay = s->weight_decay == 0 ? -1 : s->weight_decay > 0 ? s->weight_decay : 0;
    o.max_memory = s->max_memory;
    o.cache_folder = s->cache;
    o.head_rows = b->head_data;
    o.augment = s->augment;
    o.unchained = s->unchained;
    o.label_smoothing = s->label_smoothing;
    o.dropout = s->dropout;
    o.distill = s->distill;
    o.progress = progress_show;
    o.progress_payload = &b->p;
    return ln_exit_train(b->model, b->data, &o, err);
}

/* LEENet's gates learn from the rows its heads have learned from, unless they are given others. */
static bool gates_share_rows(const train_settings *s)
{
    return s->recipe == 0 && !s->gate_data;
}

static ln_status train_gates(job *b, ln_error *err)
{
    const train_settings *s = b->s;
    ln_gate_options o = LN_GATE_OPTIONS_INIT;

    o.alphas = s->alphas.value;
    o.n_alphas = s->alphas.count;
    o.input = s->gate;
    o.hidden = library_width(s->gate_hidden);
    o.cost = s->cost;
    o.price = s->price;
    o.objective = s->objective;
    o.threshold = s->threshold;
    o.epochs = s->gate_epochs;
    o.threads = s->threads;
    o.seed = s->seed;
    o.max_memory = s->max_memory;
    o.cache_folder = s->cache;
    o.same_rows = gates_share_rows(s);
    o.progress = progress_show;
    o.progress_payload = &b->p;
    return ln_gate_train(b->model, b->gate_data ? b->gate_data : b->data, &o, err);
}

static ln_status train_policies(job *b, ln_error *err)
{
    const train_settings *s = b->s;
    ln_policy_options o = LN_POLICY_OPTIONS_INIT;

    if (!s->policies)
        return LN_OK;
    o.policies = s->n_policies ? s->policy : NULL;
    o.n_policies = s->n_policies;
    o.cost = s->cost;
    o.threads = s->threads;
    o.seed = s->seed;
    o.max_memory = s->max_memory;
    o.cache_folder = s->cache;
    o.progress = progress_show;
    o.progress_payload = &b->p;
    return ln_policy_train(b->model, b->gate_data ? b->gate_data : b->data, &o, err);
}

/* The fastest point expected to lose at most 1 point, else the most accurate. */
static ln_status choose_default(job *b, ln_error *err)
{
    uint32_t best = 0, points = ln_model_point_count(b->model);
    double best_time = INFINITY, best_loss = INFINITY;

    for (uint32_t i = 0; i < points; i++) {
        ln_point_info p = LN_POINT_INFO_INIT;
        double loss, time;
        if (ln_point_get_info(b->model, i, &p, NULL) < 0 || p.policy != LN_POLICY_GATE)
            continue;
        loss = fmax(0.01, p.plain_accuracy - p.accuracy);
        time = p.time_share > 0 ? p.time_share : p.macs_share;
        if (loss < best_loss || (loss <= best_loss && time < best_time)) {
            best = i;
            best_loss = loss;
            best_time = time;
        }
    }
    return points ? ln_point_set_default(b->model, best, err) : LN_OK;
}

static ln_status build(job *b, ln_error *err)
{
    ln_status st = place_exits(b, err);

    if (st >= 0 && !b->s->no_tune)
        st = tune(b, err);
    if (st >= 0)
        st = train_heads(b, err);
    if (st >= 0)
        st = train_gates(b, err);
    if (st >= 0)
        st = train_policies(b, err);
    if (st >= 0 && b->cal)
        st = train_calibrate(b->s, b->model, b->cal, &b->p, err);
    if (st >= 0)
        st = train_add_budget_points(b->s, b->model, err);
    if (st >= 0)
        st = choose_default(b, err);
    return st < 0 ? st : train_default_target(b->s, b->model, err);
}

ln_status train_model(const train_settings *s, ln_model *model, ln_data *data, progress *p, ln_error *err)
{
    job b = { .s = s, .model = model, .data = data, .p = *p };
    ln_status st = build(&b, err);

    progress_end(&b.p);
    return st;
}

/* After Ctrl-C. What was stopped stays stopped, whether saving works or not. */
static void save_partial(job *b)
{
    ln_error err = { 0 };
    ln_status st = ln_model_save(b->model, b->s->output, &err);

    if (st < 0) {
        report_error(name, st, &err);
        return;
    }
    fprintf(stderr, "leenet %s: what was trained so far is in ", name);
    print_safe(stderr, b->s->output);
    putc('\n', stderr);
}

static void print_points_json(const ln_model *model)
{
    for (uint32_t i = 0; i < ln_model_point_count(model); i++) {
        json j;

        json_start(&j, stdout);
        json_point(&j, model, i);
        json_finish(&j);
    }
}

static int report(job *b)
{
    uint32_t threads = b->s->threads ? b->s->threads : all_threads();
    int code;

    if (!b->s->json) {
        print_exits(b->model);
        printf("\n");
        print_points(b->model);
        printf("figures are from rows that the heads judging them have %s; shares are of the plain network\n\nsaved as ",
               gates_share_rows(b->s) ? "learned from, so they promise too much (judge them with --val or eval)" : "not seen");
        print_safe(stdout, b->s->output);
        printf("\n");
    } else if (!b->val) {
        print_points_json(b->model);
    }
    diagnose_network(name, b->model);
    diagnose_default(name, b->model);
    code = train_report_targets(b->s, b->model, b->val, &b->p);
    fflush(stdout);
    if (!b->val) {
        diagnose_heads(name, b->model);
        return code;
    }
    if (!b->s->json)
        printf("\n--val: ");
    int judged = judge(&(judging){ name, b->model, b->val, -1, REPORT_ROWS, threads, false, b->s->json, &b->p, NULL });
    return judged != TOOL_DONE ? judged : code;
}

static int train(job *b)
{
    ln_error err = { 0 };
    ln_status st = build(b, &err);
    int code;

    progress_end(&b->p);
    print_skipped(name, b->data);
    if (b->head_data)
        print_skipped(name, b->head_data);
    if (b->gate_data)
        print_skipped(name, b->gate_data);
    if (b->cal)
        print_skipped(name, b->cal);
    if (st < 0) {
        code = report_error(name, st, &err);
        if (st == LN_E_CANCELLED && b->s->keep_partial)
            save_partial(b);
        return code;
    }
    st = ln_model_save(b->model, b->s->output, &err);
    return st < 0 ? report_error(name, st, &err) : report(b);
}

static int run(job *b, const char *path)
{
    const train_settings *s = b->s;
    const char *const read[] = { s->data, s->val, s->head_data, s->gate_data, s->cal_data, s->class_map, s->log, path };
    const size_t all = sizeof read / sizeof read[0];
    int code = check_result(name, s->output, read, all - 1);    /* but for the model, which may be replaced by what it becomes */

    if (code == TOOL_DONE && s->log)
        code = log_check(name, s->log, (const char *const[]){ s->output, s->data, s->val, s->head_data, s->gate_data, s->cal_data, s->class_map, path }, all);
    if (code == TOOL_DONE)
        code = load_model(&b->model, name, path, &b->p);
    if (code == TOOL_DONE)
        code = preprocess_apply(name, &s->preprocess, b->model);
    if (code == TOOL_DONE)
        code = open_data(b, &b->data, s->data);
    if (code == TOOL_DONE)
        code = open_data(b, &b->head_data, s->head_data);
    if (code == TOOL_DONE)
        code = open_data(b, &b->gate_data, s->gate_data);
    if (code == TOOL_DONE)
        code = open_data(b, &b->val, s->val);
    if (code == TOOL_DONE)
        code = open_data(b, &b->cal, s->cal_data);
    if (code == TOOL_DONE)
        train_warn_of_shared(name, "--val", b->val, (const ln_data *const[]){ b->data, b->head_data, b->gate_data }, 3);
    if (code == TOOL_DONE)
        code = train_check_apart("--cal-data", b->cal, (const ln_data *const[]){ b->data, b->head_data, b->gate_data }, 3,
                                 "so that nothing could be proven");
    if (code == TOOL_DONE)
        code = train_check_apart("--gate-data", b->gate_data, (const ln_data *const[]){ b->data, b->head_data }, 2,
                                 "whose answers heads know by heart; without --gate-data gates learn from their answers out of fold");
    if (code == TOOL_DONE)
        code = train_check_apart("--head-data", b->head_data, (const ln_data *const[]){ b->data }, 1, "by which heads are judged");
    if (s->log)
        log_start(&b->p.log, name, s->log);
    if (code == TOOL_DONE)
        code = train(b);
    ln_model_free(b->model);
    ln_data_free(b->data);
    ln_data_free(b->head_data);
    ln_data_free(b->gate_data);
    ln_data_free(b->val);
    ln_data_free(b->cal);
    return code;
}

int cmd_train(int argc, char **argv)
{
    train_settings s;
    job b = { .s = &s };
    int closed, code = train_parse(&s, &argc, argv);

    if (code == CLI_GO) {
        progress_start(&b.p, s.quiet);
        interrupt_catch();
        code = run(&b, argv[0]);
        closed = log_close(&b.p.log);
        if (code == TOOL_DONE)
            code = closed;
        code = finish_output(name, code);
    }
    train_settings_free(&s);
    return code;
}
