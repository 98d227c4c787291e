/* fuzz_heap.h - an allocator that refuses to take more than a program could
 * spare, so that a target is stopped by our checks and not by the system. */
#ifndef FUZZ_HEAP_H
#define FUZZ_HEAP_H

#include <stdatomic.h>
#include <stdlib.h>

#include "leenet/leenet.h"

typedef struct fuzz_heap { atomic_size_t live; } fuzz_heap;

#define FUZZ_HEAP_LIMIT ((size_t)256 << 20)

static void *fuzz_heap_alloc(size_t size, size_t align, void *payload)
{
    fuzz_heap *heap = payload;
    void *ptr = NULL;

    if (atomic_fetch_add(&heap->live, size) + size <= FUZZ_HEAP_LIMIT
        && posix_memalign(&ptr, align < sizeof ptr ? sizeof ptr : align, size) == 0)
        return ptr;
    atomic_fetch_sub(&heap->live, size);
    return NULL;
}

static void fuzz_heap_release(void *ptr, size_t size, void *payload)
{
    fuzz_heap *heap = payload;

    atomic_fetch_sub(&heap->live, size);
    free(ptr);
}

static inline ln_allocator fuzz_heap_allocator(fuzz_heap *heap)
{
    ln_allocator allocator = { fuzz_heap_alloc, fuzz_heap_release, heap };

    atomic_init(&heap->live, 0);
    return allocator;
}

/* What was taken must have been given back, whatever the input was. */
static inline void fuzz_heap_end(fuzz_heap *heap)
{
    if (atomic_load(&heap->live) != 0)
        abort();
}

#endif
