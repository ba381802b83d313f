/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"
#include "net/websocket.h"
#include "support/failing.h"
#include "websocket_client.h"

/* --- A service that does what it is told by its messages, and says what it is told by the edge --- */

static struct {
    pl_websocket_options options;
    pl_websocket *last; /* of the loop's thread, as all up to the semaphores */
    unsigned closed_code;
    unsigned alive, drained_count;
    bool is_closed;
    pl_code refused_with;
    sem_t opened, closed, drained, ponged, refused;
} t;

static void *const data = &t;

static void send_many(pl_websocket *ws, unsigned count)
{
    char text[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "message %u", i);
        assert_int_equal(pl_websocket_send(ws, pl_str_of(text)), PL_OK);
    }
}

static void send_until_refused(pl_websocket *ws)
{
    static char block[1024];
    memset(block, 'x', sizeof(block));
    do
        t.refused_with = pl_websocket_send(ws, (pl_str){block, sizeof(block)});
    while (t.refused_with == PL_OK);
    if (t.is_closed) /* never from inside a function */
        abort();
    sem_post(&t.refused);
}

static void send_block(pl_websocket *ws, size_t size)
{
    char *block = malloc(size);
    memset(block, 'y', size);
    pl_websocket_send(ws, (pl_str){block, size});
    free(block);
}

static void on_message(pl_websocket *ws, pl_str m, bool binary)
{
    if (t.is_closed || pl_websocket_data(ws) != data || pl_websocket_peer(ws).len == 0)
        abort();
    if (binary)
        pl_websocket_send(ws, PL_STR("binary"));
    else if (pl_str_starts(m, PL_STR("close ")))
        pl_websocket_close(ws, (unsigned)atoi(m.ptr + 6), PL_STR("as you like"));
    else if (pl_str_is(m, "many"))
        send_many(ws, 1000);
    else if (pl_str_is(m, "flood"))
        send_until_refused(ws);
    else if (pl_str_is(m, "block"))
        send_block(ws, (size_t)32 << 20);
    else if (pl_str_is(m, "ping"))
        pl_websocket_ping(ws);
    else
        pl_websocket_send(ws, m);
}

static void on_drained(pl_websocket *ws)
{
    if (t.is_closed || pl_websocket_queued(ws) != 0)
        abort();
    t.drained_count++;
    sem_post(&t.drained);
}

static void on_closed(pl_websocket *ws, unsigned code)
{
    if (pl_websocket_peer(ws).len == 0)
        abort();
    /* Too late, and harmless. */
    if (pl_websocket_send(ws, PL_STR("x")) != PL_FAILED_PRECONDITION)
        abort();
    pl_websocket_close(ws, 1000, PL_STR_NONE);
    pl_websocket_ping(ws);
    t.closed_code = code;
    t.is_closed = --t.alive == 0;
    if (t.last == ws)
        t.last = NULL;
    sem_post(&t.closed);
}

static void on_pong(pl_websocket *ws)
{
    sem_post(&t.ponged);
}

static const pl_websocket_handler handler = {
    .message = on_message, .drained = on_drained, .closed = on_closed, .pong = on_pong};

static bool accept_websocket(server *s, pl_http_request *r)
{
    if (!pl_str_is(r->path, "/ws"))
        return false;
    if (!pl_http_is_websocket(r)) {
        respond(r, 200, PL_STR("no websocket"));
        return true;
    }
    pl_str protocol = pl_http_header(r, PL_STR("sec-websocket-protocol"));
    pl_websocket *ws =
        pl_websocket_accept(r, protocol.ptr ? PL_STR("second") : PL_STR(""), &t.options, &handler, data);
    if (ws) {
        t.last = ws;
        t.alive++;
        t.is_closed = false;
        sem_post(&t.opened);
    }
    return true;
}

