/* session.h - answering: runs stages, asks the gates, packs rows, workers. */
#ifndef LN_SESSION_H
#define LN_SESSION_H

#include "model/model.h"

/* Options of ln_session_open plus what only the library itself asks for. */
typedef struct ln__session_request {
    uint32_t max_rows, threads;
    int64_t  point;                 /* -1: the model's default, or none */
    bool     keep_classifier_input; /* for training the last layer */
    bool     heads_untrained;       /* stages only: heads and gates are not there yet */
} ln__session_request;
ln_status ln__session_open(ln_session **out, ln_model *model, const ln__session_request *request, ln_error *err);

/* Runs rows through all stages, no gate asked, and hands every exit's value (in its engine
 * layout) to `see` as soon as it is there: value index 0..E-1 exits, E the network's logits [rows][network classes],
 * E+1 the classifier's input if kept. Called from worker threads for disjoint rows; `first` is the view's first row's index in the call. */
typedef void (*ln__see_fn)(uint32_t index, const ln__view *view, size_t first, void *payload);
ln_status ln__session_features(ln_session *session, const float *input, size_t n, ln__see_fn see, void *payload, ln_error *err);

const ln_model *ln__session_model(const ln_session *session);

#endif
