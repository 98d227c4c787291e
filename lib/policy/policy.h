/* policy.h - the rules that decide exits: gates, the LEENet loss. Mathematics on arrays. */
#ifndef LN_POLICY_H
#define LN_POLICY_H

#include "base/base.h"
#include "heads/heads.h"

/* ---- What a statistics gate reads --------------------------------------------------- */

/* Numbers for the gate of exit `exit` (0-based) of a network of `classes` classes, of this row's
 * logits z and probabilities p there, in this order:
 *   the largest probabilities p1, p2, p3 (as many as there are classes)
 *   m = p1 - p2, log((1 + m) / (1 - m + LN__LEAST_DOUBT))    (2 classes or more; of 2 classes, the logits' distance)
 *   entropy / log(classes), log sum exp z - mean z
 *   for each earlier exit j: p . pj, and p^4 . pj / sum p^4 (what j gives to this exit's likeliest class)
 *   the largest probability of the exit before
 * All are continuous in the logits, so rounding cannot turn a gate. None tells one class from another: gates
 * that read all of p too learn the chances of their rows (docs/accuracy.md). */
int32_t ln__stats_count(int32_t classes, uint32_t exit);
#define LN__LEAST_DOUBT 1e-30f  /* keeps the logit below 70 */
int32_t ln__stats_margin_logit(int32_t classes);        /* which of them is the logit of the margin, of 2 classes or more */
/* logits [exit+1][classes]: this row's at exits 0..exit; probabilities likewise (softmax of them). */
void ln__stats_compute(int32_t classes, uint32_t exit, const float *const *logits,
                       const float *const *probabilities, float *stats);

/* ---- Gates ----------------------------------------------------------------------------- */

typedef struct ln__gates {      /* one operating point's rule, of all exits */
    int32_t  policy;            /* LN_POLICY_* */
    int32_t  input;             /* GATE: LN_GATE_*; BOTH: statistics, then features */
    uint32_t exits;
    ln__mlp *gate;              /* [exits]; GATE, EENET: one output, the sigmoid's argument. ENSEMBLE: linear, the weights of
                                 * log p_0 .. log p_i, biases 0. Others: nothing learned, params NULL */
    double  *threshold;         /* [exits] leave if the score > t */
} ln__gates;
/* Gates proper; set `policy` for others. */
ln_status ln__gates_new(ln__gates *out, const ln__ctx *ctx, int32_t input, uint32_t exits, ln_error *err);
ln_status ln__gates_copy(ln__gates *out, const ln__gates *from, const ln__ctx *ctx, ln_error *err);
void ln__gates_free(ln__gates *gates, const ln__ctx *ctx);

/* Parameters and multiply-adds of what is learned, for a row at this exit. */
ln__cost ln__gates_cost(const ln__gates *gates, uint32_t exit, int32_t classes);

/* Numbers that a gate at this exit reads; `features`: the head's. */
int64_t ln__gate_width(int32_t input, int32_t classes, uint32_t exit, int32_t features);

/* Sigmoid of gate i for one row; `scratch` has gate[i].hidden floats. */
float ln__gate_answer(const ln__gates *gates, uint32_t exit, const float *x, float *scratch);

/* ---- Scores: any policy (score.c) ------------------------------------------------------------- */

/* What is known of a row that has reached an exit. */
typedef struct ln__sight {
    int32_t classes, features_count;
    const float *const *logits;         /* [exit + 1] of the heads so far */
    const float *const *probabilities;  /* [exit + 1] softmax of them */
    const float *features;              /* the head's input there; NULL if no gate reads it */
    const float *scores;                /* [exit] this row's scores so far, by the same gates */
    float *mixed;                       /* [classes] room for an answer that is not a head's */
    float *scratch;                     /* ln__score_scratch floats */
} ln__sight;
size_t ln__score_scratch(const ln__gates *gates, int32_t classes);
/* True if the score needs features only, so that the head can wait until a row leaves. */
bool  ln__score_before_head(const ln__gates *gates);
/* 0..1; the row leaves if it is above the threshold. */
float ln__score(const ln__gates *gates, uint32_t exit, const ln__sight *sight);
/* Scores are at most 1 and must exceed the threshold: false where no row can ever leave. */
bool ln__score_may_pass(const double *threshold, uint32_t exits);
/* The answer of a row that leaves, as logits: the head's own, or what ln__score has put into sight->mixed. */
const float *ln__score_answer(const ln__gates *gates, uint32_t exit, const ln__sight *sight);

