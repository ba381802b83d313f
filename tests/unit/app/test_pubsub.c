/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/pubsub.h"
#include "base/alloc.h"
#include "support/failing.h"

/* Events between the parts of a hub: on one loop, where order can be told, and on several threads. */

/* --- one loop --- */
typedef struct world {
    pl_pubsub_hub *hub;
    pl_loop *loop;
    pl_pubsub *part;
    pl_host host, other_host; /* name whose a subscriber is */
} world;

/* A subscriber that writes down what it is told, and may do something then. */
typedef struct listener {
    pl_subscriber s; /* first */
    world *w;
    char seen[256];
    unsigned count, ended;
    uint64_t last_id;
    void (*then)(struct listener *l); /* at each message, and at the end */
    struct listener *others[4];
} listener;

static void on_message(pl_subscriber *s, const pl_event *event)
{
    listener *l = (listener *)s;
    size_t len = strlen(l->seen);
    snprintf(l->seen + len, sizeof l->seen - len, "%.*s ", PL_STR_ARG(event->json));
    l->count++;
    assert_true(event->id > l->last_id);
    l->last_id = event->id;
    if (l->then)
        l->then(l);
}

static void on_ended(pl_subscriber *s)
{
    listener *l = (listener *)s;
    assert_null(s->topic);
    l->ended++;
    if (l->then)
        l->then(l);
}

static listener listener_of(world *w)
{
    return (listener){.s = {.message = on_message, .ended = on_ended}, .w = w};
}

static void subscribe(listener *l, const char *topic)
{
    assert_int_equal(pl_pubsub_subscribe(l->w->part, &l->w->host, pl_str_of(topic), &l->s), 0);
}

static void publish(world *w, const char *topic, const char *json)
{
    pl_error err = {0};
    assert_int_equal(pl_pubsub_publish(w->part, pl_str_of(topic), pl_str_of(json), &err), PL_OK);
}

static void stop(pl_message *message)
{
    pl_loop_stop(message->data);
}

/* Everything that has been posted so far is done. */
static void turn(world *w)
{
    pl_message message = {.run = stop, .data = w->loop};
    pl_loop_post(w->loop, &message);
    pl_loop_run(w->loop);
}

static void seen_at(listener *l, const char *expected, const char *file, int line)
{
    if (strcmp(l->seen, expected) != 0) {
        print_error("%s:%d: expected \"%s\", but it was \"%s\"\n", file, line, expected, l->seen);
        _fail(file, line);
    }
    l->seen[0] = '\0';
}
#define saw(l, expected) seen_at(l, expected, __FILE__, __LINE__)

static int set_up(void **state)
{
    static world w;
    pl_error err;
    w = (world){.hub = pl_pubsub_hub_new(0), .loop = pl_loop_new(NULL, NULL, &err)};
    w.part = pl_pubsub_join(w.hub, w.loop);
    assert_non_null(w.part);
    *state = &w;
    return 0;
}

/* Before the listeners, which are on the stack, go. */
static void close_world(world *w)
{
    if (!w->part)
        return;
    pl_pubsub_leave(w->part);
    pl_loop_free(w->loop);
    pl_pubsub_free(w->part);
    w->part = NULL;
}

static int tear_down(void **state)
{
    world *w = *state;
    pl_alloc_fail_at(0, 0);
    close_world(w);
    pl_pubsub_hub_free(w->hub);
    return 0;
}

