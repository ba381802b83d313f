/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"
#include "http2_client.h"

static void streams_are_answered(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s);
    get2(fd, 1, "/hello");
    get2(fd, 3, "/nowhere");
    expect_body(fd, 1, "{\"hello\":1}");
    expect_body(fd, 3, "{\"errors\":[{\"message\":\"not found\"}]}");
    request2(fd, 5, "/request?q", "x-a", "b", 0);
    send_frame(fd, DATA, 0, 5, "ab", 2);
    send_frame(fd, DATA, END_STREAM, 5, "cd", 2);
    frame f;
    expect_frame(fd, DATA, &f);
    assert_non_null(
        strstr((char *)f.payload, "method=GET path=/request query=q body=abcd secure=0 version=200 peer="));
    assert_non_null(strstr((char *)f.payload, "\nx-a: b\n"));
    assert_null(strstr((char *)f.payload, "host:"));
    close(fd);
    server_stop(&s);
}

static bool holds(const frame *f, const char *text)
{
    return memmem(f->payload, f->len, text, strlen(text)) != NULL;
}

/* The id is not Huffman-coded by h2o when that would not make it shorter, as for these characters. */
static void ids_of_clients_come_back(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s);
    frame f;
    request2(fd, 1, "/hello", "x-request-id", "~}{^~}{^~}{^", END_STREAM);
    expect_frame(fd, HEADERS, &f);
    assert_true(holds(&f, "~}{^~}{^~}{^"));
    size_t plain = f.len;
    get2(fd, 3, "/hello");
    expect_frame(fd, HEADERS, &f);
    size_t without = f.len;
    get2(fd, 5, "/hello"); /* once more: one of the two has no new date */
    expect_frame(fd, HEADERS, &f);
    without = f.len < without ? f.len : without;
    assert_true(without < plain);
    get2(fd, 7, "/nowhere"); /* an error shows its id */
    expect_frame(fd, HEADERS, &f);
    assert_true(f.len > without + 8);
    close(fd);
    server_stop(&s);
}

static void too_large_bodies_are_refused(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.max_body = 100});
    int fd = client2(&s);
    char bytes[300];
    memset(bytes, 'a', sizeof(bytes));
    request2(fd, 1, "/hello", NULL, NULL, 0);
    send_frame(fd, DATA, END_STREAM, 1, bytes, 101);
    expect_body(fd, 1, "{\"errors\":[{\"message\":\"request body is too large\"}]}");
    request2(fd, 3, "/hello", NULL, NULL, 0);
    send_frame(fd, DATA, END_STREAM, 3, bytes, 300);
    frame f;
    expect_frame(fd, RST_STREAM, &f);
    assert_int_equal(f.stream, 3);
    get2(fd, 5, "/hello");
    expect_body(fd, 5, "{\"hello\":1}");
    close(fd);
    server_stop(&s);
}

static void reset_streams_are_cancelled(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s);
    get2(fd, 1, "/wait");
    wait_for(&s.arrived);
    get2(fd, 3, "/wait");
    wait_for(&s.arrived);
    send_frame(fd, RST_STREAM, 0, 1, "\0\0\0\10", 4);
    wait_for(&s.cancelled);
    on_loop(&s, answer_oldest);
    expect_body(fd, 3, "{\"late\":1}");
    assert_int_equal(pl_edge_get_stats(s.edge).requests, 0);
    close(fd);
    server_stop(&s);
}

static void streams_of_a_closed_connection_are_cancelled(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s);
    for (uint32_t i = 0; i < 50; i++)
        get2(fd, i * 2 + 1, "/wait");
    for (int i = 0; i < 50; i++)
        wait_for(&s.arrived);
    close(fd);
    for (int i = 0; i < 50; i++)
        wait_for(&s.cancelled);
    assert_int_equal(s.waiting_count, 0);
    server_stop(&s);
}

static void look_at_waiting(server *s)
{
    assert_int_equal(s->waiting_count, 0);
}

/* Told of the end of one, in the middle of the connection's end, the service answers the others: those of the
 * same connection, of whose end it must not hear then, and one of another. */
static void answers_may_cross_with_ends(void **state)
{
    server s = {.answers_others = true};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s), other = client2(&s), http1 = client(&s);
    for (uint32_t i = 0; i < 10; i++)
        get2(fd, i * 2 + 1, "/wait");
    get2(other, 1, "/wait");
    get(http1, "/wait");
    for (int i = 0; i < 12; i++)
        wait_for(&s.arrived);
    close(fd);
    wait_for(&s.cancelled);
    expect_body(other, 1, "{}");
    expect_answer(http1, 200, "{}");
    on_loop(&s, look_at_waiting);
    assert_false(happened(&s.cancelled));
    assert_int_equal(pl_edge_get_stats(s.edge).requests, 0);
    close(other);
    close(http1);
    server_stop(&s);
}

static int lost;

