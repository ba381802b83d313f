/* SPDX-License-Identifier: MIT */
#ifndef PL_AUTH_JWA_H
#define PL_AUTH_JWA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Signature algorithms of JSON Web Tokens (RFC 7518, section 3, and RFC 8037). "none" is not among them. */
typedef enum pl_jwa {
    PL_HS256,
    PL_HS384,
    PL_HS512,
    PL_RS256,
    PL_RS384,
    PL_RS512,
    PL_PS256,
    PL_PS384,
    PL_PS512,
    PL_ES256,
    PL_ES384,
    PL_ES512,
    PL_EDDSA,
    PL_JWA_COUNT,
} pl_jwa;

/* What kind of key an algorithm needs. A key is of one kind, and used with no other: so a public key is never
 * taken for a secret. */
typedef enum pl_jwk_kind {
    PL_JWK_SECRET,
    PL_JWK_RSA,
    PL_JWK_P256,
    PL_JWK_P384,
    PL_JWK_P521,
    PL_JWK_ED25519
} pl_jwk_kind;

typedef struct pl_jwa_info {
    const char *name;
    pl_jwk_kind kind;
    const char *hash; /* OpenSSL's name; NULL: the algorithm has its own */
    size_t size;      /* bytes of a signature; 0: as many as the key's modulus */
    bool pss;
} pl_jwa_info;

const pl_jwa_info *pl_jwa_about(pl_jwa algorithm);
/* "RS256"; case counts. False: there is no such algorithm, or it is not one that can be trusted. */
bool pl_jwa_named(pl_str name, pl_jwa *out);

#endif
