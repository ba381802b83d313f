/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"
#include "support/failing.h"

/* perilune.sqlite, with real files, the real engine, and helper threads. */

#define DB "local sqlite = require 'perilune.sqlite' local db = sqlite.open('t.db', {busy_timeout = 0.5}) "
#define MEMORY "local sqlite = require 'perilune.sqlite' local db = sqlite.open ':memory:' "
#define SLOW                                                                                             \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*), " \
    "max(i) FROM n"
#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

static fixture *f;
static char directory[64];

static int set_up(void **state)
{
    strcpy(directory, "/tmp/perilune-sqlite-XXXXXX");
    assert_non_null(mkdtemp(directory));
    f = fixture_new(&(fixture_options){.directory = directory});
    assert_null(fixture_load(
        f, DB
        "db:exec_script [[CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, "
        "score REAL CHECK (score >= 0), data BLOB); "
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES users (id))]]"));
    return 0;
}

static void remove_files(void)
{
    static const char *const names[] = {"t.db",         "t.db-wal",     "t.db-shm", "other.db",
                                        "other.db-wal", "other.db-shm", "t.db-lock"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(directory), 0); /* nothing else was made */
}

static int tear_down(void **state)
{
    fixture_free(f);
    remove_files();
    return 0;
}

static void statements(void **state)
{
    fixture_ok(f, DB "local r = db:exec('INSERT INTO users (name, score) VALUES (?, ?)', 'Ada', 1.5) "
                     "assert(r.changes == 1 and r.last_id == 1)"
                     "r = db:exec('INSERT INTO users (name) VALUES (?), (?)', 'Bob', 'Cyd') assert(r.changes "
                     "== 2 and r.last_id == 3)"
                     "local rows = db:query 'SELECT id, name, score FROM users ORDER BY id' "
                     "assert(#rows == 3 and rows[1].name == 'Ada' and rows[1].score == 1.5 and rows[2].score "
                     "== nil and rows[3].id == 3)"
                     "assert(db:first('SELECT * FROM users WHERE id = ?', 2).name == 'Bob')"
                     "assert(db:first('SELECT * FROM users WHERE id = ?', 9) == nil)"
                     "assert(db:value 'SELECT count(*) FROM users' == 3 and db:value 'SELECT name FROM users "
                     "WHERE 0' == nil)"
                     "assert(db:exec('UPDATE users SET score = 2').changes == 3)"
                     "assert(db:exec('DELETE FROM users WHERE id > 1').changes == 2)");
    fixture_ok(f, DB "local empty = db:query 'SELECT * FROM users WHERE 0' assert(#empty == 0 and require "
                     "'perilune.json'.encode(empty) == '[]')");
    fixture_ok(f, DB
               "local r = db:query('INSERT INTO users (name) VALUES (?), (?) RETURNING id, name', 'x', 'y') "
               "assert(#r == 2 and r[2].name == 'y')"
               "assert(db:value('INSERT INTO users (name) VALUES (?), (?) RETURNING name', 'p', 'q') == 'p')"
               "assert(db:value \"SELECT count(*) FROM users WHERE name IN ('p', 'q')\" == 2)");
}

