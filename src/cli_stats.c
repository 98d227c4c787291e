/* cli_stats.c - bootstrap and a fitted line. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_row(double *sums, const float *row, size_t width)
{
    for (size_t c = 0; c < width; c++)
        sums[c] += (double)row[c];
}

void bootstrap(estimate *out, const float *values, size_t rows, size_t width, uint32_t draws, uint64_t seed)
{
    double *means = tool_alloc((size_t)draws * width, sizeof *means);   /* [width][draws] */
    double *sums = tool_alloc(width, sizeof *sums);

    for (size_t r = 0; r < rows; r++)
        add_row(sums, values + r * width, width);
    for (size_t c = 0; c < width; c++)
        out[c].mean = sums[c] / (double)rows;
    for (uint32_t d = 0; d < draws; d++) {
        memset(sums, 0, width * sizeof *sums);
        for (size_t r = 0; r < rows; r++)
            add_row(sums, values + (size_t)(next_random(&seed) % rows) * width, width);
        for (size_t c = 0; c < width; c++)
            means[c * draws + d] = sums[c] / (double)rows;
    }
    for (size_t c = 0; c < width; c++) {
        double *column = means + c * draws;
        qsort(column, draws, sizeof *column, by_value);
        out[c].low = column[(size_t)(0.025 * (draws - 1) + 0.5)];
        out[c].high = column[(size_t)(0.975 * (draws - 1) + 0.5)];
    }
    free(means);
    free(sums);
}

log_line fit_log_line(const double *x, const double *y, size_t n)
{
    double mx = 0, my = 0, xx = 0, xy = 0, yy = 0;

    for (size_t i = 0; i < n; i++) {
        mx += log(x[i]) / (double)n;
        my += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double dx = log(x[i]) - mx, dy = y[i] - my;
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    double b = xx > 0 ? xy / xx : 0;
    return (log_line){ my - b * mx, b, xx > 0 && yy > 0 ? xy * xy / (xx * yy) : 1 };
}
