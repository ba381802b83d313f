/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/jwt.h"
#include "auth/signer.h"
#include "support/failing.h"

#define ALL (((uint32_t)1 << PL_JWA_COUNT) - 1)

static pl_arena arena;

static int setup(void **state)
{
    pl_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    pl_arena_dispose(&arena);
    return 0;
}

static pl_jwk_set *keys_of(const char *json)
{
    pl_jwk_set *set = NULL;
    pl_error err;
    if (pl_jwk_set_read(pl_str_of(json), true, true, &set, &err) != PL_OK)
        fail_msg("%s", err.message);
    return set;
}

static pl_jwk_set *keys_with(const signer *s, const char *members)
{
    pl_buf json;
    pl_buf_init(&json);
    signer_jwks(s, members, &json);
    pl_buf_char(&json, '\0');
    pl_jwk_set *set = keys_of(json.data);
    pl_buf_dispose(&json);
    return set;
}

/* --- the examples of the RFCs --- */
#define RFC7515_CLAIMS \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RFC7515_N                                                                                           \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT" \
    "-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"      \
    "KXBdQOS"                                                                                               \
    "-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"          \
    "h9iaGNj8q2et"                                                                                          \
    "hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"

static const struct {
    const char *name, *jwk, *token;
} claims_examples[] = {
    {"RFC 7515 A.1, HS256",
     "{\"kty\": \"oct\", \"k\": "
     "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC7515_CLAIMS
     ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    {"RFC 7515 A.2, RS256", "{\"kty\": \"RSA\", \"n\": \"" RFC7515_N "\", \"e\": \"AQAB\"}",
     "eyJhbGciOiJSUzI1NiJ9." RFC7515_CLAIMS
     ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
     "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ"
     "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
     "xi12jzDwusC-eOk"
     "HWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
     "IoypGlUPQGe77Rw"},
    {"RFC 7515 A.3, ES256",
     "{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\", \"y\": "
     "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9." RFC7515_CLAIMS
     ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
};

static void test_rfc_claims(void **state)
{
    for (size_t i = 0; i < sizeof claims_examples / sizeof *claims_examples; i++) {
        pl_jwk_set *keys = keys_of(claims_examples[i].jwk);
        pl_str issuer = PL_STR("joe");
        pl_jwt_rules rules = {.algorithms = ALL, .issuers = &issuer, .issuer_count = 1};
        pl_jwt jwt;
        pl_str token = pl_str_of(claims_examples[i].token);
        if (pl_jwt_check(&arena, token, &rules, keys, 1300819379, &jwt) != PL_JWT_GOOD)
            fail_msg("%s: %s", claims_examples[i].name, jwt.why);
        const pl_value *root = pl_value_member(&jwt.claims, PL_STR("http://example.com/is_root"));
        assert_true(root && root->kind == PL_KIND_BOOL && root->boolean);
        assert_true(jwt.times.ends == 1300819380 && jwt.times.begins == -INFINITY);
        assert_int_equal(pl_jwt_check(&arena, token, &rules, keys, 1300819380, &jwt), PL_JWT_EXPIRED);
        pl_jwk_set_unref(keys);
    }
}

/* Signatures whose payload is no token. */
static void test_rfc_signatures(void **state)
{
#define RFC7520_INPUT                                                                                        \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm" \
    "9hZCwgYW5k"                                                                                             \
    "IGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG" \
    "9mZiB0by4"
    static const struct {
        const char *name, *jwk, *kid, *input, *signature;
        pl_jwa algorithm;
    } cases[] = {
        {"RFC 7515 A.4, ES512",
         "{\"kty\": \"EC\", \"crv\": \"P-521\", \"x\": "
         "\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\", "
         "\"y\": "
         "\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}",
         NULL, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
         "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
         "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX"
         "3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
         PL_ES512},
        {"RFC 7520 4.2, PS384",
         "{\"kty\": \"RSA\", \"kid\": \"bilbo.baggins@hobbiton.example\", \"use\": \"sig\", \"n\": "
         "\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_"
         "AJmSCpMaJMRBSFKrKb2wqVwGU_"
         "NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-"
         "OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0Z"
         "CuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__"
         "kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\", "
         "\"e\": \"AQAB\"}",
         "bilbo.baggins@hobbiton.example",
         "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." RFC7520_INPUT,
         "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-"
         "tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrh"
         "iUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_"
         "ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2"
         "Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_"
         "jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
         PL_PS384},
        {"RFC 8037 A.4, Ed25519",
         "{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         NULL, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
         "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", PL_EDDSA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_jwk_set *keys = keys_of(cases[i].jwk);
        pl_jwt_rules rules = {.algorithms = ALL};
        char token[2048];
        pl_jwt jwt;
        snprintf(token, sizeof token, "%s.%s", cases[i].input, cases[i].signature);
        /* The signature is right, and only then it is seen that there are no claims. */
        assert_int_equal(pl_jwt_check(&arena, pl_str_of(token), &rules, keys, 0, &jwt), PL_JWT_MALFORMED);
        if (strcmp(jwt.why, "the claims are no JSON object") != 0)
            fail_msg("%s: %s", cases[i].name, jwt.why);
        token[strlen(cases[i].input) - 1] ^= 1;
        assert_int_equal(pl_jwt_check(&arena, pl_str_of(token), &rules, keys, 0, &jwt), PL_JWT_SIGNATURE);
        pl_jwk_set_unref(keys);
    }
}

/* RFC 7519, section 6.1: an unsecured token. */
static void test_rfc_unsecured(void **state)
{
    pl_jwk_set *keys = keys_of(claims_examples[0].jwk);
    pl_jwt_rules rules = {.algorithms = ALL};
    pl_jwt jwt;
    assert_int_equal(
        pl_jwt_check(&arena, PL_STR("eyJhbGciOiJub25lIn0." RFC7515_CLAIMS "."), &rules, keys, 0, &jwt),
        PL_JWT_ALGORITHM);
    pl_jwk_set_unref(keys);
}

/* --- tokens of every algorithm --- */
static void test_every_algorithm(void **state)
{
    for (pl_jwa a = PL_HS256; a < PL_JWA_COUNT; a++) {
        signer *s = signer_new(a);
        pl_jwk_set *keys = keys_with(s, ", \"kid\": \"one\"");
        pl_buf token;
        pl_jwt jwt;
        pl_buf_init(&token);
        signer_token(s, a, "one", "{\"sub\": \"7\"}", &token);
        for (pl_jwa b = PL_HS256; b < PL_JWA_COUNT; b++) { /* the token's word does not matter */
            pl_jwt_rules rules = {.algorithms = (uint32_t)1 << b};
            assert_int_equal(pl_jwt_check(&arena, pl_buf_view(&token), &rules, keys, 0, &jwt),
                             a == b ? PL_JWT_GOOD : PL_JWT_ALGORITHM);
        }
        pl_buf_dispose(&token);
        pl_jwk_set_unref(keys);
        signer_free(s);
    }
}

/* --- forged ones --- */
typedef struct forgery {
    signer *rsa, *ec, *secret, *stranger;
    pl_jwk_set *keys; /* of the first three */
    pl_buf token;
} forgery;

static pl_jwt_verdict try(forgery *f, uint32_t algorithms)
{
    pl_jwt_rules rules = {.algorithms = algorithms};
    pl_jwt jwt;
    pl_jwt_verdict verdict = pl_jwt_check(&arena, pl_buf_view(&f->token), &rules, f->keys, 100, &jwt);
    assert_true((verdict == PL_JWT_GOOD) == (jwt.why[0] == '\0'));
    f->token.len = 0;
    return verdict;
}

static forgery begin(void)
{
    forgery f = {
        signer_new(PL_RS256), signer_new(PL_ES256), signer_new(PL_HS256), signer_new(PL_RS256), NULL, {0}};
    pl_buf json;
    pl_buf_init(&json);
    pl_buf_init(&f.token);
    pl_buf_printf(&json, "{\"keys\": [");
    signer_jwk(f.rsa, ", \"kid\": \"rsa\"", &json);
    pl_buf_char(&json, ',');
    signer_jwk(f.ec, ", \"kid\": \"ec\"", &json);
    pl_buf_char(&json, ',');
    signer_jwk(f.secret, ", \"kid\": \"secret\"", &json);
    pl_buf_printf(&json, "]}");
    pl_buf_char(&json, '\0');
    f.keys = keys_of(json.data);
    pl_buf_dispose(&json);
    return f;
}

static void end(forgery *f)
{
    pl_jwk_set_unref(f->keys);
    signer_free(f->rsa);
    signer_free(f->ec);
    signer_free(f->secret);
    signer_free(f->stranger);
    pl_buf_dispose(&f->token);
}

/* Signed with the public key's own text as a secret, in each form that an attacker may have it. */
static void test_key_confusion(void **state)
{
    forgery f = begin();
    pl_buf forms[4];
    for (int i = 0; i < 4; i++)
        pl_buf_init(&forms[i]);
    signer_pem(f.rsa, false, &forms[0]);
    signer_pem(f.rsa, false, &forms[1]);
    forms[1].len--; /* without the last line's end */
    signer_jwk(f.rsa, "", &forms[2]);
    signer_jwks(f.rsa, ", \"kid\": \"rsa\"", &forms[3]);
    for (int i = 0; i < 4; i++) {
        static const char *const kids[] = {NULL, "rsa", "secret"};
        signer *s = signer_secret(pl_buf_view(&forms[i]));
        for (int k = 0; k < 3; k++) {
            signer_token(s, PL_HS256, kids[k], "{}", &f.token);
            pl_jwt_verdict verdict = try(&f, ALL);
            assert_true(verdict == PL_JWT_SIGNATURE || verdict == PL_JWT_NO_KEY);
            signer_token(s, PL_HS256, kids[k], "{}", &f.token);
            assert_int_equal(try(&f, 1 << PL_RS256 | 1 << PL_ES256), PL_JWT_ALGORITHM);
        }
        signer_free(s);
        pl_buf_dispose(&forms[i]);
    }
    end(&f);
}

static void test_forged_headers(void **state)
{
    forgery f = begin();
    pl_buf own; /* the stranger's key, which the token brings along */
    char header[4096];
    pl_buf_init(&own);
    signer_jwk(f.stranger, "", &own);
    static const struct {
        const char *header; /* %s: the stranger's key */
        pl_jwt_verdict verdict;
    } cases[] = {
        {"{\"alg\": \"RS256\"}", PL_JWT_SIGNATURE},
        {"{\"alg\": \"RS256\", \"kid\": \"rsa\"}", PL_JWT_SIGNATURE},
        {"{\"alg\": \"RS256\", \"kid\": \"rsa\", \"jwk\": %s}", PL_JWT_SIGNATURE},
        {"{\"alg\": \"RS256\", \"kid\": \"other\", \"jku\": \"http://evil.example/keys\"}", PL_JWT_NO_KEY},
        {"{\"alg\": \"RS256\", \"kid\": \"rsa\", \"x5u\": \"http://evil.example/cert\", \"x5c\": [\"AAAA\"]}",
         PL_JWT_SIGNATURE},
        {"{\"alg\": \"RS256\", \"kid\": \"../../etc/passwd\"}", PL_JWT_NO_KEY},
        {"{\"alg\": \"RS256\", \"kid\": \"rsa' OR '1'='1\"}", PL_JWT_NO_KEY},
        {"{\"alg\": \"RS256\", \"kid\": \"ec\"}", PL_JWT_NO_KEY},     /* a key of another kind */
        {"{\"alg\": \"RS256\", \"kid\": \"secret\"}", PL_JWT_NO_KEY}, /* a secret */
        {"{\"alg\": \"RS256\", \"kid\": 7}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"kid\": null}", PL_JWT_MALFORMED},
        {"{\"alg\": \"none\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"None\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"NONE\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"nOnE\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"rs256\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"RS256 \"}", PL_JWT_ALGORITHM},
        {"{\"alg\": \"RSA-OAEP\"}", PL_JWT_ALGORITHM},
        {"{\"alg\": null}", PL_JWT_MALFORMED},
        {"{\"alg\": [\"RS256\"]}", PL_JWT_MALFORMED},
        {"{\"alg\": 256}", PL_JWT_MALFORMED},
        {"{}", PL_JWT_MALFORMED},
        {"{\"ALG\": \"RS256\"}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"alg\": \"none\"}", PL_JWT_MALFORMED}, /* each reader might see another one */
        {"{\"alg\": \"none\", \"alg\": \"RS256\"}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"crit\": [\"exp\"], \"exp\": 5}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"crit\": []}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"b64\": false, \"crit\": [\"b64\"]}", PL_JWT_MALFORMED},
        {"[\"RS256\"]", PL_JWT_MALFORMED},
        {"\"RS256\"", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\"", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\"} ", PL_JWT_SIGNATURE},
        {"{\"alg\": \"RS256\"}x", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\\u0000\"}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"x\": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}", PL_JWT_MALFORMED},
        {"{\"alg\": \"RS256\", \"x\": \"\xFF\"}", PL_JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *hole = strstr(cases[i].header, "%s");
        snprintf(header, sizeof header, "%.*s%.*s%s", (int)(hole ? hole - cases[i].header : 4000),
                 cases[i].header, hole ? (int)own.len : 0, own.data, hole ? hole + 2 : "");
        signer_token_of(f.stranger, PL_RS256, header, "{\"sub\": \"admin\"}", &f.token);
        pl_jwt_verdict verdict = try(&f, ALL);
        if (verdict != cases[i].verdict)
            fail_msg("%s: %s", header, pl_jwt_verdict_name(verdict));
    }
    /* The right key, and still not the right token. */
    signer_token_of(f.rsa, PL_RS256, "{\"alg\": \"RS256\", \"crit\": [\"exp\"]}", "{}", &f.token);
    assert_int_equal(try(&f, ALL), PL_JWT_MALFORMED);
    signer_token_of(f.rsa, PL_RS256, "{\"alg\": \"PS256\", \"kid\": \"rsa\"}", "{}", &f.token);
    assert_int_equal(try(&f, ALL), PL_JWT_SIGNATURE);
    signer_token_of(f.rsa, PL_RS256, "{\"alg\": \"RS256\", \"kid\": \"rsa\"}", "{}", &f.token);
    assert_int_equal(try(&f, ALL), PL_JWT_GOOD);
    pl_buf_dispose(&own);
    end(&f);
}

/* The right signature, and another text: parts moved, cut, padded, exchanged. */
static void test_changed_tokens(void **state)
{
    forgery f = begin();
    pl_buf right;
    pl_buf_init(&right);
    signer_token(f.ec, PL_ES256, "ec", "{\"sub\": \"7\", \"role\": \"user\"}", &right);
    pl_buf_str(&f.token, pl_buf_view(&right));
    assert_int_equal(try(&f, ALL), PL_JWT_GOOD);
    for (size_t i = 0; i < right.len; i++) { /* any character */
        pl_buf_str(&f.token, pl_buf_view(&right));
        f.token.data[i] = right.data[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(try(&f, ALL), PL_JWT_GOOD);
    }
    for (size_t i = 0; i < right.len; i++) { /* cut anywhere */
        pl_buf_append(&f.token, right.data, i);
        assert_int_not_equal(try(&f, ALL), PL_JWT_GOOD);
        pl_buf_append(&f.token, right.data + i + 1, right.len - i - 1);
        assert_int_not_equal(try(&f, ALL), PL_JWT_GOOD);
    }
    static const char *const formats[] = {"%s.", ".%s",  " %s",     "%s ",          "%s\n",
                                          "%s=", "%s==", "%s.AAAA", "%s.AAAA.AAAA", "\"%s\""};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const char *hole = strstr(formats[i], "%s");
        pl_buf_append(&f.token, formats[i], (size_t)(hole - formats[i]));
        pl_buf_str(&f.token, pl_buf_view(&right));
        pl_buf_str(&f.token, pl_str_of(hole + 2));
        assert_int_equal(try(&f, ALL), PL_JWT_MALFORMED);
    }
    static const char *const texts[] = {"",         ".",        "..",       "...",    "a.b.c",
                                        "e30.e30.", "e30..e30", ".e30.e30", "e30.e30"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pl_buf_str(&f.token, pl_str_of(texts[i]));
        assert_int_equal(try(&f, ALL), PL_JWT_MALFORMED);
    }
    /* No signature at all, under a header that names an algorithm. */
    pl_str whole = pl_buf_view(&right);
    pl_buf_append(&f.token, whole.ptr,
                  (size_t)((const char *)memrchr(whole.ptr, '.', whole.len) - whole.ptr) + 1);
    assert_int_equal(try(&f, ALL), PL_JWT_SIGNATURE);
    pl_buf_dispose(&right);
    end(&f);
}

static void test_sizes(void **state)
{
    forgery f = begin();
    pl_buf claims;
    pl_buf_init(&claims);
    static const struct {
        size_t more;
        pl_jwt_verdict verdict;
    } cases[] = {{11000, PL_JWT_GOOD}, {12500, PL_JWT_MALFORMED}, {5000000, PL_JWT_MALFORMED}};
    for (int i = 0; i < 3; i++) {
        claims.len = 0;
        pl_buf_printf(&claims, "{\"x\": \"");
        for (size_t n = 0; n < cases[i].more; n++)
            pl_buf_char(&claims, 'x');
        pl_buf_printf(&claims, "\"}");
        pl_buf_char(&claims, '\0');
        signer_token(f.secret, PL_HS256, "secret", claims.data, &f.token);
        assert_int_equal(try(&f, ALL), cases[i].verdict);
    }
    /* A long header, a long id, a long signature. */
    char text[6000], header[6200];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    snprintf(header, sizeof header, "{\"alg\": \"HS256\", \"x\": \"%s\"}", text);
    signer_token_of(f.secret, PL_HS256, header, "{}", &f.token);
    assert_int_equal(try(&f, ALL), PL_JWT_MALFORMED);
    snprintf(header, sizeof header, "{\"alg\": \"HS256\", \"kid\": \"%.1500s\"}", text);
    signer_token_of(f.secret, PL_HS256, header, "{}", &f.token);
    assert_int_equal(try(&f, ALL), PL_JWT_MALFORMED);
    pl_buf_printf(&f.token, "eyJhbGciOiJIUzI1NiJ9.e30.%s", text);
    assert_int_equal(try(&f, ALL), PL_JWT_MALFORMED);
    /* A setting. */
    signer_token(f.secret, PL_HS256, "secret", "{}", &f.token);
    pl_jwt_rules rules = {.algorithms = ALL, .max_size = f.token.len};
    pl_jwt jwt;
    assert_int_equal(pl_jwt_check(&arena, pl_buf_view(&f.token), &rules, f.keys, 0, &jwt), PL_JWT_GOOD);
    rules.max_size--;
    assert_int_equal(pl_jwt_check(&arena, pl_buf_view(&f.token), &rules, f.keys, 0, &jwt), PL_JWT_MALFORMED);
    pl_buf_dispose(&claims);
    end(&f);
}

/* --- claims --- */
#define NOW 1000

static void test_claims(void **state)
{
    static const pl_str issuers[] = {PL_STR("https://a.example"), PL_STR("b")};
    static const pl_str audiences[] = {PL_STR("api"), PL_STR("web")};
    static const pl_str required[] = {PL_STR("exp"), PL_STR("sub")};
    static const pl_jwt_rules open = {.algorithms = ALL};
    static const pl_jwt_rules strict = {.algorithms = ALL,
                                        .issuers = issuers,
                                        .issuer_count = 2,
                                        .audiences = audiences,
                                        .audience_count = 2,
                                        .required = required,
                                        .required_count = 2,
                                        .leeway = 10};
    static const pl_jwt_rules any_audience = {.algorithms = ALL, .any_audience = true};
    static const pl_jwt_rules aged = {.algorithms = ALL, .max_age = 100, .leeway = 10};
#define OURS "\"iss\": \"b\", \"aud\": \"web\", \"sub\": \"7\", \"exp\": 2000"
    static const struct {
        const pl_jwt_rules *rules;
        const char *claims;
        pl_jwt_verdict verdict;
    } cases[] = {
        {&open, "{}", PL_JWT_GOOD},
        {&open, "{\"exp\": 1001}", PL_JWT_GOOD},
        {&open, "{\"exp\": 1000.5}", PL_JWT_GOOD},
        {&open, "{\"exp\": 1000}", PL_JWT_EXPIRED},
        {&open, "{\"exp\": 0}", PL_JWT_EXPIRED},
        {&open, "{\"exp\": -5}", PL_JWT_EXPIRED},
        {&open, "{\"exp\": 1e9}", PL_JWT_GOOD},
        {&open, "{\"exp\": 1e300}", PL_JWT_CLAIMS},
        {&open, "{\"exp\": 9223372036854775807}", PL_JWT_CLAIMS},
        {&open, "{\"exp\": \"2000\"}", PL_JWT_CLAIMS},
        {&open, "{\"exp\": null}", PL_JWT_CLAIMS},
        {&open, "{\"exp\": true}", PL_JWT_CLAIMS},
        {&open, "{\"exp\": [2000]}", PL_JWT_CLAIMS},
        {&open, "{\"exp\": 2000, \"exp\": 5}", PL_JWT_MALFORMED},
        {&open, "{\"nbf\": 1000}", PL_JWT_GOOD},
        {&open, "{\"nbf\": 1001}", PL_JWT_EARLY},
        {&open, "{\"nbf\": \"0\"}", PL_JWT_CLAIMS},
        {&open, "{\"nbf\": 1001, \"exp\": 999}", PL_JWT_EXPIRED},
        {&open, "{\"iat\": 5000}", PL_JWT_GOOD},
        {&open, "{\"iat\": \"x\"}", PL_JWT_CLAIMS},
        {&open, "{\"aud\": \"api\"}", PL_JWT_CLAIMS}, /* it is for somebody, and we are nobody */
        {&open, "{\"iss\": \"x\"}", PL_JWT_GOOD},
        {&any_audience, "{\"aud\": \"x\"}", PL_JWT_GOOD},
        {&any_audience, "{\"aud\": 5}", PL_JWT_GOOD},
        {&strict, "{" OURS "}", PL_JWT_GOOD},
        {&strict, "{\"iss\": \"https://a.example\", \"aud\": [\"x\", \"api\"], \"sub\": \"7\", \"exp\": 991}",
         PL_JWT_GOOD},
        {&strict, "{\"iss\": \"b\", \"aud\": \"web\", \"sub\": \"7\", \"exp\": 990}", PL_JWT_EXPIRED},
        {&strict, "{" OURS ", \"nbf\": 1010}", PL_JWT_GOOD},
        {&strict, "{" OURS ", \"nbf\": 1011}", PL_JWT_EARLY},
        {&strict, "{\"iss\": \"https://a.example/\", \"aud\": \"web\", \"sub\": \"7\", \"exp\": 2000}",
         PL_JWT_CLAIMS},
        {&strict, "{\"iss\": [\"b\"], \"aud\": \"web\", \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"aud\": \"web\", \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": \"Web\", \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": [], \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": [[\"web\"], 5], \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": {\"web\": 1}, \"sub\": \"7\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": \"web\", \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": \"web\", \"sub\": null, \"exp\": 2000}", PL_JWT_CLAIMS},
        {&strict, "{\"iss\": \"b\", \"aud\": \"web\", \"sub\": \"7\"}", PL_JWT_CLAIMS},
        {&aged, "{}", PL_JWT_CLAIMS},
        {&aged, "{\"iat\": 891}", PL_JWT_GOOD},
        {&aged, "{\"iat\": 890}", PL_JWT_EXPIRED},
        {&aged, "{\"iat\": 1010}", PL_JWT_GOOD},
        {&aged, "{\"iat\": 1011}", PL_JWT_EARLY},
        {&aged, "{\"iat\": 950, \"exp\": 980}", PL_JWT_EXPIRED},
        {&open, "[]", PL_JWT_MALFORMED},
        {&open, "\"sub\"", PL_JWT_MALFORMED},
        {&open, "5", PL_JWT_MALFORMED},
        {&open, "null", PL_JWT_MALFORMED},
        {&open, "{\"sub\": \"\\u0000\"}", PL_JWT_MALFORMED},
        {&open, "{\"sub\": \"\xC0\xAF\"}", PL_JWT_MALFORMED},
        {&open, "{\"a\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", PL_JWT_MALFORMED},
    };
    signer *s = signer_new(PL_HS256);
    pl_jwk_set *keys = keys_with(s, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_buf token;
        pl_jwt jwt;
        pl_buf_init(&token);
        signer_token(s, PL_HS256, NULL, cases[i].claims, &token);
        pl_jwt_verdict verdict = pl_jwt_check(&arena, pl_buf_view(&token), cases[i].rules, keys, NOW, &jwt);
        if (verdict != cases[i].verdict)
            fail_msg("%s: %s (%s)", cases[i].claims, pl_jwt_verdict_name(verdict), jwt.why);
        pl_buf_dispose(&token);
    }
    pl_jwk_set_unref(keys);
    signer_free(s);
}

static void test_types(void **state)
{
    static const struct {
        const char *header;
        pl_jwt_verdict verdict;
    } cases[] = {
        {"{\"alg\": \"HS256\", \"typ\": \"at+jwt\"}", PL_JWT_GOOD},
        {"{\"alg\": \"HS256\", \"typ\": \"AT+JWT\"}", PL_JWT_GOOD},
        {"{\"alg\": \"HS256\", \"typ\": \"application/at+jwt\"}", PL_JWT_GOOD},
        {"{\"alg\": \"HS256\", \"typ\": \"JWT\"}", PL_JWT_CLAIMS},
        {"{\"alg\": \"HS256\", \"typ\": \"application/\"}", PL_JWT_CLAIMS},
        {"{\"alg\": \"HS256\", \"typ\": 5}", PL_JWT_CLAIMS},
        {"{\"alg\": \"HS256\"}", PL_JWT_CLAIMS},
    };
    signer *s = signer_new(PL_HS256);
    pl_jwk_set *keys = keys_with(s, "");
    const pl_jwt_rules rules = {.algorithms = ALL, .type = PL_STR("at+jwt")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_buf token;
        pl_jwt jwt;
        pl_buf_init(&token);
        signer_token_of(s, PL_HS256, cases[i].header, "{}", &token);
        if (pl_jwt_check(&arena, pl_buf_view(&token), &rules, keys, NOW, &jwt) != cases[i].verdict)
            fail_msg("%s: %s", cases[i].header, jwt.why);
        pl_buf_dispose(&token);
    }
    pl_jwk_set_unref(keys);
    signer_free(s);
}

static void test_no_memory(void **state)
{
    signer *s = signer_new(PL_ES256);
    pl_jwk_set *keys = keys_with(s, "");
    const pl_jwt_rules rules = {.algorithms = ALL};
    pl_buf token;
    pl_buf_init(&token);
    signer_token(s, PL_ES256, NULL, "{\"sub\": \"7\", \"roles\": [\"a\", \"b\"]}", &token);
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena small;
        pl_jwt jwt;
        pl_arena_init(&small, 64);
        failing_begin(&a);
        pl_jwt_verdict verdict = pl_jwt_check(&small, pl_buf_view(&token), &rules, keys, NOW, &jwt);
        assert_int_equal(verdict, failing_end(&a) ? PL_JWT_MEMORY : PL_JWT_GOOD);
        pl_arena_dispose(&small);
    }
    pl_buf_dispose(&token);
    pl_jwk_set_unref(keys);
    signer_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rfc_claims, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rfc_signatures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rfc_unsecured, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_algorithm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_confusion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
        cmocka_unit_test_setup_teardown(test_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
