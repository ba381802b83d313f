/* SPDX-License-Identifier: MIT */
#include "bindings/lua/plain/plain.h"

#include "base/alloc.h"

static const char state_mark = 's'; /* in the registry: the plua_state */

static pl_engine engine;

static void engine_init(void)
{
    engine.name = "plain lua";
    engine.protect = plua_protect;
    plua_cursor_init(&engine);
}

static const pl_engine *plain_engine(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, engine_init);
    return &engine;
}

plua_state *plua_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &state_mark);
    plua_state *st = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return st;
}

/* NULL, which is a logger that says nothing, when it cannot be made and when the state ends. */
pl_logger *plua_log(lua_State *L)
{
    plua_state *st = plua_of(L);
    if (!st->config.log && st->L)
        st->config.log = plua_plain_logger();
    return st->config.log;
}

const pl_work *plua_work(lua_State *L)
{
    return NULL;
}

/* Nothing watches these states: a host that wants to interrupt a script has its own hooks. */
void plua_check_interrupt(lua_State *L)
{
}

/* The Lua state ends: finalizers of scripts may still come, and find L cleared. */
static int state_gc(lua_State *L)
{
    plua_state *st = lua_touserdata(L, 1);
    st->L = NULL;
    st->config.protos = NULL;
    pl_logger_free(st->config.log);
    st->config.log = NULL;
    for (size_t i = 0; i < st->keys.count; i++)
        pl_free(st->keys.entries[i].value);
    pl_map_dispose(&st->keys);
    return 0;
}

/* The metatable by which errors are known: a ref. */
static int error_metatable(lua_State *L)
{
    static const char module[] = "perilune.errors";
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, module) != LUA_TTABLE) {
        lua_getglobal(L, "require");
        lua_pushstring(L, module);
        lua_call(L, 1, 1);
    }
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "metatable") != LUA_TTABLE)
        luaL_error(L, "the module %s that package.path leads to is not perilune's", module);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* stack: → userdata. What codecs work on is a stack of their own, as in the server. */
static plua_state *push_state(lua_State *L)
{
    plua_state *st = lua_newuserdatauv(L, sizeof *st, 1);
    memset(st, 0, sizeof *st);
    pl_map_init(&st->keys);
    st->head.engine = plain_engine();
    st->index = PL_REF_NONE;
    st->error_meta = st->protos = LUA_NOREF;
    plua_push_type(L, &(plua_type){.name = "perilune.state", .gc = state_gc});
    lua_setmetatable(L, -2);
    st->L = lua_newthread(L);
    lua_sethook(st->L, NULL, 0, 0);
    lua_setiuservalue(L, -2, 1);
    return st;
}

plua_state *plua_plain_open(lua_State *L)
{
    plua_state *st = plua_of(L);
    if (st)
        return st;
    int top = lua_gettop(L);
    luaL_checkversion(L);
    st = push_state(L);
    st->error_meta = error_metatable(L);
    st->list_meta = plua_new_list_mark(L);
    lua_pushvalue(L, top + 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_mark);
    lua_settop(L, top);
    return st;
}
