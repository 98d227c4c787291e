/* onnx_save.c - the loaded file with earlier additions taken out and an edit put in. */
#include "onnx/edit.h"

#include <string.h>

/* protobuf's own limit for a message. */
#define MOST_BYTES ((size_t)INT32_MAX)

/* The new file as a list of byte ranges: of the old file, of the edit, and of
 * what is encoded here. */
typedef struct piece { const void *data; size_t size; } piece;
typedef struct pieces { piece *items; size_t count, capacity, bytes; } pieces;

typedef struct save {
    const ln__onnx_edit *edit;
    const ln__onnx *onnx;
    ln__arena arena;
    ln__map touched;            /* values from a replaced input on */
    ln__map added;              /* names the edit brings */
    bool *dropped;              /* [n_tensors]: initializers that nothing reads any more */
    pieces graph, model;
    bool failed;
} save;

static void put(save *s, pieces *to, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (to->count > 0 && (const uint8_t *)to->items[to->count - 1].data + to->items[to->count - 1].size == data) {
        to->items[to->count - 1].size += size;
    } else if (LN__RESERVE(&s->onnx->ctx, to->items, to->capacity, to->count + 1)) {
        to->items[to->count++] = (piece){ data, size };
    } else {
        s->failed = true;
        return;
    }
    s->failed = s->failed || !ln__add_size(to->bytes, size, &to->bytes);
}

/* Bytes made here move to the arena. */
static void put_buffer(save *s, pieces *to, ln__buffer *made)
{
    void *copy = made->ok ? ln__arena_alloc(&s->arena, made->size) : NULL;

    if (copy == NULL) {
        s->failed = true;
    } else if (made->size > 0) {
        memcpy(copy, made->data, made->size);
        put(s, to, copy, made->size);
    }
    ln__buffer_free(made);
}

/* ---- What a replaced layer changes --------------------------------------------------- */

static const char *replaced_input(const save *s, int32_t node, int32_t input)
{
    for (size_t i = 0; i < s->edit->n_replacements; i++)
        if (s->edit->replacements[i].node == node && s->edit->replacements[i].input == input)
            return s->edit->replacements[i].name;
    return NULL;
}

static bool has_replacement(const save *s, int32_t node)
{
    for (size_t i = 0; i < s->edit->n_replacements; i++)
        if (s->edit->replacements[i].node == node)
            return true;
    return false;
}

static bool touch_values(save *s)
{
    for (int32_t i = 0; i < s->onnx->n_nodes; i++) {
        int32_t index = s->onnx->order[i];
        const ln__onnx_node *node = &s->onnx->nodes[index];
        bool touched = !node->ours && has_replacement(s, index);
        for (int32_t k = 0; !touched && k < node->n_in; k++)
            touched = ln__map_get(&s->touched, node->in[k]) >= 0;
        for (int32_t k = 0; touched && k < node->n_out; k++)
            if (!ln__map_put(&s->touched, node->out[k], 0))
                return false;
    }
    return true;
}

/* Weights that only replaced inputs read are not kept. */
static bool drop_unread(save *s)
{
    const ln__onnx *o = s->onnx;

    s->dropped = ln__arena_calloc(&s->arena, (size_t)o->n_tensors, sizeof *s->dropped);
    if (s->dropped == NULL)
        return false;
    for (size_t r = 0; r < s->edit->n_replacements; r++) {
        const ln__replacement *replacement = &s->edit->replacements[r];
        int64_t t = ln__map_get(&o->tensor_of, o->nodes[replacement->node].in[replacement->input]);
        if (t >= 0)
            s->dropped[t] = true;
    }
    for (int32_t i = 0; i < o->n_nodes; i++)
        for (int32_t k = 0; !o->nodes[i].ours && k < o->nodes[i].n_in; k++) {
            int64_t t = replaced_input(s, i, k) != NULL ? -1 : ln__map_get(&o->tensor_of, o->nodes[i].in[k]);
            if (t >= 0)
                s->dropped[t] = false;
        }
    for (int32_t i = 0; i < o->n_outputs; i++) {
        int64_t t = ln__map_get(&o->tensor_of, o->outputs[i].name);
        if (t >= 0)
            s->dropped[t] = false;
    }
    return true;
}

