/* parse_graph.c - GraphProto: its lists, read into arrays of their size. */
#include "onnx/parsed.h"

#include <string.h>

typedef struct counts { size_t nodes, tensors, inputs, outputs, sparse; } counts;

static ln_status count_lists(counts *n, const ln__onnx *onnx, ln_error *err)
{
    ln__wire wire = ln__wire_make(onnx->graph, onnx->graph_size);
    ln__field f;

    memset(n, 0, sizeof *n);
    while (ln__wire_next(&wire, &f)) {
        n->nodes += f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES);
        n->tensors += f.key == LN__WIRE_KEY(5, LN__WIRE_BYTES);
        n->inputs += f.key == LN__WIRE_KEY(11, LN__WIRE_BYTES);
        n->outputs += f.key == LN__WIRE_KEY(12, LN__WIRE_BYTES);
        n->sparse += f.key == LN__WIRE_KEY(15, LN__WIRE_BYTES);
    }
    if (wire.problem != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "the graph %s (byte %zu of the file)", wire.problem,
                             (size_t)(wire.at - onnx->data));
    if (n->sparse > 0)
        return ln__onnx_fail(err, LN_E_UNSUPPORTED, onnx, "has sparse initializers; store them as plain ones");
    if (n->nodes > LN__MOST_NODES || n->tensors > LN__MOST_NAMES || n->inputs > LN__MOST_NAMES || n->outputs > LN__MOST_NAMES)
        return ln__onnx_fail(err, LN_E_LIMIT, onnx, "has %zu nodes, %zu initializers, %zu inputs and %zu outputs; the limit is %d",
                             n->nodes, n->tensors, n->inputs, n->outputs, LN__MOST_NODES);
    return LN_OK;
}

/* ---- Types ------------------------------------------------------------------------ */

static const char *read_dim(ln__tensor *type, const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    int64_t dim = -1;
    ln__field f;

    if (type->rank == LN__MAX_RANK)
        return "has more than 8 dimensions";
    while (ln__wire_next(&wire, &f))
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_VARINT)) {
            dim = (int64_t)f.value;
            if (dim < 0)
                return "has a negative dimension";
        }
    type->dim[type->rank++] = dim;
    return wire.problem;
}

static const char *read_shape(ln__onnx_value *v, const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    const char *problem = NULL;
    ln__field f;

    v->has_shape = true;
    v->type.rank = 0;
    while (problem == NULL && ln__wire_next(&wire, &f))
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES))
            problem = read_dim(&v->type, &f);
    return problem != NULL ? problem : wire.problem;
}

static const char *read_tensor_type(ln__onnx_value *v, const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    const char *problem = NULL;
    ln__field f;

    while (problem == NULL && ln__wire_next(&wire, &f)) {
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_VARINT))
            v->elem = f.value <= INT32_MAX ? (int32_t)f.value : INT32_MAX;
        else if (f.key == LN__WIRE_KEY(2, LN__WIRE_BYTES))
            problem = read_shape(v, &f);
    }
    return problem != NULL ? problem : wire.problem;
}

static const char *read_type(ln__onnx_value *v, const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    const char *problem = NULL;
    ln__field f;

    while (problem == NULL && ln__wire_next(&wire, &f))
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES))
            problem = read_tensor_type(v, &f);
    return problem != NULL ? problem : wire.problem;
}

static ln_status read_value(ln__onnx_value *v, ln__onnx *onnx, const ln__field *message, const char *what, ln_error *err)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    const char *problem = NULL;
    ln_status st = LN_OK;
    ln__field f;

    memset(v, 0, sizeof *v);
    v->name = "";
    v->initializer = -1;
    while (st == LN_OK && problem == NULL && ln__wire_next(&wire, &f)) {
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES))
            st = ln__onnx_text(&v->name, onnx, &f, what, err);
        else if (f.key == LN__WIRE_KEY(2, LN__WIRE_BYTES))
            problem = read_type(v, &f);
    }
    if (st < 0)
        return st;
    problem = problem != NULL ? problem : wire.problem;
    if (problem != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s '" LN__CUT "' %s", what, v->name, problem);
    v->type.dtype = ln__onnx_type_is_float(v->elem) ? LN__F32 : LN__I64;
    return LN_OK;
}

