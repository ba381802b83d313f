/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/natives_harness.h"
#include "support/failing.h"

/* Scalars that the host program's resolvers convert: where their values stand. */

static const char schema[] =
    "scalar When\n"
    "scalar Money\n"
    "scalar Other\n"
    "directive @loud on FIELD_DEFINITION\n"
    "input Range { from: When!, to: When, next: Range, price: [[Money!]!], note: String }\n"
    "input Plain { other: Other, note: String }\n"
    "interface Node { id: ID! }\n"
    "type User implements Node { id: ID!, born: When @loud, made: When, friends: [User!], best: User, "
    "pet: Pet }\n"
    "type Post implements Node { id: ID!, price: Money }\n"
    "type Pet implements Node { id: ID! }\n"
    "union Any = User | Pet\n"
    "type Query {\n"
    "  arguments(when: When, ranges: [Range!], plain: Plain, n: Int): Int\n"
    "  scalar: When!\n"
    "  scalars: [[When!]]!\n"
    "  user: User\n"
    "  node: Node\n"
    "  any: [Any]\n"
    "  nothing(plain: Plain): Pet\n"
    "}\n"
    "type Subscription { ticks: When }";

static const char resolvers[] = "return { User = { made = function() return 1 end },\n"
                                "  ['@loud'] = function(resolve) return resolve end }";

/* MessagePack as JSON, or nearly so. */
static const char *show(const char *at, char *out);

static const char *show_many(const char *at, char *out, size_t count, bool map)
{
    strcat(out, map ? "{" : "[");
    for (size_t i = 0; i < count; i++) {
        strcat(out, i ? "," : "");
        at = show(at, out);
        if (map) {
            strcat(out, ":");
            at = show(at, out);
        }
    }
    strcat(out, map ? "}" : "]");
    return at;
}

static const char *show(const char *at, char *out)
{
    unsigned char head = (unsigned char)*at++;
    char number[8];
    if (head < 0x80) {
        snprintf(number, sizeof number, "%u", head);
        strcat(out, number);
        return at;
    }
    if (head == 0xc0) {
        strcat(out, "nil");
        return at;
    }
    if ((head & 0xe0) == 0xa0) {
        strncat(out, at, head & 0x1f);
        return at + (head & 0x1f);
    }
    if ((head & 0xf0) == 0x90)
        return show_many(at, out, head & 0xf, false);
    assert_int_equal(head, 0xdf);
    return show_many(at + 4, out, (unsigned char)at[3], true);
}

/* What its calls have been given. */
typedef struct seen {
    char text[1024];
    pl_native_scalars *kept;
} seen;

static pl_native_status look(pl_native_call *call, void *data)
{
    seen *s = data;
    size_t length;
    pl_native_scalars_free(s->kept);
    s->kept = pl_native_scalars_of(call);
    s->text[0] = '\0';
    if (s->kept) {
        const char *packed = pl_native_scalars_pack(s->kept, &length);
        assert_ptr_equal(show(packed, s->text), packed + length);
    }
    return PL_NATIVE_DONE;
}

static const char *const fields[] = {"arguments", "scalar", "scalars", "user", "node", "any", "nothing"};
#define FIELDS (sizeof fields / sizeof *fields)

static pl_natives *natives_of(seen *s, const char *first, const char *second)
{
    pl_natives *natives = pl_natives_new();
    for (size_t i = 0; i < FIELDS; i++)
        assert_int_equal(pl_natives_add_resolver(natives, "Query", fields[i], look, s), PL_OK);
    if (first)
        assert_int_equal(pl_natives_mark_scalar(natives, first), PL_OK);
    if (second)
        assert_int_equal(pl_natives_mark_scalar(natives, second), PL_OK);
    return natives;
}

static pl_bundle *bundle_of(void)
{
    return MEMORY_BUNDLE("schema/s.graphql", schema, "resolvers/r.lua", resolvers);
}

/* Takes the bundle. */
static pl_local *open_bundle(pl_bundle *bundle, pl_natives *natives, pl_report *report)
{
    pl_error err = {0};
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives};
    pl_local *local = pl_local_open(bundle, &options, report, &err);
    pl_bundle_unref(bundle);
    return local;
}

