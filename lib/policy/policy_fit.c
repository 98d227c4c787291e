/* policy_fit.c - what policies other than gates learn from rows. */
#include "policy/policy.h"

#include <math.h>
#include <string.h>

enum { MOST_ROWS = 4096 };      /* that a handful of numbers is fitted to */

/* ---- Ensemble -------------------------------------------------------------------------- */

enum { STEPS = 60 };

static void log_softmax(const float *z, int32_t classes, double *out)
{
    double top = z[0], sum = 0;

    for (int32_t c = 1; c < classes; c++)
        top = fmax(top, z[c]);
    for (int32_t c = 0; c < classes; c++)
        sum += exp(z[c] - top);
    for (int32_t c = 0; c < classes; c++)
        out[c] = z[c] - top - log(sum);
}

/* Adds a row's gradient by the weights: sum_c (p_c - [c = label]) log p_jc, p the mixture. */
static void add_row(double *gradient, const double *weights, const float *const *logits, int64_t row, int32_t label,
                    int32_t classes, uint32_t exit, double *scratch)
{
    double *mixed = scratch, *one = scratch + classes, top = -INFINITY, sum = 0;

    for (int32_t c = 0; c < classes; c++)
        mixed[c] = 0;
    for (uint32_t j = 0; j <= exit; j++) {
        log_softmax(logits[j] + row * classes, classes, one);
        for (int32_t c = 0; c < classes; c++)
            mixed[c] += weights[j] * one[c];
    }
    for (int32_t c = 0; c < classes; c++)
        top = fmax(top, mixed[c]);
    for (int32_t c = 0; c < classes; c++)
        sum += mixed[c] = exp(mixed[c] - top);
    for (int32_t c = 0; c < classes; c++)
        mixed[c] = mixed[c] / sum - (c == label ? 1.0 : 0.0);
    /* What is the same for all classes falls out: logits serve as log-probabilities. */
    for (uint32_t j = 0; j <= exit; j++)
        for (int32_t c = 0; c < classes; c++)
            gradient[j] += mixed[c] * (double)logits[j][row * classes + c];
}

/* Adam on the logarithms of the weights, which keeps them positive; convex in the weights, a handful of
 * numbers from thousands of rows. */
void ln__ensemble_fit(double *weights, const float *const *logits, const int32_t *labels, int64_t n, int32_t classes,
                      uint32_t exit, double *scratch)
{
    double v[LN__MAX_EXITS], m1[LN__MAX_EXITS] = { 0 }, m2[LN__MAX_EXITS] = { 0 }, gradient[LN__MAX_EXITS];
    int64_t used = LN__MIN(n, MOST_ROWS);

    for (uint32_t j = 0; j <= exit; j++) {
        weights[j] = 1.0 / (exit + 1);
        v[j] = log(weights[j]);
    }
    for (int step = 1; step <= STEPS; step++) {
        double rate = 0.3 * (1.0 - (step - 1.0) / STEPS);

        memset(gradient, 0, sizeof gradient);
        for (int64_t i = 0; i < used; i++) {
            int64_t row = i * n / used;
            add_row(gradient, weights, logits, row, labels[row], classes, exit, scratch);
        }
        for (uint32_t j = 0; j <= exit; j++) {
            double d = gradient[j] * weights[j] / (double)used;

            m1[j] = 0.8 * m1[j] + 0.2 * d;
            m2[j] = 0.95 * m2[j] + 0.05 * d * d;
            v[j] -= rate * (m1[j] / (1 - pow(0.8, step))) / (sqrt(m2[j] / (1 - pow(0.95, step))) + 1e-8);
            v[j] = fmax(-12.0, fmin(4.0, v[j]));
            weights[j] = exp(v[j]);
        }
    }
}

/* ---- EENet's schedule ---------------------------------------------------------------------- */

/* Mean over rows of r_i ~ q_i^power exp(-tilt cost_i): of all ways to meet the mean cost this is the one
 * nearest (Kullback, Leibler) to the rows' own preference. Returns the mean cost. */
static double tilted(double *share, double power, double tilt, const float *q, const double *cost, int64_t n, uint32_t exits)
{
    double r[LN__MAX_EXITS + 1], mean = 0;
    int64_t used = LN__MIN(n, MOST_ROWS);

    memset(share, 0, (exits + 1) * sizeof *share);
    for (int64_t k = 0; k < used; k++) {
        double top = -INFINITY, sum = 0;
        int64_t row = k * n / used;

        for (uint32_t i = 0; i <= exits; i++) {
            r[i] = power * log(fmax((double)q[row * (exits + 1) + i], 1e-6)) - tilt * cost[i];
            top = fmax(top, r[i]);
        }
        for (uint32_t i = 0; i <= exits; i++)
            sum += r[i] = exp(r[i] - top);
        for (uint32_t i = 0; i <= exits; i++)
            share[i] += r[i] / sum / (double)used;
    }
    for (uint32_t i = 0; i <= exits; i++)
        mean += share[i] * cost[i];
    return mean;
}

void ln__eenet_schedules(double *out, uint32_t n_budgets, double power, const float *q, const double *cost, int64_t n,
                         uint32_t exits)
{
    for (uint32_t b = 0; b < n_budgets; b++) {
        double *share = out + (size_t)b * (exits + 1), low = -500, high = 500;
        double root = 1.0 - (b + 1.0) / (n_budgets + 1.0), budget = cost[0] + (cost[exits] - cost[0]) * root * root;

        for (int i = 0; i < 30; i++) {
            double middle = 0.5 * (low + high);

            if (tilted(share, power, middle, q, cost, n, exits) > budget)
                low = middle;
            else
                high = middle;
        }
    }
}
