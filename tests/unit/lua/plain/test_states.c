/* SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lua/plain/plain_fixture.h"

/* Many states in one process, one after the other, side by side, and on several threads. */

static const char work[] =
    "local json, proto, crypto = require 'perilune.json', require 'perilune.proto', require "
    "'perilune.crypto' "
    "proto.add(tests_set()) for i = 1, 20 do "
    "assert(json.encode(json.decode '[1,{\"a\":null}]') == '[1,{\"a\":null}]') "
    "assert(proto.decode('test.v1.User', proto.encode('test.v1.User', {user_id = 'u'})).user_id == 'u') "
    "assert(#crypto.uuid4() == 36 and crypto.sha256 'abc':sub(1, 4) == 'ba78') "
    "assert(not pcall(json.decode, '[') and not pcall(proto.decode, 'test.v1.User', '\\8')) end";

static bool run_state(void)
{
    lua_State *L = plain_state();
    plain_add_set(L);
    bool ok = luaL_dostring(L, work) == LUA_OK;
    if (!ok)
        print_error("%s\n", luaL_tolstring(L, -1, NULL));
    lua_close(L);
    return ok;
}

static void many_states(void **state)
{
    lua_State *others[8];
    for (size_t i = 0; i < 8; i++)
        others[i] = plain_state();
    for (int i = 0; i < 50; i++)
        assert_true(run_state());
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(luaL_dostring(others[i], "return require 'perilune.json'.encode {1}"), LUA_OK);
        assert_string_equal(lua_tostring(others[i], -1), "[1]");
    }
    for (size_t i = 0; i < 8; i++)
        lua_close(others[i]);
}

static void *run_states(void *data)
{
    int *failed = data;
    for (int i = 0; i < 10; i++)
        *failed += !run_state();
    return NULL;
}

static void states_of_threads(void **state)
{
    pthread_t threads[4];
    int failed[4] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_states, &failed[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failed[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_states), cmocka_unit_test(states_of_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
