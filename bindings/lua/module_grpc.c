/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "base/suggest.h"
#include "bindings/lua/internal.h"
#include "bindings/lua/waiters.h"
#include "grpc/policy/service_config.h"
#include "proto/codec.h"
#include "value/remote.h"

/* perilune.grpc.core: calls of remote procedures. The Lua half knows what users write; this starts calls,
 * encodes and decodes their messages, and waits. The codec works on the main thread's stack, in a protected
 * section of its own. */

#define CHANNEL "perilune.grpc.channel"
#define CALL "perilune.grpc.call"
#define MAX_OPTIONS_DEPTH 32
#define MOST_METADATA 100
#define KEEP_BYTES 65536

typedef struct codec_state {
    pb_codec *codec;
    pl_buf out;
} codec_state;

typedef struct channel {
    pl_remote *remote; /* NULL: not opened yet */
    pl_arena arena;    /* what it is opened with */
    pl_remote_config config;
    pl_value options;
} channel;

typedef struct plua_remote_call remote_call;
struct plua_remote_call {
    pl_remote_call *call; /* NULL: let go of */
    codec_state *codec;
    const pb_message *input, *output; /* NULL: bytes */
    plua_waiter *waiting;
    remote_call *work_next, **work_place; /* in pl_work.remotes */
};

/* --- the codec --- */
static int codec_gc(lua_State *L)
{
    codec_state *c = lua_touserdata(L, 1);
    pb_codec_free(c->codec);
    c->codec = NULL;
    pl_buf_dispose(&c->out);
    return 0;
}

static codec_state *codec_of(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    codec_state *c = lua_touserdata(L, lua_upvalueindex(1));
    if (!c->codec && st->config.protos)
        c->codec = pb_codec_new(st->config.protos, (pl_state *)st);
    if (!c->codec && st->config.protos)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "perilune.grpc: out of memory");
    return c;
}

typedef struct task {
    codec_state *codec;
    const pb_message *type;
    pl_str bytes; /* decoding */
    bool decodes;
    pl_code code;
    pl_error err;
} task;

/* stack: task value → [value] */
static int task_section(lua_State *M)
{
    task *t = lua_touserdata(M, 1);
    if (t->decodes)
        t->code = pb_decode(t->codec->codec, t->type, t->bytes, &t->err);
    else
        t->code = pb_encode(t->codec->codec, t->type, 2, &t->codec->out, &t->err);
    return t->decodes && t->code == PL_OK ? 1 : 0;
}

/* Runs the task on the main thread's stack with the value at index; what it pushes (or nil) is on top of L.
 */
static void perform(lua_State *L, task *t, int index)
{
    lua_State *M = plua_state_of(L)->L;
    if (!lua_checkstack(M, 8) || !lua_checkstack(L, 4))
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    lua_pushcfunction(M, task_section);
    lua_pushlightuserdata(M, t);
    lua_pushvalue(L, index);
    lua_xmove(L, M, 1);
    bool ok = lua_pcall(M, 2, 1, 0) == LUA_OK;
    lua_xmove(M, L, 1);
    if (!ok)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
}

/* The bytes of the message at index; valid until the next one. */
static pl_str encode(lua_State *L, codec_state *codec, const pb_message *type, int index)
{
    pl_str bytes;
    if (!type) {
        if (lua_type(L, index) != LUA_TSTRING)
            plua_raise(L, PL_INVALID_ARGUMENT, "a message is a string of bytes here, not a %s",
                       luaL_typename(L, index));
        bytes.ptr = lua_tolstring(L, index, &bytes.len);
        return bytes;
    }
    task t = {.codec = codec, .type = type};
    pl_buf_reset(&codec->out, KEEP_BYTES);
    perform(L, &t, index);
    lua_pop(L, 1);
    if (t.code)
        plua_raise(L, PL_INVALID_ARGUMENT, "%s", t.err.message);
    if (codec->out.failed)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    return codec->out.len ? pl_buf_view(&codec->out) : PL_STR("");
}

static pl_code decode(lua_State *L, codec_state *codec, const pb_message *type, pl_str bytes, pl_error *err)
{
    if (!type) {
        lua_pushlstring(L, bytes.ptr, bytes.len);
        return PL_OK;
    }
    task t = {.codec = codec, .type = type, .bytes = bytes, .decodes = true};
    lua_pushnil(L);
    perform(L, &t, -1);
    lua_remove(L, -2);
    if (t.code)
        *err = t.err;
    return t.code;
}