/* The write of the answer finds the connection reset: h2o then ends it without having read that. */
static void reset_and_answer(server *s)
{
    struct linger hard = {1, 0};
    setsockopt(lost, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(lost);
    answer_oldest(s);
}

static void answers_may_cross_with_failed_writes(void **state)
{
    server s = {.answers_others = true};
    server_start(&s, &(pl_edge_config){0});
    for (int round = 0; round < 5; round++) {
        lost = client2(&s);
        for (uint32_t i = 0; i < 10; i++)
            get2(lost, i * 2 + 1, "/wait");
        for (int i = 0; i < 10; i++)
            wait_for(&s.arrived);
        on_loop(&s, reset_and_answer);
        wait_for(&s.cancelled);
    }
    server_stop(&s);
    assert_int_equal(s.waiting_count, 0);
}

static void streams_over_the_limit_wait_their_turn(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.max_streams = 2});
    int fd = client2(&s);
    get2(fd, 1, "/wait");
    get2(fd, 3, "/wait");
    get2(fd, 5, "/wait");
    get2(fd, 7, "/hello");
    get2(fd, 9, "/hello");
    wait_for(&s.arrived);
    wait_for(&s.arrived);
    send_frame(fd, RST_STREAM, 0, 9, "\0\0\0\10", 4); /* one that waits in the queue */
    on_loop(&s, answer_oldest);
    expect_body(fd, 1, "{\"late\":1}");
    wait_for(&s.arrived); /* 5 */
    on_loop(&s, answer_oldest);
    expect_body(fd, 3, "{\"late\":1}");
    expect_body(fd, 7, "{\"hello\":1}");
    on_loop(&s, answer_oldest);
    expect_body(fd, 5, "{\"late\":1}");
    /* And with the connection lost while some are in the queue. */
    for (uint32_t i = 0; i < 20; i++)
        get2(fd, 11 + i * 2, "/wait");
    wait_for(&s.arrived);
    wait_for(&s.arrived);
    struct linger hard = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    wait_for(&s.cancelled);
    wait_for(&s.cancelled);
    server_stop(&s);
    assert_int_equal(s.waiting_count, 0);
}

static void slow_streams_are_cut(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.request_timeout_ms = 60, .idle_timeout_ms = 60000});
    int body = client2(&s), works = client2(&s);
    get2(works, 1, "/wait");
    wait_for(&s.arrived);
    request2(body, 1, "/hello", NULL, NULL, 0);
    send_frame(body, DATA, 0, 1, "ab", 2);
    expect_end2(body);
    on_loop(&s, answer_oldest);
    expect_body(works, 1, "{\"late\":1}");
    close(body);
    close(works);
    server_stop(&s);
}

static void clients_without_window_are_cut(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.response_timeout_ms = 80});
    int fd = client2(&s);
    get2(fd, 1, "/big");
    expect_end2(fd); /* what the first window allows is read, and no more is allowed */
    close(fd);
    server_stop(&s);
}

static void upgrades_from_http1(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client(&s);
    send_text(fd,
              "GET /request HTTP/1.1\r\nHost: moon\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
              "HTTP2-Settings: AAMAAABk\r\n\r\n");
    answer a;
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 101);
    send_text(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    send_frame(fd, SETTINGS, 0, 0, NULL, 0);
    frame f;
    expect_frame(fd, DATA, &f);
    assert_int_equal(f.stream, 1);
    assert_non_null(strstr((char *)f.payload, "path=/request"));
    assert_non_null(strstr((char *)f.payload, "host: moon\n"));
    get2(fd, 3, "/wait");
    wait_for(&s.arrived);
    close(fd);
    wait_for(&s.cancelled);
    server_stop(&s);
}

static void on_drained(void *data)
{
    sem_post(&((server *)data)->cancelled);
}

static void begin_drain(server *s)
{
    pl_edge_drain(s->edge, 20000, on_drained, s);
}

static void a_drain_says_goaway(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s);
    get2(fd, 1, "/wait");
    wait_for(&s.arrived);
    on_loop(&s, begin_drain);
    frame f;
    expect_frame(fd, GOAWAY, &f);
    on_loop(&s, answer_oldest);
    expect_body(fd, 1, "{\"late\":1}");
    expect_end2(fd);
    wait_for(&s.cancelled);
    close(fd);
    server_stop(&s);
}

static void freeing_the_edge_cancels_streams(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    int fd = client2(&s), idle = client2(&s);
    get2(fd, 1, "/wait");
    get2(fd, 3, "/big");
    wait_for(&s.arrived);
    server_stop(&s);
    assert_int_equal(s.waiting_count, 0);
    expect_end2(fd);
    expect_end2(idle);
    close(fd);
    close(idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_answered),
        cmocka_unit_test(ids_of_clients_come_back),
        cmocka_unit_test(too_large_bodies_are_refused),
        cmocka_unit_test(reset_streams_are_cancelled),
        cmocka_unit_test(streams_of_a_closed_connection_are_cancelled),
        cmocka_unit_test(answers_may_cross_with_ends),
        cmocka_unit_test(answers_may_cross_with_failed_writes),
        cmocka_unit_test(streams_over_the_limit_wait_their_turn),
        cmocka_unit_test(slow_streams_are_cut),
        cmocka_unit_test(clients_without_window_are_cut),
        cmocka_unit_test(upgrades_from_http1),
        cmocka_unit_test(a_drain_says_goaway),
        cmocka_unit_test(freeing_the_edge_cancels_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
