/* SPDX-License-Identifier: MIT */
#include "grpc/transcode/template.h"

typedef struct parser {
    pl_str text;
    size_t at;
    pl_http_part parts[PL_HTTP_MOST_PARTS];
    size_t count;
    pl_http_variable variables[PL_HTTP_MOST_VARIABLES];
    size_t variable_count;
    pl_str verb;
    pl_error *err;
} parser;

static bool fail(parser *p, const char *what)
{
    pl_fail(p->err, PL_INVALID_ARGUMENT, "the path \"%.*s\" is wrong at character %zu: %s",
            PL_STR_ARG(p->text), p->at + 1, what);
    return false;
}

static char peek(const parser *p)
{
    return p->at < p->text.len ? p->text.ptr[p->at] : '\0';
}

static bool take(parser *p, char c)
{
    bool is = p->at < p->text.len && p->text.ptr[p->at] == c;
    p->at += is;
    return is;
}

static bool add_part(parser *p, pl_http_part_kind kind, pl_str literal)
{
    if (p->count == PL_HTTP_MOST_PARTS)
        return fail(p, "there are too many segments");
    if (p->count > 0 && p->parts[p->count - 1].kind == PL_HTTP_REST)
        return fail(p, "nothing can follow \"**\" but a verb");
    p->parts[p->count++] = (pl_http_part){kind, literal};
    return true;
}

/* "*", "**" or a literal */
static bool read_plain(parser *p)
{
    size_t begin = p->at;
    if (take(p, '*'))
        return take(p, '*') ? add_part(p, PL_HTTP_REST, PL_STR_NONE) : add_part(p, PL_HTTP_ONE, PL_STR_NONE);
    while (p->at < p->text.len && !strchr("/{}*:=", peek(p)))
        p->at++;
    if (p->at == begin)
        return fail(p, "a segment is expected");
    return add_part(p, PL_HTTP_LITERAL, (pl_str){p->text.ptr + begin, p->at - begin});
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* Behind the brace. */
static bool read_variable(parser *p)
{
    size_t begin = p->at;
    if (p->variable_count == PL_HTTP_MOST_VARIABLES)
        return fail(p, "there are too many variables");
    while (is_name_byte(peek(p)))
        p->at++;
    if (p->at == begin)
        return fail(p, "the name of a field is expected");
    pl_http_variable *v = &p->variables[p->variable_count++];
    *v = (pl_http_variable){.path = {p->text.ptr + begin, p->at - begin}, .from = (unsigned)p->count};
    if (take(p, '=')) {
        do {
            if (!read_plain(p))
                return false;
        } while (take(p, '/'));
    } else if (!add_part(p, PL_HTTP_ONE, PL_STR_NONE)) {
        return false;
    }
    v->to = (unsigned)p->count;
    v->several = v->to - v->from > 1 || p->parts[v->from].kind == PL_HTTP_REST;
    return take(p, '}') || fail(p, "\"}\" is expected");
}

static bool read_all(parser *p)
{
    if (!take(p, '/'))
        return fail(p, "it must begin with \"/\"");
    do {
        if (!(take(p, '{') ? read_variable(p) : read_plain(p)))
            return false;
    } while (take(p, '/'));
    if (take(p, ':')) {
        p->verb = (pl_str){p->text.ptr + p->at, p->text.len - p->at};
        for (; p->at < p->text.len; p->at++) {
            if (strchr("/{}*:", peek(p)))
                return fail(p, "a verb is a plain name");
        }
        if (p->verb.len == 0)
            return fail(p, "the verb is empty");
    }
    return p->at == p->text.len || fail(p, "\"/\", \":\" or the end is expected");
}

pl_code pl_http_template_parse(pl_str text, pl_arena *arena, pl_http_template *out, pl_error *err)
{
    parser p = {.text = text, .verb = PL_STR(""), .err = err};
    if (!read_all(&p))
        return err->code;
    pl_http_part *parts = pl_arena_array(arena, p.count, sizeof *parts);
    pl_http_variable *variables = pl_arena_array(arena, p.variable_count, sizeof *variables);
    if (!parts || !variables)
        return pl_fail_memory(err);
    memcpy(parts, p.parts, p.count * sizeof *parts);
    memcpy(variables, p.variables, p.variable_count * sizeof *variables);
    *out = (pl_http_template){.parts = parts,
                              .count = p.count,
                              .variables = variables,
                              .variable_count = p.variable_count,
                              .verb = p.verb};
    return PL_OK;
}
