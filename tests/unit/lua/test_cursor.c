/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* Reading and making Lua values through the engine's interface. Each test body runs below pl_protect. */

typedef struct world {
    ls_state *s;
    const pl_engine *e;
    pl_state *state;
} world;

static int set_up(void **data)
{
    world *w = calloc(1, sizeof *w);
    w->s = ls_new(NULL);
    w->state = ls_engine_state(w->s);
    w->e = pl_engine_of(w->state);
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

static void protect(world *w, void (*body)(void *data))
{
    pl_error err = {0};
    if (!w->e->protect(w->state, body, w, &err))
        fail_msg("left by a jump: %s", err.message);
    assert_int_equal(w->e->top(w->state), 0);
}

/* Pushes the value of a Lua expression. */
static pl_slot eval(world *w, const char *expression)
{
    char text[1000];
    pl_error err = {0};
    pl_slot slot;
    snprintf(text, sizeof text, "value = %s", expression);
    if (ls_load(w->s, "call.lua", text, &err) || ls_load(w->s, "call.lua", "return value", &err) ||
        w->e->load(w->state, PL_STR("call.lua"), &slot, &err))
        fail_msg("%s: %s", expression, err.message);
    return slot;
}

/* The value at slot, as a Lua expression over v says. */
static void is(world *w, pl_slot slot, const char *expression, int line)
{
    lua_State *L = ls_lua(w->s);
    lua_pushvalue(L, slot);
    lua_setglobal(L, "v");
    pl_slot result = eval(w, expression);
    if (w->e->kind(w->state, result) != PL_KIND_BOOL || !w->e->get_bool(w->state, result)) {
        print_error("%s:%d: not so: %s\n", __FILE__, line, expression);
        _fail(__FILE__, line);
    }
    w->e->pop_to(w->state, result - 1);
}
#define lua_says(w, slot, expression) is(w, slot, expression, __LINE__)

static pl_key *key(world *w, const char *name)
{
    return w->e->key(w->state, pl_str_of(name));
}

/* --- cursor --- */

static void kinds_body(void *data)
{
    world *w = data;
    static const struct {
        const char *expression;
        pl_kind kind;
    } values[] = {
        {"nil", PL_KIND_ABSENT},
        {"require('perilune').null", PL_KIND_NULL},
        {"true", PL_KIND_BOOL},
        {"false", PL_KIND_BOOL},
        {"0", PL_KIND_INT},
        {"math.mininteger", PL_KIND_INT},
        {"0.0", PL_KIND_FLOAT},
        {"0/0", PL_KIND_FLOAT},
        {"2^53", PL_KIND_FLOAT},
        {"''", PL_KIND_STRING},
        {"'1'", PL_KIND_STRING},
        {"{}", PL_KIND_MAP},
        {"{ a = 1 }", PL_KIND_MAP},
        {"{ [0] = 1 }", PL_KIND_MAP},
        {"{ 1 }", PL_KIND_LIST},
        {"{ 1, a = 2 }", PL_KIND_LIST},
        {"{ false }", PL_KIND_LIST},
        {"require('perilune.json').decode '[]'", PL_KIND_LIST},
        {"setmetatable({}, { __len = function() return 3 end })", PL_KIND_MAP},
        {"setmetatable({ 1 }, { __index = {} })", PL_KIND_LIST},
        {"print", PL_KIND_OTHER},
        {"function() end", PL_KIND_OTHER},
        {"coroutine.create(print)", PL_KIND_OTHER},
        {"require('perilune.sqlite').open ':memory:'", PL_KIND_OTHER},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        pl_slot slot = eval(w, values[i].expression);
        if (w->e->kind(w->state, slot) != values[i].kind)
            fail_msg("%s has kind %d", values[i].expression, w->e->kind(w->state, slot));
        w->e->pop_to(w->state, slot - 1);
    }
    assert_true(w->e->is_function(w->state, eval(w, "print")));
    assert_true(w->e->is_function(w->state, eval(w, "function() end")));
    assert_false(w->e->is_function(w->state, eval(w, "setmetatable({}, { __call = print })")));
}

static void kinds(void **data)
{
    protect(*data, kinds_body);
}

static void scalars_body(void *data)
{
    world *w = data;
    assert_int_equal(w->e->get_int(w->state, eval(w, "math.maxinteger")), INT64_MAX);
    assert_int_equal(w->e->get_int(w->state, eval(w, "math.mininteger")), INT64_MIN);
    assert_int_equal(w->e->get_int(w->state, eval(w, "9007199254740993")), 9007199254740993);
    assert_true(w->e->get_float(w->state, eval(w, "1e308 * 10")) == INFINITY);
    assert_true(isnan(w->e->get_float(w->state, eval(w, "0/0"))));
    assert_true(signbit(w->e->get_float(w->state, eval(w, "-0.0"))));
    assert_true(w->e->get_float(w->state, eval(w, "0.1")) == 0.1);
    assert_true(w->e->get_bool(w->state, eval(w, "true")));
    assert_false(w->e->get_bool(w->state, eval(w, "false")));
    pl_str s = w->e->get_string(w->state, eval(w, "'a\\0b'"));
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.ptr, "a\0b", 3);
    assert_int_equal(w->e->get_string(w->state, eval(w, "('x'):rep(100000)")).len, 100000);
}