static void values(void **state)
{
    fixture_ok(f, DB "local function echo(v) return db:value('SELECT ?', v) end "
                     "assert(echo(math.maxinteger) == math.maxinteger and echo(math.mininteger) == "
                     "math.mininteger and math.type(echo(5)) == 'integer')"
                     "assert(echo(0.1) == 0.1 and math.type(echo(2.0)) == 'float' and echo(true) == 1 and "
                     "echo(false) == 0)"
                     "assert(echo 'a\\0b' == 'a\\0b' and echo '' == '' and echo '€' == '€')"
                     "assert(echo(nil) == nil and echo(require 'perilune'.null) == nil)"
                     "assert(echo(sqlite.blob '\\xff\\0') == '\\xff\\0' and echo(sqlite.blob '') == '')"
                     "assert(db:value('SELECT typeof(?)', sqlite.blob 'x') == 'blob' and db:value('SELECT "
                     "typeof(?)', 'x') == 'text')"
                     "assert(db:value('SELECT typeof(?)', 1.0) == 'real' and db:value('SELECT typeof(?)', "
                     "true) == 'integer')");
    fixture_ok(
        f, DB "assert(db:value('SELECT :a || @b || $c', {a = 'x', b = 'y', c = 'z'}) == 'xyz')"
              "assert(db:value('SELECT coalesce(:a, 5)', {a = nil}) == 5)"
              "assert(db:value('SELECT ?2 || ?1', {'x', 'y'}) == 'yx' and db:value('SELECT ?1 + ?1', 4) == 8)"
              "assert(db:value('SELECT ? IS NULL', nil) == 1)");
    fixture_ok(f, DB "local r = db:first('SELECT 1 AS a, 2 AS a, NULL AS b, x.* FROM (SELECT 3 AS c) x') "
                     "assert(r.a == 2 and r.b == nil and r.c == 3)");
    fixture_fails(f, DB "db:value('SELECT ?', {1, x = 2})", "has names and positions");
    fixture_fails(f, DB "db:value('SELECT ?', {{}})", "parameter 1 is a table");
    fixture_fails(f, DB "db:value('SELECT ?', print)", "parameter 1 is a function");
    fixture_fails(f, DB "db:value('SELECT :a', {a = {}})", "parameter a is a table");
    fixture_fails(f, DB "db:value('SELECT ?, ?', 1)", "2 parameters are expected, 1 values were given");
    fixture_fails(f, DB "db:value('SELECT 1', 1)", "0 parameters are expected, 1 values");
    fixture_fails(f, DB "db:value('SELECT :a', {a = 1, b = 2})", "there is no parameter :b");
    fixture_fails(f, DB "db:value('SELECT ?', {a = 1})", "without a name");
}

static void failures(void **state)
{
    fixture_ok(f, DB "db:exec \"INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'a@x')\"");
    fixture_fails(f, DB "db:exec \"INSERT INTO users (name, email) VALUES ('B', 'a@x')\"",
                  "ALREADY_EXISTS: UNIQUE constraint failed: users.email");
    fixture_fails(f, DB "db:exec \"INSERT INTO users (id, name) VALUES (1, 'B')\"", "ALREADY_EXISTS");
    fixture_fails(f, DB "db:exec 'INSERT INTO users (name) VALUES (NULL)'",
                  "FAILED_PRECONDITION: NOT NULL constraint failed: users.name");
    fixture_fails(f, DB "db:exec \"INSERT INTO users (name, score) VALUES ('x', -1)\"",
                  "FAILED_PRECONDITION: CHECK constraint");
    fixture_fails(f, DB "db:exec 'INSERT INTO pets (owner) VALUES (77)'", "FAILED_PRECONDITION: FOREIGN KEY");
    fixture_fails(f, DB "db:query 'SELEC 1'",
                  "INTERNAL: main.lua:1: sqlite: near \"SELEC\": syntax error, in: SELEC 1");
    fixture_fails(f, DB "db:query 'SELECT * FROM nowhere'", "no such table: nowhere");
    fixture_fails(f, DB "db:query 'SELECT 1; SELECT 2'", "more than one statement");
    fixture_ok(f, DB "assert(db:value 'SELECT 1; -- and that is all\\n /* really */ ;' == 1)");
    fixture_fails(f, DB "db:query '-- nothing'", "there is no statement");
    fixture_fails(f, DB "db:query 'SELECT 1\\0, 2'", "more than one statement");
    fixture_fails(f, DB "db:exec 'BEGIN'", "use db:transaction");
    fixture_fails(f, DB "db:query 'COMMIT'", "use db:transaction");
    fixture_fails(f, DB "db:exec_script 'SELECT 1; SAVEPOINT x'", "use db:transaction");
    fixture_fails(f, DB "db:exec \"ATTACH 'other.db' AS o\"", "use sqlite.open");
    fixture_fails(f, DB "sqlite.open('no/such/place.db')", "unable to open");
    fixture_fails(f, DB "sqlite.open('x.db', {colour = 1})", "there is no option 'colour'");
    fixture_fails(f, DB "sqlite.open('x.db', {max_rows = 'all'})", "option 'max_rows'");
    fixture_fails(f, DB "db.query({}, 'SELECT 1')", "perilune.sqlite.database expected");
    fixture_ok(f, DB "db:exec 'PRAGMA user_version = 7' assert(db:value 'PRAGMA user_version' == 7)");
    fixture_ok(f, DB "db:exec 'VACUUM'");
}

