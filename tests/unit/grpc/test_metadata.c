/* SPDX-License-Identifier: MIT */
#include "grpc/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing.h"

static void test_names(void **state)
{
    assert_true(pl_grpc_is_binary(PL_STR("x-bin")));
    assert_false(pl_grpc_is_binary(PL_STR("-bin")));
    assert_false(pl_grpc_is_binary(PL_STR("x-bin-")));
    assert_false(pl_grpc_is_binary(PL_STR("bin")));
    static const char *const reserved[] = {"",
                                           ":path",
                                           "te",
                                           "content-type",
                                           "grpc-status",
                                           "grpc-",
                                           "connection",
                                           "host",
                                           "content-length",
                                           "content-encoding",
                                           "accept-encoding",
                                           "keep-alive",
                                           "proxy-connection",
                                           "transfer-encoding",
                                           "upgrade",
                                           "connect-content-encoding",
                                           "connect-accept-encoding"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        assert_true(pl_grpc_is_reserved(pl_str_of(reserved[i])));
    assert_false(pl_grpc_is_reserved(PL_STR("x-te")));
    assert_false(pl_grpc_is_reserved(PL_STR("user-agent")));
    assert_false(pl_grpc_is_reserved(PL_STR("grpc")));
    assert_false(pl_grpc_is_reserved(PL_STR("content-typo"))); /* as long as one */
}

static pl_code put(pl_grpc_metadata *list, pl_arena *arena, const char *name, pl_str value)
{
    pl_error err = {0};
    return pl_grpc_metadata_put(list, arena, pl_str_of(name), value, &err);
}

static void test_put(void **state)
{
    pl_arena arena;
    pl_grpc_metadata list = {0};
    pl_arena_init(&arena, 0);
    assert_int_equal(put(&list, &arena, "X-Mixed_Case.1", PL_STR("  value ~ ")), PL_OK);
    assert_true(pl_str_is(list.items[0].name, "x-mixed_case.1"));
    assert_true(pl_str_is(list.items[0].value, "value ~"));
    assert_int_equal(put(&list, &arena, "k-bin", PL_STR("\0\xff\n")), PL_OK);
    assert_true(pl_str_is(list.items[1].value, "AP8K"));
    assert_int_equal(put(&list, &arena, "k-bin", PL_STR("a")), PL_OK);
    assert_true(pl_str_is(list.items[2].value, "YQ")); /* unpadded */
    assert_int_equal(put(&list, &arena, "empty", PL_STR("")), PL_OK);
    assert_int_equal(put(&list, &arena, "no space", PL_STR("a")), PL_INVALID_ARGUMENT);
    assert_int_equal(put(&list, &arena, "", PL_STR("a")), PL_INVALID_ARGUMENT);
    assert_int_equal(put(&list, &arena, "Grpc-Status", PL_STR("0")), PL_INVALID_ARGUMENT);
    assert_int_equal(put(&list, &arena, ":status", PL_STR("0")), PL_INVALID_ARGUMENT);
    assert_int_equal(put(&list, &arena, "x", PL_STR("a\nb")), PL_INVALID_ARGUMENT);
    assert_int_equal(put(&list, &arena, "x", PL_STR("\xc3\xbc")), PL_INVALID_ARGUMENT);
    assert_int_equal(list.count, 4);
    for (int i = 0; i < 100; i++)
        assert_int_equal(put(&list, &arena, "many", PL_STR("v")), PL_OK);
    assert_true(pl_str_is(list.items[103].name, "many"));
    assert_true(pl_str_is(list.items[0].value, "value ~"));
    pl_arena_dispose(&arena);
}

static void test_put_without_memory(void **state)
{
    failing a = {0};
    char bytes[6000] = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        pl_grpc_metadata list = {0};
        pl_arena_init(&arena, 64);
        failing_begin(&a);
        pl_code code = put(&list, &arena, "k-bin", (pl_str){bytes, sizeof bytes});
        if (failing_end(&a))
            assert_int_equal(code, PL_RESOURCE_EXHAUSTED);
        else
            assert_int_equal(code, PL_OK);
        pl_arena_dispose(&arena);
    }
    assert_true(a.made >= 2);
}

