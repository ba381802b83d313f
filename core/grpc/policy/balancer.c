/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/alloc.h"
#include "base/map.h"
#include "grpc/policy/balancer_internal.h"

const char *pl_connectivity_name(pl_connectivity state)
{
    static const char *const names[] = {"IDLE", "CONNECTING", "READY", "TRANSIENT_FAILURE"};
    return names[state];
}

pl_balancer *pl_balancer_new(const pl_balancer_config *config, pl_random *random)
{
    pl_balancer *b = pl_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->balancing = config->balancing;
    b->backoff = config->backoff;
    b->has_breaker = config->has_breaker;
    b->breaker = config->breaker;
    b->random = random;
    b->wants_names = true;
    b->todo_end = &b->todo;
    b->next_try_at = UINT64_MAX;
    snprintf(b->target, sizeof b->target, "%.*s", PL_STR_ARG(config->target));
    return b;
}

void pl_balancer_free(pl_balancer *balancer)
{
    if (!balancer)
        return;
    for (pl_endpoint *e = balancer->todo, *next; e; e = next) {
        next = e->next_todo;
        if (!e->listed)
            pl_free(e);
    }
    for (size_t i = 0; i < balancer->count; i++)
        pl_free(balancer->list[i]);
    pl_free(balancer->list);
    pl_free(balancer->ready);
    pl_free(balancer);
}

const pl_endpoint *pl_balancer_endpoint(const pl_balancer *balancer, size_t i)
{
    return i < balancer->count ? balancer->list[i] : NULL;
}

/* --- a new list --- */
static pl_endpoint *endpoint_new(const pl_balancer *b, const pl_address *address)
{
    pl_endpoint *e = pl_calloc(1, sizeof *e + address->address.len + 1);
    if (!e)
        return NULL;
    char *bytes = (char *)(e + 1);
    if (address->address.len > 0)
        memcpy(bytes, address->address.ptr, address->address.len);
    e->address = (pl_str){bytes, address->address.len};
    pl_breaker_init(&e->breaker, &b->breaker);
    return e;
}

typedef struct update {
    pl_balancer *b;
    pl_endpoint **list, **ready;
    size_t count, room;
    pl_map old, seen; /* address → endpoint */
} update;

static bool add(update *u, const pl_address *address)
{
    pl_endpoint *e = pl_map_get(&u->old, address->address);
    if (pl_map_has(&u->seen, address->address))
        return true;
    if (!e)
        e = endpoint_new(u->b, address);
    if (!e)
        return false;
    if (!pl_map_set(&u->seen, e->address, e)) {
        if (!e->listed)
            pl_free(e);
        return false;
    }
    u->list[u->count++] = e;
    return true;
}

static bool collect(update *u, const pl_address *addresses, size_t count)
{
    u->room = count ? count : 1;
    u->list = pl_calloc(u->room, sizeof(pl_endpoint *));
    u->ready = pl_calloc(u->room, sizeof(pl_endpoint *));
    if (!u->list || !u->ready)
        return false;
    for (size_t i = 0; i < u->b->count; i++) {
        if (!pl_map_set(&u->old, u->b->list[i]->address, u->b->list[i]))
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!add(u, &addresses[i]))
            return false;
    }
    return true;
}

static void take_weights(update *u, const pl_address *addresses, size_t count)
{
    for (size_t i = count; i-- > 0;) { /* the first of two counts */
        pl_endpoint *e = pl_map_get(&u->seen, addresses[i].address);
        e->weight = addresses[i].weight ? addresses[i].weight : 1;
    }
}

static void shuffle(const pl_balancer *b, pl_endpoint **list, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = pl_random_below(b->random, (uint32_t)i);
        pl_endpoint *e = list[i - 1];
        list[i - 1] = list[other];
        list[other] = e;
    }
}

/* The new list takes the old one's place: nothing can fail any more. */
static void adopt(update *u, uint64_t now)
{
    pl_balancer *b = u->b;
    for (size_t i = 0; i < u->count; i++)
        u->list[i]->listed = true;
    for (size_t i = 0; i < b->count; i++) {
        pl_endpoint *e = b->list[i];
        if (pl_map_get(&u->seen, e->address) == e)
            continue;
        e->listed = false;
        if (b->selected == e)
            b->selected = NULL;
        pl_balancer_want(b, e, PL_TO_DROP);
    }
    pl_free(b->list);
    pl_free(b->ready);
    b->list = u->list;
    b->ready = u->ready;
    b->count = u->count;
    b->room = u->room;
    b->ready_count = 0;
    u->list = u->ready = NULL;
    if (b->balancing.policy == PL_PICK_FIRST && b->balancing.shuffle)
        shuffle(b, b->list, b->count);
    b->resolved = true;
    b->wants_names = false;
    b->cursor = 0;
    b->next_try_at = UINT64_MAX;
    if (b->count == 0)
        snprintf(b->why, sizeof b->why, "%s: the name has no addresses", b->target);
    pl_balancer_review(b, now);
}

pl_code pl_balancer_update(pl_balancer *balancer, const pl_address *addresses, size_t count, uint64_t now,
                           pl_error *err)
{
    if (count > PL_MOST_ENDPOINTS)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "%s: a name with %zu addresses; at most %d are used",
                       balancer->target, count, PL_MOST_ENDPOINTS);
    update u = {.b = balancer};
    pl_code code = PL_OK;
    if (collect(&u, addresses, count)) {
        take_weights(&u, addresses, count);
        adopt(&u, now);
    } else {
        code = pl_fail_memory(err);
        for (size_t i = 0; i < u.count; i++) {
            if (!u.list[i]->listed)
                pl_free(u.list[i]);
        }
    }
    pl_free(u.list);
    pl_free(u.ready);
    pl_map_dispose(&u.old);
    pl_map_dispose(&u.seen);
    return code;
}

void pl_balancer_unresolved(pl_balancer *balancer, const char *why)
{
    balancer->wants_names = false;
    if (balancer->count == 0) {
        balancer->resolved = true;
        snprintf(balancer->why, sizeof balancer->why, "%s: the name cannot be resolved: %s", balancer->target,
                 why);
    }
}
