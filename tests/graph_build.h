/* graph_build.h - graphs by hand, for the tests of the rooms that read them. */
#ifndef GRAPH_BUILD_H
#define GRAPH_BUILD_H

#include "graph/graph.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUILD_VALUES = 512, BUILD_NODES = 256, BUILD_ENDS = 16 };

/* False where memory ran out: `graph` is then freed and NULL. */
static inline ln__graph *build_new(const ln__ctx *ctx, uint64_t max_bytes)
{
    ln__graph *g = NULL;

    if (ln__graph_new(&g, ctx, "test.onnx", max_bytes, NULL) < 0)
        return NULL;
    g->values = ln__arena_calloc(&g->arena, BUILD_VALUES, sizeof *g->values);
    g->nodes = ln__arena_calloc(&g->arena, BUILD_NODES, sizeof *g->nodes);
    g->inputs = ln__arena_calloc(&g->arena, BUILD_ENDS, sizeof *g->inputs);
    g->outputs = ln__arena_calloc(&g->arena, BUILD_ENDS, sizeof *g->outputs);
    ck_assert(g->values && g->nodes && g->inputs && g->outputs);
    return g;
}

static inline int32_t build_value(ln__graph *g, const char *name)
{
    int32_t v = g->n_values++;

    ck_assert_int_lt(v, BUILD_VALUES);
    g->values[v] = (ln__value){ .name = ln__arena_strndup(&g->arena, name, strlen(name)), .producer = -1 };
    return v;
}

#define DIMS(...) (const int64_t[]){ __VA_ARGS__ }, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))
#define F32S(...) (const float[]){ __VA_ARGS__ }
#define I64S(...) (const int64_t[]){ __VA_ARGS__ }

static inline ln__tensor build_type(ln__dtype dtype, const int64_t *dims, int32_t rank)
{
    ln__tensor t = { .dtype = dtype, .rank = rank };

    memcpy(t.dim, dims, (size_t)rank * sizeof *dims);
    return t;
}

static inline int32_t build_input(ln__graph *g, const char *name, const int64_t *dims, int32_t rank)
{
    int32_t v = build_value(g, name);

    g->inputs[g->n_inputs++] = (ln__graph_input){ v, build_type(LN__F32, dims, rank) };
    return v;
}

static inline int32_t build_constant(ln__graph *g, ln__dtype dtype, const void *data, const int64_t *dims, int32_t rank)
{
    int32_t v = build_value(g, "constant");
    ln__tensor *t = ln__arena_alloc(&g->arena, sizeof *t);
    int64_t n = 1;
    void *copy;

    *t = build_type(dtype, dims, rank);
    ck_assert(ln__tensor_elements(t, &n));
    copy = ln__arena_alloc(&g->arena, (size_t)n * ln__dtype_size(dtype));
    memcpy(copy, data, (size_t)n * ln__dtype_size(dtype));
    t->data = copy;
    g->values[v].constant = t;
    return v;
}

static inline int32_t build_f32(ln__graph *g, const float *data, const int64_t *dims, int32_t rank)
{
    return build_constant(g, LN__F32, data, dims, rank);
}

static inline int32_t build_i64(ln__graph *g, const int64_t *data, int64_t n)
{
    return build_constant(g, LN__I64, data, &n, 1);
}

/* A node with one output, which it returns through node->out[0]; u is left to the caller. */
static inline ln__node *build_node(ln__graph *g, ln__op op, const char *type, const int32_t *in, int32_t n_in, int32_t n_out)
{
    ln__node *n = &g->nodes[g->n_nodes];
    char name[32];

    ck_assert_int_lt(g->n_nodes, BUILD_NODES);
    *n = (ln__node){ .op = op, .type = type, .index = g->n_nodes, .n_in = n_in, .n_out = n_out };
    n->in = ln__arena_alloc(&g->arena, (size_t)(n_in + 1) * sizeof *n->in);
    n->out = ln__arena_alloc(&g->arena, (size_t)(n_out + 1) * sizeof *n->out);
    memcpy(n->in, in, (size_t)n_in * sizeof *in);
    for (int32_t i = 0; i < n_out; i++) {
        snprintf(name, sizeof name, "v%d_%d", (int)g->n_nodes, (int)i);
        n->out[i] = build_value(g, name);
        g->values[n->out[i]].producer = g->n_nodes;
    }
    n->name = g->values[n->out[0]].name;
    g->n_nodes++;
    return n;
}
#define IDS(...) (const int32_t[]){ __VA_ARGS__ }, (int32_t)(sizeof((int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t))
#define NODE(g, op, ...) build_node((g), LN__##op, #op, IDS(__VA_ARGS__), 1)

static inline void build_output(ln__graph *g, int32_t v)
{
    g->outputs[g->n_outputs++] = v;
}

/* Every constant is known, so shape inference computes the value: it must have
 * this shape and be near these numbers. */
static inline void build_expect(ln__graph *g, int32_t v, const int64_t *dims, int32_t rank, const float *want, float tolerance)
{
    ln_error err = { 0 };
    ln__shapes *s = NULL;
    ln__tensor type = build_type(LN__F32, dims, rank);
    char a[128], b[128];
    int64_t n;

    ck_assert_msg(ln__shapes_infer(&s, g, 1, &err) == LN_OK, "%s", err.text);
    ck_assert_str_eq(ln__shape_text(a, &s->of[v]), ln__shape_text(b, &type));
    ck_assert_ptr_nonnull(s->of[v].data);
    ck_assert(ln__tensor_elements(&type, &n));
    for (int64_t i = 0; i < n; i++) {
        float got = s->of[v].dtype == LN__F32 ? ((const float *)s->of[v].data)[i] : (float)((const int64_t *)s->of[v].data)[i];
        bool same = got == want[i] || (got != got && want[i] != want[i]);
        ck_assert_msg(same || (got - want[i] <= tolerance && want[i] - got <= tolerance), "%lld: got %.9g, want %.9g",
                      (long long)i, (double)got, (double)want[i]);
    }
    ln__shapes_free(s, g->ctx);
}

/* The graph must be refused so, with `part` in the message. */
static inline void build_refused(ln__graph *g, int64_t rows, ln_status status, const char *part)
{
    ln_error err = { 0 };
    ln__shapes *s = NULL;
    ln_status st = ln__shapes_infer(&s, g, rows, &err);

    ck_assert_msg(st == status, "status %d: %s", (int)st, err.text);
    ck_assert_ptr_null(s);
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' lacks '%s'", err.text, part);
    ck_assert_msg(strstr(err.text, "test.onnx") != NULL, "%s", err.text);
}

#endif
