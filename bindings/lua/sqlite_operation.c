/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "bindings/lua/sqlite.h"

/* The bounds of what runs on the loop: beyond one of them it starts again on a helper thread. */
#define LOOP_BUDGET 150 /* times 100 instructions of SQLite's machine: well below a millisecond */
#define LOOP_ROWS 1000
#define LOOP_BYTES ((size_t)256 << 10)

sq_operation *sq_operation_new(sq_kind kind, sq_connection *c, pl_str sql)
{
    sq_operation *op = pl_calloc(1, sizeof(*op));
    if (!op)
        return NULL;
    op->owners = 1;
    op->kind = kind;
    op->wait.data = op;
    op->connection = sq_connection_hold(c);
    pl_arena_init(&op->arena, 512);
    pl_buf_init(&op->rows);
    pl_buf_init(&op->columns);
    op->sql = pl_arena_str(&op->arena, sql);
    if (!op->sql.ptr) {
        sq_operation_release(op);
        return NULL;
    }
    return op;
}

void sq_operation_release(sq_operation *op)
{
    if (!op || --op->owners > 0)
        return;
    pl_arena_dispose(&op->arena);
    pl_buf_dispose(&op->rows);
    pl_buf_dispose(&op->columns);
    sq_transaction_release(op->transaction);
    sq_connection_release(op->connection);
    pl_free(op);
}

void sq_operation_restart(sq_operation *op)
{
    pl_buf_reset(&op->rows, LOOP_BYTES);
    pl_buf_reset(&op->columns, LOOP_BYTES);
    op->row_count = op->column_count = 0;
    op->error.code = PL_OK;
    for (size_t i = 0; i < op->parameter_count; i++)
        op->parameters[i].used = false;
}

/* --- parameters --- */

static int bind_value(sqlite3_stmt *handle, int i, const sq_parameter *p)
{
    const pl_value *v = &p->value;
    switch (v->kind) {
    case PL_KIND_BOOL:
        return sqlite3_bind_int(handle, i, v->boolean);
    case PL_KIND_INT:
        return sqlite3_bind_int64(handle, i, v->integer);
    case PL_KIND_FLOAT:
        return sqlite3_bind_double(handle, i, v->number);
    case PL_KIND_STRING: /* the operation's memory outlives the binding */
        if (p->blob)
            return sqlite3_bind_blob64(handle, i, v->string.ptr, v->string.len, SQLITE_STATIC);
        return sqlite3_bind_text64(handle, i, v->string.ptr, v->string.len, SQLITE_STATIC, SQLITE_UTF8);
    default:
        return sqlite3_bind_null(handle, i);
    }
}

static sq_parameter *find_parameter(sq_operation *op, const char *name)
{
    for (size_t i = 0; i < op->parameter_count; i++) {
        if (pl_str_is(op->parameters[i].name, name))
            return &op->parameters[i];
    }
    return NULL;
}

/* A name without a value is NULL, since a Lua table cannot hold nil; a value without a name is a mistake. */
static int bind_named(sq_operation *op, sqlite3_stmt *handle)
{
    int code = SQLITE_OK, count = sqlite3_bind_parameter_count(handle);
    for (int i = 1; i <= count && code == SQLITE_OK; i++) {
        const char *name = sqlite3_bind_parameter_name(handle, i);
        if (!name || *name == '?') {
            pl_fail(&op->error, PL_INTERNAL,
                    "sqlite: named values were given for a parameter without a name, in: %.100s",
                    op->sql.ptr);
            return SQLITE_MISUSE;
        }
        sq_parameter *p = find_parameter(op, name + 1);
        if (!p)
            continue;
        p->used = true;
        code = bind_value(handle, i, p);
    }
    for (size_t i = 0; i < op->parameter_count && code == SQLITE_OK; i++) {
        const sq_parameter *p = &op->parameters[i];
        if (p->used)
            continue;
        pl_fail(&op->error, PL_INTERNAL, "sqlite: there is no parameter :%.*s in: %.100s",
                PL_STR_ARG(p->name), op->sql.ptr);
        return SQLITE_MISUSE;
    }
    return code;
}

