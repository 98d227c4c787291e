/* classifier.h - a head (or last layer) while it learns. Private to classifier*.c. */
#ifndef LN_CLASSIFIER_H
#define LN_CLASSIFIER_H

#include "train/train.h"

typedef struct ln__learner {        /* one fold's model */
    float    *params;           /* of convolutions, then of the layers */
    ln__mlp   mlp;              /* params behind those of the convolutions */
    ln__conv_batch conv;        /* task->head */
    ln__adam  adam;
    ln__rng   rng;
    uint32_t *order;            /* rows it learns from */
    size_t    n_order;
    uint32_t *partner;          /* [n_order] */
    uint32_t *places, *others;  /* [batch] in the caches */
    float    *x, *dx, *kept, *hidden, *dhidden, *spread, *logits, *dlogits, *target, *gradient;  /* of a batch */
} ln__learner;

typedef struct ln__classifying {
    const ln__classifier_task *task;
    const ln__ctx *ctx;
    ln__learner *learners;         /* [folds + 1] */
    float    *mean, *scale;     /* [inputs]; task->head: scale [channels] */
    float    *norm_mean, *norm_scale;   /* [norms] of the model on all rows, at the best epoch */
    float    *logits, *best;    /* [rows][classes] out of fold: now, at the best epoch */
    float    *params;           /* of the model on all rows, at the best epoch */
    size_t    n_params, n_conv; /* all; those of the convolutions */
} ln__classifying;

/* Rows of the caches, mixed with others where there are any. */
typedef struct ln__classifier_batch {
    const ln__classifying *c;
    const uint32_t *places, *others;
    float  share;               /* of places */
    size_t n;
} ln__classifier_batch;

/* What enters the layers, standardised, into learner->x. */
ln_status ln__classifier_read(ln__learner *l, const ln__classifier_batch *b, ln__norm norm, ln_error *err);
/* Some of it zeroed, the rest made up for it. */
void      ln__classifier_drop(const ln__classifying *c, ln__learner *l, size_t numbers);
/* Gradient of the convolutions, once the layers' is known. */
ln_status ln__classifier_backward_maps(const ln__classifying *c, ln__learner *l, const ln__classifier_batch *b, ln_error *err);
/* Statistics that stand in for those of batches when the head answers: of rows as they are, which mixed ones are not. */
ln_status ln__classifier_count_norms(const ln__classifying *c, ln__learner *l, ln_error *err);
/* By what inputs are standardised. */
ln_status ln__classifier_describe(ln__classifying *c, ln_error *err);
/* Adds `share` of what the row at `place` should be answered with: its label, smoothed, and the network's own opinion. */
void      ln__classifier_target(const ln__classifier_task *t, uint32_t place, float share, float *target);
/* The row's place in the caches in one of its forms. */
uint32_t  ln__classifier_form(const ln__classifier_task *t, ln__rng *rng, uint32_t row);
/* Beta(1/2, 1/2), which is sin^2 of a uniform angle. */
float     ln__mixup_share(ln__rng *rng);
size_t    ln__largest(const float *x, size_t n);
/* Cross entropy as it will be once calibrated: mixup leaves heads too modest, the more the longer they learn. */
double    ln__classifier_calibrated_loss(const ln__classifying *c, const float *logits);
/* task->wide. Leaves c->params, mean, scale, best. */
ln_status ln__classifier_fit_wide(ln__classifying *c, ln__fit_result *result, ln__pool *pool, ln__reporter *reporter, ln_progress *progress,
                                  ln_error *err);

#endif
