/* leenet.h - early-exit inference for trained image classifiers.
 *
 *   ln_model    an ONNX classifier, its exits (heads and gates) and its
 *               operating points.            One owner; frozen while in use.
 *   ln_data     a labelled data set.                     Read by any thread.
 *   ln_session  a model made runnable.                One thread at a time.
 *   ln_answers  every exit's answers to a data set.      Read by any thread.
 *
 * Shortest use (error checks left out; see examples/classify.c):
 *
 *     ln_model *model; ln_session *session; ln_result answer;
 *     ln_model_load(&model, "early.onnx", NULL, NULL);
 *     ln_session_open(&session, model, NULL, NULL);
 *     ln_image picture = LN_IMAGE_INIT;
 *     picture.path = "cat.jpg";
 *     ln_infer_image(session, &picture, &answer, NULL, NULL);
 *     printf("%s at exit %u\n", ln_model_class_name(model, answer.label), answer.exit);
 *
 * Rules that hold for every function here:
 *   - The status is the return value: 0 success, negative failure, positive
 *     success with something to know. Results come back through leading `out`
 *     pointers, which are set to NULL on failure; arrays to be filled may
 *     then hold anything.
 *   - The last parameter `err` may be NULL. It is the caller's, written only
 *     on failure; there is no hidden global or thread state.
 *   - Option pointers may be NULL: all defaults. An option struct is started
 *     with its _INIT macro; a field of zero (or NULL) means the default.
 *   - *_free(NULL) does nothing. `const char *` results belong to the object
 *     they came from and live as long as it does, unless said otherwise.
 *   - Tensors are float32, row-major, [n][channels][height][width].
 *   - Nothing here prints, exits, aborts on bad input, reads environment
 *     variables, or changes errno, locale or signal handlers. The libraries
 *     below have variables of their own: oneDNN prints if ONEDNN_VERBOSE is
 *     set, libjpeg reads JPEGMEM.
 *
 * Methods: Chemelli, Wong, Sanie, Mace, Small, Zacharis, "LEENet: Learned
 * Early Exit Network" (heads, gates and their loss); docs/methods.md.
 */
#ifndef LEENET_LEENET_H
#define LEENET_LEENET_H

#include <stddef.h>
#include <stdint.h>

/* ---- Version (see docs/abi.md) ------------------------------------------ */

#define LN_VERSION_MAJOR 0
#define LN_VERSION_MINOR 1
#define LN_VERSION_PATCH 0
#define LN_VERSION_NUMBER \
    (LN_VERSION_MAJOR * 10000 + LN_VERSION_MINOR * 100 + LN_VERSION_PATCH)

/* ---- Linkage ------------------------------------------------------------ */

#if defined(__GNUC__) && __GNUC__ >= 4
#  define LN_API __attribute__((visibility("default")))
#  define LN_MUST_CHECK __attribute__((warn_unused_result))
#else
#  define LN_API
#  define LN_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The library in use at run time: LN_VERSION_NUMBER of its build, "0.1.0", and
 * what it was built with ("oneDNN 2.6.0, ..."). Any thread. */
LN_API uint32_t    ln_lib_version_number(void);
LN_API const char *ln_lib_version(void);
LN_API const char *ln_lib_backend(void);

/* ---- Errors ------------------------------------------------------------- */

/* Values are permanent. X(name, value, text): enum, names and docs/status.md
 * come from this one table. */
#define LN_STATUS_MAP(X)                                                       \
    X(OK,             0, "success")                                            \
    X(DEADLINE,       1, "stopped at the deadline; the answer is valid")       \
    X(UNCERTIFIED,    2, "not enough rows to certify; thresholds left safe")   \
    X(SKIPPED,        3, "some pictures could not be read and were left out")  \
    X(E_NOMEM,       -1, "out of memory")                                      \
    X(E_ARGUMENT,    -2, "argument out of range")                              \
    X(E_IO,          -3, "file could not be read or written")                  \
    X(E_FORMAT,      -4, "file is damaged or of the wrong kind")               \
    X(E_UNSUPPORTED, -5, "uses something this library does not do")            \
    X(E_MISMATCH,    -6, "things that do not belong together")                 \
    X(E_LIMIT,       -7, "a limit was reached")                                \
    X(E_CANCELLED,   -8, "stopped on request")                                 \
    X(E_BACKEND,     -9, "oneDNN reported an error")                           \
    X(E_CALLBACK,   -10, "a callback reported an error")                       \
    X(E_STATE,      -11, "not possible in the object's present state")

enum {
#define LN_X(name, value, text) LN_##name = value,
    LN_STATUS_MAP(LN_X)
#undef LN_X
    LN_STATUS_RESERVED_ = -32768
};
typedef int32_t ln_status;      /* not an enum: its size must never vary */

typedef struct ln_error {       /* owned by the caller; frozen at 512 bytes */
    ln_status status;
    int32_t   detail;           /* errno, oneDNN status or ONNX node index; 0 if none */
    char      text[504];        /* one English sentence, always terminated */
} ln_error;

LN_API const char *ln_status_name(ln_status status);   /* "LN_E_FORMAT"; "?" if unknown */
LN_API const char *ln_status_text(ln_status status);

/* ---- Memory, messages, progress ----------------------------------------- */

/* Every byte the library takes comes from here, except what oneDNN, OpenMP,
 * libjpeg and mapped files take themselves (docs/memory.md). alloc returns
 * memory aligned to `align` (a power of two) or NULL; release gets the size
 * asked for. Both are called from several threads at once. */
typedef struct ln_allocator {
    void *(*alloc)(size_t size, size_t align, void *payload);
    void  (*release)(void *ptr, size_t size, void *payload);
    void   *payload;
} ln_allocator;

enum { LN_LOG_WARNING = 1, LN_LOG_INFO = 2 };

/* Called from the thread that called the library. `text` is one line without
 * a newline, valid during the call. */
typedef void (*ln_log_fn)(int32_t level, const char *text, void *payload);

/* What a long call is doing. Frozen at the fields below; new ones are appended. */
typedef struct ln_progress {
    size_t      struct_size;
    const char *stage;          /* "tune", "features", "place", "head", "final", "gates", "calibrate", "evaluate" */
    uint32_t    exit;           /* for "head", "place" (which candidate), "gates" that learn one by one; else 0 */
    uint32_t    point;          /* for "gates": which operating point, else 0 */
    uint32_t    epoch;          /* 1..epochs, or the fits of a linear gate on statistics; 0 where there are none */
    uint32_t    epochs;
    uint64_t    done;           /* rows or steps of this stage done ... */
    uint64_t    total;          /* ... of so many */
    double      loss;           /* of the rows learned from, while they were, mean over the models of a cross-fitting; NaN where there is none */
    double      validation;     /* loss on rows held out; NaN where there is none */
    double      accuracy;       /* on rows held out, 0..1; NaN where there is none */
    double      rows_per_second;/* NaN where no rows are counted */
    double      seconds_left;   /* of this stage; NaN if unknown */
    uint64_t    cache_bytes;    /* for "features": what they take, said before any of it is taken or a row is read ... */
    uint64_t    disk_bytes;     /* ... so much of it at most in a file ... */
    const char *cache_folder;   /* ... here; NULL where none of it is */
} ln_progress;

