/* build.h - one ONNX node being turned into nodes of the graph. Private to onnx/. */
#ifndef LN_BUILD_H
#define LN_BUILD_H

#include "onnx/parsed.h"

/* Trouble is kept in `status` (the first one wins): readers ask for what they
 * need in straight lines and the caller looks once. */
typedef struct ln__build {
    const ln__onnx *onnx;
    ln__graph *graph;
    int32_t nodes_capacity, values_capacity;
    ln__map value_of;               /* name -> value */
    ln__map readers;                /* name -> how many nodes and outputs read it */
    const ln__onnx_node *src;
    const struct ln__row *row;
    uint64_t asked;                 /* attributes of src that were asked for */
    ln_status status;
    ln_error *err;
} ln__build;

typedef void (*ln__read_fn)(ln__build *b, int32_t variant);

/* A row of the operator table. */
typedef struct ln__row {
    ln__onnx_operator about;
    ln__read_fn read;
    int32_t variant;                /* which of a family, for the reader */
    int32_t min_in, max_in;         /* max_in -1: any number */
} ln__row;
const ln__row *ln__row_find(const char *type, int64_t opset, bool *other_opset);

/* Refuses the node: "file: node 57 'conv5' (Conv): ...". */
void ln__build_fail(ln__build *b, ln_status status, const char *format, ...) LN__PRINTF(3, 4);

/* ---- Attributes: the value, or the fallback if absent -------------------------- */

const ln__onnx_attr *ln__attr(ln__build *b, const char *name, int32_t type);    /* NULL: absent */
int64_t ln__attr_int(ln__build *b, const char *name, int64_t fallback);
int64_t ln__attr_int_needed(ln__build *b, const char *name);
bool    ln__attr_bool(ln__build *b, const char *name, bool fallback);
float   ln__attr_float(ln__build *b, const char *name, float fallback);
/* At most `most` numbers; returns how many, -1 if absent. */
int32_t ln__attr_ints(ln__build *b, const char *name, int64_t *out, int32_t most);
/* Index of the attribute's text among `words` (NULL at the end); fails for another. */
int32_t ln__attr_word(ln__build *b, const char *name, const char *const *words, int32_t fallback);
/* Marks an attribute as known that changes nothing here. */
void    ln__attr_ignore(ln__build *b, const char *name);

/* ---- Values and nodes -------------------------------------------------------------- */

int32_t ln__in(ln__build *b, int32_t i);                /* LN__NO_VALUE: absent */
/* Its constant, if it is known by now (initializer, Constant node, binding). */
const ln__tensor *ln__in_constant(const ln__build *b, int32_t value);
bool    ln__output_used(const ln__build *b, int32_t i);
/* Refuses the node if output i is read by anyone. */
void    ln__refuse_output(ln__build *b, int32_t i, const char *what);
int32_t ln__new_value(ln__build *b, const char *name);
int32_t ln__new_floats(ln__build *b, const float *data, int32_t n, bool scalar);
int32_t ln__new_ints(ln__build *b, const int64_t *data, int32_t n);

/* A node with these inputs and one output (a value, or LN__NO_VALUE for a new
 * one that only further nodes of the same ONNX node read). Zeroed union. Never
 * NULL: after trouble a spare that is thrown away. */
ln__node *ln__emit(ln__build *b, ln__op op, const int32_t *in, int32_t n_in, int32_t out);
/* The usual case: all inputs and the first output of the ONNX node. */
ln__node *ln__emit_plain(ln__build *b, ln__op op);
int32_t ln__out(ln__build *b, int32_t i);               /* the value of output i */

/* ---- Readers, by family -------------------------------------------------------------- */

void ln__read_conv(ln__build *b, int32_t variant), ln__read_pool(ln__build *b, int32_t average),
     ln__read_global_pool(ln__build *b, int32_t average), ln__read_lrn(ln__build *b, int32_t variant),
     ln__read_upsample(ln__build *b, int32_t variant), ln__read_resize(ln__build *b, int32_t variant),
     ln__read_depth_space(ln__build *b, int32_t op);
void ln__read_unary(ln__build *b, int32_t kind), ln__read_binary(ln__build *b, int32_t kind),
     ln__read_variadic(ln__build *b, int32_t kind), ln__read_clip(ln__build *b, int32_t variant),
     ln__read_gelu(ln__build *b, int32_t variant), ln__read_prelu(ln__build *b, int32_t variant),
     ln__read_matmul(ln__build *b, int32_t variant), ln__read_gemm(ln__build *b, int32_t variant),
     ln__read_cast(ln__build *b, int32_t variant);
void ln__read_batchnorm(ln__build *b, int32_t variant), ln__read_instance_norm(ln__build *b, int32_t variant),
     ln__read_layer_norm(ln__build *b, int32_t variant), ln__read_group_norm(ln__build *b, int32_t per_group),
     ln__read_reduce(ln__build *b, int32_t kind), ln__read_softmax(ln__build *b, int32_t log),
     ln__read_dropout(ln__build *b, int32_t variant), ln__read_identity(ln__build *b, int32_t variant);
void ln__read_reshape(ln__build *b, int32_t variant), ln__read_flatten(ln__build *b, int32_t variant),
     ln__read_squeeze(ln__build *b, int32_t op), ln__read_expand(ln__build *b, int32_t op),
     ln__read_transpose(ln__build *b, int32_t variant), ln__read_axis(ln__build *b, int32_t op),
     ln__read_split(ln__build *b, int32_t variant), ln__read_slice(ln__build *b, int32_t variant),
     ln__read_pad(ln__build *b, int32_t variant), ln__read_shape(ln__build *b, int32_t variant),
     ln__read_size(ln__build *b, int32_t variant), ln__read_fill(ln__build *b, int32_t variant);

#endif
