/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_THROTTLE_H
#define PL_GRPC_POLICY_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* Keeps retries from making an overload worse (gRFC A6): a bucket of tokens for all calls to one server. A
 * failure takes one token, a success gives back a part of one; with half of them gone nothing is retried. */
typedef struct pl_retry_throttle {
    uint32_t max, ratio; /* thousandths of a token; max 0: there is no throttling */
    uint32_t tokens;
} pl_retry_throttle;

/* New settings, in thousandths; what is left of the tokens stays in proportion, and a new bucket is full. */
void pl_retry_throttle_configure(pl_retry_throttle *throttle, uint32_t max, uint32_t ratio);
/* throttle may be NULL for these. */
void pl_retry_throttle_success(pl_retry_throttle *throttle);
void pl_retry_throttle_failure(pl_retry_throttle *throttle);
bool pl_retry_throttle_allows(const pl_retry_throttle *throttle); /* a retry, or a hedged attempt */

#endif
