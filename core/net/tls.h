/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_TLS_H
#define PL_NET_TLS_H

#include <openssl/ssl.h>

#include "net/edge.h"

/* A server context: TLS 1.2 and 1.3, forward secrecy and AEAD ciphers only, no renegotiation, ALPN h2 and
 * http/1.1, resumption by tickets (one key for all workers, since they share the context). client_ca (PEM
 * file; may be NULL): clients must show a certificate that one of these has signed; then nothing is resumed.
 * NULL: err names the file that cannot be used (INVALID_ARGUMENT). Freed with SSL_CTX_free. */
SSL_CTX *pl_tls_context(const pl_tls_config *config, const char *client_ca, pl_error *err);
/* The same, but ALPN h2 alone. */
SSL_CTX *pl_tls_context_h2(const pl_tls_config *config, const char *client_ca, pl_error *err);

/* --- what servers' contexts and clients' (net/tls_client.h) share --- */
/* Versions, ciphers and options. RESOURCE_EXHAUSTED, INTERNAL. */
SSL_CTX *pl_tls_new_context(const SSL_METHOD *method, pl_error *err);
pl_code pl_tls_load_pair(SSL_CTX *context, const char *certificate, const char *key, pl_error *err);
/* INVALID_ARGUMENT, naming the file. Takes all errors off OpenSSL's queue of this thread; the first one is
 * the reason. */
pl_code pl_tls_fail(pl_error *err, const char *file, const char *what);

#endif
