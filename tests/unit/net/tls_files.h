/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_TLS_FILES_H
#define TEST_NET_TLS_FILES_H

/* A directory for one test program, and a certificate in it. Included after edge_harness.h. */

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static char directory[64];

static inline int make_directory(void **state)
{
    snprintf(directory, sizeof(directory), "/tmp/perilune-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
    const char *const names[] = {"socket", "file", "cert.pem", "key.pem", "other.pem", "broken.pem"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static inline void write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static inline void make_certificate(char *certificate, char *key, char *other_key, size_t room)
{
    snprintf(certificate, room, "%s/cert.pem", directory);
    snprintf(key, room, "%s/key.pem", directory);
    snprintf(other_key, room, "%s/other.pem", directory);
    EVP_PKEY *pair = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pair);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_sign(x, pair, EVP_sha256());
    FILE *file = fopen(certificate, "w");
    assert_non_null(file);
    PEM_write_X509(file, x);
    fclose(file);
    write_key(key, pair);
    write_key(other_key, other);
    X509_free(x);
    EVP_PKEY_free(pair);
    EVP_PKEY_free(other);
}

static inline SSL *tls_client(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    return ssl;
}

#endif
