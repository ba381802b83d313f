/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "graphql/federation/internal.h"
#include "graphql/language/parser.h"
#include "graphql/schema/internal.h"

/* A schema is trusted, but its size is bounded all the same: possible_bits grow with the square of it. */
#define SCHEMA_MEMORY ((size_t)1 << 30)
#define MAX_ERRORS 100

/* --- reading --- */

static bool copy_sources(gql_builder *b, const gql_source *sources, size_t count)
{
    b->count = count;
    /* two more: what a subgraph's SDL need not define, and what gql_add_ready_made adds */
    b->sources = gql_build_alloc(b, count + 2, sizeof(*b->sources));
    b->listed = gql_scratch_alloc(b, count + 2, sizeof(*b->listed));
    b->documents = gql_scratch_alloc(b, count + 2, sizeof(*b->documents));
    for (size_t i = 0; !b->no_memory && i < count; i++) {
        const char *name = sources[i].name ? sources[i].name : "GraphQL schema";
        b->sources[i].name = pl_arena_str(&b->schema->arena, pl_str_of(name)).ptr;
        b->sources[i].text = pl_arena_str(&b->schema->arena, sources[i].text);
        b->no_memory |= !b->sources[i].name || !b->sources[i].text.ptr;
    }
    return !b->no_memory;
}

static void parse_sources(gql_builder *b)
{
    static const gql_parse_limits limits = {.max_tokens = UINT32_MAX};
    pl_error err;
    for (size_t i = 0; i < b->count && !gql_build_stop(b); i++) {
        pl_code code = gql_parse(&b->schema->arena, &b->sources[i], &limits, &b->documents[i], &err);
        if (code == PL_RESOURCE_EXHAUSTED && pl_str_is(PL_STR("out of memory"), err.message)) {
            b->no_memory = true;
        } else if (code) {
            gql_place place = {&b->sources[i], {.line = err.line, .column = err.column}};
            gql_report(b, NULL, &place, 1, "%s", err.message);
        }
    }
    if (!gql_build_stop(b) &&
        gql_parse(&b->schema->arena, &gql_builtin_source, NULL, &b->builtins, &err) != PL_OK)
        b->no_memory = true; /* the only thing that can be wrong with it */
}

/* --- definitions and their extensions --- */

static void add_node(gql_builder *b, gql_group *group, gql_type_system *ast)
{
    gql_node *node = gql_scratch_alloc(b, 1, sizeof(*node));
    if (!node)
        return;
    node->ast = ast;
    bool first = !group->definition;
    if (!ast->extension)
        group->definition = ast; /* there is but one, or the rules will say so */
    if (!ast->extension && first) {
        node->next = group->first;
        group->first = node;
        group->last = group->last ? group->last : node;
    } else {
        if (group->last)
            group->last->next = node;
        else
            group->first = node;
        group->last = node;
    }
}

static gql_group *group_of(gql_builder *b, pl_str name)
{
    gql_group *group = pl_map_get(&b->groups, name);
    if (!group && (group = gql_scratch_alloc(b, 1, sizeof(*group)))) {
        group->name = name;
        if (!gql_build_map(b, &b->groups, name, group))
            return NULL;
    }
    return group;
}

static void add_schema_node(gql_builder *b, gql_type_system *ast)
{
    if (!ast->extension) {
        b->schema_definition = b->schema_definition ? b->schema_definition : ast;
        return;
    }
    gql_node *node = gql_scratch_alloc(b, 1, sizeof(*node));
    if (!node)
        return;
    node->ast = ast;
    if (b->last_schema_extension)
        b->last_schema_extension->next = node;
    else
        b->schema_extensions = node;
    b->last_schema_extension = node;
}

static void collect_groups(gql_builder *b)
{
    for (size_t i = 0; i < b->count; i++) {
        gql_document *document = b->documents[i];
        for (uint32_t j = 0; j < document->definition_count && !b->no_memory; j++) {
            gql_type_system *ast = &document->definitions[j];
            if (ast->kind == GQL_DEF_SCHEMA) {
                add_schema_node(b, ast);
            } else if (ast->kind != GQL_DEF_DIRECTIVE) {
                gql_group *group = group_of(b, ast->name.text);
                if (group)
                    add_node(b, group, ast);
            }
        }
    }
}

/* --- the whole --- */

static void run_stages(gql_builder *b)
{
    static void (*const stages[])(gql_builder *) = {
        parse_sources,    gql_federation_prepare, gql_add_ready_made,  gql_federation_finish,
        collect_groups,   gql_check_sdl,          gql_assemble,        gql_build_possible,
        gql_check_schema, gql_federation_check,   gql_coerce_defaults,
    };
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        stages[i](b);
        if (b->errors || b->no_memory)
            return;
    }
}

static pl_code finish(gql_builder *b, gql_schema **out)
{
    pl_map_dispose(&b->groups);
    pl_arena_dispose(&b->scratch);
    if (!b->errors && !b->no_memory) {
        *out = b->schema;
        return PL_OK;
    }
    gql_schema_free(b->schema);
    return b->no_memory ? PL_RESOURCE_EXHAUSTED : PL_INVALID_ARGUMENT;
}

pl_code gql_schema_build(const gql_source *sources, size_t count, const gql_schema_options *options,
                         gql_diagnostics *list, gql_schema **out)
{
    *out = NULL;
    gql_builder b = {.list = list, .schema = pl_calloc(1, sizeof(*b.schema))};
    if (!b.schema) {
        list->out_of_memory = true;
        return PL_RESOURCE_EXHAUSTED;
    }
    if (options)
        b.options = *options;
    pl_arena_init(&b.schema->arena, 16384);
    b.schema->arena.limit = SCHEMA_MEMORY;
    pl_arena_init(&b.scratch, 16384);
    b.scratch.limit = SCHEMA_MEMORY;
    uint32_t max = list->max;
    if (max == 0)
        list->max = list->count + MAX_ERRORS;
    if (copy_sources(&b, sources, count))
        run_stages(&b);
    list->max = max;
    list->out_of_memory |= b.no_memory;
    return finish(&b, out);
}
