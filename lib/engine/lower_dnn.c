/* lower_dnn.c - operations done by oneDNN: convolution, matrix product,
 * softmax, local response normalisation. */
#include "engine/plan.h"

#include <string.h>

/* Rows up to which a dense layer reads its weights where they lie. */
enum { DENSE_ROWS = 8 };

ln__dnn_tensor ln__dnn_tensor_of(const ln__engine *engine, const ln__tensor *type, ln__layout layout)
{
    ln__dnn_tensor t = { .rank = type->rank, .order = LN__ROW_MAJOR };
    memcpy(t.dim, type->dim, sizeof t.dim);
    if (layout == LN__BLOCKED)
        t.order = engine->block;
    else if (layout == LN__LAST)
        t.order = LN__CHANNELS_LAST;
    return t;
}

/* ---- Convolution --------------------------------------------------------------------- */

int32_t ln__conv_fusable(const ln__node *node)
{
    int32_t n = 0;
    bool added = false;
    for (; n < node->n_post && ln__dnn_fuses(&node->post[n]); n++) {
        if (node->post[n].kind == LN__POST_ADD && added)
            break;
        added = added || node->post[n].kind == LN__POST_ADD;
    }
    return n;
}

/* A first convolution of few channels is read as it comes. */
static ln__layout input_layout(const ln__engine *engine, const ln__tensor *x, const ln__node *node, char choice)
{
    ln__layout layout = ln__layout_of_choice(engine, choice);
    bool plain = engine->layout[node->in[0]] == LN__PLAIN;
    return layout == LN__BLOCKED && plain && x->dim[1] <= 3 && node->u.conv.group == 1 ? LN__PLAIN : layout;
}

ln__dnn_status ln__conv_describe(ln__dnn_op **out, ln__conv_shape *s, const ln__engine *engine,
                                 const ln__node *node, const ln__shapes *shapes, char choice, int32_t n_post)
{
    int64_t sizes[LN__MAX_SPATIAL];
    s->x = &shapes->of[node->in[0]];
    s->y = &shapes->of[node->out[0]];
    s->y_layout = ln__layout_of_choice(engine, choice);
    s->x_layout = input_layout(engine, s->x, node, choice);
    ln__node_window(&s->window, sizes, node, s->x, &shapes->of[node->in[1]]);
    memcpy(s->pad_begin, s->window.pad_begin, sizeof s->pad_begin);
    memcpy(s->pad_end, s->window.pad_end, sizeof s->pad_end);

    ln__dnn_conv c = { .x = ln__dnn_tensor_of(engine, s->x, s->x_layout),
                       .y = ln__dnn_tensor_of(engine, s->y, s->y_layout), .group = node->u.conv.group,
                       .window = &s->window, .pad_begin = s->pad_begin, .pad_end = s->pad_end,
                       .bias = node->n_in > 2 && node->in[2] != LN__NO_VALUE,
                       .post = node->post, .n_post = n_post };
    return ln__dnn_describe_conv(out, engine->dnn, &c);
}

/* The kernel the choice asks for with all posts, or the nearest there is. */
static ln__dnn_status find_conv(ln__dnn_op **op, ln__conv_shape *shape, int32_t *n_post, ln__plan *plan, int32_t node)
{
    static const char order[] = { LN__DIRECT, LN__NHWC, LN__ROWS };
    const ln__node *n = ln__lower_node(plan, node);
    char choice = plan->engine->choice[node], tries[8];
    int32_t fusable = ln__conv_fusable(n), count = 0;
    ln__dnn_status code = 0;

    tries[count++] = choice;
    for (size_t i = 0; i < LN__COUNT(order); i++)
        tries[count++] = order[i];
    for (int32_t i = 0; i < count; i++) {
        int32_t posts[2] = { fusable, 0 };
        for (int32_t k = 0; k < (fusable ? 2 : 1); k++) {
            code = ln__conv_describe(op, shape, plan->engine, n, plan->shapes, tries[i], posts[k]);
            *n_post = posts[k];
            if (!code && (!ln__dnn_is_reference(*op) || i + 1 == count))
                return code;
            if (code && ln__dnn_failure(code) == LN_E_NOMEM)    /* another kernel would only hide it */
                return code;
            if (!code && i + 1 < count)
                ln__dnn_op_free(*op);
            else if (code && !ln__dnn_unimplemented(code) && i + 1 == count)
                return code;
        }
    }
    return code;
}

