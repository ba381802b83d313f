/* SPDX-License-Identifier: MIT */
#include <h2o.h>
#include <perilune/h2o.h>
#include <pthread.h>

#include "app/api_internal.h"
#include "base/alloc.h"
#include "net/mount.h"

/* An app in a program with h2o: its paths, and the contexts that it is attached to. The edge and the worker
 * do all the work (net/mount.c, app/worker.c). */

typedef struct part {
    struct part *next;
    h2o_context_t *context;
    pl_worker *worker;
} part;

typedef struct guest {
    pl_mounts *mounts;
    pthread_mutex_t lock; /* of parts: loops are attached by their threads */
    part *parts;
} guest;

static void free_guest(void *data)
{
    guest *g = data;
    while (g->parts) { /* of a program that did not detach */
        part *p = g->parts;
        g->parts = p->next;
        pl_free(p);
    }
    pl_mounts_free(g->mounts);
    pthread_mutex_destroy(&g->lock);
    pl_free(g);
}

static part *find(guest *g, const h2o_context_t *context)
{
    pthread_mutex_lock(&g->lock);
    part *p = g->parts;
    while (p && p->context != context)
        p = p->next;
    pthread_mutex_unlock(&g->lock);
    return p;
}

static void drop(guest *g, part *p)
{
    pthread_mutex_lock(&g->lock);
    part **at = &g->parts;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    pthread_mutex_unlock(&g->lock);
    pl_free(p);
}

/* A program that has not detached its context: what it has of ours would be left on a loop that ends. */
static void on_dispose(void *data, h2o_context_t *context)
{
    part *p = find(data, context);
    if (!p)
        return;
    pl_worker_detach_now(p->worker);
    drop(data, p);
}

/* Made when it is first asked for. NULL: memory. */
static guest *guest_of(pl_app *app)
{
    pthread_mutex_lock(&app->lock);
    guest *g = app->guest;
    if (!g && (g = pl_calloc(1, sizeof *g))) {
        g->mounts = pl_mounts_new();
        if (g->mounts) {
            pthread_mutex_init(&g->lock, NULL);
            pl_mounts_on_dispose(g->mounts, on_dispose, g);
            app->guest = g;
            app->free_guest = free_guest;
        } else {
            pl_free(g);
            g = NULL;
        }
    }
    pthread_mutex_unlock(&app->lock);
    return g;
}

static pl_code end_with(pl_code code, char *error, size_t error_size, const pl_error *err)
{
    if (error && error_size > 0)
        error[0] = '\0';
    if (code)
        pl_app_give_error(error, error_size, NULL, err);
    return code;
}

pl_code pl_h2o_mount(pl_app *app, struct st_h2o_hostconf_t *host, const char *path, char *error,
                     size_t error_size)
{
    pl_error err = {0};
    guest *g = guest_of(app);
    pl_code code = g ? pl_mounts_add(g->mounts, host, path, &err) : pl_fail_memory(&err);
    return end_with(code, error, error_size, &err);
}

/* The worker owns the loop, and ends with it. */
static pl_code attach(pl_app *app, guest *g, part *p, pl_error *err)
{
    pl_server *server = pl_app_server(app);
    const pl_worker_place place = {.context = p->context, .mounts = g->mounts};
    if (!server)
        return pl_fail(err, PL_FAILED_PRECONDITION, "the app is not running: pl_app_start comes first");
    pl_loop *loop = pl_loop_new_on(p->context->loop, pl_server_helpers(server), app->log, err);
    if (!loop)
        return err->code;
    p->worker = pl_server_attach(server, loop, &place, err);
    return p->worker ? PL_OK : err->code;
}

pl_code pl_h2o_attach(pl_app *app, struct st_h2o_context_t *context, char *error, size_t error_size)
{
    pl_error err = {0};
    guest *g = guest_of(app);
    part *p = g ? pl_calloc(1, sizeof *p) : NULL;
    pl_code code;
    if (!p) {
        code = pl_fail_memory(&err);
    } else if (find(g, context)) {
        code = pl_fail(&err, PL_FAILED_PRECONDITION, "the context is attached already");
    } else {
        p->context = context;
        code = attach(app, g, p, &err);
    }
    if (code) {
        pl_free(p);
        return end_with(code, error, error_size, &err);
    }
    pthread_mutex_lock(&g->lock);
    p->next = g->parts;
    g->parts = p;
    pthread_mutex_unlock(&g->lock);
    return end_with(PL_OK, error, error_size, &err);
}

pl_code pl_h2o_listen_grpc(pl_app *app, struct st_h2o_context_t *context, int fd, struct ssl_ctx_st *tls,
                           char *error, size_t error_size)
{
    pl_error err = {0};
    guest *g = guest_of(app);
    part *p = g ? find(g, context) : NULL;
    pl_bytes_listeners *listeners = NULL;
    if (!g)
        pl_fail_memory(&err);
    else if (!p)
        pl_fail(&err, PL_FAILED_PRECONDITION, "the context is not attached: pl_h2o_attach comes first");
    else if ((listeners = pl_bytes_listeners_adopt(fd, tls, pl_worker_index(p->worker), &err)))
        pl_worker_listen_grpc(p->worker, listeners, &err);
    return end_with(err.code, error, error_size, &err);
}

static void set_done(void *data)
{
    *(bool *)data = true;
}

void pl_h2o_detach(pl_app *app, struct st_h2o_context_t *context, unsigned timeout_ms)
{
    guest *g = guest_of(app);
    part *p = g ? find(g, context) : NULL;
    bool done = false;
    if (!p)
        return;
    if (pl_worker_detach(p->worker, timeout_ms, set_done, &done)) {
        while (!done)
            h2o_evloop_run(context->loop, INT32_MAX);
    }
    drop(g, p);
}
