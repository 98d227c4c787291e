/* counters.c - what a session has answered, and whether its rows still leave where those of training did. */
#include "session/lane.h"

#include <math.h>
#include <string.h>

ln_status ln__counts_init(ln_session *session, ln_error *err)
{
    size_t exits = session->model->n_exits + 1;
    ln__counts *t = &session->counts;

    t->rows = ln__calloc(&session->ctx, exits, sizeof *t->rows);
    t->decided = ln__calloc(&session->ctx, exits, sizeof *t->decided);
    t->probability = ln__calloc(&session->ctx, exits, sizeof *t->probability);
    if (!t->rows || !t->decided || !t->probability)
        return ln__fail_nomem(err, &session->ctx, exits * sizeof *t->rows);
    return LN_OK;
}

void ln__counts_free(ln_session *session)
{
    ln__free(&session->ctx, session->counts.rows);
    ln__free(&session->ctx, session->counts.decided);
    ln__free(&session->ctx, session->counts.probability);
}

/* By a deadline, rows that go deep are stopped and those that leave early are not, so
 * none of such a call says where the policy would have let them leave. */
void ln__counts_note(ln_session *session, const ln__run_request *request)
{
    bool decided = request->mode == LN__RUN_EARLY;
    ln__counts *t = &session->counts;

    for (size_t i = 0; i < request->n; i++) {
        const ln_result *r = &request->results[i];
        t->rows[r->exit]++;
        t->decided[r->exit] += decided;
        t->probability[r->exit] += (double)r->probability;
        t->macs_share += (double)r->macs_share;
        if (request->mode == LN__RUN_DEADLINE && r->exit < session->model->n_exits)
            t->cut += !session->rule.gates || !(r->gate > session->rule.threshold[r->exit]);
    }
}

void ln__session_reset_counters(ln_session *session)
{
    size_t exits = session->model->n_exits + 1;
    ln__counts *t = &session->counts;

    memset(t->rows, 0, exits * sizeof *t->rows);
    memset(t->decided, 0, exits * sizeof *t->decided);
    memset(t->probability, 0, exits * sizeof *t->probability);
    t->macs_share = 0;
    t->cut = 0;
}

const double *ln__session_expected(const ln_session *session, uint32_t *rows)
{
    const ln__point *point = session->rule.point >= 0 ? &session->model->points[session->rule.point] : NULL;

    if (session->rule.setting) {
        *rows = session->rule.setting->rows;
        return ln__setting_shares(session->model, session->rule.setting);
    }
    return point ? ln__point_expected(point, rows) : NULL;
}

const double *ln__point_expected(const ln__point *point, uint32_t *rows)
{
    *rows = point->measured.rows;
    return point->has_shares ? point->shares : NULL;
}

ln_status ln__session_counters(const ln_session *session, ln_counters *out, ln_error *err)
{
    uint32_t rows = 0;
    const double *expected = ln__session_expected(session, &rows);
    const ln__counts *t = &session->counts;
    ln_counters c = { .struct_size = sizeof c, .cut = t->cut, .exits = NULL };

    ln_status st = ln__info_check(out, offsetof(ln_counters, exits) + sizeof out->exits, "ln_counters", err);
    if (st < 0)
        return st;
    c.exits = out->exits;
    for (uint32_t e = 0; e <= session->model->n_exits; e++) {
        c.rows += t->rows[e];
        c.probability += t->probability[e];
    }
    for (uint32_t e = 0; c.exits && e <= session->model->n_exits; e++)
        c.exits[e] = (ln_exit_count){ .rows = t->rows[e],
                                      .share = c.rows ? (double)t->rows[e] / (double)c.rows : 0.0,
                                      .probability = t->rows[e] ? t->probability[e] / (double)t->rows[e] : 0.0,
                                      .expected = expected ? expected[e] : NAN };
    c.probability = c.rows ? c.probability / (double)c.rows : 0.0;
    c.macs_share = c.rows ? t->macs_share / (double)c.rows : 0.0;
    return ln__info_copy(out, &c, sizeof c, "ln_counters", err);
}

ln_status ln__session_drift(const ln_session *session, double *p_value, ln_error *err)
{
    uint32_t rows = 0;
    const double *expected = ln__session_expected(session, &rows);

    if (session->rule.point < 0)
        return ln__fail(err, LN_E_STATE, "the session has no operating point, so every row runs to the end");
    if (!expected)
        return ln__fail(err, LN_E_STATE, "the model does not say where rows of training left at operating point %lld; train its gates "
                                         "again (leenet train)", (long long)session->rule.point);
    *p_value = ln__drift_p(session->counts.decided, expected, rows, session->model->n_exits + 1);
    return LN_OK;
}
