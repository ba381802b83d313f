/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_RPC_SCHEMA_H
#define PL_CLI_RPC_SCHEMA_H

#include "cli/rpc.h"
#include "proto/pool.h"

/* Where a command gets descriptors from: the server itself, by reflection (v1, or v1alpha where it does not
 * have that), .proto files (compiled by protoc), or descriptor sets. */
typedef struct rpc_schema_options {
    const char *const *protos;  /* files; ends with NULL */
    const char *const *folders; /* for imports; ends with NULL */
    const char *const *sets;    /* ends with NULL */
    const pl_header *metadata;  /* of reflection's calls */
    size_t metadata_count;
    uint64_t timeout_ms;
} rpc_schema_options;

typedef struct rpc_schema rpc_schema;
/* Reads the files, if there are any. r is for reflection, and is asked when it is needed. */
rpc_schema *rpc_schema_new(rpc *r, const rpc_schema_options *options, pl_error *err);
void rpc_schema_free(rpc_schema *schema); /* NULL is fine */

/* A pool that has this symbol ("user.v1.UserService"), and all that it needs; the schema's. NOT_FOUND, and
 * what reflection gives. */
pl_code rpc_schema_find(rpc_schema *schema, pl_str symbol, const pb_pool **out, pl_error *err);
/* The full names of all services, one a line, in order. */
pl_code rpc_schema_services(rpc_schema *schema, pl_buf *out, pl_error *err);

#endif
