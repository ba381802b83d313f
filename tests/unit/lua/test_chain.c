/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "base/alloc.h"
#include "support/failing.h"
#include "support/lua_state.h"

/* Interceptors in Lua (chains, and what their innermost next does), and what is an iterator. */

#define CHAIN_FILE "chain.lua"

typedef struct trial {
    ls_state *s;
    const pl_engine *e;
    pl_state *state;
    pl_ref chain;
    pl_arena arena;
    pl_work work;
    pl_call *call; /* that waits */
    bool over, wants_next;
    char outcome[512]; /* "DONE json", "FAILED CODE: message" */
    pl_call_status answer;
    pl_failure failure; /* of the answer */
} trial;

static int set_up(void **state)
{
    static const char *const files[] = {CHAIN_FILE, "", NULL};
    static trial t;
    t = (trial){.s = ls_new(&(ls_options){.files = files}), .chain = PL_REF_NONE, .work.ctx = PL_REF_NONE};
    t.state = ls_engine_state(t.s);
    t.e = pl_engine_of(t.state);
    pl_arena_init(&t.arena, 0);
    *state = &t;
    ls_ok(t.s, "log = {} return 1", "1");
    return 0;
}

static int tear_down(void **state)
{
    trial *t = *state;
    pl_alloc_fail_at(0, 0);
    if (t->call && !t->over)
        t->e->cancel(t->state, t->call);
    if (t->state)
        t->e->work_end(t->state, &t->work);
    ls_free(t->s);
    pl_arena_dispose(&t->arena);
    return 0;
}

/* --- making and running a chain --- */
static void make(void *data)
{
    trial *t = data;
    pl_slot list;
    pl_ref refs[8];
    pl_error err = {0};
    if (t->e->load(t->state, PL_STR(CHAIN_FILE), &list, &err) != PL_OK)
        fail_msg("%s", err.message);
    size_t count = t->e->length(t->state, list);
    for (size_t i = 0; i < count; i++) {
        t->e->element(t->state, list, i);
        refs[i] = t->e->keep(t->state, list + 1);
        t->e->pop_to(t->state, list);
    }
    t->chain = t->e->chain(t->state, refs, count);
    for (size_t i = 0; i < count; i++)
        t->e->drop(t->state, refs[i]);
}

/* code: { function(ctx, next) … end, … } */
static void chain_of(trial *t, const char *code)
{
    static char text[4096];
    pl_error err = {0};
    snprintf(text, sizeof text, "return %s", code);
    ls_load(t->s, CHAIN_FILE, text, &err);
    if (err.code)
        fail_msg("%s", err.message);
    if (t->chain != PL_REF_NONE)
        t->e->drop(t->state, t->chain);
    assert_true(t->e->protect(t->state, make, t, &err));
}

static void ended(trial *t, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    pl_buf json;
    pl_error err;
    assert_false(t->over);
    t->over = true;
    if (status == PL_CALL_FAILED) {
        snprintf(t->outcome, sizeof t->outcome, "FAILED %s: %.*s", pl_code_name(failure->code),
                 PL_STR_ARG(failure->message));
        return;
    }
    pl_buf_init(&json);
    if (pl_write_json(t->state, result, 8, &json, &err) != PL_OK)
        json.len = 0;
    snprintf(t->outcome, sizeof t->outcome, "DONE %.*s", PL_STR_ARG(pl_buf_view(&json)));
    pl_buf_dispose(&json);
}

static void on_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    ended(call->data, status, result, failure);
}

static void on_proceed(pl_call *call)
{
    trial *t = call->data;
    assert_ptr_equal(t->call, call);
    assert_false(t->wants_next);
    t->wants_next = true;
}

