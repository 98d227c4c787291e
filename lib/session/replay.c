/* replay.c - what recorded rows would have got under a rule, without running the network again. */
#include "session/answers.h"

#include <string.h>

typedef struct tally { uint64_t rows[LN__MAX_EXITS + 1], right[LN__MAX_EXITS + 1], plain_right; } tally;

static void give(ln_result *result, const ln_answers *answers, size_t row, uint32_t exit, float gate, double macs)
{
    size_t k = row * (answers->exits + 1) + exit;

    *result = (ln_result){ .label = answers->given[k], .exit = exit, .probability = answers->probability[k], .gate = gate,
                           .macs_share = (float)macs };
}

static ln_status sum_up(const ln_answers *answers, const tally *t, const double *params, const double *macs,
                        ln_evaluation *out, ln_error *err)
{
    double rows = (double)answers->rows;
    ln_evaluation e = { .struct_size = sizeof e, .rows = answers->rows, .exits = out->exits };

    e.plain_accuracy = (double)t->plain_right / rows;
    for (uint32_t i = 0; i <= answers->exits; i++) {
        uint64_t left = t->rows[i];
        ln_exit_share share = { left, (double)left / rows, left ? (double)t->right[i] / (double)left : 0.0 };
        e.accuracy += (double)t->right[i] / rows;
        e.params_share += share.share * params[i];
        e.macs_share += share.share * macs[i];
        e.time_share += share.share * answers->time[i];
        if (out->exits)
            out->exits[i] = share;
    }
    return ln__info_copy(out, &e, sizeof e, "ln_evaluation", err);
}

static ln_status replay(const ln_answers *answers, ln__leave_fn leave, const void *payload, const ln__gates *gates,
                        ln_result *results, ln_evaluation *out, ln_error *err)
{
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1];
    uint32_t end = answers->exits;
    tally t;

    memset(&t, 0, sizeof t);
    ln__model_cost_shares(answers->model, gates, params, macs);
    for (size_t r = 0; r < answers->rows; r++) {
        const int32_t *choice = answers->choice + r * (end + 1);
        float gate = 1.0f;
        uint32_t exit = leave(answers, r, &gate, payload);

        t.rows[exit]++;
        t.right[exit] += choice[exit] == answers->label[r];
        t.plain_right += choice[end] == answers->label[r];
        if (results)
            give(&results[r], answers, r, exit, gate, macs[exit]);
    }
    return out ? sum_up(answers, &t, params, macs, out, err) : LN_OK;
}

/* ---- Operating points ------------------------------------------------------------------------ */

static uint32_t leave_at_point(const ln_answers *answers, size_t row, float *gate, const void *payload)
{
    uint32_t point = *(const uint32_t *)payload;
    const double *threshold = answers->model->points[point].gates.threshold;
    const float *g = answers->gate + (row * answers->points + point) * answers->exits;

    for (uint32_t e = 0; e < answers->exits; e++)
        if (g[e] > threshold[e]) {
            *gate = g[e];
            return e;
        }
    return answers->exits;
}

ln_status ln__answers_replay_point(const ln_answers *answers, uint32_t point, ln_result *results, ln_evaluation *out,
                                   ln_error *err)
{
    if (point >= answers->points)
        return ln__fail(err, LN_E_ARGUMENT, "operating point %u; the model has %u (numbered from 0)", point, answers->points);
    return replay(answers, leave_at_point, &point, &answers->model->points[point].gates, results, out, err);
}
