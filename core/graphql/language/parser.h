/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PARSER_H
#define PL_GRAPHQL_PARSER_H

#include "base/arena.h"
#include "base/error.h"
#include "graphql/language/ast.h"

typedef struct gql_parse_limits {
    uint32_t
        max_tokens; /* 0 is 100,000 (graphql-js: "Document contains more than N tokens. Parsing aborted.") */
    uint32_t
        max_depth; /* nested selection sets, lists, objects and list types; 0 is 200; never more than 1,000 */
    size_t max_bytes; /* 0 is 16 MiB; never more than 4 GiB - 1 */
} gql_parse_limits;

/* Parses a whole document, executable and type system definitions alike (which of them may stand there is for
 * validation to say). source must outlive the result. On a syntax error: INVALID_ARGUMENT, err->line and
 * column set, err->file source->name, and graphql-js's message ("Syntax Error: Expected Name, found \"}\".").
 * RESOURCE_EXHAUSTED for a limit and for memory. */
pl_code gql_parse(pl_arena *arena, const gql_source *source, const gql_parse_limits *limits,
                  gql_document **out, pl_error *err);
/* One value without variables, or one type reference: for defaults given as text, and tests. */
pl_code gql_parse_const_value(pl_arena *arena, const gql_source *source, gql_value *out, pl_error *err);
pl_code gql_parse_type(pl_arena *arena, const gql_source *source, gql_type **out, pl_error *err);

#endif
