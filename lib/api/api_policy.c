/* api_policy.c - public functions on policies. */
#include "api/api.h"
#include "train/train.h"

#include <string.h>

const char *ln_policy_name(int32_t policy)
{
    switch (policy) {
#define LN_X(name, value, text) case value: return text;
    LN_POLICY_MAP(LN_X)
#undef LN_X
    default: return NULL;
    }
}

ln_status ln_policy_find(int32_t *out, const char *name, ln_error *err)
{
#define LN_X(name, value, text) value,
    static const int32_t known[] = { LN_POLICY_MAP(LN_X) };
#undef LN_X

    LN__REQUIRE(out, "ln_policy_find", err);
    LN__REQUIRE(name, "ln_policy_find", err);
    for (size_t i = 0; i < LN__COUNT(known); i++)
        if (strcmp(name, ln_policy_name(known[i])) == 0) {
            *out = known[i];
            return LN_OK;
        }
#define LN_X(name, value, text) " " text
    return ln__fail(err, LN_E_ARGUMENT, "policy '%.40s' is not known; there are" LN_POLICY_MAP(LN_X), name);
#undef LN_X
}

ln_status ln_policy_train(ln_model *model, ln_data *rows, const ln_policy_options *options, ln_error *err)
{
    ln_policy_options o;

    LN__REQUIRE(model, "ln_policy_train", err);
    LN__REQUIRE(rows, "ln_policy_train", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_policy_options", err);
    return st < 0 ? st : ln__policies_train(model, rows, &o, err);
}