static void scalars(void **data)
{
    protect(*data, scalars_body);
}

static void fields_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_slot plain = eval(w, "{ a = 1, b = false, ['x y'] = 'z', [1] = 'one' }");
    pl_slot top = e->top(w->state);
    assert_true(e->field(w->state, plain, key(w, "a")));
    assert_int_equal(e->get_int(w->state, top + 1), 1);
    assert_true(e->field(w->state, plain, key(w, "b")));
    assert_int_equal(e->kind(w->state, top + 2), PL_KIND_BOOL);
    assert_true(e->field(w->state, plain, key(w, "x y")));
    assert_true(e->field(w->state, plain, key(w, "missing")));
    assert_int_equal(e->kind(w->state, top + 4), PL_KIND_ABSENT);
    assert_true(e->field(w->state, plain, key(w, "1"))); /* not the integer */
    assert_int_equal(e->kind(w->state, top + 5), PL_KIND_ABSENT);
    assert_int_equal(e->top(w->state), top + 5);
    e->pop_to(w->state, top);
    /* What is there is read without the metatable; what is not is left to a script function. */
    pl_slot object = eval(w, "setmetatable({ own = 5 }, { __index = function(t, k) return k .. '!' end })");
    top = e->top(w->state);
    assert_true(e->field(w->state, object, key(w, "own")));
    e->pop_to(w->state, top);
    assert_false(e->field(w->state, object, key(w, "other")));
    assert_int_equal(e->top(w->state), top);
    static const char *const others[] = {
        "nil", "5", "'text'", "true", "print", "require('perilune').null", "coroutine.create(print)"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        pl_slot slot = eval(w, others[i]);
        assert_false(e->field(w->state, slot, key(w, "len")));
        assert_int_equal(e->top(w->state), slot);
        e->pop_to(w->state, slot - 1);
    }
}

static void fields(void **data)
{
    protect(*data, fields_body);
}

