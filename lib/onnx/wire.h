/* wire.h - protobuf's wire format, read in place and written.
 *
 * A message is a range of bytes; fields come out one after the other as views
 * into it. Nothing is copied, nothing recurses: nested messages are opened by
 * whoever wants them, to the fixed depth that ONNX's own messages have. */
#ifndef LN_WIRE_H
#define LN_WIRE_H

#include "base/base.h"

typedef struct ln__wire {
    const uint8_t *at, *end;
    const char *problem;        /* why reading stopped early; NULL: it did not */
} ln__wire;

enum { LN__WIRE_VARINT = 0, LN__WIRE_FIXED64 = 1, LN__WIRE_BYTES = 2, LN__WIRE_FIXED32 = 5 };

/* Number and wire type in one, for switch. A known number with an unexpected
 * wire type is an unknown field, as protobuf itself has it. */
#define LN__WIRE_KEY(number, type) ((uint64_t)(number) << 3 | (type))

typedef struct ln__field {
    uint64_t key;
    uint64_t value;             /* varint, fixed32, fixed64 */
    const uint8_t *data;        /* of BYTES: the contents */
    size_t size;
    const uint8_t *start;       /* of the field with its tag; it ends at the wire's `at` */
} ln__field;

static inline ln__wire ln__wire_make(const void *data, size_t size)
{
    const uint8_t *first = data == NULL ? (const uint8_t *)"" : data;     /* nothing may be NULL */
    ln__wire wire = { first, first + size, NULL };
    return wire;
}

/* False at the end, or with `problem` set on damage: groups, field number 0,
 * varints over 10 bytes, lengths past the message's end. */
bool ln__wire_next(ln__wire *wire, ln__field *field);

/* One element of a packed run of the given wire type. False at its end or on damage. */
bool ln__wire_packed(ln__wire *wire, int type, uint64_t *value);
/* How many elements a packed run has; sets problem on damage. */
size_t ln__wire_count(ln__wire wire, int type, const char **problem);

uint32_t ln__load_u32(const void *at);
uint64_t ln__load_u64(const void *at);
float    ln__float_of(uint32_t bits);
double   ln__double_of(uint64_t bits);
uint32_t ln__float_bits(float value);

/* ---- Writing ------------------------------------------------------------------ */

size_t ln__varint_size(uint64_t value);
void ln__put_varint(ln__buffer *out, uint64_t value);
void ln__put_int(ln__buffer *out, uint32_t number, int64_t value);
void ln__put_float(ln__buffer *out, uint32_t number, float value);
void ln__put_bytes(ln__buffer *out, uint32_t number, const void *data, size_t size);
void ln__put_text(ln__buffer *out, uint32_t number, const char *text);
/* Tag and length of a nested message whose `size` bytes follow. */
void ln__put_head(ln__buffer *out, uint32_t number, size_t size);

#endif
