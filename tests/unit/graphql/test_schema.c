/* SPDX-License-Identifier: MIT */
/* What a built schema holds, and how it answers. */
#include "graphql/language/parser.h"
#include "schemas.h"

static const char shop[] =
    "\"What the shop sells\"\n"
    "schema @shown { query: Root mutation: Change }\n"
    "directive @shown(level: Int = 1) repeatable on SCHEMA | OBJECT | FIELD_DEFINITION\n"
    "directive @skip(if: Boolean!, why: String) on FIELD\n"
    "extend type Book @shown(level: 2) { pages: Int! }\n"
    "\"Anything with a price\"\n"
    "interface Item implements Node { id: ID! price(currency: Currency! = EUR): Float! }\n"
    "interface Node { id: ID! }\n"
    "interface Unused { id: ID! }\n"
    "type Book implements Item & Node @shown {\n"
    "  id: ID!\n"
    "  \"What it costs\"\n"
    "  price(currency: Currency! = EUR): Float!\n"
    "  title(\"how long\" max: Int = 80, old: String @deprecated): String @deprecated(reason: \"use name\")\n"
    "  author: Author\n"
    "  other: [[Book!]]! @deprecated\n"
    "}\n"
    "type Author implements Node { id: ID! books: [Book!]! }\n"
    "union Result = Book | Author\n"
    "union OnlyBooks = Book\n"
    "enum Currency { EUR USD @deprecated }\n"
    "extend enum Currency { JPY }\n"
    "input Filter { text: String = \"all\" page: Page = { size: 5 } kinds: [Currency!] = [EUR] }\n"
    "input Page { size: Int! start: Int = 0 }\n"
    "input Choice @oneOf { id: ID text: String }\n"
    "scalar DateTime\n"
    "scalar Web @specifiedBy(url: \"https://example.org/web\")\n"
    "type Root { find(filter: Filter = {}): [Result!]! node(id: ID!): Node }\n"
    "type Change { add(at: DateTime): Book }\n"
    "type Subscription { never: Int }\n"
    "extend schema @shown(level: 3) { subscription: Events }\n"
    "type Events { added: Book }\n";

static gql_named *type_of(const gql_schema *schema, const char *name)
{
    gql_named *type = gql_schema_type(schema, pl_str_of(name));
    if (!type)
        print_message("no type %s\n", name);
    assert_non_null(type);
    return type;
}

static gql_field *field_of(const gql_schema *schema, const char *type, const char *name)
{
    gql_field *field = gql_schema_field(schema, type_of(schema, type), pl_str_of(name));
    assert_non_null(field);
    return field;
}

#define assert_str(s, expected)                        \
    do {                                               \
        pl_str s_ = (s);                               \
        assert_int_equal(s_.len, strlen(expected));    \
        assert_memory_equal(s_.ptr, expected, s_.len); \
    } while (0)

static void test_types(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    const gql_named *book = type_of(schema, "Book");
    assert_int_equal(book->kind, GQL_OBJECT);
    assert_int_equal(book->field_count, 6);
    assert_str(book->fields[0].name, "id");
    assert_str(book->fields[5].name, "pages"); /* the extension's come last, wherever it stands */
    assert_int_equal(book->interface_count, 2);
    assert_ptr_equal(book->interfaces[1], type_of(schema, "Node"));
    assert_int_equal(book->directives->count, 2);
    assert_str(book->directives->items[1].arguments[0].value.text, "2");
    assert_string_equal(book->source->name, "test.graphql");
    assert_int_equal(book->loc.line, 10);
    assert_str(type_of(schema, "Item")->description, "Anything with a price");
    assert_null(book->description.ptr);

    const gql_named *currency = type_of(schema, "Currency");
    assert_int_equal(currency->value_count, 3);
    gql_enum_value *jpy = pl_map_get(&currency->value_map, PL_STR("JPY"));
    assert_ptr_equal(jpy, &currency->values[2]);
    assert_int_equal(jpy->index, 2);
    assert_true(currency->values[1].deprecation.is);
    assert_str(currency->values[1].deprecation.reason, "No longer supported");

    assert_true(type_of(schema, "Choice")->one_of);
    assert_false(type_of(schema, "Filter")->one_of);
    assert_str(type_of(schema, "Web")->specified_by, "https://example.org/web");
    assert_null(type_of(schema, "DateTime")->specified_by.ptr);
    assert_null(gql_schema_type(schema, PL_STR("Nothing")));
    gql_schema_free(schema);
}

