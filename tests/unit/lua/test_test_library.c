/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"

/* perilune.test: the library of a bundle's own tests. */

#define T                                                                                            \
    "local t = require 'perilune.test' local null = require 'perilune'.null local errors = require " \
    "'perilune.errors' "

/* A failed assertion is a table: shown as text, it is easier to compare. */
#define FAILS(code, text)                                                                               \
    fixture_fails(                                                                                      \
        f, T "local ok, e = pcall(function() " code " end) error(ok and 'no error' or tostring(e), 0)", \
        text)

static fixture *f;
static char request_seen[512];

static const char *answer(pl_str request)
{
    snprintf(request_seen, sizeof(request_seen), "%.*s", PL_STR_ARG(request));
    if (strstr(request_seen, "broken"))
        return NULL;
    return "{\"data\":{\"user\":{\"name\":\"Ada\",\"friends\":[],\"boss\":null}}}";
}

static void equal(void **state)
{
    fixture_ok(f,
               T "t.equal(1, 1.0) t.equal({a = {1, 2}}, {a = {1, 2}}) t.equal(null, null) t.equal(0/0, 0/0)"
                 "local a, b = {}, {} a.x, b.x = a, b t.equal(a, b)");
    FAILS("t.equal({a = {1, {b = 'x'}}}, {a = {1, {b = 'y'}}})",
          "main.lua:1: expected \"y\", got \"x\" at .a[2].b");
    FAILS("t.equal({1, 2, 3}, {1, 2})", "expected nil, got 3 at [3]");
    FAILS("t.equal({a = 1}, {a = 1, b = {2}})", "expected {2}, got nil at .b");
    FAILS("t.equal(null, nil)", "expected nil, got null");
    FAILS("t.equal(1, '1', 'the answer')", "the answer: expected \"1\", got 1");
    FAILS("t.equal({[true] = {['a b'] = 1}}, {[true] = {['a b'] = 2}})", "at [true][\"a b\"]");
    FAILS("t.equal({x = 1, 5, 6}, 7)", "expected 7, got {5, 6, x = 1}");
    FAILS("\n\nt.equal(1, 2)", "main.lua:3: expected 2, got 1");
}

static void others(void **state)
{
    fixture_ok(f, T "assert(t.ok(5) == 5) t.match('hello', '^h.l') ");
    FAILS("t.ok(nil)", "main.lua:1: expected a true value, got nil");
    FAILS("t.ok(false, 'is set')", "is set: expected a true value, got false");
    FAILS("t.match('hello', '^x')", "expected a match of \"^x\", got \"hello\"");
    FAILS("t.match(5, '5')", "got 5");
    fixture_ok(f, T "local e = t.error(function() error(errors.not_found 'gone') end, 'NOT_FOUND') "
                    "assert(e.message == 'gone')");
    fixture_ok(f, T "t.error(function() error 'some text' end, 'me text$') t.error(error)");
    fixture_ok(
        f, T
        "t.error(function() require 'perilune.time'.sleep(0) error 'later' end, 'later')"); /* fn may wait */
    FAILS("t.error(function() end)", "main.lua:1: expected an error, got none");
    FAILS("t.error(function() error 'x' end, 'y')", "expected an error that matches \"y\"");
    FAILS("t.error(function() error(errors.aborted 'x') end, 'NOT_FOUND')",
          "with code NOT_FOUND, got ABORTED: x");
    /* a failed assertion is an error of its own kind */
    fixture_ok(f, T "local ok, e = pcall(t.ok, false) assert(getmetatable(e).__name == "
                    "'perilune.test.failure' and e.message == tostring(e))");
}

static void registering(void **state)
{
    fixture_ok(f, T
               "ran = {} t.before_each(function() ran[#ran + 1] = 'before' end) "
               "t.test('one', function() ran[#ran + 1] = 'one' end) t.test('two', function() end) "
               "local l = t._tests() assert(#l == 2 and l[1].name == 'one' and l[2].name == 'two' and "
               "l[1].file == 'main.lua') "
               "assert(l[1].line == 1) local before = t._before() before(l[1]) l[1].fn() "
               "before {file = 'other.lua'} before() assert(table.concat(ran, ' ') == 'before one before')");
    fixture_fails(f, T "t.test('x')", "a name and a function are expected");
    fixture_fails(f, T "t.before_each(5)", "a function is expected");
}

static void graphql(void **state)
{
    fixture_ok(
        f, T "local r = t.graphql('query Q($id: ID) { user(id: $id) { name } }', {id = '1'}, {operation_name "
             "= 'Q'}) "
             "assert(r.data.user.name == 'Ada' and #r.data.user.friends == 0 and r.data.user.boss == null)");
    assert_non_null(strstr(request_seen, "\"operationName\":\"Q\""));
    assert_non_null(strstr(request_seen, "\"variables\":{\"id\":\"1\"}"));
    fixture_ok(f, T "t.graphql('{ a }')");
    assert_string_equal(request_seen, "{\"query\":\"{ a }\"}");
    fixture_fails(f, T "t.graphql('broken')", "INVALID_ARGUMENT: no response");
    assert_true(fixture_start(f, 1, T "t.graphql('{ a }')"));
    fixture_cancel(f, 1); /* before it has begun */
    fixture_drain(f);
    fixture *plain = fixture_new(NULL);
    fixture_fails(plain, T "t.graphql('{ a }')", "there is nothing here that runs GraphQL");
    fixture_free(plain);
}

static int set_up(void **state)
{
    f = fixture_new(&(fixture_options){.execute = answer});
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal), cmocka_unit_test(others),
                                       cmocka_unit_test(registering), cmocka_unit_test(graphql)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
