/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_SESSION_INTERNAL_H
#define PL_GRPC_CLIENT_SESSION_INTERNAL_H

/* What the files of a client's session share: session.c (life, and what comes) and session_send.c (what
 * goes). */

#include "grpc/client/session.h"
#include "grpc/http2.h"

typedef struct hc_stream hc_stream;
struct hc_stream {
    pl_client_stream base; /* first */
    pl_client_session *session;
    hc_stream *prev, *next; /* of the session's; or (next only) in the pool */
    int32_t id;
    size_t header_size;
    bool sent;     /* the request has left */
    bool answered; /* the final headers have come */
    bool ended;    /* the peer has ended its answer */
    bool deferred; /* nghttp2 waits for more bytes */
    bool finished; /* nothing will be appended */
    bool dead;     /* nobody listens */
    bool noted;    /* in the session's list of those that can be written to */
    hc_stream *next_noted;
};

struct pl_client_streams {
    hc_stream *free;
    unsigned count, most;
};

struct pl_client_session {
    pl_client_session_options options;
    pl_client_streams *pool;
    void (*wake)(void *data);
    void *data;
    nghttp2_session *h2;
    hc_stream *streams;
    unsigned stream_count;
    hc_stream *noted;
    pl_buf *out; /* where send writes to, while it does */
    bool inside; /* of receive, send or tick: whoever called will send what comes of it */
    bool greeted, draining, closing, broken;
    bool too_many_pings;
    char why[256];
    uint64_t now, began_at, heard_at;
    uint64_t block_since; /* since when a header block has been coming; 0: none */
    uint64_t ping_at;     /* our PING that was not answered; 0: none */
    pl_http2_noise noise;
};

/* session.c */
void hc_break(pl_client_session *session, const char *why);
void hc_wake(pl_client_session *session);
hc_stream *hc_take(pl_client_session *session);
void hc_forget(hc_stream *s);

/* session_send.c */
extern const pl_client_stream_ops hc_stream_ops;
void hc_send_callbacks(nghttp2_session_callbacks *callbacks);

#endif
