/* test_session_anytime.c - answers by a deadline, step by step, counters and drift. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_calls.h"
#include "session/lane.h"

enum { ROWS = 24, CLASSES = 3, EXITS = 2 };

/* Counts what is asked for. */
static size_t allocations;
static void *count_alloc(size_t size, size_t align, void *payload)
{
    void *p = NULL;

    (void)payload;
    allocations++;
    return posix_memalign(&p, align < sizeof p ? sizeof p : align, size) == 0 ? p : NULL;
}
static void count_release(void *ptr, size_t size, void *payload)
{
    (void)size;
    (void)payload;
    free(ptr);
}

static ln_model *load(const char *path)
{
    static const ln_allocator counting = { count_alloc, count_release, NULL };
    ln_load_options o = LN_LOAD_OPTIONS_INIT;
    ln_model *model = NULL;

    o.allocator = &counting;
    OK(ln_model_load(&model, path, &o, &err));
    return model;
}

/* Saved for all tests. Point 0 goes deep, point 1 leaves early; point 2's gates read features. */
static char trained[] = "/tmp/leenet-anytime-XXXXXX";
static char chained[] = "/tmp/leenet-chained-XXXXXX";   /* no points; each head builds on the one before */
static float *x;
static size_t row;

static ln_model *train_exits(ln_data *data, uint32_t unchained)
{
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_model *model = load(MODEL);

    e.hidden = 8;
    OK(ln_exit_add_auto(model, EXITS, &e, &err));
    t.epochs = 4;
    t.unchained = unchained;
    t.threads = 1;
    OK(ln_exit_train(model, data, &t, &err));
    return model;
}

static void save(ln_model *model, char *path)
{
    close(mkstemp(path));
    OK(ln_model_save(model, path, &err));
    ln_model_free(model);
}

static void setup(void)
{
    ln_gate_options g = LN_GATE_OPTIONS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_data *data = NULL;

    OK(ln_data_open(&data, DATA, NULL, &err));
    ln_model *model = train_exits(data, 0);
    ln_exit_info last = LN_EXIT_INFO_INIT;
    OK(ln_exit_get_info(model, EXITS - 1, &last, &err));
    ck_assert(last.carry != 0);
    save(model, chained);
    model = train_exits(data, 1);       /* a head can go unasked */
    g.threads = 1;
    g.cost = LN_COST_MACS;      /* measured times would make another model each time */
    g.alphas = (double[]){ 0.02, 0.6 };
    g.n_alphas = 2;
    g.epochs = 20;
    OK(ln_gate_train(model, data, &g, &err));
    g.alphas = (double[]){ 0.3 };
    g.n_alphas = 1;
    g.input = LN_GATE_FEATURES;
    OK(ln_gate_train(model, data, &g, &err));
    OK(ln_model_get_info(model, &info, &err));
    ck_assert_uint_eq(info.classes, CLASSES);
    row = (size_t)info.channels * info.height * info.width;
    x = malloc(ROWS * row * sizeof *x);
    OK(ln_data_read(data, model, 0, ROWS, x, NULL, &err));
    save(model, trained);
    ln_data_free(data);
}

static void teardown(void)
{
    unlink(trained);
    unlink(chained);
    free(x);
}

static ln_session *open_session(const char *path, uint32_t point, uint32_t threads, uint32_t rows)
{
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_session *session = NULL;
    ln_model *model = load(path);

    o.threads = threads;
    o.max_rows = rows;
    o.use_point = point != UINT32_MAX;
    o.point = o.use_point ? point : 0;
    OK(ln_session_open(&session, model, &o, &err));
    ln_model_free(model);
    return session;
}

/* ---- Steps ------------------------------------------------------------------------------- */

