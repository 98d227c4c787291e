/* mlp_answer.c - the answering form of a head or gate: no allocation, no library
 * call. A few outputs at a time stream their weights once: one row is bound by
 * memory. Every output is summed in the same order whatever the number of rows. */
#include "heads/answer_kernels.h"

void ln__mlp_answer(const ln__mlp *mlp, const float *x, int64_t n, float *hidden, float *y)
{
    const ln__head_kernels *kernels = ln__head_kernels_best();
    ln__layer last = { ln__mlp_w2(mlp), ln__mlp_b2(mlp), x, mlp->hidden > 0 ? NULL : mlp->narrow, y, n, mlp->inputs, mlp->outputs, false };

    if (mlp->hidden > 0) {
        ln__layer first = { ln__mlp_w1(mlp), ln__mlp_b1(mlp), x, mlp->narrow, hidden, n, mlp->inputs, mlp->hidden, true };

        kernels->layer(&first);
        last.x = hidden;
        last.in = mlp->hidden;
    }
    kernels->layer(&last);
}
