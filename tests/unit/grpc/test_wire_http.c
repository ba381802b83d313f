/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "grpc/codec_proto.h"
#include "support/failing.h"
#include "support/grpc_fixture.h"
#include "support/proto_fixture.h"

/* Plain HTTP by google.api.http, from the path to the answer. */

#define JSON "content-type", "application/json"
#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})
enum { GET = 2, PUT = 3, POST = 4, DELETE = 5, PATCH = 6, BODY = 7, ADDITIONAL = 11, RESPONSE = 12 };

typedef struct hf {
    rf *f;
    pb_pool *pool;
    pb_codec *codec;
    pl_arena arena;
    pl_error err;
} hf;

static void open_fixture(hf *h)
{
    pl_error err;
    pb_source source = {"test", test_protos()};
    h->f = rf_new(NULL);
    pl_arena_init(&h->arena, 0);
    assert_int_equal(pb_pool_new(&source, 1, &h->pool, &err), PL_OK);
    h->codec = pb_codec_new(h->pool, ls_engine_state(rf_state(h->f)));
}

static void close_fixture(hf *h)
{
    pb_codec_free(h->codec);
    rf_free(h->f);
    pb_pool_free(h->pool);
    pl_arena_dispose(&h->arena);
}

/* Options with a rule: pairs of a field's number and its text; ADDITIONAL begins another one. */
static pl_str options_of(hf *h, const char *const *rule)
{
    pl_buf bindings[2] = {{0}, {0}}, all = {0};
    int at = 0;
    for (; *rule; rule += 2) {
        int number = atoi(rule[0]);
        if (number == ADDITIONAL) {
            at = 1;
            number = atoi(rule[0] + 3);
        }
        pl_buf_char(&bindings[at], (char)(number << 3 | 2));
        pl_buf_char(&bindings[at], (char)strlen(rule[1]));
        pl_buf_str(&bindings[at], pl_str_of(rule[1]));
    }
    if (at) {
        pl_buf_char(&bindings[0], ADDITIONAL << 3 | 2);
        pl_buf_char(&bindings[0], (char)bindings[1].len);
        pl_buf_str(&bindings[0], pl_buf_view(&bindings[1]));
    }
    assert_true(bindings[0].len < 128);
    pl_buf_append(&all, "\x82\xd3\xe4\x93\x02", 5); /* 72295728, LEN */
    pl_buf_char(&all, (char)bindings[0].len);
    pl_buf_str(&all, pl_buf_view(&bindings[0]));
    pl_str copy = pl_arena_str(&h->arena, pl_buf_view(&all));
    pl_buf_dispose(&all);
    pl_buf_dispose(&bindings[0]);
    pl_buf_dispose(&bindings[1]);
    return copy;
}

static const pl_grpc_proto_type *type_of(hf *h, const char *name)
{
    pl_grpc_proto_type *type = pl_arena_zalloc(&h->arena, sizeof *type);
    *type = (pl_grpc_proto_type){h->codec, pb_pool_message(h->pool, pl_str_of(name))};
    assert_non_null(type->message);
    return type;
}

static pl_code add(hf *h, const char *name, int kind, const char *input, const char *output,
                   const char *function, const char *const *rule)
{
    lua_State *L = ls_lua(rf_state(h->f));
    pb_method *m = pl_arena_zalloc(&h->arena, sizeof *m);
    pl_grpc_method method = {.path = pl_arena_printf(&h->arena, "/t.H/%s", name),
                             .client_streaming = (kind & RF_CLIENT) != 0,
                             .server_streaming = (kind & RF_SERVER) != 0,
                             .codec = &pl_grpc_proto_codec,
                             .input = type_of(h, input),
                             .output = type_of(h, output),
                             .descriptor = m,
                             .arity = 2};
    *m = (pb_method){.name = pl_str_of(name),
                     .full_name = pl_arena_printf(&h->arena, "t.H.%s", name),
                     .options = options_of(h, rule),
                     .input = ((const pl_grpc_proto_type *)method.input)->message,
                     .output = ((const pl_grpc_proto_type *)method.output)->message};
    lua_pushfstring(L, "return %s", function);
    assert_int_equal(luaL_loadstring(L, lua_tostring(L, -1)), LUA_OK);
    assert_int_equal(lua_pcall(L, 0, 1, 0), LUA_OK);
    method.function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    assert_int_equal(pl_grpc_service_add(rf_service(h->f), &method), PL_OK);
    return pl_grpc_service_route(rf_service(h->f), method.path, &h->err);
}

