/* SPDX-License-Identifier: MIT */
/* The limit that benchmarks are held against: a libh2o handler and nothing else, which answers each POST with
 * the bytes of one file. Called as: bare_h2o PORT FILE; PORT 0 is any free one. Prints a ready line with its
 * address when it accepts; ends on SIGTERM by default action. */

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bare_handler {
    h2o_handler_t super;
    h2o_iovec_t body;
} bare_handler;

typedef struct server {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
} server;

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator = {NULL, NULL};
    bare_handler *handler = (bare_handler *)self;
    if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST")))
        return -1;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = handler->body.len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_start_response(req, &generator);
    h2o_send(req, &handler->body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    server *srv = listener->data;
    h2o_socket_t *sock;
    if (err != NULL)
        return;
    for (int i = 0; i < 16 && (sock = h2o_evloop_socket_accept(listener)) != NULL; i++)
        h2o_accept(&srv->accept, sock);
}

static int listen_on(int port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, SOMAXCONN) != 0) {
        perror("bare_h2o");
        return -1;
    }
    return fd;
}

static int read_file(const char *path, h2o_iovec_t *out)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    *out = h2o_iovec_init(NULL, 0);
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0) {
        *out = h2o_iovec_init(h2o_mem_alloc((size_t)size + 1), (size_t)size);
        if (fread(out->base, 1, out->len, file) != out->len)
            size = -1;
    }
    if (file != NULL)
        fclose(file);
    if (size < 0)
        perror(path);
    return size < 0 ? -1 : 0;
}

static bool print_ready(int fd)
{
    struct sockaddr_in addr;
    socklen_t size = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &size) != 0)
        return false;
    printf("{\"event\":\"ready\",\"http\":\"127.0.0.1:%d\"}\n", ntohs(addr.sin_port));
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    static server srv;
    h2o_iovec_t body;
    int fd;
    signal(SIGPIPE, SIG_IGN);
    if (argc != 3 || read_file(argv[2], &body) != 0 || (fd = listen_on(atoi(argv[1]))) == -1)
        return 1;

    h2o_config_init(&srv.config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&srv.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/graphql", 0);
    bare_handler *handler = (bare_handler *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->body = body;
    h2o_context_init(&srv.context, h2o_evloop_create(), &srv.config);
    srv.accept.ctx = &srv.context;
    srv.accept.hosts = srv.config.hosts;

    h2o_socket_t *listener = h2o_evloop_socket_create(srv.context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->data = &srv;
    h2o_socket_read_start(listener, on_accept);
    if (!print_ready(fd))
        return 1;
    while (h2o_evloop_run(srv.context.loop, INT32_MAX) == 0)
        ;
    return 0;
}
