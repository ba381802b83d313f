/* SPDX-License-Identifier: MIT */
/* A server on libh2o: /graphql by Perilune, everything below /proxy/ by another server, files for the rest.
 *
 *   main          reads options, configures h2o, waits for signals: SIGHUP reloads, SIGTERM and SIGINT end
 *   loop threads  each a context of h2o's, which accepts connections and runs the app's scripts
 */
#include <errno.h>
#include <getopt.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <netdb.h>
#include <perilune/h2o.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_THREADS 64
#define DRAIN_MS 10000 /* for what is in hand at the end */

struct options {
    const char *listen, *grpc, *bundle, *path, *files, *proxy, *certificate, *key, *client_ca;
    int threads;
};

struct server;
struct loop {
    struct server *server;
    pthread_t thread;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    h2o_multithread_receiver_t stop;
    h2o_multithread_message_t stop_message;
    unsigned connections;
    bool stopping, failed;
};

struct server {
    struct options options;
    h2o_globalconf_t config;
    SSL_CTX *tls;
    pl_app *app;
    int http_fd, grpc_fd;
    pthread_barrier_t ready;
    struct loop loops[MOST_THREADS];
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "embed-h2o: %s: %s\n", what, why);
}

/* --- one loop --- */

/* Set before h2o has the socket: Perilune calls it when it has done its own. */
static void on_close(void *data)
{
    ((struct loop *)data)->connections--;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct loop *loop = listener->data;
    h2o_socket_t *socket = err ? NULL : h2o_evloop_socket_accept(listener);
    if (!socket)
        return;
    loop->connections++;
    socket->on_close.cb = on_close;
    socket->on_close.data = loop;
    h2o_accept(&loop->accept, socket);
}

static void on_stop(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct loop *loop = H2O_STRUCT_FROM_MEMBER(struct loop, stop, receiver);
    while (!h2o_linklist_is_empty(messages))
        h2o_linklist_unlink(messages->next);
    loop->stopping = true;
}

static bool start_loop(struct loop *loop)
{
    struct server *server = loop->server;
    char error[1000];
    h2o_context_init(&loop->context, h2o_evloop_create(), &server->config);
    h2o_multithread_register_receiver(loop->context.queue, &loop->stop, on_stop);
    loop->accept =
        (h2o_accept_ctx_t){.ctx = &loop->context, .hosts = server->config.hosts, .ssl_ctx = server->tls};
    if (pl_h2o_attach(server->app, &loop->context, error, sizeof(error)) ||
        (server->grpc_fd >= 0 && pl_h2o_listen_grpc(server->app, &loop->context, server->grpc_fd, server->tls,
                                                    error, sizeof(error)))) {
        fail("cannot attach", error);
        return false;
    }
    loop->listener =
        h2o_evloop_socket_create(loop->context.loop, dup(server->http_fd), H2O_SOCKET_FLAG_DONT_READ);
    loop->listener->data = loop;
    h2o_socket_read_start(loop->listener, on_accept);
    return true;
}

/* No more connections; those that are there finish what they have in hand. */
static void end_loop(struct loop *loop)
{
    if (loop->listener)
        h2o_socket_close(loop->listener);
    h2o_context_request_shutdown(&loop->context);
    pl_h2o_detach(loop->server->app, &loop->context, DRAIN_MS);
    uint64_t until = h2o_now(loop->context.loop) + DRAIN_MS;
    while (loop->connections > 0 && h2o_now(loop->context.loop) < until)
        h2o_evloop_run(loop->context.loop, 100);
}

static void *run_loop(void *data)
{
    struct loop *loop = data;
    loop->failed = !start_loop(loop);
    pthread_barrier_wait(&loop->server->ready);
    while (!loop->stopping)
        h2o_evloop_run(loop->context.loop, INT32_MAX);
    end_loop(loop);
    return NULL;
}

/* --- the server --- */

