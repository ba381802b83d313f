/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <sys/resource.h>

#include "app/files_watch.h"

#define QUIET 50 /* milliseconds without a change */
#define LONGEST 1000

typedef struct watched {
    folder f;
    pl_files_watch *watch;
    uint64_t now;
} watched;

static void watched_new(watched *w)
{
    pl_error err = {0};
    folder_new(&w->f);
    folder_write(&w->f, "app.lua", "return {}");
    folder_write(&w->f, "lib/deep/x.lua", "return 1");
    w->now = 1000;
    w->watch = pl_files_watch_new(w->f.path, &err);
    if (!w->watch)
        fail_msg("%s", err.message);
    assert_true(pl_files_watch_fd(w->watch) >= 0);
    assert_int_equal(pl_files_watch_wait(w->watch, w->now), -1);
}

static void watched_free(watched *w)
{
    pl_files_watch_free(w->watch);
    folder_remove(&w->f);
}

/* The kernel has queued events when the call that made them returns. */
static bool is_readable(const watched *w)
{
    struct pollfd p = {.fd = pl_files_watch_fd(w->watch), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* Whether what was done since the last look is a change; forgets it. */
static bool changed(watched *w)
{
    pl_files_watch_work(w->watch, w->now);
    bool waits = pl_files_watch_wait(w->watch, w->now) >= 0;
    assert_false(pl_files_watch_changed(w->watch, w->now)); /* not at once */
    w->now += QUIET;
    pl_files_watch_work(w->watch, w->now);
    if (waits)
        assert_int_equal(pl_files_watch_wait(w->watch, w->now), 0);
    assert_int_equal(pl_files_watch_changed(w->watch, w->now), waits);
    assert_false(pl_files_watch_changed(w->watch, w->now)); /* it is told once */
    assert_int_equal(pl_files_watch_wait(w->watch, w->now), -1);
    assert_false(is_readable(w));
    return waits;
}

static void test_changes_of_files(void **state)
{
    watched w;
    watched_new(&w);
    assert_false(changed(&w));
    folder_write(&w.f, "app.lua", "return { }");
    assert_true(is_readable(&w));
    assert_true(changed(&w));
    folder_write(&w.f, "lib/deep/x.lua", "return 2");
    assert_true(changed(&w));
    folder_write(&w.f, "lib/new.lua", "");
    assert_true(changed(&w));
    assert_int_equal(unlink(in(&w.f, "lib/new.lua")), 0);
    assert_true(changed(&w));
    assert_int_equal(rename(in(&w.f, "lib/deep/x.lua"), in(&w.f, "lib/deep/y.lua")), 0);
    assert_true(changed(&w));
    static const char *const wanted[] = {"a.graphql", "a.graphqls", "a.gql", "a.proto", "a.binpb"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        folder_write(&w.f, wanted[i], "");
        assert_true(changed(&w));
    }
    watched_free(&w);
}

static void test_reading_is_no_change(void **state)
{
    watched w;
    pl_error err = {0};
    watched_new(&w);
    pl_bundle *b = pl_bundle_read(w.f.path, &err);
    assert_non_null(b);
    pl_bundle_unref(b);
    assert_false(changed(&w));
    watched_free(&w);
}

static void test_replaced_by_rename(void **state)
{
    watched w;
    watched_new(&w);
    folder_write(&w.f, ".app.lua.tmp", "return { name = 'x' }");
    assert_false(changed(&w));
    assert_int_equal(rename(in(&w.f, ".app.lua.tmp"), in(&w.f, "app.lua")), 0);
    assert_true(changed(&w));
    /* From a directory that is not watched. */
    folder other;
    folder_new(&other);
    folder_write(&other, "app.lua", "");
    assert_int_equal(rename(in(&other, "app.lua"), in(&w.f, "app.lua")), 0);
    assert_true(changed(&w));
    folder_remove(&other);
    watched_free(&w);
}

static void test_editors_do_much_and_it_is_one_change(void **state)
{
    watched w;
    watched_new(&w);
    /* vim: a probe, a swap file, the old file as backup, the new one, and away with the backup. */
    folder_write(&w.f, "4913", "");
    unlink(in(&w.f, "4913"));
    folder_write(&w.f, ".app.lua.swp", "swap");
    assert_false(changed(&w));
    assert_int_equal(rename(in(&w.f, "app.lua"), in(&w.f, "app.lua~")), 0);
    folder_write(&w.f, "app.lua", "return { name = 'x' }");
    unlink(in(&w.f, "app.lua~"));
    assert_true(changed(&w));
    /* Backups, locks and autosaves alone. */
    folder_write(&w.f, "lib/x.lua~", "");
    folder_write(&w.f, "lib/#x.lua#", "");
    assert_int_equal(symlink("user@host.123", in(&w.f, "lib/.#x.lua")), 0);
    unlink(in(&w.f, "lib/x.lua~"));
    assert_false(changed(&w));
    watched_free(&w);
}

static void test_ignores_what_is_no_part_of_a_bundle(void **state)
{
    watched w;
    watched_new(&w);
    static const char *const ignored[] = {"blog.db",    "blog.db-wal", "blog.db-shm", "blog.db-journal",
                                          "server.log", "README.md",   ".env",        "lua",
                                          "x.lua.bak"};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        folder_write(&w.f, ignored[i], "x");
        folder_write(&w.f, ignored[i], "y");
        assert_false(changed(&w));
    }
    folder_write(&w.f, ".git/x.lua", "");
    folder_write(&w.f, "node_modules/pkg/x.lua", "");
    assert_false(changed(&w));
    folder_write(&w.f, ".git/y.lua", "");
    folder_write(&w.f, "node_modules/pkg/y.lua", "");
    assert_false(changed(&w));
    watched_free(&w);
}

static void test_new_directories(void **state)
{
    watched w;
    watched_new(&w);
    /* Made with all that is in them before anybody has looked. */
    folder_write(&w.f, "schema/parts/a.graphql", "type A { x: Int }");
    assert_true(changed(&w));
    folder_write(&w.f, "schema/parts/a.graphql", "type B { x: Int }");
    assert_true(changed(&w));
    folder_write(&w.f, "schema/parts/more/b.graphql", "");
    assert_true(changed(&w));
    folder_write(&w.f, "schema/parts/more/b.graphql", "x");
    assert_true(changed(&w));
    /* Renamed: still watched below its new name, and as one. */
    assert_int_equal(rename(in(&w.f, "schema"), in(&w.f, "schemas")), 0);
    assert_true(changed(&w));
    folder_write(&w.f, "schemas/parts/more/b.graphql", "y");
    assert_true(changed(&w));
    /* Moved in from elsewhere. */
    folder other;
    folder_new(&other);
    folder_write(&other, "sub/deep/z.lua", "");
    assert_int_equal(rename(in(&other, "sub"), in(&w.f, "lib/sub")), 0);
    assert_true(changed(&w));
    folder_write(&w.f, "lib/sub/deep/z.lua", "return 1");
    assert_true(changed(&w));
    folder_remove(&other);
    /* Gone, and there again. */
    assert_int_equal(unlink(in(&w.f, "lib/sub/deep/z.lua")), 0);
    assert_int_equal(rmdir(in(&w.f, "lib/sub/deep")), 0);
    assert_true(changed(&w));
    folder_write(&w.f, "lib/sub/deep/z.lua", "");
    assert_true(changed(&w));
    folder_write(&w.f, "lib/sub/deep/z.lua", "x");
    assert_true(changed(&w));
    watched_free(&w);
}

static void test_waits_until_all_is_quiet(void **state)
{
    watched w;
    watched_new(&w);
    folder_write(&w.f, "app.lua", "1");
    pl_files_watch_work(w.watch, 1000);
    assert_int_equal(pl_files_watch_wait(w.watch, 1000), QUIET);
    assert_int_equal(pl_files_watch_wait(w.watch, 1020), QUIET - 20);
    folder_write(&w.f, "lib/deep/x.lua", "2");
    pl_files_watch_work(w.watch, 1040);
    assert_int_equal(pl_files_watch_wait(w.watch, 1050), QUIET - 10);
    assert_false(pl_files_watch_changed(w.watch, 1050));
    assert_false(pl_files_watch_changed(w.watch, 1089));
    assert_int_equal(pl_files_watch_wait(w.watch, 5000), 0);
    assert_true(pl_files_watch_changed(w.watch, 1090));
    assert_int_equal(pl_files_watch_wait(w.watch, 1090), -1);
    watched_free(&w);
}

static void test_does_not_wait_for_ever(void **state)
{
    watched w;
    watched_new(&w);
    uint64_t now = 1000;
    folder_write(&w.f, "app.lua", "x");
    pl_files_watch_work(w.watch, now);
    while (!pl_files_watch_changed(w.watch, now)) {
        now += QUIET / 2;
        assert_true(now <= 1000 + LONGEST);
        folder_write(&w.f, "app.lua", "x");
        pl_files_watch_work(w.watch, now);
    }
    assert_int_equal(now, 1000 + LONGEST);
    watched_free(&w);
}

static void test_more_than_the_kernel_keeps(void **state)
{
    watched w;
    watched_new(&w);
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    int most = 16384;
    if (f) {
        if (fscanf(f, "%d", &most) != 1)
            most = 16384;
        fclose(f);
    }
    /* Files that do not count fill the queue; the one that does is lost, and must be seen all the same. */
    int a = openat(AT_FDCWD, w.f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i <= most / 2; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%d", i % 2);
        close(openat(a, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
        unlinkat(a, name, 0);
    }
    close(a);
    folder_write(&w.f, "lib/deep/x.lua", "return 3");
    assert_true(changed(&w));
    watched_free(&w);
}

static void test_what_cannot_be_watched(void **state)
{
    folder f;
    pl_error err = {0};
    folder_new(&f);
    folder_write(&f, "app.lua", "");
    assert_null(pl_files_watch_new(in(&f, "missing"), &err));
    assert_int_equal(err.code, PL_NOT_FOUND);
    assert_has(err.message, "missing cannot be watched: No such file or directory");
    assert_null(pl_files_watch_new(in(&f, "app.lua"), &err));
    assert_int_equal(err.code, PL_NOT_FOUND);
    /* Below, it is none of the watch's business. */
    folder_write(&f, "lib/x.lua", "");
    assert_int_equal(symlink("nowhere", in(&f, "dangling")), 0);
    assert_int_equal(symlink(".", in(&f, "loop")), 0);
    pl_files_watch *w = pl_files_watch_new(f.path, &err);
    assert_non_null(w);
    pl_files_watch_free(w);
    pl_files_watch_free(NULL);
    folder_remove(&f);
}

static void test_no_descriptors(void **state)
{
    folder f;
    pl_error err = {0};
    struct rlimit before, none;
    folder_new(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    pl_files_watch *w = pl_files_watch_new(f.path, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(w);
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_has(err.message, "cannot be watched: Too many open files");
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_of_files),
        cmocka_unit_test(test_reading_is_no_change),
        cmocka_unit_test(test_replaced_by_rename),
        cmocka_unit_test(test_editors_do_much_and_it_is_one_change),
        cmocka_unit_test(test_ignores_what_is_no_part_of_a_bundle),
        cmocka_unit_test(test_new_directories),
        cmocka_unit_test(test_waits_until_all_is_quiet),
        cmocka_unit_test(test_does_not_wait_for_ever),
        cmocka_unit_test(test_more_than_the_kernel_keeps),
        cmocka_unit_test(test_what_cannot_be_watched),
        cmocka_unit_test(test_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
