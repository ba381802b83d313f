/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* Waiting at every place where a script may wait, clear errors at the others, and what cancelling does. */

static int set_up(void **data)
{
    *data = ls_new(NULL);
    return 0;
}

static int set_up_watched(void **data)
{
    static const ls_options options = {.limits = {.run_ms = 300}, .watched = true};
    *data = ls_new(&options);
    return 0;
}

static int tear_down(void **data)
{
    ls_free(*data);
    return 0;
}

/* Runs the body, which must wait so many times in a row, a millisecond each. */
static void waits(ls_state *s, const char *body, unsigned times, const char *json, const char *file, int line)
{
    uint64_t begin = ls_now(s);
    ls_call *c = ls_run(s, body);
    ls_check_done(c, json, file, line);
    assert_int_equal(ls_now(s) - begin, times);
    assert_int_equal(c->ends, times > 0);
    ls_forget(s);
}
#define ls_waits(s, body, times, json) waits(s, body, times, json, __FILE__, __LINE__)

/* --- values --- */

static void values_come_through_a_wait(void **data)
{
    ls_state *s = *data;
    ls_waits(s, "sleep(0.001)", 1, "null");
    ls_waits(s, "sleep(0.001) return nil", 1, "null");
    ls_waits(s, "sleep(0.001) return 1, 2, 3", 1, "1");
    ls_waits(s, "local a, b = 1, { x = 'y' } sleep(0.001) return { a, b, select('#', sleep(0.001)) }", 2,
             "[1,{\"x\":\"y\"},0]");
    ls_waits(s,
             "local function f(...) sleep(0.001) return select('#', ...), ... end "
             "local n, a, b, c = f(nil, 2, nil) return { n, a == nil, b, c == nil }",
             1, "[3,true,2,true]");
    ls_waits(s, "local t = {} for i = 1, 20 do sleep(0.001) t[i] = i end return #t", 20, "20");
}

static void errors_come_through_a_wait(void **data)
{
    ls_state *s = *data;
    ls_fails(s, "sleep(1) error('late', 0)", PL_INTERNAL, "late");
    ls_fails(s, "sleep(1) error(errors.not_found 'gone')", PL_NOT_FOUND, "gone");
    ls_call *c = ls_run(s, "sleep(1)\nlocal x = nil\nreturn x.y");
    ls_is_failed(c, PL_INTERNAL, "call.lua:3:");
    assert_int_equal(c->ends, 1);
    assert_non_null(strstr(c->failure.traceback.ptr, "call.lua:3:"));
}

/* --- places to wait --- */

static void in_pcall(void **data)
{
    ls_state *s = *data;
    ls_waits(s, "return { pcall(function(...) sleep(0.001) return ... end, 1, nil, 3) }", 1,
             "[true,1,null,3]");
    ls_waits(s, "return { pcall(function() sleep(0.001) error('x', 0) end) }", 1, "[false,\"x\"]");
    ls_waits(s, "return { pcall(pcall, pcall, function() sleep(0.001) error('x', 0) end) }", 1,
             "[true,true,false,\"x\"]");
    ls_waits(s, "return { pcall(sleep, 0.001) }", 1, "[true]");
    ls_waits(s,
             "local ok, e = pcall(function() sleep(0.001) error(errors.aborted 'm') end) "
             "sleep(0.001) return { ok, errors.is(e, 'ABORTED') }",
             2, "[false,true]");
    ls_waits(s,
             "local n = 0 for i = 1, 3 do pcall(function() sleep(0.001) n = n + i error() end) end return n",
             3, "6");
    ls_waits(s,
             "local ok = pcall(function() pcall(function() sleep(0.001) error 'a' end) sleep(0.001) error "
             "'b' end) return ok",
             2, "false");
}

