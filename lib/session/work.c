/* work.c - rows through a lane: which group next, the stage, head and gate, packing. */
#include "session/lane.h"

#include <string.h>

int32_t ln__lane_size_index(int64_t rows)
{
    int32_t z = 0;

    while (((int64_t)2 << z) <= rows)
        z++;
    return z;
}

/* ---- Answers -------------------------------------------------------------------------- */

static bool runs_plain(const ln_session *session)
{
    ln__run_mode mode = session->request->mode;
    return mode == LN__RUN_FULL || (mode == LN__RUN_EARLY && !session->rule.may_leave);
}

static void give(ln__lane *lane, size_t row, uint32_t exit, const float *answers, float gate)
{
    const ln_session *session = lane->session;
    const ln__run_request *request = session->request;
    uint32_t classes = session->model->classes;

    if (request->logits)
        memcpy(request->logits + row * classes, answers, classes * sizeof(float));
    if (!request->results)
        return;
    ln_result *result = &request->results[row];
    memset(result, 0, sizeof *result);
    result->label = ln__model_label(session->model, answers, exit < session->model->n_exits, &result->probability);
    result->exit = exit;
    result->gate = gate;
    result->macs_share = runs_plain(session) ? 1.0f : (float)session->rule.macs_share[exit];
}

static float *history(ln__lane *lane, float *base, uint32_t slot, uint32_t exit)
{
    const ln_model *model = lane->session->model;
    return base + ((size_t)slot * model->n_exits + exit) * model->classes;
}

static void head_answer(ln__lane *lane, uint32_t exit, uint32_t slot, const float *features)
{
    const ln_model *model = lane->session->model;
    const ln__head *head = &model->exits[exit].head;
    float *logits = history(lane, lane->logits, slot, exit);

    ln__mlp_answer(&head->mlp, features, 1, lane->hidden, logits);
    if (exit > 0)
        ln__head_carry(head, history(lane, lane->logits, slot, exit - 1), logits, 1);
    ln__softmax_rows(logits, 1, (int32_t)model->classes, history(lane, lane->probabilities, slot, exit));
    lane->answered++;
}

static ln__sight sight_of(ln__lane *lane, uint32_t exit, uint32_t slot, const float *features)
{
    const ln_model *model = lane->session->model;

    for (uint32_t e = 0; e <= exit; e++) {
        lane->logits_of[e] = history(lane, lane->logits, slot, e);
        lane->probabilities_of[e] = history(lane, lane->probabilities, slot, e);
    }
    return (ln__sight){ .classes = (int32_t)model->classes, .features_count = model->exits[exit].head.mlp.inputs,
                        .logits = lane->logits_of, .probabilities = lane->probabilities_of, .features = features,
                        .scores = lane->scores + (size_t)slot * model->n_exits, .mixed = lane->mixed, .scratch = lane->scratch };
}

/* Row `at` of the pool; true if it was answered and leaves. A gate that reads features is asked before the head, which
 * then only rows that leave need (LEENet's order), unless later heads build on it. */
static bool exit_row(ln__lane *lane, uint32_t exit, const ln__lane_pool *pool, size_t at, const float *features)
{
    const ln_session *session = lane->session;
    const ln__gates *gates = session->rule.gates;
    ln__run_mode mode = session->request->mode;
    uint32_t slot = pool->slot[at];
    ln__sight sight = sight_of(lane, exit, slot, features);
    bool late = gates && ln__score_before_head(gates) && !session->chained, wanted = mode == LN__RUN_STAY || mode == LN__RUN_STEP || lane->stop;

    if (!late)
        head_answer(lane, exit, slot, features);
    float score = gates ? ln__score(gates, exit, &sight) : 0.0f;
    bool leaves = gates && score > session->rule.threshold[exit];
    lane->scores[(size_t)slot * session->model->n_exits + exit] = score;
    if (late && (leaves || wanted))
        head_answer(lane, exit, slot, features);
    if (mode == LN__RUN_STAY || !(leaves || wanted))
        return false;
    give(lane, pool->row[at], exit, gates ? ln__score_answer(gates, exit, &sight) : sight.logits[exit], score);
    if (mode == LN__RUN_STEP)
        return false;
    lane->cut |= !leaves;
    lane->free_slots[lane->n_free++] = slot;
    return true;
}

static void move_row(ln__lane_pool *pool, size_t from, size_t to)
{
    for (int32_t v = 0; v < pool->n_values; v++)
        memcpy(pool->data[v] + to * pool->row_floats[v], pool->data[v] + from * pool->row_floats[v],
               pool->row_floats[v] * sizeof(float));
    pool->row[to] = pool->row[from];
    pool->slot[to] = pool->slot[from];
}

/* Head and gate of the exit the last k rows of the pool have reached. Survivors stay packed: from the end on, so that a row that leaves
 * makes one other move at most. */
