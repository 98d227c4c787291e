/* test_targets.c - calibration and targets: which setting a wish leads to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "settings_model.h"

START_TEST(calibration_counts_what_sessions_answer)
{
    enum { MOST = 400 };
    ln_model *model = trained();
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_session *session = NULL;
    ln_data *data = open_rows(DATA ":part=1/2");
    size_t n = ln_data_rows(data);
    static ln_result early[MOST], full[MOST];
    static int32_t labels[MOST];

    ck_assert_uint_le(n, MOST);
    calibrate(model, DATA ":part=1/2");
    OK(ln_model_get_info(model, &info, &err));
    float *x = malloc(n * info.channels * info.height * info.width * sizeof *x);
    OK(ln_data_read(data, model, 0, n, x, labels, &err));
    o.max_rows = (uint32_t)n;
    OK(ln_session_open(&session, model, &o, &err));
    OK(ln_infer_full(session, x, n, full, NULL, &err));
    ln_setting used = LN_SETTING_INIT;
    FAILS(LN_E_STATE, ln_session_get_setting(session, &used, &err));
    static const int32_t policies[] = { LN_POLICY_GATE, LN_POLICY_PATIENCE, LN_POLICY_EENET, LN_POLICY_ENSEMBLE };
    for (uint32_t k = 0; k < 48; k++) {
        int32_t policy = policies[k % 4];
        uint32_t i = k / 4 * 6, lost = 0, gained = 0, changed = 0;
        ln_setting s = LN_SETTING_INIT;
        if (i >= ln_setting_count(model, policy))
            continue;
        OK(ln_setting_get(model, policy, i, &s, &err));
        OK(ln_session_set_setting(session, policy, i, &err));
        OK(ln_session_get_setting(session, &used, &err));
        ck_assert_uint_eq(used.index, i);
        ck_assert_int_eq(used.policy, policy);
        OK(ln_infer_early(session, x, n, early, NULL, &err));
        for (size_t r = 0; r < n; r++) {
            lost += full[r].label == labels[r] && early[r].label != labels[r];
            gained += full[r].label != labels[r] && early[r].label == labels[r];
            changed += full[r].label != early[r].label;
            ck_assert(i > 0 || early[r].exit == info.exits);
        }
        ck_assert_uint_eq(s.calibration_rows, n);
        /* A row on its threshold may differ by the last bits. */
        ck_assert(abs((int)s.lost - (int)lost) <= 1 && abs((int)s.gained - (int)gained) <= 1 && abs((int)s.changed - (int)changed) <= 1);
    }
    ln_session_free(session);
    ln_data_free(data);
    free(x);
    ln_model_free(model);
}
END_TEST

START_TEST(targets_lead_to_settings)
{
    ln_model *model = trained();
    ln_target t = LN_TARGET_INIT;
    ln_setting s = LN_SETTING_INIT;
    uint32_t count = ln_setting_count(model, LN_POLICY_GATE);
    uint64_t needed = 7;

    FAILS(LN_E_ARGUMENT, ln_target_resolve(model, &t, &s, NULL, &err));
    t.cost = LN_COST_MACS;
    t.budget = 0.7;
    ck_assert_int_eq(ln_target_resolve(model, &t, &s, &needed, &err), LN_OK);
    ck_assert_uint_eq(needed, 0);
    ck_assert(s.macs_share <= 0.7);
    for (uint32_t i = 0; i < count; i++)
        ck_assert(setting(model, i).macs_share > 0.7 || setting(model, i).accuracy <= s.accuracy);
    t.budget = 1e-9;
    FAILS(LN_E_ARGUMENT, ln_target_resolve(model, &t, &s, NULL, &err));
    t.budget = 0;
    t.max_drop = 20;
    /* Not calibrated yet. */
    ck_assert_int_eq(ln_target_resolve(model, &t, &s, &needed, &err), LN_UNCERTIFIED);
    ck_assert_uint_eq(s.index, 0);
    ck_assert(needed > 0);
    calibrate(model, DATA ":part=1/2");
    ck_assert_int_eq(ln_target_resolve(model, &t, &s, NULL, &err), LN_OK);
    ck_assert_uint_gt(s.index, 0);
    double at_95 = s.macs_share;
    t.confidence = 0.999;
    ck_assert_int_ge(ln_target_resolve(model, &t, &s, NULL, &err), 0);
    ck_assert(s.macs_share >= at_95);
    t.confidence = 0;
    t.against = LN_AGAINST_PLAIN;
    ck_assert_int_ge(ln_target_resolve(model, &t, &s, NULL, &err), 0);
    ck_assert(s.index == 0 || s.changed <= 0.2 * s.calibration_rows);
    t.against = LN_AGAINST_LABELS;
    t.max_drop = 0.01;
    ck_assert_int_eq(ln_target_resolve(model, &t, &s, &needed, &err), LN_UNCERTIFIED);
    ck_assert(needed > s.calibration_rows);
    t.max_drop = 101;
    FAILS(LN_E_ARGUMENT, ln_target_resolve(model, &t, &s, NULL, &err));
    t.max_drop = NAN;
    FAILS(LN_E_ARGUMENT, ln_target_resolve(model, &t, &s, NULL, &err));
    t.max_drop = 1;
    t.confidence = 1;
    FAILS(LN_E_ARGUMENT, ln_target_resolve(model, &t, &s, NULL, &err));
    t.confidence = 0;
    t.policy = LN_POLICY_ORACLE;
    FAILS(LN_E_ARGUMENT, ln_target_resolve(model, &t, &s, NULL, &err));
    t.policy = LN_POLICY_MARGIN;
    FAILS(LN_E_STATE, ln_target_resolve(model, &t, &s, NULL, &err));
    ln_model_free(model);
}
END_TEST

