/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"
#include "support/failing.h"

#define JSON "local json = require 'perilune.json' "

static fixture *f;

static void decode(void **state)
{
    fixture_ok(f, JSON
               "local v = json.decode '{\"a\":[1,2.5,\"x\",true,null],\"b\":{}}'"
               "assert(v.a[1] == 1 and math.type(v.a[1]) == 'integer' and v.a[2] == 2.5 and v.a[3] == 'x' "
               "and v.a[4] == true)"
               "assert(v.a[5] == json.null and json.null == require 'perilune'.null and next(v.b) == nil)");
    fixture_ok(f, JSON "assert(json.decode '9223372036854775807' == math.maxinteger)"
                       "assert(json.decode '-9223372036854775808' == math.mininteger)"
                       "assert(math.type(json.decode '9223372036854775808') == 'float')"
                       "assert(json.decode '1e2' == 100.0 and math.type(json.decode '1e2') == 'float')");
    fixture_ok(
        f, JSON
        "assert(json.is_list(json.decode '[]') and not json.is_list(json.decode '{}'))"
        "assert(json.encode(json.decode '{\"l\":[],\"m\":{}}', {sorted = true}) == '{\"l\":[],\"m\":{}}')");
    fixture_fails(f, JSON "json.decode '[1,]'", "INVALID_ARGUMENT");
    fixture_fails(f, JSON "json.decode '[1,]'", "at byte 3");
    fixture_fails(f, JSON "json.decode ''", "INVALID_ARGUMENT");
    fixture_fails(f, JSON "json.decode(('['):rep(1000))", "RESOURCE_EXHAUSTED");
    fixture_fails(f, JSON "json.decode({})", "string expected");
}

static void encode(void **state)
{
    fixture_ok(f, JSON
               "assert(json.encode {1, 'a', true, json.null, {x = 1}} == '[1,\"a\",true,null,{\"x\":1}]')");
    fixture_ok(
        f, JSON
        "assert(json.encode {} == '{}' and json.encode(json.list()) == '[]' and json.encode(nil) == 'null')");
    fixture_ok(f, JSON "assert(json.encode({b = 1, a = 2, c = {z = 1, y = 2}}, {sorted = true}) == "
                       "'{\"a\":2,\"b\":1,\"c\":{\"y\":2,\"z\":1}}')");
    fixture_ok(f, JSON "assert(json.encode({[-1] = 'a', [10] = 'b', x = 'c'}, {sorted = true}) == "
                       "'{\"-1\":\"a\",\"10\":\"b\",\"x\":\"c\"}')");
    fixture_ok(
        f,
        JSON "assert(json.encode(math.mininteger) == '-9223372036854775808' and json.encode(0.1) == '0.1')");
    fixture_ok(f,
               JSON "assert(json.encode({a = {1}}, {pretty = true}) == '{\\n  \"a\": [\\n    1\\n  ]\\n}')");
    fixture_ok(
        f, JSON
        "local t = {} for i = 10, 1, -1 do t[i] = i end assert(json.encode(t) == '[1,2,3,4,5,6,7,8,9,10]')");
    fixture_ok(f, JSON "assert(json.encode {1, nil, 3} == '[1,null,3]')");
    fixture_ok(f,
               JSON "local t = {1, 2} assert(json.encode {t, t} == '[[1,2],[1,2]]')"); /* twice is no cycle */
}

static void encode_errors(void **state)
{
    fixture_fails(f, JSON "json.encode {a = {1, {b = print}}}", "a function has no JSON form at .a[2].b");
    fixture_fails(f, JSON "local t = {} t.x = {t} json.encode(t)",
                  "a table that contains itself has no JSON form at .x[1]");
    fixture_fails(f, JSON "local t = 1 for i = 1, 65 do t = {t} end json.encode(t)", "more than 64 levels");
    fixture_ok(f, JSON "local t = 1 for i = 1, 64 do t = {t} end assert(json.decode(json.encode(t)))");
    fixture_fails(f, JSON "json.encode {1, 2, x = 3}", "a sequence and other keys");
    fixture_fails(f, JSON "json.encode {y = {[true] = 3}}",
                  "neither a string nor an integer has no JSON form at .y");
    fixture_fails(f, JSON "json.encode({y = {[true] = 3}}, {sorted = true})",
                  "neither a string nor an integer");
    fixture_fails(f, JSON "json.encode {n = 0/0}", "NaN has no JSON form at .n");
    fixture_fails(f, JSON "json.encode {n = 1/0}", "an infinite number");
    fixture_fails(f, JSON "json.encode {n = '\\xff'}", "a string that is not UTF-8 has no JSON form at .n");
    fixture_fails(f, JSON "json.encode(coroutine.create(print))", "a thread has no JSON form");
    fixture_fails(f, JSON "json.encode()", "value expected");
    fixture_fails(f, JSON "json.list(setmetatable({}, {}))", "metatable of its own");
}

static void round_trip(void **state)
{
    fixture_ok(f, JSON
               "local text = '{\"a\":{\"deep\":[{\"er\":[[],{},null,\"\\\\u20ac\\\\n\"]}]},\"b\":-1.5e-07}' "
               "assert(json.encode(json.decode(text), {sorted = true}) == "
               "'{\"a\":{\"deep\":[{\"er\":[[],{},null,\"€\\\\n\"]}]},\"b\":-1.5e-7}')");
}

/* Each allocation of the core or of Lua fails once: an error, and nothing leaks. */
static void out_of_memory(void **state)
{
    const char *code =
        JSON "local t = json.decode '{\"a\":[1,2,{\"b\":\"cccccccccccccccccccccccccccccccccccccccc\"}]}' "
             "for i = 1, 200 do t['k' .. i] = {('x'):rep(100)} end "
             "return json.encode(t, {sorted = true, pretty = true})";
    failing a = {.sticky = true, .dense = 400, .step = 97}; /* else Lua collects garbage and tries again */
    while (failing_next(&a)) {
        fixture *small = fixture_new(NULL);
        const char *error = fixture_call_failing(small, code, &a);
        bool reported = !error || strstr(error, "memory") || strstr(error, "JUMP");
        if (!reported)
            fail_msg("allocation %zu: %s", a.n, error);
        fixture_ok(small, JSON "assert(json.encode {1} == '[1]')"); /* it works again */
        fixture_free(small);
    }
}

static int set_up(void **state)
{
    f = fixture_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decode), cmocka_unit_test(encode),
                                       cmocka_unit_test(encode_errors), cmocka_unit_test(round_trip),
                                       cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
