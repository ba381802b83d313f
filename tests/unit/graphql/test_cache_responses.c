/* SPDX-License-Identifier: MIT */
/* Responses found instead of executed again: through a service, with the cache of a server behind it. */
#include "app/response_cache.h"
#include "support/failing.h"
#include "support/graphql_fixture.h"

static const char sdl[] = "type Query {\n"
                          "  count: Int @cacheControl(maxAge: 60)\n"
                          "  user(id: ID, o: In): User @cacheControl(maxAge: 60)\n"
                          "  me: User @cacheControl(maxAge: 60, scope: PRIVATE)\n"
                          "  users: [User!] @cacheControl(maxAge: 60)\n"
                          "  node: Node @cacheControl(maxAge: 60)\n"
                          "  plain: Int\n"
                          "  slow: Int @cacheControl(maxAge: 60)\n"
                          "  mine: Int @cacheControl(maxAge: 60, scope: PRIVATE)\n"
                          "  fails: Int @cacheControl(maxAge: 60)\n"
                          "}\n"
                          "type Mutation { count: Int }\n"
                          "input In { a: Int b: Int }\n"
                          "interface Node { id: ID! }\n"
                          "type User implements Node { id: ID! name: String n: Int }\n"
                          "type Post implements Node { id: ID! }\n";

typedef struct fixture {
    gf f;
    pl_response_cache *cache;
    int calls;
    te_value user;
} fixture;

static te_outcome count(te_invocation *in, void *data)
{
    in->result = te_int(++*(int *)data);
    return TE_RETURN;
}

static te_outcome count_slowly(te_invocation *in, void *data)
{
    in->result = te_int(++*(int *)data);
    in->label = "slow";
    return TE_PEND;
}

static te_outcome fail_and_count(te_invocation *in, void *data)
{
    ++*(int *)data;
    return te_fail(in, PL_UNAVAILABLE, "down");
}

static void restart(fixture *x, uint64_t generation)
{
    gql_cache_storage storage = pl_response_cache_storage(x->cache, generation);
    gf_restart(&x->f);
    gql_service_set_storage(x->f.service, &storage);
}

static void fixture_open(fixture *x)
{
    memset(x, 0, sizeof *x);
    gf_open(&x->f, sdl);
    x->f.options.cache = (gql_cache_settings){.on = true, .session_header = PL_STR("session")};
    x->cache = pl_response_cache_new();
    assert_non_null(x->cache);
    pl_response_cache_configure(x->cache, 1, (size_t)1 << 20);
    te *t = x->f.t;
    x->user = te_map(t, "__typename", te_string(t, "User"), "id", te_int(1), NULL);
    static const char *const users[] = {"user", "me", "node"};
    for (size_t i = 0; i < 3; i++)
        gf_give(&x->f, "Query", users[i], x->user);
    gf_give(&x->f, "Query", "users", te_list(t, 2, x->user, te_map(t, "id", te_string(t, "a\"b"), NULL)));
    gf_resolve(&x->f, "Query", "count", count, &x->calls);
    gf_resolve(&x->f, "Query", "plain", count, &x->calls);
    gf_resolve(&x->f, "User", "n", count, &x->calls);
    gf_resolve(&x->f, "Query", "slow", count_slowly, &x->calls);
    gf_resolve(&x->f, "Query", "mine", count_slowly, &x->calls);
    gf_resolve(&x->f, "Query", "fails", fail_and_count, &x->calls);
    restart(x, 1);
}

static void fixture_close(fixture *x)
{
    gf_close(&x->f);
    pl_response_cache_free(x->cache);
}

static void set_session(fixture *x, const char *session)
{
    static pl_header header = {PL_STR("session"), {NULL, 0}};
    header.value = pl_str_of(session);
    x->f.headers = &header;
    x->f.header_count = session ? 1 : 0;
}

/* Runs it; calls: how many resolvers have been called since the fixture was opened. */
static void expect(fixture *x, const char *query, const char *variables, bool hit, int calls)
{
    gf_request r;
    gf_start(&r, &x->f, query, variables);
    assert_int_equal(r.done, 1);
    if (r.cache.hit != hit || x->calls != calls)
        fail_msg("%s %s: %s, %d calls; %s", query, variables ? variables : "",
                 r.cache.hit ? "a hit" : "no hit", x->calls, r.body);
    assert_int_equal(r.cache.hash[0] != '\0', hit);
    gf_end(&r);
}

