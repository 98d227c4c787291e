#include "base/base.h"

#include <check.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run_suite.h"

/* An allocator that counts what is out and can be told to fail. */
typedef struct heap { size_t blocks, bytes, calls, fail_at; } heap;

static void *heap_alloc(size_t size, size_t align, void *payload)
{
    heap *h = payload;
    void *ptr;

    if (++h->calls == h->fail_at || posix_memalign(&ptr, align, size) != 0)
        return NULL;
    h->blocks++;
    h->bytes += size;
    return ptr;
}

static void heap_release(void *ptr, size_t size, void *payload)
{
    heap *h = payload;

    h->blocks--;
    h->bytes -= size;
    free(ptr);
}

static ln__ctx heap_ctx(heap *h)
{
    ln_allocator a = { heap_alloc, heap_release, h };

    memset(h, 0, sizeof *h);
    return ln__ctx_make(&a, NULL, NULL);
}

static bool aligned(const void *ptr, size_t align)
{
    return ((uintptr_t)ptr & (align - 1)) == 0;
}

START_TEST(memory_goes_through_the_callers_allocator)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    int *numbers = NULL;
    size_t capacity = 0;
    char *copy = ln__strdup(&ctx, "abc");
    unsigned char *zeros = ln__calloc(&ctx, 10, 10);

    ck_assert_str_eq(copy, "abc");
    ck_assert(aligned(zeros, 64));
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(zeros[i], 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert(LN__RESERVE(&ctx, numbers, capacity, (size_t)i + 1));
        numbers[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(numbers[i], i);
    ck_assert_uint_gt(h.bytes, 4100);
    ln__free(&ctx, numbers);
    ln__free(&ctx, zeros);
    ln__free(&ctx, copy);
    ln__free(&ctx, NULL);
    ck_assert_uint_eq(h.blocks, 0);
    ck_assert_uint_eq(h.bytes, 0);
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    size_t out = 7;

    ck_assert(!ln__mul_size(SIZE_MAX / 2, 3, &out));
    ck_assert(!ln__add_size(SIZE_MAX, 1, &out));
    ck_assert_uint_eq(out, 7);
    ck_assert(ln__mul_size(6, 7, &out));
    ck_assert_uint_eq(out, 42);
    ck_assert_ptr_null(ln__array(&ctx, SIZE_MAX / 4, 8));
    ck_assert_ptr_null(ln__alloc(&ctx, SIZE_MAX));
    ck_assert_ptr_null(ln__alloc(&ctx, SIZE_MAX - 63));
}
END_TEST

START_TEST(growing_without_memory_keeps_the_old_items)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    int *numbers = NULL;
    size_t capacity = 0;

    ck_assert(LN__RESERVE(&ctx, numbers, capacity, 8));
    numbers[7] = 5;
    h.fail_at = h.calls + 1;
    ck_assert(!LN__RESERVE(&ctx, numbers, capacity, 9));
    ck_assert_int_eq(numbers[7], 5);
    ck_assert_uint_eq(capacity, 8);
    ln__free(&ctx, numbers);
    ck_assert_uint_eq(h.blocks, 0);
}
END_TEST

START_TEST(arena_aligns_limits_and_frees)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    ln__arena arena;
    unsigned char *many[500];

    ln__arena_init(&arena, &ctx, 0);
    for (size_t i = 0; i < 500; i++) {
        size_t size = i * 37 % 9000;
        many[i] = ln__arena_alloc(&arena, size);
        ck_assert(aligned(many[i], size >= 4096 ? 64 : 16));
        memset(many[i], (int)(i & 255), size);
    }
    for (size_t i = 0; i < 500; i++) {
        size_t wrong = 0;
        for (size_t k = 0; k < i * 37 % 9000; k++)
            wrong += many[i][k] != (i & 255);
        ck_assert_uint_eq(wrong, 0);
    }
    ck_assert_str_eq(ln__arena_strndup(&arena, "abcdef", 3), "abc");
    ln__arena_free(&arena);
    ck_assert_uint_eq(h.blocks, 0);

    ln__arena_init(&arena, &ctx, 1000);
    ck_assert_ptr_nonnull(ln__arena_calloc(&arena, 100, 8));
    ck_assert_ptr_null(ln__arena_alloc(&arena, 300));
    ck_assert_ptr_nonnull(ln__arena_alloc(&arena, 100));
    ck_assert_ptr_null(ln__arena_calloc(&arena, SIZE_MAX / 2, 3));
    ck_assert_ptr_null(ln__arena_alloc(&arena, SIZE_MAX));
    ln__arena_free(&arena);
    ck_assert_ptr_nonnull(ln__arena_alloc(&arena, 900));
    ln__arena_free(&arena);
    ck_assert_uint_eq(h.blocks, 0);
}
END_TEST

