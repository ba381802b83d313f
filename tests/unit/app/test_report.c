/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "support/failing.h"

static const char *json_text(const pl_report *report)
{
    static char text[65536];
    pl_buf buf;
    pl_arena arena;
    pl_value value;
    pl_error err = {0};
    pl_buf_init(&buf);
    pl_arena_init(&arena, 0);
    pl_report_json(report, &buf);
    if (pl_json_read(&arena, pl_buf_view(&buf), NULL, &value, &err))
        fail_msg("%s: %.*s", err.message, PL_STR_ARG(pl_buf_view(&buf)));
    assert_int_equal(value.kind, PL_KIND_LIST);
    assert_true(buf.len < sizeof(text));
    memcpy(text, buf.data, buf.len);
    text[buf.len] = '\0';
    pl_arena_dispose(&arena);
    pl_buf_dispose(&buf);
    return text;
}

typedef struct lines {
    char text[8192];
    unsigned count[4];
} lines;

static void on_line(void *data, pl_level level, pl_str line)
{
    lines *l = data;
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof(l->text) - len, "%.*s\n", PL_STR_ARG(line));
    l->count[level]++;
}

static void logged(const pl_report *report, lines *out)
{
    *out = (lines){.text = ""};
    pl_logger *log = pl_logger_new_sink(on_line, out, PL_LOG_JSON, PL_DEBUG);
    pl_report_log(report, log);
    pl_logger_free(log);
}

static void test_empty(void **state)
{
    pl_report r;
    lines l;
    pl_report_init(&r);
    assert_false(pl_report_has_errors(&r));
    assert_string_equal(report_text(&r), "");
    assert_string_equal(json_text(&r), "[]");
    logged(&r, &l);
    assert_string_equal(l.text, "");
    pl_report_dispose(&r);
}

static void test_places(void **state)
{
    pl_report r;
    lines l;
    pl_report_init(&r);
    pl_report_warning(&r, "schema/a.graphql", 3, 5, "warned of %s", "this");
    assert_false(pl_report_has_errors(&r));
    pl_report_error(&r, "lib/x.lua", 7, 0, "no column");
    pl_report_error(&r, "app.lua", 0, 0, "no line");
    pl_report_error(&r, NULL, 0, 0, "no file");
    pl_report_error(&r, NULL, 4, 2, "no file, and so no line");
    assert_true(pl_report_has_errors(&r));
    assert_string_equal(report_text(&r), "lib/x.lua:7: no column\n"
                                         "app.lua: no line\n"
                                         "no file\n"
                                         "no file, and so no line\n"
                                         "schema/a.graphql:3:5: warning: warned of this\n");
    assert_string_equal(
        json_text(&r),
        "[{\"file\":\"lib/x.lua\",\"line\":7,\"column\":0,\"message\":\"no column\",\"severity\":\"error\"},"
        "{\"file\":\"app.lua\",\"message\":\"no line\",\"severity\":\"error\"},"
        "{\"message\":\"no file\",\"severity\":\"error\"},"
        "{\"line\":4,\"column\":2,\"message\":\"no file, and so no line\",\"severity\":\"error\"},"
        "{\"file\":\"schema/a.graphql\",\"line\":3,\"column\":5,\"message\":\"warned of "
        "this\",\"severity\":\"warning\"}]");
    logged(&r, &l);
    assert_int_equal(l.count[PL_ERROR], 4);
    assert_int_equal(l.count[PL_WARN], 1);
    assert_has(l.text, "\"at\":\"lib/x.lua:7\"");
    assert_has(l.text, "\"at\":\"schema/a.graphql:3:5\"");
    assert_has(l.text, "\"problem\":\"warned of this\"");
    pl_report_dispose(&r);
}

static void test_adds_errors(void **state)
{
    pl_report r;
    pl_error err = {0};
    pl_report_init(&r);
    pl_fail_at(&err, PL_INVALID_ARGUMENT, "a.lua", 2, 9, "%s", "100% \"wrong\"\n%s");
    pl_report_add(&r, &err);
    pl_fail(&err, PL_UNAVAILABLE, "no place");
    pl_report_add(&r, &err);
    assert_string_equal(report_text(&r), "a.lua:2:9: 100% \"wrong\"\n%s\nno place\n");
    json_text(&r);
    pl_report_dispose(&r);
}