/* ---- Checks ---------------------------------------------------------------------------- */

static ln_status check_replacements(const save *s, ln_error *err)
{
    const ln__onnx *o = s->onnx;

    for (size_t i = 0; i < s->edit->n_replacements; i++) {
        const ln__replacement *r = &s->edit->replacements[i];
        if (r->node < 0 || r->node >= o->n_nodes || o->nodes[r->node].ours || r->input < 0 || r->input >= o->nodes[r->node].n_in)
            return ln__onnx_fail(err, LN_E_ARGUMENT, o, "node %d has no input %d to replace", r->node, r->input);
        if (ln__edit_needs_cast(s->edit, o->nodes[r->node].in[r->input]))
            return ln__onnx_node_fail(err, LN_E_UNSUPPORTED, o, &o->nodes[r->node],
                                      "its weights are not float32: a replaced last layer cannot be saved in such a network");
    }
    return LN_OK;
}

static ln_status add_name(save *s, const char *name, ln_error *err)
{
    if (ln__map_get(&s->added, name) >= 0)
        return ln__onnx_fail(err, LN_E_ARGUMENT, s->onnx, "'" LN__CUT "' is added twice", name);
    return ln__map_put(&s->added, name, 0) ? LN_OK : ln__onnx_nomem(err, s->onnx);
}

static ln_status check_free(const save *s, const char *name, ln_error *err)
{
    if (ln__map_get(&s->added, name) < 0)
        return LN_OK;
    return ln__onnx_fail(err, LN_E_MISMATCH, s->onnx, "the network has a value '" LN__CUT "', which exits need for their own", name);
}

static ln_status check_names(save *s, ln_error *err)
{
    const ln__onnx *o = s->onnx;
    ln_status st = check_replacements(s, err);

    for (size_t i = 0; st == LN_OK && i < s->edit->n_tensors; i++)
        st = add_name(s, s->edit->tensors[i].name, err);
    for (size_t i = 0; st == LN_OK && i < s->edit->n_names; i++)
        st = add_name(s, s->edit->names[i], err);
    for (int32_t i = 0; st == LN_OK && i < o->n_tensors; i++)
        st = o->tensors[i].ours ? LN_OK : check_free(s, o->tensors[i].name, err);
    for (int32_t i = 0; st == LN_OK && i < o->n_inputs; i++)
        st = check_free(s, o->inputs[i].name, err);
    for (int32_t i = 0; st == LN_OK && i < o->n_nodes; i++) {
        const ln__onnx_node *node = &o->nodes[i];
        for (int32_t k = 0; st == LN_OK && !node->ours && k < node->n_out; k++)
            st = check_free(s, node->out[k], err);
        for (int32_t k = 0; st == LN_OK && !node->ours && k < node->n_in; k++) {
            const char *name = replaced_input(s, i, k);
            name = name == NULL ? node->in[k] : name;
            if (ln__onnx_is_ours(name) && ln__map_get(&s->added, name) < 0
                && (ln__map_get(&o->tensor_of, name) < 0 || o->tensors[ln__map_get(&o->tensor_of, name)].ours))
                st = ln__onnx_node_fail(err, LN_E_STATE, o, node, "reads '" LN__CUT "', which is not among what is saved", name);
        }
    }
    return st;
}

/* ---- Fields of GraphProto ------------------------------------------------------------------ */

static void put_text(save *s, pieces *to, uint32_t number, const char *text)
{
    ln__buffer field;

    ln__buffer_init(&field, &s->onnx->ctx);
    ln__put_text(&field, number, text);
    put_buffer(s, to, &field);
}

