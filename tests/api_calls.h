/* api_calls.h - what tests through the public header share: checked calls and the small network's files. */
#ifndef LN_TEST_API_CALLS_H
#define LN_TEST_API_CALLS_H

#include <check.h>

#include "leenet/leenet.h"
#include "run_suite.h"

#define MODEL "tests/data/shapes.onnx"
#define DATA "tests/data/shapes.tar.gz"

static ln_error err;
#define OK(call)                                                                            \
    do {                                                                                    \
        ln_status ok_status = (call);                                                       \
        ck_assert_msg(ok_status >= 0, "%s: %s: %s", #call, ln_status_name(ok_status), err.text); \
    } while (0)
#define FAILS(status, call)                                                                 \
    do {                                                                                    \
        err.text[0] = '\0';                                                                 \
        ck_assert_int_eq((call), (status));                                                 \
        ck_assert_msg(err.text[0] != '\0', "%s says nothing", #call);                       \
    } while (0)

static inline ln_data *open_rows(const char *spec)
{
    ln_data *data = NULL;
    OK(ln_data_open(&data, spec, NULL, &err));
    return data;
}

#endif
