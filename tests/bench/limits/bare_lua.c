/* SPDX-License-Identifier: MIT */
/* The limit of resolvers in Lua: a libh2o handler that answers each POST with what the resolvers of the
 * benchmark's bundle give to the nested query, by code that knows this query alone. It reads no request, has
 * no types, checks nothing, stops no script, waits for nothing; each resolver is called by lua_pcall and each
 * member read by lua_rawget. Called as: bare_lua BUNDLE PORT FILE; PORT 0 is any free one, and FILE has the
 * right answer: it does not begin with another. Prints a ready line with its address when it accepts; ends on
 * SIGTERM by default action. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "serve_h2o.h"

/* What stands on the stack of Lua throughout. */
enum { AT_USERS = 1, AT_POSTS, AT_AUTHOR, AT_NO_ARGS, AT_ID, AT_NAME, AT_EMAIL, AT_TITLE, AT_TOP = AT_TITLE };

enum { ROOM = 16384 }; /* of an answer */

typedef struct text {
    char *at, *end;
} text;

static inline void put(text *out, const char *bytes, size_t len)
{
    if ((size_t)(out->end - out->at) < len)
        abort();
    memcpy(out->at, bytes, len);
    out->at += len;
}
#define PUT(out, literal) put(out, literal, sizeof(literal) - 1)

/* A member of the table on top: a string that needs no escapes, as all of the benchmark's data are. */
#define PUT_MEMBER(L, out, before, key) put_member(L, out, before "\"", sizeof(before), key)

static inline void put_member(lua_State *L, text *out, const char *before, size_t before_len, int key)
{
    size_t len;
    lua_pushvalue(L, key);
    if (lua_rawget(L, -2) != LUA_TSTRING)
        abort();
    const char *bytes = lua_tolstring(L, -1, &len);
    put(out, before, before_len);
    put(out, bytes, len);
    PUT(out, "\"");
    lua_pop(L, 1);
}

/* Calls a resolver with the table on top, or nil: its result is on top then. */
static void resolve(lua_State *L, int resolver, bool has_parent)
{
    lua_pushvalue(L, resolver);
    if (has_parent)
        lua_pushvalue(L, -2);
    else
        lua_pushnil(L);
    lua_pushvalue(L, AT_NO_ARGS);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK || !lua_istable(L, -1))
        abort();
}

static void put_post(lua_State *L, text *out)
{
    PUT_MEMBER(L, out, "{\"id\":", AT_ID);
    PUT_MEMBER(L, out, ",\"title\":", AT_TITLE);
    resolve(L, AT_AUTHOR, true);
    PUT_MEMBER(L, out, ",\"author\":{\"id\":", AT_ID);
    PUT_MEMBER(L, out, ",\"name\":", AT_NAME);
    lua_pop(L, 1);
    PUT(out, "}}");
}

static void put_user(lua_State *L, text *out)
{
    PUT_MEMBER(L, out, "{\"id\":", AT_ID);
    PUT_MEMBER(L, out, ",\"name\":", AT_NAME);
    PUT_MEMBER(L, out, ",\"email\":", AT_EMAIL);
    PUT(out, ",\"posts\":[");
    resolve(L, AT_POSTS, true);
    lua_Unsigned count = lua_rawlen(L, -1);
    for (lua_Unsigned i = 1; i <= count; i++) {
        if (i > 1)
            PUT(out, ",");
        lua_rawgeti(L, -1, (lua_Integer)i);
        put_post(L, out);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    PUT(out, "]}");
}

static void put_answer(lua_State *L, text *out)
{
    PUT(out, "{\"data\":{\"users\":[");
    resolve(L, AT_USERS, false);
    lua_Unsigned count = lua_rawlen(L, -1);
    for (lua_Unsigned i = 1; i <= count; i++) {
        if (i > 1)
            PUT(out, ",");
        lua_rawgeti(L, -1, (lua_Integer)i);
        put_user(L, out);
        lua_pop(L, 1);
    }
    lua_settop(L, AT_TOP);
    PUT(out, "]}}");
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    char *bytes = h2o_mem_alloc_pool(&req->pool, ROOM);
    text out = {bytes, bytes + ROOM};
    put_answer(((bare_handler *)self)->data, &out);
    return answer(req, h2o_iovec_init(bytes, (size_t)(out.at - bytes)));
}

/* The resolvers of the bundle in DIR, and the names of members, in the places of the enum above. */
static lua_State *load(const char *dir)
{
    static const char *prepare =
        "local dir = ...\n"
        "package.path = dir .. '/?.lua'\n"
        "package.preload['lib.notes'] = function() return {} end\n"
        "local r = require 'resolvers.all'\n"
        "return r.Query.users, r.User.posts, r.Post.author, {}, 'id', 'name', 'email', 'title'";
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return NULL;
    luaL_openlibs(L);
    if (luaL_loadstring(L, prepare) == LUA_OK) {
        lua_pushstring(L, dir);
        if (lua_pcall(L, 1, AT_TOP, 0) == LUA_OK)
            return L;
    }
    fprintf(stderr, "bare_lua: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return NULL;
}

static bool is_right(lua_State *L, const char *path)
{
    static char answer[ROOM], right[ROOM];
    text out = {answer, answer + sizeof(answer)};
    FILE *file = fopen(path, "rb");
    size_t len = file == NULL ? 0 : fread(right, 1, sizeof(right), file);
    if (file != NULL)
        fclose(file);
    put_answer(L, &out);
    if (len == (size_t)(out.at - answer) && memcmp(answer, right, len) == 0)
        return true;
    fprintf(stderr, "bare_lua: its answer is not that of %s\n", path);
    return false;
}

int main(int argc, char **argv)
{
    lua_State *L;
    signal(SIGPIPE, SIG_IGN);
    if (argc != 4 || (L = load(argv[1])) == NULL || !is_right(L, argv[3]))
        return 1;
    return serve("bare_lua", atoi(argv[2]), on_request, L);
}
