/* steps.c - one row, stage by stage, for a program that decides itself. */
#include "session/lane.h"

#include <math.h>

ln_status ln__steps_refuse(const ln_session *session, ln_error *err)
{
    if (session->steps.open)
        return ln__fail(err, LN_E_STATE, "a row is being answered step by step; call ln_steps_end first");
    return LN_OK;
}

ln_status ln__steps_begin(ln_session *session, const float *input, ln_error *err)
{
    ln__steps *steps = &session->steps;
    ln_status st = ln__steps_refuse(session, err);

    if (st == LN_OK)
        st = ln__session_check_input(session, input, 1, err);
    if (st < 0)
        return st;
    steps->request = (ln__run_request){ .mode = LN__RUN_STEP, .input = input, .n = 1, .results = &steps->result,
                                        .logits = steps->logits };
    steps->open = true;
    steps->next = 0;
    steps->seconds = 0;
    return LN_OK;
}

static void describe(const ln_session *session, ln_step *out)
{
    const ln__steps *steps = &session->steps;
    const ln__lane *lane = ln__session_lane((ln_session *)session);
    bool end = steps->result.exit == session->model->n_exits;

    *out = (ln_step){ .struct_size = sizeof *out, .exit = steps->result.exit, .label = steps->result.label,
                      .probability = steps->result.probability, .gate = steps->result.gate,
                      .macs_share = (double)steps->result.macs_share, .ms = 1e3 * steps->seconds,
                      .logits = steps->logits };
    out->leaves = end || (session->rule.gates && steps->result.gate > session->rule.threshold[out->exit]);
    if (!end) {
        out->next_macs_share = session->rule.macs_share[out->exit + 1] - session->rule.macs_share[out->exit];
        out->next_ms = 1e3 * ln__lane_expect(lane, (int32_t)steps->next, 1);
    }
}

ln_status ln__steps_next(ln_session *session, ln_step *out, ln_error *err)
{
    ln__lane *lane = ln__session_lane(session);
    ln__steps *steps = &session->steps;
    double begin = ln__now();
    ln_step step;
    ln_status st = ln__info_check(out, sizeof(size_t), "ln_step", err);

    if (st < 0)
        return st;
    if (!steps->open)
        return ln__fail(err, LN_E_STATE, "no row is being answered step by step; call ln_steps_begin first");
    if (steps->next == (uint32_t)lane->n_stages)
        return ln__fail(err, LN_E_STATE, "the row has reached the end of the network; call ln_steps_end");
    session->request = &steps->request;
    ln__lane_step(lane, (int32_t)steps->next);
    if (lane->status < 0) {
        if (err)
            *err = lane->error;
        ln__steps_end(session);
        return lane->status;
    }
    steps->next++;
    steps->seconds += ln__now() - begin;
    describe(session, &step);
    return ln__info_copy(out, &step, sizeof step, "ln_step", err);
}

void ln__steps_end(ln_session *session)
{
    if (!session->steps.open)
        return;
    ln__lane_forget(ln__session_lane(session));
    session->steps.open = false;
}
