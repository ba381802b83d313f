/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include "bindings/lua/sqlite.h"

/* perilune.sqlite: what scripts see. db and tx have the same methods; those of tx run inside of its
 * transaction. */

#define DATABASE_TYPE "perilune.sqlite.database"
#define TRANSACTION_TYPE "perilune.sqlite.transaction"
#define OPERATION_TYPE "perilune.sqlite.operation"
#define PATIENCE_IN_CALL_MS 100 /* of sqlite.open, which holds up the loop */

typedef struct database {
    sq_connection *writer, *reader; /* reader NULL: in memory, one connection for all */
} database;

/* --- operations on the Lua stack --- */

static int operation_gc(lua_State *L)
{
    sq_operation **box = lua_touserdata(L, 1);
    sq_operation_release(*box);
    *box = NULL;
    return 0;
}

static sq_operation *operation_at(lua_State *L, int index)
{
    return *(sq_operation **)lua_touserdata(L, index);
}

/* Pushes a userdata that owns a new operation. */
static sq_operation *push_operation(lua_State *L, sq_kind kind, sq_connection *c, sq_transaction *t,
                                    pl_str sql)
{
    sq_operation **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    luaL_setmetatable(L, OPERATION_TYPE);
    *box = sq_operation_new(kind, c, sql);
    if (!*box)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "sqlite: out of memory");
    if (t) {
        (*box)->transaction = t->root;
        t->root->owners++;
    }
    return *box;
}

/* The memory of a large result should not wait for the collector. */
static void free_operation(lua_State *L, int index)
{
    sq_operation **box = lua_touserdata(L, index);
    sq_operation_release(*box);
    *box = NULL;
}

static int load_time_submit(lua_State *L, sq_operation *op, int index, lua_KFunction k)
{
    if (sq_is_idle(op->connection))
        op->connection->host = NULL;
    if (!sq_run_here(op))
        return luaL_error(L, "sqlite: an unfinished transaction has the database; inside of it, use tx");
    return k(L, LUA_OK, index);
}

static void use_writer(sq_operation *op)
{
    sq_connection *reader = op->connection;
    op->connection = sq_connection_hold(reader->writer);
    sq_connection_release(reader);
}

/* Whether op was a short read, and is done. */
static bool try_on_loop(sq_operation *op)
{
    if (op->kind > SQ_VALUE || op->transaction || !sq_is_idle(op->connection))
        return false;
    sq_outcome outcome = sq_operation_run(op, true);
    if (outcome == SQ_FOR_WRITER && op->connection->writer)
        use_writer(op);
    return outcome == SQ_DONE;
}

/* Waiting for a transaction of the same call would never end. */
static void check_deadlock(lua_State *L, const sq_operation *op, const char *what)
{
    const sq_transaction *holder = op->connection->transaction;
    bool inside = op->transaction && op->kind != SQ_BEGIN;
    if (holder && !inside && holder->call != 0 && holder->call == plua_call_id(L))
        luaL_error(L, "%s would wait for the transaction that it runs in: use tx inside of db:transaction",
                   what);
}

/* Runs the operation at index; then k, at once or when it has waited, with index as its context. [jumps] */
static int submit(lua_State *L, int index, const char *what, lua_KFunction k)
{
    sq_operation *op = operation_at(L, index);
    pl_host *host = plua_host(L);
    if (!host || !plua_work(L))
        return load_time_submit(L, op, index, k);
    op->connection->host = host;
    if (op->connection->writer)
        op->connection->writer->host = host;
    if (try_on_loop(op))
        return k(L, LUA_OK, index);
    plua_wait_check(L, what);
    check_deadlock(L, op, what);
    plua_wait_begin(L, what, &op->wait, sq_cancelled);
    if (op->kind == SQ_BEGIN)
        op->transaction->call = plua_call_id(L);
    sq_enqueue(op);
    return plua_wait_yield(L, index, k);
}

/* --- targets: a database or a transaction --- */

typedef struct target {
    sq_connection *writer, *reader;
    sq_transaction *transaction;
} target;

static target check_target(lua_State *L)
{
    sq_transaction **t = luaL_testudata(L, 1, TRANSACTION_TYPE);
    if (t) {
        if (!(*t)->active || !(*t)->root->active)
            luaL_error(L, "sqlite: the transaction is over");
        return (target){(*t)->connection, NULL, *t};
    }
    database *db = luaL_checkudata(L, 1, DATABASE_TYPE);
    if (!db->writer)
        luaL_error(L, "sqlite: the database is closed");
    return (target){db->writer, db->reader, NULL};
}

/* --- statements --- */

