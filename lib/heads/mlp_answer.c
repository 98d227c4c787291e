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
    const uint16_t *narrow;     /* w as bfloat16, or NULL */
    float          *y;
    int64_t         rows, in, out;
    bool            relu;
} layer;

LN__LANES_BODY void dot_block(const layer *l, int64_t output, int64_t row, const int outputs, const int rows, const bool narrow)
{
    const float *w = l->w + output * l->in, *x = l->x + row * l->in;
    const uint16_t *half = narrow ? l->narrow + output * l->in : NULL;
    ln__lanes sum[OUTPUTS_AT_ONCE][ROWS_AT_ONCE];
    int64_t k = 0;

    for (int o = 0; o < outputs; o++)
        for (int r = 0; r < rows; r++)
            sum[o][r] = (ln__lanes){ 0 };
    for (; k + LN__LANES <= l->in; k += LN__LANES) {
        ln__lanes xs[ROWS_AT_ONCE];

        for (int r = 0; r < rows; r++)
            ln__lanes_load(&xs[r], x + r * l->in + k);
        for (int o = 0; o < outputs; o++) {
            ln__lanes ws;

            if (narrow)
                ln__lanes_load_bf16(&ws, half + o * l->in + k);
            else
                ln__lanes_load(&ws, w + o * l->in + k);
            for (int r = 0; r < rows; r++)
                sum[o][r] += ws * xs[r];
        }
    }
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
