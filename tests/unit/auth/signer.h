/* SPDX-License-Identifier: MIT */
#ifndef TESTS_AUTH_SIGNER_H
#define TESTS_AUTH_SIGNER_H

#include "auth/jwa.h"
#include "base/buf.h"

/* Makes keys and tokens, right and wrong ones. */

typedef struct signer signer; /* a key pair, or a secret */

/* Of the kind that the algorithm needs. */
signer *signer_new(pl_jwa algorithm);
signer *signer_secret(pl_str secret);
void signer_free(signer *s);

/* Appends its public half (or the secret) as a JWK; members: more of them, as `, "kid": "a"`. */
void signer_jwk(const signer *s, const char *members, pl_buf *out);
/* The same as a set of this one key. */
void signer_jwks(const signer *s, const char *members, pl_buf *out);
void signer_pem(const signer *s, bool private_half, pl_buf *out);

/* The raw signature of input as JOSE has it, whatever the key is made for. */
void signer_sign(const signer *s, pl_jwa algorithm, pl_str input, pl_buf *out);
void base64url(pl_str bytes, pl_buf *out);
/* header.claims.signature; the former two as they are. NUL at the end. */
void signer_token_of(const signer *s, pl_jwa algorithm, const char *header, const char *claims, pl_buf *out);
/* The same with {"alg": …} and, unless NULL, "kid". */
void signer_token(const signer *s, pl_jwa algorithm, const char *kid, const char *claims, pl_buf *out);

#endif
