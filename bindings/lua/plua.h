/* SPDX-License-Identifier: MIT */
#ifndef PLUA_H
#define PLUA_H

/* Inside of the Lua engine: what its parts and the C halves of the perilune.* modules share.
 *
 * A script call runs in a pooled coroutine, the call's *thread*. A module function that waits begins a wait,
 * arranges for something to finish it later (a timer, a helper thread), and yields; the engine resumes the
 * coroutine when the wait is finished. User coroutines in between pass the yield on, so that waiting works
 * inside them, too. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "value/engine.h"

typedef struct plua_state plua_state;
typedef struct plua_call plua_call;

/* The engine state that L belongs to: constant time, any coroutine of it. */
plua_state *plua_of(lua_State *L);
/* Never NULL after attach; NULL while top-level code is loaded. */
pl_host *plua_host(lua_State *L);
const pl_state_config *plua_config(lua_State *L);
pl_logger *plua_log(lua_State *L);
/* The work (request) for which the running call was made; NULL while loading. */
const pl_work *plua_work(lua_State *L);
/* Tells the running call from all others of the state; 0 while none runs. */
uint64_t plua_call_id(lua_State *L);

/* --- waiting --- */
typedef struct plua_wait plua_wait;
struct plua_wait {
    plua_call *call; /* NULL when nothing waits (finished, or cancelled) */
    /* The call was cancelled (client gone, deadline, state closed) before plua_wait_finish: the owner must
     * let go of what it started, and not finish. Runs on the state's thread; must not call Lua. May be NULL.
     */
    void (*cancelled)(plua_wait *wait);
    void *data; /* the owner's */
};
/* Raises a Lua error where waiting is impossible: at load time, or below a C function that cannot yield (a
 * table.sort comparator, a string.gsub callback, a metamethod called from C). what names the function for the
 * message: "time.sleep". [jumps] */
void plua_wait_check(lua_State *L, const char *what);
/* Checks, and makes *wait (owned by the caller, alive until finished or cancelled) the thing that the running
 * call waits for. The caller then must `return plua_wait_yield(...)` without raising an error in between.
 * [jumps] */
void plua_wait_begin(lua_State *L, const char *what, plua_wait *wait, void (*cancelled)(plua_wait *wait));
/* Yields; when the wait is finished k(L, LUA_YIELD, ctx) runs, as the continuation of the C function
 * (lua_yieldk), with the function's stack as it was; it pushes the results and returns their number, or
 * raises an error. */
int plua_wait_yield(lua_State *L, lua_KContext ctx, lua_KFunction k);
/* On the state's thread, from a timer or a job's done, never from inside a Lua call: the coroutine goes on
 * before this returns. *wait may be freed by k. */
void plua_wait_finish(plua_wait *wait);
/* It will be finished soon: fetches what that needs into the cache; `near`: what is found through the first
 * part. The wait is not finished. */
void plua_wait_soon(const plua_wait *wait, bool near);

/* --- long work inside C functions --- */
/* To be called now and then by C functions that may run long (string matching): raises the interruption if
 * the watchdog has asked for one, else does nothing. [jumps] */
void plua_check_interrupt(lua_State *L);

/* --- modules --- */
typedef struct plua_module {
    const char *name;   /* "perilune.time" */
    lua_CFunction open; /* as for luaL_requiref: pushes the module table */
} plua_module;
int plua_open_json(lua_State *L);
int plua_open_log(lua_State *L);
int plua_open_time(lua_State *L);
int plua_open_crypto(lua_State *L);
int plua_open_sqlite(lua_State *L);
int plua_open_sqlite_core(lua_State *L);
int plua_open_shared(lua_State *L);
int plua_open_pubsub(lua_State *L);
int plua_open_cache(lua_State *L);
int plua_open_breaker(lua_State *L);
int plua_open_auth(lua_State *L);
int plua_open_proto(lua_State *L);
int plua_open_health(lua_State *L);
int plua_open_events(lua_State *L);
int plua_open_grpc(lua_State *L);
int plua_open_topics(lua_State *L);
int plua_open_registry(lua_State *L);
int plua_open_streams(lua_State *L);
int plua_open_test(lua_State *L);
int plua_open_metrics(lua_State *L);
int plua_open_native(lua_State *L);
/* A kind of userdata. */
typedef struct plua_type {
    const char *name;        /* in the registry, and in messages */
    lua_CFunction gc, close; /* each may be NULL */
    lua_CFunction tostring;  /* NULL: as Lua does it */
    lua_CFunction call;      /* NULL: it cannot be called */
    const luaL_Reg *methods; /* NULL: none */
    lua_CFunction index;     /* NULL: methods; else __index, with the table of methods as upvalue */
} plua_type;
/* Pushes its metatable, which is made the first time: whole, or (out of memory) not at all. [jumps] */
void plua_push_type(lua_State *L, const plua_type *type);
/* Replaces string.find, match, gmatch and gsub in the table at the top of the stack. */
void plua_install_patterns(lua_State *L);

/* perilune.null: a light userdata with this address (the same in all states). */
extern const char plua_null_mark;
static inline void plua_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&plua_null_mark);
}
static inline bool plua_is_null(lua_State *L, int index)
{
    return lua_touserdata(L, index) == (const void *)&plua_null_mark;
}
/* Marks the table at index as a list, so that it is written as [] when empty (a shared metatable). */
void plua_mark_list(lua_State *L, int index);
/* Raises an error of perilune.errors: plua_raise(L, PL_NOT_FOUND, "no such %s", name). [jumps] */
int plua_raise(lua_State *L, pl_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Pushes such an error instead of raising it. */
void plua_push_failure(lua_State *L, pl_code code, pl_str message);

#endif
