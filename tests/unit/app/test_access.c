/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/local_harness.h"

/* @auth and its like: who may use what, by ctx.user. The field `as` makes somebody the user. */

static const char schema[] =
    "directive @auth(requires: [Role!]) repeatable on OBJECT | INTERFACE | FIELD_DEFINITION | ENUM\n"
    "enum Role { READER EDITOR ADMIN }\n"
    "type Query { as(who: String): Boolean open: String signedIn: String @auth reader: String "
    "@auth(requires: "
    "READER)\n"
    "  editor: String @auth(requires: [EDITOR]) some: String @auth(requires: [READER, ADMIN])\n"
    "  both: String @auth(requires: READER) @auth(requires: EDITOR)\n"
    "  required: String! @auth(requires: ADMIN) safe: Safe! safes: [Safe!]! thing: Thing named: Named "
    "things: "
    "[Thing] deep: Holder colour: Colour }\n"
    "interface Named { name: String @auth(requires: EDITOR) open: String }\n"
    "interface Locked @auth(requires: ADMIN) { id: ID }\n"
    "union Thing = Safe | Free\n"
    "type Safe implements Locked { id: ID }\n"
    "type Free implements Named { name: String open: String }\n"
    "type Holder { safe: Safe list: [Free] }\n"
    "enum Colour @auth(requires: ADMIN) { RED }\n"
    "type Mutation { as(who: String): Boolean change: Int @auth(requires: EDITOR) }\n";

static const char resolvers[] =
    "local people = {\n"
    "  reader = { role = 'READER' }, editor = { roles = { 'EDITOR', 'other' } }, admin = { roles = { ADMIN = "
    "true "
    "} },\n"
    "  nobody = {}, text = 'ada', yes = true, no = false, null = require('perilune').null,\n"
    "  no_admin = { roles = { ADMIN = false, [1.5] = true } },\n"
    "  class = setmetatable({}, { __index = function(_, key) if key == 'role' then return 'ADMIN' end end "
    "}),\n"
    "  broken = setmetatable({}, { __index = function() error 'no such user' end }),\n"
    "  waiting = setmetatable({}, { __index = function() require('perilune.time').sleep(1) end }),\n"
    "}\n"
    "called = 0\n"
    "local function yes() called = called + 1 return 'yes' end\n"
    "local safe, free = { __typename = 'Safe', id = 1 }, { __typename = 'Free', name = 'n', open = 'o' }\n"
    "local function as(_, args, ctx) ctx.user = people[args.who] return ctx.user ~= nil end\n"
    "return { Query = { as = as, open = yes, signedIn = yes, reader = yes, editor = yes, some = yes, both = "
    "yes,\n"
    "    required = yes, safe = function() yes() return safe end, safes = function() return { safe, safe } "
    "end,\n"
    "    thing = function() return safe end, named = function() return free end,\n"
    "    things = function() return { safe, free } end, deep = function() return { safe = safe, list = { "
    "free, "
    "free } } end,\n"
    "    colour = function() return 'RED' end },\n"
    "  Mutation = { as = as, change = function() called = called + 1 return called end } }\n";

static const char app[] = "return { graphql = { roles = { ADMIN = { 'EDITOR' }, EDITOR = { 'READER' } } } }";

static pl_local *open_ok(const char *sdl, const char *lua, const char *settings)
{
    return local_open_ok(LOCAL_BUNDLE(sdl, lua, settings), NULL);
}

static void gives_at(pl_local *local, const char *query, const char *expected, int line)
{
    const char *got = local_ask(local, query);
    if (strcmp(got, expected) != 0) {
        print_error("%s:%d: expected %s\ngot %s\n", __FILE__, line, expected, got);
        _fail(__FILE__, line);
    }
}
#define gives(local, query, expected) gives_at(local, query, expected, __LINE__)

#define ERROR(code, message, column, path)                                                             \
    "{\"message\":\"" message "\",\"locations\":[{\"line\":1,\"column\":" #column "}],\"path\":[" path \
    "],\"extensions\":{\"code\":\"" code "\"}}"
#define SIGN_IN(name, column, path) \
    ERROR("UNAUTHENTICATED", "You have to be signed in to use \\\"" name "\\\".", column, path)
