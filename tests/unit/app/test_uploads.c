/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/uploads.h"
#include "support/failing.h"
#include "value/json.h"

#define TYPE PL_STR("multipart/form-data; boundary=b")
#define PART(name) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_PART(name, filename) \
    "--b\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" filename "\"\r\n\r\n"
#define END "--b--\r\n"

static pl_arena arena;
static pl_value value;
static pl_error err;
static pl_uploads_limits limits;

static int set_up(void **state)
{
    (void)state;
    pl_arena_init(&arena, 0);
    limits = (pl_uploads_limits){.max_file_size = 100, .max_json = 1000, .max_files = 3};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pl_arena_dispose(&arena);
    return 0;
}

static pl_code read_form(pl_str body)
{
    pl_upload_body *b = pl_upload_body_new(-1, 0, body.ptr, PL_STR_NONE);
    assert_non_null(b);
    err = (pl_error){0};
    pl_code code = pl_uploads_read(b, body.len, TYPE, &limits, &arena, &value, &err);
    pl_upload_body_unref(b);
    return code;
}

#define REFUSED(code, body, text)                        \
    do {                                                 \
        assert_int_equal(read_form(PL_STR(body)), code); \
        if (!strstr(err.message, text))                  \
            fail_msg("%s: %s", text, err.message);       \
    } while (0)

/* What was read, with null where files are. */
static const char *rewritten(void)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_json_value(&buf, &value);
    pl_str s = pl_arena_str(&arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    return s.ptr;
}

static const pl_upload *upload_at(const pl_value *list, size_t i)
{
    assert_int_equal(list->list.items[i].kind, PL_KIND_UPLOAD);
    return list->list.items[i].upload;
}

#define FORM                                                                                             \
    PART("operations")                                                                                   \
    "{\"query\":\"{a}\",\"variables\":{\"files\":[null,null,null],\"x\":1}}\r\n" PART(                   \
        "map") "{\"one\":[\"variables.files.0\",\"variables.files.2\"],\"two\":[\"variables.files.1\"]}" \
               "\r\n" FILE_PART("two", "t.txt") "second\r\n"                                             \
                                                "--b\r\nContent-Disposition: form-data; name=one; "      \
                                                "filename=\"o.png\"\r\nContent-Type: "                   \
                                                "image/png\r\n\r\nfirst\r\n" END

static void check_form(pl_str body)
{
    assert_string_equal(rewritten(),
                        "{\"query\":\"{a}\",\"variables\":{\"files\":[null,null,null],\"x\":1}}");
    const pl_value *files = pl_value_member(pl_value_member(&value, PL_STR("variables")), PL_STR("files"));
    const pl_upload *one = upload_at(files, 0), *two = upload_at(files, 1);
    assert_ptr_equal(upload_at(files, 2), one);
    assert_true(pl_str_is(one->filename, "o.png") && pl_str_is(one->content_type, "image/png"));
    assert_true(pl_str_is(two->filename, "t.txt") &&
                pl_str_is(two->content_type, "application/octet-stream"));
    assert_true(pl_str_is((pl_str){body.ptr + one->at, (size_t)one->size}, "first"));
    assert_true(pl_str_is((pl_str){body.ptr + two->at, (size_t)two->size}, "second"));
}

static void files_are_put_in_their_places(void **state)
{
    (void)state;
    assert_int_equal(read_form(PL_STR(FORM)), PL_OK);
    check_form(PL_STR(FORM));
}

static void a_body_is_read_from_its_file(void **state)
{
    (void)state;
    char name[] = "/tmp/perilune-unit-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, "before", 6), 6);
    assert_int_equal(write(fd, FORM, sizeof FORM - 1), sizeof FORM - 1);
    pl_upload_body *body = pl_upload_body_new(fd, 6, NULL, PL_STR("/where"));
    assert_int_equal(pl_uploads_read(body, sizeof FORM - 1, TYPE, &limits, &arena, &value, &err), PL_OK);
    check_form(PL_STR(FORM));
    assert_string_equal(body->directory, "/where");
    /* Longer than the file. */
    assert_int_equal(pl_uploads_read(body, sizeof FORM + 9, TYPE, &limits, &arena, &value, &err),
                     PL_UNAVAILABLE);
    /* The descriptor goes with the request, but not before its last reader. */
    pl_upload_body_ref(body);
    pl_upload_body_read_begin(body);
    pl_upload_body_end(body);
    assert_true(body->ended && body->fd == fd && lseek(fd, 0, SEEK_SET) == 0);
    pl_upload_body_read_end(body);
    assert_true(body->fd == -1 && lseek(fd, 0, SEEK_SET) == -1);
    pl_upload_body_unref(body);
}

