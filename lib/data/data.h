/* data.h - labelled data sets: where rows come from, and reading them decoded
 * ahead of the reader in threads. Reference-counted. */
#ifndef LN_DATA_H
#define LN_DATA_H

#include "base/base.h"
#include "image/image.h"

/* ln_data is the object of the public header; only lib/data sees inside. */

/* Behind the public functions of the same name; arguments are checked there. */
ln_status   ln__data_open(ln_data **out, const char *source, const ln_data_options *options, ln_error *err);
ln_status   ln__data_from_arrays(ln_data **out, const ln_arrays *arrays, const ln_data_options *options, ln_error *err);
ln_status   ln__data_from_callback(ln_data **out, const ln_rows *rows, const ln_data_options *options, ln_error *err);
void        ln__data_free(ln_data *data);           /* gives up one hold; NULL is fine */
ln_data    *ln__data_retain(ln_data *data);
size_t      ln__data_rows(const ln_data *data);
uint32_t    ln__data_class_count(const ln_data *data);
const char *ln__data_class_name(const ln_data *data, uint32_t i);
const char *ln__data_row_name(const ln_data *data, size_t row);
const char *ln__data_skipped(const ln_data *data, size_t i);

/* Class of a row in the data set's own numbering, 0..classes-1. May be -1 for
 * caller's callbacks, whose labels are known only when read. */
int32_t ln__data_label(const ln_data *data, size_t row);

/* The class map given at open: *network_classes [classes] per data class, *all
 * as asked. NULL array if none was given. */
const uint32_t *ln__data_class_map(const ln_data *data, bool *all);

/* Rows, known by the files they lie in. Of arrays and callbacks nothing is known: they are in no set. */
typedef struct ln__row_set { uint64_t *hash; size_t slots, count; } ln__row_set;    /* zeros: empty */
ln_status ln__row_set_copy(ln__row_set *out, const ln__row_set *from, const ln__ctx *ctx, ln_error *err);
void      ln__row_set_clear(ln__row_set *set, const ln__ctx *ctx);
ln_status ln__row_set_add(ln__row_set *set, const ln_data *data, const ln__ctx *ctx, ln_error *err);
/* How many of these are in it, and the first of them. */
size_t    ln__row_set_among(const ln__row_set *set, const ln_data *data, size_t *first);
ln_status ln__data_common(const ln_data *data, const ln_data *other, size_t *count, size_t *first, ln_error *err);

/* How rows are to be fed: network input and preprocessing (resolved; read only
 * where rows are pictures). Rows that bring inputs of their own (arrays,
 * callback) must have this shape: LN_E_MISMATCH says both. */
typedef struct ln__feed {
    uint32_t channels, height, width;
    ln_preprocess preprocess;
} ln__feed;

/* Rows first..first+count-1 in order, decoded ahead by threads of the reader
 * (by the caller's thread where nothing is gained: a single row, arrays of
 * inputs, callbacks).
 * One reader, one thread at a time; several readers on one data set are fine. */
typedef struct ln__reader ln__reader;
ln_status ln__reader_open(ln__reader **out, ln_data *data, const ln__feed *feed, size_t batch,
                          size_t first, size_t count, ln_error *err);
/* Next at most `batch` rows into inputs [n][C][H][W], labels [n] (data set's
 * classes), rows [n] (their index in the data set; NULL allowed). *n is 0 at
 * the end. Rows that cannot be read fail with their name (and so does every
 * later call), or with skip_bad are left out. */
ln_status ln__reader_next(ln__reader *reader, float *inputs, int32_t *labels, size_t *rows,
                          size_t *n, ln_error *err);
void ln__reader_close(ln__reader *reader);     /* at any moment; NULL is fine */

#endif
