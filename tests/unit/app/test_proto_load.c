/* SPDX-License-Identifier: MIT */
#include "app/proto_load.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"
#include "support/failing.h"

pl_str test_protos(void);

#define A "syntax = \"proto3\";\npackage a;\nmessage A {}\n"

/* Of files whose bytes may be any. */
static pl_bundle *bundle_of(size_t count, const pl_file *files)
{
    pl_error err;
    pl_bundle *bundle = pl_bundle_from_memory(files, count, &err);
    assert_non_null(bundle);
    return bundle;
}

static pl_protos *load(pl_bundle *bundle, pl_proto_cache *cache)
{
    pl_report report;
    pl_protos *protos = NULL;
    pl_report_init(&report);
    if (!pl_protos_load(bundle, cache, &report, &protos))
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    return protos;
}

static void expect_refused(pl_bundle *bundle, const char *part)
{
    pl_report report;
    pl_protos *protos = NULL;
    pl_report_init(&report);
    assert_false(pl_protos_load(bundle, NULL, &report, &protos));
    assert_null(protos);
    assert_has(report_text(&report), part);
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
}

static bool has(const pl_protos *protos, const char *message)
{
    return pb_pool_message(pl_protos_pool(protos), pl_str_of(message)) != NULL;
}

static void test_nothing(void **state)
{
    assert_null(load(MEMORY_BUNDLE("app.lua", "", "lib/a.proto", A), NULL));
    assert_null(pl_protos_pool(NULL));
    pl_protos_unref(NULL);
}

static void test_files_and_sets(void **state)
{
    const char *user =
        "syntax = \"proto3\";\npackage u;\nimport \"everything.proto\";\nimport \"deep/a.proto\";\n"
        "import \"google/protobuf/empty.proto\";\nimport \"google/api/annotations.proto\";\n"
        "message U { test.v1.User user = 1; a.A a = 2; google.protobuf.Empty empty = 3; }\n"
        "service S { rpc Get(U) returns (U) { option (google.api.http) = { get: \"/v1\" }; } }\n";
    const pl_file files[] = {{PL_STR("proto/all.pb"), test_protos()},
                             {PL_STR("proto/deep/a.proto"), PL_STR(A)},
                             {PL_STR("proto/u.proto"), pl_str_of(user)}};
    pl_protos *protos = load(bundle_of(3, files), NULL);
    assert_true(has(protos, "test.v1.User") && has(protos, "a.A") && has(protos, "u.U"));
    const pb_pool *pool = pl_protos_pool(protos);
    assert_true(pb_pool_file(pool, PL_STR("google/protobuf/empty.proto"))->built_in);
    assert_false(pb_pool_file(pool, PL_STR("everything.proto"))->built_in);
    const pb_service *s = pb_pool_service(pool, PL_STR("u.S"));
    pl_str rule, path;
    assert_true(pb_find_bytes(s->methods[0].options, 72295728, &rule) && pb_find_bytes(rule, 2, &path));
    assert_true(pl_str_is(path, "/v1"));
    pl_protos_unref(protos);
}

static void test_what_is_wrong(void **state)
{
    const pl_file twice[] = {{PL_STR("proto/a.proto"), PL_STR(A)}, {PL_STR("proto/b.proto"), PL_STR(A)}};
    expect_refused(bundle_of(2, twice), "proto/b.proto:3:9: \"a.A\" is already defined in file \"a.proto\".");
    const pl_file cut[] = {{PL_STR("proto/a.binpb"), {test_protos().ptr, 100}}};
    expect_refused(bundle_of(1, cut), "proto/a.binpb: it is no descriptor set: it");
    const pl_file other[] = {{PL_STR("proto/all.binpb"), test_protos()},
                             {PL_STR("proto/everything.proto"), PL_STR(A)}};
    expect_refused(bundle_of(2, other), "another everything.proto than the sets before it");
    const pl_file out[] = {{PL_STR("proto/../../x.proto"), PL_STR(A)}};
    expect_refused(bundle_of(1, out), "Invalid argument");
}

static pl_protos *cached(pl_proto_cache *cache, const char *text)
{
    return load(MEMORY_BUNDLE("proto/a.proto", text), cache);
}