static void in_xpcall(void **data)
{
    ls_state *s = *data;
    ls_waits(s, "return { xpcall(function(...) sleep(0.001) return ... end, print, 1, nil, 3) }", 1,
             "[true,1,null,3]");
    ls_waits(s,
             "return { xpcall(function() sleep(0.001) error('x', 0) end, function(m) return m .. '!' end) }",
             1, "[false,\"x!\"]");
    ls_waits(s,
             "local ok, trace = xpcall(function() sleep(0.001)\nerror 'x' end, debug.traceback) "
             "return trace:find('call.lua:2:', 1, true) ~= nil",
             1, "true");
    /* A handler runs where the error was raised, in C: it cannot wait. */
    ls_ok(s, "local ok, m = xpcall(error, function() sleep(1) end, 'x') return ok", "false");
    ls_waits(
        s,
        "local ok, m = xpcall(error, function(e) return select(2, pcall(sleep, 1)) end, 'x') sleep(0.001) "
        "return m:find('time.sleep cannot wait here', 1, true) ~= nil",
        1, "true");
}

static void in_metamethods(void **data)
{
    ls_state *s = *data;
#define META(event) "setmetatable({}, { " event " = function(a, b) sleep(0.001) return 7 end })"
    ls_waits(s, "local t = " META("__index") " return t.x", 1, "7");
    ls_waits(s, "local t = " META("__index") " return t[1] + t.y", 2, "14");
    ls_waits(s,
             "local n local t = setmetatable({}, { __newindex = function(t, k, v) sleep(0.001) n = v end }) "
             "t.x = 5 return n",
             1, "5");
    ls_waits(s, "return " META("__add") " + 1", 1, "7");
    ls_waits(s, "return 1 - " META("__sub"), 1, "7");
    ls_waits(s, "return -" META("__unm"), 1, "7");
    ls_waits(s, "return #" META("__len"), 1, "7");
    ls_waits(s, "return " META("__concat") " .. 'x'", 1, "7");
    ls_waits(s, "return 'x' .. " META("__concat") " .. 'y'", 1, "\"x7\"");
    ls_waits(s,
             "local m = { __eq = function() sleep(0.001) return true end } "
             "return setmetatable({}, m) == setmetatable({}, m)",
             1, "true");
    ls_waits(s,
             "local m = { __lt = function() sleep(0.001) return false end, __le = function() sleep(0.001) "
             "return true end } "
             "local a, b = setmetatable({}, m), setmetatable({}, m) if a < b then return 0 end return a <= b",
             2, "true");
    ls_waits(s, "return setmetatable({}, { __call = function(self, a, b) sleep(0.001) return b end })(1, 2)",
             1, "2");
    ls_waits(s,
             "local log = {} do local x <close> = setmetatable({}, { __close = function() sleep(0.001) "
             "log[1] = 'closed' end }) end "
             "return log",
             1, "[\"closed\"]");
    ls_waits(s,
             "local function f() local x <close> = setmetatable({}, { __close = function() sleep(0.001) end "
             "}) return 1, 2, 3 end "
             "return { f() }",
             1, "[1,2,3]");
    ls_waits(s,
             "local log = {} local ok = pcall(function() local x <close> = setmetatable({}, { __close = "
             "function(_, e) "
             "sleep(0.001) log[1] = e end }) error('x', 0) end) return { ok, log[1] }",
             1, "[false,\"x\"]");
    ls_waits(s,
             "local t = setmetatable({}, { __pairs = function(t) sleep(0.001) return next, { a = 1 } end }) "
             "for k, v in pairs(t) do return k end",
             1, "\"a\"");
}

static void in_iterators(void **data)
{
    ls_state *s = *data;
    ls_waits(s,
             "local sum = 0 for i in function(_, i) i = (i or 0) + 1 sleep(0.001) if i <= 3 then return i "
             "end end do sum = sum + i end "
             "return sum",
             4, "6");
    ls_waits(s,
             "local t = {} for i in coroutine.wrap(function() for i = 1, 3 do sleep(0.001) "
             "coroutine.yield(i) sleep(0.001) end end) do "
             "t[#t + 1] = i end return t",
             6, "[1,2,3]");
    ls_waits(s,
             "local t = {} for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do "
             "sleep(0.001) t[#t + 1] = i end "
             "return t",
             3, "[1,2,3]");
}

