/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_BUILTIN_H
#define PL_APP_BUILTIN_H

#include "app/channelz.h"
#include "app/health.h"
#include "app/instance.h"

/* The built-in gRPC services of a worker: health, reflection and channelz. They belong to the server and not
 * to a generation, so that a client that watches does not keep an old one; what they answer is of the live
 * one. */
typedef struct pl_builtin pl_builtin;

/* What those of a server share. Errors: RESOURCE_EXHAUSTED. */
typedef struct pl_builtin_hub {
    pl_health_hub *health;
    struct pb_pool *protos; /* the services' own descriptors */
    pl_channelz_hub *channelz;
} pl_builtin_hub;
pl_builtin_hub *pl_builtin_hub_new(pl_error *err);
void pl_builtin_hub_free(pl_builtin_hub *hub); /* outlives the workers; NULL is fine */

pl_builtin *pl_builtin_new(pl_loop *loop, pl_builtin_hub *hub, pl_error *err); /* RESOURCE_EXHAUSTED */
/* For pl_grpc_server_set_native. */
pl_grpc_service *pl_builtin_service(pl_builtin *builtin);
/* What channelz tells of; before it goes: NULL. */
void pl_builtin_set_endpoint(pl_builtin *builtin, pl_grpc_endpoint *endpoint, pl_grpc_clients *clients);
/* The instance is live from now on, with its settings. */
void pl_builtin_adopt(pl_builtin *builtin, const pl_instance *instance);
/* The server ends: nothing is serving any more, watchers are told so, and calls end. */
void pl_builtin_drain(pl_builtin *builtin);
/* Before pl_loop_free; the rest after it, when no stream is left. NULL is fine for both. */
void pl_builtin_leave(pl_builtin *builtin);
void pl_builtin_free(pl_builtin *builtin);

#endif
