/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "bindings/lua/loader.h"

/* ctx.loaders and its loaders, as scripts see them. The methods are closures with two upvalues: the
 * metatables of loaders and of batches. */

enum { UP_LOADER = 1, UP_BATCH };

static bool has_meta(lua_State *L, int index, int upvalue)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return false;
    bool same = lua_rawequal(L, -1, lua_upvalueindex(upvalue));
    lua_pop(L, 1);
    return same;
}

static plua_loader *check_loader(lua_State *L, const char *method)
{
    if (!has_meta(L, 1, UP_LOADER))
        luaL_error(L, "loader:%s is called with a colon, as in ctx.loaders.users:%s(…)", method, method);
    return lua_touserdata(L, 1);
}

/* The loader's request must be the one whose call this is: no other could end the wait. */
static plua_loader *check_live(lua_State *L, const char *method)
{
    plua_loader *loader = check_loader(L, method);
    if (!loader->set->work || loader->set->work != plua_work(L))
        luaL_error(L, "loader \"%s\" belongs to another request, or to one that is over: take it from ctx",
                   loader->declared->name.ptr);
    return loader;
}

static int refuse_key(lua_State *L, const plua_loader *loader, int key)
{
    pl_str name = loader->declared->name;
    const char *type = luaL_typename(L, key);
    lua_pushlstring(L, name.ptr, name.len);
    if (loader->declared->key != PL_REF_NONE)
        return luaL_error(L,
                          "loader \"%s\": the key function must return a string, number or boolean, not %s",
                          lua_tostring(L, -1), type);
    return luaL_error(L, "loader \"%s\": a key must be a string, number or boolean, not %s%s",
                      lua_tostring(L, -1), type, lua_istable(L, key) ? " (without a key function)" : "");
}

/* What stands for the key at the top in the cache. stack: … key → … key cache_key */
static void push_cache_key(lua_State *L, const plua_loader *loader)
{
    if (loader->declared->key != PL_REF_NONE) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, loader->declared->key);
        lua_pushvalue(L, -2);
        lua_call(L, 1, 1);
    } else {
        lua_pushvalue(L, -1);
    }
    int type = lua_type(L, -1);
    if ((type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN) || !lua_rawequal(L, -1, -1))
        refuse_key(L, loader, lua_gettop(L));
}

/* --- collecting --- */

/* A batch that takes keys, waiting to be started. loader at index 1. */
static plua_batch *batch_new(lua_State *L, plua_loader *loader)
{
    plua_loaders *set = loader->set;
    plua_batch *batch = lua_newuserdatauv(L, sizeof *batch, PLUA_BATCH_VALUES);
    *batch = (plua_batch){.loader = loader, .self = LUA_NOREF};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, PLUA_BATCH_LOADER);
    lua_pushvalue(L, lua_upvalueindex(UP_BATCH));
    lua_setmetatable(L, -2);
    lua_createtable(L, 4, 0);
    lua_setiuservalue(L, -2, PLUA_BATCH_KEYS);
    if (loader->declared->key != PL_REF_NONE) {
        lua_createtable(L, 4, 0);
        lua_setiuservalue(L, -2, PLUA_BATCH_GIVEN);
    }
    batch->self = luaL_ref(L, LUA_REGISTRYINDEX);
    batch->prev = set->collecting.last;
    *(batch->prev ? &batch->prev->next : &set->collecting.first) = batch;
    set->collecting.last = batch;
    loader->open = batch;
    return batch;
}

/* Puts the key into the batch and its entry into the cache. stack: … key cache_key cache → the same */
static plua_entry *collect(lua_State *L, plua_loader *loader)
{
    plua_state *st = loader->set->st;
    plua_batch *batch = loader->open;
    uint32_t max = loader->declared->max_batch;
    if (!batch || (max > 0 && batch->count >= max) || batch->count == INT32_MAX)
        batch = batch_new(L, loader);
    /* In hand, so that an error on the way does not lose it. */
    plua_entry *entry = st->loads.in_hand ? st->loads.in_hand : plua_entry_new(st);
    st->loads.in_hand = entry;
    if (!entry || plua_loaders_arm(loader->set) != 0)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "loader: out of memory");
    lua_rawgeti(L, LUA_REGISTRYINDEX, batch->self); /* stack: … key cache_key cache batch */
    lua_getiuservalue(L, -1, PLUA_BATCH_KEYS);
    lua_pushvalue(L, -4);
    lua_rawseti(L, -2, (lua_Integer)batch->count + 1);
    lua_pop(L, 1);
    if (lua_getiuservalue(L, -1, PLUA_BATCH_GIVEN) == LUA_TTABLE) {
        lua_pushvalue(L, -5);
        lua_rawseti(L, -2, (lua_Integer)batch->count + 1);
    }
    lua_pop(L, 2);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, entry);
    lua_rawset(L, -3);
    st->loads.in_hand = NULL;
    *entry = (plua_entry){.batch = batch, .index = batch->count++};
    *(batch->last_entry ? &batch->last_entry->next : &batch->entries) = entry;
    batch->last_entry = entry;
    return entry;
}

