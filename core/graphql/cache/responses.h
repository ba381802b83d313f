/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_CACHE_RESPONSES_H
#define PL_GRAPHQL_CACHE_RESPONSES_H

#include "graphql/cache/store.h"
#include "graphql/cache/trace.h"

/* Whole responses of queries, found instead of executed again. A service asks before it executes a query, and
 * says what came of it:
 *
 *   find → HIT: here is the response
 *        → WAIT: the same query is being executed; `resume` gives its response, or says to execute, later
 *        → EXECUTE: then finish with the response, or abandon
 *
 * A response is public or private. A public one is found by all that have a session, or by all that have
 * none, as it was when it was executed; a private one by its session only, and it is not kept when there is
 * no session. What has errors, or came in several payloads, is the caller's not to give. */

typedef enum gql_cache_event { GQL_CACHE_HIT, GQL_CACHE_MISS, GQL_CACHE_JOINED } gql_cache_event;

/* Where responses are kept; the functions are called on any thread. */
typedef struct gql_cache_storage {
    void *data;
    uint64_t generation; /* part of all keys */
    void (*digest)(void *data, pl_str bytes, gql_cache_key *out);
    gql_cached *(*get)(void *data, const gql_cache_key *key, uint64_t now); /* a reference, or NULL */
    /* A number that every purge changes. */
    uint64_t (*mark)(void *data);
    /* Keeps a reference, unless what one of the tags names was purged since mark. */
    void (*put)(void *data, uint64_t generation, const gql_cache_key *key, gql_cached *cached,
                const gql_cache_tags *tags, uint64_t mark, uint64_t now);
    void (*count)(void *data, gql_cache_event event); /* of a lookup: for statistics */
} gql_cache_storage;

/* Of a service; belongs to its thread. */
typedef struct gql_responses gql_responses;
/* rules outlive it; storage may be NULL: then nothing is kept, and only policies are found. NULL: memory. */
gql_responses *gql_responses_new(const gql_cache_rules *rules, const gql_cache_storage *storage);
void gql_responses_free(gql_responses *responses); /* no lookup may be left; NULL is fine */

/* What is known of the responses of a plan: gql_plan.cache_outlook. */
typedef enum gql_cache_outlook {
    GQL_OUTLOOK_UNKNOWN,
    GQL_OUTLOOK_PUBLIC,
    GQL_OUTLOOK_PRIVATE,
    GQL_OUTLOOK_NONE, /* the last one could not be cached: nobody waits for the next one */
} gql_cache_outlook;

typedef struct gql_lookup_request {
    pl_str query;
    const gql_operation *operation;
    const pl_value *variables;  /* as the client gave them: a MAP, or NULL */
    const pl_value *extensions; /* of the request: a MAP, or NULL */
    pl_str session;             /* ptr NULL: none */
    bool bypass;                /* neither found nor kept: only the policy is wanted */
    gql_plan *plan;
    pl_arena *arena;
    pl_host *host; /* its clock and timers */
} gql_lookup_request;

typedef enum gql_lookup_result { GQL_LOOKUP_EXECUTE, GQL_LOOKUP_HIT, GQL_LOOKUP_WAIT } gql_lookup_result;

typedef struct gql_flight gql_flight;
/* Of one run, which keeps it in place. */
typedef struct gql_lookup gql_lookup;
struct gql_lookup {
    /* Set by the caller. The response is valid during the call; NULL: it is to be executed now. */
    void (*resume)(gql_lookup *lookup, const gql_cached *cached);
    void *data;

    gql_cache_trace *trace; /* for the execution; find makes it where it is NULL. NULL after: memory */
    /* The rest is this module's. */
    gql_lookup_request request;
    gql_cache_key key;
    bool keyed; /* key is there: the response may be kept */
    uint64_t mark;
    gql_flight *flight; /* that it leads, or waits for */
    gql_lookup *next, *prev;
};

/* HIT: *hit is a reference. */
gql_lookup_result gql_responses_find(gql_responses *responses, gql_lookup *lookup,
                                     const gql_lookup_request *request, gql_cached **hit);
/* The execution has ended. body NULL: with errors, or with something else that is not to be cached. Returns
 * for how long and for whom the response may be cached; max_age 0: not at all. shared false: but not here,
 * nor is it given to those who wait. */
gql_cache_hint gql_responses_finish(gql_responses *responses, gql_lookup *lookup, const pl_str *body,
                                    bool shared);
/* It was cancelled, or waits no longer. Also after finish, and for a lookup that was never used: nothing. */
void gql_responses_abandon(gql_responses *responses, gql_lookup *lookup);

#endif
