/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/natives_harness.h"

/* --- arguments --- */
static pl_native_status echo_json(pl_native_call *call, void *data)
{
    size_t length;
    const char *json = pl_native_json(call, pl_native_argument(call, 1), &length);
    assert_non_null(json);
    assert_int_equal(strlen(json), length);
    pl_native_put_string(call, json, length);
    return PL_NATIVE_DONE;
}

static void test_arguments_as_json(void **state)
{
    assert_string_equal(ask("echo", "{ echo }", echo_json, NULL), "{\"data\":{\"echo\":\"{}\"}}");
    assert_string_equal(ask("echo", "{ echo(s: \\\"x\\\") }", echo_json, NULL),
                        "{\"data\":{\"echo\":\"{\\\"s\\\":\\\"x\\\"}\"}}");
    /* What was given as null is seen. */
    assert_string_equal(
        ask("echo", "{ echo(in: { in: { list: [1, null, 2], s: null } }) }", echo_json, NULL),
        "{\"data\":{\"echo\":\"{\\\"in\\\":{\\\"in\\\":{\\\"list\\\":[1,null,2],\\\"s\\\":null}}}\"}}");
    assert_string_equal(ask("echo", "{ echo(s: null) }", echo_json, NULL),
                        "{\"data\":{\"echo\":\"{\\\"s\\\":null}\"}}");
}

static pl_native_status read_all(pl_native_call *call, void *data)
{
    size_t length = 99;
    assert_int_equal(pl_native_argument_count(call), 4);
    assert_int_equal(pl_native_kind_of(call, pl_native_argument(call, 0)), PL_NATIVE_ABSENT); /* no parent */
    assert_int_equal(pl_native_argument(call, 4), 0);
    pl_native_slot args = pl_native_argument(call, 1);
    assert_int_equal(pl_native_kind_of(call, args), PL_NATIVE_MAP);
    pl_native_slot s = pl_native_field(call, args, "s"), n = pl_native_field(call, args, "n");
    pl_native_slot f = pl_native_field(call, args, "f"), b = pl_native_field(call, args, "b");
    assert_int_equal(pl_native_kind_of(call, s), PL_NATIVE_STRING);
    assert_string_equal(pl_native_string(call, s, &length), "text");
    assert_int_equal(length, 4);
    assert_int_equal(pl_native_kind_of(call, n), PL_NATIVE_INT);
    assert_int_equal(pl_native_int(call, n), -7);
    assert_true(pl_native_float(call, n) == -7.0);
    assert_int_equal(pl_native_kind_of(call, f), PL_NATIVE_FLOAT);
    assert_true(pl_native_float(call, f) == 2.5);
    assert_int_equal(pl_native_int(call, f), 0); /* it has a fraction */
    assert_int_equal(pl_native_kind_of(call, b), PL_NATIVE_BOOL);
    assert_true(pl_native_bool(call, b));

    /* of another kind */
    assert_int_equal(pl_native_int(call, s), 0);
    assert_true(pl_native_float(call, s) == 0);
    assert_false(pl_native_bool(call, s));
    assert_string_equal(pl_native_string(call, n, &length), "");
    assert_int_equal(length, 0);
    assert_int_equal(pl_native_length(call, args), 0);
    assert_int_equal(pl_native_field(call, n, "x"), 0);
    assert_int_equal(pl_native_field(call, args, "nope"), 0);
    assert_int_equal(pl_native_element(call, args, 0), 0);

    /* lists, and slots that are given back */
    pl_native_slot list = pl_native_field(call, args, "list");
    assert_int_equal(pl_native_kind_of(call, list), PL_NATIVE_LIST);
    assert_int_equal(pl_native_length(call, list), 3);
    int64_t sum = 0;
    for (int round = 0; round < 100000; round++) {
        pl_native_slot at = pl_native_element(call, list, (size_t)round % 3);
        assert_true(at > list);
        sum += pl_native_int(call, at);
        pl_native_release(call, at);
    }
    assert_int_equal(sum, 33333 * 60 + 10);
    assert_int_equal(pl_native_element(call, list, 3), 0);
    pl_native_release(call, 0);
    pl_native_release(call, pl_native_argument(call, 1)); /* an argument: stays */
    assert_int_equal(pl_native_kind_of(call, args), PL_NATIVE_MAP);

    /* slots that are none */
    assert_int_equal(pl_native_kind_of(call, 0), PL_NATIVE_ABSENT);
    assert_int_equal(pl_native_kind_of(call, -1), PL_NATIVE_ABSENT);
    assert_int_equal(pl_native_kind_of(call, -1000000), PL_NATIVE_ABSENT);
    assert_int_equal(pl_native_kind_of(call, 1000000), PL_NATIVE_ABSENT);
    assert_string_equal(pl_native_string(call, 1000000, NULL), "");
    assert_null(pl_native_json(call, 1000000, &length));
    assert_int_equal(pl_native_field(call, -3, "x"), 0);

    /* what is null, inside of a map, and beside it */
    pl_native_slot in = pl_native_field(call, args, "in");
    assert_int_equal(pl_native_kind_of(call, pl_native_field(call, in, "s")), PL_NATIVE_NULL);
    assert_int_equal(pl_native_field(call, in, "n"), 0);

    pl_native_slot info = pl_native_argument(call, 3);
    assert_string_equal(pl_native_string(call, pl_native_field(call, info, "field_name"), NULL), "echo");
    assert_true(strncmp(pl_native_request_id(call), "local-", 6) == 0);
    assert_string_equal(pl_native_header(call, "x-two"), "b");
    assert_null(pl_native_header(call, "x-three"));
    assert_int_equal(pl_native_time_left_ms(call), -1);
    *(bool *)data = true;
    return PL_NATIVE_DONE;
}