static void start(server *s, pl_edge_config config)
{
    memset(&t, 0, sizeof(t));
    sem_init(&t.opened, 0, 0);
    sem_init(&t.closed, 0, 0);
    sem_init(&t.drained, 0, 0);
    sem_init(&t.ponged, 0, 0);
    sem_init(&t.refused, 0, 0);
    s->more = accept_websocket;
    server_start(s, &config);
}

static void stop(server *s)
{
    server_stop(s);
    assert_int_equal(t.alive, 0);
}

static void expect_closed(unsigned code)
{
    wait_for(&t.closed);
    assert_int_equal(t.closed_code, code);
}

/* --- Opening --- */

static void the_handshake_is_answered(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, HANDSHAKE);
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 101);
    assert_has(&a, "\r\nupgrade: websocket\r\n");
    assert_has(&a, "\r\nconnection: upgrade\r\n");
    assert_has(&a, "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    assert_has(&a, "\r\nx-request-id: ");
    assert_has_not(&a, "sec-websocket-protocol");
    assert_has_not(&a, "sec-websocket-extensions");
    assert_has_not(&a, "content-length");
    pl_edge_stats stats = pl_edge_get_stats(s.edge);
    assert_int_equal(stats.websockets, 1);
    assert_int_equal(stats.requests, 0);
    assert_int_equal(stats.connections, 1);
    close(fd);
    expect_closed(1006);
    stop(&s);
}

static void the_subprotocol_is_the_services_choice(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                  "Sec-WebSocket-Protocol: first, second\r\n\r\n");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 101);
    assert_has(&a, "\r\nsec-websocket-protocol: second\r\n");
    assert_has_not(&a, "sec-websocket-extensions");
    close(fd);
    expect_closed(1006);
    stop(&s);
}

static void unsound_requests_are_refused(void **state)
{
#define HEAD(method, version) \
    method " /ws HTTP/1." version "\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {HEAD("GET", "1") KEY "\r\n", 400},
        {HEAD("GET", "1") KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
        {HEAD("GET", "1") "Sec-WebSocket-Version: 13\r\n\r\n", 400},
        {HEAD("GET", "1") "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n", 400},
        {HEAD("GET", "1") "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n\r\n",
         400},
        {HEAD("GET", "1") "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n\r\n",
         400},
        {HEAD("POST", "1") KEY "Sec-WebSocket-Version: 13\r\nContent-Length: 1\r\n\r\nx", 400},
        {HEAD("GET", "0") KEY "Sec-WebSocket-Version: 13\r\n\r\n", 400},
    };
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = client(&s);
        send_text(fd, cases[i].request);
        read_answer(fd, &a, false);
        if (a.status != cases[i].status)
            fail_msg("case %zu: %d instead of %d", i, a.status, cases[i].status);
        if (a.status == 426)
            assert_has(&a, "\r\nsec-websocket-version: 13\r\n");
        close(fd);
    }
    /* Without the token in Connection it is a plain request. */
    int fd = client(&s);
    send_text(fd, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n");
    expect_answer(fd, 200, "no websocket");
    close(fd);
    assert_int_equal(pl_edge_get_stats(s.edge).websockets, 0);
    stop(&s);
}

static void frames_may_follow_the_request_at_once(void **state)
{
    server s = {0};
    answer a;
    char bytes[512] = HANDSHAKE;
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    size_t n = strlen(bytes);
    n += make_ws_frame(bytes + n, TEXT, "early", 5);
    n += make_ws_frame(bytes + n, TEXT, "bird", 4);
    send_bytes(fd, bytes, n);
    read_answer(fd, &a, true);
    expect_text(fd, "early");
    expect_text(fd, "bird");
    close(fd);
    stop(&s);
}

/* --- Messages --- */

