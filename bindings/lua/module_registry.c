/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"
#include "events/registry/wire.h"
#include "value/json_schemas.h"
#include "value/schemas.h"

/* The C half of perilune.registry: what a schema registry knows of values that are written and read. Answers
 * are kept by the Lua half; who asks is a userdata, which the host knows until there is an answer. */

#define ASKER_TYPE "perilune.registry.asker"

typedef struct asker {
    pl_schema_asker base; /* first */
    plua_wait wait;
    bool over;
    pl_code code;
    const char *type;
    pl_buf out; /* the header, or the name; or why not */
} asker;

static void on_done(pl_schema_asker *base, const pl_schema_found *found)
{
    asker *a = (asker *)base;
    a->over = true;
    a->code = found->code;
    a->type = found->type;
    pl_buf_str(&a->out, found->code         ? pl_str_of(found->why)
                        : found->header.ptr ? found->header
                                            : found->name);
    if (a->wait.call)
        plua_wait_finish(&a->wait);
}

static void on_cancelled(plua_wait *wait)
{
    pl_schema_asker_forget(&((asker *)wait->data)->base);
}

static int asker_gc(lua_State *L)
{
    asker *a = lua_touserdata(L, 1);
    pl_schema_asker_forget(&a->base);
    pl_buf_dispose(&a->out);
    return 0;
}

/* --- core.header(topic, message, schema); core.writer(id, path) → type, name --- */
static int answer(lua_State *L, int status, lua_KContext ctx)
{
    const asker *a = lua_touserdata(L, 1);
    if (a->code)
        return plua_raise(L, a->code, "%.*s", (int)a->out.len, a->out.data ? a->out.data : "");
    if (a->out.failed)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    if (a->type)
        lua_pushstring(L, a->type);
    lua_pushlstring(L, a->out.data ? a->out.data : "", a->out.len);
    return a->type ? 2 : 1;
}

/* want's strings are on the stack. */
static int ask(lua_State *L, const pl_schema_want *want, const char *what)
{
    pl_host *host = plua_host(L);
    pl_error err;
    pl_error_clear(&err);
    if (!host || !host->ops->ask_schema)
        return plua_raise(L, PL_FAILED_PRECONDITION,
                          "%s: a schema registry can be asked only where there is a server", what);
    plua_wait_check(L, what);
    asker *a = lua_newuserdatauv(L, sizeof *a, 0);
    *a = (asker){.base.done = on_done};
    pl_buf_init(&a->out);
    luaL_setmetatable(L, ASKER_TYPE);
    if (host->ops->ask_schema(host, want, &a->base, &err) != PL_OK)
        return plua_raise(L, err.code, "%s", err.message);
    lua_replace(L, 1);
    lua_settop(L, 1);
    if (a->over)
        return answer(L, LUA_OK, 0);
    plua_wait_begin(L, what, &a->wait, on_cancelled);
    a->wait.data = a;
    return plua_wait_yield(L, 0, answer);
}

static pl_str opt_str(lua_State *L, int arg)
{
    pl_str s = PL_STR_NONE;
    if (!lua_isnoneornil(L, arg))
        s.ptr = luaL_checklstring(L, arg, &s.len);
    return s;
}

static int registry_header(lua_State *L)
{
    pl_schema_want want = {.message = opt_str(L, 2), .schema = opt_str(L, 3)};
    want.topic.ptr = luaL_checklstring(L, 1, &want.topic.len);
    return ask(L, &want, "registry.encode");
}

static int registry_writer(lua_State *L)
{
    pl_schema_path path = {.count = 0};
    pl_error err;
    pl_str bytes = opt_str(L, 2);
    pl_schema_want want = {.id = (int32_t)luaL_checkinteger(L, 1)};
    pl_error_clear(&err);
    if (bytes.ptr && pl_schema_read_path(&bytes, &path, &err) != PL_OK)
        return plua_raise(L, err.code, "%s", err.message);
    want.path = path.at;
    want.depth = path.count;
    return ask(L, &want, "registry.decode");
}

/* core.split(bytes) → id, what stands behind it */
static int registry_split(lua_State *L)
{
    pl_str bytes;
    pl_error err;
    int32_t id = 0;
    pl_error_clear(&err);
    bytes.ptr = luaL_checklstring(L, 1, &bytes.len);
    if (pl_schema_read_id(&bytes, &id, &err) != PL_OK)
        return plua_raise(L, err.code, "%s", err.message);
    lua_pushinteger(L, id);
    lua_pushlstring(L, bytes.ptr, bytes.len);
    return 2;
}

/* core.path(bytes) → its bytes, what stands behind it */
static int registry_path(lua_State *L)
{
    pl_str bytes;
    pl_error err;
    pl_schema_path path;
    pl_error_clear(&err);
    bytes.ptr = luaL_checklstring(L, 1, &bytes.len);
    const char *begin = bytes.ptr;
    if (pl_schema_read_path(&bytes, &path, &err) != PL_OK)
        return plua_raise(L, err.code, "%s", err.message);
    lua_pushlstring(L, begin, (size_t)(bytes.ptr - begin));
    lua_pushlstring(L, bytes.ptr, bytes.len);
    return 2;
}

static void set_string(lua_State *L, const char *name, pl_str value)
{
    if (!value.ptr)
        return;
    lua_pushlstring(L, value.ptr, value.len);
    lua_setfield(L, -2, name);
}

/* core.topic(name): what app.lua says of it, or nil */
static int registry_topic(lua_State *L)
{
    pl_host *host = plua_host(L);
    pl_str name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    const pl_topic_defaults *t =
        host && host->ops->topic_defaults ? host->ops->topic_defaults(host, name) : NULL;
    if (!t) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 4);
    set_string(L, "format", t->format);
    set_string(L, "message", t->message);
    set_string(L, "schema", t->schema);
    lua_pushboolean(L, t->registry);
    lua_setfield(L, -2, "registry");
    return 1;
}

/* core.validate(path, text, topic): raises what is wrong */
static int registry_validate(lua_State *L)
{
    pl_str path, text;
    pl_error err;
    pl_error_clear(&err);
    path.ptr = luaL_checklstring(L, 1, &path.len);
    text.ptr = luaL_checklstring(L, 2, &text.len);
    if (pl_json_schemas_check(plua_config(L)->schemas, path, text, &err) != PL_OK)
        return plua_raise(L, err.code, "%s (%s): %s", luaL_optstring(L, 3, "value"), path.ptr, err.message);
    return 0;
}

/* core.has_schema(path) */
static int registry_has_schema(lua_State *L)
{
    pl_str path;
    path.ptr = luaL_checklstring(L, 1, &path.len);
    lua_pushboolean(L, pl_json_schemas_has(plua_config(L)->schemas, path));
    return 1;
}

int plua_open_registry(lua_State *L)
{
    static const luaL_Reg functions[] = {{"header", registry_header},         {"writer", registry_writer},
                                         {"split", registry_split},           {"path", registry_path},
                                         {"topic", registry_topic},           {"validate", registry_validate},
                                         {"has_schema", registry_has_schema}, {NULL, NULL}};
    static const plua_type type = {.name = ASKER_TYPE, .gc = asker_gc};
    plua_push_type(L, &type);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
