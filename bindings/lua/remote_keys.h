/* SPDX-License-Identifier: MIT */
#ifndef PLUA_REMOTE_KEYS_H
#define PLUA_REMOTE_KEYS_H

#include "auth/jwk.h"
#include "base/log.h"
#include "value/engine.h"
#include "value/registry.h"

/* A set of keys that is published under a URL, and changes there now and then. One for all workers and
 * generations that name the same URL: it is fetched once for all, on a helper thread, when somebody asks for
 * it; the last good set stays until there is a better one. Thread-safe. Times in milliseconds by the hosts'
 * clock. */

typedef struct plua_remote_keys plua_remote_keys;

typedef struct plua_remote_options {
    const char *url;
    const char *ca_file; /* NULL: the system's */
    bool plain;
    unsigned timeout_ms;
} plua_remote_options;

/* Finds or makes it; held until plua_remote_keys_release. NULL, with *err: memory. */
plua_remote_keys *plua_remote_keys_get(pl_registry *registry, const plua_remote_options *options,
                                       pl_error *err);
void plua_remote_keys_release(pl_registry *registry, plua_remote_keys *keys);

/* The set as it is now, with a reference for the caller; NULL: there is none yet. */
pl_jwk_set *plua_remote_keys_set(plua_remote_keys *keys);

typedef struct plua_remote_state {
    bool has_set, fetching;
    uint64_t fetched_at; /* the set; 0: never */
    uint64_t tried_at;   /* the last time; 0: never */
    uint64_t fetches, failures;
} plua_remote_state;
plua_remote_state plua_remote_keys_look(plua_remote_keys *keys);

/* Begins to fetch, unless that is under way, or was begun less than cooldown_ms ago. True: it is under way
 * now. It goes on when the caller's state is gone. */
bool plua_remote_keys_refresh(plua_remote_keys *keys, pl_registry *registry, pl_host *host,
                              uint64_t cooldown_ms);

#endif
