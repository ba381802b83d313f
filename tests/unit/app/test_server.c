/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "app/server.h"
#include "base/alloc.h"
#include "perilune/engines.h"
#include "support/failing.h"

typedef struct site {
    folder f;
    pl_server_config config;
    pl_server *server;
    pl_logger *log;
    pthread_mutex_t lock; /* of what follows */
    char lines[65536];
} site;

static void on_line(void *data, pl_level level, pl_str line)
{
    site *s = data;
    pthread_mutex_lock(&s->lock);
    size_t len = strlen(s->lines);
    snprintf(s->lines + len, sizeof(s->lines) - len, "%.*s\n", PL_STR_ARG(line));
    pthread_mutex_unlock(&s->lock);
}

static unsigned logged(site *s, const char *text)
{
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    for (const char *p = s->lines; (p = strstr(p, text)) != NULL; p += strlen(text))
        n++;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void write_version(site *s, const char *version)
{
    char code[128];
    snprintf(code, sizeof(code), "return '%s'", version);
    folder_write(&s->f, "lib/version.lua", code);
}

static void site_prepare(site *s, unsigned workers)
{
    *s = (site){.config = {.workers = workers,
                           .edge = {.address = "127.0.0.1:0"},
                           .engine = pl_lua_engine(),
                           .drain_ms = 20000}};
    pthread_mutex_init(&s->lock, NULL);
    folder_new(&s->f);
    folder_write(&s->f, "schema/s.graphql", "type Query { version: String!, slow(s: Float!): String! }");
    folder_write(&s->f, "resolvers/q.lua",
                 "local time, version = require 'perilune.time', require 'lib.version'\n"
                 "return { Query = { version = function() return version end,\n"
                 "  slow = function(_, args) print('slow begins') time.sleep(args.s) return version end } }");
    write_version(s, "one");
    s->log = pl_logger_new_sink(on_line, s, PL_LOG_JSON, PL_DEBUG);
    s->config.directory = s->f.path;
    s->config.log = s->log;
}

static void site_start(site *s)
{
    pl_report report;
    pl_error err = {0};
    pl_report_init(&report);
    s->server = pl_server_start(&s->config, &report, &err);
    if (!s->server)
        fail_msg("%s %s", err.message, report_text(&report));
    pl_report_dispose(&report);
}

static void site_new(site *s, unsigned workers)
{
    site_prepare(s, workers);
    site_start(s);
}

static void site_end(site *s, unsigned timeout_ms)
{
    if (s->server) {
        pl_server_stop(s->server, timeout_ms);
        pl_server_free(s->server);
    }
    pl_logger_free(s->log);
    pthread_mutex_destroy(&s->lock);
    folder_remove(&s->f);
}

static void site_free(site *s)
{
    site_end(s, 1000);
}

/* Each worker is asked: connections are spread over them by their addresses. */
static void expect_version(site *s, const char *version)
{
    char expected[128];
    snprintf(expected, sizeof(expected), "{\"data\":{\"version\":\"%s\"}}", version);
    for (unsigned i = 0; i < 6 * s->config.workers; i++)
        assert_string_equal(http_ask(pl_server_address(s->server), "{ version }"), expected);
}

static pl_reload_result reload(site *s, bool force, const char *problem)
{
    pl_report report;
    pl_report_init(&report);
    pl_reload_result result = pl_server_reload(s->server, "test", force, &report);
    assert_int_equal(pl_report_has_errors(&report), problem != NULL);
    assert_int_equal(result == PL_RELOAD_REFUSED, problem != NULL);
    if (problem)
        assert_has(report_text(&report), problem);
    pl_report_dispose(&report);
    return result;
}

static pl_reload_result rollback(site *s)
{
    pl_report report;
    pl_report_init(&report);
    pl_reload_result result = pl_server_rollback(s->server, &report);
    assert_int_equal(pl_report_has_errors(&report), result == PL_RELOAD_REFUSED);
    pl_report_dispose(&report);
    return result;
}

/* --- status --- */

typedef struct status {
    pl_arena arena;
    pl_value v;
} status;

static void status_get(site *s, status *out)
{
    pl_buf buf;
    pl_error err = {0};
    pl_buf_init(&buf);
    pl_arena_init(&out->arena, 0);
    pl_server_status(s->server, &buf);
    if (pl_json_read(&out->arena, pl_buf_view(&buf), NULL, &out->v, &err))
        fail_msg("%s: %.*s", err.message, PL_STR_ARG(pl_buf_view(&buf)));
    pl_buf_dispose(&buf);
}

static const pl_value *member(const pl_value *v, const char *name)
{
    const pl_value *found = pl_value_member(v, pl_str_of(name));
    if (!found)
        fail_msg("there is no %s", name);
    return found;
}

static int64_t status_number(site *s, const char *name)
{
    status st;
    status_get(s, &st);
    int64_t n = member(&st.v, name)->integer;
    pl_arena_dispose(&st.arena);
    return n;
}

/* Until only so many generations are left. */
static void wait_for_generations(site *s, size_t count)
{
    uint64_t until = clock_ms() + LONGEST_MS;
    for (;;) {
        status st;
        status_get(s, &st);
        size_t n = member(&st.v, "generations")->list.count;
        pl_arena_dispose(&st.arena);
        if (n == count)
            return;
        if (clock_ms() > until)
            fail_msg("there are %zu generations", n);
        struct pollfd p = {.fd = pl_server_fd(s->server), .events = POLLIN};
        poll(&p, 1, 20);
        pl_server_work(s->server);
    }
}

static void wait_for_log(site *s, const char *text, unsigned count)
{
    uint64_t until = clock_ms() + LONGEST_MS;
    while (logged(s, text) < count) {
        if (clock_ms() > until)
            fail_msg("\"%s\" is not logged", text);
        poll(NULL, 0, 1);
    }
}

/* A connection with a request that is in hand. */
static int ask_slow(site *s, const char *seconds)
{
    char query[64];
    unsigned before = logged(s, "slow begins");
    int fd = http_connect(pl_server_address(s->server));
    snprintf(query, sizeof(query), "{ slow(s: %s) }", seconds);
    http_send(fd, query);
    wait_for_log(s, "slow begins", before + 1);
    return fd;
}

/* --- tests --- */

static void serve_and_reload(unsigned workers)
{
    site s;
    site_new(&s, workers);
    assert_int_equal(pl_server_generation(s.server), 1);
    assert_null(pl_server_tls_address(s.server));
    expect_version(&s, "one");
    assert_int_equal(reload(&s, false, NULL), PL_RELOAD_UNCHANGED);
    assert_int_equal(pl_server_generation(s.server), 1);
    assert_int_equal(rollback(&s), PL_RELOAD_REFUSED); /* there is nothing to go back to */
    write_version(&s, "two");
    expect_version(&s, "one");
    assert_int_equal(reload(&s, false, NULL), PL_RELOADED);
    assert_int_equal(pl_server_generation(s.server), 2);
    expect_version(&s, "two");
    assert_int_equal(reload(&s, true, NULL), PL_RELOADED); /* forced, though nothing has changed */
    expect_version(&s, "two");
    wait_for_generations(&s, 1);
    site_free(&s);
}

static void test_one_worker(void **state)
{
    serve_and_reload(1);
}

static void test_two_workers(void **state)
{
    serve_and_reload(2);
}

static void test_refused_reload_changes_nothing(void **state)
{
    site s;
    site_new(&s, 2);
    write_version(&s, "two' +");
    assert_int_equal(reload(&s, false, "lib/version.lua:1: "), PL_RELOAD_REFUSED);
    expect_version(&s, "one");
    folder_write(&s.f, "resolvers/more.lua", "return { Query = { nope = function() end } }");
    write_version(&s, "two");
    assert_int_equal(reload(&s, false, "resolvers/more.lua:1: There is a resolver for \"Query.nope\""),
                     PL_RELOAD_REFUSED);
    assert_int_equal(rename(in(&s.f, "schema"), in(&s.f, ".schema")), 0);
    assert_int_equal(reload(&s, false, "the bundle has no schema"), PL_RELOAD_REFUSED);
    folder gone = s.f;
    char moved[PATH_MAX];
    snprintf(moved, sizeof(moved), "%s-moved", gone.path);
    assert_int_equal(rename(gone.path, moved), 0);
    assert_int_equal(reload(&s, true, "No such file or directory"), PL_RELOAD_REFUSED);
    assert_int_equal(rename(moved, gone.path), 0);
    expect_version(&s, "one");
    assert_int_equal(pl_server_generation(s.server), 1);
    assert_int_equal(status_number(&s, "refused"), 4);
    assert_int_equal(status_number(&s, "reloads"), 0);
    assert_int_equal(logged(&s, "reload refused: nothing has changed"), 4);
    assert_true(logged(&s, "bundle error") >= 4);
    /* And once it is right again: */
    assert_int_equal(rename(in(&s.f, ".schema"), in(&s.f, "schema")), 0);
    assert_int_equal(unlink(in(&s.f, "resolvers/more.lua")), 0);
    assert_int_equal(reload(&s, false, NULL), PL_RELOADED);
    expect_version(&s, "two");
    assert_int_equal(rollback(&s), PL_RELOADED); /* to what was live, not to what was refused */
    expect_version(&s, "one");
    site_free(&s);
}

static void test_rollback(void **state)
{
    site s;
    site_new(&s, 2);
    write_version(&s, "two");
    assert_int_equal(reload(&s, false, NULL), PL_RELOADED);
    write_version(&s, "three");
    assert_int_equal(reload(&s, false, NULL), PL_RELOADED);
    expect_version(&s, "three");
    folder hidden = s.f;
    assert_int_equal(rename(in(&hidden, "lib"), in(&hidden, ".lib")), 0); /* it is from memory */
    assert_int_equal(rollback(&s), PL_RELOADED);
    expect_version(&s, "two");
    assert_int_equal(rollback(&s), PL_RELOADED); /* and that is undone by another one */
    expect_version(&s, "three");
    assert_int_equal(rollback(&s), PL_RELOADED);
    expect_version(&s, "two");
    assert_int_equal(pl_server_generation(s.server), 6);
    site_free(&s);
}

static void test_requests_end_where_they_began(void **state)
{
    site s;
    site_new(&s, 2);
    int fd = ask_slow(&s, "0.2");
    write_version(&s, "two");
    assert_int_equal(reload(&s, false, NULL), PL_RELOADED);
    expect_version(&s, "two");
    status st;
    status_get(&s, &st);
    const pl_value *generations = member(&st.v, "generations");
    assert_int_equal(generations->list.count, 2);
    assert_int_equal(member(&generations->list.items[0], "id")->integer, 2);
    assert_true(pl_str_is(member(&generations->list.items[0], "state")->string, "live"));
    assert_int_equal(member(&generations->list.items[1], "id")->integer, 1);
    assert_true(pl_str_is(member(&generations->list.items[1], "state")->string, "draining"));
    assert_int_equal(member(&generations->list.items[1], "requests")->integer, 1);
    pl_arena_dispose(&st.arena);
    assert_string_equal(http_receive(fd, NULL), "{\"data\":{\"slow\":\"one\"}}");
    http_send(fd, "{ version }"); /* the same connection goes on with the new one */
    assert_string_equal(http_receive(fd, NULL), "{\"data\":{\"version\":\"two\"}}");
    close(fd);
    wait_for_generations(&s, 1);
    wait_for_log(&s, "generation ended", 1);
    site_free(&s);
}

static void test_old_requests_are_cut_off_in_the_end(void **state)
{
    site s;
    int code = 0;
    site_prepare(&s, 2);
    s.config.drain_ms = 30;
    site_start(&s);
    int fd = ask_slow(&s, "1000"), gone = ask_slow(&s, "1000");
    assert_int_equal(reload(&s, true, NULL), PL_RELOADED);
    close(gone); /* may be told of its client or of the deadline first */
    assert_has(http_receive(fd, &code), "\"code\":\"UNAVAILABLE\"");
    assert_int_equal(code, 503);
    close(fd);
    wait_for_generations(&s, 1);
    assert_true(logged(&s, "old generation cut off") >= 1);
    site_free(&s);
}

static void test_stop_waits_for_requests(void **state)
{
    site s;
    site_new(&s, 2);
    int fd = ask_slow(&s, "0.1");
    uint64_t begin = clock_ms();
    pl_server_stop(s.server, 15000);
    assert_true(clock_ms() - begin < 10000); /* as long as it takes, not longer */
    assert_string_equal(http_receive(fd, NULL), "{\"data\":{\"slow\":\"one\"}}");
    close(fd);
    pl_server_stop(s.server, 15000); /* once more is nothing */
    site_free(&s);
}

static void test_stop_ends_requests_in_the_end(void **state)
{
    site s;
    site_new(&s, 2);
    int fds[6];
    for (int i = 0; i < 4; i++)
        fds[i] = ask_slow(&s, "1000");
    assert_int_equal(reload(&s, true, NULL), PL_RELOADED);
    for (int i = 4; i < 6; i++)
        fds[i] = ask_slow(&s, "1000"); /* some on the old generation, some on the live one */
    uint64_t begin = clock_ms();
    pl_server_stop(s.server, 30);
    assert_true(clock_ms() - begin < 10000);
    for (int i = 0; i < 6; i++) {
        http_receive(fds[i], NULL);
        close(fds[i]);
    }
    site_free(&s);
}

static void test_status(void **state)
{
    site s;
    pl_report report;
    status st;
    site_new(&s, 2);
    pl_report_init(&report);
    assert_int_equal(pl_server_reload(s.server, "\"odd\"\n\xff reason", true, &report), PL_RELOADED);
    pl_report_dispose(&report);
    wait_for_generations(&s, 1);
    expect_version(&s, "one");
    status_get(&s, &st);
    assert_true(pl_str_is(member(&st.v, "version")->string, PL_VERSION));
    assert_int_equal(member(&st.v, "pid")->integer, getpid());
    assert_int_equal(member(&st.v, "generation")->integer, 2);
    assert_int_equal(member(&st.v, "reloads")->integer, 1);
    assert_int_equal(member(&st.v, "refused")->integer, 0);
    assert_true(member(&st.v, "can_roll_back")->boolean);
    assert_int_equal(member(&st.v, "started_at")->string.len, 24); /* 2026-01-02T03:04:05.678Z */
    const pl_value *g = &member(&st.v, "generations")->list.items[0];
    assert_int_equal(member(g, "id")->integer, 2);
    assert_int_equal(member(g, "loaded_at")->string.len, 24);
    assert_true(pl_str_starts(member(g, "reason")->string, PL_STR("\"odd\"\n")));
    assert_int_equal(member(g, "bundle")->string.len, 64);
    assert_int_equal(member(g, "requests")->integer, 0);
    assert_true(member(g, "memory")->integer > 10000);
    const pl_value *workers = member(&st.v, "workers");
    assert_int_equal(workers->list.count, 2);
    int64_t total = 0;
    for (size_t i = 0; i < 2; i++) {
        total += member(&workers->list.items[i], "requests_total")->integer;
        member(&workers->list.items[i], "connections");
        member(&workers->list.items[i], "requests");
        member(&workers->list.items[i], "refused_total");
        assert_int_equal(member(&workers->list.items[i], "streams")->integer, 0);
        assert_int_equal(member(&workers->list.items[i], "websockets")->integer, 0);
    }
    assert_int_equal(total, 12);
    pl_arena_dispose(&st.arena);
    site_free(&s);
}

/* --- reloads under load --- */

typedef struct asker {
    const char *address;
    atomic_bool *stop;
    unsigned answers, wrong;
} asker;

/* A client of its own, since the harness's keeps answers in one place for all. */
static void *ask_on_and_on(void *data)
{
    static const char request[] = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: "
                                  "application/json\r\nContent-Length: 23\r\n\r\n{\"query\":\"{ version }\"}";
    asker *a = data;
    int fd = http_connect(a->address);
    while (!atomic_load(a->stop)) {
        char text[2048];
        size_t len = 0;
        if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
            break;
        do {
            ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
            if (n <= 0)
                break;
            len += (size_t)n;
            text[len] = '\0';
        } while (!strstr(text, "\r\n\r\n{") || text[len - 1] != '}' || text[len - 2] != '}');
        text[len] = '\0';
        if (strstr(text, "{\"data\":{\"version\":\"one\"}}") ||
            strstr(text, "{\"data\":{\"version\":\"two\"}}"))
            a->answers++;
        else
            a->wrong++;
        if (len == 0)
            break;
        poll(NULL, 0, 1); /* leaves some of a small machine to the reloads */
    }
    close(fd);
    return NULL;
}

static void test_reloads_lose_no_request(void **state)
{
    enum { CLIENTS = 4 };
    site s;
    pthread_t threads[CLIENTS];
    asker askers[CLIENTS];
    atomic_bool stop = false;
    site_prepare(&s, 2);
    folder_write(&s.f, "app.lua",
                 "return { timers = { tick = { every = 0.005, run = function() print 'tick' end } } }");
    site_start(&s);
    uint64_t begin = clock_ms();
    for (int i = 0; i < CLIENTS; i++) {
        askers[i] = (asker){.address = pl_server_address(s.server), .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on_and_on, &askers[i]), 0);
    }
    for (int i = 0; i < 15; i++) {
        write_version(&s, i % 2 ? "one" : "two");
        assert_int_equal(reload(&s, true, NULL), PL_RELOADED);
        if (i % 5 == 0)
            rollback(&s);
        if (i % 3 == 0)
            status_number(&s, "generation");
        pl_server_work(s.server);
    }
    wait_for_log(&s, "\"tick\"", 5);
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].wrong, 0);
        assert_true(askers[i].answers > 0);
    }
    /* One timer, of one worker, whatever the number of generations. */
    unsigned ticks = logged(&s, "\"tick\""), most = (unsigned)(clock_ms() - begin) / 5 + 1;
    if (ticks > most)
        fail_msg("%u ticks, at most %u are right", ticks, most);
    wait_for_generations(&s, 1);
    site_free(&s);
}

