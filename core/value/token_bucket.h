/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_TOKEN_BUCKET_H
#define PL_VALUE_TOKEN_BUCKET_H

#include "value/shared.h"

/* Token buckets, one for each key of a shared dictionary: what workers take from the same bucket at the same
 * time is taken once each. A bucket holds `capacity` tokens at most, gets `refill` a second, and begins full;
 * a full one takes no memory. When the dictionary is full, the buckets that were not used for the longest
 * time are forgotten: they are full again. */
typedef struct pl_bucket {
    double capacity; /* above 0 */
    double refill;   /* above 0 */
} pl_bucket;
typedef struct pl_bucket_state {
    bool taken;
    double left;             /* in the bucket, afterwards */
    uint64_t retry_after_ms; /* until there will be enough, when nothing was taken; UINT64_MAX: never */
} pl_bucket_state;

/* Takes tokens (0 or more), all or none. now in milliseconds, by one clock for all. Errors:
 * RESOURCE_EXHAUSTED for memory. */
pl_code pl_bucket_take(pl_shared_dict *dict, pl_str key, const pl_bucket *bucket, double tokens, uint64_t now,
                       pl_bucket_state *out);

#endif
