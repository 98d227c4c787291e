/* rows.c - where the rows of a batch are in every value, and what would mix them.
 *
 * Element e of a value with rows belongs to row e / apart % rows. A Reshape
 * leaves that as it is, whatever dimensions it lays over the elements; what
 * works along dimensions must leave alone the one that counts the rows. */
#include "graph/graph_internal.h"

/* row = index along `axis` / inner % rows; axis -1: no single dimension has them. */
typedef struct place { int32_t axis; int64_t inner; } place;

/* For one row several dimensions may do: the outermost of size 1 is as good as any. */
static place find(const ln__tensor *t, int64_t apart, int64_t rows)
{
    int64_t stride[LN__MAX_RANK];
    place at = { -1, 0 };

    ln__tensor_strides(t, stride);
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        int64_t inner = apart / stride[d];
        if (inner > 0 && apart % stride[d] == 0 && t->dim[d] % (inner * rows) == 0 && (at.axis < 0 || t->dim[d] == rows))
            at = (place){ d, inner };
    }
    return at;
}

/* ---- What becomes of a dimension: the result's that it is, -1 where the node works along it ---- */

static int32_t from_end(int64_t axis, int32_t rank)
{
    return (int32_t)(axis < 0 ? axis + rank : axis);
}

static int32_t through_matmul(const ln__infer *c, int32_t i, int32_t rank, int32_t axis)
{
    const ln__node *n = c->node;
    int32_t result = c->out[0].rank, vectors = (c->in[0]->rank == 1) + (c->in[1]->rank == 1);
    bool turned = i == 0 ? n->u.matmul.trans_a : n->u.matmul.trans_b;
    int32_t summed = rank == 1 ? 0 : rank - ((i == 0) != turned ? 1 : 2);

    if (i == 2)
        return axis + result - rank;
    if (axis == summed)
        return -1;
    if (axis < rank - 2)
        return axis + result - (2 - vectors) - (rank - 2);
    return i == 1 || c->in[1]->rank == 1 ? result - 1 : result - 2;
}

static int32_t through_reduce(const ln__infer *c, int32_t axis)
{
    bool mask[LN__MAX_RANK];
    int32_t before = 0;

    if (!ln__reduce_mask(mask, c->node, c->in) || mask[axis])
        return -1;
    for (int32_t d = 0; d < axis && !c->node->u.reduce.keepdims; d++)
        before += mask[d];
    return axis - before;
}

static int32_t through_norm(const ln__infer *c, int32_t i, int32_t rank, int32_t axis)
{
    if (c->node->u.norm.kind != LN__NORM_LAYER)
        return i == 0 && axis == 0 ? 0 : -1;
    axis += c->out[0].rank - rank;
    return i > 0 || axis < from_end(c->node->u.norm.axis, c->out[0].rank) ? axis : -1;
}

static int32_t through_transpose(const ln__infer *c, int32_t rank, int32_t axis)
{
    const ln__node *n = c->node;
    int32_t to = 0;

    if (n->u.transpose.n_perm == 0)
        return rank - 1 - axis;
    while (n->u.transpose.perm[to] != axis)
        to++;
    return to;
}

/* Of what moves, repeats or leaves out elements, or computes new ones between them. */
static bool left_alone(const ln__infer *c, int32_t axis)
{
    const ln__node *n = c->node;
    ln__slice_range slice;
    ln__pad_range pad;
    ln__resize_scale resize;
    ln__tensor type = { 0 };
    const char *why;

    switch (n->op) {
    case LN__TILE:
        return c->out[0].dim[axis] == c->in[0]->dim[axis];
    case LN__SLICE:
        return ln__slice_resolve(&slice, c->in, n->n_in) && slice.step[axis] == 1 && slice.count[axis] == c->in[0]->dim[axis];
    case LN__PAD:
        return ln__pad_resolve(&pad, c->in, n->n_in) && pad.begin[axis] == 0 && pad.end[axis] == 0;
    case LN__RESIZE:
        return ln__resize_resolve(&resize, &type, n, c->in, &why) && !resize.touched[axis];
    default:
        return false;
    }
}

