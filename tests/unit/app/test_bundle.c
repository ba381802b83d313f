/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>

#include "support/failing.h"

#define NOBODY 65534

static pl_bundle *read_ok(const folder *f)
{
    pl_error err = {0};
    pl_bundle *b = pl_bundle_read(f->path, &err);
    if (!b)
        fail_msg("%s: %s", err.file, err.message);
    return b;
}

/* The paths in their order, as "a.lua b.lua". */
static const char *paths(const pl_bundle *b)
{
    static char text[8192];
    text[0] = '\0';
    for (size_t i = 0; i < b->file_count; i++) {
        assert_int_equal(strlen(b->files[i].path.ptr), b->files[i].path.len);
        strcat(text, i ? " " : "");
        strcat(text, b->files[i].path.ptr);
    }
    return text;
}

static void test_reads_the_files_of_a_bundle_sorted(void **state)
{
    folder f;
    folder_new(&f);
    folder_write(&f, "schema/b.graphqls", "b");
    folder_write(&f, "schema/a.graphql", "a");
    folder_write(&f, "schema/c.gql", "c");
    folder_write(&f, "resolvers/deep/er/x.lua", "return {}");
    folder_write(&f, "resolvers-old.lua", "");
    folder_write(&f, "app.lua", "return { name = 'x' }");
    folder_write(&f, "proto/p.proto", "p");
    folder_write(&f, "proto/p.binpb", "q");
    folder_write(&f, "persisted-documents.json", "{}");
    folder_write(&f, "package.json", "not wanted");
    folder_write(&f, "auth/jwks.json", "{}");
    folder_write(&f, "auth/public.pem", "");
    folder_write(&f, "README.md", "not wanted");
    folder_write(&f, "blog.db", "not wanted");
    folder_write(&f, "app.lua~", "not wanted");
    folder_write(&f, "lua", "not wanted");
    pl_bundle *b = read_ok(&f);
    assert_string_equal(
        paths(b),
        "app.lua auth/jwks.json auth/public.pem persisted-documents.json proto/p.binpb proto/p.proto "
        "resolvers-old.lua resolvers/deep/er/x.lua "
        "schema/a.graphql schema/b.graphqls schema/c.gql");
    char absolute[PATH_MAX];
    assert_non_null(realpath(f.path, absolute));
    assert_true(pl_str_is(b->directory, absolute));
    const pl_file *file = pl_bundle_find(b, PL_STR("app.lua"));
    assert_non_null(file);
    assert_true(pl_str_is(file->bytes, "return { name = 'x' }"));
    file = pl_bundle_find(b, PL_STR("resolvers-old.lua"));
    assert_non_null(file->bytes.ptr); /* empty, not absent */
    assert_int_equal(file->bytes.len, 0);
    for (size_t i = 0; i < b->file_count; i++)
        assert_ptr_equal(pl_bundle_find(b, b->files[i].path), &b->files[i]);
    assert_null(pl_bundle_find(b, PL_STR("a")));
    assert_null(pl_bundle_find(b, PL_STR("app.lu")));
    assert_null(pl_bundle_find(b, PL_STR("app.lua2")));
    assert_null(pl_bundle_find(b, PL_STR("zzz")));
    assert_null(pl_bundle_find(b, PL_STR("")));
    pl_bundle_unref(b);
    folder_remove(&f);
}

static void test_leaves_out_hidden_files_and_packages(void **state)
{
    folder f;
    folder_new(&f);
    folder_write(&f, "app.lua", "");
    folder_write(&f, ".hidden.lua", "");
    folder_write(&f, ".lua", "");
    folder_write(&f, ".git/x.lua", "");
    folder_write(&f, "lib/.cache/x.lua", "");
    folder_write(&f, "node_modules/x.lua", "");
    folder_write(&f, "lib/node_modules/x.lua", "");
    folder_write(&f, "lib/node_modules.lua", "");
    pl_bundle *b = read_ok(&f);
    assert_string_equal(paths(b), "app.lua lib/node_modules.lua");
    pl_bundle_unref(b);
    folder_remove(&f);
}

