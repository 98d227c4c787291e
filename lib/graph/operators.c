/* What this room can do with each operator. */
#include "graph/graph_internal.h"

#include <string.h>

enum { ANY = INT32_MAX };
#define BIT(i) (1u << (i))

static const ln__op_entry entries[LN__OP_COUNT] = {
    [LN__CONV]           = { ln__infer_conv, NULL, NULL, 2, 4, 1, BIT(1) | BIT(2) | BIT(3) },
    [LN__POOL]           = { ln__infer_pool, ln__evaluate_pool, NULL, 1, 1, 1, 0 },
    [LN__MATMUL]         = { ln__infer_matmul, ln__evaluate_matmul, NULL, 2, 3, 1, 0 },
    [LN__UNARY]          = { ln__infer_unary, ln__evaluate_unary, NULL, 1, 1, 1, 0 },
    [LN__BINARY]         = { ln__infer_binary, ln__evaluate_binary, NULL, 2, 2, 1, 0 },
    [LN__AFFINE]         = { ln__infer_affine, ln__evaluate_affine, NULL, 3, 3, 1, BIT(1) | BIT(2) },
    [LN__BATCHNORM]      = { ln__infer_batchnorm, NULL, NULL, 5, 5, 1, BIT(1) | BIT(2) | BIT(3) | BIT(4) },
    [LN__NORM]           = { ln__infer_norm, ln__evaluate_norm, NULL, 1, 3, 1, 0 },
    [LN__REDUCE]         = { ln__infer_reduce, ln__evaluate_reduce, ln__reduce_scratch, 1, 2, 1, BIT(1) },
    [LN__SOFTMAX]        = { ln__infer_softmax, ln__evaluate_softmax, ln__softmax_scratch, 1, 1, 1, 0 },
    [LN__LRN]            = { ln__infer_lrn, ln__evaluate_lrn, ln__lrn_scratch, 1, 1, 1, 0 },
    [LN__RESHAPE]        = { ln__infer_reshape, ln__evaluate_copy, NULL, 2, 2, 1, BIT(1) },
    [LN__FLATTEN]        = { ln__infer_flatten, ln__evaluate_copy, NULL, 1, 1, 1, 0 },
    [LN__SQUEEZE]        = { ln__infer_squeeze, ln__evaluate_copy, NULL, 1, 2, 1, BIT(1) },
    [LN__UNSQUEEZE]      = { ln__infer_unsqueeze, ln__evaluate_copy, NULL, 1, 2, 1, BIT(1) },
    [LN__EXPAND]         = { ln__infer_expand, ln__evaluate_expand, NULL, 2, 2, 1, BIT(1) },
    [LN__TRANSPOSE]      = { ln__infer_transpose, ln__evaluate_transpose, NULL, 1, 1, 1, 0 },
    [LN__CONCAT]         = { ln__infer_concat, ln__evaluate_concat, NULL, 1, ANY, 1, 0 },
    [LN__SPLIT]          = { ln__infer_split, ln__evaluate_split, NULL, 1, 2, ANY, BIT(1) },
    [LN__SLICE]          = { ln__infer_slice, ln__evaluate_slice, NULL, 3, 5, 1, BIT(1) | BIT(2) | BIT(3) | BIT(4) },
    [LN__GATHER]         = { ln__infer_gather, ln__evaluate_gather, NULL, 2, 2, 1, BIT(1) },
    [LN__PAD]            = { ln__infer_pad, ln__evaluate_pad, NULL, 2, 4, 1, BIT(1) | BIT(2) | BIT(3) },
    [LN__RESIZE]         = { ln__infer_resize, ln__evaluate_resize, ln__resize_scratch, 1, 4, 1, BIT(1) | BIT(2) | BIT(3) },
    [LN__DEPTH_TO_SPACE] = { ln__infer_depth_to_space, ln__evaluate_depth_space, NULL, 1, 1, 1, 0 },
    [LN__SPACE_TO_DEPTH] = { ln__infer_space_to_depth, ln__evaluate_depth_space, NULL, 1, 1, 1, 0 },
    [LN__SHAPE]          = { ln__infer_shape, ln__evaluate_shape, NULL, 1, 1, 1, 0 },
    [LN__CAST]           = { ln__infer_cast, ln__evaluate_cast, NULL, 1, 1, 1, 0 },
    [LN__IDENTITY]       = { ln__infer_identity, ln__evaluate_copy, NULL, 1, 1, 1, 0 },
    [LN__CONSTANT_OF_SHAPE] = { ln__infer_fill, ln__evaluate_fill, NULL, 1, 1, 1, BIT(0) },
    [LN__TILE]           = { ln__infer_tile, ln__evaluate_tile, NULL, 2, 2, 1, BIT(1) },
};

