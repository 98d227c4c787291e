/* onednn.h - the few oneDNN primitives the engine uses, behind descriptions of
 * our own. onednn_version.h alone knows which major version is there. */
#ifndef LN_ONEDNN_H
#define LN_ONEDNN_H

#include "base/base.h"
#include "graph/graph.h"

/* Orders of a tensor's numbers: 1 is row-major, 8 and 16 block the channels. */
enum { LN__CHANNELS_LAST = -1, LN__ANY_ORDER = 0, LN__ROW_MAJOR = 1 };

/* dnnl_status_t; 0 is success. */
typedef int ln__dnn_status;
bool        ln__dnn_unimplemented(ln__dnn_status status);
const char *ln__dnn_status_text(ln__dnn_status status);
/* LN_E_NOMEM where memory ran out, ours or its own; else LN_E_BACKEND. */
ln_status   ln__dnn_failure(ln__dnn_status status);
const char *ln__dnn_version(void);      /* "2.6.3" */
const char *ln__dnn_isa(void);          /* "avx512_core" */
const char *ln__dnn_backend(void);      /* "oneDNN 2.6.3, avx512_core" */
int64_t     ln__dnn_block(void);        /* channels of a vector on this CPU: 16, 8, or 1 */

typedef struct ln__dnn ln__dnn;         /* oneDNN's engine; any thread */
ln__dnn_status ln__dnn_new(ln__dnn **out, const ln__ctx *ctx);
void           ln__dnn_free(ln__dnn *dnn);

typedef struct ln__dnn_stream ln__dnn_stream;
ln__dnn_status ln__dnn_stream_new(ln__dnn_stream **out, ln__dnn *dnn);
void           ln__dnn_stream_free(ln__dnn_stream *stream);

typedef struct ln__dnn_tensor {
    int32_t rank;
    int64_t dim[LN__MAX_RANK];
    int64_t order;
    bool    transposed;         /* matrix product only: the last two dimensions lie swapped */
} ln__dnn_tensor;

/* A primitive: first described (implementation, scratch and weights' order are
 * known), then finished (code generated), then run. */
typedef struct ln__dnn_op ln__dnn_op;
enum { LN__ARG_X, LN__ARG_WEIGHTS, LN__ARG_BIAS, LN__ARG_Y, LN__ARG_SCRATCH, LN__ARG_COUNT };

typedef struct ln__dnn_conv {
    ln__dnn_tensor x, y;
    int64_t group;
    const ln__window *window;
    const int64_t *pad_begin, *pad_end;
    bool bias;
    const ln__post *post;       /* LN__POST_ADD adds what y holds */
    int32_t n_post;
} ln__dnn_conv;

bool ln__dnn_fuses(const ln__post *post);
ln__dnn_status ln__dnn_describe_conv(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_conv *conv);
/* y = x w (+ bias); w ANY_ORDER: packed by ln__dnn_pack. */
ln__dnn_status ln__dnn_describe_matmul(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                       const ln__dnn_tensor *w, const ln__dnn_tensor *y, bool bias);
ln__dnn_status ln__dnn_describe_softmax(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                        int32_t axis, bool logarithm);
ln__dnn_status ln__dnn_describe_lrn(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                    int64_t size, float alpha, float beta, float bias);
ln__dnn_status ln__dnn_describe_reorder(ln__dnn_op **out, ln__dnn *dnn, const ln__dnn_tensor *x,
                                        const ln__dnn_tensor *y);
ln__dnn_status ln__dnn_finish(ln__dnn_op *op);
void           ln__dnn_op_free(ln__dnn_op *op);

const char *ln__dnn_name(const ln__dnn_op *op);         /* "jit:avx512_core" */
bool        ln__dnn_is_reference(const ln__dnn_op *op);
/* A handler that ran on a stack moved into work memory would write over what
 * lies below it: signals wait while such an operation or ln__dnn_gemm runs. */
bool        ln__dnn_moves_stack(const ln__dnn_op *op);
size_t      ln__dnn_scratch(const ln__dnn_op *op);

/* `data` by LN__ARG_*; those the primitive does not have are not looked at. */
ln__dnn_status ln__dnn_run(ln__dnn_op *op, ln__dnn_stream *stream, void *const data[LN__ARG_COUNT]);

/* The order of the weights an operation wants, to be kept with packed weights. */
typedef struct ln__dnn_desc ln__dnn_desc;
ln__dnn_status ln__dnn_weights_desc(ln__dnn_desc **out, const ln__dnn_op *op);
void           ln__dnn_desc_free(ln__dnn_desc *desc);
bool           ln__dnn_weights_match(const ln__dnn_op *op, const ln__dnn_desc *desc);
size_t         ln__dnn_weights_bytes(const ln__dnn_op *op);
/* Row-major weights (`transposed`: last two dimensions swapped) into the order wanted. */
ln__dnn_status ln__dnn_pack(const ln__dnn_op *op, bool transposed, const float *from, void *to);

ln__dnn_status ln__dnn_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                            const float *a, int64_t lda, const float *b, int64_t ldb,
                            float beta, float *c, int64_t ldc);

#endif
