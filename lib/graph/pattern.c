/* Activations that exporters write out as several nodes. Every value between
 * must be read by the pattern alone. */
#include "graph/rewrite.h"

#include <math.h>

/* The factors of a product of products, at most three. */
typedef struct product { int32_t factor[3]; int32_t n; } product;

static bool same_type(const ln__rewrite *r, int32_t a, int32_t b)
{
    return ln__same_shape(ln__rewrite_type(r, a), ln__rewrite_type(r, b));
}

static ln__node *binary(const ln__rewrite *r, int32_t value, ln__binary kind)
{
    ln__node *n = ln__rewrite_maker(r, value, LN__BINARY);

    return n != NULL && n->u.binary.kind == kind && !n->u.binary.legacy_broadcast ? n : NULL;
}

static ln__node *unary(const ln__rewrite *r, int32_t value, ln__unary kind)
{
    ln__node *n = ln__rewrite_maker(r, value, LN__UNARY);

    return n != NULL && n->u.unary.kind == kind ? n : NULL;
}

/* The other operand where one is this constant; -1: it is not. */
static int32_t beside(const ln__rewrite *r, const ln__node *n, float constant)
{
    if (ln__rewrite_is(r, n->in[1], constant))
        return n->in[0];
    return ln__rewrite_is(r, n->in[0], constant) ? n->in[1] : -1;
}

/* x where value = x / 6, written either way. */
static int32_t sixth_of(const ln__rewrite *r, const ln__node *n)
{
    if (n->op != LN__BINARY || n->u.binary.legacy_broadcast || n->n_post != 0)
        return -1;
    if (n->u.binary.kind == LN__DIV && ln__rewrite_is(r, n->in[1], 6.0f))
        return n->in[0];
    return n->u.binary.kind == LN__MUL ? beside(r, n, 1.0f / 6.0f) : -1;
}

/* x where value = clip(x + 3, 0, 6) and nobody else reads what lies between. */
static int32_t clipped_of(const ln__rewrite *r, int32_t value)
{
    ln__node *clip = unary(r, value, LN__CLIP), *add;

    if (clip == NULL || clip->u.unary.a != 0.0f || clip->u.unary.b != 6.0f || !ln__rewrite_private(r, value))
        return -1;
    add = binary(r, clip->in[0], LN__ADD);
    if (add == NULL || !ln__rewrite_private(r, clip->in[0]))
        return -1;
    return beside(r, add, 3.0f);
}

static void become(ln__rewrite *r, ln__node *n, ln__unary kind, float a, float b, int32_t x)
{
    int32_t a_side = n->in[0], b_side = n->in[1];

    if (x < 0 || !same_type(r, x, n->out[0]) || ln__rewrite_type(r, x)->dtype != LN__F32)
        return;
    if (!ln__rewrite_inputs(r, n, &x, 1))
        return;
    ln__rewrite_prune(r, a_side);
    ln__rewrite_prune(r, b_side);
    n->op = LN__UNARY;
    n->u.unary.kind = kind;
    n->u.unary.a = a;
    n->u.unary.b = b;
}

/* x where n multiplies x by the other operand, which the caller has looked into. */
static bool multiplies(const ln__node *n, int32_t a, int32_t b)
{
    return (n->in[0] == a && n->in[1] == b) || (n->in[0] == b && n->in[1] == a);
}

static void find_hard(ln__rewrite *r, ln__node *n)
{
    int32_t of = sixth_of(r, n), x;
    ln__node *mul;

    if (of < 0)
        return;
    if ((x = clipped_of(r, of)) >= 0) {
        become(r, n, LN__HARD_SIGMOID, 1.0f / 6.0f, 0.5f, x);
        return;
    }
    mul = binary(r, of, LN__MUL);       /* x * clip(x + 3) / 6 */
    if (mul == NULL || !ln__rewrite_private(r, of))
        return;
    for (int32_t i = 0; i < 2; i++) {
        x = clipped_of(r, mul->in[i]);
        if (x >= 0 && multiplies(mul, x, mul->in[i])) {
            become(r, n, LN__HARD_SWISH, 0.0f, 0.0f, x);
            return;
        }
    }
}

