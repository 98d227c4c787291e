/* cli_judge.c - evaluates operating points and prints what came out. */
#include <math.h>
#include <stdlib.h>

#include "tool.h"

typedef struct verdict {
    const judging *asked;
    ln_setting     setting;     /* where a target was asked for */
    uint32_t      *points;
    size_t         count;       /* evaluations */
    uint32_t       exits;       /* E */
    ln_evaluation *found;       /* [count] */
    ln_exit_share *shares;      /* [count][E+1] */
} verdict;

wilson_interval wilson(double p, uint64_t rows)
{
    const double z = 1.959963985, n = (double)rows;
    double middle, half;

    if (rows == 0)
        return (wilson_interval){ 0, 1 };
    middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    return (wilson_interval){ fmax(0, middle - half), fmin(1, middle + half) };
}

void json_expected(json *j, const ln_point_info *info)
{
    json_open(j, "expected", '{');
    json_whole(j, "rows", info->rows);
    json_real(j, "accuracy", info->accuracy);
    json_real(j, "plain_accuracy", info->plain_accuracy);
    json_real(j, "params_share", info->params_share);
    json_real(j, "macs_share", info->macs_share);
    json_real(j, "time_share", info->time_share);
    json_close(j, '}');
}

void json_setting(json *j, const ln_setting *s)
{
    json_open(j, "setting", '{');
    json_text(j, "policy", ln_policy_name(s->policy));
    json_whole(j, "index", s->index);
    json_whole(j, "point", s->point);
    json_whole(j, "rows", s->rows);
    json_real(j, "accuracy", s->accuracy);
    json_real(j, "plain_accuracy", s->plain_accuracy);
    json_real(j, "params_share", s->params_share);
    json_real(j, "macs_share", s->macs_share);
    json_real(j, "time_share", s->time_share);
    json_whole(j, "calibration_rows", s->calibration_rows);
    json_whole(j, "lost", s->lost);
    json_whole(j, "gained", s->gained);
    json_whole(j, "changed", s->changed);
    json_close(j, '}');
}

/* What the rows of training say of the point, or of the setting on it. */
static ln_point_info expectation(const verdict *v, size_t i)
{
    ln_point_info info = LN_POINT_INFO_INIT;

    ln_point_get_info(v->asked->model, v->points[i], &info, NULL);
    if (!v->asked->target)
        return info;
    info.rows = v->setting.rows;
    info.accuracy = v->setting.accuracy;
    info.plain_accuracy = v->setting.plain_accuracy;
    info.params_share = v->setting.params_share;
    info.macs_share = v->setting.macs_share;
    info.time_share = v->setting.time_share;
    return info;
}

static void json_interval(json *j, double accuracy, uint64_t rows)
{
    wilson_interval ci = wilson(accuracy, rows);

    json_open(j, "interval", '[');
    json_real(j, NULL, ci.low);
    json_real(j, NULL, ci.high);
    json_close(j, ']');
}

static void print_json_plain(const verdict *v)
{
    json j;

    json_start(&j, stdout);
    json_whole(&j, "rows", v->found->rows);
    json_real(&j, "plain_accuracy", v->found->plain_accuracy);
    json_interval(&j, v->found->plain_accuracy, v->found->rows);
    json_real(&j, "plain_ms_per_row", v->found->plain_ms_per_row);
    json_whole(&j, "batch", v->asked->rows);
    json_whole(&j, "threads", v->asked->threads);
    json_finish(&j);
}

