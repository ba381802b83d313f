/* SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lua/plain/plain_fixture.h"

/* What is different in a state that is not the server's: it has finalizers, and is closed while they run. */

static fixture *f;

#define ALL                                                                                   \
    "local json, proto, crypto = require 'perilune.json', require 'perilune.proto', require " \
    "'perilune.crypto' "                                                                      \
    "local errors, time, log = require 'perilune.errors', require 'perilune.time', require 'perilune.log' "

static void opened_by_require(void **state)
{
    fixture_ok(f, ALL "assert(json.null == require 'perilune'.null)");
    fixture_ok(f, ALL "package.loaded['perilune.json'] = nil local again = require 'perilune.json' "
                      "assert(again ~= json and again.null == json.null and again.encode {1} == '[1]') "
                      "assert(again.is_list(json.list()))");
    fixture_ok(f, ALL "local before = #proto.types() package.loaded['perilune.proto.core'] = nil "
                      "package.loaded['perilune.proto'] = nil "
                      "assert(#require 'perilune.proto'.types() == before)");
    fixture_fails(f, "require 'perilune.sqlite'",
                  "perilune.sqlite needs the server: it is there in an application");
}

/* Whatever table another library has put in its place. */
static void foreign_errors(void **state)
{
    fixture *other = fixture_new(NULL);
    fixture_fails(other,
                  "package.preload['perilune.errors'] = function() return 1 end require 'perilune.json'",
                  "perilune.errors that package.path leads to is not perilune's");
    fixture_ok(other, "package.preload['perilune.errors'] = nil package.loaded['perilune.errors'] = nil "
                      "assert(require 'perilune.json'.encode {1} == '[1]')");
    fixture_free(other);
}

static void errors_are_raised(void **state)
{
    fixture_fails(f, ALL "json.decode()",
                  "main.lua:1: bad argument #1 to 'decode' (string expected, got no value)");
    fixture_fails(f, ALL "json.encode({}, 1)", "bad argument #2 to 'encode' (table expected, got number)");
    fixture_fails(f, ALL "proto.encode('test.v1.User')", "bad argument #2 to 'encode' (value expected)");
    fixture_fails(f, ALL "proto.enum()", "bad argument #1 to 'enum' (string expected, got no value)");
    fixture_fails(f, ALL "json.decode '[1,'", "INVALID_ARGUMENT: Unexpected end of JSON at byte 3");
    fixture_ok(f, ALL
               "for i = 1, 3 do "
               "local ok, e = pcall(proto.encode, 'test.v1.User', {user_id = 1}) "
               "assert(not ok and errors.is(e, 'invalid_argument') and e.message:find 'user_id') "
               "ok, e = pcall(json.encode, {a = print}) "
               "assert(not ok and errors.is(e, 'invalid_argument') and e.message:find 'at .a', e.message) "
               "end assert(json.encode {1} == '[1]')");
    fixture_ok(f, ALL "local co = coroutine.create(function() local ok, e = pcall(json.decode, '{') "
                      "coroutine.yield(e) json.decode '[' end) "
                      "local _, first = coroutine.resume(co) local ok, second = coroutine.resume(co) "
                      "assert(errors.is(first) and not ok and errors.is(second))");
    fixture_ok(f, ALL "local e = errors.not_found('x', {details = {{['@type'] = 'google.rpc.ErrorInfo', "
                      "reason = 'R'}}}) assert(#e.packed == 1)");
}

/* --- sleep --- */

static void sleep_blocks(void **state)
{
    fixture_ok(f, ALL "local a = time.monotonic() time.sleep(0.02) assert(time.monotonic() - a >= 0.019)");
    fixture_ok(f, ALL
               "local n = 0 table.sort({1, 2, 3}, function(a, b) time.sleep(0) n = n + 1 return a < b end) "
               "assert(n > 0)");
    fixture_fails(f, ALL "time.sleep(-1)", "not a number of seconds");
    fixture_fails(f, ALL "time.sleep(0/0)", "not a number of seconds");
}

/* --- messages --- */

static void loading(void **state)
{
    fixture *fresh = fixture_new(NULL);
    fixture_ok(fresh, ALL "assert(#proto.types() == 0 and proto.timestamp(1.5).nanos == 500000000)");
    fixture_fails(fresh, ALL "proto.encode('test.v1.User', {})",
                  "there is no message \"test.v1.User\": no descriptor set has been loaded (proto.load)");
    fixture_fails(fresh, ALL "proto.load()", "bad argument #1 to 'load'");
    fixture_fails(fresh, ALL "proto.load 'no/such.binpb'",
                  "NOT_FOUND: proto.load: no/such.binpb: No such file");
    fixture_fails(fresh, ALL "proto.load '/'", "UNAVAILABLE: proto.load: /: Is a directory");
    fixture_fails(fresh, ALL "proto.load 'tests/unit/support/everything.proto'",
                  "everything.proto is no descriptor set: compile it first (protoc --include_imports");
    fixture_fails(fresh, ALL "proto.load 'Makefile'", "INVALID_ARGUMENT: Makefile: it is no descriptor set");
    fixture_fails(fresh, ALL "proto.add()", "bad argument #1 to 'add'");
    fixture_fails(fresh, ALL "proto.add('\\10\\1', 'torn')", "torn: it is no descriptor set");
    fixture_ok(fresh, ALL "assert(#proto.types() == 0)"); /* all or nothing */
    fixture_free(fresh);
}