static void messages_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 4096, 65535, 65536, 300000, (size_t)1 << 20};
    server s = {0};
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    char *text = malloc((size_t)1 << 20);
    for (size_t i = 0; i < (size_t)1 << 20; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        send_ws(fd, TEXT, text, sizes[i]);
        expect_ws(fd, TEXT, text, sizes[i]);
    }
    send_ws(fd, BINARY, "\xff\xfe", 2);
    expect_text(fd, "binary");
    /* In fragments, with a ping between. */
    send_ws(fd, 0x01, "ab", 2);
    send_ws(fd, PING, "p", 1);
    expect_ws(fd, PONG, "p", 1);
    send_ws(fd, 0x00, "", 0);
    send_ws(fd, 0x80, "cd", 2);
    expect_text(fd, "abcd");
    free(text);
    close(fd);
    expect_closed(1006);
    stop(&s);
}

static void what_one_turn_sends_goes_out_together(void **state)
{
    server s = {0};
    static char bytes[32768];
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    say(fd, "many");
    wait_for(&t.drained);
    /* One write, so one read gets it all. */
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK);
    assert_int_equal(n, 10 * 11 + 90 * 12 + 900 * 13);
    for (unsigned i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "message %u", i);
        expect_text(fd, text);
    }
    assert_false(happened(&t.drained));
    assert_int_equal(t.drained_count, 1);
    close(fd);
    stop(&s);
}

/* --- Pings --- */

static void pings_are_answered(void **state)
{
    server s = {0};
    char payload[125];
    memset(payload, 'p', sizeof(payload));
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    for (size_t len = 0; len <= sizeof(payload); len += 25) {
        send_ws(fd, PING, payload, len);
        expect_ws(fd, PONG, payload, len);
    }
    for (char c = 'a'; c < 'k'; c++)
        send_ws(fd, PING, &c, 1);
    for (char c = 'a'; c < 'k'; c++)
        expect_ws(fd, PONG, &c, 1);
    send_ws(fd, PONG, "unasked", 7);
    wait_for(&t.ponged);
    say(fd, "ping");
    expect_ws(fd, PING, "", 0);
    send_ws(fd, PONG, "", 0);
    wait_for(&t.ponged);
    close(fd);
    stop(&s);
}

static void look_at_queue(server *s)
{
    t.drained_count = (unsigned)pl_websocket_queued(t.last);
}

static void a_flood_of_pings_is_bounded(void **state)
{
    server s = {0};
    char payload[125], last[125];
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    /* Nothing is read: the answers fill the socket, then they wait, but not all of them. */
    char *bytes = malloc((size_t)131 * 1000);
    for (int round = 0; round < 400; round++) {
        size_t n = 0;
        for (int i = 0; i < 1000; i++) {
            memset(payload, 'a' + (round + i) % 26, sizeof(payload));
            n += make_ws_frame(bytes + n, PING, payload, sizeof(payload));
        }
        send_bytes(fd, bytes, n);
        on_loop(&s, look_at_queue);
        assert_in_range(t.drained_count, 0, 8192);
    }
    free(bytes);
    memset(last, '!', sizeof(last));
    send_ws(fd, PING, last, sizeof(last));
    ws_frame f;
    do {
        assert_true(read_ws(fd, &f));
        assert_int_equal(f.first, PONG);
        memcpy(payload, f.payload, sizeof(payload));
        free(f.payload);
    } while (payload[0] != '!'); /* the last one is always answered */
    close(fd);
    expect_closed(1006);
    stop(&s);
}

static void silent_peers_are_cut(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){0});
    t.options = (pl_websocket_options){.ping_ms = 30, .pong_timeout_ms = 1000};
    int fd = open_websocket(&s), silent = open_websocket(&s);
    for (int i = 0; i < 20; i++) { /* this one answers, and stays */
        expect_ws(fd, PING, "", 0);
        send_ws(fd, PONG, "", 0);
    }
    expect_ws(silent, PING, "", 0);
    expect_end(silent);
    expect_closed(1006);
    assert_int_equal(pl_edge_get_stats(s.edge).websockets_cut, 1);
    say(fd, "still here");
    for (ws_frame f = {0}; f.first != TEXT;) {
        assert_true(read_ws(fd, &f));
        free(f.payload);
        send_ws(fd, PONG, "", 0);
    }
    close(fd);
    close(silent);
    stop(&s);
}

