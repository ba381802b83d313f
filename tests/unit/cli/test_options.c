/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The command's files are not in the library. */
#include "cli/options.c"

typedef struct given {
    bool watch, pretty;
    const char *http, *admin;
    unsigned workers;
    const char *rules[PL_OPTION_LIST_MAX];
    const char *operands[2];
    char out[4096], err[4096];
} given;

static void redirect(int fd, int *saved, FILE **file)
{
    fflush(NULL);
    *saved = dup(fd);
    *file = tmpfile();
    assert_non_null(*file);
    dup2(fileno(*file), fd);
}

static void restore(int fd, int saved, FILE *file, char *text, size_t size)
{
    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static int read_with(given *g, const char *const *given_argv, int max_operands)
{
    const pl_option table[] = {
        {"watch", PL_OPTION_FLAG, &g->watch, "TEST_WATCH", NULL, "watch the files"},
        {"pretty", PL_OPTION_FLAG, &g->pretty, NULL, NULL, "indent"},
        {"http", PL_OPTION_TEXT, &g->http, "TEST_HTTP", "ADDRESS", "where to serve"},
        {"no-admin", PL_OPTION_TEXT, &g->admin, NULL, "PATH", "an odd name"},
        {"workers", PL_OPTION_COUNT, &g->workers, "TEST_WORKERS", "N", "threads"},
        {"rule", PL_OPTION_LIST, g->rules, NULL, "NAME", "several"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune do [DIR] [options]", "Does it.", table};
    char **argv = (char **)(uintptr_t)given_argv; /* main's are not const, but nobody writes to them */
    int argc = 0, out, err;
    FILE *out_file, *err_file;
    while (argv[argc])
        argc++;
    redirect(STDOUT_FILENO, &out, &out_file);
    redirect(STDERR_FILENO, &err, &err_file);
    int status = pl_options_read(&usage, argc, argv, g->operands, max_operands);
    restore(STDERR_FILENO, err, err_file, g->err, sizeof(g->err));
    restore(STDOUT_FILENO, out, out_file, g->out, sizeof(g->out));
    return status;
}
#define READ(g, ...)                                  \
    (*(g) = (given){.http = "default", .workers = 7}, \
     read_with(g, (const char *const[]){__VA_ARGS__, NULL}, 2))

static void expect_error(int status, const given *g, const char *message)
{
    char expected[512];
    snprintf(expected, sizeof(expected), "perilune: %s\nUsage: perilune do [DIR] [options]\n", message);
    assert_int_equal(status, 2);
    assert_string_equal(g->err, expected);
    assert_string_equal(g->out, "");
}

static void test_nothing(void **state)
{
    given g = {.http = "default"};
    assert_int_equal(read_with(&g, (const char *const[]){NULL}, 2), 0);
    assert_string_equal(g.http, "default");
    assert_null(g.operands[0]);
}

static void test_options(void **state)
{
    given g;
    assert_int_equal(READ(&g, "--http", "127.0.0.1:1", "--watch", "--workers", "4"), 0);
    assert_string_equal(g.http, "127.0.0.1:1");
    assert_true(g.watch);
    assert_false(g.pretty);
    assert_int_equal(g.workers, 4);
    assert_int_equal(READ(&g, "--http=unix:/a=b", "--workers=0", "--pretty"), 0);
    assert_string_equal(g.http, "unix:/a=b");
    assert_int_equal(g.workers, 0);
    assert_true(g.pretty);
    assert_int_equal(READ(&g, "--http=", "--http", "--watch"),
                     0); /* the last counts; a value may look like an option */
    assert_string_equal(g.http, "--watch");
    assert_false(g.watch);
    assert_string_equal(g.err, "");
    assert_string_equal(g.out, "");
}

static void test_flags(void **state)
{
    given g;
    assert_int_equal(READ(&g, "--watch", "--no-watch"), 0);
    assert_false(g.watch);
    assert_int_equal(READ(&g, "--no-watch", "--watch"), 0);
    assert_true(g.watch);
    assert_int_equal(READ(&g, "--watch=0", "--pretty=false"), 0);
    assert_false(g.watch);
    assert_false(g.pretty);
    assert_int_equal(READ(&g, "--watch=1", "--pretty=yes"), 0);
    assert_true(g.watch);
    assert_true(g.pretty);
    assert_int_equal(READ(&g, "--no-admin", "x"), 0); /* an option of that name comes first */
    assert_string_equal(g.admin, "x");
    expect_error(READ(&g, "--no-http"), &g, "there is no option --no-http");
    expect_error(READ(&g, "--no-watch=1"), &g, "there is no option --no-watch=1");
}

static void test_operands(void **state)
{
    given g;
    assert_int_equal(READ(&g, "a", "--watch", "b"), 0); /* in any order */
    assert_string_equal(g.operands[0], "a");
    assert_string_equal(g.operands[1], "b");
    assert_true(g.watch);
    assert_int_equal(READ(&g, "--http", "x", "-"), 0);
    assert_string_equal(g.operands[0], "-");
    assert_int_equal(READ(&g, ""), 0);
    assert_string_equal(g.operands[0], "");
    expect_error(READ(&g, "a", "b", "c"), &g, "there is one argument too many: c");
}

static void test_counts(void **state)
{
    given g;
    static const char *const wrong[] = {"",
                                        "x",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1x",
                                        "0x10",
                                        "1.5",
                                        "1000000001",
                                        "99999999999999999999999",
                                        "-18446744073709551615"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        expect_error(READ(&g, "--workers", wrong[i]), &g, "the value of --workers is not right");
        assert_int_equal(g.workers, 7);
    }
    assert_int_equal(READ(&g, "--workers", "1000000000"), 0);
    assert_int_equal(g.workers, 1000000000);
    assert_int_equal(READ(&g, "--workers", "010"), 0);
    assert_int_equal(g.workers, 10);
}

static void test_lists(void **state)
{
    given g;
    const char *argv[2 * PL_OPTION_LIST_MAX + 1] = {NULL};
    assert_int_equal(READ(&g, "--rule", "a", "--rule=b", "--rule", "c"), 0);
    assert_string_equal(g.rules[0], "a");
    assert_string_equal(g.rules[1], "b");
    assert_string_equal(g.rules[2], "c");
    assert_null(g.rules[3]);
    for (int i = 0; i < PL_OPTION_LIST_MAX - 1; i++)
        argv[i] = "--rule=x";
    g = (given){.http = NULL};
    assert_int_equal(read_with(&g, argv, 2), 0);
    assert_null(g.rules[PL_OPTION_LIST_MAX - 1]); /* it still ends */
    argv[PL_OPTION_LIST_MAX - 1] = "--rule=x";
    g = (given){.http = NULL};
    expect_error(read_with(&g, argv, 2), &g, "the value of --rule is not right");
}

static void test_errors(void **state)
{
    given g;
    expect_error(READ(&g, "--nope"), &g, "there is no option --nope");
    expect_error(READ(&g, "--nope=1"), &g, "there is no option --nope=1");
    expect_error(READ(&g, "--"), &g, "there is no option --");
    expect_error(READ(&g, "--=x"), &g, "there is no option --=x");
    expect_error(READ(&g, "--htt", "x"), &g, "there is no option --htt");
    expect_error(READ(&g, "--httpp", "x"), &g, "there is no option --httpp");
    expect_error(READ(&g, "--no-"), &g, "there is no option --no-");
    expect_error(READ(&g, "--http"), &g, "the option --http needs a value");
    expect_error(READ(&g, "a", "--workers"), &g, "the option --workers needs a value");
    expect_error(READ(&g, "--%s%n"), &g, "there is no option --%s%n");
}

static void test_help(void **state)
{
    given g;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(READ(&g, "a", i ? "--help" : "-h", "--nope"), 1);
        assert_string_equal(g.err, "");
        assert_non_null(strstr(g.out, "Usage: perilune do [DIR] [options]\n\nDoes it.\n\nOptions:\n"));
        assert_non_null(strstr(g.out, "  --http ADDRESS               where to serve [TEST_HTTP]\n"));
        assert_non_null(strstr(g.out, "  --watch                      watch the files [TEST_WATCH]\n"));
        assert_non_null(strstr(g.out, "  --pretty                     indent\n"));
        assert_non_null(strstr(g.out, "  --help                       this text\n"));
    }
    /* A command without options. */
    const pl_usage usage = {"perilune new NAME", "Makes it.", NULL};
    const char *name = NULL;
    char shop[] = "shop", unknown[] = "--x", asks[] = "--help";
    char *argv[] = {shop, NULL}, *wrong[] = {unknown, NULL}, *help[] = {asks, NULL};
    char out_text[512], err_text[512];
    int out, err;
    FILE *out_file, *err_file;
    redirect(STDOUT_FILENO, &out, &out_file);
    redirect(STDERR_FILENO, &err, &err_file);
    int statuses[] = {pl_options_read(&usage, 1, argv, &name, 1), pl_options_read(&usage, 1, wrong, &name, 1),
                      pl_options_read(&usage, 1, help, &name, 1)};
    restore(STDERR_FILENO, err, err_file, err_text, sizeof(err_text));
    restore(STDOUT_FILENO, out, out_file, out_text, sizeof(out_text));
    assert_int_equal(statuses[0], 0);
    assert_int_equal(statuses[1], 2);
    assert_int_equal(statuses[2], 1);
    assert_string_equal(name, "shop");
    assert_null(strstr(out_text, "Options:"));
}

static void test_environment(void **state)
{
    given g;
    setenv("TEST_HTTP", "from-environment", 1);
    setenv("TEST_WORKERS", "3", 1);
    setenv("TEST_WATCH", "1", 1);
    assert_int_equal(READ(&g, "x"), 0);
    assert_string_equal(g.http, "from-environment");
    assert_int_equal(g.workers, 3);
    assert_true(g.watch);
    assert_int_equal(READ(&g, "--http", "given", "--no-watch", "--workers=5"), 0); /* options win */
    assert_string_equal(g.http, "given");
    assert_int_equal(g.workers, 5);
    assert_false(g.watch);
    setenv("TEST_HTTP", "", 1); /* empty is not set */
    setenv("TEST_WATCH", "false", 1);
    assert_int_equal(READ(&g, "x"), 0);
    assert_string_equal(g.http, "default");
    assert_false(g.watch);
    setenv("TEST_WORKERS", "many", 1);
    expect_error(READ(&g, "x"), &g, "the value of the environment variable TEST_WORKERS is not right");
    unsetenv("TEST_HTTP");
    unsetenv("TEST_WORKERS");
    unsetenv("TEST_WATCH");
}

static const char *failed(const pl_error *e)
{
    static char text[2048];
    int saved;
    FILE *file;
    redirect(STDERR_FILENO, &saved, &file);
    int status = pl_cli_fail(e);
    restore(STDERR_FILENO, saved, file, text, sizeof(text));
    assert_int_equal(status, 1);
    return text;
}

static void test_failures(void **state)
{
    pl_error err = {0};
    pl_fail(&err, PL_INTERNAL, "100%% %s", "wrong");
    assert_string_equal(failed(&err), "perilune: 100% wrong\n");
    pl_fail_at(&err, PL_INTERNAL, "a.lua", 0, 0, "wrong");
    assert_string_equal(failed(&err), "perilune: a.lua: wrong\n");
    pl_fail_at(&err, PL_INTERNAL, "a.lua", 12, 3, "wrong");
    assert_string_equal(failed(&err), "perilune: a.lua:12: wrong\n");
}

static void test_files(void **state)
{
    char path[] = "/tmp/perilune-unit-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    char bytes[200000];
    memset(bytes, 'x', sizeof(bytes));
    bytes[100000] = '\0';
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    close(fd);
    pl_buf buf;
    pl_error err = {0};
    pl_buf_init(&buf);
    assert_int_equal(pl_cli_read_file(path, &buf, &err), PL_OK);
    assert_int_equal(buf.len, sizeof(bytes));
    assert_memory_equal(buf.data, bytes, sizeof(bytes));
    pl_buf_dispose(&buf);
    pl_buf_init(&buf);
    buf.limit = 1000;
    assert_int_equal(pl_cli_read_file(path, &buf, &err), PL_RESOURCE_EXHAUSTED);
    pl_buf_dispose(&buf);
    unlink(path);
    pl_buf_init(&buf);
    assert_int_equal(pl_cli_read_file(path, &buf, &err), PL_NOT_FOUND);
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(pl_cli_read_file("/tmp", &buf, &err), PL_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/tmp: Is a directory"));
    pl_buf_dispose(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),  cmocka_unit_test(test_options), cmocka_unit_test(test_flags),
        cmocka_unit_test(test_operands), cmocka_unit_test(test_counts),  cmocka_unit_test(test_lists),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_help),    cmocka_unit_test(test_environment),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
