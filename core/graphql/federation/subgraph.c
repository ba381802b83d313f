/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "graphql/federation/internal.h"
#include "graphql/language/parser.h"

/* Finds out whether the SDL is a subgraph's, and completes it: one more document, written as SDL like the
 * others, holds what the SDL may leave out. */

bool gql_each_definition(gql_builder *b, gql_definition_at *at, gql_type_system **ast)
{
    while (at->document < b->count && at->index >= b->documents[at->document]->definition_count) {
        at->document++;
        at->index = 0;
    }
    if (at->document >= b->count)
        return false;
    *ast = &b->documents[at->document]->definitions[at->index++];
    return true;
}

static bool is_type(const gql_type_system *ast)
{
    return ast->kind != GQL_DEF_SCHEMA && ast->kind != GQL_DEF_DIRECTIVE;
}

/* --- what the SDL has --- */

static void note_schema(gql_subgraph *s, const gql_type_system *ast)
{
    s->schema_definition |= !ast->extension;
    for (uint32_t i = 0; i < ast->operation_type_count; i++) {
        if (ast->operation_types[i].kind != GQL_QUERY)
            continue;
        s->query = ast->operation_types[i].type.text;
        s->query_named = true;
    }
}

static void note_definitions(gql_subgraph *s)
{
    gql_definition_at at = {0};
    gql_type_system *ast;
    pl_map_clear(&s->types);
    pl_map_clear(&s->directives);
    s->query = PL_STR("Query");
    while (gql_each_definition(s->b, &at, &ast) && !s->b->no_memory) {
        if (ast->kind == GQL_DEF_SCHEMA)
            note_schema(s, ast);
        else if (ast->kind == GQL_DEF_DIRECTIVE)
            gql_build_map(s->b, &s->directives, ast->name.text, ast);
        else if (!ast->extension)
            gql_build_map(s->b, &s->types, ast->name.text, ast);
    }
}

/* --- version 1: nothing says so but the directives --- */

/* Whether it is used as in federation: one that the SDL defines with other arguments is something else. */
static bool is_version_1_use(const gql_subgraph *s, const gql_directive *directive, const char *name)
{
    if (!pl_str_is(directive->name.text, name))
        return false;
    const gql_type_system *own = pl_map_get(&s->directives, directive->name.text);
    bool fields = !pl_str_is(directive->name.text, "external") && !pl_str_is(directive->name.text, "extends");
    if (!fields || !gql_directive_argument(directive, "fields"))
        return !fields && !own;
    return !own || (own->input_count > 0 && pl_str_is(own->inputs[0].name.text, "fields"));
}

static bool uses(const gql_subgraph *s, const gql_directives *directives, const char *const *names)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        for (const char *const *name = names; *name; name++) {
            if (is_version_1_use(s, &directives->items[i], *name))
                return true;
        }
    }
    return false;
}

static bool is_version_1(const gql_subgraph *s)
{
    static const char *const on_types[] = {"key", "extends", NULL};
    static const char *const on_fields[] = {"external", "requires", "provides", NULL};
    gql_definition_at at = {0};
    gql_type_system *ast;
    while (gql_each_definition(s->b, &at, &ast)) {
        if (ast->kind != GQL_DEF_OBJECT && ast->kind != GQL_DEF_INTERFACE)
            continue;
        if (uses(s, &ast->directives, on_types))
            return true;
        for (uint32_t i = 0; i < ast->field_count; i++) {
            if (uses(s, &ast->fields[i].directives, on_fields))
                return true;
        }
    }
    return false;
}

/* --- what the SDL has of the machinery is taken out: it is made anew, and no part of the printed SDL --- */

static bool is_machinery(const gql_subgraph *s, const gql_type_system *ast)
{
    static const char *const types[] = {"_Service", "_Any", "_Entity"};
    for (size_t i = 0; is_type(ast) && i < sizeof(types) / sizeof(types[0]); i++) {
        if (pl_str_is(ast->name.text, types[i]))
            return true;
    }
    return s->version_1 && (is_type(ast) || ast->kind == GQL_DEF_DIRECTIVE) &&
           gql_is_version_1_name(ast->name.text, ast->kind == GQL_DEF_DIRECTIVE);
}

/* False: nothing is left of the definition. */
static bool strip_query(gql_type_system *ast)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ast->field_count; i++) {
        pl_str name = ast->fields[i].name.text;
        if (!pl_str_is(name, "_service") && !pl_str_is(name, "_entities"))
            ast->fields[kept++] = ast->fields[i];
    }
    bool stripped = kept < ast->field_count;
    ast->field_count = kept;
    return !stripped || kept > 0 || ast->directives.count > 0 || ast->interface_count > 0;
}

static void strip_machinery(gql_subgraph *s)
{
    for (size_t i = 0; i < s->b->count; i++) {
        gql_document *document = s->b->documents[i];
        uint32_t kept = 0;
        for (uint32_t j = 0; j < document->definition_count; j++) {
            gql_type_system *ast = &document->definitions[j];
            bool query = ast->kind == GQL_DEF_OBJECT && pl_str_eq(ast->name.text, s->query);
            if (!is_machinery(s, ast) && !(query && !strip_query(ast)))
                document->definitions[kept++] = *ast;
        }
        document->definition_count = kept;
    }
}

