/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_MEDIA_H
#define PL_APP_MEDIA_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* Media types and query strings of GraphQL over HTTP. */
typedef enum pl_media { PL_MEDIA_JSON, PL_MEDIA_GRAPHQL_RESPONSE } pl_media;

/* The best media type for an Accept header (RFC 9110, 12.5.1; absent: application/json). False when it allows
 * none. */
bool pl_media_choose(pl_str accept, pl_media *out);
/* Whether an Accept header names text/html, and no type of GraphQL's as much: a browser that opens an
 * address. */
bool pl_media_prefers_html(pl_str accept);

/* How several payloads can be sent. */
typedef enum pl_stream_kind {
    PL_STREAM_NONE,
    PL_STREAM_SSE,          /* text/event-stream: the distinct connections mode of graphql-sse */
    PL_STREAM_MULTIPART,    /* multipart/mixed, for @defer and @stream */
    PL_STREAM_SUBSCRIPTION, /* multipart/mixed;subscriptionSpec=1.0 */
} pl_stream_kind;

/* All that an Accept header allows. */
typedef struct pl_accept {
    bool single;    /* one payload can be sent, as media */
    pl_media media; /* also of errors that no media type allows */
    pl_stream_kind incremental, events;
    bool old_defer; /* deferSpec=20220824 */
} pl_accept;
/* False when it allows nothing that GraphQL can answer. */
bool pl_accept_read(pl_str accept, pl_accept *out);

/* Whether a Content-Type is the given type, whatever its parameters. */
bool pl_media_is(pl_str content_type, const char *type);
/* Whether a Content-Type has no charset, or that of UTF-8. */
bool pl_media_is_utf8(pl_str content_type);

/* The decoded value of a parameter of a query string (application/x-www-form-urlencoded); ptr NULL when
 * absent or memory is short. */
pl_str pl_query_parameter(pl_arena *arena, pl_str query, pl_str name);
bool pl_query_has(pl_str query, pl_str name);       /* "a" in "a", "a=1&b" */
bool pl_query_has_value(pl_str query, pl_str name); /* not in "a" */

#endif