static void begin(void *data)
{
    trial *t = data;
    pl_failure failure = {0};
    t->e->push_ctx(t->state, &t->work);
    switch (t->e->call(t->state, t->chain, 1, &t->work, &t->call, &failure)) {
    case PL_CALL_DONE:
        ended(t, PL_CALL_DONE, t->e->top(t->state), NULL);
        break;
    case PL_CALL_FAILED:
        ended(t, PL_CALL_FAILED, 0, &failure);
        break;
    case PL_CALL_PENDING:
        t->wants_next = t->call->wants_next;
        t->call->done = on_done;
        t->call->proceed = on_proceed;
        t->call->data = t;
    }
}

/* False: it could not be begun. */
static bool start(trial *t)
{
    pl_error err = {0};
    t->e->work_end(t->state, &t->work);
    pl_arena_reset(&t->arena);
    t->work = (pl_work){.protocol = "test",
                        .id = PL_STR("id-7"),
                        .arena = &t->arena,
                        .ctx = PL_REF_NONE,
                        .log = ls_host(t->s)->log};
    t->call = NULL;
    t->over = t->wants_next = false;
    t->outcome[0] = '\0';
    return t->e->protect(t->state, begin, t, &err);
}

static void proceed(void *data)
{
    trial *t = data;
    if (t->answer == PL_CALL_DONE)
        t->e->push_int(t->state, 42);
    t->e->proceed(t->state, t->call, t->answer, &t->failure);
}

/* What the chain wraps is over: 42, or an error. False: it could not be told. */
static bool answer(trial *t, pl_call_status status)
{
    pl_error err = {0};
    assert_true(t->wants_next);
    t->wants_next = false;
    t->answer = status;
    t->failure = (pl_failure){.code = PL_NOT_FOUND, .expected = true, .message = PL_STR("nobody here")};
    if (t->e->protect(t->state, proceed, t, &err))
        return true;
    t->wants_next = true;
    return false;
}

static void turn_all(trial *t)
{
    while (!t->over && !t->wants_next && ls_turn(t->s))
        ;
}

static void logged_at(trial *t, const char *json, const char *file, int line)
{
    ls_ok_at(t->s, "local l = log log = {} return l", json, file, line);
}
#define logged(t, json) logged_at(t, json, __FILE__, __LINE__)

/* --- tests --- */
static void test_order(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) log[1] = ctx.request_id local r = next(ctx) log[#log + 1] = r return "
                "'a' .. r end,"
                "  function(ctx, next) log[2] = ctx.request_id return 'b' .. next(ctx) end }");
    assert_true(start(t));
    assert_true(t->wants_next);
    assert_true(answer(t, PL_CALL_DONE));
    assert_string_equal(t->outcome, "DONE \"ab42\"");
    logged(t, "[\"id-7\",\"id-7\",\"b42\"]");
}

static void test_one_chain_for_many_calls(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) return next(ctx) end }");
    for (int i = 0; i < 100; i++) {
        assert_true(start(t));
        assert_true(answer(t, PL_CALL_DONE));
        assert_string_equal(t->outcome, "DONE 42");
    }
}

/* Two at a time, ended in the order in which they began. */
static void test_calls_at_the_same_time(void **state)
{
    trial *first = *state;
    chain_of(first, "{ function(ctx, next) local mine = ctx.request_id next(ctx) return mine end }");
    assert_true(start(first));
    trial second = {
        .s = first->s, .e = first->e, .state = first->state, .chain = first->chain, .work.ctx = PL_REF_NONE};
    pl_arena_init(&second.arena, 0);
    assert_true(start(&second));
    assert_true(answer(first, PL_CALL_DONE));
    assert_false(second.over);
    assert_true(answer(&second, PL_CALL_FAILED));
    assert_string_equal(first->outcome, "DONE \"id-7\"");
    assert_string_equal(second.outcome, "FAILED NOT_FOUND: nobody here");
    second.e->work_end(second.state, &second.work);
    pl_arena_dispose(&second.arena);
}

