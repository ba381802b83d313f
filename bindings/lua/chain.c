/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* Interceptors: f1(ctx, next) calls f2(ctx, next) and so on through next; the last next suspends the call,
 * and the core runs what the chain wraps. And what takes a script's value for a sequence. */

#define MAX_CLASSES 10 /* tables in __index, one behind the other, in which a method is looked for */

static const char compose_code[] = "local enter, core, functions = ...\n"
                                   "local chain = core\n"
                                   "for i = #functions, 1, -1 do\n"
                                   "  local f, next = functions[i], chain\n"
                                   "  chain = function(ctx) return f(ctx, next) end\n"
                                   "end\n"
                                   "return function(ctx)\n"
                                   "  enter()\n"
                                   "  return chain(ctx)\n"
                                   "end";

static const char iterator_code[] = "return function(object, closes)\n"
                                    "  return function() return object:next() end,\n"
                                    "    closes and function() return object:close() end or nil\n"
                                    "end";

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

/* The running call is one of a chain. */
static int enter(lua_State *L)
{
    plua_state_of(L)->current->in_chain = true;
    return 0;
}

/* The innermost next(ctx). A script may have kept it, and call it from anywhere. */
static int core_next(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    plua_wait_check(L, "next");
    plua_call *call = st->current;
    if (!call->in_chain)
        return luaL_error(L, "next can be called by an interceptor only, while it runs");
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
    lua_pushcfunction(L, enter);
    lua_pushcfunction(L, core_next);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, functions[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_call(L, 3, 1);
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
    int top = lua_gettop(L), at = top + 1;
    bool found = false;
    lua_pushvalue(L, object);
    for (int i = 0; i < MAX_CLASSES && !found; i++) { /* stack: … at */
        if (lua_istable(L, at)) {
            lua_pushstring(L, name);
            found = lua_rawget(L, at) == LUA_TFUNCTION;
            lua_settop(L, at);
        }
        if (found || !lua_getmetatable(L, at))
            break;
        lua_pushliteral(L, "__index");
        lua_rawget(L, -2);
        lua_replace(L, at);
        lua_settop(L, at);
    }
    lua_settop(L, top);
    return found;
}

/* Pushes a function (object, closes): compiled once, as there may be very many subscriptions. */
static void push_iterator_maker(plua_state *st)
{
    lua_State *L = st->L;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, iterator_code) == LUA_TFUNCTION)
        return;
    lua_pop(L, 1);
    load(L, iterator_code, "=iterator");
    lua_call(L, 0, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, iterator_code);
}

/* Pushes functions that call the object's next and, if there is one, close (else nil). */
static void push_methods(lua_State *L, int object)
{
    push_iterator_maker(plua_state_of(L));
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
    if (!lua_checkstack(L, 16))
        plua_throw(L);
    if (!has_method(L, slot, "next"))
        return false;
    push_methods(L, slot);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        *close = luaL_ref(L, LUA_REGISTRYINDEX);
    plua_push_event_iterator(L, slot); /* without code in between, as there may be very many */
    *next = luaL_ref(L, LUA_REGISTRYINDEX);
    return true;
}

void plua_chain_init(pl_engine *engine)
{
    engine->chain = chain;
    engine->proceed = proceed;
    engine->open_iterator = open_iterator;
}
