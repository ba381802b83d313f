/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_SERVICE_CONFIG_H
#define PL_GRPC_POLICY_SERVICE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "value/value.h"

/* gRPC's service config: how the calls of a client are to be made, as its JSON form says (grpc/grpc:
 * doc/service_config.md, gRFC A6 for retries and hedging). Times are whole milliseconds, rounded up. */

/* Codes as bits: 1 << PL_UNAVAILABLE. */
typedef uint32_t pl_code_set;
static inline bool pl_code_set_has(pl_code_set set, pl_code code)
{
    return (set >> (unsigned)code & 1) != 0;
}

/* More attempts in a config count as so many, as in other clients. */
#define PL_MOST_ATTEMPTS 5

typedef struct pl_retry_policy {
    uint32_t max_attempts;                 /* 2 to PL_MOST_ATTEMPTS, with the first one */
    uint64_t initial_backoff, max_backoff; /* above 0 */
    double multiplier;                     /* above 0 */
    pl_code_set codes;                     /* not empty */
} pl_retry_policy;

typedef struct pl_hedging_policy {
    uint32_t max_attempts; /* 2 to PL_MOST_ATTEMPTS, with the first one */
    uint64_t delay;        /* 0: all at once */
    pl_code_set non_fatal;
} pl_hedging_policy;

typedef struct pl_method_config {
    bool has_wait_for_ready, wait_for_ready;
    bool has_timeout;
    uint64_t timeout;
    uint64_t max_request, max_response; /* bytes of a message; UINT64_MAX: the config says nothing */
    const pl_retry_policy *retry;       /* this or hedging, or neither */
    const pl_hedging_policy *hedging;
} pl_method_config;

typedef enum pl_balancing_policy {
    PL_PICK_FIRST,
    PL_ROUND_ROBIN,
    PL_LEAST_REQUEST,
    PL_WEIGHTED, /* round robin by the endpoints' weights */
} pl_balancing_policy;
/* Any case ("ROUND_ROBIN"); "least_request_experimental" is least_request. False: there is no such policy. */
bool pl_balancing_policy_named(pl_str name, pl_balancing_policy *out);
const char *pl_balancing_policy_name(pl_balancing_policy policy);

typedef struct pl_balancing {
    pl_balancing_policy policy;
    bool shuffle;     /* pick_first: the list is shuffled first */
    uint32_t choices; /* least_request: of how many the least busy one is taken, 2 to 10 */
} pl_balancing;

typedef struct pl_service_config {
    bool has_balancing;
    pl_balancing balancing;
    bool has_throttling;
    uint32_t max_tokens;  /* thousandths of a token */
    uint32_t token_ratio; /* thousandths, above 0 */
    bool has_health;      /* ask the endpoints' health service */
    pl_str health_service;
    pl_map methods; /* "service/method", "service/" or "" → pl_method_config */
} pl_service_config;

/* Reads a MAP, from JSON or a script: a duration may be a number of seconds there, too. The config, with
 * copies of all it needs, lives as long as arena. strict: members that nobody knows are errors, as suits what
 * was written for this server; otherwise they are passed over, as suits what a resolver brings. Errors:
 * INVALID_ARGUMENT, whose message begins with the JSON path ("methodConfig[0].retryPolicy.maxAttempts must
 * be…"); RESOURCE_EXHAUSTED: memory. */
pl_code pl_service_config_read(pl_arena *arena, const pl_value *value, bool strict,
                               const pl_service_config **out, pl_error *err);
/* The same from text, of at most 1 MB. */
pl_code pl_service_config_parse(pl_arena *arena, pl_str text, bool strict, const pl_service_config **out,
                                pl_error *err);

/* What holds for a call of path, "/service/method": what names the method, else its service, else what is
 * for all. Never NULL: a config that says nothing. config may be NULL. */
const pl_method_config *pl_service_config_method(const pl_service_config *config, pl_str path);

#endif
