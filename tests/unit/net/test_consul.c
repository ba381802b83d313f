/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "net/consul.h"
#include "support/failing.h"

/* "10.0.0.1:1 10.0.0.2:2/5", or the error. */
static const char *read_answer(const char *body, bool warnings)
{
    static char line[1000];
    pl_arena arena;
    const pl_resolved *list;
    size_t count, names, len = 0;
    pl_error err;
    pl_arena_init(&arena, 0);
    line[0] = '\0';
    if (pl_consul_read(pl_str_of(body), warnings, &arena, &list, &count, &names, &err) != PL_OK) {
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
        snprintf(line, sizeof(line), "%s", err.message);
    } else {
        for (size_t i = 0; i < count; i++)
            len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%.*s/%u", i > 0 ? " " : "",
                                    PL_STR_ARG(list[i].address), list[i].weight);
        if (names > 0)
            snprintf(line + len, sizeof(line) - len, " names=%zu", names);
    }
    pl_arena_dispose(&arena);
    return line;
}

#define NODE "\"Node\":{\"Address\":\"10.0.0.9\",\"TaggedAddresses\":{\"lan\":\"1.1.1.1\"}}"
#define CHECKS(status) "\"Checks\":[{\"Status\":\"passing\"},{\"Status\":\"" status "\"}]"

static void addresses(void **state)
{
    assert_string_equal(read_answer("[]", false), "");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Address\":\"\",\"Port\":5}}]", false),
                        "10.0.0.9:5/1");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Port\":5}}]", false), "10.0.0.9:5/1");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":5,"
                                    "\"TaggedAddresses\":{\"lan\":{\"Address\":\"1.1.1.1\",\"Port\":1}}}}]",
                                    false),
                        "10.0.0.1:5/1");
    assert_string_equal(
        read_answer("[{" NODE ",\"Service\":{\"Address\":\"2001:db8::1\",\"Port\":5}}]", false),
        "[2001:db8::1]:5/1");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Address\":\"db.internal\",\"Port\":5}},{" NODE
                                    ",\"Service\":{\"Port\":6}}]",
                                    false),
                        "10.0.0.9:6/1 names=1");
    /* One address of two instances is one; an instance without a port is none. */
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Port\":5}},{" NODE
                                    ",\"Service\":{\"Port\":5}},{" NODE ",\"Service\":{\"Port\":0}}]",
                                    false),
                        "10.0.0.9:5/1");
}

static void health_and_weights(void **state)
{
    static const char warning[] =
        "[{" NODE
        ",\"Service\":{\"Port\":5,\"Weights\":{\"Passing\":9,\"Warning\":2}}," CHECKS("warning") "}]";
    assert_string_equal(read_answer(warning, false), "");
    assert_string_equal(read_answer(warning, true), "10.0.0.9:5/2");
    assert_string_equal(
        read_answer("[{" NODE ",\"Service\":{\"Port\":5,\"Weights\":{\"Passing\":9,\"Warning\":2}}," CHECKS(
                        "passing") "}]",
                    true),
        "10.0.0.9:5/9");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Port\":5}," CHECKS("critical") "}]", true),
                        "");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Port\":5}," CHECKS("maintenance") "}]", true),
                        "");
    assert_string_equal(
        read_answer("[{" NODE ",\"Service\":{\"Port\":5,\"Weights\":{\"Passing\":0}}}]", true), "");
    assert_string_equal(
        read_answer("[{" NODE ",\"Service\":{\"Port\":5,\"Weights\":{\"Passing\":99999999}}}]", true),
        "10.0.0.9:5/65535");
}

static void what_is_no_answer(void **state)
{
    assert_string_equal(read_answer("{}", false), "Consul's answer is a map, not a list");
    assert_string_equal(read_answer("[5]", false), "instance 0 of Consul's answer has no Service");
    assert_string_equal(read_answer("[{\"Service\":{\"Port\":5}}]", false),
                        "instance 0 of Consul's answer has no address, and neither has its node");
    assert_string_equal(
        read_answer("[{" NODE ",\"Service\":{\"Port\":1}},{" NODE ",\"Service\":{\"Port\":70000}}]", false),
        "instance 1 of Consul's answer has no port");
    assert_string_equal(read_answer("[{" NODE ",\"Service\":{\"Port\":\"5\"}}]", false),
                        "instance 0 of Consul's answer has no port");
}

static void indexes(void **state)
{
    uint64_t next = 99;
    assert_true(pl_consul_next_index("7", 0, &next));
    assert_int_equal(next, 7);
    assert_true(pl_consul_next_index("7", 7, &next));
    assert_int_equal(next, 7);
    assert_true(pl_consul_next_index("6", 7, &next)); /* backwards */
    assert_int_equal(next, 0);
    assert_true(pl_consul_next_index("0", 0, &next)); /* would not wait */
    assert_int_equal(next, 1);
    assert_true(pl_consul_next_index("18446744073709551615", 7, &next));
    assert_true(next == UINT64_MAX);
    assert_false(pl_consul_next_index(NULL, 0, &next));
    assert_false(pl_consul_next_index("", 0, &next));
    assert_false(pl_consul_next_index("-1", 0, &next));
    assert_false(pl_consul_next_index("7a", 0, &next));
    assert_false(pl_consul_next_index("18446744073709551616", 0, &next));
}

static void without_memory(void **state)
{
    static const char body[] = "[{" NODE ",\"Service\":{\"Port\":5}},{" NODE ",\"Service\":{\"Port\":6}}]";
    failing a = {0};
    while (failing_next(&a)) {
        pl_arena arena;
        const pl_resolved *list;
        size_t count, names;
        pl_error err;
        pl_arena_init(&arena, 16);
        failing_begin(&a);
        pl_code code = pl_consul_read(pl_str_of(body), false, &arena, &list, &count, &names, &err);
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        pl_arena_dispose(&arena);
    }
    assert_true(a.made > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),         cmocka_unit_test(health_and_weights),
        cmocka_unit_test(what_is_no_answer), cmocka_unit_test(indexes),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
