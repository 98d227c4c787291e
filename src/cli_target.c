/* cli_target.c - --budget, --max-drop and what they lead to. */
#include <string.h>

#include "tool.h"

bool target_asked(const target_flags *flags)
{
    return flags->budget > 0 || flags->max_drop >= 0;
}

int target_check(const char *command, const target_flags *f, bool point_given)
{
    if (target_asked(f) && point_given)
        return cli_wrong(command, "--point and --budget or --max-drop exclude each other");
    if (f->max_drop < 0 && (f->confidence > 0 || f->against >= 0))
        return cli_wrong(command, "--confidence and --against speak of --max-drop, which is not given");
    if (!target_asked(f) && (f->policy >= 0 || f->cost >= 0))
        return cli_wrong(command, "--policy and --cost choose among settings: give --budget or --max-drop too");
    return TOOL_DONE;
}

/* Flags that were not given become the library's defaults. */
ln_target target_of(const target_flags *f)
{
    ln_target t = LN_TARGET_INIT;

    t.policy = f->policy >= 0 ? f->policy : LN_POLICY_GATE;
    t.cost = f->cost >= 0 ? f->cost : LN_COST_TIME;
    t.budget = f->budget;
    t.max_drop = f->max_drop;
    t.confidence = f->confidence;
    t.against = f->against >= 0 ? f->against : LN_AGAINST_LABELS;
    return t;
}

bool target_pick(ln_target *out, const target_flags *flags, const ln_model *model, bool other)
{
    *out = target_of(flags);
    return target_asked(flags) || (!other && ln_target_get_default(model, out, NULL) == LN_OK);
}

static const char *against_name(const ln_target *t)
{
    return t->against == LN_AGAINST_PLAIN ? "plain" : "labels";
}

void target_print(FILE *to, const ln_target *t)
{
    fprintf(to, "--policy %s --cost %s", ln_policy_name(t->policy), cost_name(t->cost));
    if (t->budget > 0)
        fprintf(to, " --budget %.4g", t->budget);
    if (t->max_drop >= 0)
        fprintf(to, " --max-drop %.4g --confidence %.4g --against %s", t->max_drop, t->confidence > 0 ? t->confidence : 0.95, against_name(t));
}

void json_target(json *j, const char *key, const ln_target *t)
{
    json_open(j, key, '{');
    json_text(j, "policy", ln_policy_name(t->policy));
    json_text(j, "cost", cost_name(t->cost));
    if (t->budget > 0)
        json_real(j, "budget", t->budget);
    if (t->max_drop >= 0) {
        json_real(j, "max_drop", t->max_drop);
        json_real(j, "confidence", t->confidence > 0 ? t->confidence : 0.95);
        json_text(j, "against", against_name(t));
    }
    json_close(j, '}');
}

double setting_cost(const ln_setting *s, int32_t cost)
{
    return cost == LN_COST_PARAMS ? s->params_share : cost == LN_COST_MACS ? s->macs_share : s->time_share;
}

void target_print_needed(FILE *to, uint64_t rows, const ln_setting *never)
{
    fprintf(to, "not certified: ");
    if (never->calibration_rows == 0)
        fprintf(to, "the model has no calibration rows (leenet train --cal-data or --max-drop); ");
    if (rows == UINT64_MAX)
        fprintf(to, "no setting loses so little that more rows would do");
    else
        fprintf(to, "about %llu calibration rows would do, there are %u", (unsigned long long)rows, never->calibration_rows);
    fprintf(to, "; no row leaves early");
}

int target_say(const char *command, const ln_model *model, const ln_target *t)
{
    ln_setting s = LN_SETTING_INIT;
    ln_error err = { 0 };
    uint64_t rows = 0;
    ln_status st = ln_target_resolve(model, t, &s, &rows, &err);

    if (st < 0)
        return report_error(command, st, &err);
    if (st == LN_UNCERTIFIED) {
        fprintf(stderr, "leenet %s: ", command);
        target_print_needed(stderr, rows, &s);
        fputc('\n', stderr);
        return TOOL_DONE;
    }
    fprintf(stderr, "setting %u of policy %s: accuracy %.2f %% expected (plain network %.2f %%) at %.1f %% of its %s\n", s.index,
            ln_policy_name(s.policy), 100 * s.accuracy, 100 * s.plain_accuracy, 100 * setting_cost(&s, t->cost), cost_name(t->cost));
    return TOOL_DONE;
}
