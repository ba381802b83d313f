/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings/lua/internal.h"
#include "bindings/lua/upload.h"
#include "lua/lua_fixture.h"
#include "support/failing.h"
#include "value/upload.h"

#define BYTES "..abcdefg.."

/* The upload "abcdefg", as the global `file`. */
static fixture *f;
static pl_upload_body *body;
static char folder[64];
static const atomic_bool no_stop;

static void set_global(void *data)
{
    pl_state *state = fixture_state(f);
    pl_push_value(state, &(pl_value){.kind = PL_KIND_UPLOAD, .upload = data});
    lua_setglobal(fixture_lua(f), "file");
}

static void give(bool on_disk, const char *directory)
{
    pl_error err;
    int fd = -1;
    if (on_disk) {
        char name[] = "/tmp/perilune-unit-XXXXXX";
        fd = mkstemp(name);
        assert_true(fd >= 0);
        unlink(name);
        assert_int_equal(write(fd, "head" BYTES, 15), 15);
    }
    body = pl_upload_body_new(fd, on_disk ? 4 : 0, on_disk ? NULL : BYTES, pl_str_of(directory));
    pl_upload upload = {
        .body = body, .at = 2, .size = 7, .filename = PL_STR("a.txt"), .content_type = PL_STR("text/plain")};
    assert_true(pl_engine_of(fixture_state(f))->protect(fixture_state(f), set_global, &upload, &err));
}

static int set_up(void **state)
{
    (void)state;
    f = fixture_new(NULL);
    snprintf(folder, sizeof folder, "/tmp/perilune-unit-XXXXXX");
    return f && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[100];
    if (body && !body->ended)
        pl_upload_body_end(body);
    body = NULL;
    fixture_free(f);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command); /* NOLINT */
}

