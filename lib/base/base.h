/* base.h - what every room stands on: memory, errors, text, files, random
 * numbers, threads. Knows nobody. */
#ifndef LN_BASE_H
#define LN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "leenet/leenet.h"

#define LN__COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LN__MIN(a, b) ((a) < (b) ? (a) : (b))
#define LN__MAX(a, b) ((a) > (b) ? (a) : (b))
#if defined(__GNUC__)
#  define LN__PRINTF(f, a) __attribute__((format(printf, f, a)))
#  define LN__INLINE static inline __attribute__((always_inline))
#else
#  define LN__PRINTF(f, a)
#  define LN__INLINE static inline
#endif
/* Loops over registers: left to itself, a compiler keeps arrays that it thinks too long to unroll in memory. */
#if defined(__clang__)
#  define LN__UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#  define LN__UNROLL _Pragma("GCC unroll 32")
#else
#  define LN__UNROLL
#endif

/* ---- Context: allocator and log, copied by value into every object ------- */

typedef struct ln__ctx {
    ln_allocator allocator;
    ln_log_fn    log;           /* NULL: silent */
    void        *log_payload;
} ln__ctx;

ln__ctx ln__ctx_make(const ln_allocator *allocator, ln_log_fn log, void *payload);
void    ln__log(const ln__ctx *ctx, int32_t level, const char *format, ...) LN__PRINTF(3, 4);

/* ---- Errors --------------------------------------------------------------- */

/* Fill err (may be NULL) and return `status`. Texts too long are cut with "...";
 * control characters and bytes that are not UTF-8 become '?'. */
ln_status ln__fail(ln_error *err, ln_status status, const char *format, ...) LN__PRINTF(3, 4);
ln_status ln__fail_errno(ln_error *err, ln_status status, int number,
                         const char *format, ...) LN__PRINTF(4, 5);
ln_status ln__fail_nomem(ln_error *err, const ln__ctx *ctx, size_t bytes);
/* Puts "prefix: " before the text already in err, whose status becomes this one, which is returned. */
ln_status ln__fail_prefix(ln_error *err, ln_status status, const char *format, ...) LN__PRINTF(3, 4);

/* Option structs (first member size_t struct_size). Copies the caller's over
 * `defaults`' size: a shorter one (older caller) is completed with zeros, a
 * longer one is refused if its tail is not zero. NULL gives all zeros. */
ln_status ln__options_copy(void *to, size_t to_size, const void *from,
                           const char *what, ln_error *err);
/* For structs we fill: whether the caller's goes on for at least so many bytes ... */
ln_status ln__info_check(const void *info, size_t least, const char *what, ln_error *err);
/* ... and copies min(sizes), keeps the caller's struct_size. */
ln_status ln__info_copy(void *to, const void *from, size_t from_size, const char *what, ln_error *err);

/* ---- Memory ---------------------------------------------------------------- */

/* Overflow-checked; false on overflow, *out untouched. */
bool ln__mul_size(size_t a, size_t b, size_t *out);
bool ln__add_size(size_t a, size_t b, size_t *out);

/* NULL if it cannot be had. 64-byte aligned. The size is kept before the block. */
void *ln__alloc(const ln__ctx *ctx, size_t size);
void *ln__calloc(const ln__ctx *ctx, size_t count, size_t size);   /* checked product, zeroed */
void *ln__array(const ln__ctx *ctx, size_t count, size_t size);    /* checked product */
void  ln__free(const ln__ctx *ctx, void *ptr);                     /* NULL is fine */
char *ln__strdup(const ln__ctx *ctx, const char *text);

/* Growable array: `*items` of `*count` used, `*capacity` had. False: no memory. */
bool ln__grow(const ln__ctx *ctx, void **items, size_t *capacity, size_t need, size_t item_size);
#define LN__RESERVE(ctx, items, capacity, need) \
    ln__grow((ctx), (void **)&(items), &(capacity), (need), sizeof *(items))

/* Many small things freed at once. Zero-initialise with ln__arena_init. */
typedef struct ln__arena {
    const ln__ctx *ctx;
    struct ln__arena_block *blocks;
    size_t total, limit;        /* bytes taken, most bytes it may take (0: no limit) */
    bool full;                  /* the limit has refused something */
} ln__arena;
void  ln__arena_init(ln__arena *arena, const ln__ctx *ctx, size_t limit);
void *ln__arena_alloc(ln__arena *arena, size_t size);              /* 16-byte aligned (64 from 4 KiB on); NULL: no memory or limit */
void *ln__arena_calloc(ln__arena *arena, size_t count, size_t size);
char *ln__arena_strndup(ln__arena *arena, const char *text, size_t length);
void  ln__arena_free(ln__arena *arena);                            /* leaves it usable, empty */

