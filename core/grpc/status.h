/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_STATUS_H
#define PL_GRPC_STATUS_H

#include "base/arena.h"
#include "base/buf.h"
#include "value/engine.h"

/* How a call ends. */
typedef struct pl_grpc_status {
    pl_code code;
    pl_str message;
    pl_str details; /* a serialized google.rpc.Status, for grpc-status-details-bin; ptr NULL: none */
} pl_grpc_status;

/* What a script's failure is to a client; strings in work->arena, or static. An unexpected one (which the
 * caller logs) shows its code and the work's id only, unless show_internal is set. Violations become a
 * google.rpc.BadRequest, other details follow it as they are. Details that do not fit into what peers take
 * for trailers are left out one by one. Memory that is short costs details, not the status. */
void pl_grpc_status_of_failure(pl_grpc_status *out, const pl_failure *failure, const pl_work *work,
                               bool show_internal);

/* A google.rpc.Status with a google.rpc.BadRequest of the violations {field: description}, where there are
 * any (a MAP of strings; other entries are left out), and the packed details (a LIST of STRING, each a
 * google.protobuf.Any), as long as it does not become larger than max bytes. Both may be NULL. Gives how many
 * details are in it. */
size_t pl_grpc_status_write(pl_buf *out, pl_code code, pl_str message, const pl_value *violations,
                            const pl_value *packed, size_t max);

/* The code of a number as it stands in grpc-status; UNKNOWN for what is none. */
pl_code pl_grpc_code_read(pl_str text);
/* What clients make of an HTTP status that comes without grpc-status. */
pl_code pl_grpc_code_of_http(int status);
/* What clients make of an error code in RST_STREAM. */
pl_code pl_grpc_code_of_reset(uint32_t error);

#endif
