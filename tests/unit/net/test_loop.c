/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/loop.h"

/* --- Timers --- */

typedef struct timers_case {
    pl_loop *loop;
    pl_timer timers[3];
    char order[8];
    size_t fired;
    uint64_t began, ended;
} timers_case;

static uint64_t now_of(pl_loop *loop)
{
    pl_host *host = pl_loop_host(loop);
    return host->ops->now(host);
}

static void on_timer(pl_timer *timer)
{
    timers_case *c = timer->data;
    size_t which = (size_t)(timer - c->timers);
    c->order[c->fired++] = (char)('0' + which);
    if (which == 2) {
        c->ended = now_of(c->loop);
        pl_loop_stop(c->loop);
    }
}

static void timers_fire_in_order(void **state)
{
    pl_error err;
    timers_case c = {.loop = pl_loop_new(NULL, NULL, &err)};
    assert_non_null(c.loop);
    pl_host *host = pl_loop_host(c.loop);
    const uint64_t after[] = {10, 5, 30};
    c.began = host->ops->now(host);
    for (int i = 0; i < 3; i++) {
        c.timers[i] = (pl_timer){.fire = on_timer, .data = &c};
        assert_int_equal(host->ops->timer_start(host, &c.timers[i], c.began + after[i]), 0);
    }
    pl_timer stopped = {.fire = on_timer, .data = &c};
    host->ops->timer_start(host, &stopped, c.began + 1);
    host->ops->timer_stop(host, &stopped);
    pl_loop_run(c.loop);
    assert_string_equal(c.order, "102");
    assert_true(c.ended - c.began >= 30);
    assert_true(c.ended - c.began < 2000);
    pl_loop_free(c.loop);
}

static void stop_now(pl_timer *timer)
{
    pl_loop_stop(timer->data);
}

static void count_turn(void *data)
{
    ++*(unsigned *)data;
}

static void a_loop_runs_again_and_counts_turns(void **state)
{
    pl_loop *loop = pl_loop_new(NULL, NULL, NULL);
    pl_host *host = pl_loop_host(loop);
    unsigned turns = 0;
    pl_loop_on_turn(loop, count_turn, &turns);
    for (int i = 0; i < 3; i++) {
        pl_timer timer = {.fire = stop_now, .data = loop};
        host->ops->timer_start(host, &timer, now_of(loop));
        pl_loop_run(loop);
    }
    assert_int_equal(turns, 3);
    pl_loop_free(loop);
}

/* --- Messages --- */

#define SENDERS 3
#define EACH 2000
typedef struct numbered {
    pl_message message;
    unsigned sender, number;
    struct messages_case *c;
} numbered;
typedef struct messages_case {
    pl_loop *loop;
    unsigned next[SENDERS], received;
    bool out_of_order;
    numbered all[SENDERS][EACH];
} messages_case;

static void on_message(pl_message *message)
{
    numbered *m = message->data;
    messages_case *c = m->c;
    if (m->number != c->next[m->sender]++)
        c->out_of_order = true;
    if (++c->received == SENDERS * EACH)
        pl_loop_stop(c->loop);
}

static void *send_all(void *data)
{
    numbered *mine = data;
    for (unsigned i = 0; i < EACH; i++)
        pl_loop_post(mine->c->loop, &mine[i].message);
    return NULL;
}

static void messages_keep_the_order_of_their_sender(void **state)
{
    messages_case *c = calloc(1, sizeof(*c));
    c->loop = pl_loop_new(NULL, NULL, NULL);
    pthread_t threads[SENDERS];
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < EACH; i++) {
            numbered *m = &c->all[s][i];
            *m = (numbered){.message = {.run = on_message, .data = m}, .sender = s, .number = i, .c = c};
        }
        assert_int_equal(pthread_create(&threads[s], NULL, send_all, c->all[s]), 0);
    }
    pl_loop_run(c->loop);
    for (unsigned s = 0; s < SENDERS; s++)
        pthread_join(threads[s], NULL);
    assert_int_equal(c->received, SENDERS * EACH);
    assert_false(c->out_of_order);
    pl_loop_free(c->loop);
    free(c);
}

static void count_message(pl_message *message)
{
    ++*(unsigned *)message->data;
}

static void messages_that_are_left_run_at_the_end(void **state)
{
    unsigned ran = 0;
    pl_loop *loop = pl_loop_new(NULL, NULL, NULL);
    pl_message first = {.run = count_message, .data = &ran}, second = first;
    pl_loop_post(loop, &first);
    pl_loop_post(loop, &second);
    pl_loop_free(loop);
    assert_int_equal(ran, 2);
}

/* --- Jobs --- */