static void members_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    const pl_key *keys[] = {key(w, "s"), key(w, "i"), key(w, "f"), key(w, "b"), key(w, "t"), key(w, "s")};
    pl_value v[6];
    pl_slot slot =
        eval(w, "setmetatable({ s = 'a\\0b', i = -7, f = 2.0, b = false, t = {} }, { __index = error })");
    pl_slot top = e->top(w->state);
    assert_int_equal(e->scalars(w->state, slot, keys, 0, 2, v), 2);
    assert_int_equal(e->top(w->state), top + 2); /* what holds the strings */
    e->pop_to(w->state, top);
    assert_int_equal(e->scalars(w->state, slot, keys, 0, 6, v), 4); /* a table is none */
    assert_int_equal(e->top(w->state), top + 4);
    assert_int_equal(v[0].kind, PL_KIND_STRING);
    assert_int_equal(v[0].string.len, 3);
    assert_memory_equal(v[0].string.ptr, "a\0b", 3);
    assert_int_equal(v[1].kind, PL_KIND_INT);
    assert_int_equal(v[1].integer, -7);
    assert_int_equal(v[2].kind, PL_KIND_FLOAT);
    assert_true(v[2].number == 2);
    assert_int_equal(v[3].kind, PL_KIND_BOOL);
    assert_false(v[3].boolean);
    e->pop_to(w->state, top);
    for (int i = 0; i < 4; i++)
        e->push_key(w->state, keys[3 - i]);
    assert_int_equal(e->scalars(w->state, slot, keys, top + 1, 4, v), 4); /* the other way round */
    assert_int_equal(e->top(w->state), top + 8);
    assert_int_equal(v[0].kind, PL_KIND_BOOL);
    assert_int_equal(v[2].kind, PL_KIND_INT);
    assert_memory_equal(v[3].string.ptr, "a\0b", 3);
    e->pop_to(w->state, top);
    keys[1] = key(w, "missing"); /* its metamethod is not asked */
    assert_int_equal(e->scalars(w->state, slot, keys, 0, 6, v), 1);
    static const char *const others[] = {"nil", "5", "'text'", "true", "print", "require('perilune').null"};
    pl_slot list = eval(w, "{ {}, { 1 }, 'text', 5, require('perilune').null }");
    static const pl_kind shapes[] = {PL_KIND_MAP, PL_KIND_MAP,  PL_KIND_STRING,
                                     PL_KIND_INT, PL_KIND_NULL, PL_KIND_ABSENT};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        assert_int_equal(e->item(w->state, list, i), shapes[i]);
        assert_int_equal(e->shape(w->state, e->top(w->state)), shapes[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        pl_slot other = eval(w, others[i]);
        assert_int_equal(e->shape(w->state, other), e->kind(w->state, other));
    }
    assert_int_equal(e->shape(w->state, eval(w, "{ 1, 2 }")), PL_KIND_MAP);
    assert_int_equal(e->shape(w->state, eval(w, "{ a = 1 }")), PL_KIND_MAP);
    e->pop_to(w->state, 0);
}

static void members(void **data)
{
    protect(*data, members_body);
}

typedef struct indexing {
    world *w;
    const char *value, *name;
    pl_work work;
    pl_call_status status;
    pl_call *pending;
    char text[300];
    bool ended;
} indexing;

static void index_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    indexing *x = call->data;
    x->status = status;
    x->ended = true;
    if (status == PL_CALL_DONE)
        snprintf(x->text, sizeof x->text, "%.*s", PL_STR_ARG(x->w->e->get_string(x->w->state, result)));
}

static void index_body(void *data)
{
    indexing *x = data;
    const pl_engine *e = x->w->e;
    pl_failure failure = {0};
    pl_ref ref = e->index_function(x->w->state);
    assert_int_equal(e->index_function(x->w->state), ref);
    eval(x->w, x->value);
    e->push_key(x->w->state, key(x->w, x->name));
    x->status = e->call(x->w->state, ref, 2, &x->work, &x->pending, &failure);
    if (x->status == PL_CALL_PENDING) {
        x->pending->done = index_done;
        x->pending->data = x;
    } else if (x->status == PL_CALL_FAILED) {
        snprintf(x->text, sizeof x->text, "%.*s", PL_STR_ARG(failure.message));
    } else {
        pl_slot top = e->top(x->w->state);
        if (e->kind(x->w->state, top) == PL_KIND_STRING)
            snprintf(x->text, sizeof x->text, "%.*s", PL_STR_ARG(e->get_string(x->w->state, top)));
    }
}

