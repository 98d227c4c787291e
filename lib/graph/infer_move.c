/* Types of what moves, repeats or leaves out elements. */
#include "graph/graph_internal.h"

#include <math.h>
#include <string.h>

ln_status ln__infer_expand(const ln__infer *c)
{
    ln__tensor target = { .dtype = c->in[0]->dtype };
    char a[128], b[128];
    ln_status st = ln__need_ints(c, 1, target.dim, LN__MAX_RANK, &target.rank);

    if (st < 0)
        return st;
    for (int32_t d = 0; d < target.rank; d++)
        if (target.dim[d] < 0)
            return LN__REFUSE(c, LN_E_FORMAT, "a dimension of %lld", (long long)target.dim[d]);
    if (!ln__broadcast_shape(c->in[0], &target, &c->out[0]))
        return LN__REFUSE(c, LN_E_FORMAT, "%s cannot be expanded to %s", ln__shape_text(a, c->in[0]), ln__shape_text(b, &target));
    c->out[0].dtype = c->in[0]->dtype;
    return LN_OK;
}

ln_status ln__infer_tile(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    int64_t repeats[LN__MAX_RANK];
    int32_t n;
    ln_status st = ln__need_ints(c, 1, repeats, LN__MAX_RANK, &n);

    if (st < 0)
        return st;
    if (n != x->rank)
        return LN__REFUSE(c, LN_E_FORMAT, "%d repeats for %d dimensions", (int)n, (int)x->rank);
    c->out[0].dtype = x->dtype;
    c->out[0].rank = n;
    for (int32_t d = 0; d < n; d++)
        if (repeats[d] < 0 || !ln__mul_i64(x->dim[d], repeats[d], &c->out[0].dim[d]))
            return LN__REFUSE(c, LN_E_LIMIT, "repeats dimension %d %lld times", (int)d, (long long)repeats[d]);
    return LN_OK;
}

ln_status ln__infer_transpose(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    const int64_t *perm = c->node->u.transpose.perm;
    int32_t n = c->node->u.transpose.n_perm;
    bool seen[LN__MAX_RANK] = { false };

    if (n != 0 && n != x->rank)
        return LN__REFUSE(c, LN_E_FORMAT, "perm has %d numbers for %d dimensions", (int)n, (int)x->rank);
    c->out[0].dtype = x->dtype;
    c->out[0].rank = x->rank;
    for (int32_t d = 0; d < x->rank; d++) {
        int64_t from = n == 0 ? x->rank - 1 - d : perm[d];
        if (from < 0 || from >= x->rank || seen[from])
            return LN__REFUSE(c, LN_E_FORMAT, "perm has %lld twice or out of range for %d dimensions", (long long)from, (int)x->rank);
        seen[from] = true;
        c->out[0].dim[d] = x->dim[from];
    }
    return LN_OK;
}

ln_status ln__infer_concat(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__tensor *y = &c->out[0];
    int64_t axis = c->node->u.axis.axis;
    char a[128], b[128];
    ln_status st = ln__need_axis(c, &axis, x->rank);

    if (st < 0)
        return st;
    *y = *x;
    y->data = NULL;
    for (int32_t i = 1; i < c->node->n_in; i++) {
        ln__tensor other = *c->in[i];
        int64_t more = axis < other.rank ? other.dim[axis] : 0;
        if (axis < other.rank)
            other.dim[axis] = y->dim[axis];
        if (other.dtype != y->dtype || !ln__same_shape(&other, y))
            return LN__REFUSE(c, LN_E_FORMAT, "input %d of shape %s does not go beside %s on axis %lld", (int)i,
                              ln__shape_text(a, c->in[i]), ln__shape_text(b, x), (long long)axis);
        y->dim[axis] += more;       /* each is at most 2^48: INT32_MAX of them fit */
    }
    return LN_OK;
}

