/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_WIRE_H
#define PL_PROTO_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* The wire format below messages: varints, tags, and records that nobody knows. */

typedef enum pb_wire {
    PB_WIRE_VARINT = 0,
    PB_WIRE_64 = 1,
    PB_WIRE_LEN = 2,
    PB_WIRE_GROUP = 3,
    PB_WIRE_END = 4,
    PB_WIRE_32 = 5,
} pb_wire;

#define PB_MAX_NUMBER 536870911u

typedef struct pb_reader {
    const uint8_t *p, *end;
} pb_reader;

static inline pb_reader pb_reader_of(pl_str bytes)
{
    const uint8_t *p = (const uint8_t *)(bytes.ptr ? bytes.ptr : "");
    return (pb_reader){p, p + bytes.len};
}
static inline size_t pb_left(const pb_reader *r)
{
    return (size_t)(r->end - r->p);
}

/* Each gives NULL when all is well, or what is wrong: static text, to be put behind "the message". */
const char *pb_read_varint_slow(pb_reader *r, uint64_t *out);
static inline const char *pb_read_varint(pb_reader *r, uint64_t *out)
{
    if (__builtin_expect(r->p < r->end && *r->p < 0x80, 1)) {
        *out = *r->p++;
        return NULL;
    }
    return pb_read_varint_slow(r, out);
}
/* A field's number and wire type (number << 3 | type), both checked. */
const char *pb_read_tag_slow(pb_reader *r, uint32_t *out);
static inline const char *pb_read_tag(pb_reader *r, uint32_t *out)
{
    if (__builtin_expect(r->p < r->end && *r->p < 0x80 && *r->p >= 8 && (*r->p & 7) <= 5, 1)) {
        *out = *r->p++;
        return NULL;
    }
    return pb_read_tag_slow(r, out);
}
const char *pb_read_fixed32(pb_reader *r, uint32_t *out);
const char *pb_read_fixed64(pb_reader *r, uint64_t *out);
/* A length and as many bytes. */
const char *pb_read_bytes(pb_reader *r, pl_str *out);
/* Passes over what the tag, already read, begins. Groups are bounded by depth; an end of a group is an error.
 */
const char *pb_skip(pb_reader *r, uint32_t tag, unsigned depth);

/* Writes a varint to out (room for 10 bytes); its length. */
static inline size_t pb_put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}
static inline size_t pb_varint_size(uint64_t v)
{
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}
static inline uint64_t pb_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}
static inline int64_t pb_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* --- One field at a time, for messages whose fields the program itself knows --- */
typedef struct pb_record {
    uint32_t number;
    pb_wire wire;
    uint64_t value; /* VARINT, 32, 64 */
    pl_str bytes;   /* LEN; the contents of a group are passed over */
} pb_record;
/* True with the next field; false at the end, or (with *wrong set) when the bytes are no message. */
bool pb_next_record(pb_reader *r, pb_record *out, const char **wrong);
/* Finds the last LEN field of this number in a message's bytes, such as a custom option in options. */
bool pb_find_bytes(pl_str message, uint32_t number, pl_str *out);
/* The same for a VARINT field. */
bool pb_find_varint(pl_str message, uint32_t number, uint64_t *out);

#endif
