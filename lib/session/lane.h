/* lane.h - what one thread needs to answer rows: plans, the pools of rows that wait
 * before each stage, and scratch. Private to session/.
 *
 * Rows flow through the stages in small groups. Survivors of a group wait in the
 * next stage's pool until there are enough for a full group, so leaving rows
 * never leave a plan half empty (except at the end of a call). A pool keeps its
 * rows packed from 0; groups are taken from its tail, results go to the next
 * pool's tail. */
#ifndef LN_LANE_H
#define LN_LANE_H

#include "session/session.h"

enum { LN__MAX_SIZES = 4 };     /* group sizes 1, 2, 4, 8 */

typedef struct ln__lane_pool {  /* of stage s >= 1, or the network's end */
    float  **data;              /* [n_values] rows of the values that enter the stage */
    size_t  *row_floats;        /* [n_values] */
    int32_t *values;            /* ids */
    int32_t  n_values;
    size_t   count;
    size_t  *row;               /* [capacity] index in the call */
    uint32_t *slot;             /* [capacity] where the row's logits so far are kept */
} ln__lane_pool;

/* What a stage or head takes, as far as is known: see pace.c. */
typedef struct ln__pace { double mean, spread, best; } ln__pace;    /* seconds; mean 0: never run */

typedef struct ln__lane {
    ln_session *session;
    uint32_t    threads;        /* OpenMP threads inside its plans */
    int64_t     group;          /* largest group size */
    int32_t     n_sizes;        /* sizes 1 << 0 .. 1 << (n_sizes - 1) */
    int32_t     n_stages;
    ln__plan  **plans;          /* [n_sizes][n_stages] */
    void       *arena;
    ln__lane_pool *pools;       /* [n_stages + 1]; pools[0] unused: stage 0 reads the caller's rows */
    size_t      capacity;       /* rows of a pool */
    float     **in, **out;      /* pointers of the plan about to run */
    float      *features;       /* [group][most features] */
    float      *maps;           /* of ln__head_describe */
    float      *hidden;         /* widest hidden layer, group rows */
    float      *scratch;        /* of ln__score */
    float      *mixed;          /* [classes] */
    float      *scores;         /* [slots][E] by the policy in use */
    float      *logits, *probabilities; /* [slots][E][classes] */
    const float **logits_of, **probabilities_of;    /* [E] of the row at hand */
    uint32_t   *free_slots;
    uint32_t    n_free;
    double     *stage_seconds;  /* [n_stages] since last cleared */
    double     *head_seconds;   /* [E + 1] */
    uint64_t    answered;       /* rows that a head has answered */
    ln__pace   *stage_pace;     /* [n_sizes][n_stages] */
    ln__pace   *head_pace;      /* [n_sizes][n_stages]: head and gate after that stage */
    float      *answers;        /* [classes] */
    /* of the running call, LN__RUN_DEADLINE */
    double      deadline;       /* of the rows at hand */
    size_t      rows_to_come;   /* of the group being taken, not yet in stage 0 */
    bool        stop;           /* no time for the stage after this exit */
    bool        cut;            /* a row was stopped that its gate would have let go on */
    ln_error    error;
    ln_status   status;
} ln__lane;

/* Who decides where rows leave. */
typedef struct ln__rule {
    const ln__gates *gates;     /* NULL: no operating point */
    const double   *threshold;  /* [E] of the point itself or of a setting */
    bool            may_leave;  /* some row can pass a threshold; else LN__RUN_EARLY asks no gate */
    const ln_setting *setting;  /* NULL: the point as it is */
    int64_t         point;      /* -1: none */
    double          macs_share[LN__MAX_EXITS + 1];  /* of leaving at exit 0..E */
} ln__rule;

/* Rows answered since the counters were reset. */
typedef struct ln__counts {
    uint64_t *rows;             /* [E + 1] answered there */
    uint64_t *decided;          /* [E + 1] of those, where the policy alone decided */
    double   *probability;      /* [E + 1] summed */
    double    macs_share;       /* summed */
    uint64_t  cut;              /* by a deadline */
} ln__counts;

/* One row, stage by stage. */
typedef struct ln__steps {
    bool            open;
    uint32_t        next;       /* stage; n_stages: the row has reached the end */
    double          seconds;    /* spent in ln_steps_next */
    float          *logits;     /* [classes] of the last step */
    ln_result       result;
    ln__run_request request;
} ln__steps;

struct ln_session {
    ln_model       *model;
    ln__ctx         ctx;
    ln__runnable    own;        /* engine NULL: uses the model's shared one */
    const ln__runnable *runnable;
    ln__rule        rule;
    bool            chained;    /* heads build on the answers of exits before */
    uint32_t        max_rows, threads;
    ln__lane       *split;      /* splits a row over all threads; NULL with one thread */
    ln__lane       *lanes;      /* one-thread workers */
    uint32_t        n_lanes;
    ln__pool       *workers;    /* NULL with one lane */
    float          *picture;    /* [C][H][W] for ln_infer_image */
    ln__counts       counts;
    ln__steps       steps;
    /* of the running call */
    const ln__run_request *request;
    atomic_size_t   next_row;
    size_t          group_now;
};

ln_status ln__lane_init(ln__lane *lane, ln_session *session, uint32_t threads, int64_t group, ln_error *err);
void      ln__lane_free(ln__lane *lane);
/* Answers rows of session->request until none are left; the outcome is lane->status. */
void      ln__lane_work(ln__lane *lane);
/* Stage s for the one row of session->request; the outcome is lane->status. */
void      ln__lane_step(ln__lane *lane, int32_t s);
/* Drops the rows that still wait. */
void      ln__lane_forget(ln__lane *lane);
/* The largest plan that takes at most so many rows: size 1 << index. */
int32_t   ln__lane_size_index(int64_t rows);

/* ---- Time: pace.c ------------------------------------------------------------------------ */

void      ln__pace_note(ln__pace *pace, double seconds);
/* Seconds that stage s and what follows it up to an answer is expected to take for so many rows. */
double    ln__lane_expect(const ln__lane *lane, int32_t s, size_t rows);
/* Whether the rows at exit s may go on (the last of pools[s + 1]). */
bool      ln__lane_affords(ln__lane *lane, int32_t s, int64_t rows);
bool      ln__lane_is_paced(const ln__lane *lane);    /* every stage has run */
/* What one of these equal lanes knows and another does not. */
void      ln__lanes_share_pace(ln__lane *lanes, uint32_t n);

/* ---- Counting: counters.c ----------------------------------------------------------------- */

ln_status ln__counts_init(ln_session *session, ln_error *err);
void      ln__counts_free(ln_session *session);
/* Where `rows` rows of training left [E + 1], with what the session is set to; NULL where the model does not say. */
const double *ln__session_expected(const ln_session *session, uint32_t *rows);
const double *ln__point_expected(const ln__point *point, uint32_t *rows);
void      ln__counts_note(ln_session *session, const ln__run_request *request);

/* The lane that answers a single row. */
ln__lane *ln__session_lane(ln_session *session);
ln_status ln__session_check_input(const ln_session *session, const float *input, size_t n, ln_error *err);

#endif
