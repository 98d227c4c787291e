/* gate_ridge.h - weighted logistic regression with a quadratic penalty. Private to train/. */
#ifndef LN_GATE_RIDGE_H
#define LN_GATE_RIDGE_H

#include "train/gate_fit.h"

/* Memory for fits, one after the other. */
typedef struct ln__ridge {
    float  *x;                                  /* a batch of inputs */
    double *w, *kept, *gradient, *curvature;
    double  rows_loss;          /* mean at w, without the pulls */
} ln__ridge;

typedef struct ln__ridge_problem {
    const ln__gate_input *input;
    const uint32_t *rows;       /* [n] */
    size_t        n, stride;
    const float  *gain;         /* of row r: gain[r * stride] (policy.h) */
    const float  *anchor;       /* [width + 1], bias last, as every set of weights here */
    const double *pull;         /* [width + 1], positive: towards the anchor; INFINITY: held there */
} ln__ridge_problem;

ln_status ln__ridge_new(ln__ridge *ridge, size_t widest, const ln__ctx *ctx, ln_error *err);
void      ln__ridge_free(ln__ridge *ridge, const ln__ctx *ctx);
/* w [width + 1], started from and left: the least mean over rows of |gain| log(1 + exp(-+z)) and sum of pull (w - anchor)^2 / 2 for
 * z = w . x + bias. Never worse than where it started; unchanged where that is no number. The mean over rows there. */
double    ln__ridge_fit(ln__ridge *ridge, float *w, const ln__ridge_problem *problem);
/* z of rows [n], of row r at z[r * stride]. */
void      ln__ridge_answer(ln__ridge *ridge, const float *w, const ln__gate_input *input, const uint32_t *rows, size_t n, float *z, size_t stride);

#endif
