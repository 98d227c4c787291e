/* cli_points.c - the exits and operating points that a model holds, as tables. */
#include "tool.h"

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
