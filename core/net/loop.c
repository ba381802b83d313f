/* SPDX-License-Identifier: MIT */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/loop_internal.h"

struct pl_loop {
    pl_host host; /* first: a pl_host * of this loop is the loop */
    h2o_loop_t *evloop;
    h2o_timeout_t at_once; /* of no duration, to have h2o run its callbacks */
    h2o_timeout_entry_t callbacks;
    pl_timers timers;
    uint64_t now_ns;
    bool now_known; /* in this turn */
    bool stopped, closing;
    void (*turn)(void *data);
    void *turn_data;
    pl_helpers *helpers;
    unsigned pending_jobs; /* the helpers' */
    int wake_fd;           /* an eventfd: readable while messages wait */
    h2o_socket_t *wake;
    pthread_mutex_t lock; /* of what follows */
    pl_message *first, *last;
};

/* h2o_evloop_destroy leaves the epoll descriptor open; this is how its epoll backend lays it out. */
struct epoll_loop {
    h2o_evloop_t super;
    int epoll_fd;
};

uint64_t pl_clock_ns(void)
{
    return pl_clock(CLOCK_MONOTONIC);
}

uint64_t pl_loop_turn_ns(pl_loop *loop)
{
    if (!loop->now_known) {
        loop->now_ns = pl_clock_ns();
        loop->now_known = true;
    }
    return loop->now_ns;
}

static uint64_t host_now(pl_host *host)
{
    return pl_loop_turn_ns((pl_loop *)host) / 1000000;
}

static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&((pl_loop *)host)->timers, timer, at);
}

static void host_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&((pl_loop *)host)->timers, timer);
}

static int host_offload(pl_host *host, pl_job *job, const void *lane)
{
    pl_loop *loop = (pl_loop *)host;
    if (!loop->helpers || loop->closing)
        return -1;
    return pl_helpers_submit(loop->helpers, loop, &loop->pending_jobs, job, lane);
}

static void host_clock(pl_host *host, uint64_t *monotonic, uint64_t *utc)
{
    (void)host;
    *monotonic = pl_clock(CLOCK_MONOTONIC);
    if (utc)
        *utc = pl_clock(CLOCK_REALTIME);
}

static const pl_host_ops host_ops = {
    .now = host_now,
    .clock = host_clock,
    .timer_start = host_timer_start,
    .timer_stop = host_timer_stop,
    .offload = host_offload,
};

static inline pl_message **next_of(pl_message *message)
{
    return (pl_message **)&message->link[0];
}