static void events_reach_their_topic(void **state)
{
    world *w = *state;
    listener a = listener_of(w), b = listener_of(w), c = listener_of(w);
    subscribe(&a, "x");
    subscribe(&b, "x");
    subscribe(&c, "y");
    publish(w, "x", "1");
    publish(w, "y", "2");
    publish(w, "nobody", "3");
    publish(w, "x", "4");
    saw(&a, ""); /* not before the loop turns */
    turn(w);
    saw(&a, "1 4 ");
    saw(&b, "1 4 ");
    saw(&c, "2 ");
    pl_pubsub_stats stats = pl_pubsub_get_stats(w->part);
    assert_int_equal(stats.topics, 2);
    assert_int_equal(stats.subscribers, 3);
    assert_int_equal(stats.delivered, 5);
    pl_pubsub_unsubscribe(w->part, &a.s);
    pl_pubsub_unsubscribe(w->part, &a.s); /* again is fine */
    publish(w, "x", "5");
    turn(w);
    saw(&a, "");
    saw(&b, "5 ");
    pl_pubsub_unsubscribe(w->part, &b.s);
    pl_pubsub_unsubscribe(w->part, &c.s);
    stats = pl_pubsub_get_stats(w->part);
    assert_int_equal(stats.topics + stats.subscribers, 0);
    subscribe(&a, "x");
    publish(w, "x", "6");
    turn(w);
    saw(&a, "6 ");
    close_world(w);
}

static void topics_are_bytes(void **state)
{
    world *w = *state;
    listener a = listener_of(w), b = listener_of(w);
    pl_error err = {0};
    assert_int_equal(pl_pubsub_subscribe(w->part, &w->host, (pl_str){"a\0b", 3}, &a.s), 0);
    assert_int_equal(pl_pubsub_subscribe(w->part, &w->host, (pl_str){"a\0c", 3}, &b.s), 0);
    assert_int_equal(pl_pubsub_publish(w->part, (pl_str){"a\0b", 3}, PL_STR(""), &err), PL_OK);
    turn(w);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 0);
    close_world(w);
}

/* --- who goes, or comes, while an event is told --- */
static void leave_all_others(listener *l)
{
    for (size_t i = 0; i < 4; i++) {
        if (l->others[i])
            pl_pubsub_unsubscribe(l->w->part, &l->others[i]->s);
    }
}

static void who_is_told_may_unsubscribe_anybody(void **state)
{
    world *w = *state;
    for (unsigned who = 0; who < 4; who++) {
        for (unsigned gone = 0; gone < 16; gone++) {
            listener all[4];
            char expected[4][8];
            for (unsigned i = 0; i < 4; i++) {
                all[i] = listener_of(w);
                subscribe(&all[i], "x");
                snprintf(expected[i], sizeof expected[i], "%s", i <= who || !(gone & 1 << i) ? "1 " : "");
            }
            for (unsigned i = 0; i < 4; i++)
                all[who].others[i] = gone & 1 << i ? &all[i] : NULL;
            all[who].then = leave_all_others;
            publish(w, "x", "1");
            turn(w);
            for (unsigned i = 0; i < 4; i++) {
                saw(&all[i], expected[i]);
                pl_pubsub_unsubscribe(w->part, &all[i].s);
            }
            assert_int_equal(pl_pubsub_get_stats(w->part).topics, 0);
        }
    }
}

static void subscribe_others(listener *l)
{
    for (size_t i = 0; i < 4; i++) {
        if (l->others[i] && !l->others[i]->s.topic)
            subscribe(l->others[i], "x");
    }
}

static void who_comes_while_an_event_is_told_is_not(void **state)
{
    world *w = *state;
    listener a = listener_of(w), b = listener_of(w);
    a.then = subscribe_others;
    a.others[0] = &b;
    subscribe(&a, "x");
    publish(w, "x", "1");
    publish(w, "x", "2");
    turn(w);
    saw(&a, "1 2 ");
    saw(&b, "2 ");
    close_world(w);
}

static void leave_and_come_back(listener *l)
{
    pl_pubsub_unsubscribe(l->w->part, &l->s);
    subscribe(l, "x");
}

static void who_comes_back_is_told_once(void **state)
{
    world *w = *state;
    listener a = listener_of(w), b = listener_of(w);
    a.then = b.then = leave_and_come_back;
    subscribe(&a, "x");
    subscribe(&b, "x");
    publish(w, "x", "1");
    turn(w);
    saw(&a, "1 ");
    saw(&b, "1 ");
    a.then = b.then = NULL;
    close_world(w);
}