static void in_coroutines(void **data)
{
    ls_state *s = *data;
    ls_waits(s,
             "local co = coroutine.create(function(...) sleep(0.001) return select('#', ...), ... end) "
             "return { coroutine.resume(co, nil, 'a', nil) }",
             1, "[true,3,null,\"a\"]");
    ls_waits(s, "return { coroutine.resume(coroutine.create(function() sleep(0.001) error('x', 0) end)) }", 1,
             "[false,\"x\"]");
    ls_waits(s, "return { pcall(coroutine.wrap(function() sleep(0.001) error({ 1 }) end)) }", 1,
             "[false,[1]]");
    ls_fails(s, "coroutine.wrap(function() sleep(1) error(errors.unavailable 'down') end)()", PL_UNAVAILABLE,
             "down");
    ls_waits(s,
             "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) sleep(0.001) "
             "local c = coroutine.yield(b + 1) sleep(0.001) return c + 1 end) "
             "local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 10) local _, z = "
             "coroutine.resume(co, 100) "
             "return { x, y, z, coroutine.status(co) }",
             2, "[2,11,101,\"dead\"]");
    ls_waits(s,
             "local f = coroutine.wrap(function() local g = coroutine.wrap(function() sleep(0.001) "
             "coroutine.yield(1) sleep(0.001) "
             "return 2 end) sleep(0.001) coroutine.yield(g()) sleep(0.001) return g() end) local a = f() "
             "return { a, f() }",
             4, "[1,2]");
    ls_waits(s,
             "local f = coroutine.wrap(function() return pcall(coroutine.wrap(function() return "
             "pcall(function() sleep(0.001) "
             "error('in', 0) end) end)) end) return { f() }",
             1, "[true,false,\"in\"]");
    ls_waits(s,
             "local t = setmetatable({}, { __index = function() return coroutine.wrap(function() "
             "sleep(0.001) return 3 end)() end }) "
             "return coroutine.wrap(function() return t.x + t.y end)()",
             2, "6");
    /* Two that take turns. */
    ls_waits(s,
             "local function make(n) return coroutine.wrap(function() for i = 1, 3 do sleep(0.001) "
             "coroutine.yield(n .. i) end end) end "
             "local a, b, t = make 'a', make 'b', {} for i = 1, 3 do t[#t + 1] = a() t[#t + 1] = b() end "
             "return table.concat(t, ' ')",
             6, "\"a1 b1 a2 b2 a3 b3\"");
    ls_waits(s,
             "local depth = 0 local function f(n) if n == 0 then sleep(0.001) return 'deep' end "
             "return coroutine.wrap(f)(n - 1) end return f(100)",
             1, "\"deep\"");
}

