#include "graph/graph_internal.h"

/* Two numbers of rows tell what follows them. A graph that can only be made for
 * one row has them wherever the first dimension is 1. */
ln_status ln__graph_row_values(bool *out, const ln__graph *graph, ln_error *err)
{
    ln__shapes *one = NULL, *three = NULL;
    ln_status st = ln__shapes_infer(&one, graph, 1, err);

    if (st < 0)
        return st;
    st = ln__shapes_infer(&three, graph, 3, err);
    if (st < 0 && st != LN_E_UNSUPPORTED && st != LN_E_LIMIT) {
        ln__shapes_free(one, graph->ctx);
        return st;
    }
    for (int32_t v = 0; v < graph->n_values; v++) {
        const ln__tensor *t = &one->of[v];
        out[v] = t->rank > 0 && t->data == NULL && t->dim[0] == 1 &&
                 (three == NULL || (three->of[v].rank > 0 && three->of[v].dim[0] == 3));
    }
    ln__shapes_free(one, graph->ctx);
    ln__shapes_free(three, graph->ctx);
    return LN_OK;
}
