/* plan.h - what the engine's files share: the engine itself, steps and buffers
 * of a plan while it is lowered, laid out and run. */
#ifndef LN_PLAN_H
#define LN_PLAN_H

#include <pthread.h>
#include <signal.h>

#include "engine/engine.h"
#include "engine/kernels.h"
#include "engine/onednn.h"

typedef enum ln__layout { LN__PLAIN, LN__BLOCKED, LN__LAST } ln__layout;

/* How a convolution is computed; 0 for other nodes. By oneDNN in channel blocks, channels-last or in
 * ONNX's order, or by our own tiles in channel blocks: direct, or Winograd's with 4x4 or 2x2 outputs a tile. */
enum { LN__DIRECT = 'd', LN__NHWC = 'n', LN__ROWS = 'p', LN__TILED = 't', LN__WINOGRAD = 'w', LN__WINOGRAD_2 = 'v' };

typedef struct ln__packed ln__packed;   /* weights.c */

struct ln__engine {
    ln__ctx ctx;
    int32_t refs;
    const ln__graph *graph;
    ln__graph *owned;           /* the same; NULL while tuning on another's graph */
    ln__shapes *one;            /* for one row */
    bool *row_value;
    char *choice;               /* [n_nodes] */
    uint8_t *layout;            /* [n_values] ln__layout */
    int64_t block;              /* of LN__BLOCKED on this CPU */
    ln__dnn *dnn;
    pthread_mutex_t lock;       /* of packed */
    bool has_lock;
    ln__packed *packed;
};

/* A new engine on a graph it does not own, without choices. */
ln_status ln__engine_make(ln__engine **out, const ln__ctx *ctx, const ln__graph *graph, ln_error *err);

/* ---- layout.c ---------------------------------------------------------------- */

/* A value of this type may have channels in blocks. */
bool ln__layout_free(const ln__tensor *type);
ln__view ln__layout_view(const ln__engine *engine, const ln__tensor *type, ln__layout layout);
bool ln__layout_same_bytes(const ln__view *a, const ln__view *b);
ln__layout ln__layout_of_choice(const ln__engine *engine, char choice);
/* Layout of every value from the choices. */
void ln__layout_assign(ln__engine *engine);
/* Bytes that change layout between nodes in one run of one row. */
uint64_t ln__layout_reorders(const ln__engine *engine, int64_t *count);
/* The layout in which node n works, ignoring whether its output may have it. */
ln__layout ln__layout_working(const ln__engine *engine, const ln__node *node);
/* Fills choice[] by the rule. */
ln_status ln__choice_rule(ln__engine *engine, ln_error *err);
/* True if oneDNN has an optimised kernel of this kind for a convolution. */
bool ln__choice_available(const ln__engine *engine, const ln__node *node, char choice, bool *no_memory);

/* ---- choice.c ------------------------------------------------------------------- */

/* Takes over choices that hold for this CPU, version and graph; false: they do not. */
bool ln__choice_read(ln__engine *engine, const char *text);
void ln__choice_write(ln__buffer *out, const ln__engine *engine);

/* ---- weights.c --------------------------------------------------------------------- */

/* Weights of a node as `op` wants them, scaled per output channel by `scale`
 * (NULL: not); packed once an engine. `transposed`: see ln__dnn_pack. */
ln_status ln__weights_get(const void **out, ln__engine *engine, int32_t node, const ln__dnn_op *op,
                          const ln__tensor *plain, const ln__tensor *scale, bool transposed,
                          ln__dnn_status *status);
/* A constant's floats, aligned, times `factor`, zeros up to `floats`. */
ln_status ln__weights_vector(const float **out, ln__engine *engine, int32_t node, int32_t input,
                             const ln__tensor *plain, int64_t floats, float factor);
/* Weights of a node as kernel_tile.c reads them; `edge`: of Winograd's tiles, 0: direct. */
ln_status ln__weights_tiled(const void **out, ln__engine *engine, int32_t node, const ln__tensor *plain,
                            const ln__tensor *scale, int64_t edge);
void ln__weights_free(ln__engine *engine);

