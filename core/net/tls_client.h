/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_TLS_CLIENT_H
#define PL_NET_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/error.h"

/* TLS as a client, without I/O: bytes of the peer are handed in, bytes for the peer are taken out. (h2o's own
 * does not check the host's name with TLS 1.3, knows no IP addresses as names, and says "ssl handshake
 * failure" for most of what can be wrong.)
 *
 * TLS 1.2 and 1.3; the server's chain and name are checked; HTTP/2 must be agreed on by ALPN. A certificate's
 * common name is not looked at: names are the alternative names. */

typedef struct pl_tls_credentials_config {
    const char *ca; /* PEM file: who is trusted to sign servers' certificates; NULL: whom the system trusts */
    const char *certificate; /* PEM files: what a server is shown that asks for it; NULL: nothing */
    const char *key;
    bool insecure; /* takes any certificate for any name */
} pl_tls_credentials_config;

/* For any number of connections and threads. Files that have changed are read again when a connection is
 * made; should they not do, what was read before stays in use. Errors: INVALID_ARGUMENT, and err names the
 * file. */
typedef struct pl_tls_credentials pl_tls_credentials;
pl_tls_credentials *pl_tls_credentials_new(const pl_tls_credentials_config *config, pl_error *err);
/* The system's certificates take a while to be read (a hundred of them, a tenth of a second): that is left to
 * _prepare, for a thread that may block, or to the first connection. */
bool pl_tls_credentials_is_ready(pl_tls_credentials *credentials);
void pl_tls_credentials_prepare(pl_tls_credentials *credentials);
pl_tls_credentials *pl_tls_credentials_keep(pl_tls_credentials *credentials);
void pl_tls_credentials_drop(pl_tls_credentials *credentials); /* NULL is fine */

/* One connection's. */
typedef struct pl_tls_client pl_tls_client;
/* name: whom to expect, a host name or an IP address (no brackets); it is sent as SNI where it is a host's.
 * Errors: INVALID_ARGUMENT (name), RESOURCE_EXHAUSTED. */
pl_tls_client *pl_tls_client_new(pl_tls_credentials *credentials, pl_str name, pl_error *err);
void pl_tls_client_free(pl_tls_client *client); /* NULL is fine */

typedef enum pl_tls_state {
    PL_TLS_HANDSHAKE, /* more of the peer's bytes are needed */
    PL_TLS_OPEN,
    PL_TLS_ENDED,  /* the peer says that nothing more comes */
    PL_TLS_FAILED, /* err says why; an alert for the peer may be there to be taken */
} pl_tls_state;
/* Begins (with nothing), and goes on with the peer's bytes, all of which are used. What they say is appended
 * to plain. */
pl_tls_state pl_tls_client_feed(pl_tls_client *client, pl_str bytes, pl_buf *plain, pl_error *err);
/* While it is open. */
pl_code pl_tls_client_write(pl_tls_client *client, pl_str plain, pl_error *err);
/* That nothing more comes from here. */
void pl_tls_client_end(pl_tls_client *client);
/* What is to be sent to the peer, or nothing; it stays until the next call of this function. */
pl_str pl_tls_client_take(pl_tls_client *client);
/* The peer's, when it is open and its certificate is good; the client's. NULL: none. */
X509 *pl_tls_client_peer(const pl_tls_client *client);

#endif
