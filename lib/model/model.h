/* model.h - what ln_model is. Rooms above read it; only model/ and train/ write it. */
#ifndef LN_MODEL_H
#define LN_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "data/data.h"
#include "engine/engine.h"
#include "graph/graph.h"
#include "heads/heads.h"
#include "onnx/onnx.h"
#include "policy/policy.h"

enum { LN__MAX_POINTS = 10000 };

typedef struct ln__exit {
    char    *value_name;
    int32_t  value;             /* id in model->graph */
    int64_t  channels, height, width, spatial;
    int32_t  rank;
    ln__head head;
    double   heldout_accuracy;
    ln__cost before;            /* backbone up to here */
} ln__exit;

typedef struct ln__point {
    double        alpha;
    int32_t       cost;         /* LN_COST_* */
    ln__gates     gates;
    ln_point_info measured;     /* on the rows of training */
    bool          has_shares;   /* files of older releases have none */
    double        shares[LN__MAX_EXITS + 1];    /* of those rows that left at each exit */
} ln__point;

/* The settings of one policy, the most careful first. */
typedef struct ln__curve {
    uint32_t    count;          /* 0: not trained */
    ln_setting *setting;        /* [count] */
    double     *threshold;      /* [count][exits] */
    double     *share;          /* [count][exits + 1] of the rows of training, that leave there */
} ln__curve;
enum { LN__POLICIES = LN_POLICY_ORACLE };   /* those that have curves */

/* Rows by name; those of arrays and callbacks have none. */

/* The last linear layer replaced by one for other classes. Weight and bias have the
 * shape the network's own had, but for the number of outputs, and stand in the
 * graph's constants. */
typedef struct ln__final {
    bool       replaced, trained;
    int32_t    node;            /* the classifier, index in model->graph */
    int32_t    inputs, outputs;
    bool       outputs_first;   /* weight is [outputs][inputs], else [inputs][outputs] */
    ln__tensor weight, bias;    /* data owned; bias.data NULL: the network has none */
    int32_t    bias_node, bias_input;   /* who reads the bias, and as which input */
} ln__final;

/* The model as something to run: fused with the exits' values kept, cut at the exits. */
typedef struct ln__runnable {
    ln__graph  *folded;         /* what the engine's graph borrows from */
    ln__engine *engine;
    ln__cut    *cut;
    int32_t     classifier_input;   /* value id, kept when asked for; else LN__NO_VALUE */
} ln__runnable;

struct ln_model {
    ln__ctx      ctx;
    atomic_uint  references;    /* owner + sessions */
    atomic_uint  sessions;      /* open ones: > 0 freezes the model */
    pthread_mutex_t building;   /* guards `shared` while sessions open */
    ln__runnable shared;        /* built when the first session opens; engine NULL: not built */

    uint64_t     max_memory;
    char        *path;          /* "" from memory */
    ln__onnx    *onnx;
    ln__graph   *graph;         /* as the file has it, last layer replaced if it is */
    ln__shapes  *one_row;
    bool        *is_row_value;  /* [graph->n_values] */
    int32_t      output;        /* value id of the network's answers */
    uint32_t     channels, height, width, network_classes;
    ln__cost     plain;         /* backbone */
    bool         output_is_probability;

    ln_preprocess preprocess;   /* resolved */
    char       **class_names;   /* [classes] or NULL */
    uint32_t     classes;
    uint32_t    *network_class; /* [classes] or NULL: identity */

    ln__exit    *exits;         uint32_t n_exits;    /* by depth */
    ln__point   *points;        uint32_t n_points, default_point;
    size_t       point_capacity;
    ln__curve    curves[LN__POLICIES];
    ln_target    default_target;    /* struct_size 0: none, the default point counts */
    ln__final    final;
    char        *kernels;       /* ln__engine_tune's text or NULL */

    /* Kept between ln_exit_train and ln_gate_train; train/ knows what it is. */
    void        *training;
    void       (*training_free)(const ln__ctx *ctx, void *training);
    ln__row_set  heads_learned; /* rows that heads have seen since it was loaded */
    ln__row_set  learned;       /* and those that gates and policies have */
};

void      ln__model_retain(ln_model *model);
/* LN_E_STATE if a session is open; else what was built for sessions is dropped, as the model is about to change. */
ln_status ln__model_change(ln_model *model, const char *call, ln_error *err);
void      ln__model_drop_points(ln_model *model);
void      ln__model_drop_training(ln_model *model);
void      ln__point_free(ln__point *point, const ln__ctx *ctx);
/* Takes the point over. */
ln_status ln__model_add_point(ln_model *model, ln__point *point, ln_error *err);

/* A setting as an operating point of its own, behind those there are. */
ln_status ln__model_add_setting(ln_model *model, int32_t policy, uint32_t index, ln_error *err);

/* What the settings of a curve stand on. */
typedef struct ln__curve_basis {
    const uint32_t *point;      /* [scorers] the operating point that each scorer is */
    const double   *time;       /* [exits + 1] shares of the plain network's */
    uint32_t        rows;
    double          plain_accuracy;
} ln__curve_basis;
/* Replaces the policy's curve; a default target that spoke of the old one is dropped. */
ln_status ln__curve_store(ln_model *model, int32_t policy, const ln__settings *settings, const ln__curve_basis *basis, ln_error *err);
void      ln__curve_free(ln__curve *curve, const ln__ctx *ctx);
void      ln__model_drop_curves(ln_model *model);
uint32_t  ln__setting_count(const ln_model *model, int32_t policy);
/* LN_E_STATE if the policy has no settings, LN_E_ARGUMENT if not that one. */
ln_status ln__setting_find(const ln_setting **setting, const double **thresholds, const ln_model *model, int32_t policy,
                           uint32_t index, ln_error *err);