/* --- Closing --- */

static void the_peer_closes(void **state)
{
    static const unsigned codes[] = {1000, 1001, 3000, 4400, 4999};
    server s = {0};
    start(&s, (pl_edge_config){0});
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        int fd = open_websocket(&s);
        send_close(fd, codes[i]);
        expect_close(fd, codes[i]);
        expect_end(fd);
        expect_closed(codes[i]);
        close(fd);
    }
    int fd = open_websocket(&s);
    send_ws(fd, CLOSE, "", 0);
    expect_close(fd, 0);
    expect_end(fd);
    expect_closed(1005);
    close(fd);
    stop(&s);
}

static void what_was_said_before_the_close_is_sent(void **state)
{
    server s = {0};
    char bytes[64];
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    size_t n = make_ws_frame(bytes, TEXT, "last words", 10);
    n += make_ws_frame(bytes + n, CLOSE, "\x03\xe8", 2);
    n += make_ws_frame(bytes + n, TEXT, "ignored", 7);
    send_bytes(fd, bytes, n);
    expect_text(fd, "last words");
    expect_close(fd, 1000);
    expect_end(fd);
    expect_closed(1000);
    close(fd);
    stop(&s);
}

static void the_service_closes(void **state)
{
    server s = {0};
    ws_frame f;
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    say(fd, "close 4403");
    assert_true(read_ws(fd, &f));
    assert_int_equal(f.first, CLOSE);
    assert_memory_equal(f.payload,
                        "\x11\x33"
                        "as you like",
                        13);
    free(f.payload);
    say(fd, "not delivered any more");
    assert_false(happened(&t.closed));
    send_close(fd, 4403);
    expect_end(fd);
    expect_closed(4403);
    close(fd);
    stop(&s);
}

static void a_peer_that_does_not_answer_the_close_is_cut(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){.request_timeout_ms = 200});
    int fd = open_websocket(&s);
    say(fd, "close 1000");
    expect_close(fd, 1000);
    expect_end(fd);
    expect_closed(1000);
    assert_int_equal(pl_edge_get_stats(s.edge).websockets_cut, 0);
    close(fd);
    stop(&s);
}

static void hang_ups_are_found(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s);
    close(fd);
    expect_closed(1006);
    fd = open_websocket(&s);
    shutdown(fd, SHUT_WR);
    expect_closed(1006);
    expect_end(fd);
    close(fd);
    fd = open_websocket(&s); /* a reset */
    struct linger none = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
    expect_closed(1006);
    stop(&s);
    assert_false(happened(&t.closed));
}

static void broken_frames_close_with_their_code(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        unsigned code;
    } cases[] = {
        {"\xc1\x80\1\2\3\4", 6, 1002},
        {"\x83\x80\1\2\3\4", 6, 1002},
        {"\x81\x01x", 3, 1002},
        {"\x80\x80\1\2\3\4", 6, 1002},
        {"\x09\x80\1\2\3\4", 6, 1002},
        {"\x89\xfe\x00\x7e\1\2\3\4", 8, 1002},
        {"\x88\x81\0\0\0\0\x03", 7, 1002},
        {"\x88\x82\0\0\0\0\x03\xed", 8, 1002},
        {"\x81\x81\0\0\0\0\xff", 7, 1007},
        {"\x82\xff\0\0\0\0\0\x20\0\0\1\2\3\4", 14, 1009},
    };
    server s = {0};
    start(&s, (pl_edge_config){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = open_websocket(&s);
        send_bytes(fd, cases[i].bytes, cases[i].len);
        expect_close(fd, cases[i].code);
        expect_end(fd);
        expect_closed(cases[i].code);
        close(fd);
    }
    stop(&s);
}

