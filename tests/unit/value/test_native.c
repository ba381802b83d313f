/* SPDX-License-Identifier: MIT */
#include "value/native.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "support/test_engine.h"

/* The life of a call, as an engine sees it; with an engine that has values alone. */

/* --- a loop: a queue of messages --- */
typedef struct loop {
    pthread_mutex_t lock;
    pl_message *queue[16];
    int count;
    pl_mailbox *mailbox;
} loop;

static void post(void *to, pl_message *message)
{
    loop *l = to;
    pthread_mutex_lock(&l->lock);
    l->queue[l->count++] = message;
    pthread_mutex_unlock(&l->lock);
}

static int turn(loop *l)
{
    pthread_mutex_lock(&l->lock);
    pl_message *queue[16];
    int count = l->count;
    memcpy(queue, l->queue, sizeof queue);
    l->count = 0;
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < count; i++)
        queue[i]->run(queue[i]);
    return count;
}

static void loop_init(loop *l)
{
    *l = (loop){.count = 0};
    pthread_mutex_init(&l->lock, NULL);
    l->mailbox = pl_mailbox_new(post, l);
}

static void loop_end(loop *l)
{
    pl_mailbox_close(l->mailbox);
    turn(l);
    pl_mailbox_unref(l->mailbox);
    pthread_mutex_destroy(&l->lock);
}

/* --- the host program --- */
typedef struct program {
    pl_native_call *call;
    atomic_int cancelled, released;
    bool finish_when_cancelled;
    int woken;
} program;

static void cancelled(void *data)
{
    program *p = data;
    assert_int_equal(atomic_load(&p->released), 0); /* not behind finish */
    atomic_fetch_add(&p->cancelled, 1);
    if (p->finish_when_cancelled)
        pl_native_finish(p->call);
}

static pl_native_status pending(pl_native_call *call, void *data)
{
    program *p = data;
    p->call = call;
    pl_native_on_cancel(call, cancelled, p);
    return PL_NATIVE_PENDING;
}

static pl_native_status sum(pl_native_call *call, void *data)
{
    int64_t n = 0;
    for (size_t i = 0; i < pl_native_argument_count(call); i++)
        n += pl_native_int(call, pl_native_argument(call, i));
    pl_native_put_int(call, n);
    return PL_NATIVE_DONE;
}

static void wake(void *data)
{
    ((program *)data)->woken++;
}

static pl_native_call *start(te *t, pl_native_pool *pool, program *p)
{
    const pl_native_entry entry = {pending, p, "test", 0};
    pl_native_call *call = pl_native_call_new(pool);
    assert_non_null(call);
    assert_int_equal(pl_native_call_run(call, &entry, te_state(t), NULL, NULL, 0), PL_NATIVE_PENDING);
    return call;
}

static void test_at_once(void **state)
{
    te *t = te_new();
    pl_native_pool pool = {0};
    const pl_native_entry entry = {sum, NULL, "sum", 0};
    for (int round = 0; round < 3; round++) {
        assert_true(te_engine()->reserve(te_state(t), 4));
        te_push(t, te_int(100)); /* no argument */
        te_push(t, te_int(1));
        te_push(t, te_int(2));
        te_push(t, te_float(3));
        pl_native_call *call = pl_native_call_new(&pool);
        assert_int_equal(pl_native_call_run(call, &entry, te_state(t), NULL, NULL, 3), PL_NATIVE_DONE);
        assert_int_equal(pl_native_call_result(call)->integer, 6);
        assert_int_equal(pl_native_argument_count(call), 0); /* not any more */
        assert_int_equal(pl_native_argument(call, 0), 0);
        pl_native_call_free(&pool, call);
        te_engine()->pop_to(te_state(t), 0);
        assert_int_equal(pool.count, 1);
    }
    pl_native_pool_dispose(&pool);
    te_free(t);
}