static void test_next_raises(void **state)
{
    trial *t = *state;
    chain_of(
        t,
        "{ function(ctx, next) local ok, e = pcall(next, ctx) log[1] = ok log[2] = e.code log[3] = e.message"
        "    error(e) end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_FAILED));
    assert_string_equal(t->outcome, "FAILED NOT_FOUND: nobody here");
    logged(t, "[false,\"NOT_FOUND\",\"nobody here\"]");
}

static void test_pcall_around_next(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) return { pcall(next, ctx) } end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_DONE));
    assert_string_equal(t->outcome, "DONE [true,42]");
    chain_of(t, "{ function(ctx, next) return select(2, xpcall(next, function(e) return e.code .. '!' end, "
                "ctx)) end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_FAILED));
    assert_string_equal(t->outcome, "DONE \"NOT_FOUND!\"");
}

static void test_errors_after_next(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) next(ctx) error(errors.permission_denied 'too late') end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_DONE));
    assert_string_equal(t->outcome, "FAILED PERMISSION_DENIED: too late");
}

static void test_next_twice(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) next(ctx) return next(ctx) end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_DONE));
    assert_non_null(strstr(t->outcome, "next can be called once only: what it runs has run already"));
    chain_of(t, "{ function(ctx, next) pcall(next, ctx) local ok, e = pcall(next, ctx) return e end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_FAILED));
    assert_false(t->wants_next);
    assert_non_null(strstr(t->outcome, "DONE \"next can be called once only"));
}

/* An outer interceptor runs the rest twice: the innermost next says no. */
static void test_the_rest_twice(void **state)
{
    trial *t = *state;
    chain_of(
        t,
        "{ function(ctx, next) next(ctx) return next(ctx) end, function(ctx, next) return next(ctx) end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_DONE));
    assert_non_null(strstr(t->outcome, "once only"));
}

static void test_without_next(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) return 'no' end }");
    assert_true(start(t));
    assert_string_equal(t->outcome, "DONE \"no\"");
    chain_of(t, "{ function(ctx, next) return next(ctx) end, function() sleep(1) end }");
    assert_true(start(t));
    turn_all(t);
    assert_string_equal(t->outcome, "DONE null");
    assert_false(t->wants_next);
}

static void test_in_a_coroutine(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) return coroutine.wrap(function() return next(ctx) + 1 end)() end,"
                "  function(ctx, next) local co = coroutine.create(function() return next(ctx) end)"
                "    local ok, v = coroutine.resume(co) return v + 100 end }");
    assert_true(start(t));
    assert_true(t->wants_next);
    assert_true(answer(t, PL_CALL_DONE));
    assert_string_equal(t->outcome, "DONE 143");
    chain_of(t, "{ function(ctx, next) local co = coroutine.create(function() return next(ctx) end)"
                "    local ok, e = coroutine.resume(co) return { ok, e.code } end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_FAILED));
    assert_string_equal(t->outcome, "DONE [false,\"NOT_FOUND\"]");
}

static void test_waits_before_and_after(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) sleep(1) local r = next(ctx) sleep(1) return r + 1 end,"
                "  function(ctx, next) sleep(1) local r = next(ctx) sleep(1) return r + 1 end }");
    assert_true(start(t));
    assert_false(t->wants_next);
    turn_all(t);
    assert_true(t->wants_next);
    assert_true(answer(t, PL_CALL_DONE));
    assert_false(t->over);
    turn_all(t);
    assert_string_equal(t->outcome, "DONE 44");
}

/* --- next, where it cannot be called --- */
static void test_next_kept_by_a_script(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) kept = next return next(ctx) end }");
    ls_ok(t->s, "return kept == nil", "true");
    assert_true(start(t));
    ls_fails(t->s, "return kept(ctx)", PL_INTERNAL, "next can be called by an interceptor only");
    ls_fails(t->s, "sleep(1) return kept(ctx)", PL_INTERNAL, "next can be called by an interceptor only");
    assert_true(answer(t, PL_CALL_DONE));
    ls_fails(t->s, "return kept(ctx)", PL_INTERNAL, "next can be called by an interceptor only");
}

