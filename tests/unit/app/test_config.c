/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include "app/config.h"
#include "app/instance.h"
#include "perilune/engines.h"

typedef struct loaded {
    pl_bundle *bundle;
    pl_instance *instance;
    pl_config config;
    pl_arena arena;
    pl_report report;
} loaded;

static void load(loaded *l, const char *code)
{
    *l = (loaded){.bundle = MEMORY_BUNDLE("app.lua", code)};
    pl_report_init(&l->report);
    pl_arena_init(&l->arena, 0);
    pl_config_default(&l->config);
    pl_instance_source source = {.engine = pl_lua_engine(),
                                 .bundle = l->bundle,
                                 .config = &l->config,
                                 .config_arena = &l->arena,
                                 .read_config = true};
    l->instance = pl_instance_open(&source, &l->report);
    /* The settings outlive the state that they were read from. */
    if (l->instance) {
        assert_false(pl_report_has_errors(&l->report));
        pl_instance_free(l->instance);
    } else {
        assert_true(pl_report_has_errors(&l->report));
    }
}

static void unload(loaded *l)
{
    pl_bundle_unref(l->bundle);
    pl_arena_dispose(&l->arena);
    pl_report_dispose(&l->report);
}

static void load_ok(loaded *l, const char *code)
{
    load(l, code);
    if (!l->instance)
        fail_msg("%s: %s", code, report_text(&l->report));
}

/* The settings are refused with this line alone. */
static void expect_refused(const char *settings, const char *message)
{
    loaded l;
    char code[1024], expected[1024];
    snprintf(code, sizeof(code), "return { %s }", settings);
    snprintf(expected, sizeof(expected), "app.lua: %s\n", message);
    load(&l, code);
    if (strcmp(report_text(&l.report), expected) != 0)
        fail_msg("%s: expected \"%s\", got \"%s\"", settings, expected, report_text(&l.report));
    assert_string_equal(l.report.errors.first->file, "app.lua");
    unload(&l);
}

static void test_defaults(void **state)
{
    loaded l;
    static const char *const nothing[] = {"return {}",
                                          "return { http = {}, graphql = {}, limits = {}, timers = {} }",
                                          "return setmetatable({}, {})"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        load_ok(&l, nothing[i]);
        assert_true(pl_str_is(l.config.path, "/graphql"));
        assert_true(l.config.http.compress);
        assert_false(l.config.pretty);
        assert_int_equal(l.config.http.cors.origin_count, 0);
        assert_int_equal(l.config.timer_count, 0);
        assert_int_equal(l.config.limits.memory, 0);
        assert_false(l.config.graphql.no_introspection);
        unload(&l);
    }
}

static void test_http(void **state)
{
    loaded l;
    load_ok(&l,
            "return { name = 'shop', http = { path = '/api', compress = false, pretty = true, cors = {\n"
            "  origins = { 'https://a.example', 'https://b.example' }, credentials = true, max_age = 60,\n"
            "  allow_headers = 'authorization', expose_headers = 'x-request-id' } } }");
    const pl_cors *cors = &l.config.http.cors;
    assert_true(pl_str_is(l.config.name, "shop"));
    assert_true(pl_str_is(l.config.path, "/api"));
    assert_false(l.config.http.compress);
    assert_true(l.config.pretty);
    assert_int_equal(cors->origin_count, 2);
    assert_true(pl_str_is(cors->origins[0], "https://a.example"));
    assert_true(pl_str_is(cors->origins[1], "https://b.example"));
    assert_true(cors->credentials);
    assert_int_equal(cors->max_age_s, 60);
    assert_true(pl_str_is(cors->allow_headers, "authorization"));
    assert_true(pl_str_is(cors->expose_headers, "x-request-id"));
    unload(&l);
    load_ok(&l, "return { http = { cors = { origins = {} } } }");
    assert_int_equal(l.config.http.cors.origin_count, 0);
    unload(&l);
}