static void test_arguments(void **state)
{
    bool called = false;
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "echo", read_all, &called), PL_OK);
    pl_local *local = open_ok(natives);
    assert_string_equal(
        local_execute(local,
                      "{\"headers\":{\"X-One\":\"a\",\"X-Two\":\"b\"},\"query\":\"{ echo(s: \\\"text\\\", "
                      "n: -7, f: 2.5, b: true, list: [10, 20, 30], in: { s: null }) }\"}"),
        "{\"data\":{\"echo\":\"nil\"}}");
    assert_true(called);
    pl_local_close(local);
    pl_natives_free(natives);
}

/* info is made when it is asked for, and stays until it is given back. */
static pl_native_status read_info(pl_native_call *call, void *data)
{
    assert_int_equal(pl_native_argument_count(call), 4);
    pl_native_slot info = pl_native_argument(call, 3);
    assert_int_equal(pl_native_argument(call, 3), info);
    pl_native_slot name = pl_native_field(call, info, "field_name");
    assert_string_equal(pl_native_string(call, name, NULL), "number");
    pl_native_release(call, info);
    info = pl_native_argument(call, 3);
    pl_native_slot path = pl_native_field(call, info, "path");
    assert_string_equal(pl_native_string(call, pl_native_element(call, path, 0), NULL), "a");
    assert_int_equal(pl_native_kind_of(call, pl_native_argument(call, 1)), PL_NATIVE_MAP);
    assert_int_equal(pl_native_argument(call, 4), 0);
    pl_native_put_int(call, (int64_t)pl_native_length(call, path));
    return PL_NATIVE_DONE;
}

static void test_info(void **state)
{
    assert_string_equal(ask("number", "{ a: number }", read_info, NULL), "{\"data\":{\"a\":1}}");
}

/* --- results --- */
static pl_native_status put_null(pl_native_call *call, void *data)
{
    pl_native_put_null(call);
    return PL_NATIVE_DONE;
}

static void test_results(void **state)
{
    int number = 41;
    assert_string_equal(ask("shown", "{ shown }", put_all, NULL),
                        "{\"data\":{\"shown\":\"{bool=true,bytes=a\\u0000b,float=float 0.5,int=integer "
                        "-9223372036854775808,json={a={1=integer 1,2={}}},list={1=integer 0,10=integer "
                        "9,11=integer 10,12={},2=integer 1,3=integer 2,4=integer 3,5=integer 4,6=integer "
                        "5,7=integer 6,8=integer 7,9=integer 8},none=,null=null,text=t}\"}}");
    assert_has(ask("value", "{ value }", put_all, NULL), "\"json\":{\"a\":[1,{}]}");
    assert_string_equal(ask("shown", "{ shown }", put_nothing, NULL), "{\"data\":{\"shown\":\"nil\"}}");
    assert_string_equal(ask("shown", "{ shown }", put_null, NULL), "{\"data\":{\"shown\":\"null\"}}");
    assert_string_equal(ask("value", "{ value }", put_nothing, NULL), "{\"data\":{\"value\":null}}");
    assert_string_equal(ask("value", "{ value }", put_null, NULL), "{\"data\":{\"value\":null}}");
    assert_string_equal(ask("number", "{ number lua }", put_number, &number),
                        "{\"data\":{\"number\":41,\"lua\":\"Lua\"}}");
}

