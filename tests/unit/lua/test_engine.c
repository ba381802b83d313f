/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "perilune/engines.h"
#include "support/failing.h"
#include "support/lua_state.h"

/* Calls and how they fail; loading; what happens without memory. */

static const char *const files[] = {
    "lib/broken.lua",
    "local M = {}\nfunction M.deep(n)\n  if n == 0 then\n    error 'at the bottom'\n  end\n  return "
    "(M.deep(n - 1))\nend\nreturn M",
    "lib/shapes.lua",
    "local log = require 'perilune.log'\nreturn { area = function(w, h) return w * h end }",
    NULL,
};
static const ls_options options = {.files = files};

static int set_up(void **data)
{
    *data = ls_new(&options);
    return 0;
}

static int tear_down(void **data)
{
    ls_free(*data);
    return 0;
}

/* --- calls --- */

static void results(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "", "null");
    ls_ok(s, "return", "null");
    ls_ok(s, "return nil, 1", "null");
    ls_ok(s, "return 1, 2, 3", "1");
    ls_ok(s, "return table.unpack({}, 1, 1000)", "null");
    ls_ok(s, "return { a = { 1, 2 } }", "{\"a\":[1,2]}");
    ls_ok(s, "return print", "(a function)");
    ls_ok(s, "return (function() return 5 end)()", "5");
    assert_int_equal(lua_gettop(ls_lua(s)), 0);
}

typedef struct direct {
    ls_state *s;
    int nargs;
    pl_call_status status;
    int64_t result;
    pl_work work;
    pl_arena arena;
} direct;

static void call_with_arguments(void *data)
{
    direct *d = data;
    pl_state *state = ls_engine_state(d->s);
    const pl_engine *e = pl_engine_of(state);
    pl_slot function;
    pl_error err;
    pl_call *pending;
    pl_failure failure;
    assert_int_equal(e->load(state, PL_STR("call.lua"), &function, &err), PL_OK);
    pl_ref ref = e->keep(state, function);
    e->push_int(state, 77); /* is left alone */
    assert_true(e->reserve(state, d->nargs + 1));
    for (int i = 1; i <= d->nargs; i++)
        e->push_int(state, i);
    pl_slot top = e->top(state) - d->nargs;
    d->status = e->call(state, ref, d->nargs, &d->work, &pending, &failure);
    if (d->status == PL_CALL_DONE) {
        assert_int_equal(e->top(state), top + 1);
        d->result = e->get_int(state, top + 1);
    } else {
        assert_int_equal(e->top(state), top);
    }
    assert_int_equal(e->get_int(state, top), 77);
    e->drop(state, ref);
}

static void arguments(void **data)
{
    ls_state *s = *data;
    static const int counts[] = {0, 1, 4, 19, 20, 60, 1000};
    pl_error err = {0};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        direct d = {.s = s, .nargs = counts[i]};
        pl_arena_init(&d.arena, 0);
        d.work = (pl_work){.protocol = "test", .arena = &d.arena, .ctx = PL_REF_NONE};
        assert_int_equal(ls_load(s, "call.lua",
                                 "return function(...) local sum = 0 for i, v in ipairs { ... } do sum = sum "
                                 "+ v end return sum end",
                                 &err),
                         PL_OK);
        assert_true(
            pl_engine_of(ls_engine_state(s))->protect(ls_engine_state(s), call_with_arguments, &d, &err));
        assert_int_equal(d.status, PL_CALL_DONE);
        assert_int_equal(d.result, counts[i] * (counts[i] + 1) / 2);
        assert_int_equal(ls_load(s, "call.lua", "return 5", &err), PL_OK);
        assert_true(
            pl_engine_of(ls_engine_state(s))->protect(ls_engine_state(s), call_with_arguments, &d, &err));
        assert_int_equal(d.status, PL_CALL_FAILED);
        pl_arena_dispose(&d.arena);
    }
}

/* --- failures --- */

