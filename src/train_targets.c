/* train_targets.c - what `leenet train` was asked to reach: calibration, and each request beside what was
 * expected and what came out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"

static const char name[] = "train";

/* Of --data, where --max-drop is given without --cal-data. */
#define SET_ASIDE ":part=0/5"
#define THE_OTHERS ":not=0/5"

static char *joined(const char *spec, const char *end)
{
    char *text = tool_alloc(strlen(spec) + strlen(end) + 1, 1);

    strcpy(text, spec);
    return strcat(text, end);
}

void train_set_aside(train_settings *s)
{
    if (s->target.max_drop < 0 || s->cal_data)
        return;
    s->own_cal = joined(s->data, SET_ASIDE);
    s->own_data = joined(s->data, THE_OTHERS);
    s->cal_data = s->own_cal;
    s->data = s->own_data;
    fprintf(stderr, "--max-drop needs rows that nothing is trained on: a fifth of --data is set aside (");
    print_safe(stderr, s->cal_data);
    fprintf(stderr, "); training on ");
    print_safe(stderr, s->data);
    fputc('\n', stderr);
}

size_t train_request_count(const train_settings *s)
{
    return s->budgets.count ? s->budgets.count : s->target.max_drop >= 0 ? 1 : 0;
}

static ln_target request(const train_settings *s, size_t i)
{
    target_flags flags = s->target;

    flags.budget = i < s->budgets.count ? s->budgets.value[i] : 0;
    flags.cost = s->cost;
    return target_of(&flags);
}

/* A setting that has its point, or that is the plain network, makes none. */
static ln_status add_point(ln_model *model, const ln_setting *at, bool *made, ln_error *err)
{
    if (made[at->index] || at->index == 0)
        return LN_OK;
    made[at->index] = true;
    return ln_point_add_setting(model, LN_POLICY_GATE, at->index, NULL, err);
}

/* What cannot be kept is reported when all is trained. */
static ln_status add_requested(const train_settings *s, ln_model *model, bool *made, ln_error *err)
{
    ln_status st = LN_OK;

    for (size_t i = 0; st >= 0 && i < s->budgets.count; i++) {
        ln_setting at = LN_SETTING_INIT;
        ln_target target = request(s, i);
        st = ln_target_resolve(model, &target, &at, NULL, err);
        if (st == LN_OK)
            st = add_point(model, &at, made, err);
        else if (st == LN_E_ARGUMENT)
            st = LN_OK;
    }
    return st;
}

/* Points that spend what they are for, as nearly as settings do. */
static ln_status add_usual(const train_settings *s, ln_model *model, bool *made, ln_error *err)
{
    static const double usual[] = { 0.5, 0.35, 0.25 };
    uint32_t index = 1, count = ln_setting_count(model, LN_POLICY_GATE);
    ln_status st = LN_OK;

    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        ln_setting at = LN_SETTING_INIT;
        for (; st >= 0 && index < count; index++) {
            st = ln_setting_get(model, LN_POLICY_GATE, index, &at, err);
            if (st < 0 || setting_cost(&at, s->cost) <= usual[i])
                break;
        }
        if (st >= 0 && index < count)
            st = add_point(model, &at, made, err);
    }
    return st;
}

ln_status train_add_budget_points(const train_settings *s, ln_model *model, ln_error *err)
{
    bool *made = tool_alloc(ln_setting_count(model, LN_POLICY_GATE), sizeof *made);
    ln_status st = add_requested(s, model, made, err);

    if (st >= 0 && s->usual_points)
        st = add_usual(s, model, made, err);
    free(made);
    return st < 0 ? st : LN_OK;
}

static bool can_keep(const ln_model *model, const ln_target *target, bool certified)
{
    ln_setting setting = LN_SETTING_INIT;
    ln_status st = ln_target_resolve(model, target, &setting, NULL, NULL);

    return certified ? st == LN_OK : st >= 0;
}

/* The first that can be kept, else the proof without a budget, else what is not proven yet: rows of it do not leave early. */
static bool find_default(const train_settings *s, const ln_model *model, ln_target *out)
{
    size_t count = train_request_count(s);

    for (int certified = 1; certified >= 0; certified--) {
        for (size_t i = 0; i < count; i++) {
            *out = request(s, i);
            if (can_keep(model, out, certified))
                return true;
        }
        if (count && s->target.max_drop >= 0) {
            out->budget = 0;
            if (can_keep(model, out, certified))
                return true;
        }
    }
    return false;
}

