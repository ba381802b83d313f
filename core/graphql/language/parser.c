/* SPDX-License-Identifier: MIT */
#include "graphql/language/parser.h"

#include <stdio.h>

#include "base/alloc.h"
#include "graphql/language/parser_internal.h"

enum {
    DEFAULT_TOKENS = 100000,
    DEFAULT_DEPTH = 200,
    /* What a thread's stack bears whatever the settings say, here and in those who walk the tree. */
    MOST_DEPTH = 1000,
    DEFAULT_BYTES = 16 << 20,
    ITEM_SIZE = sizeof(gql_selection),
};
_Static_assert(sizeof(gql_field_ast) <= ITEM_SIZE && sizeof(gql_variable_definition) <= ITEM_SIZE &&
                   sizeof(gql_input_value_ast) <= ITEM_SIZE && sizeof(gql_object_field) <= ITEM_SIZE,
               "a selection is the largest item of a list");

/* --- errors: kept out of the functions that recurse, which their buffers would make heavy --- */

#define COLD __attribute__((noinline, cold))

COLD bool gql_parser_fail(gql_parser *p, const gql_token *token, const char *fmt, ...)
{
    p->code = PL_INVALID_ARGUMENT;
    if (p->err == NULL)
        return false;
    char message[sizeof(p->err->message)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    const char *name = p->source->name ? p->source->name : "";
    pl_fail_at(p->err, p->code, name, token->loc.line, token->loc.column, "Syntax Error: %s", message);
    return false;
}

bool gql_parser_fail_memory(gql_parser *p)
{
    p->code = pl_fail_memory(p->err);
    return false;
}

static bool exhausted(gql_parser *p)
{
    p->code = PL_RESOURCE_EXHAUSTED;
    if (p->err != NULL)
        p->err->code = p->code;
    return false;
}

enum { SHOWN = sizeof(((pl_error *)NULL)->message) };

/* A token for messages: its kind, and as much of its text as a message can hold. */
static const char *describe(const gql_token *token, char out[SHOWN])
{
    const char *kind = gql_token_kind_name(token->kind);
    int shown = token->text.len < SHOWN ? (int)token->text.len : SHOWN;
    if (token->text.ptr == NULL)
        return kind;
    snprintf(out, SHOWN, "%s \"%.*s\"", kind, shown, token->text.ptr);
    return out;
}

COLD bool gql_parser_unexpected(gql_parser *p, const gql_token *token)
{
    char found[SHOWN];
    return gql_parser_fail(p, token, "Unexpected %s.", describe(token, found));
}

static COLD bool fail_expected(gql_parser *p, const char *expected)
{
    char found[SHOWN];
    return gql_parser_fail(p, &p->token, "Expected %s, found %s.", expected, describe(&p->token, found));
}

static COLD bool fail_keyword(gql_parser *p, const char *keyword)
{
    char found[SHOWN];
    return gql_parser_fail(p, &p->token, "Expected \"%s\", found %s.", keyword, describe(&p->token, found));
}

/* --- tokens --- */

bool gql_parser_advance(gql_parser *p)
{
    p->code = gql_lexer_next(&p->lexer, &p->token);
    if (p->code)
        return false;
    if (p->token.kind != GQL_TOKEN_EOF && ++p->tokens > p->max_tokens) {
        gql_parser_fail(p, &p->token, "Document contains more than %u tokens. Parsing aborted.",
                        p->max_tokens);
        return exhausted(p);
    }
    return true;
}

bool gql_parser_expect(gql_parser *p, gql_token_kind kind)
{
    return p->token.kind == kind ? gql_parser_advance(p) : fail_expected(p, gql_token_kind_name(kind));
}

bool gql_parser_expect_keyword(gql_parser *p, const char *keyword)
{
    return gql_parser_at_keyword(p, keyword) ? gql_parser_advance(p) : fail_keyword(p, keyword);
}

bool gql_parser_optional(gql_parser *p, gql_token_kind kind, bool *there)
{
    *there = p->token.kind == kind;
    return !*there || gql_parser_advance(p);
}

void *gql_parser_alloc(gql_parser *p, size_t size)
{
    void *memory = pl_arena_zalloc(p->arena, size);
    if (memory == NULL)
        gql_parser_fail_memory(p);
    return memory;
}

bool gql_parser_enter(gql_parser *p)
{
    if (p->depth >= p->max_depth) {
        gql_parser_fail(p, &p->token, "Document is nested deeper than %u levels. Parsing aborted.",
                        p->max_depth);
        return exhausted(p);
    }
    p->depth++;
    return true;
}

/* --- lists --- */

static bool grow_scratch(gql_parser *p, size_t needed)
{
    size_t cap = p->scratch_cap * 2;
    while (cap < needed)
        cap *= 2;
    bool first = p->scratch == p->first_scratch;
    char *grown = pl_realloc(first ? NULL : p->scratch, cap);
    if (grown == NULL)
        return gql_parser_fail_memory(p);
    if (first)
        memcpy(grown, p->scratch, p->scratch_len);
    p->scratch = grown;
    p->scratch_cap = cap;
    return true;
}

bool gql_parser_push(gql_parser *p, const void *item, size_t size)
{
    if (p->scratch_cap - p->scratch_len < size && !grow_scratch(p, p->scratch_len + size))
        return false;
    memcpy(p->scratch + p->scratch_len, item, size);
    p->scratch_len += size;
    return true;
}

bool gql_parser_take(gql_parser *p, size_t mark, size_t size, gql_list *out)
{
    size_t bytes = p->scratch_len - mark;
    *out = (gql_list){NULL, (uint32_t)(bytes / size)};
    if (bytes == 0)
        return true;
    out->items = pl_arena_alloc(p->arena, bytes);
    if (out->items == NULL)
        return gql_parser_fail_memory(p);
    memcpy(out->items, p->scratch + mark, bytes);
    p->scratch_len = mark;
    return true;
}

static bool push_item(gql_parser *p, gql_item_fn *fn, size_t size)
{
    _Alignas(16) char item[ITEM_SIZE];
    memset(item, 0, size);
    return fn(p, item) && gql_parser_push(p, item, size);
}

static bool items_until_close(gql_parser *p, const gql_list_form *form, gql_list *out)
{
    size_t mark = p->scratch_len;
    while (!gql_parser_at(p, form->close)) {
        if (!push_item(p, form->item, form->size))
            return false;
    }
    return gql_parser_take(p, mark, form->size, out) && gql_parser_advance(p);
}

bool gql_parser_any(gql_parser *p, const gql_list_form *form, gql_list *out)
{
    return gql_parser_expect(p, form->open) && items_until_close(p, form, out);
}

bool gql_parser_many(gql_parser *p, const gql_list_form *form, gql_list *out)
{
    size_t mark = p->scratch_len;
    if (!gql_parser_expect(p, form->open))
        return false;
    do {
        if (!push_item(p, form->item, form->size))
            return false;
    } while (!gql_parser_at(p, form->close));
    return gql_parser_take(p, mark, form->size, out) && gql_parser_advance(p);
}

bool gql_parser_optional_many(gql_parser *p, const gql_list_form *form, gql_list *out)
{
    *out = (gql_list){0};
    return !gql_parser_at(p, form->open) || gql_parser_many(p, form, out);
}

bool gql_parser_delimited(gql_parser *p, gql_token_kind delimiter, gql_item_fn *item, size_t size,
                          gql_list *out)
{
    size_t mark = p->scratch_len;
    bool more;
    if (!gql_parser_optional(p, delimiter, &more))
        return false;
    do {
        if (!push_item(p, item, size) || !gql_parser_optional(p, delimiter, &more))
            return false;
    } while (more);
    return gql_parser_take(p, mark, size, out);
}

/* --- entry points --- */

static void init_limits(gql_parser *p, const gql_parse_limits *limits)
{
    p->max_tokens = limits && limits->max_tokens ? limits->max_tokens : DEFAULT_TOKENS;
    p->max_depth = limits && limits->max_depth ? limits->max_depth : DEFAULT_DEPTH;
    if (p->max_depth > MOST_DEPTH)
        p->max_depth = MOST_DEPTH;
}

static size_t most_bytes(const gql_parse_limits *limits)
{
    size_t bytes = limits && limits->max_bytes ? limits->max_bytes : DEFAULT_BYTES;
    return bytes < UINT32_MAX ? bytes : UINT32_MAX;
}

/* Reads the first token. p is to be disposed in any case. */
static bool init(gql_parser *p, pl_arena *arena, const gql_source *source, const gql_parse_limits *limits,
                 pl_error *err)
{
    p->arena = arena;
    p->source = source;
    p->err = err;
    p->code = PL_OK;
    p->tokens = p->depth = 0;
    p->scratch = p->first_scratch;
    p->scratch_len = 0;
    p->scratch_cap = sizeof(p->first_scratch);
    init_limits(p, limits);
    size_t bytes = most_bytes(limits);
    if (source->text.len > bytes) {
        p->code = pl_fail_at(err, PL_RESOURCE_EXHAUSTED, source->name ? source->name : "", 0, 0,
                             "Syntax Error: Document is larger than %zu bytes. Parsing aborted.", bytes);
        return false;
    }
    p->code = gql_lexer_init(&p->lexer, arena, source, err);
    return p->code == PL_OK && gql_parser_advance(p);
}

static pl_code finish(gql_parser *p)
{
    if (p->scratch != p->first_scratch)
        pl_free(p->scratch);
    return p->code;
}

pl_code gql_parse(pl_arena *arena, const gql_source *source, const gql_parse_limits *limits,
                  gql_document **out, pl_error *err)
{
    gql_parser p;
    *out = NULL;
    gql_document *document = NULL;
    if (init(&p, arena, source, limits, err) &&
        (document = gql_parser_alloc(&p, sizeof(*document))) != NULL && gql_parser_document(&p, document))
        *out = document;
    return finish(&p);
}

pl_code gql_parse_const_value(pl_arena *arena, const gql_source *source, gql_value *out, pl_error *err)
{
    gql_parser p;
    *out = (gql_value){0};
    if (init(&p, arena, source, NULL, err) && gql_parser_const_value(&p, out))
        gql_parser_expect(&p, GQL_TOKEN_EOF);
    return finish(&p);
}

pl_code gql_parse_type(pl_arena *arena, const gql_source *source, gql_type **out, pl_error *err)
{
    gql_parser p;
    *out = NULL;
    if (init(&p, arena, source, NULL, err) && gql_parser_type(&p, out) &&
        !gql_parser_expect(&p, GQL_TOKEN_EOF))
        *out = NULL;
    return finish(&p);
}
