/* Types of all values for one number of rows. What hangs on no runtime data is
 * computed on the way, so that shape arithmetic is plain numbers. */
#include "graph/graph_internal.h"

#include <string.h>

/* ---- Checks ---------------------------------------------------------------------- */

ln_status ln__need_f32(const ln__infer *c, int32_t input)
{
    if (input < c->node->n_in && c->in[input] != NULL && c->in[input]->dtype != LN__F32)
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "input %d holds integers, floating-point numbers are needed", (int)input);
    return LN_OK;
}

ln_status ln__need_rank(const ln__infer *c, int32_t input, int32_t least, int32_t most)
{
    char text[128];

    if (c->in[input]->rank >= least && c->in[input]->rank <= most)
        return LN_OK;
    return LN__REFUSE(c, LN_E_FORMAT, "input %d has shape %s; %d to %d dimensions are needed", (int)input,
                      ln__shape_text(text, c->in[input]), (int)least, (int)most);
}

ln_status ln__need_axis(const ln__infer *c, int64_t *axis, int32_t rank)
{
    if (*axis < -rank || *axis >= rank)
        return LN__REFUSE(c, LN_E_FORMAT, "axis %lld is out of range for %d dimensions", (long long)*axis, (int)rank);
    if (*axis < 0)
        *axis += rank;
    return LN_OK;
}

ln_status ln__need_ints(const ln__infer *c, int32_t input, int64_t *out, int32_t most, int32_t *n)
{
    char text[128];

    *n = 0;
    if (input >= c->node->n_in || c->in[input] == NULL)
        return LN_OK;
    if (ln__tensor_ints(c->in[input], out, most, n))
        return LN_OK;
    return LN__REFUSE(c, LN_E_FORMAT, "input %d has shape %s; a list of at most %d integers is needed", (int)input,
                      ln__shape_text(text, c->in[input]), (int)most);
}

ln_status ln__need_vector(const ln__infer *c, int32_t input, const char *what, int64_t length)
{
    char text[128];

    if (input >= c->node->n_in || c->in[input] == NULL)
        return LN_OK;
    if (c->in[input]->dtype == LN__F32 && c->in[input]->rank == 1 && c->in[input]->dim[0] == length)
        return LN_OK;
    return LN__REFUSE(c, LN_E_FORMAT, "%s has shape %s; %lld numbers are needed", what,
                      ln__shape_text(text, c->in[input]), (long long)length);
}

/* ---- The walk ----------------------------------------------------------------------- */

/* Operations on what is known before running, some seconds of them: networks
 * have shape arithmetic and some tables, thousands of times less. */
static const double most_work = 4294967296.0;

typedef struct walk {
    const ln__graph *graph;
    ln__shapes *shapes;
    const ln__tensor **in;
    ln__tensor *out;
    void *scratch; size_t scratch_size;
    uint64_t folded;                /* bytes */
    double work;
    ln_error *err;
} walk;

static ln_status no_memory(walk *w, size_t bytes)
{
    return ln__fail_nomem(w->err, w->graph->ctx, bytes);
}

/* Bytes that count towards the limit of what is known before running. */
static bool take(walk *w, uint64_t bytes)
{
    w->folded += bytes;
    return w->graph->max_bytes == 0 || w->folded <= w->graph->max_bytes;
}

/* The tensor's data made readable. */
static ln_status align(walk *w, ln__tensor *t)
{
    const void *data = ln__tensor_aligned(t, &w->shapes->arena);

    if (data == NULL)
        return no_memory(w, 0);
    if (data != t->data && !take(w, (uint64_t)ln__tensor_count(t) * ln__dtype_size(t->dtype)))
        return ln__fail(w->err, LN_E_LIMIT, "%.160s: constants take more than the limit of %llu bytes", w->graph->file,
                        (unsigned long long)w->graph->max_bytes);
    t->data = data;
    return LN_OK;
}

static ln_status constants(walk *w)
{
    const ln__graph *g = w->graph;
    ln_status st = LN_OK;

    for (int32_t v = 0; st == LN_OK && v < g->n_values; v++) {
        ln__tensor *t = &w->shapes->of[v];
        t->rank = -1;
        if (g->values[v].constant == NULL)
            continue;
        *t = *g->values[v].constant;
        if (t->dtype == LN__I64)
            st = align(w, t);
    }
    return st;
}

