/* api_image.c - public functions about pictures. */
#include "api/api.h"
#include "image/image.h"

ln_status ln_preprocess_preset(ln_preprocess *out, const char *name, ln_error *err)
{
    LN__REQUIRE(out, "ln_preprocess_preset", err);
    LN__REQUIRE(name, "ln_preprocess_preset", err);
    return ln__preprocess_preset(out, name, err);
}