static ln_status exit_group(ln__lane *lane, uint32_t exit, ln__lane_pool *pool, int64_t k)
{
    const ln_session *session = lane->session;
    const ln__head *head = &session->model->exits[exit].head;
    double begin = ln__now();
    uint64_t answered = lane->answered;
    size_t first = pool->count - (size_t)k;
    ln__view view;
    ln_status st = ln__engine_view(&view, session->runnable->engine, pool->values[0], k, &lane->error);

    if (st < 0)
        return st;
    lane->stop = session->request->mode == LN__RUN_DEADLINE && !ln__lane_affords(lane, (int32_t)exit, k);
    bool read = session->rule.gates || session->chained || lane->stop;
    if (session->request->mode == LN__RUN_DEADLINE && !read)
        return LN_OK;           /* nobody would read what the head says */
    view.data = pool->data[0] + first * pool->row_floats[0];
    ln__head_describe(head, &view, lane->maps, lane->features);
    for (int64_t i = k; i-- > 0;) {
        size_t at = first + (size_t)i;
        if (exit_row(lane, exit, pool, at, lane->features + i * head->mlp.inputs) && at != --pool->count)
            move_row(pool, pool->count, at);
    }
    double seconds = ln__now() - begin;
    lane->head_seconds[exit] += seconds;
    if (lane->answered - answered == (uint64_t)k)   /* else it took less than an answer here would */
        ln__pace_note(&lane->head_pace[ln__lane_size_index(k) * lane->n_stages + (int32_t)exit], seconds);
    return LN_OK;
}

static void end_group(ln__lane *lane, ln__lane_pool *pool)
{
    const ln_model *model = lane->session->model;

    for (size_t i = 0; i < pool->count; i++) {
        ln__model_answers(model, pool->data[0] + i * pool->row_floats[0], lane->answers);
        give(lane, pool->row[i], model->n_exits, lane->answers, 1.0f);
        lane->free_slots[lane->n_free++] = pool->slot[i];
    }
    pool->count = 0;
}

static ln_status show(ln__lane *lane, uint32_t index, const ln__lane_pool *pool, int64_t k)
{
    const ln__run_request *request = lane->session->request;

    for (int64_t i = 0; i < k; i++) {
        ln__view view;
        size_t at = pool->count - (size_t)(k - i);
        ln_status st = ln__engine_view(&view, lane->session->runnable->engine, pool->values[0], 1, &lane->error);
        if (st < 0)
            return st;
        view.data = pool->data[0] + at * pool->row_floats[0];
        request->see(index, &view, pool->row[at], request->payload);
    }
    return LN_OK;
}

static ln_status show_all(ln__lane *lane, int32_t s, const ln__lane_pool *pool, int64_t k)
{
    const ln_session *session = lane->session;
    uint32_t exits = session->model->n_exits;
    ln_status st = LN_OK;

    if ((uint32_t)s < exits)
        st = show(lane, (uint32_t)s, pool, k);
    if (st == LN_OK && pool->values[0] == session->runnable->classifier_input)
        st = show(lane, exits + 1, pool, k);
    if (st == LN_OK && s + 1 == lane->n_stages)
        st = show(lane, exits, pool, k);
    return st;
}

/* After stage s its cut value is known for the last k rows of pools[s + 1]. */
static ln_status after_stage(ln__lane *lane, int32_t s, int64_t k)
{
    const ln_session *session = lane->session;
    ln__lane_pool *pool = &lane->pools[s + 1];
    ln_status st = LN_OK;

    if (session->request->see)
        st = show_all(lane, s, pool, k);
    if (st == LN_OK && s + 1 == lane->n_stages)
        end_group(lane, pool);
    else if (st == LN_OK && (uint32_t)s < session->model->n_exits && !runs_plain(session))
        st = exit_group(lane, (uint32_t)s, pool, k);
    return st;
}

/* ---- Stages --------------------------------------------------------------------------------- */

static int32_t find_value(const ln__lane_pool *pool, int32_t value)
{
    for (int32_t v = 0; v < pool->n_values; v++)
        if (pool->values[v] == value)
            return v;
    return -1;
}

