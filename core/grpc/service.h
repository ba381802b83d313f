/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_SERVICE_H
#define PL_GRPC_SERVICE_H

#include "grpc/codec.h"
#include "grpc/coding.h"
#include "grpc/native.h"

/* The methods of all services of one engine state, and the calls that are in hand on it. Belongs to the
 * state's thread. Without a state: of services in C (native.h), which no generation owns. */
typedef struct pl_grpc_service pl_grpc_service;

typedef struct pl_grpc_method {
    pl_str path; /* "/user.v1.UserService/GetUser" */
    bool client_streaming, server_streaming;
    const pl_grpc_codec *codec;
    const void *input, *output; /* the codec's */
    const struct pb_method
        *descriptor; /* NULL: no .proto file describes it; then the codec is bytes, else proto */
    pl_ref function; /* (request, call) → response; with streams (call) or without a response. Kept by whoever
                        adds it */
    int arity;       /* how many arguments it looks at */
    const pl_grpc_native *native; /* instead of codec, types and function; lives as long as the service */
    void *native_data;            /* for its use */
    void **mark;                  /* pl_meter_rpc's; the service's own */
} pl_grpc_method;

typedef enum pl_grpc_compression {
    PL_GRPC_MIRROR, /* what the request was compressed with */
    PL_GRPC_NEVER,
    PL_GRPC_ALWAYS, /* the coding of the options, where the client accepts it */
} pl_grpc_compression;

typedef struct pl_grpc_options {
    size_t max_message;  /* bytes of one that comes, decompressed; 0 is 4 MiB */
    unsigned timeout_ms; /* the most that a call may take, whatever its client says; 0: no bound */
    pl_grpc_compression compression;
    pl_grpc_coding coding;
    size_t compress_from; /* bytes; 0 is 1 KiB */
    bool connect_version; /* Connect's calls must say their protocol's version */
    bool show_internal;   /* messages of unexpected errors go to clients: for development */
} pl_grpc_options;

/* Whether its .proto file says that it has no side effects (idempotency_level): so it may be called by GET.
 */
bool pl_grpc_method_is_pure(const pl_grpc_method *method);

/* state: NULL for native methods alone. interceptors: a chain (pl_engine.chain), or PL_REF_NONE. in_flight
 * counts the calls in hand; it outlives the service. NULL: memory. */
pl_grpc_service *pl_grpc_service_new(pl_state *state, const pl_grpc_options *options, pl_ref interceptors,
                                     unsigned *in_flight);
void pl_grpc_service_free(pl_grpc_service *service); /* no call may be left; NULL is fine */
/* Copied, but for what it points to. ALREADY_EXISTS: there is a method of that path; RESOURCE_EXHAUSTED. */
pl_code pl_grpc_service_add(pl_grpc_service *service, const pl_grpc_method *method);
/* Makes a method that was added reachable as its google.api.http option says, where it has one.
 * INVALID_ARGUMENT, ALREADY_EXISTS (routes.h): err says what is wrong, without the method's name;
 * RESOURCE_EXHAUSTED. */
pl_code pl_grpc_service_route(pl_grpc_service *service, pl_str path, pl_error *err);
const pl_grpc_method *pl_grpc_service_find(pl_grpc_service *service, pl_str path);
/* Whether there are methods of "user.v1.UserService". */
bool pl_grpc_service_has(const pl_grpc_service *service, pl_str name);
/* Whether a path is one of a method, or of a service that there is: "/user.v1.UserService/Nothing". */
bool pl_grpc_service_knows(const pl_grpc_service *service, pl_str path);
/* Calls fn for the name of each service that is not off, until it gives false, which is returned then. */
bool pl_grpc_service_each(const pl_grpc_service *service, bool (*fn)(void *data, pl_str name), void *data);
/* While a service is off, there is none; its calls in hand end. No effect on names that there are not. */
void pl_grpc_service_set_off(pl_grpc_service *service, pl_str name, bool off);
size_t pl_grpc_service_count(const pl_grpc_service *service); /* methods */
/* Ends all calls in hand, with UNAVAILABLE. */
void pl_grpc_service_end_calls(pl_grpc_service *service, const char *why);
/* The same for calls of native methods, behind what they have sent. */
void pl_grpc_service_finish_calls(pl_grpc_service *service, const char *why);

#endif