#define DENIED(name, column, path) \
    ERROR("PERMISSION_DENIED", "You are not allowed to use \\\"" name "\\\".", column, path)

static void test_fields(void **state)
{
    pl_local *local = open_ok(schema, resolvers, app);
    gives(local, "{ open signedIn reader }",
          "{\"data\":{\"open\":\"yes\",\"signedIn\":null,\"reader\":null},\"errors\":[" SIGN_IN(
              "Query.signedIn", 8, "\"signedIn\"") "," SIGN_IN("Query.reader", 17, "\"reader\"") "]}");
    gives(local, "{ as(who: \\\"nobody\\\") signedIn r: reader }",
          "{\"data\":{\"as\":true,\"signedIn\":\"yes\",\"r\":null},\"errors\":[" DENIED("Query.reader", 30,
                                                                                        "\"r\"") "]}");
    gives(local, "{ as(who: \\\"reader\\\") reader some editor both }",
          "{\"data\":{\"as\":true,\"reader\":\"yes\",\"some\":\"yes\",\"editor\":null,\"both\":null},"
          "\"errors\":[" DENIED("Query.editor", 33, "\"editor\"") "," DENIED("Query.both", 40,
                                                                             "\"both\"") "]}");
    gives(local, "{ as(who: \\\"editor\\\") reader some editor both }",
          "{\"data\":{\"as\":true,\"reader\":\"yes\",\"some\":\"yes\",\"editor\":\"yes\",\"both\":\"yes\"}}");
    gives(local, "{ as(who: \\\"admin\\\") required colour }",
          "{\"data\":{\"as\":true,\"required\":\"yes\",\"colour\":\"RED\"}}");
    gives(local, "{ as(who: \\\"class\\\") required }", "{\"data\":{\"as\":true,\"required\":\"yes\"}}");
    gives(local, "{ as(who: \\\"editor\\\") required }",
          "{\"data\":null,\"errors\":[" DENIED("Query.required", 21, "\"required\"") "]}");
    gives(
        local, "{ as(who: \\\"editor\\\") colour }",
        "{\"data\":{\"as\":true,\"colour\":null},\"errors\":[" DENIED("Query.colour", 21, "\"colour\"") "]}");
    pl_local_close(local);
}

static void test_users_of_all_kinds(void **state)
{
    pl_local *local = open_ok(schema, resolvers, app);
    static const char *const in[] = {"text", "yes", "reader"}, *const out[] = {"no", "null", "missing"};
    char query[128];
    for (int i = 0; i < 3; i++) {
        snprintf(query, sizeof(query), "{ as(who: \\\"%s\\\") signedIn }", in[i]);
        assert_has(local_ask(local, query), "\"signedIn\":\"yes\"");
        snprintf(query, sizeof(query), "{ as(who: \\\"%s\\\") signedIn }", out[i]);
        assert_has(local_ask(local, query), "\"UNAUTHENTICATED\"");
    }
    assert_has(local_ask(local, "{ as(who: \\\"text\\\") reader }"), "\"PERMISSION_DENIED\"");
    assert_has(local_ask(local, "{ as(who: \\\"no_admin\\\") required }"), "\"PERMISSION_DENIED\"");
    assert_has(local_ask(local, "{ as(who: \\\"broken\\\") signedIn reader }"), "\"INTERNAL\"");
    assert_has(local_ask(local, "{ as(who: \\\"broken\\\") reader }"), "{\"as\":true,\"reader\":null}");
    assert_has(local_ask(local, "{ as(who: \\\"waiting\\\") reader }"), "{\"as\":true,\"reader\":null}");
    pl_local_close(local);
}