static ln_status split_given(const ln__infer *c, int64_t total, int64_t *sum, int32_t axis)
{
    const ln__tensor *sizes = c->in[1];
    char text[128];

    if (sizes->dtype != LN__I64 || sizes->rank != 1 || sizes->dim[0] != c->node->n_out)
        return LN__REFUSE(c, LN_E_FORMAT, "sizes have shape %s for %d outputs", ln__shape_text(text, sizes), (int)c->node->n_out);
    for (int32_t i = 0; i < c->node->n_out; i++) {
        int64_t size;
        memcpy(&size, (const char *)sizes->data + (size_t)i * sizeof size, sizeof size);
        if (size < 0 || size > total)
            return LN__REFUSE(c, LN_E_FORMAT, "a part of %lld of %lld", (long long)size, (long long)total);
        c->out[i].dim[axis] = size;
        *sum += size;
    }
    return LN_OK;
}

ln_status ln__infer_split(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    const ln__node *n = c->node;
    int64_t axis = n->u.split.axis, sum = 0, part;
    ln_status st = ln__need_axis(c, &axis, x->rank);

    if (st < 0)
        return st;
    for (int32_t i = 0; i < n->n_out; i++) {
        c->out[i] = *x;
        c->out[i].data = NULL;
    }
    if (n->n_in > 1 && c->in[1] != NULL) {
        if ((st = split_given(c, x->dim[axis], &sum, (int32_t)axis)) < 0)
            return st;
    } else {
        if (n->u.split.num_outputs != 0 && n->u.split.num_outputs != n->n_out)
            return LN__REFUSE(c, LN_E_FORMAT, "num_outputs is %lld, there are %d", (long long)n->u.split.num_outputs, (int)n->n_out);
        if (n->u.split.num_outputs == 0 && x->dim[axis] % n->n_out != 0)
            return LN__REFUSE(c, LN_E_FORMAT, "%lld cannot be split into %d equal parts", (long long)x->dim[axis], (int)n->n_out);
        part = (x->dim[axis] + n->n_out - 1) / n->n_out;
        for (int32_t i = 0; i < n->n_out; i++) {
            c->out[i].dim[axis] = LN__MAX(LN__MIN(part, x->dim[axis] - sum), 0);
            sum += c->out[i].dim[axis];
        }
    }
    if (sum != x->dim[axis])
        return LN__REFUSE(c, LN_E_FORMAT, "parts make %lld of %lld", (long long)sum, (long long)x->dim[axis]);
    return LN_OK;
}

/* The numbers of one dimension: ONNX clamps like Python, but a start below the first element is the first; an
 * end of -1 after clamping means "before the first" where the step is negative. */
static bool slice_dimension(int64_t start, int64_t end, int64_t step, int64_t dim, int64_t *from, int64_t *count)
{
    if (step == 0 || step == INT64_MIN)
        return false;
    if (start < 0)
        start = LN__MAX(start, -dim) + dim;
    if (end < 0)
        end = end < -dim ? -1 : end + dim;
    if (step > 0) {
        start = LN__MIN(start, dim);
        end = LN__MIN(LN__MAX(end, 0), dim);
        *count = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        start = LN__MIN(start, dim - 1);
        end = LN__MIN(end, dim - 1);
        *count = start > end ? (start - end - 1) / -step + 1 : 0;
    }
    *from = start;
    return true;
}

bool ln__slice_resolve(ln__slice_range *out, const ln__tensor *const *in, int32_t n_in)
{
    const ln__tensor *x = in[0];
    int64_t start[LN__MAX_RANK], end[LN__MAX_RANK], axes[LN__MAX_RANK], step[LN__MAX_RANK];
    int32_t n, n_end, n_axes, n_step;
    bool seen[LN__MAX_RANK] = { false };

    if (!ln__tensor_ints(in[1], start, LN__MAX_RANK, &n) || !ln__tensor_ints(in[2], end, LN__MAX_RANK, &n_end) || n != n_end)
        return false;
    for (int32_t d = 0; d < LN__MAX_RANK; d++) {
        axes[d] = d;
        step[d] = 1;
        out->start[d] = 0;
        out->step[d] = 1;
        out->count[d] = d < x->rank ? x->dim[d] : 0;
    }
    if (n_in > 3 && in[3] != NULL && (!ln__tensor_ints(in[3], axes, LN__MAX_RANK, &n_axes) || n_axes != n))
        return false;
    if (n_in > 4 && in[4] != NULL && (!ln__tensor_ints(in[4], step, LN__MAX_RANK, &n_step) || n_step != n))
        return false;
    for (int32_t i = 0; i < n; i++) {
        int64_t d = axes[i] < 0 ? axes[i] + x->rank : axes[i];
        if (d < 0 || d >= x->rank || seen[d])
            return false;
        seen[d] = true;
        out->step[d] = step[i];
        if (!slice_dimension(start[i], end[i], step[i], x->dim[d], &out->start[d], &out->count[d]))
            return false;
    }
    return true;
}

