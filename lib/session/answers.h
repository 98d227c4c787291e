/* answers.h - every exit's answer to every row, recorded once. Private to session/. */
#ifndef LN_ANSWERS_H
#define LN_ANSWERS_H

#include "session/session.h"

/* All arrays have room for as many rows as the data set has; `rows` are in use. */
struct ln_answers {
    ln__ctx   ctx;
    ln_model *model;            /* held, and frozen as by a session */
    uint32_t  exits, classes, points;
    size_t    capacity, rows;
    bool     *among;            /* [classes] answers that compete when judging */
    int32_t  *label;            /* [rows] the true one, as the model numbers answers */
    size_t   *data_row;         /* [rows] */
    float    *logits[LN__MAX_EXITS + 1];    /* [rows][classes] */
    float    *gate;             /* [rows][points][exits] */
    int32_t  *given;            /* [rows][exits + 1] likeliest of all classes */
    int32_t  *choice;           /* [rows][exits + 1] likeliest of those that compete */
    float    *probability;      /* [rows][exits + 1] of `given` */
    double    time[LN__MAX_EXITS + 1];      /* leaving there, as a share of the plain network's time */
};

/* Where a row leaves under some rule. */
typedef uint32_t (*ln__leave_fn)(const ln_answers *answers, size_t row, float *gate, const void *payload);

#endif
