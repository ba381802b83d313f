/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SERVICE_H
#define PL_GRAPHQL_SERVICE_H

#include "graphql/execution/execute.h"
#include "graphql/language/parser.h"
#include "graphql/validation/limits.h"
#include "graphql/validation/validate.h"
#include "value/json.h"

/* GraphQL requests on one engine state: from the text of a query to the JSON of its response. Documents are
 * parsed and validated once and kept, with their plans, in a cache that is bounded in memory (least recently
 * used go first). No I/O; belongs to the state's thread. */
typedef struct gql_service gql_service;

/* What a client may still spend: a bucket of `capacity`, refilled by `refill` a second. */
typedef struct gql_throttle {
    double capacity, left, refill;
    uint64_t retry_after_ms; /* when refused: until there is enough */
} gql_throttle;
typedef struct gql_cost_options {
    uint64_t max_cost;          /* of an operation; 0: no bound */
    uint32_t default_list_size; /* 0 is 10 */
    /* Takes the cost of an operation from its client's budget. False: there is not enough. NULL: no budgets.
     */
    bool (*admit)(void *data, pl_work *work, double cost, gql_throttle *out);
    void *admit_data;
} gql_cost_options;

typedef struct gql_service_options {
    gql_parse_limits parse;
    gql_limits limits;
    gql_cost_options cost;
    gql_validate_options validate;
    gql_execute_options execute;
    size_t cache_bytes;  /* 0 is 16 MiB */
    uint32_t max_errors; /* validation errors reported; 0 is 5 */
    uint32_t max_fields; /* of a plan; 0 is 20,000 */
    size_t max_response; /* bytes; 0 is 64 MiB */
    bool no_introspection;
    bool no_deprecated; /* refuse operations that use what is deprecated */
} gql_service_options;

gql_service *
gql_service_new(gql_binding *binding,
                const gql_service_options *options); /* NULL: memory. The binding stays the caller's */
void gql_service_free(gql_service *service);         /* no run may be left; NULL is fine */

typedef struct gql_request {
    pl_str query;
    pl_str operation_name;      /* ptr NULL: none */
    const pl_value *variables;  /* a MAP, or NULL */
    const pl_value *extensions; /* a MAP, or NULL: for the script, and for those who extend the protocol */
    bool query_only;            /* refuse mutations (GET) */
    gql_incremental incremental;
} gql_request;

typedef enum gql_result {
    GQL_RESULT_DATA,       /* executed: there is a data entry */
    GQL_RESULT_REFUSED,    /* a request error: there is none */
    GQL_RESULT_QUERY_ONLY, /* refused because of query_only */
    GQL_RESULT_THROTTLED,  /* refused by the rate limit */
} gql_result;

/* Called once; body is JSON, valid during the call, which the service must outlive. */
typedef void (*gql_run_done)(void *data, gql_result result, pl_str body);
typedef struct gql_run gql_run;

/* Runs a request for work (whose arena holds all that belongs to it, and the request). NULL when done has
 * been called before it returns; otherwise a handle for cancelling until done. Not below pl_protect. */
gql_run *gql_service_run(gql_service *service, const gql_request *request, pl_work *work, gql_run_done done,
                         void *data);
/* done will not be called. */
void gql_run_cancel(gql_run *run);

typedef struct gql_service_stats {
    size_t documents, bytes;
    uint64_t hits, misses;
} gql_service_stats;
gql_service_stats gql_service_get_stats(const gql_service *service);

/* {"errors":[…]} of a list of diagnostics, as a response without data. */
void gql_write_diagnostics(pl_buf *out, const gql_diagnostics *list, pl_code code);
/* {"errors":[{"message":…,"extensions":{"code":…}}]} */
void gql_write_error(pl_buf *out, pl_code code, pl_str message);

/* Reads {"query", "operationName", "variables", "extensions"} from a JSON value; INVALID_ARGUMENT says what
 * is wrong. */
pl_code gql_request_read(const pl_value *json, gql_request *out, pl_error *err);
/* The same, but there may be no query (its ptr is NULL then). */
pl_code gql_request_read_members(const pl_value *json, gql_request *out, pl_error *err);

#endif