/* A message of what was gathered, which is freed. */
static void put_message(save *s, pieces *to, uint32_t number, pieces *body)
{
    ln__buffer head;

    ln__buffer_init(&head, &s->onnx->ctx);
    ln__put_head(&head, number, body->bytes);
    put_buffer(s, to, &head);
    for (size_t i = 0; i < body->count; i++)
        put(s, to, body->items[i].data, body->items[i].size);
    ln__free(&s->onnx->ctx, body->items);
}

/* A TensorProto whose external data comes into the file, of GraphProto or AttributeProto. */
static void put_external(save *s, pieces *to, const ln__onnx_external_data *external, const ln__field *field)
{
    ln__wire wire = ln__wire_make(field->data, field->size);
    pieces body = { 0 };
    ln__buffer head;
    ln__field f;

    while (ln__wire_next(&wire, &f))
        if (f.key >> 3 != 13 && f.key >> 3 != 14)
            put(s, &body, f.start, (size_t)(wire.at - f.start));
    ln__buffer_init(&head, &s->onnx->ctx);
    ln__put_head(&head, 9, external->size);
    put_buffer(s, &body, &head);
    put(s, &body, external->data, external->size);
    put_message(s, to, 5, &body);
}

static void put_attribute(save *s, pieces *to, const ln__onnx_attr *a, const ln__field *field, size_t span)
{
    ln__wire wire = ln__wire_make(field->data, field->size);
    pieces body = { 0 };
    ln__field f;

    if (a->external.data == NULL) {
        put(s, to, field->start, span);
        return;
    }
    while (ln__wire_next(&wire, &f))
        if (f.key == LN__WIRE_KEY(5, LN__WIRE_BYTES))
            put_external(s, &body, &a->external, &f);
        else
            put(s, &body, f.start, (size_t)(wire.at - f.start));
    put_message(s, to, 5, &body);
}

static bool has_external(const ln__onnx_node *node)
{
    for (int32_t i = 0; i < node->n_attrs; i++)
        if (node->attrs[i].external.data != NULL)
            return true;
    return false;
}

static void put_node(save *s, int32_t index)
{
    const ln__onnx_node *node = &s->onnx->nodes[index];
    ln__wire outer = ln__wire_make(node->start, node->size), wire;
    int32_t input = 0, attribute = 0;
    pieces body = { 0 };
    ln__field f;

    if (!has_replacement(s, index) && !has_external(node)) {
        put(s, &s->graph, node->start, node->size);
        return;
    }
    ln__wire_next(&outer, &f);
    wire = ln__wire_make(f.data, f.size);
    while (ln__wire_next(&wire, &f)) {
        size_t span = (size_t)(wire.at - f.start);
        const char *name = f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES) ? replaced_input(s, index, input++) : NULL;
        if (name != NULL)
            put_text(s, &body, 1, name);
        else if (f.key == LN__WIRE_KEY(5, LN__WIRE_BYTES))
            put_attribute(s, &body, &node->attrs[attribute++], &f, span);
        else
            put(s, &body, f.start, span);
    }
    put_message(s, &s->graph, 1, &body);
}

/* A ValueInfoProto copied down to its shape (fields 2, 1, 2): dimension 1 becomes
 * `width`, or with width 0 the shape is left out. */
static void copy_value_info(ln__buffer *out, const uint8_t *data, size_t size, int level, int64_t width)
{
    static const uint64_t path[] = { 2, 1, 2 };
    ln__wire wire = ln__wire_make(data, size);
    int dim = 0;
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        ln__buffer inner;
        bool on_path = level < 3 && f.key == LN__WIRE_KEY(path[level], LN__WIRE_BYTES);
        ln__buffer_init(&inner, out->ctx);
        if (level == 2 && on_path && width == 0)
            continue;
        if (on_path) {
            copy_value_info(&inner, f.data, f.size, level + 1, width);
            ln__put_bytes(out, (uint32_t)path[level], inner.data, inner.size);
        } else if (level == 3 && f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES) && dim++ == 1) {
            ln__put_int(&inner, 1, width);
            ln__put_bytes(out, 1, inner.data, inner.size);
        } else {
            ln__buffer_put(out, f.start, (size_t)(wire.at - f.start));
        }
        out->ok = out->ok && inner.ok;
        ln__buffer_free(&inner);
    }
}

