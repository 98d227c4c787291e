/* mlp_train.c - the training form of a head or gate: batches through matrix products. */
#include "heads/heads.h"

#include <string.h>

/* y [n][out] = x [n][in] w' + b */
static ln_status linear_forward(const float *w, const float *b, const float *x, int64_t n,
                                int64_t in, int64_t out, float *y, ln_error *err)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(y + i * out, b, (size_t)out * sizeof *y);
    return ln__gemm(false, true, n, out, in, 1.0f, x, in, w, in, 1.0f, y, out, err);
}

/* dw [out][in] += dy' x; db [out] += column sums of dy */
static ln_status linear_backward(const float *x, int64_t n, int64_t in, int64_t out,
                                 const float *dy, float *dw, float *db, ln_error *err)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < out; o++)
            db[o] += dy[i * out + o];
    return ln__gemm(true, false, out, in, n, 1.0f, dy, out, x, in, 1.0f, dw, in, err);
}

ln_status ln__mlp_forward(const ln__mlp *mlp, const float *x, int64_t n, float *hidden, float *y, ln_error *err)
{
    ln_status st;

    if (n == 0)
        return LN_OK;
    if (mlp->hidden == 0)
        return linear_forward(ln__mlp_w2(mlp), ln__mlp_b2(mlp), x, n, mlp->inputs, mlp->outputs, y, err);
    st = linear_forward(ln__mlp_w1(mlp), ln__mlp_b1(mlp), x, n, mlp->inputs, mlp->hidden, hidden, err);
    if (st < 0)
        return st;
    for (int64_t i = 0; i < n * mlp->hidden; i++)
        hidden[i] = hidden[i] > 0.0f ? hidden[i] : 0.0f;
    return linear_forward(ln__mlp_w2(mlp), ln__mlp_b2(mlp), hidden, n, mlp->hidden, mlp->outputs, y, err);
}

ln_status ln__mlp_backward(const ln__mlp *mlp, const float *x, int64_t n, const float *hidden,
                           const float *dy, float *dhidden, float *grad, ln_error *err)
{
    ln__mlp g = *mlp;
    ln_status st;

    g.params = grad;
    if (n == 0)
        return LN_OK;
    if (mlp->hidden == 0)
        return linear_backward(x, n, mlp->inputs, mlp->outputs, dy, ln__mlp_w2(&g), ln__mlp_b2(&g), err);
    st = linear_backward(hidden, n, mlp->hidden, mlp->outputs, dy, ln__mlp_w2(&g), ln__mlp_b2(&g), err);
    if (st < 0)
        return st;
    st = ln__gemm(false, false, n, mlp->hidden, mlp->outputs, 1.0f, dy, mlp->outputs,
                  ln__mlp_w2(mlp), mlp->hidden, 0.0f, dhidden, mlp->hidden, err);
    if (st < 0)
        return st;
    for (int64_t i = 0; i < n * mlp->hidden; i++)
        dhidden[i] = hidden[i] > 0.0f ? dhidden[i] : 0.0f;
    return linear_backward(x, n, mlp->inputs, mlp->hidden, dhidden, ln__mlp_w1(&g), ln__mlp_b1(&g), err);
}

ln_status ln__mlp_backward_input(const ln__mlp *mlp, int64_t n, const float *dy, const float *dhidden, float *dx, ln_error *err)
{
    const float *from = mlp->hidden > 0 ? dhidden : dy, *w = mlp->hidden > 0 ? ln__mlp_w1(mlp) : ln__mlp_w2(mlp);
    int64_t out = mlp->hidden > 0 ? mlp->hidden : mlp->outputs;

    return n ? ln__gemm(false, false, n, mlp->inputs, out, 1.0f, from, out, w, mlp->inputs, 0.0f, dx, mlp->inputs, err) : LN_OK;
}
