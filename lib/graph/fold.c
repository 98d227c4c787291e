/* Folding: what hangs on no rows becomes a constant, windows get their pads,
 * what changes nothing vanishes, per-channel factors go into what is before. */
#include "graph/rewrite.h"

#include <string.h>

/* ---- Constants ------------------------------------------------------------------------ */

static bool same_for_any_rows(const ln__rewrite *r, int32_t v)
{
    const ln__tensor *a = &r->one->of[v], *b;

    if (a->rank < 0 || a->data == NULL)
        return false;
    if (r->three == NULL)
        return true;
    b = &r->three->of[v];
    return b->data != NULL && a->dtype == b->dtype && ln__same_shape(a, b) &&
           memcmp(a->data, b->data, (size_t)ln__tensor_count(a) * ln__dtype_size(a->dtype)) == 0;
}

static bool make_constant(ln__rewrite *r, int32_t v)
{
    const ln__tensor *t = &r->one->of[v];
    size_t bytes = (size_t)ln__tensor_count(t) * ln__dtype_size(t->dtype);
    ln__tensor *copy = ln__arena_alloc(&r->g->arena, sizeof *copy);
    void *data = ln__arena_alloc(&r->g->arena, bytes);

    if (copy == NULL || data == NULL)
        return false;
    *copy = *t;
    copy->data = data;
    if (bytes > 0)
        memcpy(data, t->data, bytes);
    r->g->values[v].constant = copy;
    return true;
}

/* Only results that something computed at run time reads are kept. */
static bool fold_constants(ln__rewrite *r)
{
    ln__graph *g = r->g;
    bool ok = true;

    for (int32_t n = 0; n < g->n_nodes && ok; n++) {
        ln__node *node = &g->nodes[n];
        bool known = true;
        for (int32_t i = 0; i < node->n_out; i++)
            known = known && (node->out[i] == LN__NO_VALUE || same_for_any_rows(r, node->out[i]));
        if (known) {
            for (int32_t i = 0; i < node->n_out && ok; i++)
                if (node->out[i] != LN__NO_VALUE && r->pinned[node->out[i]])
                    ok = make_constant(r, node->out[i]);
            ln__rewrite_kill(r, node);
            continue;
        }
        for (int32_t i = 0; i < node->n_in && ok; i++) {
            int32_t v = node->in[i];
            if (v != LN__NO_VALUE && g->values[v].constant == NULL && same_for_any_rows(r, v))
                ok = make_constant(r, v);
        }
    }
    return ok;
}

/* ---- Rows out of shapes ------------------------------------------------------------------ */

/* A shape whose first dimension alone follows the rows is written with -1, and
 * what computed it is needed no more. */
static bool open_reshape(ln__rewrite *r, ln__node *n)
{
    const ln__tensor *y = &r->one->of[n->out[0]], *more = r->three != NULL ? &r->three->of[n->out[0]] : NULL;
    int64_t *data, rank = y->rank;
    void *room;
    int32_t in[2] = { n->in[0] }, shape = n->in[1];

    if (more == NULL || y->rank < 1 || more->rank != y->rank)
        return true;
    for (int32_t d = 1; d < y->rank; d++)
        if (y->dim[d] != more->dim[d] || y->dim[d] == 0)
            return true;
    if (y->dim[0] == more->dim[0] && r->g->values[n->in[1]].constant != NULL)
        return true;
    in[1] = ln__rewrite_constant(r, LN__I64, &rank, 1, &room);
    if (in[1] < 0)
        return false;
    data = room;
    data[0] = -1;
    for (int32_t d = 1; d < y->rank; d++)
        data[d] = y->dim[d];
    if (!ln__rewrite_inputs(r, n, in, 2))
        return false;
    ln__rewrite_prune(r, shape);
    return true;
}

static void complete_window(ln__rewrite *r, ln__node *n)
{
    const ln__tensor *x = ln__rewrite_type(r, n->in[0]);
    const ln__tensor *w = n->op == LN__CONV ? ln__rewrite_type(r, n->in[1]) : NULL;
    int64_t out[LN__MAX_SPATIAL];
    ln__window window;

    if (!ln__node_window(&window, out, n, x, w))
        return;
    if (n->op == LN__CONV)
        n->u.conv.window = window;
    else
        n->u.pool.window = window;
}

/* ---- What changes nothing ------------------------------------------------------------------ */

