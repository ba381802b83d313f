/* SPDX-License-Identifier: MIT */
#include "value/token_bucket.h"

#include <math.h>

/* A bucket is one number: when it will be full (in milliseconds; the past: it is). That is the generic cell
 * rate algorithm, and needs no clock that ticks. When its capacity or rate has been changed since, it may be
 * later than an empty bucket needs now; then it is empty. */

typedef struct taking {
    const pl_bucket *bucket;
    double tokens, now;
    pl_bucket_state *out;
} taking;

/* A little forgiveness for sums of fractions. */
#define EPSILON 1e-6

static bool take(void *data, double *full_at, uint64_t *ttl)
{
    const taking *t = data;
    double per_token = 1000 / t->bucket->refill;
    double latest = t->now + t->bucket->capacity * per_token;
    bool changed = *full_at > latest + EPSILON;
    double begin = changed ? latest : *full_at > t->now ? *full_at : t->now;
    double left = t->bucket->capacity - (begin - t->now) / per_token;
    pl_bucket_state *out = t->out;
    *out = (pl_bucket_state){.taken = t->tokens <= left + EPSILON, .left = left > 0 ? left : 0};
    if (!out->taken) {
        out->retry_after_ms = t->tokens > t->bucket->capacity + EPSILON
                                  ? UINT64_MAX
                                  : (uint64_t)ceil((t->tokens - left) * per_token);
        if (!changed)
            return false;
    } else {
        begin += t->tokens * per_token;
        out->left = left > t->tokens ? left - t->tokens : 0;
    }
    *full_at = begin;
    *ttl = (uint64_t)ceil(begin - t->now) + 1;
    return true;
}

pl_code pl_bucket_take(pl_shared_dict *dict, pl_str key, const pl_bucket *bucket, double tokens, uint64_t now,
                       pl_bucket_state *out)
{
    taking t = {bucket, tokens, (double)now, out};
    return pl_shared_update(dict, key, now, take, &t);
}
