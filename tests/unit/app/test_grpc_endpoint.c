/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <h2o.h>
#include <pthread.h>
#include <semaphore.h>

#include "app/generation.h"
#include "app/grpc_endpoint.h"
#include "app/instance_host.h"
#include "perilune/engines.h"
#include "support/failing.h"

/* An endpoint on a thread of its own, and clients that write frames by hand. */

typedef struct site {
    pl_loop *loop;
    pl_bytes_listeners *listeners;
    pl_grpc_endpoint *endpoint;
    pl_generation *generations[2];
    unsigned count;
    char address[64];
    pthread_t thread;
    sem_t done, drained;
    bool at_rest;
} site;

static void *run(void *arg)
{
    pl_loop_run(((site *)arg)->loop);
    return NULL;
}

/* --- errands to the loop's thread --- */
typedef struct errand {
    pl_message message; /* first */
    site *s;
    void (*run)(site *s, void *arg);
    void *arg;
} errand;

static void run_errand(pl_message *message)
{
    errand *e = (errand *)message;
    e->run(e->s, e->arg);
    sem_post(&e->s->done);
}

static void on_loop(site *s, void (*fn)(site *s, void *arg), void *arg)
{
    errand e = {.message = {.run = run_errand}, .s = s, .run = fn, .arg = arg};
    pl_loop_post(s->loop, &e.message);
    sem_wait(&s->done);
}

static void do_adopt(site *s, void *arg)
{
    pl_instance *instance = ((pl_generation *)arg)->instances[0];
    pl_instance_host_init(instance, pl_loop_host(s->loop), NULL);
    pl_engine_of(instance->state)->state_attach(instance->state, &instance->host);
    pl_grpc_endpoint_adopt(s->endpoint, instance);
}

static void do_stats(site *s, void *arg)
{
    *(pl_grpc_endpoint_stats *)arg = pl_grpc_endpoint_get_stats(s->endpoint);
}

static pl_grpc_endpoint_stats stats(site *s)
{
    pl_grpc_endpoint_stats found;
    on_loop(s, do_stats, &found);
    return found;
}

static void do_count(site *s, void *arg)
{
    *(unsigned *)arg = s->generations[0]->instances[0]->in_flight;
}

/* Calls of the first instance. */
static unsigned in_flight(site *s)
{
    unsigned count;
    on_loop(s, do_count, &count);
    return count;
}

static void on_drained(void *data)
{
    sem_post(&((site *)data)->drained);
}

static void do_drain(site *s, void *arg)
{
    pl_grpc_endpoint_drain(s->endpoint, *(unsigned *)arg, on_drained, s);
}

static void do_stop(site *s, void *arg)
{
    pl_grpc_endpoint_free(s->endpoint);
    pl_loop_stop(s->loop);
}

static pl_generation *build(const char *services, const char *settings)
{
    pl_report report;
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1};
    pl_bundle *bundle = MEMORY_BUNDLE("services/s.lua", services, "app.lua", settings);
    pl_report_init(&report);
    pl_generation *g = pl_generation_build(bundle, &options, &report);
    if (!g)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    pl_bundle_unref(bundle);
    return g;
}

static void adopt(site *s, const char *services, const char *settings)
{
    s->generations[s->count++] = build(services, settings);
    on_loop(s, do_adopt, s->generations[s->count - 1]);
}

#define ECHO                                                                                               \
    "local time = require 'perilune.time' return { ['t.S'] = { Echo = function(r) return 'one ' .. r end," \
    " Sleep = function(r) time.sleep(60) return r end,"                                                    \
    " Flood = { server_streaming = function(r, call) for i = 1, 1000 do call:send(('x'):rep(10000)) end "  \
    "end } } }"

static void open_endpoint(site *s)
{
    pl_error err = {0};
    pl_bytes_config config = {.address = "127.0.0.1:0"};
    s->listeners = pl_bytes_listeners_open(&config, 1, &err);
    assert_true(s->listeners && s->loop);
    snprintf(s->address, sizeof s->address, "%s", pl_bytes_listeners_address(s->listeners));
    s->endpoint = pl_grpc_endpoint_new(s->loop, &config, s->listeners, 0, NULL, &err);
    assert_non_null(s->endpoint);
}

