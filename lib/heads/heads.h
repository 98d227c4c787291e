/* heads.h - classifier heads: forward, backward, and as ONNX nodes. Mathematics
 * on arrays; who trains them is train/. */
#ifndef LN_HEADS_H
#define LN_HEADS_H

#include "base/base.h"
#include "engine/engine.h"
#include "onnx/onnx.h"

/* ---- A network of one or two linear layers, for heads and gates alike ------------- */

/* hidden 0: y = W x + b. Else y = W2 relu(W1 x + b1) + b2. All weights lie in one
 * block: W1 [hidden][inputs], b1 [hidden], W2 [outputs][hidden], b2 [outputs]
 * (hidden 0: W2 [outputs][inputs], b2). */
typedef struct ln__mlp {
    int32_t   inputs, hidden, outputs;
    float    *params;
    uint32_t *narrow;           /* the first matrix as bfloat16, which answering reads instead; NULL: it would not be exact.
                                   In the order of reading: [rows / 8][inputs / 32][8][16] words, of each 32 numbers i below,
                                   i + 16 above; rows and inputs that are not there are zeros */
} ln__mlp;

enum { LN__PAIRED = 32, LN__ABREAST = 8 };

static inline int64_t ln__narrow_words(int64_t inputs)      /* of a row */
{
    return (inputs + LN__PAIRED - 1) / LN__PAIRED * (LN__PAIRED / 2);
}

bool   ln__mlp_param_count(int32_t inputs, int32_t hidden, int32_t outputs, size_t *out);
ln_status ln__mlp_new(ln__mlp *out, const ln__ctx *ctx, int32_t inputs, int32_t hidden, int32_t outputs, ln_error *err); /* zeros */
ln_status ln__mlp_copy(ln__mlp *out, const ln__mlp *from, const ln__ctx *ctx, ln_error *err);
void   ln__mlp_free(ln__mlp *mlp, const ln__ctx *ctx);
void   ln__mlp_init(ln__mlp *mlp, ln__rng *rng);            /* He et al. 2015 (gain 1 for the last layer), biases zero */
float *ln__mlp_w1(const ln__mlp *mlp);  /* NULL if hidden is 0 */
float *ln__mlp_b1(const ln__mlp *mlp);
float *ln__mlp_w2(const ln__mlp *mlp);
float *ln__mlp_b2(const ln__mlp *mlp);

/* Training form: batches through ln__gemm. `hidden` [n][hidden] keeps the activations for backward. */
ln_status ln__mlp_forward(const ln__mlp *mlp, const float *x, int64_t n, float *hidden, float *y, ln_error *err);
/* Adds d loss / d params to grad (same block layout) from dy [n][outputs]; `dhidden` [n][hidden] is scratch. */
ln_status ln__mlp_backward(const ln__mlp *mlp, const float *x, int64_t n, const float *hidden,
                           const float *dy, float *dhidden, float *grad, ln_error *err);
/* d loss / d x [n][inputs], after ln__mlp_backward of the same batch. */
ln_status ln__mlp_backward_input(const ln__mlp *mlp, int64_t n, const float *dy, const float *dhidden, float *dx, ln_error *err);
/* Answering form: no allocation, no oneDNN, any n (1 is the common one); `hidden` [n][hidden] scratch. */
void ln__mlp_answer(const ln__mlp *mlp, const float *x, int64_t n, float *hidden, float *y);
/* Makes the network read (x - mean) * scale from plain x: folds both into the first layer. */
void ln__mlp_fold_input(ln__mlp *mlp, const float *mean, const float *scale);
/* Multiplies outputs, by scaling the last layer. */
void ln__mlp_fold_output(ln__mlp *mlp, float scale);
/* Rounds the first matrix to the nearest bfloat16, after all folding. */
void ln__mlp_round(ln__mlp *mlp);
/* Makes `narrow` where every weight of the first matrix is a bfloat16. One row's answer takes as long as its weights take to
 * come from memory. */
ln_status ln__mlp_narrow(ln__mlp *mlp, const ln__ctx *ctx, ln_error *err);

/* ---- Convolutions in front of them, for heads that look for themselves (LN_HEAD_CONV) ---- */

/* Under every root of a variance and of a covariance. */
#define LN__HEAD_EPSILON 1e-6f

enum { LN__CONV_LAYERS = 2 };

/* A depthwise 3x3 convolution (stride 2, zeros around, no bias), then a pointwise one, then ReLU. */
typedef struct ln__conv_layer {
    int64_t in, out;            /* channels */
    int64_t height, width;      /* of the map it reads ... */
    int64_t down, across;       /* ... and of the one it makes */
    size_t  depthwise, pointwise, bias;     /* where they begin in the params: [9][in], [in][out], [out] */
} ln__conv_layer;

typedef struct ln__conv {
    int32_t layers;             /* 0: the head has none */
    ln__conv_layer layer[LN__CONV_LAYERS];
    size_t  count;              /* of params */
    float  *params;             /* one block; NULL: untrained */
} ln__conv;