START_TEST(map_finds_what_was_put_last)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__arena arena;
    ln__map map;
    char name[32];

    ln__arena_init(&arena, &ctx, 0);
    ln__map_init(&map, &arena);
    ck_assert_int_eq(ln__map_get(&map, "nothing"), -1);
    for (int i = 0; i < 5000; i++) {
        int length = snprintf(name, sizeof name, "value%d", i);
        ck_assert(ln__map_put(&map, ln__arena_strndup(&arena, name, (size_t)length), i));
    }
    ck_assert(ln__map_put(&map, "value17", 99));
    ck_assert(ln__map_put(&map, "", 123));
    ck_assert_uint_eq(map.used, 5001);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "value%d", i);
        ck_assert_int_eq(ln__map_get(&map, name), i == 17 ? 99 : i);
    }
    ck_assert_int_eq(ln__map_get(&map, ""), 123);
    ck_assert_int_eq(ln__map_get(&map, "value5000"), -1);
    ln__arena_free(&arena);
}
END_TEST

START_TEST(error_texts_are_tidy_whatever_they_quote)
{
    char lots[2000];
    ln_error err;

    ck_assert_int_eq(ln__fail(&err, LN_E_FORMAT, "node %d '%s'", 57, "a\nb\x1b\xff\xc3\xa9"), LN_E_FORMAT);
    ck_assert_str_eq(err.text, "node 57 'a?b??\xc3\xa9'");
    ck_assert_int_eq(err.status, LN_E_FORMAT);
    ck_assert_int_eq(err.detail, 0);
    ck_assert_int_eq(ln__fail_prefix(&err, LN_E_IO, "%s", "file.onnx"), LN_E_IO);
    ck_assert_int_eq(err.status, LN_E_IO);
    ck_assert_str_eq(err.text, "file.onnx: node 57 'a?b??\xc3\xa9'");
    ln__fail(&err, LN_E_IO, "again: %s", err.text);
    ck_assert_str_eq(err.text, "again: file.onnx: node 57 'a?b??\xc3\xa9'");

    /* Cut in the middle of two-byte letters, at both parities. */
    for (size_t start = 0; start < 2; start++) {
        memset(lots, 'x', start);
        for (size_t i = start; i + 2 < sizeof lots; i += 2)
            memcpy(lots + i, "\xc3\xa9", 2);
        lots[sizeof lots - 2 - start % 2] = '\0';
        ln__fail(&err, LN_E_IO, "%s", lots);
        ck_assert_uint_ge(strlen(err.text), sizeof err.text - 3);
        ck_assert(ln__utf8_valid(err.text, strlen(err.text)));
        ck_assert_str_eq(err.text + strlen(err.text) - 3, "...");
        ck_assert_ptr_null(strchr(err.text, '?'));
        ln__fail_prefix(&err, LN_E_IO, "a");
        ck_assert(ln__utf8_valid(err.text, strlen(err.text)));
        ck_assert_ptr_null(strchr(err.text, '?'));
        ck_assert_uint_lt(strlen(err.text), sizeof err.text);
    }

    ck_assert_int_eq(ln__fail_errno(&err, LN_E_IO, ENOENT, "x.png"), LN_E_IO);
    ck_assert_str_eq(err.text, "x.png: No such file or directory");
    ck_assert_int_eq(err.detail, ENOENT);
    ck_assert_int_eq(ln__fail(NULL, LN_E_IO, "unseen"), LN_E_IO);
    ck_assert_int_eq(ln__fail_prefix(NULL, LN_E_LIMIT, "unseen"), LN_E_LIMIT);
}
END_TEST

typedef struct options { size_t struct_size; int32_t a, b; } options;
typedef struct newer { size_t struct_size; int32_t a, b; int64_t c; } newer;
typedef struct older { size_t struct_size; int32_t a, unused; } older;

