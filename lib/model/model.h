/* model.h - what ln_model is. Rooms above read it; only model/ and train/ write it. */
#ifndef LN_MODEL_H
#define LN_MODEL_H

#include <stdatomic.h>

#include "base/base.h"
#include "data/data.h"
#include "engine/engine.h"
#include "graph/graph.h"
#include "heads/heads.h"
#include "onnx/onnx.h"
#include "policy/policy.h"

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
} ln__point;

/* The last layer when it was replaced: y = W features + b over the classifier node's input. */
typedef struct ln__final {
    int32_t node;               /* index in model->graph; -1: not replaced */
    ln__mlp linear;             /* hidden 0 */
    bool    trained;
} ln__final;

struct ln_model {
    ln__ctx      ctx;
    atomic_uint  references;    /* owner + sessions */
    atomic_uint  sessions;      /* open ones: > 0 freezes the model */
    ln_load_options limits;
    char        *path;
    ln__onnx    *onnx;
    ln__graph   *graph;         /* folded; exits' values kept */
    ln__shapes  *one_row;
    int32_t      output;        /* value id of the network's logits */
    uint32_t     channels, height, width, network_classes;
    ln__cost     plain;         /* backbone */

    ln_preprocess preprocess;   /* resolved */
    char       **class_names;   uint32_t classes;    /* names may be NULL */
    uint32_t    *network_class; /* [classes] or NULL: identity */
    bool         output_is_probability; /* ends in Softmax: answers need none */

    ln__exit    *exits;         uint32_t n_exits;    /* by depth */
    ln__point   *points;        uint32_t n_points, default_point;
    ln__final    final;
    char        *kernels;       /* ln__engine_tune's text or NULL */

    /* Kept between ln_exit_train and ln_gate_train; train/ knows what it is. */
    void        *training;
    void       (*training_free)(const ln__ctx *ctx, void *training);
};

void      ln__model_retain(ln_model *model);
/* LN_E_STATE if a session is open. */
ln_status ln__model_check_idle(const ln_model *model, const char *call, ln_error *err);
void      ln__model_drop_points(ln_model *model);
void      ln__model_drop_training(ln_model *model);

/* The model as an engine for sessions and training: fused with the exits' values (and
 * `keep_classifier_input`) kept, final layer replaced if it is, cut at the exits. */
typedef struct ln__runnable { ln__engine *engine; ln__cut *cut; int32_t classifier_input; } ln__runnable;
ln_status ln__model_runnable(ln__runnable *out, const ln_model *model, bool keep_classifier_input, ln_error *err);
void      ln__runnable_free(ln__runnable *runnable, const ln__ctx *ctx);

ln__feed  ln__model_feed(const ln_model *model);
/* map[data class] = the model's answer, or -1 where the model has no such class
 * (a class map given with the data says so first, then equal names, then equal order and count). */
ln_status ln__model_class_map(int32_t **map, const ln_model *model, const ln_data *data, ln_error *err);
/* Network output row -> the model's answers (network_class picks columns). */
void      ln__model_answers(const ln_model *model, const float *network_logits, float *answers);

/* Cost of leaving at exit i (n_exits: the end) as shares of the plain network: backbone so far plus heads and gates run
 * on the way for that point's gates (NULL: heads only). */
void      ln__model_cost_shares(const ln_model *model, const ln__gates *gates, double *params, double *macs);

#endif