static void put_output(save *s, int32_t index, const ln__field *f, size_t span)
{
    const ln__onnx_value *v = &s->onnx->outputs[index];
    int32_t first = 0;
    ln__buffer info, whole;

    if (v->ours)
        return;
    if (ln__map_get(&s->touched, v->name) < 0) {
        put(s, &s->graph, f->start, span);
        return;
    }
    while (s->onnx->outputs[first].ours)
        first++;
    ln__buffer_init(&info, &s->onnx->ctx);
    ln__buffer_init(&whole, &s->onnx->ctx);
    copy_value_info(&info, f->data, f->size, 0, index == first ? s->edit->output_columns : 0);
    ln__put_bytes(&whole, 12, info.data, info.size);
    whole.ok = whole.ok && info.ok;
    ln__buffer_free(&info);
    put_buffer(s, &s->graph, &whole);
}

/* Whether a value_info states the type of something that is still as it was. */
static bool still_true(const save *s, const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    char name[512];
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        if (f.key != LN__WIRE_KEY(1, LN__WIRE_BYTES))
            continue;
        if (f.size >= sizeof name)
            return false;
        memcpy(name, f.data, f.size);
        name[f.size] = '\0';
        return !ln__onnx_is_ours(name) && ln__map_get(&s->touched, name) < 0 && ln__map_get(&s->added, name) < 0;
    }
    return false;
}

static void copy_graph(save *s)
{
    const ln__onnx *o = s->onnx;
    ln__wire wire = ln__wire_make(o->graph, o->graph_size);
    int32_t nodes = 0, tensors = 0, inputs = 0, outputs = 0;
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        size_t span = (size_t)(wire.at - f.start);
        bool keep = true;
        switch (f.key) {
        case LN__WIRE_KEY(1, LN__WIRE_BYTES):
            /* A file that is not in order is put in order. */
            if (!o->nodes[o->order[nodes]].ours)
                put_node(s, o->order[nodes]);
            nodes++;
            keep = false;
            break;
        case LN__WIRE_KEY(5, LN__WIRE_BYTES):
            keep = !o->tensors[tensors].ours && !s->dropped[tensors] && o->tensors[tensors].external.data == NULL;
            if (!o->tensors[tensors].ours && !s->dropped[tensors] && !keep)
                put_external(s, &s->graph, &o->tensors[tensors].external, &f);
            tensors++;
            break;
        case LN__WIRE_KEY(11, LN__WIRE_BYTES):
            keep = o->inputs[inputs].initializer < 0
                || (!o->tensors[o->inputs[inputs].initializer].ours && !s->dropped[o->inputs[inputs].initializer]);
            inputs++;
            break;
        case LN__WIRE_KEY(12, LN__WIRE_BYTES):
            put_output(s, outputs++, &f, span);
            keep = false;
            break;
        case LN__WIRE_KEY(13, LN__WIRE_BYTES):
            keep = still_true(s, &f);
            break;
        default:
            break;
        }
        if (keep)
            put(s, &s->graph, f.start, span);
    }
}

static void append_additions(save *s)
{
    const ln__onnx_edit *edit = s->edit;

    for (size_t i = 0; i < edit->n_tensors; i++) {
        const ln__added_tensor *t = &edit->tensors[i];
        ln__buffer head;
        ln__buffer_init(&head, &s->onnx->ctx);
        ln__put_head(&head, 5, t->head_size + t->size);
        ln__buffer_put(&head, t->head, t->head_size);
        put_buffer(s, &s->graph, &head);
        put(s, &s->graph, t->data, t->size);
    }
    put(s, &s->graph, edit->nodes.data, edit->nodes.size);
    put(s, &s->graph, edit->outputs.data, edit->outputs.size);
}

