/* edit.h - what is to be added to a file. Private to onnx/. */
#ifndef LN_EDIT_H
#define LN_EDIT_H

#include "onnx/parsed.h"

typedef struct ln__added_tensor {
    const char *name;
    int32_t rank;
    int64_t dim[LN__MAX_RANK], elements;
    const uint8_t *head; size_t head_size;  /* the TensorProto up to its raw_data */
    const void *data; size_t size;
} ln__added_tensor;

/* A reduction of ours that kept its dimensions. */
typedef struct ln__added_reduction { const char *name; int32_t n_axes; int64_t axes[LN__MAX_RANK]; } ln__added_reduction;

typedef struct ln__replacement { int32_t node, input; const char *name; } ln__replacement;

struct ln__onnx_edit {
    const ln__onnx *onnx;
    ln__ctx ctx;
    ln__arena arena;
    bool failed;                /* memory ran out somewhere: save says so */

    ln__added_tensor *tensors; size_t n_tensors, tensors_capacity;
    ln__added_reduction *reductions; size_t n_reductions, reductions_capacity;
    ln__replacement *replacements; size_t n_replacements, replacements_capacity;
    int64_t output_columns;     /* of the first output; 0: as it is */
    ln__onnx_metadata_entry *metadata; size_t n_metadata, metadata_capacity;
    ln__map metadata_of;        /* key -> index */
    const char **names; size_t n_names, names_capacity;     /* all values made by nodes of ours */

    ln__map types;              /* value of the file -> LN__ONNX_* */
    ln__map casts;              /* those read as float32 through a node of ours */
    ln__buffer node;            /* the node that attributes are added to; empty: none */
    ln__buffer nodes, outputs;  /* finished fields of GraphProto */
};

/* A copy in the edit's arena; "" after memory ran out. */
const char *ln__edit_text(ln__onnx_edit *edit, const char *text);
/* "leenet/" + base + tail, without the prefix where base has it. */
const char *ln__edit_name(ln__onnx_edit *edit, const char *base, const char *tail);
/* As ln__onnx_add_node, with two outputs (second NULL: one). */
void ln__edit_node(ln__onnx_edit *edit, const char *type, const char *first, const char *second,
                   const char *const *inputs, int32_t n_inputs);
/* value_types.c. False: no memory. */
bool ln__edit_find_types(ln__onnx_edit *edit);
/* True for a value of the network that is a float, but not float32. */
bool ln__edit_needs_cast(const ln__onnx_edit *edit, const char *value);
void ln__edit_close_node(ln__onnx_edit *edit);
const ln__added_tensor *ln__edit_tensor(const ln__onnx_edit *edit, const char *name);   /* NULL: none of that name */

#endif