static ln_status conv_weights(ln__step *step, ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *scale = n->n_in > 3 && n->in[3] != LN__NO_VALUE ? ln__lower_type(plan, n->in[3]) : NULL;
    ln__dnn_status code;
    ln_status st = ln__weights_get(&step->weights, plan->engine, node, step->op, ln__lower_type(plan, n->in[1]),
                                   scale, false, &code);
    if (st == LN_E_BACKEND)
        return ln__dnn_fail(err, plan, node, code);
    if (!st && n->n_in > 2 && n->in[2] != LN__NO_VALUE) {
        const ln__tensor *bias = ln__lower_type(plan, n->in[2]);
        st = ln__weights_vector(&step->bias, plan->engine, node, 2, bias, bias->dim[0], 1.0F);
    }
    return st < 0 ? ln__lower_nomem(plan, err) : LN_OK;
}

/* A sum adds to what the output holds: the operand is copied there, or, where
 * nobody needs it any more, the output takes its place. */
static ln_status copy_operand(ln__plan *plan, int32_t node, int32_t n_post, int32_t y, ln__layout layout, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    for (int32_t i = 0; i < n_post; i++) {
        int32_t from;
        if (n->post[i].kind != LN__POST_ADD)
            continue;
        ln_status st = ln__lower_input(&from, plan, node, n->post[i].value, layout, err);
        if (st < 0)
            return st;
        ln__step *step = ln__lower_step(plan, LN__STEP_COPY, node, 1, 1);
        if (!step)
            return ln__lower_nomem(plan, err);
        step->in[0] = from;
        step->out[0] = y;
        step->job.gx.rows = 1;
        step->job.count = (int64_t)plan->buffers[y].floats;
        ln__lower_text(plan, step, "copy", ln__lower_type(plan, n->out[0]), layout);
    }
    return LN_OK;
}

static bool has_add(const ln__node *node, int32_t n_post)
{
    for (int32_t i = 0; i < n_post; i++)
        if (node->post[i].kind == LN__POST_ADD)
            return true;
    return false;
}

static ln_status conv_step(int32_t *y, ln__dnn_op *op, ln__plan *plan, int32_t node, const ln__conv_shape *shape,
                           int32_t n_post, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    int32_t x;
    ln_status st = ln__lower_input(&x, plan, node, n->in[0], shape->x_layout, err);
    if (st >= 0)
        st = ln__lower_output(y, plan, n->out[0], shape->y_layout, err);
    if (st >= 0)
        st = copy_operand(plan, node, n_post, *y, shape->y_layout, err);
    ln__step *step = st < 0 ? NULL : ln__lower_step(plan, LN__STEP_DNN, node, 1, 1);
    if (!step) {
        ln__dnn_op_free(op);
        return st < 0 ? st : ln__lower_nomem(plan, err);
    }
    step->op = op;
    step->in[0] = x;
    step->out[0] = *y;
    step->reads_out = has_add(n, n_post);
    ln__lower_text(plan, step, ln__dnn_name(op), shape->y, shape->y_layout);
    st = conv_weights(step, plan, node, err);
    return st < 0 ? st : ln__lower_scratch(plan, step, ln__dnn_scratch(op), err);
}

