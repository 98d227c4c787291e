/* test_answers.c - recorded answers, through the public header: what is replayed is what a session answers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_calls.h"

static const double alphas[3] = { 0.02, 0.2, 0.9 };

/* Rows of noise with labels to learn from: the class is where the mean is raised. */
static ln_data *made_rows(const ln_model *model, float **memory, size_t n, unsigned seed)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_arrays arrays = LN_ARRAYS_INIT;
    ln_data *data = NULL;

    OK(ln_model_get_info(model, &info, &err));
    size_t plane = (size_t)info.height * info.width, row = plane * info.channels;
    float *x = malloc(n * (row + 1) * sizeof *x);
    int32_t *labels = (int32_t *)(x + n * row);
    ck_assert_ptr_nonnull(x);
    for (size_t r = 0; r < n; r++) {
        labels[r] = (int32_t)(r % info.classes);
        for (size_t i = 0; i < row; i++) {
            seed = seed * 1664525u + 1013904223u;
            x[r * row + i] = (float)(seed >> 8) / 16777216.0f - 0.5f + (i % plane * info.classes / plane == (size_t)labels[r] ? 0.1f : 0.0f);
        }
    }
    arrays.rows = n;
    arrays.inputs = x;
    arrays.channels = info.channels;
    arrays.height = info.height;
    arrays.width = info.width;
    arrays.labels = labels;
    arrays.classes = info.classes;
    OK(ln_data_from_arrays(&data, &arrays, NULL, &err));
    *memory = x;
    return data;
}

static void train(ln_model *model, ln_data *data, int32_t head, int32_t gate)
{
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_gate_options g = LN_GATE_OPTIONS_INIT;

    e.head = head;
    e.hidden = 16;
    e.cells = 1;        /* cells would tell all at the first exit */
    OK(ln_exit_add_auto(model, 2, &e, &err));
    t.epochs = 6;
    t.threads = 2;
    OK(ln_exit_train(model, data, &t, &err));
    g.alphas = alphas;
    g.n_alphas = 3;
    g.input = gate;
    g.epochs = 10;
    g.threads = 2;
    OK(ln_gate_train(model, data, &g, &err));
    /* Where heads beat the network itself, as on made-up rows they may, every alpha leaves at once; a setting between leaves some. */
    OK(ln_point_add_setting(model, LN_POLICY_GATE, ln_setting_count(model, LN_POLICY_GATE) / 2, NULL, &err));
}

static void same_results(const ln_result *a, const ln_result *b, float threshold, size_t row)
{
    if (fabsf(a->gate - threshold) < 1e-4f || fabsf(b->gate - threshold) < 1e-4f)
        return;
    ck_assert_msg(a->exit == b->exit && a->label == b->label, "row %zu: exit %u label %d, replayed exit %u label %d", row,
                  a->exit, a->label, b->exit, b->label);
    ck_assert(fabsf(a->probability - b->probability) < 1e-4f);
    ck_assert(fabsf(a->gate - b->gate) < 1e-4f);
    ck_assert(fabsf(a->macs_share - b->macs_share) < 1e-6f);
}

