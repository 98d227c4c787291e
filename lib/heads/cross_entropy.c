/* cross_entropy.c - softmax, cross entropy and its temperature. */
#include "heads/heads.h"

#include <math.h>

static float row_max(const float *z, int32_t classes)
{
    float max = z[0];

    for (int32_t c = 1; c < classes; c++)
        max = z[c] > max ? z[c] : max;
    return max;
}

void ln__softmax_rows(const float *logits, int64_t n, int32_t classes, float *probabilities)
{
    for (int64_t i = 0; i < n; i++) {
        const float *z = logits + i * classes;
        float *p = probabilities + i * classes;
        float max = row_max(z, classes), scale;
        double sum = 0.0;

        for (int32_t c = 0; c < classes; c++) {
            p[c] = expf(z[c] - max);
            sum += (double)p[c];
        }
        scale = (float)(1.0 / sum);
        for (int32_t c = 0; c < classes; c++)
            p[c] *= scale;
    }
}

double ln__cross_entropy(const float *logits, const int32_t *labels, int64_t n, int32_t classes)
{
    double total = 0.0;

    for (int64_t i = 0; i < n; i++) {
        const float *z = logits + i * classes;
        double max = (double)row_max(z, classes), sum = 0.0;

        for (int32_t c = 0; c < classes; c++)
            sum += exp((double)z[c] - max);
        total += log(sum) - ((double)z[labels[i]] - max);
    }
    return n > 0 ? total / (double)n : 0.0;
}

double ln__cross_entropy_soft(const float *logits, const float *target, int64_t n, int32_t classes, float *dlogits)
{
    double total = 0.0;

    for (int64_t i = 0; i < n; i++) {
        const float *z = logits + i * classes, *t = target + i * classes;
        float *d = dlogits + i * classes, max = row_max(z, classes), most = 0.0f;
        double aimed = 0.0;

        for (int32_t c = 0; c < classes; c++)
            aimed += (double)t[c] * ((double)z[c] - (double)max);
        ln__softmax_rows(z, 1, classes, d);
        for (int32_t c = 0; c < classes; c++) {
            most = LN__MAX(most, d[c]);
            d[c] = (d[c] - t[c]) / (float)n;
        }
        total -= log((double)most) + aimed;     /* the largest probability is one over the sum of exp(z - max) */
    }
    return n > 0 ? total / (double)n : 0.0;
}

/* ---- Temperature (Guo et al. 2017, section 4.2) ------------------------------------- */

static double tempered_loss(const float *logits, const int32_t *labels, int64_t n, int32_t classes, double log_t)
{
    float scale = (float)exp(-log_t);
    double total = 0.0;

    for (int64_t i = 0; i < n; i++) {
        const float *z = logits + i * classes;
        float max = row_max(z, classes);
        double sum = 0.0;

        for (int32_t c = 0; c < classes; c++)
            sum += (double)expf((z[c] - max) * scale);
        total += log(sum) - (double)((z[labels[i]] - max) * scale);
    }
    return total;
}

double ln__fit_temperature(const float *logits, const int32_t *labels, int64_t n, int32_t classes, double *loss)
{
    const double ratio = 0.6180339887498949;        /* (sqrt(5) - 1) / 2 */
    double low = -log(8.0), high = log(8.0);
    double a = high - ratio * (high - low), b = low + ratio * (high - low), at_a, at_b;

    if (loss != NULL)
        *loss = 0.0;
    if (n == 0)
        return 1.0;
    at_a = tempered_loss(logits, labels, n, classes, a);
    at_b = tempered_loss(logits, labels, n, classes, b);
    while (high - low > 1e-3) {
        if (at_a <= at_b) {
            high = b;
            b = a;
            at_b = at_a;
            a = high - ratio * (high - low);
            at_a = tempered_loss(logits, labels, n, classes, a);
        } else {
            low = a;
            a = b;
            at_a = at_b;
            b = low + ratio * (high - low);
            at_b = tempered_loss(logits, labels, n, classes, b);
        }
    }
    if (loss != NULL)
        *loss = LN__MIN(at_a, at_b) / (double)n;
    return exp(0.5 * (low + high));
}
