/* api_anytime.c - answers by a deadline, steps, counters. */
#include "api/api.h"
#include "session/session.h"

ln_status ln_infer_deadline(ln_session *session, const float *input, size_t n, double deadline_ms, ln_result *results,
                            float *logits, ln_error *err)
{
    LN__REQUIRE(session, "ln_infer_deadline", err);
    LN__REQUIRE(input, "ln_infer_deadline", err);
    LN__REQUIRE(results, "ln_infer_deadline", err);
    if (deadline_ms != deadline_ms)
        return ln__fail(err, LN_E_ARGUMENT, "ln_infer_deadline: deadline_ms is not a number");
    ln__run_request run = { .input = input, .n = n, .results = results, .logits = logits };
    return ln__session_deadline(session, &run, 1e-3 * deadline_ms, err);
}

ln_status ln_steps_begin(ln_session *session, const float *input, ln_error *err)
{
    LN__REQUIRE(session, "ln_steps_begin", err);
    LN__REQUIRE(input, "ln_steps_begin", err);
    return ln__steps_begin(session, input, err);
}

ln_status ln_steps_next(ln_session *session, ln_step *out, ln_error *err)
{
    LN__REQUIRE(session, "ln_steps_next", err);
    LN__REQUIRE(out, "ln_steps_next", err);
    return ln__steps_next(session, out, err);
}

void ln_steps_end(ln_session *session)
{
    if (session)
        ln__steps_end(session);
}

ln_status ln_session_get_counters(const ln_session *session, ln_counters *out, ln_error *err)
{
    LN__REQUIRE(session, "ln_session_get_counters", err);
    LN__REQUIRE(out, "ln_session_get_counters", err);
    return ln__session_counters(session, out, err);
}

void ln_session_reset_counters(ln_session *session)
{
    if (session)
        ln__session_reset_counters(session);
}

ln_status ln_session_drift(const ln_session *session, double *p_value, ln_error *err)
{
    LN__REQUIRE(session, "ln_session_drift", err);
    LN__REQUIRE(p_value, "ln_session_drift", err);
    return ln__session_drift(session, p_value, err);
}