/* --- descriptors --- */
static const pb_pool *pool_of(lua_State *L)
{
    return plua_state_of(L)->config.protos;
}

static pl_str check_string(lua_State *L, int index)
{
    pl_str s;
    s.ptr = luaL_checklstring(L, index, &s.len);
    return s;
}

static int unknown_service(lua_State *L, pl_str name)
{
    pl_suggestions s;
    pl_arena arena;
    size_t count;
    const pb_service *const *services = pb_pool_services(pool_of(L), &count);
    pl_suggest_init(&s, name);
    for (size_t i = 0; i < count; i++)
        pl_suggest_add(&s, services[i]->full_name);
    pl_arena_init(&arena, 0);
    pl_str hint = pl_suggest_text(&s, &arena, NULL);
    char text[512] = "";
    size_t len = !hint.ptr ? 0 : hint.len < sizeof text ? hint.len : sizeof text - 1;
    memcpy(text, hint.ptr ? hint.ptr : "", len);
    pl_arena_dispose(&arena);
    lua_pushnil(L);
    lua_pushlstring(L, text, len);
    return 2;
}

/* core.methods(service): { [name] = { kind, path, input, output } }; or nil and a hint ("" is none); or nil
 * alone, where there are no descriptors at all. */
static int core_methods(lua_State *L)
{
    static const char *const kinds[] = {"unary", "server_streaming", "client_streaming", "bidi_streaming"};
    pl_str name = check_string(L, 1);
    if (!pool_of(L)) {
        lua_pushnil(L);
        return 1;
    }
    const pb_service *service = pb_pool_service(pool_of(L), name);
    if (!service)
        return unknown_service(L, name);
    lua_createtable(L, 0, (int)service->count);
    for (size_t i = 0; i < service->count; i++) {
        const pb_method *m = &service->methods[i];
        lua_pushlstring(L, m->name.ptr, m->name.len);
        lua_createtable(L, 0, 4);
        lua_pushstring(L, kinds[(m->client_streaming ? 2 : 0) + (m->server_streaming ? 1 : 0)]);
        lua_setfield(L, -2, "kind");
        lua_pushlstring(L, m->input->full_name.ptr, m->input->full_name.len);
        lua_setfield(L, -2, "input");
        lua_pushlstring(L, m->output->full_name.ptr, m->output->full_name.len);
        lua_setfield(L, -2, "output");
        lua_rawset(L, -3);
    }
    return 1;
}

/* nil: there is no such message. */
static const pb_message *message_at(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index) || !pool_of(L))
        return NULL;
    return pb_pool_message(pool_of(L), check_string(L, index));
}

/* core.decode(message, bytes): the value; nil where that is unknown, or the bytes are none of it. */
static int core_decode(lua_State *L)
{
    const pb_message *type = message_at(L, 1);
    pl_str bytes = check_string(L, 2);
    pl_error err;
    if (!type || decode(L, codec_of(L), type, bytes, &err) != PL_OK)
        lua_pushnil(L);
    return 1;
}

/* --- channels --- */
static int channel_gc(lua_State *L)
{
    channel *c = luaL_checkudata(L, 1, CHANNEL);
    if (c->remote)
        c->remote->ops->close(c->remote);
    c->remote = NULL;
    pl_arena_dispose(&c->arena);
    return 0;
}

typedef struct options_read {
    channel *channel;
    pl_code code;
    pl_error err;
} options_read;

/* stack: options_read options */
static int read_section(lua_State *M)
{
    options_read *r = lua_touserdata(M, 1);
    r->code = pl_read_value((pl_state *)plua_state_of(M), 2, MAX_OPTIONS_DEPTH, &r->channel->arena,
                            &r->channel->options, &r->err);
    return 0;
}

static void read_options(lua_State *L, channel *c, int index)
{
    lua_State *M = plua_state_of(L)->L;
    options_read r = {.channel = c};
    if (!lua_checkstack(M, 8))
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    lua_pushcfunction(M, read_section);
    lua_pushlightuserdata(M, &r);
    lua_pushvalue(L, index);
    lua_xmove(L, M, 1);
    bool ok = lua_pcall(M, 2, 0, 0) == LUA_OK;
    if (!ok)
        lua_pop(M, 1);
    if (!ok || r.code)
        plua_raise(L, ok ? r.code : PL_RESOURCE_EXHAUSTED, "%s", ok ? r.err.message : "out of memory");
}

/* core.channel(target, key, options): opened when it is first used, as there is no loop while code is
 * loaded. */
