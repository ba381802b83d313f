/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SERVICE_INTERNAL_H
#define PL_GRAPHQL_SERVICE_INTERNAL_H

/* What the files of the service share: service.c (life, reading and writing), run.c (a request from its text
 * to its payloads) and subscription.c (its source of events). */

#include "base/gone.h"
#include "graphql/admission.h"
#include "graphql/documents.h"
#include "graphql/service.h"

struct gql_service {
    gql_binding *binding;
    gql_service_options options;
    gql_documents *documents;
    pl_buf spare;        /* a response buffer between two runs */
    pl_ref interceptors; /* their chain; PL_REF_NONE: none */

    /* NULL: nothing of the schema or the settings asks for caching. */
    gql_cache_rules *cache_rules;
    gql_responses *responses;
    pl_ref cache_session; /* the function that tells sessions apart; PL_REF_NONE: none */
};

typedef struct gql_subscription gql_subscription;

struct gql_run {
    gql_service *service;
    pl_work *work;
    gql_request request;
    gql_prepared *prepared;
    const gql_operation *operation;
    gql_plan *plan;
    bool plan_is_own; /* not in the cache: freed with the run */
    gql_input_env env;
    gql_admission admission;
    gql_execution *execution;
    gql_trace *trace; /* of a subgraph, for a gateway that asks for it; NULL: none */
    gql_subscription *subscription;
    gql_run_payload payload;
    void *data;
    bool *ended;  /* set when the run ends while somebody further up still looks at it */
    pl_code code; /* of the errors */
    gql_diagnostics errors;
    gql_source source;
    bool on_hold; /* the receiver takes no events; a subscription begins so */

    pl_call *chain; /* the interceptors, as long as they are at work */
    pl_timer timer; /* while they wait for something else than what they wrap */
    bool timer_armed;
    bool delivered; /* a payload has gone out: what an interceptor raises now is only logged */
    bool is_held;   /* the last payload waits for them */
    gql_payload held;
    uint32_t error_count; /* of the operation, for them */

    gql_lookup lookup; /* of a cached response; its trace is NULL where nothing is cached */
    bool looked_up;    /* its execution, or what it waits for, is to be told of the end */
    bool extended;     /* the response has extensions */
};

/* run.c */
/* Hands out a payload; the one without has_next ends the run, after the interceptors. */
void gql_run_emit(gql_run *run, const gql_payload *payload);
/* Ends it with what is in errors, or with one message, or a script's failure. */
void gql_run_refuse(gql_run *run, gql_result result);
void gql_run_refuse_with(gql_run *run, gql_result result, const char *message);
void gql_run_refuse_failure(gql_run *run, const pl_failure *failure, const char *what);
pl_str gql_no_memory_body(void);
/* Executes the operation, whose plan and variables are there. */
void gql_run_execute(gql_run *run);

/* run_cache.c */
bool gql_cache_open(gql_service *service); /* false: memory */
void gql_cache_close(gql_service *service);
/* Before the interceptors: from here on ctx.cache:hint counts. */
void gql_run_trace(gql_run *run);
/* Instead of the execution: true when the run was answered, or waits for another one's response. */
bool gql_run_find(gql_run *run);
/* With the first payload: keeps it if it may, and fills payload->cache. */
void gql_run_keep(gql_run *run, gql_payload *payload);
/* The run ends without a payload that was kept. */
void gql_run_lose(gql_run *run);

/* subscription.c */
/* Subscribes for the run, whose plan and variables are there. */
void gql_subscription_start(gql_run *run);
/* Ends it without a payload; NULL is fine. */
void gql_subscription_cancel(gql_subscription *subscription);
void gql_subscription_hold(gql_subscription *subscription, bool hold);

#endif
