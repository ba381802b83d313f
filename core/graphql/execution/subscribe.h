/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SUBSCRIBE_H
#define PL_GRAPHQL_SUBSCRIBE_H

#include "graphql/execution/execute.h"

/* The source of a subscription's events (spec 6.2.3.1): what the subscribe function of the operation's field
 * gives. The execution is made for this alone, and never started. */

/* DONE: the source is in the top slot. PENDING: *pending goes on; a failure of it is for
 * gql_subscribe_failed. FAILED: an error is recorded. Below pl_protect, with room for 20 slots. [jumps] */
pl_call_status gql_subscribe(gql_execution *execution, pl_call **pending);
void gql_subscribe_failed(gql_execution *execution, const pl_failure *failure);
/* The error of a source that is not one. Below pl_protect, value in the top slot. */
void gql_subscribe_no_source(gql_execution *execution);
/* {"errors":[…]} of the errors recorded. */
void gql_subscribe_write_errors(gql_execution *execution, pl_buf *out);

#endif