static pl_local *open_fine(pl_natives *natives)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = open_bundle(bundle_of(), natives, &report);
    if (!local)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    return local;
}

static void test_places(void **state)
{
    seen s = {.kept = NULL};
    pl_natives *natives = natives_of(&s, "When", "Money");
    assert_int_equal(pl_natives_mark_scalar(natives, "When"), PL_OK); /* a second time */
    pl_local *local = open_fine(natives);
    static const struct {
        const char *query, *places;
    } cases[] = {
        {"{ arguments }", "[{when:[0,0],ranges:[1,1]},nil,[When,{from:[0,0],to:[0,0],next:[0,1],price:[2,2]},"
                          "Money]]"},
        {"{ scalars }", "[{},[2,0],[When]]"},
        /* User.made has a resolver; a directive around User.born is none */
        {"{ user { id } }", "[{},[0,0],[{born:[0,1],friends:[1,0],best:[0,0]},When]]"},
        {"{ node { id } }", "[{},[0,0],[[[User,1],[Post,2]],{born:[0,3],friends:[1,1],best:[0,1]},{price:[0,"
                            "4]},When,Money]]"},
        {"{ any { __typename } }", "[{},[1,0],[[[User,1]],{born:[0,2],friends:[1,1],best:[0,1]},When]]"},
        {"{ nothing { id } }", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        strcpy(s.text, "not called");
        local_ask(local, cases[i].query);
        assert_string_equal(s.text, cases[i].places);
    }
    local_ask(local, "{ scalar }");
    assert_string_equal(s.text, "[{},[0,0],[When]]");
    pl_local_close(local);
    /* what is kept outlives the schema */
    size_t length;
    assert_int_equal((unsigned char)pl_native_scalars_pack(s.kept, &length)[0], 0x93);
    pl_native_scalars_free(s.kept);
    pl_native_scalars_free(NULL);
    pl_natives_free(natives);
}

static void test_nothing_is_marked(void **state)
{
    seen s = {.kept = NULL};
    pl_natives *natives = natives_of(&s, NULL, NULL);
    pl_local *local = open_fine(natives);
    strcpy(s.text, "not called");
    local_ask(local, "{ scalar }");
    assert_string_equal(s.text, "");
    pl_local_close(local);
    pl_natives_free(natives);
}

static void refused(const char *name, const char *why)
{
    seen s = {.kept = NULL};
    pl_report report;
    pl_report_init(&report);
    pl_natives *natives = natives_of(&s, name, NULL);
    assert_null(open_bundle(bundle_of(), natives, &report));
    assert_has(report_text(&report), why);
    pl_report_dispose(&report);
    pl_natives_free(natives);
}

static void test_what_cannot_be_marked(void **state)
{
    refused("Nope", "the host program: There are functions for scalar \"Nope\", which the schema does not "
                    "define.");
    refused("User", "the host program: There are functions for scalar \"User\", which is no scalar.");
    refused("String", "the host program: There are functions for scalar \"String\", which is built in.");

    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_mark_scalar(natives, "a.b"), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_mark_scalar(natives, NULL), PL_INVALID_ARGUMENT);
    assert_int_equal(pl_natives_mark_scalar(natives, "When"), PL_OK);
    pl_report report;
    pl_report_init(&report);
    assert_null(open_bundle(MEMORY_BUNDLE("app.lua", "return {}"), natives, &report));
    assert_has(report_text(&report), "There are functions for scalars, but the bundle has no schema");
    pl_report_dispose(&report);
    pl_natives_free(natives);
}

static void test_allocation_failures(void **state)
{
    failing a = {.sticky = true, .dense = 100, .step = 23};
    while (failing_next(&a)) {
        seen s = {.kept = NULL};
        pl_report report;
        pl_report_init(&report);
        pl_natives *natives = natives_of(&s, "When", "Money");
        pl_bundle *bundle = bundle_of();
        failing_begin(&a);
        pl_local *local = open_bundle(bundle, natives, &report);
        if (!failing_end(&a))
            assert_non_null(local);
        pl_local_close(local);
        pl_report_dispose(&report);
        pl_natives_free(natives);
    }
    assert_true(a.made > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_nothing_is_marked),
        cmocka_unit_test(test_what_cannot_be_marked),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