static ln_step steps_of(ln_session *session, const float *input, ln_step *each)
{
    ln_step step = LN_STEP_INIT;

    OK(ln_steps_begin(session, input, &err));
    for (uint32_t e = 0; e <= EXITS; e++) {
        OK(ln_steps_next(session, &step, &err));
        ck_assert_uint_eq(step.exit, e);
        ck_assert(step.macs_share > (e ? each[e - 1].macs_share : 0));
        if (e)
            ck_assert(fabs(each[e - 1].macs_share + each[e - 1].next_macs_share - step.macs_share) < 1e-6);
        each[e] = step;
    }
    ck_assert_uint_eq(step.leaves, 1);
    ck_assert(step.next_macs_share == 0 && step.next_ms == 0);
    ln_steps_end(session);
    return step;
}

START_TEST(steps_lead_where_the_session_does)
{
    for (uint32_t point = 0; point < 3; point++) {
        ln_session *session = open_session(trained, point, _i ? 2 : 1, 1);
        for (int r = 0; r < (_i ? 3 : ROWS); r++) {
            float full[CLASSES], early[CLASSES];
            ln_step each[EXITS + 1], last;
            ln_result result;
            OK(ln_infer_full(session, x + (size_t)r * row, 1, &result, full, &err));
            last = steps_of(session, x + (size_t)r * row, each);
            ck_assert_mem_eq(last.logits, full, sizeof full);
            ck_assert_int_eq(last.label, result.label);
            OK(ln_infer_early(session, x + (size_t)r * row, 1, &result, early, &err));
            uint32_t e = 0;
            while (!each[e].leaves)
                e++;
            ck_assert_uint_eq(e, result.exit);
            ck_assert(each[e].probability == result.probability && each[e].gate == result.gate);
            ck_assert(fabs(each[e].macs_share - (double)result.macs_share) < 1e-9);
        }
        ln_session_free(session);
    }
}
END_TEST

/* And the session's point stays. */
static void evaluating_is_refused(ln_session *session)
{
    ln_evaluation found = LN_EVALUATION_INIT;
    ln_data *data = NULL;
    double p;

    OK(ln_data_open(&data, DATA, NULL, &err));
    FAILS(LN_E_STATE, ln_evaluate(session, data, NULL, &found, &err));
    OK(ln_session_drift(session, &p, &err));
    ln_data_free(data);
}

START_TEST(steps_out_of_order_are_refused)
{
    ln_session *session = open_session(trained, 0, 1, 1);
    ln_stage_time times[EXITS + 1];
    ln_step step = LN_STEP_INIT;
    ln_result result;

    FAILS(LN_E_STATE, ln_steps_next(session, &step, &err));
    ln_steps_end(session);
    float keep = x[3];
    x[3] = NAN;
    FAILS(LN_E_ARGUMENT, ln_steps_begin(session, x, &err));
    x[3] = keep;
    OK(ln_steps_begin(session, x, &err));
    FAILS(LN_E_STATE, ln_steps_begin(session, x, &err));
    OK(ln_steps_next(session, &step, &err));
    FAILS(LN_E_STATE, ln_infer_early(session, x, 1, &result, NULL, &err));
    FAILS(LN_E_STATE, ln_infer_full(session, x, 1, &result, NULL, &err));
    FAILS(LN_E_STATE, ln_infer_deadline(session, x, 1, 1.0, &result, NULL, &err));
    FAILS(LN_E_STATE, ln_session_measure(session, x, 1, 1, times, &err));
    FAILS(LN_E_STATE, ln_session_set_point(session, 1, &err));
    evaluating_is_refused(session);
    OK(ln_steps_next(session, &step, &err));
    OK(ln_steps_next(session, &step, &err));
    FAILS(LN_E_STATE, ln_steps_next(session, &step, &err));
    ln_steps_end(session);
    FAILS(LN_E_STATE, ln_steps_next(session, &step, &err));
    OK(ln_steps_begin(session, x, &err));   /* left at the first exit, many times over */
    for (int i = 0; i < 50; i++) {
        OK(ln_steps_next(session, &step, &err));
        ln_steps_end(session);
        OK(ln_steps_begin(session, x, &err));
    }
    step.struct_size = 0;
    FAILS(LN_E_ARGUMENT, ln_steps_next(session, &step, &err));
    FAILS(LN_E_ARGUMENT, ln_steps_next(session, NULL, &err));
    step.struct_size = sizeof step;
    OK(ln_steps_next(session, &step, &err));
    ck_assert_uint_eq(step.exit, 0);        /* nothing was run in between */
    ln_session_free(session);               /* in the middle of a row */
}
END_TEST

