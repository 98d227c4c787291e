/* answer_lanes.h - the loops of an answer for one number of lanes. answer_kernels.c
 * includes this file once for each kind of CPU, having defined (undefined again at the end)
 *
 *   LANES           floats of a vector
 *   OUTPUTS         of a layer summed at once
 *   TARGET          the attribute that has code made for that CPU
 *   MAXIMUM(a, b)   of two vectors; b where one is no number
 *   ROOT(v)         square roots
 *   NAME(x)         x with the kind's suffix */

typedef float NAME(vec) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint32_t NAME(bits) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
#define V NAME(vec)

LN__INLINE V *NAME(at)(float *p) { return (V *)(void *)p; }
LN__INLINE const V *NAME(of)(const float *p) { return (const V *)(const void *)p; }

/* Pairwise, so that the order of additions does not depend on the compiler. */
LN__INLINE float NAME(total)(const V *v)
{
    quad part[LANES / 4];

    memcpy(part, v, sizeof part);
    LN__UNROLL for (int width = LANES / 8; width > 0; width /= 2)
        LN__UNROLL for (int i = 0; i < width; i++)
            part[i] += part[i + width];
    return (part[0][0] + part[0][2]) + (part[0][1] + part[0][3]);
}

/* ---- Statistics ------------------------------------------------------------------------- */

/* Two of each, so that an addition need not wait for the one before. */
typedef struct NAME(running) { V sum[2], squares[2], top[2]; } NAME(running);

LN__INLINE void NAME(start)(NAME(running) *r, const V *first)
{
    for (int k = 0; k < 2; k++) {
        r->sum[k] = r->squares[k] = (V){ 0 };
        r->top[k] = *first;
    }
}

TARGET LN__INLINE void NAME(take)(NAME(running) *r, int k, const float *x, const V *shift)
{
    V v = *NAME(of)(x), d = v - *shift;

    r->top[k] = MAXIMUM(v, r->top[k]);
    r->sum[k] += d;
    r->squares[k] += d * d;
}

TARGET LN__INLINE void NAME(finish)(NAME(running) *r)
{
    r->sum[0] += r->sum[1];
    r->squares[0] += r->squares[1];
    r->top[0] = MAXIMUM(r->top[1], r->top[0]);
}

TARGET static void NAME(cell)(const float *x, int64_t stride, int64_t line, int64_t height, int64_t width, const float *shifts,
                              ln__sums *out)
{
    V shift = *NAME(of)(shifts), first = *NAME(of)(x);
    NAME(running) r;

    NAME(start)(&r, &first);
    for (int64_t h = 0; h < height; h++) {
        const float *from = x + h * line;
        int64_t w = 0;

        for (; w + 2 <= width; w += 2)
            for (int k = 0; k < 2; k++)
                NAME(take)(&r, k, from + (w + k) * stride, &shift);
        if (w < width)
            NAME(take)(&r, 0, from + w * stride, &shift);
    }
    NAME(finish)(&r);
    *NAME(at)(out->sum) = r.sum[0];
    *NAME(at)(out->squares) = r.squares[0];
    *NAME(at)(out->max) = r.top[0];
}

/* Sums of every LANES'th pixel, then those left. */
TARGET static void NAME(line)(const float *x, int64_t line, int64_t height, int64_t width, float shift, ln__sums *out)
{
    V all = (V){ 0 } + shift, first = (V){ 0 } + x[0];
    float max = x[0], rest = 0, rest_squares = 0;
    NAME(running) r;

    NAME(start)(&r, &first);
    for (int64_t h = 0; h < height; h++) {
        const float *from = x + h * line;
        int64_t w = 0;

        for (; w + 2 * LANES <= width; w += 2 * LANES)
            for (int k = 0; k < 2; k++)
                NAME(take)(&r, k, from + w + k * LANES, &all);
        for (; w < width; w++) {
            float v = from[w], d = v - shift;

            max = v > max ? v : max;
            rest += d;
            rest_squares += d * d;
        }
    }
    NAME(finish)(&r);
    for (int i = 0; i < LANES; i++)
        max = LN__MAX(max, r.top[0][i]);
    out->sum[0] = NAME(total)(&r.sum[0]) + rest;
    out->squares[0] = NAME(total)(&r.squares[0]) + rest_squares;
    out->max[0] = max;
}