/* What EENET's scores read: probabilities, the largest, 1 - entropy / log classes, agreement, earlier scores. */
int32_t ln__eenet_count(int32_t classes, uint32_t exit);
void    ln__eenet_inputs(uint32_t exit, const ln__sight *sight, float *out);

/* ENSEMBLE: weights [exit + 1] >= 0 that minimise the cross entropy of softmax(sum w_j log p_j) on these rows.
 * logits[j] [n][classes]; scratch [3 * classes]. */
void ln__ensemble_fit(double *weights, const float *const *logits, const int32_t *labels, int64_t n, int32_t classes,
                      uint32_t exit, double *scratch);

/* EENET: exit distributions [n_budgets][exits + 1], one for each mean cost between cost[exits] and cost[0], whose roots above
 * cost[0] fall evenly. Rows prefer exits by a power of their expected correctness q [n][exits + 1]; the budget is met in the way
 * that changes the preference least. */
void ln__eenet_schedules(double *out, uint32_t n_budgets, double power, const float *q, const double *cost, int64_t n,
                         uint32_t exits);

/* ---- The LEENet loss (DESIGN 3.6) ----------------------------------------------------------- */

/* z [n][exits]: the gates' arguments (before the sigmoid); price [n][exits+1]: what answering there
 * costs in being wrong (cross entropy or 0/1 error); cost [exits+1] in (0,1], the last 1.
 * Returns (1-alpha) mean sum p_i price_i + alpha mean sum p_i cost_i; dz (may be NULL) [n][exits]
 * gets its gradient. Log-domain: exact to float rounding when gates saturate. */
double ln__leenet_loss(const float *z, const float *price, const double *cost, double alpha,
                       int64_t n, uint32_t exits, float *dz);

/* ---- Objectives that ask one question a gate ---------------------------------------------------- */

/* A gain [n][exits] says of each row what leaving there is worth: positive, it should leave; negative,
 * it should go on; its size is what the wrong answer costs.
 * Weighted logistic loss, mean over rows of sum over exits of |gain| log(1 + exp(-+z)); dz (may be NULL) gets
 * its gradient. At its minimum g > 1/2 exactly where the gain to be expected is positive. */
double ln__gain_loss(const float *z, const float *gain, int64_t n, uint32_t exits, float *dz);
/* One row's at one exit, with its first and second derivative. */
double ln__gain_expand(double z, double gain, double *slope, double *bend);
/* +1 where right [n][exits+1], else -1. */
void ln__gain_right(float *gain, const uint8_t *right, int64_t n, uint32_t exits);
/* +1 where right, or where neither a later exit nor the network's own end is; else -1. */
void ln__gain_no_regret(float *gain, const uint8_t *right, int64_t n, uint32_t exits);
/* Backward induction. value [n]: what a row still costs that goes on behind exit i, (1-alpha) price + alpha
 * cost; gain [n]: that minus what leaving at i costs, over its mean size so that it is 1 on average. */
void ln__gain_induction(float *gain, const float *value, const float *price, const double *cost, double alpha,
                        int64_t n, uint32_t exits, uint32_t exit);
/* What a row costs that arrives at exit i: `value` for going on becomes that of the gate's decision z [n] > 0.
 * exit == exits: what the network's own end costs, z not read. */
void ln__value_arrive(float *value, const float *z, const float *price, const double *cost, double alpha,
                      int64_t n, uint32_t exits, uint32_t exit);

/* ---- Judging a policy on rows ------------------------------------------------------------------ */