static void splits(const char *name, const char *text, const char *expected)
{
    pl_str rest = pl_str_of(text), value;
    pl_buf out;
    pl_buf_init(&out);
    while (pl_grpc_metadata_split(pl_str_of(name), &rest, &value))
        pl_buf_printf(&out, "[%.*s]", PL_STR_ARG(value));
    pl_buf_char(&out, '\0');
    assert_string_equal(out.data, expected);
    pl_buf_dispose(&out);
}

static void test_split(void **state)
{
    splits("x", "a, b", "[a, b]");
    splits("x-bin", "YQ, Yg==,", "[YQ][Yg==][]");
    splits("x-bin", "YQ", "[YQ]");
    splits("x-bin", "", "[]");
    splits("x", "", "[]");
}

static void decodes(const char *text, pl_str expected, bool ok)
{
    pl_buf out;
    pl_buf_init(&out);
    assert_int_equal(pl_grpc_metadata_decode(pl_str_of(text), &out), ok);
    assert_int_equal(out.len, ok ? expected.len : 0);
    if (ok && expected.len > 0)
        assert_memory_equal(out.data, expected.ptr, expected.len);
    pl_buf_dispose(&out);
}

static void test_decode(void **state)
{
    decodes("", PL_STR(""), true);
    decodes("AP8K", PL_STR("\0\xff\n"), true);
    decodes("YQ", PL_STR("a"), true);
    decodes("YQ==", PL_STR("a"), true);
    decodes("YWI", PL_STR("ab"), true);
    decodes("YWI=", PL_STR("ab"), true);
    decodes("Y", PL_STR_NONE, false);
    decodes("YQ=", PL_STR_NONE, false);
    decodes("Y?==", PL_STR_NONE, false);
    decodes("====", PL_STR_NONE, false);
    decodes("YQ==YQ==", PL_STR_NONE, false);
}

static void percent(pl_str text, const char *encoded)
{
    pl_buf out, back;
    pl_buf_init(&out);
    pl_buf_init(&back);
    pl_grpc_percent_write(&out, text);
    assert_int_equal(out.len, strlen(encoded));
    assert_memory_equal(out.data, encoded, out.len);
    pl_grpc_percent_read(&back, pl_buf_view(&out));
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.data, text.ptr, text.len);
    pl_buf_dispose(&out);
    pl_buf_dispose(&back);
}

static void test_percent(void **state)
{
    percent(PL_STR("plain ~ text"), "plain ~ text");
    percent(PL_STR("100%"), "100%25");
    percent(PL_STR("\t\xc3\xbc\x7f\n"), "%09%C3%BC%7F%0A");
    percent(PL_STR("\r\nPathological\t\xe2\x98\xba"), "%0D%0APathological%09%E2%98%BA");
}

static void test_copy(void **state)
{
    char name[] = "x-name", value[] = "some value";
    failing a = {0};
    while (failing_next(&a)) {
        pl_grpc_metadata list = {0};
        pl_arena arena;
        pl_arena_init(&arena, 64);
        failing_begin(&a);
        bool ok = true;
        for (size_t i = 0; i < 20 && ok; i++) /* more than it has room for at first */
            ok = pl_grpc_metadata_copy(&list, &arena, (pl_str){name, 6}, (pl_str){value, i % 2 ? 10 : 0});
        assert_int_equal(ok, !failing_end(&a));
        assert_true(!ok || list.count == 20);
        for (size_t i = 0; i < list.count; i++) {
            assert_string_equal(list.items[i].name.ptr, name);
            assert_ptr_not_equal(list.items[i].name.ptr, name);
            assert_string_equal(list.items[i].value.ptr, i % 2 ? value : "");
            assert_int_equal(list.items[i].value.len, i % 2 ? 10 : 0);
        }
        pl_arena_dispose(&arena);
    }
}

static void test_percent_is_lenient(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_grpc_percent_read(&out, PL_STR("%zz%4%41%e2%"));
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, "%zz%4A\xe2%", 8);
    pl_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_put),
                                       cmocka_unit_test(test_put_without_memory),
                                       cmocka_unit_test(test_copy),
                                       cmocka_unit_test(test_split),
                                       cmocka_unit_test(test_decode),
                                       cmocka_unit_test(test_percent),
                                       cmocka_unit_test(test_percent_is_lenient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
