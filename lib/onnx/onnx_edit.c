/* onnx_edit.c - collecting what is added: initializers, nodes, outputs, metadata. */
#include "onnx/edit.h"

#include <string.h>

ln_status ln__onnx_edit_new(ln__onnx_edit **out, const ln__onnx *onnx, ln_error *err)
{
    ln__onnx_edit *edit = ln__calloc(&onnx->ctx, 1, sizeof *edit);

    *out = NULL;
    if (edit == NULL)
        return ln__fail_nomem(err, &onnx->ctx, sizeof *edit);
    edit->onnx = onnx;
    edit->ctx = onnx->ctx;
    ln__arena_init(&edit->arena, &edit->ctx, 0);
    ln__map_init(&edit->metadata_of, &edit->arena);
    ln__buffer_init(&edit->node, &edit->ctx);
    ln__buffer_init(&edit->nodes, &edit->ctx);
    ln__buffer_init(&edit->outputs, &edit->ctx);
    if (!ln__edit_find_types(edit)) {
        ln__onnx_edit_free(edit);
        return ln__onnx_nomem(err, onnx);
    }
    *out = edit;
    return LN_OK;
}

void ln__onnx_edit_free(ln__onnx_edit *edit)
{
    ln__ctx ctx;

    if (edit == NULL)
        return;
    ctx = edit->ctx;
    ln__buffer_free(&edit->node);
    ln__buffer_free(&edit->nodes);
    ln__buffer_free(&edit->outputs);
    ln__free(&ctx, edit->tensors);
    ln__free(&ctx, edit->reductions);
    ln__free(&ctx, edit->replacements);
    ln__free(&ctx, edit->metadata);
    ln__free(&ctx, edit->names);
    ln__arena_free(&edit->arena);
    ln__free(&ctx, edit);
}

/* ---- Names ---------------------------------------------------------------------- */

const char *ln__edit_text(ln__onnx_edit *edit, const char *text)
{
    const char *copy = ln__arena_strndup(&edit->arena, text, strlen(text));

    if (copy == NULL)
        edit->failed = true;
    return copy == NULL ? "" : copy;
}

const char *ln__edit_name(ln__onnx_edit *edit, const char *base, const char *tail)
{
    const char *head = ln__onnx_is_ours(base) ? "" : LN__ONNX_PREFIX;
    size_t a = strlen(head), b = strlen(base), c = strlen(tail);
    char *name = ln__arena_alloc(&edit->arena, a + b + c + 1);

    if (name == NULL) {
        edit->failed = true;
        return "";
    }
    memcpy(name, head, a);
    memcpy(name + a, base, b);
    memcpy(name + a + b, tail, c + 1);
    return name;
}

static void note_made(ln__onnx_edit *edit, const char *name)
{
    if (LN__RESERVE(&edit->ctx, edit->names, edit->names_capacity, edit->n_names + 1))
        edit->names[edit->n_names++] = ln__edit_text(edit, name);
    else
        edit->failed = true;
}

/* ---- Initializers ------------------------------------------------------------------ */

const ln__added_tensor *ln__edit_tensor(const ln__onnx_edit *edit, const char *name)
{
    for (size_t i = 0; i < edit->n_tensors; i++)
        if (strcmp(edit->tensors[i].name, name) == 0)
            return &edit->tensors[i];
    return NULL;
}

static void encode_head(ln__onnx_edit *edit, ln__added_tensor *t, int type)
{
    ln__buffer head;
    uint8_t *copy;

    ln__buffer_init(&head, &edit->ctx);
    for (int32_t i = 0; i < t->rank; i++)
        ln__put_int(&head, 1, t->dim[i]);
    ln__put_int(&head, 2, type);
    ln__put_text(&head, 8, t->name);
    ln__put_head(&head, 9, t->size);
    copy = head.ok ? ln__arena_alloc(&edit->arena, head.size) : NULL;
    if (copy == NULL)
        edit->failed = true;
    else
        memcpy(copy, head.data, head.size);
    t->head = copy;
    t->head_size = copy == NULL ? 0 : head.size;
    ln__buffer_free(&head);
}