/* ---- Linear layers ---------------------------------------------------------------------- */

/* With several rows their weights are used again from the registers. */
typedef V NAME(products)[OUTPUTS][ROWS_AT_ONCE];

/* A group of pairs, which are the upper halves of floats: first those in the words' lower halves. */
LN__INLINE void NAME(dot_group)(NAME(products) sum, const uint32_t *w, const float *x, int64_t in, int rows)
{
    for (int64_t i = 0; i < LN__PAIRED / 2; i += LANES)
        LN__UNROLL for (int o = 0; o < OUTPUTS; o++) {
            NAME(bits) bits = *(const NAME(bits) *)(const void *)(w + o * (LN__PAIRED / 2) + i);
            NAME(bits) low = bits << 16, high = bits & 0xffff0000u;

            LN__UNROLL for (int r = 0; r < rows; r++) {
                sum[o][r] += (V)low * *NAME(of)(x + r * in + i);
                sum[o][r] += (V)high * *NAME(of)(x + r * in + LN__PAIRED / 2 + i);
            }
        }
}

/* OUTPUTS from `output` on, those beyond the last as well. */
LN__INLINE void NAME(dot_pairs)(NAME(products) sum, const ln__layer *l, int64_t output, const float *x, int rows)
{
    int64_t in = l->in, whole = in / LN__PAIRED * LN__PAIRED;
    const uint32_t *w = l->narrow + output / LN__ABREAST * LN__ABREAST * ln__narrow_words(in) + output % LN__ABREAST * (LN__PAIRED / 2);
    float rest[ROWS_AT_ONCE][LN__PAIRED] = { { 0 } };

    for (int64_t k = 0; k < whole; k += LN__PAIRED, w += LN__ABREAST * (LN__PAIRED / 2))
        NAME(dot_group)(sum, w, x + k, in, rows);
    if (whole == in)
        return;
    for (int r = 0; r < rows; r++)
        memcpy(rest[r], x + r * in + whole, (size_t)(in - whole) * sizeof(float));
    NAME(dot_group)(sum, w, rest[0], LN__PAIRED, rows);
}

/* Weights as floats. Gives where it stopped: what is left does not fill a vector. */
LN__INLINE int64_t NAME(dot_floats)(NAME(products) sum, const ln__layer *l, int64_t output, const float *x, int outputs, int rows)
{
    const float *w = l->w + output * l->in;
    int64_t in = l->in, k = 0;

    for (; k + LANES <= in; k += LANES)
        LN__UNROLL for (int o = 0; o < outputs; o++)
            LN__UNROLL for (int r = 0; r < rows; r++)
                sum[o][r] += *NAME(of)(w + o * in + k) * *NAME(of)(x + r * in + k);
    return k;
}

/* `there`: how many of the outputs the layer has. */
LN__INLINE void NAME(dot_block)(const ln__layer *l, int64_t output, int64_t row, int outputs, int there, int rows, bool narrow)
{
    const float *w = l->w + output * l->in, *x = l->x + row * l->in;
    float y[OUTPUTS][ROWS_AT_ONCE];
    int64_t in = l->in, k = in;
    NAME(products) sum;

    for (int o = 0; o < outputs; o++)
        for (int r = 0; r < rows; r++)
            sum[o][r] = (V){ 0 };
    if (narrow)
        NAME(dot_pairs)(sum, l, output, x, rows);
    else
        k = NAME(dot_floats)(sum, l, output, x, outputs, rows);
    LN__UNROLL for (int o = 0; o < outputs; o++)
        LN__UNROLL for (int r = 0; r < rows; r++)
            y[o][r] = NAME(total)(&sum[o][r]);
    for (; k < in; k++)
        LN__UNROLL for (int o = 0; o < outputs; o++)
            LN__UNROLL for (int r = 0; r < rows; r++)
                y[o][r] += w[o * in + k] * x[r * in + k];
    for (int o = 0; o < there; o++)
        for (int r = 0; r < rows; r++) {
            float z = y[o][r] + l->b[output + o];

            l->y[(row + r) * l->out + output + o] = l->relu && z < 0.0f ? 0.0f : z;
        }
}

