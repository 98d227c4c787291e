/* api.h - argument checks shared by the public functions. */
#ifndef LN_API_H
#define LN_API_H

#include "base/base.h"

#define LN__REQUIRE(pointer, call, err)                                                    \
    do {                                                                                   \
        if (!(pointer))                                                                    \
            return ln__fail((err), LN_E_ARGUMENT, "%s: argument '%s' is NULL", (call), #pointer); \
    } while (0)

#endif
