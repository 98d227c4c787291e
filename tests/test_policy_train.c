/* test_policy_train.c - every policy on the same heads, through the public header. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_calls.h"

enum { ALL = LN_POLICY_ENSEMBLE - LN_POLICY_MAX_PROB + 1 };

static ln_model *trained(ln_data *data)
{
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_policy_options p = LN_POLICY_OPTIONS_INIT;
    ln_model *model = NULL;

    OK(ln_model_load(&model, "tests/data/shapes.onnx", NULL, &err));
    e.hidden = UINT32_MAX;
    e.covariance = UINT32_MAX;  /* heads that are right too often leave nothing to decide */
    OK(ln_exit_add_auto(model, 2, &e, &err));
    t.epochs = 4;
    t.threads = p.threads = 2;
    OK(ln_exit_train(model, data, &t, &err));
    p.cost = LN_COST_MACS;
    OK(ln_policy_train(model, data, &p, &err));
    return model;
}

/* From never leaving to leaving at once, each cheaper than the one before; the point stands at one of them. */
static void check_settings(const ln_model *model, int32_t policy, uint32_t point)
{
    uint32_t count = ln_setting_count(model, policy);
    ln_point_info info = LN_POINT_INFO_INIT;
    ln_exit_info first = LN_EXIT_INFO_INIT;
    double before = INFINITY, nearest = INFINITY;

    OK(ln_point_get_info(model, point, &info, &err));
    OK(ln_exit_get_info(model, 0, &first, &err));
    ck_assert_msg(count >= 3 && count <= 128, "%s: %u settings", ln_policy_name(policy), count);
    for (uint32_t i = 0; i < count; i++) {
        ln_setting s = LN_SETTING_INIT;
        OK(ln_setting_get(model, policy, i, &s, &err));
        ck_assert(s.policy == policy && s.index == i && s.point == point);
        ck_assert_msg(s.macs_share < before, "%s, setting %u: %g after %g", ln_policy_name(policy), i, s.macs_share, before);
        ck_assert(i > 0 || (s.accuracy == s.plain_accuracy && s.macs_share >= 1));
        ck_assert(i + 1 < count || fabs(s.macs_share - first.macs_share) < 0.01);
        before = s.macs_share;
        nearest = fmin(nearest, fabs(s.macs_share - info.macs_share) + fabs(s.accuracy - info.accuracy));
    }
    ck_assert(nearest < 1e-9);
}

