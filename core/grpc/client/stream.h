/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_STREAM_H
#define PL_GRPC_CLIENT_STREAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "grpc/metadata.h"

/* What carries one attempt of a call, seen from its client: an HTTP/2 stream of a session (session.h), or a
 * call to a service of the same process (local.h). Its headers were given when it was made.
 *
 *   call:    (append to out, flush)… → finish; or cancel at any time
 *   carrier: headers → data… → closed; or closed alone, where nothing but headers came or all is lost
 *
 * The carrier owns it and all that hangs on its arena; it goes when `closed` has returned, or with `cancel`.
 * None of ops calls back into events. */
typedef struct pl_client_stream pl_client_stream;

typedef struct pl_client_stream_ops {
    /* Bytes have been appended to stream->out. */
    void (*flush)(pl_client_stream *stream);
    /* Behind what stands in out, nothing will come. */
    void (*finish)(pl_client_stream *stream);
    /* Nobody is interested any more: it is the carrier's alone from here on. error: of HTTP/2. */
    void (*cancel)(pl_client_stream *stream, uint32_t error);
    /* The peer may send so many bytes more: as many were taken. */
    void (*consumed)(pl_client_stream *stream, size_t bytes);
} pl_client_stream_ops;

typedef enum pl_client_end_kind {
    PL_CLIENT_ANSWERED, /* the peer has ended its answer: what it was is in headers and trailers */
    PL_CLIENT_RESET,    /* the peer, or the protocol, has reset it: see error */
    PL_CLIENT_LOST,     /* the connection has gone */
} pl_client_end_kind;

typedef struct pl_client_end {
    pl_client_end_kind kind;
    uint32_t error;  /* RESET: of HTTP/2 */
    bool sent;       /* the request has left */
    bool refused;    /* it has, and the peer has not worked on it */
    const char *why; /* LOST: a sentence */
} pl_client_end;

typedef struct pl_client_stream_events {
    void (*headers)(pl_client_stream *stream); /* of the answer, unless it consists of them alone */
    void (*data)(pl_client_stream *stream, pl_str bytes);
    void (*writable)(pl_client_stream *stream); /* out is below the bound again; asked for by `waits` */
    void (*closed)(pl_client_stream *stream, const pl_client_end *end);
} pl_client_stream_events;

/* What may wait to be sent of one call before its sender has to wait. */
#define PL_CLIENT_UNSENT ((size_t)64 << 10)

struct pl_client_stream {
    const pl_client_stream_ops *ops;
    const pl_client_stream_events *events;
    void *call; /* whoever listens */
    pl_arena arena;
    pl_buf out; /* what is to be sent, from `sent` on */
    size_t sent;
    bool waits; /* for `writable` */
    /* The answer. */
    int status;                /* of HTTP; 0: none yet */
    bool alone;                /* there are headers only: they are the trailers */
    pl_grpc_metadata headers;  /* names in lower case */
    pl_grpc_metadata trailers; /* what came behind; where it is alone, nothing */
    bool headers_too_large;    /* some were left out */
};

static inline size_t pl_client_stream_unsent(const pl_client_stream *stream)
{
    return stream->out.len - stream->sent;
}

#endif
