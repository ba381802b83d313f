/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app_harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "app/local.h"
#include "app/natives.h"
#include "app/server.h"
#include "perilune/engines.h"
#include "support/failing.h"

/* Sequences of the host program: lists, sources of subscriptions, methods that stream. */

pl_str test_protos(void);

static const char schema[] =
    "directive @drain on FIELD_DEFINITION\n"
    "type Query { list(n: Int!): [Int], drained: String @drain, left: String @drain }\n"
    "type Subscription { ticks(n: Int!): Int }";
static const char resolvers[] =
    "return { ['@drain'] = { field = function(resolve, args, field)\n"
    "  return function(...)\n"
    "    local sequence = resolve(...)\n"
    "    if field.field_name == 'left' then return tostring(sequence:next()) end\n"
    "    local parts = {}\n"
    "    local ok, e = pcall(function() for v in sequence do parts[#parts + 1] = v end end)\n"
    "    parts[#parts + 1] = ok and 'end' or e.code or tostring(e)\n"
    "    sequence:close()\n"
    "    parts[#parts + 1] = tostring(sequence:next())\n"
    "    return table.concat(parts, ' ')\n"
    "  end end } }";

/* Counts to n, and fails or waits on the way. */
typedef struct counter {
    int n, at, fail_at, hold_at;
    bool threads;
    atomic_int opened, closed, cancelled;
    pl_native_call *held;
    atomic_bool holds;
} counter;

static void *finish(void *call)
{
    pl_native_finish(call);
    return NULL;
}

static void cancelled(void *data)
{
    counter *c = data;
    atomic_fetch_add(&c->cancelled, 1);
    pl_native_finish(c->held); /* at once */
}

static pl_native_status next(pl_native_call *call, void *data)
{
    counter *c = data;
    pthread_t thread;
    assert_int_equal(pl_native_argument_count(call), 0);
    assert_true(c->closed < c->opened);
    c->at++;
    if (c->at == c->fail_at)
        return pl_native_fail(call, PL_ABORTED, "no more");
    if (c->at == c->hold_at) {
        pl_native_on_cancel(call, cancelled, c);
        c->held = call;
        atomic_store(&c->holds, true);
        return PL_NATIVE_PENDING;
    }
    if (c->at <= c->n)
        pl_native_put_int(call, c->at);
    if (!c->threads)
        return PL_NATIVE_DONE;
    assert_int_equal(pthread_create(&thread, NULL, finish, call), 0);
    pthread_detach(thread);
    return PL_NATIVE_PENDING;
}

static void closed(void *data)
{
    atomic_fetch_add(&((counter *)data)->closed, 1);
}

static pl_native_status count(pl_native_call *call, void *data)
{
    counter *c = data;
    pl_native_slot n = pl_native_field(call, pl_native_argument(call, 1), "n");
    c->at = 0;
    c->n = n ? (int)pl_native_int(call, n) : 3;
    atomic_fetch_add(&c->opened, 1);
    pl_native_put_sequence(call, next, closed, c);
    return PL_NATIVE_DONE;
}

static pl_local *open_local(pl_natives *natives)
{
    pl_report report;
    pl_error err = {0};
    pl_report_init(&report);
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives};
    pl_bundle *bundle = MEMORY_BUNDLE("schema/s.graphql", schema, "resolvers/r.lua", resolvers);
    pl_local *local = pl_local_open(bundle, &options, &report, &err);
    if (!local)
        fail_msg("%s", report_text(&report));
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    return local;
}

static const char *execute(pl_local *local, const char *request)
{
    static char text[8192];
    pl_buf response;
    pl_error err = {0};
    pl_buf_init(&response);
    pl_code code = pl_local_execute(local, pl_str_of(request), &response, &err);
    snprintf(text, sizeof text, "%s%.*s", code ? err.message : "", PL_STR_ARG(pl_buf_view(&response)));
    pl_buf_dispose(&response);
    return text;
}

static const char *ask(const char *field, const char *query, pl_native_function function, counter *c)
{
    static char text[8192], request[512];
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", field, function, c), PL_OK);
    pl_local *local = open_local(natives);
    snprintf(request, sizeof request, "{\"query\":\"%s\"}", query);
    snprintf(text, sizeof text, "%s", execute(local, request));
    pl_local_close(local);
    pl_natives_free(natives);
    return text;
}

