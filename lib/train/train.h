/* train.h - training heads, final classifier and gates. */
#ifndef LN_TRAIN_H
#define LN_TRAIN_H

#include "session/session.h"

ln_status ln__exits_train(ln_model *model, ln_data *rows, const ln_train_options *options, ln_error *err);
ln_status ln__exits_place(ln_model *model, ln_data *rows, const ln_place_options *options, ln_place *out, size_t capacity,
                          size_t *count, ln_error *err);     /* options->heads is given */
ln_status ln__gates_train(ln_model *model, ln_data *rows, const ln_gate_options *options, ln_error *err);
ln_status ln__policies_train(ln_model *model, ln_data *rows, const ln_policy_options *options, ln_error *err);
ln_status ln__model_tune(ln_model *model, const ln_tune_options *options, ln_error *err);
ln_status ln__calibrate(ln_model *model, ln_data *rows, const ln_calibrate_options *options, ln_error *err);

enum { LN__MAX_BATCH = 1024, LN__MAX_FOLDS = 100 };

/* ---- Private to train/ --------------------------------------------------------------- */

/* Progress of a long call: throttled, and the way a caller stops it. */
typedef struct ln__reporter {
    ln_progress_fn progress;
    void          *payload;
    double         began, shown;
} ln__reporter;
ln__reporter ln__reporter_make(ln_progress_fn progress, void *payload);
void         ln__reporter_begin(ln__reporter *reporter);    /* a new stage: its clock starts */
ln_progress  ln__progress_make(const char *stage);
/* Completes rates and passes on; LN_E_CANCELLED when told to stop. `always` skips the throttle. */
ln_status    ln__report(ln__reporter *reporter, ln_progress *progress, bool always, ln_error *err);

/* rows x width floats, in memory or, when that is asked too much of, in an unlinked file. */
typedef struct ln__cache { float *data; size_t rows, width, mapped; } ln__cache;
/* folder NULL: /tmp; mapped: bytes of all files so far */
typedef struct ln__cache_place { const ln__ctx *ctx; uint64_t memory_left; const char *folder; size_t mapped; } ln__cache_place;
const char *ln__cache_folder(const ln__cache_place *place);
/* Bytes of a cache; LN_E_LIMIT. */
ln_status ln__cache_size(size_t *bytes, size_t rows, size_t width, ln_error *err);
/* LN_E_IO unless so many bytes, the largest file of them this large, have room in the place's folder. */
ln_status ln__cache_check(const ln__cache_place *place, uint64_t bytes, uint64_t largest, ln_error *err);
/* What it goes by. */
typedef struct ln__disk { uint64_t left, most; } ln__disk;  /* bytes left, bytes of the largest file this process may write */
ln_status ln__disk_check(const ln__disk *disk, uint64_t bytes, uint64_t largest, const char *folder, ln_error *err);
ln_status ln__cache_new(ln__cache *out, ln__cache_place *place, size_t rows, size_t width, ln_error *err);
void      ln__cache_free(ln__cache *cache, const ln__ctx *ctx);
void      ln__cache_return(ln__cache *cache, ln__cache_place *place);   /* frees it and gives its memory back to the place */
bool      ln__cache_brings(const ln__cache *cache);             /* whether the next two do anything: rows fill pages of a file */
void      ln__cache_bring(const ln__cache *cache, size_t row);  /* it is wanted soon: reads a file's part */
void      ln__cache_leave(const ln__cache *cache, size_t row);  /* it is not: a file's part no longer counts as this process's memory */
static inline float *ln__cache_row(const ln__cache *cache, size_t row) { return cache->data + row * cache->width; }

/* What passes of the backbone over labelled rows leave. Rows come in forms: form 0 as they are, the others augmented.
 * Form f of row r stands at f * stride + r in the caches. */
typedef struct ln__features {
    size_t    rows;             /* 0..rows-1: those that heads, gates and figures are judged on */
    size_t    more_at, more;    /* more_at..more_at+more-1: others that only heads learn from */
    size_t    stride;
    uint32_t  forms;
    uint32_t  exits, classes;
    int32_t  *labels;           /* [stride] the model's answers */
    ln__cache exit[LN__MAX_EXITS];  /* what enters the heads' linear layers, or what heads learn from */
    ln__cache end;              /* the network's answers [classes]; data NULL while its last layer is untrained */
    ln__cache last;             /* input of the last layer [positions][inputs]; data NULL unless it is to be trained */
    int64_t   positions;
    size_t    skipped;
} ln__features;
typedef struct ln__features_request {
    ln_data *data, *more;       /* more: NULL or rows for heads only */
    uint32_t augment;           /* forms beside form 0 */
    uint64_t seed;
    bool     last_layer;
    bool     learning;          /* for heads that are to learn: see ln__head_cached */
    uint32_t threads;
} ln__features_request;
ln_status ln__features_run(ln__features *out, ln_model *model, const ln__features_request *request,
                           ln__cache_place *place, ln__reporter *reporter, ln_error *err);