/* ---- Deadlines ----------------------------------------------------------------------------- */

START_TEST(no_time_gives_the_first_exit_and_all_time_gives_the_policys)
{
    for (uint32_t point = 0; point < 3; point++) {
        ln_session *session = open_session(trained, point, _i & 1 ? 2 : 1, ROWS);
        size_t n = _i & 2 ? ROWS - 1 : 1;
        ln_result early[ROWS], timed[ROWS];
        float a[ROWS * CLASSES], b[ROWS * CLASSES];
        OK(ln_infer_early(session, x, n, early, a, &err));
        ck_assert_int_eq(ln_infer_deadline(session, x, n, INFINITY, timed, b, &err), LN_OK);
        for (size_t r = 0; r < n; r++) {
            ck_assert_uint_eq(early[r].exit, timed[r].exit);
            ck_assert_int_eq(early[r].label, timed[r].label);
        }
        for (int late = 0; late < 2; late++) {
            ln_status st = ln_infer_deadline(session, x, n, late ? -5.0 : 0.0, timed, b, &err);
            bool stopped = false;
            for (size_t r = 0; r < n; r++) {
                ck_assert_uint_eq(timed[r].exit, 0);
                stopped |= early[r].exit > 0;
            }
            ck_assert_int_eq(st, stopped ? LN_DEADLINE : LN_OK);
        }
        ln_session_free(session);
    }
}
END_TEST

/* Whatever the time allowed and whoever came before, an answer is the one of its exit, and the status says whether the gate agreed. */
START_TEST(in_between_the_answer_is_that_of_the_exit_reached)
{
    ln_session *session = _i ? open_session(chained, UINT32_MAX, 1, 1) : open_session(trained, 0, 1, 1);
    ln_step each[EXITS + 1], others[EXITS + 1];
    float logits[CLASSES], at[EXITS + 1][CLASSES];
    ln_result result;
    ln_stage_time times[EXITS + 1];
    double whole = 0;
    bool seen[EXITS + 1] = { false };

    OK(ln_session_measure(session, x, 1, 9, times, &err));
    for (int e = 0; e <= EXITS; e++)
        whole += times[e].backbone_ms + times[e].head_ms;
    for (int i = 0; i < 3000 && !(seen[0] && seen[1] && seen[2]); i++) {
        const float *input = x + (size_t)(i % ROWS) * row;
        steps_of(session, input, each);
        OK(ln_steps_begin(session, input, &err));
        for (int e = 0; e <= EXITS; e++) {
            OK(ln_steps_next(session, &each[e], &err));
            memcpy(at[e], each[e].logits, sizeof at[e]);
        }
        ln_steps_end(session);
        steps_of(session, x + (size_t)((i + 1) % ROWS) * row, others);
        ln_status st = ln_infer_deadline(session, input, 1, whole * 3 * (i % 100) / 100, &result, logits, &err);
        ck_assert_mem_eq(logits, at[result.exit], sizeof logits);
        ck_assert_int_eq(st, each[result.exit].leaves ? LN_OK : LN_DEADLINE);
        for (uint32_t e = 0; e < result.exit; e++)
            ck_assert_uint_eq(each[e].leaves, 0);
        seen[result.exit] = true;
    }
    ck_assert_msg(seen[0] && seen[1] && seen[2], "of the exits only %d%d%d were reached", seen[0], seen[1], seen[2]);
    ln_session_free(session);
}
END_TEST

START_TEST(without_a_point_only_time_stops)
{
    ln_session *session = NULL;
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_model *model = load(MODEL);
    ln_result result[4];

    o.max_rows = 4;
    OK(ln_session_open(&session, model, &o, &err));     /* no exits at all */
    ck_assert_int_eq(ln_infer_deadline(session, x, 4, 0.0, result, NULL, &err), LN_OK);
    ck_assert_uint_eq(result[3].exit, 0);
    FAILS(LN_E_ARGUMENT, ln_infer_deadline(session, x, 4, NAN, result, NULL, &err));
    FAILS(LN_E_ARGUMENT, ln_infer_deadline(session, x, 5, 1.0, result, NULL, &err));
    ln_session_free(session);
    ln_model_free(model);
}
END_TEST

