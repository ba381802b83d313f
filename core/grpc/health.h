/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_HEALTH_H
#define PL_GRPC_HEALTH_H

#include "grpc/service.h"

/* grpc.health.v1.Health of one worker: answers from what its source says, and tells watchers of each change.
 * A watcher that is slow gets the last state only. */
typedef struct pl_grpc_health pl_grpc_health;

typedef enum pl_health { /* as on the wire */
                         PL_HEALTH_UNKNOWN = 0,
                         PL_HEALTH_SERVING = 1,
                         PL_HEALTH_NOT_SERVING = 2,
                         PL_HEALTH_SERVICE_UNKNOWN = 3,
} pl_health;

typedef struct pl_grpc_health_source {
    /* "" is the server as a whole; SERVICE_UNKNOWN: there is no such service. */
    pl_health (*status)(void *data, pl_str service);
    /* Calls add for each one there is, "" too, until it gives false. */
    void (*each)(void *data, bool (*add)(void *arg, pl_str name, pl_health status), void *arg);
    void *data;
} pl_grpc_health_source;

#define PL_GRPC_HEALTH "grpc.health.v1.Health"

/* max_watchers: streams of Watch at once; more are refused with RESOURCE_EXHAUSTED. 0 is 1000. NULL: memory.
 */
pl_grpc_health *pl_grpc_health_new(const pl_grpc_health_source *source, unsigned max_watchers);
void pl_grpc_health_free(pl_grpc_health *health); /* no call may be left; NULL is fine */
/* Adds the methods. Errors: RESOURCE_EXHAUSTED. */
pl_code pl_grpc_health_add(pl_grpc_health *health, pl_grpc_service *service);
/* Something may have changed: watchers are told of what has. */
void pl_grpc_health_changed(pl_grpc_health *health);

#endif