static void test_lists(void **state)
{
    for (int threads = 0; threads < 2; threads++) {
        counter c = {.threads = threads == 1};
        assert_string_equal(ask("list", "{ list(n: 3) }", count, &c), "{\"data\":{\"list\":[1,2,3]}}");
        assert_string_equal(ask("list", "{ list(n: 0) }", count, &c), "{\"data\":{\"list\":[]}}");
        assert_int_equal(c.opened, 2);
        assert_int_equal(c.closed, 2);
    }
}

/* As a script sees one. */
static void test_in_scripts(void **state)
{
    for (int threads = 0; threads < 2; threads++) {
        counter c = {.threads = threads == 1};
        assert_string_equal(ask("drained", "{ drained }", count, &c),
                            "{\"data\":{\"drained\":\"1 2 3 end nil\"}}");
        assert_int_equal(c.closed, 1);
        c = (counter){.threads = threads == 1, .fail_at = 3};
        assert_string_equal(ask("drained", "{ drained }", count, &c),
                            "{\"data\":{\"drained\":\"1 2 ABORTED nil\"}}");
        assert_int_equal(c.closed, 1);
        c = (counter){.threads = threads == 1};
        assert_string_equal(ask("left", "{ left }", count, &c), "{\"data\":{\"left\":\"1\"}}");
        assert_int_equal(c.closed, 1); /* it was collected */
    }
}

/* What becomes of a sequence that nobody gets. */
static pl_native_status count_and_fail(pl_native_call *call, void *data)
{
    count(call, data);
    return pl_native_fail(call, PL_ABORTED, "after all");
}

static pl_native_status count_twice(pl_native_call *call, void *data)
{
    count(call, data);
    return count(call, data);
}

