/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_WORKER_CONTROL_H
#define PL_APP_WORKER_CONTROL_H

#include <pthread.h>

#include "net/loop.h"

/* How threads ask workers for something, and wait for it. A worker's thread that waits does what is asked of
 * its own worker meanwhile, so that two that ask each other both get their answers. */
typedef struct pl_worker pl_worker;
typedef struct pl_request pl_request;
typedef struct pl_inbox pl_inbox;

/* What the workers of a server share. The lock is the server's, too. */
typedef struct pl_worker_control {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a request is there, or has ended; or whatever the owner waits for */
    pl_inbox *open;         /* list */
} pl_worker_control;
void pl_worker_control_init(pl_worker_control *control);
void pl_worker_control_dispose(pl_worker_control *control);
/* Waits for `changed`, or does what is asked of the calling thread's workers. The lock is held before and
 * after; the caller looks again at what it waits for. */
void pl_worker_control_wait(pl_worker_control *control);

/* A worker's. Open from when it can do what is asked until its end. */
struct pl_inbox {
    pl_worker_control *control;
    pl_worker *worker;
    pl_loop *loop;
    pl_message message; /* "look at your requests" */
    bool running;       /* open; changed by its thread alone, below the lock, as all that follows */
    pthread_t thread;   /* that turns the loop */
    bool posted;
    pl_request *requests, **last;
    pl_inbox *next;
};
void pl_inbox_init(pl_inbox *inbox, pl_worker_control *control, pl_worker *worker);
void pl_inbox_open(pl_inbox *inbox, pl_loop *loop); /* on the thread that turns the loop */
void pl_inbox_close(pl_inbox *inbox);               /* refuses what is left; not open: does nothing */
void pl_inbox_move_here(pl_inbox *inbox);           /* another thread turns the loop from now on: this one */
bool pl_inbox_is_mine(const pl_inbox *inbox);       /* below the lock: the calling thread's */
/* As pl_loop_post. False: not open. */
bool pl_inbox_post(pl_inbox *inbox, pl_message *message);

/* run(worker, arg) is called on the worker's thread, between two turns of its loop; on that thread itself, at
 * once. False: the worker does not run. */
struct pl_request {
    pl_request *next;
    void (*run)(pl_worker *worker, void *arg);
    void *arg;
    bool done, refused;
};
bool pl_request_send(pl_request *request, pl_inbox *inbox, void (*run)(pl_worker *worker, void *arg),
                     void *arg);
/* After each send. False: it did not run, and nothing was done. */
bool pl_request_wait(pl_request *request, pl_inbox *inbox);

#endif