static ln_status graph_inputs(walk *w, int64_t rows)
{
    const ln__graph *g = w->graph;

    for (int32_t i = 0; i < g->n_inputs; i++) {
        const ln__graph_input *input = &g->inputs[i];
        const char *name = g->values[input->value].name;
        ln__tensor *t = &w->shapes->of[input->value];
        bool follows = false;
        int64_t count;

        *t = input->type;
        t->data = NULL;
        if (t->rank > 0 && (t->dim[0] == -1 || (t->dim[0] == 1 && g->batch_fixed && t->dtype == LN__F32))) {
            t->dim[0] = rows;
            follows = true;
        }
        for (int32_t d = 0; d < t->rank && d < LN__MAX_RANK; d++)
            if (t->dim[d] == -1)
                return ln__fail(w->err, LN_E_UNSUPPORTED, "%.160s: input '%.80s': dimension %d is not fixed; only the first "
                                "(rows) may be open", g->file, name, (int)d);
        if (!ln__tensor_elements(t, &count))
            return ln__fail(w->err, LN_E_LIMIT, "%.160s: input '%.80s' is too large or has a negative dimension", g->file, name);
        if (g->max_bytes != 0 && (uint64_t)count * ln__dtype_size(t->dtype) > g->max_bytes)
            return ln__fail(w->err, LN_E_LIMIT, "%.160s: input '%.80s' takes more than the limit of %llu bytes",
                            g->file, name, (unsigned long long)g->max_bytes);
        w->shapes->apart[input->value] = follows && count > 0 ? ln__dims_product(t, 1, t->rank) : 0;
    }
    return LN_OK;
}

static ln_status check_arity(const ln__infer *c, const ln__op_entry *entry)
{
    const ln__node *n = c->node;

    if (n->n_in < entry->min_in || n->n_in > entry->max_in)
        return LN__REFUSE(c, LN_E_FORMAT, "has %d inputs; %d to %d are needed", (int)n->n_in, (int)entry->min_in, (int)entry->max_in);
    if (n->n_out < 1 || n->n_out > entry->max_out)
        return LN__REFUSE(c, LN_E_FORMAT, "has %d outputs; %s needed", (int)n->n_out, entry->max_out == 1 ? "one is" : "at least one is");
    for (int32_t i = 0; i < n->n_in; i++) {
        if (c->in[i] == NULL && (i < entry->min_in || n->op == LN__CONCAT))
            return LN__REFUSE(c, LN_E_FORMAT, "input %d is missing", (int)i);
        if (c->in[i] != NULL && i < 32 && (entry->const_in >> i & 1) != 0 && c->in[i]->data == NULL)
            return LN__REFUSE(c, LN_E_UNSUPPORTED, "input %d is computed when the network runs; it must be known before", (int)i);
    }
    return LN_OK;
}

static ln_status charge(walk *w, const ln__infer *c, double work)
{
    w->work += work;
    if (w->work > most_work)
        return LN__REFUSE(c, LN_E_LIMIT, "results known before running take more than %.0f operations; compute them when the network is exported",
                          most_work);
    return LN_OK;
}

static ln_status check_posts(walk *w, const ln__infer *c)
{
    for (int32_t i = 0; i < c->node->n_post; i++) {
        const ln__post *p = &c->node->post[i];
        if (p->kind == LN__POST_ADD && !ln__same_shape(&w->shapes->of[p->value], &c->out[0]))
            return LN__REFUSE(c, LN_E_UNSUPPORTED, "the value added to its result has another shape for %lld rows",
                              (long long)c->rows);
    }
    return LN_OK;
}