static pl_native_status count_inside(pl_native_call *call, void *data)
{
    pl_native_begin_list(call);
    count(call, data);
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static pl_native_status ask_outside(pl_native_call *call, void *data)
{
    pl_native_ask_message(call);
    return PL_NATIVE_DONE;
}

static void test_mistakes(void **state)
{
    counter c = {.n = 0};
    assert_has(ask("drained", "{ drained }", count_and_fail, &c), "\"code\":\"ABORTED\"");
    assert_int_equal(c.closed, 1);
    assert_has(ask("drained", "{ drained }", count_twice, &c), "\"code\":\"INTERNAL\"");
    assert_int_equal(c.closed, 3);
    assert_has(ask("drained", "{ drained }", count_inside, &c), "\"code\":\"INTERNAL\"");
    assert_int_equal(c.closed, 4);
    assert_has(ask("drained", "{ drained }", ask_outside, &c), "\"code\":\"INTERNAL\"");
    assert_int_equal(c.closed, c.opened);
}

static void test_memory(void **state)
{
    counter c = {.n = 0};
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", "drained", count, &c), PL_OK);
    failing a = {0};
    while (failing_next(&a)) {
        pl_local *local = open_local(natives);
        execute(local, "{\"query\":\"{ __typename }\"}");
        c.opened = c.closed = 0;
        failing_begin(&a);
        const char *text = execute(local, "{\"query\":\"{ drained }\"}");
        if (!failing_end(&a))
            assert_string_equal(text, "{\"data\":{\"drained\":\"1 2 3 end nil\"}}");
        pl_local_close(local);
        assert_int_equal(c.closed, c.opened);
    }
    assert_true(a.made > 10);
    pl_natives_free(natives);
}

/* --- in a server --- */
typedef struct site {
    pl_natives *natives;
    pl_server *server;
} site;

static void serve(site *s)
{
    pl_error err = {0};
    pl_report report;
    const pl_file files[] = {{PL_STR("schema/s.graphql"), pl_str_of(schema)},
                             {PL_STR("resolvers/r.lua"), pl_str_of(resolvers)},
                             {PL_STR("proto/all.binpb"), test_protos()}};
    pl_bundle *bundle = pl_bundle_from_memory(files, 3, &err);
    assert_non_null(bundle);
    pl_server_config config = {.workers = 1,
                               .edge = {.address = "127.0.0.1:0"},
                               .grpc = {.address = "127.0.0.1:0"},
                               .engine = pl_lua_engine(),
                               .natives = s->natives,
                               .bundle = bundle};
    pl_report_init(&report);
    s->server = pl_server_start(&config, &report, &err);
    if (!s->server)
        fail_msg("%s %s", err.message, report_text(&report));
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
}

static void site_end(site *s)
{
    pl_server_stop(s->server, 0);
    pl_server_free(s->server);
    pl_natives_free(s->natives);
}

static int post(site *s, const char *path, const char *headers, const char *body, size_t length)
{
    char text[2048];
    int fd = http_connect(pl_server_address(s->server));
    int n = snprintf(
        text, sizeof text,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\nContent-Length: %zu\r\n\r\n", path,
        headers, length);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    assert_int_equal(send(fd, body, length, MSG_NOSIGNAL), length);
    return fd;
}

/* All that comes, or what comes until a text is there; NULs are left out. */
static const char *receive_until(int fd, const char *end)
{
    static char text[16384];
    size_t len = 0;
    for (char c; recv(fd, &c, 1, 0) == 1 && len < sizeof text - 1;) {
        if (c)
            text[len++] = c;
        text[len] = '\0';
        if (end && strstr(text, end))
            break;
    }
    text[len] = '\0';
    return text;
}

#define SSE "Content-Type: application/json\r\nAccept: text/event-stream"

static void test_subscriptions(void **state)
{
    counter c = {.threads = true};
    site s = {.natives = pl_natives_new()};
    assert_int_equal(pl_natives_add_resolver(s.natives, "Subscription", "ticks", count, &c), PL_OK);
    serve(&s);
    static const char request[] = "{\"query\":\"subscription { ticks(n: 3) }\"}";
    int fd = post(&s, "/graphql", SSE, request, sizeof request - 1);
    const char *text = receive_until(fd, "event: complete");
    assert_has(text, "{\"data\":{\"ticks\":1}}");
    assert_has(text, "{\"data\":{\"ticks\":3}}");
    assert_has(text, "event: complete");
    close(fd);

    /* a client that goes away while the next one is waited for */
    c.hold_at = 2;
    fd = post(&s, "/graphql", SSE, request, sizeof request - 1);
    assert_has(receive_until(fd, "{\"data\":{\"ticks\":1}}"), "{\"data\":{\"ticks\":1}}");
    while (!atomic_load(&c.holds))
        usleep(1000);
    close(fd);
    uint64_t until = clock_ms() + LONGEST_MS;
    while (c.closed < 2 && clock_ms() < until)
        usleep(1000);
    assert_int_equal(c.cancelled, 1);
    assert_int_equal(c.closed, 2);
    assert_int_equal(c.opened, 2);
    site_end(&s);
}

/* Names of users: sent, received, or both. */
typedef struct stream {
    char names[256];
    int step;
    bool echo;
    atomic_int closed;
} stream;

static void put_user(pl_native_call *call, const char *name)
{
    pl_native_begin_map(call);
    pl_native_key(call, "user_id");
    pl_native_put_text(call, name);
    pl_native_end(call);
}

static pl_native_status watch_next(pl_native_call *call, void *data)
{
    stream *st = data;
    char name[16];
    snprintf(name, sizeof name, "user %d", ++st->step);
    if (st->step <= 3)
        put_user(call, name);
    return PL_NATIVE_DONE;
}

static void stream_closed(void *data)
{
    atomic_fetch_add(&((stream *)data)->closed, 1);
}

static pl_native_status watch(pl_native_call *call, void *data)
{
    stream *st = data;
    assert_int_equal(pl_native_argument_count(call), 2);
    assert_string_equal(
        pl_native_string(call, pl_native_field(call, pl_native_argument(call, 0), "get"), NULL), "all");
    st->step = 0;
    pl_native_put_sequence(call, watch_next, stream_closed, st);
    return PL_NATIVE_DONE;
}

/* Of Upload: collects; of Chat: answers each. */
static pl_native_status talk_next(pl_native_call *call, void *data)
{
    stream *st = data;
    if (pl_native_argument_count(call) == 0) {
        pl_native_ask_message(call);
        return PL_NATIVE_DONE;
    }
    pl_native_slot user = pl_native_argument(call, 0);
    if (pl_native_kind_of(call, user) == PL_NATIVE_ABSENT) {
        if (st->echo)
            return PL_NATIVE_DONE;
        pl_native_begin_map(call);
        pl_native_key(call, "get");
        pl_native_put_text(call, st->names);
        pl_native_end(call);
        return PL_NATIVE_DONE;
    }
    const char *name = pl_native_string(call, pl_native_field(call, user, "user_id"), NULL);
    size_t len = strlen(st->names);
    snprintf(st->names + len, sizeof st->names - len, "<%s>", name);
    if (st->echo)
        put_user(call, st->names);
    else
        pl_native_ask_message(call);
    return PL_NATIVE_DONE;
}

static pl_native_status talk(pl_native_call *call, void *data)
{
    stream *st = data;
    assert_int_equal(pl_native_argument_count(call), 1);
    st->names[0] = '\0';
    pl_native_put_sequence(call, talk_next, stream_closed, st);
    return PL_NATIVE_DONE;
}

/* One of Connect's messages behind what is there. */
static size_t frame(char *out, size_t at, const char *json)
{
    size_t n = strlen(json);
    memcpy(out + at, (char[]){0, 0, 0, (char)(n >> 8), (char)n}, 5);
    memcpy(out + at + 5, json, n);
    return at + 5 + n;
}

#define CONNECT "Connect-Protocol-Version: 1\r\nContent-Type: application/connect+json"

static void test_methods(void **state)
{
    stream sent = {.step = 0}, uploaded = {.step = 0}, chat = {.echo = true};
    char body[512];
    site s = {.natives = pl_natives_new()};
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Watch", false, watch, &sent), PL_OK);
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Upload", false, talk, &uploaded),
                     PL_OK);
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Chat", false, talk, &chat), PL_OK);
    serve(&s);

    int fd = post(&s, "/test.v1.Users/Watch", CONNECT, body, frame(body, 0, "{\"get\":\"all\"}"));
    const char *text = receive_until(fd, NULL);
    assert_has(text, "{\"userId\":\"user 1\"}");
    assert_has(text, "{\"userId\":\"user 3\"}");
    assert_null(strstr(text, "user 4"));
    close(fd);
    assert_int_equal(sent.closed, 1);

    size_t n = frame(body, frame(body, 0, "{\"userId\":\"a\"}"), "{\"userId\":\"b\"}");
    fd = post(&s, "/test.v1.Users/Upload", CONNECT, body, n);
    assert_has(receive_until(fd, NULL), "{\"get\":\"<a><b>\"}");
    close(fd);
    assert_int_equal(uploaded.closed, 1);

    fd = post(&s, "/test.v1.Users/Chat", CONNECT, body, n);
    text = receive_until(fd, NULL);
    assert_has(text, "{\"userId\":\"<a>\"}");
    assert_has(text, "{\"userId\":\"<a><b>\"}");
    close(fd);
    assert_int_equal(chat.closed, 1);
    site_end(&s);
}