/* ---- Convolutions by tiles: pack_tile.c, lower_tile.c ----------------------------------- */

enum { LN__TILE_TAPS = 64 };        /* positions of a kernel, at most */
int64_t ln__tile_floats(const ln__tensor *plain, int64_t edge, int64_t block);
/* Into [groups (ln__tile_group)][kernel, or Winograd's frequencies][input channels, filled up][outputs of the group]. */
void ln__tile_pack(float *out, const ln__tensor *plain, const ln__tensor *scale, int64_t edge, int64_t block);
bool ln__tile_available(const ln__engine *engine, const ln__node *node, const ln__shapes *shapes, char choice);

/* ---- Convolutions: lower_conv.c ------------------------------------------------------- */

typedef struct ln__conv_shape {
    ln__window window;
    int64_t pad_begin[LN__MAX_SPATIAL], pad_end[LN__MAX_SPATIAL];
    const ln__tensor *x, *y;
    ln__layout x_layout, y_layout;
} ln__conv_shape;

/* Describes a convolution done by `choice` with its first n_post posts. */
ln__dnn_status ln__conv_describe(ln__dnn_op **out, ln__conv_shape *shape, const ln__engine *engine,
                                 const ln__node *node, const ln__shapes *shapes, char choice, int32_t n_post);
int32_t ln__conv_fusable(const ln__node *node);
ln__dnn_tensor ln__dnn_tensor_of(const ln__engine *engine, const ln__tensor *type, ln__layout layout);

/* ---- Plans -------------------------------------------------------------------------------- */

typedef enum ln__home { LN__HOME_ARENA, LN__HOME_IN, LN__HOME_OUT, LN__HOME_CONST } ln__home;

/* Storage that is written once (or, after a copy into it, added to). A buffer
 * may be placed inside another: root and offset say where. */
typedef struct ln__storage {
    size_t floats;
    ln__home home;
    int32_t index;              /* of plan's in or out */
    const void *constant;
    bool kept;                  /* not ours to overwrite */
    int32_t root;               /* itself, or the buffer it lies in */
    size_t offset;              /* floats from the root's start */
    int32_t first, last;        /* steps that touch it */
    int32_t writers;
} ln__storage;

typedef enum ln__step_kind { LN__STEP_DNN, LN__STEP_KERNEL, LN__STEP_COPY, LN__STEP_EVALUATE } ln__step_kind;

typedef struct ln__step {
    ln__step_kind kind;
    int32_t node;
    const char *text;
    bool reference;
    int32_t n_in, n_out;
    int32_t *in, *out;          /* buffers; reads before writes */
    int32_t in_place;           /* input the output may take the place of, -1 */
    bool reads_around;          /* other inputs are read at other places than are written */
    int32_t scratch;            /* buffer, -1 */
    ln__dnn_op *op;
    const void *weights;
    const float *bias;
    ln__kernel kernel;
    ln__job job;
    size_t to_offset;           /* copies: floats into the output */
    bool gone;                  /* a copy that memory made needless */
    bool reads_out;             /* sum: what y holds is added to */
    const ln__node *evaluate;
    ln__tensor *types;          /* in[], out[] */
    const ln__tensor **arguments;
    bool busy;                  /* worth more than one thread */
} ln__step;

struct ln__plan {
    ln__engine *engine;
    ln__arena memory;
    const ln__shapes *shapes;
    ln__shapes *own_shapes;
    ln__dnn_stream *stream;
    uint32_t threads;
    bool held;                  /* signals wait while it runs */
    int64_t rows;
    ln__step *steps;     size_t n_steps, cap_steps;
    ln__storage *buffers; size_t n_buffers, cap_buffers;
    size_t arena_bytes;
    size_t *place;              /* [n_buffers] byte offset in the arena, of roots */

    /* While lowering. */
    int32_t (*of)[3];           /* [n_values] buffer of a value in each layout, -1 */
    int32_t *out_index;         /* [n_values] stage output, -1 */
    double *seconds;            /* per step, while tuning; else NULL */
    double (*clock)(void);
};

