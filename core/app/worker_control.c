/* SPDX-License-Identifier: MIT */
#include "app/worker_control.h"

void pl_worker_control_init(pl_worker_control *control)
{
    *control = (pl_worker_control){.open = NULL};
    pthread_mutex_init(&control->lock, NULL);
    pthread_cond_init(&control->changed, NULL);
}

void pl_worker_control_dispose(pl_worker_control *control)
{
    pthread_cond_destroy(&control->changed);
    pthread_mutex_destroy(&control->lock);
}

bool pl_inbox_is_mine(const pl_inbox *inbox)
{
    return pthread_equal(inbox->thread, pthread_self()) != 0;
}

/* Below the lock, which it lets go of for each. */
static void run_requests(pl_inbox *inbox)
{
    pl_worker_control *control = inbox->control;
    while (inbox->requests) {
        pl_request *r = inbox->requests;
        inbox->requests = r->next;
        if (!inbox->requests)
            inbox->last = &inbox->requests;
        pthread_mutex_unlock(&control->lock);
        r->run(inbox->worker, r->arg);
        pthread_mutex_lock(&control->lock);
        r->done = true;
        pthread_cond_broadcast(&control->changed);
    }
}

void pl_worker_control_wait(pl_worker_control *control)
{
    for (pl_inbox *inbox = control->open; inbox; inbox = inbox->next) {
        if (inbox->requests && pl_inbox_is_mine(inbox)) {
            run_requests(inbox);
            return;
        }
    }
    pthread_cond_wait(&control->changed, &control->lock);
}

static void on_message(pl_message *message)
{
    pl_inbox *inbox = message->data;
    pthread_mutex_lock(&inbox->control->lock);
    inbox->posted = false;
    run_requests(inbox);
    pthread_mutex_unlock(&inbox->control->lock);
}

void pl_inbox_init(pl_inbox *inbox, pl_worker_control *control, pl_worker *worker)
{
    *inbox = (pl_inbox){.control = control, .worker = worker};
    inbox->message = (pl_message){.run = on_message, .data = inbox};
    inbox->last = &inbox->requests;
}

void pl_inbox_open(pl_inbox *inbox, pl_loop *loop)
{
    pl_worker_control *control = inbox->control;
    pthread_mutex_lock(&control->lock);
    inbox->loop = loop;
    inbox->thread = pthread_self();
    inbox->running = true;
    inbox->next = control->open;
    control->open = inbox;
    pthread_mutex_unlock(&control->lock);
}

void pl_inbox_close(pl_inbox *inbox)
{
    pl_worker_control *control = inbox->control;
    pthread_mutex_lock(&control->lock);
    if (inbox->running) {
        pl_inbox **at = &control->open;
        while (*at != inbox)
            at = &(*at)->next;
        *at = inbox->next;
    }
    inbox->running = false;
    while (inbox->requests) {
        pl_request *r = inbox->requests;
        inbox->requests = r->next; /* r goes when it is done */
        r->refused = true;
        r->done = true;
    }
    inbox->last = &inbox->requests;
    pthread_cond_broadcast(&control->changed);
    pthread_mutex_unlock(&control->lock);
}

void pl_inbox_move_here(pl_inbox *inbox)
{
    pthread_mutex_lock(&inbox->control->lock);
    inbox->thread = pthread_self();
    pthread_mutex_unlock(&inbox->control->lock);
}

bool pl_inbox_post(pl_inbox *inbox, pl_message *message)
{
    pthread_mutex_lock(&inbox->control->lock);
    bool open = inbox->running;
    if (open)
        pl_loop_post(inbox->loop, message);
    pthread_mutex_unlock(&inbox->control->lock);
    return open;
}

bool pl_request_send(pl_request *r, pl_inbox *inbox, void (*run)(pl_worker *worker, void *arg), void *arg)
{
    pl_worker_control *control = inbox->control;
    *r = (pl_request){.run = run, .arg = arg};
    pthread_mutex_lock(&control->lock);
    bool open = inbox->running, mine = open && pl_inbox_is_mine(inbox);
    r->refused = !open;
    r->done = mine || !open;
    if (open && !mine) {
        *inbox->last = r;
        inbox->last = &r->next;
        if (!inbox->posted)
            pl_loop_post(inbox->loop, &inbox->message);
        inbox->posted = true;
        pthread_cond_broadcast(&control->changed);
    }
    pthread_mutex_unlock(&control->lock);
    if (mine)
        run(inbox->worker, arg);
    return open;
}

bool pl_request_wait(pl_request *r, pl_inbox *inbox)
{
    pl_worker_control *control = inbox->control;
    pthread_mutex_lock(&control->lock);
    while (!r->done)
        pl_worker_control_wait(control);
    pthread_mutex_unlock(&control->lock);
    return !r->refused;
}
