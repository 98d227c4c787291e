/* lower.c - nodes of a stage to steps: buffers, reorders, and which operation
 * is lowered how. */
#include "engine/plan.h"

#include <stdio.h>
#include <string.h>

const ln__node *ln__lower_node(const ln__plan *plan, int32_t node)
{
    return &plan->engine->graph->nodes[node];
}

const ln__tensor *ln__lower_type(const ln__plan *plan, int32_t value)
{
    return &plan->shapes->of[value];
}

ln_status ln__lower_nomem(ln__plan *plan, ln_error *err)
{
    return ln__fail_nomem(err, &plan->engine->ctx, plan->memory.total);
}

ln_status ln__dnn_fail(ln_error *err, const ln__plan *plan, int32_t node, ln__dnn_status status)
{
    ln_status st = ln__node_fail(err, ln__dnn_failure(status), plan->engine->graph, ln__lower_node(plan, node),
                                 "oneDNN: %s (%d)", ln__dnn_status_text(status), status);
    if (err)
        err->detail = status;
    return st;
}

/* ---- Steps and buffers ------------------------------------------------------------ */

ln__step *ln__lower_step(ln__plan *plan, ln__step_kind kind, int32_t node, int32_t n_in, int32_t n_out)
{
    if (!LN__RESERVE(&plan->engine->ctx, plan->steps, plan->cap_steps, plan->n_steps + 1))
        return NULL;
    int32_t *list = ln__arena_calloc(&plan->memory, (size_t)(n_in + n_out) + 1, sizeof *list);
    if (!list)
        return NULL;
    ln__step *step = &plan->steps[plan->n_steps++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    step->node = node;
    step->n_in = n_in;
    step->n_out = n_out;
    step->in = list;
    step->out = list + n_in;
    step->in_place = -1;
    step->scratch = -1;
    step->text = "";
    return step;
}

int32_t ln__lower_buffer(ln__plan *plan, size_t floats)
{
    if (!LN__RESERVE(&plan->engine->ctx, plan->buffers, plan->cap_buffers, plan->n_buffers + 1))
        return -1;
    int32_t id = (int32_t)plan->n_buffers++;
    plan->buffers[id] = (ln__storage){ .floats = LN__MAX(floats, 1), .root = id, .first = -1, .last = -1 };
    return id;
}

void ln__lower_text(ln__plan *plan, ln__step *step, const char *what, const ln__tensor *type, ln__layout layout)
{
    char line[256], shape[128];
    ln__shape_text(shape, type);
    int n = snprintf(line, sizeof line, "%s '%s' %s %s %s", ln__lower_node(plan, step->node)->type,
                     ln__lower_node(plan, step->node)->name, what, shape,
                     layout == LN__BLOCKED ? "blocked" : layout == LN__LAST ? "channels-last" : "plain");
    char *copy = n > 0 ? ln__arena_strndup(&plan->memory, line, LN__MIN((size_t)n, sizeof line - 1)) : NULL;
    step->text = copy ? copy : "";
}

ln_status ln__lower_scratch(ln__plan *plan, ln__step *step, size_t bytes, ln_error *err)
{
    if (bytes == 0)
        return LN_OK;
    step->scratch = ln__lower_buffer(plan, (bytes + sizeof(float) - 1) / sizeof(float));
    return step->scratch < 0 ? ln__lower_nomem(plan, err) : LN_OK;
}

/* ---- Values ---------------------------------------------------------------------------- */

static ln__layout assigned(const ln__plan *plan, int32_t value)
{
    return ln__layout_free(ln__lower_type(plan, value)) ? (ln__layout)plan->engine->layout[value] : LN__PLAIN;
}

static size_t value_floats(const ln__plan *plan, int32_t value, ln__layout layout)
{
    ln__view v = ln__layout_view(plan->engine, ln__lower_type(plan, value), layout);
    return (size_t)v.rows * ln__view_row_floats(&v);
}

static bool same_bytes(const ln__plan *plan, int32_t value, ln__layout a, ln__layout b)
{
    ln__view va = ln__layout_view(plan->engine, ln__lower_type(plan, value), a);
    ln__view vb = ln__layout_view(plan->engine, ln__lower_type(plan, value), b);
    return ln__layout_same_bytes(&va, &vb);
}

static ln_status reorder(ln__plan *plan, int32_t node, int32_t value, int32_t from, ln__layout from_layout,
                         int32_t to, ln__layout to_layout, ln_error *err)
{
    const ln__tensor *type = ln__lower_type(plan, value);
    ln__dnn_tensor x = ln__dnn_tensor_of(plan->engine, type, from_layout);
    ln__dnn_tensor y = ln__dnn_tensor_of(plan->engine, type, to_layout);
    ln__step *step = ln__lower_step(plan, LN__STEP_DNN, node, 1, 1);
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in[0] = from;
    step->out[0] = to;
    ln__dnn_status code = ln__dnn_describe_reorder(&step->op, plan->engine->dnn, &x, &y);
    if (code)
        return ln__dnn_fail(err, plan, node, code);
    ln__lower_text(plan, step, ln__dnn_name(step->op), type, to_layout);
    return ln__lower_scratch(plan, step, ln__dnn_scratch(step->op), err);
}

/* A constant read as a runtime value. */
static int32_t constant_buffer(ln__plan *plan, int32_t value)
{
    const ln__tensor *t = ln__lower_type(plan, value);
    const void *data = ln__tensor_aligned(t, &plan->memory);
    int32_t id = data ? ln__lower_buffer(plan, value_floats(plan, value, LN__PLAIN)) : -1;
    if (id < 0)
        return -1;
    plan->buffers[id].home = LN__HOME_CONST;
    plan->buffers[id].constant = data;
    plan->buffers[id].kept = true;
    return id;
}

ln_status ln__lower_input(int32_t *out, ln__plan *plan, int32_t node, int32_t value, ln__layout layout, ln_error *err)
{
    int32_t *of = plan->of[value], from = -1;
    if (of[LN__PLAIN] < 0 && of[LN__BLOCKED] < 0 && of[LN__LAST] < 0 && ln__is_constant(plan->shapes, value)
        && (of[LN__PLAIN] = constant_buffer(plan, value)) < 0)
        return ln__lower_nomem(plan, err);
    for (int l = LN__PLAIN; l <= LN__LAST; l++) {
        if (of[l] < 0)
            continue;
        if (same_bytes(plan, value, (ln__layout)l, layout))
            of[layout] = of[l];
        from = l;
    }
    if (from < 0)
        return ln__node_fail(err, LN_E_STATE, plan->engine->graph, ln__lower_node(plan, node),
                             "input '%s' is not made by this stage or an earlier one",
                             plan->engine->graph->values[value].name);
    if (of[layout] < 0) {
        int32_t source = of[from], to = ln__lower_buffer(plan, value_floats(plan, value, layout));
        if (to < 0)
            return ln__lower_nomem(plan, err);
        ln_status st = reorder(plan, node, value, source, (ln__layout)from, to, layout, err);
        if (st < 0)
            return st;
        of[layout] = to;
    }
    *out = of[layout];
    return LN_OK;
}

ln_status ln__lower_output(int32_t *out, ln__plan *plan, int32_t value, ln__layout layout, ln_error *err)
{
    *out = ln__lower_buffer(plan, value_floats(plan, value, layout));
    if (*out < 0)
        return ln__lower_nomem(plan, err);
    if (plan->out_index[value] >= 0 && same_bytes(plan, value, layout, assigned(plan, value))) {
        plan->buffers[*out].home = LN__HOME_OUT;
        plan->buffers[*out].index = plan->out_index[value];
    }
    return LN_OK;
}

ln_status ln__lower_done(ln__plan *plan, int32_t node, int32_t value, int32_t buffer, ln__layout layout, ln_error *err)
{
    ln__layout own = assigned(plan, value);
    plan->of[value][layout] = buffer;
    if (plan->out_index[value] < 0 || plan->buffers[buffer].home == LN__HOME_OUT)
        return LN_OK;
    int32_t to = ln__lower_buffer(plan, value_floats(plan, value, own));
    if (to < 0)
        return ln__lower_nomem(plan, err);
    plan->buffers[to].home = LN__HOME_OUT;
    plan->buffers[to].index = plan->out_index[value];
    ln_status st = reorder(plan, node, value, buffer, layout, to, own, err);
    plan->of[value][own] = to;
    return st;
}

/* ---- Posts that no kernel took in -------------------------------------------------------- */

static ln_status post_add(ln__plan *plan, int32_t node, const ln__post *post, const ln__post *after,
                          int32_t from, int32_t to, int32_t value, ln__layout layout, ln_error *err)
{
    int32_t other;
    ln_status st = ln__lower_input(&other, plan, node, post->value, layout, err);
    if (st < 0)
        return st;
    ln__step *step = ln__lower_step(plan, LN__STEP_KERNEL, node, 2, 1);
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in[0] = from;
    step->in[1] = other;
    step->out[0] = to;
    step->in_place = 0;
    step->kernel = ln__kernel_binary;
    step->job.kind = LN__ADD;
    if (after)
        ln__job_post(&step->job, after->unary, after->a, after->b);
    ln__view v = ln__layout_view(plan->engine, ln__lower_type(plan, value), layout);
    step->job.gx = step->job.gy = ln__grid_of(&v);
    step->job.count = (int64_t)value_floats(plan, value, layout);
    ln__lower_text(plan, step, "add", ln__lower_type(plan, value), layout);
    return LN_OK;
}

static ln_status post_unary(ln__plan *plan, int32_t node, const ln__post *post, int32_t from, int32_t to,
                            int32_t value, ln__layout layout, ln_error *err)
{
    ln__step *step = ln__lower_step(plan, LN__STEP_KERNEL, node, 1, 1);
    if (!step)
        return ln__lower_nomem(plan, err);
    step->in[0] = from;
    step->out[0] = to;
    step->in_place = 0;
    step->kernel = ln__kernel_unary;
    step->job.kind = post->unary;
    step->job.a = post->a;
    step->job.b = post->b;
    ln__view v = ln__layout_view(plan->engine, ln__lower_type(plan, value), layout);
    step->job.gx = step->job.gy = ln__grid_of(&v);
    step->job.count = (int64_t)value_floats(plan, value, layout);
    ln__lower_text(plan, step, "activation", ln__lower_type(plan, value), layout);
    return LN_OK;
}

ln_status ln__lower_posts(int32_t *buffer, ln__plan *plan, int32_t node, int32_t value, ln__layout layout,
                          int32_t first, ln_error *err)
{
    const ln__node *n = ln__lower_node(plan, node);
    for (int32_t i = first; i < n->n_post; i++) {
        const ln__post *post = &n->post[i];
        int32_t to;
        ln_status st = ln__lower_output(&to, plan, value, layout, err);
        if (st < 0)
            return st;
        plan->buffers[*buffer].home = LN__HOME_ARENA;
        if (post->kind == LN__POST_ADD) {
            const ln__post *after = i + 1 < n->n_post && n->post[i + 1].kind == LN__POST_UNARY ? post + 1 : NULL;
            st = post_add(plan, node, post, after, *buffer, to, value, layout, err);
            i += after != NULL;
        } else {
            st = post_unary(plan, node, post, *buffer, to, value, layout, err);
        }
        if (st < 0)
            return st;
        *buffer = to;
    }
    return LN_OK;
}

/* ---- A stage ------------------------------------------------------------------------------- */

static ln_status lower_node(ln__plan *plan, int32_t node, ln_error *err)
{
    switch (ln__lower_node(plan, node)->op) {
    case LN__CONV:     return ln__lower_conv(plan, node, err);
    case LN__MATMUL:   return ln__lower_matmul(plan, node, err);
    case LN__SOFTMAX:  return ln__lower_softmax(plan, node, err);
    case LN__LRN:      return ln__lower_lrn(plan, node, err);
    case LN__UNARY:    return ln__lower_unary(plan, node, err);
    case LN__BINARY:   return ln__lower_binary(plan, node, err);
    case LN__AFFINE:   return ln__lower_affine(plan, node, err);
    case LN__POOL:     return ln__lower_pool(plan, node, err);
    case LN__REDUCE:   return ln__lower_reduce(plan, node, err);
    case LN__CONCAT:   return ln__lower_concat(plan, node, err);
    case LN__SPLIT:    return ln__lower_split(plan, node, err);
    case LN__SLICE:    return ln__lower_slice(plan, node, err);
    case LN__PAD:      return ln__lower_pad(plan, node, err);
    case LN__RESHAPE: case LN__FLATTEN: case LN__SQUEEZE: case LN__UNSQUEEZE: case LN__IDENTITY:
        return ln__lower_alias(plan, node, err);
    default:           return ln__lower_evaluate(plan, node, err);
    }
}

static bool listed(const int32_t *list, int32_t n, int32_t value)
{
    for (int32_t i = 0; i < n; i++)
        if (list[i] == value)
            return true;
    return false;
}

static bool graph_input(const ln__graph *g, int32_t value)
{
    for (int32_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i].value == value)
            return true;
    return false;
}

