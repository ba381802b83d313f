/* SPDX-License-Identifier: MIT */
#include "bindings/lua/sleep.h"

#include <math.h>

/* time.sleep in a call: it waits for a timer of the loop. */

typedef struct sleeper {
    plua_wait wait;
    pl_timer timer;
    pl_host *host; /* NULL when the timer is not armed */
} sleeper;

static void disarm(sleeper *s)
{
    if (s->host)
        s->host->ops->timer_stop(s->host, &s->timer);
    s->host = NULL;
}

static void on_time(pl_timer *timer)
{
    sleeper *s = timer->data;
    s->host = NULL;
    plua_wait_finish(&s->wait);
}

static void on_cancelled(plua_wait *wait)
{
    disarm(wait->data);
}

static int sleeper_gc(lua_State *L)
{
    disarm(lua_touserdata(L, 1));
    return 0;
}

static int slept(lua_State *L, int status, lua_KContext ctx)
{
    return 0;
}

static int time_sleep(lua_State *L)
{
    lua_Number seconds = plua_check_sleep(L);
    plua_wait_check(L, "time.sleep");
    lua_settop(L, 0);
    sleeper *s = lua_newuserdatauv(L, sizeof(*s), 0);
    memset(s, 0, sizeof(*s));
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, 1);
    s->wait.data = s;
    s->timer.data = s;
    s->timer.fire = on_time;
    pl_host *host = plua_host(L);
    if (host->ops->timer_start(host, &s->timer, host->ops->now(host) + (uint64_t)ceil(seconds * 1000)) != 0)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "time.sleep: out of memory");
    s->host = host;
    plua_wait_begin(L, "time.sleep", &s->wait, on_cancelled);
    return plua_wait_yield(L, 0, slept);
}

void plua_push_sleep(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, sleeper_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcclosure(L, time_sleep, 1);
}