/* Name -> index, built once, in an arena. Names are not copied. */
typedef struct ln__map { ln__arena *arena; struct ln__map_slot *slots; size_t used, capacity; } ln__map;
void ln__map_init(ln__map *map, ln__arena *arena);
bool ln__map_put(ln__map *map, const char *name, int64_t index);   /* replaces; false: no memory */
int64_t ln__map_get(const ln__map *map, const char *name);         /* -1: absent */

/* ---- Text ------------------------------------------------------------------- */

/* A growing byte string. ok turns false when memory ran out; checked once at the end. */
typedef struct ln__buffer { const ln__ctx *ctx; uint8_t *data; size_t size, capacity; bool ok; } ln__buffer;
void ln__buffer_init(ln__buffer *buffer, const ln__ctx *ctx);
void ln__buffer_put(ln__buffer *buffer, const void *bytes, size_t size);
void ln__buffer_printf(ln__buffer *buffer, const char *format, ...) LN__PRINTF(2, 3);
void ln__buffer_free(ln__buffer *buffer);

/* Locale-independent, round-trip exact. parse: whole text must be used. */
void ln__format_double(char out[32], double value);
bool ln__parse_double(const char *text, double *out);
bool ln__parse_uint(const char *text, uint64_t *out);
bool ln__utf8_valid(const char *text, size_t length);
size_t ln__utf8_step(const unsigned char *s, size_t left);  /* bytes of the sequence at s; 0: not UTF-8 */
/* vsnprintf with a '.' in numbers whatever the locale. */
int ln__vformat(char *out, size_t size, const char *format, va_list args) LN__PRINTF(3, 0);

/* ---- Files ------------------------------------------------------------------ */

/* A file's bytes, mapped read-only. max_bytes 0: no limit (else LN_E_LIMIT). */
typedef struct ln__file { const uint8_t *data; size_t size; void *mapping; } ln__file;
ln_status ln__file_map(ln__file *out, const char *path, uint64_t max_bytes, ln_error *err);
void      ln__file_unmap(ln__file *file);

/* Writes a new file beside `path` (same folder, unique name), then syncs and
 * renames it over `path`. Until commit the old file is untouched; discard (or
 * commit after a failed write) removes the new one. */
typedef struct ln__writer { const ln__ctx *ctx; char *path, *temporary; int fd; uint8_t *block; size_t used; ln_status status; int error; } ln__writer;
ln_status ln__writer_open(ln__writer *out, const ln__ctx *ctx, const char *path, ln_error *err);
void      ln__writer_put(ln__writer *writer, const void *bytes, size_t size);  /* errors kept for commit */
ln_status ln__writer_commit(ln__writer *writer, ln_error *err);                /* frees in every case */
void      ln__writer_discard(ln__writer *writer);                              /* after open failed: harmless */

/* ---- Random numbers (PCG-XSH-RR 64/32, O'Neill 2014) -------------------------- */

typedef struct ln__rng { uint64_t state, stream; } ln__rng;
ln__rng  ln__rng_make(uint64_t seed, uint64_t stream);
uint32_t ln__rng_u32(ln__rng *rng);
uint32_t ln__rng_below(ln__rng *rng, uint32_t bound);      /* unbiased; bound > 0 */
double   ln__rng_double(ln__rng *rng);                     /* [0, 1) */
double   ln__rng_normal(ln__rng *rng);
void     ln__rng_shuffle(ln__rng *rng, uint32_t *items, size_t count);

/* ---- Threads and time --------------------------------------------------------- */

double   ln__now(void);                 /* seconds, monotonic */
double   ln__median(double *values, size_t n);  /* sorts them; n > 0 */
uint32_t ln__cpu_count(void);           /* that this process may use; at least 1 */

/* `count` workers asleep until run: run calls work(worker, payload) once on
 * each of workers 0..n-1 and returns when all are done; the caller is worker 0. */
typedef struct ln__pool ln__pool;
typedef void (*ln__work_fn)(uint32_t worker, void *payload);
ln_status ln__pool_new(ln__pool **out, const ln__ctx *ctx, uint32_t count, ln_error *err);
void      ln__pool_run(ln__pool *pool, uint32_t n, ln__work_fn work, void *payload);
/* All workers but the caller's begin, once they are done with what they were started on before; `payload` is theirs until the wait. */
void      ln__pool_start(ln__pool *pool, ln__work_fn work, void *payload);
void      ln__pool_wait(ln__pool *pool);
uint32_t  ln__pool_size(const ln__pool *pool);
void      ln__pool_free(ln__pool *pool);

#endif
