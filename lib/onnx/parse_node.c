/* parse_node.c - NodeProto and AttributeProto. */
#include "onnx/parsed.h"

#include <string.h>

/* Fields of AttributeProto by the type they belong to. */
static const struct { uint8_t field; const char *name; } holds[] = {
    [LN__ATTR_FLOAT] = { 2, "a number" },     [LN__ATTR_INT] = { 3, "a whole number" },
    [LN__ATTR_STRING] = { 4, "a string" },    [LN__ATTR_TENSOR] = { 5, "a tensor" },
    [LN__ATTR_GRAPH] = { 6, "a graph" },      [LN__ATTR_FLOATS] = { 7, "numbers" },
    [LN__ATTR_INTS] = { 8, "whole numbers" }, [LN__ATTR_STRINGS] = { 9, "strings" },
    [LN__ATTR_TENSORS] = { 10, "tensors" },   [LN__ATTR_GRAPHS] = { 11, "graphs" },
    [LN__ATTR_SPARSE_TENSOR] = { 22, "a sparse tensor" },
};

static int32_t type_of_field(uint64_t field)
{
    for (int32_t type = 1; type < (int32_t)LN__COUNT(holds); type++)
        if (holds[type].field == field)
            return type;
    return 0;
}

typedef struct seen { int32_t type, declared; size_t n; ln__field last; const char *problem; } seen;

/* First pass: what kind of thing is held, and how many. */
static void look(seen *s, ln__wire wire)
{
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        int32_t type = type_of_field(f.key >> 3);
        if (f.key == LN__WIRE_KEY(20, LN__WIRE_VARINT))
            s->declared = f.value > 0 && f.value < LN__COUNT(holds) ? (int32_t)f.value : -1;
        if (type == 0)
            continue;
        if (s->type != 0 && s->type != type)
            s->problem = "holds things of two types";
        s->type = type;
        s->last = f;
        s->n += (f.key & 7) == LN__WIRE_BYTES && (type == LN__ATTR_INTS || type == LN__ATTR_FLOATS)
              ? ln__wire_count(ln__wire_make(f.data, f.size),
                               type == LN__ATTR_INTS ? LN__WIRE_VARINT : LN__WIRE_FIXED32, &s->problem)
              : 1;
    }
    if (wire.problem != NULL)
        s->problem = wire.problem;
}

typedef struct list { int64_t *ints; float *floats; size_t n, most; } list;

static void append(list *to, uint64_t value)
{
    if (to->n == to->most)
        return;
    if (to->ints != NULL)
        to->ints[to->n++] = (int64_t)value;
    else
        to->floats[to->n++] = ln__float_of((uint32_t)value);
}

static bool fill_lists(ln__onnx_attr *a, ln__onnx *onnx, ln__wire wire, size_t n)
{
    bool ints = a->type == LN__ATTR_INTS;
    int scalar = ints ? LN__WIRE_VARINT : LN__WIRE_FIXED32;
    list to = { NULL, NULL, 0, n };
    ln__field f;

    if (ints)
        to.ints = ln__arena_calloc(&onnx->arena, n, sizeof *to.ints);
    else
        to.floats = ln__arena_calloc(&onnx->arena, n, sizeof *to.floats);
    if (to.ints == NULL && to.floats == NULL)
        return false;
    while (ln__wire_next(&wire, &f)) {
        ln__wire run = ln__wire_make(f.data, f.size);
        uint64_t value;
        if (f.key >> 3 != holds[a->type].field)
            continue;
        if ((int)(f.key & 7) == scalar)
            append(&to, f.value);
        else if ((f.key & 7) == LN__WIRE_BYTES)
            while (ln__wire_packed(&run, scalar, &value))
                append(&to, value);
    }
    a->ints = to.ints;
    a->floats = to.floats;
    a->n = (int32_t)to.n;
    return true;
}

static ln_status attr_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const ln__onnx_node *node,
                           const ln__onnx_attr *a, const char *text)
{
    return ln__onnx_node_fail(err, status, onnx, node, "attribute '%.60s' %s", a->name, text);
}

