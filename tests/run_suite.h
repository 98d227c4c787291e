/* run_suite.h - the end of a test program. */
#ifndef LN_TEST_RUN_SUITE_H
#define LN_TEST_RUN_SUITE_H

#include <check.h>

/* Runs and frees the suite; returns the program's exit code. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
