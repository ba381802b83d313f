/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/test_engine.h"
#include "value/json.h"

/* Values that go between the core and an engine. */

static int setup(void **state)
{
    *state = te_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    te_free(*state);
    return 0;
}

typedef struct section {
    te *t;
    pl_value in, out;
    te_value value;
    pl_arena arena;
    pl_buf text;
    unsigned depth;
    pl_code code;
    pl_error err;
} section;

static void section_open(section *s, te *t)
{
    *s = (section){.t = t, .depth = 10};
    pl_arena_init(&s->arena, 0);
}

static void section_close(section *s)
{
    pl_arena_dispose(&s->arena);
    pl_buf_dispose(&s->text);
}

static bool run(section *s, void (*fn)(void *data))
{
    pl_error err;
    return te_engine()->protect(te_state(s->t), fn, s, &err);
}

/* JSON → pl_value → script → pl_value and JSON. */
static void round_trip(void *data)
{
    section *s = data;
    pl_state *state = te_state(s->t);
    assert_true(te_engine()->reserve(state, 1));
    pl_push_value(state, &s->in);
    assert_int_equal(te_engine()->top(state), 1);
    s->code = pl_read_value(state, 1, s->depth, &s->arena, &s->out, &s->err);
    assert_int_equal(te_engine()->top(state), 1);
    if (s->code == PL_OK)
        s->code = pl_write_json(state, 1, s->depth, &s->text, &s->err);
    assert_int_equal(te_engine()->top(state), 1);
}

static void test_round_trips(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-9223372036854775808",
        "9223372036854775807",
        "0.5",
        "1e+21",
        "\"\"",
        "\"a\\\"\\n\\u0001é\"",
        "[]",
        "{}",
        "[1,null,[2,[]],{\"a\":{}}]",
        "{\"a\":1,\"b\":[{\"c\":null}],\"\":\"x\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        section s;
        pl_buf copy = {0};
        section_open(&s, *state);
        assert_int_equal(pl_json_read(&s.arena, pl_str_of(texts[i]), &(pl_json_limits){0}, &s.in, &s.err),
                         PL_OK);
        assert_true(run(&s, round_trip));
        assert_int_equal(s.code, PL_OK);
        pl_json_value(&copy, &s.out);
        pl_buf_char(&copy, '\0');
        pl_buf_char(&s.text, '\0');
        assert_string_equal(s.text.data, texts[i]);
        assert_string_equal(copy.data, texts[i]);
        assert_int_equal(s.out.kind, s.in.kind);
        pl_buf_dispose(&copy);
        section_close(&s);
    }
}

static void keep_it(void *data)
{
    section *s = data;
    assert_true(te_engine()->reserve(te_state(s->t), 1));
    s->in = (pl_value){.kind = PL_KIND_SCRIPT,
                       .script = te_engine()->keep(te_state(s->t), te_push(s->t, s->value))};
}

/* A kept value inside a list; absent members are left out. */
static void test_kept_and_absent(void **state)
{
    te *t = *state;
    section s;
    section_open(&s, t);
    s.value = te_map(t, "k", te_int(1), NULL);
    assert_true(run(&s, keep_it));
    pl_value items[2] = {s.in, {.kind = PL_KIND_ABSENT}};
    pl_member members[2] = {{PL_STR("list"), {.kind = PL_KIND_LIST, .list = {items, 2}}},
                            {PL_STR("none"), {.kind = PL_KIND_ABSENT}}};
    s.in = (pl_value){.kind = PL_KIND_MAP, .map = {members, 2}};
    assert_true(run(&s, round_trip));
    pl_buf_char(&s.text, '\0');
    assert_string_equal(s.text.data, "{\"list\":[{\"k\":1},null]}");
    section_close(&s);
}

/* --- values of the script --- */
static void read_it(void *data)
{
    section *s = data;
    assert_true(te_engine()->reserve(te_state(s->t), 1));
    pl_slot slot = te_push(s->t, s->value);
    s->code = pl_read_value(te_state(s->t), slot, s->depth, &s->arena, &s->out, &s->err);
    assert_int_equal(te_engine()->top(te_state(s->t)), slot);
}

