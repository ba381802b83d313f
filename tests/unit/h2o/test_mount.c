/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <perilune/h2o.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/h2o_version.h"
#include "support/failing.h"

/* Apps in a program with h2o, through the public API. The program's loop is turned by the test, which is also
 * its client. */

typedef struct program {
    h2o_globalconf_t config;
    h2o_globalconf_t *of; /* that, or of another loop of the program */
    h2o_hostconf_t *host;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    int client, status;
} program;

static const char schema[] = "type Query { version: String! }";
static const char code[] = "return { Query = { version = function() return 'one' end } }";
static const char code2[] = "return { Query = { version = function() return 'two' end } }";
static const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                    {"resolvers/q.lua", code, sizeof code - 1}};
static const pl_app_file files2[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                     {"resolvers/q.lua", code2, sizeof code2 - 1}};
static char error[1000];

static pl_app *new_app(unsigned contexts)
{
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = 2;
    options.h2o_contexts = contexts;
    pl_app *app = pl_app_new(&options, error, sizeof error);
    if (!app)
        fail_msg("%s", error);
    return app;
}

static void ok(pl_code result)
{
    if (result)
        fail_msg("%d: %s", result, error);
}

static void fails(pl_code result, pl_code expected, const char *word)
{
    assert_int_equal(result, expected);
    if (!strstr(error, word))
        fail_msg("there is no \"%s\" in: %s", word, error);
}

static void begin(program *p)
{
    signal(SIGPIPE, SIG_IGN);
    memset(p, 0, sizeof *p);
    p->client = -1;
    p->of = &p->config;
    h2o_config_init(&p->config);
    p->host = h2o_config_register_host(&p->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
}

static void make_context(program *p)
{
    h2o_context_init(&p->context, h2o_evloop_create(), p->of);
    p->accept = (h2o_accept_ctx_t){.ctx = &p->context, .hosts = p->of->hosts};
}

static void end(program *p)
{
    h2o_context_t *context = &p->context;
    h2o_loop_t *loop = context->loop;
    if (p->client >= 0)
        close(p->client);
    while (!h2o_linklist_is_empty(&context->http1._conns))
        h2o_evloop_run(loop, 10);
    pl_h2o_context_dispose(context);
    h2o_evloop_run(loop, 0);
    pl_h2o_loop_destroy(loop);
    if (p->of == &p->config)
        h2o_config_dispose(&p->config);
}

static void connect_to(program *p)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    p->client = ends[0];
    h2o_accept(&p->accept,
               h2o_evloop_socket_create(p->context.loop, ends[1], H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION));
}

