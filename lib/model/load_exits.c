/* load_exits.c - exits, replaced last layer and operating points of a saved model. */
#include "model/model.h"
#include "model/format.h"

#include <string.h>

static ln_status missing(const ln_model *model, const char *key, ln_error *err)
{
    return ln__fail(err, LN_E_FORMAT, "%s: metadata '%s' is missing", model->path, key);
}

static ln_status read_count(uint32_t *out, const ln_model *model, const char *key, uint32_t most, ln_error *err)
{
    const char *text = ln__onnx_metadata(model->onnx, key);
    uint64_t count = 0;

    if (text && (!ln__parse_uint(text, &count) || count > most))
        return ln__fail(err, LN_E_FORMAT, "%s: %s is '%.20s'; 0..%u was expected", model->path, key, text, most);
    *out = (uint32_t)count;
    return LN_OK;
}

/* How a head is written: its kind, then so many numbers: width of the hidden layer, cells, channels or, of a pool head, 1 for
 * covariances. Earlier files leave the last of them out. */
typedef struct head_form { const char *kind; int32_t head; int fewest, numbers; double least, most; const char *third; } head_form;

static const head_form forms[] = {
    { "pool ", LN_HEAD_POOL, 1, 3, 0, 1, " and 0 or 1 for covariances" },
    { "flatten ", LN_HEAD_FLATTEN, 1, 1, 0, 0, "" },
    { "conv ", LN_HEAD_CONV, 3, 3, 1, 1024, " and 1..1024 channels" },
};

static const head_form *find_form(const char *text)
{
    for (size_t i = 0; i < LN__COUNT(forms); i++)
        if (strncmp(text, forms[i].kind, strlen(forms[i].kind)) == 0)
            return &forms[i];
    return NULL;
}

static int count_numbers(const char *list)
{
    int count = 1;

    for (; (list = strchr(list, ' ')) != NULL; list++)
        count++;
    return count;
}

static ln_status read_head_kind(ln_exit_options *out, const ln_model *model, uint32_t e, ln_error *err)
{
    char key[64];
    double numbers[3] = { 0, 1, 0 };

    snprintf(key, sizeof key, LN__KEY_EXIT "%u.head", e);
    const char *text = ln__onnx_metadata(model->onnx, key);
    if (!text)
        return missing(model, key, err);
    const head_form *form = find_form(text);
    if (!form)
        return ln__fail(err, LN_E_FORMAT, "%s: %s is '%.40s'; 'pool N N N', 'flatten 0' or 'conv N N N' was expected",
                        model->path, key, text);
    const char *list = text + strlen(form->kind);
    int count = LN__MIN(LN__MAX(count_numbers(list), form->fewest), form->numbers);
    ln_status st = ln__format_numbers(numbers, count, list, key, model->path, err);
    if (st < 0)
        return st;
    if (!ln__format_whole(numbers[0], 0, 65536) || !ln__format_whole(numbers[1], 1, 64) || !ln__format_whole(numbers[2], form->least, form->most))
        return ln__fail(err, LN_E_FORMAT, "%s: %s is '%.40s': a hidden layer of 0..65536, 1..64 cells%s were expected",
                        model->path, key, text, form->third);
    out->head = form->head;
    out->channels = form->head == LN_HEAD_CONV ? (uint32_t)numbers[2] : 0;
    out->covariance = numbers[2] == 1 && form->head == LN_HEAD_POOL ? 1 : UINT32_MAX;
    out->hidden = numbers[0] > 0 ? (uint32_t)numbers[0] : UINT32_MAX;
    out->cells = (uint32_t)numbers[1];
    return LN_OK;
}

static ln_status read_head(ln_model *model, uint32_t e, ln_error *err)
{
    ln__exit *exit = &model->exits[e];
    char text[64];
    ln__mlp mlp;

    snprintf(text, sizeof text, LN__KEY_EXIT "%u.accuracy", e);
    const char *accuracy = ln__onnx_metadata(model->onnx, text);
    if (!accuracy)
        return LN_OK;           /* saved before it was trained */
    ln_status st = ln__format_numbers(&exit->heldout_accuracy, 1, accuracy, text, model->path, err);
    if (st < 0)
        return st;
    snprintf(text, sizeof text, LN__ONNX_PREFIX "%u/head.", e);
    st = ln__mlp_read(&mlp, &model->ctx, model->onnx, text, err);
    if (st < 0)
        return st;
    const ln__mlp *want = &exit->head.mlp;
    if (mlp.inputs != want->inputs || mlp.hidden != want->hidden || mlp.outputs != (int32_t)model->classes) {
        st = ln__fail(err, LN_E_FORMAT, "%s: the head of exit %u maps %d numbers through %d to %d; %d, %d, %u were expected",
                      model->path, e, mlp.inputs, mlp.hidden, mlp.outputs, want->inputs, want->hidden, model->classes);
        ln__mlp_free(&mlp, &model->ctx);
        return st;
    }
    exit->head.mlp = mlp;
    if (exit->head.kind == LN_HEAD_CONV)
        st = ln__conv_read(&exit->head.conv, &model->ctx, model->onnx, text, err);
    if (st == LN_OK)
        st = ln__mlp_narrow(&exit->head.mlp, &model->ctx, err);
    if (st == LN_OK)
        st = ln__carry_read(&exit->head.carry, model->onnx, e, err);
    return st;
}