static ln_status check_sizes(walk *w, const ln__infer *c, bool *folds)
{
    const ln__graph *g = w->graph;
    char text[128];

    for (int32_t i = 0; i < c->node->n_out; i++) {
        int64_t count;
        uint64_t bytes;
        if (!ln__tensor_elements(&c->out[i], &count))
            return LN__REFUSE(c, LN_E_LIMIT, "its result of shape %s is too large", ln__shape_text(text, &c->out[i]));
        bytes = (uint64_t)count * ln__dtype_size(c->out[i].dtype);
        if (g->max_bytes != 0 && bytes > g->max_bytes)
            return LN__REFUSE(c, LN_E_LIMIT, "its result of shape %s takes %llu bytes, the limit is %llu",
                              ln__shape_text(text, &c->out[i]), (unsigned long long)bytes, (unsigned long long)g->max_bytes);
        if (*folds && !take(w, bytes))
            return LN__REFUSE(c, LN_E_LIMIT, "results known before running take more than the limit of %llu bytes",
                              (unsigned long long)g->max_bytes);
    }
    return LN_OK;
}

/* A shape is known though what it is the shape of is not. */
static bool can_fold(const ln__infer *c)
{
    if (c->node->op == LN__SHAPE)
        return true;
    if (!ln__op_evaluable(c->node->op))
        return false;
    for (int32_t i = 0; i < c->node->n_in; i++)
        if (c->in[i] != NULL && c->in[i]->data == NULL)
            return false;
    for (int32_t i = 0; i < c->node->n_post; i++)
        if (c->node->post[i].kind != LN__POST_UNARY)
            return false;
    return true;
}

static ln_status fold_node(walk *w, const ln__infer *c)
{
    const ln__graph *g = w->graph;
    size_t scratch;
    ln_status st = charge(w, c, ln__node_work(c->node, w->in, w->out));

    if (st < 0)
        return st;
    for (int32_t i = 0; i < c->node->n_out; i++) {
        ln__tensor *t = &w->out[i];
        size_t bytes = (size_t)ln__tensor_count(t) * ln__dtype_size(t->dtype);
        t->data = ln__arena_alloc(&w->shapes->arena, bytes);
        if (t->data == NULL)
            return no_memory(w, bytes);
    }
    for (int32_t i = 0; i < c->node->n_in && c->node->op != LN__SHAPE; i++)
        if (w->in[i] != NULL && (st = align(w, &w->shapes->of[c->node->in[i]])) < 0)
            return st;
    scratch = ln__node_scratch(c->node, w->in, w->out);
    if (g->max_bytes != 0 && scratch > g->max_bytes)
        return LN__REFUSE(c, LN_E_LIMIT, "needs %zu bytes of working memory, the limit is %llu", scratch, (unsigned long long)g->max_bytes);
    if (scratch > w->scratch_size) {
        ln__free(g->ctx, w->scratch);
        w->scratch_size = 0;
        w->scratch = ln__alloc(g->ctx, scratch);
        if (w->scratch == NULL)
            return no_memory(w, scratch);
        w->scratch_size = scratch;
    }
    if (c->node->op == LN__BINARY && w->out[0].dtype == LN__I64) {
        if (!ln__binary_i64(c->node, w->in, w->out))
            return LN__REFUSE(c, LN_E_FORMAT, "integer division by zero or overflow");
        return LN_OK;
    }
    ln__node_evaluate(c->node, w->in, w->out, w->scratch);
    return LN_OK;
}

static ln_status infer_node(walk *w, const ln__node *node, int64_t rows)
{
    const ln__op_entry *entry = ln__op_entry_of(node->op);
    ln__infer c = { .graph = w->graph, .node = node, .in = w->in, .out = w->out, .rows = rows, .row_axis = -1,
                    .err = w->err };
    ln_status st;
    bool folds;

    for (int32_t i = 0; i < node->n_in; i++) {
        int32_t v = node->in[i];
        w->in[i] = v == LN__NO_VALUE ? NULL : &w->shapes->of[v];
        if (v != LN__NO_VALUE && w->shapes->of[v].rank < 0)
            return LN__REFUSE(&c, LN_E_FORMAT, "input %d, '%.80s', is made by no node before it", (int)i,
                              w->graph->values[v].name);
    }
    if (node->n_in > 0 && w->in[0] != NULL)
        c.row_axis = ln__row_axis(w->in[0], w->shapes->apart[node->in[0]], rows);
    for (int32_t i = 0; i < node->n_out; i++)
        w->out[i] = (ln__tensor){ .dtype = LN__F32 };
    if ((st = check_arity(&c, entry)) < 0 ||
        (st = charge(w, &c, node->op == LN__GATHER ? (double)ln__tensor_count(w->in[1]) : 1.0)) < 0 ||      /* indices are looked at */
        (st = entry->infer(&c)) < 0 || (st = check_posts(w, &c)) < 0)
        return st;
    folds = can_fold(&c);
    if ((st = check_sizes(w, &c, &folds)) < 0)
        return st;
    if ((st = folds ? fold_node(w, &c) : ln__follow_rows(w->shapes->apart, &c)) < 0)
        return st;
    for (int32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != LN__NO_VALUE)
            w->shapes->of[node->out[i]] = w->out[i];
    return LN_OK;
}

