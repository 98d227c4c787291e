/* describe_grid.c - means and maxima of the cells of a grid laid over a value, and each
 * channel's standard deviation over all of it. */
#include "heads/answer_kernels.h"

/* Fewer channels side by side than lanes. */
static void cell_narrow(const float *x, int64_t stride, int64_t line, int64_t height, int64_t width,
                        const float *shifts, ln__sums *out)
{
    for (int64_t c = 0; c < stride; c++) {
        out->sum[c] = out->squares[c] = 0;
        out->max[c] = x[c];
        for (int64_t h = 0; h < height; h++)
            for (int64_t w = 0; w < width; w++) {
                float v = x[h * line + w * stride + c], d = v - shifts[c];

                out->max[c] = LN__MAX(out->max[c], v);
                out->sum[c] += d;
                out->squares[c] += d * d;
            }
    }
}

/* `count` channels at x, from channel `first` on. */
static void describe_channels(const ln__head *head, const ln__head_kernels *kernels, const float *x, int64_t stride, int64_t first,
                              int64_t count, float *features)
{
    int64_t cells = head->cells, area = cells * cells, height = head->height / cells, width = head->width / cells;
    int64_t line = head->width * stride;
    double total[LN__MOST_LANES] = { 0 }, squares[LN__MOST_LANES] = { 0 };
    float *means = features + first * area, *maxima = features + (area + 1) * head->channels + first * area;

    for (int64_t cell = 0; cell < area; cell++) {
        const float *from = x + cell / cells * height * line + cell % cells * width * stride;
        ln__sums sums;

        if (stride == 1)
            kernels->line(from, line, height, width, x[0], &sums);
        else if (stride < kernels->lanes)
            cell_narrow(from, stride, line, height, width, x, &sums);
        else
            kernels->cell(from, stride, line, height, width, x, &sums);
        for (int64_t c = 0; c < count; c++) {
            means[c * area + cell] = sums.sum[c] / (float)(height * width) + x[c];
            maxima[c * area + cell] = sums.max[c];
            total[c] += (double)sums.sum[c];
            squares[c] += (double)sums.squares[c];
        }
    }
    for (int64_t c = 0; c < count; c++)
        features[area * head->channels + first + c] = ln__head_deviation(total[c], squares[c], head->spatial);
}

void ln__head_describe_grid(const ln__head *head, const float *x, int64_t block, float *features)
{
    const ln__head_kernels *kernels = ln__head_kernels_best();
    int64_t lanes = LN__MIN(block, kernels->lanes);

    for (int64_t first = 0; first < head->channels; first += block) {
        int64_t count = LN__MIN(block, head->channels - first);

        for (int64_t c = 0; c < count; c += lanes) {
            /* The last lanes of a wide block may not be whole: reach back over channels done already. */
            int64_t from = LN__MIN(c, block - lanes);

            describe_channels(head, kernels, x + first * head->spatial + from, block, first + from, LN__MIN(lanes, count - from),
                              features);
        }
    }
}
