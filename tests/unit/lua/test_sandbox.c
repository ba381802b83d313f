/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* What scripts find, what they do not, and that nothing they change reaches the engine or another state. */

static int set_up(void **data)
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

static void what_there_is_not(void **data)
{
    static const char *const names[] = {
        "io",
        "dofile",
        "loadfile",
        "loadstring",
        "module",
        "os.execute",
        "os.exit",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.setlocale",
        "string.dump",
        "debug.getinfo",
        "debug.getregistry",
        "debug.getmetatable",
        "debug.setmetatable",
        "debug.getlocal",
        "debug.setlocal",
        "debug.getupvalue",
        "debug.setupvalue",
        "debug.upvaluejoin",
        "debug.upvalueid",
        "debug.getuservalue",
        "debug.setuservalue",
        "debug.sethook",
        "debug.gethook",
        "debug.debug",
        "debug.setcstacklimit",
        "package.loadlib",
        "package.searchers",
        "package.searchpath",
        "package.path",
        "package.cpath",
        "package.preload",
        "package.config",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char body[200];
        snprintf(body, sizeof body, "return type(%s)", names[i]);
        ls_ok(*data, body, "\"nil\"");
    }
}

/* Exactly these: another release of Lua must not bring in more unseen. */
static void what_there_is(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) return table.concat(t, ' ')",
          "\"_G _VERSION assert collectgarbage coroutine debug error errors getmetatable ipairs load math "
          "next os package pairs pcall print "
          "rawequal rawget rawlen rawset require select setmetatable sleep string table time tonumber "
          "tostring type utf8 warn xpcall\"");
#define NAMES(of) \
    "local t = {} for k in pairs(" of ") do t[#t + 1] = k end table.sort(t) return table.concat(t, ' ')"
    ls_ok(s, NAMES("os"), "\"clock date difftime getenv time\"");
    ls_ok(s, NAMES("debug"), "\"traceback\"");
    ls_ok(s, NAMES("package"), "\"loaded\"");
    ls_ok(s, NAMES("coroutine"), "\"close create isyieldable resume running status wrap yield\"");
    ls_ok(s, NAMES("string"),
          "\"byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper\"");
    ls_ok(s, NAMES("table"), "\"concat insert move pack remove sort unpack\"");
}

static void it_works_as_in_the_manual(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "return { pcall(error) }", "[false]");
    ls_ok(s, "return { pcall(error, nil) }", "[false]");
    ls_ok(s, "return select('#', pcall(error))", "2");
    ls_ok(s, "return { pcall(function(...) return ... end, 1, 2, 3) }", "[true,1,2,3]");
    ls_ok(s, "return { select('#', pcall(function() return nil, nil end)) }", "[3]");
    ls_fails(s, "pcall()", PL_INTERNAL, "bad argument #1 to 'pcall' (value expected)");
    ls_ok(s, "return { pcall(1) }", "[false,\"attempt to call a number value\"]");
    ls_fails(s, "xpcall(print)", PL_INTERNAL, "bad argument #2 to 'xpcall' (function expected");
    ls_ok(s, "return { xpcall(function(...) return select('#', ...), ... end, print, nil, 2, nil) }",
          "[true,3,null,2]");
    ls_ok(s, "return { xpcall(error, function(e) return e + 1 end, 1) }", "[false,2]");
    ls_ok(s, "return { select(2, pcall(function() string.rep() end)) }",
          "[\"call.lua:1: bad argument #1 to 'rep' (string expected, got no value)\"]");
    ls_ok(s, "return { select(2, pcall(function() table.concat(1) end)) }",
          "[\"call.lua:1: bad argument #1 to 'concat' (table expected, got number)\"]");
    ls_ok(s, "return { select(2, pcall(function() table.insert({}, 1, 2, 3) end)) }",
          "[\"call.lua:1: wrong number of arguments to 'insert'\"]");
    ls_ok(s, "return { select(2, pcall(function() table.insert(nil, 1) end)) }",
          "[\"call.lua:1: bad argument #1 to 'insert' (table expected, got nil)\"]");
    ls_ok(s, "return { select(2, pcall(function() setmetatable(1, {}) end)) }",
          "[\"call.lua:1: bad argument #1 to 'setmetatable' (table expected, got number)\"]");
    ls_ok(s, "return { select(2, pcall(function() setmetatable({}) end)) }",
          "[\"call.lua:1: bad argument #2 to 'setmetatable' (nil or table expected, got no value)\"]");
    ls_ok(s, "local t = {} return setmetatable(t, nil) == t and setmetatable(t, {}) == t", "true");
    ls_ok(s,
          "return table.concat(setmetatable({}, { __index = function(_, i) return 'x' .. i end, __len = "
          "function() return 3 end }), '-')",
          "\"x1-x2-x3\"");
    ls_ok(s, "return table.move({ 1, 2, 3 }, 1, 3, 2)", "[1,1,2,3]");
    ls_ok(s, "return table.move({ 1, 2, 3 }, 1, 0, 2)", "[1,2,3]");
    ls_ok(s, "return table.move({ 1, 2 }, 1, 2, 1, {})", "[1,2]");
    ls_ok(s, "return math.type(collectgarbage 'count')", "\"float\"");
    ls_ok(s,
          "return { collectgarbage(), collectgarbage 'collect', collectgarbage 'step', collectgarbage "
          "'isrunning' }",
          "[0,0,0,true]");
    ls_ok(s,
          "print('a', 1, nil, setmetatable({}, { __tostring = function() return 'T' end })) print() return 1",
          "1");
    const pl_buf *log = ls_log(s);
    assert_non_null(memmem(log->data, log->len, "a\\t1\\tnil\\tT", 10));
}

