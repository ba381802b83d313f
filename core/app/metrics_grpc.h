/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_METRICS_GRPC_H
#define PL_APP_METRICS_GRPC_H

#include "app/metrics.h"
#include "value/meter.h"

/* gRPC calls, served and made, for pl_metrics. */
typedef struct pl_metrics_grpc pl_metrics_grpc;

pl_metrics_grpc *pl_metrics_grpc_new(pl_metrics *metrics); /* NULL: memory */
void pl_metrics_grpc_free(pl_metrics_grpc *grpc);          /* NULL is fine */
void pl_metrics_grpc_served(pl_metrics_grpc *grpc, const pl_meter_rpc *rpc, pl_code code, double seconds);
void pl_metrics_grpc_called(pl_metrics_grpc *grpc, pl_str path, pl_code code, double seconds);

#endif