static void test_roots(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    assert_str(schema->description, "What the shop sells");
    assert_ptr_equal(gql_schema_root(schema, GQL_QUERY), type_of(schema, "Root"));
    assert_ptr_equal(gql_schema_root(schema, GQL_MUTATION), type_of(schema, "Change"));
    assert_ptr_equal(gql_schema_root(schema, GQL_SUBSCRIPTION), type_of(schema, "Events"));
    gql_schema_free(schema);

    schema = build_schema("type Query { a: Int } type Mutation { a: Int } type Events { a: Int }"
                          "extend schema { subscription: Events }",
                          NULL);
    assert_ptr_equal(schema->query, type_of(schema, "Query"));
    assert_ptr_equal(schema->mutation, type_of(schema, "Mutation"));
    assert_ptr_equal(schema->subscription, type_of(schema, "Events"));
    gql_schema_free(schema);
}

static void test_fields_and_arguments(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    gql_field *title = field_of(schema, "Book", "title");
    assert_ptr_equal(title->parent, type_of(schema, "Book"));
    assert_str(title->type->text, "String");
    assert_true(title->deprecation.is);
    assert_str(title->deprecation.reason, "use name");
    assert_false(field_of(schema, "Book", "id")->deprecation.is);
    assert_str(field_of(schema, "Book", "price")->description, "What it costs");
    assert_int_equal(title->argument_count, 2);
    assert_int_equal(title->arguments[1].index, 1);
    assert_str(title->arguments[0].description, "how long");
    assert_int_equal(title->arguments[0].default_value->kind, PL_KIND_INT);
    assert_int_equal(title->arguments[0].default_value->integer, 80);
    assert_null(title->arguments[1].default_value);
    assert_true(title->arguments[1].deprecation.is);
    assert_ptr_equal(gql_input_find(title->arguments, 2, PL_STR("old")), &title->arguments[1]);
    assert_null(gql_input_find(title->arguments, 2, PL_STR("ol")));
    assert_null(gql_schema_field(schema, type_of(schema, "Book"), PL_STR("nothing")));
    assert_null(gql_schema_field(schema, type_of(schema, "Result"), PL_STR("id")));
    gql_schema_free(schema);
}

static void test_meta_fields(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    static const char *const composites[] = {"Book", "Item", "Result", "Root", "__Type"};
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(field_of(schema, composites[i], "__typename"), schema->typename_field);
    assert_null(gql_schema_field(schema, type_of(schema, "Filter"), PL_STR("__typename")));
    assert_null(gql_schema_field(schema, type_of(schema, "Currency"), PL_STR("__typename")));
    assert_ptr_equal(field_of(schema, "Root", "__schema"), schema->schema_field);
    assert_ptr_equal(field_of(schema, "Root", "__type"), schema->type_field);
    assert_null(gql_schema_field(schema, type_of(schema, "Change"), PL_STR("__schema")));
    assert_null(gql_schema_field(schema, type_of(schema, "Book"), PL_STR("__type")));
    assert_str(schema->schema_field->type->text, "__Schema!");
    assert_str(schema->type_field->type->text, "__Type");
    assert_str(schema->type_field->arguments[0].type->text, "String!");
    assert_str(schema->typename_field->type->text, "String!");
    gql_schema_free(schema);
}

static void count_input(uint32_t *seen, const gql_schema *schema, const gql_input *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(inputs[i].id < schema->input_count);
        assert_int_equal(seen[inputs[i].id]++, 0);
        assert_int_equal(inputs[i].index, i);
    }
}

static void test_numbers_are_dense(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    static uint32_t fields[200], inputs[200];
    memset(fields, 0, sizeof(fields));
    memset(inputs, 0, sizeof(inputs));
    assert_true(schema->field_count < 200 && schema->input_count < 200);
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *type = schema->types[i];
        assert_int_equal(type->id, i);
        assert_ptr_equal(gql_schema_type(schema, type->name), type);
        for (uint32_t j = 0; j < type->field_count; j++) {
            assert_true(type->fields[j].id < schema->field_count);
            assert_int_equal(fields[type->fields[j].id]++, 0);
            count_input(inputs, schema, type->fields[j].arguments, type->fields[j].argument_count);
        }
        count_input(inputs, schema, type->inputs, type->input_count);
    }
    for (uint32_t i = 0; i < schema->directive_count; i++)
        count_input(inputs, schema, schema->directives[i]->arguments, schema->directives[i]->argument_count);
    gql_field *meta[] = {schema->schema_field, schema->type_field, schema->typename_field};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fields[meta[i]->id]++, 0);
        count_input(inputs, schema, meta[i]->arguments, meta[i]->argument_count);
    }
    for (uint32_t i = 0; i < schema->field_count; i++)
        assert_int_equal(fields[i], 1);
    for (uint32_t i = 0; i < schema->input_count; i++)
        assert_int_equal(inputs[i], 1);
    gql_schema_free(schema);
}