LN__INLINE void NAME(dot_rows)(const ln__layer *l, int64_t output, int outputs, int there, bool narrow)
{
    int64_t row = 0;

    for (; row + ROWS_AT_ONCE <= l->rows; row += ROWS_AT_ONCE)
        NAME(dot_block)(l, output, row, outputs, there, ROWS_AT_ONCE, narrow);
    for (; row < l->rows; row++)
        NAME(dot_block)(l, output, row, outputs, there, 1, narrow);
}

TARGET static void NAME(layer)(const ln__layer *l)
{
    int64_t output = 0;

    if (l->narrow) {
        for (; output < l->out; output += OUTPUTS)
            NAME(dot_rows)(l, output, OUTPUTS, (int)LN__MIN(OUTPUTS, l->out - output), true);
        return;
    }
    for (; output + OUTPUTS <= l->out; output += OUTPUTS)
        NAME(dot_rows)(l, output, OUTPUTS, OUTPUTS, false);
    for (; output < l->out; output++)
        NAME(dot_rows)(l, output, 1, 1, false);
}

/* ---- Covariances ------------------------------------------------------------------------ */

TARGET static void NAME(centre)(const float *x, int64_t stride, int64_t pixels, int64_t count, const float *mean, int64_t width, float *out)
{
    int64_t c = 0;

    for (; c + LANES <= count; c += LANES) {
        V shift = *NAME(of)(mean + c);

        for (int64_t p = 0; p < pixels; p++)
            *NAME(at)(out + p * width + c) = *NAME(of)(x + p * stride + c) - shift;
    }
    for (; c < count; c++)
        for (int64_t p = 0; p < pixels; p++)
            out[p * width + c] = x[p * stride + c] - mean[c];
}

LN__INLINE void NAME(square)(const float *rows, const float *columns, int64_t width, int64_t pixels, uintptr_t ahead,
                             float *to)
{
    V sum[LANES];

    LN__UNROLL for (int i = 0; i < LANES; i++)
        sum[i] = *NAME(of)(to + i * LANES);
    for (int64_t p = 0; p < pixels; p++, rows += width, columns += width, ahead += LN__LINE) {
        V column = *NAME(of)(columns);

        __builtin_prefetch((const void *)ahead);
        LN__UNROLL for (int i = 0; i < LANES; i++)
            sum[i] += rows[i] * column;
    }
    LN__UNROLL for (int i = 0; i < LANES; i++)
        *NAME(at)(to + i * LANES) = sum[i];
}

TARGET static void NAME(multiply)(const float *centred, int64_t width, int64_t pixels, uintptr_t ahead, float *squares)
{
    for (int64_t r = 0; r < width; r += LANES)
        for (int64_t c = r; c < width; c += LANES, squares += LANES * LANES, ahead += (uintptr_t)pixels * LN__LINE)
            NAME(square)(centred + r, centred + c, width, pixels, ahead, squares);
}

TARGET static void NAME(roots)(float *x, int64_t count, float scale, float epsilon)
{
    for (int64_t i = 0; i < count; i += LANES) {
        V v = *NAME(of)(x + i) * scale, size = MAXIMUM(v, -v) + epsilon;

        *NAME(at)(x + i) = v / ROOT(size);
    }
}

static const ln__head_kernels NAME(kernels) = {
    LANES, NAME(cell), NAME(line), NAME(layer), NAME(centre), NAME(multiply), NAME(roots),
};
#undef V
#undef LANES
#undef OUTPUTS
#undef TARGET
#undef MAXIMUM
#undef ROOT
#undef NAME
