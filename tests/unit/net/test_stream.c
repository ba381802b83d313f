/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "edge_harness.h"
#include "http2_client.h"
#include "net/stream.h"
#include "support/failing.h"

#define MUCH ((size_t)32 << 20)

/* --- A service whose streams are written by the test, on the loop's thread --- */

static struct {
    pl_http_request *streams[16]; /* NULL: gone */
    unsigned count;
    unsigned drained_count, cancelled_count;
    failing failing;
    bool refused, written, ends_others;
    sem_t begun, cancelled, drained;
} t;

static void forget(pl_http_request *r)
{
    for (unsigned i = 0; i < t.count; i++) {
        if (t.streams[i] == r) {
            t.streams[i] = NULL;
            return;
        }
    }
    abort(); /* one that is gone */
}

static void stream_cancelled(pl_http_request *r)
{
    if (r->id.len == 0 || r->data != &t)
        abort();
    forget(r);
    t.cancelled_count++;
    for (unsigned i = 0; t.ends_others && i < t.count; i++) {
        pl_http_request *other = t.streams[i];
        t.streams[i] = NULL;
        if (other) {
            pl_http_stream_write(other, PL_STR("the other one has gone"));
            pl_http_stream_end(other);
        }
    }
    sem_post(&t.cancelled);
}

static void stream_drained(pl_http_request *r)
{
    if (pl_http_stream_queued(r) != 0)
        abort();
    t.drained_count++;
    sem_post(&t.drained);
}

static bool begin(pl_http_request *r, int status)
{
    const pl_header header = {PL_STR("cache-control"), PL_STR("no-store")};
    r->data = &t;
    r->cancelled = stream_cancelled;
    r->drained = stream_drained;
    return pl_http_stream_begin(r, &(pl_http_response){.status = status,
                                                       .content_type = PL_STR("text/event-stream"),
                                                       .headers = &header,
                                                       .header_count = 1});
}

static bool answer_in_pieces(server *s, pl_http_request *r)
{
    if (pl_str_is(r->path, "/events") || pl_str_is(r->path, "/short-events")) {
        t.streams[t.count++] = r;
        t.refused |= !begin(r, 200);
        if (pl_str_is(r->path, "/short-events")) {
            pl_http_stream_write(r, PL_STR("one "));
            pl_http_stream_write(r, PL_STR("two"));
        }
        sem_post(&t.begun);
    } else if (pl_str_is(r->path, "/whole")) {
        begin(r, 200);
        pl_http_stream_write(r, PL_STR("all "));
        pl_http_stream_write(r, PL_STR("at once"));
        pl_http_stream_end(r);
    } else if (pl_str_is(r->path, "/nothing")) {
        begin(r, 200);
        pl_http_stream_end(r);
    } else if (pl_str_is(r->path, "/no-content")) {
        begin(r, 204);
        pl_http_stream_write(r, PL_STR("thrown away"));
        pl_http_stream_end(r);
    } else {
        return false;
    }
    return true;
}

static void start(server *s, pl_edge_config config)
{
    memset(&t, 0, sizeof(t));
    sem_init(&t.begun, 0, 0);
    sem_init(&t.cancelled, 0, 0);
    sem_init(&t.drained, 0, 0);
    s->more = answer_in_pieces;
    server_start(s, &config);
}

static void begin2(int fd, uint32_t id)
{
    get2(fd, id, "/events");
    wait_for(&t.begun);
}

static void write_hello(server *s)
{
    assert_true(pl_http_stream_write(t.streams[t.count - 1], PL_STR("hello")));
}

static void write_three(server *s)
{
    pl_http_request *r = t.streams[t.count - 1];
    assert_int_equal(pl_http_stream_queued(r), 0);
    pl_http_stream_write(r, PL_STR("a"));
    pl_http_stream_write(r, PL_STR(""));
    pl_http_stream_write(r, PL_STR("b"));
    pl_http_stream_write(r, PL_STR("c"));
    assert_int_equal(pl_http_stream_queued(r), 3);
}

static void write_much(server *s)
{
    pl_http_request *r = t.streams[t.count - 1];
    char *bytes = malloc(MUCH / 4);
    memset(bytes, 'm', MUCH / 4);
    for (int i = 0; i < 4; i++)
        assert_true(pl_http_stream_write(r, (pl_str){bytes, MUCH / 4}));
    assert_int_equal(pl_http_stream_queued(r), MUCH);
    free(bytes);
}

static void end_last(server *s)
{
    pl_http_stream_end(t.streams[t.count - 1]);
    t.streams[t.count - 1] = NULL;
}

