/* gate_fit.h - one operating point's gates from prices and inputs. Private to train/. */
#ifndef LN_GATE_FIT_H
#define LN_GATE_FIT_H

#include "train/train.h"

/* What a gate reads of a row: x [rows][own], and behind it more [rows][width - own] where width is larger. */
typedef struct ln__gate_input {
    const float *x, *more;
    size_t own, width;
    float *mean, *scale;        /* [width] */
    const ln__cache *cache;     /* that x lies in; NULL: statistics */
} ln__gate_input;

typedef struct ln__gate_task {
    size_t          rows;
    uint32_t        exits, folds, hidden, epochs;
    const uint32_t *fold;       /* [rows] */
    ln__gate_input  input[LN__MAX_EXITS];
    const float    *price;      /* [rows][exits + 1] */
    const double   *cost;       /* [exits + 1] in (0,1], last 1 */
    const uint8_t  *right;      /* [rows][exits + 1] */
    double          alpha, rate, decay;
    uint64_t        seed;
    int32_t         objective;  /* LN_OBJECTIVE_* */
    int32_t         margin;     /* which input is the logit of the margin; -1: none */
    bool            path;       /* linear gates on statistics that learn gains: fitted along a path of penalties */
    bool            wide;       /* linear gates on rows of caches: those of all folds learn from a row whenever it is read */
} ln__gate_task;
/* x [n][width]: inputs of rows, each less its mean over its deviation. */
void      ln__gate_gather(const ln__gate_input *input, const uint32_t *rows, size_t n, float *x);

/* Gates while they learn. */
typedef struct ln__gating {
    const ln__gate_task *task;
    const float   *gain;        /* [rows][exits]; NULL: the LEENet loss */
    const ln__ctx *ctx;
    float         *z;           /* [rows][exits] out of fold, now */
    float         *best_z;      /* of what is kept */
    float         *params;      /* [folds][n_params] that are kept, exit by exit as ln__mlp lays them out */
    size_t         n_params;
} ln__gating;
/* Mean loss of arguments z [n][exits] against targets: gains [n][exits] or prices [n][exits + 1]; dz (may be NULL) as policy.h says. */
double    ln__gating_loss(const ln__gating *gating, const float *z, const float *target, size_t n, float *dz);
/* Targets of a row. */
const float *ln__gating_target(const ln__gating *gating, size_t row, size_t *width);
/* Parameters of an exit's gate. */
size_t    ln__gating_params(const ln__gate_task *task, uint32_t exit);
uint32_t  ln__gating_patience(const ln__gate_task *task);   /* epochs without gain */
/* task->path, task->wide. They leave best_z and params. */
ln_status ln__gating_fit_path(ln__gating *gating, ln__pool *pool, ln__reporter *reporter, ln_progress *progress, ln_error *err);
ln_status ln__gating_fit_wide(ln__gating *gating, ln__pool *pool, ln__reporter *reporter, ln_progress *progress, ln_error *err);

/* By the task's objective. gates: made by ln__gates_new; z [rows][exits]: the gates' arguments out of fold. */
ln_status ln__gate_learn(ln__gates *gates, float *z, const ln__gate_task *task, ln__pool *pool, ln__reporter *reporter,
                         ln_progress *progress, const ln__ctx *ctx, ln_error *err);
/* The LEENet loss where `gain` is NULL, else the weighted logistic loss of gain [rows][exits] (policy.h). gate [exits]: of size 0. */
ln_status ln__gate_fit(ln__mlp *gate, float *z, const ln__gate_task *task, const float *gain, ln__pool *pool,
                       ln__reporter *reporter, ln_progress *progress, const ln__ctx *ctx, ln_error *err);
/* Makes each gate's argument the mean of what it has learned and of the task's margin, the latter weighed, in z too. Input:
 * statistics, first. */
ln_status ln__gates_join_margin(ln__gates *gates, float *z, const ln__gate_task *task, float weight, const ln__ctx *ctx,
                                ln_error *err);

#endif
