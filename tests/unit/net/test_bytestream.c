/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial_harness.h"

/* The listening side; its clients here are plain sockets, which do what no well-made client does. */

/* A connected socket that does not block. */
static int client_of(world *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *address = pl_bytes_listeners_address(w->listeners);
    at.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static bool server_is_open(world *w)
{
    return w->server.is_open;
}

static bool server_has_closed(world *w)
{
    return w->server.closed > 0;
}

static bool server_is_refusing(world *w)
{
    return pl_bytes_refused(w->bytes) > 0;
}

/* What has come to the socket so far: bytes, 0 at the end, or -1 when there is nothing yet. */
static bool nothing_is_left(int fd)
{
    char bytes[4096];
    ssize_t n;
    do {
        n = recv(fd, bytes, sizeof(bytes), 0);
    } while (n > 0);
    return n == 0 || errno == ECONNRESET;
}

static void a_connection(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    int fd = client_of(w);
    turn_until(w, server_is_open);
    assert_int_equal(pl_bytes_count(w->bytes), 1);
    assert_false(w->server.connection->secure);
    assert_null(w->server.connection->certificate);
    struct sockaddr_in own;
    socklen_t len = sizeof(own);
    char expected[32];
    getsockname(fd, (struct sockaddr *)&own, &len);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(own.sin_port));
    assert_string_equal(w->server.peer, expected);
    close(fd);
    turn_until(w, server_has_closed);
    assert_int_equal(pl_bytes_count(w->bytes), 0);
    free_world(w);
}

/* What was sent last arrives, and the client's late bytes do not destroy it. */
static void the_end_is_told(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    int fd = client_of(w);
    turn_until(w, server_is_open);
    assert_int_equal(send(fd, "late", 4, 0), 4);
    pl_connection_end(w->server.connection);
    pl_connection_end(w->server.connection); /* twice does nothing */
    assert_int_equal(w->server.closed, 0);
    close(fd);
    turn_until(w, server_has_closed);
    assert_int_equal(w->server.received.len, 0); /* thrown away */
    free_world(w);
}

static void an_end_that_the_client_ignores(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    int fd = client_of(w);
    turn_until(w, server_is_open);
    pl_connection_end(w->server.connection);
    turn_until(w, server_has_closed); /* after a while */
    assert_true(nothing_is_left(fd));
    close(fd);
    free_world(w);
}

static void a_cut(void **state)
{
    for (int paused = 0; paused < 2; paused++) {
        world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
        int fd = client_of(w);
        turn_until(w, server_is_open);
        if (paused)
            pl_connection_pause(w->server.connection, true);
        pl_connection_cut(w->server.connection);
        assert_int_equal(w->server.closed, 0); /* not from inside */
        turn_until(w, server_has_closed);
        assert_int_equal(w->server.closed, 1);
        assert_true(nothing_is_left(fd));
        close(fd);
        free_world(w);
    }
}

static bool has_received(world *w)
{
    return w->server.received.len > 0;
}

static bool wait_is_over;
static void on_pause_over(pl_timer *timer)
{
    wait_is_over = true;
}
static bool pause_is_over(world *w)
{
    return wait_is_over;
}

static void wait_for(world *w, unsigned ms)
{
    pl_host *host = pl_loop_host(w->loop);
    pl_timer timer = {.fire = on_pause_over};
    wait_is_over = false;
    assert_int_equal(host->ops->timer_start(host, &timer, host->ops->now(host) + ms), 0);
    turn_until(w, pause_is_over);
}

static void take_only(pl_bytes_service *service, pl_connection *connection, pl_str bytes)
{
    pl_buf_str(&((side *)service)->received, bytes);
}

static void a_pause(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    w->server.service.received = take_only;
    int fd = client_of(w);
    turn_until(w, server_is_open);
    pl_connection_pause(w->server.connection, true);
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    wait_for(w, 30);
    assert_int_equal(w->server.received.len, 0);
    pl_connection_pause(w->server.connection, false);
    turn_until(w, has_received);
    assert_memory_equal(w->server.received.data, "hello", 5);
    close(fd);
    free_world(w);
}

static void a_client_that_takes_nothing(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0", .write_ms = 30});
    int fd = client_of(w);
    turn_until(w, server_is_open);
    size_t size = (size_t)64 << 20;
    char *bytes = calloc(1, size);
    pl_connection_write(w->server.connection, (pl_str){bytes, size});
    assert_true(pl_connection_is_writing(w->server.connection));
    turn_until(w, server_has_closed);
    assert_int_equal(w->server.written, 0);
    close(fd);
    free(bytes);
    free_world(w);
}