static void test_follows_links_to_files_inside_only(void **state)
{
    folder f, other;
    folder_new(&f);
    folder_new(&other);
    folder_write(&other, "secret.lua", "out");
    folder_write(&f, "app.lua", "in");
    folder_write(&f, ".data/real.lua", "in");
    folder_write(&f, "lib/x.lua", "in");
    assert_int_equal(symlink(".data/real.lua", in(&f, "linked.lua")), 0); /* as mounted configuration looks */
    assert_int_equal(symlink("../app.lua", in(&f, "lib/up.lua")), 0);
    assert_int_equal(symlink(in(&other, "secret.lua"), in(&f, "out.lua")), 0);
    assert_int_equal(symlink("out.lua", in(&f, "twice.lua")), 0);
    assert_int_equal(symlink("nowhere.lua", in(&f, "dangling.lua")), 0);
    assert_int_equal(symlink("self.lua", in(&f, "self.lua")), 0);
    assert_int_equal(symlink("lib", in(&f, "folder.lua")), 0);
    assert_int_equal(symlink(".", in(&f, "lib/loop")), 0);
    assert_int_equal(symlink(other.path, in(&f, "lib/other")), 0);
    /* A neighbour whose name begins with the bundle's. */
    char neighbour[PATH_MAX];
    snprintf(neighbour, sizeof(neighbour), "%s-2", f.path);
    assert_int_equal(mkdir(neighbour, 0777), 0);
    folder next;
    snprintf(next.path, sizeof(next.path), "%.250s", neighbour);
    folder_write(&next, "n.lua", "out");
    assert_int_equal(symlink(in(&next, "n.lua"), in(&f, "neighbour.lua")), 0);
    pl_bundle *b = read_ok(&f);
    assert_string_equal(paths(b), "app.lua lib/up.lua lib/x.lua linked.lua");
    assert_true(pl_str_is(pl_bundle_find(b, PL_STR("linked.lua"))->bytes, "in"));
    pl_bundle_unref(b);
    folder_remove(&next);
    folder_remove(&other);
    folder_remove(&f);
}

static void test_reads_through_a_link_to_the_directory(void **state)
{
    folder f, links;
    pl_error err = {0};
    folder_new(&f);
    folder_new(&links);
    folder_write(&f, "app.lua", "");
    assert_int_equal(symlink(f.path, in(&links, "current")), 0);
    pl_bundle *b = pl_bundle_read(in(&links, "current"), &err);
    assert_non_null(b);
    assert_true(pl_str_starts(b->directory, PL_STR("/")));
    assert_null(strstr(b->directory.ptr, "current"));
    pl_bundle_unref(b);
    folder_remove(&links);
    folder_remove(&f);
}

static void test_does_not_wait_for_pipes(void **state)
{
    folder f;
    folder_new(&f);
    folder_write(&f, "app.lua", "");
    assert_int_equal(mkfifo(in(&f, "pipe.lua"), 0666), 0);
    assert_int_equal(symlink("pipe.lua", in(&f, "linked.lua")), 0);
    pl_bundle *b = read_ok(&f);
    assert_string_equal(paths(b), "app.lua");
    pl_bundle_unref(b);
    folder_remove(&f);
}

static void test_bounds_depth(void **state)
{
    folder f;
    char name[256] = "";
    folder_new(&f);
    folder_write(&f, "app.lua", "");
    for (int i = 0; i < 40; i++)
        strcat(name, "d/");
    strcat(name, "x.lua");
    folder_write(&f, name, "");
    folder_write(&f, "d/d/d/y.lua", "");
    pl_bundle *b = read_ok(&f);
    assert_string_equal(paths(b), "app.lua d/d/d/y.lua");
    pl_bundle_unref(b);
    folder_remove(&f);
}

static void expect_refused(const char *directory, pl_code code, const char *file, const char *message)
{
    pl_error err = {0};
    assert_null(pl_bundle_read(directory, &err));
    assert_int_equal(err.code, code);
    assert_string_equal(err.file, file);
    assert_has(err.message, message);
}

