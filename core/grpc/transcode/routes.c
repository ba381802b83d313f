/* SPDX-License-Identifier: MIT */
#include "grpc/transcode/routes.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/map.h"
#include "grpc/transcode/rule.h"

typedef struct node node;
struct node {
    pl_map literals;  /* segment → node * */
    node *one, *rest; /* NULL: none */
    node *next_made;  /* all nodes, to be freed */
    pl_http_route *routes;
};

struct pl_http_routes {
    pl_arena arena;
    node root;
    node *made;
};

pl_http_routes *pl_http_routes_new(void)
{
    pl_http_routes *routes = pl_calloc(1, sizeof *routes);
    if (routes)
        pl_arena_init(&routes->arena, 0);
    return routes;
}

void pl_http_routes_free(pl_http_routes *routes)
{
    if (!routes)
        return;
    pl_map_dispose(&routes->root.literals);
    for (node *n = routes->made; n; n = n->next_made)
        pl_map_dispose(&n->literals);
    pl_arena_dispose(&routes->arena);
    pl_free(routes);
}

/* --- adding --- */
static node *make_node(pl_http_routes *routes)
{
    node *n = pl_arena_zalloc(&routes->arena, sizeof *n);
    if (!n)
        return NULL;
    n->next_made = routes->made;
    routes->made = n;
    return n;
}

static node *child(pl_http_routes *routes, node *parent, const pl_http_part *part)
{
    node **place = part->kind == PL_HTTP_ONE ? &parent->one : &parent->rest;
    if (part->kind != PL_HTTP_LITERAL) {
        if (!*place)
            *place = make_node(routes);
        return *place;
    }
    node *n = pl_map_get(&parent->literals, part->literal);
    if (!n && (n = make_node(routes)) && !pl_map_set(&parent->literals, part->literal, n))
        n = NULL;
    return n;
}

static pl_code put(pl_http_routes *routes, pl_http_route *route, pl_error *err)
{
    node *n = &routes->root;
    for (size_t i = 0; n && i < route->path.count; i++)
        n = child(routes, n, &route->path.parts[i]);
    if (!n)
        return pl_fail_memory(err);
    pl_http_route **last = &n->routes;
    for (; *last; last = &(*last)->next) {
        const pl_http_route *other = *last;
        if (pl_str_eq(other->verb, route->verb) && pl_str_eq(other->path.verb, route->path.verb))
            return pl_fail(err, PL_ALREADY_EXISTS, "%.*s %.*s is the path of %.*s already (there %.*s)",
                           PL_STR_ARG(route->verb), PL_STR_ARG(route->text),
                           PL_STR_ARG(other->descriptor->full_name), PL_STR_ARG(other->text));
    }
    *last = route;
    return PL_OK;
}

pl_code pl_http_routes_add(pl_http_routes *routes, const struct pl_grpc_method *method, pl_error *err)
{
    pl_http_rules rules;
    pl_code code = pl_http_rules_read(method, &routes->arena, &rules, err);
    for (size_t i = 0; code == PL_OK && i < rules.count; i++)
        code = put(routes, &rules.routes[i], err);
    return code;
}

/* --- matching --- */
typedef struct matching {
    pl_str verb, path; /* path without the verb of its own */
    pl_str custom;     /* that verb, or "" */
    pl_str parts[PL_HTTP_MOST_PARTS];
    bool seen; /* the path is there, with other methods of HTTP */
    const pl_http_route *found;
    pl_http_match *out;
} matching;

static void note_allowed(matching *m, pl_str verb)
{
    char *text = m->out->allowed;
    size_t len = strlen(text);
    char word[24];
    snprintf(word, sizeof word, "%.*s", PL_STR_ARG(verb));
    m->seen = true;
    if (!strstr(text, word))
        snprintf(text + len, sizeof m->out->allowed - len, "%s%s", len ? ", " : "", word);
}

static bool accept(matching *m, const node *n)
{
    for (const pl_http_route *r = n->routes; r; r = r->next) {
        if (!pl_str_eq(r->path.verb, m->custom))
            continue;
        if (pl_str_eq(r->verb, m->verb) || pl_str_is(r->verb, "*") ||
            (pl_str_is(m->verb, "HEAD") && pl_str_is(r->verb, "GET"))) {
            m->found = r;
            return true;
        }
        note_allowed(m, r->verb);
    }
    return false;
}

/* Each node is visited once at most, as it has one place in the tree; the tree is as deep as templates are.
 */
static bool walk(matching *m, const node *n, size_t at, size_t depth)
{
    pl_str left = {m->path.ptr + at, m->path.len - at};
    if (left.len == 0) {
        if (depth < PL_HTTP_MOST_PARTS)
            m->parts[depth] = left;
        return accept(m, n) || (n->rest && accept(m, n->rest));
    }
    if (depth == PL_HTTP_MOST_PARTS || left.ptr[0] != '/')
        return false;
    left = (pl_str){left.ptr + 1, left.len - 1};
    const char *slash = left.len > 0 ? memchr(left.ptr, '/', left.len) : NULL;
    pl_str segment = {left.ptr, slash ? (size_t)(slash - left.ptr) : left.len};
    size_t after = at + 1 + segment.len;
    const node *literal = n->literals.count ? pl_map_get(&n->literals, segment) : NULL;
    m->parts[depth] = segment;
    if (literal && walk(m, literal, after, depth + 1))
        return true;
    m->parts[depth] = segment;
    if (n->one && segment.len > 0 && walk(m, n->one, after, depth + 1))
        return true;
    m->parts[depth] = left;
    return n->rest && accept(m, n->rest);
}

static void fill_values(const matching *m)
{
    const pl_http_template *t = &m->found->path;
    for (size_t i = 0; i < t->variable_count; i++) {
        const pl_str *first = &m->parts[t->variables[i].from], *last = &m->parts[t->variables[i].to - 1];
        m->out->values[i] = (pl_str){first->ptr, (size_t)(last->ptr + last->len - first->ptr)};
    }
}

bool pl_http_routes_match(const pl_http_routes *routes, pl_str verb, pl_str path, pl_http_match *out)
{
    matching m = {.verb = verb, .path = path, .custom = PL_STR(""), .out = out};
    const char *slash = path.len > 0 ? memrchr(path.ptr, '/', path.len) : NULL;
    size_t last = slash ? (size_t)(slash - path.ptr) : 0;
    const char *colon = path.len > last ? memrchr(path.ptr + last, ':', path.len - last) : NULL;
    out->route = NULL;
    out->allowed[0] = '\0';
    bool found = false;
    if (colon) {
        m.path.len = (size_t)(colon - path.ptr);
        m.custom = (pl_str){colon + 1, path.len - m.path.len - 1};
        found = m.custom.len > 0 && walk(&m, &routes->root, 0, 0);
    }
    if (!found) {
        m.path = path;
        m.custom = PL_STR("");
        found = walk(&m, &routes->root, 0, 0);
    }
    if (found) {
        out->route = m.found;
        fill_values(&m);
    }
    return found || m.seen;
}
