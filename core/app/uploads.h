/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_UPLOADS_H
#define PL_APP_UPLOADS_H

#include "app/config.h"
#include "value/upload.h"

/* The GraphQL multipart request specification: a form with a part "operations" (the request as JSON, null
 * where files belong), a part "map" ({"0": ["variables.file"]}: which part goes where), and the files. They
 * come in this order. */

typedef struct pl_uploads_limits {
    size_t max_file_size, max_json; /* bytes; max_json is for operations and map, each */
    uint32_t max_files;
} pl_uploads_limits;

/* Reads the form in body, whose bytes are taken from its descriptor piece by piece or from memory; len is its
 * length. *out is what "operations" says, with PL_KIND_UPLOAD values at the places of the map, in arena;
 * files are ranges of body. Errors: INVALID_ARGUMENT names the part or the path, RESOURCE_EXHAUSTED for a
 * limit and for memory. */
pl_code pl_uploads_read(pl_upload_body *body, uint64_t len, pl_str content_type,
                        const pl_uploads_limits *limits, pl_arena *arena, pl_value *out, pl_error *err);

#endif
