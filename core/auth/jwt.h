/* SPDX-License-Identifier: MIT */
#ifndef PL_AUTH_JWT_H
#define PL_AUTH_JWT_H

#include "auth/jwk.h"
#include "base/arena.h"
#include "value/value.h"

/* JSON Web Tokens (RFC 7519, after RFC 8725): is this one good, and what does it say? No I/O, no clock. What
 * is not signed is not looked at: the header only says which of the keys and algorithms that are allowed
 * anyway are meant. */

typedef struct pl_jwt_rules {
    uint32_t algorithms;   /* that are allowed: 1 << PL_RS256… */
    const pl_str *issuers; /* one of them; none: whoever has the key */
    size_t issuer_count;
    const pl_str
        *audiences; /* one of the token's must be among them; none: a token with an audience is not for us */
    size_t audience_count;
    bool any_audience;      /* do not look at it */
    const pl_str *required; /* claims that must be there */
    size_t required_count;
    pl_str type;     /* of the header, "at+jwt"; ptr NULL: any */
    double leeway;   /* seconds that clocks may differ by */
    double max_age;  /* seconds since it was issued; 0: does not matter */
    size_t max_size; /* bytes of a token; 0 is 16 KiB */
} pl_jwt_rules;

typedef enum pl_jwt_verdict {
    PL_JWT_GOOD,
    PL_JWT_MALFORMED,
    PL_JWT_ALGORITHM, /* not one that is allowed */
    PL_JWT_NO_KEY,    /* no key with its id: perhaps a newer set has it */
    PL_JWT_SIGNATURE, /* it was not made with our keys */
    PL_JWT_CLAIMS,    /* it is for somebody else, or lacks something */
    PL_JWT_EARLY,     /* not yet valid */
    PL_JWT_EXPIRED,
    PL_JWT_MEMORY,
} pl_jwt_verdict;
/* "malformed"…: for logs. */
const char *pl_jwt_verdict_name(pl_jwt_verdict verdict);

/* Seconds since 1970, between which it is valid. */
typedef struct pl_jwt_times {
    double begins; /* -INFINITY: always */
    double ends;   /* INFINITY: never */
} pl_jwt_times;

typedef struct pl_jwt {
    pl_str claims_json; /* in arena, as are: */
    pl_value claims;    /* a MAP */
    pl_jwt_times times; /* with the leeway */
    const char *why;    /* it is not good; for logs, not for clients */
} pl_jwt;

/* Checks all there is to check. Of a token that is early or expired *out is filled, too: its signature was
 * right. Uses no more memory of arena than a few times the token's length. */
pl_jwt_verdict pl_jwt_check(pl_arena *arena, pl_str token, const pl_jwt_rules *rules, const pl_jwk_set *keys,
                            double now, pl_jwt *out);
/* The part that time changes, for a token that was checked before. */
pl_jwt_verdict pl_jwt_check_times(const pl_jwt_times *times, double now);

#endif
