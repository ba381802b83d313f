/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <time.h>

#include "base/alloc.h"
#include "bindings/lua/internal.h"
#include "grpc/policy/breaker.h"
#include "value/registry.h"
#include "value/shared.h"

/* The C half of perilune.breaker. A breaker's state belongs to the server: all workers and generations that
 * name it have the same one, under a lock that is held for a few instructions.
 *
 * A call that goes through it holds a permit, a to-be-closed value: however the call ends (it returns, raises
 * an error, is cancelled, overruns, or its coroutine is never resumed), the permit hears of it. */

#define TYPE "perilune.breaker"
#define PERMIT "perilune.breaker.permit"
#define MOST_NAME 256

typedef struct shared_breaker {
    pl_thing thing;
    pthread_mutex_t lock;
    pl_breaker breaker;
} shared_breaker;

typedef struct breaker {
    shared_breaker *shared;
    pl_registry *registry;
    char name[MOST_NAME + 1];
} breaker;

typedef struct permit {
    breaker *breaker; /* its userdata is the first user value; NULL: settled */
    pl_breaker_permit permit;
} permit;

static const char *const outcomes[] = {"success", "failure", "abandoned", NULL};

static uint64_t now_ms(lua_State *L)
{
    pl_host *host = plua_host(L);
    if (host)
        return host->ops->now(host);
    struct timespec t; /* while code is loaded; the same clock */
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- the shared part --- */
static void dispose(pl_thing *thing)
{
    shared_breaker *shared = (shared_breaker *)thing;
    pthread_mutex_destroy(&shared->lock);
    pl_free(shared);
}

static pl_thing *make(void *arg)
{
    shared_breaker *shared = pl_calloc(1, sizeof *shared);
    if (!shared)
        return NULL;
    shared->thing.dispose = dispose;
    pthread_mutex_init(&shared->lock, NULL);
    pl_breaker_init(&shared->breaker, arg);
    return &shared->thing;
}

static void release(breaker *b)
{
    if (b->shared)
        pl_registry_release(b->registry, &b->shared->thing);
    b->shared = NULL;
}

static int breaker_gc(lua_State *L)
{
    release(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static breaker *check(lua_State *L)
{
    breaker *b = luaL_checkudata(L, 1, TYPE);
    if (!b->shared)
        luaL_error(L, "breaker: it has not been made");
    return b;
}

/* --- settings: a table of numbers that the Lua half has checked --- */
static lua_Number number(lua_State *L, const char *name)
{
    lua_getfield(L, 2, name);
    lua_Number n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return n;
}

static pl_breaker_config read_config(lua_State *L)
{
    return (pl_breaker_config){
        .failures = (uint32_t)number(L, "failures"),
        .rate = number(L, "rate"),
        .window = (uint64_t)(number(L, "window") * 1000),
        .minimum = (uint32_t)number(L, "minimum"),
        .open = (uint64_t)(number(L, "open") * 1000),
        .probes = (uint32_t)number(L, "probes"),
        .slow = (uint64_t)(number(L, "slow") * 1000),
        .slow_rate = number(L, "slow_rate"),
    };
}

/* The server's; or the state's own, where it runs without a server. upvalue 1: that one, once it is needed */
static pl_registry *registry_of(lua_State *L)
{
    pl_shared *shared = plua_config(L)->shared;
    if (shared)
        return pl_shared_registry(shared);
    pl_registry **own = lua_touserdata(L, lua_upvalueindex(1));
    if (!*own)
        *own = pl_registry_new();
    if (!*own)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "breaker: out of memory");
    return *own;
}

static int own_registry_gc(lua_State *L)
{
    pl_registry **own = lua_touserdata(L, 1);
    pl_registry_free(*own);
    *own = NULL;
    return 0;
}

/* core.open(name, settings) */
static int core_open(lua_State *L)
{
    pl_str name;
    pl_error err = {0};
    name.ptr = luaL_checklstring(L, 1, &name.len);
    luaL_argcheck(L, name.len > 0 && name.len <= MOST_NAME, 1, "a name of 1 to 256 bytes is expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    pl_breaker_config config = read_config(L);
    pl_registry *registry = registry_of(L);
    breaker *b = lua_newuserdatauv(L, sizeof *b, 0);
    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, TYPE);
    memcpy(b->name, name.ptr, name.len);
    b->registry = registry;
    b->shared = (shared_breaker *)pl_registry_get(registry, TYPE, name, make, &config, &err);
    if (!b->shared)
        return plua_raise(L, err.code, "breaker: %s", err.message);
    pthread_mutex_lock(&b->shared->lock);
    pl_breaker_configure(&b->shared->breaker, &config);
    pthread_mutex_unlock(&b->shared->lock);
    return 1;
}

/* --- permits --- */
static void log_change(lua_State *L, const breaker *b, const pl_breaker_stats *stats)
{
    bool open = stats->state != PL_BREAKER_CLOSED;
    pl_log(plua_log(L), open ? PL_WARN : PL_INFO, open ? "circuit breaker opened" : "circuit breaker closed",
           PL_F_CSTR("breaker", b->name), PL_F_INT("opened", stats->total_opened),
           PL_F_INT("failures", stats->total_failures), PL_F_INT("calls", stats->total_calls));
}

static void settle(lua_State *L, permit *p, pl_breaker_outcome outcome)
{
    breaker *b = p->breaker;
    pl_breaker_stats stats;
    if (!b || !b->shared)
        return;
    p->breaker = NULL;
    uint64_t now = now_ms(L);
    pthread_mutex_lock(&b->shared->lock);
    bool changed = pl_breaker_end(&b->shared->breaker, &p->permit, outcome, now);
    stats = pl_breaker_look(&b->shared->breaker, now);
    pthread_mutex_unlock(&b->shared->lock);
    if (changed)
        log_change(L, b, &stats);
}

/* b:enter(): a permit; or nil and the seconds until it is worth trying again */
static int breaker_enter(lua_State *L)
{
    breaker *b = check(L);
    permit *p = lua_newuserdatauv(L, sizeof *p, 1);
    *p = (permit){0};
    luaL_setmetatable(L, PERMIT);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    uint64_t now = now_ms(L);
    pthread_mutex_lock(&b->shared->lock);
    bool may = pl_breaker_begin(&b->shared->breaker, now, &p->permit);
    uint64_t wait = pl_breaker_retry_after(&b->shared->breaker, now);
    pthread_mutex_unlock(&b->shared->lock);
    if (may) {
        p->breaker = b;
        return 1;
    }
    lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)wait / 1000);
    return 2;
}