static void test_order_of_types(void **state)
{
    static const char *const expected[] = {
        "B",           "A",           "Query",
        "String",      "Int",         "Boolean",
        "__Schema",    "__Directive", "__DirectiveLocation",
        "__Type",      "__Field",     "__InputValue",
        "__EnumValue", "__TypeKind",
    };
    gql_schema *schema = build_schema("type B { a: A } enum A { X } type Query { b: B c: Int }", NULL);
    assert_int_equal(schema->type_count, sizeof(expected) / sizeof(expected[0]));
    for (uint32_t i = 0; i < schema->type_count; i++) {
        assert_str(schema->types[i]->name, expected[i]);
        assert_int_equal(schema->types[i]->builtin, i >= 3);
    }
    assert_null(gql_schema_type(schema, PL_STR("Float"))); /* not used */
    gql_schema_free(schema);
}

static void test_introspection_types(void **state)
{
    gql_schema *schema = build_schema("type Query { a: Int }", NULL);
    assert_str(field_of(schema, "__Schema", "types")->type->text, "[__Type!]!");
    gql_field *fields = field_of(schema, "__Type", "fields");
    assert_str(fields->type->text, "[__Field!]");
    assert_str(fields->arguments[0].type->text, "Boolean!");
    assert_int_equal(fields->arguments[0].default_value->kind, PL_KIND_BOOL);
    assert_false(fields->arguments[0].default_value->boolean);
    assert_str(field_of(schema, "__Directive", "locations")->type->text, "[__DirectiveLocation!]!");
    assert_int_equal(type_of(schema, "__TypeKind")->value_count, 8);
    const gql_named *locations = type_of(schema, "__DirectiveLocation");
    assert_int_equal(locations->value_count, 19);
    for (uint32_t i = 0; i < locations->value_count; i++) {
        gql_location location = gql_location_parse(locations->values[i].name);
        assert_int_equal(location, 1u << i);
        assert_str(locations->values[i].name, gql_location_name(location));
    }
    assert_int_equal(gql_location_parse(PL_STR("FIELDS")), 0);
    assert_null(gql_location_name((gql_location)3));
    assert_null(gql_location_name((gql_location)0));
    for (uint32_t i = 1; i < schema->type_count; i++)
        assert_non_null(schema->types[i]->description.ptr);
    assert_non_null(strstr(type_of(schema, "__Type")->description.ptr, "specifiedByURL"));
    gql_schema_free(schema);
}

static void test_directives(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    assert_int_equal(schema->directive_count, 8);
    const gql_directive_def *shown = gql_schema_directive(schema, PL_STR("shown"));
    assert_ptr_equal(shown, schema->directives[0]);
    assert_true(shown->repeatable);
    assert_false(shown->builtin);
    assert_int_equal(shown->locations, GQL_ON_SCHEMA | GQL_ON_OBJECT | GQL_ON_FIELD_DEFINITION);
    assert_int_equal(shown->arguments[0].default_value->integer, 1);

    const gql_directive_def *skip = gql_schema_directive(schema, PL_STR("skip"));
    assert_false(skip->builtin); /* defined by the SDL itself */
    assert_int_equal(skip->argument_count, 2);
    assert_int_equal(skip->locations, GQL_ON_FIELD);
    const gql_directive_def *include = gql_schema_directive(schema, PL_STR("include"));
    assert_true(include->builtin);
    assert_int_equal(include->locations, GQL_ON_FIELD | GQL_ON_FRAGMENT_SPREAD | GQL_ON_INLINE_FRAGMENT);
    const gql_directive_def *deprecated = gql_schema_directive(schema, PL_STR("deprecated"));
    assert_int_equal(deprecated->locations, GQL_ON_FIELD_DEFINITION | GQL_ON_ARGUMENT_DEFINITION |
                                                GQL_ON_INPUT_FIELD_DEFINITION | GQL_ON_ENUM_VALUE);
    assert_str(deprecated->arguments[0].type->text, "String!");
    assert_str(deprecated->arguments[0].default_value->string, "No longer supported");
    assert_str(gql_schema_directive(schema, PL_STR("specifiedBy"))->arguments[0].name, "url");
    assert_int_equal(gql_schema_directive(schema, PL_STR("oneOf"))->locations, GQL_ON_INPUT_OBJECT);
    assert_int_equal(gql_schema_directive(schema, PL_STR("defer"))->locations,
                     GQL_ON_FRAGMENT_SPREAD | GQL_ON_INLINE_FRAGMENT);
    assert_int_equal(gql_schema_directive(schema, PL_STR("stream"))->locations, GQL_ON_FIELD);
    assert_null(gql_schema_directive(schema, PL_STR("cost")));
    gql_schema_free(schema);
}

