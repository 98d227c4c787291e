#include "graph/rewrite.h"

#include <string.h>

enum { NEW_CONSTANTS_PER_NODE = 4 };

static bool copy_nodes(ln__rewrite *r)
{
    const ln__graph *old = r->old;
    ln__graph *g = r->g;

    g->nodes = ln__arena_calloc(&g->arena, (size_t)old->n_nodes + 1, sizeof *g->nodes);
    if (g->nodes == NULL)
        return false;
    for (int32_t i = 0; i < old->n_nodes; i++) {
        const ln__node *from = &old->nodes[i];
        ln__node *n = &g->nodes[i];
        *n = *from;
        n->in = ln__arena_calloc(&g->arena, (size_t)from->n_in + 1, sizeof *n->in);
        n->out = ln__arena_calloc(&g->arena, (size_t)from->n_out + 1, sizeof *n->out);
        if (n->in == NULL || n->out == NULL)
            return false;
        memcpy(n->in, from->in, (size_t)from->n_in * sizeof *n->in);
        memcpy(n->out, from->out, (size_t)from->n_out * sizeof *n->out);
    }
    g->n_nodes = old->n_nodes;
    return true;
}

static bool copy_graph(ln__rewrite *r)
{
    const ln__graph *old = r->old;
    ln__graph *g = r->g;

    g->batch_fixed = old->batch_fixed;
    g->one_row = old->one_row == NULL ? NULL : ln__arena_strndup(&g->arena, old->one_row, strlen(old->one_row));
    g->values = ln__arena_calloc(&g->arena, (size_t)r->capacity + 1, sizeof *g->values);
    g->inputs = ln__arena_calloc(&g->arena, (size_t)old->n_inputs + 1, sizeof *g->inputs);
    g->outputs = ln__arena_calloc(&g->arena, (size_t)old->n_outputs + 1, sizeof *g->outputs);
    if (g->values == NULL || g->inputs == NULL || g->outputs == NULL || (old->one_row != NULL && g->one_row == NULL) || !copy_nodes(r))
        return false;
    memcpy(g->values, old->values, (size_t)old->n_values * sizeof *g->values);
    memcpy(g->inputs, old->inputs, (size_t)old->n_inputs * sizeof *g->inputs);
    memcpy(g->outputs, old->outputs, (size_t)old->n_outputs * sizeof *g->outputs);
    g->n_values = old->n_values;
    g->n_inputs = old->n_inputs;
    g->n_outputs = old->n_outputs;
    return true;
}

