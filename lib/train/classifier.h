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

#endif
