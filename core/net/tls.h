/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_TLS_H
#define PL_NET_TLS_H

#include <openssl/ssl.h>

#include "net/edge.h"

/* A server context: TLS 1.2 and 1.3, forward secrecy and AEAD ciphers only, no renegotiation, ALPN h2 and
 * http/1.1, resumption by tickets (one key for all workers, since they share the context). NULL: err names
 * the file that cannot be used (INVALID_ARGUMENT). Freed with SSL_CTX_free. */
SSL_CTX *pl_tls_context(const pl_tls_config *config, pl_error *err);
/* The same, but ALPN h2 alone. client_ca (PEM file; may be NULL): clients must show a certificate that one of
 * these has signed; then nothing is resumed. */
SSL_CTX *pl_tls_context_h2(const pl_tls_config *config, const char *client_ca, pl_error *err);

#endif