#define ECHO "function(r) return r end"
#define RULE(...) ((const char *const[]){__VA_ARGS__, NULL})

static rf_call *ask(hf *h, const char *verb, const char *path, const char *body)
{
    rf_call *call =
        rf_begin(h->f, path, HEADERS(":method", verb, "content-type", *body ? "application/json" : ""));
    rf_send_bytes(call, pl_str_of(body), true);
    rf_turn(h->f);
    return call;
}

#define gives(h, verb, path, body, status, answer) \
    check_gives(ask(h, verb, path, body), status, answer, __FILE__, __LINE__)
static void check_gives(rf_call *call, const char *status, const char *answer, const char *file, int line)
{
    bool ok = call->ended && call->status && strcmp(call->status, status) == 0 &&
              call->data.len == strlen(answer) &&
              (call->data.len == 0 || memcmp(call->data.data, answer, call->data.len) == 0);
    if (!ok) {
        print_error("%s %.*s, not %s %s\n", call->status ? call->status : "no answer", (int)call->data.len,
                    call->data.data ? call->data.data : "", status, answer);
        _fail(file, line);
    }
}

#define refuses(h, verb, path, body, text) check_refuses(ask(h, verb, path, body), text, __FILE__, __LINE__)
static void check_refuses(rf_call *call, const char *text, const char *file, int line)
{
    bool ok = call->status && strcmp(call->status, "400") == 0 &&
              memmem(call->data.data, call->data.len, text, strlen(text)) &&
              memmem(call->data.data, call->data.len, "INVALID_ARGUMENT", 16);
    if (!ok) {
        print_error("%s %.*s, not %s\n", call->status, (int)call->data.len, call->data.data, text);
        _fail(file, line);
    }
}

static void test_routes(void **state)
{
    hf h;
    open_fixture(&h);
    static const char *const answer = "function(r) return { user_id = '%s', display_name = r.name } end";
    char function[8][128];
    static const char *const names[] = {"plain", "me", "one", "deep", "rest", "verb", "post"};
    for (int i = 0; i < 7; i++)
        snprintf(function[i], sizeof function[i], answer, names[i]);
    assert_int_equal(
        add(&h, "Plain", RF_UNARY, "test.v1.Node", "test.v1.User", function[0], RULE("2", "/v1/users")), 0);
    assert_int_equal(
        add(&h, "Me", RF_UNARY, "test.v1.Node", "test.v1.User", function[1], RULE("2", "/v1/users/me")), 0);
    assert_int_equal(
        add(&h, "One", RF_UNARY, "test.v1.Node", "test.v1.User", function[2], RULE("2", "/v1/users/{name}")),
        0);
    assert_int_equal(add(&h, "Deep", RF_UNARY, "test.v1.Node", "test.v1.User", function[3],
                         RULE("2", "/v1/{name=users/*/*}", "11 2", "/v2/{next.name}/x")),
                     0);
    assert_int_equal(
        add(&h, "Rest", RF_UNARY, "test.v1.Node", "test.v1.User", function[4], RULE("2", "/v1/{name=**}")),
        0);
    assert_int_equal(add(&h, "Verb", RF_UNARY, "test.v1.Node", "test.v1.User", function[5],
                         RULE("2", "/v1/users/{name}:show")),
                     0);
    assert_int_equal(add(&h, "Post", RF_UNARY, "test.v1.Node", "test.v1.User", function[6],
                         RULE("4", "/v1/users/me", "7", "*")),
                     0);
    gives(&h, "GET", "/v1/users", "", "200", "{\"userId\":\"plain\"}");
    gives(&h, "GET", "/v1/users/me", "", "200", "{\"userId\":\"me\"}");
    gives(&h, "HEAD", "/v1/users/me", "", "200", "");
    gives(&h, "GET", "/v1/users/7", "", "200", "{\"userId\":\"one\",\"displayName\":\"7\"}");
    gives(&h, "GET", "/v1/users/a%20b%2Fc+d", "", "200", "{\"userId\":\"one\",\"displayName\":\"a b/c+d\"}");
    gives(&h, "GET", "/v1/users/7/x", "", "200", "{\"userId\":\"deep\",\"displayName\":\"users/7/x\"}");
    gives(&h, "GET", "/v2/y/x", "", "200", "{\"userId\":\"deep\"}");
    gives(&h, "GET", "/v1/users/7/x/y%2fz", "", "200",
          "{\"userId\":\"rest\",\"displayName\":\"users/7/x/y%2fz\"}");
    gives(&h, "GET", "/v1/users/7:show", "", "200", "{\"userId\":\"verb\",\"displayName\":\"7\"}");
    gives(&h, "GET", "/v1/users/7:other", "", "200", "{\"userId\":\"one\",\"displayName\":\"7:other\"}");
    gives(&h, "POST", "/v1/users/me", "{\"name\":\"n\"}", "200",
          "{\"userId\":\"post\",\"displayName\":\"n\"}");
    rf_call *call = ask(&h, "DELETE", "/v1/users/me", "");
    assert_string_equal(call->status, "405");
    assert_string_equal(rf_header(call, "allow"), "GET, POST");
    assert_string_equal(ask(&h, "GET", "/v2/y", "")->status, "405"); /* nobody's: as gRPC says it */
    assert_string_equal(ask(&h, "GET", "/v2//x", "")->status, "405");
    refuses(&h, "GET", "/v1/users/%zz", "", "the path: name is malformed");
    refuses(&h, "GET", "/v1/users/%ff", "", "name is not valid UTF-8");
    assert_int_equal(rf_in_flight(h.f), 0);
    close_fixture(&h);
}

