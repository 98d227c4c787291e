/* gate_onnx.c - gates as ONNX nodes, and read back. Each operating point's gate is a
 * node or three of its own; the sums of gates that stand side by side share one Sigmoid. */
#include "policy/emission.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_PARTS = 8 + 2 * LN__MAX_EXITS, COLUMNS = 32 };

/* What the emission of one exit's statistics knows. */
typedef struct emission {
    ln__onnx_edit *edit;
    uint32_t exit;
    int32_t  classes;
    ln__name part[MAX_PARTS];       /* columns of the result, in order */
    int32_t  parts;
} emission;

static ln__name stat_name(const emission *e, const char *what)
{
    return ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/stats.%s", e->exit, what);
}

static ln__name stat_name_of(const emission *e, const char *what, uint32_t other)
{
    return ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/stats.%s.%" PRIu32, e->exit, what, other);
}

/* The next column: a value of this name, which the caller makes. */
static const char *next_part(emission *e, ln__name name)
{
    e->part[e->parts] = name;
    return e->part[e->parts++].text;
}

/* The logit of the margin p1 - p2; 1 - (p1 - p2) as what all but the first have and p2. */
static void emit_margin_logit(emission *e, const char *sorted, const char *p2)
{
    static const int64_t axis = 1, one = 1;
    static const float two = 2.0f, least = LN__LEAST_DOUBT;
    ln__name others = stat_name(e, "others"), sum = stat_name(e, "sum_others"), doubt = stat_name(e, "doubt");
    ln__name negative = stat_name(e, "minus_doubt"), sure = stat_name(e, "sure"), some = stat_name(e, "some_doubt");
    ln__name odds = stat_name(e, "margin_odds"), two_name = stat_name(e, "two"), least_name = stat_name(e, "least_doubt");

    ln__onnx_add_f32(e->edit, two_name.text, &two, 1, &one);
    ln__onnx_add_f32(e->edit, least_name.text, &least, 1, &one);
    ln__onnx_emit_slice(e->edit, others.text, sorted, 1, 1, e->classes);
    ln__onnx_emit_reduce(e->edit, "ReduceSum", sum.text, others.text, &axis, 1, true);
    ln__onnx_emit_binary(e->edit, "Add", doubt.text, sum.text, p2);
    ln__onnx_emit_unary(e->edit, "Neg", negative.text, doubt.text);
    ln__onnx_emit_binary(e->edit, "Add", sure.text, negative.text, two_name.text);
    ln__onnx_emit_binary(e->edit, "Add", some.text, doubt.text, least_name.text);
    ln__onnx_emit_binary(e->edit, "Div", odds.text, sure.text, some.text);
    ln__onnx_emit_unary(e->edit, "Log", next_part(e, stat_name(e, "margin_logit")), odds.text);
}

/* p1, p2, p3, p1 - p2 and its logit, from the log-probabilities in descending order. */
static void emit_top(emission *e, const char *log_p)
{
    ln__name values = stat_name(e, "sorted_log"), indices = stat_name(e, "sorted_class"), sorted = stat_name(e, "sorted");
    ln__name p1 = stat_name(e, "p1"), p2 = stat_name(e, "p2");

    ln__onnx_emit_top_k(e->edit, values.text, indices.text, log_p, e->classes);
    ln__onnx_emit_unary(e->edit, "Exp", sorted.text, values.text);
    ln__onnx_emit_slice(e->edit, next_part(e, stat_name(e, "top")), sorted.text, 1, 0, LN__MIN(e->classes, 3));
    if (e->classes < 2)
        return;
    ln__onnx_emit_slice(e->edit, p1.text, sorted.text, 1, 0, 1);
    ln__onnx_emit_slice(e->edit, p2.text, sorted.text, 1, 1, 2);
    ln__onnx_emit_binary(e->edit, "Sub", next_part(e, stat_name(e, "margin")), p1.text, p2.text);
    emit_margin_logit(e, sorted.text, p2.text);
}

/* Entropy / log(classes) = -sum p log p / log(classes); log sum exp z - mean z = -mean log p. */
static void emit_spread(emission *e, const char *p, const char *log_p)
{
    static const int64_t axis = 1, one = 1;
    float scale = (float)(-1.0 / log(e->classes > 1 ? (double)e->classes : 2.0));
    ln__name product = stat_name(e, "p_log_p"), sum = stat_name(e, "sum_p_log_p"), factor = stat_name(e, "entropy_scale");
    ln__name mean = stat_name(e, "mean_log_p");

    ln__onnx_add_f32(e->edit, factor.text, &scale, 1, &one);
    ln__onnx_emit_binary(e->edit, "Mul", product.text, p, log_p);
    ln__onnx_emit_reduce(e->edit, "ReduceSum", sum.text, product.text, &axis, 1, true);
    ln__onnx_emit_binary(e->edit, "Mul", next_part(e, stat_name(e, "entropy")), sum.text, factor.text);
    ln__onnx_emit_reduce(e->edit, "ReduceMean", mean.text, log_p, &axis, 1, true);
    ln__onnx_emit_unary(e->edit, "Neg", next_part(e, stat_name(e, "spread")), mean.text);
}

