/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/local.h"
#include "cli/cli.h"
#include "perilune/engines.h"

/* `perilune test`: each test file runs in a fresh state on a fresh database; each of its tests is one call,
 * with the limits of a resolver but more time. */

#define RUNNER "perilune_test_runner.lua"

static const char runner_code[] = "local t = require 'perilune.test'\n"
                                  "local function run(i)\n"
                                  "  local entry, before = t._tests()[i], t._before()\n"
                                  "  t._reset()\n"
                                  "  if before then before(entry) end\n"
                                  "  entry.fn()\n"
                                  "end\n"
                                  "return { count = function() return #t._tests() end, name = function(i) "
                                  "return t._tests()[i].name end, run = run }\n";

typedef struct runner {
    pl_local *local;
    pl_state *state;
    const pl_engine *e;
    pl_slot module;
    const char *file;
    const char *filter;
    unsigned passed, failed;
    pl_arena arena;
    pl_work work;
    bool done;
    pl_failure failure;
    pl_call_status status;
    pl_error err;
    int64_t count, index;
    pl_ref fn_count, fn_name, fn_run;
    char name[256];
    int64_t number;
} runner;

static void call_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    runner *r = call->data;
    (void)result;
    r->status = status;
    if (status == PL_CALL_FAILED)
        r->failure = *failure;
    r->done = true;
    pl_local_wake(r->local);
}

/* Calls fn(index) and waits for its end; a number or string that comes back goes to r->number or r->name. */
static void call_section(void *data)
{
    runner *r = data;
    pl_call *call;
    pl_ref fn = r->index == 0 ? r->fn_count : r->index < 0 ? r->fn_name : r->fn_run;
    r->e->push_int(r->state, r->index < 0 ? -r->index : r->index);
    r->status = r->e->call(r->state, fn, 1, &r->work, &call, &r->failure);
    if (r->status == PL_CALL_PENDING) {
        call->done = call_done;
        call->data = r;
        return;
    }
    r->done = true;
    if (r->status != PL_CALL_DONE)
        return;
    pl_slot result = r->e->top(r->state);
    if (r->e->kind(r->state, result) == PL_KIND_INT)
        r->number = r->e->get_int(r->state, result);
    if (r->e->kind(r->state, result) == PL_KIND_STRING)
        snprintf(r->name, sizeof r->name, "%.*s", PL_STR_ARG(r->e->get_string(r->state, result)));
}

/* which: 0 the number of tests, -i the name of test i, i the test itself */
static bool call(runner *r, int64_t which)
{
    r->index = which;
    r->done = false;
    r->failure = (pl_failure){0};
    pl_arena_init(&r->arena, 0);
    r->work = (pl_work){.protocol = "test", .id = PL_STR("test"), .arena = &r->arena, .ctx = PL_REF_NONE};
    if (!r->e->protect(r->state, call_section, r, &r->err)) {
        r->status = PL_CALL_FAILED;
        r->failure.message = pl_str_of(r->err.message);
        r->done = true;
    }
    pl_local_run_until(r->local, &r->done);
    r->e->work_end(r->state, &r->work);
    return r->status == PL_CALL_DONE;
}

static void keep(runner *r, const char *name, pl_ref *ref)
{
    pl_key *key = r->e->key(r->state, pl_str_of(name));
    *ref = PL_REF_NONE;
    if (key && r->e->field(r->state, r->module, key))
        *ref = r->e->keep(r->state, r->e->top(r->state));
}

static void load_section(void *data)
{
    runner *r = data;
    pl_slot ignored;
    if (r->e->load(r->state, pl_str_of(r->file), &ignored, &r->err) != PL_OK ||
        r->e->load(r->state, PL_STR(RUNNER), &r->module, &r->err) != PL_OK)
        return;
    keep(r, "count", &r->fn_count);
    keep(r, "name", &r->fn_name);
    keep(r, "run", &r->fn_run);
}

static double seconds_since(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9;
}

static void indent(const char *text, int n)
{
    for (int i = 0; i < n;) {
        int line = (int)strcspn(text + i, "\n");
        if (line > n - i)
            line = n - i;
        printf("    %.*s\n", line, text + i);
        i += line + 1;
    }
}

static void run_one(runner *r, int64_t i)
{
    r->name[0] = '\0';
    call(r, -i);
    pl_arena_dispose(&r->arena);
    if (r->filter && !strstr(r->name, r->filter))
        return;
    char name[256];
    struct timespec begin;
    snprintf(name, sizeof name, "%s", r->name);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    bool ok = call(r, i);
    printf("%s %s: %s (%.0f ms)\n", ok ? "ok    " : "FAILED", r->file, name, seconds_since(&begin) * 1000);
    if (ok) {
        r->passed++;
    } else {
        r->failed++;
        indent(r->failure.message.ptr ? r->failure.message.ptr : "", (int)r->failure.message.len);
        if (r->failure.traceback.len > 0)
            indent(r->failure.traceback.ptr, (int)r->failure.traceback.len);
    }
    pl_arena_dispose(&r->arena);
}

