/* layout.c - how values lie in memory: decided once an engine from the choices
 * of the convolutions, the same for every stage and row count. */
#include "engine/plan.h"

#include <string.h>

bool ln__layout_free(const ln__tensor *type)
{
    return type->dtype == LN__F32 && type->rank >= 3 && type->rank <= 5 && !type->data;
}

ln__view ln__layout_view(const ln__engine *engine, const ln__tensor *type, ln__layout layout)
{
    ln__view v = { NULL, 1, 1, 1, 1 };
    int32_t words = (int32_t)(ln__dtype_size(type->dtype) / sizeof(float));
    if (type->rank > 0)
        v.rows = type->dim[0];
    if (type->rank > 1)
        v.channels = type->dim[1];
    bool spatial = type->rank >= 3 && type->rank <= 5 && type->dtype == LN__F32;
    for (int32_t i = 2; i < type->rank; i++) {
        if (spatial)
            v.spatial *= type->dim[i];
        else
            v.channels *= type->dim[i];
    }
    v.channels *= words;
    if (spatial && layout == LN__BLOCKED)
        v.block = engine->block;
    else if (spatial && layout == LN__LAST)
        v.block = LN__MAX(v.channels, 1);
    return v;
}

bool ln__layout_same_bytes(const ln__view *a, const ln__view *b)
{
    if (a->block == b->block)
        return true;
    if (a->spatial != 1)
        return false;
    return a->channels % a->block == 0 && b->channels % b->block == 0;
}

ln__layout ln__layout_of_choice(const ln__engine *engine, char choice)
{
    if (choice == LN__NHWC)
        return LN__LAST;
    return choice == LN__ROWS || engine->block == 1 ? LN__PLAIN : LN__BLOCKED;
}

/* ---- What operations can work on ------------------------------------------------- */

bool ln__is_constant(const ln__shapes *shapes, int32_t value)
{
    return value != LN__NO_VALUE && shapes->of[value].data;
}

enum { MOST_IN = 5 };           /* of a slice */

/* A node's inputs as graph/ resolves them. */
static void inputs(const ln__tensor *in[MOST_IN], const ln__node *node, const ln__shapes *shapes)
{
    for (int32_t i = 0; i < node->n_in && i < MOST_IN; i++)
        in[i] = node->in[i] == LN__NO_VALUE ? NULL : &shapes->of[node->in[i]];
}

bool ln__reduces_pixels(const ln__node *node, const ln__shapes *shapes)
{
    const ln__tensor *in[MOST_IN], *x = &shapes->of[node->in[0]];
    bool reduced[LN__MAX_RANK];

    inputs(in, node, shapes);
    if (x->rank < 3 || x->rank > 5 || x->dtype != LN__F32
        || (node->u.reduce.kind != LN__MEAN && node->u.reduce.kind != LN__SUM && node->u.reduce.kind != LN__MAX)
        || !ln__reduce_mask(reduced, node, in))
        return false;
    for (int32_t i = 0; i < x->rank; i++)
        if (reduced[i] != (i >= 2))
            return false;
    return true;
}

static bool same_shape(const ln__tensor *a, const ln__tensor *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]);
}

static bool one_element(const ln__tensor *t)
{
    int64_t n;
    return ln__tensor_elements(t, &n) && n == 1;
}

/* One number a channel of y: [C, 1...], [1, C, 1...], or, if it is no constant, [N, C, 1...]. */
static bool per_channel(const ln__tensor *b, const ln__tensor *y)
{
    int32_t missing = y->rank - b->rank;
    if (y->rank < 2 || y->rank > 5 || missing < 0 || missing > 1)
        return false;
    if (b->dim[1 - missing] != y->dim[1])
        return false;
    if (!missing && b->dim[0] != 1 && (b->data || b->dim[0] != y->dim[0]))
        return false;
    for (int32_t i = 2; i < y->rank; i++)
        if (b->dim[i - missing] != 1)
            return false;
    return true;
}