/* A parent that is read by default natives_resolvers, and by one of the host program. */
static pl_native_status user(pl_native_call *call, void *data)
{
    pl_native_slot id = pl_native_field(call, pl_native_argument(call, 1), "id");
    pl_native_begin_map(call);
    pl_native_key(call, "id");
    pl_native_put_text(call, pl_native_string(call, id, NULL));
    pl_native_key(call, "name");
    pl_native_put_text(call, "Ada");
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static pl_native_status friends(pl_native_call *call, void *data)
{
    const char *id = pl_native_string(call, pl_native_field(call, pl_native_argument(call, 0), "id"), NULL);
    pl_native_begin_list(call);
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.%d", id, i);
        pl_native_begin_map(call);
        pl_native_key(call, "id");
        pl_native_put_text(call, name);
        pl_native_end(call);
    }
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static void test_objects(void **state)
{
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "user", user, NULL), PL_OK);
    assert_int_equal(pl_natives_add_resolver(natives, "User", "friends", friends, NULL), PL_OK);
    pl_local *local = open_ok(natives);
    assert_string_equal(local_ask(local, "{ user(id: \\\"1\\\") { id name friends { id friends { id } } } }"),
                        "{\"data\":{\"user\":{\"id\":\"1\",\"name\":\"Ada\",\"friends\":[{\"id\":\"1.0\","
                        "\"friends\":[{\"id\":\"1.0.0\"},{\"id\":\"1.0.1\"}]},{\"id\":\"1.1\",\"friends\":[{"
                        "\"id\":\"1.1.0\"},{\"id\":\"1.1.1\"}]}]}}}");
    pl_local_close(local);
    pl_natives_free(natives);
}

/* --- scalars --- */
static pl_native_status shout(pl_native_call *call, void *data)
{
    char text[64];
    assert_int_equal(pl_native_argument_count(call), 1);
    const char *s = pl_native_string(call, pl_native_argument(call, 0), NULL);
    if (!s[0])
        return pl_native_fail(call, PL_INVALID_ARGUMENT, "there is nothing to shout");
    snprintf(text, sizeof text, "%s%s", s, (const char *)data);
    pl_native_put_text(call, text);
    return PL_NATIVE_DONE;
}

static pl_native_status put_any(pl_native_call *call, void *data)
{
    pl_native_slot any = pl_native_field(call, pl_native_argument(call, 1), "any");
    pl_native_put_text(call, pl_native_string(call, any, NULL));
    return PL_NATIVE_DONE;
}

static void test_scalars(void **state)
{
    char mark[] = "!";
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_scalar(natives, "Any", shout, shout, mark), PL_OK);
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "value", user, NULL), PL_OK);
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "echo", put_any, NULL), PL_OK);
    pl_local *local = open_ok(natives);
    assert_string_equal(local_ask(local, "{ echo(any: \\\"x\\\") }"), "{\"data\":{\"echo\":\"x!\"}}");
    assert_string_equal(local_execute(local, "{\"query\":\"query($a: Any) { echo(any: $a) }\","
                                             "\"variables\":{\"a\":\"y\"}}"),
                        "{\"data\":{\"echo\":\"y!\"}}");
    assert_has(local_ask(local, "{ echo(any: \\\"\\\") }"), "there is nothing to shout");
    assert_has(local_ask(local, "{ value }"), "there is nothing to shout"); /* a map is no text */
    pl_local_close(local);
    pl_natives_free(natives);
}

/* --- failures --- */
static pl_native_status fail_found(pl_native_call *call, void *data)
{
    pl_native_put_int(call, 1); /* does not count */
    return pl_native_fail(call, PL_NOT_FOUND, "no such thing");
}

