/* session.c - opening, running and freeing sessions. */
#include "session/lane.h"

#include <string.h>

/* Rows of a group: enough to use weights more than once per fetch, few enough to stay in the caches. */
enum { LARGEST_GROUP = 8 };

const ln_model *ln__session_model(const ln_session *session) { return session->model; }
uint32_t ln__session_max_rows(const ln_session *session) { return session->max_rows; }
bool ln__session_has_gates(const ln_session *session) { return session->rule.gates != NULL; }
const ln_setting *ln__session_setting(const ln_session *session) { return session->rule.setting; }
uint32_t ln__session_threads(const ln_session *session) { return session->threads; }

void ln__session_close(ln_session *session)
{
    if (!session)
        return;
    ln__ctx ctx = session->ctx;
    ln__pool_free(session->workers);
    if (session->split)
        ln__lane_free(session->split);
    for (uint32_t i = 0; i < session->n_lanes; i++)
        ln__lane_free(&session->lanes[i]);
    ln__free(&ctx, session->split);
    ln__free(&ctx, session->lanes);
    ln__free(&ctx, session->picture);
    ln__free(&ctx, session->steps.logits);
    ln__counts_free(session);
    ln__runnable_free(&session->own, &ctx);
    atomic_fetch_sub(&session->model->sessions, 1);
    ln__model_release(session->model);
    ln__free(&ctx, session);
}

static ln_status check_trained(const ln_model *model, ln_error *err)
{
    for (uint32_t e = 0; e < model->n_exits; e++)
        if (!model->exits[e].head.mlp.params)
            return ln__fail(err, LN_E_STATE, "exit %u at '%s' is not trained; call ln_exit_train (leenet train) first", e,
                            model->exits[e].value_name);
    if (model->final.replaced && !model->final.trained)
        return ln__fail(err, LN_E_STATE, "the replaced last layer is not trained; call ln_exit_train (leenet train) first");
    return LN_OK;
}

static void use_thresholds(ln_session *session, const double *threshold)
{
    session->rule.threshold = threshold;
    session->rule.may_leave = ln__score_may_pass(threshold, session->model->n_exits);
}

ln_status ln__session_set_point(ln_session *session, uint32_t point, ln_error *err)
{
    const ln_model *model = session->model;
    double params[LN__MAX_EXITS + 1];
    ln_status st = ln__steps_refuse(session, err);

    if (st < 0)
        return st;
    if (point >= model->n_points)
        return ln__fail(err, LN_E_ARGUMENT, "operating point %u; the model has %u (numbered from 0)", point, model->n_points);
    session->rule.gates = &model->points[point].gates;
    use_thresholds(session, session->rule.gates->threshold);
    session->rule.setting = NULL;
    session->rule.point = point;
    ln__model_cost_shares(model, session->rule.gates, params, session->rule.macs_share);
    return LN_OK;
}

ln_status ln__session_set_setting(ln_session *session, int32_t policy, uint32_t index, ln_error *err)
{
    const ln_setting *setting;
    const double *threshold;
    ln_status st = ln__setting_find(&setting, &threshold, session->model, policy, index, err);

    if (st == LN_OK)
        st = ln__session_set_point(session, setting->point, err);
    if (st < 0)
        return st;
    use_thresholds(session, threshold);
    session->rule.setting = setting;
    return LN_OK;
}

ln_status ln__session_set_target(ln_session *session, const ln_target *target, ln_error *err)
{
    const ln_setting *setting;
    ln_status found = ln__target_resolve(session->model, target, &setting, NULL, err);

    if (found < 0)
        return found;
    ln_status st = ln__session_set_setting(session, target->policy, setting->index, err);
    return st < 0 ? st : found;
}

static int64_t group_for(uint32_t rows)
{
    int64_t group = 1;

    while (group * 2 <= rows && group < LARGEST_GROUP)
        group *= 2;
    return group;
}

