/* describe_grid.c - means and maxima of the cells of a grid laid over a value, and each
 * channel's standard deviation over all of it. */
#include "heads/heads.h"
#include "heads/lanes.h"

#include <math.h>

typedef struct cell_sums { float sum[LN__LANES], squares[LN__LANES], max[LN__LANES]; } cell_sums;

/* LN__LANES channels side by side, `stride` floats from pixel to pixel, `line` from row to row. */
LN__LANES_BODY void cell_lanes_body(const float *x, int64_t stride, int64_t line, int64_t height, int64_t width,
                                    const float *shifts, cell_sums *out)
{
    ln__lanes shift, top, sum = { 0 }, squares = { 0 };

    ln__lanes_load(&shift, shifts);
    ln__lanes_load(&top, x);
    for (int64_t h = 0; h < height; h++)
        for (int64_t w = 0; w < width; w++) {
            ln__lanes v, d;

            ln__lanes_load(&v, x + h * line + w * stride);
            ln__lanes_max(&top, &v);
            d = v - shift;
            sum += d;
            squares += d * d;
        }
    memcpy(out->sum, &sum, sizeof sum);
    memcpy(out->squares, &squares, sizeof squares);
    memcpy(out->max, &top, sizeof top);
}
LN__LANES_DISPATCH(cell_lanes, cell_lanes_body,
                   (const float *x, int64_t stride, int64_t line, int64_t height, int64_t width, const float *shifts,
                    cell_sums *out),
                   (x, stride, line, height, width, shifts, out))

/* One channel whose pixels lie side by side: eight sums of every eighth pixel, then those left. */
LN__LANES_BODY void cell_line_body(const float *x, int64_t line, int64_t height, int64_t width, float shift,
                                   cell_sums *out)
{
    ln__lanes all, top, sum = { 0 }, squares = { 0 };
    float max = x[0], rest = 0, rest_squares = 0;
    int64_t whole = width / LN__LANES * LN__LANES;

    ln__lanes_fill(&all, shift);
    ln__lanes_fill(&top, x[0]);
    for (int64_t h = 0; h < height; h++) {
        for (int64_t w = 0; w < whole; w += LN__LANES) {
            ln__lanes v, d;

            ln__lanes_load(&v, x + h * line + w);
            ln__lanes_max(&top, &v);
            d = v - all;
            sum += d;
            squares += d * d;
        }
        for (int64_t w = whole; w < width; w++) {
            float v = x[h * line + w], d = v - shift;

            max = v > max ? v : max;
            rest += d;
            rest_squares += d * d;
        }
    }
    for (int i = 0; i < LN__LANES; i++)
        max = LN__MAX(max, top[i]);
    out->sum[0] = ln__lanes_sum(&sum) + rest;
    out->squares[0] = ln__lanes_sum(&squares) + rest_squares;
    out->max[0] = max;
}
LN__LANES_DISPATCH(cell_line, cell_line_body,
                   (const float *x, int64_t line, int64_t height, int64_t width, float shift, cell_sums *out),
                   (x, line, height, width, shift, out))

/* Fewer channels side by side than lanes. */
static void cell_narrow(const float *x, int64_t stride, int64_t line, int64_t height, int64_t width,
                        const float *shifts, cell_sums *out)
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
static void describe_channels(const ln__head *head, const float *x, int64_t stride, int64_t first, int64_t count,
                              float *features)
{
    int64_t cells = head->cells, area = cells * cells, height = head->height / cells, width = head->width / cells;
    int64_t line = head->width * stride;
    double total[LN__LANES] = { 0 }, squares[LN__LANES] = { 0 };
    float *means = features + first * area, *maxima = features + (area + 1) * head->channels + first * area;

    for (int64_t cell = 0; cell < area; cell++) {
        const float *from = x + cell / cells * height * line + cell % cells * width * stride;
        cell_sums sums;

        if (stride == 1)
            cell_line(from, line, height, width, x[0], &sums);
        else if (stride < LN__LANES)
            cell_narrow(from, stride, line, height, width, x, &sums);
        else
            cell_lanes(from, stride, line, height, width, x, &sums);
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
    int64_t lanes = LN__MIN(block, (int64_t)LN__LANES);

    for (int64_t first = 0; first < head->channels; first += block) {
        int64_t count = LN__MIN(block, head->channels - first);

        for (int64_t c = 0; c < count; c += lanes) {
            /* The last lanes of a wide block may not be whole: reach back over channels done already. */
            int64_t from = LN__MIN(c, block - lanes);

            describe_channels(head, x + first * head->spatial + from, block, first + from, LN__MIN(lanes, count - from),
                              features);
        }
    }
}
