/* Softmax, layer, instance and group normalisation, LRN. */
#include "graph/graph_loops.h"

#include <math.h>
#include <string.h>

/* ---- Softmax -------------------------------------------------------------------- */

static void softmax_span(const ln__node *node, const ln__tensor *x, int64_t *n, int64_t *inner)
{
    int64_t axis = node->u.softmax.axis;

    if (axis < 0)
        axis += x->rank;
    *n = node->u.softmax.flattened ? ln__dims_product(x, (int32_t)axis, x->rank) : x->dim[axis];
    *inner = node->u.softmax.flattened ? 1 : ln__dims_product(x, (int32_t)axis + 1, x->rank);
}

size_t ln__softmax_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out)
{
    int64_t n, inner;

    (void)out;
    softmax_span(node, in[0], &n, &inner);
    return (size_t)inner * 2 * sizeof(float);
}

static void softmax_row(bool log, const float *x, float *y, int64_t n)
{
    float most = -INFINITY, sum = 0.0f;

    for (int64_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] - most;
    if (log) {
        for (int64_t i = 0; i < n; i++)
            sum += expf(y[i]);
        sum = logf(sum);
        for (int64_t i = 0; i < n; i++)
            y[i] -= sum;
        return;
    }
    ln__unary_apply(LN__EXP, 0.0f, 0.0f, y, y, (size_t)n);
    for (int64_t i = 0; i < n; i++)
        sum += y[i];
    sum = 1.0f / sum;
    for (int64_t i = 0; i < n; i++)
        y[i] *= sum;
}

static void softmax_columns(bool log, const float *x, float *y, int64_t n, int64_t inner, float *most, float *sum)
{
    for (int64_t i = 0; i < inner; i++) {
        most[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < inner; i++)
            most[i] = x[k * inner + i] > most[i] ? x[k * inner + i] : most[i];
    for (int64_t k = 0; k < n; k++) {
        float *row = y + k * inner;
        for (int64_t i = 0; i < inner; i++)
            row[i] = x[k * inner + i] - most[i];
        if (!log)
            ln__unary_apply(LN__EXP, 0.0f, 0.0f, row, row, (size_t)inner);
        for (int64_t i = 0; i < inner; i++)
            sum[i] += log ? expf(row[i]) : row[i];
    }
    for (int64_t i = 0; i < inner; i++)
        sum[i] = log ? logf(sum[i]) : 1.0f / sum[i];
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < inner; i++)
            y[k * inner + i] = log ? y[k * inner + i] - sum[i] : y[k * inner + i] * sum[i];
}

LN__EVALUATOR(softmax)
{
    const float *x = in[0]->data;
    float *y = (float *)(uintptr_t)out[0].data, *most = scratch;
    int64_t n, inner, outer, total = ln__tensor_count(in[0]);

    softmax_span(node, in[0], &n, &inner);
    outer = n * inner == 0 ? 0 : total / (n * inner);
    for (int64_t o = 0; o < outer; o++, x += n * inner, y += n * inner) {
        if (inner == 1)
            softmax_row(node->u.softmax.log, x, y, n);
        else
            softmax_columns(node->u.softmax.log, x, y, n, inner, most, most + inner);
    }
}

/* ---- Normalisation ----------------------------------------------------------------- */

/* Mean 0 and variance 1; deviations are summed after the mean is known, since
 * the mean of squares loses too much where the mean is large. */
static void normalise(const float *x, float *y, int64_t n, float epsilon)
{
    double sum = 0.0, squares = 0.0;
    float mean, scale;

    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    mean = (float)(sum / (double)n);
    for (int64_t i = 0; i < n; i++) {
        float d = x[i] - mean;
        squares += (double)d * d;
    }
    scale = (float)(1.0 / sqrt(squares / (double)n + epsilon));
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale;
}

