/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/lua_state.h"

/* ctx.loaders: what is collected, when it is fetched, and who gets what. */

typedef struct world {
    ls_state *s;
    const pl_engine *e;
    pl_state *state;
    pl_loader loaders[8];
    size_t count;
} world;

/* batches: what the batch functions were called with, in order. */
static const char *const files[] = {
    "loaders.lua",
    "local json = require 'perilune.json'\n"
    "null = json.null\n"
    "batches = {}\n"
    "local function note(name, keys)\n"
    "  local shown = {}\n"
    "  for i, key in ipairs(keys) do shown[i] = type(key) == 'table' and json.encode(key, {sorted = true}) "
    "or tostring(key) end\n"
    "  batches[#batches + 1] = name .. ':' .. table.concat(shown, ',')\n"
    "end\n"
    "local function twice(name, wait)\n"
    "  return function(keys, ctx)\n"
    "    note(name, keys)\n"
    "    if wait then sleep(wait) end\n"
    "    local out = {}\n"
    "    for i, key in ipairs(keys) do out[i] = tostring(key) .. tostring(key) end\n"
    "    return out\n"
    "  end\n"
    "end\n"
    "return {\n"
    "  now = twice('now'), slow = twice('slow', 0.05),\n"
    "  three = { batch = twice('three'), max_batch = 3 },\n"
    "  fresh = { batch = twice('fresh'), cache = false },\n"
    "  pairs = { batch = function(keys) note('pairs', keys) local out = {} for i, k in ipairs(keys) do\n"
    "      out[i] = k.a + k.b end return out end, key = function(k) return k.a .. '/' .. k.b end },\n"
    "  odd = function(keys, ctx) note('odd', keys) return answer(keys, ctx) end,\n"
    "}\n",
    NULL};

static void keep(world *w, pl_slot table, const char *name)
{
    const pl_engine *e = w->e;
    pl_loader *loader = &w->loaders[w->count++];
    *loader = (pl_loader){.name = pl_str_of(name), .batch = PL_REF_NONE, .key = PL_REF_NONE};
    assert_true(e->field(w->state, table, e->key(w->state, loader->name)));
    pl_slot slot = e->top(w->state);
    if (e->is_function(w->state, slot)) {
        loader->batch = e->keep(w->state, slot);
        return;
    }
    e->field(w->state, slot, e->key(w->state, PL_STR("batch")));
    loader->batch = e->keep(w->state, slot + 1);
    e->field(w->state, slot, e->key(w->state, PL_STR("key")));
    if (e->is_function(w->state, slot + 2))
        loader->key = e->keep(w->state, slot + 2);
    e->field(w->state, slot, e->key(w->state, PL_STR("max_batch")));
    if (e->kind(w->state, slot + 3) == PL_KIND_INT)
        loader->max_batch = (uint32_t)e->get_int(w->state, slot + 3);
    e->field(w->state, slot, e->key(w->state, PL_STR("cache")));
    loader->uncached = e->kind(w->state, slot + 4) == PL_KIND_BOOL;
}

static void declare(void *data)
{
    world *w = data;
    static const char *const names[] = {"fresh", "now", "odd", "pairs", "slow", "three"};
    pl_slot table;
    pl_error err = {0};
    if (w->e->load(w->state, PL_STR("loaders.lua"), &table, &err) != PL_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        keep(w, table, names[i]);
        w->e->pop_to(w->state, table);
    }
    w->e->set_loaders(w->state, w->loaders, w->count);
}

static int set_up(void **data)
{
    world *w = calloc(1, sizeof *w);
    pl_error err = {0};
    w->s = ls_new(&(ls_options){.files = files});
    w->state = ls_engine_state(w->s);
    w->e = pl_engine_of(w->state);
    assert_true(w->e->protect(w->state, declare, w, &err));
    *data = w;
    return 0;
}

static int tear_down(void **data)
{
    world *w = *data;
    ls_free(w->s);
    free(w);
    return 0;
}

static void run_all(world *w)
{
    while (ls_turn(w->s))
        ;
}

static void batches_at(world *w, const char *json, int line)
{
    ls_ok_at(w->s, "return batches", json, __FILE__, line);
    ls_ok_at(w->s, "batches = {} return 1", "1", __FILE__, line);
}
#define batches_are(w, json) batches_at(w, json, __LINE__)

