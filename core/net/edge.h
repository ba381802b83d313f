/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_EDGE_H
#define PL_NET_EDGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "net/loop.h"
#include "value/engine.h"

/* The HTTP edge on libh2o: listeners, TLS, limits, CORS, compression, request ids, health. It knows nothing
 * of GraphQL: it hands each request for a path to a service, and writes what the service answers. HTTP/1.1,
 * HTTP/2 with TLS (ALPN), and cleartext HTTP/2 with prior knowledge or by upgrade.
 *
 * The edge answers by itself: /healthz, /readyz, CORS preflights where CORS is on, and errors: 404 for what
 * the service does not know, 413, 431, with a body {"errors":[{"message":"..."}]}. A request head that cannot
 * be parsed gets h2o's own 400; a body of more than twice the limit is not read, over HTTP/2 its stream is
 * reset.
 *
 * What protects against what:
 * - a client that sends its request slowly or not at all: request_timeout_ms, for the TLS handshake, for the
 * whole of an HTTP/1.1 request from its first byte, and for the oldest incomplete stream of an HTTP/2
 * connection. The connection is ended.
 * - connections that nobody uses: idle_timeout_ms. An HTTP/1.1 connection is closed so that a request which
 * crosses with that is still served; HTTP/2 says GOAWAY.
 * - a client that does not read its answer: response_timeout_ms, for the whole of an answer. The connection
 * is ended.
 * - a client that leaves while its request waits: HTTP/1.1 connections are watched for a hang-up, HTTP/2
 * tells of it; the service's `cancelled` is called. A client that shuts down only its sending side gets an
 * answer that is given at once; when its request waits, it counts as gone, since the two look the same.
 * - a peer whose machine is gone: TCP keep-alive, after two minutes.
 * - too many connections: max_connections; no descriptors left: accepting pauses and tries again.
 * - answers in pieces (net/stream.h) and WebSockets (net/websocket.h), which may live for days: neither the
 * request's nor the idle timeout is theirs, but a client that takes nothing of what waits for it is cut after
 * response_timeout_ms; what waits is counted, and a WebSocket's bounded.
 * - one connection that takes all: max_streams; what is more waits in the edge. But h2o takes up to 100
 * streams of a connection, each with a body of up to twice max_body. How long the service takes for an answer
 * is the service's to bound.
 *
 * Requests cost no heap allocation of the edge's own once their number has been reached before. h2o itself
 * ends the process when it runs out of memory. */

typedef struct pl_tls_config {
    const char *certificate; /* PEM files */
    const char *key;
} pl_tls_config;

/* Where to listen: "HOST:PORT" ("127.0.0.1:8080", "[::1]:0", "*:8080", ":8080"), or "unix:PATH". */
typedef struct pl_edge_config {
    const char *address;     /* NULL: no cleartext listener */
    const char *tls_address; /* NULL: no TLS listener */
    pl_tls_config tls;
    const char
        *client_ca;  /* PEM: clients over TLS must show a certificate of one of these; NULL: they need none */
    size_t max_body; /* bytes; 0 is 1 MiB */
    size_t max_header;            /* bytes of all names and values; 0 is h2o's bound of about 400 kB */
    unsigned request_timeout_ms;  /* to receive a whole request; 0 is 10 s */
    unsigned idle_timeout_ms;     /* keep-alive; 0 is 60 s */
    unsigned response_timeout_ms; /* for a client to take a whole answer; 0 is 60 s */
    unsigned max_connections;     /* per worker; more are closed at once, counted and logged; 0 is 20,000 */
    unsigned max_streams;         /* HTTP/2 requests at work at once per connection; 0 is 100, the most */
} pl_edge_config;

/* Settings that a reload changes; read by the edge for each request through pl_edge_service.settings. */
typedef struct pl_cors {
    const pl_str *origins; /* exact origins, or "*" alone (then never with credentials); none: CORS is off */
    size_t origin_count;
    bool credentials;
    unsigned max_age_s;   /* 0 is 600 */
    pl_str allow_headers; /* "" is: echo what the preflight asks for */
    pl_str expose_headers;
} pl_cors;
/* Requests whose bodies may be larger than max_body: POSTs of multipart/form-data to one path. */
typedef struct pl_http_uploads {
    pl_str path;         /* "": there are none */
    size_t max_size;     /* bytes of one body */
    size_t max_total;    /* of all that a worker holds on disk at once */
    unsigned timeout_ms; /* to receive one */
} pl_http_uploads;
typedef struct pl_http_settings {
    pl_str main_path; /* what a mount's own path stands for (net/mount.h); "": nothing */
    pl_cors cors;
    pl_http_uploads uploads;
    bool compress; /* gzip and brotli where the client accepts them, for text of 1 kB to 8 MiB (more would
                      hold up the loop) */
} pl_http_settings;

/* A request in hand. The edge owns it; it lives until pl_http_respond, or until the service's cancelled
 * returns. In `cancelled` all of it is still there but the body. */
