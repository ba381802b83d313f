/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/loop.h"

typedef struct watched {
    pl_loop *loop;
    pl_watch *watch;
    int fd;
    int calls;
} watched;

/* Reads one of three: the descriptor is readable again at once. */
static void on_readable(void *data)
{
    watched *w = data;
    uint64_t one;
    assert_int_equal(read(w->fd, &one, sizeof one), sizeof one);
    if (++w->calls < 3)
        return;
    pl_watch_end(w->watch); /* from inside */
    pl_loop_stop(w->loop);
}

static void test_each_turn_in_which_it_is_readable(void **state)
{
    pl_error err;
    watched w = {.loop = pl_loop_new(NULL, NULL, &err), .fd = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK)};
    w.watch = pl_loop_watch(w.loop, w.fd, on_readable, &w);
    assert_non_null(w.watch);
    pl_loop_run(w.loop);
    assert_int_equal(w.calls, 3);
    close(w.fd);
    pl_loop_free(w.loop);
}

static void stop(pl_timer *timer)
{
    pl_loop_stop(timer->data);
}

static void test_one_that_has_ended_is_not_called(void **state)
{
    pl_error err;
    watched w = {.loop = pl_loop_new(NULL, NULL, &err), .fd = eventfd(1, EFD_NONBLOCK)};
    pl_host *host = pl_loop_host(w.loop);
    pl_timer timer = {.fire = stop, .data = w.loop};
    pl_watch_end(pl_loop_watch(w.loop, w.fd, on_readable, &w));
    pl_watch_end(NULL);
    host->ops->timer_start(host, &timer, host->ops->now(host) + 20);
    pl_loop_run(w.loop);
    assert_int_equal(w.calls, 0);
    close(w.fd);
    pl_loop_free(w.loop);
}

static void test_memory(void **state)
{
    pl_error err;
    pl_loop *loop = pl_loop_new(NULL, NULL, &err);
    int fd = eventfd(0, EFD_NONBLOCK);
    pl_alloc_fail_at(1, 0);
    pl_watch *watch = pl_loop_watch(loop, fd, on_readable, NULL);
    pl_alloc_fail_at(0, 0);
    assert_null(watch);
    close(fd);
    pl_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_turn_in_which_it_is_readable),
        cmocka_unit_test(test_one_that_has_ended_is_not_called),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
