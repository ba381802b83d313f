/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "edge_harness.h"
#include "http2_client.h"
#include "net/h2o_version.h"
#include "net/listeners.h"
#include "net/mount.h"
#include "net/stream.h"
#include "net/websocket.h"

/* A program of its own with h2o: /host is its, the rest is mounted. */
typedef struct host {
    server s; /* first: loop, edge, and thread are the host's here */
    h2o_globalconf_t globals;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    h2o_hostconf_t *hostconf;
    pl_mounts *mounts;
    pl_http_service other_service;
    pl_loop *other_loop;
    pl_edge *other; /* a second mount's, at /other */
    pl_mounts *other_mounts;
    sem_t closed, drained, between_done;
    void (*between)(struct host *h);
    void (*filter)(h2o_filter_t *self, h2o_req_t *req,
                   h2o_ostream_t **slot); /* on the mount's path; or NULL */
    bool stop;
} host;

static void on_host_close(void *data)
{
    sem_post(&((host *)data)->closed);
}

static int answer_of_host(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator;
    h2o_iovec_t body = h2o_iovec_init(H2O_STRLIT("of the host"));
    req->res.status = 200;
    req->res.content_length = body.len;
    h2o_start_response(req, &generator);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    host *h = listener->data;
    h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
    if (!socket)
        return;
    socket->on_close.cb = on_host_close;
    socket->on_close.data = h;
    h2o_accept(&h->accept, socket);
}

static void *host_main(void *data)
{
    host *h = data;
    while (!h->stop) {
        h2o_evloop_run(h->context.loop, INT32_MAX);
        if (h->between) {
            h->between(h);
            h->between = NULL;
            sem_post(&h->between_done);
        }
    }
    return NULL;
}

static bool handle_other(pl_http_service *service, pl_http_request *r)
{
    respond(r, 200, PL_STR("\"the other\""));
    return true;
}

static const pl_http_settings *other_settings(pl_http_service *service)
{
    static const pl_http_settings none = {0};
    return &none;
}