static void write_and_end(server *s)
{
    write_much(s);
    end_last(s);
}

static void stop(server *s)
{
    server_stop(s);
    for (unsigned i = 0; i < t.count; i++)
        assert_null(t.streams[i]); /* each was ended or cancelled */
}

/* --- A client of chunks --- */

static void read_exactly(int fd, char *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, bytes + got, len - got);
        if (n <= 0)
            fail_msg("the connection ended within a chunk");
        got += (size_t)n;
    }
}

/* Its length; *bytes is terminated, and the caller's to free. */
static size_t read_chunk(int fd, char **bytes)
{
    char line[32] = "", end[2];
    for (size_t n = 0; n < 2 || line[n - 1] != '\n'; n++) {
        assert_true(n < sizeof(line) - 1);
        read_exactly(fd, line + n, 1);
    }
    size_t len = strtoul(line, NULL, 16);
    *bytes = calloc(1, len + 1);
    read_exactly(fd, *bytes, len);
    read_exactly(fd, end, 2);
    assert_memory_equal(end, "\r\n", 2);
    return len;
}

static void expect_chunk(int fd, const char *expected)
{
    char *bytes;
    read_chunk(fd, &bytes);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static int open_stream(server *s, const char *path, answer *a)
{
    int fd = client(s);
    get(fd, path);
    read_answer(fd, a, true);
    assert_int_equal(a->status, 200);
    wait_for(&t.begun);
    return fd;
}

/* --- HTTP/1.1 --- */

static void pieces_are_chunks(void **state)
{
    static const pl_str origins[] = {{"https://moon.example", 20}};
    server s = {.settings = {.compress = true, .cors = {.origins = origins, .origin_count = 1}}};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, "GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n"
                  "Origin: https://moon.example\r\nX-Request-Id: mine\r\n\r\n");
    read_answer(fd, &a, true); /* the head comes although nothing has been written */
    assert_int_equal(a.status, 200);
    assert_has(&a, "\r\ntransfer-encoding: chunked\r\n");
    assert_has(&a, "\r\ncontent-type: text/event-stream\r\n");
    assert_has(&a, "\r\ncache-control: no-store\r\n");
    assert_has(&a, "\r\nx-request-id: mine\r\n");
    assert_has(&a, "\r\naccess-control-allow-origin: https://moon.example\r\n");
    assert_has_not(&a, "content-encoding");
    assert_has_not(&a, "content-length");
    wait_for(&t.begun);
    pl_edge_stats stats = pl_edge_get_stats(s.edge);
    assert_int_equal(stats.streams, 1);
    assert_int_equal(stats.requests, 1);
    on_loop(&s, write_hello);
    expect_chunk(fd, "hello");
    wait_for(&t.drained);
    on_loop(&s, write_three);
    expect_chunk(fd, "abc");
    on_loop(&s, end_last);
    expect_chunk(fd, "");
    get(fd, "/hello"); /* the connection goes on */
    expect_answer(fd, 200, "{\"hello\":1}");
    stats = pl_edge_get_stats(s.edge);
    assert_int_equal(stats.streams, 0);
    assert_int_equal(stats.requests, 0);
    close(fd);
    stop(&s);
    assert_int_equal(t.cancelled_count, 0);
}

static void what_is_written_at_once_comes_with_the_head(void **state)
{
    server s = {0};
    char bytes[2048] = "";
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/short-events");
    wait_for(&t.drained);
    assert_true(recv(fd, bytes, sizeof(bytes) - 1, 0) > 0);
    assert_non_null(strstr(bytes, "\r\n\r\n7\r\none two\r\n"));
    on_loop(&s, end_last);
    expect_chunk(fd, "");
    get(fd, "/whole");
    memset(bytes, 0, sizeof(bytes));
    assert_true(recv(fd, bytes, sizeof(bytes) - 1, 0) > 0);
    assert_non_null(strstr(bytes, "\r\n\r\nb\r\nall at once\r\n0\r\n\r\n"));
    close(fd);
    stop(&s);
}

