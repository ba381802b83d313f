/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_CERTIFICATES_H
#define TEST_NET_CERTIFICATES_H

/* Authorities and certificates for tests, written as PEM files to a directory of the test program's. */

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct authority {
    EVP_PKEY *key;
    X509 *certificate;
} authority;

static char directory[64];

/* In one of a few places, so that several can be used in one expression. */
static inline const char *in_directory(const char *name)
{
    static char paths[8][128];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static inline void make_test_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/perilune-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
}

static inline void remove_test_directory(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", directory);
    assert_int_equal(system(command), 0);
}

static inline void write_pem(const char *name, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fopen(in_directory(name), "w");
    assert_non_null(file);
    if (certificate)
        assert_int_equal(PEM_write_X509(file, certificate), 1);
    else
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static inline void add_extension(X509 *x, int id, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, id, value);
    assert_non_null(extension);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
}

/* names: as in openssl.cnf ("DNS:localhost,IP:127.0.0.1"), or NULL. valid_from, in seconds from now; for an
 * hour. */
static inline X509 *make_signed(const char *common_name, const char *names, long valid_from, EVP_PKEY *key,
                                const authority *by)
{
    static long serial = 1;
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), valid_from);
    X509_gmtime_adj(X509_getm_notAfter(x), valid_from + 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(x, by ? X509_get_subject_name(by->certificate) : X509_get_subject_name(x));
    if (!by)
        add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    if (names)
        add_extension(x, NID_subject_alt_name, names);
    assert_true(X509_sign(x, by ? by->key : key, EVP_sha256()) > 0);
    return x;
}

static inline authority make_authority(const char *common_name, const char *file)
{
    authority a = {.key = EVP_EC_gen("P-256")};
    a.certificate = make_signed(common_name, NULL, -60, a.key, NULL);
    write_pem(file, a.certificate, NULL);
    return a;
}

static inline void free_authority(authority *a)
{
    X509_free(a->certificate);
    EVP_PKEY_free(a->key);
}

/* NAME.pem and NAME.key */
static inline void make_certificate(const char *name, const char *names, long valid_from, const authority *by)
{
    char file[64];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = make_signed(name, names, valid_from, key, by);
    snprintf(file, sizeof(file), "%s.pem", name);
    write_pem(file, x, NULL);
    snprintf(file, sizeof(file), "%s.key", name);
    write_pem(file, NULL, key);
    X509_free(x);
    EVP_PKEY_free(key);
}

#endif
