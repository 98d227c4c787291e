/* replay.c - what recorded rows would have got under a rule, without running the network again. */
#include "session/answers.h"

#include <math.h>
#include <string.h>

typedef struct tally { uint64_t rows[LN__MAX_EXITS + 1], right[LN__MAX_EXITS + 1], plain_right; } tally;

typedef struct given { int32_t label, choice; float probability; } given;

/* What the policy answers at an exit: the head's own answer, or of an ensemble the mixture, made again. */
typedef struct asking {
    const ln_answers *answers;
    const ln__gates  *gates;    /* NULL: every answer is a head's */
    float *p, *mixed, *scratch; /* NULL unless answers are mixed */
} asking;

static ln_status asking_init(asking *a, const ln_answers *answers, const ln__gates *gates, ln_error *err)
{
    const ln__ctx *ctx = &answers->ctx;

    *a = (asking){ answers, gates, NULL, NULL, NULL };
    if (!gates || gates->policy != LN_POLICY_ENSEMBLE)
        return LN_OK;
    a->p = ln__array(ctx, answers->exits, answers->classes * sizeof(float));
    a->mixed = ln__array(ctx, answers->classes, sizeof(float));
    a->scratch = ln__array(ctx, ln__score_scratch(gates, (int32_t)answers->classes), sizeof(float));
    return a->p && a->mixed && a->scratch ? LN_OK : ln__fail_nomem(err, ctx, answers->classes * sizeof(float));
}

static void asking_free(asking *a)
{
    const ln__ctx *ctx = &a->answers->ctx;

    ln__free(ctx, a->p);
    ln__free(ctx, a->mixed);
    ln__free(ctx, a->scratch);
}

static given ask(const asking *a, size_t row, uint32_t exit)
{
    const ln_answers *answers = a->answers;
    size_t k = row * (answers->exits + 1) + exit, classes = answers->classes;
    const float *logits[LN__MAX_EXITS], *probabilities[LN__MAX_EXITS];
    given out = { answers->given[k], answers->choice[k], answers->probability[k] };

    if (!a->mixed || exit == answers->exits)
        return out;
    for (uint32_t e = 0; e <= exit; e++) {
        logits[e] = answers->logits[e] + row * classes;
        probabilities[e] = a->p + e * classes;
        ln__softmax_rows(logits[e], 1, (int32_t)classes, a->p + e * classes);
    }
    ln__sight sight = { .classes = (int32_t)classes, .logits = logits, .probabilities = probabilities, .mixed = a->mixed,
                        .scratch = a->scratch };
    ln__score(a->gates, exit, &sight);
    out.label = ln__model_label(answers->model, a->mixed, true, &out.probability);
    out.choice = -1;
    for (size_t c = 0; c < classes; c++)
        if (answers->among[c] && (out.choice < 0 || a->mixed[c] > a->mixed[out.choice]))
            out.choice = (int32_t)c;
    return out;
}

/* Shares of the plain network's that leaving at exit 0..E takes. */
typedef struct prices { double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1], time[LN__MAX_EXITS + 1]; } prices;

static prices prices_of(const ln_answers *answers, const ln__gates *gates, const double *threshold)
{
    uint32_t end = answers->exits;
    prices p;

    ln__model_cost_shares(answers->model, gates, p.params, p.macs);
    memcpy(p.time, answers->time, (end + 1) * sizeof *p.time);
    if (threshold && !ln__score_may_pass(threshold, end))
        p.params[end] = p.macs[end] = p.time[end] = 1;
    return p;
}

static ln_status sum_up(const ln_answers *answers, const tally *t, const prices *price, ln_evaluation *out, ln_error *err)
{
    double rows = (double)answers->rows;
    ln_evaluation e = { .struct_size = sizeof e, .rows = answers->rows, .exits = out->exits, .drift = NAN };

    e.plain_accuracy = (double)t->plain_right / rows;
    for (uint32_t i = 0; i <= answers->exits; i++) {
        uint64_t left = t->rows[i];
        ln_exit_share share = { left, (double)left / rows, left ? (double)t->right[i] / (double)left : 0.0 };
        e.accuracy += (double)t->right[i] / rows;
        e.params_share += share.share * price->params[i];
        e.macs_share += share.share * price->macs[i];
        e.time_share += share.share * price->time[i];
        if (out->exits)
            out->exits[i] = share;
    }
    return ln__info_copy(out, &e, sizeof e, "ln_evaluation", err);
}