/* The close frame arrives although the peer goes on sending what nobody reads as frames. */
static void the_reason_survives_what_the_peer_still_sends(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){0});
    char *bytes = calloc(1, (size_t)1 << 20);
    for (int i = 0; i < 5; i++) {
        int fd = open_websocket(&s);
        bytes[0] = (char)0xff;
        send_bytes(fd, bytes, (size_t)1 << 20);
        expect_close(fd, 1002);
        expect_end(fd);
        expect_closed(1002);
        close(fd);
    }
    free(bytes);
    stop(&s);
}

/* --- Bounds --- */

static void a_peer_that_does_not_read_is_closed(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){.request_timeout_ms = 1000});
    int fd = open_websocket(&s);
    say(fd, "flood");
    wait_for(&t.refused);
    assert_int_equal(t.refused_with, PL_RESOURCE_EXHAUSTED);
    expect_closed(1013);
    expect_close(fd, 1013); /* it reads after all */
    send_close(fd, 1013);
    expect_end(fd);
    close(fd);
    fd = open_websocket(&s);
    say(fd, "flood");
    expect_closed(1013);
    while (pl_edge_get_stats(s.edge).connections != 0) /* it never reads, and is cut */
        usleep(1000);
    assert_int_equal(pl_edge_get_stats(s.edge).websockets_cut, 2);
    close(fd);
    stop(&s);
}

static void a_peer_that_takes_nothing_is_cut(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){.response_timeout_ms = 200});
    int fd = open_websocket(&s);
    say(fd, "block"); /* more than max_queued, but nothing else waits */
    expect_closed(1006);
    assert_int_equal(pl_edge_get_stats(s.edge).websockets_cut, 1);
    close(fd);
    stop(&s);
    /* One that reads gets it all. */
    start(&s, (pl_edge_config){0});
    fd = open_websocket(&s);
    say(fd, "block");
    ws_frame f;
    assert_true(read_ws(fd, &f));
    assert_int_equal(f.len, (size_t)32 << 20);
    free(f.payload);
    close(fd);
    stop(&s);
}

static void a_message_must_arrive_in_time(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){.request_timeout_ms = 600});
    int fd = open_websocket(&s);
    send_bytes(fd, "\x81", 1);
    expect_close(fd, 1008);
    expect_end(fd);
    expect_closed(1008);
    close(fd);
    fd = open_websocket(&s);
    send_ws(fd, 0x01, "never ended", 11);
    for (int i = 0; i < 3; i++) {
        send_ws(fd, PING, "", 0);
        expect_ws(fd, PONG, "", 0);
    }
    expect_close(fd, 1008);
    expect_closed(1008);
    close(fd);
    stop(&s);
}

static void idle_is_no_crime(void **state)
{
    server s = {0};
    start(&s,
          (pl_edge_config){.request_timeout_ms = 300, .idle_timeout_ms = 300, .response_timeout_ms = 300});
    int fd = open_websocket(&s), other = client(&s);
    expect_end(other); /* an idle HTTP connection is closed meanwhile, and some more time */
    close(other);
    other = client(&s);
    expect_end(other);
    close(other);
    say(fd, "hello");
    expect_text(fd, "hello");
    close(fd);
    stop(&s);
}

/* --- The end of the edge --- */

static void note_drained(void *user)
{
    sem_post(&((server *)user)->done);
}

static void begin_drain(server *s)
{
    pl_edge_drain(s->edge, 10000, note_drained, s);
}

static void close_with_4000(server *s)
{
    if (t.last)
        pl_websocket_close(t.last, 4000, PL_STR("later"));
}

static void draining_says_going_away(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){0});
    int first = open_websocket(&s), second = open_websocket(&s);
    s.drains = close_with_4000; /* the service closes the last one itself */
    on_loop(&s, begin_drain);
    expect_close(first, 1001);
    expect_close(second, 4000);
    assert_false(happened(&s.done));
    send_close(first, 1001);
    send_close(second, 4000);
    expect_end(first);
    expect_end(second);
    wait_for(&s.done);
    close(first);
    close(second);
    stop(&s);
}

