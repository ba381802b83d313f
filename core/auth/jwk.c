/* SPDX-License-Identifier: MIT */
#include "auth/jwk.h"

#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "auth/jwk_internal.h"
#include "base/alloc.h"

#define LEAST_RSA_BITS 2048 /* RFC 7518, section 3.3 */
#define MOST_RSA_BITS 8192  /* more takes long to check */
#define LEAST_SECRET 32
#define MOST_TRIES 8 /* keys for a token that names none */

/* --- sets --- */
pl_jwk_set *pl_jwk_set_new(pl_error *err)
{
    static atomic_uint_fast64_t numbers;
    pl_jwk_set *set = pl_calloc(1, sizeof *set);
    if (!set) {
        pl_fail_memory(err);
        return NULL;
    }
    atomic_init(&set->refs, 1);
    set->number = atomic_fetch_add(&numbers, 1) + 1;
    pl_arena_init(&set->arena, 0);
    return set;
}

pl_jwk_set *pl_jwk_set_ref(pl_jwk_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void pl_jwk_set_unref(pl_jwk_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < set->count; i++) {
        EVP_PKEY_free(set->keys[i].key);
        if (set->keys[i].secret.ptr)
            OPENSSL_cleanse((void *)set->keys[i].secret.ptr, set->keys[i].secret.len);
    }
    pl_arena_dispose(&set->arena);
    pl_free(set);
}

uint64_t pl_jwk_set_number(const pl_jwk_set *set)
{
    return set->number;
}

size_t pl_jwk_set_count(const pl_jwk_set *set)
{
    return set->count;
}

uint32_t pl_jwk_set_algorithms(const pl_jwk_set *set)
{
    uint32_t all = 0;
    for (size_t i = 0; i < set->count; i++)
        all |= set->keys[i].algorithms;
    return all;
}

/* --- checking --- */
static bool may_have_made(const pl_jwk *key, pl_jwa algorithm, pl_str kid)
{
    return (key->algorithms >> algorithm & 1) && (!kid.ptr || !key->kid.ptr || pl_str_eq(key->kid, kid));
}

pl_jws_result pl_jwk_set_check(const pl_jwk_set *set, pl_jwa algorithm, pl_str kid, pl_str input,
                               pl_str signature)
{
    unsigned tries = 0;
    for (size_t i = 0; i < set->count && tries < MOST_TRIES; i++) {
        if (!may_have_made(&set->keys[i], algorithm, kid))
            continue;
        tries++;
        if (pl_jws_check(&set->keys[i], algorithm, input, signature))
            return PL_JWS_RIGHT;
    }
    return tries > 0 ? PL_JWS_WRONG : PL_JWS_NO_KEY;
}

/* --- adding keys --- */
uint32_t pl_jwk_algorithms(pl_jwk_kind kind, bool pss)
{
    uint32_t all = 0;
    for (unsigned i = 0; i < PL_JWA_COUNT; i++) {
        const pl_jwa_info *about = pl_jwa_about((pl_jwa)i);
        if (about->kind == kind && (about->pss || !pss))
            all |= (uint32_t)1 << i;
    }
    return all;
}

static bool kind_of(const EVP_PKEY *key, pl_jwk_kind *kind, bool *pss)
{
    static const struct {
        const char *group;
        pl_jwk_kind kind;
    } curves[] = {{"prime256v1", PL_JWK_P256}, {"secp384r1", PL_JWK_P384}, {"secp521r1", PL_JWK_P521},
                  {"P-256", PL_JWK_P256},      {"P-384", PL_JWK_P384},     {"P-521", PL_JWK_P521}};
    char group[64];
    *pss = EVP_PKEY_is_a(key, "RSA-PSS");
    *kind = PL_JWK_RSA;
    if (*pss || EVP_PKEY_is_a(key, "RSA"))
        return true;
    *kind = PL_JWK_ED25519;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return true;
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        *kind = curves[i].kind;
        if (strcmp(group, curves[i].group) == 0)
            return true;
    }
    return false;
}

static pl_code room(const pl_jwk_set *set, pl_error *err)
{
    if (set->count < PL_MOST_KEYS)
        return PL_OK;
    return pl_fail(err, PL_INVALID_ARGUMENT, "more than %d keys", PL_MOST_KEYS);
}

pl_code pl_jwk_set_add_public(pl_jwk_set *set, EVP_PKEY *key, const char *what, pl_error *err)
{
    pl_jwk jwk = {.key = key};
    bool pss = false;
    pl_code code = room(set, err);
    int bits = EVP_PKEY_get_bits(key);
    if (code == PL_OK && !kind_of(key, &jwk.kind, &pss))
        code = pl_fail(err, PL_INVALID_ARGUMENT, "%s: RSA, P-256, P-384, P-521 and Ed25519 keys can be used",
                       what);
    if (code == PL_OK && jwk.kind == PL_JWK_RSA && (bits < LEAST_RSA_BITS || bits > MOST_RSA_BITS))
        code = pl_fail(err, PL_INVALID_ARGUMENT, "%s: an RSA key of %d bits; it must have %d to %d", what,
                       bits, LEAST_RSA_BITS, MOST_RSA_BITS);
    if (code) {
        EVP_PKEY_free(key);
        return code;
    }
    jwk.algorithms = pl_jwk_algorithms(jwk.kind, pss);
    set->keys[set->count++] = jwk;
    return PL_OK;
}

