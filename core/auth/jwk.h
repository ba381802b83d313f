/* SPDX-License-Identifier: MIT */
#ifndef PL_AUTH_JWK_H
#define PL_AUTH_JWK_H

#include "auth/jwa.h"
#include "base/error.h"

/* Sets of keys to check signatures with (RFC 7517). A set never changes once it is made, is counted, and may
 * be used by several threads. */
typedef struct pl_jwk pl_jwk;
typedef struct pl_jwk_set pl_jwk_set;

#define PL_MOST_KEYS 128
#define PL_MOST_KEY_TEXT ((size_t)1 << 20)

/* From JSON: {"keys": [...]}, or one key. Keys for something else (encryption, an unknown kind) are passed
 * over; so are malformed ones unless strict, when they are errors. secrets: whether "oct" keys are taken; a
 * set that anybody can fetch has none. Errors: INVALID_ARGUMENT, with the place ("keys[1].n …"), also when
 * no key is left; RESOURCE_EXHAUSTED. err is not NULL, here and below. */
pl_code pl_jwk_set_read(pl_str text, bool strict, bool secrets, pl_jwk_set **out, pl_error *err);
/* From PEM: public keys and certificates, one or several. They have no ids: good for all tokens. */
pl_code pl_jwk_set_pem(pl_str text, pl_jwk_set **out, pl_error *err);
/* One secret, of at least 32 bytes. What looks like a public key is refused: signing with it is a known
 * attack. */
pl_code pl_jwk_set_secret(pl_str secret, pl_jwk_set **out, pl_error *err);

pl_jwk_set *pl_jwk_set_ref(pl_jwk_set *set);
void pl_jwk_set_unref(pl_jwk_set *set); /* NULL is fine */

/* No two sets have the same number. */
uint64_t pl_jwk_set_number(const pl_jwk_set *set);
size_t pl_jwk_set_count(const pl_jwk_set *set);
/* Algorithms that its keys can check: 1 << PL_RS256… */
uint32_t pl_jwk_set_algorithms(const pl_jwk_set *set);

/* Whether a signature of input is right for one of the keys that may have made it. */
typedef enum pl_jws_result { PL_JWS_RIGHT, PL_JWS_WRONG, PL_JWS_NO_KEY } pl_jws_result;
/* kid: of the token; ptr NULL: it names none. NO_KEY: no key has that id and kind. */
pl_jws_result pl_jwk_set_check(const pl_jwk_set *set, pl_jwa algorithm, pl_str kid, pl_str input,
                               pl_str signature);

#endif
