/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/graphql_fixture.h"

/* Scalars that are members of their object are read and written many at once. Here what comes out is held
 * against the long way, which fields of an object take that only a function can read. */

static const char sdl[] = "type Item { a: Int b: Float c: String d: Boolean e: ID z: String next: Item }\n"
                          "type Query { quick: [Item!] wordy: [Item!] }\n";

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    *state = &f;
    return 0;
}

/* The same items for both fields. */
static void give(gf *f, te_value quick, te_value wordy, te_value item)
{
    te_append(f->t, quick, item);
    te_append(f->t, wordy, te_object(f->t, item));
}

static te_value item_of(gf *f, te_value v)
{
    te_value item = te_map(f->t, "a", v, "b", v, "c", v, NULL);
    te_set(f->t, item, "d", v);
    te_set(f->t, item, "e", v);
    te_set(f->t, item, "z", te_string(f->t, "the end"));
    return item;
}

static void bind(gf *f, te_value quick, te_value wordy)
{
    gf_give(f, "Query", "quick", quick);
    gf_give(f, "Query", "wordy", wordy);
}

/* fields: the selection set of an item. What is known of it from the first time is used the second time. */
static void both_ways(gf *f, const char *fields)
{
    char query[2000];
    gf_request quick, wordy;
    for (int i = 0; i < 3; i++) {
        snprintf(query, sizeof query, "{ all: quick %s }", fields);
        gf_start(&quick, f, query, NULL);
        snprintf(query, sizeof query, "{ all: wordy %s }", fields);
        gf_start(&wordy, f, query, NULL);
        assert_int_equal(quick.result, wordy.result);
        assert_string_equal(quick.body, wordy.body);
        gf_end(&quick);
        gf_end(&wordy);
    }
}

static const char every_field[] = "{ a z b y: z c x: z d w: z e v: z }";
static const char side_by_side[] = "{ z a b c d e y: z }";