/* Other ways to the same data. */
static void test_ways_around(void **state)
{
    pl_local *local = open_ok(schema, resolvers, app);
    gives(local, "{ safe { id } }", "{\"data\":null,\"errors\":[" SIGN_IN("Query.safe", 3, "\"safe\"") "]}");
    gives(local, "{ safes { __typename } }",
          "{\"data\":null,\"errors\":[" SIGN_IN("Query.safes", 3, "\"safes\"") "]}");
    gives(local, "{ thing { __typename } }",
          "{\"data\":{\"thing\":null},\"errors\":[" SIGN_IN("Safe", 11, "\"thing\",\"__typename\"") "]}");
    gives(local, "{ thing { ... on Safe { x: id } } }",
          "{\"data\":{\"thing\":{\"x\":null}},\"errors\":[" SIGN_IN("Safe.id", 25, "\"thing\",\"x\"") "]}");
    gives(local, "{ thing { ...F } } fragment F on Locked { id }",
          "{\"data\":{\"thing\":{\"id\":null}},\"errors\":[" SIGN_IN("Safe.id", 43, "\"thing\",\"id\"") "]}");
    gives(local, "{ named { open name ... on Free { n: name } } }",
          "{\"data\":{\"named\":{\"open\":\"o\",\"name\":null,\"n\":null}},\"errors\":[" SIGN_IN(
              "Free.name", 16, "\"named\",\"name\"") "," SIGN_IN("Free.name", 35, "\"named\",\"n\"") "]}");
    gives(local, "{ deep { safe { id } list { name } } }",
          "{\"data\":{\"deep\":{\"safe\":null,\"list\":[{\"name\":null},{\"name\":null}]}},\"errors\":"
          "[" SIGN_IN("Holder.safe", 10, "\"deep\",\"safe\"") "," SIGN_IN(
              "Free.name", 29,
              "\"deep\",\"list\",0,\"name\"") "," SIGN_IN("Free.name", 29,
                                                          "\"deep\",\"list\",1,\"name\"") "]}");
    gives(local, "{ as(who: \\\"editor\\\") things { ... on Free { name } ... on Safe { id } } }",
          "{\"data\":{\"as\":true,\"things\":[{\"id\":null},{\"name\":\"n\"}]},\"errors\":[" DENIED(
              "Safe.id", 65, "\"things\",0,\"id\"") "]}");
    pl_local_close(local);
}

/* What is denied is not called; a mutation may sign in for those that follow. */
static void test_resolvers_are_not_called(void **state)
{
    pl_local *local = open_ok(schema, resolvers, app);
    gives(local, "mutation { change }",
          "{\"data\":{\"change\":null},\"errors\":[" SIGN_IN("Mutation.change", 12, "\"change\"") "]}");
    gives(local, "mutation { as(who: \\\"editor\\\") change }", "{\"data\":{\"as\":true,\"change\":1}}");
    pl_local_close(local);
}

static void test_introspection(void **state)
{
    pl_local *local = open_ok(schema, resolvers, "return { graphql = { introspection = 'authenticated' } }");
    gives(local, "{ __schema { queryType { name } } }",
          "{\"data\":null,\"errors\":[" SIGN_IN("introspection", 3, "\"__schema\"") "]}");
    gives(local, "{ t: __type(name: \\\"Query\\\") { name } __typename }",
          "{\"data\":{\"t\":null,\"__typename\":\"Query\"},\"errors\":[" SIGN_IN("introspection", 3,
                                                                                 "\"t\"") "]}");
    gives(local, "{ as(who: \\\"nobody\\\") __schema { queryType { name } } }",
          "{\"data\":{\"as\":true,\"__schema\":{\"queryType\":{\"name\":\"Query\"}}}}");
    pl_local_close(local);
    local = open_ok(
        "type Query { as(who: String): Boolean }",
        "return { Query = { as = function(_, args, ctx) ctx.user = { role = args.who } end } }",
        "return { graphql = { introspection = { 'DEV', 'ADMIN' }, roles = { BOSS = { 'ADMIN' } } } }");
    assert_has(local_ask(local, "{ as(who: \\\"x\\\") __type(name: \\\"Query\\\") { name } }"),
               "PERMISSION_DENIED");
    assert_has(local_ask(local, "{ as(who: \\\"DEV\\\") __type(name: \\\"Query\\\") { name } }"),
               "{\"name\":\"Query\"}");
    assert_has(local_ask(local, "{ as(who: \\\"BOSS\\\") __type(name: \\\"Query\\\") { name } }"),
               "{\"name\":\"Query\"}");
    pl_local_close(local);
}