ln_status ln__infer_slice(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__slice_range range;

    if (!ln__slice_resolve(&range, c->in, c->node->n_in))
        return LN__REFUSE(c, LN_E_FORMAT, "starts, ends, axes and steps must be lists of one length, axes different and in range, steps not 0");
    c->out[0].dtype = x->dtype;
    c->out[0].rank = x->rank;
    memcpy(c->out[0].dim, range.count, sizeof range.count);
    return LN_OK;
}

ln_status ln__infer_gather(const ln__infer *c)
{
    const ln__tensor *x = c->in[0], *index = c->in[1];
    ln__tensor *y = &c->out[0];
    int64_t axis = c->node->u.axis.axis, n;
    ln_status st = ln__need_axis(c, &axis, x->rank);

    if (st < 0)
        return st;
    if (index->dtype != LN__I64 || x->rank - 1 + index->rank > LN__MAX_RANK)
        return LN__REFUSE(c, LN_E_FORMAT, "indices must be integers, and the result has at most %d dimensions", (int)LN__MAX_RANK);
    n = ln__tensor_count(index);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = ((const int64_t *)index->data)[i];
        if (at < -x->dim[axis] || at >= x->dim[axis])
            return LN__REFUSE(c, LN_E_FORMAT, "index %lld is out of range for %lld", (long long)at, (long long)x->dim[axis]);
    }
    y->dtype = x->dtype;
    for (int32_t d = 0; d < axis; d++)
        y->dim[y->rank++] = x->dim[d];
    for (int32_t d = 0; d < index->rank; d++)
        y->dim[y->rank++] = index->dim[d];
    for (int32_t d = (int32_t)axis + 1; d < x->rank; d++)
        y->dim[y->rank++] = x->dim[d];
    return LN_OK;
}

bool ln__pad_resolve(ln__pad_range *out, const ln__tensor *const *in, int32_t n_in)
{
    int32_t rank = in[0]->rank, n, n_axes = rank;
    int64_t pads[2 * LN__MAX_RANK], axes[LN__MAX_RANK];
    bool seen[LN__MAX_RANK] = { false };

    if (!ln__tensor_ints(in[1], pads, 2 * LN__MAX_RANK, &n))
        return false;
    for (int32_t d = 0; d < LN__MAX_RANK; d++) {
        axes[d] = d;
        out->begin[d] = out->end[d] = 0;
    }
    if (n_in > 3 && in[3] != NULL && !ln__tensor_ints(in[3], axes, LN__MAX_RANK, &n_axes))
        return false;
    if (n != 2 * n_axes)
        return false;
    for (int32_t i = 0; i < n_axes; i++) {
        int64_t d = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (d < 0 || d >= rank || seen[d])
            return false;
        seen[d] = true;
        out->begin[d] = pads[i];
        out->end[d] = pads[n_axes + i];
    }
    return true;
}