static void what_needs_script_code_to_be_read(void **data)
{
    static const struct {
        const char *value, *name;
        pl_call_status status;
        const char *text;
    } cases[] = {
        {"setmetatable({}, { __index = function(t, k) return k .. '!' end })", "a", PL_CALL_DONE, "a!"},
        {"setmetatable({}, { __index = { a = 'inherited' } })", "a", PL_CALL_DONE, "inherited"},
        {"setmetatable({}, { __index = function() error 'broken' end })", "a", PL_CALL_FAILED, "broken"},
        {"setmetatable({}, { __index = function() sleep(1) return 'late' end })", "a", PL_CALL_DONE, "late"},
        {"setmetatable({}, {})", "a", PL_CALL_DONE, ""},
        {"5", "a", PL_CALL_FAILED, "cannot read field 'a' of a number value"},
        {"'text'", "len", PL_CALL_FAILED, "cannot read field 'len' of a string value"},
        {"nil", "a", PL_CALL_FAILED, "cannot read field 'a' of a nil value"},
        {"print", "a", PL_CALL_FAILED, "cannot read field 'a' of a function value"},
    };
    world *w = *data;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        indexing x = {.w = w, .value = cases[i].value, .name = cases[i].name};
        pl_error err;
        x.work = (pl_work){.protocol = "test", .arena = &arena, .ctx = PL_REF_NONE};
        assert_true(w->e->protect(w->state, index_body, &x, &err));
        if (x.status == PL_CALL_PENDING) {
            while (ls_turn(w->s))
                ;
            assert_true(x.ended);
        }
        assert_int_equal(x.status, cases[i].status);
        if (!strstr(x.text, cases[i].text))
            fail_msg("%s.%s: %s", cases[i].value, cases[i].name, x.text);
    }
    pl_arena_dispose(&arena);
}

static void lists_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_slot list = eval(w, "{ 'a', false, { 1 } }");
    assert_int_equal(e->length(w->state, list), 3);
    e->element(w->state, list, 0);
    assert_int_equal(e->get_string(w->state, e->top(w->state)).ptr[0], 'a');
    e->element(w->state, list, 1);
    assert_int_equal(e->kind(w->state, e->top(w->state)), PL_KIND_BOOL);
    e->element(w->state, list, 2);
    assert_int_equal(e->kind(w->state, e->top(w->state)), PL_KIND_LIST);
    e->element(w->state, list, 3);
    assert_int_equal(e->kind(w->state, e->top(w->state)), PL_KIND_ABSENT);
    e->element(w->state, list, SIZE_MAX);
    assert_int_equal(e->kind(w->state, e->top(w->state)), PL_KIND_ABSENT);
    e->pop_to(w->state, list);
    assert_int_equal(e->length(w->state, eval(w, "{}")), 0);
    assert_int_equal(e->length(w->state, eval(w, "'text'")), 0);
    assert_int_equal(e->length(w->state, eval(w, "nil")), 0);
    assert_int_equal(
        e->length(w->state, eval(w, "setmetatable({ 1 }, { __len = function() return 1 << 60 end })")), 1);
    pl_slot huge = eval(w, "(function() local t = {} for i = 1, 300000 do t[i] = i end return t end)()");
    assert_int_equal(e->length(w->state, huge), 300000);
    e->element(w->state, huge, 299999);
    assert_int_equal(e->get_int(w->state, e->top(w->state)), 300000);
}

static void lists(void **data)
{
    protect(*data, lists_body);
}

static void steps_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_slot map =
        eval(w, "{ a = 1, b = 2, [5] = 4, [-1] = 8, [math.maxinteger] = 16, [math.mininteger] = 32 }");
    int64_t sum = 0, keys = 0;
    e->push_absent(w->state);
    pl_slot k = e->top(w->state);
    while (e->next(w->state, map)) {
        sum += e->get_int(w->state, k + 1);
        keys += e->kind(w->state, k) == PL_KIND_STRING ? 100 : e->kind(w->state, k) == PL_KIND_INT ? 1 : 0;
        e->pop_to(w->state, k);
    }
    assert_int_equal(e->top(w->state), map);
    assert_int_equal(sum, 63);
    assert_int_equal(keys, 204);
    assert_int_equal(e->members(w->state, map), 6);
    assert_int_equal(e->top(w->state), map);
    pl_slot empty = eval(w, "{}");
    e->push_absent(w->state);
    assert_false(e->next(w->state, empty));
    assert_int_equal(e->top(w->state), empty);
    assert_int_equal(e->members(w->state, empty), 0);
    /* Raw: __pairs and __index are not asked. */
    pl_slot object = eval(w, "setmetatable({ x = 1 }, { __pairs = error, __index = error })");
    e->push_absent(w->state);
    assert_true(e->next(w->state, object));
    e->pop_to(w->state, object + 1);
    assert_false(e->next(w->state, object));
}

