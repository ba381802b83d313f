/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/alloc.h"
#include "grpc/policy/balancer_internal.h"

#define NEXT_TRY_MS 250    /* RFC 8305, section 5 */
#define SHORT_LIFE_MS 1000 /* a connection that ends earlier was none: the backoff goes on */

/* --- what is to be done --- */
static uint8_t bit(pl_todo what)
{
    return (uint8_t)(1u << what);
}

void pl_balancer_want(pl_balancer *b, pl_endpoint *e, pl_todo what)
{
    if (what == PL_TO_DISCONNECT && (e->todo & bit(PL_TO_CONNECT)))
        e->todo = 0; /* it was not begun */
    else
        e->todo = bit(what);
    if (!e->todo || e->queued)
        return;
    e->queued = true;
    e->next_todo = NULL;
    *b->todo_end = e;
    b->todo_end = &e->next_todo;
}

static void free_if_gone(pl_endpoint *e)
{
    if (!e->listed && !e->queued && e->in_flight == 0)
        pl_free(e);
}

static pl_endpoint *take_todo(pl_balancer *b)
{
    pl_endpoint *e = b->todo;
    b->todo = e->next_todo;
    if (!b->todo)
        b->todo_end = &b->todo;
    e->queued = false;
    return e;
}

pl_todo_item pl_balancer_next(pl_balancer *balancer, uint64_t now)
{
    pl_todo_item item = {PL_TO_NOTHING, NULL, NULL, 0};
    while (balancer->todo) {
        pl_endpoint *e = take_todo(balancer);
        uint8_t todo = e->todo;
        e->todo = 0;
        item.endpoint = e;
        item.data = e->data;
        if (todo & bit(PL_TO_DROP)) {
            item.what = PL_TO_DROP;
            free_if_gone(e);
            return item;
        }
        if (todo & bit(PL_TO_DISCONNECT)) {
            item.what = PL_TO_DISCONNECT;
            return item;
        }
        if (todo & bit(PL_TO_CONNECT)) {
            item.what = PL_TO_CONNECT;
            item.connect_by = pl_backoff_attempt(&e->backoff, &balancer->backoff, balancer->random, now);
            return item;
        }
    }
    if (balancer->wants_names) {
        balancer->wants_names = false;
        return (pl_todo_item){.what = PL_TO_RESOLVE};
    }
    return (pl_todo_item){.what = PL_TO_NOTHING};
}

/* --- what should be connected --- */
static void connect_to(pl_balancer *b, pl_endpoint *e)
{
    e->state = PL_CONNECTING;
    pl_balancer_want(b, e, PL_TO_CONNECT);
}

static void disconnect(pl_balancer *b, pl_endpoint *e)
{
    if (e->state == PL_CONNECTING || e->state == PL_READY)
        pl_balancer_want(b, e, PL_TO_DISCONNECT);
    if (e->state != PL_TRANSIENT_FAILURE)
        e->state = PL_IDLE;
}

static bool any_connecting(const pl_balancer *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->list[i]->state == PL_CONNECTING)
            return true;
    }
    return false;
}

/* The list once, one after the other; then all of them again and again, as their backoff allows. */
static void try_first(pl_balancer *b, uint64_t now)
{
    bool connecting = any_connecting(b);
    for (; b->cursor < b->count; b->cursor++) {
        pl_endpoint *e = b->list[b->cursor];
        if (e->state != PL_IDLE)
            continue;
        if (connecting && now < b->next_try_at)
            return;
        connect_to(b, e);
        connecting = true;
        b->next_try_at = now + NEXT_TRY_MS;
    }
    b->next_try_at = UINT64_MAX;
    for (size_t i = 0; i < b->count; i++) {
        if (b->list[i]->state == PL_IDLE)
            connect_to(b, b->list[i]);
    }
}

static void review_first(pl_balancer *b, uint64_t now)
{
    b->ready_count = 0;
    if (b->selected) {
        for (size_t i = 0; i < b->count; i++) {
            if (b->list[i] != b->selected)
                disconnect(b, b->list[i]);
        }
        b->ready[b->ready_count++] = b->selected;
    } else if (b->wanted) {
        try_first(b, now);
    }
}

static void review_all(pl_balancer *b)
{
    b->ready_count = 0;
    for (size_t i = 0; i < b->count; i++) {
        pl_endpoint *e = b->list[i];
        if (e->state == PL_IDLE)
            connect_to(b, e);
        else if (e->state == PL_READY && !e->unhealthy)
            b->ready[b->ready_count++] = e;
    }
    pl_balancer_schedule(b);
}