int32_t ln__binary_form(const ln__node *node, const ln__shapes *shapes, int32_t *big)
{
    const ln__tensor *a = &shapes->of[node->in[0]], *b = &shapes->of[node->in[1]];
    const ln__tensor *y = &shapes->of[node->out[0]];
    if (a->dtype != LN__F32 || b->dtype != LN__F32 || y->dtype != LN__F32)
        return LN__BINARY_SLOW;
    *big = 0;
    if (same_shape(a, y) && same_shape(b, y))
        return LN__BINARY_ALIKE;
    if (same_shape(a, y) && one_element(b))
        return LN__BINARY_SCALAR;
    if (same_shape(a, y) && !node->u.binary.legacy_broadcast && per_channel(b, y))
        return LN__BINARY_CHANNEL;
    *big = 1;
    if (same_shape(b, y) && one_element(a))
        return LN__BINARY_SCALAR;
    if (same_shape(b, y) && !node->u.binary.legacy_broadcast && per_channel(a, y))
        return LN__BINARY_CHANNEL;
    return LN__BINARY_SLOW;
}

/* Views always have three pixel dimensions in jobs; missing ones are 1. */
static void job_sizes(ln__job *job, const ln__tensor *x, const ln__tensor *y)
{
    for (int32_t i = 0; i < 3; i++) {
        int32_t at = i - (5 - x->rank);
        job->in[i] = at >= 0 && x->rank > 2 ? x->dim[at + 2] : 1;
        job->out[i] = at >= 0 && y->rank > 2 ? y->dim[at + 2] : 1;
        job->stride[i] = 1;
        job->begin[i] = 0;
    }
    job->channel_begin = 0;
    job->channel_step = 1;
}

static bool window_ranks(const ln__tensor *x, const ln__tensor *y)
{
    return x->dtype == LN__F32 && x->rank >= 2 && x->rank <= 5 && y->rank == x->rank;
}

bool ln__window_of_slice(ln__job *job, const ln__node *node, const ln__shapes *shapes)
{
    const ln__tensor *in[MOST_IN], *x = &shapes->of[node->in[0]], *y = &shapes->of[node->out[0]];
    ln__slice_range range;

    inputs(in, node, shapes);
    if (!window_ranks(x, y) || !ln__slice_resolve(&range, in, node->n_in))
        return false;
    job_sizes(job, x, y);
    job->channel_begin = range.start[1];
    job->channel_step = range.step[1];
    for (int32_t d = 2; d < x->rank; d++) {
        job->begin[d - 2 + 5 - x->rank] = -range.start[d];
        job->stride[d - 2 + 5 - x->rank] = range.step[d];
    }
    return range.start[0] == 0 && range.step[0] == 1 && range.count[0] == x->dim[0];
}

bool ln__window_of_pad(ln__job *job, const ln__node *node, const ln__shapes *shapes)
{
    const ln__tensor *in[MOST_IN], *x = &shapes->of[node->in[0]], *y = &shapes->of[node->out[0]];
    ln__pad_range range;

    inputs(in, node, shapes);
    if (node->u.pad.mode != LN__PAD_CONSTANT || !window_ranks(x, y) || !ln__pad_resolve(&range, in, node->n_in))
        return false;
    job_sizes(job, x, y);
    if (node->n_in > 2 && in[2])
        memcpy(&job->fill, in[2]->data, sizeof job->fill);
    job->channel_begin = -range.begin[1];
    for (int32_t d = 2; d < x->rank; d++)
        job->begin[d - 2 + 5 - x->rank] = range.begin[d];
    return range.begin[0] == 0 && range.end[0] == 0;
}

bool ln__split_is_window(const ln__node *node, const ln__shapes *shapes)
{
    const ln__tensor *x = &shapes->of[node->in[0]];
    int64_t axis = node->u.axis.axis < 0 ? node->u.axis.axis + x->rank : node->u.axis.axis;
    return x->dtype == LN__F32 && x->rank >= 2 && x->rank <= 5 && axis >= 1;
}

/* ---- The layout of every value ------------------------------------------------------ */

static ln__layout of_value(const ln__engine *e, int32_t value)
{
    return ln__layout_free(&e->one->of[value]) ? (ln__layout)e->layout[value] : LN__PLAIN;
}

