/* SPDX-License-Identifier: MIT */
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bindings/lua/sqlite.h"

#define CACHED_STATEMENTS 128
#define PROGRESS_INSTRUCTIONS 100 /* of SQLite's machine, between two looks */

/* --- errors --- */

static pl_code code_of(int code)
{
    switch (code & 0xFF) {
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? PL_ALREADY_EXISTS
                   : PL_FAILED_PRECONDITION;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PL_UNAVAILABLE;
    case SQLITE_NOMEM:
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
        return PL_RESOURCE_EXHAUSTED;
    case SQLITE_INTERRUPT:
        return PL_CANCELLED;
    default:
        return PL_INTERNAL;
    }
}

void sq_describe_error(sq_connection *c, int code, const char *sql, pl_error *err)
{
    const char *what = c->denied ? c->denied : sqlite3_errmsg(c->db);
    pl_code translated = code_of(code);
    if (translated == PL_INTERNAL && sql)
        pl_fail(err, translated, "sqlite: %s, in: %.100s%s", what, sql, strnlen(sql, 101) > 100 ? "…" : "");
    else
        pl_fail(err, translated, "%s", what);
    c->denied = NULL;
}

/* --- callbacks of SQLite --- */

static int on_progress(void *data)
{
    sq_connection *c = data;
    if (c->on_loop)
        return --c->budget < 0;
    return c->operation && atomic_load_explicit(&c->operation->stop, memory_order_relaxed);
}

/* Waits little here: a helper thread that sleeps could be the one that the holder of the lock needs. The
 * queue tries again. */
static int on_busy(void *data, int count)
{
    sq_connection *c = data;
    if (c->on_loop || count >= 3)
        return 0;
    usleep(500u * (unsigned)(count + 1));
    return 1;
}

/* What a script's SQL must not do, because connections and transactions are the module's. Not asked for the
 * SQL that SQLite runs by itself (VACUUM, full-text search). */
static int authorize(void *data, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    sq_connection *c = data;
    if (!c->preparing)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        c->denied = "BEGIN, COMMIT, ROLLBACK and SAVEPOINT cannot be run as statements: use "
                    "db:transaction(function(tx) … end)";
        return SQLITE_DENY;
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        c->denied = "ATTACH and DETACH are not available: use sqlite.open";
        return SQLITE_DENY;
    case SQLITE_PRAGMA:
        c->saw_pragma = true;
        return SQLITE_OK;
    default:
        return SQLITE_OK;
    }
}

/* --- opening --- */

/* Runs settings; a lock of another process or worker that opens the same file is waited for. */
static int set_up(sqlite3 *db, const char *sql, unsigned patience_ms)
{
    int code;
    unsigned waited = 0;
    while ((code = sqlite3_exec(db, sql, NULL, NULL, NULL)) == SQLITE_BUSY && waited < patience_ms) {
        usleep(5000);
        waited += 5;
    }
    return code;
}

