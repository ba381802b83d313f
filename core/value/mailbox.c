/* SPDX-License-Identifier: MIT */
#include "value/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"

struct pl_mailbox {
    atomic_uint refs;
    atomic_bool closed;
    pl_mailbox *loop; /* NULL: it is a loop's own */
    /* A loop's own: held while something is posted, so that the loop is not freed meanwhile. */
    pthread_mutex_t lock;
    void (*post)(void *to, pl_message *message);
    void *to;
};

static pl_mailbox *mailbox_new(void)
{
    pl_mailbox *mailbox = pl_calloc(1, sizeof *mailbox);
    if (!mailbox)
        return NULL;
    atomic_init(&mailbox->refs, 1);
    atomic_init(&mailbox->closed, false);
    pthread_mutex_init(&mailbox->lock, NULL);
    return mailbox;
}

pl_mailbox *pl_mailbox_new(void (*post)(void *to, pl_message *message), void *to)
{
    pl_mailbox *mailbox = mailbox_new();
    if (mailbox) {
        mailbox->post = post;
        mailbox->to = to;
    }
    return mailbox;
}

pl_mailbox *pl_mailbox_below(pl_mailbox *loop)
{
    pl_mailbox *mailbox = mailbox_new();
    if (mailbox)
        mailbox->loop = pl_mailbox_ref(loop);
    return mailbox;
}

pl_mailbox *pl_mailbox_ref(pl_mailbox *mailbox)
{
    atomic_fetch_add_explicit(&mailbox->refs, 1, memory_order_relaxed);
    return mailbox;
}

void pl_mailbox_unref(pl_mailbox *mailbox)
{
    if (!mailbox || atomic_fetch_sub(&mailbox->refs, 1) != 1)
        return;
    pl_mailbox_unref(mailbox->loop); /* one level */
    pthread_mutex_destroy(&mailbox->lock);
    pl_free(mailbox);
}

bool pl_mailbox_post(pl_mailbox *mailbox, pl_message *message)
{
    if (atomic_load(&mailbox->closed))
        return false;
    if (mailbox->loop)
        mailbox = mailbox->loop;
    pthread_mutex_lock(&mailbox->lock);
    bool open = !atomic_load(&mailbox->closed);
    if (open)
        mailbox->post(mailbox->to, message);
    pthread_mutex_unlock(&mailbox->lock);
    return open;
}

void pl_mailbox_close(pl_mailbox *mailbox)
{
    if (!mailbox)
        return;
    pthread_mutex_lock(&mailbox->lock);
    atomic_store(&mailbox->closed, true);
    pthread_mutex_unlock(&mailbox->lock);
}

bool pl_mailbox_is_closed(const pl_mailbox *mailbox)
{
    return atomic_load(&mailbox->closed);
}
