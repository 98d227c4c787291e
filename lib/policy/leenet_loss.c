/* leenet_loss.c - the LEENet loss and its gradient.
 *
 * With V_i = (1 - alpha) price_i + alpha cost_i and S_i the value expected by a
 * row that reached exit i:
 *     S_E = V_E,  S_i = g_i V_i + (1 - g_i) S_{i+1},  loss = mean S_0
 * which is the sum over p_i = g_i prod_{j<i} (1 - g_j) without its products.
 *     d S_0 / d z_j = [prod_{k<j} (1 - g_k)] g_j (1 - g_j) (V_j - S_{j+1})
 * g and 1 - g are both taken from exp(-|z|), so neither is a difference, and
 * all sums and products are in double: saturated gates lose nothing. */
#include "policy/policy.h"

#include <math.h>

typedef struct row_loss {
    double leave[LN__MAX_EXITS];        /* g */
    double stay[LN__MAX_EXITS];         /* 1 - g */
    double value[LN__MAX_EXITS + 1];    /* V */
    double rest[LN__MAX_EXITS + 1];     /* S */
} row_loss;

static void expect(row_loss *row, const float *z, const float *price, const double *cost, double alpha, uint32_t exits)
{
    for (uint32_t i = 0; i < exits; i++) {
        double small = exp(-fabs((double)z[i]));
        double near_one = 1.0 / (1.0 + small), near_zero = small / (1.0 + small);

        row->leave[i] = z[i] >= 0.0f ? near_one : near_zero;
        row->stay[i] = z[i] >= 0.0f ? near_zero : near_one;
    }
    for (uint32_t i = 0; i <= exits; i++)
        row->value[i] = (1.0 - alpha) * (double)price[i] + alpha * cost[i];
    row->rest[exits] = row->value[exits];
    for (uint32_t i = exits; i-- > 0;)
        row->rest[i] = row->leave[i] * row->value[i] + row->stay[i] * row->rest[i + 1];
}

double ln__leenet_loss(const float *z, const float *price, const double *cost, double alpha,
                       int64_t n, uint32_t exits, float *dz)
{
    double total = 0.0;
    row_loss row;

    for (int64_t r = 0; r < n; r++) {
        double reach = 1.0 / (double)n;

        expect(&row, z + r * exits, price + r * (exits + 1), cost, alpha, exits);
        total += row.rest[0];
        if (dz == NULL)
            continue;
        for (uint32_t j = 0; j < exits; j++) {
            double gain = row.value[j] - row.rest[j + 1];

            dz[r * exits + j] = (float)(reach * row.leave[j] * row.stay[j] * gain);
            reach *= row.stay[j];
        }
    }
    return n > 0 ? total / (double)n : 0.0;
}