static void test_hits(void **state)
{
    fixture x;
    fixture_open(&x);
    expect(&x, "{ count }", NULL, false, 1);
    expect(&x, "{ count }", NULL, true, 1);
    expect(&x, "{ a: count }", NULL, false, 2); /* another document */
    expect(&x, "query A { count }", NULL, false, 3);
    expect(&x, "{ plain }", NULL, false, 4);
    expect(&x, "{ plain }", NULL, false, 5);
    expect(&x, "mutation { count }", NULL, false, 5);
    expect(&x, "{ fails }", NULL, false, 6);
    expect(&x, "{ fails }", NULL, false, 7);
    pl_response_cache_stats stats = pl_response_cache_get_stats(x.cache);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.stored, 3);
    assert_int_equal(stats.entries, 3);
    fixture_close(&x);
}

static void test_operation_names(void **state)
{
    static const char both[] = "query A { count } query B { count }";
    fixture x;
    gf_request r;
    fixture_open(&x);
    for (int i = 0; i < 4; i++) {
        gf_start_full(&r, &x.f, both, i % 2 ? "B" : "A", NULL, false);
        assert_int_equal(r.cache.hit, i >= 2);
        gf_end(&r);
    }
    assert_int_equal(x.calls, 2);
    fixture_close(&x);
}

static void test_variables(void **state)
{
    static const char query[] = "query ($id: ID, $o: In) { user(id: $id, o: $o) { n } }";
    fixture x;
    fixture_open(&x);
    expect(&x, query, "{\"id\":\"1\",\"o\":{\"a\":1,\"b\":2}}", false, 1);
    expect(&x, query, "{\"o\":{\"b\":2,\"a\":1},\"id\":\"1\"}", true, 1); /* in another order */
    expect(&x, query, "{\"id\":\"1\",\"o\":{\"a\":1,\"b\":2},\"unused\":1}", true, 1);
    expect(&x, query, "{\"id\":\"2\",\"o\":{\"a\":1,\"b\":2}}", false, 2);
    expect(&x, query, "{\"id\":\"1\",\"o\":{\"a\":1,\"b\":3}}", false, 3);
    expect(&x, query, "{\"id\":\"1\",\"o\":{\"a\":1}}", false, 4);
    expect(&x, query, "{\"id\":\"1\",\"o\":null}", false, 5);
    expect(&x, query, "{\"id\":\"1\"}", false, 6);
    expect(&x, query, "{\"id\":null}", false, 7);
    expect(&x, query, "{}", false, 8);
    expect(&x, query, NULL, true, 8);
    fixture_close(&x);
}

static void test_age(void **state)
{
    fixture x;
    gf_request r;
    fixture_open(&x);
    expect(&x, "{ count }", NULL, false, 1);
    te_advance(x.f.t, 59999);
    gf_start(&r, &x.f, "{ count }", NULL);
    assert_true(r.cache.hit);
    assert_int_equal(r.cache.age, 59);
    assert_int_equal(r.cache.max_age, 60);
    gf_end(&r);
    te_advance(x.f.t, 1);
    expect(&x, "{ count }", NULL, false, 2);
    fixture_close(&x);
}

static void test_sessions(void **state)
{
    fixture x;
    fixture_open(&x);
    expect(&x, "{ me { n } }", NULL, false, 1);
    expect(&x, "{ me { n } }", NULL, false, 2); /* private, and nobody's: not kept */
    set_session(&x, "ann");
    expect(&x, "{ me { n } }", NULL, false, 3);
    expect(&x, "{ me { n } }", NULL, true, 3);
    set_session(&x, "bob");
    expect(&x, "{ me { n } }", NULL, false, 4);
    set_session(&x, "ann");
    expect(&x, "{ me { n } }", NULL, true, 4);
    /* What is public is one for all that have a session, and another for all that have none. */
    expect(&x, "{ count }", NULL, false, 5);
    set_session(&x, "bob");
    expect(&x, "{ count }", NULL, true, 5);
    set_session(&x, NULL);
    expect(&x, "{ count }", NULL, false, 6);
    expect(&x, "{ me { n } }", NULL, false, 7);
    fixture_close(&x);
}

