/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/give_way.h"
#include "bindings/lua/message.h"
#include "bindings/lua/run.h"
#include "perilune/engines.h"

/* States: one Lua universe with one generation's code, its memory counted and bounded. */

/* When Lua is refused memory it collects all garbage and tries once more. That second try must leave some
 * room, or else a script that lives at its limit would pay for a full collection with every object. */
static bool may_grow(plua_state *st, size_t more)
{
    const pl_state_limits *limits = &st->config.limits;
    size_t cap = st->run_cap,
           call = limits->call_memory < limits->memory ? limits->call_memory : limits->memory;
    if (st->refused)
        cap -= call / 16;
    bool ok = st->used <= cap && more <= cap - st->used;
    st->refused = !ok && !st->refused;
    return ok;
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t size)
{
    plua_state *st = ud;
    if (!ptr)
        old_size = 0; /* it says what kind of object then */
    if (size == 0) {
        pl_slab_free(&st->slab, ptr, old_size);
        st->used -= old_size;
        return NULL;
    }
    if (size > old_size && !may_grow(st, size - old_size))
        return NULL;
    void *p = ptr ? pl_slab_realloc(&st->slab, ptr, old_size, size) : pl_slab_alloc(&st->slab, size);
    if (p)
        st->used = st->used - old_size + size;
    return p;
}

/* While a state is made or taken apart, which is long work on a thread beside those that answer requests. */
static void *allocate_aside(void *ud, void *ptr, size_t old_size, size_t size)
{
    plua_state *st = ud;
    if (++st->allocations % 128 == 0)
        pl_give_way();
    return allocate(ud, ptr, old_size, size);
}

static void limits_default(pl_state_limits *limits)
{
    if (!limits->memory)
        limits->memory = (size_t)256 << 20;
    if (!limits->call_memory)
        limits->call_memory = (size_t)64 << 20;
    if (!limits->instructions)
        limits->instructions = 500000000;
    if (!limits->run_ms)
        limits->run_ms = 1000;
    if (!limits->load_ms)
        limits->load_ms = 5000;
}

/* Lua's library makes the type of its buffers in two steps, when it first needs one. Without memory between
 * them, no long string could be made in this state any more. */
static void make_buffer_type(lua_State *L)
{
    luaL_Buffer b;
    luaL_buffinitsize(L, &b, 2 * LUAL_BUFFERSIZE);
    luaL_pushresultsize(&b, 0);
    lua_pop(L, 1);
}

/* What every state has before any bundle code runs. */
static int open_all(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    make_buffer_type(L);
    lua_newtable(L);
    st->loaded = luaL_ref(L, LUA_REGISTRYINDEX);
    st->list_meta = plua_new_list_mark(L);
    plua_open_globals(L);
    plua_open_context(L);
    plua_open_loaders(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->loaded);
    lua_pushcfunction(L, plua_open_core);
    lua_call(L, 0, 1);
    lua_setfield(L, -2, "perilune.core");
    lua_pop(L, 1);
    lua_pushcfunction(L, plua_require);
    lua_pushliteral(L, "perilune.errors");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "metatable");
    st->error_meta = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void state_free(pl_state *state)
{
    plua_state *st = plua_cast(state);
    if (!st)
        return;
    atomic_store(&st->attached, false);
    st->freeing = true;
    if (st->L) {
        plua_cancel_all(st);
        lua_setallocf(st->L, allocate_aside, st);
        lua_close(st->L);
    }
    plua_loads_dispose(st);
    plua_ctx_dispose(st);
    pl_native_pool_dispose(&st->natives);
    for (size_t i = 0; i < st->keys.count; i++)
        pl_free(st->keys.entries[i].value);
    pl_map_dispose(&st->keys);
    pl_slab_dispose(&st->slab);
    pl_free(st);
}

