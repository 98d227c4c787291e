/* cli_points.c - the exits and operating points that a model holds. */
#include "tool.h"

int32_t given_answer(const ln_answers *answers, const ln_model *model, int32_t policy, const ln_result *result, size_t row, float *probability)
{
    bool mixed = policy == LN_POLICY_ENSEMBLE && result->exit < ln_model_exit_count(model);

    if (!mixed)
        return ln_answers_choice(answers, result->exit, row, probability);
    if (probability)
        *probability = result->probability;
    return result->label;
}

const char *exit_name(const ln_model *model, uint32_t exit)
{
    ln_exit_info info = LN_EXIT_INFO_INIT;

    if (exit >= ln_model_exit_count(model) || ln_exit_get_info(model, exit, &info, NULL) < 0)
        return "end";
    return info.value;
}

const char *cost_name(int32_t cost)
{
    return cost == LN_COST_TIME ? "time" : cost == LN_COST_PARAMS ? "params" : "macs";
}

const char *head_name(int32_t head)
{
    return head == LN_HEAD_CONV ? "conv" : head == LN_HEAD_FLATTEN ? "flatten" : "pool";
}

static const char *gate_input_name(int32_t input)
{
    return input == LN_GATE_BOTH ? "both" : input == LN_GATE_FEATURES ? "features" : "stats";
}

static const char *objective_name(int32_t objective)
{
    static const char *const names[] = { "induction", "leenet", "right", "no-regret" };

    return names[objective];
}

static const char *price_name(int32_t price)
{
    return price == LN_PRICE_CROSS_ENTROPY ? "ce" : "error";
}

static void cell_head(table *t, const ln_exit_info *e)
{
    char text[64];
    int at = snprintf(text, sizeof text, "%s", head_name(e->head));

    if (e->head_channels)
        at += snprintf(text + at, sizeof text - (size_t)at, " %u", e->head_channels);
    if (e->cells > 1)
        at += snprintf(text + at, sizeof text - (size_t)at, " %ux%u", e->cells, e->cells);
    if (e->covariance)
        at += snprintf(text + at, sizeof text - (size_t)at, " + covariance");
    if (e->carry > 0)
        at += snprintf(text + at, sizeof text - (size_t)at, " + exit before");
    if (e->hidden)
        snprintf(text + at, sizeof text - (size_t)at, ", %u hidden", e->hidden);
    else
        snprintf(text + at, sizeof text - (size_t)at, ", linear");
    table_cell(t, "%s", text);
}

void print_exits(const ln_model *model)
{
    table t;

    table_start(&t, "exit|<value|shape|<head|params|macs|held out");
    for (uint32_t i = 0; i < ln_model_exit_count(model); i++) {
        ln_exit_info e = LN_EXIT_INFO_INIT;
        if (ln_exit_get_info(model, i, &e, NULL) < 0)
            break;
        table_cell(&t, "%u", i);
        table_cell(&t, "%s", e.value);
        table_cell(&t, "%ux%ux%u", e.channels, e.height, e.width);
        cell_head(&t, &e);
        table_cell(&t, "%.1f %%", 100 * e.params_share);
        table_cell(&t, "%.1f %%", 100 * e.macs_share);
        if (e.trained)
            table_cell(&t, "%.2f %%", 100 * e.heldout_accuracy);
        else
            table_cell(&t, "untrained");
    }
    table_print(&t, stdout);
}

void cell_point(table *t, const ln_point_info *info)
{
    const char *moved = info->moved ? ", moved" : "";

    if (info->policy == LN_POLICY_GATE)
        table_cell(t, "%.4g%s", info->alpha, moved);
    else
        table_cell(t, "%s%s", ln_policy_name(info->policy), moved);
}

void print_points(const ln_model *model)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_target target = LN_TARGET_INIT;
    bool targeted = ln_target_get_default(model, &target, NULL) == LN_OK;
    table t;

    if (ln_model_get_info(model, &info, NULL) < 0)
        return;
    table_start(&t, "point|alpha or policy|<of|expected accuracy|plain|params|macs|time|rows|<");
    for (uint32_t i = 0; i < info.points; i++) {
        ln_point_info p = LN_POINT_INFO_INIT;
        if (ln_point_get_info(model, i, &p, NULL) < 0)
            break;
        table_cell(&t, "%u", i);
        cell_point(&t, &p);
        table_cell(&t, "%s", cost_name(p.cost));
        table_cell(&t, "%.2f %%", 100 * p.accuracy);
        table_cell(&t, "%.2f %%", 100 * p.plain_accuracy);
        table_cell(&t, "%.1f %%", 100 * p.params_share);
        table_cell(&t, "%.1f %%", 100 * p.macs_share);
        table_cell(&t, "%.1f %%", 100 * p.time_share);
        table_cell(&t, "%u", p.rows);
        table_cell(&t, "%s", i == info.default_point && !targeted ? "default" : "");
    }
    table_print(&t, stdout);
    if (targeted) {
        printf("default: ");
        target_print(stdout, &target);
        printf("\n");
    }
}

static bool same_gates(const ln_point_info *a, const ln_point_info *b)
{
    return a->gate_input == b->gate_input && a->gate_hidden == b->gate_hidden && a->objective == b->objective &&
           a->price == b->price && a->same_rows == b->same_rows;
}

static void print_kind(uint32_t first, uint32_t last, const ln_point_info *p)
{
    printf(first == last ? "gates of point %u: " : "gates of points %u to %u: ", first, last);
    printf("--gate %s", gate_input_name(p->gate_input));
    if (p->objective >= 0)
        printf(" --gate-hidden %u --objective %s --price %s", p->gate_hidden, objective_name(p->objective), price_name(p->price));
    printf("%s\n", p->same_rows ? "; learned from the heads' own rows, so the figures promise too much" : "");
}

void print_gates(const ln_model *model)
{
    ln_point_info of = LN_POINT_INFO_INIT, next = LN_POINT_INFO_INIT;
    uint32_t points = ln_model_point_count(model);

    for (uint32_t first = 0, last; first < points; first = last + 1) {
        if (ln_point_get_info(model, first, &of, NULL) < 0)
            return;
        for (last = first; last + 1 < points; last++)
            if (ln_point_get_info(model, last + 1, &next, NULL) < 0 || !same_gates(&of, &next))
                break;
        if (of.gate_input >= 0)
            print_kind(first, last, &of);
    }
}

static void json_gates(json *j, const ln_point_info *p)
{
    json_open(j, "gates", '{');
    json_text(j, "input", gate_input_name(p->gate_input));
    if (p->objective >= 0) {
        json_whole(j, "hidden", p->gate_hidden);
        json_text(j, "objective", objective_name(p->objective));
        json_text(j, "price", price_name(p->price));
        json_bool(j, "same_rows", p->same_rows);
    }
    json_close(j, '}');
}

void json_point(json *j, const ln_model *model, uint32_t point)
{
    ln_point_info p = LN_POINT_INFO_INIT;

    if (ln_point_get_info(model, point, &p, NULL) < 0)
        return;
    json_whole(j, "point", point);
    json_text(j, "policy", ln_policy_name(p.policy));
    json_real(j, "alpha", p.alpha);
    json_bool(j, "moved", p.moved);
    json_text(j, "cost", cost_name(p.cost));
    if (p.gate_input >= 0)
        json_gates(j, &p);
    json_open(j, "thresholds", '[');
    for (uint32_t e = 0; e < ln_model_exit_count(model); e++)
        json_real(j, NULL, ln_point_threshold(model, point, e));
    json_close(j, ']');
    json_expected(j, &p);
}
