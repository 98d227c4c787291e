/* data_private.h - the inside of ln_data, for the files of lib/data. */
#ifndef LN_DATA_PRIVATE_H
#define LN_DATA_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "data/data.h"

/* A whole file: mapped, or unpacked into memory where it is gzipped. */
typedef struct ln__blob {
    const uint8_t *bytes;
    size_t size;
    ln__file file;
    uint8_t *unpacked;
    uint64_t identity;          /* by ln__file_identity */
} ln__blob;
ln_status ln__blob_open(ln__blob *out, const ln__ctx *ctx, const char *path, ln_error *err);
void      ln__blob_close(ln__blob *blob, const ln__ctx *ctx);

/* One row of a source that is on disk. Names live in the data set's arena. */
typedef struct ln__row {
    const char *name;           /* for messages; of a folder's row also its path */
    const char *folder;         /* class folder, NULL where labels are numbers */
    const char *key;            /* what rows of a class are sorted by */
    uint64_t at, size;          /* its bytes, in blobs[blob] */
    uint32_t blob;
    int32_t  label;
} ln__row;

typedef ln_status (*ln__picture_fn)(const ln_data *data, size_t row, const ln__decode_limits *limits,
                                    ln__picture *out, ln_error *err);

/* Immutable once open, but for what `lock` guards. */
struct ln_data {
    ln__ctx ctx;
    atomic_uint holders;
    ln__arena arena;            /* names, class map */
    const char *source;         /* for messages */
    ln_data_options options;

    ln__row *rows;              /* NULL for arrays and callbacks */
    size_t count, capacity;
    ln__blob *blobs;
    size_t n_blobs, blob_capacity;

    const char **class_names;   /* arena; NULL: none */
    uint32_t classes;
    uint32_t *class_map;        /* arena; NULL: none given */
    bool map_all;

    ln__picture_fn picture;     /* NULL: rows are inputs, from `arrays` or `callback` */
    uint32_t height, width;     /* of a row that has no header of its own */
    ln_arrays arrays;
    ln_rows callback;

    pthread_mutex_t lock;       /* the callback; the fields below */
    bool has_lock;
    char **skipped;
    size_t n_skipped, skipped_capacity;
    uint8_t *is_skipped;        /* [count]; NULL without skip_bad */
};

/* A data set without rows; and the last step of every way to open one, which
 * frees it if anything failed. */
ln_status ln__data_new(ln_data **out, const char *source, const ln_data_options *options, ln_error *err);
ln_status ln__data_finish(ln_data **out, ln_data *data, ln_status st, ln_error *err);

/* The same for every path to a file; 0 where it is not there. */
uint64_t  ln__file_identity(const char *path);

ln_status ln__data_add_row(ln_data *data, const ln__row *row, ln_error *err);
ln_status ln__data_add_blob(ln_data *data, const char *path, uint32_t *index, ln_error *err);
/* Text in the arena; NULL and err filled where memory ran out. */
const char *ln__data_text(ln_data *data, ln_error *err, const char *format, ...) LN__PRINTF(3, 4);
/* Copies the names; NULL names are fine. */
ln_status ln__data_set_classes(ln_data *data, const char *const *names, uint32_t classes, ln_error *err);

/* Sorts the rows by folder and key, numbers the folders as classes (those of
 * the class map where there is one) and refuses names that are there twice. */
ln_status ln__data_number_folders(ln_data *data, ln_error *err);

/* Takes options.class_map ("FILE" or "FILE:all") in. ln__class_map_folders
 * takes the map's folders as the classes, before rows are numbered;
 * ln__class_map_numbers finds each class that is there already. */
ln_status ln__class_map_folders(ln_data *data, ln_error *err);
ln_status ln__class_map_numbers(ln_data *data, ln_error *err);

/* The row parts at the end of a source (":part=1/5:first=100"). */
enum { LN__PARTS_MOST = 16 };
typedef struct ln__part { enum { LN__PART, LN__PART_NOT, LN__PART_SHARE, LN__PART_FIRST, LN__PART_SKIP } kind; uint64_t k, m; } ln__part;
typedef struct ln__parts { ln__part part[LN__PARTS_MOST]; size_t count; } ln__parts;
/* Cuts them off `source` [its length, written to]. */
ln_status ln__parts_parse(ln__parts *out, char *source, ln_error *err);
ln_status ln__parts_apply(const ln__parts *parts, ln_data *data, ln_error *err);

/* The kinds of source: each fills rows, classes and `picture`. */
bool      ln__is_picture_name(const char *name);
ln_status ln__folder_open(ln_data *data, const char *path, ln_error *err);
ln_status ln__tar_open(ln_data *data, const char *path, ln_error *err);
ln_status ln__tar_index(ln_data *data, uint32_t blob, const char *path, ln_error *err);
ln_status ln__idx_open(ln_data *data, const char *path, ln_error *err);
ln_status ln__idx_index(ln_data *data, const ln__blob *labels, const char *path, const char *label_path,
                        ln_error *err);     /* of blobs[0] */
ln_status ln__cifar_open(ln_data *data, const char *folder, const char *const *paths, size_t count,
                         ln_error *err);

/* Notes that `row` was left out; `reason` begins with its name. */
ln_status ln__data_skip(ln_data *data, size_t row, const char *reason, ln_error *err);

/* ln__picture_fn of rows that lie in a blob as PNG or JPEG. */
ln_status ln__blob_picture(const ln_data *data, size_t row, const ln__decode_limits *limits,
                           ln__picture *out, ln_error *err);

#endif
