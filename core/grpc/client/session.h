/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_SESSION_H
#define PL_GRPC_CLIENT_SESSION_H

#include "base/error.h"
#include "grpc/client/stream.h"

/* One HTTP/2 connection of a client, without I/O: it is given the bytes that come and says which are to be
 * sent. Streams beyond what the server takes at once wait here for their turn.
 *
 * What protects against what:
 * - a server that does not read: what waits to be sent is bounded for each stream, by its call;
 * - a server that sends more than is taken: the windows, of which that of a stream is given back as its call
 *   takes, and that of the connection at once;
 * - endless header blocks: max_headers for what is kept, eight times as much for what is looked at;
 * - a server that never answers: handshake_ms for its SETTINGS, then PINGs after keepalive_ms of silence;
 * - frames that move nothing forward: they are counted, too many end the connection. */
typedef struct pl_client_session pl_client_session;

/* Times in milliseconds; 0 means never (or as it says). */
typedef struct pl_client_session_options {
    uint32_t stream_window;        /* bytes that may come and not be taken; 0 is 256 KiB */
    uint32_t connection_window;    /* 0 is 1 MiB */
    size_t max_headers;            /* bytes of names and values, and 32 for each; 0 is 16 KiB */
    unsigned handshake_ms;         /* until the server's SETTINGS are there; 0 is 20 s */
    unsigned keepalive_ms;         /* silence after which the server is pinged */
    unsigned keepalive_timeout_ms; /* for its answer; 0 is 20 s */
    bool ping_without_calls;       /* otherwise only while there are calls */
} pl_client_session_options;

/* Streams with their buffers, to be used again: for the sessions of one thread. */
typedef struct pl_client_streams pl_client_streams;
pl_client_streams *pl_client_streams_new(unsigned most); /* NULL: memory */
void pl_client_streams_free(pl_client_streams *streams); /* no session may be left; NULL is fine */

typedef struct pl_client_session_config {
    const pl_client_session_options *options; /* copied */
    pl_client_streams *streams;
    uint64_t now;
    void (*wake)(void *data); /* there is something to send; not called inside of the functions below */
    void *data;
} pl_client_session_config;

pl_client_session *pl_client_session_new(const pl_client_session_config *config, pl_error *err);
/* Streams that are left are closed first, as LOST; why: a sentence. Not inside of a callback. NULL is fine.
 */
void pl_client_session_free(pl_client_session *session, const char *why);

/* A stream for a request with these headers, the pseudo-headers first; all are copied. NULL: memory, or the
 * session takes no more. No event comes before this returns. */
pl_client_stream *pl_client_session_start(pl_client_session *session, const pl_header *headers, size_t count,
                                          const pl_client_stream_events *events, void *call);

/* Bytes that have come. Calls events. */
void pl_client_session_receive(pl_client_session *session, pl_str bytes, uint64_t now);
/* Appends what is to be sent, until there are `most` bytes of it or a little more. Calls events. */
void pl_client_session_send(pl_client_session *session, pl_buf *out, size_t most, uint64_t now);
/* Time passes: what is due is done. Returns when to call again; UINT64_MAX: never. */
uint64_t pl_client_session_tick(pl_client_session *session, uint64_t now);
/* No new streams; it is DONE when those there are have ended. */
void pl_client_session_drain(pl_client_session *session);

typedef enum pl_client_session_state {
    PL_CLIENT_SESSION_GREETING, /* the server has not sent its SETTINGS yet; streams may be started */
    PL_CLIENT_SESSION_OPEN,
    PL_CLIENT_SESSION_DRAINING, /* the streams that there are go on; no new ones */
    PL_CLIENT_SESSION_DONE,     /* when all is sent, the connection is to be closed */
    PL_CLIENT_SESSION_BROKEN,   /* it is to be cut at once: see pl_client_session_why */
} pl_client_session_state;
pl_client_session_state pl_client_session_get_state(const pl_client_session *session);
/* Why it takes no more streams: "the server is going away (NO_ERROR)"; "" as long as it does. */
const char *pl_client_session_why(const pl_client_session *session);
/* It was told that it pings too often (GOAWAY with ENHANCE_YOUR_CALM "too_many_pings"). */
bool pl_client_session_pings_too_often(const pl_client_session *session);

#endif