static void test_reading(void **state)
{
    loaded l;
    const pl_reading_config *r = &l.config.reading;
    load_ok(&l, "return {}");
    assert_int_equal(r->csrf.mode, PL_CSRF_ON);
    assert_int_equal(r->csrf.header_count, 0);
    assert_int_equal(r->max_batch, 0);
    assert_int_equal(r->documents.mode, PL_DOCUMENTS_OFF);
    assert_false(r->apq.on || r->uploads.on || r->draft_status);
    unload(&l);
    load_ok(&l,
            "return { http = { csrf = { headers = { 'X-One', 'x-two' } }, batching = true, uploads = true, "
            "status = 'draft' }, graphql = { documents = {}, apq = true } }");
    assert_int_equal(r->csrf.mode, PL_CSRF_ON);
    assert_int_equal(r->csrf.header_count, 2);
    assert_true(pl_str_is(r->csrf.headers[0], "x-one") && pl_str_is(r->csrf.headers[1], "x-two"));
    assert_int_equal(r->max_batch, 10);
    assert_int_equal(r->documents.mode, PL_DOCUMENTS_STRICT);
    assert_true(pl_str_is(r->documents.path, "documents"));
    assert_true(r->apq.on && r->apq.size == (size_t)16 << 20 && r->apq.ttl_ms == 86400000);
    assert_true(r->uploads.on && r->uploads.max_file_size == (size_t)16 << 20 && r->uploads.max_files == 10);
    assert_true(r->draft_status);
    unload(&l);
    load_ok(&l,
            "return { http = { csrf = 'strict', batching = { max = 3 }, status = 'audit', uploads = { "
            "max_file_size = '1MB', max_files = 2, max_size = '3MB', max_total = '9MB', timeout = 5, "
            "directory = 'up' } }, "
            "graphql = { documents = { path = 'd', mode = 'mixed' }, apq = { size = '1MB', ttl = 60 } } }");
    assert_int_equal(r->csrf.mode, PL_CSRF_STRICT);
    assert_int_equal(r->max_batch, 3);
    assert_int_equal(r->documents.mode, PL_DOCUMENTS_MIXED);
    assert_true(pl_str_is(r->documents.path, "d") && pl_str_is(r->uploads.directory, "up"));
    assert_true(r->uploads.on && r->uploads.max_file_size == (size_t)1 << 20 && r->uploads.max_files == 2);
    assert_true(r->uploads.max_size == (size_t)3 << 20 && r->uploads.max_total == (size_t)9 << 20);
    assert_int_equal(r->uploads.timeout_ms, 5000);
    assert_true(r->apq.on && r->apq.size == (size_t)1 << 20 && r->apq.ttl_ms == 60000);
    assert_false(r->draft_status);
    unload(&l);
    load_ok(&l, "return { http = { csrf = false, batching = false, uploads = false }, "
                "graphql = { documents = { mode = 'off' }, apq = false } }");
    assert_int_equal(r->csrf.mode, PL_CSRF_OFF);
    assert_true(r->max_batch == 0 && !r->uploads.on && !r->apq.on);
    assert_int_equal(r->documents.mode, PL_DOCUMENTS_OFF);
    unload(&l);
}

static void test_graphiql(void **state)
{
    loaded l;
    load_ok(&l, "return { name = 'shop' }");
    assert_false(l.config.ide.enabled);
    unload(&l);
    load_ok(&l, "return { http = { graphiql = true } }");
    assert_true(l.config.ide.enabled);
    assert_null(l.config.ide.default_query.ptr);
    assert_false(l.config.ide.no_headers);
    unload(&l);
    load_ok(&l, "return { http = { graphiql = false } }");
    assert_false(l.config.ide.enabled);
    unload(&l);
    load_ok(&l,
            "return { http = { graphiql = { title = 'Shop', default_query = '{ a }', headers = false } } }");
    assert_true(l.config.ide.enabled);
    assert_true(pl_str_is(l.config.ide.title, "Shop"));
    assert_true(pl_str_is(l.config.ide.default_query, "{ a }"));
    assert_true(l.config.ide.no_headers);
    unload(&l);
    expect_refused("http = { graphiql = 'yes' }",
                   "http.graphiql must be true, false or a table of settings, not a string.");
    expect_refused("http = { graphiql = { tilte = 'Shop' } }",
                   "There is no setting \"http.graphiql.tilte\".");
}

