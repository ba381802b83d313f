/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_HEALTH_H
#define PL_APP_HEALTH_H

#include "grpc/health.h"
#include "net/loop.h"

/* What scripts have said about services' health: of a server, for all its workers and generations. It stays
 * until something else is said, as a database that is down does not come back by a reload. Thread-safe. */
typedef struct pl_health_hub pl_health_hub;

#define PL_HEALTH_MOST_NAMES 1000
#define PL_HEALTH_MOST_NAME 256 /* bytes */

pl_health_hub *pl_health_hub_new(void);      /* NULL: memory */
void pl_health_hub_free(pl_health_hub *hub); /* all observers have left; NULL is fine */

/* status: SERVING, NOT_SERVING, or UNKNOWN: nothing any more. Observers hear of it soon. Errors:
 * INVALID_ARGUMENT (the name is no text, or too long), RESOURCE_EXHAUSTED (memory, or too many names). */
pl_code pl_health_hub_set(pl_health_hub *hub, pl_str service, pl_health status, pl_error *err);
pl_health pl_health_hub_get(pl_health_hub *hub, pl_str service); /* UNKNOWN: nothing was said */
/* Calls fn for each name, under the hub's lock, until it gives false, which is returned then. */
bool pl_health_hub_each(pl_health_hub *hub, bool (*fn)(void *data, pl_str name, pl_health status),
                        void *data);

/* Is told of changes on its loop's thread; several in a turn are one. */
typedef struct pl_health_observer pl_health_observer;
struct pl_health_observer {
    void (*changed)(void *data);
    void *data;
    /* The hub's. */
    pl_health_hub *hub;
    pl_loop *loop;
    pl_message message;
    bool posted;
    pl_health_observer *next;
};
void pl_health_hub_join(pl_health_hub *hub, pl_health_observer *observer, pl_loop *loop);
/* Before pl_loop_free; the observer's memory stays until after it. Twice is fine. */
void pl_health_hub_leave(pl_health_observer *observer);

#endif