static int32_t axis_after(const ln__infer *c, int32_t i, int32_t rank, int32_t axis)
{
    const ln__node *n = c->node;
    int32_t along;

    switch (n->op) {
    case LN__CONV: case LN__DEPTH_TO_SPACE: case LN__SPACE_TO_DEPTH:
        return axis == 0 ? 0 : -1;
    case LN__POOL:
        return axis <= 1 ? axis : -1;
    case LN__LRN:
        return axis != 1 ? axis : -1;
    case LN__NORM:
        return through_norm(c, i, rank, axis);
    case LN__MATMUL:
        return through_matmul(c, i, rank, axis);
    case LN__REDUCE:
        return through_reduce(c, axis);
    case LN__TRANSPOSE:
        return through_transpose(c, rank, axis);
    case LN__SOFTMAX:
        along = from_end(n->u.softmax.axis, rank);
        return n->u.softmax.flattened ? (axis < along ? axis : -1) : axis != along ? axis : -1;
    case LN__CONCAT:
        return axis != from_end(n->u.axis.axis, rank) ? axis : -1;
    case LN__SPLIT:
        return axis != from_end(n->u.split.axis, rank) ? axis : -1;
    case LN__GATHER:
        along = from_end(n->u.axis.axis, rank);
        return axis < along ? axis : axis > along ? axis + c->in[1]->rank - 1 : -1;
    case LN__BINARY: case LN__EXPAND:
        return axis + c->out[0].rank - rank;
    default:
        return left_alone(c, axis) ? axis : -1;
    }
}

/* ---- What becomes of the rows ------------------------------------------------------------------ */

/* Elements stay in their order, and dimensions do not matter. */
static bool knows_no_dimensions(ln__op op)
{
    switch (op) {
    case LN__RESHAPE: case LN__FLATTEN: case LN__SQUEEZE: case LN__UNSQUEEZE: case LN__IDENTITY: case LN__CAST: case LN__UNARY:
        return true;
    default:
        return false;
    }
}

static bool keeps_order(ln__op op, const ln__tensor *in, const ln__tensor *out)
{
    switch (op) {
    case LN__AFFINE: case LN__BATCHNORM: case LN__BINARY: case LN__EXPAND: case LN__TILE:
        return ln__same_shape(in, out);
    default:
        return knows_no_dimensions(op);
    }
}

/* How far apart input i's rows are in a result; 0 where it has no elements, -1 where rows get mixed. */
static int64_t carry(const ln__infer *c, int32_t i, int64_t apart, const ln__tensor *out)
{
    ln__tensor in = *c->in[i];
    int64_t stride[LN__MAX_RANK];
    place at;
    int32_t to;

    if (ln__tensor_count(out) == 0)
        return 0;
    if (c->node->op == LN__BINARY && i == 1 && !ln__binary_operand(&in, c->node, c->in))
        return -1;
    if (keeps_order(c->node->op, &in, out))
        return apart;
    at = find(&in, apart, c->rows);
    to = at.axis < 0 ? -1 : axis_after(c, i, in.rank, at.axis);
    if (to < 0)
        return -1;
    ln__tensor_strides(out, stride);
    return at.inner * stride[to];
}

/* Rows of several inputs must come to lie on each other. */
static bool lay(int64_t *apart, int64_t more)
{
    if (more < 0 || (more > 0 && *apart > 0 && *apart != more))
        return false;
    *apart = LN__MAX(*apart, more);
    return true;
}

ln_status ln__follow_rows(int64_t *apart, const ln__infer *c)
{
    const ln__node *n = c->node;
    bool kept = true;

    for (int32_t o = 0; o < n->n_out; o++) {
        int64_t result = 0;
        for (int32_t i = 0; i < n->n_in; i++)
            if (c->in[i] != NULL && apart[n->in[i]] > 0)
                kept = lay(&result, carry(c, i, apart[n->in[i]], &c->out[o])) && kept;
        for (int32_t i = 0; i < n->n_post; i++)
            if (n->post[i].kind == LN__POST_ADD)
                kept = lay(&result, apart[n->post[i].value]) && kept;
        if (n->out[o] != LN__NO_VALUE)
            apart[n->out[o]] = result;
    }
    if (!kept && c->rows > 1)
        return LN__REFUSE(c, LN_E_UNSUPPORTED, "works across the rows of a batch; only one row at a time can be computed");
    return LN_OK;
}