START_TEST(options_of_other_releases_are_taken_or_refused)
{
    options to;
    newer later = { sizeof later, 1, 2, 0 };
    struct { size_t struct_size; int32_t a; } earlier = { offsetof(options, b), 5 };
    ln_error err;

    ck_assert_int_eq(ln__options_copy(&to, sizeof to, NULL, "ln_x", &err), LN_OK);
    ck_assert_uint_eq(to.struct_size, sizeof to);
    ck_assert_int_eq(to.a, 0);
    ck_assert_int_eq(ln__options_copy(&to, sizeof to, &later, "ln_x", &err), LN_OK);
    ck_assert_int_eq(to.b, 2);
    ck_assert_uint_eq(to.struct_size, sizeof to);
    later.c = 1;
    ck_assert_int_eq(ln__options_copy(&to, sizeof to, &later, "ln_x", &err), LN_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "ln_x"));
    ck_assert_int_eq(ln__options_copy(&to, sizeof to, &earlier, "ln_x", &err), LN_OK);
    ck_assert_int_eq(to.a, 5);
    ck_assert_int_eq(to.b, 0);
    earlier.struct_size = 0;
    ck_assert_int_eq(ln__options_copy(&to, sizeof to, &earlier, "ln_x", &err), LN_E_ARGUMENT);
    earlier.struct_size = (size_t)-1;
    ck_assert_int_eq(ln__options_copy(&to, sizeof to, &earlier, "ln_x", &err), LN_E_ARGUMENT);
}
END_TEST

START_TEST(info_fills_what_the_caller_knows)
{
    options from = { sizeof from, 3, 4 };
    newer later = { sizeof later, 9, 9, 9 };
    older before = { offsetof(older, unused), 9, 9 };
    ln_error err;

    ck_assert_int_eq(ln__info_copy(&later, &from, sizeof from, "ln_y", &err), LN_OK);
    ck_assert_uint_eq(later.struct_size, sizeof later);
    ck_assert_int_eq(later.b, 4);
    ck_assert_int_eq(later.c, 0);
    ck_assert_int_eq(ln__info_copy(&before, &from, sizeof from, "ln_y", &err), LN_OK);
    ck_assert_int_eq(before.a, 3);
    ck_assert_int_eq(before.unused, 9);
    before.struct_size = 3;
    ck_assert_int_eq(ln__info_copy(&before, &from, sizeof from, "ln_y", &err), LN_E_ARGUMENT);
}
END_TEST

START_TEST(numbers_survive_text_in_any_locale)
{
    const double values[] = { 0.0, -0.0, 1.0 / 3, 0.1, 1e300, 5e-324, -123456789.123, 1e22, INFINITY, -INFINITY };
    const char *bad[] = { "", " 1", "1 ", "1,5", "0x10", "-0x1p3", "1e999", "+", "--1", "1.5.2", "infinit" };
    char text[32];
    double back;

    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)   /* tested where it is there */
        setlocale(LC_ALL, "");
    for (size_t i = 0; i < LN__COUNT(values); i++) {
        ln__format_double(text, values[i]);
        ck_assert_ptr_null(strchr(text, ','));
        ck_assert(ln__parse_double(text, &back));
        ck_assert(memcmp(&back, &values[i], sizeof back) == 0);
    }
    ln__format_double(text, 0.1);
    ck_assert_str_eq(text, "0.1");
    ln__format_double(text, NAN);
    ck_assert(ln__parse_double(text, &back) && isnan(back));
    for (size_t i = 0; i < LN__COUNT(bad); i++)
        ck_assert_msg(!ln__parse_double(bad[i], &back), "'%s' was taken", bad[i]);
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(unsigned_numbers_are_checked)
{
    uint64_t value;

    ck_assert(ln__parse_uint("18446744073709551615", &value));
    ck_assert(value == UINT64_MAX);
    ck_assert(ln__parse_uint("007", &value) && value == 7);
    ck_assert(!ln__parse_uint("18446744073709551616", &value));
    ck_assert(!ln__parse_uint("99999999999999999999", &value));
    ck_assert(!ln__parse_uint("-1", &value));
    ck_assert(!ln__parse_uint("+1", &value));
    ck_assert(!ln__parse_uint("", &value));
    ck_assert(!ln__parse_uint("1a", &value));
}
END_TEST

