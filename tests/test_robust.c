/* test_robust.c - the whole way (load, train, save, answer) when memory runs
 * out: every allocation through the caller's allocator fails in turn. */
#include <check.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "leenet/leenet.h"
#include "run_suite.h"

#define MODEL "tests/data/tiny_residual.onnx"

/* ---- An allocator that fails once --------------------------------------------- */

typedef struct heap {
    atomic_size_t calls, live;
    size_t        fail_at;      /* the call that gets NULL; SIZE_MAX: none */
} heap;

static void *heap_alloc(size_t size, size_t align, void *payload)
{
    heap *h = payload;
    void *p = NULL;
    if (atomic_fetch_add(&h->calls, 1) == h->fail_at ||
        posix_memalign(&p, align < sizeof p ? sizeof p : align, size) != 0)
        return NULL;
    atomic_fetch_add(&h->live, size);
    return p;
}

static void heap_release(void *ptr, size_t size, void *payload)
{
    atomic_fetch_sub(&((heap *)payload)->live, size);
    free(ptr);
}

static ln_allocator heap_start(heap *h, size_t fail_at)
{
    atomic_init(&h->calls, 0);
    atomic_init(&h->live, 0);
    h->fail_at = fail_at;
    return (ln_allocator){ heap_alloc, heap_release, h };
}

/* Runs `work` with no failure, then with each allocation failing (beyond 4000 of
 * them, with evenly spread ones): it must say LN_E_NOMEM and leave nothing behind. */
typedef ln_status (*work_fn)(const ln_allocator *allocator, ln_error *err);

static void fail_each(const char *name, work_fn work)
{
    heap h;
    ln_error err = { 0 };
    ln_allocator a = heap_start(&h, SIZE_MAX);
    ln_status st = work(&a, &err);
    ck_assert_msg(st >= 0, "%s without failures: %s", name, err.text);
    ck_assert_msg(h.live == 0, "%s without failures leaves %zu bytes", name, (size_t)h.live);

    size_t calls = h.calls, step = calls > 4000 ? calls / 4000 + 1 : 1;
    ck_assert_uint_gt(calls, 0);
    for (size_t n = 0; n < calls; n += step) {
        memset(&err, 0, sizeof err);
        a = heap_start(&h, n);
        st = work(&a, &err);
        ck_assert_msg(st == LN_E_NOMEM, "%s, allocation %zu: %s (%s)", name, n,
                      ln_status_name(st), err.text);
        ck_assert_msg(err.text[0] != '\0', "%s, allocation %zu: no message", name, n);
        ck_assert_msg(h.live == 0, "%s, allocation %zu leaves %zu bytes", name, n, (size_t)h.live);
    }
}

/* ---- Rows ------------------------------------------------------------------------ */

enum { ROWS = 48, CHANNELS = 2, SIDE = 8, NUMBERS = CHANNELS * SIDE * SIDE, CLASSES = 3 };

/* Class c has a brighter third of the picture; seeded noise on top. */
static const float *rows_input(void)
{
    static float input[ROWS * NUMBERS];
    uint32_t state = 1;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < NUMBERS; i++) {
            state = state * 1664525u + 1013904223u;
            input[r * NUMBERS + i] = (float)(state >> 8) / 16777216.0f - 0.5f +
                                     (i % SIDE * CLASSES / SIDE == r % CLASSES ? 1.0f : 0.0f);
        }
    return input;
}

static ln_status rows_open(ln_data **out, const ln_allocator *allocator, ln_error *err)
{
    static int32_t labels[ROWS];
    ln_arrays arrays = LN_ARRAYS_INIT;
    ln_data_options options = LN_DATA_OPTIONS_INIT;
    for (int r = 0; r < ROWS; r++)
        labels[r] = r % CLASSES;
    arrays.rows = ROWS;
    arrays.inputs = rows_input();
    arrays.channels = CHANNELS;
    arrays.height = arrays.width = SIDE;
    arrays.labels = labels;
    arrays.classes = CLASSES;
    options.allocator = allocator;
    options.threads = 1;
    return ln_data_from_arrays(out, &arrays, &options, err);
}

