/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "grpc/client/internal.h"

/* What a target stands for: names become endpoints, endpoints get connections as the balancer asks for them,
 * and attempts wait here until there is one for them.
 *
 *   asleep ── a call ──> awake ── no call for idle_ms ──> asleep
 *   without a remote: after a while it is gone (a reload that comes meanwhile finds it again) */

#define LINGER_MS 60000
#define MOST_CHANNELS 4096

static pl_str copied(pl_client_channel *c, pl_str s)
{
    return pl_arena_str(&c->arena, s);
}

/* --- endpoints --- */
static void log_link(const pl_client_link *link, pl_level level, const char *what, const char *why)
{
    const pl_client_channel *c = link->channel;
    if (why)
        pl_log(c->set->config.log, level, what, PL_F_STR("target", c->about.text),
               PL_F_STR("endpoint", link->address), PL_F_CSTR("error", why));
    else
        pl_log(c->set->config.log, level, what, PL_F_STR("target", c->about.text),
               PL_F_STR("endpoint", link->address));
}

static void look_again(pl_client_channel *c)
{
    c->repick = true;
    client_channel_due(c);
}

void client_channel_connected(pl_client_link *link)
{
    pl_client_channel *c = link->channel;
    if (!link->endpoint || link->told)
        return;
    link->told = true;
    c->set->stats.connected_total++;
    log_link(link, PL_INFO, "gRPC endpoint connected", NULL);
    pl_balancer_connected(c->balancer, link->endpoint, client_now(c->set));
    look_again(c);
}

void client_channel_lost(pl_client_link *link, const char *why)
{
    pl_client_channel *c = link->channel;
    pl_endpoint *endpoint = link->endpoint;
    if (!endpoint)
        return;
    link->endpoint = NULL;
    endpoint->data = NULL;
    if (link->told) {
        log_link(link, PL_INFO, "gRPC endpoint disconnected", why);
        pl_balancer_lost(c->balancer, endpoint, client_now(c->set));
    } else {
        c->set->stats.connect_failed_total++;
        log_link(link, PL_WARN, "gRPC endpoint cannot be reached", why);
        pl_balancer_failed(c->balancer, endpoint, why, client_now(c->set));
    }
    look_again(c);
}

static void carry_out(pl_client_channel *c, const pl_todo_item *item, uint64_t now)
{
    pl_client_link *link = item->data;
    switch (item->what) {
    case PL_TO_CONNECT:
        item->endpoint->data = client_link_new(c, item->endpoint, item->connect_by);
        if (!item->endpoint->data) {
            pl_balancer_failed(c->balancer, item->endpoint, "out of memory", now);
            c->repick = true;
        }
        break;
    case PL_TO_DISCONNECT:
        item->endpoint->data = NULL;
        if (link)
            client_link_retire(link);
        break;
    case PL_TO_DROP:
        if (link)
            client_link_retire(link);
        break;
    case PL_TO_RESOLVE:
        if (c->resolver)
            c->set->config.io->resolve_again(c->resolver);
        break;
    case PL_TO_NOTHING:
        break;
    }
}

/* --- attempts that wait --- */
void client_channel_dequeue(attempt *a)
{
    pl_client_channel *c = a->call->channel;
    if (a->state != ATTEMPT_WAITING)
        return;
    a->state = ATTEMPT_NONE;
    if (a->prev)
        a->prev->next = a->next;
    else
        c->waiting = a->next;
    if (a->next)
        a->next->prev = a->prev;
    if (c->waiting_end == &a->next)
        c->waiting_end = a->prev ? &a->prev->next : &c->waiting;
    a->prev = a->next = NULL;
}

static void append(pl_client_channel *c, attempt *a)
{
    a->state = ATTEMPT_WAITING;
    a->next = NULL;
    a->prev = c->waiting ? (attempt *)((char *)c->waiting_end - offsetof(attempt, next)) : NULL;
    *c->waiting_end = a;
    c->waiting_end = &a->next;
}

