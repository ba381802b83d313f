/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* perilune.health: what clients hear of a service when they ask whether it is serving. "" is the server as a
 * whole. It is said for all workers, and stays until something else is said. */

static int say(lua_State *L, const char *function, int serving)
{
    pl_str service;
    pl_error err;
    pl_host *host = plua_host(L);
    pl_error_clear(&err);
    service.ptr = luaL_checklstring(L, 1, &service.len);
    if (!host)
        return luaL_error(L,
                          "%s: a generation that is being loaded may never serve: say it later, for "
                          "example in a timer",
                          function);
    if (host->ops->set_health && host->ops->set_health(host, service, serving, &err) != PL_OK)
        return plua_raise(L, err.code, "%s: %s", function, err.message);
    return 0;
}

/* set(service, "SERVING" or "NOT_SERVING") */
static int health_set(lua_State *L)
{
    const char *status = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    bool serving = strcmp(status, "SERVING") == 0;
    if (!serving && strcmp(status, "NOT_SERVING") != 0)
        return luaL_argerror(L, 2, "\"SERVING\" or \"NOT_SERVING\" is expected");
    return say(L, "health.set", serving);
}

/* clear(service): as if nothing had been said */
static int health_clear(lua_State *L)
{
    return say(L, "health.clear", -1);
}

int plua_open_health(lua_State *L)
{
    static const luaL_Reg functions[] = {{"set", health_set}, {"clear", health_clear}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
