/* rewrite.h - a graph being changed: what the passes have in common.
 *
 * The new graph has the old one's values under their ids, and new constants
 * after them. Nodes keep their slots until ln__rewrite_finish, which drops the
 * dead ones and those whose results nobody reads. */
#ifndef LN_REWRITE_H
#define LN_REWRITE_H

#include "graph/graph_internal.h"

typedef struct ln__rewrite {
    const ln__graph *old;
    ln__graph *g;
    ln_error *err;
    ln__shapes *one, *three;    /* of the old graph; three NULL: it takes one row only ... */
    ln_error why;               /* ... and why */
    int32_t capacity;           /* of the value arrays */
    bool *dead;                 /* [node] */
    bool *pinned;               /* [value] an output or kept: must be computed under its id */
    int32_t *uses;              /* [value] reads by nodes, but by Shape */
    int32_t *shape_uses;        /* [value] reads by Shape, which follow a value that takes its place */
    int32_t *instead;           /* [value] the value that took its place, or itself */
} ln__rewrite;

ln_status ln__rewrite_begin(ln__rewrite *r, const ln__graph *graph, const int32_t *keep, int32_t n_keep, ln_error *err);
/* Gives the new graph out on success (st >= 0), frees everything else. */
ln_status ln__rewrite_finish(ln__rewrite *r, ln_status st, ln__graph **out);

int32_t ln__rewrite_resolve(ln__rewrite *r, int32_t value);
void    ln__rewrite_resolve_inputs(ln__rewrite *r, ln__node *node);
/* The live node without posts that makes a value with this operator, or NULL. */
ln__node *ln__rewrite_maker(const ln__rewrite *r, int32_t value, ln__op op);
/* Type for one row, of old and new values. */
const ln__tensor *ln__rewrite_type(const ln__rewrite *r, int32_t value);
/* True if only one node reads the value and nobody else wants it: it may vanish. */
bool ln__rewrite_private(const ln__rewrite *r, int32_t value);
/* True if the value is one constant number. */
bool ln__rewrite_scalar(const ln__rewrite *r, int32_t value, float *out);
bool ln__rewrite_is(const ln__rewrite *r, int32_t value, float want);
/* A new constant vector; its numbers are in *data. -1: no memory. */
int32_t ln__rewrite_constant(ln__rewrite *r, ln__dtype dtype, const int64_t *dim, int32_t rank, void **data);
/* `maker` makes node's result from now on, its own result vanishes; node dies. */
void ln__rewrite_take_over(ln__rewrite *r, ln__node *maker, ln__node *node);
/* Gives node new inputs; the counts of uses follow. NULL inputs: none. */
bool ln__rewrite_inputs(ln__rewrite *r, ln__node *node, const int32_t *in, int32_t n_in);
void ln__rewrite_kill(ln__rewrite *r, ln__node *node);
/* Kills what only led to a value that nobody reads any more. */
void ln__rewrite_prune(ln__rewrite *r, int32_t value);

/* Activations written out as several nodes become one UNARY. */
void ln__find_patterns(ln__rewrite *r);

/* Takes a BATCHNORM or a BINARY with a constant per channel into what makes its
 * input. False: no memory. */
bool ln__fold_affine(ln__rewrite *r, ln__node *node);

#endif
