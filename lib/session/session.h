/* session.h - answering: runs stages, asks the gates, packs rows, workers. */
#ifndef LN_SESSION_H
#define LN_SESSION_H

#include "model/model.h"

/* Options of ln_session_open plus what only the library itself asks for. */
typedef struct ln__session_request {
    uint32_t max_rows, threads;
    int64_t  point;                 /* -1: none; every row runs to the end */
    bool     keep_classifier_input; /* for training the last layer */
    bool     untrained;             /* stages only: heads need not be there yet */
} ln__session_request;
ln_status ln__session_open(ln_session **out, ln_model *model, const ln__session_request *request, ln_error *err);
void      ln__session_close(ln_session *session);

const ln_model *ln__session_model(const ln_session *session);
uint32_t  ln__session_max_rows(const ln_session *session);
bool      ln__session_has_gates(const ln_session *session);   /* an operating point is set */
uint32_t  ln__session_threads(const ln_session *session);
ln_status ln__session_set_point(ln_session *session, uint32_t point, ln_error *err);
ln_status ln__session_set_setting(ln_session *session, int32_t policy, uint32_t index, ln_error *err);
ln_status ln__session_set_target(ln_session *session, const ln_target *target, ln_error *err);
const ln_setting *ln__session_setting(const ln_session *session);   /* NULL: an operating point as it is, or none */

/* ---- Running ------------------------------------------------------------------------- */

/* One row of a value in its engine layout: index 0..E-1 exits, E the network's output
 * [network classes], E+1 the classifier's input if kept; `row` within the call.
 * Called from worker threads, for different rows at once. */
typedef void (*ln__see_fn)(uint32_t index, const ln__view *row_view, size_t row, void *payload);

typedef enum ln__run_mode {
    LN__RUN_EARLY,              /* gates decide */
    LN__RUN_FULL,               /* no heads, no gates */
    LN__RUN_STAY,               /* heads and gates are computed, nobody leaves: for measuring */
    LN__RUN_STEP,               /* as STAY, with an answer at every exit: for ln__lane_step */
    LN__RUN_DEADLINE            /* gates decide, and the time that is left */
} ln__run_mode;

typedef struct ln__run_request {
    ln__run_mode mode;
    const float *input;         /* [n][C][H][W] */
    size_t       n;
    ln_result   *results;       /* [n] or NULL */
    float       *logits;        /* [n][classes] or NULL */
    ln__see_fn   see;           /* NULL: nobody looks */
    void        *payload;
    bool         count;         /* into the session's counters; needs results */
    double       deadline;      /* ln__now() to be done by, for LN__RUN_DEADLINE */
} ln__run_request;
/* LN_DEADLINE if rows were stopped that their gates would have let go on. */
ln_status ln__session_run(ln_session *session, const ln__run_request *request, ln_error *err);

ln_status ln__session_measure(ln_session *session, const float *input, size_t rows, uint32_t repeats,
                              ln_stage_time *out, ln_error *err);
ln_status ln__session_image(ln_session *session, const ln_image *image, ln_result *result, float *logits, ln_error *err);

/* As LN__RUN_DEADLINE by ln__now() + seconds; measures the stages first if they never ran. */
ln_status ln__session_deadline(ln_session *session, const ln__run_request *request, double seconds, ln_error *err);

/* ---- One row, step by step; everything else gives LN_E_STATE until the end -------------------- */

ln_status ln__steps_begin(ln_session *session, const float *input, ln_error *err);
ln_status ln__steps_next(ln_session *session, ln_step *out, ln_error *err);
void      ln__steps_end(ln_session *session);
ln_status ln__steps_refuse(const ln_session *session, ln_error *err);   /* LN_OK when none are under way */

/* ---- Counters --------------------------------------------------------------------------------- */

ln_status ln__session_counters(const ln_session *session, ln_counters *out, ln_error *err);
void      ln__session_reset_counters(ln_session *session);
ln_status ln__session_drift(const ln_session *session, double *p_value, ln_error *err);

/* Whether its `exits` are the caller's. */
ln_status ln__evaluation_check(const ln_evaluation *out, ln_error *err);
ln_status ln__session_evaluate(ln_session *session, ln_data *data, const ln_evaluate_options *options,
                               ln_evaluation *out, ln_error *err);

ln_status ln__answers_collect(ln_answers **out, ln_model *model, ln_data *data, const ln_answers_options *options,
                              ln_error *err);
void      ln__answers_free(ln_answers *answers);
size_t    ln__answers_rows(const ln_answers *answers);
int32_t   ln__answers_label(const ln_answers *answers, size_t row);
size_t    ln__answers_data_row(const ln_answers *answers, size_t row);
const float *ln__answers_logits(const ln_answers *answers, uint32_t exit);
double    ln__answers_time_share(const ln_answers *answers, uint32_t exit);
int32_t   ln__answers_choice(const ln_answers *answers, uint32_t exit, size_t row, float *probability);
ln_status ln__answers_replay(const ln_answers *answers, int32_t policy, uint32_t index, ln_result *results,
                             ln_evaluation *out, ln_error *err);
ln_status ln__answers_replay_point(const ln_answers *answers, uint32_t point, ln_result *results, ln_evaluation *out,
                                   ln_error *err);

#endif