/* The key's value from the cache: -1; or the batch that has the key, and its place there. Loader at index 1.
 * stack: … key → … value or batch */
static lua_KContext locate(lua_State *L, plua_loader *loader)
{
    push_cache_key(L, loader);
    lua_getiuservalue(L, 1, PLUA_LOADER_CACHE);
    lua_pushvalue(L, -2);
    int type = lua_rawget(L, -2); /* stack: … key cache_key cache found */
    plua_entry *entry = NULL;
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        entry = collect(L, loader);
        lua_rawgeti(L, LUA_REGISTRYINDEX, entry->batch->self);
    } else if (type == LUA_TLIGHTUSERDATA && !plua_is_null(L, -1)) {
        entry = lua_touserdata(L, -1);
        lua_pop(L, 1);
        lua_rawgeti(L, LUA_REGISTRYINDEX, entry->batch->self);
    }
    lua_replace(L, -4);
    lua_pop(L, 2);
    return entry ? (lua_KContext)entry->index : -1;
}

/* --- waiting --- */
static void on_cancelled(plua_wait *wait)
{
    plua_load *load = wait->data;
    plua_batch *batch = load->batch;
    *(load->prev ? &load->prev->next : &batch->loads) = load->next;
    *(load->next ? &load->next->prev : &batch->last_load) = load->prev;
    plua_load_free(batch->loader->set->st, load);
}

/* Waits for the batch at index, which is to stay there. */
static int wait_for(lua_State *L, plua_batch *batch, lua_KContext ctx, lua_KFunction k)
{
    plua_state *st = batch->loader->set->st;
    plua_wait_check(L, "loader:load");
    if (batch->state == PLUA_STARTING || (batch->state == PLUA_RUNNING && batch->call == &st->current->call))
        return luaL_error(L, "loader \"%s\": the batch function waits for a key of its own batch",
                          batch->loader->declared->name.ptr);
    plua_load *load = plua_load_new(st);
    if (!load)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "loader: out of memory");
    *load = (plua_load){.batch = batch, .prev = batch->last_load};
    load->wait.data = load;
    *(load->prev ? &load->prev->next : &batch->loads) = load;
    batch->last_load = load;
    plua_wait_begin(L, "loader:load", &load->wait, on_cancelled);
    return plua_wait_yield(L, ctx, k);
}

/* The value at the top, which may be an error. */
static void check_value(lua_State *L)
{
    if (lua_type(L, -1) == LUA_TTABLE && plua_is_error(L, -1))
        lua_error(L);
}

/* What has come for a key of the batch at index. stack: … → … value */
static void push_answer(lua_State *L, int index, lua_Integer place)
{
    const plua_batch *batch = lua_touserdata(L, index);
    lua_getiuservalue(L, index, PLUA_BATCH_ANSWER);
    if (batch->state == PLUA_ANSWERED) {
        lua_rawgeti(L, -1, place + 1);
        lua_replace(L, -2);
        check_value(L);
        return;
    }
    if (lua_isnil(L, -1))
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "loader: out of memory");
    lua_error(L);
}

static int give(lua_State *L)
{
    if (plua_is_null(L, -1))
        lua_pushnil(L);
    return 1;
}

/* stack: loader batch */
static int loaded(lua_State *L, int status, lua_KContext place)
{
    (void)status;
    push_answer(L, 2, (lua_Integer)place);
    return give(L);
}

/* load(key) → value, or nil */
static int loader_load(lua_State *L)
{
    plua_loader *loader = check_live(L, "load");
    lua_settop(L, 2);
    lua_KContext place = locate(L, loader);
    if (place >= 0)
        return wait_for(L, lua_touserdata(L, 2), place, loaded);
    check_value(L);
    return give(L);
}

/* --- load_many --- */
static int loaded_many(lua_State *L, int status, lua_KContext i);

/* Goes through the results; where one is a batch, what the batch has for it takes its place. stack: loader
 * keys results places */
static int gather(lua_State *L, lua_Integer i)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, 3); /* no nil in there */
    for (; i <= n; i++) {
        lua_rawgeti(L, 3, i);
        if (has_meta(L, 5, UP_BATCH)) {
            plua_batch *batch = lua_touserdata(L, 5);
            if (batch->state != PLUA_ANSWERED && batch->state != PLUA_FAILED) {
                lua_settop(L, 4);
                return wait_for(L, batch, (lua_KContext)i, loaded_many);
            }
            lua_rawgeti(L, 4, i);
            lua_Integer place = lua_tointeger(L, -1);
            push_answer(L, 5, place);
            if (lua_isnil(L, -1))
                plua_push_null(L);
            lua_rawseti(L, 3, i);
        }
        lua_settop(L, 4);
    }
    lua_settop(L, 3);
    return 1;
}

static int loaded_many(lua_State *L, int status, lua_KContext i)
{
    (void)status;
    return gather(L, (lua_Integer)i);
}

