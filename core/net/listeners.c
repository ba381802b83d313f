/* SPDX-License-Identifier: MIT */
#include "net/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/edge_internal.h"
#include "net/peer.h"
#include "net/tls.h"

#define BACKLOG 65535 /* the kernel cuts it to its own bound */

typedef pl_listener listener;
struct pl_listeners {
    listener plain, tls;
    SSL_CTX *tls_context;
};

static pl_code fail_errno(pl_error *err, const char *address)
{
    pl_code code = errno == EADDRINUSE ? PL_ALREADY_EXISTS
                   : errno == EACCES   ? PL_PERMISSION_DENIED
                                       : PL_UNAVAILABLE;
    return pl_fail(err, code, "cannot listen on %s: %s", address, strerror(errno));
}

/* A bound TCP socket, or -1 with errno. */
static int bind_tcp(const struct addrinfo *at, bool reuse_port)
{
    int one = 1, zero = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if ((reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0) ||
        bind(fd, at->ai_addr, at->ai_addrlen) != 0) {
        int failure = errno;
        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

static in_port_t *port_of(struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

static pl_code describe_tcp(int fd, listener *l, pl_error *err)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0 ||
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return pl_fail(err, PL_INTERNAL, "cannot read a listener's address");
    const char *format = bound.ss_family == AF_INET6 ? "[%.200s]:%s" : "%.200s:%s";
    snprintf(l->address, sizeof(l->address), format, host, port);
    return PL_OK;
}

static pl_code open_at(struct addrinfo *at, const char *address, unsigned workers, listener *l, pl_error *err)
{
    /* A socket that does not share its port finds out whether another process has it: with SO_REUSEPORT alone
     * a second server of the same user would quietly take half of the connections. */
    int probe = *port_of(at->ai_addr) != 0 ? bind_tcp(at, false) : -1;
    if (probe < 0 && *port_of(at->ai_addr) != 0)
        return fail_errno(err, address);
    if (probe >= 0)
        close(probe);
    for (unsigned i = 0; i < workers; i++) {
        int fd = bind_tcp(at, true);
        if (fd < 0)
            return fail_errno(err, address);
        l->fds[i] = fd;
        pl_socket_keep_alive(fd);
        if (listen(fd, BACKLOG) != 0)
            return fail_errno(err, address);
        struct sockaddr_storage bound;
        socklen_t size = sizeof(bound);
        if (i == 0 && getsockname(fd, (struct sockaddr *)&bound, &size) == 0)
            *port_of(at->ai_addr) = *port_of((struct sockaddr *)&bound);
    }
    return describe_tcp(l->fds[0], l, err);
}

/* Splits "HOST:PORT" into host ("" for any) and port. */
static bool split(const char *address, char *host, size_t room, const char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5 || strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    *port = colon + 1;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    } else if (memchr(address, ':', len)) {
        return false;
    }
    if (len >= room)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    if (strcmp(host, "*") == 0)
        host[0] = '\0';
    return true;
}

static pl_code open_tcp(const char *address, unsigned workers, listener *l, pl_error *err)
{
    char host[256];
    const char *port;
    if (!split(address, host, sizeof(host), &port))
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "\"%s\" is no address; HOST:PORT, *:PORT or unix:PATH is expected", address);
    struct addrinfo hints = {.ai_family = host[0] ? AF_UNSPEC : AF_INET6,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (!host[0]) {
        /* Any address: one IPv6 socket takes both families, where the machine has IPv6. */
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            hints.ai_family = AF_INET;
        else
            close(fd);
    }
    int failure = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (failure)
        return pl_fail(err, PL_INVALID_ARGUMENT, "cannot listen on %s: %s", address, gai_strerror(failure));
    pl_code code = open_at(found, address, workers, l, err);
    freeaddrinfo(found);
    return code;
}

/* Whether nobody listens on the socket file, so that it may be replaced. */
static bool is_stale(const struct sockaddr_un *at)
{
    struct stat info;
    if (lstat(at->sun_path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static pl_code open_unix(const char *address, unsigned workers, listener *l, pl_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = address + strlen("unix:");
    if (path[0] == '\0' || strlen(path) >= sizeof(at.sun_path))
        return pl_fail(err, PL_INVALID_ARGUMENT, "\"%s\" is no address: the path has 1 to %zu bytes", address,
                       sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, address);
    l->fds[0] = fd;
    int bound = bind(fd, (struct sockaddr *)&at, sizeof(at));
    if (bound != 0 && errno == EADDRINUSE) {
        if (is_stale(&at) && unlink(path) == 0)
            bound = bind(fd, (struct sockaddr *)&at, sizeof(at));
        else
            errno = EADDRINUSE;
    }
    if (bound != 0 || listen(fd, BACKLOG) != 0)
        return fail_errno(err, address);
    /* One socket for all: SO_REUSEPORT is for TCP. */
    for (unsigned i = 1; i < workers; i++) {
        l->fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (l->fds[i] < 0)
            return fail_errno(err, address);
    }
    snprintf(l->address, sizeof(l->address), "%s", address);
    return PL_OK;
}

/* As it was bound. */
static void describe(int fd, listener *l)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    pl_error err;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) == 0 && bound.ss_family == AF_UNIX)
        snprintf(l->address, sizeof(l->address), "unix:%.*s",
                 (int)(size - offsetof(struct sockaddr_un, sun_path)),
                 ((struct sockaddr_un *)&bound)->sun_path);
    else
        describe_tcp(fd, l, &err);
}

pl_code pl_listener_adopt(listener *l, int fd, unsigned worker, pl_error *err)
{
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        return pl_fail(err, PL_INVALID_ARGUMENT, "descriptor %d is no listening socket", fd);
    l->workers = worker + 1;
    l->fds = pl_malloc(l->workers * sizeof(l->fds[0]));
    if (!l->fds)
        return pl_fail_memory(err);
    for (unsigned i = 0; i < worker; i++)
        l->fds[i] = -1;
    l->fds[worker] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (l->fds[worker] < 0)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot duplicate a descriptor: %s", strerror(errno));
    describe(fd, l);
    return PL_OK;
}

pl_code pl_listener_open(listener *l, const char *address, unsigned workers, pl_error *err)
{
    l->workers = workers;
    l->fds = pl_malloc(workers * sizeof(l->fds[0]));
    if (!l->fds)
        return pl_fail_memory(err);
    for (unsigned i = 0; i < workers; i++)
        l->fds[i] = -1;
    if (strncmp(address, "unix:", strlen("unix:")) == 0)
        return open_unix(address, workers, l, err);
    return open_tcp(address, workers, l, err);
}

pl_listeners *pl_listeners_open(const pl_edge_config *config, unsigned workers, pl_error *err)
{
    pl_listeners *listeners = pl_calloc(1, sizeof(*listeners));
    if (!listeners) {
        pl_fail_memory(err);
        return NULL;
    }
    bool ok = true;
    if (config->tls_address) {
        listeners->tls_context = pl_tls_context(&config->tls, config->client_ca, err);
        ok = listeners->tls_context &&
             pl_listener_open(&listeners->tls, config->tls_address, workers, err) == PL_OK;
    }
    if (ok && config->address)
        ok = pl_listener_open(&listeners->plain, config->address, workers, err) == PL_OK;
    if (!ok) {
        pl_listeners_free(listeners);
        return NULL;
    }
    return listeners;
}

void pl_listener_close(listener *l)
{
    for (unsigned i = 0; l->fds && i < l->workers; i++) {
        if (l->fds[i] >= 0)
            close(l->fds[i]);
    }
    pl_free(l->fds);
    l->fds = NULL;
}

void pl_listeners_free(pl_listeners *listeners)
{
    if (!listeners)
        return;
    pl_listener_close(&listeners->plain);
    pl_listener_close(&listeners->tls);
    SSL_CTX_free(listeners->tls_context);
    pl_free(listeners);
}

const char *pl_listeners_address(const pl_listeners *listeners)
{
    return listeners->plain.fds ? listeners->plain.address : NULL;
}

const char *pl_listeners_tls_address(const pl_listeners *listeners)
{
    return listeners->tls.fds ? listeners->tls.address : NULL;
}

int pl_listener_take(listener *l, unsigned worker)
{
    if (!l->fds || worker >= l->workers)
        return -1;
    int fd = l->fds[worker];
    l->fds[worker] = -1;
    return fd;
}

int pl_listeners_take(pl_listeners *listeners, unsigned worker)
{
    return pl_listener_take(&listeners->plain, worker);
}

int pl_listeners_take_tls(pl_listeners *listeners, unsigned worker)
{
    return pl_listener_take(&listeners->tls, worker);
}

SSL_CTX *pl_listeners_tls(pl_listeners *listeners)
{
    return listeners->tls_context;
}
