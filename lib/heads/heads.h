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
    int32_t inputs, hidden, outputs;
    float  *params;
} ln__mlp;

bool   ln__mlp_param_count(int32_t inputs, int32_t hidden, int32_t outputs, size_t *out);
ln_status ln__mlp_new(ln__mlp *out, const ln__ctx *ctx, int32_t inputs, int32_t hidden, int32_t outputs, ln_error *err); /* zeros */
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
/* Answering form: no allocation, no oneDNN, any n (1 is the common one); `hidden` [n][hidden] scratch. */
void ln__mlp_answer(const ln__mlp *mlp, const float *x, int64_t n, float *hidden, float *y);
/* Makes the network read (x - mean) * scale from plain x: folds both into the first layer. */
void ln__mlp_fold_input(ln__mlp *mlp, const float *mean, const float *scale);
/* Divides outputs by a temperature, by scaling the last layer. */
void ln__mlp_fold_temperature(ln__mlp *mlp, float temperature);

/* ---- Heads --------------------------------------------------------------------------- */

typedef struct ln__head {
    int32_t kind;               /* LN_HEAD_POOL, LN_HEAD_FLATTEN */
    int32_t cells;              /* LN_HEAD_POOL: the map is split cells x cells */
    int64_t channels, height, width, spatial;   /* of the value it reads; spatial = height * width */
    ln__mlp mlp;                /* inputs = ln__head_features; outputs = classes; params NULL: untrained */
} ln__head;

/* Cells a side for a map of that size: `wanted` (0: 4 for a few channels, else 1), or the next smaller number that
 * divides height and width. */
int32_t ln__head_cells(int64_t channels, int64_t height, int64_t width, uint32_t wanted);
/* Numbers a head reads of a row: a mean and a maximum per channel and cell and a standard deviation per channel, or
 * channels * spatial. A value of one pixel has no statistics: LN_HEAD_POOL reads it as LN_HEAD_FLATTEN does. */
bool    ln__head_reads_pooled(const ln__head *head);
int64_t ln__head_features(const ln__head *head);

/* x in its engine layout -> features [rows][ln__head_features]: all means, then all deviations, then all maxima, means and
 * maxima channel by channel; or the activations in ONNX's order. Standard deviation, over the whole map, is
 * sqrt(mean((x - mean(x))^2) + 1e-6). Vectorised, no allocation. */
void ln__head_describe(const ln__head *head, const ln__view *x, float *features);
/* One row of a head with cells > 1, its `block` channels side by side. */
void ln__head_describe_grid(const ln__head *head, const float *x, int64_t block, float *features);
/* From sums of `count` numbers and their squares. */
float ln__head_deviation(double sum, double squares, int64_t count);

/* Mean cross entropy of logits [n][classes] against labels in [0,classes); dlogits (may be NULL) gets its
 * gradient. label_smoothing in [0,1). */
double ln__cross_entropy(const float *logits, const int32_t *labels, int64_t n, int32_t classes,
                         float label_smoothing, float *dlogits);
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
 * "leenet/<exit>/head.w1" and so on. `rank` of the input value. */
void ln__head_emit(ln__onnx_edit *edit, const ln__head *head, uint32_t exit, const char *input, int32_t rank);
/* x [N,inputs] -> out [N,outputs], initializers named prefix + "w1"... */
void ln__mlp_emit(ln__onnx_edit *edit, const ln__mlp *mlp, const char *prefix, const char *x, const char *out);
/* Reads what ln__mlp_emit wrote; LN_E_FORMAT names what does not fit. */
ln_status ln__mlp_read(ln__mlp *out, const ln__ctx *ctx, const ln__onnx *onnx, const char *prefix, ln_error *err);

#endif
