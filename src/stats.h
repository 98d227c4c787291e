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