static ln_status replay(const ln_answers *answers, ln__leave_fn leave, const void *payload, const ln__gates *gates,
                        const prices *price, ln_result *results, ln_evaluation *out, ln_error *err)
{
    uint32_t end = answers->exits;
    asking a;
    tally t;
    ln_status st = out ? ln__evaluation_check(out, err) : LN_OK;

    if (st < 0)
        return st;
    st = asking_init(&a, answers, gates, err);
    memset(&t, 0, sizeof t);
    for (size_t r = 0; st == LN_OK && r < answers->rows; r++) {
        float gate = 1.0f;
        uint32_t exit = leave(answers, r, &gate, payload);
        given answer = ask(&a, r, exit);

        t.rows[exit]++;
        t.right[exit] += answer.choice == answers->label[r];
        t.plain_right += answers->choice[r * (end + 1) + end] == answers->label[r];
        if (results)
            results[r] = (ln_result){ .label = answer.label, .exit = exit, .probability = answer.probability, .gate = gate,
                                      .macs_share = (float)price->macs[exit] };
    }
    asking_free(&a);
    return st == LN_OK && out ? sum_up(answers, &t, price, out, err) : st;
}

/* ---- Operating points ------------------------------------------------------------------------ */

typedef struct rule { uint32_t point; const double *threshold; } rule;

static uint32_t leave_by_rule(const ln_answers *answers, size_t row, float *gate, const void *payload)
{
    const rule *of = payload;
    const float *g = answers->gate + (row * answers->points + of->point) * answers->exits;

    for (uint32_t e = 0; e < answers->exits; e++)
        if (g[e] > of->threshold[e]) {
            *gate = g[e];
            return e;
        }
    return answers->exits;
}

static ln_status replay_rule(const ln_answers *answers, const rule *of, ln_result *results, ln_evaluation *out, ln_error *err)
{
    const ln__gates *gates = &answers->model->points[of->point].gates;
    prices price = prices_of(answers, gates, of->threshold);

    return replay(answers, leave_by_rule, of, gates, &price, results, out, err);
}

ln_status ln__answers_replay_point(const ln_answers *answers, uint32_t point, ln_result *results, ln_evaluation *out,
                                   ln_error *err)
{
    if (point >= answers->points)
        return ln__fail(err, LN_E_ARGUMENT, "operating point %u; the model has %u (numbered from 0)", point, answers->points);
    return replay_rule(answers, &(rule){ point, answers->model->points[point].gates.threshold }, results, out, err);
}

/* ---- Settings of policies ----------------------------------------------------------------------- */

static uint32_t leave_when_right(const ln_answers *answers, size_t row, float *gate, const void *payload)
{
    const int32_t *choice = answers->choice + row * (answers->exits + 1);

    (void)payload;
    (void)gate;
    for (uint32_t e = 0; e < answers->exits; e++)
        if (choice[e] == answers->label[row])
            return e;
    return answers->exits;
}

ln_status ln__answers_replay(const ln_answers *answers, int32_t policy, uint32_t index, ln_result *results,
                             ln_evaluation *out, ln_error *err)
{
    const ln_setting *setting;
    rule of;

    if (policy == LN_POLICY_ORACLE) {
        prices price = prices_of(answers, NULL, NULL);
        return replay(answers, leave_when_right, NULL, NULL, &price, results, out, err);
    }
    ln_status st = ln__setting_find(&setting, &of.threshold, answers->model, policy, index, err);
    if (st < 0)
        return st;
    of.point = setting->point;
    return replay_rule(answers, &of, results, out, err);
}
