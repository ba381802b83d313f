/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_RPC_H
#define PL_CLI_RPC_H

#include "net/loop.h"
#include "value/remote.h"

/* A gRPC client for commands: a loop that turns while somebody waits. */
typedef struct rpc rpc;

typedef struct rpc_options {
    const char *target;
    bool tls;
    const char *ca, *certificate, *key, *server_name; /* or NULL */
    bool insecure;
    const char *authority, *compression, *user_agent; /* or NULL */
    unsigned connect_timeout_s;                       /* 0: the client's */
} rpc_options;

rpc *rpc_open(const rpc_options *options, pl_error *err);
void rpc_close(rpc *r); /* NULL is fine */
pl_host *rpc_host(rpc *r);

typedef struct rpc_call_options {
    const char *path;
    const pl_header *metadata;
    size_t metadata_count;
    uint64_t timeout_ms; /* 0: none */
} rpc_call_options;
/* To be ended with call->ops->free. INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
pl_code rpc_start(rpc *r, const rpc_call_options *options, pl_remote_call **out, pl_error *err);
/* Turns until one of the calls changes, or rpc_wake. */
void rpc_wait(rpc *r);
void rpc_wake(rpc *r);
/* The next message; false: the call has ended. */
bool rpc_receive(rpc *r, pl_remote_call *call, pl_str *message);

#endif
