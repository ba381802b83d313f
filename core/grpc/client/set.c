/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "grpc/client/internal.h"

/* All clients of a worker, and the turn in which what is due is done: channels look at their endpoints, calls
 * tell those who wait (this resumes scripts), links write. */

#define POOLED_STREAMS 1024
#define ROUNDS 4         /* of one turn; then the loop has a look at the rest of the world */
#define CALLS_A_TURN 256 /* the same */

int client_timer_start(pl_client_set *set, pl_timer *timer, uint64_t at)
{
    return set->config.host->ops->timer_start(set->config.host, timer, at);
}

void client_timer_stop(pl_client_set *set, pl_timer *timer)
{
    if (timer->index != 0)
        set->config.host->ops->timer_stop(set->config.host, timer);
}

/* Should there be no memory for it: whatever comes next does it. */
void client_soon(pl_client_set *set)
{
    if (set->soon.index == 0)
        client_timer_start(set, &set->soon, client_now(set));
}

void client_channel_due(pl_client_channel *channel)
{
    if (!channel->is_due) {
        channel->is_due = true;
        channel->next_due = channel->set->due_channels;
        channel->set->due_channels = channel;
    }
    client_soon(channel->set);
}

void client_link_due(pl_client_link *link)
{
    pl_client_set *set = link->channel->set;
    if (!link->is_due) {
        link->is_due = true;
        link->next_due = set->due_links;
        set->due_links = link;
    }
    client_soon(set);
}

void client_call_due(client_call *call)
{
    if (!call->channel)
        return;
    pl_client_set *set = call->channel->set;
    if (!call->is_due) {
        call->is_due = true;
        call->next_due = NULL;
        *set->due_calls_end = call;
        set->due_calls_end = &call->next_due;
    }
    client_soon(set);
}

void client_call_not_due(client_call *call)
{
    pl_client_set *set = call->channel->set;
    if (!call->is_due)
        return;
    call->is_due = false;
    for (client_call **at = &set->due_calls; *at; at = &(*at)->next_due) {
        if (*at == call) {
            *at = call->next_due;
            if (!*at)
                set->due_calls_end = at;
            return;
        }
    }
}

/* --- the turn --- */
static void tell_calls(pl_client_set *set, unsigned *left)
{
    while (set->due_calls && *left > 0) {
        client_call *call = set->due_calls;
        set->due_calls = call->next_due;
        if (!set->due_calls)
            set->due_calls_end = &set->due_calls;
        call->is_due = false;
        --*left;
        if (call->base.changed)
            call->base.changed(&call->base);
    }
}

static void turn(pl_timer *timer)
{
    pl_client_set *set = timer->data;
    unsigned left = CALLS_A_TURN;
    for (int round = 0; round < ROUNDS; round++) {
        while (set->due_channels) {
            pl_client_channel *channel = set->due_channels;
            set->due_channels = channel->next_due;
            channel->is_due = false;
            client_channel_turn(channel);
        }
        client_local_turn(set);
        tell_calls(set, &left);
        while (set->due_links) {
            pl_client_link *link = set->due_links;
            set->due_links = link->next_due;
            link->is_due = false;
            client_link_pump(link);
        }
    }
    if (set->due_channels || set->due_calls || set->due_links || set->due_locals)
        client_soon(set);
}

/* --- remotes --- */
static void unlink_remote(client_remote *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        r->channel->remotes = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
}

static void cut_off(client_remote *r)
{
    pl_client_channel *channel = r->channel;
    for (client_call *call = channel->calls, *next; call; call = next) {
        next = call->next;
        if (call->remote == r)
            client_call_detach(call);
    }
    unlink_remote(r);
    r->channel = NULL;
    client_channel_rest(channel);
}

void client_remote_close(pl_remote *remote)
{
    client_remote *r = (client_remote *)remote;
    if (r->channel)
        cut_off(r);
    pl_free(r);
}

pl_code pl_client_set_open(pl_client_set *set, const pl_remote_config *config, pl_grpc_handler *local,
                           const void *owner, pl_remote **out, pl_error *err)
{
    bool is_local = pl_str_starts(config->target, PL_STR("local:"));
    pl_client_channel *channel = is_local ? NULL : pl_map_get(&set->by_key, config->key);
    client_remote *r = pl_calloc(1, sizeof *r);
    if (!r)
        return pl_fail_memory(err);
    if (!channel)
        channel = client_channel_new(set, config, local, err);
    if (!channel) {
        pl_free(r);
        return err->code;
    }
    r->base.ops = &client_remote_ops;
    r->channel = channel;
    r->owner = owner;
    r->next = channel->remotes;
    if (r->next)
        r->next->prev = r;
    channel->remotes = r;
    *out = &r->base;
    return PL_OK;
}

void pl_client_set_leave(pl_client_set *set, const void *owner)
{
    for (pl_client_channel *channel = set->channels, *next_channel; channel; channel = next_channel) {
        next_channel = channel->next;
        for (client_remote *r = channel->remotes, *next; r; r = next) {
            next = r->next;
            if (r->owner == owner)
                cut_off(r);
        }
    }
    client_local_turn(set); /* what it serves for itself has nobody to answer any more */
}

/* --- life --- */
pl_client_set *pl_client_set_new(const pl_client_set_config *config)
{
    pl_client_set *set = pl_calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->config = *config;
    set->soon = (pl_timer){.fire = turn, .data = set};
    set->due_calls_end = &set->due_calls;
    pl_random_seed(&set->random, config->seed);
    pl_map_init(&set->by_key);
    set->streams = pl_client_streams_new(POOLED_STREAMS);
    set->coder = pl_grpc_coder_new();
    if (set->streams && set->coder)
        return set;
    pl_client_set_free(set);
    return NULL;
}

void pl_client_set_free(pl_client_set *set)
{
    if (!set)
        return;
    while (set->channels) {
        pl_client_channel *channel = set->channels;
        while (channel->remotes) {
            client_remote *r = channel->remotes;
            for (client_call *call = channel->calls, *next; call; call = next) {
                next = call->next;
                client_call_detach(call);
            }
            unlink_remote(r);
            r->channel = NULL;
        }
        client_channel_free(channel);
    }
    client_local_turn(set);
    client_timer_stop(set, &set->soon);
    pl_client_streams_free(set->streams);
    pl_grpc_coder_free(set->coder);
    pl_map_dispose(&set->by_key);
    pl_free(set);
}

void pl_client_set_each(const pl_client_set *set, void (*fn)(void *data, const pl_client_channel_info *info),
                        void *data)
{
    for (const pl_client_channel *c = set->channels; c; c = c->next) {
        unsigned calls = 0; /* those that are over are in the list until they are let go of */
        for (const client_call *call = c->calls; call; call = call->next)
            calls += !call->over;
        pl_connectivity state = c->is_local   ? PL_READY
                                : c->balancer ? pl_balancer_state(c->balancer)
                                              : PL_IDLE;
        const pl_client_channel_info info = {.id = c->id,
                                             .target = c->target,
                                             .state = (int)state,
                                             .calls = calls,
                                             .calls_total = c->calls_total,
                                             .failed_total = c->failed_total,
                                             .last_call_at = c->last_call_at};
        fn(data, &info);
    }
}

pl_client_stats pl_client_set_stats(const pl_client_set *set)
{
    pl_client_stats stats = set->stats;
    for (const pl_client_channel *c = set->channels; c; c = c->next) {
        stats.channels++;
        stats.calls += c->call_count;
        for (const pl_client_link *l = c->links; l; l = l->next)
            stats.connections += l->state == LINK_OPEN;
    }
    return stats;
}