/* out [N,1] = sum over classes of a * b; `made` names the product. */
static void emit_dot(emission *e, const char *out, const char *made, const char *a, const char *b)
{
    static const int64_t axis = 1;

    ln__onnx_emit_binary(e->edit, "Mul", made, a, b);
    ln__onnx_emit_reduce(e->edit, "ReduceSum", out, made, &axis, 1, true);
}

/* Against each earlier exit: p . q and p^4 . q / sum p^4; of the last one, its largest probability. */
static void emit_agreement(emission *e, const char *p)
{
    static const int64_t axis = 1;
    ln__name square = stat_name(e, "p_2"), fourth = stat_name(e, "p_4"), weight = stat_name(e, "sum_p_4");
    ln__name q;

    ln__onnx_emit_binary(e->edit, "Mul", square.text, p, p);
    ln__onnx_emit_binary(e->edit, "Mul", fourth.text, square.text, square.text);
    ln__onnx_emit_reduce(e->edit, "ReduceSum", weight.text, fourth.text, &axis, 1, true);
    for (uint32_t j = 0; j < e->exit; j++) {
        ln__name logits = ln__name_make("logits_%" PRIu32, j);
        ln__name product = stat_name_of(e, "p_q", j), sharp = stat_name_of(e, "p_4_q", j);
        ln__name sharp_sum = stat_name_of(e, "sum_p_4_q", j);

        q = stat_name_of(e, "q", j);
        ln__onnx_emit_softmax(e->edit, q.text, logits.text, false);
        emit_dot(e, next_part(e, stat_name_of(e, "agreement", j)), product.text, p, q.text);
        emit_dot(e, sharp_sum.text, sharp.text, fourth.text, q.text);
        ln__onnx_emit_binary(e->edit, "Div", next_part(e, stat_name_of(e, "support", j)), sharp_sum.text, weight.text);
    }
    ln__onnx_emit_reduce(e->edit, "ReduceMax", next_part(e, stat_name(e, "before")), q.text, &axis, 1, true);
}

/* "leenet/<exit>/stats" [N, ln__stats_count]. */
static void emit_stats(ln__emission *shared, const char *out)
{
    emission e = { .edit = shared->edit, .exit = shared->exit, .classes = shared->classes };
    ln__name p = ln__emit_p(shared), log_p = ln__emit_log_p(shared);
    const char *parts[MAX_PARTS];

    emit_top(&e, log_p.text);
    emit_spread(&e, p.text, log_p.text);
    if (e.exit > 0)
        emit_agreement(&e, p.text);
    for (int32_t i = 0; i < e.parts; i++)
        parts[i] = e.part[i].text;
    ln__onnx_emit_concat(e.edit, out, parts, e.parts, 1);
}

/* ---- Gates ------------------------------------------------------------------------------------ */

static const char *const input_name[] = { [LN_GATE_STATISTICS] = "statistics", [LN_GATE_FEATURES] = "features",
                                          [LN_GATE_BOTH] = "both" };

/* The name says what the gate reads, for reading it back. */
static ln__name gate_prefix(uint32_t exit, uint32_t point, int32_t input)
{
    return ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/gate.%" PRIu32 ".%s.", exit, point, input_name[input]);
}

/* Columns on their way to stand side by side: joined now and then, as a node has few inputs. */
typedef struct columns { ln__name name[COLUMNS]; int32_t count; uint32_t joins; const char *what; } columns;

static void join_columns(const ln__emission *e, columns *c, const char *out)
{
    const char *parts[COLUMNS];

    for (int32_t i = 0; i < c->count; i++)
        parts[i] = c->name[i].text;
    ln__onnx_emit_concat(e->edit, out, parts, c->count, 1);
}

static void put_column(const ln__emission *e, columns *c, ln__name name)
{
    if (c->count == COLUMNS) {
        ln__name joined = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/%s.%" PRIu32, e->exit, c->what, c->joins++);
        join_columns(e, c, joined.text);
        c->name[0] = joined;
        c->count = 1;
    }
    c->name[c->count++] = name;
}

/* The sums of gates so far through a Sigmoid, into `out`. */
static void squash(const ln__emission *e, columns *sums, const char *out)
{
    ln__name all = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/%s.%" PRIu32, e->exit, sums->what, sums->joins++);

    if (sums->count > 1)
        join_columns(e, sums, all.text);
    else
        all = sums->name[0];
    ln__onnx_emit_unary(e->edit, "Sigmoid", out, all.text);
    sums->count = 0;
}