static void test_any_bytes_are_valid_json(void **state)
{
    pl_report r;
    char text[3000];
    pl_report_init(&r);
    for (int i = 0; i < 256; i++)
        text[i] = (char)(i + 1);
    text[255] = '\0';
    pl_report_error(&r, "\xff\"x\".lua", 1, 1, "%s", text);
    memset(text, 'a', 1022);
    memcpy(text + 1022, "\xe2\x82\xac", 4); /* cut within a character */
    pl_report_error(&r, "x.lua", 1, 1, "%s", text);
    json_text(&r);
    pl_report_dispose(&r);
}

static void test_bounds_their_number(void **state)
{
    pl_report r;
    lines l;
    pl_report_init(&r);
    for (int i = 0; i < 1000; i++)
        pl_report_error(&r, "x.lua", (uint32_t)i + 1, 0, "wrong");
    pl_report_warning(&r, "x.lua", 1, 0, "odd");
    assert_int_equal(r.errors.count, 100);
    const char *text = report_text(&r);
    assert_has(text, "x.lua:100: wrong\nThere are more than 100 problems; the rest is not shown.\nx.lua:1: "
                     "warning: odd\n");
    assert_null(strstr(text, "x.lua:101"));
    assert_has(
        json_text(&r),
        "{\"message\":\"There are more than 100 problems; the rest is not shown.\",\"severity\":\"error\"}");
    logged(&r, &l);
    assert_int_equal(l.count[PL_ERROR], 101);
    pl_report_dispose(&r);
}

/* Whatever memory is missing: the report has errors and says something. */
static void test_missing_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_report r;
        lines l;
        pl_report_init(&r);
        failing_begin(&a);
        pl_report_error(&r, "lib/a.lua", 1, 2, "wrong");
        failing_end(&a);
        assert_true(pl_report_has_errors(&r));
        assert_string_not_equal(report_text(&r), "");
        assert_string_not_equal(json_text(&r), "[]");
        logged(&r, &l);
        assert_true(l.count[PL_ERROR] > 0);
        pl_report_dispose(&r);
    }
    pl_report r;
    pl_report_init(&r);
    r.errors.out_of_memory = true;
    assert_true(pl_report_has_errors(&r));
    assert_string_equal(report_text(&r), "out of memory\n");
    assert_string_equal(json_text(&r), "[{\"message\":\"out of memory\",\"severity\":\"error\"}]");
    r.errors.full = true;
    assert_string_equal(report_text(&r),
                        "There are more than 100 problems; the rest is not shown.\nout of memory\n");
    pl_report_dispose(&r);
}

static void test_keeps_names_of_files(void **state)
{
    pl_report r;
    char name[] = "schema/x.graphql", other[] = "schema/y.graphql";
    gql_source source = {.name = name}, second = {.name = other};
    pl_report_init(&r);
    gql_diagnose(&r.errors, NULL, &source, (gql_loc){1, 2, 0}, (gql_loc){0}, "first");
    gql_diagnose(&r.errors, NULL, &source, (gql_loc){2, 2, 0}, (gql_loc){0}, "second");
    gql_diagnose(&r.errors, NULL, NULL, (gql_loc){0}, (gql_loc){0}, "third");
    gql_diagnose(&r.warnings, NULL, &second, (gql_loc){3, 2, 0}, (gql_loc){0}, "fourth");
    pl_report_keep(&r);
    memset(name, 'x', sizeof(name));
    memset(other, 'x', sizeof(other));
    assert_string_equal(report_text(&r), "schema/x.graphql:1:2: first\nschema/x.graphql:2:2: second\nthird\n"
                                         "schema/y.graphql:3:2: warning: fourth\n");
    pl_report_dispose(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_adds_errors),
        cmocka_unit_test(test_any_bytes_are_valid_json),
        cmocka_unit_test(test_bounds_their_number),
        cmocka_unit_test(test_missing_memory),
        cmocka_unit_test(test_keeps_names_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
