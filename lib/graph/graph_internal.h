/* graph_internal.h - what the files of this room share. */
#ifndef LN_GRAPH_INTERNAL_H
#define LN_GRAPH_INTERNAL_H

#include "graph/graph.h"

/* One node being given its output types. */
typedef struct ln__infer {
    const ln__graph *graph;
    const ln__node *node;
    const ln__tensor *const *in;    /* [n_in], NULL: absent; data set where known */
    ln__tensor *out;                /* [n_out], to be filled in */
    int64_t rows;
    int32_t row_axis;               /* the first input's dimension that counts rows, and nothing else; -1: none */
    ln_error *err;
} ln__infer;

typedef ln_status (*ln__infer_fn)(const ln__infer *c);
typedef void (*ln__evaluate_fn)(const ln__node *node, const ln__tensor *const *in, ln__tensor *out, void *scratch);
typedef size_t (*ln__scratch_fn)(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);

typedef struct ln__op_entry {
    ln__infer_fn    infer;
    ln__evaluate_fn evaluate;       /* NULL: left to the engine or folded away */
    ln__scratch_fn  scratch;        /* NULL: none */
    int32_t min_in, max_in, max_out;
    uint32_t const_in;              /* bit i: input i must be known */
} ln__op_entry;
const ln__op_entry *ln__op_entry_of(ln__op op);

/* ---- Checks shared by the inference functions ------------------------------- */

#define LN__REFUSE(c, status, ...) ln__node_fail((c)->err, (status), (c)->graph, (c)->node, __VA_ARGS__)

ln_status ln__need_f32(const ln__infer *c, int32_t input);
ln_status ln__need_rank(const ln__infer *c, int32_t input, int32_t least, int32_t most);
/* Normalises a possibly negative axis; 0 <= *axis < rank after success. */
ln_status ln__need_axis(const ln__infer *c, int64_t *axis, int32_t rank);
/* A known one-dimensional (or scalar) I64 input of at most `most` numbers; absent: none. */
ln_status ln__need_ints(const ln__infer *c, int32_t input, int64_t *out, int32_t most, int32_t *n);
/* Per-channel vector of `length` numbers. */
ln_status ln__need_vector(const ln__infer *c, int32_t input, const char *what, int64_t length);

/* ---- Rows (rows.c) ------------------------------------------------------------ */

/* Where rows are in the node's results, given apart[n_values] of its inputs (ln__shapes);
 * refuses what works across them. */
ln_status ln__follow_rows(int64_t *apart, const ln__infer *c);
/* The dimension that counts rows and nothing else; -1: none. */
int32_t ln__row_axis(const ln__tensor *t, int64_t apart, int64_t rows);
/* Two numbers of rows tell what follows them. *three is NULL where only one row can be computed; `why` (may be NULL) says why. */
ln_status ln__shapes_infer_both(ln__shapes **one, ln__shapes **three, const ln__graph *graph, ln_error *why, ln_error *err);

/* ---- Tensors ------------------------------------------------------------------ */

bool    ln__mul_i64(int64_t a, int64_t b, int64_t *out);    /* false on overflow */
bool    ln__add_i64(int64_t a, int64_t b, int64_t *out);
int64_t ln__tensor_count(const ln__tensor *t);              /* of a checked tensor */
int64_t ln__dims_product(const ln__tensor *t, int32_t from, int32_t to);
bool    ln__same_shape(const ln__tensor *a, const ln__tensor *b);
/* Numbers of a known I64 tensor of rank 0 or 1; false if it is not one or has more than `most`. */
bool    ln__tensor_ints(const ln__tensor *t, int64_t *out, int32_t most, int32_t *n);
float   ln__tensor_float(const ln__tensor *t, int64_t i);   /* of any alignment */
/* Row-major strides in elements. */
void    ln__tensor_strides(const ln__tensor *t, int64_t *stride);
/* numpy's rule; false if they do not fit. May be one of the inputs. */
bool    ln__broadcast_shape(const ln__tensor *a, const ln__tensor *b, ln__tensor *out);
/* Moves `index` to the next position in dim[0..rank); false after the last. */
bool    ln__next_index(int64_t *index, const int64_t *dim, int32_t rank);

