/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/multipart.h"

/* What the handler was told, as text: "[name|filename|type]bytes;" for each part; "-" is none. */
static pl_buf told;
static pl_error err;
static pl_multipart m;
static pl_code answer; /* what the handler returns */
static pl_str whole;   /* the body */
static uint64_t place; /* where in it the next bytes must stand */

static void tell(pl_str s)
{
    if (s.ptr)
        pl_buf_str(&told, s);
    else
        pl_buf_char(&told, '-');
}

static pl_code begin(void *data, const pl_multipart_part *part, uint64_t at, pl_error *e)
{
    (void)data, (void)e;
    pl_buf_char(&told, '[');
    tell(part->name);
    pl_buf_char(&told, '|');
    tell(part->filename);
    pl_buf_char(&told, '|');
    tell(part->content_type);
    pl_buf_char(&told, ']');
    place = at;
    return answer;
}

static pl_code bytes(void *data, pl_str b, pl_error *e)
{
    (void)data, (void)e;
    assert_true(b.len > 0 && place + b.len <= whole.len);
    assert_memory_equal(b.ptr, whole.ptr + place, b.len);
    place += b.len;
    pl_buf_str(&told, b);
    return PL_OK;
}

static pl_code end(void *data, pl_error *e)
{
    (void)data, (void)e;
    pl_buf_char(&told, ';');
    return PL_OK;
}

static const pl_multipart_handler handler = {begin, bytes, end};

static pl_code parse_with(pl_str body, const char *boundary, unsigned max_parts, size_t step)
{
    pl_buf_dispose(&told);
    err = (pl_error){0};
    whole = body;
    pl_multipart_init(&m, pl_str_of(boundary), max_parts, &handler, NULL);
    for (size_t i = 0; i < body.len; i += step) {
        /* A copy, so that a view kept too long, or one byte too many, is seen. */
        size_t n = body.len - i < step ? body.len - i : step;
        char *piece = pl_malloc(n);
        memcpy(piece, body.ptr + i, n);
        pl_code code = pl_multipart_feed(&m, (pl_str){piece, n}, &err);
        pl_free(piece);
        if (code)
            return code;
    }
    return pl_multipart_finish(&m, &err);
}

/* In pieces of every size the same must come out. */
static void expect(pl_str body, const char *boundary, const char *what)
{
    for (size_t step = 1; step <= body.len; step++) {
        assert_int_equal(parse_with(body, boundary, 100, step), PL_OK);
        assert_string_equal((pl_buf_char(&told, '\0'), told.data), what);
    }
}

static void expect_error(const char *body, const char *message)
{
    pl_str s = pl_str_of(body);
    for (size_t step = 1; step <= s.len; step++) {
        assert_int_equal(parse_with(s, "b", 100, step), PL_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, message));
    }
}

static int tear_down(void **state)
{
    (void)state;
    pl_buf_dispose(&told);
    answer = PL_OK;
    return 0;
}

static void reads_parts(void **state)
{
    (void)state;
    expect(PL_STR("--b\r\n"
                  "Content-Disposition: form-data; name=\"operations\"\r\n\r\n"
                  "{\"query\":\"{a}\"}\r\n"
                  "--b\r\n"
                  "content-disposition:form-data;filename=\"a.txt\" ; name=file\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n"
                  "X-Other: 1\r\n\r\n"
                  "one\r\ntwo\r\n"
                  "--b--\r\n"),
           "b", "[operations|-|-]{\"query\":\"{a}\"};[file|a.txt|text/plain; charset=utf-8]one\r\ntwo;");
}

static void a_part_may_be_empty(void **state)
{
    (void)state;
    expect(PL_STR("--b\r\nContent-Disposition: form-data; name=a; filename=\"\"\r\n\r\n\r\n--b--"), "b",
           "[a||-];");
}

static void text_around_the_form_is_passed_over(void **state)
{
    (void)state;
    expect(
        PL_STR("preamble --b\r\n-b\r\n\r\n--b \t\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b-- "
               "epilogue\r\n--b\r\nnothing"),
        "b", "[a|-|-]x;");
    expect(PL_STR("--b--"), "b", "");
}

/* Bytes that begin like a delimiter, in every way that can go wrong. */
static void what_looks_like_a_boundary_is_data(void **state)
{
    (void)state;
    expect(PL_STR("--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n"
                  "\r\r\n\r\n-\r\n--\r\n--x\r\n--xy\r\r\n--xyZ\n--xyz--xyz\r\n-\r\n--xyz--"),
           "xyz", "[a|-|-]\r\r\n\r\n-\r\n--\r\n--x\r\n--xy\r\r\n--xyZ\n--xyz--xyz\r\n-;");
    expect(PL_STR("-----\r\nContent-Disposition: form-data; name=a\r\n\r\n--\r\n----\r\n-----\r\n"
                  "Content-Disposition: form-data; name=b\r\n\r\n\r\n-------"),
           "---", "[a|-|-]--\r\n----;[b|-|-];");
}

static void binary_bytes_pass(void **state)
{
    (void)state;
    char body[400];
    size_t n = (size_t)snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n");
    for (int i = 0; i < 256; i++)
        body[n++] = (char)i;
    memcpy(body + n, "\r\n--b--", 7);
    for (size_t step = 1; step < 300; step++) {
        assert_int_equal(parse_with((pl_str){body, n + 7}, "b", 1, step), PL_OK);
        assert_memory_equal(told.data + 7, body + n - 256, 256);
    }
}

