/* onnx.h - .onnx bytes to a graph, and a model's additions back to bytes. The
 * only room that reads or writes protobuf. */
#ifndef LN_ONNX_H
#define LN_ONNX_H

#include "base/base.h"
#include "graph/graph.h"

/* A parsed file. Weights are views into its bytes (or external data files,
 * mapped), so it outlives graphs read from it. */
typedef struct ln__onnx ln__onnx;

typedef struct ln__onnx_limits { uint64_t max_file_bytes, max_bytes; } ln__onnx_limits;

/* From a file, or from memory (copied). Nodes and initializers whose names
 * begin with LN__ONNX_PREFIX are our own additions: kept apart from the
 * backbone's graph. */
#define LN__ONNX_PREFIX "leenet/"
ln_status ln__onnx_load(ln__onnx **out, const ln__ctx *ctx, const char *path,
                        const ln__onnx_limits *limits, ln_error *err);
ln_status ln__onnx_load_memory(ln__onnx **out, const ln__ctx *ctx, const void *data, size_t size,
                               const ln__onnx_limits *limits, ln_error *err);
void ln__onnx_free(ln__onnx *onnx);

/* The backbone's graph as the file has it: our additions left out, outputs that
 * they make (logits_i, gate_i) left out. Owned by the caller.
 * `constants` [n]: graph inputs to be taken as constants of these contents
 * (conformance cases feed weights and shapes as inputs); NULL, 0 otherwise. */
typedef struct ln__binding { const char *input; ln__tensor tensor; } ln__binding;
ln_status ln__onnx_graph(ln__graph **out, const ln__onnx *onnx, const ln__binding *constants, size_t n, ln_error *err);

/* Metadata of the file; NULL: absent. The i-th entry: its key, NULL past the end. */
const char *ln__onnx_metadata(const ln__onnx *onnx, const char *key);
const char *ln__onnx_metadata_at(const ln__onnx *onnx, size_t i, const char **value);
/* One of our own initializers, by full name. False: absent. */
bool ln__onnx_addition(const ln__onnx *onnx, const char *name, ln__tensor *out);
int64_t     ln__onnx_opset(const ln__onnx *onnx);       /* of the default domain */
const char *ln__onnx_producer(const ln__onnx *onnx);    /* "name version", "" */

/* ---- Writing ------------------------------------------------------------------------- */

/* What is added to (or replaced in) the loaded file. Emitters know the file's
 * opset and choose each operator's form for it; names are prefixed by the
 * caller with LN__ONNX_PREFIX. Memory failures are kept until save. */
typedef struct ln__onnx_edit ln__onnx_edit;
ln_status ln__onnx_edit_new(ln__onnx_edit **out, const ln__onnx *onnx, ln_error *err);
void ln__onnx_edit_free(ln__onnx_edit *edit);

void ln__onnx_add_f32(ln__onnx_edit *edit, const char *name, const float *data, int32_t rank, const int64_t *dims);
/* data [columns][rows], written turned: the first dimension is `rows`. */
void ln__onnx_add_f32_turned(ln__onnx_edit *edit, const char *name, const float *data, int32_t rank, const int64_t *dims);
void ln__onnx_add_i64(ln__onnx_edit *edit, const char *name, const int64_t *data, int32_t rank, const int64_t *dims);
/* One of `count` numbers for the caller to fill; NULL on failure. */
int64_t *ln__onnx_make_i64(ln__onnx_edit *edit, const char *name, int64_t count);
/* A node: type, one output, inputs; attributes follow the call. */
void ln__onnx_add_node(ln__onnx_edit *edit, const char *type, const char *output, const char *const *inputs, int32_t n_inputs);
void ln__onnx_node_int(ln__onnx_edit *edit, const char *attribute, int64_t value);      /* of the node just added */
void ln__onnx_node_ints(ln__onnx_edit *edit, const char *attribute, const int64_t *values, int32_t n);
void ln__onnx_node_float(ln__onnx_edit *edit, const char *attribute, float value);

/* Operators whose form depends on the opset, opset 6 to 25. */
void ln__onnx_emit_binary(ln__onnx_edit *edit, const char *type, const char *out, const char *a, const char *b); /* b [C] or [1,C] against a [N,C], or same shape, or one element */
void ln__onnx_emit_gemm(ln__onnx_edit *edit, const char *out, const char *x, const char *w, const char *bias);   /* x [N,F] w [O,F] (transB) bias [O] */
void ln__onnx_emit_reduce(ln__onnx_edit *edit, const char *type, const char *out, const char *x, const int64_t *axes, int32_t n_axes, bool keepdims);
void ln__onnx_emit_concat(ln__onnx_edit *edit, const char *out, const char *const *inputs, int32_t n, int64_t axis);
void ln__onnx_emit_slice(ln__onnx_edit *edit, const char *out, const char *x, int64_t axis, int64_t from, int64_t to);
void ln__onnx_emit_reshape(ln__onnx_edit *edit, const char *out, const char *x, const int64_t *shape, int32_t rank);
void ln__onnx_emit_top_k(ln__onnx_edit *edit, const char *values, const char *indices, const char *x, int64_t k);  /* last axis, sorted */
void ln__onnx_emit_softmax(ln__onnx_edit *edit, const char *out, const char *x, bool log);                        /* [N,C] over C */
void ln__onnx_emit_unary(ln__onnx_edit *edit, const char *type, const char *out, const char *x);                   /* Sigmoid, Relu, Sqrt, Log, Exp, Neg */

/* An extra graph output, float [N, columns]. */
void ln__onnx_add_output(ln__onnx_edit *edit, const char *name, int64_t columns);
/* A node's weight or bias is read from another initializer (already added), and shapes
 * that the file states for values from there on are dropped or corrected: the
 * replaced last layer. `output_columns`: the first graph output's new width. */
void ln__onnx_replace_input(ln__onnx_edit *edit, int32_t node_index, int32_t input, const char *initializer, int64_t output_columns);
void ln__onnx_set_metadata(ln__onnx_edit *edit, const char *key, const char *value);

/* The loaded file with its earlier LN__ONNX_PREFIX additions and leenet.*
 * metadata taken out and the edit put in; everything else is copied as bytes.
 * External data is written into the file; over ONNX's 2 GiB: LN_E_LIMIT.
 * Nodes stay in topological order. IR version is raised only if initializers
 * without graph inputs need it. */
ln_status ln__onnx_save(ln__onnx_edit *edit, const char *path, ln_error *err);

/* ---- The operator table ---------------------------------------------------------------- */

typedef struct ln__onnx_operator {
    const char *name;           /* "Conv" */
    int64_t first, last;        /* opsets of this form */
    ln__op op;
    const char *meaning;        /* one line for docs/operators.md */
    uint32_t const_inputs;      /* bit i: input i must be known before running */
} ln__onnx_operator;
/* The i-th row of the table, NULL past the end. */
const ln__onnx_operator *ln__onnx_operator_at(size_t i);

#endif