static int statement_done(lua_State *L, int status, lua_KContext index)
{
    int count = sq_push_result(L, operation_at(L, (int)index));
    free_operation(L, (int)index);
    return count;
}

static int statement(lua_State *L, sq_kind kind, const char *what)
{
    target at = check_target(L);
    pl_str sql;
    sql.ptr = luaL_checklstring(L, 2, &sql.len);
    bool reads = kind <= SQ_VALUE && at.reader;
    sq_operation *op = push_operation(L, kind, reads ? at.reader : at.writer, at.transaction, sql);
    sq_take_parameters(L, op, 3);
    return submit(L, lua_gettop(L), what, statement_done);
}

static int method_query(lua_State *L)
{
    return statement(L, SQ_QUERY, "sqlite query");
}

static int method_first(lua_State *L)
{
    return statement(L, SQ_FIRST, "sqlite first");
}

static int method_value(lua_State *L)
{
    return statement(L, SQ_VALUE, "sqlite value");
}

static int method_exec(lua_State *L)
{
    return statement(L, SQ_EXEC, "sqlite exec");
}

static int method_exec_script(lua_State *L)
{
    lua_settop(L, 2);
    return statement(L, SQ_SCRIPT, "sqlite exec_script");
}

/* --- transactions ---
 * stack of method_transaction: 1 db or tx, 2 function, 3 options, 4 tx (to be closed), 5 BEGIN, 6 COMMIT,
 * then the results */
enum { AT_FUNCTION = 2, AT_OPTIONS, AT_TX, AT_BEGIN, AT_COMMIT };

static sq_transaction *transaction_at(lua_State *L, int index)
{
    return *(sq_transaction **)lua_touserdata(L, index);
}

static int transaction_close(lua_State *L)
{
    sq_transaction *t = transaction_at(L, 1);
    if (t)
        sq_transaction_abandon(t);
    return 0;
}

static int transaction_gc(lua_State *L)
{
    sq_transaction **box = lua_touserdata(L, 1);
    if (*box) {
        sq_transaction_abandon(*box);
        sq_transaction_release(*box);
        *box = NULL;
    }
    return 0;
}

/* Timers of the server that need not wait for their next turn; it comes all the same. */
static void wake(lua_State *L, const char *timer)
{
    pl_host *host = plua_host(L);
    pl_error ignored;
    pl_error_clear(&ignored);
    if (host && host->ops->publish)
        host->ops->publish(host, pl_str_of(timer), PL_STR("true"), &ignored);
}

static int committed(lua_State *L, int status, lua_KContext index)
{
    const sq_operation *op = operation_at(L, AT_COMMIT);
    if (op->error.code)
        return sq_raise(L, op);
    sq_transaction *t = transaction_at(L, AT_TX);
    sq_transaction_keep(t);
    if (t->root == t && t->relayed)
        wake(L, "perilune.outbox");
    if (t->root == t && t->projected)
        wake(L, "perilune.projections");
    return lua_gettop(L) - AT_COMMIT;
}

static int body_done(lua_State *L, int status, lua_KContext ctx)
{
    sq_transaction *t = transaction_at(L, AT_TX);
    bool root = t->root == t;
    char sql[48] = "COMMIT";
    if (!root)
        snprintf(sql, sizeof(sql), "RELEASE perilune_%d", t->number);
    luaL_checkstack(L, 4, "too many results");
    push_operation(L, root ? SQ_COMMIT : SQ_RELEASE, t->connection, t, pl_str_of(sql));
    lua_replace(L, AT_COMMIT);
    return submit(L, AT_COMMIT, "sqlite transaction", committed);
}

static int begun(lua_State *L, int status, lua_KContext index)
{
    const sq_operation *op = operation_at(L, AT_BEGIN);
    if (op->error.code)
        return sq_raise(L, op);
    sq_transaction *t = transaction_at(L, AT_TX);
    t->active = true;
    if (t->root == t) { /* the database knows it: core.running */
        lua_getiuservalue(L, 1, 1);
        lua_pushvalue(L, AT_TX);
        lua_rawseti(L, -2, 1);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, AT_FUNCTION);
    lua_pushvalue(L, AT_TX);
    lua_callk(L, 1, LUA_MULTRET, 0, body_done);
    return body_done(L, LUA_OK, 0);
}