START_TEST(nothing_is_allocated_while_answering)
{
    ln_session *session = open_session(trained, 0, 2, ROWS);
    ln_exit_count exits[EXITS + 1];
    ln_counters c = LN_COUNTERS_INIT;
    ln_step each[EXITS + 1];
    ln_result result[ROWS];
    double p;

    c.exits = exits;
    allocations = 0;
    for (size_t n = 1; n <= ROWS; n++)
        OK(ln_infer_deadline(session, x, n, 0.05 * (double)n, result, NULL, &err));
    steps_of(session, x, each);
    OK(ln_session_get_counters(session, &c, &err));
    OK(ln_session_drift(session, &p, &err));
    ck_assert_uint_eq(allocations, 0);
    ln_session_free(session);
}
END_TEST

/* ---- Pace ------------------------------------------------------------------------------------- */

START_TEST(one_slow_run_is_forgotten_and_a_slow_machine_is_not)
{
    ln__pace pace = { 0 };

    for (int i = 0; i < 50; i++)
        ln__pace_note(&pace, 1.0);
    ck_assert(fabs(pace.mean - 1.0) < 1e-9 && pace.spread < 1e-3);
    ln__pace_note(&pace, 100.0);
    ck_assert_msg(pace.mean + 2 * pace.spread < 1.7, "%g +- %g after one run that lost the processor", pace.mean, pace.spread);
    for (int i = 0; i < 60; i++)
        ln__pace_note(&pace, 3.0);
    ck_assert(pace.mean > 2.8 && pace.mean < 3.2);
}
END_TEST

START_TEST(a_stage_held_back_gets_another_chance)
{
    ln_session *session = open_session(trained, 0, 1, 1);
    ln__lane *lane = ln__session_lane(session);
    ln_result result;
    uint32_t deepest = 0;

    OK(ln_infer_deadline(session, x, 1, INFINITY, &result, NULL, &err));
    for (int32_t s = 0; s < lane->n_stages; s++)
        lane->stage_pace[s] = (ln__pace){ 1.0, 1.0, 1e-4 };    /* as if each took a second, and once did not */
    session->rule.gates = NULL;                                     /* only time stops */
    for (int i = 0; i < 5000 && deepest < EXITS; i++) {
        OK(ln_infer_deadline(session, x, 1, 500.0, &result, NULL, &err));
        deepest = result.exit > deepest ? result.exit : deepest;
        if (i == 0)
            ck_assert_uint_eq(result.exit, 0);
    }
    ck_assert_uint_eq(deepest, EXITS);
    ln_session_free(session);
}
END_TEST

/* Point 2's gates read features, so that heads answer only rows that leave; without a point no head is asked before time
 * is short. A head that was not asked must not count as a quick one. */
START_TEST(heads_that_were_not_asked_are_not_paced)
{
    ln_session *session = open_session(trained, 2, 1, 1);
    ln__lane *lane = ln__session_lane(session);
    ln__pace known[EXITS + 1];
    ln_result result;

    OK(ln_infer_deadline(session, x, 1, INFINITY, &result, NULL, &err));
    for (int pass = 0; pass < 2; pass++) {
        memcpy(known, lane->head_pace, sizeof known);
        if (pass == 1)
            session->rule.gates = NULL;      /* only time stops */
        for (int r = 0; r < ROWS; r++) {
            ck_assert_int_eq(ln_infer_deadline(session, x + (size_t)r * row, 1, INFINITY, &result, NULL, &err), LN_OK);
            for (uint32_t e = 0; e < EXITS; e++) {
                bool noted = memcmp(&known[e], &lane->head_pace[e], sizeof known[e]) != 0;
                ck_assert_msg(noted == (e == result.exit), "row %d left at %u; the head of exit %u was %stimed", r, result.exit, e, noted ? "" : "not ");
                known[e] = lane->head_pace[e];
            }
        }
        ck_assert(pass == 0 || result.exit == EXITS);
    }
    ck_assert_int_eq(ln_infer_deadline(session, x, 1, 0.0, &result, NULL, &err), LN_DEADLINE);
    ck_assert(memcmp(&known[0], &lane->head_pace[0], sizeof known[0]) != 0);    /* its answer was given */
    ln_session_free(session);
}
END_TEST

