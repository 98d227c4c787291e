/* onnx_bytes.h - small ONNX files made in memory, field by field, for tests. */
#ifndef LN_ONNX_BYTES_H
#define LN_ONNX_BYTES_H

#include <stdlib.h>
#include <string.h>

#include "onnx/onnx.h"
#include "onnx/wire.h"

/* ---- An allocator that counts, and fails at the n-th request ----------------- */

typedef struct counting_heap { size_t live, asked, fail_at; } counting_heap;   /* fail_at 0: never */

static void *counting_alloc(size_t size, size_t align, void *payload)
{
    counting_heap *heap = payload;
    void *ptr = NULL;

    if (++heap->asked == heap->fail_at || posix_memalign(&ptr, align, size) != 0)
        return NULL;
    heap->live++;
    return ptr;
}

static void counting_release(void *ptr, size_t size, void *payload)
{
    (void)size;
    ((counting_heap *)payload)->live--;
    free(ptr);
}

static inline ln__ctx counting_ctx(counting_heap *heap)
{
    ln_allocator allocator = { counting_alloc, counting_release, heap };
    return ln__ctx_make(&allocator, NULL, NULL);
}

/* ---- Messages ------------------------------------------------------------------- */

static inline void put_message(ln__buffer *out, uint32_t number, ln__buffer *message)
{
    ln__put_bytes(out, number, message->data, message->size);
    ln__buffer_free(message);
}

/* TypeProto.Tensor's ValueInfoProto; a dimension of -1 becomes the symbol "N". */
static inline void put_value_info(ln__buffer *graph, uint32_t number, const char *name, int elem, int rank, const int64_t *dims)
{
    ln__buffer shape, tensor, type, info;

    ln__buffer_init(&shape, graph->ctx);
    ln__buffer_init(&tensor, graph->ctx);
    ln__buffer_init(&type, graph->ctx);
    ln__buffer_init(&info, graph->ctx);
    for (int i = 0; i < rank; i++) {
        ln__buffer dim;
        ln__buffer_init(&dim, graph->ctx);
        if (dims[i] == -1)
            ln__put_text(&dim, 2, "N");
        else
            ln__put_int(&dim, 1, dims[i]);
        put_message(&shape, 1, &dim);
    }
    ln__put_int(&tensor, 1, elem);
    if (rank >= 0)
        put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    ln__put_text(&info, 1, name);
    put_message(&info, 2, &type);
    put_message(graph, number, &info);
}

static inline void put_floats(ln__buffer *graph, const char *name, int rank, const int64_t *dims, const float *data)
{
    ln__buffer t;
    size_t n = 1;

    ln__buffer_init(&t, graph->ctx);
    for (int i = 0; i < rank; i++) {
        ln__put_int(&t, 1, dims[i]);
        n *= (size_t)dims[i];
    }
    ln__put_int(&t, 2, 1);
    ln__put_text(&t, 8, name);
    ln__put_bytes(&t, 9, data, 4 * n);
    put_message(graph, 5, &t);
}

/* A node; inputs and outputs parted by spaces, "-" for an absent one. Attributes
 * are appended to `attrs` beforehand (may be NULL), which is freed. */
static inline void put_names(ln__buffer *node, uint32_t number, const char *names)
{
    while (*names != '\0') {
        size_t length = strcspn(names, " ");
        ln__put_bytes(node, number, names, length == 1 && *names == '-' ? 0 : length);
        names += length + (names[length] == ' ');
    }
}

static inline void put_node(ln__buffer *graph, const char *type, const char *in, const char *out, ln__buffer *attrs)
{
    ln__buffer node;

    ln__buffer_init(&node, graph->ctx);
    put_names(&node, 1, in);
    put_names(&node, 2, out);
    ln__put_text(&node, 4, type);
    if (attrs != NULL) {
        ln__buffer_put(&node, attrs->data, attrs->size);
        ln__buffer_free(attrs);
    }
    put_message(graph, 1, &node);
}

