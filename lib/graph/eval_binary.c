/* Functions of two numbers with broadcasting. Dimensions that are walked alike
 * are merged first, so that the inner loop is long and contiguous. */
#include "graph/graph_loops.h"

#include <math.h>
#include <string.h>

typedef struct pairing {
    int32_t rank;
    int64_t dim[LN__MAX_RANK], a[LN__MAX_RANK], b[LN__MAX_RANK];    /* strides; 0: repeated */
} pairing;

static void operand_strides(const ln__tensor *t, const ln__tensor *type, int64_t *stride)
{
    int64_t own[LN__MAX_RANK];
    int32_t lead = type->rank - t->rank;

    ln__tensor_strides(t, own);
    for (int32_t d = 0; d < type->rank; d++)
        stride[d] = d < lead || t->dim[d - lead] == 1 ? 0 : own[d - lead];
}

static void pair_up(pairing *p, const ln__tensor *a, const ln__tensor *b, const ln__tensor *type)
{
    int64_t sa[LN__MAX_RANK], sb[LN__MAX_RANK];

    operand_strides(a, type, sa);
    operand_strides(b, type, sb);
    p->rank = 0;
    for (int32_t d = 0; d < type->rank; d++) {
        int32_t last = p->rank - 1;
        if (type->dim[d] == 1)
            continue;
        if (last >= 0 && p->a[last] == sa[d] * type->dim[d] && p->b[last] == sb[d] * type->dim[d]) {
            p->dim[last] *= type->dim[d];
        } else {
            last = p->rank++;
            p->dim[last] = type->dim[d];
        }
        p->a[last] = sa[d];
        p->b[last] = sb[d];
    }
    if (p->rank == 0)
        *p = (pairing){ .rank = 1, .dim = { 1 }, .a = { 1 }, .b = { 1 } };
}

#define ROW(name, expression)                                                                       \
    static void row_##name(const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n) \
    {                                                                                               \
        if (sa != 0 && sb != 0) {                                                                   \
            LN__NO_CARRY for (int64_t i = 0; i < n; i++) { float u = a[i], v = b[i]; y[i] = (expression); } \
        } else if (sa != 0) {                                                                       \
            float v = *b;                                                                           \
            LN__NO_CARRY for (int64_t i = 0; i < n; i++) { float u = a[i]; y[i] = (expression); }       \
        } else {                                                                                    \
            float u = *a;                                                                           \
            LN__NO_CARRY for (int64_t i = 0; i < n; i++) { float v = b[i]; y[i] = (expression); }       \
        }                                                                                           \
    }
ROW(add, u + v)
ROW(sub, u - v)
ROW(mul, u * v)
ROW(div, u / v)
ROW(pow, v == 2.0f ? u * u : powf(u, v))
ROW(max, u > v || u != u ? u : v)
ROW(min, u < v || u != u ? u : v)
ROW(prelu, u < 0.0f ? u * v : u)

typedef void (*row_fn)(const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n);
static const row_fn rows[LN__BINARY_COUNT] = {
    [LN__ADD] = row_add, [LN__SUB] = row_sub, [LN__MUL] = row_mul, [LN__DIV] = row_div,
    [LN__POW] = row_pow, [LN__MAX_OF] = row_max, [LN__MIN_OF] = row_min, [LN__PRELU] = row_prelu,
};

void ln__binary_apply(ln__binary kind, const ln__tensor *a, const ln__tensor *b, float *out, const ln__tensor *type)
{
    int64_t index[LN__MAX_RANK] = { 0 }, n;
    const float *x = a->data, *y = b->data;
    pairing p;
    int32_t outer;

    if (ln__tensor_count(type) == 0)
        return;
    pair_up(&p, a, b, type);
    outer = p.rank - 1;
    n = p.dim[outer];
    do {
        int64_t i = 0, j = 0;
        for (int32_t d = 0; d < outer; d++) {
            i += index[d] * p.a[d];
            j += index[d] * p.b[d];
        }
        rows[kind](x + i, p.a[outer], y + j, p.b[outer], out, n);
        out += n;
    } while (ln__next_index(index, p.dim, outer));
}

/* Whole exponents from 0 on; `ok` turns false past 64 bits. */
static int64_t int_power(int64_t base, int64_t exponent, bool *ok)
{
    int64_t r = 1;

    *ok &= exponent >= 0;
    while (exponent > 0 && *ok) {
        if (exponent & 1)
            *ok &= !__builtin_mul_overflow(r, base, &r);
        exponent >>= 1;
        if (exponent > 0)
            *ok &= !__builtin_mul_overflow(base, base, &base);
    }
    return r;
}

static int64_t combine(ln__binary kind, int64_t a, int64_t b, bool *ok)
{
    int64_t r = 0;

    switch (kind) {
    case LN__ADD:    *ok &= !__builtin_add_overflow(a, b, &r); break;
    case LN__SUB:    *ok &= !__builtin_sub_overflow(a, b, &r); break;
    case LN__MUL:    *ok &= !__builtin_mul_overflow(a, b, &r); break;
    case LN__POW:    return int_power(a, b, ok);
    case LN__MAX_OF: return LN__MAX(a, b);
    case LN__MIN_OF: return LN__MIN(a, b);
    default:
        if (b == 0 || (a == INT64_MIN && b == -1))
            *ok = false;
        else
            r = a / b;
    }
    return r;
}

bool ln__binary_i64(const ln__node *node, const ln__tensor *const *in, ln__tensor *out)
{
    int64_t index[LN__MAX_RANK] = { 0 }, *y = (int64_t *)(uintptr_t)out[0].data;
    ln__tensor b;
    pairing p;
    bool ok = true;

    if (ln__tensor_count(&out[0]) == 0 || !ln__binary_operand(&b, node, in))
        return true;
    pair_up(&p, in[0], &b, &out[0]);
    do {
        int64_t i = 0, j = 0;
        for (int32_t d = 0; d < p.rank; d++) {
            i += index[d] * p.a[d];
            j += index[d] * p.b[d];
        }
        *y++ = combine(node->u.binary.kind, ((const int64_t *)in[0]->data)[i], ((const int64_t *)b.data)[j], &ok);
    } while (ln__next_index(index, p.dim, p.rank));
    return ok;
}

LN__EVALUATOR(binary)
{
    ln__tensor b;

    (void)scratch;
    if (out[0].dtype == LN__I64)
        (void)ln__binary_i64(node, in, out);
    else if (ln__binary_operand(&b, node, in))
        ln__binary_apply(node->u.binary.kind, in[0], &b, (float *)(uintptr_t)out[0].data, &out[0]);
}

LN__EVALUATOR(affine)
{
    const ln__tensor *x = in[0];
    const float *from = x->data, *scale = in[1]->data, *shift = in[2]->data;
    float *to = (float *)(uintptr_t)out[0].data;
    int64_t channels = x->dim[1], inner = ln__dims_product(x, 2, x->rank);

    (void)node;
    (void)scratch;
    for (int64_t n = 0; n < x->dim[0]; n++)
        for (int64_t c = 0; c < channels; c++, from += inner, to += inner) {
            float a = scale[c], b = shift[c];
            LN__NO_CARRY
            for (int64_t i = 0; i < inner; i++)
                to[i] = from[i] * a + b;
        }
}
