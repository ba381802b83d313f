/* SPDX-License-Identifier: MIT */
#include "value/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "support/failing.h"

/* A loop that only counts. */
static void post(void *to, pl_message *message)
{
    ++*(int *)to;
    *(bool *)message->data = true;
}

static void test_posts_until_closed(void **state)
{
    int posted = 0;
    bool arrived = false;
    pl_message message = {.data = &arrived};
    pl_mailbox *loop = pl_mailbox_new(post, &posted), *below = pl_mailbox_below(loop);
    assert_true(pl_mailbox_post(loop, &message));
    assert_true(pl_mailbox_post(below, &message));
    assert_true(arrived);
    assert_int_equal(posted, 2);
    assert_false(pl_mailbox_is_closed(below));

    pl_mailbox_close(below); /* the state leaves; the loop goes on */
    assert_true(pl_mailbox_is_closed(below));
    assert_false(pl_mailbox_is_closed(loop));
    assert_false(pl_mailbox_post(below, &message));
    assert_true(pl_mailbox_post(loop, &message));

    pl_mailbox *other = pl_mailbox_below(loop);
    pl_mailbox_close(loop);
    assert_false(pl_mailbox_post(loop, &message));
    assert_false(pl_mailbox_post(other, &message));
    assert_int_equal(posted, 3);
    pl_mailbox_unref(loop); /* those below still have it */
    assert_false(pl_mailbox_post(other, &message));
    pl_mailbox_unref(below);
    pl_mailbox_unref(pl_mailbox_ref(other));
    pl_mailbox_unref(other);
    pl_mailbox_unref(NULL);
    pl_mailbox_close(NULL);
}

/* The loop is gone as soon as it is closed, whoever is posting. */
typedef struct loop {
    pl_mailbox *mailbox;
    atomic_bool alive;
    atomic_int posted, refused;
} loop;

static void post_alive(void *to, pl_message *message)
{
    loop *l = to;
    assert_true(atomic_load(&l->alive));
    atomic_fetch_add(&l->posted, 1);
}

static void *poster(void *data)
{
    loop *l = data;
    pl_message message;
    pl_mailbox *mailbox = l->mailbox; /* the thread's reference */
    while (pl_mailbox_post(mailbox, &message))
        ;
    atomic_fetch_add(&l->refused, 1);
    pl_mailbox_unref(mailbox);
    return NULL;
}

static void test_closed_while_threads_post(void **state)
{
    for (int round = 0; round < 200; round++) {
        loop l = {.alive = true};
        pthread_t threads[3];
        pl_mailbox *own = pl_mailbox_new(post_alive, &l);
        l.mailbox = round % 2 ? pl_mailbox_below(own) : pl_mailbox_ref(own);
        for (int i = 0; i < 3; i++) {
            pl_mailbox_ref(l.mailbox);
            assert_int_equal(pthread_create(&threads[i], NULL, poster, &l), 0);
        }
        while (atomic_load(&l.posted) < 10)
            ;
        pl_mailbox_close(own);
        atomic_store(&l.alive, false);
        pl_mailbox_unref(own);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(l.refused, 3);
        pl_mailbox_unref(l.mailbox);
    }
}

static void test_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        pl_mailbox *above = pl_mailbox_new(post, NULL);
        pl_mailbox *below = above ? pl_mailbox_below(above) : NULL;
        assert_true(failing_end(&a) ? !below : below != NULL);
        pl_mailbox_unref(below);
        pl_mailbox_unref(above);
    }
    assert_int_equal(a.made, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_until_closed),
        cmocka_unit_test(test_closed_while_threads_post),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
