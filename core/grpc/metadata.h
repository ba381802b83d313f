/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_METADATA_H
#define PL_GRPC_METADATA_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "value/engine.h"

/* Metadata: headers and trailers that belong to the application. */

/* "-bin" at the end: the value is bytes, in Base64 on the wire. */
bool pl_grpc_is_binary(pl_str name);
/* Whether a header that came is none of the application's: the protocol's own, and the connection's. */
bool pl_grpc_is_reserved(pl_str name);

/* A list that grows in an arena. */
typedef struct pl_grpc_metadata {
    pl_header *items;
    size_t count, room;
} pl_grpc_metadata;
/* name and value are views; false: memory. */
bool pl_grpc_metadata_add(pl_grpc_metadata *list, pl_arena *arena, pl_str name, pl_str value);
/* The same with copies, each with a NUL behind it. */
bool pl_grpc_metadata_copy(pl_grpc_metadata *list, pl_arena *arena, pl_str name, pl_str value);

/* Adds what a script says, ready for the wire: the name in lower case, bytes in Base64; copied.
 * INVALID_ARGUMENT: a name or value that HTTP/2 cannot carry, or a name that is reserved. */
pl_code pl_grpc_metadata_put(pl_grpc_metadata *list, pl_arena *arena, pl_str name, pl_str value,
                             pl_error *err);
/* Takes the next value off *rest, which a header's value is at first: those of binary names come several in
 * one, with commas between. False at the end. */
bool pl_grpc_metadata_split(pl_str name, pl_str *rest, pl_str *value);
/* The bytes of one value of a binary name, appended to out; false: it is no Base64. */
bool pl_grpc_metadata_decode(pl_str value, pl_buf *out);

/* grpc-message: UTF-8, percent-encoded but for what is printable ASCII. */
void pl_grpc_percent_write(pl_buf *out, pl_str text);
/* Never fails: what is no valid escape stays as it is. */
void pl_grpc_percent_read(pl_buf *out, pl_str text);

#endif
