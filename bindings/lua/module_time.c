/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <time.h>

#include "bindings/lua/calendar.h"
#include "bindings/lua/sleep.h"

/* perilune.time */

static struct timespec clock_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t;
}

static int time_now(lua_State *L)
{
    struct timespec t = clock_now(CLOCK_REALTIME);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
    return 1;
}

static int time_now_ms(lua_State *L)
{
    struct timespec t = clock_now(CLOCK_REALTIME);
    lua_pushinteger(L, (lua_Integer)t.tv_sec * 1000 + t.tv_nsec / 1000000);
    return 1;
}

static int time_monotonic(lua_State *L)
{
    struct timespec t = clock_now(CLOCK_MONOTONIC);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
    return 1;
}

/* --- RFC 3339 --- */

/* Splits a number of seconds, rounded to so many digits. */
static void split(lua_Number t, int digits, int64_t *seconds, uint32_t *nanoseconds)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double whole = floor(t), units = floor((t - whole) * powers[digits] + 0.5);
    if (units >= powers[digits]) {
        units = 0;
        whole += 1;
    }
    *seconds = (int64_t)whole;
    *nanoseconds = (uint32_t)(units * powers[9 - digits]);
}

static void check_range(lua_State *L, int arg, lua_Number t)
{
    luaL_argcheck(L, t >= (lua_Number)PLUA_LEAST_SECONDS && t < (lua_Number)PLUA_MOST_SECONDS + 1, arg,
                  "not within the years 0 to 9999");
}

static int time_rfc3339(lua_State *L)
{
    int64_t seconds;
    uint32_t nanoseconds = 0;
    bool integer = lua_isinteger(L, 1);
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 2);
        time_now(L);
        lua_replace(L, 1);
    }
    lua_Number t = luaL_checknumber(L, 1);
    lua_Integer digits = luaL_optinteger(L, 2, integer ? 0 : 3);
    luaL_argcheck(L, digits >= 0 && digits <= 9, 2, "not within 0 to 9 digits");
    check_range(L, 1, t);
    if (integer)
        seconds = lua_tointeger(L, 1);
    else
        split(t, (int)digits, &seconds, &nanoseconds);
    luaL_argcheck(L, seconds <= PLUA_MOST_SECONDS, 1, "not within the years 0 to 9999");
    char text[40];
    lua_pushlstring(L, text, (size_t)plua_rfc3339_write(text, seconds, nanoseconds, (int)digits));
    return 1;
}

static int time_parse_rfc3339(lua_State *L)
{
    pl_str text;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    int64_t seconds;
    uint32_t nanoseconds;
    const char *error = plua_rfc3339_read(text, &seconds, &nanoseconds);
    if (error) {
        luaL_pushfail(L);
        lua_pushfstring(L, "not an RFC 3339 time: %s", error);
        return 2;
    }
    if (nanoseconds == 0)
        lua_pushinteger(L, seconds);
    else
        lua_pushnumber(L, (lua_Number)seconds + (lua_Number)nanoseconds / 1e9);
    return 1;
}

/* --- dates --- */

static void set_int(lua_State *L, const char *name, lua_Integer v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

static int time_date(lua_State *L)
{
    lua_Number t = luaL_checknumber(L, 1);
    check_range(L, 1, t);
    plua_date d = plua_date_of((int64_t)floor(t));
    lua_createtable(L, 0, 8);
    set_int(L, "year", d.year);
    set_int(L, "month", d.month);
    set_int(L, "day", d.day);
    set_int(L, "hour", d.hour);
    set_int(L, "min", d.minute);
    set_int(L, "sec", d.second);
    set_int(L, "weekday", d.weekday);
    set_int(L, "yday", d.yearday);
    return 1;
}

static int date_field(lua_State *L, const char *name, int missing)
{
    lua_getfield(L, 1, name);
    int is_integer;
    lua_Integer v = lua_tointegerx(L, -1, &is_integer);
    if (lua_isnil(L, -1) && missing >= 0)
        v = missing;
    else if (!is_integer)
        luaL_error(L, "time.utc: field '%s' is no integer", name);
    if (v < -1000000000 || v > 1000000000)
        luaL_error(L, "time.utc: field '%s' is out of range", name);
    lua_pop(L, 1);
    return (int)v;
}

static int time_utc(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    plua_date d = {.year = date_field(L, "year", -1),
                   .month = date_field(L, "month", 1),
                   .day = date_field(L, "day", 1),
                   .hour = date_field(L, "hour", 0),
                   .minute = date_field(L, "min", 0),
                   .second = date_field(L, "sec", 0)};
    lua_pushinteger(L, plua_date_seconds(&d));
    return 1;
}

int plua_open_time(lua_State *L)
{
    static const luaL_Reg functions[] = {{"now", time_now},
                                         {"now_ms", time_now_ms},
                                         {"monotonic", time_monotonic},
                                         {"rfc3339", time_rfc3339},
                                         {"parse_rfc3339", time_parse_rfc3339},
                                         {"date", time_date},
                                         {"utc", time_utc},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    plua_push_sleep(L);
    lua_setfield(L, -2, "sleep");
    return 1;
}