/* Starts n bodies for one work; the first is in calls[0]. */
static void start_all(world *w, ls_call **calls, const char *const *bodies, int n)
{
    for (int i = 0; i < n; i++)
        calls[i] = i == 0 ? ls_start(w->s, bodies[i]) : ls_join(calls[0], bodies[i]);
}

static void calls_make_one_batch(void **data)
{
    world *w = *data;
    static const char *const bodies[] = {"return ctx.loaders.now:load(1)", "return ctx.loaders.now:load('x')",
                                         "return ctx.loaders.now:load(1)",
                                         "return { ctx.loaders.now:load(true), ctx.loaders.now:load(1.5) }"};
    ls_call *calls[4];
    start_all(w, calls, bodies, 4);
    run_all(w);
    ls_is_done(calls[0], "\"11\"");
    ls_is_done(calls[1], "\"xx\"");
    ls_is_done(calls[2], "\"11\"");
    ls_is_done(calls[3], "[\"truetrue\",\"1.51.5\"]");
    batches_are(w, "[\"now:1,x,true\",\"now:1.5\"]");
}

static void dispatch_starts_them_at_once(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "return ctx.loaders.now:load(1)");
    ls_call *b = ls_join(a, "return ctx.loaders.now:load(ctx.loaders.slow:load(2))");
    w->e->dispatch(w->state, &a->work);
    ls_is_done(a, "\"11\"");
    assert_true(b->waits);
    w->e->dispatch(w->state, &a->work); /* nothing to do */
    assert_true(b->waits);
    run_all(w);
    ls_is_done(b, "\"2222\"");
    batches_are(w, "[\"now:1\",\"slow:2\",\"now:22\"]");
}

/* What becomes runnable in the same turn of the loop makes one batch. */
static void sleepers_that_wake_together(void **data)
{
    world *w = *data;
    ls_call *calls[10];
    for (int i = 0; i < 10; i++) {
        const char *body = "n = (n or 0) + 1 local mine = n sleep(0.01) return ctx.loaders.now:load(mine)";
        calls[i] = i == 0 ? ls_start(w->s, body) : ls_join(calls[0], body);
    }
    run_all(w);
    ls_is_done(calls[9], "\"1010\"");
    batches_are(w, "[\"now:1,2,3,4,5,6,7,8,9,10\"]");
}

static void batches_wait_while_the_core_is_at_work(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "return ctx.loaders.now:load(1)");
    a->work.runnable = true;
    for (int i = 0; i < 5; i++)
        assert_true(ls_turn(w->s));
    assert_true(a->waits);
    ls_call *b = ls_join(a, "return ctx.loaders.now:load(2)");
    a->work.runnable = false;
    w->e->dispatch(w->state, &a->work);
    ls_is_done(a, "\"11\"");
    ls_is_done(b, "\"22\"");
    batches_are(w, "[\"now:1,2\"]");
}

/* All loads of a batch go on before the next batch: each level is one batch, whether the batch function waits
 * or not. */
static void levels(void **data)
{
    world *w = *data;
    static const char *const bodies[] = {
        "local l = ctx.loaders.now return l:load(l:load(l:load(1)))",
        "local l = ctx.loaders.now return l:load(l:load(l:load(2)))",
        "local l = ctx.loaders.now return l:load(l:load(l:load(3)))",
        "local l = ctx.loaders.slow return l:load(l:load(4))",
        "local l = ctx.loaders.slow return l:load(l:load(5))",
    };
    ls_call *calls[5];
    start_all(w, calls, bodies, 5);
    run_all(w);
    ls_is_done(calls[2], "\"33333333\"");
    ls_is_done(calls[4], "\"5555\"");
    batches_are(w, "[\"now:1,2,3\",\"slow:4,5\",\"now:11,22,33\",\"now:1111,2222,3333\",\"slow:44,55\"]");
}

/* The watchdog's clock goes on by 30 ms: more than a turn of the loop may take. */
static int advance(lua_State *L)
{
    static uint64_t now = 1000;
    pl_state *state = lua_touserdata(L, lua_upvalueindex(1));
    pl_engine_of(state)->watch(state, now += 30);
    return 0;
}

