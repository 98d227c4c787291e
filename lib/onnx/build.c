/* build.c - what the readers of operators share. */
#include "onnx/build.h"

#include <string.h>

void ln__build_fail(ln__build *b, ln_status status, const char *format, ...)
{
    char text[320];
    va_list args;

    if (b->status < 0)
        return;
    va_start(args, format);
    ln__vformat(text, sizeof text, format, args);
    va_end(args);
    b->status = ln__onnx_node_fail(b->err, status, b->onnx, b->src, "%s", text);
}

static void no_memory(ln__build *b)
{
    if (b->status == LN_OK)
        b->status = ln__onnx_nomem(b->err, b->onnx);
}

/* ---- Attributes ------------------------------------------------------------------ */

static const char *const kinds[] = {
    "?", "a number", "a whole number", "a string", "a tensor", "a graph", "numbers", "whole numbers", "strings",
    "tensors", "graphs", "a sparse tensor"
};

const ln__onnx_attr *ln__attr(ln__build *b, const char *name, int32_t type)
{
    for (int32_t i = 0; i < b->src->n_attrs; i++) {
        const ln__onnx_attr *a = &b->src->attrs[i];
        if (strcmp(a->name, name) != 0)
            continue;
        b->asked |= (uint64_t)1 << i;
        if (type == 0 || a->type == type)
            return a;
        ln__build_fail(b, LN_E_FORMAT, "attribute '%s' is %s, it must be %s", name, kinds[a->type], kinds[type]);
    }
    return NULL;
}

void ln__attr_ignore(ln__build *b, const char *name)
{
    ln__attr(b, name, 0);
}

int64_t ln__attr_int(ln__build *b, const char *name, int64_t fallback)
{
    const ln__onnx_attr *a = ln__attr(b, name, LN__ATTR_INT);

    return a == NULL ? fallback : a->i;
}

int64_t ln__attr_int_needed(ln__build *b, const char *name)
{
    const ln__onnx_attr *a = ln__attr(b, name, LN__ATTR_INT);

    if (a == NULL)
        ln__build_fail(b, LN_E_FORMAT, "attribute '%s' is missing", name);
    return a == NULL ? 0 : a->i;
}

bool ln__attr_bool(ln__build *b, const char *name, bool fallback)
{
    return ln__attr_int(b, name, fallback) != 0;
}

float ln__attr_float(ln__build *b, const char *name, float fallback)
{
    const ln__onnx_attr *a = ln__attr(b, name, LN__ATTR_FLOAT);

    return a == NULL ? fallback : a->f;
}

int32_t ln__attr_ints(ln__build *b, const char *name, int64_t *out, int32_t most)
{
    const ln__onnx_attr *a = ln__attr(b, name, LN__ATTR_INTS);

    if (a == NULL)
        return -1;
    if (a->n > most) {
        ln__build_fail(b, LN_E_FORMAT, "attribute '%s' has %d values, at most %d make sense", name, a->n, most);
        return -1;
    }
    if (a->n > 0)
        memcpy(out, a->ints, (size_t)a->n * sizeof *out);
    return a->n;
}

int32_t ln__attr_word(ln__build *b, const char *name, const char *const *words, int32_t fallback)
{
    const ln__onnx_attr *a = ln__attr(b, name, LN__ATTR_STRING);

    if (a == NULL)
        return fallback;
    for (int32_t i = 0; words[i] != NULL; i++)
        if (strlen(words[i]) == a->s_size && memcmp(words[i], a->s, a->s_size) == 0)
            return i;
    ln__build_fail(b, LN_E_UNSUPPORTED, "%s '%.*s' is not supported (of %zu bytes; '%s' is)", name,
                   (int)LN__MIN(a->s_size, (size_t)40), a->s, a->s_size, words[0]);
    return fallback;
}

/* ---- Values ---------------------------------------------------------------------- */

int32_t ln__new_value(ln__build *b, const char *name)
{
    ln__graph *g = b->graph;

    if (g->n_values == b->values_capacity) {
        int32_t capacity = LN__MAX(b->values_capacity * 2, b->onnx->n_nodes + b->onnx->n_tensors + b->onnx->n_inputs + 64);
        ln__value *larger = ln__arena_calloc(&g->arena, (size_t)capacity, sizeof *larger);
        if (larger == NULL) {
            no_memory(b);
            return LN__NO_VALUE;
        }
        if (g->n_values > 0)
            memcpy(larger, g->values, (size_t)g->n_values * sizeof *larger);
        g->values = larger;
        b->values_capacity = capacity;
    }
    g->values[g->n_values].name = name;
    g->values[g->n_values].producer = -1;
    return g->n_values++;
}

static int32_t new_constant(ln__build *b, ln__dtype dtype, const void *data, int32_t n, bool scalar)
{
    size_t bytes = (size_t)n * ln__dtype_size(dtype);
    ln__tensor *t = ln__arena_calloc(&b->graph->arena, 1, sizeof *t);
    void *copy = ln__arena_alloc(&b->graph->arena, bytes);
    int32_t value = ln__new_value(b, b->src->n_out > 0 ? b->src->out[0] : "");

    if (t == NULL || copy == NULL || value < 0) {
        no_memory(b);
        return LN__NO_VALUE;
    }
    if (bytes > 0)
        memcpy(copy, data, bytes);
    t->dtype = dtype;
    t->rank = scalar ? 0 : 1;
    t->dim[0] = n;
    t->data = copy;
    b->graph->values[value].constant = t;
    b->graph->values[value].name = "";      /* the file has no name for it */
    return value;
}

