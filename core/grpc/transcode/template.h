/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_TRANSCODE_TEMPLATE_H
#define PL_GRPC_TRANSCODE_TEMPLATE_H

#include "base/arena.h"
#include "base/error.h"
#include "proto/pool.h"

/* Path templates of google.api.http, as "/v1/books/{book.id}/pages:print". An asterisk is one segment of a
 * path, two are the rest of it; {field} is the same as {field=PATTERN} with an asterisk for a pattern. */

#define PL_HTTP_MOST_PARTS 64
#define PL_HTTP_MOST_VARIABLES 32

typedef enum pl_http_part_kind { PL_HTTP_LITERAL, PL_HTTP_ONE, PL_HTTP_REST } pl_http_part_kind;
typedef struct pl_http_part {
    pl_http_part_kind kind;
    pl_str literal;
} pl_http_part;

typedef struct pl_http_variable {
    pl_str path;                   /* "book.id" */
    unsigned from, to;             /* parts */
    bool several;                  /* its value may have "/" in it */
    const pb_field *const *fields; /* from the request's message down; set by whoever knows it */
    size_t depth;
} pl_http_variable;

typedef struct pl_http_template {
    const pl_http_part *parts;
    size_t count;
    pl_http_variable *variables;
    size_t variable_count;
    pl_str verb; /* "" where there is none */
} pl_http_template;

/* Views of text, and the arena. INVALID_ARGUMENT: it is none, with what is wrong and at which character;
 * RESOURCE_EXHAUSTED. */
pl_code pl_http_template_parse(pl_str text, pl_arena *arena, pl_http_template *out, pl_error *err);

#endif