static void long_deliveries_give_the_loop_back(void **data)
{
    world *w = *data;
    lua_pushlightuserdata(ls_lua(w->s), w->state);
    lua_pushcclosure(ls_lua(w->s), advance, 1);
    lua_setglobal(ls_lua(w->s), "advance");
    ls_call *calls[4];
    for (int i = 0; i < 4; i++) {
        const char *body =
            "n = (n or 0) + 1 local l = ctx.loaders.now local v = l:load(n) advance() return l:load(v)";
        calls[i] = i == 0 ? ls_start(w->s, body) : ls_join(calls[0], body);
    }
    w->e->dispatch(w->state, &calls[0]->work);
    batches_are(w, "[\"now:1,2,3,4\"]"); /* the first has gone on, and waits for what the others load */
    assert_true(ls_turn(w->s));
    assert_true(calls[0]->waits);
    assert_true(calls[3]->waits);
    run_all(w);
    ls_is_done(calls[3], "\"4444\"");
    batches_are(w, "[\"now:11,22,33,44\"]");
}

static void values_are_kept_for_the_work(void **data)
{
    world *w = *data;
    ls_ok(w->s,
          "local l = ctx.loaders.now return { l:load(1), l:load(1), l:load(1.0), l == ctx.loaders.now }",
          "[\"11\",\"11\",\"11\",true]");
    batches_are(w, "[\"now:1\"]");
    ls_ok(w->s, "return ctx.loaders.now:load(1)", "\"11\"");
    batches_are(w, "[\"now:1\"]");
    ls_ok(w->s, "local l = ctx.loaders.fresh return { l:load(1), l:prime(1, 'no'):load(1) }",
          "[\"11\",\"11\"]");
    batches_are(w, "[\"fresh:1\",\"fresh:1\"]");
}

static void uncached_keys_are_merged_in_a_batch(void **data)
{
    world *w = *data;
    static const char *const bodies[] = {"return ctx.loaders.fresh:load(1)",
                                         "return ctx.loaders.fresh:load(1)"};
    ls_call *calls[2];
    start_all(w, calls, bodies, 2);
    run_all(w);
    ls_is_done(calls[0], "\"11\"");
    ls_is_done(calls[1], "\"11\"");
    batches_are(w, "[\"fresh:1\"]");
}

static void what_is_not_found_is_nil(void **data)
{
    world *w = *data;
    ls_ok(w->s,
          "answer = function() return { nil, 'b', null } end local l = ctx.loaders.odd "
          "local list = l:load_many { 1, 2, 3 } "
          "return { list[1] == null, list[2], list[3] == null, #list, l:load(1) == nil, l:load(3) == nil }",
          "[true,\"b\",true,3,true,true]");
    batches_are(w, "[\"odd:1,2,3\"]");
    ls_ok(w->s,
          "answer = function() return table.pack(nil, nil) end local l = ctx.loaders.odd "
          "local list = l:load_many { 1, 2 } return { #list, list[2] == null }",
          "[2,true]");
    ls_ok(w->s, "answer = function() return { false } end return ctx.loaders.odd:load(1)", "false");
}

static void errors_of_single_keys(void **data)
{
    world *w = *data;
    ls_ok(w->s,
          "answer = function(keys) local out = {} for i, k in ipairs(keys) do out[i] = k % 2 == 0 and k or "
          "errors.not_found('no ' .. k) end return out end "
          "local l, out = ctx.loaders.odd, {} "
          "local ok, list = pcall(l.load_many, l, { 2, 3, 5 }) "
          "out[1] = errors.is(list, 'not_found') and list.message "
          "local ok, e = pcall(l.load, l, 5) out[2] = e.message "
          "out[3] = l:load(2) l:clear(5) ok, e = pcall(l.load, l, 5) out[4] = e.message return out",
          "[\"no 3\",\"no 5\",2,\"no 5\"]");
    batches_are(w, "[\"odd:2,3,5\",\"odd:5\"]");
    ls_fails(w->s, "return ctx.loaders.odd:load(7)", PL_NOT_FOUND, "no 7");
}