static void test_graphql(void **state)
{
    loaded l;
    load_ok(&l, "return { graphql = { introspection = false, ready_made_scalars = false, subgraph = true, "
                "timeout = 2.5, "
                "max_tokens = 1,\n"
                "  max_nesting = 2, max_fields = 3, max_errors = 4294967295, max_response = '8MB', "
                "cache_size = 4096,\n"
                "  show_internal_errors = true } }");
    const gql_service_options *o = &l.config.graphql;
    assert_true(o->no_introspection);
    assert_true(l.config.schema.no_ready_made_scalars);
    assert_true(l.config.schema.subgraph);
    assert_int_equal(o->execute.timeout_ms, 2500);
    assert_int_equal(o->parse.max_tokens, 1);
    assert_int_equal(o->parse.max_depth, 2);
    assert_int_equal(o->max_fields, 3);
    assert_int_equal(o->max_errors, UINT32_MAX);
    assert_int_equal(o->max_response, 8 << 20);
    assert_int_equal(o->cache_bytes, 4096);
    assert_true(o->execute.show_internal);
    unload(&l);
    load_ok(&l, "return { graphql = { introspection = true, ready_made_scalars = true } }");
    assert_false(l.config.graphql.no_introspection);
    assert_false(l.config.schema.no_ready_made_scalars);
    unload(&l);
}

static void test_operation_limits(void **state)
{
    loaded l;
    load_ok(&l,
            "return { graphql = { max_depth = 1, max_aliases = 2, max_root_fields = 3, max_directives = 4, "
            "max_list_items = 5,\n"
            "  max_introspection = 6, max_cost = 9000000000000, default_list_size = 7, refuse_deprecated = "
            "true,\n"
            "  rate_limit = { capacity = 100, refill = 0.5, by = 'header:X-API-Key' } } }");
    const gql_service_options *o = &l.config.graphql;
    const gql_limits expected = {1, 2, 3, 4, 5, 6};
    assert_memory_equal(&o->limits, &expected, sizeof expected);
    assert_int_equal(o->cost.max_cost, 9000000000000);
    assert_int_equal(o->cost.default_list_size, 7);
    assert_true(o->no_deprecated);
    assert_true(l.config.rate_limit.capacity == 100 && l.config.rate_limit.refill == 0.5);
    assert_int_equal(l.config.rate_limit.by, PL_RATE_BY_HEADER);
    assert_true(pl_str_is(l.config.rate_limit.header, "x-api-key"));
    unload(&l);
    load_ok(&l, "return { graphql = { rate_limit = { capacity = 1, refill = 1, by = 'user' } } }");
    assert_int_equal(l.config.rate_limit.by, PL_RATE_BY_USER);
    unload(&l);
    load_ok(&l, "return { graphql = { rate_limit = { capacity = 1, refill = 1 } } }");
    assert_int_equal(l.config.rate_limit.by, PL_RATE_BY_PEER);
    unload(&l);
    load_ok(&l, "return {}");
    assert_true(l.config.rate_limit.capacity == 0);
    unload(&l);
    expect_refused("graphql = { rate_limit = { refill = 1 } }", "graphql.rate_limit has no \"capacity\".");
    expect_refused("graphql = { rate_limit = { capacity = 1, refill = 1, by = 'header:' } }",
                   "graphql.rate_limit.by must be \"peer\", \"user\" or \"header:NAME\", not a string.");
    expect_refused("graphql = { rate_limit = { capacity = 0, refill = 1 } }",
                   "graphql.rate_limit.capacity must be a number, from 0.001, not an integer.");
}

static void test_limits(void **state)
{
    loaded l;
    load_ok(&l, "return { limits = { memory = '64MB', call_memory = 1048576, instructions = 9000000000000, "
                "run_time = 0.25,\n"
                "  load_time = 10 } }");
    assert_int_equal(l.config.limits.memory, 64 << 20);
    assert_int_equal(l.config.limits.call_memory, 1 << 20);
    assert_int_equal(l.config.limits.instructions, 9000000000000);
    assert_int_equal(l.config.limits.run_ms, 250);
    assert_int_equal(l.config.limits.load_ms, 10000);
    unload(&l);
}

