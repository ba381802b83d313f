/* SPDX-License-Identifier: MIT */
#include "events/registry/wire.h"

#include "proto/wire.h"

#define ID_BYTES 5

pl_code pl_schema_read_id(pl_str *bytes, int32_t *id, pl_error *err)
{
    const uint8_t *p = (const uint8_t *)bytes->ptr;
    if (bytes->len < ID_BYTES)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "the value has %zu bytes: with the id of a schema in front it would have 5 at least",
                       bytes->len);
    if (p[0] != 0)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "the value begins with byte %u, not with the byte 0 that stands before the id of a "
                       "schema: it was written without a schema registry",
                       p[0]);
    uint32_t n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (n > INT32_MAX)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the id of the value's schema is negative");
    *id = (int32_t)n;
    *bytes = (pl_str){bytes->ptr + ID_BYTES, bytes->len - ID_BYTES};
    return PL_OK;
}

static pl_code no_path(pl_error *err)
{
    return pl_fail(err, PL_INVALID_ARGUMENT,
                   "what stands behind the schema's id does not say which message of the schema it is");
}

static bool read_number(pb_reader *r, int64_t most, int64_t *out)
{
    uint64_t n;
    if (pb_read_varint(r, &n))
        return false;
    *out = pb_unzigzag(n);
    return *out >= 0 && *out <= most;
}

pl_code pl_schema_read_path(pl_str *bytes, pl_schema_path *out, pl_error *err)
{
    pb_reader r = pb_reader_of(*bytes);
    int64_t count, index;
    if (!read_number(&r, PL_SCHEMA_MOST_DEPTH, &count))
        return no_path(err);
    out->count = count > 0 ? (size_t)count : 1;
    out->at[0] = 0;
    for (size_t i = 0; i < (size_t)count; i++) {
        if (!read_number(&r, INT32_MAX, &index))
            return no_path(err);
        out->at[i] = (uint32_t)index;
    }
    *bytes = (pl_str){bytes->ptr + (bytes->len - pb_left(&r)), pb_left(&r)};
    return PL_OK;
}

void pl_schema_write_id(pl_buf *out, int32_t id)
{
    uint32_t n = (uint32_t)id;
    const char bytes[ID_BYTES] = {0, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    pl_buf_append(out, bytes, sizeof bytes);
}

static void write_number(pl_buf *out, uint64_t n)
{
    uint8_t bytes[10];
    pl_buf_append(out, bytes, pb_put_varint(bytes, pb_zigzag((int64_t)n)));
}

void pl_schema_write_path(pl_buf *out, const pl_schema_path *path)
{
    if (path->count == 1 && path->at[0] == 0) {
        pl_buf_char(out, 0);
        return;
    }
    write_number(out, path->count);
    for (size_t i = 0; i < path->count; i++)
        write_number(out, path->at[i]);
}
