/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SERVICE_H
#define PL_GRAPHQL_SERVICE_H

#include "graphql/cache/responses.h"
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
    bool no_memory;          /* refused because it cannot be told whose the budget is */
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
    gql_cache_settings cache;
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
    pl_str operation_name;        /* ptr NULL: none */
    const pl_value *variables;    /* a MAP, or NULL */
    const pl_value *extensions;   /* a MAP, or NULL: for the script, and for those who extend the protocol */
    bool query_only;              /* refuse mutations (GET) */
    bool subscriptions;           /* events can be carried; otherwise a subscription is refused, */
    const char *no_subscriptions; /* with this message; NULL: one that names no transport */
    bool held;                    /* a subscription begins on hold (gql_run_hold) */
    gql_incremental incremental;
    struct gql_run **place; /* is set to the run before the first payload, so that it can be held or cancelled
                               from there on; may be NULL */
} gql_request;

typedef enum gql_result {
    GQL_RESULT_DATA,              /* executed: there is a data entry */
    GQL_RESULT_REFUSED,           /* a request error: there is none */
    GQL_RESULT_QUERY_ONLY,        /* refused because of query_only */
    GQL_RESULT_THROTTLED,         /* refused by the rate limit */
    GQL_RESULT_NO_SUBSCRIPTION,   /* refused for want of `subscriptions` */
    GQL_RESULT_REFUSED_BY_SCRIPT, /* an interceptor has raised an error */
    GQL_RESULT_SUBSCRIBED,        /* a subscription has its source; no body */
    GQL_RESULT_COMPLETE,          /* a subscription has ended; no body */
} gql_result;

/* How long a response may be cached. max_age 0: not at all. */
typedef struct gql_payload_cache {
    uint32_t max_age, age; /* seconds */
    bool is_private, hit;
    char hash[33]; /* of the body; "" where it is not known */
} gql_payload_cache;

typedef struct gql_payload {
    gql_result result;
    pl_code code;            /* of a refusal */
    bool invalid;            /* of a refusal: not because of the document's syntax */
    uint32_t errors;         /* that the operation has met so far */
    uint64_t retry_after_ms; /* THROTTLED: when it will do; 0: no matter when */
    pl_str body;             /* JSON, valid during the call; ptr NULL: none */
    bool has_next;
    gql_payload_cache cache;
} gql_payload;

/* Called for each payload, in order: once for a query or mutation, unless @defer or @stream make it several;
 * for a subscription SUBSCRIBED, DATA for each event, and COMPLETE or a refusal at the end. After the one
 * without has_next the run is over. The service outlives it. */
typedef void (*gql_run_payload)(void *data, const gql_payload *payload);
typedef struct gql_run gql_run;

/* Runs a request for work (whose arena holds all that belongs to it, and the request). NULL when it was over
 * before this returns; otherwise a handle until the last payload. */
gql_run *gql_service_run(gql_service *service, const gql_request *request, pl_work *work,
                         gql_run_payload payload, void *data);
/* No payload will come. */
void gql_run_cancel(gql_run *run);
/* The receiver cannot take more for the time being: no event is taken from a subscription's source, and
 * nothing more is delivered for @defer and @stream, until it is let go again. */
void gql_run_hold(gql_run *run, bool hold);

/* The interceptors of all operations (pl_engine.chain); PL_REF_NONE: none. */
void gql_service_set_interceptors(gql_service *service, pl_ref chain);
/* Where responses are kept, before the first run: until then they are only given their policies. */
void gql_service_set_storage(gql_service *service, const gql_cache_storage *storage);
/* The function that tells sessions of cached responses apart: ctx -> string or nil. PL_REF_NONE: none. */
void gql_service_set_session(gql_service *service, pl_ref function);

typedef struct gql_service_stats {
    size_t documents, bytes;
    uint64_t hits, misses;
} gql_service_stats;
gql_service_stats gql_service_get_stats(const gql_service *service);

/* {"errors":[…]} of a list of diagnostics, as a response without data. */
void gql_write_diagnostics(pl_buf *out, const gql_diagnostics *list, pl_code code);
/* {"errors":[{"message":…,"extensions":{"code":…}}]} */
void gql_write_error(pl_buf *out, pl_code code, pl_str message);

/* {"errors":[…]} of a script's failure; an unexpected one is logged (as `what`), and shown by its code and
 * the work's id only. */
void gql_write_failure(pl_buf *out, const pl_work *work, const pl_failure *failure, const char *what,
                       bool show_internal);
void gql_log_failure(const pl_work *work, const pl_failure *failure, const char *what);
/* Adds the members of ctx.extensions, where a script has filled it, to those that stand from `begin` on.
 * False: memory. */
bool gql_write_ctx_extensions(pl_buf *out, size_t begin, pl_state *state, const pl_work *work);

/* Reads {"query", "operationName", "variables", "extensions"} from a JSON value; INVALID_ARGUMENT says what
 * is wrong. */
pl_code gql_request_read(const pl_value *json, gql_request *out, pl_error *err);
/* The same, but there may be no query (its ptr is NULL then). */
pl_code gql_request_read_members(const pl_value *json, gql_request *out, pl_error *err);

#endif
