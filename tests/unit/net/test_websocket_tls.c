/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"
#include "net/stream.h"
#include "net/websocket.h"
#include "tls_files.h"
#include "websocket_client.h"

/* What lives long, through TLS: it is h2o that encrypts, but ends of connections come about in other ways. */

static struct {
    unsigned closed_code;
    pl_http_request *stream;
    sem_t closed, begun;
} t;

static void on_message(pl_websocket *ws, pl_str m, bool binary)
{
    if (pl_str_is(m, "close"))
        pl_websocket_close(ws, 4000, PL_STR("as you like"));
    else
        pl_websocket_send(ws, m);
}

static void on_closed(pl_websocket *ws, unsigned code)
{
    t.closed_code = code;
    sem_post(&t.closed);
}

static void on_stream_cancelled(pl_http_request *r)
{
    t.stream = NULL;
    sem_post(&t.closed);
}

static bool take(server *s, pl_http_request *r)
{
    static const pl_websocket_handler handler = {.message = on_message, .closed = on_closed};
    static const pl_websocket_options options = {.max_message = (size_t)4 << 20};
    if (!r->secure)
        abort();
    if (pl_http_is_websocket(r)) {
        pl_websocket_accept(r, PL_STR(""), &options, &handler, NULL);
    } else {
        r->cancelled = on_stream_cancelled;
        t.stream = r;
        pl_http_stream_begin(r,
                             &(pl_http_response){.status = 200, .content_type = PL_STR("text/event-stream")});
        sem_post(&t.begun);
    }
    return true;
}

/* --- A client --- */

typedef struct tls {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
} tls;

static void tls_send(tls *c, const char *bytes, size_t len)
{
    assert_int_equal(SSL_write(c->ssl, bytes, (int)len), (int)len);
}

static void tls_read(tls *c, char *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        int n = SSL_read(c->ssl, bytes + got, (int)(len - got));
        assert_true(n > 0);
        got += (size_t)n;
    }
}

static void tls_open(tls *c, server *s, const char *request, const char *status)
{
    char head[1024] = "";
    c->context = SSL_CTX_new(TLS_client_method());
    c->fd = connect_to(pl_listeners_tls_address(s->listeners));
    c->ssl = tls_client(c->context, c->fd);
    assert_int_equal(SSL_connect(c->ssl), 1);
    tls_send(c, request, strlen(request));
    for (size_t n = 0; !strstr(head, "\r\n\r\n"); n++) {
        assert_true(n < sizeof(head) - 1);
        tls_read(c, head + n, 1);
    }
    assert_non_null(strstr(head, status));
}

static void tls_close(tls *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
    close(c->fd);
}

static void tls_say(tls *c, unsigned first, const char *payload, size_t len)
{
    char *bytes = malloc(len + 14);
    tls_send(c, bytes, make_ws_frame(bytes, first, payload, len));
    free(bytes);
}

static void tls_expect(tls *c, const char *bytes, size_t len)
{
    char got[256];
    tls_read(c, got, len);
    assert_memory_equal(got, bytes, len);
}

static void start(server *s)
{
    char certificate[128], key[128], other[128];
    make_certificate(certificate, key, other, sizeof(certificate));
    memset(&t, 0, sizeof(t));
    sem_init(&t.closed, 0, 0);
    sem_init(&t.begun, 0, 0);
    s->more = take;
    server_start(s, &(pl_edge_config){.tls_address = "127.0.0.1:0", .tls = {certificate, key}});
}

static void expect_closed(unsigned code)
{
    wait_for(&t.closed);
    assert_int_equal(t.closed_code, code);
}

/* The server says goodbye in TLS, too. */
static void expect_tls_end(tls *c)
{
    char byte;
    int n = SSL_read(c->ssl, &byte, 1);
    assert_true(n <= 0);
    assert_int_equal(SSL_get_error(c->ssl, n), SSL_ERROR_ZERO_RETURN);
}

static void messages_come_back(void **state)
{
    server s = {0};
    tls c;
    start(&s);
    tls_open(&c, &s, HANDSHAKE, " 101 ");
    tls_say(&c, TEXT, "hello", 5);
    tls_expect(&c, "\x81\5hello", 7);
    tls_say(&c, PING, "p", 1);
    tls_expect(&c, "\x8a\1p", 3);
    size_t much = (size_t)3 << 20;
    char *text = malloc(much), *back = malloc(much);
    memset(text, 'm', much);
    tls_say(&c, TEXT, text, much);
    tls_read(&c, back, 10);
    tls_read(&c, back, much);
    assert_memory_equal(text, back, much);
    free(text);
    free(back);
    tls_close(&c); /* without a word */
    expect_closed(1006);
    server_stop(&s);
}

static void both_sides_close(void **state)
{
    server s = {0};
    tls c;
    start(&s);
    tls_open(&c, &s, HANDSHAKE, " 101 ");
    tls_say(&c, CLOSE, "\x03\xe8", 2);
    tls_expect(&c, "\x88\2\x03\xe8", 4);
    expect_tls_end(&c);
    expect_closed(1000);
    tls_close(&c);
    tls_open(&c, &s, HANDSHAKE, " 101 ");
    tls_say(&c, TEXT, "close", 5);
    tls_expect(&c,
               "\x88\x0d\x0f\xa0"
               "as you like",
               15);
    tls_say(&c, CLOSE, "\x0f\xa0", 2);
    expect_tls_end(&c);
    expect_closed(4000);
    tls_close(&c);
    server_stop(&s);
}

static void broken_frames_are_told(void **state)
{
    server s = {0};
    tls c;
    char frame[4];
    start(&s);
    tls_open(&c, &s, HANDSHAKE, " 101 ");
    tls_send(&c, "\xff\xff", 2);
    tls_read(&c, frame, 4);
    assert_int_equal((unsigned char)frame[0], CLOSE);
    assert_memory_equal(frame + 2, "\x03\xea", 2);
    expect_closed(1002);
    tls_close(&c);
    while (pl_edge_get_stats(s.edge).connections != 0)
        usleep(1000);
    server_stop(&s);
}

static void write_piece(server *s)
{
    pl_http_stream_write(t.stream, PL_STR("piece"));
}

static void pieces_come_and_leaving_is_noticed(void **state)
{
    server s = {0};
    tls c;
    start(&s);
    tls_open(&c, &s, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n", " 200 ");
    wait_for(&t.begun);
    on_loop(&s, write_piece);
    tls_expect(&c, "5\r\npiece\r\n", 10);
    tls_close(&c);
    wait_for(&t.closed);
    server_stop(&s);
}

static void the_edge_ends_with_open_ones(void **state)
{
    server s = {0};
    tls c, d;
    start(&s);
    tls_open(&c, &s, HANDSHAKE, " 101 ");
    tls_open(&d, &s, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n", " 200 ");
    wait_for(&t.begun);
    server_stop(&s);
    wait_for(&t.closed);
    wait_for(&t.closed);
    assert_int_equal(t.closed_code, 1006);
    tls_close(&c);
    tls_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),           cmocka_unit_test(both_sides_close),
        cmocka_unit_test(broken_frames_are_told),       cmocka_unit_test(pieces_come_and_leaving_is_noticed),
        cmocka_unit_test(the_edge_ends_with_open_ones),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
