/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/lua_state.h"

/* msg, whose fields are made when they are read: nothing that a script can do tells it from a table that has
 * them. */

typedef struct world {
    ls_state *s;
    const pl_engine *e;
    pl_state *state;
    const pl_event_message *message;
    bool pushed;
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

static void push_body(void *data)
{
    world *w = data;
    w->e->push_message(w->state, w->message);
    lua_setglobal(ls_lua(w->s), "msg");
    w->pushed = true;
}

/* The global msg is a new one; its bytes are gone from where they were. False: memory. */
static bool push(world *w, const pl_event_message *from)
{
    char bytes[4][64];
    const pl_str texts[] = {from->key, from->value, from->topic};
    pl_event_message m = *from;
    pl_str *const to[] = {&m.key, &m.value, &m.topic};
    pl_error err = {0};
    for (int i = 0; i < 3; i++) {
        if (!texts[i].ptr)
            continue;
        memcpy(bytes[i], texts[i].ptr, texts[i].len);
        to[i]->ptr = bytes[i];
    }
    w->message = &m;
    w->pushed = false;
    w->e->protect(w->state, push_body, w, &err);
    memset(bytes, 'x', sizeof bytes);
    return w->pushed;
}

static const pl_header headers[] = {
    {PL_STR("trace"), PL_STR("1")}, {PL_STR("empty"), {NULL, 0}}, {PL_STR("trace"), PL_STR("two")}};
static const pl_event_message whole = {.key = PL_STR("k"),
                                       .value = PL_STR("{\"n\":1}"),
                                       .topic = PL_STR("orders"),
                                       .partition = 3,
                                       .offset = 5000000000,
                                       .timestamp = 1700000000250,
                                       .attempt = 2,
                                       .headers = headers,
                                       .header_count = 3};
static const pl_event_message bare = {.topic = PL_STR("t"), .timestamp = -1, .attempt = 1};

static void reads_fields(void **data)
{
    world *w = *data;
    assert_true(push(w, &whole));
    ls_ok(w->s,
          "return { msg.key, msg.value, msg.topic, msg.partition, msg.offset, msg.timestamp, msg.attempt, "
          "msg.id, "
          "msg.headers.trace, msg.headers.empty, msg.nothing == nil, msg[1] == nil, type(msg), #msg }",
          "[\"k\",\"{\\\"n\\\":1}\",\"orders\",3,5000000000,1700000000.25,2,\"orders/3/"
          "5000000000\",\"two\",\"\","
          "true,true,\"table\",0]");
    ls_ok(w->s,
          "return { math.type(msg.offset), math.type(msg.partition), math.type(msg.attempt), "
          "math.type(msg.timestamp) }",
          "[\"integer\",\"integer\",\"integer\",\"float\"]");
    assert_true(push(w, &bare));
    ls_ok(
        w->s,
        "return { msg.key == nil, msg.value == nil, msg.timestamp == nil, next(msg.headers) == nil, msg.id }",
        "[true,true,true,true,\"t/0/0\"]");
}

static void is_seen_whole_by_all(void **data)
{
    world *w = *data;
    static const char *const ways[] = {
        "return msg",
        "return require 'perilune.json'.decode(require 'perilune.json'.encode(msg))",
        "local copy = {} for k, v in pairs(msg) do copy[k] = v end return copy",
        "local copy = {} for k, v in next, msg do copy[k] = v end return copy",
        "local k, copy = nil, {} repeat local v k, v = next(msg, k) if k then copy[k] = v end until not k "
        "return copy",
        "local copy = {} for _, k in ipairs { 'key', 'value', 'topic', 'partition', 'offset', 'timestamp', "
        "'attempt', 'id', "
        "'headers' } do copy[k] = rawget(msg, k) end return copy",
        "rawset(msg, 'x', 1) msg.x = nil return msg",
        "msg.x = 1 msg.x = nil return msg",
        "return setmetatable(msg, {})",
        "assert(not getmetatable(msg)) return msg",
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char body[600];
        assert_true(push(w, &whole));
        snprintf(body, sizeof body,
                 "local seen = (function() %s end)() local names, out = {}, {} "
                 "for k in pairs(seen) do names[#names + 1] = k end table.sort(names) "
                 "for i, k in ipairs(names) do local v = seen[k] "
                 "if k == 'headers' then v = ('%%s%%s'):format(v.empty, v.trace) end out[i] = k .. '=' .. v "
                 "end return out",
                 ways[i]);
        ls_ok(w->s, body,
              "[\"attempt=2\",\"headers=two\",\"id=orders/3/"
              "5000000000\",\"key=k\",\"offset=5000000000\",\"partition=3\","
              "\"timestamp=1700000000.25\",\"topic=orders\",\"value={\\\"n\\\":1}\"]");
    }
}

static void can_be_written(void **data)
{
    world *w = *data;
    assert_true(push(w, &whole));
    ls_ok(w->s, "msg.key = nil return { msg.key == nil, msg.topic, rawget(msg, 'key') == nil }",
          "[true,\"orders\",true]");
    assert_true(push(w, &whole));
    ls_ok(w->s, "msg.offset = 7 msg.mine = true return { msg.offset, msg.mine, msg.key }", "[7,true,\"k\"]");
    assert_true(push(w, &whole));
    ls_ok(w->s, "local h = msg.headers h.trace = 'mine' return { msg.headers == h, msg.headers.trace, #h }",
          "[true,\"mine\",0]");
    ls_ok(w->s,
          "local h = msg.headers for k, v in pairs(msg) do if k == 'headers' then return { v == h, v.trace } "
          "end end",
          "[true,\"mine\"]");
    assert_true(push(w, &whole));
    ls_ok(w->s, "return setmetatable(msg, { __index = function(_, k) return k .. '?' end }).other .. msg.key",
          "\"other?k\"");
}

static void cursor_body(void *data)
{
    world *w = data;
    lua_State *L = ls_lua(w->s);
    unsigned fields = 0;
    lua_getglobal(L, "msg");
    pl_slot msg = w->e->top(w->state);
    assert_int_equal(w->e->kind(w->state, msg), PL_KIND_MAP);
    assert_true(w->e->field(w->state, msg, w->e->key(w->state, PL_STR("key"))));
    assert_true(pl_str_is(w->e->get_string(w->state, msg + 1), "k"));
    assert_true(w->e->field(w->state, msg, w->e->key(w->state, PL_STR("offset"))));
    assert_int_equal(w->e->get_int(w->state, msg + 2), 5000000000);
    assert_true(w->e->field(w->state, msg, w->e->key(w->state, PL_STR("nothing"))));
    assert_int_equal(w->e->kind(w->state, msg + 3), PL_KIND_ABSENT);
    assert_int_equal(w->e->top(w->state), msg + 3);
    assert_true(w->e->member(w->state, msg, PL_STR("topic")));
    w->e->pop_to(w->state, msg);
    w->e->push_absent(w->state);
    for (; w->e->next(w->state, msg); w->e->pop_to(w->state, msg + 1))
        fields++;
    assert_int_equal(fields, 9);
    w->e->pop_to(w->state, msg - 1);
    w->pushed = true;
}

static void count_body(void *data)
{
    world *w = data;
    lua_getglobal(ls_lua(w->s), "msg");
    assert_int_equal(w->e->members(w->state, w->e->top(w->state)), 9);
    w->pushed = true;
}

static void is_read_by_the_core(void **data)
{
    world *w = *data;
    pl_error err = {0};
    assert_true(push(w, &whole));
    w->pushed = false;
    assert_true(w->e->protect(w->state, cursor_body, w, &err));
    assert_true(w->pushed);
    assert_true(push(w, &whole));
    w->pushed = false;
    assert_true(w->e->protect(w->state, count_body, w, &err));
    assert_true(w->pushed);
}

/* It is whole, whoever lacks memory when. */
static void memory(void **data)
{
    world *w = *data;
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        bool pushed = push(w, &whole);
        bool failed = failing_end(&a);
        assert_true(pushed || failed);
    }
    assert_true(a.made > 2);
    failing b = {0};
    while (failing_next(&b)) {
        assert_true(push(w, &whole));
        ls_run_failing(w->s, "local h = msg.headers for _ in pairs(msg) do end return h.trace", &b);
        ls_ok(w->s, "return { msg.key, msg.id, msg.headers.trace }",
              "[\"k\",\"orders/3/5000000000\",\"two\"]");
        ls_forget(w->s);
    }
    assert_true(b.made > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_seen_whole_by_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(can_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_read_by_the_core, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