/* The cache keeps the last four contents; who has one keeps it as long as it likes. */
static void test_cache(void **state)
{
    static const char *const texts[] = {A "// 0\n", A "// 1\n", A "// 2\n", A "// 3\n"};
    pl_proto_cache *cache = pl_proto_cache_new();
    pl_protos *first = cached(cache, A), *again = cached(cache, A);
    assert_ptr_equal(first, again);
    pl_protos_unref(again);
    for (size_t i = 0; i < 3; i++)
        pl_protos_unref(cached(cache, texts[i]));
    again = cached(cache, A); /* is used once more, and so the last to go */
    assert_ptr_equal(first, again);
    pl_protos_unref(again);
    pl_protos_unref(cached(cache, texts[3]));
    again = cached(cache, A);
    assert_ptr_equal(first, again);
    pl_protos_unref(again);
    for (size_t i = 0; i < 4; i++)
        pl_protos_unref(cached(cache, texts[i]));
    again = cached(cache, A);
    assert_ptr_not_equal(first, again);
    pl_protos_unref(again);
    pl_proto_cache_free(cache);
    assert_true(has(first, "a.A"));
    pl_protos_unref(first);
    pl_proto_cache_free(NULL);
}

#define REFERENCES 2000

static atomic_int taken; /* relaxed: it must order nothing */

static void *give_back(void *data)
{
    for (int i = 0; i < REFERENCES; i++) {
        while (atomic_load_explicit(&taken, memory_order_relaxed) < i)
            sched_yield();
        pl_protos_unref(data);
    }
    return NULL;
}

/* Where the host program reloads and a thread of ours ends generations. Sanitizers see it go wrong. */
static void test_references_from_two_threads(void **state)
{
    pthread_t thread;
    pl_proto_cache *cache = pl_proto_cache_new();
    pl_protos *first = cached(cache, A);
    for (int i = 0; i < REFERENCES; i++)
        assert_ptr_equal(cached(cache, A), first);
    assert_int_equal(pthread_create(&thread, NULL, give_back, first), 0);
    for (int i = 0; i < REFERENCES; i++) {
        pl_protos_unref(cached(cache, A));
        atomic_store_explicit(&taken, i, memory_order_relaxed);
    }
    pthread_join(thread, NULL);
    pl_proto_cache_free(cache);
    assert_true(has(first, "a.A"));
    pl_protos_unref(first);
}

/* The name counts, and so does what it is: a set, or text. */
static void test_cache_tells_apart(void **state)
{
    const pl_file a[] = {{PL_STR("proto/x.binpb"), PL_STR("")}},
                  b[] = {{PL_STR("proto/y.binpb"), PL_STR("")}};
    pl_proto_cache *cache = pl_proto_cache_new();
    pl_protos *first = load(bundle_of(1, a), cache), *second = load(bundle_of(1, b), cache);
    assert_ptr_not_equal(first, second);
    setenv("PERILUNE_PROTOC", "other", 1);
    pl_protos *third = load(bundle_of(1, a), cache);
    unsetenv("PERILUNE_PROTOC");
    assert_ptr_not_equal(first, third);
    pl_protos_unref(first);
    pl_protos_unref(second);
    pl_protos_unref(third);
    pl_proto_cache_free(cache);
}

static void test_no_memory(void **state)
{
    const pl_file files[] = {{PL_STR("proto/all.binpb"), test_protos()}};
    failing a = {.sticky = true, .dense = 200, .step = 7};
    while (failing_next(&a)) {
        pl_report report;
        pl_protos *protos = NULL;
        pl_bundle *bundle = bundle_of(1, files);
        pl_report_init(&report);
        failing_begin(&a);
        pl_proto_cache *cache = pl_proto_cache_new();
        bool ok = pl_protos_load(bundle, cache, &report, &protos);
        assert_true(failing_end(&a) ? !ok || !cache : ok);
        assert_int_equal(ok, protos != NULL);
        assert_true(ok || pl_report_has_errors(&report));
        pl_protos_unref(protos);
        pl_proto_cache_free(cache);
        pl_report_dispose(&report);
        pl_bundle_unref(bundle);
    }
    assert_true(a.failed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_files_and_sets),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cache_tells_apart),
        cmocka_unit_test(test_references_from_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
