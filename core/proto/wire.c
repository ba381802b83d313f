/* SPDX-License-Identifier: MIT */
#include "proto/wire.h"

#define SHORT "ends in the middle of a field"

const char *pb_read_varint_slow(pb_reader *r, uint64_t *out)
{
    uint64_t v = 0;
    size_t left = pb_left(r);
    for (unsigned i = 0; i < 10; i++) {
        if (i == left)
            return SHORT;
        uint8_t byte = r->p[i];
        v |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            r->p += i + 1;
            *out = v;
            return NULL;
        }
    }
    return "has a varint of more than 10 bytes";
}

const char *pb_read_tag_slow(pb_reader *r, uint32_t *out)
{
    uint64_t v;
    const uint8_t *begin = r->p;
    const char *wrong = pb_read_varint(r, &v);
    if (wrong)
        return wrong;
    if (v > UINT32_MAX || r->p - begin > 5)
        return "has a field number that is too large";
    if (v >> 3 == 0)
        return "has a field with the number 0";
    if ((v & 7) > 5)
        return "has a field of a wire type that does not exist";
    *out = (uint32_t)v;
    return NULL;
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

const char *pb_read_fixed32(pb_reader *r, uint32_t *out)
{
    if (pb_left(r) < 4)
        return SHORT;
    *out = load32(r->p);
    r->p += 4;
    return NULL;
}

const char *pb_read_fixed64(pb_reader *r, uint64_t *out)
{
    if (pb_left(r) < 8)
        return SHORT;
    *out = (uint64_t)load32(r->p + 4) << 32 | load32(r->p);
    r->p += 8;
    return NULL;
}

const char *pb_read_bytes(pb_reader *r, pl_str *out)
{
    uint64_t len;
    const char *wrong = pb_read_varint(r, &len);
    if (wrong)
        return wrong;
    if (len > pb_left(r))
        return "has a field that is longer than what is left of it";
    *out = (pl_str){(const char *)r->p, (size_t)len};
    r->p += len;
    return NULL;
}

static const char *skip_group(pb_reader *r, uint32_t tag, unsigned depth)
{
    if (depth == 0)
        return "is nested too deep";
    for (;;) {
        uint32_t inner;
        const char *wrong = pb_read_tag(r, &inner);
        if (wrong)
            return wrong;
        if ((inner & 7) == PB_WIRE_END)
            return inner >> 3 == tag >> 3 ? NULL : "has a group that ends with another number";
        wrong = pb_skip(r, inner, depth - 1);
        if (wrong)
            return wrong;
    }
}

const char *pb_skip(pb_reader *r, uint32_t tag, unsigned depth)
{
    uint64_t number;
    uint32_t word;
    pl_str bytes;
    switch ((pb_wire)(tag & 7)) {
    case PB_WIRE_VARINT:
        return pb_read_varint(r, &number);
    case PB_WIRE_64:
        return pb_read_fixed64(r, &number);
    case PB_WIRE_LEN:
        return pb_read_bytes(r, &bytes);
    case PB_WIRE_GROUP:
        return skip_group(r, tag, depth);
    case PB_WIRE_32:
        return pb_read_fixed32(r, &word);
    default:
        return "has the end of a group that did not begin";
    }
}

#define RECORD_DEPTH 100

bool pb_next_record(pb_reader *r, pb_record *out, const char **wrong)
{
    uint32_t tag, word = 0;
    *wrong = NULL;
    if (r->p == r->end || (*wrong = pb_read_tag(r, &tag)) != NULL)
        return false;
    *out = (pb_record){.number = tag >> 3, .wire = (pb_wire)(tag & 7)};
    switch (out->wire) {
    case PB_WIRE_VARINT:
        *wrong = pb_read_varint(r, &out->value);
        break;
    case PB_WIRE_64:
        *wrong = pb_read_fixed64(r, &out->value);
        break;
    case PB_WIRE_32:
        *wrong = pb_read_fixed32(r, &word);
        out->value = word;
        break;
    case PB_WIRE_LEN:
        *wrong = pb_read_bytes(r, &out->bytes);
        break;
    default:
        *wrong = pb_skip(r, tag, RECORD_DEPTH);
    }
    return *wrong == NULL;
}

bool pb_find_bytes(pl_str message, uint32_t number, pl_str *out)
{
    pb_reader r = pb_reader_of(message);
    pb_record record;
    const char *wrong;
    bool found = false;
    while (pb_next_record(&r, &record, &wrong)) {
        if (record.number == number && record.wire == PB_WIRE_LEN) {
            *out = record.bytes;
            found = true;
        }
    }
    return found;
}

bool pb_find_varint(pl_str message, uint32_t number, uint64_t *out)
{
    pb_reader r = pb_reader_of(message);
    pb_record record;
    const char *wrong;
    bool found = false;
    while (pb_next_record(&r, &record, &wrong)) {
        if (record.number == number && record.wire == PB_WIRE_VARINT) {
            *out = record.value;
            found = true;
        }
    }
    return found;
}
