/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bindings/lua/internal.h"
#include "value/topic.h"

/* perilune.streams.core: the C half of perilune.streams. */

#define ASKER_TYPE "perilune.streams.asker"

typedef struct asker {
    pl_topic_asker base; /* first */
    plua_wait wait;
    pl_code code;
    unsigned partitions;
    char why[256];
} asker;

static void on_done(pl_topic_asker *base, const pl_topic_found *found)
{
    asker *a = (asker *)base;
    a->code = found->code;
    a->partitions = found->partitions;
    if (found->code)
        snprintf(a->why, sizeof a->why, "%s", found->why ? found->why : "");
    if (a->wait.call)
        plua_wait_finish(&a->wait);
}

static void on_cancelled(plua_wait *wait)
{
    pl_topic_forget(wait->data);
}

static int asker_gc(lua_State *L)
{
    pl_topic_forget(lua_touserdata(L, 1));
    return 0;
}

static int told(lua_State *L, int status, lua_KContext ctx)
{
    const asker *a = luaL_checkudata(L, 1, ASKER_TYPE);
    if (a->code)
        return plua_raise(L, a->code, "%s", a->why);
    if (a->partitions == 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, a->partitions);
    return 1;
}

/* topic(name, partitions, compacted) → how many partitions it has; it is made where it is not there, unless
 * partitions is 0. nil: there is none. */
static int streams_topic(lua_State *L)
{
    pl_host *host = plua_host(L);
    pl_topic_want want = {.partitions = (unsigned)luaL_optinteger(L, 2, 0), .compacted = lua_toboolean(L, 3)};
    pl_error err;
    pl_error_clear(&err);
    want.name.ptr = luaL_checklstring(L, 1, &want.name.len);
    luaL_argcheck(L, want.name.len > 0 && strlen(want.name.ptr) == want.name.len, 1, "no name of a topic");
    if (!host || !host->ops->ask_topic)
        return plua_raise(L, PL_FAILED_PRECONDITION, "there are topics only where there is a server");
    plua_wait_check(L, "streams");
    asker *a = lua_newuserdatauv(L, sizeof *a, 0);
    *a = (asker){.base = {.done = on_done}};
    a->wait.data = a;
    luaL_setmetatable(L, ASKER_TYPE);
    if (host->ops->ask_topic(host, &want, &a->base, &err) != PL_OK)
        return plua_raise(L, err.code, "%s: %s", want.name.ptr, err.message);
    lua_replace(L, 1);
    lua_settop(L, 1);
    plua_wait_begin(L, "streams", &a->wait, on_cancelled);
    return plua_wait_yield(L, 0, told);
}

/* Makes each folder of the path, whose bytes are changed on the way and put back. */
static bool make_folders(char *path)
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        bool there = mkdir(path, 0750) == 0 || errno == EEXIST;
        *at = end;
        if (!there || end == '\0')
            return there;
    }
}

/* folder(path) → its path in full: a relative one is below the bundle. It is made where it is not there. nil:
 * the bundle has no folder. */
static int streams_folder(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    pl_str directory = plua_config(L)->directory;
    if (path[0] != '/' && directory.len == 0)
        return 0;
    if (path[0] != '/') {
        lua_pushlstring(L, directory.ptr, directory.len);
        lua_pushfstring(L, "/%s", path);
        lua_concat(L, 2);
    } else {
        lua_pushvalue(L, 1);
    }
    size_t len;
    const char *full = lua_tolstring(L, -1, &len);
    char *copy = lua_newuserdatauv(L, len + 1, 0);
    memcpy(copy, full, len + 1);
    if (!make_folders(copy))
        return plua_raise(L, PL_FAILED_PRECONDITION, "%s: the folder cannot be made: %s", full,
                          strerror(errno));
    lua_pop(L, 1);
    return 1;
}

int plua_open_streams(lua_State *L)
{
    static const luaL_Reg functions[] = {{"topic", streams_topic}, {"folder", streams_folder}, {NULL, NULL}};
    static const plua_type type = {.name = ASKER_TYPE, .gc = asker_gc};
    plua_push_type(L, &type);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