static void a_batch_that_fails(void **data)
{
    world *w = *data;
    static const char *const bodies[] = {
        "answer = function() error(errors.unavailable('later', {extensions = {retry = 5}})) end "
        "return ctx.loaders.odd:load(1)",
        "local ok, e = pcall(function() return ctx.loaders.odd:load(2) end) "
        "answer = function() return { 'now' } end "
        "return { errors.is(e, 'unavailable'), e.message, e.extensions.retry, ctx.loaders.odd:load(2) }",
    };
    ls_call *calls[2];
    start_all(w, calls, bodies, 2);
    run_all(w);
    ls_is_failed(calls[0], PL_UNAVAILABLE, "later");
    ls_is_done(calls[1], "[true,\"later\",5,\"now\"]"); /* a failed batch is not kept */
    batches_are(w, "[\"odd:1,2\",\"odd:2\"]");
    assert_int_equal(ls_log(w->s)->len, 0);
    ls_fails(w->s, "answer = function() local x = nil return x.y end return ctx.loaders.odd:load(1)",
             PL_INTERNAL, "attempt to index a nil value");
    assert_non_null(strstr(ls_log(w->s)->data, "\"loader failed\""));
    assert_non_null(strstr(ls_log(w->s)->data, "\"loader\":\"odd\""));
    assert_non_null(strstr(ls_log(w->s)->data, "traceback"));
}

static void lists_that_do_not_fit(void **data)
{
    world *w = *data;
    static const struct {
        const char *answer, *message;
    } cases[] = {
        {"nil", "loader \"odd\": the batch function must return a list with a value for each of its 2 keys, "
                "not nil"},
        {"'text'", "not string"},
        {"{ a = 1 }", "not a table with other keys"},
        {"{}", "loader \"odd\": the batch function returned 0 values for 2 keys"},
        {"{ 1 }", "returned 1 values for 2 keys"},
        {"{ 1, 2, 3 }", "returned 3 values for 2 keys"},
        {"{ 1, nil, 3 }", "returned 3 values for 2 keys"},
        {"{ n = 3 }", "returned 3 values for 2 keys"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "answer = function() return %s end return ctx.loaders.odd:load_many { 1, 2 }",
                 cases[i].answer);
        ls_fails(w->s, body, PL_INTERNAL, cases[i].message);
    }
}

static void large_batches_are_split(void **data)
{
    world *w = *data;
    ls_ok(w->s, "return ctx.loaders.three:load_many { 1, 2, 3, 4, 3, 5, 6, 7 }",
          "[\"11\",\"22\",\"33\",\"44\",\"33\",\"55\",\"66\",\"77\"]");
    batches_are(w, "[\"three:1,2,3\",\"three:4,5,6\",\"three:7\"]");
    ls_ok(w->s, "return ctx.loaders.three:load_many {}", "[]");
    batches_are(w, "{}");
}

static void keys_of_other_kinds(void **data)
{
    world *w = *data;
    ls_ok(w->s, "return ctx.loaders.pairs:load_many { { a = 1, b = 2 }, { a = 2, b = 2 }, { b = 2, a = 1 } }",
          "[3,4,3]");
    batches_are(w, "[\"pairs:{\\\"a\\\":1,\\\"b\\\":2},{\\\"a\\\":2,\\\"b\\\":2}\"]");
    ls_ok(w->s, "local l = ctx.loaders.pairs l:prime({ a = 1, b = 1 }, 'p') return l:load { a = 1, b = 1 }",
          "\"p\"");
    ls_fails(w->s, "return ctx.loaders.now:load(nil)", PL_INTERNAL,
             "loader \"now\": a key must be a string, number or boolean, not nil");
    ls_fails(w->s, "return ctx.loaders.now:load {}", PL_INTERNAL, "not table (without a key function)");
    ls_fails(w->s, "return ctx.loaders.now:load(0/0)", PL_INTERNAL, "not number");
    ls_fails(w->s, "return ctx.loaders.now:load_many { 1, null }", PL_INTERNAL, "not userdata");
    ls_fails(w->s, "return ctx.loaders.now:load_many(1)", PL_INTERNAL, "table expected");
    ls_fails(w->s, "return ctx.loaders.pairs:load { a = 1 }", PL_INTERNAL, "attempt to concatenate");
}

static void prime_and_clear(void **data)
{
    world *w = *data;
    ls_ok(w->s,
          "local l = ctx.loaders.now "
          "l:prime(1, 'one'):prime(1, 'other'):prime(2, nil):prime(3, errors.not_found 'three') "
          "local ok, e = pcall(l.load, l, 3) "
          "return { l:load(1), l:load(2) == nil, e.message, l:clear(1):load(1), l:clear_all():load(2) }",
          "[\"one\",true,\"three\",\"11\",\"22\"]");
    batches_are(w, "[\"now:1\",\"now:2\"]");
}

