/* SPDX-License-Identifier: MIT */
/* A document against a fixed schema: limits, all rules, and the cost of each operation, within their bounds.
 */
#include <stdlib.h>

#include "graphql/language/parser.h"
#include "graphql/validation/cost.h"
#include "graphql/validation/limits.h"
#include "graphql/validation/validate.h"

static const char sdl[] =
    "directive @tag(name: String!, n: Int = 1) repeatable on FIELD | QUERY | FRAGMENT_SPREAD\n"
    "directive @once(a: Int, b: [Int!]) on FIELD | QUERY | VARIABLE_DEFINITION | INLINE_FRAGMENT | "
    "FRAGMENT_DEFINITION\n"
    "directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT\n"
    "directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD\n"
    "enum Color @cost(weight: \"0.5\") { RED GREEN OLD @deprecated(reason: \"Faded.\") }\n"
    "scalar Money\n"
    "scalar Date\n"
    "interface Node { id: ID! friends(first: Int = 3, last: Int): [Author!] @listSize(slicingArguments: "
    "[\"first\", \"last\"]) }\n"
    "interface Named implements Node { id: ID! name(short: Boolean, len: Int! = 3): String\n"
    "  friends(first: Int = 3, last: Int): [Author!] }\n"
    "type Author implements Node & Named @cost(weight: \"2\") { id: ID! name(short: Boolean, len: Int! = 3): "
    "String\n"
    "  friends(first: Int = 3, last: Int): [Author!] books(first: Int = 10, by: Range @cost(weight: \"3\")): "
    "[Book!]!\n"
    "  nick: String @deprecated any: Result color(of: Color!): Color when(on: Date): Date }\n"
    "type Book implements Node { id: ID! friends(first: Int = 3, last: Int): [Author!] title: String! "
    "author: Author! pages: "
    "Int\n"
    "  any: Result page(by: Range): Page @listSize(slicingArguments: [\"by.from\"], sizedFields: [\"books\", "
    "\"ids\"]) }\n"
    "type Page { books: [[Book]] ids: [ID] next: Page }\n"
    "union Result = Author | Book\n"
    "input Range { from: Int! to: Int! = 5 tags: [String!] inner: Range keys: [Key] old: Int @deprecated "
    "color: Color\n"
    "  money: Money @cost(weight: \"4\") f: Float b: Boolean }\n"
    "input Key @oneOf { id: ID name: String range: Range }\n"
    "type Query { node(id: ID!): Node named(a: Int): Named author(id: ID, old: Int @deprecated): Author "
    "book(by: Key): Book\n"
    "  search(text: String!, range: Range, color: Color, limit: Int! = 3): [Result] @listSize(assumedSize: "
    "7) books(range: "
    "[Range!]!): [Book]\n"
    "  price(in: Money, ratio: Float, list: [Int], lists: [[Int!]]): Float page: Page result: Result }\n"
    "type Mutation { add(title: String!): Book set(key: Key!): Result }\n"
    "type Subscription { added: Book removed(id: ID): Book }\n";

static pl_arena lasting;
static gql_schema *schema;
static gql_cost_model *model;

static void set_up(void)
{
    gql_diagnostics list;
    gql_source source = {"schema.graphql", {sdl, sizeof sdl - 1}};
    pl_arena_init(&lasting, 0);
    gql_diagnostics_init(&list, &lasting, 0);
    if (gql_schema_build(&source, 1, NULL, &list, &schema) != PL_OK)
        abort();
    model = gql_cost_model_new(&lasting, schema, 0);
    if (!model)
        abort();
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Every diagnostic has a message, and a place in the document. */
static void check_list(const gql_diagnostics *list, pl_code code)
{
    require(!list->out_of_memory);
    require((code == PL_OK) == (list->count == 0));
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        require(d->message.len > 0 && pl_str_is_utf8(d->message));
        for (uint32_t i = 0; i < d->location_count; i++)
            require(d->locations[i].line > 0 && d->locations[i].column > 0);
    }
}

static void measure(pl_arena *arena, const gql_document *document)
{
    gql_diagnostics list;
    uint64_t steps;
    gql_limits limits = {0};
    gql_diagnostics_init(&list, arena, 0);
    pl_code code = gql_limits_check(document, &limits, &list, &steps);
    check_list(&list, code);
}

static bool validate(pl_arena *arena, const gql_document *document, bool optional, size_t size)
{
    gql_diagnostics list;
    gql_validate_work work;
    gql_validate_options options = {.work = &work};
    if (optional) {
        options.only = gql_validation_rules();
        while (options.only[options.only_count])
            options.only_count++;
    }
    gql_diagnostics_init(&list, arena, 0);
    pl_code code = gql_validate(schema, document, &options, &list);
    check_list(&list, code);
    require(work.visits <= 500000 && work.comparisons <= 200000 && work.suggestions <= 2000000);
    require(work.calls <= 100 * (size + 100));
    return code == PL_OK;
}

static void cost(pl_arena *arena, const gql_document *document, const gql_operation *operation)
{
    gql_cost_plan *plan;
    gql_cost_result result;
    uint64_t steps;
    pl_error err = {0};
    pl_code code = gql_cost_plan_new(arena, model, document, operation, &plan, &steps, &err);
    require(steps <= 500001);
    if (code) {
        require(code == PL_RESOURCE_EXHAUSTED && err.message[0]);
        return;
    }
    require(gql_cost(plan, NULL, 0, arena, &result) == PL_OK);
    require(result.cost >= 0 && result.cost <= 1e15);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_arena arena;
    gql_document *document;
    pl_error err = {0};
    gql_source source = {"request", {(const char *)data, size}};
    if (!schema)
        set_up();
    pl_arena_init(&arena, 0);
    if (gql_parse(&arena, &source, NULL, &document, &err) == PL_OK) {
        measure(&arena, document);
        bool valid = validate(&arena, document, false, size);
        bool strictly = validate(&arena, document, true, size);
        require(valid || !strictly);
        for (uint32_t i = 0; i < document->operation_count && i < 8 && valid; i++)
            cost(&arena, document, &document->operations[i]);
    }
    pl_arena_dispose(&arena);
    return 0;
}