static int core_channel(lua_State *L)
{
    pl_str target = check_string(L, 1), key = check_string(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    channel *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    pl_arena_init(&c->arena, 512);
    luaL_setmetatable(L, CHANNEL);
    c->config.target = pl_arena_str(&c->arena, target);
    c->config.key = pl_arena_str(&c->arena, key);
    c->config.options = &c->options;
    if (!c->config.target.ptr || !c->config.key.ptr)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    read_options(L, c, 3);
    return 1;
}

/* core.check_config(channel): raises what is wrong with its service config. */
static int core_check_config(lua_State *L)
{
    channel *c = luaL_checkudata(L, 1, CHANNEL);
    const pl_value *config = pl_value_member(&c->options, PL_STR("service_config"));
    const pl_service_config *out;
    pl_error err;
    pl_code code = PL_OK;
    if (config && config->kind == PL_KIND_STRING)
        code = pl_service_config_parse(&c->arena, config->string, true, &out, &err);
    else if (config)
        code = pl_service_config_read(&c->arena, config, true, &out, &err);
    if (code)
        return plua_raise(L, code, "service_config: %s", err.message);
    return 0;
}

static pl_remote *open_channel(lua_State *L, channel *c)
{
    pl_host *host = plua_host(L);
    pl_error err;
    if (c->remote)
        return c->remote;
    if (!host || !host->ops->remote)
        plua_raise(L, PL_UNAVAILABLE, "there is no network here: calls are made while a server runs");
    if (host->ops->remote(host, &c->config, &c->remote, &err) != PL_OK)
        plua_raise(L, err.code, "%s", err.message);
    pl_arena_dispose(&c->arena);
    c->config = (pl_remote_config){0};
    return c->remote;
}

/* --- calls: whose they are --- */
static void work_add(remote_call *rc, pl_work *work)
{
    rc->work_next = work->remotes;
    if (rc->work_next)
        rc->work_next->work_place = &rc->work_next;
    rc->work_place = &work->remotes;
    work->remotes = rc;
}

static void work_remove(remote_call *rc)
{
    if (!rc->work_place)
        return;
    *rc->work_place = rc->work_next;
    if (rc->work_next)
        rc->work_next->work_place = rc->work_place;
    rc->work_place = NULL;
}

/* --- calls: waiting --- */

/* All go on, and look again. */
static void changed(pl_remote_call *call)
{
    remote_call *rc = call->waiter;
    call->changed = NULL;
    plua_waiters_finish(&rc->waiting);
}

static int wait_for(lua_State *L, remote_call *rc, const char *what, lua_KFunction k, lua_KContext ctx)
{
    plua_waiters_begin(L, what, &rc->waiting);
    rc->call->changed = changed;
    return plua_wait_yield(L, ctx, k);
}

/* --- calls --- */
static remote_call *check_call(lua_State *L)
{
    remote_call *rc = luaL_checkudata(L, 1, CALL);
    if (!rc->call)
        plua_raise(L, PL_CANCELLED, "the call is over");
    return rc;
}

static void let_go(remote_call *rc)
{
    work_remove(rc);
    if (rc->call && !rc->waiting) {
        rc->call->ops->free(rc->call);
        rc->call = NULL;
    } else if (rc->call) {
        rc->call->ops->cancel(rc->call); /* those who wait are to see its end */
    }
}

void plua_remotes_end(pl_work *work)
{
    while (work->remotes)
        let_go(work->remotes);
}

static int call_close(lua_State *L)
{
    let_go(luaL_checkudata(L, 1, CALL));
    return 0;
}

/* Who waits holds it: nobody does. */
static int call_gc(lua_State *L)
{
    remote_call *rc = luaL_checkudata(L, 1, CALL);
    work_remove(rc);
    if (rc->call)
        rc->call->ops->free(rc->call);
    rc->call = NULL;
    return 0;
}

/* Reads { name, value, … } into headers; the strings are the table's. */
static size_t read_metadata(lua_State *L, int index, pl_header *headers)
{
    lua_Unsigned n = lua_isnoneornil(L, index) ? 0 : lua_rawlen(L, index);
    if (n / 2 > MOST_METADATA)
        plua_raise(L, PL_INVALID_ARGUMENT, "there is more metadata than %d values", MOST_METADATA);
    for (lua_Unsigned i = 0; i < n; i++) {
        pl_str s;
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            plua_raise(L, PL_INVALID_ARGUMENT, "metadata is a table { name = value }");
        s.ptr = lua_tolstring(L, -1, &s.len);
        lua_pop(L, 1);
        if (i % 2 == 0)
            headers[i / 2].name = s;
        else
            headers[i / 2].value = s;
    }
    return (size_t)(n / 2);
}

/* core.start(channel, path, { input, output, metadata, timeout, wait_for_ready, compression, max_message })
 */
static int core_start(lua_State *L)
{
    channel *c = luaL_checkudata(L, 1, CHANNEL);
    pl_header metadata[MOST_METADATA];
    pl_error err;
    pl_remote_call_config config = {.path = check_string(L, 2), .metadata = metadata, .wait_for_ready = -1};
    plua_state *st = plua_state_of(L);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (!st->current || !st->current->work)
        return luaL_error(L, "calls cannot be made here: top-level code runs before there is a loop");
    pl_work *work = st->current->work;
    pl_remote *remote = open_channel(L, c);
    remote_call *rc = lua_newuserdatauv(L, sizeof *rc, 1); /* stack: channel path config call */
    memset(rc, 0, sizeof *rc);
    luaL_setmetatable(L, CALL);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 4, 1);
    rc->codec = codec_of(L);
    lua_getfield(L, 3, "input");
    rc->input = message_at(L, -1);
    lua_getfield(L, 3, "output");
    rc->output = message_at(L, -1);
    lua_getfield(L, 3, "metadata");
    config.metadata_count = read_metadata(L, lua_gettop(L), metadata);
    lua_getfield(L, 3, "compression");
    if (lua_isstring(L, -1))
        config.compression.ptr = lua_tolstring(L, -1, &config.compression.len);
    if (lua_getfield(L, 3, "timeout") == LUA_TNUMBER) {
        lua_Number ms = lua_tonumber(L, -1) * 1000;
        config.timeout_ms = ms < 1 ? 1 : ms > 1e15 ? 0 : (uint64_t)ms;
    }
    if (lua_getfield(L, 3, "wait_for_ready") == LUA_TBOOLEAN)
        config.wait_for_ready = lua_toboolean(L, -1);
    if (lua_getfield(L, 3, "max_message") == LUA_TNUMBER)
        config.max_message = (size_t)lua_tonumber(L, -1);
    config.deadline = work->deadline;
    if (remote->ops->start(remote, &config, &rc->call, &err) != PL_OK)
        return plua_raise(L, err.code, "%s", err.message);
    rc->call->waiter = rc;
    work_add(rc, work);
    lua_settop(L, 4);
    return 1;
}

