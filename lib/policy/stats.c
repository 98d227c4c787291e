/* stats.c - what a statistics gate reads of a row's logits. */
#include "policy/policy.h"

#include <math.h>

int32_t ln__stats_count(int32_t classes, uint32_t exit)
{
    int32_t own = LN__MIN(classes, 3) + (classes > 1 ? 2 : 0) + 2;

    return own + 2 * (int32_t)exit + (exit > 0 ? 1 : 0);
}

int32_t ln__stats_margin_logit(int32_t classes)
{
    return LN__MIN(classes, 3) + 1;
}

/* The three largest, descending; -INFINITY where there are fewer. */
static void top_three(const float *values, int32_t count, float top[3])
{
    top[0] = top[1] = top[2] = -INFINITY;
    for (int32_t i = 0; i < count; i++) {
        float v = values[i];

        if (v <= top[2])
            continue;
        if (v > top[0]) {
            top[2] = top[1];
            top[1] = top[0];
            top[0] = v;
        } else if (v > top[1]) {
            top[2] = top[1];
            top[1] = v;
        } else {
            top[2] = v;
        }
    }
}

/* 1 - (p1 - p2) as the sum of what the others have and p2: nothing cancels. */
static float margin_logit(const float *p, int32_t classes, const float top[3])
{
    double doubt = (double)top[1];
    bool passed = false;

    for (int32_t c = 0; c < classes; c++)
        if (p[c] == top[0] && !passed)
            passed = true;
        else
            doubt += (double)p[c];
    return (float)log((2.0 - doubt) / (doubt + (double)LN__LEAST_DOUBT));
}

/* Entropy over log(classes), and log sum exp minus mean: both are sums of the
 * distances to the largest logit, z1 - z, all of one sign: nothing cancels.
 * log sum exp z = z1 - log p1. */
static void spread(const float *z, const float *p, int32_t classes, float z1, float p1, float out[2])
{
    double weighted = 0.0, plain = 0.0, above = -log((double)p1);

    for (int32_t c = 0; c < classes; c++) {
        double distance = (double)(z1 - z[c]);

        weighted += (double)p[c] * distance;
        plain += distance;
    }
    out[0] = (float)((weighted + above) / log(classes > 1 ? (double)classes : 2.0));
    out[1] = (float)(plain / classes + above);
}

/* p . q, and p^4 . q / sum p^4. */
static void agreement(const float *p, const float *q, int32_t classes, float out[2])
{
    double dot = 0.0, sharp = 0.0, weight = 0.0;

    for (int32_t c = 0; c < classes; c++) {
        double square = (double)p[c] * (double)p[c], fourth = square * square;

        dot += (double)p[c] * (double)q[c];
        sharp += fourth * (double)q[c];
        weight += fourth;
    }
    out[0] = (float)dot;
    out[1] = (float)(sharp / weight);
}

void ln__stats_compute(int32_t classes, uint32_t exit, const float *const *logits,
                       const float *const *probabilities, float *stats)
{
    const float *z = logits[exit], *p = probabilities[exit];
    float largest_z = -INFINITY, top_p[3];

    for (int32_t c = 0; c < classes; c++)
        largest_z = fmaxf(largest_z, z[c]);
    top_three(p, classes, top_p);
    for (int32_t i = 0; i < LN__MIN(classes, 3); i++)
        *stats++ = top_p[i];
    if (classes > 1) {
        *stats++ = top_p[0] - top_p[1];
        *stats++ = margin_logit(p, classes, top_p);
    }
    spread(z, p, classes, largest_z, top_p[0], stats);
    stats += 2;
    for (uint32_t j = 0; j < exit; j++, stats += 2)
        agreement(p, probabilities[j], classes, stats);
    if (exit > 0) {
        top_three(probabilities[exit - 1], classes, top_p);
        *stats = top_p[0];
    }
}