static void test_possible_types(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    const gql_named *book = type_of(schema, "Book"), *author = type_of(schema, "Author");
    const gql_named *node = type_of(schema, "Node"), *item = type_of(schema, "Item");
    const gql_named *result = type_of(schema, "Result"), *unused = type_of(schema, "Unused");
    const gql_named *only = type_of(schema, "OnlyBooks");
    assert_int_equal(node->possible_count, 2);
    assert_ptr_equal(node->possible[0], book);
    assert_ptr_equal(node->possible[1], author);
    assert_int_equal(item->possible_count, 1);
    assert_int_equal(result->possible_count, 2);
    assert_int_equal(book->possible_count, 1);
    assert_ptr_equal(book->possible[0], book);
    assert_true(gql_is_possible(node, book) && gql_is_possible(node, author));
    assert_true(gql_is_possible(item, book) && gql_is_possible(only, book) && gql_is_possible(book, book));
    assert_false(gql_is_possible(item, author) || gql_is_possible(only, author) ||
                 gql_is_possible(book, author));
    for (uint32_t i = 0; i < schema->type_count; i++)
        assert_false(gql_is_possible(unused, schema->types[i]));
    assert_true(gql_types_overlap(schema, node, result) && gql_types_overlap(schema, result, node));
    assert_true(gql_types_overlap(schema, item, only) && gql_types_overlap(schema, unused, unused));
    assert_true(gql_types_overlap(schema, author, result) && gql_types_overlap(schema, result, author));
    assert_false(gql_types_overlap(schema, author, only) || gql_types_overlap(schema, item, author));
    assert_false(gql_types_overlap(schema, unused, node) || gql_types_overlap(schema, book, author));
    gql_schema_free(schema);
}

static const gql_typeref *parse_typeref(const gql_schema *schema, pl_arena *arena, const char *text)
{
    gql_source source = {"type", pl_str_of(text)};
    gql_type *type;
    assert_int_equal(gql_parse_type(arena, &source, &type, NULL), PL_OK);
    return gql_schema_typeref(schema, arena, type);
}

static void test_typerefs(void **state)
{
    gql_schema *schema = build_schema(shop, NULL);
    pl_arena arena;
    pl_arena_init(&arena, 0);
    const gql_typeref *books = field_of(schema, "Author", "books")->type;
    assert_str(books->text, "[Book!]!");
    assert_int_equal(books->kind, GQL_TYPE_NON_NULL);
    assert_int_equal(books->of->kind, GQL_TYPE_LIST);
    assert_ptr_equal(books->named, type_of(schema, "Book"));
    assert_ptr_equal(books->of->of->named, type_of(schema, "Book"));
    assert_ptr_equal(parse_typeref(schema, &arena, "[ Book ! ] !"), books);
    assert_ptr_equal(field_of(schema, "Item", "id")->type, field_of(schema, "Node", "id")->type);

    const gql_typeref *made = parse_typeref(schema, &arena, "[[Currency]!]");
    assert_str(made->text, "[[Currency]!]");
    assert_ptr_equal(made->named, type_of(schema, "Currency"));
    assert_null(parse_typeref(schema, &arena, "[Nothing!]"));
    assert_null(pl_map_get(&schema->typeref_map, PL_STR("[[Currency]!]")));
    pl_arena_dispose(&arena);
    gql_schema_free(schema);
}

static void test_subtypes(void **state)
{
    static const struct {
        const char *sub, *super;
        bool is;
    } cases[] = {
        {"Book", "Book", true},         {"Book!", "Book", true},
        {"Book", "Book!", false},       {"Book", "Item", true},
        {"Book", "Result", true},       {"Item", "Book", false},
        {"Item", "Node", true},         {"Node", "Item", false},
        {"Author", "Item", false},      {"[Book!]!", "[Node]", true},
        {"[Book]", "[Node!]", false},   {"[Book]", "Book", false},
        {"Book", "[Book]", false},      {"[[Book!]!]!", "[[Node]]", true},
        {"Author", "OnlyBooks", false}, {"Item", "Result", false},
        {"Int", "Float", false},        {"[Currency!]!", "[Currency]!", true},
    };
    gql_schema *schema = build_schema(shop, NULL);
    pl_arena arena;
    pl_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const gql_typeref *sub = parse_typeref(schema, &arena, cases[i].sub);
        if (gql_is_subtype(schema, sub, parse_typeref(schema, &arena, cases[i].super)) != cases[i].is)
            fail_msg("%s under %s", cases[i].sub, cases[i].super);
    }
    pl_arena_dispose(&arena);
    gql_schema_free(schema);
}