static void adding(void **state)
{
    fixture *fresh = fixture_new(NULL);
    fixture_ok(fresh, ALL "proto.timestamp() proto.add(tests_set()) local n = #proto.types() assert(n > 5) "
                          "proto.add(tests_set(), 'again') assert(#proto.types() == n) "
                          "assert(proto.decode('test.v1.User', '\\x0a\\1u').user_id == 'u')");
    fixture_ok(fresh, ALL "local ok = pcall(proto.add, 'no set') assert(not ok) "
                          "assert(proto.encode('test.v1.User', {user_id = 'u'}) == '\\x0a\\1u')");
    /* test.proto in another form */
    fixture_fails(fresh, ALL "proto.add('\\10\\22\\10\\10test.proto\\18\\7test.v1\\34\\1x', 'other.binpb')",
                  "other.binpb");
    fixture_ok(fresh,
               ALL "local name = os.tmpname() local file = io.open(name, 'wb') file:write(tests_set()) "
                   "file:close() local n = #proto.types() proto.load(name, name) os.remove(name) "
                   "assert(#proto.types() == n)");
    fixture_free(fresh);
}

static void adding_without_memory(void **state)
{
    failing a = {.dense = 60, .step = 211};
    while (failing_next(&a)) {
        fixture *fresh = fixture_new(NULL);
        const char *error = fixture_call_failing(fresh, "require 'perilune.proto'.add(tests_set())", &a);
        if (error && !strstr(error, "memory") && !strstr(error, "RESOURCE_EXHAUSTED"))
            fail_msg("allocation %zu: %s", a.n, error);
        fixture_ok(fresh,
                   ALL "proto.add(tests_set()) assert(proto.encode('test.v1.User', {user_id = 'u'}) == "
                       "'\\x0a\\1u')");
        fixture_free(fresh);
    }
}

static void modules_without_memory(void **state)
{
    static const char *const names[] = {"json", "time", "crypto", "log", "errors", "proto"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        failing a = {.sticky = true, .dense = 150, .step = 53};
        while (failing_next(&a)) {
            char code[100];
            fixture *fresh = fixture_new(NULL);
            snprintf(code, sizeof code, "require 'perilune.%s'", names[i]);
            const char *error = fixture_call_failing(fresh, code, &a);
            if (error && !strstr(error, "memory") && !strstr(error, "RESOURCE_EXHAUSTED"))
                fail_msg("%s, allocation %zu: %s", names[i], a.n, error);
            fixture_ok(fresh, ALL "assert(json.encode {1} == '[1]' and proto.duration(1).seconds == 1)");
            fixture_free(fresh);
        }
    }
}

/* --- finalizers --- */

/* Garbage whose finalizers use the same modules, and leave garbage of their own kind; and a collector that
 * begins anew at once. `inside` counts how often they ran, by the function that was interrupted. */
#define GARBAGE                                                                                              \
    "inside, failed = {}, nil collectgarbage('incremental', 10, 1000, 4) "                                   \
    "local function leave(use, again) setmetatable({}, {__gc = function() "                                  \
    "  local info = debug.getinfo(2, 'f') if info then inside[info.func] = (inside[info.func] or 0) + 1 "    \
    "end "                                                                                                   \
    "  use() if again > 0 then leave(use, again - 1) end end}) end "                                         \
    "function litter(use) collectgarbage 'stop' for i = 1, 5 do leave(use, 6) end collectgarbage 'restart' " \
    "end "

static void finalizers_in_json(void **state)
{
    fixture_ok(f, ALL GARBAGE
               "local big = {} for i = 1, 200 do big['key' .. i] = {i, 'text ' .. i, {}} end "
               "local sorted = {sorted = true} local text = json.encode(big, sorted) "
               "local function use() local ok, e = pcall(function() "
               "  assert(json.encode({b = {1}, a = 'x'}, {sorted = true}) == '{\"a\":\"x\",\"b\":[1]}') "
               "  assert(json.decode('[[1],\"y\"]')[2] == 'y') assert(not pcall(json.decode, '[')) end) "
               "  if not ok then failed = e end end "
               "for i = 1, 40 do litter(use) local value = json.decode(text) "
               "  litter(use) assert(json.encode(value, sorted) == text) end "
               "assert(not failed, failed) "
               "assert((inside[json.decode] or 0) > 100, 'none inside of decode') "
               "assert((inside[json.encode] or 0) > 100, 'none inside of encode')");
}