static te_outcome give_session(te_invocation *in, void *data)
{
    const char *session = *(const char **)data;
    if (!session)
        return te_crash(in, "no session table");
    in->result = *session ? te_string(in->t, session) : te_null();
    return TE_RETURN;
}

typedef struct keeping {
    te *t;
    te_value function;
    pl_ref ref;
} keeping;

static void keep_section(void *data)
{
    keeping *k = data;
    const pl_engine *e = te_engine();
    assert_true(e->reserve(te_state(k->t), 1));
    k->ref = e->keep(te_state(k->t), te_push(k->t, k->function));
}

static void test_session_function(void **state)
{
    const char *session = "ann";
    fixture x;
    pl_error err;
    fixture_open(&x);
    keeping k = {.t = x.f.t, .function = te_function(x.f.t, give_session, &session, 1)};
    assert_true(te_engine()->protect(te_state(x.f.t), keep_section, &k, &err));
    gql_service_set_session(x.f.service, k.ref);
    expect(&x, "{ me { n } }", NULL, false, 1);
    expect(&x, "{ me { n } }", NULL, true, 1);
    session = "bob";
    expect(&x, "{ me { n } }", NULL, false, 2);
    session = "";
    expect(&x, "{ me { n } }", NULL, false, 3);
    expect(&x, "{ count }", NULL, false, 4);
    session = NULL; /* it fails: nothing is found, nothing is kept */
    expect(&x, "{ count }", NULL, false, 5);
    expect(&x, "{ count }", NULL, false, 6);
    assert_non_null(strstr(x.f.logged.data, "graphql.cache.session failed"));
    session = "";
    expect(&x, "{ count }", NULL, true, 6);
    te_engine()->drop(te_state(x.f.t), k.ref);
    fixture_close(&x);
}

static void test_generations(void **state)
{
    fixture x;
    fixture_open(&x);
    expect(&x, "{ count }", NULL, false, 1);
    /* A newer generation is live: the old one, which still works, finds and keeps nothing. */
    pl_response_cache_configure(x.cache, 2, (size_t)1 << 20);
    assert_int_equal(pl_response_cache_get_stats(x.cache).entries, 0);
    expect(&x, "{ count }", NULL, false, 2);
    expect(&x, "{ count }", NULL, false, 3);
    assert_int_equal(pl_response_cache_get_stats(x.cache).refused, 2);
    restart(&x, 2);
    expect(&x, "{ count }", NULL, false, 4);
    expect(&x, "{ count }", NULL, true, 4);
    fixture_close(&x);
}

/* --- purges --- */
static size_t purge(fixture *x, const char *type, const char *id)
{
    pl_arena arena;
    gql_cache_tags tags;
    pl_error err;
    pl_arena_init(&arena, 0);
    assert_int_equal(gql_cache_purge_tags(x->f.schema, pl_str_of(type), pl_str_of(id), &arena, &tags, &err),
                     PL_OK);
    size_t n = pl_response_cache_purge(x->cache, &tags);
    pl_arena_dispose(&arena);
    return n;
}

static void fill_cache(fixture *x)
{
    static const char *const queries[] = {"{ count }",         "{ user { id } }",
                                          "{ user { name } }", "{ users { id } }",
                                          "{ node { id } }",   "{ node { ... on Post { id } } }",
                                          "{ user { x: id } }"};
    pl_response_cache_purge_all(x->cache);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        gf_request r;
        gf_start(&r, &x->f, queries[i], NULL);
        assert_false(r.cache.hit);
        gf_end(&r);
    }
    assert_int_equal(pl_response_cache_get_stats(x->cache).entries, 7);
}