static void test_ready_made_scalars(void **state)
{
    static const char sdl[] = "scalar DateTime scalar Date scalar JSON scalar UUID scalar BigInt scalar Mine "
                              "type Query { a: Int b: Float c: ID }";
    static const struct {
        const char *name;
        gql_scalar_kind kind;
        bool ready_made;
    } cases[] = {
        {"DateTime", GQL_SCALAR_DATETIME, true},
        {"Date", GQL_SCALAR_DATE, true},
        {"JSON", GQL_SCALAR_JSON, true},
        {"UUID", GQL_SCALAR_UUID, true},
        {"BigInt", GQL_SCALAR_BIGINT, true},
        {"Mine", GQL_SCALAR_CUSTOM, false},
        {"Int", GQL_SCALAR_INT, false},
        {"Float", GQL_SCALAR_FLOAT, false},
        {"String", GQL_SCALAR_STRING, false},
        {"Boolean", GQL_SCALAR_BOOLEAN, false},
        {"ID", GQL_SCALAR_ID, false},
    };
    static const gql_schema_options plain = {.no_ready_made_scalars = true};
    gql_schema *with = build_schema(sdl, NULL), *without = build_schema(sdl, &plain);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(type_of(with, cases[i].name)->scalar, cases[i].kind);
        assert_int_equal(type_of(without, cases[i].name)->scalar,
                         cases[i].ready_made ? GQL_SCALAR_CUSTOM : cases[i].kind);
    }
    gql_schema_free(with);
    gql_schema_free(without);
}

/* --- default values --- */

/* A value with its kinds: 1 is an INT, 1.0 a FLOAT, "x" a STRING. */
static void show(pl_buf *out, const pl_value *v)
{
    switch (v->kind) {
    case PL_KIND_NULL:
        PL_BUF_LIT(out, "null");
        break;
    case PL_KIND_BOOL:
        pl_buf_printf(out, "%s", v->boolean ? "true" : "false");
        break;
    case PL_KIND_INT:
        pl_buf_printf(out, "%lld", (long long)v->integer);
        break;
    case PL_KIND_FLOAT:
        pl_buf_printf(out, "%.1f", v->number);
        break;
    case PL_KIND_STRING:
        pl_buf_printf(out, "\"%.*s\"", PL_STR_ARG(v->string));
        break;
    case PL_KIND_LIST:
        pl_buf_char(out, '[');
        for (size_t i = 0; i < v->list.count; i++) {
            pl_buf_printf(out, "%s", i ? " " : "");
            show(out, &v->list.items[i]);
        }
        pl_buf_char(out, ']');
        break;
    case PL_KIND_MAP:
        pl_buf_char(out, '{');
        for (size_t i = 0; i < v->map.count; i++) {
            pl_buf_printf(out, "%s%.*s:", i ? " " : "", PL_STR_ARG(v->map.members[i].name));
            show(out, &v->map.members[i].value);
        }
        pl_buf_char(out, '}');
        break;
    default:
        fail();
    }
}

