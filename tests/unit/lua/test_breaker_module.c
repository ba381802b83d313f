/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"
#include "support/lua_state.h"

#define B(options) "local breaker = require 'perilune.breaker' local b = breaker.new('b', " options ") "
/* Calls f without being left by its error; the error's code, or what it returns. */
#define TRY                                                              \
    "local function try(f, ...) local ok, e = pcall(b.call, b, f, ...) " \
    "return ok and e or errors.is(e) and e.code or e end "               \
    "local function bad() error(errors.unavailable 'away') end "         \
    "local function good(x) return x or 'ok' end "

static void test_opens_and_closes(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(s,
          B("{ failures = 3, open = 10 }") TRY
          "local seen = {} local function note(x) seen[#seen + 1] = tostring(x) end "
          "for i = 1, 3 do note(try(bad)) note(b:state()) end "
          "note(try(function() error 'not called' end)) "
          "sleep(9.9) note(try(good)) sleep(0.1) note(b:state()) note(try(good, 'back')) note(b:state()) "
          "return table.concat(seen, ' ')",
          "\"UNAVAILABLE closed UNAVAILABLE closed UNAVAILABLE open UNAVAILABLE UNAVAILABLE half_open back "
          "closed\"");
    assert_non_null(strstr(ls_log(s)->data, "circuit breaker opened"));
    assert_non_null(strstr(ls_log(s)->data, "circuit breaker closed"));
    ls_free(s);
}

static void test_results_and_arguments(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(s,
          B("{}") "return table.concat({ b:call(function(...) sleep(1) return select('#', ...), ... end, "
                  "'a', 'b') }, ' ')",
          "\"2 a b\"");
    ls_ok(s, B("{}") "return select('#', b:call(function() return nil, nil, nil end))", "3");
    /* An unexpected error is raised as it is, with its place. */
    ls_fails(s, B("{}") "b:call(function() local x = nil; return x.y end)", PL_INTERNAL,
             "attempt to index a nil value");
    ls_fails(s, B("{}") "b:call(function() error(errors.not_found 'none') end)", PL_NOT_FOUND, "none");
    ls_free(s);
}

/* The message and when to try again, for whoever shows it. */
static void test_refusal(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(s,
          B("{ failures = 1, open = 4 }") TRY
          "try(bad) sleep(1) local _, e = pcall(b.call, b, good) "
          "return e.code .. ': ' .. e.message .. ' ' .. e.extensions.retryAfter",
          "\"UNAVAILABLE: the circuit breaker \\\"b\\\" is open 3.0\"");
    ls_ok(s,
          "local breaker = require 'perilune.breaker' "
          "local b = breaker.new('own', { failures = 1, message = 'payments are not possible now' }) " TRY
          "try(bad) local _, e = pcall(b.call, b, good) return e.message",
          "\"payments are not possible now\"");
    ls_free(s);
}

/* Which ends count. */
static void test_judgement(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(
        s,
        B("{ failures = 1 }") TRY
        "try(function() error(errors.not_found()) end) try(function() error(errors.invalid_argument()) end) "
        "return b:state() .. b:stats().total_calls",
        "\"closed2\"");
    ls_ok(s, B("{ failures = 1 }") TRY "try(function() error 'oops' end) return b:state()", "\"open\"");
    ls_ok(s, B("{ failures = 1 }") TRY "b:reset() try(function() error({}) end) return b:state()",
          "\"open\"");
    ls_ok(s,
          "local breaker = require 'perilune.breaker' local b = breaker.new('j', { failures = 1, "
          "is_failure = function(e, status) if e then return errors.is(e, 'NOT_FOUND') end return status == "
          "500 end }) " TRY "local seen = {} "
          "try(bad) seen[1] = b:state() "
          "b:call(function() return 200 end) seen[2] = b:state() "
          "seen[3] = b:call(function() return 500 end) seen[4] = b:state() b:reset() "
          "try(function() error(errors.not_found()) end) seen[5] = b:state() "
          "return table.concat(seen, ' ')",
          "\"closed closed 500 open open\"");
    /* A judge that has no opinion, or fails itself. */
    ls_ok(s,
          "local breaker = require 'perilune.breaker' local b = breaker.new('k', { failures = 1, "
          "is_failure = function(e) end }) " TRY "try(bad) return b:state()",
          "\"open\"");
    ls_ok(s,
          "local breaker = require 'perilune.breaker' local b = breaker.new('l', { failures = 1, "
          "is_failure = function(e) error 'judge' end }) " TRY
          "local e = try(bad) return b:state() .. tostring(e:find 'judge' ~= nil)",
          "\"opentrue\"");
    ls_free(s);
}