static ln_status open_lanes(ln_session *session, ln_error *err)
{
    bool split = session->threads > 1, many = session->max_rows > 1 || !split;
    ln_status st = LN_OK;

    if (split) {
        session->split = ln__calloc(&session->ctx, 1, sizeof *session->split);
        if (!session->split)
            return ln__fail_nomem(err, &session->ctx, sizeof *session->split);
        session->split->session = session;
        st = ln__lane_init(session->split, session, session->threads, 1, err);
    }
    if (st < 0 || !many)
        return st;
    uint32_t lanes = LN__MIN(session->threads, session->max_rows);
    session->lanes = ln__calloc(&session->ctx, lanes, sizeof *session->lanes);
    if (!session->lanes)
        return ln__fail_nomem(err, &session->ctx, lanes * sizeof *session->lanes);
    for (uint32_t i = 0; st == LN_OK && i < lanes; i++) {
        session->lanes[i].session = session;
        session->n_lanes++;
        st = ln__lane_init(&session->lanes[i], session, 1, group_for((session->max_rows + lanes - 1) / lanes), err);
    }
    if (st == LN_OK && lanes > 1)
        st = ln__pool_new(&session->workers, &session->ctx, lanes, err);
    return st;
}

static ln_status prepare(ln_session *session, const ln__session_request *request, ln_error *err)
{
    ln_model *model = session->model;
    size_t row = (size_t)model->channels * model->height * model->width;
    double params[LN__MAX_EXITS + 1];
    ln_status st = LN_OK;

    if (!request->untrained)
        st = check_trained(model, err);
    if (st < 0)
        return st;
    session->picture = ln__array(&session->ctx, row, sizeof(float));
    session->steps.logits = ln__array(&session->ctx, model->classes, sizeof(float));
    if (!session->picture || !session->steps.logits)
        return ln__fail_nomem(err, &session->ctx, row * sizeof(float));
    st = ln__counts_init(session, err);
    if (st < 0)
        return st;
    ln__model_cost_shares(model, NULL, params, session->rule.macs_share);
    if (request->keep_classifier_input) {
        st = ln__runnable_new(&session->own, model, true, model->kernels, err);
        session->runnable = &session->own;
    } else {
        st = ln__model_shared(&session->runnable, model, err);
    }
    if (st == LN_OK && request->point >= 0)
        st = ln__session_set_point(session, (uint32_t)request->point, err);
    if (st == LN_OK)
        st = open_lanes(session, err);
    return st;
}

ln_status ln__session_open(ln_session **out, ln_model *model, const ln__session_request *request, ln_error *err)
{
    ln_session *session;
    ln_status st;

    *out = NULL;
    if (request->max_rows > 1u << 20)
        return ln__fail(err, LN_E_ARGUMENT, "max_rows %u; at most %u rows a call", request->max_rows, 1u << 20);
    if (request->threads > 1024)
        return ln__fail(err, LN_E_ARGUMENT, "%u threads; at most 1024", request->threads);
    session = ln__calloc(&model->ctx, 1, sizeof *session);
    if (!session)
        return ln__fail_nomem(err, &model->ctx, sizeof *session);
    session->ctx = model->ctx;
    session->model = model;
    session->rule.point = -1;
    session->max_rows = request->max_rows ? request->max_rows : 1;
    session->threads = request->threads ? request->threads : 1;
    for (uint32_t e = 0; e < model->n_exits; e++)
        session->chained |= model->exits[e].head.carry != 0.0f;
    atomic_init(&session->next_row, 0);
    ln__model_retain(model);
    atomic_fetch_add(&model->sessions, 1);
    st = prepare(session, request, err);
    if (st < 0) {
        ln__session_close(session);
        return st;
    }
    *out = session;
    return LN_OK;
}

/* ---- Running ----------------------------------------------------------------------------- */

/* Exponent bits all set: NaN or infinity. */
static bool all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

ln_status ln__session_check_input(const ln_session *session, const float *input, size_t n, ln_error *err)
{
    size_t row = (size_t)session->model->channels * session->model->height * session->model->width;

    for (size_t r = 0; r < n; r++)
        if (!all_finite(input + r * row, row))
            return ln__fail(err, LN_E_ARGUMENT, "row %zu of the input holds NaN or infinity", r);
    return LN_OK;
}

static void lane_task(uint32_t worker, void *payload)
{
    ln_session *session = payload;
    ln__lane_work(&session->lanes[worker]);
}

ln__lane *ln__session_lane(ln_session *session)
{
    return session->split ? session->split : &session->lanes[0];
}

static ln_status outcome(const ln__lane *lane, ln_status so_far, ln_error *err)
{
    if (so_far < 0)
        return so_far;
    if (lane->status == LN_OK)
        return lane->cut ? LN_DEADLINE : so_far;
    if (err)
        *err = lane->error;
    return lane->status;
}

