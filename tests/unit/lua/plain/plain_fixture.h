/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PLAIN_FIXTURE_H
#define TESTS_PLAIN_FIXTURE_H

#include "lua/lua_fixture.h"

/* A state as lua5.4 makes them, where `require` finds the modules. To be closed with lua_close. */
lua_State *plain_state(void);
/* Gives it a function tests_set: the descriptor set of the tests' messages. */
void plain_add_set(lua_State *L);

#endif
