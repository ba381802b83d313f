/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_BACKOFF_H
#define PL_GRPC_POLICY_BACKOFF_H

#include "base/random.h"

/* When to connect again, as gRPC's connection-backoff.md has it: the time between the beginnings of two
 * attempts grows from `initial` by `multiplier` up to `max`, each but the first with a jitter; a connection
 * that came about begins anew. Times in milliseconds, by the caller's clock. */
typedef struct pl_backoff_config {
    uint64_t initial;  /* 0 is 1 s */
    uint64_t max;      /* 0 is 120 s */
    uint64_t connect;  /* least time that an attempt gets; 0 is 20 s */
    double multiplier; /* below 1 is 1.6 */
    double jitter;     /* share; 0 is 0.2; below 0 is none */
} pl_backoff_config;

typedef struct pl_backoff {
    double current;   /* 0: the next attempt is the first */
    uint64_t next_at; /* no attempt before it; set by pl_backoff_attempt */
} pl_backoff;

/* An attempt begins: sets next_at, which counts if it fails. Returns when the attempt is to be given up. */
uint64_t pl_backoff_attempt(pl_backoff *backoff, const pl_backoff_config *config, pl_random *random,
                            uint64_t now);
/* It has succeeded. */
void pl_backoff_reset(pl_backoff *backoff);

#endif