static void test_default_values(void **state)
{
    static const char types[] =
        "enum E { A B } scalar Any scalar BigInt\n"
        "input Outer { first: [Inner!] = { n: 1 } second: Inner = { m: 2.5 } third: Inner e: E = B }\n"
        "input Inner { n: Int = 7 m: Float l: [Float] = 3 id: ID = 12 }\n"
        "input Chain { a: Chain2 = {} } input Chain2 { b: Chain3 = { c: 2 } } input Chain3 { c: Int = 1 d: "
        "Int = 4 }\n"
        "input Many { a: Int = 1 b: Int = 2 c: Int = 3 d: Int = 4 e: Int = 5 f: Int = 6 g: Int = 7 h: Int = "
        "8 i: Int }\n";
    static const struct {
        const char *written, *value;
    } cases[] = {
        {"Int = -5", "-5"},
        {"Float = 5", "5.0"},
        {"Float = 2.5e1", "25.0"},
        {"ID = 99999999999999999999", "\"99999999999999999999\""},
        {"ID = \"x\"", "\"x\""},
        {"String = \"\"", "\"\""},
        {"String = null", "null"},
        {"Boolean! = true", "true"},
        {"E = A", "\"A\""},
        {"[E!]! = B", "[\"B\"]"},
        {"[[Int]] = 1", "[[1]]"},
        {"[[Int]] = [1, [2, null], null]", "[[1] [2 null] null]"},
        {"[Int] = []", "[]"},
        {"Any = 9223372036854775807", "9223372036854775807"},
        {"Any = 9223372036854775808", "9223372036854775808.0"},
        {"BigInt = 9223372036854775808", "\"9223372036854775808\""},
        {"Any = [1, 1.5, X, \"s\", true, null, { a: { b: [] } }]",
         "[1 1.5 \"X\" \"s\" true null {a:{b:[]}}]"},
        {"Outer = {}", "{first:[{n:1 l:[3.0] id:\"12\"}] second:{n:7 m:2.5 l:[3.0] id:\"12\"} e:\"B\"}"},
        {"Outer = { third: { l: null, id: 1 }, second: null, first: [], e: A }",
         "{first:[] second:null third:{n:7 l:null id:\"1\"} e:\"A\"}"},
        {"Chain = {}", "{a:{b:{c:2 d:4}}}"},
        {"Chain = { a: { b: {} } }", "{a:{b:{c:1 d:4}}}"},
        {"Many = { i: 9, h: 8, g: 7, f: 6, e: 5, d: 4, c: 3, b: 2, a: 0 }",
         "{a:0 b:2 c:3 d:4 e:5 f:6 g:7 h:8 i:9}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_buf sdl, value;
        pl_buf_init(&sdl);
        pl_buf_init(&value);
        pl_buf_printf(&sdl, "directive @d(x: %s) on FIELD type Query { f(x: %s): Int }\n%s", cases[i].written,
                      cases[i].written, types);
        pl_buf_char(&sdl, '\0');
        gql_schema *schema = build_schema(sdl.data, NULL);
        const gql_input *argument = field_of(schema, "Query", "f")->arguments;
        assert_non_null(argument->default_ast);
        show(&value, argument->default_value);
        pl_buf_char(&value, '\0');
        assert_string_equal(value.data, cases[i].value);
        pl_buf_reset(&value, SIZE_MAX);
        show(&value, gql_schema_directive(schema, PL_STR("d"))->arguments[0].default_value);
        pl_buf_char(&value, '\0');
        assert_string_equal(value.data, cases[i].value);
        pl_buf_dispose(&sdl);
        pl_buf_dispose(&value);
        gql_schema_free(schema);
    }
}

/* --- several files --- */

static void build_files(const gql_source *files, size_t count, gql_diagnostics *list, gql_schema **out)
{
    pl_code code = gql_schema_build(files, count, NULL, list, out);
    assert_int_equal(code, *out ? PL_OK : PL_INVALID_ARGUMENT);
}

static void test_files_are_read_together(void **state)
{
    const gql_source files[] = {
        {"a.graphql", PL_STR("extend type Query { b: B @note }")},
        {"b.graphql", PL_STR("type B { c: Int }\ndirective @note on FIELD_DEFINITION")},
        {"empty.graphql", PL_STR("scalar Empty")},
        {"c.graphql", PL_STR("type Query { a: B }")},
    };
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    build_files(files, 4, &list, &schema);
    assert_non_null(schema);
    assert_int_equal(list.count, 0);
    assert_str(schema->types[0]->name, "B");
    gql_field *a = field_of(schema, "Query", "a"), *b = field_of(schema, "Query", "b");
    assert_string_equal(a->source->name, "c.graphql");
    assert_string_equal(b->source->name, "a.graphql");
    assert_ptr_equal(b, a + 1);
    assert_ptr_not_equal(a->source->name, files[3].name);
    gql_schema_free(schema);
    pl_arena_dispose(&arena);
}

static void test_problems_name_their_file(void **state)
{
    const gql_source files[] = {
        {"a.graphql", PL_STR("type Query { a: Int }\n\ntype Twice { a: Int }")},
        {"b.graphql", PL_STR("interface I { x: Int }\n  type Twice { a: Int }\n type Other { a: Missing }")},
    };
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    build_files(files, 2, &list, &schema);
    assert_null(schema);
    assert_int_equal(list.count, 3);
    /* One place a file: the others are told in the message. */
    assert_string_equal(list.first->file, "b.graphql");
    assert_str(list.first->message, "There can be only one type named \"Twice\". (see also a.graphql:3:6)");
    assert_int_equal(list.first->location_count, 1);
    assert_int_equal(list.first->locations[0].line, 2);
    assert_int_equal(list.first->locations[0].column, 8);
    assert_str(list.first->next->message,
               "Field \"Twice.a\" can only be defined once. (see also a.graphql:3:14)");
    assert_string_equal(list.last->file, "b.graphql");
    assert_str(list.last->message, "Unknown type \"Missing\".");
    pl_arena_dispose(&arena);
}

static void test_all_files_are_parsed(void **state)
{
    const gql_source files[] = {
        {"a.graphql", PL_STR("type Query {\n a Int }")},
        {"b.graphql", PL_STR("type Fine { a: Int }")},
        {"c.graphql", PL_STR("\n}")},
        {"d.graphql", PL_STR("query { a } fragment F on Query { a } type T { a: Int }")},
    };
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    build_files(files, 4, &list, &schema);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.first->file, "a.graphql");
    assert_str(list.first->message, "Syntax Error: Expected \":\", found Name \"Int\".");
    assert_null(list.first->rule);
    assert_int_equal(list.first->locations[0].line, 2);
    assert_int_equal(list.first->locations[0].column, 4);
    assert_string_equal(list.last->file, "c.graphql");
    build_files(&files[3], 1, &list, &schema);
    assert_int_equal(list.count, 4);
    assert_str(list.first->next->next->message, "A schema cannot contain operations.");
    assert_str(list.last->message, "A schema cannot contain fragments.");
    assert_string_equal(list.last->file, "d.graphql");
    build_files(NULL, 0, &list, &schema);
    assert_str(list.last->message, "Query root type must be provided.");
    pl_arena_dispose(&arena);
}

