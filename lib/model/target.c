/* target.c - from what a person wants to a setting.
 *
 * Learn then test (Angelopoulos, Bates, Candes, Jordan, Lei 2021) with fixed-sequence testing: the settings are tested
 * one after the other from the most careful on, each at the full level, until the first that does not pass. Their order
 * was fixed before the calibration rows were seen, so the chance that any setting passes which truly loses
 * more than was allowed is at most 1 - confidence. The first setting never leaves early and needs no test. */
#include "model/model.h"
#include "model/format.h"

#include <math.h>
#include <string.h>

/* Settings whose cost differs by less than this share speak for each other. */
static const double REACH = 0.1;
/* Means of the same numbers in another order differ by less. */
static const double ROUNDING = 1e-9;

double ln__setting_cost(const ln_setting *s, int32_t cost)
{
    return cost == LN_COST_PARAMS ? s->params_share : cost == LN_COST_MACS ? s->macs_share : s->time_share;
}

static ln_status check_target(const ln_target *t, ln_error *err)
{
    if (!(t->budget >= 0 && t->budget < 1e6))
        return ln__fail(err, LN_E_ARGUMENT, "ln_target: budget %g; a share of the plain network's cost, or 0", t->budget);
    if (t->cost < LN_COST_TIME || t->cost > LN_COST_MACS)
        return ln__fail(err, LN_E_ARGUMENT, "ln_target: cost %d; LN_COST_TIME, _PARAMS and _MACS are known", t->cost);
    if (!(t->max_drop <= 100))
        return ln__fail(err, LN_E_ARGUMENT, "ln_target: max_drop %g; points of accuracy, 0..100, or negative", t->max_drop);
    if (!(t->confidence == 0 || (t->confidence >= 0.5 && t->confidence <= 0.999)))
        return ln__fail(err, LN_E_ARGUMENT, "ln_target: confidence %g; 0.5..0.999, or 0 for 0.95", t->confidence);
    if (t->against != LN_AGAINST_LABELS && t->against != LN_AGAINST_PLAIN)
        return ln__fail(err, LN_E_ARGUMENT, "ln_target: against %d; LN_AGAINST_LABELS and _PLAIN are known", t->against);
    if (t->budget == 0 && t->max_drop < 0)
        return ln__fail(err, LN_E_ARGUMENT, "ln_target: neither a budget nor a max_drop is asked for");
    return LN_OK;
}

static double level_of(const ln_target *t)
{
    return 1 - (t->confidence == 0 ? 0.95 : t->confidence);
}

/* How many settings, from the most careful on, are certified to lose at most max_drop. */
static uint32_t certified(const ln__curve *curve, const ln_target *t)
{
    uint32_t passed = 1;

    while (passed < curve->count) {
        const ln_setting *s = &curve->setting[passed];
        ln__tally seen = { s->calibration_rows, s->lost, s->gained, s->changed };
        if (!(ln__bound_test(&seen, t->against, t->max_drop / 100) <= level_of(t)))
            break;
        passed++;
    }
    return passed;
}

/* A setting's accuracy, those of near cost counting by how near they are, certified or not: of its own alone chance would
 * decide. The first is the network without heads and stands alone. */
static double standing_of(const ln__curve *curve, uint32_t at, int32_t kind)
{
    double cost = ln__setting_cost(&curve->setting[at], kind), sum = 0, weights = 0;

    if (at == 0)
        return curve->setting[0].accuracy;
    for (uint32_t i = 1; i < curve->count; i++) {
        double away = fabs(ln__setting_cost(&curve->setting[i], kind) - cost);
        double weight = i == at ? 1 : fmax(0, 1 - away / (REACH * cost));

        sum += weight * curve->setting[i].accuracy;
        weights += weight;
    }
    return sum / weights;
}

/* The most accurate that is expected within the budget, the cheapest of those. NULL: none is within. */
static const ln_setting *most_accurate(const ln__curve *curve, uint32_t count, const ln_target *t)
{
    const ln_setting *best = NULL;
    double best_cost = 0, best_standing = 0;

    for (uint32_t i = 0; i < count; i++) {
        double cost = ln__setting_cost(&curve->setting[i], t->cost);
        if (cost > t->budget)
            continue;
        double standing = standing_of(curve, i, t->cost), more = standing - best_standing;
        if (best && more <= ROUNDING && !(more >= -ROUNDING && cost < best_cost))
            continue;
        best = &curve->setting[i];
        best_cost = cost;
        best_standing = standing;
    }
    return best;
}

static const ln_setting *cheapest_of(const ln__curve *curve, uint32_t count, int32_t kind)
{
    const ln_setting *best = &curve->setting[0];

    for (uint32_t i = 1; i < count; i++)
        if (ln__setting_cost(&curve->setting[i], kind) < ln__setting_cost(best, kind))
            best = &curve->setting[i];
    return best;
}

