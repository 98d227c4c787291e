/* test_settings.c - the settings that training leaves: in files, and as operating points. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings_model.h"

START_TEST(training_leaves_a_curve_and_files_keep_it)
{
    ln_model *model = trained(), *again = NULL;
    uint32_t count = ln_setting_count(model, LN_POLICY_GATE);
    char path[] = "/tmp/leenet-targets-XXXXXX";

    ck_assert_uint_ge(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        ln_setting s = setting(model, i);
        ck_assert_uint_eq(s.index, i);
        ck_assert_uint_lt(s.point, 3);
        ck_assert(s.accuracy >= 0 && s.accuracy <= 1 && s.calibration_rows == 0 && s.rows > 0);
        ck_assert_msg(i <= 1 || s.macs_share <= setting(model, i - 1).macs_share + 1e-9, "setting %u costs more than the one before", i);
    }
    /* The first setting is the network itself. */
    ln_setting plain = setting(model, 0);
    ck_assert(plain.accuracy == plain.plain_accuracy && plain.params_share == 1 && plain.macs_share == 1 && plain.time_share == 1);
    calibrate(model, DATA ":part=1/2");
    close(mkstemp(path));
    OK(ln_model_save(model, path, &err));
    OK(ln_model_load(&again, path, NULL, &err));
    ck_assert_uint_eq(ln_setting_count(again, LN_POLICY_GATE), count);
    for (int32_t p = 0; p < LN_POLICY_ORACLE; p++) {
        ck_assert_uint_eq(ln_setting_count(again, p), ln_setting_count(model, p));
        for (uint32_t i = 0; i < ln_setting_count(model, p); i++) {
            ln_setting a = LN_SETTING_INIT, b = LN_SETTING_INIT;
            OK(ln_setting_get(model, p, i, &a, &err));
            OK(ln_setting_get(again, p, i, &b, &err));
            ck_assert(a.calibration_rows > 0);
            ck_assert_mem_eq(&a, &b, sizeof a);
        }
    }
    ck_assert_uint_gt(ln_setting_count(model, LN_POLICY_ENSEMBLE), 1);
    ck_assert_uint_eq(ln_setting_count(model, LN_POLICY_ORACLE), 0);
    ck_assert_uint_eq(ln_setting_count(model, -1), 0);
    ln_setting s = LN_SETTING_INIT;
    FAILS(LN_E_ARGUMENT, ln_setting_get(model, LN_POLICY_GATE, count, &s, &err));
    FAILS(LN_E_ARGUMENT, ln_setting_get(model, 99, 0, &s, &err));
    FAILS(LN_E_STATE, ln_setting_get(model, LN_POLICY_MARGIN, 0, &s, &err));
    OK(ln_exit_clear(again, &err));
    ck_assert_uint_eq(ln_setting_count(again, LN_POLICY_GATE), 0);
    unlink(path);
    ln_model_free(model);
    ln_model_free(again);
}
END_TEST