/* Whether a map is large enough for a layer. */
bool      ln__conv_fits(int64_t height, int64_t width);
/* The layers that suit a map: two of `first` and 2 `first` channels, or one where its smaller side is below 8. No params yet. */
void      ln__conv_plan(ln__conv *out, int64_t channels, int64_t height, int64_t width, int64_t first);
void      ln__conv_init(ln__conv *conv, ln__rng *rng);
ln__cost  ln__conv_cost(const ln__conv *conv);

/* ---- Heads --------------------------------------------------------------------------- */

typedef struct ln__head {
    int32_t kind;               /* LN_HEAD_POOL, LN_HEAD_FLATTEN, LN_HEAD_CONV */
    int32_t cells;              /* the map, or what convolutions make of it, is split cells x cells */
    int64_t channels, height, width, spatial;   /* of the value it reads; spatial = height * width */
    ln__mlp mlp;                /* inputs = ln__head_features; outputs = classes; params NULL: untrained */
    ln__conv conv;              /* LN_HEAD_CONV */
    float   carry;              /* logits are the network's plus `carry` times those of the exit before; 0: its own alone */
    bool    covariance;         /* a pooled head also reads how every two channels vary together */
} ln__head;

/* Zeros, for a head whose shape is known; outputs = classes. */
ln_status ln__head_new(ln__head *head, const ln__ctx *ctx, int32_t classes, ln_error *err);
void      ln__head_free(ln__head *head, const ln__ctx *ctx);

/* Cells a side for a map of that size: `wanted` (0: 4 for a few channels, else 1), or the next smaller number that
 * divides height and width. */
int32_t ln__head_cells(int64_t channels, int64_t height, int64_t width, uint32_t wanted);
/* Cells a side for what convolutions make of a map: `wanted` (0: 2), at most its smaller side. Where they do not divide it, they
 * overlap. */
int32_t ln__conv_cells(const ln__conv *conv, uint32_t wanted);
/* Numbers that enter the linear layers: a mean and a maximum per channel and cell, a standard deviation per channel and, where
 * they are read, a covariance per two channels; channels * spatial; or a mean and a maximum per channel and cell behind the convolutions. A value of one pixel has no
 * statistics: LN_HEAD_POOL reads it as LN_HEAD_FLATTEN does. */
bool    ln__head_reads_pooled(const ln__head *head);
int64_t ln__head_features(const ln__head *head);

/* x in its engine layout -> features [rows][ln__head_features]: all means, then all deviations (not of LN_HEAD_CONV), then
 * all maxima, means and maxima channel by channel, then all covariances; or the activations in ONNX's order. Standard deviation, over the
 * whole map, is sqrt(mean((x - mean(x))^2) + 1e-6). Covariances are v / sqrt(|v| + 1e-6) with v = mean((x_c - mean(x_c)) (x_d - mean(x_d))),
 * c < d, c by c. Vectorised, no allocation; `scratch` of ln__head_scratch numbers. */
void   ln__head_describe(const ln__head *head, const ln__view *x, float *scratch, float *features);
size_t ln__head_scratch(const ln__head *head);
/* One row of LN_HEAD_CONV. */
void   ln__head_describe_conv(const ln__head *head, const float *x, int64_t block, float *scratch, float *features);
/* What a head learns from, to be kept of a row: its features, or the map [spatial][channels] where it has convolutions. */
int64_t ln__head_cached(const ln__head *head);
void    ln__head_cache(const ln__head *head, const ln__view *x, float *scratch, float *out);
/* One row of a head with cells > 1, its `block` channels side by side. */
void ln__head_describe_grid(const ln__head *head, const float *x, int64_t block, float *features);
/* One row of a head with covariances; `means` as ln__head_describe makes them. */
void   ln__head_describe_covariance(const ln__head *head, const float *x, int64_t block, float *scratch, const float *means,
                                    float *features);
size_t ln__covariance_scratch(const ln__head *head);
int64_t ln__head_covariances(const ln__head *head);     /* how many; 0: none are read */
/* From sums of `count` numbers and their squares. */
float ln__head_deviation(double sum, double squares, int64_t count);

/* ---- Convolutions that learn -------------------------------------------------------------- */

/* Batch normalisation (Ioffe, Szegedy 2015) behind every layer's products and of the features stands in for statistics that
 * change while layers learn: by the batch's own mean and deviation, by those and counted, or by what was counted. */
typedef enum ln__norm { LN__NORM_BATCH, LN__NORM_COUNT, LN__NORM_FIXED } ln__norm;

/* A row's map [spatial][channels], in place or made in `scratch`. */
typedef struct ln__maps { const float *(*row)(void *payload, int64_t i, float *scratch); void *payload; } ln__maps;

typedef struct ln__conv_batch {
    const ln__head *head;       /* shapes only */
    float   *products[LN__CONV_LAYERS];     /* [rows][pixels][in] behind the depthwise part */
    float   *normal[LN__CONV_LAYERS];       /* [rows][pixels][out] normalised */
    float   *active[LN__CONV_LAYERS];       /* [rows][pixels][out] behind the ReLU; backward: their gradient */
    float   *features;          /* [rows][features] normalised */
    int32_t *top;               /* [rows][features / 2] pixels of the maxima */
    float   *map;               /* one row */
    float   *mean, *scale;      /* [norms] what was counted: of each layer's outputs, then of the features */
    float   *spread;            /* [norms] scale of the batch */
    float   *sum, *other;       /* [widest] of a pass over a batch */
    double  *total, *squares;   /* [norms] */
    double   counted[LN__CONV_LAYERS + 1];
} ln__conv_batch;