static const char *begin_sql(lua_State *L)
{
    static const char *const modes[] = {"deferred", "immediate", "exclusive", NULL};
    static const char *const sql[] = {"BEGIN DEFERRED", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"};
    if (lua_isnoneornil(L, AT_OPTIONS))
        return sql[1];
    luaL_checktype(L, AT_OPTIONS, LUA_TTABLE);
    lua_getfield(L, AT_OPTIONS, "mode");
    int mode = luaL_checkoption(L, -1, "immediate", modes);
    lua_pop(L, 1);
    return sql[mode];
}

static int method_transaction(lua_State *L)
{
    target at = check_target(L);
    luaL_checktype(L, AT_FUNCTION, LUA_TFUNCTION);
    lua_settop(L, AT_OPTIONS);
    const char *begin = begin_sql(L);
    sq_transaction **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    luaL_setmetatable(L, TRANSACTION_TYPE);
    sq_transaction *t = *box = sq_transaction_new(at.writer, at.transaction);
    if (!t)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "sqlite: out of memory");
    lua_toclose(L, AT_TX);
    char savepoint[48];
    snprintf(savepoint, sizeof(savepoint), "SAVEPOINT perilune_%d", t->number);
    push_operation(L, at.transaction ? SQ_SAVEPOINT : SQ_BEGIN, at.writer, t,
                   pl_str_of(at.transaction ? savepoint : begin));
    lua_pushnil(L);
    return submit(L, AT_BEGIN, "sqlite transaction", begun);
}

/* --- sqlite.open --- */

static int database_gc(lua_State *L)
{
    database *db = lua_touserdata(L, 1);
    sq_connection *both[] = {db->reader, db->writer};
    db->reader = db->writer = NULL;
    for (int i = 0; i < 2; i++) {
        if (both[i])
            sq_connection_close(both[i]);
        sq_connection_release(both[i]);
    }
    return 0;
}

static lua_Number number_option(lua_State *L, const char *name, lua_Number least, lua_Number most,
                                lua_Number otherwise)
{
    lua_Number v = otherwise;
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        if (!(v >= least && v <= most))
            luaL_error(L, "sqlite.open: option '%s' is not a number from %f to %f", name, least, most);
    }
    lua_pop(L, 1);
    return v;
}

static sq_options default_options(lua_State *L)
{
    const pl_database_config *config = &plua_config(L)->database;
    return (sq_options){.busy_ms = config->busy_ms,
                        .max_rows = config->max_rows,
                        .max_bytes = config->max_bytes,
                        .synced = config->synced};
}

static sq_options check_options(lua_State *L)
{
    static const char *const names[] = {"busy_timeout", "max_rows", "max_bytes", "synchronous", NULL};
    static const char *const degrees[] = {"normal", "full", NULL};
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_newtable(L);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        int i = 0;
        while (names[i] && !(lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), names[i]) == 0))
            i++;
        if (!names[i])
            luaL_error(L, "sqlite.open: there is no option '%s'", luaL_tolstring(L, -2, NULL));
    }
    lua_getfield(L, 2, names[3]);
    bool synced = luaL_checkoption(L, -1, degrees[0], degrees) == 1;
    lua_pop(L, 1);
    return (sq_options){.synced = synced,
                        .busy_ms = (unsigned)ceil(1000 * number_option(L, names[0], 0, 3600, 5)),
                        .max_rows = (size_t)number_option(L, names[1], 1, 1e9, 100000),
                        .max_bytes = (size_t)number_option(L, names[2], 1024, 1e12, 64 << 20)};
}

/* Pushes the path in full; a relative one is relative to the bundle. */
static const char *push_whole(lua_State *L, pl_str path)
{
    pl_str directory = plua_config(L)->directory;
    if (pl_str_is(path, ":memory:") || path.ptr[0] == '/' || directory.len == 0)
        return lua_pushlstring(L, path.ptr, path.len);
    lua_pushlstring(L, directory.ptr, directory.len);
    lua_pushliteral(L, "/");
    lua_pushlstring(L, path.ptr, path.len);
    lua_concat(L, 3);
    return lua_tostring(L, -1);
}

/* Pushes the path of the default database, or raises an error. */
static const char *push_default_path(lua_State *L)
{
    pl_str path = plua_config(L)->database.path;
    if (!path.ptr)
        plua_raise(L, PL_FAILED_PRECONDITION,
                   "there is no default database: set sqlite = { path = \"app.db\" } in app.lua%s",
                   plua_host(L) ? "" : " (which is known once that file has been read)");
    return push_whole(L, path);
}

static const char *push_path(lua_State *L)
{
    pl_str path;
    path.ptr = luaL_checklstring(L, 1, &path.len);
    luaL_argcheck(L, path.len > 0 && strlen(path.ptr) == path.len, 1, "not a path");
    return push_whole(L, path);
}

