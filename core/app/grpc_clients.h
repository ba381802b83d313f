/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRPC_CLIENTS_H
#define PL_APP_GRPC_CLIENTS_H

#include "app/instance.h"
#include "grpc/client/stats.h"
#include "net/loop.h"
#include "value/remote.h"

/* The gRPC clients of a worker: their channels (grpc/client/channel.h) on connections of its loop. They
 * outlive generations: what a reload leaves as it is stays connected. */
typedef struct pl_grpc_clients pl_grpc_clients;

pl_grpc_clients *pl_grpc_clients_new(pl_loop *loop, pl_logger *log, pl_error *err);
/* Before the loop, and while the states of its remotes are there. NULL is fine. */
void pl_grpc_clients_free(pl_grpc_clients *clients);

/* For pl_host_ops.remote of the instance's host. */
pl_code pl_grpc_clients_open(pl_grpc_clients *clients, pl_instance *instance, const pl_remote_config *config,
                             pl_remote **out, pl_error *err);
/* The instance leaves the worker. */
void pl_grpc_clients_leave(pl_grpc_clients *clients, pl_instance *instance);
/* Calls fn for each channel; ids fall. */
void pl_grpc_clients_each(const pl_grpc_clients *clients,
                          void (*fn)(void *data, const pl_client_channel_info *info), void *data);
pl_client_stats pl_grpc_clients_stats(const pl_grpc_clients *clients);

#endif
