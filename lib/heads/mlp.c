/* mlp.c - networks of one or two linear layers: memory, first values, folding, bfloat16, cost. */
#include "heads/heads.h"

#include <math.h>
#include <string.h>

bool ln__mlp_param_count(int32_t inputs, int32_t hidden, int32_t outputs, size_t *out)
{
    size_t first = 0, last, total;
    size_t into_last = (size_t)(hidden > 0 ? hidden : inputs);

    if (inputs < 1 || hidden < 0 || outputs < 1)
        return false;
    if (hidden > 0 && !ln__mul_size((size_t)inputs + 1, (size_t)hidden, &first))
        return false;
    if (!ln__mul_size(into_last + 1, (size_t)outputs, &last) || !ln__add_size(first, last, &total))
        return false;
    *out = total;
    return true;
}

ln_status ln__mlp_new(ln__mlp *out, const ln__ctx *ctx, int32_t inputs, int32_t hidden,
                      int32_t outputs, ln_error *err)
{
    size_t count;

    memset(out, 0, sizeof *out);
    if (!ln__mlp_param_count(inputs, hidden, outputs, &count))
        return ln__fail(err, LN_E_ARGUMENT, "linear layers %d -> %d -> %d: sizes must be positive and fit memory",
                        (int)inputs, (int)hidden, (int)outputs);
    out->params = ln__calloc(ctx, count, sizeof *out->params);
    if (out->params == NULL)
        return ln__fail_nomem(err, ctx, count > SIZE_MAX / sizeof(float) ? SIZE_MAX : count * sizeof(float));
    out->inputs = inputs;
    out->hidden = hidden;
    out->outputs = outputs;
    return LN_OK;
}

void ln__mlp_free(ln__mlp *mlp, const ln__ctx *ctx)
{
    ln__free(ctx, mlp->params);
    ln__free(ctx, mlp->narrow);
    mlp->params = NULL;
    mlp->narrow = NULL;
}

ln_status ln__mlp_copy(ln__mlp *out, const ln__mlp *from, const ln__ctx *ctx, ln_error *err)
{
    ln_status st = ln__mlp_new(out, ctx, from->inputs, from->hidden, from->outputs, err);
    size_t count;

    if (st < 0)
        return st;
    ln__mlp_param_count(from->inputs, from->hidden, from->outputs, &count);
    memcpy(out->params, from->params, count * sizeof *out->params);
    if (from->narrow)
        st = ln__mlp_narrow(out, ctx, err);
    if (st < 0)
        ln__mlp_free(out, ctx);
    return st;
}

/* ---- Where the weights lie ------------------------------------------------------- */

float *ln__mlp_w1(const ln__mlp *mlp)
{
    return mlp->hidden > 0 ? mlp->params : NULL;
}

float *ln__mlp_b1(const ln__mlp *mlp)
{
    return mlp->hidden > 0 ? mlp->params + (size_t)mlp->hidden * (size_t)mlp->inputs : NULL;
}

float *ln__mlp_w2(const ln__mlp *mlp)
{
    return mlp->hidden > 0 ? ln__mlp_b1(mlp) + mlp->hidden : mlp->params;
}

float *ln__mlp_b2(const ln__mlp *mlp)
{
    size_t into_last = (size_t)(mlp->hidden > 0 ? mlp->hidden : mlp->inputs);

    return ln__mlp_w2(mlp) + (size_t)mlp->outputs * into_last;
}

/* Variance 2/n before a ReLU (He et al. 2015, equation 10), 1/n before none. */
void ln__mlp_init(ln__mlp *mlp, ln__rng *rng)
{
    size_t into_last = (size_t)(mlp->hidden > 0 ? mlp->hidden : mlp->inputs), count;
    float *w;

    if (!ln__mlp_param_count(mlp->inputs, mlp->hidden, mlp->outputs, &count))
        return;
    memset(mlp->params, 0, count * sizeof *mlp->params);
    if (mlp->hidden > 0) {
        count = (size_t)mlp->hidden * (size_t)mlp->inputs;
        w = ln__mlp_w1(mlp);
        for (size_t i = 0; i < count; i++)
            w[i] = (float)(ln__rng_normal(rng) * sqrt(2.0 / mlp->inputs));
    }
    count = (size_t)mlp->outputs * into_last;
    w = ln__mlp_w2(mlp);
    for (size_t i = 0; i < count; i++)
        w[i] = (float)(ln__rng_normal(rng) * sqrt(1.0 / (double)into_last));
}