/* --- databases: what a helper thread does for a request outlives it --- */

static const char database[] =
    "local sqlite, time = require 'perilune.sqlite', require 'perilune.time'\n"
    "local db = sqlite.open('test.db')\n"
    "db:exec('CREATE TABLE IF NOT EXISTS t (x)')\n"
    "local count = 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000000) "
    "SELECT count(*) FROM c'\n"
    "return { Query = {\n"
    "  version = function() return tostring(db:value 'SELECT count(*) FROM t') end,\n"
    "  slow = function(_, args) return db:transaction(function(tx)\n"
    "    tx:exec 'INSERT INTO t VALUES (1)'\n"
    "    print('slow begins')\n"
    "    if args.s > 0 then time.sleep(args.s) end\n"
    "    return tx:value(count) .. ''\n"
    "  end) end } }";

/* In a statement with s: 0, in a sleep within the transaction otherwise. */
static void leave_with_a_transaction(site *s, const char *seconds)
{
    int fd = ask_slow(s, seconds);
    poll(NULL, 0, 2);
    close(fd);
}

static void test_clients_leave_with_a_transaction_while_it_reloads(void **state)
{
    site s;
    site_prepare(&s, 2);
    folder_write(&s.f, "resolvers/q.lua", database);
    site_start(&s);
    for (int i = 0; i < 12; i++) {
        leave_with_a_transaction(&s, i % 2 ? "0" : "1000");
        assert_int_equal(reload(&s, true, NULL), PL_RELOADED);
    }
    wait_for_generations(&s, 1);
    assert_string_equal(http_ask(pl_server_address(s.server), "{ version }"),
                        "{\"data\":{\"version\":\"0\"}}");
    site_free(&s);
}

