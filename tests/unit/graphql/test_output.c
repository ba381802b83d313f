/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graphql/execution/output.h"

/* The pieces of a response, and how they are put together. */

typedef struct fixture {
    pl_arena arena;
    gql_output out;
    pl_buf whole;
    unsigned dropped;
} fixture;

static int setup(void **state)
{
    static fixture x;
    x.dropped = 0;
    pl_arena_init(&x.arena, 0);
    pl_buf_init(&x.whole);
    gql_output_init(&x.out, &x.arena);
    *state = &x;
    return 0;
}

static int teardown(void **state)
{
    fixture *x = *state;
    gql_output_dispose(&x->out);
    pl_buf_dispose(&x->whole);
    pl_arena_dispose(&x->arena);
    return 0;
}

static void put(fixture *x, const char *text)
{
    pl_buf_str(&x->out.buf, pl_str_of(text));
}

static void fill(fixture *x, gql_hole *hole, const char *text)
{
    gql_output_fill_begin(&x->out, hole);
    put(x, text);
    gql_output_fill_end(&x->out);
}

static void check_whole(fixture *x, const char *expected)
{
    if (x->out.root.end == 0)
        x->out.root.end = x->out.buf.len;
    pl_buf_reset(&x->whole, 0);
    gql_output_assemble(&x->out, &x->whole);
    pl_buf_char(&x->whole, '\0');
    assert_false(x->whole.failed);
    assert_string_equal(x->whole.data, expected);
}

static void drop(void *data, gql_patch *patch)
{
    ((fixture *)data)->dropped++;
}

static void test_no_holes(void **state)
{
    fixture *x = *state;
    put(x, "{}");
    assert_false(x->out.has_patches);
    check_whole(x, "{}");
}

static void test_holes_in_any_order(void **state)
{
    fixture *x = *state;
    gql_frame frame = {0};
    gql_scope *scope = NULL;
    put(x, "[");
    gql_hole *a = gql_output_hole(&x->out, &frame, &scope);
    put(x, ",");
    gql_hole *b = gql_output_hole(&x->out, &frame, &scope);
    put(x, "]");
    frame.scope->end = x->out.root.end = x->out.buf.len;
    assert_ptr_equal(scope, frame.scope);
    fill(x, b, "2");
    fill(x, a, "1");
    check_whole(x, "[1,2]");
}

static void test_holes_in_holes(void **state)
{
    fixture *x = *state;
    gql_frame frame = {0}, inner = {0}, innermost = {0};
    gql_scope *scope, *below, *lowest;
    put(x, "<");
    gql_hole *a = gql_output_hole(&x->out, &frame, &scope);
    put(x, ">");
    frame.scope->end = x->out.root.end = x->out.buf.len;

    gql_output_fill_begin(&x->out, a);
    inner = (gql_frame){.parent = &(gql_frame){.scope = scope}, .start = x->out.buf.len};
    put(x, "(");
    gql_hole *b = gql_output_hole(&x->out, &inner, &below);
    put(x, "|");
    gql_hole *c = gql_output_hole(&x->out, &inner, &below);
    put(x, ")");
    below->end = x->out.buf.len;
    gql_output_fill_end(&x->out);
    assert_ptr_equal(below->parent, scope);

    gql_output_fill_begin(&x->out, c);
    innermost = (gql_frame){.parent = &(gql_frame){.scope = below}, .start = x->out.buf.len};
    put(x, "{");
    gql_hole *d = gql_output_hole(&x->out, &innermost, &lowest);
    put(x, "}");
    lowest->end = x->out.buf.len;
    gql_output_fill_end(&x->out);
    fill(x, d, "d");
    fill(x, b, "b");
    check_whole(x, "<(b|{d})>");

    lowest->nulled = true;
    check_whole(x, "<(b|null)>");
    below->nulled = true;
    check_whole(x, "<null>");
    scope->nulled = true;
    check_whole(x, "null");
}

/* Frames get their scopes from the outside in when the first hole is made, so patches stay in order. */
static void test_scopes_are_made_late(void **state)
{
    fixture *x = *state;
    gql_frame outer = {0};
    gql_scope *scope, *scope2;
    put(x, "[");
    gql_frame first = {.parent = &outer, .start = x->out.buf.len};
    put(x, "(1)");
    assert_null(first.scope);
    put(x, ",");
    gql_frame second = {.parent = &outer, .start = x->out.buf.len};
    put(x, "(");
    gql_hole *a = gql_output_hole(&x->out, &second, &scope);
    put(x, ")");
    scope->end = x->out.buf.len;
    put(x, ",");
    gql_hole *b = gql_output_hole(&x->out, &outer, &scope2);
    put(x, "]");
    scope2->end = x->out.root.end = x->out.buf.len;
    assert_ptr_equal(scope->parent, scope2);
    assert_ptr_equal(scope2->children, scope);
    fill(x, a, "a");
    fill(x, b, "b");
    check_whole(x, "[(1),(a),b]");
    scope->nulled = true;
    check_whole(x, "[(1),null,b]");
}

static void test_rewind(void **state)
{
    fixture *x = *state;
    gql_frame outer = {0};
    gql_scope *scope;
    put(x, "[");
    gql_hole *a = gql_output_hole(&x->out, &outer, &scope);
    put(x, ",");
    gql_frame inner = {.parent = &outer, .start = x->out.buf.len};
    put(x, "(");
    gql_output_hole(&x->out, &inner, &scope);
    put(x, ";");
    gql_output_hole(&x->out, &inner, &scope);
    gql_output_rewind(&x->out, inner.start, drop, x);
    assert_int_equal(x->dropped, 2);
    put(x, "null]");
    outer.scope->end = x->out.root.end = x->out.buf.len;
    fill(x, a, "a");
    check_whole(x, "[a,null]");
    x->out.root.end = 0;
    gql_output_rewind(&x->out, 0, drop, x);
    assert_int_equal(x->dropped, 3);
    assert_null(x->out.root.first);
    put(x, "{}");
    check_whole(x, "{}");
}

/* Rewinding in a hole's content leaves what was there before it. */
static void test_rewind_in_a_hole(void **state)
{
    fixture *x = *state;
    gql_frame outer = {0};
    gql_scope *scope, *below;
    put(x, "[");
    gql_hole *a = gql_output_hole(&x->out, &outer, &scope);
    put(x, "]");
    outer.scope->end = x->out.root.end = x->out.buf.len;
    gql_output_fill_begin(&x->out, a);
    gql_frame inner = {.parent = &(gql_frame){.scope = scope}, .start = x->out.buf.len};
    put(x, "(");
    gql_output_hole(&x->out, &inner, &below);
    gql_output_rewind(&x->out, inner.start, drop, x);
    put(x, "null");
    gql_output_fill_end(&x->out);
    assert_int_equal(x->dropped, 1);
    check_whole(x, "[null]");
}

static void test_no_memory(void **state)
{
    fixture *x = *state;
    gql_frame outer = {0}, inner = {.parent = &outer};
    gql_scope *scope;
    x->arena.limit = 1;
    assert_null(gql_output_hole(&x->out, &inner, &scope));
    assert_true(x->out.failed);
    gql_output_assemble(&x->out, &x->whole);
    assert_true(x->whole.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holes_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holes_in_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scopes_are_made_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewind_in_a_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
