/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SERVE_H2O_H
#define BENCH_SERVE_H2O_H

/* libh2o with one handler and nothing else, over HTTP/1.1 and HTTP/2. */

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>

#include "listen.h"

typedef struct server {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
} server;

typedef struct bare_handler {
    h2o_handler_t super;
    void *data;
} bare_handler;

static void on_accept(h2o_socket_t *listener, const char *err)
{
    server *srv = listener->data;
    h2o_socket_t *sock;
    if (err != NULL)
        return;
    for (int i = 0; i < 16 && (sock = h2o_evloop_socket_accept(listener)) != NULL; i++)
        h2o_accept(&srv->accept, sock);
}

/* Lets on_req, whose handler is a bare_handler with this data, answer at /graphql; returns when it fails. */
static int serve(const char *program, int port, int (*on_req)(h2o_handler_t *, h2o_req_t *), void *data)
{
    static server srv;
    int fd = listen_on(program, port);
    if (fd == -1)
        return 1;
    h2o_config_init(&srv.config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&srv.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/graphql", 0);
    bare_handler *handler = (bare_handler *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_req;
    handler->data = data;
    h2o_context_init(&srv.context, h2o_evloop_create(), &srv.config);
    srv.accept.ctx = &srv.context;
    srv.accept.hosts = srv.config.hosts;

    h2o_socket_t *listener = h2o_evloop_socket_create(srv.context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->data = &srv;
    h2o_socket_read_start(listener, on_accept);
    if (!print_ready(fd, "http"))
        return 1;
    while (h2o_evloop_run(srv.context.loop, INT32_MAX) == 0)
        ;
    return 0;
}

/* Answers with 200 and these bytes of JSON, which live as long as the request. */
static int answer(h2o_req_t *req, h2o_iovec_t body)
{
    static h2o_generator_t generator = {NULL, NULL};
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = body.len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_start_response(req, &generator);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

#endif
