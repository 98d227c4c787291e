/* parse_tensor.c - TensorProto to a tensor: a view where the file has float32
 * or int64 as they are needed, a converted copy otherwise. */
#include "onnx/parsed.h"

#include <string.h>

typedef struct source {
    const char *owner, *name;
    int64_t dims[LN__MAX_RANK];
    int32_t rank;
    int64_t type;
    bool has_raw, external, segmented;
    const uint8_t *raw; size_t raw_size;
    size_t typed[12];                   /* elements in typed field 4, 5, 6, 7, 10, 11 */
    const uint8_t *run; size_t run_size, runs;  /* the last packed run of float_data */
    const char *location;
    uint64_t offset, length; bool has_length;
    const char *problem;
} source;

static const struct { const char *name; uint8_t size, field; bool is_float; } types[] = {
    [LN__ONNX_FLOAT]    = { "float32", 4, 4, true },    [LN__ONNX_UINT8]   = { "uint8", 1, 5, false },
    [LN__ONNX_INT8]     = { "int8", 1, 5, false },      [LN__ONNX_UINT16]  = { "uint16", 2, 5, false },
    [LN__ONNX_INT16]    = { "int16", 2, 5, false },     [LN__ONNX_INT32]   = { "int32", 4, 5, false },
    [LN__ONNX_INT64]    = { "int64", 8, 7, false },     [LN__ONNX_STRING]  = { "string", 0, 6, false },
    [LN__ONNX_BOOL]     = { "bool", 1, 5, false },      [LN__ONNX_FLOAT16] = { "float16", 2, 5, true },
    [LN__ONNX_DOUBLE]   = { "float64", 8, 10, true },   [LN__ONNX_UINT32]  = { "uint32", 4, 11, false },
    [LN__ONNX_UINT64]   = { "uint64", 8, 11, false },   [LN__ONNX_COMPLEX64] = { "complex64", 0, 4, false },
    [LN__ONNX_COMPLEX128] = { "complex128", 0, 10, false }, [LN__ONNX_BFLOAT16] = { "bfloat16", 2, 5, true },
};

static bool known(int32_t type) { return type > 0 && (size_t)type < LN__COUNT(types); }
size_t ln__onnx_type_size(int32_t type) { return known(type) ? types[type].size : 0; }
bool ln__onnx_type_is_float(int32_t type) { return known(type) && types[type].is_float; }
const char *ln__onnx_type_name(int32_t type)
{
    return known(type) ? types[type].name : type == 0 ? "undefined" : "of an 8-bit float, 4-bit or unknown type";
}

/* Wire type of the elements of a typed field. */
static int typed_wire(int field)
{
    return field == 4 ? LN__WIRE_FIXED32 : field == 10 ? LN__WIRE_FIXED64 : LN__WIRE_VARINT;
}

/* ---- Gathering what the message says -------------------------------------------- */

static void gather_dims(source *s, const ln__field *f)
{
    ln__wire run = ln__wire_make(f->data, f->size);
    uint64_t value = f->value;
    bool packed = (f->key & 7) == LN__WIRE_BYTES;

    while (packed ? ln__wire_packed(&run, LN__WIRE_VARINT, &value) : run.problem == NULL) {
        if (s->rank == LN__MAX_RANK) {
            s->problem = "has more than 8 dimensions";
            return;
        }
        s->dims[s->rank++] = (int64_t)value;
        if (!packed)
            return;
    }
    if (run.problem != NULL)
        s->problem = run.problem;
}

static ln_status gather_external(source *s, ln__onnx *onnx, const ln__field *message, ln_error *err)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    const char *key = "", *value = "";
    ln_status st = LN_OK;
    ln__field f;

    while (st == LN_OK && ln__wire_next(&wire, &f)) {
        if (f.key == LN__WIRE_KEY(1, LN__WIRE_BYTES))
            st = ln__onnx_text(&key, onnx, &f, "an external_data key", err);
        else if (f.key == LN__WIRE_KEY(2, LN__WIRE_BYTES))
            st = ln__onnx_text(&value, onnx, &f, "an external_data value", err);
    }
    if (st < 0)
        return st;
    if (wire.problem != NULL)
        s->problem = wire.problem;
    else if (strcmp(key, "location") == 0)
        s->location = value;
    else if (strcmp(key, "offset") == 0 && !ln__parse_uint(value, &s->offset))
        s->problem = "has an external_data offset that is not a number";
    else if (strcmp(key, "length") == 0) {
        s->has_length = true;
        if (!ln__parse_uint(value, &s->length))
            s->problem = "has an external_data length that is not a number";
    }
    return LN_OK;
}

