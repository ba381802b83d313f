/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/certificates.h"
#include "net/peer.h"
#include "support/failing.h"

static bool is(pl_str s, const char *expected)
{
    return pl_str_is(s, expected);
}

static void all_that_a_certificate_says(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = make_signed("orders",
                          "DNS:a.example,DNS:b.example,URI:spiffe://example/orders,email:o@example.com,"
                          "IP:127.0.0.1",
                          -60, key, NULL);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "O", MBSTRING_UTF8,
                               (const unsigned char *)"Ex\xc3\xa4mple", -1, -1, 0);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 0x1234);
    X509_sign(x, key, EVP_sha256());
    pl_arena arena;
    pl_arena_init(&arena, 0);
    const pl_peer_certificate *c = pl_peer_certificate_read(x, &arena);
    assert_non_null(c);
    assert_true(is(c->common_name, "orders"));
    assert_true(is(c->subject, "O=Ex\\C3\\A4mple,CN=orders"));
    assert_true(is(c->serial, "1234"));
    assert_int_equal(c->fingerprint.len, 64);
    assert_int_equal(c->dns_name_count, 2);
    assert_true(is(c->dns_names[0], "a.example") && is(c->dns_names[1], "b.example"));
    assert_int_equal(c->uri_count, 1);
    assert_true(is(c->uris[0], "spiffe://example/orders"));
    assert_int_equal(c->email_count, 1);
    assert_true(is(c->emails[0], "o@example.com"));

    unsigned char digest[32];
    unsigned len = sizeof(digest);
    char expected[3];
    assert_int_equal(X509_digest(x, EVP_sha256(), digest, &len), 1);
    snprintf(expected, sizeof(expected), "%02x", digest[0]);
    assert_memory_equal(c->fingerprint.ptr, expected, 2);
    pl_arena_dispose(&arena);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void a_certificate_without_names(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = make_signed("x", NULL, -60, key, NULL);
    X509_NAME *nobody = X509_NAME_new();
    X509_set_subject_name(x, nobody);
    X509_NAME_free(nobody);
    X509_sign(x, key, EVP_sha256());
    pl_arena arena;
    pl_arena_init(&arena, 0);
    const pl_peer_certificate *c = pl_peer_certificate_read(x, &arena);
    assert_non_null(c);
    assert_true(is(c->common_name, ""));
    assert_true(is(c->subject, ""));
    assert_int_equal(c->dns_name_count + c->uri_count + c->email_count, 0);
    pl_arena_dispose(&arena);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* A name with a NUL in it is another one to whoever reads it as a C string. */
static void names_with_nul_are_none(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = make_signed("x", NULL, -60, key, NULL);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    const char *const texts[] = {"good.example\0.evil.example", "other.example"};
    const int lengths[] = {26, 13};
    for (int i = 0; i < 2; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, texts[i], lengths[i]);
        GENERAL_NAME_set0_value(name, GEN_DNS, text);
        sk_GENERAL_NAME_push(names, name);
    }
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
    X509_sign(x, key, EVP_sha256());
    pl_arena arena;
    pl_arena_init(&arena, 0);
    const pl_peer_certificate *c = pl_peer_certificate_read(x, &arena);
    assert_int_equal(c->dns_name_count, 1);
    assert_true(is(c->dns_names[0], "other.example"));
    pl_arena_dispose(&arena);
    GENERAL_NAMES_free(names);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void without_memory(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = make_signed("x", "DNS:a,DNS:b,URI:c:d,email:e@f", -60, key, NULL);
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        pl_arena_init(&arena, 16);
        failing_begin(&a);
        const pl_peer_certificate *c = pl_peer_certificate_read(x, &arena);
        assert_true(failing_end(&a) == (c == NULL));
        pl_arena_dispose(&arena);
    }
    assert_true(a.made > 5);
    X509_free(x);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_a_certificate_says),
        cmocka_unit_test(a_certificate_without_names),
        cmocka_unit_test(names_with_nul_are_none),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
