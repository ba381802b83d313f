/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_MULTIPART_H
#define PL_BASE_MULTIPART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* A parser of multipart/form-data (RFC 7578, on RFC 2046), fed with the body in pieces of any size. It copies
 * no part's bytes and allocates nothing: what it hands out are views of the piece that it was given. A
 * delimiter that is cut by the end of a piece is remembered by how much of it was seen; should it turn out to
 * be none, what was seen equals the delimiter's own first bytes, and is handed out from there. Linear. */

#define PL_MULTIPART_MAX_BOUNDARY 70 /* RFC 2046, 5.1.1 */
#define PL_MULTIPART_MAX_HEAD 8192   /* bytes of one part's headers */

typedef struct pl_multipart_part {
    pl_str name;
    pl_str filename;     /* without what looks like folders before it; ptr NULL: there is none */
    pl_str content_type; /* ptr NULL: there is none */
} pl_multipart_part;

/* Each returns PL_OK to go on; any other code ends parsing and is what feed returns, with what *err says. */
typedef struct pl_multipart_handler {
    /* A part begins; its bytes stand in the body from `at`. The views go when it returns. */
    pl_code (*begin)(void *data, const pl_multipart_part *part, uint64_t at, pl_error *err);
    /* More bytes of it, in the order of the body. */
    pl_code (*bytes)(void *data, pl_str bytes, pl_error *err);
    pl_code (*end)(void *data, pl_error *err);
} pl_multipart_handler;

typedef enum pl_multipart_state {
    PL_MULTIPART_PREAMBLE,
    PL_MULTIPART_AFTER_DELIMITER,
    PL_MULTIPART_HEAD,
    PL_MULTIPART_BODY,
    PL_MULTIPART_EPILOGUE,
} pl_multipart_state;

typedef struct pl_multipart {
    const pl_multipart_handler *handler;
    void *data;
    pl_multipart_state state;
    unsigned max_parts, parts;
    uint64_t at; /* bytes of the body that have been taken */
    char delimiter[PL_MULTIPART_MAX_BOUNDARY + 4];
    size_t delimiter_len;
    size_t matched; /* bytes of the delimiter that the last ones were */
    char tail[2];   /* AFTER_DELIMITER: what stands there */
    size_t tail_len;
    size_t head_len;
    char head[PL_MULTIPART_MAX_HEAD];
} pl_multipart;

/* The boundary in a Content-Type of multipart/form-data. INVALID_ARGUMENT: it is none, or there is no sound
 * boundary. *out is a view. */
pl_code pl_multipart_boundary(pl_str content_type, pl_str *out, pl_error *err);
/* handler must stay; boundary (1 to 70 bytes) is copied. A form of more than max_parts parts is refused. */
void pl_multipart_init(pl_multipart *m, pl_str boundary, unsigned max_parts,
                       const pl_multipart_handler *handler, void *data);
/* Errors: INVALID_ARGUMENT ("… at byte N of the body"), RESOURCE_EXHAUSTED for a limit, or what the handler
 * returned. After one, m must not be fed again. */
pl_code pl_multipart_feed(pl_multipart *m, pl_str piece, pl_error *err);
/* The body has ended. INVALID_ARGUMENT when the form has not. */
pl_code pl_multipart_finish(pl_multipart *m, pl_error *err);

#endif
