/* SPDX-License-Identifier: MIT */
#include "net/tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "net/tls.h"

#define KEEP_OUTPUT ((size_t)64 << 10)
#define READ_AT_ONCE ((size_t)16 << 10) /* a TLS record */

struct file_state {
    struct timespec modified;
    off_t size;
    ino_t inode;
};

enum { CA, CERTIFICATE, KEY, FILES };

struct pl_tls_credentials {
    pthread_mutex_t lock; /* of all that changes */
    unsigned keepers;
    char *files[FILES]; /* or NULL */
    bool insecure;
    struct file_state read[FILES]; /* as they were read */
    X509_STORE *trusted;
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct pl_tls_client {
    SSL *ssl;
    pl_tls_credentials *credentials;
    char *name;
    bool is_open, has_failed;
    pl_str input;            /* while it is fed */
    pl_buf waiting, sending; /* for the peer; what is sent stays until the next is taken */
    pl_error why;            /* what is wrong with the peer's certificate */
};

/* --- errors --- */
/* The certificate's alternative names, as far as they fit. */
static void write_names(const X509 *certificate, char *out, size_t room)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;
    out[0] = '\0';
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && len + 1 < room; i++) {
        int type;
        char text[300] = "";
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        const unsigned char *bytes = ASN1_STRING_get0_data(value);
        int size = ASN1_STRING_length(value);
        if (type == GEN_DNS)
            snprintf(text, sizeof(text), "%.*s", size, (const char *)bytes);
        else if (type == GEN_IPADD && (size == 4 || size == 16))
            inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
        for (char *c = text; *c; c++)
            *c = *c > 0x20 && *c < 0x7f ? *c : '?';
        if (text[0])
            len += (size_t)snprintf(out + len, room - len, "%s%s", len > 0 ? ", " : "", text);
    }
    GENERAL_NAMES_free(names);
    if (len >= room && room > 4)
        memcpy(out + room - 4, "...", 4);
}

static void explain_certificate(pl_tls_client *client, X509_STORE_CTX *store)
{
    char text[400];
    int failure = X509_STORE_CTX_get_error(store);
    X509 *at = X509_STORE_CTX_get_current_cert(store), *leaf = X509_STORE_CTX_get0_cert(store);
    const char *ca = client->credentials->files[CA];
    switch (failure) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        write_names(leaf, text, sizeof(text));
        pl_fail(&client->why, PL_UNAVAILABLE,
                text[0] ? "the server's certificate is not for %s, but for %s"
                        : "the server's certificate is not for %s: it has no alternative names%s",
                client->name, text);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        X509_NAME_oneline(X509_get_issuer_name(at ? at : leaf), text, sizeof(text));
        pl_fail(&client->why, PL_UNAVAILABLE,
                "the server's certificate is signed by %s, which is not trusted by %s (%s)", text,
                ca ? ca : "the system's certificates", X509_verify_cert_error_string(failure));
        break;
    default:
        X509_NAME_oneline(X509_get_subject_name(at ? at : leaf), text, sizeof(text));
        pl_fail(&client->why, PL_UNAVAILABLE, "the server's certificate %s cannot be used: %s", text,
                X509_verify_cert_error_string(failure));
    }
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    pl_tls_client *client = SSL_get_app_data(ssl);
    if (!ok && client->why.code == PL_OK)
        explain_certificate(client, store);
    return ok;
}

/* What a server's alert, or a failure of ours, means to who set things up. */
static const char *hint_of(int reason)
{
    switch (reason) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the server wants a client certificate, and none is set";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "the server does not take the client certificate";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "the server does not trust who signed the client certificate";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
        return "what the server sends is no TLS: is this a port for plaintext?";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the server speaks neither TLS 1.2 nor 1.3";
    case SSL_R_TLSV1_UNRECOGNIZED_NAME:
        return "the server has no certificate for this name";
#ifdef SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return "the server does not speak HTTP/2 here (ALPN h2)";
#endif
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the server found no way to speak TLS with this client; it may want a client certificate";
    default:
        return NULL;
    }
}