ln_status ln__infer_pad(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    ln__pad_range range;
    int mode = c->node->u.pad.mode;

    if (!ln__pad_resolve(&range, c->in, c->node->n_in))
        return LN__REFUSE(c, LN_E_FORMAT, "pads must be two numbers for each axis, axes different and in range");
    if (c->node->n_in > 2 && c->in[2] != NULL && (c->in[2]->dtype != x->dtype || ln__tensor_count(c->in[2]) != 1))
        return LN__REFUSE(c, LN_E_FORMAT, "the value to pad with must be one number of the input's type");
    c->out[0].dtype = x->dtype;
    c->out[0].rank = x->rank;
    for (int32_t d = 0; d < x->rank; d++) {
        int64_t more = LN__MAX(range.begin[d], range.end[d]), *dim = &c->out[0].dim[d];
        if (!ln__add_i64(x->dim[d], range.begin[d], dim) || !ln__add_i64(*dim, range.end[d], dim) || *dim < 0)
            return LN__REFUSE(c, LN_E_FORMAT, "pads %lld and %lld on a dimension of %lld", (long long)range.begin[d],
                              (long long)range.end[d], (long long)x->dim[d]);
        if ((mode == LN__PAD_REFLECT && more > LN__MAX(x->dim[d] - 1, 0)) ||
            (mode != LN__PAD_CONSTANT && more > 0 && x->dim[d] == 0))
            return LN__REFUSE(c, LN_E_FORMAT, "pads of %lld are too much for mode %s on a dimension of %lld", (long long)more,
                              mode == LN__PAD_REFLECT ? "reflect" : "edge or wrap", (long long)x->dim[d]);
    }
    return LN_OK;
}

static ln_status depth_space_input(const ln__infer *c)
{
    ln_status st;

    if ((st = ln__need_rank(c, 0, 4, 4)) < 0)
        return st;
    if (c->node->u.depth_space.block < 1 || c->node->u.depth_space.block > 65535)
        return LN__REFUSE(c, LN_E_FORMAT, "blocksize is %lld", (long long)c->node->u.depth_space.block);
    return LN_OK;
}

ln_status ln__infer_depth_to_space(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    int64_t b = c->node->u.depth_space.block;
    ln_status st = depth_space_input(c);

    if (st < 0)
        return st;
    if (x->dim[1] % (b * b) != 0)
        return LN__REFUSE(c, LN_E_FORMAT, "%lld channels are no multiple of %lld squared", (long long)x->dim[1], (long long)b);
    c->out[0] = (ln__tensor){ .dtype = x->dtype, .rank = 4, .dim = { x->dim[0], x->dim[1] / (b * b) } };
    if (!ln__mul_i64(x->dim[2], b, &c->out[0].dim[2]) || !ln__mul_i64(x->dim[3], b, &c->out[0].dim[3]))
        return LN__REFUSE(c, LN_E_LIMIT, "a picture of %lld by %lld times %lld", (long long)x->dim[2], (long long)x->dim[3], (long long)b);
    return LN_OK;
}

ln_status ln__infer_space_to_depth(const ln__infer *c)
{
    const ln__tensor *x = c->in[0];
    int64_t b = c->node->u.depth_space.block;
    ln_status st = depth_space_input(c);

    if (st < 0)
        return st;
    if (x->dim[2] % b != 0 || x->dim[3] % b != 0)
        return LN__REFUSE(c, LN_E_FORMAT, "a picture of %lld by %lld is no multiple of %lld", (long long)x->dim[2],
                          (long long)x->dim[3], (long long)b);
    c->out[0] = (ln__tensor){ .dtype = x->dtype, .rank = 4, .dim = { x->dim[0], 0, x->dim[2] / b, x->dim[3] / b } };
    if (!ln__mul_i64(x->dim[1], b * b, &c->out[0].dim[1]))
        return LN__REFUSE(c, LN_E_LIMIT, "%lld channels times %lld squared", (long long)x->dim[1], (long long)b);
    return LN_OK;
}

ln_status ln__infer_resize(const ln__infer *c)
{
    ln__resize_scale scale;
    const char *why = "";
    char text[128];
    ln_status st;

    if ((st = ln__need_f32(c, 0)) < 0)
        return st;
    if (!ln__resize_resolve(&scale, &c->out[0], c->node, c->in, &why))
        return LN__REFUSE(c, LN_E_FORMAT, "an input of shape %s: %s", ln__shape_text(text, c->in[0]), why);
    return LN_OK;
}