static void streams_without_a_body(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    get(fd, "/nothing");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 200);
    expect_chunk(fd, "");
    get(fd, "/no-content");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 204);
    assert_has_not(&a, "transfer-encoding");
    send_text(fd, "HEAD /short-events HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 200);
    assert_has(&a, "\r\ncontent-type: text/event-stream\r\n");
    wait_for(&t.cancelled); /* the head was all */
    get(fd, "/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    assert_int_equal(pl_edge_get_stats(s.edge).streams, 0);
    close(fd);
    stop(&s);
}

static void http10_ends_with_the_connection(void **state)
{
    server s = {0};
    answer a;
    char bytes[64] = "";
    start(&s, (pl_edge_config){0});
    int fd = client(&s);
    send_text(fd, "GET /short-events HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    read_answer(fd, &a, true);
    assert_has_not(&a, "transfer-encoding");
    assert_has(&a, "\r\nconnection: close\r\n");
    read_exactly(fd, bytes, 7);
    assert_string_equal(bytes, "one two");
    wait_for(&t.begun);
    wait_for(&t.drained);
    on_loop(&s, end_last);
    expect_end(fd);
    close(fd);
    stop(&s);
}

static void clients_that_leave_are_noticed(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a);
    close(fd); /* idle */
    wait_for(&t.cancelled);
    fd = open_stream(&s, "/events", &a);
    on_loop(&s, write_much); /* in the middle of a piece */
    close(fd);
    wait_for(&t.cancelled);
    fd = open_stream(&s, "/events", &a);
    shutdown(fd, SHUT_WR); /* half */
    wait_for(&t.cancelled);
    expect_end(fd);
    close(fd);
    while (pl_edge_get_stats(s.edge).connections != 0)
        usleep(1000);
    assert_int_equal(pl_edge_get_stats(s.edge).streams, 0);
    stop(&s);
}

static void idle_streams_stay(void **state)
{
    server s = {0};
    answer a;
    start(&s,
          (pl_edge_config){.request_timeout_ms = 300, .idle_timeout_ms = 300, .response_timeout_ms = 300});
    int fd = open_stream(&s, "/events", &a), fd2 = client2(&s);
    begin2(fd2, 1);
    for (int i = 0; i < 4; i++) { /* meanwhile idle connections are closed */
        int other = client(&s);
        expect_end(other);
        close(other);
    }
    assert_int_equal(t.cancelled_count, 0);
    on_loop(&s, write_hello);
    on_loop(&s, end_last);
    frame f;
    expect_frame(fd2, DATA, &f);
    assert_string_equal((char *)f.payload, "hello");
    t.count--;
    on_loop(&s, write_hello);
    expect_chunk(fd, "hello");
    on_loop(&s, end_last);
    expect_chunk(fd, "");
    close(fd);
    close(fd2);
    stop(&s);
}

static void clients_that_do_not_read_are_cut(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){.response_timeout_ms = 200});
    int fd = open_stream(&s, "/events", &a);
    on_loop(&s, write_much);
    wait_for(&t.cancelled);
    close(fd);
    fd = open_stream(&s, "/events", &a);
    on_loop(&s, write_and_end); /* the service has nothing to do with it any more */
    while (pl_edge_get_stats(s.edge).connections != 0)
        usleep(1000);
    assert_int_equal(t.cancelled_count, 1);
    assert_int_equal(pl_edge_get_stats(s.edge).streams, 0);
    close(fd);
    stop(&s);
}

static size_t read_to_end(int fd)
{
    size_t total = 0, len;
    do {
        char *bytes;
        len = read_chunk(fd, &bytes);
        free(bytes);
        total += len;
    } while (len != 0);
    return total;
}

static void much_is_sent_whole(void **state)
{
    server s = {0};
    answer a;
    char *bytes;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a);
    on_loop(&s, write_much);
    for (size_t got = 0; got < MUCH; free(bytes))
        got += read_chunk(fd, &bytes);
    wait_for(&t.drained);
    assert_int_equal(t.drained_count, 1);
    on_loop(&s, write_and_end);
    assert_int_equal(read_to_end(fd), MUCH);
    get(fd, "/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    close(fd);
    stop(&s);
}

static void respond_too(server *s)
{
    respond(t.streams[0], 500, PL_STR("{}"));
    assert_false(pl_http_stream_begin(t.streams[0], &(pl_http_response){.status = 500}));
}

static void an_answer_begins_once(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a);
    on_loop(&s, respond_too);
    on_loop(&s, write_hello);
    expect_chunk(fd, "hello");
    on_loop(&s, end_last);
    expect_chunk(fd, "");
    close(fd);
    stop(&s);
}

/* --- HTTP/2 --- */

