/* SPDX-License-Identifier: MIT */
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/jwk.h"
#include "auth/signer.h"
#include "support/failing.h"

static const pl_str input = PL_STR("what is signed");

static pl_jwk_set *read(const char *json)
{
    pl_jwk_set *set = NULL;
    pl_error err;
    if (pl_jwk_set_read(pl_str_of(json), true, true, &set, &err) != PL_OK)
        fail_msg("%s: %s", json, err.message);
    return set;
}

static pl_jws_result check(const pl_jwk_set *set, const signer *s, pl_jwa algorithm, const char *kid)
{
    pl_buf signature;
    pl_buf_init(&signature);
    signer_sign(s, algorithm, input, &signature);
    pl_jws_result result = pl_jwk_set_check(set, algorithm, pl_str_of(kid), input, pl_buf_view(&signature));
    pl_buf_dispose(&signature);
    return result;
}

/* Each algorithm with its own kind of key, from each form that keys have; and with no other kind. */
static void test_every_algorithm(void **state)
{
    for (pl_jwa a = PL_HS256; a < PL_JWA_COUNT; a++) {
        signer *s = signer_new(a), *other = signer_new(a);
        pl_buf json;
        pl_buf_init(&json);
        signer_jwks(s, "", &json);
        pl_buf_char(&json, '\0');
        pl_jwk_set *set = read(json.data);
        assert_int_equal(check(set, s, a, NULL), PL_JWS_RIGHT);
        assert_int_equal(check(set, other, a, NULL), PL_JWS_WRONG);
        for (pl_jwa b = PL_HS256; b < PL_JWA_COUNT; b++) {
            bool same_kind = pl_jwa_about(a)->kind == pl_jwa_about(b)->kind;
            assert_int_equal(pl_jwk_set_algorithms(set) >> b & 1, same_kind);
            if (!same_kind)
                assert_int_equal(pl_jwk_set_check(set, b, PL_STR_NONE, input, PL_STR("x")), PL_JWS_NO_KEY);
        }
        pl_jwk_set_unref(set);
        pl_buf_dispose(&json);
        signer_free(s);
        signer_free(other);
    }
}

static void test_other_hash_of_the_same_key(void **state)
{
    static const pl_jwa groups[][3] = {{PL_HS256, PL_HS384, PL_HS512}, {PL_RS256, PL_RS384, PL_PS256}};
    for (int g = 0; g < 2; g++) {
        signer *s = signer_new(groups[g][0]);
        pl_buf json, signature;
        pl_buf_init(&json);
        pl_buf_init(&signature);
        signer_jwks(s, "", &json);
        pl_buf_char(&json, '\0');
        pl_jwk_set *set = read(json.data);
        signer_sign(s, groups[g][0], input, &signature);
        for (int i = 0; i < 3; i++)
            assert_int_equal(pl_jwk_set_check(set, groups[g][i], PL_STR_NONE, input, pl_buf_view(&signature)),
                             i == 0 ? PL_JWS_RIGHT : PL_JWS_WRONG);
        pl_jwk_set_unref(set);
        pl_buf_dispose(&json);
        pl_buf_dispose(&signature);
        signer_free(s);
    }
}

/* Each bit of a signature counts, and so does its length. */
static void test_changed_signatures(void **state)
{
    static const pl_jwa algorithms[] = {PL_HS256, PL_RS256, PL_PS256, PL_ES256, PL_ES512, PL_EDDSA};
    for (size_t k = 0; k < sizeof algorithms / sizeof *algorithms; k++) {
        pl_jwa a = algorithms[k];
        signer *s = signer_new(a);
        pl_buf json, signature;
        pl_buf_init(&json);
        pl_buf_init(&signature);
        signer_jwk(s, "", &json);
        pl_buf_char(&json, '\0');
        pl_jwk_set *set = read(json.data);
        signer_sign(s, a, input, &signature);
        pl_buf_char(&signature, '\0');
        pl_str right = {signature.data, signature.len - 1};
        assert_int_equal(pl_jwk_set_check(set, a, PL_STR_NONE, input, right), PL_JWS_RIGHT);
        size_t step = right.len > 64 ? 13 : 1;
        for (size_t i = 0; i < right.len; i += step) {
            signature.data[i] ^= (char)(1 << i % 8);
            assert_int_equal(pl_jwk_set_check(set, a, PL_STR_NONE, input, right), PL_JWS_WRONG);
            signature.data[i] ^= (char)(1 << i % 8);
        }
        assert_int_equal(pl_jwk_set_check(set, a, PL_STR_NONE, PL_STR("what was signed"), right),
                         PL_JWS_WRONG);
        const pl_str lengths[] = {PL_STR(""),
                                  {right.ptr, 1},
                                  {right.ptr, right.len - 1},
                                  {right.ptr, right.len + 1},
                                  {right.ptr, right.len / 2}};
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(pl_jwk_set_check(set, a, PL_STR_NONE, input, lengths[i]), PL_JWS_WRONG);
        /* Zeros, and the largest numbers there are: r and s of no signature at all. */
        memset(signature.data, 0, right.len);
        assert_int_equal(pl_jwk_set_check(set, a, PL_STR_NONE, input, right), PL_JWS_WRONG);
        memset(signature.data, 0xFF, right.len);
        assert_int_equal(pl_jwk_set_check(set, a, PL_STR_NONE, input, right), PL_JWS_WRONG);
        pl_jwk_set_unref(set);
        pl_buf_dispose(&json);
        pl_buf_dispose(&signature);
        signer_free(s);
    }
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for TLS to stumble over */
}