/* ---- Counters and drift ------------------------------------------------------------------------ */

START_TEST(counters_count)
{
    ln_session *session = open_session(trained, 1, 1, ROWS);
    ln_exit_count exits[EXITS + 1];
    ln_counters c = LN_COUNTERS_INIT;
    ln_result result[ROWS];
    uint64_t want[EXITS + 1] = { 0 };
    double probability = 0, macs = 0, shares = 0, p = 0;

    c.exits = exits;
    OK(ln_session_drift(session, &p, &err));
    ck_assert(p == 1.0);
    OK(ln_infer_full(session, x, ROWS, result, NULL, &err));    /* nothing is decided there */
    OK(ln_infer_early(session, x, ROWS, result, NULL, &err));
    for (int r = 0; r < ROWS; r++) {
        want[result[r].exit]++;
        probability += (double)result[r].probability / ROWS;
        macs += (double)result[r].macs_share / ROWS;
    }
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert_uint_eq(c.rows, ROWS);
    ck_assert_uint_eq(c.cut, 0);
    ck_assert(fabs(c.probability - probability) < 1e-9 && fabs(c.macs_share - macs) < 1e-6);
    for (int e = 0; e <= EXITS; e++) {
        ck_assert_uint_eq(exits[e].rows, want[e]);
        ck_assert(fabs(exits[e].share - (double)want[e] / ROWS) < 1e-12);
        ck_assert(exits[e].expected >= 0);
        shares += exits[e].expected;
    }
    ck_assert(fabs(shares - 1) < 1e-9);
    OK(ln_session_set_point(session, 0, &err));
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert_uint_eq(c.rows, 0);
    ck_assert_int_eq(ln_infer_deadline(session, x, ROWS, 0.0, result, NULL, &err), LN_DEADLINE);
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert(c.rows == ROWS && c.cut > 0 && c.cut <= ROWS && exits[0].rows == ROWS);
    OK(ln_session_drift(session, &p, &err));
    ck_assert_msg(p == 1.0, "rows that were cut count as drift");
    ln_session_reset_counters(session);
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert(c.rows == 0 && c.cut == 0 && exits[0].rows == 0 && exits[0].probability == 0);
    c.struct_size = 8;
    FAILS(LN_E_ARGUMENT, ln_session_get_counters(session, &c, &err));
    ln_session_free(session);
}
END_TEST

/* Where no row can leave, heads and gates would be computed for nobody. */
START_TEST(what_never_leaves_runs_the_plain_network)
{
    ln_session *session = open_session(trained, 0, 1, ROWS);
    ln__lane *lane = &session->lanes[0];
    ln_answers_options collect = LN_ANSWERS_OPTIONS_INIT;
    ln_evaluation replayed = LN_EVALUATION_INIT;
    ln_result early[ROWS], full[ROWS];
    float a[ROWS * CLASSES], b[ROWS * CLASSES];
    ln_counters c = LN_COUNTERS_INIT;
    ln_answers *answers = NULL;
    ln_data *data = NULL;

    OK(ln_infer_full(session, x, ROWS, full, a, &err));
    OK(ln_session_set_setting(session, LN_POLICY_GATE, 0, &err));
    memset(lane->head_seconds, 0, (EXITS + 1) * sizeof(double));
    OK(ln_infer_early(session, x, ROWS, early, b, &err));
    for (int e = 0; e < EXITS; e++)
        ck_assert_msg(lane->head_seconds[e] <= 0, "head %d ran", e);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_mem_eq(early, full, sizeof early);
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert(c.macs_share == 1.0);
    OK(ln_data_open(&data, DATA ":first=10", NULL, &err));
    OK(ln_answers_collect(&answers, session->model, data, &collect, &err));
    OK(ln_answers_replay(answers, LN_POLICY_GATE, 0, early, &replayed, &err));
    ck_assert(early[9].macs_share == 1.0f && replayed.macs_share == 1 && replayed.params_share == 1 && replayed.time_share == 1);
    OK(ln_session_set_point(session, 0, &err));         /* and here heads run again */
    OK(ln_infer_early(session, x, ROWS, early, b, &err));
    ck_assert(lane->head_seconds[0] > 0);
    ln_answers_free(answers);
    ln_data_free(data);
    ln_session_free(session);
}
END_TEST