const ln__op_entry *ln__op_entry_of(ln__op op)
{
    return (unsigned)op < LN__OP_COUNT ? &entries[op] : NULL;
}

bool ln__op_evaluable(ln__op op)
{
    const ln__op_entry *e = ln__op_entry_of(op);

    return e != NULL && e->evaluate != NULL;
}

size_t ln__node_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out)
{
    const ln__op_entry *e = ln__op_entry_of(node->op);

    return e->scratch != NULL ? e->scratch(node, in, out) : 0;
}

double ln__node_work(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out)
{
    enum { TAP = 8 };       /* what is picked from all over takes longer than what lies in a row */
    const ln__tensor *x = in[0];
    double made = 1.0, taps = 1.0;
    int64_t sizes[LN__MAX_SPATIAL];
    ln__window window;

    for (int32_t i = 0; i < node->n_out; i++)
        made += (double)ln__tensor_count(&out[i]);
    switch (node->op) {
    case LN__MATMUL:
        return made * (double)(1 + x->dim[x->rank - (node->u.matmul.trans_a ? 2 : 1)]);
    case LN__POOL:
        for (int32_t d = 0; ln__node_window(&window, sizes, node, x, NULL) && d < window.spatial; d++)
            taps *= (double)window.kernel[d];
        return made * TAP * taps;
    case LN__RESIZE:
        return made * TAP * ln__resize_taps(node, in);
    case LN__LRN:
        return made * (double)(1 + LN__MIN(node->u.lrn.size, x->dim[1]));
    case LN__REDUCE:
        return made + (double)ln__tensor_count(x);
    default:
        return made;
    }
}

void ln__node_evaluate(const ln__node *node, const ln__tensor *const *in, ln__tensor *out, void *scratch)
{
    const ln__op_entry *e = ln__op_entry_of(node->op);

    e->evaluate(node, in, out, scratch);
    for (int32_t i = 0; i < node->n_post; i++) {
        const ln__post *p = &node->post[i];
        float *y = (float *)(uintptr_t)out[0].data;
        if (p->kind == LN__POST_UNARY)
            ln__unary_apply(p->unary, p->a, p->b, y, y, (size_t)ln__tensor_count(&out[0]));
    }
}

/* Every kind that loads is in a table of fewer. */
enum { MOST_KINDS = 512 };

const char *ln__graph_operator(const ln__graph *graph, uint32_t i, uint32_t *count)
{
    const char *kinds[MOST_KINDS];
    uint32_t n_kinds = 0, same = 0;

    for (int32_t n = 0; n < graph->n_nodes; n++) {
        const char *type = graph->nodes[n].type;
        uint32_t k = 0;

        while (k < n_kinds && strcmp(kinds[k], type) != 0)
            k++;
        if (k == n_kinds && n_kinds < MOST_KINDS)
            kinds[n_kinds++] = type;
        same += k == i;
    }
    if (count && i < n_kinds)
        *count = same;
    return i < n_kinds ? kinds[i] : NULL;
}