/* A secret must be as long as the hash (RFC 7518, section 3.2): a short one can be found by trying. */
pl_code pl_jwk_set_add_secret(pl_jwk_set *set, pl_str secret, const char *what, pl_error *err)
{
    pl_jwk jwk = {.kind = PL_JWK_SECRET};
    if (room(set, err) != PL_OK)
        return err->code;
    if (secret.len < LEAST_SECRET || secret.len > PL_MOST_KEY_TEXT)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "%s: a secret of %zu bytes; HS256 needs at least 32 of them, HS384 48, HS512 64", what,
                       secret.len);
    for (unsigned i = PL_HS256; i <= PL_HS512; i++) {
        if (secret.len >= pl_jwa_about((pl_jwa)i)->size)
            jwk.algorithms |= (uint32_t)1 << i;
    }
    jwk.secret = pl_arena_str(&set->arena, secret);
    if (!jwk.secret.ptr)
        return pl_fail_memory(err);
    set->keys[set->count++] = jwk;
    return PL_OK;
}

/* --- a secret --- */
static bool contains(pl_str text, const char *what)
{
    return memmem(text.ptr, text.len, what, strlen(what)) != NULL;
}

static bool looks_public(pl_str secret)
{
    return contains(secret, "-----BEGIN ") || contains(secret, "\"kty\"") ||
           pl_str_starts(secret, PL_STR("ssh-")) || pl_str_starts(secret, PL_STR("ecdsa-sha2-"));
}

pl_code pl_jwk_set_secret(pl_str secret, pl_jwk_set **out, pl_error *err)
{
    if (secret.len > 0 && looks_public(secret))
        return pl_fail(
            err, PL_INVALID_ARGUMENT,
            "the secret is a key file: everybody who knows it could sign; give it as the public key");
    pl_jwk_set *set = pl_jwk_set_new(err);
    if (!set)
        return err->code;
    pl_code code = pl_jwk_set_add_secret(set, secret, "the secret", err);
    if (code)
        pl_jwk_set_unref(set);
    else
        *out = set;
    return code;
}

/* --- PEM --- */
static EVP_PKEY *decode_certificate(BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

static EVP_PKEY *decode_key(BIO *bio)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, NULL, EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    if (ctx && OSSL_DECODER_from_bio(ctx, bio) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    OSSL_DECODER_CTX_free(ctx);
    return key;
}

static pl_code add_block(pl_jwk_set *set, pl_str block, int number, pl_error *err)
{
    char what[32];
    snprintf(what, sizeof what, "key %d", number);
    if (contains(block, "PRIVATE KEY-----"))
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "%s is a private key: to check tokens the public one is enough", what);
    BIO *bio = BIO_new_mem_buf(block.ptr, (int)block.len);
    if (!bio)
        return pl_fail_memory(err);
    EVP_PKEY *key = contains(block, "CERTIFICATE-----") ? decode_certificate(bio) : decode_key(bio);
    BIO_free(bio);
    if (!key)
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s is no public key or certificate in PEM form", what);
    return pl_jwk_set_add_public(set, key, what, err);
}

static pl_code add_blocks(pl_jwk_set *set, pl_str text, pl_error *err)
{
    static const char begin[] = "-----BEGIN ";
    const char *end = text.ptr + text.len;
    const char *at = text.len > 0 ? memmem(text.ptr, text.len, begin, strlen(begin)) : NULL;
    if (!at)
        return pl_fail(err, PL_INVALID_ARGUMENT, "there is no PEM in it (\"-----BEGIN PUBLIC KEY-----\")");
    for (int number = 1; at; number++) {
        const char *after = at + strlen(begin);
        const char *next = memmem(after, (size_t)(end - after), begin, strlen(begin));
        pl_code code = add_block(set, (pl_str){at, (size_t)((next ? next : end) - at)}, number, err);
        if (code)
            return code;
        at = next;
    }
    return PL_OK;
}

pl_code pl_jwk_set_pem(pl_str text, pl_jwk_set **out, pl_error *err)
{
    if (text.len > PL_MOST_KEY_TEXT)
        return pl_fail(err, PL_INVALID_ARGUMENT, "more than 1 MB of keys");
    pl_jwk_set *set = pl_jwk_set_new(err);
    if (!set)
        return err->code;
    ERR_set_mark();
    pl_code code = add_blocks(set, text, err);
    ERR_pop_to_mark();
    if (code)
        pl_jwk_set_unref(set);
    else
        *out = set;
    return code;
}