static int bind_positional(sq_operation *op, sqlite3_stmt *handle)
{
    int count = sqlite3_bind_parameter_count(handle), code = SQLITE_OK;
    if ((size_t)count != op->parameter_count) {
        pl_fail(&op->error, PL_INTERNAL,
                "sqlite: %d parameters are expected, %zu values were given, in: %.100s", count,
                op->parameter_count, op->sql.ptr);
        return SQLITE_MISUSE;
    }
    for (int i = 1; i <= count && code == SQLITE_OK; i++)
        code = bind_value(handle, i, &op->parameters[i - 1]);
    return code;
}

/* --- rows --- */

static void append_sized(pl_buf *buf, const void *bytes, int len)
{
    uint32_t size = (uint32_t)len;
    pl_buf_append(buf, &size, sizeof(size));
    pl_buf_append(buf, bytes, size);
}

static void collect_value(pl_buf *rows, sqlite3_stmt *handle, int i)
{
    switch (sqlite3_column_type(handle, i)) {
    case SQLITE_INTEGER: {
        int64_t integer = sqlite3_column_int64(handle, i);
        pl_buf_char(rows, SQ_TAG_INT);
        pl_buf_append(rows, &integer, sizeof(integer));
        break;
    }
    case SQLITE_FLOAT: {
        double number = sqlite3_column_double(handle, i);
        pl_buf_char(rows, SQ_TAG_FLOAT);
        pl_buf_append(rows, &number, sizeof(number));
        break;
    }
    case SQLITE_NULL:
        pl_buf_char(rows, SQ_TAG_NULL);
        break;
    default: { /* the bytes first: their number is known only then */
        const void *bytes = sqlite3_column_blob(handle, i);
        pl_buf_char(rows, SQ_TAG_BYTES);
        append_sized(rows, bytes, sqlite3_column_bytes(handle, i));
    }
    }
}

static size_t row_size(sqlite3_stmt *handle, int columns)
{
    size_t size = 0;
    for (int i = 0; i < columns; i++) {
        int type = sqlite3_column_type(handle, i);
        size +=
            9 + (type == SQLITE_TEXT || type == SQLITE_BLOB ? (size_t)sqlite3_column_bytes(handle, i) : 0);
    }
    return size;
}

/* False when a limit is passed, or memory short: op->error or c->budget say so. */
static bool collect_row(sq_operation *op, sqlite3_stmt *handle)
{
    sq_connection *c = op->connection;
    int columns = sqlite3_column_count(handle);
    if (op->kind == SQ_VALUE && columns > 1)
        columns = 1;
    for (int i = 0; op->row_count == 0 && i < columns; i++) {
        const char *name = sqlite3_column_name(handle, i);
        append_sized(&op->columns, name ? name : "", name ? (int)strlen(name) : 0);
    }
    op->column_count = (size_t)columns;
    size_t size = op->rows.len + row_size(handle, columns);
    if (c->on_loop && (op->row_count >= LOOP_ROWS || size > LOOP_BYTES)) {
        c->budget = -1;
        return false;
    }
    if (op->row_count >= c->options.max_rows || size > c->options.max_bytes) {
        pl_fail(&op->error, PL_RESOURCE_EXHAUSTED, "the result has more than %zu rows or %zu bytes",
                c->options.max_rows, c->options.max_bytes);
        return false;
    }
    for (int i = 0; i < columns; i++)
        collect_value(&op->rows, handle, i);
    op->row_count++;
    if (op->rows.failed || op->columns.failed) {
        pl_fail_memory(&op->error);
        return false;
    }
    return true;
}

static bool wants_row(const sq_operation *op)
{
    return op->kind == SQ_QUERY || ((op->kind == SQ_FIRST || op->kind == SQ_VALUE) && op->row_count == 0);
}

/* Steps to the end: SQLite's code, DONE when all is well. */
static int step(sq_operation *op, const sq_statement *s)
{
    int code;
    while ((code = sqlite3_step(s->handle)) == SQLITE_ROW) {
        if (wants_row(op)) {
            if (!collect_row(op, s->handle))
                return SQLITE_ABORT;
        } else if (!s->writes && op->kind != SQ_EXEC) {
            return SQLITE_DONE; /* what writes has to run to its end */
        }
    }
    return code;
}

