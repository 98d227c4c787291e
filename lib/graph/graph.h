/* graph.h - a network as values and nodes.
 *
 * Shapes are never symbolic: ln__shapes_infer works them out for one concrete
 * number of rows, folding shape arithmetic as plain numbers on the way, and
 * every plan asks for the number it needs. A value carries rows when its first
 * dimension counts them (ln__graph_row_values); on the way they may lie in other
 * dimensions (ln__shapes.apart).
 *
 * Everything a graph points at lives in its arena or in the model's file.
 * A graph is immutable once built; passes make a new one. */
#ifndef LN_GRAPH_H
#define LN_GRAPH_H

#include "base/base.h"

enum { LN__MAX_RANK = 8, LN__MAX_SPATIAL = 3, LN__MAX_POST = 4, LN__NO_VALUE = -1 };

/* float16, float64 and bfloat16 become F32 when read, int32 and bool I64. */
typedef enum ln__dtype { LN__F32, LN__I64 } ln__dtype;

/* Row-major. `data` NULL: known only when run. */
typedef struct ln__tensor {
    ln__dtype   dtype;
    int32_t     rank;
    int64_t     dim[LN__MAX_RANK];
    const void *data;           /* may be unaligned: a view into the file */
} ln__tensor;

size_t  ln__dtype_size(ln__dtype dtype);                        /* 4, 8 */
/* Overflow-checked; false past 2^48 elements. */
bool    ln__tensor_elements(const ln__tensor *t, int64_t *out);
/* Data aligned for its type: the same pointer, or a copy in the arena. NULL: no memory. */
const void *ln__tensor_aligned(const ln__tensor *t, ln__arena *arena);
/* "[1, 3, 224, 224]" for messages. */
const char *ln__shape_text(char out[128], const ln__tensor *t);

/* ---- Operators --------------------------------------------------------------- */

/* in[] lists inputs in order; [x] may be LN__NO_VALUE. "const" inputs must be
 * known when shapes are inferred. */
typedef enum ln__op {
    LN__CONV,           /* x, weights const, [bias const], [scale const]: y = post((x*w)*scale + bias), scale per output channel */
    LN__POOL,           /* x: windowed maximum or mean */
    LN__MATMUL,         /* a, b, [c]: alpha * A' B' + beta * c; A, B of any rank without transposes (numpy rules) */
    LN__UNARY,          /* x: f(x) */
    LN__BINARY,         /* a, b: numpy broadcasting */
    LN__AFFINE,         /* x, scale const [C], shift const [C]: per channel (dim 1); from BatchNorm that nothing took in */
    LN__BATCHNORM,      /* x, scale, bias, mean, variance const; folded away by ln__graph_fold */
    LN__NORM,           /* x, [scale], [bias]: layer, instance, group normalisation */
    LN__REDUCE,         /* x, [axes const] */
    LN__SOFTMAX,        /* x */
    LN__LRN,            /* x */
    LN__RESHAPE,        /* x, shape const */
    LN__FLATTEN,        /* x */
    LN__SQUEEZE,        /* x, [axes const] */
    LN__UNSQUEEZE,      /* x, axes const */
    LN__EXPAND,         /* x, shape const */
    LN__TRANSPOSE,      /* x */
    LN__CONCAT,         /* x... */
    LN__SPLIT,          /* x, [sizes const]; several outputs */
    LN__SLICE,          /* x, starts, ends, [axes], [steps] const */
    LN__GATHER,         /* x, indices const */
    LN__PAD,            /* x, pads const, [value const], [axes const] */
    LN__RESIZE,         /* x, [roi], [scales const], [sizes const] */
    LN__DEPTH_TO_SPACE, /* x */
    LN__SPACE_TO_DEPTH, /* x */
    LN__SHAPE,          /* x: its dimensions, I64 */
    LN__CAST,           /* x */
    LN__IDENTITY,       /* x */
    LN__CONSTANT_OF_SHAPE, /* shape const */
    LN__TILE,           /* x, repeats const */
    LN__OP_COUNT
} ln__op;

typedef enum ln__unary {
    LN__RELU, LN__LEAKY_RELU /* a */, LN__CLIP /* a..b */, LN__SIGMOID, LN__HARD_SIGMOID /* max(0,min(1,a x+b)) */,
    LN__HARD_SWISH, LN__SWISH, LN__TANH, LN__ELU /* a */, LN__GELU /* erf */, LN__SQRT, LN__EXP, LN__LOG, LN__ABS,
    LN__NEG, LN__ERF, LN__RECIPROCAL, LN__FLOOR, LN__CEIL, LN__SOFTPLUS, LN__UNARY_COUNT
} ln__unary;