static const char *contents(const char *name)
{
    static char text[100];
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void read_all(void)
{
    fixture_ok(f,
               "assert(file.filename == 'a.txt' and file.content_type == 'text/plain' and file.size == 7)"
               "assert(tostring(file) == 'upload: a.txt (7 bytes)' and file.nothing == nil)"
               "assert(file:read(3) == 'abc' and file:read(3) == 'def' and file:read(3) == 'g')"
               "assert(file:read(3) == nil and file:read() == nil and file:seek() == 7)"
               "assert(file:seek(5) == 5 and file:read() == 'fg' and file:seek(0) == 0)"
               "assert(file:read(math.maxinteger) == 'abcdefg')"
               "assert(file:sha256() == '7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a')");
    fixture_fails(f, "file:read(0)", "from 1");
    fixture_fails(f, "file:read(-1)", "from 1");
    fixture_fails(f, "file:read('a')", "number expected");
    fixture_fails(f, "file:seek(8)", "within the file");
    fixture_fails(f, "file:seek(-1)", "within the file");
    fixture_fails(f, "file.read({})", "perilune.upload expected");
    fixture_fails(f, "getmetatable(file).__gc()", "boolean");
    fixture_fails(f, "file.size = 1", "");
}

static void from_memory(void **state)
{
    (void)state;
    give(false, "");
    read_all();
}

static void from_a_file(void **state)
{
    (void)state;
    give(true, "");
    read_all();
}

static void nothing_is_read_after_the_request(void **state)
{
    (void)state;
    give(true, folder);
    pl_upload_body_end(body);
    static const char *const calls[] = {"file:read(1)", "file:seek(0)", "file:sha256()", "file:save 'x'"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        fixture_fails(f, calls[i], "the request that it came with has ended");
    fixture_ok(f, "assert(file.filename == 'a.txt' and file.size == 7)");
    body = NULL;
}

static void saves(bool on_disk)
{
    give(on_disk, folder);
    fixture_ok(f, "assert(file:save('one') :sub(-4) == '/one')");
    assert_string_equal(contents("one"), "abcdefg");
    fixture_ok(f, "file:read(2) file:save('deep/er/two')"); /* where it is read does not matter */
    assert_string_equal(contents("deep/er/two"), "abcdefg");
    fixture_fails(f, "file:save('deep')", "cannot get its name");
    fixture_fails(f, "file:save('one/two')", "a folder cannot be opened");
    static const char *const paths[] = {"''",     "'/x'", "'../x'",         "'a/../b'", "'.'",
                                        "'a//b'", "'a/'", "('x'):rep(256)", "'a\\0b'"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char code[100];
        snprintf(code, sizeof code, "file:save(%s)", paths[i]);
        fixture_fails(f, code, "the path must be relative");
    }
}

static void saves_from_memory(void **state)
{
    (void)state;
    saves(false);
}

static void saves_from_a_file(void **state)
{
    (void)state;
    saves(true);
}

static void saving_needs_a_folder(void **state)
{
    (void)state;
    give(false, "");
    fixture_fails(f, "file:save('x')", "http.uploads.directory");
    pl_upload_body_end(body);
    give(false, "/nowhere/at/all");
    fixture_fails(f, "file:save('x')", "http.uploads.directory: /nowhere/at/all");
}

/* The request ends, and the call with it, while a helper thread saves: the file is there whole, or not. */
static void a_client_that_leaves(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        give(i == 0, folder);
        fixture_pause_helpers(f, true);
        assert_true(fixture_start(f, 0, "file:save('x')"));
        fixture_cancel(f, 0);
        pl_upload_body_end(body);
        body = NULL;
        fixture_pause_helpers(f, false);
        fixture_drain(f);
        const char *text = contents("x");
        assert_true(!text || strcmp(text, "abcdefg") == 0);
    }
}

static void helpers_may_be_busy(void **state)
{
    (void)state;
    give(true, folder);
    fixture_refuse_jobs(f, 1);
    fixture_fails(f, "file:sha256()", "too much work");
    fixture_ok(f, "file:sha256()");
    assert_int_equal(body->readers, 0);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    give(false, folder);
    failing a = {.sticky = true}; /* else Lua collects garbage and tries again */
    while (failing_next(&a)) {
        const char *error = fixture_call_failing(f, "file:seek(0) return file:read(2) .. file:sha256()", &a);
        assert_true(!error || a.made >= a.n);
        if (!error)
            assert_int_equal(strlen(fixture_result(f)), 66);
    }
    fixture_ok(f, "assert(file:seek(0) == 0 and file:read() == 'abcdefg')");
}

/* --- what runs on helper threads --- */
static void short_files_and_stops(void **state)
{
    (void)state;
    char hash[65];
    pl_error err = {0};
    static const atomic_bool stop = true;
    give(true, "");
    plua_upload_source source = {.fd = body->fd, .at = 10, .size = 100, .stop = &no_stop};
    assert_int_equal(plua_upload_sha256(&source, hash, &err), PL_UNAVAILABLE);
    source.stop = &stop;
    assert_int_equal(plua_upload_save(&source, folder, "stopped", &err), PL_CANCELLED);
    assert_null(contents("stopped"));
    source = (plua_upload_source){.fd = -1, .bytes = "", .size = 0, .stop = &no_stop};
    assert_int_equal(plua_upload_sha256(&source, hash, &err), PL_OK);
    assert_string_equal(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(plua_upload_save(&source, folder, "empty", &err), PL_OK);
    assert_string_equal(contents("empty"), "");
}

static void links_are_not_followed(void **state)
{
    (void)state;
    char path[300];
    pl_error err = {0};
    plua_upload_source source = {.fd = -1, .bytes = "evil", .size = 4, .stop = &no_stop};
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_not_equal(plua_upload_save(&source, folder, "link/x", &err), PL_OK);
    /* A link in the file's own place is replaced. */
    assert_int_equal(plua_upload_save(&source, folder, "link", &err), PL_OK);
    struct stat st;
    assert_true(lstat(path, &st) == 0 && S_ISREG(st.st_mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(from_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(from_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_read_after_the_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(saves_from_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(saves_from_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(saving_needs_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(helpers_may_be_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_run_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_files_and_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