static ln_status read_exit(ln_model *model, uint32_t e, ln_error *err)
{
    ln_exit_options options = LN_EXIT_OPTIONS_INIT;
    char key[64];

    snprintf(key, sizeof key, LN__KEY_EXIT "%u", e);
    const char *value = ln__onnx_metadata(model->onnx, key);
    if (!value)
        return missing(model, key, err);
    ln_status st = read_head_kind(&options, model, e, err);
    if (st == LN_OK)
        st = ln__exit_add(model, value, &options, err);
    if (st == LN_E_ARGUMENT)
        st = ln__fail_prefix(err, LN_E_FORMAT, "%s: %s", model->path, key);
    if (st == LN_OK && options.head == LN_HEAD_CONV && model->exits[e].head.kind != LN_HEAD_CONV)
        st = ln__fail(err, LN_E_FORMAT, "%s: %s: '%s' is no map of 4 x 4 pixels or more that a head could convolve", model->path, key, value);
    if (st == LN_OK && strcmp(model->exits[e].value_name, value) != 0)
        st = ln__fail(err, LN_E_FORMAT, "%s: exits are not in the order of their depth at '%s'", model->path, value);
    return st;
}

static ln_status read_final(ln_model *model, ln_error *err)
{
    const char *text = ln__onnx_metadata(model->onnx, LN__KEY_FINAL);
    double v[4];

    if (!text)
        return LN_OK;
    ln_status st = ln__format_numbers(v, 4, text, LN__KEY_FINAL, model->path, err);
    if (st < 0)
        return st;
    for (int i = 0; i < 4; i++)
        if (!(v[i] >= -1 && v[i] <= INT32_MAX))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: number %d is %g", model->path, LN__KEY_FINAL, i + 1, v[i]);
    return ln__final_restore(model, (int32_t)v[0], (int32_t)v[1], (int32_t)v[2], v[3] == 1, err);
}

static ln_status read_policy(int32_t *out, const ln_model *model, uint32_t p, ln_error *err)
{
    char key[64];

    snprintf(key, sizeof key, LN__KEY_POINT "%u.policy", p);
    const char *text = ln__onnx_metadata(model->onnx, key);
    *out = LN_POLICY_GATE;
    if (!text)
        return LN_OK;
    ln_status st = ln_policy_find(out, text, err);
    if (st == LN_OK && *out == LN_POLICY_ORACLE)
        st = ln__fail(err, LN_E_FORMAT, "the oracle is for evaluation only");
    return st < 0 ? ln__fail_prefix(err, LN_E_FORMAT, "%s: %s", model->path, key) : LN_OK;
}

static ln_status check_widths(const ln_model *model, const ln__gates *gates, uint32_t p, ln_error *err)
{
    for (uint32_t e = 0; gates->policy == LN_POLICY_GATE && e < model->n_exits; e++) {
        int64_t width = ln__gate_width(gates->input, (int32_t)model->classes, e, model->exits[e].head.mlp.inputs);
        if (gates->gate[e].inputs != width)
            return ln__fail(err, LN_E_FORMAT, "%s: point %u: the gate of exit %u reads %d numbers; its exit has %lld", model->path,
                            p, e, gates->gate[e].inputs, (long long)width);
    }
    return LN_OK;
}

/* Absent in files that were trained before these were kept. */
static ln_status read_shares(ln__point *point, const ln_model *model, uint32_t p, ln_error *err)
{
    double sum = 0;
    char key[64];

    snprintf(key, sizeof key, LN__KEY_POINT "%u.shares", p);
    const char *text = ln__onnx_metadata(model->onnx, key);
    if (!text)
        return LN_OK;
    ln_status st = ln__format_numbers(point->shares, model->n_exits + 1, text, key, model->path, err);
    if (st < 0)
        return st;
    for (uint32_t e = 0; e <= model->n_exits; e++) {
        if (!(point->shares[e] >= 0))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: share %g", model->path, key, point->shares[e]);
        sum += point->shares[e];
    }
    if (!(sum > 0.999 && sum < 1.001))
        return ln__fail(err, LN_E_FORMAT, "%s: %s: the shares make %g together, not 1", model->path, key, sum);
    point->has_shares = true;
    return LN_OK;
}

static ln_status read_moved(ln__point *point, const ln_model *model, uint32_t p, ln_error *err)
{
    char key[64];

    snprintf(key, sizeof key, LN__KEY_POINT "%u.moved", p);
    const char *text = ln__onnx_metadata(model->onnx, key);
    if (text && strcmp(text, "1") != 0)
        return ln__fail(err, LN_E_FORMAT, "%s: %s is '%.20s'; 1 was expected, or no such key", model->path, key, text);
    point->measured.moved = text != NULL;
    return LN_OK;
}