typedef struct pl_http_request pl_http_request;
struct pl_http_request {
    /* The path is percent-decoded, without "." and ".." segments, and may hold any byte; the query is as
     * sent, without "?", its ptr NULL when there is none. */
    pl_str method, path, query;
    pl_str target; /* path and query as sent */
    /* path as the client knows it: with what a mount (net/mount.h) has taken off path and target. */
    pl_str full_path;
    pl_str body;
    /* A large body is in a file, too, from body_at on: to read it there takes no memory. The descriptor goes
     * with the body (dup it to keep it). -1: it is in memory alone. */
    int body_fd;
    uint64_t body_at;
    const pl_header *headers; /* names in lower case, :authority as "host" */
    size_t header_count;
    /* x-request-id of the client when it is sound (<= 128 printable characters), or a new one. Sent back as
     * x-request-id, but over HTTP/2 a new one only when the status is 400 or more, since it costs too much
     * there; a service that wants it in another answer adds the header. */
    pl_str id;
    pl_str peer;
    const pl_peer_certificate *certificate; /* or NULL; lives as long as the connection */
    bool secure;
    unsigned http_version; /* 0x101, 0x200 */
    pl_arena *arena;       /* lives as long as the request; pooled, so cheap */
    void *data;            /* the service's */
    unsigned part;         /* which part of the server answers, for pl_http_meter: the service's to set */
    /* Set by the service when it does not answer at once: the client has gone (or the server ends at once).
     * The service must forget the request before it returns; it may answer other requests meanwhile. */
    void (*cancelled)(pl_http_request *request);
    /* For an answer in pieces (net/stream.h): what was queued has gone out. May be NULL. */
    void (*drained)(pl_http_request *request);
};
pl_str pl_http_header(const pl_http_request *request, pl_str name); /* ptr NULL when absent */

typedef struct pl_http_response {
    int status;
    pl_str content_type; /* "" when there is no body */
    /* More headers; they may go when pl_http_respond has returned. What HTTP cannot carry is left out and
     * logged; those of the connection and the length are the edge's, and left out. */
    const pl_header *headers;
    size_t header_count;
    pl_str body; /* must stay valid until pl_http_respond returns (it is copied), or, with body_in_arena,
                    until the request's arena goes (no copy) */
    bool body_in_arena; /* or in memory that never goes */
} pl_http_response;
/* Answers; once for each request, on its loop's thread. Calls nothing of the service but settings. */
void pl_http_respond(pl_http_request *request, const pl_http_response *response);

/* Who is told of each request that is over: answered, or, with status 499, given up by its client. Of an
 * answer in pieces it is told when the head is given, of a WebSocket (101) when it is one. part is 0, or what
 * the service has set, or PL_HTTP_PART_HEALTH for what the edge answers by itself. began: pl_loop_turn_ns. */
#define PL_HTTP_PART_HEALTH 1
typedef struct pl_http_meter pl_http_meter;
struct pl_http_meter {
    void (*count)(pl_http_meter *meter, const pl_http_request *request, int status, uint64_t began);
};

/* What answers requests. Functions run on the worker's thread, and do not free the edge. */
typedef struct pl_http_service pl_http_service;
struct pl_http_service {
    /* Answers with pl_http_respond at once or later, or returns false: not found. */
    bool (*handle)(pl_http_service *service, pl_http_request *request);
    /* The settings in force now. */
    const pl_http_settings *(*settings)(pl_http_service *service);
    /* Draining begins (may be NULL): time to end streams and to close WebSockets properly. WebSockets that
     * are not closed then get 1001 from the edge; streams that go on are cut at the deadline. */
    void (*drain)(pl_http_service *service);
};

/* Listening sockets of all workers, opened before any worker starts, so that an address in use is an error
 * before anything runs: one SO_REUSEPORT socket a worker and address. Port 0: the first chooses, the others
 * follow. A unix socket is one for all; the file of one that nobody listens on is replaced, and stays behind
 * at the end. Errors: INVALID_ARGUMENT (address, certificate, key; err names the file), ALREADY_EXISTS (in
 * use), PERMISSION_DENIED, UNAVAILABLE, RESOURCE_EXHAUSTED. */
typedef struct pl_listeners pl_listeners;
pl_listeners *pl_listeners_open(const pl_edge_config *config, unsigned workers, pl_error *err);
void pl_listeners_free(pl_listeners *listeners);                 /* closes what no worker has taken */
const char *pl_listeners_address(const pl_listeners *listeners); /* "127.0.0.1:8080", as bound; NULL: none */
const char *pl_listeners_tls_address(const pl_listeners *listeners); /* NULL when there is none */

/* One worker's edge; service and log outlive it, config and listeners need not. SIGPIPE must be ignored in
 * the process. Errors: RESOURCE_EXHAUSTED. */
typedef struct pl_edge pl_edge;
pl_edge *pl_edge_new(pl_loop *loop, const pl_edge_config *config, pl_listeners *listeners, unsigned worker,
                     pl_http_service *service, pl_logger *log, pl_error *err);
/* Stops accepting, tells HTTP/2 clients (GOAWAY) and closes HTTP/1.1 connections after the answer in hand;
 * done(data) on the loop's thread when the last connection has gone, or after timeout_ms, when the rest is
 * cut. */
void pl_edge_drain(pl_edge *edge, unsigned timeout_ms, void (*done)(void *data), void *data);
/* After drain's done, or in it. Without a drain, or when connections are left: requests in hand are
 * cancelled, connections cut, and the loop is turned until they have ended, so messages of others may run.
 * NULL is fine. */
void pl_edge_free(pl_edge *edge);
/* NULL: nobody. */
void pl_edge_set_meter(pl_edge *edge, pl_http_meter *meter);
/* The service's settings have changed: to be called when others are in force. */
void pl_edge_settings_changed(pl_edge *edge);
typedef struct pl_edge_stats {
    unsigned connections;
    unsigned requests; /* in hand, streams too */
    unsigned streams, websockets;
    uint64_t requests_total, refused_total;
    uint64_t websockets_cut; /* whose client did not read, or did not answer pings */
} pl_edge_stats;
pl_edge_stats pl_edge_get_stats(const pl_edge *edge); /* any thread */
/* Any thread. /readyz answers 503 until set, and when draining. /healthz answers 200 as long as the loop
 * turns. */
void pl_edge_set_ready(pl_edge *edge, bool ready);

#endif
