/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/alloc.h"
#include "grpc/client/channel.h"

/* A server that says anything, in pieces of any size, to clients with calls of all kinds. The first bytes are
 * how: how many calls, the size of pieces, and what the calls do in between; the rest is what the server
 * says. What must hold: each call comes to an end when its time is over, and is then told so; what a call
 * receives is bounded. */

#define CALLS 4
#define HEAD 8
#define TIMEOUT 1000

static void must(bool condition)
{
    if (!condition)
        abort();
}

typedef struct world {
    pl_client_io io; /* first */
    pl_host host;
    pl_timers timers;
    uint64_t now;
    pl_client_link *link;
    pl_timer opening, resolving;
    pl_client_channel *channel;
    bool writing;
} world;

static world *of_host(pl_host *host)
{
    return host->owner;
}
static uint64_t now(pl_host *host)
{
    return of_host(host)->now;
}
static int timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&of_host(host)->timers, timer, at);
}
static void timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&of_host(host)->timers, timer);
}

static void opened(pl_timer *timer)
{
    world *w = timer->data;
    if (w->link)
        pl_client_link_opened(w->link);
}

/* One connection: there is no other. */
static void *begin(pl_client_io *io, pl_client_link *link, pl_str address, const pl_client_tls *tls,
                   pl_str name, uint64_t timeout_ms)
{
    world *w = (world *)io;
    (void)address, (void)tls, (void)name, (void)timeout_ms;
    if (w->opening.fire)
        return NULL;
    w->link = link;
    w->opening = (pl_timer){.fire = opened, .data = w};
    must(pl_timers_start(&w->timers, &w->opening, w->now) == 0);
    return w;
}
static void write_piece(void *data, pl_buf *piece)
{
    must(piece->len > 0 && piece->len < ((size_t)1 << 20));
    ((world *)data)->writing = true;
}
static void end(void *data)
{
    ((world *)data)->link = NULL;
}

static pl_code describe(pl_client_io *io, pl_str target, pl_arena *arena, pl_client_target *out,
                        pl_error *err)
{
    (void)io, (void)arena, (void)err;
    *out = (pl_client_target){target, target, target};
    return PL_OK;
}
static void resolved(pl_timer *timer)
{
    const pl_address address = {.address = PL_STR("a")};
    pl_client_channel_resolved(((world *)timer->data)->channel, &address, 1);
}
static pl_code resolve(pl_client_io *io, pl_client_channel *channel, pl_str target, void **out, pl_error *err)
{
    world *w = (world *)io;
    (void)target, (void)err;
    w->channel = channel;
    w->resolving = (pl_timer){.fire = resolved, .data = w};
    must(pl_timers_start(&w->timers, &w->resolving, w->now) == 0);
    *out = w;
    return PL_OK;
}
static void nothing(void *data)
{
    (void)data;
}
static void resolve_end(void *data)
{
    pl_timers_stop(&((world *)data)->timers, &((world *)data)->resolving);
}

static void turn(world *w)
{
    for (int i = 0; i < 1000; i++) {
        if (w->writing && w->link) {
            w->writing = false;
            pl_client_link_written(w->link);
        } else if (pl_timers_next(&w->timers) > w->now || pl_timers_run(&w->timers, w->now) == 0) {
            return;
        }
    }
    abort(); /* it never ends */
}

static void act(pl_remote_call *call, uint8_t how)
{
    pl_str message;
    pl_error err;
    switch (how & 7) {
    case 0:
        while (call->ops->receive(call, &message) == PL_REMOTE_DONE)
            must(message.len <= (size_t)4 << 20);
        break;
    case 1:
        call->ops->send(call, PL_STR("more"), &err);
        break;
    case 2:
        call->ops->finish(call);
        break;
    case 3:
        if (how > 200)
            call->ops->cancel(call);
        break;
    default:
        break;
    }
}

static pl_remote_call *start(pl_remote *remote, uint8_t how)
{
    pl_remote_call_config config = {.path = PL_STR("/s/M"), .timeout_ms = TIMEOUT, .wait_for_ready = 1};
    pl_remote_call *call = NULL;
    pl_error err;
    must(remote->ops->start(remote, &config, &call, &err) == PL_OK);
    call->ops->send(call, PL_STR("hello"), &err);
    if (how & 1)
        call->ops->finish(call);
    return call;
}

static void check_end(pl_remote_call *call)
{
    pl_str message;
    const pl_header *trailers;
    size_t count;
    pl_remote_result result;
    while ((result = call->ops->receive(call, &message)) == PL_REMOTE_DONE)
        ;
    must(result == PL_REMOTE_END);
    must(call->ops->status(call, &trailers, &count)->code <= PL_UNAUTHENTICATED);
    call->ops->free(call);
}

static void run(world *w, pl_client_set *set, const uint8_t *head, pl_str bytes)
{
    pl_value options = {.kind = PL_KIND_ABSENT};
    pl_remote_config config = {.target = PL_STR("a"), .key = PL_STR("a"), .options = &options};
    pl_remote_call *calls[CALLS];
    pl_remote *remote = NULL;
    pl_error err;
    size_t count = 1 + head[0] % CALLS, piece = 1 + head[1] * 8u;
    must(pl_client_set_open(set, &config, NULL, w, &remote, &err) == PL_OK);
    for (size_t i = 0; i < count; i++)
        calls[i] = start(remote, head[2 + i]);
    turn(w);
    for (size_t at = 0, step = 0; at < bytes.len && w->link; at += piece, step++) {
        size_t n = bytes.len - at < piece ? bytes.len - at : piece;
        pl_client_link_received(w->link, (pl_str){bytes.ptr + at, n});
        turn(w);
        act(calls[step % count], (uint8_t)(head[6] + step * head[7]));
        turn(w);
    }
    for (uint64_t until = w->now + 2 * TIMEOUT, next; (next = pl_timers_next(&w->timers)) <= until;) {
        w->now = next > w->now ? next : w->now;
        turn(w);
    }
    for (size_t i = 0; i < count; i++)
        check_end(calls[i]);
    turn(w);
    remote->ops->close(remote);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pl_host_ops ops = {.now = now, .timer_start = timer_start, .timer_stop = timer_stop};
    world w = {.io = {.describe = describe,
                      .connect = begin,
                      .write = write_piece,
                      .end = end,
                      .cut = end,
                      .resolve = resolve,
                      .resolve_again = nothing,
                      .resolve_end = resolve_end},
               .host = {.ops = &ops},
               .now = 1000};
    if (size < HEAD)
        return 0;
    w.host.owner = &w;
    pl_timers_init(&w.timers);
    pl_client_set_config config = {.host = &w.host, .io = &w.io, .seed = 1};
    pl_client_set *set = pl_client_set_new(&config);
    must(set != NULL);
    run(&w, set, data, (pl_str){(const char *)data + HEAD, size - HEAD});
    pl_client_set_free(set);
    pl_timers_dispose(&w.timers);
    return 0;
}
