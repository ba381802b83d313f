/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bindings/lua/internal.h"
#include "bindings/lua/upload.h"

/* The value of an Upload argument: a reader of one file of the request. Its body is not read before the
 * script asks for it, and never held as a whole. */

typedef struct upload {
    pl_upload_body *body; /* with a reference; NULL until it is made */
    uint64_t at, size, position;
} upload;

#define FILENAME 1 /* user values */
#define CONTENT_TYPE 2

static const char metatable[] = "perilune.upload";

static upload *check_upload(lua_State *L)
{
    return luaL_checkudata(L, 1, metatable);
}

/* The upload, of a request that still goes on. */
static upload *check_live(lua_State *L)
{
    upload *u = check_upload(L);
    if (u->body->ended)
        plua_raise(L, PL_FAILED_PRECONDITION,
                   "the upload can no longer be read: the request that it came with has ended");
    return u;
}

/* --- reading --- */
static void read_bytes(lua_State *L, const upload *u, char *out, size_t len)
{
    const pl_upload_body *body = u->body;
    uint64_t at = u->at + u->position;
    if (body->fd < 0) {
        memcpy(out, body->bytes + at, len);
        return;
    }
    while (len > 0) {
        ssize_t n = pread(body->fd, out, len, (off_t)(body->fd_at + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            plua_raise(L, PL_UNAVAILABLE, "the upload cannot be read: %s",
                       n < 0 ? strerror(errno) : "its file is too short");
        out += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
}

/* upload:read([n]): up to n bytes, or all that are left; nil at the end */
static int upload_read(lua_State *L)
{
    upload *u = check_live(L);
    uint64_t left = u->size - u->position;
    lua_Integer most = luaL_optinteger(L, 2, (lua_Integer)left);
    luaL_argcheck(L, lua_isnoneornil(L, 2) || most > 0, 2, "a number of bytes, from 1, is expected");
    if (left == 0)
        return 0;
    size_t n = (uint64_t)most < left ? (size_t)most : (size_t)left;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, n);
    read_bytes(L, u, out, n);
    luaL_pushresultsize(&buffer, n);
    u->position += n;
    return 1;
}

/* upload:seek([position]): where the next read begins, from 0 */
static int upload_seek(lua_State *L)
{
    upload *u = check_live(L);
    lua_Integer to = luaL_optinteger(L, 2, (lua_Integer)u->position);
    luaL_argcheck(L, to >= 0 && (uint64_t)to <= u->size, 2, "a position within the file is expected");
    u->position = (uint64_t)to;
    lua_pushinteger(L, to);
    return 1;
}

/* --- on a helper thread --- */
typedef struct task {
    pl_job job; /* first */
    plua_wait wait;
    atomic_bool stop;
    pl_upload_body *body;
    plua_upload_source source;
    char *copy; /* of bytes that may go while the task runs */
    char *path; /* NULL: it is the hash that is asked for */
    char hash[65];
    pl_error error;
} task;

static void task_free(task *t)
{
    pl_upload_body_unref(t->body);
    pl_free(t->copy);
    pl_free(t);
}

static void run_task(pl_job *job)
{
    task *t = (task *)job;
    if (t->path)
        plua_upload_save(&t->source, t->body->directory, t->path, &t->error);
    else
        plua_upload_sha256(&t->source, t->hash, &t->error);
}

static void task_done(pl_job *job)
{
    task *t = (task *)job;
    pl_upload_body_read_end(t->body);
    plua_wait_finish(&t->wait);
    task_free(t);
}

static void task_cancelled(plua_wait *wait)
{
    task *t = wait->data;
    atomic_store(&t->stop, true);
}

static task *task_new(const upload *u, pl_str path)
{
    task *t = pl_calloc(1, sizeof *t + path.len + 1);
    if (!t)
        return NULL;
    t->job.run = run_task;
    t->job.done = task_done;
    t->wait.data = t;
    t->body = pl_upload_body_ref(u->body);
    t->source = (plua_upload_source){
        .fd = u->body->fd, .at = u->body->fd_at + u->at, .size = u->size, .stop = &t->stop};
    if (path.len > 0) {
        t->path = (char *)(t + 1);
        memcpy(t->path, path.ptr, path.len);
    }
    if (u->body->fd < 0) {
        t->copy = pl_malloc((size_t)u->size + 1);
        if (!t->copy) {
            task_free(t);
            return NULL;
        }
        memcpy(t->copy, u->body->bytes + u->at, (size_t)u->size);
        t->source.bytes = t->copy;
        t->source.at = 0;
    }
    return t;
}

static int push_result(lua_State *L, int status, lua_KContext context)
{
    task *t = (task *)context; /* NOLINT(performance-no-int-to-ptr): what continuations are given */
    (void)status;
    if (t->error.code)
        return plua_raise(L, t->error.code, "%s", t->error.message);
    if (t->path)
        lua_pushfstring(L, "%s/%s", t->body->directory, t->path);
    else
        lua_pushstring(L, t->hash);
    return 1;
}

static int start_task(lua_State *L, const char *what, const upload *u, pl_str path)
{
    plua_wait_check(L, what);
    pl_host *host = plua_host(L);
    task *t = task_new(u, path);
    if (!t)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "%s: out of memory", what);
    pl_upload_body_read_begin(t->body);
    if (host->ops->offload(host, &t->job, NULL) != 0) {
        pl_upload_body_read_end(t->body);
        task_free(t);
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "%s: too much work is waiting already", what);
    }
    plua_wait_begin(L, what, &t->wait, task_cancelled);
    return plua_wait_yield(L, (lua_KContext)t, push_result);
}

