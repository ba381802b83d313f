/* SPDX-License-Identifier: MIT */
/* SDL through all stages of building a schema, those of a subgraph included; what is built is printed, and
 * builds again. */
#include <stdint.h>
#include <stdlib.h>

#include "graphql/federation/federation.h"
#include "graphql/schema/diff.h"
#include "graphql/schema/print.h"

static gql_schema *build(pl_str text)
{
    gql_source source = {"fuzz.graphql", text};
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    pl_code code = gql_schema_build(&source, 1, NULL, &list, &schema);
    if ((code == PL_OK) != (schema != NULL) || (code == PL_INVALID_ARGUMENT && list.count == 0))
        abort();
    pl_arena_dispose(&arena);
    return schema;
}

/* What a subgraph prints of itself makes the same subgraph. */
static void check_sdl(const gql_schema *schema)
{
    gql_schema *again = build(schema->federation->sdl);
    if (!again || !again->federation || !pl_str_eq(again->federation->sdl, schema->federation->sdl))
        abort();
    gql_schema_free(again);
}

/* What is printed is the same schema. */
static void check_print(const gql_schema *schema)
{
    static const gql_print_options options[] = {{0}, {.sort = true, .directives = true}};
    for (int i = 0; i < 2; i++) {
        pl_arena arena;
        pl_buf out;
        gql_changes changes;
        pl_arena_init(&arena, 0);
        pl_buf_init(&out);
        gql_schema_print_with(&out, schema, &options[i]);
        gql_schema *again = build(pl_buf_view(&out));
        if (!again || gql_schema_diff(schema, again, &arena, &changes) != PL_OK || changes.first)
            abort();
        gql_schema_free(again);
        pl_buf_dispose(&out);
        pl_arena_dispose(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gql_schema *schema = build((pl_str){(const char *)data, size});
    if (schema && schema->federation)
        check_sdl(schema);
    if (schema && !schema->federation) /* whose directives are not all printed under their names */
        check_print(schema);
    gql_schema_free(schema);
    return 0;
}