/* A setting has shares of its own, and so has what is evaluated at it. */
START_TEST(settings_are_counted_by_themselves)
{
    ln_session *session = open_session(trained, 0, 1, ROWS);
    ln_evaluate_options judge = LN_EVALUATE_OPTIONS_INIT;
    ln_evaluation found = LN_EVALUATION_INIT;
    ln_exit_count exits[EXITS + 1];
    ln_counters c = LN_COUNTERS_INIT;
    ln_result result[ROWS];
    ln_data *data = NULL;
    double p;

    c.exits = exits;
    judge.rows = ROWS;
    OK(ln_data_open(&data, DATA, NULL, &err));
    OK(ln_infer_early(session, x, ROWS, result, NULL, &err));
    OK(ln_session_set_setting(session, LN_POLICY_GATE, 0, &err));
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert_uint_eq(c.rows, 0);
    ck_assert(exits[EXITS].expected == 1.0);            /* the first setting never leaves early */
    OK(ln_infer_early(session, x, ROWS, result, NULL, &err));
    OK(ln_session_drift(session, &p, &err));
    ck_assert(p == 1.0);
    OK(ln_evaluate(session, data, &judge, &found, &err));
    ck_assert_msg(found.drift == 1.0, "p %g where every row goes to the end, as expected", found.drift);
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert_msg(c.rows == ROWS, "what was evaluated is counted");
    OK(ln_steps_begin(session, x, &err));
    FAILS(LN_E_STATE, ln_session_set_setting(session, LN_POLICY_GATE, 0, &err));
    ln_data_free(data);
    ln_session_free(session);
}
END_TEST

/* The one that spends most nearly half way between those that leave early least and most: rows leave here and there. */
static uint32_t middle_setting(const ln_model *model)
{
    uint32_t count = ln_setting_count(model, LN_POLICY_GATE), best = 1;
    ln_setting s = LN_SETTING_INIT;
    double dearest, nearest = INFINITY;

    OK(ln_setting_get(model, LN_POLICY_GATE, 1, &s, &err));
    dearest = s.macs_share;
    OK(ln_setting_get(model, LN_POLICY_GATE, count - 1, &s, &err));
    double middle = 0.5 * (dearest + s.macs_share);
    for (uint32_t i = 1; i < count; i++) {
        OK(ln_setting_get(model, LN_POLICY_GATE, i, &s, &err));
        if (fabs(s.macs_share - middle) < nearest) {
            best = i;
            nearest = fabs(s.macs_share - middle);
        }
    }
    return best;
}

START_TEST(other_pictures_are_noticed)
{
    ln_session *session = open_session(trained, 0, 1, ROWS);
    float *noise = malloc(row * ROWS * sizeof *noise);
    ln_data *data = NULL;
    ln_result result[ROWS];
    double same, other;
    uint32_t state = 1;

    OK(ln_session_set_setting(session, LN_POLICY_GATE, middle_setting(session->model), &err));
    OK(ln_data_open(&data, DATA, NULL, &err));
    for (size_t first = 0; first + ROWS <= ln_data_rows(data); first += ROWS) {
        OK(ln_data_read(data, session->model, first, ROWS, noise, NULL, &err));
        OK(ln_infer_early(session, noise, ROWS, result, NULL, &err));
    }
    ln_data_free(data);
    OK(ln_session_drift(session, &same, &err));
    ln_session_reset_counters(session);
    for (size_t i = 0; i < row * ROWS; i++)
        noise[i] = (float)((state = state * 1664525u + 1013904223u) >> 16) / 8192.0f - 4.0f;
    for (int i = 0; i < 10; i++)
        OK(ln_infer_early(session, noise, ROWS, result, NULL, &err));
    OK(ln_session_drift(session, &other, &err));
    ck_assert_msg(other < 1e-3 && other < same, "p %g on rows like those of training, %g on noise", same, other);
    free(noise);
    ln_session_free(session);
    session = open_session(MODEL, UINT32_MAX, 1, 1);
    FAILS(LN_E_STATE, ln_session_drift(session, &same, &err));
    ln_session_free(session);
}
END_TEST