static int permit_settle(lua_State *L)
{
    permit *p = luaL_checkudata(L, 1, PERMIT);
    settle(L, p, (pl_breaker_outcome)luaL_checkoption(L, 2, NULL, outcomes));
    return 0;
}

/* permit:judge(error): settles it with what the error says. */
static int permit_judge(lua_State *L)
{
    permit *p = luaL_checkudata(L, 1, PERMIT);
    pl_breaker_outcome outcome = PL_BREAKER_FAILURE; /* an unexpected error */
    if (plua_is_error(L, 2)) {
        lua_pushliteral(L, "code");
        lua_rawget(L, 2);
        outcome = pl_breaker_judge(plua_code_named(pl_str_of(lua_tostring(L, -1))));
    }
    settle(L, p, outcome);
    return 0;
}

/* Of a permit that nobody has settled: by an error (the second argument), or by nothing at all. */
static int permit_close(lua_State *L)
{
    if (!lua_isnoneornil(L, 2))
        return permit_judge(L);
    settle(L, luaL_checkudata(L, 1, PERMIT), PL_BREAKER_ABANDONED);
    return 0;
}

/* Nobody closed it: its coroutine was left behind. There may be no clock any more; none is needed. */
static int permit_gc(lua_State *L)
{
    permit *p = luaL_checkudata(L, 1, PERMIT);
    breaker *b = p->breaker;
    p->breaker = NULL;
    if (!b || !b->shared)
        return 0;
    pthread_mutex_lock(&b->shared->lock);
    pl_breaker_end(&b->shared->breaker, &p->permit, PL_BREAKER_ABANDONED, 0);
    pthread_mutex_unlock(&b->shared->lock);
    return 0;
}

/* --- looking --- */
static pl_breaker_stats look(lua_State *L, breaker *b)
{
    uint64_t now = now_ms(L);
    pthread_mutex_lock(&b->shared->lock);
    pl_breaker_stats stats = pl_breaker_look(&b->shared->breaker, now);
    pthread_mutex_unlock(&b->shared->lock);
    return stats;
}

static int breaker_state(lua_State *L)
{
    lua_pushstring(L, pl_breaker_state_name(look(L, check(L)).state));
    return 1;
}

static int breaker_stats(lua_State *L)
{
    breaker *b = check(L);
    pl_breaker_stats s = look(L, b);
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"calls", s.calls},
        {"failures", s.failures},
        {"slow", s.slow},
        {"in_a_row", s.in_a_row},
        {"total_calls", s.total_calls},
        {"total_failures", s.total_failures},
        {"total_slow", s.total_slow},
        {"total_refused", s.total_refused},
        {"total_opened", s.total_opened},
    };
    lua_createtable(L, 0, 12);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, (lua_Integer)numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    lua_pushstring(L, b->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, pl_breaker_state_name(s.state));
    lua_setfield(L, -2, "state");
    lua_pushnumber(L, (lua_Number)s.retry_after / 1000);
    lua_setfield(L, -2, "retry_after");
    return 1;
}

static int breaker_reset(lua_State *L)
{
    breaker *b = check(L);
    uint64_t now = now_ms(L);
    pthread_mutex_lock(&b->shared->lock);
    pl_breaker_reset(&b->shared->breaker, now);
    pthread_mutex_unlock(&b->shared->lock);
    return 0;
}

int plua_open_breaker(lua_State *L)
{
    static const luaL_Reg breaker_methods[] = {{"enter", breaker_enter},
                                               {"state", breaker_state},
                                               {"stats", breaker_stats},
                                               {"reset", breaker_reset},
                                               {NULL, NULL}};
    static const luaL_Reg permit_methods[] = {
        {"settle", permit_settle}, {"judge", permit_judge}, {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = TYPE, .gc = breaker_gc, .methods = breaker_methods});
    plua_push_type(
        L, &(plua_type){.name = PERMIT, .gc = permit_gc, .close = permit_close, .methods = permit_methods});
    lua_pop(L, 2);
    lua_createtable(L, 0, 1);
    *(pl_registry **)lua_newuserdatauv(L, sizeof(pl_registry *), 0) = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, own_registry_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, core_open, 1);
    lua_setfield(L, -2, "open");
    return 1;
}
