/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCHEDULE_H
#define PL_APP_SCHEDULE_H

#include "app/instance.h"

/* The named timers of a bundle (app.lua, timers): owned here, not by scripts, so that a reload goes on with a
 * timer of the same name at the time it was due, with the new code; starts those that are new and ends those
 * that are gone. One worker runs them. A timer whose last run is not over is not started again. One that is
 * built in is also run when somebody publishes an event with its name, at once, or after the run in hand;
 * when a newer generation has come, that run has two seconds left. */
typedef struct pl_schedule pl_schedule;

struct pl_pubsub;
pl_schedule *pl_schedule_new(pl_host *host, struct pl_pubsub *pubsub, pl_logger *log); /* NULL: memory */
void pl_schedule_adopt(pl_schedule *schedule, pl_instance *instance);
/* Cancels runs that began on instance. */
void pl_schedule_cancel(pl_schedule *schedule, pl_instance *instance);
void pl_schedule_stop(pl_schedule *schedule); /* fires no more; runs in hand go on */
void pl_schedule_free(pl_schedule *schedule); /* cancels what runs */

#endif