static void opening(void **state)
{
    fixture_ok(f, DB "assert(sqlite.open 't.db' == db and sqlite.open 'other.db' ~= db)");
    fixture_ok(f,
               DB "assert(db:value 'PRAGMA journal_mode' == 'wal' and db:value 'PRAGMA foreign_keys' == 1)");
    fixture_ok(f, MEMORY "db:exec 'CREATE TABLE IF NOT EXISTS m (x)' db:exec('INSERT INTO m VALUES (?)', 5) "
                         "assert(db:value 'SELECT x FROM m' == 5)");
    fixture_ok(f, MEMORY "assert(#db:query 'SELECT x FROM m' == 1)");
    /* all of it works at load time, too */
    assert_null(fixture_load(f,
                             DB "db:exec(\"INSERT INTO users (id, name) VALUES (50, 'L')\") "
                                "assert(db:value('SELECT name FROM users WHERE id = 50') == 'L')"
                                "local a, b = db:transaction(function(tx) tx:exec 'DELETE FROM users WHERE "
                                "id = 50' return 1, 'two' end) "
                                "assert(a == 1 and b == 'two' and db:value 'SELECT count(*) FROM users' == 0)"
                                "assert(not pcall(db.transaction, db, function(tx) tx:exec \"INSERT INTO "
                                "users (name) VALUES ('x')\" error 'no' end))"
                                "assert(db:value 'SELECT count(*) FROM users' == 0)"
                                "assert(db:value [[" SLOW "]] == 300000)"));
}

static void cache(void **state)
{
    fixture_ok(f, DB "for round = 1, 2 do for i = 1, 300 do assert(db:value('SELECT ' .. i) == i) "
                     "assert(db:value 'SELECT 0' == 0) end end");
    fixture_ok(f, DB
               "db:exec 'CREATE TABLE s (a)' db:exec 'INSERT INTO s VALUES (1)' local function all() return "
               "db:first 'SELECT * FROM s' end "
               "assert(all().b == nil) db:exec 'ALTER TABLE s ADD COLUMN b DEFAULT 2' assert(all().b == 2)");
}

/* --- the loop is not held up --- */

static void short_reads_do_not_wait(void **state)
{
    fixture_pause_helpers(f, true);
    assert_false(fixture_start(f, 0, DB "return db:value 'SELECT 40 + 2'")); /* done at once, on the loop */
    assert_string_equal(fixture_result(f), "42");
    assert_true(fixture_start(f, 1, DB "db:exec \"INSERT INTO users (name) VALUES ('w')\""));
    assert_false(fixture_start(f, 0, DB "return db:value 'SELECT count(*) FROM users'"));
    fixture_ok(f, DB "local ok = pcall(table.sort, {2, 1, 3}, function(a, b) return db:value('SELECT ? < ?', "
                     "a, b) == 1 end) assert(ok)");
    fixture_fails(f, DB "table.sort({2, 1, 3}, function(a, b) db:exec 'DELETE FROM users' return a < b end)",
                  "cannot wait here");
    fixture_pause_helpers(f, false);
    assert_null(fixture_finish(f, 1));
}

static void long_reads_wait(void **state)
{
    assert_true(fixture_start(f, 0, DB "return db:value [[" SLOW "]]"));
    assert_true(fixture_start(f, 1, DB "return db:value 'SELECT 1'")); /* the reader is in use: in turn */
    assert_null(fixture_finish(f, 0));
    assert_string_equal(fixture_result(f), "300000");
    assert_null(fixture_finish(f, 1));
    fixture_ok(f, DB "db:transaction(function(tx) for i = 1, 3000 do tx:exec('INSERT INTO users (id, name) "
                     "VALUES (?, ?)', i, ('n'):rep(200)) end end)");
    assert_true(fixture_start(f, 0,
                              DB "local r = db:query 'SELECT * FROM users ORDER BY id' assert(#r == 3000 and "
                                 "r[3000].id == 3000) return #r[1].name"));
    assert_null(fixture_finish(f, 0));
    assert_string_equal(fixture_result(f), "200");
    /* a write that looks like a read finds its way while the reader is in use */
    assert_true(fixture_start(f, 0, DB "return db:value [[" SLOW "]]"));
    assert_true(fixture_start(
        f, 1, DB "assert(db:value \"INSERT INTO users (name) VALUES ('r') RETURNING name\" == 'r')"));
    assert_null(fixture_finish(f, 1));
    assert_null(fixture_finish(f, 0));
}

