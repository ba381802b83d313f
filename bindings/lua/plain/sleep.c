/* SPDX-License-Identifier: MIT */
#include "bindings/lua/sleep.h"

#include <errno.h>
#include <math.h>
#include <time.h>

/* time.sleep where there is no loop: it blocks the thread. */

static int nothing(lua_State *L)
{
    return 0;
}

static int blocking_sleep(lua_State *L)
{
    lua_Number seconds = plua_check_sleep(L), whole = floor(seconds);
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)whole;
    end.tv_nsec += (long)((seconds - whole) * 1e9);
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) {
        /* A signal has come. Handlers, like that of lua5.4 for Ctrl-C, set a hook, which a call runs. */
        lua_pushcfunction(L, nothing);
        lua_call(L, 0, 0);
    }
    return 0;
}

void plua_push_sleep(lua_State *L)
{
    lua_pushcfunction(L, blocking_sleep);
}
