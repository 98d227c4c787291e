/* random.c - PCG-XSH-RR 64/32 (M. E. O'Neill, "PCG: A Family of Simple Fast
 * Space-Efficient Statistically Good Algorithms for Random Number Generation",
 * 2014): the same numbers on every machine. */
#include "base/base.h"

#include <math.h>

uint32_t ln__rng_u32(ln__rng *rng)
{
    uint64_t old = rng->state;
    uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);

    rng->state = old * 6364136223846793005u + rng->stream;
    return (shifted >> turn) | (shifted << ((32 - turn) & 31));
}

ln__rng ln__rng_make(uint64_t seed, uint64_t stream)
{
    ln__rng rng = { 0, (stream << 1) | 1 };

    ln__rng_u32(&rng);
    rng.state += seed;
    ln__rng_u32(&rng);
    return rng;
}

uint32_t ln__rng_below(ln__rng *rng, uint32_t bound)
{
    uint32_t uneven = (UINT32_MAX - bound + 1) % bound;  /* 2^32 mod bound */

    for (;;) {
        uint32_t value = ln__rng_u32(rng);
        if (value >= uneven)
            return value % bound;
    }
}

double ln__rng_double(ln__rng *rng)
{
    uint64_t high = ln__rng_u32(rng) >> 5, low = ln__rng_u32(rng) >> 6;

    return (double)((high << 26) | low) / 9007199254740992.0;   /* 2^53 */
}

double ln__rng_normal(ln__rng *rng)
{
    double radius = sqrt(-2.0 * log(1.0 - ln__rng_double(rng)));

    return radius * cos(6.283185307179586 * ln__rng_double(rng));
}

void ln__rng_shuffle(ln__rng *rng, uint32_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = ln__rng_below(rng, (uint32_t)i);
        uint32_t keep = items[i - 1];
        items[i - 1] = items[j];
        items[j] = keep;
    }
}