/* ---- Folding --------------------------------------------------------------------------- */

void ln__mlp_fold_input(ln__mlp *mlp, const float *mean, const float *scale)
{
    float *w = mlp->hidden > 0 ? ln__mlp_w1(mlp) : ln__mlp_w2(mlp);
    float *b = mlp->hidden > 0 ? ln__mlp_b1(mlp) : ln__mlp_b2(mlp);
    int32_t outputs = mlp->hidden > 0 ? mlp->hidden : mlp->outputs;

    for (int32_t o = 0; o < outputs; o++, w += mlp->inputs) {
        double shift = 0.0;

        for (int32_t i = 0; i < mlp->inputs; i++) {
            w[i] *= scale[i];
            shift += (double)w[i] * (double)mean[i];
        }
        b[o] = (float)((double)b[o] - shift);
    }
}

void ln__mlp_fold_output(ln__mlp *mlp, float scale)
{
    size_t into_last = (size_t)(mlp->hidden > 0 ? mlp->hidden : mlp->inputs);
    size_t count = (size_t)mlp->outputs * (into_last + 1);      /* w2 and b2 lie together */
    float *w = ln__mlp_w2(mlp);

    for (size_t i = 0; i < count; i++)
        w[i] *= scale;
}

/* ---- bfloat16 ----------------------------------------------------------------------------- */

/* A bfloat16 is the upper half of a float. */
enum { LOWER_HALF = 0xffff };

static float *first_matrix(const ln__mlp *mlp, size_t *count)
{
    *count = (size_t)mlp->inputs * (size_t)(mlp->hidden > 0 ? mlp->hidden : mlp->outputs);
    return mlp->params;
}

void ln__mlp_round(ln__mlp *mlp)
{
    size_t count;
    float *w = first_matrix(mlp, &count);

    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &w[i], sizeof bits);
        bits += LOWER_HALF / 2 + (bits >> 16 & 1);      /* to even where two are as near */
        bits &= ~(uint32_t)LOWER_HALF;
        memcpy(&w[i], &bits, sizeof bits);
    }
}

/* The upper half of number i of `count`, 0 beyond them; what is cut off goes into `lost`. */
static uint32_t upper_half(const float *w, size_t i, size_t count, uint32_t *lost)
{
    uint32_t bits = 0;

    if (i < count)
        memcpy(&bits, &w[i], sizeof bits);
    *lost |= bits & LOWER_HALF;
    return bits >> 16;
}

ln_status ln__mlp_narrow(ln__mlp *mlp, const ln__ctx *ctx, ln_error *err)
{
    size_t count, inputs = (size_t)mlp->inputs, words = (size_t)ln__narrow_words(mlp->inputs);
    const float *w = first_matrix(mlp, &count);
    size_t rows = count / inputs, padded = (rows + LN__ABREAST - 1) / LN__ABREAST * LN__ABREAST;
    uint32_t *narrow, *at, lost = 0;

    ln__free(ctx, mlp->narrow);
    mlp->narrow = NULL;
    narrow = at = ln__array(ctx, padded, words * sizeof *narrow);
    if (!narrow)
        return ln__fail_nomem(err, ctx, padded * words * sizeof *narrow);
    for (size_t first = 0; first < padded; first += LN__ABREAST)
        for (size_t k = 0; k < 2 * words; k += LN__PAIRED)
            for (size_t r = first; r < first + LN__ABREAST; r++)
                for (size_t i = k; i < k + LN__PAIRED / 2; i++) {
                    const float *row = r < rows ? w + r * inputs : w;
                    size_t there = r < rows ? inputs : 0;

                    *at++ = upper_half(row, i, there, &lost) | upper_half(row, i + LN__PAIRED / 2, there, &lost) << 16;
                }
    if (lost)
        ln__free(ctx, narrow);
    else
        mlp->narrow = narrow;
    return LN_OK;
}

/* ---- Cost -------------------------------------------------------------------------------- */

ln__cost ln__mlp_cost(const ln__mlp *mlp)
{
    uint64_t in = (uint64_t)mlp->inputs, hidden = (uint64_t)mlp->hidden, out = (uint64_t)mlp->outputs;
    ln__cost cost;

    cost.macs = hidden > 0 ? (in + out) * hidden : in * out;
    cost.params = cost.macs + hidden + out;
    return cost;
}