static void test_purges(void **state)
{
    fixture x;
    fixture_open(&x);
    fill_cache(&x);
    /* All but { count } may have users. */
    assert_int_equal(purge(&x, "User", NULL), 6);
    fill_cache(&x);
    /* { node } may have posts. */
    assert_int_equal(purge(&x, "Post", NULL), 2);
    fill_cache(&x);
    assert_int_equal(purge(&x, "Node", NULL), 6);
    fill_cache(&x);
    assert_int_equal(purge(&x, "Query", NULL), 7);
    fill_cache(&x);
    /* By identity, and those where it was not asked for: { user { name } }, { node { ... on Post } }. */
    assert_int_equal(purge(&x, "User", "1"), 6);
    fill_cache(&x);
    assert_int_equal(purge(&x, "User", "2"), 2);
    fill_cache(&x);
    assert_int_equal(purge(&x, "User", "a\"b"), 3);
    fill_cache(&x);
    assert_int_equal(purge(&x, "Post", "1"), 0);
    assert_int_equal(pl_response_cache_purge_all(x.cache), 7);
    fixture_close(&x);
}

/* An empty list has no users, but may get some. */
static void test_purge_of_what_is_not_there(void **state)
{
    fixture x;
    fixture_open(&x);
    gf_give(&x.f, "Query", "users", te_list(x.f.t, 0));
    restart(&x, 1);
    expect(&x, "{ users { n } }", NULL, false, 0);
    assert_int_equal(purge(&x, "User", NULL), 1);
    fixture_close(&x);
}

/* Of very many objects only the types are remembered. */
static void test_purge_of_one_of_many(void **state)
{
    fixture x;
    fixture_open(&x);
    pl_response_cache_configure(x.cache, 1, (size_t)64 << 20);
    static const int sizes[] = {100, 9000};
    for (int i = 0; i < 2; i++) {
        te_value users = te_list(x.f.t, 0);
        for (int n = 0; n < sizes[i]; n++)
            te_append(x.f.t, users, te_map(x.f.t, "id", te_int(n), NULL));
        gf_give(&x.f, "Query", "users", users);
        restart(&x, 1);
        gf_request r;
        gf_start(&r, &x.f, "{ users { id } }", NULL);
        gf_end(&r);
        assert_int_equal(pl_response_cache_get_stats(x.cache).entries, 1);
        assert_int_equal(purge(&x, "User", "100000"), i); /* it might be among them, for all that is known */
        pl_response_cache_purge_all(x.cache);
    }
    fixture_close(&x);
}

static void test_purge_of_unknown_types(void **state)
{
    fixture x;
    gql_cache_tags tags;
    pl_error err;
    fixture_open(&x);
    static const char *const names[] = {"Usr", "In", "ID"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            gql_cache_purge_tags(x.f.schema, pl_str_of(names[i]), PL_STR_NONE, &x.f.arena, &tags, &err),
            PL_NOT_FOUND);
        assert_non_null(strstr(err.message, names[i]));
    }
    fixture_close(&x);
}

/* A response that was under way when its type was purged is not kept. */
static void test_purge_during_an_execution(void **state)
{
    fixture x;
    gf_request r;
    fixture_open(&x);
    for (int i = 0; i < 3; i++) {
        gf_start(&r, &x.f, "{ slow user { id } }", NULL);
        if (i == 0)
            purge(&x, "User", "1");
        else if (i == 1)
            pl_response_cache_purge_all(x.cache);
        else
            purge(&x, "User", "77"); /* another one: it does not matter */
        te_resume(x.f.t, te_waiting_at(x.f.t, 0));
        assert_false(r.cache.hit);
        assert_int_equal(r.cache.max_age, 60);
        gf_end(&r);
        assert_int_equal(pl_response_cache_get_stats(x.cache).entries, i == 2);
    }
    fixture_close(&x);
}

static void test_more_purges_than_are_noted(void **state)
{
    fixture x;
    gf_request r;
    fixture_open(&x);
    gf_start(&r, &x.f, "{ slow }", NULL);
    for (int i = 0; i < 5000; i++)
        purge(&x, "Post", NULL);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    gf_end(&r);
    assert_int_equal(pl_response_cache_get_stats(x.cache).refused, 1);
    fixture_close(&x);
}

/* --- flights --- */
static void start_all(gf_request *r, int n, fixture *x, const char *query)
{
    for (int i = 0; i < n; i++)
        gf_start(&r[i], &x->f, query, NULL);
}

static void check_all(gf_request *r, int n, const char *body, bool hit)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(r[i].done, 1);
        assert_string_equal(r[i].body, body);
        assert_int_equal(r[i].cache.hit, hit);
        gf_end(&r[i]);
    }
}