static void run_tests(runner *r)
{
    if (!r->e->protect(r->state, load_section, r, &r->err) || r->err.code) {
        r->failed++;
        printf("FAILED %s\n", r->file);
        pl_cli_fail(&r->err);
        return;
    }
    call(r, 0);
    pl_arena_dispose(&r->arena);
    int64_t count = r->number;
    for (int64_t i = 1; i <= count; i++)
        run_one(r, i);
}

/* A database of its own for each file, gone afterwards. */
static bool make_database(char *path, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, size, "%s/perilune-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(path))
        return false;
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/test.db", path);
    setenv("PERILUNE_SQLITE_PATH", file, 1);
    return true;
}

static void remove_database(const char *path)
{
    static const char *const names[] = {"test.db", "test.db-wal", "test.db-shm", "test.db-journal",
                                        "test.db-outbox"};
    char file[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

static void run_file(pl_bundle *bundle, const char *file, const char *filter, pl_logger *log,
                     unsigned *passed, unsigned *failed)
{
    static const pl_state_limits limits = {.run_ms = 10000};
    char database[PATH_MAX];
    pl_report report;
    pl_error err = {0};
    pl_local_options options = {.engine = pl_lua_engine(), .log = log, .testing = true, .limits = &limits};
    pl_report_init(&report);
    bool has_database = make_database(database, sizeof database);
    pl_local *local = pl_local_open(bundle, &options, &report, &err);
    if (local) {
        runner r = {.local = local,
                    .state = pl_local_instance(local)->state,
                    .e = pl_lua_engine(),
                    .file = file,
                    .filter = filter};
        run_tests(&r);
        *passed += r.passed;
        *failed += r.failed;
    } else {
        pl_buf text;
        pl_buf_init(&text);
        pl_report_text(&report, &text);
        fwrite(text.data ? text.data : "", 1, text.len, stderr);
        pl_buf_dispose(&text);
        if (err.code)
            pl_cli_fail(&err);
        printf("FAILED %s: the bundle could not be loaded\n", file);
        ++*failed;
    }
    pl_local_close(local);
    if (has_database)
        remove_database(database);
    pl_report_dispose(&report);
}

/* The bundle with the runner added to its files. */
static pl_bundle *read_bundle(const char *directory, pl_error *err)
{
    pl_bundle *plain = pl_bundle_read(directory, err), *bundle = NULL;
    if (!plain)
        return NULL;
    pl_file *files = calloc(plain->file_count + 1, sizeof *files);
    if (files) {
        memcpy(files, plain->files, plain->file_count * sizeof *files);
        files[plain->file_count] = (pl_file){PL_STR(RUNNER), {runner_code, sizeof runner_code - 1}};
        bundle = pl_bundle_from_memory(files, plain->file_count + 1, err);
        if (bundle)
            bundle->directory = pl_arena_str(&bundle->arena, plain->directory);
    } else {
        pl_fail_memory(err);
    }
    free(files);
    pl_bundle_unref(plain);
    return bundle;
}

int pl_cli_test(int argc, char **argv)
{
    const char *directory = ".", *filter = NULL;
    const pl_option table[] = {
        {"filter", PL_OPTION_TEXT, &filter, NULL, "TEXT", "run only tests with TEXT in their name"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune test [DIR] [options]",
                            "Runs tests/*_test.lua of the bundle in DIR, each file in a fresh state, with "
                            "PERILUNE_SQLITE_PATH naming an empty\n"
                            "database of its own. The exit status is 1 when a test fails.",
                            table};
    int status = pl_options_read(&usage, argc, argv, &directory, 1);
    if (status)
        return status == 1 ? 0 : status;
    pl_error err = {0};
    unsigned passed = 0, failed = 0, files = 0;
    pl_logger *log = pl_logger_new(STDERR_FILENO, PL_LOG_TEXT, PL_WARN);
    pl_bundle *bundle = read_bundle(directory, &err);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; bundle && i < bundle->file_count; i++) {
        if (!pl_file_is(&bundle->files[i], "tests/", "_test.lua"))
            continue;
        files++;
        run_file(bundle, bundle->files[i].path.ptr, filter, log, &passed, &failed);
    }
    pl_bundle_unref(bundle);
    pl_logger_free(log);
    if (err.code)
        return pl_cli_fail(&err);
    if (files == 0)
        printf("no tests: there is no tests/*_test.lua in %s\n", directory);
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || files == 0;
}