START_TEST(a_setting_becomes_a_point)
{
    static const int32_t policies[] = { LN_POLICY_GATE, LN_POLICY_ENSEMBLE };
    ln_model *model = trained(), *again = NULL;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_session *session = NULL;
    ln_answers *answers = NULL;
    ln_answers_options ao = LN_ANSWERS_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=1/2");
    size_t n = ln_data_rows(data);
    ln_result *by_setting = malloc(n * sizeof *by_setting), *by_point = malloc(n * sizeof *by_point);
    char path[] = "/tmp/leenet-targets-XXXXXX";
    uint32_t first = ln_model_point_count(model), added = 99;

    FAILS(LN_E_ARGUMENT, ln_point_add_setting(NULL, LN_POLICY_GATE, 0, &added, &err));
    FAILS(LN_E_ARGUMENT, ln_point_add_setting(model, LN_POLICY_GATE, ln_setting_count(model, LN_POLICY_GATE), &added, &err));
    FAILS(LN_E_STATE, ln_point_add_setting(model, LN_POLICY_MARGIN, 0, &added, &err));
    OK(ln_session_open(&session, model, NULL, &err));
    FAILS(LN_E_STATE, ln_point_add_setting(model, LN_POLICY_GATE, 1, &added, &err));
    ln_session_free(session);
    ck_assert_uint_eq(ln_model_point_count(model), first);
    for (uint32_t i = 0; i < 2; i++) {
        OK(ln_point_add_setting(model, policies[i], ln_setting_count(model, policies[i]) / 2, &added, &err));
        ck_assert_uint_eq(added, first + i);
    }
    OK(ln_point_add_setting(model, LN_POLICY_GATE, 0, NULL, &err));
    close(mkstemp(path));
    OK(ln_model_save(model, path, &err));
    OK(ln_model_load(&again, path, NULL, &err));
    OK(ln_model_get_info(again, &info, &err));
    ck_assert_uint_eq(info.points, first + 3);
    OK(ln_answers_collect(&answers, again, data, &ao, &err));
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t index = ln_setting_count(again, policies[i]) / 2, early = 0;
        ln_setting s = LN_SETTING_INIT;
        ln_point_info p = LN_POINT_INFO_INIT, of = LN_POINT_INFO_INIT;
        OK(ln_setting_get(again, policies[i], index, &s, &err));
        OK(ln_point_get_info(again, first + i, &p, &err));
        OK(ln_point_get_info(again, s.point, &of, &err));
        ck_assert(p.gate_input == (policies[i] == LN_POLICY_GATE ? LN_GATE_STATISTICS : -1));
        ck_assert(p.moved == 1 && of.moved == 0 && p.policy == policies[i] && p.alpha == of.alpha && p.rows == s.rows && p.accuracy == s.accuracy &&
                  p.plain_accuracy == s.plain_accuracy && p.macs_share == s.macs_share && p.time_share == s.time_share);
        OK(ln_answers_replay(answers, policies[i], index, by_setting, NULL, &err));
        OK(ln_answers_replay_point(answers, first + i, by_point, NULL, &err));
        ck_assert_mem_eq(by_setting, by_point, n * sizeof *by_point);
        for (size_t r = 0; r < n; r++)
            early += by_point[r].exit < info.exits;
        ck_assert_msg(early > 0, "policy %d: nothing leaves early, so that thresholds were not seen", policies[i]);
    }
    ln_point_info plain = LN_POINT_INFO_INIT;
    OK(ln_point_get_info(again, first + 2, &plain, &err));
    ck_assert(plain.macs_share == 1 && plain.accuracy == plain.plain_accuracy && ln_point_threshold(again, first + 2, 0) == 1);
    OK(ln_answers_replay_point(answers, first + 2, by_point, NULL, &err));
    for (size_t r = 0; r < n; r++)
        ck_assert_uint_eq(by_point[r].exit, info.exits);
    FAILS(LN_E_STATE, ln_point_add_setting(again, LN_POLICY_GATE, 1, NULL, &err));      /* answers are open */
    ln_answers_free(answers);
    OK(ln_point_add_setting(again, LN_POLICY_GATE, 1, &added, &err));
    ck_assert_uint_eq(added, first + 3);
    OK(ln_model_save(again, path, &err));
    ln_model_free(again);
    OK(ln_model_load(&again, path, NULL, &err));
    ck_assert_uint_eq(ln_model_point_count(again), first + 4);
    unlink(path);
    free(by_setting);
    free(by_point);
    ln_data_free(data);
    ln_model_free(again);
    ln_model_free(model);
}
END_TEST

/* The counts are those of sessions that use the setting. */
/* What gates learned by goes with their settings, and other policies have nothing of it, trained once or again. */
START_TEST(points_know_how_they_were_trained)
{
    static const double alpha = 0.5;
    static const int32_t policy = LN_POLICY_PATIENCE;
    ln_model *model = trained();
    ln_gate_options g = LN_GATE_OPTIONS_INIT;
    ln_policy_options o = LN_POLICY_OPTIONS_INIT;
    ln_data *other = open_rows(DATA ":part=1/2");
    ln_point_info p = LN_POINT_INFO_INIT;
    uint32_t added = 0;

    g.alphas = &alpha;
    g.n_alphas = 1;
    g.input = LN_GATE_BOTH;
    g.hidden = 3;
    g.objective = LN_OBJECTIVE_RIGHT;
    g.price = LN_PRICE_CROSS_ENTROPY;
    g.same_rows = 1;
    g.epochs = 2;
    g.cost = LN_COST_MACS;
    OK(ln_gate_train(model, other, &g, &err));      /* not the heads' rows, whatever is asked for */
    OK(ln_point_get_info(model, ln_model_point_count(model) - 1, &p, &err));
    ck_assert_uint_eq(p.same_rows, 0);
    ck_assert(p.gate_input == LN_GATE_BOTH && p.gate_hidden == 3 && p.objective == LN_OBJECTIVE_RIGHT && p.price == LN_PRICE_CROSS_ENTROPY);
    OK(ln_point_add_setting(model, LN_POLICY_GATE, 1, &added, &err));
    ln_setting s = setting(model, 1);
    ln_point_info from = LN_POINT_INFO_INIT, of = LN_POINT_INFO_INIT;
    OK(ln_point_get_info(model, s.point, &from, &err));
    OK(ln_point_get_info(model, added, &of, &err));
    ck_assert(of.objective == from.objective && of.price == from.price && of.gate_hidden == from.gate_hidden &&
              of.gate_input == from.gate_input && from.objective == LN_OBJECTIVE_RIGHT);
    o.policies = &policy;
    o.n_policies = 1;
    OK(ln_policy_train(model, other, &o, &err));    /* in place of the one it had */
    for (uint32_t i = 0; i < ln_model_point_count(model); i++) {
        OK(ln_point_get_info(model, i, &p, &err));
        if (p.policy != LN_POLICY_GATE)
            ck_assert(p.gate_input == -1 && p.objective == -1 && p.price == -1 && p.gate_hidden == 0 && p.same_rows == 0);
    }
    ln_data_free(other);
    ln_model_free(model);
}
END_TEST

