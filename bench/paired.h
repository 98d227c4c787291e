/* paired.h - differences over the same rows with bootstrap intervals, and the checks of programs that measure. */
#ifndef BENCH_PAIRED_H
#define BENCH_PAIRED_H

#include <leenet/leenet.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static ln_error err;

static void must(ln_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "%s: %s\n", ln_status_name(status), err.text);
    exit(1);
}

static void *need(void *memory)
{
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

typedef struct interval { double mean, low, high; } interval;

static size_t random_row(size_t n)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of a - b, 1 where right, in points; 95 % by rows drawn with replacement. */
static interval paired_difference(const double *a, const double *b, size_t rows)
{
    enum { DRAWS = 2000 };
    static double drawn[DRAWS];
    interval out = { 0, 0, 0 };

    for (size_t r = 0; r < rows; r++)
        out.mean += 100 * (a[r] - b[r]) / (double)rows;
    for (int d = 0; d < DRAWS; d++) {
        drawn[d] = 0;
        for (size_t i = 0; i < rows; i++) {
            size_t r = random_row(rows);
            drawn[d] += 100 * (a[r] - b[r]) / (double)rows;
        }
    }
    qsort(drawn, DRAWS, sizeof *drawn, by_size);
    out.low = drawn[DRAWS / 40];
    out.high = drawn[DRAWS - 1 - DRAWS / 40];
    return out;
}

#endif
