/* op_math.c - readers of arithmetic: element by element, matrix products, types. */
#include "onnx/build.h"

#include <math.h>

static ln__node *emit_unary(ln__build *b, ln__unary kind, int32_t in, int32_t out)
{
    ln__node *node = ln__emit(b, LN__UNARY, &in, 1, out);

    node->u.unary.kind = kind;
    return node;
}

static int32_t emit_binary(ln__build *b, ln__binary kind, int32_t x, int32_t y, int32_t out)
{
    int32_t in[2] = { x, y };
    ln__node *node = ln__emit(b, LN__BINARY, in, 2, out);

    node->u.binary.kind = kind;
    return b->status < 0 ? LN__NO_VALUE : node->out[0];
}

void ln__read_unary(ln__build *b, int32_t kind)
{
    float a = 0.0f, c = 0.0f;

    if (kind == LN__LEAKY_RELU)
        a = ln__attr_float(b, "alpha", 0.01f);
    if (kind == LN__ELU)
        a = ln__attr_float(b, "alpha", 1.0f);
    if (kind == LN__HARD_SIGMOID) {
        a = ln__attr_float(b, "alpha", 0.2f);
        c = ln__attr_float(b, "beta", 0.5f);
    }
    if (kind == LN__SWISH && ln__attr_float(b, "alpha", 1.0f) != 1.0f)
        ln__build_fail(b, LN_E_UNSUPPORTED, "alpha other than 1 is not supported");
    ln__node *node = emit_unary(b, (ln__unary)kind, ln__in(b, 0), ln__out(b, 0));
    node->u.unary.a = a;
    node->u.unary.b = c;
}

/* Pow takes whole exponents for numbers of any kind. */
static int32_t exponent(ln__build *b, int32_t value)
{
    const ln__tensor *t = ln__in_constant(b, value);
    int64_t n = 0;
    float *numbers;
    int32_t copy;

    if (t == NULL || t->dtype != LN__I64 || !ln__tensor_elements(t, &n) || n > 4096)
        return value;
    numbers = ln__arena_calloc(&b->graph->arena, (size_t)n, sizeof *numbers);
    copy = numbers == NULL ? LN__NO_VALUE : ln__new_floats(b, numbers, (int32_t)n, false);
    if (copy < 0) {
        if (b->status == LN_OK)
            b->status = ln__onnx_nomem(b->err, b->onnx);
        return value;
    }
    for (int64_t i = 0; i < n; i++)
        numbers[i] = (float)(int64_t)ln__load_u64((const uint8_t *)t->data + 8 * i);
    ln__tensor *shaped = ln__arena_calloc(&b->graph->arena, 1, sizeof *shaped);
    if (shaped == NULL) {
        b->status = ln__onnx_nomem(b->err, b->onnx);
        return value;
    }
    *shaped = *t;
    shaped->dtype = LN__F32;
    shaped->data = numbers;
    b->graph->values[copy].constant = shaped;
    return copy;
}

void ln__read_binary(ln__build *b, int32_t kind)
{
    int32_t in[2] = { ln__in(b, 0), ln__in(b, 1) };
    bool broadcast = false;
    int64_t axis = -1;

    if (b->onnx->opset < 7) {
        broadcast = ln__attr_bool(b, "broadcast", false);
        axis = ln__attr_int(b, "axis", -1);
        if (axis < -1 || axis >= LN__MAX_RANK)
            ln__build_fail(b, LN_E_FORMAT, "axis %lld is out of range", (long long)axis);
    }
    const ln__tensor *base = ln__in_constant(b, in[0]);
    if (kind == LN__POW && (base == NULL || base->dtype == LN__F32))
        in[1] = exponent(b, in[1]);
    ln__node *node = ln__emit(b, LN__BINARY, in, 2, ln__out(b, 0));
    node->u.binary.kind = (ln__binary)kind;
    node->u.binary.legacy_broadcast = broadcast;
    node->u.binary.axis = (int32_t)axis;
}

/* Max, Min, Sum of any number of inputs; kind -1: Mean. */
void ln__read_variadic(ln__build *b, int32_t kind)
{
    int32_t n = b->src->n_in, sum = ln__in(b, 0);
    float share = 1.0f / (float)n;
    bool mean = kind < 0 && n > 1;

    for (int32_t i = 1; i < n; i++)
        if (ln__in(b, i) == LN__NO_VALUE)
            ln__build_fail(b, LN_E_FORMAT, "input %d is missing", i);
    if (n == 1) {
        ln__emit(b, LN__IDENTITY, &sum, 1, ln__out(b, 0));
        return;
    }
    for (int32_t i = 1; i < n && b->status == LN_OK; i++)
        sum = emit_binary(b, kind < 0 ? LN__ADD : (ln__binary)kind, sum, ln__in(b, i),
                          i == n - 1 && !mean ? ln__out(b, 0) : LN__NO_VALUE);
    if (mean && b->status == LN_OK)
        emit_binary(b, LN__MUL, sum, ln__new_floats(b, &share, 1, true), ln__out(b, 0));
}