/* --- the end --- */
static void end_by_work(void **state)
{
    world *w = *state;
    pl_work work = {.ctx = PL_REF_NONE}, event_work = {.parent = &work}, other_work = {.ctx = PL_REF_NONE};
    listener mine = listener_of(w), of_event = listener_of(w), of_other = listener_of(w),
             of_none = listener_of(w), elsewhere = listener_of(w);
    mine.s.work = elsewhere.s.work = &work;
    of_event.s.work = &event_work;
    of_other.s.work = &other_work;
    subscribe(&mine, "x");
    subscribe(&of_event, "y");
    subscribe(&of_other, "x");
    subscribe(&of_none, "x");
    pl_pubsub_subscribe(w->part, &w->other_host, PL_STR("x"), &elsewhere.s);
    pl_pubsub_end(w->part, &w->host, &work);
    assert_int_equal(mine.ended, 1);
    assert_int_equal(of_event.ended, 1);
    assert_int_equal(of_other.ended + of_none.ended + elsewhere.ended, 0);
    publish(w, "x", "1");
    publish(w, "y", "1");
    turn(w);
    assert_int_equal(mine.count + of_event.count, 0);
    assert_int_equal(of_other.count + of_none.count + elsewhere.count, 3);
    pl_pubsub_end(w->part, &w->host, NULL);
    assert_int_equal(of_other.ended + of_none.ended, 2);
    assert_int_equal(elsewhere.ended, 0);
    assert_int_equal(pl_pubsub_get_stats(w->part).subscribers, 1);
    close_world(w);
}

/* Many topics, some of which go with their last subscriber. */
static void end_of_many(void **state)
{
    world *w = *state;
    enum { N = 200 };
    static listener all[N];
    pl_work works[2] = {{.ctx = PL_REF_NONE}, {.ctx = PL_REF_NONE}};
    for (unsigned i = 0; i < N; i++) {
        char topic[16];
        all[i] = listener_of(w);
        all[i].s.work = &works[i % 3 == 0];
        snprintf(topic, sizeof topic, "t%u", i % 70);
        subscribe(&all[i], topic);
    }
    pl_pubsub_end(w->part, &w->host, &works[1]);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(all[i].ended, i % 3 == 0);
    pl_pubsub_end(w->part, &w->host, &works[0]);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(all[i].ended, 1);
    assert_int_equal(pl_pubsub_get_stats(w->part).topics, 0);
}

static void who_has_ended_may_unsubscribe_others_that_are_to_end(void **state)
{
    world *w = *state;
    listener all[4];
    for (int i = 0; i < 4; i++) {
        all[i] = listener_of(w);
        subscribe(&all[i], i % 2 ? "x" : "y");
    }
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 4; k++)
            all[i].others[k] = &all[k];
        all[i].then = leave_all_others;
    }
    pl_pubsub_end(w->part, &w->host, NULL);
    unsigned ended = 0;
    for (int i = 0; i < 4; i++)
        ended += all[i].ended;
    assert_int_equal(ended, 1);
    assert_int_equal(pl_pubsub_get_stats(w->part).subscribers, 0);
}

static void end_everything(listener *l)
{
    pl_pubsub_end(l->w->part, &l->w->host, NULL);
}

