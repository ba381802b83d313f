/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base64.h"
#include "events/registry/names.h"
#include "support/failing.h"

static const char schema[] =
    "// message Nothing {\n"
    "syntax = \"proto2\"; /* package wrong; { */ import \"a.proto\";\n"
    "option (own) = { text: \"} message { \\\" \" inner { a: 1 } };\n"
    "package pay.v1;\n"
    "enum Kind { option allow_alias = true; A = 0 [(x) = { message: 1 }]; }\n"
    "message First { }\n"
    "service S { rpc Get(First) returns (First) { option (m) = { get: \"/x\" }; } }\n"
    "message Second {\n"
    "  reserved 1 to 3;\n"
    "  map<string, First> by_name = 4;\n"                                        /* 0 */
    "  message Inner { message Deep { } }\n"                                     /* 1 */
    "  oneof one { string a = 5; group Chosen = 6 { optional int32 x = 1; } }\n" /* 2 */
    "  optional group Maybe = 7 [(own) = { a: 1 }] { message InGroup {} }\n"     /* 3 */
    "  repeated First message_list = 8 [deprecated = true];\n"
    "  enum E { Z = 0; }\n"
    "  extend First { optional int32 ext = 100; }\n"
    "  message Last { }\n" /* 4 */
    "}\n"
    "extend First { repeated group Added = 9 { } }\n" /* 2 */
    "message Third { }\n";                            /* 3 */

static pl_schema_path path_of(size_t count, uint32_t a, uint32_t b, uint32_t c)
{
    return (pl_schema_path){{a, b, c}, count};
}

static void expect(const char *text, pl_schema_path path, const char *name)
{
    pl_buf out;
    pl_error err = {0};
    pl_buf_init(&out);
    pl_buf_char(&out, '=');
    pl_code code = pl_schema_message_name(pl_str_of(text), &path, &out, &err);
    assert_int_equal(code, name ? PL_OK : PL_INVALID_ARGUMENT);
    assert_true(pl_str_starts(pl_buf_view(&out), PL_STR("=")));
    pl_str made = {out.data + 1, out.len - 1};
    if (!pl_str_eq(made, pl_str_of(name ? name : "")))
        fail_msg("%.*s, not %s", PL_STR_ARG(made), name);
    assert_true((err.message[0] != '\0') == !name);
    pl_buf_dispose(&out);
}

static void test_the_outline_of_a_text(void **state)
{
    expect(schema, path_of(1, 0, 0, 0), "pay.v1.First");
    expect(schema, path_of(1, 1, 0, 0), "pay.v1.Second");
    expect(schema, path_of(2, 1, 1, 0), "pay.v1.Second.Inner");
    expect(schema, path_of(3, 1, 1, 0), "pay.v1.Second.Inner.Deep");
    expect(schema, path_of(2, 1, 2, 0), "pay.v1.Second.Chosen");
    expect(schema, path_of(2, 1, 3, 0), "pay.v1.Second.Maybe");
    expect(schema, path_of(3, 1, 3, 0), "pay.v1.Second.Maybe.InGroup");
    expect(schema, path_of(2, 1, 4, 0), "pay.v1.Second.Last");
    expect(schema, path_of(1, 2, 0, 0), "pay.v1.Added");
    expect(schema, path_of(1, 3, 0, 0), "pay.v1.Third");
    expect(schema, path_of(2, 1, 0, 0), NULL); /* the entries of a map */
    expect(schema, path_of(1, 4, 0, 0), NULL);
    expect(schema, path_of(2, 0, 0, 0), NULL);
    expect("message A {}", path_of(1, 0, 0, 0), "A");
    expect("message A {} package late;", path_of(1, 0, 0, 0), "late.A");
}

static void test_what_is_no_text_of_a_proto_file(void **state)
{
    const char *const wrong[] = {
        "",           "message A {",        "}",
        "/* message", "message A {} \"abc", "message A { } option o = 'a\n'; message B {}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(wrong[i], path_of(1, 0, 0, 0), NULL);
    char *deep = malloc(100001);
    assert_non_null(deep);
    memset(deep, '{', 100000);
    deep[100000] = '\0';
    expect(deep, path_of(1, 0, 0, 0), NULL);
    free(deep);
}

/* package "p"; message A {}; message B { message C {}; message D {} } */
static const char descriptor[] = "\x0a\7x.proto\x12\1p\x22\3\x0a\1A\x22\x0d\x0a\1B\x1a\3\x0a\1C\x1a\3\x0a\1D";

static void test_descriptors(void **state)
{
    const pl_str bytes = {descriptor, sizeof descriptor - 1};
    pl_schema_path path;
    pl_buf text;
    pl_buf_init(&text);
    pl_base64_write(&text, bytes);
    pl_buf_char(&text, '\0');
    expect(text.data, path_of(1, 0, 0, 0), "p.A");
    expect(text.data, path_of(2, 1, 1, 0), "p.B.D");
    expect(text.data, path_of(2, 1, 2, 0), NULL);
    pl_buf_dispose(&text);
    assert_true(pl_schema_message_path(bytes, PL_STR("p.B.D"), &path));
    assert_int_equal(path.count, 2);
    assert_int_equal(path.at[0], 1);
    assert_int_equal(path.at[1], 1);
    assert_true(pl_schema_message_path(bytes, PL_STR("p.A"), &path));
    assert_int_equal(path.count, 1);
    assert_false(pl_schema_message_path(bytes, PL_STR("p"), &path));
    assert_false(pl_schema_message_path(bytes, PL_STR("A"), &path));
    assert_false(pl_schema_message_path(bytes, PL_STR("p.B.E"), &path));
    assert_false(pl_schema_message_path(bytes, PL_STR("p.B."), &path));
}

static void test_without_memory(void **state)
{
    failing a = {.sticky = true};
    pl_schema_path path = path_of(3, 1, 1, 0);
    while (failing_next(&a)) {
        pl_buf out;
        pl_error err = {0};
        pl_buf_init(&out);
        failing_begin(&a);
        pl_code code = pl_schema_message_name(pl_str_of(schema), &path, &out, &err);
        if (failing_end(&a))
            assert_true(code == PL_RESOURCE_EXHAUSTED || code == PL_OK);
        else
            assert_int_equal(code, PL_OK);
        pl_buf_dispose(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_outline_of_a_text),
        cmocka_unit_test(test_what_is_no_text_of_a_proto_file),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
