/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_SESSION_H
#define PL_GRPC_SESSION_H

#include "base/error.h"
#include "grpc/stream.h"

/* One HTTP/2 connection of a server, without I/O: it is given the bytes that come and says which are to be
 * sent. All calls of nghttp2 are below here.
 *
 * What protects against what:
 * - a peer that takes nothing: what waits to be sent is bounded for each stream (by its calls, which wait),
 * and `pl_grpc_session_is_stuffed` says when no more should be read from it.
 * - a peer that sends more than is read: its windows. That of a stream is given back as its call takes, that
 * of the connection at once, so that a slow call does not hold up others.
 * - too many calls: max_streams, more are refused with REFUSED_STREAM and do no harm to others.
 * - large or endless header blocks: max_headers for what is kept, eight times as much for what is looked at;
 *   CONTINUATION frames are counted; a block must be whole within handshake_ms.
 * - floods: resets (of either side), PING and SETTINGS, and frames that move nothing forward are counted;
 * what is too much ends the connection with ENHANCE_YOUR_CALM.
 * - a peer that is gone: PINGs of ours, after keepalive_ms without a sign of life. */
typedef struct pl_grpc_session pl_grpc_session;

/* Times in milliseconds; 0 means never (or as it says). */
typedef struct pl_grpc_session_options {
    uint32_t max_streams;          /* calls at once; 0 is 100 */
    uint32_t stream_window;        /* bytes that may come and not be taken; 0 is 256 KiB */
    uint32_t connection_window;    /* 0 is 1 MiB */
    size_t max_headers;            /* bytes of names and values, and 32 for each; 0 is 16 KiB */
    uint32_t max_resets;           /* streams reset by either side, a second; 0 is 200 */
    unsigned handshake_ms;         /* for the preface, and for a header block; 0 is 10 s */
    unsigned keepalive_ms;         /* silence after which the peer is pinged */
    unsigned keepalive_timeout_ms; /* for its answer; 0 is 20 s */
    unsigned ping_interval_ms;     /* how often the peer may ping while nothing is sent to it */
    bool ping_with_calls_only;     /* it may ping so only while it has calls */
    unsigned idle_ms;              /* without a call: the connection is drained */
    unsigned age_ms;               /* the same for its age, more or less a tenth */
    unsigned age_grace_ms;         /* then: for its calls to end */
} pl_grpc_session_options;

/* Streams with their buffers, to be used again: for the sessions of one thread. */
typedef struct pl_grpc_streams pl_grpc_streams;
pl_grpc_streams *pl_grpc_streams_new(unsigned most); /* NULL: memory */
void pl_grpc_streams_free(pl_grpc_streams *streams); /* no session may be left */

typedef struct pl_grpc_session_config {
    const pl_grpc_session_options *options; /* copied */
    pl_grpc_streams *streams;
    pl_grpc_handler *handler;
    pl_str peer; /* of all its streams; lives as long as the session */
    const pl_peer_certificate *certificate;
    bool secure;
    uint64_t now;
    uint32_t random;          /* for the jitter of the age */
    void (*wake)(void *data); /* there is something to send; not called inside of the functions below */
    void *data;
} pl_grpc_session_config;

pl_grpc_session *pl_grpc_session_new(const pl_grpc_session_config *config, pl_error *err);
/* Its streams are closed first. Not inside of a callback. NULL is fine. */
void pl_grpc_session_free(pl_grpc_session *session);

/* Bytes that have come. Calls handler and events. */
void pl_grpc_session_receive(pl_grpc_session *session, pl_str bytes, uint64_t now);
/* Appends what is to be sent, until there are `most` bytes of it or a little more. Calls events. False: out
 * of memory, or the session is broken: the connection is to be cut. */
bool pl_grpc_session_send(pl_grpc_session *session, pl_buf *out, size_t most, uint64_t now);
/* So much waits to be sent that nothing more should be read. */
bool pl_grpc_session_is_stuffed(const pl_grpc_session *session);

typedef enum pl_grpc_session_state {
    PL_GRPC_SESSION_OPEN,
    PL_GRPC_SESSION_DONE,  /* when all is sent, the connection is to be closed */
    PL_GRPC_SESSION_BROKEN /* it is to be cut at once */
} pl_grpc_session_state;
pl_grpc_session_state pl_grpc_session_get_state(const pl_grpc_session *session);

/* What the peer did that has ended the session, for the log; NULL: nothing. hostile: it floods. */
const char *pl_grpc_session_fault(const pl_grpc_session *session, bool *hostile);

/* Time passes: what is due is done. Returns when to call again; UINT64_MAX: never. */
uint64_t pl_grpc_session_tick(pl_grpc_session *session, uint64_t now);
/* No new calls: GOAWAY with the highest id and a PING, and when that is answered GOAWAY with the last one
 * that is served. The session is DONE when its calls have ended. */
void pl_grpc_session_drain(pl_grpc_session *session, uint64_t now);

typedef struct pl_grpc_session_stats {
    unsigned streams;
    uint64_t begun, refused;
    uint64_t succeeded, failed; /* whether all of the answer was sent */
    uint64_t keepalives;        /* pings sent */
    uint64_t begun_at;          /* when a stream last was; 0: never. Times are as given to the functions */
    pl_grpc_traffic traffic;
    int32_t local_window, remote_window; /* of the connection: bytes that may come, and go */
} pl_grpc_session_stats;
pl_grpc_session_stats pl_grpc_session_get_stats(const pl_grpc_session *session);

#endif
