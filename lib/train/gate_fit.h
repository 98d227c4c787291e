/* gate_fit.h - one operating point's gates from prices and inputs. Private to train/. */
#ifndef LN_GATE_FIT_H
#define LN_GATE_FIT_H

#include "train/train.h"

typedef struct ln__gate_input { const float *x; size_t width; float *mean, *scale; } ln__gate_input;   /* x [rows][width] */

typedef struct ln__gate_task {
    size_t          rows;
    uint32_t        exits, folds, hidden, epochs;
    const uint32_t *fold;       /* [rows] */
    ln__gate_input  input[LN__MAX_EXITS];
    const float    *price;      /* [rows][exits + 1] */
    const double   *cost;       /* [exits + 1] in (0,1], last 1 */
    double          alpha, rate, decay;
    uint64_t        seed;
} ln__gate_task;

/* gates: made by ln__gates_new; z [rows][exits]: the gates' arguments out of fold. */
ln_status ln__gate_fit(ln__gates *gates, float *z, const ln__gate_task *task, ln__pool *pool, ln__reporter *reporter,
                       ln_progress *progress, const ln__ctx *ctx, ln_error *err);

#endif
