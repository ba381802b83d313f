/* SPDX-License-Identifier: MIT */
#include "grpc/policy/attempts.h"

#include <math.h>

#define JITTER 0.2

int64_t pl_pushback_read(pl_str text)
{
    int64_t ms = 0;
    if (!text.ptr)
        return PL_PUSHBACK_NONE;
    if (text.len == 0 || text.len > 10)
        return PL_PUSHBACK_STOP;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return PL_PUSHBACK_STOP;
        ms = ms * 10 + (text.ptr[i] - '0');
    }
    return ms <= INT32_MAX ? ms : PL_PUSHBACK_STOP;
}

static uint32_t bit(unsigned attempt)
{
    return (uint32_t)1 << attempt;
}

static uint32_t most(const pl_attempts *a)
{
    return a->method->retry     ? a->method->retry->max_attempts
           : a->method->hedging ? a->method->hedging->max_attempts
                                : 1;
}

/* --- steps --- */
static pl_attempts_step step_of(const pl_attempts *a)
{
    return (pl_attempts_step){
        .wake_at = a->over ? UINT64_MAX : a->wake_at, .over = a->over, .result = a->last};
}

static pl_attempts_step finish(pl_attempts *a, unsigned attempt)
{
    a->over = true;
    a->last = attempt;
    a->wake_at = UINT64_MAX;
    pl_attempts_step step = step_of(a);
    step.cancel = a->running & ~bit(attempt);
    a->running = 0;
    return step;
}

static pl_attempts_step start(pl_attempts *a)
{
    uint32_t number = a->count++;
    a->running |= bit(number);
    pl_attempts_step step = step_of(a);
    step.start = bit(number);
    return step;
}

static pl_attempts_step commit(pl_attempts *a, unsigned attempt)
{
    a->committed = (int)attempt;
    a->wake_at = UINT64_MAX;
    pl_attempts_step step = step_of(a);
    step.cancel = a->running & ~bit(attempt);
    a->running = bit(attempt);
    return step;
}

static uint64_t later(uint64_t now, uint64_t ms)
{
    return now > UINT64_MAX - ms ? UINT64_MAX : now + ms;
}

/* --- hedging --- */
/* Starts what is due. */
static pl_attempts_step hedge(pl_attempts *a, uint64_t now)
{
    uint64_t delay = a->method->hedging->delay;
    uint32_t begun = 0;
    while (a->wake_at <= now) {
        bool may = a->count < most(a) && !a->stopped && now < a->deadline;
        bool throttled = may && a->count > 0 && !pl_retry_throttle_allows(a->throttle);
        if (may && !throttled)
            begun |= start(a).start;
        /* What is throttled is looked at again, but never in a loop. */
        bool goes_on = may && a->count < most(a) && !(throttled && delay == 0);
        a->wake_at = goes_on ? later(now, delay) : UINT64_MAX;
    }
    pl_attempts_step step = step_of(a);
    step.start = begun;
    return step;
}

static pl_attempts_step hedged_end(pl_attempts *a, unsigned attempt, const pl_attempt_end *end, uint64_t now)
{
    bool fatal = !pl_code_set_has(a->method->hedging->non_fatal, end->code);
    if (!fatal || end->pushback == PL_PUSHBACK_STOP)
        pl_retry_throttle_failure(a->throttle);
    if (fatal)
        return finish(a, attempt);
    if (end->pushback == PL_PUSHBACK_STOP) {
        a->stopped = true;
        a->wake_at = UINT64_MAX;
    } else if (a->count < most(a) && !a->stopped) {
        a->wake_at = end->pushback > 0 ? later(now, (uint64_t)end->pushback) : now;
    }
    pl_attempts_step step = hedge(a, now);
    if (a->running != 0)
        return step;
    /* Nothing is under way, so all hangs on the next one. */
    if (a->wake_at >= a->deadline || !pl_retry_throttle_allows(a->throttle))
        return finish(a, attempt);
    return step;
}

/* --- retries --- */
static uint64_t backoff(pl_attempts *a)
{
    const pl_retry_policy *policy = a->method->retry;
    double ms = (double)policy->initial_backoff * pow(policy->multiplier, a->backoffs++);
    if (!(ms < (double)policy->max_backoff))
        ms = (double)policy->max_backoff;
    return (uint64_t)ceil(pl_random_jitter(a->random, ms, JITTER));
}