static void limits(void **state)
{
    fixture_fails(
        f,
        "local db = require 'perilune.sqlite'.open('other.db', {max_rows = 5}) "
        "db:query 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6) SELECT * FROM n'",
        "RESOURCE_EXHAUSTED");
    fixture_ok(f, "local db = require 'perilune.sqlite'.open 'other.db' "
                  "assert(#db:query 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5) "
                  "SELECT * FROM n' == 5)");
    fixture_fails(f, DB "db:value 'SELECT zeroblob(70000000)'", "RESOURCE_EXHAUSTED");
}

/* --- transactions --- */

static void transactions(void **state)
{
    fixture_ok(f, DB "local a, b, c = db:transaction(function(tx) tx:exec \"INSERT INTO users (id, name) "
                     "VALUES (1, 'a')\" "
                     "assert(tx:value 'SELECT count(*) FROM users' == 1 and db:value 'SELECT count(*) FROM "
                     "users' == 0) return 1, nil, 3 end) "
                     "assert(a == 1 and b == nil and c == 3 and db:value 'SELECT count(*) FROM users' == 1)");
    fixture_fails(f, DB "db:transaction(function(tx) tx:exec 'DELETE FROM users' error 'stop' end)", "stop");
    fixture_ok(f, DB "assert(db:value 'SELECT count(*) FROM users' == 1)");
    fixture_fails(f, DB "db:transaction(function(tx) error(require 'perilune.errors'.not_found 'n') end)",
                  "NOT_FOUND: n");
    fixture_fails(f, DB "local kept db:transaction(function(tx) kept = tx end) kept:query 'SELECT 1'",
                  "the transaction is over");
    fixture_fails(f, DB "db:transaction(function(tx) db:exec 'DELETE FROM users' end)",
                  "use tx inside of db:transaction");
    fixture_fails(f, DB "db:transaction(function(tx) db:transaction(function() end) end)",
                  "use tx inside of db:transaction");
    fixture_fails(
        f, DB "db:transaction(function(tx) coroutine.wrap(function() db:exec 'DELETE FROM users' end)() end)",
        "use tx inside");
    fixture_ok(f, DB "db:transaction(function(tx) pcall(tx.exec, tx, \"INSERT INTO users (id, name) VALUES "
                     "(1, 'twice')\") "
                     "tx:exec \"INSERT INTO users (id, name) VALUES (2, 'b')\" end) assert(db:value 'SELECT "
                     "count(*) FROM users' == 2)");
    fixture_ok(f, DB "db:transaction(function(tx) require 'perilune.time'.sleep(0.001) tx:exec_script "
                     "'DELETE FROM users; DELETE FROM pets' end, {mode = 'exclusive'})"
                     "assert(db:value 'SELECT count(*) FROM users' == 0)");
    fixture_fails(f, DB "db:transaction(function() end, {mode = 'quick'})", "invalid option 'quick'");
    fixture_ok(
        f, DB
        "db:transaction(function(tx) tx:exec \"INSERT INTO users (name) VALUES ('z')\" end)"); /* all is free
                                                                                                  again */
}

/* What SQLite has rolled back by itself is not gone on with outside of a transaction. */
static void lost(void **state)
{
    fixture_fails(
        f,
        DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (id, name) VALUES (1, 'a')\" "
           "assert(not pcall(tx.exec, tx, \"INSERT OR ROLLBACK INTO users (id, name) VALUES (1, 'b')\")) "
           "pcall(tx.exec, tx, \"INSERT INTO users (id, name) VALUES (2, 'c')\") end)",
        "ABORTED: the transaction was rolled back by an earlier error");
    fixture_ok(f, DB "assert(db:value 'SELECT count(*) FROM users' == 0)");
    fixture_ok(f, DB
               "db:transaction(function(tx) tx:exec \"INSERT INTO users (id, name) VALUES (1, 'a')\" end)");
}

static void nested(void **state)
{
    fixture_ok(f, DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (id, name) VALUES (1, 'a')\" "
                     "local ok, e = pcall(tx.transaction, tx, function(inner) inner:exec \"INSERT INTO users "
                     "(id, name) VALUES (2, 'b')\" "
                     "assert(tx:value 'SELECT count(*) FROM users' == 2) error 'undo' end) assert(not ok and "
                     "tostring(e):find 'undo') "
                     "assert(tx:value 'SELECT count(*) FROM users' == 1) "
                     "local r = tx:transaction(function(inner) inner:transaction(function(most) most:exec "
                     "\"INSERT INTO users (id, name) VALUES (3, 'c')\" end) return 'kept' end) "
                     "assert(r == 'kept') end) "
                     "assert(db:value 'SELECT group_concat(id) FROM users' == '1,3')");
    fixture_fails(f,
                  DB "db:transaction(function(tx) local inner tx:transaction(function(i) inner = i end) "
                     "inner:exec 'DELETE FROM users' end)",
                  "the transaction is over");
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(id) FROM users' == '1,3')");
}