void pl_balancer_review(pl_balancer *b, uint64_t now)
{
    for (size_t i = 0; i < b->count; i++) {
        pl_endpoint *e = b->list[i];
        if (e->state == PL_TRANSIENT_FAILURE && e->backoff.next_at <= now)
            e->state = PL_IDLE;
    }
    if (b->balancing.policy == PL_PICK_FIRST)
        review_first(b, now);
    else
        review_all(b);
}

uint64_t pl_balancer_wake_at(const pl_balancer *balancer)
{
    bool first = balancer->balancing.policy == PL_PICK_FIRST;
    uint64_t at = first ? balancer->next_try_at : UINT64_MAX;
    if (first && (balancer->selected || !balancer->wanted))
        return UINT64_MAX;
    for (size_t i = 0; i < balancer->count; i++) {
        const pl_endpoint *e = balancer->list[i];
        if (e->state == PL_TRANSIENT_FAILURE && e->backoff.next_at < at)
            at = e->backoff.next_at;
    }
    return at;
}

void pl_balancer_wake(pl_balancer *balancer, uint64_t now)
{
    pl_balancer_review(balancer, now);
}

/* --- what became of connections --- */
void pl_balancer_connected(pl_balancer *balancer, pl_endpoint *endpoint, uint64_t now)
{
    if (!endpoint->listed || endpoint->state != PL_CONNECTING)
        return;
    endpoint->state = PL_READY;
    endpoint->ready_since = now;
    endpoint->failing = false;
    endpoint->unhealthy = false;
    if (balancer->balancing.policy == PL_PICK_FIRST && !balancer->selected) {
        balancer->selected = endpoint;
        balancer->cursor = 0;
        balancer->next_try_at = UINT64_MAX;
        for (size_t i = 0; i < balancer->count; i++)
            balancer->list[i]->failing = false;
    }
    pl_balancer_review(balancer, now);
}

void pl_balancer_failed(pl_balancer *balancer, pl_endpoint *endpoint, const char *why, uint64_t now)
{
    if (!endpoint->listed || endpoint->state != PL_CONNECTING)
        return;
    endpoint->state = PL_TRANSIENT_FAILURE;
    endpoint->failing = true;
    snprintf(balancer->why, sizeof balancer->why, "%s: no endpoint can be reached; the last error: %s: %s",
             balancer->target, endpoint->address.ptr, why);
    pl_balancer_review(balancer, now);
    if (balancer->balancing.policy != PL_PICK_FIRST || pl_balancer_state(balancer) == PL_TRANSIENT_FAILURE)
        balancer->wants_names = true;
}

void pl_balancer_lost(pl_balancer *balancer, pl_endpoint *endpoint, uint64_t now)
{
    if (!endpoint->listed || endpoint->state != PL_READY)
        return;
    endpoint->state = PL_IDLE;
    if (now - endpoint->ready_since >= SHORT_LIFE_MS)
        pl_backoff_reset(&endpoint->backoff);
    else if (endpoint->backoff.next_at > now)
        endpoint->state = PL_TRANSIENT_FAILURE;
    balancer->wants_names = true;
    if (balancer->selected == endpoint) {
        balancer->selected = NULL;
        balancer->wanted = false; /* until the next call */
        balancer->cursor = 0;
    }
    pl_balancer_review(balancer, now);
}

void pl_balancer_health(pl_balancer *balancer, pl_endpoint *endpoint, bool serving, uint64_t now)
{
    if (!endpoint->listed || endpoint->unhealthy == !serving)
        return;
    endpoint->unhealthy = !serving;
    if (!serving)
        snprintf(balancer->why, sizeof balancer->why,
                 "%s: no endpoint is serving; the last one to say so: %s", balancer->target,
                 endpoint->address.ptr);
    pl_balancer_review(balancer, now);
}

bool pl_balancer_end(pl_balancer *balancer, const pl_pick *pick, pl_breaker_outcome outcome, uint64_t now)
{
    pl_endpoint *e = pick->endpoint;
    bool changed = balancer->has_breaker && pl_breaker_end(&e->breaker, &pick->permit, outcome, now);
    e->in_flight--;
    free_if_gone(e);
    return changed;
}