START_TEST(utf8_is_told_from_what_is_not)
{
    const char *good[] = { "", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf" };
    const char *bad[] = { "\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xe2\x82" };

    for (size_t i = 0; i < LN__COUNT(good); i++)
        ck_assert(ln__utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < LN__COUNT(bad); i++)
        ck_assert(!ln__utf8_valid(bad[i], strlen(bad[i])));
}
END_TEST

START_TEST(buffer_grows_and_remembers_that_memory_ran_out)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    ln__buffer b;
    char wide[600];

    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    ln__buffer_init(&b, &ctx);
    ln__buffer_printf(&b, "%d-%.2f", 12, 0.5);
    ln__buffer_printf(&b, "%s", wide);
    ln__buffer_put(&b, "end", 4);
    ck_assert(b.ok);
    ck_assert_uint_eq(b.size, 7 + 599 + 4);
    ck_assert(memcmp(b.data, "12-0.50www", 10) == 0);
    ck_assert_str_eq((char *)b.data + 7 + 599, "end");
    h.fail_at = h.calls + 1;
    for (int i = 0; i < 10; i++)
        ln__buffer_printf(&b, "%s", wide);
    ck_assert(!b.ok);
    ln__buffer_free(&b);
    ck_assert(b.ok);
    ck_assert_uint_eq(h.blocks, 0);
}
END_TEST

/* ---- Files ---------------------------------------------------------------------- */

static char folder[] = "/tmp/test_base.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void make_folder(void)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

/* rmdir fails, and so does the test, when a temporary file was left behind. */
static void remove_folder(void)
{
    unlink(in_folder("file"));
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_file(const ln__ctx *ctx, const char *path, const void *bytes, size_t size)
{
    ln__writer w;

    ck_assert_int_eq(ln__writer_open(&w, ctx, path, NULL), LN_OK);
    ln__writer_put(&w, bytes, size);
    ck_assert_int_eq(ln__writer_commit(&w, NULL), LN_OK);
}

START_TEST(files_are_written_whole_and_mapped)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    unsigned char *bytes = malloc(300000);
    ln__writer w;
    ln__file file;
    struct stat info;
    ln_error err;

    for (size_t i = 0; i < 300000; i++)
        bytes[i] = (unsigned char)(i * 7 % 251);
    ck_assert_int_eq(ln__writer_open(&w, &ctx, in_folder("file"), &err), LN_OK);
    for (size_t at = 0, step = 1; at < 300000; at += step, step = LN__MIN(step * 3, 300000 - at))
        ln__writer_put(&w, bytes + at, LN__MIN(step, 300000 - at));
    ck_assert_int_eq(ln__file_map(&file, in_folder("file"), 0, &err), LN_E_IO);
    ck_assert_int_eq(ln__writer_commit(&w, &err), LN_OK);
    ck_assert_int_eq(ln__file_map(&file, in_folder("file"), 300000, &err), LN_OK);
    ck_assert_uint_eq(file.size, 300000);
    ck_assert(memcmp(file.data, bytes, 300000) == 0);
    ln__file_unmap(&file);
    ck_assert_int_eq(ln__file_map(&file, in_folder("file"), 299999, &err), LN_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "300000"));

    chmod(in_folder("file"), 0640);
    write_file(&ctx, in_folder("file"), "", 0);
    ck_assert_int_eq(stat(in_folder("file"), &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0640);
    ck_assert_int_eq(ln__file_map(&file, in_folder("file"), 0, &err), LN_OK);
    ck_assert_uint_eq(file.size, 0);
    ck_assert_ptr_nonnull(file.data);
    ln__file_unmap(&file);
    ln__file_unmap(&file);
    ck_assert_uint_eq(h.blocks, 0);
    free(bytes);
}
END_TEST

