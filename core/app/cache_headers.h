/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CACHE_HEADERS_H
#define PL_APP_CACHE_HEADERS_H

#include "app/instance.h"

/* What HTTP is told of an answer's caching (RFC 9110, RFC 9111): Cache-Control, Age, Vary, and for a GET ETag
 * and 304 Not Modified. */
#define PL_CACHE_HEADERS 4
typedef struct pl_cache_answer {
    pl_header headers[PL_CACHE_HEADERS];
    size_t count;
    bool not_modified; /* the client has this body already */
    char etag[64], control[48], age[16];
    pl_str vary;
} pl_cache_answer;

/* variant: what tells bodies of one response apart (the media type, the layout), a character each. session:
 * the header that tells sessions apart; ptr NULL: none. */
void pl_cache_headers(const pl_http_request *http, const gql_payload *payload, int status,
                      const char *variant, pl_str session, pl_cache_answer *out);

#endif