static char *find(char *bytes, size_t size, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, text, length) == 0)
            return bytes + i;
    ck_abort_msg("'%s' is not in the file", text);
    return NULL;
}

static char *read_bytes(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    char *bytes = malloc(*size);
    rewind(f);
    ck_assert_uint_eq(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static void replace(char *bytes, size_t size, const char *was, const char *now)
{
    size_t length = strlen(was);

    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, was, length) == 0)
            memcpy(bytes + i, now, length);
}

START_TEST(gates_on_other_statistics_are_refused)
{
    ln_model *model = trained(), *again = NULL;
    char path[] = "/tmp/leenet-targets-XXXXXX";
    size_t size;

    OK(ln_point_add_setting(model, LN_POLICY_GATE, 1, NULL, &err));
    close(mkstemp(path));
    OK(ln_model_save(model, path, &err));
    char *bytes = read_bytes(path, &size), *key = find(bytes, size, ".moved");
    replace(bytes, size, "leenet/0/stats.least_doubt", "leenet/0/stats.other_doubt");
    FAILS(LN_E_FORMAT, ln_model_load_memory(&again, bytes, size, NULL, &err));
    ck_assert_msg(strstr(err.text, "train them again"), "%s", err.text);
    replace(bytes, size, "leenet/0/stats.other_doubt", "leenet/0/stats.least_doubt");
    OK(ln_model_load_memory(&again, bytes, size, NULL, &err));
    ln_model_free(again);
    for (key += strlen(".moved"); *key != '1'; key++)
        ;
    *key = '2';
    FAILS(LN_E_FORMAT, ln_model_load_memory(&again, bytes, size, NULL, &err));
    ck_assert_msg(strstr(err.text, ".moved is '2'"), "%s", err.text);
    *key = '1';
    for (key = find(bytes, size, ".learned") + strlen(".learned"); *key != '0'; key++)
        ;
    *key = '4';
    FAILS(LN_E_FORMAT, ln_model_load_memory(&again, bytes, size, NULL, &err));
    ck_assert_msg(strstr(err.text, ".learned: objective 4"), "%s", err.text);
    free(bytes);
    unlink(path);
    ln_model_free(model);
}
END_TEST

START_TEST(damaged_curves_are_refused)
{
    ln_model *model = trained(), *again = NULL;
    char path[] = "/tmp/leenet-targets-XXXXXX";
    ln_target t = LN_TARGET_INIT;

    t.budget = 0.7;
    t.cost = LN_COST_MACS;
    OK(ln_target_set_default(model, &t, &err));
    close(mkstemp(path));
    OK(ln_model_save(model, path, &err));
    size_t size;
    char *bytes = read_bytes(path, &size);
    /* Key, then the value's tag and two bytes of length or one. */
    char *value = find(bytes, size, "leenet.curve.gate.1") + strlen("leenet.curve.gate.1") + 1;
    while (*value < '0' || *value > '9' || value[1] != ' ')
        value++;
    static const char bad[] = { '9', '-', 'x', ' ' };
    char was = *value;
    for (size_t i = 0; i < sizeof bad; i++) {
        *value = bad[i];
        FAILS(LN_E_FORMAT, ln_model_load_memory(&again, bytes, size, NULL, &err));
        ck_assert_msg(strstr(err.text, "leenet.curve.gate.1"), "%s", err.text);
    }
    *value = was;
    OK(ln_model_load_memory(&again, bytes, size, NULL, &err));
    char *key = find(bytes, size, "leenet.curve.gate.2");
    key[0] = 'L';
    ln_model_free(again);
    FAILS(LN_E_FORMAT, ln_model_load_memory(&again, bytes, size, NULL, &err));
    key[0] = 'l';
    /* "0 2 0.7 -1 0 0" */
    value = strstr(find(bytes, size, "leenet.default_target") + 1, "0 2 0.7 ");
    ck_assert_ptr_nonnull(value);
    static const char *const targets[] = { "9 2 0.7 ", "3 2 0.7 ", "0 3 0.7 ", "0 2 0.0 ", "0 2 1e- ", "0 2 -.7 ", "0 2 .7 0" };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        memcpy(value, targets[i], strlen(targets[i]));
        FAILS(LN_E_FORMAT, ln_model_load_memory(&again, bytes, size, NULL, &err));
        ck_assert_msg(strstr(err.text, "leenet.default_target"), "%s", err.text);
    }
    free(bytes);
    unlink(path);
    ln_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *core = tcase_create("core");

    tcase_set_timeout(core, 600);
    tcase_add_test(core, training_leaves_a_curve_and_files_keep_it);
    tcase_add_test(core, a_setting_becomes_a_point);
    tcase_add_test(core, points_know_how_they_were_trained);
    tcase_add_test(core, gates_on_other_statistics_are_refused);
    tcase_add_test(core, damaged_curves_are_refused);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