START_TEST(the_old_file_stays_until_the_new_one_is_complete)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__writer w;
    ln__file file;
    ln_error err;

    write_file(&ctx, in_folder("file"), "old", 3);
    ck_assert_int_eq(ln__writer_open(&w, &ctx, in_folder("file"), &err), LN_OK);
    ln__writer_put(&w, "newer", 5);
    ln__writer_discard(&w);
    ln__writer_discard(&w);
    ck_assert_int_eq(ln__writer_open(&w, &ctx, in_folder("file"), &err), LN_OK);
    close(w.fd);    /* a write error */
    ln__writer_put(&w, "newer", 5);
    ck_assert_int_eq(ln__writer_commit(&w, &err), LN_E_IO);
    ck_assert_int_eq(err.detail, EBADF);
    ck_assert_int_eq(ln__file_map(&file, in_folder("file"), 0, &err), LN_OK);
    ck_assert_uint_eq(file.size, 3);
    ck_assert(memcmp(file.data, "old", 3) == 0);
    ln__file_unmap(&file);
}
END_TEST

START_TEST(places_that_cannot_hold_a_file_are_refused)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__writer w;
    ln__file file;
    ln_error err;

    ck_assert_int_eq(ln__writer_open(&w, &ctx, in_folder("none/file"), &err), LN_E_IO);
    ck_assert_int_eq(err.detail, ENOENT);
    ln__writer_discard(&w);
    ck_assert_int_eq(ln__writer_open(&w, &ctx, folder, &err), LN_E_IO);
    ck_assert_int_eq(ln__writer_open(&w, &ctx, "/dev/null", &err), LN_E_IO);
    ck_assert_int_eq(ln__file_map(&file, folder, 0, &err), LN_E_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "folder"));
    ck_assert_int_eq(ln__file_map(&file, "/dev/zero", 0, &err), LN_E_IO);
    errno = 0;
    ck_assert_int_eq(ln__file_map(&file, in_folder("absent"), 0, &err), LN_E_IO);
    ck_assert_int_eq(errno, 0);
    ln__file_unmap(&file);
}
END_TEST

START_TEST(writer_survives_every_failed_allocation)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    ln__writer w;
    ln_error err;
    ln_status st = LN_E_NOMEM;

    for (size_t n = 1; st == LN_E_NOMEM; n++) {
        ck_assert_uint_lt(n, 10);
        h.calls = 0;
        h.fail_at = n;
        st = ln__writer_open(&w, &ctx, in_folder("file"), &err);
        if (st == LN_OK)
            st = ln__writer_commit(&w, &err);
        ck_assert_uint_eq(h.blocks, 0);
    }
    ck_assert_int_eq(st, LN_OK);
}
END_TEST

/* ---- Random numbers, threads ------------------------------------------------------ */

START_TEST(random_numbers_are_those_of_pcg32)
{
    /* pcg32-demo of the reference implementation: seed 42, stream 54. */
    const uint32_t expected[] = { 0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e };
    ln__rng rng = ln__rng_make(42, 54);

    for (size_t i = 0; i < LN__COUNT(expected); i++)
        ck_assert_uint_eq(ln__rng_u32(&rng), expected[i]);
}
END_TEST