static pl_attempts_step retried_end(pl_attempts *a, unsigned attempt, const pl_attempt_end *end, uint64_t now)
{
    bool retryable = a->method->retry && pl_code_set_has(a->method->retry->codes, end->code);
    if (retryable || (a->method->retry && end->pushback == PL_PUSHBACK_STOP))
        pl_retry_throttle_failure(a->throttle);
    if (!retryable || a->committed >= 0 || a->count >= most(a) || end->pushback == PL_PUSHBACK_STOP ||
        !pl_retry_throttle_allows(a->throttle))
        return finish(a, attempt);
    uint64_t wait;
    if (end->pushback >= 0) {
        a->backoffs = 0;
        wait = (uint64_t)end->pushback;
    } else {
        wait = backoff(a);
    }
    a->wake_at = later(now, wait);
    if (a->wake_at >= a->deadline) /* to wait for that changes nothing */
        return finish(a, attempt);
    return a->wake_at <= now ? pl_attempts_wake(a, now) : step_of(a);
}

/* --- what happens --- */
pl_attempts_step pl_attempts_begin(pl_attempts *attempts, const pl_method_config *method,
                                   pl_retry_throttle *throttle, pl_random *random, uint64_t deadline,
                                   uint64_t now)
{
    *attempts = (pl_attempts){.method = method,
                              .throttle = throttle,
                              .random = random,
                              .deadline = deadline ? deadline : UINT64_MAX,
                              .committed = -1,
                              .wake_at = UINT64_MAX};
    pl_attempts_step step = start(attempts); /* whatever the throttle says, and however late it is */
    if (!method->hedging)
        return step;
    attempts->wake_at = later(now, method->hedging->delay);
    pl_attempts_step more = hedge(attempts, now);
    more.start |= step.start;
    return more;
}

pl_attempts_step pl_attempts_wake(pl_attempts *attempts, uint64_t now)
{
    if (attempts->over || attempts->committed >= 0 || now < attempts->wake_at)
        return step_of(attempts);
    if (attempts->method->hedging) {
        pl_attempts_step step = hedge(attempts, now);
        return attempts->running ? step : finish(attempts, attempts->last);
    }
    attempts->wake_at = UINT64_MAX;
    return start(attempts);
}

static bool is_running(const pl_attempts *a, unsigned attempt)
{
    return !a->over && attempt < a->count && (a->running & bit(attempt)) != 0;
}

pl_attempts_step pl_attempts_headers(pl_attempts *attempts, unsigned attempt)
{
    if (!is_running(attempts, attempt) || attempts->committed >= 0)
        return step_of(attempts);
    return commit(attempts, attempt);
}

pl_attempts_step pl_attempts_commit(pl_attempts *attempts, unsigned attempt)
{
    if (attempts->over || attempts->committed >= 0)
        return step_of(attempts);
    if (attempts->running == 0)
        return finish(attempts, attempts->last);
    return is_running(attempts, attempt) ? commit(attempts, attempt) : step_of(attempts);
}

/* Whether the attempt is to be made again as if nothing had happened. */
static bool is_transparent(pl_attempts *a, const pl_attempt_end *end, uint64_t now)
{
    if (a->committed >= 0 || now >= a->deadline || end->reach == PL_ATTEMPT_PROCESSED ||
        (end->reach == PL_ATTEMPT_REFUSED && a->was_refused))
        return false;
    a->was_refused = a->was_refused || end->reach == PL_ATTEMPT_REFUSED;
    return true;
}

pl_attempts_step pl_attempts_ended(pl_attempts *attempts, unsigned attempt, const pl_attempt_end *end,
                                   uint64_t now)
{
    if (!is_running(attempts, attempt))
        return step_of(attempts);
    if (end->code != PL_OK && is_transparent(attempts, end, now)) {
        pl_attempts_step step = step_of(attempts);
        step.start = bit(attempt);
        return step;
    }
    attempts->running &= ~bit(attempt);
    attempts->last = attempt;
    if (end->code == PL_OK) {
        pl_retry_throttle_success(attempts->throttle);
        return finish(attempts, attempt);
    }
    if (attempts->method->hedging && attempts->committed < 0)
        return hedged_end(attempts, attempt, end, now);
    if (attempts->method->hedging) {
        if (pl_code_set_has(attempts->method->hedging->non_fatal, end->code))
            pl_retry_throttle_failure(attempts->throttle);
        return finish(attempts, attempt);
    }
    return retried_end(attempts, attempt, end, now);
}

/* --- the rest of a method's config --- */
bool pl_attempts_too_much(const pl_attempts_limits *limits, uint64_t call_bytes, uint64_t client_bytes)
{
    uint64_t call = limits->call ? limits->call : (uint64_t)1 << 20;
    uint64_t client = limits->client ? limits->client : (uint64_t)16 << 20;
    return call_bytes > call || client_bytes > client;
}

uint64_t pl_method_deadline(const pl_method_config *method, uint64_t now, uint64_t deadline)
{
    if (!method->has_timeout)
        return deadline;
    uint64_t own = later(now ? now : 1, method->timeout); /* 0 would be none */
    return deadline && deadline < own ? deadline : own;
}

bool pl_method_waits_for_ready(const pl_method_config *method, int asked)
{
    return asked >= 0 ? asked > 0 : method->has_wait_for_ready && method->wait_for_ready;
}