/* The saved model with one byte changed, `skip` bytes behind the key of point 0's shares. */
static void spoil(char *path, int skip, char byte)
{
    static const char key[] = "leenet.point.0.shares";
    FILE *in = fopen(trained, "rb");
    size_t size, at = 0;

    fseek(in, 0, SEEK_END);
    size = (size_t)ftell(in);
    rewind(in);
    char *bytes = malloc(size);
    ck_assert_uint_eq(fread(bytes, 1, size, in), size);
    fclose(in);
    while (at + sizeof key < size && memcmp(bytes + at, key, sizeof key - 1) != 0)
        at++;
    ck_assert_msg(at + sizeof key < size, "the model does not hold %s", key);
    bytes[at + sizeof key - 1 + (size_t)(skip < 0 ? -1 : skip + 2)] = byte;    /* two bytes: field and length of the value */
    FILE *out = fdopen(mkstemp(path), "wb");
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    fclose(out);
    free(bytes);
}

START_TEST(shares_of_a_file_are_checked_and_may_be_missing)
{
    static const char wrong[] = "9x-";
    ln_exit_count exits[EXITS + 1];
    ln_counters c = LN_COUNTERS_INIT;
    ln_model *model;
    double p;

    for (int i = 0; wrong[i]; i++) {
        char path[] = "/tmp/leenet-test-XXXXXX";
        spoil(path, 0, wrong[i]);
        FAILS(LN_E_FORMAT, ln_model_load(&model, path, NULL, &err));
        ck_assert_ptr_nonnull(strstr(err.text, "leenet.point.0.shares"));
        unlink(path);
    }
    char old[] = "/tmp/leenet-test-XXXXXX";
    spoil(old, -1, 'z');                    /* no such key: as in a file of an earlier build */
    ln_session *session = open_session(old, 0, 1, 1);
    FAILS(LN_E_STATE, ln_session_drift(session, &p, &err));
    c.exits = exits;
    OK(ln_session_get_counters(session, &c, &err));
    ck_assert(isnan(exits[0].expected));
    ln_session_free(session);
    unlink(old);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("anytime");
    TCase *t = tcase_create("session"), *m = tcase_create("pace");

    tcase_set_timeout(t, 600);
    tcase_set_timeout(m, 600);
    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, steps_lead_where_the_session_does, 0, 2);
    tcase_add_test(t, steps_out_of_order_are_refused);
    tcase_add_loop_test(t, no_time_gives_the_first_exit_and_all_time_gives_the_policys, 0, 4);
    tcase_add_loop_test(t, in_between_the_answer_is_that_of_the_exit_reached, 0, 2);
    tcase_add_test(t, without_a_point_only_time_stops);
    tcase_add_test(t, nothing_is_allocated_while_answering);
    tcase_add_test(t, a_stage_held_back_gets_another_chance);
    tcase_add_test(t, heads_that_were_not_asked_are_not_paced);
    tcase_add_test(t, counters_count);
    tcase_add_test(t, what_never_leaves_runs_the_plain_network);
    tcase_add_test(t, settings_are_counted_by_themselves);
    tcase_add_test(t, other_pictures_are_noticed);
    tcase_add_test(t, shares_of_a_file_are_checked_and_may_be_missing);
    tcase_add_test(m, one_slow_run_is_forgotten_and_a_slow_machine_is_not);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, m);
    return run_suite(suite);
}