static void test_ids(void **state)
{
    signer *a = signer_new(PL_ES256), *b = signer_new(PL_ES256), *c = signer_new(PL_ES256);
    pl_buf json;
    pl_buf_init(&json);
    pl_buf_printf(&json, "{\"keys\": [");
    signer_jwk(a, ", \"kid\": \"a\"", &json);
    pl_buf_char(&json, ',');
    signer_jwk(b, ", \"kid\": \"b\"", &json);
    pl_buf_printf(&json, "]}");
    pl_buf_char(&json, '\0');
    pl_jwk_set *set = read(json.data);
    assert_int_equal(pl_jwk_set_count(set), 2);
    assert_int_equal(check(set, a, PL_ES256, "a"), PL_JWS_RIGHT);
    assert_int_equal(check(set, b, PL_ES256, "b"), PL_JWS_RIGHT);
    assert_int_equal(check(set, a, PL_ES256, "b"), PL_JWS_WRONG);
    assert_int_equal(check(set, a, PL_ES256, "c"), PL_JWS_NO_KEY);
    assert_int_equal(check(set, a, PL_ES256, ""), PL_JWS_NO_KEY);  /* an id like any other */
    assert_int_equal(check(set, b, PL_ES256, NULL), PL_JWS_RIGHT); /* none: all are tried */
    assert_int_equal(check(set, c, PL_ES256, NULL), PL_JWS_WRONG);
    pl_jwk_set *again = read(json.data);
    assert_int_not_equal(pl_jwk_set_number(set), pl_jwk_set_number(again));
    pl_jwk_set_unref(again);
    pl_jwk_set_unref(pl_jwk_set_ref(set));
    assert_int_equal(check(set, a, PL_ES256, "a"), PL_JWS_RIGHT);
    pl_jwk_set_unref(set);
    pl_jwk_set_unref(NULL);
    /* A key without an id is good for tokens with any. */
    json.len = 0;
    signer_jwk(c, "", &json);
    pl_buf_char(&json, '\0');
    set = read(json.data);
    assert_int_equal(check(set, c, PL_ES256, "whatever"), PL_JWS_RIGHT);
    pl_jwk_set_unref(set);
    pl_buf_dispose(&json);
    signer_free(a);
    signer_free(b);
    signer_free(c);
}