static void unexpected_errors(void **data)
{
    ls_state *s = *data;
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"error 'text'", "call.lua:1: text"},
        {"error('text', 0)", "text"},
        {"error('two', 2)", "two"},
        {"error(42)", "42"},
        {"error(1.5)", "1.5"},
        {"error()", "the script threw a nil value"},
        {"error(nil)", "the script threw a nil value"},
        {"error(true)", "the script threw a boolean value"},
        {"error(print)", "the script threw a function value"},
        {"error(coroutine.create(print))", "the script threw a thread value"},
        {"error { code = 'NOT_FOUND', message = 'forged' }", "the script threw a table: {"},
        {"error {}", "the script threw a table: {}"},
        {"error { print }", "the script threw a table"},
        {"local t = {} t.t = t error(t)", "the script threw a table"},
        {"error(setmetatable({ a = 1 }, { __tostring = function() while true do end end }))",
         "the script threw a table: {\"a\":1}"},
        {"error(setmetatable({}, { __metatable = errors.metatable, __index = { code = 'NOT_FOUND' } }))",
         "the script threw a table"},
        {"local x = nil; return x.field", "call.lua:1: attempt to index a nil value (local 'x')"},
        {"return 1 + {}", "attempt to perform arithmetic on a table value"},
        {"undefined()", "attempt to call a nil value (global 'undefined')"},
        {"return #5", "attempt to get length of a number value"},
        {"return 1 // 0", "zero"},
        {"assert(false)", "assertion failed!"},
        {"assert(nil, 'said so')", "said so"},
        {"error(('x'):rep(100000), 0)", "xxxxx"},
        {"error('a\\0b', 0)", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_call *c = ls_run(s, cases[i].body);
        ls_is_failed(c, PL_INTERNAL, cases[i].message);
        assert_false(c->failure.expected);
        assert_int_equal(c->failure.details.kind, PL_KIND_ABSENT);
        assert_non_null(strstr(c->failure.traceback.ptr, "stack traceback:"));
    }
}

static void errors_for_the_client(void **data)
{
    ls_state *s = *data;
    static const struct {
        const char *name;
        pl_code code;
    } codes[] = {{"cancelled", PL_CANCELLED},
                 {"unknown", PL_UNKNOWN},
                 {"invalid_argument", PL_INVALID_ARGUMENT},
                 {"deadline_exceeded", PL_DEADLINE_EXCEEDED},
                 {"not_found", PL_NOT_FOUND},
                 {"already_exists", PL_ALREADY_EXISTS},
                 {"permission_denied", PL_PERMISSION_DENIED},
                 {"resource_exhausted", PL_RESOURCE_EXHAUSTED},
                 {"failed_precondition", PL_FAILED_PRECONDITION},
                 {"aborted", PL_ABORTED},
                 {"out_of_range", PL_OUT_OF_RANGE},
                 {"unimplemented", PL_UNIMPLEMENTED},
                 {"internal", PL_INTERNAL},
                 {"unavailable", PL_UNAVAILABLE},
                 {"data_loss", PL_DATA_LOSS},
                 {"unauthenticated", PL_UNAUTHENTICATED}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char body[200];
        snprintf(body, sizeof body, "error(errors.%s 'for you')", codes[i].name);
        ls_call *c = ls_run(s, body);
        ls_is_failed(c, codes[i].code, "for you");
        assert_true(c->failure.expected);
        snprintf(body, sizeof body, "coroutine.wrap(function() sleep(1) error(errors.%s 'late') end)()",
                 codes[i].name);
        c = ls_run(s, body);
        ls_is_failed(c, codes[i].code, "late");
        assert_true(c->failure.expected);
    }
    ls_call *c = ls_run(s, "error(errors.invalid_argument('no', { name = 'too short', age = 'x' }, { "
                           "extensions = { hint = { 1 } } }))");
    ls_is_failed(c, PL_INVALID_ARGUMENT, "no");
    const pl_value *name = pl_value_member(&c->failure.details, PL_STR("name"));
    assert_true(name && pl_str_is(name->string, "too short"));
    assert_int_equal(pl_value_member(&c->failure.extensions, PL_STR("hint"))->kind, PL_KIND_LIST);
}