#define JOBS 60
typedef struct jobs_case {
    pl_loop *loop;
    pthread_mutex_t lock;
    int running[3]; /* jobs of each lane at work now */
    unsigned overlaps;
    unsigned began[3], ended[3]; /* the next that must run, be done */
    unsigned out_of_order, done;
    bool signals_blocked;
} jobs_case;
typedef struct lane_job {
    pl_job job;
    jobs_case *c;
    unsigned lane, number;
} lane_job;

static void run_lane_job(pl_job *job)
{
    lane_job *j = (lane_job *)job;
    jobs_case *c = j->c;
    pthread_mutex_lock(&c->lock);
    if (j->lane != 0 && ++c->running[j->lane] > 1)
        c->overlaps++;
    if (j->lane != 0 && c->began[j->lane]++ != j->number)
        c->out_of_order++;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    c->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGHUP);
    pthread_mutex_unlock(&c->lock);
    sched_yield();
    pthread_mutex_lock(&c->lock);
    c->running[j->lane]--;
    pthread_mutex_unlock(&c->lock);
}

static void done_lane_job(pl_job *job)
{
    lane_job *j = (lane_job *)job;
    jobs_case *c = j->c;
    if (j->lane != 0 && c->ended[j->lane]++ != j->number)
        c->out_of_order++;
    if (++c->done == JOBS)
        pl_loop_stop(c->loop);
}

static void lanes_run_one_at_a_time_in_order(void **state)
{
    static const char lanes[3];
    pl_helpers *helpers = pl_helpers_new(4, JOBS);
    jobs_case c = {.loop = pl_loop_new(helpers, NULL, NULL), .lock = PTHREAD_MUTEX_INITIALIZER};
    pl_host *host = pl_loop_host(c.loop);
    lane_job jobs[JOBS];
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (lane_job){{.run = run_lane_job, .done = done_lane_job}, &c, i % 3, i / 3};
        assert_int_equal(host->ops->offload(host, &jobs[i].job, i % 3 == 0 ? NULL : &lanes[i % 3]), 0);
    }
    pl_loop_run(c.loop);
    assert_int_equal(c.done, JOBS);
    assert_int_equal(c.overlaps, 0);
    assert_int_equal(c.out_of_order, 0);
    assert_true(c.signals_blocked);
    pl_loop_free(c.loop);
    pl_helpers_free(helpers);
}

typedef struct gate_job {
    pl_job job;
    sem_t *open, *begun;
    unsigned ran, done;
    pthread_t done_on;
} gate_job;

static void run_gate(pl_job *job)
{
    gate_job *j = (gate_job *)job;
    sem_post(j->begun);
    sem_wait(j->open);
    j->ran++;
}

static void done_gate(pl_job *job)
{
    gate_job *j = (gate_job *)job;
    j->done++;
    j->done_on = pthread_self();
}

/* With two helpers, one of them held by the first job of a lane: had the second job of the lane begun, it
 * would hold the other one, and the third job could not run. */
static void a_lane_does_not_hold_up_other_jobs(void **state)
{
    sem_t open, always_open, begun;
    sem_init(&open, 0, 0);
    sem_init(&always_open, 0, 1);
    sem_init(&begun, 0, 0);
    pl_helpers *helpers = pl_helpers_new(2, 8);
    pl_loop *loop = pl_loop_new(helpers, NULL, NULL);
    pl_host *host = pl_loop_host(loop);
    gate_job jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = (gate_job){.job = {.run = run_gate, .done = done_gate}, .open = &open, .begun = &begun};
        if (i == 2)
            jobs[i].open = &always_open;
        assert_int_equal(host->ops->offload(host, &jobs[i].job, i < 2 ? &jobs : NULL), 0);
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    for (int i = 0; i < 2; i++)
        assert_int_equal(sem_timedwait(&begun, &until), 0);
    while (sem_trywait(&always_open) == 0) { /* the third is about to take it */
        sem_post(&always_open);
        assert_true(time(NULL) < until.tv_sec);
        sched_yield();
    }
    assert_int_not_equal(sem_trywait(&begun), 0);
    sem_post(&open);
    sem_post(&open);
    pl_loop_free(loop);
    pl_helpers_free(helpers);
    sem_destroy(&open);
    sem_destroy(&always_open);
    sem_destroy(&begun);
}

