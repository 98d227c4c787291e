/* test_api.c - the main job through the public header: load, exits, training, saving, answering. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_calls.h"

static ln_model *load(const char *path)
{
    ln_model *model = NULL;
    OK(ln_model_load(&model, path, NULL, &err));
    return model;
}

static const double alphas[3] = { 0.2, 0.5, 0.9 };

static void train_for(ln_model *model, int32_t head, int32_t gate, int32_t objective, uint32_t chained)
{
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_gate_options g = LN_GATE_OPTIONS_INIT;
    ln_data *data = open_rows(DATA ":part=0/2");

    e.head = head;
    e.hidden = 16;
    OK(ln_exit_add_auto(model, 2, &e, &err));
    t.epochs = 6;
    t.threads = 2;
    t.unchained = !chained;
    OK(ln_exit_train(model, data, &t, &err));
    g.alphas = alphas;
    g.n_alphas = 3;
    g.input = gate;
    g.objective = objective;
    g.epochs = 10;
    g.threads = 2;
    OK(ln_gate_train(model, data, &g, &err));
    ln_data_free(data);
    ck_assert_uint_eq(ln_model_point_count(model), 3);
}

static void train(ln_model *model, int32_t head, int32_t gate)
{
    train_for(model, head, gate, gate == LN_GATE_STATISTICS ? LN_OBJECTIVE_INDUCTION : LN_OBJECTIVE_LEENET, 0);
}

/* Inputs of the data set's first n rows, freed by the caller. */
static float *inputs(const ln_model *model, size_t n)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_data *data = open_rows(DATA ":part=1/2");

    OK(ln_model_get_info(model, &info, &err));
    float *x = malloc(n * info.channels * info.height * info.width * sizeof *x);
    OK(ln_data_read(data, model, 0, n, x, NULL, &err));
    ln_data_free(data);
    return x;
}

static void answers(ln_model *model, uint32_t point, uint32_t threads, uint32_t max_rows, const float *x, size_t row,
                    size_t n, size_t at_once, ln_result *results, float *logits)
{
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_session *session = NULL;
    uint32_t classes = ln_model_class_count(model);

    o.max_rows = max_rows;
    o.threads = threads;
    o.use_point = 1;
    o.point = point;
    OK(ln_session_open(&session, model, &o, &err));
    for (size_t i = 0; i < n; i += at_once) {
        size_t k = at_once < n - i ? at_once : n - i;
        OK(ln_infer_early(session, x + i * row, k, results + i, logits + i * classes, &err));
    }
    ln_session_free(session);
}

enum { ROWS = 21 };

static void rows_stand_alone(int32_t head, int32_t gate)
{
    ln_model *model = load(MODEL);
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_result one[ROWS], many[ROWS];
    uint32_t exits = 0;

    train(model, head, gate);
    OK(ln_model_get_info(model, &info, &err));
    size_t row = (size_t)info.channels * info.height * info.width, bytes = ROWS * info.classes * sizeof(float);
    float *x = inputs(model, ROWS), *a = malloc(bytes), *b = malloc(bytes);
    static const struct { uint32_t threads, rows; } ways[] = { { 1, ROWS }, { 1, 8 }, { 1, 3 }, { 2, ROWS }, { 2, 1 }, { 3, 7 } };
    for (uint32_t p = 0; p < 3; p++) {
        answers(model, p, 1, 1, x, row, ROWS, 1, one, a);
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            answers(model, p, ways[w].threads, ways[w].rows, x, row, ROWS, ways[w].rows, many, b);
            for (int i = 0; i < ROWS; i++) {
                if (fabsf(one[i].gate - (float)ln_point_threshold(model, p, one[i].exit)) < 1e-4f)
                    continue;
                ck_assert_uint_eq(one[i].exit, many[i].exit);
                ck_assert_int_eq(one[i].label, many[i].label);
                exits |= 1u << one[i].exit;
                float top = 0;
                for (uint32_t c = 0; c < info.classes; c++)
                    top = fmaxf(top, fabsf(a[(size_t)i * info.classes + c]));
                for (uint32_t c = 0; c < info.classes; c++)
                    ck_assert(fabsf(a[(size_t)i * info.classes + c] - b[(size_t)i * info.classes + c]) <= 1e-4f * top);
            }
        }
    }
    ck_assert_msg((exits & (exits - 1)) != 0, "every row left at the same exit; this test shows nothing");
    free(x);
    free(a);
    free(b);
    ln_model_free(model);
}

START_TEST(a_row_does_not_depend_on_its_neighbours)
{
    rows_stand_alone(LN_HEAD_POOL, LN_GATE_STATISTICS);
    rows_stand_alone(LN_HEAD_CONV, LN_GATE_BOTH);
}
END_TEST