/* With the settings of app.lua when it is the database that these are of. */
static sq_options options_for(lua_State *L, const char *path)
{
    bool given = !lua_isnoneornil(L, 2);
    if (given || !plua_config(L)->database.path.ptr)
        return check_options(L);
    bool is_default = strcmp(push_default_path(L), path) == 0;
    lua_pop(L, 1);
    return is_default ? default_options(L) : check_options(L);
}

static void open_connections(lua_State *L, database *db, const char *path, const sq_options *options)
{
    pl_error err;
    pl_error_clear(&err);
    unsigned patience = options->busy_ms;
    if (plua_work(L) && patience > PATIENCE_IN_CALL_MS)
        patience = PATIENCE_IN_CALL_MS;
    db->writer = sq_connection_open(path, NULL, options, patience, &err);
    if (db->writer && strcmp(path, ":memory:") != 0)
        db->reader = sq_connection_open(path, db->writer, options, patience, &err);
    if (err.code == PL_INTERNAL)
        luaL_error(L, "%s", err.message);
    if (err.code)
        plua_raise(L, err.code, "%s", err.message);
}

/* Pushes a table that keeps nothing alive. */
static void push_weak(lua_State *L)
{
    lua_createtable(L, 1, 0);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

/* upvalue: path → database */
static int sqlite_open(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_isnil(L, 1) && !lua_isnil(L, 2))
        return luaL_error(L, "sqlite.open: options of the default database are settings of app.lua");
    const char *path = lua_isnil(L, 1) ? push_default_path(L) : push_path(L);
    lua_replace(L, 1); /* stack: path options */
    sq_options options = options_for(L, path);
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TUSERDATA)
        return 1;
    database *db =
        lua_newuserdatauv(L, sizeof(*db), 1); /* its value: { the transaction that was begun last } */
    *db = (database){0};
    luaL_setmetatable(L, DATABASE_TYPE);
    push_weak(L);
    lua_setiuservalue(L, -2, 1);
    open_connections(L, db, path, &options);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(1));
    return 1;
}

/* --- for the library's own modules --- */

/* running(db): the transaction of db that the running call is inside of, or nil. */
static int core_running(lua_State *L)
{
    luaL_checkudata(L, 1, DATABASE_TYPE);
    lua_getiuservalue(L, 1, 1);
    bool any = lua_rawgeti(L, -1, 1) == LUA_TUSERDATA;
    const sq_transaction *t = any ? transaction_at(L, -1) : NULL;
    if (!t || !t->active || t->call != plua_call_id(L))
        lua_pushnil(L);
    return 1;
}

/* relay(tx): when it is committed, the relay looks for events. */
static int core_relay(lua_State *L)
{
    sq_transaction **t = luaL_checkudata(L, 1, TRANSACTION_TYPE);
    (*t)->root->relayed = true;
    return 0;
}

/* project(tx): the same for projections. */
static int core_project(lua_State *L)
{
    sq_transaction **t = luaL_checkudata(L, 1, TRANSACTION_TYPE);
    (*t)->root->projected = true;
    return 0;
}

/* default(): the path of the default database, or nil. */
static int core_default(lua_State *L)
{
    if (!plua_config(L)->database.path.ptr)
        return 0;
    push_default_path(L);
    return 1;
}

int plua_open_sqlite_core(lua_State *L)
{
    static const luaL_Reg functions[] = {{"running", core_running}, {"relay", core_relay},
                                         {"project", core_project}, {"default", core_default},
                                         {"lock", sq_lock},         {NULL, NULL}};
    sq_open_lock(L);
    luaL_newlib(L, functions);
    return 1;
}

/* --- the module --- */

int plua_open_sqlite(lua_State *L)
{
    static const luaL_Reg methods[] = {{"query", method_query},
                                       {"first", method_first},
                                       {"value", method_value},
                                       {"exec", method_exec},
                                       {"exec_script", method_exec_script},
                                       {"transaction", method_transaction},
                                       {NULL, NULL}};
    static const plua_type types[] = {
        {.name = OPERATION_TYPE, .gc = operation_gc},
        {.name = TRANSACTION_TYPE, .gc = transaction_gc, .close = transaction_close, .methods = methods},
        {.name = DATABASE_TYPE, .gc = database_gc, .methods = methods}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        plua_push_type(L, &types[i]);
        lua_pop(L, 1);
    }
    lua_createtable(L, 0, 2);
    lua_newtable(L);
    lua_pushcclosure(L, sqlite_open, 1);
    lua_setfield(L, -2, "open");
    lua_pushcfunction(L, sq_blob);
    lua_setfield(L, -2, "blob");
    return 1;
}
