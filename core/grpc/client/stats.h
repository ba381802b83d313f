/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_STATS_H
#define PL_GRPC_CLIENT_STATS_H

#include <stdint.h>

/* Of the gRPC clients of a worker. */
typedef struct pl_client_stats {
    unsigned channels, connections, calls; /* now */
    uint64_t calls_total, failed_total, attempts_total, connected_total, connect_failed_total;
} pl_client_stats;

#endif
