/* report.h - what `leenet report` has found out, and the parts of its page. */
#ifndef LEENET_REPORT_H
#define LEENET_REPORT_H

#include "html.h"

enum { REPORT_BINS = 10, REPORT_MOST_CURVES = 12 };

/* A setting of a policy, or an operating point. */
typedef struct report_place { size_t number; double time, macs, accuracy; } report_place;

/* One rule at several settings, by rising time. */
typedef struct report_curve {
    char          name[32];
    size_t        count;
    report_place *place;
} report_curve;

typedef struct report_bin { uint64_t rows, right; double confidence; } report_bin;

/* How well an exit's confidence tells how often it is right. */
typedef struct report_calibration {
    report_bin bin[REPORT_BINS];
    double     error;           /* expected calibration error, all rows */
    double     error_left;      /* of the rows that left there; NaN if none */
    double     accuracy, confidence;    /* of all rows */
} report_calibration;

typedef struct report {
    const char  *model_path, *data_spec;
    ln_model    *model;
    ln_data     *data;
    ln_answers  *answers;
    uint32_t     exits, classes, pictures;
    size_t       rows;
    bool         targeted;      /* rows leave as the setting says that the target leads to */
    ln_target    target;
    ln_setting   setting;
    int32_t      policy;        /* by which rows leave */
    int64_t      point;         /* else this operating point; -1: none, every row runs to the end */
    int32_t      focus;         /* class whose pictures are shown, -1: all */
    ln_result   *results;       /* [rows] */
    ln_evaluation at;
    ln_exit_share *shares;      /* [exits + 1] */
    uint32_t    *left, *right;  /* [exits + 1][classes] by true class */
    uint32_t    *of_class;      /* [classes] rows */
    uint32_t    *plain_right;   /* [classes] */
    double      *cost_time, *cost_macs;     /* [exits + 1] of leaving there, of the plain network */
    report_calibration *calibration;        /* [exits + 1] */
    report_curve curve[REPORT_MOST_CURVES];
    size_t       n_curves;
} report;

/* report_count.c */
void report_count(report *r);
bool report_leaves_early(const report *r);      /* by a setting or an operating point */
int32_t report_given(const report *r, size_t row, float *probability);     /* where it left; probability may be NULL */
bool report_is_right(const report *r, size_t row);

/* report_page.c, report_charts.c, report_matrix.c, report_pictures.c */
int  report_write(const report *r, FILE *to);
void report_tradeoff(const report *r, FILE *to);
void report_reliability(const report *r, FILE *to);
void report_confusion(const report *r, FILE *to);
void report_classes(const report *r, FILE *to);
/* Names the exits that nothing leaves at, of this class or (-1) at all. */
void report_empty_exits(const report *r, int32_t label, FILE *to);
int  report_pictures(const report *r, FILE *to);

/* Colour of an exit, from the first to the network's end: "#rrggbb". */
typedef struct report_colour { char text[8]; } report_colour;
report_colour report_exit_colour(const report *r, uint32_t exit);

/* The class's name or its number. */
typedef struct report_name { char text[80]; } report_name;
report_name report_class_name(const report *r, int32_t label);
report_name report_exit_name(const report *r, uint32_t exit);   /* "Exit 2", "End" */

extern const char report_style[];       /* report_style.c */

#endif
