/* graph_run.h - runs a graph in the plainest way, so that passes can be checked:
 * the graph before and after must compute the same. */
#ifndef GRAPH_RUN_H
#define GRAPH_RUN_H

#include "graph/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct graph_run { ln__shapes *shapes; ln__arena aligned; void **own; const ln__graph *graph; } graph_run;

static inline int64_t run_count(const ln__tensor *t)
{
    int64_t n = 0;

    (void)ln__tensor_elements(t, &n);
    return n;
}

static inline void run_posts(graph_run *r, const ln__node *n, float *y, int64_t count)
{
    for (int32_t p = 0; p < n->n_post; p++) {
        if (n->post[p].kind == LN__POST_UNARY) {
            ln__unary_apply(n->post[p].unary, n->post[p].a, n->post[p].b, y, y, (size_t)count);
        } else {
            const float *more = r->shapes->of[n->post[p].value].data;
            for (int64_t i = 0; i < count; i++)
                y[i] += more[i];
        }
    }
}

/* y of one output position: dims padded to three spatial dimensions. */
static inline float run_conv_at(const ln__tensor *x, const ln__tensor *w, const ln__window *win, int64_t group,
                                int64_t n, int64_t m, const int64_t *at)
{
    int64_t in[3] = { 1, 1, 1 }, k[3] = { 1, 1, 1 }, per = w->dim[1], first = m / (w->dim[0] / group) * per;
    const float *xs = x->data, *ws = w->data;
    double sum = 0.0;

    for (int32_t d = 0; d < win->spatial; d++) {
        in[d] = x->dim[d + 2];
        k[d] = w->dim[d + 2];
    }
    for (int64_t c = 0; c < per; c++)
        for (int64_t i = 0; i < k[0] * k[1] * k[2]; i++) {
            int64_t tap[3] = { i / (k[1] * k[2]), i / k[2] % k[1], i % k[2] }, offset = 0;
            bool inside = true;
            for (int32_t d = 0; d < 3; d++) {
                int64_t p = d < win->spatial ? at[d] * win->stride[d] - win->pad_begin[d] + tap[d] * win->dilation[d] : 0;
                inside = inside && p >= 0 && p < in[d];
                offset = offset * in[d] + p;
            }
            if (inside)
                sum += (double)xs[(n * x->dim[1] + first + c) * in[0] * in[1] * in[2] + offset] *
                       (double)ws[(m * per + c) * k[0] * k[1] * k[2] + i];
        }
    return (float)sum;
}

static inline void run_conv(const ln__node *node, const ln__tensor *const *in, ln__tensor *out)
{
    float *y = (float *)(uintptr_t)out->data;
    const float *bias = node->n_in > 2 && in[2] != NULL ? in[2]->data : NULL;
    const float *scale = node->n_in > 3 && in[3] != NULL ? in[3]->data : NULL;
    int64_t size[3] = { 1, 1, 1 };
    ln__window win;

    if (!ln__node_window(&win, size, node, in[0], in[1]))
        abort();
    for (int32_t d = win.spatial; d < 3; d++)
        size[d] = 1;
    for (int64_t n = 0; n < out->dim[0]; n++)
        for (int64_t m = 0; m < out->dim[1]; m++)
            for (int64_t i = 0; i < size[0] * size[1] * size[2]; i++) {
                int64_t at[3] = { i / (size[1] * size[2]), i / size[2] % size[1], i % size[2] };
                float v = run_conv_at(in[0], in[1], &win, node->u.conv.group, n, m, at);
                *y++ = v * (scale != NULL ? scale[m] : 1.0f) + (bias != NULL ? bias[m] : 0.0f);
            }
}

static inline void run_batchnorm(const ln__node *node, const ln__tensor *const *in, ln__tensor *out)
{
    const float *x = in[0]->data, *p[5];
    float *y = (float *)(uintptr_t)out->data;
    int64_t channels = out->dim[1], count = run_count(out), inner = channels * out->dim[0] == 0 ? 1 : count / (channels * out->dim[0]);

    for (int i = 1; i < 5; i++)
        p[i] = in[i]->data;
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / inner % channels;
        y[i] = (x[i] - p[3][c]) / sqrtf(p[4][c] + node->u.batchnorm.epsilon) * p[1][c] + p[2][c];
    }
}

static inline void run_node(graph_run *r, const ln__node *node)
{
    const ln__tensor **in = calloc((size_t)node->n_in + 1, sizeof *in);
    ln__tensor *out = calloc((size_t)node->n_out + 1, sizeof *out);
    ln__node plain = *node;

    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != LN__NO_VALUE) {
            ln__tensor *t = &r->shapes->of[node->in[i]];
            t->data = ln__tensor_aligned(t, &r->aligned);
            in[i] = t;
        }
    for (int32_t i = 0; i < node->n_out; i++) {
        if (node->out[i] == LN__NO_VALUE)
            continue;
        out[i] = r->shapes->of[node->out[i]];
        out[i].data = r->own[node->out[i]] = calloc((size_t)run_count(&out[i]) + 1, ln__dtype_size(out[i].dtype));
    }
    plain.n_post = 0;
    if (node->op == LN__CONV) {
        run_conv(node, in, out);
    } else if (node->op == LN__BATCHNORM) {
        run_batchnorm(node, in, out);
    } else {
        void *scratch = malloc(ln__node_scratch(&plain, in, out) + 1);
        ln__node_evaluate(&plain, in, out, scratch);
        free(scratch);
    }
    if (node->n_post > 0)
        run_posts(r, node, (float *)(uintptr_t)out[0].data, run_count(&out[0]));
    for (int32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != LN__NO_VALUE)
            r->shapes->of[node->out[i]].data = out[i].data;
    free(in);
    free(out);
}

/* inputs[i]: data of the graph's i-th input. Results are in run->shapes->of[]. */
static inline ln_status graph_run_all(graph_run *run, const ln__graph *g, const void *const *inputs, int64_t rows, ln_error *err)
{
    ln_status st = ln__shapes_infer(&run->shapes, g, rows, err);

    run->graph = g;
    run->own = NULL;
    if (st < 0)
        return st;
    ln__arena_init(&run->aligned, g->ctx, 0);
    run->own = calloc((size_t)g->n_values + 1, sizeof *run->own);
    for (int32_t i = 0; i < g->n_inputs; i++)
        if (g->values[g->inputs[i].value].constant == NULL)
            run->shapes->of[g->inputs[i].value].data = inputs[i];
    for (int32_t n = 0; n < g->n_nodes; n++) {
        const ln__node *node = &g->nodes[n];
        bool known = true;
        for (int32_t i = 0; i < node->n_out; i++)
            known = known && (node->out[i] == LN__NO_VALUE || run->shapes->of[node->out[i]].data != NULL);
        if (!known)
            run_node(run, node);
    }
    return LN_OK;
}

static inline void graph_run_free(graph_run *run)
{
    if (run->shapes == NULL)
        return;
    for (int32_t v = 0; v < run->graph->n_values; v++)
        free(run->own[v]);
    free(run->own);
    ln__arena_free(&run->aligned);
    ln__shapes_free(run->shapes, run->graph->ctx);
}

#endif