static void steps_through_maps(void **data)
{
    protect(*data, steps_body);
}

/* --- builder --- */

static void builder_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_state *state = w->state;
    e->push_map(state, 4);
    pl_slot map = e->top(state);
    e->push_int(state, INT64_MIN);
    e->set_field(state, map, key(w, "least"));
    e->push_int(state, INT64_MAX);
    e->set_member(state, map, PL_STR("most"));
    e->push_float(state, 1.0);
    e->set_member(state, map, PL_STR("one"));
    e->push_bool(state, true);
    e->set_member(state, map, PL_STR("yes"));
    e->push_null(state);
    e->set_member(state, map, PL_STR("null"));
    e->push_absent(state);
    e->set_member(state, map, PL_STR("absent"));
    e->push_string(state, (pl_str){"a\0b", 3});
    e->set_member(state, map, PL_STR("bytes"));
    e->push_string(state, PL_STR_NONE);
    e->set_member(state, map, PL_STR("empty"));
    e->push_key(state, key(w, "a key"));
    e->set_member(state, map, PL_STR_NONE);
    assert_int_equal(e->top(state), map);
    lua_says(w, map,
             "v.least == math.mininteger and v.most == math.maxinteger and math.type(v.most) == 'integer'");
    lua_says(w, map,
             "math.type(v.one) == 'float' and v.yes == true and v.null == require('perilune').null and "
             "v.absent == nil");
    lua_says(w, map, "v.bytes == 'a\\0b' and v.empty == '' and v[''] == 'a key' and getmetatable(v) == nil");

    e->push_list(state, 2);
    pl_slot list = e->top(state);
    assert_int_equal(e->kind(state, list), PL_KIND_LIST);
    for (size_t i = 0; i < 1000; i++) {
        e->push_int(state, (int64_t)i);
        e->set_element(state, list, i);
    }
    e->push_copy(state, list);
    e->set_field(state, map, key(w, "list"));
    lua_says(w, map, "#v.list == 1000 and v.list[1] == 0 and v.list[1000] == 999");
    e->push_copy(state, map);
    assert_int_equal(e->top(state), list + 1);
    lua_says(w, list + 1, "v.list ~= nil");
    e->pop_to(state, list);
    /* Hints are only that. */
    e->push_list(state, SIZE_MAX);
    e->push_map(state, SIZE_MAX);
    e->push_map(state, (size_t)INT_MAX + 1);
}

static void builder(void **data)
{
    protect(*data, builder_body);
}

static void list_mark_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    e->push_list(w->state, 0);
    pl_slot list = e->top(w->state);
    assert_int_equal(e->kind(w->state, list), PL_KIND_LIST);
    assert_int_equal(e->length(w->state, list), 0);
    lua_says(w, list, "type(v) == 'table' and next(v) == nil and getmetatable(v) == false");
    lua_says(w, list, "not pcall(setmetatable, v, {})");
    lua_says(w, list, "rawequal(v, v) and #v == 0 and v.x == nil");
    e->push_map(w->state, 0);
    assert_int_equal(e->kind(w->state, list + 1), PL_KIND_MAP);
}

static void empty_lists_are_lists(void **data)
{
    protect(*data, list_mark_body);
}

