/* SPDX-License-Identifier: MIT */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/loop_internal.h"

/* On a foreign h2o loop nobody calls this one's turns. Whatever happens to it (a message, a timer that is
 * started, pl_loop_touch) sets an alarm, which h2o calls when it has done with the sockets of its turn: there
 * the turn is ended, as pl_loop_turn does it. h2o looks at all its alarms at the end of each turn, one after
 * the other, and makes callbacks of writes behind each: `due` is set by what happens, and only sets `finish`,
 * which comes later and does the work. So what happens behind that goes to the next turn, and other sockets
 * have theirs in between. Timers have a timerfd: h2o's time is the clock on the wall. */
struct foreign {
    pl_h2o_alarm due, finish; /* made in this order */
    bool in_turn;
    h2o_socket_t *timer;
    int timer_fd;
    uint64_t armed_for; /* 0: not */
    uint64_t h2o_now;   /* when now_ns was read */
};

struct pl_loop {
    pl_host host; /* first: a pl_host * of this loop is the loop */
    h2o_loop_t *evloop;
    bool is_foreign;
    struct foreign foreign;
    uint64_t (*clock)(void *data); /* NULL: the system's */
    void *clock_data;
    void (*at_end)(void *data);
    void *at_end_data;
    bool has_peers;
    void (*on_peer)(void *data); /* or NULL */
    void *on_peer_data;
    pl_h2o_alarm at_once; /* to have h2o make its callbacks */
    pl_timers timers;
    uint64_t now_ns;
    bool now_known; /* in this turn */
    bool stopped, closing;
    void (*turn)(void *data);
    void *turn_data;
    pl_helpers *helpers;
    unsigned pending_jobs; /* the helpers' */
    pl_mailbox *mailbox;
    int wake_fd; /* an eventfd: readable while messages wait */
    h2o_socket_t *wake;
    pthread_mutex_t lock; /* of what follows */
    pl_message *first, *last;
};

uint64_t pl_clock_ns(void)
{
    return pl_clock(CLOCK_MONOTONIC);
}

uint64_t pl_loop_clock_ns(const pl_loop *loop)
{
    return loop->clock ? loop->clock(loop->clock_data) : pl_clock_ns();
}

uint64_t pl_loop_turn_ns(pl_loop *loop)
{
    /* h2o reads the clock in each turn. */
    if (loop->is_foreign && loop->foreign.h2o_now != h2o_now(loop->evloop))
        loop->now_known = false;
    if (!loop->now_known) {
        loop->now_ns = pl_loop_clock_ns(loop);
        loop->now_known = true;
        if (loop->is_foreign)
            loop->foreign.h2o_now = h2o_now(loop->evloop);
    }
    return loop->now_ns;
}

void pl_loop_set_clock(pl_loop *loop, uint64_t (*clock)(void *data), void *data)
{
    loop->clock = clock;
    loop->clock_data = data;
    loop->now_known = false;
}

static uint64_t host_now(pl_host *host)
{
    return pl_loop_turn_ns((pl_loop *)host) / 1000000;
}

void pl_loop_touch(pl_loop *loop)
{
    struct foreign *f = &loop->foreign;
    if (loop->is_foreign && !f->in_turn && !pl_h2o_alarm_is_set(&f->due))
        pl_h2o_alarm_set(&f->due, loop->evloop);
}

static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    pl_loop_touch((pl_loop *)host);
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
    *monotonic = pl_loop_clock_ns((pl_loop *)host);
    if (utc)
        *utc = pl_clock(CLOCK_REALTIME);
}

static pl_mailbox *host_mailbox(pl_host *host)
{
    return ((pl_loop *)host)->mailbox;
}

static const pl_host_ops host_ops = {
    .now = host_now,
    .clock = host_clock,
    .timer_start = host_timer_start,
    .timer_stop = host_timer_stop,
    .offload = host_offload,
    .mailbox = host_mailbox,
};