static void test_next_below_what_cannot_wait(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) table.sort({ 1, 2 }, function() next(ctx) end) end }");
    assert_true(start(t));
    assert_non_null(strstr(t->outcome, "next cannot wait here"));
    /* that did not count as a call */
    chain_of(
        t,
        "{ function(ctx, next) pcall(table.sort, { 1, 2 }, function() next(ctx) end) return next(ctx) end }");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_DONE));
    assert_string_equal(t->outcome, "DONE 42");
}

static void test_next_while_it_is_closed(void **state)
{
    trial *t = *state;
    chain_of(t, "{ function(ctx, next) local x <close> = setmetatable({}, { __close = function()"
                "    log[1] = select(2, pcall(next, ctx)) end }) sleep(1) end }");
    assert_true(start(t));
    t->e->cancel(t->state, t->call);
    t->over = true;
    ls_ok(t->s, "return log[1]:find('cannot wait here', 1, true) ~= nil", "true");
}

/* --- cancelled --- */
static const char closing_chain[] =
    "{ function(ctx, next) local x <close> = setmetatable({}, { __close = function() log[#log + 1] = 'outer' "
    "end })"
    "    return next(ctx) end,"
    "  function(ctx, next) return coroutine.wrap(function()"
    "    local x <close> = setmetatable({}, { __close = function() log[#log + 1] = 'inner' end })"
    "    return next(ctx) end)() end }";

static void test_cancelled(void **state)
{
    trial *t = *state;
    chain_of(t, closing_chain);
    assert_true(start(t));
    assert_true(t->wants_next);
    t->e->cancel(t->state, t->call);
    t->over = true;
    logged(t, "[\"inner\",\"outer\"]");
    assert_true(start(t));
    assert_true(answer(t, PL_CALL_DONE));
    assert_string_equal(t->outcome, "DONE 42");
    logged(t, "[\"inner\",\"outer\"]");
}

static void test_the_state_is_freed(void **state)
{
    trial *t = *state;
    chain_of(t, closing_chain);
    assert_true(start(t));
    t->e->work_end(t->state, &t->work);
    t->over = true;
    ls_close(t->s);
    t->state = NULL;
}

/* --- without memory --- */
static void test_without_memory(void **state)
{
    trial *t = *state;
    static const char *const chains[] = {
        "{ function(ctx, next) return next(ctx) end, function(ctx, next) return next(ctx) end }",
        "{ function(ctx, next) sleep(1) local r = { pcall(next, ctx) } sleep(1) return #r end }",
        "{ function(ctx, next) return coroutine.wrap(function() return next(ctx) end)() end }",
    };
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        for (int k = 0; k < 4; k++) {
            failing a = {.sticky = k & 1};
            chain_of(t, chains[i]);
            while (failing_next(&a)) {
                failing_begin(&a);
                bool begun = start(t);
                turn_all(t);
                if (begun && t->wants_next && !answer(t, k & 2 ? PL_CALL_FAILED : PL_CALL_DONE)) {
                    t->e->cancel(t->state, t->call); /* as its users do */
                    t->over = true;
                }
                turn_all(t);
                bool failed = failing_end(&a);
                if (begun && !t->over) { /* there was not even the memory to tell anybody */
                    assert_true(failed && (k & 1));
                    t->e->cancel(t->state, t->call);
                    t->over = true;
                }
                assert_true(failed || strncmp(t->outcome, k & 2 && i != 1 ? "FAILED" : "DONE", 4) == 0);
            }
        }
    }
    ls_collect(t->s);
}

/* Nothing is left of calls whose outcome was not taken. */
static void test_nothing_is_left(void **state)
{
    trial *t = *state;
    chain_of(t, closing_chain);
    size_t before = 0;
    for (int i = 0; i < 2000; i++) {
        assert_true(start(t));
        if (i % 2) {
            t->e->cancel(t->state, t->call);
            t->over = true;
        } else {
            assert_true(answer(t, i % 4 ? PL_CALL_DONE : PL_CALL_FAILED));
        }
        if (i % 100 == 0)
            ls_ok(t->s, "log = {} return 1", "1");
        if (i == 1000)
            before = ls_collect(t->s);
    }
    assert_in_range(ls_collect(t->s), 0, before + 4096);
}