static void the_coroutine_library_is_as_in_the_manual(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "local co = coroutine.create(print) return { coroutine.status(co), coroutine.resume(co) }",
          "[\"suspended\",true]");
    ls_ok(s,
          "local co co = coroutine.create(function() return coroutine.status(co) end) return { "
          "coroutine.resume(co) }",
          "[true,\"running\"]");
    ls_ok(s,
          "local a a = coroutine.create(function() return coroutine.wrap(function() return "
          "coroutine.status(a) end)() end) "
          "return { coroutine.resume(a) }",
          "[true,\"normal\"]");
    ls_ok(s, "return { select(2, coroutine.running()), coroutine.isyieldable() }", "[true,false]");
    ls_ok(s,
          "return coroutine.wrap(function() return { select(2, coroutine.running()), coroutine.isyieldable() "
          "} end)()",
          "[false,true]");
    ls_fails(s, "coroutine.yield(1)", PL_INTERNAL, "attempt to yield from outside a coroutine");
    ls_fails(s, "coroutine.resume(1)", PL_INTERNAL, "coroutine expected");
    ls_fails(s, "coroutine.wrap(1)", PL_INTERNAL, "function expected");
    ls_ok(s, "local co = coroutine.create(print) coroutine.resume(co) return { coroutine.resume(co) }",
          "[false,\"cannot resume dead coroutine\"]");
    ls_fails(s, "local f = coroutine.wrap(function() end) f() f()", PL_INTERNAL,
             "cannot resume dead coroutine");
    ls_ok(s,
          "local co co = coroutine.create(function() return coroutine.resume(co) end) return { "
          "coroutine.resume(co) }",
          "[true,false,\"cannot resume non-suspended coroutine\"]");
    ls_ok(s,
          "local f f = coroutine.wrap(function() return pcall(f) end) local ok, m = f() return { ok, "
          "m:match('cannot.*') }",
          "[false,\"cannot resume non-suspended coroutine\"]");
    ls_ok(s,
          "local f f = coroutine.wrap(function() return coroutine.wrap(function() return pcall(f) end)() "
          "end) return (f())",
          "false");
    ls_ok(s, "return { coroutine.resume(coroutine.running()) }",
          "[false,\"cannot resume non-suspended coroutine\"]");
    ls_ok(s,
          "local me = coroutine.running() return coroutine.wrap(function() return { pcall(coroutine.close, "
          "me) } end)()",
          "[false,\"cannot close a normal coroutine\"]");
    ls_ok(s,
          "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() "
          "error('x', 0) end }) "
          "coroutine.yield() end) coroutine.resume(co) return { coroutine.close(co) }",
          "[false,\"x\"]");
    ls_ok(s, "return { coroutine.close(coroutine.create(print)) }", "[true]");
    ls_ok(s, "local co = coroutine.create(error) coroutine.resume(co, 'e') return { coroutine.close(co) }",
          "[false,\"e\"]");
    ls_ok(s,
          "local f = coroutine.wrap(function() local x <close> = setmetatable({}, { __close = function(_, e) "
          "error(e .. '!', 0) end }) "
          "error('x', 0) end) return select(2, pcall(f)):match('x!$')",
          "\"x!\"");
    ls_ok(s,
          "local co = coroutine.create(function()\nerror 'x' end) coroutine.resume(co) "
          "return debug.traceback(co):find('call.lua:2:', 1, true) ~= nil",
          "true");
    ls_ok(s,
          "local co = coroutine.create(function(...) return select('#', ...) end) "
          "return { coroutine.resume(co, table.unpack({}, 1, 10000)) }",
          "[true,10000]");
    ls_ok(s,
          "local co = coroutine.create(function() return table.unpack({}, 1, 10000) end) return select('#', "
          "coroutine.resume(co))",
          "10001");
}

/* --- where nothing can wait --- */

static void no_wait_below_c_functions(void **data)
{
    ls_state *s = *data;
    static const char *const bodies[] = {
        "table.sort({ 2, 1 }, function(a, b) sleep(1) return a < b end)",
        "string.gsub('x', 'x', function() sleep(1) end)",
        "tostring(setmetatable({}, { __tostring = function() sleep(1) return '' end }))",
        "load(function() sleep(1) end)(1)", /* load gives nil and the message */
        "table.sort({ 2, 1 }, function() coroutine.wrap(function() sleep(1) end)() end)",
        "table.sort({ 2, 1 }, function() coroutine.wrap(function() coroutine.wrap(function() sleep(1) end)() "
        "end)() end)",
        "coroutine.wrap(function() table.sort({ 2, 1 }, function() sleep(1) end) end)()",
        "require 'sleeps'",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ls_call *c = ls_run(s, bodies[i]);
        assert_int_equal(c->ends, 0);
        if (i != 3)
            ls_is_failed(c, PL_INTERNAL,
                         "time.sleep cannot wait here: a function that cannot yield is in between");
        ls_forget(s);
        ls_waits(s, "sleep(0.001) return pcall(coroutine.wrap(function() sleep(0.001) return 1 end))", 2,
                 "true");
    }
    ls_waits(s, "local ok = pcall(table.sort, { 2, 1 }, function() sleep(1) end) sleep(0.001) return ok", 1,
             "false");
}

