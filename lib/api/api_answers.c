/* api_answers.c - recorded answers. */
#include <math.h>

#include "api/api.h"
#include "session/session.h"

ln_status ln_answers_collect(ln_answers **out, ln_model *model, ln_data *data, const ln_answers_options *options, ln_error *err)
{
    ln_answers_options o;

    LN__REQUIRE(out, "ln_answers_collect", err);
    *out = NULL;
    LN__REQUIRE(model, "ln_answers_collect", err);
    LN__REQUIRE(data, "ln_answers_collect", err);
    ln_status st = ln__options_copy(&o, sizeof o, options, "ln_answers_options", err);
    return st < 0 ? st : ln__answers_collect(out, model, data, &o, err);
}

void ln_answers_free(ln_answers *answers)
{
    ln__answers_free(answers);
}

size_t ln_answers_rows(const ln_answers *answers)
{
    return answers ? ln__answers_rows(answers) : 0;
}

int32_t ln_answers_label(const ln_answers *answers, size_t row)
{
    return answers ? ln__answers_label(answers, row) : -1;
}

size_t ln_answers_data_row(const ln_answers *answers, size_t row)
{
    return answers ? ln__answers_data_row(answers, row) : SIZE_MAX;
}

const float *ln_answers_logits(const ln_answers *answers, uint32_t exit)
{
    return answers ? ln__answers_logits(answers, exit) : NULL;
}

double ln_answers_time_share(const ln_answers *answers, uint32_t exit)
{
    return answers ? ln__answers_time_share(answers, exit) : NAN;
}

int32_t ln_answers_choice(const ln_answers *answers, uint32_t exit, size_t row, float *probability)
{
    return answers ? ln__answers_choice(answers, exit, row, probability) : -1;
}

ln_status ln_answers_replay_point(const ln_answers *answers, uint32_t point, ln_result *results, ln_evaluation *out, ln_error *err)
{
    LN__REQUIRE(answers, "ln_answers_replay_point", err);
    return ln__answers_replay_point(answers, point, results, out, err);
}

ln_status ln_answers_replay(const ln_answers *answers, int32_t policy, uint32_t index, ln_result *results, ln_evaluation *out,
                            ln_error *err)
{
    LN__REQUIRE(answers, "ln_answers_replay", err);
    return ln__answers_replay(answers, policy, index, results, out, err);
}
