/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_EDGE_HARNESS_H
#define TEST_NET_EDGE_HARNESS_H

/* An edge on a thread of its own, with a service made for tests, and a blocking client. Included by one file
 * of each test program, after cmocka. */

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "net/edge.h"

#define MOST_WAITING 256
#define BIG ((size_t)6 << 20)

typedef struct server {
    pl_http_service service; /* first */
    pl_http_settings settings;
    pl_listeners *listeners;
    pl_loop *loop;
    pl_edge *edge;
    pthread_t thread;
    /* Of the loop's thread: requests that wait. */
    pl_http_request *waiting[MOST_WAITING];
    unsigned waiting_count;
    sem_t arrived, cancelled, done;
    bool drained;
    bool answers_others; /* told that a request has gone, answers all others */
    /* What a test adds: false for a path that it does not know. */
    bool (*more)(struct server *s, pl_http_request *request);
    void (*drains)(struct server *s);
} server;

/* AddressSanitizer's leak check: h2o keeps buffers in thread-local lists that it never frees. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_pool\nleak:h2o_mem_alloc_recycle\nleak:h2o_buffer_reserve\n";
}

static inline void respond(pl_http_request *request, int status, pl_str body)
{
    pl_http_respond(request, &(pl_http_response){
                                 .status = status, .content_type = PL_STR("application/json"), .body = body});
}

static void on_cancelled(pl_http_request *request)
{
    server *s = request->data;
    if (!pl_str_is(request->path, "/wait") || request->id.len == 0) /* it is still there */
        abort();
    for (unsigned i = 0; i < s->waiting_count; i++) {
        if (s->waiting[i] == request) {
            s->waiting[i] = s->waiting[--s->waiting_count];
            while (s->answers_others && s->waiting_count != 0)
                respond(s->waiting[--s->waiting_count], 200, PL_STR("{}"));
            sem_post(&s->cancelled);
            return;
        }
    }
    abort(); /* one that was answered, or told of twice */
}

/* Everything that a service sees, as text. */
static void respond_with_request(pl_http_request *r)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_printf(&text, "method=%.*s path=%.*s query=%.*s body=%.*s secure=%d version=%x peer=%.*s\n",
                  PL_STR_ARG(r->method), PL_STR_ARG(r->path), PL_STR_ARG(r->query), PL_STR_ARG(r->body),
                  r->secure, r->http_version, PL_STR_ARG(r->peer));
    for (size_t i = 0; i < r->header_count; i++)
        pl_buf_printf(&text, "%.*s: %.*s\n", PL_STR_ARG(r->headers[i].name), PL_STR_ARG(r->headers[i].value));
    pl_http_respond(r, &(pl_http_response){
                           .status = 200, .content_type = PL_STR("text/plain"), .body = pl_buf_view(&text)});
    pl_buf_dispose(&text);
}

static void respond_big(pl_http_request *r)
{
    char *bytes = pl_arena_alloc(r->arena, BIG);
    memset(bytes, 'x', BIG);
    pl_http_respond(r, &(pl_http_response){.status = 200,
                                           .content_type = PL_STR("application/octet-stream"),
                                           .body = {bytes, BIG},
                                           .body_in_arena = true});
}

static void respond_with_headers(pl_http_request *r)
{
    const pl_header headers[] = {{PL_STR("x-good"), PL_STR("yes")},
                                 {PL_STR("X-Upper"), PL_STR("lowered")},
                                 {PL_STR("x-split"), PL_STR("a\r\nx-injected: 1")},
                                 {PL_STR("x bad\r\nx-injected"), PL_STR("1")},
                                 {PL_STR("content-length"), PL_STR("9999")},
                                 {PL_STR("connection"), PL_STR("upgrade")}};
    pl_http_respond(r, &(pl_http_response){.status = 201,
                                           .content_type = PL_STR("text/plain"),
                                           .headers = headers,
                                           .header_count = sizeof(headers) / sizeof(headers[0]),
                                           .body = PL_STR("made")});
}

static bool handle(pl_http_service *service, pl_http_request *r)
{
    server *s = (server *)service;
    if (pl_str_is(r->path, "/hello")) {
        respond(r, 200, PL_STR("{\"hello\":1}"));
    } else if (pl_str_is(r->path, "/request")) {
        respond_with_request(r);
    } else if (pl_str_is(r->path, "/big")) {
        respond_big(r);
    } else if (pl_str_is(r->path, "/headers")) {
        respond_with_headers(r);
    } else if (pl_str_is(r->path, "/empty")) {
        pl_http_respond(r, &(pl_http_response){.status = 204, .body = PL_STR("never sent")});
    } else if (pl_str_is(r->path, "/text")) {
        static char text[2000];
        memset(text, 'a', sizeof(text));
        respond(r, 200, (pl_str){text, sizeof(text)});
    } else if (pl_str_is(r->path, "/wait")) {
        if (s->waiting_count == MOST_WAITING)
            abort();
        r->data = s;
        r->cancelled = on_cancelled;
        s->waiting[s->waiting_count++] = r;
        sem_post(&s->arrived);
    } else {
        return s->more && s->more(s, r);
    }
    return true;
}

static void drain(pl_http_service *service)
{
    server *s = (server *)service;
    if (s->drains)
        s->drains(s);
}