/* It is among those that wait, still or again, when it has found nothing. */
static void pick_for(pl_client_channel *c, attempt *a)
{
    uint64_t now = client_now(c->set);
    pl_pick pick = pl_balancer_pick(c->balancer, a->call->wait_for_ready, now);
    switch (pick.result) {
    case PL_PICK_WAIT:
        append(c, a);
        if (pick.retry_at < c->retry_at)
            c->retry_at = pick.retry_at;
        break;
    case PL_PICK_FAILED:
        attempt_failed(a, PL_UNAVAILABLE, pick.why);
        break;
    case PL_PICK_ENDPOINT:
        if (attempt_start(a, &pick))
            break;
        pl_client_link *link = pick.endpoint->data;
        pl_balancer_end(c->balancer, &pick, PL_BREAKER_ABANDONED, now);
        append(c, a);
        if (link)
            client_channel_lost(link, "the connection takes no more calls");
        break;
    }
}

void client_channel_enqueue(attempt *a)
{
    pl_client_channel *c = a->call->channel;
    if (c->is_local) {
        pl_pick none = {.endpoint = NULL};
        if (!attempt_start(a, &none))
            attempt_failed(a, c->local ? PL_RESOURCE_EXHAUSTED : PL_UNIMPLEMENTED,
                           c->local ? "out of memory" : "there are no services in this process");
        return;
    }
    pick_for(c, a);
    client_channel_due(c); /* the balancer may want something */
}

static void pick_again(pl_client_channel *c)
{
    size_t count = 0;
    for (const attempt *a = c->waiting; a; a = a->next)
        count++;
    c->repick = false;
    c->retry_at = UINT64_MAX;
    while (count-- > 0 && c->waiting) {
        attempt *a = c->waiting;
        client_channel_dequeue(a);
        pick_for(c, a);
    }
}

/* --- time --- */
static void arm(pl_client_channel *c)
{
    uint64_t at = pl_balancer_wake_at(c->balancer);
    if (c->retry_at < at)
        at = c->retry_at;
    if (at == UINT64_MAX)
        client_timer_stop(c->set, &c->timer);
    else if (c->timer.index == 0 || c->timer.at != at)
        client_timer_start(c->set, &c->timer, at);
}

void client_channel_turn(pl_client_channel *c)
{
    uint64_t now = client_now(c->set);
    if (!c->balancer)
        return;
    for (int round = 0; round < 8; round++) {
        bool any = c->repick;
        for (pl_todo_item item; (item = pl_balancer_next(c->balancer, now)).what != PL_TO_NOTHING; any = true)
            carry_out(c, &item, now);
        if (!any)
            break;
        pick_again(c);
    }
    arm(c);
}

static void on_timer(pl_timer *timer)
{
    pl_client_channel *c = timer->data;
    pl_balancer_wake(c->balancer, client_now(c->set));
    look_again(c);
}

/* --- sleep --- */
static void fall_asleep(pl_client_channel *c)
{
    while (c->links) {
        c->links->endpoint = NULL;
        client_link_free(c->links, "the client has closed the connection");
    }
    if (c->resolver)
        c->set->config.io->resolve_end(c->resolver);
    c->resolver = NULL;
    client_timer_stop(c->set, &c->timer);
    pl_balancer_free(c->balancer);
    c->balancer = NULL;
}

static void on_idle(pl_timer *timer)
{
    pl_client_channel *c = timer->data;
    if (c->calls)
        return;
    if (!c->remotes)
        client_channel_free(c);
    else
        fall_asleep(c);
}

void client_channel_rest(pl_client_channel *c)
{
    uint64_t after = c->remotes ? c->settings.idle_ms : LINGER_MS;
    if (c->calls)
        return;
    if (c->is_local && !c->remotes)
        client_channel_free(c);
    else if (after > 0)
        client_timer_start(c->set, &c->idle, client_now(c->set) + after);
}

pl_code client_channel_wake(pl_client_channel *c, pl_error *err)
{
    client_timer_stop(c->set, &c->idle);
    if (c->balancer || c->is_local)
        return PL_OK;
    pl_balancer_config config = {.target = c->about.text,
                                 .balancing = c->settings.balancing,
                                 .backoff = c->settings.backoff,
                                 .has_breaker = c->settings.has_breaker,
                                 .breaker = c->settings.breaker};
    c->balancer = pl_balancer_new(&config, &c->set->random);
    if (!c->balancer)
        return pl_fail_memory(err);
    c->retry_at = UINT64_MAX;
    pl_code code = c->set->config.io->resolve(c->set->config.io, c, c->target, &c->resolver, err);
    if (code == PL_OK)
        return PL_OK;
    c->resolver = NULL;
    fall_asleep(c);
    return code;
}

