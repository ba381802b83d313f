/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"

static void a_request_is_answered(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/hello");
    answer a;
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"hello\":1}");
    assert_has(&a, "\r\nserver: perilune\r\n");
    assert_has(&a, "\r\ncontent-type: application/json\r\n");
    assert_has(&a, "\r\nx-request-id: ");
    get(fd, "/nowhere");
    expect_answer(fd, 404, "{\"errors\":[{\"message\":\"not found\"}]}");
    pl_edge_stats stats = pl_edge_get_stats(s.edge);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.requests, 0);
    assert_int_equal(stats.requests_total, 2);
    close(fd);
    server_stop(&s);
}

static void the_service_sees_the_request(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, "POST /a/../request?x=1&y=%20 HTTP/1.1\r\nHost: Moon.example\r\nX-Token: A b\r\n"
                  "Content-Length: 3\r\n\r\nabc");
    answer a;
    read_answer(fd, &a, false);
    char expected[512];
    struct sockaddr_in me;
    socklen_t size = sizeof(me);
    getsockname(fd, (struct sockaddr *)&me, &size);
    snprintf(expected, sizeof(expected),
             "method=POST path=/request query=x=1&y=%%20 body=abc secure=0 version=101 peer=127.0.0.1:%u\n"
             "host: Moon.example\nx-token: A b\n",
             ntohs(me.sin_port));
    assert_string_equal(a.body, expected);
    get(fd, "/request?");
    read_answer(fd, &a, false);
    assert_non_null(strstr(a.body, "path=/request query= body= "));
    close(fd);
    server_stop(&s);
}

static void odd_paths_are_harmless(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    const char *const paths[] = {"/%00hello", "/hello%00",      "/%ff%fe", "/%zz",
                                 "//hello",   "/..%2f..%2fetc", "*"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        get(fd, paths[i]);
        expect_answer(fd, 404, "{\"errors\":[{\"message\":\"not found\"}]}");
    }
    close(fd);
    server_stop(&s);
}

static void request_ids_are_echoed_or_made(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    answer a, b;
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: from-client\r\n\r\n");
    read_answer(fd, &a, false);
    assert_has(&a, "\r\nx-request-id: from-client\r\n");
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: two words\r\n\r\n");
    read_answer(fd, &a, false);
    assert_has_not(&a, "two words");
    for (int i = 0; i < 40; i++) {
        get(fd, "/hello");
        read_answer(fd, &b, false);
        assert_has(&b, "\r\nx-request-id: ");
        assert_string_not_equal(strstr(a.head, "x-request-id"), strstr(b.head, "x-request-id"));
        a = b;
    }
    close(fd);
    server_stop(&s);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(fd, 200, "{\"hello\":1}");
    expect_answer(fd, 404, "{\"errors\":[{\"message\":\"not found\"}]}");
    wait_for(&s.arrived);
    on_loop(&s, answer_oldest);
    expect_answer(fd, 200, "{\"late\":1}");
    expect_answer(fd, 200, "{\"hello\":1}");
    close(fd);
    server_stop(&s);
}

static void bodiless_answers(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    answer a;
    send_text(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 200);
    assert_has(&a, "\r\ncontent-length: 11\r\n");
    get(fd, "/empty");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 204);
    assert_has_not(&a, "content-length");
    assert_has_not(&a, "transfer-encoding");
    get(fd, "/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    close(fd);
    server_stop(&s);
}

static void headers_cannot_break_an_answer(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    answer a;
    get(fd, "/headers");
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 201);
    assert_string_equal(a.body, "made");
    assert_has(&a, "\r\nx-good: yes\r\n");
    assert_non_null(strstr(a.head, "\r\nx-upper: lowered\r\n"));
    assert_has_not(&a, "injected");
    assert_has_not(&a, "9999");
    assert_has_not(&a, "connection: upgrade");
    close(fd);
    server_stop(&s);
}