static int set_up_modules(void **data)
{
    static const char *const files[] = {"sleeps.lua", "sleep(1)", NULL};
    static const ls_options options = {.files = files};
    *data = ls_new(&options);
    return 0;
}

static void no_wait_at_load_time(void **data)
{
    static const char *const texts[] = {
        "sleep(1)",
        "coroutine.wrap(function() sleep(1) end)()",
        "require 'sleeps'",
        "local t = setmetatable({}, { __index = function() sleep(1) end }) return t.x",
    };
    static const char *const files[] = {"sleeps.lua", "sleep(1)", NULL};
    for (int detached = 0; detached < 2; detached++) {
        ls_options options = {.files = files, .detached = detached};
        ls_state *s = ls_new(&options);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            pl_error err = {0};
            assert_int_equal(ls_load(s, "call.lua", texts[i], &err), PL_INVALID_ARGUMENT);
            assert_non_null(strstr(err.message, "time.sleep cannot wait here: top-level code"));
        }
        ls_free(s);
    }
}

/* --- many at once --- */

static void many_calls_wait_at_once(void **data)
{
    ls_state *s = *data;
    enum { N = 500 };
    ls_call *calls[N];
    unsigned random = 12345;
    for (int i = 0; i < N; i++) {
        char body[400];
        random = random * 1103515245 + 12345;
        snprintf(body, sizeof body,
                 "local n = %d for i = 1, 3 do local f = coroutine.wrap(function(x) pcall(sleep, %u / 1000) "
                 "coroutine.yield(x + 1) end) n = f(n) end "
                 "if n %% 7 == 0 then error('bad ' .. n, 0) end return n",
                 i, random / 65536 % 50);
        calls[i] = ls_start(s, body);
        assert_true(calls[i]->waits);
    }
    while (ls_turn(s))
        ;
    for (int i = 0; i < N; i++) {
        char expected[40];
        assert_int_equal(calls[i]->ends, 1);
        if ((i + 3) % 7 == 0) {
            snprintf(expected, sizeof expected, "bad %d", i + 3);
            ls_is_failed(calls[i], PL_INTERNAL, expected);
        } else {
            snprintf(expected, sizeof expected, "%d", i + 3);
            ls_is_done(calls[i], expected);
        }
    }
}

static void many_calls_are_cancelled_in_between(void **data)
{
    ls_state *s = *data;
    enum { N = 200 };
    ls_call *calls[N];
    ls_ok(s, "closed = 0 return 0", "0");
    for (int i = 0; i < N; i++)
        calls[i] = ls_start(
            s, "local x <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) "
               "coroutine.wrap(function() for i = 1, 4 do sleep(0.001) end end)() return 'end'");
    for (int turn = 0; turn < 3; turn++) {
        ls_turn(s);
        for (int i = turn; i < N; i += 7)
            ls_cancel(calls[i]);
    }
    while (ls_turn(s))
        ;
    for (int i = 0; i < N; i++) {
        assert_int_equal(calls[i]->ends, !calls[i]->cancelled);
        if (!calls[i]->cancelled)
            ls_is_done(calls[i], "\"end\"");
    }
    ls_ok(s, "return closed", "200");
}

/* --- a coroutine that waits belongs to its call --- */

