/* SPDX-License-Identifier: MIT */
#include "events/policy/retry.h"

bool pl_retry_is_worthwhile(const pl_retry_policy *policy, pl_code code)
{
    return !((policy->never ? policy->never : PL_NEVER_RETRIED) & pl_code_bit(code));
}

/* Before attempt number failed + 1. */
static uint64_t wait_after(const pl_retry_policy *policy, unsigned failed, double chance)
{
    double wait = policy->initial ? (double)policy->initial : 500;
    double max = policy->max ? (double)policy->max : 30000;
    double multiplier = policy->multiplier >= 1 ? policy->multiplier : 2;
    if (policy->growth == PL_LINEAR)
        wait *= failed;
    for (unsigned i = 1; policy->growth == PL_EXPONENTIAL && i < failed && wait < max && multiplier > 1; i++)
        wait *= multiplier;
    if (wait > max)
        wait = max;
    return (uint64_t)(wait * (1 - policy->jitter * chance));
}

pl_retry_verdict pl_retry_decide(const pl_retry_policy *policy, pl_code code, unsigned attempt,
                                 unsigned topic, double chance)
{
    unsigned attempts = policy->attempts ? policy->attempts : 1;
    if (!pl_retry_is_worthwhile(policy, code))
        return (pl_retry_verdict){.kind = PL_DEAD_LETTER};
    if (topic == 0 && attempt < attempts)
        return (pl_retry_verdict){.kind = PL_RETRY_HERE, .wait = wait_after(policy, attempt, chance)};
    if (topic < policy->topic_count)
        return (pl_retry_verdict){.kind = PL_RETRY_TOPIC, .wait = policy->topics[topic], .topic = topic};
    return (pl_retry_verdict){.kind = PL_DEAD_LETTER};
}
