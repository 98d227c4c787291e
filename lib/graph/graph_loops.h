/* graph_loops.h - for the files whose loops over numbers must be vectorised.
 * Included first: gcc's pragma holds for the functions that follow. */
#ifndef LN_GRAPH_LOOPS_H
#define LN_GRAPH_LOOPS_H

/* Nobody reads errno or the floating-point exception flags after our loops; as
 * long as somebody might, gcc turns no comparison into a blend. NaN and
 * infinities stay what they are. */
#if defined(__clang__)
#  define LN__NO_CARRY _Pragma("clang loop vectorize(assume_safety)")
/* It permits; clang takes it for a demand and warns of loops that call the C library. */
#  pragma clang diagnostic ignored "-Wpass-failed"
#elif defined(__GNUC__)
#  pragma GCC optimize("no-math-errno", "no-trapping-math")
#  define LN__NO_CARRY _Pragma("GCC ivdep")   /* arrays are the same or do not overlap */
#else
#  define LN__NO_CARRY
#endif

#include "graph/graph_internal.h"

#endif