static void others_cannot_touch_a_waiting_coroutine(void **data)
{
    ls_state *s = *data;
    static const char *const waiting[] = {
        "kept = coroutine.running() sleep(1) return 'mine'",
        "kept = coroutine.create(function() sleep(1) return 'mine' end) return select(2, "
        "coroutine.resume(kept))",
        "kept = coroutine.create(function() sleep(1) return 'mine' end) "
        "return coroutine.wrap(function() return select(2, coroutine.resume(kept)) end)()",
    };
    for (int i = 0; i < 3; i++) {
        ls_call *c = ls_start(s, waiting[i]);
        assert_true(c->waits);
        ls_ok(s, "return coroutine.status(kept)", "\"normal\"");
        ls_ok(s, "return { coroutine.resume(kept, 'hello') }",
              "[false,\"cannot resume non-suspended coroutine\"]");
        ls_ok(s, "return { pcall(coroutine.close, kept) }", "[false,\"cannot close a normal coroutine\"]");
        ls_ok(s, "return #debug.traceback(kept) > 0", "true");
        ls_ok(s, "collectgarbage() return 1", "1");
        while (ls_turn(s))
            ;
        ls_is_done(c, "\"mine\"");
        ls_ok(s, "return (coroutine.resume(kept))", "false");
    }
}

/* A generator that is made in one call and used in others. */
static void coroutines_outlive_calls(void **data)
{
    ls_state *s = *data;
    ls_ok(
        s,
        "gen = coroutine.wrap(function() for i = 1, 10 do sleep(0.001) coroutine.yield(i) end end) return 0",
        "0");
    ls_waits(s, "return gen()", 1, "1");
    ls_waits(s, "return gen() + gen()", 2, "5");
    ls_call *c = ls_start(s, "return gen()");
    ls_fails(s, "return gen()", PL_INTERNAL, "cannot resume non-suspended coroutine");
    while (ls_turn(s))
        ;
    ls_is_done(c, "4");
    ls_cancel(ls_start(s, "return gen()")); /* which closes it */
    ls_fails(s, "return gen()", PL_INTERNAL, "cannot resume dead coroutine");
}

/* --- cancelling --- */

#define CLOSER(name)                                                                                    \
    "local " name " <close> = setmetatable({}, { __close = function(_, e) closed[#closed + 1] = '" name \
    "' end }) "

static void starts(ls_state *s, const char *body, const char *closed)
{
    ls_ok(s, "closed = {} return 0", "0");
    ls_call *c = ls_start(s, body);
    assert_true(c->waits);
    ls_cancel(c);
    ls_ok(s, "return table.concat(closed, ' ')", closed);
    assert_false(ls_turn(s)); /* the timer is gone */
    assert_int_equal(c->ends, 0);
    ls_forget(s);
    ls_waits(s,
             "local ok, m = xpcall(function() sleep(0.001) error('fine', 0) end, function(m) return m end) "
             "return m",
             1, "\"fine\"");
}

static void cancelling_closes_variables(void **data)
{
    ls_state *s = *data;
    starts(s, CLOSER("a") CLOSER("b") "sleep(9)", "\"b a\"");
    starts(s,
           CLOSER("a") "pcall(function() " CLOSER("b") "sleep(9) end) " CLOSER("c") "closed[1] = 'went on'",
           "\"b a\"");
    starts(s, CLOSER("a") "xpcall(function() " CLOSER("b") "sleep(9) end, print)", "\"b a\"");
    starts(s, CLOSER("a") "for i in function() sleep(9) end, nil, nil, a do end", "\"a a\"");
    starts(s, CLOSER("a") "coroutine.wrap(function() " CLOSER("b") "sleep(9) end)()", "\"b a\"");
    starts(s,
           CLOSER("a") "coroutine.resume(coroutine.create(function() " CLOSER(
               "b") "coroutine.wrap(function() " CLOSER("c") "pcall(function() " CLOSER("d") "sleep(9) end) "
                                                                                             "end)() end))",
           "\"d c b a\"");
    starts(s,
           CLOSER("a") "coroutine.wrap(function() " CLOSER(
               "b") "sleep(0.001) coroutine.yield() sleep(9) end)() "
                    "coroutine.wrap(function() " CLOSER("c") "sleep(9) end)()",
           "\"b a\"");
}