static void test_waits(void **state)
{
    te *t = te_new();
    loop l;
    loop_init(&l);
    pl_native_pool pool = {0};
    for (int late = 0; late < 2; late++) {
        program p = {.woken = 0};
        pl_native_call *call = start(t, &pool, &p);
        pl_native_put_int(call, 5);
        if (!late)
            pl_native_finish(call);
        assert_int_equal(pl_native_call_wait(call, l.mailbox, wake, &p), late);
        if (late)
            pl_native_finish(call);
        assert_int_equal(turn(&l), late);
        assert_int_equal(p.woken, late);
        assert_int_equal(pl_native_call_outcome(call), PL_NATIVE_DONE);
        assert_int_equal(pl_native_call_result(call)->integer, 5);
        pl_native_call_free(&pool, call);
        assert_int_equal(pool.count, 1);
        assert_int_equal(p.cancelled, 0);
    }
    pl_native_pool_dispose(&pool);
    loop_end(&l);
    te_free(t);
}

/* Cancelled before it waits, while it waits, when it is finished and the message is on its way. */
static void test_cancelled(void **state)
{
    for (int when = 0; when < 6; when++) {
        te *t = te_new();
        loop l;
        loop_init(&l);
        pl_native_pool pool = {0};
        program p = {.finish_when_cancelled = when == 3};
        pl_native_call *call = start(t, &pool, &p);
        if (when > 0)
            assert_true(pl_native_call_wait(call, l.mailbox, wake, &p));
        if (when == 2 || when == 5)
            pl_native_finish(call);
        if (when == 5) { /* the state has left its loop when the message comes */
            pl_mailbox_close(l.mailbox);
            assert_int_equal(turn(&l), 1);
        }
        if (when == 4)
            loop_end(&l);
        pl_native_call_cancel(call);
        assert_int_equal(p.cancelled, when == 2 || when == 5 ? 0 : 1);
        if (when < 2 || when == 4)
            pl_native_finish(p.call);
        if (when != 4)
            loop_end(&l);
        assert_int_equal(p.woken, 0);
        assert_int_equal(pool.count, 0);
        te_free(t);
    }
}

/* The loop has gone, the call has not: finishing it wakes nobody, and it can still be cancelled. */
static void test_without_a_loop(void **state)
{
    te *t = te_new();
    loop l;
    loop_init(&l);
    pl_native_pool pool = {0};
    program p = {.woken = 0};
    pl_native_call *call = start(t, &pool, &p);
    assert_true(pl_native_call_wait(call, l.mailbox, wake, &p));
    loop_end(&l);
    pl_native_finish(call);
    assert_int_equal(p.woken, 0);
    pl_native_call_cancel(call);
    assert_int_equal(p.cancelled, 0);
    te_free(t);
}

/* One thread finishes, the other cancels: whoever is first. `cancelled` is over when finish returns. */
static void *finisher(void *data)
{
    program *p = data;
    pl_native_put_text(p->call, "finished");
    pl_native_finish(p->call);
    atomic_store(&p->released, 1);
    return NULL;
}

static void test_races(void **state)
{
    te *t = te_new();
    pl_native_pool pool = {0};
    int seen = 0;
    for (int round = 0; round < 500; round++) {
        loop l;
        pthread_t thread;
        loop_init(&l);
        program p = {.woken = 0};
        pl_native_call *call = start(t, &pool, &p);
        assert_int_equal(pthread_create(&thread, NULL, finisher, &p), 0);
        bool waits = pl_native_call_wait(call, l.mailbox, wake, &p);
        for (volatile int i = 0; i < round * 40; i++)
            ;
        turn(&l);
        if (!waits || p.woken) {
            assert_int_equal(pl_native_call_outcome(call), PL_NATIVE_DONE);
            pl_native_call_free(&pool, call);
            seen++;
        } else {
            pl_native_call_cancel(call);
        }
        pthread_join(thread, NULL);
        loop_end(&l);
        assert_true(p.cancelled <= 1);
    }
    assert_true(seen <= 500);
    pl_native_pool_dispose(&pool);
    te_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),        cmocka_unit_test(test_waits), cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_without_a_loop), cmocka_unit_test(test_races),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