static void count_uses(ln__rewrite *r, const int32_t *keep, int32_t n_keep)
{
    const ln__graph *g = r->g;

    for (int32_t v = 0; v < r->capacity; v++)
        r->instead[v] = v;
    for (int32_t n = 0; n < g->n_nodes; n++) {
        const ln__node *node = &g->nodes[n];
        for (int32_t i = 0; i < node->n_in; i++)
            if (node->in[i] != LN__NO_VALUE)
                (node->op == LN__SHAPE ? r->shape_uses : r->uses)[node->in[i]]++;
        for (int32_t i = 0; i < node->n_post; i++)
            if (node->post[i].kind == LN__POST_ADD)
                r->uses[node->post[i].value]++;
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        r->pinned[g->outputs[i]] = true;
    for (int32_t i = 0; i < n_keep; i++)
        r->pinned[keep[i]] = true;
}

static bool take_memory(ln__rewrite *r)
{
    const ln__ctx *ctx = r->old->ctx;
    size_t values = (size_t)r->capacity + 1;

    r->dead = ln__calloc(ctx, (size_t)r->old->n_nodes + 1, sizeof *r->dead);
    r->pinned = ln__calloc(ctx, values, sizeof *r->pinned);
    r->uses = ln__calloc(ctx, values, sizeof *r->uses);
    r->shape_uses = ln__calloc(ctx, values, sizeof *r->shape_uses);
    r->instead = ln__calloc(ctx, values, sizeof *r->instead);
    return r->dead && r->pinned && r->uses && r->shape_uses && r->instead && copy_graph(r);
}

ln_status ln__rewrite_begin(ln__rewrite *r, const ln__graph *graph, const int32_t *keep, int32_t n_keep, ln_error *err)
{
    ln_status st;

    *r = (ln__rewrite){ .old = graph, .err = err };
    if (graph->n_nodes > (INT32_MAX - graph->n_values) / NEW_CONSTANTS_PER_NODE)
        return ln__fail(err, LN_E_LIMIT, "%.160s: too many nodes", graph->file);
    r->capacity = graph->n_values + NEW_CONSTANTS_PER_NODE * graph->n_nodes;
    for (int32_t i = 0; i < n_keep; i++)
        if (keep[i] < 0 || keep[i] >= graph->n_values)
            return ln__fail(err, LN_E_ARGUMENT, "%.160s: no value has number %d", graph->file, (int)keep[i]);
    if ((st = ln__shapes_infer_both(&r->one, &r->three, graph, &r->why, err)) < 0 ||
        (st = ln__graph_new(&r->g, graph->ctx, graph->file, graph->max_bytes, err)) < 0)
        return st;
    if (!take_memory(r))
        return ln__fail_nomem(err, graph->ctx, 0);
    count_uses(r, keep, n_keep);
    return LN_OK;
}

/* ---- Finishing ---------------------------------------------------------------------- */

/* Keeps what leads to something wanted; `uses` serves as the mark. */
static void drop_unread(ln__rewrite *r)
{
    ln__graph *g = r->g;

    for (int32_t v = 0; v < r->capacity; v++)
        r->uses[v] = r->pinned[v];
    for (int32_t n = g->n_nodes; n-- > 0;) {
        ln__node *node = &g->nodes[n];
        bool wanted = false;
        if (r->dead[n])
            continue;
        for (int32_t i = 0; i < node->n_out; i++)
            wanted = wanted || (node->out[i] != LN__NO_VALUE && r->uses[node->out[i]] != 0 &&
                                g->values[node->out[i]].constant == NULL);
        r->dead[n] = !wanted;
        if (!wanted)
            continue;
        ln__rewrite_resolve_inputs(r, node);
        for (int32_t i = 0; i < node->n_in; i++)
            if (node->in[i] != LN__NO_VALUE)
                r->uses[node->in[i]] = 1;
        for (int32_t i = 0; i < node->n_post; i++)
            if (node->post[i].kind == LN__POST_ADD)
                r->uses[node->post[i].value] = 1;
    }
}

static void close_gaps(ln__rewrite *r)
{
    ln__graph *g = r->g;
    int32_t live = 0;

    for (int32_t v = 0; v < g->n_values; v++)
        g->values[v].producer = -1;
    for (int32_t n = 0; n < g->n_nodes; n++) {
        if (r->dead[n])
            continue;
        g->nodes[live] = g->nodes[n];
        for (int32_t i = 0; i < g->nodes[live].n_out; i++)
            if (g->nodes[live].out[i] != LN__NO_VALUE && g->values[g->nodes[live].out[i]].constant == NULL)
                g->values[g->nodes[live].out[i]].producer = live;
        live++;
    }
    g->n_nodes = live;
}

ln_status ln__rewrite_finish(ln__rewrite *r, ln_status st, ln__graph **out)
{
    const ln__ctx *ctx = r->old->ctx;

    *out = NULL;
    if (st >= 0) {
        drop_unread(r);
        close_gaps(r);
        *out = r->g;
        r->g = NULL;
        st = LN_OK;
    }
    ln__graph_free(r->g);
    ln__shapes_free(r->one, ctx);
    ln__shapes_free(r->three, ctx);
    ln__free(ctx, r->dead);
    ln__free(ctx, r->pinned);
    ln__free(ctx, r->uses);
    ln__free(ctx, r->shape_uses);
    ln__free(ctx, r->instead);
    return st;
}

/* ---- Questions and changes -------------------------------------------------------------- */

int32_t ln__rewrite_resolve(ln__rewrite *r, int32_t value)
{
    if (value == LN__NO_VALUE)
        return value;
    while (r->instead[value] != value) {
        r->instead[value] = r->instead[r->instead[value]];
        value = r->instead[value];
    }
    return value;
}

void ln__rewrite_resolve_inputs(ln__rewrite *r, ln__node *node)
{
    for (int32_t i = 0; i < node->n_in; i++)
        node->in[i] = ln__rewrite_resolve(r, node->in[i]);
    for (int32_t i = 0; i < node->n_post; i++)
        if (node->post[i].kind == LN__POST_ADD)
            node->post[i].value = ln__rewrite_resolve(r, node->post[i].value);
}

ln__node *ln__rewrite_maker(const ln__rewrite *r, int32_t value, ln__op op)
{
    int32_t p = value == LN__NO_VALUE ? -1 : r->g->values[value].producer;

    if (p < 0 || r->dead[p] || r->g->nodes[p].op != op || r->g->nodes[p].n_post != 0 || r->g->values[value].constant != NULL)
        return NULL;
    return &r->g->nodes[p];
}

const ln__tensor *ln__rewrite_type(const ln__rewrite *r, int32_t value)
{
    return r->g->values[value].constant != NULL ? r->g->values[value].constant : &r->one->of[value];
}

bool ln__rewrite_private(const ln__rewrite *r, int32_t value)
{
    return r->uses[value] == 1 && !r->pinned[value];
}

bool ln__rewrite_scalar(const ln__rewrite *r, int32_t value, float *out)
{
    const ln__tensor *t = value == LN__NO_VALUE ? NULL : r->g->values[value].constant;

    if (t == NULL || t->dtype != LN__F32 || ln__tensor_count(t) != 1)
        return false;
    *out = ln__tensor_float(t, 0);
    return true;
}

bool ln__rewrite_is(const ln__rewrite *r, int32_t value, float want)
{
    float have;

    return ln__rewrite_scalar(r, value, &have) && have - want < 1e-4f * want && want - have < 1e-4f * want;
}

int32_t ln__rewrite_constant(ln__rewrite *r, ln__dtype dtype, const int64_t *dim, int32_t rank, void **data)
{
    ln__graph *g = r->g;
    ln__tensor *t = ln__arena_calloc(&g->arena, 1, sizeof *t);
    int32_t v = g->n_values;

    if (t == NULL || v >= r->capacity)
        return -1;
    t->dtype = dtype;
    t->rank = rank;
    memcpy(t->dim, dim, (size_t)rank * sizeof *dim);
    *data = ln__arena_calloc(&g->arena, (size_t)ln__tensor_count(t) + 1, ln__dtype_size(dtype));
    if (*data == NULL)
        return -1;
    t->data = *data;
    g->values[v] = (ln__value){ .name = "", .producer = -1, .constant = t };
    g->n_values++;
    return v;
}

static void count_inputs(ln__rewrite *r, const ln__node *node, int32_t by)
{
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != LN__NO_VALUE)
            (node->op == LN__SHAPE ? r->shape_uses : r->uses)[node->in[i]] += by;
}