ln_status ln__lower_conv(ln__plan *plan, int32_t node, ln_error *err)
{
    ln__conv_shape shape;
    ln__dnn_op *op = NULL;
    int32_t n_post = 0, y;
    if (ln__tile_available(plan->engine, ln__lower_node(plan, node), plan->shapes, plan->engine->choice[node]))
        return ln__lower_tile(plan, node, err);
    ln__dnn_status code = find_conv(&op, &shape, &n_post, plan, node);
    if (code)
        return ln__dnn_fail(err, plan, node, code);
    ln_status st = conv_step(&y, op, plan, node, &shape, n_post, err);
    int32_t value = ln__lower_node(plan, node)->out[0];
    if (st >= 0)
        st = ln__lower_posts(&y, plan, node, value, shape.y_layout, n_post, err);
    return st < 0 ? st : ln__lower_done(plan, node, value, y, shape.y_layout, err);
}

/* ---- Matrix product ---------------------------------------------------------------------- */

/* c as a vector along the result's last dimension. */
static bool vector_operand(const ln__tensor *c, const ln__tensor *y)
{
    int64_t n;
    return c->data && c->dtype == LN__F32 && ln__tensor_elements(c, &n) && n == y->dim[y->rank - 1]
        && c->rank >= 1 && c->dim[c->rank - 1] == n;
}

static ln_status matmul_bias(const float **out, ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    *out = NULL;
    if (n->n_in < 3 || n->in[2] == LN__NO_VALUE || n->u.matmul.beta == 0.0F)
        return LN_OK;
    const ln__tensor *c = ln__lower_type(plan, n->in[2]);
    ln_status st = ln__weights_vector(out, plan->engine, node, 2, c, c->dim[c->rank - 1], n->u.matmul.beta);
    return st < 0 ? ln__lower_nomem(plan, err) : LN_OK;
}

/* A few rows by constant [outputs][inputs]. */
static ln_status lower_dense(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *w = ln__lower_type(plan, n->in[1]);
    int32_t x, y, taken = 0;
    const float *bias;
    ln_status st = ln__lower_input(&x, plan, node, n->in[0], LN__PLAIN, err);
    if (st >= 0) st = ln__lower_output(&y, plan, n->out[0], LN__PLAIN, err);
    if (st >= 0) st = matmul_bias(&bias, plan, node, err);
    if (st < 0)
        return st;
    ln__step *step = ln__lower_step(plan, LN__STEP_KERNEL, node, 1, 1);
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in[0] = x;
    step->out[0] = y;
    step->kernel = ln__kernel_dense;
    step->busy = w->dim[0] * w->dim[1] > 65536;
    step->job.weights = w->data;
    step->job.bias = bias;
    step->job.alpha = n->u.matmul.alpha;
    step->job.m = ln__lower_type(plan, n->in[0])->dim[0];
    step->job.n = w->dim[0];
    step->job.k = w->dim[1];
    if (n->n_post && n->post[0].kind == LN__POST_UNARY) {
        ln__job_post(&step->job, n->post[0].unary, n->post[0].a, n->post[0].b);
        taken = 1;
    }
    ln__lower_text(plan, step, "dense", ln__lower_type(plan, n->out[0]), LN__PLAIN);
    st = ln__lower_posts(&y, plan, node, n->out[0], LN__PLAIN, taken, err);
    return st < 0 ? st : ln__lower_done(plan, node, n->out[0], y, LN__PLAIN, err);
}

/* Operands as oneDNN's matmul wants them; ranks completed with ones in front. */
static ln__dnn_tensor matmul_operand(const ln__tensor *t, int32_t rank, bool transposed)
{
    ln__dnn_tensor m = { .rank = rank, .order = LN__ROW_MAJOR, .transposed = transposed };
    for (int32_t i = 0; i < rank; i++) {
        int32_t at = i - (rank - t->rank);
        m.dim[i] = at >= 0 ? t->dim[at] : 1;
    }
    if (transposed) {
        int64_t swap = m.dim[rank - 1];
        m.dim[rank - 1] = m.dim[rank - 2];
        m.dim[rank - 2] = swap;
    }
    return m;
}

/* [..., k] to [rows, k]. */
static void collapse(ln__tensor *t)
{
    int64_t rows = 1;
    for (int32_t i = 0; i + 1 < t->rank; i++)
        rows *= t->dim[i];
    t->dim[1] = t->dim[t->rank - 1];
    t->dim[0] = rows;
    t->rank = 2;
}

