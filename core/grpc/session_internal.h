/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_SESSION_INTERNAL_H
#define PL_GRPC_SESSION_INTERNAL_H

/* What the files of a session share: session.c (life, and what comes), session_send.c (what goes),
 * session_time.c (what takes too long, floods, draining) and session_memory.c (nghttp2's memory). */

#include "base/slab.h"
#include "grpc/http2.h"
#include "grpc/session.h"

typedef struct h2_stream h2_stream;
struct h2_stream {
    pl_grpc_stream base; /* first */
    pl_grpc_session *session;
    h2_stream *prev, *next; /* of the session's; or (next only) in the pool */
    int32_t id;
    size_t header_size;
    bool ready;     /* its headers are whole: the handler has been told */
    bool answered;  /* the answer has begun */
    bool alone;     /* and is nothing but headers */
    bool deferred;  /* nghttp2 waits for more bytes */
    bool finished;  /* the answer's end is known */
    bool trailed;   /* nghttp2 has the trailers */
    bool peer_done; /* the peer has ended its request */
    bool dead;      /* reset by us: what still comes does not count */
    bool noted;     /* in the session's list of those that can be written to */
    h2_stream *next_noted;
    const pl_header *trailers;
    size_t trailer_count;
};

struct pl_grpc_streams {
    h2_stream *free;
    unsigned count, most;
    pl_slab slab;  /* nghttp2's objects, of all sessions */
    void *reserve; /* H2_RESERVE bytes for the next session that has none, see mem_realloc; NULL: used up */
};
#define H2_RESERVE ((size_t)64 << 10)

typedef enum drain_step { DRAIN_NOT, DRAIN_ANNOUNCED, DRAIN_SAID } drain_step;

struct pl_grpc_session {
    pl_grpc_session_options options;
    pl_grpc_streams *pool;
    pl_grpc_handler *handler;
    pl_str peer;
    const pl_peer_certificate *certificate;
    bool secure;
    void (*wake)(void *data);
    void *data;
    nghttp2_session *h2;
    h2_stream *streams; /* all that nghttp2 has open */
    h2_stream *recent;  /* of these, the one that was found last; NULL: it has gone */
    unsigned stream_count;
    uint64_t begun, refused, succeeded, failed, keepalives;
    uint64_t begun_at;
    pl_grpc_traffic traffic;
    h2_stream *noted; /* those whose events->writable is due */
    pl_buf *out;      /* where send writes to, while it does */
    bool inside;      /* of receive, send or tick: whoever called will send what comes of it */
    bool broken, closing;
    const char *fault; /* static: what the peer has done wrong, when that ends the session */
    bool hostile;
    bool settings_sent;
    char opening[24]; /* what came first: is it HTTP/2? Nothing is sent before that is known */
    size_t opening_len;
    bool stranger;     /* it is not */
    pl_str last_words; /* for a peer that speaks something else */

    /* session_time.c */
    uint64_t now;
    uint64_t began_at, heard_at; /* when something last came */
    bool greeted;                /* the peer's SETTINGS have come */
    uint64_t block_since;        /* since when a header block has been coming; 0: none */
    uint64_t ping_at;            /* our keepalive PING that was not answered; 0: none */
    uint64_t idle_since;         /* without a stream; 0: there is one */
    uint64_t age_at, grace_at;   /* when it is old, and when too old; UINT64_MAX: never */
    drain_step drain;
    uint64_t drain_at; /* ANNOUNCED: when not to wait for the answer any longer */
    uint64_t pinged_at;
    unsigned ping_strikes;
    bool sent_since_ping;
    pl_http2_noise noise;
    double resets; /* what is left of them */
    uint64_t resets_at;
};

/* session.c */
/* The stream of a frame; NULL: it was refused, or has gone. */
h2_stream *h2_find(pl_grpc_session *session, int32_t id);

/* session_memory.c */
nghttp2_mem h2_memory(pl_grpc_session *session);
/* Whether there is a reserve, if need be again. */
bool h2_reserve(pl_grpc_streams *pool);
void h2_reserve_free(pl_grpc_streams *pool);

/* session_send.c */
extern const pl_grpc_stream_ops h2_stream_ops;
void h2_send_callbacks(nghttp2_session_callbacks *callbacks);

/* session_time.c */
/* They end the session when it is flooded. */
void h2_guard_frame(pl_grpc_session *session, const nghttp2_frame_hd *frame);
void h2_guard_bytes(pl_grpc_session *session, size_t received);
void h2_guard_reset(pl_grpc_session *session);
void h2_guard_refused(pl_grpc_session *session);
void h2_guard_ping(pl_grpc_session *session);
void h2_ping_answered(pl_grpc_session *session, const uint8_t *opaque);
/* GOAWAY with an error; when it is sent, the connection ends. */
void h2_say_goodbye(pl_grpc_session *session, uint32_t error, const char *why);
void h2_stream_count_changed(pl_grpc_session *session);

#endif