/* Scripts may put anything into such an error. */
static void mangled_errors(void **data)
{
    ls_state *s = *data;
    static const struct {
        const char *change;
        pl_code code;
        const char *message;
    } cases[] = {
        {"e.code = 'NO_SUCH_CODE'", PL_UNKNOWN, "m"},
        {"e.code = nil", PL_UNKNOWN, "m"},
        {"e.code = {}", PL_UNKNOWN, "m"},
        {"e.code = 'OK'", PL_UNKNOWN, "m"},
        {"e.message = nil", PL_NOT_FOUND, ""},
        {"e.message = {}", PL_NOT_FOUND, ""},
        {"e.message = 5", PL_NOT_FOUND, "5"},
        {"e.message = 'a\\0b\\xff'", PL_NOT_FOUND, "a"},
        {"e.details = 5", PL_NOT_FOUND, "m"},
        {"e.details = print", PL_NOT_FOUND, "m"},
        {"e.details = e", PL_NOT_FOUND, "m"},
        {"e.details = { print }", PL_NOT_FOUND, "m"},
        {"e.extensions = setmetatable({}, { __index = error, __pairs = error })", PL_NOT_FOUND, "m"},
        {"getmetatable(e).__index = function() error 'x' end", PL_NOT_FOUND, "m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[300];
        snprintf(body, sizeof body, "local e = errors.not_found 'm' %s error(e)", cases[i].change);
        ls_call *c = ls_run(s, body);
        ls_is_failed(c, cases[i].code, cases[i].message);
        assert_true(c->failure.expected);
        assert_true(c->failure.details.kind == PL_KIND_ABSENT || c->failure.details.kind == PL_KIND_MAP ||
                    c->failure.details.kind == PL_KIND_LIST);
    }
}

static void tracebacks(void **data)
{
    ls_state *s = *data;
    ls_call *c = ls_run(s, "\nlocal broken = require 'lib.broken'\nreturn (broken.deep(3))");
    ls_is_failed(c, PL_INTERNAL, "lib/broken.lua:4: at the bottom");
    assert_non_null(strstr(c->failure.traceback.ptr, "lib/broken.lua:6: in "));
    assert_non_null(strstr(c->failure.traceback.ptr, "call.lua:3: in "));
    assert_null(strstr(c->failure.traceback.ptr, "unit/"));
    c = ls_run(s, "return (require('lib.broken').deep(100000))");
    ls_is_failed(c, PL_INTERNAL, "at the bottom");
    assert_true(c->failure.traceback.len < 5000);
}

static void print_goes_to_the_log(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "print('hello', nil, true, 1.5) return 1", "1");
    assert_non_null(strstr(ls_log(s)->data, "hello\\tnil\\ttrue\\t1.5"));
}

/* --- memory, and its collection --- */

static void idle_collects(void **data)
{
    ls_state *s = *data;
    const pl_engine *e = pl_engine_of(ls_engine_state(s));
    size_t before = ls_collect(s);
    ls_ok(s, "local t = {} for i = 1, 20000 do t[i] = { i } end return #t", "20000");
    assert_true(e->memory(ls_engine_state(s)) > before + 500000);
    for (int i = 0; i < 5000 && e->memory(ls_engine_state(s)) > before + 500000; i++)
        e->idle(ls_engine_state(s));
    assert_true(e->memory(ls_engine_state(s)) <= before + 500000);
}

static void calls_leave_nothing_behind(void **data)
{
    ls_state *s = *data;
    static const char *const bodies[] = {"return { 1, 2, 3 }", "error 'x'", "sleep(1)",
                                         "sleep(1) error(errors.aborted 'x')",
                                         "return coroutine.wrap(function() sleep(1) return 1 end)()"};
    for (int round = 0; round < 2; round++) { /* the first one warms up */
        size_t before = ls_collect(s);
        for (int i = 0; i < 500; i++) {
            ls_run(s, bodies[i % 5]);
            ls_forget(s);
        }
        assert_true(round == 0 || ls_collect(s) < before + 2000);
    }
    for (int round = 0; round < 2; round++) {
        size_t before = ls_collect(s);
        for (int i = 0; i < 200; i++)
            ls_cancel(ls_start(s, "sleep(1)"));
        ls_forget(s);
        assert_true(round == 0 || ls_collect(s) < before + 2000);
    }
}

/* --- the caller's done --- */

typedef struct jumping {
    ls_state *s;
    pl_work work;
    pl_arena arena;
    pl_call_status statuses[4];
    int ends;
    bool always;
} jumping;

static void done_that_jumps(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    jumping *j = call->data;
    if (j->ends < 4)
        j->statuses[j->ends] = status;
    if (status == PL_CALL_FAILED)
        assert_int_equal(failure->code, PL_RESOURCE_EXHAUSTED);
    j->ends++;
    if (j->ends == 1 || j->always)
        luaL_error(ls_lua(j->s), "out of memory, say");
}

static void begin_jumping(void *data)
{
    jumping *j = data;
    pl_state *state = ls_engine_state(j->s);
    const pl_engine *e = pl_engine_of(state);
    pl_slot function;
    pl_call *pending;
    pl_failure failure;
    pl_error err;
    assert_int_equal(e->load(state, PL_STR("call.lua"), &function, &err), PL_OK);
    assert_int_equal(e->call(state, e->keep(state, function), 0, &j->work, &pending, &failure),
                     PL_CALL_PENDING);
    pending->done = done_that_jumps;
    pending->data = j;
}

