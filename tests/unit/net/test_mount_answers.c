/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"
#include "http2_client.h"
#include "mount_host.h"
#include "net/stream.h"
#include "net/websocket.h"

/* What lasts, what a host's filters do to answers, bodies, and the loop. */

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

static const char *other_place = "/host";

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
                                   h2o_iovec_init(other_place, strlen(other_place)), NULL, 0);
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

static bool take_upload(server *s, pl_http_request *r)
{
    if (!pl_str_is(r->path, "/main"))
        return false;
    char text[20];
    int len = snprintf(text, sizeof(text), "%zu", r->body.len);
    respond(r, 200, (pl_str){text, (size_t)len});
    return true;
}

static void uploads_may_be_larger(void **state)
{
    HOST(h);
    h->s.more = take_upload;
    h->s.settings.main_path = PL_STR("/main");
    h->s.settings.uploads = (pl_http_uploads){.path = PL_STR("/main"), .max_size = 40, .max_total = 1000};
    host_start(h, "/m", &(pl_edge_config){.max_body = 10});
    int fd = client_of(h);
    const char form[] = "Content-Type: multipart/form-data; boundary=x\r\n";
    char text[500];
    const char *const paths[] = {"/m", "/m/main"};
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: 30\r\n\r\n%030d",
                 paths[i], form, 0);
        send_text(fd, text);
        expect_answer(fd, 200, "30");
    }
    snprintf(text, sizeof(text), "POST /m HTTP/1.1\r\nHost: a\r\n%sContent-Length: 50\r\n\r\n%050d", form, 0);
    send_text(fd, text);
    expect_answer(fd, 413, "{\"errors\":[{\"message\":\"request body is too large\"}]}");
    close(fd);
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

/* The time for a client to take the answer is not the host's time to make another. */
static void the_host_may_take_its_time(void **state)
{
    HOST(h);
    h->s.more = fail_in_pieces;
    h->filter = on_filter;
    other_place = "/late";
    host_start(h, "/m", &(pl_edge_config){.response_timeout_ms = 100});
    int fd = client_of(h);
    get(fd, "/m/nowhere");
    expect_answer(fd, 200, "of the host");
    get(fd, "/m/pieces");
    expect_answer(fd, 200, "of the host");
    close(fd);
    host_stop(h);
    other_place = "/host";
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
        cmocka_unit_test(streams_go_out_piece_by_piece),
        cmocka_unit_test(a_slow_reader_keeps_its_connection_over_http2),
        cmocka_unit_test(websockets),
        cmocka_unit_test(errors_may_be_answered_by_the_host),
        cmocka_unit_test(the_host_may_take_its_time),
        cmocka_unit_test(bodies),
        cmocka_unit_test(uploads_may_be_larger),
        cmocka_unit_test(sockets_have_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