static void test_scopes(void **state)
{
    static const char sdl[] =
        "scalar Scope directive @authenticated on OBJECT | FIELD_DEFINITION | INTERFACE | SCALAR | ENUM\n"
        "directive @requiresScopes(scopes: [[Scope!]!]!) on OBJECT | FIELD_DEFINITION | INTERFACE | SCALAR | "
        "ENUM\n"
        "type Query { as(scope: String, scopes: [String!]): Boolean a: Int @authenticated\n"
        "  b: Int @requiresScopes(scopes: [[\\\"read\\\", \\\"write\\\"], [\\\"all\\\"]]) }";
    static const char lua[] = "return { Query = { a = function() return 1 end, b = function() return 2 end,\n"
                              "as = function(_, args, ctx) ctx.user = args end } }";
    char text[1024], *to = text;
    for (const char *from = sdl; *from; from++) {
        if (*from != '\\')
            *to++ = *from;
    }
    *to = '\0';
    pl_local *local = open_ok(text, lua, "return { graphql = { enforce_scopes = true } }");
    assert_has(local_ask(local, "{ a }"), "UNAUTHENTICATED");
    assert_has(local_ask(local, "{ as a b }"), "\"a\":1,\"b\":null");
    assert_has(local_ask(local, "{ as(scope: \\\"read\\\") b }"), "\"b\":null");
    assert_has(local_ask(local, "{ as(scope: \\\"other write  read\\\") b }"), "\"b\":2");
    assert_has(local_ask(local, "{ as(scopes: [\\\"all\\\"]) b }"), "\"b\":2");
    pl_local_close(local);
    local = open_ok(text, lua, "return {}"); /* a router's business */
    gives(local, "{ a b }", "{\"data\":{\"a\":1,\"b\":2}}");
    pl_local_close(local);
}

static void test_the_bundles_own(void **state)
{
    pl_local *local =
        open_ok("directive @auth(requires: String!) on FIELD_DEFINITION\n"
                "type Query { a: String @auth(requires: \"x\") }",
                "return { Query = { a = function() return 'a' end },\n"
                "['@auth'] = function(resolve, args) return function(...) return resolve(...) .. "
                "args.requires end end }",
                "return {}");
    gives(local, "{ a }", "{\"data\":{\"a\":\"ax\"}}");
    pl_local_close(local);
    /* Without `requires` it is some other directive. */
    local = open_ok("directive @auth(role: String) on FIELD_DEFINITION type Query { a: String @auth }",
                    "return { Query = { a = function() return 'a' end } }", "return {}");
    gives(local, "{ a }", "{\"data\":{\"a\":\"a\"}}");
    pl_local_close(local);
}

/* --- subscriptions --- */
typedef struct watched {
    pl_local *local;
    pl_buf lines;
    bool over;
} watched;

static void on_payload(void *data, const gql_payload *payload)
{
    watched *w = data;
    pl_buf_str(&w->lines, payload->result == GQL_RESULT_SUBSCRIBED ? PL_STR("SUBSCRIBED") : payload->body);
    pl_buf_char(&w->lines, '\n');
    w->over = !payload->has_next;
    if (w->over)
        pl_local_wake(w->local);
}

/* All payloads, a line each. */
static const char *subscribe(pl_local *local, const char *query)
{
    static char text[4096];
    pl_instance *instance = pl_local_instance(local);
    watched w = {.local = local};
    pl_arena arena;
    pl_buf_init(&w.lines);
    pl_arena_init(&arena, 0);
    pl_work work = {.protocol = "graphql", .id = PL_STR("s"), .arena = &arena, .ctx = PL_REF_NONE};
    gql_request request = {.query = pl_str_of(query), .subscriptions = true};
    gql_service_run(instance->service, &request, &work, on_payload, &w);
    pl_local_run_until(local, &w.over); /* a slow machine goes on in the loop's next turn */
    pl_engine_of(instance->state)->work_end(instance->state, &work);
    snprintf(text, sizeof(text), "%.*s", PL_STR_ARG(pl_buf_view(&w.lines)));
    pl_buf_dispose(&w.lines);
    pl_arena_dispose(&arena);
    return text;
}

