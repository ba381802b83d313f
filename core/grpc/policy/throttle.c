/* SPDX-License-Identifier: MIT */
#include "grpc/policy/throttle.h"

#include <stddef.h>

#define TOKEN 1000u

void pl_retry_throttle_configure(pl_retry_throttle *throttle, uint32_t max, uint32_t ratio)
{
    throttle->tokens = throttle->max ? (uint32_t)((uint64_t)throttle->tokens * max / throttle->max) : max;
    throttle->max = max;
    throttle->ratio = ratio;
}

void pl_retry_throttle_success(pl_retry_throttle *throttle)
{
    if (throttle)
        throttle->tokens = throttle->max - throttle->tokens > throttle->ratio
                               ? throttle->tokens + throttle->ratio
                               : throttle->max;
}

void pl_retry_throttle_failure(pl_retry_throttle *throttle)
{
    if (throttle)
        throttle->tokens = throttle->tokens > TOKEN ? throttle->tokens - TOKEN : 0;
}

bool pl_retry_throttle_allows(const pl_retry_throttle *throttle)
{
    return !throttle || throttle->max == 0 || throttle->tokens > throttle->max / 2;
}