static void test_one_executes_for_all(void **state)
{
    enum { N = 100 };
    gf_request r[N];
    fixture x;
    fixture_open(&x);
    start_all(r, N, &x, "{ slow }");
    assert_int_equal(x.calls, 1);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    assert_int_equal(r[0].done, 1);
    assert_int_equal(r[1].done, 0); /* in the loop's next turns */
    for (int i = 0; i < N; i++)
        te_advance(x.f.t, 0);
    check_all(r, 1, "{\"data\":{\"slow\":1}}", false);
    check_all(r + 1, N - 1, "{\"data\":{\"slow\":1}}", true);
    assert_int_equal(x.calls, 1);
    assert_int_equal(pl_response_cache_get_stats(x.cache).joined, N - 1);
    fixture_close(&x);
}

static void test_what_cannot_be_cached_is_executed_by_each(void **state)
{
    gf_request r[3];
    fixture x;
    fixture_open(&x);
    gf_resolve(&x.f, "Query", "plain", count_slowly, &x.calls);
    restart(&x, 1);
    /* Nobody waits where the schema says that there is nothing to wait for. */
    start_all(r, 3, &x, "{ plain slow }");
    assert_int_equal(x.calls, 6);
    while (te_waiting(x.f.t) > 0)
        te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    for (int i = 0; i < 3; i++)
        gf_end(&r[i]);
    /* The response turns out to be private. */
    x.calls = 0;
    start_all(r, 3, &x, "query { ...F } fragment F on Query { mine }");
    assert_int_equal(x.calls, 1);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    te_advance(x.f.t, 0);
    assert_int_equal(x.calls, 3);
    while (te_waiting(x.f.t) > 0)
        te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(r[i].done, 1);
        gf_end(&r[i]);
    }
    /* That is known from now on. */
    start_all(r, 3, &x, "query { ...F } fragment F on Query { mine }");
    assert_int_equal(x.calls, 6);
    while (te_waiting(x.f.t) > 0)
        te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    for (int i = 0; i < 3; i++)
        gf_end(&r[i]);
    fixture_close(&x);
}

static void test_flights_of_sessions(void **state)
{
    gf_request ann[2], bob;
    fixture x;
    fixture_open(&x);
    set_session(&x, "ann");
    start_all(ann, 2, &x, "{ mine }");
    set_session(&x, "bob");
    start_all(&bob, 1, &x, "{ mine }");
    assert_int_equal(x.calls, 2);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    te_advance(x.f.t, 0);
    assert_string_equal(ann[1].body, "{\"data\":{\"mine\":1}}");
    assert_string_equal(bob.body, "{\"data\":{\"mine\":2}}");
    gf_end(&ann[0]);
    gf_end(&ann[1]);
    gf_end(&bob);
    fixture_close(&x);
}

static void test_the_leader_is_cancelled(void **state)
{
    gf_request r[4];
    fixture x;
    fixture_open(&x);
    start_all(r, 4, &x, "{ slow }");
    gql_run_cancel(r[0].run);
    gql_run_cancel(r[2].run); /* one that waits */
    assert_int_equal(x.calls, 1);
    te_advance(x.f.t, 0);
    assert_int_equal(x.calls, 2); /* the next one leads */
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    te_advance(x.f.t, 0);
    assert_string_equal(r[1].body, "{\"data\":{\"slow\":2}}");
    assert_false(r[1].cache.hit);
    assert_true(r[3].cache.hit);
    for (int i = 0; i < 4; i++)
        gf_end(&r[i]);
    /* All of them. */
    start_all(r, 4, &x, "{ a: slow }");
    for (int i = 0; i < 4; i++) {
        gql_run_cancel(r[i].run);
        gf_end(&r[i]);
    }
    te_advance(x.f.t, 0);
    assert_int_equal(x.calls, 3);
    /* The leader has ended, and who waits goes before being served. */
    start_all(r, 3, &x, "{ b: slow }");
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    gql_run_cancel(r[1].run);
    gql_run_cancel(r[2].run);
    for (int i = 0; i < 3; i++)
        gf_end(&r[i]);
    te_advance(x.f.t, 0);
    fixture_close(&x);
}