static void collection_cannot_be_stopped(void **data)
{
    ls_state *s = *data;
    static const char *const options[] = {"stop",        "restart",  "generational",
                                          "incremental", "setpause", "setstepmul"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        char body[100];
        snprintf(body, sizeof body, "collectgarbage('%s', 1000)", options[i]);
        ls_fails(s, body, PL_INTERNAL, "invalid option");
    }
}

static void no_finalizers(void **data)
{
    ls_state *s = *data;
    ls_fails(s, "setmetatable({}, { __gc = function() end })", PL_INTERNAL, "__gc is not available");
    ls_fails(s, "setmetatable({}, { __gc = true })", PL_INTERNAL, "__gc is not available");
    ls_ok(s,
          "ran = false local m = {} local x = setmetatable({}, m) m.__gc = function() ran = true end x = nil "
          "return 1",
          "1");
    ls_fails(s, "local m = {} setmetatable({}, m) m.__gc = print setmetatable({}, m)", PL_INTERNAL, "__gc");
    ls_collect(s);
    ls_ok(s, "return ran", "false");
    /* Metatables that C code gives to values. */
    ls_ok(
        s,
        "ran = false errors.metatable.__gc = function() ran = true end return (pcall(errors.not_found, 'x'))",
        "false");
    ls_ok(s,
          "for i = 1, 10 do pcall(require('perilune.json').decode, '{') pcall(function() "
          "require('perilune.sqlite').open(':memory:'):exec('nonsense') end) end return 1",
          "1");
    ls_collect(s);
    ls_ok(s, "return ran", "false");
}

static void text_chunks_only(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "return load('return 1 + 1')()", "2");
    ls_ok(s, "return load('return ...', 'name', 't', {})(5)", "5");
    ls_ok(s, "return load('x = 1 return x', 'name', 'bt', {})()", "1");
    ls_ok(
        s,
        "local parts, i = { 'return ', '4', '2' }, 0 return load(function() i = i + 1 return parts[i] end)()",
        "42");
    ls_ok(s, "local env = { a = 3 } return load('return a', 'n', 't', env)()", "3");
    ls_ok(s, "return { load('return a', 'n', 't', nil)  ~= nil }", "[true]");
    ls_ok(s, "return { load('x x', '=n') }", "[null,\"n:1: syntax error near 'x'\"]");
    ls_ok(s, "return { load(function() error('mine', 0) end) }", "[null,\"mine\"]");
    ls_ok(s, "return { select(2, load(function() return {} end)) }",
          "[\"call.lua:1: reader function must return a string\"]");
    static const char *const bodies[] = {
        "return { select('#', load('\\27Lua')), (select(2, load('\\27Lua'))) }",
        "return { select('#', load('\\27LuaT', 'x', 'bt')), (select(2, load('\\27LuaT', 'x', 'bt'))) }",
        "return { select('#', load(function() return '\\27LuaT' end)), (select(2, load(function() return "
        "'\\27LuaT' end))) }",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_non_null(strstr(ls_text(ls_run(s, bodies[i])), "attempt to load a binary chunk"));
    ls_fails(s, "load('return 1', 'x', 'b')", PL_INTERNAL, "only text chunks");
    ls_fails(s, "load('\\27Lua', 'x', 'b')", PL_INTERNAL, "only text chunks");
    pl_error err = {0};
    assert_int_not_equal(ls_load(s, "call.lua", "\033LuaT\0", &err), PL_OK);
    assert_non_null(strstr(err.message, "attempt to load a binary chunk"));
}

