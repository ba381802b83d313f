/* SPDX-License-Identifier: MIT */
#include "base/random.h"

static uint64_t next(pl_random *random)
{
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void pl_random_seed(pl_random *random, uint64_t seed)
{
    *random = (pl_random){next, seed};
}

double pl_random_unit(pl_random *random)
{
    return (double)(random->next(random) >> 11) * 0x1p-53;
}

uint32_t pl_random_below(pl_random *random, uint32_t bound)
{
    return (uint32_t)(((random->next(random) >> 32) * bound) >> 32);
}

double pl_random_jitter(pl_random *random, double value, double share)
{
    return value * (1 - share + 2 * share * pl_random_unit(random));
}
