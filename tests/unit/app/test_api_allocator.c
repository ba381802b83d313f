/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <perilune.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The allocator of a host program. Each piece has a head, so that one which is freed by the C library, or
 * comes from there, is found; and the n-th allocation fails, on whatever thread it is, then those after it,
 * too. */

#define MAGIC 0x706572696c756e65u
#define HEAD 32

static atomic_long live, made, fail_at; /* 0: none fails */
static atomic_bool sticky;

static bool must_fail(void)
{
    long n = atomic_fetch_add(&made, 1) + 1, at = atomic_load(&fail_at);
    return at != 0 && (n == at || (n > at && atomic_load(&sticky)));
}

static void *allocate(void *data, size_t size)
{
    assert_true(size > 0 && data == &live);
    uint64_t *memory = must_fail() ? NULL : malloc(size + HEAD);
    if (!memory)
        return NULL;
    memory[0] = MAGIC;
    memory[1] = size;
    atomic_fetch_add(&live, 1);
    return (char *)memory + HEAD;
}

static uint64_t *head_of(void *memory)
{
    uint64_t *head = (uint64_t *)((char *)memory - HEAD);
    if (!memory || head[0] != MAGIC)
        abort();
    return head;
}

static void release(void *data, void *memory)
{
    uint64_t *head = head_of(memory);
    head[0] = 0;
    atomic_fetch_sub(&live, 1);
    free(head);
}

static void *reallocate(void *data, void *memory, size_t size)
{
    uint64_t *head = head_of(memory);
    void *larger = allocate(data, size);
    if (!larger)
        return NULL;
    memcpy(larger, memory, head[1] < size ? head[1] : size);
    release(data, memory);
    return larger;
}

static const pl_allocator allocator = {allocate, reallocate, release, &live};

static const char schema[] = "type Query { version: String!  wait: String }";
static const char code[] = "local json, time = require 'perilune.json', require 'perilune.time'\n"
                           "return { Query = { version = function() return json.encode { a = 1 } end,\n"
                           "  wait = function() time.sleep(0) return 'x' end } }";
static const char changed[] = "return { Query = { version = function() return 'two' end } }";
static const char request[] = "{\"query\":\"{ version wait }\"}";

typedef enum stage { NOT_MADE, NOT_STARTED, STARTED, ANSWERED, RELOADED } stage;

static pl_app *make(int workers, stage *reached)
{
    const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                 {"resolvers/q.lua", code, sizeof code - 1}};
    char error[500];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = 2;
    options.workers = workers;
    options.http = "127.0.0.1:0";
    pl_app *app = pl_app_new(&options, error, sizeof error);
    *reached = app ? NOT_STARTED : NOT_MADE;
    pl_code result = app ? pl_app_start(app, error, sizeof error) : PL_OK;
    if (app && !result)
        *reached = STARTED;
    else
        assert_true(error[0] != '\0');
    return app;
}

static pl_code ask(pl_app *app)
{
    char *response;
    pl_code result = pl_app_execute(app, request, sizeof request - 1, &response, NULL);
    pl_free_text(response);
    return result;
}

static pl_code reload(pl_app *app)
{
    const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                 {"resolvers/q.lua", changed, sizeof changed - 1}};
    return pl_app_reload_memory(app, files, 2, NULL, 0);
}

/* Returns how far it came. */
static stage run(int workers, long at)
{
    stage reached;
    atomic_store(&made, 0);
    atomic_store(&fail_at, at);
    pl_app *app = make(workers, &reached);
    if (reached == STARTED && ask(app) == PL_OK)
        reached = ANSWERED;
    if (reached == ANSWERED && reload(app) == PL_OK)
        reached = RELOADED;
    atomic_store(&fail_at, 0);
    if (reached >= STARTED)
        assert_int_equal(ask(app), PL_OK); /* it has survived */
    pl_app_free(app);
    return reached;
}

/* Lua keeps nothing of its own; what OpenSSL or librdkafka keep for the process is not ours. */
static void every_allocation_fails(int workers, bool all_after, long dense, long step)
{
    unsigned counts[RELOADED + 1] = {0};
    atomic_store(&sticky, all_after);
    run(workers, 0);
    long before = atomic_load(&live), n = 1;
    for (stage reached = NOT_MADE; n <= atomic_load(&made) || reached != RELOADED;
         n += n < dense ? 1 : step) {
        reached = run(workers, n);
        counts[reached]++;
        assert_int_equal(atomic_load(&live), before);
        assert_true(n < 1000000);
    }
    assert_true(counts[NOT_MADE] > 0 && counts[NOT_STARTED] > 0 && counts[RELOADED] > 0);
    assert_true(!all_after || counts[STARTED] + counts[ANSWERED] > 0);
}

static void test_one_with_a_worker(void **state)
{
    every_allocation_fails(1, false, 100, 29);
}

static void test_all_after_with_a_worker(void **state)
{
    every_allocation_fails(1, true, 100, 31);
}

static void test_all_after_without(void **state)
{
    every_allocation_fails(0, true, 600, 3);
}

static void test_set_once(void **state)
{
    assert_int_equal(pl_set_allocator(NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_set_allocator(&allocator), PL_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_once),
        cmocka_unit_test(test_one_with_a_worker),
        cmocka_unit_test(test_all_after_with_a_worker),
        cmocka_unit_test(test_all_after_without),
    };
    if (pl_set_allocator(&allocator) != PL_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
