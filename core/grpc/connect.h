/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CONNECT_H
#define PL_GRPC_CONNECT_H

#include "grpc/stream.h"

/* What Connect writes into headers and queries. */

#define CONNECT_GET_VERSION "v1"

/* connect-timeout-ms: at most 10 digits. False: it is malformed. */
bool pl_grpc_connect_timeout(pl_str text, uint64_t *ms);

/* The query of a GET: ?connect=v1&encoding=json&message=…&base64=1&compression=gzip */
typedef struct pl_grpc_connect_get {
    pl_str encoding, compression, version; /* ptr NULL: absent */
    pl_str message;                        /* bytes, on the stream's arena */
    const char *wrong;                     /* where it cannot be read */
} pl_grpc_connect_get;
bool pl_grpc_connect_get_read(pl_grpc_stream *stream, pl_grpc_connect_get *out);

/* Takes the next parameter off *query: name and value as they stand there. False: there is none. */
bool pl_grpc_query_next(pl_str *query, pl_str *name, pl_str *value);
/* The text that stands for (percent-encoded; plus_is_space: "+" as well); ptr NULL: memory, or it is
 * malformed. */
pl_str pl_grpc_query_decode(pl_arena *arena, pl_str text, bool plus_is_space);

#endif
