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
#include <sys/un.h>

#include "app/admin.h"
#include "base/alloc.h"
#include "perilune/engines.h"

/* A server of one worker, and its admin socket. The test's thread is the main thread of both. */
typedef struct site {
    folder f;
    pl_server *server;
    pl_admin *admin;
    char path[PATH_MAX];
} site;

static void site_new(site *s)
{
    pl_report report;
    pl_error err = {0};
    *s = (site){.server = NULL};
    folder_new(&s->f);
    folder_write(&s->f, "app.lua", "return { name = 'one' }");
    snprintf(s->path, sizeof(s->path), "%s", in(&s->f, "admin.sock"));
    pl_server_config config = {
        .directory = s->f.path, .workers = 1, .edge = {.address = "127.0.0.1:0"}, .engine = pl_lua_engine()};
    pl_report_init(&report);
    s->server = pl_server_start(&config, &report, &err);
    if (!s->server)
        fail_msg("%s %s", err.message, report_text(&report));
    s->admin = pl_admin_new(s->path, s->server, &err);
    if (!s->admin)
        fail_msg("%s", err.message);
    pl_report_dispose(&report);
}

static void site_free(site *s)
{
    pl_admin_free(s->admin);
    pl_server_stop(s->server, 100);
    pl_server_free(s->server);
    folder_remove(&s->f);
}

/* --- clients --- */