/* The first is what the network answers. */
static ln_status check_outputs(const walk *w, int64_t rows)
{
    const ln__graph *g = w->graph;

    for (int32_t i = 0; i < g->n_outputs; i++) {
        int32_t v = g->outputs[i];
        const ln__tensor *t = &w->shapes->of[v];
        if (t->rank < 0)
            return ln__fail(w->err, LN_E_FORMAT, "%.160s: output '%.80s' is made by no node", g->file, g->values[v].name);
        if (i == 0 && rows > 1 && w->shapes->apart[v] > 0 && ln__row_axis(t, w->shapes->apart[v], rows) != 0)
            return ln__fail(w->err, LN_E_UNSUPPORTED, "%.160s: output '%.80s' has rows elsewhere than in its first dimension; "
                            "only one row at a time can be computed", g->file, g->values[v].name);
    }
    return LN_OK;
}

static ln_status walk_graph(walk *w, int64_t rows)
{
    const ln__graph *g = w->graph;
    ln_status st;

    if ((st = constants(w)) < 0 || (st = graph_inputs(w, rows)) < 0)
        return st;
    for (int32_t n = 0; n < g->n_nodes; n++)
        if ((st = infer_node(w, &g->nodes[n], rows)) < 0)
            return st;
    return check_outputs(w, rows);
}

static bool take_memory(walk *w)
{
    const ln__graph *g = w->graph;
    int32_t in = 1, out = 1;

    for (int32_t n = 0; n < g->n_nodes; n++) {
        in = LN__MAX(in, g->nodes[n].n_in);
        out = LN__MAX(out, g->nodes[n].n_out);
    }
    w->shapes->of = ln__arena_calloc(&w->shapes->arena, (size_t)g->n_values + 1, sizeof *w->shapes->of);
    w->shapes->apart = ln__arena_calloc(&w->shapes->arena, (size_t)g->n_values + 1, sizeof *w->shapes->apart);
    w->in = ln__array(g->ctx, (size_t)in, sizeof *w->in);
    w->out = ln__array(g->ctx, (size_t)out, sizeof *w->out);
    return w->shapes->of != NULL && w->shapes->apart != NULL && w->in != NULL && w->out != NULL;
}

ln_status ln__shapes_infer(ln__shapes **out, const ln__graph *graph, int64_t rows, ln_error *err)
{
    walk w = { .graph = graph, .err = err };
    ln_status st;

    *out = NULL;
    if (graph->one_row && rows > 1)
        return ln__fail(err, LN_E_UNSUPPORTED, "%s", graph->one_row);
    w.shapes = ln__calloc(graph->ctx, 1, sizeof *w.shapes);
    if (w.shapes == NULL)
        return ln__fail_nomem(err, graph->ctx, sizeof *w.shapes);
    ln__arena_init(&w.shapes->arena, graph->ctx, 0);
    w.shapes->rows = rows;
    st = take_memory(&w) ? walk_graph(&w, rows) : ln__fail_nomem(err, graph->ctx, 0);
    ln__free(graph->ctx, w.in);
    ln__free(graph->ctx, w.out);
    ln__free(graph->ctx, w.scratch);
    if (st == LN_E_FORMAT && rows > 1) {    /* for one row the file may be right */
        st = LN_E_UNSUPPORTED;
        if (err != NULL)
            err->status = st;
    }
    if (st < 0) {
        ln__shapes_free(w.shapes, graph->ctx);
        return st;
    }
    *out = w.shapes;
    return LN_OK;
}

void ln__shapes_free(ln__shapes *shapes, const ln__ctx *ctx)
{
    if (shapes == NULL)
        return;
    ln__arena_free(&shapes->arena);
    ln__free(ctx, shapes);
}
