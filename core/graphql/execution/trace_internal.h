/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_TRACE_INTERNAL_H
#define PL_GRAPHQL_TRACE_INTERNAL_H

#include "graphql/execution/trace.h"

/* Times are nanoseconds since the trace began, but for wall-clock times. */

typedef struct gql_trace_error_node gql_trace_error_node;
struct gql_trace_error_node {
    gql_trace_error_node *next;
    pl_str message, json;
    const gql_plan_field *field; /* for the locations */
    uint64_t time;
};

/* A field, or an index of a list; the root is neither. */
typedef struct gql_trace_node gql_trace_node;
struct gql_trace_node {
    uintptr_t key[2]; /* its place in gql_trace.nodes: the parent, and its step of the path */
    gql_trace_node *next, *children, *last_child;
    pl_str name; /* ptr NULL: an index, or the root */
    uint32_t index;
    const gql_plan_field *field; /* NULL: nothing was resolved here */
    uint64_t begin, end;
    gql_trace_error_node *errors, *last_error;
    size_t size; /* while it is encoded: of the message */
};

struct gql_trace {
    pl_arena *arena;
    pl_host *host;
    uint64_t began;   /* monotonic */
    uint64_t wall[2]; /* since 1970: when it began, when it ended */
    uint64_t duration;
    gql_trace_node root;
    pl_map nodes; /* by key */
    bool incomplete;
};

/* trace_encode.c: the message, not in Base64. */
void gql_trace_encode(gql_trace *trace, pl_buf *out);

#endif
