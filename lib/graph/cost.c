/* What nodes cost, where exits can go, and which layer is the classifier. */
#include "graph/graph_internal.h"

#include <string.h>

/* ---- Cost ------------------------------------------------------------------------------ */

static uint64_t constant_elements(const ln__graph *g, const ln__node *n, int32_t input)
{
    const ln__tensor *t = input < n->n_in && n->in[input] != LN__NO_VALUE ? g->values[n->in[input]].constant : NULL;

    return t == NULL ? 0 : (uint64_t)ln__tensor_count(t);
}

static uint64_t params(const ln__graph *g, const ln__node *n)
{
    switch (n->op) {
    case LN__CONV:      return constant_elements(g, n, 1) + constant_elements(g, n, 2) + constant_elements(g, n, 3);
    case LN__MATMUL:    return constant_elements(g, n, 0) + constant_elements(g, n, 1) + constant_elements(g, n, 2);
    case LN__BINARY:    return constant_elements(g, n, 0) + constant_elements(g, n, 1);
    case LN__AFFINE: case LN__BATCHNORM: case LN__NORM:
                        return constant_elements(g, n, 1) + constant_elements(g, n, 2);
    default:            return 0;
    }
}

ln__cost ln__node_cost(const ln__graph *graph, const ln__shapes *one_row, int32_t node)
{
    const ln__node *n = &graph->nodes[node];
    ln__cost cost = { 0, 0 };
    const ln__tensor *y = n->out[0] == LN__NO_VALUE ? NULL : &one_row->of[n->out[0]];

    if (y == NULL || y->data != NULL)
        return cost;
    cost.params = params(graph, n);
    if (n->op == LN__CONV) {
        const ln__tensor *w = &one_row->of[n->in[1]];
        cost.macs = (uint64_t)ln__tensor_count(y) * (uint64_t)ln__dims_product(w, 1, w->rank);
    } else if (n->op == LN__MATMUL) {
        const ln__tensor *a = &one_row->of[n->in[0]];
        cost.macs = (uint64_t)ln__tensor_count(y) * (uint64_t)a->dim[a->rank - (n->u.matmul.trans_a ? 2 : 1)];
    }
    return cost;
}

/* ---- Exits ------------------------------------------------------------------------------ */

typedef struct search {
    const ln__graph *graph;
    ln__shapes *one;
    bool *row;
    int32_t *last;              /* [value] last node that reads it; n_nodes: an output */
    int32_t *dying;             /* [node] values last read there */
} search;

static bool flows(const search *s, int32_t v)
{
    return v != LN__NO_VALUE && s->one->of[v].rank >= 0 && s->one->of[v].data == NULL;
}

