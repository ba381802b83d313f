/* SPDX-License-Identifier: MIT */
#include "app/rate_limit.h"

#include <arpa/inet.h>

#include "app/generation.h"
#include "value/token_bucket.h"

#define DICTIONARY PL_STR("graphql.rate_limit")

/* --- who it is --- */

static pl_str key_of_ipv6(pl_arena *arena, pl_str address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr in;
    size_t len = address.len < sizeof text ? address.len : 0;
    memcpy(text, address.ptr, len);
    text[len] = '\0';
    if (inet_pton(AF_INET6, text, &in) != 1)
        return pl_arena_printf(arena, "peer:%.*s", PL_STR_ARG(address));
    if (IN6_IS_ADDR_V4MAPPED(&in))
        return pl_arena_printf(arena, "peer:%u.%u.%u.%u", in.s6_addr[12], in.s6_addr[13], in.s6_addr[14],
                               in.s6_addr[15]);
    memset(in.s6_addr + 8, 0, 8);
    return inet_ntop(AF_INET6, &in, text, sizeof text) ? pl_arena_printf(arena, "peer:%s/64", text)
                                                       : PL_STR_NONE;
}

/* "192.0.2.1:53211", "[2001:db8::1]:53211"; anything else as it stands. */
static pl_str key_of_peer(const pl_work *work)
{
    pl_str peer = work->peer;
    const char *end = peer.len > 0 ? memchr(peer.ptr, peer.ptr[0] == '[' ? ']' : ':', peer.len) : NULL;
    if (end && peer.ptr[0] == '[')
        return key_of_ipv6(work->arena, (pl_str){peer.ptr + 1, (size_t)(end - peer.ptr) - 1});
    return pl_arena_printf(work->arena, "peer:%.*s", end ? (int)(end - peer.ptr) : (int)peer.len, peer.ptr);
}

static pl_str key_of_header(const pl_rate_config *config, const pl_work *work)
{
    for (size_t i = 0; i < work->header_count; i++) {
        if (pl_str_eq(work->headers[i].name, config->header) && work->headers[i].value.len > 0)
            return pl_arena_printf(work->arena, "header:%.*s", PL_STR_ARG(work->headers[i].value));
    }
    return key_of_peer(work);
}

typedef struct user {
    pl_state *state;
    pl_work *work;
    pl_str key;
    bool whole; /* nothing was missed for want of memory */
} user;

/* A name: a string or a whole number. */
static bool take_name(user *u, pl_slot slot)
{
    const pl_engine *e = pl_engine_of(u->state);
    pl_kind kind = e->kind(u->state, slot);
    if (kind == PL_KIND_STRING)
        u->key = pl_arena_printf(u->work->arena, "user:%.*s", PL_STR_ARG(e->get_string(u->state, slot)));
    else if (kind == PL_KIND_INT)
        u->key = pl_arena_printf(u->work->arena, "user:%lld", (long long)e->get_int(u->state, slot));
    else
        return false;
    u->whole = u->key.ptr != NULL;
    return true;
}

/* ctx.user, or its id, or its sub. */
static void user_section(void *data)
{
    static const pl_str names[] = {PL_STR("id"), PL_STR("sub")};
    user *u = data;
    const pl_engine *e = pl_engine_of(u->state);
    pl_key *key = e->key(u->state, PL_STR("user"));
    if (!key)
        return;
    e->make_room(u->state, 8);
    e->push_ctx(u->state, u->work);
    u->whole = true;
    if (!e->field(u->state, e->top(u->state), key))
        return;
    pl_slot slot = e->top(u->state);
    if (take_name(u, slot) || e->kind(u->state, slot) != PL_KIND_MAP)
        return;
    for (size_t i = 0; i < 2; i++) {
        key = e->key(u->state, names[i]);
        u->whole = key != NULL;
        if (!key || (e->field(u->state, slot, key) && take_name(u, e->top(u->state))))
            return;
    }
}

static pl_str key_of_user(pl_state *state, pl_work *work)
{
    user u = {.state = state, .work = work};
    pl_error err;
    pl_error_clear(&err);
    if (work->ctx == PL_REF_NONE) /* no interceptor has set anything in it */
        return key_of_peer(work);
    if (!pl_engine_of(state)->protect(state, user_section, &u, &err) || !u.whole)
        return PL_STR_NONE; /* it is not to be taken for another client */
    return u.key.ptr ? u.key : key_of_peer(work);
}

pl_str pl_rate_limit_key(const pl_rate_config *config, pl_state *state, pl_work *work)
{
    switch (config->by) {
    case PL_RATE_BY_USER:
        return key_of_user(state, work);
    case PL_RATE_BY_HEADER:
        return key_of_header(config, work);
    case PL_RATE_BY_PEER:
        break;
    }
    return key_of_peer(work);
}

/* --- what is left --- */

/* Refuses an operation when there is no memory to tell whose it is. Lets it pass when the dictionary has no
 * room to count it: the limit is not what the server is for. */
bool pl_rate_limit_admit(void *data, pl_work *work, double cost, gql_throttle *out)
{
    pl_instance *instance = data;
    pl_bucket_state state = {.taken = true};
    pl_host *host = ((pl_state_head *)instance->state)->host;
    if (!host || !host->shared || !instance->generation) /* a tool */
        return true;
    const pl_rate_config *config = &instance->generation->config.rate_limit;
    pl_bucket bucket = {config->capacity, config->refill};
    pl_str key = pl_rate_limit_key(config, instance->state, work);
    pl_shared_dict *dict = pl_shared_dict_get(host->shared, DICTIONARY, 0);
    if (!key.ptr) {
        out->no_memory = true;
        return false;
    }
    if (!dict || pl_bucket_take(dict, key, &bucket, cost, host->ops->now(host), &state) != PL_OK)
        return true;
    *out = (gql_throttle){.capacity = config->capacity,
                          .left = state.left,
                          .refill = config->refill,
                          .retry_after_ms = state.retry_after_ms};
    return state.taken;
}
