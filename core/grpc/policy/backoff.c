/* SPDX-License-Identifier: MIT */
#include "grpc/policy/backoff.h"

uint64_t pl_backoff_attempt(pl_backoff *backoff, const pl_backoff_config *config, pl_random *random,
                            uint64_t now)
{
    double initial = config->initial ? (double)config->initial : 1000;
    double max = config->max ? (double)config->max : 120000;
    double multiplier = config->multiplier >= 1 ? config->multiplier : 1.6;
    double jitter = config->jitter == 0  ? 0.2
                    : config->jitter < 0 ? 0
                    : config->jitter > 1 ? 1
                                         : config->jitter;
    uint64_t connect = config->connect ? config->connect : 20000;
    double wait = initial;
    if (backoff->current > 0) {
        backoff->current *= multiplier;
        if (backoff->current > max)
            backoff->current = max;
        wait = pl_random_jitter(random, backoff->current, jitter);
    } else {
        backoff->current = initial;
    }
    backoff->next_at = now + (uint64_t)wait;
    uint64_t give_up = now + connect;
    return give_up > backoff->next_at ? give_up : backoff->next_at;
}

void pl_backoff_reset(pl_backoff *backoff)
{
    *backoff = (pl_backoff){0};
}