static int client_at(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Whether the server has work now. */
static bool has_work(site *s)
{
    struct pollfd p = {.fd = pl_admin_fd(s->admin), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* Lets the server work until it has none. */
static void work(site *s)
{
    for (int i = 0; has_work(s); i++) {
        assert_true(i < 1000); /* it must not spin */
        pl_admin_work(s->admin);
    }
}

/* What the server sends to a client until it closes the connection. */
static const char *hear(site *s, int fd)
{
    static char text[65536];
    size_t len = 0;
    ssize_t n;
    work(s);
    while ((n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT)) > 0)
        len += (size_t)n;
    if (n < 0 && errno != ECONNRESET)
        fail_msg("the connection is still open: %s", strerror(errno));
    text[len] = '\0';
    return text;
}

static const char *ask(site *s, const char *text)
{
    int fd = client_at(s->path);
    assert_true(fd >= 0);
    say(fd, text);
    const char *answer = hear(s, fd);
    close(fd);
    return answer;
}

static void parse(const char *text, pl_arena *arena, pl_value *out)
{
    pl_error err = {0};
    size_t len = strlen(text);
    assert_true(len > 0 && text[len - 1] == '\n');
    if (pl_json_read(arena, (pl_str){text, len - 1}, NULL, out, &err))
        fail_msg("%s: %s", err.message, text);
}

/* --- commands --- */

static void test_commands(void **state)
{
    site s;
    pl_arena arena;
    pl_value v;
    pl_arena_init(&arena, 0);
    site_new(&s);
    parse(ask(&s, "{\"command\": \"status\"}\n"), &arena, &v);
    assert_int_equal(pl_value_member(&v, PL_STR("generation"))->integer, 1);
    assert_int_equal(pl_value_member(&v, PL_STR("pid"))->integer, getpid());
    assert_int_equal(pl_value_member(&v, PL_STR("workers"))->list.count, 1);
    parse(ask(&s, "{\"command\": \"rollback\"}\n"), &arena, &v);
    assert_false(pl_value_member(&v, PL_STR("ok"))->boolean);
    assert_true(pl_str_is(pl_value_member(&v, PL_STR("result"))->string, "refused"));
    assert_int_equal(pl_value_member(&v, PL_STR("problems"))->list.count, 1);
    folder_write(&s.f, "app.lua", "return { name = 'two' }");
    assert_string_equal(ask(&s, "{\"command\":\"reload\"}\n"),
                        "{\"ok\":true,\"result\":\"reloaded\",\"generation\":2,\"problems\":[]}\n");
    assert_string_equal(ask(&s, "{\"command\":\"rollback\",\"more\":[1]}\r\n"),
                        "{\"ok\":true,\"result\":\"reloaded\",\"generation\":3,\"problems\":[]}\n");
    site_free(&s);
    pl_arena_dispose(&arena);
}

/* The problems name files of a bundle that is gone by then. */
static void test_refused_reload_names_the_place(void **state)
{
    site s;
    site_new(&s);
    folder_write(&s.f, "schema/a.graphql", "type Query { hello: String }");
    folder_write(&s.f, "resolvers/a.lua", "return { Query = {\n helo = function() end } }");
    assert_string_equal(ask(&s, "{\"command\":\"reload\"}\n"),
                        "{\"ok\":false,\"result\":\"refused\",\"generation\":1,\"problems\":[{\"file\":"
                        "\"resolvers/a.lua\",\"line\":2,\"column\":0,"
                        "\"message\":\"There is a resolver for \\\"Query.helo\\\", but type \\\"Query\\\" "
                        "has no field \\\"helo\\\".\","
                        "\"severity\":\"error\"}]}\n");
    folder_write(&s.f, "schema/a.graphql", "type Query { hello: Nope }");
    assert_has(ask(&s, "{\"command\":\"reload\"}\n"),
               "{\"file\":\"schema/a.graphql\",\"line\":1,\"column\":21,");
    site_free(&s);
}

static void test_requests_that_are_none(void **state)
{
    site s;
    site_new(&s);
    static const char *const unknown[] = {"{\"command\":\"stop\"}\n",
                                          "{}\n",
                                          "[]\n",
                                          "1\n",
                                          "\"status\"\n",
                                          "{\"command\":1}\n",
                                          "null\n",
                                          "{\"command\":\"\"}\n",
                                          "{\"command\":\"status2\"}\n"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_string_equal(
            ask(&s, unknown[i]),
            "{\"ok\":false,\"error\":\"unknown command; there are status, metrics, reload and rollback\"}\n");
    static const char *const garbage[] = {"\n",
                                          "status\n",
                                          "{\"command\":\"status\"\n",
                                          "GET / HTTP/1.1\r\n\r\n",
                                          "\xff\xfe\n",
                                          "{\"command\":\"status\"} x\n",
                                          "\x16\x03\x01\n"};
    pl_arena arena;
    pl_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        pl_value v;
        parse(ask(&s, garbage[i]), &arena, &v);
        assert_false(pl_value_member(&v, PL_STR("ok"))->boolean);
        assert_non_null(pl_value_member(&v, PL_STR("error")));
    }
    /* A NUL, and nesting that is too deep. */
    int fd = client_at(s.path);
    assert_int_equal(send(fd, "{\"command\":\"sta\0tus\"}\n", 22, MSG_NOSIGNAL), 22);
    assert_has(hear(&s, fd), "\"ok\":false");
    close(fd);
    char deep[4000];
    memset(deep, '[', sizeof(deep));
    deep[sizeof(deep) - 2] = '\n';
    deep[sizeof(deep) - 1] = '\0';
    assert_has(ask(&s, deep), "\"ok\":false");
    assert_has(ask(&s, "{\"command\":\"status\"}\n"), "\"generation\":1");
    site_free(&s);
    pl_arena_dispose(&arena);
}

static void test_oversize_requests_are_cut_off(void **state)
{
    site s;
    char text[6000];
    site_new(&s);
    memset(text, ' ', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_string_equal(ask(&s, text), "");
    memset(text, ' ', 4096);
    memcpy(text, "{\"command\":\"status\"}", 20);
    text[4095] = '\n'; /* the longest that is read */
    text[4096] = '\0';
    assert_has(ask(&s, text), "\"generation\":1");
    site_free(&s);
}

static void test_requests_in_pieces(void **state)
{
    site s;
    site_new(&s);
    int slow = client_at(s.path), gone = client_at(s.path), half = client_at(s.path),
        idle = client_at(s.path);
    static const char request[] = "{\"command\":\"status\"}\n";
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        assert_int_equal(send(slow, request + i, 1, MSG_NOSIGNAL), 1);
        work(&s);
        if (i == 10) {
            say(gone, "{\"comm");
            work(&s);
            close(gone); /* half a request, and away */
            say(half, "{\"command\":\"status\"}");
            shutdown(half, SHUT_WR); /* no end of line comes any more */
            assert_string_equal(hear(&s, half), "");
        }
        assert_has(ask(&s, request), "\"generation\":1");
    }
    assert_has(hear(&s, slow), "\"generation\":1");
    /* Two lines: the first counts. */
    assert_string_equal(
        ask(&s, "{}\n{\"command\":\"status\"}\n"),
        "{\"ok\":false,\"error\":\"unknown command; there are status, metrics, reload and rollback\"}\n");
    close(slow);
    close(half);
    close(idle);
    work(&s);
    site_free(&s);
}

static void test_many_clients(void **state)
{
    site s;
    int fds[80];
    site_new(&s);
    /* The queue of the kernel is short: each is let in before the next comes. */
    for (int i = 0; i < 80; i++) {
        fds[i] = client_at(s.path);
        assert_true(fds[i] >= 0);
        work(&s);
    }
    for (int i = 64; i < 80; i++)
        assert_string_equal(hear(&s, fds[i]), ""); /* too many: closed */
    say(fds[63], "{}\n");
    assert_has(hear(&s, fds[63]), "unknown command");
    assert_has(ask(&s, "{}\n"), "unknown command"); /* there is room again */
    for (int i = 0; i < 80; i++)
        close(fds[i]);
    work(&s);
    assert_has(ask(&s, "{}\n"), "unknown command");
    site_free(&s);
}

/* A long answer, and nobody who reads it: the server gives up and goes on. */
static void test_client_that_never_reads(void **state)
{
    site s;
    site_new(&s);
    pl_buf code;
    pl_buf_init(&code);
    pl_buf_printf(&code, "return { Query = { ");
    for (int i = 0; i < 100; i++) {
        pl_buf_printf(&code, "f%d_", i);
        for (int k = 0; k < 400; k++)
            pl_buf_printf(&code, "xxxxxxxxxx");
        pl_buf_printf(&code, " = 1,\n");
    }
    pl_buf_printf(&code, " } }");
    pl_buf_char(&code, '\0');
    folder_write(&s.f, "schema/a.graphql", "type Query { hello: String }");
    folder_write(&s.f, "resolvers/a.lua", code.data);
    pl_buf_dispose(&code);
    int fd = client_at(s.path);
    int small = 2048;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    say(fd, "{\"command\":\"reload\"}\n");
    uint64_t begin = clock_ms();
    work(&s);
    assert_true(clock_ms() - begin < 10000);
    /* The beginning has come, and then the end of the connection. */
    static char text[4 << 20];
    ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT | MSG_WAITALL);
    assert_true(n > 1000 && text[n - 1] != '\n');
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 0);
    close(fd);
    assert_has(ask(&s, "{\"command\":\"status\"}\n"), "\"refused\":1");
    site_free(&s);
}