static void wake(const pl_loop *loop)
{
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static inline pl_message **next_of(pl_message *message)
{
    return (pl_message **)&message->link[0];
}

void pl_loop_post(pl_loop *loop, pl_message *message)
{
    *next_of(message) = NULL;
    pthread_mutex_lock(&loop->lock);
    bool first = !loop->first;
    if (first)
        loop->first = message;
    else
        *next_of(loop->last) = message;
    loop->last = message;
    /* Under the lock, so that a loop that has taken the message is not freed while this still uses its
     * descriptor. */
    if (first)
        wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

static void post(void *loop, pl_message *message)
{
    pl_loop_post(loop, message);
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

/* What is to be done at the end; the loop may be gone then. */
static void end_turn(pl_loop *loop)
{
    void (*fn)(void *data) = loop->at_end;
    loop->at_end = NULL;
    if (fn)
        fn(loop->at_end_data);
}

static void on_wake(h2o_socket_t *socket, const char *err)
{
    pl_loop *loop = socket->data;
    if (loop->is_foreign)
        loop->now_known = false;
    run_messages(loop);
    pl_loop_touch(loop);
    /* Here, and not where the turn ends: h2o goes through its timeouts then, of which two would be gone. */
    if (loop->is_foreign)
        end_turn(loop);
}

void pl_loop_at_end(pl_loop *loop, void (*fn)(void *data), void *data)
{
    loop->at_end = fn;
    loop->at_end_data = data;
    if (loop->is_foreign)
        wake(loop);
}

/* --- on a foreign loop --- */
static void arm(pl_loop *loop)
{
    struct foreign *f = &loop->foreign;
    uint64_t next = pl_timers_next(&loop->timers);
    if (next == UINT64_MAX || next == f->armed_for)
        return; /* a wake-up for a timer that was stopped finds nothing to do */
    if (next <= host_now(&loop->host)) {
        pl_loop_touch(loop);
        return;
    }
    struct itimerspec at = {.it_value = {(time_t)(next / 1000), (long)(next % 1000) * 1000000}};
    f->armed_for = next;
    timerfd_settime(f->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_due(pl_h2o_alarm *alarm)
{
    pl_loop *loop = PL_H2O_OF(pl_loop, foreign.due, alarm);
    pl_h2o_alarm_set(&loop->foreign.finish, loop->evloop);
}

static void on_finish(pl_h2o_alarm *alarm)
{
    pl_loop *loop = PL_H2O_OF(pl_loop, foreign.finish, alarm);
    loop->foreign.in_turn = true;
    pl_timers_run(&loop->timers, host_now(&loop->host));
    if (loop->turn)
        loop->turn(loop->turn_data);
    loop->foreign.in_turn = false;
    arm(loop);
}

static void on_timer(h2o_socket_t *socket, const char *err)
{
    pl_loop *loop = socket->data;
    uint64_t count;
    while (read(loop->foreign.timer_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    loop->foreign.armed_for = 0;
    loop->now_known = false;
    pl_loop_touch(loop);
}

static void foreign_open(pl_loop *loop, h2o_loop_t *evloop, int timer_fd)
{
    struct foreign *f = &loop->foreign;
    loop->is_foreign = true;
    f->timer_fd = timer_fd;
    pl_h2o_alarm_init(&f->due, evloop, on_due);
    pl_h2o_alarm_init(&f->finish, evloop, on_finish);
    f->timer = h2o_evloop_socket_create(evloop, timer_fd, H2O_SOCKET_FLAG_DONT_READ);
    f->timer->data = loop;
    h2o_socket_read_start(f->timer, on_timer);
}

static void foreign_close(pl_loop *loop)
{
    pl_h2o_alarm_dispose(&loop->foreign.due, loop->evloop);
    pl_h2o_alarm_dispose(&loop->foreign.finish, loop->evloop);
    h2o_socket_close(loop->foreign.timer);
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

static void run_nothing(pl_h2o_alarm *alarm)
{
}

/* What can fail. */
static pl_code open_parts(pl_loop *loop, bool foreign, int *timer_fd, pl_error *err)
{
    if (pl_descriptors_left(2, err) != PL_OK)
        return err->code;
    loop->mailbox = pl_mailbox_new(post, loop);
    if (!loop->mailbox)
        return pl_fail_memory(err);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd >= 0 && foreign)
        *timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->wake_fd < 0 || (foreign && *timer_fd < 0))
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot open a descriptor: %s", strerror(errno));
    return PL_OK;
}

static void close_parts(pl_loop *loop)
{
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pl_mailbox_unref(loop->mailbox);
    pl_free(loop);
}

static pl_loop *loop_new(h2o_loop_t *evloop, pl_helpers *helpers, pl_logger *log, pl_error *err)
{
    pl_loop *loop = pl_calloc(1, sizeof(*loop));
    int timer_fd = -1;
    if (!loop) {
        pl_fail_memory(err);
        return NULL;
    }
    loop->wake_fd = -1;
    if (open_parts(loop, evloop != NULL, &timer_fd, err) != PL_OK) {
        close_parts(loop);
        return NULL;
    }
    loop->host = (pl_host){.ops = &host_ops, .log = log};
    pthread_mutex_init(&loop->lock, NULL);
    pl_timers_init(&loop->timers);
    if (evloop)
        foreign_open(loop, evloop, timer_fd);
    loop->evloop = evloop ? evloop : h2o_evloop_create();
    pl_h2o_alarm_init(&loop->at_once, loop->evloop, run_nothing);
    loop->wake = h2o_evloop_socket_create(loop->evloop, loop->wake_fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->wake->data = loop;
    h2o_socket_read_start(loop->wake, on_wake);
    loop->helpers = helpers;
    if (helpers)
        pl_helpers_keep(helpers);
    return loop;
}

pl_loop *pl_loop_new(pl_helpers *helpers, pl_logger *log, pl_error *err)
{
    return loop_new(NULL, helpers, log, err);
}

pl_loop *pl_loop_new_on(h2o_loop_t *evloop, pl_helpers *helpers, pl_logger *log, pl_error *err)
{
    return loop_new(evloop, helpers, log, err);
}

bool pl_loop_is_foreign(const pl_loop *loop)
{
    return loop->is_foreign;
}

void pl_loop_free(pl_loop *loop)
{
    if (!loop)
        return;
    loop->closing = true;
    pl_mailbox_close(loop->mailbox);
    if (loop->helpers) {
        pl_helpers_wait(loop->helpers, &loop->pending_jobs);
        pl_helpers_drop(loop->helpers);
    }
    while (run_messages(loop))
        ;
    pl_timers_dispose(&loop->timers);
    h2o_socket_close(loop->wake);
    pl_h2o_alarm_dispose(&loop->at_once, loop->evloop);
    if (loop->is_foreign) {
        foreign_close(loop);
    } else {
        pl_h2o_loop_destroy(loop->evloop);
    }
    pl_mailbox_unref(loop->mailbox);
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
    if (pl_h2o_has_callbacks(loop->evloop))
        pl_h2o_alarm_run(&loop->at_once, loop->evloop);
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

void pl_loop_turn(pl_loop *loop, int wait_ms)
{
    loop->now_known = false;
    int32_t wait = how_long_to_wait(loop);
    loop->now_known = false; /* it is later when the wait is over */
    h2o_evloop_run(loop->evloop, wait_ms < 0 || wait < wait_ms ? wait : wait_ms);
    pl_timers_run(&loop->timers, host_now(&loop->host));
    if (loop->turn)
        loop->turn(loop->turn_data);
    pl_loop_run_callbacks(loop);
    end_turn(loop);
}

void pl_loop_run(pl_loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped)
        pl_loop_turn(loop, -1);
}

int pl_loop_fd(const pl_loop *loop)
{
    return pl_h2o_loop_fd(loop->evloop);
}

int pl_loop_wait_ms(pl_loop *loop)
{
    if (pl_h2o_has_changes(loop->evloop) || pl_h2o_has_callbacks(loop->evloop) || loop->at_end)
        return 0;
    loop->now_known = false;
    int32_t wait = how_long_to_wait(loop);
    uint64_t at = pl_h2o_wake_at(loop->evloop);
    if (at != UINT64_MAX) {
        uint64_t now = pl_clock(CLOCK_REALTIME) / 1000000; /* h2o's clock */
        uint64_t left = at > now ? at - now : 0;
        if (left < (uint64_t)wait)
            wait = (int32_t)left;
    }
    return wait == INT32_MAX ? -1 : wait;
}

void pl_loop_stop(pl_loop *loop)
{
    loop->stopped = true;
}

void pl_loop_note_peer(pl_loop *loop)
{
    bool first = !loop->has_peers;
    loop->has_peers = true;
    if (first && loop->on_peer)
        loop->on_peer(loop->on_peer_data);
}

bool pl_loop_has_peers(const pl_loop *loop)
{
    return loop->has_peers;
}

void pl_loop_on_peer(pl_loop *loop, void (*fn)(void *data), void *data)
{
    loop->on_peer = fn;
    loop->on_peer_data = data;
}

void pl_loop_on_turn(pl_loop *loop, void (*fn)(void *data), void *data)
{
    loop->turn = fn;
    loop->turn_data = data;
}
