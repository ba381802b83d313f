/* SPDX-License-Identifier: MIT */
/* How long, and for whom, a response may be cached: the rules of Apollo Server. */
#include "graphql/cache/policy.h"

#include "support/failing.h"
#include "support/graphql_fixture.h"

static const char sdl[] =
    "type Query {\n"
    "  plain: Int\n"
    "  aged: Int @cacheControl(maxAge: 40)\n"
    "  user: User @cacheControl(maxAge: 60)\n"
    "  nobody: User @cacheControl(maxAge: 60)\n"
    "  unsaid: User\n"
    "  users: [User!]! @cacheControl(maxAge: 60)\n"
    "  product: Product\n"
    "  shorter: Product @cacheControl(maxAge: 5)\n"
    "  inherits: Product @cacheControl(inheritMaxAge: true)\n"
    "  mine: Product @cacheControl(scope: PRIVATE)\n"
    "  found: [Found!] @cacheControl(maxAge: 60)\n"
    "  guarded: Int @auth @cacheControl(maxAge: 60, scope: PUBLIC)\n"
    "  never: Int @cacheControl(maxAge: 0)\n"
    "  negative: Int @cacheControl(maxAge: -5)\n"
    "}\n"
    "type Mutation { aged: Int @cacheControl(maxAge: 40) }\n"
    "type User { id: ID! name: String friend: User next: User @cacheControl(inheritMaxAge: true)\n"
    "  short: Int @cacheControl(maxAge: 7) secret: String @cacheControl(scope: PRIVATE) fails: Int }\n"
    "type Product @cacheControl(maxAge: 300) { id: ID! maker: User @cacheControl(inheritMaxAge: true) }\n"
    "union Found @cacheControl(maxAge: 200) = User | Product\n"
    "directive @auth on FIELD_DEFINITION\n";

static void open_fixture(gf *f, uint32_t default_max_age)
{
    gf_open(f, sdl);
    f->options.cache.default_max_age = default_max_age;
    te_value user = te_map(f->t, "__typename", te_string(f->t, "User"), "id", te_int(1), "name",
                           te_string(f->t, "Ann"), "secret", te_string(f->t, "s"), NULL);
    te_set(f->t, user, "friend", te_map(f->t, "id", te_int(2), NULL));
    te_set(f->t, user, "next", te_map(f->t, "id", te_int(3), NULL));
    te_value product = te_map(f->t, "__typename", te_string(f->t, "Product"), "id", te_int(9), NULL);
    te_set(f->t, product, "maker", user);
    static const char *const products[] = {"product", "shorter", "inherits", "mine"};
    for (size_t i = 0; i < 4; i++)
        gf_give(f, "Query", products[i], product);
    gf_give(f, "Query", "user", user);
    gf_give(f, "Query", "unsaid", user);
    gf_give(f, "Query", "nobody", te_null());
    gf_give(f, "Query", "users", te_list(f->t, 2, user, user));
    gf_give(f, "Query", "found", te_list(f->t, 2, user, product));
    gf_fail(f, "User", "fails", "no");
}

static void expect(gf *f, const char *query, uint32_t max_age, bool is_private)
{
    gf_request r;
    gf_start(&r, f, query, NULL);
    assert_int_equal(r.done, 1);
    if (r.cache.max_age != max_age || (max_age > 0 && r.cache.is_private != is_private))
        fail_msg("%s: %u %s", query, r.cache.max_age, r.cache.is_private ? "private" : "public");
    assert_false(r.cache.hit);
    gf_end(&r);
}

