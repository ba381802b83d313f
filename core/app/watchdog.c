/* SPDX-License-Identifier: MIT */
#include "app/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/alloc.h"

#define TICK_MS 10

struct pl_watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stop;
    pl_state **states;
    size_t count, capacity;
};

static struct timespec now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t;
}

static void *run(void *arg)
{
    pl_watchdog *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct timespec t = now();
        uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
        for (size_t i = 0; i < w->count; i++)
            pl_engine_of(w->states[i])->watch(w->states[i], ms);
        t.tv_nsec += TICK_MS * 1000000;
        if (t.tv_nsec >= 1000000000) {
            t.tv_nsec -= 1000000000;
            t.tv_sec++;
        }
        pthread_cond_timedwait(&w->stopped, &w->lock, &t);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

pl_watchdog *pl_watchdog_new(void)
{
    pl_watchdog *w = pl_calloc(1, sizeof *w);
    if (!w)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stopped, &attr);
    pthread_condattr_destroy(&attr);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed)
        return w;
    pthread_cond_destroy(&w->stopped);
    pthread_mutex_destroy(&w->lock);
    pl_free(w);
    return NULL;
}

void pl_watchdog_free(pl_watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->stopped);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->stopped);
    pthread_mutex_destroy(&w->lock);
    pl_free(w->states);
    pl_free(w);
}

bool pl_watchdog_add(pl_watchdog *w, pl_state *state)
{
    bool ok = true;
    pthread_mutex_lock(&w->lock);
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 16;
        pl_state **states = pl_realloc(w->states, capacity * sizeof *states);
        ok = states != NULL;
        if (ok) {
            w->states = states;
            w->capacity = capacity;
        }
    }
    if (ok)
        w->states[w->count++] = state;
    pthread_mutex_unlock(&w->lock);
    return ok;
}

void pl_watchdog_remove(pl_watchdog *w, pl_state *state)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->count; i++) {
        if (w->states[i] == state) {
            w->states[i] = w->states[--w->count];
            break;
        }
    }
    pthread_mutex_unlock(&w->lock);
}
