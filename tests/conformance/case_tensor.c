/* case_tensor.c - one TensorProto file, and comparing with what came out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"
#include "onnx/parsed.h"

/* The type a TensorProto says it has; 0 where it says none. */
static int32_t stated_type(const ln__file *file)
{
    ln__wire wire = ln__wire_make(file->data, file->size);
    ln__field field;
    int32_t type = 0;
    while (ln__wire_next(&wire, &field))
        if (field.key == LN__WIRE_KEY(2, LN__WIRE_VARINT))
            type = (int32_t)field.value;
    return type;
}

/* The parser keeps converted numbers in its own memory and the others in the
 * file: both end here, so the numbers are copied. */
static bool copy_numbers(case_tensor *out, const ln__tensor *t)
{
    int64_t n;
    if (!ln__tensor_elements(t, &n))
        return false;
    size_t bytes = (size_t)n * ln__dtype_size(t->dtype);
    out->data = malloc(bytes + 1);
    if (out->data == NULL)
        return false;
    if (bytes > 0)
        memcpy(out->data, t->data, bytes);
    out->t = *t;
    out->t.data = out->data;
    return true;
}

bool tensor_read(case_tensor *out, const char *path, char why[256], bool *absent)
{
    ln_error err = { 0 };
    ln__onnx reader = { .ctx = ln__ctx_make(NULL, NULL, NULL), .path = path, .label = "tensor",
                        .max_bytes = HEAP_CAP, .max_file_bytes = HEAP_CAP, .accept_nan = true };
    ln__onnx_tensor parsed = { 0 };

    memset(out, 0, sizeof *out);
    *absent = access(path, F_OK) != 0;
    if (*absent)
        return false;
    if (ln__file_map(&reader.file, path, HEAP_CAP, &err) < 0) {
        snprintf(why, 256, "%.255s", err.text);
        return false;
    }
    ln__arena_init(&reader.arena, &reader.ctx, 0);
    reader.data = reader.file.data;
    reader.size = reader.file.size;
    out->type = stated_type(&reader.file);
    ln__field whole = { .data = reader.data, .size = reader.size, .start = reader.data };
    bool ok = ln__parse_tensor(&parsed, &reader, &whole, "the tensor", &err) >= 0;
    if (!ok)
        snprintf(why, 256, "%.255s", err.text);
    else if (!(ok = copy_numbers(out, &parsed.tensor)))
        snprintf(why, 256, "no memory");
    ln__arena_free(&reader.arena);
    ln__file_unmap(&reader.file);
    return ok;
}

void tensor_free(case_tensor *tensor)
{
    free(tensor->data);
    tensor->data = NULL;
}

bool tensor_is_float(const case_tensor *tensor)
{
    return tensor->t.dtype == LN__F32;
}

/* ---- Comparing ------------------------------------------------------------------ */

static bool float_close(float got, float want, int32_t type)
{
    bool half = type == LN__ONNX_FLOAT16 || type == LN__ONNX_BFLOAT16;
    double limit = half ? 1e-3 + 5e-3 * fabs((double)want) : 1e-5 + 1e-3 * fabs((double)want);
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return want == got;
    return fabs((double)got - (double)want) <= limit;
}

static bool same_shape(const ln__tensor *a, const ln__tensor *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0);
}

bool tensor_compare(const ln__tensor *got, const case_tensor *want, char why[256])
{
    char shape_got[128], shape_want[128];
    int64_t n;
    if (!same_shape(got, &want->t) || !ln__tensor_elements(got, &n)) {
        snprintf(why, 256, "shape %s, expected %s", ln__shape_text(shape_got, got),
                 ln__shape_text(shape_want, &want->t));
        return false;
    }
    if (got->dtype != want->t.dtype) {
        snprintf(why, 256, "%s numbers, expected %s", got->dtype == LN__F32 ? "float" : "integer",
                 want->t.dtype == LN__F32 ? "float" : "integer");
        return false;
    }
    for (int64_t i = 0; i < n; i++) {
        if (got->dtype == LN__F32) {
            float g, w;
            memcpy(&g, (const char *)got->data + i * 4, 4);
            memcpy(&w, (const char *)want->t.data + i * 4, 4);
            if (float_close(g, w, want->type))
                continue;
            snprintf(why, 256, "element %lld of %lld is %.7g, expected %.7g", (long long)i, (long long)n, (double)g, (double)w);
            return false;
        }
        int64_t g, w;
        memcpy(&g, (const char *)got->data + i * 8, 8);
        memcpy(&w, (const char *)want->t.data + i * 8, 8);
        if (g != w) {
            snprintf(why, 256, "element %lld of %lld is %lld, expected %lld", (long long)i, (long long)n, (long long)g, (long long)w);
            return false;
        }
    }
    return true;
}