void      ln__features_free(ln__features *features, const ln__ctx *ctx);
/* What a head has learned from gives way to what enters its linear layers, of rows 0..rows-1 as they are. */
ln_status ln__features_settle(ln__features *features, uint32_t exit, const ln__head *head, ln__cache_place *place, ln_error *err);

/* Changes a row in place: flipped, shifted by up to an eighth, zoomed (64 pixels or more), contrast and tint; `scratch` holds
 * one channel. The same rng gives the same change. */
void      ln__augment(float *input, float *scratch, uint32_t channels, uint32_t height, uint32_t width, ln__rng *rng);

/* Operating points' scores [rows][exits] of rows their gates have not learned from. */
typedef struct ln__scores { uint32_t point; float *g; } ln__scores;
typedef struct ln__scored { ln__scores *scores; size_t capacity; uint32_t count; } ln__scored;
ln_status ln__scored_add(ln__scored *scored, uint32_t point, const float *g, size_t count, const ln__ctx *ctx, ln_error *err);
void      ln__scored_free(ln__scored *scored, const ln__ctx *ctx);
/* The settings of LN_POLICY_GATE, ordered by that cost. right [rows][exits + 1]; time [exits + 1] shares. */
ln_status ln__gate_curve(ln_model *model, const ln__scored *scored, const uint8_t *right, size_t rows, int32_t cost,
                         const double *time, ln_error *err);

/* Warns where the gates of the points from `first` on do worse on rows held out than the margin would for the same cost.
 * logits [exits] of [rows][classes]; right [rows][exits + 1]; cost [exits + 1]. */
ln_status ln__gates_check(const ln_model *model, const float *const *logits, const uint8_t *right, const double *cost, size_t rows,
                          uint32_t first, ln_error *err);

/* What ln_exit_train leaves in the model for ln_gate_train, or ln_exit_place for ln_exit_train: then features of the exits as
 * they are now, and no folds yet. */
typedef struct ln__training {
    ln_data     *data;
    ln__features features;
    float       *logits[LN__MAX_EXITS + 1]; /* [rows][classes], out of fold */
    uint32_t    *fold;          /* [rows] */
    uint32_t     folds;
    ln__scored   scored;        /* gates trained on these rows so far ... */
    bool         scored_same;   /* ... by the answers of heads that have learned from them */
} ln__training;
void      ln__training_free(const ln__ctx *ctx, void *training);

/* Rows with every head's answer to them: the heads' own rows out of fold, or others run through backbone and heads. */
typedef struct ln__judged {
    const ln_model *model;
    ln__training   *training;   /* the model's own when the rows are the heads', else NULL */
    ln__features    fresh;      /* of other rows */
    const ln__features *features;
    float          *logits[LN__MAX_EXITS + 1];  /* [rows][classes] */
    bool            owns_logits;
    uint32_t       *fold;       /* [rows], owned: of the gates */
    uint32_t        folds;
    double          time[LN__MAX_EXITS + 1];    /* of leaving there, shares of the plain network; by ln__judged_time */
} ln__judged;
typedef struct ln__judged_wish { uint32_t threads; uint64_t seed, max_memory; const char *cache_folder; bool same_rows; } ln__judged_wish;
/* LN_E_STATE unless everything that answers is trained. */
ln_status ln__judged_check(const ln_model *model, ln_error *err);
/* out: zeros; to be freed even after failure. */
ln_status ln__judged_gather(ln__judged *out, ln_model *model, ln_data *rows, const ln__judged_wish *wish, ln__reporter *reporter,
                            ln_error *err);
/* Measures heads and the gates of operating point `point` (-1: none) for one row and one thread, on this machine and the first row. */
ln_status ln__judged_time(ln__judged *judged, ln_model *model, ln_data *rows, int64_t point, ln_error *err);
void      ln__judged_free(ln__judged *judged, const ln__ctx *ctx);

/* What heads are to learn from; LN_E_ARGUMENT where `more` (may be NULL) holds rows by which they are judged. */
ln_status ln__train_gather_rows(ln__row_set *out, const ln_model *model, const ln_data *rows, const ln_data *more, ln_error *err);

/* Rows to folds: every class spread evenly, seeded. */
ln_status ln__folds_make(uint32_t **fold, const int32_t *labels, size_t rows, uint32_t classes, uint32_t folds,
                         uint64_t seed, const ln__ctx *ctx, ln_error *err);