typedef enum ln__binary {
    LN__ADD, LN__SUB, LN__MUL, LN__DIV, LN__POW, LN__MAX_OF, LN__MIN_OF, LN__PRELU, LN__BINARY_COUNT
} ln__binary;

typedef enum ln__reduce {
    LN__MEAN, LN__SUM, LN__MAX, LN__MIN, LN__L1, LN__L2, LN__SUM_SQUARE, LN__PROD, LN__LOG_SUM, LN__LOG_SUM_EXP, LN__REDUCE_COUNT
} ln__reduce;

typedef enum ln__auto_pad { LN__PAD_GIVEN, LN__PAD_VALID, LN__PAD_SAME_UPPER, LN__PAD_SAME_LOWER } ln__auto_pad;

/* Of Resize: how an output position becomes an input position, and how that is rounded. */
typedef enum ln__coordinate {
    LN__HALF_PIXEL, LN__HALF_PIXEL_SYMMETRIC, LN__PYTORCH_HALF_PIXEL, LN__ALIGN_CORNERS, LN__ASYMMETRIC,
    LN__TF_HALF_PIXEL_FOR_NN, LN__TF_CROP_AND_RESIZE
} ln__coordinate;
typedef enum ln__nearest { LN__ROUND_PREFER_FLOOR, LN__ROUND_PREFER_CEIL, LN__FLOOR_OF, LN__CEIL_OF } ln__nearest;
typedef enum ln__aspect { LN__STRETCH, LN__NOT_LARGER, LN__NOT_SMALLER } ln__aspect;

/* Of Conv and pooling, over 1..3 spatial dimensions. As read, spatial may be 0:
 * a Conv that leaves everything to its weights' shape (strides and dilations 1,
 * pads 0 all the same), a pool over the whole input. ln__node_window completes
 * it; after ln__graph_fold windows are complete and their pads given. */
typedef struct ln__window {
    int32_t spatial;
    int64_t kernel[LN__MAX_SPATIAL], stride[LN__MAX_SPATIAL], dilation[LN__MAX_SPATIAL];  /* dilation 1: dense */
    int64_t pad_begin[LN__MAX_SPATIAL], pad_end[LN__MAX_SPATIAL];
    ln__auto_pad auto_pad;
    bool ceil_mode;
} ln__window;

/* Pads and output sizes for an input's spatial sizes (auto_pad, ceil_mode and
 * its rule that no window starts in the end padding; the last window may reach
 * past pad_end then). False where none fits or a number is out of range. */
bool ln__window_resolve(const ln__window *w, const int64_t *in, int64_t *pad_begin,
                        int64_t *pad_end, int64_t *out);

struct ln__node;
/* The window of a CONV or POOL node, with spatial, kernel and pads as they are
 * for these inputs (x, weights), and the spatial output sizes. False where none fits. */
bool ln__node_window(ln__window *window, int64_t *out, const struct ln__node *node,
                     const ln__tensor *x, const ln__tensor *weights);

/* What the inputs of a node (in[], NULL: absent) come to: of REDUCE which dimensions, of SLICE and PAD where
 * each dimension begins and ends. False where they are no lists of one length, or an axis is out of range or given twice. */
bool ln__reduce_mask(bool *mask, const struct ln__node *node, const ln__tensor *const *in);
typedef struct ln__slice_range { int64_t start[LN__MAX_RANK], step[LN__MAX_RANK], count[LN__MAX_RANK]; } ln__slice_range;
bool ln__slice_resolve(ln__slice_range *out, const ln__tensor *const *in, int32_t n_in);
typedef struct ln__pad_range { int64_t begin[LN__MAX_RANK], end[LN__MAX_RANK]; } ln__pad_range;
bool ln__pad_resolve(ln__pad_range *out, const ln__tensor *const *in, int32_t n_in);

/* What a convolution or matrix product does to its result, in order. */
typedef struct ln__post {
    enum { LN__POST_UNARY, LN__POST_ADD } kind;
    ln__unary unary;
    float a, b;                 /* of the unary */
    int32_t value;              /* LN__POST_ADD: same shape as the result */
} ln__post;