/* --- values of directives --- */

static void test_values_of_directives(void **state)
{
    static const schema_case cases[] = {
        {"right",
         "directive @d(a: Int!, b: In) repeatable on FIELD_DEFINITION\n"
         "input In { x: [Int!] }\n"
         "type Query { a: Int @d(a: 1) @d(a: 1, b: null) @d(a: 1, b: { x: 1 }) @deprecated(reason: \"x\") "
         "}\n",
         ""},
        {"wrong",
         "directive @d(a: Int!, b: In) repeatable on FIELD_DEFINITION | ENUM_VALUE | SCALAR | "
         "ARGUMENT_DEFINITION\n"
         "input In { x: [Int!] }\n"
         "type Query { a(x: Int @d(a: \"s\")): Int @d(a: null) @d(a: 1, b: { x: [1, null], y: 2 })\n"
         "  b: Int @deprecated(reason: null) }\n"
         "enum E { A @d(a: 1.5) }\n"
         "scalar S @specifiedBy(url: 3)\n",
         "ValuesOfCorrectType: Int cannot represent non-integer value: \"s\" @ 3:29\n"
         "ValuesOfCorrectType: Expected value of non-null type \"Int!\" not to be null. @ 3:46\n"
         "ValuesOfCorrectType: Expected value of non-null type \"Int!\" not to be null. @ 3:73\n"
         "ValuesOfCorrectType: Expected value of type \"In\" not to include unknown field \"y\". Did you "
         "mean \"x\"? "
         "Found: { x: [1, null], y: 2 }. @ 3:80\n"
         "ValuesOfCorrectType: Expected value of non-null type \"String!\" not to be null. @ 4:30\n"
         "ValuesOfCorrectType: Int cannot represent non-integer value: 1.5 @ 5:18\n"
         "ValuesOfCorrectType: String cannot represent a non string value: 3 @ 6:28\n"},
    };
    CHECK_CASES(cases);
}

/* --- bounds --- */

static void test_problems_are_bounded(void **state)
{
    pl_buf sdl;
    pl_arena arena;
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_buf_init(&sdl);
    for (int i = 0; i < 300; i++)
        pl_buf_printf(&sdl, "type T%d { a: Nothing%d }\n", i, i);
    gql_source source = {"many.graphql", pl_buf_view(&sdl)};
    for (uint32_t max = 0; max < 10; max += 7) {
        pl_arena_init(&arena, 0);
        gql_diagnostics_init(&list, &arena, max);
        assert_int_equal(gql_schema_build(&source, 1, NULL, &list, &schema), PL_INVALID_ARGUMENT);
        assert_int_equal(list.count, max ? max : 100);
        assert_true(list.full);
        pl_arena_dispose(&arena);
    }
    pl_buf_dispose(&sdl);
}

