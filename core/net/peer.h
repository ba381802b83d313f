/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_PEER_H
#define PL_NET_PEER_H

#include <h2o.h>
#include <openssl/x509.h>

#include "value/engine.h"

/* Who is at the other end of a socket. */

/* "127.0.0.1:53211", "[::1]:53211" or "unix", in room (64 bytes do). */
pl_str pl_socket_peer(h2o_socket_t *socket, char *room, size_t size);
/* The same of this end; of a unix socket "unix:PATH", of an abstract one "unix-abstract:NAME". */
pl_str pl_socket_local(h2o_socket_t *socket, char *room, size_t size);
/* A peer whose machine is gone is found within two minutes. Connections that are accepted inherit it. */
void pl_socket_keep_alive(int fd);
/* What the certificate says that the client of a socket with TLS has shown, once the handshake is done, if
 * OpenSSL has verified it; in the arena. NULL: there is none, or memory. */
const pl_peer_certificate *pl_socket_certificate(h2o_socket_t *socket, pl_arena *arena);
/* What a certificate says, in the arena; NULL: memory. */
const pl_peer_certificate *pl_peer_certificate_read(X509 *certificate, pl_arena *arena);

#endif