static ln_status model_open(ln_model **out, const char *path, const ln_allocator *allocator, ln_error *err)
{
    ln_load_options options = LN_LOAD_OPTIONS_INIT;
    options.allocator = allocator;
    return ln_model_load(out, path, &options, err);
}

/* An exit of each head, trained for one epoch, an operating point for each sort of gates. */
static ln_status teach(ln_model *model, const int32_t *heads, int n_heads, ln_gate_options *gates, int n_gates, const ln_allocator *allocator, ln_error *err)
{
    ln_data *rows = NULL;
    ln_exit_options head = LN_EXIT_OPTIONS_INIT;
    ln_train_options train = LN_TRAIN_OPTIONS_INIT;
    ln_status st = rows_open(&rows, allocator, err);

    head.channels = 3;
    train.threads = 1;
    train.epochs = 1;
    train.folds = 2;
    train.batch = 16;
    for (int i = 0; st >= 0 && i < n_heads; i++) {
        head.head = heads[i];
        head.hidden = heads[i] == LN_HEAD_FLATTEN ? 0 : 4;
        st = ln_exit_add_auto(model, 1, &head, err);
    }
    if (st >= 0)
        st = ln_exit_train(model, rows, &train, err);
    for (int i = 0; st >= 0 && i < n_gates; i++) {
        gates[i].threads = gates[i].epochs = 1;
        st = ln_gate_train(model, rows, &gates[i], err);
    }
    if (st >= 0)
        st = ln_point_add_setting(model, LN_POLICY_GATE, 0, NULL, err);
    ln_data_free(rows);
    return st;
}

/* Heads of both sorts that learn one by one, gates that descend and gates that are fitted. */
static ln_status make_early(ln_model *model, const ln_allocator *allocator, ln_error *err)
{
    static const int32_t heads[] = { LN_HEAD_CONV, LN_HEAD_POOL };
    ln_gate_options gates[] = { LN_GATE_OPTIONS_INIT, LN_GATE_OPTIONS_INIT };

    gates[0].hidden = 4;
    gates[1].objective = LN_OBJECTIVE_RIGHT;
    return teach(model, heads, 2, gates, 2, allocator, err);
}

/* Heads and gates on all activations, which learn side by side. */
static ln_status make_wide(ln_model *model, const ln_allocator *allocator, ln_error *err)
{
    static const int32_t heads[] = { LN_HEAD_FLATTEN, LN_HEAD_FLATTEN };
    ln_gate_options gates = LN_GATE_OPTIONS_INIT;

    gates.input = LN_GATE_FEATURES;
    gates.hidden = UINT32_MAX;
    return teach(model, heads, 2, &gates, 1, allocator, err);
}

static ln_status answer(ln_model *model, ln_error *err)
{
    ln_session *session = NULL;
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    ln_result results[4];
    float logits[4 * CLASSES];
    options.max_rows = 4;
    ln_status st = ln_session_open(&session, model, &options, err);
    ck_assert(st >= 0 || session == NULL);
    if (st >= 0)
        st = ln_infer_early(session, rows_input(), 4, results, logits, err);
    if (st >= 0)
        st = ln_infer_full(session, rows_input(), 4, results, logits, err);
    ln_session_free(session);
    return st;
}

/* ---- What must survive --------------------------------------------------------------- */

static char early_path[64], saved_path[64];

/* An early-exit file for the tests that only read one. */
static void make_files(void)
{
    ln_model *model = NULL;
    ln_error err = { 0 };
    snprintf(early_path, sizeof early_path, "/tmp/leenet-robust-%d.onnx", (int)getpid());
    snprintf(saved_path, sizeof saved_path, "/tmp/leenet-saved-%d.onnx", (int)getpid());
    ck_assert_msg(model_open(&model, MODEL, NULL, &err) >= 0, "%s", err.text);
    ck_assert_msg(make_early(model, NULL, &err) >= 0, "%s", err.text);
    ck_assert_msg(ln_model_save(model, early_path, &err) >= 0, "%s", err.text);
    ln_model_free(model);
}

static void remove_files(void)
{
    unlink(early_path);
    unlink(saved_path);
}

static ln_status load(const ln_allocator *allocator, ln_error *err)
{
    ln_model *model = NULL;
    ln_status st = model_open(&model, early_path, allocator, err);
    ck_assert_msg((st >= 0) == (model != NULL), "a failed load leaves no model");
    ln_model_free(model);
    return st;
}