int32_t ln__row_axis(const ln__tensor *t, int64_t apart, int64_t rows)
{
    int32_t axis = apart > 0 ? find(t, apart, rows).axis : -1;

    return axis >= 0 && t->dim[axis] == rows ? axis : -1;
}

/* ---- One row and three ------------------------------------------------------------------------- */

/* The shape for three rows is that for one, three times as long in one dimension
 * (or with one more: of one row it may be squeezed away). */
static bool is_thrice(const ln__tensor *more, int64_t apart, const ln__tensor *one)
{
    int32_t axis = apart > 0 ? find(more, apart, 3).axis : -1, from = 0;

    if (axis < 0)
        return true;
    for (int32_t d = 0; d < more->rank; d++) {
        if (d == axis && more->dim[d] == 3 && one->rank == more->rank - 1)
            continue;
        if (from == one->rank || one->dim[from++] != more->dim[d] / (d == axis ? 3 : 1))
            return false;
    }
    return from == one->rank;
}

static bool value_is_thrice(int32_t v, const ln__shapes *one, const ln__shapes *three)
{
    return v == LN__NO_VALUE || is_thrice(&three->of[v], three->apart[v], &one->of[v]);
}

/* What nodes read, and the answer, must be so: after a Reshape to a number that
 * three happens to divide, something else would be computed of several rows than of one. */
static ln_status check_alike(const ln__graph *g, const ln__shapes *one, const ln__shapes *three, ln_error *err)
{
    int32_t odd = g->n_outputs > 0 && !value_is_thrice(g->outputs[0], one, three) ? g->outputs[0] : LN__NO_VALUE;

    for (int32_t n = 0; n < g->n_nodes && odd == LN__NO_VALUE; n++)
        for (int32_t i = 0; i < g->nodes[n].n_in && !knows_no_dimensions(g->nodes[n].op) && odd == LN__NO_VALUE; i++)
            if (!value_is_thrice(g->nodes[n].in[i], one, three))
                odd = g->nodes[n].in[i];
    if (odd == LN__NO_VALUE)
        return LN_OK;
    return ln__fail(err, LN_E_UNSUPPORTED, "%.160s: '%.80s' of three rows is not as long as three of one; only one row at a time can be computed",
                    g->file, g->values[odd].name);
}

ln_status ln__shapes_infer_both(ln__shapes **one, ln__shapes **three, const ln__graph *graph, ln_error *why, ln_error *err)
{
    ln_error unwanted;
    ln_status st = ln__shapes_infer(one, graph, 1, err);

    *three = NULL;
    if (st < 0)
        return st;
    why = why != NULL ? why : &unwanted;
    st = ln__shapes_infer(three, graph, 3, why);
    if (st < 0 && st != LN_E_UNSUPPORTED && st != LN_E_LIMIT) {
        ln__shapes_free(*one, graph->ctx);
        *one = NULL;
        if (err != NULL)
            *err = *why;
        return st;
    }
    if (*three != NULL && check_alike(graph, *one, *three, why) < 0) {
        ln__shapes_free(*three, graph->ctx);
        *three = NULL;
    }
    return LN_OK;
}

ln_status ln__graph_row_values(bool *out, const ln__graph *graph, ln_error *err)
{
    ln__shapes *one, *three;
    ln_status st = ln__shapes_infer_both(&one, &three, graph, NULL, err);

    if (st < 0)
        return st;
    for (int32_t v = 0; v < graph->n_values; v++) {
        const ln__tensor *t = &one->of[v], *more = three == NULL ? NULL : &three->of[v];
        out[v] = t->rank > 0 && t->data == NULL && t->dim[0] == 1 &&
                 (more == NULL || (more->rank > 0 && more->dim[0] == 3 &&
                                   (three->apart[v] == 0 || ln__row_axis(more, three->apart[v], 3) == 0)));
    }
    ln__shapes_free(one, graph->ctx);
    ln__shapes_free(three, graph->ctx);
    return LN_OK;
}
