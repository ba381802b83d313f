/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_RETRY_H
#define PL_EVENTS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What becomes of a record whose handler has failed: tried again in its place after a while, sent to a retry
 * topic so that those behind it can go on, or put into the dead-letter topic. Times in milliseconds. */
typedef enum pl_growth { PL_CONSTANT, PL_LINEAR, PL_EXPONENTIAL } pl_growth;

#define PL_MOST_RETRY_TOPICS 8

typedef struct pl_retry_policy {
    unsigned attempts; /* in its place, the first included; 0 is 1 */
    pl_growth growth;
    uint64_t initial;  /* before the second attempt; 0 is 500 */
    uint64_t max;      /* 0 is 30,000 */
    double multiplier; /* of PL_EXPONENTIAL; below 1 is 2 */
    double jitter;     /* share of the wait that chance decides, 0 to 1 */
    uint32_t never;    /* codes that are not tried again, a bit each (pl_code_bit); 0 is PL_NEVER_RETRIED */
    uint64_t topics[PL_MOST_RETRY_TOPICS]; /* how long a record waits in each retry topic */
    unsigned topic_count;
} pl_retry_policy;

static inline uint32_t pl_code_bit(pl_code code)
{
    return (uint32_t)1 << code;
}
/* Those that say that the event itself is wrong, or that the same would come of it again. */
#define PL_NEVER_RETRIED                                                                                     \
    (1u << PL_INVALID_ARGUMENT | 1u << PL_NOT_FOUND | 1u << PL_ALREADY_EXISTS | 1u << PL_PERMISSION_DENIED | \
     1u << PL_FAILED_PRECONDITION | 1u << PL_OUT_OF_RANGE | 1u << PL_UNIMPLEMENTED | 1u << PL_DATA_LOSS |    \
     1u << PL_UNAUTHENTICATED)

typedef enum pl_verdict_kind {
    PL_RETRY_HERE,  /* after `wait` */
    PL_RETRY_TOPIC, /* in retry topic number `topic` (from 0), not before `wait` is over */
    PL_DEAD_LETTER,
} pl_verdict_kind;
typedef struct pl_retry_verdict {
    pl_verdict_kind kind;
    uint64_t wait;
    unsigned topic;
} pl_retry_verdict;

/* attempt: the one that has failed, from 1, counted where the record is now; topic: how many retry topics it
 * has been through. In a retry topic a record has one attempt. chance: within [0, 1). */
pl_retry_verdict pl_retry_decide(const pl_retry_policy *policy, pl_code code, unsigned attempt,
                                 unsigned topic, double chance);
/* Whether this code is tried again at all. */
bool pl_retry_is_worthwhile(const pl_retry_policy *policy, pl_code code);

#endif
