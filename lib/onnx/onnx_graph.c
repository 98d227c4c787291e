/* onnx_graph.c - the file's nodes as graph/ has them. */
#include "onnx/build.h"

#include <string.h>

/* ---- Values that are there before any node -------------------------------------- */

static ln_status put_value(ln__build *b, const char *name, const ln__tensor *constant)
{
    int32_t value = ln__new_value(b, name);

    if (value < 0 || !ln__map_put(&b->value_of, name, value))
        return ln__onnx_nomem(b->err, b->onnx);
    b->graph->values[value].constant = constant;
    return LN_OK;
}

static ln_status add_bindings(ln__build *b, const ln__binding *bound, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ln__arena *arena = &b->graph->arena;
        ln__tensor *t = ln__arena_calloc(arena, 1, sizeof *t);
        int64_t elements, input = ln__map_get(&b->onnx->input_of, bound[i].input);
        size_t bytes;
        void *copy;
        ln_status st;

        if (input < 0)
            return ln__onnx_fail(b->err, LN_E_ARGUMENT, b->onnx, "has no graph input '" LN__CUT "'", bound[i].input);
        if (!ln__tensor_elements(&bound[i].tensor, &elements))
            return ln__onnx_fail(b->err, LN_E_ARGUMENT, b->onnx, "'" LN__CUT "' is too large", bound[i].input);
        bytes = (size_t)elements * ln__dtype_size(bound[i].tensor.dtype);
        ln__onnx_room(arena, bytes, 2);
        copy = ln__arena_alloc(arena, bytes);
        if (t == NULL || copy == NULL)
            return ln__onnx_nomem(b->err, b->onnx);
        *t = bound[i].tensor;
        if (bytes > 0)
            memcpy(copy, t->data, bytes);
        t->data = copy;
        st = put_value(b, b->onnx->inputs[input].name, t);
        if (st < 0)
            return st;
    }
    return LN_OK;
}

static ln_status add_input(ln__build *b, const ln__onnx_value *v)
{
    ln__graph *g = b->graph;
    ln__graph_input *in = &g->inputs[g->n_inputs];
    uint64_t bytes = ln__dtype_size(v->type.dtype);
    ln_status st;

    if (v->elem == 0)
        return ln__onnx_fail(b->err, LN_E_UNSUPPORTED, b->onnx, "graph input '" LN__CUT "' is not a tensor", v->name);
    if (ln__onnx_type_size(v->elem) == 0)
        return ln__onnx_fail(b->err, LN_E_UNSUPPORTED, b->onnx, "graph input '" LN__CUT "' is %s (type %d), which is not supported",
                             v->name, ln__onnx_type_name(v->elem), v->elem);
    if (!v->has_shape)
        return ln__onnx_fail(b->err, LN_E_UNSUPPORTED, b->onnx, "graph input '" LN__CUT
                             "' has no shape; state it (dimensions may be symbolic)", v->name);
    for (int32_t i = 0; i < v->type.rank; i++)
        if (v->type.dim[i] > 0) {
            bytes = bytes > g->max_bytes / (uint64_t)v->type.dim[i] ? UINT64_MAX : bytes * (uint64_t)v->type.dim[i];
            if (bytes > g->max_bytes)
                return ln__onnx_fail(b->err, LN_E_LIMIT, b->onnx, "graph input '" LN__CUT "' is larger than the limit of %llu bytes",
                                     v->name, (unsigned long long)g->max_bytes);
        }
    st = put_value(b, v->name, NULL);
    if (st < 0)
        return st;
    in->value = g->n_values - 1;
    in->type = v->type;
    if (v->type.dtype == LN__F32 && v->type.rank > 0 && g->n_inputs == 0)
        g->batch_fixed = v->type.dim[0] > 0;
    g->n_inputs++;
    return LN_OK;
}

