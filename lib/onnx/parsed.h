/* parsed.h - what a file holds, as the rest of onnx/ sees it: names and numbers
 * checked and copied, weights as views. Private to onnx/. */
#ifndef LN_PARSED_H
#define LN_PARSED_H

#include "onnx/onnx.h"
#include "onnx/wire.h"

/* TensorProto.DataType */
enum {
    LN__ONNX_FLOAT = 1, LN__ONNX_UINT8, LN__ONNX_INT8, LN__ONNX_UINT16, LN__ONNX_INT16, LN__ONNX_INT32,
    LN__ONNX_INT64, LN__ONNX_STRING, LN__ONNX_BOOL, LN__ONNX_FLOAT16, LN__ONNX_DOUBLE, LN__ONNX_UINT32,
    LN__ONNX_UINT64, LN__ONNX_COMPLEX64, LN__ONNX_COMPLEX128, LN__ONNX_BFLOAT16
};

/* AttributeProto.AttributeType */
enum {
    LN__ATTR_FLOAT = 1, LN__ATTR_INT, LN__ATTR_STRING, LN__ATTR_TENSOR, LN__ATTR_GRAPH, LN__ATTR_FLOATS,
    LN__ATTR_INTS, LN__ATTR_STRINGS, LN__ATTR_TENSORS, LN__ATTR_GRAPHS, LN__ATTR_SPARSE_TENSOR
};

/* More than any classifier has; what a hostile file can make us hold stays in
 * proportion to its size. */
enum {
    LN__MOST_NODES = 1 << 16, LN__MOST_NAMES = 1 << 20, LN__MOST_NODE_VALUES = 1 << 16,
    LN__MOST_ATTRIBUTES = 64, LN__MOST_METADATA = 1 << 16
};
/* Bytes that a file's parts, and its graph, may take: some for every byte of the
 * file (names and attributes grow most, twentyfold) and of its external data,
 * which may have to be converted. */
enum { LN__ROOM = 8 << 20, LN__ROOM_PER_BYTE = 64, LN__ROOM_PER_EXTERNAL_BYTE = 16 };

/* A tensor's bytes in another file; data NULL: in this one. */
typedef struct ln__onnx_external_data { const uint8_t *data; size_t size; } ln__onnx_external_data;

typedef struct ln__onnx_attr {
    const char *name;
    int32_t type;
    float f;
    int64_t i;
    const char *s; size_t s_size;       /* view */
    const int64_t *ints; const float *floats; int32_t n;
    ln__tensor t; int32_t elem;         /* of a tensor: as stored */
    ln__onnx_external_data external;
} ln__onnx_attr;

typedef struct ln__onnx_node {
    const char *name, *type, *domain;
    const char **in, **out;
    int32_t n_in, n_out;
    ln__onnx_attr *attrs; int32_t n_attrs;
    const uint8_t *start; size_t size;  /* the field in the file, tag included */
    bool ours;
} ln__onnx_node;

typedef struct ln__onnx_tensor {
    const char *name;
    ln__tensor tensor;
    int32_t elem;               /* LN__ONNX_*, as stored */
    ln__onnx_external_data external;
    bool ours;
} ln__onnx_tensor;

/* A graph input or output. */
typedef struct ln__onnx_value {
    const char *name;
    int32_t elem;               /* LN__ONNX_*, 0: not a tensor or not said */
    bool has_shape;
    ln__tensor type;            /* dim -1: symbolic */
    int64_t initializer;        /* of an input: its default, -1: none */
    bool ours;
} ln__onnx_value;

typedef struct ln__onnx_metadata_entry { const char *key, *value; } ln__onnx_metadata_entry;

struct ln__onnx {
    ln__ctx ctx;
    ln__arena arena;
    const char *path;           /* "" from memory */
    const char *label;          /* what messages call the file */
    ln__file file; uint8_t *copy;
    const uint8_t *data; size_t size;
    uint64_t max_bytes, max_file_bytes, max_external_bytes;
    bool accept_nan;            /* its tensors are data to be fed, not weights */
    ln__file *externals; size_t n_externals, externals_capacity;    /* mapped once each */
    ln__map external_of;        /* location as spelled, and "/device/inode" -> index */

    int64_t ir_version, opset;
    const char *producer, *producer_name, *producer_version;
    const char **domains; int32_t n_domains;
    ln__onnx_metadata_entry *metadata; size_t n_metadata;
    ln__map metadata_of;        /* key -> index; of entries with one key the first counts */
    const uint8_t *graph; size_t graph_size;

    ln__onnx_node *nodes; int32_t n_nodes;      /* as in the file */
    int32_t *order;                             /* topological; 0, 1, 2, ... if the file's order is one */
    bool sorted;                                /* the file's order is topological */
    ln__onnx_tensor *tensors; int32_t n_tensors;
    ln__onnx_value *inputs; int32_t n_inputs;
    ln__onnx_value *outputs; int32_t n_outputs;
    ln__map tensor_of, input_of;                /* name -> index */
};

/* "file: ..." with the message cut short. */
ln_status ln__onnx_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const char *format, ...) LN__PRINTF(4, 5);
/* "node 57 'conv5' (Conv)" */
enum { LN__NODE_TEXT = 128 };
const char *ln__onnx_node_text(char out[LN__NODE_TEXT], const ln__onnx *onnx, const ln__onnx_node *node);
/* "file: node 57 'conv5' (Conv): ..." */
ln_status ln__onnx_node_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const ln__onnx_node *node,
                             const char *format, ...) LN__PRINTF(5, 6);
ln_status ln__onnx_nomem(ln_error *err, const ln__onnx *onnx);
/* Lets an arena grow by so much for each of `bytes`. */
void ln__onnx_room(ln__arena *arena, size_t bytes, size_t per_byte);
/* What has become of reading into `arena`: LN_E_NOMEM by its limit is LN_E_LIMIT. */
ln_status ln__onnx_limited(ln_status st, const ln__onnx *onnx, const ln__arena *arena, ln_error *err);
/* Names in messages: enough to find the thing. */
#define LN__CUT "%.80s"

bool ln__onnx_is_ours(const char *name);

/* A name as a C string: UTF-8 without NUL. `what`: "a node's input", ... */
ln_status ln__onnx_text(const char **out, ln__onnx *onnx, const ln__field *field, const char *what, ln_error *err);

/* parse_node.c */
ln_status ln__parse_node(ln__onnx_node *out, ln__onnx *onnx, int32_t index, const ln__field *field, ln_error *err);
/* parse_tensor.c; `owner` for messages: "initializer", "node 57 'c' (Constant): attribute 'value'". */
ln_status ln__parse_tensor(ln__onnx_tensor *out, ln__onnx *onnx, const ln__field *field, const char *owner, ln_error *err);
/* parse_graph.c */
ln_status ln__parse_graph(ln__onnx *onnx, ln_error *err);
/* check_graph.c: every name is made once and before it is used; sorts. */
ln_status ln__check_graph(ln__onnx *onnx, ln_error *err);
/* external.c; `owner` of the data for messages: "initializer 'w'". */
ln_status ln__external_open(const uint8_t **out, ln__onnx *onnx, const char *owner, const char *location,
                            uint64_t offset, uint64_t length, ln_error *err);

/* Bytes of one element as stored; 0: a type that is not read. */
size_t ln__onnx_type_size(int32_t type);
const char *ln__onnx_type_name(int32_t type);
bool ln__onnx_type_is_float(int32_t type);

#endif