static void cleared_while_under_way(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "return ctx.loaders.slow:load(1)");
    assert_true(ls_turn(w->s));
    ls_call *b = ls_join(a, "local l = ctx.loaders.slow l:clear(1) return { l:load(1), l:load(1) }");
    run_all(w);
    ls_is_done(a, "\"11\"");
    ls_is_done(b, "[\"11\",\"11\"]");
    batches_are(w, "[\"slow:1\",\"slow:1\"]");
}

static void a_key_that_is_under_way_is_not_fetched_again(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "return ctx.loaders.slow:load(1)");
    assert_true(ls_turn(w->s));
    ls_call *b = ls_join(a, "return ctx.loaders.slow:load(1)");
    run_all(w);
    ls_is_done(a, "\"11\"");
    ls_is_done(b, "\"11\"");
    batches_are(w, "[\"slow:1\"]");
}

static void batch_functions_use_other_loaders(void **data)
{
    world *w = *data;
    static const char *const bodies[] = {
        "answer = function(keys, ctx) local list = ctx.loaders.slow:load_many(keys) sleep(0.01) "
        "return list end return ctx.loaders.odd:load(1)",
        "return ctx.loaders.odd:load(2)"};
    ls_call *calls[2];
    start_all(w, calls, bodies, 2);
    run_all(w);
    ls_is_done(calls[0], "\"11\"");
    ls_is_done(calls[1], "\"22\"");
    batches_are(w, "[\"odd:1,2\",\"slow:1,2\"]");
    ls_fails(w->s,
             "answer = function(keys, ctx) return ctx.loaders.odd:load_many(keys) end "
             "return ctx.loaders.odd:load(1)",
             PL_INTERNAL, "the batch function waits for a key of its own batch");
    ls_fails(w->s,
             "answer = function(keys, ctx) sleep(0.1) return ctx.loaders.odd:load_many(keys) end "
             "return ctx.loaders.odd:load(1)",
             PL_INTERNAL, "the batch function waits for a key of its own batch");
}

static void one_of_several_is_cancelled(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "return ctx.loaders.slow:load(1)");
    ls_call *b = ls_join(a, "return ctx.loaders.slow:load(1)");
    ls_call *c = ls_join(a, "return ctx.loaders.slow:load_many { 1, 2 }");
    ls_cancel(b); /* before the batch is started */
    assert_true(ls_turn(w->s));
    ls_cancel(c); /* while it waits */
    run_all(w);
    ls_is_done(a, "\"11\"");
    batches_are(w, "[\"slow:1,2\"]");
}

static void the_work_ends_first(void **data)
{
    world *w = *data;
    ls_ok(w->s, "closed = {} return 1", "1");
    ls_call *a =
        ls_start(w->s, "kept = ctx.loaders.odd answer = function(keys, ctx) local guard <close> = "
                       "setmetatable({}, { __close = function() closed[1] = pcall(kept.load, kept, 9) "
                       "end }) sleep(1) closed[2] = true end return kept:load(1)");
    ls_call *b = ls_join(a, "return ctx.loaders.now:load(1)");
    assert_true(ls_turn(w->s));
    ls_is_done(b, "\"11\"");
    ls_call *c = ls_join(a, "return ctx.loaders.now:load(2)"); /* collected, not started */
    ls_cancel(c);
    ls_cancel(a); /* and its work ends */
    run_all(w);
    ls_ok(w->s, "return { #closed, closed[1] }", "[1,false]");
    ls_fails(w->s, "return kept:load(1)", PL_INTERNAL,
             "loader \"odd\" belongs to another request, or to one that is over");
    batches_are(w, "[\"odd:1\",\"now:1\"]");
}

static void loaders_of_another_work(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "kept = ctx.loaders kept_now = ctx.loaders.now sleep(1) return 1");
    ls_fails(w->s, "return kept_now:load(1)", PL_INTERNAL, "belongs to another request");
    ls_fails(w->s, "return kept.slow:load(1)", PL_INTERNAL, "belongs to another request");
    run_all(w);
    ls_is_done(a, "1");
}

