/* fuzz_onnx.c - ONNX files: reading, the graph, its shapes for 1 and 3 rows. What
 * is read can be saved, and what was saved can be read. */
#include "fuzz_heap.h"

#include <stdio.h>
#include <unistd.h>

#include "onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ln__onnx_limits limits = { 1 << 20, 32 << 20 };

static void infer_shapes(const ln__onnx *onnx, const ln__ctx *ctx)
{
    ln__graph *graph;

    if (ln__onnx_graph(&graph, onnx, NULL, 0, NULL) < 0)
        return;
    for (int64_t rows = 1; rows <= 3; rows += 2) {
        ln__shapes *shapes;
        if (ln__shapes_infer(&shapes, graph, rows, NULL) >= 0)
            ln__shapes_free(shapes, ctx);
    }
    ln__graph_free(graph);
}

static void save_and_read(const ln__onnx *onnx, const ln__ctx *ctx)
{
    char path[100];
    ln__onnx_edit *edit;
    ln__onnx *again;
    ln_status st;

    snprintf(path, sizeof path, "/tmp/leenet-fuzz-%ld.onnx", (long)getpid());
    if (ln__onnx_edit_new(&edit, onnx, NULL) < 0)
        return;
    ln__onnx_set_metadata(edit, "leenet.format", "1");
    st = ln__onnx_save(edit, path, NULL);
    ln__onnx_edit_free(edit);
    if (st < 0)
        return;
    st = ln__onnx_load(&again, ctx, path, NULL, NULL);
    unlink(path);
    /* With every output taken out, only the graph of exits was there. */
    if (st < 0 && st != LN_E_NOMEM && st != LN_E_FORMAT)
        abort();
    if (st >= 0)
        ln__onnx_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ln_allocator allocator;
    ln__onnx *onnx;
    fuzz_heap heap;
    ln__ctx ctx;

    allocator = fuzz_heap_allocator(&heap);
    ctx = ln__ctx_make(&allocator, NULL, NULL);
    if (ln__onnx_load_memory(&onnx, &ctx, data, size, &limits, NULL) >= 0) {
        infer_shapes(onnx, &ctx);
        save_and_read(onnx, &ctx);
        ln__onnx_free(onnx);
    }
    fuzz_heap_end(&heap);
    return 0;
}
