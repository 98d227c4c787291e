/* Fusing: activations and residual sums become part of what makes their input. */
#include "graph/rewrite.h"

#include <string.h>

typedef struct fuse { ln__rewrite r; bool *row; } fuse;

static ln__node *live_maker(ln__rewrite *r, int32_t value)
{
    int32_t p = value == LN__NO_VALUE ? -1 : r->g->values[value].producer;

    return p < 0 || r->dead[p] || r->g->values[value].constant != NULL ? NULL : &r->g->nodes[p];
}

static bool has_add(const ln__node *n)
{
    for (int32_t i = 0; i < n->n_post; i++)
        if (n->post[i].kind == LN__POST_ADD)
            return true;
    return false;
}

/* ---- Pads ------------------------------------------------------------------------------- */

static bool spatial_zeros(const ln__rewrite *r, const ln__node *pad, ln__pad_range *range)
{
    const ln__tensor *in[4] = { 0 };
    float value = 0.0f;

    for (int32_t i = 0; i < pad->n_in; i++)
        in[i] = pad->in[i] == LN__NO_VALUE ? NULL : ln__rewrite_type(r, pad->in[i]);
    if (pad->u.pad.mode != LN__PAD_CONSTANT || in[0]->dtype != LN__F32 || !ln__pad_resolve(range, in, pad->n_in))
        return false;
    if (in[2] != NULL && (!ln__rewrite_scalar(r, pad->in[2], &value) || value != 0.0f))
        return false;
    for (int32_t d = 0; d < in[0]->rank; d++)
        if (range->begin[d] < 0 || range->end[d] < 0 || (d < 2 && (range->begin[d] != 0 || range->end[d] != 0)))
            return false;
    return true;
}

static bool pad_into_conv(ln__rewrite *r, ln__node *conv)
{
    ln__node *pad = ln__rewrite_maker(r, conv->in[0], LN__PAD);
    ln__window *w = &conv->u.conv.window;
    int32_t in[4], from = conv->in[0];
    ln__pad_range range;

    if (pad == NULL || w->spatial == 0 || w->auto_pad != LN__PAD_GIVEN || !ln__rewrite_private(r, from) ||
        conv->n_in > 4 || !spatial_zeros(r, pad, &range))
        return true;
    for (int32_t d = 0; d < w->spatial; d++) {
        w->pad_begin[d] += range.begin[d + 2];
        w->pad_end[d] += range.end[d + 2];
    }
    memcpy(in, conv->in, (size_t)conv->n_in * sizeof *in);
    in[0] = pad->in[0];
    if (!ln__rewrite_inputs(r, conv, in, conv->n_in))
        return false;
    ln__rewrite_prune(r, from);
    return true;
}

/* ---- Activations --------------------------------------------------------------------------- */

static bool takes_posts(const ln__rewrite *r, const ln__node *n)
{
    switch (n->op) {
    case LN__CONV: case LN__AFFINE:
        return true;
    case LN__MATMUL: {
        const ln__tensor *b = r->g->values[n->in[1]].constant;
        return b != NULL && b->rank == 2;
    }
    case LN__BINARY:
        return n->u.binary.kind == LN__ADD;
    default:
        return false;
    }
}

static void unary_into_maker(ln__rewrite *r, ln__node *n)
{
    ln__node *maker = live_maker(r, n->in[0]);

    if (maker == NULL || maker->n_post == LN__MAX_POST || !takes_posts(r, maker) || !ln__rewrite_private(r, n->in[0]) ||
        ln__rewrite_type(r, n->out[0])->dtype != LN__F32)
        return;
    maker->post[maker->n_post++] = (ln__post){ LN__POST_UNARY, n->u.unary.kind, n->u.unary.a, n->u.unary.b, LN__NO_VALUE };
    ln__rewrite_take_over(r, maker, n);
}

/* ---- Residual sums -------------------------------------------------------------------------- */

static bool adds_residual(fuse *f, const ln__node *add, int32_t from, int32_t other)
{
    ln__rewrite *r = &f->r;
    ln__node *maker = live_maker(r, from);

    if (maker == NULL || (maker->op != LN__CONV && maker->op != LN__MATMUL) || !takes_posts(r, maker) || has_add(maker) ||
        maker->n_post == LN__MAX_POST || !ln__rewrite_private(r, from))
        return false;
    return r->g->values[other].constant == NULL && f->row[other] == f->row[from] &&
           ln__same_shape(ln__rewrite_type(r, other), ln__rewrite_type(r, add->out[0])) &&
           ln__same_shape(ln__rewrite_type(r, from), ln__rewrite_type(r, add->out[0]));
}

/* The sum's place is where both operands are there; the maker moves to it if the
 * other operand comes after. */
static void residual_into_maker(fuse *f, ln__node *add)
{
    ln__rewrite *r = &f->r;
    ln__graph *g = r->g;
    int32_t a = add->in[0], b = add->in[1], from, other, old, slot = (int32_t)(add - g->nodes);
    bool first = adds_residual(f, add, a, b), second = adds_residual(f, add, b, a);
    ln__node *maker;

    if (!first && !second)
        return;
    if (first && second)
        first = g->values[a].producer > g->values[b].producer;
    from = first ? a : b;
    other = first ? b : a;
    old = g->values[from].producer;
    if (g->values[other].producer > old && r->shape_uses[from] != 0)
        return;     /* a Shape in between would come before its input */
    maker = &g->nodes[old];
    maker->post[maker->n_post++] = (ln__post){ .kind = LN__POST_ADD, .value = other };
    ln__rewrite_take_over(r, maker, add);
    r->uses[other]++;
    if (g->values[other].producer > old) {
        g->nodes[slot] = *maker;
        r->dead[slot] = false;
        r->dead[old] = true;
        g->values[g->nodes[slot].out[0]].producer = slot;
    }
}

static bool fuse_all(fuse *f)
{
    ln__rewrite *r = &f->r;

    for (int32_t i = 0; i < r->g->n_nodes; i++) {
        ln__node *n = &r->g->nodes[i];
        if (r->dead[i])
            continue;
        ln__rewrite_resolve_inputs(r, n);
        if (n->op == LN__CONV && n->n_post == 0 && !pad_into_conv(r, n))
            return false;
        if (n->op == LN__UNARY)
            unary_into_maker(r, n);
        if (n->op == LN__BINARY && n->u.binary.kind == LN__ADD && n->n_post == 0 && !n->u.binary.legacy_broadcast)
            residual_into_maker(f, n);
    }
    return true;
}

ln_status ln__graph_fuse(ln__graph **out, const ln__graph *graph, const int32_t *keep, int32_t n_keep, ln_error *err)
{
    fuse f = { .row = NULL };
    ln_status st = ln__rewrite_begin(&f.r, graph, keep, n_keep, err);

    if (st >= 0) {
        f.row = ln__calloc(graph->ctx, (size_t)graph->n_values + 1, sizeof *f.row);
        st = f.row == NULL ? ln__fail_nomem(err, graph->ctx, (size_t)graph->n_values) : ln__graph_row_values(f.row, graph, err);
    }
    if (st >= 0) {
        ln__find_patterns(&f.r);
        if (!fuse_all(&f))
            st = ln__fail_nomem(err, graph->ctx, 0);
    }
    ln__free(graph->ctx, f.row);
    return ln__rewrite_finish(&f.r, st, out);
}
