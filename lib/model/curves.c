/* curves.c - the settings of every policy: kept, looked up, written and read. */
#include "model/model.h"
#include "model/format.h"

#include <math.h>
#include <string.h>

enum { FIGURES = 11 };          /* numbers of a setting in the file before its thresholds */

void ln__curve_free(ln__curve *curve, const ln__ctx *ctx)
{
    ln__free(ctx, curve->setting);
    ln__free(ctx, curve->threshold);
    ln__free(ctx, curve->share);
    memset(curve, 0, sizeof *curve);
}

static ln_status curve_new(ln__curve *out, const ln_model *model, uint32_t count, ln_error *err)
{
    out->setting = ln__calloc(&model->ctx, count, sizeof *out->setting);
    out->threshold = ln__array(&model->ctx, count, LN__MAX(model->n_exits, 1) * sizeof *out->threshold);
    out->share = ln__array(&model->ctx, count, (model->n_exits + 1) * sizeof *out->share);
    if (!out->setting || !out->threshold || !out->share) {
        ln__curve_free(out, &model->ctx);
        return ln__fail_nomem(err, &model->ctx, count * sizeof *out->setting);
    }
    out->count = count;
    return LN_OK;
}

void ln__model_drop_curves(ln_model *model)
{
    for (int32_t p = 0; p < LN__POLICIES; p++)
        ln__curve_free(&model->curves[p], &model->ctx);
    model->default_target.struct_size = 0;
}

/* Sessions ask no gate at such a setting. */
static void price_if_plain(ln_setting *setting, const double *threshold, uint32_t exits)
{
    if (!ln__score_may_pass(threshold, exits))
        setting->params_share = setting->macs_share = setting->time_share = 1;
}

ln_status ln__curve_store(ln_model *model, int32_t policy, const ln__settings *settings, const ln__curve_basis *basis, ln_error *err)
{
    ln__curve curve = { 0 };
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1];
    ln_status st = curve_new(&curve, model, settings->count, err);

    for (uint32_t i = 0; st == LN_OK && i < settings->count; i++) {
        const ln__setting *from = &settings->setting[i];
        ln_setting *to = &curve.setting[i];
        *to = (ln_setting){ .struct_size = sizeof *to, .policy = policy, .index = i, .point = basis->point[from->scorer],
                            .rows = basis->rows, .accuracy = from->accuracy, .plain_accuracy = basis->plain_accuracy };
        ln__model_cost_shares(model, &model->points[to->point].gates, params, macs);
        for (uint32_t e = 0; e <= model->n_exits; e++) {
            to->params_share += from->share[e] * params[e];
            to->macs_share += from->share[e] * macs[e];
            to->time_share += from->share[e] * basis->time[e];
        }
        price_if_plain(to, from->threshold, model->n_exits);
        memcpy(curve.threshold + (size_t)i * model->n_exits, from->threshold, model->n_exits * sizeof *curve.threshold);
        memcpy(curve.share + (size_t)i * (model->n_exits + 1), from->share, (model->n_exits + 1) * sizeof *curve.share);
    }
    if (st < 0)
        return st;
    ln__curve_free(&model->curves[policy], &model->ctx);
    model->curves[policy] = curve;
    if (model->default_target.policy == policy)
        model->default_target.struct_size = 0;
    return LN_OK;
}

static bool known(int32_t policy)
{
    return policy >= 0 && policy < LN__POLICIES;
}

uint32_t ln__setting_count(const ln_model *model, int32_t policy)
{
    return known(policy) ? model->curves[policy].count : 0;
}

