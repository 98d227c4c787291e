/* lower_ops.c - operations done by our own kernels, and by the general
 * evaluator where there is none. */
#include "engine/plan.h"

#include <string.h>

enum { BUSY = 16384, SMALL = 4096 };    /* floats worth sharing; floats the evaluator may take */

static ln__view view_of(const ln__plan *plan, int32_t value, ln__layout layout)
{
    return ln__layout_view(plan->engine, ln__lower_type(plan, value), layout);
}

static int64_t floats_of(const ln__plan *plan, int32_t value, ln__layout layout)
{
    ln__view v = view_of(plan, value, layout);
    return v.rows * (int64_t)ln__view_row_floats(&v);
}

/* A kernel's step from x (and other) to value, grids filled in. */
static ln__step *kernel_step(ln__plan *plan, int32_t node, ln__kernel kernel, int32_t x_value, int32_t x,
                             int32_t other, int32_t y_value, int32_t y, ln__layout layout, const char *what)
{
    ln__step *step = ln__lower_step(plan, LN__STEP_KERNEL, node, other >= 0 ? 2 : 1, 1);
    if (!step)
        return NULL;
    step->in[0] = x;
    if (other >= 0)
        step->in[1] = other;
    step->out[0] = y;
    step->kernel = kernel;
    ln__view vx = view_of(plan, x_value, layout), vy = view_of(plan, y_value, layout);
    step->job.gx = ln__grid_of(&vx);
    step->job.gy = ln__grid_of(&vy);
    step->job.count = floats_of(plan, y_value, layout);
    step->busy = LN__MAX(step->job.count, floats_of(plan, x_value, layout)) >= BUSY;
    ln__lower_text(plan, step, what, ln__lower_type(plan, y_value), layout);
    return step;
}

/* Input and output buffers of a one-to-one operation. */
static ln_status ends(int32_t *x, int32_t *y, ln__plan *plan, int32_t node, int32_t in, int32_t out, ln__layout layout, ln_error *err)
{
    ln_status st = ln__lower_input(x, plan, node, in, layout, err);
    return st < 0 ? st : ln__lower_output(y, plan, out, layout, err);
}

/* Lets the step just made do the first post where it is a unary, adds steps for the others. */
static ln_status finish(ln__plan *plan, ln__step *step, int32_t y, ln__layout layout, ln_error *err)
{
    int32_t node = step->node, taken = 0;
    const ln__node *n = ln__lower_node(plan, node);
    if (n->n_post && n->post[0].kind == LN__POST_UNARY) {
        ln__job_post(&step->job, n->post[0].unary, n->post[0].a, n->post[0].b);
        taken = 1;
    }
    ln_status st = ln__lower_posts(&y, plan, node, n->out[0], layout, taken, err);
    return st < 0 ? st : ln__lower_done(plan, node, n->out[0], y, layout, err);
}

ln_status ln__lower_unary(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    ln__layout layout = ln__layout_working(plan->engine, n);
    int32_t x, y;
    if (ln__lower_type(plan, n->in[0])->dtype != LN__F32)
        return ln__lower_evaluate(plan, node, err);
    ln_status st = ends(&x, &y, plan, node, n->in[0], n->out[0], layout, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_unary, n->in[0], x, -1, n->out[0], y, layout, "activation");
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in_place = 0;
    step->job.kind = n->u.unary.kind;
    step->job.a = n->u.unary.a;
    step->job.b = n->u.unary.b;
    return ln__lower_done(plan, node, n->out[0], y, layout, err);
}

/* ---- Two operands ------------------------------------------------------------------ */

/* The channel operand: a packed constant, or a value in the working layout; one of a rank less has its channels in front, plain. */
static ln_status channel_operand(const float **constant, int32_t *buffer, ln__plan *plan, int32_t node, int32_t input,
                                 ln__layout layout, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *b = ln__lower_type(plan, n->in[input]);
    ln__view y = view_of(plan, n->out[0], layout);
    *constant = NULL;
    *buffer = -1;
    if (!b->data) {
        bool alike = b->rank == ln__lower_type(plan, n->out[0])->rank;
        return ln__lower_input(buffer, plan, node, n->in[input], alike ? layout : LN__PLAIN, err);
    }
    int64_t floats = (y.channels + 15) / 16 * 16;
    ln_status st = ln__weights_vector(constant, plan->engine, node, input, b, floats, 1.0F);
    return st < 0 ? ln__lower_nomem(plan, err) : LN_OK;
}

