/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_METER_H
#define PL_VALUE_METER_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Who counts what a worker does (pl_host.meter). It is told of things when they are over; where they go is
 * its own affair. */
typedef struct pl_meter pl_meter;

#define PL_METER_CODES 17 /* of pl_code */

/* A procedure that is served. */
typedef struct pl_meter_rpc {
    pl_str path; /* "/user.v1.UserService/GetUser"; ptr NULL: of none that there is */
    bool client_streaming, server_streaming;
    void **mark; /* the meter's, NULL to begin with; lives as long as the procedure. NULL: there is none */
} pl_meter_rpc;

struct pl_meter {
    struct pl_stats *stats; /* the registry, for families of scripts */
    /* The time, in nanoseconds, that something began at which begins now. */
    uint64_t (*now)(pl_meter *meter);
    void (*rpc_served)(pl_meter *meter, const pl_meter_rpc *rpc, pl_code code, uint64_t began);
    void (*rpc_called)(pl_meter *meter, pl_str path, pl_code code, uint64_t began);
    uint64_t graphql_errors[PL_METER_CODES]; /* that fields have met */
};

#endif
