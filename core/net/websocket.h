/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_WEBSOCKET_H
#define PL_NET_WEBSOCKET_H

#include "net/edge.h"

/* WebSocket (RFC 6455), over HTTP/1.1. No extension is negotiated (no permessage-deflate: it costs memory for
 * each connection). All functions and callbacks are of the loop's thread.
 *
 * What the edge does by itself: pings are answered (of several that come before an answer can be written, the
 * last); broken frames close with 1002, text that is not UTF-8 with 1007, a message over max_message with
 * 1009, one that takes longer than request_timeout to arrive with 1008; a peer that does not read is closed
 * with 1013 when more than max_queued waits for it, and cut when it takes nothing for response_timeout; a
 * closing handshake that takes longer than five seconds, or request_timeout if that is less, is cut short. */
typedef struct pl_websocket pl_websocket;

typedef struct pl_websocket_handler {
    /* A whole message; the bytes go when this returns. Text is valid UTF-8. */
    void (*message)(pl_websocket *ws, pl_str message, bool binary);
    /* All that was queued has been given to the socket. May be NULL. */
    void (*drained)(pl_websocket *ws);
    /* The last call, exactly once; ws is gone when it returns. code is that of the first close frame, the
     * peer's (1005: it had none) or ours; 1006: the connection ended without one. Never called from inside a
     * function of this header. */
    void (*closed)(pl_websocket *ws, unsigned code);
    /* The peer has answered a ping. May be NULL. */
    void (*pong)(pl_websocket *ws);
} pl_websocket_handler;

typedef struct pl_websocket_options {
    size_t max_message; /* bytes of one message of the peer; 0 is 1 MiB */
    size_t max_queued;  /* bytes; looked at before a message is added, so that one of any size can be sent
                           when little waits; 0 is 1 MiB */
    unsigned ping_ms;   /* a ping when nothing has come for this long; 0: none */
    unsigned pong_timeout_ms; /* cut when nothing comes for this long after a ping; 0 is 10 s */
} pl_websocket_options;

/* Whether the client asks for a WebSocket. */
bool pl_http_is_websocket(const pl_http_request *request);
/* Accepts: answers 101 with sec-websocket-protocol (protocol "": none). The request is gone afterwards, with
 * its headers: copy first what is needed later. handler outlives the WebSocket; options are copied. NULL: the
 * request has been answered: 400 or 426 (not a sound request of version 13), 503 (draining, or memory).
 * Whether the origin may do this is the service's to judge, before. */
pl_websocket *pl_websocket_accept(pl_http_request *request, pl_str protocol,
                                  const pl_websocket_options *options, const pl_websocket_handler *handler,
                                  void *data);
/* Queues a text message (UTF-8; copied). What is sent in one turn of the loop goes out together at its end.
 * RESOURCE_EXHAUSTED: max_queued is passed, or memory is short: the WebSocket is being closed with 1013, and
 * `closed` follows later. FAILED_PRECONDITION: it is being closed already; nothing is queued. */
pl_code pl_websocket_send(pl_websocket *ws, pl_str text);
/* Bytes that have not been given to the socket yet. */
size_t pl_websocket_queued(const pl_websocket *ws);
void pl_websocket_ping(pl_websocket *ws);
/* Begins the closing handshake, after what is queued; `closed` comes when it is over. reason is cut at 123
 * bytes. The first call counts. No message is delivered afterwards. */
void pl_websocket_close(pl_websocket *ws, unsigned code, pl_str reason);
void *pl_websocket_data(const pl_websocket *ws);
pl_str pl_websocket_peer(const pl_websocket *ws); /* "127.0.0.1:40000"; lives as long as ws */

#endif