static void too_large_bodies_are_refused(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.max_body = 100});
    const char *const body = "{\"errors\":[{\"message\":\"request body is too large\"}]}";
    /* A little too large: read, and the connection goes on. */
    int fd = client(&s);
    char text[400];
    memset(text, 'a', sizeof(text));
    send_text(fd, "POST /request HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n");
    send_bytes(fd, text, 101);
    expect_answer(fd, 413, body);
    send_text(fd, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    send_bytes(fd, text, 100);
    expect_answer(fd, 200, "{\"hello\":1}");
    /* Much too large: not read. */
    send_text(fd, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    answer a;
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 413);
    assert_string_equal(a.body, body);
    assert_has(&a, "\r\ncontent-type: application/json\r\n");
    expect_end(fd);
    close(fd);
    /* Much too large in chunks. */
    fd = client(&s);
    send_text(fd, "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n190\r\n");
    send_bytes(fd, text, 400);
    expect_answer(fd, 413, body);
    close(fd);
    server_stop(&s);
}

static void too_large_headers_are_refused(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.max_header = 60});
    int fd = client(&s);
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 0123456789012345678901234567890123456789\r\n\r\n");
    expect_answer(fd, 200, "{\"hello\":1}");
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: 01234567890123456789\r\n"
                  "X-B: 0123456789012345678901234567890123456789\r\n\r\n");
    expect_answer(fd, 431, "{\"errors\":[{\"message\":\"request header is too large\"}]}");
    close(fd);
    server_stop(&s);
}

static const pl_str origins[] = {{"https://a.example", 17}};

static void cross_origin_requests(void **state)
{
    server s = {.settings.cors = {.origins = origins, .origin_count = 1}};
    server_start(&s, &(pl_edge_config){.max_body = 100});
    int fd = client(&s);
    answer a;
    send_text(fd, "OPTIONS /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n"
                  "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-token\r\n\r\n");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 204);
    assert_has(&a, "\r\naccess-control-allow-origin: https://a.example\r\n");
    assert_has(&a, "\r\naccess-control-allow-headers: x-token\r\n");
    send_text(fd, "OPTIONS /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://b.example\r\n"
                  "Access-Control-Request-Method: POST\r\n\r\n");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 204);
    assert_has_not(&a, "access-control-allow");
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n");
    read_answer(fd, &a, false);
    assert_has(&a, "\r\naccess-control-allow-origin: https://a.example\r\n");
    assert_has(&a, "\r\nvary: origin\r\n");
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://b.example\r\n\r\n");
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 200);
    assert_has_not(&a, "access-control");
    /* An OPTIONS request that is no preflight is the service's. */
    send_text(fd, "OPTIONS /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n");
    expect_answer(fd, 200, "{\"hello\":1}");
    /* h2o's own error: the script may read it, too. */
    send_text(
        fd, "POST /hello HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nContent-Length: 100000\r\n\r\n");
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 413);
    assert_has(&a, "\r\naccess-control-allow-origin: https://a.example\r\n");
    close(fd);
    server_stop(&s);
}

