/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "base/alloc.h"
#include "net/loop_internal.h"

/* The queue holds what can run now: jobs without a lane, and the first job of each lane. The other jobs of a
 * lane wait behind its first one, and the next of them enters the queue when that has been run. */

#define BUCKETS 64

typedef struct task task;
struct task {
    pl_message message; /* carries the job back */
    pl_job *job;
    pl_loop *loop;
    unsigned *pending;
    const void *lane;
    task *next;        /* in the queue */
    task *behind;      /* the next of the lane */
    task *lane_last;   /* of a lane's first: the end of the chain */
    task *bucket_next; /* of a lane's first */
};

struct pl_helpers {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    task *first, *last;
    task *lanes[BUCKETS]; /* the first job of each lane that has any, running or not */
    unsigned waiting, max_waiting;
    unsigned keepers;
    bool stopping;
    unsigned thread_count;
    pthread_t threads[];
};

static task **bucket_of(pl_helpers *helpers, const void *lane)
{
    uint64_t hash = (uint64_t)(uintptr_t)lane * 0x9e3779b97f4a7c15u;
    return &helpers->lanes[hash >> 58];
}
_Static_assert(BUCKETS == 1 << (64 - 58), "the hash gives as many bits as there are buckets");

/* Where the first job of the lane is linked, or would be. */
static task **lane_slot(pl_helpers *helpers, const void *lane)
{
    task **slot = bucket_of(helpers, lane);
    while (*slot && (*slot)->lane != lane)
        slot = &(*slot)->bucket_next;
    return slot;
}

static void enqueue(pl_helpers *helpers, task *t)
{
    t->next = NULL;
    if (helpers->first)
        helpers->last->next = t;
    else
        helpers->first = t;
    helpers->last = t;
}

/* On the loop's thread. */
static void deliver(pl_message *message)
{
    task *t = message->data;
    pl_job *job = t->job;
    pl_free(t);
    job->done(job);
}

/* The job has been run. No thread is woken for the next job of its lane: the one that is here takes one from
 * the queue next. Its message is posted under the lock: so the next job of the lane cannot overtake it, and a
 * loop that waits for its last job is not freed while this still uses it. */
static void finish(pl_helpers *helpers, task *t)
{
    pl_loop *loop = t->loop;
    unsigned *pending = t->pending;
    if (t->lane) {
        task **slot = lane_slot(helpers, t->lane);
        task *next = t->behind;
        if (next) {
            next->lane_last = t->lane_last;
            next->bucket_next = t->bucket_next;
            *slot = next;
            enqueue(helpers, next);
        } else {
            *slot = t->bucket_next;
        }
    }
    pl_loop_post(loop, &t->message);
    if (--*pending == 0)
        pthread_cond_broadcast(&helpers->idle);
}

static void *helper_main(void *data)
{
    pl_helpers *helpers = data;
    pthread_mutex_lock(&helpers->lock);
    for (;;) {
        while (!helpers->first && !helpers->stopping)
            pthread_cond_wait(&helpers->work, &helpers->lock);
        task *t = helpers->first;
        if (!t)
            break;
        helpers->first = t->next;
        helpers->waiting--;
        pthread_mutex_unlock(&helpers->lock);
        t->job->run(t->job);
        pthread_mutex_lock(&helpers->lock);
        finish(helpers, t);
    }
    pthread_mutex_unlock(&helpers->lock);
    return NULL;
}

static bool start_thread(pl_helpers *helpers)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&helpers->threads[helpers->thread_count], NULL, helper_main, helpers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure)
        return false;
    pthread_setname_np(helpers->threads[helpers->thread_count], "pl-helper");
    helpers->thread_count++;
    return true;
}

pl_helpers *pl_helpers_new(unsigned threads, unsigned max_queued)
{
    if (threads == 0)
        threads = 1;
    pl_helpers *helpers = pl_calloc(1, sizeof(*helpers) + threads * sizeof(helpers->threads[0]));
    if (!helpers)
        return NULL;
    pthread_mutex_init(&helpers->lock, NULL);
    pthread_cond_init(&helpers->work, NULL);
    pthread_cond_init(&helpers->idle, NULL);
    helpers->max_waiting = max_queued;
    helpers->keepers = 1;
    for (unsigned i = 0; i < threads; i++) {
        if (!start_thread(helpers)) {
            pl_helpers_free(helpers);
            return NULL;
        }
    }
    return helpers;
}

void pl_helpers_free(pl_helpers *helpers)
{
    if (!helpers)
        return;
    pthread_mutex_lock(&helpers->lock);
    helpers->stopping = true;
    pthread_cond_broadcast(&helpers->work);
    pthread_mutex_unlock(&helpers->lock);
    /* A thread that sees an empty queue ends; the others of a lane are then run by the one that runs its
     * first. */
    for (unsigned i = 0; i < helpers->thread_count; i++)
        pthread_join(helpers->threads[i], NULL);
    pl_helpers_drop(helpers);
}

void pl_helpers_keep(pl_helpers *helpers)
{
    pthread_mutex_lock(&helpers->lock);
    helpers->keepers++;
    pthread_mutex_unlock(&helpers->lock);
}

void pl_helpers_drop(pl_helpers *helpers)
{
    pthread_mutex_lock(&helpers->lock);
    bool last = --helpers->keepers == 0;
    pthread_mutex_unlock(&helpers->lock);
    if (!last)
        return;
    pthread_cond_destroy(&helpers->work);
    pthread_cond_destroy(&helpers->idle);
    pthread_mutex_destroy(&helpers->lock);
    pl_free(helpers);
}

int pl_helpers_submit(pl_helpers *helpers, pl_loop *loop, unsigned *pending, pl_job *job, const void *lane)
{
    task *t = pl_malloc(sizeof(*t));
    if (!t)
        return -1;
    *t = (task){.job = job, .loop = loop, .pending = pending, .lane = lane};
    t->message = (pl_message){.run = deliver, .data = t};
    pthread_mutex_lock(&helpers->lock);
    bool taken = !helpers->stopping && helpers->waiting < helpers->max_waiting;
    if (taken) {
        helpers->waiting++;
        ++*pending;
        task **slot = lane ? lane_slot(helpers, lane) : NULL;
        if (slot && *slot) {
            (*slot)->lane_last->behind = t;
            (*slot)->lane_last = t;
        } else {
            if (slot) {
                t->lane_last = t;
                *slot = t;
            }
            enqueue(helpers, t);
            pthread_cond_signal(&helpers->work);
        }
    }
    pthread_mutex_unlock(&helpers->lock);
    if (!taken)
        pl_free(t);
    return taken ? 0 : -1;
}

void pl_helpers_wait(pl_helpers *helpers, const unsigned *pending)
{
    pthread_mutex_lock(&helpers->lock);
    while (*pending != 0)
        pthread_cond_wait(&helpers->idle, &helpers->lock);
    pthread_mutex_unlock(&helpers->lock);
}
