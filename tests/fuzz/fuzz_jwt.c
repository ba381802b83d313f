/* SPDX-License-Identifier: MIT */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>

#include "auth/jwt.h"
#include "base/base64.h"
#include "base/base64url.h"
#include "base/buf.h"
#include "value/json.h"

/* The first byte says what the rest is: a token; header and claims of a token, which is then signed with the
 * right secret; a set of keys; keys in PEM. */

#define SECRET "a secret of the fuzz target, which nobody has to guess at all..."

static const pl_str issuer = PL_STR("i"), audience = PL_STR("a");
static const pl_jwt_rules open_rules = {.algorithms = ~(uint32_t)0};
static const pl_jwt_rules strict_rules = {.algorithms = 1 << PL_HS256,
                                          .issuers = &issuer,
                                          .issuer_count = 1,
                                          .audiences = &audience,
                                          .audience_count = 1,
                                          .leeway = 1,
                                          .max_age = 100};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static size_t mac(pl_str input, const char *hash, unsigned char out[EVP_MAX_MD_SIZE])
{
    unsigned len = 0;
    must(HMAC(EVP_get_digestbyname(hash), SECRET, sizeof SECRET - 1, (const unsigned char *)input.ptr,
              input.len, out, &len) != NULL);
    return len;
}

/* Whether the last part of the token is a code of the others, made with the secret. */
static bool is_signed(pl_str token)
{
    static const char *const hashes[] = {"SHA256", "SHA384", "SHA512"};
    const char *dot = memrchr(token.ptr, '.', token.len);
    char signature[4096];
    size_t len;
    pl_str last = {dot + 1, (size_t)(token.ptr + token.len - dot - 1)};
    must(last.len < sizeof signature && pl_base64url_read(last, signature, &len));
    for (int i = 0; i < 3; i++) {
        unsigned char expected[EVP_MAX_MD_SIZE];
        size_t n = mac((pl_str){token.ptr, (size_t)(dot - token.ptr)}, hashes[i], expected);
        if (n == len && memcmp(expected, signature, n) == 0)
            return true;
    }
    return false;
}

static void check(pl_str token, const pl_jwt_rules *rules, const pl_jwk_set *keys)
{
    pl_arena arena;
    pl_jwt jwt;
    pl_arena_init(&arena, 0);
    pl_jwt_verdict verdict = pl_jwt_check(&arena, token, rules, keys, 1000, &jwt);
    must((verdict == PL_JWT_GOOD) == (jwt.why[0] == '\0'));
    must(pl_jwt_verdict_name(verdict)[0] != '\0');
    if (verdict == PL_JWT_GOOD || verdict == PL_JWT_EARLY || verdict == PL_JWT_EXPIRED) {
        pl_value again;
        must(is_signed(token) && jwt.claims.kind == PL_KIND_MAP);
        must(pl_json_read(&arena, jwt.claims_json, NULL, &again, NULL) == PL_OK);
        must(pl_jwt_check_times(&jwt.times, 1000) == verdict);
    }
    pl_arena_dispose(&arena);
}

static void base64url(pl_str bytes, pl_buf *out)
{
    size_t begin = out->len;
    pl_base64_write(out, bytes);
    while (out->len > begin && out->data[out->len - 1] == '=')
        out->len--;
    for (size_t i = begin; i < out->len; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

/* "header\nclaims" */
static void check_signed(pl_str text, const pl_jwk_set *keys)
{
    const char *line = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    unsigned char signature[EVP_MAX_MD_SIZE];
    pl_buf token;
    if (!line)
        return;
    pl_buf_init(&token);
    base64url((pl_str){text.ptr, (size_t)(line - text.ptr)}, &token);
    pl_buf_char(&token, '.');
    base64url((pl_str){line + 1, (size_t)(text.ptr + text.len - line - 1)}, &token);
    size_t len = mac(pl_buf_view(&token), "SHA256", signature);
    pl_buf_char(&token, '.');
    base64url((pl_str){(char *)signature, len}, &token);
    check(pl_buf_view(&token), &open_rules, keys);
    check(pl_buf_view(&token), &strict_rules, keys);
    pl_buf_dispose(&token);
}

static void check_keys(pl_code code, pl_jwk_set *set, const pl_error *err)
{
    if (code) {
        must(!set && err->message[0] != '\0' && pl_str_is_utf8(pl_str_of(err->message)));
        return;
    }
    must(pl_jwk_set_count(set) > 0 && pl_jwk_set_algorithms(set) != 0);
    for (unsigned i = 0; i < PL_JWA_COUNT; i++)
        must(pl_jwk_set_check(set, (pl_jwa)i, PL_STR_NONE, PL_STR("input"), PL_STR("no signature")) !=
             PL_JWS_RIGHT);
    pl_jwk_set_unref(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pl_jwk_set *keys;
    pl_jwk_set *set = NULL;
    pl_error err;
    pl_code code;
    if (!keys)
        must(pl_jwk_set_secret(PL_STR(SECRET), &keys, &err) == PL_OK);
    if (size == 0)
        return 0;
    pl_str text = {(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 't':
        check(text, &open_rules, keys);
        break;
    case 's':
        check_signed(text, keys);
        break;
    case 'k':
        code = pl_jwk_set_read(text, false, true, &set, &err);
        check_keys(code, set, &err);
        break;
    case 'p':
        code = pl_jwk_set_pem(text, &set, &err);
        check_keys(code, set, &err);
        break;
    default:
        break;
    }
    must(ERR_peek_error() == 0); /* TLS connections look at the same queue */
    return 0;
}