/* A call that nobody waits for any more says nothing, but gives its place back. */
static void test_cancelled_probe(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(s, B("{ failures = 1, open = 1 }") TRY "try(bad) sleep(1) return b:state()", "\"half_open\"");
    ls_call *probe = ls_start(s, B("{ failures = 1, open = 1 }") "return b:call(function() sleep(60) end)");
    assert_true(probe->waits);
    ls_ok(s, B("{ failures = 1, open = 1 }") TRY "return try(good)", "\"UNAVAILABLE\"");
    ls_cancel(probe);
    ls_ok(s, B("{ failures = 1, open = 1 }") TRY "return try(good) .. b:state()", "\"okclosed\"");
    /* A coroutine that is never resumed. */
    ls_ok(s,
          B("{ failures = 1, open = 1 }") TRY "try(bad) sleep(1) local co = coroutine.wrap(function() "
                                              "b:call(coroutine.yield) end) co() return try(good)",
          "\"UNAVAILABLE\"");
    ls_collect(s);
    ls_ok(s, B("{ failures = 1, open = 1 }") TRY "return try(good) .. b:state()", "\"okclosed\"");
    ls_free(s);
}

static void test_permits(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(s,
          B("{ failures = 2 }") TRY
          "do local p <close> = b:enter() p:settle 'failure' p:settle 'failure' end "
          "do local p <close> = b:enter() end "
          "local a = b:stats() "
          "pcall(function() local p <close> = b:enter() error(errors.internal()) end) "
          "return a.total_calls .. a.state .. b:stats().total_calls .. b:state()",
          "\"1closed2open\"");
    ls_fails(s, B("{}") "b:reset() b:enter():settle 'maybe'", PL_INTERNAL, "invalid option");
    ls_free(s);
}

static void test_rate_and_slowness(void **state)
{
    ls_state *s = ls_new(NULL);
    ls_ok(s,
          B("{ failures = 0, rate = 0.5, minimum = 4 }") TRY
          "for i = 1, 3 do try(bad) end local before = b:state() try(bad) local t = b:stats() "
          "return before .. b:state() .. t.total_opened .. t.failures .. t.retry_after",
          "\"closedopen1410.0\"");
    ls_ok(
        s,
        "local breaker = require 'perilune.breaker' local b = breaker.new('slow', { slow = 2, minimum = 2 }) "
        "b:call(sleep, 2) b:call(sleep, 1) local before = b:state() b:call(sleep, 3) return before .. "
        "b:state()",
        "\"closedopen\"");
    ls_free(s);
}

static void test_settings(void **state)
{
    ls_state *s = ls_new(NULL);
    static const char *const wrong[][2] = {
        {"breaker.new()", "a name is expected"},
        {"breaker.new('')", "a name of 1 to 256 bytes"},
        {"breaker.new(('x'):rep(257))", "a name of 1 to 256 bytes"},
        {"breaker.new('x', 5)", "the options must be a table"},
        {"breaker.new('x', { failure = 5 })", "there is no setting 'failure'"},
        {"breaker.new('x', { failures = 'five' })", "failures must be an integer from 0 to"},
        {"breaker.new('x', { failures = 1.5 })", "failures must be an integer"},
        {"breaker.new('x', { rate = 1.1 })", "rate must be a number from 0 to 1, not 1.1"},
        {"breaker.new('x', { open = 0 })", "open must be a number from 0.001"},
        {"breaker.new('x', { probes = 0 })", "probes must be an integer from 1"},
        {"breaker.new('x', { window = 0/0 })", "window must be a number"},
        {"breaker.new('x', { is_failure = 1 })", "is_failure must be a function"},
        {"breaker.new('x', { message = 1 })", "message must be a string"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char body[200];
        snprintf(body, sizeof body, "local breaker = require 'perilune.breaker' %s", wrong[i][0]);
        ls_fails(s, body, PL_INTERNAL, wrong[i][1]);
    }
    ls_free(s);
}

/* Two workers, and a generation that comes later, with other settings. */
static void test_shared(void **state)
{
    pl_shared *shared = pl_shared_new(0);
    fixture *f = fixture_new(&(fixture_options){.shared = shared}),
            *g = fixture_new(&(fixture_options){.shared = shared});
#define USE(options) \
    "local b = require 'perilune.breaker'.new('b', " options ") local errors = require 'perilune.errors' "
    fixture_ok(f, USE("{ failures = 2 }") "for i = 1, 2 do pcall(b.call, b, error) pcall(b.call, b, error, "
                                          "'x') end assert(b:state() == 'open')");
    fixture_ok(g, USE("{ failures = 2 }") "assert(b:state() == 'open') local ok, e = pcall(b.call, b, print) "
                                          "assert(not ok and e.code == 'UNAVAILABLE')");
    fixture_free(f);
    assert_null(
        fixture_load(g, USE("{ failures = 2 }") "assert(b:state() == 'open')")); /* while code is loaded */
    fixture_free(g);
    f = fixture_new(&(fixture_options){.shared = shared});
    fixture_ok(f, USE("{ failures = 9, open = 0.001 }") "require 'perilune.time'.sleep(0.01) "
                                                        "assert(b:state() == 'half_open')"
                                                        "b:call(print) assert(b:state() == 'closed')");
    fixture_free(f);
    pl_shared_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_and_closes),
        cmocka_unit_test(test_results_and_arguments),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_judgement),
        cmocka_unit_test(test_cancelled_probe),
        cmocka_unit_test(test_permits),
        cmocka_unit_test(test_rate_and_slowness),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
