/* op_norm.c - readers of normalisation, reduction, softmax and what is only there in training. */
#include "onnx/build.h"

void ln__read_batchnorm(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__BATCHNORM);
    int64_t opset = b->onnx->opset;
    (void)variant;

    node->u.batchnorm.epsilon = ln__attr_float(b, "epsilon", 1e-5f);
    ln__attr_ignore(b, "momentum");
    if (opset < 7 && ln__attr_int(b, "is_test", 0) == 0)
        ln__build_fail(b, LN_E_UNSUPPORTED, "is in training mode (is_test 0); export the model for inference");
    if (opset < 9 && ln__attr_int(b, "spatial", 1) == 0)
        ln__build_fail(b, LN_E_UNSUPPORTED, "spatial 0 (statistics for each pixel) is not supported");
    if (opset >= 14 && ln__attr_bool(b, "training_mode", false))
        ln__build_fail(b, LN_E_UNSUPPORTED, "is in training mode; export the model for inference");
    for (int32_t i = 1; i < b->src->n_out; i++)
        ln__refuse_output(b, i, "statistics of training");
}

void ln__read_instance_norm(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__NORM);
    (void)variant;

    node->u.norm.kind = LN__NORM_INSTANCE;
    node->u.norm.epsilon = ln__attr_float(b, "epsilon", 1e-5f);
}

static int32_t emit_mean(ln__build *b, int32_t x, int64_t from_axis, int32_t out)
{
    ln__node *node = ln__emit(b, LN__REDUCE, &x, 1, out);

    node->u.reduce.kind = LN__MEAN;
    node->u.reduce.keepdims = node->u.reduce.to_end = true;
    node->u.reduce.axes[0] = from_axis;
    node->u.reduce.n_axes = 1;
    return b->status == LN_OK ? node->out[0] : LN__NO_VALUE;
}

static int32_t emit_pair(ln__build *b, ln__binary kind, int32_t x, int32_t y)
{
    int32_t in[2] = { x, y };
    ln__node *node = ln__emit(b, LN__BINARY, in, 2, LN__NO_VALUE);

    node->u.binary.kind = kind;
    node->u.binary.axis = -1;
    return b->status == LN_OK ? node->out[0] : LN__NO_VALUE;
}

static int32_t emit_function(ln__build *b, ln__unary kind, int32_t x, int32_t out)
{
    ln__node *node = ln__emit(b, LN__UNARY, &x, 1, out);

    node->u.unary.kind = kind;
    return b->status == LN_OK ? node->out[0] : LN__NO_VALUE;
}

/* The means and inverse deviations, for models that read them. */
static void emit_statistics(ln__build *b, int64_t axis, float epsilon)
{
    int32_t x = ln__in(b, 0);
    int32_t mean = emit_mean(b, x, axis, ln__output_used(b, 1) ? ln__out(b, 1) : LN__NO_VALUE);

    if (b->status < 0 || !ln__output_used(b, 2))
        return;
    int32_t centred = emit_pair(b, LN__SUB, x, mean);
    int32_t variance = emit_mean(b, emit_pair(b, LN__MUL, centred, centred), axis, LN__NO_VALUE);
    int32_t raised = emit_pair(b, LN__ADD, variance, ln__new_floats(b, &epsilon, 1, true));
    emit_function(b, LN__RECIPROCAL, emit_function(b, LN__SQRT, raised, LN__NO_VALUE), ln__out(b, 2));
}

void ln__read_layer_norm(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__NORM);
    int64_t axis = ln__attr_int(b, "axis", -1);
    float epsilon = ln__attr_float(b, "epsilon", 1e-5f);
    (void)variant;

    node->u.norm.kind = LN__NORM_LAYER;
    node->u.norm.axis = axis;
    node->u.norm.epsilon = epsilon;
    ln__attr_ignore(b, "stash_type");       /* computed in float32 either way */
    if (ln__output_used(b, 1) || ln__output_used(b, 2))
        emit_statistics(b, axis, epsilon);
}

void ln__read_group_norm(ln__build *b, int32_t per_group)
{
    ln__node *node = ln__emit_plain(b, LN__NORM);

    node->u.norm.kind = LN__NORM_GROUP;
    node->u.norm.groups = ln__attr_int_needed(b, "num_groups");
    node->u.norm.epsilon = ln__attr_float(b, "epsilon", 1e-5f);
    node->u.norm.scale_per_group = per_group != 0;
    if (!per_group)
        ln__attr_ignore(b, "stash_type");
}

/* ReduceSum takes its axes as an input from opset 13 on, the others from 18. */
void ln__read_reduce(ln__build *b, int32_t kind)
{
    ln__node *node = ln__emit_plain(b, LN__REDUCE);
    int32_t n;

    node->u.reduce.kind = (ln__reduce)kind;
    node->u.reduce.keepdims = ln__attr_bool(b, "keepdims", true);
    node->u.reduce.all_if_empty = true;
    if (b->onnx->opset >= (kind == LN__SUM ? 13 : 18)) {
        node->u.reduce.all_if_empty = !ln__attr_bool(b, "noop_with_empty_axes", false);
        return;
    }
    n = ln__attr_ints(b, "axes", node->u.reduce.axes, LN__MAX_RANK);
    node->u.reduce.n_axes = LN__MAX(n, 0);
}

void ln__read_softmax(ln__build *b, int32_t log)
{
    ln__node *node = ln__emit_plain(b, LN__SOFTMAX);
    bool flattened = b->onnx->opset < 13;

    node->u.softmax.log = log != 0;
    node->u.softmax.flattened = flattened;
    node->u.softmax.axis = ln__attr_int(b, "axis", flattened ? 1 : -1);
}

/* True if input i is there and not known to be false. */
static bool may_be_true(ln__build *b, int32_t i)
{
    int32_t value = ln__in(b, i);
    const ln__tensor *t = ln__in_constant(b, value);
    int64_t n;

    if (value == LN__NO_VALUE)
        return false;
    if (t == NULL || !ln__tensor_elements(t, &n) || n != 1)
        return true;
    return t->dtype == LN__I64 ? ln__load_u64(t->data) != 0 : ln__float_of(ln__load_u32(t->data)) != 0.0f;
}

void ln__read_dropout(ln__build *b, int32_t variant)
{
    int32_t x = ln__in(b, 0);
    int64_t opset = b->onnx->opset;
    (void)variant;

    if (opset < 12)
        ln__attr_ignore(b, "ratio");
    else
        ln__attr_ignore(b, "seed");
    if ((opset < 7 && ln__attr_int(b, "is_test", 0) == 0) || may_be_true(b, 2))
        ln__build_fail(b, LN_E_UNSUPPORTED, "is in training mode, where its result is random; export the model for inference");
    ln__refuse_output(b, 1, "the mask");
    ln__emit(b, LN__IDENTITY, &x, 1, ln__out(b, 0));
}

void ln__read_identity(ln__build *b, int32_t variant)
{
    ln__emit_plain(b, LN__IDENTITY);
    (void)variant;
}