/* They also load further messages: what is under way goes on with the old ones. */
static void finalizers_in_proto(void **state)
{
    fixture_ok(
        f, ALL GARBAGE
        "local user, loaded = {user_id = 'u', emails = {}}, 0 "
        "for i = 1, 100 do user.emails[i] = {address = 'a' .. i .. '@b'} end "
        "local bytes = proto.encode('test.v1.User', user) .. '\\xa0\\6\\1' "
        "local text = proto.to_json('test.v1.User', user) "
        "local function load_more() "
        "  loaded = loaded + 1 local name = ('more%03d.proto'):format(loaded) "
        "  proto.add('\\10\\15\\10\\13' .. name) end "
        "local function use() local ok, e = pcall(function() "
        "  local n = proto.decode('test.v1.User', '\\xa8\\6\\2' .. proto.encode('test.v1.User', {user_id = "
        "'x'})) "
        "  assert(n.user_id == 'x' and #n.emails == 0) "
        "  assert(not pcall(proto.decode, 'test.v1.User', '\\x0a\\9u')) "
        "  if loaded < 20 then load_more() end end) "
        "  if not ok then failed = e end end "
        "local mixed = '\\xa0\\6\\1' .. bytes:sub(1, -4) "
        "for i = 1, 40 do litter(use) "
        "  local user = proto.decode('test.v1.User', mixed) "
        "  assert(proto.encode('test.v1.User', user) == bytes) "
        "  litter(use) "
        "  assert(proto.to_json('test.v1.User', proto.from_json('test.v1.User', text)) == text) end "
        "local n = 0 for func, count in pairs(inside) do "
        "  if debug.getinfo(func, 'S').what == 'C' then n = n + count end end "
        "assert(n > 100, 'none inside') "
        "assert(not failed and loaded == 20, failed and failed.message or failed) "
        "collectgarbage('incremental', 200, 100, 13)");
}

/* A table that is changed while it is encoded or logged: an error perhaps, and nothing worse. */
static void finalizers_that_change_the_table(void **state)
{
    fixture_ok(f, ALL GARBAGE
               "local t local n, sorted = 0, {sorted = true} "
               "local function use() for i = 1, 50 do n = n + 1 t['new' .. n] = 1 end for i = 1, 300 do "
               "t['k' .. i .. ('x'):rep(50)] = i % 3 == 0 and {i} or nil end "
               "  t.more = {} end "
               "for round = 1, 12 do t = {} for i = 1, 300 do t['k' .. i .. ('x'):rep(50)] = {i} end "
               "  litter(use) pcall(json.encode, t, sorted) litter(use) pcall(json.encode, t) "
               "  litter(use) pcall(log.debug, 'x', t) "
               "  local m = {by_name = t} litter(use) pcall(proto.encode, 'test.v1.Maps', m) end "
               "collectgarbage('incremental', 200, 100, 13)");
}

static int report(lua_State *L)
{
    *(bool *)lua_touserdata(L, lua_upvalueindex(1)) = lua_toboolean(L, 1);
    return 0;
}

/* Objects that are older than the modules are finalized after them. */
static void used_while_closing(void **state)
{
    fixture *fresh = fixture_new(NULL);
    fixture_ok(fresh,
               "last = setmetatable({}, {__gc = function() "
               "  local text = json.encode(json.decode '{\"a\":[1]}', {pretty = true}) "
               "  assert(#text > 10 and not pcall(json.decode, '[') and not pcall(json.encode, print)) "
               "  local ok, e = pcall(proto.encode, 'test.v1.User', {}) "
               "  assert(not ok and e.message:find 'is being closed', e) "
               "  ok, e = pcall(proto.add, '') assert(not ok and e.message:find 'is being closed', e) "
               "  log.info 'not written' assert(crypto.uuid7() and time.rfc3339(0)) "
               "  report(closed) end}) ");
    fixture_ok(fresh, "json = require 'perilune.json' "
                      "later = setmetatable({}, {__gc = function() "
                      "  local ok, e = pcall(proto.encode, 'test.v1.User', {}) "
                      "  assert(not ok and e.message:find 'is being closed', e) closed = true end}) "
                      "proto, crypto = require 'perilune.proto', require 'perilune.crypto' "
                      "time, log = require 'perilune.time', require 'perilune.log' log.debug 'x' "
                      "proto.add(tests_set()) proto.encode('test.v1.User', {}) json.encode {1}");
    bool done = false;
    lua_State *L = fixture_lua(fresh);
    lua_pushlightuserdata(L, &done);
    lua_pushcclosure(L, report, 1);
    lua_setglobal(L, "report");
    fixture_free(fresh);
    assert_true(done);
}

static int open_all(void **state)
{
    f = fixture_new(NULL);
    fixture_ok(f, ALL "proto.add(tests_set())");
    return 0;
}

static int close_all(void **state)
{
    fixture_free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opened_by_require),
        cmocka_unit_test(foreign_errors),
        cmocka_unit_test(errors_are_raised),
        cmocka_unit_test(sleep_blocks),
        cmocka_unit_test(loading),
        cmocka_unit_test(adding),
        cmocka_unit_test(adding_without_memory),
        cmocka_unit_test(modules_without_memory),
        cmocka_unit_test(finalizers_in_json),
        cmocka_unit_test(finalizers_in_proto),
        cmocka_unit_test(finalizers_that_change_the_table),
        cmocka_unit_test(used_while_closing),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
