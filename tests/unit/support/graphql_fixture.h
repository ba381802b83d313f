/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_GRAPHQL_FIXTURE_H
#define PL_TESTS_GRAPHQL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graphql/service.h"
#include "support/failing.h"
#include "support/test_engine.h"

/* A schema on the test engine, and requests on it. What goes wrong while it is set up fails the test. */
typedef struct gf {
    te *t;
    gql_schema *schema;
    gql_binding *binding;
    gql_service_options options; /* may be changed until the first request, or followed by gf_restart */
    gql_service *service;
    pl_logger *log;
    pl_buf logged; /* lines of JSON */
    pl_arena arena;
    uint64_t deadline;        /* of requests */
    size_t arena_limit;       /* of requests */
    const pl_header *headers; /* of requests */
    size_t header_count;
    gql_incremental incremental; /* of requests */
    failing *failing;            /* begun with a request; the test ends it */
} gf;

void gf_open(gf *f, const char *sdl);
void gf_close(gf *f);          /* nothing may wait, and no ref may be left that the binding did not keep */
int gf_teardown(void **state); /* cmocka's, of a gf: closes it */
void gf_restart(gf *f);        /* a new service with the options as they are now */

/* Binds the entry of a type, before it is used: gf_bind(f, "Query", "user", function). A field may be bound
 * anew. */
void gf_bind(gf *f, const char *type, const char *name, te_value v);
void gf_resolve(gf *f, const char *type, const char *name, te_callback *callback, void *data);
/* The field's resolver returns v; waits first, with its own name as label; fails. */
void gf_give(gf *f, const char *type, const char *name, te_value v);
void gf_wait(gf *f, const char *type, const char *name, te_value v);
void gf_fail(gf *f, const char *type, const char *name, const char *message);

typedef struct gf_request {
    gf *f;
    pl_arena arena;
    pl_work work;
    gql_run *run;
    unsigned done; /* payloads so far */
    bool over;
    bool cancel; /* from within the next payload */
    gql_result result;
    char *body; /* of the last payload; NULL until done */
    char *all;  /* of all, in a line each */
    gql_payload_cache cache;
} gf_request;

void gf_start(gf_request *r, gf *f, const char *query, const char *variables); /* variables: JSON, or NULL */
void gf_start_full(gf_request *r, gf *f, const char *query, const char *operation, const char *variables,
                   bool query_only);
void gf_end(gf_request *r);

/* Runs a request that nothing waits for, and compares the response. */
void gf_expect(gf *f, const char *query, const char *variables, const char *response);
/* The same, but every call that waits is ended, oldest first. */
void gf_expect_in_turn(gf *f, const char *query, const char *response);
/* The loop's next turns, as far as anything is due. */
void gf_settle(gf *f);
/* Turns of the loop, and ends of calls that wait in an order that depends on seed, until the run is over; it
 * is cancelled after `most` of them (0: never). */
void gf_go_on(gf_request *r, size_t seed, unsigned most);
/* Compares all payloads so far, a line each, and forgets them. Quotes in `payloads` are written as '. */
void gf_check_all(gf_request *r, const char *payloads);
/* Runs a request; calls that wait are ended, oldest first, with turns of the loop in between. */
void gf_expect_all(gf *f, const char *query, const char *variables, const char *payloads);
/* Compares what a request that is done has got. */
void gf_check(gf_request *r, const char *response);

#endif
