/* SPDX-License-Identifier: MIT */
#include "bindings/lua/plua.h"

static void set_function(lua_State *L, const char *name, lua_CFunction f)
{
    if (!f)
        return;
    lua_pushcfunction(L, f);
    lua_setfield(L, -2, name);
}

/* It is registered last: what there is no memory for is made again the next time. */
void plua_push_type(lua_State *L, const plua_type *type)
{
    if (luaL_getmetatable(L, type->name) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, type->name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0); /* scripts cannot get hold of __gc */
    lua_setfield(L, -2, "__metatable");
    set_function(L, "__gc", type->gc);
    set_function(L, "__close", type->close);
    set_function(L, "__tostring", type->tostring);
    set_function(L, "__call", type->call);
    if (type->methods) {
        lua_newtable(L);
        luaL_setfuncs(L, type->methods, 0);
        if (type->index)
            lua_pushcclosure(L, type->index, 1);
        lua_setfield(L, -2, "__index");
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, type->name);
}
