/* SPDX-License-Identifier: MIT */
#include "net/tls.h"

#include <h2o.h>
#include <openssl/err.h>
#include <stdio.h>

#define CIPHERS_12                                                                             \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

pl_code pl_tls_fail(pl_error *err, const char *file, const char *what)
{
    unsigned long first = ERR_get_error();
    const char *reason =
        ERR_SYSTEM_ERROR(first) ? strerror((int)ERR_GET_REASON(first)) : ERR_reason_error_string(first);
    pl_fail_at(err, PL_INVALID_ARGUMENT, file, 0, 0, "%s: %s", what, reason ? reason : "unknown error");
    ERR_clear_error();
    return PL_INVALID_ARGUMENT;
}

pl_code pl_tls_load_pair(SSL_CTX *context, const char *certificate, const char *key, pl_error *err)
{
    if (!certificate || !key)
        return pl_fail(err, PL_INVALID_ARGUMENT, "TLS needs a certificate and a key");
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return pl_tls_fail(err, certificate, "cannot use this certificate");
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return pl_tls_fail(err, key, "cannot use this key");
    if (SSL_CTX_check_private_key(context) != 1)
        return pl_tls_fail(err, key, "the key is not the certificate's");
    return PL_OK;
}

/* A key that is locked by a passphrase is an error; nobody is there to be asked for it. */
static int no_passphrase(char *buf, int size, int rwflag, void *data)
{
    return 0;
}

SSL_CTX *pl_tls_new_context(const SSL_METHOD *method, pl_error *err)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context) {
        ERR_clear_error();
        pl_fail_memory(err);
        return NULL;
    }
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    bool ok = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
              SSL_CTX_set_cipher_list(context, CIPHERS_12) == 1;
    ERR_clear_error();
    if (ok)
        return context;
    pl_fail(err, PL_INTERNAL, "this OpenSSL does not have the ciphers that are needed");
    SSL_CTX_free(context);
    return NULL;
}

static pl_code ask_clients(SSL_CTX *context, const char *client_ca, pl_error *err)
{
    ERR_clear_error();
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
    if (!names || SSL_CTX_load_verify_locations(context, client_ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return pl_tls_fail(err, client_ca, "cannot use these certificates for clients");
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return PL_OK;
}

static SSL_CTX *make_context(const pl_tls_config *config, const char *client_ca, const h2o_iovec_t *protocols,
                             pl_error *err)
{
    SSL_CTX *context = pl_tls_new_context(TLS_server_method(), err);
    if (!context)
        return NULL;
    if (pl_tls_load_pair(context, config->certificate, config->key, err) != PL_OK ||
        (client_ca && ask_clients(context, client_ca, err) != PL_OK)) {
        SSL_CTX_free(context);
        return NULL;
    }
    h2o_ssl_register_alpn_protocols(context, protocols);
    return context;
}

SSL_CTX *pl_tls_context(const pl_tls_config *config, const char *client_ca, pl_error *err)
{
    return make_context(config, client_ca, h2o_alpn_protocols, err);
}

SSL_CTX *pl_tls_context_h2(const pl_tls_config *config, const char *client_ca, pl_error *err)
{
    static char h2[] = "h2";
    static const h2o_iovec_t protocols[] = {{h2, 2}, {NULL, 0}};
    return make_context(config, client_ca, protocols, err);
}