/* --- iterators --- */
typedef struct opening {
    trial *t;
    const char *code;
    bool opened;
    pl_ref next, close;
    char seen[256]; /* what next gives, until it is absent */
} opening;

static void take_all(opening *o)
{
    trial *t = o->t;
    size_t len = 0;
    for (int i = 0; i < 10; i++) {
        pl_call *call = NULL;
        pl_failure failure = {0};
        pl_slot top = t->e->top(t->state);
        pl_call_status status = t->e->call(t->state, o->next, 0, &t->work, &call, &failure);
        if (status == PL_CALL_FAILED) {
            snprintf(o->seen + len, sizeof o->seen - len, "error: %.*s", PL_STR_ARG(failure.message));
            return;
        }
        assert_int_equal(status, PL_CALL_DONE);
        if (t->e->kind(t->state, top + 1) == PL_KIND_ABSENT)
            return;
        len += (size_t)snprintf(o->seen + len, sizeof o->seen - len, "%lld ",
                                (long long)t->e->get_int(t->state, top + 1));
        t->e->pop_to(t->state, top);
    }
}

static void open_section(void *data)
{
    opening *o = data;
    trial *t = o->t;
    pl_slot slot;
    pl_error err = {0};
    if (t->e->load(t->state, PL_STR(CHAIN_FILE), &slot, &err) != PL_OK)
        fail_msg("%s", err.message);
    int before = t->e->top(t->state);
    o->opened = t->e->open_iterator(t->state, slot, &o->next, &o->close);
    assert_int_equal(t->e->top(t->state), before);
    if (o->opened)
        take_all(o);
}

static void open_at(trial *t, opening *o, const char *code)
{
    static char text[4096];
    pl_error err = {0};
    *o = (opening){.t = t, .code = code, .next = PL_REF_NONE, .close = PL_REF_NONE};
    snprintf(text, sizeof text, "return %s", code);
    ls_load(t->s, CHAIN_FILE, text, &err);
    if (err.code)
        fail_msg("%s", err.message);
    t->work = (pl_work){.protocol = "test", .id = PL_STR("i"), .arena = &t->arena, .ctx = PL_REF_NONE};
    t->over = true;
    assert_true(t->e->protect(t->state, open_section, o, &err));
    if (o->next != PL_REF_NONE)
        t->e->drop(t->state, o->next);
    if (o->close != PL_REF_NONE)
        t->e->drop(t->state, o->close);
}

#define NEXT "next = function(self) self.n = (self.n or 0) + 1 if self.n < 4 then return self.n end end"
#define CLOSE "close = function() end"