void pl_loop_post(pl_loop *loop, pl_message *message)
{
    *next_of(message) = NULL;
    pthread_mutex_lock(&loop->lock);
    bool wake = !loop->first;
    if (wake)
        loop->first = message;
    else
        *next_of(loop->last) = message;
    loop->last = message;
    /* Under the lock, so that a loop that has taken the message is not freed while this still uses its
     * descriptor. */
    if (wake) {
        uint64_t one = 1;
        while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
    pthread_mutex_unlock(&loop->lock);
}

/* Runs what has arrived so far; what those messages post waits for the next call. Returns whether there was
 * any. */
static bool run_messages(pl_loop *loop)
{
    uint64_t count;
    pthread_mutex_lock(&loop->lock);
    pl_message *message = loop->first;
    loop->first = loop->last = NULL;
    while (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    pthread_mutex_unlock(&loop->lock);
    bool any = message != NULL;
    while (message) {
        pl_message *next = *next_of(message);
        message->run(message);
        message = next;
    }
    return any;
}

static void on_wake(h2o_socket_t *socket, const char *err)
{
    run_messages(socket->data);
}

pl_code pl_descriptors_left(unsigned count, pl_error *err)
{
    int fds[16];
    unsigned opened = 0;
    if (count > sizeof(fds) / sizeof(fds[0]))
        count = sizeof(fds) / sizeof(fds[0]);
    while (opened < count && (fds[opened] = eventfd(0, EFD_CLOEXEC)) >= 0)
        opened++;
    int failure = errno;
    for (unsigned i = 0; i < opened; i++)
        close(fds[i]);
    if (opened < count)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open descriptors: %s", strerror(failure));
    return PL_OK;
}

static void run_nothing(h2o_timeout_entry_t *entry)
{
}

pl_loop *pl_loop_new(pl_helpers *helpers, pl_logger *log, pl_error *err)
{
    pl_loop *loop = pl_calloc(1, sizeof(*loop));
    if (!loop) {
        pl_fail_memory(err);
        return NULL;
    }
    if (pl_descriptors_left(2, err) != PL_OK) {
        pl_free(loop);
        return NULL;
    }
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open a descriptor: %s", strerror(errno));
        pl_free(loop);
        return NULL;
    }
    loop->host = (pl_host){.ops = &host_ops, .log = log};
    pthread_mutex_init(&loop->lock, NULL);
    pl_timers_init(&loop->timers);
    loop->evloop = h2o_evloop_create();
    h2o_timeout_init(loop->evloop, &loop->at_once, 0);
    loop->callbacks.cb = run_nothing;
    loop->wake = h2o_evloop_socket_create(loop->evloop, loop->wake_fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->wake->data = loop;
    h2o_socket_read_start(loop->wake, on_wake);
    loop->helpers = helpers;
    if (helpers)
        pl_helpers_keep(helpers);
    return loop;
}

void pl_loop_free(pl_loop *loop)
{
    if (!loop)
        return;
    loop->closing = true;
    if (loop->helpers) {
        pl_helpers_wait(loop->helpers, &loop->pending_jobs);
        pl_helpers_drop(loop->helpers);
    }
    while (run_messages(loop))
        ;
    pl_timers_dispose(&loop->timers);
    h2o_socket_close(loop->wake);
    h2o_timeout_dispose(loop->evloop, &loop->at_once);
    int epoll_fd = ((struct epoll_loop *)loop->evloop)->epoll_fd;
    h2o_evloop_destroy(loop->evloop);
    close(epoll_fd);
    pthread_mutex_destroy(&loop->lock);
    pl_free(loop);
}

pl_host *pl_loop_host(pl_loop *loop)
{
    return &loop->host;
}

h2o_loop_t *pl_loop_h2o(pl_loop *loop)
{
    return loop->evloop;
}

/* A write that ends at once leaves a callback to h2o. It must be made before h2o looks at its sockets again:
 * it would go on polling a socket for writing on which nothing is written any more, and end the process when
 * that becomes writable; or free one that is closed, and then call it. h2o makes these callbacks after each
 * of its timeouts, and at no other time that can be chosen. */
void pl_loop_run_callbacks(pl_loop *loop)
{
    if (!loop->evloop->_pending_as_client && !loop->evloop->_pending_as_server)
        return;
    h2o_timeout_link(loop->evloop, &loop->at_once, &loop->callbacks);
    h2o_timeout_run(loop->evloop, &loop->at_once, h2o_now(loop->evloop));
}

static int32_t how_long_to_wait(pl_loop *loop)
{
    uint64_t next = pl_timers_next(&loop->timers);
    if (next == UINT64_MAX)
        return INT32_MAX;
    uint64_t now = host_now(&loop->host);
    if (next <= now)
        return 0;
    return next - now < INT32_MAX ? (int32_t)(next - now) : INT32_MAX;
}

void pl_loop_run(pl_loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        loop->now_known = false;
        int32_t wait = how_long_to_wait(loop);
        loop->now_known = false; /* it is later when the wait is over */
        h2o_evloop_run(loop->evloop, wait);
        pl_timers_run(&loop->timers, host_now(&loop->host));
        if (loop->turn)
            loop->turn(loop->turn_data);
        pl_loop_run_callbacks(loop);
    }
}

void pl_loop_stop(pl_loop *loop)
{
    loop->stopped = true;
}

void pl_loop_on_turn(pl_loop *loop, void (*fn)(void *data), void *data)
{
    loop->turn = fn;
    loop->turn_data = data;
}