enum { LN__MAX_EXITS = 63 };
typedef struct ln__outcome { double accuracy, share[LN__MAX_EXITS + 1]; } ln__outcome;  /* share of rows per exit 0..exits */
/* g [n][exits] sigmoids, right [n][exits+1] 0/1. */
void ln__policy_judge(ln__outcome *out, const float *g, const double *threshold, const uint8_t *right, int64_t n, uint32_t exits);
/* Of value[at] and `reach` others either side, nearer ones counting more; those that are NAN are left out, value[at] is not. */
double ln__mean_around(const double *value, size_t count, size_t at, size_t reach);
/* The common threshold that minimises (1-alpha) price + alpha cost of hard decisions on these rows, judged with its neighbours,
 * so that chance decides less. */
double ln__threshold_choose(const float *g, const float *price, const double *cost, double alpha,
                            int64_t n, uint32_t exits, float *scratch /* [n] */);

/* ---- Curves: all settings of a policy ---------------------------------------------------------------- */

/* A row leaves at the first exit whose score is above the threshold there. Thresholds lie in -1..1: at 1 no
 * row leaves, at -1 every row does, whatever the scores. */
enum { LN__MAX_SETTINGS = 128 };

/* One candidate to score rows: the out-of-fold scores of one operating point. */
typedef struct ln__scorer {
    const float   *score;       /* [rows][exits], 0..1 */
    const uint8_t *right;       /* [rows][exits + 1] is this policy's answer there right (exits: the network's own end) */
    const double  *cost;        /* [exits + 1] of leaving there, rising; what the curve is ordered by */
    const double  *schedule;    /* [n_schedules][exits + 1] shares of rows that shall leave at each exit, thresholds
                                 * of each exit by quantiles; NULL: one threshold for all exits */
    uint32_t       n_schedules;
    double         meant;       /* the mean cost it was made for; NAN: none in particular */
} ln__scorer;

typedef struct ln__curve_task {
    const ln__scorer *scorer;   /* [n_scorers] of one policy; LEENet's gates: one for each alpha */
    uint32_t n_scorers;
    int64_t  rows;
    uint32_t exits;
    double   plain;             /* cost of a row that no head sees: settings as dear are left out, but for the first and the last */
} ln__curve_task;

typedef struct ln__setting {
    uint32_t scorer;            /* index in ln__curve_task.scorer */
    double   accuracy, cost;    /* means over the rows */
    double  *threshold;         /* [exits] */
    double  *share;             /* [exits + 1] of rows that leave at each exit */
} ln__setting;

/* The settings of a policy by falling cost: the first never leaves early, the last leaves at exit 0 always. Those between cost
 * less than `plain`, and the roots of what they cost more than the last are even (fewer settings where scores are tied). Of
 * several scorers, at each cost the most accurate of those meant for the nearest cost on either side, or for none, judged with
 * its neighbouring settings, so that chance decides less. */
typedef struct ln__settings {
    uint32_t    exits, count;
    ln__setting setting[LN__MAX_SETTINGS];
    double     *numbers;        /* owned: what the settings' pointers point into */
} ln__settings;
ln_status ln__curve_build(ln__settings *out, const ln__ctx *ctx, const ln__curve_task *task, ln_error *err);
void ln__settings_free(ln__settings *settings, const ln__ctx *ctx);
/* Thresholds [exits] at which a `share` of the rows [exits + 1] leaves at each exit, those with the highest scores among the
 * rows still there; equal scores leave together. `order` [rows] is scratch. */
void ln__quantile_thresholds(double *threshold, const float *score, const double *share, int64_t rows, uint32_t exits,
                             uint32_t *order);
/* Exit distributions p_i ~ q^i, the roots of the mean exit falling evenly; out [LN__GEOMETRIC_SCHEDULES][exits + 1]. */
enum { LN__GEOMETRIC_SCHEDULES = 127 };
void ln__geometric_schedules(double *out, uint32_t exits);

/* ---- Bounds that hold for finite samples (bound.c) ------------------------------------------------- */

/* Rows that neither heads nor gates have seen, judged at a setting: `lost` are right in the plain network and wrong at the
 * setting, `gained` the reverse, `changed` have another answer than the plain network's. */