/* Others wait for their turn, and see all of a transaction or nothing. */
static void isolation(void **state)
{
    assert_true(fixture_start(
        f, 0,
        DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (id, name) VALUES (1, 'a')\" "
           "require 'perilune.time'.sleep(0.05) error 'undo' end)"));
    assert_true(fixture_start(f, 1, DB "db:exec \"INSERT INTO users (id, name) VALUES (2, 'b')\""));
    assert_true(fixture_start(
        f, 2,
        DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (id, name) VALUES (3, 'c')\" end)"));
    assert_non_null(fixture_finish(f, 0));
    assert_null(fixture_finish(f, 1));
    assert_null(fixture_finish(f, 2));
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(id) FROM users' == '2,3')");
    fixture_ok(f, MEMORY "db:exec 'CREATE TABLE m (x)'");
    assert_true(fixture_start(f, 0,
                              MEMORY "db:transaction(function(tx) tx:exec 'INSERT INTO m VALUES (1)' require "
                                     "'perilune.time'.sleep(0.02) error 'undo' end)"));
    assert_true(fixture_start(f, 1, MEMORY "assert(db:value 'SELECT count(*) FROM m' == 0)"));
    assert_non_null(fixture_finish(f, 0));
    assert_null(fixture_finish(f, 1));
}

/* Statements are handed to the helpers before those ahead of them have ended: each in its order, and for
 * itself. */
static void many_statements(void **state)
{
    enum { MANY = 22, CANCELLED = 5, WRONG = 9, TRANSACTION = 14 };
    fixture_pause_helpers(f, true);
    for (int i = 0; i < MANY; i++) {
        char code[400];
        const char *one = i == WRONG ? "db:exec('INSERT INTO users (score) VALUES (%d)')"
                          : i == TRANSACTION
                              ? "db:transaction(function(tx) tx:exec(\"INSERT INTO users (name, score) "
                                "VALUES ('t', 0)\") tx:exec 'UPDATE users SET score = %d' end)"
                              : "return db:exec(\"INSERT INTO users (name) VALUES ('%d')\").last_id";
        size_t at = (size_t)snprintf(code, sizeof(code), DB);
        snprintf(code + at, sizeof(code) - at, one, i);
        assert_true(fixture_start(f, i, code));
    }
    fixture_cancel(f, CANCELLED);
    fixture_pause_helpers(f, false);
    for (int i = 0; i < MANY; i++) {
        const char *error = i == CANCELLED ? NULL : fixture_finish(f, i);
        if (i == WRONG)
            assert_non_null(strstr(error, "NOT NULL"));
        else
            assert_null(error);
    }
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(name) FROM users' == "
                     "'0,1,2,3,4,6,7,8,10,11,12,13,t,15,16,17,18,19,20,21')"
                     "assert(db:value 'SELECT count(*) FROM users WHERE score = 14' == 13)");
}

/* --- cancelling --- */