static ln__layout concat_layout(const ln__engine *e, const ln__node *node)
{
    const ln__tensor *y = &e->one->of[node->out[0]];
    bool aligned = true, blocked = false, last = true;
    int64_t axis = node->u.axis.axis < 0 ? node->u.axis.axis + y->rank : node->u.axis.axis;

    if (axis != 1 || !ln__layout_free(y))
        return LN__PLAIN;
    for (int32_t i = 0; i < node->n_in; i++) {
        const ln__tensor *x = &e->one->of[node->in[i]];
        if (i + 1 < node->n_in && x->dim[1] % e->block != 0)
            aligned = false;
        if (of_value(e, node->in[i]) == LN__BLOCKED)
            blocked = true;
        if (of_value(e, node->in[i]) != LN__LAST)
            last = false;
    }
    return aligned && blocked ? LN__BLOCKED : last ? LN__LAST : LN__PLAIN;
}

ln__layout ln__layout_working(const ln__engine *e, const ln__node *node)
{
    ln__job job;
    int32_t big = 0, form;
    ln__layout x = node->n_in > 0 && node->in[0] != LN__NO_VALUE ? of_value(e, node->in[0]) : LN__PLAIN;

    switch (node->op) {
    case LN__CONV:
        return ln__layout_of_choice(e, e->choice[node - e->graph->nodes]);
    case LN__POOL:
        return x == LN__PLAIN && e->block > 1 ? LN__BLOCKED : x;
    case LN__UNARY: case LN__AFFINE: case LN__LRN:
        return x;
    case LN__BINARY:
        form = ln__binary_form(node, e->one, &big);
        if (form == LN__BINARY_SLOW)
            return LN__PLAIN;
        if (form == LN__BINARY_ALIKE)
            return x != LN__PLAIN ? x : of_value(e, node->in[1]);
        return of_value(e, node->in[big]);
    case LN__REDUCE:
        return ln__reduces_pixels(node, e->one) ? x : LN__PLAIN;
    case LN__CONCAT:
        return concat_layout(e, node);
    case LN__SPLIT:
        return ln__split_is_window(node, e->one) ? x : LN__PLAIN;
    case LN__SLICE:
        return ln__window_of_slice(&job, node, e->one) ? x : LN__PLAIN;
    case LN__PAD:
        return ln__window_of_pad(&job, node, e->one) ? x : LN__PLAIN;
    default:
        return LN__PLAIN;
    }
}

static bool is_output(const ln__graph *g, int32_t value)
{
    for (int32_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == value)
            return true;
    return false;
}

void ln__layout_assign(ln__engine *e)
{
    const ln__graph *g = e->graph;
    memset(e->layout, LN__PLAIN, (size_t)g->n_values);
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const ln__node *node = &g->nodes[i];
        if (node->n_out == 0 || node->out[0] == LN__NO_VALUE || ln__is_constant(e->one, node->out[0]))
            continue;
        ln__layout working = ln__layout_working(e, node);
        for (int32_t k = 0; k < node->n_out; k++) {
            int32_t v = node->out[k];
            if (v != LN__NO_VALUE && ln__layout_free(&e->one->of[v]) && !is_output(g, v))
                e->layout[v] = (uint8_t)working;
        }
    }
}

uint64_t ln__layout_reorders(const ln__engine *e, int64_t *count)
{
    const ln__graph *g = e->graph;
    uint64_t bytes = 0;
    *count = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const ln__node *node = &g->nodes[i];
        if (node->n_out == 0 || node->out[0] == LN__NO_VALUE || ln__is_constant(e->one, node->out[0]))
            continue;
        ln__layout working = ln__layout_working(e, node);
        int32_t uses = node->n_in + node->n_post;
        for (int32_t k = 0; k < uses; k++) {
            int32_t v = k < node->n_in ? node->in[k]
                      : node->post[k - node->n_in].kind == LN__POST_ADD ? node->post[k - node->n_in].value
                      : LN__NO_VALUE;
            if (v == LN__NO_VALUE || !ln__layout_free(&e->one->of[v]))
                continue;
            ln__view from = ln__layout_view(e, &e->one->of[v], of_value(e, v));
            ln__view to = ln__layout_view(e, &e->one->of[v], working);
            if (ln__layout_same_bytes(&from, &to) || (node->op == LN__CONV && k == 0 && from.channels <= 3))
                continue;
            bytes += ln__view_row_floats(&to) * sizeof(float);
            ++*count;
        }
    }
    return bytes;
}