static pl_native_status fail_oddly(pl_native_call *call, void *data)
{
    return pl_native_fail(call, (pl_code)99, NULL);
}

static void test_failures(void **state)
{
    const char *text = ask("number", "{ number }", fail_found, NULL);
    assert_has(text, "\"message\":\"no such thing\"");
    assert_has(text, "\"extensions\":{\"code\":\"NOT_FOUND\"}");
    assert_has(text, "\"data\":{\"number\":null}");
    text = ask("number", "{ number }", fail_violations, NULL);
    assert_has(text, "\"code\":\"INVALID_ARGUMENT\"");
    assert_has(text, "must contain @");
    assert_has(text, "must be a number");
    assert_has(ask("number", "{ number }", fail_oddly, NULL), "\"code\":\"UNKNOWN\"");
    text = ask("number", "{ number }", fail_unexpected, NULL);
    assert_has(text, "\"message\":\"Internal server error\"");
    assert_null(strstr(text, "secret"));
    /* as a script sees them */
    assert_has(ask("later", "{ later }", fail_violations, NULL),
               "\"raised INVALID_ARGUMENT not valid {age=must be a number,email=must contain @}\"");
    assert_has(ask("later", "{ later }", fail_unexpected, NULL), "\"fault table secret\"");
}

static void on_log(void *data, pl_level level, pl_str line)
{
    pl_buf_str(data, line);
    pl_buf_char(data, '\n');
}

static void test_unexpected_failures_are_logged(void **state)
{
    pl_buf lines;
    pl_report report;
    pl_error err = {0};
    pl_buf_init(&lines);
    pl_report_init(&report);
    pl_logger *log = pl_logger_new_sink(on_log, &lines, PL_LOG_JSON, PL_DEBUG);
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "number", fail_unexpected, NULL), PL_OK);
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives, .log = log};
    pl_bundle *bundle =
        MEMORY_BUNDLE("schema/s.graphql", natives_schema, "resolvers/r.lua", natives_resolvers);
    pl_local *local = pl_local_open(bundle, &options, &report, &err);
    pl_bundle_unref(bundle);
    assert_non_null(local);
    local_ask(local, "{ number }");
    pl_buf_char(&lines, '\0');
    assert_has(lines.data, "secret");
    assert_has(lines.data, "at line 7");
    pl_local_close(local);
    pl_logger_free(log);
    pl_natives_free(natives);
    pl_buf_dispose(&lines);
    pl_report_dispose(&report);
}

/* --- mistakes of the host program --- */
static pl_native_status mistake(pl_native_call *call, void *data)
{
    switch (*(int *)data) {
    case 0:
        pl_native_end(call);
        break;
    case 1:
        pl_native_put_int(call, 1);
        pl_native_put_int(call, 2);
        break;
    case 2:
        pl_native_key(call, "x");
        break;
    case 3:
        pl_native_begin_list(call);
        pl_native_key(call, "x");
        pl_native_end(call);
        break;
    case 4:
        pl_native_begin_map(call);
        pl_native_put_int(call, 1);
        pl_native_end(call);
        break;
    case 5:
        pl_native_begin_map(call);
        pl_native_key(call, "x");
        pl_native_end(call);
        break;
    case 6:
        pl_native_begin_map(call);
        break;
    case 7:
        return PL_NATIVE_FAILED;
    case 8:
        pl_native_put_json(call, "{", 1);
        break;
    case 9:
        pl_native_put_text(call, NULL);
        break;
    case 10:
        for (int i = 0; i < 1000; i++)
            pl_native_begin_list(call);
        for (int i = 0; i < 1000; i++)
            pl_native_end(call);
        break;
    case 11:
        pl_native_begin_map(call);
        pl_native_key(call, "x");
        pl_native_key(call, "y");
        pl_native_put_int(call, 1);
        pl_native_end(call);
        break;
    case 12:
        return (pl_native_status)77;
    case 13:
        pl_native_begin_map(call);
        pl_native_key(call, NULL);
        pl_native_put_int(call, 1);
        pl_native_end(call);
        break;
    case 14:
        pl_native_begin_list(call);
        pl_native_end(call);
        pl_native_begin_list(call);
        pl_native_end(call);
        break;
    }
    return PL_NATIVE_DONE;
}