static uint64_t rows_for(const ln_setting *s, const ln_target *t)
{
    double n = s->calibration_rows, drop = s->plain_accuracy - s->accuracy;
    double rates[3] = { fmax(drop, 0), fmax(-drop, 0), fabs(drop) };

    if (n > 0) {
        rates[0] = s->lost / n;
        rates[1] = s->gained / n;
        rates[2] = s->changed / n;
    }
    return ln__bound_rows(rates, t->against, t->max_drop / 100, level_of(t));
}

/* To certify a cheaper setting, and one within the budget if there is one, the sequence has to get past those before. */
static uint64_t rows_needed(const ln__curve *curve, const ln_target *t)
{
    uint32_t goal = 1;

    while (t->budget > 0 && goal < curve->count && ln__setting_cost(&curve->setting[goal], t->cost) > t->budget)
        goal++;
    if (goal >= curve->count)
        return UINT64_MAX;
    uint64_t first = rows_for(&curve->setting[1], t);
    return goal == 1 || first == UINT64_MAX ? first : LN__MAX(first, rows_for(&curve->setting[goal], t));
}

ln_status ln__target_resolve(const ln_model *model, const ln_target *target, const ln_setting **out, uint64_t *rows, ln_error *err)
{
    const ln_setting *first;
    const double *thresholds;
    ln_status st = check_target(target, err);

    if (rows)
        *rows = 0;
    if (st == LN_OK)
        st = ln__setting_find(&first, &thresholds, model, target->policy, 0, err);
    if (st < 0)
        return st;
    const ln__curve *curve = &model->curves[target->policy];
    const ln_setting *cheapest = cheapest_of(curve, curve->count, target->cost);
    if (target->budget > 0 && ln__setting_cost(cheapest, target->cost) > target->budget)
        return ln__fail(err, LN_E_ARGUMENT, "no setting of policy '%s' keeps a budget of %.4g; the cheapest costs %.4g of the plain network's %s",
                        ln_policy_name(target->policy), target->budget, ln__setting_cost(cheapest, target->cost),
                        target->cost == LN_COST_PARAMS ? "parameters" : target->cost == LN_COST_MACS ? "multiply-adds" : "time");
    uint32_t count = target->max_drop >= 0 ? certified(curve, target) : curve->count;
    *out = target->budget > 0 ? most_accurate(curve, count, target) : cheapest_of(curve, count, target->cost);
    if (*out && (target->max_drop < 0 || count > 1 || curve->count == 1))
        return LN_OK;
    *out = first;
    if (rows)
        *rows = rows_needed(curve, target);
    return LN_UNCERTIFIED;
}

/* ---- The model's own ------------------------------------------------------------------------ */

ln_status ln__target_set_default(ln_model *model, const ln_target *target, ln_error *err)
{
    const ln_setting *setting;

    if (target) {
        ln_status st = ln__target_resolve(model, target, &setting, NULL, err);
        if (st < 0)
            return st;
        model->default_target = *target;
    }
    model->default_target.struct_size = target ? sizeof *target : 0;
    return LN_OK;
}

void ln__target_numbers(const ln_target *t, double out[LN__TARGET_NUMBERS])
{
    const double numbers[LN__TARGET_NUMBERS] = { t->policy, t->cost, t->budget, t->max_drop, t->confidence, t->against };

    memcpy(out, numbers, sizeof numbers);
}

ln_status ln__target_read(ln_model *model, ln_error *err)
{
    const char *text = ln__onnx_metadata(model->onnx, LN__KEY_DEFAULT_TARGET);
    double v[LN__TARGET_NUMBERS];
    ln_error why = { 0 };

    if (!text)
        return LN_OK;
    ln_status st = ln__format_numbers(v, LN__TARGET_NUMBERS, text, LN__KEY_DEFAULT_TARGET, model->path, err);
    if (st < 0)
        return st;
    if (!ln__format_whole(v[0], 0, LN__POLICIES - 1) || !ln__format_whole(v[1], LN_COST_TIME, LN_COST_MACS) ||
        !ln__format_whole(v[5], LN_AGAINST_LABELS, LN_AGAINST_PLAIN))
        return ln__fail(err, LN_E_FORMAT, "%s: " LN__KEY_DEFAULT_TARGET ": policy %g, cost %g or against %g is out of range",
                        model->path, v[0], v[1], v[5]);
    ln_target target = { .struct_size = sizeof target, .policy = (int32_t)v[0], .cost = (int32_t)v[1], .budget = v[2],
                         .max_drop = v[3], .confidence = v[4], .against = (int32_t)v[5] };
    st = ln__target_set_default(model, &target, &why);
    return st < 0 ? ln__fail(err, LN_E_FORMAT, "%s: " LN__KEY_DEFAULT_TARGET ": %s", model->path, why.text) : LN_OK;
}