/* ---- Resolved parameters, used when shapes are inferred and when evaluating ------ */

/* Scale and region of interest per dimension, and output sizes. */
typedef struct ln__resize_scale { float scale[LN__MAX_RANK], width[LN__MAX_RANK], from[LN__MAX_RANK], to[LN__MAX_RANK]; bool touched[LN__MAX_RANK]; } ln__resize_scale;
bool ln__resize_resolve(ln__resize_scale *out, ln__tensor *type, const ln__node *node,
                        const ln__tensor *const *in, const char **why);
/* How many numbers of its input a number of Resize's result is made of. */
double ln__resize_taps(const ln__node *node, const ln__tensor *const *in);
/* b as binary operators see it: legacy placement made numpy's. False: does not fit. */
bool ln__binary_operand(ln__tensor *b, const ln__node *node, const ln__tensor *const *in);
/* False: an overflow or a division by zero (the result there is 0). */
bool ln__binary_i64(const ln__node *node, const ln__tensor *const *in, ln__tensor *out);
/* out = a (op) b with broadcasting; out may be a where their shapes are the same. */
void ln__binary_apply(ln__binary kind, const ln__tensor *a, const ln__tensor *b, float *out, const ln__tensor *type);

/* ---- The operators ------------------------------------------------------------------ */

ln_status ln__infer_conv(const ln__infer *c), ln__infer_pool(const ln__infer *c), ln__infer_matmul(const ln__infer *c);
ln_status ln__infer_unary(const ln__infer *c), ln__infer_binary(const ln__infer *c), ln__infer_affine(const ln__infer *c),
          ln__infer_batchnorm(const ln__infer *c), ln__infer_norm(const ln__infer *c), ln__infer_reduce(const ln__infer *c),
          ln__infer_softmax(const ln__infer *c), ln__infer_lrn(const ln__infer *c), ln__infer_cast(const ln__infer *c),
          ln__infer_identity(const ln__infer *c);
ln_status ln__infer_reshape(const ln__infer *c), ln__infer_flatten(const ln__infer *c), ln__infer_squeeze(const ln__infer *c),
          ln__infer_unsqueeze(const ln__infer *c), ln__infer_expand(const ln__infer *c), ln__infer_transpose(const ln__infer *c),
          ln__infer_concat(const ln__infer *c), ln__infer_split(const ln__infer *c), ln__infer_slice(const ln__infer *c),
          ln__infer_gather(const ln__infer *c), ln__infer_pad(const ln__infer *c), ln__infer_resize(const ln__infer *c),
          ln__infer_depth_to_space(const ln__infer *c), ln__infer_space_to_depth(const ln__infer *c),
          ln__infer_shape(const ln__infer *c), ln__infer_fill(const ln__infer *c), ln__infer_tile(const ln__infer *c);

/* Operations of ln__node_evaluate, roughly. */
double ln__node_work(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);

#define LN__EVALUATOR(name) \
    void ln__evaluate_##name(const ln__node *node, const ln__tensor *const *in, ln__tensor *out, void *scratch)
LN__EVALUATOR(pool); LN__EVALUATOR(matmul); LN__EVALUATOR(unary); LN__EVALUATOR(binary); LN__EVALUATOR(affine);
LN__EVALUATOR(norm); LN__EVALUATOR(reduce); LN__EVALUATOR(softmax); LN__EVALUATOR(lrn); LN__EVALUATOR(copy);
LN__EVALUATOR(expand); LN__EVALUATOR(transpose); LN__EVALUATOR(concat); LN__EVALUATOR(split); LN__EVALUATOR(slice);
LN__EVALUATOR(gather); LN__EVALUATOR(pad); LN__EVALUATOR(resize); LN__EVALUATOR(depth_space); LN__EVALUATOR(shape);
LN__EVALUATOR(cast); LN__EVALUATOR(fill); LN__EVALUATOR(tile);

size_t ln__reduce_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);
size_t ln__softmax_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);
size_t ln__lrn_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);
size_t ln__resize_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);

/* Element moves for both types: `size` is 4 or 8. */
void ln__move_strided(char *to, const char *from, const int64_t *dim, const int64_t *from_stride, int32_t rank, size_t size);

#endif
