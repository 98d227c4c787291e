/* score_onnx.c - scores of policies other than gates as ONNX nodes, and what they learned read back. */
#include "policy/emission.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static ln__name value_of(uint32_t exit, const char *what)
{
    return ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/%s", exit, what);
}

static ln__name value(const ln__emission *e, const char *what)
{
    return value_of(e->exit, what);
}

static ln__name constant(const ln__emission *e, const char *what, double number)
{
    static const int64_t one = 1;
    ln__name name = value(e, what);
    float narrow = (float)number;

    ln__onnx_add_f32(e->edit, name.text, &narrow, 1, &one);
    return name;
}

/* ---- Values that several scores use ------------------------------------------------------ */

ln__name ln__emit_p(ln__emission *e)
{
    ln__name p = value(e, "stats.p"), logits = ln__name_make("logits_%" PRIu32, e->exit);

    if (!e->made_p)
        ln__onnx_emit_softmax(e->edit, p.text, logits.text, false);
    e->made_p = true;
    return p;
}

ln__name ln__emit_log_p(ln__emission *e)
{
    ln__name log_p = value(e, "stats.log_p"), logits = ln__name_make("logits_%" PRIu32, e->exit);

    if (!e->made_log_p)
        ln__onnx_emit_softmax(e->edit, log_p.text, logits.text, true);
    e->made_log_p = true;
    return log_p;
}

static ln__name largest(ln__emission *e)
{
    static const int64_t axis = 1;
    ln__name p = ln__emit_p(e), out = value(e, "largest");

    if (!e->made_largest)
        ln__onnx_emit_reduce(e->edit, "ReduceMax", out.text, p.text, &axis, 1, true);
    e->made_largest = true;
    return out;
}

/* 1 + sum p log p / log classes. */
static ln__name certainty(ln__emission *e)
{
    static const int64_t axis = 1;
    ln__name p = ln__emit_p(e), log_p = ln__emit_log_p(e), out = value(e, "certainty");
    ln__name product = value(e, "certainty.product"), sum = value(e, "certainty.sum"), scaled = value(e, "certainty.scaled");

    if (e->made_certainty)
        return out;
    ln__name scale = constant(e, "certainty.scale", 1.0 / log(e->classes > 1 ? (double)e->classes : 2.0));
    ln__name one = constant(e, "certainty.one", 1.0);
    ln__onnx_emit_binary(e->edit, "Mul", product.text, p.text, log_p.text);
    ln__onnx_emit_reduce(e->edit, "ReduceSum", sum.text, product.text, &axis, 1, true);
    ln__onnx_emit_binary(e->edit, "Mul", scaled.text, sum.text, scale.text);
    ln__onnx_emit_binary(e->edit, "Add", out.text, scaled.text, one.text);
    e->made_certainty = true;
    return out;
}

/* Likeliest minus second; of one class only, the likeliest. */
static ln__name margin(ln__emission *e)
{
    ln__name p = ln__emit_p(e), top = value(e, "margin.top"), indices = value(e, "margin.class");
    ln__name p1 = value(e, "margin.p1"), p2 = value(e, "margin.p2"), out = value(e, "margin");

    if (e->classes < 2)
        return largest(e);
    if (e->made_margin)
        return out;
    ln__onnx_emit_top_k(e->edit, top.text, indices.text, p.text, 2);
    ln__onnx_emit_slice(e->edit, p1.text, top.text, 1, 0, 1);
    ln__onnx_emit_slice(e->edit, p2.text, top.text, 1, 1, 2);
    ln__onnx_emit_binary(e->edit, "Sub", out.text, p1.text, p2.text);
    e->made_margin = true;
    return out;
}

