/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_EXECUTE_H
#define PL_GRAPHQL_EXECUTE_H

#include "graphql/execution/plan.h"

/* Runs one operation (spec, section 6). */

typedef struct gql_execution gql_execution;

typedef struct gql_execute_options {
    unsigned timeout_ms; /* from the start; what still waits then fails with DEADLINE_EXCEEDED. 0 is 30,000 */
    uint32_t max_errors; /* written to the response; 0 is 100 */
    bool show_internal;  /* messages of unexpected errors go to the client: development only */
} gql_execute_options;

/* response: the whole JSON object, {"data":…} and, where there are any, "errors"; valid during the call. The
 * execution is over, and everything in the work's arena may be let go of. */
typedef void (*gql_execution_done)(void *data, pl_str response);

/* Makes an execution of the plan for the work, in whose arena it lives, as must env and its variables. spare:
 * a buffer that is taken for the response and given back at the end. max_response bounds the response, in
 * bytes (0: no bound). NULL: memory; env is the caller's to release then. */
gql_execution *gql_execution_new(gql_plan *plan, const gql_input_env *env, pl_work *work,
                                 const gql_execute_options *options, pl_buf *spare, size_t max_response);
/* Runs it as far as it goes. done is called once, when all is resolved: before this returns when nothing had
 * to wait. Not below pl_protect. */
void gql_execution_start(gql_execution *execution, gql_execution_done done, void *data);
/* Ends it without calling done: calls that wait are cancelled. Not after done. */
void gql_execution_cancel(gql_execution *execution);

#endif