static void values_body(void *data)
{
    world *w = data;
    pl_arena arena;
    pl_value value;
    pl_error err;
    pl_buf json;
    pl_arena_init(&arena, 0);
    pl_buf_init(&json);
    static const char text[] =
        "{ list = { 1, 2.5, 'x', true, require('perilune').null }, nested = { { {} } }, s = 'a' }";
    assert_int_equal(pl_read_value(w->state, eval(w, text), 8, &arena, &value, &err), PL_OK);
    pl_push_value(w->state, &value);
    pl_slot again = w->e->top(w->state);
    lua_says(
        w, again,
        "v.list[2] == 2.5 and v.list[5] == require('perilune').null and #v.nested[1] == 1 and v.s == 'a'");
    pl_slot cycle = eval(w, "(function() local t = {} t.a = { t } return t end)()");
    assert_int_equal(pl_read_value(w->state, cycle, 8, &arena, &value, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_write_json(w->state, cycle, 8, &json, &err), PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, ".a[0]"));
    assert_int_equal(pl_write_json(w->state, eval(w, "{ f = print }"), 8, &json, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_write_json(w->state, eval(w, "{ [1.5] = 1 }"), 8, &json, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_write_json(w->state, eval(w, "{ [true] = 1 }"), 8, &json, &err), PL_INVALID_ARGUMENT);
    pl_buf_dispose(&json);
    pl_arena_dispose(&arena);
}

static void whole_values(void **data)
{
    protect(*data, values_body);
}

/* Names that a client chose (in a JSON scalar) do not become metamethods. */
static void nulls_body(void *data)
{
    world *w = data;
    static const char *const names[] = {"given", "__index", "__len", "__call", "__metatable", "__gc"};
    w->e->push_map(w->state, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        w->e->set_null(w->state, 1, pl_str_of(names[i]));
    lua_says(w, 1, "v.given == nil and v.missing == nil and #v == 0 and next(v) == nil");
    lua_says(w, 1,
             "require('perilune').is_null(v, 'given') and not require('perilune').is_null(v, 'missing')");
    lua_says(w, 1, "not require('perilune').is_null(v, '__index')");
    assert_int_equal(w->e->kind(w->state, 1), PL_KIND_MAP);
}

static void nulls(void **data)
{
    protect(*data, nulls_body);
}

/* --- keeping --- */

static void keep_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_ref refs[100];
    for (int i = 0; i < 100; i++) {
        char text[40];
        snprintf(text, sizeof text, "{ n = %d }", i);
        refs[i] = e->keep(w->state, eval(w, text));
        e->pop_to(w->state, 0);
    }
    for (int i = 0; i < 100; i += 2)
        e->drop(w->state, refs[i]);
    e->drop(w->state, PL_REF_NONE);
    ls_collect(w->s);
    for (int i = 1; i < 100; i += 2) {
        pl_slot slot = e->push_ref(w->state, refs[i]);
        assert_true(e->field(w->state, slot, key(w, "n")));
        assert_int_equal(e->get_int(w->state, slot + 1), i);
        e->pop_to(w->state, 0);
        e->drop(w->state, refs[i]);
    }
    pl_ref nothing = e->keep(w->state, eval(w, "nil"));
    assert_int_equal(e->kind(w->state, e->push_ref(w->state, nothing)), PL_KIND_ABSENT);
    e->drop(w->state, nothing);
}

static void keeping(void **data)
{
    protect(*data, keep_body);
}

static void keys(void **data)
{
    world *w = *data;
    pl_key *a = key(w, "a"), *empty = key(w, "");
    assert_ptr_equal(key(w, "a"), a);
    assert_ptr_not_equal(key(w, "b"), a);
    assert_ptr_equal(key(w, ""), empty);
    assert_ptr_not_equal(w->e->key(w->state, (pl_str){"a\0", 2}), a);
    for (int i = 0; i < 1000; i++) {
        char name[20];
        snprintf(name, sizeof name, "key%d", i);
        assert_non_null(key(w, name));
    }
    ls_collect(w->s);
    assert_ptr_equal(key(w, "a"), a);
    assert_ptr_equal(key(w, "key999"), key(w, "key999"));
}

static void places_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_str file;
    uint32_t line;
    assert_true(e->where(w->state, eval(w, "(function()\n\nreturn function() end end)()"), &file, &line));
    assert_true(pl_str_is(file, "call.lua"));
    assert_int_equal(line, 3);
    assert_false(e->where(w->state, eval(w, "print"), &file, &line));
    assert_false(e->where(w->state, eval(w, "{}"), &file, &line));
    assert_false(e->where(w->state, eval(w, "nil"), &file, &line));
    assert_false(e->where(w->state, eval(w, "load 'return 1'"), &file, &line)); /* text has no file */
    assert_int_equal(e->arity(w->state, eval(w, "function() end")), 0);
    assert_int_equal(e->arity(w->state, eval(w, "function(a, b, c) end")), 3);
    assert_int_equal(e->arity(w->state, eval(w, "function(a, ...) end")), INT_MAX);
    assert_int_equal(e->arity(w->state, eval(w, "print")), INT_MAX);
    assert_int_equal(e->arity(w->state, eval(w, "setmetatable({}, { __call = function() end })")), INT_MAX);
}

static void where_functions_are(void **data)
{
    protect(*data, places_body);
}

/* --- the stack --- */

static void inner_body(void *data)
{
    world *w = data;
    assert_int_equal(w->e->top(w->state), 0);
    w->e->push_int(w->state, 5);
    assert_int_equal(w->e->top(w->state), 1);
}

static void jump_body(void *data)
{
    world *w = data;
    for (int i = 0; i < 10; i++)
        w->e->push_int(w->state, i);
    lua_error(ls_lua(w->s));
}

static void stack_body(void *data)
{
    world *w = data;
    const pl_engine *e = w->e;
    pl_error err = {0};
    e->push_int(w->state, 1);
    e->push_int(w->state, 2);
    assert_true(e->protect(w->state, inner_body, w, &err));
    assert_int_equal(e->top(w->state), 2);
    assert_false(e->protect(w->state, jump_body, w, &err));
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_int_equal(e->top(w->state), 2);
    assert_int_equal(e->get_int(w->state, 2), 2);
    assert_true(e->reserve(w->state, 5000));
    for (int i = 0; i < 5000; i++)
        e->push_int(w->state, i);
    assert_int_equal(e->get_int(w->state, 5002), 4999);
    assert_false(e->reserve(w->state, 10000000));
    e->pop_to(w->state, 2);
    assert_int_equal(e->top(w->state), 2);
}

static void the_stack(void **data)
{
    protect(*data, stack_body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void names_body(void *data)
{
    world *w = data;
    char text[64];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2000; i++) { /* many for one place */
            int n = snprintf(text, sizeof text, round == 1 ? "n%u" : "%u of the names %u", i % 700, i % 7);
            w->e->push_name(w->state, (pl_str){text, (size_t)n});
            assert_true(pl_str_is(w->e->get_string(w->state, 1), text));
            w->e->pop_to(w->state, 0);
        }
    }
    w->e->push_name(w->state, PL_STR_NONE);
    assert_int_equal(w->e->get_string(w->state, 1).len, 0);
    w->e->push_name(w->state, (pl_str){"a\0b", 3});
    w->e->push_name(w->state, (pl_str){"a\0c", 3});
    assert_memory_equal(w->e->get_string(w->state, 2).ptr, "a\0b", 3);
    assert_memory_equal(w->e->get_string(w->state, 3).ptr, "a\0c", 3);
    w->e->pop_to(w->state, 0);
}

static void names_are_strings(void **state)
{
    protect(*state, names_body);
}

static void new_name_body(void *data)
{
    world *w = data;
    w->e->push_name(w->state, PL_STR("not seen before"));
    assert_true(pl_str_is(w->e->get_string(w->state, 1), "not seen before"));
    w->e->pop_to(w->state, 0);
}

static void names_without_memory(void **state)
{
    world *w = *state;
    failing a = {0};
    while (failing_next(&a)) {
        pl_error err = {0};
        failing_begin(&a);
        bool done = w->e->protect(w->state, new_name_body, w, &err);
        assert_true(failing_end(&a) || done);
        protect(w, new_name_body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kinds),
        TEST(scalars),
        TEST(fields),
        TEST(members),
        TEST(what_needs_script_code_to_be_read),
        TEST(lists),
        TEST(steps_through_maps),
        TEST(builder),
        TEST(empty_lists_are_lists),
        TEST(whole_values),
        TEST(nulls),
        TEST(keeping),
        TEST(keys),
        TEST(where_functions_are),
        TEST(the_stack),
        TEST(names_are_strings),
        TEST(names_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
