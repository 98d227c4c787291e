/* test_learned.c - which rows heads and gates learn from: none twice, whatever it is called; and what a training that fails or is
 * stopped leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_calls.h"

#define DATA_AGAIN "tests/../tests/data/shapes.tar.gz"

static ln_model *load(void)
{
    ln_model *model = NULL;
    OK(ln_model_load(&model, MODEL, NULL, &err));
    return model;
}

static void train(ln_model *model, ln_data *data)
{
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_gate_options g = LN_GATE_OPTIONS_INIT;

    t.epochs = 2;
    t.threads = g.threads = 1;
    g.cost = LN_COST_MACS;
    g.alphas = (double[]){ 0.5 };
    g.n_alphas = 1;
    OK(ln_exit_train(model, data, &t, &err));
    OK(ln_gate_train(model, data, &g, &err));
}

static size_t common(const char *a, const char *b, size_t *first)
{
    ln_data *one = open_rows(a), *other = open_rows(b);
    size_t count = 99;

    OK(ln_data_common(one, other, &count, first, &err));
    ln_data_free(one);
    ln_data_free(other);
    return count;
}

START_TEST(rows_are_known_by_their_files)
{
    size_t first = 99;

    ck_assert_uint_eq(common(DATA ":part=0/2", DATA_AGAIN, &first), 60);
    ck_assert_uint_eq(first, 0);
    ck_assert_uint_eq(common(DATA, DATA_AGAIN ":part=1/2", &first), 60);
    ck_assert_uint_eq(first, 1);
    ck_assert_uint_eq(common(DATA ":part=0/2", DATA_AGAIN ":part=1/2", NULL), 0);
}
END_TEST

/* A folder's pictures, by a link to one of them and by another way to all. */
START_TEST(links_to_pictures_are_followed)
{
    char folder[] = "/tmp/leenet-rows-XXXXXX", command[600], spec[80];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(command, sizeof command, "mkdir -p %s/all %s/linked/disc %s/linked/other && tar xzf " DATA " -C %s/all && cd %s && "
             "ln -s ../../all/disc/$(ls all/disc | head -n 1) linked/disc/one.png && cp all/disc/$(ls all/disc | tail -n 1) linked/other/two.png",
             folder, folder, folder, folder, folder);
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof command, "%s/all", folder);
    snprintf(spec, sizeof spec, "%s/./linked", folder);
    ck_assert_uint_eq(common(command, spec, NULL), 1);
    ck_assert_uint_eq(common(spec, command, NULL), 1);
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* A file's number may be used again as soon as it is gone. */
START_TEST(files_written_anew_are_others)
{
    char folder[] = "/tmp/leenet-anew-XXXXXX", command[300];
    ln_model *model = NULL;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(command, sizeof command, "tar xzf " DATA " -C %s", folder);
    ck_assert_int_eq(system(command), 0);
    OK(ln_model_load(&model, MODEL, NULL, &err));
    OK(ln_exit_add_auto(model, 1, NULL, &err));
    ln_data *data = open_rows(folder);
    train(model, data);
    ln_data_free(data);
    snprintf(command, sizeof command, "cd %s && for f in */*; do cp $f copy && rm $f && mv copy $f; done", folder);
    ck_assert_int_eq(system(command), 0);
    data = open_rows(folder);
    OK(ln_policy_calibrate(model, data, NULL, &err));
    ln_data_free(data);
    ln_model_free(model);
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(arguments_of_common_are_checked)
{
    ln_data *data = open_rows(DATA);
    size_t count = 1;

    FAILS(LN_E_ARGUMENT, ln_data_common(NULL, data, &count, NULL, &err));
    ck_assert_uint_eq(count, 0);
    FAILS(LN_E_ARGUMENT, ln_data_common(data, NULL, &count, NULL, &err));
    FAILS(LN_E_ARGUMENT, ln_data_common(data, data, NULL, NULL, &err));
    ln_data_free(data);
}
END_TEST

/* Gates from rows that heads know learn that heads are always right. */
START_TEST(gates_refuse_rows_that_heads_know)
{
    ln_gate_options g = LN_GATE_OPTIONS_INIT;
    ln_policy_options p = LN_POLICY_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=0/2"), *again = open_rows(DATA_AGAIN ":part=0/4"), *others = open_rows(DATA ":part=1/2");
    ln_model *model = load();

    OK(ln_exit_add_auto(model, 2, NULL, &err));
    train(model, data);
    uint32_t points = ln_model_point_count(model);
    FAILS(LN_E_ARGUMENT, ln_gate_train(model, again, &g, &err));
    ck_assert_msg(strstr(err.text, "learned from 30 of these 30 rows"), "%s", err.text);
    FAILS(LN_E_ARGUMENT, ln_policy_train(model, again, &p, &err));
    ck_assert_uint_eq(ln_model_point_count(model), points);
    OK(ln_gate_train(model, others, &g, &err));
    OK(ln_gate_train(model, others, &g, &err));     /* gates may read theirs again */
    ln_model_free(model);
    ln_data_free(data);
    ln_data_free(again);
    ln_data_free(others);
}
END_TEST

START_TEST(heads_are_not_judged_by_further_rows)
{
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=0/2"), *mixed = open_rows(DATA_AGAIN);
    ln_model *model = load();

    o.head_rows = t.head_rows = mixed;
    o.epochs = t.epochs = 1;
    FAILS(LN_E_ARGUMENT, ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    ck_assert_msg(strstr(err.text, "60 of these 120 rows"), "%s", err.text);
    OK(ln_exit_add_auto(model, 1, NULL, &err));
    train(model, data);
    uint32_t points = ln_model_point_count(model);
    FAILS(LN_E_ARGUMENT, ln_exit_train(model, data, &t, &err));
    ck_assert_uint_eq(ln_model_point_count(model), points);
    ln_model_free(model);
    ln_data_free(data);
    ln_data_free(mixed);
}
END_TEST

START_TEST(a_training_that_cannot_begin_leaves_points)
{
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_exit_info info = LN_EXIT_INFO_INIT;
    ln_model *model = load();

    OK(ln_exit_add_auto(model, 1, NULL, &err));
    train(model, data);
    t.max_memory = 1;
    t.cache_folder = "/no/such/folder";
    FAILS(LN_E_IO, ln_exit_train(model, data, &t, &err));
    ck_assert_uint_ge(ln_model_point_count(model), 1);
    OK(ln_exit_get_info(model, 0, &info, &err));
    ck_assert_uint_eq(info.trained, 1);
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

static int stop_in_second_head(const ln_progress *progress, void *payload)
{
    (void)payload;
    return strcmp(progress->stage, "head") == 0 && progress->exit == 1;
}

/* A head that builds on the one before it knew another. */
START_TEST(a_training_again_that_is_stopped_leaves_no_old_heads)
{
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_model *model = load();

    OK(ln_exit_add_auto(model, 2, NULL, &err));
    train(model, data);
    t.epochs = 2;
    t.progress = stop_in_second_head;
    FAILS(LN_E_CANCELLED, ln_exit_train(model, data, &t, &err));
    for (uint32_t e = 0; e < 2; e++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        OK(ln_exit_get_info(model, e, &info, &err));
        ck_assert_uint_eq(info.trained, e == 0);
        ck_assert(info.carry == 0);
    }
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

/* What placing has seen is of the classes it knew. */
START_TEST(classes_may_change_between_placing_and_training)
{
    static const uint32_t two[] = { 0, 1 };
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_data *data = open_rows(DATA);
    ln_model *model = load();

    o.exits = 1;
    o.epochs = t.epochs = 1;
    OK(ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    OK(ln_model_set_classes(model, NULL, two, 2, &err));
    ln_status st = ln_exit_train(model, data, &t, &err);
    ck_assert_msg(st == LN_E_MISMATCH, "%s: %s", ln_status_name(st), err.text);
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

static int count_calls(const ln_progress *progress, void *payload)
{
    (void)progress;
    ++*(int *)payload;
    return 0;
}

START_TEST(options_of_placing_are_checked_before_work)
{
    ln_exit_options heads = LN_EXIT_OPTIONS_INIT;
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_data *data = open_rows(DATA);
    ln_model *model = load();
    int calls = 0;

    heads.hidden = 70000;
    o.heads = &heads;
    o.progress = count_calls;
    o.progress_payload = &calls;
    FAILS(LN_E_ARGUMENT, ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    ck_assert_int_eq(calls, 0);
    ln_model_free(model);
    ln_data_free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("learned");
    TCase *t = tcase_create("learned");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, rows_are_known_by_their_files);
    tcase_add_test(t, links_to_pictures_are_followed);
    tcase_add_test(t, arguments_of_common_are_checked);
    tcase_add_test(t, files_written_anew_are_others);
    tcase_add_test(t, gates_refuse_rows_that_heads_know);
    tcase_add_test(t, heads_are_not_judged_by_further_rows);
    tcase_add_test(t, a_training_that_cannot_begin_leaves_points);
    tcase_add_test(t, a_training_again_that_is_stopped_leaves_no_old_heads);
    tcase_add_test(t, classes_may_change_between_placing_and_training);
    tcase_add_test(t, options_of_placing_are_checked_before_work);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
