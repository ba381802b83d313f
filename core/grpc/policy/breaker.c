/* SPDX-License-Identifier: MIT */
#include "grpc/policy/breaker.h"

#include <string.h>

const char *pl_breaker_state_name(pl_breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half_open"};
    return names[state];
}

pl_breaker_outcome pl_breaker_judge(pl_code code)
{
    switch (code) {
    case PL_CANCELLED:
        return PL_BREAKER_ABANDONED;
    case PL_UNKNOWN:
    case PL_DEADLINE_EXCEEDED:
    case PL_RESOURCE_EXHAUSTED:
    case PL_INTERNAL:
    case PL_UNAVAILABLE:
    case PL_DATA_LOSS:
        return PL_BREAKER_FAILURE;
    default:
        return PL_BREAKER_SUCCESS;
    }
}

/* --- the window: a ring of slices, so that its cost does not depend on how many calls there are --- */
static uint64_t slice_length(const pl_breaker *b)
{
    uint64_t length = b->config.window / PL_BREAKER_SLICES;
    return length ? length : 1;
}

static void clear_window(pl_breaker *b)
{
    memset(b->slices, 0, sizeof b->slices);
}

/* The slice of now; those that have left the window are emptied. A clock that goes back stays where it was.
 */
static pl_breaker_slice *slice_of(pl_breaker *b, uint64_t now)
{
    uint64_t at = now / slice_length(b);
    if (at > b->slice_at) {
        uint64_t gone = at - b->slice_at;
        for (uint64_t i = 1; i <= gone && i <= PL_BREAKER_SLICES; i++)
            b->slices[(b->slice_at + i) % PL_BREAKER_SLICES] = (pl_breaker_slice){0};
        b->slice_at = at;
    }
    return &b->slices[b->slice_at % PL_BREAKER_SLICES];
}

static pl_breaker_slice sum(const pl_breaker *b, uint64_t now)
{
    pl_breaker_slice all = {0};
    uint64_t at = now / slice_length(b);
    for (uint64_t i = 0; i < PL_BREAKER_SLICES; i++) {
        const pl_breaker_slice *s = &b->slices[(b->slice_at + PL_BREAKER_SLICES - i) % PL_BREAKER_SLICES];
        if (at > b->slice_at && at - b->slice_at + i >= PL_BREAKER_SLICES)
            break; /* too old by now */
        all.calls += s->calls;
        all.failures += s->failures;
        all.slow += s->slow;
    }
    return all;
}

/* --- states --- */
static void enter(pl_breaker *b, pl_breaker_state state, uint64_t now)
{
    b->state = state;
    b->period++;
    b->since = now;
    b->in_a_row = 0;
    b->under_way = b->succeeded = 0;
    b->total_opened += state == PL_BREAKER_OPEN;
    if (state == PL_BREAKER_CLOSED)
        clear_window(b);
}

static void take_config(pl_breaker *b, const pl_breaker_config *config)
{
    b->config = *config;
    if (b->config.window == 0)
        b->config.window = 30000;
    if (b->config.minimum == 0)
        b->config.minimum = 10;
    if (b->config.open == 0)
        b->config.open = 10000;
    if (b->config.probes == 0)
        b->config.probes = 1;
}

void pl_breaker_init(pl_breaker *breaker, const pl_breaker_config *config)
{
    memset(breaker, 0, sizeof *breaker);
    take_config(breaker, config);
}

void pl_breaker_configure(pl_breaker *breaker, const pl_breaker_config *config)
{
    uint64_t length = slice_length(breaker);
    uint32_t probes = breaker->config.probes;
    take_config(breaker, config);
    if (slice_length(breaker) != length) {
        clear_window(breaker);
        breaker->slice_at = 0;
    }
    /* With fewer probes those that were made might be all there will be. */
    if (breaker->state == PL_BREAKER_HALF_OPEN && breaker->config.probes != probes) {
        breaker->period++;
        breaker->under_way = breaker->succeeded = 0;
    }
}

void pl_breaker_reset(pl_breaker *breaker, uint64_t now)
{
    enter(breaker, PL_BREAKER_CLOSED, now);
}

static uint64_t elapsed(uint64_t since, uint64_t now)
{
    return now > since ? now - since : 0;
}

