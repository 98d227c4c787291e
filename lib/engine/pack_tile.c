/* pack_tile.c - weights in the order kernel_tile.c reads them. */
#include "engine/plan.h"

#include <string.h>

enum { MOST_LANES = 64, MOST_TAPS = LN__TILE_TAPS };    /* output channels of a group */

static int64_t taps_of(const ln__tensor *plain)
{
    int64_t n = 1;
    for (int32_t d = 2; d < plain->rank; d++)
        n *= plain->dim[d];
    return n;
}

/* Winograd's filter transform (docs/methods.md) of one input channel and a group's output channels. */
static void frequencies(double (*u)[MOST_LANES], const double (*g)[MOST_LANES], int64_t edge, int64_t lanes)
{
    static const double four[6][3] = { { 1, 0, 0 },
        { -2.0 / 3, -0.47140452079103168, -1.0 / 3 }, { -2.0 / 3, 0.47140452079103168, -1.0 / 3 },
        { 1.0 / 6, 0.23570226039551584, 1.0 / 3 }, { 1.0 / 6, -0.23570226039551584, 1.0 / 3 }, { 0, 0, 1 } };
    static const double two[4][3] = { { 1, 0, 0 }, { 0.5, 0.5, 0.5 }, { 0.5, -0.5, 0.5 }, { 0, 0, 1 } };
    const double (*of)[3] = edge == 4 ? four : two;
    double half[3][MOST_LANES];
    for (int64_t i = 0; i < edge + 2; i++) {
        for (int k = 0; k < 3; k++)
            for (int64_t l = 0; l < lanes; l++)
                half[k][l] = of[i][0] * g[k][l] + of[i][1] * g[3 + k][l] + of[i][2] * g[6 + k][l];
        for (int64_t k = 0; k < edge + 2; k++)
            for (int64_t l = 0; l < lanes; l++)
                u[i * (edge + 2) + k][l] = half[0][l] * of[k][0] + half[1][l] * of[k][1] + half[2][l] * of[k][2];
    }
}

static float weight_at(const char *data, int64_t i)
{
    float w;
    memcpy(&w, data + (size_t)i * sizeof w, sizeof w);
    return w;
}

/* Of one input channel and the outputs [first, first + used): [kernel][used], scaled. */
static void take_filters(double *taken, const ln__tensor *plain, const ln__tensor *scale, int64_t input, int64_t first, int64_t used, int64_t taps)
{
    for (int64_t l = 0; l < used; l++) {
        double s = scale ? (double)weight_at(scale->data, first + l) : 1.0;
        for (int64_t t = 0; t < taps; t++)
            taken[t * MOST_LANES + l] = s * (double)weight_at(plain->data, ((first + l) * plain->dim[1] + input) * taps + t);
    }
}

void ln__tile_pack(float *out, const ln__tensor *plain, const ln__tensor *scale, int64_t edge, int64_t block)
{
    int64_t outputs = plain->dim[0], inputs = plain->dim[1], taps = taps_of(plain), count = edge ? (edge + 2) * (edge + 2) : taps;
    int64_t rows = (inputs + block - 1) / block * block, blocks = (outputs + block - 1) / block;
    double taken[MOST_TAPS][MOST_LANES], made[36][MOST_LANES];

    memset(out, 0, (size_t)ln__tile_floats(plain, edge, block) * sizeof *out);
    for (int64_t g = 0; g < ln__tile_groups(blocks, block); g++) {
        int64_t from, lanes = ln__tile_group(&from, blocks, block, g) * block, used = LN__MIN(lanes, outputs - from * block);
        float *group = out + from * block * count * rows;
        for (int64_t i = 0; i < inputs; i++) {
            take_filters(taken[0], plain, scale, i, from * block, used, taps);
            if (edge)
                frequencies(made, taken, edge, used);
            const double (*filters)[MOST_LANES] = edge ? made : taken;
            for (int64_t f = 0; f < count; f++)
                for (int64_t l = 0; l < used; l++)
                    group[(f * rows + i) * lanes + l] = (float)filters[f][l];
        }
    }
}

int64_t ln__tile_floats(const ln__tensor *plain, int64_t edge, int64_t block)
{
    return (plain->dim[0] + block - 1) / block * block * ((plain->dim[1] + block - 1) / block * block)
         * (edge ? (edge + 2) * (edge + 2) : taps_of(plain));
}
