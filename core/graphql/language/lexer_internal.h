/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_LEXER_INTERNAL_H
#define PL_GRAPHQL_LEXER_INTERNAL_H

#include "graphql/language/lexer.h"

/* The byte n places after p, or -1 behind the end. */
static inline int gql_byte_at(const gql_lexer *lexer, const char *p, size_t n)
{
    return (size_t)(lexer->end - p) > n ? (unsigned char)p[n] : -1;
}

static inline bool gql_is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static inline uint32_t gql_offset_of(const gql_lexer *lexer, const char *p)
{
    return (uint32_t)(p - lexer->start);
}

static inline void gql_lexer_newline(gql_lexer *lexer, const char *next)
{
    lexer->line++;
    lexer->line_start = next;
    lexer->continuations = 0;
}

/* Both are called with lexer->at on the opening quote and leave it behind the closing one. */
pl_code gql_lexer_string(gql_lexer *lexer, gql_token *out);
pl_code gql_lexer_block_string(gql_lexer *lexer, gql_token *out);

#endif