enum { SETTINGS = 40 };

/* A model of nothing but settings; the budget's is returned. */
static uint32_t chosen_of(ln_setting *settings, uint32_t count, double budget)
{
    double thresholds[SETTINGS] = { 0 };
    ln_model *model = calloc(1, sizeof *model);
    ln_target target = LN_TARGET_INIT;
    ln_setting chosen = LN_SETTING_INIT;

    model->n_exits = 1;
    model->curves[LN_POLICY_GATE] = (ln__curve){ count, settings, thresholds, NULL };
    target.budget = budget;
    OK(ln_target_resolve(model, &target, &chosen, NULL, &err));
    free(model);
    return chosen.index;
}

static void fill_settings(ln_setting *s, double slope)
{
    for (uint32_t i = 0; i < SETTINGS; i++)
        s[i] = (ln_setting){ .struct_size = sizeof *s, .index = i, .rows = 1000, .plain_accuracy = 0.9, .accuracy = 0.9 - slope * i,
                             .time_share = 1 - 0.02 * i };
}

START_TEST(budgets_take_what_is_accurate_with_its_neighbours)
{
    ln_setting s[SETTINGS], few[4];

    fill_settings(s, 0.002);
    s[18].accuracy += 0.01;     /* luck */
    ck_assert_uint_eq(chosen_of(s, SETTINGS, 0.71), 15);
    for (uint32_t i = 23; i <= 27; i++)
        s[i].accuracy += 0.05;
    uint32_t chosen = chosen_of(s, SETTINGS, 0.71);
    ck_assert_msg(chosen >= 23 && chosen <= 27, "%u", chosen);
    /* Equally accurate: the cheapest, whatever the sums round to. */
    for (int k = 1; k < 1000; k++) {
        fill_settings(s, 0);
        for (uint32_t i = 0; i < SETTINGS; i++)
            s[i].accuracy = i <= 30 ? k / 1000.0 : 0;
        chosen = chosen_of(s, SETTINGS, 1.5);
        ck_assert_msg(chosen >= 24 && chosen <= 30, "%u of plateau %d", chosen, k);
        for (uint32_t i = 31; i < SETTINGS; i++)
            s[i].accuracy = k / 1000.0;
        ck_assert_uint_eq(chosen_of(s, SETTINGS, 1.5), SETTINGS - 1);
    }
    /* Settings far apart do not speak for each other. */
    fill_settings(s, 0);
    for (uint32_t i = 0; i < 4; i++) {
        few[i] = s[i];
        few[i].accuracy = (double[]){ 0.70, 0.72, 0.73, 0.40 }[i];
        few[i].time_share = (double[]){ 1, 0.8, 0.5, 0.2 }[i];
    }
    ck_assert_uint_eq(chosen_of(few, 4, 1), 2);
    ck_assert_uint_eq(chosen_of(few, 4, 0.9), 2);
    ck_assert_uint_eq(chosen_of(few, 4, 0.4), 3);
}
END_TEST

