/* Reductions over any axes. Neighbouring dimensions of one kind (kept, reduced)
 * are merged; the input is then read once in order. */
#include "graph/graph_loops.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

typedef struct folded {
    int32_t rank;
    int64_t dim[LN__MAX_RANK], to[LN__MAX_RANK];    /* `to`: stride in the result, 0: reduced */
    int64_t kept, reduced;                          /* elements of the result, and for each of them */
} folded;

static void fold_dims(folded *f, const ln__node *node, const ln__tensor *const *in)
{
    const ln__tensor *x = in[0];
    bool mask[LN__MAX_RANK], kind[LN__MAX_RANK];
    int64_t stride = 1;

    (void)ln__reduce_mask(mask, node, in);
    *f = (folded){ .kept = 1, .reduced = 1 };
    for (int32_t d = 0; d < x->rank; d++) {
        if (mask[d])
            f->reduced *= x->dim[d];
        else
            f->kept *= x->dim[d];
        if (x->dim[d] == 1)
            continue;
        if (f->rank > 0 && kind[f->rank - 1] == mask[d]) {
            f->dim[f->rank - 1] *= x->dim[d];
        } else {
            kind[f->rank] = mask[d];
            f->dim[f->rank++] = x->dim[d];
        }
    }
    if (f->rank == 0) {
        f->rank = 1;
        f->dim[0] = 1;
        kind[0] = false;
    }
    for (int32_t d = f->rank; d-- > 0;) {
        f->to[d] = kind[d] ? 0 : stride;
        stride *= kind[d] ? 1 : f->dim[d];
    }
}

/* How elements are gathered; what each kind does before and after is in evaluate. */
typedef enum gather { ADD, ADD_ABS, ADD_SQUARE, ADD_EXP, TIMES, MOST, LEAST } gather;

#define ROW(body)                                                       \
    for (; i + LANES <= n; i += LANES)                                  \
        for (int l = 0; l < LANES; l++) { float v = x[i + l]; float *t = &lane[l]; body; } \
    for (; i < n; i++) { float v = x[i]; float *t = &lane[0]; body; }

/* Many sums side by side: fast, and more exact than one long one. */
static float gather_row(gather how, const float *x, int64_t n, float before, float shift)
{
    float lane[LANES], sum;
    int64_t i = 0;

    for (int l = 0; l < LANES; l++)
        lane[l] = how == TIMES ? 1.0f : how == MOST ? -INFINITY : how == LEAST ? INFINITY : 0.0f;
    switch (how) {
    case ADD:        ROW(*t += v) break;
    case ADD_ABS:    ROW(*t += fabsf(v)) break;
    case ADD_SQUARE: ROW(*t += v * v) break;
    case ADD_EXP:    ROW(*t += expf(v - shift)) break;
    case TIMES:      ROW(*t *= v) break;
    case MOST:       ROW(*t = v > *t || v != v ? v : *t) break;
    case LEAST:      ROW(*t = v < *t || v != v ? v : *t) break;
    }
    sum = before;
    for (int l = 0; l < LANES; l++) {
        float v = lane[l];
        sum = how == TIMES ? sum * v : how == MOST ? (v > sum || v != v ? v : sum)
            : how == LEAST ? (v < sum || v != v ? v : sum) : sum + v;
    }
    return sum;
}

static void gather_rows(gather how, const float *x, float *y, const float *shift, int64_t n)
{
    switch (how) {
    case ADD:        for (int64_t i = 0; i < n; i++) y[i] += x[i]; break;
    case ADD_ABS:    for (int64_t i = 0; i < n; i++) y[i] += fabsf(x[i]); break;
    case ADD_SQUARE: for (int64_t i = 0; i < n; i++) y[i] += x[i] * x[i]; break;
    case ADD_EXP:    for (int64_t i = 0; i < n; i++) y[i] += expf(x[i] - shift[i]); break;
    case TIMES:      for (int64_t i = 0; i < n; i++) y[i] *= x[i]; break;
    case MOST:       for (int64_t i = 0; i < n; i++) y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i]; break;
    case LEAST:      for (int64_t i = 0; i < n; i++) y[i] = x[i] < y[i] || x[i] != x[i] ? x[i] : y[i]; break;
    }
}

