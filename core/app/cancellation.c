/* SPDX-License-Identifier: MIT */
#include "app/cancellation.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"

struct pl_cancellation {
    atomic_uint refs;
    pthread_mutex_t lock; /* of what follows, and of posted in the parts */
    bool cancelled;
    pl_cancelled_part *parts;
};

pl_cancellation *pl_cancellation_new(void)
{
    pl_cancellation *c = pl_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

pl_cancellation *pl_cancellation_ref(pl_cancellation *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void pl_cancellation_free(pl_cancellation *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&c->lock);
    pl_free(c);
}

/* A loop lives as long as there are requests on it: below the lock, none leaves. */
void pl_cancellation_cancel(pl_cancellation *c)
{
    pthread_mutex_lock(&c->lock);
    c->cancelled = true;
    for (pl_cancelled_part *p = c->parts; p; p = p->next) {
        if (!p->posted)
            p->posted = pl_mailbox_post(p->mailbox, &p->message);
    }
    pthread_mutex_unlock(&c->lock);
}

bool pl_cancellation_join(pl_cancellation *c, pl_cancelled_part *p)
{
    pthread_mutex_lock(&c->lock);
    bool joins = !c->cancelled;
    if (joins) {
        p->prev = NULL;
        p->next = c->parts;
        if (p->next)
            p->next->prev = p;
        c->parts = p;
    }
    pthread_mutex_unlock(&c->lock);
    return joins;
}

bool pl_cancellation_leave(pl_cancellation *c, pl_cancelled_part *p)
{
    pthread_mutex_lock(&c->lock);
    *(p->prev ? &p->prev->next : &c->parts) = p->next;
    if (p->next)
        p->next->prev = p->prev;
    bool posted = p->posted;
    pthread_mutex_unlock(&c->lock);
    return posted;
}
