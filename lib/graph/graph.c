#include "graph/graph_internal.h"

#include <string.h>

ln_status ln__graph_new(ln__graph **out, const ln__ctx *ctx, const char *file, uint64_t max_bytes, ln_error *err)
{
    ln__graph *g = ln__calloc(ctx, 1, sizeof *g);

    *out = NULL;
    if (g == NULL)
        return ln__fail_nomem(err, ctx, sizeof *g);
    g->ctx = ctx;
    g->max_bytes = max_bytes;
    ln__arena_init(&g->arena, ctx, 0);
    g->file = ln__arena_strndup(&g->arena, file, strlen(file));
    if (g->file == NULL) {
        ln__graph_free(g);
        return ln__fail_nomem(err, ctx, strlen(file));
    }
    *out = g;
    return LN_OK;
}

void ln__graph_free(ln__graph *graph)
{
    if (graph == NULL)
        return;
    ln__arena_free(&graph->arena);
    ln__free(graph->ctx, graph);
}

int32_t ln__graph_find(const ln__graph *graph, const char *value_name)
{
    for (int32_t v = 0; v < graph->n_values; v++)
        if (graph->values[v].name != NULL && strcmp(graph->values[v].name, value_name) == 0)
            return v;
    return -1;
}

ln_status ln__node_fail(ln_error *err, ln_status status, const ln__graph *graph,
                        const ln__node *node, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    ln__vformat(text, sizeof text, format, args);
    va_end(args);
    status = ln__fail(err, status, "%.160s: node %d '%.80s' (%.40s): %s", graph->file, (int)node->index,
                      node->name != NULL ? node->name : "", node->type != NULL ? node->type : "?", text);
    if (err != NULL)
        err->detail = node->index;
    return status;
}