static pl_tls_state fail(pl_tls_client *client, pl_error *err)
{
    unsigned long failure = ERR_peek_error();
    const char *reason = ERR_reason_error_string(failure);
    const char *hint = ERR_GET_LIB(failure) == ERR_LIB_SSL ? hint_of(ERR_GET_REASON(failure)) : NULL;
    client->has_failed = true;
    if (client->why.code != PL_OK)
        pl_fail(err, client->why.code, "%s", client->why.message);
    else if (client->waiting.failed)
        pl_fail_memory(err);
    else if (hint)
        pl_fail(err, PL_UNAVAILABLE, "TLS with %s failed: %s (%s)", client->name, hint, reason);
    else
        pl_fail(err, PL_UNAVAILABLE, "TLS with %s failed: %s", client->name,
                reason ? reason : "the connection ended");
    ERR_clear_error();
    return PL_TLS_FAILED;
}

/* --- OpenSSL's reads and writes --- */
static int bio_read(BIO *bio, char *out, int room)
{
    pl_tls_client *client = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (client->input.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = client->input.len < (size_t)room ? client->input.len : (size_t)room;
    memcpy(out, client->input.ptr, len);
    client->input.ptr += len;
    client->input.len -= len;
    return (int)len;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    pl_tls_client *client = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    pl_buf_append(&client->waiting, bytes, (size_t)len);
    return client->waiting.failed ? -1 : len;
}

static long bio_control(BIO *bio, int command, long number, void *data)
{
    (void)bio;
    (void)number;
    (void)data;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "perilune");
    if (!method)
        return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* --- credentials --- */
static struct file_state look_at(const char *file)
{
    struct stat info;
    if (!file || stat(file, &info) != 0)
        return (struct file_state){0};
    return (struct file_state){info.st_mtim, info.st_size, info.st_ino};
}

static bool is_same(struct file_state a, struct file_state b)
{
    return a.modified.tv_sec == b.modified.tv_sec && a.modified.tv_nsec == b.modified.tv_nsec &&
           a.size == b.size && a.inode == b.inode;
}

static X509_STORE *read_trusted(const pl_tls_credentials *c, pl_error *err)
{
    X509_STORE *store = X509_STORE_new();
    ERR_clear_error();
    if (!store) {
        pl_fail_memory(err);
        return NULL;
    }
    bool ok = c->files[CA] ? X509_STORE_load_file(store, c->files[CA]) == 1
                           : c->insecure || X509_STORE_set_default_paths(store) == 1;
    if (ok) {
        ERR_clear_error(); /* a system without certificates trusts nobody, which is no error yet */
        return store;
    }
    pl_tls_fail(err, c->files[CA] ? c->files[CA] : "", "cannot use these certificates of authorities");
    X509_STORE_free(store);
    return NULL;
}

static SSL_CTX *make_context(const pl_tls_credentials *c, X509_STORE *trusted, pl_error *err)
{
    static const unsigned char protocols[] = {2, 'h', '2'};
    SSL_CTX *context = pl_tls_new_context(TLS_client_method(), err);
    if (!context)
        return NULL;
    SSL_CTX_set1_cert_store(context, trusted);
    SSL_CTX_set_verify(context, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       c->insecure ? NULL : on_verify);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    bool ok = true;
    if (SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols)) != 0) {
        pl_fail_memory(err);
        ok = false;
    }
    if (ok && (c->files[CERTIFICATE] || c->files[KEY]))
        ok = pl_tls_load_pair(context, c->files[CERTIFICATE], c->files[KEY], err) == PL_OK;
    ERR_clear_error();
    if (ok)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* Under the lock, or before anybody else knows it. */
static pl_code read_files(pl_tls_credentials *c, pl_error *err)
{
    struct file_state now[FILES];
    bool changed[FILES];
    for (int i = 0; i < FILES; i++) {
        now[i] = look_at(c->files[i]);
        changed[i] = !is_same(now[i], c->read[i]);
    }
    if (c->context && !changed[CA] && !changed[CERTIFICATE] && !changed[KEY])
        return PL_OK;
    X509_STORE *trusted = c->trusted;
    if (!trusted || changed[CA])
        trusted = read_trusted(c, err);
    else
        X509_STORE_up_ref(trusted);
    SSL_CTX *context = trusted ? make_context(c, trusted, err) : NULL;
    if (!context) {
        X509_STORE_free(trusted);
        return PL_INVALID_ARGUMENT;
    }
    X509_STORE_free(c->trusted);
    SSL_CTX_free(c->context);
    c->trusted = trusted;
    c->context = context;
    memcpy(c->read, now, sizeof(now));
    return PL_OK;
}

