/* Stages: what each cut value needs that earlier ones did not, in an order that
 * works, and the values that pass from stage to stage. */
#include "graph/graph_internal.h"

#include <string.h>

typedef struct cutting {
    const ln__graph *graph;
    ln__cut *cut;
    ln__shapes *one;
    int32_t *node_stage;        /* [node]; n_at + 1: nobody needs it */
    int32_t *made, *last;       /* [value] stage that makes it (-1: graph input), last that reads it */
    int32_t *cut_of;            /* [value] stage cut at it, or -1 */
    bool *given;                /* [value] an output already listed: files may name one twice */
    ln_error *err;
} cutting;

/* A value that is there only when the network runs. */
static bool flows(const cutting *c, int32_t v)
{
    return v != LN__NO_VALUE && c->one->of[v].data == NULL && c->one->of[v].rank >= 0;
}

static void want(int32_t *stage, const ln__graph *g, int32_t value, int32_t s)
{
    int32_t p = value == LN__NO_VALUE ? -1 : g->values[value].producer;

    if (p >= 0 && stage[p] > s)
        stage[p] = s;
}

/* The lowest stage that needs a node; consumers come after their inputs, so one
 * walk from the end tells all. */
static void assign(cutting *c, const int32_t *at, int32_t n_at)
{
    const ln__graph *g = c->graph;

    for (int32_t n = 0; n < g->n_nodes; n++)
        c->node_stage[n] = n_at + 1;
    for (int32_t i = 0; i < g->n_outputs; i++)
        want(c->node_stage, g, g->outputs[i], n_at);
    for (int32_t s = 0; s < n_at; s++)
        want(c->node_stage, g, at[s], s);
    for (int32_t n = g->n_nodes; n-- > 0;) {
        const ln__node *node = &g->nodes[n];
        if (c->node_stage[n] > n_at)
            continue;
        for (int32_t i = 0; i < node->n_in; i++)
            want(c->node_stage, g, node->in[i], c->node_stage[n]);
        for (int32_t i = 0; i < node->n_post; i++)
            if (node->post[i].kind == LN__POST_ADD)
                want(c->node_stage, g, node->post[i].value, c->node_stage[n]);
    }
}

static ln_status check_cuts(cutting *c, const int32_t *at, int32_t n_at)
{
    const ln__graph *g = c->graph;

    for (int32_t s = 0; s < n_at; s++) {
        const char *name = at[s] >= 0 && at[s] < g->n_values ? g->values[at[s]].name : "?";
        if (at[s] < 0 || at[s] >= g->n_values || g->values[at[s]].producer < 0 || !flows(c, at[s]))
            return ln__fail(c->err, LN_E_ARGUMENT, "%.160s: the network cannot be cut at '%.80s': it is not computed when the network runs",
                            g->file, name);
        if (c->node_stage[g->values[at[s]].producer] != s)
            return ln__fail(c->err, LN_E_ARGUMENT, "%.160s: the network cannot be cut at '%.80s': an earlier cut comes after it",
                            g->file, name);
    }
    return LN_OK;
}

static void read_in(cutting *c, int32_t value, int32_t stage)
{
    if (flows(c, value) && c->last[value] < stage)
        c->last[value] = stage;
}

