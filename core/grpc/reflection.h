/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_REFLECTION_H
#define PL_GRPC_REFLECTION_H

#include "grpc/service.h"
#include "proto/pool.h"

/* grpc.reflection.v1.ServerReflection and its v1alpha, which differ by name only: tells clients what services
 * there are, and gives them the descriptors. Each request of a stream is answered from what its source says
 * at that moment. */

#define PL_GRPC_REFLECTION "grpc.reflection.v1.ServerReflection"
#define PL_GRPC_REFLECTION_ALPHA "grpc.reflection.v1alpha.ServerReflection"
#define PL_GRPC_REFLECTION_POOLS 2

typedef struct pl_grpc_reflection {
    /* Where to look for descriptors, the first that has something wins; gives how many there are. They stay
     * until the loop's turn ends. */
    size_t (*pools)(void *data, const pb_pool *out[PL_GRPC_REFLECTION_POOLS]);
    /* Calls add for each service that is served, until it gives false. Those without a descriptor are left
     * out of lists by the caller. */
    void (*each)(void *data, bool (*add)(void *arg, pl_str service), void *arg);
    void *data;
} pl_grpc_reflection;

/* Adds the methods of both; reflection lives as long as the service. Errors: RESOURCE_EXHAUSTED. */
pl_code pl_grpc_reflection_add(pl_grpc_service *service, pl_grpc_reflection *reflection);

/* The response to one request, appended to out. Errors: INTERNAL (bytes are no request),
 * RESOURCE_EXHAUSTED. */
pl_code pl_grpc_reflection_answer(const pl_grpc_reflection *reflection, pl_str bytes, pl_buf *out,
                                  pl_error *err);

#endif
