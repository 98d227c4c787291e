/* api_lib.c - version, backend, status texts. */
#include "engine/engine.h"

uint32_t ln_lib_version_number(void)
{
    return LN_VERSION_NUMBER;
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *ln_lib_version(void)
{
    return VERSION_TEXT(LN_VERSION_MAJOR, LN_VERSION_MINOR, LN_VERSION_PATCH);
}

const char *ln_lib_backend(void)
{
    return ln__engine_backend();
}

const char *ln_status_name(ln_status status)
{
    switch (status) {
#define LN_X(name, value, text) case value: return "LN_" #name;
    LN_STATUS_MAP(LN_X)
#undef LN_X
    default: return "?";
    }
}

const char *ln_status_text(ln_status status)
{
    switch (status) {
#define LN_X(name, value, text) case value: return text;
    LN_STATUS_MAP(LN_X)
#undef LN_X
    default: return "unknown status";
    }
}