static void gather_all(gather how, const folded *f, const float *x, float *y, const float *shift)
{
    int64_t index[LN__MAX_RANK] = { 0 };
    int32_t last = f->rank - 1;
    float start = how == TIMES ? 1.0f : how == MOST ? -INFINITY : how == LEAST ? INFINITY : 0.0f;

    for (int64_t i = 0; i < f->kept; i++)
        y[i] = start;
    if (f->kept == 0 || f->reduced == 0)
        return;
    do {
        int64_t at = 0;
        for (int32_t d = 0; d < last; d++)
            at += index[d] * f->to[d];
        if (f->to[last] == 0)
            y[at] = gather_row(how, x, f->dim[last], y[at], shift != NULL ? shift[at] : 0.0f);
        else
            gather_rows(how, x, y + at, shift != NULL ? shift + at : NULL, f->dim[last]);
        x += f->dim[last];
    } while (ln__next_index(index, f->dim, last));
}

/* The largest element is taken out before the exponentials are summed. */
static void log_sum_exp(const folded *f, const float *x, float *y, float *most)
{
    gather_all(MOST, f, x, most, NULL);
    for (int64_t i = 0; i < f->kept; i++)
        if (isinf(most[i]))
            most[i] = 0.0f;
    gather_all(ADD_EXP, f, x, y, most);
    for (int64_t i = 0; i < f->kept; i++)
        y[i] = logf(y[i]) + most[i];
}

static void reduce_i64(const ln__node *node, const folded *f, const int64_t *x, int64_t *y)
{
    ln__reduce kind = node->u.reduce.kind;
    int64_t index[LN__MAX_RANK] = { 0 };

    for (int64_t i = 0; i < f->kept; i++)
        y[i] = kind == LN__PROD ? 1 : kind == LN__MAX ? INT64_MIN : kind == LN__MIN ? INT64_MAX : 0;
    if (f->kept == 0 || f->reduced == 0)
        return;
    do {
        int64_t at = 0, v = *x++;
        for (int32_t d = 0; d < f->rank; d++)
            at += index[d] * f->to[d];
        if (kind == LN__PROD)
            y[at] = (int64_t)((uint64_t)y[at] * (uint64_t)v);
        else if (kind == LN__SUM)
            y[at] = (int64_t)((uint64_t)y[at] + (uint64_t)v);
        else
            y[at] = kind == LN__MAX ? LN__MAX(y[at], v) : LN__MIN(y[at], v);
    } while (ln__next_index(index, f->dim, f->rank));
}

size_t ln__reduce_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out)
{
    (void)in;
    return node->u.reduce.kind == LN__LOG_SUM_EXP ? (size_t)ln__tensor_count(out) * sizeof(float) : 0;
}

LN__EVALUATOR(reduce)
{
    static const gather how[LN__REDUCE_COUNT] = {
        [LN__MEAN] = ADD, [LN__SUM] = ADD, [LN__MAX] = MOST, [LN__MIN] = LEAST, [LN__L1] = ADD_ABS, [LN__L2] = ADD_SQUARE,
        [LN__SUM_SQUARE] = ADD_SQUARE, [LN__PROD] = TIMES, [LN__LOG_SUM] = ADD, [LN__LOG_SUM_EXP] = ADD_EXP,
    };
    ln__reduce kind = node->u.reduce.kind;
    float *y = (float *)(uintptr_t)out[0].data;
    folded f;

    fold_dims(&f, node, in);
    if (out[0].dtype == LN__I64) {
        reduce_i64(node, &f, in[0]->data, (int64_t *)(uintptr_t)out[0].data);
        return;
    }
    if (kind == LN__LOG_SUM_EXP) {
        log_sum_exp(&f, in[0]->data, y, scratch);
        return;
    }
    gather_all(how[kind], &f, in[0]->data, y, NULL);
    for (int64_t i = 0; i < f.kept; i++) {
        if (kind == LN__MEAN)
            y[i] = y[i] / (float)f.reduced;
        else if (kind == LN__L2)
            y[i] = sqrtf(y[i]);
        else if (kind == LN__LOG_SUM)
            y[i] = logf(y[i]);
    }
}