static void lifetimes(cutting *c, int32_t n_at)
{
    const ln__graph *g = c->graph;

    for (int32_t v = 0; v < g->n_values; v++)
        c->made[v] = c->last[v] = -1;
    for (int32_t n = 0; n < g->n_nodes; n++) {
        const ln__node *node = &g->nodes[n];
        int32_t s = c->node_stage[n];
        if (s > n_at)
            continue;
        for (int32_t i = 0; i < node->n_out; i++)
            if (node->out[i] != LN__NO_VALUE)
                c->made[node->out[i]] = s;
        for (int32_t i = 0; i < node->n_in; i++)
            if (node->op != LN__SHAPE)
                read_in(c, node->in[i], s);
        for (int32_t i = 0; i < node->n_post; i++)
            if (node->post[i].kind == LN__POST_ADD)
                read_in(c, node->post[i].value, s);
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        read_in(c, g->outputs[i], n_at);
}

/* ---- Writing it down -------------------------------------------------------------------- */

static bool write_order(cutting *c, int32_t n_at)
{
    const ln__graph *g = c->graph;
    ln__cut *cut = c->cut;
    int32_t at = 0;

    cut->n_stages = n_at + 1;
    cut->order = ln__arena_calloc(&cut->arena, (size_t)g->n_nodes + 1, sizeof *cut->order);
    cut->stages = ln__arena_calloc(&cut->arena, (size_t)cut->n_stages, sizeof *cut->stages);
    if (cut->order == NULL || cut->stages == NULL)
        return false;
    for (int32_t n = 0; n < g->n_nodes; n++)        /* counts first, then places */
        if (c->node_stage[n] <= n_at)
            cut->stages[c->node_stage[n]].last++;
    for (int32_t s = 0; s <= n_at; s++) {
        int32_t count = cut->stages[s].last;
        cut->stages[s].first = cut->stages[s].last = at;
        at += count;
    }
    for (int32_t n = 0; n < g->n_nodes; n++)
        if (c->node_stage[n] <= n_at)
            cut->order[cut->stages[c->node_stage[n]].last++] = n;
    return true;
}

static void put(int32_t *list, int32_t *n, int32_t value)
{
    if (list != NULL)
        list[*n] = value;
    ++*n;
}

/* Stage s reads v, or hands it on, where v was made before s and is read in s or
 * later; it gives v where v is there after s and wanted later. The value a stage
 * is cut at, and the graph's first output, come first. Without lists yet: counts. */
static void connect(cutting *c, const int32_t *at, int32_t n_at)
{
    const ln__graph *g = c->graph;
    ln__stage *stages = c->cut->stages;

    for (int32_t v = 0; v < g->n_values; v++) {
        c->cut_of[v] = -1;
        c->given[v] = false;
    }
    for (int32_t s = 0; s <= n_at; s++)
        stages[s].n_in = stages[s].n_out = 0;
    for (int32_t s = 0; s < n_at; s++) {
        c->cut_of[at[s]] = s;
        put(stages[s].out, &stages[s].n_out, at[s]);
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        if (flows(c, g->outputs[i]) && !c->given[g->outputs[i]]) {
            put(stages[n_at].out, &stages[n_at].n_out, g->outputs[i]);
            c->given[g->outputs[i]] = true;
        }
    for (int32_t v = 0; v < g->n_values; v++) {
        for (int32_t s = c->made[v] + 1; s <= c->last[v]; s++)
            put(stages[s].in, &stages[s].n_in, v);
        for (int32_t s = LN__MAX(c->made[v], 0); s < c->last[v]; s++)
            if (c->cut_of[v] != s)
                put(stages[s].out, &stages[s].n_out, v);
    }
}

static bool write_lists(cutting *c, const int32_t *at, int32_t n_at)
{
    ln__cut *cut = c->cut;

    connect(c, at, n_at);
    for (int32_t s = 0; s <= n_at; s++) {
        ln__stage *stage = &cut->stages[s];
        stage->in = ln__arena_calloc(&cut->arena, (size_t)stage->n_in + 1, sizeof *stage->in);
        stage->out = ln__arena_calloc(&cut->arena, (size_t)stage->n_out + 1, sizeof *stage->out);
        if (stage->in == NULL || stage->out == NULL)
            return false;
    }
    connect(c, at, n_at);
    return true;
}

static ln_status cut_graph(cutting *c, const int32_t *at, int32_t n_at)
{
    const ln__graph *g = c->graph;
    size_t values = (size_t)g->n_values + 1;
    ln_status st;

    c->node_stage = ln__array(g->ctx, (size_t)g->n_nodes + 1, sizeof *c->node_stage);
    c->made = ln__array(g->ctx, values, sizeof *c->made);
    c->last = ln__array(g->ctx, values, sizeof *c->last);
    c->cut_of = ln__array(g->ctx, values, sizeof *c->cut_of);
    c->given = ln__array(g->ctx, values, sizeof *c->given);
    if (c->given == NULL || c->node_stage == NULL || c->made == NULL || c->last == NULL || c->cut_of == NULL)
        return ln__fail_nomem(c->err, g->ctx, values * sizeof *c->made);
    assign(c, at, n_at);
    if ((st = check_cuts(c, at, n_at)) < 0)
        return st;
    lifetimes(c, n_at);
    if (!write_order(c, n_at) || !write_lists(c, at, n_at))
        return ln__fail_nomem(c->err, g->ctx, values * sizeof *c->made);
    return LN_OK;
}

ln_status ln__graph_cut(ln__cut **out, const ln__graph *graph, const int32_t *at, int32_t n_at, ln_error *err)
{
    cutting c = { .graph = graph, .err = err };
    ln_status st;

    *out = NULL;
    c.cut = ln__calloc(graph->ctx, 1, sizeof *c.cut);
    if (c.cut == NULL)
        return ln__fail_nomem(err, graph->ctx, sizeof *c.cut);
    ln__arena_init(&c.cut->arena, graph->ctx, 0);
    st = ln__shapes_infer(&c.one, graph, 1, err);
    if (st >= 0)
        st = cut_graph(&c, at, n_at);
    ln__shapes_free(c.one, graph->ctx);
    ln__free(graph->ctx, c.node_stage);
    ln__free(graph->ctx, c.made);
    ln__free(graph->ctx, c.last);
    ln__free(graph->ctx, c.cut_of);
    ln__free(graph->ctx, c.given);
    if (st < 0) {
        ln__cut_free(c.cut, graph->ctx);
        return st;
    }
    *out = c.cut;
    return LN_OK;
}

void ln__cut_free(ln__cut *cut, const ln__ctx *ctx)
{
    if (cut == NULL)
        return;
    ln__arena_free(&cut->arena);
    ln__free(ctx, cut);
}
