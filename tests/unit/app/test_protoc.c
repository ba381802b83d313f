/* SPDX-License-Identifier: MIT */
#include "app/protoc.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"
#include "support/failing.h"

static folder tmp;
static pl_bundle *bundle;

static int open_all(void **state)
{
    folder_new(&tmp);
    assert_int_equal(mkdir(in(&tmp, "tmp"), 0700), 0);
    bundle =
        MEMORY_BUNDLE("proto/a/a.proto", "syntax = \"proto3\";\npackage a;\nmessage M { int32 x = 1; }\n",
                      "proto/b.proto", "edition = \"2023\";\n", "other/c.proto", "not compiled");
    return setenv("TMPDIR", in(&tmp, "tmp"), 1);
}

static int close_all(void **state)
{
    unsetenv("TMPDIR");
    pl_bundle_unref(bundle);
    folder_remove(&tmp);
    return 0;
}

/* A program that does what the script says. */
static const char *program(const char *script)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in(&tmp, "protoc"));
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0700), 0);
    return path;
}

static void nothing_is_left(void)
{
    assert_int_equal(rmdir(in(&tmp, "tmp")), 0);
    assert_int_equal(mkdir(in(&tmp, "tmp"), 0700), 0);
}

/* Runs it; what it gives is in *out, and the report's text is returned. */
static const char *run(const pl_protoc_input *input, bool expected, pl_buf *out)
{
    pl_report report;
    pl_report_init(&report);
    bool ok = pl_protoc_run(input, &report, out);
    const char *text = report_text(&report);
    if (ok != expected)
        fail_msg("%d: %s", ok, text);
    assert_int_equal(pl_report_has_errors(&report), !expected);
    pl_report_dispose(&report);
    nothing_is_left();
    return text;
}

static void test_gives_the_set(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_protoc_input input = {.bundle = bundle};
    input.program =
        program("pwd; cat files proto/a/a.proto set-0.binpb; echo \"$@\"; printf abc >out.binpb; exit 0");
    input.sets = &PL_STR("<set>");
    input.set_count = 1;
    const char *text = run(&input, true, &out);
    assert_true(pl_str_is(pl_buf_view(&out), "abc"));
    assert_has(text, "proto/a/a.proto\nwarning: proto/b.proto\n");
    assert_has(text, "message M { int32 x = 1; }");
    assert_has(text, "<set>--proto_path=proto --include_imports --descriptor_set_out=out.binpb @files "
                     "--descriptor_set_in=set-0.binpb");
    assert_null(strstr(text, "c.proto"));
    pl_buf_dispose(&out);
}

static void test_what_can_go_wrong(void **state)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_protoc_input input = {.bundle = bundle, .program = "/nowhere/protoc"};
    assert_has(run(&input, false, &out), "proto/a/a.proto: the program /nowhere/protoc, which compiles");
    input.program = program("exit 3");
    assert_has(run(&input, false, &out), "has failed, and has not said why");
    input.program = program("kill -9 $$");
    assert_has(run(&input, false, &out), "has failed, and has not said why");
    input.program = program("exit 0");
    assert_has(run(&input, false, &out), "the .proto files cannot be compiled");
    input.program = program("echo 'a/a.proto:3:5: \"Foo\" is not defined.' >&2; exit 1");
    assert_string_equal(run(&input, false, &out), "proto/a/a.proto:3:5: \"Foo\" is not defined.\n");
    input.program = program("exec sleep 1000");
    input.timeout_ms = 50;
    assert_has(run(&input, false, &out), "in time, and was ended");
    /* More than a pipe holds; no more than the first part is looked at. */
    input.program = program("yes 'a/a.proto:1:1: no' | head -c 3000000; exit 1");
    input.timeout_ms = 0;
    assert_has(run(&input, false, &out), "proto/a/a.proto:1:1: no");
    assert_int_equal(out.len, 0);
    pl_buf_dispose(&out);
}

static void test_signals_are_its_own(void **state)
{
    sigset_t all, before;
    void (*pipe_handler)(int) = signal(SIGPIPE, SIG_IGN);
    pl_buf out;
    pl_buf_init(&out);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pl_protoc_input input = {.bundle = bundle};
    input.program = program("grep -E 'Sig(Blk|Ign)' /proc/self/status; printf x >out.binpb");
    const char *text = run(&input, true, &out);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, pipe_handler);
    assert_has(text, "SigBlk:\t0000000000000000");
    const char *ignored = strstr(text, "SigIgn:\t");
    assert_non_null(ignored);
    assert_false(strtoull(ignored + 8, NULL, 16) >> (SIGPIPE - 1) & 1);
    pl_buf_dispose(&out);
}

/* --- what it prints --- */
static const char *messages(const char *printed, bool failed)
{
    pl_report report;
    pl_report_init(&report);
    pl_protoc_messages(pl_str_of(printed), failed, bundle, &report);
    const char *text = report_text(&report);
    pl_report_dispose(&report);
    return text;
}

static void test_messages(void **state)
{
    assert_string_equal(
        messages("x.proto: File not found.\na/a.proto:2:1: Import \"x.proto\" was not found or "
                 "had errors.\na/a.proto:4:9: \"F\" is not defined.\n",
                 true),
        "proto/a/a.proto:2:1: Import \"x.proto\" was not found or had errors. (imports are "
        "relative to proto/, or in a descriptor set there)\n"
        "proto/a/a.proto:4:9: \"F\" is not defined.\n");
    assert_string_equal(messages("a/a.proto:2:1: warning: Import b.proto is unused.", false),
                        "proto/a/a.proto:2:1: warning: Import b.proto is unused.\n");
    assert_has(messages("b.proto:1:1: Expected top-level statement (e.g. \"message\").\n", true),
               "proto/b.proto:1:1: Expected top-level statement (e.g. \"message\"). (this protoc is too old");
    assert_string_equal(
        messages("[libprotobuf WARNING compiler/parser.cc:646] No syntax specified.\n", false),
        "warning: No syntax specified.\n");
    assert_string_equal(messages("Missing value for flag: --x\n\n:1:2: y\n", true),
                        "Missing value for flag: --x\n:1:2: y\n");
    assert_string_equal(messages("", true), "");
    assert_has(messages("a.proto:99999999999:1: x\n", true), "x");
}

static void test_no_memory(void **state)
{
    failing a = {.sticky = true};
    pl_protoc_input input = {.bundle = bundle, .sets = &PL_STR("s"), .set_count = 1};
    input.program = program("echo 'a/a.proto:1:1: warning: w'; printf abc >out.binpb");
    while (failing_next(&a)) {
        pl_report report;
        pl_buf out;
        pl_buf_init(&out);
        pl_report_init(&report);
        failing_begin(&a);
        bool ok = pl_protoc_run(&input, &report, &out);
        assert_true(failing_end(&a) ? !ok || report.warnings.out_of_memory : ok);
        assert_true(ok || pl_report_has_errors(&report));
        pl_report_dispose(&report);
        pl_buf_dispose(&out);
        nothing_is_left();
    }
    assert_true(a.made >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_the_set),       cmocka_unit_test(test_what_can_go_wrong),
        cmocka_unit_test(test_signals_are_its_own), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