START_TEST(sessions_open_at_a_target)
{
    ln_model *model = trained();
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_evaluate_options eo = LN_EVALUATE_OPTIONS_INIT;
    ln_evaluation by_setting = LN_EVALUATION_INIT;
    ln_target t = LN_TARGET_INIT;
    ln_setting s = LN_SETTING_INIT;
    ln_session *session = NULL;
    ln_data *data = open_rows(DATA ":part=1/2");

    t.max_drop = 0.5;
    o.target = &t;
    ck_assert_int_eq(ln_session_open(&session, model, &o, &err), LN_UNCERTIFIED);
    OK(ln_session_get_setting(session, &s, &err));
    ck_assert_uint_eq(s.index, 0);
    OK(ln_evaluate(session, data, &eo, &by_setting, &err));
    ck_assert(by_setting.accuracy == by_setting.plain_accuracy && by_setting.macs_share == 1 && by_setting.params_share == 1);
    t.max_drop = -1;
    t.budget = 0.7;
    t.cost = LN_COST_MACS;
    ck_assert_int_eq(ln_session_set_target(session, &t, &err), LN_OK);
    OK(ln_evaluate(session, data, &eo, &by_setting, &err));
    ck_assert(by_setting.macs_share < 0.95);
    OK(ln_session_get_setting(session, &s, &err));
    ck_assert(s.macs_share <= 0.7);
    OK(ln_session_set_point(session, 1, &err));
    FAILS(LN_E_STATE, ln_session_get_setting(session, &s, &err));
    ln_calibrate_options c = LN_CALIBRATE_OPTIONS_INIT;
    FAILS(LN_E_STATE, ln_policy_calibrate(model, data, &c, &err));
    ln_session_free(session);
    o.use_point = 1;
    FAILS(LN_E_ARGUMENT, ln_session_open(&session, model, &o, &err));
    ck_assert_ptr_null(session);
    o.use_point = 0;
    t.budget = -1;
    FAILS(LN_E_ARGUMENT, ln_session_open(&session, model, &o, &err));
    ck_assert_ptr_null(session);
    ln_data_free(data);
    ln_model_free(model);
}
END_TEST

START_TEST(learned_rows_do_not_calibrate)
{
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    static const double alpha = 0.5;
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_model *model = NULL;

    OK(ln_model_load(&model, MODEL, NULL, &err));
    FAILS(LN_E_STATE, ln_policy_calibrate(model, data, NULL, &err));
    OK(ln_exit_add_auto(model, 1, &e, &err));
    t.epochs = 2;
    OK(ln_exit_train(model, data, &t, &err));
    train_gates(model, data, &alpha, 1);
    FAILS(LN_E_ARGUMENT, ln_policy_calibrate(model, data, NULL, &err));
    ln_data_free(data);
    /* The same rows opened again, one of them among others, and those of the gates alone. */
    static const char *const learned[] = { DATA ":part=0/2:first=7", DATA ":part=1/20", DATA ":part=4/20", DATA ":part=7/20" };
    ln_data *gates = open_rows(DATA ":part=7/10");
    train_gates(model, gates, &alpha, 1);
    for (size_t i = 0; i < 4; i++) {
        data = open_rows(learned[i]);
        ln_status st = ln_policy_calibrate(model, data, NULL, &err);
        ck_assert_msg(st == (i == 1 ? LN_OK : LN_E_ARGUMENT), "%s: %s", learned[i], ln_status_name(st));
        ck_assert_msg(i == 1 || strstr(err.text, "of these"), "%s", err.text);
        ln_data_free(data);
    }
    data = open_rows(DATA);
    FAILS(LN_E_ARGUMENT, ln_policy_calibrate(model, data, NULL, &err));
    ck_assert_msg(strstr(err.text, "from 72 of these 120 rows"), "%s", err.text);
    ln_data_free(data);
    ln_data_free(gates);
    ln_model_free(model);
}
END_TEST

/* ---- The model's own target -------------------------------------------------------------------- */