/* What a plan is of: nodes in order, values in and out. */
typedef struct ln__part {
    const int32_t *order; int32_t n_order;
    const int32_t *in;    int32_t n_in;
    const int32_t *out;   int32_t n_out;
} ln__part;
ln_status ln__plan_make(ln__plan **out, ln__engine *engine, const ln__part *part, int64_t rows,
                        uint32_t threads, ln_error *err);

/* Until release the calling thread, and OpenMP threads that start, run no
 * handlers (ln__dnn_moves_stack says why), but those of their own faults. */
void ln__signals_hold(sigset_t *before);
void ln__signals_release(const sigset_t *before);

/* ---- lower.c and its parts -------------------------------------------------------------- */

ln_status ln__lower(ln__plan *plan, const ln__part *part, ln_error *err);

/* A step not yet filled; NULL: no memory. Buffers arrays of the sizes given. */
ln__step *ln__lower_step(ln__plan *plan, ln__step_kind kind, int32_t node, int32_t n_in, int32_t n_out);
int32_t   ln__lower_buffer(ln__plan *plan, size_t floats);          /* -1: no memory */
/* A value's buffer in a layout, reordered if need be. */
ln_status ln__lower_input(int32_t *out, ln__plan *plan, int32_t node, int32_t value, ln__layout layout, ln_error *err);
/* Where a node writes a value in `layout`; ln__lower_done makes the value's own layout of it. */
ln_status ln__lower_output(int32_t *out, ln__plan *plan, int32_t value, ln__layout layout, ln_error *err);
ln_status ln__lower_done(ln__plan *plan, int32_t node, int32_t value, int32_t buffer, ln__layout layout, ln_error *err);
/* Posts from first on, as steps of their own on what `buffer` holds; the buffer changes. */
ln_status ln__lower_posts(int32_t *buffer, ln__plan *plan, int32_t node, int32_t value, ln__layout layout,
                          int32_t first, ln_error *err);
ln_status ln__lower_nomem(ln__plan *plan, ln_error *err);
void      ln__lower_text(ln__plan *plan, ln__step *step, const char *what, const ln__tensor *type, ln__layout layout);
const ln__node *ln__lower_node(const ln__plan *plan, int32_t node);
const ln__tensor *ln__lower_type(const ln__plan *plan, int32_t value);
ln_status ln__lower_scratch(ln__plan *plan, ln__step *step, size_t bytes, ln_error *err);
ln_status ln__dnn_fail(ln_error *err, const ln__plan *plan, int32_t node, ln__dnn_status status);

ln_status ln__lower_conv(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_tile(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_matmul(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_softmax(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_lrn(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_unary(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_binary(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_affine(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_pool(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_reduce(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_concat(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_split(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_slice(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_pad(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_alias(ln__plan *plan, int32_t node, ln_error *err);
ln_status ln__lower_evaluate(ln__plan *plan, int32_t node, ln_error *err);

/* ---- layout of operations shared by layout.c and lowering -------------------------------- */

bool ln__reduces_pixels(const ln__node *node, const ln__shapes *shapes);
/* How BINARY may run fast: 0 not, else as below; `big` is the operand of the result's shape. */
enum { LN__BINARY_SLOW, LN__BINARY_ALIKE, LN__BINARY_CHANNEL, LN__BINARY_SCALAR };
int32_t ln__binary_form(const ln__node *node, const ln__shapes *shapes, int32_t *big);
/* Slice or pad as a window over channels and pixels; false: not of that kind. */
bool ln__window_of_slice(ln__job *job, const ln__node *node, const ln__shapes *shapes);
bool ln__window_of_pad(ln__job *job, const ln__node *node, const ln__shapes *shapes);
bool ln__split_is_window(const ln__node *node, const ln__shapes *shapes);
bool ln__is_constant(const ln__shapes *shapes, int32_t value);

/* ---- arrange.c ------------------------------------------------------------------------------ */

/* Leaves out copies, lets steps work in place, lays out the arena. */
ln_status ln__arrange(ln__plan *plan, ln_error *err);

#endif
