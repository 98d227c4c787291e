/* test_cache.c - features that do not fit memory: what the disk must have, and that it is asked before anything starts. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/train.h"

#include "api_calls.h"

static ln_model *with_exits(int32_t head, uint32_t exits)
{
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_model *model = NULL;

    e.head = head;
    OK(ln_model_load(&model, MODEL, NULL, &err));
    OK(ln_exit_add_auto(model, exits, &e, &err));
    return model;
}

static ln__cache_place place_in(const ln__ctx *ctx, uint64_t memory, const char *folder)
{
    return (ln__cache_place){ .ctx = ctx, .memory_left = memory, .folder = folder };
}

/* ---- The check ---------------------------------------------------------------------------------- */

START_TEST(a_disk_is_refused_by_what_it_has_left)
{
    const ln__disk disk = { .left = 2500000000, .most = 2000000000 };

    OK(ln__disk_check(&disk, 2500000000, 2000000000, "/somewhere", &err));
    FAILS(LN_E_IO, ln__disk_check(&disk, 2500000001, 1, "/somewhere", &err));
    ck_assert_int_eq(err.detail, ENOSPC);
    ck_assert_ptr_nonnull(strstr(err.text, "'/somewhere' has 2.500 GB left"));
    ck_assert_ptr_nonnull(strstr(err.text, "cache_folder"));
    ck_assert_ptr_nonnull(strstr(err.text, "max_memory"));
    FAILS(LN_E_IO, ln__disk_check(&disk, 2100000000, 2000000001, "/somewhere", &err));
    ck_assert_int_eq(err.detail, EFBIG);
    ck_assert_ptr_nonnull(strstr(err.text, "may write files of 2.000 GB"));
}
END_TEST

START_TEST(a_cache_has_its_blocks_before_it_is_written)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__cache_place place = place_in(&ctx, 3 * sizeof(float), "/tmp");
    ln__cache small, large;

    OK(ln__cache_new(&small, &place, 3, 1, &err));
    ck_assert_uint_eq(small.mapped, 0);
    ck_assert_uint_eq(place.memory_left, 0);
    OK(ln__cache_new(&large, &place, 1000, 100, &err));
    ck_assert_uint_eq(large.mapped, 400000);
    ln__cache_row(&large, 999)[99] = 5;
    ln__cache_return(&large, &place);
    ck_assert_uint_eq(place.memory_left, 0);
    ln__cache_return(&small, &place);
    ck_assert_uint_eq(place.memory_left, 3 * sizeof(float));
    place.folder = "/nowhere/at/all";
    FAILS(LN_E_IO, ln__cache_new(&large, &place, 1000, 100, &err));
    ck_assert_int_eq(err.detail, ENOENT);
    FAILS(LN_E_LIMIT, ln__cache_new(&large, &place, SIZE_MAX / 8, 3, &err));
}
END_TEST

/* What would be a signal that ends the process is an error. */
START_TEST(a_limit_on_files_is_an_error)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__cache_place place = place_in(&ctx, 0, "/tmp");
    struct rlimit limit = { 1 << 20, 1 << 20 };
    ln__cache cache;

    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    OK(ln__cache_new(&cache, &place, 1 << 18, 1, &err));
    ln__cache_free(&cache, &ctx);
    FAILS(LN_E_IO, ln__cache_new(&cache, &place, (1 << 18) + 1, 1, &err));
    ck_assert_int_eq(err.detail, EFBIG);
    /* The sum has room, each file has. */
    OK(ln__cache_check(&place, 3 << 20, 1 << 20, &err));
}
END_TEST

/* ---- Through the public header -------------------------------------------------------------------- */

typedef struct heard { uint32_t first; ln_progress told; char folder[64]; } heard;

static int listen(const ln_progress *now, void *payload)
{
    heard *h = payload;

    if (strcmp(now->stage, "features") == 0 && h->first++ == 0) {
        h->told = *now;
        snprintf(h->folder, sizeof h->folder, "%s", now->cache_folder ? now->cache_folder : "");
    }
    return 0;
}