static void test_queries(void **state)
{
    hf h;
    open_fixture(&h);
    add(&h, "Scalars", RF_UNARY, "test.v1.Scalars", "test.v1.Scalars", ECHO, RULE("2", "/s/{f_string}"));
    add(&h, "Lists", RF_UNARY, "test.v1.Lists", "test.v1.Lists", ECHO, RULE("2", "/l"));
    add(&h, "Known", RF_UNARY, "test.v1.Known", "test.v1.Known", ECHO, RULE("2", "/k"));
    add(&h, "Node", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("2", "/n"));
    gives(&h, "GET",
          "/s/x?f_double=-1.5&fFloat=2&f_int32=-3&f_int64=-9223372036854775808&f_uint32=4294967295", "",
          "200",
          "{\"fDouble\":-1.5,\"fFloat\":2,\"fInt32\":-3,\"fInt64\":\"-9223372036854775808\",\"fUint32\":"
          "4294967295,"
          "\"fString\":\"x\"}");
    gives(&h, "GET",
          "/s/"
          "x?f_uint64=18446744073709551615&f_sint32=-1&f_sint64=-2&f_fixed32=3&f_fixed64=4&f_sfixed32=-5&f_"
          "sfixed64=-6"
          "&f_bool=true&f_bytes=_-8&f_color=COLOR_GREEN",
          "", "200",
          "{\"fUint64\":\"18446744073709551615\",\"fSint32\":-1,\"fSint64\":\"-2\",\"fFixed32\":3,"
          "\"fFixed64\":\"4\","
          "\"fSfixed32\":-5,\"fSfixed64\":\"-6\",\"fBool\":true,\"fString\":\"x\",\"fBytes\":\"/+8=\","
          "\"fColor\":\"COLOR_GREEN\"}");
    gives(&h, "GET", "/s/a?f_string=b&f_int32=1&f_int32=2", "", "200", "{\"fInt32\":2,\"fString\":\"a\"}");
    gives(&h, "GET", "/s/a?&&f_double=Infinity&f_color=1", "", "200",
          "{\"fDouble\":\"Infinity\",\"fString\":\"a\",\"fColor\":\"COLOR_RED\"}");
    gives(&h, "GET",
          "/l?numbers=1&numbers=2&loose=3&texts=a+b&texts=%26&colors=COLOR_RED&flags=true&flags=false", "",
          "200",
          "{\"numbers\":[1,2],\"loose\":[3],\"texts\":[\"a "
          "b\",\"&\"],\"colors\":[\"COLOR_RED\"],\"flags\":[true,"
          "false]}");
    gives(&h, "GET", "/k?at=2020-01-02T03:04:05Z&lasts=1.5s&mask=a,bC&int64=5&string=s&bool=false&bytes=aGk",
          "", "200",
          "{\"at\":\"2020-01-02T03:04:05Z\",\"lasts\":\"1.500s\",\"mask\":\"a,bC\",\"int64\":\"5\","
          "\"string\":\"s\","
          "\"bool\":false,\"bytes\":\"aGk=\"}");
    gives(&h, "GET", "/n?next.name=a&next.next.name=b&name=c", "", "200",
          "{\"name\":\"c\",\"next\":{\"name\":\"a\",\"next\":{\"name\":\"b\"}}}");
    close_fixture(&h);
}