static void names_are_unescaped(void **state)
{
    (void)state;
    expect(PL_STR("--b\r\nContent-Disposition: form-data; name=\"a\\\"b\"; "
                  "filename=\"C:\\\\dir\\x%22y%0d%0a%41.t\"\r\n\r\n"
                  "\r\n--b--"),
           "b", "[a\"b|x\"y\r\n%41.t|-];");
    expect(
        PL_STR(
            "--b\r\nContent-Disposition: form-data; name=\"\xc3\xa9\"; filename=\"../../etc/passwd\"\r\n\r\n"
            "\r\n--b--"),
        "b", "[\xc3\xa9|passwd|-];");
    /* RFC 7578, 4.2 */
    expect(PL_STR("--b\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''x\r\n\r\n\r\n--b--"), "b",
           "[a|-|-];");
}

static void malformed_forms_are_refused(void **state)
{
    (void)state;
    expect_error("nothing", "The form has no part, at byte 7 of the body");
    expect_error("--b", "The form ends before its last boundary");
    expect_error("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx", "The form ends before");
    expect_error("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b", "The form ends before");
    expect_error("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b\r\n", "The form ends before");
    expect_error("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--bx", "followed by a line end");
    expect_error("--b\n\n", "followed by a line end");
    expect_error("--b-x", "followed by a line end");
    expect_error("--b\r\nContent-Disposition: form-data; name=a\n\n", "must end with CRLF");
    expect_error("--b\r\nContent-Type: text/plain\r\n\r\n", "A part has no name");
    expect_error("--b\r\n\r\n", "A part has no name");
    expect_error("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n", "must be form-data");
    expect_error("--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n", "malformed");
    expect_error("--b\r\nContent-Disposition: form-data; name\r\n\r\n", "malformed");
    expect_error("--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n", "two names");
    expect_error(
        "--b\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n",
        "two Content-Dispositions");
    expect_error("--b\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n", "must be UTF-8");
    expect_error("--b\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n", "malformed");
    expect_error("--b\r\nnonsense\r\n\r\n", "malformed");
    expect_error("--b\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                 "Content-Transfer-Encoding");
}

static void bounds_are_kept(void **state)
{
    (void)state;
    pl_str two = PL_STR("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b\r\n"
                        "Content-Disposition: form-data; name=b\r\n\r\n\r\n--b--");
    assert_int_equal(parse_with(two, "b", 2, 7), PL_OK);
    assert_int_equal(parse_with(two, "b", 1, 7), PL_RESOURCE_EXHAUSTED);
    pl_buf head;
    pl_buf_init(&head);
    PL_BUF_LIT(&head, "--b\r\n");
    for (int i = 0; i < 1000; i++)
        PL_BUF_LIT(&head, "X-Header: 1\r\n");
    for (size_t step = 1; step < 20000; step = step * 3 + 1)
        assert_int_equal(parse_with(pl_buf_view(&head), "b", 1, step), PL_RESOURCE_EXHAUSTED);
    pl_buf_dispose(&head);
    /* One that just fits. */
    char part[PL_MULTIPART_MAX_HEAD + 200];
    size_t n = (size_t)snprintf(part, sizeof part,
                                "--b\r\nContent-Disposition: form-data; name=a\r\nX: %0*d\r\n\r\n",
                                PL_MULTIPART_MAX_HEAD - 47, 1);
    assert_int_equal(n, 5 + PL_MULTIPART_MAX_HEAD);
    assert_int_equal(parse_with((pl_str){part, n}, "b", 1, n), PL_INVALID_ARGUMENT);
    assert_int_equal(m.parts, 1);
}

static void what_the_handler_says_is_passed_on(void **state)
{
    (void)state;
    answer = PL_PERMISSION_DENIED;
    assert_int_equal(
        parse_with(PL_STR("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--"), "b", 1, 100),
        PL_PERMISSION_DENIED);
    assert_string_equal((pl_buf_char(&told, '\0'), told.data), "[a|-|-]");
}

static void boundaries_are_read(void **state)
{
    (void)state;
    static const char *const sound[][2] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data;BOUNDARY=\"a b:c\"", "a b:c"},
        {"multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundary7MA4YWxk; x=y",
         "----WebKitFormBoundary7MA4YWxk"},
        {"multipart/form-data; "
         "boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123456789"}};
    static const char *const unsound[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a",
        "multipart/mixed; boundary=a",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=a@b",
        "multipart/form-data; "
        "boundary=01234567890123456789012345678901234567890123456789012345678901234567890",
        "multipart/form-data boundary=a",
        ""};
    pl_str out;
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
        assert_int_equal(pl_multipart_boundary(pl_str_of(sound[i][0]), &out, &err), PL_OK);
        assert_true(pl_str_is(out, sound[i][1]));
    }
    for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++)
        assert_int_equal(pl_multipart_boundary(pl_str_of(unsound[i]), &out, &err), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_multipart_boundary(PL_STR_NONE, &out, &err), PL_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_parts, tear_down),
        cmocka_unit_test_teardown(a_part_may_be_empty, tear_down),
        cmocka_unit_test_teardown(text_around_the_form_is_passed_over, tear_down),
        cmocka_unit_test_teardown(what_looks_like_a_boundary_is_data, tear_down),
        cmocka_unit_test_teardown(binary_bytes_pass, tear_down),
        cmocka_unit_test_teardown(names_are_unescaped, tear_down),
        cmocka_unit_test_teardown(malformed_forms_are_refused, tear_down),
        cmocka_unit_test_teardown(bounds_are_kept, tear_down),
        cmocka_unit_test_teardown(what_the_handler_says_is_passed_on, tear_down),
        cmocka_unit_test_teardown(boundaries_are_read, tear_down),
    };
    return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