static void a_full_queue_refuses(void **state)
{
    sem_t open, begun;
    sem_init(&open, 0, 0);
    sem_init(&begun, 0, 0);
    pl_helpers *helpers = pl_helpers_new(1, 2);
    pl_loop *loop = pl_loop_new(helpers, NULL, NULL);
    pl_host *host = pl_loop_host(loop);
    gate_job jobs[4];
    for (int i = 0; i < 4; i++)
        jobs[i] = (gate_job){.job = {.run = run_gate, .done = done_gate}, .open = &open, .begun = &begun};
    assert_int_equal(host->ops->offload(host, &jobs[0].job, NULL), 0);
    sem_wait(&begun); /* it no longer waits */
    assert_int_equal(host->ops->offload(host, &jobs[1].job, &jobs), 0);
    assert_int_equal(host->ops->offload(host, &jobs[2].job, &jobs), 0);
    assert_int_equal(host->ops->offload(host, &jobs[3].job, NULL), -1);
    for (int i = 0; i < 3; i++)
        sem_post(&open);
    pl_loop_free(loop);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(jobs[i].ran, 1);
        assert_int_equal(jobs[i].done, 1);
        assert_true(pthread_equal(jobs[i].done_on, pthread_self()));
    }
    assert_int_equal(jobs[3].done, 0);
    pl_helpers_free(helpers);
    sem_destroy(&open);
    sem_destroy(&begun);
}

static void helpers_may_go_first(void **state)
{
    sem_t open, begun;
    sem_init(&open, 0, 8);
    sem_init(&begun, 0, 0);
    pl_helpers *helpers = pl_helpers_new(2, 8);
    pl_loop *loop = pl_loop_new(helpers, NULL, NULL);
    pl_host *host = pl_loop_host(loop);
    gate_job jobs[6];
    for (int i = 0; i < 6; i++) {
        jobs[i] = (gate_job){.job = {.run = run_gate, .done = done_gate}, .open = &open, .begun = &begun};
        assert_int_equal(host->ops->offload(host, &jobs[i].job, i < 3 ? &jobs : NULL), 0);
    }
    pl_helpers_free(helpers);
    gate_job late = {.job = {.run = run_gate, .done = done_gate}, .open = &open, .begun = &begun};
    assert_int_equal(host->ops->offload(host, &late.job, NULL), -1);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(jobs[i].ran, 1);
        assert_int_equal(jobs[i].done, 0);
    }
    pl_loop_free(loop);
    for (int i = 0; i < 6; i++)
        assert_int_equal(jobs[i].done, 1);
    sem_destroy(&open);
    sem_destroy(&begun);
}

static void no_helpers_no_offload(void **state)
{
    pl_loop *loop = pl_loop_new(NULL, NULL, NULL);
    pl_host *host = pl_loop_host(loop);
    gate_job job = {.job = {.run = run_gate, .done = done_gate}};
    assert_int_equal(host->ops->offload(host, &job.job, NULL), -1);
    pl_loop_free(loop);
    pl_loop_free(NULL);
    pl_helpers_free(NULL);
}

static void short_memory_is_an_error(void **state)
{
    pl_error err = {0};
    pl_alloc_fail_at(1, 1);
    assert_null(pl_loop_new(NULL, NULL, &err));
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
    assert_null(pl_helpers_new(1, 1));
    pl_alloc_fail_at(0, 0);
    pl_helpers *helpers = pl_helpers_new(1, 1);
    pl_loop *loop = pl_loop_new(helpers, NULL, &err);
    gate_job job = {.job = {.run = run_gate, .done = done_gate}};
    pl_alloc_fail_at(1, 1);
    pl_host *host = pl_loop_host(loop);
    assert_int_equal(host->ops->offload(host, &job.job, NULL), -1);
    pl_alloc_fail_at(0, 0);
    pl_loop_free(loop);
    pl_helpers_free(helpers);
}

static void no_descriptors_is_an_error(void **state)
{
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    int lowest = dup(0);
    assert_true(lowest >= 0);
    close(lowest);
    none = (struct rlimit){(rlim_t)lowest, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    pl_error err = {0};
    pl_loop *loop = pl_loop_new(NULL, NULL, &err);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_null(loop);
    assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
}

static void loops_leave_no_descriptors(void **state)
{
    int before = dup(0);
    close(before);
    for (int i = 0; i < 5; i++)
        pl_loop_free(pl_loop_new(NULL, NULL, NULL));
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(a_loop_runs_again_and_counts_turns),
        cmocka_unit_test(messages_keep_the_order_of_their_sender),
        cmocka_unit_test(messages_that_are_left_run_at_the_end),
        cmocka_unit_test(lanes_run_one_at_a_time_in_order),
        cmocka_unit_test(a_lane_does_not_hold_up_other_jobs),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(helpers_may_go_first),
        cmocka_unit_test(no_helpers_no_offload),
        cmocka_unit_test(short_memory_is_an_error),
        cmocka_unit_test(no_descriptors_is_an_error),
        cmocka_unit_test(loops_leave_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
