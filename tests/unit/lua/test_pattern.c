/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>

#include "bindings/lua/plua.h"
#include "lua/lua_fixture.h"
#include "perilune/engines.h"

/* Our string.find, match, gmatch and gsub beside those of the Lua library: for random patterns and subjects,
 * both give the same results or the same error. */

#define ROUNDS 40000

static uint64_t seed = 88172645463325252u;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

/* Pieces that patterns are made of, so that most are well-formed; a few bytes at random break some. */
static const char *const pieces[] = {
    "a",     "b",      "x",      "1",      " ",           "\n",     "-",    "]",    ".",     "%a",
    "%d",    "%s",     "%w",     "%p",     "%u",          "%l",     "%x",   "%c",   "%g",    "%A",
    "%D",    "%S",     "%W",     "%%",     "%.",          "%]",     "[ab]", "[^a]", "[a-c]", "[%w_]",
    "[^%s]", "[]]",    "[^]]",   "[a-]",   "[%a-z]",      "[+-x]",  "(",    ")",    "(",     ")",
    "()",    "(a)",    "(.)",    "(.-)",   "(%w+)",       "%1",     "%2",   "%0",   "%bxy",  "%b()",
    "%baa",  "%f[%w]", "%f[^a]", "%f[%z]", "$",           "^",      "*",    "+",    "-",     "?",
    "[",     "%",      "%b",     "%f",     "[a",          "[%",     "[^",   "%ba",  "[]",    "[^]",
    "z",     "%z",     "%Z",     "\xe9",   "[\x80-\xff]", "[a-%%]", "[%]]", "[z-a]"};

static size_t random_pattern(char *out)
{
    size_t len = 0;
    unsigned n = pick(7);
    if (pick(5) == 0)
        out[len++] = '^';
    for (unsigned i = 0; i < n; i++) {
        const char *piece = pieces[pick(sizeof(pieces) / sizeof(pieces[0]))];
        memcpy(out + len, piece, strlen(piece));
        len += strlen(piece);
        if (pick(3) == 0)
            out[len++] = "*+-?"[pick(4)];
    }
    if (pick(60) == 0)
        out[len++] = '\0';
    if (pick(8) == 0)
        out[len++] = '$';
    return len;
}

static size_t random_subject(char *out)
{
    static const char bytes[] = "aaabbbcxy1 2\n().-%]\0_Z\xe9";
    size_t len = pick(14);
    for (size_t i = 0; i < len; i++)
        out[i] = bytes[pick(sizeof(bytes) - 1)];
    return len;
}