static void cancelling_later_waits(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "closed = {} return 0", "0");
    ls_call *c =
        ls_start(s, CLOSER("a") "coroutine.wrap(function() " CLOSER(
                        "b") "sleep(0.001) coroutine.yield() end)() "
                             "coroutine.wrap(function() " CLOSER("c") "sleep(0.001) sleep(9) end)()");
    ls_turn(s);
    ls_turn(s);
    assert_true(c->waits);
    ls_cancel(c);
    /* b is in a coroutine that is merely suspended: as in Lua, nobody closes it. */
    ls_ok(s, "return table.concat(closed, ' ')", "\"c a\"");
}

static void close_handlers_that_misbehave(void **data)
{
    ls_state *s = *data;
    static const char *const handlers[] = {
        "error 'x'",
        "error(nil)",
        "error(setmetatable({}, { __tostring = error }))",
        "sleep(1)",
        "pcall(sleep, 1) closed[#closed + 1] = 'after'",
        "coroutine.wrap(function() sleep(1) end)()",
        "coroutine.yield()",
        "coroutine.wrap(function() coroutine.yield() end)()",
        "while true do end",
        "pcall(function() while true do end end) while true do pcall(function() while true do end end) end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local function f() return f() + 1 end f()",
        "coroutine.close(coroutine.running())",
        "coroutine.resume(coroutine.running())",
    };
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        char body[600];
        for (int nested = 0; nested < 2; nested++) {
            snprintf(
                body, sizeof body,
                CLOSER(
                    "a") "%s local b <close> = setmetatable({}, { __close = function() %s end }) sleep(9) %s",
                nested ? "coroutine.wrap(function()" : "", handlers[i], nested ? "end)()" : "");
            starts(s, body, i == 4 ? "\"after a\"" : "\"a\"");
        }
    }
    ls_ok(s, "closed = {} return 1", "1");
    ls_cancel(ls_start(s, "local x <close> = setmetatable({}, { __close = function() closed[1] = select(2, "
                          "pcall(sleep, 1)) end }) sleep(1)"));
    ls_ok(s, "return closed[1]", "\"time.sleep cannot wait here: the call is being closed\"");
}

/* Errors of close handlers, when the coroutine was suspended inside of an xpcall whose handler Lua still
 * knows of. */
static void cancelling_inside_xpcall(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "handled = 0 return 0", "0");
    for (int i = 0; i < 5; i++) {
        starts(s,
               "local function deep(n) if n > 0 then return (deep(n - 1)) end "
               "return xpcall(function() sleep(9) end, function() handled = handled + 1 end) end "
               "local x <close> = setmetatable({}, { __close = function() local t = {} for i = 1, 20000 do "
               "t[i] = {} end error 'x' end }) "
               "deep(5000)",
               "\"\"");
        starts(s,
               "coroutine.wrap(function() xpcall(function() sleep(9) end, function() handled = handled + 1 "
               "end) end)()",
               "\"\"");
        ls_fails(s, "error('plain', 0)", PL_INTERNAL, "plain");
        ls_ok(s, "handled = 0 return 0", "0");
        ls_fails(s, "coroutine.wrap(error)('plain')", PL_INTERNAL, "plain");
        ls_ok(s, "return handled", "0");
    }
}

static void cancelling_a_transaction(void **data)
{
    ls_state *s = *data;
    ls_ok(s,
          "log = {} "
          "function transaction(fn) local tx = { log = {} } "
          "  local guard <close> = setmetatable({}, { __close = function() if not tx.done then log[#log + 1] "
          "= 'rollback' end end }) "
          "  log[#log + 1] = 'begin' fn(tx) tx.done = true log[#log + 1] = 'commit' end return 0",
          "0");
    ls_call *c = ls_start(s, "transaction(function() sleep(1) sleep(1) end)");
    ls_turn(s);
    ls_cancel(c);
    ls_ok(s, "return table.concat(log, ' ')", "\"begin rollback\"");
    ls_ok(s, "log = {} transaction(function() sleep(1) end) return table.concat(log, ' ')",
          "\"begin commit\"");
    ls_ok(s, "log = {} pcall(transaction, function() sleep(1) error 'x' end) return table.concat(log, ' ')",
          "\"begin rollback\"");
}

