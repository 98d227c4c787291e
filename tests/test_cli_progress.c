/* test_cli_progress.c - the lines the tool prints about progress where there is no terminal. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../src/cli_progress.c"
#include "run_suite.h"

/* ---- What the file calls of the rest of the tool ------------------------------------ */

double seconds_now(void) { return 0; }
void print_safe(FILE *to, const char *text) { fputs(text, to); }
void log_write(progress_log *log, double seconds, const ln_progress *now) { (void)log; (void)seconds; (void)now; }

/* ---- Reports and lines ----------------------------------------------------------------- */

typedef struct report { const char *stage; uint32_t epoch, epochs; uint64_t done, total; double accuracy; } report;

static char lines[4096];

/* Standard error while the reports come in, in `lines`. */
static void capture(const ln_progress *reports, size_t n)
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    progress p;

    ck_assert(file != NULL && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    progress_start(&p, false);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(progress_show(&reports[i], &p), 0);
    progress_end(&p);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    lines[fread(lines, 1, sizeof lines - 1, file)] = '\0';
    fclose(file);
}

static void show(const report *reports, size_t n)
{
    ln_progress now[8];

    ck_assert_uint_le(n, sizeof now / sizeof now[0]);
    for (size_t i = 0; i < n; i++)
        now[i] = (ln_progress){ .struct_size = sizeof now[i], .stage = reports[i].stage, .epoch = reports[i].epoch,
                                .epochs = reports[i].epochs, .done = reports[i].done, .total = reports[i].total, .loss = NAN,
                                .validation = NAN, .accuracy = reports[i].accuracy, .seconds_left = NAN };
    capture(now, n);
}

START_TEST(a_stage_ends_with_one_line)
{
    static const report twice[] = { { "evaluate", 0, 0, 40, 80, 0.25 }, { "evaluate", 0, 0, 80, 80, 0.5 },
                                    { "evaluate", 0, 0, 80, 80, 0.5 } };
    static const report short_of[] = { { "features", 0, 0, 55, 80, NAN }, { "features", 0, 0, 79, 80, NAN },
                                       { "features", 0, 0, 79, 80, NAN }, { "evaluate", 0, 0, 9, 9, NAN } };

    show(twice, 3);
    ck_assert_str_eq(lines, "evaluate:  50 %  accuracy 25.00 %\nevaluate: 100 %  accuracy 50.00 %\n");
    show(short_of, 4);
    ck_assert_str_eq(lines, "features:  69 %\nfeatures:  99 %\nevaluate: 100 %\n");
}
END_TEST

START_TEST(epochs_count_once)
{
    static const report epochs[] = { { "head", 1, 4, 10, 40, NAN }, { "head", 2, 4, 20, 40, NAN },
                                     { "head", 3, 4, 30, 40, NAN }, { "head", 4, 4, 40, 40, NAN } };

    show(epochs, 4);
    ck_assert_str_eq(lines, "head 0 epoch 1/4:  25 %\nhead 0 epoch 2/4:  50 %\nhead 0 epoch 3/4:  75 %\nhead 0 epoch 4/4: 100 %\n");
}
END_TEST

START_TEST(gates_within_a_second_have_one_line)
{
    static const report fits[] = { { "gates", 1, 2, 10, 20, NAN }, { "gates", 2, 2, 20, 20, NAN }, { "gates", 1, 2, 10, 20, NAN },
                                   { "gates", 2, 2, 20, 20, NAN } };

    show(fits, 4);
    ck_assert_str_eq(lines, "gates point 0 epoch 2/2: 100 %\n");
}
END_TEST

START_TEST(disk_is_told_before_the_first_row)
{
    ln_progress now = { .struct_size = sizeof now, .stage = "features", .total = 80, .loss = NAN, .validation = NAN, .accuracy = NAN,
                        .seconds_left = NAN, .cache_bytes = 3100000000, .disk_bytes = 2400000000, .cache_folder = "/var/tmp" };
    ln_progress older = now;

    older.struct_size = offsetof(ln_progress, cache_bytes);
    capture(&now, 1);
    ck_assert_str_eq(lines, "features: 3.100 GB, 2.400 GB of them in /var/tmp\n");
    capture(&older, 1);
    ck_assert_str_eq(lines, "features:   0 %\n");
    now.disk_bytes = 0;
    capture(&now, 1);
    ck_assert_str_eq(lines, "features:   0 %\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress of the tool");
    TCase *cases = tcase_create("lines");

    tcase_add_test(cases, a_stage_ends_with_one_line);
    tcase_add_test(cases, epochs_count_once);
    tcase_add_test(cases, gates_within_a_second_have_one_line);
    tcase_add_test(cases, disk_is_told_before_the_first_row);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
