/* value_types.c - which of the network's values are not float32 in the file. */
#include "onnx/edit.h"

#include <string.h>

/* Every operator that a network of numbers has gives its first input's type, but for these. */
static int32_t type_of_node(const ln__onnx_edit *edit, const ln__onnx_node *node)
{
    int64_t first;

    for (int32_t i = 0; i < node->n_attrs; i++) {
        const ln__onnx_attr *a = &node->attrs[i];
        if (strcmp(node->type, "Cast") == 0 && strcmp(a->name, "to") == 0)
            return (int32_t)LN__MIN(LN__MAX(a->i, 0), INT32_MAX);
        if (a->type == LN__ATTR_TENSOR && strcmp(a->name, "value") == 0)
            return a->elem;
    }
    if (strcmp(node->type, "Shape") == 0 || strcmp(node->type, "Size") == 0)
        return LN__ONNX_INT64;
    if (node->n_in == 0 || strcmp(node->type, "ConstantOfShape") == 0)
        return LN__ONNX_FLOAT;
    first = ln__map_get(&edit->types, node->in[0]);
    return first < 0 ? LN__ONNX_FLOAT : (int32_t)first;
}

bool ln__edit_find_types(ln__onnx_edit *edit)
{
    const ln__onnx *o = edit->onnx;
    bool ok = true;

    ln__map_init(&edit->types, &edit->arena);
    ln__map_init(&edit->casts, &edit->arena);
    for (int32_t i = 0; ok && i < o->n_inputs; i++)
        ok = ln__map_put(&edit->types, o->inputs[i].name, o->inputs[i].elem);
    for (int32_t i = 0; ok && i < o->n_tensors; i++)
        ok = ln__map_put(&edit->types, o->tensors[i].name, o->tensors[i].elem);
    for (int32_t i = 0; ok && i < o->n_nodes; i++) {
        const ln__onnx_node *node = &o->nodes[o->order[i]];
        int32_t type = node->ours ? LN__ONNX_FLOAT : type_of_node(edit, node);
        for (int32_t k = 0; ok && k < node->n_out; k++)
            ok = ln__map_put(&edit->types, node->out[k], type);
    }
    return ok;
}

bool ln__edit_needs_cast(const ln__onnx_edit *edit, const char *value)
{
    int64_t type = ln__onnx_is_ours(value) ? -1 : ln__map_get(&edit->types, value);

    return type == LN__ONNX_FLOAT16 || type == LN__ONNX_BFLOAT16 || type == LN__ONNX_DOUBLE;
}
