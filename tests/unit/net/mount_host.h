/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_MOUNT_HOST_H
#define TEST_NET_MOUNT_HOST_H

/* A program with h2o on a thread of its own, and an edge of edge_harness.h's service mounted in it. Included
 * after that. */

#include "net/h2o_version.h"
#include "net/listeners.h"
#include "net/mount.h"

/* A program of its own with h2o: /host is its, the rest is mounted. */
typedef struct host {
    server s; /* first: loop, edge, and thread are the host's here */
    h2o_globalconf_t globals;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    h2o_hostconf_t *hostconf;
    pl_mounts *mounts;
    pl_http_service other_service;
    pl_loop *other_loop;
    pl_edge *other; /* a second mount's, at /other */
    pl_mounts *other_mounts;
    sem_t closed, drained, between_done;
    void (*between)(struct host *h);
    void (*filter)(h2o_filter_t *self, h2o_req_t *req,
                   h2o_ostream_t **slot); /* on the mount's path; or NULL */
    bool stop;
} host;

static inline void on_host_close(void *data)
{
    sem_post(&((host *)data)->closed);
}

static inline int answer_of_host(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator;
    h2o_iovec_t body = h2o_iovec_init(H2O_STRLIT("of the host"));
    req->res.status = 200;
    req->res.content_length = body.len;
    h2o_start_response(req, &generator);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

/* Answers after a second. */
static inline void answer_late(h2o_timeout_entry_t *entry)
{
    answer_of_host(NULL, *(h2o_req_t **)(entry + 1));
}

static inline int wait_a_second(h2o_handler_t *self, h2o_req_t *req)
{
    h2o_timeout_entry_t *entry = h2o_mem_alloc_pool(&req->pool, sizeof(*entry) + sizeof(req));
    *entry = (h2o_timeout_entry_t){.cb = answer_late};
    *(h2o_req_t **)(entry + 1) = req;
    h2o_timeout_link(req->conn->ctx->loop, &req->conn->ctx->one_sec_timeout, entry);
    return 0;
}

static inline void on_accept(h2o_socket_t *listener, const char *err)
{
    host *h = listener->data;
    h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
    if (!socket)
        return;
    socket->on_close.cb = on_host_close;
    socket->on_close.data = h;
    h2o_accept(&h->accept, socket);
}

static inline void *host_main(void *data)
{
    host *h = data;
    while (!h->stop) {
        h2o_evloop_run(h->context.loop, INT32_MAX);
        if (h->between) {
            h->between(h);
            h->between = NULL;
            sem_post(&h->between_done);
        }
    }
    return NULL;
}

static inline bool handle_other(pl_http_service *service, pl_http_request *r)
{
    respond(r, 200, PL_STR("\"the other\""));
    return true;
}

static inline const pl_http_settings *other_settings(pl_http_service *service)
{
    static const pl_http_settings none = {0};
    return &none;
}

static inline void configure(host *h, const char *path)
{
    pl_error err = {0};
    h2o_config_init(&h->globals);
    h->hostconf = h2o_config_register_host(&h->globals, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *own = h2o_config_register_path(h->hostconf, "/host", 0);
    h2o_create_handler(own, sizeof(h2o_handler_t))->on_req = answer_of_host;
    own = h2o_config_register_path(h->hostconf, "/late", 0);
    h2o_create_handler(own, sizeof(h2o_handler_t))->on_req = wait_a_second;
    h->mounts = pl_mounts_new();
    h->other_mounts = pl_mounts_new();
    assert_int_equal(pl_mounts_add(h->other_mounts, h->hostconf, "/other", &err), PL_OK);
    if (h->filter) {
        h2o_pathconf_t *filtered = h2o_config_register_path(h->hostconf, path, 0);
        h2o_create_filter(filtered, sizeof(h2o_filter_t))->on_setup_ostream = h->filter;
    }
    assert_int_equal(pl_mounts_add(h->mounts, h->hostconf, path, &err), PL_OK);
}

static inline void host_start(host *h, const char *path, pl_edge_config *config)
{
    pl_error err = {0};
    server *s = &h->s;
    signal(SIGPIPE, SIG_IGN);
    s->service = (pl_http_service){.handle = handle, .settings = settings_of, .drain = drain};
    sem_init(&s->arrived, 0, 0);
    sem_init(&s->cancelled, 0, 0);
    sem_init(&s->done, 0, 0);
    sem_init(&h->closed, 0, 0);
    sem_init(&h->between_done, 0, 0);
    sem_init(&h->drained, 0, 0);
    pl_edge_config listen = {.address = "127.0.0.1:0"};
    s->listeners = pl_listeners_open(&listen, 1, &err);
    assert_non_null(s->listeners);
    configure(h, path);
    h2o_context_init(&h->context, h2o_evloop_create(), &h->globals);
    h->accept = (h2o_accept_ctx_t){.ctx = &h->context, .hosts = h->globals.hosts};
    int fd = pl_listeners_take(s->listeners, 0);
    h->listener = h2o_evloop_socket_create(h->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    h->listener->data = h;
    h2o_socket_read_start(h->listener, on_accept);
    s->loop = pl_loop_new_on(h->context.loop, NULL, NULL, &err);
    assert_non_null(s->loop);
    s->edge = pl_edge_mount(s->loop, &h->context, h->mounts, config, &s->service, NULL, &err);
    if (!s->edge)
        fail_msg("%s", err.message);
    h->other_service = (pl_http_service){.handle = handle_other, .settings = other_settings};
    h->other = pl_edge_mount(s->loop, &h->context, h->other_mounts, config, &h->other_service, NULL, &err);
    assert_non_null(h->other);
    assert_int_equal(pthread_create(&s->thread, NULL, host_main, h), 0);
}

typedef struct between_call {
    pl_message message;
    host *h;
    void (*fn)(host *h);
} between_call;

static inline void call_soon(pl_message *message)
{
    between_call *c = message->data;
    c->h->between = c->fn;
}

/* Runs fn(h) on the host's thread, between two turns. */
static inline void between_turns(host *h, void (*fn)(host *h))
{
    between_call c = {.message = {.run = call_soon, .data = &c}, .h = h, .fn = fn};
    pl_loop_post(h->s.loop, &c.message);
    wait_for(&h->between_done);
}

static inline void stop_now(host *h)
{
    pl_edge_free(h->s.edge);
    pl_edge_free(h->other);
    pl_loop_free(h->s.loop);
    h->s.edge = h->other = NULL;
    h->stop = true;
}

static inline void dispose(host *h)
{
    h2o_context_t *context = &h->context;
    h2o_loop_t *loop = context->loop;
    while (!h2o_linklist_is_empty(&context->http1._conns) || !h2o_linklist_is_empty(&context->http2._conns))
        h2o_evloop_run(loop, 10);
    h2o_multithread_queue_t *queue = context->queue;
    h2o_context_dispose(context);
    free(queue);
    h2o_evloop_run(loop, 0);
    pl_h2o_loop_destroy(loop);
    pl_mounts_free(h->mounts); /* before and after what it has registered: both are fine */
    h2o_config_dispose(&h->globals);
    pl_mounts_free(h->other_mounts);
}

static inline void free_first(host *h)
{
    pl_edge_free(h->s.edge);
    h->s.edge = NULL;
}

/* Connections have been closed by their clients. */
static inline void host_stop(host *h)
{
    between_turns(h, stop_now);
    pthread_join(h->s.thread, NULL);
    h2o_socket_close(h->listener);
    dispose(h);
    pl_listeners_free(h->s.listeners);
}

#define HOST(name)                         \
    host name##_host;                      \
    memset(&name##_host, 0, sizeof(host)); \
    host *name = &name##_host

static inline int client_of(host *h)
{
    return client(&h->s);
}

static inline void expect_body_has(int fd, const char *text)
{
    answer a;
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 200);
    if (!strstr(a.body, text))
        fail_msg("there is no \"%s\" in:\n%s", text, a.body);
}

#endif