static ln_status lower_inputs(ln__plan *plan, const ln__part *part, ln_error *err)
{
    for (int32_t i = 0; i < part->n_in; i++) {
        int32_t v = part->in[i];
        ln__layout layout = assigned(plan, v);
        int32_t id = ln__lower_buffer(plan, value_floats(plan, v, layout));
        if (id < 0)
            return ln__lower_nomem(plan, err);
        plan->buffers[id].home = LN__HOME_IN;
        plan->buffers[id].index = i;
        plan->buffers[id].kept = graph_input(plan->engine->graph, v) || listed(part->out, part->n_out, v);
        plan->of[v][layout] = id;
    }
    return LN_OK;
}

/* Outputs that are constants, or an input under its own name. */
static ln_status lower_constants_out(ln__plan *plan, const ln__part *part, ln_error *err)
{
    for (int32_t i = 0; i < part->n_out; i++) {
        int32_t v = part->out[i], from, node = part->n_order ? part->order[0] : 0;
        if (!ln__is_constant(plan->shapes, v))
            continue;
        ln_status st = ln__lower_input(&from, plan, node, v, LN__PLAIN, err);
        if (st < 0)
            return st;
        ln__step *step = ln__lower_step(plan, LN__STEP_COPY, node, 1, 1);
        int32_t to = step ? ln__lower_buffer(plan, plan->buffers[from].floats) : -1;
        if (to < 0)
            return ln__lower_nomem(plan, err);
        plan->buffers[to].home = LN__HOME_OUT;
        plan->buffers[to].index = i;
        step->in[0] = from;
        step->out[0] = to;
        step->job.gx.rows = 1;
        step->job.count = (int64_t)plan->buffers[to].floats;
        ln__lower_text(plan, step, "copy", ln__lower_type(plan, v), LN__PLAIN);
    }
    return LN_OK;
}