static void cancelled_calls(void **state)
{
    /* a read on a helper */
    assert_true(fixture_start(f, 0, DB "db:value [[" ENDLESS "]]"));
    assert_true(fixture_start(f, 1, DB "return db:value 'SELECT 5'"));
    fixture_cancel(f, 0);
    assert_null(fixture_finish(f, 1));
    /* a write, and one that waits behind it */
    assert_true(fixture_start(f, 0, DB "db:exec [[INSERT INTO users (name) " ENDLESS "]]"));
    assert_true(fixture_start(f, 1, DB "db:exec \"INSERT INTO users (name) VALUES ('never')\""));
    assert_true(fixture_start(f, 2, DB "db:exec \"INSERT INTO users (name) VALUES ('now')\""));
    fixture_cancel(f, 1);
    fixture_cancel(f, 0);
    assert_null(fixture_finish(f, 2));
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(name) FROM users' == 'now')");
    /* in the middle of a transaction: in Lua, and in a statement */
    assert_true(fixture_start(
        f, 0,
        DB
        "db:transaction(function(tx) tx:exec 'DELETE FROM users' require 'perilune.time'.sleep(100) end)"));
    fixture_pause_helpers(f, true);
    fixture_pause_helpers(f, false);
    assert_true(fixture_start(f, 1, DB "db:exec \"INSERT INTO users (name) VALUES ('then')\""));
    assert_true(fixture_waits(f, 0));
    fixture_cancel(f, 0);
    assert_null(fixture_finish(f, 1));
    assert_true(fixture_start(
        f, 0, DB "db:transaction(function(tx) tx:exec 'DELETE FROM users' tx:value [[" ENDLESS "]] end)"));
    assert_true(fixture_start(f, 1, DB "db:exec \"INSERT INTO users (name) VALUES ('last')\""));
    assert_true(fixture_start(f, 2, "require 'perilune.time'.sleep(0.03)"));
    assert_null(fixture_finish(f, 2)); /* it is well under way */
    fixture_cancel(f, 0);
    assert_null(fixture_finish(f, 1));
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(name) FROM users' == 'now,then,last')");
}

/* Cancelled at each of the steps of a transaction: another one always goes on afterwards. */
static void cancelled_transactions(void **state)
{
    for (int turns = 0; turns < 12; turns++) {
        assert_true(
            fixture_start(f, 0,
                          DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (name) VALUES ('x')\" "
                             "tx:transaction(function(t) t:exec 'DELETE FROM pets' end) end)"));
        for (int i = 0; i < turns && fixture_waits(f, 0); i++) {
            assert_true(fixture_start(f, 2, "require 'perilune.time'.sleep(0)"));
            assert_null(fixture_finish(f, 2));
        }
        if (fixture_waits(f, 0))
            fixture_cancel(f, 0);
        fixture_ok(f,
                   DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (name) VALUES ('y')\" end)");
    }
    fixture_ok(f, DB "assert(db:value \"SELECT count(*) FROM users WHERE name = 'y'\" == 12)");
}

/* A coroutine that is left in the middle of a transaction, and forgotten. */
static void forgotten_transactions(void **state)
{
    fixture_ok(f, DB "local co = coroutine.wrap(function() db:transaction(function(tx) tx:exec \"INSERT INTO "
                     "users (name) VALUES ('x')\" coroutine.yield() end) end) co()");
    lua_gc(fixture_lua(f), LUA_GCCOLLECT, 0);
    lua_gc(fixture_lua(f), LUA_GCCOLLECT, 0);
    fixture_ok(f, DB "db:exec \"INSERT INTO users (name) VALUES ('y')\" assert(db:value 'SELECT "
                     "group_concat(name) FROM users' == 'y')");
}

static void default_database(void **state)
{
    pl_state *s = fixture_state(f);
    const pl_database_config config = {
        .path = PL_STR("t.db"), .busy_ms = 500, .max_rows = 2, .max_bytes = 1 << 20};
    const pl_database_config other = {
        .path = PL_STR("other.db"), .busy_ms = 500, .max_rows = 2, .max_bytes = 1 << 20};
    fixture_fails(f, "require 'perilune.sqlite'.open()", "there is no default database");
    pl_engine_of(s)->set_database(s, &config);
    fixture_ok(f, DB "assert(sqlite.open() == db and ctx == nil)");
    pl_engine_of(s)->set_database(s, &other);
    fixture_ok(f, DB "local other = sqlite.open() assert(other ~= db and other == sqlite.open 'other.db')"
                     "assert(not pcall(other.query, other, 'SELECT 1 UNION SELECT 2 UNION SELECT 3'))"
                     "db:query 'SELECT 1 UNION SELECT 2 UNION SELECT 3'");
    fixture_fails(f, "require 'perilune.sqlite'.open(nil, {max_rows = 1})", "are settings of app.lua");
}

/* Which transaction the running call is inside of. */
static void running_transactions(void **state)
{
#define CORE DB "local core = require 'perilune.sqlite.core' "
    fixture_ok(f, CORE "assert(not core.running(db)) local kept "
                       "db:transaction(function(tx) kept = tx assert(core.running(db) == tx) "
                       "tx:transaction(function() assert(core.running(db) == tx) end) "
                       "coroutine.wrap(function() assert(core.running(db) == tx) end)() end) "
                       "assert(not core.running(db)) "
                       "pcall(db.transaction, db, function() error 'no' end) assert(not core.running(db))");
    assert_true(
        fixture_start(f, 0, CORE "db:transaction(function(tx) require 'perilune.time'.sleep(0.05) end)"));
    fixture_ok(f, CORE "require 'perilune.time'.sleep(0.01) assert(not core.running(db))");
    assert_null(fixture_finish(f, 0));
    fixture_ok(f, CORE "db:transaction(function(tx) core.relay(tx) end)"); /* nobody listens */
}