static ln_status lower_channel(ln__plan *plan, int32_t node, int32_t big, bool scalar, ln__layout layout, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *b = ln__lower_type(plan, n->in[!big]);
    int32_t x, y, other;
    const float *constant;
    ln_status st = channel_operand(&constant, &other, plan, node, !big, layout, err);
    if (st >= 0)
        st = ends(&x, &y, plan, node, n->in[big], n->out[0], layout, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_channel, n->in[big], x, other, n->out[0], y, layout, "by channel");
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in_place = 0;
    step->job.kind = n->u.binary.kind;
    step->job.swapped = big == 1;
    step->job.other = constant;
    step->job.other_step = scalar ? 0 : step->job.gx.lanes;
    if (!b->data && !scalar && b->rank == ln__lower_type(plan, n->out[0])->rank && b->dim[0] > 1) {
        ln__view v = view_of(plan, n->in[!big], layout);
        step->job.other_row = (int64_t)ln__view_row_floats(&v);
    }
    return finish(plan, step, y, layout, err);
}

ln_status ln__lower_binary(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    ln__layout layout = ln__layout_working(plan->engine, n);
    int32_t big = 0, x, other, y, form = ln__binary_form(n, plan->shapes, &big);

    if (form == LN__BINARY_CHANNEL || form == LN__BINARY_SCALAR)
        return lower_channel(plan, node, big, form == LN__BINARY_SCALAR, layout, err);
    if (form == LN__BINARY_SLOW)
        return ln__lower_evaluate(plan, node, err);
    ln_status st = ln__lower_input(&other, plan, node, n->in[1], layout, err);
    if (st >= 0)
        st = ends(&x, &y, plan, node, n->in[0], n->out[0], layout, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_binary, n->in[0], x, other, n->out[0], y, layout, "element by element");
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in_place = 0;
    step->job.kind = n->u.binary.kind;
    return finish(plan, step, y, layout, err);
}

ln_status ln__lower_affine(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    ln__layout layout = ln__layout_working(plan->engine, n);
    const ln__tensor *type = ln__lower_type(plan, n->in[0]);
    if (type->rank < 2 || type->rank > 5)
        return ln__lower_evaluate(plan, node, err);
    int64_t floats = (type->dim[1] + 15) / 16 * 16;
    const float *scale = NULL, *shift = NULL;
    int32_t x, y;
    ln_status st = ln__weights_vector(&scale, plan->engine, node, 1, ln__lower_type(plan, n->in[1]), floats, 1.0F);
    if (st >= 0)
        st = ln__weights_vector(&shift, plan->engine, node, 2, ln__lower_type(plan, n->in[2]), floats, 1.0F);
    if (st < 0)
        return ln__lower_nomem(plan, err);
    st = ends(&x, &y, plan, node, n->in[0], n->out[0], layout, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_affine, n->in[0], x, -1, n->out[0], y, layout, "scale");
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in_place = 0;
    step->job.scale = scale;
    step->job.shift = shift;
    return finish(plan, step, y, layout, err);
}

/* ---- Pooling, reduction --------------------------------------------------------------- */

/* The window spread over three dimensions, missing ones in front. True if it covers the input once. */
static bool pool_sizes(ln__job *job, const ln__node *node, const ln__tensor *x, const ln__tensor *y)
{
    ln__window w;
    int64_t sizes[LN__MAX_SPATIAL];
    bool whole = true;
    ln__node_window(&w, sizes, node, x, NULL);
    for (int32_t i = 0; i < 3; i++) {
        int32_t at = i - (3 - w.spatial);
        job->kernel[i] = at < 0 ? 1 : w.kernel[at];
        job->stride[i] = at < 0 ? 1 : w.stride[at];
        job->dilation[i] = at < 0 ? 1 : w.dilation[at];
        job->begin[i] = at < 0 ? 0 : w.pad_begin[at];
        job->end[i] = at < 0 ? 0 : w.pad_end[at];
        job->in[i] = at < 0 ? 1 : x->dim[at + 2];
        job->out[i] = at < 0 ? 1 : y->dim[at + 2];
        whole = whole && job->out[i] == 1 && job->kernel[i] == job->in[i] && job->begin[i] == 0
             && job->end[i] == 0 && job->dilation[i] == 1;
    }
    return whole;
}