/* upload:sha256(): of the whole file, in hexadecimal digits */
static int upload_sha256(lua_State *L)
{
    return start_task(L, "upload:sha256", check_live(L), PL_STR_NONE);
}

/* upload:save(path): writes it below the folder of the setting, and returns where */
static int upload_save(lua_State *L)
{
    upload *u = check_live(L);
    pl_str path;
    path.ptr = luaL_checklstring(L, 2, &path.len);
    if (!u->body->directory)
        return plua_raise(L, PL_FAILED_PRECONDITION,
                          "upload:save: the setting http.uploads.directory names no folder for files");
    if (!plua_upload_path_is_sound(path))
        return plua_raise(L, PL_INVALID_ARGUMENT,
                          "upload:save: the path must be relative, without \".\", \"..\" and empty parts");
    return start_task(L, "upload:save", u, path);
}

/* --- the value --- */
static int upload_index(lua_State *L)
{
    upload *u = check_upload(L);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "size") == 0)
        lua_pushinteger(L, (lua_Integer)u->size);
    else if (strcmp(key, "filename") == 0)
        lua_getiuservalue(L, 1, FILENAME);
    else if (strcmp(key, "content_type") == 0)
        lua_getiuservalue(L, 1, CONTENT_TYPE);
    else
        lua_getfield(L, lua_upvalueindex(1), key);
    return 1;
}

static int upload_tostring(lua_State *L)
{
    upload *u = check_upload(L);
    lua_getiuservalue(L, 1, FILENAME);
    lua_pushfstring(L, "upload: %s (%I bytes)", lua_tostring(L, -1), (lua_Integer)u->size);
    return 1;
}

static int upload_gc(lua_State *L)
{
    upload *u = lua_touserdata(L, 1);
    pl_upload_body_unref(u->body);
    u->body = NULL;
    return 0;
}

static void push_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"read", upload_read},
                                       {"seek", upload_seek},
                                       {"sha256", upload_sha256},
                                       {"save", upload_save},
                                       {NULL, NULL}};
    plua_push_type(L, &(plua_type){.name = metatable,
                                   .gc = upload_gc,
                                   .tostring = upload_tostring,
                                   .methods = methods,
                                   .index = upload_index});
}

void plua_push_upload(pl_state *state, const pl_upload *given)
{
    lua_State *L = plua_cast(state)->L;
    luaL_checkstack(L, 6, "too deep");
    upload *u = lua_newuserdatauv(L, sizeof *u, 2); /* stack: upload */
    *u = (upload){.at = given->at, .size = given->size};
    lua_pushlstring(L, given->filename.ptr ? given->filename.ptr : "", given->filename.len);
    lua_setiuservalue(L, -2, FILENAME);
    lua_pushlstring(L, given->content_type.ptr ? given->content_type.ptr : "", given->content_type.len);
    lua_setiuservalue(L, -2, CONTENT_TYPE);
    push_metatable(L);
    u->body = pl_upload_body_ref(given->body);
    lua_setmetatable(L, -2);
}
