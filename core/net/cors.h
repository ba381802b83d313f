/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_CORS_H
#define PL_NET_CORS_H

#include "net/edge.h"

/* Cross-origin resource sharing (the Fetch standard): which headers an answer gets. No I/O, no memory: the
 * values are views of the settings, of the request and of the caller's room. */

#define PL_CORS_MOST 8 /* headers of one answer */
typedef struct pl_cors_answer {
    pl_header headers[PL_CORS_MOST];
    size_t count;
    char max_age[12];
} pl_cors_answer;

/* Origins are compared byte by byte, as the standard does. "*" alone allows every origin, but never with
 * credentials. */
bool pl_cors_allows(const pl_cors *cors, pl_str origin);
/* For the answer to a request with this origin (ptr NULL: it had none). Nothing but Vary for an origin that
 * is not allowed, so that the browser keeps the answer from the script. */
void pl_cors_actual(const pl_cors *cors, pl_str origin, pl_cors_answer *out);
/* For the answer (204) to a preflight: an OPTIONS request with an origin and access-control-request-method.
 * headers is its access-control-request-headers (ptr NULL: none). */
void pl_cors_preflight(const pl_cors *cors, pl_str origin, pl_str headers, pl_cors_answer *out);

#endif