static void pieces_are_data_frames(void **state)
{
    server s = {0};
    frame f;
    start(&s, (pl_edge_config){0});
    int fd = client2(&s);
    get2(fd, 1, "/events");
    expect_frame(fd, HEADERS, &f);
    assert_int_equal(f.flags & END_STREAM, 0);
    wait_for(&t.begun);
    on_loop(&s, write_hello);
    expect_frame(fd, DATA, &f);
    assert_string_equal((char *)f.payload, "hello");
    assert_int_equal(f.flags & END_STREAM, 0);
    wait_for(&t.drained);
    get2(fd, 3, "/hello"); /* others are answered meanwhile */
    expect_body(fd, 3, "{\"hello\":1}");
    on_loop(&s, end_last);
    expect_frame(fd, DATA, &f);
    assert_int_equal(f.len, 0);
    assert_int_equal(f.flags & END_STREAM, END_STREAM);
    get2(fd, 5, "/whole");
    expect_body(fd, 5, "all at once");
    while (pl_edge_get_stats(s.edge).streams != 0)
        usleep(1000);
    close(fd);
    stop(&s);
}

static void head_over_http2(void **state)
{
    server s = {0};
    frame f;
    start(&s, (pl_edge_config){0});
    int fd = client2(&s);
    static const char block[] = "\x02\x04HEAD\x86\x04\x0d/short-events";
    send_frame(fd, HEADERS, END_STREAM | END_HEADERS, 1, block, sizeof(block) - 1);
    expect_frame(fd, HEADERS, &f);
    wait_for(&t.cancelled);
    get2(fd, 3, "/hello");
    expect_frame(fd, DATA, &f);
    if (f.stream == 1) { /* the end of the one without a body */
        assert_int_equal(f.len, 0);
        expect_frame(fd, DATA, &f);
    }
    assert_int_equal(f.stream, 3);
    close(fd);
    stop(&s);
}

static void reset_streams_are_cancelled(void **state)
{
    server s = {0};
    frame f;
    start(&s, (pl_edge_config){0});
    int fd = client2(&s);
    begin2(fd, 1);
    begin2(fd, 3);
    send_frame(fd, RST_STREAM, 0, 1, "\0\0\0\10", 4);
    wait_for(&t.cancelled);
    assert_null(t.streams[0]);
    on_loop(&s, write_hello);
    expect_frame(fd, DATA, &f);
    assert_int_equal(f.stream, 3);
    on_loop(&s, write_much); /* reset in the middle of it */
    expect_frame(fd, DATA, &f);
    send_frame(fd, RST_STREAM, 0, 3, "\0\0\0\10", 4);
    wait_for(&t.cancelled);
    while (pl_edge_get_stats(s.edge).streams != 0)
        usleep(1000);
    close(fd);
    stop(&s);
}

/* What the service does to others when it is told of one, in the middle of h2o's work. */
static void streams_may_end_when_others_are_cancelled(void **state)
{
    server s = {0};
    frame f;
    start(&s, (pl_edge_config){0});
    int fd = client2(&s);
    begin2(fd, 1);
    begin2(fd, 3);
    t.ends_others = true;
    send_frame(fd, RST_STREAM, 0, 1, "\0\0\0\10", 4);
    expect_frame(fd, DATA, &f);
    assert_int_equal(f.stream, 3);
    assert_string_equal((char *)f.payload, "the other one has gone");
    for (uint32_t id = 5; id < 15; id += 2) {
        begin2(fd, id);
    }
    close(fd); /* all at once */
    wait_for(&t.cancelled);
    while (pl_edge_get_stats(s.edge).connections != 0)
        usleep(1000);
    stop(&s);
    assert_int_equal(t.cancelled_count, 2);
}

static void clients_without_window_are_cut(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){.response_timeout_ms = 200});
    int fd = client2(&s);
    begin2(fd, 1);
    on_loop(&s, write_much);
    expect_end2(fd);
    wait_for(&t.cancelled);
    close(fd);
    stop(&s);
}

/* --- Draining, the end of the edge --- */

static void note_drained(void *user)
{
    sem_post(&((server *)user)->done);
}

static void drain_long(server *s)
{
    pl_edge_drain(s->edge, 20000, note_drained, s);
}

static void drain_short(server *s)
{
    pl_edge_drain(s->edge, 100, note_drained, s);
}

static void end_all(server *s)
{
    for (unsigned i = 0; i < t.count; i++) {
        pl_http_stream_write(t.streams[i], PL_STR("goodbye"));
        pl_http_stream_end(t.streams[i]);
        t.streams[i] = NULL;
    }
}

static void the_service_ends_streams_when_draining(void **state)
{
    server s = {0};
    answer a;
    frame f;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a), fd2 = client2(&s);
    begin2(fd2, 1);
    s.drains = end_all;
    on_loop(&s, drain_long);
    expect_chunk(fd, "goodbye");
    expect_chunk(fd, "");
    expect_end(fd);
    expect_frame(fd2, DATA, &f);
    assert_string_equal((char *)f.payload, "goodbye");
    assert_int_equal(f.flags & END_STREAM, END_STREAM);
    close(fd2);
    wait_for(&s.done);
    close(fd);
    stop(&s);
    assert_int_equal(t.cancelled_count, 0);
}