/* --- running --- */

/* What a failed code means for op; its error is filled when it is its end. */
static sq_outcome failed(sq_operation *op, int code, const char *sql)
{
    sq_connection *c = op->connection;
    if (c->on_loop && c->budget < 0)
        return SQ_OVER_BUDGET;
    if ((code & 0xFF) == SQLITE_BUSY && code != SQLITE_BUSY_SNAPSHOT)
        return SQ_BUSY;
    if (!op->error.code)
        sq_describe_error(c, code, sql, &op->error);
    return SQ_DONE;
}

static sq_outcome run_statement(sq_operation *op)
{
    sq_connection *c = op->connection;
    int code;
    sq_statement *s = sq_prepare(c, op->sql, &code, &op->error);
    if (!s)
        return failed(op, code, op->sql.ptr);
    sq_outcome outcome = SQ_DONE;
    if (s->writes && (c->writer || c->on_loop)) {
        outcome = SQ_FOR_WRITER;
    } else {
        code = op->named ? bind_named(op, s->handle) : bind_positional(op, s->handle);
        if (code == SQLITE_OK)
            code = step(op, s);
        if (code != SQLITE_DONE)
            outcome = failed(op, code, op->sql.ptr);
        op->changes = s->writes ? sqlite3_changes64(c->db) : 0;
        op->last_id = sqlite3_last_insert_rowid(c->db);
    }
    sq_statement_done(s);
    return outcome;
}

static sq_outcome run_script(sq_operation *op)
{
    sq_connection *c = op->connection;
    int64_t before = sqlite3_total_changes64(c->db) - op->changes;
    for (;;) {
        sqlite3_stmt *handle;
        const char *sql = op->sql.ptr + op->script_at, *tail = sql;
        int code = sq_prepare_step(c, sql, &handle, &tail, &op->error);
        bool end = code == SQLITE_OK && !handle;
        while (handle && (code = sqlite3_step(handle)) == SQLITE_ROW)
            ;
        sqlite3_finalize(handle);
        op->changes = sqlite3_total_changes64(c->db) - before;
        op->last_id = sqlite3_last_insert_rowid(c->db);
        if (end)
            return SQ_DONE;
        if (code != SQLITE_DONE)
            return failed(op, code, sql);
        op->script_at = (size_t)(tail - op->sql.ptr); /* a second run goes on here */
    }
}

static sq_outcome run_control(sq_operation *op)
{
    int code = sqlite3_exec(op->connection->db, op->sql.ptr, NULL, NULL, NULL);
    return code == SQLITE_OK ? SQ_DONE : failed(op, code, op->sql.ptr);
}

/* Some errors (a full disk, an interruption) make SQLite roll back at once: then the rest must not run
 * outside of it. */
static bool transaction_lost(const sq_operation *op)
{
    return op->transaction && op->kind != SQ_BEGIN && sqlite3_get_autocommit(op->connection->db);
}

static sq_outcome run(sq_operation *op)
{
    if (atomic_load(&op->stop)) {
        pl_fail(&op->error, PL_CANCELLED, "cancelled");
        return SQ_DONE;
    }
    if (transaction_lost(op)) {
        if (op->kind != SQ_ROLL_BACK && op->kind != SQ_ROLL_BACK_TO)
            pl_fail(&op->error, PL_ABORTED, "the transaction was rolled back by an earlier error");
        return SQ_DONE;
    }
    if (op->kind >= SQ_BEGIN)
        return run_control(op);
    return op->kind == SQ_SCRIPT ? run_script(op) : run_statement(op);
}

sq_outcome sq_operation_run(sq_operation *op, bool on_loop)
{
    sq_connection *c = op->connection;
    c->operation = op;
    c->on_loop = on_loop;
    c->budget = on_loop ? LOOP_BUDGET : 0;
    sq_outcome outcome = run(op);
    c->operation = NULL;
    c->on_loop = false;
    if (outcome != SQ_DONE)
        sq_operation_restart(op);
    return outcome;
}