/* x * sigmoid(x), x * hardsigmoid(x), x * (clip(x + 3) / 6). */
static void find_swish(ln__rewrite *r, ln__node *n)
{
    for (int32_t i = 0; i < 2; i++) {
        int32_t x = n->in[i], s = n->in[1 - i];
        ln__node *hard = unary(r, s, LN__HARD_SIGMOID), *soft = unary(r, s, LN__SIGMOID);
        if (x < 0 || s < 0 || !ln__rewrite_private(r, s))
            continue;
        if (soft != NULL && soft->in[0] == x) {
            become(r, n, LN__SWISH, 0.0f, 0.0f, x);
            return;
        }
        if (hard != NULL && hard->in[0] == x && fabsf(hard->u.unary.a - 1.0f / 6.0f) < 1e-5f && hard->u.unary.b == 0.5f) {
            become(r, n, LN__HARD_SWISH, 0.0f, 0.0f, x);
            return;
        }
    }
}

static void factors(const ln__rewrite *r, const ln__node *n, product *p)
{
    int32_t open[3] = { n->in[0], n->in[1] }, count = 2, opened = 0;

    p->n = 0;
    while (count > 0) {
        int32_t v = open[--count];
        ln__node *inner = opened == 0 ? binary(r, v, LN__MUL) : NULL;
        if (inner != NULL && ln__rewrite_private(r, v)) {
            open[count++] = inner->in[0];
            open[count++] = inner->in[1];
            opened = 1;
        } else {
            p->factor[p->n++] = v;
        }
    }
}

/* x where value = 1 + erf(x / sqrt(2)). */
static int32_t erf_argument(const ln__rewrite *r, int32_t value)
{
    ln__node *add = binary(r, value, LN__ADD), *erf, *scaled;
    int32_t e = add != NULL && ln__rewrite_private(r, value) ? beside(r, add, 1.0f) : -1;

    erf = e < 0 ? NULL : unary(r, e, LN__ERF);
    if (erf == NULL || !ln__rewrite_private(r, e) || !ln__rewrite_private(r, erf->in[0]))
        return -1;
    scaled = binary(r, erf->in[0], LN__DIV);
    if (scaled != NULL)
        return ln__rewrite_is(r, scaled->in[1], 1.41421356f) ? scaled->in[0] : -1;
    scaled = binary(r, erf->in[0], LN__MUL);
    return scaled != NULL ? beside(r, scaled, 0.70710678f) : -1;
}

static void find_gelu(ln__rewrite *r, ln__node *n)
{
    product p;
    int32_t half = -1, x = -1, sum = -1;

    factors(r, n, &p);
    for (int32_t i = 0; i < p.n; i++) {
        int32_t argument = erf_argument(r, p.factor[i]);
        if (argument >= 0) {
            sum = i;
            x = argument;
        } else if (ln__rewrite_is(r, p.factor[i], 0.5f)) {
            half = i;
        }
    }
    if (p.n == 3 && sum >= 0 && half >= 0 && p.factor[3 - sum - half] == x)
        become(r, n, LN__GELU, 0.0f, 0.0f, x);
}

void ln__find_patterns(ln__rewrite *r)
{
    for (int32_t i = 0; i < r->g->n_nodes; i++) {
        ln__node *n = &r->g->nodes[i];
        if (r->dead[i])
            continue;
        ln__rewrite_resolve_inputs(r, n);
        if (n->op != LN__BINARY || n->n_post != 0 || n->u.binary.legacy_broadcast)
            continue;
        find_hard(r, n);
        if (n->op == LN__BINARY && n->u.binary.kind == LN__MUL)
            find_swish(r, n);
        if (n->op == LN__BINARY && n->u.binary.kind == LN__MUL)
            find_gelu(r, n);
    }
}
