/* final.c - the last linear layer replaced by one for other classes (DESIGN 3.2). */
#include "model/model.h"

#include <string.h>

static bool is_shape_work(ln__op op)
{
    return op == LN__RESHAPE || op == LN__FLATTEN || op == LN__SQUEEZE || op == LN__UNSQUEEZE ||
           op == LN__IDENTITY || op == LN__SHAPE || op == LN__GATHER || op == LN__CONCAT ||
           op == LN__SLICE || op == LN__CAST;
}

static int32_t users_of(const ln__graph *graph, int32_t value)
{
    int32_t users = 0;

    for (int32_t n = 0; n < graph->n_nodes; n++)
        for (int32_t i = 0; i < graph->nodes[n].n_in; i++)
            users += graph->nodes[n].in[i] == value;
    return users;
}

/* The node that reads `value`, if it is the only one. */
static int32_t only_user(const ln__graph *graph, int32_t value)
{
    for (int32_t n = 0; n < graph->n_nodes && users_of(graph, value) == 1; n++)
        for (int32_t i = 0; i < graph->nodes[n].n_in; i++)
            if (graph->nodes[n].in[i] == value)
                return n;
    return -1;
}

/* Where the bias stands: third input, or a constant added right behind. */
static bool find_bias(const ln__graph *graph, const ln__node *node, ln__final *final)
{
    int64_t n;

    final->bias_node = -1;
    if (node->n_in > 2 && node->in[2] != LN__NO_VALUE) {
        const ln__tensor *bias = graph->values[node->in[2]].constant;
        final->bias_node = final->node;
        final->bias_input = 2;
        return bias && ln__tensor_elements(bias, &n) && n == final->outputs;
    }
    int32_t next = only_user(graph, node->out[0]);
    if (next < 0 || graph->nodes[next].op != LN__BINARY || graph->nodes[next].u.binary.kind != LN__ADD)
        return true;
    for (int32_t i = 0; i < 2; i++) {
        const ln__tensor *c = graph->values[graph->nodes[next].in[i]].constant;
        if (c && ln__tensor_elements(c, &n) && n == final->outputs) {
            final->bias_node = next;
            final->bias_input = i;
        }
    }
    return true;
}

static int32_t bias_value(const ln_model *model)
{
    const ln__final *f = &model->final;
    return f->bias_node < 0 ? LN__NO_VALUE : model->graph->nodes[f->bias_node].in[f->bias_input];
}

static ln_status locate(ln__final *final, const ln_model *model, ln_error *err)
{
    const ln__graph *graph = model->graph;

    memset(final, 0, sizeof *final);
    final->node = ln__graph_classifier(graph);
    if (final->node < 0)
        return ln__fail(err, LN_E_UNSUPPORTED, "%s: no linear layer before '%s' whose classes could be replaced",
                        graph->file, graph->values[model->output].name);
    const ln__node *node = &graph->nodes[final->node];
    const ln__tensor *w = graph->values[node->in[1]].constant;
    bool conv = node->op == LN__CONV;
    if (!w || users_of(graph, node->in[1]) != 1 || (conv ? node->u.conv.group != 1 : w->rank != 2) ||
        (!conv && (node->u.matmul.trans_a || node->u.matmul.alpha != 1.0f || node->u.matmul.beta != 1.0f)))
        return ln__node_fail(err, LN_E_UNSUPPORTED, graph, node,
                             "its classes cannot be replaced: a plain linear layer with weights of its own is needed");
    final->outputs_first = conv || node->u.matmul.trans_b;
    final->outputs = (int32_t)w->dim[final->outputs_first ? 0 : 1];
    final->inputs = (int32_t)w->dim[final->outputs_first ? 1 : 0];
    final->weight = *w;
    if (!find_bias(graph, node, final))
        return ln__node_fail(err, LN_E_UNSUPPORTED, graph, node,
                             "its classes cannot be replaced: its bias has not one number for each of %d classes", final->outputs);
    return LN_OK;
}

/* The network's own tensor but for the number of outputs, zeros. */
static ln_status blank(ln__tensor *tensor, const ln__ctx *ctx, int64_t was, int64_t classes, ln_error *err)
{
    int64_t n;

    for (int32_t d = 0; d < tensor->rank; d++)
        if (tensor->dim[d] == was) {
            tensor->dim[d] = classes;
            break;
        }
    tensor->data = NULL;
    if (ln__tensor_elements(tensor, &n))
        tensor->data = ln__calloc(ctx, (size_t)n, sizeof(float));
    return tensor->data ? LN_OK : ln__fail_nomem(err, ctx, (size_t)classes);
}