static bool matmul_fits(const ln__plan *plan, const ln__node *n)
{
    const ln__tensor *a = ln__lower_type(plan, n->in[0]), *b = ln__lower_type(plan, n->in[1]);
    const ln__tensor *y = ln__lower_type(plan, n->out[0]);
    bool plus = n->n_in > 2 && n->in[2] != LN__NO_VALUE && n->u.matmul.beta != 0.0F;
    return a->rank >= 2 && b->rank >= 2 && y->rank >= 2 && y->rank <= 6 && a->rank <= y->rank && b->rank <= y->rank
        && n->u.matmul.alpha == 1.0F && (!plus || vector_operand(ln__lower_type(plan, n->in[2]), y));
}

static ln_status matmul_step(int32_t y, ln__dnn_op *op, ln__plan *plan, int32_t node, bool packed, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    int32_t x, w = -1;
    const float *bias = NULL;
    const void *weights = NULL;
    ln__dnn_status code = 0;
    ln_status st = ln__lower_input(&x, plan, node, n->in[0], LN__PLAIN, err);
    if (st >= 0 && !packed)
        st = ln__lower_input(&w, plan, node, n->in[1], LN__PLAIN, err);
    if (st >= 0)
        st = matmul_bias(&bias, plan, node, err);
    if (st >= 0 && packed) {
        st = ln__weights_get(&weights, plan->engine, node, op, ln__lower_type(plan, n->in[1]), NULL,
                             n->u.matmul.trans_b, &code);
        if (st < 0)
            st = code ? ln__dnn_fail(err, plan, node, code) : ln__lower_nomem(plan, err);
    }
    ln__step *step = st < 0 ? NULL : ln__lower_step(plan, LN__STEP_DNN, node, packed ? 1 : 2, 1);
    if (!step) {
        ln__dnn_op_free(op);
        return st < 0 ? st : ln__lower_nomem(plan, err);
    }
    step->op = op;
    step->in[0] = x;
    if (!packed)
        step->in[1] = w;
    step->out[0] = y;
    step->bias = bias;
    step->weights = weights;
    ln__lower_text(plan, step, ln__dnn_name(op), ln__lower_type(plan, n->out[0]), LN__PLAIN);
    return ln__lower_scratch(plan, step, ln__dnn_scratch(op), err);
}

ln_status ln__lower_matmul(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *a = ln__lower_type(plan, n->in[0]), *b = ln__lower_type(plan, n->in[1]);
    const ln__tensor *y = ln__lower_type(plan, n->out[0]);
    bool plus = n->n_in > 2 && n->in[2] != LN__NO_VALUE && n->u.matmul.beta != 0.0F;
    bool vector = !plus || vector_operand(ln__lower_type(plan, n->in[2]), y);
    ln__dnn_op *op = NULL;
    int32_t to;

    if (a->rank == 2 && b->rank == 2 && b->data && vector && !n->u.matmul.trans_a && n->u.matmul.trans_b
        && a->dim[0] <= DENSE_ROWS && b->dim[0] > 0 && b->dim[1] > 0)
        return lower_dense(plan, node, err);
    if (!matmul_fits(plan, n))
        return ln__lower_evaluate(plan, node, err);

    bool flat = b->rank == 2 && (y->rank == 2 || !n->u.matmul.trans_a), packed = b->data && flat;
    ln__tensor rows = *a, result = *y;
    if (flat && y->rank > 2) {
        collapse(&rows);
        collapse(&result);
    }
    ln__dnn_tensor ma = matmul_operand(&rows, result.rank, n->u.matmul.trans_a);
    ln__dnn_tensor mb = matmul_operand(b, result.rank, n->u.matmul.trans_b);
    ln__dnn_tensor my = matmul_operand(&result, result.rank, false);
    if (packed)
        mb.order = LN__ANY_ORDER;
    ln__dnn_status code = ln__dnn_describe_matmul(&op, plan->engine->dnn, &ma, &mb, &my, plus);
    if (ln__dnn_unimplemented(code))
        return ln__lower_evaluate(plan, node, err);
    if (code)
        return ln__dnn_fail(err, plan, node, code);
    ln_status st = ln__lower_output(&to, plan, n->out[0], LN__PLAIN, err);
    if (st < 0)
        ln__dnn_op_free(op);
    else
        st = matmul_step(to, op, plan, node, packed, err);
    if (st >= 0)
        st = ln__lower_posts(&to, plan, node, n->out[0], LN__PLAIN, 0, err);
    return st < 0 ? st : ln__lower_done(plan, node, n->out[0], to, LN__PLAIN, err);
}