static ln_status train(const ln_allocator *allocator, ln_error *err)
{
    ln_model *model = NULL;
    ln_status st = model_open(&model, MODEL, allocator, err);
    if (st >= 0)
        st = make_early(model, allocator, err);
    ln_model_free(model);
    return st;
}

static ln_status train_wide(const ln_allocator *allocator, ln_error *err)
{
    ln_model *model = NULL;
    ln_status st = model_open(&model, MODEL, allocator, err);
    if (st >= 0)
        st = make_wide(model, allocator, err);
    ln_model_free(model);
    return st;
}

static const char old_file[] = "what stood there before";

static void write_old(void)
{
    FILE *f = fopen(saved_path, "wb");
    ck_assert(f != NULL);
    ck_assert_uint_eq(fwrite(old_file, 1, sizeof old_file, f), sizeof old_file);
    fclose(f);
}

static void check_old(void)
{
    char now[sizeof old_file + 1];
    FILE *f = fopen(saved_path, "rb");
    ck_assert_msg(f != NULL, "a save that failed took the old file away");
    size_t n = fread(now, 1, sizeof now, f);
    fclose(f);
    ck_assert_msg(n == sizeof old_file && memcmp(now, old_file, n) == 0, "a save that failed changed the old file");
}

static ln_status save(const ln_allocator *allocator, ln_error *err)
{
    ln_model *model = NULL;
    ln_status st = model_open(&model, early_path, allocator, err);
    write_old();
    if (st >= 0)
        st = ln_model_save(model, saved_path, err);
    if (st < 0)
        check_old();
    ln_model_free(model);
    return st;
}

static ln_status infer(const ln_allocator *allocator, ln_error *err)
{
    ln_model *model = NULL;
    ln_status st = model_open(&model, early_path, allocator, err);
    if (st >= 0)
        st = answer(model, err);
    ln_model_free(model);
    return st;
}

START_TEST(load_survives_every_failed_allocation) { fail_each("load", load); }
END_TEST
START_TEST(save_survives_every_failed_allocation) { fail_each("save", save); }
END_TEST
START_TEST(infer_survives_every_failed_allocation) { fail_each("infer", infer); }
END_TEST
START_TEST(train_survives_every_failed_allocation) { fail_each("train", train); }
END_TEST
START_TEST(wide_training_survives_every_failed_allocation) { fail_each("train wide", train_wide); }
END_TEST

/* Answering takes nothing from the allocator once the session is open. */
START_TEST(answering_allocates_nothing)
{
    heap h;
    ln_allocator a = heap_start(&h, SIZE_MAX);
    ln_error err = { 0 };
    ln_model *model = NULL;
    ln_session *session = NULL;
    ln_session_options options = LN_SESSION_OPTIONS_INIT;
    ln_result results[4];
    float logits[4 * CLASSES];

    options.max_rows = 4;
    ck_assert_msg(model_open(&model, early_path, &a, &err) >= 0, "%s", err.text);
    ck_assert_msg(ln_session_open(&session, model, &options, &err) >= 0, "%s", err.text);
    size_t before = h.calls;
    for (size_t n = 1; n <= 4; n++) {
        ck_assert_msg(ln_infer_early(session, rows_input(), n, results, logits, &err) >= 0, "%s", err.text);
        ck_assert_msg(ln_infer_full(session, rows_input(), n, results, NULL, &err) >= 0, "%s", err.text);
    }
    ck_assert_uint_eq(h.calls, before);
    ln_model_free(model);       /* the session keeps it alive */
    ck_assert_msg(ln_infer_early(session, rows_input(), 1, results, NULL, &err) >= 0, "%s", err.text);
    ln_session_free(session);
    ck_assert_uint_eq(h.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("robust");
    TCase *tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, make_files, remove_files);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, load_survives_every_failed_allocation);
    tcase_add_test(tc, save_survives_every_failed_allocation);
    tcase_add_test(tc, infer_survives_every_failed_allocation);
    tcase_add_test(tc, train_survives_every_failed_allocation);
    tcase_add_test(tc, wide_training_survives_every_failed_allocation);
    tcase_add_test(tc, answering_allocates_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
