/* kernel_dense.c - a few rows times a large matrix, read once where it lies in
 * the file: bound by memory, so packing it would cost more than it gives. */
#include "engine/kernels.h"

#if defined(__GNUC__)
typedef float weight __attribute__((aligned(1), may_alias));
#else
typedef float weight;
#endif

enum { OUTPUTS = 4, LANES = 16 };

/* `rows` rows by OUTPUTS outputs; constant at each call, so that sums stay in registers. */
LN__INLINE void tile(const ln__job *j, const float *x, float *y, const weight *w, int64_t o, int rows, int outputs)
{
    float sum[2][OUTPUTS][LANES] = { 0 };
    int64_t k = 0;
    for (; k + LANES <= j->k; k += LANES)
        for (int i = 0; i < outputs; i++)
            for (int r = 0; r < rows; r++)
                for (int l = 0; l < LANES; l++)
                    sum[r][i][l] += x[r * j->k + k + l] * w[i * j->k + k + l];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < outputs; i++) {
            float total = 0.0F;
            for (int l = 0; l < LANES; l++)
                total += sum[r][i][l];
            for (int64_t rest = k; rest < j->k; rest++)
                total += x[r * j->k + rest] * w[i * j->k + rest];
            y[r * j->n + o + i] = total * j->alpha + (j->bias ? j->bias[o + i] : 0.0F);
        }
}

LN__CLONES
static void outputs_range(const ln__job *j, int64_t first, int64_t end)
{
    for (int64_t o = first; o < end; ) {
        int64_t n = end - o >= OUTPUTS ? OUTPUTS : 1;
        const weight *w = (const weight *)j->weights + o * j->k;
        int64_t r = 0;
        for (; r + 2 <= j->m; r += 2) {
            if (n == OUTPUTS)
                tile(j, j->x + r * j->k, j->y + r * j->n, w, o, 2, OUTPUTS);
            else
                tile(j, j->x + r * j->k, j->y + r * j->n, w, o, 2, 1);
        }
        if (r < j->m) {
            if (n == OUTPUTS)
                tile(j, j->x + r * j->k, j->y + r * j->n, w, o, 1, OUTPUTS);
            else
                tile(j, j->x + r * j->k, j->y + r * j->n, w, o, 1, 1);
        }
        o += n;
    }
}

void ln__kernel_dense(const ln__job *j, int64_t part, int64_t parts)
{
    int64_t first, end;
    ln__part_range(j->n, part, parts, &first, &end);
    outputs_range(j, first, end);
    for (int64_t r = 0; r < j->m && j->post; r++)
        ln__job_finish(j, j->y + r * j->n + first, end - first);
}
