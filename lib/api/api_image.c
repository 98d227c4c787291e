/* api_image.c - public functions about pictures. */
#include "image/image.h"

ln_status ln_preprocess_preset(ln_preprocess *out, const char *name, ln_error *err)
{
    if (!out || !name)
        return ln__fail(err, LN_E_ARGUMENT, "ln_preprocess_preset: %s is NULL", !out ? "out" : "name");
    return ln__preprocess_preset(out, name, err);
}