static void locks(void **state)
{
    char code[512];
    snprintf(code, sizeof code,
             CORE "local path = '%s/t.db-lock' local a = core.lock(path) assert(a and not core.lock(path)) "
                  "do local b <close> = a end assert(core.lock(path))",
             directory);
    fixture_ok(f, code);
    lua_gc(fixture_lua(f), LUA_GCCOLLECT, 0); /* the one that was not closed */
    fixture_ok(f, code);
    fixture_fails(f, CORE "core.lock '/nowhere/at/all'", "UNAVAILABLE");
}

static void state_closed_at_work(void **state)
{
    assert_true(fixture_start(f, 0, DB "db:value [[" ENDLESS "]]"));
    assert_true(fixture_start(f, 1, DB "db:value 'SELECT 1'"));
    assert_true(fixture_start(
        f, 2,
        DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (name) VALUES ('x')\" tx:value [[" ENDLESS
           "]] end)"));
    assert_true(fixture_start(f, 3, DB "db:exec 'DELETE FROM users'"));
    assert_true(fixture_start(f, 4, "require 'perilune.time'.sleep(0.03)"));
    assert_null(fixture_finish(f, 4));
    fixture_free_state(f); /* the helpers are still at it; the sanitizers watch */
}

/* --- locks of others --- */

/* Turns the loop until a script has logged text. */
static void wait_for_log(fixture *which, const char *text)
{
    for (int i = 0; i < 2000; i++) {
        const pl_buf *log = fixture_log(which);
        if (log->len > 0 && memmem(log->data, log->len, text, strlen(text)))
            return;
        assert_true(fixture_start(which, 7, "require 'perilune.time'.sleep(0.001)"));
        assert_null(fixture_finish(which, 7));
    }
    fail_msg("nothing has logged %s", text);
}

static void locked_by_others(void **state)
{
    fixture *other = fixture_new(&(fixture_options){.directory = directory});
    assert_true(fixture_start(
        other, 0,
        DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (name) VALUES "
           "('o')\" require 'perilune.log'.info 'has the lock' require 'perilune.time'.sleep(1000) end)"));
    wait_for_log(other, "has the lock");
    fixture_ok(f, DB "assert(db:value 'SELECT count(*) FROM users' == 0)"); /* readers do not mind */
    fixture_fails(f, DB "db:exec 'DELETE FROM users'", "UNAVAILABLE: the database is locked");
    fixture_fails(f, DB "db:transaction(function() end)", "UNAVAILABLE");
    assert_true(fixture_start(
        f, 1, DB "db:transaction(function(tx) tx:exec \"INSERT INTO users (name) VALUES ('mine')\" end)"));
    assert_true(fixture_start(
        f, 2,
        DB
        "db:exec_script \"INSERT INTO users (name) VALUES ('s1'); INSERT INTO users (name) VALUES ('s2')\""));
    assert_true(fixture_start(f, 3, DB "db:exec 'DELETE FROM users'"));
    for (int i = 4; i < 8; i++)
        assert_true(fixture_start(f, i, DB "db:exec \"INSERT INTO users (name) VALUES ('one of many')\""));
    assert_true(fixture_start(f, 8, "require 'perilune.time'.sleep(0.02)"));
    assert_null(fixture_finish(f, 8));
    fixture_cancel(f, 3);
    fixture_cancel(other, 0); /* lets go of the lock */
    fixture_drain(other);
    for (int i = 1; i < 8; i++)
        assert_true(i == 3 || !fixture_finish(f, i));
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(name) FROM users':find '^mine,s1,s2,')"
                     "assert(db:value 'SELECT count(*) FROM users' == 7)");
    fixture_free(other);
}

/* Several statements find the lock of others: all go on when it is free, with those that were cancelled among
 * them. */