/* call:send(message): true when it was taken, and more may be sent; false: the call is over. */
static int sent(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    remote_call *rc = check_call(L);
    pl_remote_result result = rc->call->ops->flushed(rc->call);
    lua_settop(L, 1);
    if (result == PL_REMOTE_WAIT)
        return wait_for(L, rc, "stream:send", sent, 0);
    lua_pushboolean(L, result == PL_REMOTE_DONE);
    return 1;
}

/* call:send(message, last): last: it is the only one, so nobody waits until it has left. */
static int call_send(lua_State *L)
{
    remote_call *rc = check_call(L);
    pl_error err;
    luaL_checkany(L, 2);
    bool last = lua_toboolean(L, 3);
    pl_str bytes = encode(L, rc->codec, rc->input, 2);
    pl_remote_result result = rc->call->ops->send(rc->call, bytes, &err);
    if (result == PL_REMOTE_FAILED)
        return plua_raise(L, err.code, "%s", err.message);
    if (last && result != PL_REMOTE_END)
        result = rc->call->ops->finish(rc->call);
    if (result == PL_REMOTE_WAIT)
        return sent(L, LUA_OK, 0);
    lua_pushboolean(L, result == PL_REMOTE_DONE);
    return 1;
}

static int call_finish(lua_State *L)
{
    remote_call *rc = check_call(L);
    lua_pushboolean(L, rc->call->ops->finish(rc->call) == PL_REMOTE_DONE);
    return 1;
}

/* call:receive(): the next message, or nil at the end; or nil and what is wrong with it. */
static int received(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    remote_call *rc = check_call(L);
    pl_str bytes;
    pl_error err;
    lua_settop(L, 1);
    switch (rc->call->ops->receive(rc->call, &bytes)) {
    case PL_REMOTE_WAIT:
        return wait_for(L, rc, "stream:receive", received, 0);
    case PL_REMOTE_DONE:
        if (decode(L, rc->codec, rc->output, bytes, &err) == PL_OK)
            return 1;
        rc->call->ops->cancel(rc->call);
        lua_pushnil(L);
        lua_pushfstring(L, "the server's message cannot be read: %s", err.message);
        return 2;
    default:
        lua_pushnil(L);
        return 1;
    }
}