/* Exits in a row that agree: run_i = 1 + [class_i = class_{i-1}] run_{i-1}, and run_0 = [class_0 = class_0]. */
static ln__name run(ln__emission *e)
{
    ln__name here = value(e, "class"), before = value_of(e->exit > 0 ? e->exit - 1 : 0, "class"), out = value(e, "run");
    ln__name equal = value(e, "run.equal"), number = value(e, "run.number"), grown = value(e, "run.grown");
    ln__name input = ln__name_make("logits_%" PRIu32, e->exit);
    const char *x = input.text, *y = equal.text;

    if (e->made_run)
        return out;
    ln__onnx_add_node(e->edit, "ArgMax", here.text, &x, 1);
    ln__onnx_node_int(e->edit, "axis", 1);
    ln__onnx_node_int(e->edit, "keepdims", 1);
    ln__onnx_emit_binary(e->edit, "Equal", equal.text, here.text, before.text);
    ln__onnx_add_node(e->edit, "Cast", e->exit > 0 ? number.text : out.text, &y, 1);
    ln__onnx_node_int(e->edit, "to", 1);
    if (e->exit > 0) {
        ln__name one = constant(e, "run.one", 1.0), last = value_of(e->exit - 1, "run");
        ln__onnx_emit_binary(e->edit, "Mul", grown.text, number.text, last.text);
        ln__onnx_emit_binary(e->edit, "Add", out.text, grown.text, one.text);
    }
    e->made_run = true;
    return out;
}

/* ---- Policies ------------------------------------------------------------------------------ */

static ln__name point_value(uint32_t exit, uint32_t point, const char *policy, const char *what)
{
    return ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/gate.%" PRIu32 ".%s.%s", exit, point, policy, what);
}

static ln__name weight_name(uint32_t exit, uint32_t point, uint32_t of)
{
    return ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/gate.%" PRIu32 ".ensemble.w.%" PRIu32, exit, point, of);
}

static ln__name patience(ln__emission *e, const ln__gates *gates, uint32_t point)
{
    static const int64_t one = 1;
    ln__name count = run(e), share = point_value(e->exit, point, "patience", "share");
    ln__name out = point_value(e->exit, point, "patience", "score");
    float number = 1.0f / (float)(gates->exits + 1);

    ln__onnx_add_f32(e->edit, share.text, &number, 1, &one);
    ln__onnx_emit_binary(e->edit, "Mul", out.text, count.text, share.text);
    return out;
}

static ln__name eenet(ln__emission *e, const ln__gates *gates, uint32_t point)
{
    const char *parts[4 + LN__MAX_EXITS];
    ln__name scores[LN__MAX_EXITS], p = ln__emit_p(e), top = largest(e), sure = certainty(e), count = run(e);
    ln__name prefix = point_value(e->exit, point, "eenet", ""), what = ln__name_make("gate.%" PRIu32 ".eenet.share", point);
    ln__name share = constant(e, what.text, 1.0 / (e->exit + 1));
    ln__name agreement = point_value(e->exit, point, "eenet", "agreement"), x = point_value(e->exit, point, "eenet", "x");
    ln__name sum = point_value(e->exit, point, "eenet", "z"), out = point_value(e->exit, point, "eenet", "score");
    int32_t n = 0;

    ln__onnx_emit_binary(e->edit, "Mul", agreement.text, count.text, share.text);
    parts[n++] = p.text;
    parts[n++] = top.text;
    parts[n++] = sure.text;
    parts[n++] = agreement.text;
    for (uint32_t j = 0; j < e->exit; j++) {
        scores[j] = point_value(j, point, "eenet", "score");
        parts[n++] = scores[j].text;
    }
    ln__onnx_emit_concat(e->edit, x.text, parts, n, 1);
    ln__mlp_emit(e->edit, &gates->gate[e->exit], prefix.text, x.text, sum.text);
    ln__onnx_emit_unary(e->edit, "Sigmoid", out.text, sum.text);
    return out;
}

/* The largest of softmax(sum of w_j log p_j). Earlier exits' log p were made when they were emitted. */
static ln__name ensemble(ln__emission *e, const ln__gates *gates, uint32_t point)
{
    static const int64_t one = 1, axis = 1;
    ln__name sum = { "" }, p = point_value(e->exit, point, "ensemble", "p");
    ln__name out = point_value(e->exit, point, "ensemble", "score");
    const float *w = ln__mlp_w2(&gates->gate[e->exit]);

    ln__emit_log_p(e);
    for (uint32_t j = 0; j <= e->exit; j++) {
        ln__name weight = weight_name(e->exit, point, j), log_p = value_of(j, "stats.log_p");
        ln__name term = ln__name_make("%s.term", weight.text), next = ln__name_make("%s.sum", weight.text);

        ln__onnx_add_f32(e->edit, weight.text, &w[j], 1, &one);
        ln__onnx_emit_binary(e->edit, "Mul", term.text, log_p.text, weight.text);
        if (j > 0)
            ln__onnx_emit_binary(e->edit, "Add", next.text, sum.text, term.text);
        sum = j > 0 ? next : term;
    }
    ln__onnx_emit_softmax(e->edit, p.text, sum.text, false);
    ln__onnx_emit_reduce(e->edit, "ReduceMax", out.text, p.text, &axis, 1, true);
    return out;
}