static pl_code state_new(const pl_engine *engine, const pl_state_config *config, pl_state **out,
                         pl_error *err)
{
    plua_state *st = pl_calloc(1, sizeof *st);
    if (!st)
        return pl_fail_memory(err);
    st->head.engine = engine;
    st->config = *config;
    limits_default(&st->config.limits);
    st->run_cap = SIZE_MAX;
    st->error_meta = st->protos = LUA_NOREF;
    st->index = PL_REF_NONE;
    pl_map_init(&st->keys);
    pl_slab_init(&st->slab);
    plua_watch_prepare();
    st->L = lua_newstate(allocate_aside, st);
    if (!st->L) {
        state_free((pl_state *)st);
        return pl_fail_memory(err);
    }
    *(plua_state **)lua_getextraspace(st->L) = st;
    lua_pushcfunction(st->L, open_all);
    int status = lua_pcall(st->L, 0, 0, 0);
    if (status != LUA_OK) {
        const char *message = lua_tostring(st->L, -1);
        pl_code code = status == LUA_ERRMEM
                           ? pl_fail_memory(err)
                           : pl_fail(err, PL_INTERNAL, "the script engine could not start: %s",
                                     message ? message : "unknown error");
        state_free((pl_state *)st);
        return code;
    }
    *out = (pl_state *)st;
    return PL_OK;
}

static void state_attach(pl_state *state, pl_host *host)
{
    plua_state *st = plua_cast(state);
    st->head.host = host;
    lua_setallocf(st->L, allocate, st);
    plua_watch_unblock();
    plua_metrics_attach(st);
    atomic_store(&st->attached, true);
}

static void set_limits(pl_state *state, const pl_state_limits *limits)
{
    plua_state *st = plua_cast(state);
    st->config.limits = *limits;
    limits_default(&st->config.limits);
}

static void set_database(pl_state *state, const pl_database_config *config)
{
    plua_cast(state)->config.database = *config;
}

static size_t memory(const pl_state *state)
{
    return ((const plua_state *)state)->used;
}

static void idle(pl_state *state)
{
    lua_gc(plua_cast(state)->L, LUA_GCSTEP, 0);
}

/* --- loading --- */
typedef struct load_args {
    pl_str path;
} load_args;

static int load_chunk(lua_State *L)
{
    const load_args *args = lua_touserdata(L, 1);
    plua_load_file(L, args->path);
    lua_call(L, 0, 1);
    return 1;
}

/* Splits "file.lua:12: what" at the head of a Lua message; path when it names no file of the bundle. */
static void split_place(const plua_state *st, const char *message, pl_error *err, pl_str path)
{
    const char *colon = strchr(message, ':');
    char *end = NULL;
    unsigned long line = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t file_len = colon ? (size_t)(colon - message) : 0;
    if (line > 0 && *end == ':' && file_len < sizeof err->file &&
        plua_find_file(st, (pl_str){message, file_len})) {
        char file[sizeof err->file];
        memcpy(file, message, file_len);
        file[file_len] = '\0';
        while (*++end == ' ')
            ;
        pl_fail_at(err, PL_INVALID_ARGUMENT, file, (uint32_t)line, 0, "%s", end);
    } else {
        char file[sizeof err->file];
        size_t n = path.len < sizeof file ? path.len : sizeof file - 1;
        memcpy(file, path.ptr, n);
        file[n] = '\0';
        pl_fail_at(err, PL_INVALID_ARGUMENT, file, 0, 0, "%s", message);
    }
}

typedef struct load_failure {
    plua_state *st;
    int status;
    pl_str path;
    pl_error *err;
} load_failure;

/* error value, load_failure → ; runs no script code, as nothing would stop it */
static int describe_load(lua_State *L)
{
    const load_failure *f = lua_touserdata(L, 2);
    char other[64];
    lua_settop(L, 1);
    if (plua_is_error(L, 1)) {
        lua_pushliteral(L, "message");
        lua_rawget(L, 1);
    }
    const char *message = lua_tostring(L, -1);
    if (f->st->interrupted)
        message = f->st->interruption;
    else if (f->status == LUA_ERRMEM)
        message = "the bundle's top-level code ran out of memory";
    else if (!message)
        message = other;
    snprintf(other, sizeof other, "the script threw a %s value", luaL_typename(L, 1));
    split_place(f->st, message, f->err, f->path);
    return 0;
}

