/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"
#include "support/failing.h"

/* perilune.log, time.sleep, and how modules are opened. */

static fixture *f;

/* --- log --- */

static void expect_log(const char *text)
{
    char seen[4096];
    const pl_buf *log = fixture_log(f);
    size_t len = log->len < sizeof(seen) - 1 ? log->len : sizeof(seen) - 1;
    memcpy(seen, log->data + log->len - len, len);
    seen[len] = '\0';
    if (!strstr(seen, text))
        fail_msg("no %s in %s", text, seen);
}

static void log_lines(void **state)
{
    fixture_ok(
        f, "require 'perilune.log'.info('order placed', {id = 7, total = 1.5, paid = true, who = 'ann'})");
    expect_log("order placed");
    expect_log("\"id\":7,\"paid\":true,\"total\":1.5,\"who\":\"ann\",\"request_id\":\"request-1\"");
    fixture_ok(f, "require 'perilune.log'.warn('odd', {items = {1, {a = 2}}, f = print, cycle = (function() "
                  "local t = {} t.t = t return t end)()})");
    expect_log("[1,{\\\"a\\\":2}]");
    expect_log("\"f\":\"<function>\"");
    expect_log("contains itself");
    fixture_ok(f, "local log = require 'perilune.log'; log:error('as a method', {n = 1})");
    expect_log("as a method");
    fixture_ok(f, "local t = {} for i = 1, 40 do t['k' .. i] = {i} end t[1] = 2 require "
                  "'perilune.log'.debug('many', t)");
    expect_log("\"fields_left_out\":9");
    fixture_ok(f, "require 'perilune.log'.info(12)");
    fixture_ok(f, "require 'perilune.log'.info('map', {m = {[true] = 1}})");
    expect_log("\"m\":\"{}\"");
    fixture_fails(f, "require 'perilune.log'.info('x', 'y')", "table expected");
    fixture_fails(f, "require 'perilune.log'.info()", "value expected");
}

/* --- time --- */
#define TIME "local time = require 'perilune.time' "

static void sleep_waits(void **state)
{
    assert_true(
        fixture_start(f, 0, TIME "local a = time.monotonic() time.sleep(0.02) return time.monotonic() - a"));
    assert_true(fixture_start(f, 1, TIME "time.sleep(0)"));
    assert_null(fixture_finish(f, 1));
    assert_null(fixture_finish(f, 0));
    assert_true(atof(fixture_result(f)) >= 0.018);
    assert_true(fixture_start(f, 2, TIME "time.sleep(1000)"));
    fixture_cancel(f, 2);
    fixture_drain(f); /* does not wait for a thousand seconds */
    fixture_ok(
        f,
        TIME "local co = coroutine.wrap(function() time.sleep(0) coroutine.yield(5) end) assert(co() == 5)");
    fixture_fails(f, TIME "time.sleep(-1)", "not a number of seconds");
    fixture_fails(f, TIME "time.sleep(0/0)", "not a number of seconds");
    fixture_fails(f, TIME "table.sort({1, 2, 3}, function(a, b) time.sleep(0) return a < b end)",
                  "cannot wait");
    assert_non_null(fixture_load(f, TIME "time.sleep(0)"));
}

/* A module that could not be opened for want of memory is whole when it is required again. */
static void modules_without_memory(void **state)
{
    static const char *const uses[][2] = {
        {"perilune.shared", "local d = m.dict 'd' d:set('a', 1) assert(getmetatable(d) == false)"},
        {"perilune.sqlite", "local d = m.open(':memory:') assert(d:value 'SELECT 1' == 1)"},
        {"perilune.json", "assert(m.encode {1} == '[1]')"}};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        failing a = {.sticky = true}; /* else Lua collects garbage and tries again */
        while (failing_next(&a)) {
            pl_shared *shared = pl_shared_new(0);
            fixture *fresh = fixture_new(&(fixture_options){.shared = shared});
            char code[300];
            snprintf(code, sizeof code, "local m = require '%s' %s", uses[i][0], uses[i][1]);
            const char *error = fixture_call_failing(fresh, code, &a);
            if (error && !strstr(error, "memory") && !strstr(error, "RESOURCE_EXHAUSTED"))
                fail_msg("allocation %zu: %s", a.n, error);
            fixture_drain(fresh);
            fixture_ok(fresh, code);
            fixture_free(fresh);
            pl_shared_free(shared);
        }
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(log_lines), cmocka_unit_test(sleep_waits),
                                       cmocka_unit_test(modules_without_memory)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