ln_status ln__conv_batch_new(ln__conv_batch *out, const ln__ctx *ctx, const ln__head *head, int64_t rows, ln_error *err);
void      ln__conv_batch_free(ln__conv_batch *batch, const ln__ctx *ctx);
/* Normalised features into batch->features. */
ln_status ln__conv_forward(ln__conv_batch *batch, const float *params, const ln__maps *maps, int64_t n, ln__norm norm, ln_error *err);
/* Adds d loss / d params to grad from dfeatures (changed), after ln__conv_forward of the same batch with LN__NORM_BATCH. */
ln_status ln__conv_backward(ln__conv_batch *batch, const float *params, const ln__maps *maps, int64_t n, float *dfeatures,
                            float *grad, ln_error *err);
void      ln__conv_count_begin(ln__conv_batch *batch);
void      ln__conv_count_end(ln__conv_batch *batch);
size_t    ln__conv_norms(const ln__head *head);     /* numbers normalised; the last of them are the features */
/* Makes convolutions that learned on maps times `scale` [channels] read plain maps and need no normalisation. */
void      ln__conv_fold(ln__conv *conv, const float *scale, const float *norm_mean, const float *norm_scale);
/* Adds what the head takes over of the logits of the exit before to its own, both [n][classes]. */
void    ln__head_carry(const ln__head *head, const float *before, float *logits, int64_t n);

/* Mean cross entropy of logits [n][classes] against labels in [0,classes). */
double ln__cross_entropy(const float *logits, const int32_t *labels, int64_t n, int32_t classes);
/* The same against target distributions [n][classes]; dlogits gets its gradient and may lie where the logits do. */
double ln__cross_entropy_soft(const float *logits, const float *target, int64_t n, int32_t classes, float *dlogits);
/* Rows of logits to probabilities; stable. */
void ln__softmax_rows(const float *logits, int64_t n, int32_t classes, float *probabilities);
/* The temperature that minimises the cross entropy of logits / t on these rows (golden section on log t, t in [1/8, 8]);
 * *loss (may be NULL) is that mean cross entropy. */
double ln__fit_temperature(const float *logits, const int32_t *labels, int64_t n, int32_t classes, double *loss);

/* Parameters and multiply-adds of a row. */
ln__cost ln__head_cost(const ln__head *head);
ln__cost ln__mlp_cost(const ln__mlp *mlp);

/* ---- As ONNX ---------------------------------------------------------------------------- */

/* A name put together, for nodes and initializers (cut at 127 characters). */
typedef struct ln__name { char text[128]; } ln__name;
ln__name ln__name_make(const char *format, ...) LN__PRINTF(1, 2);

/* Appends nodes from ONNX value `input` to graph output "logits_<exit>" [N,classes]; the features'
 * value is named "leenet/<exit>/features" for gates that read them, initializers
 * "leenet/<exit>/head.w1" and so on. A head that carries reads "logits_<exit - 1>". `rank` of the input value. */
void ln__head_emit(ln__onnx_edit *edit, const ln__head *head, uint32_t exit, const char *input, int32_t rank);
/* x [N,inputs] -> out [N,outputs], initializers named prefix + "w1"... */
void ln__mlp_emit(ln__onnx_edit *edit, const ln__mlp *mlp, const char *prefix, const char *x, const char *out);
/* Reads what ln__mlp_emit wrote; LN_E_FORMAT names what does not fit. */
ln_status ln__carry_read(float *out, const ln__onnx *onnx, uint32_t exit, ln_error *err);   /* 0 where there is none */
ln_status ln__mlp_read(ln__mlp *out, const ln__ctx *ctx, const ln__onnx *onnx, const char *prefix, ln_error *err);
/* x [N,channels,height,width] -> out [N,features], initializers named prefix + "conv1.depthwise"... */
void ln__conv_emit(ln__onnx_edit *edit, const ln__head *head, const char *prefix, const char *x, const char *out);
/* The params of planned convolutions, as ln__conv_emit wrote them. */
ln_status ln__conv_read(ln__conv *conv, const ln__ctx *ctx, const ln__onnx *onnx, const char *prefix, ln_error *err);
/* AveragePool or MaxPool over cells, then flat: [N,C,H,W] -> [N,C * cells * cells]. */
void ln__cells_emit(ln__onnx_edit *edit, const char *prefix, const char *type, const char *out, const char *x, const int64_t cell[2],
                    const int64_t stride[2]);
/* An initializer of ours: float, of this rank, every dimension from 1 to INT32_MAX. */
ln_status ln__weights_find(ln__tensor *out, const ln__onnx *onnx, const char *prefix, const char *last, int32_t rank, ln_error *err);

#endif