/* What gates of this kind read at the exit, made when the first of them needs it. */
static ln__name gate_input(ln__emission *e, bool made[], int32_t input)
{
    ln__name features = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/features", e->exit);
    ln__name stats = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/stats", e->exit);
    ln__name both = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/both", e->exit);
    const char *parts[] = { stats.text, features.text };

    if (input != LN_GATE_FEATURES && !made[LN_GATE_STATISTICS])
        emit_stats(e, stats.text);
    if (input == LN_GATE_BOTH && !made[LN_GATE_BOTH])
        ln__onnx_emit_concat(e->edit, both.text, parts, 2, 1);
    made[LN_GATE_STATISTICS] = made[LN_GATE_STATISTICS] || input != LN_GATE_FEATURES;
    made[input] = true;
    return input == LN_GATE_BOTH ? both : input == LN_GATE_FEATURES ? features : stats;
}

static ln__name emit_gate(ln__emission *e, bool made[], const ln__gates *gates, uint32_t point)
{
    ln__name prefix = gate_prefix(e->exit, point, gates->input), x = gate_input(e, made, gates->input);
    ln__name sum = ln__name_make("%sz", prefix.text);

    ln__mlp_emit(e->edit, &gates->gate[e->exit], prefix.text, x.text, sum.text);
    return sum;
}

void ln__gates_emit(ln__onnx_edit *edit, const ln__gates *const *points, uint32_t n_points, uint32_t exit, int32_t classes)
{
    ln__emission e = { .edit = edit, .exit = exit, .classes = classes };
    ln__name out = ln__name_make("gate_%" PRIu32, exit);
    columns sums = { .what = "gates" }, scores = { .what = "scores" };
    bool made[LN__COUNT(input_name)] = { false };

    for (uint32_t p = 0; p < n_points; p++) {
        bool gate = points[p]->policy == LN_POLICY_GATE, last = p + 1 == n_points;

        if (gate)
            put_column(&e, &sums, emit_gate(&e, made, points[p], p));
        if (gate && last && scores.count == 0)
            squash(&e, &sums, out.text);
        else if (gate && (last || points[p + 1]->policy != LN_POLICY_GATE)) {
            ln__name run = ln__name_make(LN__ONNX_PREFIX "%" PRIu32 "/gates.to.%" PRIu32, exit, p);
            squash(&e, &sums, run.text);
            put_column(&e, &scores, run);
        }
        if (!gate)
            put_column(&e, &scores, ln__score_emit(&e, points[p], p));
    }
    if (scores.count > 0)
        join_columns(&e, &scores, out.text);
    ln__onnx_add_output(edit, out.text, n_points);
}

static ln_status read_gate(ln__gates *gates, const ln__ctx *ctx, const ln__onnx *onnx, uint32_t point,
                           uint32_t exit, int32_t classes, ln_error *err)
{
    ln__name prefix = gate_prefix(exit, point, gates->input);
    ln__mlp *gate = &gates->gate[exit];
    ln_status st = ln__mlp_read(gate, ctx, onnx, prefix.text, err);

    if (st < 0)
        return st;
    if (gate->outputs != 1)
        return ln__fail(err, LN_E_FORMAT, "initializer '%sw2': a gate with %d outputs, expected 1", prefix.text,
                        (int)gate->outputs);
    if (gates->input == LN_GATE_STATISTICS && gate->inputs != ln__stats_count(classes, exit))
        return ln__fail(err, LN_E_FORMAT, "initializers '%s*': a gate that reads %d numbers, expected the %d statistics "
                        "of exit %u with %d classes", prefix.text, (int)gate->inputs,
                        (int)ln__stats_count(classes, exit), (unsigned)exit, (int)classes);
    return LN_OK;
}

ln_status ln__gates_read(ln__gates *out, const ln__ctx *ctx, const ln__onnx *onnx, uint32_t point, uint32_t exits,
                         int32_t classes, ln_error *err)
{
    int32_t input = LN_GATE_STATISTICS;
    bool found = false;
    ln_status st;

    memset(out, 0, sizeof *out);
    for (int32_t i = 0; i < (int32_t)LN__COUNT(input_name); i++) {
        ln__name first = gate_prefix(0, point, i);
        ln__name weights = ln__name_make("%sw2", first.text);
        ln__tensor ignored;
        if (ln__onnx_addition(onnx, weights.text, &ignored)) {
            input = i;
            found = true;
        }
    }
    ln__name doubt = ln__name_make(LN__ONNX_PREFIX "0/stats.least_doubt");
    if (found && input != LN_GATE_FEATURES && classes > 1 && !ln__onnx_addition(onnx, doubt.text, &(ln__tensor){ 0 }))
        return ln__fail(err, LN_E_FORMAT, "initializer '%s' is missing: the gates of operating point %u read other statistics than "
                        "this library computes; train them again", doubt.text, (unsigned)point);
    st = ln__gates_new(out, ctx, input, exits, err);
    for (uint32_t i = 0; i < exits && st >= 0; i++)
        st = read_gate(out, ctx, onnx, point, i, classes, err);
    if (st < 0)
        ln__gates_free(out, ctx);
    return st;
}