void ln__rewrite_kill(ln__rewrite *r, ln__node *node)
{
    r->dead[node - r->g->nodes] = true;
    count_inputs(r, node, -1);
}

void ln__rewrite_prune(ln__rewrite *r, int32_t value)
{
    int32_t open[16], n = 0;        /* patterns are small; what is left over goes at the end */

    open[n++] = value;
    while (n > 0) {
        int32_t v = open[--n], p = v < 0 ? -1 : r->g->values[v].producer;
        ln__node *node;
        if (p < 0 || r->dead[p] || r->uses[v] != 0 || r->shape_uses[v] != 0 || r->pinned[v])
            continue;
        node = &r->g->nodes[p];
        if (node->n_out != 1)
            continue;
        ln__rewrite_kill(r, node);
        for (int32_t i = 0; i < node->n_in && n < (int32_t)LN__COUNT(open); i++)
            open[n++] = node->in[i];
    }
}

void ln__rewrite_take_over(ln__rewrite *r, ln__node *maker, ln__node *node)
{
    int32_t from = maker->out[0], to = node->out[0];

    ln__rewrite_kill(r, node);
    maker->out[0] = to;
    r->g->values[to].producer = (int32_t)(maker - r->g->nodes);
    r->g->values[from].producer = -1;
    r->instead[from] = to;
    r->shape_uses[to] += r->shape_uses[from];
}

bool ln__rewrite_inputs(ln__rewrite *r, ln__node *node, const int32_t *in, int32_t n_in)
{
    int32_t *copy = node->in;

    if (n_in > node->n_in) {
        copy = ln__arena_calloc(&r->g->arena, (size_t)n_in, sizeof *copy);
        if (copy == NULL)
            return false;
    }
    count_inputs(r, node, -1);
    for (int32_t i = 0; i < n_in; i++)
        copy[i] = in[i];
    node->in = copy;
    node->n_in = n_in;
    count_inputs(r, node, 1);
    return true;
}