static void many_locked_by_others(void **state)
{
    fixture *other = fixture_new(&(fixture_options){.directory = directory});
    assert_true(fixture_start(other, 0,
                              DB
                              "db:transaction(function(tx) tx:exec 'DELETE FROM users' require "
                              "'perilune.log'.info 'has the lock' require 'perilune.time'.sleep(1000) end)"));
    wait_for_log(other, "has the lock");
    fixture_pause_helpers(f, true);
    for (int i = 0; i < 6; i++)
        assert_true(fixture_start(f, i, DB "db:exec \"INSERT INTO users (name) VALUES ('x')\""));
    fixture_pause_helpers(f, false);
    assert_true(fixture_start(f, 8, "require 'perilune.time'.sleep(0.03)"));
    assert_null(fixture_finish(f, 8)); /* they have tried, and more than once */
    fixture_cancel(f, 0);
    fixture_cancel(f, 4);
    fixture_cancel(other, 0);
    fixture_drain(other);
    for (int i = 0; i < 6; i++)
        assert_true(i == 0 || i == 4 || !fixture_finish(f, i));
    fixture_ok(
        f, DB "assert(db:value 'SELECT count(*) FROM users' >= 4)"); /* it may have been too late to cancel */
    assert_true(fixture_start(other, 0,
                              DB "db:transaction(function(tx) tx:exec 'DELETE FROM users' require "
                                 "'perilune.log'.info 'once more' require 'perilune.time'.sleep(1000) end)"));
    wait_for_log(other, "once more");
    for (int i = 0; i < 6; i++)
        assert_true(fixture_start(f, i, DB "db:exec \"INSERT INTO users (name) VALUES ('x')\""));
    for (int i = 0; i < 6; i++) /* each gives up in its time */
        assert_non_null(strstr(fixture_finish(f, i), "UNAVAILABLE: the database is locked"));
    fixture_free(other);
}

static void busy_helpers(void **state)
{
    fixture_refuse_jobs(f, 3);
    fixture_ok(f, DB "db:exec \"INSERT INTO users (name) VALUES ('late')\"");
    fixture_refuse_jobs(f, 2);
    fixture_fails(f, DB "db:transaction(function(tx) tx:exec 'DELETE FROM users' error 'undo' end)", "undo");
    fixture_refuse_jobs(f, 1000000);
    assert_true(fixture_start(f, 0, DB "db:exec 'DELETE FROM users'"));
    assert_true(fixture_start(f, 1, DB "db:exec \"INSERT INTO users (name) VALUES ('later')\""));
    fixture_cancel(f, 0);
    fixture_refuse_jobs(f, 0);
    assert_null(fixture_finish(f, 1));
    fixture_ok(f, DB "assert(db:value 'SELECT group_concat(name) FROM users' == 'late,later')");
}

/* --- memory --- */

static void out_of_memory(void **state)
{
    const char *code = DB "db:exec('INSERT INTO users (name, data) VALUES (?, ?)', 'n', ('x'):rep(3000)) "
                          "db:transaction(function(tx) tx:exec('UPDATE users SET score = :s', {s = 1}) end) "
                          "local n = #db:query 'SELECT * FROM users' assert(n > 0) return n";
    int failed = 0;
    failing a = {.sticky = true, .dense = 150, .step = 13}; /* else Lua collects garbage and tries again */
    while (failing_next(&a)) {
        const char *error = fixture_call_failing(f, code, &a);
        failed += error != NULL;
        if (error && !strstr(error, "memory"))
            fail_msg("allocation %zu: %s", a.n, error);
        fixture_drain(f);
    }
    assert_true(failed > 9);
    fixture_ok(f, DB "db:transaction(function(tx) assert(tx:value 'SELECT count(*) FROM users' > 0) end)");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(statements),
                                       TEST(values),
                                       TEST(failures),
                                       TEST(opening),
                                       TEST(cache),
                                       TEST(short_reads_do_not_wait),
                                       TEST(long_reads_wait),
                                       TEST(limits),
                                       TEST(transactions),
                                       TEST(lost),
                                       TEST(nested),
                                       TEST(isolation),
                                       TEST(many_statements),
                                       TEST(cancelled_calls),
                                       TEST(cancelled_transactions),
                                       TEST(forgotten_transactions),
                                       TEST(default_database),
                                       TEST(running_transactions),
                                       TEST(locks),
                                       TEST(state_closed_at_work),
                                       TEST(locked_by_others),
                                       TEST(many_locked_by_others),
                                       TEST(busy_helpers),
                                       TEST(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
