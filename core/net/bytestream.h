/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_BYTESTREAM_H
#define PL_NET_BYTESTREAM_H

#include "net/edge.h"

/* Byte connections for protocols that are spoken elsewhere: listeners, TLS with ALPN h2, unix sockets. What
 * comes is handed on as it comes, what goes is written in one piece at a time.
 *
 * - a client that does not finish its TLS handshake: handshake_ms.
 * - a client that takes nothing: write_ms for each piece; the connection is cut.
 * - too many connections: max_connections; no descriptors left: accepting pauses and tries again. */

typedef struct pl_bytes_config {
    const char *address;     /* as in pl_edge_config; NULL: none */
    const char *tls_address; /* NULL: none */
    pl_tls_config tls;
    const char
        *client_ca; /* PEM: clients over TLS must show a certificate of one of these; NULL: they need none */
    unsigned max_connections; /* per worker; 0 is 20,000 */
    unsigned handshake_ms;    /* 0 is 10 s */
    unsigned write_ms;        /* 0 is 60 s */
} pl_bytes_config;

/* As pl_listeners. */
typedef struct pl_bytes_listeners pl_bytes_listeners;
pl_bytes_listeners *pl_bytes_listeners_open(const pl_bytes_config *config, unsigned workers, pl_error *err);
/* Of one socket that listens already, for this worker alone. The descriptor is duplicated, and of tls, with
 * which h2 is agreed on by ALPN (NULL: cleartext), a reference is kept. Errors: INVALID_ARGUMENT: it does not
 * listen; RESOURCE_EXHAUSTED. */
struct ssl_ctx_st;
pl_bytes_listeners *pl_bytes_listeners_adopt(int fd, struct ssl_ctx_st *tls, unsigned worker, pl_error *err);
void pl_bytes_listeners_free(pl_bytes_listeners *listeners);                     /* NULL is fine */
const char *pl_bytes_listeners_address(const pl_bytes_listeners *listeners);     /* NULL: none */
const char *pl_bytes_listeners_tls_address(const pl_bytes_listeners *listeners); /* NULL: none */

typedef struct pl_connection {
    void *data; /* the service's */
    pl_str peer;
    bool secure;
    const pl_peer_certificate *certificate; /* or NULL */
} pl_connection;

/* Functions run on the loop's thread, from its callbacks, never from inside of the functions below. */
typedef struct pl_bytes_service pl_bytes_service;
struct pl_bytes_service {
    /* A connection is there. False: it is closed, without a call of `closed`. */
    bool (*opened)(pl_bytes_service *service, pl_connection *connection);
    void (*received)(pl_bytes_service *service, pl_connection *connection, pl_str bytes);
    void (*written)(pl_bytes_service *service, pl_connection *connection);
    /* It has gone: by the client, by cut, or after end. */
    void (*closed)(pl_bytes_service *service, pl_connection *connection);
    /* Of connections to servers (net/dial.h): it has not come about. Instead of `opened`. */
    void (*failed)(pl_bytes_service *service, pl_connection *connection, const pl_error *why);
};

/* One worker's. Service and log outlive it, listeners and config need not. */
typedef struct pl_bytes pl_bytes;
pl_bytes *pl_bytes_new(pl_loop *loop, const pl_bytes_config *config, pl_bytes_listeners *listeners,
                       unsigned worker, pl_bytes_service *service, pl_logger *log, pl_error *err);
void pl_bytes_stop_accepting(pl_bytes *bytes);
/* Connections that are left are cut, and `closed` is called for each. NULL is fine. */
void pl_bytes_free(pl_bytes *bytes);
unsigned pl_bytes_count(const pl_bytes *bytes); /* any thread */
uint64_t pl_bytes_refused(const pl_bytes *bytes);

/* Writes a piece, not an empty one, which stays where it is until `written` or `closed`. One at a time. */
void pl_connection_write(pl_connection *connection, pl_str piece);
bool pl_connection_is_writing(const pl_connection *connection);
/* Nothing is read for the time being. */
void pl_connection_pause(pl_connection *connection, bool pause);
/* No piece is being written, and none will be: the client is told, and given a little time to close. What
 * still comes is thrown away. */
void pl_connection_end(pl_connection *connection);
void pl_connection_cut(pl_connection *connection);
/* The address of this end, in room (128 bytes do). */
pl_str pl_connection_local(const pl_connection *connection, char *room, size_t size);
/* What TLS encrypts with: "TLS_AES_256_GCM_SHA384"; NULL: nothing. */
const char *pl_connection_cipher(const pl_connection *connection);
/* In `closed`: why, in words; of connections to servers. */
const char *pl_connection_why(const pl_connection *connection);

#endif
