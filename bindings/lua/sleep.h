/* SPDX-License-Identifier: MIT */
#ifndef PLUA_SLEEP_H
#define PLUA_SLEEP_H

#include "bindings/lua/plua.h"

/* time.sleep: in the server it waits (sleep.c), in another program's state it blocks (plain/sleep.c). [jumps]
 */
void plua_push_sleep(lua_State *L);

/* Its argument, checked. [jumps] */
static inline lua_Number plua_check_sleep(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 1, "not a number of seconds to sleep");
    return seconds;
}

#endif
