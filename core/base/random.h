/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_RANDOM_H
#define PL_BASE_RANDOM_H

#include <stdint.h>

/* Where policies get chance from: handed in, so that a test knows what comes. Not for cryptography. */
typedef struct pl_random pl_random;
struct pl_random {
    uint64_t (*next)(pl_random *random); /* 64 even bits */
    uint64_t state;                      /* of pl_random_seed's */
};

/* A generator (splitmix64) for one thread. */
void pl_random_seed(pl_random *random, uint64_t seed);
double pl_random_unit(pl_random *random);                    /* in [0, 1) */
uint32_t pl_random_below(pl_random *random, uint32_t bound); /* in [0, bound); bound above 0 */
/* value times something even in [1 - share, 1 + share]; share within 0 to 1. */
double pl_random_jitter(pl_random *random, double value, double share);

#endif
