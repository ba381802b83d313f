/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_LOOP_H
#define PL_NET_LOOP_H

#include "base/error.h"
#include "base/log.h"
#include "value/engine.h"
#include "value/mailbox.h"

/* A worker's event loop: an h2o loop with a timer heap and a message queue, behind the pl_host interface. One
 * thread runs it; of these functions only pl_loop_post may be called from others. It is best made on the
 * thread that runs it; a thread that makes it for another must outlive it.
 *
 * The h2o loop is its own, and turned by pl_loop_run or pl_loop_turn; or it is that of a program which has
 * one already (pl_loop_new_on), and turns with that program's. Then what is said of turns below holds for the
 * turns in which something of this loop's has happened.
 *
 * Each turn waits for sockets, messages and the next timer, runs what they call for, then the timers that are
 * due, then the turn function. The time that pl_host.now gives is read once a turn, after the wait. */
typedef struct pl_loop pl_loop;

/* helpers: threads that run pl_host.offload jobs, shared by several loops. All signals are blocked in them.
 *
 * Each job that offload took is run once and done once, whatever ends first: `done` comes by message in a
 * turn of the job's loop, or, for what is left when the loop has stopped, from pl_loop_free on the thread
 * that calls it. So a job's memory is always released in `done`; a job whose owner is gone by then learns
 * that from its own data. The `done`s of one lane come in the order of its jobs.
 *
 * Loops and helpers may be freed in any order. After pl_helpers_free offload gives -1. */
typedef struct pl_helpers pl_helpers;
/* max_queued bounds the jobs that wait, all lanes together. NULL: memory or threads. */
pl_helpers *pl_helpers_new(unsigned threads, unsigned max_queued);
void pl_helpers_free(pl_helpers *helpers); /* runs what is queued, then joins; NULL is fine */

/* helpers NULL: offload always gives -1. Errors: RESOURCE_EXHAUSTED (memory, descriptors). */
pl_loop *pl_loop_new(pl_helpers *helpers, pl_logger *log, pl_error *err);
/* On a loop of h2o's, an h2o_loop_t, that the calling thread turns, and which outlives it. */
struct st_h2o_evloop_t;
pl_loop *pl_loop_new_on(struct st_h2o_evloop_t *evloop, pl_helpers *helpers, pl_logger *log, pl_error *err);
/* Outside of pl_loop_run and pl_loop_turn, or from pl_loop_at_end. Waits for the jobs of this loop that
 * helpers still have, and runs the messages that are left, so that what they own is released. NULL is fine.
 */
void pl_loop_free(pl_loop *loop);
pl_host *pl_loop_host(pl_loop *loop); /* ->shared and ->log are for the owner to set */
/* Runs on the calling thread until pl_loop_stop. */
void pl_loop_run(pl_loop *loop);
void pl_loop_stop(pl_loop *loop); /* on the loop's thread: run returns at the end of the turn */
/* One turn on the calling thread, which waits for wait_ms at the longest; -1: until there is something. */
void pl_loop_turn(pl_loop *loop, int wait_ms);
/* For threads that wait elsewhere between turns: a descriptor that is readable when the next turn has
 * something to do, and how long that turn may be put off otherwise: 0, milliseconds, or -1: for ever. To be
 * asked after each turn. */
int pl_loop_fd(const pl_loop *loop);
int pl_loop_wait_ms(pl_loop *loop);
bool pl_loop_is_foreign(const pl_loop *loop); /* pl_loop_new_on */
/* Calls fn(data) once, soon, from a turn's end, when nothing of the loop's is on the stack: it may free the
 * loop, unless pl_loop_run turns it. On the loop's thread; the last fn counts. */
void pl_loop_at_end(pl_loop *loop, void (*fn)(void *data), void *data);
/* Any thread, until pl_loop_free begins (later, too, through the host's mailbox). Messages of one sender
 * arrive in order. */
void pl_loop_post(pl_loop *loop, pl_message *message);
/* On h2o's loop of another program: something has come that is not the loop's own (a request to a handler of
 * h2o's), so there is a turn to end. */
void pl_loop_touch(pl_loop *loop);
/* Called after each loop turn that did something (for idle work); NULL: none. */
void pl_loop_on_turn(pl_loop *loop, void (*fn)(void *data), void *data);

/* Whoever opens a socket to somebody else, on the loop, says so: a write to it may raise SIGPIPE, which
 * loops' own threads have blocked. Where other threads turn the loop, the owner sees to that: it is told,
 * fn(data), the first time. */
void pl_loop_note_peer(pl_loop *loop);
bool pl_loop_has_peers(const pl_loop *loop); /* there has been one */
void pl_loop_on_peer(pl_loop *loop, void (*fn)(void *data), void *data);

/* The time of this turn, as pl_host.now gives it, in nanoseconds; and what the system's clock says now. For
 * what is measured: what a turn has found ready has waited since the turn began. */
uint64_t pl_loop_turn_ns(pl_loop *loop);
uint64_t pl_clock_ns(void);                     /* any thread */
uint64_t pl_loop_clock_ns(const pl_loop *loop); /* the same of the loop's own clock, if it has one */
/* Where the loop's monotonic time comes from, in nanoseconds, instead of the system; before timers are
 * started. */
void pl_loop_set_clock(pl_loop *loop, uint64_t (*clock)(void *data), void *data);

/* A descriptor of others: readable(data) is called in each turn in which it is readable. It is duplicated;
 * its owner may close it at any time. NULL: memory or descriptors. On the loop's thread. */
typedef struct pl_watch pl_watch;
pl_watch *pl_loop_watch(pl_loop *loop, int fd, void (*readable)(void *data), void *data);
void pl_watch_end(pl_watch *watch); /* before pl_loop_free, also from inside of readable; NULL is fine */

#endif