static void test_bad_queries(void **state)
{
    static const char *const bad[][2] = {
        {"/s/x?f_int32=2147483648", "f_int32 must be a 32-bit integer, not \\\"2147483648\\\""},
        {"/s/x?f_int32=", "must be a 32-bit integer"},
        {"/s/x?f_int64=%201", "must be a 64-bit integer"},
        {"/s/x?f_uint32=-1", "must be an unsigned 32-bit integer"},
        {"/s/x?f_double=0x10", "must be a number"},
        {"/s/x?f_double=1e999", "must be a number"},
        {"/s/x?f_bool=1", "must be true or false"},
        {"/s/x?f_bytes=A", "must be Base64"},
        {"/s/x?f_bytes=A%3DBC", "must be Base64"},
        {"/s/x?f_color=NOPE", "must be a value of test.v1.Color"},
        {"/s/x?f_int32=%zz", "malformed"},
        {"/s/x?nope=1", "the query: test.v1.Scalars has no field \\\"nope\\\""},
        {"/s/x?f_string.x=1", "the query: a scalar has no field"},
        {"/k?at=yesterday", "at must be the text of its type"},
        {"/k?bool=1", "bool must be true or false"},
        {"/k?object=1", "is a message: it cannot be given as text"},
        {"/n?next=1", "is a message"},
        {"/n?children.name=1", "is repeated"},
        {"/n?named=1", "is a map"},
        {"/n?next.next.next.nope=1", "has no field"}};
    hf h;
    open_fixture(&h);
    add(&h, "Scalars", RF_UNARY, "test.v1.Scalars", "test.v1.Scalars", ECHO, RULE("2", "/s/{f_string}"));
    add(&h, "Known", RF_UNARY, "test.v1.Known", "test.v1.Known", ECHO, RULE("2", "/k"));
    add(&h, "Node", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("2", "/n"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refuses(ask(&h, "GET", bad[i][0], ""), bad[i][1], __FILE__, __LINE__);
    close_fixture(&h);
}

static void test_bodies(void **state)
{
    hf h;
    open_fixture(&h);
    add(&h, "All", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO,
        RULE("4", "/all", "7", "*", "11 4", "/all/{name}", "11 7", "*"));
    add(&h, "Field", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("4", "/field/{name}", "7", "next"));
    add(&h, "List", RF_UNARY, "test.v1.Lists", "test.v1.Lists", ECHO,
        RULE("4", "/list", "7", "numbers", "12", "numbers"));
    add(&h, "Number", RF_UNARY, "test.v1.Scalars", "test.v1.Scalars", ECHO,
        RULE("6", "/number/{f_int32}", "7", "f_string", "12", "f_string"));
    add(&h, "Part", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("2", "/part", "12", "next"));
    add(&h, "None", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("5", "/none"));
    gives(&h, "POST", "/all", "{\"name\":\"a\",\"next\":{\"name\":\"b\"}}", "200",
          "{\"name\":\"a\",\"next\":{\"name\":\"b\"}}");
    gives(&h, "POST", "/all", "", "200", "{}");
    gives(&h, "POST", "/all/path", "{\"name\":\"body\",\"unknown\":1}", "200", "{\"name\":\"path\"}");
    refuses(&h, "POST", "/all?name=x", "{}", "all fields are in the body here");
    refuses(&h, "POST", "/all", "{\"name\":1}", "name: a string is expected");
    refuses(&h, "POST", "/all", "{\"name\":\"a\"", "JSON");
    gives(&h, "POST", "/field/p?children.name=x", "{\"name\":\"b\"}", "400",
          "{\"error\":{\"code\":400,\"message\":\"the query: the field \\\"children\\\" of test.v1.Node is "
          "repeated: it "
          "cannot be given as text\",\"status\":\"INVALID_ARGUMENT\"}}");
    gives(&h, "POST", "/field/p", "{\"name\":\"b\"}", "200", "{\"name\":\"p\",\"next\":{\"name\":\"b\"}}");
    refuses(&h, "POST", "/field/p?next.name=x", "{}", "is the body");
    gives(&h, "POST", "/list", "[1,2]", "200", "[1,2]");
    refuses(&h, "POST", "/list", "[1],\"texts\":[\"x\"]", "JSON");
    gives(&h, "PATCH", "/number/0", "\"a\\\"b]\"", "200", "\"a\\\"b]\"");
    gives(&h, "PATCH", "/number/0", "", "200", "\"\"");
    gives(&h, "GET", "/part?next.name=x", "", "200", "{\"name\":\"x\"}");
    gives(&h, "GET", "/part", "", "200", "{}");
    gives(&h, "DELETE", "/none?name=x", "", "200", "{\"name\":\"x\"}");
    gives(&h, "DELETE", "/none", "{\"name\":\"ignored\"}", "200", "{}");
    rf_call *call = rf_begin(h.f, "/all", HEADERS("content-type", "text/plain"));
    rf_send_bytes(call, PL_STR("{}"), true);
    rf_turn(h.f);
    assert_string_equal(call->status, "415");
    call = rf_begin(h.f, "/all", HEADERS("content-type", ""));
    rf_send_bytes(call, PL_STR("{}"), true);
    rf_turn(h.f);
    check_refuses(call, "the body has no content-type", __FILE__, __LINE__);
    call = rf_begin(h.f, "/all", HEADERS("content-type", "application/merge-patch+json"));
    rf_send_bytes(call, PL_STR("{}"), true);
    rf_turn(h.f);
    check_gives(call, "200", "{}", __FILE__, __LINE__);
    close_fixture(&h);
}

/* A path's zero wins over a body's value. */
static void test_zero_of_a_path(void **state)
{
    hf h;
    open_fixture(&h);
    add(&h, "Set", RF_UNARY, "test.v1.Scalars", "test.v1.Scalars", ECHO,
        RULE("3", "/set/{f_int32}/{f_bool}/{f_color}", "7", "*"));
    gives(&h, "PUT", "/set/0/false/COLOR_UNSPECIFIED",
          "{\"fInt32\":5,\"fBool\":true,\"fColor\":\"COLOR_RED\",\"fInt64\":1}", "200", "{\"fInt64\":\"1\"}");
    close_fixture(&h);
}

static void test_streams_and_errors(void **state)
{
    hf h;
    open_fixture(&h);
    add(&h, "List", RF_SERVER, "test.v1.Node", "test.v1.Node",
        "function(r, call)\n"
        "  if r.name == 'fail' then error(errors.not_found 'no') end\n"
        "  for i = 1, 2 do if r.name ~= 'none' then call:send { name = 'n' .. i } end end\n"
        "  if r.name == 'late' then error(errors.aborted('late', nil, { details = { { ['@type'] = "
        "'test.v1.Node', name = 'd' } } })) end\n"
        "end",
        RULE("2", "/list"));
    gives(&h, "GET", "/list", "", "200", "[{\"name\":\"n1\"},\n{\"name\":\"n2\"}]");
    gives(&h, "GET", "/list?name=none", "", "200", "[]");
    gives(&h, "GET", "/list?name=fail", "", "404",
          "{\"error\":{\"code\":404,\"message\":\"no\",\"status\":\"NOT_FOUND\"}}");
    rf_call *call = ask(&h, "GET", "/list?name=late", "");
    assert_string_equal(call->status, "200");
    assert_non_null(memmem(call->data.data, call->data.len,
                           "[{\"name\":\"n1\"},\n{\"name\":\"n2\"},\n{\"error\":{\"code\":409,", 50));
    assert_true(call->data.data[call->data.len - 1] == ']');
    call = rf_begin(h.f, "/list",
                    HEADERS(":method", "GET", "content-type", "", "accept", "application/x-ndjson"));
    rf_end(call);
    rf_turn(h.f);
    check_gives(call, "200", "{\"name\":\"n1\"}\n{\"name\":\"n2\"}\n", __FILE__, __LINE__);
    assert_string_equal(rf_header(call, "content-type"), "application/x-ndjson");
    close_fixture(&h);
}

static void test_wrong_rules(void **state)
{
    hf h;
    open_fixture(&h);
    static const struct {
        const char *rule[8];
        int kind;
        const char *text;
    } cases[] = {{{"2", "/a/{nope}"}, RF_UNARY, "test.v1.Node has no field \"nope\""},
                 {{"2", "/a/{children}"}, RF_UNARY, "\"children\" of test.v1.Node is repeated"},
                 {{"2", "/a/{next}"}, RF_UNARY, "is a message"},
                 {{"2", "/a/{named.x}"}, RF_UNARY, "is a map"},
                 {{"2", "/a/{name}/{name}"}, RF_UNARY, "has the variable {name} twice"},
                 {{"2", "a"}, RF_UNARY, "is wrong at character 1"},
                 {{"4", "/a", "7", "nope"}, RF_UNARY, "body: test.v1.Node has no field"},
                 {{"2", "/a", "12", "nope"}, RF_UNARY, "response_body: test.v1.Node has no field"},
                 {{"7", "*"}, RF_UNARY, "the rule has no path"},
                 {{"2", "/a"}, RF_CLIENT, "a stream of requests"}};
    char name[16];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(name, sizeof name, "M%zu", i);
        assert_int_equal(add(&h, name, cases[i].kind, "test.v1.Node", "test.v1.Node", ECHO, cases[i].rule),
                         PL_INVALID_ARGUMENT);
        if (!strstr(h.err.message, cases[i].text))
            fail_msg("%s", h.err.message);
    }
    assert_int_equal(add(&h, "First", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("2", "/x/{name}")),
                     PL_OK);
    assert_int_equal(add(&h, "Second", RF_UNARY, "test.v1.Node", "test.v1.Node", ECHO, RULE("2", "/x/*")),
                     PL_ALREADY_EXISTS);
    assert_string_equal(h.err.message, "GET /x/* is the path of t.H.First already (there /x/{name})");
    close_fixture(&h);
}

static void test_allocations(void **state)
{
    failing a = {.dense = 60, .step = 7};
    while (failing_next(&a)) {
        hf h;
        open_fixture(&h);
        add(&h, "Node", RF_UNARY, "test.v1.Known", "test.v1.Known", ECHO,
            RULE("4", "/k/{string}", "7", "int64"));
        gives(&h, "POST", "/k/x", "", "200", "{\"string\":\"x\"}");
        rf_call *call = rf_begin(h.f, "/k/a%20b?at=2020-01-02T03:04:05Z&mask=a", HEADERS(JSON));
        rf_send_bytes(call, PL_STR("5"), true);
        failing_begin(&a);
        rf_turn(h.f);
        if (!failing_end(&a))
            check_gives(call, "200",
                        "{\"at\":\"2020-01-02T03:04:05Z\",\"mask\":\"a\",\"int64\":\"5\",\"string\":\"a b\"}",
                        __FILE__, __LINE__);
        close_fixture(&h);
    }
    assert_true(a.made > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_zero_of_a_path),
        cmocka_unit_test(test_wrong_rules),
        cmocka_unit_test(test_streams_and_errors),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
