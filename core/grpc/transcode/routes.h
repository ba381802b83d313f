/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_TRANSCODE_ROUTES_H
#define PL_GRPC_TRANSCODE_ROUTES_H

#include "grpc/transcode/template.h"

/* Which requests of plain HTTP are calls of which methods: what google.api.http says, as a tree of segments.
 * A literal goes before `*`, and `*` before `**`; a path with a verb before one whose last segment has it. */

typedef struct pl_http_route pl_http_route;
struct pl_http_route {
    const struct pl_grpc_method *method;
    const pb_method *descriptor;
    pl_str verb; /* of HTTP: "GET"; "*": any */
    pl_str text; /* the template */
    pl_http_template path;
    bool body_is_all;         /* body: "*" */
    const pb_field *body;     /* NULL: none, or all of it */
    const pb_field *response; /* response_body; NULL: all */
    pl_http_route *next;      /* at the same place */
};

typedef struct pl_http_routes pl_http_routes;
pl_http_routes *pl_http_routes_new(void); /* NULL: memory */
void pl_http_routes_free(pl_http_routes *routes);

/* Adds what the method's options say, where they say anything. The method outlives the routes. On an error
 * nothing more of the method is added: INVALID_ARGUMENT (a rule that is wrong), ALREADY_EXISTS (another
 * method, named in err, has the same path), RESOURCE_EXHAUSTED. */
pl_code pl_http_routes_add(pl_http_routes *routes, const struct pl_grpc_method *method, pl_error *err);

typedef struct pl_http_match {
    const pl_http_route *route;            /* NULL: there is the path, but not for this method of HTTP */
    pl_str values[PL_HTTP_MOST_VARIABLES]; /* of the route's variables, as they stand in the path */
    char allowed[128];                     /* route NULL: methods of HTTP, "GET, POST" */
} pl_http_match;
/* path: as sent, without the query. False: there is no such path. */
bool pl_http_routes_match(const pl_http_routes *routes, pl_str verb, pl_str path, pl_http_match *out);

/* The fields of "book.id" from message down, in the arena; *leaf_repeated: the last one may be repeated.
 * NULL: there are no such fields (err), or memory. */
const pb_field *const *pl_http_field_path(const pb_message *message, pl_str path, bool repeated,
                                          pl_arena *arena, size_t *depth, pl_error *err);

#endif