static void gather_typed(source *s, const ln__field *f)
{
    int field = (int)(f->key >> 3), wire = (int)(f->key & 7);

    if (wire == LN__WIRE_BYTES && field != 6) {
        s->typed[field] += ln__wire_count(ln__wire_make(f->data, f->size), typed_wire(field), &s->problem);
        if (field == 4) {
            s->run = f->data;
            s->run_size = f->size;
            s->runs += f->size > 0;
        }
    } else if (wire == (field == 6 ? LN__WIRE_BYTES : typed_wire(field))) {
        s->typed[field]++;
        s->runs += 2;                   /* one by one: no run to view */
    }
}

static ln_status gather(source *s, ln__onnx *onnx, const ln__field *message, ln_error *err)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    ln_status st = LN_OK;
    ln__field f;

    while (st == LN_OK && ln__wire_next(&wire, &f)) {
        switch (f.key >> 3) {
        case 1:
            if ((f.key & 7) == LN__WIRE_VARINT || (f.key & 7) == LN__WIRE_BYTES)
                gather_dims(s, &f);
            break;
        case 2:
            if ((f.key & 7) == LN__WIRE_VARINT)
                s->type = (int64_t)f.value;
            break;
        case 3: s->segmented = true; break;
        case 4: case 5: case 6: case 7: case 10: case 11: gather_typed(s, &f); break;
        case 8:
            if ((f.key & 7) == LN__WIRE_BYTES)
                st = ln__onnx_text(&s->name, onnx, &f, s->owner, err);
            break;
        case 9:
            if ((f.key & 7) == LN__WIRE_BYTES) {
                s->has_raw = true;
                s->raw = f.data;
                s->raw_size = f.size;
            }
            break;
        case 13:
            if ((f.key & 7) == LN__WIRE_BYTES)
                st = gather_external(s, onnx, &f, err);
            break;
        case 14: s->external = (f.key & 7) == LN__WIRE_VARINT && f.value == 1; break;
        default: break;
        }
    }
    if (wire.problem != NULL)
        s->problem = wire.problem;
    return st;
}

/* ---- Checking --------------------------------------------------------------------- */

/* "initializer 'w'"; a tensor without a name goes by its owner's. */
enum { CALLED = 320 };
static const char *called(char out[CALLED], const source *s)
{
    snprintf(out, CALLED, s->name[0] == '\0' ? "%s%s" : "%s '" LN__CUT "'", s->owner, s->name);
    return out;
}

static ln_status tensor_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const source *s,
                             const char *format, ...) LN__PRINTF(5, 6);
static ln_status tensor_fail(ln_error *err, ln_status status, const ln__onnx *onnx, const source *s,
                             const char *format, ...)
{
    char text[240], what[CALLED];
    va_list args;

    va_start(args, format);
    ln__vformat(text, sizeof text, format, args);
    va_end(args);
    return ln__onnx_fail(err, status, onnx, "%s %s", called(what, s), text);
}

/* Elements by the dims, if they and their bytes can be counted. */
static ln_status count_elements(const source *s, const ln__onnx *onnx, size_t *count, ln_error *err)
{
    size_t elements = 1, bytes;
    bool ok = true;

    for (int32_t i = 0; i < s->rank; i++) {
        if (s->dims[i] < 0)
            return tensor_fail(err, LN_E_FORMAT, onnx, s, "has a dimension of %lld", (long long)s->dims[i]);
        ok = ok && ln__mul_size(elements, (size_t)s->dims[i], &elements);
    }
    if (!ok || !ln__mul_size(elements, 8, &bytes) || elements > (size_t)1 << 48)
        return tensor_fail(err, LN_E_FORMAT, onnx, s, "has dimensions whose product is out of range");
    *count = elements;
    return LN_OK;
}

