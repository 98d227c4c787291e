/* drift.c - do these rows leave where those of training did? */
#include "policy/policy.h"

#include <math.h>

/* P(chi-squared of k degrees of freedom > x), by its finite sums (Abramowitz, Stegun 26.4.4, 26.4.5). */
double ln__chi_squared_tail(double x, uint32_t k)
{
    double half = 0.5 * x, sum, term;

    if (!(x > 0))
        return 1.0;
    if (k % 2 == 0) {
        sum = term = exp(-half);
        for (uint32_t j = 1; j < k / 2; j++)
            sum += term *= half / j;
    } else {
        sum = erfc(sqrt(half));
        term = exp(-half) * sqrt(half) / 0.88622692545275801;   /* Gamma(3/2) */
        for (uint32_t j = 1; j <= k / 2; j++) {
            sum += term;
            term *= half / (j + 0.5);
        }
    }
    return fmin(sum, 1.0);
}

/* Of two rows of counts: Pearson's statistic, which comes closer to its limit than G does at small counts. */
static double cell(double a, double b, double share_a)
{
    double expected_a = (a + b) * share_a, expected_b = (a + b) - expected_a;
    return (a - expected_a) * (a - expected_a) / expected_a + (b - expected_b) * (b - expected_b) / expected_b;
}

double ln__drift_p(const uint64_t *seen, const double *shares, uint64_t rows, uint32_t exits)
{
    enum { FEWEST = 5 };
    double a = 0, b = 0, n = 0, x = 0, last_a = 0, last_b = 0;
    uint32_t cells = 0;

    for (uint32_t e = 0; e < exits; e++)
        n += (double)seen[e];
    if (n == 0 || rows == 0)
        return 1.0;
    double share = n / (n + (double)rows), smaller = fmin(share, 1.0 - share);
    for (uint32_t e = 0; e < exits; e++) {
        a += (double)seen[e];
        b += shares[e] * (double)rows;
        if ((a + b) * smaller < FEWEST)
            continue;           /* too few: together with the next exit */
        if (cells++)
            x += cell(last_a, last_b, share);
        last_a = a;
        last_b = b;
        a = b = 0;
    }
    if (cells == 0)
        return 1.0;
    x += cell(last_a + a, last_b + b, share);   /* what is left at the end joins the last cell */
    return cells < 2 ? 1.0 : ln__chi_squared_tail(x, cells - 1);
}
