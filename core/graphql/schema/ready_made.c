/* SPDX-License-Identifier: MIT */
#include "graphql/language/parser.h"
#include "graphql/schema/internal.h"

/* Directives that the server understands, for SDL that uses them without defining them: then the definitions
 * here join the SDL as one more file, as if its author had written them. An SDL that defines one itself keeps
 * its own. */
typedef struct ready_made {
    const char *name, *definition;
    const char *type, *type_definition; /* that it needs; NULL: none */
} ready_made;

static const ready_made directives[] = {
    /* The IBM cost specification, as Apollo writes it. */
    {"cost",
     "\"\"\"What this adds to the cost of an operation, a number.\"\"\"\n"
     "directive @cost(weight: String!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | "
     "INPUT_FIELD_DEFINITION | OBJECT | SCALAR\n",
     NULL, NULL},
    {"listSize",
     "\"\"\"How long a list is expected to be, for the cost of an operation.\"\"\"\n"
     "directive @listSize(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], "
     "requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION\n",
     NULL, NULL},
    /* As Apollo Server has it. */
    {"cacheControl",
     "\"\"\"For how many seconds, and for whom, a response with this may be cached.\"\"\"\n"
     "directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean) on "
     "FIELD_DEFINITION | OBJECT | INTERFACE | UNION\n",
     "CacheControlScope",
     "\"\"\"Who may have the same response: everybody, or only who asked.\"\"\"\n"
     "enum CacheControlScope { PUBLIC PRIVATE }\n"},
};
#define COUNT (sizeof(directives) / sizeof(directives[0]))

typedef struct search {
    bool used[COUNT], defined[COUNT], has_type[COUNT];
} search;

static void mark(bool *marks, pl_str name)
{
    for (size_t i = 0; i < COUNT; i++)
        marks[i] |= pl_str_is(name, directives[i].name);
}

static void find_uses(search *s, const gql_directives *applied)
{
    for (uint32_t i = 0; i < applied->count; i++)
        mark(s->used, applied->items[i].name.text);
}

static void find_in_inputs(search *s, const gql_input_value_ast *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        find_uses(s, &inputs[i].directives);
}

static void find_in_definition(search *s, const gql_type_system *ast)
{
    if (ast->kind == GQL_DEF_DIRECTIVE)
        mark(s->defined, ast->name.text);
    for (size_t i = 0; i < COUNT && !ast->extension; i++)
        s->has_type[i] |= directives[i].type && pl_str_is(ast->name.text, directives[i].type);
    find_uses(s, &ast->directives);
    for (uint32_t i = 0; i < ast->field_count; i++) {
        find_uses(s, &ast->fields[i].directives);
        find_in_inputs(s, ast->fields[i].arguments, ast->fields[i].argument_count);
    }
    for (uint32_t i = 0; i < ast->value_count; i++)
        find_uses(s, &ast->values[i].directives);
    find_in_inputs(s, ast->inputs, ast->input_count);
}

void gql_add_ready_made(gql_builder *b)
{
    search s = {0};
    for (size_t i = 0; i < b->count; i++) {
        for (uint32_t j = 0; j < b->documents[i]->definition_count; j++)
            find_in_definition(&s, &b->documents[i]->definitions[j]);
    }
    pl_str text = PL_STR("");
    for (size_t i = 0; i < COUNT && text.ptr; i++) {
        if (s.used[i] && !s.defined[i])
            text = pl_arena_printf(&b->schema->arena, "%.*s%s%s", PL_STR_ARG(text), directives[i].definition,
                                   directives[i].type && !s.has_type[i] ? directives[i].type_definition : "");
    }
    if (text.len == 0) {
        b->no_memory |= !text.ptr;
        return;
    }
    /* copy_sources left room for it */
    gql_source *source = &b->sources[b->count];
    pl_error err;
    *source = (gql_source){"ready-made directives", text};
    if (gql_parse(&b->schema->arena, source, NULL, &b->documents[b->count], &err) == PL_OK)
        b->count++;
    else
        b->no_memory = true; /* the only thing that can be wrong with it */
}
