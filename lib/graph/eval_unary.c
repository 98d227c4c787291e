/* Functions of one number, written so that compilers vectorise them: no calls,
 * no branches, types punned through memcpy. */
#include "graph/graph_loops.h"

#include <math.h>
#include <string.h>

static inline float from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t to_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Cephes' polynomial on [-ln2/2, ln2/2]; the power of two is put together from
 * halves so that results near the ends of the range come out right. */
static inline float exp_of(float x)
{
    const float round = 12582912.0f;    /* 1.5 * 2^23: the sum's low bits are the integer */
    float t, n, r, p;
    uint32_t k, half;

    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    t = x * 1.44269504088896341f + round;
    n = t - round;
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    k = to_bits(t) - to_bits(round) + 512;      /* kept positive for the shift */
    half = k >> 1;
    return p * from_bits((half - 256 + 127) << 23) * from_bits((k - half - 256 + 127) << 23);
}

static inline float sigmoid_of(float x)
{
    return 1.0f / (1.0f + exp_of(-x));
}

static inline float tanh_of(float x)
{
    float a = fabsf(x), z = x * x, small, large;

    small = -5.70498872745e-3f;
    small = small * z + 2.06390887954e-2f;
    small = small * z - 5.37397155531e-2f;
    small = small * z + 1.33314422036e-1f;
    small = small * z - 3.33332819422e-1f;
    small = small * z * x + x;
    large = copysignf(1.0f - 2.0f / (exp_of(a + a) + 1.0f), x);
    return a < 0.625f ? small : large;
}

/* log(1 + u) for u in [0, 1]. */
static inline float log1p_of(float u)
{
    float w = 1.0f + u, lost = (u - (w - 1.0f)) / w;
    float e = w > 1.41421356f ? 1.0f : 0.0f;
    float x = w > 1.41421356f ? w * 0.5f - 1.0f : w - 1.0f;
    float z = x * x, y;

    y = 7.0376836292e-2f;
    y = y * x - 1.1514610310e-1f;
    y = y * x + 1.1676998740e-1f;
    y = y * x - 1.2420140846e-1f;
    y = y * x + 1.4249322787e-1f;
    y = y * x - 1.6668057665e-1f;
    y = y * x + 2.0000714765e-1f;
    y = y * x - 2.4999993993e-1f;
    y = y * x + 3.3333331174e-1f;
    y = y * x * z - 2.12194440e-4f * e - 0.5f * z;
    return x + y + 0.693359375f * e + lost;
}

/* Cephes' polynomial below 1, Abramowitz and Stegun 7.1.26 above. */
static inline float erf_of(float x)
{
    float a = fabsf(x), z = x * x, t = 1.0f / (1.0f + 0.3275911f * a), small, large;

    small = 7.853861353153693e-5f;
    small = small * z - 8.010193625184903e-4f;
    small = small * z + 5.188327685732524e-3f;
    small = small * z - 2.685381193529856e-2f;
    small = small * z + 1.128358514861418e-1f;
    small = small * z - 3.761262582423300e-1f;
    small = (small * z + 1.128379165726710f) * x;
    large = 1.061405429f;
    large = large * t - 1.453152027f;
    large = large * t + 1.421413741f;
    large = large * t - 0.284496736f;
    large = large * t + 0.254829592f;
    large = copysignf(1.0f - large * t * exp_of(-z), x);
    return a < 1.0f ? small : large;
}

static inline float between(float x, float least, float most)
{
    x = x < least ? least : x;
    return x > most ? most : x;
}

#define EACH(...)                           \
    LN__NO_CARRY                                \
    for (size_t i = 0; i < n; i++) {        \
        float v = x[i];                     \
        y[i] = (__VA_ARGS__);               \
    }                                       \
    return

static void apply_smooth(ln__unary kind, float a, const float *x, float *y, size_t n)
{
    switch (kind) {
    case LN__SIGMOID:   EACH(sigmoid_of(v));
    case LN__SWISH:     EACH(v * sigmoid_of(v));
    case LN__TANH:      EACH(tanh_of(v));
    case LN__ELU:       EACH(v > 0.0f ? v : a * (exp_of(v) - 1.0f));
    case LN__GELU:      EACH(0.5f * v * (1.0f + erf_of(v * 0.70710678118654752f)));
    case LN__EXP:       EACH(exp_of(v));
    case LN__LOG:       EACH(logf(v));
    case LN__ERF:       EACH(erf_of(v));
    case LN__SOFTPLUS:  EACH((v > 0.0f ? v : 0.0f) + log1p_of(exp_of(-fabsf(v))));
    default:            return;
    }
}

void ln__unary_apply(ln__unary kind, float a, float b, const float *x, float *y, size_t n)
{
    switch (kind) {
    case LN__RELU:          EACH(v < 0.0f ? 0.0f : v);
    case LN__LEAKY_RELU:    EACH(v < 0.0f ? a * v : v);
    case LN__CLIP:          EACH(between(v, a, b));
    case LN__HARD_SIGMOID:  EACH(between(a * v + b, 0.0f, 1.0f));
    case LN__HARD_SWISH:    EACH(v * between(v * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f));
    case LN__SQRT:          EACH(sqrtf(v));
    case LN__ABS:           EACH(fabsf(v));
    case LN__NEG:           EACH(-v);
    case LN__RECIPROCAL:    EACH(1.0f / v);
    case LN__FLOOR:         EACH(floorf(v));
    case LN__CEIL:          EACH(ceilf(v));
    default:                apply_smooth(kind, a, x, y, n);
    }
}

static void unary_i64(ln__unary kind, const int64_t *x, int64_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t minus = (int64_t)(0 - (uint64_t)x[i]);
        if (kind == LN__NEG)
            y[i] = minus;
        else if (kind == LN__ABS)
            y[i] = x[i] < 0 ? minus : x[i];
        else
            y[i] = x[i] < 0 ? 0 : x[i];
    }
}

LN__EVALUATOR(unary)
{
    size_t n = (size_t)ln__tensor_count(&out[0]);
    void *y = (void *)(uintptr_t)out[0].data;

    (void)scratch;
    if (out[0].dtype == LN__I64)
        unary_i64(node->u.unary.kind, in[0]->data, y, n);
    else
        ln__unary_apply(node->u.unary.kind, node->u.unary.a, node->u.unary.b, in[0]->data, y, n);
}

/* Towards zero; what does not fit becomes the nearest that does, NaN 0. */
static int64_t integer_of(float x)
{
    if (!(x > -9.2233720e18f))
        return x != x ? 0 : INT64_MIN;
    return x < 9.2233720e18f ? (int64_t)x : INT64_MAX;
}

LN__EVALUATOR(cast)
{
    size_t n = (size_t)ln__tensor_count(&out[0]);
    void *y = (void *)(uintptr_t)out[0].data;
    bool is_bool = node->u.cast.saturate_bool;

    (void)scratch;
    for (size_t i = 0; i < n; i++) {
        float f = in[0]->dtype == LN__F32 ? ((const float *)in[0]->data)[i] : 0.0f;
        int64_t k = in[0]->dtype == LN__I64 ? ((const int64_t *)in[0]->data)[i] : integer_of(f);
        if (is_bool)
            k = in[0]->dtype == LN__F32 ? f != 0.0f : k != 0;
        if (out[0].dtype == LN__I64)
            ((int64_t *)y)[i] = k;
        else
            ((float *)y)[i] = in[0]->dtype == LN__F32 && !is_bool ? f : (float)k;
    }
}