/* "alg", "use" and "key_ops" say what a key may be used for. */
static void test_restrictions(void **state)
{
    signer *s = signer_new(PL_RS256);
    static const struct {
        const char *members;
        uint32_t algorithms; /* 0: it is not taken */
    } cases[] = {
        {", \"alg\": \"RS256\"", 1 << PL_RS256},
        {", \"alg\": \"PS512\", \"use\": \"sig\"", 1 << PL_PS512},
        {", \"key_ops\": [\"verify\"]", 63 << PL_RS256},
        {", \"key_ops\": [\"sign\", \"verify\"], \"use\": null, \"x5c\": [], \"more\": {}", 63 << PL_RS256},
        {", \"alg\": \"ES256\"", 0},
        {", \"alg\": \"HS256\"", 0},
        {", \"alg\": \"none\"", 0},
        {", \"alg\": \"RSA-OAEP\"", 0},
        {", \"use\": \"enc\"", 0},
        {", \"key_ops\": [\"encrypt\"]", 0},
        {", \"key_ops\": []", 0},
        {", \"kid\": 5", 0},
        {", \"use\": 5", 0},
        {", \"key_ops\": \"verify\"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_buf json;
        pl_jwk_set *set = NULL;
        pl_error err;
        pl_buf_init(&json);
        signer_jwks(s, cases[i].members, &json);
        pl_code code = pl_jwk_set_read(pl_buf_view(&json), false, true, &set, &err);
        assert_int_equal(code, cases[i].algorithms ? PL_OK : PL_INVALID_ARGUMENT);
        if (set)
            assert_int_equal(pl_jwk_set_algorithms(set), cases[i].algorithms);
        pl_jwk_set_unref(set);
        pl_buf_dispose(&json);
    }
    signer_free(s);
}

#define GOOD_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define GOOD_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static void test_errors(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "Unexpected end of JSON"},
        {"[]", "a set of keys is expected"},
        {"{\"keys\": {}}", "keys must be a list"},
        {"{\"keys\": []}", "keys is empty"},
        {"{\"keys\": [5]}", "keys[0] must be a map"},
        {"{}", "kty is missing"},
        {"{\"kty\": 1}", "kty must be a string"},
        {"{\"kty\": \"oct\"}", "k is missing"},
        {"{\"kty\": \"oct\", \"k\": \"!\"}", "k is not base64url"},
        {"{\"kty\": \"oct\", \"k\": \"AAAA\"}", "a secret of 3 bytes; HS256 needs at least 32"},
        {"{\"kty\": \"RSA\", \"e\": \"AQAB\"}", "n is missing"},
        {"{\"kty\": \"RSA\", \"n\": \"AQAB\"}", "e is missing"},
        {"{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\"}",
         "an RSA key of 17 bits; it must have 2048 to 8192"},
        {"{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQ\"}", "e is no public exponent"},
        {"{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AAAC\"}", "e is no public exponent"},
        {"{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQABAQABAQAB\"}", "e is no public exponent"},
        {"{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\"}]}", "keys[0].x is missing"},
        {"{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"" GOOD_X "\"}", "y is missing"},
        {"{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"" GOOD_X "\", \"y\": \"AAAA\"}",
         "y has the wrong length"},
        {"{\"kty\": \"EC\", \"crv\": \"P-384\", \"x\": \"" GOOD_X "\", \"y\": \"" GOOD_Y "\"}",
         "x has the wrong length"},
        {"{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"" GOOD_Y "\", \"y\": \"" GOOD_X "\"}",
         "no point of the curve"},
        {"{\"kty\": \"EC\", \"crv\": \"P-192\"}", "crv must be P-256, P-384 or P-521"},
        {"{\"kty\": \"OKP\", \"crv\": \"X25519\", \"x\": \"AAAA\"}", "crv must be Ed25519"},
        {"{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AAAA\"}", "x is no key of the curve"},
        {"{\"kty\": \"EC\", \"kty\": \"RSA\"}", "kty"},
        {"{\"keys\": [{\"kty\": \"new\"}]}",
         "none of the keys can be used; the last one: keys[0].kty must be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_jwk_set *set = NULL;
        pl_error err;
        if (pl_jwk_set_read(pl_str_of(cases[i].json), true, true, &set, &err) != PL_INVALID_ARGUMENT)
            fail_msg("%s: taken", cases[i].json);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].json, err.message);
        assert_null(set);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

#define EC_KEY "{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"" GOOD_X "\", \"y\": \"" GOOD_Y "\"}"
#define SECRET "{\"kty\": \"oct\", \"k\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"