/* Where its numbers lie, or NULL. */
static void *add_tensor(ln__onnx_edit *edit, const char *name, int type, size_t width, const void *data,
                        int32_t rank, const int64_t *dims)
{
    ln__added_tensor *t;
    void *copy;

    if (!LN__RESERVE(&edit->ctx, edit->tensors, edit->tensors_capacity, edit->n_tensors + 1)) {
        edit->failed = true;
        return NULL;
    }
    t = &edit->tensors[edit->n_tensors++];
    memset(t, 0, sizeof *t);
    t->name = ln__edit_text(edit, name);
    t->rank = rank;
    t->elements = 1;
    for (int32_t i = 0; i < rank; i++) {
        t->dim[i] = dims[i];
        t->elements *= dims[i];
    }
    t->size = (size_t)t->elements * width;
    copy = ln__arena_alloc(&edit->arena, t->size);
    if (copy == NULL) {
        edit->failed = true;
        t->size = 0;
    } else if (data != NULL && t->size > 0) {
        memcpy(copy, data, t->size);
    }
    t->data = copy;
    encode_head(edit, t, type);
    return copy;
}

void ln__onnx_add_f32(ln__onnx_edit *edit, const char *name, const float *data, int32_t rank, const int64_t *dims)
{
    add_tensor(edit, name, LN__ONNX_FLOAT, sizeof *data, data, rank, dims);
}

void ln__onnx_add_f32_turned(ln__onnx_edit *edit, const char *name, const float *data, int32_t rank, const int64_t *dims)
{
    float *to = add_tensor(edit, name, LN__ONNX_FLOAT, sizeof *data, NULL, rank, dims);
    if (!to)
        return;
    int64_t rows = dims[0], columns = edit->tensors[edit->n_tensors - 1].elements / rows;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            to[r * columns + c] = data[c * rows + r];
}

void ln__onnx_add_i64(ln__onnx_edit *edit, const char *name, const int64_t *data, int32_t rank, const int64_t *dims)
{
    add_tensor(edit, name, LN__ONNX_INT64, sizeof *data, data, rank, dims);
}

int64_t *ln__onnx_make_i64(ln__onnx_edit *edit, const char *name, int64_t count)
{
    return add_tensor(edit, name, LN__ONNX_INT64, sizeof(int64_t), NULL, 1, &count);
}

/* ---- Nodes ---------------------------------------------------------------------------- */

void ln__edit_close_node(ln__onnx_edit *edit)
{
    if (edit->node.size > 0)
        ln__put_bytes(&edit->nodes, 1, edit->node.data, edit->node.size);
    edit->failed = edit->failed || !edit->node.ok || !edit->nodes.ok;
    edit->node.size = 0;
}

static void start_node(ln__onnx_edit *edit, const char *type, const char *first, const char *second)
{
    ln__edit_close_node(edit);
    ln__put_text(&edit->node, 2, first);
    note_made(edit, first);
    if (second != NULL) {
        ln__put_text(&edit->node, 2, second);
        note_made(edit, second);
    }
    /* The name says that the node is ours, whatever its output is called. */
    ln__put_text(&edit->node, 3, ln__edit_name(edit, first, ""));
    ln__put_text(&edit->node, 4, type);
}

/* Heads and gates compute in float32: what else the network has is cast, once. */
static void cast_input(ln__onnx_edit *edit, const char *value)
{
    const char *name;

    if (!ln__edit_needs_cast(edit, value) || ln__map_get(&edit->casts, value) >= 0)
        return;
    name = ln__edit_name(edit, value, ".float");
    if (!ln__map_put(&edit->casts, ln__edit_text(edit, value), 0))
        edit->failed = true;
    start_node(edit, "Cast", name, NULL);
    ln__put_text(&edit->node, 1, value);
    ln__onnx_node_int(edit, "to", LN__ONNX_FLOAT);
}

void ln__edit_node(ln__onnx_edit *edit, const char *type, const char *first, const char *second,
                   const char *const *inputs, int32_t n_inputs)
{
    for (int32_t i = 0; i < n_inputs; i++)
        cast_input(edit, inputs[i]);
    start_node(edit, type, first, second);
    for (int32_t i = 0; i < n_inputs; i++)
        ln__put_text(&edit->node, 1, ln__edit_needs_cast(edit, inputs[i]) ? ln__edit_name(edit, inputs[i], ".float") : inputs[i]);
}

void ln__onnx_add_node(ln__onnx_edit *edit, const char *type, const char *output, const char *const *inputs, int32_t n_inputs)
{
    ln__edit_node(edit, type, output, NULL, inputs, n_inputs);
}

