/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_EXECUTE_H
#define PL_GRAPHQL_EXECUTE_H

#include "graphql/execution/plan.h"

/* Runs one operation (spec, section 6). */

typedef struct gql_execution gql_execution;
typedef struct gql_trace gql_trace;

typedef struct gql_execute_options {
    unsigned timeout_ms; /* from the start; what still waits then fails with DEADLINE_EXCEEDED. 0 is 30,000 */
    uint32_t max_errors; /* written to the response; 0 is 100 */
    uint32_t max_list_items; /* of one list that a resolver returns; 0: no bound */
    bool show_internal;      /* messages of unexpected errors go to the client: development only */
} gql_execute_options;

/* What differs between two executions of one plan. */
typedef struct gql_execution_params {
    pl_ref root; /* the value that root fields get as parent (a subscription's event); PL_REF_NONE: none. The
                    caller's, until the execution is over */
    /* Writes the members of the response's "extensions" object, when the (first) payload is put together;
     * where it writes nothing there is no such entry. NULL: none. */
    bool (*extensions)(void *data, pl_buf *out); /* false: memory */
    void *extensions_data;
    struct gql_cache_trace *cache; /* cache/trace.h; NULL: the response is not to be cached */
    gql_trace *trace;              /* trace.h: what is written down about its fields; NULL: nothing */
} gql_execution_params;

/* response: one payload, a whole JSON object ({"data":…} and, where there are any, "errors"…); valid during
 * the call. has_next: there will be more, for @defer and @stream; such a payload never comes before
 * gql_execution_start has returned, but for the first. After the one without, the execution is over, and
 * everything in the work's arena may be let go of. The execution may be cancelled from within. */
typedef void (*gql_execution_payload)(void *data, pl_str response, bool has_next);

/* Makes an execution of the plan for the work, in whose arena it lives, as must env and its variables. params
 * NULL: no root, no extensions. spare: a buffer that is taken for the response and given back at the end.
 * max_response bounds the response, in bytes (0: no bound). NULL: memory; env is the caller's to release
 * then. Whether @defer and @stream are obeyed, and in which form, the plan says. */
gql_execution *gql_execution_new(gql_plan *plan, const gql_input_env *env, pl_work *work,
                                 const gql_execute_options *options, const gql_execution_params *params,
                                 pl_buf *spare, size_t max_response);
/* Runs it as far as it goes. payload is called once or, when has_next is true, several times: the first time
 * before this returns when nothing had to wait. Not below pl_protect. */
void gql_execution_start(gql_execution *execution, gql_execution_payload payload, void *data);
/* Its answer comes in several payloads: known when the first one's extensions are written. */
bool gql_execution_is_incremental(const gql_execution *execution);
/* How many errors it has met, written or not; also in its last payload. */
uint32_t gql_execution_errors(const gql_execution *execution);
/* While it is paused no payload comes but the first and, when the execution fails, the last: for a client
 * that takes them slowly. What may be got ready meanwhile is bounded. */
void gql_execution_pause(gql_execution *execution, bool paused);
/* Ends it without calling payload (again): calls that wait are cancelled. Not after the last payload. */
void gql_execution_cancel(gql_execution *execution);

#endif