static void test_access(void **state)
{
    loaded l;
    load_ok(&l, "return { graphql = { introspection = { 'A', 'B' }, enforce_scopes = true,\n"
                "roles = { A = { 'B', 'C' }, B = {} } } }");
    assert_int_equal(l.config.access.introspection, GQL_INTROSPECTION_FOR_ROLES);
    assert_int_equal(l.config.access.introspection_role_count, 2);
    assert_true(pl_str_is(l.config.access.introspection_roles[1], "B"));
    assert_true(l.config.access.enforce_scopes);
    assert_int_equal(l.config.access.role_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const gql_role *role = &l.config.access.roles[i];
        assert_int_equal(role->count, pl_str_is(role->name, "A") ? 2 : 0);
    }
    unload(&l);
    load_ok(&l, "return { graphql = { introspection = 'authenticated' } }");
    assert_int_equal(l.config.access.introspection, GQL_INTROSPECTION_FOR_SIGNED_IN);
    assert_false(l.config.graphql.no_introspection);
    unload(&l);
    load_ok(&l, "return { graphql = { introspection = false } }");
    assert_int_equal(l.config.access.introspection, GQL_INTROSPECTION_FOR_ALL);
    assert_true(l.config.graphql.no_introspection);
    unload(&l);
}

static void test_loaders(void **state)
{
    loaded l;
    load_ok(&l, "return { loaders = { users = print, posts = { batch = print, key = print, max_batch = 7, "
                "cache = false } } }");
    assert_int_equal(l.config.loader_count, 2);
    assert_true(pl_str_is(l.config.loaders[0].name, "posts"));
    assert_int_equal(l.config.loaders[0].max_batch, 7);
    assert_true(l.config.loaders[0].uncached);
    assert_true(pl_str_is(l.config.loaders[1].name, "users"));
    assert_int_equal(l.config.loaders[1].max_batch, 0);
    assert_false(l.config.loaders[1].uncached);
    unload(&l);
}

static void test_timers(void **state)
{
    loaded l;
    load_ok(&l, "local function run() end\n"
                "return { timers = { tidy = { every = 60, run = run }, beat = { every = 0.29, run = run },\n"
                "  ['odd name'] = { every = 1.001, run = run } } }");
    assert_int_equal(l.config.timer_count, 3); /* sorted by name */
    assert_true(pl_str_is(l.config.timers[0].name, "beat"));
    assert_true(pl_str_is(l.config.timers[1].name, "odd name"));
    assert_true(pl_str_is(l.config.timers[2].name, "tidy"));
    assert_int_equal(l.config.timers[0].every_ms, 290);
    assert_int_equal(l.config.timers[1].every_ms, 1001);
    assert_int_equal(l.config.timers[2].every_ms, 60000);
    unload(&l);
    load_ok(&l, "return { default_resolver = function() end }");
    unload(&l);
}

/* A database in a file has an outbox and projections, with timers behind those of the application. */
static void test_sqlite(void **state)
{
    loaded l;
    load_ok(
        &l,
        "return { sqlite = { path = 'shop.db', busy_timeout = 0.5, max_rows = 7, synchronous = 'full' },\n"
        "  timers = { tidy = { every = 60, run = print } } }");
    assert_true(pl_str_is(l.config.database.path, "shop.db"));
    assert_int_equal(l.config.database.busy_ms, 500);
    assert_int_equal(l.config.database.max_rows, 7);
    assert_int_equal(l.config.database.max_bytes, 64 << 20);
    assert_true(l.config.database.synced);
    assert_int_equal(l.config.timer_count, 3);
    assert_true(pl_str_is(l.config.timers[0].name, "tidy"));
    assert_null(l.config.timers[0].module.ptr);
    assert_true(pl_str_is(l.config.timers[1].module, "perilune.outbox.relay"));
    assert_true(pl_str_is(l.config.timers[2].name, "perilune.projections"));
    unload(&l);
    load_ok(&l, "return { sqlite = { path = ':memory:' } }");
    assert_int_equal(l.config.timer_count, 0);
    assert_int_equal(l.config.database.busy_ms, 5000);
    unload(&l);
    expect_refused("timers = { ['perilune.outbox'] = { every = 1, run = print } }",
                   "timers.perilune.outbox: names that begin with \"perilune.\" are the server's own.");
    expect_refused("sqlite = {}", "sqlite has no \"path\": { path = \"app.db\" }.");
    expect_refused("sqlite = { path = '' }",
                   "sqlite.path must be a path such as \"app.db\", or \":memory:\", not a string.");
    expect_refused("sqlite = { path = 5 }",
                   "sqlite.path must be a path such as \"app.db\", or \":memory:\", not an integer.");
    expect_refused("sqlite = { path = 'a', synchronous = 1 }",
                   "sqlite.synchronous must be \"normal\" or \"full\", not an integer.");
}

