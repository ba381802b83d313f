/* SPDX-License-Identifier: MIT */
#include "net/peer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#include "net/h2o_version.h"

#define MAX_NAMES 100 /* alternative names of one kind */

static int write_address(const struct sockaddr_storage *address, char *room, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        return snprintf(room, size, "%s:%u", host, ntohs(in->sin_port));
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
        /* An IPv4 client of a socket for both families is shown as what it is. */
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);
        if (mapped)
            inet_ntop(AF_INET, &in->sin6_addr.s6_addr[12], host, sizeof(host));
        else
            inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        return snprintf(room, size, mapped ? "%s:%u" : "[%s]:%u", host, ntohs(in->sin6_port));
    }
    return snprintf(room, size, "unix");
}

pl_str pl_socket_peer(h2o_socket_t *socket, char *room, size_t size)
{
    struct sockaddr_storage address;
    bool known = h2o_socket_getpeername(socket, (struct sockaddr *)&address) != 0;
    int len = known ? write_address(&address, room, size) : snprintf(room, size, "unknown");
    return (pl_str){room, (size_t)len};
}

pl_str pl_socket_local(h2o_socket_t *socket, char *room, size_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t address_len = sizeof(address);
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address;
    int len, path = 0;
    if (getsockname(h2o_socket_get_fd(socket), (struct sockaddr *)&address, &address_len) != 0)
        len = snprintf(room, size, "unknown");
    else if (address.ss_family != AF_UNIX)
        len = write_address(&address, room, size);
    else if ((path = (int)address_len - (int)offsetof(struct sockaddr_un, sun_path)) > 1)
        len = un->sun_path[0] ? snprintf(room, size, "unix:%.*s", path, un->sun_path)
                              : snprintf(room, size, "unix-abstract:%.*s", path - 1, un->sun_path + 1);
    else
        len = snprintf(room, size, "unix");
    return (pl_str){room, (size_t)len < size ? (size_t)len : size - 1};
}

void pl_socket_keep_alive(int fd)
{
    int on = 1, idle = 60, interval = 15, count = 4;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* --- certificates --- */
static pl_str read_bio(BIO *bio, pl_arena *arena)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    return pl_arena_str(arena, (pl_str){len > 0 ? bytes : "", len > 0 ? (size_t)len : 0});
}

static pl_str read_subject(X509 *certificate, pl_arena *arena)
{
    pl_str subject = PL_STR_NONE;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
        subject = read_bio(bio, arena);
    BIO_free(bio);
    return subject;
}

static pl_str read_common_name(X509 *certificate, pl_arena *arena)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *text = NULL;
    if (at < 0)
        return PL_STR("");
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    pl_str copy = len < 0 ? PL_STR("") : pl_arena_str(arena, (pl_str){(const char *)text, (size_t)len});
    if (len >= 0)
        OPENSSL_free(text);
    return copy;
}

static pl_str write_hex(const unsigned char *bytes, size_t len, pl_arena *arena)
{
    char *text = pl_arena_alloc(arena, len * 2 + 1);
    if (!text)
        return PL_STR_NONE;
    for (size_t i = 0; i < len; i++)
        snprintf(text + i * 2, 3, "%02x", bytes[i]);
    return (pl_str){text, len * 2};
}

static pl_str read_serial(X509 *certificate, pl_arena *arena)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    return write_hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), arena);
}

/* Alternative names of one kind. Names with a NUL in them are no names. */
static bool read_names(const GENERAL_NAMES *names, int kind, pl_arena *arena, const pl_str **list,
                       size_t *count)
{
    pl_str *out = pl_arena_array(arena, MAX_NAMES, sizeof(*out));
    if (!out)
        return false;
    *list = out;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && *count < MAX_NAMES; i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != kind)
            continue;
        pl_str text = {(const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
        if (memchr(text.ptr, '\0', text.len))
            continue;
        out[*count] = pl_arena_str(arena, text);
        if (!out[(*count)++].ptr)
            return false;
    }
    return true;
}

const pl_peer_certificate *pl_peer_certificate_read(X509 *certificate, pl_arena *arena)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    pl_peer_certificate *out = pl_arena_zalloc(arena, sizeof(*out));
    if (!out || X509_digest(certificate, EVP_sha256(), digest, &len) != 1)
        return NULL;
    out->subject = read_subject(certificate, arena);
    out->common_name = read_common_name(certificate, arena);
    out->serial = read_serial(certificate, arena);
    out->fingerprint = write_hex(digest, len, arena);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool ok = read_names(names, GEN_DNS, arena, &out->dns_names, &out->dns_name_count) &&
              read_names(names, GEN_URI, arena, &out->uris, &out->uri_count) &&
              read_names(names, GEN_EMAIL, arena, &out->emails, &out->email_count);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    ok = ok && out->subject.ptr && out->common_name.ptr && out->serial.ptr && out->fingerprint.ptr;
    return ok ? out : NULL;
}

const pl_peer_certificate *pl_socket_certificate(h2o_socket_t *socket, pl_arena *arena)
{
    const SSL *tls = pl_h2o_socket_tls(socket);
    X509 *certificate = tls ? SSL_get0_peer_certificate(tls) : NULL;
    if (!certificate || SSL_get_verify_result(tls) != X509_V_OK)
        return NULL;
    return pl_peer_certificate_read(certificate, arena);
}