static void test_refuses_what_is_no_bundle(void **state)
{
    folder f;
    folder_new(&f);
    expect_refused(f.path, PL_NOT_FOUND, "", "no bundle here");
    folder_write(&f, "README.md", "nothing for us");
    expect_refused(f.path, PL_NOT_FOUND, "", "no bundle here");
    expect_refused(in(&f, "missing"), PL_NOT_FOUND, "", "No such file");
    expect_refused(in(&f, "README.md"), PL_NOT_FOUND, "", "Not a directory");
    folder_remove(&f);
}

static void test_refuses_what_is_too_large(void **state)
{
    folder f;
    folder_new(&f);
    folder_write(&f, "app.lua", "");
    folder_write(&f, "big.binpb", "");
    assert_int_equal(truncate(in(&f, "big.binpb"), ((off_t)64 << 20) + 1), 0);
    expect_refused(f.path, PL_RESOURCE_EXHAUSTED, "", "larger than 64 MiB");
    folder_remove(&f);

    /* One byte less is taken; and it is the sum that counts. */
    size_t most = (size_t)64 << 20;
    char *bytes = calloc(1, most);
    pl_file files[] = {
        {PL_STR("a.lua"), {bytes, most}}, {PL_STR("b.lua"), PL_STR("")}, {PL_STR("c.lua"), PL_STR("c")}};
    pl_error err = {0};
    pl_bundle *b = pl_bundle_from_memory(files, 2, &err);
    assert_non_null(b);
    pl_bundle_unref(b);
    assert_null(pl_bundle_from_memory(files, 3, &err));
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_has(err.message, "larger than 64 MiB");
    free(bytes);
}

static void test_refuses_too_many_files(void **state)
{
    enum { MOST = 20000 };
    pl_file *files = calloc(MOST + 1, sizeof(*files));
    char *names = calloc(MOST + 1, 16);
    pl_error err = {0};
    for (int i = 0; i <= MOST; i++) {
        snprintf(names + i * 16, 16, "%05d.lua", (i * 7919) % (MOST + 1));
        files[i] = (pl_file){pl_str_of(names + i * 16), PL_STR("")};
    }
    pl_bundle *b = pl_bundle_from_memory(files, MOST, &err);
    assert_non_null(b);
    for (size_t i = 1; i < b->file_count; i++)
        assert_true(strcmp(b->files[i - 1].path.ptr, b->files[i].path.ptr) < 0);
    pl_bundle_unref(b);
    assert_null(pl_bundle_from_memory(files, MOST + 1, &err));
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_has(err.message, "more than 20000 files");
    free(names);
    free(files);
}

/* --- the hash --- */

static void hash_of(char *out, const char *const *pairs)
{
    pl_bundle *b = memory_bundle(pairs);
    assert_int_equal(strlen(b->hash), 64);
    assert_int_equal(strspn(b->hash, "0123456789abcdef"), 64);
    memcpy(out, b->hash, sizeof(b->hash));
    pl_bundle_unref(b);
}
#define HASH(out, ...) hash_of(out, (const char *const[]){__VA_ARGS__, NULL})

static void test_hash_tells_paths_and_contents(void **state)
{
    char first[65], other[65];
    HASH(first, "a.lua", "1", "b.lua", "2");
    HASH(other, "b.lua", "2", "a.lua", "1");
    assert_string_equal(first, other); /* the order they are given in says nothing */
    HASH(other, "a.lua", "1", "b.lua", "3");
    assert_string_not_equal(first, other);
    HASH(other, "a.lua", "2", "b.lua", "1");
    assert_string_not_equal(first, other);
    HASH(other, "a.lua", "1", "c.lua", "2");
    assert_string_not_equal(first, other);
    HASH(other, "a.lua", "1");
    assert_string_not_equal(first, other);
    HASH(other, "a.lua", "1", "b.lua", "2", "c.lua", "");
    assert_string_not_equal(first, other);
    HASH(other, "a.lua", "1b.lua2"); /* the same bytes in a row */
    assert_string_not_equal(first, other);
    HASH(first, "a.lua1", "");
    HASH(other, "a.lua", "1");
    assert_string_not_equal(first, other);
}