static int never_read(size_t first, size_t count, float *inputs, int32_t *labels, void *payload)
{
    (void)first, (void)count, (void)inputs, (void)labels;
    *(bool *)payload = true;
    return 1;
}

/* Rows enough for petabytes. */
START_TEST(a_disk_too_small_is_refused_before_a_row_is_read)
{
    ln_model *model = with_exits(LN_HEAD_FLATTEN, 2);
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_rows rows = LN_ROWS_INIT;
    ln_data *data = NULL;
    bool was_read = false;
    heard h = { 0 };

    OK(ln_model_get_info(model, &info, &err));
    rows.rows = 4000000;
    rows.channels = info.channels;
    rows.height = info.height;
    rows.width = info.width;
    rows.classes = info.classes;
    rows.read = never_read;
    rows.payload = &was_read;
    OK(ln_data_from_callback(&data, &rows, NULL, &err));
    t.augment = 1000;
    t.cache_folder = "/var/tmp";
    t.progress = listen;
    t.progress_payload = &h;
    FAILS(LN_E_IO, ln_exit_train(model, data, &t, &err));
    ck_assert_int_eq(err.detail, ENOSPC);
    ck_assert_ptr_nonnull(strstr(err.text, "'/var/tmp' has "));
    ck_assert(!was_read);
    ck_assert_uint_eq(h.first, 1);
    ck_assert_uint_gt(h.told.disk_bytes, UINT64_C(1) << 44);
    ck_assert_str_eq(h.folder, "/var/tmp");
    ln_data_free(data);
    ln_model_free(model);
}
END_TEST

/* Bytes told before training this model with so much memory. */
static heard told_for(int32_t head, uint64_t max_memory)
{
    ln_model *model = with_exits(head, 2);
    ln_data *data = open_rows(DATA ":part=0/2");
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    heard h = { 0 };

    t.epochs = 2;
    t.max_memory = max_memory;
    t.progress = listen;
    t.progress_payload = &h;
    OK(ln_exit_train(model, data, &t, &err));
    ln_data_free(data);
    ln_model_free(model);
    return h;
}

START_TEST(what_goes_to_disk_is_told_first)
{
    static const int32_t heads[] = { LN_HEAD_POOL, LN_HEAD_FLATTEN, LN_HEAD_CONV };

    for (size_t i = 0; i < LN__COUNT(heads); i++) {
        heard all = told_for(heads[i], 0), none = told_for(heads[i], 1), some = told_for(heads[i], all.told.cache_bytes - 1);

        ck_assert_uint_eq(all.told.done, 0);
        ck_assert_uint_eq(all.told.disk_bytes, 0);
        ck_assert_str_eq(all.folder, "");
        ck_assert_uint_eq(none.told.done, 0);
        ck_assert_uint_eq(none.told.cache_bytes, all.told.cache_bytes);
        ck_assert_str_eq(none.folder, "/tmp");
        if (heads[i] == LN_HEAD_CONV)       /* what a head has learned from and what gates will: for a while there are both */
            ck_assert_uint_gt(none.told.disk_bytes, all.told.cache_bytes);
        else
            ck_assert_uint_eq(none.told.disk_bytes, all.told.cache_bytes);
        ck_assert_uint_gt(some.told.disk_bytes, 0);
        ck_assert_uint_lt(some.told.disk_bytes, none.told.disk_bytes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *t = tcase_create("disk");

    tcase_set_timeout(t, 300);
    tcase_add_test(t, a_disk_is_refused_by_what_it_has_left);
    tcase_add_test(t, a_cache_has_its_blocks_before_it_is_written);
    tcase_add_test(t, a_limit_on_files_is_an_error);
    tcase_add_test(t, a_disk_too_small_is_refused_before_a_row_is_read);
    tcase_add_test(t, what_goes_to_disk_is_told_first);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
