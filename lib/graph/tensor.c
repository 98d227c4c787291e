#include "graph/graph_internal.h"

#include <string.h>

size_t ln__dtype_size(ln__dtype dtype)
{
    return dtype == LN__I64 ? 8 : 4;
}

bool ln__mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool ln__add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

bool ln__tensor_elements(const ln__tensor *t, int64_t *out)
{
    int64_t n = 1;
    bool zero = false;

    if (t->rank < 0 || t->rank > LN__MAX_RANK)
        return false;
    for (int32_t d = 0; d < t->rank; d++) {
        if (t->dim[d] < 0)
            return false;
        if (t->dim[d] == 0)
            zero = true;
        else if (!ln__mul_i64(n, t->dim[d], &n) || n > (int64_t)1 << 48)
            return false;
    }
    *out = zero ? 0 : n;
    return true;
}

int64_t ln__tensor_count(const ln__tensor *t)
{
    return ln__dims_product(t, 0, t->rank);
}

int64_t ln__dims_product(const ln__tensor *t, int32_t from, int32_t to)
{
    int64_t n = 1;

    for (int32_t d = from; d < to; d++)
        n *= t->dim[d];
    return n;
}

const void *ln__tensor_aligned(const ln__tensor *t, ln__arena *arena)
{
    size_t size = ln__dtype_size(t->dtype);
    size_t bytes = (size_t)ln__tensor_count(t) * size;
    void *copy;

    if ((uintptr_t)t->data % size == 0)
        return t->data;
    copy = ln__arena_alloc(arena, bytes);
    if (copy != NULL)
        memcpy(copy, t->data, bytes);
    return copy;
}

const char *ln__shape_text(char out[128], const ln__tensor *t)
{
    size_t used = 1;

    out[0] = '[';
    out[1] = '\0';
    for (int32_t d = 0; d < t->rank && used < 100; d++)
        used += (size_t)snprintf(out + used, 128 - used, d == 0 ? "%lld" : ", %lld", (long long)t->dim[d]);
    snprintf(out + used, 128 - used, "]");
    return out;
}

bool ln__same_shape(const ln__tensor *a, const ln__tensor *b)
{
    if (a->rank != b->rank)
        return false;
    for (int32_t d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d])
            return false;
    return true;
}

bool ln__tensor_ints(const ln__tensor *t, int64_t *out, int32_t most, int32_t *n)
{
    int64_t count;

    if (t->dtype != LN__I64 || t->rank > 1 || t->data == NULL)
        return false;
    count = ln__tensor_count(t);
    if (count > most)
        return false;
    if (count > 0)
        memcpy(out, t->data, (size_t)count * sizeof *out);
    *n = (int32_t)count;
    return true;
}

float ln__tensor_float(const ln__tensor *t, int64_t i)
{
    float value;

    memcpy(&value, (const char *)t->data + (size_t)i * sizeof value, sizeof value);
    return value;
}

void ln__tensor_strides(const ln__tensor *t, int64_t *stride)
{
    int64_t n = 1;

    for (int32_t d = t->rank; d-- > 0;) {
        stride[d] = n;
        n *= t->dim[d];
    }
}

bool ln__broadcast_shape(const ln__tensor *a, const ln__tensor *b, ln__tensor *out)
{
    int32_t rank = LN__MAX(a->rank, b->rank);
    int64_t dim[LN__MAX_RANK];

    for (int32_t d = 0; d < rank; d++) {
        int32_t i = d - (rank - a->rank), j = d - (rank - b->rank);
        int64_t x = i < 0 ? 1 : a->dim[i], y = j < 0 ? 1 : b->dim[j];
        if (x != y && x != 1 && y != 1)
            return false;
        dim[d] = x == 1 ? y : x;
    }
    for (int32_t d = 0; d < rank; d++)
        out->dim[d] = dim[d];
    out->rank = rank;
    return true;
}

bool ln__next_index(int64_t *index, const int64_t *dim, int32_t rank)
{
    for (int32_t d = rank; d-- > 0;) {
        if (++index[d] < dim[d])
            return true;
        index[d] = 0;
    }
    return false;
}
