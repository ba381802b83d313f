/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GRAPHQL_READ_H
#define PL_APP_GRAPHQL_READ_H

#include "app/instance.h"

/* How GraphQL requests come in: from an HTTP request (POST with JSON or with files, GET with parameters) to
 * the operations that it asks for, or to a refusal. Nothing is run here. What a document's id stands for
 * (trusted.h, apq.h) is looked up here, and what may be asked for at all is decided here. */

/* Why a request, or one operation of a batch, is not run. */
typedef struct pl_graphql_refusal {
    int status; /* of HTTP; 0: not refused */
    pl_code code;
    pl_str message;         /* for the client; lives as long as the arena */
    const char *error_code; /* extensions.code, where that is not the name of `code`; NULL: it is */
    pl_str allow;           /* the Allow header of a 405; "" otherwise */
    bool no_store;          /* caches must not keep this (cache-control: no-store) */
} pl_graphql_refusal;

typedef struct pl_graphql_operation {
    gql_request request;
    pl_graphql_refusal refusal; /* of this operation of a batch alone; status 0: run it */
} pl_graphql_operation;

/* All of it is in the request's arena. */
typedef struct pl_graphql_input {
    pl_graphql_operation *operations; /* at least one */
    size_t count;
    bool batch; /* the answer is a JSON array of count entries in this order, even of one */
} pl_graphql_input;

/* Whether a path is GraphQL's: http.path itself, or a document's id below it ("/graphql/sha256:…"). */
bool pl_graphql_serves(const pl_config *config, pl_str path);

/* Reads a request. False: refused, *why is filled. */
bool pl_graphql_read(pl_instance *instance, pl_http_request *http, pl_graphql_input *out,
                     pl_graphql_refusal *why);

/* Reads one operation that came as JSON by whatever way ({"query", "operationName", "variables",
 * "extensions"…}: a WebSocket's subscribe message, for instance). json lives as long as the operation is
 * used. False: refused, *why is filled; its status is what HTTP would answer. */
bool pl_graphql_read_operation(pl_instance *instance, pl_arena *arena, const pl_value *json, gql_request *out,
                               pl_graphql_refusal *why);

/* {"errors":[{"message":…,"extensions":{"code":…}}]} */
void pl_graphql_write_refusal(pl_buf *out, const pl_graphql_refusal *why);

/* What the status of an answer is that is no refusal. graphql_media: it is application/graphql-response+json,
 * not application/json. has_errors: beside data. invalid: refused after parsing (validation, the choice of
 * the operation, its variables), not because of the syntax. */
int pl_graphql_status(const pl_reading_config *config, bool graphql_media, gql_result result, bool has_errors,
                      bool invalid);

#endif
