/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/digest.h"
#include "app/generation.h"
#include "app/trusted.h"
#include "support/failing.h"

#define SCHEMA "schema/schema.graphql", "type Query { a: Int b: Int }"

static pl_report report;
static gql_schema *schema;

/* Frees the bundle at once: nothing of it may be kept. */
static pl_trusted *read_documents(pl_bundle *bundle, const char *path)
{
    static const gql_service_options options;
    static const gql_schema_options schema_options;
    pl_report_init(&report);
    assert_int_equal(pl_bundle_schema(bundle, &schema_options, &report, &schema), PL_OK);
    pl_trusted *t = pl_trusted_new(bundle, pl_str_of(path), schema, &options, &report);
    pl_report_keep(&report);
    assert_true((t == NULL) == pl_report_has_errors(&report));
    pl_bundle_unref(bundle);
    return t;
}

static void done(pl_trusted *t)
{
    pl_trusted_free(t);
    gql_schema_free(schema);
    pl_report_dispose(&report);
}

static bool is(const pl_trusted *t, const char *id, const char *text)
{
    pl_str found = pl_trusted_find(t, pl_str_of(id));
    return text ? pl_str_is(found, text) : found.ptr == NULL;
}

static const char *hash_of(const char *text)
{
    static char hex[4][PL_SHA256_HEX + 1];
    static unsigned turn;
    char *out = hex[turn++ % 4];
    assert_true(pl_sha256_hex(pl_str_of(text), out));
    return out;
}