/* stack: library; the rest is the arguments. Leaves the results above the library, as one string. */
static void call_and_show(lua_State *L, int library, const char *name, const char *text, size_t len,
                          const char *pattern, size_t pattern_len, int variant)
{
    int top = lua_gettop(L);
    lua_getfield(L, library, name);
    lua_pushlstring(L, text, len);
    lua_pushlstring(L, pattern, pattern_len);
    int args = 2;
    if (strcmp(name, "gsub") == 0) {
        static const char *const replacements[] = {"", "<%0>", "%1", "%2", "[%1%%]", "%", "%x", "r"};
        lua_pushstring(L, replacements[variant % 8]);
        args = 3;
        if (variant >= 8) {
            lua_pushinteger(L, variant % 3);
            args = 4;
        }
    } else if (variant % 3 != 0) {
        lua_pushinteger(L, variant - 7);
        args = 3;
    }
    int status = lua_pcall(L, args, LUA_MULTRET, 0);
    if (status == LUA_OK && strcmp(name, "gmatch") == 0) {
        /* stack: … iterator; collects what it gives */
        int iterator = lua_gettop(L);
        for (int i = 0; i < 40 && status == LUA_OK; i++) {
            lua_pushvalue(L, iterator);
            int before = lua_gettop(L) - 1;
            status = lua_pcall(L, 0, LUA_MULTRET, 0);
            if (status == LUA_OK && lua_gettop(L) == before)
                break;
            lua_pushliteral(L, ";");
            luaL_checkstack(L, 60, NULL);
        }
        lua_remove(L, iterator);
    }
    luaL_Buffer b;
    int last = lua_gettop(L);
    luaL_buffinit(L, &b);
    luaL_addstring(&b, status == LUA_OK ? "ok" : "error");
    for (int i = top + 1; i <= last; i++) {
        luaL_addchar(&b, '|');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
}

static void quote(const char *label, const char *s, size_t len)
{
    print_error("%s: \"", label);
    for (size_t i = 0; i < len; i++)
        print_error(s[i] >= ' ' && s[i] < 127 ? "%c" : "\\x%02x", (unsigned char)s[i]);
    print_error("\"\n");
}

static void same_as_stock(void **state)
{
    static const char *const names[] = {"find", "match", "gmatch", "gsub"};
    lua_State *L = *state;
    int top = lua_gettop(L), errors = 0, found = 0;
    luaopen_string(L);
    int stock = lua_gettop(L);
    luaopen_string(L);
    int ours = lua_gettop(L);
    plua_install_patterns(L);
    for (int i = 0; i < ROUNDS; i++) {
        char pattern[160], subject[32];
        size_t pattern_len = random_pattern(pattern), len = random_subject(subject);
        int variant = (int)pick(16);
        const char *name = names[i % 4];
        call_and_show(L, stock, name, subject, len, pattern, pattern_len, variant);
        call_and_show(L, ours, name, subject, len, pattern, pattern_len, variant);
        size_t a_len, b_len;
        const char *a = lua_tolstring(L, -2, &a_len), *b = lua_tolstring(L, -1, &b_len);
        if (a_len != b_len || memcmp(a, b, a_len) != 0) {
            quote("pattern", pattern, pattern_len);
            quote("subject", subject, len);
            fail_msg("%s, variant %d: stock %s, ours %s", name, variant, a, b);
        }
        errors += strncmp(a, "error", 5) == 0;
        found += strncmp(a, "ok|nil", 6) != 0;
        lua_pop(L, 2);
    }
    assert_in_range(errors, ROUNDS / 50, ROUNDS * 3 / 4); /* both kinds of outcome were met */
    assert_in_range(found, ROUNDS / 10, ROUNDS);
    lua_settop(L, top);
}

typedef struct watch_args {
    pl_state *state;
    atomic_bool stop;
} watch_args;

static void *watch(void *data)
{
    watch_args *args = data;
    while (!atomic_load(&args->stop)) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        pl_lua_engine()->watch(args->state, (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
        usleep(5000);
    }
    return NULL;
}

static fixture *f;

static void pathological(void **state)
{
    watch_args args = {.state = fixture_state(f)};
    pthread_t thread;
    pthread_create(&thread, NULL, watch, &args);
    fixture_fails(f,
                  "return (('a'):rep(40)):match('" /* exponential for any backtracking matcher */
                  "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?"
                  "(.-)(.-)(.-)(.-)(.-)(.-)(.-)b')",
                  "DEADLINE_EXCEEDED");
    fixture_fails(f, "local s = ('x'):rep(300000); return pcall(string.find, s, '.-.-.-b')",
                  "DEADLINE_EXCEEDED");
    fixture_fails(f, "local s = ('x'):rep(30000); return s:gsub('.*.*b', '')", "DEADLINE_EXCEEDED");
    atomic_store(&args.stop, true);
    pthread_join(thread, NULL);
}

/* Patterns that do not fit on the C stack, and subjects that need no stack at all. */
static void large(void **state)
{
    fixture_ok(f, "local p = ('a?'):rep(3000) .. ('[%w_]'):rep(500); assert(('b'):rep(500):match(p) == "
                  "('b'):rep(500))");
    fixture_ok(f, "assert(#('x'):rep(1000000):match('^(.-)$') == 1000000)");
    fixture_ok(f, "assert(('x'):rep(100000):find(('x'):rep(50000) .. 'y', 1, true) == nil)");
    fixture_ok(f, "local n = 0; for w in ('ab '):rep(1000):gmatch('(' .. ('%a'):rep(2) .. ')') do n = n + 1 "
                  "end; assert(n == 1000)");
    fixture_ok(f, "local s, n = ('ab'):rep(5000):gsub('a' .. ('x?'):rep(100), '%0%0'); assert(n == 5000 and "
                  "#s == 15000)");
    fixture_fails(f, "return ('x'):match(('('):rep(33))", "too many captures");
}

static void callbacks(void **state)
{
    fixture_ok(f, "assert(('hello world'):gsub('%w+', {hello = 'bye', world = false}) == 'bye world')");
    fixture_ok(f, "assert(('abc'):gsub('%w', function(c) if c == 'b' then return nil end return c:upper() "
                  "end) == 'AbC')");
    fixture_ok(f, "assert(('abc'):gsub('()', function(p) return p end) == '1a2b3c4')");
    fixture_ok(
        f, "assert(('x'):gsub('x', setmetatable({}, {__index = function(_, k) return k .. k end})) == 'xx')");
    fixture_ok(
        f,
        "local big = ('y'):rep(100000); assert(#('x x x'):gsub('x', function() return big end) == 300002)");
    fixture_ok(f, "local s = ('a'):rep(3000); assert(s:gsub('a', function(c) return (c:gsub('a', 'bb')) end) "
                  "== ('b'):rep(6000))");
    fixture_fails(f, "return ('x'):gsub('x', function() return {} end)",
                  "invalid replacement value (a table)");
    fixture_fails(f, "return ('x'):gsub('x', function() error 'inner' end)", "inner");
    fixture_fails(f, "return ('x'):gsub('x', true)", "string/function/table expected, got boolean");
    fixture_fails(
        f, "local time = require 'perilune.time'; return ('x'):gsub('x', function() time.sleep(0) end)",
        "cannot wait");
}

static int set_up(void **state)
{
    f = fixture_new(NULL);
    fixture_ok(f,
               "return 1"); /* from here on the engine knows what is a run, and that the comparison is none */
    *state = fixture_lua(f);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_stock), cmocka_unit_test(pathological),
                                       cmocka_unit_test(large), cmocka_unit_test(callbacks)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
