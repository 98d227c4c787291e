/* onnx_load.c - ModelProto: versions, metadata, where the graph lies. */
#include "onnx/parsed.h"

#include <string.h>

enum { FIRST_OPSET = 6, LAST_OPSET = 25 };
#define DEFAULT_FILE_BYTES   ((uint64_t)2 << 30)
#define DEFAULT_MEMORY_BYTES ((uint64_t)4 << 30)

/* ---- Messages ---------------------------------------------------------------- */

ln_status ln__onnx_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const char *format, ...)
{
    char text[400];
    va_list args;

    if (err == NULL)
        return status;
    va_start(args, format);
    ln__vformat(text, sizeof text, format, args);
    va_end(args);
    return ln__fail(err, status, "%.120s: %s", onnx->label, text);
}

const char *ln__onnx_node_text(char out[LN__NODE_TEXT], const ln__onnx *onnx, const ln__onnx_node *node)
{
    snprintf(out, LN__NODE_TEXT, "node %d '%.60s' (%.40s)", (int)(node - onnx->nodes),
             node->name[0] == '\0' && node->n_out > 0 ? node->out[0] : node->name,
             node->type[0] == '\0' ? "no operator" : node->type);
    return out;
}

ln_status ln__onnx_node_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const ln__onnx_node *node,
                             const char *format, ...)
{
    char text[320], which[LN__NODE_TEXT];
    va_list args;

    if (err == NULL)
        return status;
    va_start(args, format);
    ln__vformat(text, sizeof text, format, args);
    va_end(args);
    ln__fail(err, status, "%.80s: %s: %s", onnx->label, ln__onnx_node_text(which, onnx, node), text);
    err->detail = (int32_t)(node - onnx->nodes);
    return status;
}

ln_status ln__onnx_nomem(ln_error *err, const ln__onnx *onnx)
{
    return ln__fail_nomem(err, &onnx->ctx, 0);
}

void ln__onnx_room(ln__arena *arena, size_t bytes, size_t per_byte)
{
    size_t more;

    if (!ln__mul_size(bytes, per_byte, &more) || !ln__add_size(arena->limit, more, &arena->limit))
        arena->limit = SIZE_MAX;
}

ln_status ln__onnx_limited(ln_status st, const ln__onnx *onnx, const ln__arena *arena, ln_error *err)
{
    if (st != LN_E_NOMEM || !arena->full)
        return st;
    return ln__onnx_fail(err, LN_E_LIMIT, onnx, "needs more memory than a file of its size is given, %zu bytes", arena->limit);
}

bool ln__onnx_is_ours(const char *name)
{
    return strncmp(name, LN__ONNX_PREFIX, sizeof LN__ONNX_PREFIX - 1) == 0;
}

ln_status ln__onnx_text(const char **out, ln__onnx *onnx, const ln__field *field, const char *what, ln_error *err)
{
    const char *text = (const char *)field->data;

    if (field->size > 0 && memchr(text, '\0', field->size) != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s has a zero byte in its name", what);
    if (!ln__utf8_valid(text, field->size))
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "%s has a name that is not UTF-8", what);
    *out = ln__arena_strndup(&onnx->arena, text, field->size);
    return *out == NULL ? ln__onnx_nomem(err, onnx) : LN_OK;
}

/* ---- ModelProto ---------------------------------------------------------------- */

static ln_status read_opset(ln__onnx *onnx, const ln__field *message, ln_error *err)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    const char *domain = "";
    int64_t version = 0;
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES)) {
            ln_status st = ln__onnx_text(&domain, onnx, &f, "an opset_import", err);
            if (st < 0)
                return st;
        } else if (f.key == LN__WIRE_KEY(2, LN__WIRE_VARINT)) {
            version = (int64_t)f.value;
        }
    }
    if (wire.problem != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "an opset_import %s", wire.problem);
    if (domain[0] != '\0' && strcmp(domain, "ai.onnx") != 0) {
        onnx->domains[onnx->n_domains++] = domain;
        return LN_OK;
    }
    if (version < 1)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "the opset version is %lld", (long long)version);
    if (version < FIRST_OPSET || version > LAST_OPSET)
        return ln__onnx_fail(err, LN_E_UNSUPPORTED, onnx,
                             "opset %lld; %d to %d are known, export with one of them (or use onnx.version_converter)",
                             (long long)version, FIRST_OPSET, LAST_OPSET);
    if (onnx->opset != 0 && onnx->opset != version)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "two opsets of the default domain: %lld and %lld",
                             (long long)onnx->opset, (long long)version);
    onnx->opset = version;
    return LN_OK;
}