static ln_status check_source(const source *s, const ln__onnx *onnx, size_t elements, ln_error *err)
{
    int field = types[s->type].field;
    size_t bytes = elements * types[s->type].size, other = 0;

    for (int i = 4; i < 12; i++)
        other += i == field ? 0 : s->typed[i];
    if (s->external && (s->has_raw || s->typed[field] + other > 0))
        return tensor_fail(err, LN_E_FORMAT, onnx, s, "has data both here and in another file");
    if (s->external)
        return !s->has_length || s->length == bytes ? LN_OK
             : tensor_fail(err, LN_E_FORMAT, onnx, s, "needs %zu bytes, its external data states %llu",
                           bytes, (unsigned long long)s->length);
    if (s->has_raw && s->typed[field] + other > 0)
        return tensor_fail(err, LN_E_FORMAT, onnx, s, "has both raw_data and typed data");
    if (other > 0)
        return tensor_fail(err, LN_E_FORMAT, onnx, s, "is %s, but its data is stored as another type", types[s->type].name);
    if (s->has_raw && s->raw_size != bytes)
        return tensor_fail(err, LN_E_FORMAT, onnx, s, "has %zu bytes of raw_data, its dims need %zu", s->raw_size, bytes);
    if (!s->has_raw && s->typed[field] != elements)
        return tensor_fail(err, LN_E_FORMAT, onnx, s, "has %zu values, its dims need %zu", s->typed[field], elements);
    return LN_OK;
}

/* ---- Converting -------------------------------------------------------------------- */

static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;

    if (exponent == 31)
        return ln__float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent != 0)
        return ln__float_of(sign | (exponent + 112) << 23 | fraction << 13);
    return ln__float_of(sign | 0x3f800000) * ((float)fraction * 0x1p-24f);
}

/* One element's stored bits (zero-extended, or a typed field's varint) as float or integer. */
static float float_from(int64_t type, uint64_t bits)
{
    switch (type) {
    case LN__ONNX_DOUBLE:   return (float)ln__double_of(bits);
    case LN__ONNX_FLOAT16:  return from_half((uint16_t)bits);
    case LN__ONNX_BFLOAT16: return ln__float_of((uint32_t)bits << 16);
    default:                return ln__float_of((uint32_t)bits);
    }
}

static int64_t int_from(int64_t type, uint64_t bits)
{
    switch (type) {
    case LN__ONNX_UINT8:  return (uint8_t)bits;
    case LN__ONNX_INT8:   return (int8_t)(uint8_t)bits;
    case LN__ONNX_UINT16: return (uint16_t)bits;
    case LN__ONNX_INT16:  return (int16_t)(uint16_t)bits;
    case LN__ONNX_INT32:  return (int32_t)(uint32_t)bits;
    case LN__ONNX_UINT32: return (uint32_t)bits;
    case LN__ONNX_BOOL:   return bits != 0;
    default:              return (int64_t)bits;
    }
}

static uint64_t load_bits(const uint8_t *at, size_t size)
{
    uint64_t bits = 0;
    memcpy(&bits, at, size);
    return bits;
}

typedef struct target { int64_t type; bool is_float; void *data; size_t at; } target;

static void put(target *t, uint64_t bits)
{
    if (t->is_float)
        ((float *)t->data)[t->at++] = float_from(t->type, bits);
    else
        ((int64_t *)t->data)[t->at++] = int_from(t->type, bits);
}

static void convert_typed(target *t, const ln__field *message)
{
    ln__wire wire = ln__wire_make(message->data, message->size);
    int field = types[t->type].field;
    ln__field f;

    while (ln__wire_next(&wire, &f)) {
        if ((int)(f.key >> 3) != field)
            continue;
        if ((f.key & 7) == LN__WIRE_BYTES) {
            ln__wire run = ln__wire_make(f.data, f.size);
            uint64_t bits;
            while (ln__wire_packed(&run, typed_wire(field), &bits))
                put(t, bits);
        } else if ((int)(f.key & 7) == typed_wire(field)) {
            put(t, f.value);
        }
    }
}