static void scale_channels(const ln__node *node, const ln__tensor *const *in, float *y)
{
    const ln__tensor *x = in[0];
    const float *scale = node->n_in > 1 && in[1] != NULL ? in[1]->data : NULL;
    const float *bias = node->n_in > 2 && in[2] != NULL ? in[2]->data : NULL;
    int64_t channels = x->dim[1], inner = ln__dims_product(x, 2, x->rank);
    bool grouped = node->u.norm.kind == LN__NORM_GROUP && node->u.norm.scale_per_group;
    int64_t share = grouped ? channels / node->u.norm.groups : 1;

    for (int64_t n = 0; n < x->dim[0]; n++)
        for (int64_t c = 0; c < channels; c++, y += inner) {
            float a = scale != NULL ? scale[c / share] : 1.0f, b = bias != NULL ? bias[c / share] : 0.0f;
            for (int64_t i = 0; i < inner; i++)
                y[i] = y[i] * a + b;
        }
}

LN__EVALUATOR(norm)
{
    const ln__tensor *x = in[0];
    const float *from = x->data;
    float *y = (float *)(uintptr_t)out[0].data;
    int64_t total = ln__tensor_count(x), n, axis = node->u.norm.axis;

    (void)scratch;
    if (total == 0)
        return;
    if (node->u.norm.kind == LN__NORM_LAYER)
        n = ln__dims_product(x, (int32_t)(axis < 0 ? axis + x->rank : axis), x->rank);
    else
        n = ln__dims_product(x, 1, x->rank) / (node->u.norm.kind == LN__NORM_GROUP ? node->u.norm.groups : x->dim[1]);
    for (int64_t i = 0; i < total; i += n)
        normalise(from + i, y + i, n, node->u.norm.epsilon);
    if (node->u.norm.kind != LN__NORM_LAYER) {
        scale_channels(node, in, y);
        return;
    }
    if (node->n_in > 1 && in[1] != NULL)
        ln__binary_apply(LN__MUL, &out[0], in[1], y, &out[0]);
    if (node->n_in > 2 && in[2] != NULL)
        ln__binary_apply(LN__ADD, &out[0], in[2], y, &out[0]);
}

/* ---- Local response normalisation ------------------------------------------------------ */

size_t ln__lrn_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out)
{
    (void)node;
    (void)out;
    return (size_t)ln__dims_product(in[0], 2, in[0]->rank) * sizeof(float);
}

static void lrn_power(float *sum, int64_t n, float scale, float bias, float beta)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] = bias + scale * sum[i];
    if (beta == 0.75f)      /* what networks use */
        for (int64_t i = 0; i < n; i++)
            sum[i] = 1.0f / (sqrtf(sum[i]) * sqrtf(sqrtf(sum[i])));
    else
        for (int64_t i = 0; i < n; i++)
            sum[i] = powf(sum[i], -beta);
}

LN__EVALUATOR(lrn)
{
    const ln__tensor *x = in[0];
    const float *from = x->data;
    float *y = (float *)(uintptr_t)out[0].data, *sum = scratch;
    int64_t channels = x->dim[1], inner = ln__dims_product(x, 2, x->rank), size = node->u.lrn.size;

    for (int64_t n = 0; n < x->dim[0]; n++, from += channels * inner)
        for (int64_t c = 0; c < channels; c++, y += inner) {
            int64_t first = c - LN__MIN(c, (size - 1) / 2), last = c + LN__MIN(channels - 1 - c, size / 2);
            for (int64_t i = 0; i < inner; i++)
                sum[i] = 0.0f;
            for (int64_t k = first; k <= last; k++)
                for (int64_t i = 0; i < inner; i++)
                    sum[i] += from[k * inner + i] * from[k * inner + i];
            lrn_power(sum, inner, node->u.lrn.alpha / (float)size, node->u.lrn.bias, node->u.lrn.beta);
            for (int64_t i = 0; i < inner; i++)
                y[i] = from[c * inner + i] * sum[i];
        }
}
