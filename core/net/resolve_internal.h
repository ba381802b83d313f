/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_RESOLVE_INTERNAL_H
#define PL_NET_RESOLVE_INTERNAL_H

#include "net/http_fetch.h"
#include "net/lookup.h"
#include "net/resolve.h"

struct pl_resolving {
    pl_loop *loop;
    pl_host *host;
    pl_lookups *lookups;
    pl_http_fetcher *fetcher; /* NULL until it is needed */
    uint64_t chance;
};

struct pl_resolver {
    pl_resolving *resolving;
    pl_resolver_config config;
    pl_arena arena; /* of the target */
    pl_target target;
    pl_timer timer;    /* for the next question */
    double retry_ms;   /* 0: the last question was answered */
    uint64_t asked_at; /* 0: never */
    pl_lookup *lookup; /* under way, or NULL */
    pl_http_fetch *fetch;
    bool in_error;  /* the last that the owner was told is an error */
    uint64_t index; /* of Consul's */
    pl_buf known;   /* what was told last */
};

uint64_t pl_resolver_now(const pl_resolver *r);
/* The next question; without memory for a timer, never. */
void pl_resolver_ask_at(pl_resolver *r, uint64_t at);
/* The question has failed: it is put off, and the owner told, after which the resolver may be gone. */
void pl_resolver_failed(pl_resolver *r, pl_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The owner is told, and nothing else done; the resolver may be gone then. */
void pl_resolver_report(pl_resolver *r, pl_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* It was answered. Tells the owner, unless that is what it knows; the resolver may be gone then. */
void pl_resolver_answered(pl_resolver *r, const pl_resolved *addresses, size_t count);

void pl_resolver_ask_dns(pl_resolver *r);
void pl_resolver_ask_consul(pl_resolver *r);

#endif
