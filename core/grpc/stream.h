/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_STREAM_H
#define PL_GRPC_STREAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "grpc/message.h"
#include "grpc/metadata.h"

/* What carries one call, whatever it is made of (an HTTP/2 stream of a session, session.h): a request with
 * its headers, bytes both ways, and an answer that ends with trailers.
 *
 *   carrier: pl_grpc_handler.request → the call sets events → data… end … closed
 *   call:    respond → (append to out, flush)… → finish, or reset
 *
 * The carrier owns it and all that hangs on its arena; it goes when `closed` has returned. None of the
 * functions here calls into scripts, and none of ops calls back into events. */
typedef struct pl_grpc_stream pl_grpc_stream;

/* Messages of all streams of a carrier; times are the host's, 0: never. */
typedef struct pl_grpc_traffic {
    uint64_t sent, received;
    uint64_t sent_at, received_at;
} pl_grpc_traffic;

typedef struct pl_grpc_stream_ops {
    /* Begins the answer; alone: there is nothing else (Trailers-Only). The strings may go when it returns. */
    void (*respond)(pl_grpc_stream *stream, int status, const pl_header *headers, size_t count, bool alone);
    /* Bytes have been appended to stream->out. */
    void (*flush)(pl_grpc_stream *stream);
    /* Behind what stands in out, the answer ends with these (count 0: without trailers); they live as long as
     * the arena. After the answer the peer is told to stop, if it has not ended its request. */
    void (*finish)(pl_grpc_stream *stream, const pl_header *trailers, size_t count);
    void (*reset)(pl_grpc_stream *stream, uint32_t error);
    /* The peer may send so many bytes more: as many were taken. */
    void (*consumed)(pl_grpc_stream *stream, size_t bytes);
} pl_grpc_stream_ops;

typedef struct pl_grpc_stream_events {
    void (*data)(pl_grpc_stream *stream, pl_str bytes);
    void (*end)(pl_grpc_stream *stream);      /* nothing more will come */
    void (*writable)(pl_grpc_stream *stream); /* out is below the bound again; asked for by `waits` */
    /* It is over: both sides have ended, or it was reset, or the connection has gone. */
    void (*closed)(pl_grpc_stream *stream);
} pl_grpc_stream_events;

/* What may wait to be sent before a sender has to wait. */
#define PL_GRPC_UNSENT ((size_t)64 << 10)

struct pl_grpc_stream {
    const pl_grpc_stream_ops *ops;
    const pl_grpc_stream_events *events; /* NULL: nobody listens */
    void *call;                          /* whoever listens */
    pl_arena arena;
    pl_buf out; /* what is to be sent, from `sent` on */
    size_t sent;
    bool waits;            /* for `writable` */
    pl_grpc_reader reader; /* for the call's use: pooled with the stream */
    pl_buf scratch;        /* the same */
    /* The request. */
    pl_str method, path, scheme, authority; /* the path with its query */
    pl_str id; /* that the carrier knows it by, for logs; ptr NULL: it knows none */
    pl_str peer;
    const pl_peer_certificate *certificate; /* of a client over TLS that has shown one; or NULL */
    pl_grpc_metadata headers;               /* without those of HTTP/2 itself; names in lower case */
    bool headers_too_large;                 /* some were left out */
    bool secure;
    pl_grpc_traffic *traffic; /* where messages are counted; NULL: nowhere */
    bool no_trailers;         /* the carrier cannot send any */
    /* Headers for the answer that are none of the call's (CORS); they live as long as the arena. */
    const pl_header *extra;
    size_t extra_count;
};

static inline size_t pl_grpc_stream_unsent(const pl_grpc_stream *stream)
{
    return stream->out.len - stream->sent;
}

/* Who answers requests. */
typedef struct pl_grpc_handler pl_grpc_handler;
struct pl_grpc_handler {
    void (*request)(pl_grpc_handler *handler, pl_grpc_stream *stream);
};

/* For carriers. What a stream has of memory, and keeps when it is used again: up to `kept` bytes of each
 * buffer. */
void pl_grpc_stream_init(pl_grpc_stream *stream, size_t chunk_size);
void pl_grpc_stream_reset(pl_grpc_stream *stream, size_t kept);
void pl_grpc_stream_dispose(pl_grpc_stream *stream);
/* A request that is there as a whole. */
void pl_grpc_stream_hand_over(pl_grpc_stream *stream, pl_grpc_handler *handler, pl_str body);

#endif
