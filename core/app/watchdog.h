/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_WATCHDOG_H
#define PL_APP_WATCHDOG_H

#include "value/engine.h"

/* A thread that looks at every engine state about every 10 ms (pl_engine.watch), so that a script that
 * overruns is stopped. Functions from any thread. */
typedef struct pl_watchdog pl_watchdog;
pl_watchdog *pl_watchdog_new(void);                              /* NULL: memory or threads */
void pl_watchdog_free(pl_watchdog *watchdog);                    /* NULL is fine */
bool pl_watchdog_add(pl_watchdog *watchdog, pl_state *state);    /* false: memory */
void pl_watchdog_remove(pl_watchdog *watchdog, pl_state *state); /* after this, the state is not looked at */

#endif