static void tampering_stays_in_its_state(void **data)
{
    ls_state *s = *data, *other = ls_new(NULL);
    ls_ok(s,
          "mine = 1 string.upper = nil table.insert = 5 math.pi = 3 _G.print = nil "
          "package.loaded['perilune.time'] = 7 "
          "getmetatable('').__index = { mine = true } getmetatable('').__add = function() return 'added' end "
          "errors.not_found = nil "
          "return ('x').mine",
          "true");
    ls_ok(other,
          "return { type(mine), ('x'):upper(), type(table.insert), math.pi > 3.1, type(print), type(require "
          "'perilune.time'), "
          "pcall(function() return 'a' + 'b' end) }",
          "[\"nil\",\"X\",\"function\",true,\"function\",\"table\",false,\"call.lua:1: attempt to add a "
          "'string' with a 'string'\"]");
    ls_fails(other, "error(errors.not_found 'x')", PL_NOT_FOUND, "x");
    ls_free(other);
}

/* The engine's own C code does not go through what scripts can change. */
static void tampering_does_not_reach_the_engine(void **data)
{
    ls_state *s = *data;
    ls_ok(s,
          "local mt = getmetatable '' mt.__index = function() while true do end end mt.__len = mt.__index "
          "mt.__name = 5 "
          "mt.__tostring = mt.__index mt.__eq = mt.__index mt.__concat = mt.__index mt.__call = mt.__index "
          "mt.__close = mt.__index return 1",
          "1");
    ls_fails(s, "error('as ever', 0)", PL_INTERNAL, "as ever");
    ls_fails(s, "error(errors.not_found 'gone')", PL_DEADLINE_EXCEEDED,
             ""); /* perilune.errors itself is Lua: it uses strings */
    ls_ok(s, "return { ctx.request_id, ctx.protocol }", "[\"id-1\",\"test\"]");
    ls_ok(s, "sleep(1) return 'x'", "\"x\"");
    ls_ok(s, "getmetatable('').__index = string getmetatable('').__tostring = nil return 1", "1");
    ls_ok(s,
          "for k in pairs(_G) do if k ~= '_G' and k ~= 'sleep' and k ~= 'errors' then _G[k] = nil end end "
          "return 1",
          "1");
    ls_ok(s, "sleep(0.5) return ctx.request_id", "\"id-1\"");
    ls_fails(s, "local x = nil + 1", PL_INTERNAL, "call.lua:1: attempt to perform arithmetic on a nil value");
    ls_fails(s, "_G = nil _ENV = nil x = 1", PL_INTERNAL, "attempt to index a nil value");
    ls_ok(s, "return 1", "1");
}

static void libraries_that_were_replaced(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "package.loaded['perilune.log'] = { mine = true } return ctx.log.mine", "true");
    ls_ok(s,
          "package.loaded['perilune.errors'] = nil local again = require 'perilune.errors' return again ~= "
          "errors",
          "true");
    /* The errors of the first one are still the ones that the engine knows. */
    ls_fails(s, "error(errors.not_found 'x')", PL_NOT_FOUND, "x");
    ls_ok(s, "package.loaded = nil package = nil return require 'perilune.errors' ~= nil", "true");
}

/* Marks and metatables that the engine relies on cannot be had, and so not be forged or broken. */
static void private_things_stay_private(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "return getmetatable(ctx)", "false");
    ls_fails(s, "setmetatable(ctx, {})", PL_INTERNAL, "cannot change a protected metatable");
    ls_ok(s, "local n = 0 for k, v in pairs(ctx) do n = n + 1 end return n", "0");
    ls_ok(s,
          "local _ = ctx.request_id for k, v in pairs(ctx) do if type(k) ~= 'string' or type(v) == "
          "'userdata' then return k end end return next(ctx)",
          "\"request_id\"");
    ls_ok(s, "local empty = require('perilune.json').decode '[]' return getmetatable(empty)", "false");
    ls_ok(s, "local db = require('perilune.sqlite').open ':memory:' return getmetatable(db)", "false");
    ls_ok(s,
          "kept = {} local co = coroutine.create(function() sleep(0.001) return 'end' end) "
          "local t = table.pack(coroutine.resume(co)) return { t.n, t[1], t[2] }",
          "[2,true,\"end\"]");
    ls_ok(s,
          "for _, module in pairs(package.loaded) do if type(module) == 'table' then for k, v in "
          "pairs(module) do "
          "if type(v) == 'userdata' and v ~= require('perilune').null then return k end end end end return "
          "'none'",
          "\"none\"");
}

/* An interceptor may keep what it finds in ctx; it must not find a pointer. */
static void a_kept_ctx_holds_no_pointer(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "kept = ctx copy = {} for k, v in next, ctx do copy[k] = v end return 1", "1");
    ls_ok(s, "for k, v in next, copy do kept[k] = v end return { kept.request_id, kept.headers }", "{}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_there_is_not),
        TEST(what_there_is),
        TEST(it_works_as_in_the_manual),
        TEST(collection_cannot_be_stopped),
        TEST(no_finalizers),
        TEST(text_chunks_only),
        TEST(tampering_stays_in_its_state),
        TEST(tampering_does_not_reach_the_engine),
        TEST(libraries_that_were_replaced),
        TEST(private_things_stay_private),
        TEST(a_kept_ctx_holds_no_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
