/* answer_kernels.h - the loops of an answer, made for each kind of CPU. Private to heads/. */
#ifndef LN_ANSWER_KERNELS_H
#define LN_ANSWER_KERNELS_H

#include "heads/heads.h"

enum { LN__MOST_LANES = 16, LN__KINDS = 3, LN__LINE = 64 };

/* Of pixels: sums of their difference from a shift and of its square, and the largest. */
typedef struct ln__sums { float sum[LN__MOST_LANES], squares[LN__MOST_LANES], max[LN__MOST_LANES]; } ln__sums;

/* y [rows][out] = x [rows][in] times w [out][in] transposed, plus b. */
typedef struct ln__layer {
    const float    *w, *b, *x;
    const uint32_t *narrow;     /* w, or NULL; see ln__mlp */
    float          *y;
    int64_t         rows, in, out;
    bool            relu;
} ln__layer;

typedef struct ln__head_kernels {
    int64_t lanes;              /* floats of a vector */
    /* `lanes` channels side by side, `stride` floats from pixel to pixel, `line` from row to row. */
    void (*cell)(const float *x, int64_t stride, int64_t line, int64_t height, int64_t width, const float *shifts, ln__sums *out);
    /* One channel whose pixels lie side by side. */
    void (*line)(const float *x, int64_t line, int64_t height, int64_t width, float shift, ln__sums *out);
    void (*layer)(const ln__layer *layer);
    /* `count` channels side by side minus their means, from pixels `stride` apart to pixels `width` apart. */
    void (*centre)(const float *x, int64_t stride, int64_t pixels, int64_t count, const float *mean, int64_t width, float *out);
    /* Adds products of every two of `width` channels (whole vectors of them) to squares of lanes by lanes, those of the upper
     * triangle of all squares, row by row. A line of LN__LINE bytes of what will be read next is asked for at each pixel. */
    void (*products)(const float *centred, int64_t width, int64_t pixels, uintptr_t ahead, float *squares);
    /* x = v / sqrt(|v| + epsilon) with v = x * scale, whole vectors of them. */
    void (*roots)(float *x, int64_t count, float scale, float epsilon);
} ln__head_kernels;

/* Kind 0 has the widest vectors; NULL: not for this CPU. The last is for any. */
const ln__head_kernels *ln__head_kernels_of(int kind);
/* The first that this CPU has. */
const ln__head_kernels *ln__head_kernels_best(void);

#endif