static site *site_new(const char *settings)
{
    site *s = calloc(1, sizeof *s);
    pl_error err = {0};
    sem_init(&s->done, 0, 0);
    sem_init(&s->drained, 0, 0);
    s->loop = pl_loop_new(NULL, NULL, &err);
    open_endpoint(s);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
    adopt(s, ECHO, settings);
    return s;
}

static void site_free(site *s)
{
    on_loop(s, do_stop, NULL);
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->count; i++)
        assert_int_equal(s->generations[i]->instances[0]->in_flight, 0);
    pl_bytes_listeners_free(s->listeners);
    for (unsigned i = 0; i < s->count; i++)
        pl_generation_free(s->generations[i]);
    pl_loop_free(s->loop);
    free(s);
}

/* --- clients --- */
static void say(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void say_frame(int fd, unsigned type, unsigned flags, uint32_t stream, const char *payload, size_t len)
{
    unsigned char head[9] = {0,
                             (unsigned char)(len >> 8),
                             (unsigned char)len,
                             (unsigned char)type,
                             (unsigned char)flags,
                             (unsigned char)(stream >> 24),
                             (unsigned char)(stream >> 16),
                             (unsigned char)(stream >> 8),
                             (unsigned char)stream};
    say(fd, head, sizeof head);
    say(fd, payload, len);
}

static int greet(site *s)
{
    int fd = http_connect(s->address);
    say(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    return fd;
}

/* A unary call of "/t.S/NAME" with the message "a". */
static void call(int fd, uint32_t stream, const char *name)
{
    char block[128];
    int n = snprintf(block, sizeof block,
                     "\x83\x86\x01\x01t\x04%c/t.S/%s\x0f\x10\x10"
                     "application/grpc",
                     (int)strlen(name) + 5, name);
    say_frame(fd, 1, 4, stream, block, (size_t)n);
    say_frame(fd, 0, 1, stream, "\0\0\0\0\1a", 6);
}

typedef struct seen {
    char data[256]; /* the beginning of it */
    size_t bytes;   /* of DATA */
    bool ended, goaway;
    uint32_t error, last; /* of GOAWAY */
} seen;

static bool read_exactly(int fd, void *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)to + at, len - at, 0);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Reads frames until the answer of a stream has ended, or the connection has (false); grants all it gets. */
static bool listen_to(int fd, uint32_t stream, seen *out)
{
    static unsigned char payload[1 << 16];
    unsigned char head[9];
    while (read_exactly(fd, head, 9)) {
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        uint32_t id = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
        assert_true(len < sizeof payload && read_exactly(fd, payload, len));
        if (head[3] == 6 && !(head[4] & 1))
            say_frame(fd, 6, 1, 0, (const char *)payload, 8);
        if (head[3] == 7) {
            out->goaway = true;
            out->last = (uint32_t)payload[0] << 24 | (uint32_t)payload[1] << 16 | (uint32_t)payload[2] << 8 |
                        payload[3];
            out->error = payload[7];
        }
        if (head[3] == 0 && len > 0) {
            char grant[4] = {0, (char)(len >> 16), (char)(len >> 8), (char)len};
            if (out->bytes == 0)
                memcpy(out->data, payload, len < sizeof out->data ? len : sizeof out->data - 1);
            out->bytes += len;
            say_frame(fd, 8, 0, 0, grant, 4);
            say_frame(fd, 8, 0, id, grant, 4);
        }
        if ((head[3] == 0 || head[3] == 1) && id == stream && (head[4] & 1))
            return out->ended = true;
    }
    return false;
}

static void expect_echo(int fd, uint32_t stream, const char *text)
{
    seen r = {0};
    call(fd, stream, "Echo");
    assert_true(listen_to(fd, stream, &r));
    assert_int_equal(r.bytes, 5 + strlen(text));
    assert_memory_equal(r.data + 5, text, strlen(text));
}

static void wait_for_calls(site *s, unsigned count)
{
    uint64_t end = clock_ms() + LONGEST_MS;
    while (stats(s).calls != count) {
        assert_true(clock_ms() < end);
        usleep(1000);
    }
}

static void wait_for_connections(site *s, unsigned count)
{
    uint64_t end = clock_ms() + LONGEST_MS;
    while (stats(s).connections != count) {
        assert_true(clock_ms() < end);
        usleep(1000);
    }
}

static void drain(site *s, unsigned ms)
{
    on_loop(s, do_drain, &ms);
}

/* --- tests --- */
static void test_calls(void **state)
{
    site *s = site_new("return {}");
    int a = greet(s), b = greet(s);
    for (uint32_t i = 0; i < 10; i++) {
        expect_echo(a, 1 + 2 * i, "one a");
        expect_echo(b, 1 + 2 * i, "one a");
    }
    call(a, 101, "Nope");
    seen r = {0};
    assert_true(listen_to(a, 101, &r));
    pl_grpc_endpoint_stats found = stats(s);
    assert_int_equal(found.connections, 2);
    assert_int_equal(found.calls, 0);
    assert_int_equal(found.calls_total, 21);
    assert_int_equal(found.failed_total, 1);
    close(a);
    wait_for_connections(s, 1);
    close(b);
    site_free(s);
}

static void test_new_calls_are_the_new_instances(void **state)
{
    site *s = site_new("return {}");
    int fd = greet(s);
    expect_echo(fd, 1, "one a");
    call(fd, 3, "Sleep");
    wait_for_calls(s, 1);
    adopt(s, "return { ['t.S'] = { Echo = function(r) return 'two ' .. r end } }",
          "return { grpc = { max_streams = 1 } }");
    expect_echo(fd, 5, "two a"); /* two at once: the connection has its old settings */
    assert_int_equal(in_flight(s), 1);
    close(fd);
    wait_for_calls(s, 0);
    fd = greet(s);
    expect_echo(fd, 1, "two a");
    close(fd);
    site_free(s);
}

/* More than the socket takes is written piece by piece, as the client reads. */
static void test_a_long_answer(void **state)
{
    site *s = site_new("return {}");
    int fd = greet(s), other = greet(s);
    call(fd, 1, "Flood");
    wait_for_calls(s, 1);
    expect_echo(other, 1, "one a");
    seen r = {0};
    assert_true(listen_to(fd, 1, &r));
    assert_int_equal(r.bytes, 1000 * 10005);
    close(fd);
    close(other);
    site_free(s);
}

static void test_strangers_are_cut(void **state)
{
    char text[256] = "";
    site *s = site_new("return {}");
    int fd = http_connect(s->address);
    say(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    size_t len = 0;
    for (ssize_t n; (n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0;)
        len += (size_t)n;
    assert_has(text, "HTTP/1.1 505 ");
    close(fd);
    fd = http_connect(s->address);
    say(fd, "\x16\x03\x01what?", 8);
    assert_true(recv(fd, text, 1, 0) <= 0);
    close(fd);
    wait_for_connections(s, 0);
    site_free(s);
}

static void test_drain(void **state)
{
    seen r = {0};
    site *s = site_new("return {}");
    int idle = greet(s), busy = greet(s);
    expect_echo(idle, 1, "one a");
    call(busy, 1, "Flood");
    wait_for_calls(s, 1);
    drain(s, LONGEST_MS);
    assert_false(listen_to(idle, 99, &r)); /* ends when it has said goodbye */
    assert_true(r.goaway && r.error == 0 && r.last == 1);
    r = (seen){0};
    assert_true(listen_to(busy, 1, &r));
    assert_int_equal(r.bytes, 1000 * 10005);
    assert_false(listen_to(busy, 99, &r));
    assert_true(r.goaway && r.error == 0);
    close(idle);
    close(busy);
    sem_wait(&s->drained);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(s->address, ':') + 1));
    assert_int_not_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    close(fd);
    site_free(s);
}

static void test_drain_that_takes_too_long(void **state)
{
    seen r = {0};
    site *s = site_new("return {}");
    int fd = greet(s);
    call(fd, 1, "Sleep");
    wait_for_calls(s, 1);
    uint64_t begin = clock_ms();
    drain(s, 200);
    assert_false(listen_to(fd, 1, &r));
    assert_true(clock_ms() - begin >= 190);
    sem_wait(&s->drained);
    assert_int_equal(stats(s).calls, 0);
    close(fd);
    site_free(s);
}

static void test_drain_without_connections(void **state)
{
    site *s = site_new("return {}");
    drain(s, LONGEST_MS);
    sem_wait(&s->drained);
    site_free(s);
}

/* What is still there when the endpoint goes is cut, and its calls end. */
static void test_end_with_calls(void **state)
{
    site *s = site_new("return {}");
    int fd = greet(s), silent = http_connect(s->address);
    call(fd, 1, "Sleep");
    call(fd, 3, "Flood");
    wait_for_calls(s, 2);
    wait_for_connections(s, 2);
    site_free(s);
    close(fd);
    close(silent);
}

static void test_age(void **state)
{
    seen r = {0};
    site *s = site_new("return { grpc = { max_age = 0.1, max_age_grace = 0.1 } }");
    int fd = greet(s);
    call(fd, 1, "Sleep");
    assert_false(listen_to(fd, 1, &r));
    assert_true(r.goaway && r.error == 0);
    wait_for_connections(s, 0);
    close(fd);
    site_free(s);
}

/* --- on a loop of h2o's own --- */
static void look_for_rest(void *data)
{
    pl_instance *instance = ((site *)data)->generations[0]->instances[0];
    ((site *)data)->at_rest = instance->in_flight == 0;
}

static void turn_until_in_flight(const site *s, h2o_loop_t *h2o, unsigned count)
{
    for (int i = 0; i < 2000 && s->generations[0]->instances[0]->in_flight != count; i++)
        h2o_evloop_run(h2o, 10);
    assert_int_equal(s->generations[0]->instances[0]->in_flight, count);
}

/* The turn's end, where retired instances go, comes behind the last call's, though nothing is written and no
 * timer is started. */
static void test_foreign_loop(void **state)
{
    h2o_loop_t *h2o = h2o_evloop_create();
    pl_error err = {0};
    site s = {.loop = pl_loop_new_on(h2o, NULL, NULL, &err)};
    open_endpoint(&s);
    s.generations[s.count++] = build(ECHO, "return { grpc = { keepalive = { time = false } } }");
    do_adopt(&s, s.generations[0]);
    int fd = greet(&s);
    call(fd, 1, "Sleep");
    turn_until_in_flight(&s, h2o, 1);
    for (int i = 0; i < 5; i++)
        h2o_evloop_run(h2o, 0);
    pl_loop_on_turn(s.loop, look_for_rest, &s);
    say_frame(fd, 3, 0, 1, "\0\0\0\x8", 4);
    turn_until_in_flight(&s, h2o, 0);
    for (int i = 0; i < 3; i++)
        h2o_evloop_run(h2o, 0);
    assert_true(s.at_rest);
    close(fd);
    pl_grpc_endpoint_free(s.endpoint);
    pl_bytes_listeners_free(s.listeners);
    pl_generation_free(s.generations[0]);
    pl_loop_free(s.loop);
    h2o_evloop_run(h2o, 0);
    h2o_evloop_destroy(h2o);
}

static void test_no_memory(void **state)
{
    failing a = {.sticky = true};
    pl_error err = {0};
    pl_bytes_config config = {.address = "127.0.0.1:0"};
    pl_loop *loop = pl_loop_new(NULL, NULL, &err);
    while (failing_next(&a)) {
        pl_bytes_listeners *listeners = pl_bytes_listeners_open(&config, 1, &err);
        assert_non_null(listeners);
        failing_begin(&a);
        pl_grpc_endpoint *ep = pl_grpc_endpoint_new(loop, &config, listeners, 0, NULL, &err);
        bool failed = failing_end(&a);
        assert_int_equal(ep == NULL, failed);
        if (failed)
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        pl_grpc_endpoint_free(ep);
        pl_bytes_listeners_free(listeners);
    }
    assert_true(a.made > 3);
    pl_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls),
                                       cmocka_unit_test(test_new_calls_are_the_new_instances),
                                       cmocka_unit_test(test_a_long_answer),
                                       cmocka_unit_test(test_strangers_are_cut),
                                       cmocka_unit_test(test_drain),
                                       cmocka_unit_test(test_drain_that_takes_too_long),
                                       cmocka_unit_test(test_drain_without_connections),
                                       cmocka_unit_test(test_end_with_calls),
                                       cmocka_unit_test(test_age),
                                       cmocka_unit_test(test_foreign_loop),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