/* Absent in files that were trained before this was kept. */
static ln_status read_learned(ln__point *point, const ln_model *model, uint32_t p, ln_error *err)
{
    ln_point_info *m = &point->measured;
    double v[4];
    char key[64];

    snprintf(key, sizeof key, LN__KEY_POINT "%u.learned", p);
    const char *text = ln__onnx_metadata(model->onnx, key);
    m->objective = m->price = -1;
    if (!text || point->gates.policy != LN_POLICY_GATE)
        return LN_OK;
    ln_status st = ln__format_numbers(v, 4, text, key, model->path, err);
    if (st < 0)
        return st;
    if (!ln__format_whole(v[0], LN_OBJECTIVE_INDUCTION, LN_OBJECTIVE_NO_REGRET) ||
        !ln__format_whole(v[1], LN_PRICE_ERROR, LN_PRICE_CROSS_ENTROPY) || !ln__format_whole(v[2], 0, 4096) ||
        !ln__format_whole(v[3], 0, 1))
        return ln__fail(err, LN_E_FORMAT, "%s: %s: objective %g, price %g, hidden %g or same rows %g is out of range", model->path, key,
                        v[0], v[1], v[2], v[3]);
    m->objective = (int32_t)v[0];
    m->price = (int32_t)v[1];
    m->gate_hidden = (uint32_t)v[2];
    m->same_rows = (uint32_t)v[3];
    return LN_OK;
}

static ln_status read_point(ln_model *model, uint32_t p, ln_error *err)
{
    ln__point point = { 0 };
    int32_t policy;
    double v[8];
    char key[64];

    snprintf(key, sizeof key, LN__KEY_POINT "%u", p);
    const char *text = ln__onnx_metadata(model->onnx, key);
    if (!text)
        return missing(model, key, err);
    ln_status st = ln__format_numbers(v, 8, text, key, model->path, err);
    if (st < 0)
        return st;
    if (!ln__format_whole(v[1], LN_COST_TIME, LN_COST_MACS) || !ln__format_whole(v[2], 0, UINT32_MAX))
        return ln__fail(err, LN_E_FORMAT, "%s: %s: cost kind %g or row count %g is out of range", model->path, key, v[1], v[2]);
    for (int i = 0; i < 8; i++)
        if (i != 1 && i != 2 && !(v[i] >= 0 && v[i] <= (i < 5 ? 1.0 : 1e6)))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: number %d is %g; 0..%g was expected", model->path, key, i + 1, v[i],
                            i < 5 ? 1.0 : 1e6);
    point.alpha = v[0];
    point.cost = (int32_t)v[1];
    point.measured = (ln_point_info){ .alpha = v[0], .cost = (int32_t)v[1], .rows = (uint32_t)v[2], .accuracy = v[3],
                                      .plain_accuracy = v[4], .params_share = v[5], .macs_share = v[6], .time_share = v[7] };
    snprintf(key, sizeof key, LN__KEY_POINT "%u.thresholds", p);
    text = ln__onnx_metadata(model->onnx, key);
    if (!text)
        return missing(model, key, err);
    st = read_policy(&policy, model, p, err);
    if (st == LN_OK)
        st = ln__policy_read(&point.gates, &model->ctx, model->onnx, policy, p, model->n_exits, (int32_t)model->classes, err);
    point.measured.policy = policy;
    if (st == LN_OK)
        st = check_widths(model, &point.gates, p, err);
    if (st == LN_OK)
        st = ln__format_numbers(point.gates.threshold, model->n_exits, text, key, model->path, err);
    if (st == LN_OK)
        st = read_shares(&point, model, p, err);
    if (st == LN_OK)
        st = read_moved(&point, model, p, err);
    if (st == LN_OK)
        st = read_learned(&point, model, p, err);
    if (st == LN_OK)
        st = ln__model_add_point(model, &point, err);
    ln__point_free(&point, &model->ctx);
    return st;
}

static ln_status read_points(ln_model *model, ln_error *err)
{
    uint32_t count = 0;
    ln_status st = read_count(&count, model, LN__KEY_POINTS, LN__MAX_POINTS, err);

    for (uint32_t p = 0; st == LN_OK && p < count; p++)
        st = read_point(model, p, err);
    if (st == LN_OK && count)
        st = read_count(&model->default_point, model, LN__KEY_DEFAULT_POINT, count - 1, err);
    if (st == LN_OK && count)
        st = ln__curves_read(model, err);
    return st == LN_OK && count ? ln__target_read(model, err) : st;
}

ln_status ln__exits_read(ln_model *model, ln_error *err)
{
    uint32_t count = 0, trained = 0;
    ln_status st = read_final(model, err);

    if (st == LN_OK)
        st = read_count(&count, model, LN__KEY_EXITS, LN__MAX_EXITS, err);
    for (uint32_t e = 0; st == LN_OK && e < count; e++) {
        st = read_exit(model, e, err);
    }
    for (uint32_t e = 0; st == LN_OK && e < count; e++) {
        st = read_head(model, e, err);
        trained += st == LN_OK && model->exits[e].head.mlp.params != NULL;
    }
    if (st == LN_OK && trained == count && count)
        st = read_points(model, err);
    return st;
}