static int listen_at(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int one = 1;
    if (!colon) {
        fail(address, "HOST:PORT is expected");
        return -1;
    }
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    int failure = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found);
    if (failure) {
        fail(address, gai_strerror(failure));
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        fail(address, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* Clients must show a certificate of one of these; the app's ctx.certificate has it then. */
static bool ask_clients(SSL_CTX *tls, const char *client_ca)
{
    static const unsigned char name[] = "embed-h2o"; /* of sessions, which OpenSSL wants with that */
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_client_CA_list(tls, SSL_load_client_CA_file(client_ca));
    return SSL_CTX_load_verify_locations(tls, client_ca, NULL) == 1 &&
           SSL_CTX_set_session_id_context(tls, name, sizeof(name) - 1) == 1;
}

static bool open_tls(struct server *server)
{
    const struct options *o = &server->options;
    if (!o->certificate)
        return true;
    server->tls = SSL_CTX_new(TLS_server_method());
    if (!server->tls || SSL_CTX_use_certificate_chain_file(server->tls, o->certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(server->tls, o->key, SSL_FILETYPE_PEM) != 1) {
        fail(o->certificate, "the certificate, or its key, cannot be used");
        return false;
    }
    if (o->client_ca && !ask_clients(server->tls, o->client_ca)) {
        fail(o->client_ca, "certificates are expected there");
        return false;
    }
    h2o_ssl_register_alpn_protocols(server->tls, h2o_http2_alpn_protocols);
    return true;
}

/* h2o takes the first path that suits: the most general one comes last. */
static bool configure(struct server *server)
{
    const struct options *o = &server->options;
    char error[1000];
    h2o_config_init(&server->config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&server->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    if (pl_h2o_mount(server->app, host, o->path, error, sizeof(error))) {
        fail("cannot mount", error);
        return false;
    }
    if (o->proxy) {
        h2o_url_t upstream;
        h2o_proxy_config_vars_t vars = {.io_timeout = 30000, .keepalive_timeout = 2000};
        if (h2o_url_parse(o->proxy, strlen(o->proxy), &upstream) != 0) {
            fail(o->proxy, "it is no URL");
            return false;
        }
        h2o_proxy_register_reverse_proxy(h2o_config_register_path(host, "/proxy", 0), &upstream, &vars);
    }
    h2o_file_register(h2o_config_register_path(host, "/", 0), o->files, NULL, NULL, 0);
    return true;
}

static void on_log(void *data, pl_log_level level, const char *line, size_t length)
{
    fprintf(stderr, "%.*s\n", (int)length, line);
}

static bool open_app(struct server *server)
{
    pl_app_options options = PL_APP_OPTIONS_INIT;
    char error[4000];
    options.directory = server->options.bundle;
    options.h2o_contexts = (unsigned)server->options.threads;
    options.log = on_log;
    server->app = pl_app_new(&options, error, sizeof(error));
    if (!server->app)
        fail("cannot make the app", error);
    return server->app != NULL;
}

static bool start(struct server *server)
{
    const struct options *o = &server->options;
    char error[4000];
    server->http_fd = listen_at(o->listen);
    server->grpc_fd = o->grpc ? listen_at(o->grpc) : -1;
    if (server->http_fd < 0 || (o->grpc && server->grpc_fd < 0) || !open_tls(server) || !open_app(server) ||
        !configure(server))
        return false;
    if (pl_app_start(server->app, error, sizeof(error))) {
        fail(o->bundle, error);
        return false;
    }
    pthread_barrier_init(&server->ready, NULL, (unsigned)o->threads + 1);
    for (int i = 0; i < o->threads; i++) {
        server->loops[i].server = server;
        if (pthread_create(&server->loops[i].thread, NULL, run_loop, &server->loops[i]) != 0) {
            fail("cannot start", "a thread cannot be had");
            exit(1);
        }
    }
    pthread_barrier_wait(&server->ready);
    return true;
}

static void stop(struct server *server)
{
    for (int i = 0; i < server->options.threads; i++)
        h2o_multithread_send_message(&server->loops[i].stop, &server->loops[i].stop_message);
    for (int i = 0; i < server->options.threads; i++)
        pthread_join(server->loops[i].thread, NULL);
    pl_app_free(server->app);
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof(at);
    char port[32] = "0";
    if (getsockname(fd, (struct sockaddr *)&at, &size) == 0)
        getnameinfo((struct sockaddr *)&at, size, NULL, 0, port, sizeof(port), NI_NUMERICSERV);
    return (unsigned)atoi(port);
}

static void say_ready(const struct server *server)
{
    printf("{\"event\":\"ready\",\"pid\":%d,\"http\":\"127.0.0.1:%u\"", (int)getpid(),
           port_of(server->http_fd));
    if (server->grpc_fd >= 0)
        printf(",\"grpc\":\"127.0.0.1:%u\"", port_of(server->grpc_fd));
    printf("}\n");
    fflush(stdout);
}

static void reload(struct server *server)
{
    char error[4000];
    if (pl_app_reload(server->app, NULL, error, sizeof(error)))
        fail("not reloaded", error); /* the old code serves on */
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"listen", required_argument, NULL, 'l'},      {"grpc", required_argument, NULL, 'g'},
        {"threads", required_argument, NULL, 't'},     {"path", required_argument, NULL, 'p'},
        {"files", required_argument, NULL, 'f'},       {"proxy", required_argument, NULL, 'u'},
        {"certificate", required_argument, NULL, 'c'}, {"key", required_argument, NULL, 'k'},
        {"client-ca", required_argument, NULL, 'a'},   {NULL, 0, NULL, 0}};
    *o = (struct options){
        .listen = "127.0.0.1:8080", .bundle = "app", .path = "/graphql", .files = "public", .threads = 2};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        const char **text = c == 'l'   ? &o->listen
                            : c == 'g' ? &o->grpc
                            : c == 'p' ? &o->path
                            : c == 'f' ? &o->files
                            : c == 'u' ? &o->proxy
                            : c == 'c' ? &o->certificate
                            : c == 'k' ? &o->key
                            : c == 'a' ? &o->client_ca
                                       : NULL;
        if (text)
            *text = optarg;
        else if (c == 't')
            o->threads = atoi(optarg);
        else
            return false;
    }
    if (optind < argc)
        o->bundle = argv[optind++];
    return optind == argc && o->threads > 0 && o->threads <= MOST_THREADS && !o->certificate == !o->key;
}

int main(int argc, char **argv)
{
    static struct server server;
    sigset_t signals;
    int number = 0, result = 0;
    if (!read_options(argc, argv, &server.options)) {
        fprintf(stderr, "usage: embed-h2o [--listen HOST:PORT] [--threads N] [--path PATH] [--files DIR] "
                        "[--proxy URL] [--grpc HOST:PORT] [--certificate PEM --key PEM [--client-ca PEM]] "
                        "[BUNDLE]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    /* Before there are threads, which inherit it: signals are for sigwait alone. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (!start(&server)) {
        pl_app_free(server.app);
        return 1;
    }
    for (int i = 0; i < server.options.threads; i++)
        result |= server.loops[i].failed;
    if (result == 0)
        say_ready(&server);
    while (result == 0 && sigwait(&signals, &number) == 0 && number == SIGHUP)
        reload(&server);
    stop(&server);
    return result;
}
