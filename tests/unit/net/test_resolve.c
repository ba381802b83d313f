/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/bytestream.h"
#include "net/resolve.h"
#include "support/failing.h"

/* AddressSanitizer's leak check: h2o keeps buffers in thread-local lists that it never frees. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_pool\nleak:h2o_mem_alloc_recycle\nleak:h2o_buffer_reserve\n";
}

/* --- a name service of the test's own --- */
/* getaddrinfo for names below ".test" is answered by this; all else by the system's. */
static pthread_mutex_t zone_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t zone_open = PTHREAD_COND_INITIALIZER;
static struct {
    const char *addresses[8]; /* those of the name; none: it is not known */
    int failure;
    unsigned asked;
    bool closed; /* look-ups wait */
} zone;

static void set_zone(int failure, const char *a, const char *b, const char *c)
{
    pthread_mutex_lock(&zone_lock);
    zone.addresses[0] = a;
    zone.addresses[1] = b;
    zone.addresses[2] = c;
    zone.addresses[3] = NULL;
    zone.failure = failure;
    pthread_mutex_unlock(&zone_lock);
}

static void close_zone(bool closed)
{
    pthread_mutex_lock(&zone_lock);
    zone.closed = closed;
    pthread_cond_broadcast(&zone_open);
    pthread_mutex_unlock(&zone_lock);
}

static unsigned asked(void)
{
    pthread_mutex_lock(&zone_lock);
    unsigned count = zone.asked;
    pthread_mutex_unlock(&zone_lock);
    return count;
}

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    getaddrinfo_fn *real = (getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t len = host ? strlen(host) : 0;
    if (len < 5 || strcmp(host + len - 5, ".test") != 0 || (hints->ai_flags & AI_NUMERICHOST))
        return real(host, port, hints, out);
    pthread_mutex_lock(&zone_lock);
    zone.asked++;
    while (zone.closed)
        pthread_cond_wait(&zone_open, &zone_lock);
    int failure = zone.failure;
    struct addrinfo **end = out;
    *out = NULL;
    for (size_t i = 0; failure == 0 && zone.addresses[i]; i++) {
        failure = real(zone.addresses[i], port, hints, end);
        end = &(*end)->ai_next;
    }
    pthread_mutex_unlock(&zone_lock);
    return failure;
}

/* --- a loop, and what a resolver tells --- */
typedef struct world {
    pl_loop *loop;
    pl_resolving *resolving;
    pl_resolver *resolver;
    char list[1000]; /* the last update: "10.0.0.1:1/5 10.0.0.2:1" */
    pl_error why;
    unsigned updates, errors, wanted;
    bool frees; /* the resolver, in its own callback */
    pl_timer too_late;
    bool late;
} world;

static void update(void *data, const pl_resolved *addresses, size_t count)
{
    world *w = data;
    size_t len = 0;
    w->list[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(w->list + len, sizeof(w->list) - len, "%s%.*s", i > 0 ? " " : "",
                                PL_STR_ARG(addresses[i].address));
        if (addresses[i].weight != 1)
            len += (size_t)snprintf(w->list + len, sizeof(w->list) - len, "/%u", addresses[i].weight);
    }
    w->updates++;
    if (w->frees) {
        pl_resolver_free(w->resolver);
        w->resolver = NULL;
    }
}

static void error(void *data, const pl_error *why)
{
    world *w = data;
    w->errors++;
    w->why = *why;
    if (w->frees) {
        pl_resolver_free(w->resolver);
        w->resolver = NULL;
    }
}

static void on_turn(void *data)
{
    world *w = data;
    if (w->updates + w->errors >= w->wanted)
        pl_loop_stop(w->loop);
}

static void on_late(pl_timer *timer)
{
    world *w = timer->data;
    w->late = true;
    pl_loop_stop(w->loop);
}

/* Until this many updates and errors have come in all. */
static void turn_until(world *w, unsigned wanted)
{
    pl_host *host = pl_loop_host(w->loop);
    w->wanted = wanted;
    if (w->updates + w->errors >= wanted)
        return;
    w->too_late = (pl_timer){.fire = on_late, .data = w};
    assert_int_equal(host->ops->timer_start(host, &w->too_late, host->ops->now(host) + 60000), 0);
    pl_loop_run(w->loop);
    host->ops->timer_stop(host, &w->too_late);
    assert_false(w->late);
}