ln_status train_default_target(const train_settings *s, ln_model *model, ln_error *err)
{
    ln_target target;

    return find_default(s, model, &target) ? ln_target_set_default(model, &target, err) : LN_OK;
}

typedef struct outcome {
    ln_target  target;
    ln_setting chosen, careless;    /* careless: by expectation alone */
    ln_status  status;
    uint64_t   needed;
    ln_evaluation found;            /* on --val */
} outcome;

/* What would be chosen without proof: the cheapest setting expected to lose no more. */
static ln_setting by_expectation(const ln_model *model, const ln_target *t)
{
    ln_setting best = LN_SETTING_INIT, s = LN_SETTING_INIT;

    ln_setting_get(model, t->policy, 0, &best, NULL);
    for (uint32_t i = 1; i < ln_setting_count(model, t->policy); i++)
        if (ln_setting_get(model, t->policy, i, &s, NULL) == LN_OK &&
            100 * (s.plain_accuracy - s.accuracy) <= t->max_drop && setting_cost(&s, t->cost) < setting_cost(&best, t->cost))
            best = s;
    return best;
}

static ln_status judge_request(outcome *o, ln_session *session, ln_data *val, progress *p, ln_error *err)
{
    ln_evaluate_options eo = LN_EVALUATE_OPTIONS_INIT;
    ln_status st = ln_session_set_target(session, &o->target, err);

    eo.progress = progress_show;
    eo.progress_payload = p;
    o->found = (ln_evaluation)LN_EVALUATION_INIT;
    return st < 0 ? st : ln_evaluate(session, val, &eo, &o->found, err);
}

static double realised(const outcome *o)
{
    return o->target.cost == LN_COST_PARAMS ? o->found.params_share
         : o->target.cost == LN_COST_MACS ? o->found.macs_share : o->found.time_share;
}

static void print_request(table *t, const outcome *o, bool judged)
{
    const ln_target *g = &o->target;
    const ln_setting *s = &o->chosen;
    char dash[] = "-";

    g->budget > 0 ? table_cell(t, "%s <= %.4g", cost_name(g->cost), g->budget) : table_cell(t, "%s", dash);
    g->max_drop >= 0 ? table_cell(t, "<= %.4g", g->max_drop) : table_cell(t, "%s", dash);
    table_cell(t, "%u", s->index);
    table_cell(t, "%.2f %%", 100 * s->accuracy);
    table_cell(t, "%.2f", 100 * (s->plain_accuracy - s->accuracy));
    table_cell(t, "%.1f %%", 100 * setting_cost(s, g->cost));
    judged ? table_cell(t, "%.2f %%", 100 * o->found.accuracy) : table_cell(t, "%s", dash);
    judged ? table_cell(t, "%.2f", 100 * (o->found.plain_accuracy - o->found.accuracy)) : table_cell(t, "%s", dash);
    judged ? table_cell(t, "%.1f %%", 100 * realised(o)) : table_cell(t, "%s", dash);
}

static void print_safety(const outcome *o)
{
    const ln_target *g = &o->target;
    const char *what = cost_name(g->cost);
    double safe = setting_cost(&o->chosen, g->cost), careless = setting_cost(&o->careless, g->cost);

    if (g->max_drop < 0)
        return;
    if (o->status == LN_UNCERTIFIED) {
        target_print_needed(stdout, o->needed, &o->chosen);
        printf("\n");
    } else {
        printf("setting %u is certified to lose at most %.4g points %s with %.4g %% confidence: of %u calibration rows %u were "
               "lost, %u gained, %u changed\n", o->chosen.index, g->max_drop,
               g->against == LN_AGAINST_PLAIN ? "(answers changed)" : "of accuracy",
               100 * (g->confidence > 0 ? g->confidence : 0.95), o->chosen.calibration_rows, o->chosen.lost, o->chosen.gained,
               o->chosen.changed);
    }
    if (g->budget <= 0)
        printf("being safe costs %.1f %% of the plain network's %s: certified %.1f %%, expected to do without proof %.1f %%\n",
               100 * (safe - careless), what, 100 * safe, 100 * careless);
}