static ln_status convert(const void **out, ln__onnx *onnx, const source *s, const ln__field *message, size_t elements, ln_error *err)
{
    target t = { s->type, types[s->type].is_float, NULL, 0 };
    size_t width = types[s->type].size;

    t.data = ln__arena_alloc(&onnx->arena, elements * (t.is_float ? 4 : 8));
    if (t.data == NULL)
        return ln__fail_nomem(err, &onnx->ctx, elements * (t.is_float ? 4 : 8));
    if (s->raw != NULL)
        for (size_t i = 0; i < elements; i++)
            put(&t, load_bits(s->raw + i * width, width));
    else
        convert_typed(&t, message);
    *out = t.data;
    return LN_OK;
}

/* A weight that is not a number makes every answer one. */
static bool has_nan(const uint8_t *data, size_t elements)
{
    uint32_t found = 0;

    for (size_t i = 0; i < elements; i++)
        found |= (ln__load_u32(data + 4 * i) & 0x7fffffff) > 0x7f800000;
    return found != 0;
}

static ln_status place_data(ln__onnx_tensor *out, ln__onnx *onnx, source *s, const ln__field *message, size_t elements, ln_error *err)
{
    char what[CALLED];
    ln_status st = LN_OK;

    if (s->external) {
        out->external.size = elements * types[s->type].size;
        st = ln__external_open(&out->external.data, onnx, called(what, s), s->location, s->offset, out->external.size, err);
        if (st < 0)
            return st;
        s->raw = out->external.data;
        s->raw_size = out->external.size;
    }
    if (s->raw == NULL && s->type == LN__ONNX_FLOAT && s->runs == 1) {
        s->raw = s->run;
        s->raw_size = s->run_size;
    }
    if (elements == 0)
        out->tensor.data = "";
    else if (s->raw != NULL && (s->type == LN__ONNX_FLOAT || s->type == LN__ONNX_INT64))
        out->tensor.data = s->raw;
    else
        st = convert(&out->tensor.data, onnx, s, message, elements, err);
    if (st == LN_OK && !onnx->accept_nan && types[s->type].is_float && has_nan(out->tensor.data, elements))
        st = tensor_fail(err, LN_E_FORMAT, onnx, s, "holds values that are not numbers (NaN)");
    return st;
}

ln_status ln__parse_tensor(ln__onnx_tensor *out, ln__onnx *onnx, const ln__field *field, const char *owner, ln_error *err)
{
    source s = { .owner = owner, .name = "" };
    size_t elements = 0;
    ln_status st = gather(&s, onnx, field, err);

    memset(out, 0, sizeof *out);
    if (st < 0)
        return st;
    out->name = s.name;
    out->ours = ln__onnx_is_ours(s.name);
    if (s.problem != NULL)
        return tensor_fail(err, LN_E_FORMAT, onnx, &s, "%s", s.problem);
    if (s.segmented)
        return tensor_fail(err, LN_E_UNSUPPORTED, onnx, &s, "is one segment of a tensor");
    if (s.type <= 0 || s.type > INT32_MAX)
        return tensor_fail(err, LN_E_FORMAT, onnx, &s, "has data type %lld", (long long)s.type);
    if (ln__onnx_type_size((int32_t)s.type) == 0)
        return tensor_fail(err, LN_E_UNSUPPORTED, onnx, &s, "has data type %lld (%s), which is not supported",
                           (long long)s.type, ln__onnx_type_name((int32_t)s.type));
    st = count_elements(&s, onnx, &elements, err);
    if (st == LN_OK)
        st = check_source(&s, onnx, elements, err);
    if (st < 0)
        return st;
    out->elem = (int32_t)s.type;
    out->tensor.dtype = types[s.type].is_float ? LN__F32 : LN__I64;
    out->tensor.rank = s.rank;
    memcpy(out->tensor.dim, s.dims, sizeof out->tensor.dim);
    return place_data(out, onnx, &s, field, elements, err);
}