static bool keeps_shape(const ln__rewrite *r, const ln__node *n)
{
    int32_t x = n->in[0], y = n->out[0];

    if (ln__rewrite_type(r, x)->dtype != ln__rewrite_type(r, y)->dtype || !ln__same_shape(ln__rewrite_type(r, x), ln__rewrite_type(r, y)))
        return false;
    return r->three == NULL ||
           ln__same_shape(r->g->values[x].constant != NULL ? ln__rewrite_type(r, x) : &r->three->of[x], &r->three->of[y]);
}

static bool all_zero(const ln__rewrite *r, int32_t value)
{
    int64_t pads[2 * LN__MAX_RANK];
    int32_t n;
    const ln__tensor *t = r->g->values[value].constant;

    if (t == NULL || !ln__tensor_ints(t, pads, 2 * LN__MAX_RANK, &n))
        return false;
    for (int32_t i = 0; i < n; i++)
        if (pads[i] != 0)
            return false;
    return true;
}

static bool changes_nothing(const ln__rewrite *r, const ln__node *n)
{
    switch (n->op) {
    case LN__IDENTITY:
        return true;
    case LN__CONCAT:
        return n->n_in == 1;
    case LN__CAST:
        return !n->u.cast.saturate_bool && keeps_shape(r, n);
    case LN__RESHAPE: case LN__FLATTEN: case LN__SQUEEZE: case LN__UNSQUEEZE: case LN__EXPAND:
        return keeps_shape(r, n);
    case LN__PAD:
        return all_zero(r, n->in[1]);
    default:
        return false;
    }
}

/* A result that must be there under its name is then made by the node before,
 * if nobody wants that node's own. */
static void drop_identity(ln__rewrite *r, ln__node *n)
{
    int32_t x = n->in[0], y = n->out[0], p = r->g->values[x].producer;

    if (!r->pinned[y]) {
        r->instead[y] = x;
        r->uses[x] += r->uses[y];
        r->shape_uses[x] += r->shape_uses[y];
        ln__rewrite_kill(r, n);
    } else if (p >= 0 && !r->dead[p] && r->g->nodes[p].n_out == 1 && ln__rewrite_private(r, x) && r->g->values[x].constant == NULL) {
        ln__rewrite_take_over(r, &r->g->nodes[p], n);
    } else {
        n->op = LN__IDENTITY;
        (void)ln__rewrite_inputs(r, n, &x, 1);      /* fewer than before: no memory needed */
    }
}

static bool simplify(ln__rewrite *r)
{
    for (int32_t i = 0; i < r->g->n_nodes; i++) {
        ln__node *n = &r->g->nodes[i];
        if (r->dead[i])
            continue;
        ln__rewrite_resolve_inputs(r, n);
        if (n->op == LN__RESHAPE && !open_reshape(r, n))
            return false;
        if (n->op == LN__CONV || n->op == LN__POOL)
            complete_window(r, n);
        if (n->n_out == 1 && n->n_post == 0 && changes_nothing(r, n))
            drop_identity(r, n);
    }
    return true;
}

static bool fold_all_affine(ln__rewrite *r)
{
    for (int32_t i = 0; i < r->g->n_nodes; i++) {
        ln__node *n = &r->g->nodes[i];
        if (r->dead[i])
            continue;
        ln__rewrite_resolve_inputs(r, n);
        if ((n->op == LN__BATCHNORM || n->op == LN__BINARY) && n->n_post == 0 && !ln__fold_affine(r, n))
            return false;
    }
    return true;
}

ln_status ln__graph_fold(ln__graph **out, const ln__graph *graph, const int32_t *keep, int32_t n_keep, ln_error *err)
{
    ln__rewrite r;
    ln_status st = ln__rewrite_begin(&r, graph, keep, n_keep, err);

    if (st >= 0) {
        bool ok = fold_constants(&r) && simplify(&r);
        if (ok)
            ln__find_patterns(&r);      /* before their constants go elsewhere */
        if (r.three == NULL && r.g->one_row == NULL)
            r.g->one_row = ln__arena_strndup(&r.g->arena, r.why.text, strlen(r.why.text));
        if (!ok || !fold_all_affine(&r) || (r.three == NULL && r.g->one_row == NULL))
            st = ln__fail_nomem(err, graph->ctx, 0);
    }
    return ln__rewrite_finish(&r, st, out);
}
