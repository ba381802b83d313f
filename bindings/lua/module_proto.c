/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "bindings/lua/internal.h"
#include "proto/codec.h"

/* perilune.proto.core: the codec for scripts. The codec works on the main thread's stack, which is another
 * one than the caller's, below pl_protect; what goes in and what comes out passes through the registry. A
 * codec is busy while it works: a finalizer that runs meanwhile (scripts have none in the server) gets
 * another one. */

#define KEEP_BYTES 65536

typedef struct proto_state { /* its user value is what the pool lives as long as, if anything */
    pb_codec *codec;
    const pb_pool *pool;
    pl_buf out;
    bool busy, closed;
} proto_state;

typedef struct task {
    plua_state *st;
    proto_state *proto;
    const pb_message *type;
    pb_json_options options;
    pl_code (*work)(struct task *t, pl_slot value);
    bool pushes; /* the result is a value on the stack; else it is in proto->out */
    pl_code code;
    pl_error err;
} task;

static void prepare(task *t, pl_code (*work)(task *t, pl_slot value), bool pushes)
{
    t->options = (pb_json_options){0};
    t->work = work;
    t->pushes = pushes;
    pl_error_clear(&t->err);
}

static const char passing = 'p'; /* in the registry: what passes from one stack to the other */

static int state_gc(lua_State *L)
{
    proto_state *p = lua_touserdata(L, 1);
    pb_codec_free(p->codec);
    p->codec = NULL;
    pl_buf_dispose(&p->out);
    p->closed = true;
    return 0;
}

static proto_state *push_state(lua_State *L, const plua_state *st)
{
    proto_state *p = lua_newuserdatauv(L, sizeof(*p), 1);
    *p = (proto_state){.pool = st->config.protos};
    pl_buf_init(&p->out);
    plua_push_type(L, &(plua_type){.name = "perilune.proto.state", .gc = state_gc});
    lua_setmetatable(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->protos);
    lua_setiuservalue(L, -2, 1);
    return p;
}

/* Pushes the state, which is to be held while it is used. The functions' upvalue is a table with it. */
static proto_state *take(lua_State *L)
{
    plua_state *st = plua_of(L);
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    proto_state *p = lua_touserdata(L, -1);
    if (p->closed || !st->L)
        plua_raise(L, PL_FAILED_PRECONDITION, "perilune.proto: the Lua state is being closed");
    if (!st->config.protos)
        plua_raise(L, PL_FAILED_PRECONDITION, "there are no messages: the bundle has no .proto files");
    if (p->busy || p->pool != st->config.protos) {
        lua_pop(L, 1);
        p = push_state(L, st);
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(1), 1);
    }
    if (!p->codec)
        p->codec = pb_codec_new(p->pool, (pl_state *)st);
    if (!p->codec)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "perilune.proto: out of memory");
    return p;
}

/* Nobody has given it messages of their own. */
static bool is_bare(const pb_message *const *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!messages[i]->file->built_in)
            return false;
    }
    return true;
}

static int no_such(lua_State *L, const pb_pool *pool, pl_str name)
{
    char text[512];
    size_t count;
    pl_suggestions s;
    pl_arena arena;
    const pb_message *const *messages = pb_pool_messages(pool, &count);
    if (is_bare(messages, count))
        return plua_raise(L, PL_INVALID_ARGUMENT,
                          "there is no message \"%.*s\": no descriptor set has been loaded (proto.load)",
                          PL_STR_ARG(name));
    pl_suggest_init(&s, name);
    for (size_t i = 0; i < count; i++)
        pl_suggest_add(&s, messages[i]->full_name);
    pl_arena_init(&arena, 0);
    pl_str hint = pl_suggest_text(&s, &arena, NULL);
    size_t len = hint.len < sizeof text ? hint.len : sizeof text - 1;
    memcpy(text, hint.ptr ? hint.ptr : "", len);
    text[len] = '\0';
    pl_arena_dispose(&arena);
    return plua_raise(L, PL_INVALID_ARGUMENT, "there is no message \"%.*s\"%s%s", PL_STR_ARG(name),
                      len ? "." : "", text);
}

static const pb_message *check_type(lua_State *L, const proto_state *p)
{
    pl_str name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    const pb_message *type = pb_pool_message(p->pool, name);
    if (!type)
        no_such(L, p->pool, name);
    return type;
}