/* Cross-fitting: models 0..folds-1 learn from the rows outside their fold and are judged on it; model `folds`, where there
 * is one, learns from all rows. All advance epoch by epoch; the epoch with the least loss held out wins for all of them. */
typedef struct ln__fit_sums {
    double learned, rows;       /* loss of the rows learned from, while they were, and how many they were */
    double held, right;         /* of the rows held out: loss, right answers */
} ln__fit_sums;
typedef struct ln__fit {
    void     *problem;
    uint32_t  folds, models, epochs, patience;  /* models: folds or folds + 1 */
    /* Any thread, one per model; sums: zeros, of which epoch fills the first two, judge the others. */
    ln_status (*epoch)(void *problem, uint32_t model, uint32_t epoch, ln__fit_sums *sums, ln_error *err);
    ln_status (*judge)(void *problem, uint32_t model, ln__fit_sums *sums, ln_error *err);
    void      (*keep)(void *problem, uint32_t model);   /* this epoch is the best so far */
    /* In place of both: an epoch of all models, sums [models]. What is judged by models that are still learning counts as the
     * epoch's. */
    ln_status (*together)(void *problem, uint32_t epoch, ln__fit_sums *sums, ln_error *err);
    double    (*loss)(void *problem);   /* over all held-out rows, for choosing the epoch; NULL: judge's mean */
} ln__fit;
typedef struct ln__fit_result { double loss, accuracy; uint32_t epoch; } ln__fit_result;    /* on rows held out, at the epoch kept */
/* LN_E_ARGUMENT where the loss is no number. */
ln_status ln__fit_check(const ln__fit_result *result, const ln_progress *progress, ln_error *err);
ln_status ln__fit_run(ln__fit_result *out, const ln__fit *fit, size_t rows, ln__pool *pool, ln__reporter *reporter,
                      ln_progress *progress, const ln__ctx *ctx, ln_error *err);

/* Adam (Kingma, Ba 2015) with decoupled weight decay (Loshchilov, Hutter 2019). */
typedef struct ln__adam { size_t n; float *m, *v; uint64_t step; } ln__adam;
ln_status ln__adam_new(ln__adam *out, const ln__ctx *ctx, size_t n, ln_error *err);
void      ln__adam_free(ln__adam *adam, const ln__ctx *ctx);
void      ln__adam_step(ln__adam *adam, float *params, const float *gradient, float rate, float decay);
/* The same in parts, which may be moved side by side: gradient [count] of params from `first` on. */
typedef struct ln__adam_pace { float scale, unbias, keep; } ln__adam_pace;
ln__adam_pace ln__adam_begin(ln__adam *adam, float rate, float decay);
void      ln__adam_move(ln__adam *adam, const ln__adam_pace *pace, size_t first, size_t count, float *params, const float *gradient);
/* Cosine from `rate` to a twentieth of it over the epochs (1-based). */
float     ln__rate_at(double rate, uint32_t epoch, uint32_t epochs);

/* Mean and 1 / standard deviation (1 where that is 0) per column. */
void ln__columns_describe(const float *x, size_t rows, size_t width, float *mean, float *scale);
/* The same of the first rows of a cache, which are left behind. */
void ln__cache_describe(const ln__cache *cache, size_t rows, float *mean, float *scale);

/* A linear layer or small network fitted to labels by cross entropy, cross-fitted. positions > 1: the answer is the mean
 * over positions of (relu of) the network's answers there; such layers have hidden 0. */
typedef struct ln__classifier_task {
    const ln__features *rows;   /* whose rows, forms and labels */
    const ln__cache *x;         /* of them: [positions * inputs] a row */
    const uint32_t *fold;       /* [rows->rows] */
    uint32_t        folds, classes, hidden, batch, epochs;
    int64_t         inputs, positions;
    const ln__head *head;       /* whose convolutions learn in front of the layers; NULL: none */
    bool            relu;
    bool            wide;       /* all models learn from a row whenever it is read; one linear layer, one position, no dropout */
    double          rate, decay;
    double          smoothing;  /* of labels, 0..1 */
    double          dropout;    /* of inputs, 0..1 */
    double          distill;    /* weight of the network's own probabilities against the labels, 0..1 */
    bool            end_is_probability;
    uint64_t        seed;
} ln__classifier_task;
/* mlp and conv (unused without task->head) that read plain x, out-of-fold logits [rows][classes] (caller's). Temperature is
 * folded into both unless positions > 1. */
ln_status ln__classifier_train(ln__mlp *mlp, ln__conv *conv, float *logits, ln__fit_result *result, const ln__classifier_task *task,
                               ln__pool *pool, ln__reporter *reporter, ln_progress *progress, const ln__ctx *ctx, ln_error *err);

#endif