const double *ln__setting_shares(const ln_model *model, const ln_setting *setting);    /* [exits + 1] */
double    ln__setting_cost(const ln_setting *setting, int32_t cost);    /* share of the plain network's */
void      ln__curve_print(ln__buffer *to, const ln__curve *curve, uint32_t index, uint32_t exits);
ln_status ln__curves_read(ln_model *model, ln_error *err);
/* LN_UNCERTIFIED: *out is the first setting, *rows says how many calibration rows would do. */
ln_status ln__target_resolve(const ln_model *model, const ln_target *target, const ln_setting **out, uint64_t *rows, ln_error *err);

/* NULL: none. */
ln_status ln__target_set_default(ln_model *model, const ln_target *target, ln_error *err);
enum { LN__TARGET_NUMBERS = 6 };
void      ln__target_numbers(const ln_target *target, double out[LN__TARGET_NUMBERS]);
ln_status ln__target_read(ln_model *model, ln_error *err);

/* The one all sessions share (built once, freed with the model or when it changes). */
ln_status ln__model_shared(const ln__runnable **out, ln_model *model, ln_error *err);
/* One of the caller's own, optionally keeping the classifier's input computed. */
ln_status ln__runnable_new(ln__runnable *out, const ln_model *model, bool keep_classifier_input,
                           const char *kernels, ln_error *err);
void      ln__runnable_free(ln__runnable *runnable, const ln__ctx *ctx);
/* Folded and fused with the exits' values kept; free both, fused first. */
ln_status ln__model_fuse(ln__graph **folded, ln__graph **fused, const ln_model *model,
                         int32_t keep, ln_error *err);

ln__feed  ln__model_feed(const ln_model *model);

/* map[data class] = the model's answer: by the class map given with the data, else by equal names, else
 * by number where the counts agree. -1: the model has no such class. *among (may be NULL): [classes] true where
 * an answer competes. Both freed by the caller. */
ln_status ln__model_match_classes(int32_t **map, bool **among, const ln_model *model,
                                  const ln_data *data, ln_error *err);
/* Makes the model's answers those of the data set: its class map, or its classes with the last
 * layer replaced where their number differs. */
ln_status ln__model_adopt_classes(ln_model *model, const ln_data *data, ln_error *err);
ln_status ln__model_set_classes(ln_model *model, const char *const *names, const uint32_t *network_classes,
                                size_t count, ln_error *err);
/* One row of the network's output to the model's answers (network_class picks columns). */
void      ln__model_answers(const ln_model *model, const float *output, float *answers);
/* Answers to probabilities, softmax unless the network ends in one; returns the best label. */
int32_t   ln__model_label(const ln_model *model, const float *answers, bool from_head, float *probability);

/* Replaces the last linear layer (zero weights until trained). */
ln_status ln__final_replace(ln_model *model, uint32_t classes, ln_error *err);
/* As a saved model says it was replaced: checked against the network. */
ln_status ln__final_restore(ln_model *model, int32_t node, int32_t bias_node, int32_t bias_input, bool trained, ln_error *err);
/* What stands between the last linear layer and the answers; LN_E_UNSUPPORTED where it cannot be trained. */
typedef struct ln__final_form { int64_t positions; bool relu; } ln__final_form;
ln_status ln__final_describe(ln__final_form *out, const ln_model *model, ln_error *err);
/* Trained weights into the graph: weight [outputs][inputs], bias [outputs]. */
void      ln__final_store(ln_model *model, const float *weight, const float *bias);

/* Costs of leaving at exit 0..E as shares of the plain network: backbone so far, heads on the way, and
 * the point's gates (NULL: none). Arrays of n_exits + 1. */
void      ln__model_cost_shares(const ln_model *model, const ln__gates *gates, double *params, double *macs);
/* What the point costs in the mean, from the shares of rows that leave at exit 0..E and what that takes of the plain network's time. */
void      ln__point_expect(ln__point *point, const ln_model *model, const double *time);

ln_status ln__model_load(ln_model **out, const char *path, const void *data, size_t size,
                         const ln_load_options *options, ln_error *err);
ln_status ln__model_save(const ln_model *model, const char *path, ln_error *err);
void      ln__model_release(ln_model *model);
/* Behind ln_data_read, without its check for NULL. */
ln_status ln__model_read_rows(const ln_model *model, ln_data *data, size_t first, size_t count, float *inputs, int32_t *labels, ln_error *err);
ln_status ln__exit_options_check(const ln_exit_options *options, ln_error *err);
ln_status ln__exits_read(ln_model *model, ln_error *err);   /* from the file's metadata and additions */
ln_status ln__exit_add(ln_model *model, const char *value, const ln_exit_options *options, ln_error *err);
ln_status ln__exit_add_auto(ln_model *model, uint32_t count, const ln_exit_options *options, ln_error *err);
void      ln__exits_clear(ln_model *model);
ln_status ln__exit_candidates(const ln_model *model, ln_exit_candidate *out, size_t capacity,
                              size_t *count, ln_error *err);

#endif
