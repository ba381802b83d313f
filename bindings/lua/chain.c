/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* Interceptors: f1(ctx, next) calls f2(ctx, next) and so on through next; the last next suspends the call,
 * and the core runs what the chain wraps. And what takes a script's value for a sequence. */

static const char compose_code[] = "local core, functions = ...\n"
                                   "local chain = core\n"
                                   "for i = #functions, 1, -1 do\n"
                                   "  local f, next = functions[i], chain\n"
                                   "  chain = function(ctx) return f(ctx, next) end\n"
                                   "end\n"
                                   "return chain";

static const char iterator_code[] = "local object, closes = ...\n"
                                    "return function() return object:next() end,\n"
                                    "  closes and function() return object:close() end or nil";

static void next_cancelled(plua_wait *wait)
{
    (void)wait; /* the core cancels what it has started by itself */
}

static int next_finished(lua_State *L, int status, lua_KContext ctx)
{
    plua_call *call = plua_state_of(L)->current;
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->next_value);
    luaL_unref(L, LUA_REGISTRYINDEX, call->next_value);
    call->next_value = LUA_NOREF;
    return call->next_failed ? lua_error(L) : 1;
}

/* The innermost next(ctx). */
static int core_next(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    plua_wait_check(L, "next");
    plua_call *call = st->current;
    if (call->asked_next)
        return luaL_error(L, "next can be called once only: what it runs has run already");
    plua_wait_begin(L, "next", &call->wrapped, next_cancelled);
    call->asked_next = true;
    call->call.wants_next = true;
    return plua_wait_yield(L, 0, next_finished);
}

static void load(lua_State *L, const char *code, const char *name)
{
    if (luaL_loadbufferx(L, code, strlen(code), name, "t") != LUA_OK)
        lua_error(L);
}

static pl_ref chain(pl_state *state, const pl_ref *functions, size_t count)
{
    lua_State *L = plua_cast(state)->L;
    load(L, compose_code, "=interceptors");
    lua_pushcfunction(L, core_next);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, functions[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_call(L, 2, 1);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Keeps what next is to return or raise. */
static void keep_outcome(plua_state *st, plua_call *call, pl_call_status status, const pl_failure *failure)
{
    lua_State *L = st->L;
    if (status != PL_CALL_DONE)
        plua_push_failure(L, failure->code, failure->message);
    call->next_failed = status != PL_CALL_DONE;
    call->next_value = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void proceed(pl_state *state, pl_call *pending, pl_call_status status, const pl_failure *failure)
{
    plua_call *call = (plua_call *)pending;
    keep_outcome(plua_cast(state), call, status, failure);
    call->call.wants_next = false;
    plua_wait_finish(&call->wrapped);
}

/* Whether object has a function of that name: itself, or through tables in __index. No metamethod is called,
 * as no limits apply here. */
static bool has_method(lua_State *L, int object, const char *name)
{
    int top = lua_gettop(L);
    bool found = false;
    lua_pushvalue(L, object);
    for (int i = 0; i < 10 && !found; i++) {
        if (lua_istable(L, -1)) {
            lua_pushstring(L, name);
            found = lua_rawget(L, -2) == LUA_TFUNCTION;
            lua_pop(L, 1);
        }
        if (found || !lua_getmetatable(L, -1))
            break;
        lua_pushliteral(L, "__index");
        lua_rawget(L, -2);
    }
    lua_settop(L, top);
    return found;
}

/* Pushes functions that call the object's next and, if there is one, close (else nil). */
static void push_methods(lua_State *L, int object)
{
    load(L, iterator_code, "=iterator");
    lua_pushvalue(L, object);
    lua_pushboolean(L, has_method(L, object, "close"));
    lua_call(L, 2, 2);
}

static bool open_iterator(pl_state *state, pl_slot slot, pl_ref *next, pl_ref *close)
{
    lua_State *L = plua_cast(state)->L;
    *next = *close = PL_REF_NONE;
    if (lua_isfunction(L, slot)) {
        lua_pushvalue(L, slot);
        *next = luaL_ref(L, LUA_REGISTRYINDEX);
        return true;
    }
    if (!lua_checkstack(L, 16) || !has_method(L, slot, "next"))
        return false;
    push_methods(L, slot);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        *close = luaL_ref(L, LUA_REGISTRYINDEX);
    *next = luaL_ref(L, LUA_REGISTRYINDEX);
    return true;
}

void plua_chain_init(pl_engine *engine)
{
    engine->chain = chain;
    engine->proceed = proceed;
    engine->open_iterator = open_iterator;
}
