/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "grpc/policy/balancer_internal.h"

/* --- the state of all --- */
/* What has failed counts as failing until it is ready again: a list of dead endpoints must not look as if
 * something was about to come. */
pl_connectivity pl_balancer_state(const pl_balancer *balancer)
{
    bool first = balancer->balancing.policy == PL_PICK_FIRST, coming = false;
    if (balancer->ready_count > 0)
        return PL_READY;
    if (balancer->count == 0)
        return balancer->resolved           ? PL_TRANSIENT_FAILURE
               : first && !balancer->wanted ? PL_IDLE
                                            : PL_CONNECTING;
    for (size_t i = 0; i < balancer->count; i++) {
        const pl_endpoint *e = balancer->list[i];
        coming = coming || (!e->failing && !e->unhealthy);
    }
    if (!coming)
        return PL_TRANSIENT_FAILURE;
    return first && !balancer->wanted ? PL_IDLE : PL_CONNECTING;
}

/* --- weighted: whoever's turn is the earliest; its next one is 1/weight later. `ready` is a heap. --- */
static bool earlier(const pl_endpoint *a, const pl_endpoint *b)
{
    return a->turn < b->turn;
}

static void sift_down(pl_endpoint **heap, size_t count, size_t at)
{
    for (;;) {
        size_t least = at, left = 2 * at + 1;
        for (size_t child = left; child < left + 2 && child < count; child++) {
            if (earlier(heap[child], heap[least]))
                least = child;
        }
        if (least == at)
            return;
        pl_endpoint *e = heap[at];
        heap[at] = heap[least];
        heap[least] = e;
        at = least;
    }
}

/* Chance decides where each one begins, so that many clients do not go to the same one first. */
void pl_balancer_schedule(pl_balancer *b)
{
    if (b->balancing.policy != PL_WEIGHTED)
        return;
    for (size_t i = 0; i < b->ready_count; i++)
        b->ready[i]->turn = pl_random_unit(b->random) / (double)b->ready[i]->weight;
    for (size_t i = b->ready_count / 2; i-- > 0;)
        sift_down(b->ready, b->ready_count, i);
}

static pl_endpoint *next_weighted(pl_balancer *b)
{
    pl_endpoint *e = b->ready[0];
    e->turn += 1.0 / (double)e->weight;
    sift_down(b->ready, b->ready_count, 0);
    return e;
}

/* --- picking --- */
static pl_endpoint *next_in_turn(pl_balancer *b)
{
    return b->ready[b->turn++ % b->ready_count];
}

static bool is_refused(const pl_balancer *b, const pl_endpoint *e, uint64_t now)
{
    return b->has_breaker && pl_breaker_retry_after(&e->breaker, now) > 0;
}

static pl_endpoint *least_busy(pl_balancer *b, uint64_t now)
{
    pl_endpoint *best = NULL;
    uint32_t choices = b->balancing.choices ? b->balancing.choices : 2;
    for (uint32_t i = 0; i < choices; i++) {
        pl_endpoint *e = b->ready[pl_random_below(b->random, (uint32_t)b->ready_count)];
        if (!is_refused(b, e, now) && (!best || e->in_flight < best->in_flight))
            best = e;
    }
    return best ? best : next_in_turn(b);
}

static pl_endpoint *choose(pl_balancer *b, uint64_t now)
{
    switch (b->balancing.policy) {
    case PL_LEAST_REQUEST:
        return least_busy(b, now);
    case PL_WEIGHTED:
        return next_weighted(b);
    default:
        return next_in_turn(b);
    }
}

static bool permits(pl_balancer *b, pl_endpoint *e, uint64_t now, pl_breaker_permit *permit)
{
    return !b->has_breaker || (!is_refused(b, e, now) && pl_breaker_begin(&e->breaker, now, permit));
}

static pl_pick refused(pl_balancer *b, bool wait, uint64_t now)
{
    pl_pick pick = {.result = wait ? PL_PICK_WAIT : PL_PICK_FAILED, .why = b->why, .retry_at = UINT64_MAX};
    for (size_t i = 0; i < b->ready_count; i++) {
        uint64_t at = now + pl_breaker_retry_after(&b->ready[i]->breaker, now);
        if (at < pick.retry_at)
            pick.retry_at = at;
    }
    snprintf(b->why, sizeof b->why, "%s: the circuit breakers of all endpoints are open", b->target);
    return pick;
}

static pl_pick pick_ready(pl_balancer *b, bool wait, uint64_t now)
{
    pl_pick pick = {.result = PL_PICK_ENDPOINT, .retry_at = UINT64_MAX};
    /* With choices by chance or weight the same one may come again: a round by turns finds those that are
     * left. */
    for (size_t i = 0; i < 2 * b->ready_count; i++) {
        pick.endpoint = i < b->ready_count ? choose(b, now) : next_in_turn(b);
        if (permits(b, pick.endpoint, now, &pick.permit)) {
            pick.endpoint->in_flight++;
            return pick;
        }
    }
    return refused(b, wait, now);
}

pl_pick pl_balancer_pick(pl_balancer *balancer, bool wait_for_ready, uint64_t now)
{
    if (balancer->balancing.policy == PL_PICK_FIRST && !balancer->wanted) {
        balancer->wanted = true;
        pl_balancer_review(balancer, now);
    }
    if (balancer->ready_count > 0)
        return pick_ready(balancer, wait_for_ready, now);
    bool fails = pl_balancer_state(balancer) == PL_TRANSIENT_FAILURE && !wait_for_ready;
    return (pl_pick){
        .result = fails ? PL_PICK_FAILED : PL_PICK_WAIT, .why = balancer->why, .retry_at = UINT64_MAX};
}
