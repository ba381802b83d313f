/* SPDX-License-Identifier: MIT */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>

#include "auth/jwk_internal.h"
#include "base/base64url.h"
#include "value/json.h"

/* Key sets from JSON (RFC 7517; RFC 7518, section 6; RFC 8037). */

#define MOST_EXPONENT 8 /* bytes */

typedef struct reader {
    pl_jwk_set *set;
    pl_arena scratch;
    const pl_value *jwk; /* the key in hand */
    char place[32];      /* "keys[3]" */
    bool secrets;
    bool passed_over; /* it is for something else */
    pl_error *err;
} reader;

static const pl_value *member(const reader *r, const char *name)
{
    const pl_value *v = pl_value_member(r->jwk, pl_str_of(name));
    return v && v->kind != PL_KIND_NULL ? v : NULL;
}

static pl_code wrong(reader *r, const char *name, const char *what)
{
    return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s%s%s %s", r->place, r->place[0] ? "." : "", name, what);
}

/* An optional string; ptr NULL: not there. */
static pl_code text(reader *r, const char *name, pl_str *out)
{
    const pl_value *v = member(r, name);
    *out = PL_STR_NONE;
    if (!v)
        return PL_OK;
    if (v->kind != PL_KIND_STRING)
        return wrong(r, name, "must be a string");
    *out = v->string;
    return PL_OK;
}

/* A number or other bytes. */
static pl_code bytes(reader *r, const char *name, pl_str *out)
{
    pl_str form;
    size_t len;
    if (text(r, name, &form) != PL_OK)
        return r->err->code;
    if (!form.ptr)
        return wrong(r, name, "is missing");
    char *decoded = pl_arena_alloc(&r->scratch, pl_base64url_room(form));
    if (!decoded)
        return pl_fail_memory(r->err);
    if (!pl_base64url_read(form, decoded, &len) || len == 0)
        return wrong(r, name, "is not base64url");
    *out = (pl_str){decoded, len};
    return PL_OK;
}

/* --- public keys --- */
static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static BIGNUM *number(pl_str s)
{
    return BN_bin2bn((const unsigned char *)s.ptr, (int)s.len, NULL);
}

static pl_code rsa_key(reader *r, EVP_PKEY **out)
{
    pl_str n, e;
    if (bytes(r, "n", &n) != PL_OK || bytes(r, "e", &e) != PL_OK)
        return r->err->code;
    /* An even exponent, 1, or a huge one is no key that anybody made. */
    if (e.len > MOST_EXPONENT || !(e.ptr[e.len - 1] & 1) || (e.len == 1 && e.ptr[0] == 1))
        return wrong(r, "e", "is no public exponent");
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = number(n), *exponent = number(e);
    if (builder && modulus && exponent &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        *out = build("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return *out ? PL_OK : wrong(r, "n", "is no RSA modulus");
}

static pl_code ec_key(reader *r, EVP_PKEY **out)
{
    static const struct {
        const char *name;
        size_t size;
    } curves[] = {{"P-256", 32}, {"P-384", 48}, {"P-521", 66}};
    pl_str crv, x, y;
    size_t i = 0;
    if (text(r, "crv", &crv) != PL_OK)
        return r->err->code;
    while (i < 3 && !pl_str_is(crv, curves[i].name))
        i++;
    r->passed_over = i == 3;
    if (r->passed_over)
        return wrong(r, "crv", "must be P-256, P-384 or P-521");
    if (bytes(r, "x", &x) != PL_OK || bytes(r, "y", &y) != PL_OK)
        return r->err->code;
    if (x.len != curves[i].size || y.len != curves[i].size)
        return wrong(r, x.len != curves[i].size ? "x" : "y", "has the wrong length for its curve");
    char point[1 + 2 * 66] = {4};
    memcpy(point + 1, x.ptr, x.len);
    memcpy(point + 1 + x.len, y.ptr, y.len);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].name, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * x.len) == 1)
        *out = build("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return *out ? PL_OK : wrong(r, "x", "and y are no point of the curve");
}

static pl_code okp_key(reader *r, EVP_PKEY **out)
{
    pl_str crv, x;
    if (text(r, "crv", &crv) != PL_OK)
        return r->err->code;
    r->passed_over = !pl_str_is(crv, "Ed25519");
    if (r->passed_over)
        return wrong(r, "crv", "must be Ed25519");
    if (bytes(r, "x", &x) != PL_OK)
        return r->err->code;
    *out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.ptr, x.len);
    return *out ? PL_OK : wrong(r, "x", "is no key of the curve");
}

static pl_code secret_key(reader *r)
{
    pl_str k;
    r->passed_over = !r->secrets;
    if (r->passed_over)
        return wrong(r, "kty", "is \"oct\": a secret does not belong into a set that can be fetched");
    if (bytes(r, "k", &k) != PL_OK)
        return r->err->code;
    return pl_jwk_set_add_secret(r->set, k, r->place[0] ? r->place : "the key", r->err);
}