/* What a leader has read may be older than the purge: who comes after it waits for another one. */
static void test_a_purge_between(void **state)
{
    gf_request early[2], late[2];
    fixture x;
    fixture_open(&x);
    start_all(early, 2, &x, "{ slow }");
    purge(&x, "User", NULL);
    start_all(late, 2, &x, "{ slow }");
    assert_int_equal(x.calls, 2);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    te_advance(x.f.t, 0);
    assert_string_equal(early[1].body, "{\"data\":{\"slow\":1}}");
    assert_int_equal(late[1].done, 0);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    te_advance(x.f.t, 0);
    assert_string_equal(late[1].body, "{\"data\":{\"slow\":2}}");
    for (int i = 0; i < 2; i++) {
        gf_end(&early[i]);
        gf_end(&late[i]);
    }
    fixture_close(&x);
}

/* The leader fails: the others try for themselves. */
static void test_a_leader_with_errors(void **state)
{
    gf_request r[3];
    fixture x;
    pl_failure failure = {.code = PL_UNAVAILABLE, .expected = true, .message = PL_STR("down")};
    fixture_open(&x);
    start_all(r, 3, &x, "{ slow }");
    te_fail_call(x.f.t, te_waiting_at(x.f.t, 0), &failure);
    te_advance(x.f.t, 0);
    assert_int_equal(x.calls, 3);
    while (te_waiting(x.f.t) > 0)
        te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    assert_non_null(strstr(r[0].body, "down"));
    assert_string_equal(r[1].body, "{\"data\":{\"slow\":2}}");
    for (int i = 0; i < 3; i++)
        gf_end(&r[i]);
    fixture_close(&x);
}

static void test_without_timers(void **state)
{
    gf_request r[3];
    fixture x;
    fixture_open(&x);
    gf_resolve(&x.f, "Query", "slow", count_slowly, &x.calls);
    start_all(r, 3, &x, "{ slow }");
    te_refuse_timers(x.f.t);
    te_resume(x.f.t, te_waiting_at(x.f.t, 0));
    for (int i = 0; i < 3; i++) {
        assert_string_equal(r[i].body, "{\"data\":{\"slow\":1}}");
        gf_end(&r[i]);
    }
    fixture_close(&x);
}

/* Each allocation fails once: the answer is right, or an error; nothing is left behind. */
static void test_short_of_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        gf_request r[3];
        fixture x;
        fixture_open(&x);
        gf_expect(&x.f, "{ me { id } }", NULL, "{\"data\":{\"me\":{\"id\":\"1\"}}}");
        set_session(&x, "ann");
        failing_begin(&a);
        for (int i = 0; i < 3; i++)
            gf_start(&r[i], &x.f, "{ slow }", NULL);
        while (te_waiting(x.f.t) > 0 || te_is_due(x.f.t)) {
            if (te_waiting(x.f.t) > 0)
                te_resume(x.f.t, te_waiting_at(x.f.t, 0));
            te_advance(x.f.t, 0);
        }
        bool failed = failing_end(&a);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(r[i].done, 1);
            if (!failed) /* one was executed for all */
                assert_string_equal(r[i].body, "{\"data\":{\"slow\":1}}");
            else if (!strstr(r[i].body, "\"code\":\"RESOURCE_EXHAUSTED\""))
                assert_int_equal(strncmp(r[i].body, "{\"data\":{\"slow\":", 16), 0);
            gf_end(&r[i]);
        }
        fixture_close(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_operation_names),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_session_function),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_purges),
        cmocka_unit_test(test_purge_of_what_is_not_there),
        cmocka_unit_test(test_purge_of_one_of_many),
        cmocka_unit_test(test_purge_of_unknown_types),
        cmocka_unit_test(test_purge_during_an_execution),
        cmocka_unit_test(test_more_purges_than_are_noted),
        cmocka_unit_test(test_one_executes_for_all),
        cmocka_unit_test(test_what_cannot_be_cached_is_executed_by_each),
        cmocka_unit_test(test_flights_of_sessions),
        cmocka_unit_test(test_the_leader_is_cancelled),
        cmocka_unit_test(test_a_purge_between),
        cmocka_unit_test(test_a_leader_with_errors),
        cmocka_unit_test(test_without_timers),
        cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
