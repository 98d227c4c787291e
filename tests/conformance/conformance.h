/* conformance.h - runs stored ONNX cases through the library's rooms.
 *
 * A case is a model with inputs and expected outputs, or a broken model that
 * must be refused. Each runs in a child process of its own; what it found goes
 * to the parent as one verdict. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "graph/graph.h"

enum { MAX_TENSORS = 32, MAX_PATH = 1024, CASE_SECONDS = 10 };

typedef enum outcome { PASS, REFUSED, WRONG, CRASH, HANG, OUTCOMES } outcome;

typedef struct verdict {
    outcome outcome;
    char    text[512];
} verdict;

/* Memory of one case: counted, and capped, so that a size taken from a broken
 * file shows up as such and a leak as a leak. */
typedef struct heap {
    size_t live, most_asked;
} heap;
enum { HEAP_CAP = 256 << 20 };
ln_allocator heap_allocator(heap *heap);

/* One .pb file. float16, float64 and bfloat16 are F32 here, every integer type
 * and bool I64; `type` is ONNX's number for what the file has. */
typedef struct case_tensor {
    ln__tensor t;
    int32_t    type;
    void      *data;
} case_tensor;

/* False with the reason in `why`; `absent` tells a missing file from a bad one. */
bool tensor_read(case_tensor *out, const char *path, char why[256], bool *absent);
void tensor_free(case_tensor *tensor);
bool tensor_is_float(const case_tensor *tensor);

/* True when equal by the rules of the data set's README; `why` says what is not. */
bool tensor_compare(const ln__tensor *got, const case_tensor *want, char why[256]);

/* Runs <folder>/model.onnx on <folder>/test_data_set_0. */
void case_run(verdict *out, const char *folder);

/* A broken model: passes when it is refused, at the latest when run. */
void case_run_malformed(verdict *out, const char *path);

#endif