ln_status ln__lower_pool(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    ln__layout layout = ln__layout_working(plan->engine, n);
    const ln__tensor *type = ln__lower_type(plan, n->in[0]);
    int32_t x, y;
    if (type->rank < 3 || type->rank > 5 || type->dtype != LN__F32 || n->n_out > 1)
        return ln__lower_evaluate(plan, node, err);
    ln_status st = ends(&x, &y, plan, node, n->in[0], n->out[0], layout, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_pool, n->in[0], x, -1, n->out[0], y, layout, "pool");
    if (!step)
        return ln__lower_nomem(plan, err);
    bool whole = pool_sizes(&step->job, n, type, ln__lower_type(plan, n->out[0]));
    step->job.average = n->u.pool.average;
    step->job.count_padding = n->u.pool.average && n->u.pool.count_include_pad;
    if (whole) {
        step->kernel = ln__kernel_reduce;
        step->job.kind = n->u.pool.average ? LN__MEAN : LN__MAX;
    }
    ln_status done = ln__lower_posts(&y, plan, node, n->out[0], layout, 0, err);
    return done < 0 ? done : ln__lower_done(plan, node, n->out[0], y, layout, err);
}

ln_status ln__lower_reduce(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    if (!ln__reduces_pixels(n, plan->shapes))
        return ln__lower_evaluate(plan, node, err);
    ln__layout layout = ln__layout_working(plan->engine, n);
    const ln__tensor *result = ln__lower_type(plan, n->out[0]);
    /* [N, C] without pixels is always plain: so must its input be where blocks have padding. */
    bool ragged = result->rank == 2 && layout == LN__BLOCKED && result->dim[1] % plan->engine->block != 0;
    ln__layout out = result->rank == 2 ? LN__PLAIN : layout;
    int32_t x, y;
    if (ragged)
        layout = LN__PLAIN;
    ln_status st = ln__lower_input(&x, plan, node, n->in[0], layout, err);
    if (st >= 0)
        st = ln__lower_output(&y, plan, n->out[0], out, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_reduce, n->in[0], x, -1, n->out[0], y, layout, "reduce");
    if (!step)
        return ln__lower_nomem(plan, err);
    step->job.kind = n->u.reduce.kind;
    return ln__lower_done(plan, node, n->out[0], y, out, err);
}

/* ---- Concatenation, slices, padding -------------------------------------------------------- */

ln_status ln__lower_concat(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *type = ln__lower_type(plan, n->out[0]);
    int64_t axis = n->u.axis.axis < 0 ? n->u.axis.axis + type->rank : n->u.axis.axis;
    ln__layout layout = ln__layout_working(plan->engine, n);
    int32_t y;
    if (axis != 1 || type->rank > 5 || type->dtype != LN__F32)
        return ln__lower_evaluate(plan, node, err);
    ln__view vy = view_of(plan, n->out[0], layout);
    int64_t row = (int64_t)ln__view_row_floats(&vy), at = 0;
    ln_status st = ln__lower_output(&y, plan, n->out[0], layout, err);
    for (int32_t i = 0; st >= 0 && i < n->n_in; i++) {
        ln__view v = view_of(plan, n->in[i], layout);
        int64_t size = (int64_t)ln__view_row_floats(&v);
        int32_t x;
        st = ln__lower_input(&x, plan, node, n->in[i], layout, err);
        ln__step *step = st < 0 ? NULL : ln__lower_step(plan, LN__STEP_COPY, node, 1, 1);
        if (!step)
            return st < 0 ? st : ln__lower_nomem(plan, err);
        step->in[0] = x;
        step->out[0] = y;
        /* Channels-last: a row of the copy is a pixel. */
        bool last = layout == LN__LAST && vy.spatial > 1;
        step->job.gx.rows = last ? v.rows * v.spatial : v.rows;
        step->job.count = step->job.x_step = last ? v.channels : size;
        step->job.y_step = last ? vy.channels : row;
        step->to_offset = (size_t)at;
        step->busy = v.rows * size >= BUSY;
        ln__lower_text(plan, step, "copy", ln__lower_type(plan, n->in[i]), layout);
        at += last ? v.channels : size;
    }
    return st < 0 ? st : ln__lower_done(plan, node, n->out[0], y, layout, err);
}

