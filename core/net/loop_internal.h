/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_LOOP_INTERNAL_H
#define PL_NET_LOOP_INTERNAL_H

/* What the files of net/ share about a loop. */

#include "net/h2o_version.h"
#include "net/loop.h"

h2o_loop_t *pl_loop_h2o(pl_loop *loop);
/* To be called after writing to sockets outside of h2o's callbacks, before h2o's loop turns again;
 * pl_loop_run does. */
void pl_loop_run_callbacks(pl_loop *loop);
/* OK when this many descriptors can be had. h2o ends the process when it cannot open one, so this is asked
 * before its objects are made. */
pl_code pl_descriptors_left(unsigned count, pl_error *err);

/* Helpers are kept by their owner and by each loop that uses them. */
void pl_helpers_keep(pl_helpers *helpers);
void pl_helpers_drop(pl_helpers *helpers);
/* 0, or -1 as pl_host.offload. *pending counts the loop's jobs that helpers have; they change it under their
 * lock. */
int pl_helpers_submit(pl_helpers *helpers, pl_loop *loop, unsigned *pending, pl_job *job, const void *lane);
/* Returns when *pending is 0, and no helper will touch the loop any more. */
void pl_helpers_wait(pl_helpers *helpers, const unsigned *pending);

#endif