static void print_json(const outcome *o, bool judged)
{
    const ln_setting *s = &o->chosen;
    json j;

    json_start(&j, stdout);
    json_open(&j, "request", '{');
    if (o->target.budget > 0)
        json_real(&j, "budget", o->target.budget);
    json_text(&j, "cost", cost_name(o->target.cost));
    if (o->target.max_drop >= 0) {
        json_real(&j, "max_drop", o->target.max_drop);
        json_real(&j, "confidence", o->target.confidence > 0 ? o->target.confidence : 0.95);
        json_text(&j, "against", o->target.against == LN_AGAINST_PLAIN ? "plain" : "labels");
        json_bool(&j, "certified", o->status != LN_UNCERTIFIED);
        if (o->status == LN_UNCERTIFIED)
            json_real(&j, "rows_needed", o->needed == UINT64_MAX ? (double)NAN : (double)o->needed);
        json_real(&j, "cost_without_proof", setting_cost(&o->careless, o->target.cost));
    }
    json_close(&j, '}');
    json_setting(&j, s);
    if (judged) {
        json_open(&j, "val", '{');
        json_whole(&j, "rows", o->found.rows);
        json_real(&j, "accuracy", o->found.accuracy);
        json_real(&j, "plain_accuracy", o->found.plain_accuracy);
        json_real(&j, "cost", realised(o));
        json_close(&j, '}');
    }
    json_finish(&j);
}

static void print_outcomes(const outcome *o, size_t count, bool judged, bool as_json)
{
    table t;

    for (size_t i = 0; as_json && i < count; i++)
        print_json(&o[i], judged);
    if (as_json)
        return;
    printf("\nwhat was asked for, what the rows of training expect, what came out on --val:\n");
    table_start(&t, "budget|max drop|setting|accuracy|loss|cost|val accuracy|loss|cost");
    for (size_t i = 0; i < count; i++)
        print_request(&t, &o[i], judged);
    table_print(&t, stdout);
    for (size_t i = 0; i < count; i++)
        print_safety(&o[i]);
}

int train_report_targets(const train_settings *s, ln_model *model, ln_data *val, progress *p)
{
    size_t count = train_request_count(s);
    outcome *o = count ? tool_alloc(count, sizeof *o) : NULL;
    ln_session_options so = LN_SESSION_OPTIONS_INIT;
    ln_session *session = NULL;
    ln_error err = { 0 };
    ln_status st = LN_OK;
    size_t reached = 0;
    int code = TOOL_DONE;

    if (count && val)
        st = ln_session_open(&session, model, &so, &err);
    for (size_t i = 0; st >= 0 && i < count; i++) {
        outcome *at = &o[reached];
        at->target = request(s, i);
        at->chosen = (ln_setting)LN_SETTING_INIT;
        at->status = ln_target_resolve(model, &at->target, &at->chosen, &at->needed, &err);
        if (at->status < 0) {       /* what is left can still be reached */
            code = report_error(name, at->status, &err);
            continue;
        }
        at->careless = by_expectation(model, &at->target);
        reached++;
        if (val)
            st = judge_request(at, session, val, p, &err);
    }
    ln_session_free(session);
    progress_end(p);
    if (st >= 0 && reached)
        print_outcomes(o, reached, val != NULL, s->json);
    free(o);
    return st < 0 ? report_error(name, st, &err) : code;
}

int train_check_apart(const char *flag, const ln_data *data, const ln_data *const *learned, size_t count, const char *why)
{
    for (size_t k = 0; data && k < count; k++) {
        size_t shared = 0, first = 0;
        ln_error err = { 0 };
        ln_status st = learned[k] ? ln_data_common(data, learned[k], &shared, &first, &err) : LN_OK;

        if (st < 0)
            return report_error(name, st, &err);
        if (!shared)
            continue;
        fprintf(stderr, "leenet %s: %s: '", name, flag);
        print_safe(stderr, ln_data_row_name(data, first));
        fprintf(stderr, "' is among the rows to learn from, %s; give others\n", why);
        return TOOL_FAILED;
    }
    return TOOL_DONE;
}

void train_warn_of_shared(const char *command, const char *flag, const ln_data *data, const ln_data *const *learned, size_t count)
{
    for (size_t k = 0; data && k < count; k++) {
        size_t shared = 0;

        if (learned[k] && ln_data_common(data, learned[k], &shared, NULL, NULL) == LN_OK && shared)
            fprintf(stderr, "leenet %s: warning: %zu of the %zu rows of %s are among the rows to learn from; figures of them promise too much\n",
                    command, shared, ln_data_rows(data), flag);
    }
}

ln_status train_calibrate(const train_settings *s, ln_model *model, ln_data *rows, progress *p, ln_error *err)
{
    ln_calibrate_options o = LN_CALIBRATE_OPTIONS_INIT;

    o.threads = s->threads;
    o.max_memory = s->max_memory;
    o.cache_folder = s->cache;
    o.progress = progress_show;
    o.progress_payload = p;
    return ln_policy_calibrate(model, rows, &o, err);
}