static int call_receive(lua_State *L)
{
    return received(L, LUA_OK, 0);
}

/* { name = { value, … } } */
static void push_headers(lua_State *L, const pl_header *headers, size_t count)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, headers[i].name.ptr, headers[i].name.len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TTABLE) { /* stack: map name nil */
            lua_pop(L, 1);
            lua_createtable(L, 1, 0);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5); /* stack: map name list */
        }
        lua_pushlstring(L, headers[i].value.ptr, headers[i].value.len);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 2);
    }
}

static int got_headers(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    remote_call *rc = check_call(L);
    const pl_header *headers;
    size_t count;
    lua_settop(L, 1);
    if (rc->call->ops->headers(rc->call, &headers, &count) == PL_REMOTE_WAIT)
        return wait_for(L, rc, "stream:headers", got_headers, 0);
    push_headers(L, headers, count);
    return 1;
}

/* call:headers() waits for them. */
static int call_headers(lua_State *L)
{
    return got_headers(L, LUA_OK, 0);
}

/* call:status(): of a call that has ended: code, message, details or nil, trailers, whether it is local */
static int call_status(lua_State *L)
{
    remote_call *rc = check_call(L);
    const pl_header *trailers;
    size_t count;
    const pl_remote_status *s = rc->call->ops->status(rc->call, &trailers, &count);
    lua_pushstring(L, s->code == PL_OK ? "OK" : pl_code_name(s->code));
    lua_pushlstring(L, s->message.ptr ? s->message.ptr : "", s->message.len);
    if (s->details.ptr)
        lua_pushlstring(L, s->details.ptr, s->details.len);
    else
        lua_pushnil(L);
    push_headers(L, trailers, count);
    lua_pushboolean(L, s->local);
    return 5;
}

/* call:about(): the endpoint's address, and how many attempts there were */
static int call_about(lua_State *L)
{
    remote_call *rc = check_call(L);
    pl_str peer = rc->call->ops->peer(rc->call);
    lua_pushlstring(L, peer.ptr, peer.len);
    lua_pushinteger(L, rc->call->ops->attempts(rc->call));
    return 2;
}

static int call_cancel(lua_State *L)
{
    remote_call *rc = luaL_checkudata(L, 1, CALL);
    if (rc->call)
        rc->call->ops->cancel(rc->call);
    return 0;
}

/* core.remaining(): seconds until the deadline of what runs now; nil: it has none */
static int core_remaining(lua_State *L)
{
    const pl_work *work = plua_work(L);
    pl_host *host = plua_host(L);
    if (!work || !host || work->deadline == 0)
        return 0;
    uint64_t now = host->ops->now(host);
    lua_pushnumber(L, work->deadline > now ? (lua_Number)(work->deadline - now) / 1000 : 0);
    return 1;
}

/* core.path(path): relative ones are the bundle's. */
static int core_path(lua_State *L)
{
    pl_str path = check_string(L, 1), directory = plua_config(L)->directory;
    if (path.len == 0 || path.ptr[0] == '/' || directory.len == 0) {
        lua_settop(L, 1);
        return 1;
    }
    lua_pushlstring(L, directory.ptr, directory.len);
    lua_pushliteral(L, "/");
    lua_pushvalue(L, 1);
    lua_concat(L, 3);
    return 1;
}

int plua_open_grpc(lua_State *L)
{
    static const luaL_Reg call_methods[] = {
        {"send", call_send},       {"finish", call_finish}, {"receive", call_receive},
        {"headers", call_headers}, {"status", call_status}, {"about", call_about},
        {"cancel", call_cancel},   {"close", call_close},   {NULL, NULL}};
    static const luaL_Reg functions[] = {{"methods", core_methods}, {"decode", core_decode},
                                         {"channel", core_channel}, {"check", core_check_config},
                                         {"start", core_start},     {"remaining", core_remaining},
                                         {"path", core_path},       {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = CHANNEL, .gc = channel_gc});
    plua_push_type(L,
                   &(plua_type){.name = CALL, .gc = call_gc, .close = call_close, .methods = call_methods});
    lua_pop(L, 2);
    luaL_newlibtable(L, functions);
    codec_state *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (codec_state){0};
    pl_buf_init(&c->out);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, codec_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