static size_t size_of(const char *value)
{
    loaded l;
    char code[256];
    snprintf(code, sizeof(code), "return { limits = { memory = %s } }", value);
    load_ok(&l, code);
    size_t size = l.config.limits.memory;
    unload(&l);
    return size;
}

static void test_sizes(void **state)
{
    assert_int_equal(size_of("1"), 1);
    assert_int_equal(size_of("1048576"), 1048576);
    assert_int_equal(size_of("2.0"), 2);
    assert_int_equal(size_of("'4096'"), 4096);
    assert_int_equal(size_of("'4096B'"), 4096);
    assert_int_equal(size_of("'1kB'"), 1024);
    assert_int_equal(size_of("'1KB'"), 1024);
    assert_int_equal(size_of("'1k'"), 1024);
    assert_int_equal(size_of("'1MB'"), 1 << 20);
    assert_int_equal(size_of("'1 MiB'"), 1 << 20);
    assert_int_equal(size_of("'1.5MB'"), 3 << 19);
    assert_int_equal(size_of("'0.5MB'"), 1 << 19);
    assert_int_equal(size_of("'2GiB'"), (size_t)2 << 30);
    static const char *const wrong[] = {"''",   "'MB'",       "'1XB'",  "'1MBx'",   "'1iB'",        "'-1MB'",
                                        "'0'",  "'nan'",      "'1e30'", "'inf'",    "'1MB\\0'",     "'1MB 2'",
                                        "'1i'", "'0.0001kB'", "' '",    "'1\\0MB'", "('1'):rep(40)"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char settings[256];
        snprintf(settings, sizeof(settings), "limits = { memory = %s }", wrong[i]);
        expect_refused(settings, "limits.memory must be a size such as 1048576 or \"1MB\", not a string.");
    }
    expect_refused("limits = { memory = 0 }",
                   "limits.memory must be a whole number from 1 to 9223372036854775807, not an integer.");
    expect_refused("limits = { memory = {} }",
                   "limits.memory must be a whole number from 1 to 9223372036854775807, not a map.");
}