ln_status ln__setting_find(const ln_setting **setting, const double **thresholds, const ln_model *model, int32_t policy,
                           uint32_t index, ln_error *err)
{
    uint32_t count = ln__setting_count(model, policy);

    if (!known(policy))
        return ln__fail(err, LN_E_ARGUMENT, "policy %d has no settings; 0 (LN_POLICY_GATE) to %d have", policy, LN__POLICIES - 1);
    if (count == 0)
        return ln__fail(err, LN_E_STATE, "the model has no settings of policy '%s'; %s makes them", ln_policy_name(policy),
                        policy == LN_POLICY_GATE ? "training its gates" : "ln_policy_train (leenet train --policies)");
    if (index >= count)
        return ln__fail(err, LN_E_ARGUMENT, "setting %u of policy '%s'; there are %u (numbered from 0)", index,
                        ln_policy_name(policy), count);
    *setting = &model->curves[policy].setting[index];
    *thresholds = model->curves[policy].threshold + (size_t)index * model->n_exits;
    return LN_OK;
}

const double *ln__setting_shares(const ln_model *model, const ln_setting *setting)
{
    return model->curves[setting->policy].share + (size_t)setting->index * (model->n_exits + 1);
}

ln_status ln__model_add_setting(ln_model *model, int32_t policy, uint32_t index, ln_error *err)
{
    const ln_setting *s = NULL;
    const double *thresholds = NULL;
    ln_status st = ln__setting_find(&s, &thresholds, model, policy, index, err);

    if (st < 0)
        return st;
    const ln__point *from = &model->points[s->point];
    ln__point point = { .alpha = from->alpha, .cost = from->cost, .has_shares = true };
    st = ln__gates_copy(&point.gates, &from->gates, &model->ctx, err);
    if (st < 0)
        return st;
    memcpy(point.gates.threshold, thresholds, model->n_exits * sizeof *thresholds);
    memcpy(point.shares, ln__setting_shares(model, s), (model->n_exits + 1) * sizeof *point.shares);
    ln_point_info *m = &point.measured;
    *m = from->measured;        /* how its scores were learned; the figures are the setting's */
    m->rows = s->rows;
    m->accuracy = s->accuracy;
    m->plain_accuracy = s->plain_accuracy;
    m->params_share = s->params_share;
    m->macs_share = s->macs_share;
    m->time_share = s->time_share;
    m->moved = 1;
    st = ln__model_add_point(model, &point, err);
    ln__point_free(&point, &model->ctx);
    return st;
}

/* ---- In the file ------------------------------------------------------------------------- */

void ln__curve_print(ln__buffer *to, const ln__curve *curve, uint32_t index, uint32_t exits)
{
    const ln_setting *s = &curve->setting[index];
    double v[FIGURES] = { s->point, s->rows, s->accuracy, s->plain_accuracy, s->params_share, s->macs_share, s->time_share,
                          s->calibration_rows, s->lost, s->gained, s->changed };

    ln__format_print(to, v, FIGURES);
    ln__buffer_put(to, " ", 1);
    ln__format_print(to, curve->threshold + (size_t)index * exits, exits);
    ln__buffer_put(to, " ", 1);
    ln__format_print(to, curve->share + (size_t)index * (exits + 1), (size_t)exits + 1);
}

static ln_status check_figures(const ln_model *model, int32_t policy, const double *v, const char *key, ln_error *err)
{
    static const char *const names[FIGURES] = { "point", "rows", "accuracy", "plain accuracy", "params share", "macs share",
                                                "time share", "calibration rows", "lost", "gained", "changed" };
    double most[FIGURES] = { (double)model->n_points - 1, UINT32_MAX, 1, 1, 1e6, 1e6, 1e6, UINT32_MAX, v[7], v[7], v[7] };

    for (int i = 0; i < FIGURES; i++) {
        bool share = i >= 2 && i <= 6;
        if (share ? !(v[i] >= 0 && v[i] <= most[i]) : !ln__format_whole(v[i], 0, most[i]))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: %s is %g; 0..%g was expected", model->path, key, names[i], v[i], most[i]);
    }
    if (v[8] + v[9] > v[7])
        return ln__fail(err, LN_E_FORMAT, "%s: %s: %g rows lost and %g gained of %g", model->path, key, v[8], v[9], v[7]);
    if (model->points[(uint32_t)v[0]].gates.policy != policy)
        return ln__fail(err, LN_E_FORMAT, "%s: %s: operating point %g is of another policy", model->path, key, v[0]);
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (!(v[FIGURES + e] >= -1 && v[FIGURES + e] <= 1))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: threshold %u is %g; -1..1 was expected", model->path, key, e, v[FIGURES + e]);
    double sum = 0;
    for (uint32_t e = 0; e <= model->n_exits; e++) {
        double share = v[FIGURES + model->n_exits + e];
        if (!(share >= 0 && share <= 1))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: share %u is %g; 0..1 was expected", model->path, key, e, share);
        sum += share;
    }
    if (fabs(sum - 1) > 1e-6)
        return ln__fail(err, LN_E_FORMAT, "%s: %s: the shares of exits add up to %g; 1 was expected", model->path, key, sum);
    return LN_OK;
}