/* Half-open. A probe that has not ended in all the time that it would be open is taken for lost. */
static bool begin_probe(pl_breaker *b, uint64_t now)
{
    if (b->under_way > 0 && elapsed(b->probed, now) >= b->config.open) {
        b->under_way = 0;
        b->period++; /* should it end after all, it says nothing */
        b->succeeded = 0;
    }
    if (b->under_way + b->succeeded >= b->config.probes)
        return false;
    b->under_way++;
    b->probed = now;
    return true;
}

bool pl_breaker_begin(pl_breaker *breaker, uint64_t now, pl_breaker_permit *permit)
{
    bool may = true;
    if (breaker->state == PL_BREAKER_OPEN && elapsed(breaker->since, now) >= breaker->config.open)
        enter(breaker, PL_BREAKER_HALF_OPEN, now);
    if (breaker->state == PL_BREAKER_OPEN)
        may = false;
    else if (breaker->state == PL_BREAKER_HALF_OPEN)
        may = begin_probe(breaker, now);
    if (!may) {
        breaker->total_refused++;
        return false;
    }
    *permit = (pl_breaker_permit){breaker->period, now};
    return true;
}

static bool passes(uint32_t part, uint32_t all, double rate)
{
    return rate > 0 && part > 0 && (double)part >= rate * (double)all;
}

static bool end_closed(pl_breaker *b, bool failed, bool slow, uint64_t now)
{
    pl_breaker_slice *s = slice_of(b, now);
    s->calls++;
    s->failures += failed;
    s->slow += slow;
    b->in_a_row = failed ? b->in_a_row + 1 : 0;
    pl_breaker_slice all = sum(b, now);
    bool open = b->config.failures > 0 && b->in_a_row >= b->config.failures;
    if (all.calls >= b->config.minimum) /* only what is bad opens it */
        open = open || (failed && passes(all.failures, all.calls, b->config.rate)) ||
               (slow && passes(all.slow, all.calls, b->config.slow_rate));
    if (open)
        enter(b, PL_BREAKER_OPEN, now);
    return open;
}

static bool end_probe(pl_breaker *b, bool failed, uint64_t now)
{
    b->under_way--;
    if (failed) {
        enter(b, PL_BREAKER_OPEN, now);
        return true;
    }
    if (++b->succeeded < b->config.probes)
        return false;
    enter(b, PL_BREAKER_CLOSED, now);
    return true;
}

bool pl_breaker_end(pl_breaker *breaker, const pl_breaker_permit *permit, pl_breaker_outcome outcome,
                    uint64_t now)
{
    bool failed = outcome == PL_BREAKER_FAILURE;
    bool slow = breaker->config.slow > 0 && elapsed(permit->began, now) >= breaker->config.slow;
    bool of_now = permit->period == breaker->period;
    if (outcome == PL_BREAKER_ABANDONED) {
        if (of_now && breaker->state == PL_BREAKER_HALF_OPEN)
            breaker->under_way--;
        return false;
    }
    breaker->total_calls++;
    breaker->total_failures += failed;
    breaker->total_slow += slow;
    if (!of_now)
        return false;
    if (breaker->state == PL_BREAKER_CLOSED)
        return end_closed(breaker, failed, slow, now);
    return end_probe(breaker, failed || (slow && breaker->config.slow_rate > 0), now);
}

/* --- looking --- */
uint64_t pl_breaker_retry_after(const pl_breaker *breaker, uint64_t now)
{
    uint64_t since = breaker->since;
    if (breaker->state == PL_BREAKER_CLOSED)
        return 0;
    if (breaker->state == PL_BREAKER_HALF_OPEN) {
        if (breaker->under_way + breaker->succeeded < breaker->config.probes)
            return 0;
        since = breaker->probed;
    }
    uint64_t gone = elapsed(since, now);
    return gone < breaker->config.open ? breaker->config.open - gone : 0;
}

pl_breaker_stats pl_breaker_look(const pl_breaker *breaker, uint64_t now)
{
    pl_breaker_slice all = sum(breaker, now);
    pl_breaker_stats stats = {
        .state = breaker->state,
        .calls = all.calls,
        .failures = all.failures,
        .slow = all.slow,
        .in_a_row = breaker->in_a_row,
        .retry_after = pl_breaker_retry_after(breaker, now),
        .total_calls = breaker->total_calls,
        .total_failures = breaker->total_failures,
        .total_slow = breaker->total_slow,
        .total_refused = breaker->total_refused,
        .total_opened = breaker->total_opened,
    };
    if (breaker->state == PL_BREAKER_OPEN && stats.retry_after == 0)
        stats.state = PL_BREAKER_HALF_OPEN;
    return stats;
}