static void answers_are_compressed(void **state)
{
    server s = {.settings.compress = true};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    answer a;
    send_text(fd, "GET /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    read_answer(fd, &a, false);
    assert_has(&a, "\r\ncontent-encoding: gzip\r\n");
    assert_has(&a, "\r\nvary: accept-encoding\r\n");
    assert_memory_equal(a.body, "\x1f\x8b", 2);
    assert_true(a.body_len < 200);
    send_text(fd, "GET /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n\r\n");
    read_answer(fd, &a, false);
    assert_has(&a, "\r\ncontent-encoding: br\r\n");
    get(fd, "/text");
    read_answer(fd, &a, false);
    assert_has_not(&a, "content-encoding");
    assert_has(&a, "\r\nvary: accept-encoding\r\n");
    assert_int_equal(a.body_len, 2000);
    send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    read_answer(fd, &a, false);
    assert_has_not(&a, "content-encoding");
    close(fd);
    server_stop(&s);
}

static void health_and_readiness(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/healthz");
    expect_answer(fd, 200, "ok\n");
    get(fd, "/readyz");
    expect_answer(fd, 503, "starting\n");
    pl_edge_set_ready(s.edge, true);
    get(fd, "/readyz");
    expect_answer(fd, 200, "ready\n");
    close(fd);
    server_stop(&s);
}

/* --- Clients that leave --- */

static void do_nothing(server *s)
{
}

static void a_client_that_leaves_is_noticed(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    for (int i = 0; i < 3; i++) {
        int fd = client(&s);
        get(fd, "/hello");
        expect_answer(fd, 200, "{\"hello\":1}");
        get(fd, "/wait");
        wait_for(&s.arrived);
        if (i == 1) { /* with a reset */
            struct linger hard = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        }
        close(fd);
        wait_for(&s.cancelled);
    }
    assert_int_equal(pl_edge_get_stats(s.edge).requests, 0);
    server_stop(&s);
}

static void a_second_wait_on_a_connection_is_watched(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    for (int i = 0; i < 2; i++) {
        get(fd, "/wait");
        wait_for(&s.arrived);
        on_loop(&s, answer_oldest);
        expect_answer(fd, 200, "{\"late\":1}");
    }
    get(fd, "/wait");
    wait_for(&s.arrived);
    close(fd);
    wait_for(&s.cancelled);
    server_stop(&s);
}

/* It leaves while an answer is on its way, and nobody waits; the next request, read already, does wait. */
static void a_hang_up_is_noticed_by_the_next_wait(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/wait");
    wait_for(&s.arrived);
    on_loop(&s, answer_oldest);
    expect_answer(fd, 200, "{\"late\":1}");
    send_text(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    while (pl_edge_get_stats(s.edge).requests_total < 2)
        sched_yield();
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 3; i++) /* turns of the loop, in which it sees that */
        on_loop(&s, do_nothing);
    answer a;
    read_answer(fd, &a, true);
    static char room[65536];
    for (size_t left = BIG; left != 0;) {
        ssize_t n = read(fd, room, left < sizeof(room) ? left : sizeof(room));
        assert_true(n > 0);
        left -= (size_t)n;
    }
    wait_for(&s.arrived);
    wait_for(&s.cancelled);
    expect_end(fd);
    close(fd);
    server_stop(&s);
}

static void a_half_closed_client_gets_its_answer(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/hello");
    shutdown(fd, SHUT_WR);
    expect_answer(fd, 200, "{\"hello\":1}");
    expect_end(fd);
    close(fd);
    server_stop(&s);
}

static void a_half_closed_client_that_waits_has_gone(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/wait");
    shutdown(fd, SHUT_WR);
    wait_for(&s.arrived);
    wait_for(&s.cancelled);
    expect_end(fd);
    close(fd);
    server_stop(&s);
}

static void freeing_the_edge_cancels_what_waits(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int first = client(&s), second = client(&s), idle = client(&s), partial = client(&s);
    get(first, "/wait");
    get(second, "/wait");
    send_text(partial, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    wait_for(&s.arrived);
    wait_for(&s.arrived);
    server_stop(&s);
    assert_int_equal(s.waiting_count, 0);
    const int all[] = {first, second, idle, partial};
    for (int i = 0; i < 4; i++) {
        expect_end(all[i]);
        close(all[i]);
    }
}

/* --- Limits --- */

static void too_many_connections_are_refused(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.max_connections = 2});
    int first = client(&s), second = client(&s);
    get(first, "/hello");
    expect_answer(first, 200, "{\"hello\":1}");
    get(second, "/hello");
    expect_answer(second, 200, "{\"hello\":1}");
    int third = client(&s);
    expect_end(third);
    assert_int_equal(pl_edge_get_stats(s.edge).refused_total, 1);
    close(third);
    close(first);
    get(second, "/hello");
    expect_answer(second, 200, "{\"hello\":1}");
    close(second);
    server_stop(&s);
}

static void slow_requests_are_cut(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.request_timeout_ms = 60, .idle_timeout_ms = 60000});
    int head = client(&s), body = client(&s), idle = client(&s);
    send_text(head, "GET /hello HT");
    send_text(body, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    expect_end(head);
    expect_end(body);
    get(idle, "/hello");
    expect_answer(idle, 200, "{\"hello\":1}");
    close(head);
    close(body);
    close(idle);
    server_stop(&s);
}

static void idle_connections_are_closed(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.idle_timeout_ms = 60});
    int fd = client(&s), waits = client(&s);
    get(waits, "/wait");
    wait_for(&s.arrived);
    get(fd, "/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    expect_end(fd);
    on_loop(&s, answer_oldest);
    expect_answer(waits, 200, "{\"late\":1}");
    close(fd);
    close(waits);
    server_stop(&s);
}