static void put_constants(ln_model *model, const ln__tensor *weight, const ln__tensor *bias)
{
    ln__graph *graph = model->graph;

    graph->values[graph->nodes[model->final.node].in[1]].constant = weight;
    if (bias_value(model) != LN__NO_VALUE)
        graph->values[bias_value(model)].constant = bias;
}

/* Exits behind the last layer would read other shapes than their heads were made for. */
static ln_status check_exits(const ln_model *model, const ln__shapes *shapes, ln_error *err)
{
    for (uint32_t e = 0; e < model->n_exits; e++) {
        const ln__tensor *was = &model->one_row->of[model->exits[e].value], *is = &shapes->of[model->exits[e].value];
        for (int32_t d = 0; d < was->rank; d++)
            if (was->dim[d] != is->dim[d])
                return ln__fail(err, LN_E_STATE, "exit %u at '%s' stands behind the last layer, whose classes are to change", e,
                                model->exits[e].value_name);
    }
    return LN_OK;
}

static ln_status shapes_again(ln_model *model, uint32_t classes, ln_error *err)
{
    ln__shapes *shapes;
    ln_status st = ln__shapes_infer(&shapes, model->graph, 1, err);

    if (st < 0)
        return st;
    if (shapes->of[model->output].dim[1] != classes) {
        ln__shapes_free(shapes, &model->ctx);
        return ln__fail(err, LN_E_UNSUPPORTED, "%s: what follows the last linear layer does not take %u classes",
                        model->graph->file, classes);
    }
    st = check_exits(model, shapes, err);
    if (st < 0) {
        ln__shapes_free(shapes, &model->ctx);
        return st;
    }
    ln__shapes_free(model->one_row, &model->ctx);
    model->one_row = shapes;
    model->network_classes = classes;
    model->plain = (ln__cost){ 0, 0 };
    for (int32_t n = 0; n < model->graph->n_nodes; n++) {
        ln__cost cost = ln__node_cost(model->graph, model->one_row, n);
        model->plain.params += cost.params;
        model->plain.macs += cost.macs;
    }
    return LN_OK;
}

ln_status ln__final_replace(ln_model *model, uint32_t classes, ln_error *err)
{
    ln__final final, before = model->final;
    ln_status st;

    if (before.replaced)
        return ln__fail(err, LN_E_STATE, "the last linear layer was replaced already, for %u classes",
                        model->network_classes);
    st = locate(&final, model, err);
    if (st < 0)
        return st;
    const ln__tensor *old_weight = model->graph->values[model->graph->nodes[final.node].in[1]].constant;
    const ln__tensor *old_bias = NULL;
    model->final = final;
    if (bias_value(model) != LN__NO_VALUE) {
        old_bias = model->graph->values[bias_value(model)].constant;
        model->final.bias = *old_bias;
    }
    int64_t was = final.outputs;
    model->final.weight.dim[final.outputs_first ? 0 : 1] = -1;
    st = blank(&model->final.weight, &model->ctx, -1, classes, err);
    if (st == LN_OK && old_bias)
        st = blank(&model->final.bias, &model->ctx, was, classes, err);
    if (st == LN_OK) {
        model->final.outputs = (int32_t)classes;
        model->final.replaced = true;
        put_constants(model, &model->final.weight, &model->final.bias);
        st = shapes_again(model, classes, err);
        if (st == LN_OK)
            return LN_OK;
        put_constants(model, old_weight, old_bias);
    }
    ln__free(&model->ctx, (void *)(model->final.weight.data == old_weight->data ? NULL : model->final.weight.data));
    ln__free(&model->ctx, (void *)(old_bias && model->final.bias.data == old_bias->data ? NULL : model->final.bias.data));
    model->final = before;
    return st;
}