static void batches_have_files_in_each(void **state)
{
    (void)state;
    assert_int_equal(
        read_form(
            PL_STR(PART("operations") "[{\"variables\":{\"f\":null}},{\"variables\":{\"f\":null}}]\r\n" PART(
                "map") "{\"a\":[\"1.variables.f\"]}\r\n" FILE_PART("a", "a") "x\r\n" END)),
        PL_OK);
    const pl_value *f =
        pl_value_member(pl_value_member(&value.list.items[1], PL_STR("variables")), PL_STR("f"));
    assert_int_equal(f->kind, PL_KIND_UPLOAD);
    f = pl_value_member(pl_value_member(&value.list.items[0], PL_STR("variables")), PL_STR("f"));
    assert_int_equal(f->kind, PL_KIND_NULL);
}

#define OPERATIONS PART("operations") "{\"query\":\"{a}\",\"variables\":{\"f\":null,\"g\":1}}\r\n"

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    REFUSED(PL_INVALID_ARGUMENT, END, "no part \"operations\"");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS END, "no part \"map\"");
    REFUSED(PL_INVALID_ARGUMENT, PART("map") "{}\r\n" OPERATIONS END, "must come before the part \"map\"");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS OPERATIONS END, "the part \"operations\" twice");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{}\r\n" PART("map") "{}\r\n" END,
            "the part \"map\" twice");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS FILE_PART("a", "a") "\r\n" END,
            "must come before the file \"a\"");
    REFUSED(PL_INVALID_ARGUMENT, PART("operations") "{\r\n" END, "The part \"operations\": ");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{\"a\":[\"variables.f\"],\"a\":[]}\r\n" END,
            "twice");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{\"a\":[\"variables.g\"]}\r\n" END,
            "must have null");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{\"a\":[\"variables\"]}\r\n" END, "must have null");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{\"a\":[\"variables.f.\"]}\r\n" END, "is not there");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{\"a\":[\"extensions.f\"]}\r\n" END,
            "does not lead into the variables");
    REFUSED(PL_INVALID_ARGUMENT, PART("operations") "null\r\n" PART("map") "{\"a\":[\"\"]}\r\n" END,
            "does not lead into the variables");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{\"a\":[\"variables.f\"]}\r\n" END,
            "The file \"a\" of the map is missing");
    REFUSED(PL_INVALID_ARGUMENT, OPERATIONS PART("map") "{}\r\n" FILE_PART("a", "a") "\r\n" END,
            "is not in the map");
}

static void bounds_are_kept(void **state)
{
    (void)state;
    limits.max_files = 1;
    REFUSED(PL_RESOURCE_EXHAUSTED, OPERATIONS PART("map") "{\"a\":[\"variables.f\"],\"b\":[\"x\"]}\r\n" END,
            "more than 1 files");
    REFUSED(PL_RESOURCE_EXHAUSTED, OPERATIONS PART("map") "{\"a\":[\"x\",\"x\",\"x\",\"x\",\"x\"]}\r\n" END,
            "more than 4 paths");
    limits.max_file_size = 4;
    REFUSED(PL_RESOURCE_EXHAUSTED,
            OPERATIONS PART("map") "{\"a\":[\"variables.f\"]}\r\n" FILE_PART("a", "a") "12345\r\n" END,
            "The file \"a\" is larger than 4 bytes");
    assert_int_equal(read_form(PL_STR(OPERATIONS PART("map") "{\"a\":[\"variables.f\"]}\r\n" FILE_PART(
                         "a", "a") "1234\r\n" END)),
                     PL_OK);
    limits.max_json = 10;
    REFUSED(PL_RESOURCE_EXHAUSTED, OPERATIONS END, "The part \"operations\" is larger than 10 bytes");
}

static void memory_may_run_out(void **state)
{
    (void)state;
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_arena_dispose(&arena);
        failing_begin(&a);
        pl_upload_body *body = pl_upload_body_new(-1, 0, FORM, PL_STR_NONE);
        pl_code code = body ? pl_uploads_read(body, sizeof FORM - 1, TYPE, &limits, &arena, &value, &err)
                            : PL_RESOURCE_EXHAUSTED;
        assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
        if (body)
            pl_upload_body_unref(body);
    }
    assert_true(a.made > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_put_in_their_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_is_read_from_its_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches_have_files_in_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_run_out, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("uploads", tests, NULL, NULL);
}