static void test_stop_within_a_transaction(void **state)
{
    for (int i = 0; i < 4; i++) {
        site s;
        site_prepare(&s, 1);
        folder_write(&s.f, "resolvers/q.lua", database);
        site_start(&s);
        int fd = ask_slow(&s, i % 2 ? "1000" : "0");
        if (i > 1)
            assert_int_equal(reload(&s, true, NULL), PL_RELOADED);
        poll(NULL, 0, 20);
        uint64_t begin = clock_ms();
        site_end(&s, 10);
        assert_true(clock_ms() - begin < 10000);
        close(fd);
    }
}

static void test_several_servers_in_one_process(void **state)
{
    site a, b;
    site_new(&a, 1);
    site_new(&b, 2);
    write_version(&b, "two");
    assert_int_equal(reload(&b, false, NULL), PL_RELOADED);
    expect_version(&a, "one");
    expect_version(&b, "two");
    site_free(&b);
    expect_version(&a, "one");
    site_free(&a);
}

/* --- what goes wrong at the start --- */

static void expect_no_start(site *s, pl_code code, const char *message)
{
    pl_report report;
    pl_error err = {0};
    pl_report_init(&report);
    assert_null(pl_server_start(&s->config, &report, &err));
    assert_int_equal(err.code, code);
    assert_has(err.code ? err.message : report_text(&report), message);
    pl_report_dispose(&report);
}

