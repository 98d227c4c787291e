/* y = x * scale + shift per channel, taken into the convolution, matrix product
 * or AFFINE that makes x. A convolution's weights stay as the file has them:
 * the engine multiplies when it takes them. */
#include "graph/rewrite.h"

#include <math.h>
#include <string.h>

/* Numbers per channel, n of them; shift only (scale all 1) is kept apart,
 * since weights need not be touched then. */
typedef struct channel_map { float *scale, *shift; int64_t n; bool scales; } channel_map;

static bool map_new(ln__rewrite *r, channel_map *m, int64_t n)
{
    m->n = n;
    m->scale = ln__arena_alloc(&r->g->arena, (size_t)n * sizeof(float));
    m->shift = ln__arena_alloc(&r->g->arena, (size_t)n * sizeof(float));
    m->scales = false;
    for (int64_t i = 0; m->scale != NULL && m->shift != NULL && i < n; i++) {
        m->scale[i] = 1.0f;
        m->shift[i] = 0.0f;
    }
    return m->scale != NULL && m->shift != NULL;
}

static void map_batchnorm(ln__rewrite *r, const ln__node *n, channel_map *m)
{
    const ln__tensor *p[5];

    for (int32_t i = 1; i < 5; i++)
        p[i] = ln__rewrite_type(r, n->in[i]);
    for (int64_t i = 0; i < m->n; i++) {
        float deviation = sqrtf(ln__tensor_float(p[4], i) + n->u.batchnorm.epsilon);
        m->scale[i] = ln__tensor_float(p[1], i) / deviation;
        m->shift[i] = ln__tensor_float(p[2], i) - ln__tensor_float(p[3], i) * m->scale[i];
    }
    m->scales = true;
}

/* Whether a constant, seen beside `type`, has one number, or one for each index
 * of dimension `channel`. */
static bool per_channel(const ln__tensor *constant, const ln__tensor *type, int32_t channel)
{
    int32_t lead = type->rank - constant->rank;

    if (lead < 0)
        return false;
    for (int32_t d = 0; d < constant->rank; d++)
        if (constant->dim[d] != 1 && (d + lead != channel || constant->dim[d] != type->dim[channel]))
            return false;
    return true;
}

/* Fills the map from a BINARY of x (operand `side`) and a constant. */
static bool map_binary(ln__rewrite *r, const ln__node *n, int32_t side, int32_t channel, channel_map *m)
{
    const ln__tensor *operands[2] = { ln__rewrite_type(r, n->in[0]), ln__rewrite_type(r, n->in[1]) };
    const ln__tensor *type = ln__rewrite_type(r, n->out[0]);
    ln__tensor constant = *operands[1 - side];
    ln__binary kind = n->u.binary.kind;
    bool single;

    if (side == 0 && !ln__binary_operand(&constant, n, operands))
        return false;
    if ((kind == LN__DIV && side == 1) || (kind != LN__ADD && kind != LN__SUB && kind != LN__MUL && kind != LN__DIV))
        return false;
    if (!per_channel(&constant, type, channel) || !ln__same_shape(type, operands[side]))
        return false;
    single = ln__tensor_count(&constant) == 1;
    for (int64_t i = 0; i < m->n; i++) {
        float c = ln__tensor_float(&constant, single ? 0 : i);
        if (kind == LN__ADD)
            m->shift[i] = c;
        else if (kind == LN__SUB) {
            m->shift[i] = side == 0 ? -c : c;
            m->scale[i] = side == 0 ? 1.0f : -1.0f;
        } else
            m->scale[i] = kind == LN__MUL ? c : 1.0f / c;
    }
    m->scales = kind == LN__MUL || kind == LN__DIV || (kind == LN__SUB && side == 1);
    return true;
}

static int32_t vector(ln__rewrite *r, int64_t n, float **data)
{
    void *room = NULL;
    int32_t v = ln__rewrite_constant(r, LN__F32, &n, 1, &room);

    *data = room;
    return v;
}

/* ---- Into what makes x ------------------------------------------------------------------ */

static float at_or(const ln__tensor *t, int64_t i, float otherwise)
{
    return t == NULL ? otherwise : ln__tensor_float(t, ln__tensor_count(t) == 1 ? 0 : i);
}

static bool into_conv(ln__rewrite *r, ln__node *conv, const channel_map *m)
{
    const ln__tensor *bias = conv->n_in > 2 && conv->in[2] != LN__NO_VALUE ? ln__rewrite_type(r, conv->in[2]) : NULL;
    const ln__tensor *scale = conv->n_in > 3 && conv->in[3] != LN__NO_VALUE ? ln__rewrite_type(r, conv->in[3]) : NULL;
    int32_t in[4] = { conv->in[0], conv->in[1], LN__NO_VALUE, scale != NULL ? conv->in[3] : LN__NO_VALUE };
    float *to_bias, *to_scale = NULL;

    in[2] = vector(r, m->n, &to_bias);
    if (in[2] < 0)
        return false;
    if (m->scales) {
        in[3] = vector(r, m->n, &to_scale);
        if (in[3] < 0)
            return false;
    }
    for (int64_t i = 0; i < m->n; i++) {
        to_bias[i] = at_or(bias, i, 0.0f) * m->scale[i] + m->shift[i];
        if (to_scale != NULL)
            to_scale[i] = at_or(scale, i, 1.0f) * m->scale[i];
    }
    return ln__rewrite_inputs(r, conv, in, in[3] == LN__NO_VALUE ? 3 : 4);
}