static void test_rules(void **state)
{
    gf f;
    open_fixture(&f, 0);
    expect(&f, "{ aged }", 40, false);
    expect(&f, "{ plain }", 0, false);
    expect(&f, "{ aged plain }", 0, false); /* a root field without maxAge has the default one */
    expect(&f, "{ never }", 0, false);
    expect(&f, "{ negative }", 0, false);
    expect(&f, "{ __typename }", 0, false);
    expect(&f, "{ aged __schema { queryType { name } } }", 0, false);
    expect(&f, "{ user { id name } }", 60, false); /* leaves have none of their own */
    expect(&f, "{ user { id name } aged }", 40, false);
    expect(&f, "{ a: aged user { b: short } }", 7, false);
    expect(&f, "{ user { friend { id } } }", 0, false);
    expect(&f, "{ user { next { id } } }", 60, false);
    expect(&f, "{ user { next { friend { id } } } }", 0, false); /* executed, though it is null */
    expect(&f, "{ unsaid { id } }", 0, false);
    expect(&f, "{ nobody { friend { id } } }", 60, false);
    expect(&f, "{ users { id } }", 60, false);
    expect(&f, "{ user { secret } }", 60, true);
    expect(&f, "{ product { id } }", 300, false); /* by the type */
    expect(&f, "{ product { maker { id } } }", 300, false);
    expect(&f, "{ shorter { id } }", 5, false);    /* the field counts before the type */
    expect(&f, "{ inherits { id } }", 300, false); /* but its inheritMaxAge does not */
    expect(&f, "{ mine { id } }", 300, true);
    expect(&f, "{ found { ... on Product { id } } }", 60, false);
    expect(&f, "{ found { ... on User { short } } }", 7, false);
    expect(&f, "{ guarded }", 60, true); /* whatever else is said of it */
    expect(&f, "mutation { aged }", 0, false);
    expect(&f, "{ user { fails } }", 0, false); /* errors are not cached */
    expect(&f, "{ user { nothing } }", 0, false);
    gf_close(&f);
}

static void test_default_max_age(void **state)
{
    gf f;
    open_fixture(&f, 20);
    expect(&f, "{ plain }", 20, false);
    expect(&f, "{ aged }", 40, false);
    expect(&f, "{ aged unsaid { id } }", 20, false);
    expect(&f, "{ user { friend { id } } }", 20, false);
    expect(&f, "{ never plain }", 0, false);
    gf_close(&f);
}

/* Nothing asks for caching: no policy is computed. */
static void test_without_hints(void **state)
{
    gf f;
    gf_open(&f, "type Query { a: Int }");
    gf_request r;
    gf_start(&r, &f, "{ a }", NULL);
    assert_null(r.work.cache);
    assert_int_equal(r.cache.max_age, 0);
    gf_end(&r);
    gf_close(&f);
}

/* --- hints of scripts --- */
typedef struct hinting {
    const pl_cache_hint *hints; /* one for each call; the last one for all that follow */
    int count, calls;
    bool wait;
} hinting;

static te_outcome give_hint(te_invocation *in, void *data)
{
    hinting *h = data;
    const pl_cache_hint *hint = &h->hints[h->calls < h->count ? h->calls : h->count - 1];
    unsigned seen = 0;
    h->calls++;
    if (hint->has_max_age || hint->has_scope)
        in->work->cache->hint(in->work->cache, in->work->field, hint, &seen);
    in->result = te_int(1);
    return h->wait ? TE_PEND : TE_RETURN;
}

static void test_hints(void **state)
{
    static const pl_cache_hint minute = {.has_max_age = true, .max_age = 60};
    static const pl_cache_hint of_me = {.has_scope = true, .is_private = true};
    static const pl_cache_hint once[] = {{.has_max_age = true, .max_age = 60}, {0}};
    static const pl_cache_hint falling[] = {{.has_max_age = true, .max_age = 60},
                                            {.has_max_age = true, .max_age = 30}};
    hinting h = {.hints = &minute, .count = 1};
    gf f;
    open_fixture(&f, 0);
    gf_resolve(&f, "Query", "plain", give_hint, &h);
    expect(&f, "{ plain }", 60, false);
    expect(&f, "{ plain aged }", 40, false);
    expect(&f, "{ plain never }", 0, false);
    gf_resolve(&f, "Query", "aged", give_hint, &h);
    gf_restart(&f);
    expect(&f, "{ aged }", 60, false); /* counts before the schema */
    h.hints = &of_me;
    expect(&f, "{ aged }", 40, true); /* each half by itself */

    gf_resolve(&f, "User", "short", give_hint, &h);
    gf_restart(&f);
    h = (hinting){.hints = once, .count = 2};
    expect(&f, "{ users { short } }", 7, false); /* the schema's word for the call that gave none */
    h = (hinting){.hints = falling, .count = 2};
    expect(&f, "{ users { short } }", 30, false); /* the narrowest */
    h = (hinting){.hints = &minute, .count = 1};
    expect(&f, "{ users { short } }", 60, false);
    gf_close(&f);
}