static void test_counts(void **state)
{
    static const char *const wrong[][2] = {
        {"0", "an integer"},        {"-1", "an integer"}, {"4294967296", "an integer"},
        {"1.5", "a float"},         {"1e300", "a float"}, {"-1e300", "a float"},
        {"0/0", "a float"},         {"1/0", "a float"},   {"'5'", "a string"},
        {"true", "a boolean"},      {"{}", "a map"},      {"{1}", "a list"},
        {"4294967296.0", "a float"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char settings[128], message[256];
        snprintf(settings, sizeof(settings), "graphql = { max_tokens = %s }", wrong[i][0]);
        snprintf(message, sizeof(message),
                 "graphql.max_tokens must be a whole number from 1 to 4294967295, not %s.", wrong[i][1]);
        expect_refused(settings, message);
    }
    expect_refused("limits = { instructions = 9.3e18 }",
                   "limits.instructions must be a whole number from 1 to 9223372036854775807, not a float.");
    loaded l;
    load_ok(&l, "return { graphql = { max_tokens = 15000.0 } }");
    assert_int_equal(l.config.graphql.parse.max_tokens, 15000);
    unload(&l);
}

static void test_seconds(void **state)
{
    static const char *const wrong[][2] = {{"0", "an integer"}, {"-1", "an integer"},  {"0.0009", "a float"},
                                           {"1e10", "a float"}, {"0/0", "a float"},    {"'1'", "a string"},
                                           {"1/0", "a float"},  {"false", "a boolean"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char settings[128], message[256];
        snprintf(settings, sizeof(settings), "graphql = { timeout = %s }", wrong[i][0]);
        snprintf(message, sizeof(message), "graphql.timeout must be a number of seconds, from 0.001, not %s.",
                 wrong[i][1]);
        expect_refused(settings, message);
        snprintf(settings, sizeof(settings), "timers = { t = { every = %s, run = print } }", wrong[i][0]);
        snprintf(message, sizeof(message), "timers.t.every must be a number of seconds, from 0.001, not %s.",
                 wrong[i][1]);
        expect_refused(settings, message);
    }
    loaded l;
    load_ok(&l, "return { graphql = { timeout = 0.001 }, limits = { run_time = 1000000000 } }");
    assert_int_equal(l.config.graphql.execute.timeout_ms, 1);
    assert_int_equal(l.config.limits.run_ms, UINT32_MAX); /* as long as it can be */
    unload(&l);
}

static void test_wrong_kinds(void **state)
{
    static const char *const cases[][2] = {
        {"name = 1", "name must be a string, not an integer."},
        {"http = 1", "http must be a table of settings, not an integer."},
        {"http = { 'x' }", "http must be a table of settings, not a list."},
        {"http = { path = 'graphql' }", "http.path must be a path that begins with \"/\", not a string."},
        {"http = { path = 1 }", "http.path must be a path that begins with \"/\", not an integer."},
        {"http = { compress = 'yes' }", "http.compress must be true or false, not a string."},
        {"http = { pretty = 1 }", "http.pretty must be true or false, not an integer."},
        {"http = { cors = true }", "http.cors must be a table of settings, not a boolean."},
        {"http = { csrf = 'lax' }", "http.csrf must be true, false or a table of settings, not a string."},
        {"http = { csrf = { headers = 'x-a' } }",
         "http.csrf.headers must be a list of header names such as { \"x-my-client\" }, not a string."},
        {"http = { batching = 3 }",
         "http.batching must be true, false or a table of settings, not an integer."},
        {"http = { batching = { max = 0 } }",
         "http.batching.max must be a whole number from 1 to 4294967295, not an integer."},
        {"http = { uploads = { max_file = 1 } }", "There is no setting \"http.uploads.max_file\"."},
        {"http = { status = 'new' }", "http.status must be \"audit\" or \"draft\", not a string."},
        {"graphql = { documents = { mode = 'lax' } }",
         "graphql.documents.mode must be \"strict\", \"mixed\" or \"off\", not a string."},
        {"graphql = { apq = { ttl = 0 } }",
         "graphql.apq.ttl must be a number of seconds, from 0.001, not an integer."},
        {"http = { cors = { credentials = 1 } }",
         "http.cors.credentials must be true or false, not an integer."},
        {"http = { cors = { allow_headers = { 'a' } } }",
         "http.cors.allow_headers must be a string, not a list."},
        {"http = { cors = { origins = '*' } }", "http.cors.origins must be a list of origins such as { "
                                                "\"https://shop.example\" }, or { \"*\" }, not a string."},
        {"http = { cors = { origins = { shop = 'https://shop.example' } } }",
         "http.cors.origins must be a list of origins such as { \"https://shop.example\" }, or { \"*\" }, "
         "not a map."},
        {"http = { cors = { origins = { 'https://a.example', 1 } } }",
         "http.cors.origins must be a list of strings, not an integer."},
        {"limits = print", "limits must be a table of settings, not a function, thread or foreign object."},
        {"default_resolver = 'x'", "default_resolver must be a function, not a string."},
        {"graphql = { introspection = 'some' }",
         "graphql.introspection must be true, false, \"authenticated\", or a list of roles, not a string."},
        {"graphql = { introspection = { 1 } }",
         "graphql.introspection must be a list of strings, not an integer."},
        {"graphql = { roles = { 'ADMIN' } }",
         "graphql.roles must be a table { ROLE = { \"INCLUDED_ROLE\" } }, not a list."},
        {"graphql = { roles = { ADMIN = 'EDITOR' } }",
         "graphql.roles.ADMIN must be a list of the roles that it includes, not a string."},
        {"graphql = { enforce_scopes = 1 }", "graphql.enforce_scopes must be true or false, not an integer."},
        {"loaders = { 1 }", "loaders must be a table { name = function(keys, ctx) }, not a list."},
        {"loaders = { [7.5] = print }", "loaders has an entry that is not named by a string."},
        {"loaders = { l = 1 }",
         "loaders.l must be a function(keys, ctx), or a table { batch = function, … }, not an integer."},
        {"loaders = { l = { max_batch = 5 } }", "loaders.l has no \"batch\"."},
        {"loaders = { l = { batch = 'x' } }", "loaders.l.batch must be a function, not a string."},
        {"loaders = { l = { batch = print, key = true } }",
         "loaders.l.key must be a function, not a boolean."},
        {"loaders = { l = { batch = print, max_batch = 0 } }",
         "loaders.l.max_batch must be a whole number from 1 to 4294967295, not an integer."},
        {"loaders = { l = { batch = print, cache = 1 } }",
         "loaders.l.cache must be true or false, not an integer."},
        {"loaders = { l = { batch = print, size = 1 } }", "There is no setting \"loaders.l.size\"."},
        {"timers = { 1 }",
         "timers must be a table { name = { every = seconds, run = function } }, not a list."},
        {"timers = { [7.5] = {} }", "timers has an entry that is not named by a string."},
        {"timers = { t = print }", "timers.t must be a table { every = seconds, run = function }, not a "
                                   "function, thread or foreign object."},
        {"timers = { t = { run = print } }", "timers.t has no \"every\"."},
        {"timers = { t = { every = 1 } }", "timers.t has no \"run\"."},
        {"timers = { t = setmetatable({ run = print }, {}) }", "timers.t has no \"every\"."},
        {"timers = { t = { every = 1, run = 'x' } }", "timers.t.run must be a function, not a string."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(cases[i][0], cases[i][1]);
}

static void test_unknown_settings(void **state)
{
    static const char *const cases[][2] = {
        {"nmae = 'x'", "There is no setting \"nmae\"."},
        {"Name = 'x'", "There is no setting \"Name\"."},
        {"http = { port = 80 }", "There is no setting \"http.port\"."},
        {"http = { cors = { origin = 'x' } }", "There is no setting \"http.cors.origin\"."},
        {"limits = { time = 1 }", "There is no setting \"limits.time\"."},
        {"graphql = { timeouts = 1 }", "There is no setting \"graphql.timeouts\"."},
        {"timers = { t = { every = 1, run = print, evry = 2 } }", "There is no setting \"timers.t.evry\"."},
        {"[true] = 1", "the settings has an entry that is not named by a string."},
        {"http = { [2] = 1 }", "http has an entry that is not named by a string."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(cases[i][0], cases[i][1]);
    loaded l;
    char code[2100];
    memset(code, 'x', sizeof(code));
    memcpy(code, "return { ", 9);
    snprintf(code + 2000, 100, " = 1 }");
    load(&l, code); /* a name of any length */
    assert_has(report_text(&l.report), "There is no setting \"xxxx");
    unload(&l);
}

static void test_all_problems_are_told(void **state)
{
    loaded l;
    load(&l, "return { name = 1, nmae = 2, http = { path = 3, compress = 4 }, limits = { memory = 'x' } }");
    const char *text = report_text(&l.report);
    assert_int_equal(l.report.errors.count, 5);
    assert_has(text, "app.lua: name must be");
    assert_has(text, "app.lua: There is no setting \"nmae\"");
    assert_has(text, "app.lua: http.path must be");
    assert_has(text, "app.lua: http.compress must be");
    assert_has(text, "app.lua: limits.memory must be");
    unload(&l);
}

static void test_what_is_no_table(void **state)
{
    static const char *const cases[][2] = {{"return 1", "an integer"},
                                           {"", "nothing"},
                                           {"return nil", "nothing"},
                                           {"return { 1 }", "a list"},
                                           {"return 'app'", "a string"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        loaded l;
        char expected[128];
        snprintf(expected, sizeof(expected),
                 "app.lua: what app.lua returns must be a table of settings, not %s.\n", cases[i][1]);
        load(&l, cases[i][0]);
        assert_string_equal(report_text(&l.report), expected);
        unload(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_graphiql),
        cmocka_unit_test(test_graphql),
        cmocka_unit_test(test_operation_limits),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_loaders),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_sqlite),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_wrong_kinds),
        cmocka_unit_test(test_unknown_settings),
        cmocka_unit_test(test_all_problems_are_told),
        cmocka_unit_test(test_what_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