static ln_status read_metadata(ln__onnx *onnx, const ln__field *message, ln_error *err)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    ln__onnx_metadata_entry *entry = &onnx->metadata[onnx->n_metadata];
    ln__field f;

    entry->key = entry->value = "";
    while (ln__wire_next(&wire, &f)) {
        const char **to = f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES) ? &entry->key
                        : f.key == LN__WIRE_KEY(2, LN__WIRE_BYTES) ? &entry->value : NULL;
        if (to != NULL) {
            *to = ln__arena_strndup(&onnx->arena, (const char *)f.data, f.size);
            if (*to == NULL)
                return ln__onnx_nomem(err, onnx);
        }
    }
    if (wire.problem != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "a metadata_props entry %s", wire.problem);
    if (ln__map_get(&onnx->metadata_of, entry->key) < 0 &&
        !ln__map_put(&onnx->metadata_of, entry->key, (int64_t)onnx->n_metadata))
        return ln__onnx_nomem(err, onnx);
    onnx->n_metadata++;
    return LN_OK;
}

static ln_status read_field(ln__onnx *onnx, const ln__field *f, ln_error *err)
{
    switch (f->key) {
    case LN__WIRE_KEY(1, LN__WIRE_VARINT):
        onnx->ir_version = (int64_t)f->value;
        return LN_OK;
    case LN__WIRE_KEY(2, LN__WIRE_BYTES):
        return ln__onnx_text(&onnx->producer_name, onnx, f, "the producer", err);
    case LN__WIRE_KEY(3, LN__WIRE_BYTES):
        return ln__onnx_text(&onnx->producer_version, onnx, f, "the producer's version", err);
    case LN__WIRE_KEY(7, LN__WIRE_BYTES):
        if (onnx->graph != NULL)
            return ln__onnx_fail(err, LN_E_FORMAT, onnx, "has two graphs");
        onnx->graph = f->data;
        onnx->graph_size = f->size;
        return LN_OK;
    case LN__WIRE_KEY(8, LN__WIRE_BYTES):
        return read_opset(onnx, f, err);
    case LN__WIRE_KEY(14, LN__WIRE_BYTES):
        return read_metadata(onnx, f, err);
    default:
        return LN_OK;
    }
}

static ln_status count_fields(ln__onnx *onnx, ln_error *err)
{
    ln__wire wire = ln__wire_make(onnx->data, onnx->size);
    size_t domains = 0, entries = 0;
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        domains += f.key == LN__WIRE_KEY(8, LN__WIRE_BYTES);
        entries += f.key == LN__WIRE_KEY(14, LN__WIRE_BYTES);
    }
    if (wire.problem != NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "is not an ONNX file or is damaged: it %s (byte %zu of %zu)",
                             wire.problem, (size_t)(wire.at - onnx->data), onnx->size);
    if (domains > LN__MOST_METADATA || entries > LN__MOST_METADATA)
        return ln__onnx_fail(err, LN_E_LIMIT, onnx, "has over %d opset_import or metadata_props entries", LN__MOST_METADATA);
    onnx->domains = ln__arena_calloc(&onnx->arena, domains, sizeof *onnx->domains);
    onnx->metadata = ln__arena_calloc(&onnx->arena, entries, sizeof *onnx->metadata);
    return onnx->domains == NULL || onnx->metadata == NULL ? ln__onnx_nomem(err, onnx) : LN_OK;
}

static ln_status join_producer(ln__onnx *onnx, ln_error *err)
{
    size_t name = strlen(onnx->producer_name), version = strlen(onnx->producer_version);
    char *text = ln__arena_alloc(&onnx->arena, name + version + 2);

    if (text == NULL)
        return ln__onnx_nomem(err, onnx);
    memcpy(text, onnx->producer_name, name);
    text[name] = ' ';
    memcpy(text + name + 1, onnx->producer_version, version + 1);
    if (version == 0 || name == 0)
        text[name] = '\0';
    onnx->producer = text;
    return LN_OK;
}

static ln_status parse_model(ln__onnx *onnx, ln_error *err)
{
    ln_status st = count_fields(onnx, err);
    ln__wire wire = ln__wire_make(onnx->data, onnx->size);
    ln__field f;

    if (st < 0)
        return st;
    while (ln__wire_next(&wire, &f)) {
        st = read_field(onnx, &f, err);
        if (st < 0)
            return st;
    }
    if (onnx->graph == NULL)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "is not an ONNX model: it has no graph");
    if (onnx->ir_version < 1)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "is not an ONNX model: its ir_version is %lld", (long long)onnx->ir_version);
    if (onnx->opset == 0)
        return ln__onnx_fail(err, LN_E_FORMAT, onnx, "imports no opset of the default domain");
    st = join_producer(onnx, err);
    if (st < 0)
        return st;
    st = ln__parse_graph(onnx, err);
    return st < 0 ? st : ln__check_graph(onnx, err);
}

/* ---- Opening -------------------------------------------------------------------- */