static ln_status read_setting(ln_model *model, ln__curve *curve, int32_t policy, uint32_t index, ln_error *err)
{
    double v[FIGURES + 2 * LN__MAX_EXITS + 1];
    char key[96];

    snprintf(key, sizeof key, LN__KEY_CURVE "%s.%u", ln_policy_name(policy), index);
    const char *text = ln__onnx_metadata(model->onnx, key);
    if (!text)
        return ln__fail(err, LN_E_FORMAT, "%s: metadata '%s' is missing", model->path, key);
    ln_status st = ln__format_numbers(v, FIGURES + 2 * (size_t)model->n_exits + 1, text, key, model->path, err);
    if (st == LN_OK)
        st = check_figures(model, policy, v, key, err);
    if (st < 0)
        return st;
    curve->setting[index] = (ln_setting){
        .struct_size = sizeof(ln_setting), .policy = policy, .index = index, .point = (uint32_t)v[0], .rows = (uint32_t)v[1],
        .accuracy = v[2], .plain_accuracy = v[3], .params_share = v[4], .macs_share = v[5], .time_share = v[6],
        .calibration_rows = (uint32_t)v[7], .lost = (uint32_t)v[8], .gained = (uint32_t)v[9], .changed = (uint32_t)v[10] };
    price_if_plain(&curve->setting[index], v + FIGURES, model->n_exits);
    memcpy(curve->threshold + (size_t)index * model->n_exits, v + FIGURES, model->n_exits * sizeof *v);
    memcpy(curve->share + (size_t)index * (model->n_exits + 1), v + FIGURES + model->n_exits, (model->n_exits + 1) * sizeof *v);
    return LN_OK;
}

/* The first setting is what an uncertified target falls back to. */
static ln_status check_first(const ln_model *model, const ln__curve *curve, int32_t policy, ln_error *err)
{
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (curve->threshold[e] < 1)
            return ln__fail(err, LN_E_FORMAT, "%s: " LN__KEY_CURVE "%s.0: threshold %u is %g; the first setting never leaves "
                            "early, 1 was expected", model->path, ln_policy_name(policy), e, curve->threshold[e]);
    return LN_OK;
}

static ln_status read_curve(ln_model *model, int32_t policy, ln_error *err)
{
    ln__curve *curve = &model->curves[policy];
    uint64_t count;
    char key[64];

    snprintf(key, sizeof key, LN__KEY_CURVE "%s", ln_policy_name(policy));
    const char *text = ln__onnx_metadata(model->onnx, key);
    if (!text)
        return LN_OK;
    if (!ln__parse_uint(text, &count) || count < 1 || count > LN__MAX_SETTINGS)
        return ln__fail(err, LN_E_FORMAT, "%s: %s is '%.20s'; 1..%d was expected", model->path, key, text, LN__MAX_SETTINGS);
    ln_status st = curve_new(curve, model, (uint32_t)count, err);
    for (uint32_t i = 0; st == LN_OK && i < count; i++)
        st = read_setting(model, curve, policy, i, err);
    return st < 0 ? st : check_first(model, curve, policy, err);
}

ln_status ln__curves_read(ln_model *model, ln_error *err)
{
    ln_status st = LN_OK;

    for (int32_t p = 0; st == LN_OK && p < LN__POLICIES; p++)
        st = read_curve(model, p, err);
    return st;
}