static void cancelling_a_database_transaction(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "db = require('perilune.sqlite').open ':memory:' db:exec 'CREATE TABLE t (x)' return 0", "0");
    ls_call *c = ls_start(s, "db:transaction(function(tx) tx:exec 'INSERT INTO t VALUES (1)' sleep(1) end)");
    for (int i = 0; i < 2; i++)
        ls_turn(s); /* BEGIN, INSERT */
    assert_true(c->waits);
    ls_cancel(c);
    ls_ok(s, "return db:value 'SELECT count(*) FROM t'", "0");
    ls_ok(s,
          "db:transaction(function(tx) tx:exec 'INSERT INTO t VALUES (1)' sleep(0.001) end) return db:value "
          "'SELECT count(*) FROM t'",
          "1");
}

/* An interrupted transaction whose coroutine cannot be closed lets go of the database, too. */
static void interrupting_a_database_transaction(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "db = require('perilune.sqlite').open ':memory:' db:exec 'CREATE TABLE t (x)' return 0", "0");
    static const char *const loops[] = {
        "while true do end", "table.sort({ 2, 1 }, function() while true do end end)",
        "coroutine.wrap(function() table.sort({ 2, 1 }, function() while true do end end) end)()",
        "local t = {} while true do t[#t + 1] = {} end"};
    for (int i = 0; i < 4; i++) {
        char body[300];
        snprintf(body, sizeof body, "db:transaction(function(tx) tx:exec 'INSERT INTO t VALUES (1)' %s end)",
                 loops[i]);
        ls_call *c = ls_run(s, body);
        assert_int_equal(c->status, PL_CALL_FAILED);
        ls_forget(s);
        ls_ok(s, "return db:value 'SELECT count(*) FROM t'", "0");
    }
}

static void a_state_is_freed_with_waiting_calls(void **data)
{
    ls_state *s = ls_new(NULL);
    ls_call *calls[20];
    for (int i = 0; i < 20; i++)
        calls[i] = ls_start(
            s, i % 2 ? "sleep(1)"
                     : "coroutine.wrap(function() local x <close> = setmetatable({}, { __close = error }) "
                       "pcall(sleep, 1) end)()");
    ls_close(s);
    assert_false(ls_turn(s));
    for (int i = 0; i < 20; i++)
        assert_int_equal(calls[i]->ends, 0);
    ls_free(s);
}

static void waits_that_cannot_begin(void **data)
{
    ls_state *s = *data;
    ls_fails(s, "sleep(-1)", PL_INTERNAL, "sleep");
    ls_fails(s, "coroutine.wrap(function() sleep('x') end)()", PL_INTERNAL, "number expected");
    ls_ok(s, "sleep(0) return 1", "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define WATCHED(name) cmocka_unit_test_setup_teardown(name, set_up_watched, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_come_through_a_wait),
        TEST(errors_come_through_a_wait),
        TEST(in_pcall),
        TEST(in_xpcall),
        TEST(in_metamethods),
        TEST(in_iterators),
        TEST(in_coroutines),
        TEST(the_coroutine_library_is_as_in_the_manual),
        cmocka_unit_test_setup_teardown(no_wait_below_c_functions, set_up_modules, tear_down),
        cmocka_unit_test(no_wait_at_load_time),
        TEST(many_calls_wait_at_once),
        TEST(many_calls_are_cancelled_in_between),
        TEST(others_cannot_touch_a_waiting_coroutine),
        TEST(coroutines_outlive_calls),
        TEST(cancelling_closes_variables),
        TEST(cancelling_later_waits),
        WATCHED(close_handlers_that_misbehave),
        TEST(cancelling_inside_xpcall),
        TEST(cancelling_a_transaction),
        TEST(cancelling_a_database_transaction),
        WATCHED(interrupting_a_database_transaction),
        cmocka_unit_test(a_state_is_freed_with_waiting_calls),
        TEST(waits_that_cannot_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
