/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"
#include "http2_client.h"
#include "mount_host.h"

static void expect_get(int fd, const char *path, int status, const char *body)
{
    get(fd, path);
    expect_answer(fd, status, body);
}

static void expect_get2(int fd, uint32_t stream, const char *path, const char *body)
{
    get2(fd, stream, path);
    expect_body(fd, stream, body);
}

static void start_plain(host *h)
{
    host_start(h, "/m", &(pl_edge_config){0});
}

/* --- paths --- */

static void the_prefix_is_taken_off(void **state)
{
    HOST(h);
    start_plain(h);
    int fd = client_of(h);
    expect_get(fd, "/m/hello", 200, "{\"hello\":1}");
    get(fd, "/m/request?a=/m/b");
    expect_body_has(fd, "method=GET path=/request query=a=/m/b ");
    expect_get(fd, "/host", 200, "of the host");
    expect_get(fd, "/m/nowhere", 404, "{\"errors\":[{\"message\":\"not found\"}]}");
    expect_get(fd, "/m/healthz", 200, "ok\n");
    expect_get(fd, "/m/readyz", 503, "starting\n");
    pl_edge_set_ready(h->s.edge, true);
    expect_get(fd, "/m/readyz", 200, "ready\n");
    expect_get(fd, "/other/hello", 200, "\"the other\"");
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
    expect_get(fd, "/a/m", 200, "path=/main target=/main full=/a/m");
    expect_get(fd, "/a/m?x=1", 200, "path=/main target=/main?x=1 full=/a/m");
    expect_get(fd, "/a/m/main?x", 200, "path=/main target=/main?x full=/a/m/main");
    /* What is not known below the mount is looked for below the main path. */
    expect_get(fd, "/a/m/sub/b?x", 200, "path=/main/sub/b target=/main/sub/b?x full=/a/m/sub/b");
    expect_get(fd, "/a/x/../%6d/su%62?y", 200, "path=/main/sub target=/main/su%62?y full=/a/m/sub");
    expect_get(fd, "/a/m/hello", 200, "{\"hello\":1}");
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
    expect_get(fd, "/main?x", 200, "path=/main target=/main?x full=/main");
    expect_get(fd, "/host", 200, "of the host");
    expect_get(fd, "/", 404, "{\"errors\":[{\"message\":\"not found\"}]}");
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
    start_plain(h);
    int fd = client2(&h->s);
    expect_get2(fd, 1, "/m/hello", "{\"hello\":1}");
    get2(fd, 3, "/m/wait");
    wait_for(&h->s.arrived);
    expect_get2(fd, 5, "/host", "of the host");
    on_loop(&h->s, answer_oldest);
    expect_body(fd, 3, "{\"late\":1}");
    get2(fd, 7, "/m/wait");
    wait_for(&h->s.arrived);
    send_frame(fd, RST_STREAM, 0, 7, "\0\0\0\10", 4);
    wait_for(&h->s.cancelled);
    expect_get2(fd, 9, "/host", "of the host");
    close(fd);
    wait_for(&h->closed);
    host_stop(h);
}

/* --- clients that leave, and the end --- */

static void a_client_that_leaves_cancels(void **state)
{
    HOST(h);
    start_plain(h);
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
        start_plain(h);
        int fd = client_of(h);
        expect_get(fd, "/m/hello", 200, "{\"hello\":1}");
        expect_get(fd, "/other/hello", 200, "\"the other\"");
        between_turns(h, order == 0 ? free_first : free_other);
        get(fd, order == 0 ? "/m/hello" : "/other/hello");
        expect_503(fd);
        expect_get(fd, order == 0 ? "/other/hello" : "/m/hello", 200,
                   order == 0 ? "\"the other\"" : "{\"hello\":1}");
        between_turns(h, order == 0 ? free_other : free_first);
        expect_get(fd, "/host", 200, "of the host");
        close(fd);
        wait_for(&h->closed);
        host_stop(h);
    }
}

static void an_edge_that_goes_ends_what_is_in_hand(void **state)
{
    HOST(h);
    start_plain(h);
    int waits = client_of(h), waits2 = client2(&h->s), idle = client_of(h);
    expect_get(idle, "/m/hello", 200, "{\"hello\":1}");
    get(waits, "/m/wait");
    wait_for(&h->s.arrived);
    get2(waits2, 1, "/m/wait");
    wait_for(&h->s.arrived);
    between_turns(h, free_first);
    wait_for(&h->s.cancelled);
    wait_for(&h->s.cancelled);
    wait_for(&h->closed);
    wait_for(&h->closed);
    expect_get(idle, "/host", 200, "of the host");
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
    start_plain(h);
    pl_edge_set_ready(h->s.edge, true);
    int idle = client2(&h->s), fd = client_of(h);
    expect_get2(idle, 1, "/m/hello", "{\"hello\":1}");
    get(fd, "/m/wait");
    wait_for(&h->s.arrived);
    between_turns(h, drain_now);
    expect_get2(idle, 3, "/m/readyz", "draining\n");
    assert_false(happened(&h->drained));
    on_loop(&h->s, answer_oldest);
    expect_answer(fd, 200, "{\"late\":1}");
    wait_for(&h->drained);
    expect_get2(idle, 5, "/host", "of the host");
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
    start_plain(h);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