/* One that has gone before the answer. */
static void test_client_that_leaves(void **state)
{
    site s;
    site_new(&s);
    int fd = client_at(s.path);
    say(fd, "{\"command\":\"reload\"}\n");
    close(fd);
    work(&s); /* no SIGPIPE */
    assert_has(ask(&s, "{\"command\":\"status\"}\n"), "\"generation\":2");
    site_free(&s);
}

/* --- the socket --- */

static void test_socket_is_the_owners_alone(void **state)
{
    site s;
    struct stat st;
    mode_t mask = umask(0);
    site_new(&s);
    assert_int_equal(umask(mask), 0); /* left as it was */
    assert_int_equal(lstat(s.path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    site_free(&s);
    assert_int_equal(lstat(s.path, &st), -1); /* gone with its server */
}

static void test_live_socket_is_refused(void **state)
{
    site s;
    pl_error err = {0};
    site_new(&s);
    assert_null(pl_admin_new(s.path, s.server, &err));
    assert_int_equal(err.code, PL_ALREADY_EXISTS);
    assert_has(err.message, "another server listens on this admin socket; give --admin PATH");
    assert_has(ask(&s, "{}\n"), "unknown command"); /* the first still answers */
    /* Also when its queue is full. */
    int fds[64], n = 0;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", s.path);
    do {
        assert_true(n < 64);
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    } while (connect(fds[n++], (struct sockaddr *)&at, sizeof(at)) == 0);
    assert_int_equal(errno, EAGAIN);
    assert_null(pl_admin_new(s.path, s.server, &err));
    assert_int_equal(err.code, PL_ALREADY_EXISTS);
    pl_buf answer;
    pl_buf_init(&answer);
    assert_int_equal(pl_admin_call(s.path, "status", 1000, &answer, &err), PL_UNAVAILABLE);
    pl_buf_dispose(&answer);
    while (n > 0)
        close(fds[--n]);
    work(&s);
    assert_has(ask(&s, "{}\n"), "unknown command");
    site_free(&s);
}

static void test_stale_socket_is_replaced(void **state)
{
    site s;
    pl_error err = {0};
    site_new(&s);
    const char *path = in(&s.f, "stale.sock");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd); /* as of a server that was killed */
    assert_int_equal(client_at(path), -1);
    pl_admin *admin = pl_admin_new(path, s.server, &err);
    assert_non_null(admin);
    fd = client_at(path);
    assert_true(fd >= 0);
    close(fd);
    pl_admin_free(admin);
    pl_admin_free(NULL);
    site_free(&s);
}

static void test_other_files_are_left_alone(void **state)
{
    site s;
    pl_error err = {0};
    struct stat st;
    site_new(&s);
    folder_write(&s.f, "precious.txt", "do not remove");
    assert_null(pl_admin_new(in(&s.f, "precious.txt"), s.server, &err));
    assert_int_equal(err.code, PL_UNAVAILABLE);
    assert_has(err.message, "precious.txt: Address already in use");
    assert_int_equal(lstat(in(&s.f, "precious.txt"), &st), 0);
    assert_int_equal(st.st_size, 13);
    assert_int_equal(symlink("precious.txt", in(&s.f, "link")), 0);
    assert_null(pl_admin_new(in(&s.f, "link"), s.server, &err));
    assert_int_equal(lstat(in(&s.f, "link"), &st), 0);
    assert_null(pl_admin_new(in(&s.f, "missing/admin.sock"), s.server, &err));
    assert_int_equal(err.code, PL_UNAVAILABLE);
    assert_null(pl_admin_new(s.f.path, s.server, &err));
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    longest[199] = '\0';
    assert_null(pl_admin_new(longest, s.server, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_has(err.message, "107 bytes at most");
    pl_alloc_fail_at(1, 0);
    assert_null(pl_admin_new(in(&s.f, "x.sock"), s.server, &err));
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    site_free(&s);
}

static void test_no_descriptors(void **state)
{
    site s;
    pl_error err = {0};
    struct rlimit before, none;
    struct stat st;
    site_new(&s);
    int next = dup(0); /* the first that is free */
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int left = 0; left < 2; left++) {
        none = before;
        none.rlim_cur = (rlim_t)(next + left);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        pl_admin *admin = pl_admin_new(in(&s.f, "x.sock"), s.server, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_null(admin);
        assert_true(err.code == PL_UNAVAILABLE || err.code == PL_RESOURCE_EXHAUSTED);
        assert_int_equal(lstat(in(&s.f, "x.sock"), &st), -1);
    }
    site_free(&s);
}

/* --- the client's side --- */

static void test_default_paths(void **state)
{
    folder f, g, runtime;
    char a[PATH_MAX], b[PATH_MAX], c[PATH_MAX];
    pl_error err = {0};
    folder_new(&f);
    folder_new(&g);
    folder_new(&runtime);
    setenv("XDG_RUNTIME_DIR", runtime.path, 1);
    assert_int_equal(pl_admin_default_path(f.path, a, sizeof(a), &err), PL_OK);
    assert_int_equal(strncmp(a, runtime.path, strlen(runtime.path)), 0);
    assert_true(strlen(a) < 108);
    assert_int_equal(pl_admin_default_path(g.path, b, sizeof(b), &err), PL_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(symlink(f.path, in(&g, "link")), 0);
    assert_int_equal(pl_admin_default_path(in(&g, "link"), c, sizeof(c), &err), PL_OK);
    assert_string_equal(a, c); /* the same directory by another name */
    assert_int_equal(pl_admin_default_path(in(&f, "missing"), c, sizeof(c), &err), PL_NOT_FOUND);
    /* A place where others may put things is refused. */
    assert_int_equal(chmod(runtime.path, 0777), 0);
    assert_int_equal(pl_admin_default_path(f.path, c, sizeof(c), &err), PL_PERMISSION_DENIED);
    assert_int_equal(chmod(runtime.path, 0700), 0);
    assert_int_equal(symlink(f.path, in(&runtime, "link")), 0);
    setenv("XDG_RUNTIME_DIR", in(&runtime, "link"), 1);
    assert_int_equal(pl_admin_default_path(f.path, c, sizeof(c), &err), PL_PERMISSION_DENIED);
    unsetenv("XDG_RUNTIME_DIR");
    folder_remove(&f);
    folder_remove(&g);
    folder_remove(&runtime);
}

typedef struct caller {
    const char *path, *command;
    unsigned timeout_ms;
    pl_buf answer;
    pl_error err;
    pl_code code;
    atomic_bool done;
} caller;

static void *call(void *data)
{
    caller *c = data;
    pl_buf_init(&c->answer);
    c->code = pl_admin_call(c->path, c->command, c->timeout_ms, &c->answer, &c->err);
    atomic_store(&c->done, true);
    return NULL;
}

static void test_call(void **state)
{
    site s;
    pl_error err = {0};
    pl_buf buf;
    pl_buf_init(&buf);
    site_new(&s);
    static const char *const commands[] = {"status", "no \"such\" command"};
    for (int i = 0; i < 2; i++) {
        caller c = {.path = s.path, .command = commands[i], .timeout_ms = LONGEST_MS};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, call, &c), 0);
        while (!atomic_load(&c.done)) {
            struct pollfd p = {.fd = pl_admin_fd(s.admin), .events = POLLIN};
            poll(&p, 1, 20);
            pl_admin_work(s.admin);
        }
        pthread_join(thread, NULL);
        assert_int_equal(c.code, PL_OK);
        pl_buf_char(&c.answer, '\0');
        assert_has(c.answer.data, i == 0 ? "\"generation\":1" : "{\"ok\":false,\"error\":\"unknown command");
        pl_buf_dispose(&c.answer);
    }
    /* A server that does not answer, and none at all. */
    uint64_t begin = clock_ms();
    assert_int_equal(pl_admin_call(s.path, "status", 50, &buf, &err), PL_UNAVAILABLE);
    assert_has(err.message, "gave no whole answer in time");
    assert_true(clock_ms() - begin >= 45);
    assert_int_equal(pl_admin_call(in(&s.f, "missing.sock"), "status", 50, &buf, &err), PL_UNAVAILABLE);
    assert_has(err.message, "no server answers at");
    pl_buf_dispose(&buf);
    site_free(&s);
}

static void *drip(void *data)
{
    int listener = *(int *)data, fd = accept(listener, NULL, NULL);
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        poll(NULL, 0, 5);
    close(fd);
    return NULL;
}

/* Time runs out for an answer that comes slowly, too. */
static void test_call_of_a_slow_server(void **state)
{
    folder f;
    pthread_t thread;
    pl_error err = {0};
    pl_buf buf;
    folder_new(&f);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", in(&f, "slow.sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, drip, &fd), 0);
    pl_buf_init(&buf);
    uint64_t begin = clock_ms();
    assert_int_equal(pl_admin_call(at.sun_path, "status", 80, &buf, &err), PL_UNAVAILABLE);
    assert_true(clock_ms() - begin < 5000);
    pthread_join(thread, NULL);
    pl_buf_dispose(&buf);
    close(fd);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_refused_reload_names_the_place),
        cmocka_unit_test(test_requests_that_are_none),
        cmocka_unit_test(test_oversize_requests_are_cut_off),
        cmocka_unit_test(test_requests_in_pieces),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_client_that_never_reads),
        cmocka_unit_test(test_client_that_leaves),
        cmocka_unit_test(test_socket_is_the_owners_alone),
        cmocka_unit_test(test_live_socket_is_refused),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_other_files_are_left_alone),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_default_paths),
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_call_of_a_slow_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
