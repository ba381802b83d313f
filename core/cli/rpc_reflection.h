/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_RPC_REFLECTION_H
#define PL_CLI_RPC_REFLECTION_H

#include "base/map.h"
#include "cli/rpc.h"

/* The client of grpc.reflection.v1 (v1alpha has the same messages). */
typedef struct rpc_reflection {
    rpc *rpc;
    rpc_call_options options;
    pl_remote_call *call; /* one for all questions; NULL: none yet */
    bool alpha;
    pl_buf request;
    pl_arena arena; /* of what follows */
    pl_map files;   /* by name; a pl_str * with the FileDescriptorProto */
} rpc_reflection;

void rpc_reflection_init(rpc_reflection *reflection, rpc *r, const rpc_call_options *options);
void rpc_reflection_dispose(rpc_reflection *reflection);
/* Adds the file of this symbol, and all that it imports, to files. NOT_FOUND; UNIMPLEMENTED: the server has
 * no reflection. */
pl_code rpc_reflection_find(rpc_reflection *reflection, pl_str symbol, pl_error *err);
/* Appends names of services, each with a newline. */
pl_code rpc_reflection_services(rpc_reflection *reflection, pl_buf *out, pl_error *err);

#endif