static void test_values(void **state)
{
    gf *f = *state;
    te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
    const te_value values[] = {
        te_null(),
        te_bool(true),
        te_bool(false),
        te_int(0),
        te_int(-1),
        te_int(2147483647),
        te_int(2147483648),
        te_int(-2147483648),
        te_int(1),
        te_int(INT64_MAX),
        te_int(INT64_MIN),
        te_float(0.0),
        te_float(-0.0),
        te_float(2.0),
        te_float(0.1),
        te_float(1e300),
        te_float(-2.5),
        te_float(1e-9),
        te_float(__builtin_inf()),
        te_float(__builtin_nan("")),
        te_map(f->t, NULL),
        te_list(f->t, 0),
        te_string(f->t, "7"),
        te_string(f->t, "true"),
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        give(f, quick, wordy, item_of(f, values[i]));
    give(f, quick, wordy, te_map(f->t, NULL));
    bind(f, quick, wordy);
    both_ways(f, every_field);
    both_ways(f, side_by_side);
}

static void test_texts(void **state)
{
    gf *f = *state;
    te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
    static const char *const odd[] = {
        "", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\x99", "\xff", "\xc3", "\x7f"};
    for (size_t len = 0; len <= 70; len++) {
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            char text[160];
            size_t before = len * 2 / 3;
            snprintf(text, sizeof text, "%.*s%s%.*s", (int)before,
                     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", odd[i],
                     (int)(len - before), "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ");
            give(f, quick, wordy, item_of(f, te_string(f->t, text)));
        }
    }
    bind(f, quick, wordy);
    both_ways(f, "{ c }");
    both_ways(f, "{ c e }");
    both_ways(f, "{ z c e y: z }");
}

/* Many times what a run has room for. */
static void test_long_texts(void **state)
{
    gf *f = *state;
    te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
    char text[5001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 3; i++)
        give(f, quick, wordy, item_of(f, te_string(f->t, text + i * 2000)));
    bind(f, quick, wordy);
    both_ways(f, "{ c c1: c c2: c c3: c z c4: c c5: c c6: c e }");
}

/* Names are copied by blocks. */
static void test_names(void **state)
{
    gf *f = *state;
    te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
    give(f, quick, wordy, item_of(f, te_int(5)));
    bind(f, quick, wordy);
    for (int len = 1; len <= 40; len++) {
        char fields[300], expected[300];
        const char *name = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
        snprintf(fields, sizeof fields, "{ quick { %.*s: a z %.*s_: a } }", len, name, len, name);
        snprintf(expected, sizeof expected,
                 "{\"data\":{\"quick\":[{\"%.*s\":5,\"z\":\"the end\",\"%.*s_\":5}]}}", len, name, len, name);
        gf_expect(f, fields, NULL, expected);
        both_ways(f, strchr(fields + 1, '{'));
    }
}

static te_value chain(gf *f, int depth)
{
    te_value item = item_of(f, te_string(f->t, "text"));
    if (depth > 0)
        te_set(f->t, item, "next", chain(f, depth - 1));
    return item;
}

/* Runs of more fields than are read at once, with objects in between. */
static void test_runs(void **state)
{
    gf *f = *state;
    te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
    for (int i = 0; i < 5; i++)
        give(f, quick, wordy, chain(f, i));
    bind(f, quick, wordy);
    both_ways(f,
              "{ c c1: c c2: c c3: c c4: c c5: c c6: c c7: c c8: c c9: c c10: c c11: c c12: c c13: c c14: c "
              "c15: c c16: c c17: c }");
    both_ways(f, "{ c next { next { c next { e } z } c e c1: c c2: c c3: c c4: c c5: c c6: c c7: c c8: c } e "
                 "more: next { e } z }");
    both_ways(
        f,
        "{ c e z next { c e z next { c e z next { c e z c1: c c2: c c3: c c4: c c5: c c6: c c7: c c8: c c9: "
        "c "
        "c10: c c11: c c12: c c13: c c14: c c15: c c16: c c17: c c18: c c19: c c20: c c21: c c22: c } } } }");
    both_ways(f, "{ next { next { next { __typename c } } } }");
    both_ways(f, "{ c __typename e __typename z @skip(if: true) }");
    both_ways(f, "{ c @skip(if: true) }");
    both_ways(f, "{ next { c @skip(if: true) } e }");
}

/* The limit is as exact as it is the long way. */
static void test_limits(void **state)
{
    gf *f = *state;
    te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
    for (int i = 0; i < 3; i++)
        give(f, quick, wordy, item_of(f, te_string(f->t, i == 1 ? "\xc3\xa9\n" : "some text")));
    bind(f, quick, wordy);
    gf_request r;
    gf_start(&r, f, "{ all: quick { c e z } }", NULL);
    size_t whole = strlen(r.body);
    gf_end(&r);
    int within = 0;
    for (size_t limit = 1; limit <= whole + 60; limit++) {
        f->options.max_response = limit;
        gf_restart(f);
        both_ways(f, "{ c e z }");
        gf_start(&r, f, "{ all: quick { c e z } }", NULL);
        within += strstr(r.body, "RESOURCE_EXHAUSTED") == NULL;
        gf_end(&r);
    }
    assert_in_range(within, 40, 61);
}

/* before: executions that have not failed */
static void fail_every_allocation(int before, bool sticky)
{
    static const char query[] = "{ quick { c e z next { c next { e } } } }";
    failing a = {.sticky = sticky};
    char *whole = NULL;
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        te_value quick = te_list(f->t, 0), wordy = te_list(f->t, 0);
        for (int i = 0; i < 40; i++)
            give(f, quick, wordy, chain(f, 2));
        bind(f, quick, wordy);
        for (int i = 0; i < (whole ? before : 1); i++) {
            gf_start(&r, f, query, NULL);
            free(whole);
            whole = strdup(r.body);
            gf_end(&r);
        }
        if (before == 0)
            gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, query, NULL);
        if (!failing_end(&a))
            assert_string_equal(r.body, whole);
        else if (r.body && strcmp(r.body, whole) != 0)
            assert_non_null(strstr(r.body, "RESOURCE_EXHAUSTED"));
        gf_end(&r);
        gf_close(f);
    }
    assert_true(a.made > 10);
    free(whole);
}

static void test_no_memory(void **state)
{
    for (int before = 0; before < 2; before++) {
        fail_every_allocation(before, false);
        fail_every_allocation(before, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_long_texts, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_runs, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