static world *new_world(void)
{
    pl_error err;
    world *w = calloc(1, sizeof(*w));
    w->loop = pl_loop_new(NULL, NULL, &err);
    assert_non_null(w->loop);
    pl_loop_on_turn(w->loop, on_turn, w);
    w->resolving = pl_resolving_new(w->loop, &err);
    assert_non_null(w->resolving);
    return w;
}

static void free_world(world *w)
{
    pl_resolver_free(w->resolver);
    pl_resolving_free(w->resolving);
    pl_loop_free(w->loop);
    free(w);
}

static void resolve(world *w, const char *target, unsigned interval, unsigned poll)
{
    pl_error err;
    pl_resolver_config config = {.target = pl_str_of(target),
                                 .data = w,
                                 .update = update,
                                 .error = error,
                                 .min_interval_ms = interval,
                                 .poll_ms = poll,
                                 .retry_ms = 5};
    w->resolver = pl_resolver_new(w->resolving, &config, &err);
    if (!w->resolver)
        fail_msg("%s", err.message);
    assert_int_equal(w->updates + w->errors, 0);
}

/* --- lists --- */
static void lists(void **state)
{
    world *w = new_world();
    resolve(w, "ipv4:10.0.0.1:1,10.0.0.2:2", 0, 0);
    turn_until(w, 1);
    assert_string_equal(w->list, "10.0.0.1:1 10.0.0.2:2");
    pl_resolver_refresh(w->resolver);
    free_world(w);
}