/* --- one key --- */
/* "use" and "key_ops": whether it is for checking signatures. */
static pl_code check_use(reader *r)
{
    pl_str use;
    const pl_value *ops = member(r, "key_ops");
    bool verifies = !ops;
    if (text(r, "use", &use) != PL_OK)
        return r->err->code;
    r->passed_over = use.ptr && !pl_str_is(use, "sig");
    if (r->passed_over)
        return wrong(r, "use", "must be \"sig\"");
    if (ops && ops->kind != PL_KIND_LIST)
        return wrong(r, "key_ops", "must be a list");
    for (size_t i = 0; ops && i < ops->list.count; i++)
        verifies = verifies || (ops->list.items[i].kind == PL_KIND_STRING &&
                                pl_str_is(ops->list.items[i].string, "verify"));
    r->passed_over = !verifies;
    return verifies ? PL_OK : wrong(r, "key_ops", "must have \"verify\"");
}

static pl_code add_by_kind(reader *r)
{
    pl_str kty;
    EVP_PKEY *key = NULL;
    pl_code code = text(r, "kty", &kty);
    if (code)
        return code;
    if (!kty.ptr)
        return wrong(r, "kty", "is missing");
    if (pl_str_is(kty, "oct"))
        return secret_key(r);
    if (pl_str_is(kty, "RSA"))
        code = rsa_key(r, &key);
    else if (pl_str_is(kty, "EC"))
        code = ec_key(r, &key);
    else if (pl_str_is(kty, "OKP"))
        code = okp_key(r, &key);
    else {
        r->passed_over = true;
        code = wrong(r, "kty", "must be RSA, EC, OKP or oct");
    }
    return code ? code : pl_jwk_set_add_public(r->set, key, r->place[0] ? r->place : "the key", r->err);
}

/* "alg" and "kid", of the key that was just added. */
static pl_code restrict_key(reader *r, pl_jwk *key)
{
    pl_str alg, kid;
    if (text(r, "alg", &alg) != PL_OK || text(r, "kid", &kid) != PL_OK)
        return r->err->code;
    if (alg.ptr) {
        pl_jwa algorithm;
        bool known = pl_jwa_named(alg, &algorithm);
        r->passed_over = !known;
        if (!known || !(key->algorithms >> algorithm & 1))
            return wrong(r, "alg", "is no algorithm that this key can be used with");
        key->algorithms = (uint32_t)1 << algorithm;
    }
    if (kid.ptr) {
        key->kid = pl_arena_str(&r->set->arena, kid);
        if (!key->kid.ptr)
            return pl_fail_memory(r->err);
    }
    return PL_OK;
}

static pl_code add(reader *r, const pl_value *jwk)
{
    size_t before = r->set->count;
    r->jwk = jwk;
    r->passed_over = false;
    if (jwk->kind != PL_KIND_MAP)
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s must be a map", r->place);
    pl_code code = check_use(r);
    if (code == PL_OK)
        code = add_by_kind(r);
    if (code == PL_OK)
        code = restrict_key(r, &r->set->keys[before]);
    if (code && r->set->count > before) {
        EVP_PKEY_free(r->set->keys[before].key);
        r->set->count = before;
    }
    return code;
}

static pl_code add_all(reader *r, const pl_value *json, bool strict)
{
    const pl_value *keys = pl_value_member(json, PL_STR("keys"));
    if (json->kind != PL_KIND_MAP)
        return pl_fail(r->err, PL_INVALID_ARGUMENT,
                       "a set of keys is expected: {\"keys\": [...]}, or one key");
    if (!keys)
        return add(r, json);
    if (keys->kind != PL_KIND_LIST)
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "keys must be a list");
    for (size_t i = 0; i < keys->list.count; i++) {
        snprintf(r->place, sizeof r->place, "keys[%zu]", i);
        pl_code code = add(r, &keys->list.items[i]);
        if (code == PL_RESOURCE_EXHAUSTED || (code && strict && !r->passed_over))
            return code;
        if (r->set->count == PL_MOST_KEYS && i + 1 < keys->list.count)
            return pl_fail(r->err, PL_INVALID_ARGUMENT, "more than %d keys", PL_MOST_KEYS);
    }
    if (r->set->count > 0)
        return PL_OK;
    if (keys->list.count == 0)
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "keys is empty");
    char why[256];
    snprintf(why, sizeof why, "%s", r->err->message);
    return pl_fail(r->err, PL_INVALID_ARGUMENT, "none of the keys can be used; the last one: %s", why);
}

pl_code pl_jwk_set_read(pl_str json, bool strict, bool secrets, pl_jwk_set **out, pl_error *err)
{
    const pl_json_limits limits = {.max_depth = 8, .max_bytes = PL_MOST_KEY_TEXT, .unique_names = true};
    pl_value value;
    reader r = {.set = pl_jwk_set_new(err), .secrets = secrets, .err = err};
    if (!r.set)
        return err->code;
    pl_arena_init(&r.scratch, 0);
    ERR_set_mark();
    pl_code code = pl_json_read(&r.scratch, json, &limits, &value, err);
    if (code == PL_OK)
        code = add_all(&r, &value, strict);
    ERR_pop_to_mark();
    pl_arena_dispose(&r.scratch);
    if (code)
        pl_jwk_set_unref(r.set);
    else
        *out = r.set;
    return code;
}
