/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_STATS_H
#define PL_GRPC_CLIENT_STATS_H

#include <stdint.h>

#include "base/str.h"

/* Of the gRPC clients of a worker. */
typedef struct pl_client_stats {
    unsigned channels, connections, calls; /* now */
    uint64_t calls_total, failed_total, attempts_total, connected_total, connect_failed_total;
} pl_client_stats;

/* A channel, for channelz. Times are the host's; 0: never. */
typedef struct pl_client_channel_info {
    uint64_t id; /* counted from 1: of no other channel of the set, ever */
    pl_str target;
    int state;      /* pl_connectivity of grpc/policy/balancer.h */
    unsigned calls; /* in hand */
    uint64_t calls_total, failed_total, last_call_at;
} pl_client_channel_info;

#endif
