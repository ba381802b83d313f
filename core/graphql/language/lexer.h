/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_LEXER_H
#define PL_GRAPHQL_LEXER_H

#include "base/arena.h"
#include "base/error.h"
#include "graphql/language/ast.h"

/* A punctuator's kind is its character. */
typedef enum gql_token_kind {
    GQL_TOKEN_EOF,
    GQL_TOKEN_NAME,
    GQL_TOKEN_INT,
    GQL_TOKEN_FLOAT,
    GQL_TOKEN_STRING,
    GQL_TOKEN_BLOCK_STRING,
    GQL_TOKEN_SPREAD,
    GQL_TOKEN_BANG = '!',
    GQL_TOKEN_DOLLAR = '$',
    GQL_TOKEN_AMP = '&',
    GQL_TOKEN_PAREN_L = '(',
    GQL_TOKEN_PAREN_R = ')',
    GQL_TOKEN_COLON = ':',
    GQL_TOKEN_EQUALS = '=',
    GQL_TOKEN_AT = '@',
    GQL_TOKEN_BRACKET_L = '[',
    GQL_TOKEN_BRACKET_R = ']',
    GQL_TOKEN_BRACE_L = '{',
    GQL_TOKEN_PIPE = '|',
    GQL_TOKEN_BRACE_R = '}',
} gql_token_kind;

typedef struct gql_token {
    gql_token_kind kind;
    gql_loc loc;
    /* NAME, INT, FLOAT: as written. STRING, BLOCK_STRING: the value; in the source where it stands there as
     * it is, else in the arena; ptr is not NULL. Else empty. */
    pl_str text;
} gql_token;

/* Reads tokens; ignored ones (white space, commas, comments, byte order marks) are skipped. The struct is
 * open so that it can be embedded; touch it through the functions only. */
typedef struct gql_lexer {
    const gql_source *source;
    pl_arena *arena;
    pl_error *err;
    const char *start, *at, *end;
    const char *line_start;
    uint32_t line;
    /* UTF-8 continuation bytes between line_start and at: with them a column is a subtraction. */
    uint32_t continuations;
} gql_lexer;

/* source, arena and err (may be NULL) must outlive the lexer. INVALID_ARGUMENT at the first byte that is not
 * UTF-8. The text must be shorter than 4 GiB. */
pl_code gql_lexer_init(gql_lexer *lexer, pl_arena *arena, const gql_source *source, pl_error *err);
/* The next token; after the last it is EOF for ever. INVALID_ARGUMENT for what is no token;
 * RESOURCE_EXHAUSTED. */
pl_code gql_lexer_next(gql_lexer *lexer, gql_token *out);
/* Fills err with "Syntax Error: " and the message, for a place in the source; returns INVALID_ARGUMENT. */
pl_code gql_lexer_fail(gql_lexer *lexer, uint32_t offset, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* How messages name a kind (Name, "{", <EOF>); static storage. */
const char *gql_token_kind_name(gql_token_kind kind);

#endif