static int configure(sq_connection *c, unsigned patience_ms)
{
    static const char normal[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;";
    static const char synced[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;";
    const char *writer = c->options.synced ? synced : normal;
    static const char reader[] = "PRAGMA query_only=ON;";
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int code = set_up(c->db, c->writer ? reader : writer, patience_ms);
    if (code != SQLITE_OK)
        return code;
    sqlite3_busy_handler(c->db, on_busy, c);
    sqlite3_progress_handler(c->db, PROGRESS_INSTRUCTIONS, on_progress, c);
    return sqlite3_set_authorizer(c->db, authorize, c);
}

sq_connection *sq_connection_open(const char *path, sq_connection *writer, const sq_options *options,
                                  unsigned patience_ms, pl_error *err)
{
    sq_connection *c = pl_calloc(1, sizeof(*c));
    if (!c) {
        pl_fail_memory(err);
        return NULL;
    }
    atomic_init(&c->owners, 1);
    c->options = *options;
    c->writer = writer ? sq_connection_hold(writer) : NULL;
    pl_map_init(&c->statements);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &c->db, flags, NULL);
    if (code == SQLITE_OK)
        code = configure(c, patience_ms);
    if (code == SQLITE_OK)
        return c;
    pl_code translated = code_of(code);
    pl_fail(err, translated, "sqlite.open: %s: %s", path, c->db ? sqlite3_errmsg(c->db) : "out of memory");
    sq_connection_release(c);
    return NULL;
}

sq_connection *sq_connection_hold(sq_connection *c)
{
    atomic_fetch_add(&c->owners, 1);
    return c;
}

static void drop_statement(sq_connection *c, sq_statement *s)
{
    *(s->newer ? &s->newer->older : &c->newest) = s->older;
    *(s->older ? &s->older->newer : &c->oldest) = s->newer;
    pl_map_remove(&c->statements, pl_str_of(sqlite3_sql(s->handle)));
    sqlite3_finalize(s->handle);
    pl_free(s);
}

void sq_connection_release(sq_connection *c)
{
    if (!c || atomic_fetch_sub(&c->owners, 1) != 1)
        return;
    while (c->oldest)
        drop_statement(c, c->oldest);
    pl_map_dispose(&c->statements);
    sqlite3_close_v2(c->db);
    sq_connection_release(c->writer);
    pl_free(c);
}

/* --- prepared statements --- */

static void push_newest(sq_connection *c, sq_statement *s)
{
    s->newer = NULL;
    s->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = s;
    c->newest = s;
}

static sq_statement *find_cached(sq_connection *c, pl_str sql)
{
    sq_statement *s = pl_map_get(&c->statements, sql);
    if (s && s != c->newest) {
        s->newer->older = s->older;
        *(s->older ? &s->older->newer : &c->oldest) = s->newer;
        push_newest(c, s);
    }
    return s;
}

/* Behind spaces, semicolons and comments. */
static const char *skip_blank(const char *p)
{
    for (;;) {
        if (*p == '-' && p[1] == '-') {
            p += strcspn(p, "\n");
        } else if (*p == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            p = end ? end + 2 : p + strlen(p);
        } else if (*p != '\0' && strchr(" \t\r\n\f;", *p)) {
            p++;
        } else {
            return p;
        }
    }
}

static int prepare(sq_connection *c, const char *sql, unsigned flags, sqlite3_stmt **handle,
                   const char **tail)
{
    c->denied = NULL;
    c->saw_pragma = false;
    c->preparing = true;
    int code = sqlite3_prepare_v3(c->db, sql, -1, flags, handle, tail);
    c->preparing = false;
    return code;
}

int sq_prepare_step(sq_connection *c, const char *sql, sqlite3_stmt **handle, const char **tail,
                    pl_error *err)
{
    *handle = NULL;
    sql = skip_blank(sql);
    int code = prepare(c, sql, 0, handle, tail);
    if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY)
        sq_describe_error(c, code, sql, err);
    return code;
}

/* A statement that cannot be cached works all the same. */
static void cache(sq_connection *c, sq_statement *s)
{
    if (c->statements.count >= CACHED_STATEMENTS)
        drop_statement(c, c->oldest);
    if (pl_map_set(&c->statements, pl_str_of(sqlite3_sql(s->handle)), s)) {
        push_newest(c, s);
        s->cached = true;
    }
}

sq_statement *sq_prepare(sq_connection *c, pl_str sql, int *code, pl_error *err)
{
    *code = SQLITE_OK;
    sq_statement *s = find_cached(c, sql);
    if (s)
        return s;
    sqlite3_stmt *handle = NULL;
    const char *tail = NULL;
    *code = prepare(c, sql.ptr, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    if (*code != SQLITE_OK) {
        if ((*code & 0xFF) != SQLITE_BUSY && (*code & 0xFF) != SQLITE_INTERRUPT)
            sq_describe_error(c, *code, sql.ptr, err);
        return NULL;
    }
    if (!handle) {
        pl_fail(err, PL_INTERNAL, "sqlite: there is no statement in: %.100s", sql.ptr);
    } else if (*skip_blank(tail) != '\0' || strlen(sql.ptr) != sql.len) {
        pl_fail(err, PL_INTERNAL, "sqlite: more than one statement (use db:exec_script) in: %.100s", sql.ptr);
    } else if (!(s = pl_calloc(1, sizeof(*s)))) {
        pl_fail_memory(err);
    } else {
        s->handle = handle;
        s->writes = !sqlite3_stmt_readonly(handle) || c->saw_pragma;
        cache(c, s);
        return s;
    }
    sqlite3_finalize(handle);
    return NULL;
}

void sq_statement_done(sq_statement *s)
{
    sqlite3_reset(s->handle);
    sqlite3_clear_bindings(s->handle);
    if (s->cached)
        return;
    sqlite3_finalize(s->handle);
    pl_free(s);
}
