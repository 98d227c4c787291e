/* answer_kernels.c - the loops of an answer: as wide as the CPU's vectors, chosen at run
 * time without ifunc, so that it works in static objects, under sanitizers and
 * with every libc. */
#include "heads/answer_kernels.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#  include <immintrin.h>
#endif

#if !defined(__GNUC__)
#  error "needs the vector extensions of gcc or clang"
#endif

enum { ROWS_AT_ONCE = 2 };

typedef float quad __attribute__((vector_size(16)));

#if defined(__x86_64__)
#  define LANES 16
#  define OUTPUTS 8
#  define TARGET __attribute__((target("avx512f,fma")))
#  define MAXIMUM(a, b) ((V)_mm512_max_ps((__m512)(a), (__m512)(b)))
#  define ROOT(v) ((V)_mm512_sqrt_ps((__m512)(v)))
#  define NAME(x) x##_16
#  include "heads/answer_lanes.h"

#  define LANES 8
#  define OUTPUTS 4
#  define TARGET __attribute__((target("avx2,fma")))
#  define MAXIMUM(a, b) ((V)_mm256_max_ps((__m256)(a), (__m256)(b)))
#  define ROOT(v) ((V)_mm256_sqrt_ps((__m256)(v)))
#  define NAME(x) x##_8
#  include "heads/answer_lanes.h"
#endif

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

LN__INLINE four larger(four a, four b)
{
    for (int i = 0; i < 4; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}

LN__INLINE four root(four v)
{
    for (int i = 0; i < 4; i++)
        v[i] = sqrtf(v[i]);
    return v;
}

#define LANES 4
#define OUTPUTS 4
#define TARGET
#define MAXIMUM(a, b) larger(a, b)
#define ROOT(v) root(v)
#define NAME(x) x##_4
#include "heads/answer_lanes.h"

const ln__head_kernels *ln__head_kernels_of(int kind)
{
#if defined(__x86_64__)
    if (kind == 0)
        return __builtin_cpu_supports("avx512f") ? &kernels_16 : NULL;
    if (kind == 1)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels_8 : NULL;
#endif
    return kind == LN__KINDS - 1 ? &kernels_4 : NULL;
}

const ln__head_kernels *ln__head_kernels_best(void)
{
    int kind = 0;

    while (!ln__head_kernels_of(kind))
        kind++;
    return ln__head_kernels_of(kind);
}
