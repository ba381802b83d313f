/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_TARGET_H
#define PL_NET_TARGET_H

#include "base/arena.h"
#include "base/error.h"

/* What a gRPC client is told to call, as in gRPC's naming document:
 *
 *   HOST[:PORT], dns:HOST[:PORT], dns:///HOST[:PORT]      a name; the port is 443 when there is none. An IP
 *                                                         address is taken as it is ("[::1]:50051")
 *   ipv4:ADDRESS[:PORT],…   ipv6:[ADDRESS][:PORT],…       a list that stays
 *   unix:PATH, unix:///PATH, unix-abstract:NAME
 *   consul://AGENT[:PORT]/SERVICE[?NAME=VALUE&…]          instances of a service, from a Consul agent; the
 * port is 8500 when there is none
 *
 * Consul's parameters: tag (may come more than once: all of them), dc, near, filter, ns, partition, stale
 * (true, false); passing=false takes instances with warnings, too; token; tls=true speaks HTTPS with the
 * agent, which ca=FILE (PEM) must have signed; wait, in seconds (5 to 600; 300): how long a query stays open.
 * Percent signs escape as in any URI. */

typedef struct pl_resolved {
    pl_str address; /* as pl_dial takes it */
    uint32_t weight;
} pl_resolved;

typedef enum pl_target_kind { PL_TARGET_DNS, PL_TARGET_LIST, PL_TARGET_CONSUL } pl_target_kind;

typedef struct pl_target {
    pl_target_kind kind;
    pl_str text;      /* for messages: the target without its secrets */
    pl_str authority; /* for calls' :authority, unless another one is set */
    pl_str name;      /* whom to expect with TLS, unless another one is set */
    struct {
        const char *host, *port;
    } dns;
    struct {
        const pl_resolved *addresses;
        size_t count;
    } list;
    struct {
        const char *url;   /* with a query that more can be appended to by '&' */
        const char *token; /* or NULL */
        const char *ca;    /* or NULL */
        unsigned wait_s;
        bool warnings; /* instances with warnings are wanted, too */
    } consul;
} pl_target;

/* All of it in the arena. INVALID_ARGUMENT, naming the target and what is wrong with it. */
pl_code pl_target_parse(pl_str text, pl_arena *arena, pl_target *out, pl_error *err);

#endif
