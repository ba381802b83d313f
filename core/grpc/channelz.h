/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CHANNELZ_H
#define PL_GRPC_CHANNELZ_H

#include "grpc/service.h"
#include "grpc/session.h"

/* grpc.channelz.v1.Channelz: what the server is made of, with counters. The data is that of all workers, so a
 * source is asked for it, and answers later.
 *
 * Ids are given by the source: 1 is the server, 2 and 3 what it listens on, others are connections. */

#define PL_GRPC_CHANNELZ "grpc.channelz.v1.Channelz"
#define PL_GRPC_CHANNELZ_SERVER 1
#define PL_GRPC_CHANNELZ_LISTENER 2 /* and the next: plain, and TLS */
#define PL_GRPC_CHANNELZ_MOST 1000  /* entries of a page */

typedef enum pl_grpc_channelz_kind {
    PL_GRPC_CHANNELZ_COUNTERS, /* those of the server, which are always given */
    PL_GRPC_CHANNELZ_SOCKETS,  /* and its connections */
    PL_GRPC_CHANNELZ_CHANNELS, /* or the channels of its clients */
} pl_grpc_channelz_kind;

typedef struct pl_grpc_channelz_query {
    pl_grpc_channelz_kind kind;
    uint64_t first, last; /* their ids */
    size_t most;          /* of them: those with the lowest ids */
} pl_grpc_channelz_query;

/* A connection. Times in milliseconds since 1970; 0: never. */
typedef struct pl_grpc_channelz_socket {
    uint64_t id;
    char local[128], remote[64], cipher[64]; /* cipher "": no TLS */
    pl_grpc_session_stats stats;
} pl_grpc_channelz_socket;

typedef struct pl_grpc_channelz_channel {
    uint64_t id;
    char target[256];
    int state; /* as on the wire */
    uint64_t calls, succeeded, failed, last_call_at;
} pl_grpc_channelz_channel;

typedef struct pl_grpc_channelz_result {
    bool failed; /* no memory */
    uint64_t calls, succeeded, failures, last_call_at;
    const char *listeners[2];               /* addresses; NULL: none */
    const pl_grpc_channelz_socket *sockets; /* of the kind that was asked for: by id */
    const pl_grpc_channelz_channel *channels;
    size_t count;
    bool more; /* there are others beyond those */
} pl_grpc_channelz_result;

typedef struct pl_grpc_channelz_source {
    /* Gives the question's mark, for forget; calls pl_grpc_channelz_answer once, not from inside, unless it
     * is forgotten before. NULL: memory. */
    void *(*ask)(void *data, const pl_grpc_channelz_query *query, pl_grpc_call *call);
    void (*forget)(void *data, void *mark);
    void *data;
} pl_grpc_channelz_source;

/* Adds the methods; source lives as long as the service. Errors: RESOURCE_EXHAUSTED. */
pl_code pl_grpc_channelz_add(pl_grpc_service *service, pl_grpc_channelz_source *source);
/* The source knows; result and what it points to need not stay. */
void pl_grpc_channelz_answer(pl_grpc_call *call, const pl_grpc_channelz_result *result);

#endif