/* Row by row against a session of one row, and the summary against ln_evaluate. */
static void replay_is_inference(ln_model *model, ln_data *data, const ln_answers *answers, uint32_t point)
{
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_evaluate_options judge = LN_EVALUATE_OPTIONS_INIT;
    ln_evaluation replayed = LN_EVALUATION_INIT, judged = LN_EVALUATION_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_exit_share shares[2][3];
    ln_session *session = NULL;
    size_t rows = ln_answers_rows(answers);
    ln_result *results = calloc(rows, sizeof *results), one;

    OK(ln_model_get_info(model, &info, &err));
    float *x = malloc((size_t)info.channels * info.height * info.width * sizeof *x);
    o.use_point = 1;
    o.point = point;
    OK(ln_session_open(&session, model, &o, &err));
    replayed.exits = shares[0];
    judged.exits = shares[1];
    OK(ln_answers_replay_point(answers, point, results, &replayed, &err));
    for (size_t r = 0; r < rows; r++) {
        int32_t label;
        OK(ln_data_read(data, model, ln_answers_data_row(answers, r), 1, x, &label, &err));
        OK(ln_infer_early(session, x, 1, &one, NULL, &err));
        ck_assert_int_eq(label, ln_answers_label(answers, r));
        same_results(&one, &results[r], (float)ln_point_threshold(model, point, one.exit), r);
        ck_assert_int_eq(ln_answers_choice(answers, results[r].exit, r, NULL), results[r].label);
    }
    OK(ln_evaluate(session, data, &judge, &judged, &err));
    ck_assert_uint_eq(replayed.rows, judged.rows);
    ck_assert(fabs(replayed.accuracy - judged.accuracy) <= 1.01 / (double)rows);
    ck_assert(fabs(replayed.plain_accuracy - judged.plain_accuracy) <= 1.01 / (double)rows);
    ck_assert(fabs(replayed.macs_share - judged.macs_share) <= 2.0 / (double)rows);
    ck_assert(fabs(replayed.params_share - judged.params_share) <= 4.0 / (double)rows);
    ck_assert(replayed.time_share > 0 && replayed.ms_per_row == 0);
    for (int e = 0; e < 3; e++)
        ck_assert(fabs((double)shares[0][e].rows - (double)shares[1][e].rows) <= 1.0);
    ln_session_free(session);
    free(results);
    free(x);
}

static ln_answers *collect(ln_model *model, ln_data *data, uint32_t threads, uint32_t rows)
{
    ln_answers_options o = LN_ANSWERS_OPTIONS_INIT;
    ln_answers *answers = NULL;

    o.threads = threads;
    o.rows = rows;
    OK(ln_answers_collect(&answers, model, data, &o, &err));
    return answers;
}

/* Returns a bit per exit that some row took. */
static unsigned all_points(ln_model *model, ln_data *data, uint32_t threads)
{
    ln_answers *answers = collect(model, data, threads, 0);
    ln_result *results = calloc(ln_answers_rows(answers), sizeof *results);
    unsigned taken = 0;

    ck_assert_uint_eq(ln_answers_rows(answers), ln_data_rows(data));
    for (uint32_t p = 0; p < ln_model_point_count(model); p++) {
        replay_is_inference(model, data, answers, p);
        OK(ln_answers_replay_point(answers, p, results, NULL, &err));
        for (size_t r = 0; r < ln_answers_rows(answers); r++)
            taken |= 1u << results[r].exit;
    }
    free(results);
    ln_answers_free(answers);
    return taken;
}

START_TEST(replay_equals_inference_on_a_residual_network)
{
    ln_model *model = NULL;
    float *memory[2];

    OK(ln_model_load(&model, "tests/data/tiny_residual.onnx", NULL, &err));
    ln_data *learn = made_rows(model, &memory[0], 90, 1), *judge = made_rows(model, &memory[1], 57, 2);
    train(model, learn, LN_HEAD_POOL, LN_GATE_STATISTICS);
    unsigned taken = all_points(model, judge, 1);
    ck_assert_msg((taken & (taken - 1)) != 0, "every row left at the same exit; this test shows nothing");
    ln_model_free(model);
    ln_data_free(learn);
    ln_data_free(judge);
    free(memory[0]);
    free(memory[1]);
}
END_TEST

static void replay_on_shapes(int32_t head, int32_t gate)
{
    ln_data *learn = open_rows(DATA ":part=0/2"), *judge = open_rows(DATA ":part=1/2");
    ln_model *model = NULL;

    OK(ln_model_load(&model, "tests/data/shapes.onnx", NULL, &err));
    train(model, learn, head, gate);
    unsigned taken = all_points(model, judge, 2);
    ck_assert_msg((taken & (taken - 1)) != 0, "every row left at the same exit; this test shows nothing");
    ln_model_free(model);
    ln_data_free(learn);
    ln_data_free(judge);
}