static bool option(lua_State *L, const char *name)
{
    if (lua_isnoneornil(L, 3))
        return false;
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_getfield(L, 3, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static void run(void *data)
{
    task *t = data;
    lua_State *L = t->st->L;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &passing);
    t->code = t->work(t, lua_gettop(L));
    if (!t->code && t->pushes)
        lua_rawsetp(L, LUA_REGISTRYINDEX, &passing);
}

/* stack: type, value, options? */
static int perform(lua_State *L, task *t)
{
    luaL_checkany(L, 2);
    t->st = plua_of(L);
    t->proto = take(L);
    t->type = check_type(L, t->proto);
    t->proto->busy = true;
    pl_buf_reset(&t->proto->out, KEEP_BYTES);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &passing);
    if (!plua_protect((pl_state *)t->st, run, t, &t->err))
        t->code = t->err.code;
    t->proto->busy = false;
    if (t->pushes && !t->code)
        lua_rawgetp(L, LUA_REGISTRYINDEX, &passing);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &passing);
    if (t->code)
        return plua_raise(L, t->code, "%s", t->err.message);
    if (!t->pushes)
        lua_pushlstring(L, t->proto->out.data ? t->proto->out.data : "", t->proto->out.len);
    return 1;
}

static pl_str input(const task *t, pl_slot value)
{
    pl_str s;
    s.ptr = lua_tolstring(t->st->L, value, &s.len);
    return s;
}

static pl_code encode(task *t, pl_slot value)
{
    return pb_encode(t->proto->codec, t->type, value, &t->proto->out, &t->err);
}

static pl_code decode(task *t, pl_slot value)
{
    return pb_decode(t->proto->codec, t->type, input(t, value), &t->err);
}

static pl_code to_json(task *t, pl_slot value)
{
    return pb_json_write(t->proto->codec, t->type, value, &t->options, &t->proto->out, &t->err);
}

static pl_code from_json(task *t, pl_slot value)
{
    return pb_json_read(t->proto->codec, t->type, input(t, value), &t->options, &t->err);
}

static pl_code push_defaults(task *t, pl_slot value)
{
    return pb_push_defaults(t->proto->codec, t->type, &t->err);
}

static int proto_encode(lua_State *L)
{
    task t;
    prepare(&t, encode, false);
    return perform(L, &t);
}

static int proto_decode(lua_State *L)
{
    task t;
    prepare(&t, decode, true);
    luaL_checktype(L, 2, LUA_TSTRING);
    return perform(L, &t);
}

static int proto_to_json(lua_State *L)
{
    task t;
    prepare(&t, to_json, false);
    t.options.defaults = option(L, "defaults");
    t.options.proto_names = option(L, "proto_names");
    t.options.enum_numbers = option(L, "enum_numbers");
    return perform(L, &t);
}

static int proto_from_json(lua_State *L)
{
    task t;
    prepare(&t, from_json, true);
    luaL_checktype(L, 2, LUA_TSTRING);
    t.options.ignore_unknown = option(L, "ignore_unknown");
    return perform(L, &t);
}

static int proto_defaults(lua_State *L)
{
    task t;
    prepare(&t, push_defaults, true);
    lua_settop(L, 1);
    lua_pushnil(L);
    return perform(L, &t);
}

static void push_text(lua_State *L, pl_str s)
{
    lua_pushlstring(L, s.ptr, s.len);
}

/* The names of all messages that somebody may want: without those of maps' entries, and what is built in. */
static int proto_types(lua_State *L)
{
    size_t count;
    const pb_message *const *messages = pb_pool_messages(take(L)->pool, &count);
    lua_newtable(L);
    plua_mark_list(L, -1);
    lua_Integer n = 0;
    for (size_t i = 0; i < count; i++) {
        if (messages[i]->map_entry || messages[i]->file->built_in)
            continue;
        push_text(L, messages[i]->full_name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int proto_enum(lua_State *L)
{
    pl_str name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    const pb_enum *e = pb_pool_enum(take(L)->pool, name);
    if (!e)
        return plua_raise(L, PL_INVALID_ARGUMENT, "there is no enum \"%s\"", name.ptr);
    lua_createtable(L, 0, e->count < 65536 ? (int)e->count : 65536);
    for (size_t i = 0; i < e->count; i++) {
        push_text(L, e->values[i].name);
        lua_pushinteger(L, e->values[i].number);
        lua_rawset(L, -3);
    }
    return 1;
}

int plua_open_proto(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", proto_encode},     {"decode", proto_decode},
                                         {"to_json", proto_to_json},   {"from_json", proto_from_json},
                                         {"defaults", proto_defaults}, {"types", proto_types},
                                         {"enum", proto_enum},         {NULL, NULL}};
    luaL_newlibtable(L, functions);
    lua_createtable(L, 1, 0);
    push_state(L, plua_of(L));
    lua_rawseti(L, -2, 1);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