/* --- with messages as bytes: field 1 of all of them is a text --- */
static pl_native_status get_bytes(pl_native_call *call, void *data)
{
    size_t length;
    const char *bytes = pl_native_string(call, pl_native_argument(call, 0), &length);
    assert_int_equal(length, 5);
    assert_memory_equal(bytes,
                        "\x0a\x03"
                        "all",
                        5);
    if (data) { /* broken */
        pl_native_put_string(call, "\xff", 1);
        return PL_NATIVE_DONE;
    }
    pl_native_put_string(call, bytes, length);
    return PL_NATIVE_DONE;
}

static pl_native_status watch_bytes_next(pl_native_call *call, void *data)
{
    stream *st = data;
    char bytes[3] = {0x0a, 1, (char)('0' + ++st->step)};
    if (st->step <= 2)
        pl_native_put_string(call, bytes, 3);
    return PL_NATIVE_DONE;
}

static pl_native_status watch_bytes(pl_native_call *call, void *data)
{
    assert_int_equal(pl_native_kind_of(call, pl_native_argument(call, 0)), PL_NATIVE_STRING);
    pl_native_put_sequence(call, watch_bytes_next, stream_closed, data);
    return PL_NATIVE_DONE;
}

/* Of Upload: the last message; of Chat: each. */
static pl_native_status talk_bytes_next(pl_native_call *call, void *data)
{
    stream *st = data;
    size_t length;
    const char *bytes = pl_native_string(call, pl_native_argument(call, 0), &length);
    if (pl_native_argument_count(call) == 0) {
        pl_native_ask_message(call);
    } else if (length > 0) {
        assert_true(length < sizeof st->names);
        memcpy(st->names, bytes, length);
        st->step = (int)length;
        if (st->echo)
            pl_native_put_string(call, bytes, length);
        else
            pl_native_ask_message(call);
    } else if (!st->echo) {
        pl_native_put_string(call, st->names, (size_t)st->step);
    }
    return PL_NATIVE_DONE;
}