static void test_subscriptions(void **state)
{
    pl_local *local = open_ok(
        "directive @auth(requires: String) on FIELD_DEFINITION directive @twice on FIELD_DEFINITION\n"
        "directive @trim on ARGUMENT_DEFINITION\n"
        "type Query { as(role: String): Boolean }\n"
        "type Subscription { tick: Int @auth(requires: \"A\") open: String @twice tock: Tock\n"
        "  echo(text: String @trim): String }\n"
        "type Tock { n: Int @auth }",
        "local function once(event) return function() local left = event return function() local v = "
        "left left = nil "
        "return v end end end\n"
        "local user = nil\n"
        "return { Query = { as = function(_, args) USER = { role = args.role } return true end },\n"
        "  Subscription = { tick = function() called = true return once(7)() end, open = once('x'),\n"
        "    tock = once({ n = 1 }), echo = function(_, args) return once(args.text)() end },\n"
        "  ['@trim'] = { argument = function() return function(v) return (v:gsub(' ', '')) end end },\n"
        "  ['@twice'] = function(resolve) return function(...) local v = resolve(...) return v .. v "
        "end end }",
        "return { interceptors = { function(ctx, next) ctx.user = USER return next(ctx) end } }");
    assert_string_equal(subscribe(local, "subscription { t: tick }"),
                        "{\"errors\":[" SIGN_IN("Subscription.tick", 16, "\"t\"") "]}\n");
    assert_string_equal(subscribe(local, "subscription { open }"),
                        "SUBSCRIBED\n{\"data\":{\"open\":\"xx\"}}\n\n");
    assert_string_equal(subscribe(local, "subscription { echo(text: \" e \") }"),
                        "SUBSCRIBED\n{\"data\":{\"echo\":\"e\"}}\n\n");
    assert_has(subscribe(local, "subscription { tock { n } }"),
               "SUBSCRIBED\n{\"data\":{\"tock\":{\"n\":null}},\"errors\":[");
    gives(local, "{ as(role: \\\"B\\\") }", "{\"data\":{\"as\":true}}");
    assert_has(subscribe(local, "subscription { tick }"), "PERMISSION_DENIED");
    assert_string_equal(subscribe(local, "subscription { tock { n } }"),
                        "SUBSCRIBED\n{\"data\":{\"tock\":{\"n\":1}}}\n\n");
    gives(local, "{ as(role: \\\"A\\\") }", "{\"data\":{\"as\":true}}");
    assert_string_equal(subscribe(local, "subscription { tick }"), "SUBSCRIBED\n{\"data\":{\"tick\":7}}\n\n");
    pl_local_close(local);
}

static void refused(const char *sdl, const char *settings, const char *expected, int line)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local =
        local_open(LOCAL_BUNDLE(sdl, "return { Query = { a = function() end } }", settings), NULL, &report);
    if (local || strcmp(report_text(&report), expected) != 0) {
        print_error("%s:%d: expected:\n%sgot:\n%s", __FILE__, line, expected, report_text(&report));
        pl_local_close(local);
        pl_report_dispose(&report);
        _fail(__FILE__, line);
    }
    pl_report_dispose(&report);
}
#define refuses(sdl, settings, expected) refused(sdl, settings, expected, __LINE__)

static void test_mistakes(void **state)
{
    refuses(
        "directive @auth(requires: [String!]) on FIELD_DEFINITION\ntype Query { a: Int @auth(requires: []) }",
        "return {}",
        "schema/s.graphql:2:21: @auth lets nobody in: it must name at least one role, as a string or enum "
        "value.\n");
    refuses(
        "directive @auth(requires: Int) on FIELD_DEFINITION\ntype Query { a: Int @auth(requires: 1) }",
        "return {}",
        "schema/s.graphql:2:21: @auth lets nobody in: it must name at least one role, as a string or enum "
        "value.\n");
    refuses(
        "directive @auth(requires: String) on FIELD_DEFINITION | ARGUMENT_DEFINITION\ntype Query { a: Int }",
        "return {}",
        "schema/s.graphql:1:1: @auth is enforced on objects, interfaces, scalars, enums and fields; on "
        "ARGUMENT_DEFINITION it would do nothing. Leave that location out, or implement \"@auth\" in a "
        "resolvers file.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),          cmocka_unit_test(test_users_of_all_kinds),
        cmocka_unit_test(test_ways_around),     cmocka_unit_test(test_resolvers_are_not_called),
        cmocka_unit_test(test_introspection),   cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_the_bundles_own), cmocka_unit_test(test_subscriptions),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