static bool is_split(const ln_session *session, size_t rows)
{
    return session->split && (rows == 1 || !session->lanes);
}

static int64_t group_of_call(const ln_session *session, size_t rows)
{
    size_t lanes = LN__MIN(session->n_lanes, rows);
    return is_split(session, rows) ? 1 : LN__MIN(session->lanes[0].group, group_for((uint32_t)((rows + lanes - 1) / lanes)));
}

static ln_status run_lanes(ln_session *session, const ln__run_request *request, ln_error *err)
{
    ln_status st = LN_OK;

    session->request = request;
    atomic_store(&session->next_row, 0);
    session->group_now = (size_t)group_of_call(session, request->n);
    if (is_split(session, request->n)) {
        ln__lane_work(session->split);
        return outcome(session->split, LN_OK, err);
    }
    uint32_t lanes = (uint32_t)LN__MIN(session->n_lanes, request->n);
    if (lanes == 1)
        ln__lane_work(&session->lanes[0]);
    else
        ln__pool_run(session->workers, lanes, lane_task, session);
    for (uint32_t i = 0; i < lanes; i++)
        st = outcome(&session->lanes[i], st, err);
    return st;
}

static ln_status check_call(const ln_session *session, const ln__run_request *request, ln_error *err)
{
    ln_status st = ln__steps_refuse(session, err);

    if (st < 0)
        return st;
    if (request->n == 0 || request->n > session->max_rows)
        return ln__fail(err, LN_E_ARGUMENT, "%zu rows given; the session was opened for 1..%u", request->n,
                        session->max_rows);
    return ln__session_check_input(session, request->input, request->n, err);
}

ln_status ln__session_run(ln_session *session, const ln__run_request *request, ln_error *err)
{
    ln_status st = check_call(session, request, err);

    if (st == LN_OK)
        st = run_lanes(session, request, err);
    if (st >= 0 && request->count)
        ln__counts_note(session, request);
    return st;
}

/* One run warms up, the others are what later calls go by. */
enum { PACING_RUNS = 4 };

static ln_status learn_pace(ln_session *session, const ln__run_request *request, ln_error *err)
{
    ln__run_request run = { .mode = LN__RUN_STAY, .input = request->input, .n = request->n };
    ln__lane *lane = is_split(session, request->n) ? session->split : &session->lanes[0];
    ln_status st = LN_OK;

    if (lane != session->split)
        ln__lanes_share_pace(session->lanes, session->n_lanes);
    if (ln__lane_is_paced(lane))
        return LN_OK;
    for (int i = 0; st == LN_OK && i < PACING_RUNS; i++)
        st = run_lanes(session, &run, err);
    if (lane != session->split)
        ln__lanes_share_pace(session->lanes, session->n_lanes);
    return st;
}

ln_status ln__session_deadline(ln_session *session, const ln__run_request *request, double seconds, ln_error *err)
{
    ln__run_request run = *request;
    double begin = ln__now();
    ln_status st = check_call(session, request, err);
    double checked = ln__now();

    if (st == LN_OK)
        st = learn_pace(session, request, err);
    run.mode = LN__RUN_DEADLINE;
    run.deadline = begin + (ln__now() - checked) + seconds;
    if (st == LN_OK)
        st = run_lanes(session, &run, err);
    if (st >= 0)
        ln__counts_note(session, &run);
    return st;
}

ln_status ln__session_image(ln_session *session, const ln_image *image, ln_result *result, float *logits, ln_error *err)
{
    ln__feed feed = ln__model_feed(session->model);
    ln__decode_limits limits = { 0, feed.preprocess.resize };
    ln__picture picture = { 0 };
    ln_status st = image->path ? ln__picture_load(&picture, &session->ctx, image->path, &limits, err)
                               : ln__picture_decode(&picture, &session->ctx, image->bytes, image->size, &limits, "picture in memory", err);

    if (st == LN_OK)
        st = ln__picture_preprocess(session->picture, &picture, &feed.preprocess, feed.channels, &session->ctx, err);
    ln__picture_free(&picture, &session->ctx);
    if (st < 0)
        return st;
    ln__run_request run = { .mode = session->rule.gates ? LN__RUN_EARLY : LN__RUN_FULL, .input = session->picture, .n = 1,
                            .results = result, .logits = logits, .count = true };
    return ln__session_run(session, &run, err);
}
