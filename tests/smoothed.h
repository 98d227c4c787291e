/* smoothed.h - cross entropy against labels that are smoothed, as the distributions they are. */
#ifndef LN_TEST_SMOOTHED_H
#define LN_TEST_SMOOTHED_H

#include <stdlib.h>

#include "heads/heads.h"

/* The mean loss; its gradient to dlogits. */
static inline double smoothed_loss(const float *logits, const int32_t *labels, int64_t n, int32_t classes, float smoothing, float *dlogits)
{
    float *target = malloc((size_t)n * (size_t)classes * sizeof *target);

    for (int64_t i = 0; i < n * classes; i++)
        target[i] = smoothing / (float)classes + (i % classes == labels[i / classes] ? 1 - smoothing : 0);
    double loss = ln__cross_entropy_soft(logits, target, n, classes, dlogits);
    free(target);
    return loss;
}

#endif