static void configure(host *h, const char *path)
{
    pl_error err = {0};
    h2o_config_init(&h->globals);
    h->hostconf = h2o_config_register_host(&h->globals, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *own = h2o_config_register_path(h->hostconf, "/host", 0);
    h2o_create_handler(own, sizeof(h2o_handler_t))->on_req = answer_of_host;
    h->mounts = pl_mounts_new();
    h->other_mounts = pl_mounts_new();
    assert_int_equal(pl_mounts_add(h->other_mounts, h->hostconf, "/other", &err), PL_OK);
    if (h->filter) {
        h2o_pathconf_t *filtered = h2o_config_register_path(h->hostconf, path, 0);
        h2o_create_filter(filtered, sizeof(h2o_filter_t))->on_setup_ostream = h->filter;
    }
    assert_int_equal(pl_mounts_add(h->mounts, h->hostconf, path, &err), PL_OK);
}

static void host_start(host *h, const char *path, pl_edge_config *config)
{
    pl_error err = {0};
    server *s = &h->s;
    signal(SIGPIPE, SIG_IGN);
    s->service = (pl_http_service){.handle = handle, .settings = settings_of, .drain = drain};
    sem_init(&s->arrived, 0, 0);
    sem_init(&s->cancelled, 0, 0);
    sem_init(&s->done, 0, 0);
    sem_init(&h->closed, 0, 0);
    sem_init(&h->between_done, 0, 0);
    sem_init(&h->drained, 0, 0);
    pl_edge_config listen = {.address = "127.0.0.1:0"};
    s->listeners = pl_listeners_open(&listen, 1, &err);
    assert_non_null(s->listeners);
    configure(h, path);
    h2o_context_init(&h->context, h2o_evloop_create(), &h->globals);
    h->accept = (h2o_accept_ctx_t){.ctx = &h->context, .hosts = h->globals.hosts};
    int fd = pl_listeners_take(s->listeners, 0);
    h->listener = h2o_evloop_socket_create(h->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    h->listener->data = h;
    h2o_socket_read_start(h->listener, on_accept);
    s->loop = pl_loop_new_on(h->context.loop, NULL, NULL, &err);
    assert_non_null(s->loop);
    s->edge = pl_edge_mount(s->loop, &h->context, h->mounts, config, &s->service, NULL, &err);
    if (!s->edge)
        fail_msg("%s", err.message);
    h->other_service = (pl_http_service){.handle = handle_other, .settings = other_settings};
    h->other = pl_edge_mount(s->loop, &h->context, h->other_mounts, config, &h->other_service, NULL, &err);
    assert_non_null(h->other);
    assert_int_equal(pthread_create(&s->thread, NULL, host_main, h), 0);
}

typedef struct between_call {
    pl_message message;
    host *h;
    void (*fn)(host *h);
} between_call;

static void call_soon(pl_message *message)
{
    between_call *c = message->data;
    c->h->between = c->fn;
}

/* Runs fn(h) on the host's thread, between two turns. */
static void between_turns(host *h, void (*fn)(host *h))
{
    between_call c = {.message = {.run = call_soon, .data = &c}, .h = h, .fn = fn};
    pl_loop_post(h->s.loop, &c.message);
    wait_for(&h->between_done);
}

static void stop_now(host *h)
{
    pl_edge_free(h->s.edge);
    pl_edge_free(h->other);
    pl_loop_free(h->s.loop);
    h->s.edge = h->other = NULL;
    h->stop = true;
}

static void dispose(host *h)
{
    h2o_context_t *context = &h->context;
    h2o_loop_t *loop = context->loop;
    while (!h2o_linklist_is_empty(&context->http1._conns) || !h2o_linklist_is_empty(&context->http2._conns))
        h2o_evloop_run(loop, 10);
    h2o_multithread_queue_t *queue = context->queue;
    h2o_context_dispose(context);
    free(queue);
    h2o_evloop_run(loop, 0);
    pl_h2o_loop_destroy(loop);
    pl_mounts_free(h->mounts); /* before and after what it has registered: both are fine */
    h2o_config_dispose(&h->globals);
    pl_mounts_free(h->other_mounts);
}

/* Connections have been closed by their clients. */
static void host_stop(host *h)
{
    between_turns(h, stop_now);
    pthread_join(h->s.thread, NULL);
    h2o_socket_close(h->listener);
    dispose(h);
    pl_listeners_free(h->s.listeners);
}

#define HOST(name)                         \
    host name##_host;                      \
    memset(&name##_host, 0, sizeof(host)); \
    host *name = &name##_host

static int client_of(host *h)
{
    return client(&h->s);
}

static void expect_body_has(int fd, const char *text)
{
    answer a;
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 200);
    if (!strstr(a.body, text))
        fail_msg("there is no \"%s\" in:\n%s", text, a.body);
}

/* --- paths --- */

static void the_prefix_is_taken_off(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = client_of(h);
    get(fd, "/m/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    get(fd, "/m/request?a=/m/b");
    expect_body_has(fd, "method=GET path=/request query=a=/m/b ");
    get(fd, "/host");
    expect_answer(fd, 200, "of the host");
    get(fd, "/m/nowhere");
    expect_answer(fd, 404, "{\"errors\":[{\"message\":\"not found\"}]}");
    get(fd, "/m/healthz");
    expect_answer(fd, 200, "ok\n");
    get(fd, "/m/readyz");
    expect_answer(fd, 503, "starting\n");
    pl_edge_set_ready(h->s.edge, true);
    get(fd, "/m/readyz");
    expect_answer(fd, 200, "ready\n");
    get(fd, "/other/hello");
    expect_answer(fd, 200, "\"the other\"");
    answer a;
    get(fd, "/mm/hello"); /* not below it, but the host's own 404 */
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 404);
    assert_string_equal(a.body, "not found");
    close(fd);
    host_stop(h);
}

static bool answer_places(server *s, pl_http_request *r)
{
    pl_buf text;
    if (!pl_str_starts(r->path, PL_STR("/main")))
        return false;
    pl_buf_init(&text);
    pl_buf_printf(&text, "path=%.*s target=%.*s full=%.*s", PL_STR_ARG(r->path), PL_STR_ARG(r->target),
                  PL_STR_ARG(r->full_path));
    respond(r, 200, pl_buf_view(&text));
    pl_buf_dispose(&text);
    return true;
}

static void the_mounts_own_path_is_the_main_path(void **state)
{
    HOST(h);
    h->s.more = answer_places;
    h->s.settings.main_path = PL_STR("/main");
    host_start(h, "/a/m/", &(pl_edge_config){0});
    int fd = client_of(h);
    get(fd, "/a/m");
    expect_answer(fd, 200, "path=/main target=/main full=/a/m");
    get(fd, "/a/m?x=1");
    expect_answer(fd, 200, "path=/main target=/main?x=1 full=/a/m");
    get(fd, "/a/m/main?x");
    expect_answer(fd, 200, "path=/main target=/main?x full=/a/m/main");
    /* What is not known below the mount is looked for below the main path. */
    get(fd, "/a/m/sub/b?x");
    expect_answer(fd, 200, "path=/main/sub/b target=/main/sub/b?x full=/a/m/sub/b");
    get(fd, "/a/x/../%6d/su%62?y");
    expect_answer(fd, 200, "path=/main/sub target=/main/su%62?y full=/a/m/sub");
    get(fd, "/a/m/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    close(fd);
    host_stop(h);
}

static void a_mount_at_the_root(void **state)
{
    HOST(h);
    h->s.more = answer_places;
    h->s.settings.main_path = PL_STR("/main");
    host_start(h, "/", &(pl_edge_config){0});
    int fd = client_of(h);
    get(fd, "/main?x");
    expect_answer(fd, 200, "path=/main target=/main?x full=/main");
    get(fd, "/host");
    expect_answer(fd, 200, "of the host");
    get(fd, "/");
    expect_answer(fd, 404, "{\"errors\":[{\"message\":\"not found\"}]}");
    close(fd);
    host_stop(h);
}

static void what_cannot_be_mounted(void **state)
{
    pl_error err = {0};
    HOST(h);
    configure(h, "/m");
    assert_int_equal(pl_mounts_add(h->mounts, h->hostconf, "m", &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_mounts_add(h->mounts, h->hostconf, NULL, &err), PL_INVALID_ARGUMENT);
    h2o_context_init(&h->context, h2o_evloop_create(), &h->globals);
    assert_int_equal(pl_mounts_add(h->mounts, h->hostconf, "/late", &err), PL_OK);
    pl_loop *loop = pl_loop_new_on(h->context.loop, NULL, NULL, &err);
    pl_edge *edge =
        pl_edge_mount(loop, &h->context, h->mounts, &(pl_edge_config){0}, &h->s.service, NULL, &err);
    assert_null(edge);
    assert_int_equal(err.code, PL_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "1 of 2 paths"));
    pl_loop_free(loop);
    dispose(h);
}

/* --- HTTP/2 --- */

static void streams_of_both_share_a_connection(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = client2(&h->s);
    get2(fd, 1, "/m/hello");
    expect_body(fd, 1, "{\"hello\":1}");
    get2(fd, 3, "/m/wait");
    wait_for(&h->s.arrived);
    get2(fd, 5, "/host");
    expect_body(fd, 5, "of the host");
    on_loop(&h->s, answer_oldest);
    expect_body(fd, 3, "{\"late\":1}");
    get2(fd, 7, "/m/wait");
    wait_for(&h->s.arrived);
    send_frame(fd, RST_STREAM, 0, 7, "\0\0\0\10", 4);
    wait_for(&h->s.cancelled);
    get2(fd, 9, "/host");
    expect_body(fd, 9, "of the host");
    close(fd);
    wait_for(&h->closed);
    host_stop(h);
}

/* --- clients that leave, and the end --- */

static void a_client_that_leaves_cancels(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = client_of(h);
    get(fd, "/other/hello"); /* two records of this connection */
    expect_answer(fd, 200, "\"the other\"");
    get(fd, "/m/wait");
    wait_for(&h->s.arrived);
    close(fd);
    wait_for(&h->s.cancelled);
    wait_for(&h->closed); /* the host is told as if nobody had been in between */
    assert_int_equal(pl_edge_get_stats(h->s.edge).requests, 0);
    host_stop(h);
}

static void free_first(host *h)
{
    pl_edge_free(h->s.edge);
    h->s.edge = NULL;
}

static void free_other(host *h)
{
    pl_edge_free(h->other);
    h->other = NULL;
}

static void expect_503(int fd)
{
    answer a;
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 503);
}

/* Connections outlive the edges, in any order. */
static void an_edge_that_goes_leaves_connections(void **state)
{
    for (int order = 0; order < 2; order++) {
        HOST(h);
        host_start(h, "/m", &(pl_edge_config){0});
        int fd = client_of(h);
        get(fd, "/m/hello");
        expect_answer(fd, 200, "{\"hello\":1}");
        get(fd, "/other/hello");
        expect_answer(fd, 200, "\"the other\"");
        between_turns(h, order == 0 ? free_first : free_other);
        get(fd, order == 0 ? "/m/hello" : "/other/hello");
        expect_503(fd);
        get(fd, order == 0 ? "/other/hello" : "/m/hello");
        expect_answer(fd, 200, order == 0 ? "\"the other\"" : "{\"hello\":1}");
        between_turns(h, order == 0 ? free_other : free_first);
        get(fd, "/host");
        expect_answer(fd, 200, "of the host");
        close(fd);
        wait_for(&h->closed);
        host_stop(h);
    }
}

static void an_edge_that_goes_ends_what_is_in_hand(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    int waits = client_of(h), waits2 = client2(&h->s), idle = client_of(h);
    get(idle, "/m/hello");
    expect_answer(idle, 200, "{\"hello\":1}");
    get(waits, "/m/wait");
    wait_for(&h->s.arrived);
    get2(waits2, 1, "/m/wait");
    wait_for(&h->s.arrived);
    between_turns(h, free_first);
    wait_for(&h->s.cancelled);
    wait_for(&h->s.cancelled);
    wait_for(&h->closed);
    wait_for(&h->closed);
    get(idle, "/host");
    expect_answer(idle, 200, "of the host");
    close(waits);
    close(waits2);
    close(idle);
    host_stop(h);
}

static void set_drained(void *data)
{
    sem_post(data);
}

static void drain_now(host *h)
{
    pl_edge_drain(h->s.edge, 20000, set_drained, &h->drained);
}

static void draining_waits_for_requests_alone(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    pl_edge_set_ready(h->s.edge, true);
    int idle = client2(&h->s), fd = client_of(h);
    get2(idle, 1, "/m/hello");
    expect_body(idle, 1, "{\"hello\":1}");
    get(fd, "/m/wait");
    wait_for(&h->s.arrived);
    between_turns(h, drain_now);
    get2(idle, 3, "/m/readyz");
    expect_body(idle, 3, "draining\n");
    assert_false(happened(&h->drained));
    on_loop(&h->s, answer_oldest);
    expect_answer(fd, 200, "{\"late\":1}");
    wait_for(&h->drained);
    get2(idle, 5, "/host");
    expect_body(idle, 5, "of the host");
    close(idle);
    close(fd);
    host_stop(h);
}

static void drain_shortly(host *h)
{
    pl_edge_drain(h->s.edge, 50, set_drained, &h->drained);
}

static void what_a_drain_cannot_wait_for_is_cut(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = client_of(h);
    get(fd, "/m/wait");
    wait_for(&h->s.arrived);
    between_turns(h, drain_shortly);
    wait_for(&h->s.cancelled);
    wait_for(&h->drained);
    expect_end(fd);
    close(fd);
    host_stop(h);
}

/* --- what lasts --- */

static pl_http_request *streamed;

static void stream_gone(pl_http_request *r)
{
    sem_post(&((server *)r->data)->cancelled);
}

static bool stream(server *s, pl_http_request *r)
{
    if (!pl_str_is(r->path, "/stream"))
        return false;
    r->data = s;
    r->cancelled = stream_gone;
    streamed = r;
    pl_http_stream_begin(r, &(pl_http_response){.status = 200, .content_type = PL_STR("text/event-stream")});
    pl_http_stream_write(r, PL_STR("one"));
    return true;
}

static void write_two(server *s)
{
    pl_http_stream_write(streamed, PL_STR("two"));
    pl_http_stream_end(streamed);
}

static void read_until(int fd, const char *end)
{
    char text[4096];
    size_t len = 0;
    while (len < strlen(end) || memcmp(text + len - strlen(end), end, strlen(end)) != 0) {
        assert_true(len < sizeof(text));
        assert_int_equal(read(fd, text + len, 1), 1);
        len++;
    }
}

/* A filter of the host's that packs text: it must neither hold pieces back nor pack chunks. */
static void streams_go_out_piece_by_piece(void **state)
{
    HOST(h);
    h->s.more = stream;
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = client_of(h);
    get(fd, "/m/stream");
    read_until(fd, "\r\n\r\n3\r\none\r\n");
    on_loop(&h->s, write_two);
    read_until(fd, "3\r\ntwo\r\n0\r\n\r\n");
    get(fd, "/m/stream");
    read_until(fd, "\r\n\r\n3\r\none\r\n");
    close(fd);
    wait_for(&h->s.cancelled);
    host_stop(h);
}

/* Of a client that does not read over HTTP/2, the stream is given up, and nothing else. */
static bool endless(server *s, pl_http_request *r)
{
    static char bytes[200000];
    if (!pl_str_is(r->path, "/endless"))
        return false;
    r->data = s;
    r->cancelled = stream_gone;
    pl_http_stream_begin(r, &(pl_http_response){.status = 200, .content_type = PL_STR("text/plain")});
    pl_http_stream_write(r, (pl_str){bytes, sizeof(bytes)});
    return true;
}

static void a_slow_reader_keeps_its_connection_over_http2(void **state)
{
    HOST(h);
    h->s.more = endless;
    host_start(h, "/m", &(pl_edge_config){.response_timeout_ms = 100});
    int fd = client2(&h->s);
    get2(fd, 1, "/m/endless"); /* more than a window has room for */
    wait_for(&h->s.cancelled);
    send_frame(fd, RST_STREAM, 0, 1, "\0\0\0\10", 4);
    send_frame(fd, WINDOW_UPDATE, 0, 0, "\0\1\0\0", 4);
    get2(fd, 3, "/host");
    frame f;
    do {
        expect_frame(fd, DATA, &f);
    } while (f.stream == 1);
    assert_int_equal(f.stream, 3);
    assert_memory_equal(f.payload, "of the host", 11);
    close(fd);
    host_stop(h);
}

static void echo(pl_websocket *ws, pl_str message, bool binary)
{
    pl_websocket_send(ws, message);
}

static void websocket_closed(pl_websocket *ws, unsigned code)
{
    sem_post(pl_websocket_data(ws));
}

static const pl_websocket_handler websocket_handler = {.message = echo, .closed = websocket_closed};

static bool accept_websocket(server *s, pl_http_request *r)
{
    static const pl_websocket_options options = {0};
    return pl_http_is_websocket(r) &&
           pl_websocket_accept(r, PL_STR_NONE, &options, &websocket_handler, &s->cancelled);
}

static int open_websocket(host *h)
{
    int fd = client_of(h);
    send_text(fd, "GET /m HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    read_until(fd, "\r\n\r\n");
    send_bytes(fd, "\x81\x82\0\0\0\0hi", 8);
    read_until(fd, "\x81\x02hi");
    return fd;
}

static void websockets(void **state)
{
    HOST(h);
    h->s.more = accept_websocket;
    h->s.settings.main_path = PL_STR("/main");
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = open_websocket(h), other = open_websocket(h);
    assert_int_equal(pl_edge_get_stats(h->s.edge).websockets, 2);
    close(fd);
    wait_for(&h->s.cancelled);
    wait_for(&h->closed);
    between_turns(h, free_first);
    wait_for(&h->s.cancelled);
    wait_for(&h->closed);
    close(other);
    host_stop(h);
}

/* --- other answers in their place --- */

/* As a page for errors does it: the first answer is swallowed, and the request begins anew elsewhere. */
static void swallow(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count,
                    h2o_send_state_t state)
{
}

static void on_filter(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    if (req->res.status == 200) {
        h2o_setup_next_ostream(req, slot);
        return;
    }
    h2o_reprocess_request_deferred(req, req->method, req->scheme, h2o_iovec_init(H2O_STRLIT("default")),
                                   h2o_iovec_init(H2O_STRLIT("/host")), NULL, 0);
    h2o_ostream_t *ostream = h2o_add_ostream(req, sizeof(*ostream), slot);
    ostream->do_send = swallow;
}

static bool fail_in_pieces(server *s, pl_http_request *r)
{
    if (!pl_str_is(r->path, "/pieces"))
        return false;
    r->data = s;
    r->cancelled = stream_gone;
    pl_http_stream_begin(r, &(pl_http_response){.status = 500, .content_type = PL_STR("text/plain")});
    pl_http_stream_write(r, PL_STR("never seen"));
    return true;
}

static void errors_may_be_answered_by_the_host(void **state)
{
    HOST(h);
    h->s.more = fail_in_pieces;
    h->filter = on_filter;
    host_start(h, "/m", &(pl_edge_config){0});
    int fd = client_of(h);
    for (int i = 0; i < 2; i++) {
        get(fd, "/m/nowhere");
        expect_answer(fd, 200, "of the host");
        get(fd, "/m/pieces");
        expect_answer(fd, 200, "of the host");
        wait_for(&h->s.cancelled);
        get(fd, "/m/hello");
        expect_answer(fd, 200, "{\"hello\":1}");
    }
    assert_int_equal(pl_edge_get_stats(h->s.edge).requests, 0);
    close(fd);
    wait_for(&h->closed);
    host_stop(h);
}

/* --- the loop --- */

/* A socket whose writes end at once, each of which has a timer write the next; and one that can be read. */
#define MOST_WRITES 100
typedef struct busy {
    host *h;
    pl_timer timer;
    h2o_socket_t *socket;
    int peer, other, written, written_before_read;
    pl_watch *watch;
    sem_t done;
} busy;

static void on_written(h2o_socket_t *socket, const char *err)
{
    busy *b = socket->data;
    pl_host *h = pl_loop_host(b->h->s.loop);
    if (++b->written == MOST_WRITES)
        sem_post(&b->done);
    else
        h->ops->timer_start(h, &b->timer, h->ops->now(h));
}

static void write_more(pl_timer *timer)
{
    busy *b = timer->data;
    h2o_iovec_t byte = h2o_iovec_init(H2O_STRLIT("x"));
    if (b->written == 0 && write(b->other, "x", 1) != 1)
        abort();
    h2o_socket_write(b->socket, &byte, 1, on_written);
}

static void on_readable(void *data)
{
    busy *b = data;
    b->written_before_read = b->written;
    pl_watch_end(b->watch);
    sem_post(&b->done);
}

static busy the_busy;

static void begin_writing(host *h)
{
    busy *b = &the_busy;
    int ends[2], pipe_ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(pipe(pipe_ends), 0);
    b->h = h;
    b->timer = (pl_timer){.fire = write_more, .data = b};
    b->socket = h2o_evloop_socket_create(h->context.loop, ends[0], 0);
    b->socket->data = b;
    b->watch = pl_loop_watch(h->s.loop, pipe_ends[0], on_readable, b);
    close(pipe_ends[0]);
    b->other = pipe_ends[1];
    pl_host *timers = pl_loop_host(h->s.loop);
    timers->ops->timer_start(timers, &b->timer, timers->ops->now(timers));
    b->peer = ends[1]; /* nobody reads: there is room for all of it */
}

static void end_writing(host *h)
{
    h2o_socket_close(the_busy.socket);
    close(the_busy.peer);
    close(the_busy.other);
}

static void sockets_have_their_turn(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){0});
    sem_init(&the_busy.done, 0, 0);
    between_turns(h, begin_writing);
    wait_for(&the_busy.done);
    wait_for(&the_busy.done);
    between_turns(h, end_writing);
    assert_in_range(the_busy.written_before_read, 0, 10);
    assert_int_equal(the_busy.written, MOST_WRITES);
    host_stop(h);
}

static void bodies(void **state)
{
    HOST(h);
    host_start(h, "/m", &(pl_edge_config){.max_body = 10});
    int fd = client_of(h);
    send_text(fd, "POST /m/request HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    expect_body_has(fd, "body=abcd");
    send_text(
        fd,
        "POST /m/request HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nabcdefghijabcdefghijabcdefghij");
    expect_answer(fd, 413, "{\"errors\":[{\"message\":\"request body is too large\"}]}");
    send_text(fd,
              "POST /host HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nabcdefghijabcdefghijabcdefghij");
    expect_answer(fd, 200, "of the host");
    close(fd);
    host_stop(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prefix_is_taken_off),
        cmocka_unit_test(the_mounts_own_path_is_the_main_path),
        cmocka_unit_test(a_mount_at_the_root),
        cmocka_unit_test(what_cannot_be_mounted),
        cmocka_unit_test(streams_of_both_share_a_connection),
        cmocka_unit_test(a_client_that_leaves_cancels),
        cmocka_unit_test(an_edge_that_goes_leaves_connections),
        cmocka_unit_test(an_edge_that_goes_ends_what_is_in_hand),
        cmocka_unit_test(draining_waits_for_requests_alone),
        cmocka_unit_test(what_a_drain_cannot_wait_for_is_cut),
        cmocka_unit_test(streams_go_out_piece_by_piece),
        cmocka_unit_test(a_slow_reader_keeps_its_connection_over_http2),
        cmocka_unit_test(websockets),
        cmocka_unit_test(errors_may_be_answered_by_the_host),
        cmocka_unit_test(bodies),
        cmocka_unit_test(sockets_have_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