static pl_native_status talk_bytes(pl_native_call *call, void *data)
{
    pl_native_put_sequence(call, talk_bytes_next, stream_closed, data);
    return PL_NATIVE_DONE;
}

static void test_bytes(void **state)
{
    stream watched = {.step = 0}, uploaded = {.step = 0}, chat = {.echo = true};
    char body[512];
    site s = {.natives = pl_natives_new()};
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Get", true, get_bytes, NULL), PL_OK);
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Watch", true, watch_bytes, &watched),
                     PL_OK);
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Upload", true, talk_bytes, &uploaded),
                     PL_OK);
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Chat", true, talk_bytes, &chat),
                     PL_OK);
    serve(&s);
    int fd = post(&s, "/test.v1.Users/Get", "Content-Type: application/json", "{\"get\":\"all\"}", 13);
    assert_has(receive_until(fd, NULL), "{\"userId\":\"all\"}");
    close(fd);
    fd = post(&s, "/test.v1.Users/Watch", CONNECT, body, frame(body, 0, "{}"));
    const char *text = receive_until(fd, NULL);
    assert_has(text, "{\"userId\":\"1\"}");
    assert_has(text, "{\"userId\":\"2\"}");
    close(fd);
    size_t n = frame(body, frame(body, 0, "{\"userId\":\"a\"}"), "{\"userId\":\"b\"}");
    fd = post(&s, "/test.v1.Users/Upload", CONNECT, body, n);
    assert_has(receive_until(fd, NULL), "{\"get\":\"b\"}");
    close(fd);
    fd = post(&s, "/test.v1.Users/Chat", CONNECT, body, n);
    text = receive_until(fd, NULL);
    assert_has(text, "{\"userId\":\"a\"}");
    assert_has(text, "{\"userId\":\"b\"}");
    close(fd);
    assert_int_equal(watched.closed + uploaded.closed + chat.closed, 3);
    site_end(&s);

    s.natives = pl_natives_new();
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Get", true, get_bytes, &chat), PL_OK);
    serve(&s);
    fd = post(&s, "/test.v1.Users/Get", "Content-Type: application/json", "{\"get\":\"all\"}", 13);
    assert_has(receive_until(fd, NULL), "\"code\":\"in"); /* invalid_argument, or internal */
    close(fd);
    site_end(&s);
}

static pl_native_status no_sequence(pl_native_call *call, void *data)
{
    put_user(call, "x");
    return PL_NATIVE_DONE;
}

static pl_native_status ask_always(pl_native_call *call, void *data)
{
    pl_native_ask_message(call);
    return PL_NATIVE_DONE;
}

static pl_native_status watch_and_ask(pl_native_call *call, void *data)
{
    pl_native_put_sequence(call, ask_always, stream_closed, data);
    return PL_NATIVE_DONE;
}

static void test_wrong_methods(void **state)
{
    stream st = {.step = 0};
    char body[512];
    site s = {.natives = pl_natives_new()};
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Watch", false, watch_and_ask, &st),
                     PL_OK);
    assert_int_equal(pl_natives_add_method(s.natives, "test.v1.Users", "Chat", false, no_sequence, &st),
                     PL_OK);
    serve(&s);
    size_t n = frame(body, 0, "{}");
    static const char *const methods[] = {"/test.v1.Users/Watch", "/test.v1.Users/Chat"};
    for (int i = 0; i < 2; i++) {
        int fd = post(&s, methods[i], CONNECT, body, n);
        assert_has(receive_until(fd, NULL), "\"code\":\"internal\"");
        close(fd);
    }
    assert_int_equal(st.closed, 1);
    site_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),  cmocka_unit_test(test_in_scripts),    cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_subscriptions), cmocka_unit_test(test_methods),
        cmocka_unit_test(test_bytes),  cmocka_unit_test(test_wrong_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