START_TEST(random_numbers_are_spread)
{
    ln__rng rng = ln__rng_make(1, 2);
    uint32_t counts[7] = { 0 }, items[50];
    uint64_t seen = 0;
    double sum = 0, squares = 0;

    for (int i = 0; i < 70000; i++)
        counts[ln__rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        ck_assert(counts[i] > 9600 && counts[i] < 10400);
    for (int i = 0; i < 100000; i++) {
        double u = ln__rng_double(&rng), x = ln__rng_normal(&rng);
        ck_assert(u >= 0.0 && u < 1.0);
        sum += x;
        squares += x * x;
    }
    ck_assert(fabs(sum / 100000) < 0.015);
    ck_assert(fabs(squares / 100000 - 1) < 0.03);
    for (uint32_t i = 0; i < 50; i++)
        items[i] = i;
    ln__rng_shuffle(&rng, items, 50);
    for (int i = 0; i < 50; i++)
        seen |= (uint64_t)1 << items[i];
    ck_assert(seen == ((uint64_t)1 << 50) - 1);
    ck_assert(items[0] != 0 || items[1] != 1 || items[2] != 2);
}
END_TEST

static void add_one(uint32_t worker, void *payload)
{
    ((uint32_t *)payload)[worker * 16]++;
}

START_TEST(every_worker_works_once_a_run)
{
    heap h;
    ln__ctx ctx = heap_ctx(&h);
    uint32_t counts[4 * 16] = { 0 };
    ln__pool *pool;
    ln_error err;

    ck_assert_int_eq(ln__pool_new(&pool, &ctx, 4, &err), LN_OK);
    ck_assert_uint_eq(ln__pool_size(pool), 4);
    for (int i = 0; i < 2000; i++)
        ln__pool_run(pool, (uint32_t)i % 5, add_one, counts);
    for (uint32_t w = 0; w < 4; w++)
        ck_assert_uint_eq(counts[w * 16], 400 * (4 - w));
    ln__pool_run(pool, 99, add_one, counts);
    ck_assert_uint_eq(counts[3 * 16], 401);
    for (int i = 0; i < 100; i++)
        ln__pool_start(pool, add_one, counts);
    ln__pool_wait(pool);
    ck_assert_uint_eq(counts[0], 1601);
    ck_assert_uint_eq(counts[3 * 16], 501);
    ln__pool_free(pool);
    ln__pool_free(NULL);
    ck_assert_int_eq(ln__pool_new(&pool, &ctx, 0, &err), LN_OK);
    ln__pool_run(pool, 1, add_one, counts);
    ck_assert_uint_eq(counts[0], 1602);
    ln__pool_free(pool);
    for (size_t n = 1; n < 3; n++) {
        h.calls = 0;
        h.fail_at = n;
        ck_assert_int_eq(ln__pool_new(&pool, &ctx, 2, &err), LN_E_NOMEM);
        ck_assert_ptr_null(pool);
    }
    ck_assert_uint_eq(h.blocks, 0);
}
END_TEST

START_TEST(clock_and_processors_are_there)
{
    double before = ln__now();
    struct timespec pause = { 0, 20000000 };

    nanosleep(&pause, NULL);
    ck_assert(ln__now() - before >= 0.019);
    ck_assert_uint_ge(ln__cpu_count(), 1);
}
END_TEST

static void keep_line(int32_t level, const char *text, void *payload)
{
    snprintf(payload, 100, "%d %s", (int)level, text);
}

START_TEST(log_lines_reach_the_callback)
{
    char line[100] = "";
    ln__ctx ctx = ln__ctx_make(NULL, keep_line, line);
    ln__ctx silent = ln__ctx_make(NULL, NULL, NULL);

    ln__log(&ctx, LN_LOG_WARNING, "%s: odd\n", "x.onnx");
    ck_assert_str_eq(line, "1 x.onnx: odd?");
    ln__log(&silent, LN_LOG_INFO, "unheard");
    ck_assert_str_eq(line, "1 x.onnx: odd?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *core = tcase_create("core"), *files = tcase_create("files");

    tcase_add_test(core, memory_goes_through_the_callers_allocator);
    tcase_add_test(core, sizes_that_overflow_are_refused);
    tcase_add_test(core, growing_without_memory_keeps_the_old_items);
    tcase_add_test(core, arena_aligns_limits_and_frees);
    tcase_add_test(core, map_finds_what_was_put_last);
    tcase_add_test(core, error_texts_are_tidy_whatever_they_quote);
    tcase_add_test(core, options_of_other_releases_are_taken_or_refused);
    tcase_add_test(core, info_fills_what_the_caller_knows);
    tcase_add_test(core, numbers_survive_text_in_any_locale);
    tcase_add_test(core, unsigned_numbers_are_checked);
    tcase_add_test(core, utf8_is_told_from_what_is_not);
    tcase_add_test(core, buffer_grows_and_remembers_that_memory_ran_out);
    tcase_add_test(core, random_numbers_are_those_of_pcg32);
    tcase_add_test(core, random_numbers_are_spread);
    tcase_add_test(core, every_worker_works_once_a_run);
    tcase_add_test(core, clock_and_processors_are_there);
    tcase_add_test(core, log_lines_reach_the_callback);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, files_are_written_whole_and_mapped);
    tcase_add_test(files, the_old_file_stays_until_the_new_one_is_complete);
    tcase_add_test(files, places_that_cannot_hold_a_file_are_refused);
    tcase_add_test(files, writer_survives_every_failed_allocation);
    suite_add_tcase(suite, core);
    suite_add_tcase(suite, files);
    return run_suite(suite);
}
