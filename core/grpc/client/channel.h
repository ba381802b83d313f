/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_CHANNEL_H
#define PL_GRPC_CLIENT_CHANNEL_H

#include "grpc/client/settings.h"
#include "grpc/client/stats.h"
#include "grpc/stream.h"
#include "value/remote.h"

/* The gRPC clients of one worker. A *channel* is what a target stands for: its endpoints with a connection
 * (*link*) each, and the policies of its service config. Scripts hold a channel by a pl_remote; those with
 * the same key share one, whatever generation they belong to.
 *
 * Without I/O: connections and names are the io's. What is to be done comes together and is done in a turn of
 * the host's timers: so scripts are only resumed from there, and what they write leaves in one piece. */
typedef struct pl_client_set pl_client_set;
typedef struct pl_client_channel pl_client_channel;
typedef struct pl_client_link pl_client_link;

/* What a target says by itself. */
typedef struct pl_client_target {
    pl_str text;      /* for messages: without secrets */
    pl_str authority; /* of calls */
    pl_str name;      /* whom to expect with TLS */
} pl_client_target;

typedef struct pl_client_io pl_client_io;
struct pl_client_io {
    /* INVALID_ARGUMENT: there is no such kind of target. */
    pl_code (*describe)(pl_client_io *io, pl_str target, pl_arena *arena, pl_client_target *out,
                        pl_error *err);
    /* Begins to connect; pl_client_link_opened or _failed follows, not inside of this. What it returns stands
     * for the connection, until `end` or `cut`. address: as the resolver has it, NUL behind it; name: what
     * the certificate must be for where tls names nothing. NULL: memory. */
    void *(*connect)(pl_client_io *io, pl_client_link *link, pl_str address, const pl_client_tls *tls,
                     pl_str name, uint64_t timeout_ms);
    /* One piece at a time, until pl_client_link_written. The bytes become the connection's, which gives an
     * empty buffer for them. */
    void (*write)(void *connection, pl_buf *piece);
    /* No more is heard of the connection: all that was written is to be sent first, or not. */
    void (*end)(void *connection);
    void (*cut)(void *connection);
    /* Begins to resolve a target; pl_client_channel_resolved or _unresolved follow, again and again, not
     * inside of this. INVALID_ARGUMENT: there is no such kind of target. */
    pl_code (*resolve)(pl_client_io *io, pl_client_channel *channel, pl_str target, void **out,
                       pl_error *err);
    void (*resolve_again)(void *resolver); /* what is known is old */
    void (*resolve_end)(void *resolver);
};

typedef struct pl_client_set_config {
    pl_host *host; /* of the worker: time and timers */
    pl_logger *log;
    pl_client_io *io;
    uint64_t seed;
} pl_client_set_config;

pl_client_set *pl_client_set_new(const pl_client_set_config *config); /* NULL: memory */
/* Calls that are left end with CANCELLED, and nobody is told; remotes are cut off, and can only be closed. */
void pl_client_set_free(pl_client_set *set);

/* A remote for the owner (told apart by its address). local: answers calls to the target "local:", may be
 * NULL. INVALID_ARGUMENT: the options or the target. */
pl_code pl_client_set_open(pl_client_set *set, const pl_remote_config *config, pl_grpc_handler *local,
                           const void *owner, pl_remote **out, pl_error *err);
/* Cuts off all remotes of this owner, and their calls: from now on they can be closed and freed, by any
 * thread. */
void pl_client_set_leave(pl_client_set *set, const void *owner);

/* Calls fn for each channel; ids fall. */
void pl_client_set_each(const pl_client_set *set, void (*fn)(void *data, const pl_client_channel_info *info),
                        void *data);
pl_client_stats pl_client_set_stats(const pl_client_set *set);

/* --- for the io; from the loop's callbacks --- */
void pl_client_link_opened(pl_client_link *link);
void pl_client_link_failed(pl_client_link *link, const char *why); /* the connection is gone */
void pl_client_link_received(pl_client_link *link, pl_str bytes);
void pl_client_link_written(pl_client_link *link);
void pl_client_link_closed(pl_client_link *link, const char *why); /* the same */

void pl_client_channel_resolved(pl_client_channel *channel, const pl_address *addresses, size_t count);
void pl_client_channel_unresolved(pl_client_channel *channel, const char *why);

#endif
