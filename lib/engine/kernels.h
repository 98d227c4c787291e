/* kernels.h - our own loops over views: what oneDNN has no (good) kernel for.
 * A job is done in parts so that threads can share it. */
#ifndef LN_KERNELS_H
#define LN_KERNELS_H

#include "engine/engine.h"

/* A view walked by groups of channels: row, group, pixel, lane. */
typedef struct ln__grid {
    int64_t rows, channels, groups, lanes;  /* lanes: of a full group */
    int64_t row_step, group_step, pixel_step;
    int64_t pixels, block;
} ln__grid;
ln__grid ln__grid_of(const ln__view *view);

typedef struct ln__job {
    const float *x, *other;     /* other: second operand */
    float *y;
    ln__grid gx, gy;
    int64_t count;              /* floats, of flat kernels; a row's, of copies */
    int64_t x_step, y_step;     /* copies: from row to row */

    int32_t kind;               /* ln__unary, ln__binary or ln__reduce */
    float a, b;                 /* of the unary */
    bool swapped;               /* other op x instead of x op other */
    int64_t other_step, other_row;  /* channel operand: from channel group to group (0: one number), row to row */

    const float *scale, *shift; /* affine: padded to whole groups */
    bool post, clamped;         /* result goes through a unary; as limits where it is one */
    ln__unary post_kind;
    float post_a, post_b, low, high;

    int64_t kernel[3], stride[3], dilation[3], begin[3], end[3], in[3], out[3];  /* windows, always three */
    bool average, count_padding;
    int64_t channel_begin, channel_step;    /* of slices: y channel c is x channel begin + c*step */
    float fill;

    const void *weights;        /* [n][k], may be unaligned */
    const float *bias;          /* [n] or NULL */
    float alpha;
    int64_t m, n, k;

    /* Convolutions by tiles; weights as ln__tile_pack orders them, bias padded to whole groups. */
    int64_t edge;               /* outputs along a tile of Winograd's; 0: direct */
    const int64_t *at;          /* [blocks] from a place's first number to each block of channels it reads */
    int64_t blocks;
    int64_t chunk;              /* places (padded: output lines) between two passes over the weights */
    bool padded;                /* direct: the kernel reaches over the edges */
    int64_t plane;              /* floats of a channel block in scratch */
    float *scratch;
    int64_t scratch_floats;     /* of each part */
    const float *next;          /* weights that will be read after this step, to be asked for before it ends; or NULL */
} ln__job;

enum { LN__TILE_PLACES = 256 };     /* most of a chunk */
/* Channel blocks of the output are made in groups: of the widest there is, what is left by halves of that. */
static inline int64_t ln__tile_widest(int64_t lanes) { return lanes == 16 ? 4 : 2; }
static inline int64_t ln__tile_groups(int64_t blocks, int64_t lanes)
{
    int64_t widest = ln__tile_widest(lanes), left = blocks % widest;
    return blocks / widest + (left >> 1) + (left & 1);
}
/* Blocks of group g, the first of them in *block. */
static inline int64_t ln__tile_group(int64_t *block, int64_t blocks, int64_t lanes, int64_t g)
{
    int64_t widest = ln__tile_widest(lanes), whole = blocks / widest;
    if (g < whole) {
        *block = g * widest;
        return widest;
    }
    bool pair = blocks % widest >= 2 && g == whole;
    *block = pair ? whole * widest : blocks - 1;
    return pair ? 2 : 1;
}
/* From frequency to frequency of Winograd's scratch: an odd number of lines, or they would all fall into few sets of a cache. */
static inline int64_t ln__tile_step(int64_t blocks, int64_t chunk, int64_t lanes)
{
    return blocks * chunk * lanes + lanes;
}

typedef void (*ln__kernel)(const ln__job *job, int64_t part, int64_t parts);

void ln__kernel_copy(const ln__job *job, int64_t part, int64_t parts);      /* rows of `count` floats */
void ln__kernel_unary(const ln__job *job, int64_t part, int64_t parts);     /* flat; padding lanes zero again */
void ln__kernel_binary(const ln__job *job, int64_t part, int64_t parts);    /* flat, operands alike */
void ln__kernel_channel(const ln__job *job, int64_t part, int64_t parts);   /* x op a number a channel */
void ln__kernel_affine(const ln__job *job, int64_t part, int64_t parts);
void ln__kernel_pool(const ln__job *job, int64_t part, int64_t parts);
void ln__kernel_reduce(const ln__job *job, int64_t part, int64_t parts);    /* mean, sum, maximum over all pixels */
void ln__kernel_window(const ln__job *job, int64_t part, int64_t parts);    /* slices and constant padding */
void ln__kernel_dense(const ln__job *job, int64_t part, int64_t parts);     /* y[m][n] = alpha x[m][k] w[n][k] + bias */

void ln__kernel_direct(const ln__job *job, int64_t part, int64_t parts);    /* convolutions of all channels */
void ln__kernel_winograd(const ln__job *job, int64_t part, int64_t parts);  /* of those, 3x3 of stride 1 */

/* Sets post of a job from a unary; relu and clip become limits. */
void ln__job_post(ln__job *job, ln__unary kind, float a, float b);
/* From first to end of `count` items for one part. */
void ln__part_range(int64_t count, int64_t part, int64_t parts, int64_t *first, int64_t *end);
/* Finishes what a kernel wrote: limits, unary. */
void ln__job_finish(const ln__job *job, float *y, int64_t n);
/* Zeroes lanes past the last channel in the pixels of one group. */
void ln__zero_lanes(const ln__grid *grid, float *y, int64_t group);

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#  if defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#      define LN__CLONES
#    endif
#  endif
#  ifndef LN__CLONES
#    define LN__CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#  endif
#else
#  define LN__CLONES
#endif

#endif
