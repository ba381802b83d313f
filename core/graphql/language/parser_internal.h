/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PARSER_INTERNAL_H
#define PL_GRAPHQL_PARSER_INTERNAL_H

#include "graphql/language/lexer.h"
#include "graphql/language/parser.h"

/* A recursive descent over one token of lookahead. Functions return false once something is wrong; code and
 * *err then say what, and every caller returns at once.
 *
 * The items of a list are collected on `scratch`, a stack of bytes: an item is complete, with all lists
 * inside it gone from the stack again, before it is pushed, so the items of one list lie side by side and are
 * copied to the arena in one piece. The entry points in parser.c free the stack whatever happened. */
typedef struct gql_parser {
    gql_lexer lexer;
    gql_token token;
    pl_arena *arena;
    const gql_source *source;
    pl_error *err;
    pl_code code;
    uint32_t tokens, max_tokens;
    uint32_t depth, max_depth;
    char *scratch;
    size_t scratch_len, scratch_cap;
    _Alignas(16) char first_scratch[4096];
} gql_parser;

/* Parses one item of a list into *item, which is zeroed. */
typedef bool gql_item_fn(gql_parser *p, void *item);

static inline bool gql_parser_at(const gql_parser *p, gql_token_kind kind)
{
    return p->token.kind == kind;
}
static inline bool gql_parser_at_keyword(const gql_parser *p, const char *keyword)
{
    return p->token.kind == GQL_TOKEN_NAME && pl_str_is(p->token.text, keyword);
}
static inline bool gql_parser_at_string(const gql_parser *p)
{
    return p->token.kind == GQL_TOKEN_STRING || p->token.kind == GQL_TOKEN_BLOCK_STRING;
}

bool gql_parser_advance(gql_parser *p);
bool gql_parser_fail(gql_parser *p, const gql_token *token, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool gql_parser_fail_memory(gql_parser *p);
/* "Unexpected …": always false. */
bool gql_parser_unexpected(gql_parser *p, const gql_token *token);
bool gql_parser_expect(gql_parser *p, gql_token_kind kind);
bool gql_parser_expect_keyword(gql_parser *p, const char *keyword);
/* Passes a token of this kind when it is there, and says whether it was. */
bool gql_parser_optional(gql_parser *p, gql_token_kind kind, bool *there);
/* Zeroed memory of the arena; NULL when it is short, which is then the parser's error. */
void *gql_parser_alloc(gql_parser *p, size_t size);

/* Around everything that nests. */
bool gql_parser_enter(gql_parser *p);
static inline void gql_parser_leave(gql_parser *p)
{
    p->depth--;
}

static inline size_t gql_parser_mark(const gql_parser *p)
{
    return p->scratch_len;
}
bool gql_parser_push(gql_parser *p, const void *item, size_t size);
typedef struct gql_list {
    void *items; /* in the arena; NULL when there is none */
    uint32_t count;
} gql_list;
/* Moves the items of this size that were pushed since mark to the arena. */
bool gql_parser_take(gql_parser *p, size_t mark, size_t size, gql_list *out);

/* How a list is written, and who reads an item of what size. */
typedef struct gql_list_form {
    gql_token_kind open, close;
    gql_item_fn *item;
    size_t size;
} gql_list_form;
bool gql_parser_many(gql_parser *p, const gql_list_form *form, gql_list *out); /* one item at least */
bool gql_parser_any(gql_parser *p, const gql_list_form *form, gql_list *out);  /* none at least */
/* As many; empty when the opening token is not there. */
bool gql_parser_optional_many(gql_parser *p, const gql_list_form *form, gql_list *out);
/* Items between delimiters, of which one may stand in front. */
bool gql_parser_delimited(gql_parser *p, gql_token_kind delimiter, gql_item_fn *item, size_t size,
                          gql_list *out);

/* parser_value.c */
bool gql_parser_name(gql_parser *p, gql_name *out);
bool gql_parser_name_item(gql_parser *p, void *name); /* a gql_name */
bool gql_parser_const_value(gql_parser *p, gql_value *out);
bool gql_parser_default_value(gql_parser *p, gql_value **out); /* DefaultValue? */
bool gql_parser_variable(gql_parser *p, gql_name *out);        /* its name, without the $ */
bool gql_parser_arguments(gql_parser *p, gql_argument **out, uint32_t *count);
bool gql_parser_directives(gql_parser *p, gql_directives *out);
bool gql_parser_const_directives(gql_parser *p, gql_directives *out);
bool gql_parser_type(gql_parser *p, gql_type **out);
bool gql_parser_named_type(gql_parser *p, gql_type **out);
bool gql_parser_description(gql_parser *p, pl_str *out, bool *block); /* Description? */

/* parser_document.c: what stands behind an optional description, which is at start. */
typedef struct gql_definition_head {
    gql_token start;
    pl_str description;
    bool block_description;
} gql_definition_head;
bool gql_parser_operation_kind(gql_parser *p, gql_operation_kind *out);
bool gql_parser_document(gql_parser *p, gql_document *out);

/* parser_system.c */
/* Whether the current token is the keyword of a type system definition, and of which kind. */
bool gql_parser_at_system(const gql_parser *p, gql_system_kind *kind);
bool gql_parser_system(gql_parser *p, const gql_definition_head *head, gql_system_kind kind,
                       gql_type_system *out);
bool gql_parser_extension(gql_parser *p, const gql_definition_head *head, gql_type_system *out);

#endif
