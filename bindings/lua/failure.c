/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "bindings/lua/internal.h"
#include "value/engine.h"

/* What a Lua error is to the core: an error of perilune.errors is expected, and meant for the client;
 * anything else is a fault of the script, for the log. */

#define MAX_DETAIL_DEPTH 8

static pl_str copy(pl_arena *arena, lua_State *L, int index)
{
    size_t len;
    const char *s = lua_tolstring(L, index, &len);
    return s ? pl_arena_str(arena, (pl_str){s, len}) : PL_STR("");
}

pl_code plua_code_named(pl_str name)
{
    for (int code = PL_CANCELLED; code <= PL_UNAUTHENTICATED; code++) {
        if (pl_str_is(name, pl_code_name((pl_code)code)))
            return (pl_code)code;
    }
    return PL_UNKNOWN;
}

/* The field of the table at the top of the value stack, as a value. */
static void read_field(plua_state *st, const char *name, pl_arena *arena, pl_value *out)
{
    lua_State *L = st->L;
    out->kind = PL_KIND_ABSENT;
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
        pl_error err;
        if (pl_read_value((pl_state *)st, lua_gettop(L), MAX_DETAIL_DEPTH, arena, out, &err) != PL_OK)
            out->kind = PL_KIND_ABSENT;
    }
    lua_pop(L, 1);
}

/* stack: error table */
static void describe_expected(plua_state *st, pl_arena *arena, pl_failure *failure)
{
    lua_State *L = st->L;
    failure->expected = true;
    lua_pushliteral(L, "code");
    lua_rawget(L, -2);
    failure->code =
        lua_type(L, -1) == LUA_TSTRING ? plua_code_named(pl_str_of(lua_tostring(L, -1))) : PL_UNKNOWN;
    lua_pop(L, 1);
    lua_pushliteral(L, "message");
    lua_rawget(L, -2);
    failure->message = copy(arena, L, -1);
    lua_pop(L, 1);
    read_field(st, "details", arena, &failure->details);
    read_field(st, "packed", arena, &failure->packed);
    read_field(st, "extensions", arena, &failure->extensions);
}

/* A failed assertion of perilune.test has a message for people. stack: table */
static bool describe_assertion(plua_state *st, pl_arena *arena, pl_failure *failure)
{
    lua_State *L = st->L;
    int top = lua_gettop(L);
    bool is = luaL_getmetafield(L, -1, "__name") == LUA_TSTRING &&
              strcmp(lua_tostring(L, -1), "perilune.test.failure") == 0;
    lua_settop(L, top);
    if (is) {
        lua_pushliteral(L, "message");
        lua_rawget(L, top);
        failure->message = copy(arena, L, -1);
        lua_settop(L, top);
    }
    return is;
}

/* An error of the host program has a message, and its own traceback. stack: table */
static bool describe_native(plua_state *st, pl_arena *arena, pl_failure *failure)
{
    const char *message, *traceback;
    if (!plua_native_fault(st->L, -1, &message, &traceback))
        return false;
    failure->message = pl_arena_str(arena, pl_str_of(message));
    if (traceback)
        failure->traceback = pl_arena_str(arena, pl_str_of(traceback));
    return true;
}

/* A table that is no perilune error: its JSON form says most. stack: table */
static void describe_table(plua_state *st, pl_arena *arena, pl_failure *failure)
{
    lua_State *L = st->L;
    pl_buf text;
    pl_error err;
    if (describe_assertion(st, arena, failure) || describe_native(st, arena, failure))
        return;
    pl_buf_init(&text);
    PL_BUF_LIT(&text, "the script threw a table: ");
    if (pl_write_json((pl_state *)st, lua_gettop(L), MAX_DETAIL_DEPTH, &text, &err) == PL_OK && !text.failed)
        failure->message = pl_arena_str(arena, pl_buf_view(&text));
    else
        failure->message = PL_STR("the script threw a table");
    pl_buf_dispose(&text);
}

bool plua_is_error(lua_State *L, int index)
{
    const plua_state *st = plua_state_of(L);
    if (st->error_meta == LUA_NOREF || !lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->error_meta);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

bool plua_read_error(pl_state *state, pl_slot slot, pl_arena *arena, pl_failure *failure)
{
    plua_state *st = plua_cast(state);
    if (!plua_is_error(st->L, slot))
        return false;
    *failure = (pl_failure){0};
    lua_pushvalue(st->L, slot);
    describe_expected(st, arena, failure);
    lua_pop(st->L, 1);
    return true;
}

/* stack: … error */
static void describe_fault(plua_state *st, int status, pl_arena *arena, pl_failure *failure)
{
    lua_State *L = st->L;
    int type = lua_type(L, -1);
    if (st->interrupted) {
        failure->code = st->interrupted;
        failure->message = pl_arena_str(arena, pl_str_of(st->interruption));
    } else if (status == LUA_ERRMEM) {
        failure->code = PL_RESOURCE_EXHAUSTED;
        failure->message = PL_STR("the script ran out of memory");
    } else if (type == LUA_TTABLE) {
        describe_table(st, arena, failure);
    } else if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        failure->message = copy(arena, L, -1);
    } else {
        lua_pushfstring(L, "the script threw a %s value", luaL_typename(L, -1));
        failure->message = copy(arena, L, -1);
    }
}

typedef struct described {
    plua_state *st;
    lua_State *from;
    int status;
    pl_arena *arena;
    pl_failure *failure;
} described;

static void describe(void *data)
{
    described *d = data;
    lua_State *L = d->st->L;
    if (d->status == LUA_YIELD)
        lua_pushnil(L); /* interrupted where it is */
    else {
        lua_pushvalue(d->from, -1);
        lua_xmove(d->from, L, 1);
    }
    if (!d->st->interrupted && plua_is_error(L, -1)) {
        describe_expected(d->st, d->arena, d->failure);
        return;
    }
    describe_fault(d->st, d->status, d->arena, d->failure);
    if (d->failure->traceback.len > 0)
        lua_pushlstring(L, d->failure->traceback.ptr, d->failure->traceback.len);
    luaL_traceback(L, d->from, d->failure->traceback.len > 0 ? lua_tostring(L, -1) : NULL, 0);
    d->failure->traceback = copy(d->arena, L, -1);
}

void plua_describe(plua_state *st, lua_State *from, int status, pl_arena *arena, pl_failure *failure)
{
    described d = {st, from, status, arena, failure};
    pl_error err;
    *failure = (pl_failure){.code = PL_INTERNAL};
    if (plua_protect((pl_state *)st, describe, &d, &err) && failure->message.ptr)
        return;
    *failure =
        (pl_failure){.code = st->interrupted ? st->interrupted : PL_RESOURCE_EXHAUSTED,
                     .message = PL_STR("memory is exhausted: there is no room for the error's description")};
}
