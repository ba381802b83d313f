/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_H2O_VERSION_H
#define PL_NET_H2O_VERSION_H

/* What would be called differently in another version of libh2o (docs/h2o.md): written for 2.2. Everything
 * else of h2o that Perilune uses is the same in 2.3. */

#include <h2o.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

_Static_assert(H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13,
               "this is another libh2o than 2.2: see docs/h2o.md");

#define PL_H2O_OF(type, member, ptr) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* --- an alarm: one call at a time, in milliseconds from the beginning of the loop's turn; 0 is the end of
 * this turn. h2o's lists of timeouts have one duration each, and their entries the time when they were
 * linked: an entry that was linked in the future, to a list of no duration, is due then. h2o's time is the
 * clock on the wall, so the owner looks at its own clock when it is called. --- */
typedef struct pl_h2o_alarm pl_h2o_alarm;
struct pl_h2o_alarm {
    h2o_timeout_t list;
    h2o_timeout_entry_t entry;
    void (*fire)(pl_h2o_alarm *alarm);
};

static inline void pl_h2o_alarm_fire(h2o_timeout_entry_t *entry)
{
    pl_h2o_alarm *alarm = PL_H2O_OF(pl_h2o_alarm, entry, entry);
    alarm->fire(alarm);
}

/* Alarms that are due in the same turn are called in the order in which they were made. */
static inline void pl_h2o_alarm_init(pl_h2o_alarm *alarm, h2o_loop_t *loop, void (*fire)(pl_h2o_alarm *alarm))
{
    *alarm = (pl_h2o_alarm){.entry = {.cb = pl_h2o_alarm_fire}, .fire = fire};
    h2o_timeout_init(loop, &alarm->list, 0);
}

static inline void pl_h2o_alarm_set(pl_h2o_alarm *alarm, h2o_loop_t *loop, uint64_t ms)
{
    h2o_timeout_unlink(&alarm->entry);
    h2o_timeout_link(loop, &alarm->list, &alarm->entry);
    alarm->entry.registered_at += ms;
}

/* Not in a callback of h2o's. */
static inline void pl_h2o_alarm_dispose(pl_h2o_alarm *alarm, h2o_loop_t *loop)
{
    h2o_timeout_unlink(&alarm->entry);
    h2o_timeout_dispose(loop, &alarm->list);
}

/* Calls it now, and h2o's waiting callbacks behind it. */
static inline void pl_h2o_alarm_run(pl_h2o_alarm *alarm, h2o_loop_t *loop)
{
    pl_h2o_alarm_set(alarm, loop, 0);
    h2o_timeout_run(loop, &alarm->list, h2o_now(loop));
}

/* --- the loop --- */
static inline int pl_h2o_has_callbacks(const h2o_loop_t *loop)
{
    return loop->_pending_as_client || loop->_pending_as_server;
}

static inline void pl_h2o_loop_destroy(h2o_loop_t *loop)
{
    /* h2o_evloop_destroy leaves the epoll descriptor open; this is how its epoll backend lays it out. */
    struct epoll_loop {
        h2o_evloop_t super;
        int epoll_fd;
    };
    int epoll_fd = ((struct epoll_loop *)loop)->epoll_fd;
    h2o_evloop_destroy(loop);
    close(epoll_fd);
}

#endif
