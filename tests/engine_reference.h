/* engine_reference.h - a graph computed the slow way, to compare plans with:
 * a naive convolution, and graph/'s evaluator for the rest. */
#ifndef ENGINE_REFERENCE_H
#define ENGINE_REFERENCE_H

#include "graph/graph.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline int64_t reference_count(const ln__tensor *t)
{
    int64_t n = 0;
    ck_assert(ln__tensor_elements(t, &n));
    return n;
}

/* One output channel of a 3-D convolution; missing dimensions are 1. */
static inline void reference_channel(const ln__window *w, const float *x, const int64_t in[3], const float *k,
                                     float *y, const int64_t out[3])
{
    int64_t at[3], o[3], i[3], kernel[3], stride[3], dilation[3], begin[3];
    for (int d = 0; d < 3; d++) {
        int s = d - (3 - w->spatial);
        kernel[d] = s < 0 ? 1 : w->kernel[s];
        stride[d] = s < 0 ? 1 : w->stride[s];
        dilation[d] = s < 0 ? 1 : w->dilation[s];
        begin[d] = s < 0 ? 0 : w->pad_begin[s];
    }
    for (o[0] = 0; o[0] < out[0]; o[0]++)
    for (o[1] = 0; o[1] < out[1]; o[1]++)
    for (o[2] = 0; o[2] < out[2]; o[2]++) {
        double sum = 0.0;
        for (at[0] = 0; at[0] < kernel[0]; at[0]++)
        for (at[1] = 0; at[1] < kernel[1]; at[1]++)
        for (at[2] = 0; at[2] < kernel[2]; at[2]++) {
            bool inside = true;
            for (int d = 0; d < 3; d++) {
                i[d] = o[d] * stride[d] - begin[d] + at[d] * dilation[d];
                inside = inside && i[d] >= 0 && i[d] < in[d];
            }
            if (inside)
                sum += (double)x[(i[0] * in[1] + i[1]) * in[2] + i[2]] * k[(at[0] * kernel[1] + at[1]) * kernel[2] + at[2]];
        }
        y[(o[0] * out[1] + o[1]) * out[2] + o[2]] += (float)sum;
    }
}

static inline void reference_conv(const ln__node *n, const ln__tensor *of, float *y)
{
    const ln__tensor *x = &of[n->in[0]], *w = &of[n->in[1]], *t = &of[n->out[0]];
    ln__window win;
    int64_t sizes[LN__MAX_SPATIAL], in[3] = { 1, 1, 1 }, out[3] = { 1, 1, 1 }, kernel = 1;
    ck_assert(ln__node_window(&win, sizes, n, x, w));
    for (int s = 0; s < win.spatial; s++) {
        in[3 - win.spatial + s] = x->dim[s + 2];
        out[3 - win.spatial + s] = t->dim[s + 2];
        kernel *= win.kernel[s];
    }
    int64_t pi = in[0] * in[1] * in[2], po = out[0] * out[1] * out[2];
    int64_t ic = x->dim[1] / n->u.conv.group, oc = t->dim[1] / n->u.conv.group;
    for (int64_t row = 0; row < t->dim[0]; row++)
        for (int64_t c = 0; c < t->dim[1]; c++) {
            float *plane = y + (row * t->dim[1] + c) * po;
            memset(plane, 0, (size_t)po * sizeof *plane);
            for (int64_t k = 0; k < ic; k++)
                reference_channel(&win, (const float *)x->data + (row * x->dim[1] + c / oc * ic + k) * pi, in,
                                  (const float *)w->data + (c * ic + k) * kernel, plane, out);
            float scale = n->n_in > 3 && n->in[3] >= 0 ? ((const float *)of[n->in[3]].data)[c] : 1.0F;
            float bias = n->n_in > 2 && n->in[2] >= 0 ? ((const float *)of[n->in[2]].data)[c] : 0.0F;
            for (int64_t p = 0; p < po; p++)
                plane[p] = plane[p] * scale + bias;
        }
}

static inline void reference_node(const ln__node *n, ln__tensor *of)
{
    ln__node bare = *n;
    bare.n_post = 0;
    if (n->op == LN__CONV) {
        reference_conv(n, of, (float *)(uintptr_t)of[n->out[0]].data);
    } else {
        const ln__tensor *in[32] = { 0 };
        ln__tensor out[16];
        ck_assert(n->n_in <= 32 && n->n_out <= 16);
        for (int32_t i = 0; i < n->n_in; i++)
            in[i] = n->in[i] >= 0 ? &of[n->in[i]] : NULL;
        for (int32_t i = 0; i < n->n_out; i++)
            out[i] = of[n->out[i]];
        void *scratch = malloc(ln__node_scratch(&bare, in, out) + 64);
        ln__node_evaluate(&bare, in, out, scratch);
        free(scratch);
    }
    float *y = (float *)(uintptr_t)of[n->out[0]].data;
    int64_t count = reference_count(&of[n->out[0]]);
    for (int32_t i = 0; i < n->n_post; i++) {
        const ln__post *p = &n->post[i];
        if (p->kind == LN__POST_UNARY)
            ln__unary_apply(p->unary, p->a, p->b, y, y, (size_t)count);
        for (int64_t k = 0; p->kind == LN__POST_ADD && k < count; k++)
            y[k] += ((const float *)of[p->value].data)[k];
    }
}

/* Computes every value of the graph; of[] must have the inputs' data set. */
static inline void reference_run(const ln__graph *g, ln__tensor *of)
{
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const ln__node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0 && !of[n->out[k]].data)
                of[n->out[k]].data = calloc((size_t)reference_count(&of[n->out[k]]) + 1, 8);
        reference_node(n, of);
    }
}

#endif
