/* check_graph.c - every value has one maker, nothing reads what is not made,
 * and the nodes can be put in an order. */
#include "onnx/parsed.h"

#include <string.h>

/* Maker of a value: a node's index, or n_nodes for inputs and initializers. */
static ln_status register_values(ln__map *maker, ln__onnx *onnx, ln_error *err)
{
    for (int32_t i = 0; i < onnx->n_tensors; i++)
        if (!ln__map_put(maker, onnx->tensors[i].name, onnx->n_nodes))
            return ln__onnx_nomem(err, onnx);
    for (int32_t i = 0; i < onnx->n_inputs; i++) {
        onnx->inputs[i].initializer = ln__map_get(&onnx->tensor_of, onnx->inputs[i].name);
        if (!ln__map_put(maker, onnx->inputs[i].name, onnx->n_nodes))
            return ln__onnx_nomem(err, onnx);
    }
    for (int32_t i = 0; i < onnx->n_nodes; i++) {
        const ln__onnx_node *node = &onnx->nodes[i];
        for (int32_t o = 0; o < node->n_out; o++) {
            if (node->out[o][0] == '\0')
                continue;
            if (ln__map_get(maker, node->out[o]) >= 0)
                return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "writes '" LN__CUT "', which %s", node->out[o],
                                          ln__map_get(maker, node->out[o]) == onnx->n_nodes
                                          ? "is a graph input or initializer" : "another node writes");
            if (!ln__map_put(maker, node->out[o], i))
                return ln__onnx_nomem(err, onnx);
        }
    }
    return LN_OK;
}

static ln_status check_inputs(const ln__map *maker, ln__onnx *onnx, ln_error *err)
{
    onnx->sorted = true;
    for (int32_t i = 0; i < onnx->n_nodes; i++) {
        const ln__onnx_node *node = &onnx->nodes[i];
        for (int32_t k = 0; k < node->n_in; k++) {
            int64_t made = node->in[k][0] == '\0' ? onnx->n_nodes : ln__map_get(maker, node->in[k]);
            if (made < 0)
                return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "reads '" LN__CUT "', which nothing makes", node->in[k]);
            if (made < onnx->n_nodes && onnx->nodes[made].ours && !node->ours)
                return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "reads '" LN__CUT "', which belongs to an exit", node->in[k]);
            if (made < onnx->n_nodes && made >= i)
                onnx->sorted = false;
        }
    }
    return LN_OK;
}

/* Kahn 1962: nodes whose inputs are all made, in order of becoming ready. */
typedef struct edges { int32_t *waits, *first, *readers; } edges;

static bool collect_edges(edges *e, const ln__map *maker, const ln__onnx *onnx, ln__arena *arena)
{
    size_t n = (size_t)onnx->n_nodes, total = 0;
    int32_t *fill;

    e->waits = ln__arena_calloc(arena, n, sizeof *e->waits);
    e->first = ln__arena_calloc(arena, n + 1, sizeof *e->first);
    fill = ln__arena_calloc(arena, n, sizeof *fill);
    if (e->waits == NULL || e->first == NULL || fill == NULL)
        return false;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++)
            for (int32_t k = 0; k < onnx->nodes[i].n_in; k++) {
                int64_t made = onnx->nodes[i].in[k][0] == '\0' ? (int64_t)n : ln__map_get(maker, onnx->nodes[i].in[k]);
                if (made == (int64_t)n)
                    continue;
                if (pass == 0) {
                    e->waits[i]++;
                    e->first[made + 1]++;
                    total++;
                } else {
                    e->readers[e->first[made] + fill[made]++] = (int32_t)i;
                }
            }
        if (pass == 0) {
            for (size_t i = 0; i < n; i++)
                e->first[i + 1] += e->first[i];
            e->readers = ln__arena_calloc(arena, total, sizeof *e->readers);
            if (e->readers == NULL)
                return false;
        }
    }
    return true;
}

static ln_status sort_nodes(const ln__map *maker, ln__onnx *onnx, ln__arena *arena, ln_error *err)
{
    int32_t ready = 0;
    edges e;

    if (!collect_edges(&e, maker, onnx, arena))
        return ln__onnx_nomem(err, onnx);
    for (int32_t i = 0; i < onnx->n_nodes; i++)
        if (e.waits[i] == 0)
            onnx->order[ready++] = i;
    for (int32_t done = 0; done < ready; done++) {
        int32_t node = onnx->order[done];
        for (int32_t k = e.first[node]; k < e.first[node + 1]; k++)
            if (--e.waits[e.readers[k]] == 0)
                onnx->order[ready++] = e.readers[k];
    }
    for (int32_t i = 0; ready < onnx->n_nodes && i < onnx->n_nodes; i++)
        if (e.waits[i] > 0)
            return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, &onnx->nodes[i], "depends on its own output");
    return LN_OK;
}

static ln_status check_outputs(const ln__map *maker, ln__onnx *onnx, ln__map *seen, ln_error *err)
{
    if (onnx->n_outputs == 0)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "the graph has no outputs");
    for (int32_t i = 0; i < onnx->n_outputs; i++) {
        ln__onnx_value *v = &onnx->outputs[i];
        int64_t made = v->name[0] == '\0' ? -1 : ln__map_get(maker, v->name);
        if (made < 0)
            return ln__onnx_fail(err, LN_E_FORMAT, onnx, "graph output '" LN__CUT "' is written by no node", v->name);
        if (ln__map_get(seen, v->name) >= 0)
            return ln__onnx_fail(err, LN_E_FORMAT, onnx, "there are two graph outputs '" LN__CUT "'", v->name);
        if (!ln__map_put(seen, v->name, i))
            return ln__onnx_nomem(err, onnx);
        v->ours = made < onnx->n_nodes && onnx->nodes[made].ours;
    }
    return LN_OK;
}

ln_status ln__check_graph(ln__onnx *onnx, ln_error *err)
{
    ln__arena arena;
    ln__map maker, seen;
    ln_status st;

    ln__arena_init(&arena, &onnx->ctx, 0);
    ln__map_init(&maker, &arena);
    ln__map_init(&seen, &arena);
    onnx->order = ln__arena_calloc(&onnx->arena, (size_t)onnx->n_nodes, sizeof *onnx->order);
    st = onnx->order == NULL ? ln__onnx_nomem(err, onnx) : register_values(&maker, onnx, err);
    if (st == LN_OK)
        st = check_inputs(&maker, onnx, err);
    for (int32_t i = 0; st == LN_OK && i < onnx->n_nodes; i++)
        onnx->order[i] = i;
    if (st == LN_OK && !onnx->sorted)
        st = sort_nodes(&maker, onnx, &arena, err);
    if (st == LN_OK)
        st = check_outputs(&maker, onnx, &seen, err);
    ln__arena_free(&arena);
    return st;
}