ln_status ln__lower(ln__plan *plan, const ln__part *part, ln_error *err)
{
    const ln__graph *g = plan->engine->graph;
    plan->of = ln__arena_alloc(&plan->memory, ((size_t)g->n_values + 1) * sizeof *plan->of);
    plan->out_index = ln__arena_alloc(&plan->memory, ((size_t)g->n_values + 1) * sizeof *plan->out_index);
    if (!plan->of || !plan->out_index)
        return ln__lower_nomem(plan, err);
    memset(plan->of, 0xff, (size_t)g->n_values * sizeof *plan->of);
    memset(plan->out_index, 0xff, (size_t)g->n_values * sizeof *plan->out_index);
    for (int32_t i = 0; i < part->n_out; i++)
        if (!listed(part->in, part->n_in, part->out[i]))
            plan->out_index[part->out[i]] = i;

    ln_status st = lower_inputs(plan, part, err);
    for (int32_t i = 0; st >= 0 && i < part->n_order; i++) {
        const ln__node *node = &g->nodes[part->order[i]];
        bool wanted = false;
        for (int32_t k = 0; k < node->n_out; k++)
            wanted = wanted || (node->out[k] != LN__NO_VALUE && !ln__is_constant(plan->shapes, node->out[k]));
        if (wanted)
            st = lower_node(plan, part->order[i], err);
    }
    return st < 0 ? st : lower_constants_out(plan, part, err);
}
