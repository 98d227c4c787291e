/* covariance.c - how channels vary together over a value. */
#include "heads/answer_kernels.h"

#include <string.h>

/* Pixels centred at once. */
enum { TILE = 64 };

static int64_t whole_lanes(int64_t channels, int64_t lanes)
{
    return (channels + lanes - 1) / lanes * lanes;
}

/* For the widest vectors, which need the most. */
size_t ln__covariance_scratch(const ln__head *head)
{
    size_t width = (size_t)whole_lanes(head->channels, LN__MOST_LANES);

    return ln__head_covariances(head) ? width * (1 + TILE + width) : 0;
}

/* Of all pixels, from the means of cells, which are equally large. */
static void average_cells(const ln__head *head, const float *features, float *mean)
{
    int64_t area = (int64_t)head->cells * head->cells;

    for (int64_t c = 0; c < head->channels; c++) {
        float sum[4] = { 0 };       /* so that an addition need not wait for the one before */

        for (int64_t i = 0; i < area; i++)
            sum[i % 4] += features[c * area + i];
        mean[c] = ((sum[0] + sum[2]) + (sum[1] + sum[3])) / (float)area;
    }
}

static void centre(const ln__head_kernels *kernels, const ln__head *head, const float *x, int64_t block, int64_t first,
                   int64_t pixels, const float *mean, int64_t width, float *out)
{
    for (int64_t c = 0; c < head->channels; c += block)
        kernels->centre(x + c * head->spatial + first * block, block, pixels, LN__MIN(block, head->channels - c), mean + c, width,
                        out + c);
}

/* Each row's pairs, out of squares of lanes by lanes. */
static void store_triangle(const float *squares, int64_t channels, int64_t width, int64_t lanes, float *out)
{
    for (int64_t r = 0; r < channels; r++) {
        int64_t row = r / lanes, before = row * (width / lanes) - row * (row + 1) / 2;      /* squares of earlier rows, and as many columns */

        for (int64_t c = r + 1; c < channels;) {
            int64_t count = LN__MIN(lanes - c % lanes, channels - c);

            memcpy(out, squares + ((before + c / lanes) * lanes + r % lanes) * lanes + c % lanes, (size_t)count * sizeof *out);
            out += count;
            c += count;
        }
    }
}

void ln__head_describe_covariance(const ln__head *head, const float *x, int64_t block, float *scratch, const float *means,
                                  float *features)
{
    const ln__head_kernels *kernels = ln__head_kernels_best();
    int64_t width = whole_lanes(head->channels, kernels->lanes), across = width / kernels->lanes;
    int64_t n_squares = across * (across + 1) / 2, count = n_squares * kernels->lanes * kernels->lanes;
    float *mean = scratch, *tile = mean + width, *squares = tile + TILE * width;
    uintptr_t ahead = (uintptr_t)(head->mlp.narrow ? (const void *)head->mlp.narrow : tile);

    average_cells(head, means, mean);
    memset(tile, 0, (size_t)(TILE * width) * sizeof *tile);     /* what fills the last lanes stays 0 */
    memset(squares, 0, (size_t)count * sizeof *squares);
    for (int64_t first = 0; first < head->spatial; first += TILE) {
        int64_t pixels = LN__MIN(TILE, head->spatial - first);

        centre(kernels, head, x, block, first, pixels, mean, width, tile);
        kernels->products(tile, width, pixels, ahead, squares);
        ahead += (uintptr_t)(n_squares * pixels * LN__LINE);
    }
    kernels->roots(squares, count, 1.0f / (float)head->spatial, LN__HEAD_EPSILON);
    store_triangle(squares, head->channels, width, kernels->lanes, features);
}