static void saved_is_the_same(int32_t head, int32_t gate, uint32_t chained)
{
    char path[] = "/tmp/leenet-test-XXXXXX";
    ln_result before[ROWS], after[ROWS];
    ln_model *model = load(MODEL), *again;
    ln_model_info info = LN_MODEL_INFO_INIT;
    int fd = mkstemp(path);

    close(fd);
    train_for(model, head, gate, LN_OBJECTIVE_LEENET, chained);
    OK(ln_model_get_info(model, &info, &err));
    size_t row = (size_t)info.channels * info.height * info.width, bytes = ROWS * info.classes * sizeof(float);
    float *x = inputs(model, ROWS), *a = malloc(bytes), *b = malloc(bytes);
    OK(ln_model_save(model, path, &err));
    again = load(path);
    ck_assert_uint_eq(ln_model_exit_count(again), 2);
    ck_assert_uint_eq(ln_model_point_count(again), 3);
    for (uint32_t p = 0; p < 3; p++) {
        ln_point_info one = LN_POINT_INFO_INIT, two = LN_POINT_INFO_INIT;
        OK(ln_point_get_info(model, p, &one, &err));
        OK(ln_point_get_info(again, p, &two, &err));
        ck_assert_mem_eq(&one, &two, sizeof one);
        ck_assert(two.gate_input == gate && two.gate_hidden > 0 && two.objective == LN_OBJECTIVE_LEENET && two.price == LN_PRICE_ERROR &&
                  two.same_rows == 0);
        ck_assert_double_eq(ln_point_threshold(model, p, 1), ln_point_threshold(again, p, 1));
        answers(model, p, 1, 4, x, row, ROWS, 4, before, a);
        answers(again, p, 1, 4, x, row, ROWS, 4, after, b);
        ck_assert_mem_eq(before, after, sizeof before);
        ck_assert_mem_eq(a, b, bytes);
    }
    ck_assert_str_eq(ln_model_class_name(model, 1), ln_model_class_name(again, 1));
    free(x);
    free(a);
    free(b);
    ln_model_free(model);
    ln_model_free(again);
    unlink(path);
}

START_TEST(saved_and_loaded_is_the_same_to_the_bit)
{
    saved_is_the_same(LN_HEAD_POOL, LN_GATE_STATISTICS, 0);
    saved_is_the_same(LN_HEAD_FLATTEN, LN_GATE_FEATURES, 0);
    saved_is_the_same(LN_HEAD_POOL, LN_GATE_BOTH, 0);
    saved_is_the_same(LN_HEAD_CONV, LN_GATE_STATISTICS, 0);
    saved_is_the_same(LN_HEAD_CONV, LN_GATE_FEATURES, 0);
    saved_is_the_same(LN_HEAD_CONV, LN_GATE_BOTH, 0);
    saved_is_the_same(LN_HEAD_POOL, LN_GATE_STATISTICS, 1);
    saved_is_the_same(LN_HEAD_FLATTEN, LN_GATE_FEATURES, 1);
}
END_TEST

/* Every objective makes gates that save more the more cost weighs, at accuracies worth having. */
START_TEST(every_objective_trades_cost_for_accuracy)
{
    static const int32_t gates[] = { LN_GATE_STATISTICS, LN_GATE_BOTH };

    for (int32_t objective = LN_OBJECTIVE_INDUCTION; objective <= LN_OBJECTIVE_NO_REGRET; objective++)
        for (int k = 0; k < 2; k++) {
            ln_model *model = load(MODEL);
            ln_point_info p[3] = { LN_POINT_INFO_INIT, LN_POINT_INFO_INIT, LN_POINT_INFO_INIT };

            train_for(model, LN_HEAD_POOL, gates[k], objective, 0);
            for (uint32_t i = 0; i < 3; i++)
                OK(ln_point_get_info(model, i, &p[i], &err));
            ck_assert_msg(p[0].accuracy > 0.9 * p[0].plain_accuracy, "objective %d, gates %d: %g of %g", objective, gates[k], p[0].accuracy,
                          p[0].plain_accuracy);
            ck_assert_msg(p[2].time_share < p[0].time_share || p[0].time_share < 0.5, "objective %d, gates %d: %g at alpha 0.9, %g at 0.2",
                          objective, gates[k], p[2].time_share, p[0].time_share);
            ln_model_free(model);
        }
}
END_TEST

static int count_features(const ln_progress *progress, void *payload)
{
    *(size_t *)payload += strcmp(progress->stage, "features") == 0;
    return 0;
}