int32_t ln__new_floats(ln__build *b, const float *data, int32_t n, bool scalar)
{
    return new_constant(b, LN__F32, data, n, scalar);
}

int32_t ln__new_ints(ln__build *b, const int64_t *data, int32_t n)
{
    return new_constant(b, LN__I64, data, n, false);
}

int32_t ln__in(ln__build *b, int32_t i)
{
    if (i >= b->src->n_in || b->src->in[i][0] == '\0')
        return LN__NO_VALUE;
    return (int32_t)ln__map_get(&b->value_of, b->src->in[i]);
}

const ln__tensor *ln__in_constant(const ln__build *b, int32_t value)
{
    return value < 0 ? NULL : b->graph->values[value].constant;
}

bool ln__output_used(const ln__build *b, int32_t i)
{
    return i < b->src->n_out && b->src->out[i][0] != '\0' && ln__map_get(&b->readers, b->src->out[i]) > 0;
}

void ln__refuse_output(ln__build *b, int32_t i, const char *what)
{
    if (ln__output_used(b, i))
        ln__build_fail(b, LN_E_UNSUPPORTED, "its output %d (%s) is used, which is not supported", i, what);
}

int32_t ln__out(ln__build *b, int32_t i)
{
    int32_t value;

    if (i >= b->src->n_out || b->src->out[i][0] == '\0')
        return LN__NO_VALUE;
    value = (int32_t)ln__map_get(&b->value_of, b->src->out[i]);
    if (value < 0) {
        value = ln__new_value(b, b->src->out[i]);
        if (value >= 0 && !ln__map_put(&b->value_of, b->src->out[i], value))
            no_memory(b);
    }
    return value;
}

/* ---- Nodes ------------------------------------------------------------------------ */

static bool grow_nodes(ln__build *b)
{
    ln__graph *g = b->graph;
    int32_t capacity = b->nodes_capacity * 2;
    ln__node *larger;

    if (g->n_nodes + 1 < b->nodes_capacity)
        return true;
    larger = ln__arena_calloc(&g->arena, (size_t)capacity, sizeof *larger);
    if (larger == NULL)
        return false;
    if (g->n_nodes > 0)
        memcpy(larger, g->nodes, (size_t)g->n_nodes * sizeof *larger);
    g->nodes = larger;
    b->nodes_capacity = capacity;
    return true;
}

static ln__node *new_node(ln__build *b, ln__op op, const int32_t *in, int32_t n_in, int32_t n_out)
{
    ln__graph *g = b->graph;
    ln__node *node;

    /* One place past the last is always there: the spare. */
    node = &g->nodes[g->n_nodes];
    memset(node, 0, sizeof *node);
    if (b->status < 0)
        return node;
    if (g->n_nodes == LN__MOST_NODES) {
        ln__build_fail(b, LN_E_LIMIT, "makes more than the limit of %d nodes of the network", LN__MOST_NODES);
        return node;
    }
    if (!grow_nodes(b)) {
        no_memory(b);
        return node;
    }
    node = &g->nodes[g->n_nodes];
    memset(node, 0, sizeof *node);
    node->op = op;
    node->type = b->src->type;
    node->name = b->src->name[0] != '\0' || b->src->n_out == 0 ? b->src->name : b->src->out[0];
    node->index = (int32_t)(b->src - b->onnx->nodes);
    node->in = ln__arena_calloc(&g->arena, (size_t)n_in, sizeof *node->in);
    node->out = ln__arena_calloc(&g->arena, (size_t)n_out, sizeof *node->out);
    if (node->in == NULL || node->out == NULL) {
        no_memory(b);
        return node;
    }
    if (n_in > 0)
        memcpy(node->in, in, (size_t)n_in * sizeof *in);
    node->n_in = n_in;
    node->n_out = n_out;
    g->n_nodes++;
    return node;
}

ln__node *ln__emit(ln__build *b, ln__op op, const int32_t *in, int32_t n_in, int32_t out)
{
    int32_t value = out != LN__NO_VALUE ? out : ln__new_value(b, "");
    ln__node *node = new_node(b, op, in, n_in, 1);

    if (b->status == LN_OK) {
        node->out[0] = value;
        b->graph->values[value].producer = b->graph->n_nodes - 1;
    }
    return node;
}

ln__node *ln__emit_plain(ln__build *b, ln__op op)
{
    int32_t n = b->src->n_in;
    int32_t *in = ln__arena_calloc(&b->graph->arena, (size_t)n, sizeof *in);

    if (in == NULL) {
        no_memory(b);
        return new_node(b, op, NULL, 0, 0);
    }
    for (int32_t i = 0; i < n; i++)
        in[i] = ln__in(b, i);
    while (n > 0 && in[n - 1] == LN__NO_VALUE)
        n--;
    return ln__emit(b, op, in, n, ln__out(b, 0));
}