ln__name ln__score_emit(ln__emission *e, const ln__gates *gates, uint32_t point)
{
    switch (gates->policy) {
    case LN_POLICY_ENTROPY:
        return certainty(e);
    case LN_POLICY_MARGIN:
        return margin(e);
    case LN_POLICY_PATIENCE:
        return patience(e, gates, point);
    case LN_POLICY_EENET:
        return eenet(e, gates, point);
    case LN_POLICY_ENSEMBLE:
        return ensemble(e, gates, point);
    default:
        return largest(e);
    }
}

/* ---- Reading back ------------------------------------------------------------------------------ */

static ln_status read_eenet(ln__mlp *out, const ln__ctx *ctx, const ln__onnx *onnx, uint32_t point, uint32_t exit,
                            int32_t classes, ln_error *err)
{
    ln__name prefix = point_value(exit, point, "eenet", "");
    ln_status st = ln__mlp_read(out, ctx, onnx, prefix.text, err);

    if (st == LN_OK && (out->outputs != 1 || out->hidden != 0 || out->inputs != ln__eenet_count(classes, exit)))
        st = ln__fail(err, LN_E_FORMAT, "initializers '%s*': a score that maps %d numbers through %d to %d; %d, 0 and 1 were expected",
                      prefix.text, (int)out->inputs, (int)out->hidden, (int)out->outputs, (int)ln__eenet_count(classes, exit));
    return st;
}

static ln_status read_ensemble(ln__mlp *out, const ln__ctx *ctx, const ln__onnx *onnx, uint32_t point, uint32_t exit,
                               ln_error *err)
{
    ln_status st = ln__mlp_new(out, ctx, (int32_t)exit + 1, 0, 1, err);

    for (uint32_t j = 0; st == LN_OK && j <= exit; j++) {
        ln__name name = weight_name(exit, point, j);
        ln__tensor weight;

        if (!ln__onnx_addition(onnx, name.text, &weight) || weight.dtype != LN__F32 || weight.rank != 1 || weight.dim[0] != 1 ||
            weight.data == NULL)
            return ln__fail(err, LN_E_FORMAT, "initializer '%s': one float was expected", name.text);
        memcpy(&ln__mlp_w2(out)[j], weight.data, sizeof(float));
        if (!(ln__mlp_w2(out)[j] >= 0.0f) || !isfinite(ln__mlp_w2(out)[j]))
            return ln__fail(err, LN_E_FORMAT, "initializer '%s': weight %g; 0 or more was expected", name.text,
                            (double)ln__mlp_w2(out)[j]);
    }
    return st;
}

ln_status ln__policy_read(ln__gates *out, const ln__ctx *ctx, const ln__onnx *onnx, int32_t policy, uint32_t point,
                          uint32_t exits, int32_t classes, ln_error *err)
{
    ln_status st;

    if (policy == LN_POLICY_GATE)
        return ln__gates_read(out, ctx, onnx, point, exits, classes, err);
    st = ln__gates_new(out, ctx, LN_GATE_STATISTICS, exits, err);
    if (st < 0)
        return st;
    out->policy = policy;
    for (uint32_t i = 0; i < exits && st == LN_OK; i++) {
        if (policy == LN_POLICY_EENET)
            st = read_eenet(&out->gate[i], ctx, onnx, point, i, classes, err);
        else if (policy == LN_POLICY_ENSEMBLE)
            st = read_ensemble(&out->gate[i], ctx, onnx, point, i, err);
    }
    if (st < 0)
        ln__gates_free(out, ctx);
    return st;
}
