/* test_cli_progress.c - the lines the tool prints about progress where there is no terminal. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../src/cli_progress.c"

/* ---- What the file calls of the rest of the tool ------------------------------------ */

double seconds_now(void) { return 0; }
void print_safe(FILE *to, const char *text) { fputs(text, to); }
void log_write(progress_log *log, double seconds, const ln_progress *now) { (void)log; (void)seconds; (void)now; }

/* ---- Reports and lines ----------------------------------------------------------------- */

typedef struct report { const char *stage; uint32_t epoch, epochs; uint64_t done, total; double accuracy; } report;

static char lines[4096];

/* Standard error while the reports come in, in `lines`. */
static void show(const report *reports, size_t n)
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    progress p;

    ck_assert(file != NULL && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    progress_start(&p, false);
    for (size_t i = 0; i < n; i++) {
        ln_progress now = { .struct_size = sizeof now, .stage = reports[i].stage, .epoch = reports[i].epoch,
                            .epochs = reports[i].epochs, .done = reports[i].done, .total = reports[i].total, .loss = NAN,
                            .validation = NAN, .accuracy = reports[i].accuracy, .seconds_left = NAN };
        ck_assert_int_eq(progress_show(&now, &p), 0);
    }
    progress_end(&p);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    lines[fread(lines, 1, sizeof lines - 1, file)] = '\0';
    fclose(file);
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

int main(void)
{
    Suite *suite = suite_create("progress of the tool");
    TCase *cases = tcase_create("lines");

    tcase_add_test(cases, a_stage_ends_with_one_line);
    tcase_add_test(cases, epochs_count_once);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