/* A scalar's field must have the wire type of its kind, else it was never there. */
static bool wire_fits(int32_t type, const ln__field *f)
{
    int wire = (int)(f->key & 7);

    return type == LN__ATTR_FLOAT ? wire == LN__WIRE_FIXED32 : type == LN__ATTR_INT ? wire == LN__WIRE_VARINT
         : wire == LN__WIRE_BYTES;
}

static ln_status fill_tensor(ln__onnx_attr *a, ln__onnx *onnx, const ln__onnx_node *node, const ln__field *field, ln_error *err)
{
    char which[LN__NODE_TEXT], owner[LN__NODE_TEXT + 80];
    ln__onnx_tensor tensor;
    ln_status st;

    snprintf(owner, sizeof owner, "%s: attribute '%.60s'", ln__onnx_node_text(which, onnx, node), a->name);
    st = ln__parse_tensor(&tensor, onnx, field, owner, err);
    if (st < 0 && err != NULL && err->detail == 0)
        err->detail = (int32_t)(node - onnx->nodes);
    a->t = tensor.tensor;
    a->elem = tensor.elem;
    a->external = tensor.external;
    return st;
}

static ln_status fill_attribute(ln__onnx_attr *a, ln__onnx *onnx, const ln__onnx_node *node, ln__wire wire,
                                const seen *s, ln_error *err)
{
    switch (a->type) {
    case LN__ATTR_FLOAT:
        a->f = ln__float_of((uint32_t)s->last.value);
        return LN_OK;
    case LN__ATTR_INT:
        a->i = (int64_t)s->last.value;
        return LN_OK;
    case LN__ATTR_STRING:
        a->s = (const char *)s->last.data;
        a->s_size = s->last.size;
        return LN_OK;
    case LN__ATTR_FLOATS: case LN__ATTR_INTS:
        return s->n > INT32_MAX ? attr_fail(err, LN_E_LIMIT, onnx, node, a, "is too long")
             : fill_lists(a, onnx, wire, s->n) ? LN_OK : ln__onnx_nomem(err, onnx);
    case LN__ATTR_TENSOR:
        if (s->n != 1)
            return attr_fail(err, LN_E_FORMAT, onnx, node, a, s->n == 0 ? "is a tensor that is missing" : "holds two tensors");
        return fill_tensor(a, onnx, node, &s->last, err);
    case LN__ATTR_GRAPH: case LN__ATTR_GRAPHS:
        return attr_fail(err, LN_E_UNSUPPORTED, onnx, node, a, "is a graph: control flow is not supported");
    default:
        return LN_OK;
    }
}

static ln_status parse_attribute(ln__onnx_attr *a, ln__onnx *onnx, const ln__onnx_node *node, const ln__field *field, ln_error *err)
{
    ln__wire wire = ln__wire_make(field->data, field->size), names = wire;
    seen s = { 0, 0, 0, { 0, 0, NULL, 0, NULL }, NULL };
    ln_status st;
    ln__field f;

    memset(a, 0, sizeof *a);
    a->name = a->s = "";
    while (ln__wire_next(&names, &f))
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES)) {
            st = ln__onnx_text(&a->name, onnx, &f, "an attribute", err);
            if (st < 0)
                return st;
        }
    look(&s, wire);
    if (s.problem != NULL)
        return attr_fail(err, LN_E_FORMAT, onnx, node, a, s.problem);
    if (a->name[0] == '\0')
        return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "has an attribute without a name");
    if (s.declared < 0 || (s.declared == 0 && s.type == 0))
        return attr_fail(err, LN_E_UNSUPPORTED, onnx, node, a, "has an unknown type");
    if (s.declared != 0 && s.type != 0 && s.declared != s.type)
        return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "attribute '%.60s' is declared as %s but holds %s",
                                  a->name, holds[s.declared].name, holds[s.type].name);
    a->type = s.declared != 0 ? s.declared : s.type;
    if (s.n > 0 && a->type != LN__ATTR_INTS && a->type != LN__ATTR_FLOATS && !wire_fits(a->type, &s.last))
        return attr_fail(err, LN_E_FORMAT, onnx, node, a, "is stored in the wrong way");
    return fill_attribute(a, onnx, node, wire, &s, err);
}

/* ---- NodeProto ---------------------------------------------------------------------- */