/* ---- Softmax, local response normalisation -------------------------------------------------- */

/* One input, one output, both in `layout`; frees op on failure. */
static ln_status simple_step(ln__dnn_op *op, ln__plan *plan, int32_t node, ln__layout layout, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    int32_t x, y;
    ln_status st = ln__lower_input(&x, plan, node, n->in[0], layout, err);
    if (st >= 0)
        st = ln__lower_output(&y, plan, n->out[0], layout, err);
    ln__step *step = st < 0 ? NULL : ln__lower_step(plan, LN__STEP_DNN, node, 1, 1);
    if (!step) {
        ln__dnn_op_free(op);
        return st < 0 ? st : ln__lower_nomem(plan, err);
    }
    step->op = op;
    step->in[0] = x;
    step->out[0] = y;
    ln__lower_text(plan, step, ln__dnn_name(op), ln__lower_type(plan, n->out[0]), layout);
    st = ln__lower_scratch(plan, step, ln__dnn_scratch(op), err);
    return st < 0 ? st : ln__lower_done(plan, node, n->out[0], y, layout, err);
}

ln_status ln__lower_softmax(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *x = ln__lower_type(plan, n->in[0]);
    int32_t axis = (int32_t)(n->u.softmax.axis < 0 ? n->u.softmax.axis + x->rank : n->u.softmax.axis);
    ln__dnn_tensor t = { .rank = 2, .dim = { 1, 1 }, .order = LN__ROW_MAJOR };
    ln__dnn_op *op = NULL;

    for (int32_t i = 0; i < x->rank; i++)
        t.dim[i >= axis] *= x->dim[i];
    if (!n->u.softmax.flattened)
        for (int32_t i = axis + 1; i < x->rank; i++)
            if (x->dim[i] != 1)
                return ln__lower_evaluate(plan, node, err);
    ln__dnn_status code = ln__dnn_describe_softmax(&op, plan->engine->dnn, &t, 1, n->u.softmax.log);
    if (!code && ln__dnn_is_reference(op)) {
        ln__dnn_op_free(op);
        return ln__lower_evaluate(plan, node, err);
    }
    return code ? ln__lower_evaluate(plan, node, err) : simple_step(op, plan, node, LN__PLAIN, err);
}

ln_status ln__lower_lrn(ln__plan *plan, int32_t node, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    const ln__tensor *x = ln__lower_type(plan, n->in[0]);
    ln__layout first = ln__layout_working(plan->engine, n), tries[] = { first, LN__BLOCKED, LN__LAST, LN__PLAIN };

    /* Of an even window oneDNN leaves one channel out. */
    for (size_t i = 0; i < LN__COUNT(tries) && x->rank == 4 && n->u.lrn.size % 2 != 0; i++) {
        ln__dnn_op *op = NULL;
        ln__dnn_tensor t = ln__dnn_tensor_of(plan->engine, x, tries[i]);
        if (ln__dnn_describe_lrn(&op, plan->engine->dnn, &t, n->u.lrn.size, n->u.lrn.alpha, n->u.lrn.beta, n->u.lrn.bias))
            continue;
        if (!ln__dnn_is_reference(op))
            return simple_step(op, plan, node, tries[i], err);
        ln__dnn_op_free(op);
    }
    return ln__lower_evaluate(plan, node, err);
}