/* ---- Fields of ModelProto ------------------------------------------------------------------- */

static bool is_our_metadata(const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    bool ours = false;
    ln__field f;

    while (ln__wire_next(&wire, &f))
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES))
            ours = f.size >= 7 && memcmp(f.data, "leenet.", 7) == 0;
    return ours;
}

static void copy_model(save *s)
{
    const ln__onnx *o = s->onnx;
    ln__wire wire = ln__wire_make(o->data, o->size);
    bool raise = o->ir_version < 4 && s->edit->n_tensors > 0;
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        ln__buffer made;
        ln__buffer_init(&made, &o->ctx);
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_VARINT) && raise) {
            ln__put_int(&made, 1, 4);       /* the first where initializers need not be inputs */
            put_buffer(s, &s->model, &made);
        } else if (f.key == LN__WIRE_KEY(7, LN__WIRE_BYTES)) {
            put_message(s, &s->model, 7, &s->graph);
        } else if (f.key != LN__WIRE_KEY(14, LN__WIRE_BYTES) || !is_our_metadata(&f)) {
            put(s, &s->model, f.start, (size_t)(wire.at - f.start));
        }
    }
}

static void append_metadata(save *s)
{
    ln__buffer all;

    ln__buffer_init(&all, &s->onnx->ctx);
    for (size_t i = 0; i < s->edit->n_metadata; i++) {
        ln__buffer entry;
        ln__buffer_init(&entry, &s->onnx->ctx);
        ln__put_text(&entry, 1, s->edit->metadata[i].key);
        ln__put_text(&entry, 2, s->edit->metadata[i].value);
        ln__put_bytes(&all, 14, entry.data, entry.size);
        all.ok = all.ok && entry.ok;
        ln__buffer_free(&entry);
    }
    put_buffer(s, &s->model, &all);
}

/* ---- Saving ------------------------------------------------------------------------------------ */

static ln_status lay_out(save *s, ln_error *err)
{
    ln_status st;

    if (s->edit->failed)
        return ln__onnx_nomem(err, s->onnx);
    st = check_names(s, err);
    if (st < 0)
        return st;
    if (!touch_values(s) || !drop_unread(s))
        return ln__onnx_nomem(err, s->onnx);
    copy_graph(s);
    append_additions(s);
    copy_model(s);
    append_metadata(s);
    if (s->failed)
        return ln__onnx_nomem(err, s->onnx);
    if (s->model.bytes > MOST_BYTES)
        return ln__onnx_fail(err, LN_E_LIMIT, s->onnx, "would have %zu bytes in one file, ONNX allows %zu", s->model.bytes, MOST_BYTES);
    return LN_OK;
}

static ln_status write_file(const save *s, const char *path, ln_error *err)
{
    ln__writer writer;
    ln_status st = ln__writer_open(&writer, &s->onnx->ctx, path, err);

    if (st < 0)
        return st;
    for (size_t i = 0; i < s->model.count; i++)
        ln__writer_put(&writer, s->model.items[i].data, s->model.items[i].size);
    return ln__writer_commit(&writer, err);
}

ln_status ln__onnx_save(ln__onnx_edit *edit, const char *path, ln_error *err)
{
    save s = { .edit = edit, .onnx = edit->onnx };
    ln_status st;

    ln__edit_close_node(edit);
    ln__arena_init(&s.arena, &edit->ctx, 0);
    ln__map_init(&s.touched, &s.arena);
    ln__map_init(&s.added, &s.arena);
    st = lay_out(&s, err);
    if (st == LN_OK)
        st = write_file(&s, path, err);
    ln__free(&edit->ctx, s.model.items);
    ln__arena_free(&s.arena);
    return st;
}