typedef struct ln__node {
    ln__op op;
    const char *name;           /* ONNX node name, or its first output's */
    const char *type;           /* ONNX op_type, for messages and the census */
    int32_t index;              /* of the ONNX node, for messages */
    int32_t n_in, n_out;
    int32_t *in, *out;          /* value ids; each output has one, read or not */
    union {
        struct { ln__window window; int64_t group; bool has_kernel; } conv;
        struct { ln__window window; bool average, count_include_pad; } pool;
        struct { float alpha, beta; bool trans_a, trans_b; } matmul;
        struct { ln__unary kind; float a, b; } unary;
        struct { ln__binary kind; int32_t axis; bool legacy_broadcast; } binary; /* legacy: opset < 7, b placed at axis (axis -1: suffix) */
        struct { ln__reduce kind; int64_t axes[LN__MAX_RANK]; int32_t n_axes; bool keepdims, all_if_empty, to_end; } reduce; /* axes attr used where in[1] is absent; to_end: axes[0] and all behind it */
        struct { int64_t axis; bool log, flattened; } softmax;   /* flattened: opset < 13, over all dims from axis on */
        struct { int64_t size; float alpha, beta, bias; } lrn;
        struct { float epsilon; } batchnorm;
        struct { enum { LN__NORM_LAYER, LN__NORM_INSTANCE, LN__NORM_GROUP } kind; int64_t axis, groups; float epsilon; bool scale_per_group; } norm;
        struct { bool allow_zero; } reshape;
        struct { int64_t axis; } axis;                           /* flatten, concat, gather, split */
        struct { int64_t axes[LN__MAX_RANK]; int32_t n_axes; } axes; /* squeeze, unsqueeze without axes input */
        struct { int64_t perm[LN__MAX_RANK]; int32_t n_perm; } transpose; /* 0: reverse */
        struct { int64_t axis; int64_t num_outputs; } split;     /* num_outputs 0: by sizes, or equal */
        struct { enum { LN__PAD_CONSTANT, LN__PAD_REFLECT, LN__PAD_EDGE, LN__PAD_WRAP } mode; } pad;
        struct { enum { LN__RESIZE_NEAREST, LN__RESIZE_LINEAR, LN__RESIZE_CUBIC } mode; ln__coordinate coordinate; ln__nearest nearest; ln__aspect aspect; float cubic_a, extrapolation; bool exclude_outside, antialias; int64_t axes[LN__MAX_RANK]; int32_t n_axes; } resize; /* n_axes 0: all; roi, scales, sizes are one (roi two) an axis */
        struct { int64_t block; bool crd; } depth_space;
        struct { int64_t start, end; bool has_end; } shape;
        struct { ln__dtype to; bool saturate_bool; } cast;       /* saturate_bool: to bool, x != 0 */
        struct { ln__tensor value; } fill;                       /* constant_of_shape: one element */
    } u;
    ln__post post[LN__MAX_POST];  /* CONV, MATMUL, POOL, AFFINE, BINARY; made by ln__graph_fuse */
    int32_t n_post;
} ln__node;

typedef struct ln__value {
    const char *name;
    int32_t producer;           /* node, or -1: input or constant */
    const ln__tensor *constant; /* NULL: runtime */
} ln__value;

typedef struct ln__graph_input {
    int32_t value;
    ln__tensor type;            /* dim -1: symbolic or not said; data NULL */
} ln__graph_input;

typedef struct ln__graph {
    const ln__ctx *ctx;
    ln__arena arena;
    const char *file;           /* for messages */
    ln__value *values;  int32_t n_values;
    ln__node *nodes;    int32_t n_nodes;    /* topological order */
    ln__graph_input *inputs; int32_t n_inputs;
    int32_t *outputs;   int32_t n_outputs;  /* value ids */
    bool batch_fixed;           /* the file says 1 row, not "any" */
    const char *one_row;        /* why it cannot be made for more, found by ln__graph_fold; NULL: it can */
    uint64_t max_bytes;         /* most bytes a folded or running tensor may take */
} ln__graph;

/* ---- Building (used by onnx/) --------------------------------------------------- */

ln_status ln__graph_new(ln__graph **out, const ln__ctx *ctx, const char *file, uint64_t max_bytes, ln_error *err);
void      ln__graph_free(ln__graph *graph);
int32_t   ln__graph_find(const ln__graph *graph, const char *value_name);     /* -1: absent */

/* "file: node 57 'conv5' (Conv): ..." */
ln_status ln__node_fail(ln_error *err, ln_status status, const ln__graph *graph,
                        const ln__node *node, const char *format, ...) LN__PRINTF(5, 6);

/* ---- Shapes ----------------------------------------------------------------------- */

typedef struct ln__shapes {
    ln__arena arena;
    int64_t rows;
    ln__tensor *of;             /* [n_values]; data set where folded or constant; rank -1: value never made */
    int64_t *apart;             /* [n_values]; element e belongs to row e / apart % rows; 0: to none */
} ln__shapes;