static ln_status lower_window(ln__plan *plan, int32_t node, const ln__job *window, int32_t value, const char *what, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    ln__layout layout = ln__layout_working(plan->engine, n);
    int32_t x, y;
    ln_status st = ends(&x, &y, plan, node, n->in[0], value, layout, err);
    if (st < 0)
        return st;
    ln__step *step = kernel_step(plan, node, ln__kernel_window, n->in[0], x, -1, value, y, layout, what);
    if (!step)
        return ln__lower_nomem(plan, err);
    memcpy(step->job.stride, window->stride, sizeof window->stride);
    memcpy(step->job.begin, window->begin, sizeof window->begin);
    memcpy(step->job.in, window->in, sizeof window->in);
    memcpy(step->job.out, window->out, sizeof window->out);
    step->job.channel_begin = window->channel_begin;
    step->job.channel_step = window->channel_step;
    step->job.fill = window->fill;
    return ln__lower_done(plan, node, value, y, layout, err);
}

ln_status ln__lower_slice(ln__plan *plan, int32_t node, ln_error *err)
{
    ln__job window = { 0 };
    const ln__node *n = ln__lower_node(plan, node);
    if (!ln__window_of_slice(&window, n, plan->shapes))
        return ln__lower_evaluate(plan, node, err);
    return lower_window(plan, node, &window, n->out[0], "slice", err);
}

ln_status ln__lower_pad(ln__plan *plan, int32_t node, ln_error *err)
{
    ln__job window = { 0 };
    const ln__node *n = ln__lower_node(plan, node);
    if (!ln__window_of_pad(&window, n, plan->shapes))
        return ln__lower_evaluate(plan, node, err);
    return lower_window(plan, node, &window, n->out[0], "pad", err);
}

ln_status ln__lower_split(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *x = ln__lower_type(plan, n->in[0]);
    int64_t axis = n->u.axis.axis < 0 ? n->u.axis.axis + x->rank : n->u.axis.axis, at = 0;
    if (!ln__split_is_window(n, plan->shapes))
        return ln__lower_evaluate(plan, node, err);
    for (int32_t i = 0; i < n->n_out; i++) {
        const ln__tensor *y = ln__lower_type(plan, n->out[i]);
        ln__job window = { .channel_step = 1 };
        for (int32_t k = 0; k < 3; k++) {
            int32_t d = k - (5 - x->rank);
            window.in[k] = d >= 0 && x->rank > 2 ? x->dim[d + 2] : 1;
            window.out[k] = d >= 0 && y->rank > 2 ? y->dim[d + 2] : 1;
            window.stride[k] = 1;
        }
        if (axis == 1)
            window.channel_begin = at;
        else
            window.begin[axis - 2 + 5 - x->rank] = -at;
        ln_status st = lower_window(plan, node, &window, n->out[i], "split", err);
        if (st < 0)
            return st;
        at += y->dim[axis];
    }
    return LN_OK;
}

/* ---- Other shapes of the same numbers ---------------------------------------------------------- */

ln_status ln__lower_alias(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    int32_t x, y;
    ln_status st = ends(&x, &y, plan, node, n->in[0], n->out[0], LN__PLAIN, err);
    ln__step *step = st < 0 ? NULL : ln__lower_step(plan, LN__STEP_COPY, node, 1, 1);
    if (!step)
        return st < 0 ? st : ln__lower_nomem(plan, err);
    step->in[0] = x;
    step->out[0] = y;
    step->job.gx.rows = 1;
    step->job.count = (int64_t)plan->buffers[y].floats;
    ln__lower_text(plan, step, "copy", ln__lower_type(plan, n->out[0]), LN__PLAIN);
    return ln__lower_done(plan, node, n->out[0], y, LN__PLAIN, err);
}