static void mark_reads(search *s)
{
    const ln__graph *g = s->graph;

    for (int32_t v = 0; v < g->n_values; v++)
        s->last[v] = -1;
    for (int32_t n = 0; n < g->n_nodes; n++) {
        const ln__node *node = &g->nodes[n];
        for (int32_t i = 0; i < node->n_in && node->op != LN__SHAPE; i++)
            if (node->in[i] != LN__NO_VALUE)
                s->last[node->in[i]] = n;
        for (int32_t i = 0; i < node->n_post; i++)
            if (node->post[i].kind == LN__POST_ADD)
                s->last[node->post[i].value] = n;
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        s->last[g->outputs[i]] = g->n_nodes;
    for (int32_t v = 0; v < g->n_values; v++)
        if (flows(s, v) && s->last[v] >= 0 && s->last[v] < g->n_nodes)
            s->dying[s->last[v]]++;
}

/* Where a head would find a picture or a sequence, not a vector, under a name
 * (values inside one ONNX node that became several have none). */
static bool is_place(const search *s, int32_t v)
{
    const ln__tensor *t = &s->one->of[v];
    const char *name = s->graph->values[v].name;

    return name != NULL && name[0] != '\0' && t->dtype == LN__F32 && t->rank >= 3 && t->rank <= 5 && s->row[v] && ln__dims_product(t, 2, t->rank) > 1;
}

/* A place after something that costs nothing (an activation, a pool) takes the
 * place before it: same cost, but later. */
static void walk_places(search *s, ln__candidate *list, int32_t *count, int32_t end)
{
    const ln__graph *g = s->graph;
    ln__cost before = { 0, 0 };
    int32_t live = 0;

    for (int32_t i = 0; i < g->n_inputs; i++)
        live += flows(s, g->inputs[i].value) && s->last[g->inputs[i].value] >= 0;
    for (int32_t n = 0; n < end; n++) {
        const ln__node *node = &g->nodes[n];
        ln__cost cost = ln__node_cost(g, s->one, n);
        for (int32_t i = 0; i < node->n_out; i++)
            live += flows(s, node->out[i]) && s->last[node->out[i]] >= 0;
        live -= s->dying[n];
        before.params += cost.params;
        before.macs += cost.macs;
        if (live != 1 || before.macs == 0 || node->n_out != 1 || !flows(s, node->out[0]) || s->last[node->out[0]] < 0 ||
            !is_place(s, node->out[0]))
            continue;
        if (*count > 0 && list[*count - 1].before.macs == before.macs)
            --*count;
        list[(*count)++] = (ln__candidate){ .value = node->out[0], .carried = 0, .before = before };
    }
}

static ln_status find_places(search *s, ln__candidate **out, int32_t *count, ln__arena *arena, ln_error *err)
{
    const ln__graph *g = s->graph;
    int32_t classifier = ln__graph_classifier(g);
    ln_status st = ln__graph_row_values(s->row, g, err);

    if (st < 0 || (st = ln__shapes_infer(&s->one, g, 1, err)) < 0)
        return st;
    *out = ln__arena_calloc(arena, (size_t)g->n_nodes + 1, sizeof **out);
    if (*out == NULL)
        return ln__fail_nomem(err, g->ctx, (size_t)g->n_nodes * sizeof **out);
    mark_reads(s);
    walk_places(s, *out, count, classifier < 0 ? g->n_nodes : classifier);
    return LN_OK;
}

ln_status ln__graph_candidates(ln__candidate **out, int32_t *count, const ln__graph *fused, ln__arena *arena, ln_error *err)
{
    search s = { .graph = fused };
    size_t values = (size_t)fused->n_values + 1;
    ln_status st;

    *out = NULL;
    *count = 0;
    s.row = ln__calloc(fused->ctx, values, sizeof *s.row);
    s.last = ln__array(fused->ctx, values, sizeof *s.last);
    s.dying = ln__calloc(fused->ctx, (size_t)fused->n_nodes + 1, sizeof *s.dying);
    if (s.row == NULL || s.last == NULL || s.dying == NULL)
        st = ln__fail_nomem(err, fused->ctx, values * sizeof *s.last);
    else
        st = find_places(&s, out, count, arena, err);
    ln__shapes_free(s.one, fused->ctx);
    ln__free(fused->ctx, s.row);
    ln__free(fused->ctx, s.last);
    ln__free(fused->ctx, s.dying);
    return st;
}

/* ---- The classifier ---------------------------------------------------------------------- */

static bool is_linear(const ln__graph *g, const ln__node *n)
{
    const ln__tensor *w = n->in[1] == LN__NO_VALUE ? NULL : g->values[n->in[1]].constant;

    if (w == NULL || (n->op == LN__MATMUL && w->rank != 2))
        return false;
    return n->op == LN__MATMUL || ln__dims_product(w, 2, w->rank) == 1;
}

/* The input that carries the logits through what may follow the classifier. */
static int32_t before(const ln__graph *g, const ln__node *n)
{
    switch (n->op) {
    case LN__RESHAPE: case LN__FLATTEN: case LN__SQUEEZE: case LN__UNSQUEEZE: case LN__TRANSPOSE: case LN__SOFTMAX:
    case LN__UNARY: case LN__POOL: case LN__REDUCE: case LN__IDENTITY: case LN__CAST: case LN__AFFINE: case LN__BATCHNORM:
        return n->in[0];
    case LN__BINARY:
        if (g->values[n->in[1]].constant != NULL)
            return n->in[0];
        return g->values[n->in[0]].constant != NULL ? n->in[1] : LN__NO_VALUE;
    default:
        return LN__NO_VALUE;
    }
}

int32_t ln__graph_classifier(const ln__graph *graph)
{
    int32_t v = graph->n_outputs > 0 ? graph->outputs[0] : LN__NO_VALUE, after = graph->n_nodes;

    while (v != LN__NO_VALUE && graph->values[v].producer >= 0 && graph->values[v].producer < after) {
        int32_t p = after = graph->values[v].producer;
        const ln__node *n = &graph->nodes[p];
        if ((n->op == LN__MATMUL || n->op == LN__CONV) && n->n_in > 1)
            return is_linear(graph, n) ? p : -1;
        v = n->n_in > 0 ? before(graph, n) : LN__NO_VALUE;
    }
    return -1;
}