/* What placing has seen of the rows is what training would see. */
START_TEST(placed_exits_are_trained_without_another_pass)
{
    ln_model *placed = load(MODEL), *added = load(MODEL);
    ln_data *data = open_rows(DATA ":part=0/2"), *other = open_rows(DATA ":part=0/2");
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_exit_info one = LN_EXIT_INFO_INIT, two = LN_EXIT_INFO_INIT;
    size_t passes = 0;

    o.exits = 2;
    t.epochs = 3;
    t.progress = count_features;
    t.progress_payload = &passes;
    OK(ln_exit_place(placed, data, &o, NULL, 0, NULL, &err));
    OK(ln_exit_train(placed, data, &t, &err));
    ck_assert_uint_eq(passes, 0);
    for (uint32_t e = 0; e < 2; e++) {
        OK(ln_exit_get_info(placed, e, &one, &err));
        OK(ln_exit_add(added, one.value, NULL, &err));
    }
    OK(ln_exit_train(added, data, &t, &err));
    ck_assert(passes > 0);
    for (uint32_t e = 0; e < 2; e++) {
        OK(ln_exit_get_info(placed, e, &one, &err));
        OK(ln_exit_get_info(added, e, &two, &err));
        ck_assert_double_eq(one.heldout_accuracy, two.heldout_accuracy);
    }
    OK(ln_exit_clear(placed, &err));
    OK(ln_exit_place(placed, data, &o, NULL, 0, NULL, &err));
    passes = 0;
    OK(ln_exit_train(placed, other, &t, &err));     /* other rows, for all the model knows */
    ck_assert(passes > 0);
    ln_data_free(data);
    ln_data_free(other);
    ln_model_free(placed);
    ln_model_free(added);
}
END_TEST

/* More rows to learn from make better heads of those that are tried; figures stay those of the first rows. */
START_TEST(heads_tried_by_placing_learn_from_further_rows)
{
    ln_model *model = load(MODEL);
    ln_data *data = open_rows(DATA ":part=0/8"), *more = open_rows(DATA ":not=0/8");
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_place places[63];
    size_t count = 0;
    double accuracy[2] = { 0, 0 };

    o.cost = LN_COST_MACS;
    o.exits = 1;
    for (int with = 0; with < 2; with++) {
        o.head_rows = with ? more : NULL;
        OK(ln_exit_place(model, data, &o, places, 63, &count, &err));
        for (size_t i = 0; i < count; i++)
            accuracy[with] += places[i].accuracy / (double)count;
        if (!with)
            OK(ln_exit_clear(model, &err));
    }
    ck_assert_msg(accuracy[1] > accuracy[0] + 0.01, "mean accuracy %g without further rows, %g with them", accuracy[0], accuracy[1]);
    t.epochs = 2;
    t.head_rows = more;
    OK(ln_exit_train(model, data, &t, &err));
    ln_data_free(data);
    ln_data_free(more);
    ln_model_free(model);
}
END_TEST

static int count_places(const ln_progress *progress, void *payload)
{
    *(size_t *)payload += strcmp(progress->stage, "place") == 0;
    return 0;
}

static int stop_in_places(const ln_progress *progress, void *payload)
{
    (void)payload;
    return strcmp(progress->stage, "place") == 0;
}