START_TEST(replay_equals_inference_with_statistics_gates) { replay_on_shapes(LN_HEAD_POOL, LN_GATE_STATISTICS); }
END_TEST
START_TEST(replay_equals_inference_with_gates_on_both) { replay_on_shapes(LN_HEAD_POOL, LN_GATE_BOTH); }
END_TEST
START_TEST(replay_equals_inference_with_feature_gates) { replay_on_shapes(LN_HEAD_FLATTEN, LN_GATE_FEATURES); }
END_TEST
START_TEST(replay_equals_inference_with_convolutional_heads) { replay_on_shapes(LN_HEAD_CONV, LN_GATE_BOTH); }
END_TEST

static void replay_is_inference_at(ln_model *model, ln_data *data, const ln_answers *answers, int32_t policy, uint32_t index)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_session *session = NULL;
    size_t rows = ln_answers_rows(answers);
    ln_result *results = calloc(rows, sizeof *results), one;
    size_t differ = 0;

    OK(ln_model_get_info(model, &info, &err));
    float *x = malloc((size_t)info.channels * info.height * info.width * sizeof *x);
    OK(ln_session_open(&session, model, NULL, &err));
    OK(ln_session_set_setting(session, policy, index, &err));
    OK(ln_answers_replay(answers, policy, index, results, NULL, &err));
    for (size_t r = 0; r < rows; r++) {
        OK(ln_data_read(data, model, ln_answers_data_row(answers, r), 1, x, NULL, &err));
        OK(ln_infer_early(session, x, 1, &one, NULL, &err));
        if (one.exit != results[r].exit) {      /* a score within rounding of its threshold */
            differ++;
            continue;
        }
        ck_assert_int_eq(one.label, results[r].label);
        ck_assert(fabsf(one.probability - results[r].probability) < 1e-4f && fabsf(one.gate - results[r].gate) < 1e-4f);
    }
    ck_assert_msg(differ <= rows / 20, "%s, setting %u: %zu of %zu rows leave elsewhere", ln_policy_name(policy), index, differ, rows);
    ln_session_free(session);
    free(results);
    free(x);
}

START_TEST(every_policy_is_replayed_as_it_answers_and_none_beats_the_oracle)
{
    ln_data *learn = open_rows(DATA ":part=0/2"), *judge = open_rows(DATA ":part=1/2");
    ln_model *model = NULL;
    ln_evaluation oracle = LN_EVALUATION_INIT, found = LN_EVALUATION_INIT;

    OK(ln_model_load(&model, "tests/data/shapes.onnx", NULL, &err));
    train(model, learn, LN_HEAD_POOL, LN_GATE_STATISTICS);
    OK(ln_policy_train(model, learn, NULL, &err));
    ln_answers *answers = collect(model, judge, 2, 0);
    OK(ln_answers_replay(answers, LN_POLICY_ORACLE, 0, NULL, &oracle, &err));
    ck_assert(oracle.accuracy >= oracle.plain_accuracy);
    for (int32_t p = 0; p < LN_POLICY_ORACLE; p++) {
        uint32_t count = ln_setting_count(model, p);
        ck_assert_msg(count > 1, "%s has %u settings", ln_policy_name(p), count);
        for (uint32_t i = 0; i < count; i += 1 + count / 6) {
            replay_is_inference_at(model, judge, answers, p, i);
            OK(ln_answers_replay(answers, p, i, NULL, &found, &err));
            ck_assert(p == LN_POLICY_ENSEMBLE || found.accuracy <= oracle.accuracy + 1e-9);
        }
        ck_assert_int_eq(ln_answers_replay(answers, p, count, NULL, &found, &err), LN_E_ARGUMENT);
    }
    ck_assert_int_eq(ln_answers_replay(answers, 77, 0, NULL, &found, &err), LN_E_ARGUMENT);
    ck_assert_int_eq(ln_answers_replay(NULL, 0, 0, NULL, &found, &err), LN_E_ARGUMENT);
    ln_answers_free(answers);
    ln_model_free(model);
    ln_data_free(learn);
    ln_data_free(judge);
}
END_TEST