START_TEST(every_policy_gets_a_point)
{
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_model *model = trained(data);
    ln_policy_options p = LN_POLICY_OPTIONS_INIT;
    const int32_t again[] = { LN_POLICY_MARGIN };
    ln_point_info info = LN_POINT_INFO_INIT;

    ck_assert_uint_eq(ln_model_point_count(model), ALL);
    for (uint32_t i = 0; i < ALL; i++) {
        OK(ln_point_get_info(model, i, &info, &err));
        ck_assert_int_eq(info.policy, LN_POLICY_MAX_PROB + (int32_t)i);
        ck_assert_uint_eq(info.rows, ln_data_rows(data));
        ck_assert(info.accuracy > 0 && info.accuracy <= 1 && info.plain_accuracy > 0);
        ck_assert_msg(info.macs_share > 0.05 && info.macs_share < 1.1, "%s: %g", ln_policy_name(info.policy), info.macs_share);
        ck_assert(info.time_share > 0 && info.params_share > 0);
        check_settings(model, info.policy, i);
    }
    p.policies = again;
    p.n_policies = 1;
    OK(ln_policy_train(model, data, &p, &err));
    ck_assert_uint_eq(ln_model_point_count(model), ALL);
    OK(ln_point_get_info(model, LN_POLICY_MARGIN - 1, &info, &err));
    ck_assert_int_eq(info.policy, LN_POLICY_MARGIN);
    ck_assert_int_eq(info.cost, LN_COST_TIME);
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

START_TEST(what_cannot_be_trained_is_refused)
{
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_policy_options p = LN_POLICY_OPTIONS_INIT;
    static const int32_t wrong[] = { LN_POLICY_GATE, LN_POLICY_ORACLE, -1, 99 };
    ln_model *model = NULL;
    ln_session *session = NULL;

    OK(ln_model_load(&model, "tests/data/shapes.onnx", NULL, &err));
    ck_assert_int_eq(ln_policy_train(model, data, &p, &err), LN_E_STATE);
    ln_model_free(model);
    model = trained(data);
    p.n_policies = 1;
    for (int i = 0; i < 4; i++) {
        p.policies = &wrong[i];
        ck_assert_int_eq(ln_policy_train(model, data, &p, &err), LN_E_ARGUMENT);
    }
    p.policies = NULL;
    p.cost = 7;
    ck_assert_int_eq(ln_policy_train(model, data, &p, &err), LN_E_ARGUMENT);
    p.cost = 0;
    OK(ln_session_open(&session, model, NULL, &err));
    ck_assert_int_eq(ln_policy_train(model, data, &p, &err), LN_E_STATE);
    ln_session_free(session);
    ck_assert_uint_eq(ln_model_point_count(model), ALL);
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

/* Rows of a session at a point, one by one and eight at a time. */
static ln_result *infer(ln_model *model, ln_data *data, uint32_t point, size_t at_once, float **logits)
{
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_session *session = NULL;
    size_t rows = ln_data_rows(data);
    ln_result *results = calloc(rows, sizeof *results);

    OK(ln_model_get_info(model, &info, &err));
    float *x = malloc(at_once * info.channels * info.height * info.width * sizeof *x);
    *logits = calloc(rows * info.classes, sizeof **logits);
    o.use_point = 1;
    o.point = point;
    o.max_rows = (uint32_t)at_once;
    OK(ln_session_open(&session, model, &o, &err));
    for (size_t r = 0; r < rows; r += at_once) {
        size_t n = rows - r < at_once ? rows - r : at_once;
        OK(ln_data_read(data, model, r, n, x, NULL, &err));
        OK(ln_infer_early(session, x, n, results + r, *logits + r * info.classes, &err));
    }
    ln_session_free(session);
    free(x);
    return results;
}

START_TEST(sessions_answer_as_replayed_and_as_reloaded)
{
    ln_data *data = open_rows(DATA ":part=0/2"), *judge = open_rows(DATA ":part=1/2");
    ln_model *model = trained(data), *again = NULL;
    char path[] = "/tmp/leenet-policies-XXXXXX";
    ln_answers *answers = NULL;
    size_t rows = ln_data_rows(judge);
    ln_result *replayed = calloc(rows, sizeof *replayed);
    uint32_t classes = ln_model_class_count(model);
    int mixed = 0;

    ck_assert_int_ge(close(mkstemp(path)), 0);
    OK(ln_model_save(model, path, &err));
    OK(ln_model_load(&again, path, NULL, &err));
    OK(ln_answers_collect(&answers, model, judge, NULL, &err));
    for (uint32_t p = 0; p < ALL; p++) {
        float *logits[3];
        ln_result *one = infer(model, judge, p, 1, &logits[0]), *many = infer(model, judge, p, 8, &logits[1]);
        ln_result *loaded = infer(again, judge, p, 1, &logits[2]);
        ln_point_info info = LN_POINT_INFO_INIT;

        OK(ln_point_get_info(again, p, &info, &err));
        ck_assert_int_eq(info.policy, LN_POLICY_MAX_PROB + (int32_t)p);
        OK(ln_answers_replay_point(answers, p, replayed, NULL, &err));
        ck_assert_msg(memcmp(one, loaded, rows * sizeof *one) == 0, "%s: other results once reloaded", ln_policy_name(info.policy));
        ck_assert(memcmp(logits[0], logits[2], rows * classes * sizeof(float)) == 0);
        for (size_t r = 0; r < rows; r++) {
            double t = ln_point_threshold(model, p, one[r].exit);
            if (fabs(replayed[r].gate - t) < 1e-4 || fabs(one[r].gate - t) < 1e-4)
                continue;
            ck_assert_msg(one[r].exit == replayed[r].exit && one[r].label == replayed[r].label, "%s, row %zu: exit %u label %d, "
                          "replayed exit %u label %d", ln_policy_name(info.policy), r, one[r].exit, one[r].label,
                          replayed[r].exit, replayed[r].label);
            ck_assert(fabsf(one[r].probability - replayed[r].probability) < 1e-4f);
            ck_assert(one[r].exit == many[r].exit && one[r].label == many[r].label);
            if (info.policy == LN_POLICY_ENSEMBLE && one[r].exit == 1) {    /* normalised, and not the head's */
                const float *own = ln_answers_logits(answers, 1) + r * classes, *z = logits[0] + r * classes;
                double sum = 0;
                for (uint32_t c = 0; c < classes; c++)
                    sum += exp(z[c]);
                ck_assert(fabs(sum - 1) < 1e-5);
                mixed += fabsf((z[1] - z[0]) - (own[1] - own[0])) > 1e-4f;
            }
        }
        for (int i = 0; i < 3; i++)
            free(logits[i]);
        free(one);
        free(many);
        free(loaded);
    }
    ck_assert_msg(mixed > 0, "no row left at exit 1 of the ensemble; this test shows nothing");
    unlink(path);
    ln_answers_free(answers);
    ln_model_free(again);
    ln_model_free(model);
    ln_data_free(data);
    ln_data_free(judge);
    free(replayed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policies in training and use");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 240);
    tcase_add_test(core, every_policy_gets_a_point);
    tcase_add_test(core, what_cannot_be_trained_is_refused);
    tcase_add_test(core, sessions_answer_as_replayed_and_as_reloaded);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