static const pl_http_settings *settings_of(pl_http_service *service)
{
    return &((server *)service)->settings;
}

static void *server_main(void *data)
{
    pl_loop_run(((server *)data)->loop);
    return NULL;
}

static inline void server_start(server *s, pl_edge_config *config)
{
    pl_error err = {0};
    signal(SIGPIPE, SIG_IGN);
    s->service = (pl_http_service){.handle = handle, .settings = settings_of, .drain = drain};
    sem_init(&s->arrived, 0, 0);
    sem_init(&s->cancelled, 0, 0);
    sem_init(&s->done, 0, 0);
    if (!config->address && !config->tls_address)
        config->address = "127.0.0.1:0";
    s->listeners = pl_listeners_open(config, 1, &err);
    if (!s->listeners)
        fail_msg("%s", err.message);
    s->loop = pl_loop_new(NULL, NULL, &err);
    assert_non_null(s->loop);
    s->edge = pl_edge_new(s->loop, config, s->listeners, 0, &s->service, NULL, &err);
    if (!s->edge)
        fail_msg("%s", err.message);
    assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static inline void wait_for(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    while (sem_timedwait(sem, &until) != 0) {
        if (errno != EINTR)
            fail_msg("nothing happened in 20 seconds");
    }
}

static inline bool happened(sem_t *sem)
{
    return sem_trywait(sem) == 0;
}

/* Runs fn(s) on the loop's thread, and waits for it. */
typedef struct call {
    pl_message message;
    server *s;
    void (*fn)(server *s);
} call;

static void run_call(pl_message *message)
{
    call *c = message->data;
    c->fn(c->s);
    sem_post(&c->s->done);
}

static inline void on_loop(server *s, void (*fn)(server *s))
{
    call c = {.message = {.run = run_call}, .s = s, .fn = fn};
    c.message.data = &c;
    pl_loop_post(s->loop, &c.message);
    wait_for(&s->done);
}

static inline void answer_oldest(server *s)
{
    pl_http_request *r = s->waiting[0];
    memmove(&s->waiting[0], &s->waiting[1], sizeof(s->waiting[0]) * --s->waiting_count);
    respond(r, 200, PL_STR("{\"late\":1}"));
}

static void free_edge(server *s)
{
    pl_edge_free(s->edge);
    s->edge = NULL;
    pl_loop_stop(s->loop);
}

static inline void server_stop(server *s)
{
    on_loop(s, free_edge);
    pthread_join(s->thread, NULL);
    pl_loop_free(s->loop);
    pl_listeners_free(s->listeners);
    sem_destroy(&s->arrived);
    sem_destroy(&s->cancelled);
    sem_destroy(&s->done);
}

/* --- Client --- */

static inline int connect_to(const char *address)
{
    struct timeval limit = {.tv_sec = 20};
    int fd;
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        snprintf(at.sun_path, sizeof(at.sun_path), "%s", address + 5);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    } else {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        at.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return fd;
}

static inline int client(server *s)
{
    return connect_to(pl_listeners_address(s->listeners));
}

static inline void send_bytes(int fd, const void *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = write(fd, (const char *)bytes + sent, len - sent);
        assert_true(n > 0);
        sent += (size_t)n;
    }
}

static inline void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

static inline void get(int fd, const char *path)
{
    char text[512];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    send_text(fd, text);
}

typedef struct answer {
    int status;
    char head[4096];
    char body[8192];
    size_t body_len;
} answer;

/* Reads one answer with a content-length (bodiless: none is expected to follow the head). */
static inline void read_answer(int fd, answer *a, bool bodiless)
{
    size_t len = 0;
    memset(a, 0, sizeof(*a));
    while (len < sizeof(a->head) - 1 && !(len >= 4 && memcmp(a->head + len - 4, "\r\n\r\n", 4) == 0)) {
        ssize_t n = read(fd, a->head + len, 1);
        if (n != 1)
            fail_msg("the connection ended within a head: %s", a->head);
        len++;
    }
    assert_int_equal(sscanf(a->head, "HTTP/1.1 %d", &a->status), 1);
    const char *length = strcasestr(a->head, "\r\ncontent-length: ");
    size_t expected = length ? (size_t)atol(length + 18) : 0;
    if (bodiless)
        return;
    assert_true(expected < sizeof(a->body));
    while (a->body_len < expected) {
        ssize_t n = read(fd, a->body + a->body_len, expected - a->body_len);
        assert_true(n > 0);
        a->body_len += (size_t)n;
    }
}

static inline void expect_answer(int fd, int status, const char *body)
{
    answer a;
    read_answer(fd, &a, false);
    assert_int_equal(a.status, status);
    assert_string_equal(a.body, body);
}

/* The server ends the connection, and sends nothing more. */
static inline void expect_end(int fd)
{
    char byte;
    ssize_t n = read(fd, &byte, 1);
    if (!(n == 0 || (n < 0 && errno == ECONNRESET)))
        fail_msg("expected the end of the connection, got %zd (%s)", n, n < 0 ? strerror(errno) : "a byte");
}

#define assert_has(a, text) assert_non_null(strcasestr((a)->head, text))
#define assert_has_not(a, text) assert_null(strcasestr((a)->head, text))

#endif
