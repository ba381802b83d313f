/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_TRACE_H
#define PL_GRAPHQL_TRACE_H

#include "graphql/execution/internal.h"

/* What a subgraph tells a gateway about how long it took (ftv1): a tree in the shape of the response, with
 * the begin and end of every field's resolver and the errors, as a message `Trace` of Apollo's reports.proto.
 * Made for a request that asks for it; where there is none, executing costs no more than asking so. */

/* NULL: memory, or the host has no clock. It begins now; it lives in the arena. */
gql_trace *gql_trace_new(pl_arena *arena, pl_host *host);

/* A field's resolver is about to be called. */
void gql_trace_begin(gql_trace *trace, const gql_plan_field *field, const gql_path *path);
/* Its value is there, or it has failed. */
void gql_trace_end(gql_trace *trace, const gql_path *path);
/* json: the error as the client gets it. path NULL: of the whole operation. */
void gql_trace_error(gql_trace *trace, const gql_plan_field *field, const gql_path *path, pl_str message,
                     pl_str json);

/* Ends it, and appends it in Base64. */
void gql_trace_write(gql_trace *trace, pl_buf *out);

#endif