static void a_done_that_is_left_by_a_jump_hears_of_it(void **data)
{
    ls_state *s = *data;
    for (int always = 0; always < 2; always++) {
        jumping j = {.s = s, .always = always};
        pl_error err = {0};
        pl_arena_init(&j.arena, 0);
        j.work = (pl_work){.protocol = "test", .arena = &j.arena, .ctx = PL_REF_NONE};
        assert_int_equal(ls_load(s, "call.lua", "return function() sleep(1) return 1 end", &err), PL_OK);
        assert_true(pl_engine_of(ls_engine_state(s))->protect(ls_engine_state(s), begin_jumping, &j, &err));
        while (ls_turn(s))
            ;
        assert_int_equal(j.ends, 2);
        assert_int_equal(j.statuses[0], PL_CALL_DONE);
        assert_int_equal(j.statuses[1], PL_CALL_FAILED);
        ls_ok(s, "sleep(1) return 'well'", "\"well\"");
        pl_arena_dispose(&j.arena);
    }
}

/* --- allocations that fail --- */

static void state_new_without_memory(void **data)
{
    static const pl_file no_files[1];
    pl_state_config config = {.files = no_files};
    pl_state *state = NULL;
    pl_error err = {0};
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky, .dense = 300, .step = 3};
        while (failing_next(&a)) {
            failing_begin(&a);
            pl_code code = pl_lua_engine()->state_new(pl_lua_engine(), &config, &state, &err);
            bool failed = failing_end(&a);
            if (code == PL_OK)
                pl_lua_engine()->state_free(state);
            else
                assert_true(failed && code == PL_RESOURCE_EXHAUSTED);
        }
        assert_true(a.failed > 99);
    }
}

static void load_without_memory(void **data)
{
    ls_state *s = *data;
    static const char text[] =
        "local shapes = require 'lib.shapes' package.loaded['lib.shapes'] = nil local t = { a = { 1, 2 } } "
        "local co = coroutine.wrap(function() coroutine.yield(1) end) co() pcall(error, 'x') "
        "return { f = function() return shapes.area(2, t.a[1]) end }";
    static const char *const broken[] = {"error('thrown ' .. 1)",
                                         "error(require('perilune.errors').not_found 'x')", "x = = 1",
                                         "error(12.5)", "error {}"};
    for (int sticky = 0; sticky < 2; sticky++) {
        for (int i = -1; i < 5; i++) {
            failing a = {.sticky = sticky};
            while (failing_next(&a)) {
                pl_error err = {0};
                failing_begin(&a);
                pl_code code = ls_load(s, "call.lua", i < 0 ? text : broken[i], &err);
                assert_true(failing_end(&a) || code == PL_OK || i >= 0);
                assert_true(i < 0 || code != PL_OK);
                assert_true(code == err.code && (code == PL_OK || err.message[0]));
            }
        }
        ls_ok(s, "return require('lib.shapes').area(3, 4)", "12");
    }
}

/* For each n: no crash, no leak; the call says that memory was short, or ends as always; the state works. */
static void calls_without_memory(void **data)
{
    ls_state *s = *data;
    static const char *const bodies[] = {
        "local t = {} for i = 1, 20 do t[i] = { i, tostring(i) } end return #t",
        "local ok, e = pcall(function() local t = { 1 } error('x' .. #t, 0) end) return e",
        "return select(2, xpcall(function() error 'x' end, function(m) return debug.traceback(m):sub(1, 4) "
        "end))",
        "local f = coroutine.wrap(function(a) local b = coroutine.yield(a .. 1) return b .. 2 end) return "
        "f('a') .. f('b')",
        "sleep(1) return 'slept'",
        "local n = 0 for i in coroutine.wrap(function() for i = 1, 3 do sleep(1) coroutine.yield(i) end end) "
        "do n = n + i end return n",
        "return coroutine.wrap(function() return coroutine.wrap(function() sleep(1) local x <close> = "
        "setmetatable({}, { __close = function() "
        "local t = { 1 } end }) return 'in' end)() end)()",
        "return { pcall(coroutine.wrap(function() pcall(sleep, 1) error('deep', 0) end)) }",
        "error 'plain'",
        "error { some = 'table' }",
        "error(errors.invalid_argument('bad', { a = 'b', c = 'd' }, { extensions = { x = { 1, 2 } } }))",
        "coroutine.wrap(function() sleep(1) error(errors.not_found 'late') end)()",
        "return ctx.request_id .. #ctx.headers .. ctx.protocol",
        "package.loaded['lib.shapes'] = nil return require('lib.shapes').area(2, 3)",
        "return load('return ...')(5)",
        "local x <close> = setmetatable({}, { __close = function() local t = { {}, {} } sleep(1) end }) "
        "return ('x'):rep(50):gsub('x', 'yy')",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ls_call *plain = ls_run(s, bodies[i]);
        char *as_always = strdup(ls_text(plain));
        for (int sticky = 0; sticky < 2; sticky++) {
            failing a = {.sticky = sticky};
            while (failing_next(&a)) {
                ls_call *c = ls_run_failing(s, bodies[i], &a);
                assert_true(c->status == PL_CALL_DONE || c->failure.message.ptr);
                assert_true(c->ends <= 1);
                bool short_of_memory =
                    c->status == PL_CALL_FAILED && c->failure.code == PL_RESOURCE_EXHAUSTED;
                bool same =
                    strncmp(ls_text(c), as_always, strlen(ls_text(c))) == 0; /* a description may be cut */
                if (!short_of_memory && !same && !strstr(ls_text(c), "memory"))
                    fail_msg("%s\nallocation %zu fails: %s instead of %s", bodies[i], a.n, ls_text(c),
                             as_always);
                ls_forget(s);
            }
            ls_collect(s); /* so that the next ones allocate anew */
        }
        ls_check_done(ls_run(s, "return coroutine.wrap(function() sleep(1) return 'well' end)()"), "\"well\"",
                      __FILE__, __LINE__);
        free(as_always);
        ls_forget(s);
    }
}

