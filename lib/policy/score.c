/* score.c - how sure a policy is of a row's answer, and the answer it gives. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

/* ---- One exit's answer ------------------------------------------------------------------ */

static int32_t likeliest(const float *logits, int32_t classes)
{
    int32_t best = 0;

    for (int32_t c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

static void two_largest(const float *p, int32_t classes, float out[2])
{
    out[0] = out[1] = 0.0f;
    for (int32_t c = 0; c < classes; c++) {
        if (p[c] > out[0]) {
            out[1] = out[0];
            out[0] = p[c];
        } else if (p[c] > out[1]) {
            out[1] = p[c];
        }
    }
}

/* 1 - entropy / log classes. The entropy is summed from distances to the largest logit, all of one sign. */
static float certainty(const float *z, const float *p, int32_t classes)
{
    int32_t best = likeliest(z, classes);
    double entropy = -log((double)p[best]);

    for (int32_t c = 0; c < classes; c++)
        entropy += (double)p[c] * (double)(z[best] - z[c]);
    return (float)fmin(1.0, fmax(0.0, 1.0 - entropy / log(classes > 1 ? (double)classes : 2.0)));
}

/* Exits in a row, ending here, that give the same class. */
static uint32_t agreeing(uint32_t exit, const ln__sight *sight)
{
    int32_t here = likeliest(sight->logits[exit], sight->classes);
    uint32_t run = 1;

    while (run <= exit && likeliest(sight->logits[exit - run], sight->classes) == here)
        run++;
    return run;
}

/* ---- Several exits' answers taken together ------------------------------------------------ */

/* sight->mixed = log softmax(sum w_j log p_j); returns the largest probability. log p of the likeliest class is
 * exact as log(p), the others lie their logits' distance below. */
static float mix(const ln__mlp *weights, uint32_t exit, const ln__sight *sight)
{
    int32_t classes = sight->classes;
    const float *w = ln__mlp_w2(weights);
    float *mixed = sight->mixed;
    double sum = 0.0;

    for (int32_t c = 0; c < classes; c++)
        mixed[c] = 0.0f;
    for (uint32_t j = 0; j <= exit; j++) {
        const float *z = sight->logits[j];
        int32_t best = likeliest(z, classes);
        float top = logf(sight->probabilities[j][best]);

        for (int32_t c = 0; c < classes; c++)
            mixed[c] += w[j] * (top - (z[best] - z[c]));
    }
    int32_t best = likeliest(mixed, classes);
    float top = mixed[best];
    for (int32_t c = 0; c < classes; c++)
        sum += exp((double)(mixed[c] - top));
    for (int32_t c = 0; c < classes; c++)
        mixed[c] -= top + (float)log(sum);
    return (float)(1.0 / sum);
}

/* ---- Learned scores ------------------------------------------------------------------------- */

int32_t ln__eenet_count(int32_t classes, uint32_t exit)
{
    return classes + 3 + (int32_t)exit;
}

void ln__eenet_inputs(uint32_t exit, const ln__sight *sight, float *out)
{
    const float *z = sight->logits[exit], *p = sight->probabilities[exit];
    size_t classes = (size_t)sight->classes;

    memcpy(out, p, classes * sizeof *out);
    out[classes] = p[likeliest(z, sight->classes)];
    out[classes + 1] = certainty(z, p, sight->classes);
    out[classes + 2] = (float)agreeing(exit, sight) / (float)(exit + 1);
    if (exit > 0)
        memcpy(out + classes + 3, sight->scores, exit * sizeof *out);
}

static float gate_score(const ln__gates *gates, uint32_t exit, const ln__sight *sight)
{
    int32_t width = ln__stats_count(sight->classes, exit);

    if (gates->input == LN_GATE_FEATURES)
        return ln__gate_answer(gates, exit, sight->features, sight->scratch);
    ln__stats_compute(sight->classes, exit, sight->logits, sight->probabilities, sight->scratch);
    if (gates->input == LN_GATE_BOTH) {
        memcpy(sight->scratch + width, sight->features, (size_t)sight->features_count * sizeof(float));
        width += sight->features_count;
    }
    return ln__gate_answer(gates, exit, sight->scratch, sight->scratch + width);
}

/* ---- Any policy ------------------------------------------------------------------------------ */

size_t ln__score_scratch(const ln__gates *gates, int32_t classes)
{
    size_t most = 1;

    for (uint32_t i = 0; i < gates->exits; i++)
        most = LN__MAX(most, (size_t)gates->gate[i].inputs + (size_t)gates->gate[i].hidden);
    return LN__MAX(most, (size_t)ln__eenet_count(classes, gates->exits));
}

bool ln__score_before_head(const ln__gates *gates)
{
    return gates->policy == LN_POLICY_GATE && gates->input == LN_GATE_FEATURES;
}

float ln__score(const ln__gates *gates, uint32_t exit, const ln__sight *sight)
{
    float two[2];

    switch (gates->policy) {
    case LN_POLICY_GATE:
        return gate_score(gates, exit, sight);
    case LN_POLICY_ENTROPY:
        return certainty(sight->logits[exit], sight->probabilities[exit], sight->classes);
    case LN_POLICY_PATIENCE:
        return (float)agreeing(exit, sight) / (float)(gates->exits + 1);
    case LN_POLICY_EENET:
        ln__eenet_inputs(exit, sight, sight->scratch);
        return ln__gate_answer(gates, exit, sight->scratch, NULL);
    case LN_POLICY_ENSEMBLE:
        return mix(&gates->gate[exit], exit, sight);
    default:                    /* MAX_PROB, GEOMETRIC, MARGIN */
        two_largest(sight->probabilities[exit], sight->classes, two);
        return gates->policy == LN_POLICY_MARGIN ? two[0] - two[1] : two[0];
    }
}

bool ln__score_may_pass(const double *threshold, uint32_t exits)
{
    for (uint32_t e = 0; e < exits; e++)
        if (threshold[e] < 1)
            return true;
    return false;
}

const float *ln__score_answer(const ln__gates *gates, uint32_t exit, const ln__sight *sight)
{
    return gates->policy == LN_POLICY_ENSEMBLE ? sight->mixed : sight->logits[exit];
}