/* Stage s over k rows: from the caller's rows at `row` (stage 0) or the tail of its pool. */
static ln_status run_stage(ln__lane *lane, int32_t s, int64_t k, size_t row)
{
    const ln_session *session = lane->session;
    const ln__stage *stage = &session->runnable->cut->stages[s];
    const ln_model *model = session->model;
    ln__lane_pool *from = &lane->pools[s], *to = &lane->pools[s + 1];
    size_t row_floats = (size_t)model->channels * model->height * model->width;
    size_t first = s ? from->count - (size_t)k : 0;

    for (int32_t i = 0; i < stage->n_in; i++) {
        int32_t v = s ? find_value(from, stage->in[i]) : 0;
        lane->in[i] = s ? from->data[v] + first * from->row_floats[v]
                        : (float *)session->request->input + row * row_floats;
    }
    for (int32_t v = 0; v < stage->n_out; v++) {
        lane->out[v] = to->data[v] + to->count * to->row_floats[v];
        int32_t carried = s ? find_value(from, stage->out[v]) : -1;
        if (carried >= 0)
            memcpy(lane->out[v], from->data[carried] + first * from->row_floats[carried],
                   (size_t)k * to->row_floats[v] * sizeof(float));
    }
    double begin = ln__now();
    int32_t plan = ln__lane_size_index(k) * lane->n_stages + s;
    ln_status st = ln__plan_run(lane->plans[plan], lane->arena, lane->in, lane->out, &lane->error);
    double seconds = ln__now() - begin;
    lane->stage_seconds[s] += seconds;
    if (st < 0)
        return st;
    ln__pace_note(&lane->stage_pace[plan], seconds);
    for (int64_t i = 0; i < k; i++) {
        to->row[to->count] = s ? from->row[first + (size_t)i] : row + (size_t)i;
        to->slot[to->count++] = s ? from->slot[first + (size_t)i] : lane->free_slots[--lane->n_free];
    }
    if (s)
        from->count = first;
    return after_stage(lane, s, k);
}

/* By a deadline, the rows of one group stay at the same depth, so that all have what
 * the time allows, and the next group starts when they are answered. */
static int32_t next_paced_stage(const ln__lane *lane, bool more)
{
    for (int32_t s = 1; s < lane->n_stages; s++)
        if (lane->pools[s].count > 0)
            return s;
    return more ? 0 : lane->n_stages;
}

/* The deepest stage with a full group waiting; else 0 if the caller has rows left;
 * else the shallowest with rows; n_stages when all is done. */
static int32_t next_stage(const ln__lane *lane, bool more)
{
    if (lane->session->request->mode == LN__RUN_DEADLINE)
        return next_paced_stage(lane, more);
    for (int32_t s = lane->n_stages - 1; s > 0; s--)
        if (lane->pools[s].count >= (size_t)lane->session->group_now)
            return s;
    for (int32_t s = more ? 0 : 1; s < lane->n_stages; s++)
        if (s == 0 || lane->pools[s].count > 0)
            return s;
    return lane->n_stages;
}

static ln_status take_group(ln__lane *lane, bool *more)
{
    ln_session *session = lane->session;
    size_t n = session->request->n, row = atomic_fetch_add(&session->next_row, session->group_now);
    ln_status st = LN_OK;

    *more = row < n;
    size_t end = LN__MIN(n, row + session->group_now);
    if (*more && session->request->mode == LN__RUN_DEADLINE) {
        /* What is left, shared out evenly between the groups that this lane will take. */
        size_t groups = (n - row + session->group_now - 1) / session->group_now;
        size_t lanes = lane == session->split ? 1 : LN__MIN(session->n_lanes, n);
        double now = ln__now();
        lane->deadline = now + (session->request->deadline - now) / (double)((groups + lanes - 1) / lanes);
    }
    while (st == LN_OK && row < end) {
        int64_t k = (int64_t)1 << ln__lane_size_index((int64_t)(end - row));
        lane->rows_to_come = end - row - (size_t)k;
        st = run_stage(lane, 0, k, row);
        row += (size_t)k;
    }
    return st;
}

void ln__lane_forget(ln__lane *lane)
{
    for (int32_t s = 1; s <= lane->n_stages; s++) {
        for (size_t i = 0; i < lane->pools[s].count; i++)
            lane->free_slots[lane->n_free++] = lane->pools[s].slot[i];
        lane->pools[s].count = 0;
    }
}

void ln__lane_work(ln__lane *lane)
{
    int omp = ln__omp_enter(lane->threads);
    bool more = true;
    int32_t s;

    lane->status = LN_OK;
    lane->stop = lane->cut = false;
    while (lane->status == LN_OK && (s = next_stage(lane, more)) < lane->n_stages) {
        if (s == 0) {
            lane->status = take_group(lane, &more);
            continue;
        }
        int64_t waiting = LN__MIN((int64_t)lane->pools[s].count, (int64_t)lane->session->group_now);
        lane->status = run_stage(lane, s, (int64_t)1 << ln__lane_size_index(waiting), 0);
    }
    ln__lane_forget(lane);
    ln__omp_leave(omp);
}

void ln__lane_step(ln__lane *lane, int32_t s)
{
    int omp = ln__omp_enter(lane->threads);

    lane->stop = false;
    lane->status = run_stage(lane, s, 1, 0);
    ln__omp_leave(omp);
}