static ln_status add_sources(ln__build *b, const ln__binding *bound, size_t n_bound)
{
    const ln__onnx *o = b->onnx;
    ln_status st = add_bindings(b, bound, n_bound);

    b->graph->inputs = ln__arena_calloc(&b->graph->arena, (size_t)o->n_inputs, sizeof *b->graph->inputs);
    if (b->graph->inputs == NULL)
        return ln__onnx_nomem(b->err, o);
    for (int32_t i = 0; st == LN_OK && i < o->n_tensors; i++)
        if (ln__map_get(&b->value_of, o->tensors[i].name) < 0
            && (!o->tensors[i].ours || ln__map_get(&b->readers, o->tensors[i].name) > 0))
            st = put_value(b, o->tensors[i].name, &o->tensors[i].tensor);
    for (int32_t i = 0; st == LN_OK && i < o->n_inputs; i++)
        if (ln__map_get(&b->value_of, o->inputs[i].name) < 0)
            st = add_input(b, &o->inputs[i]);
    return st;
}

/* ---- Who reads what ------------------------------------------------------------------ */

static bool count_reader(ln__build *b, const char *name)
{
    int64_t n = ln__map_get(&b->readers, name);

    return ln__map_put(&b->readers, name, n < 0 ? 1 : n + 1);
}

static ln_status count_readers(ln__build *b)
{
    const ln__onnx *o = b->onnx;

    for (int32_t i = 0; i < o->n_nodes; i++)
        for (int32_t k = 0; !o->nodes[i].ours && k < o->nodes[i].n_in; k++)
            if (!count_reader(b, o->nodes[i].in[k]))
                return ln__onnx_nomem(b->err, o);
    for (int32_t i = 0; i < o->n_outputs; i++)
        if (!o->outputs[i].ours && !count_reader(b, o->outputs[i].name))
            return ln__onnx_nomem(b->err, o);
    return LN_OK;
}

/* ---- Nodes ------------------------------------------------------------------------------ */

/* A Constant node is its value. */
static void read_constant(ln__build *b)
{
    ln__tensor *t = ln__arena_calloc(&b->graph->arena, 1, sizeof *t);
    const ln__onnx_attr *a = b->src->n_attrs == 1 ? &b->src->attrs[0] : NULL;
    static const char *const names[] = { "value", "value_int", "value_ints", "value_float", "value_floats" };
    static const int32_t types[] = { LN__ATTR_TENSOR, LN__ATTR_INT, LN__ATTR_INTS, LN__ATTR_FLOAT, LN__ATTR_FLOATS };
    size_t form = 0;
    int32_t value;

    while (a != NULL && form < LN__COUNT(names) && strcmp(a->name, names[form]) != 0)
        form++;
    if (a == NULL || form == LN__COUNT(names)) {
        ln__build_fail(b, a == NULL ? LN_E_FORMAT : LN_E_UNSUPPORTED,
                       "needs one attribute, a value of numbers; it has %d ('%.40s')", b->src->n_attrs, a == NULL ? "" : a->name);
        return;
    }
    if (a->type != types[form]) {
        ln__build_fail(b, LN_E_FORMAT, "attribute '%s' is of the wrong type", a->name);
        return;
    }
    value = ln__out(b, 0);
    if (t == NULL || value < 0) {
        if (b->status == LN_OK)
            b->status = ln__onnx_nomem(b->err, b->onnx);
        return;
    }
    *t = a->t;
    if (form > 0) {
        t->dtype = form < 3 ? LN__I64 : LN__F32;
        t->rank = form == 2 || form == 4;
        t->dim[0] = a->n;
        t->data = form == 1 ? (const void *)&a->i : form == 2 ? (const void *)a->ints
                : form == 3 ? (const void *)&a->f : (const void *)a->floats;
    }
    b->graph->values[value].constant = t;
}

static void check_count(ln__build *b)
{
    const ln__row *row = b->row;
    int32_t n = b->src->n_in, present = 0;

    for (int32_t i = 0; i < LN__MIN(n, row->min_in); i++)
        present += b->src->in[i][0] != '\0';
    if (present < row->min_in)
        ln__build_fail(b, LN_E_FORMAT, "has %d of the %d inputs it needs", present, row->min_in);
    if (row->max_in >= 0 && n > row->max_in)
        ln__build_fail(b, LN_E_FORMAT, "has %d inputs, at opset %lld it takes at most %d", n, (long long)b->onnx->opset, row->max_in);
    /* Of the parts of a Split any may be left out. */
    bool made = false;
    for (int32_t i = 0; i < (row->about.op == LN__SPLIT ? b->src->n_out : LN__MIN(b->src->n_out, 1)); i++)
        made = made || b->src->out[i][0] != '\0';
    if (!made)
        ln__build_fail(b, LN_E_FORMAT, "has no output");
}