static void who_has_ended_may_end_the_rest(void **state)
{
    world *w = *state;
    listener all[4];
    for (int i = 0; i < 4; i++) {
        all[i] = listener_of(w);
        all[i].then = end_everything;
        subscribe(&all[i], i % 2 ? "x" : "y");
    }
    pl_pubsub_end(w->part, &w->host, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(all[i].ended, 1);
}

static void ends_while_an_event_is_told(void **state)
{
    world *w = *state;
    listener a = listener_of(w), b = listener_of(w);
    a.then = end_everything;
    subscribe(&a, "x");
    subscribe(&b, "x");
    publish(w, "x", "1");
    turn(w);
    saw(&a, "1 ");
    saw(&b, "");
    assert_int_equal(a.ended + b.ended, 2);
}

static void subscribe_again(listener *l)
{
    if (l->ended == 1) {
        l->ended++;
        assert_int_equal(pl_pubsub_subscribe(l->w->part, &l->w->host, PL_STR("z"), &l->s), -1);
    }
}

static void leaving_ends_all(void **state)
{
    world *w = *state;
    listener a = listener_of(w), b = listener_of(w);
    subscribe(&a, "x");
    subscribe(&b, "y");
    a.then = subscribe_again; /* nobody can any more */
    publish(w, "x", "1");     /* is under way */
    close_world(w);
    saw(&a, "");
    assert_int_equal(a.ended, 2);
    assert_int_equal(b.ended, 1);
}

/* --- bounds --- */
static void too_much_under_way(void **state)
{
    pl_error err = {0};
    world w = {.hub = pl_pubsub_hub_new(10000), .loop = pl_loop_new(NULL, NULL, &err)};
    w.part = pl_pubsub_join(w.hub, w.loop);
    listener a = listener_of(&w);
    char json[1000];
    memset(json, '1', sizeof json);
    pl_str event = {json, sizeof json};
    for (int i = 0; i < 100; i++) /* nobody gets them: nothing is under way */
        assert_int_equal(pl_pubsub_publish(w.part, PL_STR("x"), event, &err), PL_OK);
    subscribe(&a, "x");
    int most = 0;
    while (pl_pubsub_publish(w.part, PL_STR("x"), event, &err) == PL_OK)
        assert_in_range(++most, 1, 10);
    assert_in_range(most, 8, 10);
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "subscribers are slower than publishers"));
    turn(&w);
    assert_int_equal(a.count, most);
    assert_int_equal(pl_pubsub_publish(w.part, PL_STR("x"), event, &err), PL_OK);
    static const char large[10001];
    assert_int_equal(pl_pubsub_publish(w.part, PL_STR("x"), (pl_str){large, sizeof large}, &err),
                     PL_RESOURCE_EXHAUSTED);
    close_world(&w);
    pl_pubsub_hub_free(w.hub);
}

static void without_memory(void **state)
{
    world *w = *state;
    pl_error err = {0};
    listener a = listener_of(w);
    failing subscribing = {0}, publishing = {0};
    while (failing_next(&subscribing)) {
        failing_begin(&subscribing);
        int status = pl_pubsub_subscribe(w->part, &w->host, PL_STR("x"), &a.s);
        bool failed = failing_end(&subscribing);
        assert_int_equal(status, failed ? -1 : 0);
        assert_true(failed == !a.s.topic);
        assert_int_equal(pl_pubsub_get_stats(w->part).subscribers, !failed);
    }
    unsigned told = 0;
    while (failing_next(&publishing)) {
        failing_begin(&publishing);
        pl_code code = pl_pubsub_publish(w->part, PL_STR("x"), PL_STR("1"), &err);
        bool failed = failing_end(&publishing);
        assert_int_equal(code, failed ? PL_RESOURCE_EXHAUSTED : PL_OK);
        told += code == PL_OK;
    }
    assert_in_range(publishing.made, 1, 2);
    turn(w);
    assert_int_equal(a.count, told);
    pl_alloc_fail_at(1, 0);
    assert_null(pl_pubsub_hub_new(0));
    pl_alloc_fail_at(1, 0);
    assert_null(pl_pubsub_join(w->hub, w->loop));
    close_world(w);
}

/* --- threads: each publishes on its own loop, and hears all --- */
enum { PARTS = 4, EVENTS = 2000, LISTENERS = 3, TURN = 20 };

typedef struct party party;
typedef struct ear {
    pl_subscriber s; /* first */
    party *p;
    int last[PARTS]; /* the number heard last of each publisher */
    bool ended;
} ear;

struct party {
    pl_pubsub_hub *hub;
    pl_loop *loop;
    pl_pubsub *part;
    pl_host host;
    int index, published;
    pl_timer timer;
    ear ears[LISTENERS];
    pthread_t thread;
    sem_t *joined, *begin;
    bool leaves_early;
};

static void hear(pl_subscriber *s, const pl_event *event)
{
    ear *e = (ear *)s;
    int from = 0, number = 0;
    char text[32];
    snprintf(text, sizeof text, "%.*s", PL_STR_ARG(event->json));
    sscanf(text, "[%d,%d]", &from, &number);
    if (e->last[from] + 1 != number)
        abort();
    e->last[from] = number;
}

