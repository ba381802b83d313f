/* SPDX-License-Identifier: MIT */
#ifndef PL_AUTH_JWK_INTERNAL_H
#define PL_AUTH_JWK_INTERNAL_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "auth/jwk.h"
#include "base/arena.h"
#include "value/value.h"

struct pl_jwk {
    pl_str kid; /* ptr NULL: good for tokens with any */
    pl_jwk_kind kind;
    uint32_t algorithms; /* that it may be used with */
    EVP_PKEY *key;       /* or: */
    pl_str secret;
};

struct pl_jwk_set {
    atomic_uint refs;
    uint64_t number;
    pl_arena arena; /* what the keys' strings are in; this is in it, too */
    size_t count;
    pl_jwk keys[PL_MOST_KEYS];
};

/* jwk.c */
pl_jwk_set *pl_jwk_set_new(pl_error *err);
/* Algorithms for a kind of key; for RSA keys that are restricted to PSS, pss. */
uint32_t pl_jwk_algorithms(pl_jwk_kind kind, bool pss);
/* Takes over key (also when it fails). what names it in errors. Checks its size. */
pl_code pl_jwk_set_add_public(pl_jwk_set *set, EVP_PKEY *key, const char *what, pl_error *err);
pl_code pl_jwk_set_add_secret(pl_jwk_set *set, pl_str secret, const char *what, pl_error *err);

/* jws.c */
bool pl_jws_check(const pl_jwk *key, pl_jwa algorithm, pl_str input, pl_str signature);

#endif
