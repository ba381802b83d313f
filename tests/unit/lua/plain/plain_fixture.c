/* SPDX-License-Identifier: MIT */
#include "lua/plain/plain_fixture.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

/* lua_fixture.h for a state that is an ordinary program's: what a test says of a module there, holds here. */

const bool fixture_in_server = false;

struct fixture {
    lua_State *L;
    char error[2048];
    char result[256];
};

static void *allocate(void *ud, void *ptr, size_t old_size, size_t size)
{
    if (size > 0)
        return pl_realloc(ptr, size);
    pl_free(ptr);
    return NULL;
}

int luaopen_perilune_core(lua_State *L);
int luaopen_perilune_json(lua_State *L);
int luaopen_perilune_log(lua_State *L);
int luaopen_perilune_time(lua_State *L);
int luaopen_perilune_crypto(lua_State *L);
int luaopen_perilune_proto_core(lua_State *L);
int luaopen_perilune_sqlite(lua_State *L);

lua_State *plain_state(void)
{
    static const luaL_Reg modules[] = {
        {"perilune.core", luaopen_perilune_core},     {"perilune.json", luaopen_perilune_json},
        {"perilune.log", luaopen_perilune_log},       {"perilune.time", luaopen_perilune_time},
        {"perilune.crypto", luaopen_perilune_crypto}, {"perilune.proto.core", luaopen_perilune_proto_core},
        {"perilune.sqlite", luaopen_perilune_sqlite}, {NULL, NULL}};
    lua_State *L = lua_newstate(allocate, NULL);
    assert_non_null(L);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushliteral(L, "lua/?.lua;lua/?/init.lua");
    lua_setfield(L, -2, "path");
    lua_getfield(L, -1, "preload");
    luaL_setfuncs(L, modules, 0);
    lua_settop(L, 0);
    return L;
}

pl_str test_protos(void);

static int tests_set(lua_State *L)
{
    pl_str set = test_protos();
    lua_pushlstring(L, set.ptr, set.len);
    return 1;
}

void plain_add_set(lua_State *L)
{
    lua_pushcfunction(L, tests_set);
    lua_setglobal(L, "tests_set");
}

fixture *fixture_new(const fixture_options *options)
{
    fixture *f = calloc(1, sizeof *f);
    f->L = plain_state();
    plain_add_set(f->L);
    if (options && options->protos)
        fixture_ok(f, "require 'perilune.proto'.add(tests_set(), 'tests.binpb')");
    return f;
}

void fixture_free(fixture *f)
{
    lua_close(f->L);
    free(f);
}

/* stack: … error → …; as the server's errors are written: a code first */
static void keep_error(fixture *f, int status)
{
    const char *code = lua_istable(f->L, -1)  ? ""
                       : status == LUA_ERRMEM ? "RESOURCE_EXHAUSTED: "
                                              : "INTERNAL: ";
    snprintf(f->error, sizeof f->error, "%s%s", code, luaL_tolstring(f->L, -1, NULL));
    lua_pop(f->L, 2);
}

static const char *call(fixture *f, const char *code, failing *a)
{
    lua_State *L = f->L;
    assert_int_equal(lua_gettop(L), 0);
    int status = luaL_loadbufferx(L, code, strlen(code), "@main.lua", "t");
    if (status == LUA_OK) {
        if (a)
            failing_begin(a);
        status = lua_pcall(L, 0, 1, 0);
        if (a)
            failing_end(a);
    }
    if (status != LUA_OK) {
        keep_error(f, status);
        return f->error;
    }
    const char *result = lua_tostring(L, -1);
    snprintf(f->result, sizeof f->result, "%s", result ? result : "");
    lua_pop(L, 1);
    return NULL;
}

const char *fixture_load(fixture *f, const char *code)
{
    return call(f, code, NULL);
}

const char *fixture_call(fixture *f, const char *code)
{
    return call(f, code, NULL);
}

const char *fixture_call_failing(fixture *f, const char *code, failing *a)
{
    return call(f, code, a);
}

const char *fixture_result(fixture *f)
{
    return f->result;
}

lua_State *fixture_lua(fixture *f)
{
    return f->L;
}

void fixture_ok_at(fixture *f, const char *code, const char *file, int line)
{
    const char *error = fixture_call(f, code);
    if (error) {
        print_error("%s:%d: %s\n", file, line, error);
        _fail(file, line);
    }
}

void fixture_fails_at(fixture *f, const char *code, const char *text, const char *file, int line)
{
    const char *error = fixture_call(f, code);
    if (!error || !strstr(error, text)) {
        print_error("%s:%d: expected \"%s\", got %s\n", file, line, text, error ? error : "no error");
        _fail(file, line);
    }
}
