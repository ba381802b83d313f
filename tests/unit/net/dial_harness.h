/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_DIAL_HARNESS_H
#define TEST_NET_DIAL_HARNESS_H

/* A server that sends back what it gets, and a client, on one loop. Included by one file of each test
 * program, after cmocka. */

#include <signal.h>
#include <stdlib.h>

#include "net/certificates.h"
#include "net/dial.h"

/* AddressSanitizer's leak check: h2o keeps buffers in thread-local lists that it never frees. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_pool\nleak:h2o_mem_alloc_recycle\nleak:h2o_buffer_reserve\n";
}

typedef struct side {
    pl_bytes_service service; /* first */
    struct world *world;
    pl_connection *connection;
    bool is_open, refuses;
    unsigned opened, closed, failed, written;
    pl_buf received;
    pl_error why;
    char reason[300];
    char certificate[100]; /* the peer's */
    char peer[64];
} side;

typedef struct world {
    pl_helpers *helpers;
    pl_loop *loop;
    side server, client;
    pl_bytes_listeners *listeners;
    pl_bytes *bytes;
    pl_dialer *dialer;
    bool (*until)(struct world *w);
    pl_timer too_late;
    bool late;
    pl_buf echo; /* what the server writes */
} world;

static bool opened(pl_bytes_service *service, pl_connection *connection)
{
    side *s = (side *)service;
    s->opened++;
    s->connection = connection;
    s->is_open = !s->refuses;
    snprintf(s->peer, sizeof(s->peer), "%.*s", PL_STR_ARG(connection->peer));
    if (connection->certificate)
        snprintf(s->certificate, sizeof(s->certificate), "%.*s",
                 PL_STR_ARG(connection->certificate->common_name));
    return !s->refuses;
}

static void received(pl_bytes_service *service, pl_connection *connection, pl_str bytes)
{
    side *s = (side *)service;
    world *w = s->world;
    pl_buf_str(&s->received, bytes);
    if (s != &w->server || pl_connection_is_writing(connection))
        return;
    pl_buf_reset(&w->echo, SIZE_MAX);
    pl_buf_str(&w->echo, pl_buf_view(&s->received));
    pl_buf_reset(&s->received, SIZE_MAX);
    pl_connection_write(connection, pl_buf_view(&w->echo));
}

static void written(pl_bytes_service *service, pl_connection *connection)
{
    side *s = (side *)service;
    s->written++;
    if (s == &s->world->server && s->received.len > 0)
        received(service, connection, PL_STR(""));
}

static void closed(pl_bytes_service *service, pl_connection *connection)
{
    side *s = (side *)service;
    s->closed++;
    s->is_open = false;
    s->connection = NULL;
    if (s == &s->world->client)
        snprintf(s->reason, sizeof(s->reason), "%s", pl_connection_why(connection));
}

static void failed(pl_bytes_service *service, pl_connection *connection, const pl_error *why)
{
    side *s = (side *)service;
    s->failed++;
    s->connection = NULL;
    s->why = *why;
}

static void on_turn(void *data)
{
    world *w = data;
    if (w->until && w->until(w))
        pl_loop_stop(w->loop);
}

static void on_late(pl_timer *timer)
{
    world *w = timer->data;
    w->late = true;
    pl_loop_stop(w->loop);
}

static inline void turn_until(world *w, bool (*until)(world *w))
{
    pl_host *host = pl_loop_host(w->loop);
    if (until(w))
        return;
    w->until = until;
    w->too_late = (pl_timer){.fire = on_late, .data = w};
    assert_int_equal(host->ops->timer_start(host, &w->too_late, host->ops->now(host) + 60000), 0);
    pl_loop_run(w->loop);
    host->ops->timer_stop(host, &w->too_late);
    w->until = NULL;
    assert_false(w->late);
}

static void init_side(side *s, world *w)
{
    s->service = (pl_bytes_service){
        .opened = opened, .received = received, .written = written, .closed = closed, .failed = failed};
    s->world = w;
    pl_buf_init(&s->received);
}

static inline world *new_world(const pl_bytes_config *config)
{
    pl_error err;
    world *w = calloc(1, sizeof(*w));
    init_side(&w->server, w);
    init_side(&w->client, w);
    pl_buf_init(&w->echo);
    w->helpers = pl_helpers_new(1, 10);
    w->loop = pl_loop_new(w->helpers, NULL, &err);
    assert_non_null(w->loop);
    pl_loop_on_turn(w->loop, on_turn, w);
    w->dialer = pl_dialer_new(w->loop, 0);
    assert_non_null(w->dialer);
    if (!config)
        return w;
    w->listeners = pl_bytes_listeners_open(config, 1, &err);
    if (!w->listeners)
        fail_msg("%s: %s", err.file, err.message);
    w->bytes = pl_bytes_new(w->loop, config, w->listeners, 0, &w->server.service, NULL, &err);
    assert_non_null(w->bytes);
    return w;
}

static inline void free_world(world *w)
{
    pl_dialer_free(w->dialer);
    pl_bytes_free(w->bytes);
    pl_bytes_listeners_free(w->listeners);
    pl_helpers_free(w->helpers);
    pl_loop_free(w->loop);
    pl_buf_dispose(&w->server.received);
    pl_buf_dispose(&w->client.received);
    pl_buf_dispose(&w->echo);
    free(w);
}

static inline bool client_is_settled(world *w)
{
    return w->client.is_open || w->client.failed || w->client.closed;
}

static inline bool client_is_gone(world *w)
{
    return w->client.failed || w->client.closed;
}

static inline bool both_have_gone(world *w)
{
    return client_is_gone(w) && !w->server.is_open;
}

/* Returns the error of pl_dial itself, or has turned until it is open or has failed. */
static inline pl_code dial(world *w, const pl_dial_to *to, pl_error *err)
{
    if (!pl_dial(w->dialer, to, &w->client.service, w, err))
        return err->code;
    assert_false(client_is_settled(w));
    turn_until(w, client_is_settled);
    return PL_OK;
}

static size_t wanted;
static inline bool has_wanted(world *w)
{
    return w->client.received.len >= wanted || client_is_gone(w);
}

static inline void exchange(world *w, size_t size)
{
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 1000);
    pl_buf_reset(&w->client.received, SIZE_MAX);
    pl_connection_write(w->client.connection, (pl_str){bytes, size});
    assert_true(pl_connection_is_writing(w->client.connection));
    wanted = size;
    turn_until(w, has_wanted);
    assert_int_equal(w->client.received.len, size);
    assert_memory_equal(w->client.received.data, bytes, size);
    free(bytes);
}

#endif
