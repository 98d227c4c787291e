/* wire.c - protobuf's wire format. */
#include "onnx/wire.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are used where they lie in the file, which is little-endian");

static bool stop(ln__wire *wire, const char *problem)
{
    wire->problem = problem;
    return false;
}

static bool read_varint(ln__wire *wire, uint64_t *value)
{
    uint64_t result = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;
        if (wire->at == wire->end)
            return stop(wire, "ends inside a number");
        byte = *wire->at++;
        if (shift == 63 && byte > 1)
            return stop(wire, "holds a number of more than 64 bits");
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return stop(wire, "holds a number of more than 10 bytes");
}

static bool read_fixed(ln__wire *wire, size_t size, uint64_t *value)
{
    if ((size_t)(wire->end - wire->at) < size)
        return stop(wire, "ends inside a number");
    *value = size == 4 ? ln__load_u32(wire->at) : ln__load_u64(wire->at);
    wire->at += size;
    return true;
}

static bool read_bytes(ln__wire *wire, ln__field *field)
{
    uint64_t size;

    if (!read_varint(wire, &size))
        return false;
    if (size > (uint64_t)(wire->end - wire->at))
        return stop(wire, "states a length past its end");
    field->data = wire->at;
    field->size = (size_t)size;
    wire->at += size;
    return true;
}

bool ln__wire_next(ln__wire *wire, ln__field *field)
{
    if (wire->at == wire->end || wire->problem != NULL)
        return false;
    memset(field, 0, sizeof *field);
    field->start = wire->at;
    if (!read_varint(wire, &field->key))
        return false;
    if (field->key >> 3 == 0 || field->key >> 3 > 0x1fffffff)
        return stop(wire, "has a field number out of range");
    switch (field->key & 7) {
    case LN__WIRE_VARINT:  return read_varint(wire, &field->value);
    case LN__WIRE_FIXED64: return read_fixed(wire, 8, &field->value);
    case LN__WIRE_BYTES:   return read_bytes(wire, field);
    case LN__WIRE_FIXED32: return read_fixed(wire, 4, &field->value);
    default:               return stop(wire, "has a field of a wire type that ONNX does not use");
    }
}

bool ln__wire_packed(ln__wire *wire, int type, uint64_t *value)
{
    if (wire->at == wire->end || wire->problem != NULL)
        return false;
    return type == LN__WIRE_VARINT ? read_varint(wire, value)
                                   : read_fixed(wire, type == LN__WIRE_FIXED32 ? 4 : 8, value);
}

size_t ln__wire_count(ln__wire wire, int type, const char **problem)
{
    size_t width = type == LN__WIRE_FIXED32 ? 4 : 8, size = (size_t)(wire.end - wire.at), count = 0;
    uint64_t value;

    if (type != LN__WIRE_VARINT) {
        if (size % width != 0)
            *problem = "has a list whose length is not that of whole numbers";
        return size / width;
    }
    while (ln__wire_packed(&wire, type, &value))
        count++;
    if (wire.problem != NULL)
        *problem = wire.problem;
    return count;
}

uint32_t ln__load_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

uint64_t ln__load_u64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

float ln__float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double ln__double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t ln__float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- Writing ------------------------------------------------------------------ */

size_t ln__varint_size(uint64_t value)
{
    size_t size = 1;

    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

void ln__put_varint(ln__buffer *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = 0;

    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    ln__buffer_put(out, bytes, size);
}

void ln__put_int(ln__buffer *out, uint32_t number, int64_t value)
{
    ln__put_varint(out, LN__WIRE_KEY(number, LN__WIRE_VARINT));
    ln__put_varint(out, (uint64_t)value);
}

void ln__put_float(ln__buffer *out, uint32_t number, float value)
{
    uint32_t bits = ln__float_bits(value);

    ln__put_varint(out, LN__WIRE_KEY(number, LN__WIRE_FIXED32));
    ln__buffer_put(out, &bits, sizeof bits);
}

void ln__put_head(ln__buffer *out, uint32_t number, size_t size)
{
    ln__put_varint(out, LN__WIRE_KEY(number, LN__WIRE_BYTES));
    ln__put_varint(out, size);
}

void ln__put_bytes(ln__buffer *out, uint32_t number, const void *data, size_t size)
{
    ln__put_head(out, number, size);
    ln__buffer_put(out, data, size);
}

void ln__put_text(ln__buffer *out, uint32_t number, const char *text)
{
    ln__put_bytes(out, number, text, strlen(text));
}