static void hear_end(pl_subscriber *s)
{
    ((ear *)s)->ended = true;
}

/* Of the last one, which leaves early, nobody knows. */
static bool has_heard_all(const party *p)
{
    bool all = true;
    for (int i = 0; i < LISTENERS; i++) {
        for (int from = 0; from < PARTS - 1; from++)
            all &= p->ears[i].last[from] == EVENTS;
    }
    return all;
}

static void go_on(pl_timer *timer)
{
    party *p = timer->data;
    pl_host *host = pl_loop_host(p->loop);
    pl_error err = {0};
    for (int i = 0; i < TURN && p->published < (p->leaves_early ? EVENTS / 4 : EVENTS); i++) {
        char json[32];
        snprintf(json, sizeof json, "[%d,%d]", p->index, p->published + 1);
        if (pl_pubsub_publish(p->part, PL_STR("x"), pl_str_of(json), &err) != PL_OK)
            break; /* too much is under way: later */
        p->published++;
    }
    bool over = p->leaves_early ? p->published == EVENTS / 4 : p->published == EVENTS && has_heard_all(p);
    if (!over)
        host->ops->timer_start(host, timer, host->ops->now(host));
    else
        pl_loop_stop(p->loop);
}

static void *live(void *data)
{
    party *p = data;
    pl_error err = {0};
    p->loop = pl_loop_new(NULL, NULL, &err);
    p->part = pl_pubsub_join(p->hub, p->loop);
    for (int i = 0; i < LISTENERS; i++) {
        p->ears[i] = (ear){.s = {.message = hear, .ended = hear_end}, .p = p};
        pl_pubsub_subscribe(p->part, &p->host, PL_STR("x"), &p->ears[i].s);
    }
    sem_post(p->joined);
    sem_wait(p->begin);
    pl_host *host = pl_loop_host(p->loop);
    p->timer = (pl_timer){.fire = go_on, .data = p};
    host->ops->timer_start(host, &p->timer, host->ops->now(host));
    pl_loop_run(p->loop);
    pl_pubsub_leave(p->part);
    pl_loop_free(p->loop);
    pl_pubsub_free(p->part);
    return NULL;
}

static void all_threads_hear_all_in_order(void **state)
{
    static party parties[PARTS];
    sem_t joined, begin;
    pl_pubsub_hub *hub = pl_pubsub_hub_new(64 << 10);
    sem_init(&joined, 0, 0);
    sem_init(&begin, 0, 0);
    for (int i = 0; i < PARTS; i++) {
        parties[i] = (party){.hub = hub, .index = i, .joined = &joined, .begin = &begin};
        parties[i].leaves_early = i == PARTS - 1;
        assert_int_equal(pthread_create(&parties[i].thread, NULL, live, &parties[i]), 0);
    }
    for (int i = 0; i < PARTS; i++)
        sem_wait(&joined);
    for (int i = 0; i < PARTS; i++)
        sem_post(&begin);
    for (int i = 0; i < PARTS; i++)
        pthread_join(parties[i].thread, NULL);
    for (int i = 0; i < PARTS; i++) {
        for (int k = 0; k < LISTENERS; k++) {
            assert_true(parties[i].ears[k].ended);
            for (int from = 0; i < PARTS - 1 && from < PARTS - 1; from++)
                assert_int_equal(parties[i].ears[k].last[from], EVENTS);
        }
    }
    sem_destroy(&joined);
    sem_destroy(&begin);
    pl_pubsub_hub_free(hub);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(events_reach_their_topic),
        TEST(topics_are_bytes),
        TEST(who_is_told_may_unsubscribe_anybody),
        TEST(who_comes_while_an_event_is_told_is_not),
        TEST(who_comes_back_is_told_once),
        TEST(end_by_work),
        TEST(end_of_many),
        TEST(who_has_ended_may_unsubscribe_others_that_are_to_end),
        TEST(who_has_ended_may_end_the_rest),
        TEST(ends_while_an_event_is_told),
        TEST(leaving_ends_all),
        cmocka_unit_test(too_much_under_way),
        TEST(without_memory),
        cmocka_unit_test(all_threads_hear_all_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