static void clients_that_do_not_read_are_cut(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.response_timeout_ms = 80});
    int fd = client(&s);
    get(fd, "/big");
    /* Only the connection's end makes the count fall: nothing is read here before it does. */
    while (pl_edge_get_stats(s.edge).requests_total == 0)
        sched_yield();
    while (pl_edge_get_stats(s.edge).connections != 0)
        sched_yield();
    close(fd);
    server_stop(&s);
}

static void large_answers_arrive_whole(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, "GET /big HTTP/1.0\r\n\r\n");
    static char room[65536];
    size_t total = 0;
    for (ssize_t n; (n = read(fd, room, sizeof(room))) > 0;)
        total += (size_t)n;
    assert_true(total > BIG && total < BIG + 1000);
    close(fd);
    server_stop(&s);
}

/* --- Drain --- */

static void on_drained(void *data)
{
    server *s = data;
    s->drained = true;
    sem_post(&s->cancelled);
}

static void begin_drain(server *s)
{
    pl_edge_drain(s->edge, 20000, on_drained, s);
}

static void begin_short_drain(server *s)
{
    pl_edge_drain(s->edge, 50, on_drained, s);
}

static void a_drain_ends_when_work_does(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int idle = client(&s), fresh = client(&s), busy = client(&s);
    get(idle, "/hello");
    expect_answer(idle, 200, "{\"hello\":1}");
    get(busy, "/wait");
    wait_for(&s.arrived);
    on_loop(&s, begin_drain);
    expect_end(idle);
    expect_end(fresh);
    assert_false(happened(&s.cancelled));
    /* Nobody listens any more. */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(pl_listeners_address(s.listeners), ':') + 1));
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(late, (struct sockaddr *)&at, sizeof(at)), 0);
    close(late);
    on_loop(&s, answer_oldest);
    answer a;
    read_answer(busy, &a, false);
    assert_string_equal(a.body, "{\"late\":1}");
    assert_has(&a, "\r\nconnection: close\r\n");
    expect_end(busy);
    wait_for(&s.cancelled);
    assert_true(s.drained);
    close(idle);
    close(fresh);
    close(busy);
    server_stop(&s);
}

static void a_drain_that_takes_too_long_cuts(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int busy = client(&s), partial = client(&s);
    get(busy, "/wait");
    send_text(partial, "GET /hel");
    wait_for(&s.arrived);
    on_loop(&s, begin_short_drain);
    wait_for(&s.cancelled); /* the request */
    wait_for(&s.cancelled); /* the drain */
    expect_end(busy);
    expect_end(partial);
    assert_int_equal(s.waiting_count, 0);
    close(busy);
    close(partial);
    server_stop(&s);
}

static void an_idle_edge_drains_at_once(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    on_loop(&s, begin_drain);
    wait_for(&s.cancelled);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(the_service_sees_the_request),
        cmocka_unit_test(odd_paths_are_harmless),
        cmocka_unit_test(request_ids_are_echoed_or_made),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(bodiless_answers),
        cmocka_unit_test(headers_cannot_break_an_answer),
        cmocka_unit_test(too_large_bodies_are_refused),
        cmocka_unit_test(too_large_headers_are_refused),
        cmocka_unit_test(cross_origin_requests),
        cmocka_unit_test(answers_are_compressed),
        cmocka_unit_test(health_and_readiness),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(a_second_wait_on_a_connection_is_watched),
        cmocka_unit_test(a_hang_up_is_noticed_by_the_next_wait),
        cmocka_unit_test(a_half_closed_client_gets_its_answer),
        cmocka_unit_test(a_half_closed_client_that_waits_has_gone),
        cmocka_unit_test(freeing_the_edge_cancels_what_waits),
        cmocka_unit_test(too_many_connections_are_refused),
        cmocka_unit_test(slow_requests_are_cut),
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(clients_that_do_not_read_are_cut),
        cmocka_unit_test(large_answers_arrive_whole),
        cmocka_unit_test(a_drain_ends_when_work_does),
        cmocka_unit_test(a_drain_that_takes_too_long_cuts),
        cmocka_unit_test(an_idle_edge_drains_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
