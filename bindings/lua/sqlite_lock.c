/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bindings/lua/sqlite.h"

/* A lock that one process has, whatever the clocks say: the kernel gives it up with its owner. Not on the
 * database itself, whose locks SQLite would lose when another descriptor of it is closed. */

#define LOCK_TYPE "perilune.sqlite.lock"

static void give_up(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int lock_gc(lua_State *L)
{
    give_up(lua_touserdata(L, 1));
    return 0;
}

int sq_lock(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
    *fd = -1;
    luaL_setmetatable(L, LOCK_TYPE);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 1;
    int failure = errno;
    give_up(fd);
    if (failure == EWOULDBLOCK) {
        lua_pushnil(L);
        return 1;
    }
    return plua_raise(L, PL_UNAVAILABLE, "%s: %s", path, strerror(failure));
}

void sq_open_lock(lua_State *L)
{
    static const plua_type type = {.name = LOCK_TYPE, .gc = lock_gc, .close = lock_gc};
    plua_push_type(L, &type);
    lua_pop(L, 1);
}