static bool waits_for_system(const pl_tls_credentials *c)
{
    return !c->trusted && !c->files[CA] && !c->insecure;
}

/* As far as it can be said without those who are trusted. */
static pl_code check_pair(const pl_tls_credentials *c, pl_error *err)
{
    X509_STORE *nobody = X509_STORE_new();
    SSL_CTX *context = nobody ? make_context(c, nobody, err) : NULL;
    bool ok = context != NULL;
    if (!nobody)
        pl_fail_memory(err);
    X509_STORE_free(nobody);
    SSL_CTX_free(context);
    return ok ? PL_OK : PL_INVALID_ARGUMENT;
}

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = pl_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

pl_tls_credentials *pl_tls_credentials_new(const pl_tls_credentials_config *config, pl_error *err)
{
    const char *const files[FILES] = {config->ca, config->certificate, config->key};
    pl_tls_credentials *c = pl_calloc(1, sizeof(*c));
    if (!c) {
        pl_fail_memory(err);
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    c->keepers = 1;
    c->insecure = config->insecure;
    c->method = make_method();
    bool ok = c->method != NULL;
    for (int i = 0; i < FILES; i++) {
        c->files[i] = files[i] ? copy_of(files[i]) : NULL;
        ok = ok && (!files[i] || c->files[i]);
    }
    if (!ok)
        pl_fail_memory(err);
    if (ok && (waits_for_system(c) ? check_pair(c, err) : read_files(c, err)) == PL_OK)
        return c;
    pl_tls_credentials_drop(c);
    return NULL;
}

bool pl_tls_credentials_is_ready(pl_tls_credentials *c)
{
    pthread_mutex_lock(&c->lock);
    bool ready = !waits_for_system(c);
    pthread_mutex_unlock(&c->lock);
    return ready;
}

void pl_tls_credentials_prepare(pl_tls_credentials *c)
{
    if (pl_tls_credentials_is_ready(c))
        return;
    X509_STORE *trusted = read_trusted(c, NULL);
    pthread_mutex_lock(&c->lock);
    if (!c->trusted) {
        c->trusted = trusted;
        trusted = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    X509_STORE_free(trusted);
}

pl_tls_credentials *pl_tls_credentials_keep(pl_tls_credentials *c)
{
    pthread_mutex_lock(&c->lock);
    c->keepers++;
    pthread_mutex_unlock(&c->lock);
    return c;
}

void pl_tls_credentials_drop(pl_tls_credentials *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    bool last = --c->keepers == 0;
    pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    X509_STORE_free(c->trusted);
    SSL_CTX_free(c->context);
    BIO_meth_free(c->method);
    for (int i = 0; i < FILES; i++)
        pl_free(c->files[i]);
    pthread_mutex_destroy(&c->lock);
    pl_free(c);
}

/* A context with what the files say now, or said when they last did. */
static SSL *new_ssl(pl_tls_credentials *c)
{
    pthread_mutex_lock(&c->lock);
    read_files(c, NULL);
    SSL *ssl = SSL_new(c->context);
    pthread_mutex_unlock(&c->lock);
    return ssl;
}

/* --- one connection --- */
static pl_code expect_name(pl_tls_client *client, pl_error *err)
{
    unsigned char address[16];
    const char *name = client->name;
    X509_VERIFY_PARAM *param = SSL_get0_param(client->ssl);
    bool ok;
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    } else {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        ok = X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
             SSL_set_tlsext_host_name(client->ssl, name) == 1;
    }
    ERR_clear_error();
    return ok ? PL_OK
              : pl_fail(err, PL_INVALID_ARGUMENT, "\"%s\" is no name that a server can have with TLS", name);
}

static pl_code set_up(pl_tls_client *client, pl_error *err)
{
    BIO *bio = BIO_new(client->credentials->method);
    client->ssl = bio ? new_ssl(client->credentials) : NULL;
    if (!client->ssl) {
        BIO_free(bio);
        ERR_clear_error();
        return pl_fail_memory(err);
    }
    BIO_set_data(bio, client);
    BIO_set_init(bio, 1);
    SSL_set_bio(client->ssl, bio, bio);
    SSL_set_app_data(client->ssl, client);
    SSL_set_connect_state(client->ssl);
    return expect_name(client, err);
}

pl_tls_client *pl_tls_client_new(pl_tls_credentials *credentials, pl_str name, pl_error *err)
{
    if (name.len == 0 || memchr(name.ptr, '\0', name.len)) {
        pl_fail(err, PL_INVALID_ARGUMENT, "TLS needs the name of the server");
        return NULL;
    }
    pl_tls_client *client = pl_calloc(1, sizeof(*client));
    char *copy = client ? pl_malloc(name.len + 1) : NULL;
    if (!copy) {
        pl_free(client);
        pl_fail_memory(err);
        return NULL;
    }
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    client->name = copy;
    pl_buf_init(&client->waiting);
    pl_buf_init(&client->sending);
    client->credentials = pl_tls_credentials_keep(credentials);
    if (set_up(client, err) == PL_OK)
        return client;
    pl_tls_client_free(client);
    return NULL;
}

void pl_tls_client_free(pl_tls_client *client)
{
    if (!client)
        return;
    SSL_free(client->ssl);
    pl_buf_dispose(&client->waiting);
    pl_buf_dispose(&client->sending);
    pl_tls_credentials_drop(client->credentials);
    pl_free(client->name);
    pl_free(client);
}

static pl_tls_state shake_hands(pl_tls_client *client, pl_error *err)
{
    const unsigned char *protocol;
    unsigned len;
    int result = SSL_do_handshake(client->ssl);
    if (result != 1 && SSL_get_error(client->ssl, result) == SSL_ERROR_WANT_READ)
        return PL_TLS_HANDSHAKE;
    if (result != 1)
        return fail(client, err);
    SSL_get0_alpn_selected(client->ssl, &protocol, &len);
    if (len != 2 || memcmp(protocol, "h2", 2) != 0) {
        pl_fail(&client->why, PL_UNAVAILABLE,
                "the server at %s has not agreed to HTTP/2 (ALPN h2), which gRPC needs", client->name);
        return fail(client, err);
    }
    client->is_open = true;
    return PL_TLS_OPEN;
}

static pl_tls_state read_plain(pl_tls_client *client, pl_buf *plain, pl_error *err)
{
    for (;;) {
        size_t len;
        if (!pl_buf_reserve(plain, READ_AT_ONCE)) {
            pl_fail_memory(&client->why);
            return fail(client, err);
        }
        ERR_clear_error();
        int result = SSL_read_ex(client->ssl, plain->data + plain->len, plain->cap - plain->len, &len);
        if (result == 1) {
            plain->len += len;
            continue;
        }
        int what = SSL_get_error(client->ssl, result);
        if (what == SSL_ERROR_WANT_READ)
            return PL_TLS_OPEN;
        return what == SSL_ERROR_ZERO_RETURN ? PL_TLS_ENDED : fail(client, err);
    }
}

pl_tls_state pl_tls_client_feed(pl_tls_client *client, pl_str bytes, pl_buf *plain, pl_error *err)
{
    pl_tls_state state = PL_TLS_OPEN;
    client->input = bytes;
    ERR_clear_error();
    if (client->has_failed)
        state = fail(client, err);
    else if (!client->is_open)
        state = shake_hands(client, err);
    if (state == PL_TLS_OPEN)
        state = read_plain(client, plain, err);
    client->input = PL_STR_NONE;
    return state;
}

pl_code pl_tls_client_write(pl_tls_client *client, pl_str plain, pl_error *err)
{
    size_t len;
    ERR_clear_error();
    if (!client->is_open || client->has_failed ||
        SSL_write_ex(client->ssl, plain.ptr, plain.len, &len) != 1 || client->waiting.failed) {
        fail(client, err);
        return PL_UNAVAILABLE;
    }
    return PL_OK;
}

void pl_tls_client_end(pl_tls_client *client)
{
    if (client->is_open && !client->has_failed)
        SSL_shutdown(client->ssl);
    ERR_clear_error();
}

pl_str pl_tls_client_take(pl_tls_client *client)
{
    pl_buf taken = client->waiting;
    client->waiting = client->sending;
    pl_buf_reset(&client->waiting, KEEP_OUTPUT);
    client->sending = taken;
    return pl_buf_view(&client->sending);
}

X509 *pl_tls_client_peer(const pl_tls_client *client)
{
    bool verified = client->is_open && SSL_get_verify_result(client->ssl) == X509_V_OK;
    return verified ? SSL_get0_peer_certificate(client->ssl) : NULL;
}
