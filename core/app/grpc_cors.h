/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRPC_CORS_H
#define PL_APP_GRPC_CORS_H

#include "grpc/stream.h"
#include "net/edge.h"

/* Cross-origin requests on the gRPC port, where gRPC-Web and Connect may come from browsers, too. Answers a
 * preflight (then true), and gives the answers to others the headers that they need. */
bool pl_grpc_cors(const pl_cors *cors, pl_grpc_stream *stream);

#endif
