/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_API_INTERNAL_H
#define PL_APP_API_INTERNAL_H

/* What the files of the public API (perilune.h) share: api.c has an app's life, api_requests.c what is asked
 * of it, api_register.c functions of the host program. */

#include <perilune.h>
#include <pthread.h>

#include "app/natives.h"
#include "app/server.h"

struct pl_app {
    pl_arena arena; /* of the options' strings */
    pl_app_options options;
    pl_bundle *bundle; /* of files in memory; NULL: it is in a directory. Below the lock */
    pl_natives *natives;
    pl_logger *log; /* NULL: nothing is logged */
    pthread_mutex_t lock;
    enum { PL_APP_NEW, PL_APP_RUNNING, PL_APP_STOPPING, PL_APP_STOPPED } state; /* below the lock */
    pl_server *server;           /* from the first start that succeeds to pl_app_free; atomic */
    pl_worker *worker;           /* without threads: the one on the caller's */
    struct pl_app_entry *inside; /* of the thread that turns its loop just now; NULL: none does */
    void *guest; /* of a binding that is in the middle between the app and its host; or NULL */
    void (*free_guest)(void *guest);
};

/* From pl_app_enter to pl_app_leave. */
typedef struct pl_app_entry {
    bool attached;
    bool guarded, pipe_blocked; /* SIGPIPE, by this; and before it */
} pl_app_entry;

/* The server, if the app runs. */
pl_server *pl_app_server(pl_app *app);
/* Without threads: the calling thread is the one that turns the loop. True: it may do so now; and must call
 * leave. False: this is inside of a turn. Always true with threads. */
bool pl_app_enter(pl_app *app, pl_app_entry *entry);
void pl_app_leave(pl_app *app, const pl_app_entry *entry);
/* For what asks workers for something and may do so from inside of a turn, too: enter, as far as that is
 * needed. Always followed by leave. */
void pl_app_visit(pl_app *app, pl_app_entry *entry);

/* Writes the report and the error (which may have no code) into the caller's buffer. */
void pl_app_give_error(char *error, size_t size, const pl_report *report, const pl_error *err);

#endif