/* --- names --- */
void pl_client_channel_resolved(pl_client_channel *c, const pl_address *addresses, size_t count)
{
    pl_error err;
    if (!c->balancer)
        return;
    if (pl_balancer_update(c->balancer, addresses, count, client_now(c->set), &err) != PL_OK)
        pl_client_channel_unresolved(c, err.message);
    look_again(c);
}

void pl_client_channel_unresolved(pl_client_channel *c, const char *why)
{
    if (!c->balancer)
        return;
    pl_log(c->set->config.log, PL_WARN, "gRPC target cannot be resolved", PL_F_STR("target", c->about.text),
           PL_F_CSTR("error", why));
    pl_balancer_unresolved(c->balancer, why);
    look_again(c);
}

/* --- life --- */
static bool set_up(pl_client_channel *c, const pl_remote_config *config, pl_error *err)
{
    c->key = copied(c, config->key);
    c->target = copied(c, config->target);
    if (!c->key.ptr || !c->target.ptr) {
        pl_fail_memory(err);
        return false;
    }
    c->about = (pl_client_target){PL_STR("local:"), PL_STR("localhost"), PL_STR("localhost")};
    if (!c->is_local &&
        c->set->config.io->describe(c->set->config.io, c->target, &c->arena, &c->about, err) != PL_OK)
        return false;
    if (pl_client_settings_read(&c->settings, &c->arena, config->options, err) != PL_OK)
        return false;
    if (c->settings.config && c->settings.config->has_throttling)
        pl_retry_throttle_configure(&c->throttle, c->settings.config->max_tokens,
                                    c->settings.config->token_ratio);
    c->keepalive_ms = c->settings.session.keepalive_ms;
    if (c->is_local || pl_map_set(&c->set->by_key, c->key, c))
        return true;
    pl_fail_memory(err);
    return false;
}

pl_client_channel *client_channel_new(pl_client_set *set, const pl_remote_config *config,
                                      pl_grpc_handler *local, pl_error *err)
{
    pl_client_channel *c = NULL;
    if (set->channel_count >= MOST_CHANNELS) {
        pl_fail(
            err, PL_RESOURCE_EXHAUSTED,
            "there are clients of %d targets, or with so many different options: make them once, at the top "
            "of a file",
            MOST_CHANNELS);
        return NULL;
    }
    if (!(c = pl_calloc(1, sizeof *c))) {
        pl_fail_memory(err);
        return NULL;
    }
    c->set = set;
    c->is_local = pl_str_starts(config->target, PL_STR("local:"));
    c->local = c->is_local ? local : NULL;
    c->waiting_end = &c->waiting;
    c->timer = (pl_timer){.fire = on_timer, .data = c};
    c->idle = (pl_timer){.fire = on_idle, .data = c};
    pl_arena_init(&c->arena, 1024);
    if (!set_up(c, config, err)) {
        pl_arena_dispose(&c->arena);
        pl_free(c);
        return NULL;
    }
    c->id = ++set->last_id;
    c->next = set->channels;
    if (c->next)
        c->next->prev = c;
    set->channels = c;
    set->channel_count++;
    return c;
}

void client_channel_free(pl_client_channel *c)
{
    pl_client_set *set = c->set;
    if (c->balancer)
        fall_asleep(c);
    client_timer_stop(set, &c->idle);
    if (c->prev)
        c->prev->next = c->next;
    else
        set->channels = c->next;
    set->channel_count--;
    if (c->next)
        c->next->prev = c->prev;
    for (pl_client_channel **at = &set->due_channels; c->is_due && *at; at = &(*at)->next_due) {
        if (*at == c) {
            *at = c->next_due;
            break;
        }
    }
    if (!c->is_local)
        pl_map_remove(&set->by_key, c->key);
    pl_arena_dispose(&c->arena);
    pl_free(c);
}