/* One number of a known tensor of one; false if it is not known or not one float. */
static bool known_float(ln__build *b, int32_t value, float *out)
{
    const ln__tensor *t = ln__in_constant(b, value);
    int64_t n;

    if (t == NULL || t->dtype != LN__F32 || !ln__tensor_elements(t, &n) || n != 1)
        return false;
    *out = ln__float_of(ln__load_u32(t->data));
    return true;
}

/* Bounds known by now make one operation; bounds that are computed, or of
 * whole numbers, a maximum and a minimum. */
void ln__read_clip(ln__build *b, int32_t variant)
{
    float low = -INFINITY, high = INFINITY;
    int32_t x = ln__in(b, 0), least = ln__in(b, 1), most = ln__in(b, 2);
    (void)variant;

    if (b->onnx->opset < 11) {
        low = ln__attr_float(b, "min", -INFINITY);
        high = ln__attr_float(b, "max", INFINITY);
        least = most = LN__NO_VALUE;
    } else if (least == LN__NO_VALUE && most == LN__NO_VALUE) {
        ln__emit(b, LN__IDENTITY, &x, 1, ln__out(b, 0));
        return;
    }
    if ((least == LN__NO_VALUE || known_float(b, least, &low)) && (most == LN__NO_VALUE || known_float(b, most, &high))) {
        ln__node *node = emit_unary(b, LN__CLIP, x, ln__out(b, 0));
        node->u.unary.a = LN__MIN(low, high);   /* min above max: all become max */
        node->u.unary.b = high;
        return;
    }
    if (least != LN__NO_VALUE)
        x = emit_binary(b, LN__MAX_OF, x, least, most == LN__NO_VALUE ? ln__out(b, 0) : LN__NO_VALUE);
    if (most != LN__NO_VALUE)
        emit_binary(b, LN__MIN_OF, x, most, ln__out(b, 0));
}

/* The tanh form is x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)). */
static void gelu_by_tanh(ln__build *b)
{
    const float slope = 1.5957691216057308f, cubic = slope * 0.044715f;
    int32_t x = ln__in(b, 0), t;

    t = emit_binary(b, LN__MUL, x, x, LN__NO_VALUE);
    t = emit_binary(b, LN__MUL, t, ln__new_floats(b, &cubic, 1, true), LN__NO_VALUE);
    t = emit_binary(b, LN__ADD, t, ln__new_floats(b, &slope, 1, true), LN__NO_VALUE);
    t = emit_binary(b, LN__MUL, t, x, LN__NO_VALUE);
    ln__node *gate = emit_unary(b, LN__SIGMOID, t, LN__NO_VALUE);
    if (b->status == LN_OK)
        emit_binary(b, LN__MUL, x, gate->out[0], ln__out(b, 0));
}

void ln__read_gelu(ln__build *b, int32_t variant)
{
    static const char *const ways[] = { "none", "tanh", NULL };
    (void)variant;

    if (ln__attr_word(b, "approximate", ways, 0) == 1)
        gelu_by_tanh(b);
    else
        emit_unary(b, LN__GELU, ln__in(b, 0), ln__out(b, 0));
}

/* Before opset 7 the slopes belong to the channels, whatever the rank. */
void ln__read_prelu(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__BINARY);
    (void)variant;

    node->u.binary.kind = LN__PRELU;
    if (b->onnx->opset < 7) {
        node->u.binary.legacy_broadcast = true;
        node->u.binary.axis = 1;
    }
}

void ln__read_matmul(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__MATMUL);
    (void)variant;

    node->u.matmul.alpha = node->u.matmul.beta = 1.0f;
}

void ln__read_gemm(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__MATMUL);
    (void)variant;

    node->u.matmul.alpha = ln__attr_float(b, "alpha", 1.0f);
    node->u.matmul.beta = ln__attr_float(b, "beta", 1.0f);
    node->u.matmul.trans_a = ln__attr_bool(b, "transA", false);
    node->u.matmul.trans_b = ln__attr_bool(b, "transB", false);
    if (b->onnx->opset < 7)
        ln__attr_ignore(b, "broadcast");
}

void ln__read_cast(ln__build *b, int32_t variant)
{
    ln__node *node = ln__emit_plain(b, LN__CAST);
    int64_t to = ln__attr_int_needed(b, "to");
    (void)variant;

    if (b->onnx->opset >= 19)
        ln__attr_ignore(b, "saturate");     /* of 8-bit floats, which are refused below */
    if (b->onnx->opset >= 24)
        ln__attr_ignore(b, "round_mode");
    if (to <= 0 || to > INT32_MAX || ln__onnx_type_size((int32_t)to) == 0)
        ln__build_fail(b, LN_E_UNSUPPORTED, "to data type %lld (%s) is not supported", (long long)to,
                       ln__onnx_type_name(to > 0 && to < INT32_MAX ? (int32_t)to : 0));
    node->u.cast.to = ln__onnx_type_is_float((int32_t)to) ? LN__F32 : LN__I64;
    node->u.cast.saturate_bool = to == LN__ONNX_BOOL;
}
