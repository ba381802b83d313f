/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_REGISTRY_WIRE_H
#define PL_EVENTS_REGISTRY_WIRE_H

#include "base/buf.h"
#include "base/error.h"

/* What stands before a value whose schema is in a schema registry: a byte 0, the schema's id (32 bits, big
 * endian), and before protobuf which message of that schema it is: a path of indexes, first among the
 * messages at the file's top level, then among those inside of that one, and so on. Count and indexes are
 * zigzag varints; the first message of a file, [0], is the single byte 0. No I/O. */

#define PL_SCHEMA_MOST_DEPTH 32

typedef struct pl_schema_path {
    uint32_t at[PL_SCHEMA_MOST_DEPTH];
    size_t count; /* from 1 */
} pl_schema_path;

/* Take what they read off the front of *bytes. INVALID_ARGUMENT: it is not there; *bytes is as it was. */
pl_code pl_schema_read_id(pl_str *bytes, int32_t *id, pl_error *err);
pl_code pl_schema_read_path(pl_str *bytes, pl_schema_path *out, pl_error *err);
/* Append. */
void pl_schema_write_id(pl_buf *out, int32_t id);
void pl_schema_write_path(pl_buf *out, const pl_schema_path *path);

#endif
