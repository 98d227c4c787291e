/* mlp_answer.c - the answering form of a head or gate: no allocation, no library
 * call. A few outputs at a time stream their weights once (one row is bound by
 * memory); with several rows those weights are used again from the cache. Every
 * output is summed in the same order whatever the number of rows. */
#include "heads/heads.h"
#include "heads/lanes.h"

/* Eight sums, two x, a w and a product: within the sixteen registers of AVX2. */
enum { OUTPUTS_AT_ONCE = 4, ROWS_AT_ONCE = 2 };

typedef struct layer {
    const float    *w, *b, *x;
    const uint32_t *narrow;     /* w, or NULL; see ln__mlp */
    float          *y;
    int64_t         rows, in, out;
    bool            relu;
} layer;

typedef ln__lanes sums[OUTPUTS_AT_ONCE][ROWS_AT_ONCE];

LN__LANES_BODY void add_products(sums sum, int o, const int rows, const ln__lanes *w, const ln__lanes *x)
{
    for (int r = 0; r < rows; r++)
        sum[o][r] += *w * x[r];
}

/* Weights as floats. Gives where it stopped: what is left does not fill a vector. */
LN__LANES_BODY int64_t dot_floats(sums sum, const layer *l, int64_t output, const float *x, const int outputs, const int rows)
{
    const float *w = l->w + output * l->in;
    int64_t k = 0;

    for (; k + LN__LANES <= l->in; k += LN__LANES) {
        ln__lanes xs[ROWS_AT_ONCE];

        for (int r = 0; r < rows; r++)
            ln__lanes_load(&xs[r], x + r * l->in + k);
        for (int o = 0; o < outputs; o++) {
            ln__lanes ws;

            ln__lanes_load(&ws, w + o * l->in + k);
            add_products(sum, o, rows, &ws, xs);
        }
    }
    return k;
}

/* As bfloat16. The next outputs' weights are asked for meanwhile: rows begin too far apart for a CPU to guess where. */
LN__LANES_BODY int64_t dot_pairs(sums sum, const layer *l, int64_t output, const float *x, const int outputs, const int rows)
{
    int64_t words = l->in / LN__PAIRED * (LN__PAIRED / 2), k = 0;
    const uint32_t *w = l->narrow + output * words;

    for (; k + LN__PAIRED <= l->in; k += LN__PAIRED) {
        ln__lanes first[ROWS_AT_ONCE], second[ROWS_AT_ONCE];

        for (int r = 0; r < rows; r++) {
            ln__lanes_load(&first[r], x + r * l->in + k);
            ln__lanes_load(&second[r], x + r * l->in + k + LN__LANES);
        }
        for (int o = 0; o < outputs; o++) {
            ln__lanes low, high;

            __builtin_prefetch(w + (outputs + o) * words + k / 2);
            ln__lanes_load_pairs(&low, &high, w + o * words + k / 2);
            add_products(sum, o, rows, &low, first);
            add_products(sum, o, rows, &high, second);
        }
    }
    return k;
}

LN__LANES_BODY void dot_block(const layer *l, int64_t output, int64_t row, const int outputs, const int rows, const bool narrow)
{
    const float *w = l->w + output * l->in, *x = l->x + row * l->in;
    sums sum;

    for (int o = 0; o < outputs; o++)
        for (int r = 0; r < rows; r++)
            sum[o][r] = (ln__lanes){ 0 };
    int64_t k = narrow ? dot_pairs(sum, l, output, x, outputs, rows) : dot_floats(sum, l, output, x, outputs, rows);
    for (int o = 0; o < outputs; o++)
        for (int r = 0; r < rows; r++) {
            float y = ln__lanes_sum(&sum[o][r]);

            for (int64_t t = k; t < l->in; t++)
                y += w[o * l->in + t] * x[r * l->in + t];
            y += l->b[output + o];
            l->y[(row + r) * l->out + output + o] = l->relu && y < 0.0f ? 0.0f : y;
        }
}

LN__LANES_BODY void dot_rows(const layer *l, int64_t output, const int outputs, const bool narrow)
{
    int64_t row = 0;

    for (; row + ROWS_AT_ONCE <= l->rows; row += ROWS_AT_ONCE)
        dot_block(l, output, row, outputs, ROWS_AT_ONCE, narrow);
    for (; row < l->rows; row++)
        dot_block(l, output, row, outputs, 1, narrow);
}

LN__LANES_BODY void run_outputs(const layer *l, const bool narrow)
{
    int64_t output = 0;

    for (; output + OUTPUTS_AT_ONCE <= l->out; output += OUTPUTS_AT_ONCE)
        dot_rows(l, output, OUTPUTS_AT_ONCE, narrow);
    for (; output < l->out; output++)
        dot_rows(l, output, 1, narrow);
}

LN__LANES_BODY void run_layer_body(const layer *l)
{
    if (l->narrow)
        run_outputs(l, true);
    else
        run_outputs(l, false);
}

LN__LANES_DISPATCH(run_layer, run_layer_body, (const layer *l), (l))

void ln__mlp_answer(const ln__mlp *mlp, const float *x, int64_t n, float *hidden, float *y)
{
    layer last = { ln__mlp_w2(mlp), ln__mlp_b2(mlp), x, mlp->hidden > 0 ? NULL : mlp->narrow, y, n, mlp->inputs, mlp->outputs, false };

    if (mlp->hidden > 0) {
        layer first = { ln__mlp_w1(mlp), ln__mlp_b1(mlp), x, mlp->narrow, hidden, n, mlp->inputs, mlp->hidden, true };

        run_layer(&first);
        last.x = hidden;
        last.in = mlp->hidden;
    }
    run_layer(&last);
}