static void test_sets_with_others(void **state)
{
    static const char text[] =
        "{\"keys\": [{\"kty\": \"new\"}, {\"kty\": \"EC\", \"crv\": \"secp256k1\"}, " EC_KEY
        ", {\"kty\": \"RSA\", \"use\": \"enc\"}]}";
    pl_jwk_set *set = read(text); /* what is for something else is no error */
    assert_int_equal(pl_jwk_set_count(set), 1);
    pl_jwk_set_unref(set);
    pl_error err;
    static const char broken[] =
        "{\"keys\": [" EC_KEY ", {\"kty\": \"RSA\", \"n\": \"!\", \"e\": \"AQAB\"}]}";
    assert_int_equal(pl_jwk_set_read(pl_str_of(broken), true, true, &set, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_jwk_set_read(pl_str_of(broken), false, true, &set, &err), PL_OK);
    assert_int_equal(pl_jwk_set_count(set), 1);
    pl_jwk_set_unref(set);
    /* Secrets from where anybody can fetch them. */
    static const char secrets[] = "{\"keys\": [" SECRET ", " EC_KEY "]}";
    assert_int_equal(pl_jwk_set_read(pl_str_of(secrets), false, false, &set, &err), PL_OK);
    assert_int_equal(pl_jwk_set_count(set), 1);
    assert_int_equal(pl_jwk_set_algorithms(set), 1 << PL_ES256);
    pl_jwk_set_unref(set);
    assert_int_equal(pl_jwk_set_read(PL_STR(SECRET), false, false, &set, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_jwk_set_read(PL_STR(SECRET), false, true, &set, &err), PL_OK);
    assert_int_equal(pl_jwk_set_algorithms(set), 1 << PL_HS256); /* too short for the others */
    pl_jwk_set_unref(set);
    /* Too many. */
    pl_buf json;
    pl_buf_init(&json);
    pl_buf_printf(&json, "{\"keys\": [");
    for (int i = 0; i <= PL_MOST_KEYS; i++)
        pl_buf_printf(&json, "%s" EC_KEY, i ? "," : "");
    pl_buf_printf(&json, "]}");
    assert_int_equal(pl_jwk_set_read(pl_buf_view(&json), false, true, &set, &err), PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "more than 128 keys"));
    pl_buf_dispose(&json);
}

static void test_secrets(void **state)
{
    static const struct {
        pl_str secret;
        const char *message;
    } cases[] = {
        {PL_STR(""), "a secret of 0 bytes"},
        {PL_STR("0123456789012345678901234567890"), "a secret of 31 bytes"},
        {PL_STR("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"),
         "the secret is a key file"},
        {PL_STR("  -----BEGIN CERTIFICATE-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"),
         "the secret is a key file"},
        {PL_STR("{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTb\"}"),
         "the secret is a key file"},
        {PL_STR("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7"), "the secret is a key file"},
    };
    pl_jwk_set *set = NULL;
    pl_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pl_jwk_set_secret(cases[i].secret, &set, &err), PL_INVALID_ARGUMENT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s", err.message);
        assert_null(strstr(err.message, "0123"));
    }
    assert_int_equal(pl_jwk_set_secret(PL_STR("01234567890123456789012345678901"), &set, &err), PL_OK);
    assert_int_equal(pl_jwk_set_algorithms(set), 1 << PL_HS256);
    pl_jwk_set_unref(set);
}

static void test_pem(void **state)
{
    static const pl_jwa algorithms[] = {PL_RS256, PL_ES256, PL_ES384, PL_ES512, PL_EDDSA};
    pl_buf all;
    pl_error err;
    pl_jwk_set *set = NULL;
    signer *signers[5];
    pl_buf_init(&all);
    pl_buf_printf(&all, "# text before\n");
    for (int i = 0; i < 5; i++) {
        signers[i] = signer_new(algorithms[i]);
        signer_pem(signers[i], false, &all);
    }
    assert_int_equal(pl_jwk_set_pem(pl_buf_view(&all), &set, &err), PL_OK);
    assert_int_equal(pl_jwk_set_count(set), 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(check(set, signers[i], algorithms[i], "any"), PL_JWS_RIGHT);
    assert_int_equal(check(set, signers[0], PL_PS256, NULL), PL_JWS_RIGHT);
    pl_jwk_set_unref(set);
    all.len = 0;
    signer_pem(signers[0], true, &all);
    assert_int_equal(pl_jwk_set_pem(pl_buf_view(&all), &set, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "key 1 is a private key: to check tokens the public one is enough");
    all.len = 0;
    signer_pem(signers[1], false, &all);
    pl_buf_printf(&all, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    assert_int_equal(pl_jwk_set_pem(pl_buf_view(&all), &set, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "key 2 is no public key or certificate in PEM form");
    assert_int_equal(pl_jwk_set_pem(PL_STR("hello"), &set, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_jwk_set_pem(PL_STR(""), &set, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(ERR_peek_error(), 0);
    for (int i = 0; i < 5; i++)
        signer_free(signers[i]);
    pl_buf_dispose(&all);
}

static void test_no_memory(void **state)
{
    static const char text[] =
        "{\"keys\": [" SECRET ", {\"kty\": \"EC\", \"kid\": \"a\", \"crv\": \"P-256\", \"x\": \"" GOOD_X
        "\", \"y\": \"" GOOD_Y "\"}]}";
    failing a = {0};
    while (failing_next(&a)) {
        pl_jwk_set *set = NULL;
        pl_error err;
        failing_begin(&a);
        pl_code code = pl_jwk_set_read(pl_str_of(text), false, true, &set, &err);
        if (failing_end(&a))
            assert_true(code == PL_RESOURCE_EXHAUSTED && !set);
        else
            assert_int_equal(code, PL_OK);
        pl_jwk_set_unref(set);
    }
    failing b = {0};
    while (failing_next(&b)) {
        pl_jwk_set *set = NULL;
        pl_error err;
        failing_begin(&b);
        pl_code code = pl_jwk_set_secret(PL_STR("01234567890123456789012345678901"), &set, &err);
        assert_int_equal(code, failing_end(&b) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        pl_jwk_set_unref(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_algorithm),
        cmocka_unit_test(test_other_hash_of_the_same_key),
        cmocka_unit_test(test_changed_signatures),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_restrictions),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_sets_with_others),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_pem),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
