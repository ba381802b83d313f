/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_STREAM_H
#define PL_NET_STREAM_H

#include "net/edge.h"

/* Answers whose body comes in pieces: server-sent events, multipart/mixed. HTTP/1.1 (chunked; HTTP/1.0: until
 * the connection ends) and HTTP/2. Pieces are never compressed nor held back: what is written in one turn of
 * the loop goes out together at the end of that turn.
 *
 * The request stays in the service's hands until pl_http_stream_end, or until its `cancelled` is called:
 * - the client has gone (over HTTP/1.1, one that shuts down its sending side counts as gone);
 * - it took nothing of what is queued for response_timeout; a stream on which nothing is queued may be idle
 *   for as long as it likes;
 * - memory was short in one of these functions: the client gets 503 when nothing has gone out yet, and else
 * sees the answer broken off;
 * - a request that gets no body (HEAD, or status 204 or 304) has been answered with the head: what is written
 *   is thrown away;
 * - the drain's time is over, or the edge is freed.
 * None of these functions calls the service. `cancelled` may come in the middle of h2o's work: what the
 * service does to other requests meanwhile is safe. */

/* Begins the answer; response->body is ignored, headers may go afterwards. False: memory, `cancelled` follows
 * later; or the request has been answered, and nothing is done. */
bool pl_http_stream_begin(pl_http_request *request, const pl_http_response *head);
/* Queues bytes (copied). False: memory; `cancelled` follows later. */
bool pl_http_stream_write(pl_http_request *request, pl_str bytes);
size_t pl_http_stream_queued(const pl_http_request *request);
/* Ends the answer after what is queued. The request is gone for the service. */
void pl_http_stream_end(pl_http_request *request);
/* Ends the answer so that the client sees that it is not whole: what is queued is thrown away. The request is
 * gone for the service. */
void pl_http_stream_break(pl_http_request *request);

#endif
