/* Pooling and matrix products in plain loops: for what the engine's library
 * has no kernel for. */
#include "graph/graph_internal.h"

#include <math.h>
#include <string.h>

/* ---- Pooling -------------------------------------------------------------------------- */

typedef struct pool_walk {
    ln__window w;
    int64_t in[LN__MAX_SPATIAL], out[LN__MAX_SPATIAL];
    bool average, count_pad;
} pool_walk;

/* How many of a window's taps are counted along one dimension: with
 * count_include_pad those in the padding too, but none past its end. */
static int64_t taps_counted(const pool_walk *p, int32_t d, int64_t at)
{
    int64_t n = 0, least = p->count_pad ? -p->w.pad_begin[d] : 0;
    int64_t most = p->in[d] + (p->count_pad ? p->w.pad_end[d] : 0);

    for (int64_t k = 0; k < p->w.kernel[d]; k++) {
        int64_t i = at * p->w.stride[d] - p->w.pad_begin[d] + k * p->w.dilation[d];
        n += i >= least && i < most;
    }
    return n;
}

static float pool_one(const pool_walk *p, const float *x, const int64_t *at)
{
    int64_t k[LN__MAX_SPATIAL] = { 0 }, counted = 1;
    int32_t spatial = p->w.spatial;
    float result = p->average ? 0.0f : -INFINITY;

    do {
        int64_t offset = 0;
        bool inside = true;
        for (int32_t d = 0; d < spatial; d++) {
            int64_t i = at[d] * p->w.stride[d] - p->w.pad_begin[d] + k[d] * p->w.dilation[d];
            inside = inside && i >= 0 && i < p->in[d];
            offset = offset * p->in[d] + i;
        }
        if (!inside)
            continue;
        if (p->average)
            result += x[offset];
        else
            result = x[offset] > result || x[offset] != x[offset] ? x[offset] : result;
    } while (ln__next_index(k, p->w.kernel, spatial));
    if (!p->average)
        return result;
    for (int32_t d = 0; d < spatial; d++)
        counted *= taps_counted(p, d, at[d]);
    return counted == 0 ? 0.0f : result / (float)counted;
}

LN__EVALUATOR(pool)
{
    const float *x = in[0]->data;
    float *y = (float *)(uintptr_t)out[0].data;
    int64_t planes = in[0]->dim[0] * in[0]->dim[1], plane = ln__dims_product(in[0], 2, in[0]->rank);
    pool_walk p = { .average = node->u.pool.average, .count_pad = node->u.pool.count_include_pad };

    (void)scratch;
    if (ln__tensor_count(&out[0]) == 0 || !ln__node_window(&p.w, p.out, node, in[0], NULL))
        return;
    memcpy(p.in, in[0]->dim + 2, sizeof p.in);
    for (int64_t n = 0; n < planes; n++, x += plane) {
        int64_t at[LN__MAX_SPATIAL] = { 0 };
        do
            *y++ = pool_one(&p, x, at);
        while (ln__next_index(at, p.out, p.w.spatial));
    }
}

/* ---- Matrix products -------------------------------------------------------------------- */

typedef struct product {
    int64_t m, n, k, a_row, a_step, b_step, b_column;
} product;

static void multiply(const product *p, const float *a, const float *b, float *y, float alpha)
{
    for (int64_t i = 0; i < p->m; i++, y += p->n) {
        memset(y, 0, (size_t)p->n * sizeof *y);
        if (p->b_column == 1) {
            for (int64_t k = 0; k < p->k; k++) {
                float v = a[i * p->a_row + k * p->a_step];
                const float *row = b + k * p->b_step;
                for (int64_t j = 0; j < p->n; j++)
                    y[j] += v * row[j];
            }
        } else {
            for (int64_t j = 0; j < p->n; j++)
                for (int64_t k = 0; k < p->k; k++)
                    y[j] += a[i * p->a_row + k * p->a_step] * b[j * p->b_column + k];
        }
        for (int64_t j = 0; alpha != 1.0f && j < p->n; j++)
            y[j] *= alpha;
    }
}

static void add_bias(const ln__node *node, const ln__tensor *c, ln__tensor *out)
{
    int64_t index[LN__MAX_RANK] = { 0 }, own[LN__MAX_RANK];
    int32_t lead = out->rank - c->rank;
    const float *bias = c->data;
    float *y = (float *)(uintptr_t)out->data;

    ln__tensor_strides(c, own);
    do {
        int64_t at = 0;
        for (int32_t d = lead; d < out->rank; d++)
            at += c->dim[d - lead] == 1 ? 0 : index[d] * own[d - lead];
        *y++ += node->u.matmul.beta * bias[at];
    } while (ln__next_index(index, out->dim, out->rank));
}

LN__EVALUATOR(matmul)
{
    const ln__tensor *a = in[0], *b = in[1];
    bool ta = node->u.matmul.trans_a, tb = node->u.matmul.trans_b;
    int64_t inner = a->dim[a->rank - (ta ? 2 : 1)];
    product p = { .k = inner };
    int32_t batch = out[0].rank - (a->rank > 1) - (b->rank > 1);
    int64_t index[LN__MAX_RANK] = { 0 };
    float *y = (float *)(uintptr_t)out[0].data;

    (void)scratch;
    if (ln__tensor_count(&out[0]) == 0)
        return;
    p.m = a->rank == 1 ? 1 : a->dim[a->rank - (ta ? 1 : 2)];
    p.n = b->rank == 1 ? 1 : b->dim[b->rank - (tb ? 2 : 1)];
    p.a_row = ta ? 1 : p.k;
    p.a_step = ta ? p.m : 1;
    p.b_step = tb ? 1 : p.n;
    p.b_column = tb ? p.k : 1;
    do {
        int64_t i = 0, j = 0;
        for (int32_t d = 0; d < batch; d++) {
            int32_t da = d - (batch - (a->rank - 2)), db = d - (batch - (b->rank - 2));
            if (da >= 0)
                i = i * a->dim[da] + (a->dim[da] == 1 ? 0 : index[d]);
            if (db >= 0)
                j = j * b->dim[db] + (b->dim[db] == 1 ? 0 : index[d]);
        }
        multiply(&p, (const float *)a->data + i * p.m * p.k, (const float *)b->data + j * p.k * p.n, y, node->u.matmul.alpha);
        y += p.m * p.n;
    } while (ln__next_index(index, out[0].dim, batch));
    if (node->n_in > 2 && in[2] != NULL)
        add_bias(node, in[2], &out[0]);
}