static void check_attributes(ln__build *b)
{
    for (int32_t i = 0; i < b->src->n_attrs; i++)
        if ((b->asked >> i & 1) == 0)
            ln__build_fail(b, LN_E_FORMAT, "attribute '%.60s' is not one that %s has at opset %lld", b->src->attrs[i].name,
                           b->row->about.name, (long long)b->onnx->opset);
}

static ln_status read_node(ln__build *b, const ln__onnx_node *src)
{
    bool other_opset = false;

    b->src = src;
    b->asked = 0;
    if (strcmp(src->type, "Constant") == 0) {
        read_constant(b);
        return b->status;
    }
    b->row = ln__row_find(src->type, b->onnx->opset, &other_opset);
    if (b->row == NULL) {
        ln__build_fail(b, LN_E_UNSUPPORTED, other_opset ? "this operator is not supported at opset %lld; docs/operators.md lists what is"
                       : "this operator is not supported (opset %lld); docs/operators.md lists those that are", (long long)b->onnx->opset);
        return b->status;
    }
    check_count(b);
    if (b->status == LN_OK)
        b->row->read(b, b->row->variant);
    check_attributes(b);
    return b->status;
}

static ln_status add_outputs(ln__build *b)
{
    const ln__onnx *o = b->onnx;
    ln__graph *g = b->graph;

    g->outputs = ln__arena_calloc(&g->arena, (size_t)o->n_outputs, sizeof *g->outputs);
    if (g->outputs == NULL)
        return ln__onnx_nomem(b->err, o);
    for (int32_t i = 0; i < o->n_outputs; i++)
        if (!o->outputs[i].ours)
            g->outputs[g->n_outputs++] = (int32_t)ln__map_get(&b->value_of, o->outputs[i].name);
    if (g->n_outputs == 0)
        return ln__onnx_fail(b->err, LN_E_FORMAT, o, "all graph outputs belong to exits");
    return LN_OK;
}

ln_status ln__onnx_graph(ln__graph **out, const ln__onnx *onnx, const ln__binding *constants, size_t n, ln_error *err)
{
    ln__build b = { .onnx = onnx, .err = err, .nodes_capacity = onnx->n_nodes + 2 };
    ln__arena names;
    ln_status st;

    *out = NULL;
    st = ln__graph_new(&b.graph, &onnx->ctx, onnx->label, onnx->max_bytes, err);
    if (st < 0)
        return st;
    ln__arena_init(&names, &onnx->ctx, 0);
    ln__map_init(&b.value_of, &names);
    ln__map_init(&b.readers, &names);
    b.graph->arena.limit = LN__ROOM;
    ln__onnx_room(&b.graph->arena, onnx->size, LN__ROOM_PER_BYTE);
    b.graph->nodes = ln__arena_calloc(&b.graph->arena, (size_t)b.nodes_capacity, sizeof *b.graph->nodes);
    st = b.graph->nodes == NULL ? ln__onnx_nomem(err, onnx) : count_readers(&b);
    if (st == LN_OK)
        st = add_sources(&b, constants, n);
    for (int32_t i = 0; st == LN_OK && i < onnx->n_nodes; i++)
        if (!onnx->nodes[onnx->order[i]].ours)
            st = read_node(&b, &onnx->nodes[onnx->order[i]]);
    if (st == LN_OK)
        st = add_outputs(&b);
    ln__arena_free(&names);
    st = ln__onnx_limited(st, onnx, &b.graph->arena, err);
    if (st < 0)
        ln__graph_free(b.graph);
    else
        *out = b.graph;
    return st;
}
