/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_RESOLVE_H
#define PL_NET_RESOLVE_H

#include "net/loop.h"
#include "net/target.h"

/* From a target to addresses, and to other addresses when they change. Nothing here blocks the loop: names
 * are looked up by threads, agents are asked over sockets of the loop.
 *
 * - Lists do not change.
 * - DNS is asked again when the owner says so (a connection has failed), no more often than every
 *   min_interval_ms, and by itself every poll_ms, where that is set. getaddrinfo knows no time to live.
 * - Consul tells of changes at once: each query waits at the agent until there is one.
 * - What fails is tried again after 1 s, then 1.6 times as long up to 2 min, each with a jitter of a fifth.
 *   What was found before stays in use. */

/* What resolvers of a loop share. */
typedef struct pl_resolving pl_resolving;
pl_resolving *pl_resolving_new(pl_loop *loop, pl_error *err); /* RESOURCE_EXHAUSTED */
/* After its resolvers. Does not wait for look-ups that are under way. NULL is fine. */
void pl_resolving_free(pl_resolving *resolving);

/* Functions run on the loop's thread, from its timers and messages, never from inside of the functions below;
 * they may free the resolver. */
typedef struct pl_resolver_config {
    pl_str target;
    void *data;
    /* What the target stands for now; may be called with what is known already. At least one address, none
     * twice, and they go when this returns. */
    void (*update)(void *data, const pl_resolved *addresses, size_t count);
    /* Nothing could be found out, or nothing is there (NOT_FOUND); names the target. It is tried again. */
    void (*error)(void *data, const pl_error *why);
    unsigned min_interval_ms; /* DNS; 0 is 30 s */
    unsigned poll_ms;         /* DNS; 0: not by itself */
    unsigned retry_ms;        /* after the first failure; 0 is 1 s */
} pl_resolver_config;

typedef struct pl_resolver pl_resolver;
/* Begins. NULL: INVALID_ARGUMENT (target), RESOURCE_EXHAUSTED. */
pl_resolver *pl_resolver_new(pl_resolving *resolving, const pl_resolver_config *config, pl_error *err);
void pl_resolver_free(pl_resolver *resolver); /* no further calls; NULL is fine */
/* The owner has doubts about what it was told. */
void pl_resolver_refresh(pl_resolver *resolver);

#endif