/* Outside of a field a hint is for the response, and can only narrow it. */
static void test_hint_for_the_response(void **state)
{
    static const pl_cache_hint hint = {
        .has_max_age = true, .max_age = 50, .has_scope = true, .is_private = true};
    unsigned seen = 0;
    gf f;
    gf_request r;
    open_fixture(&f, 0);
    gf_wait(&f, "Query", "user", te_map(f.t, "id", te_int(1), NULL));
    gf_start(&r, &f, "{ user { id } }", NULL);
    assert_null(r.work.field); /* only while a call is made */
    r.work.cache->hint(r.work.cache, NULL, &hint, &seen);
    te_resume(f.t, te_waiting_at(f.t, 0));
    assert_int_equal(r.cache.max_age, 50);
    assert_true(r.cache.is_private);
    gf_end(&r);
    gf_close(&f);
}

static void test_restrict(void **state)
{
    gql_cache_hint none = {GQL_CACHE_NO_AGE, GQL_CACHE_NO_SCOPE}, ten = {10, GQL_CACHE_PUBLIC};
    gql_cache_hint mine = {20, GQL_CACHE_PRIVATE};
    gql_cache_hint both = gql_cache_restrict(ten, mine);
    assert_int_equal(both.max_age, 10);
    assert_int_equal(both.scope, GQL_CACHE_PRIVATE);
    both = gql_cache_restrict(none, ten);
    assert_int_equal(both.max_age, 10);
    assert_int_equal(both.scope, GQL_CACHE_PUBLIC);
    assert_int_equal(gql_cache_restrict(none, none).max_age, GQL_CACHE_NO_AGE);
}

static void test_identities(void **state)
{
    gf f;
    gf_open(&f, "directive @key(fields: String!) repeatable on OBJECT\n"
                "type Query { id: ID a: A b: B c: C d: D }\n"
                "type A { id: ID! sku: ID }\n"
                "type B @key(fields: \" sku \") { sku: ID! name: Int }\n"
                "type C @key(fields: \"a b\") { a: ID b: ID }\n"
                "type D { id(n: Int): ID }\n");
    gql_cache_rules *rules = gql_cache_rules_new(f.schema, 0);
    assert_non_null(rules);
    assert_false(gql_cache_rules_any(rules));
    static const struct {
        const char *type, *field;
        bool yes;
    } cases[] = {{"A", "id", true},    {"A", "sku", false}, {"B", "sku", true},
                 {"B", "name", false}, {"C", "a", false},   {"D", "id", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gql_named *type = gql_schema_type(f.schema, pl_str_of(cases[i].type));
        gql_field *field = gql_schema_field(f.schema, type, pl_str_of(cases[i].field));
        assert_int_equal(gql_cache_identifies(rules, field), cases[i].yes);
    }
    gql_cache_rules_free(rules);
    gf_close(&f);
}

static void test_ready_made_directive(void **state)
{
    static const char *const sdls[] = {
        "type Query { a: Int @cacheControl(maxAge: 1, scope: PRIVATE, inheritMaxAge: false) }",
        "type Query { a: Int @cacheControl(maxAge: 1) } enum CacheControlScope { PUBLIC PRIVATE }",
        "type Query { a: Int @cacheControl(maxAge: 1) } directive @cacheControl(maxAge: Int) on "
        "FIELD_DEFINITION",
    };
    static const bool has_enum[] = {true, true, false};
    for (size_t i = 0; i < 3; i++) {
        gf f;
        gf_open(&f, sdls[i]);
        assert_non_null(gql_schema_directive(f.schema, PL_STR("cacheControl")));
        assert_int_equal(gql_schema_type(f.schema, PL_STR("CacheControlScope")) != NULL, has_enum[i]);
        gf_close(&f);
    }
}

/* Without memory the response is right, and at most not cacheable. */
static void test_short_of_memory(void **state)
{
    gf f;
    open_fixture(&f, 0);
    expect(&f, "{ users { id name } }", 60, false); /* the plan is there */
    failing a = {0};
    f.failing = &a;
    while (failing_next(&a)) {
        gf_request r;
        gf_start(&r, &f, "{ users { id name } }", NULL);
        bool failed = failing_end(&a);
        assert_int_equal(r.done, 1);
        assert_true(r.cache.max_age == 60 || (failed && r.cache.max_age == 0));
        if (strstr(r.body, "errors"))
            assert_int_equal(r.cache.max_age, 0);
        gf_end(&r);
    }
    gf_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_default_max_age),
        cmocka_unit_test(test_without_hints),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_hint_for_the_response),
        cmocka_unit_test(test_restrict),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_ready_made_directive),
        cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