static ln_setting opened_at(ln_model *model, ln_status expected)
{
    ln_setting s = LN_SETTING_INIT;
    ln_session *session = NULL;

    ck_assert_int_eq(ln_session_open(&session, model, NULL, &err), expected);
    if (ln_session_get_setting(session, &s, &err) < 0)
        s.policy = -1;                      /* an operating point as it is */
    ln_session_free(session);
    return s;
}

START_TEST(a_model_keeps_its_target)
{
    static const double alpha = 0.5;
    ln_model *model = trained(), *again = NULL;
    ln_target t = LN_TARGET_INIT, kept = LN_TARGET_INIT;
    ln_setting s = LN_SETTING_INIT, used;
    ln_session_options at_point = LN_SESSION_OPTIONS_INIT;
    ln_session *session = NULL;
    ln_data *data = open_rows(DATA ":part=0/2");
    char path[] = "/tmp/leenet-targets-XXXXXX";

    FAILS(LN_E_STATE, ln_target_get_default(model, &kept, &err));
    ck_assert_int_eq(opened_at(model, LN_OK).policy, -1);
    FAILS(LN_E_ARGUMENT, ln_target_set_default(model, &t, &err));   /* asks for nothing */
    t.cost = LN_COST_MACS;
    t.budget = 1e-9;
    FAILS(LN_E_ARGUMENT, ln_target_set_default(model, &t, &err));   /* cannot be kept */
    t.budget = 0.7;
    OK(ln_target_set_default(model, &t, &err));
    close(mkstemp(path));
    OK(ln_model_save(model, path, &err));
    OK(ln_model_load(&again, path, NULL, &err));
    OK(ln_target_get_default(again, &kept, &err));
    ck_assert_mem_eq(&kept, &t, sizeof t);
    OK(ln_target_resolve(again, &t, &s, NULL, &err));
    used = opened_at(again, LN_OK);
    ck_assert(used.policy == LN_POLICY_GATE && used.index == s.index && used.index > 0);
    at_point.use_point = 1;
    OK(ln_session_open(&session, again, &at_point, &err));
    FAILS(LN_E_STATE, ln_session_get_setting(session, &used, &err));    /* told otherwise */
    FAILS(LN_E_STATE, ln_target_set_default(again, NULL, &err));        /* in use */
    ln_session_free(session);

    t.budget = 0;                           /* not calibrated: stays safe */
    t.max_drop = 1;
    OK(ln_target_set_default(again, &t, &err));
    ck_assert_uint_eq(opened_at(again, LN_UNCERTIFIED).index, 0);
    OK(ln_point_set_default(again, 1, &err));
    ck_assert_int_eq(opened_at(again, LN_OK).policy, -1);
    OK(ln_target_set_default(again, &t, &err));
    OK(ln_target_set_default(again, NULL, &err));
    FAILS(LN_E_STATE, ln_target_get_default(again, &kept, &err));
    OK(ln_target_set_default(again, &t, &err));
    train_gates(again, data, &alpha, 1);    /* another curve */
    FAILS(LN_E_STATE, ln_target_get_default(again, &kept, &err));
    unlink(path);
    ln_data_free(data);
    ln_model_free(again);
    ln_model_free(model);
}
END_TEST

/* ---- Damaged files -------------------------------------------------------------------------- */

START_TEST(policies_have_names)
{
    int32_t policy = -1;

    ck_assert_str_eq(ln_policy_name(LN_POLICY_MAX_PROB), "max-prob");
    ck_assert_ptr_null(ln_policy_name(77));
    OK(ln_policy_find(&policy, "ensemble", &err));
    ck_assert_int_eq(policy, LN_POLICY_ENSEMBLE);
    FAILS(LN_E_ARGUMENT, ln_policy_find(&policy, "dice", &err));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("targets");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 600);
    tcase_add_test(core, calibration_counts_what_sessions_answer);
    tcase_add_test(core, targets_lead_to_settings);
    tcase_add_test(core, budgets_take_what_is_accurate_with_its_neighbours);
    tcase_add_test(core, sessions_open_at_a_target);
    tcase_add_test(core, learned_rows_do_not_calibrate);
    tcase_add_test(core, a_model_keeps_its_target);
    tcase_add_test(core, policies_have_names);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