START_TEST(answers_freeze_the_model_and_know_their_bounds)
{
    ln_data *data = open_rows(DATA ":part=0/4");
    ln_preprocess p = LN_PREPROCESS_INIT;
    ln_model *model = NULL;
    ln_result result;
    float probability = -1, sum = 0;

    OK(ln_model_load(&model, "tests/data/shapes.onnx", NULL, &err));
    ln_answers *answers = collect(model, data, 1, 3);
    uint32_t classes = ln_model_class_count(model);
    ck_assert_int_eq(ln_model_set_preprocess(model, &p, &err), LN_E_STATE);
    ck_assert_ptr_nonnull(ln_answers_logits(answers, 0));
    ck_assert_ptr_null(ln_answers_logits(answers, 1));
    ck_assert_int_eq(ln_answers_label(answers, ln_answers_rows(answers)), -1);
    ck_assert(ln_answers_data_row(answers, ln_answers_rows(answers)) == SIZE_MAX);
    ck_assert_int_eq(ln_answers_choice(answers, 1, 0, NULL), -1);
    ck_assert(fabs(ln_answers_time_share(answers, 0) - 1.0) < 1e-9 && isnan(ln_answers_time_share(answers, 1)));
    ck_assert_int_eq(ln_answers_replay_point(answers, 0, &result, NULL, &err), LN_E_ARGUMENT);
    ck_assert_int_eq(ln_answers_replay_point(NULL, 0, &result, NULL, &err), LN_E_ARGUMENT);
    ln_evaluation started_by_nobody = { 0, .exits = (ln_exit_share *)&result };
    ck_assert_int_eq(ln_answers_replay(answers, LN_POLICY_ORACLE, 0, &result, &started_by_nobody, &err), LN_E_ARGUMENT);
    int32_t choice = ln_answers_choice(answers, 0, 1, &probability);
    const float *logits = ln_answers_logits(answers, 0) + classes;
    for (uint32_t c = 0; c < classes; c++)
        sum += expf(logits[c] - logits[choice]);
    ck_assert(fabsf(probability - 1.0f / sum) < 1e-5f);
    ln_model_free(model);       /* the answers still hold it */
    ck_assert_int_ge(ln_answers_label(answers, 0), 0);
    ln_answers_free(answers);
    ln_answers_free(NULL);
    ln_data_free(data);
}
END_TEST

static int stop(const ln_progress *progress, void *payload)
{
    (void)progress;
    (void)payload;
    return 1;
}

START_TEST(collecting_can_be_stopped_and_refuses_what_makes_no_sense)
{
    ln_answers_options o = LN_ANSWERS_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=0/4");
    ln_model *model = NULL;
    ln_answers *answers = (ln_answers *)&o;

    OK(ln_model_load(&model, "tests/data/shapes.onnx", NULL, &err));
    o.progress = stop;
    ck_assert_int_eq(ln_answers_collect(&answers, model, data, &o, &err), LN_E_CANCELLED);
    ck_assert_ptr_null(answers);
    o.threads = 1u << 30;
    ck_assert_int_eq(ln_answers_collect(&answers, model, data, &o, &err), LN_E_ARGUMENT);
    o.threads = 0;
    OK(ln_exit_add_auto(model, 1, NULL, &err));
    ck_assert_int_eq(ln_answers_collect(&answers, model, data, &o, &err), LN_E_STATE);
    OK(ln_exit_clear(model, &err));     /* nothing was left frozen */
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answers");
    TCase *t = tcase_create("answers");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, replay_equals_inference_on_a_residual_network);
    tcase_add_test(t, replay_equals_inference_with_statistics_gates);
    tcase_add_test(t, replay_equals_inference_with_feature_gates);
    tcase_add_test(t, replay_equals_inference_with_convolutional_heads);
    tcase_add_test(t, replay_equals_inference_with_gates_on_both);
    tcase_add_test(t, every_policy_is_replayed_as_it_answers_and_none_beats_the_oracle);
    tcase_add_test(t, answers_freeze_the_model_and_know_their_bounds);
    tcase_add_test(t, collecting_can_be_stopped_and_refuses_what_makes_no_sense);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