static ln_status copy_constant(ln__tensor *out, const ln_model *model, int32_t value, ln_error *err)
{
    const ln__tensor *from = model->graph->values[value].constant;
    int64_t n = 0;
    float *copy = NULL;

    if (ln__tensor_elements(from, &n))
        copy = ln__array(&model->ctx, (size_t)n, sizeof *copy);
    if (!copy)
        return ln__fail_nomem(err, &model->ctx, (size_t)n * sizeof *copy);
    memcpy(copy, from->data, (size_t)n * sizeof *copy);
    *out = *from;
    out->data = copy;
    return LN_OK;
}

ln_status ln__final_restore(ln_model *model, int32_t node, int32_t bias_node, int32_t bias_input, bool trained, ln_error *err)
{
    ln__final final;
    ln_status st = locate(&final, model, err);

    if (st < 0)
        return st;
    if (node != final.node || bias_node != final.bias_node || (bias_node >= 0 && bias_input != final.bias_input))
        return ln__fail(err, LN_E_FORMAT, "%s: the replaced layer is said to be node %d with its bias in node %d; it is node %d with %d",
                        model->path, node, bias_node, final.node, final.bias_node);
    model->final = final;
    model->final.weight.data = NULL;
    st = copy_constant(&model->final.weight, model, model->graph->nodes[node].in[1], err);
    if (st == LN_OK && bias_node >= 0)
        st = copy_constant(&model->final.bias, model, bias_value(model), err);
    if (st < 0)
        return st;
    model->final.replaced = true;
    model->final.trained = trained;
    put_constants(model, &model->final.weight, &model->final.bias);
    return LN_OK;
}

ln_status ln__final_describe(ln__final_form *out, const ln_model *model, ln_error *err)
{
    const ln__graph *graph = model->graph;
    const ln__tensor *in = &model->one_row->of[graph->nodes[model->final.node].in[0]];
    int32_t value = graph->nodes[model->final.node].out[0];

    *out = (ln__final_form){ 1, false };
    for (int32_t d = 2; graph->nodes[model->final.node].op == LN__CONV && d < in->rank; d++)
        out->positions *= in->dim[d];
    const ln__tensor *made = &model->one_row->of[value];
    int64_t positions = 1, numbers = 0;
    if (!ln__tensor_elements(in, &numbers) || numbers != out->positions * model->final.inputs)
        return ln__node_fail(err, LN_E_UNSUPPORTED, graph, &graph->nodes[model->final.node],
                             "a last layer over several positions of a row that are no picture cannot be trained");
    for (int32_t d = 2; d < made->rank; d++)
        positions *= made->dim[d];
    if (positions != out->positions)
        return ln__node_fail(err, LN_E_UNSUPPORTED, graph, &graph->nodes[model->final.node],
                             "a padded or strided last layer cannot be trained");
    while (value != model->output) {
        int32_t user = -1;
        for (int32_t n = 0; n < graph->n_nodes; n++)
            for (int32_t i = 0; i < graph->nodes[n].n_in; i++)
                if (graph->nodes[n].in[i] == value && (graph->nodes[n].op != LN__SHAPE))
                    user = n;
        const ln__node *node = user < 0 ? NULL : &graph->nodes[user];
        bool mean = node && node->op == LN__REDUCE && node->u.reduce.kind == LN__MEAN;
        bool relu = node && node->op == LN__UNARY && node->u.unary.kind == LN__RELU && !out->relu;
        bool pooled = node && node->op == LN__POOL && node->u.pool.average;
        bool soft = node && node->op == LN__SOFTMAX;
        if (!node || !(user == model->final.bias_node || mean || relu || pooled || soft || is_shape_work(node->op)))
            return ln__fail(err, LN_E_UNSUPPORTED, "%s: the last layer cannot be trained through %s '%s'", graph->file,
                            node ? node->type : "value", node ? node->name : graph->values[value].name);
        out->relu = out->relu || relu;
        value = node->out[0];
    }
    return LN_OK;
}

void ln__final_store(ln_model *model, const float *weight, const float *bias)
{
    ln__final *f = &model->final;
    float *w = (float *)f->weight.data;

    for (int32_t o = 0; o < f->outputs; o++)
        for (int32_t i = 0; i < f->inputs; i++)
            w[f->outputs_first ? (size_t)o * f->inputs + i : (size_t)i * f->outputs + o] =
                weight[(size_t)o * f->inputs + i];
    if (f->bias.data)
        memcpy((float *)f->bias.data, bias, (size_t)f->outputs * sizeof(float));
    f->trained = true;
}