static ln_status new_onnx(ln__onnx **out, const ln__ctx *ctx, const char *path, const ln__onnx_limits *limits, ln_error *err)
{
    ln__onnx *onnx = ln__calloc(ctx, 1, sizeof *onnx);

    *out = NULL;
    if (onnx == NULL)
        return ln__fail_nomem(err, ctx, sizeof *onnx);
    onnx->ctx = *ctx;
    ln__arena_init(&onnx->arena, &onnx->ctx, 0);
    onnx->max_file_bytes = limits != NULL && limits->max_file_bytes != 0 ? limits->max_file_bytes : DEFAULT_FILE_BYTES;
    onnx->max_external_bytes = limits != NULL ? limits->max_file_bytes : 0;
    onnx->max_bytes = limits != NULL && limits->max_bytes != 0 ? limits->max_bytes : DEFAULT_MEMORY_BYTES;
    onnx->producer_name = onnx->producer_version = onnx->producer = "";
    onnx->path = ln__arena_strndup(&onnx->arena, path, strlen(path));
    onnx->label = path[0] == '\0' ? "model in memory" : onnx->path;
    ln__map_init(&onnx->tensor_of, &onnx->arena);
    ln__map_init(&onnx->input_of, &onnx->arena);
    ln__map_init(&onnx->metadata_of, &onnx->arena);
    ln__map_init(&onnx->external_of, &onnx->arena);
    if (onnx->path == NULL) {
        ln__onnx_free(onnx);
        return ln__fail_nomem(err, ctx, 0);
    }
    *out = onnx;
    return LN_OK;
}

static ln_status finish(ln__onnx **out, ln__onnx *onnx, ln_status st, ln_error *err)
{
    if (st == LN_OK) {
        onnx->arena.limit = LN__ROOM;
        ln__onnx_room(&onnx->arena, onnx->size, LN__ROOM_PER_BYTE);
        st = ln__onnx_limited(parse_model(onnx, err), onnx, &onnx->arena, err);
    }
    if (st < 0)
        ln__onnx_free(onnx);
    else
        *out = onnx;
    return st;
}

ln_status ln__onnx_load(ln__onnx **out, const ln__ctx *ctx, const char *path,
                        const ln__onnx_limits *limits, ln_error *err)
{
    ln__onnx *onnx;
    ln_status st = new_onnx(&onnx, ctx, path, limits, err);

    *out = NULL;
    if (st < 0)
        return st;
    st = ln__file_map(&onnx->file, path, onnx->max_file_bytes, err);
    onnx->data = onnx->file.data;
    onnx->size = onnx->file.size;
    return finish(out, onnx, st, err);
}

ln_status ln__onnx_load_memory(ln__onnx **out, const ln__ctx *ctx, const void *data, size_t size,
                               const ln__onnx_limits *limits, ln_error *err)
{
    ln__onnx *onnx;
    ln_status st = new_onnx(&onnx, ctx, "", limits, err);

    *out = NULL;
    if (st < 0)
        return st;
    if (size > onnx->max_file_bytes) {
        st = ln__onnx_fail(err, LN_E_LIMIT, onnx, "has %zu bytes, the limit is %llu", size,
                           (unsigned long long)onnx->max_file_bytes);
    } else {
        onnx->copy = ln__alloc(ctx, size);
        if (onnx->copy == NULL)
            st = ln__fail_nomem(err, ctx, size);
        else if (size > 0)
            memcpy(onnx->copy, data, size);
        onnx->data = onnx->copy;
        onnx->size = size;
    }
    return finish(out, onnx, st, err);
}

void ln__onnx_free(ln__onnx *onnx)
{
    ln__ctx ctx;

    if (onnx == NULL)
        return;
    ctx = onnx->ctx;
    for (size_t i = 0; i < onnx->n_externals; i++)
        ln__file_unmap(&onnx->externals[i]);
    ln__free(&ctx, onnx->externals);
    ln__file_unmap(&onnx->file);
    ln__free(&ctx, onnx->copy);
    ln__arena_free(&onnx->arena);
    ln__free(&ctx, onnx);
}

/* ---- What it says ----------------------------------------------------------------- */

const char *ln__onnx_metadata(const ln__onnx *onnx, const char *key)
{
    int64_t i = ln__map_get(&onnx->metadata_of, key);

    return i < 0 ? NULL : onnx->metadata[i].value;
}

const char *ln__onnx_metadata_at(const ln__onnx *onnx, size_t i, const char **value)
{
    if (i >= onnx->n_metadata)
        return NULL;
    *value = onnx->metadata[i].value;
    return onnx->metadata[i].key;
}

bool ln__onnx_addition(const ln__onnx *onnx, const char *name, ln__tensor *out)
{
    int64_t i = ln__map_get(&onnx->tensor_of, name);

    if (i < 0 || !onnx->tensors[i].ours)
        return false;
    *out = onnx->tensors[i].tensor;
    return true;
}

int64_t ln__onnx_opset(const ln__onnx *onnx) { return onnx->opset; }
const char *ln__onnx_producer(const ln__onnx *onnx) { return onnx->producer; }