static void test_hash_does_not_tell_the_directory(void **state)
{
    folder f, g;
    folder_new(&f);
    folder_new(&g);
    folder_write(&f, "app.lua", "return {}");
    folder_write(&g, "app.lua", "return {}");
    folder_write(&g, "notes.txt", "no part of the bundle");
    pl_bundle *a = read_ok(&f), *b = read_ok(&g), *c = MEMORY_BUNDLE("app.lua", "return {}");
    assert_string_equal(a->hash, b->hash);
    assert_string_equal(a->hash, c->hash);
    assert_int_equal(c->directory.len, 0);
    pl_bundle_unref(a);
    pl_bundle_unref(b);
    pl_bundle_unref(c);
    folder_remove(&f);
    folder_remove(&g);
}

/* --- from memory --- */

static void test_memory_is_copied(void **state)
{
    char path[] = "app.lua", text[] = "return {}";
    pl_file file = {pl_str_of(path), pl_str_of(text)};
    pl_error err = {0};
    pl_bundle *b = pl_bundle_from_memory(&file, 1, &err);
    memset(path, 'x', sizeof(path));
    memset(text, 'x', sizeof(text));
    assert_string_equal(b->files[0].path.ptr, "app.lua");
    assert_true(pl_str_is(b->files[0].bytes, "return {}"));
    pl_bundle_unref(b);
    b = pl_bundle_from_memory(NULL, 0, &err);
    assert_non_null(b);
    assert_int_equal(b->file_count, 0);
    assert_null(pl_bundle_find(b, PL_STR("app.lua")));
    pl_bundle_unref(b);
    pl_bundle_unref(NULL);
}

