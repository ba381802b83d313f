/* SPDX-License-Identifier: MIT */
#include "net/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/alloc.h"

#define IDLE_S 10

struct pl_lookup {
    pl_message message;
    pl_lookups *lookups;
    pl_lookup *next; /* in the queue */
    pl_loop *loop;
    pl_lookup_done *done;
    void *data;
    enum { QUEUED, RUNNING, POSTED } state;
    bool cancelled;
    int failure, system;
    struct addrinfo *list;
    const char *port;
    char host[];
};

struct pl_lookups {
    pthread_mutex_t lock; /* of all, lookups too */
    pthread_cond_t work;
    pl_lookup *first, *last;
    unsigned threads, idle, queued, most_threads;
    unsigned posted; /* lookups that the loops have */
    bool closed;
};

static void free_lookup(pl_lookup *lookup)
{
    if (lookup->list)
        freeaddrinfo(lookup->list);
    pl_free(lookup);
}

/* Gives the lock back. */
static void leave(pl_lookups *lookups)
{
    bool last = lookups->closed && lookups->threads == 0 && lookups->posted == 0;
    pthread_mutex_unlock(&lookups->lock);
    if (!last)
        return;
    pthread_cond_destroy(&lookups->work);
    pthread_mutex_destroy(&lookups->lock);
    pl_free(lookups);
}

/* On the loop's thread. */
static void deliver(pl_message *message)
{
    pl_lookup *lookup = message->data;
    pl_lookups *lookups = lookup->lookups;
    if (!lookup->cancelled)
        lookup->done(lookup->data, lookup->failure, lookup->system, lookup->list);
    free_lookup(lookup);
    pthread_mutex_lock(&lookups->lock);
    lookups->posted--;
    leave(lookups);
}

/* Under the lock, which is given back meanwhile. */
static void run(pl_lookups *lookups, pl_lookup *lookup)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    lookup->state = RUNNING;
    pthread_mutex_unlock(&lookups->lock);
    lookup->failure = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->list);
    lookup->system = errno;
    if (lookup->failure != 0)
        lookup->list = NULL;
    pthread_mutex_lock(&lookups->lock);
    if (lookup->cancelled) {
        free_lookup(lookup);
        return;
    }
    lookup->state = POSTED;
    lookups->posted++;
    pl_loop_post(lookup->loop, &lookup->message);
}

static void *thread_main(void *data)
{
    pl_lookups *lookups = data;
    bool wait = true;
    pthread_mutex_lock(&lookups->lock);
    while (!lookups->closed || lookups->first) {
        pl_lookup *lookup = lookups->first;
        if (lookup) {
            lookups->first = lookup->next;
            lookups->queued--;
            run(lookups, lookup);
            wait = true;
            continue;
        }
        if (!wait)
            break;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += IDLE_S;
        lookups->idle++;
        wait = pthread_cond_timedwait(&lookups->work, &lookups->lock, &until) == 0;
        lookups->idle--;
    }
    lookups->threads--;
    leave(lookups);
    return NULL;
}

static bool start_thread(pl_lookups *lookups)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&thread, NULL, thread_main, lookups);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure)
        return false;
    pthread_setname_np(thread, "pl-lookup");
    pthread_detach(thread);
    return true;
}

pl_lookups *pl_lookups_new(unsigned threads)
{
    pl_lookups *lookups = pl_calloc(1, sizeof(*lookups));
    if (!lookups)
        return NULL;
    pthread_mutex_init(&lookups->lock, NULL);
    pthread_cond_init(&lookups->work, NULL);
    lookups->most_threads = threads > 0 ? threads : 1;
    return lookups;
}

void pl_lookups_free(pl_lookups *lookups)
{
    if (!lookups)
        return;
    pthread_mutex_lock(&lookups->lock);
    lookups->closed = true;
    pthread_cond_broadcast(&lookups->work);
    leave(lookups);
}

pl_lookup *pl_lookup_start(pl_lookups *lookups, pl_loop *loop, const char *host, const char *port,
                           pl_lookup_done *done, void *data)
{
    size_t host_size = strlen(host) + 1, port_size = strlen(port) + 1;
    pl_lookup *lookup = pl_calloc(1, sizeof(*lookup) + host_size + port_size);
    if (!lookup)
        return NULL;
    memcpy(lookup->host, host, host_size);
    lookup->port = memcpy(lookup->host + host_size, port, port_size);
    lookup->message = (pl_message){.run = deliver, .data = lookup};
    lookup->lookups = lookups;
    lookup->loop = loop;
    lookup->done = done;
    lookup->data = data;
    pthread_mutex_lock(&lookups->lock);
    bool wanted = lookups->idle <= lookups->queued && lookups->threads < lookups->most_threads;
    if (wanted)
        lookups->threads++;
    if (wanted && !start_thread(lookups))
        lookups->threads--;
    bool ok = lookups->threads > 0;
    if (ok) {
        if (lookups->first)
            lookups->last->next = lookup;
        else
            lookups->first = lookup;
        lookups->last = lookup;
        lookups->queued++;
        pthread_cond_signal(&lookups->work);
    }
    pthread_mutex_unlock(&lookups->lock);
    if (!ok)
        pl_free(lookup);
    return ok ? lookup : NULL;
}

void pl_lookup_cancel(pl_lookup *lookup)
{
    pl_lookups *lookups = lookup->lookups;
    pthread_mutex_lock(&lookups->lock);
    lookup->cancelled = true;
    if (lookup->state == QUEUED) {
        pl_lookup **slot = &lookups->first, *before = NULL;
        while (*slot != lookup) {
            before = *slot;
            slot = &(*slot)->next;
        }
        *slot = lookup->next;
        lookups->queued--;
        if (lookups->last == lookup)
            lookups->last = before;
        free_lookup(lookup);
    }
    pthread_mutex_unlock(&lookups->lock);
}
