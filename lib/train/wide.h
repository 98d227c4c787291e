/* wide.h - linear layers with so many inputs that reading rows is what costs: everything that learns from a batch of rows stands
 * side by side as outputs, so that a batch is read once for all, and threads share the columns. Private to train/. */
#ifndef LN_WIDE_H
#define LN_WIDE_H

#include "train/train.h"

typedef struct ln__wide_worker ln__wide_worker;

typedef struct ln__wide {
    const ln__ctx   *ctx;
    ln__pool        *pool;
    const ln__cache *x;
    size_t    inputs, outputs, most;    /* most: rows of a batch */
    float    *mean, *scale;     /* [inputs] */
    float    *w, *bias;         /* [outputs][inputs] of standardised inputs; [outputs] */
    ln__adam  of_w, of_bias;
    ln__wide_worker *worker;    /* [workers] */
    uint32_t  workers;
    size_t    columns;          /* inputs that a worker takes at once */
} ln__wide;

/* Zeros; `mean` and `scale` are the caller's to fill. */
ln_status ln__wide_new(ln__wide *out, const ln__cache *x, size_t outputs, size_t most, ln__pool *pool, const ln__ctx *ctx, ln_error *err);
void      ln__wide_free(ln__wide *wide);
/* The learning rate that suits so many inputs where `rate` suits few. */
double    ln__wide_rate(double rate, size_t inputs);
/* z [n][outputs] of rows at these places of the cache. */
ln_status ln__wide_forward(ln__wide *wide, const uint32_t *places, size_t n, float *z, ln_error *err);
/* One step of Adam from dz [n][outputs] of the same rows. Biases do not decay. */
ln_status ln__wide_step(ln__wide *wide, const uint32_t *places, size_t n, const float *dz, float rate, float decay, ln_error *err);

/* Rows come from the file while the batch before them is worked on: a thread of its own reads them. */
typedef struct ln__ahead {
    const ln__wide *wide;       /* [count] whose rows are asked for */
    uint32_t        count;
    ln__pool       *reader;     /* NULL: nothing is read ahead */
    const uint32_t *places;
    size_t          n;
} ln__ahead;

ln_status ln__ahead_new(ln__ahead *out, const ln__wide *wide, uint32_t count, const ln__ctx *ctx, ln_error *err);
void      ln__ahead_free(ln__ahead *ahead);
typedef ln_status (*ln__batch_fn)(void *payload, const uint32_t *places, size_t n, ln_error *err);
/* Works on the rows at these places in batches of at most `batch`, in their order; `places` stay as they are until it returns. */
ln_status ln__ahead_walk(ln__ahead *ahead, const uint32_t *places, size_t rows, size_t batch, ln__batch_fn work, void *payload, ln_error *err);

#endif