/* Every value's type for `rows` rows in the first dimension of every F32
 * runtime input (inputs whose shape says otherwise are taken as declared).
 * Checks each node's attributes and shapes: after success, evaluating cannot
 * fail. LN_E_FORMAT, LN_E_UNSUPPORTED, LN_E_LIMIT. With rows > 1, what only
 * one row can be made for (or what would mix rows) is LN_E_UNSUPPORTED. */
ln_status ln__shapes_infer(ln__shapes **out, const ln__graph *graph, int64_t rows, ln_error *err);
void      ln__shapes_free(ln__shapes *shapes, const ln__ctx *ctx);

/* Computes a node on plain row-major tensors: in[] (NULL: absent) as inferred and
 * aligned (ln__tensor_aligned), `out` an array of n_out whose data is where the
 * results go (NULL: not wanted). Every operator but CONV, MATMUL with posts and
 * BATCHNORM; ln__op_evaluable tells. No allocation, no failure. `scratch` has
 * ln__node_scratch bytes. */
bool   ln__op_evaluable(ln__op op);
size_t ln__node_scratch(const ln__node *node, const ln__tensor *const *in, const ln__tensor *out);
void   ln__node_evaluate(const ln__node *node, const ln__tensor *const *in, ln__tensor *out, void *scratch);

/* The i-th kind of operator in order of first use, and how many nodes have it; NULL past the end. */
const char *ln__graph_operator(const ln__graph *graph, uint32_t i, uint32_t *count);

/* One unary on an array, vectorised; x may be y. */
void ln__unary_apply(ln__unary kind, float a, float b, const float *x, float *y, size_t n);

/* For each value: true if its first dimension counts the rows; in a graph for one
 * row only, if it is 1. */
ln_status ln__graph_row_values(bool *out, const ln__graph *graph, ln_error *err);

/* ---- Passes: each makes a new graph that shares constants with the old one, which
 * must outlive it. Value ids stay valid across passes; values that vanish have
 * no producer and no users. ------------------------------------------------------- */

/* What does not depend on rows becomes a constant; BatchNorm and per-channel Mul/Add of constants
 * go into the convolution or matrix product before them (scale, bias) or become AFFINE;
 * identities, dropouts and casts between like types vanish. Values in keep[] stay computed. */
ln_status ln__graph_fold(ln__graph **out, const ln__graph *graph, const int32_t *keep, int32_t n_keep, ln_error *err);

/* Recognises HardSwish, Swish, GELU written out; puts activations and residual
 * adds into ln__node.post. keep[] values are not fused away. */
ln_status ln__graph_fuse(ln__graph **out, const ln__graph *graph, const int32_t *keep, int32_t n_keep, ln_error *err);

/* Nodes in stage order: stage s makes cut value s (given by depth) and nothing
 * later needs be run before it. */
typedef struct ln__stage {
    int32_t first, last;        /* nodes [first, last) of ln__cut.graph's order[] */
    int32_t *in;   int32_t n_in;    /* runtime values read that earlier stages or the graph's input made */
    int32_t *out;  int32_t n_out;   /* values later stages need or an exit reads; cut value first (the graph's output for the last) */
} ln__stage;
typedef struct ln__cut {
    ln__arena arena;
    int32_t *order;             /* node indices in execution order */
    ln__stage *stages; int32_t n_stages;    /* number of cut values + 1 */
} ln__cut;
/* Carried values (in and needed later) are in both in and out of a stage they pass. */
ln_status ln__graph_cut(ln__cut **out, const ln__graph *graph, const int32_t *at, int32_t n_at, ln_error *err);
void      ln__cut_free(ln__cut *cut, const ln__ctx *ctx);

/* ---- Cost --------------------------------------------------------------------------- */

typedef struct ln__cost { uint64_t params, macs; } ln__cost;
/* Of one node, for one row; params counts constants' elements read as weights. */
ln__cost ln__node_cost(const ln__graph *graph, const ln__shapes *one_row, int32_t node);

/* Places for exits in a fused graph, in order: row values of rank 3 to 5 that everything
 * later flows through (carried 0 others), after the first convolution and before the classifier. */
typedef struct ln__candidate { int32_t value; int32_t carried; ln__cost before; } ln__candidate;
ln_status ln__graph_candidates(ln__candidate **out, int32_t *count, const ln__graph *fused, ln__arena *arena, ln_error *err);

/* The last linear layer (DESIGN 3.2): the MATMUL, or CONV with 1x1 kernel, before the first output;
 * -1 if there is none. */
int32_t ln__graph_classifier(const ln__graph *graph);

#endif