static void test_port_in_use(void **state)
{
    site s, other;
    site_new(&other, 1);
    site_prepare(&s, 2);
    s.config.edge.address = pl_server_address(other.server);
    expect_no_start(&s, PL_ALREADY_EXISTS, "Address already in use");
    expect_version(&other, "one");
    s.config.edge.address = "nonsense";
    expect_no_start(&s, PL_INVALID_ARGUMENT, "\"nonsense\" is no address");
    site_free(&s);
    site_free(&other);
}

static void test_bad_bundles(void **state)
{
    site s;
    site_prepare(&s, 2);
    write_version(&s, "'");
    expect_no_start(&s, PL_OK, "lib/version.lua:1: ");
    write_version(&s, "one");
    folder_write(&s.f, "app.lua", "return { http = { port = 1 } }");
    expect_no_start(&s, PL_OK, "There is no setting \"http.port\"");
    s.config.directory = in(&s.f, "missing");
    expect_no_start(&s, PL_NOT_FOUND, "No such file or directory");
    s.config.directory = in(&s.f, "lib/version.lua");
    expect_no_start(&s, PL_NOT_FOUND, "Not a directory");
    site_free(&s);
}

static void test_bad_certificates(void **state)
{
    site s;
    char certificate[PATH_MAX];
    site_prepare(&s, 1);
    folder_write(&s.f, "cert.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    snprintf(certificate, sizeof(certificate), "%s", in(&s.f, "cert.pem"));
    s.config.edge.tls_address = "127.0.0.1:0";
    s.config.edge.tls = (pl_tls_config){certificate, certificate};
    expect_no_start(&s, PL_INVALID_ARGUMENT, "certificate");
    s.config.edge.tls = (pl_tls_config){"/nonexistent/cert.pem", "/nonexistent/key.pem"};
    expect_no_start(&s, PL_INVALID_ARGUMENT, "certificate");
    s.config.edge.tls_address = NULL;
    site_start(&s);
    expect_version(&s, "one");
    site_free(&s);
}

static void test_no_descriptors(void **state)
{
    site s;
    struct rlimit before, few;
    site_prepare(&s, 2);
    int next = dup(0); /* the first that is free */
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int left = 0; !s.server; left++) {
        pl_report report;
        pl_error err = {0};
        assert_true(left < 60);
        few = before;
        few.rlim_cur = (rlim_t)(next + left);
        pl_report_init(&report);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        s.server = pl_server_start(&s.config, &report, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (!s.server)
            assert_true(err.message[0] != '\0' || pl_report_has_errors(&report));
        pl_report_dispose(&report);
    }
    expect_version(&s, "one");
    site_free(&s);
}

static void test_memory_failures(void **state)
{
    site s;
    site_prepare(&s, 1);
    failing a = {.sticky = true, .dense = 30, .step = 61};
    while (failing_next(&a)) {
        pl_report report;
        pl_error err = {0};
        if (s.server)
            pl_server_stop(s.server, 1000);
        pl_server_free(s.server);
        pl_report_init(&report);
        failing_begin(&a);
        s.server = pl_server_start(&s.config, &report, &err);
        assert_true(failing_end(&a) || s.server);
        if (!s.server)
            assert_true(err.code == PL_RESOURCE_EXHAUSTED || pl_report_has_errors(&report));
        pl_report_dispose(&report);
    }
    expect_version(&s, "one");
    write_version(&s, "two");
    a = (failing){.sticky = true, .dense = 30, .step = 61};
    while (failing_next(&a)) {
        pl_report report;
        uint64_t generation = pl_server_generation(s.server);
        pl_report_init(&report);
        failing_begin(&a);
        pl_reload_result result = pl_server_reload(s.server, "test", false, &report);
        assert_true(failing_end(&a) || result == PL_RELOADED);
        if (result == PL_RELOAD_REFUSED) {
            assert_has(report_text(&report), "memory");
            assert_int_equal(pl_server_generation(s.server), generation);
        }
        pl_report_dispose(&report);
    }
    expect_version(&s, "two");
    pl_buf buf;
    pl_buf_init(&buf);
    pl_alloc_fail_at(1, 0);
    pl_server_status(s.server, &buf);
    assert_true(pl_str_is(pl_buf_view(&buf), "{\"error\":\"out of memory\"}"));
    pl_buf_dispose(&buf);
    site_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_worker),
        cmocka_unit_test(test_two_workers),
        cmocka_unit_test(test_refused_reload_changes_nothing),
        cmocka_unit_test(test_rollback),
        cmocka_unit_test(test_requests_end_where_they_began),
        cmocka_unit_test(test_old_requests_are_cut_off_in_the_end),
        cmocka_unit_test(test_stop_waits_for_requests),
        cmocka_unit_test(test_stop_ends_requests_in_the_end),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_reloads_lose_no_request),
        cmocka_unit_test(test_clients_leave_with_a_transaction_while_it_reloads),
        cmocka_unit_test(test_stop_within_a_transaction),
        cmocka_unit_test(test_several_servers_in_one_process),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_bad_bundles),
        cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
