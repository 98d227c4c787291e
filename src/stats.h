/* stats.h - estimates with intervals, and pictures of them. */
#ifndef LEENET_STATS_H
#define LEENET_STATS_H

#include "tool.h"

typedef struct estimate { double mean, low, high; } estimate;

/* Means of the columns of values [rows][width] with their 95 % percentile bootstrap intervals. The same rows are
 * drawn for all columns, so a column of differences gives a paired interval. */
void bootstrap(estimate *out, const float *values, size_t rows, size_t width, uint32_t draws, uint64_t seed);

/* The line y = a + b ln(x) with least squares; r2 is the share of variance it explains. */
typedef struct log_line { double a, b, r2; } log_line;
log_line fit_log_line(const double *x, const double *y, size_t n);

void json_estimate(json *j, const char *key, const estimate *e);   /* as a member of the open object */

/* ---- Over budgets (cli_figures.c) ----------------------------------------------------------- */

/* NULL: twenty, evenly. TOOL_DONE or the exit code; `out` is the caller's to free in any case. */
int budgets_read(cli_list *out, const char *command, const char *text);

/* Where figures go: a CSV file, by itself or beside a picture. */
typedef struct figures {
    const char *command, *output, *csv;     /* the picture, the table; NULL: none */
    const char *read[4];                    /* files that they must not replace: model, SPECs, class map; NULL: none */
    void      (*write)(const void *of, FILE *to);
    void      (*plot)(const void *of, FILE *script);
    const void *of;
} figures;
/* Before long work, and after it: TOOL_DONE or the exit code. */
int figures_check(const figures *f);
int figures_save(const figures *f);

#define BUDGETS_OPTION(to)                                                                        \
    { CLI_TEXT, 0, "--budgets", "A,B...|FROM:TO:COUNT", &(to), 0, 0,                              \
      "shares of the plain network's cost (default: 0.05:1:20)" }

#define FIGURES_OPTIONS(s, silent)                                                                \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Output" },                                         \
    { CLI_TEXT, 0, "--csv", "FILE", &(s)->csv, 0, 0, "the figures as CSV (default: none; with -o beside the picture)" }, \
    { CLI_TEXT, 'o', "--output", "FILE.svg|.png", &(s)->output, 0, 0, "a picture, drawn by gnuplot (default: none)" }, \
    { CLI_FLAG, 0, "--json", NULL, &(s)->json, 0, 0, "JSON lines instead of tables" },            \
    { CLI_FLAG, 'q', "--quiet", NULL, &(silent), 0, 0, "no progress on standard error" }

/* ---- Pictures by gnuplot (cli_plot.c) ------------------------------------------------------ */

/* TOOL_DONE, or the exit code where `path` ends in neither .svg nor .png. */
int   plot_check(const char *command, const char *path);
/* A script to be written to; terminal and size are set. */
FILE *plot_begin(const char *path);
/* Draws it into `path`. Without gnuplot a note is all that comes of it: TOOL_DONE. */
int   plot_end(FILE *script, const char *command, const char *path);
/* `path` with its ending replaced by .csv; freed by the caller. */
char *plot_data_path(const char *path);

#endif