static void test_iterators(void **state)
{
    trial *t = *state;
    static const struct {
        const char *code;
        bool opens, closes;
        const char *gives;
    } cases[] = {
        {"coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)", true, false, "1 2 3 "},
        {"function() end", true, false, ""},
        {"{ " NEXT " }", true, false, "1 2 3 "},
        {"{ " NEXT ", " CLOSE " }", true, true, "1 2 3 "},
        {"setmetatable({}, { __index = { " NEXT ", " CLOSE " } })", true, true, "1 2 3 "},
        {"setmetatable({}, { __index = setmetatable({ " NEXT " }, { __index = { " CLOSE " } }) })", true,
         true, "1 2 3 "},
        {"{ next = 7 }", false, false, ""},
        {"{ next = 7, " CLOSE " }", false, false, ""},
        {"setmetatable({ next = 7 }, { __index = { " NEXT " } })", true, false,
         "error: iterator:2: attempt to call a number value (method 'next')"},
        {"{}", false, false, ""},
        {"{ 1, 2, 3 }", false, false, ""},
        {"{ close = function() end }", false, false, ""},
        {"nil", false, false, ""},
        {"7", false, false, ""},
        {"'next'", false, false, ""},
        {"true", false, false, ""},
        {"require 'perilune.json'.null", false, false, ""},
        /* no metamethod is called: no limits apply here */
        {"setmetatable({}, { __index = function() error 'called' end })", false, false, ""},
        {"(function() local t = {} for i = 1, 9 do t = setmetatable({}, { __index = i == 1 and { " NEXT
         " } or t }) end return t end)()",
         true, false, "1 2 3 "},
        {"(function() local t = { " NEXT
         " } for i = 1, 100 do t = setmetatable({}, { __index = t }) end return t end)()",
         false, false, ""},
        {"(function() local t = {} t.__index = t return setmetatable(t, t) end)()", false, false,
         ""}, /* a circle */
        {"setmetatable({ next = function() error 'torn' end }, {})", true, false, "error: chain.lua:1: torn"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        opening o;
        open_at(t, &o, cases[i].code);
        if (o.opened != cases[i].opens || (o.close != PL_REF_NONE) != cases[i].closes ||
            !strstr(o.seen, cases[i].gives))
            fail_msg("%s: %d %d %s", cases[i].code, o.opened, o.close != PL_REF_NONE, o.seen);
    }
}

/* Userdata: its metatable's __index is a table of C functions. */
static int counted;

static int userdata_next(lua_State *L)
{
    luaL_checkudata(L, 1, "test.iterator");
    lua_pushinteger(L, ++counted);
    if (counted > 3)
        lua_pushnil(L);
    return 1;
}

static int userdata_new(lua_State *L)
{
    static const luaL_Reg methods[] = {{"next", userdata_next}, {NULL, NULL}};
    lua_newuserdatauv(L, 8, 0);
    if (luaL_newmetatable(L, "test.iterator")) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    lua_setmetatable(L, -2);
    return 1;
}

static void test_userdata(void **state)
{
    trial *t = *state;
    opening o;
    lua_State *L = ls_lua(t->s);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushcfunction(L, userdata_new);
    lua_setfield(L, -2, "new_userdata");
    lua_pop(L, 1);
    ls_ok(t->s, "userdata = new_userdata return type(userdata)", "\"function\"");
    counted = 0;
    open_at(t, &o, "userdata()");
    assert_true(o.opened);
    assert_string_equal(o.seen, "1 2 3 ");
    assert_int_equal(o.close, PL_REF_NONE);
}

static void open_only(void *data)
{
    opening *o = data;
    trial *t = o->t;
    pl_slot slot;
    pl_error err = {0};
    if (t->e->load(t->state, PL_STR(CHAIN_FILE), &slot, &err) != PL_OK)
        return;
    o->opened = t->e->open_iterator(t->state, slot, &o->next, &o->close);
}

static void test_iterators_without_memory(void **state)
{
    trial *t = *state;
    pl_error err = {0};
    ls_load(t->s, CHAIN_FILE, "return { " NEXT ", " CLOSE " }", &err);
    t->over = true;
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        opening o = {.t = t, .next = PL_REF_NONE, .close = PL_REF_NONE};
        failing_begin(&a);
        bool ok = t->e->protect(t->state, open_only, &o, &err);
        bool failed = failing_end(&a);
        assert_true(failed || (ok && o.opened));
        if (o.next != PL_REF_NONE)
            t->e->drop(t->state, o.next);
        if (o.close != PL_REF_NONE)
            t->e->drop(t->state, o.close);
    }
    ls_collect(t->s);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_one_chain_for_many_calls),
        TEST(test_calls_at_the_same_time),
        TEST(test_next_raises),
        TEST(test_pcall_around_next),
        TEST(test_errors_after_next),
        TEST(test_next_twice),
        TEST(test_the_rest_twice),
        TEST(test_without_next),
        TEST(test_in_a_coroutine),
        TEST(test_waits_before_and_after),
        TEST(test_next_kept_by_a_script),
        TEST(test_next_below_what_cannot_wait),
        TEST(test_next_while_it_is_closed),
        TEST(test_cancelled),
        TEST(test_the_state_is_freed),
        TEST(test_without_memory),
        TEST(test_nothing_is_left),
        TEST(test_iterators),
        TEST(test_userdata),
        TEST(test_iterators_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