typedef struct building {
    ls_state *s;
    int round;
} building;

static void build(void *data)
{
    building *b = data;
    pl_state *state = ls_engine_state(b->s);
    const pl_engine *e = pl_engine_of(state);
    char name[40];
    e->push_map(state, 8);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "member %d of %d", i, b->round);
        e->push_list(state, 3);
        e->push_string(state, pl_str_of(name));
        e->set_element(state, 2, 0);
        e->set_member(state, 1, pl_str_of(name));
    }
    e->drop(state, e->keep(state, 1));
    e->index_function(state);
}

static void values_without_memory(void **data)
{
    ls_state *s = *data;
    pl_state *state = ls_engine_state(s);
    const pl_engine *e = pl_engine_of(state);
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            building b = {s, (int)a.n + 1000 * sticky};
            char name[40];
            pl_error err = {0};
            snprintf(name, sizeof name, "key %zu %d", a.n, sticky);
            failing_begin(&a);
            if (!e->protect(state, build, &b, &err))
                assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
            pl_key *key = e->key(state, pl_str_of(name));
            failing_end(&a);
            assert_int_equal(e->top(state), 0);
            pl_key *again = e->key(state, pl_str_of(name));
            assert_true(again && (!key || again == key));
            ls_collect(s);
        }
    }
}

/* --- threads --- */

typedef struct worker {
    pthread_t thread;
    int number;
    char text[3][200];
} worker;

static void *work(void *data)
{
    worker *w = data;
    static const ls_options watched = {.limits = {.run_ms = 100}, .watched = true};
    ls_state *s = ls_new(&watched);
    for (int i = 0; i < 3; i++) {
        ls_call *c =
            ls_run(s, (i + w->number) % 3 == 0 ? "while true do end"
                                               : "local t = {} for i = 1, 1000 do t[i] = i end return #t");
        snprintf(w->text[i], sizeof w->text[i], "%s", ls_text(c));
    }
    ls_free(s);
    return NULL;
}

static void states_on_several_threads(void **data)
{
    worker workers[3];
    for (int i = 0; i < 3; i++) {
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            assert_non_null(
                strstr(workers[i].text[j], (i + j) % 3 == 0 ? "FAILED DEADLINE_EXCEEDED" : "DONE 1000"));
    }
}

/* A detached state runs what does not wait; a state that was made but never used can be freed. */
static void states_without_a_host(void **data)
{
    ls_options detached = options;
    detached.detached = true;
    ls_state *s = ls_new(&detached);
    ls_ok(s, "return require('lib.shapes').area(2, 3)", "6");
    ls_fails(s, "sleep(1)", PL_INTERNAL, "time.sleep cannot wait here");
    ls_ok(s, "return ctx.deadline == nil", "true");
    ls_free(s);
    ls_free(ls_new(NULL));
    pl_lua_engine()->state_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(results),
        TEST(arguments),
        TEST(unexpected_errors),
        TEST(errors_for_the_client),
        TEST(mangled_errors),
        TEST(tracebacks),
        TEST(print_goes_to_the_log),
        TEST(idle_collects),
        TEST(calls_leave_nothing_behind),
        TEST(a_done_that_is_left_by_a_jump_hears_of_it),
        cmocka_unit_test(state_new_without_memory),
        TEST(load_without_memory),
        TEST(calls_without_memory),
        TEST(values_without_memory),
        cmocka_unit_test(states_on_several_threads),
        cmocka_unit_test(states_without_a_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