/* ---- Lists ------------------------------------------------------------------------- */

static ln_status add_tensor(ln__onnx *onnx, const ln__field *f, ln_error *err)
{
    ln__onnx_tensor *t = &onnx->tensors[onnx->n_tensors];
    ln_status st = ln__parse_tensor(t, onnx, f, "initializer", err);

    if (st < 0)
        return st;
    if (t->name[0] == '\0')
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "initializer %d has no name", onnx->n_tensors);
    if (ln__map_get(&onnx->tensor_of, t->name) >= 0)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "there are two initializers '" LN__CUT "'", t->name);
    if (!ln__map_put(&onnx->tensor_of, t->name, onnx->n_tensors))
        return ln__onnx_nomem(err, onnx);
    onnx->n_tensors++;
    return LN_OK;
}

static ln_status add_input(ln__onnx *onnx, const ln__field *f, ln_error *err)
{
    ln__onnx_value *v = &onnx->inputs[onnx->n_inputs];
    ln_status st = read_value(v, onnx, f, "graph input", err);

    if (st < 0)
        return st;
    if (v->name[0] == '\0')
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "graph input %d has no name", onnx->n_inputs);
    if (ln__map_get(&onnx->input_of, v->name) >= 0)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "there are two graph inputs '" LN__CUT "'", v->name);
    if (!ln__map_put(&onnx->input_of, v->name, onnx->n_inputs))
        return ln__onnx_nomem(err, onnx);
    onnx->n_inputs++;
    return LN_OK;
}

static ln_status add_node(ln__onnx *onnx, const ln__field *f, const uint8_t *end, ln_error *err)
{
    ln__onnx_node *node = &onnx->nodes[onnx->n_nodes];
    ln_status st = ln__parse_node(node, onnx, onnx->n_nodes, f, err);

    node->start = f->start;
    node->size = (size_t)(end - f->start);
    onnx->n_nodes++;
    return st;
}

ln_status ln__parse_graph(ln__onnx *onnx, ln_error *err)
{
    ln__wire wire = ln__wire_make(onnx->graph, onnx->graph_size);
    counts n;
    ln_status st = count_lists(&n, onnx, err);
    ln__field f;

    if (st < 0)
        return st;
    onnx->nodes = ln__arena_calloc(&onnx->arena, n.nodes, sizeof *onnx->nodes);
    onnx->tensors = ln__arena_calloc(&onnx->arena, n.tensors, sizeof *onnx->tensors);
    onnx->inputs = ln__arena_calloc(&onnx->arena, n.inputs, sizeof *onnx->inputs);
    onnx->outputs = ln__arena_calloc(&onnx->arena, n.outputs, sizeof *onnx->outputs);
    if (onnx->nodes == NULL || onnx->tensors == NULL || onnx->inputs == NULL || onnx->outputs == NULL)
        return ln__onnx_nomem(err, onnx);
    while (st == LN_OK && ln__wire_next(&wire, &f))
        switch (f.key) {
        case LN__WIRE_KEY(1, LN__WIRE_BYTES):  st = add_node(onnx, &f, wire.at, err); break;
        case LN__WIRE_KEY(5, LN__WIRE_BYTES):  st = add_tensor(onnx, &f, err); break;
        case LN__WIRE_KEY(11, LN__WIRE_BYTES): st = add_input(onnx, &f, err); break;
        case LN__WIRE_KEY(12, LN__WIRE_BYTES):
            st = read_value(&onnx->outputs[onnx->n_outputs++], onnx, &f, "graph output", err);
            break;
        default: break;
        }
    return st;
}