/* Called from the thread that called the library, at most some tens of times
 * a second and at the end of each epoch. Non-zero stops the call cleanly: it
 * returns LN_E_CANCELLED. */
typedef int (*ln_progress_fn)(const ln_progress *progress, void *payload);

/* ---- Pictures ----------------------------------------------------------- */

enum { LN_ORDER_RGB = 0, LN_ORDER_BGR = 1 };

/* From picture to network input: scale the shorter side to `resize`
 * (antialiased bilinear), take the centre crop, reorder the channels, then per
 * channel (p * scale - mean) / std with p in 0..255; mean and std in the
 * network's channel order. Stored in the model. A network of one channel gets
 * the picture's luma (ITU-R BT.601). */
typedef struct ln_preprocess {
    size_t   struct_size;
    uint32_t resize;            /* pixels of the shorter side; 0: the crop's longer side */
    uint32_t crop_height;       /* 0: the network's input height */
    uint32_t crop_width;        /* 0: the network's input width */
    int32_t  order;             /* LN_ORDER_RGB, LN_ORDER_BGR */
    double   scale;             /* 0: 1/255 */
    double   mean[4];
    double   std[4];            /* 0: 1 */
} ln_preprocess;
#define LN_PREPROCESS_INIT \
    { sizeof(ln_preprocess), 0, 0, 0, LN_ORDER_RGB, 0.0, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } }

/* Fills *out with a usual set: "torch" (RGB, 1/255, ImageNet mean and std),
 * "tf" (RGB, -1..1), "caffe" (BGR, 0..255 less 103.939, 116.779, 123.68),
 * "raw" (RGB, 0..255). LN_E_ARGUMENT for another name. */
LN_API LN_MUST_CHECK ln_status
ln_preprocess_preset(ln_preprocess *out, const char *name, ln_error *err);

/* One picture: a file, or PNG or JPEG bytes in memory (path NULL). */
typedef struct ln_image {
    size_t      struct_size;
    const char *path;
    const void *bytes;
    size_t      size;
} ln_image;
#define LN_IMAGE_INIT { sizeof(ln_image), NULL, NULL, 0 }

/* ---- Model -------------------------------------------------------------- */

typedef struct ln_model ln_model;

typedef struct ln_load_options {
    size_t              struct_size;
    const ln_allocator *allocator;      /* copied; NULL: malloc */
    ln_log_fn           log;            /* NULL: silent */
    void               *log_payload;
    uint64_t            max_file_bytes; /* 0: 2 GiB, ONNX's own limit */
    uint64_t            max_memory;     /* bytes one session's activations may take
                                           for a row; 0: 4 GiB */
} ln_load_options;
#define LN_LOAD_OPTIONS_INIT { sizeof(ln_load_options), NULL, NULL, NULL, 0, 0 }

/* Reads an ONNX classifier, with or without exits. One float input
 * [N,C,H,W] (N symbolic or 1); the first graph output, [N,classes] up to
 * trailing dimensions of 1, is its logits or probabilities. The file is mapped:
 * it may be replaced by renaming another over it while the model lives, but
 * must not be truncated in place.
 * LN_E_IO, LN_E_FORMAT, LN_E_UNSUPPORTED (text names the node and operator),
 * LN_E_LIMIT, LN_E_NOMEM. */
LN_API LN_MUST_CHECK ln_status
ln_model_load(ln_model **out, const char *path,
              const ln_load_options *options, ln_error *err);

/* As above from memory, which is copied. A model with external data files
 * cannot be read this way (LN_E_UNSUPPORTED). */
LN_API LN_MUST_CHECK ln_status
ln_model_load_memory(ln_model **out, const void *data, size_t size,
                     const ln_load_options *options, ln_error *err);

/* Writes the model, exits and operating points as an ONNX file that any ONNX
 * runtime can run (docs/format.md). The old file at `path`, if any, is
 * replaced only when the new one is complete and synced. External data is
 * written into the file. */
LN_API LN_MUST_CHECK ln_status
ln_model_save(const ln_model *model, const char *path, ln_error *err);

/* Gives up the caller's hold. Sessions opened on the model keep it alive. */
LN_API void ln_model_free(ln_model *model);

