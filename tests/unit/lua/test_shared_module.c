/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"

#define DICT "local shared = require 'perilune.shared' local d = shared.dict('d') "

static pl_shared *shared;
static fixture *f;

static void values(void **state)
{
    fixture_ok(f, DICT "d:set('a', 1) d:set('b', 2.5) d:set('c', 'text') d:set('e', true) d:set('f', false) "
                       "assert(d:get 'a' == 1 and math.type(d:get 'a') == 'integer' and d:get 'b' == 2.5 and "
                       "d:get 'c' == 'text')"
                       "assert(d:get 'e' == true and d:get 'f' == false and d:get 'x' == nil)");
    fixture_ok(f,
               DICT "d:set('t', {user = {id = 5, tags = {'x', 'y'}}, none = require 'perilune'.null}) local "
                    "t = d:get 't' "
                    "assert(t.user.id == 5 and t.user.tags[2] == 'y' and t.none == require 'perilune'.null)");
    fixture_ok(f, DICT "for _, s in ipairs {'', '\\0', '\\0j{}', '\\0s', '\\0\\0', 'j{}', ('z'):rep(10000)} "
                       "do d:set('s', s) assert(d:get 's' == s) end");
    fixture_ok(f, DICT "d:set('n', require 'perilune'.null) assert(d:get 'n' == require 'perilune'.null)");
    fixture_fails(f, DICT "d:set('x', nil)", "use delete");
    fixture_fails(f, DICT "d:set('x', print)", "a function has no JSON form");
    fixture_fails(f, DICT "d:set(('k'):rep(1025), 1)", "1024 bytes");
    fixture_fails(f, DICT "d.get({}, 'x')", "perilune.shared.dict expected");
}

static void operations(void **state)
{
    fixture_ok(f, DICT "assert(d:add('once', 1) == true and d:add('once', 2) == false and d:get 'once' == 1)"
                       "assert(d:delete 'once' == true and d:delete 'once' == false)");
    fixture_ok(f, DICT "assert(d:incr 'p' == 1 and d:incr('p', 5) == 6 and d:incr('p', -0.5) == 5.5)"
                       "assert(d:incr('m', 1, {initial = 10, ttl = 60}) == 11)");
    fixture_fails(f, DICT "d:set('s', 'x') d:incr 's'", "FAILED_PRECONDITION");
    fixture_fails(f, DICT "d:set('i', math.maxinteger) d:incr 'i'", "OUT_OF_RANGE");
    fixture_fails(f, DICT "d:incr('q', 'x')", "the increment is no number");
    fixture_ok(f, DICT "d:set('short', 1, {ttl = 0.01}) assert(d:get 'short' == 1) require "
                       "'perilune.time'.sleep(0.03) assert(d:get 'short' == nil)");
    fixture_fails(f, DICT "d:set('x', 1, {ttl = 0})", "ttl is not a positive number");
    fixture_fails(f, DICT "d:set('x', 1, {ttl = 'soon'})", "ttl is not a positive number");
    fixture_ok(f, DICT "local s = d:stats() assert(s.entries > 0 and s.bytes > 0 and s.capacity == 16 * 1024 "
                       "* 1024 and s.evictions == 0)"
                       "d:clear() assert(d:stats().entries == 0 and d:stats().bytes == 0)");
}

static void capacities(void **state)
{
    fixture_ok(f, DICT "assert(shared.dict('c1', {capacity = '2MB'}):stats().capacity == 2097152)"
                       "assert(shared.dict('c2', {capacity = 5000}):stats().capacity == 5000)"
                       "assert(shared.dict('c3', {capacity = '4.5 KB'}):stats().capacity == 4608)"
                       "assert(shared.dict('c1', {capacity = '9MB'}):stats().capacity == 2097152)");
    fixture_fails(f, DICT "shared.dict('c4', {capacity = '1.5 KB'})",
                  "capacity is not a number of bytes from 4096 on");
    fixture_fails(f, DICT "shared.dict('c4', {capacity = 'much'})", "capacity is not");
    fixture_fails(f, DICT "shared.dict ''", "a name of 1 to 256 bytes");
    fixture_fails(f, DICT "local s = shared.dict('small', {capacity = 8000}) s:set('k', ('x'):rep(1001))",
                  "RESOURCE_EXHAUSTED");
}

/* Another state of the same server sees the same dictionary; a server without them says so. */
static void other_states(void **state)
{
    fixture_ok(f, DICT "d:set('seen', {1, 2})");
    fixture *other = fixture_new(&(fixture_options){.shared = shared});
    assert_null(fixture_load(other, DICT "assert(d:get 'seen'[2] == 2)")); /* at load time, too */
    fixture_free(other);
    other = fixture_new(NULL);
    fixture_fails(other, DICT, "there are no shared dictionaries");
    fixture_free(other);
}

static int set_up(void **state)
{
    shared = pl_shared_new(0);
    f = fixture_new(&(fixture_options){.shared = shared});
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(f);
    pl_shared_free(shared);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(operations),
                                       cmocka_unit_test(capacities), cmocka_unit_test(other_states)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
