/* measure.c - what each stage, head and gate takes on this machine. */
#include "session/lane.h"

#include <math.h>
#include <string.h>

static ln__lane *lane_of(ln_session *session, uint32_t i)
{
    return session->split && (i == 0 && !session->lanes) ? session->split : &session->lanes[i];
}

static void clear_clocks(ln_session *session)
{
    uint32_t lanes = session->lanes ? session->n_lanes : 1;

    for (uint32_t i = 0; i < lanes; i++) {
        ln__lane *lane = lane_of(session, i);
        memset(lane->stage_seconds, 0, (size_t)lane->n_stages * sizeof(double));
        memset(lane->head_seconds, 0, (session->model->n_exits + 1) * sizeof(double));
    }
    if (session->split) {
        memset(session->split->stage_seconds, 0, (size_t)session->split->n_stages * sizeof(double));
        memset(session->split->head_seconds, 0, (session->model->n_exits + 1) * sizeof(double));
    }
}

/* Lanes work side by side, so the call took the mean of what they counted. */
static double clocks(ln_session *session, uint32_t stage, bool heads, size_t rows)
{
    double seconds = 0;

    if (session->split && (rows == 1 || !session->lanes))
        return heads ? session->split->head_seconds[stage] : session->split->stage_seconds[stage];
    uint32_t lanes = (uint32_t)LN__MIN(session->n_lanes, rows);
    for (uint32_t i = 0; i < lanes; i++)
        seconds += heads ? session->lanes[i].head_seconds[stage] : session->lanes[i].stage_seconds[stage];
    return seconds / lanes;
}

/* Whatever else a machine does only adds to what a stage takes, and to long stages more than to short ones: the shortest of
 * the repeats tells most of what they are to each other. */
static ln_status measure_mode(ln_session *session, const ln__run_request *run, uint32_t repeats, double *shortest, ln_error *err)
{
    uint32_t stages = session->model->n_exits + 1;
    bool heads = run->mode == LN__RUN_STAY;

    for (uint32_t s = 0; s < stages; s++)
        shortest[s] = INFINITY;
    for (uint32_t r = 0; r <= repeats; r++) {   /* the first warms up */
        clear_clocks(session);
        ln_status st = ln__session_run(session, run, err);
        if (st < 0)
            return st;
        for (uint32_t s = 0; r && s < stages; s++)
            shortest[s] = fmin(shortest[s], 1e3 * clocks(session, s, heads, run->n));
    }
    return LN_OK;
}

static bool heads_are_there(const ln_model *model)
{
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (!model->exits[e].head.mlp.params)
            return false;
    return model->n_exits > 0;
}

ln_status ln__session_measure(ln_session *session, const float *input, size_t rows, uint32_t repeats,
                              ln_stage_time *out, ln_error *err)
{
    uint32_t stages = session->model->n_exits + 1;
    ln__run_request run = { .mode = LN__RUN_FULL, .input = input, .n = rows };
    double *times;
    ln_status st;

    if (repeats == 0 || repeats > 100000)
        return ln__fail(err, LN_E_ARGUMENT, "%u repeats; 1..100000", repeats);
    times = ln__array(&session->ctx, stages, sizeof *times);
    if (!times)
        return ln__fail_nomem(err, &session->ctx, stages * sizeof *times);
    memset(out, 0, stages * sizeof *out);
    st = measure_mode(session, &run, repeats, times, err);
    for (uint32_t s = 0; st == LN_OK && s < stages; s++)
        out[s].backbone_ms = times[s];
    run.mode = LN__RUN_STAY;
    bool heads = heads_are_there(session->model);
    if (st == LN_OK && heads)
        st = measure_mode(session, &run, repeats, times, err);
    for (uint32_t s = 0; st == LN_OK && heads && s + 1 < stages; s++)
        out[s].head_ms = times[s];
    ln__free(&session->ctx, times);
    return st;
}