typedef struct ln__tally { uint64_t rows, lost, gained, changed; } ln__tally;

/* p-values: were the true drop of accuracy (the true share of changed answers) `drop` or more, counts that speak
 * as much for less would be seen with at most this probability. Shares 0..1; no rows give 1. */
double ln__bound_drop(uint64_t rows, uint64_t lost, uint64_t gained, double drop);
double ln__bound_change(uint64_t rows, uint64_t changed, double share);
double ln__bound_test(const ln__tally *seen, int32_t against /* LN_AGAINST_* */, double drop);
/* How many rows would give a p-value of at most `level`, were lost, gained and changed rows as frequent as rates[0..2]
 * say (to 1 %); UINT64_MAX: more than LN__BOUND_MOST_ROWS. */
enum { LN__BOUND_MOST_ROWS = 1 << 22 };
uint64_t ln__bound_rows(const double rates[3], int32_t against, double drop, double level);

/* ---- Drift --------------------------------------------------------------------------------------- */

/* p-value of the hypothesis that the rows counted in seen [exits] leave as `rows` other rows did, of which shares
 * [exits] (sum 1) left at each exit: a chi-squared test of homogeneity, which takes both samples as the random
 * draws that they are. Neighbouring exits are taken together until each cell expects 5 rows of either sample.
 * 1 where nothing can be said. `exits` counts the network's end. */
double ln__drift_p(const uint64_t *seen, const double *shares, uint64_t rows, uint32_t exits);
double ln__chi_squared_tail(double x, uint32_t k);

/* ---- Placement: which of the places where exits can go should have one ------------------------- */

enum { LN__LEVELS = 1024 };

/* A largest probability on a scale of 1..LN__LEVELS - 1 that is even in the logarithm of the doubt, 1 - p. */
uint16_t ln__confidence_level(float probability);

/* Answers and costs at every place, by depth; index `places` is the network's own end. */
typedef struct ln__placement {
    int64_t         rows;
    uint32_t        places;
    const uint16_t *level;      /* [places][rows] of the answer's confidence */
    const uint8_t  *right;      /* [places + 1][rows] */
    const double   *reach;      /* [places + 1] share of the plain network spent by its own layers up to there */
    const double   *head;       /* [places] what a head there adds for every row that comes by */
    const double   *budgets;    /* shares of the plain network */
    size_t          n_budgets;
} ln__placement;

/* Mean over the budgets of the error that one common threshold on confidence leaves at a mean cost within the
 * budget, with exits at the places of `set` [places]; 1 or more if a budget cannot be kept. */
double ln__placement_price(const ln__placement *p, const bool *set);

/* Forward selection with exchange. wanted 0: as many exits as each bring LN__WORTH, at most `most`; else so many.
 * gain [places]: what the price rises by without that exit, 1 where a budget could not be kept; 0 where none is. */
#define LN__WORTH 0.0005
void ln__placement_search(bool *set, double *gain, const ln__placement *p, uint32_t wanted, uint32_t most);

/* ---- As ONNX -------------------------------------------------------------------------------------- */

/* Graph output "gate_<exit>" [N,points]: every point's score, stacked. Reads "logits_0".."logits_<exit>" or
 * "leenet/<exit>/features", and what was emitted at the exits before: call it for 0, 1, ... in turn with the same points. */
void ln__gates_emit(ln__onnx_edit *edit, const ln__gates *const *points, uint32_t n_points, uint32_t exit, int32_t classes);
/* As the point's policy needs; GATE: as below. */
ln_status ln__policy_read(ln__gates *out, const ln__ctx *ctx, const ln__onnx *onnx, int32_t policy, uint32_t point,
                          uint32_t exits, int32_t classes, ln_error *err);
/* Reads point p's gates back (weights and what they read, not thresholds, which are 0.5). */
ln_status ln__gates_read(ln__gates *out, const ln__ctx *ctx, const ln__onnx *onnx, uint32_t point, uint32_t exits,
                         int32_t classes, ln_error *err);

#endif
