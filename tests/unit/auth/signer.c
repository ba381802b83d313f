/* SPDX-License-Identifier: MIT */
#include "auth/signer.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

struct signer {
    EVP_PKEY *key;
    char secret[4096];
    size_t secret_len;
};

signer *signer_new(pl_jwa algorithm)
{
    signer *s = calloc(1, sizeof *s);
    switch (pl_jwa_about(algorithm)->kind) {
    case PL_JWK_SECRET:
        for (size_t i = 0; i < 64; i++)
            s->secret[i] = (char)(rand() % 256);
        s->secret_len = 64;
        break;
    case PL_JWK_RSA:
        s->key = EVP_RSA_gen(2048);
        break;
    case PL_JWK_P256:
        s->key = EVP_EC_gen("P-256");
        break;
    case PL_JWK_P384:
        s->key = EVP_EC_gen("P-384");
        break;
    case PL_JWK_P521:
        s->key = EVP_EC_gen("P-521");
        break;
    default:
        s->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    assert_true(s->key || s->secret_len);
    return s;
}

signer *signer_secret(pl_str secret)
{
    signer *s = calloc(1, sizeof *s);
    assert_true(secret.len <= sizeof s->secret);
    memcpy(s->secret, secret.ptr, secret.len);
    s->secret_len = secret.len;
    return s;
}

void signer_free(signer *s)
{
    if (s)
        EVP_PKEY_free(s->key);
    free(s);
}

void base64url(pl_str bytes, pl_buf *out)
{
    size_t begin = out->len;
    pl_base64_write(out, bytes);
    while (out->len > begin && out->data[out->len - 1] == '=')
        out->len--;
    for (size_t i = begin; i < out->len; i++) {
        if (out->data[i] == '+')
            out->data[i] = '-';
        else if (out->data[i] == '/')
            out->data[i] = '_';
    }
}

static void number(const signer *s, const char *param, size_t size, const char *name, pl_buf *out)
{
    BIGNUM *n = NULL;
    unsigned char bytes[1024];
    assert_int_equal(EVP_PKEY_get_bn_param(s->key, param, &n), 1);
    size_t len = size ? size : (size_t)BN_num_bytes(n);
    assert_int_equal(BN_bn2binpad(n, bytes, (int)len), (int)len);
    BN_free(n);
    pl_buf_printf(out, ", \"%s\": \"", name);
    base64url((pl_str){(char *)bytes, len}, out);
    pl_buf_char(out, '"');
}

void signer_jwk(const signer *s, const char *members, pl_buf *out)
{
    if (!s->key) {
        pl_buf_printf(out, "{\"kty\": \"oct\", \"k\": \"");
        base64url((pl_str){s->secret, s->secret_len}, out);
        pl_buf_char(out, '"');
    } else if (EVP_PKEY_is_a(s->key, "RSA")) {
        pl_buf_printf(out, "{\"kty\": \"RSA\"");
        number(s, OSSL_PKEY_PARAM_RSA_N, 0, "n", out);
        number(s, OSSL_PKEY_PARAM_RSA_E, 0, "e", out);
    } else if (EVP_PKEY_is_a(s->key, "EC")) {
        int bits = EVP_PKEY_get_bits(s->key);
        size_t size = (size_t)(bits + 7) / 8;
        pl_buf_printf(out, "{\"kty\": \"EC\", \"crv\": \"P-%d\"", bits);
        number(s, OSSL_PKEY_PARAM_EC_PUB_X, size, "x", out);
        number(s, OSSL_PKEY_PARAM_EC_PUB_Y, size, "y", out);
    } else {
        unsigned char bytes[64];
        size_t len = sizeof bytes;
        assert_int_equal(EVP_PKEY_get_raw_public_key(s->key, bytes, &len), 1);
        pl_buf_printf(out, "{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"");
        base64url((pl_str){(char *)bytes, len}, out);
        pl_buf_char(out, '"');
    }
    pl_buf_printf(out, "%s}", members);
}

void signer_jwks(const signer *s, const char *members, pl_buf *out)
{
    pl_buf_printf(out, "{\"keys\": [");
    signer_jwk(s, members, out);
    pl_buf_printf(out, "]}");
}

void signer_pem(const signer *s, bool private_half, pl_buf *out)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    if (private_half)
        PEM_write_bio_PrivateKey(bio, s->key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_PUBKEY(bio, s->key);
    long len = BIO_get_mem_data(bio, &text);
    pl_buf_append(out, text, (size_t)len);
    BIO_free(bio);
}

static void raw_ecdsa(unsigned char *der, size_t len, size_t half, pl_buf *out)
{
    const unsigned char *p = der;
    unsigned char bytes[132];
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
    assert_non_null(sig);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), bytes, (int)half);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), bytes + half, (int)half);
    ECDSA_SIG_free(sig);
    pl_buf_append(out, bytes, 2 * half);
}

void signer_sign(const signer *s, pl_jwa algorithm, pl_str input, pl_buf *out)
{
    const pl_jwa_info *about = pl_jwa_about(algorithm);
    unsigned char sig[2048];
    size_t len = sizeof sig;
    if (!s->key) {
        unsigned n;
        assert_non_null(HMAC(EVP_get_digestbyname(about->hash), s->secret, (int)s->secret_len,
                             (const unsigned char *)input.ptr, input.len, sig, &n));
        pl_buf_append(out, sig, n);
        return;
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    assert_int_equal(EVP_DigestSignInit_ex(md, &ctx, about->hash, NULL, NULL, s->key, NULL), 1);
    if (about->pss) {
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
    }
    assert_int_equal(EVP_DigestSign(md, sig, &len, (const unsigned char *)input.ptr, input.len), 1);
    EVP_MD_CTX_free(md);
    if (EVP_PKEY_is_a(s->key, "EC"))
        raw_ecdsa(sig, len, (size_t)(EVP_PKEY_get_bits(s->key) + 7) / 8, out);
    else
        pl_buf_append(out, sig, len);
}

void signer_token_of(const signer *s, pl_jwa algorithm, const char *header, const char *claims, pl_buf *out)
{
    pl_buf signature;
    pl_buf_init(&signature);
    size_t begin = out->len;
    base64url(pl_str_of(header), out);
    pl_buf_char(out, '.');
    base64url(pl_str_of(claims), out);
    signer_sign(s, algorithm, (pl_str){out->data + begin, out->len - begin}, &signature);
    pl_buf_char(out, '.');
    base64url(pl_buf_view(&signature), out);
    pl_buf_char(out, '\0');
    out->len--;
    pl_buf_dispose(&signature);
}

void signer_token(const signer *s, pl_jwa algorithm, const char *kid, const char *claims, pl_buf *out)
{
    char header[256];
    snprintf(header, sizeof header, "{\"alg\": \"%s\"%s%s%s}", pl_jwa_about(algorithm)->name,
             kid ? ", \"kid\": \"" : "", kid ? kid : "", kid ? "\"" : "");
    signer_token_of(s, algorithm, header, claims, out);
}
