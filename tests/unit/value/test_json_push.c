/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/test_engine.h"
#include "value/json_tape.h"

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
    pl_json_tape tape;
    pl_buf text;
    pl_code code;
    pl_error err;
} section;

static void push_and_write(void *data)
{
    section *s = data;
    pl_state *state = te_state(s->t);
    pl_push_tape(state, &s->tape);
    assert_int_equal(te_engine()->top(state), 1);
    s->code = pl_write_json(state, 1, 100, &s->text, &s->err);
}

/* JSON → tape → script → JSON. OK, or what went wrong. */
static pl_code round_trip(section *s, const char *text)
{
    pl_arena arena;
    pl_arena_init(&arena, 64);
    pl_buf_reset(&s->text, 1 << 20);
    pl_code code = pl_json_scan(&s->tape, &arena, pl_str_of(text), NULL, &s->err);
    if (!code)
        code = te_engine()->protect(te_state(s->t), push_and_write, s, &s->err) ? s->code : s->err.code;
    pl_arena_dispose(&arena);
    return code;
}

static void values_are_pushed_as_they_are(void **state)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "-12",
        "9223372036854775807",
        "1.5",
        "\"\"",
        "[]",
        "{}",
        "[[],[[]],{}]",
        "{\"a\":1,\"b\":[true,{\"c\":\"d\"},null],\"e\":{\"f\":{\"g\":[]}}}",
        "[\"\\\"\\\\/\",\"\\b\\f\\n\\r\\t\",\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]",
    };
    section s = {.t = *state};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(round_trip(&s, same[i]), PL_OK);
        s.text.data[s.text.len] = '\0';
        assert_string_equal(s.text.data, same[i]);
    }
    assert_int_equal(round_trip(&s, "[\"\\u00e9\\u20AC\\ud83d\\ude00\\/\"]"), PL_OK);
    assert_true(pl_str_is(pl_buf_view(&s.text), "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/\"]"));
    assert_int_equal(round_trip(&s, "{\"a\":1,\"b\":2,\"a\":[3]}"), PL_OK); /* the last one counts */
    assert_true(pl_str_is(pl_buf_view(&s.text), "{\"a\":[3],\"b\":2}"));
    assert_int_equal(round_trip(&s, "[1,2"), PL_INVALID_ARGUMENT);
    assert_int_equal(round_trip(&s, "[1]"), PL_OK);
    pl_json_tape_dispose(&s.tape);
    pl_buf_dispose(&s.text);
}

static void a_large_tape_is_not_kept(void **state)
{
    section s = {.t = *state};
    char text[4000] = "[0";
    for (size_t i = 2; i < 3000; i += 2)
        memcpy(text + i, ",0", 3);
    strcat(text, "]");
    assert_int_equal(round_trip(&s, text), PL_OK);
    assert_true(s.tape.room >= 1500);
    pl_json_tape_trim(&s.tape, 4096);
    assert_true(s.tape.room >= 1500);
    pl_json_tape_trim(&s.tape, 1000);
    assert_int_equal(s.tape.room, 0);
    assert_int_equal(round_trip(&s, "[1]"), PL_OK);
    pl_json_tape_dispose(&s.tape);
    pl_buf_dispose(&s.text);
}

static void every_failed_allocation_is_reported(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        section s = {.t = *state};
        failing_begin(&a);
        pl_code code = round_trip(&s, "{\"a\":[1,2.5,\"te\\nxt\",{\"b\":null}],\"c\":\"d\"}");
        bool failed = failing_end(&a);
        assert_true(code == PL_OK || (failed && code == PL_RESOURCE_EXHAUSTED) || s.text.failed);
        pl_json_tape_dispose(&s.tape);
        pl_buf_dispose(&s.text);
    }
    assert_true(a.failed > 2);
}

int main(void)
{
#define PUSH_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        PUSH_TEST(values_are_pushed_as_they_are),
        PUSH_TEST(a_large_tape_is_not_kept),
        PUSH_TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
