/* SPDX-License-Identifier: MIT */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "auth/jwk_internal.h"

/* Signatures (RFC 7515, 7518, 8037), all by OpenSSL. Its queue of errors is left as it was: TLS connections
 * on the same thread look at it. */

static bool check_hmac(const pl_jwk *key, const pl_jwa_info *about, pl_str input, pl_str signature)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!HMAC(EVP_get_digestbyname(about->hash), key->secret.ptr, (int)key->secret.len,
              (const unsigned char *)input.ptr, input.len, mac, &len))
        return false;
    bool same = len == about->size && signature.len == len && CRYPTO_memcmp(mac, signature.ptr, len) == 0;
    OPENSSL_cleanse(mac, sizeof mac);
    return same;
}

/* r and s, of the same length, as the DER that OpenSSL knows; 0: it cannot be made. */
static size_t ecdsa_der(pl_str signature, unsigned char *der, size_t room)
{
    const unsigned char *bytes = (const unsigned char *)signature.ptr;
    int half = (int)(signature.len / 2), len = 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes, half, NULL), *s = BN_bin2bn(bytes + half, half, NULL);
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(sig, NULL);
        if (len > 0 && (size_t)len <= room)
            len = i2d_ECDSA_SIG(sig, &der);
        else
            len = 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const pl_jwa_info *about)
{
    if (about->kind != PL_JWK_RSA)
        return true;
    if (!about->pss)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(about->hash)) == 1;
}

static bool check_public(const pl_jwk *key, const pl_jwa_info *about, pl_str input, pl_str signature)
{
    unsigned char der[160]; /* two numbers of 66 bytes, with their tags */
    const unsigned char *sig = (const unsigned char *)signature.ptr;
    size_t sig_len = signature.len;
    bool right = false;
    EVP_PKEY_CTX *ctx = NULL; /* the digest's */
    if (signature.len != (about->size ? about->size : (size_t)EVP_PKEY_get_size(key->key)))
        return false;
    if (about->kind >= PL_JWK_P256 && about->kind <= PL_JWK_P521) {
        sig_len = ecdsa_der(signature, der, sizeof der);
        sig = der;
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md && sig_len > 0 &&
        EVP_DigestVerifyInit_ex(md, &ctx, about->hash, NULL, NULL, key->key, NULL) == 1 &&
        set_padding(ctx, about))
        right = EVP_DigestVerify(md, sig, sig_len, (const unsigned char *)input.ptr, input.len) == 1;
    EVP_MD_CTX_free(md);
    return right;
}

bool pl_jws_check(const pl_jwk *key, pl_jwa algorithm, pl_str input, pl_str signature)
{
    const pl_jwa_info *about = pl_jwa_about(algorithm);
    if (!(key->algorithms >> algorithm & 1))
        return false;
    ERR_set_mark();
    bool right = about->kind == PL_JWK_SECRET ? check_hmac(key, about, input, signature)
                                              : check_public(key, about, input, signature);
    ERR_pop_to_mark();
    return right;
}