/* The body of the answer, in static memory. expected 0: any status. */
static const char *post(program *p, const char *path, const char *body, int expected)
{
    static char text[8192];
    size_t len = 0;
    int status;
    if (p->client < 0)
        connect_to(p);
    snprintf(text, sizeof text,
             "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    assert_int_equal(write(p->client, text, strlen(text)), strlen(text));
    const char *end_of_head = NULL, *length = NULL;
    do {
        h2o_evloop_run(p->context.loop, 100);
        ssize_t n = recv(p->client, text + len, sizeof text - 1 - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
        text[len] = '\0';
        end_of_head = strstr(text, "\r\n\r\n");
        length = strcasestr(text, "content-length: ");
    } while (!end_of_head || !length || strlen(end_of_head + 4) < (size_t)atol(length + 16));
    assert_int_equal(sscanf(text, "HTTP/1.1 %d", &status), 1);
    if (expected != 0 && status != expected)
        fail_msg("%s", text);
    p->status = status;
    return end_of_head + 4;
}

#define VERSION "{\"query\":\"{ version }\"}"
#define ANSWER(version) "{\"data\":{\"version\":\"" version "\"}}"

static void an_app_is_mounted_and_reloaded(void **state)
{
    program p;
    begin(&p);
    pl_app *app = new_app(1);
    ok(pl_h2o_mount(app, p.host, "/api", error, sizeof error));
    ok(pl_app_start(app, error, sizeof error));
    make_context(&p);
    ok(pl_h2o_attach(app, &p.context, error, sizeof error));
    assert_string_equal(error, "");
    assert_string_equal(post(&p, "/api", VERSION, 200), ANSWER("one"));
    ok(pl_app_reload_memory(app, files2, 2, error, sizeof error)); /* on the loop's own thread */
    assert_string_equal(post(&p, "/api/graphql", VERSION, 200), ANSWER("two"));
    pl_h2o_detach(app, &p.context, 1000);
    post(&p, "/api", VERSION, 503);
    pl_h2o_detach(app, &p.context, 1000); /* nothing is done */
    pl_app_free(app);
    post(&p, "/api", VERSION, 503);
    end(&p);
}

static void several_apps_in_one_program(void **state)
{
    program p;
    begin(&p);
    pl_app *one = new_app(1), *two = new_app(1);
    ok(pl_h2o_mount(one, p.host, "/one", error, sizeof error));
    ok(pl_h2o_mount(two, p.host, "/two", error, sizeof error));
    ok(pl_h2o_mount(one, p.host, "/again", error, sizeof error));
    ok(pl_app_start(one, error, sizeof error));
    ok(pl_app_start(two, error, sizeof error));
    ok(pl_app_reload_memory(two, files2, 2, error, sizeof error));
    make_context(&p);
    ok(pl_h2o_attach(one, &p.context, error, sizeof error));
    ok(pl_h2o_attach(two, &p.context, error, sizeof error));
    assert_string_equal(post(&p, "/one", VERSION, 200), ANSWER("one"));
    assert_string_equal(post(&p, "/two", VERSION, 200), ANSWER("two"));
    pl_h2o_detach(one, &p.context, 1000);
    pl_app_free(one);
    post(&p, "/again", VERSION, 503);
    assert_string_equal(post(&p, "/two", VERSION, 200), ANSWER("two"));
    pl_h2o_detach(two, &p.context, 1000);
    pl_app_free(two);
    end(&p);
}

static void what_is_refused(void **state)
{
    program p;
    begin(&p);
    pl_app *app = new_app(1);
    fails(pl_h2o_mount(app, p.host, "api", error, sizeof error), PL_INVALID_ARGUMENT, "begins with a slash");
    ok(pl_h2o_mount(app, p.host, "/api", error, sizeof error));
    make_context(&p);
    fails(pl_h2o_attach(app, &p.context, error, sizeof error), PL_FAILED_PRECONDITION, "pl_app_start");
    fails(pl_h2o_listen_grpc(app, &p.context, 0, NULL, error, sizeof error), PL_FAILED_PRECONDITION,
          "pl_h2o_attach");
    ok(pl_app_start(app, error, sizeof error));
    ok(pl_h2o_attach(app, &p.context, error, sizeof error));
    fails(pl_h2o_attach(app, &p.context, error, sizeof error), PL_FAILED_PRECONDITION, "attached already");
    h2o_context_t other = {.loop = p.context.loop, .globalconf = &p.config};
    fails(pl_h2o_attach(app, &other, error, sizeof error), PL_FAILED_PRECONDITION, "no more workers");
    assert_int_equal(pl_h2o_attach(app, &other, NULL, 0), PL_FAILED_PRECONDITION);
    fails(pl_h2o_listen_grpc(app, &p.context, p.context.loop ? 0 : 1, NULL, error, sizeof error),
          PL_INVALID_ARGUMENT, "no listening socket");
    pl_h2o_detach(app, &p.context, 0);
    pl_app_free(app);
    end(&p);
}

static int listening(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

/* An app that is freed by a program which forgot to detach it, on the loop's own thread. */
static void grpc_on_a_socket_of_the_program(void **state)
{
    program p;
    begin(&p);
    pl_app *app = new_app(1);
    int fd = listening();
    ok(pl_app_start(app, error, sizeof error));
    make_context(&p); /* no path is mounted */
    ok(pl_h2o_attach(app, &p.context, error, sizeof error));
    ok(pl_h2o_listen_grpc(app, &p.context, fd, NULL, error, sizeof error));
    fails(pl_h2o_listen_grpc(app, &p.context, fd, NULL, error, sizeof error), PL_FAILED_PRECONDITION,
          "served already");
    pl_app_free(app);
    close(fd); /* the program's own */
    end(&p);
}

/* The sockets that the app opens itself, one for each loop. */
static void grpc_at_an_address(void **state)
{
    program p;
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = 2;
    options.h2o_contexts = 1;
    options.grpc = "127.0.0.1:0";
    begin(&p);
    pl_app *app = pl_app_new(&options, error, sizeof error);
    ok(pl_app_start(app, error, sizeof error));
    make_context(&p);
    ok(pl_h2o_attach(app, &p.context, error, sizeof error));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(pl_app_address(app, "grpc"), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    char answer[9];
    assert_int_equal(write(fd, preface, sizeof preface - 1), sizeof preface - 1);
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT | MSG_PEEK) < (ssize_t)sizeof answer)
        h2o_evloop_run(p.context.loop, 10);
    assert_int_equal(answer[3], 4); /* a frame of settings */
    close(fd);
    pl_h2o_detach(app, &p.context, 1000);
    pl_app_free(app);
    end(&p);
}

typedef struct looper {
    program p;
    pl_app *app;
    bool detaches;
} looper;

/* A loop's thread from its begin to its end. */
static void *loop_for_a_while(void *data)
{
    looper *l = data;
    make_context(&l->p);
    ok(pl_h2o_attach(l->app, &l->p.context, error, sizeof error));
    assert_string_equal(post(&l->p, "/api", VERSION, 200), ANSWER("one"));
    if (l->detaches)
        pl_h2o_detach(l->app, &l->p.context, 1000);
    end(&l->p);
    return NULL;
}

/* A program may end a loop, properly or by h2o_context_dispose alone, and go on with the others. */
static void a_loop_that_ends(void **state)
{
    for (int detaches = 0; detaches < 2; detaches++) {
        program p;
        pthread_t thread;
        char *response;
        begin(&p);
        pl_app *app = new_app(2);
        ok(pl_h2o_mount(app, p.host, "/api", error, sizeof error));
        ok(pl_h2o_mount(app, p.host, "/b", error, sizeof error));
        ok(pl_app_start(app, error, sizeof error));
        looper l = {.p = {.of = &p.config, .client = -1}, .app = app, .detaches = detaches == 0};
        assert_int_equal(pthread_create(&thread, NULL, loop_for_a_while, &l), 0);
        pthread_join(thread, NULL);
        assert_int_equal(pl_app_execute(app, VERSION, strlen(VERSION), &response, NULL), PL_UNAVAILABLE);
        pl_free_text(response);
        make_context(&p);
        ok(pl_h2o_attach(app, &p.context, error, sizeof error));
        assert_string_equal(post(&p, "/api", VERSION, 200), ANSWER("one"));
        ok(pl_app_reload_memory(app, files2, 2, error, sizeof error));
        assert_string_equal(post(&p, "/b", VERSION, 200), ANSWER("two"));
        pl_h2o_detach(app, &p.context, 1000);
        pl_h2o_detach(app, &l.p.context, 1000); /* nothing is left of it */
        pl_app_free(app);
        end(&p);
    }
}

/* Each allocation of attaching and serving fails once: an error, or an answer that says so. */
static void short_memory(void **state)
{
    failing a = {.dense = 400, .step = 7};
    unsigned attached = 0;
    while (failing_next(&a)) {
        program p;
        begin(&p);
        pl_app *app = new_app(1);
        int fd = listening();
        ok(pl_app_start(app, error, sizeof error));
        failing_begin(&a);
        pl_code code_of_mount = pl_h2o_mount(app, p.host, "/api", error, sizeof error);
        make_context(&p);
        pl_code result = pl_h2o_attach(app, &p.context, error, sizeof error);
        pl_code grpc = result ? PL_OK : pl_h2o_listen_grpc(app, &p.context, fd, NULL, error, sizeof error);
        bool failed = failing_end(&a);
        assert_true(code_of_mount == PL_OK || code_of_mount == PL_RESOURCE_EXHAUSTED);
        assert_true(result == PL_OK || result == PL_RESOURCE_EXHAUSTED);
        assert_true(grpc == PL_OK || grpc == PL_RESOURCE_EXHAUSTED);
        assert_true(failed || (!code_of_mount && !result && !grpc));
        if (!code_of_mount && !result) {
            assert_string_equal(post(&p, "/api", VERSION, 200), ANSWER("one"));
            attached++;
        }
        pl_h2o_detach(app, &p.context, 0);
        pl_app_free(app);
        close(fd);
        end(&p);
    }
    assert_true(a.failed > 50);
    assert_true(attached > 1);
}

/* The same of an app's first requests, each on a connection of its own: later ones need no memory. */
static void short_memory_for_requests(void **state)
{
    for (int sticky = 0; sticky < 2; sticky++) {
        program p;
        begin(&p);
        pl_app *app = new_app(1);
        ok(pl_h2o_mount(app, p.host, "/api", error, sizeof error));
        ok(pl_app_start(app, error, sizeof error));
        make_context(&p);
        ok(pl_h2o_attach(app, &p.context, error, sizeof error));
        failing a = {.sticky = sticky};
        while (failing_next(&a)) {
            failing_begin(&a);
            const char *answer = post(&p, "/api", VERSION, 0);
            bool failed = failing_end(&a);
            assert_true(p.status == 200 || (failed && p.status == 503));
            if (!failed)
                assert_string_equal(answer, ANSWER("one"));
            close(p.client);
            p.client = -1;
        }
        assert_true(a.failed > 1);
        pl_h2o_detach(app, &p.context, 0);
        pl_app_free(app);
        end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_app_is_mounted_and_reloaded),
        cmocka_unit_test(several_apps_in_one_program),
        cmocka_unit_test(a_loop_that_ends),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(grpc_on_a_socket_of_the_program),
        cmocka_unit_test(grpc_at_an_address),
        cmocka_unit_test(short_memory),
        cmocka_unit_test(short_memory_for_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