static void a_draining_edge_takes_no_more(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = open_websocket(&s), late = client(&s);
    send_text(late, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"); /* it is known to the edge */
    read_answer(late, &a, false);
    send_text(late, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" HANDSHAKE);
    wait_for(&s.arrived);
    on_loop(&s, begin_drain);
    on_loop(&s, answer_oldest);
    expect_answer(late, 200, "{\"late\":1}");
    expect_end(late);
    close(late);
    close(fd);
    wait_for(&s.done);
    stop(&s);
}

static void freeing_the_edge_ends_all(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){0});
    int fds[10];
    for (int i = 0; i < 10; i++)
        fds[i] = open_websocket(&s);
    say(fds[0], "block"); /* with a write under way */
    while (pl_edge_get_stats(s.edge).websockets != 10)
        usleep(1000);
    server_stop(&s);
    assert_int_equal(t.alive, 0);
    assert_int_equal(t.closed_code, 1006);
    for (int i = 1; i < 10; i++) {
        expect_end(fds[i]);
        close(fds[i]);
    }
    close(fds[0]);
}

/* --- Memory --- */

static failing memory;

static void arm_failure(server *s)
{
    failing_begin(&memory);
}

static void disarm_failure(server *s)
{
    failing_end(&memory);
}

/* Everything fails from the n-th allocation on: the client is refused, or cut, or closed, and nothing else
 * happens. */
static void short_memory_ends_one_connection(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){.request_timeout_ms = 2000});
    int other = open_websocket(&s);
    unsigned served = 0;
    memory = (failing){.sticky = true};
    while (failing_next(&memory)) {
        int fd = client(&s);
        get(fd, "/hello"); /* it has been accepted */
        expect_answer(fd, 200, "{\"hello\":1}");
        on_loop(&s, arm_failure);
        send_text(fd, HANDSHAKE);
        char head[1024] = "";
        ssize_t n = recv(fd, head, sizeof(head) - 1, 0);
        if (n > 0 && strstr(head, " 101 ")) {
            ws_frame f;
            send_ws(fd, 0x01, "in two ", 7);
            send_ws(fd, 0x80, "pieces", 6);
            bool answered = false;
            while (!answered && read_ws(fd, &f)) {
                answered = f.first == TEXT;
                if (f.first == CLOSE)
                    shutdown(fd, SHUT_WR);
                free(f.payload);
            }
            served += answered;
        } else {
            assert_non_null(strstr(head, " 503 "));
        }
        on_loop(&s, disarm_failure);
        close(fd);
    }
    assert_true(served > 0);
    say(other, "unharmed");
    expect_text(other, "unharmed");
    close(other);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_is_answered),
        cmocka_unit_test(the_subprotocol_is_the_services_choice),
        cmocka_unit_test(unsound_requests_are_refused),
        cmocka_unit_test(frames_may_follow_the_request_at_once),
        cmocka_unit_test(messages_of_all_sizes),
        cmocka_unit_test(what_one_turn_sends_goes_out_together),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(a_flood_of_pings_is_bounded),
        cmocka_unit_test(silent_peers_are_cut),
        cmocka_unit_test(the_peer_closes),
        cmocka_unit_test(what_was_said_before_the_close_is_sent),
        cmocka_unit_test(the_service_closes),
        cmocka_unit_test(a_peer_that_does_not_answer_the_close_is_cut),
        cmocka_unit_test(hang_ups_are_found),
        cmocka_unit_test(broken_frames_close_with_their_code),
        cmocka_unit_test(the_reason_survives_what_the_peer_still_sends),
        cmocka_unit_test(a_peer_that_does_not_read_is_closed),
        cmocka_unit_test(a_peer_that_takes_nothing_is_cut),
        cmocka_unit_test(a_message_must_arrive_in_time),
        cmocka_unit_test(idle_is_no_crime),
        cmocka_unit_test(draining_says_going_away),
        cmocka_unit_test(a_draining_edge_takes_no_more),
        cmocka_unit_test(freeing_the_edge_ends_all),
        cmocka_unit_test(short_memory_ends_one_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