typedef struct ln_model_info {
    size_t      struct_size;
    const char *path;           /* "" if from memory */
    const char *producer;       /* "pytorch 1.13", "" if not said */
    const char *input_name;
    const char *output_name;
    uint32_t    channels, height, width;    /* of one input row */
    uint32_t    classes;        /* answers: of the data set once classes are set */
    uint32_t    network_classes;/* width of the network's own output */
    uint32_t    opset;
    uint32_t    nodes;          /* operators in the backbone */
    uint32_t    exits;          /* E */
    uint32_t    points;         /* P, operating points */
    uint32_t    default_point;  /* what sessions use unless the model has a target (ln_target_get_default) */
    uint32_t    tuned;          /* 1: measured kernel choices are stored */
    uint64_t    params;         /* backbone, numbers */
    uint64_t    macs;           /* backbone, multiply-adds a row */
} ln_model_info;
#define LN_MODEL_INFO_INIT \
    { sizeof(ln_model_info), NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Fills what fits the caller's struct_size. */
LN_API ln_status ln_model_get_info(const ln_model *model, ln_model_info *out, ln_error *err);

LN_API uint32_t ln_model_exit_count(const ln_model *model);    /* E */
LN_API uint32_t ln_model_point_count(const ln_model *model);   /* P */
LN_API uint32_t ln_model_class_count(const ln_model *model);

/* The name of answer `label`; "" if it has none or is out of range. */
LN_API const char *ln_model_class_name(const ln_model *model, int32_t label);

/* The i-th kind of operator of the backbone and how many nodes have it, in
 * order of first use; NULL past the end. */
LN_API const char *ln_model_operator(const ln_model *model, uint32_t i, uint32_t *count);

LN_API ln_status ln_model_get_preprocess(const ln_model *model, ln_preprocess *out, ln_error *err);
LN_API LN_MUST_CHECK ln_status
ln_model_set_preprocess(ln_model *model, const ln_preprocess *preprocess, ln_error *err);

/* Says what the answers are. `names` [count], copied; NULL: no names.
 * `network_classes` [count]: answer i is the network's class
 * network_classes[i], the others are left out; NULL: the network's classes in
 * their order (count must be their number), or, when count differs, the last
 * linear layer is replaced by one for `count` classes, to be trained by
 * ln_exit_train. LN_E_STATE with exits already trained or a session open. */
LN_API LN_MUST_CHECK ln_status
ln_model_set_classes(ln_model *model, const char *const *names,
                     const uint32_t *network_classes, size_t count, ln_error *err);

/* ---- Data sets ---------------------------------------------------------- */

typedef struct ln_data ln_data;

typedef struct ln_data_options {
    size_t              struct_size;
    const ln_allocator *allocator;      /* copied; NULL: malloc */
    const char         *class_map;      /* "FILE" or "FILE:all": tab-separated lines folder,
                                           network class, more columns ignored. Rows of a class
                                           folder are judged among the network classes of the
                                           file (:all: among every class of the network) */
    uint32_t            skip_bad;       /* 1: leave out pictures that cannot be read */
    uint32_t            threads;        /* decoding threads; 0: as many as the machine has, at most 4 */
    uint64_t            max_pixels;     /* of one picture; 0: 100 million */
} ln_data_options;
#define LN_DATA_OPTIONS_INIT { sizeof(ln_data_options), NULL, NULL, 0, 0, 0 }

/* Opens `source`:
 *   a folder whose sub-folders are the classes (names sorted bytewise) and hold
 *   .png, .jpg, .jpeg files at any depth; a .tar, .tar.gz or .tgz of such a
 *   folder; an IDX image file of the MNIST family (plain or .gz; its label
 *   file is found beside it, "-images-idx3-" -> "-labels-idx1-"); a CIFAR
 *   binary batch (.bin) or a folder of them.
 * `:part=K/M` keeps the rows whose index within their class (names sorted
 * bytewise) is K modulo M, `:not=K/M` the others, `:share=K/M` K of every M rows
 * of each class, `:first=N` and `:skip=N` the first N rows or all but them; they
 * may be chained.
 * Pictures are decoded when rows are read. */
LN_API LN_MUST_CHECK ln_status
ln_data_open(ln_data **out, const char *source,
             const ln_data_options *options, ln_error *err);

/* Rows in the caller's arrays, which must outlive the data set. Exactly one of
 * pictures and inputs is given. */
typedef struct ln_arrays {
    size_t         struct_size;
    size_t         rows;
    const uint8_t *pictures;    /* [rows][height][width][channels], preprocessed as files are */
    const float   *inputs;      /* [rows][channels][height][width], fed as they are */
    uint32_t       channels;    /* pictures: 1 or 3 */
    uint32_t       height, width;
    const int32_t *labels;      /* [rows], 0..classes-1 */
    uint32_t       classes;
    const char *const *class_names; /* [classes]; NULL: none */
} ln_arrays;
#define LN_ARRAYS_INIT { sizeof(ln_arrays), 0, NULL, NULL, 0, 0, 0, NULL, 0, NULL }

LN_API LN_MUST_CHECK ln_status
ln_data_from_arrays(ln_data **out, const ln_arrays *arrays,
                    const ln_data_options *options, ln_error *err);

/* Fills `inputs` [count][channels][height][width] and `labels` [count] with
 * rows first..first+count-1, ready to be fed. Non-zero stops with
 * LN_E_CALLBACK. Called from one thread at a time, not always the same. */
typedef int (*ln_rows_fn)(size_t first, size_t count, float *inputs,
                          int32_t *labels, void *payload);

typedef struct ln_rows {
    size_t      struct_size;
    size_t      rows;
    uint32_t    channels, height, width;
    uint32_t    classes;
    ln_rows_fn  read;
    void       *payload;
    const char *const *class_names; /* [classes], copied; NULL: none */
} ln_rows;
#define LN_ROWS_INIT { sizeof(ln_rows), 0, 0, 0, 0, 0, NULL, NULL, NULL }

LN_API LN_MUST_CHECK ln_status
ln_data_from_callback(ln_data **out, const ln_rows *rows,
                      const ln_data_options *options, ln_error *err);

/* Objects that still read the data set (a model in training) keep it alive. */
LN_API void        ln_data_free(ln_data *data);
LN_API size_t      ln_data_rows(const ln_data *data);
LN_API uint32_t    ln_data_class_count(const ln_data *data);
LN_API const char *ln_data_class_name(const ln_data *data, uint32_t i); /* "" if none */
LN_API const char *ln_data_row_name(const ln_data *data, size_t row);   /* file name; "" if none */

/* *count: rows of `data` that `other` holds as well; *first (may be NULL): the
 * first of them. Rows are known by the files they lie in, whatever path those
 * were opened by; a file that is written anew is another one. Nothing is known of
 * arrays and callbacks, which have no row in common. */
LN_API LN_MUST_CHECK ln_status
ln_data_common(const ln_data *data, const ln_data *other, size_t *count, size_t *first, ln_error *err);

/* The i-th picture left out so far because of skip_bad, as "file: reason";
 * NULL past the end. Pictures are found bad when they are read. */
LN_API const char *ln_data_skipped(const ln_data *data, size_t i);

/* Rows first..first+count-1 as `model` wants them: inputs
 * [count][channels][height][width], labels [count] in the model's answers
 * (NULL allowed; -1 for a row left out by skip_bad, whose input is zeros, and
 * then LN_SKIPPED). */
LN_API LN_MUST_CHECK ln_status
ln_data_read(ln_data *data, const ln_model *model, size_t first, size_t count,
             float *inputs, int32_t *labels, ln_error *err);

/* ---- Exits -------------------------------------------------------------- */

enum {
    LN_HEAD_POOL = 0,       /* mean and maximum per channel and cell of a grid, standard deviation per channel,
                               covariance of every two of few channels
                               -> linear or hidden layer */
    LN_HEAD_FLATTEN = 1,    /* all activations -> linear (LEENet) */
    LN_HEAD_CONV = 2        /* two depthwise-separable 3x3 convolutions of stride 2 (one where the map's smaller side is below
                               8), mean and maximum per channel and cell -> linear or hidden layer. Values that are no maps
                               of 4 x 4 pixels or more are read as LN_HEAD_POOL does */
};

typedef struct ln_exit_candidate {  /* frozen: arrays of it cross the ABI */
    const char *value;          /* the ONNX value's name */
    uint32_t    channels, height, width;
    uint32_t    carried;        /* other values that jump over it */
    double      macs_share;     /* of the backbone, spent when it is known */
    double      params_share;
    uint64_t    reserved[2];
} ln_exit_candidate;

/* Where exits can go: ends of blocks, in order. Fills the first `capacity` of
 * `out`; *count is how many there are. */
LN_API LN_MUST_CHECK ln_status
ln_exit_candidates(const ln_model *model, ln_exit_candidate *out, size_t capacity,
                   size_t *count, ln_error *err);

typedef struct ln_exit_options {
    size_t   struct_size;
    int32_t  head;              /* LN_HEAD_POOL, LN_HEAD_FLATTEN, LN_HEAD_CONV */
    uint32_t hidden;            /* width of the hidden layer; LN_HEAD_POOL: 0: 256, 64 where it reads cells; LN_HEAD_CONV: 0: linear;
                                   UINT32_MAX: linear */
    uint32_t cells;             /* LN_HEAD_POOL: the grid is cells x cells; 0: 4 up to 64 channels, else 1; a number
                                   that does not divide the value's height and width becomes the next smaller that does.
                                   LN_HEAD_CONV: of what the convolutions make; 0: 2; cells that do not divide it overlap */
    uint32_t channels;          /* LN_HEAD_CONV: of the first convolution, at most 1024, the second has twice as many; 0: 64 */
    uint32_t covariance;        /* LN_HEAD_POOL: a head also reads how every two channels vary together, C (C - 1) / 2 numbers:
                                   0: up to 32 channels, 1: always, UINT32_MAX: never */
    uint32_t reserved;          /* 0 */
} ln_exit_options;
#define LN_EXIT_OPTIONS_INIT { sizeof(ln_exit_options), LN_HEAD_POOL, 0, 0, 0, 0, 0 }

/* Adds an exit behind the value of that name (any value of the network with a
 * row dimension). Exits are numbered by depth, whatever the order they were
 * added in. Operating points made before are dropped. */
LN_API LN_MUST_CHECK ln_status
ln_exit_add(ln_model *model, const char *value, const ln_exit_options *options, ln_error *err);

/* Adds `count` exits at candidates spread evenly by cost; at one with a quarter of the
 * channels of the candidates around it, or fewer, only if too few others are left. */
LN_API LN_MUST_CHECK ln_status
ln_exit_add_auto(ln_model *model, uint32_t count, const ln_exit_options *options, ln_error *err);

/* Removes all exits and operating points. */
LN_API LN_MUST_CHECK ln_status
ln_exit_clear(ln_model *model, ln_error *err);

typedef struct ln_exit_info {
    size_t      struct_size;
    const char *value;
    int32_t     head;
    uint32_t    hidden;         /* 0: linear */
    uint32_t    channels, height, width;
    uint32_t    trained;
    double      macs_share;     /* of the plain network: backbone up to here, heads and gates run on the way */
    double      params_share;
    double      heldout_accuracy; /* of the head, on rows held out of its training; 0 if untrained */
    uint32_t    cells;          /* of the grid's side */
    uint32_t    head_channels;  /* LN_HEAD_CONV: of the first convolution; else 0 */
    uint32_t    covariance;     /* 1: the head reads covariances */
    double      carry;          /* weight of the exit before's logits in this one's; 0: the head answers on its own */
} ln_exit_info;
#define LN_EXIT_INFO_INIT { sizeof(ln_exit_info), NULL, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0 }

LN_API ln_status ln_exit_get_info(const ln_model *model, uint32_t exit, ln_exit_info *out, ln_error *err);

/* ---- Training ----------------------------------------------------------- */

typedef struct ln_train_options {
    size_t         struct_size;
    uint64_t       seed;        /* same seed, build, machine and threads: same heads */
    uint32_t       threads;     /* 0: all */
    uint32_t       epochs;      /* of a head; 0: 20. The one best on rows held out is kept; at most 100000 */
    uint32_t       folds;       /* of cross-fitting, 2..100; 0: 10, or 5 with heads that are no LN_HEAD_POOL or below 20 rows */
    uint32_t       batch;       /* rows a step, at most 1024, LN_HEAD_CONV at least 8; 0: 64, linear LN_HEAD_FLATTEN without
                                   dropout 128 */
    double         learning_rate;   /* Adam; 0: 0.001, LN_HEAD_CONV 0.005, linear LN_HEAD_FLATTEN at most 8 / its inputs */
    double         weight_decay;    /* decoupled, times the learning rate; 0: 0.05; negative: none */
    uint64_t       max_memory;  /* bytes for cached features, more go to a file; 0: 4 GiB */
    const char    *cache_folder;/* where that file goes, LN_E_IO before a row is read if it has no room; NULL: /tmp */
    ln_progress_fn progress;
    void          *progress_payload;
    ln_data       *head_rows;   /* further rows that heads learn from, but are never judged on (a backbone may
                                   have seen them); NULL: none */
    uint32_t       augment;     /* further passes over the rows, each picture flipped, shifted, zoomed and recoloured
                                   at random; an epoch sees each row in one of its forms */
    uint32_t       unchained;   /* 0: what the exit before said is added to a head's answer, weighed so that the sum fits
                                   rows held out best; 1: every head answers on its own */
    double         label_smoothing; /* 0 to below 1 */
    double         dropout;     /* of what a head reads, 0 to below 1 */
    double         distill;     /* 0..1: weight of the network's own probabilities against the label */
} ln_train_options;
#define LN_TRAIN_OPTIONS_INIT \
    { sizeof(ln_train_options), 0, 0, 0, 0, 0, 0.0, 0.0, 0, NULL, NULL, NULL, NULL, 0, 0, 0.0, 0.0, 0.0 }

/* Trains every head (cross entropy, Adam) and, where ln_model_set_classes
 * replaced it, the last linear layer. The backbone runs once over `rows`; the
 * model keeps the features and the heads' out-of-fold answers for
 * ln_gate_train until it is freed or its exits, classes or preprocessing change.
 * If the data set's number of classes differs from the model's, classes are set
 * as by ln_model_set_classes. Operating points of heads trained before, and
 * those heads, go when the features are gathered; LN_E_CANCELLED after that
 * leaves the heads that were finished. LN_E_ARGUMENT if head_rows hold some of
 * `rows`, too. LN_E_STATE without exits or with a session open. */
LN_API LN_MUST_CHECK ln_status
ln_exit_train(ln_model *model, ln_data *rows, const ln_train_options *options, ln_error *err);

enum { LN_COST_TIME = 0, LN_COST_PARAMS = 1, LN_COST_MACS = 2 };

typedef struct ln_place_options {
    size_t         struct_size;
    const ln_exit_options *heads;   /* of the exits; NULL: the default */
    uint32_t       exits;       /* how many; 0: as many as pay */
    uint32_t       max_exits;   /* of those; 0: 8 */
    const double  *budgets;     /* [n_budgets], each 0..1: mean costs, as shares of the plain network's, that the */
    size_t         n_budgets;   /* exits shall serve alike; those that no exit can keep are left out; NULL: 0.25, 0.35 and 0.5 */
    int32_t        cost;        /* LN_COST_*: what budgets speak of */
    uint32_t       threads;     /* 0: all */
    uint32_t       epochs;      /* of the heads that are tried; 0: 10 */
    uint32_t       reserved;    /* 0 */
    uint64_t       seed;
    uint64_t       max_memory;  /* as in ln_train_options */
    const char    *cache_folder;
    ln_progress_fn progress;
    void          *progress_payload;
    ln_data       *head_rows;   /* as in ln_train_options */
} ln_place_options;
#define LN_PLACE_OPTIONS_INIT \
    { sizeof(ln_place_options), NULL, 0, 0, NULL, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL }

typedef struct ln_place {       /* frozen: arrays of it cross the ABI */
    const char *value;          /* the ONNX value's name */
    double      share;          /* of the plain network's cost, spent when it is known */
    double      head_share;     /* of the plain network's cost, added by a head there */
    double      accuracy;       /* of the head tried there, on rows it did not learn from */
    double      gain;           /* chosen: accuracy that would be missing without it, mean over the budgets; */
    uint32_t    chosen;         /* 1 where a budget could not be kept without it */
    uint32_t    reserved[3];
} ln_place;

/* Adds exits where they do most. The backbone runs once over `rows`, and a
 * small head (pooled statistics, linear) is cross-fitted at every candidate of
 * ln_exit_candidates; then the set is searched that loses least accuracy within
 * the budgets, by forward selection with exchange, its answers replayed with
 * one threshold on the heads' calibrated confidence. The heads' own cost
 * counts. Same seed and rows: same exits, unless the cost is time, which is
 * measured. Fills the first `capacity` of `out` (NULL with 0) with the
 * candidates by depth; *count (NULL allowed) is how many there are, at most
 * 63, evenly picked where the network has more. The exits are not trained; the
 * model keeps the rows' features for ln_exit_train, which then need not run the
 * backbone again if it is given the same data object, no rows beside it and no
 * augmentation.
 * LN_E_STATE if the model has exits. A failure leaves it without. */
LN_API LN_MUST_CHECK ln_status
ln_exit_place(ln_model *model, ln_data *rows, const ln_place_options *options,
              ln_place *out, size_t capacity, size_t *count, ln_error *err);

enum { LN_GATE_STATISTICS = 0,  /* reads the head's probabilities, margin, entropy, agreement */
       LN_GATE_FEATURES = 1,    /* reads the head's input (LEENet) */
       LN_GATE_BOTH = 2 };      /* reads one beside the other */
enum { LN_PRICE_ERROR = 0, LN_PRICE_CROSS_ENTROPY = 1 };  /* 1 for a wrong answer; LEENet's */

/* What gates learn; docs/methods.md. */
enum {
    LN_OBJECTIVE_INDUCTION = 0,     /* the LEENet loss, gate by gate from the last: does leaving here cost less than what the
                                       later gates decide? */
    LN_OBJECTIVE_LEENET = 1,        /* the LEENet loss, all gates together (LEENet) */
    LN_OBJECTIVE_RIGHT = 2,         /* the probability that the head is right */
    LN_OBJECTIVE_NO_REGRET = 3      /* the probability that it is right, or that no later exit is either */
};

typedef struct ln_gate_options {
    size_t         struct_size;
    const double  *alphas;      /* [n_alphas], each 0..1: weight of cost against being right; NULL: one, 0.5 */
    size_t         n_alphas;
    int32_t        input;       /* LN_GATE_* */
    uint32_t       hidden;      /* width of the hidden layer in each fold's gate, at most 4096; UINT32_MAX: linear;
                                   0: 16, but linear for gates on statistics unless LN_OBJECTIVE_LEENET teaches them */
    int32_t        cost;        /* LN_COST_*: what alpha weighs */
    int32_t        price;       /* LN_PRICE_*: what being wrong costs */
    double         threshold;   /* of every gate, which then says what it learned alone; 0: chosen on the rows of training */
    uint32_t       epochs;      /* of gates that learn by descent, at most 100000; the best on rows held out is kept; 0: 100 */
    uint32_t       threads;     /* 0: all */
    uint64_t       seed;
    uint32_t       same_rows;   /* 1: train on the heads' own rows without cross-fitting (LEENet's recipe) */
    int32_t        objective;   /* LN_OBJECTIVE_* */
    uint64_t       max_memory;  /* for features of other rows, as in ln_train_options */
    const char    *cache_folder;
    ln_progress_fn progress;
    void          *progress_payload;
} ln_gate_options;
#define LN_GATE_OPTIONS_INIT \
    { sizeof(ln_gate_options), NULL, 0, 0, 0, 0, 0, 0.0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL }

/* Trains the gates of all exits by the LEENet loss, one operating point per
 * alpha, added behind those there are:
 *   (1 - alpha) * mean sum_i p_i price_i + alpha * mean sum_i p_i cost_i,
 *   p_i = g_i * prod_{j<i} (1 - g_j), g_E = 1.
 * By default from the last gate to the first, each against what those behind it
 * decide; LN_OBJECTIVE_LEENET descends all gates together. A gate is the mean of
 * those that were fitted on the rows outside each of five folds. Linear gates on statistics
 * are fitted without descent, unless by LN_OBJECTIVE_LEENET: each is what the margin
 * log((1 + m) / (1 - m)) alone says, m the distance of the head's two largest probabilities,
 * and the other statistics as far as it suits rows held out (docs/methods.md). Gates by
 * LN_OBJECTIVE_INDUCTION or _LEENET that read statistics and have no threshold given are the
 * mean, before the sigmoid, of what they have learned and of the margin, the margin having
 * weight 0.3 beside gates fitted without descent, else 1.
 * With LN_OBJECTIVE_RIGHT and _NO_REGRET gates do not depend on alpha; only
 * their threshold does.
 * When `rows` is the data set the heads were trained on, their out-of-fold
 * answers are used; other rows are run through backbone and heads, which should
 * not have learned from them: LN_E_ARGUMENT if they have, unless same_rows is set
 * (of a model that was loaded nobody knows; the log then says so). The log also
 * tells of gates that do worse on rows held out than LN_POLICY_MARGIN would. The settings of LN_POLICY_GATE are
 * made anew: of these points and, where `rows` are the heads' own, those trained on them with
 * the same same_rows since the heads were trained. Points finished before a failure or a stop
 * stay. time_share, and cost unless it is PARAMS or MACS, are measured, so
 * those figures differ from run to run. */
LN_API LN_MUST_CHECK ln_status
ln_gate_train(ln_model *model, ln_data *rows, const ln_gate_options *options, ln_error *err);

typedef struct ln_point_info {
    size_t   struct_size;
    double   alpha;
    int32_t  cost;              /* LN_COST_* it was trained for */
    uint32_t rows;              /* rows behind the figures below, none seen by the heads that judged them
                                   unless ln_gate_options.same_rows was set */
    double   accuracy;          /* all 0..1, on those rows; shares are of the plain network */
    double   plain_accuracy;
    double   params_share, macs_share, time_share;
    int32_t  policy;            /* LN_POLICY_*; alpha is 0 for all but GATE */
    uint32_t moved;             /* 1: its thresholds are a setting's (ln_point_add_setting), not those its alpha asked for */
    int32_t  gate_input;        /* LN_GATE_*; -1: not GATE */
    int32_t  objective, price;  /* LN_OBJECTIVE_*, LN_PRICE_* that its gates learned by; -1: not GATE, or the file does
                                   not say and the two below are not known either */
    uint32_t gate_hidden;       /* width of the hidden layer in each fold's gate; 0: linear */
    uint32_t same_rows;         /* 1: its gates learned by ln_gate_options.same_rows from what the heads say on their
                                   own rows, and the figures are of those. 0 does not prove the opposite for rows
                                   that a loaded model's gates were given */
    uint32_t reserved;
} ln_point_info;
#define LN_POINT_INFO_INIT { sizeof(ln_point_info), 0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0 }

LN_API ln_status ln_point_get_info(const ln_model *model, uint32_t point, ln_point_info *out, ln_error *err);

/* The threshold t of exit i at that point: a row leaves when its gate > t. NaN if out of range. */
LN_API double ln_point_threshold(const ln_model *model, uint32_t point, uint32_t exit);

/* The point that sessions use unless told otherwise; a default target is dropped. */
LN_API LN_MUST_CHECK ln_status
ln_point_set_default(ln_model *model, uint32_t point, ln_error *err);

typedef struct ln_tune_options {
    size_t         struct_size;
    uint32_t       threads;     /* the model will run with; 0: 1 */
    uint32_t       reserved;    /* 0 */
    ln_progress_fn progress;
    void          *progress_payload;
} ln_tune_options;
#define LN_TUNE_OPTIONS_INIT { sizeof(ln_tune_options), 0, 0, NULL, NULL }

/* Measures which kernel and layout each convolution should use on this machine
 * (seconds) and stores the choice in the model. What is chosen by rule stays
 * unless something else is faster by more than what times vary by, so that
 * calls mostly agree; they need not. LN_E_CANCELLED leaves the model as it
 * was. */
LN_API LN_MUST_CHECK ln_status
ln_model_tune(ln_model *model, const ln_tune_options *options, ln_error *err);

/* ---- Policies ----------------------------------------------------------- */

/* A policy decides exits: it gives every row a score in 0..1 at each exit, and
 * the row leaves at the first exit whose score is above the threshold there.
 * LEENet's gates are one; the others decide on the same heads (docs/methods.md).
 * X(name, value, text). Values are permanent. */
#define LN_POLICY_MAP(X)                                                       \
    X(GATE,      0, "gate")      /* LEENet's learned gates */                  \
    X(MAX_PROB,  1, "max-prob")  /* the largest probability */                 \
    X(ENTROPY,   2, "entropy")   /* 1 - entropy / log classes (BranchyNet) */  \
    X(MARGIN,    3, "margin")    /* the two largest probabilities' distance */ \
    X(PATIENCE,  4, "patience")  /* exits in a row that agree (PABEE) */       \
    X(GEOMETRIC, 5, "geometric") /* max-prob, thresholds by quantiles of a geometric exit distribution (MSDNet) */ \
    X(EENET,     6, "eenet")     /* learned scores and schedule (EENet) */     \
    X(ENSEMBLE,  7, "ensemble")  /* max-prob of all exits so far taken together, which is also the answer (Zero Time Waste) */ \
    X(ORACLE,    8, "oracle")    /* leaves at the first right exit; evaluation only */

enum {
#define LN_X(name, value, text) LN_POLICY_##name = value,
    LN_POLICY_MAP(LN_X)
#undef LN_X
    LN_POLICY_RESERVED_ = -32768
};

LN_API const char *ln_policy_name(int32_t policy);  /* "max-prob"; NULL if unknown */

/* LN_E_ARGUMENT for an unknown name; the text lists those that are known. */
LN_API LN_MUST_CHECK ln_status
ln_policy_find(int32_t *out, const char *name, ln_error *err);

typedef struct ln_policy_options {
    size_t         struct_size;
    const int32_t *policies;    /* [n_policies] LN_POLICY_*, not GATE (ln_gate_train) and not ORACLE; NULL: all those */
    size_t         n_policies;
    int32_t        cost;        /* LN_COST_*: what a policy's settings are ordered by */
    uint32_t       threads;     /* 0: all */
    uint64_t       seed;
    uint64_t       max_memory;  /* for features of other rows, as in ln_train_options */
    const char    *cache_folder;
    ln_progress_fn progress;
    void          *progress_payload;
} ln_policy_options;
#define LN_POLICY_OPTIONS_INIT { sizeof(ln_policy_options), NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }

/* Gives the model one operating point of each of these policies, in place of the
 * one it had: what the policy learns, if anything, and its settings, found on
 * `rows` as ln_gate_train finds them (out-of-fold answers when they are the
 * heads' own rows). The point itself stands at the setting that spends nearest
 * to half of the cost. A point's number stays its own when it is replaced;
 * points that ln_point_add_setting made stay as they were. */
LN_API LN_MUST_CHECK ln_status
ln_policy_train(ln_model *model, ln_data *rows, const ln_policy_options *options, ln_error *err);

/* ---- Settings and targets ------------------------------------------------ */

/* A setting is one position of a policy's knob: an operating point, which gives
 * the scores, and a threshold for every exit. A policy's settings form a curve
 * that training leaves, by falling cost of the kind that was weighed (accuracy need
 * not fall with it): the first never leaves early and is the plain network,
 * since no head or gate runs there; the last leaves as early as it can. */
typedef struct ln_setting {
    size_t   struct_size;
    int32_t  policy;
    uint32_t index;             /* in the policy's curve */
    uint32_t point;             /* the operating point that gives the scores */
    uint32_t rows;              /* behind the next five, as in ln_point_info */
    double   accuracy, plain_accuracy;
    double   params_share, macs_share, time_share;  /* expected, of the plain network */
    uint32_t calibration_rows;  /* behind the next three; 0: ln_policy_calibrate was not called since */
    uint32_t lost;              /* right in the plain network, wrong here */
    uint32_t gained;            /* wrong in the plain network, right here */
    uint32_t changed;           /* another answer than the plain network's */
} ln_setting;
#define LN_SETTING_INIT { sizeof(ln_setting), 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0 }

/* Length of the policy's curve; 0: it was not trained. */
LN_API uint32_t  ln_setting_count(const ln_model *model, int32_t policy);
LN_API ln_status ln_setting_get(const ln_model *model, int32_t policy, uint32_t index,
                                ln_setting *out, ln_error *err);

/* Makes a setting an operating point too, behind those there are: a copy of the gates it stands
 * on, with its thresholds and what is expected of it; alpha is that of the gates, `moved` 1. *point
 * (may be NULL) is its number. The settings stay as they are; training anew leaves such points as
 * they were. LN_E_STATE if the policy was not trained, or with a session or answers open,
 * LN_E_ARGUMENT for an unknown policy or setting, LN_E_LIMIT for too many points (10,000). */
LN_API LN_MUST_CHECK ln_status
ln_point_add_setting(ln_model *model, int32_t policy, uint32_t index, uint32_t *point, ln_error *err);

typedef struct ln_calibrate_options {
    size_t         struct_size;
    uint32_t       threads;     /* 0: all */
    uint32_t       reserved;    /* 0 */
    uint64_t       max_memory;  /* as in ln_train_options */
    const char    *cache_folder;
    ln_progress_fn progress;
    void          *progress_payload;
} ln_calibrate_options;
#define LN_CALIBRATE_OPTIONS_INIT { sizeof(ln_calibrate_options), 0, 0, 0, NULL, NULL, NULL }

/* Counts, at every setting of every policy, what it loses and gains on rows
 * that neither heads nor gates have learned from; files among them that they
 * learned from since the model was loaded give LN_E_ARGUMENT. Targets with
 * max_drop rest on these counts. Counts of an earlier call are replaced.
 * LN_SKIPPED if pictures were left out; LN_E_STATE without settings or with a session open. */
LN_API LN_MUST_CHECK ln_status
ln_policy_calibrate(ln_model *model, ln_data *rows, const ln_calibrate_options *options, ln_error *err);

enum { LN_AGAINST_LABELS = 0,   /* accuracy lost against the plain network */
       LN_AGAINST_PLAIN = 1 };  /* share of answers that differ from the plain network's */

typedef struct ln_target {
    size_t  struct_size;
    int32_t policy;             /* LN_POLICY_* */
    int32_t cost;               /* LN_COST_* that the budget speaks of, and "cheapest" */
    double  budget;             /* mean cost at most this share of the plain network's; 0: not asked */
    double  max_drop;           /* at most so many points of accuracy lost (0.5: half a point), or of
                                   answers changed; negative: not asked.
                                   0 asks for no loss at all: start with LN_TARGET_INIT */
    double  confidence;         /* that max_drop holds, 0.5..0.999; 0: 0.95 */
    int32_t against;            /* LN_AGAINST_* */
    uint32_t reserved;          /* 0 */
} ln_target;
#define LN_TARGET_INIT { sizeof(ln_target), LN_POLICY_GATE, LN_COST_TIME, 0.0, -1.0, 0.0, LN_AGAINST_LABELS, 0 }

/* The setting that a target leads to. With a budget, the most accurate one
 * expected to keep it, judged with those of near cost, the cheapest of equal ones;
 * with max_drop, the cheapest one certified, by a test that is valid for any number
 * of rows (docs/methods.md); with both, the most accurate certified one that keeps
 * the budget. LN_UNCERTIFIED: the calibration rows do not allow it. *out is then
 * the setting that never leaves early and *rows_needed (may be NULL) says about how
 * many rows would do if they behaved as those there are; UINT64_MAX: the loss is
 * too near to max_drop, or above.
 * LN_E_ARGUMENT if no setting keeps the budget, LN_E_STATE without settings. */
LN_API LN_MUST_CHECK ln_status
ln_target_resolve(const ln_model *model, const ln_target *target, ln_setting *out,
                  uint64_t *rows_needed, ln_error *err);

/* The target that sessions use unless told otherwise, kept when the model is
 * saved. NULL: none, the default point again. Training that policy anew drops
 * it. LN_E_ARGUMENT, LN_E_STATE as ln_target_resolve, or with a session open. */
LN_API LN_MUST_CHECK ln_status
ln_target_set_default(ln_model *model, const ln_target *target, ln_error *err);
/* LN_E_STATE if the model has none. */
LN_API LN_MUST_CHECK ln_status
ln_target_get_default(const ln_model *model, ln_target *out, ln_error *err);

/* ---- Inference ---------------------------------------------------------- */

typedef struct ln_session ln_session;

typedef struct ln_session_options {
    size_t   struct_size;
    uint32_t max_rows;          /* most rows of one call; 0: 1 */
    uint32_t threads;           /* 0: 1 */
    uint32_t use_point;         /* 1: `point` below, 0: the model's default */
    uint32_t point;
    const ln_target *target;    /* what to choose the setting by; NULL: `point`, or the model's default,
                                   a target if it has one */
} ln_session_options;
#define LN_SESSION_OPTIONS_INIT { sizeof(ln_session_options), 0, 0, 0, 0, NULL }

/* Builds every plan the session will need; answering builds and allocates
 * nothing. The model is kept alive and frozen: changing it gives LN_E_STATE.
 * A model without exits or operating points runs to its end. LN_UNCERTIFIED if
 * the target could not be certified: the session is open and answers as the
 * plain network, at its cost.
 * LN_E_STATE if exits are not trained yet. */
LN_API LN_MUST_CHECK ln_status
ln_session_open(ln_session **out, ln_model *model,
                const ln_session_options *options, ln_error *err);
LN_API void ln_session_free(ln_session *session);

/* Moves an open session to another operating point. */
LN_API LN_MUST_CHECK ln_status
ln_session_set_point(ln_session *session, uint32_t point, ln_error *err);

/* Moves it to what the target leads to, as ln_target_resolve says. */
LN_API LN_MUST_CHECK ln_status
ln_session_set_target(ln_session *session, const ln_target *target, ln_error *err);

/* Moves it to a setting. */
LN_API LN_MUST_CHECK ln_status
ln_session_set_setting(ln_session *session, int32_t policy, uint32_t index, ln_error *err);

/* The setting in use; LN_E_STATE if an operating point itself, or none, is. */
LN_API ln_status ln_session_get_setting(const ln_session *session, ln_setting *out, ln_error *err);

typedef struct ln_result {  /* frozen at 32 bytes: arrays of it cross the ABI */
    int32_t  label;
    uint32_t exit;              /* 0..E-1 by depth; E: the network's own end */
    float    probability;       /* of the label, from the answering head's softmax */
    float    gate;              /* of the exit it left at; 1 at the end */
    float    macs_share;        /* spent, of the plain network */
    uint32_t reserved[3];       /* zero */
} ln_result;

/* Classifies n rows (1..max_rows) of input [n][C][H][W]; each leaves as soon as
 * its gate allows. `logits` [n][classes] gets the answering head's, or NULL.
 * No allocation. A row's answer does not depend on the rows beside it. A row
 * with NaN or infinity in it gives LN_E_ARGUMENT and no results. */
LN_API LN_MUST_CHECK ln_status
ln_infer_early(ln_session *session, const float *input, size_t n,
               ln_result *results, float *logits, ln_error *err);

/* As above through the whole network, no gate asked. */
LN_API LN_MUST_CHECK ln_status
ln_infer_full(ln_session *session, const float *input, size_t n,
              ln_result *results, float *logits, ln_error *err);

/* One picture, preprocessed as the model says. Decoding allocates. */
LN_API LN_MUST_CHECK ln_status
ln_infer_image(ln_session *session, const ln_image *image,
               ln_result *result, float *logits, ln_error *err);

/* ln_infer_early, and done in about deadline_ms from now (any sign; infinity:
 * no deadline): a stage is started only if it is expected to end in time.
 * LN_DEADLINE if a row was stopped that its gate would have let go on: its
 * answer is that of the deepest exit it reached, and its `gate` is not above
 * the threshold. LN_OK if the gates or the network's end answered. The first
 * exit is computed however late it is; what has been started is not broken off.
 * Several rows share the time evenly. Without operating point only time stops.
 * What stages take is estimated from every call the session makes; where some
 * have not run yet, this call runs them four times before its clock starts, so
 * let ln_session_measure with that many rows come first where that matters. */
LN_API LN_MUST_CHECK ln_status
ln_infer_deadline(ln_session *session, const float *input, size_t n, double deadline_ms,
                  ln_result *results, float *logits, ln_error *err);

/* One row, exit by exit, for a program that decides itself when to stop:
 *
 *     ln_step step = LN_STEP_INIT;
 *     ln_steps_begin(session, input, &err);
 *     while (ln_steps_next(session, &step, &err) == LN_OK && !step.leaves && worth_it(&step))
 *         ;
 *     ln_steps_end(session);
 */
typedef struct ln_step {
    size_t       struct_size;
    uint32_t     exit;          /* 0..E-1 by depth; E: the network's own end */
    int32_t      label;
    float        probability;   /* of the label, from this exit's softmax */
    float        gate;          /* 1 at the end; 0 without operating point */
    uint32_t     leaves;        /* 1: the session's own policy would answer here */
    uint32_t     reserved;
    double       macs_share;    /* spent so far, of the plain network */
    double       ms;            /* spent so far in ln_steps_next */
    double       next_macs_share;   /* the next step costs this more; 0 at the end */
    double       next_ms;       /* and this much longer, by running estimates; 0: at the end or not known yet */
    const float *logits;        /* [classes], the session's; valid until its next call */
} ln_step;
#define LN_STEP_INIT { sizeof(ln_step), 0, 0, 0.0f, 0.0f, 0, 0, 0.0, 0.0, 0.0, 0.0, NULL }

/* `input` [C][H][W] must stay as it is until ln_steps_end. Until then every
 * other call that answers, measures or changes the operating point of this
 * session gives LN_E_STATE, and so does ln_steps_begin. Nothing is allocated. */
LN_API LN_MUST_CHECK ln_status
ln_steps_begin(ln_session *session, const float *input, ln_error *err);

/* Goes on to the next exit and answers there. LN_E_STATE without
 * ln_steps_begin or past the network's end; that and LN_E_ARGUMENT leave the
 * row as it is, any other failure ends it. */
LN_API LN_MUST_CHECK ln_status
ln_steps_next(ln_session *session, ln_step *out, ln_error *err);

/* Harmless when no row is under way. */
LN_API void ln_steps_end(ln_session *session);

typedef struct ln_stage_time {  /* frozen: arrays of it cross the ABI */
    double backbone_ms;         /* stage s of the plain network, for all rows */
    double head_ms;             /* head and gate of exit s; 0 for the last */
    double reserved[2];
} ln_stage_time;

/* Measures the stages for `rows` rows into out[0..E]: the shortest of `repeats` runs. */
LN_API LN_MUST_CHECK ln_status
ln_session_measure(ln_session *session, const float *input, size_t rows,
                   uint32_t repeats, ln_stage_time *out, ln_error *err);

/* ---- Counters ----------------------------------------------------------- */

typedef struct ln_exit_count {  /* frozen: arrays of it cross the ABI */
    uint64_t rows;              /* answered here */
    double   share;             /* 0..1 */
    double   probability;       /* mean of the labels'; 0 if none */
    double   expected;          /* share among the rows of training; NaN if the model does not say */
    uint64_t reserved[2];
} ln_exit_count;

/* Rows answered by ln_infer_early, ln_infer_image and ln_infer_deadline. */
typedef struct ln_counters {
    size_t         struct_size;
    uint64_t       rows;
    uint64_t       cut;         /* of those, stopped by a deadline */
    double         probability; /* means over the rows; 0 if none */
    double         macs_share;
    ln_exit_count *exits;       /* caller's [E+1], or NULL */
} ln_counters;
#define LN_COUNTERS_INIT { sizeof(ln_counters), 0, 0, 0.0, 0.0, NULL }

/* Since the session was opened or the counters were reset, which choosing
 * another operating point, setting or target does too. As every call on a session: one thread at
 * a time. */
LN_API ln_status ln_session_get_counters(const ln_session *session, ln_counters *out, ln_error *err);
LN_API void      ln_session_reset_counters(ln_session *session);

/* Do rows still leave where those of training did? *p_value is the probability
 * of exit shares as different as these, or more, if they come from the same
 * source (chi-squared test of homogeneity, thin exits taken together; 1 while
 * there are too few rows to tell). Small (0.001): what was measured or certified
 * at this operating point may no longer hold. Rows of ln_infer_deadline do not
 * count here. The test is meant for one look at a number of rows fixed
 * beforehand: who looks k times should ask for k times less, and start each
 * look with ln_session_reset_counters (docs/methods.md, Drift). LN_E_STATE
 * without operating point, or if the model does not hold the shares. */
LN_API LN_MUST_CHECK ln_status
ln_session_drift(const ln_session *session, double *p_value, ln_error *err);

/* ---- Evaluation --------------------------------------------------------- */

typedef struct ln_exit_share {  /* frozen: arrays of it cross the ABI */
    uint64_t rows;              /* that left here */
    double   share;             /* 0..1 */
    double   accuracy;          /* of those; 0 if none */
} ln_exit_share;

typedef struct ln_evaluation {
    size_t         struct_size;
    uint64_t       rows;        /* judged; pictures left out by skip_bad are not */
    double         accuracy, plain_accuracy;
    double         params_share, macs_share;    /* of the plain network */
    double         ms_per_row, plain_ms_per_row;/* wall clock, reading pictures excluded, interleaved */
    ln_exit_share *exits;       /* caller's [E+1], or NULL */
    double         time_share;  /* of the plain network: ms_per_row over plain_ms_per_row, or
                                   for replayed answers from the stages' measured times */
    double         drift;       /* ln_session_drift's p-value for these rows; NaN if the model does not hold
                                   the shares, and for replayed answers */
} ln_evaluation;
#define LN_EVALUATION_INIT { sizeof(ln_evaluation), 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, NULL, 0.0, 0.0 }

typedef struct ln_evaluate_options {
    size_t          struct_size;
    const uint32_t *points;     /* [n_points] operating points to judge; NULL: the session's */
    size_t          n_points;
    uint32_t        rows;       /* rows of one call; 0: 1; at most the session's max_rows */
    uint32_t        plain_only; /* 1: only the network without exits */
    ln_progress_fn  progress;
    void           *progress_payload;
} ln_evaluate_options;
#define LN_EVALUATE_OPTIONS_INIT { sizeof(ln_evaluate_options), NULL, 0, 0, 0, NULL, NULL }

/* Judges the session on labelled rows: one ln_evaluation per point in `out`
 * (one if plain_only). The plain network and every point run in turn on the
 * same rows. LN_SKIPPED if pictures were left out. */
LN_API LN_MUST_CHECK ln_status
ln_evaluate(ln_session *session, ln_data *data, const ln_evaluate_options *options,
            ln_evaluation *out, ln_error *err);

/* ---- Answers: recorded once, any rule replayed -------------------------- */

typedef struct ln_answers ln_answers;

typedef struct ln_answers_options {
    size_t         struct_size;
    uint32_t       threads;     /* 0: 1 */
    uint32_t       rows;        /* rows of one call; 0: 8 per thread */
    ln_progress_fn progress;
    void          *progress_payload;
} ln_answers_options;
#define LN_ANSWERS_OPTIONS_INIT { sizeof(ln_answers_options), 0, 0, NULL, NULL }

/* Runs every row through the whole network once and keeps what each exit's
 * head and each operating point's gate said: rows * (E + 1) * classes floats.
 * The model is kept alive and frozen until the answers are freed. Afterwards
 * the stages are timed for one row on one thread. LN_SKIPPED if pictures were
 * left out. LN_E_STATE if exits are not trained yet. */
LN_API LN_MUST_CHECK ln_status
ln_answers_collect(ln_answers **out, ln_model *model, ln_data *data,
                   const ln_answers_options *options, ln_error *err);
LN_API void ln_answers_free(ln_answers *answers);

/* Pictures left out by skip_bad are not among the rows. */
LN_API size_t ln_answers_rows(const ln_answers *answers);

/* The row's true label as the model numbers its answers; -1 if it has none or
 * the row is out of range. */
LN_API int32_t ln_answers_label(const ln_answers *answers, size_t row);

/* The row's index in the data set; SIZE_MAX if out of range. */
LN_API size_t ln_answers_data_row(const ln_answers *answers, size_t row);

/* [rows][classes] of that exit's head; exit E: the network's own output, which
 * is probabilities if it ends in a softmax. NULL if out of range. */
LN_API const float *ln_answers_logits(const ln_answers *answers, uint32_t exit);

/* The answer of that exit (E: the network's end) by which it is judged: the
 * likeliest of the classes that compete (all, unless a class map says
 * otherwise). *probability (may be NULL) is what the exit gives to it. -1 if
 * out of range. */
LN_API int32_t ln_answers_choice(const ln_answers *answers, uint32_t exit, size_t row,
                                 float *probability);

/* What leaving at that exit takes, as a share of the plain network's time, for
 * one row on one thread of this machine; NaN if out of range. */
LN_API double ln_answers_time_share(const ln_answers *answers, uint32_t exit);

/* What every row would have got at that setting of the policy: `results` [rows] as
 * ln_infer_early gives them, and their summary as ln_evaluate does but for the
 * clock's figures, which are 0. Either may be NULL. LN_POLICY_ORACLE has one
 * setting, 0: leave at the first exit that is right, else stay to the end. */
LN_API LN_MUST_CHECK ln_status
ln_answers_replay(const ln_answers *answers, int32_t policy, uint32_t index,
                  ln_result *results, ln_evaluation *out, ln_error *err);

/* As above at an operating point as it is. */
LN_API LN_MUST_CHECK ln_status
ln_answers_replay_point(const ln_answers *answers, uint32_t point, ln_result *results,
                        ln_evaluation *out, ln_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LEENET_LEENET_H */
