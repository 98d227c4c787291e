/* api_session.c - sessions, inference, evaluation. */
#include "api/api.h"
#include "session/session.h"

ln_status ln_session_open(ln_session **out, ln_model *model, const ln_session_options *options, ln_error *err)
{
    ln_session_options o;

    LN__REQUIRE(out, "ln_session_open", err);
    *out = NULL;
    LN__REQUIRE(model, "ln_session_open", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_session_options", err);
    if (st < 0)
        return st;
    if (o.use_point > 1)
        return ln__fail(err, LN_E_ARGUMENT, "use_point %u; 0 or 1", o.use_point);
    ln__session_request request = { .max_rows = o.max_rows, .threads = o.threads, .point = -1 };
    if (o.use_point)
        request.point = o.point;
    else if (model->n_points)
        request.point = model->default_point;
    if (o.target && o.use_point)
        return ln__fail(err, LN_E_ARGUMENT, "ln_session_options: a point and a target are given; one of them");
    if (!o.use_point && !o.target && model->default_target.struct_size)
        o.target = &model->default_target;
    st = ln__session_open(out, model, &request, err);
    if (st < 0 || !o.target)
        return st;
    st = ln_session_set_target(*out, o.target, err);
    if (st < 0) {
        ln__session_close(*out);
        *out = NULL;
    }
    return st;
}

ln_status ln_session_set_target(ln_session *session, const ln_target *target, ln_error *err)
{
    ln_target t;

    LN__REQUIRE(session, "ln_session_set_target", err);
    LN__REQUIRE(target, "ln_session_set_target", err);
    ln_status st = ln__options_copy(&t, sizeof t, target, "ln_target", err);
    if (st == LN_OK)
        st = ln__session_set_target(session, &t, err);
    if (st >= 0)
        ln__session_reset_counters(session);
    return st;
}

ln_status ln_session_set_setting(ln_session *session, int32_t policy, uint32_t index, ln_error *err)
{
    LN__REQUIRE(session, "ln_session_set_setting", err);
    ln_status st = ln__session_set_setting(session, policy, index, err);
    if (st == LN_OK)
        ln__session_reset_counters(session);
    return st;
}

ln_status ln_session_get_setting(const ln_session *session, ln_setting *out, ln_error *err)
{
    LN__REQUIRE(session, "ln_session_get_setting", err);
    LN__REQUIRE(out, "ln_session_get_setting", err);
    const ln_setting *setting = ln__session_setting(session);
    if (!setting)
        return ln__fail(err, LN_E_STATE, "the session uses an operating point as it is, no setting");
    return ln__info_copy(out, setting, sizeof *setting, "ln_setting", err);
}

void ln_session_free(ln_session *session)
{
    ln__session_close(session);
}

ln_status ln_session_set_point(ln_session *session, uint32_t point, ln_error *err)
{
    LN__REQUIRE(session, "ln_session_set_point", err);
    ln_status st = ln__session_set_point(session, point, err);
    if (st == LN_OK)
        ln__session_reset_counters(session);
    return st;
}

static ln_status infer(ln_session *session, const float *input, size_t n, ln_result *results, float *logits,
                       ln__run_mode mode, const char *call, ln_error *err)
{
    bool count = mode == LN__RUN_EARLY;

    LN__REQUIRE(session, call, err);
    LN__REQUIRE(input, call, err);
    LN__REQUIRE(results, call, err);
    if (!ln__session_has_gates(session))
        mode = LN__RUN_FULL;
    ln__run_request run = { .mode = mode, .input = input, .n = n, .results = results, .logits = logits,
                            .count = count };
    return ln__session_run(session, &run, err);
}

ln_status ln_infer_early(ln_session *session, const float *input, size_t n, ln_result *results, float *logits, ln_error *err)
{
    return infer(session, input, n, results, logits, LN__RUN_EARLY, "ln_infer_early", err);
}

ln_status ln_infer_full(ln_session *session, const float *input, size_t n, ln_result *results, float *logits, ln_error *err)
{
    return infer(session, input, n, results, logits, LN__RUN_FULL, "ln_infer_full", err);
}

ln_status ln_infer_image(ln_session *session, const ln_image *image, ln_result *result, float *logits, ln_error *err)
{
    ln_image picture;

    LN__REQUIRE(session, "ln_infer_image", err);
    LN__REQUIRE(image, "ln_infer_image", err);
    LN__REQUIRE(result, "ln_infer_image", err);
    ln_status st = ln__options_copy(&picture, sizeof picture, image, "ln_image", err);
    if (st < 0)
        return st;
    if (!picture.path && (!picture.bytes || !picture.size))
        return ln__fail(err, LN_E_ARGUMENT, "ln_infer_image: neither a path nor bytes are given");
    return ln__session_image(session, &picture, result, logits, err);
}

ln_status ln_session_measure(ln_session *session, const float *input, size_t rows, uint32_t repeats,
                             ln_stage_time *out, ln_error *err)
{
    LN__REQUIRE(session, "ln_session_measure", err);
    LN__REQUIRE(input, "ln_session_measure", err);
    LN__REQUIRE(out, "ln_session_measure", err);
    return ln__session_measure(session, input, rows, repeats, out, err);
}

ln_status ln_evaluate(ln_session *session, ln_data *data, const ln_evaluate_options *options, ln_evaluation *out, ln_error *err)
{
    ln_evaluate_options o;

    LN__REQUIRE(session, "ln_evaluate", err);
    LN__REQUIRE(data, "ln_evaluate", err);
    LN__REQUIRE(out, "ln_evaluate", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_evaluate_options", err);
    return st < 0 ? st : ln__session_evaluate(session, data, &o, out, err);
}