static void print_json_point(const verdict *v, size_t i)
{
    const ln_evaluation *e = &v->found[i];
    ln_point_info info = expectation(v, i);
    json j;

    json_start(&j, stdout);
    if (v->asked->target) {     /* alpha was what its point was trained for, not what is meant */
        json_setting(&j, &v->setting);
    } else {
        json_whole(&j, "point", v->points[i]);
        json_text(&j, "policy", ln_policy_name(info.policy));
        json_real(&j, "alpha", info.alpha);
        json_bool(&j, "moved", info.moved);
        json_text(&j, "cost", cost_name(info.cost));
    }
    json_whole(&j, "rows", e->rows);
    json_real(&j, "accuracy", e->accuracy);
    json_interval(&j, e->accuracy, e->rows);
    json_real(&j, "plain_accuracy", e->plain_accuracy);
    json_open(&j, "exits", '[');
    for (uint32_t x = 0; x <= v->exits; x++) {
        json_open(&j, NULL, '{');
        json_text(&j, "name", exit_name(v->asked->model, x));
        json_real(&j, "share", e->exits[x].share);
        json_real(&j, "accuracy", e->exits[x].accuracy);
        json_whole(&j, "rows", e->exits[x].rows);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_real(&j, "params_share", e->params_share);
    json_real(&j, "macs_share", e->macs_share);
    json_real(&j, "ms_per_row", e->ms_per_row);
    json_real(&j, "plain_ms_per_row", e->plain_ms_per_row);
    json_real(&j, "drift", e->drift);
    json_whole(&j, "batch", v->asked->rows);
    json_whole(&j, "threads", v->asked->threads);
    json_expected(&j, &info);
    json_finish(&j);
}

static void print_plain(const verdict *v)
{
    const ln_evaluation *e = v->found;
    wilson_interval ci = wilson(e->plain_accuracy, e->rows);

    printf("plain network on %llu rows, %u a call, %u thread%s:\n"
           "  accuracy %.2f %% (95 %%: %.2f to %.2f), %.3f ms a row\n",
           (unsigned long long)e->rows, v->asked->rows, v->asked->threads,
           v->asked->threads == 1 ? "" : "s", 100 * e->plain_accuracy, 100 * ci.low,
           100 * ci.high, e->plain_ms_per_row);
}

/* What was judged: a setting of a policy, or an operating point. */
static void print_which(table *t, const verdict *v, size_t i, const ln_point_info *info)
{
    table_cell(t, "%u", v->asked->target ? v->setting.index : v->points[i]);
    if (v->asked->target)
        table_cell(t, "%s", ln_policy_name(v->setting.policy));
    else
        cell_point(t, info);
}

#define COST_HEADS "accuracy|95 % interval|loss|params|macs|time|ms/row|plain ms|expected|at time"

static void print_costs(const verdict *v)
{
    table t;

    table_start(&t, v->asked->target ? "setting|policy|" COST_HEADS : "point|alpha|" COST_HEADS);
    for (size_t i = 0; i < v->count; i++) {
        const ln_evaluation *e = &v->found[i];
        wilson_interval ci = wilson(e->accuracy, e->rows);
        ln_point_info info = expectation(v, i);
        print_which(&t, v, i, &info);
        table_cell(&t, "%.2f %%", 100 * e->accuracy);
        table_cell(&t, "%.2f..%.2f", 100 * ci.low, 100 * ci.high);
        table_cell(&t, "%.2f", 100 * (e->plain_accuracy - e->accuracy));
        table_cell(&t, "%.1f %%", 100 * e->params_share);
        table_cell(&t, "%.1f %%", 100 * e->macs_share);
        table_cell(&t, "%.1f %%", e->plain_ms_per_row > 0 ?
                                  100 * e->ms_per_row / e->plain_ms_per_row : 0.0);
        table_cell(&t, "%.3f", e->ms_per_row);
        table_cell(&t, "%.3f", e->plain_ms_per_row);
        table_cell(&t, "%.2f %%", 100 * info.accuracy);
        table_cell(&t, "%.1f %%", 100 * info.time_share);
    }
    table_print(&t, stdout);
}

static void print_shares(const verdict *v)
{
    table t;

    table_start(&t, v->asked->target ? "setting|exit|<value|rows|share|accuracy there" : "point|exit|<value|rows|share|accuracy there");
    for (size_t i = 0; i < v->count; i++)
        for (uint32_t x = 0; x <= v->exits; x++) {
            const ln_exit_share *s = &v->found[i].exits[x];
            table_cell(&t, "%u", v->asked->target ? v->setting.index : v->points[i]);
            table_cell(&t, "%u", x);
            table_cell(&t, "%s", exit_name(v->asked->model, x));
            table_cell(&t, "%llu", (unsigned long long)s->rows);
            table_cell(&t, "%.1f %%", 100 * s->share);
            if (s->rows)
                table_cell(&t, "%.2f %%", 100 * s->accuracy);
            else
                table_cell(&t, "-");
        }
    table_print(&t, stdout);
}

static void print_verdict(const verdict *v)
{
    if (v->asked->json) {
        if (v->asked->plain)
            print_json_plain(v);
        for (size_t i = 0; i < v->count && !v->asked->plain; i++)
            print_json_point(v, i);
        return;
    }
    print_plain(v);
    if (v->asked->plain)
        return;
    printf("\n");
    print_costs(v);
    printf("shares are of the plain network; expected: what the rows of training say\n\n");
    print_shares(v);
}

static ln_status evaluate(verdict *v, ln_error *err)
{
    const judging *j = v->asked;
    ln_session_options so = LN_SESSION_OPTIONS_INIT;
    ln_evaluate_options eo = LN_EVALUATE_OPTIONS_INIT;
    ln_session *session;
    ln_status st;

    so.max_rows = j->rows;
    so.threads = j->threads;
    so.target = j->target;
    st = ln_session_open(&session, j->model, &so, err);
    if (st < 0)
        return st;
    if (!j->target) {
        eo.points = v->points;
        eo.n_points = v->points ? v->count : 0;
    }
    eo.rows = j->rows;
    eo.plain_only = j->plain;
    eo.progress = progress_show;
    eo.progress_payload = j->progress;
    st = ln_evaluate(session, j->data, &eo, v->found, err);
    ln_session_free(session);
    return st;
}

static void prepare(verdict *v)
{
    const judging *j = v->asked;
    size_t width;

    v->exits = ln_model_exit_count(j->model);
    v->count = j->plain || j->target || j->point >= 0 ? 1 : ln_model_point_count(j->model);
    if (!j->plain) {
        v->points = tool_alloc(v->count, sizeof *v->points);
        for (size_t i = 0; i < v->count; i++)
            v->points[i] = j->target ? v->setting.point : j->point >= 0 ? (uint32_t)j->point : (uint32_t)i;
    }
    width = (size_t)v->exits + 1;
    v->found = tool_alloc(v->count, sizeof *v->found);
    v->shares = tool_alloc(v->count * width, sizeof *v->shares);
    for (size_t i = 0; i < v->count; i++) {
        v->found[i] = (ln_evaluation)LN_EVALUATION_INIT;
        v->found[i].exits = v->shares + i * width;
    }
}

int judge(const judging *j)
{
    verdict v = { .asked = j, .setting = LN_SETTING_INIT };
    ln_error err = { 0 };
    ln_status st;
    int code = TOOL_DONE;

    if (j->target && (st = ln_target_resolve(j->model, j->target, &v.setting, NULL, &err)) < 0)
        return report_error(j->command, st, &err);
    prepare(&v);
    st = evaluate(&v, &err);
    progress_end(j->progress);
    if (st < 0)
        code = report_error(j->command, st, &err);
    else
        print_verdict(&v);
    for (size_t i = 0; st >= 0 && !j->plain && i < v.count; i++)
        print_drift(j->command, j->target ? -1 : (int64_t)v.points[i], v.found[i].drift);
    if (st >= 0 && !j->plain) {
        fflush(stdout);
        diagnose_heads(j->command, j->model);
        /* A setting may keep rows from leaving on purpose. */
        if (!j->target)
            diagnose_points(j->command, j->model, v.points, v.found, v.count);
    }
    print_skipped(j->command, j->data);
    free(v.points);
    free(v.found);
    free(v.shares);
    return code;
}
