/* kernel_tile.c - convolutions of all channels in channel blocks: direct, and
 * Winograd's for 3x3. Faster than oneDNN's, which leave a third of a core's
 * multiply-adds unused (docs/performance.md), and the same for every version
 * of it. */
#include "engine/kernels.h"

#include <string.h>
#if defined(__x86_64__)
#  include <immintrin.h>
#endif

enum { TILE_PLACES = LN__TILE_PLACES, SLICE_FLOATS = 1 << 15, TILES_AT_ONCE = 16 };

/* Units (pixels, lines or Winograd's tiles) by groups of output blocks that a part makes. */
typedef struct tile_range { int64_t first, end, from, to; } tile_range;

/* An address a compiler is to compute anew: left to itself, it keeps one for each of dozens of places, in memory. */
#define ANEW(pointer) __asm__("" : "+r"(pointer))

typedef struct panel {
    const float *x;
    const int64_t *at;          /* [blocks] where a place's channels lie */
    const int64_t *from, *to;   /* [places] in x, in y */
    int64_t blocks;
    const float *weights;       /* [blocks][lanes][q][lanes] */
    float *y;
    int64_t y_step;             /* from block to block */
    const float *start;         /* what sums begin with, lying as y; NULL: 0 */
    const float *bias;          /* NULL: sums are left as they are, without limits */
    float low, high;
    const ln__job *activation;  /* after bias and limits; NULL: none */
    const float *ahead;         /* weights needed next, asked for meanwhile, lines of 64 bytes a block; or NULL */
    int64_t lines;
} panel;

static const ln__job *activation(const ln__job *j) { return j->post && !j->clamped ? j : NULL; }

#define LANES 16
#define MOST 24
#if defined(__x86_64__)
#  define TARGET __attribute__((target("avx512f,avx512dq,fma")))
#  define LARGER(a, b) ((V)_mm512_max_ps((__m512)(a), (__m512)(b)))
#  define SMALLER(a, b) ((V)_mm512_min_ps((__m512)(a), (__m512)(b)))
#endif
#define NAME(x) x##_16
#include "engine/tile_lanes.h"

#define LANES 8
#define MOST 12
#if defined(__x86_64__)
#  define TARGET __attribute__((target("avx2,fma")))
#  define LARGER(a, b) ((V)_mm256_max_ps((__m256)(a), (__m256)(b)))
#  define SMALLER(a, b) ((V)_mm256_min_ps((__m256)(a), (__m256)(b)))
#endif
#define NAME(x) x##_8
#include "engine/tile_lanes.h"

#define LANES 8
#define MOST 12
#define NAME(x) x##_any
#include "engine/tile_lanes.h"

static bool has_fused(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

/* A part gets some of the places and all channels, or, where there are few, all places and some channels. */
static tile_range range_of(const ln__job *j, int64_t units, int64_t few, int64_t part, int64_t parts)
{
    int64_t groups = ln__tile_groups(j->gy.groups, j->gy.lanes);
    tile_range r = { 0, units, 0, groups };
    if (units >= parts * few || groups < parts)
        ln__part_range(units, part, parts, &r.first, &r.end);
    else
        ln__part_range(groups, part, parts, &r.from, &r.to);
    return r;
}

void ln__kernel_direct(const ln__job *j, int64_t part, int64_t parts)
{
    tile_range r = range_of(j, j->gx.rows * (j->padded ? j->out[1] : j->gy.pixels), j->padded ? 4 : 48, part, parts);
    float *scratch = j->scratch + part * j->scratch_floats;
    if (j->gx.lanes == 16)
        (j->padded ? padded_16 : direct_16)(j, &r, scratch);
    else if (has_fused())
        (j->padded ? padded_8 : direct_8)(j, &r, scratch);
    else
        (j->padded ? padded_any : direct_any)(j, &r, scratch);
}

void ln__kernel_winograd(const ln__job *j, int64_t part, int64_t parts)
{
    int64_t tiles = (j->out[1] + j->edge - 1) / j->edge * ((j->out[2] + j->edge - 1) / j->edge);
    tile_range r = range_of(j, j->gx.rows * tiles, 24, part, parts);
    float *scratch = j->scratch + part * j->scratch_floats;
    if (j->gx.lanes == 16)
        winograd_16(j, &r, scratch);
    else if (has_fused())
        winograd_8(j, &r, scratch);
    else
        winograd_any(j, &r, scratch);
}