START_TEST(exits_are_placed_where_they_do_most)
{
    ln_model *model = load(MODEL);
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_place_options o = LN_PLACE_OPTIONS_INIT;
    ln_exit_options heads = LN_EXIT_OPTIONS_INIT;
    ln_place first[63], again[63];
    size_t count = 0, candidates = 0, seen = 0;
    double half = 0.5;
    uint32_t at = 0;

    OK(ln_exit_candidates(model, NULL, 0, &candidates, &err));
    heads.hidden = 16;
    o.heads = &heads;
    o.exits = 2;
    o.cost = LN_COST_MACS;
    o.budgets = &half;
    o.n_budgets = 1;
    o.seed = 3;
    o.threads = 2;
    o.progress = count_places;
    o.progress_payload = &seen;
    OK(ln_exit_place(model, data, &o, first, 63, &count, &err));
    ck_assert_uint_eq(count, candidates);
    ck_assert_uint_eq(seen, candidates);
    ck_assert_uint_eq(ln_model_exit_count(model), 2);
    for (size_t i = 0; i < count; i++) {
        ck_assert(first[i].share > (i ? first[i - 1].share : 0) - 1e-12 && first[i].share <= 1 && first[i].head_share > 0);
        ck_assert(first[i].accuracy > 0 && (first[i].chosen || first[i].gain == 0));
        if (!first[i].chosen)
            continue;
        ln_exit_info info = LN_EXIT_INFO_INIT;
        OK(ln_exit_get_info(model, at++, &info, &err));
        ck_assert_str_eq(info.value, first[i].value);
        ck_assert(info.hidden == 16 && !info.trained);
    }
    ck_assert_uint_eq(at, 2);
    FAILS(LN_E_STATE, ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    OK(ln_exit_clear(model, &err));
    o.threads = 1;
    OK(ln_exit_place(model, data, &o, again, 63, NULL, &err));
    for (size_t i = 0; i < count; i++)
        ck_assert(first[i].chosen == again[i].chosen && first[i].accuracy == again[i].accuracy);
    /* Budgets that no exit can keep do not count. */
    double out_of_reach[] = { 1e-6, half };
    o.budgets = out_of_reach;
    o.n_budgets = 2;
    OK(ln_exit_clear(model, &err));
    OK(ln_exit_place(model, data, &o, again, 63, NULL, &err));
    for (size_t i = 0; i < count; i++)
        ck_assert(first[i].chosen == again[i].chosen && first[i].gain == again[i].gain);
    o.n_budgets = 1;
    OK(ln_exit_clear(model, &err));
    OK(ln_exit_place(model, data, &o, again, 63, NULL, &err));
    size_t of_use = 0;          /* one may be needed for the budget served instead, the other for accuracy */
    for (size_t i = 0; i < count; i++)
        of_use += again[i].chosen && again[i].gain < 1;
    ck_assert_uint_ge(of_use, 1);
    o.budgets = &half;
    OK(ln_exit_clear(model, &err));
    OK(ln_exit_place(model, data, NULL, NULL, 0, &count, &err));    /* measured time, as many exits as pay */
    ck_assert(ln_model_exit_count(model) >= 1 && ln_model_exit_count(model) <= 8);
    OK(ln_exit_clear(model, &err));
    half = 0;
    FAILS(LN_E_ARGUMENT, ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    half = 0.5;
    o.exits = 63;
    FAILS(LN_E_ARGUMENT, ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    o.exits = 0;
    o.progress = stop_in_places;
    FAILS(LN_E_CANCELLED, ln_exit_place(model, data, &o, NULL, 0, NULL, &err));
    ck_assert_uint_eq(ln_model_exit_count(model), 0);
    ln_data_free(data);
    ln_model_free(model);
}
END_TEST

START_TEST(an_open_session_freezes_the_model)
{
    ln_model *model = load(MODEL);
    ln_session *session = NULL;
    ln_preprocess p = LN_PREPROCESS_INIT;

    OK(ln_session_open(&session, model, NULL, &err));
    FAILS(LN_E_STATE, ln_exit_add_auto(model, 1, NULL, &err));
    FAILS(LN_E_STATE, ln_model_set_preprocess(model, &p, &err));
    FAILS(LN_E_STATE, ln_model_tune(model, NULL, &err));
    FAILS(LN_E_STATE, ln_exit_clear(model, &err));
    ln_session_free(session);
    OK(ln_exit_add_auto(model, 1, NULL, &err));
    FAILS(LN_E_STATE, ln_session_open(&session, model, NULL, &err));
    ck_assert_ptr_null(session);
    ln_model_free(model);
}
END_TEST

typedef struct tuning { unsigned calls, stop_at; uint64_t done, total; } tuning;

static int watch_tuning(const ln_progress *now, void *payload)
{
    tuning *t = payload;

    ck_assert_str_eq(now->stage, "tune");
    ck_assert(now->done >= t->done && now->done <= now->total);
    ck_assert(isnan(now->rows_per_second));
    t->done = now->done;
    t->total = now->total;
    return ++t->calls == t->stop_at;
}

START_TEST(tuning_is_watched_and_stopped)
{
    ln_model *model = load(MODEL);
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_tune_options o = LN_TUNE_OPTIONS_INIT;
    tuning t = { .stop_at = 1 };

    o.progress = watch_tuning;
    o.progress_payload = &t;
    FAILS(LN_E_CANCELLED, ln_model_tune(model, &o, &err));
    ck_assert_uint_eq(t.calls, 1);
    OK(ln_model_get_info(model, &info, &err));
    ck_assert_msg(!info.tuned, "a stopped measurement was kept");
    t = (tuning){ 0 };
    OK(ln_model_tune(model, &o, &err));
    ck_assert(t.calls > 0 && t.done == t.total);
    OK(ln_model_get_info(model, &info, &err));
    ck_assert(info.tuned);
    o.struct_size = 1;
    FAILS(LN_E_ARGUMENT, ln_model_tune(model, &o, &err));
    ln_model_free(model);
}
END_TEST

START_TEST(a_session_outlives_its_model)
{
    ln_model *model = load(MODEL);
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_session *session = NULL;
    ln_result result;

    OK(ln_model_get_info(model, &info, &err));
    float *x = calloc((size_t)info.channels * info.height * info.width, sizeof *x);
    OK(ln_session_open(&session, model, NULL, &err));
    ln_model_free(model);
    OK(ln_infer_full(session, x, 1, &result, NULL, &err));
    x[3] = NAN;
    FAILS(LN_E_ARGUMENT, ln_infer_full(session, x, 1, &result, NULL, &err));
    x[3] = 0;
    FAILS(LN_E_ARGUMENT, ln_infer_full(session, x, 2, &result, NULL, &err));
    FAILS(LN_E_ARGUMENT, ln_infer_full(session, x, 0, &result, NULL, &err));
    free(x);
    ln_session_free(session);
}
END_TEST

START_TEST(bad_arguments_are_named)
{
    ln_model *model = load(MODEL), *none = NULL;
    ln_data *data = open_rows(DATA);
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_gate_options g = LN_GATE_OPTIONS_INIT;
    double alpha = 1.5;

    FAILS(LN_E_ARGUMENT, ln_model_load(&none, NULL, NULL, &err));
    FAILS(LN_E_IO, ln_model_load(&none, "/no/such/file.onnx", NULL, &err));
    FAILS(LN_E_ARGUMENT, ln_exit_add(model, "no such value", NULL, &err));
    FAILS(LN_E_ARGUMENT, ln_exit_add_auto(model, 0, NULL, &err));
    FAILS(LN_E_ARGUMENT, ln_exit_add_auto(model, 60, NULL, &err));
    FAILS(LN_E_STATE, ln_exit_train(model, data, NULL, &err));
    FAILS(LN_E_STATE, ln_gate_train(model, data, NULL, &err));
    OK(ln_exit_add_auto(model, 1, NULL, &err));
    t.folds = 1;
    FAILS(LN_E_ARGUMENT, ln_exit_train(model, data, &t, &err));
    FAILS(LN_E_STATE, ln_gate_train(model, data, NULL, &err));
    g.alphas = &alpha;
    FAILS(LN_E_ARGUMENT, ln_gate_train(model, data, &g, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "n_alphas"));
    g.n_alphas = 1;
    FAILS(LN_E_ARGUMENT, ln_gate_train(model, data, &g, &err));
    alpha = 0.5;
    g.input = LN_GATE_BOTH + 1;
    FAILS(LN_E_ARGUMENT, ln_gate_train(model, data, &g, &err));
    g.input = LN_GATE_BOTH;
    g.objective = LN_OBJECTIVE_NO_REGRET + 1;
    FAILS(LN_E_ARGUMENT, ln_gate_train(model, data, &g, &err));
    g.objective = 0;
    FAILS(LN_E_ARGUMENT, ln_point_set_default(model, 0, &err));
    ln_data_free(data);
    ln_model_free(model);
}
END_TEST

static int stop_in_heads(const ln_progress *progress, void *payload)
{
    (void)payload;
    return strcmp(progress->stage, "head") == 0 && progress->exit == 1;
}

START_TEST(stopped_training_keeps_what_is_finished)
{
    ln_model *model = load(MODEL);
    ln_data *data = open_rows(DATA);
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_exit_info first = LN_EXIT_INFO_INIT, second = LN_EXIT_INFO_INIT;

    OK(ln_exit_add_auto(model, 2, NULL, &err));
    t.epochs = 2;
    t.progress = stop_in_heads;
    FAILS(LN_E_CANCELLED, ln_exit_train(model, data, &t, &err));
    OK(ln_exit_get_info(model, 0, &first, &err));
    OK(ln_exit_get_info(model, 1, &second, &err));
    ck_assert_uint_eq(first.trained, 1);
    ck_assert_uint_eq(second.trained, 0);
    ln_data_free(data);
    ln_model_free(model);
}
END_TEST

START_TEST(evaluation_counts_every_row_once)
{
    ln_model *model = load(MODEL);
    ln_session *session = NULL;
    ln_session_options o = LN_SESSION_OPTIONS_INIT;
    ln_evaluate_options judge = LN_EVALUATE_OPTIONS_INIT;
    ln_evaluation out[2] = { LN_EVALUATION_INIT, LN_EVALUATION_INIT };
    ln_exit_share shares[2][3];
    uint32_t points[2] = { 0, 2 };

    train(model, LN_HEAD_POOL, LN_GATE_STATISTICS);
    ln_data *data = open_rows(DATA ":part=1/2");
    o.max_rows = 8;
    OK(ln_session_open(&session, model, &o, &err));
    judge.points = points;
    judge.n_points = 2;
    judge.rows = 8;
    out[0].exits = shares[0];
    out[1].exits = shares[1];
    OK(ln_evaluate(session, data, &judge, out, &err));
    for (int p = 0; p < 2; p++) {
        uint64_t left = 0;
        double right = 0;
        for (int e = 0; e < 3; e++) {
            left += shares[p][e].rows;
            right += shares[p][e].accuracy * (double)shares[p][e].rows;
        }
        ck_assert_uint_eq(left, ln_data_rows(data));
        ck_assert_uint_eq(out[p].rows, ln_data_rows(data));
        ck_assert(fabs(right / (double)left - out[p].accuracy) < 1e-9);
        ck_assert(out[p].macs_share > 0 && out[p].macs_share < 1.5);
    }
    ck_assert(out[1].macs_share <= out[0].macs_share + 1e-9);
    ln_session_free(session);
    ln_data_free(data);
    ln_model_free(model);
}
END_TEST

/* Two callers on one model, each with a session of its own. */
typedef struct caller { ln_model *model; const float *x; size_t row; ln_result results[ROWS]; ln_status status; } caller;

static void *call(void *payload)
{
    caller *c = payload;
    ln_session *session = NULL;

    c->status = ln_session_open(&session, c->model, NULL, NULL);
    for (int round = 0; round < 5 && c->status == LN_OK; round++)
        for (int i = 0; i < ROWS && c->status == LN_OK; i++)
            c->status = ln_infer_early(session, c->x + (size_t)i * c->row, 1, &c->results[i], NULL, NULL);
    ln_session_free(session);
    return NULL;
}

START_TEST(two_threads_share_one_model)
{
    ln_model *model = load(MODEL);
    ln_model_info info = LN_MODEL_INFO_INIT;
    pthread_t threads[2];
    caller callers[2];

    train(model, LN_HEAD_POOL, LN_GATE_STATISTICS);
    OK(ln_model_get_info(model, &info, &err));
    float *x = inputs(model, ROWS);
    for (int i = 0; i < 2; i++) {
        callers[i] = (caller){ .model = model, .x = x, .row = (size_t)info.channels * info.height * info.width };
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(callers[i].status, LN_OK);
    }
    ck_assert_mem_eq(callers[0].results, callers[1].results, sizeof callers[0].results);
    free(x);
    ln_model_free(model);
}
END_TEST

/* Other classes than the network's: its last layer is replaced, trained, saved and found again. */
START_TEST(the_last_layer_can_be_replaced)
{
    char path[] = "/tmp/leenet-test-XXXXXX";
    ln_model *model = load(MODEL), *again;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_data *data = open_rows(DATA);
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_session *session = NULL;
    ln_evaluate_options judge = LN_EVALUATE_OPTIONS_INIT;
    ln_evaluation plain = LN_EVALUATION_INIT, reloaded = LN_EVALUATION_INIT;
    int fd = mkstemp(path);

    close(fd);
    OK(ln_model_get_info(model, &info, &err));
    OK(ln_model_set_classes(model, NULL, NULL, info.classes + 2, &err));
    FAILS(LN_E_STATE, ln_session_open(&session, model, NULL, &err));
    t.epochs = 40;
    t.learning_rate = 0.01;
    OK(ln_exit_train(model, data, &t, &err));
    judge.plain_only = 1;
    OK(ln_session_open(&session, model, NULL, &err));
    OK(ln_evaluate(session, data, &judge, &plain, &err));
    ln_session_free(session);
    ck_assert_msg(plain.plain_accuracy > 0.8, "accuracy %g", plain.plain_accuracy);
    OK(ln_model_save(model, path, &err));
    again = load(path);
    ck_assert_uint_eq(ln_model_class_count(again), info.classes + 2);
    OK(ln_session_open(&session, again, NULL, &err));
    OK(ln_evaluate(session, data, &judge, &reloaded, &err));
    ck_assert_double_eq(plain.plain_accuracy, reloaded.plain_accuracy);
    ln_session_free(session);
    OK(ln_model_save(again, path, &err));
    ln_data_free(data);
    ln_model_free(model);
    ln_model_free(again);
    unlink(path);
}
END_TEST

START_TEST(automatic_exits_leave_taken_places_alone)
{
    ln_model *model = load(MODEL);
    ln_exit_info one = LN_EXIT_INFO_INIT, two = LN_EXIT_INFO_INIT;

    OK(ln_exit_add_auto(model, 1, NULL, &err));
    OK(ln_exit_add_auto(model, 1, NULL, &err));
    OK(ln_exit_get_info(model, 0, &one, &err));
    OK(ln_exit_get_info(model, 1, &two, &err));
    ck_assert_str_ne(one.value, two.value);
    FAILS(LN_E_ARGUMENT, ln_exit_add(model, "", NULL, &err));
    ln_model_free(model);
}
END_TEST

/* Arrays without class names, twice: nothing but the class count says what the rows are. */
static void train_again(int32_t head)
{
    enum { N = 30 };
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_model *model = load(MODEL);
    ln_arrays arrays = LN_ARRAYS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_data *data = NULL;
    int32_t labels[N];
    float *x = inputs(model, N);
    ln_model_info info = LN_MODEL_INFO_INIT;

    OK(ln_model_get_info(model, &info, &err));
    for (int i = 0; i < N; i++)
        labels[i] = i % (int)info.classes;
    arrays.rows = N;
    arrays.inputs = x;
    arrays.channels = info.channels;
    arrays.height = info.height;
    arrays.width = info.width;
    arrays.labels = labels;
    arrays.classes = info.classes;
    OK(ln_data_from_arrays(&data, &arrays, NULL, &err));
    e.head = head;
    OK(ln_exit_add_auto(model, 1, &e, &err));
    t.epochs = 2;
    OK(ln_exit_train(model, data, &t, &err));
    t.head_rows = data;
    t.augment = 2;
    t.label_smoothing = 0.1;
    t.dropout = 0.2;
    t.distill = 0.5;
    OK(ln_exit_train(model, data, &t, &err));
    t.distill = 1.5;
    FAILS(LN_E_ARGUMENT, ln_exit_train(model, data, &t, &err));
    t.distill = 0;
    t.learning_rate = NAN;
    FAILS(LN_E_ARGUMENT, ln_exit_train(model, data, &t, &err));
    t.learning_rate = 0;
    t.batch = 4;
    if (head == LN_HEAD_CONV)
        FAILS(LN_E_ARGUMENT, ln_exit_train(model, data, &t, &err));
    else
        OK(ln_exit_train(model, data, &t, &err));
    ln_data_free(data);
    ln_model_free(model);
    free(x);
}

START_TEST(heads_can_be_trained_again)
{
    train_again(LN_HEAD_POOL);
    train_again(LN_HEAD_CONV);
}
END_TEST

START_TEST(convolutional_heads_suit_their_value)
{
    ln_model *model = load(MODEL);
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_exit_info info = LN_EXIT_INFO_INIT;
    ln_exit_candidate places[16];
    size_t count = 0;

    OK(ln_exit_candidates(model, places, 16, &count, &err));
    e.head = LN_HEAD_CONV;
    e.channels = 1025;
    FAILS(LN_E_ARGUMENT, ln_exit_add(model, places[0].value, &e, &err));
    e.channels = 5;
    e.cells = 3;
    OK(ln_exit_add(model, places[0].value, &e, &err));
    OK(ln_exit_get_info(model, 0, &info, &err));
    ck_assert_int_eq(info.head, LN_HEAD_CONV);
    ck_assert_uint_eq(info.head_channels, 5);
    ck_assert_uint_eq(info.cells, 3);
    ck_assert_uint_eq(info.hidden, 0);
    e.head = LN_HEAD_CONV + 1;
    FAILS(LN_E_ARGUMENT, ln_exit_add(model, places[1].value, &e, &err));
    ln_model_free(model);
    /* One pixel has nothing to convolve. */
    model = load(MODEL);
    e.head = LN_HEAD_CONV;
    e.cells = 0;
    OK(ln_exit_add(model, "/GlobalAveragePool_output_0", &e, &err));
    OK(ln_exit_get_info(model, 0, &info, &err));
    ck_assert_int_eq(info.head, LN_HEAD_POOL);
    ck_assert_uint_eq(info.hidden, 256);
    ck_assert_uint_eq(info.head_channels, 0);
    ln_model_free(model);
}
END_TEST

START_TEST(heads_behind_few_channels_read_cells_and_covariances)
{
    ln_model *model = load(MODEL);
    ln_exit_candidate places[16];
    ln_exit_options one_cell = LN_EXIT_OPTIONS_INIT;
    ln_exit_info info = LN_EXIT_INFO_INIT;
    size_t count = 0;

    OK(ln_exit_candidates(model, places, 16, &count, &err));
    ck_assert(places[0].channels <= 64);
    one_cell.cells = 1;
    OK(ln_exit_add(model, places[0].value, NULL, &err));
    OK(ln_exit_get_info(model, 0, &info, &err));
    ck_assert_uint_eq(info.cells, 4);
    ck_assert_uint_eq(info.hidden, 64);
    ck_assert_uint_eq(info.covariance, places[0].channels <= 32);
    OK(ln_exit_clear(model, &err));
    one_cell.covariance = UINT32_MAX;
    OK(ln_exit_add(model, places[0].value, &one_cell, &err));
    OK(ln_exit_get_info(model, 0, &info, &err));
    ck_assert_uint_eq(info.hidden, 256);
    ck_assert_uint_eq(info.covariance, 0);
    one_cell.covariance = 1;
    OK(ln_exit_add(model, places[count - 1].value, &one_cell, &err));
    OK(ln_exit_get_info(model, 1, &info, &err));
    ck_assert_uint_eq(info.covariance, 1);
    one_cell.covariance = 2;
    FAILS(LN_E_ARGUMENT, ln_exit_add(model, places[1].value, &one_cell, &err));
    ln_model_free(model);
}
END_TEST

/* A vector's head is linear in all of it, with the hidden layer it was asked for. */
START_TEST(a_head_on_a_vector_is_read_back)
{
    char path[] = "/tmp/leenet-test-XXXXXX";
    ln_model *model = load(MODEL), *again;
    ln_exit_info info = LN_EXIT_INFO_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_data *data = open_rows(DATA);
    int fd = mkstemp(path);

    close(fd);
    OK(ln_exit_add(model, "/Flatten_output_0", NULL, &err));
    t.epochs = 1;
    OK(ln_exit_train(model, data, &t, &err));
    OK(ln_model_save(model, path, &err));
    again = load(path);
    OK(ln_exit_get_info(again, 0, &info, &err));
    ck_assert_int_eq(info.head, LN_HEAD_FLATTEN);
    ck_assert_uint_eq(info.hidden, 256);
    ln_data_free(data);
    ln_model_free(model);
    ln_model_free(again);
    unlink(path);
}
END_TEST

START_TEST(an_untrained_last_layer_is_trained_after_loading)
{
    char path[] = "/tmp/leenet-test-XXXXXX";
    ln_model *model = load(MODEL), *again;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_session *session = NULL;
    ln_data *data = open_rows(DATA);
    ln_result result;
    int fd = mkstemp(path);

    close(fd);
    OK(ln_model_get_info(model, &info, &err));
    OK(ln_model_set_classes(model, NULL, NULL, info.classes + 1, &err));
    OK(ln_model_save(model, path, &err));
    again = load(path);
    t.epochs = 3;
    OK(ln_exit_train(again, data, &t, &err));
    float *x = inputs(again, 1), *logits = calloc(info.classes + 1, sizeof *logits), sum = 0;
    OK(ln_session_open(&session, again, NULL, &err));
    OK(ln_infer_full(session, x, 1, &result, logits, &err));
    for (uint32_t c = 0; c <= info.classes; c++)
        sum += fabsf(logits[c]);
    ck_assert(sum > 0);
    ln_session_free(session);
    ln_data_free(data);
    ln_model_free(model);
    ln_model_free(again);
    free(x);
    free(logits);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *t = tcase_create("main job");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, a_row_does_not_depend_on_its_neighbours);
    tcase_add_test(t, saved_and_loaded_is_the_same_to_the_bit);
    tcase_add_test(t, every_objective_trades_cost_for_accuracy);
    tcase_add_test(t, exits_are_placed_where_they_do_most);
    tcase_add_test(t, placed_exits_are_trained_without_another_pass);
    tcase_add_test(t, heads_tried_by_placing_learn_from_further_rows);
    tcase_add_test(t, an_open_session_freezes_the_model);
    tcase_add_test(t, tuning_is_watched_and_stopped);
    tcase_add_test(t, a_session_outlives_its_model);
    tcase_add_test(t, bad_arguments_are_named);
    tcase_add_test(t, stopped_training_keeps_what_is_finished);
    tcase_add_test(t, evaluation_counts_every_row_once);
    tcase_add_test(t, two_threads_share_one_model);
    tcase_add_test(t, the_last_layer_can_be_replaced);
    tcase_add_test(t, automatic_exits_leave_taken_places_alone);
    tcase_add_test(t, heads_can_be_trained_again);
    tcase_add_test(t, heads_behind_few_channels_read_cells_and_covariances);
    tcase_add_test(t, a_head_on_a_vector_is_read_back);
    tcase_add_test(t, convolutional_heads_suit_their_value);
    tcase_add_test(t, an_untrained_last_layer_is_trained_after_loading);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