static ln_status take_strings(ln__onnx_node *node, ln__onnx *onnx, ln__wire wire, ln_error *err)
{
    ln_status st = LN_OK;
    ln__field f;

    while (st == LN_OK && ln__wire_next(&wire, &f))
        switch (f.key) {
        case LN__WIRE_KEY(1, LN__WIRE_BYTES):
            st = ln__onnx_text(&node->in[node->n_in++], onnx, &f, "a node's input", err);
            break;
        case LN__WIRE_KEY(2, LN__WIRE_BYTES):
            st = ln__onnx_text(&node->out[node->n_out++], onnx, &f, "a node's output", err);
            break;
        case LN__WIRE_KEY(3, LN__WIRE_BYTES):
            st = ln__onnx_text(&node->name, onnx, &f, "a node", err);
            break;
        case LN__WIRE_KEY(4, LN__WIRE_BYTES):
            st = ln__onnx_text(&node->type, onnx, &f, "an operator", err);
            break;
        case LN__WIRE_KEY(7, LN__WIRE_BYTES):
            st = ln__onnx_text(&node->domain, onnx, &f, "a domain", err);
            break;
        default:
            break;
        }
    return st;
}

static ln_status take_attributes(ln__onnx_node *node, ln__onnx *onnx, ln__wire wire, ln_error *err)
{
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        ln__onnx_attr *a = &node->attrs[node->n_attrs];
        ln_status st;
        if (f.key != LN__WIRE_KEY(5, LN__WIRE_BYTES))
            continue;
        st = parse_attribute(a, onnx, node, &f, err);
        if (st < 0)
            return st;
        for (int32_t i = 0; i < node->n_attrs; i++)
            if (strcmp(node->attrs[i].name, a->name) == 0)
                return attr_fail(err, LN_E_FORMAT, onnx, node, a, "is given twice");
        node->n_attrs++;
    }
    return LN_OK;
}

static ln_status check_domain(const ln__onnx_node *node, const ln__onnx *onnx, ln_error *err)
{
    if (node->domain[0] == '\0' || strcmp(node->domain, "ai.onnx") == 0)
        return LN_OK;
    for (int32_t i = 0; i < onnx->n_domains; i++)
        if (strcmp(onnx->domains[i], node->domain) == 0)
            return ln__onnx_node_fail(err, LN_E_UNSUPPORTED, onnx, node,
                                      "domain '%.60s' is not supported; only ONNX's own operators are", node->domain);
    return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "domain '%.60s' is not imported", node->domain);
}

ln_status ln__parse_node(ln__onnx_node *node, ln__onnx *onnx, int32_t index, const ln__field *field, ln_error *err)
{
    ln__wire wire = ln__wire_make(field->data, field->size), counting = wire;
    size_t in = 0, out = 0, attrs = 0;
    ln_status st;
    ln__field f;

    memset(node, 0, sizeof *node);
    node->name = node->type = node->domain = "";
    while (ln__wire_next(&counting, &f)) {
        in += f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES);
        out += f.key == LN__WIRE_KEY(2, LN__WIRE_BYTES);
        attrs += f.key == LN__WIRE_KEY(5, LN__WIRE_BYTES);
    }
    if (counting.problem != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "node %d %s", index, counting.problem);
    if (in > LN__MOST_NODE_VALUES || out > LN__MOST_NODE_VALUES || attrs > LN__MOST_ATTRIBUTES)
        return ln__onnx_fail(err, LN_E_LIMIT, onnx, "node %d has %zu inputs, %zu outputs and %zu attributes", index, in, out, attrs);
    node->in = ln__arena_calloc(&onnx->arena, in, sizeof *node->in);
    node->out = ln__arena_calloc(&onnx->arena, out, sizeof *node->out);
    node->attrs = ln__arena_calloc(&onnx->arena, attrs, sizeof *node->attrs);
    if (node->in == NULL || node->out == NULL || node->attrs == NULL)
        return ln__onnx_nomem(err, onnx);
    st = take_strings(node, onnx, wire, err);
    if (st < 0)
        return st;
    node->ours = ln__onnx_is_ours(node->name);
    if (node->type[0] == '\0')
        return ln__onnx_node_fail(err, LN_E_FORMAT, onnx, node, "has no operator");
    st = check_domain(node, onnx, err);
    return st < 0 ? st : take_attributes(node, onnx, wire, err);
}