static void test_many_types(void **state)
{
    enum { COUNT = 5000 };
    pl_buf sdl;
    pl_buf_init(&sdl);
    PL_BUF_LIT(&sdl, "type Query { first: Type0 any: Any }\ninterface Any { id: ID! }\n");
    for (int i = 0; i < COUNT; i++)
        pl_buf_printf(&sdl,
                      "type Type%d implements Any { id: ID! next(in: In%d = {}): Type%d all: [Type%d!]! }\n"
                      "input In%d { a: Int = %d more: In%d = {} }\n",
                      i, i, (i + 1) % COUNT, i, i, i, i + 1);
    pl_buf_printf(&sdl, "input In%d { last: Int = 3 }\n", COUNT);
    pl_buf_char(&sdl, '\0');
    gql_schema *schema = build_schema(sdl.data, NULL);
    const gql_named *any = type_of(schema, "Any"), *last = type_of(schema, "Type4999");
    assert_int_equal(any->possible_count, COUNT);
    assert_true(gql_is_possible(any, last) && gql_is_possible(last, last));
    assert_false(gql_is_possible(any, type_of(schema, "In4999")));
    assert_false(gql_is_possible(last, type_of(schema, "Type4998")));
    /* The default is as deep as the chain of inputs is long. */
    const pl_value *value = field_of(schema, "Type0", "next")->arguments[0].default_value;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(value->map.members[0].value.integer, i);
        value = &value->map.members[1].value;
    }
    assert_int_equal(value->map.members[0].value.integer, 3);
    gql_schema_free(schema);
    pl_buf_dispose(&sdl);
}

static void test_long_cycles(void **state)
{
    enum { COUNT = 5000 };
    static const char *const starts[] = {
        "Input Object In0 cannot be provided a finite value",
        "Invalid circular reference. The default value of Input Object field In0.next"};
    for (int form = 0; form < 2; form++) {
        pl_buf sdl;
        pl_arena arena;
        gql_schema *schema = NULL;
        gql_diagnostics list;
        pl_buf_init(&sdl);
        pl_arena_init(&arena, 0);
        gql_diagnostics_init(&list, &arena, 0);
        PL_BUF_LIT(&sdl, "type Query { a: Int }\n");
        for (int i = 0; i < COUNT; i++) {
            if (form == 0)
                pl_buf_printf(&sdl, "input In%d { next: In%d! }\n", i, (i + 1) % COUNT);
            else
                pl_buf_printf(&sdl, "input In%d { next: In%d = {} }\n", i, (i + 1) % COUNT);
        }
        gql_source source = {"cycle.graphql", pl_buf_view(&sdl)};
        build_files(&source, 1, &list, &schema);
        assert_null(schema);
        assert_int_equal(list.count, 1);
        assert_true(pl_str_starts(list.first->message, pl_str_of(starts[form])));
        assert_int_equal(list.first->location_count, COUNT);
        pl_buf_dispose(&sdl);
        pl_arena_dispose(&arena);
    }
}

/* --- memory --- */

static void test_out_of_memory(void **state)
{
    static const char wrong[] =
        "type Query @nope { a(x: Int = \"s\", x: Int): Strin }\n"
        "type Query { a: Int } extend type Qery { a: Int } union U = Query | Nothing\n"
        "directive @d(a: [Int!]!, abc: In) on OBJECT type A @d(abd: { x: 1, x: 2 }, abd: 3) { b: Int b: Int "
        "}\n";
    static const char inconsistent[] =
        "directive @d(a: Int) on OBJECT type Query @d(a: \"s\") { a(in: In = { c: { x: 1 } }, c: C = D): Int "
        "}\n"
        "interface I { a(x: Int, y: Int): Int! b: Int } type T implements I { a(z: Int!): Int }\n"
        "input In { i: In! c: O } input O @oneOf { x: Int! = 3 d: D = {} } input D { d: D = {} }\n"
        "enum C { __A } union U = Query | Query | I\n";
    check_without_memory(shop, PL_OK);
    check_without_memory(wrong, PL_INVALID_ARGUMENT);
    check_without_memory(inconsistent, PL_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_fields_and_arguments),
        cmocka_unit_test(test_meta_fields),
        cmocka_unit_test(test_numbers_are_dense),
        cmocka_unit_test(test_order_of_types),
        cmocka_unit_test(test_introspection_types),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_possible_types),
        cmocka_unit_test(test_typerefs),
        cmocka_unit_test(test_subtypes),
        cmocka_unit_test(test_ready_made_scalars),
        cmocka_unit_test(test_default_values),
        cmocka_unit_test(test_files_are_read_together),
        cmocka_unit_test(test_problems_name_their_file),
        cmocka_unit_test(test_all_files_are_parsed),
        cmocka_unit_test(test_values_of_directives),
        cmocka_unit_test(test_problems_are_bounded),
        cmocka_unit_test(test_many_types),
        cmocka_unit_test(test_long_cycles),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