/* ---- The general evaluator ------------------------------------------------------------------------ */

/* The node without its posts, which become steps of their own. */
static const ln__node *bare_node(ln__plan *plan, const ln__node *n)
{
    if (!n->n_post)
        return n;
    ln__node *copy = ln__arena_alloc(&plan->memory, sizeof *copy);
    if (copy) {
        *copy = *n;
        copy->n_post = 0;
    }
    return copy;
}

static ln_status evaluate_types(ln__plan *plan, ln__step *step, const ln__node *n, ln_error *err)
{
    size_t count = (size_t)(n->n_in + n->n_out);
    step->types = ln__arena_calloc(&plan->memory, count + 1, sizeof *step->types);
    step->arguments = ln__arena_calloc(&plan->memory, (size_t)n->n_in + 1, sizeof *step->arguments);
    if (!step->types || !step->arguments)
        return ln__lower_nomem(plan, err);
    for (int32_t i = 0; i < n->n_in; i++) {
        if (n->in[i] == LN__NO_VALUE)
            continue;
        step->types[i] = *ln__lower_type(plan, n->in[i]);
        step->arguments[i] = &step->types[i];
        if (step->types[i].data && !(step->types[i].data = ln__tensor_aligned(&step->types[i], &plan->memory)))
            return ln__lower_nomem(plan, err);
    }
    for (int32_t i = 0; i < n->n_out; i++)
        if (n->out[i] != LN__NO_VALUE)
            step->types[n->n_in + i] = *ln__lower_type(plan, n->out[i]);
    return LN_OK;
}

ln_status ln__lower_evaluate(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    int64_t most = 0;
    ln_status st = LN_OK;
    if (!ln__op_evaluable(n->op))
        return ln__node_fail(err, LN_E_UNSUPPORTED, plan->engine->graph, n, "no kernel can run it in this form");

    int32_t *buffers = ln__arena_calloc(&plan->memory, (size_t)(n->n_in + n->n_out) + 1, sizeof *buffers);
    if (!buffers)
        return ln__lower_nomem(plan, err);
    for (int32_t i = 0; st >= 0 && i < n->n_in; i++) {
        buffers[i] = -1;
        if (n->in[i] == LN__NO_VALUE || ln__is_constant(plan->shapes, n->in[i]))
            continue;
        st = ln__lower_input(&buffers[i], plan, node, n->in[i], LN__PLAIN, err);
        most = LN__MAX(most, floats_of(plan, n->in[i], LN__PLAIN));
    }
    for (int32_t i = 0; st >= 0 && i < n->n_out; i++) {
        buffers[n->n_in + i] = -1;
        if (n->out[i] == LN__NO_VALUE)
            continue;
        st = ln__lower_output(&buffers[n->n_in + i], plan, n->out[i], LN__PLAIN, err);
        most = LN__MAX(most, floats_of(plan, n->out[i], LN__PLAIN));
    }
    ln__step *step = st < 0 ? NULL : ln__lower_step(plan, LN__STEP_EVALUATE, node, n->n_in, n->n_out);
    if (!step)
        return st < 0 ? st : ln__lower_nomem(plan, err);
    memcpy(step->in, buffers, (size_t)n->n_in * sizeof *buffers);
    memcpy(step->out, buffers + n->n_in, (size_t)n->n_out * sizeof *buffers);
    step->reference = most > SMALL;
    step->evaluate = bare_node(plan, n);
    ln__lower_text(plan, step, "general", ln__lower_type(plan, n->out[0]), LN__PLAIN);
    st = step->evaluate ? evaluate_types(plan, step, n, err) : ln__lower_nomem(plan, err);
    if (st >= 0)
        st = ln__lower_scratch(plan, step, ln__node_scratch(step->evaluate, step->arguments, step->types + n->n_in), err);
    if (st >= 0 && n->n_post)
        st = ln__lower_posts(&buffers[n->n_in], plan, node, n->out[0], LN__PLAIN, 0, err);
    for (int32_t i = 0; st >= 0 && i < n->n_out; i++)
        if (n->out[i] != LN__NO_VALUE)
            st = ln__lower_done(plan, node, n->out[i], buffers[n->n_in + i], LN__PLAIN, err);
    return st;
}