static void digests(void **state)
{
    (void)state;
    assert_string_equal(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /* The example of the specification. */
    assert_string_equal(hash_of("query($id:ID!){user(id:$id){name}}"),
                        "71f7dc5758652baac68e4a10c50be732b741c892ade2883a99358f52b555286b");
}

static void files_have_names_and_hashes(void **state)
{
    (void)state;
    pl_trusted *t =
        read_documents(MEMORY_BUNDLE(SCHEMA, "documents/one.graphql", "{ a }\n\n", "documents/x/y.gql",
                                     "{ b }", "documents/notes.lua", "return 1", "other/z.graphql", "{"),
                       "documents/");
    char prefixed[100];
    assert_non_null(t);
    assert_int_equal(pl_trusted_count(t), 2);
    assert_true(is(t, "one", "{ a }\n\n") && is(t, "x.y", "{ b }"));
    assert_true(is(t, hash_of("{ a }\n\n"), "{ a }\n\n") && is(t, hash_of("{ a }"), "{ a }\n\n"));
    snprintf(prefixed, sizeof prefixed, "sha256:%s", hash_of("{ b }"));
    assert_true(is(t, prefixed, "{ b }"));
    assert_true(is(t, "x/y", NULL) && is(t, "y", NULL) && is(t, "", NULL) && is(t, "sha256:", NULL));
    assert_true(is(t, hash_of("{ a }\n"), NULL) && is(t, "one.graphql", NULL));
    assert_true(pl_trusted_has_text(t, PL_STR("{ b }")) && !pl_trusted_has_text(t, PL_STR("{ a }")));
    done(t);
}

static void one_file_may_be_named(void **state)
{
    (void)state;
    pl_trusted *t = read_documents(MEMORY_BUNDLE(SCHEMA, "a/b/one.graphql", "{ a }", "a/b/two.graphql", "{"),
                                   "a/b/one.graphql");
    assert_true(t && is(t, "one", "{ a }"));
    done(t);
}

static void manifests_of_all_makers(void **state)
{
    (void)state;
    pl_trusted *t = read_documents(
        MEMORY_BUNDLE(
            SCHEMA, "documents/a-manifest.json",
            "{\"format\":\"apollo-persisted-query-manifest\",\"version\":1,\"operations\":["
            "{\"id\":\"first\",\"name\":\"A\",\"type\":\"query\",\"body\":\"query A { a }\"},"
            "{\"id\":\"sha256:second\",\"name\":\"B\",\"type\":\"query\",\"body\":\"query B { b }\"}]}",
            "documents/persisted-documents.json", "{\"0f\":\"{ a b }\",\"x-v1:two\":\"{ b a }\"}",
            /* The same document under another id is no conflict. */
            "documents/queries.json", "{\"third\":\"{ a b }\",\"0f\":\"{ a b }\"}"),
        "documents");
    assert_non_null(t);
    assert_int_equal(pl_trusted_count(t), 4);
    assert_true(is(t, "first", "query A { a }") && is(t, "second", "query B { b }"));
    assert_true(is(t, "sha256:second", "query B { b }") && is(t, hash_of("query B { b }"), "query B { b }"));
    assert_true(is(t, "0f", "{ a b }") && is(t, "third", "{ a b }") && is(t, "x-v1:two", "{ b a }"));
    done(t);
}

#define REFUSED(expected, ...)                                                        \
    do {                                                                              \
        assert_null(read_documents(MEMORY_BUNDLE(SCHEMA, __VA_ARGS__), "documents")); \
        if (strcmp(report_text(&report), expected) != 0)                              \
            fail_msg("expected:\n%s\ngot:\n%s", expected, report_text(&report));      \
        done(NULL);                                                                   \
    } while (0)

static void what_is_wrong_has_a_place(void **state)
{
    (void)state;
    REFUSED("documents/a.graphql:2:3: Cannot query field \"zzzzzz\" on type \"Query\".\n"
            "documents/b.graphql:1:5: Syntax Error: Expected Name, found <EOF>.\n",
            "documents/a.graphql", "{\n  zzzzzz\n}", "documents/b.graphql", "{ a ", "documents/c.graphql",
            "{ a }");
    REFUSED("documents/a.graphql:1:1: The document has no operation.\n", "documents/a.graphql",
            "fragment F on Query { a }");
    REFUSED("documents/m.manifest.json: document \"x\": Cannot query field \"zzzzzz\" on type \"Query\". "
            "(line 1, "
            "column 3 of the document)\n",
            "documents/m.manifest.json", "{\"x\":\"{ zzzzzz }\"}");
    REFUSED(
        "documents/m.manifest.json: The document id \"a\" is that of another document in documents/a.graphql "
        "already.\n",
        "documents/a.graphql", "{ a }", "documents/m.manifest.json", "{\"a\":\"{ b }\"}");
    REFUSED("documents/m.manifest.json: document \"x\": the text must be a string, not null.\n",
            "documents/m.manifest.json", "{\"x\":null}");
    REFUSED("documents/m.manifest.json: The name \"x\" is there twice in one JSON object\n",
            "documents/m.manifest.json", "{\"x\":\"{ a }\",\"x\":\"{ b }\"}");
    REFUSED("app.lua: graphql.documents.path: the bundle has no documents at \"documents\": neither "
            "*.graphql files "
            "nor a manifest whose name ends with manifest.json, documents.json or queries.json.\n",
            "documentsx/a.graphql", "{ a }");
}

static void a_bundle_without_a_schema_has_no_documents(void **state)
{
    (void)state;
    assert_null(read_documents(MEMORY_BUNDLE("documents/a.graphql", "{ a }"), "documents"));
    assert_has(report_text(&report), "the bundle has no schema");
    done(NULL);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    static const gql_service_options options;
    static const gql_schema_options schema_options;
    pl_bundle *bundle = MEMORY_BUNDLE(SCHEMA, "documents/one.graphql", "{ a }\n", "documents/m.manifest.json",
                                      "{\"x\":\"{ b }\"}");
    pl_report_init(&report);
    assert_int_equal(pl_bundle_schema(bundle, &schema_options, &report, &schema), PL_OK);
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_report_dispose(&report);
        pl_report_init(&report);
        failing_begin(&a);
        pl_trusted *t = pl_trusted_new(bundle, PL_STR("documents"), schema, &options, &report);
        assert_int_equal(t == NULL, failing_end(&a));
        assert_int_equal(t == NULL, pl_report_has_errors(&report));
        pl_trusted_free(t);
    }
    pl_bundle_unref(bundle);
    done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(files_have_names_and_hashes),
        cmocka_unit_test(one_file_may_be_named),
        cmocka_unit_test(manifests_of_all_makers),
        cmocka_unit_test(what_is_wrong_has_a_place),
        cmocka_unit_test(a_bundle_without_a_schema_has_no_documents),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests_name("trusted", tests, NULL, NULL);
}