static void test_refuses_two_files_of_one_name(void **state)
{
    pl_file files[] = {
        {PL_STR("a.lua"), PL_STR("1")}, {PL_STR("b.lua"), PL_STR("")}, {PL_STR("a.lua"), PL_STR("2")}};
    pl_error err = {0};
    assert_null(pl_bundle_from_memory(files, 3, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "a.lua");
}

static void test_file_is(void **state)
{
    const pl_file file = {PL_STR("resolvers/sub/query.lua"), PL_STR("")};
    assert_true(pl_file_is(&file, "resolvers/", ".lua"));
    assert_true(pl_file_is(&file, "", "query.lua"));
    assert_false(pl_file_is(&file, "resolver/", ".lua"));
    assert_false(pl_file_is(&file, "sub/", ".lua"));
    assert_false(pl_file_is(&file, "resolvers/", ".graphql"));
    const pl_file brief = {PL_STR("lua"), PL_STR("")};
    assert_false(pl_file_is(&brief, "", ".lua"));
}

static void *unref_often(void *data)
{
    for (int i = 0; i < 1000; i++)
        pl_bundle_unref(data);
    return NULL;
}

static void test_references_from_many_threads(void **state)
{
    pthread_t threads[4];
    pl_bundle *b = MEMORY_BUNDLE("app.lua", "");
    for (int i = 0; i < 3999; i++)
        assert_ptr_equal(pl_bundle_ref(b), b);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, unref_often, b), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* --- trouble --- */

/* Root reads everything; so as root the test becomes nobody for a moment. */
static void expect_unreadable(const folder *f, const char *file)
{
    uid_t self = geteuid();
    pl_error err = {0};
    assert_int_equal(chmod(f->path, 0755), 0);
    if (self == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    pl_bundle *b = pl_bundle_read(f->path, &err);
    if (self == 0)
        assert_int_equal(seteuid(0), 0);
    assert_null(b);
    assert_int_equal(err.code, PL_UNAVAILABLE);
    assert_string_equal(err.file, file);
    assert_has(err.message, "cannot be read: Permission denied");
}

static void test_nothing_that_cannot_be_read_is_left_out(void **state)
{
    folder f;
    folder_new(&f);
    folder_write(&f, "app.lua", "");
    folder_write(&f, "lib/x.lua", "");
    assert_int_equal(chmod(in(&f, "app.lua"), 0), 0);
    expect_unreadable(&f, "app.lua");
    assert_int_equal(chmod(in(&f, "app.lua"), 0644), 0);
    assert_int_equal(chmod(in(&f, "lib"), 0), 0);
    expect_unreadable(&f, "lib");
    assert_int_equal(chmod(in(&f, "lib"), 0744), 0); /* can be listed, but not entered */
    expect_unreadable(&f, "lib/x.lua");
    assert_int_equal(chmod(in(&f, "lib"), 0755), 0);
    folder_remove(&f);
}

typedef struct churn {
    folder f;
    atomic_bool stop;
} churn;

static void *come_and_go(void *data)
{
    churn *c = data;
    while (!atomic_load(&c->stop)) {
        folder_write(&c->f, "lib/coming.lua", "x");
        unlink(in(&c->f, "lib/coming.lua"));
        folder_write(&c->f, "lib/going/x.lua", "x");
        unlink(in(&c->f, "lib/going/x.lua"));
        rmdir(in(&c->f, "lib/going"));
    }
    return NULL;
}

static void test_files_that_vanish_are_no_error(void **state)
{
    churn c = {.stop = false};
    pthread_t thread;
    folder_new(&c.f);
    folder_write(&c.f, "app.lua", "");
    for (int i = 0; i < 100;
         i++) { /* so that there is time between a look at the directory and one at the file */
        char name[32];
        snprintf(name, sizeof(name), "lib/stays%d.lua", i);
        folder_write(&c.f, name, "");
    }
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &c), 0);
    for (int i = 0; i < 100; i++) {
        pl_bundle *b = read_ok(&c.f);
        assert_non_null(pl_bundle_find(b, PL_STR("app.lua")));
        assert_non_null(pl_bundle_find(b, PL_STR("lib/stays99.lua")));
        pl_bundle_unref(b);
    }
    atomic_store(&c.stop, true);
    pthread_join(thread, NULL);
    folder_remove(&c.f);
}

static void test_memory_failures(void **state)
{
    folder f;
    folder_new(&f);
    folder_write(&f, "app.lua", "return {}");
    folder_write(&f, "lib/x.lua", "return {}");
    failing a = {0};
    while (failing_next(&a)) {
        pl_error err = {0};
        failing_begin(&a);
        pl_bundle *b = pl_bundle_read(f.path, &err);
        assert_int_equal(b == NULL, failing_end(&a));
        if (b)
            assert_string_equal(paths(b), "app.lua lib/x.lua");
        else
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        pl_bundle_unref(b);
    }
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_the_files_of_a_bundle_sorted),
        cmocka_unit_test(test_leaves_out_hidden_files_and_packages),
        cmocka_unit_test(test_follows_links_to_files_inside_only),
        cmocka_unit_test(test_reads_through_a_link_to_the_directory),
        cmocka_unit_test(test_does_not_wait_for_pipes),
        cmocka_unit_test(test_bounds_depth),
        cmocka_unit_test(test_refuses_what_is_no_bundle),
        cmocka_unit_test(test_refuses_what_is_too_large),
        cmocka_unit_test(test_refuses_too_many_files),
        cmocka_unit_test(test_hash_tells_paths_and_contents),
        cmocka_unit_test(test_hash_does_not_tell_the_directory),
        cmocka_unit_test(test_memory_is_copied),
        cmocka_unit_test(test_refuses_two_files_of_one_name),
        cmocka_unit_test(test_file_is),
        cmocka_unit_test(test_references_from_many_threads),
        cmocka_unit_test(test_nothing_that_cannot_be_read_is_left_out),
        cmocka_unit_test(test_files_that_vanish_are_no_error),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