static void what_does_not_end_is_cut_at_the_deadline(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a), fd2 = client2(&s);
    begin2(fd2, 1);
    on_loop(&s, drain_short);
    wait_for(&t.cancelled);
    wait_for(&t.cancelled);
    expect_end(fd);
    wait_for(&s.done);
    close(fd);
    close(fd2);
    stop(&s);
}

static void freeing_the_edge_cancels_streams(void **state)
{
    server s = {0};
    answer a;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a), busy = open_stream(&s, "/events", &a), fd2 = client2(&s);
    on_loop(&s, write_much);
    begin2(fd2, 1);
    stop(&s);
    assert_int_equal(t.cancelled_count, 3);
    expect_end(fd);
    close(fd);
    close(busy);
    close(fd2);
}

/* --- Memory --- */

static void arm_failure(server *s)
{
    failing_begin(&t.failing);
}

static void disarm_failure(server *s)
{
    failing_end(&t.failing);
}

static void write_in_short_memory(server *s)
{
    pl_alloc_fail_at(1, 1);
    t.written = pl_http_stream_write(t.streams[t.count - 1], PL_STR("lost"));
    pl_alloc_fail_at(0, 0);
}

static void write_in_short_memory_and_end(server *s)
{
    write_in_short_memory(s);
    end_last(s);
}

static void short_memory_breaks_a_stream_off(void **state)
{
    server s = {0};
    answer a;
    frame f;
    start(&s, (pl_edge_config){0});
    int fd = open_stream(&s, "/events", &a);
    on_loop(&s, write_in_short_memory);
    assert_false(t.written);
    expect_end(fd); /* without the last chunk */
    wait_for(&t.cancelled);
    close(fd);
    fd = open_stream(&s, "/events", &a);
    on_loop(&s, write_in_short_memory_and_end); /* a service that does not look */
    expect_end(fd);
    close(fd);
    int fd2 = client2(&s);
    begin2(fd2, 1);
    expect_frame(fd2, HEADERS, &f);
    on_loop(&s, write_in_short_memory);
    assert_false(t.written);
    expect_frame(fd2, RST_STREAM, &f);
    assert_int_equal(f.stream, 1);
    wait_for(&t.cancelled);
    get2(fd2, 3, "/hello");
    expect_body(fd2, 3, "{\"hello\":1}");
    close(fd2);
    stop(&s);
}

static void short_memory_before_a_stream_begins(void **state)
{
    server s = {0};
    start(&s, (pl_edge_config){0});
    t.failing = (failing){.sticky = true};
    while (failing_next(&t.failing)) {
        int fd = client(&s);
        answer a;
        get(fd, "/hello"); /* it has been accepted */
        expect_answer(fd, 200, "{\"hello\":1}");
        on_loop(&s, arm_failure);
        get(fd, "/events");
        read_answer(fd, &a, true);
        on_loop(&s, disarm_failure);
        if (t.failing.made < t.failing.n || a.status != 503)
            assert_int_equal(a.status, 200);
        close(fd);
    }
    assert_true(t.refused);
    while (pl_edge_get_stats(s.edge).connections != 0)
        usleep(1000);
    stop(&s);
    assert_int_equal(t.cancelled_count, t.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_chunks),
        cmocka_unit_test(what_is_written_at_once_comes_with_the_head),
        cmocka_unit_test(streams_without_a_body),
        cmocka_unit_test(http10_ends_with_the_connection),
        cmocka_unit_test(clients_that_leave_are_noticed),
        cmocka_unit_test(idle_streams_stay),
        cmocka_unit_test(clients_that_do_not_read_are_cut),
        cmocka_unit_test(much_is_sent_whole),
        cmocka_unit_test(an_answer_begins_once),
        cmocka_unit_test(pieces_are_data_frames),
        cmocka_unit_test(head_over_http2),
        cmocka_unit_test(reset_streams_are_cancelled),
        cmocka_unit_test(streams_may_end_when_others_are_cancelled),
        cmocka_unit_test(clients_without_window_are_cut),
        cmocka_unit_test(the_service_ends_streams_when_draining),
        cmocka_unit_test(what_does_not_end_is_cut_at_the_deadline),
        cmocka_unit_test(freeing_the_edge_cancels_streams),
        cmocka_unit_test(short_memory_breaks_a_stream_off),
        cmocka_unit_test(short_memory_before_a_stream_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
