/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_SETTINGS_H
#define PL_GRPC_CLIENT_SETTINGS_H

#include "base/arena.h"
#include "grpc/client/session.h"
#include "grpc/coding.h"
#include "grpc/policy/balancer.h"

/* TLS of a client's connections; paths of PEM files, ptr NULL where there is none. All end with a NUL. */
typedef struct pl_client_tls {
    bool on;
    bool unverified; /* the server's certificate is not looked at */
    pl_str ca;       /* NULL: the system's */
    pl_str certificate, key;
    pl_str server_name; /* that the certificate must be for; NULL: the target's host */
} pl_client_tls;

/* What the options of a client come to. docs/grpc-client.md has them by name; times there are seconds. */
typedef struct pl_client_settings {
    const pl_service_config *config; /* NULL: none */
    pl_balancing balancing;
    pl_backoff_config backoff;
    bool has_breaker;
    pl_breaker_config breaker;
    pl_client_session_options session;
    pl_client_tls tls;
    size_t max_request, max_response; /* bytes of a message */
    size_t compress_from;
    pl_grpc_coding coding;
    pl_str user_agent, authority; /* authority: ptr NULL: the target's */
    unsigned idle_ms;             /* without a call: connections are closed */
} pl_client_settings;

/* Reads a MAP (or ABSENT: all as it is by default); what it needs is copied to arena. INVALID_ARGUMENT names
 * the option. */
pl_code pl_client_settings_read(pl_client_settings *out, pl_arena *arena, const pl_value *options,
                                pl_error *err);

#endif