static void what_is_no_target(void **state)
{
    pl_error err;
    world *w = new_world();
    pl_resolver_config config = {.target = PL_STR("xds:///a"), .data = w, .update = update, .error = error};
    assert_null(pl_resolver_new(w->resolving, &config, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    free_world(w);
}

/* --- DNS --- */
static void the_system_is_asked(void **state)
{
    world *w = new_world();
    resolve(w, "localhost:50051", 0, 0);
    turn_until(w, 1);
    assert_int_equal(w->errors, 0);
    assert_true(strstr(w->list, "127.0.0.1:50051") || strstr(w->list, "[::1]:50051"));
    free_world(w);
}

static void all_addresses_of_both_families(void **state)
{
    world *w = new_world();
    set_zone(0, "10.0.0.1", "2001:db8::1", "10.0.0.1");
    resolve(w, "dns:///a.test:80", 0, 0);
    turn_until(w, 1);
    assert_string_equal(w->list, "10.0.0.1:80 [2001:db8::1]:80");
    free_world(w);
}

static void asked_again_when_there_are_doubts(void **state)
{
    world *w = new_world();
    set_zone(0, "10.0.0.1", NULL, NULL);
    resolve(w, "a.test:80", 1, 0);
    turn_until(w, 1);
    set_zone(0, "10.0.0.2", NULL, NULL);
    pl_resolver_refresh(w->resolver);
    turn_until(w, 2);
    assert_string_equal(w->list, "10.0.0.2:80");
    free_world(w);
}

static void not_more_often_than_it_may(void **state)
{
    world *w = new_world();
    set_zone(0, "10.0.0.1", NULL, NULL);
    unsigned before = asked();
    resolve(w, "a.test:80", 0, 0);
    turn_until(w, 1);
    for (int i = 0; i < 10; i++)
        pl_resolver_refresh(w->resolver);
    pl_host *host = pl_loop_host(w->loop);
    w->too_late = (pl_timer){.fire = on_late, .data = w};
    host->ops->timer_start(host, &w->too_late, host->ops->now(host) + 50);
    w->wanted = 2;
    pl_loop_run(w->loop);
    assert_true(w->late);
    assert_int_equal(asked(), before + 1);
    free_world(w);
}

static void asked_by_itself(void **state)
{
    world *w = new_world();
    set_zone(0, "10.0.0.1", NULL, NULL);
    resolve(w, "a.test:80", 0, 5);
    turn_until(w, 1);
    set_zone(0, "10.0.0.2", "10.0.0.3", NULL);
    turn_until(w, 2);
    assert_string_equal(w->list, "10.0.0.2:80 10.0.0.3:80");
    free_world(w);
}

static void names_that_nobody_knows(void **state)
{
    world *w = new_world();
    set_zone(EAI_NONAME, NULL, NULL, NULL);
    resolve(w, "a.test:80", 0, 0);
    turn_until(w, 1);
    assert_int_equal(w->why.code, PL_NOT_FOUND);
    assert_string_equal(w->why.message, "a.test:80: cannot look up a.test: Name or service not known");
    /* It is asked again by itself, and at once when it is there. */
    set_zone(0, "10.0.0.1", NULL, NULL);
    pl_resolver_refresh(w->resolver);
    turn_until(w, 2);
    assert_int_equal(w->updates, 1);
    free_world(w);
}

static void the_same_is_told_once_more_after_an_error(void **state)
{
    world *w = new_world();
    set_zone(0, "10.0.0.1", NULL, NULL);
    resolve(w, "a.test:80", 1, 0);
    turn_until(w, 1);
    set_zone(EAI_AGAIN, NULL, NULL, NULL);
    pl_resolver_refresh(w->resolver);
    turn_until(w, 2);
    assert_int_equal(w->errors, 1);
    assert_int_equal(w->why.code, PL_UNAVAILABLE);
    set_zone(0, "10.0.0.1", NULL, NULL);
    turn_until(w, 3);
    assert_int_equal(w->updates, 2);
    free_world(w);
}

static void a_resolver_may_be_freed_by_its_callbacks(void **state)
{
    static const int failures[] = {0, EAI_FAIL};
    for (int i = 0; i < 2; i++) {
        world *w = new_world();
        w->frees = true;
        set_zone(failures[i], "10.0.0.1", NULL, NULL);
        resolve(w, "a.test:80", 0, 1);
        turn_until(w, 1);
        assert_null(w->resolver);
        free_world(w);
    }
}

/* Nobody waits for a look-up that hangs: neither its resolver nor its loop. */
static void a_lookup_that_hangs(void **state)
{
    unsigned before = asked();
    close_zone(true);
    set_zone(0, "10.0.0.1", NULL, NULL);
    for (int i = 0; i < 6; i++) { /* more than there are threads */
        world *w = new_world();
        resolve(w, "a.test:80", 0, 0);
        pl_resolver *others[5];
        for (int k = 0; k < 5; k++) {
            others[k] = w->resolver;
            resolve(w, "b.test:80", 0, 0);
        }
        w->too_late = (pl_timer){.fire = on_late, .data = w};
        pl_host *host = pl_loop_host(w->loop);
        w->wanted = 1;
        host->ops->timer_start(host, &w->too_late, host->ops->now(host) + 5);
        pl_loop_run(w->loop);
        assert_int_equal(w->updates, 0);
        for (int k = 0; k < 5; k++)
            pl_resolver_free(others[k]);
        free_world(w);
    }
    close_zone(false);
    assert_true(asked() >= before);
}

/* --- Consul --- */
/* An agent on the same loop: answers each query with the next of its answers, when the query is the one that
 * is expected. */
typedef struct agent {
    pl_bytes_service service; /* first */
    pl_bytes_listeners *listeners;
    pl_bytes *bytes;
    const struct answer {
        const char *query;  /* that the request line must end with */
        const char *answer; /* status, headers and body; "hold": never */
    } * answers;
    size_t count, next;
    pl_buf request, response;
    char seen[2000];
} agent;

static bool agent_opened(pl_bytes_service *service, pl_connection *connection)
{
    return true;
}

static void agent_received(pl_bytes_service *service, pl_connection *connection, pl_str bytes)
{
    agent *a = (agent *)service;
    pl_buf_str(&a->request, bytes);
    pl_buf_char(&a->request, '\0');
    a->request.len--;
    if (!strstr(a->request.data, "\r\n\r\n"))
        return;
    snprintf(a->seen, sizeof(a->seen), "%s", a->request.data);
    assert_true(a->next < a->count);
    const struct answer *answer = &a->answers[a->next++];
    char line[600];
    snprintf(line, sizeof(line), "GET /v1/health/service/%s HTTP/1.1\r\n", answer->query);
    if (strncmp(a->seen, line, strlen(line)) != 0)
        fail_msg("%s instead of %s", a->seen, line);
    pl_buf_reset(&a->request, 0);
    if (strcmp(answer->answer, "hold") == 0)
        return;
    const char *body = strstr(answer->answer, "\n\n");
    pl_buf_reset(&a->response, 0);
    pl_buf_printf(&a->response, "HTTP/1.1 %.*s\r\ncontent-length: %zu\r\n\r\n%s",
                  (int)(body - answer->answer), answer->answer, strlen(body + 2), body + 2);
    pl_connection_write(connection, pl_buf_view(&a->response));
}

static void agent_written(pl_bytes_service *service, pl_connection *connection)
{
}

static void agent_closed(pl_bytes_service *service, pl_connection *connection)
{
}

static void run_agent(world *w, agent *a, const char *target, const struct answer *answers, size_t count,
                      unsigned told)
{
    pl_error err;
    char full[300];
    *a = (agent){.service = {.opened = agent_opened,
                             .received = agent_received,
                             .written = agent_written,
                             .closed = agent_closed},
                 .answers = answers,
                 .count = count};
    pl_bytes_config config = {.address = "127.0.0.1:0"};
    pl_buf_init(&a->request);
    pl_buf_init(&a->response);
    a->listeners = pl_bytes_listeners_open(&config, 1, &err);
    assert_non_null(a->listeners);
    a->bytes = pl_bytes_new(w->loop, &config, a->listeners, 0, &a->service, NULL, &err);
    assert_non_null(a->bytes);
    snprintf(full, sizeof(full), "consul://%s/%s", pl_bytes_listeners_address(a->listeners), target);
    resolve(w, full, 0, 0);
    turn_until(w, told);
}

static void end_agent(world *w, agent *a)
{
    pl_resolver_free(w->resolver);
    w->resolver = NULL;
    pl_bytes_free(a->bytes);
    pl_bytes_listeners_free(a->listeners);
    pl_buf_dispose(&a->request);
    pl_buf_dispose(&a->response);
    free_world(w);
}

#define ONE "[{\"Node\":{\"Address\":\"10.0.0.1\"},\"Service\":{\"Address\":\"\",\"Port\":1},\"Checks\":[]}]"
#define TWO                                                                                                 \
    "[{\"Node\":{\"Address\":\"10.0.0.1\"},\"Service\":{\"Port\":1}},{\"Node\":{\"Address\":\"10.0.0.9\"}," \
    "\"Service\":{\"Address\":\"10.0.0.2\",\"Port\":2,\"Weights\":{\"Passing\":5,\"Warning\":1}}}]"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void changes_are_told(void **state)
{
    static const struct answer answers[] = {
        {"users?wait=300s&passing&tag=a", "200 OK\r\nX-Consul-Index: 7\n\n" ONE},
        {"users?wait=300s&passing&tag=a&index=7", "200 OK\r\nX-Consul-Index: 7\n\n" ONE}, /* time is up */
        {"users?wait=300s&passing&tag=a&index=7", "200 OK\r\nX-Consul-Index: 9\n\n" TWO},
        {"users?wait=300s&passing&tag=a&index=9", "hold"},
    };
    agent a;
    world *w = new_world();
    run_agent(w, &a, "users?tag=a&token=secret", answers, COUNT(answers), 2);
    assert_int_equal(w->updates, 2);
    assert_string_equal(w->list, "10.0.0.1:1 10.0.0.2:2/5");
    assert_non_null(strcasestr(a.seen, "\r\nX-Consul-Token: secret\r\n"));
    end_agent(w, &a);
}

static void an_index_that_goes_backwards(void **state)
{
    static const struct answer answers[] = {
        {"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 7\n\n" ONE},
        {"s?wait=300s&passing&index=7", "200 OK\r\nX-Consul-Index: 3\n\n" TWO},
        {"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 0\n\n" ONE},
        {"s?wait=300s&passing&index=1", "200 OK\r\nX-Consul-Index: 2\n\n" TWO},
        {"s?wait=300s&passing&index=2", "hold"},
    };
    agent a;
    world *w = new_world();
    run_agent(w, &a, "s", answers, COUNT(answers), 4);
    assert_int_equal(w->updates, 4);
    end_agent(w, &a);
}

static void failures_are_told_and_tried_again(void **state)
{
    static const struct answer answers[] = {
        {"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 7\n\n" ONE},
        {"s?wait=300s&passing&index=7", "500 Internal Server Error\n\nNo cluster leader\nmore"},
        {"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 7\n\n" ONE},
        {"s?wait=300s&passing&index=7", "hold"},
    };
    agent a;
    world *w = new_world();
    run_agent(w, &a, "s?token=x", answers, COUNT(answers), 2);
    assert_int_equal(w->errors, 1);
    assert_int_equal(w->why.code, PL_UNAVAILABLE);
    assert_non_null(strstr(w->why.message, "/s: the agent answers 500: No cluster leader"));
    assert_null(strstr(w->why.message, "token"));
    turn_until(w, 3);
    assert_int_equal(w->updates, 2);
    end_agent(w, &a);
}

static void what_an_agent_may_say(void **state)
{
    static const struct {
        struct answer answer;
        const char *message;
    } cases[] = {
        {{"s?wait=300s&passing", "403 Forbidden\n\nPermission denied"},
         "the agent answers 403: Permission denied (a token"},
        {{"s?wait=300s&passing", "404 Not Found\n\n"}, "the agent answers 404"},
        {{"s?wait=300s&passing", "200 OK\n\n" ONE}, "has no X-Consul-Index"},
        {{"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: no\n\n" ONE}, "has no X-Consul-Index"},
        {{"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 1\n\n{}"},
         "Consul's answer is a map, not a list"},
        {{"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 1\n\n[1]"},
         "instance 0 of Consul's answer has no Service"},
        {{"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 1\n\n["}, "Unexpected end of JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        agent a;
        world *w = new_world();
        run_agent(w, &a, "s", &cases[i].answer, 1, 1);
        assert_int_equal(w->errors, 1);
        if (!strstr(w->why.message, cases[i].message))
            fail_msg("%s, not %s", w->why.message, cases[i].message);
        end_agent(w, &a);
    }
}

/* A service without instances is no failure: the next query waits for one. */
static void no_instances(void **state)
{
    static const struct answer answers[] = {
        {"s?wait=300s&passing", "200 OK\r\nX-Consul-Index: 7\n\n" ONE},
        {"s?wait=300s&passing&index=7", "200 OK\r\nX-Consul-Index: 8\n\n[]"},
        {"s?wait=300s&passing&index=8", "200 OK\r\nX-Consul-Index: 9\n\n" ONE},
        {"s?wait=300s&passing&index=9", "hold"},
    };
    agent a;
    world *w = new_world();
    run_agent(w, &a, "s", answers, COUNT(answers), 3);
    assert_int_equal(w->errors, 1);
    assert_int_equal(w->why.code, PL_NOT_FOUND);
    assert_int_equal(w->updates, 2);
    end_agent(w, &a);
}

static void no_agent(void **state)
{
    world *w = new_world();
    resolve(w, "consul://127.0.0.1:1/s", 0, 0);
    turn_until(w, 1);
    assert_int_equal(w->why.code, PL_UNAVAILABLE);
    assert_non_null(strstr(w->why.message, "consul://127.0.0.1:1/s: cannot ask the agent: "));
    free_world(w);
}

/* Whatever cannot be had, the resolver says so, and finds its way when it can be had again. */
static void without_memory(void **state)
{
    static const char *const targets[] = {"ipv4:10.0.0.1:1", "a.test:80"};
    set_zone(0, "10.0.0.1", NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        failing a = {0};
        while (failing_next(&a)) {
            pl_error err;
            world *w = new_world();
            pl_resolver_config config = {
                .target = pl_str_of(targets[i]), .data = w, .update = update, .error = error, .retry_ms = 1};
            failing_begin(&a);
            w->resolver = pl_resolver_new(w->resolving, &config, &err);
            if (w->resolver)
                turn_until(w, 1);
            bool failed_once = failing_end(&a);
            if (!w->resolver)
                assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
            else if (w->errors == 1)
                assert_int_equal(w->why.code, PL_RESOURCE_EXHAUSTED);
            if (w->errors == 1)
                turn_until(w, 2);
            assert_true(failed_once || w->updates == 1);
            free_world(w);
        }
        assert_true(a.made > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(what_is_no_target),
        cmocka_unit_test(the_system_is_asked),
        cmocka_unit_test(all_addresses_of_both_families),
        cmocka_unit_test(asked_again_when_there_are_doubts),
        cmocka_unit_test(not_more_often_than_it_may),
        cmocka_unit_test(asked_by_itself),
        cmocka_unit_test(names_that_nobody_knows),
        cmocka_unit_test(the_same_is_told_once_more_after_an_error),
        cmocka_unit_test(a_resolver_may_be_freed_by_its_callbacks),
        cmocka_unit_test(a_lookup_that_hangs),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(an_index_that_goes_backwards),
        cmocka_unit_test(failures_are_told_and_tried_again),
        cmocka_unit_test(what_an_agent_may_say),
        cmocka_unit_test(no_instances),
        cmocka_unit_test(no_agent),
        cmocka_unit_test(without_memory),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
