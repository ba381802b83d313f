/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_BALANCER_H
#define PL_GRPC_POLICY_BALANCER_H

#include "grpc/policy/backoff.h"
#include "grpc/policy/breaker.h"
#include "grpc/policy/service_config.h"

/* Which endpoint a call goes to, and which endpoints are to be connected. Decides only: the caller resolves
 * names, has the connections, and says what becomes of them; after each such call, and at
 * pl_balancer_wake_at, it carries out what pl_balancer_next asks for. One thread; times in milliseconds.
 *
 *   pick_first     one connection: the first of the list that can be had. The next one is tried when an
 *                  attempt fails, or takes longer than 250 ms; then it stays with what it has got. It
 *                  connects when it is first asked for.
 *   round_robin    connections to all, used in turn
 *   least_request  the least busy of `choices` that chance names
 *   weighted       in turn, in proportion to the weights
 *
 *      IDLE ──> CONNECTING ──> READY ──> IDLE (its connection has ended)
 *                  │  ^
 *                  v  │ backoff
 *            TRANSIENT_FAILURE
 */

#define PL_MOST_ENDPOINTS 4096

typedef enum pl_connectivity { PL_IDLE, PL_CONNECTING, PL_READY, PL_TRANSIENT_FAILURE } pl_connectivity;
const char *pl_connectivity_name(pl_connectivity state); /* "IDLE"… */

/* One address of a name, as a resolver gives it. */
typedef struct pl_address {
    pl_str address;  /* told apart by these bytes: "10.0.0.1:50051" */
    uint32_t weight; /* 0 is 1 */
} pl_address;

/* The balancer's, until PL_TO_DROP was taken and its calls have ended. */
typedef struct pl_endpoint pl_endpoint;
struct pl_endpoint {
    pl_str address; /* its bytes end with a NUL */
    uint32_t weight;
    uint32_t in_flight; /* calls that were given to it */
    pl_connectivity state;
    void *data; /* the caller's: its connection */
    /* The balancer's. */
    pl_breaker breaker;
    pl_backoff backoff;
    uint64_t ready_since;
    double turn; /* weighted: when it is its turn, in the time of the schedule */
    uint8_t todo;
    bool listed, failing, unhealthy, queued;
    pl_endpoint *next_todo;
};

typedef struct pl_balancer pl_balancer;

typedef struct pl_balancer_config {
    pl_str target; /* what is called, for messages */
    pl_balancing balancing;
    pl_backoff_config backoff;
    bool has_breaker; /* each endpoint has one: it is passed over while its breaker is open */
    pl_breaker_config breaker;
} pl_balancer_config;

/* random lives as long as the balancer. NULL: memory. */
pl_balancer *pl_balancer_new(const pl_balancer_config *config, pl_random *random);
/* All calls must have ended; connections are the caller's to close. NULL is fine. */
void pl_balancer_free(pl_balancer *balancer);

/* --- names --- */
/* What the name stands for now. Endpoints that stay keep their connections; an address that comes twice is
 * one endpoint. RESOURCE_EXHAUSTED: memory, or more than PL_MOST_ENDPOINTS; all is as before. */
pl_code pl_balancer_update(pl_balancer *balancer, const pl_address *addresses, size_t count, uint64_t now,
                           pl_error *err);
/* The name cannot be resolved: matters only while there is no list. */
void pl_balancer_unresolved(pl_balancer *balancer, const char *why);

/* --- connections --- */
typedef enum pl_todo {
    PL_TO_NOTHING,
    PL_TO_CONNECT,    /* the endpoint, until todo.connect_by: then it has failed */
    PL_TO_DISCONNECT, /* the endpoint; its calls may end by themselves */
    PL_TO_DROP,       /* the same, and the endpoint is gone: only pl_balancer_end may name it */
    PL_TO_RESOLVE,    /* the name, again: what is known of it is old */
} pl_todo;
typedef struct pl_todo_item {
    pl_todo what;
    pl_endpoint *endpoint;
    void *data; /* the endpoint's; NULL where it was never connected */
    uint64_t connect_by;
} pl_todo_item;
pl_todo_item pl_balancer_next(pl_balancer *balancer, uint64_t now);
/* When pl_balancer_wake is to be called; UINT64_MAX: no need. */
uint64_t pl_balancer_wake_at(const pl_balancer *balancer);
void pl_balancer_wake(pl_balancer *balancer, uint64_t now);

/* Where the endpoint's health service is asked: when it has answered first. */
void pl_balancer_connected(pl_balancer *balancer, pl_endpoint *endpoint, uint64_t now);
void pl_balancer_failed(pl_balancer *balancer, pl_endpoint *endpoint, const char *why, uint64_t now);
/* The connection has ended, or takes no more calls. */
void pl_balancer_lost(pl_balancer *balancer, pl_endpoint *endpoint, uint64_t now);
/* What its health service says; pick_first does not ask. */
void pl_balancer_health(pl_balancer *balancer, pl_endpoint *endpoint, bool serving, uint64_t now);

/* --- calls --- */
pl_connectivity pl_balancer_state(const pl_balancer *balancer);

typedef enum pl_pick_result {
    PL_PICK_ENDPOINT, /* for one pl_balancer_end */
    PL_PICK_WAIT,     /* ask again when the state has changed, or at pick.retry_at */
    PL_PICK_FAILED,   /* fails with UNAVAILABLE, and pick.why, unless it waits until it is ready */
} pl_pick_result;
typedef struct pl_pick {
    pl_pick_result result;
    pl_endpoint *endpoint;
    pl_breaker_permit permit;
    const char *why;   /* until the next call of the balancer */
    uint64_t retry_at; /* UINT64_MAX: only a change of state helps */
} pl_pick;
/* wait_for_ready: waits where it would fail. */
pl_pick pl_balancer_pick(pl_balancer *balancer, bool wait_for_ready, uint64_t now);
/* True: the endpoint's breaker has changed its state. */
bool pl_balancer_end(pl_balancer *balancer, const pl_pick *pick, pl_breaker_outcome outcome, uint64_t now);

/* For those who look on: endpoint i of the list, or NULL. */
const pl_endpoint *pl_balancer_endpoint(const pl_balancer *balancer, size_t i);

#endif