static void too_many(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0", .max_connections = 1});
    int first = client_of(w);
    turn_until(w, server_is_open);
    int second = client_of(w);
    turn_until(w, server_is_refusing);
    assert_int_equal(pl_bytes_count(w->bytes), 1);
    assert_int_equal(w->server.opened, 1);
    assert_true(nothing_is_left(second));
    close(first);
    turn_until(w, server_has_closed);
    int third = client_of(w);
    turn_until(w, server_is_open);
    close(second);
    close(third);
    free_world(w);
}

static void no_more_are_accepted(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    int fd = client_of(w);
    turn_until(w, server_is_open);
    pl_bytes_stop_accepting(w->bytes);
    pl_bytes_stop_accepting(w->bytes);
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&at, &len), 0);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(other, (struct sockaddr *)&at, sizeof(at)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(other);
    assert_int_equal(send(fd, "x", 1, 0), 1); /* the one that was there goes on */
    wanted = 1;
    w->server.service.received = take_only;
    turn_until(w, has_received);
    close(fd);
    free_world(w);
}

static void what_is_left_is_closed(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    int fd = client_of(w);
    turn_until(w, server_is_open);
    pl_bytes_free(w->bytes);
    w->bytes = NULL;
    assert_int_equal(w->server.closed, 1);
    assert_true(nothing_is_left(fd));
    close(fd);
    free_world(w);
}

static void a_service_that_refuses(void **state)
{
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    w->server.refuses = true;
    int fd = client_of(w);
    wait_for(w, 1);
    while (w->server.opened == 0)
        wait_for(w, 1);
    assert_int_equal(w->server.closed, 0);
    assert_int_equal(pl_bytes_count(w->bytes), 0);
    assert_true(nothing_is_left(fd));
    close(fd);
    free_world(w);
}

/* A client of the TLS port that does not begin its handshake. */
static void a_handshake_that_does_not_come(void **state)
{
    world *w = new_world(&(pl_bytes_config){.tls_address = "127.0.0.1:0",
                                            .tls = {in_directory("server.pem"), in_directory("server.key")},
                                            .handshake_ms = 20});
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(pl_bytes_listeners_tls_address(w->listeners), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (!nothing_is_left(fd))
        wait_for(w, 5);
    assert_int_equal(w->server.opened, 0);
    assert_int_equal(w->server.closed, 0);
    assert_null(pl_bytes_listeners_address(w->listeners));
    close(fd);
    free_world(w);
}

static void listeners_that_cannot_be(void **state)
{
    pl_error err;
    pl_bytes_config config = {.tls_address = "127.0.0.1:0", .tls = {"/nowhere.pem", "/nowhere.key"}};
    assert_null(pl_bytes_listeners_open(&config, 1, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "/nowhere.pem");
    config = (pl_bytes_config){.tls_address = "127.0.0.1:0",
                               .tls = {in_directory("server.pem"), in_directory("server.key")},
                               .client_ca = "/nowhere-ca.pem"};
    assert_null(pl_bytes_listeners_open(&config, 1, &err));
    assert_string_equal(err.file, "/nowhere-ca.pem");
    config = (pl_bytes_config){.address = "nonsense"};
    assert_null(pl_bytes_listeners_open(&config, 1, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    pl_bytes_listeners_free(NULL);
    pl_bytes_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection),
        cmocka_unit_test(the_end_is_told),
        cmocka_unit_test(an_end_that_the_client_ignores),
        cmocka_unit_test(a_cut),
        cmocka_unit_test(a_pause),
        cmocka_unit_test(a_client_that_takes_nothing),
        cmocka_unit_test(too_many),
        cmocka_unit_test(no_more_are_accepted),
        cmocka_unit_test(what_is_left_is_closed),
        cmocka_unit_test(a_service_that_refuses),
        cmocka_unit_test(a_handshake_that_does_not_come),
        cmocka_unit_test(listeners_that_cannot_be),
    };
    signal(SIGPIPE, SIG_IGN);
    make_test_directory();
    authority ca = make_authority("Test CA", "ca.pem");
    make_certificate("server", "DNS:localhost", -60, &ca);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    free_authority(&ca);
    remove_test_directory();
    return failures;
}