static void put_attribute(ln__onnx_edit *edit, ln__buffer *attribute, const char *name, int type)
{
    ln__put_text(attribute, 1, name);
    ln__put_int(attribute, 20, type);
    ln__put_bytes(&edit->node, 5, attribute->data, attribute->size);
    edit->failed = edit->failed || !attribute->ok;
    ln__buffer_free(attribute);
}

void ln__onnx_node_int(ln__onnx_edit *edit, const char *attribute, int64_t value)
{
    ln__buffer a;

    ln__buffer_init(&a, &edit->ctx);
    ln__put_int(&a, 3, value);
    put_attribute(edit, &a, attribute, LN__ATTR_INT);
}

void ln__onnx_node_ints(ln__onnx_edit *edit, const char *attribute, const int64_t *values, int32_t n)
{
    ln__buffer a;

    ln__buffer_init(&a, &edit->ctx);
    for (int32_t i = 0; i < n; i++)
        ln__put_int(&a, 8, values[i]);
    put_attribute(edit, &a, attribute, LN__ATTR_INTS);
}

void ln__onnx_node_float(ln__onnx_edit *edit, const char *attribute, float value)
{
    ln__buffer a;

    ln__buffer_init(&a, &edit->ctx);
    ln__put_float(&a, 2, value);
    put_attribute(edit, &a, attribute, LN__ATTR_FLOAT);
}

/* ---- Outputs, replacements, metadata ------------------------------------------------------ */

/* Rows: the first input's, or not said where it is symbolic. */
static void put_rows(ln__buffer *shape, const ln__onnx *onnx)
{
    int64_t rows = -1;
    ln__buffer dim;

    for (int32_t i = 0; i < onnx->n_inputs; i++)
        if (onnx->inputs[i].initializer < 0 && onnx->inputs[i].type.rank > 0) {
            rows = onnx->inputs[i].type.dim[0];
            break;
        }
    ln__buffer_init(&dim, shape->ctx);
    if (rows > 0)
        ln__put_int(&dim, 1, rows);
    ln__put_bytes(shape, 1, dim.data, dim.size);
    shape->ok = shape->ok && dim.ok;
    ln__buffer_free(&dim);
}

static void nest(ln__buffer *outer, uint32_t number, ln__buffer *inner)
{
    ln__put_bytes(outer, number, inner->data, inner->size);
    outer->ok = outer->ok && inner->ok;
    ln__buffer_free(inner);
}

void ln__onnx_add_output(ln__onnx_edit *edit, const char *name, int64_t columns)
{
    ln__buffer dim, shape, tensor, type, info;

    ln__buffer_init(&dim, &edit->ctx);
    ln__buffer_init(&shape, &edit->ctx);
    ln__buffer_init(&tensor, &edit->ctx);
    ln__buffer_init(&type, &edit->ctx);
    ln__buffer_init(&info, &edit->ctx);
    put_rows(&shape, edit->onnx);
    ln__put_int(&dim, 1, columns);
    nest(&shape, 1, &dim);
    ln__put_int(&tensor, 1, LN__ONNX_FLOAT);
    nest(&tensor, 2, &shape);
    nest(&type, 1, &tensor);
    ln__put_text(&info, 1, name);
    nest(&info, 2, &type);
    nest(&edit->outputs, 12, &info);
    edit->failed = edit->failed || !edit->outputs.ok;
}

void ln__onnx_replace_input(ln__onnx_edit *edit, int32_t node_index, int32_t input, const char *initializer, int64_t output_columns)
{
    edit->output_columns = output_columns;
    if (LN__RESERVE(&edit->ctx, edit->replacements, edit->replacements_capacity, edit->n_replacements + 1))
        edit->replacements[edit->n_replacements++] = (ln__replacement){ node_index, input, ln__edit_text(edit, initializer) };
    else
        edit->failed = true;
}

void ln__onnx_set_metadata(ln__onnx_edit *edit, const char *key, const char *value)
{
    ln__onnx_metadata_entry entry = { key, ln__edit_text(edit, value) };
    int64_t i = ln__map_get(&edit->metadata_of, key);

    if (i >= 0) {
        edit->metadata[i].value = entry.value;
        return;
    }
    entry.key = ln__edit_text(edit, key);
    if (LN__RESERVE(&edit->ctx, edit->metadata, edit->metadata_capacity, edit->n_metadata + 1) &&
        ln__map_put(&edit->metadata_of, entry.key, (int64_t)edit->n_metadata))
        edit->metadata[edit->n_metadata++] = entry;
    else
        edit->failed = true;
}