/* An `extend type` without a definition is one in a subgraph: the type is some other subgraph's, too. */
static void note_orphans(gql_subgraph *s)
{
    gql_definition_at at = {0};
    gql_type_system *ast;
    while (gql_each_definition(s->b, &at, &ast) && !s->b->no_memory) {
        if (!is_type(ast) || !ast->extension || pl_map_has(&s->types, ast->name.text))
            continue;
        gql_build_map(s->b, &s->types, ast->name.text, ast);
        gql_build_map(s->b, &s->orphans, ast->name.text, ast);
    }
}

/* --- what it has not --- */

static bool is_resolvable(const gql_directive *key)
{
    const gql_value *value = gql_directive_argument(key, "resolvable");
    return !value || value->kind != GQL_VALUE_BOOLEAN || value->boolean;
}

/* Prints the object types with a @key, once each, with " | " between them. */
static void print_entities(gql_subgraph *s, pl_buf *out)
{
    pl_str key = gql_federation_directive(s, "key");
    pl_map seen = {0};
    gql_definition_at at = {0};
    gql_type_system *ast;
    while (gql_each_definition(s->b, &at, &ast) && !s->b->no_memory) {
        for (uint32_t i = 0; ast->kind == GQL_DEF_OBJECT && i < ast->directives.count; i++) {
            if (!pl_str_eq(ast->directives.items[i].name.text, key))
                continue;
            s->any_resolvable |= is_resolvable(&ast->directives.items[i]);
            if (pl_map_has(&seen, ast->name.text))
                continue;
            gql_build_map(s->b, &seen, ast->name.text, ast);
            if (s->any_entity)
                PL_BUF_LIT(out, " | ");
            pl_buf_str(out, ast->name.text);
            s->any_entity = true;
        }
    }
    pl_map_dispose(&seen);
}

static void print_machinery(gql_subgraph *s, pl_buf *out)
{
    pl_buf entities;
    pl_buf_init(&entities);
    print_entities(s, &entities);
    PL_BUF_LIT(out, "type _Service { sdl: String! }\n");
    if (s->any_resolvable) {
        PL_BUF_LIT(out, "scalar _Any\nunion _Entity = ");
        pl_buf_str(out, pl_buf_view(&entities));
    }
    if (s->schema_definition && !s->query_named)
        PL_BUF_LIT(out, "\nextend schema { query: Query }");
    pl_buf_printf(out, "\n%stype %.*s {", pl_map_has(&s->types, s->query) ? "extend " : "",
                  PL_STR_ARG(s->query));
    if (s->any_resolvable)
        PL_BUF_LIT(out, " _entities(representations: [_Any!]!): [_Entity]!");
    PL_BUF_LIT(out, " _service: _Service! }\n");
    out->failed |= entities.failed;
    pl_buf_dispose(&entities);
}

/* The SDL is ours, but has names in it that are not: a mistake there is reported by the rules, later. */
static void add_document(gql_subgraph *s, pl_str text)
{
    static const gql_parse_limits limits = {.max_tokens = UINT32_MAX};
    gql_builder *b = s->b;
    gql_source *source = &b->sources[b->count];
    pl_error err;
    source->name = "federation";
    source->text = pl_arena_str(&b->schema->arena, text);
    if (!source->text.ptr ||
        gql_parse(&b->schema->arena, source, &limits, &b->documents[b->count], &err) != PL_OK)
        b->no_memory = true;
    else
        b->count++;
}

static void complete(gql_subgraph *s)
{
    pl_buf text;
    pl_buf_init(&text);
    if (s->b->subgraph)
        note_orphans(s);
    gql_elements_print(s, &text);
    if (s->b->subgraph)
        print_machinery(s, &text);
    s->b->no_memory |= text.failed;
    if (!s->b->no_memory && text.len > 0)
        add_document(s, pl_buf_view(&text));
    pl_buf_dispose(&text);
}

static void dispose_subgraph(void *data)
{
    gql_subgraph *s = data;
    pl_map_dispose(&s->types);
    pl_map_dispose(&s->directives);
    pl_map_dispose(&s->orphans);
}

void gql_federation_prepare(gql_builder *b)
{
    gql_subgraph *s = gql_scratch_alloc(b, 1, sizeof(*s));
    if (!s)
        return;
    s->b = b;
    s->own_documents = b->count;
    if (pl_arena_on_dispose(&b->scratch, dispose_subgraph, s) != 0) {
        b->no_memory = true;
        return;
    }
    note_definitions(s);
    if (!b->no_memory)
        gql_links_read(s);
    if (b->no_memory || b->errors)
        return;
    s->version_1 = !s->federation && (b->options.subgraph || is_version_1(s));
    if (!s->version_1 && !s->features)
        return; /* a schema like any other */
    if (s->version_1 || s->federation) {
        gql_federation *f = b->schema->federation = gql_build_alloc(b, 1, sizeof(*f));
        if (!f)
            return;
        f->major = s->federation ? s->federation->major : 1;
        f->minor = s->federation ? s->federation->minor : 0;
        strip_machinery(s);
        note_definitions(s);
        b->subgraph = s;
    }
    if (!b->no_memory)
        complete(s);
}

void gql_federation_finish(gql_builder *b)
{
    gql_subgraph *s = b->subgraph;
    if (!s)
        return;
    b->schema->federation->sdl = gql_subgraph_sdl(s);
    b->no_memory |= !b->schema->federation->sdl.ptr;
    for (size_t i = 0; i < s->orphans.count; i++)
        ((gql_type_system *)s->orphans.entries[i].value)->extension = false;
}