static inline void put_attr_int(ln__buffer *node, const char *name, int64_t value)
{
    ln__buffer a;

    ln__buffer_init(&a, node->ctx);
    ln__put_text(&a, 1, name);
    ln__put_int(&a, 3, value);
    ln__put_int(&a, 20, 2);
    put_message(node, 5, &a);
}

static inline void put_attr_float(ln__buffer *node, const char *name, float value)
{
    ln__buffer a;

    ln__buffer_init(&a, node->ctx);
    ln__put_text(&a, 1, name);
    ln__put_float(&a, 2, value);
    ln__put_int(&a, 20, 1);
    put_message(node, 5, &a);
}

static inline void put_attr_ints(ln__buffer *node, const char *name, int n, const int64_t *values)
{
    ln__buffer a;

    ln__buffer_init(&a, node->ctx);
    ln__put_text(&a, 1, name);
    for (int i = 0; i < n; i++)
        ln__put_int(&a, 8, values[i]);
    ln__put_int(&a, 20, 7);
    put_message(node, 5, &a);
}

static inline void put_attr_text(ln__buffer *node, const char *name, const char *text)
{
    ln__buffer a;

    ln__buffer_init(&a, node->ctx);
    ln__put_text(&a, 1, name);
    ln__put_text(&a, 4, text);
    ln__put_int(&a, 20, 3);
    put_message(node, 5, &a);
}

/* The model around a graph, which is freed. */
static inline void put_model(ln__buffer *model, int64_t ir, int64_t opset, ln__buffer *graph)
{
    ln__buffer import;

    ln__buffer_init(&import, model->ctx);
    ln__put_int(model, 1, ir);
    ln__put_text(model, 2, "libleenet tests");
    ln__put_text(graph, 2, "g");
    put_message(model, 7, graph);
    ln__put_text(&import, 1, "");
    ln__put_int(&import, 2, opset);
    put_message(model, 8, &import);
}

/* x [N,3,4,4] -> Conv(4) -> Relu -> GlobalAveragePool -> Flatten -> Gemm -> y [N,5].
 * IR below 4: weights are graph inputs too. */
static inline void put_small_classifier(ln__buffer *model, int64_t ir, int64_t opset)
{
    static const int64_t x[] = { -1, 3, 4, 4 }, y[] = { -1, 5 }, w[] = { 4, 3, 3, 3 }, b[] = { 4 }, fw[] = { 5, 4 }, fb[] = { 5 };
    static const int64_t kernel[] = { 3, 3 }, pads[] = { 1, 1, 1, 1 };
    float numbers[108];
    ln__buffer graph, attrs;

    for (int i = 0; i < 108; i++)
        numbers[i] = (float)((i * 37) % 23 - 11) / 16.0f;
    ln__buffer_init(&graph, model->ctx);
    ln__buffer_init(&attrs, model->ctx);
    put_attr_ints(&attrs, "kernel_shape", 2, kernel);
    put_attr_ints(&attrs, "pads", 4, pads);
    put_node(&graph, "Conv", "x w b", "c", &attrs);
    put_node(&graph, "Relu", "c", "r", NULL);
    put_node(&graph, "GlobalAveragePool", "r", "p", NULL);
    put_node(&graph, "Flatten", "p", "f", NULL);
    put_attr_int(&attrs, "transB", 1);
    put_node(&graph, "Gemm", "f fw fb", "y", &attrs);
    put_floats(&graph, "w", 4, w, numbers);
    put_floats(&graph, "b", 1, b, numbers + 3);
    put_floats(&graph, "fw", 2, fw, numbers + 7);
    put_floats(&graph, "fb", 1, fb, numbers + 11);
    put_value_info(&graph, 11, "x", 1, 4, x);
    if (ir < 4) {
        put_value_info(&graph, 11, "w", 1, 4, w);
        put_value_info(&graph, 11, "b", 1, 1, b);
        put_value_info(&graph, 11, "fw", 1, 2, fw);
        put_value_info(&graph, 11, "fb", 1, 1, fb);
    }
    put_value_info(&graph, 12, "y", 1, 2, y);
    put_value_info(&graph, 13, "f", 1, 2, (const int64_t[]){ -1, 4 });
    put_model(model, ir, opset, &graph);
}

#endif