static void misuse(void **data)
{
    world *w = *data;
    ls_fails(w->s, "return ctx.loaders.nothing:load(1)", PL_INTERNAL,
             "there is no loader \"nothing\" in app.lua");
    ls_fails(w->s, "return ctx.loaders[1]", PL_INTERNAL, "there is no loader \"1\"");
    ls_fails(w->s, "return ctx.loaders.now.load(1)", PL_INTERNAL, "loader:load is called with a colon");
    ls_fails(w->s, "return ctx.loaders.now.load(io or {}, 1)", PL_INTERNAL, "with a colon");
    ls_fails(
        w->s,
        "table.sort({ 2, 1 }, function(a, b) return ctx.loaders.now:load(a) < ctx.loaders.now:load(b) end)",
        PL_INTERNAL, "loader:load cannot wait here");
    ls_ok(w->s, "return { getmetatable(ctx.loaders), getmetatable(ctx.loaders.now) }", "[false,false]");
}

static void state_closed_with_loads_in_flight(void **data)
{
    world *w = *data;
    ls_call *a = ls_start(w->s, "return ctx.loaders.slow:load(1)");
    ls_join(a, "return ctx.loaders.slow:load_many { 1, 2, 3 }");
    ls_join(a, "return ctx.loaders.now:load(1)");
    assert_true(ls_turn(w->s));
    ls_call *late = ls_start(w->s, "return ctx.loaders.now:load(1)");
    (void)late;
    ls_close(w->s);
}

static void a_list_that_the_script_changes(void **data)
{
    world *w = *data;
    ls_ok(w->s,
          "answer = function(keys) table.sort(keys, function(a, b) return a > b end) keys[1] = nil return { "
          "'a', 'b' } end local l = ctx.loaders.odd l:load_many { 1, 2 } return { l:load(1), l:load(2) }",
          "[\"a\",\"b\"]");
}

/* ThreadSanitizer keeps memory for each wait that leaves Lua by longjmp. */
#ifdef __SANITIZE_THREAD__
#define MANY "200"
#else
#define MANY "3000"
#endif

static void many_loads_do_not_grow_memory(void **data)
{
    world *w = *data;
    static const char body[] = "for i = 1, " MANY " do ctx.loaders.fresh:load(i) end batches = {} return 1";
    ls_ok(w->s, body, "1");
    size_t before = ls_collect(w->s);
    for (int i = 0; i < 5; i++)
        ls_ok(w->s, body, "1");
    assert_true(ls_collect(w->s) < before + 20000);
}

/* Whatever allocation fails: the call ends, with a value or an error, and nothing leaks. */
static void allocations_fail(void **data)
{
    world *w = *data;
    static const char body[] =
        "answer = function(keys, ctx) sleep(0.01) return keys end "
        "local l = ctx.loaders.odd local list = l:load_many { 1, 2 } "
        "ctx.loaders.three:load_many { 1, 2, 3, 4 } "
        "answer = function() error(errors.not_found('x', { extensions = { a = 1 } })) end "
        "local ok, e = pcall(l.load, l, 7) return { list, e.message }";
    ls_ok(w->s, body, "[[1,2],\"x\"]");
    for (int sticky = 0; sticky < 2; sticky++) {
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            ls_call *c = ls_run_failing(w->s, body, &a);
            assert_false(c->waits);
            ls_ok(w->s, "batches = {} return 1", "1");
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_make_one_batch),
        TEST(dispatch_starts_them_at_once),
        TEST(sleepers_that_wake_together),
        TEST(batches_wait_while_the_core_is_at_work),
        TEST(levels),
        TEST(long_deliveries_give_the_loop_back),
        TEST(values_are_kept_for_the_work),
        TEST(uncached_keys_are_merged_in_a_batch),
        TEST(what_is_not_found_is_nil),
        TEST(errors_of_single_keys),
        TEST(a_batch_that_fails),
        TEST(lists_that_do_not_fit),
        TEST(large_batches_are_split),
        TEST(keys_of_other_kinds),
        TEST(prime_and_clear),
        TEST(cleared_while_under_way),
        TEST(a_key_that_is_under_way_is_not_fetched_again),
        TEST(batch_functions_use_other_loaders),
        TEST(one_of_several_is_cancelled),
        TEST(the_work_ends_first),
        TEST(loaders_of_another_work),
        TEST(misuse),
        TEST(state_closed_with_loads_in_flight),
        TEST(a_list_that_the_script_changes),
        TEST(many_loads_do_not_grow_memory),
        TEST(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