static void write_it(void *data)
{
    section *s = data;
    assert_true(te_engine()->reserve(te_state(s->t), 1));
    pl_slot slot = te_push(s->t, s->value);
    s->code = pl_write_json(te_state(s->t), slot, s->depth, &s->text, &s->err);
    assert_int_equal(te_engine()->top(te_state(s->t)), slot);
}

static void check_error(te *t, te_value v, unsigned depth, const char *message)
{
    section s;
    section_open(&s, t);
    s.value = v;
    s.depth = depth;
    assert_true(run(&s, read_it));
    assert_int_equal(s.code, PL_INVALID_ARGUMENT);
    assert_string_equal(s.err.message, message);
    s.err.message[0] = '\0';
    assert_true(run(&s, write_it));
    assert_int_equal(s.code, PL_INVALID_ARGUMENT);
    assert_string_equal(s.err.message, message);
    section_close(&s);
}

static void check_text(te *t, te_value v, unsigned depth, const char *text)
{
    section s;
    section_open(&s, t);
    s.value = v;
    s.depth = depth;
    assert_true(run(&s, write_it));
    assert_int_equal(s.code, PL_OK);
    pl_buf_char(&s.text, '\0');
    assert_string_equal(s.text.data, text);
    assert_true(run(&s, read_it));
    assert_int_equal(s.code, PL_OK);
    section_close(&s);
}

static void test_depth(void **state)
{
    te *t = *state;
    te_value v = te_list(t, 1, te_list(t, 1, te_map(t, "a", te_int(1), NULL)));
    check_text(t, v, 4, "[[{\"a\":1}]]");
    check_error(t, v, 3, "the value is nested too deep, or contains itself, at [0][0].a");
    check_error(t, v, 0, "the value is nested too deep, or contains itself,");
}

static void test_cycles(void **state)
{
    te *t = *state;
    te_value map = te_map(t, NULL), list = te_list(t, 0);
    te_append(t, list, map);
    te_set(t, map, "l", list);
    check_error(t, map, 4, "the value is nested too deep, or contains itself, at .l[0].l[0]");
    check_error(t, list, 5, "the value is nested too deep, or contains itself, at [0].l[0].l[0]");
    section s;
    section_open(&s, t);
    s.value = map;
    s.depth = 900; /* as long as a path is, a message has its bound */
    assert_true(run(&s, read_it));
    assert_int_equal(s.code, PL_INVALID_ARGUMENT);
    section_close(&s);
}

static te_outcome nothing(te_invocation *in, void *data)
{
    return TE_RETURN;
}

static void test_without_json_form(void **state)
{
    te *t = *state;
    static const char what[] = "a value that has no JSON form (a function, a coroutine or an object)";
    char message[200];
    check_error(t, te_function(t, nothing, NULL, 0), 3, what);
    snprintf(message, sizeof message, "%s at .a[1]", what);
    check_error(t, te_map(t, "a", te_list(t, 2, te_int(1), te_object(t, te_null())), NULL), 5, message);
}

static void test_keys(void **state)
{
    te *t = *state;
    te_value v = te_map(t, NULL);
    te_set_key(t, v, te_int(-7), te_bool(true));
    te_set_key(t, v, te_string(t, "s"), te_list(t, 0));
    check_text(t, v, 3, "{\"-7\":true,\"s\":[]}");
    te_value outer = te_map(t, "o", v, NULL);
    te_set_key(t, v, te_bool(true), te_int(1));
    check_error(t, outer, 5, "a key that is neither a string nor an integer at .o");
}

static void test_no_memory(void **state)
{
    te *t = *state;
    failing a = {0};
    while (failing_next(&a)) {
        section s;
        section_open(&s, t);
        assert_int_equal(pl_json_read(&s.arena, PL_STR("{\"a\":[1,\"text\",{\"b\":null}],\"c\":[[[[[]]]]]}"),
                                      &(pl_json_limits){0}, &s.in, &s.err),
                         PL_OK);
        failing_begin(&a);
        bool ok = run(&s, round_trip);
        if (!failing_end(&a))
            assert_true(ok && s.code == PL_OK && !s.text.failed);
        else
            assert_true(!ok || s.code == PL_RESOURCE_EXHAUSTED || s.text.failed);
        section_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_and_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_json_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
