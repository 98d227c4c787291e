/* objective.c - objectives that ask one question a gate: gains and their weighted logistic loss. */
#include "policy/policy.h"

#include <math.h>

double ln__gain_expand(double z, double gain, double *slope, double *bend)
{
    double sign = gain < 0 ? -1.0 : 1.0, size = fabs(gain);
    double margin = sign * z, small = exp(-fabs(margin));

    *slope = -sign * size * (margin < 0 ? 1.0 : small) / (1.0 + small);
    *bend = size * small / ((1.0 + small) * (1.0 + small));
    return size * (log1p(small) + fmax(-margin, 0.0));
}

double ln__gain_loss(const float *z, const float *gain, int64_t n, uint32_t exits, float *dz)
{
    double total = 0.0;

    for (int64_t i = 0; i < n * exits; i++) {
        double slope, bend;

        total += ln__gain_expand((double)z[i], (double)gain[i], &slope, &bend);
        if (dz != NULL)
            dz[i] = (float)(slope / (double)n);
    }
    return n > 0 ? total / (double)n : 0.0;
}

void ln__gain_right(float *gain, const uint8_t *right, int64_t n, uint32_t exits)
{
    for (int64_t r = 0; r < n; r++)
        for (uint32_t i = 0; i < exits; i++)
            gain[r * exits + i] = right[r * (exits + 1) + i] ? 1.0f : -1.0f;
}

void ln__gain_no_regret(float *gain, const uint8_t *right, int64_t n, uint32_t exits)
{
    for (int64_t r = 0; r < n; r++) {
        const uint8_t *row = right + r * (exits + 1);
        bool later = row[exits];

        for (uint32_t i = exits; i-- > 0;) {
            gain[r * exits + i] = row[i] || !later ? 1.0f : -1.0f;
            later = later || row[i];
        }
    }
}

static double leaving(const float *price, const double *cost, double alpha, uint32_t exit)
{
    return (1.0 - alpha) * (double)price[exit] + alpha * cost[exit];
}

void ln__gain_induction(float *gain, const float *value, const float *price, const double *cost, double alpha,
                        int64_t n, uint32_t exits, uint32_t exit)
{
    double size = 0.0;

    for (int64_t r = 0; r < n; r++) {
        gain[r] = (float)((double)value[r] - leaving(price + r * (exits + 1), cost, alpha, exit));
        size += fabs((double)gain[r]);
    }
    for (int64_t r = 0; size > 0.0 && r < n; r++)
        gain[r] = (float)((double)gain[r] * (double)n / size);
}

void ln__value_arrive(float *value, const float *z, const float *price, const double *cost, double alpha,
                      int64_t n, uint32_t exits, uint32_t exit)
{
    for (int64_t r = 0; r < n; r++)
        if (exit == exits || z[r] > 0.0f)
            value[r] = (float)leaving(price + r * (exits + 1), cost, alpha, exit);
}