/* load_many(keys) → list of values, in the order of keys; null where there is none */
static int loader_load_many(lua_State *L)
{
    plua_loader *loader = check_live(L, "load_many");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    int hint = n > 65536 ? 65536 : (int)n;
    lua_createtable(L, hint, 0);
    plua_mark_list(L, 3);
    lua_createtable(L, hint, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 2, i);
        lua_KContext place = locate(L, loader);
        if (place >= 0) {
            lua_pushinteger(L, place);
            lua_rawseti(L, 4, i);
        } else {
            check_value(L);
        }
        lua_rawseti(L, 3, i);
        if (i % 1024 == 0)
            plua_check_interrupt(L);
    }
    return gather(L, 1);
}

/* --- the cache --- */

/* prime(key, value): the value of a key that is not there yet → the loader */
static int loader_prime(lua_State *L)
{
    plua_loader *loader = check_loader(L, "prime");
    lua_settop(L, 3);
    lua_insert(L, 2); /* stack: loader value key */
    push_cache_key(L, loader);
    lua_getiuservalue(L, 1, PLUA_LOADER_CACHE);
    lua_pushvalue(L, 4);
    if (lua_rawget(L, 5) == LUA_TNIL && !loader->declared->uncached) {
        lua_pushvalue(L, 4);
        lua_pushvalue(L, 2);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            plua_push_null(L);
        }
        lua_rawset(L, 5);
    }
    lua_settop(L, 1);
    return 1;
}

/* clear(key) → the loader */
static int loader_clear(lua_State *L)
{
    plua_loader *loader = check_loader(L, "clear");
    lua_settop(L, 2);
    push_cache_key(L, loader);
    lua_getiuservalue(L, 1, PLUA_LOADER_CACHE);
    lua_insert(L, 3);
    lua_pushnil(L);
    lua_rawset(L, 3);
    lua_settop(L, 1);
    return 1;
}

static int loader_clear_all(lua_State *L)
{
    check_loader(L, "clear_all");
    lua_settop(L, 1);
    lua_newtable(L);
    lua_setiuservalue(L, 1, PLUA_LOADER_CACHE);
    return 1;
}

/* --- ctx.loaders --- */
static const pl_loader *find_declared(const plua_state *st, const char *name)
{
    for (size_t i = 0; i < st->loads.count; i++) {
        if (pl_str_is(st->loads.declared[i].name, name))
            return &st->loads.declared[i];
    }
    return NULL;
}

/* __index of ctx.loaders: (loaders, name) → loader. Upvalue: the set. */
static int loaders_index(lua_State *L)
{
    plua_state *st = plua_of(L);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
    const pl_loader *declared = name ? find_declared(st, name) : NULL;
    if (!declared)
        return luaL_error(L, "there is no loader \"%s\" in app.lua", luaL_tolstring(L, 2, NULL));
    plua_loader *loader = lua_newuserdatauv(L, sizeof *loader, PLUA_LOADER_VALUES);
    *loader = (plua_loader){.set = lua_touserdata(L, lua_upvalueindex(1)), .declared = declared};
    lua_newtable(L);
    lua_setiuservalue(L, -2, PLUA_LOADER_CACHE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setiuservalue(L, -2, PLUA_LOADER_SET);
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->loads.loader_meta);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

static int set_gc(lua_State *L)
{
    plua_loaders *set = lua_touserdata(L, 1);
    pl_host *host = set->st->head.host;
    if (set->timer.index != 0)
        host->ops->timer_stop(host, &set->timer);
    return 0;
}

static int batch_gc(lua_State *L)
{
    plua_batch_drop(lua_touserdata(L, 1));
    return 0;
}

void plua_loaders_push(lua_State *L, pl_work *work)
{
    plua_state *st = plua_of(L);
    lua_createtable(L, 0, st->loads.count < 64 ? (int)st->loads.count : 64);
    lua_createtable(L, 0, 2);
    plua_loaders *set = work->loaders;
    if (set) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, set->self);
    } else {
        set = lua_newuserdatauv(L, sizeof *set, 0);
        memset(set, 0, sizeof *set);
        set->st = st;
        lua_rawgeti(L, LUA_REGISTRYINDEX, st->loads.set_meta);
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        set->self = luaL_ref(L, LUA_REGISTRYINDEX);
        set->work = work;
        work->loaders = set;
    }
    lua_pushcclosure(L, loaders_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

void plua_open_loaders(lua_State *L)
{
    static const luaL_Reg methods[] = {{"load", loader_load},           {"load_many", loader_load_many},
                                       {"prime", loader_prime},         {"clear", loader_clear},
                                       {"clear_all", loader_clear_all}, {NULL, NULL}};
    plua_state *st = plua_of(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, set_gc);
    lua_setfield(L, -2, "__gc");
    st->loads.set_meta = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 4); /* stack: loader_meta */
    lua_pushliteral(L, "perilune.loader");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, -2);
    lua_createtable(L, 0, 1); /* stack: loader_meta methods loader_meta batch_meta */
    lua_pushcfunction(L, batch_gc);
    lua_setfield(L, -2, "__gc");
    luaL_setfuncs(L, methods, 2);
    lua_setfield(L, -2, "__index");
    st->loads.loader_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}

void plua_set_loaders(pl_state *state, const pl_loader *loaders, size_t count)
{
    plua_cast(state)->loads.declared = loaders;
    plua_cast(state)->loads.count = count;
}
