/* lanes.h - loops of convolutional heads, over eight floats at a time, compiled once
 * for CPUs with AVX2 and once for any. Chosen at run time without ifunc, so that it
 * works in static objects, under sanitizers and with every libc. Private to heads/. */
#ifndef LN_LANES_H
#define LN_LANES_H

#include <stdint.h>
#include <string.h>

#if !defined(__GNUC__)
#  error "needs the vector extensions of gcc or clang"
#endif

enum { LN__LANES = 8 };
typedef float   ln__lanes __attribute__((vector_size(32)));
typedef int32_t ln__lanes_mask __attribute__((vector_size(32)));

/* A body must be inlined into each variant, or it would be compiled for the plain CPU. */
#define LN__LANES_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#  define LN__LANES_DISPATCH(name, body, declaration, arguments)                     \
    __attribute__((target("avx2"))) static void name##_avx2 declaration { body arguments; } \
    static void name##_plain declaration { body arguments; }                         \
    static void name declaration                                                     \
    {                                                                                \
        if (__builtin_cpu_supports("avx2"))                                          \
            name##_avx2 arguments;                                                   \
        else                                                                         \
            name##_plain arguments;                                                  \
    }
#else
#  define LN__LANES_DISPATCH(name, body, declaration, arguments)                     \
    static void name declaration { body arguments; }
#endif

/* Through pointers: vectors as return values would change their ABI with the target. */
LN__LANES_BODY void ln__lanes_load(ln__lanes *out, const float *p)
{
    memcpy(out, p, sizeof *out);
}

LN__LANES_BODY void ln__lanes_fill(ln__lanes *out, float value)
{
    *out = value - (ln__lanes){ 0 };
}

LN__LANES_BODY void ln__lanes_max(ln__lanes *a, const ln__lanes *b)
{
    ln__lanes_mask more = *b > *a;

    *a = (ln__lanes)(((ln__lanes_mask)*b & more) | ((ln__lanes_mask)*a & ~more));
}

#endif
