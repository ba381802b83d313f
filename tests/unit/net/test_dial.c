/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "net/dial_harness.h"
#include "support/failing.h"

/* --- cleartext --- */
static void speaks_with(const char *listen)
{
    pl_error err;
    world *w = new_world(&(pl_bytes_config){.address = listen});
    const char *address = pl_bytes_listeners_address(w->listeners);
    assert_int_equal(dial(w, &(pl_dial_to){.address = pl_str_of(address)}, &err), PL_OK);
    assert_true(w->client.is_open);
    assert_ptr_equal(w->client.connection->data, w);
    assert_string_equal(w->client.peer, strncmp(listen, "unix:", 5) == 0 ? "unix" : address);
    exchange(w, 5);
    exchange(w, 3 << 20);
    assert_int_equal(w->client.written, 2);
    assert_int_equal(pl_dialer_count(w->dialer), 1);
    pl_connection_end(w->client.connection);
    turn_until(w, both_have_gone);
    assert_int_equal(w->client.closed, 1);
    assert_int_equal(w->client.failed, 0);
    assert_int_equal(pl_dialer_count(w->dialer), 0);
    free_world(w);
}

static void ipv4(void **state)
{
    speaks_with("127.0.0.1:0");
}

static void ipv6(void **state)
{
    speaks_with("[::1]:0");
}

static void unix_sockets(void **state)
{
    char address[128];
    snprintf(address, sizeof(address), "unix:%s", in_directory("socket"));
    speaks_with(address);
}

static void what_is_no_address(void **state)
{
    static const char *const bad[] = {
        "",      "localhost:80",    "127.0.0.1",     "127.0.0.1:",   "::1:80", "127.0.0.1:0",
        "[::1]", "127.0.0.1:65536", "[127.0.0.1:80", "127.0.0.1:+5", "unix:",  "127.0.0.1:80 "};
    world *w = new_world(NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pl_error err;
        assert_null(
            pl_dial(w->dialer, &(pl_dial_to){.address = pl_str_of(bad[i])}, &w->client.service, w, &err));
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, bad[i]));
    }
    assert_int_equal(pl_dialer_count(w->dialer), 0);
    free_world(w);
}

/* A port that nobody listens on: bound, and not listening. */
static int bound_socket(char *address, size_t room, bool listening)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    if (listening)
        assert_int_equal(listen(fd, 10), 0);
    snprintf(address, room, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static void nobody_listens(void **state)
{
    char address[32], expected[100];
    pl_error err;
    int fd = bound_socket(address, sizeof(address), false);
    world *w = new_world(NULL);
    if (dial(w, &(pl_dial_to){.address = pl_str_of(address)}, &err) == PL_OK)
        err = w->client.why;
    assert_int_equal(err.code, PL_UNAVAILABLE);
    snprintf(expected, sizeof(expected), "cannot connect to %s: Connection refused", address);
    assert_string_equal(err.message, expected);
    assert_int_equal(w->client.opened, 0);
    close(fd);

    char path[150];
    snprintf(path, sizeof(path), "unix:%s", in_directory("nobody"));
    assert_int_equal(dial(w, &(pl_dial_to){.address = pl_str_of(path)}, &err), PL_UNAVAILABLE);
    assert_non_null(strstr(err.message, "No such file"));
    free_world(w);
}

static void cut_before_it_is_open(void **state)
{
    char address[32];
    pl_error err;
    int fd = bound_socket(address, sizeof(address), true);
    world *w = new_world(NULL);
    pl_connection *c =
        pl_dial(w->dialer, &(pl_dial_to){.address = pl_str_of(address)}, &w->client.service, w, &err);
    assert_non_null(c);
    pl_connection_cut(c);
    assert_int_equal(w->client.failed, 0);
    turn_until(w, client_is_settled);
    assert_int_equal(w->client.failed, 1);
    assert_int_equal(w->client.why.code, PL_CANCELLED);
    assert_int_equal(w->client.opened, 0);
    free_world(w);
    close(fd);
}

static bool server_saw_it_end(world *w)
{
    return w->server.closed == 1 && pl_dialer_count(w->dialer) == 0;
}

static void a_service_may_refuse(void **state)
{
    pl_error err;
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    pl_str address = pl_str_of(pl_bytes_listeners_address(w->listeners));
    w->client.refuses = true;
    assert_non_null(pl_dial(w->dialer, &(pl_dial_to){.address = address}, &w->client.service, w, &err));
    turn_until(w, server_saw_it_end);
    assert_int_equal(w->client.opened, 1);
    assert_int_equal(w->client.closed, 0);
    assert_int_equal(w->client.failed, 0);
    free_world(w);
}

static void what_is_left_is_told(void **state)
{
    char address[32];
    pl_error err;
    int fd = bound_socket(address, sizeof(address), true);
    world *w = new_world(NULL);
    assert_int_equal(dial(w, &(pl_dial_to){.address = pl_str_of(address)}, &err), PL_OK);
    assert_non_null(
        pl_dial(w->dialer, &(pl_dial_to){.address = pl_str_of(address)}, &w->client.service, w, &err));
    pl_dialer_free(w->dialer);
    w->dialer = NULL;
    assert_int_equal(w->client.closed, 1);
    assert_int_equal(w->client.failed, 1);
    free_world(w);
    close(fd);
}

static void without_memory(void **state)
{
    failing a = {0};
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    pl_str address = pl_str_of(pl_bytes_listeners_address(w->listeners));
    while (failing_next(&a)) {
        pl_error err;
        w->client.opened = w->client.closed = w->client.failed = 0;
        failing_begin(&a);
        pl_connection *c = pl_dial(w->dialer, &(pl_dial_to){.address = address}, &w->client.service, w, &err);
        bool failed_once = failing_end(&a);
        if (!c) {
            assert_true(failed_once);
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
            continue;
        }
        /* Without a timer it is cut at once. */
        turn_until(w, client_is_settled);
        assert_int_equal(w->client.failed, failed_once);
        if (failed_once)
            assert_int_equal(w->client.why.code, PL_RESOURCE_EXHAUSTED);
    }
    assert_true(a.made >= 1);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4),
        cmocka_unit_test(ipv6),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(what_is_no_address),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(cut_before_it_is_open),
        cmocka_unit_test(a_service_may_refuse),
        cmocka_unit_test(what_is_left_is_told),
        cmocka_unit_test(without_memory),
    };
    signal(SIGPIPE, SIG_IGN);
    make_test_directory();
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    remove_test_directory();
    return failures;
}
