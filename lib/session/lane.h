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
    float      *answers;        /* [classes] */
    ln_error    error;
    ln_status   status;
} ln__lane;

struct ln_session {
    ln_model       *model;
    ln__ctx         ctx;
    ln__runnable    own;        /* engine NULL: uses the model's shared one */
    const ln__runnable *runnable;
    const ln__gates *gates;     /* NULL: no operating point */
    int64_t         point;
    bool            untrained;
    uint32_t        max_rows, threads;
    ln__lane       *split;      /* splits a row over all threads; NULL with one thread */
    ln__lane       *lanes;      /* one-thread workers */
    uint32_t        n_lanes;
    ln__pool       *workers;    /* NULL with one lane */
    float          *picture;    /* [C][H][W] for ln_infer_image */
    double         *macs_share; /* [E + 1] at the point */
    /* of the running call */
    const ln__run_request *request;
    atomic_size_t   next_row;
    size_t          group_now;
};

ln_status ln__lane_init(ln__lane *lane, ln_session *session, uint32_t threads, int64_t group, ln_error *err);
void      ln__lane_free(ln__lane *lane);
/* Answers rows of session->request until none are left; the outcome is lane->status. */
void      ln__lane_work(ln__lane *lane);

#endif
