/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_BYTES_INTERNAL_H
#define PL_NET_BYTES_INTERNAL_H

/* What bytestream.c (connections of clients) and dial.c (connections to servers) share: a connection from
 * when it has its socket. As with WebSockets, sockets are closed in h2o's own callbacks only; from elsewhere
 * they are shut down, which a callback then finds. */

#include "net/bytestream.h"
#include "net/edge_internal.h"
#include "net/tls_client.h"

/* Whoever has connections: embedded in it. */
typedef struct bytes_owner {
    pl_loop *loop;
    pl_host *host;
    unsigned write_ms;
    edge_link connections;
    unsigned count; /* read by other threads */
    pl_buf plain;   /* what TLS clients have read, while they hand it on */
} bytes_owner;

typedef struct bytes_connection bytes_connection;
struct bytes_connection {
    pl_connection public; /* first */
    edge_link link;       /* in owner->connections */
    bytes_owner *owner;
    pl_bytes_service *service;
    h2o_socket_t *socket;
    pl_timer timer; /* for what comes before `opened`, a write, the end */
    bool open;      /* the service has taken it */
    bool writing, paused, ending, cut;
    bool resting;       /* connected, and neither reads nor writes: see dial.c */
    size_t thrown_away; /* of what has come since it was ended */
    bool flushing;      /* h2o has something of TLS's to write */
    pl_tls_client *tls; /* of one that speaks TLS as a client; where h2o does as server, NULL */
    pl_error *why;      /* why it ends, where somebody wants to know; or NULL */
    /* The end of one that was not open, while all of it is there; or NULL. */
    void (*failed)(bytes_connection *c);
    pl_arena arena;
    char peer_room[64];
};

void bytes_owner_init(bytes_owner *owner, pl_loop *loop, unsigned write_ms);
/* Cuts what is left, and tells the services. */
void bytes_owner_dispose(bytes_owner *owner);

/* c, zeroed memory of pl_calloc's that begins with the connection, has this socket now, and is freed with it.
 */
void bytes_adopt(bytes_owner *owner, bytes_connection *c, h2o_socket_t *socket);
/* In h2o's callbacks only. */
void bytes_close(bytes_connection *c);
/* The service is told, and reading begins. A TLS client comes here by itself when the handshake is done.
 * False: the service did not want it, and c is gone. */
bool bytes_open(bytes_connection *c);
/* Begins the handshake of c->tls. */
void bytes_begin_tls(bytes_connection *c);
/* It is not to be opened; closed in a callback of h2o's that is about to come. */
void bytes_give_up(bytes_connection *c);
/* Should there be no memory for it, the connection goes at once. */
void bytes_set_timer(bytes_connection *c, unsigned ms);
void bytes_stop_timer(bytes_connection *c);
/* Notes why, unless something is noted already. */
void bytes_because(bytes_connection *c, pl_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