/* path: what messages name that have no place themselves */
static pl_code call_loading_for(plua_state *st, pl_str path, int nargs, pl_slot *out, pl_error *err)
{
    lua_State *L = st->L;
    plua_run run;
    plua_load_begin(st, &run);
    int status = lua_pcall(L, nargs, 1, 0);
    plua_load_end(st, &run);
    if (status == LUA_OK) {
        *out = lua_gettop(L);
        return PL_OK;
    }
    load_failure failure = {st, status, path, err};
    lua_pushcfunction(L, describe_load);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &failure);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        return pl_fail_memory(err);
    }
    return PL_INVALID_ARGUMENT;
}

static pl_code load(pl_state *state, pl_str path, pl_slot *out, pl_error *err)
{
    plua_state *st = plua_cast(state);
    load_args args = {path};
    if (!lua_checkstack(st->L, 8))
        return pl_fail_memory(err);
    lua_pushcfunction(st->L, load_chunk);
    lua_pushlightuserdata(st->L, &args);
    return call_loading_for(st, path, 1, out, err);
}

static pl_code call_loading(pl_state *state, int nargs, pl_slot *out, pl_error *err)
{
    plua_state *st = plua_cast(state);
    if (!lua_checkstack(st->L, 8))
        return pl_fail_memory(err);
    return call_loading_for(st, PL_STR(""), nargs, out, err);
}

/* --- what modules see of the state --- */
plua_state *plua_of(lua_State *L)
{
    return plua_state_of(L);
}

pl_host *plua_host(lua_State *L)
{
    return plua_state_of(L)->head.host;
}

const pl_state_config *plua_config(lua_State *L)
{
    return &plua_state_of(L)->config;
}

pl_logger *plua_log(lua_State *L)
{
    return plua_state_of(L)->config.log;
}

const pl_work *plua_work(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    return st->current ? st->current->work : NULL;
}

uint64_t plua_call_id(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    return st->current ? st->current->id : 0;
}

static pl_ref library(pl_state *state, pl_str module, pl_str name)
{
    lua_State *L = plua_cast(state)->L;
    int top = lua_gettop(L);
    lua_pushcfunction(L, plua_require);
    lua_pushlstring(L, module.ptr, module.len);
    lua_call(L, 1, 1);
    lua_pushlstring(L, name.ptr, name.len);
    pl_ref ref = lua_gettable(L, -2) == LUA_TFUNCTION ? luaL_ref(L, LUA_REGISTRYINDEX) : PL_REF_NONE;
    lua_settop(L, top);
    return ref;
}

static pl_slot push_ctx(pl_state *state, pl_work *work)
{
    plua_ctx_push(plua_cast(state), work);
    return lua_gettop(plua_cast(state)->L);
}

static void work_end(pl_state *state, pl_work *work)
{
    plua_ctx_end(plua_cast(state), work);
}

static pl_engine lua_engine;

static void engine_init(void)
{
    pl_engine *e = &lua_engine;
    e->name = "lua";
    e->state_new = state_new;
    e->state_free = state_free;
    e->state_attach = state_attach;
    e->set_limits = set_limits;
    e->set_database = set_database;
    e->library = library;
    e->memory = memory;
    e->watch = plua_watch;
    e->watched_at = plua_watched_at;
    e->idle = idle;
    e->protect = plua_protect;
    e->protect_with = plua_protect_with;
    e->protect_push = plua_protect_push;
    e->load = load;
    e->call_loading = call_loading;
    e->call = plua_call_function;
    e->push_ctx = push_ctx;
    e->push_message = plua_push_message;
    e->cancel = plua_call_cancel;
    e->work_end = work_end;
    e->set_loaders = plua_set_loaders;
    e->dispatch = plua_dispatch;
    e->read_error = plua_read_error;
    e->push_argument_wrapper = plua_push_argument_wrapper;
    e->push_upload = plua_push_upload;
    plua_cursor_init(e);
    plua_chain_init(e);
    plua_declare_init(e);
    plua_native_init(e);
}

const struct pl_engine *pl_lua_engine(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, engine_init);
    return &lua_engine;
}