static void test_mistakes(void **state)
{
    static const char *const texts[] = {"no list or map was begun",
                                        "two results",
                                        "key was given outside of a map",
                                        "key was given outside of a map",
                                        "without a key",
                                        "key without a value",
                                        "not ended",
                                        "pl_native_fail was not called",
                                        "is no JSON: ",
                                        "string that is NULL",
                                        "deeper than 64",
                                        "two keys",
                                        "no pl_native_status",
                                        "key that is NULL",
                                        "two results"};
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
        const char *text = ask("later", "{ later }", mistake, &i);
        assert_has(text, "fault table the host program's function for Query.later: ");
        assert_has(text, texts[i]);
        assert_has(ask("number", "{ number }", mistake, &i), "Internal server error");
    }
}

/* --- what cannot be bound --- */
static void refused(pl_natives *natives, const char *files, const char *text)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = open_with(natives, files, &report);
    assert_null(local);
    assert_has(report_text(&report), text);
    pl_report_dispose(&report);
    pl_natives_free(natives);
}

static pl_natives *one(const char *type, const char *field)
{
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, type, field, put_nothing, NULL), PL_OK);
    return natives;
}

static void test_what_cannot_be_bound(void **state)
{
    refused(one("Query", "lua"), natives_resolvers,
            "resolvers/r.lua:11: Query.lua is defined twice: here and in the host program.");
    refused(one("Query", "nope"), natives_resolvers,
            "the host program: There is a resolver for \"Query.nope\", but type \"Query\" has no field "
            "\"nope\".");
    refused(one("Nope", "x"), natives_resolvers,
            "the host program: There are resolvers for type \"Nope\", which the schema does not define.");
    refused(one("Any", "x"), natives_resolvers, "the host program: Scalar \"Any\" has \"x\"");

    pl_natives *natives = pl_natives_new();
    const char *wrong[] = {NULL, "", "1a", "a.b", "a-b", "ä"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(pl_natives_add_resolver(natives, wrong[i], "x", put_nothing, NULL),
                         PL_INVALID_ARGUMENT);
        assert_int_equal(pl_natives_add_resolver(natives, "x", wrong[i], put_nothing, NULL),
                         PL_INVALID_ARGUMENT);
        assert_int_equal(pl_natives_add_scalar(natives, wrong[i], put_nothing, NULL, NULL),
                         PL_INVALID_ARGUMENT);
    }
    assert_int_equal(pl_natives_add_resolver(natives, "x", "x", NULL, NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_add_scalar(natives, "x", NULL, NULL, NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "x", put_nothing, NULL), PL_OK);
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "x", put_nothing, NULL), PL_ALREADY_EXISTS);
    assert_int_equal(pl_natives_add_scalar(natives, "Any", put_nothing, NULL, NULL), PL_OK);
    assert_int_equal(pl_natives_add_scalar(natives, "Any", NULL, put_nothing, NULL), PL_ALREADY_EXISTS);
    pl_natives_free(natives);

    /* resolvers without a schema */
    pl_report report;
    pl_error err = {0};
    pl_report_init(&report);
    natives = one("Query", "x");
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives};
    pl_bundle *bundle = MEMORY_BUNDLE("app.lua", "return {}");
    assert_null(pl_local_open(bundle, &options, &report, &err));
    assert_has(report_text(&report), "the host program: There are resolvers, but the bundle has no schema");
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    pl_natives_free(natives);
    pl_natives_free(NULL);
}

/* A bundle with nothing but SDL. */
static void test_without_lua(void **state)
{
    int number = 3;
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "n", put_number, &number), PL_OK);
    pl_report report;
    pl_error err = {0};
    pl_report_init(&report);
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives};
    pl_bundle *bundle = MEMORY_BUNDLE("schema/s.graphql", "type Query { n: Int }");
    pl_local *local = pl_local_open(bundle, &options, &report, &err);
    assert_non_null(local);
    assert_string_equal(local_ask(local, "{ n }"), "{\"data\":{\"n\":3}}");
    pl_local_close(local);
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    pl_natives_free(natives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_as_json),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_unexpected_failures_are_logged),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_what_cannot_be_bound),
        cmocka_unit_test(test_without_lua),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