static bool into_affine(ln__rewrite *r, ln__node *affine, const channel_map *m)
{
    const ln__tensor *scale = ln__rewrite_type(r, affine->in[1]), *shift = ln__rewrite_type(r, affine->in[2]);
    int32_t in[3] = { affine->in[0] };
    float *to_scale, *to_shift;

    in[1] = vector(r, m->n, &to_scale);
    in[2] = vector(r, m->n, &to_shift);
    if (in[1] < 0 || in[2] < 0)
        return false;
    for (int64_t i = 0; i < m->n; i++) {
        to_scale[i] = ln__tensor_float(scale, i) * m->scale[i];
        to_shift[i] = ln__tensor_float(shift, i) * m->scale[i] + m->shift[i];
    }
    return ln__rewrite_inputs(r, affine, in, 3);
}

/* The bias of a matrix product as one number per column can be changed; others not. */
static bool matmul_takes(const ln__rewrite *r, const ln__node *n, int64_t columns)
{
    const ln__tensor *b = r->g->values[n->in[1]].constant, *c, *y = ln__rewrite_type(r, n->out[0]);

    if (b == NULL || b->rank != 2 || y->rank < 1 || y->dim[y->rank - 1] != columns)
        return false;
    if (n->n_in < 3 || n->in[2] == LN__NO_VALUE)
        return true;
    c = r->g->values[n->in[2]].constant;
    return c != NULL && per_channel(c, y, y->rank - 1);
}

static int32_t scaled_columns(ln__rewrite *r, const ln__node *n, const channel_map *m)
{
    const ln__tensor *b = r->g->values[n->in[1]].constant;
    int64_t inner = n->u.matmul.trans_b ? b->dim[1] : 1, total = ln__tensor_count(b);
    void *data;
    int32_t v = ln__rewrite_constant(r, LN__F32, b->dim, 2, &data);

    for (int64_t i = 0; v >= 0 && i < total; i++)
        ((float *)data)[i] = ln__tensor_float(b, i) * m->scale[i / inner % m->n];
    return v;
}

static bool into_matmul(ln__rewrite *r, ln__node *n, const channel_map *m)
{
    const ln__tensor *c = n->n_in > 2 && n->in[2] != LN__NO_VALUE ? ln__rewrite_type(r, n->in[2]) : NULL;
    int32_t in[3] = { n->in[0], n->in[1] };
    float *bias;

    in[2] = vector(r, m->n, &bias);
    if (in[2] < 0)
        return false;
    for (int64_t i = 0; i < m->n; i++)
        bias[i] = at_or(c, i, 0.0f) * (c != NULL ? n->u.matmul.beta : 0.0f) * m->scale[i] + m->shift[i];
    if (m->scales) {
        in[1] = scaled_columns(r, n, m);
        if (in[1] < 0)
            return false;
    }
    n->u.matmul.beta = 1.0f;
    return ln__rewrite_inputs(r, n, in, 3);
}

/* ---- The fold ------------------------------------------------------------------------------ */

static bool become_affine(ln__rewrite *r, ln__node *n, const channel_map *m)
{
    int32_t in[3] = { n->in[0] };
    float *scale, *shift;

    in[1] = vector(r, m->n, &scale);
    in[2] = vector(r, m->n, &shift);
    if (in[1] < 0 || in[2] < 0)
        return false;
    memcpy(scale, m->scale, (size_t)m->n * sizeof *scale);
    memcpy(shift, m->shift, (size_t)m->n * sizeof *shift);
    n->op = LN__AFFINE;
    return ln__rewrite_inputs(r, n, in, 3);
}

/* The operand that is computed, where the other one is constant; -1 otherwise. */
static int32_t computed_side(const ln__rewrite *r, const ln__node *n)
{
    bool a = r->g->values[n->in[0]].constant != NULL, b = n->op == LN__BATCHNORM || r->g->values[n->in[1]].constant != NULL;

    if (a == b || ln__rewrite_type(r, n->in[a ? 1 : 0])->dtype != LN__F32)
        return -1;
    return a ? 1 : 0;
}

bool ln__fold_affine(ln__rewrite *r, ln__node *n)
{
    int32_t side = computed_side(r, n), x, channel = 1;
    ln__node *conv, *matmul, *affine;
    const ln__tensor *type;
    channel_map m;

    if (side < 0)
        return true;
    x = n->in[side];
    type = ln__rewrite_type(r, x);
    conv = ln__rewrite_maker(r, x, LN__CONV);
    matmul = ln__rewrite_maker(r, x, LN__MATMUL);
    affine = ln__rewrite_maker(r, x, LN__AFFINE);
    if (!ln__rewrite_private(r, x))
        conv = matmul = affine = NULL;
    if (matmul != NULL)
        channel = type->rank - 1;
    if (matmul != NULL && ((n->op == LN__BATCHNORM && type->rank != 2) || channel < 0 || !matmul_takes(r, matmul, type->dim[channel])))
        matmul = NULL;
    if (n->op == LN__BINARY && conv == NULL && matmul == NULL && affine == NULL)
        return true;
    if (n->op == LN__BATCHNORM && matmul == NULL)
        channel = 1;
    if (!map_new(r, &m, type->dim[channel]))
        return false;
    if (n->op == LN__BATCHNORM)
        map_batchnorm(r, n, &m);
    else if (!map_binary(r, n, side, channel, &m))
        return true;
    if (conv == NULL && matmul == NULL && affine == NULL)
        return become_affine(r, n, &m);
    if (!(conv != NULL ? into_conv(r, conv, &m) : matmul != NULL ? into_matmul(r, matmul, &m) : into_affine(r, affine, &m)))
        return false;
    ln__rewrite_take_over(r, conv != NULL ? conv : matmul != NULL ? matmul : affine, n);
    return true;
}
